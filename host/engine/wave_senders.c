/* The first half of paths: each sender of each pair is propagated once, through the residual stream
 * alone (freeze: all) or through the MLPs too (freeze: attention), and at each layer what every
 * receiver would read is made for all of its variants. Senders are ordered by layer, so that those
 * that have joined are the first rows. */
#include "engine/wave.h"

/* Layer and head of sender s (-1 where there is none). */
static int32_t sender_layer(const struct pb_wave *w, size_t s, int32_t *head)
{
	const struct pb_grid *g = w->work->grid;
	int layer = pb_grid_axis(g, PB_AXIS_SENDER_LAYER);
	int heads = pb_grid_axis(g, PB_AXIS_SENDER_HEAD);
	size_t n = heads < 0 ? 1 : g->axes[heads].n;
	const struct pb_axis *axis = layer < 0 ? NULL : &g->axes[layer];

	*head = -1;
	if (!axis)
		return -1;
	if (heads >= 0)
		*head = g->axes[heads].values ? g->axes[heads].values[s % n] : (int32_t)(s % n);
	return axis->values ? axis->values[s / n] : (int32_t)(s / n);
}

static size_t rows_before(const struct pb_wave *w, size_t s)
{
	return w->m->sender_row_of[s * w->n_pairs];
}

/* Rows of the senders of layers below `layer`. */
static size_t active_rows(const struct pb_wave *w, int32_t layer)
{
	size_t s = 0;
	int32_t head;

	while (s < w->n_senders && sender_layer(w, s, &head) < layer)
		s++;
	return rows_before(w, s);
}

/* A variant of the wave on this pair; NULL: there is none. */
static const struct pb_variant *variant_of(const struct pb_wave *w, size_t pair)
{
	return w->variant_of[pair - w->pair0];
}

int32_t pb_senders_row(const struct pb_wave *w, size_t v, int32_t position)
{
	const struct pb_variant *variant = &w->v[v];
	size_t at = (size_t)variant->sender * w->n_pairs + (size_t)variant->pair - w->pair0;

	return (int32_t)w->m->sender_row_of[at] + position - variant->sender_first;
}

/* ---- joining --------------------------------------------------------------------------------- */

/* The change at `site` of the sender (layer, head) of pairs p0 .. p1 - 1 of the wave, [rows, width]
 * in `to`; the rows that the sweep does not write are zero. */
static enum pb_status sender_change(struct pb_wave *w, enum pb_site site, size_t layer,
				    int32_t head, size_t p0, size_t p1, struct pb_dev to,
				    struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	struct pb_place at = pb_cache_place(&w->e->arch, &w->run->cache, site, layer, head);
	struct pb_dev array = pb_dev_at(at.array, at.column * sizeof(float));
	struct pb_edits op = {.columns = at.columns,
			      .out = to,
			      .out_stride = at.columns,
			      .x0 = array,
			      .x0_stride = at.stride,
			      .source = array,
			      .source_stride = at.stride};
	size_t row = 0;
	enum pb_status status = PB_OK;

	for (size_t p = p0; p < p1; p++) {
		const struct pb_variant *v = variant_of(w, w->pair0 + p);
		const struct pb_span *mine, *donor;

		if (!v)
			continue;
		mine = &w->run->batch.spans[2 * (w->pair0 + p) + (size_t)w->work->recipient];
		donor = &w->run->batch.spans[2 * (w->pair0 + p) + (size_t)w->work->donor];
		for (size_t r = v->run; r < v->run + v->n_runs; r++) {
			const struct pb_run *run = &w->list->runs[r];
			int32_t first = run->first > v->sender_first ? run->first : v->sender_first;
			int32_t end = run->first + run->n;
			void *grown = m->edits;

			if (first >= end)
				continue;
			PB_TRY(pb_grow(&grown, &m->edits_capacity, op.n + 1, sizeof *m->edits,
				       "edits", err));
			m->edits = grown;
			m->edits[op.n++] =
			    (struct pb_edit){.row = (int32_t)row + first - v->sender_first,
					     .base_row = mine->base + first,
					     .source_row = donor->base + first,
					     .n_rows = end - first,
					     .source_step = 1,
					     .base = -1.0f,
					     .source = 1.0f};
		}
		row += (size_t)(mine->length - v->sender_first);
	}
	op.edits = m->edits;
	PB_TRY(pb_step_zero(w, to, row * at.columns, err));
	PB_STAGE(w->e, PB_STAGE_INJECT, w->e->ops->edits(w->e->dev, &op, err));
cleanup:
	return status;
}

