/* Intervals of ratios of sums, and of shares. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/stats.h"

#define Z_95 1.959963984540054 /* the normal's 97.5th percentile */

/* One cell's pairs that have both values, in the order of pairs: [n] each. */
struct column {
	double *above, *below;
	size_t *pair;
	size_t n;
};

static void column_load(struct column *k, size_t n_pairs, size_t n_block, size_t cell,
			const double *numerators, const double *denominators)
{
	size_t i;

	k->n = 0;
	for (i = 0; i < n_pairs; i++) {
		const double above = numerators[i * n_block + cell];
		const double below = denominators[i * n_block + cell];

		if (isnan(above) || isnan(below))
			continue;
		k->above[k->n] = above;
		k->below[k->n] = below;
		k->pair[k->n++] = i;
	}
}

/* The ratio over all its pairs (r SIZE_MAX), or over those of resample r; NaN: no divisor. */
static double column_ratio(const struct column *k, const struct pb_stats_plan *plan, size_t r,
			   double least)
{
	double above = 0, below = 0, n = 0;
	size_t i;

	for (i = 0; i < k->n; i++) {
		const double times = r < SIZE_MAX ? pb_stats_times(plan, r, k->pair[i]) : 1;

		above += times * k->above[i];
		below += times * k->below[i];
		n += times;
	}
	return below != 0 && fabs(below) >= least * n ? above / below : NAN;
}

static void interval(const struct column *k, const struct pb_stats_plan *plan, double *ci_low,
		     double *ci_high)
{
	double sample[PB_STATS_RESAMPLES];
	size_t r, n = 0;

	for (r = 0; r < PB_STATS_RESAMPLES; r++) {
		const double ratio = column_ratio(k, plan, r, 0);

		if (!isnan(ratio))
			sample[n++] = ratio;
	}
	*ci_low = *ci_high = NAN;
	if (n == 0)
		return;
	*ci_low = pb_quantile(sample, n, 0.025);
	*ci_high = pb_quantile(sample, n, 0.975);
}

static void columns_free(struct column *columns, int n)
{
	int i;

	for (i = 0; columns != NULL && i < n; i++) {
		free(columns[i].above);
		free(columns[i].below);
		free(columns[i].pair);
	}
	free(columns);
}

enum pb_status pb_stats_ratio(const struct pb_stats_plan *plan, size_t n_block,
			      const double *numerators, const double *denominators, double least,
			      double *ratio, double *ci_low, double *ci_high, struct pb_error *err)
{
	enum pb_status status;
	const int n_threads = omp_get_max_threads();
	struct column *columns = NULL;
	int i;

	PB_TRY(pb_alloc((void **)&columns, (size_t)n_threads, sizeof *columns, "statistics", err));
	for (i = 0; i < n_threads; i++) {
		PB_TRY(pb_alloc((void **)&columns[i].above, plan->n, sizeof(double), "statistics",
				err));
		PB_TRY(pb_alloc((void **)&columns[i].below, plan->n, sizeof(double), "statistics",
				err));
		PB_TRY(pb_alloc((void **)&columns[i].pair, plan->n, sizeof(size_t), "statistics",
				err));
	}
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
	for (size_t c = 0; c < n_block; c++) {
		struct column *k = &columns[omp_get_thread_num()];

		column_load(k, plan->n, n_block, c, numerators, denominators);
		ratio[c] = column_ratio(k, plan, SIZE_MAX, least);
		ci_low[c] = ci_high[c] = NAN;
		if (k->n >= 2 && !isnan(ratio[c]))
			interval(k, plan, &ci_low[c], &ci_high[c]);
	}
cleanup:
	columns_free(columns, n_threads);
	return status;
}

void pb_wilson(double hits, double n, double *low, double *high)
{
	const double share = hits / n, z = Z_95 * Z_95 / n;
	const double middle = (share + z / 2) / (1 + z);
	const double half = sqrt(z * (share * (1 - share) + z / 4)) / (1 + z);

	*low = hits > 0 ? middle - half : 0;
	*high = hits < n ? middle + half : 1;
	if (!(n > 0))
		*low = *high = NAN;
}
