/* What the pairs of a file are made of, in words: from the configuration that it keeps. */
#include <stdlib.h>
#include <string.h>

#include "config/tree.h"
#include "report/subject_read.h"

/* "20" for "2e+01": how a configuration writes the numbers of a grid. */
static void put_scalar(const struct pb_node *node, FILE *out)
{
	char *end;
	const double number = strtod(node->text, &end);

	if (node->plain && end != node->text && *end == '\0' && strchr(node->text, 'e') != NULL)
		fprintf(out, "%g", number);
	else
		fputs(node->text, out);
}

/* "4 8 12" of a list, "state" of a scalar. */
static void put_value(const struct pb_node *node, FILE *out)
{
	const struct pb_node *child;

	if (node->kind == PB_NODE_SCALAR)
		put_scalar(node, out);
	for (child = node->first; child != NULL; child = child->next) {
		put_value(child, out);
		if (child->next != NULL)
			fputc(' ', out);
	}
}

/* Keys that are of runs alone, or of evaluations alone. */
static bool is_of_other(const char *key, bool evaluation)
{
	return evaluation ? strcmp(key, "pairs") == 0 || strcmp(key, "corrupt") == 0
			  : strcmp(key, "prompts") == 0;
}

/* "boxes 3, moves 2, pairs 50, corruption state, seed 0" */
static void put_keys(const struct pb_node *map, bool evaluation, FILE *out)
{
	const struct pb_node *child;
	const char *before = "";

	for (child = map->first; child != NULL; child = child->next) {
		if (child->key == NULL || strcmp(child->key, "name") == 0 ||
		    is_of_other(child->key, evaluation))
			continue;
		fprintf(out, "%s%s ", before,
			strcmp(child->key, "corrupt") == 0 ? "corruption" : child->key);
		put_value(child, out);
		before = ", ";
	}
}

/* "box: boxes 3, ...; grid: boxes 2 3", "pairs of FILE"; nothing where it says neither. */
static void put_task(const struct pb_node *root, bool evaluation, FILE *out)
{
	const struct pb_node *task = pb_tree_child(root, "task"), *name, *grid, *pairs;

	if (task != NULL && task->kind == PB_NODE_MAP) {
		name = pb_tree_child(task, "name");
		grid = pb_tree_child(root, "grid");
		if (name != NULL)
			put_value(name, out);
		if (task->first != task->last || name == NULL)
			fputs(": ", out);
		put_keys(task, evaluation, out);
		if (grid != NULL && grid->first != NULL) {
			fputs("; grid: ", out);
			put_keys(grid, evaluation, out);
		}
		return;
	}
	pairs = pb_tree_child(root, "pairs");
	if (pairs != NULL && pairs->kind == PB_NODE_SCALAR)
		fprintf(out, "pairs of %s", pairs->text);
}

enum pb_status pb_subject_read_task(struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status;
	const char *config = s->texts[PB_TEXT_CONFIG];
	struct pb_arena arena = {0};
	struct pb_node *root = NULL;
	struct pb_error why = {0};
	char *text = NULL;
	size_t size = 0;
	FILE *out = NULL;

	s->task = "";
	if (config[0] == '\0')
		return PB_OK;
	status =
	    pb_tree_parse(&root, config, strlen(config), "attribute config", false, &arena, &why);
	if (status != PB_OK) {
		status = pb_fail(err, status == PB_ERR_MEMORY ? status : PB_ERR_CHECK,
				 "the configuration that the file keeps cannot be read: %s",
				 why.message);
		goto cleanup;
	}
	out = open_memstream(&text, &size);
	if (out != NULL)
		put_task(root, s->r.evaluation, out);
	if (out == NULL || fclose(out) != 0) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the task");
		goto cleanup;
	}
	s->task = pb_subject_keep(s, text, size);
	if (s->task == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the task");
cleanup:
	free(text);
	pb_arena_free(&arena);
	return status;
}
