/* Charts of a sweep that are no maps. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/figure_parts.h"
#include "report/palette.h"
#include "report/plot.h"
#include "report/report_parts.h"

/* ---- layers and alphas --------------------------------------------------------------------- */

#define CURVES_MOST 8

/* Curve k of n, whose cells are a step apart. */
static void draw_curve(const struct pb_plot *p, const struct pb_shown_sweep *w,
		       const struct pb_shown_axis *x, size_t first, size_t k, size_t n,
		       double *values)
{
	const double *const from[3] = {w->shown[0], w->low[0], w->high[0]};
	size_t c, i;

	for (c = 0; c < 3; c++)
		for (i = 0; i < x->n; i++)
			values[c * x->n + i] = from[c][first + i * x->stride];
	if (n == 1)
		pb_plot_curve(p, x->n, x->values, values, values + x->n, values + 2 * x->n,
			      pb_category(0));
	else
		pb_plot_whiskers(p, x->n, x->values, values, values + x->n, values + 2 * x->n, k, n,
				 pb_category(k));
}

/* All cells are drawn, in one frame. */
static enum pb_status draw_curves(struct pb_figure_list *list, const char *file, struct pb_plot *p,
				  const struct pb_shown_sweep *w, const struct pb_shown_axis *x,
				  const struct pb_shown_axis *curves, struct pb_error *err)
{
	enum pb_status status;
	const size_t n = curves == NULL ? 1 : curves->n < CURVES_MOST ? curves->n : CURVES_MOST;
	double *values = NULL;
	char text[48];
	size_t i, k;

	PB_TRY(pb_alloc((void **)&values, x->n, 3 * sizeof *values, "a curve", err));
	p->x_low = p->y_low = 1e300;
	p->x_high = p->y_high = -1e300;
	for (i = 0; i < x->n; i++)
		pb_range_add(&p->x_low, &p->x_high, x->values[i]);
	for (i = 0; i < w->grid.n_cells; i++) {
		pb_range_add(&p->y_low, &p->y_high, w->shown[0][i]);
		pb_range_add(&p->y_low, &p->y_high, w->low[0][i]);
		pb_range_add(&p->y_low, &p->y_high, w->high[0][i]);
	}
	pb_range_add(&p->y_low, &p->y_high, 0);
	PB_TRY(pb_figure_share_range(list, file, pb_sweep_quantity(w), &p->y_low, &p->y_high, err));
	pb_range_finish(&p->x_low, &p->x_high);
	pb_range_finish(&p->y_low, &p->y_high);
	pb_plot_frame(p, pb_axis_names[x->kind], pb_sweep_quantity(w), x->kind == PB_AXIS_LAYER);
	for (k = 0; k < n; k++) {
		draw_curve(p, w, x, curves != NULL ? k * curves->stride : 0, k, n, values);
		if (n == 1)
			continue;
		(void)snprintf(text, sizeof text, "alpha = %g", curves->values[k]);
		pb_plot_legend(p, k, text, pb_category(k));
	}
	status = pb_drawing_status(p->d, err);
cleanup:
	free(values);
	return status;
}

