/* Opens tokenizers, encodes, decodes. */
#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"
#include "tokens/normalize.h"
#include "tokens/tokenizer.h"

/* ---- opening ----------------------------------------------------------------------- */

/* Whether folder/name is a file. */
static enum pb_status has_file(const char *folder, const char *name, bool *has,
			       struct pb_error *err)
{
	char *path = pb_format("%s/%s", folder, name);

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a path: free some");
	*has = pb_is_file(path);
	free(path);
	return PB_OK;
}

static enum pb_status load_folder(struct pb_tokenizer *t, const char *folder, struct pb_error *err)
{
	bool json = false, vocab = false, merges = false;
	enum pb_status status;

	PB_TRY(has_file(folder, "tokenizer.json", &json, err));
	PB_TRY(has_file(folder, "vocab.json", &vocab, err));
	PB_TRY(has_file(folder, "merges.txt", &merges, err));
	if (json)
		PB_TRY(pb_tokenizer_load_json(t, folder, err));
	else if (vocab && merges)
		PB_TRY(pb_tokenizer_load_files(t, folder, err));
	else
		return pb_fail(err, PB_ERR_INPUT,
			       "no tokenizer here: %s: give a folder with tokenizer.json, or with "
			       "vocab.json and merges.txt",
			       folder);
	status = pb_tokenizer_load_bos(t, folder, !json, err);
cleanup:
	return status;
}

enum pb_status pb_tokenizer_open(struct pb_tokenizer **out, const char *folder,
				 struct pb_error *err)
{
	struct pb_tokenizer *t = NULL;
	void *memory;
	enum pb_status status;

	*out = NULL;
	PB_TRY(pb_alloc(&memory, 1, sizeof *t, "a tokenizer", err));
	t = memory;
	t->bos = -1;
	t->bos_auto = -1;
	t->pre.prefix_stage = SIZE_MAX;
	PB_TRY(load_folder(t, folder, err));
	*out = t;
	t = NULL;
cleanup:
	pb_tokenizer_close(t);
	return status;
}

void pb_tokenizer_close(struct pb_tokenizer *tokenizer)
{
	if (tokenizer == NULL)
		return;
	pb_vocab_free(&tokenizer->vocab);
	pb_bpe_free(&tokenizer->bpe);
	pb_added_free(&tokenizer->added);
	pb_pretokenizer_free(&tokenizer->pre);
	free(tokenizer->pieces);
	pb_arena_free(&tokenizer->arena);
	free(tokenizer);
}

size_t pb_tokenizer_size(const struct pb_tokenizer *tokenizer)
{
	return tokenizer->n_ids;
}

int32_t pb_tokenizer_bos_auto(const struct pb_tokenizer *tokenizer)
{
	return tokenizer->bos_auto;
}

int32_t pb_tokenizer_bos(const struct pb_tokenizer *tokenizer)
{
	return tokenizer->bos;
}

/* ---- encoding ---------------------------------------------------------------------- */

/* Text between the tokens that are looked for in the text as given. */
static enum pb_status encode_rest(const struct pb_tokenizer *t, struct pb_encoder *encoder,
				  const char *text, size_t n, struct pb_error *err)
{
	struct pb_normalized form = {.text = text, .n = n};
	struct pb_added_cut cut;
	const char *part;
	size_t size;
	int32_t id;
	enum pb_status status = PB_OK;

	if (t->nfc)
		PB_TRY(pb_normalize_nfc(&form, text, n, err));
	pb_added_begin(&cut, &t->added, &t->added.normalized, encoder->matcher, form.text, form.n);
	for (;;) {
		PB_TRY(pb_added_next(&cut, &id, &part, &size, err));
		if (id >= 0)
			PB_TRY(pb_ids_push(&encoder->out, id, err));
		else if (size > 0)
			PB_TRY(pb_pretokenize(encoder, part, size, err));
		else
			break;
	}
cleanup:
	pb_normalized_free(&form);
	return status;
}

