/* Corrections for many cells: family-wise p (Westfall and Young) and q (Benjamini and Hochberg). */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/stats.h"

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct ranked {
	double p;
	size_t cell;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->p != y->p)
		return (x->p > y->p) - (x->p < y->p);
	return (x->cell > y->cell) - (x->cell < y->cell);
}

/* Values of sorted x that are at least `bound`. */
static size_t count_at_least(const double *x, size_t n, double bound)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (x[middle] >= bound)
			high = middle;
		else
			low = middle + 1;
	}
	return n - low;
}

/* q of the cell of rank j (from 1, by p) of m: the least m p / j' over j' >= j. */
static enum pb_status fill_q_bh(struct pb_stats_cells *c, struct pb_error *err)
{
	enum pb_status status;
	struct ranked *ranks = NULL;
	size_t i, m = 0;
	double q = 1;

	PB_TRY(pb_alloc((void **)&ranks, c->n_cells, sizeof *ranks, "q values", err));
	for (i = 0; i < c->n_cells; i++) {
		c->q_bh[i] = NAN;
		if (!isnan(c->p_value[i]))
			ranks[m++] = (struct ranked){c->p_value[i], i};
	}
	qsort(ranks, m, sizeof *ranks, compare_ranked);
	for (i = m; i > 0; i--) {
		double bound = ranks[i - 1].p * (double)m / (double)i;

		q = bound < q ? bound : q;
		c->q_bh[ranks[i - 1].cell] = q;
	}
cleanup:
	free(ranks);
	return status;
}

enum pb_status pb_stats_end(struct pb_stats *stats, struct pb_error *err)
{
	struct pb_stats_cells *c = &stats->cells;
	const size_t n_flips = stats->plan->n_flips;
	size_t i;

	qsort(stats->largest, n_flips, sizeof(double), compare_doubles);
	for (i = 0; i < c->n_cells; i++) {
		size_t hits = count_at_least(stats->largest, n_flips,
					     stats->observed[i] * (1 - PB_STATS_TIE));

		c->p_fwer[i] = c->n[i] > 0 ? (1 + (double)hits) / (1 + (double)n_flips) : NAN;
	}
	return fill_q_bh(c, err);
}
