/* UTF-8, and the byte alphabet of byte-level BPE. */
#include <string.h>

#include "tokens/bytes.h"

/* Length of the sequence at p when it is valid (*valid), otherwise of its longest prefix that
 * could have begun a valid one, at least 1. Table 3-7 of the Unicode standard. */
static size_t sequence_length(const unsigned char *p, size_t n, bool *valid)
{
	unsigned char low = 0x80, high = 0xBF;
	size_t length;

	*valid = p[0] < 0x80;
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 1;
	length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	if (p[0] == 0xE0)
		low = 0xA0;
	else if (p[0] == 0xED)
		high = 0x9F;
	else if (p[0] == 0xF0)
		low = 0x90;
	else if (p[0] == 0xF4)
		high = 0x8F;
	for (size_t i = 1; i < length; i++) {
		if (i >= n || p[i] < low || p[i] > high)
			return i;
		low = 0x80;
		high = 0xBF;
	}
	*valid = true;
	return length;
}

size_t pb_utf8_valid(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t at = 0;
	bool valid;

	while (at < n) {
		uint64_t eight;
		size_t length;

		/* Most texts and files are ASCII. */
		while (n - at >= sizeof eight) {
			memcpy(&eight, p + at, sizeof eight);
			if ((eight & UINT64_C(0x8080808080808080)) != 0)
				break;
			at += sizeof eight;
		}
		if (at == n)
			break;
		length = sequence_length(p + at, n - at, &valid);
		if (!valid)
			return at;
		at += length;
	}
	return n;
}

uint32_t pb_utf8_next(const char *text, size_t *at)
{
	const unsigned char *p = (const unsigned char *)text + *at;

	if (p[0] < 0x80) {
		*at += 1;
		return p[0];
	}
	if (p[0] < 0xE0) {
		*at += 2;
		return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
	}
	if (p[0] < 0xF0) {
		*at += 3;
		return (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
	}
	*at += 4;
	return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

size_t pb_utf8_back(const char *text, size_t at)
{
	do
		at--;
	while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
	return at;
}

size_t pb_utf8_put(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xC0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3F));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xE0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3F));
		out[2] = (char)(0x80 | (code & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3F));
	out[2] = (char)(0x80 | (code >> 6 & 0x3F));
	out[3] = (char)(0x80 | (code & 0x3F));
	return 4;
}

size_t pb_utf8_lossy(const char *bytes, size_t n, char *out)
{
	const unsigned char *p = (const unsigned char *)bytes;
	size_t at = 0, written = 0;
	bool valid;

	while (at < n) {
		size_t length = sequence_length(p + at, n - at, &valid);

		if (valid) {
			memcpy(out + written, p + at, length);
			written += length;
		} else {
			written += pb_utf8_put(0xFFFD, out + written);
		}
		at += length;
	}
	return written;
}

bool pb_is_white(uint32_t code)
{
	if (code < 0x80)
		return code == ' ' || (code >= '\t' && code <= '\r');
	return code == 0x85 || code == 0xA0 || code == 0x1680 ||
	       (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
	       code == 0x202F || code == 0x205F || code == 0x3000;
}

static bool stands_for_itself(unsigned code)
{
	return (code >= '!' && code <= '~') || (code >= 0xA1 && code <= 0xFF && code != 0xAD);
}

uint32_t pb_byte_to_char(unsigned byte)
{
	if (stands_for_itself(byte))
		return byte;
	/* The others in order: 0x00-0x20, 0x7F-0xA0, 0xAD. */
	if (byte <= 0x20)
		return 0x100 + byte;
	return byte == 0xAD ? 0x143 : 0x121 + byte - 0x7F;
}

int pb_char_to_byte(uint32_t code)
{
	if (code < 0x100)
		return stands_for_itself(code) ? (int)code : -1;
	if (code <= 0x120)
		return (int)code - 0x100;
	if (code <= 0x142)
		return (int)code - 0x121 + 0x7F;
	return code == 0x143 ? 0xAD : -1;
}

size_t pb_token_to_bytes(const char *token, size_t n, char *out)
{
	size_t at = 0, written = 0;

	while (at < n) {
		int byte = pb_char_to_byte(pb_utf8_next(token, &at));

		if (byte < 0) {
			memcpy(out, token, n);
			return n;
		}
		out[written++] = (char)byte;
	}
	return written;
}