/* One sender's change of the residual, for as many pairs at a time as a block holds. */
static enum pb_status join(struct pb_wave *w, size_t s, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	const struct pb_arch *a = &w->e->arch;
	size_t D = a->d_model, F = a->d_mlp, K = a->d_head;
	const size_t *row_of = m->sender_row_of + s * w->n_pairs;
	int32_t head, layer = sender_layer(w, s, &head);
	enum pb_status status = PB_OK;

	for (size_t p = 0, end; p < w->n_pairs; p = end) {
		struct pb_dev to = pb_dev_row(m->s_delta, row_of[p], D);
		struct pb_dev base_row = pb_index_at(m->s_base_row, row_of[p]);
		size_t rows;

		end = p + 1;
		while (end < w->n_pairs && row_of[end + 1] - row_of[p] <= m->block_rows)
			end++;
		rows = row_of[end] - row_of[p];
		if (layer < 0) {
			PB_TRY(sender_change(w, PB_SITE_RESID_PRE, 0, -1, p, end, to, err));
		} else if (head < 0) {
			PB_TRY(sender_change(w, PB_SITE_MLP_POST, (size_t)layer, -1, p, end, m->h,
					     err));
			PB_TRY(pb_step_gemm(w, rows, w->e->layers[layer].mlp_out, F, D, m->h, F, to,
					    D, false, err));
			PB_TRY(pb_step_post_norm(w, (size_t)layer, false, to, rows, base_row, err));
		} else {
			PB_TRY(
			    sender_change(w, PB_SITE_Z, (size_t)layer, head, p, end, m->zc, err));
			PB_TRY(pb_step_gemm(w, rows, w->e->layers[layer].o_head[head], K, D, m->zc,
					    K, to, D, false, err));
			PB_TRY(pb_step_post_norm(w, (size_t)layer, true, to, rows, base_row, err));
		}
	}
cleanup:
	return status;
}

static enum pb_status join_layer(struct pb_wave *w, int32_t layer, struct pb_error *err)
{
	size_t at = layer < 0 ? 0 : (size_t)layer;
	enum pb_status status = PB_OK;
	int32_t head;

	for (size_t s = 0; s < w->n_senders; s++)
		if (sender_layer(w, s, &head) == layer) {
			PB_TRY(pb_step_begin(w, PB_KIND_JOINS, at, PB_SITE_RESID_PRE, err));
			PB_TRY(pb_step_end(w, join(w, s, err), err));
		}
cleanup:
	return status;
}