enum pb_status pb_figure_curves(struct pb_figure_list *list, struct pb_subject *s, size_t number,
				size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	const struct pb_shown_axis *layer = pb_sweep_axis(w, PB_AXIS_LAYER);
	const struct pb_shown_axis *alpha = pb_sweep_axis(w, PB_AXIS_ALPHA);
	const bool by_alpha = (layer == NULL || layer->n == 1) && alpha != NULL && alpha->n > 1;
	const struct pb_shown_axis *x = by_alpha ? alpha : layer;
	const struct pb_shown_axis *curves =
	    by_alpha || alpha == NULL || alpha->n < 2 ? NULL : alpha;
	struct pb_plot p = {.style = list->style, .y = list->style->size};
	struct pb_figure *figure;
	struct pb_arena arena = {0};
	char *caption = NULL, left_out[160];

	/* One cell is no curve, and other axes (neurons) would need one each. */
	if (x == NULL || x->n < 2 || w->grid.n_cells != x->n * (curves != NULL ? curves->n : 1))
		return PB_OK;
	caption = pb_format("%s: mean over pairs by %s, with its 95%% interval%s.",
			    pb_sweep_title(&arena, w), by_alpha ? "alpha" : "layer",
			    pb_sweep_left_out(s, w, left_out));
	PB_TRY(pb_figure_add(list, &figure, list->style->width * 0.6,
			     caption != NULL ? caption : "", err, "%zu-%s-%ss", number,
			     w->info->name, by_alpha ? "alpha" : "layer"));
	figure->subject = number;
	figure->sweep = sweep;
	p.d = &figure->drawing;
	pb_plot_fit(&p, list->style->width * 0.6);
	if (curves != NULL)
		p.w -= pb_plot_legend_room(p.style) - p.style->size;
	status = draw_curves(list, figure->file, &p, w, x, curves, err);
cleanup:
	free(caption);
	pb_arena_free(&arena);
	return status;
}

/* ---- neurons ------------------------------------------------------------------------------- */

#define NEURONS_MOST 20

/* Bars of the first n cells of an order; labels are in the arena. */
static enum pb_status neuron_bars(const struct pb_shown_sweep *w, const struct pb_ranked *order,
				  size_t n, struct pb_bar *bars, struct pb_arena *arena,
				  struct pb_error *err)
{
	char label[96];
	size_t i;

