/* The two sums that statistics of many pairs are made of, for the vectors of this processor. Eight
 * lanes side by side, each in the order of the pairs, products and sums rounded one by one: the
 * bits are the same whatever the vectors. */
#ifndef PB_RESULTS_STATS_SUMS_H
#define PB_RESULTS_STATS_SUMS_H

#include <stddef.h>
#include <stdint.h>

#include "results/stats_tile.h"

struct pb_stats_sums {
	/* Each sum goes on over n more pairs (rows of LANES): sum k takes pair i times[k * stride +
	 * i] times. */
	void (*weighted)(union row *sums, size_t n_sums, const double *rows, const uint16_t *times,
			 size_t stride, size_t n);
	/* Each sum goes on over the groups of a run (at most sixteen), of whose signed sums
	 * [n_groups, 16, LANES] sum k takes the ones that the fours of bits of words[k] say. */
	void (*flipped)(union row *sums, size_t n_sums, const double *table, size_t n_groups,
			const uint64_t *words);
};
struct pb_stats_sums pb_stats_sums_choose(void);

#endif
