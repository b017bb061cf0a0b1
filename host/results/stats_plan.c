/* The resamples and sign flips that all cells of a sweep share. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/stats.h"

/* Streams of the random numbers (first word of pb_rng_seed). */
#define STREAM_FLIPS UINT64_C(0x666c697073)
#define STREAM_RESAMPLES UINT64_C(0x626f6f74)

/* Flip f + 1 of the 2^n in counting order: flip 0 is the identity and is left out. */
static void flips_all(struct pb_stats_plan *plan)
{
	size_t f, g;

	for (f = 0; f < plan->n_flips; f++)
		for (g = 0; g < plan->n_groups; g++)
			plan->flips[f * plan->n_groups + g] = (uint8_t)(((f + 1) >> (4 * g)) & 15);
}

void pb_stats_flip_rng(const struct pb_stats_plan *plan, size_t f, struct pb_rng *rng)
{
	pb_rng_seed(rng, STREAM_FLIPS, 0, plan->seed, f);
}

static void flips_random(struct pb_stats_plan *plan)
{
	size_t f, g;

	for (f = 0; f < plan->n_flips; f++) {
		uint8_t *row = plan->flips + f * plan->n_groups;
		struct pb_rng rng;
		uint64_t bits = 0;

		pb_stats_flip_rng(plan, f, &rng);
		for (g = 0; g < plan->n_groups; g++) {
			if (g % 16 == 0)
				bits = pb_rng_next(&rng);
			row[g] = (uint8_t)(bits >> (4 * (g % 16)) & 15);
		}
		/* Pairs past the last one are zeros in every tile; keep their bits clear anyway. */
		if (plan->n % 4 != 0)
			row[plan->n_groups - 1] &= (uint8_t)((1u << plan->n % 4) - 1);
	}
}

void pb_stats_draw(const struct pb_stats_plan *plan, size_t r, uint16_t *drawn)
{
	struct pb_rng rng;
	size_t i;

	memset(drawn, 0, plan->n * sizeof *drawn);
	pb_rng_seed(&rng, STREAM_RESAMPLES, 0, plan->seed, r);
	for (i = 0; i < plan->n; i++)
		drawn[pb_rng_below(&rng, plan->n)]++;
}

enum pb_status pb_stats_plan_keep(struct pb_stats_plan *plan, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t bytes, draws, r;

	if (plan->drawn != NULL)
		return PB_OK;
	if (!pb_size_mul(plan->n_flips, plan->n_groups, &bytes) ||
	    !pb_size_mul(PB_STATS_RESAMPLES, plan->n, &draws))
		return pb_fail(err, PB_ERR_MEMORY, "too many pairs for the statistics: %zu",
			       plan->n);
	PB_TRY(pb_alloc((void **)&plan->flips, bytes, 1, "sign flips", err));
	PB_TRY(pb_alloc((void **)&plan->identity, plan->n_groups, 1, "sign flips", err));
	PB_TRY(pb_alloc((void **)&plan->drawn, draws, sizeof *plan->drawn, "resamples", err));
	if (plan->n <= PB_STATS_EXHAUSTIVE)
		flips_all(plan);
	else
		flips_random(plan);
	for (r = 0; r < PB_STATS_RESAMPLES && plan->n > 0; r++)
		pb_stats_draw(plan, r, plan->drawn + r * plan->n);
cleanup:
	if (status != PB_OK)
		pb_stats_plan_drop(plan);
	return status;
}

void pb_stats_plan_drop(struct pb_stats_plan *plan)
{
	free(plan->flips);
	free(plan->identity);
	free(plan->drawn);
	plan->flips = plan->identity = NULL;
	plan->drawn = NULL;
}

enum pb_status pb_stats_plan_new(struct pb_stats_plan *plan, size_t n, uint64_t seed,
				 struct pb_error *err)
{
	const bool exhaustive = n <= PB_STATS_EXHAUSTIVE;

	*plan = (struct pb_stats_plan){.n = n, .seed = seed, .smallest_p = NAN};
	plan->n_groups = n / 4 + (n % 4 != 0);
	plan->n_flips = exhaustive ? ((size_t)1 << n) - 1 : PB_STATS_FLIPS;
	if (n > 0)
		plan->smallest_p =
		    exhaustive ? ldexp(1.0, 1 - (int)n) : 1.0 / (1.0 + PB_STATS_FLIPS);
	return n <= PB_STATS_KEPT ? pb_stats_plan_keep(plan, err) : PB_OK;
}

void pb_stats_plan_free(struct pb_stats_plan *plan)
{
	pb_stats_plan_drop(plan);
	*plan = (struct pb_stats_plan){0};
}
