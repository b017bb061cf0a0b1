/* Statistics of many pairs: resamples and sign flips in batches, pairs in runs that stay near the
 * processor. Sums go on where the run before left them, so that each is over all pairs in order. */
#include "results/stats_stream.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/stats_sums.h"
#include "results/stats_tile.h"

#define RESAMPLES_AT_ONCE ((size_t)40)
#define FLIPS_AT_ONCE ((size_t)512)
#define RUN ((size_t)64)     /* pairs of a run: sixteen groups of four, one random word of flips */
#define RUN_GROUPS (RUN / 4) /* their table of signed sums takes 16 KB */

/* Eight cells of the block. */
struct lanes {
	size_t first, n; /* cells of the block */
	bool complete;   /* every pair has a value in all of them */
	double count[LANES], mean[LANES], std_error[LANES];
	/* sign flips */
	struct statistic statistic;
	double threshold[LANES], hits[LANES], observed[LANES];
};

struct stream {
	const struct pb_stats_plan *plan;
	size_t n_block, n_lanes; /* cells, and eights of them */
	const double *values;    /* [plan->n, n_block] */
	struct pb_stats_sums sums;
	struct lanes *lanes;
	double *means; /* [n_lanes, PB_STATS_RESAMPLES, LANES] */
	int n_threads;
};

static void stream_free(struct stream *s)
{
	free(s->lanes);
	free(s->means);
}

/* ---- pairs ----------------------------------------------------------------------------------- */

/* Pairs [i, i + n) of eight cells: 0 where one has no value, and whether it has. */
static void load_checked(const struct stream *s, const struct lanes *l, size_t i, size_t n,
			 double *rows, double *present)
{
	size_t k, w;

	for (k = 0; k < n; k++) {
		const double *from = s->values + (i + k) * s->n_block + l->first;

		for (w = 0; w < LANES; w++) {
			const bool there = w < l->n && !isnan(from[w < l->n ? w : 0]);

			rows[k * LANES + w] = there ? from[w] : 0.0;
			present[k * LANES + w] = there ? 1.0 : 0.0;
		}
	}
}

/* The values alone. */
static void load(const struct stream *s, const struct lanes *l, size_t i, size_t n, double *rows)
{
	double present[RUN * LANES];
	size_t k;

	if (!l->complete || l->n < LANES) {
		load_checked(s, l, i, n, rows, present);
		return;
	}
	for (k = 0; k < n; k++)
		memcpy(rows + k * LANES, s->values + (i + k) * s->n_block + l->first,
		       LANES * sizeof *rows);
}

static void measure(const struct stream *s, struct lanes *l)
{
	double rows[RUN * LANES], present[RUN * LANES], sum[LANES] = {0}, squares[LANES] = {0};
	const size_t n_pairs = s->plan->n;
	bool complete = true;
	size_t i, k, w, n;

	for (i = 0; i < n_pairs; i += RUN) {
		n = n_pairs - i < RUN ? n_pairs - i : RUN;
		load_checked(s, l, i, n, rows, present);
		for (k = 0; k < n; k++)
			for (w = 0; w < LANES; w++) {
				l->count[w] += present[k * LANES + w];
				sum[w] += rows[k * LANES + w];
				if (present[k * LANES + w] == 0 && w < l->n)
					complete = false;
			}
	}
	for (w = 0; w < LANES; w++)
		l->mean[w] = l->count[w] > 0 ? sum[w] / l->count[w] : NAN;
	for (i = 0; i < n_pairs; i += RUN) {
		n = n_pairs - i < RUN ? n_pairs - i : RUN;
		load_checked(s, l, i, n, rows, present);
		for (k = 0; k < n; k++)
			for (w = 0; w < LANES; w++) {
				const double d = rows[k * LANES + w] - l->mean[w];

				squares[w] += present[k * LANES + w] * (d * d);
			}
	}
	l->complete = complete;
	for (w = 0; w < LANES; w++)
		l->std_error[w] =
		    l->count[w] < 2 ? NAN : sqrt(squares[w] / (l->count[w] - 1) / l->count[w]);
}

