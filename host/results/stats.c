/* Means, intervals and permutation p-values of a sweep's cells.
 *
 * Eight cells are worked on at a time (a tile: units of pairs down, eight lanes across), so that
 * every sum runs over the pairs in one fixed order in each lane, whatever the processor and the
 * threads. A sign flip of a group of four units has 16 outcomes: their signed sums are tabled once
 * a tile, and each of the 10,000 flips then costs one addition a group instead of four
 * multiplications. Sums of all flips, and of all resamples, grow side by side, a run of units at a
 * time: that much stays in the nearest cache. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/stats.h"
#include "results/stats_sums.h"
#include "results/stats_tile.h"

/* What one thread needs for a tile. */
struct tile {
	size_t n_lanes;  /* cells in it, the rest of the lanes are empty */
	double *values;  /* [n_units, LANES] sums over the units */
	double *present; /* [n_units, LANES] how many pairs of a unit have a value */
	double *table;   /* [PB_STATS_RUN, 16, LANES] signed sums of a run of groups */
	double *flipped; /* [n_flips + 1, LANES] sums under the flips; the last one has none */
	double *means;   /* [PB_STATS_RESAMPLES, LANES] */
	double *drawn;   /* [PB_STATS_RESAMPLES, LANES] pairs drawn */
	double *largest; /* [n_flips] */
	bool complete;   /* every lane has every pair, and units are equally many */
	double n[LANES], n_units[LANES], mean[LANES], std_error[LANES];
};

/* Threads that have a tile of n_cells cells to work on. */
static int tiles_at_once(size_t n_cells)
{
	const size_t n_tiles = n_cells / LANES + (n_cells % LANES != 0);
	const int most = omp_get_max_threads();

	return n_tiles == 0 ? 1 : n_tiles < (size_t)most ? (int)n_tiles : most;
}

static void tile_free(struct tile *tiles, int n_tiles)
{
	int i;

	for (i = 0; tiles != NULL && i < n_tiles; i++) {
		free(tiles[i].values);
		free(tiles[i].present);
		free(tiles[i].table);
		free(tiles[i].flipped);
		free(tiles[i].means);
		free(tiles[i].drawn);
		free(tiles[i].largest);
	}
	free(tiles);
}

/* One tile a thread; `flips` when sign flips will be asked for. */
static enum pb_status tile_new(struct tile **out, int n_tiles, const struct pb_stats_plan *plan,
			       bool flips, struct pb_error *err)
{
	enum pb_status status;
	const size_t row = LANES * sizeof(double);
	struct tile *tiles = NULL;
	int i;

	PB_TRY(pb_alloc((void **)&tiles, (size_t)n_tiles, sizeof *tiles, "statistics", err));
	for (i = 0; i < n_tiles; i++) {
		struct tile *t = &tiles[i];

		PB_TRY(pb_alloc((void **)&t->values, plan->n_units, row, "statistics", err));
		PB_TRY(pb_alloc((void **)&t->present, plan->n_units, row, "statistics", err));
		PB_TRY(pb_alloc((void **)&t->means, PB_STATS_RESAMPLES, row, "statistics", err));
		PB_TRY(pb_alloc((void **)&t->drawn, PB_STATS_RESAMPLES, row, "statistics", err));
		if (!flips)
			continue;
		PB_TRY(pb_alloc((void **)&t->table, PB_STATS_RUN, 16 * row, "statistics", err));
		PB_TRY(pb_alloc((void **)&t->flipped, plan->n_flips + 1, row, "statistics", err));
		PB_TRY(pb_alloc((void **)&t->largest, plan->n_flips, sizeof(double), "statistics",
				err));
	}
	*out = tiles;
	return PB_OK;
cleanup:
	tile_free(tiles, n_tiles);
	return status;
}

