/* Variants by a plain forward: every layer, every position, values in place of changes. */
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

struct plain {
	struct pb_engine *e;
	const struct pb_sweep_work *work;
	const struct pb_variants *list;
	struct pb_batch *batch;
	struct pb_dev temp;
	struct pb_edit *edits;
	struct pb_pattern_edit *pattern_edits;
	size_t edits_capacity, pattern_capacity;
	struct pb_cache *first; /* paths: the first half, NULL while it runs */
	struct pb_cache *cache; /* of the forward that runs */
};

/* ---- rows ------------------------------------------------------------------------------------ */

static int32_t batch_row(const void *context, size_t v, int32_t position)
{
	const struct plain *p = context;

	return p->batch->spans[v].base + position;
}

static const struct pb_span *base_span(const struct plain *p, size_t v, int side)
{
	return &p->work->run->batch.spans[2 * (size_t)p->list->v[v].pair + (size_t)side];
}

/* Where the values of a site lie in the forward's own cache: q and k are not rotated yet when they
 * are written. */
static struct pb_place here(const struct plain *p, enum pb_site site, size_t layer, int32_t index)
{
	struct pb_cache now = *p->cache;

	now.extra &= ~(1u << PB_SITE_Q);
	return pb_cache_place(&p->e->arch, &now, site, layer, index);
}

/* Copy n rows of one place to another. */
static enum pb_status copy(struct plain *p, struct pb_place to, size_t row, struct pb_place from,
			   size_t from_row, size_t n, struct pb_error *err)
{
	struct pb_rows op = {.n_rows = n,
			     .columns = to.columns,
			     .a = pb_dev_row(from.array, from_row * from.stride + from.column, 1),
			     .a_stride = from.stride,
			     .out = pb_dev_row(to.array, row * to.stride + to.column, 1),
			     .out_stride = to.stride};

	return p->e->ops->rows(p->e->dev, &op, err);
}

/* ---- one forward: every intervention but paths --------------------------------------------------
 */

static enum pb_status write_site(void *context, struct pb_engine *e, struct pb_cache *c,
				 enum pb_site site, size_t layer, struct pb_error *err)
{
	struct plain *p = context;
	struct pb_place at;
	struct pb_edit_view view = {.values = true, .row = batch_row, .context = p};

	p->cache = c;
	at = here(p, site, layer, -1);
	view.out = at.array;
	view.stride = at.stride;
	return pb_inject(e, p->work, p->list, 0, p->list->n, layer, site, &view, p->temp, &p->edits,
			 &p->edits_capacity, PB_STAGE_CHECK, err);
}

static enum pb_status write_pattern(void *context, size_t layer, struct pb_attention *op,
				    struct pb_error *err)
{
	struct plain *p = context;
	size_t n = 0;
	enum pb_status status = PB_OK;

	for (size_t v = 0; v < p->list->n; v++) {
		p->batch->spans[v].edit = (int32_t)n;
		PB_TRY(pb_pattern_edits(p->work, p->list, v, layer, &p->pattern_edits,
					&p->pattern_capacity, &n, err));
		p->batch->spans[v].n_edits = (int32_t)n - p->batch->spans[v].edit;
	}
	op->edits = p->pattern_edits;
	op->source_qkv = p->work->run->cache.qkv[layer];
	op->table = pb_pattern_table(p->work, layer, &op->table_stride);
cleanup:
	return status;
}

/* ---- paths, first half: the sender is patched, attention (and MLPs) frozen ---------------------
 */

static void sender_of(const struct plain *p, size_t v, int32_t *layer, int32_t *head)
{
	size_t cell = (size_t)p->list->v[v].cell;

	*layer = pb_grid_value(p->work->grid, cell, PB_AXIS_SENDER_LAYER);
	*head = pb_grid_value(p->work->grid, cell, PB_AXIS_SENDER_HEAD);
}

/* The donor's values of a site where the sender is patched. */
static enum pb_status patch_sender(struct plain *p, size_t v, enum pb_site site, size_t layer,
				   int32_t index, struct pb_error *err)
{
	const struct pb_variant *variant = &p->list->v[v];
	struct pb_place at = pb_cache_place(&p->e->arch, &p->work->run->cache, site, layer, index);
	enum pb_status status = PB_OK;

	for (size_t r = variant->run; r < variant->run + variant->n_runs; r++) {
		const struct pb_run *run = &p->list->runs[r];

		PB_TRY(copy(p, here(p, site, layer, index), (size_t)batch_row(p, v, run->first), at,
			    (size_t)(base_span(p, v, p->work->donor)->base + run->first),
			    (size_t)run->n, err));
	}
cleanup:
	return status;
}

