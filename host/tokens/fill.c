/* Puts tokens into a tokenizer while it is loaded. */
#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"
#include "tokens/normalize.h"
#include "tokens/tokenizer.h"

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
	enum pb_status status = piece_slot(t, id, &slot, err);

	if (status != PB_OK)
		return status;
	*slot = (struct pb_piece){.token = token, .token_size = (uint32_t)size};
	return pb_decoder_piece(t, slot, &t->arena, err);
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
	return set_piece(t, (int32_t)id, key, size, err);
}

/* An added token with this content, NULL for none. */
static struct pb_added_token *find_added(const struct pb_tokenizer *t, const char *content,
					 size_t size)
{
	int32_t at = pb_vocab_find(&t->added.index, content, size);

	return at >= 0 ? &t->added.tokens[at] : NULL;
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

	if (token->normalized)
		PB_TRY(pb_normalize(&form, &t->normalizer, t->matcher, token->content,
				    token->content_size, err));
	if (form.n == 0 || form.n > UINT32_MAX / 2)
		return pb_fail(err, PB_ERR_INPUT,
			       "an added token cannot be found in a text: '%s' is normalised to "
			       "%zu bytes: remove it",
			       token->content, form.n);
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
		PB_TRY(pb_vocab_reserve(&t->added.index, t->added.n + 1, err));
		(void)pb_vocab_insert(&t->added.index, token.content, token.content_size,
				      (int32_t)t->added.n);
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
