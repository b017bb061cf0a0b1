/* The resamples and sign flips that all cells of a sweep share. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/stats.h"

/* Streams of the random numbers (first word of pb_rng_seed). */
#define STREAM_FLIPS UINT64_C(0x666c697073)
#define STREAM_RESAMPLES UINT64_C(0x626f6f74)

static uint8_t *mask(const struct pb_stats_plan *plan, size_t f, size_t group)
{
	return pb_stats_masks(plan, f, group) + group % PB_STATS_RUN;
}

/* Flip f + 1 of the 2^n in counting order: flip 0 is the identity and is left out. */
static void flips_all(struct pb_stats_plan *plan)
{
	size_t f, g;

	for (f = 0; f < plan->n_flips; f++)
		for (g = 0; g < plan->n_groups; g++)
			*mask(plan, f, g) = (uint8_t)(((f + 1) >> (4 * g)) & 15);
}

static void flips_random(struct pb_stats_plan *plan, uint64_t seed)
{
	size_t f, g;

	for (f = 0; f < plan->n_flips; f++) {
		struct pb_rng rng;
		uint64_t bits = 0;

		pb_rng_seed(&rng, STREAM_FLIPS, 0, seed, f);
		for (g = 0; g < plan->n_groups; g++) {
			if (g % 16 == 0)
				bits = pb_rng_next(&rng);
			*mask(plan, f, g) = (uint8_t)(bits >> (4 * (g % 16)) & 15);
		}
		/* Units past the last one are zeros in every tile; keep their bits clear anyway. */
		if (plan->n_units % 4 != 0)
			*mask(plan, f, plan->n_groups - 1) &=
			    (uint8_t)((1u << plan->n_units % 4) - 1);
	}
}

static void draw(struct pb_stats_plan *plan, uint64_t seed)
{
	size_t r, i;

	for (r = 0; r < PB_STATS_RESAMPLES; r++) {
		uint16_t *drawn = plan->drawn + r * plan->n_units;
		struct pb_rng rng;

		pb_rng_seed(&rng, STREAM_RESAMPLES, 0, seed, r);
		for (i = 0; i < plan->n_units; i++)
			drawn[pb_rng_below(&rng, plan->n_units)]++;
	}
}

enum pb_status pb_stats_plan_new(struct pb_stats_plan *plan, size_t n, uint64_t seed,
				 struct pb_error *err)
{
	const bool exhaustive = n <= PB_STATS_EXHAUSTIVE;
	enum pb_status status;
	size_t n_runs;

	*plan = (struct pb_stats_plan){.n = n, .smallest_p = NAN};
	plan->unit = n / PB_STATS_UNITS + (n % PB_STATS_UNITS != 0);
	plan->unit = plan->unit > 0 ? plan->unit : 1;
	plan->n_units = n / plan->unit + (n % plan->unit != 0);
	plan->n_groups = plan->n_units / 4 + (plan->n_units % 4 != 0);
	plan->n_flips = exhaustive ? ((size_t)1 << n) - 1 : PB_STATS_FLIPS;
	if (n > 0)
		plan->smallest_p =
		    exhaustive ? ldexp(1.0, 1 - (int)n) : 1.0 / (1.0 + PB_STATS_FLIPS);
	n_runs = plan->n_groups / PB_STATS_RUN + (plan->n_groups % PB_STATS_RUN != 0);
	PB_TRY(pb_alloc((void **)&plan->flips, n_runs * PB_STATS_RUN, plan->n_flips, "sign flips",
			err));
	PB_TRY(pb_alloc((void **)&plan->drawn, PB_STATS_RESAMPLES * plan->n_units,
			sizeof *plan->drawn, "resamples", err));
	if (exhaustive)
		flips_all(plan);
	else
		flips_random(plan, seed);
	draw(plan, seed);
	return PB_OK;
cleanup:
	pb_stats_plan_free(plan);
	return status;
}

void pb_stats_plan_free(struct pb_stats_plan *plan)
{
	free(plan->flips);
	free(plan->drawn);
	*plan = (struct pb_stats_plan){0};
}
