/* Statistics of the cells of a sweep over its pairs, as the summary datasets hold them.
 *
 * All cells share one set of bootstrap resamples and one set of sign flips, drawn from the run's
 * seed alone, so that a cell's figures depend neither on the other cells nor on threads. */
#ifndef PB_RESULTS_STATS_H
#define PB_RESULTS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "patchbay/base.h"

#define PB_STATS_RESAMPLES 1000
#define PB_STATS_FLIPS 10000   /* random flips, when 2^n are too many */
#define PB_STATS_EXHAUSTIVE 13 /* all 2^n flips up to this many pairs */
#define PB_STATS_LANES 8       /* cells that are summed side by side */
#define PB_STATS_RUN 16        /* groups of units whose flips lie together */
#define PB_STATS_UNITS 4096    /* that are drawn or flipped, at most */
/* What ties exactly on paper differs by rounding: it ties within this, relative to the largest sum
 * that any flip of the cell can reach (for p_fwer, to the observed statistic). */
#define PB_STATS_TIE 1e-12

/* What is drawn for n pairs. A unit of drawing is one pair, and with more than PB_STATS_UNITS pairs
 * ceil(n / PB_STATS_UNITS) consecutive ones, which are drawn, or change their signs, together (a
 * block bootstrap; where effects are symmetric around 0 so are their sums): intervals and p-values
 * of many pairs then cost no more than those of few, and both are as wide as they are to about 1%.
 *
 * With n <= PB_STATS_EXHAUSTIVE the flips are all 2^n - 1 other than the identity, else
 * PB_STATS_FLIPS random ones; the "1 +" of p = (1 + hits) / (1 + N) is the identity in both cases,
 * so that the exhaustive p is exactly (flips that reach the observed one) / 2^n. */
struct pb_stats_plan {
	size_t n;          /* pairs */
	size_t unit;       /* pairs of a unit; the last one may have fewer */
	size_t n_units;    /* ceil(n / unit) */
	size_t n_flips;    /* N */
	size_t n_groups;   /* groups of four units: ceil(n_units / 4) */
	uint8_t *flips;    /* as pb_stats_masks says */
	uint16_t *drawn;   /* [PB_STATS_RESAMPLES, n_units]: how often each unit was drawn */
	double smallest_p; /* attainable with all n pairs: 2^(1-n), or 1 / (1 + N); NaN for n = 0 */
};
enum pb_status pb_stats_plan_new(struct pb_stats_plan *plan, size_t n, uint64_t seed,
				 struct pb_error *err);
void pb_stats_plan_free(struct pb_stats_plan *plan);
/* The masks of a run of PB_STATS_RUN groups that begins at a group, under flip f; those of flip f +
 * 1 follow. Bit k of group g: unit 4 g + k changes its sign. */
static inline uint8_t *pb_stats_masks(const struct pb_stats_plan *plan, size_t f, size_t group)
{
	return plan->flips + (group / PB_STATS_RUN * plan->n_flips + f) * PB_STATS_RUN;
}
/* How often resample r draws a pair. */
static inline uint16_t pb_stats_times(const struct pb_stats_plan *plan, size_t r, size_t pair)
{
	return plan->drawn[r * plan->n_units + pair / plan->unit];
}

/* Figures of every cell; arrays of n_cells. With n pairs in a cell: n = 0 leaves all but n NaN;
 * n = 1 leaves std_error, ci_low and ci_high NaN and p = 1. */
struct pb_stats_cells {
	size_t n_cells;
	int32_t *n; /* pairs with a value */
	double *mean;
	double *std_error; /* standard deviation (n - 1) / sqrt(n) */
	double *ci_low;    /* 2.5th and 97.5th percentile of the resampled means, interpolated */
	double *ci_high;   /* linearly between order statistics */
	double *p_value;   /* two-sided sign-flip p of the mean */
	double *p_fwer;    /* Westfall and Young, single step, largest |t| over the cells */
	double *q_bh;      /* Benjamini and Hochberg */
};

/* Cells are added in blocks, so that the values of a large sweep need not be in memory at once;
 * p_fwer and q_bh need all of them and are filled by pb_stats_end. */
struct pb_stats {
	const struct pb_stats_plan *plan;
	struct pb_stats_cells cells;
	double *observed; /* [n_cells] t^2 / (1 + t^2) */
	double *largest;  /* [n_flips] the largest of it over the cells so far, under each flip */
};
enum pb_status pb_stats_begin(struct pb_stats *stats, const struct pb_stats_plan *plan,
			      size_t n_cells, struct pb_error *err);
/* The values of a plan's pairs in n_cells cells. Pair i's are row rows[i] of values [.., n_cells]
 * (row i without rows), less from[row] (0) and divided by span[row] (1); NaN where it has none. */
struct pb_stats_values {
	const double *values;
	size_t n_cells;
	const size_t *rows;        /* [plan->n], or NULL */
	const double *from, *span; /* by row, or NULL */
};
/* Cells [first_cell, first_cell + values->n_cells). */
enum pb_status pb_stats_add(struct pb_stats *stats, size_t first_cell,
			    const struct pb_stats_values *values, struct pb_error *err);
enum pb_status pb_stats_end(struct pb_stats *stats, struct pb_error *err);
void pb_stats_free(struct pb_stats *stats);

/* Number of values, mean and bootstrap interval alone; NaN as in pb_stats_cells. */
enum pb_status pb_stats_interval(const struct pb_stats_plan *plan,
				 const struct pb_stats_values *values, int32_t *n, double *mean,
				 double *ci_low, double *ci_high, struct pb_error *err);

/* Ratio of two sums over the pairs of n_block cells, and its bootstrap interval under the same
 * resamples. numerators, denominators: [plan->n, n_block], NaN where the pair has no value in the
 * cell (in either: the pair is left out). NaN where the mean of the denominators is 0 or below
 * `least` in size; the interval also with fewer than two pairs. */
enum pb_status pb_stats_ratio(const struct pb_stats_plan *plan, size_t n_block,
			      const double *numerators, const double *denominators, double least,
			      double *ratio, double *ci_low, double *ci_high, struct pb_error *err);

/* 95% Wilson interval of a share of `hits` among n; NaN for n = 0. */
void pb_wilson(double hits, double n, double *low, double *high);

/* The q-quantile of n >= 1 finite values, with linear interpolation between order statistics
 * (numpy's default). Reorders x. */
double pb_quantile(double *x, size_t n, double q);

#endif
