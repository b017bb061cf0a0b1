/* Grids of an evaluation for the page: the figures of its cells, and of its prompts by reachable
 * states. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/page_pack.h"
#include "report/subject_read.h"
#include "results/evaluation.h"

static const char *const subset_titles[PB_N_EVAL_SUBSETS] = {
    [PB_SUBSET_ALL] = "all prompts",
    [PB_SUBSET_DETERMINED] = "prompts that determine their answer",
    [PB_SUBSET_UNDETERMINED] = "prompts whose answer nobody can know",
    [PB_SUBSET_JOINT] = "prompts that need action and state",
    [PB_SUBSET_MOVED] = "prompts about what was moved",
    [PB_SUBSET_UNMOVED] = "prompts about what lies where it was first"};

/* How a figure's spread is stored: beside it, under its name with these ends. */
static const char *const spreads[][2] = {
    {"low", "_ci_low"}, {"high", "_ci_high"}, {"stderr", "_stderr"}};

struct context {
	struct pb_packer *p;
	struct pb_subject *s;
	const char *group;
	struct pb_eval_axes axes;
};

/* group/<name><end><suffix> by cell, NULL where the file has none. */
static enum pb_status read_figure(const struct context *c, const char *name, const char *end,
				  const char *suffix, double **values, struct pb_error *err)
{
	char path[128];

	(void)snprintf(path, sizeof path, "%s/%s%s%s", c->group, name, end, suffix);
	return pb_subject_numbers(c->s, path, (int)c->axes.n, c->axes.sizes, values, err);
}

/* object[key] = the figure where there is one; *there says whether. */
static enum pb_status pack_values(struct context *c, json_t *object, const char *key,
				  const char *name, const char *end, const char *suffix,
				  bool *there, struct pb_error *err)
{
	enum pb_status status;
	double *values = NULL;

	PB_TRY(read_figure(c, name, end, suffix, &values, err));
	*there = values != NULL;
	if (*there)
		pb_pack_set(c->p, object, key, pb_pack_doubles(c->p, values, c->axes.n_cells));
cleanup:
	free(values);
	return status;
}

/* Whether a row of the table of figures is the spread of another. */
static bool is_spread(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof spreads / sizeof *spreads; i++) {
		const size_t n = strlen(name), end = strlen(spreads[i][1]);

		if (n > end && strcmp(name + n - end, spreads[i][1]) == 0)
			return true;
	}
	return false;
}

static enum pb_status pack_figure(struct context *c, const struct pb_field *field,
				  const char *suffix, json_t *list, struct pb_error *err)
{
	enum pb_status status;
	json_t *figure = json_object();
	bool there, more;
	size_t i;

	PB_TRY(pack_values(c, figure, "values", field->name, "", suffix, &there, err));
	if (!there)
		goto cleanup;
	pb_pack_set(c->p, figure, "name", json_string(field->name));
	pb_pack_set(c->p, figure, "title", json_string(field->long_name));
	pb_pack_set(c->p, figure, "units", json_string(field->units));
	for (i = 0; i < sizeof spreads / sizeof *spreads; i++)
		PB_TRY(pack_values(c, figure, spreads[i][0], field->name, spreads[i][1], suffix,
				   &more, err));
	pb_pack_append(c->p, list, json_incref(figure));
cleanup:
	json_decref(figure);
	return status;
}

/* The figures over a part of the prompts, where the file has that part. */
static enum pb_status pack_subset(struct context *c, int subset, json_t *list, struct pb_error *err)
{
	enum pb_status status;
	const char *suffix = pb_eval_subset_suffixes[subset];
	json_t *object = json_object(), *figures = json_array();
	bool there;
	int k;

