/* A run's YAML file against the table of keys. The table's order is also the order in which the
 * resolved configuration is written, so reading and writing are one walk. */
#include "patchbay/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/fit.h"
#include "config/nearest.h"
#include "config/task_text.h"
#include "config/tree_parts.h"
#include "config/value.h"

#define MAX_FILE_SIZE ((size_t)1 << 20)
#define MAX_SWEEPS 1000

static enum pb_status fail_unknown_key(const struct pb_walk *w, const char *section,
				       const struct pb_node *node)
{
	const char *names[64];
	char place[PB_WHERE_SIZE], list[PB_WORDS_SIZE] = "";
	const char *nearest;
	size_t n = 0, used = 0;

	for (size_t k = 0; k < pb_n_keys && n < sizeof names / sizeof names[0]; k++)
		if (pb_key_in_section(&pb_keys[k], section))
			names[n++] = pb_key_name(&pb_keys[k]);
	for (size_t i = 0; i < n && used < sizeof list; i++)
		used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
					 i == 0 ? "" : ", ", names[i]);
	nearest = pb_nearest_word(node->key, names, n);
	pb_tree_where_key(node, place);
	if (nearest != NULL)
		return pb_fail(w->err, PB_ERR_INPUT, "unknown key: %s (%s%s%s): did you mean '%s'?",
			       place, section, section[0] == '\0' ? "" : ".", node->key, nearest);
	return pb_fail(w->err, PB_ERR_INPUT, "unknown key: %s (%s%s%s): the keys here are: %s",
		       place, section, section[0] == '\0' ? "" : ".", node->key, list);
}

/* ---- sections --------------------------------------------------------------------------- */

static enum pb_status check_keys(const struct pb_walk *w, const char *section,
				 const struct pb_node *map)
{
	for (const struct pb_node *child = map->first; child != NULL; child = child->next) {
		bool known = false;

		for (size_t k = 0; k < pb_n_keys && !known; k++)
			known = pb_key_in_section(&pb_keys[k], section) &&
				strcmp(pb_key_name(&pb_keys[k]), child->key) == 0;
		if (!known)
			return fail_unknown_key(w, section, child);
	}
	return PB_OK;
}

/* How the lines of a section begin in the resolved file. */
struct margin {
	char indent[16]; /* of all lines */
	bool dash;       /* the next line begins a row: its last two blanks are "- " */
};

static void begin_line(const struct pb_walk *w, struct margin *m)
{
	fprintf(w->resolved, "%.*s%s", (int)(strlen(m->indent) - (m->dash ? 2 : 0)), m->indent,
		m->dash ? "- " : "");
	m->dash = false;
}

static struct margin deeper(const struct margin *m)
{
	struct margin inner = {.dash = false};

	(void)snprintf(inner.indent, sizeof inner.indent, "%.13s  ", m->indent);
	return inner;
}

static enum pb_status fail_missing(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *map)
{
	char place[PB_WHERE_SIZE], words[PB_WORDS_SIZE];

	pb_key_words(key, words);
	return pb_fail(w->err, PB_ERR_INPUT, "missing key: %s (%s): give it%s%s%s%s",
		       map == NULL ? w->path : pb_tree_where(map, place), key->path,
		       key->help == NULL ? "" : ", ", key->help == NULL ? "" : key->help,
		       words[0] == '\0' ? "" : ": ", words);
}

/* The value of a key that the file does not give, NULL: none. */
static const char *fallback_of(const struct pb_walk *w, const struct pb_key *key, const void *base)
{
	const struct pb_task *task;

	if (key->default_of != NULL)
		return key->default_of(base);
	if (key->default_of_task == NULL)
		return key->fallback;
	task = pb_task_find(w->config->task.name);
	return task != NULL ? key->default_of_task(task) : NULL;
}

/* What to do instead of giving a key that does not fit, NULL: it fits. */
static const char *misfit_of(const struct pb_walk *w, const struct pb_key *key, const void *base)
{
	if (w->config->task.name != NULL && !pb_key_has_task(key, w->config->task.name))
		return "this task has no such key: leave it out";
	return key->misfit == NULL ? NULL : key->misfit(base);
}

static enum pb_status read_rows(const struct pb_walk *w, const struct pb_key *key,
				const struct pb_node *node);
static enum pb_status read_section(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *node, void *base, struct margin *margin);

