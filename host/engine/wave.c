/* A wave: variants of many layers travel through the model together as deltas on top of the cached
 * recipient runs. Each layer takes first the variants that are already under way (a whole block),
 * then the ones that join here (the change of one head's z enters the residual; their own attention
 * cannot have changed). The last layer is computed at the answer position only. */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

struct wave {
	struct pb_engine *e;
	struct pb_wave_memory *m;
	const struct pb_chunk_run *run;
	const struct pb_variant *v;
	size_t n;
	enum pb_site site;
	int recipient, donor; /* sides: 0 clean, 1 corrupted */
};

/* ---- setting up ------------------------------------------------------------------------------ */

static int32_t base_of(const struct wave *w, size_t v, int side)
{
	return w->run->batch.spans[2 * (size_t)w->v[v].pair + (size_t)side].base;
}

static size_t length_of(const struct wave *w, size_t v)
{
	return w->run->pairs[w->v[v].pair].length;
}

static enum pb_status upload_ints(const struct wave *w, struct pb_dev to, size_t n,
				  struct pb_error *err)
{
	return w->e->ops->upload(w->e->dev, to, w->m->ints, n * sizeof(int32_t), err);
}

/* Row indices that do not change while the wave travels. */
static enum pb_status upload_rows(struct wave *w, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t rows = 0;
	enum pb_status status;
	struct {
		struct pb_dev to;
		int side; /* -1: plain positions */
	} by_row[] = {{m->base_row, w->recipient}, {m->donor_row, w->donor}, {m->position, -1}};
	struct {
		struct pb_dev to;
		int side;
		bool last; /* the answer position, else the first changed one */
	} by_variant[] = {{m->first_base, w->recipient, false},
			  {m->first_donor, w->donor, false},
			  {m->last_base, w->recipient, true},
			  {m->last_donor, w->donor, true},
			  {m->last_position, -1, true}};

	for (size_t v = 0; v < w->n; v++) {
		m->row_of[v] = rows;
		rows += length_of(w, v) - (size_t)w->v[v].first;
	}
	m->row_of[w->n] = rows;
	for (size_t k = 0; k < sizeof by_row / sizeof *by_row; k++) {
		for (size_t v = 0; v < w->n; v++) {
			int32_t at = by_row[k].side < 0 ? 0 : base_of(w, v, by_row[k].side);

			for (size_t r = m->row_of[v]; r < m->row_of[v + 1]; r++)
				m->ints[r] = at + w->v[v].first + (int32_t)(r - m->row_of[v]);
		}
		PB_TRY(upload_ints(w, by_row[k].to, rows, err));
	}
	for (size_t k = 0; k < sizeof by_variant / sizeof *by_variant; k++) {
		for (size_t v = 0; v < w->n; v++)
			m->ints[v] =
			    (by_variant[k].side < 0 ? 0 : base_of(w, v, by_variant[k].side)) +
			    (by_variant[k].last ? (int32_t)length_of(w, v) - 1 : w->v[v].first);
		PB_TRY(upload_ints(w, by_variant[k].to, w->n, err));
	}
	for (size_t v = 0; v < w->n; v++)
		m->ints[v] = (int32_t)m->row_of[v];
	PB_TRY(upload_ints(w, m->first_row, w->n, err));
	for (size_t v = 0; v < w->n; v++)
		m->ints[v] = (int32_t)m->row_of[v + 1] - 1;
	PB_TRY(upload_ints(w, m->last_row, w->n, err));
	for (size_t v = 0; v < w->n; v++)
		m->ints[v] = 2 * w->v[v].pair + w->recipient;
	PB_TRY(upload_ints(w, m->prompt, w->n, err));
cleanup:
	return status;
}

