/* Numbers as base64 in JSON, and texts. */
#include "report/page_pack.h"

#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"

static char *base64(const void *data, size_t size)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = data;
	char *text = malloc((size + 2) / 3 * 4 + 1), *out = text;
	size_t i;

	for (i = 0; text != NULL && i < size; i += 3) {
		const size_t n = size - i < 3 ? size - i : 3;
		const uint32_t word = (uint32_t)in[i] << 16 |
				      (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
				      (n > 2 ? in[i + 2] : 0);

		*out++ = digits[word >> 18];
		*out++ = digits[word >> 12 & 63];
		*out++ = n > 1 ? digits[word >> 6 & 63] : '=';
		*out++ = n > 2 ? digits[word & 63] : '=';
	}
	if (text != NULL)
		*out = '\0';
	return text;
}

size_t pb_packed_size(size_t n, size_t element)
{
	return (n * element + 2) / 3 * 4;
}

void pb_pack_take(struct pb_packer *p, size_t size)
{
	p->left -= size < p->left ? size : p->left;
}

json_t *pb_pack_bytes(struct pb_packer *p, const void *data, size_t n, size_t element,
		      const char *type)
{
	char *text = base64(data, n * element);
	json_t *object = text != NULL ? json_pack("{s:s, s:s}", "t", type, "d", text) : NULL;

	pb_pack_take(p, pb_packed_size(n, element));
	p->failed = p->failed || object == NULL;
	free(text);
	return object;
}

json_t *pb_pack_doubles(struct pb_packer *p, const double *values, size_t n)
{
	return pb_pack_bytes(p, values, n, sizeof *values, "f8");
}

json_t *pb_pack_floats(struct pb_packer *p, const double *values, size_t n)
{
	float *floats = calloc(n > 0 ? n : 1, sizeof *floats);
	json_t *object = NULL;
	size_t i;

	for (i = 0; floats != NULL && i < n; i++)
		floats[i] = (float)values[i];
	if (floats != NULL)
		object = pb_pack_bytes(p, floats, n, sizeof *floats, "f4");
	p->failed = p->failed || object == NULL;
	free(floats);
	return object;
}

json_t *pb_pack_ints(struct pb_packer *p, const int32_t *values, size_t n)
{
	return pb_pack_bytes(p, values, n, sizeof *values, "i4");
}

void pb_pack_set(struct pb_packer *p, json_t *object, const char *key, json_t *value)
{
	p->failed = p->failed || value == NULL || json_object_set_new(object, key, value) != 0;
}

json_t *pb_pack_text(const char *text)
{
	const size_t n = strlen(text);
	char *lossy = malloc(3 * n + 1);
	json_t *value = NULL;

	if (lossy != NULL)
		value = json_stringn(lossy, pb_utf8_lossy(text, n, lossy));
	free(lossy);
	return value;
}

void pb_pack_append(struct pb_packer *p, json_t *list, json_t *value)
{
	p->failed = p->failed || value == NULL || json_array_append_new(list, value) != 0;
}

json_t *pb_pack_texts(struct pb_packer *p, const char *const *texts, size_t n)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < n; i++) {
		pb_pack_append(p, list, pb_pack_text(texts[i]));
		pb_pack_take(p, strlen(texts[i]) + sizeof "\"\",");
	}
	return list;
}