	PB_TRY(pack_values(c, object, "n", pb_eval_n_field.name, "", suffix, &there, err));
	if (!there)
		goto cleanup;
	pb_pack_set(c->p, object, "suffix", json_string(suffix));
	pb_pack_set(c->p, object, "title", json_string(subset_titles[subset]));
	for (k = 0; k < PB_N_EVAL_FIGURES; k++)
		if (!is_spread(pb_eval_figure_fields[k].name))
			PB_TRY(pack_figure(c, &pb_eval_figure_fields[k], suffix, figures, err));
	pb_pack_set(c->p, object, "figures", json_incref(figures));
	pb_pack_append(c->p, list, json_incref(object));
cleanup:
	json_decref(figures);
	json_decref(object);
	return status;
}

static json_t *pack_axes(struct context *c)
{
	json_t *axes = json_array();
	size_t a;

	for (a = 0; a < c->axes.n; a++) {
		json_t *axis = json_object();

		pb_pack_set(c->p, axis, "name", pb_pack_text(c->axes.names[a]));
		pb_pack_set(c->p, axis, "values",
			    pb_pack_doubles(c->p, c->axes.values[a], c->axes.sizes[a]));
		pb_pack_append(c->p, axes, axis);
	}
	return axes;
}

/* Why a cell has no prompts, by cell; "" where it has some. */
static enum pb_status pack_why(struct context *c, json_t *grid, struct pb_error *err)
{
	enum pb_status status;
	const char **why = NULL;

	PB_TRY(pb_subject_read_texts(c->s, "cells/why", c->axes.n_cells, &why, err));
	if (why != NULL)
		pb_pack_set(c->p, grid, "why", pb_pack_texts(c->p, why, c->axes.n_cells));
cleanup:
	return status;
}

static enum pb_status pack_grid(struct context *c, const char *title, bool is_cells, json_t *list,
				struct pb_error *err)
{
	enum pb_status status = PB_OK;
	json_t *grid = json_object(), *subsets = json_array();
	const size_t size = PB_N_EVAL_FIGURES * pb_packed_size(c->axes.n_cells, sizeof(double));
	bool there;
	int k;

	pb_pack_set(c->p, grid, "title", json_string(title));
	pb_pack_set(c->p, grid, "cells", json_integer((json_int_t)c->axes.n_cells));
	pb_pack_set(c->p, grid, "axes", pack_axes(c));
	/* Parts of the prompts as long as half of the room stays for others. */
	for (k = 0; k < PB_N_EVAL_SUBSETS; k++)
		if (k == PB_SUBSET_ALL || size <= c->p->left / 2)
			PB_TRY(pack_subset(c, k, subsets, err));
		else
			pb_pack_set(c->p, grid, "partsLeft", json_true());
	pb_pack_set(c->p, grid, "subsets", json_incref(subsets));
	if (is_cells)
		PB_TRY(pack_why(c, grid, err));
	PB_TRY(pack_values(c, grid, "breaks", pb_eval_breaks_field.name, "", "", &there, err));
	pb_pack_append(c->p, list, json_incref(grid));
cleanup:
	json_decref(subsets);
	json_decref(grid);
	return status;
}

enum pb_status pb_pack_evaluation(struct pb_packer *p, struct pb_subject *s, json_t *file,
				  struct pb_error *err)
{
	enum pb_status status;
	struct context c = {.p = p, .s = s, .group = "summary"};
	json_t *grids = json_array();

	PB_TRY(pb_eval_axes_read(&c.axes, s->r.file, err));
	PB_TRY(pack_grid(&c, "task sizes", true, grids, err));
	if (pb_h5_exists(s->r.file, PB_BY_REACHABLE)) {
		pb_eval_axes_free(&c.axes);
		c.group = PB_BY_REACHABLE;
		PB_TRY(pb_eval_axes_of(&c.axes, s->r.file, PB_BY_REACHABLE "/accuracy", err));
		PB_TRY(pack_grid(&c, "reachable states", false, grids, err));
	}
	pb_pack_set(p, file, "grids", json_incref(grids));
cleanup:
	pb_eval_axes_free(&c.axes);
	json_decref(grids);
	return status;
}
