/* Figures of readings: attributions, the logit lens, scores of heads, attention patterns. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/head_readings.h"
#include "report/palette.h"
#include "report/place.h"
#include "report/plot.h"

#define BARS_MOST 16
#define PATTERNS_MOST 4
#define PATTERN_LENGTH 64 /* tokens: longer ones could not be read */

struct context {
	struct pb_figure_list *list;
	struct pb_subject *s;
	size_t number;
	struct pb_arena arena;
};

static char *file_name(struct context *c, const char *what)
{
	char name[96];

	(void)snprintf(name, sizeof name, "%zu-%s", c->number, what);
	return pb_arena_strdup(&c->arena, name);
}

/* ---- direct logit attribution ------------------------------------------------------------------
 */

struct component {
	char label[64];
	double mean, error;
};
struct components {
	size_t n, capacity;
	struct component *items;
};

/* Means of a dataset (pair, ...) of `count` components a pair. */
static enum pb_status add_components(struct components *all, const struct pb_subject *s,
				     const char *name, size_t n_layers, size_t n_heads,
				     const char *label, struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("readings/direct_logit_attribution/clean/%s", name);
	const size_t dims[3] = {s->r.n_pairs, n_layers, n_heads};
	const int rank = n_layers == 0 ? 1 : n_heads == 0 ? 2 : 3;
	const size_t n = (n_layers == 0 ? 1 : n_layers) * (n_heads == 0 ? 1 : n_heads);
	double *table = NULL;
	size_t i;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: readings");
	PB_TRY(pb_subject_numbers(s, path, rank, dims, &table, err));
	PB_TRY(pb_grow((void **)&all->items, &all->capacity, all->n + n, sizeof *all->items,
		       "readings", err));
	for (i = 0; table != NULL && i < n; i++) {
		struct component *item = &all->items[all->n++];

		if (rank == 3)
			(void)snprintf(item->label, sizeof item->label, "L%zuH%zu", i / n_heads,
				       i % n_heads);
		else
			(void)snprintf(item->label, sizeof item->label, rank == 2 ? "%s%zu" : "%s",
				       label, i);
		pb_mean_rows(table, s->r.n_pairs, n, i, &item->mean, &item->error);
	}
cleanup:
	free(path);
	free(table);
	return status;
}

static int by_mean(const void *a, const void *b)
{
	const double x = fabs(((const struct component *)a)->mean);
	const double y = fabs(((const struct component *)b)->mean);

	return (x < y) - (x > y);
}

static enum pb_status attribution(struct context *c, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_subject *s = c->s;
	struct components all = {0};
	struct pb_bar bars[BARS_MOST];
	struct pb_figure *figure;
	size_t n, i;

	PB_TRY(add_components(&all, s, "heads", s->r.n_layers, s->r.n_heads, "", err));
	PB_TRY(add_components(&all, s, "mlp", s->r.n_layers, 0, "M", err));
	PB_TRY(add_components(&all, s, "attn_bias", s->r.n_layers, 0, "bias of attention ", err));
	PB_TRY(add_components(&all, s, "embed", 0, 0, "embed", err));
	PB_TRY(add_components(&all, s, "pos_embed", 0, 0, "pos_embed", err));
	PB_TRY(add_components(&all, s, "bias", 0, 0, "bias", err));
	if (all.n == 0)
		goto cleanup;
	qsort(all.items, all.n, sizeof *all.items, by_mean);
	n = all.n < BARS_MOST ? all.n : BARS_MOST;
	for (i = 0; i < n; i++) {
		const struct component *item = &all.items[i];

		bars[i] = (struct pb_bar){.label = item->label,
					  .value = item->mean,
					  .low = item->mean - 1.96 * item->error,
					  .high = item->mean + 1.96 * item->error,
					  .colour = item->mean < 0 ? 0x2166ac : 0xb2182b};
	}
	PB_TRY(pb_bars_draw(
	    c->list, bars, n, "direct logit attribution (logits)",
	    "Direct logit attribution on clean prompts: the components that write most "
	    "to the logit difference, mean over pairs and 1.96 standard errors.",
	    &figure, err, file_name(c, "attribution")));
	figure->subject = c->number;
cleanup:
	free(all.items);
	return status;
}

/* ---- logit lens --------------------------------------------------------------------------------
 */

static enum pb_status lens_side(struct pb_plot *p, double *values, const struct pb_subject *s,
				const char *path, bool *there, struct pb_error *err)
{
	enum pb_status status;
	const size_t dims[2] = {s->r.n_pairs, s->r.n_layers};
	const size_t n = s->r.n_layers;
	double *table = NULL;
	size_t i;

	PB_TRY(pb_subject_numbers(s, path, 2, dims, &table, err));
	*there = table != NULL;
	for (i = 0; table != NULL && i < n; i++) {
		double error;

		pb_mean_rows(table, s->r.n_pairs, n, i, &values[i], &error);
		values[n + i] = values[i] - 1.96 * error;
		values[2 * n + i] = values[i] + 1.96 * error;
		pb_range_add(&p->y_low, &p->y_high, values[i]);
		pb_range_add(&p->y_low, &p->y_high, values[n + i]);
		pb_range_add(&p->y_low, &p->y_high, values[2 * n + i]);
	}
cleanup:
	free(table);
	return status;
}