/* The values of pair i in the lanes, from cell `first` on: NaN in those without a cell. */
static inline void load_row(double row[LANES], const struct pb_stats_values *v, size_t i,
			    size_t first, size_t n_lanes)
{
	const size_t r = v->rows != NULL ? v->rows[i] : i;
	const double *values = v->values + r * v->n_cells + first;
	const double from = v->from != NULL ? v->from[r] : 0;
	size_t w;

	for (w = 0; w < LANES; w++)
		row[w] = w < n_lanes ? values[w] - from : NAN;
	for (w = 0; w < LANES && v->span != NULL; w++)
		row[w] /= v->span[r];
}

/* Sums and counts of the units, and of all pairs. */
static void load_units(struct tile *t, const struct pb_stats_plan *plan,
		       const struct pb_stats_values *v, size_t first, double sum[LANES])
{
	double row[LANES];
	size_t i = 0, u, w;

	for (u = 0; u < plan->n_units; u++) {
		const size_t end = i + plan->unit < plan->n ? i + plan->unit : plan->n;
		double of_unit[LANES] = {0}, present[LANES] = {0};

		for (; i < end; i++) {
			load_row(row, v, i, first, t->n_lanes);
			for (w = 0; w < LANES; w++) {
				const bool is = !isnan(row[w]);
				const double x = is ? row[w] : 0;

				sum[w] += x;
				of_unit[w] += x;
				present[w] += is ? 1 : 0;
			}
		}
		memcpy(t->values + u * LANES, of_unit, sizeof of_unit);
		memcpy(t->present + u * LANES, present, sizeof present);
		for (w = 0; w < LANES; w++) {
			t->n[w] += present[w];
			t->n_units[w] += present[w] > 0 ? 1 : 0;
		}
	}
}

/* Gather cells [first, first + n_lanes), their means and standard errors. */
static void tile_load(struct tile *t, const struct pb_stats_plan *plan,
		      const struct pb_stats_values *v, size_t first)
{
	double sum[LANES] = {0}, squares[LANES] = {0}, row[LANES];
	size_t i, w;

	t->n_lanes = v->n_cells - first < LANES ? v->n_cells - first : LANES;
	memset(t->n, 0, sizeof t->n);
	memset(t->n_units, 0, sizeof t->n_units);
	load_units(t, plan, v, first, sum);
	t->complete = plan->n_units * plan->unit == plan->n;
	for (w = 0; w < LANES; w++) {
		t->mean[w] = t->n[w] > 0 ? sum[w] / t->n[w] : NAN;
		t->complete = t->complete && (w >= t->n_lanes || t->n[w] == (double)plan->n);
	}
	for (i = 0; i < plan->n; i++) {
		load_row(row, v, i, first, t->n_lanes);
		for (w = 0; w < LANES; w++) {
			const double d = row[w] - t->mean[w];

			squares[w] += isnan(d) ? 0 : d * d;
		}
	}
	for (w = 0; w < LANES; w++)
		t->std_error[w] = t->n[w] < 2 ? NAN : sqrt(squares[w] / (t->n[w] - 1) / t->n[w]);
}

/* ---- bootstrap ------------------------------------------------------------------------- */

/* The mean of every resample in every lane; NaN where none of a cell's pairs was drawn. */
static void resample_means(struct tile *t, const struct pb_stats_plan *plan)
{
	const struct pb_stats_sums *sums = pb_stats_sums_best();
	const size_t n_means = (size_t)PB_STATS_RESAMPLES * LANES;
	size_t first, i;

	memset(t->means, 0, n_means * sizeof *t->means);
	memset(t->drawn, 0, n_means * sizeof *t->drawn);
	for (first = 0; first < plan->n_units; first += PB_STATS_UNITS_TOGETHER) {
		const size_t left = plan->n_units - first;
		const size_t n = left < PB_STATS_UNITS_TOGETHER ? left : PB_STATS_UNITS_TOGETHER;

		sums->drawn(t->values + first * LANES, n, plan->drawn + first, plan->n_units,
			    PB_STATS_RESAMPLES, t->means);
		if (!t->complete)
			sums->drawn(t->present + first * LANES, n, plan->drawn + first,
				    plan->n_units, PB_STATS_RESAMPLES, t->drawn);
	}
	for (i = 0; i < n_means; i++)
		t->means[i] /= t->complete ? (double)plan->n : t->drawn[i];
}

