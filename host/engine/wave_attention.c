/* Attention of a block: changes of z. */
#include <stdlib.h>

#include "engine/wave.h"

/* ---- spans ------------------------------------------------------------------------------------
 */

static int by_recipient(const void *a, const void *b)
{
	const struct pb_span *x = a, *y = b;

	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/* A change of q or of the pattern alone changes no row but those that are written: with one run of
 * them, the rows behind it are left out. */
static int32_t span_end(const struct pb_wave *w, size_t v, size_t l, int32_t length)
{
	const struct pb_variant *variant = &w->v[v];
	const struct pb_run *run = &w->list->runs[variant->run];

	if ((size_t)variant->layer != l || variant->n_injections > 1 || variant->n_runs > 1 ||
	    variant->sender >= 0 || pb_site_rows[variant->site].enters != PB_ENTERS_ATTENTION ||
	    pb_site_rows[variant->site].read_later)
		return length;
	return run->first + run->n;
}

/* Spans of the variants v0..v1-1, rows counted from row_of[v0]; with `sorted` recipients together,
 * so that their keys, values and patterns are read once. Their pattern edits come along. */
static enum pb_status block_spans(struct pb_wave *w, size_t l, size_t v0, size_t v1, bool sorted,
				  struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	bool patterns = pb_wave_writes(w, l, PB_SITE_PATTERN, PB_SITE_PATTERN);
	struct pb_span *s = m->spans;
	size_t n_edits = 0;
	enum pb_status status = PB_OK;

	for (size_t v = v0; v < v1; v++) {
		size_t prompt = 2 * (size_t)w->v[v].pair + (size_t)w->work->recipient;
		size_t first_edit = n_edits;

		if (patterns)
			PB_TRY(pb_pattern_edits(w->work, w->list, w->from + v, l, &m->pattern_edits,
						&m->pattern_capacity, &n_edits, err));
		s[v - v0] = (struct pb_span){
		    .base = w->run->batch.spans[prompt].base,
		    .length = span_end(w, v, l, w->run->batch.spans[prompt].length),
		    .first = w->v[v].first,
		    .row = (int32_t)(m->row_of[v] - m->row_of[v0]),
		    .edit = (int32_t)first_edit,
		    .n_edits = (int32_t)(n_edits - first_edit)};
	}
	if (sorted)
		qsort(s, v1 - v0, sizeof *s, by_recipient);
cleanup:
	return status;
}

/* ---- all heads, all rows ----------------------------------------------------------------------
 */

enum pb_status pb_attend_block(struct pb_wave *w, size_t l, size_t v0, size_t v1, bool changed,
			       bool operand, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	const struct pb_cache *c = &w->run->cache;
	const struct pb_layer_weights *lw = &w->e->layers[l];
	const struct pb_arch *a = &w->e->arch;
	size_t D = a->d_model, QKV = pb_qkv_width(a), r0 = m->row_of[v0];
	size_t rows = m->row_of[v1] - r0;
	const struct pb_view dense = {.w = w, .kind = PB_VIEW_DENSE, .v0 = v0, .v1 = v1};
	struct pb_attention_delta attention = {.heads = lw->heads,
					       .n_variants = v1 - v0,
					       .variants = m->spans,
					       .max_length = w->e->max_length,
					       .qkv0 = c->qkv[l],
					       .dqkv = m->qkv,
					       .dz = m->z,
					       .operand = operand};
	bool normed = pb_normed_operand(w);
	enum pb_status status;

	PB_TRY(block_spans(w, l, v0, v1, true, err));
	attention.edits = m->pattern_edits;
	attention.table = pb_pattern_table(w->work, l, &attention.table_stride);
	if (changed) {
		PB_TRY(pb_step_pre_norm(w, pb_dev_row(m->delta, r0, D), rows,
					pb_index_at(m->base_row, r0), c->x_pre[l], c->stats1[l],
					lw->norm1_weight, m->n, normed, err));
		PB_TRY(pb_step_product(w, rows, lw->qkv, D, QKV, m->n, D, normed, m->qkv, QKV,
				       false, err));
	} else {
		PB_TRY(pb_step_zero(w, m->qkv, rows * QKV, err));
	}
	for (int site = PB_SITE_Q; site <= PB_SITE_V; site++)
		PB_TRY(pb_step_inject(&dense, l, (enum pb_site)site, m->qkv, QKV, false, err));
	PB_TRY(pb_step_qk_norm(w, l, 0, a->n_heads + a->n_kv_heads, m->qkv, QKV, rows,
			       pb_index_at(m->base_row, r0), err));
	PB_TRY(pb_step_rotate(w, l, m->qkv, QKV, rows, a->n_heads + a->n_kv_heads,
			      pb_index_at(m->position, r0), err));
	PB_TRY(pb_step_inject(&dense, l, PB_SITE_Q_ROT, m->qkv, QKV, false, err));
	PB_TRY(pb_step_inject(&dense, l, PB_SITE_K_ROT, m->qkv, QKV, false, err));
	PB_STAGE(w->e, PB_STAGE_ATTENTION, w->e->ops->attention_delta(w->e->dev, &attention, err));
cleanup:
	return status;
}

/* ---- the answer positions of the last layer ----------------------------------------------------
 */

/* Queries of the last layer at the answer position: q = q0 + dn_answer W_Q; and what scores them
 * against the changed keys: q_h W_K[h]^T, or dk where keys are rotated. */
static enum pb_status last_queries(struct pb_wave *w, size_t v0, size_t n, size_t rows,
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
			       .a_row = pb_index_at(m->last_base, v0),
			       .out = m->q,
			       .out_stride = Z,
			       .accumulate = true};
	enum pb_status status;

	PB_TRY(pb_step_rows(w, PB_STAGE_ATTENTION, &answers, err));
	PB_TRY(pb_step_gemm(w, n, lw->q, D, Z, m->answer_n, D, m->q, Z, false, err));
	PB_TRY(pb_step_qk_norm(w, a->n_layers - 1, 0, H, m->q, Z, n, pb_index_at(m->last_base, v0),
			       err));
	PB_TRY(pb_step_rotate(w, a->n_layers - 1, m->q, Z, n, H, pb_index_at(m->last_position, v0),
			      err));
	PB_TRY(pb_step_rows(w, PB_STAGE_ATTENTION, &base, err));
	if (pb_alters_keys(w->e->model, a->n_layers - 1)) {
		PB_TRY(pb_step_gemm(w, rows, lw->k, D, KV, m->n, D, m->qkv, KV, false, err));
		PB_TRY(pb_step_qk_norm(w, a->n_layers - 1, H, a->n_kv_heads, m->qkv, KV, rows,
				       pb_index_at(m->base_row, m->row_of[v0]), err));
		PB_TRY(pb_step_rotate(w, a->n_layers - 1, m->qkv, KV, rows, a->n_kv_heads,
				      pb_index_at(m->position, m->row_of[v0]), err));
	} else {
		for (size_t h = 0; h < H; h++)
			PB_TRY(pb_step_gemm(w, n, lw->k_head_t[h * a->n_kv_heads / H], K, D,
					    pb_dev_row(m->q, h, K), Z, pb_dev_row(m->qk, h, D),
					    H * D, false, err));
	}
cleanup:
	return status;
}

