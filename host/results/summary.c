/* Summaries of a sweep: statistics of the effect and of the restoration over the pairs.
 *
 * The raw values are read back in blocks of cells, all pairs at a time, so that a sweep over
 * positions need not be in memory at once. In a block, pairs go down and cells across. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/cells.h"

#define BLOCK_BYTES ((size_t)64 << 20) /* of one array of a block, where one head allows it */

/* ---- one sweep --------------------------------------------------------------------------- */

/* Figures of the restoration, [n_cells]. */
struct restored {
	int32_t *n;
	double *mean, *ci_low, *ci_high, *of_means;
};

struct summary {
	const struct pb_summary_shared *shared;
	const struct pb_experiment *e;
	const struct pb_sweep *sweep;
	const struct pb_grid *grid;
	struct pb_axes axes; /* of the summary */
	bool from_end;       /* its positions count from the end */
	size_t n_pairs, n_cells;
	const double *recipient; /* logit differences, [n_pairs] */
	hid_t group;             /* of the sweep */
	struct pb_stats stats[PB_N_SUBSETS];
	struct restored restored[PB_N_SUBSETS];
};

/* Consecutive cells: one step of the first axes, some of the next, the rest whole. */
struct block {
	struct pb_box box;
	size_t first_cell, n_cells;
	double *values; /* [n_pairs, n_cells], positions as in the summary; NaN: not applicable */
	double *subset; /* rows of one subset: effects, then restorations */
};

static enum pb_status block_new(struct block *b, size_t n_pairs, size_t n_cells,
				struct pb_error *err)
{
	enum pb_status status;
	size_t n;

	if (!pb_size_mul(n_pairs, n_cells, &n))
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: summary");
	PB_TRY(pb_alloc((void **)&b->values, n, sizeof(double), "summary", err));
	PB_TRY(pb_alloc((void **)&b->subset, n, sizeof(double), "summary", err));
cleanup:
	return status;
}

static void block_free(struct block *b)
{
	free(b->values);
	free(b->subset);
}

/* ---- effect and restoration of a block ----------------------------------------------------- */

static double gap_of(const struct summary *s, size_t pair)
{
	return s->shared->logit_diff[0][pair] - s->shared->logit_diff[1][pair];
}

static bool has_restoration(const struct summary *s, size_t pair)
{
	const double gap = gap_of(s, pair);

	return !s->shared->facts->distractor[pair] && gap != 0 && fabs(gap) >= s->sweep->min_gap;
}

/* (mean LD_variant - mean LD_corrupted) / (mean LD_clean - mean LD_corrupted) over the pairs of a
 * cell that are no distractors; NaN where the divisor is below min_gap. */
static void restoration_of_means(const struct summary *s, const struct block *b, int subset)
{
	const double *corrupted = s->shared->logit_diff[1];
	const size_t *rows = s->shared->rows[subset];
	const size_t n_rows = s->shared->plan[subset].n;
	size_t c, r;

	for (c = 0; c < b->n_cells; c++) {
		double moved = 0, gap = 0, n = 0;

		for (r = 0; r < n_rows; r++) {
			double value = b->values[rows[r] * b->n_cells + c];

			if (isnan(value) || s->shared->facts->distractor[rows[r]])
				continue;
			moved += value - corrupted[rows[r]];
			gap += gap_of(s, rows[r]);
			n += 1;
		}
		s->restored[subset].of_means[b->first_cell + c] =
		    n > 0 && fabs(gap / n) >= s->sweep->min_gap && gap != 0 ? moved / gap : NAN;
	}
}

static enum pb_status summarise_block(struct summary *s, const struct block *b, int subset,
				      struct pb_error *err)
{
	enum pb_status status;
	const struct pb_summary_shared *shared = s->shared;
	const struct restored *out = &s->restored[subset];
	const size_t *rows = shared->rows[subset], n_rows = shared->plan[subset].n;
	const size_t first = b->first_cell;
	size_t r, c;

