/* A wave: variants of many layers travel through the model together as deltas on top of the cached
 * recipient runs. Each layer takes first the variants that are already under way (a whole block),
 * then the ones that enter here, each group from the site on where its first change is: what comes
 * before cannot have changed. The last layer is computed at the answer position only. */
#include <stdlib.h>
#include <string.h>

#include "engine/wave.h"

/* ---- setting up ------------------------------------------------------------------------------ */

/* Row indices that do not change while the wave travels. */
static enum pb_status upload_rows(struct pb_wave *w, struct pb_error *err)
{
	struct pb_wave_memory *m = w->m;
	size_t rows = 0;
	enum pb_status status;

	for (size_t v = 0; v < w->n; v++) {
		m->row_of[v] = rows;
		rows += pb_wave_length(w, v) - (size_t)w->v[v].first;
	}
	m->row_of[w->n] = rows;
	for (int plain = 0; plain < 2; plain++) {
		for (size_t v = 0; v < w->n; v++)
			for (size_t r = m->row_of[v]; r < m->row_of[v + 1]; r++)
				m->ints[r] = (plain ? pb_rotary_shift(w->e, pb_wave_length(w, v))
						    : pb_wave_base(w, v)) +
					     w->v[v].first + (int32_t)(r - m->row_of[v]);
		PB_TRY(pb_step_ints(w, plain ? m->position : m->base_row, m->ints, rows, err));
	}
	for (int plain = 0; plain < 2; plain++) {
		for (size_t v = 0; v < w->n; v++)
			m->ints[v] = (plain ? pb_rotary_shift(w->e, pb_wave_length(w, v))
					    : pb_wave_base(w, v)) +
				     (int32_t)pb_wave_length(w, v) - 1;
		PB_TRY(
		    pb_step_ints(w, plain ? m->last_position : m->last_base, m->ints, w->n, err));
	}
	for (size_t v = 0; v < w->n; v++)
		m->ints[v] = (int32_t)m->row_of[v + 1] - 1;
	PB_TRY(pb_step_ints(w, m->last_row, m->ints, w->n, err));
	for (size_t v = 0; v < w->n; v++)
		m->ints[v] = 2 * w->v[v].pair + w->work->recipient;
	PB_TRY(pb_step_ints(w, m->prompt, m->ints, w->n, err));
cleanup:
	return status;
}

/* Which sites are written at each layer. */
static enum pb_status list_sites(struct pb_wave *w, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(
	    pb_alloc((void **)&w->sites, w->e->arch.n_layers + 1, sizeof *w->sites, "a wave", err));
	for (size_t v = 0; v < w->n; v++)
		for (size_t i = 0; i < w->v[v].n_injections; i++) {
			const struct pb_injection *in = &w->list->injections[w->v[v].injection + i];

			w->sites[in->layer] |= 1u << in->site;
		}
cleanup:
	return status;
}

unsigned pb_wave_steps(const struct pb_wave *w, size_t v, size_t l)
{
	unsigned sites = 0, own = 1u << PB_SITE_ATTN_OUT | 1u << PB_SITE_MLP_OUT;

	if (l + 1 == w->e->arch.n_layers)
		for (int site = PB_SITE_Q; site <= PB_SITE_PATTERN; site++)
			own |= 1u << site;
	for (size_t i = 0; i < w->v[v].n_injections; i++) {
		const struct pb_injection *in = &w->list->injections[w->v[v].injection + i];

		if ((size_t)in->layer == l)
			sites |= 1u << in->site;
	}
	return sites & own;
}

size_t pb_block_end(const struct pb_wave *w, size_t l, size_t v0, size_t end, size_t rows,
		    size_t variants)
{
	unsigned steps = pb_wave_steps(w, v0, l);
	size_t v = v0 + 1;

	while (v < end && v - v0 < variants && w->m->row_of[v + 1] - w->m->row_of[v0] <= rows &&
	       pb_wave_steps(w, v, l) == steps)
		v++;
	return v;
}

/* ---- variants under way ------------------------------------------------------------------------
 */

/* One whole layer for the variants v0..v1-1. */
static enum pb_status propagate(struct pb_wave *w, size_t l, size_t v0, size_t v1,
				struct pb_error *err)
{
	struct pb_view view = pb_view_dense(w, v0, v1);
	size_t Z = pb_z_width(&w->e->arch);
	const bool operand = !pb_wave_writes(w, l, PB_SITE_Z, PB_SITE_Z);
	const struct pb_view_z z = {w->m->z, Z, operand};
	enum pb_status status;

	PB_TRY(pb_attend_block(w, l, v0, v1, true, operand, err));
	PB_TRY(pb_step_inject(&view, l, PB_SITE_Z, w->m->z, Z, false, err));
	PB_TRY(pb_finish_layer(&view, l, PB_SITE_RESID_PRE, &z, err));
cleanup:
	return status;
}