enum pb_status pb_attend_last(struct pb_wave *w, size_t v0, size_t v1, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	const struct pb_cache *c = &w->run->cache;
	const struct pb_arch *a = &w->e->arch;
	size_t l = a->n_layers - 1, D = a->d_model, Z = pb_z_width(a), H = a->n_heads;
	size_t r0 = m->row_of[v0], rows = m->row_of[v1] - r0, n = v1 - v0;
	struct pb_dev none = {0};
	bool altered = pb_alters_keys(w->e->model, l);
	struct pb_attention_last attention = {.heads = w->e->layers[l].heads,
					      .d_model = D,
					      .n_variants = n,
					      .variants = m->spans,
					      .max_length = w->e->max_length,
					      .qkv0 = c->qkv[l],
					      .q = m->q,
					      .qk = altered ? none : m->qk,
					      .dk = altered ? m->qkv : none,
					      .dn = m->n,
					      .zdiff = m->zdiff,
					      .mix = m->mix};
	enum pb_status status;

	/* row i of q, mix, zdiff is variant v0 + i */
	PB_TRY(block_spans(w, l, v0, v1, false, err));
	for (size_t v = v0; v < v1; v++)
		m->ints[v - v0] = (int32_t)(m->row_of[v + 1] - 1 - r0);
	PB_TRY(pb_step_ints(w, m->block_last, m->ints, n, err));
	PB_TRY(pb_step_pre_norm(w, pb_dev_row(m->delta, r0, D), rows, pb_index_at(m->base_row, r0),
				c->x_pre[l], c->stats1[l], w->e->layers[l].norm1_weight, m->n,
				false, err));
	PB_TRY(last_queries(w, v0, n, rows, err));
	PB_STAGE(w->e, PB_STAGE_ATTENTION, w->e->ops->attention_last(w->e->dev, &attention, err));
	for (size_t h = 0; h < H; h++) /* dz_h = zdiff_h + mix_h W_V[h] */
		PB_TRY(pb_step_gemm(w, n, w->e->last.v_head[h * a->n_kv_heads / H], D, a->d_head,
				    pb_dev_row(m->mix, h, D), H * D,
				    pb_dev_row(m->zdiff, h, a->d_head), Z, true, err));
cleanup:
	return status;
}