static enum pb_status stream_new(struct stream *s, const struct pb_stats_plan *plan, size_t n_block,
				 const double *values, struct pb_error *err)
{
	enum pb_status status;
	size_t l;

	*s = (struct stream){.plan = plan,
			     .n_block = n_block,
			     .n_lanes = (n_block + LANES - 1) / LANES,
			     .values = values,
			     .sums = pb_stats_sums_choose(),
			     .n_threads = omp_get_max_threads()};
	PB_TRY(pb_alloc((void **)&s->lanes, s->n_lanes, sizeof *s->lanes, "statistics", err));
	PB_TRY(pb_alloc((void **)&s->means, s->n_lanes * PB_STATS_RESAMPLES, LANES * sizeof(double),
			"statistics", err));
	for (l = 0; l < s->n_lanes; l++) {
		s->lanes[l].first = l * LANES;
		s->lanes[l].n = n_block - l * LANES < LANES ? n_block - l * LANES : LANES;
	}
#pragma omp parallel for schedule(dynamic) num_threads(s->n_threads)
	for (size_t i = 0; i < s->n_lanes; i++)
		measure(s, &s->lanes[i]);
cleanup:
	if (status != PB_OK)
		stream_free(s);
	return status;
}

/* ---- bootstrap ------------------------------------------------------------------------------- */

/* Means of eight cells in n_r resamples, whose draws are [n_r, pairs]. */
static void resample(const struct stream *s, const struct lanes *l, const uint16_t *draws,
		     size_t n_r, double *means)
{
	union row sums[RESAMPLES_AT_ONCE], counts[RESAMPLES_AT_ONCE];
	double rows[RUN * LANES], present[RUN * LANES];
	const size_t n_pairs = s->plan->n;
	size_t i, n, r, w;

	memset(sums, 0, sizeof sums);
	memset(counts, 0, sizeof counts);
	for (i = 0; i < n_pairs; i += RUN) {
		n = n_pairs - i < RUN ? n_pairs - i : RUN;
		if (l->complete) {
			load(s, l, i, n, rows);
		} else {
			load_checked(s, l, i, n, rows, present);
			s->sums.weighted(counts, n_r, present, draws + i, n_pairs, n);
		}
		s->sums.weighted(sums, n_r, rows, draws + i, n_pairs, n);
	}
	for (r = 0; r < n_r; r++)
		for (w = 0; w < LANES; w++)
			means[r * LANES + w] =
			    sums[r].lane[w] / (l->complete ? (double)n_pairs : counts[r].lane[w]);
}

static void intervals(const struct stream *s, size_t which, double *ci_low, double *ci_high)
{
	const struct lanes *l = &s->lanes[which];
	const double *means = s->means + which * PB_STATS_RESAMPLES * LANES;
	double sample[PB_STATS_RESAMPLES];
	size_t w, r;

	for (w = 0; w < l->n; w++) {
		size_t k = 0;

		for (r = 0; r < PB_STATS_RESAMPLES; r++)
			if (!isnan(means[r * LANES + w]))
				sample[k++] = means[r * LANES + w];
		ci_low[w] = ci_high[w] = NAN;
		if (l->count[w] < 2 || k == 0)
			continue;
		ci_low[w] = pb_quantile(sample, k, 0.025);
		ci_high[w] = pb_quantile(sample, k, 0.975);
	}
}

static enum pb_status bootstrap(struct stream *s, double *ci_low, double *ci_high,
				struct pb_error *err)
{
	const size_t n_pairs = s->plan->n;
	uint16_t *draws = NULL;
	enum pb_status status;
	size_t first, n;

	PB_TRY(pb_alloc((void **)&draws, RESAMPLES_AT_ONCE * n_pairs, sizeof *draws, "resamples",
			err));
	for (first = 0; first < PB_STATS_RESAMPLES; first += n) {
		n = PB_STATS_RESAMPLES - first;
		n = n < RESAMPLES_AT_ONCE ? n : RESAMPLES_AT_ONCE;
#pragma omp parallel num_threads(s->n_threads)
		{
#pragma omp for schedule(dynamic)
			for (size_t r = 0; r < n; r++)
				pb_stats_draw(s->plan, first + r, draws + r * n_pairs);
#pragma omp for schedule(dynamic)
			for (size_t l = 0; l < s->n_lanes; l++)
				resample(s, &s->lanes[l], draws, n,
					 s->means + (l * PB_STATS_RESAMPLES + first) * LANES);
		}
	}
#pragma omp parallel for schedule(dynamic) num_threads(s->n_threads)
	for (size_t l = 0; l < s->n_lanes; l++)
		intervals(s, l, ci_low + s->lanes[l].first, ci_high + s->lanes[l].first);
cleanup:
	free(draws);
	return status;
}