	for (r = 0; r < n_rows; r++)
		for (c = 0; c < b->n_cells; c++)
			b->subset[r * b->n_cells + c] =
			    b->values[rows[r] * b->n_cells + c] - s->recipient[rows[r]];
	PB_TRY(pb_stats_add(&s->stats[subset], first, b->n_cells, b->subset, err));
	for (r = 0; r < n_rows; r++) {
		const bool defined = has_restoration(s, rows[r]);
		const double gap = gap_of(s, rows[r]), zero = shared->logit_diff[1][rows[r]];

		for (c = 0; c < b->n_cells; c++)
			b->subset[r * b->n_cells + c] =
			    defined ? (b->values[rows[r] * b->n_cells + c] - zero) / gap : NAN;
	}
	PB_TRY(pb_stats_interval(&shared->plan[subset], b->n_cells, b->subset, out->n + first,
				 out->mean + first, out->ci_low + first, out->ci_high + first,
				 err));
	restoration_of_means(s, b, subset);
cleanup:
	return status;
}

/* Mean and standard error over all pairs of a metric in a block, into [n_cells] arrays. */
static void mean_of_block(const struct summary *s, const struct block *b, double *mean,
			  double *std_error)
{
	size_t c, i;

	for (c = 0; c < b->n_cells; c++) {
		double sum = 0, n = 0, squares = 0, m;

		for (i = 0; i < s->n_pairs; i++) {
			double value = b->values[i * b->n_cells + c];

			sum += isnan(value) ? 0 : value;
			n += isnan(value) ? 0 : 1;
		}
		m = n > 0 ? sum / n : NAN;
		for (i = 0; i < s->n_pairs; i++) {
			double d = b->values[i * b->n_cells + c] - m;

			squares += isnan(d) ? 0 : d * d;
		}
		mean[b->first_cell + c] = m;
		std_error[b->first_cell + c] = n > 1 ? sqrt(squares / (n - 1) / n) : NAN;
	}
}

/* ---- all blocks -------------------------------------------------------------------------- */

/* The next block behind one of n_cells cells (0: the first); false when there is none. */
static bool next_block(const struct summary *s, const struct pb_split *split, struct block *b)
{
	b->first_cell += b->n_cells;
	if (b->first_cell >= s->n_cells)
		return false;
	b->n_cells = pb_split_box(split, s->grid, b->first_cell, &b->box);
	return true;
}

/* Every block of a metric: the statistics of logit_diff, mean and standard error of others. */
static enum pb_status walk_blocks(struct summary *s, enum pb_metric metric, double *mean,
				  double *std_error, struct pb_error *err)
{
	enum pb_status status;
	const char *name = pb_metric_infos[metric].name;
	const size_t column = s->n_pairs * sizeof(double);
	const struct pb_split split = pb_split_of(s->grid, BLOCK_BYTES / (column > 0 ? column : 1));
	struct block b = {0};
	hid_t dataset = H5Dopen2(s->group, name, H5P_DEFAULT);

	if (dataset < 0) {
		status = pb_h5_fail(err, PB_ERR_INTERNAL, "missing dataset: %s", name);
		goto cleanup;
	}
	PB_TRY(block_new(&b, s->n_pairs, split.n_cells, err));
	while (next_block(s, &split, &b)) {
		PB_TRY(pb_cells_read(s->e, s->grid, &b.box, s->from_end, dataset, name, 0,
				     s->n_pairs, b.values, err));
		if (metric != PB_METRIC_LOGIT_DIFF) {
			mean_of_block(s, &b, mean, std_error);
			continue;
		}
		PB_TRY(summarise_block(s, &b, 0, err));
		PB_TRY(summarise_block(s, &b, 1, err));
	}
cleanup:
	block_free(&b);
	pb_h5_drop(dataset);
	return status;
}

/* ---- writing --------------------------------------------------------------------------- */

