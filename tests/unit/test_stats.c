/* Statistics of cells, against plain float64 re-computation and values worked out by hand. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/stats.h"

/* Fails on NaN as well. */
#define NEAR(x, y, tolerance)                                                                      \
	cr_assert(fabs((double)(x) - (double)(y)) <= (tolerance), "%.17g is not %.17g (%s)",       \
		  (double)(x), (double)(y), #x)

static struct pb_error err;

struct summary {
	struct pb_stats_plan plan;
	struct pb_stats stats;
	const struct pb_stats_cells *cells;
};

/* Statistics of values [n_pairs, n_cells], added in blocks of at most `block` cells. */
static void summarise(struct summary *s, size_t n_pairs, size_t n_cells, const double *values,
		      size_t block)
{
	size_t first, i, j;
	double *part = malloc(sizeof(double) * (n_pairs * n_cells + 1));

	cr_assert(part != NULL);
	cr_assert_eq(pb_stats_plan_new(&s->plan, n_pairs, 7, &err), PB_OK, "%s", err.message);
	cr_assert_eq(pb_stats_begin(&s->stats, &s->plan, n_cells, &err), PB_OK);
	for (first = 0; first < n_cells; first += block) {
		size_t n = n_cells - first < block ? n_cells - first : block;

		for (i = 0; i < n_pairs; i++)
			for (j = 0; j < n; j++)
				part[i * n + j] = values[i * n_cells + first + j];
		cr_assert_eq(pb_stats_add(&s->stats, first,
					  &(struct pb_stats_values){.values = part, .n_cells = n},
					  &err),
			     PB_OK);
	}
	cr_assert_eq(pb_stats_end(&s->stats, &err), PB_OK);
	s->cells = &s->stats.cells;
	free(part);
}

static void summary_free(struct summary *s)
{
	pb_stats_free(&s->stats);
	pb_stats_plan_free(&s->plan);
}

/* Roughly normal values with a few cells that have an effect; one in `every` is missing. */
static double *sample(size_t n_pairs, size_t n_cells, uint64_t seed, size_t every)
{
	double *x = malloc(sizeof(double) * n_pairs * n_cells);
	struct pb_rng rng;
	size_t i, j, k;

	cr_assert(x != NULL);
	pb_rng_seed(&rng, 1, 2, seed, 3);
	for (i = 0; i < n_pairs; i++)
		for (j = 0; j < n_cells; j++) {
			double sum = j % 5 == 0 ? 1.0 : 0.0;

			for (k = 0; k < 12; k++)
				sum += pb_rng_unit(&rng) - 0.5;
			if (every != 0 && pb_rng_below(&rng, every) == 0)
				sum = NAN;
			x[i * n_cells + j] = sum;
		}
	return x;
}

/* ---- by hand --------------------------------------------------------------------------- */

Test(stats, three_pairs_by_hand)
{
	/* Effects 1, 2, 6: mean 3, variance (4 + 1 + 9) / 2 = 7. The eight flips have sums
	 * +-9, +-7, +-5, +-3: only the identity and its negation reach 9, so p = 2 / 8. */
	const double effects[3] = {1, 2, 6};
	struct summary s;

	summarise(&s, 3, 1, effects, 1);
	cr_assert_eq(s.plan.n_flips, 7u);
	cr_assert_eq(s.cells->n[0], 3);
	NEAR(s.cells->mean[0], 3.0, 1e-15);
	NEAR(s.cells->std_error[0], sqrt(7.0 / 3.0), 1e-15);
	NEAR(s.cells->p_value[0], 0.25, 1e-15);
	NEAR(s.cells->p_fwer[0], 0.25, 1e-15);
	NEAR(s.cells->q_bh[0], 0.25, 1e-15);
	NEAR(s.plan.smallest_p, 0.25, 1e-15);
	summary_free(&s);
}

Test(stats, mixed_signs_by_hand)
{
	/* 1, 2, -6: the observed |sum| is 3, the smallest of 9, 7, 5, 3: every flip reaches it.
	 * 1, -2, 6: |sum| 5; reached by 9, 7 and 5 with both signs: 6 of 8. */
	const double effects[6] = {1, 1, 2, -2, -6, 6};
	struct summary s;

	summarise(&s, 3, 2, effects, 2);
	NEAR(s.cells->p_value[0], 1.0, 1e-15);
	NEAR(s.cells->p_value[1], 0.75, 1e-15);
	summary_free(&s);
}

Test(stats, ties_by_rounding_count)
{
	/* On paper |sum| is 0.2 for 0.1, 0.2, -0.1 and for two of the other three sign patterns
	 * (0.2 and 0.4; the fourth is 0), each with its negation: 6 of 8. In floating point the
	 * observed one is 0.20000000000000004, and only 4 of 8 would reach it. */
	const double effects[3] = {0.1, 0.2, -0.1};
	struct summary s;

	summarise(&s, 3, 1, effects, 1);
	NEAR(s.cells->p_value[0], 0.75, 1e-15);
	summary_free(&s);
}

Test(stats, q_values_by_hand)
{
	/* Thirteen pairs, all effects of one sign in cell 0; others made to have known p. */
	struct summary s;
	double effects[3 * 4];
	const double columns[4][3] = {{1, 2, 6}, {1, -2, 6}, {1, 2, -6}, {2, 3, 4}};
	size_t i, j;

	for (i = 0; i < 3; i++)
		for (j = 0; j < 4; j++)
			effects[i * 4 + j] = columns[j][i];
	summarise(&s, 3, 4, effects, 3);
	/* p = 0.25, 0.75, 1, 0.25 -> q = 4 * 0.25 / 2 = 0.5 twice, 4 * 0.75 / 3 = 1, 1. */
	NEAR(s.cells->q_bh[0], 0.5, 1e-15);
	NEAR(s.cells->q_bh[1], 1.0, 1e-15);
	NEAR(s.cells->q_bh[2], 1.0, 1e-15);
	NEAR(s.cells->q_bh[3], 0.5, 1e-15);
	summary_free(&s);
}

/* ---- degenerate cells ------------------------------------------------------------------ */

Test(stats, no_effect_at_all)
{
	double effects[20] = {0};
	struct summary s;

	summarise(&s, 20, 1, effects, 1);
	NEAR(s.cells->mean[0], 0, 0);
	NEAR(s.cells->std_error[0], 0, 0);
	NEAR(s.cells->ci_low[0], 0, 0);
	NEAR(s.cells->ci_high[0], 0, 0);
	NEAR(s.cells->p_value[0], 1, 0);
	NEAR(s.cells->p_fwer[0], 1, 0);
	NEAR(s.cells->q_bh[0], 1, 0);
	summary_free(&s);
}

Test(stats, the_same_effect_everywhere)
{
	/* t is infinite: still ordered, and above every finite one. */
	double effects[10 * 2];
	struct summary s;
	size_t i;

	for (i = 0; i < 10; i++) {
		effects[2 * i] = 0.3;
		effects[2 * i + 1] = i < 9 ? 1.0 : -1.0;
	}
	summarise(&s, 10, 2, effects, 2);
	NEAR(s.cells->std_error[0], 0, 1e-16);
	NEAR(s.cells->ci_low[0], 0.3, 1e-15);
	NEAR(s.cells->p_value[0], 2.0 / 1024, 1e-15);
	/* Reached under the identity, its negation, and where cell 1 becomes constant. */
	NEAR(s.cells->p_fwer[0], 4.0 / 1024, 1e-15);
	NEAR(s.plan.smallest_p, 2.0 / 1024, 1e-15);
	summary_free(&s);
}

Test(stats, cells_of_one_pair_and_of_none)
{
	const double effects[6] = {NAN, 5, 1, NAN, NAN, 2};
	struct summary s;

	summarise(&s, 2, 3, effects, 3);
	cr_assert_eq(s.cells->n[0], 0);
	cr_assert(isnan(s.cells->mean[0]) && isnan(s.cells->std_error[0]));
	cr_assert(isnan(s.cells->ci_low[0]) && isnan(s.cells->p_value[0]));
	cr_assert(isnan(s.cells->p_fwer[0]) && isnan(s.cells->q_bh[0]));
	cr_assert_eq(s.cells->n[1], 1);
	NEAR(s.cells->mean[1], 5, 0);
	cr_assert(isnan(s.cells->std_error[1]) && isnan(s.cells->ci_high[1]));
	NEAR(s.cells->p_value[1], 1, 0);
	NEAR(s.cells->p_fwer[1], 1, 0);
	cr_assert_eq(s.cells->n[2], 2);
	NEAR(s.cells->p_value[2], 0.5, 1e-15);
	summary_free(&s);
}

Test(stats, no_pairs)
{
	double nothing = 0;
	struct summary s;

	summarise(&s, 0, 3, &nothing, 2);
	cr_assert_eq(s.cells->n[2], 0);
	cr_assert(isnan(s.cells->mean[2]) && isnan(s.cells->p_value[0]) &&
		  isnan(s.plan.smallest_p));
	summary_free(&s);
}

/* ---- against plain re-computation -------------------------------------------------------- */

static int sign_of(const struct pb_stats_plan *plan, size_t flip, size_t pair)
{
	const uint8_t *masks = pb_stats_masks(plan, flip, pair / 4);

	return masks[pair / 4 % PB_STATS_RUN] >> pair % 4 & 1 ? -1 : 1;
}

/* |t| of one cell under signs (NULL: as observed). */
static double plain_t(const struct pb_stats_plan *plan, size_t n_cells, size_t cell,
		      const double *values, size_t flip, bool observed)
{
	double sum = 0, squares = 0, n = 0, mean;
	size_t i;

	for (i = 0; i < plan->n; i++) {
		double x = values[i * n_cells + cell];

		if (isnan(x))
			continue;
		n += 1;
		sum += observed ? x : sign_of(plan, flip, i) * x;
	}
	mean = sum / n;
	for (i = 0; i < plan->n; i++) {
		double x = values[i * n_cells + cell];

		if (isnan(x))
			continue;
		x = observed ? x : sign_of(plan, flip, i) * x;
		squares += (x - mean) * (x - mean);
	}
	return fabs(mean) / sqrt(squares / (n - 1) / n);
}

/* Every p and p_fwer again, the plain way; nothing here ties but the identity. */
static void check_permutations(const struct summary *s, size_t n_cells, const double *values)
{
	const struct pb_stats_plan *plan = &s->plan;
	size_t f, c, d;

	for (c = 0; c < n_cells; c++) {
		double t = plain_t(plan, n_cells, c, values, 0, true) * (1 - 1e-9);
		size_t hits = 0, hits_any = 0;

		for (f = 0; f < plan->n_flips; f++) {
			double largest = 0;

			for (d = 0; d < n_cells; d++)
				largest =
				    fmax(largest, plain_t(plan, n_cells, d, values, f, false));
			hits_any += largest >= t;
			hits += plain_t(plan, n_cells, c, values, f, false) >= t;
		}
		NEAR(s->cells->p_value[c], (1.0 + hits) / (1.0 + plan->n_flips), 1e-12);
		NEAR(s->cells->p_fwer[c], (1.0 + hits_any) / (1.0 + plan->n_flips), 1e-12);
		cr_assert(s->cells->p_fwer[c] >= s->cells->p_value[c]);
	}
}

Test(stats, westfall_young_by_brute_force_exhaustive)
{
	double *x = sample(9, 11, 5, 0);
	struct summary s;

	summarise(&s, 9, 11, x, 11);
	cr_assert_eq(s.plan.n_flips, 511u);
	check_permutations(&s, 11, x);
	summary_free(&s);
	free(x);
}

Test(stats, westfall_young_by_brute_force_random)
{
	double *x = sample(18, 6, 6, 0);
	struct summary s;

	summarise(&s, 18, 6, x, 4);
	cr_assert_eq(s.plan.n_flips, 10000u);
	NEAR(s.plan.smallest_p, 1 / 10001.0, 1e-18);
	check_permutations(&s, 6, x);
	summary_free(&s);
	free(x);
}

/* More groups of flips than lie together, the last run not full. */
Test(stats, westfall_young_by_brute_force_of_many_pairs)
{
	enum { N = 4 * PB_STATS_RUN * 2 + 11, CELLS = 3 };
	double *x = sample(N, CELLS, 9, 0);
	struct summary s;

	summarise(&s, N, CELLS, x, CELLS);
	check_permutations(&s, CELLS, x);
	summary_free(&s);
	free(x);
}

Test(stats, cells_with_missing_pairs)
{
	/* Cells of different n are compared by |t|, with their own degrees of freedom. */
	double *x = sample(10, 9, 8, 4);
	struct summary s;
	size_t c, i;

	summarise(&s, 10, 9, x, 9);
	check_permutations(&s, 9, x);
	for (c = 0; c < 9; c++) {
		double sum = 0;
		int32_t n = 0;

		for (i = 0; i < 10; i++)
			if (!isnan(x[i * 9 + c])) {
				sum += x[i * 9 + c];
				n++;
			}
		cr_assert(n < 10 || c > 0);
		cr_assert_eq(s.cells->n[c], n);
		NEAR(s.cells->mean[c], sum / n, 1e-14);
	}
	summary_free(&s);
	free(x);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void check_interval(const struct pb_stats_plan *plan, size_t n_cells, const double *values,
			   size_t cell, double low, double high)
{
	double means[PB_STATS_RESAMPLES];
	size_t r, i, k = 0;

	for (r = 0; r < PB_STATS_RESAMPLES; r++) {
		double sum = 0, n = 0, drawn = 0;

		for (i = 0; i < plan->n; i++) {
			double times = pb_stats_times(plan, r, i);

			drawn += times;
			if (isnan(values[i * n_cells + cell]))
				continue;
			sum += times * values[i * n_cells + cell];
			n += times;
		}
		if (plan->n_units * plan->unit == plan->n)
			cr_assert_eq(drawn, (double)plan->n);
		if (n > 0)
			means[k++] = sum / n;
	}
	qsort(means, k, sizeof *means, by_value);
	{
		double at = 0.025 * (double)(k - 1), to = 0.975 * (double)(k - 1);
		size_t i0 = (size_t)at, i1 = (size_t)to;

		NEAR(low, means[i0] + (at - i0) * (means[i0 + 1] - means[i0]), 1e-13);
		NEAR(high, means[i1] + (to - i1) * (means[i1 + 1] - means[i1]), 1e-13);
	}
	cr_assert(low < high);
}

Test(stats, bootstrap_interval)
{
	double *x = sample(30, 10, 9, 0), *holes = sample(30, 10, 10, 3);
	double mean[10], low[10], high[10];
	int32_t n[10];
	struct summary s;
	size_t c;

	summarise(&s, 30, 10, x, 10);
	for (c = 0; c < 10; c++) {
		double half = 1.96 * s.cells->std_error[c];

		check_interval(&s.plan, 10, x, c, s.cells->ci_low[c], s.cells->ci_high[c]);
		/* A percentile interval of 30 roughly normal values is close to the normal one. */
		NEAR(s.cells->ci_low[c], s.cells->mean[c] - half, 0.35 * half);
		NEAR(s.cells->ci_high[c], s.cells->mean[c] + half, 0.35 * half);
	}
	cr_assert_eq(pb_stats_interval(&s.plan,
				       &(struct pb_stats_values){.values = holes, .n_cells = 10}, n,
				       mean, low, high, &err),
		     PB_OK);
	for (c = 0; c < 10; c++)
		check_interval(&s.plan, 10, holes, c, low[c], high[c]);
	summary_free(&s);
	free(x);
	free(holes);
}

Test(stats, standard_error_is_that_of_n_minus_one)
{
	double *x = sample(25, 3, 11, 0);
	struct summary s;
	size_t c, i;

	summarise(&s, 25, 3, x, 2);
	for (c = 0; c < 3; c++) {
		double squares = 0;

		for (i = 0; i < 25; i++)
			squares += pow(x[i * 3 + c] - s.cells->mean[c], 2);
		NEAR(s.cells->std_error[c], sqrt(squares / 24) / 5, 1e-14);
	}
	summary_free(&s);
	free(x);
}

Test(stats, blocks_threads_and_neighbours_do_not_matter)
{
	double *x = sample(40, 37, 12, 7);
	double *alone = malloc(sizeof(double) * 40);
	struct summary a, b, c;
	size_t i;

	cr_assert(alone != NULL);
	summarise(&a, 40, 37, x, 37);
	summarise(&b, 40, 37, x, 5);
	for (i = 0; i < 40; i++)
		alone[i] = x[i * 37 + 10];
	summarise(&c, 40, 1, alone, 1);
#define SAME(array) cr_assert_arr_eq(a.cells->array, b.cells->array, 37 * sizeof(double))
	SAME(mean);
	SAME(std_error);
	SAME(ci_low);
	SAME(ci_high);
	SAME(p_value);
	SAME(p_fwer);
	SAME(q_bh);
	cr_assert_eq(memcmp(&a.cells->p_value[10], &c.cells->p_value[0], 8), 0);
	cr_assert_eq(memcmp(&a.cells->ci_low[10], &c.cells->ci_low[0], 8), 0);
	/* A lone cell needs no correction. */
	cr_assert_eq(memcmp(&c.cells->p_value[0], &c.cells->p_fwer[0], 8), 0);
	summary_free(&a);
	summary_free(&b);
	summary_free(&c);
	free(x);
	free(alone);
}

Test(stats, false_alarms_are_rare_and_strong_effects_found)
{
	/* 200 cells without any effect but every fifth one (mean 1, sd 1, 50 pairs: t about 7). */
	double *x = sample(50, 200, 13, 0);
	struct summary s;
	size_t c, alarms = 0, found = 0;

	summarise(&s, 50, 200, x, 200);
	for (c = 0; c < 200; c++) {
		alarms += c % 5 != 0 && s.cells->p_fwer[c] <= 0.001;
		found += c % 5 == 0 && s.cells->p_fwer[c] <= 0.05;
	}
	cr_assert_eq(alarms, 0u);
	cr_assert(found >= 38, "%zu of 40", found);
	summary_free(&s);
	free(x);
}

/* ---- many pairs ------------------------------------------------------------------------------
 */

/* Effects with a strong cell, one of zeros, and cells that lack some, one, most or all pairs. */
static double *effects_with_holes(size_t n, size_t cells)
{
	double *values = calloc(n * cells, sizeof *values);

	cr_assert(values != NULL);
	for (size_t i = 0; i < n * cells; i++) {
		const size_t cell = i % cells;
		struct pb_rng rng;

		pb_rng_seed(&rng, 5, n, i, 0);
		values[i] = cell == 9 ? 0 : pb_rng_unit(&rng) - 0.5 + (cell == 2 ? 0.3 : 0);
		if ((cell == 4 && i % 3 == 0) || cell == 6 || (cell == 7 && i >= cells) ||
		    (cell == 8 && i / cells == n - 1))
			values[i] = NAN;
	}
	return values;
}

static void check_equal(const char *what, size_t n, const double *a, const double *b, size_t cells)
{
	for (size_t c = 0; c < cells; c++)
		cr_assert(a[c] == b[c] || (isnan(a[c]) && isnan(b[c])),
			  "%s of cell %zu of %zu pairs: %.17g and %.17g", what, c, n, a[c], b[c]);
}

/* Of more pairs than are drawn one by one: what is flipped are sums of consecutive ones, as if
 * these were the pairs, and an interval is of resamples in which a unit's pairs come together. */
Test(stats, many_pairs_are_drawn_in_units)
{
	static const struct {
		size_t n, unit, n_units;
	} cases[] = {
	    {4096, 1, 4096}, {4097, 2, 2049}, {8192, 2, 4096}, {9000, 3, 3000}, {10001, 3, 3334}};
	enum { CELLS = 11 };

	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		const size_t n = cases[k].n, n_units = cases[k].n_units;
		double *values = effects_with_holes(n, CELLS);
		double *sums = calloc(n_units * CELLS, sizeof *sums);
		struct summary of_pairs, of_sums;

		for (size_t u = 0; u < n_units; u++)
			for (size_t c = 0; c < CELLS; c++) {
				size_t there = 0;

				for (size_t i = u * cases[k].unit;
				     i < (u + 1) * cases[k].unit && i < n; i++)
					if (!isnan(values[i * CELLS + c])) {
						sums[u * CELLS + c] += values[i * CELLS + c];
						there++;
					}
				if (there == 0)
					sums[u * CELLS + c] = NAN;
			}
		summarise(&of_pairs, n, CELLS, values, 4);
		summarise(&of_sums, n_units, CELLS, sums, CELLS);
		cr_assert_eq(of_pairs.plan.unit, cases[k].unit);
		cr_assert_eq(of_pairs.plan.n_units, n_units);
		cr_assert_eq(of_pairs.plan.n_flips, 10000u);
		check_equal("p", n, of_pairs.cells->p_value, of_sums.cells->p_value, CELLS);
		check_equal("p_fwer", n, of_pairs.cells->p_fwer, of_sums.cells->p_fwer, CELLS);
		check_equal("q", n, of_pairs.cells->q_bh, of_sums.cells->q_bh, CELLS);
		for (size_t c = 0; c < 6; c++) {
			double sum = 0, squares = 0, count = 0, mean, half;

			for (size_t i = 0; i < n; i++)
				if (!isnan(values[i * CELLS + c])) {
					sum += values[i * CELLS + c];
					count += 1;
				}
			mean = sum / count;
			for (size_t i = 0; i < n; i++)
				if (!isnan(values[i * CELLS + c]))
					squares += pow(values[i * CELLS + c] - mean, 2);
			NEAR(of_pairs.cells->mean[c], mean, 1e-14);
			NEAR(of_pairs.cells->std_error[c], sqrt(squares / (count - 1) / count),
			     1e-14);
			cr_assert_eq(of_pairs.cells->n[c], (int32_t)count);
			check_interval(&of_pairs.plan, CELLS, values, c, of_pairs.cells->ci_low[c],
				       of_pairs.cells->ci_high[c]);
			half = 1.96 * of_pairs.cells->std_error[c];
			NEAR(of_pairs.cells->ci_low[c], mean - half, 0.15 * half);
			NEAR(of_pairs.cells->ci_high[c], mean + half, 0.15 * half);
		}
		cr_assert(of_pairs.cells->p_fwer[2] < 0.01 && of_pairs.cells->p_value[0] > 0.0005);
		summary_free(&of_pairs);
		summary_free(&of_sums);
		free(values);
		free(sums);
	}
}
