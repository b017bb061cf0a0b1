/* A sweep on one chunk: baselines for every cell, then waves for the cells that can differ. */
#include <stdlib.h>

#include "engine/internal.h"

size_t pb_wave_pairs(const struct pb_arch *arch, const struct pb_sweep *sweep,
		     const struct pb_pair *pairs, size_t pair0, size_t n_pairs, size_t rows_most,
		     size_t variants_most)
{
	size_t end = pair0, rows = 0, variants = 0;

	while (end < n_pairs) {
		struct pb_sweep_shape s = pb_sweep_shape(arch, sweep, pairs + end, 1);

		if (rows + s.n_rows > rows_most || variants + s.n_variants > variants_most)
			break;
		rows += s.n_rows;
		variants += s.n_variants;
		end++;
	}
	return end;
}

static int recipient_of(enum pb_direction direction)
{
	return direction == PB_DENOISE ? 1 : 0;
}

/* Scores of the recipients themselves, with KL to the donors: what a variant without any change
 * has. */
static enum pb_status score_recipients(struct pb_engine *e, const struct pb_chunk_run *run,
				       const struct pb_sweep_target *t,
				       struct pb_vocabulary_score *out, struct pb_error *err)
{
	size_t n = run->n_pairs;
	int recipient = recipient_of(t->sweep->direction);
	int32_t *ints = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&ints, 4 * n, sizeof *ints, "score indices", err));
	for (size_t p = 0; p < n; p++) {
		ints[p] = (int32_t)(2 * p) + recipient;
		ints[n + p] = (int32_t)(2 * p) + 1 - recipient;
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
	}
cleanup:
	free(ints);
	return status;
}

/* Every cell that exists starts as the recipient's own scores. */
static enum pb_status store_baselines(struct pb_engine *e, const struct pb_chunk_run *run,
				      const struct pb_sweep_target *t, struct pb_error *err)
{
	const struct pb_arch *a = &e->arch;
	bool each = t->sweep->positions == PB_POSITIONS_EACH;
	int recipient = recipient_of(t->sweep->direction);
	struct pb_vocabulary_score *scores = NULL;
	enum pb_status status = PB_OK;

	if (pb_metrics_need_vocabulary(t->metrics)) {
		PB_TRY(
		    pb_alloc((void **)&scores, run->n_pairs, sizeof *scores, "base scores", err));
		PB_TRY(score_recipients(e, run, t, scores, err));
	}
	for (size_t p = 0; p < run->n_pairs; p++) {
		const struct pb_pair *pair = &run->pairs[p];
		struct pb_scored s = {.logit_diff = pb_base_logit_diff(run, p, recipient),
				      .candidate_logits =
					  run->logit + run->logit_at[2 * p + (size_t)recipient] + 2,
				      .n_candidates = pair->n_candidates,
				      .vocabulary = scores ? &scores[p] : NULL};

		for (size_t l = 0; l < a->n_layers; l++)
			for (size_t h = 0; h < a->n_heads; h++)
				for (size_t i = 0; i < (each ? pair->length : 1); i++)
					pb_metric_store(t,
							pb_cell_index(a, t->sweep->positions,
								      t->max_length, p, l, h, i),
							&s);
	}
cleanup:
	free(scores);
	return status;
}

/* Run the variants v[0..n) as one wave and store their cells. */
static enum pb_status one_wave(struct pb_engine *e, struct pb_wave_memory *m,
			       const struct pb_chunk_run *run, const struct pb_sweep_target *t,
			       const struct pb_variant *v, size_t n, struct pb_error *err)
{
	int recipient = recipient_of(t->sweep->direction);
	struct pb_wave_result result = {0};
	double *candidates = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&candidates, t->max_candidates, sizeof *candidates, "candidates",
			err));
	PB_TRY(pb_wave_run(e, m, run, t->sweep->site, t->sweep->direction, v, n, t->metrics,
			   t->n_valid, &result, err));
	for (size_t i = 0; i < n; i++) {
		size_t pair = (size_t)v[i].pair;
		const double *change = result.change + result.at[i];
		struct pb_scored s = {.logit_diff = pb_base_logit_diff(run, pair, recipient) +
						    (change[0] - change[1]),
				      .candidate_logits = candidates,
				      .n_candidates = run->pairs[pair].n_candidates,
				      .vocabulary =
					  result.vocabulary ? &result.vocabulary[i] : NULL};

		for (size_t c = 0; c < s.n_candidates; c++)
			candidates[c] = pb_base_logit(run, pair, recipient, 2 + c) + change[2 + c];
		pb_metric_store(t,
				pb_cell_index(&e->arch, t->sweep->positions, t->max_length, pair,
					      (size_t)v[i].layer, (size_t)v[i].head,
					      v[i].position < 0 ? 0 : (size_t)v[i].position),
				&s);
	}
cleanup:
	free(candidates);
	pb_wave_result_free(&result);
	return status;
}

/* Variants from v0 on that fit a wave; whole pairs fit by construction, single pairs are cut here.
 */
static size_t slice_end(const struct pb_chunk_run *run, const struct pb_wave_memory *m,
			const struct pb_variant *v, size_t v0, size_t n)
{
	size_t end = v0, rows = 0;

	while (end < n && end - v0 < m->variants_most) {
		size_t more = pb_variant_rows(&v[end], &run->pairs[v[end].pair]);

		if (rows + more > m->rows_most)
			break;
		rows += more;
		end++;
	}
	return end;
}

enum pb_status pb_sweep_run(struct pb_engine *e, struct pb_wave_memory *m,
			    const struct pb_chunk_run *run, const struct pb_sweep_target *t,
			    struct pb_progress *progress, struct pb_error *err)
{
	struct pb_variant *v = NULL;
	size_t n = 0;
	enum pb_status status;

	PB_TRY(store_baselines(e, run, t, err));
	for (size_t pair = 0, next; pair < run->n_pairs; pair = next) {
		struct pb_sweep_shape shape;

		next = pb_wave_pairs(&e->arch, t->sweep, run->pairs, pair, run->n_pairs,
				     m->rows_most, m->variants_most);
		if (next == pair)
			next = pair + 1;
		shape = pb_sweep_shape(&e->arch, t->sweep, run->pairs + pair, next - pair);
		PB_TRY(pb_variants_make(run, &e->arch, t->sweep, pair, next, &v, &n, err));
		for (size_t from = 0, end; from < n; from = end) {
			end = slice_end(run, m, v, from, n);
			PB_TRY(one_wave(e, m, run, t, v + from, end - from, err));
			pb_progress_add(progress, (double)(end - from));
		}
		pb_progress_add(progress, (double)(shape.n_variants - n));
		free(v);
		v = NULL;
	}
cleanup:
	free(v);
	return status;
}
