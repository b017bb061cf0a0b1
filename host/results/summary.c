/* Summaries of a sweep: statistics of the effect and of the restoration over the pairs. The raw
 * values are read back in blocks of cells (pb_cells_walk). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/cells.h"

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
	size_t n_pairs, n_cells;
	const double *recipient; /* logit differences, [n_pairs] */
	double *gap; /* [n_pairs]: NaN where restoration is not defined; the cells share it */
	hid_t group; /* of the sweep */
	struct pb_stats stats[PB_N_SUBSETS];
	struct restored restored[PB_N_SUBSETS];
};

/* ---- effect and restoration of a block ----------------------------------------------------- */

/* (mean LD_variant - mean LD_corrupted) / (mean LD_clean - mean LD_corrupted) over the pairs of a
 * cell that are no distractors; NaN where the divisor is below min_gap. `n` cells of the block from
 * `first` on, PB_STATS_LANES at most. */
static void restoration_of_means(const struct summary *s, const struct pb_block *b, int subset,
				 size_t first, size_t n)
{
	double moved[PB_STATS_LANES] = {0}, gap[PB_STATS_LANES] = {0}, pairs[PB_STATS_LANES] = {0};
	const size_t *rows = s->shared->rows[subset];
	double *out = s->restored[subset].of_means + b->first_cell + first;
	size_t r, c;

	for (r = 0; r < s->shared->plan[subset].n; r++) {
		const double *values = b->values + rows[r] * b->n_cells + first;
		const double own_gap = pb_pair_gap(s->shared, rows[r]);
		const double corrupted = s->shared->logit_diff[1][rows[r]];

		if (s->shared->facts->distractor[rows[r]])
			continue;
		for (c = 0; c < n; c++) {
			if (isnan(values[c]))
				continue;
			moved[c] += values[c] - corrupted;
			gap[c] += own_gap;
			pairs[c] += 1;
		}
	}
	for (c = 0; c < n; c++)
		out[c] = pairs[c] > 0 && fabs(gap[c] / pairs[c]) >= s->sweep->min_gap && gap[c] != 0
			     ? moved[c] / gap[c]
			     : NAN;
}

static enum pb_status summarise_block(struct summary *s, const struct pb_block *b, int subset,
				      struct pb_error *err)
{
	enum pb_status status;
	const struct restored *out = &s->restored[subset];
	const size_t first = b->first_cell;
	struct pb_stats_values v = {.values = b->values,
				    .n_cells = b->n_cells,
				    .rows = s->shared->rows[subset],
				    .from = s->recipient};

	PB_TRY(pb_stats_add(&s->stats[subset], first, &v, err));
	v.from = s->shared->logit_diff[1];
	v.span = s->gap;
	PB_TRY(pb_stats_interval(&s->shared->plan[subset], &v, out->n + first, out->mean + first,
				 out->ci_low + first, out->ci_high + first, err));
#pragma omp parallel for schedule(dynamic)
	for (size_t c = 0; c < b->n_cells; c += PB_STATS_LANES)
		restoration_of_means(s, b, subset, c,
				     b->n_cells - c < PB_STATS_LANES ? b->n_cells - c
								     : PB_STATS_LANES);
cleanup:
	return status;
}

/* Where the model is right about all pairs, both subsets have the same figures: those of all. */
static int subset_of(const struct summary *s, int subset)
{
	return s->shared->plan[1].n == s->shared->plan[0].n ? 0 : subset;
}

static enum pb_status summarise(void *context, const struct pb_block *b, struct pb_error *err)
{
	struct summary *s = context;
	enum pb_status status;

	PB_TRY(summarise_block(s, b, 0, err));
	if (subset_of(s, 1) == 1)
		PB_TRY(summarise_block(s, b, 1, err));
cleanup:
	return status;
}

/* Of a metric over all pairs, [n_cells]. */
struct means {
	size_t n_pairs;
	double *mean, *std_error;
};

static enum pb_status mean_of_block(void *context, const struct pb_block *b, struct pb_error *err)
{
	const struct means *means = context;
	size_t c, i;

	(void)err;
	for (c = 0; c < b->n_cells; c++) {
		double sum = 0, n = 0, squares = 0, m;

		for (i = 0; i < means->n_pairs; i++) {
			double value = b->values[i * b->n_cells + c];

			sum += isnan(value) ? 0 : value;
			n += isnan(value) ? 0 : 1;
		}
		m = n > 0 ? sum / n : NAN;
		for (i = 0; i < means->n_pairs; i++) {
			double d = b->values[i * b->n_cells + c] - m;

			squares += isnan(d) ? 0 : d * d;
		}
		means->mean[b->first_cell + c] = m;
		means->std_error[b->first_cell + c] = n > 1 ? sqrt(squares / (n - 1) / n) : NAN;
	}
	return PB_OK;
}

