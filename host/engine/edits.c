/* Injections as edits of rows: from a variant's list of what it writes to runs of rows in a buffer
 * of changes (waves) or of values (plain forwards). */
#include <stdlib.h>

#include "engine/sweeps.h"

/* Factors of a row of pb_intervention_rows for changes or for values. With new = own x + base r +
 * source s and x = r + delta, the change is own delta + (own + base - 1) r + source s; what is
 * projected is no new value but a sum, own (r + delta) + base r + source s. */
static void factors(const struct pb_intervention_row *row, float alpha, bool values,
		    struct pb_edit *edit)
{
	edit->own = row->alpha_own ? row->own * alpha : row->own;
	edit->source = row->alpha_source ? row->source * alpha : row->source;
	edit->base = row->base;
	if (!values)
		edit->base += edit->own - (row->projected ? 0.0f : 1.0f);
}

/* Where the source's values of a site lie: array, stride, and the column of an index. */
static struct pb_place source_place(const struct pb_sweep_work *w, enum pb_source_kind kind,
				    enum pb_site site, size_t layer, int32_t index)
{
	struct pb_place place = pb_cache_place(w->arch, &w->run->cache, site, layer, index);
	const struct pb_source_table *table;

	if (kind != PB_SOURCE_MEAN && kind != PB_SOURCE_VECTOR && kind != PB_SOURCE_NOISE)
		return place;
	table = &w->sources->tables[site];
	return (struct pb_place){.array = table->layers[layer < table->n_layers ? layer : 0],
				 .stride = table->stride,
				 .column = index < 0 ? 0 : (size_t)index * place.columns,
				 .columns = place.columns};
}

/* Row and step of the source for a position of a variant. */
static void source_row(const struct pb_sweep_work *w, const struct pb_edit_view *view, size_t v,
		       const struct pb_variant *variant, const struct pb_run *run, int32_t position,
		       struct pb_edit *edit)
{
	const struct pb_span *spans = w->run->batch.spans;

	edit->source_step = 1;
	switch (pb_intervention_rows[w->sweep->intervention].kind) {
	case PB_SOURCE_DONOR:
	case PB_SOURCE_OTHER:
		edit->source_row = spans[variant->source].base + position;
		break;
	case PB_SOURCE_NOISE: /* laid out like the recipients' rows in the cache */
		edit->source_row = spans[2 * variant->pair + w->recipient].base + position;
		break;
	case PB_SOURCE_MEAN:
		edit->source_step = w->sweep->reference_by == PB_BY_POSITION;
		edit->source_row = run->slot + edit->source_step * (position - run->first);
		break;
	case PB_SOURCE_SENDER:
		edit->source_row = view->source_row(view->context, v, position);
		break;
	default:
		edit->source_row = edit->source_step = 0;
	}
}

static enum pb_status add_edit(struct pb_edit **edits, size_t *capacity, size_t *n,
			       struct pb_edit edit, struct pb_error *err)
{
	void *grown = *edits;
	enum pb_status status = pb_grow(&grown, capacity, *n + 1, sizeof **edits, "edits", err);

	*edits = grown;
	if (status == PB_OK)
		(*edits)[(*n)++] = edit;
	return status;
}

/* The edits of one injection of variant v. */
static enum pb_status edits_of(const struct pb_sweep_work *w, const struct pb_variants *list,
			       size_t v, const struct pb_injection *in,
			       const struct pb_edit_view *view, struct pb_edit **edits,
			       size_t *capacity, size_t *n, struct pb_error *err)
{
	const struct pb_intervention_row *row = &pb_intervention_rows[w->sweep->intervention];
	const struct pb_variant *variant = &list->v[v];
	const struct pb_span *base = &w->run->batch.spans[2 * variant->pair + w->recipient];
	bool sender = row->kind == PB_SOURCE_SENDER;
	/* everything that reaches a receiver is written, from its first change on */
	const struct pb_run all = {variant->sender_first, base->length - variant->sender_first, 0};
	const struct pb_run *runs = sender ? &all : list->runs + variant->run;
	struct pb_place at = pb_cache_place(w->arch, &w->run->cache, (enum pb_site)in->site,
					    (size_t)in->layer, in->index);
	struct pb_place from =
	    source_place(w, row->kind, (enum pb_site)in->site, (size_t)in->layer, in->index);
	enum pb_status status = PB_OK;

	for (size_t r = 0; r < (sender ? 1 : variant->n_runs); r++) {
		int32_t first = runs[r].first > variant->first ? runs[r].first : variant->first;
		int32_t end = runs[r].first + runs[r].n;
		struct pb_edit edit = {.column = view->compact_columns ? 0 : (int32_t)at.column,
				       .source_column = (int32_t)from.column};

		/* the rows of a view that are there are the last ones of a run */
		while (first < end && view->row(view->context, v, first) < 0)
			first++;
		if (first >= end)
			continue;
		edit.row = view->row(view->context, v, first);
		edit.n_rows = end - first;
		edit.base_row = base->base + first;
		factors(row, variant->alpha, view->values, &edit);
		source_row(w, view, v, variant, &runs[r], first, &edit);
		PB_TRY(add_edit(edits, capacity, n, edit, err));
	}
cleanup:
	return status;
}