/* ---- heads entered at q, k, v or pattern -------------------------------------------------------
 */

/* Query heads that read an index of a site: first, and how many. */
static size_t readers(const struct pb_arch *a, enum pb_site site, size_t index, size_t *first)
{
	size_t group = a->n_heads / a->n_kv_heads;

	*first = index;
	if (pb_site_indices[site] != PB_INDEX_KV_HEAD)
		return 1;
	*first = index * group;
	return group;
}

/* Zero the columns of dqkv that some heads and their KV head read. */
static enum pb_status clear_columns(struct pb_wave *w, struct pb_dev qkv, size_t rows, size_t head,
				    size_t n, struct pb_error *err)
{
	const struct pb_arch *a = &w->e->arch;
	struct pb_edit edits[2] = {{.n_rows = (int32_t)rows}, {.n_rows = (int32_t)rows}};
	size_t kv = head * a->n_kv_heads / a->n_heads;
	struct pb_edits op = {
	    .columns = a->d_head, .edits = edits, .out = qkv, .out_stride = pb_qkv_width(a)};
	enum pb_status status;

	edits[0].column = (int32_t)((a->n_heads + kv) * a->d_head);
	edits[1].column = (int32_t)((a->n_heads + a->n_kv_heads + kv) * a->d_head);
	op.n = 2;
	PB_STAGE(w->e, PB_STAGE_INJECT, w->e->ops->edits(w->e->dev, &op, err));
	edits[0].column = (int32_t)(head * a->d_head);
	op.n = 1;
	op.columns = n * a->d_head;
	PB_STAGE(w->e, PB_STAGE_INJECT, w->e->ops->edits(w->e->dev, &op, err));
cleanup:
	return status;
}

/* One run of variants with the same index, whose first row in m->qkv and m->z is `at`. */
static enum pb_status attend_index(struct pb_wave *w, size_t l, size_t v0, size_t v1, size_t at,
				   struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	const struct pb_arch *a = &w->e->arch;
	enum pb_site site = (enum pb_site)w->v[v0].site;
	size_t QKV = pb_qkv_width(a), rows = m->row_of[v1] - m->row_of[v0], head;
	size_t n = readers(a, site, (size_t)w->v[v0].index, &head);
	struct pb_dev qkv = pb_dev_row(m->qkv, at, QKV);
	struct pb_dev position = pb_index_at(m->position, m->row_of[v0]);
	struct pb_dev base_row = pb_index_at(m->base_row, m->row_of[v0]);
	size_t kv = head * a->n_kv_heads / a->n_heads;
	const struct pb_view dense = {.w = w, .kind = PB_VIEW_DENSE, .v0 = v0, .v1 = v1};
	struct pb_attention_delta attention = {.heads = w->e->layers[l].heads,
					       .n_variants = v1 - v0,
					       .variants = m->spans,
					       .max_length = w->e->max_length,
					       .qkv0 = w->run->cache.qkv[l],
					       .dqkv = qkv,
					       .dz = pb_dev_row(m->z, at, pb_z_width(a)),
					       .first_head = head,
					       .n_used = n};
	enum pb_status status;

	PB_TRY(block_spans(w, l, v0, v1, true, err));
	attention.edits = m->pattern_edits;
	attention.table = pb_pattern_table(w->work, l, &attention.table_stride);
	PB_TRY(clear_columns(w, qkv, rows, head, n, err));
	if (site != PB_SITE_PATTERN) /* patterns are written inside the operation */
		PB_TRY(pb_step_inject(&dense, l, site, qkv, QKV, false, err));
	if (site == PB_SITE_Q) {
		PB_TRY(pb_step_qk_norm(w, l, head, 1, pb_dev_row(qkv, head, a->d_head), QKV, rows,
				       base_row, err));
		PB_TRY(pb_step_rotate(w, l, pb_dev_row(qkv, head, a->d_head), QKV, rows, 1,
				      position, err));
	}
	if (site == PB_SITE_K) {
		PB_TRY(pb_step_qk_norm(w, l, a->n_heads + kv, 1,
				       pb_dev_row(qkv, a->n_heads + kv, a->d_head), QKV, rows,
				       base_row, err));
		PB_TRY(pb_step_rotate(w, l, pb_dev_row(qkv, a->n_heads + kv, a->d_head), QKV, rows,
				      1, position, err));
	}
	PB_STAGE(w->e, PB_STAGE_ATTENTION, w->e->ops->attention_delta(w->e->dev, &attention, err));
cleanup:
	return status;
}

