/* Evaluation prompts from the lines of a task, cell by cell. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/cells.h"
#include "prompts/lines.h"
#include "prompts/preflight.h"
#include "prompts/source.h"

const char *const pb_eval_fact_names[PB_N_EVAL_FACTS] = {
    [PB_EVAL_DETERMINED] = "determined",
    [PB_EVAL_JOINT] = "joint",
    [PB_EVAL_MOVED] = "moved",
    [PB_EVAL_LAST_OF_ACTION] = "last_of_action",
    [PB_EVAL_LAST_OF_STATE] = "last_of_state",
    [PB_EVAL_MOST_FREQUENT] = "most_frequent",
};

static enum pb_status out_of_memory(struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: evaluation prompts");
}

/* ---- tokens of candidates ----------------------------------------------------------------
 *
 * A candidate's token is what encode(prompt + text) adds, and prompts of one task end in the same
 * few words, on which it depends: it is found once for each ending and text. */

#define TABLE_SIZE ((size_t)1 << 15)
#define TABLE_MOST (TABLE_SIZE / 2)

struct known_token {
	char *key; /* the ending and the text */
	int32_t token;
};
struct known_tokens {
	struct known_token *items; /* [TABLE_SIZE] */
	size_t n;
};

/* The last three words of a prompt, with what stands before the first of them. */
static const char *ending_of(const char *text)
{
	const char *at = text + strlen(text);

	for (int words = 0; at > text; at--)
		if (at[-1] == ' ' && ++words == 4)
			break;
	return at;
}

static struct known_token *find_token(struct known_tokens *known, const char *key)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	for (const char *s = key; *s != '\0'; s++)
		hash = (hash ^ (unsigned char)*s) * 1099511628211u;
	for (size_t i = hash % TABLE_SIZE;; i = (i + 1) % TABLE_SIZE)
		if (known->items[i].key == NULL || strcmp(known->items[i].key, key) == 0)
			return &known->items[i];
}

static enum pb_status candidate_token(struct known_tokens *known,
				      const struct pb_pair_source *source, const char *key,
				      const struct pb_encoded *prompt, const char *text,
				      int32_t *token, struct pb_error *err)
{
	char *name = pb_format("%s\n%s", ending_of(prompt->text), text);
	struct known_token *place;
	enum pb_status status = PB_OK;

	if (name == NULL)
		return out_of_memory(err);
	place = find_token(known, name);
	if (place->key != NULL) {
		*token = place->token;
		goto cleanup;
	}
	PB_TRY(pb_preflight_added_token(source, key, text, strlen(text), prompt, token, err));
	if (known->n < TABLE_MOST) {
		*place = (struct known_token){name, *token};
		known->n++;
		name = NULL;
	}
cleanup:
	free(name);
	return status;
}

static void known_free(struct known_tokens *known)
{
	for (size_t i = 0; known->items != NULL && i < TABLE_SIZE; i++)
		free(known->items[i].key);
	free(known->items);
}

/* ---- a line ------------------------------------------------------------------------------ */

static enum pb_status read_tokens(struct known_tokens *known, const struct pb_pair_source *source,
				  const json_t *list, const char *key,
				  const struct pb_encoded *prompt, int32_t *tokens, size_t *n,
				  struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		size_t j = 0;
		int32_t token;

		if (text == NULL)
			return pb_fail(err, PB_ERR_INTERNAL, "a task's %s is no text: %s:%zu", key,
				       source->name, source->line);
		PB_TRY(candidate_token(known, source, key, prompt, text, &token, err));
		while (j < *n && tokens[j] != token)
			j++;
		if (j == *n)
			tokens[(*n)++] = token;
	}
cleanup:
	return status;
}

/* Answers, the line's own one first; and candidates. */
static enum pb_status read_targets(struct known_tokens *known, const struct pb_pair_source *source,
				   const json_t *line, const struct pb_encoded *prompt,
				   struct pb_eval_prompt *out, struct pb_error *err)
{
	const json_t *answers = json_object_get(line, "answers");
	const json_t *candidates = json_object_get(line, "candidates");
	const char *answer = json_string_value(json_object_get(line, "answer"));
	enum pb_status status;