static int by_recipient(const void *a, const void *b)
{
	const struct pb_span *x = a, *y = b;

	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/* Spans of the variants v0..v1-1, rows counted from row_of[v0], recipients together so that their
 * keys, values and patterns are read once. */
static void block_spans(const struct wave *w, size_t v0, size_t v1, bool sorted)
{
	struct pb_span *s = w->m->spans;

	for (size_t v = v0; v < v1; v++)
		s[v - v0] = (struct pb_span){.base = base_of(w, v, w->recipient),
					     .length = (int32_t)length_of(w, v),
					     .first = w->v[v].first,
					     .row = (int32_t)(w->m->row_of[v] - w->m->row_of[v0])};
	if (sorted)
		qsort(s, v1 - v0, sizeof *s, by_recipient);
}

/* End of the block that starts at variant v0: whole variants, at most `rows` rows and `variants`
 * variants, at least one. */
static size_t block_end(const struct wave *w, size_t v0, size_t end, size_t rows, size_t variants)
{
	size_t v = v0 + 1;

	while (v < end && v - v0 < variants && w->m->row_of[v + 1] - w->m->row_of[v0] <= rows)
		v++;
	return v;
}

/* int32 entry `i` of a device index array. */
static struct pb_dev index_at(struct pb_dev d, size_t i)
{
	return pb_dev_at(d, i * sizeof(int32_t));
}

/* ---- pieces of a block -------------------------------------------------------------------------
 */

static enum pb_status norm_delta(struct wave *w, struct pb_dev delta, size_t rows,
				 struct pb_dev base_row, struct pb_dev x0, struct pb_dev stats,
				 struct pb_dev weight, struct pb_dev y, struct pb_error *err)
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
				   .y = y};
	enum pb_status status;

	PB_STAGE(w->e, PB_STAGE_NORM, w->e->ops->norm_delta(w->e->dev, &op, err));
cleanup:
	return status;
}

static enum pb_status gemm(struct wave *w, size_t rows, const struct pb_packed *weight, size_t n_in,
			   size_t n_out, struct pb_dev x, size_t x_stride, struct pb_dev y,
			   size_t y_stride, bool accumulate, struct pb_error *err)
{
	struct pb_dev none = {0};

	return pb_engine_gemm(w->e, PB_STAGE_GEMM, rows, weight, n_in, n_out, x, x_stride, y,
			      y_stride, none, accumulate, err);
}

/* h = change of the MLP's activation for the residual change `delta` at these base rows. */
static enum pb_status mlp_first_half(struct wave *w, size_t l, struct pb_dev delta, size_t rows,
				     struct pb_dev base_row, struct pb_error *err)
{
	const struct pb_layer_weights *lw = &w->e->layers[l];
	const struct pb_cache *c = &w->run->cache;
	const struct pb_arch *a = &w->e->arch;
	struct pb_activation_delta act = {.kind = a->activation,
					  .n_rows = rows,
					  .width = a->d_mlp,
					  .dh = w->m->h,
					  .h0 = c->h[l],
					  .a0 = c->a[l],
					  .base_row = base_row};
	enum pb_status status;

	PB_TRY(norm_delta(w, delta, rows, base_row, a->parallel ? c->x_pre[l] : c->x_mid[l],
			  c->stats2[l], lw->norm2_weight, w->m->n, err));
	PB_TRY(gemm(w, rows, lw->mlp_in, a->d_model, a->d_mlp, w->m->n, a->d_model, w->m->h,
		    a->d_mlp, false, err));
	PB_STAGE(w->e, PB_STAGE_ACTIVATION, w->e->ops->activation_delta(w->e->dev, &act, err));
cleanup:
	return status;
}

/* delta += attention's part (dz W_O) and the MLP's part, in the order of the block's kind. `dz` has
 * address NULL where attention did not change. */
static enum pb_status finish_block(struct wave *w, size_t l, struct pb_dev delta, size_t rows,
				   struct pb_dev base_row, struct pb_dev dz, struct pb_error *err)
{
	const struct pb_layer_weights *lw = &w->e->layers[l];
	const struct pb_arch *a = &w->e->arch;
	size_t D = a->d_model, Z = pb_z_width(a);
	enum pb_status status;