static enum pb_status write_subset(const struct summary *s, hid_t group, int subset,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_stats_cells *c = &s->stats[subset].cells;
	const struct restored *r = &s->restored[subset];
	const struct {
		enum pb_summary_field field;
		const double *values;
	} reals[] = {{PB_SUMMARY_EFFECT, c->mean},
		     {PB_SUMMARY_STDERR, c->std_error},
		     {PB_SUMMARY_CI_LOW, c->ci_low},
		     {PB_SUMMARY_CI_HIGH, c->ci_high},
		     {PB_SUMMARY_P_VALUE, c->p_value},
		     {PB_SUMMARY_P_FWER, c->p_fwer},
		     {PB_SUMMARY_Q_BH, c->q_bh},
		     {PB_SUMMARY_RESTORATION, r->mean},
		     {PB_SUMMARY_RESTORATION_CI_LOW, r->ci_low},
		     {PB_SUMMARY_RESTORATION_CI_HIGH, r->ci_high},
		     {PB_SUMMARY_RESTORATION_OF_MEANS, r->of_means}};
	size_t i;

	for (i = 0; i < sizeof reals / sizeof *reals; i++)
		PB_TRY(pb_field_write_masked(s->shared->layout, group,
					     &pb_summary_fields[reals[i].field], &s->axes,
					     pb_subset_suffixes[subset], reals[i].values, err));
	PB_TRY(pb_field_write(s->shared->layout, group, &pb_summary_fields[PB_SUMMARY_N_PAIRS],
			      &s->axes, pb_subset_suffixes[subset], c->n, err));
	PB_TRY(pb_field_write(s->shared->layout, group,
			      &pb_summary_fields[PB_SUMMARY_RESTORATION_N_PAIRS], &s->axes,
			      pb_subset_suffixes[subset], r->n, err));
cleanup:
	return status;
}

/* `<metric>_mean` and `<metric>_stderr` of every metric but the logits. */
static enum pb_status write_metric_means(struct summary *s, hid_t group, struct pb_error *err)
{
	enum pb_status status;
	double *mean = NULL, *std_error = NULL;
	int m;

	PB_TRY(pb_alloc((void **)&mean, s->n_cells, sizeof *mean, "summary", err));
	PB_TRY(pb_alloc((void **)&std_error, s->n_cells, sizeof *std_error, "summary", err));
	for (m = 0; m < PB_N_METRICS; m++) {
		const struct pb_metric_info *info = &pb_metric_infos[m];
		struct pb_field field = {.type = PB_TYPE_F64, .dims = {PB_DIM_CELL}};
		char name[64], text[160];

		if (m == PB_METRIC_LOGIT_DIFF || info->per_candidate ||
		    H5Lexists(s->group, info->name, H5P_DEFAULT) <= 0)
			continue;
		PB_TRY(walk_blocks(s, (enum pb_metric)m, mean, std_error, err));
		field.name = name;
		field.units = info->units;
		field.long_name = text;
		snprintf(name, sizeof name, "%s_mean", info->name);
		snprintf(text, sizeof text, "mean over pairs of: %s", info->long_name);
		PB_TRY(pb_field_write_masked(s->shared->layout, group, &field, &s->axes, "", mean,
					     err));
		snprintf(name, sizeof name, "%s_stderr", info->name);
		snprintf(text, sizeof text, "standard error of the mean of: %s", info->long_name);
		PB_TRY(pb_field_write_masked(s->shared->layout, group, &field, &s->axes, "",
					     std_error, err));
	}
cleanup:
	free(mean);
	free(std_error);
	return status;
}

