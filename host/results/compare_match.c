/* Whether the files that are compared are of one sweep and one task. */
#include <stdlib.h>
#include <string.h>

#include "config/tree.h"
#include "results/compare.h"
#include "results/digest.h"
#include "results/lines.h"

static enum pb_status no_memory(struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the configuration of a file");
}

/* ---- configurations as lines ----------------------------------------------------------------- */

/* Keys of a sweep that name files: of vectors in a model's own space, which differ by nature. */
static bool is_of_model(const char *key)
{
	return strcmp(key, "vector") == 0 || strcmp(key, "subspace") == 0;
}

/* "PREFIX: TEXT" for each scalar of a tree, maps and lists with their keys and numbers: the tree is
 * as shallow as a configuration. */
static void put_lines(const struct pb_node *node, const char *prefix, FILE *out)
{
	const struct pb_node *child;
	size_t i = 0;

	if (node->kind == PB_NODE_SCALAR)
		fprintf(out, "%s: %s\n", prefix, node->text);
	else if (node->first == NULL)
		fprintf(out, "%s: nothing\n", prefix);
	for (child = node->first; child != NULL; child = child->next, i++) {
		char path[256];

		if (node->kind == PB_NODE_LIST)
			snprintf(path, sizeof path, "%s.%zu", prefix, i);
		else if (is_of_model(child->key))
			continue;
		else
			snprintf(path, sizeof path, "%s.%s", prefix, child->key);
		put_lines(child, path, out);
	}
}

/* The lines of a tree (freed with free()); empty for none. */
static enum pb_status lines_of(const struct pb_node *node, const char *prefix, char **text,
			       struct pb_error *err)
{
	size_t size;
	FILE *out = open_memstream(text, &size);

	if (out == NULL)
		return no_memory(err);
	if (node != NULL)
		put_lines(node, prefix, out);
	return fclose(out) == 0 ? PB_OK : no_memory(err);
}

static enum pb_status read_tree(struct pb_node **root, const struct pb_result *r,
				struct pb_arena *arena, struct pb_error *err)
{
	enum pb_status status;
	char *text = NULL;

	PB_TRY(pb_h5_get_text(r->file, "config", &text, err));
	status = pb_tree_parse(root, text, strlen(text), r->path, false, arena, err);
cleanup:
	free(text);
	return status;
}

/* A sweep's row of the configuration; NULL without one. */
static const struct pb_node *row_of(const struct pb_node *root, size_t sweep)
{
	const struct pb_node *rows = pb_tree_child(root, "sweep"), *row;

	if (rows == NULL || rows->kind != PB_NODE_LIST)
		return sweep == 0 ? rows : NULL;
	for (row = rows->first; row != NULL && sweep > 0; row = row->next)
		sweep--;
	return row;
}

/* ---- the key of a file ----------------------------------------------------------------------- */

static enum pb_status read_config(struct pb_compare_key *key, const struct pb_result *r,
				  size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	struct pb_arena arena = {0};
	struct pb_node *root;
	const struct pb_node *model, *task, *path, *revision;

	PB_TRY(read_tree(&root, r, &arena, err));
	task = pb_tree_child(root, "task");
	key->made = task != NULL;
	if (task != NULL)
		PB_TRY(lines_of(task, "task", &key->task, err));
	else
		PB_TRY(lines_of(pb_tree_child(root, "pairs"), "pairs", &key->task, err));
	PB_TRY(lines_of(row_of(root, sweep), "sweep", &key->sweep, err));
	model = pb_tree_child(root, "model");
	path = pb_tree_child(model, "path");
	revision = pb_tree_child(model, "revision");
	if (path != NULL && path->kind == PB_NODE_SCALAR)
		key->model = strdup(path->text);
	else
		PB_TRY(pb_h5_get_text(r->file, "model_path", &key->model, err));
	key->revision =
	    strdup(revision != NULL && revision->kind == PB_NODE_SCALAR ? revision->text : "");
	if (key->model == NULL || key->revision == NULL)
		status = no_memory(err);
cleanup:
	pb_arena_free(&arena);
	return status;
}

static enum pb_status find_empty(void *context, const struct pb_h5_shape *shape, size_t first,
				 size_t n, const void *values, struct pb_error *err)
{
	bool *has_texts = context;
	const char *const *texts = values;
	size_t i;

	(void)first;
	if (!shape->is_text)
		return pb_fail(err, PB_ERR_CHECK, "the pairs' texts are not texts");
	for (i = 0; i < n * shape->row; i++)
		*has_texts = *has_texts && texts[i] != NULL && texts[i][0] != '\0';
	return PB_OK;
}

/* What was given as token ids has no text. */
static enum pb_status read_texts(struct pb_compare_key *key, const struct pb_result *r,
				 struct pb_error *err)
{
	static const char *const paths[4] = {"pairs/clean_text", "pairs/corrupted_text",
					     "pairs/answer_text", "pairs/foil_text"};
	enum pb_status status;
	size_t i;