static enum pb_status lens(struct context *c, struct pb_error *err)
{
	static const char *const names[] = {"clean", "corrupted"};
	enum pb_status status;
	const size_t n = c->s->r.n_layers;
	const struct pb_style *style = c->list->style;
	struct pb_plot p = {.style = style, .y = style->size, .y_low = 0, .y_high = 0};
	double *values = pb_arena_alloc(&c->arena, 7 * n, sizeof *values);
	struct pb_figure *figure;
	bool there[2];
	size_t i, k;

	if (values == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: readings");
	PB_TRY(lens_side(&p, values, c->s, "readings/logit_lens/clean/logit_diff", &there[0], err));
	PB_TRY(lens_side(&p, values + 3 * n, c->s, "readings/logit_lens/corrupted/logit_diff",
			 &there[1], err));
	if (!there[0] || !there[1])
		return PB_OK;
	PB_TRY(
	    pb_figure_add(c->list, &figure, style->width * 0.6,
			  "Logit lens: logit difference of the residual stream behind each layer, "
			  "mean over pairs and 1.96 standard errors.",
			  err, "%zu-logit-lens", c->number));
	figure->subject = c->number;
	p.d = &figure->drawing;
	p.x = pb_plot_left(style);
	p.w = style->width - p.x - pb_plot_legend_room(style);
	p.h = style->width * 0.6 - p.y - pb_plot_bottom(style);
	p.x_low = 0;
	p.x_high = (double)(n - 1);
	pb_range_finish(&p.x_low, &p.x_high);
	PB_TRY(pb_figure_share_range(c->list, figure->file, "logit difference", &p.y_low, &p.y_high,
				     err));
	pb_range_finish(&p.y_low, &p.y_high);
	pb_plot_frame(&p, "layer", "logit difference", true);
	for (i = 0; i < n; i++)
		values[6 * n + i] = (double)i;
	for (k = 0; k < 2; k++) {
		double *side = values + 3 * n * k;

		pb_plot_curve(&p, n, values + 6 * n, side, side + n, side + 2 * n,
			      pb_category(5 * k));
		pb_plot_legend(&p, k, names[k], pb_category(5 * k));
	}
	status = pb_drawing_status(p.d, err);
cleanup:
	return status;
}

/* ---- scores of heads
 * ----------------------------------------------------------------------------- */

static const char **numbers(struct pb_arena *arena, size_t n)
{
	const char **out = pb_arena_alloc(arena, n, sizeof *out);
	char text[24];
	size_t i;

	for (i = 0; out != NULL && i < n; i++) {
		(void)snprintf(text, sizeof text, "%zu", i);
		out[i] = pb_arena_strdup(arena, text);
		if (out[i] == NULL)
			return NULL;
	}
	return out;
}

static enum pb_status scores(struct context *c, struct pb_error *err)
{
	enum pb_status status;
	struct pb_head_readings readings;
	struct pb_panel panels[6];
	struct pb_figure *figure;
	const char **layers = numbers(&c->arena, c->s->r.n_layers);
	const char **heads = numbers(&c->arena, c->s->r.n_heads);
	size_t n = 0, i;

