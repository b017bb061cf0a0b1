/* Sets `pairs: all` as a map of head x head. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/figure_sweep.h"

#define HEADS_MOST 30 /* rows and columns */

/* "L3H5" at *at: layer * n_heads + head, and *at behind it; SIZE_MAX where there is none of the
 * model's. */
static size_t read_head(const struct pb_subject *s, const char **at)
{
	char *end;
	unsigned long layer, head;

	if (**at != 'L')
		return SIZE_MAX;
	layer = strtoul(*at + 1, &end, 10);
	if (end == *at + 1 || *end != 'H')
		return SIZE_MAX;
	*at = end + 1;
	head = strtoul(*at, &end, 10);
	if (end == *at || layer >= s->r.n_layers || head >= s->r.n_heads)
		return SIZE_MAX;
	*at = end;
	return (size_t)layer * s->r.n_heads + (size_t)head;
}

/* The heads of a set by its name, "L3H5" (twice that head) or "L3H5+L4H0". */
static bool heads_of(const struct pb_subject *s, const struct pb_set *set, size_t heads[2])
{
	const char *at = set->name;

	if (set->source != PB_SET_PAIRS)
		return false;
	heads[0] = heads[1] = read_head(s, &at);
	if (heads[0] != SIZE_MAX && *at == '+') {
		at++;
		heads[1] = read_head(s, &at);
	}
	return heads[0] != SIZE_MAX && heads[1] != SIZE_MAX && *at == '\0';
}

struct cells {
	size_t n;              /* of cells that are of one head or two */
	size_t (*heads)[2];    /* [cells] SIZE_MAX: of none */
	struct pb_ranked *all; /* heads of the model, the strongest first */
	int32_t *place;        /* [heads of the model] row and column, -1: none */
};

static void cells_free(struct cells *c)
{
	free(c->heads);
	free(c->all);
	free(c->place);
}

static enum pb_status read_cells(struct cells *c, const struct pb_sweep_map *m,
				 struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_axis *axis = pb_sweep_axis(m->w, PB_AXIS_SET);
	const double *effect = m->w->columns[0][PB_SHOWN_EFFECT];
	const size_t n_cells = m->w->grid.n_cells, n_heads = m->s->r.n_layers * m->s->r.n_heads;
	size_t i;
	int k;

	PB_TRY(pb_alloc((void **)&c->heads, n_cells, sizeof *c->heads, "sets", err));
	PB_TRY(pb_alloc((void **)&c->all, n_heads, sizeof *c->all, "sets", err));
	PB_TRY(pb_alloc((void **)&c->place, n_heads, sizeof *c->place, "sets", err));
	for (i = 0; i < n_heads; i++)
		c->all[i] = (struct pb_ranked){-1, i};
	for (i = 0; i < n_cells; i++) {
		size_t *heads = c->heads[i];

		if (!heads_of(m->s, &m->w->grid.sweep.sets[pb_axis_step(axis, i)], heads)) {
			heads[0] = SIZE_MAX;
			continue;
		}
		c->n++;
		for (k = 0; k < 2 && isfinite(effect[i]); k++)
			c->all[heads[k]].size = fmax(c->all[heads[k]].size, fabs(effect[i]));
	}
cleanup:
	return status;
}

/* Places of the strongest heads, in the order of layers: how many. */
static size_t place_heads(struct cells *c, size_t n_heads)
{
	size_t n = 0, i;

	pb_rank(c->all, n_heads);
	for (i = 0; i < n_heads; i++)
		c->place[i] = -1;
	for (i = 0; i < n_heads && i < HEADS_MOST && c->all[i].size >= 0; i++)
		c->place[c->all[i].cell] = 0;
	for (i = 0; i < n_heads; i++)
		if (c->place[i] == 0)
			c->place[i] = (int32_t)n++;
	return n;
}

static bool is_stronger(const struct pb_shown_sweep *w, size_t cell, size_t than)
{
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];

	return than == PB_NO_CELL || !isfinite(effect[than]) ||
	       fabs(effect[cell]) > fabs(effect[than]);
}

static enum pb_status draw(struct pb_sweep_map *m, const struct cells *c, size_t n,
			   struct pb_error *err)
{
	enum pb_status status;
	const struct pb_placing p = {.n_rows = n, .n_columns = n};
	const size_t n_heads = m->s->r.n_heads;
	size_t *cells = pb_arena_alloc(&m->arena, n * n, sizeof *cells), i;
	const char **names = pb_arena_alloc(&m->arena, n, sizeof *names);
	struct pb_panel panel;
	char text[48];

	for (i = 0; cells != NULL && i < n * n; i++)
		cells[i] = PB_NO_CELL;
	for (i = 0; cells != NULL && i < m->w->grid.n_cells; i++) {
		const size_t *heads = c->heads[i];
		size_t row, column;

		if (heads[0] == SIZE_MAX || c->place[heads[0]] < 0 || c->place[heads[1]] < 0)
			continue;
		row = (size_t)c->place[heads[0]];
		column = (size_t)c->place[heads[1]];
		if (is_stronger(m->w, i, cells[row * n + column]))
			cells[row * n + column] = cells[column * n + row] = i;
	}
	for (i = 0; names != NULL && i < m->s->r.n_layers * n_heads; i++)
		if (c->place[i] >= 0) {
			(void)snprintf(text, sizeof text, "L%zuH%zu", i / n_heads, i % n_heads);
			names[c->place[i]] = pb_arena_strdup(&m->arena, text);
			if (names[c->place[i]] == NULL)
				names = NULL;
		}
	if (cells == NULL || names == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: sets");
	panel = pb_map_panel(m, &p, cells);
	panel.row_labels = panel.column_labels = names;
	panel.row_title = panel.column_title = "head";
	m->square = true;
	status = pb_map_draw(m, &panel, 1, 1, "head-pairs",
			     "two heads at once, one alone on the diagonal, of those with the "
			     "largest effects; mean over pairs; outlined where p_fwer < 0.05, "
			     "hatched where no set is of both",
			     err);
	m->square = false;
	return status;
}

enum pb_status pb_map_head_pairs(struct pb_sweep_map *m, bool *others, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_axis *axis = pb_sweep_axis(m->w, PB_AXIS_SET);
	struct cells c = {0};
	size_t n, i;

	*others = false;
	PB_TRY(read_cells(&c, m, err));
	for (i = 0; i < m->w->grid.n_cells; i++)
		*others = *others ||
			  (c.heads[i][0] == SIZE_MAX &&
			   m->w->grid.sweep.sets[pb_axis_step(axis, i)].source != PB_SET_RANDOM);
	n = c.n > 0 ? place_heads(&c, m->s->r.n_layers * m->s->r.n_heads) : 0;
	if (n > 0)
		status = draw(m, &c, n, err);
cleanup:
	cells_free(&c);
	return status;
}