/* One key of a section whose map is `map` (NULL: the file has no such section). */
static enum pb_status read_key(const struct pb_walk *w, const struct pb_key *key,
			       const struct pb_node *map, void *base, struct margin *margin)
{
	const struct pb_node *node = pb_tree_child(map, pb_key_name(key));
	const char *misfit = misfit_of(w, key, base);
	const char *fallback;
	char place[PB_WHERE_SIZE];
	enum pb_status status;

	if (node == NULL && pb_key_in_section(key, "task") &&
	    pb_tree_child(w->grid, pb_key_name(key)) != NULL)
		return PB_OK; /* the grid has its values */
	if (misfit != NULL && node != NULL)
		return pb_fail(w->err, PB_ERR_INPUT, "key does not fit: %s (%s): %s",
			       pb_tree_where_key(node, place), key->path, misfit);
	if (misfit != NULL || (node == NULL && key->presence == PB_KEY_ALTERNATIVE) ||
	    (node == NULL && key->type == PB_KEY_ROWS && w->evaluation))
		return PB_OK;
	if (node == NULL && (key->type == PB_KEY_ROWS ||
			     (key->type == PB_KEY_SECTION && key->presence == PB_KEY_REQUIRED)))
		return fail_missing(w, key, NULL);
	if (key->type == PB_KEY_SECTION || key->type == PB_KEY_SETS || key->type == PB_KEY_GRID)
		return read_section(w, key, node, base, margin);
	if (key->type == PB_KEY_ROWS)
		return read_rows(w, key, node);
	fallback = fallback_of(w, key, base);
	if (node == NULL && fallback == NULL)
		return key->presence == PB_KEY_REQUIRED ? fail_missing(w, key, map) : PB_OK;
	begin_line(w, margin);
	fprintf(w->resolved, "%s: ", pb_key_name(key));
	PB_TRY(pb_value_read(w, key, node, fallback, base));
	fputc('\n', w->resolved);
cleanup:
	return status;
}

/* All keys of a section, in the table's order. */
static enum pb_status read_keys(const struct pb_walk *w, const char *section,
				const struct pb_node *map, void *base, struct margin *margin)
{
	enum pb_status status = PB_OK;

	for (size_t k = 0; k < pb_n_keys; k++)
		if (pb_key_in_section(&pb_keys[k], section))
			PB_TRY(read_key(w, &pb_keys[k], map, base, margin));
cleanup:
	return status;
}

static enum pb_status read_section(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *node, void *base, struct margin *margin)
{
	struct margin inner = deeper(margin);
	enum pb_status status = PB_OK;

	if (node != NULL && node->kind != PB_NODE_MAP)
		return pb_walk_fail(w, key, node, "wrong type", "give its keys, one a line");
	begin_line(w, margin);
	fprintf(w->resolved, "%s:\n", pb_key_name(key));
	if (key->type == PB_KEY_SETS)
		PB_TRY(pb_value_sets(w, key, node, base, inner.indent));
	else if (key->type == PB_KEY_GRID)
		PB_TRY(pb_value_grid(w, key, node, inner.indent));
	else if (node != NULL)
		PB_TRY(check_keys(w, key->path, node));
	PB_TRY(read_keys(w, key->path, node, base, &inner));
cleanup:
	return status;
}

/* ---- sweeps ----------------------------------------------------------------------------- */

static enum pb_status read_sweep(const struct pb_walk *w, const struct pb_key *key,
				 const struct pb_node *row, struct pb_sweep *sweep)
{
	struct margin margin = {"    ", true};
	enum pb_status status;

	if (row->kind != PB_NODE_MAP)
		return pb_walk_fail(w, key, row, "wrong type",
				    "give a map, for instance {site: z, direction: denoise}");
	PB_TRY(check_keys(w, key->path, row));
	/* Keys that stand before it depend on it. */
	sweep->by_sets = pb_tree_child(row, "sets") != NULL;
	sweep->window = 1;
	PB_TRY(read_keys(w, key->path, row, sweep, &margin));
	PB_TRY(pb_sweep_check(w, row, sweep));
	/* Without a site of its own, a path's is what its sender writes. */
	if (sweep->intervention == PB_PATH)
		sweep->site = sweep->sender == PB_SENDER_HEAD  ? PB_SITE_Z
			      : sweep->sender == PB_SENDER_MLP ? PB_SITE_MLP_OUT
							       : PB_SITE_EMBED;
cleanup:
	return status;
}