/* ---- sign flips ------------------------------------------------------------------------------ */

/* The table of the groups of a run; returns how many they are. */
static size_t table_of(const struct stream *s, const struct lanes *l, size_t i, double *table)
{
	const size_t n = s->plan->n - i < RUN ? s->plan->n - i : RUN;
	double rows[RUN * LANES];
	const size_t n_groups = (n + 3) / 4;
	size_t g;

	load(s, l, i, n, rows);
	memset(table, 0, n_groups * 16 * LANES * sizeof *table);
	for (g = 0; g < n_groups; g++)
		signed_sums_of(rows + 4 * g * LANES, n - 4 * g, table + g * 16 * LANES);
	return n_groups;
}

/* Without any flip: what is observed, and what a flip must reach. */
static void observe(const struct stream *s, struct lanes *l)
{
	double table[RUN_GROUPS * 16 * LANES], squares[LANES] = {0}, reach[LANES] = {0};
	double rows[RUN * LANES];
	union row sum = {.lane = {0}}, v;
	const uint64_t no_flip = 0;
	size_t i, k, w, n;

	for (i = 0; i < s->plan->n; i += RUN) {
		s->sums.flipped(&sum, 1, table, table_of(s, l, i, table), &no_flip);
		n = s->plan->n - i < RUN ? s->plan->n - i : RUN;
		load(s, l, i, n, rows);
		for (k = 0; k < n; k++)
			for (w = 0; w < LANES; w++) {
				const double x = rows[k * LANES + w];

				squares[w] += x * x;
				reach[w] += fabs(x);
			}
	}
	for (w = 0; w < LANES; w++) {
		sum.lane[w] = fabs(sum.lane[w]);
		l->threshold[w] = sum.lane[w] - PB_STATS_TIE * reach[w];
		if (l->count[w] >= 2 && squares[w] > 0) {
			l->statistic.scale[w] = 1 / (l->count[w] * squares[w]);
			l->statistic.a[w] = l->count[w] - 1;
			l->statistic.b[w] = l->count[w] - 2;
		}
	}
	v = evaluate(&l->statistic, &sum);
	memcpy(l->observed, v.lane, sizeof l->observed);
}

/* n_f flips of eight cells: words [runs, n_f]. largest: [n_f], raised. */
static void flip(const struct stream *s, struct lanes *l, const uint64_t *words, size_t n_f,
		 double *largest)
{
	double table[RUN_GROUPS * 16 * LANES];
	union row sums[FLIPS_AT_ONCE], v;
	size_t i, f, w, n_groups;

	memset(sums, 0, sizeof sums);
	for (i = 0; i < s->plan->n; i += RUN) {
		n_groups = table_of(s, l, i, table);
		s->sums.flipped(sums, n_f, table, n_groups, words + i / RUN * FLIPS_AT_ONCE);
	}
	for (f = 0; f < n_f; f++) {
		for (w = 0; w < LANES; w++)
			sums[f].lane[w] = fabs(sums[f].lane[w]);
		v = evaluate(&l->statistic, &sums[f]);
		for (w = 0; w < LANES; w++) {
			l->hits[w] += sums[f].lane[w] >= l->threshold[w] ? 1.0 : 0.0;
			largest[f] = v.lane[w] > largest[f] ? v.lane[w] : largest[f];
		}
	}
}

/* One word a run of flip `first + f`, in the order in which stats_plan.c takes them. */
static void draw_flips(const struct pb_stats_plan *plan, size_t first, size_t n_f, uint64_t *words,
		       int n_threads)
{
	const size_t n_runs = (plan->n_groups + RUN_GROUPS - 1) / RUN_GROUPS;

#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
	for (size_t f = 0; f < n_f; f++) {
		struct pb_rng rng;

		pb_stats_flip_rng(plan, first + f, &rng);
		for (size_t run = 0; run < n_runs; run++)
			words[run * FLIPS_AT_ONCE + f] = pb_rng_next(&rng);
	}
}

