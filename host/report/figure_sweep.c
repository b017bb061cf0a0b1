/* Maps of a sweep: layer x head, layer x position, head x position, pattern entries, paths. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/figure_sweep.h"

#define PANELS_MOST 6 /* of alphas, of heads */
#define HEADS_MOST 12 /* rows of a head x position map */

static const char *cell_label(void *context, size_t cell, char *text, size_t size)
{
	const struct pb_shown_sweep *w = context;

	if (cell == PB_NO_CELL)
		(void)snprintf(text, size, "no cell");
	else
		pb_file_grid_label(&w->grid, cell, text, size);
	return text;
}

struct pb_panel pb_map_panel(const struct pb_sweep_map *m, const struct pb_placing *p,
			     const size_t *cells)
{
	return (struct pb_panel){.n_rows = p->n_rows,
				 .n_columns = p->n_columns,
				 .cells = cells,
				 .values = m->w->shown[0],
				 .low = m->w->low[0],
				 .high = m->w->high[0],
				 .p_fwer = m->w->columns[0][PB_SHOWN_P_FWER],
				 .label = cell_label,
				 .context = m->w};
}

/* Draw panels of this sweep, and note whose they are. `what`: the end of the file's name. */
enum pb_status pb_map_draw(struct pb_sweep_map *m, const struct pb_panel *panels, size_t n_panels,
			   size_t n_columns, const char *what, const char *caption,
			   struct pb_error *err)
{
	enum pb_status status;
	const struct pb_heat heat = {.quantity = m->quantity != NULL ? m->quantity
								     : pb_sweep_quantity(m->w),
				     .square = m->square,
				     .vmax = m->list->vmax,
				     .n_panels = n_panels,
				     .n_columns = n_columns,
				     .panels = panels,
				     .role_names = m->s->role_names,
				     .n_roles = m->s->n_roles};
	struct pb_figure *figure;
	char *file = NULL, *text = NULL, left_out[160];

	file = pb_format("%zu-%s-%s", m->number, m->w->info->name, what);
	text = pb_format("%s: %s%s.", pb_sweep_title(&m->arena, m->w), caption,
			 pb_sweep_left_out(m->s, m->w, left_out));
	if (file == NULL || text == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a figure");
		goto cleanup;
	}
	PB_TRY(pb_heat_draw(m->list, &heat, text, &figure, err, file));
	figure->subject = m->number;
	figure->sweep = m->sweep;
cleanup:
	free(file);
	free(text);
	return status;
}

/* ---- layer x head -------------------------------------------------------------------------- */

static const char *head_title(const struct pb_sweep_map *m)
{
	return m->head == NULL ? "" : m->head->kind == PB_AXIS_KV_HEAD ? "KV head" : "head";
}

static enum pb_status head_panel(struct pb_sweep_map *m, size_t alpha, struct pb_panel *out,
				 struct pb_error *err)
{
	enum pb_status status;
	struct pb_placing p = {.sweep = m->w,
			       .rows = {m->layer},
			       .columns = {m->head},
			       .n_rows = m->layer->n,
			       .n_columns = m->head != NULL ? m->head->n : 1,
			       .only = {m->alpha},
			       .only_key = alpha};
	const char **rows, **columns;
	size_t *cells;
	char text[48];

	PB_TRY(pb_place_cells(&p, &m->arena, &cells, err));
	PB_TRY(pb_place_labels(p.rows, false, NULL, p.n_rows, &m->arena, &rows, err));
	PB_TRY(pb_place_labels(p.columns, false, NULL, p.n_columns, &m->arena, &columns, err));
	*out = pb_map_panel(m, &p, cells);
	out->row_labels = rows;
	out->column_labels = columns;
	out->row_title = "layer";
	out->column_title = head_title(m);
	if (m->alpha != NULL) {
		(void)snprintf(text, sizeof text, "alpha = %g", m->alpha->values[alpha]);
		out->title = pb_arena_strdup(&m->arena, text);
	}
cleanup:
	return status;
}

