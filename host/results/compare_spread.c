/* The figures of one sweep of one file, with their bootstrap intervals: the mean effects of all
 * cells in each resample of the pairs, and from those the figures again. */
#include <math.h>
#include <stdlib.h>

#include "results/compare.h"
#include "results/compare_draws.h"
#include "results/digest.h"
#include "results/file_grid.h"

#define BATCH 16 /* pairs that are added to the sums at once: what a cache holds */

struct reading {
	const struct pb_result *r;
	const struct pb_compare_options *options;
	size_t sweep, n_cells;
	struct pb_file_grid grid;
	struct pb_cell_shape shape;
	double *effects; /* [BATCH, n_cells] */
	struct pb_draws draws[PB_N_SUBSETS];
};

static enum pb_status fail_sweep(const struct reading *d, const char *why, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "sweep that cannot be compared: %s: %s: %s: choose one of all layers, or of "
		       "all heads of all layers, with --sweep",
		       d->r->path, d->r->sweeps[d->sweep].name, why);
}

/* ---- the cells --------------------------------------------------------------------------- */

/* Cells are (layer) or (layer, head), and all of the model's: of positions, alphas, sets, paths and
 * neurons a cell is no share of a whole, and a part's concentration is not the model's. */
static enum pb_status read_shape(struct reading *d, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_grid *grid = &d->grid.grid;
	const bool heads = grid->n_axes == 2 && (grid->axes[1].kind == PB_AXIS_HEAD ||
						 grid->axes[1].kind == PB_AXIS_KV_HEAD);
	size_t n_across = 1;

	if (d->grid.n_ends > 0 || grid->n_axes < 1 || grid->axes[0].kind != PB_AXIS_LAYER ||
	    !(grid->n_axes == 1 || heads))
		return fail_sweep(d, "its cells are not layers, nor heads of layers", err);
	if (heads)
		PB_TRY(
		    pb_result_size(d->r->file, pb_axis_names[grid->axes[1].kind], &n_across, err));
	d->shape = (struct pb_cell_shape){grid->axes[0].n, heads ? grid->axes[1].n : 1};
	if (d->shape.n_layers != d->r->n_layers || d->shape.n_across != n_across)
		return fail_sweep(d, "it has a part of the layers or heads", err);
	d->n_cells = d->grid.n_cells;
cleanup:
	return status;
}

static enum pb_status check_restoration(const struct reading *d, struct pb_error *err)
{
	enum pb_status status;
	int64_t n_distractor = 0;
	hid_t pairs = -1;

	if (d->options->by != PB_BY_RESTORATION)
		return PB_OK;
	PB_TRY(pb_h5_group_open(&pairs, d->r->file, "pairs", err));
	PB_TRY(pb_h5_get_int(pairs, "n_distractor", &n_distractor, err));
	if (n_distractor > 0)
		status = pb_fail(err, PB_ERR_INPUT,
				 "no restoration: %s: of its pairs %lld are distractors: compare "
				 "by effect",
				 d->r->path, (long long)n_distractor);
cleanup:
	pb_h5_drop(pairs);
	return status;
}

/* ---- values by pair ---------------------------------------------------------------------- */

static bool is_noise(const struct reading *d)
{
	return d->r->sweeps[d->sweep].noise;
}

/* In noise the baseline of the restoration is 1. */
static double shift_of(const struct reading *d)
{
	return d->options->by == PB_BY_RESTORATION && is_noise(d) ? -1 : 0;
}

/* What a value of the pair is taken from, and divided by; false where it has no restoration. */
static bool scale_of(const struct reading *d, size_t pair, double *zero, double *gap)
{
	const double clean = d->r->logit_diff[0][pair], corrupted = d->r->logit_diff[1][pair];

	*zero = is_noise(d) ? clean : corrupted;
	*gap = 1;
	if (d->options->by == PB_BY_EFFECT)
		return true;
	*zero = corrupted;
	*gap = clean - corrupted;
	return *gap != 0 && fabs(*gap) >= d->r->sweeps[d->sweep].min_gap;
}