	PB_TRY(pb_head_readings_read(&readings, c->s, err));
	if (layers == NULL || heads == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: readings");
		goto cleanup;
	}
	for (i = 0; i < readings.n && n < 6; i++)
		if (strstr(readings.items[i].name, "score") != NULL)
			panels[n++] = (struct pb_panel){.title = readings.items[i].name,
							.n_rows = c->s->r.n_layers,
							.n_columns = c->s->r.n_heads,
							.values = readings.items[i].values,
							.row_labels = layers,
							.column_labels = heads,
							.row_title = "layer",
							.column_title = "head"};
	if (n > 0) {
		const struct pb_heat heat = {.quantity = "score",
					     .sequential = true,
					     .vmax = 1,
					     .n_panels = n,
					     .n_columns = n > 1 ? 2 : 1,
					     .panels = panels};

		PB_TRY(pb_heat_draw(c->list, &heat, "Scores of heads, by layer and head.", &figure,
				    err, file_name(c, "scores")));
		figure->subject = c->number;
	}
cleanup:
	pb_head_readings_free(&readings);
	return status;
}

/* ---- patterns
 * ------------------------------------------------------------------------------------ */

/* The strongest heads of the first sweep by head, as layer * n_heads + head: how many. */
size_t pb_strongest_heads(const struct pb_subject *s, size_t most, size_t *heads)
{
	struct pb_ranked *order;
	size_t n = 0, i, k, sweep;

	for (sweep = 0; sweep < s->n_sweeps && n == 0; sweep++) {
		const struct pb_shown_sweep *w = &s->sweeps[sweep];
		const struct pb_shown_axis *layer = pb_sweep_axis(w, PB_AXIS_LAYER);
		const struct pb_shown_axis *head = pb_sweep_axis(w, PB_AXIS_HEAD);

		order =
		    layer != NULL && head != NULL ? malloc(w->grid.n_cells * sizeof *order) : NULL;
		if (order == NULL)
			continue;
		for (i = 0; i < w->grid.n_cells; i++) {
			const double effect = w->columns[0][PB_SHOWN_EFFECT][i];

			order[i] = (struct pb_ranked){isfinite(effect) ? fabs(effect) : -1, i};
		}
		pb_rank(order, w->grid.n_cells);
		for (i = 0; i < w->grid.n_cells && n < most && order[i].size >= 0; i++) {
			const size_t l = (size_t)layer->values[pb_axis_step(layer, order[i].cell)];
			const size_t h = (size_t)head->values[pb_axis_step(head, order[i].cell)];

			for (k = 0; k < n && heads[k] != l * s->r.n_heads + h;)
				k++;
			if (k == n && l < s->r.n_layers && h < s->r.n_heads)
				heads[n++] = l * s->r.n_heads + h;
		}
		free(order);
	}
	return n;
}

static enum pb_status pattern_panel(struct context *c, struct pb_panel *panel, size_t head,
				    const char **labels, const uint8_t *bold, size_t n,
				    struct pb_error *err)
{
	enum pb_status status;
	const size_t n_heads = c->s->r.n_heads;
	double *pattern = NULL, *kept;
	char title[48];
	size_t i;

	PB_TRY(pb_saved_pattern_read(c->s, 0, head / n_heads, head % n_heads, &pattern, err));
	kept = pb_arena_alloc(&c->arena, n * n, sizeof *kept);
	(void)snprintf(title, sizeof title, "L%zuH%zu", head / n_heads, head % n_heads);
	*panel = (struct pb_panel){.title = pb_arena_strdup(&c->arena, title),
				   .n_rows = n,
				   .n_columns = n,
				   .values = kept,
				   .row_labels = labels,
				   .column_labels = labels,
				   .row_bold = bold,
				   .column_bold = bold,
				   .row_title = "query",
				   .column_title = "key"};
	if (kept == NULL || panel->title == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a pattern");
	for (i = 0; kept != NULL && pattern != NULL && i < n * n; i++)
		kept[i] = i % n <= i / n ? pattern[i] : NAN;
cleanup:
	free(pattern);
	return status;
}

static enum pb_status patterns(struct context *c, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_panel panels[PATTERNS_MOST];
	struct pb_figure *figure;
	size_t heads[PATTERNS_MOST], n_heads, n = (size_t)c->s->length[0], i;
	const char **labels = pb_arena_alloc(&c->arena, n, sizeof *labels);
	uint8_t *bold = pb_arena_alloc(&c->arena, n, 1);
	char caption[224];

	if (!pb_h5_exists(c->s->r.file, "activations/clean/pattern") || n > PATTERN_LENGTH)
		return PB_OK;
	n_heads = pb_strongest_heads(c->s, PATTERNS_MOST, heads);
	for (i = 0; labels != NULL && bold != NULL && i < n; i++) {
		labels[i] = pb_subject_token_label(c->s, &c->arena, c->s->tokens[0][i]);
		bold[i] = c->s->tokens[0][i] != c->s->tokens[1][i];
	}
	for (i = 0; i < n; i++)
		if (labels == NULL || bold == NULL || labels[i] == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: a pattern");
	for (i = 0; i < n_heads; i++)
		PB_TRY(pattern_panel(c, &panels[i], heads[i], labels, bold, n, err));
	if (n_heads > 0) {
		const struct pb_heat heat = {.quantity = "attention",
					     .sequential = true,
					     .square = true,
					     .vmax = 1,
					     .n_panels = n_heads,
					     .n_columns = n_heads > 1 ? 2 : 1,
					     .panels = panels};

		(void)snprintf(caption, sizeof caption,
			       "Attention of the strongest heads on the clean prompt of the first "
			       "pair; hatched where a key comes after its query%s.",
			       pb_bold_words(c->s, bold));
		PB_TRY(
		    pb_heat_draw(c->list, &heat, caption, &figure, err, file_name(c, "patterns")));
		figure->subject = c->number;
	}
cleanup:
	return status;
}

enum pb_status pb_figures_of_readings(struct pb_figure_list *list, struct pb_subject *s,
				      size_t number, struct pb_error *err)
{
	enum pb_status status;
	struct context c = {.list = list, .s = s, .number = number};

	PB_TRY(attribution(&c, err));
	PB_TRY(lens(&c, err));
	PB_TRY(scores(&c, err));
	PB_TRY(patterns(&c, err));
cleanup:
	pb_arena_free(&c.arena);
	return status;
}
