/* Pairs from JSONL. */
#include "patchbay/pairs.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/lines.h"
#include "prompts/preflight.h"
#include "prompts/roles.h"
#include "prompts/source.h"

static const char *const known_keys[] = {"clean",      "corrupted", "answer", "foil",
					 "candidates", "roles",     NULL};

static enum pb_status out_of_memory(const struct pb_pair_source *source, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the pairs of %s", source->name);
}

static enum pb_status get(const struct pb_pair_source *source, const json_t *line, const char *key,
			  const json_t **value, struct pb_error *err)
{
	*value = json_object_get(line, key);
	if (*value != NULL)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT, "missing key: %s:%zu (%s): %s", source->name,
		       source->line, key,
		       json_object_get(line, "prompt") != NULL
			   ? "this line is an evaluation prompt: make pairs instead"
			   : "a pair has clean, corrupted, answer and foil");
}

/* ---- tokens -------------------------------------------------------------------------- */

/* An answer, a foil or a candidate: one token, by text or by id. *text may be NULL. */
static enum pb_status read_token(const struct pb_pair_source *source, const json_t *value,
				 const char *key, const struct pb_encoded *clean,
				 const struct pb_encoded *corrupted, int32_t *token,
				 const char **text, struct pb_error *err)
{
	enum pb_status status;
	char *decoded = NULL;

	if (json_is_string(value)) {
		PB_TRY(pb_preflight_token(source, key, json_string_value(value),
					  json_string_length(value), clean, corrupted, token, err));
	} else if (json_is_integer(value)) {
		PB_TRY(pb_preflight_id(source, key, json_integer_value(value), err));
		*token = (int32_t)json_integer_value(value);
	} else {
		status = pb_fail(
		    err, PB_ERR_INPUT, "wrong type: %s:%zu (%s): give one text or one token id%s",
		    source->name, source->line, key,
		    json_is_array(value) || json_is_object(value)
			? " (weighted sets of tokens are not available in this version)"
			: "");
		goto cleanup;
	}
	if (text == NULL)
		goto cleanup;
	/* As for prompts of ids: the text of an id is for people, and may not exist. */
	if (!json_is_string(value) && source->tokenizer != NULL &&
	    pb_tokenizer_decode(source->tokenizer, token, 1, &decoded, NULL) != PB_OK)
		decoded = NULL;
	*text = pb_arena_strdup(source->arena, json_is_string(value) ? json_string_value(value)
					       : decoded != NULL     ? decoded
								     : "");
	if (*text == NULL)
		status = out_of_memory(source, err);
cleanup:
	free(decoded);
	return status;
}

static enum pb_status read_candidates(const struct pb_pair_source *source, const json_t *line,
				      const struct pb_encoded *clean,
				      const struct pb_encoded *corrupted, struct pb_pair *pair,
				      struct pb_error *err)
{
	const json_t *list = json_object_get(line, "candidates");
	const size_t n = json_array_size(list);
	enum pb_status status = PB_OK;

	if (list == NULL)
		return PB_OK;
	if (!json_is_array(list))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong type: %s:%zu (candidates): give a list of texts or token ids",
			       source->name, source->line);
	pair->candidates = pb_arena_alloc(source->arena, n, sizeof *pair->candidates);
	if (pair->candidates == NULL)
		return out_of_memory(source, err);
	pair->n_candidates = n;
	for (size_t i = 0; i < n; i++) {
		char key[48];

		(void)snprintf(key, sizeof key, "candidates, item %zu", i);
		PB_TRY(read_token(source, json_array_get(list, i), key, clean, corrupted,
				  &pair->candidates[i], NULL, err));
		for (size_t j = 0; j < i; j++)
			if (pair->candidates[j] == pair->candidates[i])
				return pb_fail(
				    err, PB_ERR_INPUT,
				    "candidate listed twice: %s:%zu (%s): it is the same "
				    "token as item %zu: list each token once",
				    source->name, source->line, key, j);
	}
cleanup:
	return status;
}

/* ---- pairs --------------------------------------------------------------------------- */

static size_t first_difference(const int32_t *a, const int32_t *b, size_t length)
{
	size_t i = 0;

	while (i < length && a[i] == b[i])
		i++;
	return i;
}

static enum pb_status read_pair(const struct pb_pair_source *source, const json_t *line,
				struct pb_roles *roles, struct pb_pair *pair, struct pb_error *err)
{
	const json_t *clean_value = NULL, *corrupted_value = NULL, *answer = NULL, *foil = NULL;
	struct pb_encoded clean, corrupted;
	enum pb_status status;

