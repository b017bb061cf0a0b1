/* The preflight: prompts become ids here, and a pair that does not fit is refused with its tokens
 * side by side. Nothing is ever truncated or padded. */
#include "prompts/preflight.h"

#include <stdlib.h>
#include <string.h>

#include "prompts/show.h"

static enum pb_status out_of_memory(const struct pb_pair_source *source, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the prompts of %s:%zu", source->name,
		       source->line);
}

/* ---- prompts ------------------------------------------------------------------------- */

/* encode() with the place in the file in the message of a failure. */
static enum pb_status encode(const struct pb_pair_source *source, const char *key, const char *text,
			     size_t size, int32_t **ids, size_t *n, struct pb_error *err)
{
	struct pb_error inner = {0};
	enum pb_status status = pb_tokenizer_encode(source->tokenizer, text, size, ids, n, &inner);

	if (status == PB_OK)
		return PB_OK;
	return pb_fail(err, status, "cannot encode text: %s:%zu (%s): %s", source->name,
		       source->line, key, inner.message);
}

enum pb_status pb_prompt_from_text(struct pb_encoded *prompt, const struct pb_pair_source *source,
				   const char *text, size_t size, struct pb_error *err)
{
	enum pb_status status;
	int32_t *ids = NULL;
	size_t n = 0;

	if (source->tokenizer == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "text without a tokenizer: %s:%zu (%s): the model folder has no "
			       "tokenizer: give token ids, or add its tokenizer.json",
			       source->name, source->line, prompt->key);
	if (size == 0)
		return pb_fail(err, PB_ERR_INPUT, "empty prompt: %s:%zu (%s): give some text",
			       source->name, source->line, prompt->key);
	PB_TRY(encode(source, prompt->key, text, size, &ids, &n, err));
	prompt->n_prepended = source->bos >= 0 && !(n > 0 && ids[0] == source->bos);
	prompt->length = prompt->n_prepended + n;
	prompt->ids = pb_arena_alloc(source->arena, prompt->length, sizeof *prompt->ids);
	prompt->text = pb_arena_strndup(source->arena, text, size);
	prompt->text_size = size;
	if (prompt->ids == NULL || prompt->text == NULL) {
		status = out_of_memory(source, err);
		goto cleanup;
	}
	if (prompt->n_prepended == 1)
		prompt->ids[0] = source->bos;
	if (n > 0)
		memcpy(prompt->ids + prompt->n_prepended, ids, n * sizeof *ids);
cleanup:
	free(ids);
	return status;
}

enum pb_status pb_prompt_from_ids(struct pb_encoded *prompt, const struct pb_pair_source *source,
				  const int32_t *ids, size_t length, struct pb_error *err)
{
	char *text = NULL;

	if (length == 0)
		return pb_fail(err, PB_ERR_INPUT, "empty prompt: %s:%zu (%s): give some token ids",
			       source->name, source->line, prompt->key);
	prompt->by_ids = true;
	prompt->length = length;
	prompt->ids = pb_arena_alloc(source->arena, length, sizeof *prompt->ids);
	/* The text is for people only; a model may well have more rows than its tokenizer ids, and
	 * those ids are as good without one. */
	if (source->tokenizer == NULL ||
	    pb_tokenizer_decode(source->tokenizer, ids, length, &text, NULL) != PB_OK)
		text = NULL;
	prompt->text = pb_arena_strdup(source->arena, text == NULL ? "" : text);
	free(text);
	if (prompt->ids == NULL || prompt->text == NULL)
		return out_of_memory(source, err);
	prompt->text_size = strlen(prompt->text);
	memcpy(prompt->ids, ids, length * sizeof *ids);
	return PB_OK;
}

/* ---- checks -------------------------------------------------------------------------- */

enum pb_status pb_preflight_id(const struct pb_pair_source *source, const char *key, long long id,
			       struct pb_error *err)
{
	if (id >= 0 && (unsigned long long)id < source->n_vocab && id <= INT32_MAX)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT,
		       "token id out of range: %s:%zu (%s): %lld, but the model's vocabulary has "
		       "%zu rows: give 0 to %zu",
		       source->name, source->line, key, id, source->n_vocab,
		       source->n_vocab == 0 ? 0 : source->n_vocab - 1);
}

enum pb_status pb_preflight_prompt(const struct pb_pair_source *source,
				   const struct pb_encoded *prompt, struct pb_error *err)
{
	enum pb_status status;

	if (prompt->length == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "prompt of no tokens: %s:%zu (%s): give some text", source->name,
			       source->line, prompt->key);
	for (size_t i = 0; i < prompt->length; i++)
		PB_TRY(pb_preflight_id(source, prompt->key, prompt->ids[i], err));
	if (prompt->length > source->n_context)
		return pb_fail(err, PB_ERR_INPUT,
			       "prompt beyond the context: %s:%zu (%s): %zu tokens, but the model "
			       "takes %zu: shorten it",
			       source->name, source->line, prompt->key, prompt->length,
			       source->n_context);
	status = PB_OK;
cleanup:
	return status;
}

enum pb_status pb_preflight_prompts(const struct pb_pair_source *source,
				    const struct pb_encoded *clean,
				    const struct pb_encoded *corrupted, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_preflight_prompt(source, clean, err));
	PB_TRY(pb_preflight_prompt(source, corrupted, err));
	if (clean->length != corrupted->length) {
		char table[PB_SHOW_SIZE];

		pb_show_side_by_side(source->tokenizer, clean, corrupted, table, sizeof table);
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "prompts of unequal length: %s:%zu: clean has %zu tokens and "
		    "corrupted has %zu: change one so that they have the same number\n%s",
		    source->name, source->line, clean->length, corrupted->length, table);
	}
