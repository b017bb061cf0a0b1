/* The section grid: numbers of the task that take several values. */
#include <stdlib.h>
#include <string.h>

#include "config/nearest.h"
#include "config/value_parts.h"

#define VALUES_MAX 1000 /* of an axis */

static bool is_number(const struct pb_key *key)
{
	return key->type == PB_KEY_COUNT || key->type == PB_KEY_AUTO || key->type == PB_KEY_NUMBER;
}

/* Whether a key of the section task may be an axis of this task's grid. */
static bool is_axis(const struct pb_walk *w, const struct pb_key *key)
{
	return pb_key_in_section(key, "task") && key->tasks != NULL && is_number(key) &&
	       pb_key_has_task(key, w->config->task.name);
}

static enum pb_status fail_unknown_axis(const struct pb_walk *w, const struct pb_node *node)
{
	const char *names[64];
	char place[PB_WHERE_SIZE], list[PB_WORDS_SIZE] = "";
	const char *nearest;
	size_t n = 0, used = 0;

	for (size_t k = 0; k < pb_n_keys && n < sizeof names / sizeof *names; k++)
		if (is_axis(w, &pb_keys[k]))
			names[n++] = pb_key_name(&pb_keys[k]);
	for (size_t i = 0; i < n && used < sizeof list; i++)
		used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
					 i == 0 ? "" : ", ", names[i]);
	pb_tree_where_key(node, place);
	if (n == 0)
		return pb_fail(w->err, PB_ERR_INPUT,
			       "no such axis: %s (grid.%s): task %s has no numbers to make a grid "
			       "of: leave the grid out",
			       place, node->key, w->config->task.name);
	nearest = pb_nearest_word(node->key, names, n);
	if (nearest != NULL)
		return pb_fail(w->err, PB_ERR_INPUT,
			       "no such axis: %s (grid.%s): did you mean '%s'?", place, node->key,
			       nearest);
	return pb_fail(w->err, PB_ERR_INPUT,
		       "no such axis: %s (grid.%s): the numbers of task %s are: %s", place,
		       node->key, w->config->task.name, list);
}

/* `2..10`: both ends included. */
static bool read_range(const struct pb_node *node, double *first, double *last)
{
	const char *dots;
	char *end;

	if (node->kind != PB_NODE_SCALAR || (dots = strstr(node->text, "..")) == NULL ||
	    dots[2 + strspn(dots + 2, "0123456789")] != '\0' || dots[2] == '\0' ||
	    strspn(node->text, "0123456789") != (size_t)(dots - node->text) || dots == node->text)
		return false;
	*first = strtod(node->text, &end);
	*last = strtod(dots + 2, &end);
	return true;
}

/* One value of an axis, within the range of the task's key. */
static enum pb_status read_value(const struct pb_walk *w, const struct pb_key *key, bool whole,
				 const struct pb_node *item, double *value)
{
	enum pb_status status;

	PB_TRY(pb_value_number(w, key, item, value));
	if (whole && item->text[strspn(item->text, "0123456789")] != '\0')
		status = pb_walk_fail(w, key, item, "wrong type", "give whole numbers");
cleanup:
	return status;
}

static enum pb_status read_list(const struct pb_walk *w, const struct pb_key *key, bool whole,
				const struct pb_node *node, double *values, size_t *n)
{
	enum pb_status status;
	size_t i = 0;

	PB_TRY(pb_value_list_length(w, key, node, "give a list, [2, 4, 8], or a range, 2..10", n));
	if (*n > VALUES_MAX)
		return pb_walk_fail(w, key, node, "too many values", "give at most 1000");
	for (const struct pb_node *item = node->first; item != NULL; item = item->next, i++) {
		PB_TRY(read_value(w, key, whole, item, &values[i]));
		if (i > 0 && values[i] <= values[i - 1])
			return pb_walk_fail(w, key, item, "not in rising order",
					    "give each number once, rising");
	}
cleanup:
	return status;
}

static enum pb_status read_axis(const struct pb_walk *w, const struct pb_key *task_key,
				const struct pb_node *node, struct pb_cell_axis *axis)
{
	struct pb_key key = *task_key; /* under the name that it has here */
	char *path = pb_format("grid.%s", pb_key_name(task_key));
	double *values = pb_arena_alloc(&w->config->arena, VALUES_MAX, sizeof *values);
	double first = 0.0, last = 0.0;
	enum pb_status status = PB_OK;

	if (path == NULL || values == NULL) {
		status = pb_walk_out_of_memory(w);
		goto cleanup;
	}
	key.path = path;
	axis->name = pb_key_name(task_key);
	axis->offset = task_key->offset - offsetof(struct pb_run_config, task);
	axis->whole = task_key->type != PB_KEY_NUMBER;
	axis->values = values;
	if (axis->whole && read_range(node, &first, &last)) {
		if (first > last || first < key.least || last > key.most ||
		    last - first >= VALUES_MAX) {
			status = pb_value_fail_range(w, &key, node);
			goto cleanup;
		}
		for (axis->n = 0; first + (double)axis->n <= last; axis->n++)
			values[axis->n] = first + (double)axis->n;
	} else {
		PB_TRY(read_list(w, &key, axis->whole, node, values, &axis->n));
	}
cleanup:
	free(path);
	return status;
}

static void write_axis(const struct pb_walk *w, const struct pb_cell_axis *axis, const char *margin)
{
	fprintf(w->resolved, "%s%s: [", margin, axis->name);
	for (size_t i = 0; i < axis->n; i++) {
		fputs(i == 0 ? "" : ", ", w->resolved);
		pb_write_number(w->resolved, axis->values[i]);
	}
	fputs("]\n", w->resolved);
}

enum pb_status pb_value_grid(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *map, const char *margin)
{
	struct pb_run_config *config = w->config;
	size_t n_cells = 1;
	enum pb_status status = PB_OK;

	if (config->task.name == NULL)
		return pb_walk_fail(w, key, map, "a grid without a task",
				    "a grid is made of numbers of the task: give task");
	if (map->first == NULL)
		return pb_walk_fail(w, key, map, "a grid without axes",
				    "name numbers of the task, boxes: 2..6");
	for (const struct pb_node *node = map->first; node != NULL; node = node->next) {
		const struct pb_key *axis_key = NULL;
		struct pb_cell_axis *axis = &config->axes[config->n_axes];

		for (size_t k = 0; k < pb_n_keys && axis_key == NULL; k++)
			if (is_axis(w, &pb_keys[k]) &&
			    strcmp(pb_key_name(&pb_keys[k]), node->key) == 0)
				axis_key = &pb_keys[k];
		if (axis_key == NULL)
			return fail_unknown_axis(w, node);
		if (config->n_axes == PB_CELL_AXES)
			return pb_walk_fail(w, key, node, "too many axes", "give at most three");
		PB_TRY(read_axis(w, axis_key, node, axis));
		config->n_axes++;
		n_cells *= axis->n;
		write_axis(w, axis, margin);
	}
	if (n_cells > PB_CELLS_MAX)
		return pb_walk_fail(w, key, map, "too many cells", "give at most 10000");
cleanup:
	return status;
}