/* ---- writing --------------------------------------------------------------------------- */

/* What a field of the schema is of a subset of the pairs, [n_cells]. */
static const void *values_of(const struct summary *s, int subset, enum pb_summary_field field)
{
	const struct pb_stats_cells *c = &s->stats[subset_of(s, subset)].cells;
	const struct restored *r = &s->restored[subset_of(s, subset)];
	const void *const values[PB_N_SUMMARY_FIELDS] = {
	    [PB_SUMMARY_EFFECT] = c->mean,
	    [PB_SUMMARY_STDERR] = c->std_error,
	    [PB_SUMMARY_CI_LOW] = c->ci_low,
	    [PB_SUMMARY_CI_HIGH] = c->ci_high,
	    [PB_SUMMARY_P_VALUE] = c->p_value,
	    [PB_SUMMARY_P_FWER] = c->p_fwer,
	    [PB_SUMMARY_Q_BH] = c->q_bh,
	    [PB_SUMMARY_N_PAIRS] = c->n,
	    [PB_SUMMARY_RESTORATION] = r->mean,
	    [PB_SUMMARY_RESTORATION_CI_LOW] = r->ci_low,
	    [PB_SUMMARY_RESTORATION_CI_HIGH] = r->ci_high,
	    [PB_SUMMARY_RESTORATION_N_PAIRS] = r->n,
	    [PB_SUMMARY_RESTORATION_OF_MEANS] = r->of_means,
	};

	return values[field];
}

static enum pb_status write_subset(const struct summary *s, hid_t group, int subset,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int f;

	for (f = 0; f < PB_N_SUMMARY_FIELDS; f++) {
		const struct pb_field *field = &pb_summary_fields[f];
		const void *values = values_of(s, subset, (enum pb_summary_field)f);

		PB_TRY((field->type == PB_TYPE_I32)
			   ? pb_field_write(s->shared->layout, group, field, &s->axes,
					    pb_subset_suffixes[subset], values, err)
			   : pb_field_write_masked(s->shared->layout, group, field, &s->axes,
						   pb_subset_suffixes[subset], values, err));
	}
cleanup:
	return status;
}

/* `<metric>_mean` and `<metric>_stderr` of every metric but the logits. */
static enum pb_status write_metric_means(struct summary *s, size_t sweep, hid_t group,
					 struct pb_error *err)
{
	enum pb_status status;
	struct means means = {.n_pairs = s->n_pairs};
	int m;