enum pb_status pb_map_heads(struct pb_sweep_map *m, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_panel panels[PANELS_MOST];
	const size_t n = m->alpha == NULL            ? 1
			 : m->alpha->n < PANELS_MOST ? m->alpha->n
						     : PANELS_MOST;
	size_t k;

	for (k = 0; k < n; k++)
		PB_TRY(head_panel(m, k, &panels[k], err));
	status = pb_map_draw(
	    m, panels, n, n > 1 ? 2 : 1, "heads",
	    m->position != NULL
		? "mean over pairs by layer and head, at the position where the effect is "
		  "largest; outlined where p_fwer < 0.05, hatched where not applicable"
		: "mean over pairs by layer and head; outlined where p_fwer < 0.05, hatched "
		  "where not applicable",
	    err);
cleanup:
	return status;
}

/* ---- positions ----------------------------------------------------------------------------- */

static void put_positions(struct pb_panel *panel, const struct pb_position_labels *labels)
{
	panel->column_labels = labels->labels;
	panel->column_title = labels->title;
	panel->column_roles = labels->roles;
	panel->column_bold = labels->bold;
}

/* A caption of a map with positions. */
static enum pb_status draw_positions(struct pb_sweep_map *m, struct pb_panel *panel,
				     const struct pb_position_labels *labels, const char *what,
				     const char *caption, struct pb_error *err)
{
	char text[256];

	put_positions(panel, labels);
	(void)snprintf(text, sizeof text, "%s%s", caption, pb_bold_words(m->s, labels->bold));
	return pb_map_draw(m, panel, 1, 1, what, text, err);
}

/* By layer and position; by position alone of what no layer has (embed). */
static enum pb_status layer_position(struct pb_sweep_map *m,
				     const struct pb_position_labels *labels, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_placing p = {.sweep = m->w,
				     .rows = {m->layer},
				     .columns = {m->position},
				     .n_rows = m->layer != NULL ? m->layer->n : 1,
				     .n_columns = m->position->n};
	struct pb_panel panel;
	const char **rows;
	size_t *cells;

	PB_TRY(pb_place_cells(&p, &m->arena, &cells, err));
	PB_TRY(pb_place_labels(p.rows, false, NULL, p.n_rows, &m->arena, &rows, err));
	panel = pb_map_panel(m, &p, cells);
	panel.row_labels = rows;
	panel.row_title = m->layer != NULL ? "layer" : "";
	status = draw_positions(m, &panel, labels, m->layer != NULL ? "layer-position" : "position",
				m->layer == NULL ? "by position"
				: m->head != NULL
				    ? "by layer and position, the head of the largest effect"
				    : "by layer and position",
				err);
cleanup:
	return status;
}

static enum pb_status head_position(struct pb_sweep_map *m, const struct pb_position_labels *labels,
				    struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_axis *const axes[2] = {m->layer, m->head};
	struct pb_placing p = {.sweep = m->w,
			       .rows = {m->layer, m->head},
			       .columns = {m->position},
			       .n_columns = m->position->n};
	struct pb_panel panel;
	const char **rows;
	int32_t *row_of;
	size_t *cells;

	PB_TRY(pb_place_strongest(&p, axes, HEADS_MOST, &m->arena, &row_of, &p.n_rows, err));
	if (p.n_rows == 0)
		return PB_OK;
	p.row_of = row_of;
	PB_TRY(pb_place_cells(&p, &m->arena, &cells, err));
	PB_TRY(pb_place_labels(axes, false, row_of, p.n_rows, &m->arena, &rows, err));
	panel = pb_map_panel(m, &p, cells);
	panel.row_labels = rows;
	panel.row_title = "head";
	status = draw_positions(m, &panel, labels, "head-position",
				"the strongest heads by position", err);
cleanup:
	return status;
}