/* The effects of a pair's cells; *there is false where it has none of them. */
static enum pb_status take_pair(const struct reading *d, size_t pair, const double *values,
				double *effects, bool *there, struct pb_error *err)
{
	const double shift = shift_of(d);
	double zero, gap;
	const bool defined = scale_of(d, pair, &zero, &gap);
	size_t n = 0, c;

	for (c = 0; c < d->n_cells; c++) {
		effects[c] = (values[c] - zero) / gap + shift;
		n += !isnan(values[c]);
	}
	*there = defined && n == d->n_cells;
	if (n == d->n_cells || n == 0)
		return PB_OK;
	return fail_sweep(d, "a pair has some of its cells and lacks others", err);
}

static enum pb_status add_batch(struct reading *d, size_t first, size_t n, const double *values,
				struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t place[PB_N_SUBSETS][BATCH], i;
	int s;

	for (i = 0; i < n; i++) {
		const bool in[PB_N_SUBSETS] = {true, d->r->right[first + i] == 1};
		bool there;

		PB_TRY(take_pair(d, first + i, values + i * d->n_cells, d->effects + i * d->n_cells,
				 &there, err));
		for (s = 0; s < PB_N_SUBSETS; s++) {
			place[s][i] = in[s] && there ? d->draws[s].n_seen : SIZE_MAX;
			d->draws[s].n_seen += in[s];
		}
	}
	for (s = 0; s < PB_N_SUBSETS; s++)
		pb_draws_add(&d->draws[s], d->effects, place[s], n);
cleanup:
	return status;
}

static enum pb_status add_block(void *context, const struct pb_h5_shape *shape, size_t first,
				size_t n, const void *values, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct reading *d = context;
	size_t i;

	if (shape->is_text || shape->element_size != sizeof(double) || shape->rank < 1 ||
	    shape->dims[0] != d->r->n_pairs || shape->row != d->n_cells)
		return pb_fail(err, PB_ERR_CHECK, "values of another shape: %s: %s", d->r->path,
			       d->r->sweeps[d->sweep].name);
	for (i = 0; i < n; i += BATCH)
		PB_TRY(add_batch(d, first + i, n - i < BATCH ? n - i : BATCH,
				 (const double *)values + i * d->n_cells, err));
cleanup:
	return status;
}

static enum pb_status read_values(struct reading *d, struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("sweeps/%s/logit_diff", d->r->sweeps[d->sweep].name);
	int64_t seed;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	PB_TRY(pb_h5_get_int(d->r->file, "seed", &seed, err));
	PB_TRY(pb_draws_new(&d->draws[0], d->r->n_pairs, d->n_cells, (uint64_t)seed, err));
	PB_TRY(
	    pb_draws_new(&d->draws[1], pb_result_n_right(d->r), d->n_cells, (uint64_t)seed, err));
	PB_TRY(pb_alloc((void **)&d->effects, BATCH * d->n_cells, sizeof(double), "pairs", err));
	status = pb_dataset_walk(d->r->file, path, add_block, d, err);
cleanup:
	free(path);
	return status;
}

/* ---- figures --------------------------------------------------------------------------------- */

/* The figures of every resample in which the cells have a mean: rows of n figures, each of
 * PB_STATS_RESAMPLES, of which *n_drawn are there. */
static enum pb_status measure_resamples(struct reading *d, struct pb_draws *s, double *figures,
					size_t *n_drawn, struct pb_error *err)
{
	enum pb_status status;
	const size_t n_bins = d->options->n_bins, n = PB_N_MEASURES + n_bins;
	double *mean = NULL, *sizes = NULL, *row = NULL;
	size_t r, i;

	*n_drawn = 0;
	PB_TRY(pb_alloc((void **)&mean, d->n_cells, sizeof *mean, "resamples", err));
	PB_TRY(pb_alloc((void **)&sizes, d->n_cells, sizeof *sizes, "resamples", err));
	PB_TRY(pb_alloc((void **)&row, n, sizeof *row, "resamples", err));
	for (r = 0; r < PB_STATS_RESAMPLES; r++) {
		if (!pb_draws_mean(s, r, mean))
			continue;
		pb_measure(&d->shape, mean, n_bins, sizes, row, row + PB_N_MEASURES);
		for (i = 0; i < n; i++)
			figures[i * PB_STATS_RESAMPLES + *n_drawn] = row[i];
		(*n_drawn)++;
	}
cleanup:
	free(mean);
	free(sizes);
	free(row);
	return status;
}