cleanup:
	return status;
}

/* ---- answers ------------------------------------------------------------------------- */

/* The prompt's text must be what its ids say; always so for text, and for ids only when their text
 * encodes to the same ids again. */
static enum pb_status check_round_trip(const struct pb_pair_source *source, const char *key,
				       const struct pb_encoded *prompt, struct pb_error *err)
{
	int32_t *ids = NULL;
	size_t n = 0;
	bool same;

	if (!prompt->by_ids)
		return PB_OK;
	same = prompt->text_size > 0 &&
	       pb_tokenizer_encode(source->tokenizer, prompt->text, prompt->text_size, &ids, &n,
				   NULL) == PB_OK &&
	       n == prompt->length && memcmp(ids, prompt->ids, n * sizeof *ids) == 0;
	free(ids);
	if (same)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT,
		       "text after a prompt of ids: %s:%zu (%s): the ids of '%s' do not come back "
		       "from their own text, so the token of the text is not certain: give %s as a "
		       "token id",
		       source->name, source->line, key, prompt->key, key);
}

/* Length of the common beginning. */
static size_t common_prefix(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
	size_t i = 0;

	while (i < n_a && i < n_b && a[i] == b[i])
		i++;
	return i;
}

static enum pb_status refuse_added(const struct pb_pair_source *source, const char *key,
				   const struct pb_encoded *prompt, const int32_t *ids, size_t n,
				   size_t n_prompt, size_t n_common, struct pb_error *err)
{
	char tokens[PB_SHOW_SIZE];

	if (n_common < n_prompt) {
		pb_show_tokens(source->tokenizer, ids + n_common, n - n_common, tokens,
			       sizeof tokens);
		return pb_fail(err, PB_ERR_INPUT,
			       "answer text merges with the prompt: %s:%zu (%s): after '%s' it "
			       "changes the prompt's own tokens, which then end in %s: start it "
			       "where a token starts (with its space, and none at the prompt's "
			       "end), or give ids",
			       source->name, source->line, key, prompt->key, tokens);
	}
	pb_show_tokens(source->tokenizer, ids + n_prompt, n - n_prompt, tokens, sizeof tokens);
	return pb_fail(err, PB_ERR_INPUT,
		       "not one token: %s:%zu (%s): after '%s' it adds %zu tokens%s%s: give a text "
		       "of exactly one token, or its id",
		       source->name, source->line, key, prompt->key, n - n_prompt,
		       n > n_prompt ? ", " : "", tokens);
}

/* The one token that the text adds to one prompt. */
static enum pb_status added_token(const struct pb_pair_source *source, const char *key,
				  const char *text, size_t size, const struct pb_encoded *prompt,
				  int32_t *token, struct pb_error *err)
{
	const int32_t *own = prompt->ids + prompt->n_prepended;
	const size_t n_own = prompt->length - prompt->n_prepended;
	enum pb_status status;
	int32_t *ids = NULL;
	char *joined = NULL;
	size_t joined_size = 0, n = 0, n_common;

	PB_TRY(check_round_trip(source, key, prompt, err));
	if (!pb_size_add(prompt->text_size, size, &joined_size) ||
	    (joined = malloc(joined_size + 1)) == NULL) {
		status = out_of_memory(source, err);
		goto cleanup;
	}
	memcpy(joined, prompt->text, prompt->text_size);
	memcpy(joined + prompt->text_size, text, size);
	PB_TRY(encode(source, key, joined, joined_size, &ids, &n, err));
	n_common = common_prefix(own, n_own, ids, n);
	if (n_common < n_own || n != n_own + 1)
		status = refuse_added(source, key, prompt, ids, n, n_own, n_common, err);
	else
		*token = ids[n - 1];
cleanup:
	free(joined);
	free(ids);
	return status;
}

enum pb_status pb_preflight_token(const struct pb_pair_source *source, const char *key,
				  const char *text, size_t size, const struct pb_encoded *clean,
				  const struct pb_encoded *corrupted, int32_t *token,
				  struct pb_error *err)
{
	enum pb_status status;
	int32_t after_corrupted = -1;

	if (source->tokenizer == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "text without a tokenizer: %s:%zu (%s): the model folder has no "
			       "tokenizer: give a token id, or add its tokenizer.json",
			       source->name, source->line, key);
	PB_TRY(added_token(source, key, text, size, clean, token, err));
	PB_TRY(added_token(source, key, text, size, corrupted, &after_corrupted, err));
	if (*token != after_corrupted) {
		const int32_t both[2] = {*token, after_corrupted};
		char tokens[PB_SHOW_SIZE];

		pb_show_tokens(source->tokenizer, both, 2, tokens, sizeof tokens);
		return pb_fail(err, PB_ERR_INPUT,
			       "two different tokens: %s:%zu (%s): the text is another token after "
			       "'clean' than after 'corrupted', %s: give its token id",
			       source->name, source->line, key, tokens);
	}
	status = pb_preflight_id(source, key, *token, err);
cleanup:
	return status;
}

enum pb_status pb_preflight_added_token(const struct pb_pair_source *source, const char *key,
					const char *text, size_t size,
					const struct pb_encoded *prompt, int32_t *token,
					struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(added_token(source, key, text, size, prompt, token, err));
	status = pb_preflight_id(source, key, *token, err);
cleanup:
	return status;
}
