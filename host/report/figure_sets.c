/* Sets, each beside the distribution of the random sets of its size. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/figure_parts.h"
#include "report/palette.h"
#include "report/plot.h"
#include "report/report_parts.h"
#include "results/stats.h"

#define SETS_MOST 40
#define BINS 60 /* of the axis */

size_t pb_strongest_sets(const struct pb_shown_sweep *w, struct pb_ranked *order, size_t n_most)
{
	const struct pb_sweep *sweep = &w->grid.sweep;
	const struct pb_shown_axis *axis = pb_sweep_axis(w, PB_AXIS_SET);
	size_t n = 0, i;

	for (i = 0; i < w->grid.n_cells; i++) {
		const struct pb_set *set = &sweep->sets[pb_axis_step(axis, i)];
		const double effect = w->columns[0][PB_SHOWN_EFFECT][i];

		if (set->source != PB_SET_RANDOM && isfinite(effect))
			order[n++] = (struct pb_ranked){fabs(effect), i};
	}
	pb_rank(order, n);
	return n < n_most ? n : n_most;
}

/* A row: a set, and the random sets that it stands beside. */
struct row {
	const char *label;
	double value, low, high, p;
	size_t size, n; /* members; random sets of as many */
	double *sample; /* [n] what they show */
};
struct chart {
	size_t n;
	struct row rows[SETS_MOST];
	bool random; /* some row has a sample */
	struct pb_arena arena;
};

/* The random sets of a set's size, at its cell's other steps; none where the file gives it no p
 * among them (MLPs are in it). */
static enum pb_status take_sample(struct row *row, const struct pb_shown_sweep *w, size_t cell,
				  struct pb_arena *arena, struct pb_error *err)
{
	const struct pb_set *sets = w->grid.sweep.sets;
	const struct pb_shown_axis *axis = pb_sweep_axis(w, PB_AXIS_SET);
	const size_t set = pb_axis_step(axis, cell), first = cell - set * axis->stride;
	size_t r;

	row->size = sets[set].n;
	if (isnan(row->p))
		return PB_OK;
	row->sample = pb_arena_alloc(arena, axis->n, sizeof *row->sample);
	if (row->sample == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: sets");
	for (r = 0; r < axis->n; r++) {
		const double value = w->shown[0][first + r * axis->stride];

		if (sets[r].source == PB_SET_RANDOM && sets[r].n == sets[set].n && isfinite(value))
			row->sample[row->n++] = value;
	}
	return PB_OK;
}

static enum pb_status read_rows(struct chart *c, const struct pb_subject *s, size_t sweep,
				struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	struct pb_ranked *order = NULL;
	double *p = NULL;
	char text[96];
	size_t i;

	PB_TRY(pb_alloc((void **)&order, w->grid.n_cells, sizeof *order, "sets", err));
	PB_TRY(pb_file_grid_column_if(&w->grid, &s->r, sweep, "p_random_effect", &p, err));
	c->n = pb_strongest_sets(w, order, SETS_MOST);
	for (i = 0; i < c->n; i++) {
		const size_t cell = order[i].cell;
		struct row *row = &c->rows[i];

		pb_file_grid_label(&w->grid, cell, text, sizeof text);
		*row = (struct row){.label = pb_arena_strdup(
					&c->arena, strncmp(text, "set ", 4) == 0 ? text + 4 : text),
				    .value = w->shown[0][cell],
				    .low = w->low[0][cell],
				    .high = w->high[0][cell],
				    .p = p != NULL ? p[cell] : NAN};
		if (row->label == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: sets");
			goto cleanup;
		}
		PB_TRY(take_sample(row, w, cell, &c->arena, err));
		c->random = c->random || row->n > 0;
	}
cleanup:
	free(order);
	free(p);
	return status;
}

/* ---- drawing ------------------------------------------------------------------------------- */

static void take_range(const struct chart *c, struct pb_plot *p)
{
	size_t i, k;

	p->x_low = p->x_high = 0;
	for (i = 0; i < c->n; i++) {
		pb_range_add(&p->x_low, &p->x_high, c->rows[i].value);
		pb_range_add(&p->x_low, &p->x_high, c->rows[i].low);
		pb_range_add(&p->x_low, &p->x_high, c->rows[i].high);
		for (k = 0; k < c->rows[i].n; k++)
			pb_range_add(&p->x_low, &p->x_high, c->rows[i].sample[k]);
	}
}

/* How many of the sample fall into each part of the axis: the largest number. */
static size_t count(const struct pb_plot *p, const struct row *row, size_t counts[BINS])
{
	size_t most = 0, i;

	memset(counts, 0, BINS * sizeof *counts);
	for (i = 0; i < row->n; i++) {
		const double at = (row->sample[i] - p->x_low) / (p->x_high - p->x_low) * BINS;
		const size_t bin = at >= BINS ? BINS - 1 : at > 0 ? (size_t)at : 0;

		if (++counts[bin] > most)
			most = counts[bin];
	}
	return most;
}

/* Their histogram, standing on the row's bottom: the fullest bin has the row's height. */
static void draw_random(const struct pb_plot *p, struct row *row, double bottom, double height)
{
	double points[4 * BINS + 4], mean = 0, x;
	size_t counts[BINS], i, k = 0;
	const size_t most = count(p, row, counts);
	const double w = p->w / BINS;
	struct pb_mark *mark;

	points[k++] = p->x;
	points[k++] = bottom;
	for (i = 0; i < BINS; i++) {
		const double y = bottom - height * (double)counts[i] / (double)most;

		points[k++] = p->x + w * (double)i;
		points[k++] = y;
		points[k++] = p->x + w * (double)(i + 1);
		points[k++] = y;
	}
	points[k++] = p->x + p->w;
	points[k++] = bottom;
	for (i = 0; i < row->n; i++)
		mean += row->sample[i] / (double)row->n;
	mark = pb_draw_path(p->d, points, k / 2, 0);
	mark->closed = true;
	mark->fill = 0xc8c8c8;
	pb_mark_title(
	    p->d, mark, "%zu random sets of %zu head%s: mean %.4g, 95%% from %.4g to %.4g", row->n,
	    row->size, row->size == 1 ? "" : "s", mean, pb_quantile(row->sample, row->n, 0.025),
	    pb_quantile(row->sample, row->n, 0.975));
	x = pb_plot_x(p, mean);
	pb_draw_line(p->d, x, bottom - height, x, bottom, p->style->line * 1.5)->stroke = 0x707070;
}

static void draw_set(const struct pb_plot *p, const struct row *row, double y)
{
	const uint32_t colour = pb_category(0);
	char among[64] = "", interval[64] = "";
	struct pb_mark *dot;

	if (!isfinite(row->value)) {
		pb_draw_text(p->d, pb_plot_x(p, 0) + 2, y + p->style->size * 0.3,
			     p->style->size * 0.8, PB_START, "not applicable");
		return;
	}
	if (isfinite(row->low)) {
		pb_draw_line(p->d, pb_plot_x(p, row->low), y, pb_plot_x(p, row->high), y,
			     p->style->line * 2)
		    ->stroke = colour;
		(void)snprintf(interval, sizeof interval, " [%.4g, %.4g]", row->low, row->high);
	}
	if (row->n > 0)
		(void)snprintf(among, sizeof among, ", p %.2g among %zu random sets", row->p,
			       row->n);
	dot = pb_draw_circle(p->d, pb_plot_x(p, row->value), y, p->style->size * 0.3, colour);
	pb_mark_title(p->d, dot, "%s: %.4g%s%s", row->label, row->value, interval, among);
}

static enum pb_status draw_chart(struct chart *c, struct pb_figure_list *list, const char *quantity,
				 const char *caption, struct pb_figure **figure, const char *file,
				 struct pb_error *err)
{
	enum pb_status status;
	const struct pb_style *style = list->style;
	const double size = style->size, height = size * 2.6, room = size * 5;
	struct pb_plot p = {.style = style, .y = size * 1.8, .h = height * (double)c->n};
	char text[32];
	size_t i;

