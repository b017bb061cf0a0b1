/* What becomes of a cell in a pair: what is written where, or that the cell does not exist there,
 * or is the recipient itself by construction. */
#include "engine/cells.h"

size_t pb_n_senders(const struct pb_sweep_work *w)
{
	int layer = pb_grid_axis(w->grid, PB_AXIS_SENDER_LAYER);
	int head = pb_grid_axis(w->grid, PB_AXIS_SENDER_HEAD);

	return (layer < 0 ? 1 : w->grid->axes[layer].n) * (head < 0 ? 1 : w->grid->axes[head].n);
}

static int32_t sender_of(const struct pb_sweep_work *w, size_t cell)
{
	int layer = pb_grid_axis(w->grid, PB_AXIS_SENDER_LAYER);
	int head = pb_grid_axis(w->grid, PB_AXIS_SENDER_HEAD);
	size_t steps[PB_GRID_AXES];

	pb_grid_steps(w->grid, cell, steps);
	if (layer < 0)
		return 0;
	return (int32_t)(head < 0 ? steps[layer]
				  : steps[layer] * w->grid->axes[head].n + steps[head]);
}

/* Only the answer position is read of a change here. */
static bool answer_only(const struct pb_arch *a, size_t layer, enum pb_site site)
{
	if (layer + 1 < a->n_layers)
		return false;
	return layer == a->n_layers || !pb_site_rows[site].read_later;
}

/* The other pair that a pair resamples from, -1: none. */
static int32_t other_pair(const struct pb_sweep_work *w, size_t pair)
{
	if (w->others)
		return w->others[w->first_pair + pair];
	return pb_pairs_resample(w->all, w->sweep->seed, w->first_pair + pair);
}

/* First position where the source's prompt may differ from the recipient's. */
static size_t source_difference(const struct pb_sweep_work *w, const struct pb_pair *pair,
				size_t index)
{
	const int32_t *mine = w->recipient ? pair->corrupted : pair->clean, *other;
	size_t i = 0;
	int32_t from;

	switch (pb_intervention_rows[w->sweep->intervention].kind) {
	case PB_SOURCE_DONOR:
	case PB_SOURCE_NOISE:
	case PB_SOURCE_SENDER:
		return w->no_shortcut ? 0 : pair->first_difference;
	case PB_SOURCE_OTHER:
		if (w->no_shortcut)
			return 0;
		from = other_pair(w, index);
		if (from < 0)
			return 0;
		other = w->recipient ? w->all->items[from].corrupted : w->all->items[from].clean;
		while (i < pair->length && mine[i] == other[i])
			i++;
		return i;
	default:
		return 0;
	}
}

/* Whether the two runs differ at a position of a site, as far as that is known. */
static bool may_differ(const struct pb_sweep_work *w, const struct pb_injection *in, size_t pair,
		       size_t position)
{
	const uint8_t *flags = w->run && !w->no_shortcut ? w->run->differs[w->sweep->site] : NULL;
	size_t layers, n, width;
	size_t layer = (size_t)in->layer;

	if (!flags || w->sweep->intervention != PB_PATCH)
		return true;
	pb_site_shape(w->arch, w->sweep->site, 1, &layers, &n, &width);
	if (w->sweep->site == PB_SITE_RESID_POST && in->site == PB_SITE_RESID_PRE)
		layer--; /* the flags are by the sweep's own layers */
	return flags[((layer * w->run->n_pairs + pair) * w->run->max_length + position) * n +
		     (in->index > 0 && n > 1 ? (size_t)in->index : 0)];
}

/* First changed position of a variant; its length when nothing changes. */
static size_t first_change(const struct pb_sweep_work *w, const struct pb_variants *list,
			   const struct pb_variant *v)
{
	const struct pb_pair *pair = &w->pairs[v->pair];
	size_t from = source_difference(w, pair, (size_t)v->pair);

	for (size_t r = v->run; r < v->run + v->n_runs; r++)
		for (size_t p = (size_t)list->runs[r].first;
		     p < (size_t)list->runs[r].first + (size_t)list->runs[r].n; p++)
			if (p >= from &&
			    (v->n_injections != 1 || w->sweep->by_sets ||
			     may_differ(w, &list->injections[v->injection], (size_t)v->pair, p)))
				return p;
	return pair->length;
}

/* Whether that holds for everything that a variant writes. */
static bool all_answer_only(const struct pb_sweep_work *w, const struct pb_variants *list,
			    const struct pb_variant *v)
{
	for (size_t i = v->injection; i < v->injection + v->n_injections; i++)
		if (!answer_only(w->arch, (size_t)list->injections[i].layer,
				 (enum pb_site)list->injections[i].site))
			return false;
	return true;
}

