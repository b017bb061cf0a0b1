/* Opens tokenizers, encodes. */
#include <stdlib.h>
#include <string.h>

#include "model/checkpoint.h"
#include "tokens/bytes.h"
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
	bool json = false, vocab = false, merges = false, model = false;
	enum pb_status status;

	PB_TRY(has_file(folder, "tokenizer.json", &json, err));
	PB_TRY(has_file(folder, "vocab.json", &vocab, err));
	PB_TRY(has_file(folder, "merges.txt", &merges, err));
	PB_TRY(has_file(folder, "tokenizer.model", &model, err));
	if (json)
		PB_TRY(pb_tokenizer_load_json(t, folder, err));
	else if (vocab && merges)
		PB_TRY(pb_tokenizer_load_files(t, folder, err));
	else if (model)
		return pb_fail(err, PB_ERR_INPUT,
			       "a tokenizer.model alone is not read: %s: make a tokenizer.json of "
			       "it, with save_pretrained() of transformers' AutoTokenizer",
			       folder);
	else
		return pb_fail(err, PB_ERR_INPUT,
			       "no tokenizer here: %s: give a folder with tokenizer.json, or with "
			       "vocab.json and merges.txt",
			       folder);
	status = pb_tokenizer_load_bos(t, folder, !json, err);
cleanup:
	return status;
}

static enum pb_status load(struct pb_tokenizer *t, const char *path, struct pb_error *err)
{
	bool json = false;
	char *gguf = NULL;
	enum pb_status status;

	/* A tokenizer.json beside a GGUF file goes before what is in that. */
	PB_TRY(has_file(path, "tokenizer.json", &json, err));
	if (!json)
		PB_TRY(pb_checkpoint_find_gguf(&gguf, path, err));
	status = gguf != NULL ? pb_tokenizer_load_gguf(t, gguf, err) : load_folder(t, path, err);
cleanup:
	free(gguf);
	return status;
}

bool pb_tokenizer_is_there(const char *path)
{
	static const char *const names[] = {"tokenizer.json", "vocab.json"};
	char *gguf = NULL;
	bool there = false;

	for (size_t i = 0; i < 2 && !there; i++)
		if (has_file(path, names[i], &there, NULL) != PB_OK)
			return false;
	if (!there && pb_checkpoint_find_gguf(&gguf, path, NULL) == PB_OK && gguf != NULL)
		there = pb_gguf_has_tokenizer(gguf);
	free(gguf);
	return there;
}

enum pb_status pb_tokenizer_open(struct pb_tokenizer **out, const char *path, struct pb_error *err)
{
	struct pb_tokenizer *t = NULL;
	void *memory;
	enum pb_status status;

	*out = NULL;
	PB_TRY(pb_alloc(&memory, 1, sizeof *t, "a tokenizer", err));
	t = memory;
	t->bos = -1;
	t->bos_auto = -1;
	PB_TRY(pb_matcher_open(&t->matcher, err));
	PB_TRY(load(t, path, err));
	pb_matcher_close(t->matcher);
	t->matcher = NULL;
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
	pb_normalizer_free(&tokenizer->normalizer);
	pb_normalizer_free(&tokenizer->decoder.replace);
	pb_matcher_close(tokenizer->matcher);
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
				  const char *text, size_t n, bool first, struct pb_error *err)
{
	struct pb_normalized form;
	struct pb_added_cut cut;
	const char *part;
	size_t size;
	int32_t id;
	enum pb_status status;

	PB_TRY(pb_normalize(&form, &t->normalizer, encoder->matcher, text, n, err));
	pb_added_begin(&cut, &t->added, &t->added.normalized, encoder->matcher, form.text, form.n);
	for (;;) {
		PB_TRY(pb_added_next(&cut, &id, &part, &size, err));
		if (id >= 0)
			PB_TRY(pb_ids_push(&encoder->out, id, err));
		else if (size > 0)
			PB_TRY(
			    pb_pretokenize(encoder, part, size, first && part == form.text, err));
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
			PB_TRY(encode_rest(t, encoder, part, size, part == text, err));
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
	pb_encoder_free(&encoder);
	return status;
}