	for (i = 0; i < c->n; i++)
		p.x = fmax(p.x, pb_plot_label_width(style, c->rows[i].label));
	p.x += size;
	p.w = style->width - p.x - room;
	take_range(c, &p);
	PB_TRY(pb_figure_share_range(list, file, quantity, &p.x_low, &p.x_high, err));
	pb_range_finish(&p.x_low, &p.x_high);
	PB_TRY(pb_figure_add(list, figure, p.y + p.h + pb_plot_bottom(style), caption, err, "%s",
			     file));
	p.d = &(*figure)->drawing;
	pb_draw_text(p.d, p.x + p.w + size * 0.8, p.y - size * 0.6, size * 0.9, PB_START, "p");
	for (i = 0; i < c->n; i++) {
		const double y = p.y + height * (double)i;

		pb_plot_row_label(&p, c->rows[i].label, y + height * 0.6);
		if (c->rows[i].n > 0) {
			draw_random(&p, &c->rows[i], y + height, height * 0.8);
			(void)snprintf(text, sizeof text, "%.2g", c->rows[i].p);
			pb_draw_text(p.d, p.x + p.w + size * 0.8, y + height * 0.6 + size * 0.32,
				     size * 0.9, PB_START, text);
		}
		draw_set(&p, &c->rows[i], y + height * 0.6);
	}
	pb_plot_rows_axis(&p, quantity);
	status = pb_drawing_status(p.d, err);
cleanup:
	return status;
}

/* Without random sets: bars. */
static enum pb_status draw_bars(const struct chart *c, struct pb_figure_list *list,
				const char *quantity, const char *caption,
				struct pb_figure **figure, const char *file, struct pb_error *err)
{
	struct pb_bar bars[SETS_MOST];
	size_t i;

	for (i = 0; i < c->n; i++)
		bars[i] = (struct pb_bar){.label = c->rows[i].label,
					  .value = c->rows[i].value,
					  .low = c->rows[i].low,
					  .high = c->rows[i].high,
					  .colour = pb_category(0)};
	return pb_bars_draw(list, bars, c->n, quantity, caption, figure, err, file);
}

enum pb_status pb_figure_sets(struct pb_figure_list *list, struct pb_subject *s, size_t number,
			      size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	const char *quantity = pb_sweep_quantity(w);
	struct chart c = {0};
	struct pb_figure *figure;
	char *file = NULL, *caption = NULL, left_out[160];

	PB_TRY(read_rows(&c, s, sweep, err));
	if (c.n == 0)
		goto cleanup;
	file = pb_format("%zu-%s-sets", number, w->info->name);
	caption = pb_format(
	    "%s: mean %s of each set with its 95%% interval%s%s.", pb_sweep_title(&c.arena, w),
	    quantity,
	    c.random ? "; grey, the distribution of the random sets of as many heads, and their "
		       "mean; p of the set's |mean effect|, by rank among theirs"
		     : "",
	    pb_sweep_left_out(s, w, left_out));
	if (file == NULL || caption == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: sets");
		goto cleanup;
	}
	if (c.random)
		PB_TRY(draw_chart(&c, list, quantity, caption, &figure, file, err));
	else
		PB_TRY(draw_bars(&c, list, quantity, caption, &figure, file, err));
	figure->subject = number;
	figure->sweep = sweep;
cleanup:
	free(file);
	free(caption);
	pb_arena_free(&c.arena);
	return status;
}