enum pb_status pb_senders_begin(struct pb_wave *w, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t pair1 = 0, row = 0;
	enum pb_status status;

	w->pair0 = SIZE_MAX;
	for (size_t v = 0; v < w->n; v++) {
		size_t pair = (size_t)w->v[v].pair;

		w->pair0 = pair < w->pair0 ? pair : w->pair0;
		pair1 = pair >= pair1 ? pair + 1 : pair1;
	}
	w->n_pairs = pair1 - w->pair0;
	PB_TRY(
	    pb_alloc((void **)&w->variant_of, w->n_pairs, sizeof(void *), "a wave's senders", err));
	for (size_t v = w->n; v-- > 0;)
		w->variant_of[(size_t)w->v[v].pair - w->pair0] = &w->v[v];
	for (size_t s = 0; s < w->n_senders; s++)
		for (size_t p = 0; p < w->n_pairs; p++) {
			const struct pb_variant *v = variant_of(w, w->pair0 + p);
			int32_t length = (int32_t)w->run->pairs[w->pair0 + p].length;

			m->sender_row_of[s * w->n_pairs + p] = row;
			row += v ? (size_t)(length - v->sender_first) : 0;
		}
	m->sender_row_of[w->n_senders * w->n_pairs] = row;
	for (size_t s = 0; s < w->n_senders; s++)
		for (size_t p = 0; p < w->n_pairs; p++) {
			const struct pb_variant *v = variant_of(w, w->pair0 + p);
			size_t i = m->sender_row_of[s * w->n_pairs + p];
			size_t end = m->sender_row_of[s * w->n_pairs + p + 1];
			size_t prompt = 2 * (w->pair0 + p) + (size_t)w->work->recipient;

			for (int32_t at = v ? v->sender_first : 0; i < end; i++, at++)
				m->ints[i] = at + w->run->batch.spans[prompt].base;
		}
	PB_TRY(pb_step_ints(w, m->s_base_row, m->ints, row, err));
	PB_TRY(join_layer(w, -1, err)); /* the embedding */
cleanup:
	return status;
}

/* ---- what receivers read --------------------------------------------------------------------- */

/* q, k and v of a layer before the rotation, of the n rows from r on. */
static enum pb_status read_attention(struct pb_wave *w, size_t l, size_t r, size_t n,
				     struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	const struct pb_layer_weights *lw = &w->e->layers[l];
	size_t D = w->e->arch.d_model, QKV = pb_qkv_width(&w->e->arch);
	bool operand = pb_normed_operand(w);
	enum pb_status status;

	PB_TRY(pb_step_pre_norm(w, pb_dev_row(m->s_delta, r, D), n, pb_index_at(m->s_base_row, r),
				w->run->cache.x_pre[l], w->run->cache.stats1[l], lw->norm1_weight,
				m->n, operand, err));
	PB_TRY(pb_step_product(w, n, lw->qkv, D, QKV, m->n, D, operand,
			       pb_dev_row(m->s_qkv, r, QKV), QKV, false, err));
cleanup:
	return status;
}

/* What the MLP adds to the residual, from before its activation in m->h. */
static enum pb_status respond(struct pb_wave *w, size_t l, size_t n, struct pb_dev base_row,
			      struct pb_dev delta, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t D = w->e->arch.d_model, F = w->e->arch.d_mlp, H = pb_h_width(&w->e->arch);
	const struct pb_packed *weight = w->e->layers[l].mlp_out;
	struct pb_rows add = {.n_rows = n,
			      .columns = D,
			      .a = m->out,
			      .a_stride = D,
			      .out = delta,
			      .out_stride = D,
			      .accumulate = true};
	enum pb_status status;

	PB_TRY(pb_step_activate(w, l, n, base_row, m->h, true, err));
	if (!w->e->arch.post_norm)
		return pb_step_product(w, n, weight, F, D, m->h, H, true, delta, D, true, err);
	PB_TRY(pb_step_product(w, n, weight, F, D, m->h, H, true, m->out, D, false, err));
	PB_TRY(pb_step_post_norm(w, l, false, m->out, n, base_row, err));
	PB_TRY(pb_step_rows(w, PB_STAGE_INJECT, &add, err));
cleanup:
	return status;
}

/* The MLP before its activation, kept for its receivers; with freeze: attention its response joins
 * the residual. */
static enum pb_status read_mlp(struct pb_wave *w, size_t l, size_t r, size_t n, bool receivers,
			       struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t D = w->e->arch.d_model, H = pb_h_width(&w->e->arch);
	struct pb_dev base_row = pb_index_at(m->s_base_row, r);
	struct pb_dev delta = pb_dev_row(m->s_delta, r, D);
	struct pb_rows keep = {
	    .n_rows = n, .columns = H, .a = m->h, .a_stride = H, .out_stride = H};
	enum pb_status status;

	PB_TRY(pb_step_mlp_in(w, l, delta, n, base_row, m->h, err));
	if (receivers) {
		keep.out = pb_dev_row(m->s_h, r, H);
		PB_TRY(pb_step_rows(w, PB_STAGE_INJECT, &keep, err));
	}
	if (w->work->sweep->freeze == PB_FREEZE_ATTENTION)
		PB_TRY(respond(w, l, n, base_row, delta, err));
cleanup:
	return status;
}