static enum pb_status first_half_site(void *context, struct pb_engine *e, struct pb_cache *c,
				      enum pb_site site, size_t layer, struct pb_error *err)
{
	struct plain *p = context;
	bool frozen = site == PB_SITE_Z ||
		      (site == PB_SITE_MLP_POST && p->work->sweep->freeze == PB_FREEZE_ALL);
	enum pb_status status = PB_OK;

	p->cache = c;
	for (size_t v = 0; v < p->list->n; v++) {
		const struct pb_span *mine = base_span(p, v, p->work->recipient);
		int32_t from, head;
		struct pb_place all;

		sender_of(p, v, &from, &head);
		if (frozen) {
			struct pb_place to = here(p, site, layer, -1);

			all = pb_cache_place(&e->arch, &p->work->run->cache, site, layer, -1);
			all.columns = to.columns = all.stride; /* every head */
			PB_TRY(copy(p, to, (size_t)p->batch->spans[v].base, all, (size_t)mine->base,
				    (size_t)mine->length, err));
		}
		if (from < 0 && site == PB_SITE_RESID_PRE && layer == 0)
			PB_TRY(patch_sender(p, v, site, 0, -1, err));
		if (from == (int32_t)layer && head >= 0 && site == PB_SITE_Z)
			PB_TRY(patch_sender(p, v, site, layer, head, err));
		if (from == (int32_t)layer && head < 0 && site == PB_SITE_MLP_POST)
			PB_TRY(patch_sender(p, v, site, layer, -1, err));
	}
cleanup:
	return status;
}

static enum pb_status no_pattern(void *context, size_t layer, struct pb_attention *op,
				 struct pb_error *err)
{
	(void)context;
	(void)layer;
	(void)op;
	(void)err;
	return PB_OK;
}

/* ---- paths, second half: receivers read what the first half made --------------------------------
 */

/* The logits read the sender's change of the residual, too. */
static enum pb_status add_residual(struct plain *p, size_t v, struct pb_cache *c,
				   struct pb_error *err)
{
	size_t L = p->e->arch.n_layers, D = p->e->arch.d_model;
	const struct pb_span *mine = base_span(p, v, p->work->recipient);
	size_t row = (size_t)p->batch->spans[v].base;
	struct pb_rows op = {.n_rows = (size_t)mine->length,
			     .columns = D,
			     .a = pb_dev_row(p->first->x_pre[L], row, D),
			     .a_stride = D,
			     .b = pb_dev_row(p->work->run->cache.x_pre[L], (size_t)mine->base, D),
			     .b_stride = D,
			     .out = pb_dev_row(c->x_pre[L], row, D),
			     .out_stride = D,
			     .accumulate = true};

	return p->e->ops->rows(p->e->dev, &op, err);
}

static enum pb_status second_half_site(void *context, struct pb_engine *e, struct pb_cache *c,
				       enum pb_site site, size_t layer, struct pb_error *err)
{
	struct plain *p = context;
	size_t L = e->arch.n_layers;
	enum pb_status status = PB_OK;

	p->cache = c;
	for (size_t v = 0; v < p->list->n; v++)
		for (size_t i = p->list->v[v].injection;
		     i < p->list->v[v].injection + p->list->v[v].n_injections; i++) {
			const struct pb_injection *in = &p->list->injections[i];
			size_t row = (size_t)p->batch->spans[v].base;

			if ((size_t)in->layer == L && site == PB_SITE_RESID_POST && layer + 1 == L)
				PB_TRY(add_residual(p, v, c, err));
			if ((size_t)in->layer != layer || (enum pb_site)in->site != site)
				continue;
			PB_TRY(copy(p, here(p, site, layer, in->index), row,
				    pb_cache_place(&e->arch, p->first, site, layer, in->index), row,
				    (size_t)p->batch->spans[v].length, err));
		}
cleanup:
	return status;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

static enum pb_status score(struct plain *p, const struct pb_cache *c, double *logit_diff,
			    struct pb_error *err)
{
	const struct pb_chunk_run *run = p->work->run;
	size_t n = p->list->n;
	int32_t *rows = NULL;
	double *logits = NULL;
	struct pb_dots dots = {
	    .n = 2 * n, .d_model = p->e->arch.d_model, .x = c->n_answer, .t = run->targets};
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&rows, 4 * n, sizeof *rows, "a check's scores", err));
	PB_TRY(pb_alloc((void **)&logits, 2 * n, sizeof *logits, "a check's scores", err));
	for (size_t i = 0; i < 2 * n; i++) {
		rows[i] = (int32_t)(i / 2);
		rows[2 * n + i] = (int32_t)(run->target[p->list->v[i / 2].pair] + i % 2);
	}
	dots.x_row = rows;
	dots.t_row = rows + 2 * n;
	dots.out = logits;
	PB_TRY(p->e->ops->dots(p->e->dev, &dots, err));
	PB_TRY(pb_engine_wait(p->e, err));
	for (size_t i = 0; i < n; i++)
		logit_diff[i] =
		    pb_softcap(logits[2 * i] + (double)run->target_bias[dots.t_row[2 * i]],
			       run->softcap) -
		    pb_softcap(logits[2 * i + 1] + (double)run->target_bias[dots.t_row[2 * i + 1]],
			       run->softcap);