	if (answer == NULL)
		return pb_fail(err, PB_ERR_INTERNAL, "a task's prompt has no answer: %s:%zu",
			       source->name, source->line);
	out->answers =
	    pb_arena_alloc(source->arena, 1 + json_array_size(answers), sizeof *out->answers);
	out->candidates =
	    pb_arena_alloc(source->arena, json_array_size(candidates), sizeof *out->candidates);
	out->answer_text = pb_arena_strdup(source->arena, answer);
	if (out->answers == NULL || out->candidates == NULL || out->answer_text == NULL)
		return out_of_memory(err);
	PB_TRY(pb_preflight_added_token(source, "answer", answer, strlen(answer), prompt,
					&out->answers[0], err));
	out->n_answers = 1;
	PB_TRY(read_tokens(known, source, answers, "answers", prompt, out->answers, &out->n_answers,
			   err));
	PB_TRY(read_tokens(known, source, candidates, "candidates", prompt, out->candidates,
			   &out->n_candidates, err));
cleanup:
	return status;
}

static bool is_answer(const json_t *line, const char *text)
{
	const json_t *answers = json_object_get(line, "answers");

	for (size_t i = 0; i < json_array_size(answers); i++)
		if (strcmp(text, json_string_value(json_array_get(answers, i))) == 0)
			return true;
	return strcmp(text, json_string_value(json_object_get(line, "answer"))) == 0;
}

/* A fact is true or false, or a rule's answer, which is right or not. */
static void read_facts(const json_t *line, struct pb_eval_prompt *out)
{
	const json_t *distance = json_object_get(line, "distance");
	const json_t *reachable = json_object_get(line, "reachable");

	out->distance = json_is_integer(distance) ? (int32_t)json_integer_value(distance) : -1;
	out->reachable = json_is_integer(reachable) ? json_number_value(reachable) : NAN;
	for (int f = 0; f < PB_N_EVAL_FACTS; f++) {
		const json_t *value = json_object_get(line, pb_eval_fact_names[f]);

		if (json_is_boolean(value))
			out->facts[f] = json_is_true(value);
		else if (json_is_string(value))
			out->facts[f] = is_answer(line, json_string_value(value));
		else
			out->facts[f] = -1;
	}
}

static enum pb_status read_line(struct known_tokens *known, const struct pb_pair_source *source,
				const char *line, size_t size, struct pb_eval_prompt *out,
				struct pb_error *err)
{
	static const char *const known_keys[] = {"prompt",     "answer", "answers",
						 "candidates", "roles",  NULL};
	struct pb_encoded prompt;
	json_t *object = NULL;
	char *extra = NULL;
	enum pb_status status;

	*out = (struct pb_eval_prompt){0};
	PB_TRY(pb_source_object(source, line, size, "each line is one prompt", &object, err));
	PB_TRY(pb_source_prompt(source, json_object_get(object, "prompt"), "prompt", &prompt, err));
	PB_TRY(pb_preflight_prompt(source, &prompt, err));
	out->length = prompt.length;
	out->tokens = prompt.ids;
	out->text = prompt.text;
	PB_TRY(read_targets(known, source, object, &prompt, out, err));
	read_facts(object, out);
	PB_TRY(pb_json_other_keys(line, size, known_keys, source->arena, &extra, err));
	out->extra = extra;
cleanup:
	json_decref(object);
	return status;
}

/* ---- a cell ------------------------------------------------------------------------------ */

static void count(struct pb_eval_set *set, const struct pb_eval_prompt *p)
{
	set->max_length = p->length > set->max_length ? p->length : set->max_length;
	set->max_answers = p->n_answers > set->max_answers ? p->n_answers : set->max_answers;
	if (p->n_candidates > set->max_candidates)
		set->max_candidates = p->n_candidates;
	set->has_distance |= p->distance >= 0;
}

/* The prompts of one cell into `items`, which has room for them. */
static enum pb_status read_cell(struct pb_eval_set *set, const struct pb_run_config *config,
				size_t cell, struct pb_pair_source *source,
				struct pb_eval_prompt *items, struct pb_error *err)
{
	struct known_tokens known = {0};
	struct pb_task_options options;
	char *text = NULL;
	const char *line = NULL;
	size_t size = 0, length = 0, n = 0;
	struct pb_lines lines;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&known.items, TABLE_SIZE, sizeof *known.items, "candidates", err));
	pb_cell_options(config, cell, &options, set->cells[cell].values);
	options.tokenizer = source->tokenizer;
	options.count = config->n_prompts;
	PB_TRY(pb_task_prompts(&options, &text, &size, err));
	lines = (struct pb_lines){text, text + size, 0};
	while (n < config->n_prompts && pb_lines_next(&lines, &line, &length)) {
		source->line = lines.number;
		PB_TRY(read_line(&known, source, line, length, &items[n], err));
		n++;
	}
	set->cells[cell].n = n;