static enum pb_status read_rows(const struct pb_walk *w, const struct pb_key *key,
				const struct pb_node *node)
{
	const struct pb_node *row = node->kind == PB_NODE_LIST ? node->first : node;
	struct pb_run_config *config = w->config;
	enum pb_status status = PB_OK;
	size_t n = 0;

	for (const struct pb_node *r = row; r != NULL;
	     r = node->kind == PB_NODE_LIST ? r->next : NULL)
		n++;
	if (n == 0 || n > MAX_SWEEPS)
		return pb_walk_fail(w, key, node, "wrong number of sweeps", "give 1 to 1000");
	config->sweeps = pb_arena_alloc(&config->arena, n, sizeof *config->sweeps);
	if (config->sweeps == NULL)
		return pb_walk_out_of_memory(w);
	config->n_sweeps = n;
	fprintf(w->resolved, "%s:\n", key->path);
	for (size_t i = 0; i < n; i++, row = row->next)
		PB_TRY(read_sweep(w, key, row, &config->sweeps[i]));
cleanup:
	return status;
}

/* Exactly one of the alternatives must be there; evaluation prompts come from a task. */
static enum pb_status check_alternatives(const struct pb_walk *w, const struct pb_node *root)
{
	const struct pb_node *task = pb_tree_child(root, "task");
	const struct pb_node *pairs = pb_tree_child(root, "pairs");
	char place[PB_WHERE_SIZE], place_task[PB_WHERE_SIZE];

	if (w->evaluation && pairs != NULL)
		return pb_fail(w->err, PB_ERR_INPUT,
			       "pairs are not evaluated: %s (pairs): give a task, which makes "
			       "evaluation prompts, or use patchbay run",
			       pb_tree_where_key(pairs, place));
	if (task == NULL && pairs == NULL)
		return pb_fail(w->err, PB_ERR_INPUT,
			       w->evaluation
				   ? "missing key: %s (task): say which task makes the prompts"
				   : "missing key: %s (task or pairs): say where the pairs come "
				     "from: a task, or pairs: FILE",
			       w->path);
	if (task != NULL && pairs != NULL)
		return pb_fail(w->err, PB_ERR_INPUT,
			       "two sources of pairs: %s (pairs) and %s (task): keep one",
			       pb_tree_where_key(pairs, place),
			       pb_tree_where_key(task, place_task));
	return PB_OK;
}

/* A number has its values in the grid, or one in the task. */
static enum pb_status check_grid(const struct pb_walk *w, const struct pb_node *root)
{
	const struct pb_node *task = pb_tree_child(root, "task");
	char place[PB_WHERE_SIZE], place_task[PB_WHERE_SIZE];

	if (w->grid != NULL && w->grid->kind != PB_NODE_MAP)
		return PB_OK; /* refused where it is read */
	for (const struct pb_node *axis = w->grid == NULL ? NULL : w->grid->first; axis != NULL;
	     axis = axis->next) {
		const struct pb_node *same = pb_tree_child(task, axis->key);

		if (same != NULL)
			return pb_fail(w->err, PB_ERR_INPUT,
				       "given twice: %s (grid.%s) and %s (task.%s): keep one",
				       pb_tree_where_key(axis, place), axis->key,
				       pb_tree_where_key(same, place_task), axis->key);
	}
	return PB_OK;
}

static enum pb_status read_root(struct pb_walk *w, const struct pb_node *root)
{
	const unsigned control = 1u << PB_N_SITES; /* the word after those of the sites */
	struct margin margin = {"", false};
	enum pb_status status;

	PB_TRY(check_keys(w, "", root));
	PB_TRY(check_alternatives(w, root));
	w->grid = pb_tree_child(root, "grid");
	PB_TRY(check_grid(w, root));
	PB_TRY(read_keys(w, "", root, w->config, &margin));
	w->config->save_control = (w->config->save & control) != 0;
	w->config->save &= ~control;
cleanup:
	return status;
}

/* Cells of a task that the table's ranges cannot know of. */
static enum pb_status check_task(const struct pb_walk *w, const struct pb_node *root)
{
	const struct pb_task_options *options = &w->config->task;
	const struct pb_node *node = pb_tree_child(root, "task");
	struct pb_error inner = {0};
	char place[PB_WHERE_SIZE];
	enum pb_status status;

	if (node == NULL || w->grid != NULL) /* which cells of a grid there are is seen later */
		return PB_OK;
	status = pb_task_check(options, !w->evaluation, &inner);
	if (status == PB_OK)
		return PB_OK;
	return pb_fail(w->err, status, "%s: %s (task)", inner.message,
		       pb_tree_where_key(node, place));
}