	if (a->parallel) /* the MLP reads what attention read */
		PB_TRY(mlp_first_half(w, l, delta, rows, base_row, err));
	if (dz.address)
		PB_TRY(gemm(w, rows, lw->o, Z, D, dz, Z, delta, D, true, err));
	if (!a->parallel)
		PB_TRY(mlp_first_half(w, l, delta, rows, base_row, err));
	PB_TRY(gemm(w, rows, lw->mlp_out, a->d_mlp, D, w->m->h, a->d_mlp, delta, D, true, err));
cleanup:
	return status;
}

static enum pb_status move_rows(struct wave *w, enum pb_stage stage, const struct pb_rows *op,
				struct pb_error *err)
{
	enum pb_status status;

	PB_STAGE(w->e, stage, w->e->ops->rows(w->e->dev, op, err));
cleanup:
	return status;
}

/* ---- variants under way ------------------------------------------------------------------------
 */

static enum pb_status rotate(struct wave *w, struct pb_dev x, size_t stride, size_t rows,
			     size_t n_heads, struct pb_dev position, struct pb_error *err)
{
	const struct pb_arch *a = &w->e->arch;
	struct pb_rotary op = {.n_rows = rows,
			       .n_heads = n_heads,
			       .d_head = a->d_head,
			       .rotary_dims = a->rotary_dims,
			       .x = x,
			       .x_stride = stride,
			       .position = position,
			       .cos_sin = w->e->cos_sin};
	enum pb_status status = PB_OK;

	if (a->rotary_dims)
		PB_STAGE(w->e, PB_STAGE_ATTENTION, w->e->ops->rotary(w->e->dev, &op, err));
cleanup:
	return status;
}

/* One whole layer for the variants v0..v1-1. */
static enum pb_status propagate(struct wave *w, size_t l, size_t v0, size_t v1,
				struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	const struct pb_cache *c = &w->run->cache;
	const struct pb_layer_weights *lw = &w->e->layers[l];
	const struct pb_arch *a = &w->e->arch;
	size_t D = a->d_model, QKV = pb_qkv_width(a), r0 = m->row_of[v0];
	size_t rows = m->row_of[v1] - r0;
	struct pb_dev delta = pb_dev_row(m->delta, r0, D), base_row = index_at(m->base_row, r0);
	struct pb_attention_delta attention = {.heads = lw->heads,
					       .n_variants = v1 - v0,
					       .variants = m->spans,
					       .max_length = w->e->max_length,
					       .qkv0 = c->qkv[l],
					       .dqkv = m->qkv,
					       .dz = m->z};
	enum pb_status status;

	block_spans(w, v0, v1, true);
	PB_TRY(norm_delta(w, delta, rows, base_row, c->x_pre[l], c->stats1[l], lw->norm1_weight,
			  m->n, err));
	PB_TRY(gemm(w, rows, lw->qkv, D, QKV, m->n, D, m->qkv, QKV, false, err));
	PB_TRY(rotate(w, m->qkv, QKV, rows, a->n_heads + a->n_kv_heads, index_at(m->position, r0),
		      err));
	PB_STAGE(w->e, PB_STAGE_ATTENTION, w->e->ops->attention_delta(w->e->dev, &attention, err));
	PB_TRY(finish_block(w, l, delta, rows, base_row, m->z, err));
cleanup:
	return status;
}

/* Queries of the last layer at the answer position: q = q0 + dn_answer W_Q; and what scores them
 * against the changed keys: q_h W_K[h]^T, or dk where keys are rotated. */