static void bootstrap(struct tile *t, const struct pb_stats_plan *plan, double *ci_low,
		      double *ci_high)
{
	double sample[PB_STATS_RESAMPLES];
	size_t w, r;

	resample_means(t, plan);
	for (w = 0; w < t->n_lanes; w++) {
		size_t k = 0;

		for (r = 0; r < PB_STATS_RESAMPLES; r++)
			if (!isnan(t->means[r * LANES + w]))
				sample[k++] = t->means[r * LANES + w];
		if (t->n[w] < 2 || k == 0) {
			ci_low[w] = ci_high[w] = NAN;
			continue;
		}
		ci_low[w] = pb_quantile(sample, k, 0.025);
		ci_high[w] = pb_quantile(sample, k, 0.975);
	}
}

/* ---- sign flips ------------------------------------------------------------------------ */

/* The table of a run of groups: [g][m] is the sum of the four units of a group, those whose bit is
 * set in m negated. */
static void signed_sums(struct tile *t, const struct pb_stats_plan *plan, size_t first, size_t n)
{
	size_t g;

	memset(t->table, 0, n * 16 * LANES * sizeof(double));
	for (g = 0; g < n; g++)
		signed_sums_of(t->values + 4 * (first + g) * LANES, plan->n_units - 4 * (first + g),
			       t->table + g * 16 * LANES);
}

/* t->flipped: the sums under all flips and under none. */
static void flip_all(struct tile *t, const struct pb_stats_plan *plan)
{
	const struct pb_stats_sums *sums = pb_stats_sums_best();
	static const uint8_t none[PB_STATS_RUN];
	size_t first;

	memset(t->flipped, 0, (plan->n_flips + 1) * LANES * sizeof *t->flipped);
	for (first = 0; first < plan->n_groups; first += PB_STATS_RUN) {
		const size_t left = plan->n_groups - first;
		const size_t n = left < PB_STATS_RUN ? left : PB_STATS_RUN;

		signed_sums(t, plan, first, n);
		sums->flipped(t->table, n, pb_stats_masks(plan, 0, first), plan->n_flips,
			      t->flipped);
		sums->flipped(t->table, n, none, 1, t->flipped + plan->n_flips * LANES);
	}
}

/* |sum| in every lane. */
static inline struct row absolute(const double *sum)
{
	struct row out;
	size_t w;

	for (w = 0; w < LANES; w++)
		out.lane[w] = fabs(sum[w]);
	return out;
}

/* p_value[w] and observed[w] of the tile's cells; t->largest is raised. */
static void sign_flips(struct tile *t, const struct pb_stats_plan *plan, double *p_value,
		       double *observed)
{
	struct statistic statistic = {0};
	double threshold[LANES], hits[LANES] = {0};
	struct row sum, v;
	size_t f, i, w;

	flip_all(t, plan);
	sum = absolute(t->flipped + plan->n_flips * LANES);
	for (w = 0; w < LANES; w++) {
		double squares = 0, reach = 0;

		for (i = 0; i < plan->n_units; i++) {
			double x = t->values[i * LANES + w];

			squares += x * x;
			reach += fabs(x);
		}
		threshold[w] = sum.lane[w] - PB_STATS_TIE * reach;
		if (t->n_units[w] >= 2 && squares > 0) {
			statistic.scale[w] = 1 / (t->n_units[w] * squares);
			statistic.a[w] = t->n_units[w] - 1;
			statistic.b[w] = t->n_units[w] - 2;
		}
	}
	v = evaluate(&statistic, &sum);
	memcpy(observed, v.lane, t->n_lanes * sizeof *observed);
	for (f = 0; f < plan->n_flips; f++) {
		double best = t->largest[f];

		sum = absolute(t->flipped + f * LANES);
		v = evaluate(&statistic, &sum);
		for (w = 0; w < LANES; w++) {
			hits[w] += sum.lane[w] >= threshold[w] ? 1.0 : 0.0;
			best = v.lane[w] > best ? v.lane[w] : best;
		}
		t->largest[f] = best;
	}
	for (w = 0; w < t->n_lanes; w++)
		p_value[w] = t->n[w] > 0 ? (1 + hits[w]) / (1 + (double)plan->n_flips) : NAN;
}

