/* Ids to text. */
#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"
#include "tokens/tokenizer.h"

/* ---- what one id stands for -------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that <0x41> names, -1 for any other text. */
static int named_byte(const char *text, size_t n)
{
	int high, low;

	if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
		return -1;
	high = hex_digit(text[3]);
	low = hex_digit(text[4]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Every `space` of the text a space, in place; or none of them where `drop` says so. */
static size_t put_spaces(char *text, size_t n, const char *space, bool drop)
{
	size_t n_space = strlen(space), written = 0;

	for (size_t i = 0; i < n;) {
		if (n_space > 0 && n - i >= n_space && memcmp(text + i, space, n_space) == 0) {
			if (!drop)
				text[written++] = ' ';
			i += n_space;
		} else {
			text[written++] = text[i++];
		}
	}
	return written;
}

enum pb_status pb_decoder_piece(const struct pb_tokenizer *t, struct pb_piece *piece,
				struct pb_arena *arena, struct pb_error *err)
{
	const struct pb_decoder *d = &t->decoder;
	struct pb_normalized form = {.text = piece->token, .n = piece->token_size};
	int byte;
	char *bytes;
	enum pb_status status = PB_OK;

	if (!d->byte_level && d->replace.n_steps > 0)
		PB_TRY(pb_normalize(&form, &d->replace, t->matcher, piece->token, piece->token_size,
				    err));
	bytes = pb_arena_strndup(arena, form.text, form.n);
	if (bytes == NULL || form.n > UINT32_MAX) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the vocabulary: free some");
		goto cleanup;
	}
	piece->bytes = bytes;
	byte = d->byte_fallback ? named_byte(form.text, form.n) : -1;
	piece->is_byte = byte >= 0;
	if (d->byte_level)
		piece->size = (uint32_t)pb_token_to_bytes(form.text, form.n, bytes);
	else if (byte >= 0)
		piece->size = 1;
	else
		piece->size = (uint32_t)put_spaces(bytes, form.n, d->space, false);
	if (byte >= 0)
		bytes[0] = (char)byte;
cleanup:
	pb_normalized_free(&form);
	return status;
}

const char *pb_tokenizer_piece(const struct pb_tokenizer *tokenizer, int32_t id, size_t *size)
{
	*size = 0;
	if (id < 0 || (size_t)id >= tokenizer->n_ids || tokenizer->pieces[id].bytes == NULL)
		return NULL;
	*size = tokenizer->pieces[id].size;
	return tokenizer->pieces[id].bytes;
}

/* ---- texts ------------------------------------------------------------------------- */

/* A text that grows in memory that is large enough for it. */
struct text {
	char *bytes;
	size_t n;
	size_t run; /* bytes at the end that came from tokens that are bytes */
};

/* Bytes of all ids together, and a check of each. */
static enum pb_status measure(const struct pb_tokenizer *t, const int32_t *ids, size_t n_ids,
			      size_t *bytes, struct pb_error *err)
{
	*bytes = 0;
	for (size_t i = 0; i < n_ids; i++) {
		if (ids[i] < 0 || (size_t)ids[i] >= t->n_ids || t->pieces[ids[i]].bytes == NULL)
			return pb_fail(err, PB_ERR_INPUT,
				       "an id has no token: id %d at place %zu, the tokenizer has "
				       "ids 0 to %zu: give ids of this tokenizer",
				       ids[i], i, t->n_ids > 0 ? t->n_ids - 1 : 0);
		if (!pb_size_add(*bytes, t->pieces[ids[i]].size, bytes))
			return pb_fail(err, PB_ERR_INPUT,
				       "the text is too long: %zu ids: give less", n_ids);
	}
	return PB_OK;
}

/* A run of bytes that is not UTF-8 becomes a U+FFFD for each of them. */
static void end_run(struct text *text)
{
	char *run = text->bytes + text->n - text->run;

	if (text->run > 0 && pb_utf8_valid(run, text->run) < text->run) {
		text->n -= text->run;
		for (size_t i = 0; i < text->run; i++)
			text->n += pb_utf8_put(0xFFFD, text->bytes + text->n);
	}
	text->run = 0;
}

static void add_piece(const struct pb_decoder *d, const struct pb_piece *piece, bool first,
		      struct text *text)
{
	char *end;

	if (!piece->is_byte)
		end_run(text);
	end = text->bytes + text->n;
	if (first && d->drop_first && !piece->is_byte) {
		memcpy(end, piece->token, piece->token_size);
		text->n += put_spaces(end, piece->token_size, d->space, true);
		return;
	}
	memcpy(end, piece->bytes, piece->size);
	text->n += piece->size;
	text->run += piece->is_byte;
}

/* Bytes that go at the start of a text. */
static size_t stripped(const struct pb_decoder *d, const char *text, size_t n)
{
	size_t size = strlen(d->strip), at = 0;

	for (size_t i = 0; i < d->strip_max && size > 0 && n - at >= size &&
			   memcmp(text + at, d->strip, size) == 0;
	     i++)
		at += size;
	return at;
}

enum pb_status pb_tokenizer_decode_sized(const struct pb_tokenizer *tokenizer, const int32_t *ids,
					 size_t n_ids, char **text, size_t *size,
					 struct pb_error *err)
{
	const struct pb_decoder *d = &tokenizer->decoder;
	void *joined = NULL, *lossy = NULL;
	size_t bytes, room, cut;
	struct text all = {0};
	enum pb_status status;

	*text = NULL;
	*size = 0;
	PB_TRY(measure(tokenizer, ids, n_ids, &bytes, err));
	/* A byte that is not UTF-8 becomes three; and the first token as written. */
	room = n_ids > 0 ? tokenizer->pieces[ids[0]].token_size : 0;
	if (!pb_size_mul(bytes, 3, &bytes) || !pb_size_add(bytes + 1, room, &room)) {
		status =
		    pb_fail(err, PB_ERR_INPUT, "the text is too long: %zu ids: give less", n_ids);
		goto cleanup;
	}
	PB_TRY(pb_alloc(&joined, room, 1, "decoded text", err));
	all.bytes = joined;
	for (size_t i = 0; i < n_ids; i++)
		add_piece(d, &tokenizer->pieces[ids[i]], i == 0, &all);
	end_run(&all);
	cut = stripped(d, all.bytes, all.n);
	PB_TRY(pb_alloc(&lossy, room, 1, "decoded text", err));
	*size = pb_utf8_lossy(all.bytes + cut, all.n - cut, lossy);
	((char *)lossy)[*size] = '\0';
	*text = lossy;
cleanup:
	free(joined);
	return status;
}

enum pb_status pb_tokenizer_decode(const struct pb_tokenizer *tokenizer, const int32_t *ids,
				   size_t n_ids, char **text, struct pb_error *err)
{
	size_t size;

	return pb_tokenizer_decode_sized(tokenizer, ids, n_ids, text, &size, err);
}