static enum pb_status sign_flips(struct stream *s, double *p_value, double *observed,
				 double *largest, struct pb_error *err)
{
	const struct pb_stats_plan *plan = s->plan;
	const size_t n_runs = (plan->n_groups + RUN_GROUPS - 1) / RUN_GROUPS;
	uint64_t *words = NULL;
	double *by_thread = NULL; /* [threads, FLIPS_AT_ONCE] */
	enum pb_status status;
	size_t first, n;

	PB_TRY(pb_alloc((void **)&words, n_runs * FLIPS_AT_ONCE, sizeof *words, "sign flips", err));
	PB_TRY(pb_alloc((void **)&by_thread, (size_t)s->n_threads * FLIPS_AT_ONCE,
			sizeof *by_thread, "sign flips", err));
#pragma omp parallel for schedule(dynamic) num_threads(s->n_threads)
	for (size_t l = 0; l < s->n_lanes; l++)
		observe(s, &s->lanes[l]);
	for (first = 0; first < plan->n_flips; first += n) {
		n = plan->n_flips - first < FLIPS_AT_ONCE ? plan->n_flips - first : FLIPS_AT_ONCE;
		draw_flips(plan, first, n, words, s->n_threads);
		memset(by_thread, 0, (size_t)s->n_threads * FLIPS_AT_ONCE * sizeof *by_thread);
#pragma omp parallel for schedule(dynamic) num_threads(s->n_threads)
		for (size_t l = 0; l < s->n_lanes; l++)
			flip(s, &s->lanes[l], words, n,
			     by_thread + (size_t)omp_get_thread_num() * FLIPS_AT_ONCE);
		/* a maximum does not depend on which thread found it */
		for (int t = 0; t < s->n_threads; t++)
			for (size_t f = 0; f < n; f++)
				largest[first + f] = fmax(largest[first + f],
							  by_thread[(size_t)t * FLIPS_AT_ONCE + f]);
	}
	for (size_t l = 0; l < s->n_lanes; l++)
		for (size_t w = 0; w < s->lanes[l].n; w++) {
			const struct lanes *x = &s->lanes[l];

			observed[x->first + w] = x->observed[w];
			p_value[x->first + w] =
			    x->count[w] > 0 ? (1 + x->hits[w]) / (1 + (double)plan->n_flips) : NAN;
		}
cleanup:
	free(words);
	free(by_thread);
	return status;
}

/* ---- the figures ----------------------------------------------------------------------------- */

static void put_counts(const struct stream *s, int32_t *n, double *mean, double *std_error)
{
	size_t l, w;

	for (l = 0; l < s->n_lanes; l++)
		for (w = 0; w < s->lanes[l].n; w++) {
			const struct lanes *x = &s->lanes[l];

			n[x->first + w] = (int32_t)x->count[w];
			mean[x->first + w] = x->mean[w];
			if (std_error != NULL)
				std_error[x->first + w] = x->std_error[w];
		}
}

enum pb_status pb_stats_stream_add(struct pb_stats *stats, size_t first_cell, size_t n_block,
				   const double *values, struct pb_error *err)
{
	struct pb_stats_cells *c = &stats->cells;
	enum pb_status status;
	struct stream s;

	PB_TRY(stream_new(&s, stats->plan, n_block, values, err));
	put_counts(&s, c->n + first_cell, c->mean + first_cell, c->std_error + first_cell);
	status = bootstrap(&s, c->ci_low + first_cell, c->ci_high + first_cell, err);
	if (status == PB_OK)
		status = sign_flips(&s, c->p_value + first_cell, stats->observed + first_cell,
				    stats->largest, err);
	stream_free(&s);
cleanup:
	return status;
}

enum pb_status pb_stats_stream_interval(const struct pb_stats_plan *plan, size_t n_block,
					const double *values, int32_t *n, double *mean,
					double *ci_low, double *ci_high, struct pb_error *err)
{
	enum pb_status status;
	struct stream s;

	PB_TRY(stream_new(&s, plan, n_block, values, err));
	put_counts(&s, n, mean, NULL);
	status = bootstrap(&s, ci_low, ci_high, err);
	stream_free(&s);
cleanup:
	return status;
}