cleanup:
	free(rows);
	free(logits);
	return status;
}

static enum pb_status make_batch(struct plain *p, struct pb_error *err)
{
	const struct pb_sweep_work *w = p->work;
	const int32_t **tokens = NULL;
	size_t *lengths = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&tokens, p->list->n, sizeof *tokens, "a check", err));
	PB_TRY(pb_alloc((void **)&lengths, p->list->n, sizeof *lengths, "a check", err));
	for (size_t v = 0; v < p->list->n; v++) {
		const struct pb_pair *pair = &w->pairs[p->list->v[v].pair];

		tokens[v] = w->recipient ? pair->corrupted : pair->clean;
		lengths[v] = pair->length;
	}
	PB_TRY(pb_batch_new(p->batch, p->e, p->list->n, tokens, lengths, err));
cleanup:
	free(tokens);
	free(lengths);
	return status;
}

/* Room for a projection's rows: see pb_inject. */
static enum pb_status make_temp(struct plain *p, struct pb_error *err)
{
	const struct pb_sources *s = p->work->sources;
	size_t columns = 0, layers, index, width;
	enum pb_status status = PB_OK;

	if (p->work->sweep->intervention != PB_PROJECT)
		return PB_OK;
	for (int site = 0; site < PB_N_SITES; site++)
		if (s->down[site]) {
			pb_site_shape(&p->e->arch, (enum pb_site)site, 1, &layers, &index, &width);
			columns = width + s->rank[site] > columns ? width + s->rank[site] : columns;
		}
	PB_TRY(
	    p->e->ops->alloc(p->e->dev, p->batch->n_rows * columns * sizeof(float), &p->temp, err));
cleanup:
	return status;
}

enum pb_status pb_check_plain(struct pb_engine *e, const struct pb_sweep_work *work,
			      const struct pb_variants *list, double *logit_diff,
			      struct pb_error *err)
{
	bool path = work->sweep->intervention == PB_PATH;
	struct pb_batch batch = {0};
	struct pb_cache first = {0}, cache = {0};
	struct plain p = {.e = e, .work = work, .list = list, .batch = &batch};
	const struct pb_forward_hook sender = {first_half_site, no_pattern, &p};
	const struct pb_forward_hook hook = {path ? second_half_site : write_site,
					     path ? no_pattern : write_pattern, &p};
	enum pb_status status;

	PB_TRY(make_batch(&p, err));
	PB_TRY(make_temp(&p, err));
	if (path) {
		PB_TRY(pb_cache_new(&first, e, batch.n_rows, list->n, false,
				    pb_alters_any(&e->arch) ? 1u << PB_SITE_Q : 0, err));
		PB_TRY(pb_forward(e, &batch, &first, &sender, PB_STAGE_CHECK, err));
		p.first = &first;
	}
	PB_TRY(pb_cache_new(&cache, e, batch.n_rows, list->n, true,
			    work->run->cache.extra & ~(1u << PB_SITE_Q), err));
	PB_TRY(pb_forward(e, &batch, &cache, &hook, PB_STAGE_CHECK, err));
	PB_TRY(score(&p, &cache, logit_diff, err));
cleanup:
	if (p.temp.address)
		e->ops->release(e->dev, p.temp);
	free(p.edits);
	free(p.pattern_edits);
	pb_cache_free(&first, e);
	pb_cache_free(&cache, e);
	pb_batch_free(&batch, e);
	return status;
}
