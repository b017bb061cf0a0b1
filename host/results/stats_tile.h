/* Eight cells side by side. */
#ifndef PB_RESULTS_STATS_TILE_H
#define PB_RESULTS_STATS_TILE_H

#include <stddef.h>

#include "results/stats.h"

#define LANES PB_STATS_LANES
/* A tile's row. */
struct row {
	double lane[LANES];
};

/* What cells are compared by. With S the flipped sum and Q the sum of squares, which flips leave
 * alone, u = S^2 / (n Q) gives t^2 = (n - 1) u / (1 - u). The statistic is t^2 / (1 + t^2) =
 * (n - 1) u / (1 + (n - 2) u): the order of |t|, but finite and exact where all effects are equal
 * (t infinite). It is 0 where all effects are 0 and for cells of fewer than two pairs. */
struct statistic {
	double scale[LANES]; /* 1 / (n Q), or 0 */
	double a[LANES], b[LANES];
};

static inline struct row evaluate(const struct statistic *s, const struct row *sum)
{
	struct row out;
	size_t w;

	for (w = 0; w < LANES; w++) {
		double u = sum->lane[w] * sum->lane[w] * s->scale[w];

		out.lane[w] = s->a[w] * u / (1.0 + s->b[w] * u);
	}
	return out;
}

/* table[m]: the sum of four rows of LANES (those from n_rows on 0), those whose bit is set in m
 * negated. table: [16, LANES] zeros. */
static inline void signed_sums_of(const double *rows, size_t n_rows, double *table)
{
	size_t k, m, w;

	for (k = 0; k < 4; k++) {
		const size_t bit = (size_t)1 << k;

		for (m = 0; m < bit; m++)
			for (w = 0; w < LANES; w++) {
				double x = k < n_rows ? rows[k * LANES + w] : 0;

				table[(m | bit) * LANES + w] = table[m * LANES + w] - x;
				table[m * LANES + w] += x;
			}
	}
}

#endif
