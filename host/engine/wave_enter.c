/* Variants that enter a wave: from the site of their first change on, with the rows that it
 * changes.
 */
#include "engine/wave.h"

/* Changes of the layer's input: their rows begin as zero and are written. */
enum pb_status pb_enter_input(struct pb_wave *w, size_t l, size_t v0, size_t v1,
			      struct pb_error *err)
{
	size_t D = w->e->arch.d_model;
	enum pb_status status = PB_OK;

	for (size_t v = v0, next; v < v1; v = next) {
		struct pb_view view;

		next = pb_block_end(w, l, v, v1, w->m->block_rows, w->m->block_rows);
		view = pb_view_dense(w, v, next);
		PB_TRY(pb_step_begin(w, PB_KIND_INPUT, l, PB_SITE_EMBED, err));
		status = pb_step_zero(w, view.delta, view.rows * D, err);
		if (status == PB_OK)
			status = pb_step_inject(&view, l, PB_SITE_EMBED, view.delta, D, false, err);
		PB_TRY(pb_step_end(w, status, err));
	}
cleanup:
	return status;
}

/* Whether every row of a variant is changed within the layer where it enters. */
static bool changes_all(const struct pb_wave *w, size_t v)
{
	const struct pb_variant *variant = &w->v[v];
	const struct pb_run *run = &w->list->runs[variant->run];

	return pb_site_rows[variant->site].read_later || variant->sender >= 0 ||
	       (variant->n_runs == 1 && run->first <= variant->first &&
		run->first + run->n == (int32_t)pb_wave_length(w, v));
}

/* Whether a change of one head's q or k acts on all heads, by a norm of the whole width. */
static bool spreads(const struct pb_wave *w, enum pb_site site)
{
	return w->e->arch.qk_norm == PB_QK_NORM_WHOLE && (site == PB_SITE_Q || site == PB_SITE_K);
}

/* Whether a variant that writes several sites of a layer changes more than the rows it writes. */
static bool several(const struct pb_wave *w, size_t v)
{
	return w->v[v].n_injections > 1 && pb_site_rows[w->v[v].site].enters == PB_ENTERS_ATTENTION;
}

/* The rows that the variants v0..v1-1 write, gathered in m->join. */
static enum pb_status written_view(struct pb_wave *w, size_t v0, size_t v1, struct pb_view *view,
				   struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t n = 0;
	enum pb_status status;

	*view = (struct pb_view){.w = w,
				 .kind = PB_VIEW_WRITTEN,
				 .v0 = v0,
				 .v1 = v1,
				 .delta = m->join,
				 .base_row = m->view_base};
	for (size_t v = v0; v < v1; v++) {
		const struct pb_variant *variant = &w->v[v];

		m->view_of[v - v0] = (int32_t)n;
		for (size_t r = variant->run; r < variant->run + variant->n_runs; r++)
			for (int32_t p = w->list->runs[r].first;
			     p < w->list->runs[r].first + w->list->runs[r].n; p++)
				if (p >= variant->first)
					m->view_ints[n++] =
					    (int32_t)(m->row_of[v] - m->row_of[v0]) + p -
					    variant->first;
	}
	m->view_of[v1 - v0] = (int32_t)n;
	view->rows = n;
	PB_TRY(pb_step_ints(w, m->view_row, m->view_ints, n, err));
	for (size_t v = v0, i = 0; v < v1; v++)
		for (; i < (size_t)m->view_of[v + 1 - v0]; i++)
			m->view_ints[i] += pb_wave_base(w, v) + w->v[v].first -
					   (int32_t)(m->row_of[v] - m->row_of[v0]);
	PB_TRY(pb_step_ints(w, m->view_base, m->view_ints, n, err));
cleanup:
	return status;
}