static enum pb_status last_queries(struct wave *w, size_t v0, size_t n, size_t rows,
				   struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	const struct pb_arch *a = &w->e->arch;
	const struct pb_last_weights *lw = &w->e->last;
	size_t D = a->d_model, Z = pb_z_width(a), K = a->d_head, H = a->n_heads;
	size_t KV = a->n_kv_heads * K;
	struct pb_rows answers = {.n_rows = n,
				  .columns = D,
				  .a = m->n,
				  .a_stride = D,
				  .a_row = m->block_last,
				  .out = m->answer_n,
				  .out_stride = D};
	struct pb_rows base = {.n_rows = n,
			       .columns = Z,
			       .a = w->run->cache.qkv[a->n_layers - 1],
			       .a_stride = pb_qkv_width(a),
			       .a_row = index_at(m->last_base, v0),
			       .out = m->q,
			       .out_stride = Z,
			       .accumulate = true};
	enum pb_status status;

	PB_TRY(move_rows(w, PB_STAGE_ATTENTION, &answers, err));
	PB_TRY(gemm(w, n, lw->q, D, Z, m->answer_n, D, m->q, Z, false, err));
	PB_TRY(rotate(w, m->q, Z, n, H, index_at(m->last_position, v0), err));
	PB_TRY(move_rows(w, PB_STAGE_ATTENTION, &base, err));
	if (a->rotary_dims) {
		PB_TRY(gemm(w, rows, lw->k, D, KV, m->n, D, m->qkv, KV, false, err));
		PB_TRY(rotate(w, m->qkv, KV, rows, a->n_kv_heads,
			      index_at(m->position, m->row_of[v0]), err));
	} else {
		for (size_t h = 0; h < H; h++)
			PB_TRY(gemm(w, n, lw->k_head_t[h * a->n_kv_heads / H], K, D,
				    pb_dev_row(m->q, h, K), Z, pb_dev_row(m->qk, h, D), H * D,
				    false, err));
	}
cleanup:
	return status;
}

/* The last layer for the variants v0..v1-1, at the answer position only. */
static enum pb_status propagate_last(struct wave *w, size_t v0, size_t v1, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	const struct pb_cache *c = &w->run->cache;
	const struct pb_arch *a = &w->e->arch;
	size_t l = a->n_layers - 1, D = a->d_model, Z = pb_z_width(a), H = a->n_heads;
	size_t r0 = m->row_of[v0], rows = m->row_of[v1] - r0, n = v1 - v0;
	struct pb_dev none = {0};
	struct pb_dev answer = pb_dev_row(m->answer, v0, D);
	struct pb_rows gather = {.n_rows = n,
				 .columns = D,
				 .a = m->delta,
				 .a_stride = D,
				 .a_row = index_at(m->last_row, v0),
				 .out = answer,
				 .out_stride = D};
	struct pb_attention_last attention = {.heads = w->e->layers[l].heads,
					      .d_model = D,
					      .n_variants = n,
					      .variants = m->spans,
					      .max_length = w->e->max_length,
					      .qkv0 = c->qkv[l],
					      .q = m->q,
					      .qk = a->rotary_dims ? none : m->qk,
					      .dk = a->rotary_dims ? m->qkv : none,
					      .dn = m->n,
					      .zdiff = m->zdiff,
					      .mix = m->mix};
	enum pb_status status;

	block_spans(w, v0, v1, false); /* row i of q, mix, zdiff is variant v0 + i */
	for (size_t v = v0; v < v1; v++)
		m->ints[v - v0] = (int32_t)(m->row_of[v + 1] - 1 - r0);
	PB_TRY(upload_ints(w, m->block_last, n, err));
	PB_TRY(norm_delta(w, pb_dev_row(m->delta, r0, D), rows, index_at(m->base_row, r0),
			  c->x_pre[l], c->stats1[l], w->e->layers[l].norm1_weight, m->n, err));
	PB_TRY(last_queries(w, v0, n, rows, err));
	PB_STAGE(w->e, PB_STAGE_ATTENTION, w->e->ops->attention_last(w->e->dev, &attention, err));
	for (size_t h = 0; h < H; h++) /* dz_h = zdiff_h + mix_h W_V[h] */
		PB_TRY(gemm(w, n, w->e->last.v_head[h * a->n_kv_heads / H], D, a->d_head,
			    pb_dev_row(m->mix, h, D), H * D, pb_dev_row(m->zdiff, h, a->d_head), Z,
			    true, err));
	PB_TRY(move_rows(w, PB_STAGE_ATTENTION, &gather, err));
	PB_TRY(finish_block(w, l, answer, n, index_at(m->last_base, v0), m->zdiff, err));
cleanup:
	return status;
}

/* ---- variants that join ------------------------------------------------------------------------
 */