/* ---- projections ----------------------------------------------------------------------------- */

/* For each edit: t = own x + base r + source s; out += (t U^T) U. */
static enum pb_status project(struct pb_engine *e, const struct pb_sweep_work *w, enum pb_site site,
			      size_t layer, int32_t index, const struct pb_edits *op,
			      struct pb_dev temp, enum pb_stage stage, struct pb_error *err)
{
	const struct pb_sources *s = w->sources;
	size_t layers, n_index, width, k = s->rank[site], which;
	struct pb_dev none = {0};
	enum pb_status status = PB_OK;

	pb_site_shape(&e->arch, site, 1, &layers, &n_index, &width);
	which = (layers > 1 ? layer : 0) * n_index + (index > 0 && n_index > 1 ? (size_t)index : 0);
	for (size_t i = 0; i < op->n; i++) {
		struct pb_edit edit = op->edits[i];
		size_t rows = (size_t)edit.n_rows;
		struct pb_dev out =
		    pb_dev_at(op->out, ((size_t)edit.row * op->out_stride + (size_t)edit.column) *
					   sizeof(float));
		struct pb_dev low = pb_dev_row(temp, rows, width); /* [rows, k] behind it */
		struct pb_rows copy = {.n_rows = rows,
				       .columns = width,
				       .a = out,
				       .a_stride = op->out_stride,
				       .out = temp,
				       .out_stride = width};
		struct pb_edits sum = *op;

		/* the base's column is found by the edit's own, which temp has not */
		sum.n = 1;
		sum.edits = &edit;
		sum.out = temp;
		sum.out_stride = width;
		sum.x0 = pb_dev_at(op->x0, (size_t)edit.column * sizeof(float));
		edit.row = edit.column = 0;
		PB_STAGE(e, stage, e->ops->rows(e->dev, &copy, err));
		PB_STAGE(e, stage, e->ops->edits(e->dev, &sum, err));
		PB_TRY(pb_engine_gemm(e, stage, rows, s->down[site][which], width, k, temp, width,
				      low, k, none, false, err));
		PB_TRY(pb_engine_gemm(e, stage, rows, s->up[site][which], k, width, low, k, out,
				      op->out_stride, none, true, err));
	}
cleanup:
	return status;
}

/* ---- a site ---------------------------------------------------------------------------------- */

/* Edits of the injections at (layer, site) that have this index, or of all of them (-2). */
static enum pb_status collect(const struct pb_sweep_work *w, const struct pb_variants *list,
			      size_t v0, size_t v1, size_t layer, enum pb_site site, int32_t *index,
			      const struct pb_edit_view *view, struct pb_edit **edits,
			      size_t *capacity, size_t *n, struct pb_error *err)
{
	int32_t wanted = *index, next = INT32_MAX;
	enum pb_status status = PB_OK;

	*n = 0;
	for (size_t v = v0; v < v1; v++)
		for (size_t i = list->v[v].injection;
		     i < list->v[v].injection + list->v[v].n_injections; i++) {
			const struct pb_injection *in = &list->injections[i];

			if ((size_t)in->layer != layer || (enum pb_site)in->site != site)
				continue;
			if (wanted == -2 || in->index == wanted)
				PB_TRY(edits_of(w, list, v, in, view, edits, capacity, n, err));
			else if (in->index > wanted && in->index < next)
				next = in->index;
		}
	*index = next;
cleanup:
	return status;
}

