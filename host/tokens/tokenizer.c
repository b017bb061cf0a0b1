/* Opens tokenizers, encodes, decodes. */
#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"
#include "tokens/normalize.h"
#include "tokens/tokenizer.h"

/* ---- filling ----------------------------------------------------------------------- */

/* The slot of an id, made when it is new. */
static enum pb_status piece_slot(struct pb_tokenizer *t, int32_t id, struct pb_piece **slot,
				 struct pb_error *err)
{
	void *pieces = t->pieces;
	enum pb_status status = pb_grow(&pieces, &t->pieces_capacity, (size_t)id + 1,
					sizeof(struct pb_piece), "the vocabulary", err);

	t->pieces = pieces;
	if (status != PB_OK)
		return status;
	if ((size_t)id >= t->n_ids)
		t->n_ids = (size_t)id + 1;
	*slot = &t->pieces[id];
	return PB_OK;
}

static enum pb_status set_piece(struct pb_tokenizer *t, int32_t id, const char *token, size_t size,
				struct pb_error *err)
{
	struct pb_piece *slot;
	char *bytes;
	enum pb_status status = piece_slot(t, id, &slot, err);

	if (status != PB_OK)
		return status;
	bytes = pb_arena_alloc(&t->arena, size + 1, 1);
	if (bytes == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the vocabulary: free some");
	slot->size = pb_token_to_bytes(token, size, bytes);
	slot->bytes = bytes;
	return PB_OK;
}

static enum pb_status check_id(int64_t id, const char *token, const char *where,
			       struct pb_error *err)
{
	if (id >= 0 && id < PB_TOKENS_ID_LIMIT)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT,
		       "a token id is out of range: %s, '%s' is %lld: ids are 0 to %d", where,
		       token, (long long)id, PB_TOKENS_ID_LIMIT - 1);
}

enum pb_status pb_tokenizer_put_token(struct pb_tokenizer *t, const char *token, size_t size,
				      int64_t id, const char *where, struct pb_error *err)
{
	char *key;
	enum pb_status status = check_id(id, token, where, err);

	if (status != PB_OK)
		return status;
	if ((size_t)id < t->n_ids && t->pieces[id].bytes != NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "two tokens have the same id: %s, '%s' is %lld like another: "
			       "each token needs its own",
			       where, token, (long long)id);
	if (size > UINT32_MAX)
		return pb_fail(err, PB_ERR_INPUT, "a token is too long: %s, id %lld: shorten it",
			       where, (long long)id);
	key = pb_arena_strndup(&t->arena, token, size);
	if (key == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the vocabulary: free some");
	if (!pb_vocab_insert(&t->vocab, key, (uint32_t)size, (int32_t)id))
		return pb_fail(err, PB_ERR_INPUT, "a token is there twice: %s, '%s': remove one",
			       where, token);
	return set_piece(t, (int32_t)id, token, size, err);
}

/* An added token with this content, NULL for none. */
static struct pb_added_token *find_added(const struct pb_tokenizer *t, const char *content,
					 size_t size)
{
	for (size_t i = 0; i < t->added.n; i++)
		if (t->added.tokens[i].content_size == size &&
		    memcmp(t->added.tokens[i].content, content, size) == 0)
			return &t->added.tokens[i];
	return NULL;
}

int32_t pb_tokenizer_find(const struct pb_tokenizer *t, const char *content, size_t size)
{
	const struct pb_added_token *added = find_added(t, content, size);

	return added != NULL ? added->id : pb_vocab_find(&t->vocab, content, size);
}

/* The id that `tokenizers` gives: the vocabulary's own, or its size plus the number of tokens that
 * were new before this one. */
static int64_t id_of_added(const struct pb_tokenizer *t, const struct pb_added_token *token)
{
	int32_t known = pb_tokenizer_find(t, token->content, token->content_size);

	return known >= 0 ? known : (int64_t)(t->vocab.n_entries + t->added.n_new);
}

/* Copies the token's strings into the arena; the pattern is normalised where the token says so. */
static enum pb_status copy_strings(struct pb_tokenizer *t, struct pb_added_token *token,
				   struct pb_error *err)
{
	struct pb_normalized form = {.text = token->content, .n = token->content_size};
	enum pb_status status = PB_OK;

	if (token->normalized && t->nfc)
		PB_TRY(pb_normalize_nfc(&form, token->content, token->content_size, err));
	token->content = pb_arena_strndup(&t->arena, token->content, token->content_size);
	token->pattern = pb_arena_strndup(&t->arena, form.text, form.n);
	token->pattern_size = (uint32_t)form.n;
	if (token->content == NULL || token->pattern == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: added tokens: free some");
cleanup:
	pb_normalized_free(&form);
	return status;
}

enum pb_status pb_tokenizer_put_added(struct pb_tokenizer *t, struct pb_added_token token,
				      int64_t id, const char *where, struct pb_error *err)
{
	struct pb_added_token *slot = find_added(t, token.content, token.content_size);
	int64_t own = id_of_added(t, &token);
	bool new = slot == NULL &&pb_vocab_find(&t->vocab, token.content, token.content_size) < 0;
	void *tokens = t->added.tokens;
	enum pb_status status;

	if (id >= 0 && id != own)
		return pb_fail(err, PB_ERR_INPUT,
			       "an added token has the wrong id: %s, '%s' is given %lld, but the "
			       "vocabulary makes it %lld: correct one of them",
			       where, token.content, (long long)id, (long long)own);
	PB_TRY(check_id(own, token.content, where, err));
	if (new && (size_t)own < t->n_ids && t->pieces[own].bytes != NULL) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "an added token takes an id that is in use: %s, '%s', %lld: the "
				 "vocabulary's ids must have no holes",
				 where, token.content, (long long)own);
		goto cleanup;
	}
	token.id = (int32_t)own;
	PB_TRY(copy_strings(t, &token, err));
	if (slot == NULL) {
		status = pb_grow(&tokens, &t->added.capacity, t->added.n + 1, sizeof token,
				 "added tokens", err);
		t->added.tokens = tokens;
		if (status != PB_OK)
			goto cleanup;
		slot = &t->added.tokens[t->added.n++];
	}
	*slot = token;
	t->added.n_new += new;
	/* `tokenizers` decodes an added token to its normalised form. */
	status = set_piece(t, token.id, token.pattern, token.pattern_size, err);
cleanup:
	return status;
}

enum pb_status pb_read_tokens_file(char **out, size_t *size, const char *path, struct pb_error *err)
{
	enum pb_status status = pb_read_file(out, size, path, PB_TOKENS_FILE_MAX, err);
	size_t valid;

	if (status != PB_OK)
		return status;
	valid = pb_utf8_valid(*out, *size);
	if (valid == *size)
		return PB_OK;
	free(*out);
	*out = NULL;
	return pb_fail(err, PB_ERR_INPUT, "the file is not UTF-8: %s, byte %zu: fetch it again",
		       path, valid);
}

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
