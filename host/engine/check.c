/* What a run proves about itself: the donor's residual stream gives the donor's answer, and a
 * random sample of variants is recomputed by a plain forward without any pruning. */
#include <math.h>
#include <stdlib.h>

#include "engine/check.h"

/* Pairs of a chunk whose resid_pre is patched whole at each layer. */
#define CHECKED_PAIRS 1
/* Draws for a cell that exists, before the first one is looked for. */
#define DRAWS 64

/* ---- the donor's residual stream ---------------------------------------------------------------
 */

/* One pair's recipient with the donor's resid_pre at each layer from *layer on, every row of it as
 * a delta, as many layers in one wave as its memory holds: their deviations from the donor's LD. */
static enum pb_status with_donor(struct pb_engine *e, struct pb_wave_memory *m,
				 const struct pb_sweep_work *work, size_t pair, size_t *layer,
				 size_t n_valid, double *deviation, struct pb_error *err)
{
	size_t most = m->rows_most / work->pairs[pair].length, first = *layer;
	double want = pb_base_logit_diff(work->run, pair, work->donor);
	struct pb_variants list = {0};
	struct pb_wave_result result = {0};
	enum pb_cell_kind kind;
	enum pb_status status;

	most = most < m->variants_most ? most : m->variants_most;
	for (; *layer < e->arch.n_layers && *layer - first < most; (*layer)++)
		PB_TRY(pb_cell_variant(work, pair, *layer, &list, &kind, err));
	PB_TRY(pb_wave_run(e, m, work, &list, 0, list.n, 0, n_valid, &result, err));
	PB_TRY(pb_wave_take(e, work, &list, 0, list.n, &result, err));
	for (size_t i = 0; i < list.n; i++) {
		const double *change = result.change + result.at[i];
		double got =
		    pb_base_logit_diff(work->run, pair, work->recipient) + change[0] - change[1];

		/* a NaN must stay and fail the check: nothing is larger */
		if (isnan(got - want) || fabs(got - want) > deviation[first + i])
			deviation[first + i] = fabs(got - want);
	}
cleanup:
	pb_wave_result_free(&result);
	pb_variants_free(&list);
	return status;
}

enum pb_status pb_check_resid_pre(struct pb_engine *e, struct pb_wave_memory *m,
				  const struct pb_chunk_run *run, const bool *directions,
				  size_t n_valid, struct pb_chunk_checks *checks,
				  struct pb_error *err)
{
	const struct pb_grid grid = {.n_axes = 1,
				     .axes = {{.kind = PB_AXIS_LAYER, .n = e->arch.n_layers}},
				     .n_cells = e->arch.n_layers};
	size_t L = e->arch.n_layers;
	double start = pb_seconds();
	struct pb_profile before = e->profile;
	enum pb_status status = PB_OK;

	checks->n_resid_pre_pairs = run->n_pairs < CHECKED_PAIRS ? run->n_pairs : CHECKED_PAIRS;
	for (size_t l = 0; l < L; l++)
		checks->resid_pre_deviation[l] = 0.0;
	for (int d = 0; d < PB_N_DIRECTIONS; d++) {
		const struct pb_sweep sweep = {.intervention = PB_PATCH,
					       .site = PB_SITE_RESID_PRE,
					       .direction = (enum pb_direction)d,
					       .positions = PB_POSITIONS_ALL};
		const struct pb_sweep_work work = {.sweep = &sweep,
						   .grid = &grid,
						   .arch = &e->arch,
						   .run = run,
						   .pairs = run->pairs,
						   .all = run->all,
						   .first_pair = run->first_pair,
						   .recipient = d == PB_DENOISE ? 1 : 0,
						   .donor = d == PB_DENOISE ? 0 : 1,
						   .no_shortcut = true};

		for (size_t p = 0; directions[d] && p < checks->n_resid_pre_pairs; p++)
			for (size_t l = 0; l < L;)
				PB_TRY(with_donor(e, m, &work, p, &l, n_valid,
						  checks->resid_pre_deviation, err));
	}
cleanup:
	e->profile = before;
	e->profile.seconds[PB_STAGE_CHECK] += pb_seconds() - start;
	return status;
}