enum pb_status pb_inject(struct pb_engine *e, const struct pb_sweep_work *w,
			 const struct pb_variants *list, size_t v0, size_t v1, size_t layer,
			 enum pb_site site, const struct pb_edit_view *view, struct pb_dev temp,
			 struct pb_edit **edits, size_t *capacity, enum pb_stage stage,
			 struct pb_error *err)
{
	const struct pb_intervention_row *row = &pb_intervention_rows[w->sweep->intervention];
	/* a compact buffer has no columns to tell indices apart by, nor has the base's array then;
	 * projections differ by index */
	bool by_index = view->compact_columns || row->projected;
	int32_t index = by_index ? -1 : -2;
	enum pb_status status = PB_OK;

	while (index != INT32_MAX) {
		int32_t now = index, any;
		struct pb_place at, from;
		struct pb_edits op = {.out = view->out, .out_stride = view->stride};
		size_t n;

		PB_TRY(
		    collect(w, list, v0, v1, layer, site, &index, view, edits, capacity, &n, err));
		if (n == 0)
			continue;
		/* any index will do: width and array are the same for all */
		any = now >= 0 ? now : w->sweep->neurons ? 0 : -1;
		at = pb_cache_place(w->arch, &w->run->cache, site, layer, any);
		from = source_place(w, row->kind, site, layer, any);
		op.n = n;
		op.edits = *edits;
		op.columns = at.columns;
		op.x0 = view->compact_columns ? pb_dev_at(at.array, at.column * sizeof(float))
					      : at.array;
		op.x0_stride = at.stride;
		op.source = row->kind == PB_SOURCE_SENDER ? view->source : from.array;
		op.source_stride =
		    row->kind == PB_SOURCE_SENDER ? view->source_stride : from.stride;
		if (row->projected)
			PB_TRY(project(e, w, site, layer, now, &op, temp, stage, err));
		else
			PB_STAGE(e, stage, e->ops->edits(e->dev, &op, err));
	}
cleanup:
	return status;
}

/* ---- patterns -------------------------------------------------------------------------------- */

struct pb_dev pb_pattern_table(const struct pb_sweep_work *w, size_t layer, size_t *stride)
{
	const struct pb_source_table *table =
	    w->sources ? &w->sources->tables[PB_SITE_PATTERN] : NULL;

	*stride = 0;
	if (!table || !table->layers)
		return (struct pb_dev){0};
	*stride = table->stride;
	return table->layers[layer];
}

enum pb_status pb_pattern_edits(const struct pb_sweep_work *w, const struct pb_variants *list,
				size_t v, size_t layer, struct pb_pattern_edit **edits,
				size_t *capacity, size_t *n, struct pb_error *err)
{
	const struct pb_intervention_row *row = &pb_intervention_rows[w->sweep->intervention];
	const struct pb_variant *variant = &list->v[v];
	bool table = row->kind == PB_SOURCE_MEAN;
	size_t slots = w->sources ? w->sources->means.n_slots : 0;
	enum pb_status status = PB_OK;

	for (size_t i = variant->injection; i < variant->injection + variant->n_injections; i++) {
		const struct pb_injection *in = &list->injections[i];

		if ((size_t)in->layer != layer || in->site != PB_SITE_PATTERN)
			continue;
		for (size_t r = variant->run; r < variant->run + variant->n_runs; r++) {
			const struct pb_run *run = &list->runs[r];
			struct pb_pattern_edit edit = {
			    .head = in->index,
			    .query = run->first,
			    .n_queries = run->n,
			    .key = variant->key >= 0 ? variant->key : 0,
			    .n_keys = variant->key >= 0 ? 1 : run->first + run->n,
			    .source_base = -1,
			    .table_row = -1,
			    .own = row->alpha_own ? variant->alpha : row->own,
			    .source = row->source};
			void *grown = *edits;

			if (row->kind == PB_SOURCE_DONOR || row->kind == PB_SOURCE_OTHER)
				edit.source_base = w->run->batch.spans[variant->source].base;
			if (table)
				edit.table_row = in->index * (int32_t)slots + (int32_t)run->slot;
			PB_TRY(pb_grow(&grown, capacity, *n + 1, sizeof **edits, "edits", err));
			*edits = grown;
			(*edits)[(*n)++] = edit;
		}
	}
cleanup:
	return status;
}