static enum pb_status write_attributes(const struct summary *s, hid_t group, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_summary_shared *shared = s->shared;
	char name[64];
	int subset;

	PB_TRY(pb_h5_put_int(group, "n_resamples", PB_STATS_RESAMPLES, err));
	PB_TRY(pb_h5_put_int(group, "n_cells", (int64_t)s->n_cells, err));
	for (subset = 0; subset < PB_N_SUBSETS; subset++) {
		const struct pb_stats_plan *plan = &shared->plan[subset];
		int64_t distractors = 0, small = 0;
		size_t r;

		for (r = 0; r < plan->n; r++) {
			bool distractor = shared->facts->distractor[shared->rows[subset][r]];

			distractors += distractor;
			small += !distractor && !has_restoration(s, shared->rows[subset][r]);
		}
#define PUT(put, label, value)                                                                     \
	do {                                                                                       \
		snprintf(name, sizeof name, label "%s", pb_subset_suffixes[subset]);               \
		PB_TRY(put(group, name, value, err));                                              \
	} while (0)
		PUT(pb_h5_put_int, "n_pairs_total", (int64_t)plan->n);
		PUT(pb_h5_put_int, "n_distractor", distractors);
		PUT(pb_h5_put_int, "n_below_min_gap", small);
		PUT(pb_h5_put_int, "n_flips", (int64_t)plan->n_flips);
		PUT(pb_h5_put_double, "smallest_p", plan->smallest_p);
#undef PUT
	}
cleanup:
	return status;
}

/* ---- a whole summary ----------------------------------------------------------------------- */

static void summary_free(struct summary *s)
{
	int subset;

	for (subset = 0; subset < PB_N_SUBSETS; subset++) {
		struct restored *r = &s->restored[subset];

		pb_stats_free(&s->stats[subset]);
		free(r->n);
		free(r->mean);
		free(r->ci_low);
		free(r->ci_high);
		free(r->of_means);
	}
}

static enum pb_status summary_new(struct summary *s, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const size_t n = s->n_cells;
	int subset;

	for (subset = 0; subset < PB_N_SUBSETS; subset++) {
		struct restored *r = &s->restored[subset];

		PB_TRY(pb_stats_begin(&s->stats[subset], &s->shared->plan[subset], n, err));
		PB_TRY(pb_alloc((void **)&r->n, n, sizeof *r->n, "summary", err));
		PB_TRY(pb_alloc((void **)&r->mean, n, sizeof(double), "summary", err));
		PB_TRY(pb_alloc((void **)&r->ci_low, n, sizeof(double), "summary", err));
		PB_TRY(pb_alloc((void **)&r->ci_high, n, sizeof(double), "summary", err));
		PB_TRY(pb_alloc((void **)&r->of_means, n, sizeof(double), "summary", err));
	}
cleanup:
	return status;
}

enum pb_status pb_summary_write(const struct pb_summary_shared *shared, size_t sweep, hid_t group,
				struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = shared->e;
	struct summary s = {.shared = shared,
			    .e = e,
			    .sweep = &e->sweeps[sweep],
			    .grid = &e->grids[sweep],
			    .axes = pb_summary_axes(e, sweep, group),
			    .from_end = !pb_pairs_equal_length(e->pairs),
			    .n_pairs = e->pairs->n,
			    .n_cells = e->grids[sweep].n_cells,
			    .group = group};
	hid_t out = -1;

	s.recipient = shared->logit_diff[s.sweep->direction == PB_DENOISE ? 1 : 0];
	PB_TRY(summary_new(&s, err));
	PB_TRY(walk_blocks(&s, PB_METRIC_LOGIT_DIFF, NULL, NULL, err));
	PB_TRY(pb_stats_end(&s.stats[0], err));
	PB_TRY(pb_stats_end(&s.stats[1], err));
	PB_TRY(pb_h5_group_create(&out, group, "summary", err));
	PB_TRY(write_attributes(&s, out, err));
	PB_TRY(write_subset(&s, out, 0, err));
	PB_TRY(write_subset(&s, out, 1, err));
	PB_TRY(write_metric_means(&s, out, err));
	if (s.sweep->by_sets && s.sweep->set_sources.all_pairs)
		status = pb_interaction_write(shared, sweep, group, out, err);
cleanup:
	pb_h5_drop(out);
	summary_free(&s);
	return status;
}
