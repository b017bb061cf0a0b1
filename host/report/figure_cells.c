/* Grids of task sizes: the accuracy of an evaluation, and the strongest cell of a swept grid. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/palette.h"
#include "report/plot.h"
#include "report/report_parts.h"

#define PANELS_MOST 6
#define CURVES_MOST 8

/* A figure of every cell of the task's grid, [n_cells], and its interval. */
struct cells {
	struct pb_eval_axes axes;
	double *values, *low, *high;
	double chance; /* NaN: not known */
	struct pb_arena arena;
};

static void cells_free(struct cells *c)
{
	free(c->values);
	free(c->low);
	free(c->high);
	pb_eval_axes_free(&c->axes);
	pb_arena_free(&c->arena);
}

/* The values of an axis as texts; one empty text where there is no such axis. */
static const char **axis_labels(struct cells *c, int axis, size_t *n)
{
	const char **out;
	char text[32];
	size_t i;

	*n = axis < 0 ? 1 : c->axes.sizes[axis];
	out = pb_arena_alloc(&c->arena, *n, sizeof *out);
	for (i = 0; out != NULL && i < *n; i++) {
		(void)snprintf(text, sizeof text, "%g", axis < 0 ? 0 : c->axes.values[axis][i]);
		out[i] = pb_arena_strdup(&c->arena, axis < 0 ? "" : text);
		if (out[i] == NULL)
			return NULL;
	}
	return out;
}

/* ---- as a map ----------------------------------------------------------------------------------
 */

/* Rows and columns are the last two axes, panels the one before. */
static enum pb_status draw_map(struct pb_figure_list *list, struct cells *c, struct pb_heat heat,
			       const char *caption, struct pb_figure **figure, const char *file,
			       struct pb_error *err)
{
	const int last = (int)c->axes.n - 1, before = last - 1;
	struct pb_panel panels[PANELS_MOST];
	size_t n_rows, n_columns, n_panels, k;
	const char **columns = axis_labels(c, last, &n_columns);
	const char **rows = axis_labels(c, before >= 0 ? before : -1, &n_rows);
	const char **titles = axis_labels(c, before > 0 ? before - 1 : -1, &n_panels);
	char title[64];