/* ---- a sample of variants ----------------------------------------------------------------------
 */

/* A cell that exists, uniformly among those that do as far as DRAWS draws find one; its variant is
 * appended to the list unless it is the recipient itself. */
static enum pb_status draw(struct pb_rng *rng, const struct pb_sweep_work *w,
			   struct pb_variants *list, int32_t *pair, int32_t *cell,
			   enum pb_cell_kind *kind, struct pb_error *err)
{
	size_t n_pairs = w->run->n_pairs, n_cells = w->grid->n_cells;
	enum pb_status status = PB_OK;

	*kind = PB_CELL_ABSENT;
	for (size_t i = 0; i < DRAWS + n_pairs * n_cells && *kind == PB_CELL_ABSENT; i++) {
		size_t at = i < DRAWS ? 0 : i - DRAWS;

		*pair = (int32_t)(i < DRAWS ? pb_rng_below(rng, n_pairs) : at / n_cells);
		*cell = (int32_t)(i < DRAWS ? pb_rng_below(rng, n_cells) : at % n_cells);
		PB_TRY(pb_cell_variant(w, (size_t)*pair, (size_t)*cell, list, kind, err));
	}
cleanup:
	return status;
}

static enum pb_status check_sweep(struct pb_engine *e, const struct pb_experiment *x, size_t s,
				  const struct pb_sweep_work *work, struct pb_chunk_values *values,
				  struct pb_error *err)
{
	struct pb_chunk_checks *checks = &values->checks;
	const double *stored = values->sweeps[s].metric[PB_METRIC_LOGIT_DIFF];
	struct pb_sweep_work plain = *work;
	struct pb_variants list = {0};
	double ld[PB_CHECKED_VARIANTS];
	size_t n = 0;
	struct pb_rng rng;
	enum pb_status status = PB_OK;

	plain.no_shortcut = true;
	plain.shapes = NULL; /* they are of variants with shortcuts */
	pb_rng_seed(&rng, s, values->chunk, x->seed, 0);
	for (size_t i = 0; i < PB_CHECKED_VARIANTS; i++) {
		struct pb_checked_variant *v = &checks->variants[checks->n_variants];
		enum pb_cell_kind kind;
		int32_t pair, cell;

		PB_TRY(draw(&rng, &plain, &list, &pair, &cell, &kind, err));
		if (kind != PB_CELL_VARIANT)
			continue; /* nothing is written there: no forward to compare with */
		*v = (struct pb_checked_variant){
		    .sweep = (int32_t)s,
		    .pair = pair + (int32_t)values->first_pair,
		    .cell = cell,
		    .logit_diff = stored[(size_t)pair * work->grid->n_cells + (size_t)cell]};
		checks->n_variants++;
		n++;
	}
	if (n == 0)
		goto cleanup;
	PB_TRY(pb_check_plain(e, &plain, &list, ld, err));
	for (size_t i = 0; i < n; i++)
		checks->variants[checks->n_variants - n + i].logit_diff_plain = ld[i];
cleanup:
	pb_variants_free(&list);
	return status;
}

enum pb_status pb_check_variants(struct pb_engine *e, const struct pb_experiment *x,
				 const struct pb_sweep_work *works, struct pb_chunk_values *values,
				 struct pb_error *err)
{
	struct pb_chunk_checks *checks = &values->checks;
	enum pb_status status;

	checks->n_variants = 0;
	PB_TRY(pb_alloc((void **)&checks->variants, x->n_sweeps * PB_CHECKED_VARIANTS,
			sizeof *checks->variants, "checked variants", err));
	for (size_t s = 0; s < x->n_sweeps; s++)
		PB_TRY(check_sweep(e, x, s, &works[s], values, err));
cleanup:
	return status;
}
