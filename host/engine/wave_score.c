/* Scores of a wave's variants, from the change of the residual at the answer position. */
#include <stdlib.h>
#include <string.h>

#include "engine/wave.h"

/* Under a softcap: from changes of the capped value's argument to changes of the value. */
static void cap_changes(const struct pb_sweep_work *work, const struct pb_variant *variants,
			size_t n, struct pb_wave_result *result)
{
	const struct pb_chunk_run *run = work->run;

	for (size_t v = 0; run->softcap > 0.0f && v < n; v++) {
		size_t pair = (size_t)variants[v].pair;
		double *change = result->change + result->at[v];

		for (size_t t = 0; t < 2 + run->pairs[pair].n_candidates; t++) {
			double raw = pb_base_logit_raw(run, pair, work->recipient, t);

			change[t] = pb_softcap(raw + change[t], run->softcap) -
				    pb_softcap(raw, run->softcap);
		}
	}
}

enum pb_status pb_wave_take(struct pb_engine *e, const struct pb_sweep_work *work,
			    const struct pb_variants *list, size_t from, size_t n,
			    struct pb_wave_result *result, struct pb_error *err)
{
	enum pb_status status;

	PB_STAGE(e, PB_STAGE_SCORE, e->ops->wait(e->dev, result->ticket, err));
	cap_changes(work, list->v + from, n, result);
cleanup:
	return status;
}

/* Changes of the targets' logits: one dot product each with an unembedding vector. */
static enum pb_status score_targets(struct pb_wave *w, struct pb_wave_result *result,
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

static enum pb_status score_vocabulary(struct pb_wave *w, size_t n_valid, bool kl,
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
					   .softcap = w->e->arch.logit_softcap,
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

			base[i] = 2 * pair + w->work->recipient;
			donor[i] = 2 * pair + w->work->donor;
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

enum pb_status pb_wave_score(struct pb_wave *w, unsigned metrics, size_t n_valid,
			     struct pb_wave_result *result, struct pb_error *err)
{
	const struct pb_cache *c = &w->run->cache;
	enum pb_status status;

	PB_TRY(pb_step_norm(w, w->m->answer, w->n, w->m->prompt, c->x_answer, c->stats_answer,
			    w->e->final_weight, w->m->scored, false, err));
	PB_TRY(score_targets(w, result, err));
	if (pb_metrics_need_vocabulary(metrics))
		PB_TRY(score_vocabulary(w, n_valid, pb_metrics_need_kl(metrics), result, err));
	result->ticket = w->e->ops->ticket(w->e->dev);
cleanup:
	return status;
}
