/* What all JSONL files of prompts have in common. */
#include "prompts/source.h"

#include <stdlib.h>

#include "prompts/lines.h"

/* ---- files --------------------------------------------------------------------------- */

/* The id that goes in front of text prompts. */
static enum pb_status resolve_bos(const struct pb_tokenizer *tokenizer, enum pb_bos bos,
				  const char *name, int32_t *id, struct pb_error *err)
{
	*id = -1;
	if (tokenizer == NULL || bos == PB_BOS_FALSE)
		return PB_OK;
	*id = bos == PB_BOS_AUTO ? pb_tokenizer_bos_auto(tokenizer) : pb_tokenizer_bos(tokenizer);
	if (bos == PB_BOS_TRUE && *id < 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "no BOS token: %s: bos is true, but the model's tokenizer has no "
			       "such token: set bos to auto or false",
			       name);
	return PB_OK;
}

enum pb_status pb_source_begin(struct pb_pair_source *source, const char *text, size_t size,
			       enum pb_bos bos, struct pb_error *err)
{
	if (pb_has_bom(text, size))
		return pb_fail(err, PB_ERR_INPUT,
			       "byte order mark: %s:1: JSON has none: save the file as UTF-8 "
			       "without BOM",
			       source->name);
	return resolve_bos(source->tokenizer, bos, source->name, &source->bos, err);
}

enum pb_status pb_source_object(const struct pb_pair_source *source, const char *line, size_t size,
				const char *wanted, json_t **object, struct pb_error *err)
{
	json_error_t problem;

	*object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &problem);
	/* jansson counts lines within the one line that it sees: the column is enough. */
	if (*object == NULL)
		return pb_fail(err, PB_ERR_INPUT, "not valid JSON: %s:%zu:%d: %s", source->name,
			       source->line, problem.column, problem.text);
	if (json_is_object(*object))
		return PB_OK;
	json_decref(*object);
	*object = NULL;
	return pb_fail(err, PB_ERR_INPUT, "not a JSON object: %s:%zu: %s", source->name,
		       source->line, wanted);
}

/* ---- prompts ------------------------------------------------------------------------- */

/* A list of ids; *ids is freed with free(). */
static enum pb_status read_ids(const struct pb_pair_source *source, const json_t *list,
			       const char *key, int32_t **ids, struct pb_error *err)
{
	const size_t n = json_array_size(list);
	enum pb_status status;
	void *memory = NULL;

	PB_TRY(pb_alloc(&memory, n, sizeof **ids, "token ids", err));
	*ids = memory;
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(list, i);

		if (!json_is_integer(item)) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "not a token id: %s:%zu (%s, item %zu): give integers",
					 source->name, source->line, key, i);
			goto cleanup;
		}
		PB_TRY(pb_preflight_id(source, key, json_integer_value(item), err));
		(*ids)[i] = (int32_t)json_integer_value(item);
	}
cleanup:
	if (status != PB_OK) {
		free(memory);
		*ids = NULL;
	}
	return status;
}

enum pb_status pb_source_prompt(const struct pb_pair_source *source, const json_t *value,
				const char *key, struct pb_encoded *prompt, struct pb_error *err)
{
	enum pb_status status;
	int32_t *ids = NULL;

	*prompt = (struct pb_encoded){.key = key};
	if (json_is_string(value)) {
		PB_TRY(pb_prompt_from_text(prompt, source, json_string_value(value),
					   json_string_length(value), err));
	} else if (json_is_array(value)) {
		PB_TRY(read_ids(source, value, key, &ids, err));
		PB_TRY(pb_prompt_from_ids(prompt, source, ids, json_array_size(value), err));
	} else {
		status = pb_fail(err, PB_ERR_INPUT,
				 "wrong type: %s:%zu (%s): give a text or a list of token ids",
				 source->name, source->line, key);
	}
cleanup:
	free(ids);
	return status;
}
