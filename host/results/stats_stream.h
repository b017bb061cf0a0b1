/* Statistics of many pairs, whose draws are too large to keep: they are made again for every block
 * of cells, some at a time. The figures are those of stats.c to the bit: every sum runs over the
 * pairs in the same order. */
#ifndef PB_RESULTS_STATS_STREAM_H
#define PB_RESULTS_STATS_STREAM_H

#include "results/stats.h"

/* As pb_stats_add and pb_stats_interval, of a streamed plan. */
enum pb_status pb_stats_stream_add(struct pb_stats *stats, size_t first_cell, size_t n_block,
				   const double *values, struct pb_error *err);
enum pb_status pb_stats_stream_interval(const struct pb_stats_plan *plan, size_t n_block,
					const double *values, int32_t *n, double *mean,
					double *ci_low, double *ci_high, struct pb_error *err);

#endif
