/* State against action: of matched pairs, the difference between what a cell restores of a
 * corrupted state and what it restores of a corrupted action, group by group. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/cells.h"

struct matched {
	const struct pb_summary_shared *shared;
	double min_gap;
	size_t n_cells;
	struct pb_stats stats[PB_N_SUBSETS];                /* of the differences */
	double *state[PB_N_SUBSETS], *action[PB_N_SUBSETS]; /* [n_cells] means */
};

static double restoration(const struct matched *m, const struct pb_block *b, size_t pair, size_t c)
{
	if (!pb_has_restoration(m->shared, pair, m->min_gap))
		return NAN;
	return (b->values[pair * b->n_cells + c] - m->shared->logit_diff[1][pair]) /
	       pb_pair_gap(m->shared, pair);
}

/* Means over the groups that have both restorations, and their differences [groups, cells]. */
static void take_differences(struct matched *m, const struct pb_block *b, int subset,
			     double *differences)
{
	const struct pb_summary_shared *shared = m->shared;
	const size_t *rows = shared->group_rows[subset];
	const size_t n_rows = shared->group_plan[subset].n;
	size_t c, r;

	for (c = 0; c < b->n_cells; c++) {
		double state = 0, action = 0, n = 0;

		for (r = 0; r < n_rows; r++) {
			const struct pb_group *g = &shared->groups.items[rows[r]];
			const double x = restoration(m, b, g->state, c);
			const double y = restoration(m, b, g->action, c);

			differences[r * b->n_cells + c] = x - y;
			if (isnan(x - y))
				continue;
			state += x;
			action += y;
			n += 1;
		}
		m->state[subset][b->first_cell + c] = n > 0 ? state / n : NAN;
		m->action[subset][b->first_cell + c] = n > 0 ? action / n : NAN;
	}
}

static enum pb_status summarise(void *context, const struct pb_block *b, struct pb_error *err)
{
	struct matched *m = context;
	struct pb_stats_values v = {.n_cells = b->n_cells};
	double *differences = NULL;
	enum pb_status status;
	int s;

	PB_TRY(pb_alloc((void **)&differences, m->shared->groups.n, b->n_cells * sizeof(double),
			"matched pairs", err));
	v.values = differences;
	for (s = 0; s < PB_N_SUBSETS; s++) {
		take_differences(m, b, s, differences);
		PB_TRY(pb_stats_add(&m->stats[s], b->first_cell, &v, err));
	}
cleanup:
	free(differences);
	return status;
}

static enum pb_status matched_new(struct matched *m, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int s;

	for (s = 0; s < PB_N_SUBSETS; s++) {
		PB_TRY(pb_stats_begin(&m->stats[s], &m->shared->group_plan[s], m->n_cells, err));
		PB_TRY(pb_alloc((void **)&m->state[s], m->n_cells, sizeof(double), "matched pairs",
				err));
		PB_TRY(pb_alloc((void **)&m->action[s], m->n_cells, sizeof(double), "matched pairs",
				err));
	}
cleanup:
	return status;
}

static void matched_free(struct matched *m)
{
	int s;

	for (s = 0; s < PB_N_SUBSETS; s++) {
		pb_stats_free(&m->stats[s]);
		free(m->state[s]);
		free(m->action[s]);
	}
}

/* ---- writing --------------------------------------------------------------------------- */

/* Groups of a subset in which either pair has no restoration, in any cell. */
static int64_t count_undefined(const struct matched *m, int subset)
{
	const struct pb_summary_shared *shared = m->shared;
	int64_t n = 0;
	size_t r;

	for (r = 0; r < shared->group_plan[subset].n; r++) {
		const struct pb_group *g = &shared->groups.items[shared->group_rows[subset][r]];

		n += !pb_has_restoration(shared, g->state, m->min_gap) ||
		     !pb_has_restoration(shared, g->action, m->min_gap);
	}
	return n;
}

static enum pb_status write_attributes(const struct matched *m, hid_t out, struct pb_error *err)
{
	enum pb_status status;
	char name[64];
	int s;

	PB_TRY(
	    pb_h5_put_int(out, "n_pairs_unmatched", (int64_t)m->shared->groups.n_unmatched, err));
	for (s = 0; s < PB_N_SUBSETS; s++) {
		const struct pb_stats_plan *plan = &m->shared->group_plan[s];

#define PUT(put, label, value)                                                                     \
	do {                                                                                       \
		snprintf(name, sizeof name, label "%s", pb_subset_suffixes[s]);                    \
		PB_TRY(put(out, name, value, err));                                                \
	} while (0)
		PUT(pb_h5_put_int, "n_groups_total", (int64_t)plan->n);
		PUT(pb_h5_put_int, "n_groups_without_restoration", count_undefined(m, s));
		PUT(pb_h5_put_int, "n_flips", (int64_t)plan->n_flips);
		PUT(pb_h5_put_double, "smallest_p", plan->smallest_p);
#undef PUT
	}
cleanup:
	return status;
}

static enum pb_status write_subset(const struct matched *m, const struct pb_axes *axes, hid_t out,
				   int subset, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_stats_cells *c = &m->stats[subset].cells;
	const struct {
		enum pb_matched_field field;
		const double *values;
	} reals[] = {{PB_MATCHED_STATE, m->state[subset]},
		     {PB_MATCHED_ACTION, m->action[subset]},
		     {PB_MATCHED_DIFFERENCE, c->mean},
		     {PB_MATCHED_STDERR, c->std_error},
		     {PB_MATCHED_CI_LOW, c->ci_low},
		     {PB_MATCHED_CI_HIGH, c->ci_high},
		     {PB_MATCHED_P_VALUE, c->p_value},
		     {PB_MATCHED_P_FWER, c->p_fwer},
		     {PB_MATCHED_Q_BH, c->q_bh}};
	size_t i;

	for (i = 0; i < sizeof reals / sizeof *reals; i++)
		PB_TRY(pb_field_write_masked(m->shared->layout, out,
					     &pb_matched_fields[reals[i].field], axes,
					     pb_subset_suffixes[subset], reals[i].values, err));
	PB_TRY(pb_field_write(m->shared->layout, out, &pb_matched_fields[PB_MATCHED_N_GROUPS], axes,
			      pb_subset_suffixes[subset], c->n, err));
cleanup:
	return status;
}

enum pb_status pb_matched_write(const struct pb_summary_shared *shared, size_t sweep, hid_t group,
				hid_t summary, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = shared->e;
	const struct pb_axes axes = pb_summary_axes(e, sweep, group);
	struct matched m = {.shared = shared,
			    .min_gap = e->sweeps[sweep].min_gap,
			    .n_cells = e->grids[sweep].n_cells};
	hid_t out = -1;
	int s;

	if (shared->groups.n == 0)
		return PB_OK;
	PB_TRY(matched_new(&m, err));
	PB_TRY(pb_cells_walk(e, sweep, group, PB_METRIC_LOGIT_DIFF, summarise, &m, err));
	PB_TRY(pb_h5_group_create(&out, summary, "matched", err));
	PB_TRY(write_attributes(&m, out, err));
	for (s = 0; s < PB_N_SUBSETS; s++) {
		PB_TRY(pb_stats_end(&m.stats[s], err));
		PB_TRY(write_subset(&m, &axes, out, s, err));
	}
cleanup:
	pb_h5_drop(out);
	matched_free(&m);
	return status;
}