static enum pb_status positions(struct pb_sweep_map *m, struct pb_error *err)
{
	enum pb_status status;
	struct pb_position_labels labels;

	PB_TRY(pb_position_labels_make(&labels, m->s, m->position, &m->arena, err));
	PB_TRY(layer_position(m, &labels, err));
	if (m->head != NULL)
		PB_TRY(head_position(m, &labels, err));
cleanup:
	return status;
}

/* ---- pattern entries ------------------------------------------------------------------------- */

/* The strongest heads, a panel of query x key each. */
static enum pb_status entries(struct pb_sweep_map *m, const struct pb_shown_axis *key,
			      struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_axis *const axes[2] = {m->layer, m->head};
	struct pb_placing p = {.sweep = m->w,
			       .rows = {m->position},
			       .columns = {key},
			       .n_rows = m->position->n,
			       .n_columns = key->n};
	struct pb_position_labels queries, keys;
	struct pb_panel panels[PANELS_MOST];
	size_t n = 0, k, *cells;
	const char **names;
	char caption[160];
	int32_t *place;

	PB_TRY(pb_position_labels_make(&queries, m->s, m->position, &m->arena, err));
	PB_TRY(pb_position_labels_make(&keys, m->s, key, &m->arena, err));
	PB_TRY(pb_place_strongest(&p, axes, PANELS_MOST, &m->arena, &place, &n, err));
	PB_TRY(pb_place_labels(axes, false, place, n, &m->arena, &names, err));
	p.only[0] = axes[0];
	p.only[1] = axes[1];
	for (k = 0, p.only_key = 0; k < n; k++, p.only_key++) {
		while (place[p.only_key] < 0)
			p.only_key++;
		PB_TRY(pb_place_cells(&p, &m->arena, &cells, err));
		panels[k] = pb_map_panel(m, &p, cells);
		panels[k].title = names[k];
		panels[k].row_labels = queries.labels;
		panels[k].row_title = "query";
		panels[k].row_bold = queries.bold;
		put_positions(&panels[k], &keys);
		panels[k].column_title = "key";
	}
	(void)snprintf(caption, sizeof caption,
		       "entries of attention patterns, of the heads with the largest effect%s",
		       pb_bold_words(m->s, keys.bold));
	m->square = true;
	if (n > 0)
		status = pb_map_draw(m, panels, n, n > 1 ? 2 : 1, "pattern", caption, err);
	m->square = false;
cleanup:
	return status;
}

/* ---- which of them -----------------------------------------------------------------------------
 */

static void take_axes(struct pb_sweep_map *m)
{
	m->layer = pb_sweep_axis(m->w, PB_AXIS_LAYER);
	m->head = pb_sweep_axis(m->w, PB_AXIS_HEAD);
	if (m->head == NULL)
		m->head = pb_sweep_axis(m->w, PB_AXIS_KV_HEAD);
	m->alpha = pb_sweep_axis(m->w, PB_AXIS_ALPHA);
	m->position = pb_sweep_axis(m->w, PB_AXIS_POSITION);
	if (m->position == NULL)
		m->position = pb_sweep_axis(m->w, PB_AXIS_QUERY_POSITION);
}

static enum pb_status maps(struct pb_sweep_map *m, struct pb_error *err)
{
	const struct pb_shown_axis *key = pb_sweep_axis(m->w, PB_AXIS_KEY_POSITION);
	enum pb_status status = PB_OK;
	bool others;