	PB_TRY(pb_alloc((void **)&means.mean, s->n_cells, sizeof(double), "summary", err));
	PB_TRY(pb_alloc((void **)&means.std_error, s->n_cells, sizeof(double), "summary", err));
	for (m = 0; m < PB_N_METRICS; m++) {
		const struct pb_metric_info *info = &pb_metric_infos[m];
		struct pb_field field = {.type = PB_TYPE_F64, .dims = {PB_DIM_CELL}};
		char name[64], text[160];

		if (m == PB_METRIC_LOGIT_DIFF || info->per_candidate ||
		    H5Lexists(s->group, info->name, H5P_DEFAULT) <= 0)
			continue;
		PB_TRY(pb_cells_walk(s->e, sweep, s->group, (enum pb_metric)m, mean_of_block,
				     &means, err));
		field.name = name;
		field.units = info->units;
		field.long_name = text;
		snprintf(name, sizeof name, "%s_mean", info->name);
		snprintf(text, sizeof text, "mean over pairs of: %s", info->long_name);
		PB_TRY(pb_field_write_masked(s->shared->layout, group, &field, &s->axes, "",
					     means.mean, err));
		snprintf(name, sizeof name, "%s_stderr", info->name);
		snprintf(text, sizeof text, "standard error of the mean of: %s", info->long_name);
		PB_TRY(pb_field_write_masked(s->shared->layout, group, &field, &s->axes, "",
					     means.std_error, err));
	}
cleanup:
	free(means.mean);
	free(means.std_error);
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
			small += !distractor && !pb_has_restoration(shared, shared->rows[subset][r],
								    s->sweep->min_gap);
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

/* What restorations are divided by, [n_pairs]; NaN where there is none. */
static enum pb_status gaps_new(double **gap, const struct pb_summary_shared *shared, double min_gap,
			       struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_TRY(pb_alloc((void **)gap, shared->e->pairs->n, sizeof **gap, "summary", err));
	for (i = 0; i < shared->e->pairs->n; i++)
		(*gap)[i] = pb_has_restoration(shared, i, min_gap) ? pb_pair_gap(shared, i) : NAN;
cleanup:
	return status;
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

static enum pb_status write_of_sets(const struct summary *s, size_t sweep, hid_t out,
				    const double *accuracy_change, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_set_sources *sources = &s->sweep->set_sources;
	const double *const effects[PB_N_SUBSETS] = {s->stats[0].cells.mean,
						     s->stats[subset_of(s, 1)].cells.mean};

	if (sources->all_pairs)
		PB_TRY(pb_interaction_write(s->shared, sweep, s->group, out, err));
	else
		PB_TRY(pb_circuit_write(s->shared, sweep, s->group, out, err));
	if (sources->random_count > 0)
		PB_TRY(pb_random_sets_write(s->shared, sweep, s->group, out, effects,
					    accuracy_change, err));
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
			    .n_pairs = e->pairs->n,
			    .n_cells = e->grids[sweep].n_cells,
			    .group = group};
	double *accuracy_change = NULL;
	hid_t out = -1;

	s.recipient = shared->logit_diff[s.sweep->direction == PB_DENOISE ? 1 : 0];
	PB_TRY(gaps_new(&s.gap, shared, s.sweep->min_gap, err));
	PB_TRY(summary_new(&s, err));
	PB_TRY(pb_cells_walk(e, sweep, group, PB_METRIC_LOGIT_DIFF, summarise, &s, err));
	PB_TRY(pb_stats_end(&s.stats[0], err));
	PB_TRY(pb_stats_end(&s.stats[1], err));
	PB_TRY(pb_h5_group_create(&out, group, "summary", err));
	PB_TRY(write_attributes(&s, out, err));
	PB_TRY(write_subset(&s, out, 0, err));
	PB_TRY(write_subset(&s, out, 1, err));
	PB_TRY(write_metric_means(&s, sweep, out, err));
	PB_TRY(pb_accuracy_write(shared, sweep, group, out, &accuracy_change, err));
	if (s.sweep->by_sets)
		PB_TRY(write_of_sets(&s, sweep, out, accuracy_change, err));
	status = pb_matched_write(shared, sweep, group, out, err);
cleanup:
	free(accuracy_change);
	free(s.gap);
	pb_h5_drop(out);
	summary_free(&s);
	return status;
}

/* ---- cell by cell ---------------------------------------------------------------------------- */

/* The summaries of all cells of a grid: each sees the cell's own pairs. */
struct by_cell {
	size_t n;
	struct pb_summary_shared *shared; /* views: rows and draws are their own */
	struct summary *summaries;
};

static void by_cell_free(struct by_cell *b)
{
	size_t c;
	int subset;

	for (c = 0; b->summaries != NULL && c < b->n; c++)
		summary_free(&b->summaries[c]);
	for (c = 0; b->shared != NULL && c < b->n; c++)
		for (subset = 0; subset < PB_N_SUBSETS; subset++) {
			free(b->shared[c].rows[subset]);
			pb_stats_plan_free(&b->shared[c].plan[subset]);
		}
	free(b->summaries);
	free(b->shared);
}

/* The view of one cell. */
static enum pb_status see_cell(struct pb_summary_shared *view, const struct pb_summary_shared *all,
			       const struct pb_cell *cell, struct pb_error *err)
{
	size_t n[PB_N_SUBSETS] = {0, 0}, i;
	enum pb_status status = PB_OK;
	int subset;

	*view = (struct pb_summary_shared){.e = all->e,
					   .layout = all->layout,
					   .logit_diff = {all->logit_diff[0], all->logit_diff[1]},
					   .facts = all->facts};
	for (subset = 0; subset < PB_N_SUBSETS; subset++)
		PB_TRY(pb_alloc((void **)&view->rows[subset], cell->n, sizeof(size_t), "summary",
				err));
	for (i = cell->first; i < cell->first + cell->n; i++) {
		if (all->facts->missing[i])
			continue;
		view->rows[0][n[0]++] = i;
		if (all->facts->right[i])
			view->rows[1][n[1]++] = i;
	}
	for (subset = 0; subset < PB_N_SUBSETS; subset++)
		PB_TRY(pb_stats_plan_new(&view->plan[subset], n[subset], all->e->seed, err));
cleanup:
	return status;
}

static enum pb_status by_cell_new(struct by_cell *b, const struct summary *whole,
				  struct pb_error *err)
{
	const struct pb_experiment *e = whole->e;
	enum pb_status status;
	size_t c;

