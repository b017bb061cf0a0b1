/* Mean effects of all cells of a sweep in each bootstrap resample of its pairs. */
#include "results/compare_draws.h"

#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"

enum pb_status pb_draws_new(struct pb_draws *d, size_t n_pairs, size_t n_cells, uint64_t seed,
			    struct pb_error *err)
{
	enum pb_status status;
	size_t n;

	*d = (struct pb_draws){.n_cells = n_cells};
	if (!pb_size_mul(PB_STATS_RESAMPLES, n_cells, &n))
		return pb_fail(err, PB_ERR_MEMORY, "too many cells to resample: %zu", n_cells);
	PB_TRY(pb_stats_plan_new(&d->plan, n_pairs, seed, err));
	PB_TRY(pb_alloc((void **)&d->sums, n, sizeof(double), "resamples", err));
	PB_TRY(
	    pb_alloc((void **)&d->weights, PB_STATS_RESAMPLES, sizeof(double), "resamples", err));
	PB_TRY(pb_alloc((void **)&d->total, n_cells, sizeof(double), "resamples", err));
	return PB_OK;
cleanup:
	pb_draws_free(d);
	return status;
}

void pb_draws_free(struct pb_draws *d)
{
	pb_stats_plan_free(&d->plan);
	free(d->sums);
	free(d->weights);
	free(d->total);
	*d = (struct pb_draws){0};
}

static void add_scaled(double *sum, const double *x, double times, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		sum[i] += times * x[i];
}

static void add_total(struct pb_draws *d, const double *effects)
{
	size_t c;

	d->n_taken++;
	add_scaled(d->total, effects, 1, d->n_cells);
	for (c = 0; c < d->n_cells; c++)
		if (fabs(effects[c]) > d->largest)
			d->largest = fabs(effects[c]);
}

/* Each sum is one thread's, and runs over the pairs in their order: the same bits on any machine.
 */
void pb_draws_add(struct pb_draws *d, const double *effects, const size_t *place, size_t n_rows)
{
	const size_t n_cells = d->n_cells;
	size_t i;

#pragma omp parallel for schedule(static)
	for (size_t r = 0; r < PB_STATS_RESAMPLES; r++) {
		for (size_t row = 0; row < n_rows; row++) {
			double times = 0;

			if (place[row] != SIZE_MAX)
				times = pb_stats_times(&d->plan, r, place[row]);
			if (times == 0)
				continue;
			d->weights[r] += times;
			add_scaled(d->sums + r * n_cells, effects + row * n_cells, times, n_cells);
		}
	}
	for (i = 0; i < n_rows; i++)
		if (place[i] != SIZE_MAX)
			add_total(d, effects + i * n_cells);
}

bool pb_draws_mean(const struct pb_draws *d, size_t resample, double *mean)
{
	const double *sums = d->sums + resample * d->n_cells;
	size_t c;

	if (!(d->weights[resample] > 0))
		return false;
	for (c = 0; c < d->n_cells; c++)
		mean[c] = sums[c] / d->weights[resample];
	return true;
}