/* The interval of one figure; values that are not there (all effects 0) are left out. */
static void set_interval(struct pb_estimate *estimate, double *values, size_t n)
{
	size_t kept = 0, i;

	for (i = 0; i < n; i++)
		if (!isnan(values[i]))
			values[kept++] = values[i];
	estimate->low = kept > 0 ? pb_quantile(values, kept, 0.025) : NAN;
	estimate->high = kept > 0 ? pb_quantile(values, kept, 0.975) : NAN;
}

static enum pb_status set_intervals(struct reading *d, struct pb_draws *s, struct pb_spread *spread,
				    struct pb_error *err)
{
	enum pb_status status;
	const size_t n = PB_N_MEASURES + d->options->n_bins;
	double *figures = NULL;
	size_t n_drawn, i;

	PB_TRY(
	    pb_alloc((void **)&figures, n * PB_STATS_RESAMPLES, sizeof *figures, "resamples", err));
	PB_TRY(measure_resamples(d, s, figures, &n_drawn, err));
	if (s->n_taken < 2)
		n_drawn = 0; /* one pair has no interval, as in summaries */
	for (i = 0; i < n; i++)
		set_interval(i < PB_N_MEASURES ? &spread->measures[i]
					       : &spread->profile[i - PB_N_MEASURES],
			     figures + i * PB_STATS_RESAMPLES, n_drawn);
cleanup:
	free(figures);
	return status;
}

/* The summary must be that of the values. */
static enum pb_status check_means(const struct reading *d, const struct pb_draws *s,
				  const double *effect, struct pb_error *err)
{
	size_t c;

	for (c = 0; c < d->n_cells; c++) {
		const double mean = s->total[c] / (double)s->n_taken; /* NaN without pairs */

		if (isnan(mean) != isnan(effect[c]) ||
		    (!isnan(mean) && !(fabs(mean - effect[c]) <= 1e-9 * (1 + s->largest))))
			return pb_fail(err, PB_ERR_CHECK,
				       "damaged: %s: the summary of %s is not that of its values: "
				       "see patchbay verify",
				       d->r->path, d->r->sweeps[d->sweep].name);
	}
	return PB_OK;
}

/* Columns of the summary: the mean, and its interval. */
struct columns {
	double *mean, *low, *high;
};

static void columns_free(struct columns *c)
{
	free(c->mean);
	free(c->low);
	free(c->high);
}

static enum pb_status columns_read(struct columns *c, const struct reading *d, const char *suffix,
				   struct pb_error *err)
{
	static const char *const names[2][3] = {
	    {"effect", "ci_low", "ci_high"},
	    {"restoration", "restoration_ci_low", "restoration_ci_high"}};
	double **const columns[3] = {&c->mean, &c->low, &c->high};
	enum pb_status status = PB_OK;
	size_t k, i;

	for (k = 0; k < 3; k++) {
		PB_TRY(pb_file_grid_column(&d->grid, d->r, d->sweep, names[d->options->by][k],
					   suffix, columns[k], err));
		for (i = 0; i < d->n_cells; i++)
			(*columns[k])[i] += shift_of(d);
	}
cleanup:
	return status;
}

