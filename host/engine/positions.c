/* Which positions of a pair a cell writes. */
#include <string.h>

#include "engine/cells.h"

static enum pb_status add_run(struct pb_variants *list, struct pb_run run, struct pb_error *err)
{
	void *grown = list->runs;
	enum pb_status status = pb_grow(&grown, &list->runs_capacity, list->n_runs + 1,
					sizeof *list->runs, "variants", err);

	list->runs = grown;
	if (status == PB_OK)
		list->runs[list->n_runs++] = run;
	return status;
}

/* Whether each role of the sweep is a role of the pair. */
static bool has_roles(const struct pb_sweep_work *w, const struct pb_pair *pair)
{
	for (size_t r = 0; r < w->sweep->n_roles; r++) {
		bool found = false;

		for (size_t i = 0; pair->roles && i < pair->length && !found; i++)
			found = pair->roles[i] >= 0 &&
				strcmp(w->all->roles[pair->roles[i]], w->sweep->roles[r]) == 0;
		if (!found)
			return false;
	}
	return true;
}

/* Whether a sweep over a list or roles writes at a position of a pair. */
static bool chosen(const struct pb_sweep_work *w, const struct pb_pair *pair, size_t position)
{
	const struct pb_sweep *s = w->sweep;

	for (size_t i = 0; i < s->n_list; i++) {
		int64_t p = s->list[i] < 0 ? (int64_t)pair->length + s->list[i] : s->list[i];

		if (p == (int64_t)position)
			return true;
	}
	for (size_t r = 0; pair->roles && pair->roles[position] >= 0 && r < s->n_roles; r++)
		if (strcmp(w->all->roles[pair->roles[position]], s->roles[r]) == 0)
			return true;
	return false;
}

/* Positions first .. last - 1 of a pair that a sweep of `all`, `last`, `each` or `each_key` writes
 * in a cell; false when there are none. */
static bool simple_range(const struct pb_sweep_work *w, const struct pb_pair *pair, size_t cell,
			 size_t *first, size_t *end)
{
	enum pb_axis_kind kind =
	    w->sweep->site == PB_SITE_PATTERN ? PB_AXIS_QUERY_POSITION : PB_AXIS_POSITION;
	size_t position;

	*first = 0;
	*end = pair->length;
	switch (w->sweep->positions) {
	case PB_POSITIONS_LAST:
		*first = pair->length - 1;
		return true;
	case PB_POSITIONS_EACH:
	case PB_POSITIONS_EACH_KEY:
		position = (size_t)pb_grid_value(w->grid, cell, kind);
		*first = position;
		*end = position + 1;
		return position < pair->length &&
		       (w->sweep->positions == PB_POSITIONS_EACH ||
			(size_t)pb_grid_value(w->grid, cell, PB_AXIS_KEY_POSITION) <= position);
	default:
		return true;
	}
}

/* The row of a mean's table for a position: -1 where it is left alone, -2 where there is no mean
 * for it. */
static int32_t mean_slot(const struct pb_sweep_work *w, const struct pb_pair *pair, size_t position)
{
	int32_t role = pair->roles ? pair->roles[position] : -1;

	switch (w->sweep->reference_by) {
	case PB_BY_POSITION:
		return (int32_t)position;
	case PB_BY_ROLE:
		if (role < 0)
			return -1;
		if (!w->sources) /* while planning: a slot a role */
			return role;
		return w->sources->role_slot[role] < 0 ? -2 : w->sources->role_slot[role];
	default:
		return 0;
	}
}

enum pb_status pb_cell_positions(const struct pb_sweep_work *w, const struct pb_pair *pair,
				 size_t cell, struct pb_variants *list, bool *exists,
				 struct pb_error *err)
{
	const struct pb_sweep *s = w->sweep;
	bool by_list = s->positions == PB_POSITIONS_LIST || s->positions == PB_POSITIONS_ROLES;
	bool mean = s->intervention == PB_MEAN;
	size_t first, end, start = list->n_runs;
	enum pb_status status = PB_OK;

	*exists = simple_range(w, pair, cell, &first, &end);
	for (size_t i = 0; i < s->n_list && s->positions == PB_POSITIONS_LIST; i++)
		*exists = *exists && s->list[i] < (int64_t)pair->length &&
			  s->list[i] >= -(int64_t)pair->length;
	if (s->positions == PB_POSITIONS_ROLES)
		*exists = *exists && has_roles(w, pair);
	if (!*exists)
		return PB_OK;
	for (size_t p = first; p < end; p++) {
		struct pb_run *last = list->n_runs > start ? &list->runs[list->n_runs - 1] : NULL;
		int32_t slot = mean ? mean_slot(w, pair, p) : 0;
		int32_t step = mean && s->reference_by == PB_BY_POSITION;

		if ((by_list && !chosen(w, pair, p)) || slot == -1)
			continue;
		if (slot == -2) {
			*exists = false;
			return PB_OK;
		}
		if (last && last->first + last->n == (int32_t)p &&
		    last->slot + step * last->n == slot)
			last->n++;
		else
			PB_TRY(add_run(list, (struct pb_run){(int32_t)p, 1, slot}, err));
	}
cleanup:
	return status;
}