/* Device indices of the dense row of each row of a view, from row_of[v0] on. */
static enum pb_status dense_rows(const struct pb_view *view, struct pb_error *err)
{
	struct pb_wave *w = view->w;
	struct pb_wave_memory *m = w->m;
	size_t n = 0;

	if (view->kind == PB_VIEW_WRITTEN) /* view_row is that already */
		return PB_OK;
	if (view->kind == PB_VIEW_ANSWER)
		for (size_t v = view->v0; v < view->v1; v++)
			m->view_ints[n++] = (int32_t)(m->row_of[v + 1] - 1 - m->row_of[view->v0]);
	else
		for (; n < view->rows; n++)
			m->view_ints[n] = (int32_t)n;
	return pb_step_ints(w, m->view_row, m->view_ints, n, err);
}

enum pb_status pb_gather_z(const struct pb_view *view, struct pb_dev to, struct pb_error *err)
{
	struct pb_wave *w = view->w;
	size_t Z = pb_z_width(&w->e->arch);
	struct pb_rows gather = {.n_rows = view->rows,
				 .columns = Z,
				 .a = w->m->z,
				 .a_stride = Z,
				 .a_row = w->m->view_row,
				 .out = to,
				 .out_stride = Z};
	enum pb_status status;

	PB_TRY(dense_rows(view, err));
	PB_TRY(pb_step_rows(w, PB_STAGE_ATTENTION, &gather, err));
cleanup:
	return status;
}

enum pb_status pb_attend_heads(const struct pb_view *view, size_t l, struct pb_view_z *z,
			       struct pb_error *err)
{
	struct pb_wave *w = view->w;
	struct pb_wave_memory *m = w->m;
	const struct pb_arch *a = &w->e->arch;
	size_t Z = pb_z_width(a), head;
	size_t n = readers(a, (enum pb_site)w->v[view->v0].site, 0, &head);
	enum pb_status status;

	*z = (struct pb_view_z){m->zc, n * a->d_head, false};
	PB_TRY(dense_rows(view, err));
	for (size_t v = view->v0, next; v < view->v1; v = next) {
		size_t from = pb_view_row(view, v);
		struct pb_rows gather = {.columns = z->stride,
					 .a_stride = Z,
					 .a_row = pb_index_at(m->view_row, from),
					 .out = pb_dev_row(m->zc, from, z->stride),
					 .out_stride = z->stride};

		next = v + 1;
		while (next < view->v1 && w->v[next].index == w->v[v].index)
			next++;
		readers(a, (enum pb_site)w->v[v].site, (size_t)w->v[v].index, &head);
		PB_TRY(attend_index(w, l, v, next, m->row_of[v] - m->row_of[view->v0], err));
		gather.n_rows = pb_view_row(view, next) - from;
		gather.a = pb_dev_row(m->z, head, a->d_head);
		PB_TRY(pb_step_rows(w, PB_STAGE_ATTENTION, &gather, err));
	}
cleanup:
	return status;
}