cleanup:
	known_free(&known);
	free(text);
	return status;
}

enum pb_status pb_eval_set_make(struct pb_eval_set *out, const struct pb_run_config *config,
				const struct pb_tokenizer *tokenizer, size_t n_vocab,
				size_t n_context, struct pb_error *err)
{
	struct pb_pair_source source = {.name = config->task.name,
					.tokenizer = tokenizer,
					.n_vocab = n_vocab,
					.n_context = n_context,
					.arena = &out->arena};
	size_t n_cells = pb_cells_count(config), most;
	enum pb_status status;

	*out = (struct pb_eval_set){.n_cells = n_cells};
	if (tokenizer == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "no tokenizer: %s: the prompts of task %s are text: add the "
			       "model's tokenizer.json",
			       config->model_path, config->task.name);
	PB_TRY(pb_source_begin(&source, "", 0, config->bos, err));
	out->bos = source.bos;
	if (!pb_size_mul(n_cells, config->n_prompts, &most)) {
		status = out_of_memory(err);
		goto cleanup;
	}
	out->cells = pb_arena_alloc(&out->arena, n_cells, sizeof *out->cells);
	out->items = pb_arena_alloc(&out->arena, most, sizeof *out->items);
	if (out->cells == NULL || out->items == NULL) {
		status = out_of_memory(err);
		goto cleanup;
	}
	for (size_t c = 0; c < n_cells; c++) {
		struct pb_cell *cell = &out->cells[c];
		struct pb_error why = {0};

		cell->first = out->n;
		if (read_cell(out, config, c, &source, out->items + out->n, &why) != PB_OK)
			PB_TRY(pb_cell_missing(config, cell, &out->arena, &why, err));
		for (size_t i = 0; i < cell->n; i++)
			count(out, &out->items[out->n + i]);
		out->n += cell->n;
	}
	status = pb_cells_none(out->cells, n_cells, err);
cleanup:
	if (status != PB_OK)
		pb_eval_set_free(out);
	return status;
}

void pb_eval_set_free(struct pb_eval_set *set)
{
	pb_arena_free(&set->arena);
	*set = (struct pb_eval_set){0};
}

bool pb_eval_is_answer(const struct pb_eval_prompt *prompt, int32_t token)
{
	for (size_t i = 0; i < prompt->n_answers; i++)
		if (prompt->answers[i] == token)
			return true;
	return false;
}

static enum pb_status hash_prompt(struct pb_sha256 *sha, const struct pb_eval_prompt *p,
				  struct pb_error *err)
{
	const uint64_t counts[3] = {p->length, p->n_answers, p->n_candidates};
	enum pb_status status;

	PB_TRY(pb_sha256_add(sha, counts, sizeof counts, err));
	PB_TRY(pb_sha256_add(sha, p->tokens, p->length * sizeof *p->tokens, err));
	PB_TRY(pb_sha256_add(sha, p->answers, p->n_answers * sizeof *p->answers, err));
	PB_TRY(pb_sha256_add(sha, p->candidates, p->n_candidates * sizeof *p->candidates, err));
	PB_TRY(pb_sha256_add(sha, p->facts, sizeof p->facts, err));
	PB_TRY(pb_sha256_add(sha, p->extra, strlen(p->extra) + 1, err));
cleanup:
	return status;
}

enum pb_status pb_eval_set_hash(const struct pb_eval_set *set, char hex[PB_SHA256_HEX],
				struct pb_error *err)
{
	struct pb_sha256 *sha = NULL;
	enum pb_status status;

	PB_TRY(pb_sha256_begin(&sha, err));
	for (size_t c = 0; c < set->n_cells; c++) {
		const struct pb_cell *cell = &set->cells[c];
		const uint64_t n = cell->n;

		PB_TRY(pb_sha256_add(sha, cell->values, sizeof cell->values, err));
		PB_TRY(pb_sha256_add(sha, &n, sizeof n, err));
		for (size_t i = 0; i < cell->n; i++)
			PB_TRY(hash_prompt(sha, &set->items[cell->first + i], err));
	}
	status = pb_sha256_end(sha, hex, err);
	sha = NULL;
cleanup:
	pb_sha256_free(sha);
	return status;
}