/* ---- cells ----------------------------------------------------------------------------- */

void pb_stats_free(struct pb_stats *stats)
{
	struct pb_stats_cells *c = &stats->cells;

	free(c->n);
	free(c->mean);
	free(c->std_error);
	free(c->ci_low);
	free(c->ci_high);
	free(c->p_value);
	free(c->p_fwer);
	free(c->q_bh);
	free(stats->observed);
	free(stats->largest);
	*stats = (struct pb_stats){0};
}

enum pb_status pb_stats_begin(struct pb_stats *stats, const struct pb_stats_plan *plan,
			      size_t n_cells, struct pb_error *err)
{
	enum pb_status status;
	struct pb_stats_cells *c = &stats->cells;
	double **arrays[] = {&c->mean,    &c->std_error, &c->ci_low, &c->ci_high,
			     &c->p_value, &c->p_fwer,    &c->q_bh,   &stats->observed};
	size_t i;

	*stats = (struct pb_stats){.plan = plan};
	c->n_cells = n_cells;
	PB_TRY(pb_alloc((void **)&c->n, n_cells, sizeof *c->n, "statistics", err));
	for (i = 0; i < sizeof arrays / sizeof *arrays; i++)
		PB_TRY(pb_alloc((void **)arrays[i], n_cells, sizeof(double), "statistics", err));
	PB_TRY(
	    pb_alloc((void **)&stats->largest, plan->n_flips, sizeof(double), "statistics", err));
	return PB_OK;
cleanup:
	pb_stats_free(stats);
	return status;
}

enum pb_status pb_stats_add(struct pb_stats *stats, size_t first_cell,
			    const struct pb_stats_values *values, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_stats_plan *plan = stats->plan;
	struct pb_stats_cells *c = &stats->cells;
	const int n_threads = tiles_at_once(values->n_cells);
	struct tile *tiles = NULL;
	size_t f;
	int i;

	PB_TRY(tile_new(&tiles, n_threads, plan, true, err));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
	for (size_t first = 0; first < values->n_cells; first += LANES) {
		struct tile *t = &tiles[omp_get_thread_num()];
		size_t cell = first_cell + first, w;

		tile_load(t, plan, values, first);
		for (w = 0; w < t->n_lanes; w++) {
			c->n[cell + w] = (int32_t)t->n[w];
			c->mean[cell + w] = t->mean[w];
			c->std_error[cell + w] = t->std_error[w];
		}
		bootstrap(t, plan, c->ci_low + cell, c->ci_high + cell);
		sign_flips(t, plan, c->p_value + cell, stats->observed + cell);
	}
	/* A maximum does not depend on the order in which threads found their parts of it. */
	for (i = 0; i < n_threads; i++)
		for (f = 0; f < plan->n_flips; f++)
			if (tiles[i].largest[f] > stats->largest[f])
				stats->largest[f] = tiles[i].largest[f];
	status = PB_OK;
cleanup:
	tile_free(tiles, n_threads);
	return status;
}

enum pb_status pb_stats_interval(const struct pb_stats_plan *plan,
				 const struct pb_stats_values *values, int32_t *n, double *mean,
				 double *ci_low, double *ci_high, struct pb_error *err)
{
	enum pb_status status;
	const int n_threads = tiles_at_once(values->n_cells);
	struct tile *tiles = NULL;

	PB_TRY(tile_new(&tiles, n_threads, plan, false, err));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
	for (size_t first = 0; first < values->n_cells; first += LANES) {
		struct tile *t = &tiles[omp_get_thread_num()];
		size_t w;

		tile_load(t, plan, values, first);
		for (w = 0; w < t->n_lanes; w++) {
			n[first + w] = (int32_t)t->n[w];
			mean[first + w] = t->mean[w];
		}
		bootstrap(t, plan, ci_low + first, ci_high + first);
	}
cleanup:
	tile_free(tiles, n_threads);
	return status;
}
