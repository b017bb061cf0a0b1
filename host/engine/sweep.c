/* A sweep on one chunk: baselines for every cell, then waves for the cells that can differ. */
#include <stdlib.h>
#include <string.h>

#include "engine/sweeps.h"

enum pb_status pb_wave_pairs(const struct pb_sweep_work *w, size_t pair0, size_t n_pairs,
			     const struct pb_wave_sizes *sizes, size_t *end, struct pb_error *err)
{
	size_t rows = 0, variants = 0, senders = 0;
	size_t per_pair = w->sweep->intervention == PB_PATH ? pb_n_senders(w) : 0;
	enum pb_status status = PB_OK;

	for (*end = pair0; *end < n_pairs; (*end)++) {
		struct pb_sweep_shape s;

		PB_TRY(pb_sweep_shape(w, *end, *end + 1, &s, err));
		rows += s.n_rows;
		variants += s.n_variants;
		senders += s.n_sender_rows;
		if (rows > sizes->rows_most || variants > sizes->variants_most ||
		    senders > sizes->sender_rows ||
		    per_pair * (*end + 1 - pair0) > sizes->n_senders)
			break;
	}
cleanup:
	return status;
}

/* Scores of the recipients themselves, with KL to the donors: what a variant without any change
 * has. */
static enum pb_status score_recipients(struct pb_engine *e, const struct pb_sweep_target *t,
				       struct pb_vocabulary_score *out, struct pb_error *err)
{
	const struct pb_chunk_run *run = t->work->run;
	size_t n = run->n_pairs;
	int32_t *ints = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&ints, 4 * n, sizeof *ints, "score indices", err));
	for (size_t p = 0; p < n; p++) {
		ints[p] = (int32_t)(2 * p) + t->work->recipient;
		ints[n + p] = (int32_t)(2 * p) + t->work->donor;
		ints[2 * n + p] = run->pairs[p].answer;
		ints[3 * n + p] = run->pairs[p].foil;
	}
	{
		struct pb_vocabulary op = {.n = n,
					   .n_vocab = e->arch.n_vocab,
					   .n_valid = t->n_valid,
					   .logits0 = run->cache.logits,
					   .base = ints,
					   .donor =
					       pb_metrics_need_kl(t->metrics) ? ints + n : NULL,
					   .lse0 = run->lse,
					   .answer = ints + 2 * n,
					   .foil = ints + 3 * n,
					   .out = out};

		PB_STAGE(e, PB_STAGE_SCORE, e->ops->vocabulary(e->dev, &op, err));
		PB_TRY(pb_engine_wait(e, err));
	}
cleanup:
	free(ints);
	return status;
}

/* Every cell that exists is at first the recipient's own scores; values are NaN elsewhere. */
static enum pb_status store_baselines(struct pb_engine *e, const struct pb_sweep_target *t,
				      struct pb_error *err)
{
	const struct pb_chunk_run *run = t->work->run;
	size_t n_cells = t->work->grid->n_cells;
	int side = t->work->recipient;
	struct pb_vocabulary_score *scores = NULL;
	enum pb_status status = PB_OK;

	if (pb_metrics_need_vocabulary(t->metrics)) {
		PB_TRY(
		    pb_alloc((void **)&scores, run->n_pairs, sizeof *scores, "base scores", err));
		PB_TRY(score_recipients(e, t, scores, err));
	}
	for (size_t p = 0; p < run->n_pairs; p++) {
		struct pb_scored s = {.logit_diff = pb_base_logit_diff(run, p, side),
				      .candidate_logits =
					  run->logit + run->logit_at[2 * p + (size_t)side] + 2,
				      .n_candidates = run->pairs[p].n_candidates,
				      .vocabulary = scores ? &scores[p] : NULL};

		for (size_t cell = 0; cell < n_cells; cell++)
			if (!t->values->absent[p * n_cells + cell])
				pb_metric_store(t, p * n_cells + cell, &s);
	}
cleanup:
	free(scores);
	return status;
}

/* A wave that is under way: the variants from .. from + n - 1 of a list. */
struct flight {
	const struct pb_variants *list; /* NULL: none */
	size_t from, n;
	struct pb_wave_result result;
};

/* Wait for a wave's scores and store its cells. */
static enum pb_status land(struct pb_engine *e, const struct pb_sweep_target *t, struct flight *f,
			   struct pb_error *err)
{
	const struct pb_chunk_run *run = t->work->run;
	double *candidates = NULL;
	enum pb_status status = PB_OK;