static enum pb_status encode_text(const struct pb_tokenizer *t, struct pb_encoder *encoder,
				  const char *text, size_t n, struct pb_error *err)
{
	struct pb_added_cut cut;
	const char *part;
	size_t size;
	int32_t id;
	enum pb_status status;

	pb_added_begin(&cut, &t->added, &t->added.raw, encoder->matcher, text, n);
	for (;;) {
		PB_TRY(pb_added_next(&cut, &id, &part, &size, err));
		if (id >= 0)
			PB_TRY(pb_ids_push(&encoder->out, id, err));
		else if (size > 0)
			PB_TRY(encode_rest(t, encoder, part, size, err));
		else
			break;
	}
cleanup:
	return status;
}

enum pb_status pb_tokenizer_encode(const struct pb_tokenizer *tokenizer, const char *text,
				   size_t size, int32_t **ids, size_t *n_ids, struct pb_error *err)
{
	struct pb_encoder encoder = {
	    .bpe = &tokenizer->bpe, .vocab = &tokenizer->vocab, .pre = &tokenizer->pre};
	size_t valid = pb_utf8_valid(text, size);
	void *none;
	enum pb_status status;

	*ids = NULL;
	*n_ids = 0;
	if (valid < size)
		return pb_fail(err, PB_ERR_INPUT,
			       "the text is not UTF-8: byte %zu of %zu: convert it to UTF-8", valid,
			       size);
	PB_TRY(pb_matcher_open(&encoder.matcher, err));
	PB_TRY(encode_text(tokenizer, &encoder, text, size, err));
	if (encoder.out.ids == NULL) {
		PB_TRY(pb_alloc(&none, 0, sizeof(int32_t), "token ids", err));
		encoder.out.ids = none;
	}
	*ids = encoder.out.ids;
	*n_ids = encoder.out.n;
	encoder.out.ids = NULL;
cleanup:
	pb_matcher_close(encoder.matcher);
	pb_bpe_work_free(&encoder.work);
	free(encoder.spaced);
	free(encoder.out.ids);
	return status;
}

/* ---- decoding ---------------------------------------------------------------------- */

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
				       ids[i], i, t->n_ids - 1);
		if (!pb_size_add(*bytes, t->pieces[ids[i]].size, bytes))
			return pb_fail(err, PB_ERR_INPUT,
				       "the text is too long: %zu ids: give less", n_ids);
	}
	return PB_OK;
}

enum pb_status pb_tokenizer_decode_sized(const struct pb_tokenizer *tokenizer, const int32_t *ids,
					 size_t n_ids, char **text, size_t *size,
					 struct pb_error *err)
{
	void *joined = NULL, *lossy = NULL;
	size_t bytes, room, at = 0;
	enum pb_status status;

	*text = NULL;
	*size = 0;
	PB_TRY(measure(tokenizer, ids, n_ids, &bytes, err));
	PB_TRY(pb_alloc(&joined, bytes, 1, "decoded text", err));
	for (size_t i = 0; i < n_ids; i++) {
		const struct pb_piece *piece = &tokenizer->pieces[ids[i]];

		memcpy((char *)joined + at, piece->bytes, piece->size);
		at += piece->size;
	}
	/* A byte that is not UTF-8 becomes three. */
	if (!pb_size_mul(bytes, 3, &room) || !pb_size_add(room, 1, &room)) {
		status =
		    pb_fail(err, PB_ERR_INPUT, "the text is too long: %zu ids: give less", n_ids);
		goto cleanup;
	}
	PB_TRY(pb_alloc(&lossy, room, 1, "decoded text", err));
	*size = pb_utf8_lossy(joined, bytes, lossy);
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

const char *pb_tokenizer_piece(const struct pb_tokenizer *tokenizer, int32_t id, size_t *size)
{
	*size = 0;
	if (id < 0 || (size_t)id >= tokenizer->n_ids || tokenizer->pieces[id].bytes == NULL)
		return NULL;
	*size = tokenizer->pieces[id].size;
	return tokenizer->pieces[id].bytes;
}