/* to[i] = (z_donor - z_recipient) W_O[h] for n rows whose indices are given, all of head h. */
static enum pb_status inject(struct wave *w, size_t l, size_t h, size_t n, struct pb_dev donor_row,
			     struct pb_dev base_row, struct pb_dev to, struct pb_error *err)
{
	const struct pb_arch *a = &w->e->arch;
	size_t K = a->d_head, Z = pb_z_width(a);
	struct pb_dev z = pb_dev_row(w->run->cache.z[l], h, K);
	struct pb_rows change = {.n_rows = n,
				 .columns = K,
				 .a = z,
				 .a_stride = Z,
				 .a_row = donor_row,
				 .b = z,
				 .b_stride = Z,
				 .b_row = base_row,
				 .out = w->m->z,
				 .out_stride = K};
	enum pb_status status;

	PB_TRY(move_rows(w, PB_STAGE_INJECT, &change, err));
	PB_TRY(pb_engine_gemm(w->e, PB_STAGE_INJECT, n, w->e->layers[l].o_head[h], K, a->d_model,
			      w->m->z, K, to, a->d_model, (struct pb_dev){0}, false, err));
cleanup:
	return status;
}

/* End of the run of variants from v0 on with the same head. */
static size_t head_end(const struct wave *w, size_t v0, size_t end)
{
	size_t v = v0 + 1;

	while (v < end && w->v[v].head == w->v[v0].head)
		v++;
	return v;
}

/* Variants patched from their first changed position to the end: every row of theirs joins. */
static enum pb_status join_all(struct wave *w, size_t l, size_t v0, size_t v1, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t D = w->e->arch.d_model, r0 = m->row_of[v0], rows = m->row_of[v1] - r0;
	enum pb_status status = PB_OK;

	for (size_t v = v0, next; v < v1; v = next) {
		size_t row = m->row_of[v];

		next = head_end(w, v, v1);
		PB_TRY(inject(w, l, (size_t)w->v[v].head, m->row_of[next] - row,
			      index_at(m->donor_row, row), index_at(m->base_row, row),
			      pb_dev_row(m->delta, row, D), err));
	}
	if (!w->e->arch.parallel)
		PB_TRY(finish_block(w, l, pb_dev_row(m->delta, r0, D), rows,
				    index_at(m->base_row, r0), (struct pb_dev){0}, err));
cleanup:
	return status;
}

/* Variants patched at one position: that row joins, their later rows begin as zero. */
static enum pb_status join_each(struct wave *w, size_t l, size_t v0, size_t v1,
				struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t D = w->e->arch.d_model, r0 = m->row_of[v0], n = v1 - v0;
	struct pb_rows scatter = {.n_rows = n,
				  .columns = D,
				  .a = m->join,
				  .a_stride = D,
				  .out = m->delta,
				  .out_stride = D,
				  .out_row = index_at(m->first_row, v0)};
	enum pb_status status = PB_OK;

	for (size_t v = v0, next; v < v1; v = next) {
		next = head_end(w, v, v1);
		PB_TRY(inject(w, l, (size_t)w->v[v].head, next - v, index_at(m->first_donor, v),
			      index_at(m->first_base, v), pb_dev_row(m->join, v - v0, D), err));
	}
	if (!w->e->arch.parallel)
		PB_TRY(finish_block(w, l, m->join, n, index_at(m->first_base, v0),
				    (struct pb_dev){0}, err));
	PB_STAGE(w->e, PB_STAGE_INJECT,
		 w->e->ops->zero(w->e->dev, pb_dev_row(m->delta, r0, D),
				 (m->row_of[v1] - r0) * D * sizeof(float), err));
	PB_TRY(move_rows(w, PB_STAGE_INJECT, &scatter, err));
cleanup:
	return status;
}

