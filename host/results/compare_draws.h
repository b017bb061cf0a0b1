/* Mean effects of all cells of a sweep in each bootstrap resample of its pairs. The pairs come one
 * after the other: what is kept does not grow with their number. */
#ifndef PB_RESULTS_COMPARE_DRAWS_H
#define PB_RESULTS_COMPARE_DRAWS_H

#include "results/stats.h"

struct pb_draws {
	struct pb_stats_plan plan;
	size_t n_cells;
	size_t n_seen, n_taken; /* pairs so far; those of them that have effects */
	double *sums;           /* [PB_STATS_RESAMPLES, n_cells] */
	double *weights;        /* [PB_STATS_RESAMPLES] effects in each sum */
	double *total;          /* [n_cells] over all pairs, each once */
	double largest;         /* |effect| */
};

/* The resamples are those of pb_stats_plan_new for n_pairs and the seed. */
enum pb_status pb_draws_new(struct pb_draws *draws, size_t n_pairs, size_t n_cells, uint64_t seed,
			    struct pb_error *err);
void pb_draws_free(struct pb_draws *draws);

/* Add n_rows rows of effects [n_rows, n_cells]; place[i]: the number of its pair among those that
 * are drawn from, SIZE_MAX where row i is not to be added. */
void pb_draws_add(struct pb_draws *draws, const double *effects, const size_t *place,
		  size_t n_rows);
/* The means [n_cells] of a resample; false where none of its pairs had effects. */
bool pb_draws_mean(const struct pb_draws *draws, size_t resample, double *mean);

#endif
