/* Pieces of a block of a wave: each is one operation on changes. */
#include "engine/wave.h"

enum pb_status pb_step_norm(struct pb_wave *w, struct pb_dev delta, size_t rows,
			    struct pb_dev base_row, struct pb_dev x0, struct pb_dev stats,
			    struct pb_dev weight, struct pb_dev y, bool operand,
			    struct pb_error *err)
{
	struct pb_norm_delta op = {.kind = w->e->arch.norm,
				   .eps = w->e->arch.norm_eps,
				   .n_rows = rows,
				   .d_model = w->e->arch.d_model,
				   .delta = delta,
				   .x0 = x0,
				   .stats = stats,
				   .weight = weight,
				   .base_row = base_row,
				   .y = y,
				   .operand = operand};
	enum pb_status status;

	PB_STAGE(w->e, PB_STAGE_NORM, w->e->ops->norm_delta(w->e->dev, &op, err));
cleanup:
	return status;
}

/* Changes of what attention or the MLP reads. */
enum pb_status pb_step_pre_norm(struct pb_wave *w, struct pb_dev delta, size_t rows,
				struct pb_dev base_row, struct pb_dev x0, struct pb_dev stats,
				struct pb_dev weight, struct pb_dev y, bool operand,
				struct pb_error *err)
{
	size_t D = w->e->arch.d_model;
	struct pb_rows copy = {
	    .n_rows = rows, .columns = D, .a = delta, .a_stride = D, .out = y, .out_stride = D};

	if (w->e->arch.no_pre_norm)
		return pb_step_rows(w, PB_STAGE_NORM, &copy, err);
	return pb_step_norm(w, delta, rows, base_row, x0, stats, weight, y, operand, err);
}

enum pb_status pb_step_post_norm(struct pb_wave *w, size_t l, bool attention, struct pb_dev out,
				 size_t rows, struct pb_dev base_row, struct pb_error *err)
{
	const struct pb_cache *c = &w->run->cache;
	const struct pb_layer_weights *lw = &w->e->layers[l];

	if (!w->e->arch.post_norm)
		return PB_OK;
	return pb_step_norm(w, out, rows, base_row, attention ? c->attn_raw[l] : c->mlp_raw[l],
			    attention ? c->stats_attn[l] : c->stats_mlp[l],
			    attention ? lw->attn_post_norm : lw->mlp_post_norm, out, false, err);
}

enum pb_status pb_step_qk_norm(struct pb_wave *w, size_t l, size_t first, size_t n, struct pb_dev x,
			       size_t stride, size_t rows, struct pb_dev base_row,
			       struct pb_error *err)
{
	enum pb_status status;

	PB_STAGE(w->e, PB_STAGE_NORM,
		 pb_engine_qk_norm(w->e, l, first, n, x, stride, rows, w->run->cache.qk[l],
				   base_row, err));
cleanup:
	return status;
}

enum pb_status pb_step_gemm(struct pb_wave *w, size_t rows, const struct pb_packed *weight,
			    size_t n_in, size_t n_out, struct pb_dev x, size_t x_stride,
			    struct pb_dev y, size_t y_stride, bool accumulate, struct pb_error *err)
{
	return pb_step_product(w, rows, weight, n_in, n_out, x, x_stride, false, y, y_stride,
			       accumulate, err);
}

enum pb_status pb_step_product(struct pb_wave *w, size_t rows, const struct pb_packed *weight,
			       size_t n_in, size_t n_out, struct pb_dev x, size_t x_stride,
			       bool operand, struct pb_dev y, size_t y_stride, bool accumulate,
			       struct pb_error *err)
{
	struct pb_gemm op = {.m = rows,
			     .x = x,
			     .y = y,
			     .x_stride = x_stride,
			     .y_stride = y_stride,
			     .w = weight,
			     .accumulate = accumulate,
			     .delta = true,
			     .operand = operand};

	return pb_engine_multiply(w->e, PB_STAGE_GEMM, &op, n_in, n_out, err);
}

enum pb_status pb_step_rows(struct pb_wave *w, enum pb_stage stage, const struct pb_rows *op,
			    struct pb_error *err)
{
	enum pb_status status;

	PB_STAGE(w->e, stage, w->e->ops->rows(w->e->dev, op, err));
cleanup:
	return status;
}

enum pb_status pb_step_rotate(struct pb_wave *w, size_t l, struct pb_dev x, size_t stride,
			      size_t rows, size_t n_heads, struct pb_dev position,
			      struct pb_error *err)
{
	const struct pb_arch *a = &w->e->arch;
	struct pb_rotary op = {.n_rows = rows,
			       .n_heads = n_heads,
			       .d_head = a->d_head,
			       .rotary_dims = a->rotary_dims,
			       .x = x,
			       .x_stride = stride,
			       .position = position,
			       .interleaved = a->rotary_interleaved,
			       .cos_sin = w->e->cos_sin[w->e->model->layers[l].rope]};
	enum pb_status status = PB_OK;

	if (pb_rotates(w->e->model, l))
		PB_STAGE(w->e, PB_STAGE_ATTENTION, w->e->ops->rotary(w->e->dev, &op, err));
cleanup:
	return status;
}

enum pb_status pb_step_zero(struct pb_wave *w, struct pb_dev x, size_t floats, struct pb_error *err)
{
	enum pb_status status;

	PB_STAGE(w->e, PB_STAGE_INJECT, w->e->ops->zero(w->e->dev, x, floats * sizeof(float), err));
cleanup:
	return status;
}