/* Variants of the last layer: only the answer position is read. */
static enum pb_status join_last(struct wave *w, size_t v0, size_t v1, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t l = w->e->arch.n_layers - 1, D = w->e->arch.d_model;
	enum pb_status status = PB_OK;

	for (size_t v = v0, next; v < v1; v = next) {
		next = head_end(w, v, v1);
		PB_TRY(inject(w, l, (size_t)w->v[v].head, next - v, index_at(m->last_donor, v),
			      index_at(m->last_base, v), pb_dev_row(m->answer, v, D), err));
	}
	if (!w->e->arch.parallel)
		PB_TRY(finish_block(w, l, pb_dev_row(m->answer, v0, D), v1 - v0,
				    index_at(m->last_base, v0), (struct pb_dev){0}, err));
cleanup:
	return status;
}

/* resid_pre of the donor for every row of the variants v0..v1-1. */
static enum pb_status join_resid_pre(struct wave *w, size_t l, size_t v0, size_t v1,
				     struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t D = w->e->arch.d_model, r0 = m->row_of[v0];
	struct pb_rows change = {.n_rows = m->row_of[v1] - r0,
				 .columns = D,
				 .a = w->run->cache.x_pre[l],
				 .b = w->run->cache.x_pre[l],
				 .a_stride = D,
				 .b_stride = D,
				 .a_row = index_at(m->donor_row, r0),
				 .b_row = index_at(m->base_row, r0),
				 .out = pb_dev_row(m->delta, r0, D),
				 .out_stride = D};

	return move_rows(w, PB_STAGE_INJECT, &change, err);
}

/* ---- the journey
 * --------------------------------------------------------------------------------- */

static enum pb_status join_heads(struct wave *w, size_t l, size_t v0, size_t v1,
				 struct pb_error *err)
{
	bool last = l + 1 == w->e->arch.n_layers;
	size_t rows = w->m->block_rows;
	enum pb_status status = PB_OK;

	for (size_t v = v0, next; v < v1 && status == PB_OK; v = next) {
		bool each = w->v[v].position >= 0;

		if (last || each)
			next = v1 - v < rows ? v1 : v + rows;
		else
			next = block_end(w, v, v1, rows, rows);
		status = last   ? join_last(w, v, next, err)
			 : each ? join_each(w, l, v, next, err)
				: join_all(w, l, v, next, err);
	}
	return status;
}

static enum pb_status travel(struct wave *w, struct pb_error *err)
{
	size_t L = w->e->arch.n_layers, joined = 0;
	struct pb_wave_memory *m = w->m;
	enum pb_status status = PB_OK;

	for (size_t l = 0; l < L; l++) {
		bool last = l + 1 == L;
		size_t under_way = joined, end = joined;

		while (end < w->n && (size_t)w->v[end].layer == l)
			end++;
		if (w->site == PB_SITE_RESID_PRE) { /* they enter before attention */
			PB_TRY(join_resid_pre(w, l, joined, end, err));
			under_way = end;
		}
		for (size_t v = 0, next; v < under_way; v = next) {
			next = block_end(w, v, under_way, m->block_rows,
					 last ? m->block_variants : m->block_rows);
			PB_TRY(last ? propagate_last(w, v, next, err)
				    : propagate(w, l, v, next, err));
		}
		if (w->site == PB_SITE_Z)
			PB_TRY(join_heads(w, l, joined, end, err));
		joined = end;
	}
cleanup:
	return status;
}

/* ---- scoring --------------------------------------------------------------------------------- */

/* Changes of the targets' logits: one dot product each with an unembedding vector. */
static enum pb_status score_targets(struct wave *w, struct pb_wave_result *result,
				    struct pb_error *err)
{
	size_t total = 0, at = 0;
	int32_t *rows = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&result->at, w->n, sizeof *result->at, "a wave's scores", err));
	for (size_t v = 0; v < w->n; v++) {
		result->at[v] = total;
		total += 2 + w->run->pairs[w->v[v].pair].n_candidates;
	}
	PB_TRY(pb_alloc((void **)&result->change, total, sizeof *result->change, "a wave's scores",
			err));
	PB_TRY(pb_alloc((void **)&rows, 2 * total, sizeof *rows, "a wave's targets", err));
	for (size_t v = 0; v < w->n; v++)
		for (size_t t = 0; t < 2 + w->run->pairs[w->v[v].pair].n_candidates; t++, at++) {
			rows[at] = (int32_t)v;
			rows[total + at] = (int32_t)(w->run->target[w->v[v].pair] + t);
		}
	{
		struct pb_dots op = {.n = total,
				     .d_model = w->e->arch.d_model,
				     .x = w->m->scored,
				     .t = w->run->targets,
				     .x_row = rows,
				     .t_row = rows + total,
				     .out = result->change};

		PB_STAGE(w->e, PB_STAGE_SCORE, w->e->ops->dots(w->e->dev, &op, err));
	}
