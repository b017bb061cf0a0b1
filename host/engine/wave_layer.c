/* The second half of a layer for the rows of a view: attention's output, the MLP, and what is
 * written on the way. */
#include "engine/wave.h"

/* delta += z W_O, over the heads that z holds. */
static enum pb_status add_z(const struct pb_view *view, size_t l, const struct pb_view_z *z,
			    struct pb_dev to, bool accumulate, struct pb_error *err)
{
	struct pb_wave *w = view->w;
	const struct pb_arch *a = &w->e->arch;
	const struct pb_layer_weights *lw = &w->e->layers[l];
	size_t D = a->d_model, K = a->d_head, Z = pb_z_width(a), group = z->stride / K;
	enum pb_status status = PB_OK;

	if (z->stride == Z)
		return pb_step_product(w, view->rows, lw->o, Z, D, z->z, Z, z->operand, to, D,
				       accumulate, err);
	for (size_t v = view->v0, next; v < view->v1; v = next) {
		size_t from = pb_view_row(view, v), rows;
		size_t first = (size_t)w->v[v].index;

		next = v + 1;
		while (next < view->v1 && w->v[next].index == w->v[v].index)
			next++;
		rows = pb_view_row(view, next) - from;
		if (pb_site_indices[w->v[v].site] == PB_INDEX_KV_HEAD)
			first *= a->n_heads / a->n_kv_heads;
		for (size_t g = 0; g < group; g++)
			PB_TRY(pb_step_gemm(w, rows, lw->o_head[first + g], K, D,
					    pb_dev_row(z->z, from * group + g, K), z->stride,
					    pb_dev_row(to, from, D), D, accumulate || g > 0, err));
	}
cleanup:
	return status;
}

static enum pb_status add_out(const struct pb_view *view, struct pb_error *err)
{
	size_t D = view->w->e->arch.d_model;
	struct pb_rows add = {.n_rows = view->rows,
			      .columns = D,
			      .a = view->w->m->out,
			      .a_stride = D,
			      .out = view->delta,
			      .out_stride = D,
			      .accumulate = true};

	return pb_step_rows(view->w, PB_STAGE_INJECT, &add, err);
}

/* delta += attention's part; by itself first where attn_out is written. */
static enum pb_status add_attention(const struct pb_view *view, size_t l, const struct pb_view_z *z,
				    struct pb_error *err)
{
	struct pb_wave *w = view->w;
	size_t D = w->e->arch.d_model;
	bool written = pb_view_writes(view, l, PB_SITE_ATTN_OUT, PB_SITE_ATTN_OUT);
	enum pb_status status = PB_OK;

	if (!z->z.address && !written)
		return PB_OK;
	if (!written && !w->e->arch.post_norm)
		return add_z(view, l, z, view->delta, true, err);
	if (z->z.address) {
		PB_TRY(add_z(view, l, z, w->m->out, false, err));
		PB_TRY(pb_step_post_norm(w, l, true, w->m->out, view->rows, view->base_row, err));
	} else
		PB_TRY(pb_step_zero(w, w->m->out, view->rows * D, err));
	PB_TRY(pb_step_inject(view, l, PB_SITE_ATTN_OUT, w->m->out, D, false, err));
	PB_TRY(add_out(view, err));
cleanup:
	return status;
}

/* delta += the MLP's part, from the change of its input in m->h (`live`), or from what is written
 * inside it alone. */
static enum pb_status add_mlp(const struct pb_view *view, size_t l, bool live, struct pb_error *err)
{
	struct pb_wave *w = view->w;
	const struct pb_arch *a = &w->e->arch;
	struct pb_wave_memory *m = w->m;
	size_t D = a->d_model, F = a->d_mlp, H = pb_h_width(a); /* rows of m->h */
	bool pre = pb_wave_writes(w, l, PB_SITE_MLP_PRE, PB_SITE_MLP_PRE);
	bool inside = pre || pb_wave_writes(w, l, PB_SITE_MLP_POST, PB_SITE_MLP_POST);
	bool out = pb_view_writes(view, l, PB_SITE_MLP_OUT, PB_SITE_MLP_OUT);
	bool operand = (live || pre) && !pb_wave_writes(w, l, PB_SITE_MLP_POST, PB_SITE_MLP_POST);
	const struct pb_packed *weight = w->e->layers[l].mlp_out;
	enum pb_status status = PB_OK;

	if (!live && !inside && !out)
		return PB_OK;
	if (!live && inside)
		PB_TRY(pb_step_zero(w, m->h, view->rows * H, err));
	PB_TRY(pb_step_inject(view, l, PB_SITE_MLP_PRE, m->h, H, false, err));
	if (live || pre)
		PB_TRY(pb_step_activate(w, l, view->rows, view->base_row, m->h, operand, err));
	PB_TRY(pb_step_inject(view, l, PB_SITE_MLP_POST, m->h, H, false, err));
	if (!out && !a->post_norm)
		return pb_step_product(w, view->rows, weight, F, D, m->h, H, operand, view->delta,
				       D, true, err);
	if (live || inside) {
		PB_TRY(pb_step_product(w, view->rows, weight, F, D, m->h, H, operand, m->out, D,
				       false, err));
		PB_TRY(pb_step_post_norm(w, l, false, m->out, view->rows, view->base_row, err));
	} else
		PB_TRY(pb_step_zero(w, m->out, view->rows * D, err));
	PB_TRY(pb_step_inject(view, l, PB_SITE_MLP_OUT, m->out, D, false, err));
	PB_TRY(add_out(view, err));
cleanup:
	return status;
}

enum pb_status pb_finish_layer(const struct pb_view *view, size_t l, enum pb_site from,
			       const struct pb_view_z *z, struct pb_error *err)
{
	struct pb_wave *w = view->w;
	const struct pb_arch *a = &w->e->arch;
	bool live = from <= (a->parallel ? PB_SITE_RESID_PRE : PB_SITE_RESID_MID);
	enum pb_status status = PB_OK;

	if (a->parallel && live) /* the MLP reads what attention read */
		PB_TRY(pb_step_mlp_in(w, l, view->delta, view->rows, view->base_row, w->m->h, err));
	PB_TRY(add_attention(view, l, z, err));
	PB_TRY(pb_step_inject(view, l, PB_SITE_RESID_MID, view->delta, a->d_model, false, err));
	if (!a->parallel && live)
		PB_TRY(pb_step_mlp_in(w, l, view->delta, view->rows, view->base_row, w->m->h, err));
	PB_TRY(add_mlp(view, l, live, err));
	PB_TRY(pb_step_inject(view, l, PB_SITE_RESID_POST, view->delta, a->d_model, false, err));
cleanup:
	return status;
}
