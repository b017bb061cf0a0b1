/* The variants of a sweep: how many there are, and those of a wave in the order in which it carries
 * them. */
#include <stdlib.h>

#include "engine/sweeps.h"

void pb_variants_free(struct pb_variants *list)
{
	free(list->v);
	free(list->runs);
	free(list->injections);
	*list = (struct pb_variants){0};
}

/* ---- counting -------------------------------------------------------------------------------- */

/* Useful operations of one row through a whole block, and of its MLP. */
static double flops_block(const struct pb_arch *a)
{
	double d = (double)a->d_model;

	return 2.0 * d *
	       ((double)pb_qkv_width(a) + (double)pb_z_width(a) + (double)pb_h_width(a) +
		(double)a->d_mlp);
}

static double flops_mlp(const struct pb_arch *a)
{
	return 2.0 * (double)a->d_model * (double)(pb_h_width(a) + a->d_mlp);
}

/* Whole blocks after its own, the last layer at one row, and what its own layer costs. */
static double flops_of(const struct pb_sweep_work *w, const struct pb_variants *list,
		       const struct pb_variant *v)
{
	const struct pb_arch *a = w->arch;
	double rows = (double)pb_variant_rows(v, &w->pairs[v->pair]);
	double blocks = (double)a->n_layers - 2.0 - (double)v->layer, written = 0.0;
	bool last = v->layer + 1 >= (int32_t)a->n_layers;
	double own = 0.0;

	for (size_t r = v->run; r < v->run + v->n_runs; r++)
		written += list->runs[r].n;
	written = written < rows ? written : rows;
	if (v->site <= PB_SITE_RESID_PRE)
		own = last ? flops_block(a) : rows * flops_block(a);
	else if (!a->parallel && v->site <= PB_SITE_RESID_MID)
		own = (last ? 1.0 : written) * flops_mlp(a);
	if (v->layer >= (int32_t)a->n_layers)
		own = 0.0;
	if (v->site == PB_SITE_MLP_PRE || v->site == PB_SITE_MLP_POST)
		own = (last ? 1.0 : written) * flops_mlp(a) / 2.0;
	return own + (last ? 0.0 : rows * blocks * flops_block(a) + flops_block(a));
}

static enum pb_status count_pair(const struct pb_sweep_work *w, size_t pair,
				 struct pb_variants *list, struct pb_sweep_shape *s,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;

	*s = (struct pb_sweep_shape){0};
	for (size_t cell = 0; cell < w->grid->n_cells; cell++) {
		enum pb_cell_kind kind;
		size_t rows;

		list->n = list->n_runs = list->n_injections = 0;
		PB_TRY(pb_cell_variant(w, pair, cell, list, &kind, err));
		if (kind != PB_CELL_VARIANT)
			continue;
		rows = pb_variant_rows(&list->v[0], &w->pairs[pair]);
		s->n_variants++;
		s->n_rows += rows;
		s->rows_most = rows > s->rows_most ? rows : s->rows_most;
		s->n_runs += list->n_runs;
		s->n_injections += list->n_injections;
		s->flops += flops_of(w, list, &list->v[0]);
		if (w->sweep->intervention == PB_PATH)
			s->n_sender_rows = pb_n_senders(w) * (w->pairs[pair].length -
							      (size_t)list->v[0].sender_first);
	}
cleanup:
	return status;
}

/* Whether two pairs have the same shape for certain. */
static bool same_shape(const struct pb_sweep_work *w, const struct pb_pair *a,
		       const struct pb_pair *b)
{
	return a->length == b->length && a->first_difference == b->first_difference &&
	       w->sweep->positions != PB_POSITIONS_ROLES && w->sweep->intervention != PB_RESAMPLE &&
	       w->sweep->intervention != PB_MEAN;
}

/* The shape of one pair, counted once a run; the pair before often has the same. */
static enum pb_status shape_of(const struct pb_sweep_work *w, size_t pair, size_t first,
			       struct pb_variants *list, struct pb_sweep_shape *s,
			       struct pb_error *err)
{
	struct pb_shape_cache *cache = w->shapes;
	size_t at = w->first_pair + pair;
	enum pb_status status = PB_OK;

	if (cache && cache->known[at]) {
		*s = cache->shapes[at];
		return PB_OK;
	}
	if (cache && at > 0 && cache->known[at - 1] &&
	    same_shape(w, &w->all->items[at], &w->all->items[at - 1]))
		*s = cache->shapes[at - 1];
	else if (cache || pair == first || !same_shape(w, &w->pairs[pair], &w->pairs[pair - 1]))
		PB_TRY(count_pair(w, pair, list, s, err));
	if (cache) {
		cache->shapes[at] = *s;
		cache->known[at] = true;
	}
cleanup:
	return status;
}

enum pb_status pb_sweep_shape(const struct pb_sweep_work *w, size_t pair0, size_t pair1,
			      struct pb_sweep_shape *shape, struct pb_error *err)
{
	struct pb_sweep_work planning = *w;
	struct pb_variants list = {0};
	struct pb_sweep_shape one = {0};
	enum pb_status status = PB_OK;

	planning.run = NULL; /* zero deltas are not looked up */
	*shape = (struct pb_sweep_shape){0};
	for (size_t p = pair0; p < pair1; p++) {
		PB_TRY(shape_of(&planning, p, pair0, &list, &one, err));
		shape->n_variants += one.n_variants;
		shape->n_rows += one.n_rows;
		shape->n_runs += one.n_runs;
		shape->n_injections += one.n_injections;
		shape->n_sender_rows += one.n_sender_rows;
		shape->flops += one.flops;
		if (one.rows_most > shape->rows_most)
			shape->rows_most = one.rows_most;
	}
cleanup:
	pb_variants_free(&list);
	return status;
}

/* ---- the variants of a wave ------------------------------------------------------------------ */

static int by_entry(const void *a, const void *b)
{
	const struct pb_variant *x = a, *y = b;

	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	return (x->cell > y->cell) - (x->cell < y->cell);
}

enum pb_status pb_variants_make(const struct pb_sweep_work *w, size_t pair0, size_t pair1,
				struct pb_variants *list, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	list->n = list->n_runs = list->n_injections = 0;
	for (size_t p = pair0; p < pair1; p++)
		for (size_t cell = 0; cell < w->grid->n_cells; cell++) {
			enum pb_cell_kind kind;

			PB_TRY(pb_cell_variant(w, p, cell, list, &kind, err));
		}
	if (list->n > 0)
		qsort(list->v, list->n, sizeof *list->v, by_entry);
cleanup:
	return status;
}
