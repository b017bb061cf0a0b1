/* Tokens made readable for messages: each token's text by itself, control characters escaped, long
 * texts cut between characters. Output that does not fit its buffer is cut. */
#include "prompts/show.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 14   /* characters of a token's text that are shown */
#define CELL_SIZE 160 /* bytes: the characters of a token, escaped, its id and quotes */
#define ROWS_BEFORE 3
#define ROWS_AFTER 9

/* A buffer that is written from left to right and never overflows. */
struct text {
	char *data;
	size_t size, used;
};

static struct text text_begin(char *data, size_t size)
{
	data[0] = '\0';
	return (struct text){.data = data, .size = size};
}

__attribute__((format(printf, 2, 3))) static void append(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->data + t->used, t->size - t->used, format, args);
	va_end(args);
	if (n < 0)
		return;
	t->used += (size_t)n < t->size - t->used ? (size_t)n : t->size - t->used - 1;
}

/* Bytes of the UTF-8 character at s (decoded text is valid UTF-8, so the first byte tells). */
static size_t character_size(const char *s)
{
	const unsigned char c = (unsigned char)s[0];
	const size_t size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return strnlen(s, size);
}

/* One character, escaped when a terminal would act on it. Returns the columns that it takes. */
static size_t append_character(struct text *t, const char *s, size_t size)
{
	const unsigned char c = (unsigned char)s[0];

	if (c == '\n' || c == '\t' || c == '\r') {
		append(t, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
		return 2;
	}
	if (c < 0x20 || c == 0x7f) {
		append(t, "\\x%02x", c);
		return 4;
	}
	if (c == 0xc2 && size == 2 && (unsigned char)s[1] < 0xa0) {
		append(t, "\\x%02x", (unsigned char)s[1]);
		return 4;
	}
	append(t, "%.*s", (int)size, s);
	return 1;
}

/* `342 ' hat'`, or `342` when the text is not known. Returns the columns that it takes. */
static size_t append_token(struct text *t, const struct pb_tokenizer *tokenizer, int32_t id)
{
	const size_t before = t->used;
	size_t columns, n = 0;
	char *text = NULL;

	append(t, "%d", id);
	columns = t->used - before;
	if (tokenizer == NULL || pb_tokenizer_decode(tokenizer, &id, 1, &text, NULL) != PB_OK)
		return columns;
	append(t, " '");
	for (const char *s = text; *s != '\0' && n <= TEXT_MAX; n++) {
		const size_t size = character_size(s);

		if (n == TEXT_MAX) {
			append(t, "..");
			columns += 2;
			break;
		}
		columns += append_character(t, s, size);
		s += size;
	}
	append(t, "'");
	free(text);
	return columns + 3;
}

void pb_show_tokens(const struct pb_tokenizer *tokenizer, const int32_t *ids, size_t n, char *out,
		    size_t size)
{
	const size_t shown = n < 8 ? n : 8;
	struct text t = text_begin(out, size);

	for (size_t i = 0; i < shown; i++) {
		append(&t, "%s", i == 0 ? "" : ", ");
		append_token(&t, tokenizer, ids[i]);
	}
	if (n > shown)
		append(&t, " and %zu more", n - shown);
}

/* One cell of the table, padded to its width. */
static void append_cell(struct text *t, const struct pb_tokenizer *tokenizer,
			const struct pb_encoded *prompt, size_t position, size_t width)
{
	char buffer[CELL_SIZE];
	struct text cell = text_begin(buffer, sizeof buffer);
	size_t columns = 1;

	if (position < prompt->length)
		columns = append_token(&cell, tokenizer, prompt->ids[position]);
	else
		append(&cell, "-");
	append(t, "%s%*s", buffer, columns < width ? (int)(width - columns) : 0, "");
}

void pb_show_side_by_side(const struct pb_tokenizer *tokenizer, const struct pb_encoded *clean,
			  const struct pb_encoded *corrupted, char *out, size_t size)
{
	const size_t width = 28;
	const size_t n = clean->length > corrupted->length ? clean->length : corrupted->length;
	struct text t = text_begin(out, size);
	size_t difference = 0, first, last;

	while (difference < clean->length && difference < corrupted->length &&
	       clean->ids[difference] == corrupted->ids[difference])
		difference++;
	first = difference > ROWS_BEFORE ? difference - ROWS_BEFORE : 0;
	last = n - first > ROWS_BEFORE + ROWS_AFTER ? first + ROWS_BEFORE + ROWS_AFTER : n;
	append(&t, "  position  %-*s%s", (int)width, "clean", "corrupted");
	if (first > 0)
		append(&t, "\n  (%zu equal tokens before)", first);
	for (size_t i = first; i < last; i++) {
		append(&t, "\n%c %8zu  ", i == difference ? '>' : ' ', i);
		append_cell(&t, tokenizer, clean, i, width);
		append_cell(&t, tokenizer, corrupted, i, 0);
	}
	if (last < n)
		append(&t, "\n  (%zu more positions)", n - last);
}