	if (!f->list)
		return PB_OK;
	PB_TRY(pb_alloc((void **)&candidates, t->max_candidates, sizeof *candidates, "candidates",
			err));
	PB_TRY(pb_wave_take(e, t->work, f->list, f->from, f->n, &f->result, err));
	for (size_t i = 0; i < f->n; i++) {
		const struct pb_variant *v = &f->list->v[f->from + i];
		size_t pair = (size_t)v->pair;
		const double *change = f->result.change + f->result.at[i];
		struct pb_scored s = {
		    .logit_diff =
			pb_base_logit_diff(run, pair, t->work->recipient) + (change[0] - change[1]),
		    .candidate_logits = candidates,
		    .n_candidates = run->pairs[pair].n_candidates,
		    .vocabulary = f->result.vocabulary ? &f->result.vocabulary[i] : NULL};

		for (size_t c = 0; c < s.n_candidates; c++)
			candidates[c] =
			    pb_base_logit(run, pair, t->work->recipient, 2 + c) + change[2 + c];
		pb_metric_store(t, pair * t->work->grid->n_cells + (size_t)v->cell, &s);
	}
cleanup:
	free(candidates);
	pb_wave_result_free(&f->result);
	f->list = NULL;
	return status;
}

/* Start a wave, then store the one before, while the device is at the new one. */
static enum pb_status start(struct pb_engine *e, struct pb_wave_memory *m,
			    const struct pb_sweep_target *t, const struct pb_variants *list,
			    size_t from, size_t n, struct flight *before, struct pb_error *err)
{
	struct flight next = {.list = list, .from = from, .n = n};
	enum pb_status status;

	PB_TRY(
	    pb_wave_run(e, m, t->work, list, from, n, t->metrics, t->n_valid, &next.result, err));
	status = land(e, t, before, err);
	*before = next;
cleanup:
	return status;
}

/* Variants from v0 on that fit a wave; whole pairs fit by construction, single pairs are cut here.
 */
static size_t slice_end(const struct pb_chunk_run *run, const struct pb_wave_memory *m,
			const struct pb_variants *list, size_t v0)
{
	size_t end = v0, rows = 0;

	while (end < list->n && end - v0 < m->variants_most) {
		size_t more = pb_variant_rows(&list->v[end], &run->pairs[list->v[end].pair]);

		if (rows + more > m->rows_most)
			break;
		rows += more;
		end++;
	}
	return end;
}

/* Baselines need to know which cells exist before any wave has run. */
static enum pb_status mark_absent(const struct pb_sweep_target *t, struct pb_variants *list,
				  struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t n_cells = t->work->grid->n_cells;

	for (size_t p = 0; p < t->work->run->n_pairs; p++)
		for (size_t cell = 0; cell < n_cells; cell++) {
			enum pb_cell_kind kind;

			list->n = list->n_runs = list->n_injections = 0;
			PB_TRY(pb_cell_variant(t->work, p, cell, list, &kind, err));
			t->values->absent[p * n_cells + cell] = kind == PB_CELL_ABSENT;
		}
cleanup:
	return status;
}

enum pb_status pb_sweep_run(struct pb_engine *e, struct pb_wave_memory *m,
			    const struct pb_sweep_target *t, struct pb_progress *progress,
			    struct pb_error *err)
{
	const struct pb_chunk_run *run = t->work->run;
	struct pb_variants lists[2] = {{0}, {0}}; /* a wave under way still needs its own */
	struct flight flight = {0};
	size_t which = 0;
	enum pb_status status;

	PB_TRY(mark_absent(t, &lists[0], err));
	PB_TRY(store_baselines(e, t, err));
	for (size_t pair = 0, next; pair < run->n_pairs; pair = next) {
		struct pb_variants *list = &lists[which ^= 1];
		struct pb_sweep_shape shape;

		PB_TRY(pb_wave_pairs(t->work, pair, run->n_pairs, &m->sizes, &next, err));
		if (next == pair)
			next = pair + 1;
		PB_TRY(pb_sweep_shape(t->work, pair, next, &shape, err));
		PB_TRY(pb_variants_make(t->work, pair, next, list, err));
		for (size_t from = 0, end; from < list->n; from = end) {
			end = slice_end(run, m, list, from);
			PB_TRY(start(e, m, t, list, from, end - from, &flight, err));
			PB_TRY(pb_progress_add(progress, (double)(end - from), err));
		}
		/* a list without variants leaves the other's wave under way: it keeps that list */
		if (flight.list != list)
			which ^= 1;
		PB_TRY(pb_progress_add(progress, (double)shape.n_variants - (double)list->n, err));
	}
	PB_TRY(land(e, t, &flight, err));
cleanup:
	/* the device may still write into the results of a wave that is given up */
	if (status != PB_OK)
		(void)e->ops->wait(e->dev, PB_TICKET_ALL, NULL);
	pb_wave_result_free(&flight.result);
	pb_variants_free(&lists[0]);
	pb_variants_free(&lists[1]);
	return status;
}
