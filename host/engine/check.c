/* What a run proves about itself: the donor's residual stream gives the donor's answer, and a
 * random sample of variants is recomputed by a plain forward without any pruning. */
#include <math.h>
#include <stdlib.h>

#include "engine/internal.h"

/* Pairs of a chunk whose resid_pre is patched whole at each layer. */
#define CHECKED_PAIRS 1

enum pb_status pb_check_resid_pre(struct pb_engine *e, struct pb_wave_memory *m,
				  const struct pb_chunk_run *run, const bool *directions,
				  size_t n_valid, struct pb_chunk_checks *checks,
				  struct pb_error *err)
{
	size_t L = e->arch.n_layers;
	double start = pb_seconds();
	struct pb_profile before = e->profile;
	enum pb_status status = PB_OK;

	checks->n_resid_pre_pairs = run->n_pairs < CHECKED_PAIRS ? run->n_pairs : CHECKED_PAIRS;
	for (size_t l = 0; l < L; l++)
		checks->resid_pre_deviation[l] = 0.0;
	for (int d = 0; d < PB_N_DIRECTIONS; d++)
		for (size_t p = 0; directions[d] && p < checks->n_resid_pre_pairs; p++)
			for (size_t l = 0; l < L; l++) {
				struct pb_variant v = {
				    .pair = (int32_t)p, .layer = (int32_t)l, .position = -1};
				int recipient = d == PB_DENOISE ? 1 : 0;
				struct pb_wave_result result = {0};
				double got, want;

				PB_TRY(pb_wave_run(e, m, run, PB_SITE_RESID_PRE,
						   (enum pb_direction)d, &v, 1, 0, n_valid, &result,
						   err));
				got = pb_base_logit_diff(run, p, recipient) + result.change[0] -
				      result.change[1];
				want = pb_base_logit_diff(run, p, 1 - recipient);
				pb_wave_result_free(&result);
				/* a NaN must stay and fail the check: nothing is larger */
				if (isnan(got - want) ||
				    fabs(got - want) > checks->resid_pre_deviation[l])
					checks->resid_pre_deviation[l] = fabs(got - want);
			}
cleanup:
	e->profile = before;
	e->profile.seconds[PB_STAGE_CHECK] += pb_seconds() - start;
	return status;
}

/* Draw the variants of one sweep: any cell may come, shortcuts included. */
static void draw(struct pb_rng *rng, const struct pb_chunk_run *run, const struct pb_arch *a,
		 const struct pb_sweep *sweep, size_t index, struct pb_checked_variant *v)
{
	size_t pair = pb_rng_below(rng, run->n_pairs);

	v->sweep = (int32_t)index;
	v->pair = (int32_t)pair; /* within the chunk until it is stored */
	v->layer = (int32_t)pb_rng_below(rng, a->n_layers);
	v->head = (int32_t)pb_rng_below(rng, a->n_heads);
	v->position = sweep->positions == PB_POSITIONS_EACH
			  ? (int32_t)pb_rng_below(rng, run->pairs[pair].length)
			  : -1;
}

/* Logit differences of `n` variants of one sweep by a plain forward. */
static enum pb_status plain(struct pb_engine *e, const struct pb_chunk_run *run,
			    const struct pb_sweep *sweep, struct pb_checked_variant *v, size_t n,
			    struct pb_error *err)
{
	int recipient = sweep->direction == PB_DENOISE ? 1 : 0;
	const int32_t *tokens[PB_CHECKED_VARIANTS];
	size_t lengths[PB_CHECKED_VARIANTS];
	struct pb_override overrides[PB_CHECKED_VARIANTS];
	int32_t rows[2 * PB_CHECKED_VARIANTS], targets[2 * PB_CHECKED_VARIANTS];
	double logits[2 * PB_CHECKED_VARIANTS];
	struct pb_batch batch = {0};
	struct pb_cache cache = {0};
	struct pb_dots dots = {.n = 2 * n,
			       .d_model = e->arch.d_model,
			       .t = run->targets,
			       .x_row = rows,
			       .t_row = targets,
			       .out = logits};
	enum pb_status status;

	for (size_t i = 0; i < n; i++) {
		size_t pair = (size_t)v[i].pair, length = run->pairs[pair].length;
		const struct pb_span *donor = &run->batch.spans[2 * pair + (size_t)(1 - recipient)];
		size_t first = v[i].position >= 0                      ? (size_t)v[i].position
			       : sweep->positions == PB_POSITIONS_LAST ? length - 1
								       : 0;
		size_t last = v[i].position >= 0 ? first : length - 1;

		tokens[i] = recipient ? run->pairs[pair].corrupted : run->pairs[pair].clean;
		lengths[i] = length;
		overrides[i] = (struct pb_override){.prompt = i,
						    .layer = (size_t)v[i].layer,
						    .head = (size_t)v[i].head,
						    .first = first,
						    .last = last,
						    .from = run->cache.z[v[i].layer],
						    .from_row = (size_t)donor->base + first};
		for (size_t t = 0; t < 2; t++) {
			rows[2 * i + t] = (int32_t)i;
			targets[2 * i + t] = (int32_t)(run->target[pair] + t);
		}
	}
	PB_TRY(pb_batch_new(&batch, e, n, tokens, lengths, err));
	PB_TRY(pb_cache_new(&cache, e, batch.n_rows, n, true, err));
	PB_TRY(pb_forward(e, &batch, &cache, overrides, n, PB_STAGE_CHECK, err));
	dots.x = cache.n_answer;
	PB_TRY(e->ops->dots(e->dev, &dots, err));
	for (size_t i = 0; i < n; i++)
		v[i].logit_diff_plain =
		    (logits[2 * i] + (double)run->target_bias[targets[2 * i]]) -
		    (logits[2 * i + 1] + (double)run->target_bias[targets[2 * i + 1]]);
cleanup:
	pb_cache_free(&cache, e);
	pb_batch_free(&batch, e);
	return status;
}

enum pb_status pb_check_variants(struct pb_engine *e, const struct pb_chunk_run *run,
				 const struct pb_experiment *x, struct pb_chunk_values *values,
				 struct pb_error *err)
{
	struct pb_chunk_checks *checks = &values->checks;
	enum pb_status status;

	checks->n_variants = 0;
	PB_TRY(pb_alloc((void **)&checks->variants, x->n_sweeps * PB_CHECKED_VARIANTS,
			sizeof *checks->variants, "checked variants", err));
	for (size_t s = 0; s < x->n_sweeps; s++) {
		struct pb_checked_variant *v = checks->variants + checks->n_variants;
		const double *stored = values->sweeps[s].metric[PB_METRIC_LOGIT_DIFF];
		struct pb_rng rng;

		pb_rng_seed(&rng, s, values->chunk, x->seed, 0);
		for (size_t i = 0; i < PB_CHECKED_VARIANTS; i++)
			draw(&rng, run, &e->arch, &x->sweeps[s], s, &v[i]);
		PB_TRY(plain(e, run, &x->sweeps[s], v, PB_CHECKED_VARIANTS, err));
		for (size_t i = 0; i < PB_CHECKED_VARIANTS; i++) {
			v[i].logit_diff = stored[pb_cell_index(
			    &e->arch, x->sweeps[s].positions, x->pairs->max_length,
			    (size_t)v[i].pair, (size_t)v[i].layer, (size_t)v[i].head,
			    v[i].position < 0 ? 0 : (size_t)v[i].position)];
			v[i].pair += (int32_t)run->first_pair;
		}
		checks->n_variants += PB_CHECKED_VARIANTS;
	}
cleanup:
	return status;
}