	key->has_texts = true;
	for (i = 0; i < 4; i++) {
		PB_TRY(pb_digest_dataset(r->file, paths[i], key->texts[i], err));
		PB_TRY(pb_dataset_walk(r->file, paths[i], find_empty, &key->has_texts, err));
	}
cleanup:
	return status;
}

enum pb_status pb_compare_key_read(struct pb_compare_key *key, const struct pb_result *r,
				   size_t sweep, struct pb_error *err)
{
	enum pb_status status;

	*key = (struct pb_compare_key){0};
	PB_TRY(read_config(key, r, sweep, err));
	PB_TRY(read_texts(key, r, err));
	PB_TRY(pb_h5_get_text(r->file, "pairs_sha256", &key->pairs_sha256, err));
	PB_TRY(pb_h5_get_text(r->file, "experiment_sha256", &key->experiment_sha256, err));
	return PB_OK;
cleanup:
	pb_compare_key_free(key);
	return status;
}

void pb_compare_key_free(struct pb_compare_key *key)
{
	free(key->task);
	free(key->sweep);
	free(key->model);
	free(key->revision);
	free(key->pairs_sha256);
	free(key->experiment_sha256);
	*key = (struct pb_compare_key){0};
}

/* ---- the same sweep -------------------------------------------------------------------------- */

enum pb_status pb_compare_find(const struct pb_result *r, const char *words,
			       const struct pb_compare_key *first, const char *first_path,
			       size_t *sweep, struct pb_error *err)
{
	enum pb_status status;
	struct pb_arena arena = {0};
	struct pb_node *root;
	char names[PB_SWEEP_NAMES], *lines = NULL;
	bool same = false;
	size_t s;

	*sweep = SIZE_MAX;
	PB_TRY(read_tree(&root, r, &arena, err));
	for (s = 0; s < r->n_sweeps && !same; s++) {
		if (strcmp(pb_result_sweep_words(&r->sweeps[s]), words) != 0)
			continue;
		free(lines);
		lines = NULL;
		PB_TRY(lines_of(row_of(root, s), "sweep", &lines, err));
		same = strcmp(lines, first->sweep) == 0;
		if (same || *sweep == SIZE_MAX)
			*sweep = s;
	}
	if (*sweep == SIZE_MAX)
		status = pb_fail(err, PB_ERR_INPUT,
				 "different sweeps: %s has no %s, which %s has: it has %s: choose "
				 "one that all have with --sweep",
				 r->path, words, first_path, pb_result_sweep_names(r, names));
cleanup:
	free(lines);
	pb_arena_free(&arena);
	return status;
}

static enum pb_status fail_difference(const char *what, const char *advice, const char *first,
				      const char *first_path, const char *other,
				      const char *other_path, struct pb_error *err)
{
	char text[2048] = "";
	struct pb_lines lines = {.text = text, .size = sizeof text};

	pb_lines_add_missing(&lines, first, other, first_path);
	pb_lines_add_missing(&lines, other, first, other_path);
	return pb_fail(err, PB_ERR_INPUT, "%s: %s and %s: %s%s", what, first_path, other_path,
		       advice, text);
}

enum pb_status pb_compare_not_twice(const struct pb_compare_key *first, const char *first_path,
				    const struct pb_compare_key *other, const char *other_path,
				    struct pb_error *err)
{
	if (strcmp(first->experiment_sha256, other->experiment_sha256) == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "the same result twice: %s and %s: name each once", first_path,
			       other_path);
	return PB_OK;
}

/* ---- the same task --------------------------------------------------------------------------- */

/* The same tokens, the same texts (which other tokenizers make other tokens of), or the same
 * options of a task (which other tokenizers may have other names for). */
static bool is_same_task(const struct pb_compare_key *a, const struct pb_compare_key *b)
{
	return strcmp(a->pairs_sha256, b->pairs_sha256) == 0 ||
	       (a->has_texts && memcmp(a->texts, b->texts, sizeof a->texts) == 0) ||
	       (a->made && b->made && strcmp(a->task, b->task) == 0);
}

enum pb_status pb_compare_match(const struct pb_compare_key *first, const char *first_path,
				const struct pb_compare_key *other, const char *other_path,
				bool any_task, bool *same_task, struct pb_error *err)
{
	if (strcmp(first->sweep, other->sweep) != 0)
		return fail_difference("different settings of the sweep",
				       "compare one that is the same in all files:", first->sweep,
				       first_path, other->sweep, other_path, err);
	if (is_same_task(first, other))
		return PB_OK;
	*same_task = false;
	if (any_task) {
		pb_warn("different tasks: %s and %s", first_path, other_path);
		return PB_OK;
	}
	return fail_difference("different tasks",
			       strcmp(first->task, other->task) != 0
				   ? "give --any-task to compare them all the same:"
				   : "their pairs are others: give --any-task to compare them all "
				     "the same",
			       first->task, first_path, other->task, other_path, err);
}