/* The last layer for the variants v0..v1-1, at the answer position only. */
static enum pb_status propagate_last(struct pb_wave *w, size_t v0, size_t v1, struct pb_error *err)
{
	size_t l = w->e->arch.n_layers - 1, D = w->e->arch.d_model, Z = pb_z_width(&w->e->arch);
	struct pb_view view = pb_view_answer(w, v0, v1);
	const struct pb_view_z z = {w->m->zdiff, Z, false};
	struct pb_rows gather = {.n_rows = v1 - v0,
				 .columns = D,
				 .a = w->m->delta,
				 .a_stride = D,
				 .a_row = pb_index_at(w->m->last_row, v0),
				 .out = view.delta,
				 .out_stride = D};
	enum pb_status status;

	if (pb_view_writes(&view, l, PB_SITE_Q, PB_SITE_PATTERN)) {
		PB_TRY(pb_attend_block(w, l, v0, v1, true, false, err));
		PB_TRY(pb_gather_z(&view, w->m->zdiff, err));
	} else {
		PB_TRY(pb_attend_last(w, v0, v1, err));
	}
	PB_TRY(pb_step_inject(&view, l, PB_SITE_Z, w->m->zdiff, Z, false, err));
	PB_TRY(pb_step_rows(w, PB_STAGE_ATTENTION, &gather, err));
	PB_TRY(pb_finish_layer(&view, l, PB_SITE_RESID_PRE, &z, err));
cleanup:
	return status;
}

/* ---- the journey ------------------------------------------------------------------------------
 */

/* A block of variants under way, from what is written at the layer's input on. */
static enum pb_status go_through(struct pb_wave *w, size_t l, size_t v0, size_t v1,
				 struct pb_error *err)
{
	bool last = l + 1 == w->e->arch.n_layers;
	struct pb_view view = pb_view_dense(w, v0, v1);
	enum pb_status status;

	PB_TRY(pb_step_begin(w, PB_KIND_UNDER_WAY, l, PB_SITE_RESID_PRE, err));
	status =
	    pb_step_inject(&view, l, PB_SITE_RESID_PRE, view.delta, w->e->arch.d_model, false, err);
	if (status == PB_OK)
		status = last ? propagate_last(w, v0, v1, err) : propagate(w, l, v0, v1, err);
	status = pb_step_end(w, status, err);
cleanup:
	return status;
}

static enum pb_status layer_of(struct pb_wave *w, size_t l, size_t joined, size_t end,
			       struct pb_error *err)
{
	bool last = l + 1 == w->e->arch.n_layers;
	struct pb_wave_memory *m = w->m;
	size_t under_way = joined;
	enum pb_status status = PB_OK;

	while (under_way < end && w->v[under_way].site <= PB_SITE_RESID_PRE)
		under_way++;
	PB_TRY(pb_enter_input(w, l, joined, under_way, err));
	for (size_t v = 0, next; v < under_way; v = next) {
		next = pb_block_end(w, l, v, under_way, m->block_rows,
				    last ? m->block_variants : m->block_rows);
		PB_TRY(go_through(w, l, v, next, err));
	}
	PB_TRY(pb_enter_layer(w, l, under_way, end, err));
cleanup:
	return status;
}

static enum pb_status travel(struct pb_wave *w, struct pb_error *err)
{
	size_t L = w->e->arch.n_layers, joined = 0, D = w->e->arch.d_model;
	enum pb_status status = PB_OK;

	if (w->n_senders)
		PB_TRY(pb_senders_begin(w, err));
	for (size_t l = 0; l < L; l++) {
		size_t end = joined;

		while (end < w->n && (size_t)w->v[end].layer == l)
			end++;
		if (end > 0 || w->n_senders) /* else nothing is under way yet */
			PB_TRY(pb_engine_hold(w->e, l, err));
		if (w->n_senders)
			PB_TRY(pb_senders_layer(w, l, err));
		PB_TRY(layer_of(w, l, joined, end, err));
		joined = end;
	}
	/* what is left ends at the logits, with nothing in between */
	if (joined < w->n)
		PB_TRY(
		    pb_step_zero(w, pb_dev_row(w->m->answer, joined, D), (w->n - joined) * D, err));
	if (w->n_senders)
		PB_TRY(pb_senders_logits(w, err));
cleanup:
	return status;
}

enum pb_status pb_wave_run(struct pb_engine *e, struct pb_wave_memory *m,
			   const struct pb_sweep_work *work, const struct pb_variants *list,
			   size_t from, size_t n, unsigned metrics, size_t n_valid,
			   struct pb_wave_result *result, struct pb_error *err)
{
	struct pb_wave w = {.e = e,
			    .m = m,
			    .work = work,
			    .run = work->run,
			    .list = list,
			    .v = list->v + from,
			    .from = from,
			    .n = n};
	enum pb_status status;

	memset(result, 0, sizeof *result);
	if (work->sweep->intervention == PB_PATH)
		w.n_senders = pb_n_senders(work);
	e->in_wave = true;
	PB_TRY(list_sites(&w, err));
	PB_TRY(upload_rows(&w, err));
	PB_TRY(travel(&w, err));
	PB_TRY(pb_wave_score(&w, metrics, n_valid, result, err));
cleanup:
	e->in_wave = false;
	free(w.sites);
	free((void *)w.variant_of);
	if (status != PB_OK) { /* what was ordered before would still be handed over */
		(void)e->ops->wait(e->dev, PB_TICKET_ALL, NULL);
		pb_wave_result_free(result);
	}
	return status;
}