enum pb_status pb_step_mlp_in(struct pb_wave *w, size_t l, struct pb_dev delta, size_t rows,
			      struct pb_dev base_row, struct pb_dev h, struct pb_error *err)
{
	const struct pb_layer_weights *lw = &w->e->layers[l];
	const struct pb_cache *c = &w->run->cache;
	const struct pb_arch *a = &w->e->arch;
	bool operand = pb_normed_operand(w);
	enum pb_status status;

	PB_TRY(pb_step_pre_norm(w, delta, rows, base_row, a->parallel ? c->x_pre[l] : c->x_mid[l],
				c->stats2[l], lw->norm2_weight, w->m->n, operand, err));
	PB_TRY(pb_step_product(w, rows, lw->mlp_in, a->d_model, pb_h_width(a), w->m->n, a->d_model,
			       operand, h, pb_h_width(a), false, err));
cleanup:
	return status;
}

enum pb_status pb_step_activate(struct pb_wave *w, size_t l, size_t rows, struct pb_dev base_row,
				struct pb_dev h, bool operand, struct pb_error *err)
{
	const struct pb_cache *c = &w->run->cache;
	struct pb_activation_delta op = {.kind = w->e->arch.activation,
					 .gated = w->e->arch.gated,
					 .operand = operand,
					 .n_rows = rows,
					 .width = w->e->arch.d_mlp,
					 .dh = h,
					 .h0 = c->h[l],
					 .a0 = c->a[l],
					 .base_row = base_row};
	enum pb_status status;

	PB_STAGE(w->e, PB_STAGE_ACTIVATION, w->e->ops->activation_delta(w->e->dev, &op, err));
cleanup:
	return status;
}

enum pb_status pb_step_ints(struct pb_wave *w, struct pb_dev to, const int32_t *ints, size_t n,
			    struct pb_error *err)
{
	return w->e->ops->upload(w->e->dev, to, ints, n * sizeof *ints, err);
}

/* ---- views ----------------------------------------------------------------------------------- */

struct pb_view pb_view_dense(struct pb_wave *w, size_t v0, size_t v1)
{
	size_t r0 = w->m->row_of[v0];

	return (struct pb_view){.w = w,
				.kind = PB_VIEW_DENSE,
				.v0 = v0,
				.v1 = v1,
				.rows = w->m->row_of[v1] - r0,
				.delta = pb_dev_row(w->m->delta, r0, w->e->arch.d_model),
				.base_row = pb_index_at(w->m->base_row, r0)};
}

struct pb_view pb_view_answer(struct pb_wave *w, size_t v0, size_t v1)
{
	return (struct pb_view){.w = w,
				.kind = PB_VIEW_ANSWER,
				.v0 = v0,
				.v1 = v1,
				.rows = v1 - v0,
				.delta = pb_dev_row(w->m->answer, v0, w->e->arch.d_model),
				.base_row = pb_index_at(w->m->last_base, v0)};
}

size_t pb_view_row(const struct pb_view *view, size_t v)
{
	const struct pb_wave_memory *m = view->w->m;

	switch (view->kind) {
	case PB_VIEW_DENSE:
		return m->row_of[v] - m->row_of[view->v0];
	case PB_VIEW_WRITTEN:
		return (size_t)m->view_of[v - view->v0];
	default:
		return v - view->v0;
	}
}

/* Row of a position of variant v of the list in a view; -1: it has none. */
static int32_t row_in_view(const void *context, size_t v, int32_t position)
{
	const struct pb_view *view = context;
	const struct pb_wave *w = view->w;
	const struct pb_variant *variant = &w->list->v[v];
	int32_t row = (int32_t)pb_view_row(view, v - w->from);

	if (position < variant->first)
		return -1;
	if (view->kind == PB_VIEW_DENSE)
		return row + position - variant->first;
	if (view->kind == PB_VIEW_ANSWER)
		return position + 1 == (int32_t)w->run->pairs[variant->pair].length ? row : -1;
	for (size_t r = variant->run; r < variant->run + variant->n_runs; r++) {
		const struct pb_run *run = &w->list->runs[r];
		int32_t first = run->first > variant->first ? run->first : variant->first;

		if (position < run->first + run->n)
			return position < first ? -1 : row + position - first;
		row += run->first + run->n > first ? run->first + run->n - first : 0;
	}
	return -1;
}

static int32_t row_of_sender(const void *context, size_t v, int32_t position)
{
	const struct pb_view *view = context;

	return pb_senders_row(view->w, v - view->w->from, position);
}

enum pb_status pb_step_inject(const struct pb_view *view, size_t l, enum pb_site site,
			      struct pb_dev out, size_t stride, bool compact_columns,
			      struct pb_error *err)
{
	struct pb_wave *w = view->w;
	bool mlp = site == PB_SITE_MLP_PRE;
	struct pb_edit_view edits = {.out = out,
				     .stride = stride,
				     .compact_columns = compact_columns,
				     .source = mlp ? w->m->s_h : w->m->s_qkv,
				     .source_stride =
					 mlp ? pb_h_width(&w->e->arch) : pb_qkv_width(&w->e->arch),
				     .row = row_in_view,
				     .source_row = row_of_sender,
				     .context = view};

	if (!pb_wave_writes(w, l, site, site))
		return PB_OK;
	return pb_inject(w->e, w->work, w->list, w->from + view->v0, w->from + view->v1, l, site,
			 &edits, w->m->temp, &w->m->edits, &w->m->edits_capacity, PB_STAGE_INJECT,
			 err);
}
