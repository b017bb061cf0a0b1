/* Sums of resamples and flips: the same bits in registers of any width, and the right ones. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/stats_sums.h"
#include "results/stats_tile.h"

#define UNITS ((size_t)37)
#define RESAMPLES ((size_t)23)
#define FLIPS ((size_t)19)
#define GROUPS ((size_t)11)

static double *numbers(size_t n, uint64_t seed)
{
	double *x = malloc(n * sizeof *x);
	struct pb_rng rng;

	cr_assert(x != NULL);
	pb_rng_seed(&rng, 21, seed, 0, 0);
	for (size_t i = 0; i < n; i++)
		x[i] = pb_rng_unit(&rng) - 0.3;
	return x;
}

static void same(const struct pb_stats_sums *sums, const double *rows, const uint16_t *times,
		 const double *table, const uint8_t *masks)
{
	double *drawn = numbers(RESAMPLES * LANES, 4), *flipped = numbers(FLIPS * LANES, 5);
	double *start = numbers(RESAMPLES * LANES, 4), *zero = numbers(FLIPS * LANES, 5);

	sums->drawn(rows, UNITS - 3, times, UNITS, RESAMPLES, drawn);
	sums->flipped(table, GROUPS, masks, FLIPS, flipped);
	for (size_t w = 0; w < LANES; w++) {
		for (size_t r = 0; r < RESAMPLES; r++) {
			double sum = start[r * LANES + w];

			for (size_t i = 0; i < UNITS - 3; i++)
				sum += rows[i * LANES + w] * times[r * UNITS + i];
			cr_assert_eq(memcmp(&sum, &drawn[r * LANES + w], sizeof sum), 0,
				     "resample %zu, lane %zu", r, w);
		}
		for (size_t f = 0; f < FLIPS; f++) {
			double sum = zero[f * LANES + w];

			for (size_t g = 0; g < GROUPS; g++)
				sum += table[(g * 16 + masks[f * PB_STATS_RUN + g]) * LANES + w];
			cr_assert_eq(memcmp(&sum, &flipped[f * LANES + w], sizeof sum), 0,
				     "flip %zu, lane %zu", f, w);
		}
	}
	free(drawn);
	free(flipped);
	free(start);
	free(zero);
}

Test(stats_sums, all_widths_give_the_plain_sums)
{
	double *rows = numbers(UNITS * LANES, 1);
	double *table = numbers(GROUPS * 16 * LANES, 2);
	uint16_t times[RESAMPLES * UNITS];
	uint8_t masks[FLIPS * PB_STATS_RUN];
	struct pb_rng rng;

	pb_rng_seed(&rng, 22, 0, 0, 0);
	for (size_t i = 0; i < RESAMPLES * UNITS; i++)
		times[i] = (uint16_t)pb_rng_below(&rng, 5);
	for (size_t i = 0; i < FLIPS * PB_STATS_RUN; i++)
		masks[i] = (uint8_t)pb_rng_below(&rng, 16);
	same(&pb_stats_sums_two, rows, times, table, masks);
	same(pb_stats_sums_best(), rows, times, table, masks);
	free(rows);
	free(table);
}