cleanup:
	free(rows);
	return status;
}

static enum pb_status score_vocabulary(struct wave *w, size_t n_valid, bool kl,
				       struct pb_wave_result *result, struct pb_error *err)
{
	int32_t base[PB_BLOCK_VOCABULARY], donor[PB_BLOCK_VOCABULARY];
	int32_t answer[PB_BLOCK_VOCABULARY], foil[PB_BLOCK_VOCABULARY];
	size_t D = w->e->arch.d_model, V = w->e->arch.n_vocab;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&result->vocabulary, w->n, sizeof *result->vocabulary,
			"a wave's scores", err));
	for (size_t v = 0; v < w->n; v += PB_BLOCK_VOCABULARY) {
		size_t n = w->n - v < PB_BLOCK_VOCABULARY ? w->n - v : PB_BLOCK_VOCABULARY;
		struct pb_vocabulary op = {.n = n,
					   .n_vocab = V,
					   .n_valid = n_valid,
					   .delta = w->m->logits,
					   .logits0 = w->run->cache.logits,
					   .base = base,
					   .donor = kl ? donor : NULL,
					   .lse0 = w->run->lse,
					   .answer = answer,
					   .foil = foil,
					   .out = result->vocabulary + v};

		for (size_t i = 0; i < n; i++) {
			int32_t pair = w->v[v + i].pair;

			base[i] = 2 * pair + w->recipient;
			donor[i] = 2 * pair + w->donor;
			answer[i] = w->run->pairs[pair].answer;
			foil[i] = w->run->pairs[pair].foil;
		}
		PB_TRY(pb_engine_gemm(w->e, PB_STAGE_SCORE, n, w->e->unembed, D, V,
				      pb_dev_row(w->m->scored, v, D), D, w->m->logits, V,
				      (struct pb_dev){0}, false, err));
		PB_STAGE(w->e, PB_STAGE_SCORE, w->e->ops->vocabulary(w->e->dev, &op, err));
	}
cleanup:
	return status;
}

void pb_wave_result_free(struct pb_wave_result *result)
{
	free(result->change);
	free(result->at);
	free(result->vocabulary);
	memset(result, 0, sizeof *result);
}

enum pb_status pb_wave_run(struct pb_engine *e, struct pb_wave_memory *m,
			   const struct pb_chunk_run *run, enum pb_site site,
			   enum pb_direction direction, const struct pb_variant *v, size_t n,
			   unsigned metrics, size_t n_valid, struct pb_wave_result *result,
			   struct pb_error *err)
{
	int recipient = direction == PB_DENOISE ? 1 : 0;
	struct wave w = {.e = e,
			 .m = m,
			 .run = run,
			 .v = v,
			 .n = n,
			 .site = site,
			 .recipient = recipient,
			 .donor = 1 - recipient};
	const struct pb_cache *c = &run->cache;
	enum pb_status status;

	memset(result, 0, sizeof *result);
	e->count = true;
	PB_TRY(upload_rows(&w, err));
	PB_TRY(travel(&w, err));
	PB_TRY(norm_delta(&w, m->answer, n, m->prompt, c->x_answer, c->stats_answer,
			  e->final_weight, m->scored, err));
	PB_TRY(score_targets(&w, result, err));
	if (pb_metrics_need_vocabulary(metrics))
		PB_TRY(score_vocabulary(&w, n_valid, pb_metrics_need_kl(metrics), result, err));
cleanup:
	e->count = false;
	if (status != PB_OK)
		pb_wave_result_free(result);
	return status;
}