	PB_TRY(get(source, line, "clean", &clean_value, err));
	PB_TRY(pb_source_prompt(source, clean_value, "clean", &clean, err));
	PB_TRY(get(source, line, "corrupted", &corrupted_value, err));
	PB_TRY(pb_source_prompt(source, corrupted_value, "corrupted", &corrupted, err));
	PB_TRY(get(source, line, "answer", &answer, err));
	PB_TRY(get(source, line, "foil", &foil, err));
	PB_TRY(pb_preflight_prompts(source, &clean, &corrupted, err));
	PB_TRY(read_token(source, answer, "answer", &clean, &corrupted, &pair->answer,
			  &pair->answer_text, err));
	PB_TRY(read_token(source, foil, "foil", &clean, &corrupted, &pair->foil, &pair->foil_text,
			  err));
	if (pair->answer == pair->foil) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "answer equal to foil: %s:%zu: both are token %d: give two "
				 "different tokens",
				 source->name, source->line, pair->answer);
		goto cleanup;
	}
	PB_TRY(read_candidates(source, line, &clean, &corrupted, pair, err));
	/* Both prompts have the same positions: the roles of one are those of the other. */
	PB_TRY(pb_roles_read(source, json_object_get(line, "roles"), &clean, roles, &pair->roles,
			     err));
	pair->length = clean.length;
	pair->clean = clean.ids;
	pair->corrupted = corrupted.ids;
	pair->clean_text = clean.text;
	pair->corrupted_text = corrupted.text;
	pair->first_difference = first_difference(clean.ids, corrupted.ids, clean.length);
cleanup:
	return status;
}

/* One line that is not blank. */
static enum pb_status parse_line(const struct pb_pair_source *source, const char *line, size_t size,
				 struct pb_roles *roles, struct pb_pair *pair, struct pb_error *err)
{
	json_t *object = NULL;
	enum pb_status status;
	char *extra = NULL;

	*pair = (struct pb_pair){0};
	PB_TRY(pb_source_object(source, line, size,
				"each line is one pair, {\"clean\": .., \"corrupted\": .., "
				"\"answer\": .., \"foil\": ..}",
				&object, err));
	PB_TRY(read_pair(source, object, roles, pair, err));
	PB_TRY(pb_json_other_keys(line, size, known_keys, source->arena, &extra, err));
	pair->extra = extra;
cleanup:
	json_decref(object);
	return status;
}

/* All lines, into a growing array; *items is freed with free(). */
static enum pb_status parse_lines(struct pb_pair_source *source, const char *text, size_t size,
				  struct pb_roles *roles, struct pb_pair **items, size_t *n,
				  struct pb_error *err)
{
	struct pb_lines lines = {text, text + size, 0};
	enum pb_status status = PB_OK;
	const char *line = NULL;
	void *memory = NULL;
	size_t capacity = 0, length = 0;

	*n = 0;
	while (pb_lines_next(&lines, &line, &length)) {
		source->line = lines.number;
		PB_TRY(pb_grow(&memory, &capacity, *n + 1, sizeof **items, "pairs", err));
		PB_TRY(parse_line(source, line, length, roles, (struct pb_pair *)memory + *n, err));
		++*n;
	}
	if (*n == 0)
		status = pb_fail(err, PB_ERR_INPUT, "no pairs: %s: give one JSON object a line",
				 source->name);
cleanup:
	*items = memory;
	return status;
}

enum pb_status pb_pairs_parse(struct pb_pairs *out, const char *text, size_t size, const char *name,
			      const struct pb_tokenizer *tokenizer, enum pb_bos bos, size_t n_vocab,
			      size_t n_context, struct pb_error *err)
{
	struct pb_pair_source source = {.name = name,
					.tokenizer = tokenizer,
					.n_vocab = n_vocab,
					.n_context = n_context,
					.arena = &out->arena};
	struct pb_pair *items = NULL;
	struct pb_roles roles = {0};
	enum pb_status status;

	*out = (struct pb_pairs){0};
	PB_TRY(pb_source_begin(&source, text, size, bos, err));
	PB_TRY(parse_lines(&source, text, size, &roles, &items, &out->n, err));
	PB_TRY(pb_roles_take(&roles, &source, &out->roles, &out->n_roles, err));
	out->bos = source.bos;
	out->items = pb_arena_alloc(&out->arena, out->n, sizeof *out->items);
	if (out->items == NULL) {
		status = out_of_memory(&source, err);
		goto cleanup;
	}
	memcpy(out->items, items, out->n * sizeof *items);
	for (size_t i = 0; i < out->n; i++)
		if (items[i].length > out->max_length)
			out->max_length = items[i].length;
cleanup:
	pb_roles_free(&roles);
	free(items);
	if (status != PB_OK)
		pb_pairs_free(out);
	return status;
}

enum pb_status pb_pairs_read(struct pb_pairs *out, const char *path,
			     const struct pb_tokenizer *tokenizer, enum pb_bos bos, size_t n_vocab,
			     size_t n_context, struct pb_error *err)
{
	enum pb_status status;
	char *text = NULL;
	size_t size = 0;

	*out = (struct pb_pairs){0};
	PB_TRY(pb_read_file(&text, &size, path, PB_JSONL_MAX_SIZE, err));
	PB_TRY(pb_pairs_parse(out, text, size, path, tokenizer, bos, n_vocab, n_context, err));
cleanup:
	free(text);
	return status;
}

void pb_pairs_free(struct pb_pairs *pairs)
{
	pb_arena_free(&pairs->arena);
	*pairs = (struct pb_pairs){0};
}