	for (i = 0; i < n; i++) {
		const size_t cell = order[i].cell;

		pb_file_grid_label(&w->grid, cell, label, sizeof label);
		bars[i] = (struct pb_bar){.label = pb_arena_strdup(arena, label),
					  .value = w->shown[0][cell],
					  .low = w->low[0][cell],
					  .high = w->high[0][cell],
					  .colour = pb_category(0)};
		if (bars[i].label == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: neurons");
	}
	return PB_OK;
}

enum pb_status pb_figure_neurons(struct pb_figure_list *list, struct pb_subject *s, size_t number,
				 size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	struct pb_bar bars[NEURONS_MOST];
	struct pb_ranked *order = NULL;
	struct pb_figure *figure;
	struct pb_arena arena = {0};
	char *file = NULL, *caption = NULL, left_out[160];
	size_t n = 0, most, i;

	PB_TRY(pb_alloc((void **)&order, w->grid.n_cells, sizeof *order, "neurons", err));
	for (i = 0; i < w->grid.n_cells; i++)
		if (isfinite(effect[i]))
			order[n++] = (struct pb_ranked){fabs(effect[i]), i};
	if (n == 0)
		goto cleanup;
	pb_rank(order, n);
	most = n < NEURONS_MOST ? n : NEURONS_MOST;
	PB_TRY(neuron_bars(w, order, most, bars, &arena, err));
	file = pb_format("%zu-%s-neurons", number, w->info->name);
	caption = pb_format("%s: the %zu strongest of %zu neurons by |mean effect|, with the 95%% "
			    "interval of their %s%s.",
			    pb_sweep_title(&arena, w), most, n, pb_sweep_quantity(w),
			    pb_sweep_left_out(s, w, left_out));
	if (file == NULL || caption == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: neurons");
		goto cleanup;
	}
	PB_TRY(pb_bars_draw(list, bars, most, pb_sweep_quantity(w), caption, &figure, err, file));
	figure->subject = number;
	figure->sweep = sweep;
cleanup:
	free(order);
	free(file);
	free(caption);
	pb_arena_free(&arena);
	return status;
}

/* ---- over the pairs ----------------------------------------------------------------------------
 */

static bool is_random_set(const struct pb_shown_sweep *w, size_t cell)
{
	const struct pb_shown_axis *axis = pb_sweep_axis(w, PB_AXIS_SET);

	return axis != NULL && w->grid.sweep.sets[pb_axis_step(axis, cell)].source == PB_SET_RANDOM;
}

size_t pb_strongest_cell(const struct pb_shown_sweep *w)
{
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	size_t best = PB_NO_CELL, i;

	for (i = 0; i < w->grid.n_cells; i++)
		if (isfinite(effect[i]) && !is_random_set(w, i) &&
		    (best == PB_NO_CELL || fabs(effect[i]) > fabs(effect[best])))
			best = i;
	return best;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Effects of a cell, rising, without pairs that lack it: how many. */
static enum pb_status sorted_effects(const struct pb_subject *s, size_t sweep, size_t cell,
				     double *effects, size_t *n, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	size_t i;

	*n = 0;
	PB_TRY(pb_sweep_cell_values(s, sweep, cell, effects, err));
	for (i = 0; i < s->r.n_pairs; i++)
		if (isfinite(effects[i]))
			effects[(*n)++] = effects[i] - w->recipient[i];
	pb_sweep_round(w, effects, *n);
	qsort(effects, *n, sizeof *effects, by_value);
cleanup:
	return status;
}

static enum pb_status draw_pairs(struct pb_figure_list *list, const char *file, struct pb_plot *p,
				 const double *effects, size_t n, double mean, struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	p->x_low = 0;
	p->x_high = (double)n + 1;
	p->y_low = p->y_high = 0;
	for (i = 0; i < n; i++)
		pb_range_add(&p->y_low, &p->y_high, effects[i]);
	PB_TRY(pb_figure_share_range(list, file, "effect", &p->y_low, &p->y_high, err));
	pb_range_finish(&p->y_low, &p->y_high);
	pb_plot_frame(p, "pairs, by their effect", "effect (logits)", true);
	pb_draw_line(p->d, p->x, pb_plot_y(p, mean), p->x + p->w, pb_plot_y(p, mean),
		     p->style->line * 1.5)
	    ->stroke = pb_category(5);
	for (i = 0; i < n; i++)
		pb_mark_title(p->d,
			      pb_draw_circle(p->d, pb_plot_x(p, (double)i + 1),
					     pb_plot_y(p, effects[i]), p->style->size * 0.18,
					     pb_category(0)),
			      "%.4g", effects[i]);
	status = pb_drawing_status(p->d, err);
cleanup:
	return status;
}

enum pb_status pb_figure_pairs(struct pb_figure_list *list, struct pb_subject *s, size_t number,
			       size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	const size_t cell = pb_strongest_cell(w);
	struct pb_plot p = {.style = list->style, .y = list->style->size};
	struct pb_figure *figure;
	struct pb_arena arena = {0};
	char label[96], *caption = NULL;
	double *effects = NULL;
	size_t n;

	if (cell == PB_NO_CELL)
		return PB_OK;
	PB_TRY(pb_alloc((void **)&effects, s->r.n_pairs, sizeof *effects, "pairs", err));
	PB_TRY(sorted_effects(s, sweep, cell, effects, &n, err));
	pb_file_grid_label(&w->grid, cell, label, sizeof label);
	caption =
	    pb_format("%s: effect of %s in each of the %zu pairs that have it, and their mean.",
		      pb_sweep_title(&arena, w), label, n);
	PB_TRY(pb_figure_add(list, &figure, list->style->width * 0.5,
			     caption != NULL ? caption : "", err, "%zu-%s-pairs", number,
			     w->info->name));
	figure->subject = number;
	figure->sweep = sweep;
	p.d = &figure->drawing;
	pb_plot_fit(&p, list->style->width * 0.5);
	status = draw_pairs(list, figure->file, &p, effects, n,
			    w->columns[0][PB_SHOWN_EFFECT][cell], err);
cleanup:
	free(effects);
	free(caption);
	pb_arena_free(&arena);
	return status;
}