	/* of one head a map by head is one place */
	if (m->layer != NULL && m->head != NULL && m->layer->n * m->head->n > 1)
		PB_TRY(pb_map_heads(m, err));
	else if (m->position == NULL)
		PB_TRY(pb_figure_curves(m->list, m->s, m->number, m->sweep, err));
	if (key != NULL && m->layer != NULL && m->position != NULL)
		PB_TRY(entries(m, key, err));
	else if (m->position != NULL)
		PB_TRY(positions(m, err));
	if (pb_sweep_axis(m->w, PB_AXIS_NEURON) != NULL)
		PB_TRY(pb_figure_neurons(m->list, m->s, m->number, m->sweep, err));
	if (pb_sweep_axis(m->w, PB_AXIS_SET) == NULL)
		goto cleanup;
	PB_TRY(pb_map_head_pairs(m, &others, err));
	if (others)
		status = pb_figure_sets(m->list, m->s, m->number, m->sweep, err);
cleanup:
	return status;
}

static enum pb_status of_sweep(struct pb_sweep_map *m, struct pb_error *err)
{
	enum pb_status status;

	take_axes(m);
	PB_TRY(m->w->grid.sweep.intervention == PB_PATH ? pb_map_paths(m, err) : maps(m, err));
	status = pb_figure_pairs(m->list, m->s, m->number, m->sweep, err);
cleanup:
	return status;
}

/* ---- both directions ------------------------------------------------------------------------- */

/* Where two sweeps are the same but for "denoise" and "noise": their names, and what tells them
 * from others of these names. */
static bool is_opposite(const struct pb_shown_sweep *denoise, const struct pb_shown_sweep *noise)
{
	const char *a = pb_result_sweep_words(denoise->info),
		   *b = pb_result_sweep_words(noise->info);
	const char *found = strstr(a, "_denoise_");
	size_t n;

	if (found == NULL || denoise->info->noise || !noise->info->noise ||
	    strcmp(denoise->differs, noise->differs) != 0)
		return false;
	n = (size_t)(found - a);
	return strncmp(a, b, n) == 0 && strncmp(b + n, "_noise_", 7) == 0 &&
	       strcmp(found + 9, b + n + 7) == 0;
}

/* Layer x head of a sweep and of its opposite beside each other, with one scale. */
static enum pb_status both_directions(struct pb_sweep_map *m, struct pb_shown_sweep *other,
				      struct pb_error *err)
{
	enum pb_status status;
	struct pb_shown_sweep *first = m->w;
	struct pb_panel panels[2];

	PB_TRY(head_panel(m, 0, &panels[0], err));
	m->w = other;
	take_axes(m);
	PB_TRY(head_panel(m, 0, &panels[1], err));
	m->w = first;
	panels[0].title = "denoise: restoration";
	panels[1].title = "noise: restoration \xe2\x88\x92 1";
	m->quantity = "restoration \xe2\x88\x92 baseline";
	status = pb_map_draw(
	    m, panels, 2, 2, "directions",
	    "both directions with one scale, from the baseline without intervention, which is 0 in "
	    "denoise and 1 in noise; mean over pairs by layer and head; outlined where p_fwer < "
	    "0.05, hatched where not applicable",
	    err);
cleanup:
	m->quantity = NULL;
	m->w = first;
	return status;
}

static enum pb_status directions(struct pb_sweep_map *m, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t k;

	take_axes(m);
	if (m->layer == NULL || m->head == NULL || m->alpha != NULL || !m->w->by_restoration)
		return PB_OK;
	for (k = 0; k < m->s->n_sweeps; k++)
		if (is_opposite(m->w, &m->s->sweeps[k]) && m->s->sweeps[k].by_restoration)
			PB_TRY(both_directions(m, &m->s->sweeps[k], err));
cleanup:
	return status;
}

enum pb_status pb_figures_of_sweeps(struct pb_figure_list *list, struct pb_subject *s,
				    size_t number, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < s->n_sweeps && status == PB_OK; i++) {
		struct pb_sweep_map m = {
		    .list = list, .s = s, .w = &s->sweeps[i], .number = number, .sweep = i};

		status = of_sweep(&m, err);
		if (status == PB_OK)
			status = directions(&m, err);
		pb_arena_free(&m.arena);
	}
	return status;
}