static bool writes_last(const struct pb_variants *list, const struct pb_variant *v, size_t length)
{
	const struct pb_run *last = &list->runs[v->run + v->n_runs - 1];

	return (size_t)last->first + (size_t)last->n == length;
}

/* Fill first, or find that nothing that is scored can change. */
static enum pb_cell_kind settle_first(const struct pb_sweep_work *w, const struct pb_variants *list,
				      struct pb_variant *v)
{
	const struct pb_pair *pair = &w->pairs[v->pair];
	bool path = w->sweep->intervention == PB_PATH;
	size_t first;

	if (v->n_runs == 0)
		return PB_CELL_BASELINE;
	first = first_change(w, list, v);
	if (first >= pair->length)
		return PB_CELL_BASELINE;
	v->sender_first = (int32_t)first;
	if (!w->no_shortcut && all_answer_only(w, list, v)) {
		if (!path && !writes_last(list, v, pair->length))
			return PB_CELL_BASELINE;
		first = pair->length - 1;
	}
	v->first = (int32_t)first;
	return PB_CELL_VARIANT;
}

static int32_t source_prompt(const struct pb_sweep_work *w, size_t pair)
{
	if (pb_intervention_rows[w->sweep->intervention].kind != PB_SOURCE_OTHER)
		return (int32_t)(2 * pair) + w->donor;
	return w->run ? pb_chunk_run_prompt(w->run, (size_t)other_pair(w, pair), w->recipient) : -1;
}

static bool alpha_changes_nothing(const struct pb_sweep_work *w, float alpha)
{
	return (w->sweep->intervention == PB_SCALE && alpha == 1.0f) ||
	       (w->sweep->intervention == PB_ADD && alpha == 0.0f);
}

static float alpha_of(const struct pb_sweep_work *w, size_t cell)
{
	int axis = pb_grid_axis(w->grid, PB_AXIS_ALPHA);
	size_t steps[PB_GRID_AXES];

	if (w->sweep->n_alphas == 0)
		return 1.0f;
	pb_grid_steps(w->grid, cell, steps);
	return (float)w->sweep->alphas[axis < 0 ? 0 : steps[axis]];
}

static enum pb_status describe(const struct pb_sweep_work *w, size_t pair, size_t cell,
			       struct pb_variants *list, struct pb_variant *v,
			       enum pb_cell_kind *kind, struct pb_error *err)
{
	bool path = w->sweep->intervention == PB_PATH, exists;
	enum pb_status status;

	*kind = PB_CELL_ABSENT;
	PB_TRY(pb_cell_positions(w, &w->pairs[pair], cell, list, &exists, err));
	if (!exists || (pb_intervention_rows[w->sweep->intervention].kind == PB_SOURCE_OTHER &&
			other_pair(w, pair) < 0))
		return PB_OK;
	v->n_runs = (uint32_t)(list->n_runs - v->run);
	PB_TRY(pb_cell_injections(w, cell, list, err));
	v->n_injections = (uint32_t)(list->n_injections - v->injection);
	if (w->known && w->known[cell] && !w->no_shortcut) {
		*kind = PB_CELL_BASELINE;
		return PB_OK;
	}
	if (v->n_injections == 0) { /* no path, or the empty set */
		*kind = path ? PB_CELL_ABSENT : PB_CELL_BASELINE;
		return PB_OK;
	}
	v->layer = list->injections[v->injection].layer;
	v->site = list->injections[v->injection].site;
	v->index = v->n_injections == 1 ? list->injections[v->injection].index : -1;
	v->key = pb_grid_value(w->grid, cell, PB_AXIS_KEY_POSITION);
	v->sender = path ? sender_of(w, cell) : -1;
	v->source = source_prompt(w, pair);
	v->alpha = alpha_of(w, cell);
	*kind = !w->no_shortcut && alpha_changes_nothing(w, v->alpha) ? PB_CELL_BASELINE
								      : settle_first(w, list, v);
cleanup:
	return status;
}

enum pb_status pb_cell_variant(const struct pb_sweep_work *w, size_t pair, size_t cell,
			       struct pb_variants *list, enum pb_cell_kind *kind,
			       struct pb_error *err)
{
	size_t runs = list->n_runs, injections = list->n_injections;
	struct pb_variant v = {.pair = (int32_t)pair,
			       .cell = (int32_t)cell,
			       .run = (uint32_t)runs,
			       .injection = (uint32_t)injections};
	void *grown = list->v;
	enum pb_status status;

	PB_TRY(pb_grow(&grown, &list->capacity, list->n + 1, sizeof *list->v, "variants", err));
	list->v = grown;
	PB_TRY(describe(w, pair, cell, list, &v, kind, err));
	if (*kind == PB_CELL_VARIANT) {
		list->v[list->n++] = v;
		return PB_OK;
	}
cleanup:
	list->n_runs = runs;
	list->n_injections = injections;
	return status;
}