	*b = (struct by_cell){.n = e->n_cells};
	PB_TRY(pb_alloc((void **)&b->shared, b->n, sizeof *b->shared, "summary", err));
	PB_TRY(pb_alloc((void **)&b->summaries, b->n, sizeof *b->summaries, "summary", err));
	for (c = 0; c < b->n; c++) {
		PB_TRY(see_cell(&b->shared[c], whole->shared, &e->cells[c], err));
		b->summaries[c] = *whole;
		b->summaries[c].shared = &b->shared[c];
		PB_TRY(summary_new(&b->summaries[c], err));
	}
cleanup:
	return status;
}

static enum pb_status summarise_cells(void *context, const struct pb_block *block,
				      struct pb_error *err)
{
	struct by_cell *b = context;
	enum pb_status status = PB_OK;
	size_t c;

	for (c = 0; c < b->n; c++)
		PB_TRY(summarise(&b->summaries[c], block, err));
cleanup:
	return status;
}

static enum pb_status write_cells(const struct by_cell *b, const struct pb_axes *axes, hid_t group,
				  struct pb_error *err)
{
	const size_t n_cells = b->summaries[0].n_cells;
	const struct pb_layout *layout = b->summaries[0].shared->layout;
	enum pb_status status = PB_OK;
	char *all = NULL;
	size_t n, c;
	int subset, f;

	if (!pb_size_mul(n_cells, b->n, &n))
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: summary");
	PB_TRY(pb_alloc((void **)&all, n, sizeof(double), "summary", err));
	for (subset = 0; subset < PB_N_SUBSETS; subset++)
		for (f = 0; f < PB_N_SUMMARY_FIELDS; f++) {
			const struct pb_field *field = &pb_summary_fields[f];
			const bool whole = field->type == PB_TYPE_I32;
			const size_t bytes = n_cells * (whole ? sizeof(int32_t) : sizeof(double));

			for (c = 0; c < b->n; c++)
				memcpy(
				    all + c * bytes,
				    values_of(&b->summaries[c], subset, (enum pb_summary_field)f),
				    bytes);
			PB_TRY(whole ? pb_field_write(layout, group, field, axes,
						      pb_subset_suffixes[subset], all, err)
				     : pb_field_write_masked(
					   layout, group, field, axes, pb_subset_suffixes[subset],
					   (const double *)(const void *)all, err));
		}
cleanup:
	free(all);
	return status;
}

enum pb_status pb_summary_cells_write(const struct pb_summary_shared *shared, size_t sweep,
				      hid_t group, struct pb_error *err)
{
	const struct pb_experiment *e = shared->e;
	struct summary whole = {
	    .shared = shared,
	    .e = e,
	    .sweep = &e->sweeps[sweep],
	    .grid = &e->grids[sweep],
	    .n_pairs = e->pairs->n,
	    .n_cells = e->grids[sweep].n_cells,
	    .group = group,
	    .recipient = shared->logit_diff[e->sweeps[sweep].direction == PB_DENOISE ? 1 : 0]};
	struct pb_axes axes = pb_cells_axes(e), inner = pb_summary_axes(e, sweep, group);
	struct by_cell b = {0};
	hid_t out = -1;
	enum pb_status status;
	size_t c;
	int i;

	if (e->cells == NULL)
		return PB_OK;
	for (i = 0; i < inner.n && axes.n < PB_H5_MAX_RANK; i++)
		axes.items[axes.n++] = inner.items[i];
	PB_TRY(gaps_new(&whole.gap, shared, whole.sweep->min_gap, err));
	PB_TRY(by_cell_new(&b, &whole, err));
	PB_TRY(pb_cells_walk(e, sweep, group, PB_METRIC_LOGIT_DIFF, summarise_cells, &b, err));
	for (c = 0; c < b.n; c++) {
		PB_TRY(pb_stats_end(&b.summaries[c].stats[0], err));
		PB_TRY(pb_stats_end(&b.summaries[c].stats[1], err));
	}
	PB_TRY(pb_h5_group_create(&out, group, "cells", err));
	status = write_cells(&b, &axes, out, err);
cleanup:
	free(whole.gap);
	pb_h5_drop(out);
	by_cell_free(&b);
	return status;
}