	if (columns == NULL || rows == NULL || titles == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a grid");
	for (k = 0; k < n_panels && k < PANELS_MOST; k++) {
		const size_t first = k * n_rows * n_columns;

		panels[k] = (struct pb_panel){.n_rows = n_rows,
					      .n_columns = n_columns,
					      .values = c->values + first,
					      .low = c->low != NULL ? c->low + first : NULL,
					      .high = c->high != NULL ? c->high + first : NULL,
					      .row_labels = rows,
					      .column_labels = columns,
					      .row_title = before >= 0 ? c->axes.names[before] : "",
					      .column_title = last >= 0 ? c->axes.names[last] : ""};
		if (before > 0) {
			(void)snprintf(title, sizeof title, "%s = %s", c->axes.names[before - 1],
				       titles[k]);
			panels[k].title = pb_arena_strdup(&c->arena, title);
		}
	}
	heat.panels = panels;
	heat.n_panels = k;
	heat.n_columns = k > 1 ? 2 : 1;
	return pb_heat_draw(list, &heat, caption, figure, err, file);
}

/* ---- as curves over the last axis
 * ---------------------------------------------------------------- */

/* What curve k is of, on the axes but the last: "boxes 3"; of several axes "3, 1" below a line with
 * their names. */
static void curve_words(const struct pb_eval_axes *axes, size_t k, char *text, size_t size)
{
	size_t steps[PB_CELL_AXES] = {0}, a, used = 0;

	for (a = axes->n - 1; a-- > 0; k /= axes->sizes[a])
		steps[a] = k % axes->sizes[a];
	for (a = 0; a + 1 < axes->n; a++) {
		const int n = snprintf(text + used, size - used, "%s%s%s%g", a > 0 ? ", " : "",
				       axes->n == 2 ? axes->names[a] : "", axes->n == 2 ? " " : "",
				       axes->values[a][steps[a]]);

		used += n > 0 && (size_t)n < size - used ? (size_t)n : 0;
	}
}

static void to_percent(struct cells *c)
{
	size_t i;

	for (i = 0; i < c->axes.n_cells; i++) {
		c->values[i] *= 100;
		c->low[i] *= 100;
		c->high[i] *= 100;
	}
	c->chance *= 100;
}

/* The names of the axes but the last. */
static void axes_words(const struct pb_eval_axes *axes, char *text, size_t size)
{
	size_t a, used = 0;

	for (a = 0; a + 1 < axes->n; a++) {
		const int n =
		    snprintf(text + used, size - used, "%s%s", a > 0 ? ", " : "", axes->names[a]);

		used += n > 0 && (size_t)n < size - used ? (size_t)n : 0;
	}
}

static void draw_names(const struct pb_plot *p, const struct pb_eval_axes *axes, size_t n_curves)
{
	const size_t below = axes->n > 2 ? 1 : 0;
	char text[64];
	size_t k;

	if (below > 0) {
		axes_words(axes, text, sizeof text);
		pb_plot_legend(p, 0, text, PB_NO_COLOUR);
	}
	for (k = 0; n_curves > 1 && k < n_curves && k < CURVES_MOST; k++) {
		curve_words(axes, k, text, sizeof text);
		pb_plot_legend(p, k + below, text, pb_category(k));
	}
}

static enum pb_status draw_curves(struct pb_figure_list *list, struct cells *c,
				  const char *quantity, const char *caption,
				  struct pb_figure **figure, const char *file, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_style *style = list->style;
	const size_t last = c->axes.n - 1, n = c->axes.sizes[last], n_curves = c->axes.n_cells / n;
	struct pb_plot p = {.style = style, .y = style->size, .y_low = 0, .y_high = 100};
	size_t k;

	PB_TRY(pb_figure_add(list, figure, style->width * 0.62, caption, err, "%s", file));
	p.d = &(*figure)->drawing;
	p.x = pb_plot_left(style);
	p.w = style->width - p.x - (n_curves > 1 ? pb_plot_legend_room(style) : style->size);
	p.h = style->width * 0.62 - p.y - pb_plot_bottom(style);
	p.x_low = c->axes.values[last][0];
	p.x_high = c->axes.values[last][n - 1];
	pb_range_finish(&p.x_low, &p.x_high);
	pb_range_finish(&p.y_low, &p.y_high);
	pb_plot_frame(&p, c->axes.names[last], quantity, false);
	if (isfinite(c->chance)) {
		struct pb_mark *line = pb_draw_line(p.d, p.x, pb_plot_y(&p, c->chance), p.x + p.w,
						    pb_plot_y(&p, c->chance), style->line);

		line->dash = style->size * 0.4;
		pb_mark_title(p.d, line, "chance: %.3g%%", c->chance);
	}
	for (k = 0; k < n_curves && k < CURVES_MOST; k++)
		pb_plot_whiskers(&p, n, c->axes.values[last], c->values + k * n, c->low + k * n,
				 c->high + k * n, k,
				 n_curves < CURVES_MOST ? n_curves : CURVES_MOST, pb_category(k));
	draw_names(&p, &c->axes, n_curves);
	status = pb_drawing_status(p.d, err);
cleanup:
	return status;
}

/* ---- an evaluation
 * ------------------------------------------------------------------------------- */

static enum pb_status read_figure(const struct pb_subject *s, const struct pb_eval_axes *axes,
				  const char *name, double **values, struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("summary/%s", name);

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a grid");
	status = pb_subject_numbers(s, path, (int)axes->n, axes->sizes, values, err);
	free(path);
	if (status == PB_OK && *values == NULL)
		status = pb_fail(err, PB_ERR_CHECK, "missing dataset: summary/%s", name);
	return status;
}

enum pb_status pb_figures_of_evaluation(struct pb_figure_list *list, struct pb_subject *s,
					size_t number, struct pb_error *err)
{
	enum pb_status status;
	struct cells c = {.chance = NAN};
	struct pb_figure *figure;
	double *chance = NULL;
	char file[64];

	PB_TRY(pb_eval_axes_read(&c.axes, s->r.file, err));
	PB_TRY(read_figure(s, &c.axes, "accuracy", &c.values, err));
	PB_TRY(read_figure(s, &c.axes, "accuracy_ci_low", &c.low, err));
	PB_TRY(read_figure(s, &c.axes, "accuracy_ci_high", &c.high, err));
	PB_TRY(read_figure(s, &c.axes, "chance", &chance, err));
	c.chance = c.axes.n_cells == 1 || c.axes.n == 1 ? chance[0] : NAN;
	(void)snprintf(file, sizeof file, "%zu-accuracy", number);
	if (c.axes.n == 0)
		goto cleanup; /* one cell: a number, which the summary says */
	PB_TRY(draw_map(
	    list, &c,
	    (struct pb_heat){
		.quantity = "accuracy (%)", .sequential = true, .percent = true, .vmax = 1},
	    "Accuracy in each cell of the grid, in percent, with its 95% Wilson "
	    "interval; hatched where a cell is not available.",
	    &figure, file, err));
	figure->subject = number;
	if (c.axes.n > 0) {
		(void)snprintf(file, sizeof file, "%zu-accuracy-curves", number);
		to_percent(&c);
		PB_TRY(draw_curves(
		    list, &c, "accuracy (%)",
		    "Accuracy in percent with its 95% Wilson interval, along the grid's last "
		    "axis.",
		    &figure, file, err));
		figure->subject = number;
	}
cleanup:
	free(chance);
	cells_free(&c);
	return status;
}

/* ---- a swept grid
 * -------------------------------------------------------------------------------- */

/* One cell of the sweep in every cell of the grid: a column of the group `cells`. */
static enum pb_status read_column(const struct pb_subject *s, size_t sweep, size_t cell,
				  const struct pb_eval_axes *axes, const char *name,
				  double **values, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	char *path = pb_format("sweeps/%s/cells/%s", w->info->name, name);
	double *all = NULL;
	size_t dims[PB_H5_MAX_RANK], rank = 0, a, i;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a grid");
	for (a = 0; a < axes->n; a++)
		dims[rank++] = axes->sizes[a];
	for (a = 0; a < w->n_axes && rank < PB_H5_MAX_RANK; a++)
		dims[rank++] = w->axes[a].n;
	PB_TRY(pb_subject_numbers(s, path, (int)rank, dims, &all, err));
	if (all == NULL)
		goto cleanup;
	PB_TRY(pb_alloc((void **)values, axes->n_cells, sizeof **values, "a grid", err));
	for (i = 0; i < axes->n_cells; i++)
		(*values)[i] = all[i * w->grid.n_cells + cell];
	pb_sweep_round(w, *values, axes->n_cells);
cleanup:
	free(path);
	free(all);
	return status;
}

static enum pb_status swept(struct pb_figure_list *list, struct pb_subject *s, size_t number,
			    size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	const size_t cell = pb_strongest_cell(w);
	struct cells c = {.chance = NAN};
	struct pb_figure *figure;
	char *file = NULL, *caption = NULL, label[96];

	if (cell == PB_NO_CELL)
		return PB_OK;
	PB_TRY(pb_eval_axes_read(&c.axes, s->r.file, err));
	PB_TRY(read_column(s, sweep, cell, &c.axes, "effect", &c.values, err));
	PB_TRY(read_column(s, sweep, cell, &c.axes, "ci_low", &c.low, err));
	PB_TRY(read_column(s, sweep, cell, &c.axes, "ci_high", &c.high, err));
	if (c.values == NULL)
		goto cleanup;
	pb_file_grid_label(&w->grid, cell, label, sizeof label);
	file = pb_format("%zu-%s-cells", number, w->info->name);
	caption = pb_format("%s: mean effect of %s, the strongest, in each cell of the grid.",
			    pb_sweep_title(&c.arena, w), label);
	if (file == NULL || caption == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a grid");
		goto cleanup;
	}
	PB_TRY(draw_map(list, &c,
			(struct pb_heat){.quantity = "effect (logits)", .vmax = list->vmax},
			caption, &figure, file, err));
	figure->subject = number;
	figure->sweep = sweep;
cleanup:
	free(file);
	free(caption);
	cells_free(&c);
	return status;
}

enum pb_status pb_figures_of_cells(struct pb_figure_list *list, struct pb_subject *s, size_t number,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i;

	if (!pb_h5_exists(s->r.file, "cells/available"))
		return PB_OK;
	for (i = 0; i < s->n_sweeps; i++)
		PB_TRY(swept(list, s, number, i, err));
cleanup:
	return status;
}