/* What the receivers of a layer read of the senders' first `rows` rows, a block at a time. */
static enum pb_status read_blocks(struct pb_wave *w, size_t l, size_t rows, bool attention,
				  bool receivers, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t r = 0, n; r < rows; r += n) {
		n = rows - r < w->m->block_rows ? rows - r : w->m->block_rows;
		PB_TRY(pb_step_begin(w, attention ? PB_KIND_ATTENTION : PB_KIND_MLP, l,
				     PB_SITE_RESID_PRE, err));
		status = attention ? read_attention(w, l, r, n, err)
				   : read_mlp(w, l, r, n, receivers, err);
		PB_TRY(pb_step_end(w, status, err));
	}
cleanup:
	return status;
}

enum pb_status pb_senders_layer(struct pb_wave *w, size_t l, struct pb_error *err)
{
	bool parallel = w->e->arch.parallel;
	bool heads = w->work->sweep->sender == PB_SENDER_HEAD;
	bool mlp = pb_wave_writes(w, l, PB_SITE_MLP_PRE, PB_SITE_MLP_PRE);
	bool mlp_reads = mlp || w->work->sweep->freeze == PB_FREEZE_ATTENTION;
	size_t before = active_rows(w, (int32_t)l);
	size_t with_heads = heads ? active_rows(w, (int32_t)l + 1) : before;
	enum pb_status status = PB_OK;

	if (pb_wave_writes(w, l, PB_SITE_Q, PB_SITE_V))
		PB_TRY(read_blocks(w, l, before, true, false, err));
	if (parallel && mlp_reads) /* the MLP reads what attention read */
		PB_TRY(read_blocks(w, l, before, false, mlp, err));
	if (heads)
		PB_TRY(join_layer(w, (int32_t)l, err));
	if (!parallel && mlp_reads)
		PB_TRY(read_blocks(w, l, with_heads, false, mlp, err));
	if (!heads && w->work->sweep->sender == PB_SENDER_MLP)
		PB_TRY(join_layer(w, (int32_t)l, err));
cleanup:
	return status;
}

enum pb_status pb_senders_logits(struct pb_wave *w, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t L = w->e->arch.n_layers, D = w->e->arch.d_model, n = 0;
	enum pb_status status = PB_OK;

	if (!w->sites[L])
		return PB_OK;
	for (size_t v = 0; v < w->n; v++) {
		const struct pb_variant *variant = &w->v[v];
		const struct pb_injection *last =
		    &w->list->injections[variant->injection + variant->n_injections - 1];

		if ((size_t)last->layer == L) {
			m->view_ints[n] =
			    pb_senders_row(w, v, (int32_t)w->run->pairs[variant->pair].length - 1);
			m->view_ints[m->block_rows + n++] = (int32_t)v;
		}
		if (n > 0 && (n == m->block_rows || v + 1 == w->n)) {
			struct pb_rows op = {.n_rows = n,
					     .columns = D,
					     .a = m->s_delta,
					     .a_stride = D,
					     .a_row = m->view_base,
					     .out = m->answer,
					     .out_stride = D,
					     .out_row = m->view_row,
					     .accumulate = true};

			PB_TRY(pb_step_ints(w, m->view_base, m->view_ints, n, err));
			PB_TRY(pb_step_ints(w, m->view_row, m->view_ints + m->block_rows, n, err));
			PB_TRY(pb_step_rows(w, PB_STAGE_INJECT, &op, err));
			n = 0;
		}
	}
cleanup:
	return status;
}