/* The rows of m->join into the delta rows of their variants; the others are zero. */
static enum pb_status scatter(const struct pb_view *view, struct pb_error *err)
{
	struct pb_wave *w = view->w;
	struct pb_view dense = pb_view_dense(w, view->v0, view->v1);
	size_t D = w->e->arch.d_model;
	struct pb_rows op = {.n_rows = view->rows,
			     .columns = D,
			     .a = view->delta,
			     .a_stride = D,
			     .out = dense.delta,
			     .out_stride = D,
			     .out_row = w->m->view_row};
	enum pb_status status;

	PB_TRY(pb_step_zero(w, dense.delta, dense.rows * D, err));
	PB_TRY(pb_step_rows(w, PB_STAGE_INJECT, &op, err));
cleanup:
	return status;
}

/* Changes of z, for variants whose first change is in attention. */
static enum pb_status enter_attention(const struct pb_view *view, size_t l, struct pb_view_z *z,
				      struct pb_error *err)
{
	struct pb_wave *w = view->w;
	const struct pb_arch *a = &w->e->arch;
	size_t Z = pb_z_width(a);
	enum pb_site site = (enum pb_site)w->v[view->v0].site;
	bool single = w->v[view->v0].index >= 0;
	enum pb_status status;

	*z = (struct pb_view_z){w->m->zc, Z, false};
	if (pb_site_rows[site].enters == PB_ENTERS_HEAD_OUTPUT) {
		z->stride = single ? a->d_head : Z;
		PB_TRY(pb_step_zero(w, z->z, view->rows * z->stride, err));
		return pb_step_inject(view, l, PB_SITE_Z, z->z, z->stride, single, err);
	}
	if (single && !spreads(w, site))
		return pb_attend_heads(view, l, z, err);
	PB_TRY(pb_attend_block(w, l, view->v0, view->v1, false, false, err));
	PB_TRY(pb_gather_z(view, z->z, err));
	PB_TRY(pb_step_inject(view, l, PB_SITE_Z, z->z, Z, false, err));
cleanup:
	return status;
}

/* Variants that enter at one site of a layer, all by one index each or all by several. */
static enum pb_status enter_block(struct pb_wave *w, size_t l, size_t v0, size_t v1,
				  struct pb_error *err)
{
	enum pb_site site = (enum pb_site)w->v[v0].site;
	struct pb_view_z z = {{0}, 0, false};
	struct pb_view view;
	bool all = true;
	enum pb_status status;

	for (size_t v = v0; v < v1; v++)
		all = all && (changes_all(w, v) || several(w, v));
	if (l + 1 == w->e->arch.n_layers)
		view = pb_view_answer(w, v0, v1);
	else if (all)
		view = pb_view_dense(w, v0, v1);
	else
		PB_TRY(written_view(w, v0, v1, &view, err));
	if (site <= PB_SITE_Z)
		PB_TRY(enter_attention(&view, l, &z, err));
	PB_TRY(pb_step_zero(w, view.delta, view.rows * w->e->arch.d_model, err));
	PB_TRY(pb_finish_layer(&view, l, site, &z, err));
	if (view.kind == PB_VIEW_WRITTEN)
		PB_TRY(scatter(&view, err));
cleanup:
	return status;
}

/* End of the run of variants from v on that enter at the same site, by one index or by several, and
 * change all of their rows or the written ones. */
static size_t group_end(const struct pb_wave *w, size_t v, size_t end)
{
	size_t next = v + 1;

	while (next < end && w->v[next].site == w->v[v].site &&
	       (w->v[next].index >= 0) == (w->v[v].index >= 0) && several(w, next) == several(w, v))
		next++;
	return next;
}

enum pb_status pb_enter_layer(struct pb_wave *w, size_t l, size_t v0, size_t v1,
			      struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t v = v0, next, group; v < v1; v = group)
		for (group = group_end(w, v, v1); v < group; v = next) {
			next = pb_block_end(w, l, v, group, w->m->block_rows, w->m->block_rows);
			PB_TRY(
			    pb_step_begin(w, PB_KIND_ENTERS, l, (enum pb_site)w->v[v].site, err));
			PB_TRY(pb_step_end(w, enter_block(w, l, v, next, err), err));
		}
cleanup:
	return status;
}