/* ---- the file --------------------------------------------------------------------------- */

static enum pb_status read_tree(struct pb_node **root, const char *path, const char *text,
				size_t size, const char *const *sets, size_t n_sets,
				const char *output, struct pb_arena *arena, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_tree_parse(root, text, size, path, true, arena, err));
	if ((*root)->kind != PB_NODE_MAP)
		return pb_fail(err, PB_ERR_INPUT, "not a configuration: %s: %s", path,
			       pb_node_is_null(*root)
				   ? "the file is empty: give at least model, task and sweep"
				   : "give keys and values: model, task, sweep, ..");
	for (size_t i = 0; i < n_sets; i++)
		PB_TRY(pb_tree_set(*root, sets[i], arena, err));
	if (output != NULL)
		PB_TRY(pb_tree_put_text(*root, "output", output, "--output", arena, err));
cleanup:
	return status;
}

static enum pb_status read_config(struct pb_run_config *out, bool evaluation, const char *path,
				  const char *const *sets, size_t n_sets, const char *output,
				  struct pb_error *err)
{
	struct pb_walk w = {.config = out, .path = path, .err = err, .evaluation = evaluation};
	struct pb_arena tree = {0};
	struct pb_node *root = NULL;
	char *text = NULL, *resolved = NULL;
	size_t size = 0, resolved_size = 0;
	enum pb_status status;

	*out = (struct pb_run_config){0};
	PB_TRY(pb_read_file(&text, &size, path, MAX_FILE_SIZE, err));
	PB_TRY(read_tree(&root, path, text, size, sets, n_sets, output, &tree, err));
	w.resolved = open_memstream(&resolved, &resolved_size);
	if (w.resolved == NULL) {
		status = pb_walk_out_of_memory(&w);
		goto cleanup;
	}
	PB_TRY(read_root(&w, root));
	PB_TRY(check_task(&w, root));
cleanup:
	if (w.resolved != NULL && fclose(w.resolved) != 0 && status == PB_OK)
		status = pb_walk_out_of_memory(&w);
	if (status == PB_OK) {
		out->resolved = pb_arena_strdup(&out->arena, resolved);
		if (out->resolved == NULL)
			status = pb_walk_out_of_memory(&w);
	}
	free(resolved);
	free(text);
	pb_arena_free(&tree);
	if (status != PB_OK)
		pb_config_free(out);
	return status;
}

enum pb_status pb_config_read(struct pb_run_config *out, const char *path, const char *const *sets,
			      size_t n_sets, const char *output, struct pb_error *err)
{
	return read_config(out, false, path, sets, n_sets, output, err);
}

enum pb_status pb_config_read_evaluation(struct pb_run_config *out, const char *path,
					 const char *const *sets, size_t n_sets, const char *output,
					 struct pb_error *err)
{
	return read_config(out, true, path, sets, n_sets, output, err);
}

enum pb_status pb_task_read(struct pb_run_config *out, const char *name,
			    const struct pb_task_text *texts, size_t n, struct pb_error *err)
{
	struct pb_walk w = {.config = out, .path = "patchbay prompts", .err = err};
	struct pb_arena tree = {0};
	struct pb_node *map = NULL;
	char *resolved = NULL;
	size_t resolved_size = 0;
	struct margin margin = {"", false};
	enum pb_status status;

	*out = (struct pb_run_config){0};
	w.resolved = open_memstream(&resolved, &resolved_size);
	map = pb_tree_new(PB_NODE_MAP, w.path, &tree);
	if (w.resolved == NULL || map == NULL) {
		status = pb_walk_out_of_memory(&w);
		goto cleanup;
	}
	PB_TRY(pb_tree_put_text(map, "name", name, "the task", &tree, err));
	for (size_t i = 0; i < n; i++) {
		PB_TRY(pb_tree_put_text(map, texts[i].key, texts[i].text, texts[i].origin, &tree,
					err));
		map->last->plain = true;
	}
	PB_TRY(read_keys(&w, "task", map, out, &margin));
cleanup:
	if (w.resolved != NULL)
		(void)fclose(w.resolved); /* it is not kept */
	free(resolved);
	pb_arena_free(&tree);
	if (status != PB_OK)
		pb_config_free(out);
	return status;
}

void pb_config_free(struct pb_run_config *config)
{
	pb_arena_free(&config->arena);
	*config = (struct pb_run_config){0};
}
