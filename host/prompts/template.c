/* The template file of a task: YAML, as a config is, because its reader knows the line and column
 * of each text, and because sentences of several lines and comments have a place in it.
 *
 *   task: box
 *   move: "Put the {object} into Box {to}."
 *   question: "The {object} is now in Box" */
#include <stdlib.h>
#include <string.h>

#include "config/nearest.h"
#include "config/tree.h"
#include "prompts/wording_parts.h"

#define MAX_FILE_SIZE ((size_t)1 << 20)
#define TEXTS_MAX 1000 /* of one row */
#define PLACE_SIZE (PB_WHERE_SIZE + 80)

struct reader {
	struct pb_wording *wording;
	const struct pb_task *task;
	const char *path;
	struct pb_error *err;
};

/* "FILE:3:7 (move)" */
static const char *place_of(const struct pb_node *node, const char *name, char place[PLACE_SIZE])
{
	char where[PB_WHERE_SIZE];

	(void)snprintf(place, PLACE_SIZE, "%s (%.60s)", pb_tree_where(node, where), name);
	return place;
}

static enum pb_status out_of_memory(const struct reader *r)
{
	return pb_fail(r->err, PB_ERR_MEMORY, "out of memory: the template %s", r->path);
}

static enum pb_status check_task(const struct reader *r, const struct pb_node *root)
{
	const struct pb_node *node = pb_tree_child(root, "task");
	char where[PB_WHERE_SIZE];

	if (node == NULL)
		return pb_fail(r->err, PB_ERR_INPUT,
			       "missing key: %s (task): say whose sentences they are: task: %s",
			       r->path, r->task->name);
	if (node->kind != PB_NODE_SCALAR || pb_task_find(node->text) == NULL)
		return pb_fail(r->err, PB_ERR_INPUT,
			       "unknown task: %s (task): give the name of a task, here %s",
			       pb_tree_where(node, where), r->task->name);
	if (strcmp(node->text, r->task->name) != 0)
		return pb_fail(r->err, PB_ERR_INPUT,
			       "template of another task: %s (task): of %s, not of %s: give one "
			       "of task %s",
			       pb_tree_where(node, where), node->text, r->task->name,
			       r->task->name);
	return PB_OK;
}

static enum pb_status fail_unknown(const struct reader *r, const struct pb_node *node)
{
	const char *names[64];
	const char *nearest;
	char list[512] = "", where[PB_WHERE_SIZE];
	size_t n = 0, used = 0;

	for (; n < r->wording->n_rows && n < sizeof names / sizeof *names; n++) {
		names[n] = r->wording->rows[n].name;
		if (used < sizeof list)
			used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
						 n > 0 ? ", " : "", names[n]);
	}
	nearest = pb_nearest_word(node->key, names, n);
	pb_tree_where_key(node, where);
	if (nearest != NULL)
		return pb_fail(r->err, PB_ERR_INPUT,
			       "unknown pattern: %s (%.60s): did you mean '%s'?", where, node->key,
			       nearest);
	return pb_fail(r->err, PB_ERR_INPUT,
		       "unknown pattern: %s (%.60s): those of task %s are: %s", where, node->key,
		       r->task->name, list);
}

static enum pb_status read_text(const struct reader *r, const struct pb_pattern_row *row,
				const struct pb_node *node, struct pb_pattern *to)
{
	char place[PLACE_SIZE];

	if (node->kind != PB_NODE_SCALAR)
		return pb_fail(r->err, PB_ERR_INPUT, "wrong type: %s: give a text",
			       place_of(node, row->name, place));
	return pb_pattern_parse(to, row, pb_node_is_null(node) ? "" : node->text,
				place_of(node, row->name, place), &r->wording->arena, r->err);
}

/* A text, or a list of them where the row has several. */
static enum pb_status read_pattern(const struct reader *r, size_t at, const struct pb_node *node)
{
	const struct pb_pattern_row *row = &r->wording->rows[at];
	bool list = node->kind == PB_NODE_LIST && row->texts != NULL;
	struct pb_patterns patterns = {.n = list ? 0 : 1};
	enum pb_status status = PB_OK;
	char place[PLACE_SIZE];
	size_t i = 0;

	for (const struct pb_node *item = node->first; list && item != NULL; item = item->next)
		patterns.n++;
	if (patterns.n == 0 || patterns.n > TEXTS_MAX)
		return pb_fail(r->err, PB_ERR_INPUT, "wrong number of texts: %s: give 1 to %d",
			       place_of(node, row->name, place), TEXTS_MAX);
	patterns.items = pb_arena_alloc(&r->wording->arena, patterns.n, sizeof *patterns.items);
	if (patterns.items == NULL)
		return out_of_memory(r);
	for (const struct pb_node *item = list ? node->first : node; i < patterns.n;
	     item = item->next)
		PB_TRY(read_text(r, row, item, &patterns.items[i++]));
	r->wording->patterns[at] = patterns;
cleanup:
	return status;
}

static enum pb_status read_key(const struct reader *r, const struct pb_node *node)
{
	if (strcmp(node->key, "task") == 0)
		return PB_OK;
	for (size_t row = 0; row < r->wording->n_rows; row++)
		if (strcmp(r->wording->rows[row].name, node->key) == 0)
			return read_pattern(r, row, node);
	return fail_unknown(r, node);
}

enum pb_status pb_template_read(struct pb_wording *wording, const struct pb_task *task,
				const char *path, struct pb_error *err)
{
	struct reader r = {.wording = wording, .task = task, .path = path, .err = err};
	struct pb_arena tree = {0};
	struct pb_node *root = NULL;
	char *text = NULL;
	size_t size = 0;
	enum pb_status status;

	PB_TRY(pb_read_file(&text, &size, path, MAX_FILE_SIZE, err));
	PB_TRY(pb_tree_parse(&root, text, size, path, true, &tree, err));
	if (root->kind != PB_NODE_MAP) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "not a template: %s: give keys and texts: task: %s, and the "
				 "sentences to restate",
				 path, task->name);
		goto cleanup;
	}
	PB_TRY(check_task(&r, root));
	for (const struct pb_node *node = root->first; node != NULL; node = node->next)
		PB_TRY(read_key(&r, node));
cleanup:
	free(text);
	pb_arena_free(&tree);
	return status;
}