static void set_strong(struct pb_strong_cell *cell, const struct reading *d,
		       const struct columns *c, size_t at)
{
	pb_file_grid_label(&d->grid, at, cell->label, sizeof cell->label);
	cell->layer = pb_file_grid_value(&d->grid, at, PB_AXIS_LAYER);
	cell->head = pb_file_grid_value(&d->grid, at, PB_AXIS_HEAD);
	if (cell->head < 0)
		cell->head = pb_file_grid_value(&d->grid, at, PB_AXIS_KV_HEAD);
	cell->depth = pb_relative_depth(at / d->shape.n_across, d->shape.n_layers);
	cell->effect = (struct pb_estimate){c->mean[at], c->low[at], c->high[at]};
}

static enum pb_status set_top(struct pb_spread *spread, struct pb_arena *arena,
			      const struct reading *d, const struct columns *c,
			      struct pb_error *err)
{
	enum pb_status status;
	struct pb_ranked *ranked = NULL;
	size_t i;

	PB_TRY(pb_alloc((void **)&ranked, d->n_cells, sizeof *ranked, "ranking", err));
	for (i = 0; i < d->n_cells; i++)
		ranked[i] = (struct pb_ranked){isfinite(c->mean[i]) ? fabs(c->mean[i]) : -1, i};
	pb_rank(ranked, d->n_cells);
	spread->n_top = d->options->n_top < spread->n_cells ? d->options->n_top : spread->n_cells;
	spread->top = pb_arena_alloc(arena, spread->n_top, sizeof *spread->top);
	if (spread->top == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: ranking");
	for (i = 0; status == PB_OK && i < spread->n_top; i++)
		set_strong(&spread->top[i], d, c, ranked[i].cell);
cleanup:
	free(ranked);
	return status;
}

static enum pb_status set_spread(struct pb_spread *spread, struct pb_arena *arena,
				 struct reading *d, int subset, struct pb_error *err)
{
	enum pb_status status;
	const size_t n_bins = d->options->n_bins;
	double measures[PB_N_MEASURES], *profile = NULL, *sizes = NULL;
	struct columns columns = {0};
	size_t i;

	*spread = (struct pb_spread){.n_pairs = d->draws[subset].n_taken};
	spread->profile = pb_arena_alloc(arena, n_bins, sizeof *spread->profile);
	if (spread->profile == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: bins");
	PB_TRY(columns_read(&columns, d, pb_subset_suffixes[subset], err));
	PB_TRY(check_means(d, &d->draws[subset], columns.mean, err));
	PB_TRY(pb_alloc((void **)&profile, n_bins, sizeof *profile, "bins", err));
	PB_TRY(pb_alloc((void **)&sizes, d->n_cells, sizeof *sizes, "cells", err));
	spread->n_cells = pb_measure(&d->shape, columns.mean, n_bins, sizes, measures, profile);
	for (i = 0; i < PB_N_MEASURES; i++)
		spread->measures[i].value = measures[i];
	for (i = 0; i < n_bins; i++)
		spread->profile[i].value = profile[i];
	PB_TRY(set_intervals(d, &d->draws[subset], spread, err));
	status = set_top(spread, arena, d, &columns, err);
cleanup:
	columns_free(&columns);
	free(profile);
	free(sizes);
	return status;
}

enum pb_status pb_compare_spread(struct pb_spread *spread, bool *by_head, struct pb_arena *arena,
				 const struct pb_result *result, size_t sweep,
				 const struct pb_compare_options *options, struct pb_error *err)
{
	enum pb_status status;
	struct reading d = {.r = result, .options = options, .sweep = sweep};
	int s;

	PB_TRY(pb_file_grid_read(&d.grid, result, sweep, err));
	PB_TRY(read_shape(&d, err));
	*by_head = d.grid.grid.n_axes > 1;
	PB_TRY(check_restoration(&d, err));
	PB_TRY(read_values(&d, err));
	for (s = 0; s < PB_N_SUBSETS; s++)
		PB_TRY(set_spread(&spread[s], arena, &d, s, err));
cleanup:
	for (s = 0; s < PB_N_SUBSETS; s++)
		pb_draws_free(&d.draws[s]);
	free(d.effects);
	pb_file_grid_free(&d.grid);
	return status;
}
