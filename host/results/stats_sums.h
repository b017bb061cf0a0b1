/* The two sums that summaries spend their time on, for eight cells side by side. Each lane sums in
 * the order of units and groups, so that all variants give the same bits. */
#ifndef PB_RESULTS_STATS_SUMS_H
#define PB_RESULTS_STATS_SUMS_H

#include <stddef.h>
#include <stdint.h>

#define PB_STATS_UNITS_TOGETHER ((size_t)256) /* that are summed in one call, at most */

struct pb_stats_sums {
	/* sums [n_resamples, lanes] += for each resample r the sum over n units of times[r *
	 * stride + unit] times rows [n, lanes]; n is PB_STATS_UNITS_TOGETHER at most */
	void (*drawn)(const double *rows, size_t n, const uint16_t *times, size_t stride,
		      size_t n_resamples, double *sums);
	/* sums [n_flips, lanes] += for each flip f the sum over n groups g of row masks[f *
	 * PB_STATS_RUN + g] of table [n, 16, lanes]; n is PB_STATS_RUN at most */
	void (*flipped)(const double *table, size_t n, const uint8_t *masks, size_t n_flips,
			double *sums);
};

/* Two numbers a register, on any processor; four, where there is AVX2 (else those of two). */
extern const struct pb_stats_sums pb_stats_sums_two, pb_stats_sums_four;
/* The faster one here. */
const struct pb_stats_sums *pb_stats_sums_best(void);

#endif
