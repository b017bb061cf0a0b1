/* Interactions of pairs of heads: the effect of both together, without those of each alone. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/cells.h"

#define NONE SIZE_MAX

static const struct pb_field fields[] = {
    {"interaction",
     PB_TYPE_F64,
     {PB_DIM_CELL},
     "logit",
     "mean over pairs of the effect of both heads minus the effects of each alone",
     false},
    {"interaction_stderr",
     PB_TYPE_F64,
     {PB_DIM_CELL},
     "logit",
     "standard error of the mean interaction",
     false},
};

/* For every set the sets of its two members alone; NONE for those that are not two heads. */
struct parts {
	size_t (*of)[2]; /* [n_sets] */
};

static enum pb_status parts_new(struct parts *p, const struct pb_experiment *e,
				const struct pb_sweep *s, struct pb_error *err)
{
	enum pb_status status;
	const size_t n_heads = e->arch.n_heads;
	size_t *alone = NULL, i, k;

	PB_TRY(pb_alloc((void **)&p->of, s->n_sets, sizeof *p->of, "interactions", err));
	PB_TRY(pb_alloc((void **)&alone, e->arch.n_layers * n_heads, sizeof *alone, "interactions",
			err));
	for (i = 0; i < e->arch.n_layers * n_heads; i++)
		alone[i] = NONE;
	for (i = 0; i < s->n_sets; i++) {
		const struct pb_member *m = s->sets[i].members;

		if (s->sets[i].n == 1 && m->head >= 0 &&
		    alone[(size_t)m->layer * n_heads + (size_t)m->head] == NONE)
			alone[(size_t)m->layer * n_heads + (size_t)m->head] = i;
	}
	for (i = 0; i < s->n_sets; i++) {
		const struct pb_member *m = s->sets[i].members;
		const bool two = s->sets[i].n == 2 && m[0].head >= 0 && m[1].head >= 0;

		for (k = 0; k < 2; k++)
			p->of[i][k] =
			    two ? alone[(size_t)m[k].layer * n_heads + (size_t)m[k].head] : NONE;
		if (p->of[i][0] == NONE || p->of[i][1] == NONE)
			p->of[i][0] = p->of[i][1] = NONE;
	}
cleanup:
	free(alone);
	return status;
}

/* Running mean and sum of squares (Welford) of every cell. */
struct moments {
	double *n, *mean, *squares;
};

static enum pb_status moments_new(struct moments *m, size_t n_cells, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&m->n, n_cells, sizeof(double), "interactions", err));
	PB_TRY(pb_alloc((void **)&m->mean, n_cells, sizeof(double), "interactions", err));
	PB_TRY(pb_alloc((void **)&m->squares, n_cells, sizeof(double), "interactions", err));
cleanup:
	return status;
}

static void moments_free(struct moments *m)
{
	free(m->n);
	free(m->mean);
	free(m->squares);
}

static void moments_add(struct moments *m, size_t cell, double x)
{
	double off;

	if (isnan(x))
		return;
	off = x - m->mean[cell];
	m->n[cell] += 1;
	m->mean[cell] += off / m->n[cell];
	m->squares[cell] += off * (x - m->mean[cell]);
}

/* From sums to the figures that are written: mean stays, squares become the standard error. */
static void moments_end(struct moments *m, size_t n_cells)
{
	size_t c;

	for (c = 0; c < n_cells; c++) {
		const double n = m->n[c];

		m->squares[c] = n > 1 ? sqrt(m->squares[c] / (n - 1) / n) : NAN;
		m->mean[c] = n > 0 ? m->mean[c] : NAN;
	}
}

/* Cells are (steps before the set, set, steps behind it). */
static void add_pair(struct moments *m, const struct pb_grid *grid, const struct parts *parts,
		     const double *values, double recipient)
{
	const size_t axis = (size_t)pb_grid_axis(grid, PB_AXIS_SET);
	const size_t n_sets = grid->axes[axis].n;
	size_t behind = 1, i, c;

	for (i = axis + 1; i < grid->n_axes; i++)
		behind *= grid->axes[i].n;
	for (c = 0; c < grid->n_cells; c++) {
		const size_t set = c / behind % n_sets;
		const size_t *of = parts->of[set];

		/* (both - r) - (a - r) - (b - r), unsigned differences wrapping around */
		if (of[0] != NONE)
			moments_add(m, c,
				    values[c] - values[c + (of[0] - set) * behind] -
					values[c + (of[1] - set) * behind] + recipient);
	}
}

static enum pb_status write_subset(const struct pb_summary_shared *shared, size_t sweep,
				   hid_t group, hid_t out, struct moments *m, int subset,
				   struct pb_error *err)
{
	enum pb_status status;
	const struct pb_axes axes = pb_summary_axes(shared->e, sweep, group);

	moments_end(m, shared->e->grids[sweep].n_cells);
	PB_TRY(pb_field_write_masked(shared->layout, out, &fields[0], &axes,
				     pb_subset_suffixes[subset], m->mean, err));
	PB_TRY(pb_field_write_masked(shared->layout, out, &fields[1], &axes,
				     pb_subset_suffixes[subset], m->squares, err));
cleanup:
	return status;
}

enum pb_status pb_interaction_write(const struct pb_summary_shared *shared, size_t sweep,
				    hid_t group, hid_t out, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = shared->e;
	const struct pb_grid *grid = &e->grids[sweep];
	const double *recipient =
	    shared->logit_diff[e->sweeps[sweep].direction == PB_DENOISE ? 1 : 0];
	const char *name = pb_metric_infos[PB_METRIC_LOGIT_DIFF].name;
	const struct pb_split whole = pb_split_of(grid, grid->n_cells);
	struct moments m[PB_N_SUBSETS] = {{0}};
	struct parts parts = {0};
	struct pb_box box;
	double *values = NULL;
	hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
	size_t i;
	int s;

	if (dataset < 0) {
		status = pb_h5_fail(err, PB_ERR_INTERNAL, "missing dataset: %s", name);
		goto cleanup;
	}
	PB_TRY(parts_new(&parts, e, &e->sweeps[sweep], err));
	PB_TRY(pb_alloc((void **)&values, grid->n_cells, sizeof *values, "interactions", err));
	for (s = 0; s < PB_N_SUBSETS; s++)
		PB_TRY(moments_new(&m[s], grid->n_cells, err));
	(void)pb_split_box(&whole, grid, 0, &box);
	for (i = 0; i < e->pairs->n; i++) {
		PB_TRY(pb_cells_read(e, grid, &box, !pb_pairs_equal_length(e->pairs), dataset, name,
				     i, 1, values, err));
		add_pair(&m[0], grid, &parts, values, recipient[i]);
		if (shared->facts->right[i])
			add_pair(&m[1], grid, &parts, values, recipient[i]);
	}
	for (s = 0; s < PB_N_SUBSETS; s++)
		PB_TRY(write_subset(shared, sweep, group, out, &m[s], s, err));
cleanup:
	for (s = 0; s < PB_N_SUBSETS; s++)
		moments_free(&m[s]);
	free(parts.of);
	free(values);
	pb_h5_drop(dataset);
	return status;
}
