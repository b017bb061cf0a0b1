/* Prompts alone, from JSONL: what a reference mean is taken over. */
#include <stdlib.h>
#include <string.h>

#include "prompts/lines.h"
#include "prompts/roles.h"
#include "prompts/source.h"

/* One line that is not blank. */
static enum pb_status parse_line(const struct pb_pair_source *source, const char *line, size_t size,
				 struct pb_roles *roles, struct pb_prompt *out,
				 struct pb_error *err)
{
	struct pb_encoded prompt;
	const char *key = "prompt";
	json_t *object = NULL, *value;
	enum pb_status status;

	*out = (struct pb_prompt){0};
	PB_TRY(pb_source_object(source, line, size, "each line is one prompt, {\"prompt\": ..}",
				&object, err));
	value = json_object_get(object, key);
	if (value == NULL)
		value = json_object_get(object, key = "clean");
	if (value == NULL) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "missing key: %s:%zu (prompt): give a text or a list of token ids "
				 "as prompt, or pairs, whose clean prompts are then taken",
				 source->name, source->line);
		goto cleanup;
	}
	PB_TRY(pb_source_prompt(source, value, key, &prompt, err));
	PB_TRY(pb_preflight_prompt(source, &prompt, err));
	PB_TRY(pb_roles_read(source, json_object_get(object, "roles"), &prompt, roles, &out->roles,
			     err));
	out->length = prompt.length;
	out->tokens = prompt.ids;
cleanup:
	json_decref(object);
	return status;
}

static enum pb_status parse(struct pb_prompts *out, struct pb_pair_source *source, const char *text,
			    size_t size, struct pb_error *err)
{
	struct pb_lines lines = {text, text + size, 0};
	struct pb_roles roles = {0};
	enum pb_status status = PB_OK;
	const char *line = NULL;
	void *items = NULL;
	size_t capacity = 0, length = 0;

	while (pb_lines_next(&lines, &line, &length)) {
		struct pb_prompt *prompt;

		source->line = lines.number;
		PB_TRY(pb_grow(&items, &capacity, out->n + 1, sizeof *prompt, "prompts", err));
		prompt = (struct pb_prompt *)items + out->n;
		PB_TRY(parse_line(source, line, length, &roles, prompt, err));
		if (prompt->length > out->max_length)
			out->max_length = prompt->length;
		out->n++;
	}
	if (items == NULL) {
		status = pb_fail(err, PB_ERR_INPUT, "no prompts: %s: give one JSON object a line",
				 source->name);
		goto cleanup;
	}
	PB_TRY(pb_roles_take(&roles, source, &out->role_names, &out->n_roles, err));
	out->items = pb_arena_alloc(&out->arena, out->n, sizeof *out->items);
	if (out->items == NULL) {
		status =
		    pb_fail(err, PB_ERR_MEMORY, "out of memory: the prompts of %s", source->name);
		goto cleanup;
	}
	memcpy(out->items, items, out->n * sizeof *out->items);
cleanup:
	pb_roles_free(&roles);
	free(items);
	return status;
}

enum pb_status pb_prompts_read(struct pb_prompts *out, const char *path,
			       const struct pb_tokenizer *tokenizer, enum pb_bos bos,
			       size_t n_vocab, size_t n_context, struct pb_error *err)
{
	struct pb_pair_source source = {.name = path,
					.tokenizer = tokenizer,
					.n_vocab = n_vocab,
					.n_context = n_context,
					.arena = &out->arena};
	enum pb_status status;
	char *text = NULL;
	size_t size = 0;

	*out = (struct pb_prompts){0};
	PB_TRY(pb_read_file(&text, &size, path, PB_JSONL_MAX_SIZE, err));
	PB_TRY(pb_source_begin(&source, text, size, bos, err));
	out->bos = source.bos;
	PB_TRY(parse(out, &source, text, size, err));
cleanup:
	free(text);
	if (status != PB_OK)
		pb_prompts_free(out);
	return status;
}

void pb_prompts_free(struct pb_prompts *prompts)
{
	pb_arena_free(&prompts->arena);
	*prompts = (struct pb_prompts){0};
}
