/* Sets as circuits: faithfulness where everything else is changed, what remains where the sets
 * are (Wang et al. 2022, Marks et al. 2024). */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/cells.h"

struct circuit {
	const struct pb_summary_shared *shared;
	double min_gap;
	const double *recipient; /* logit differences, [n_pairs] */
	size_t n_pairs, n_cells;
	/* Cells are (steps before the set, set, steps behind it). */
	size_t n_sets, behind, empty;
	size_t n_empty;       /* cells of the empty set */
	double *empty_values; /* [n_pairs, n_empty]; NULL: what remains is asked for */
	double *ratio[PB_N_SUBSETS][PB_N_CIRCUIT_FIELDS]; /* [n_cells] */
};

/* Which of the empty set's cells has the steps of this one, but for the set. */
static size_t empty_cell(const struct circuit *k, size_t cell)
{
	return cell / (k->behind * k->n_sets) * k->behind + cell % k->behind;
}

static enum pb_status take_empty(void *context, const struct pb_block *b, struct pb_error *err)
{
	struct circuit *k = context;
	size_t c, i;

	(void)err;
	for (c = 0; c < b->n_cells; c++) {
		const size_t cell = b->first_cell + c;

		if (cell / k->behind % k->n_sets != k->empty)
			continue;
		for (i = 0; i < k->n_pairs; i++)
			k->empty_values[i * k->n_empty + empty_cell(k, cell)] =
			    b->values[i * b->n_cells + c];
	}
	return PB_OK;
}

/* Both parts of the ratio of one pair: from what nothing of the model does, or from 0. */
static void put_parts(const struct circuit *k, const struct pb_block *b, size_t row, size_t pair,
		      double *above, double *below)
{
	size_t c;

	for (c = 0; c < b->n_cells; c++) {
		const double from =
		    k->empty_values != NULL
			? k->empty_values[pair * k->n_empty + empty_cell(k, b->first_cell + c)]
			: 0;

		above[row * b->n_cells + c] = b->values[pair * b->n_cells + c] - from;
		below[row * b->n_cells + c] = k->recipient[pair] - from;
	}
}

static enum pb_status take_ratios(void *context, const struct pb_block *b, struct pb_error *err)
{
	struct circuit *k = context;
	enum pb_status status;
	double *above = NULL, *below = NULL;
	size_t r;
	int s;

	/* The block's own size did not overflow. */
	PB_TRY(pb_alloc((void **)&above, k->n_pairs * b->n_cells, sizeof *above, "circuits", err));
	PB_TRY(pb_alloc((void **)&below, k->n_pairs * b->n_cells, sizeof *below, "circuits", err));
	for (s = 0; s < PB_N_SUBSETS; s++) {
		const struct pb_stats_plan *plan = &k->shared->plan[s];
		double *const *ratio = k->ratio[s];

		for (r = 0; r < plan->n; r++)
			put_parts(k, b, r, k->shared->rows[s][r], above, below);
		PB_TRY(pb_stats_ratio(plan, b->n_cells, above, below, k->min_gap,
				      ratio[PB_CIRCUIT_RATIO] + b->first_cell,
				      ratio[PB_CIRCUIT_CI_LOW] + b->first_cell,
				      ratio[PB_CIRCUIT_CI_HIGH] + b->first_cell, err));
	}
cleanup:
	free(above);
	free(below);
	return status;
}

static enum pb_status circuit_new(struct circuit *k, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int s, f;

	for (s = 0; s < PB_N_SUBSETS; s++)
		for (f = 0; f < PB_N_CIRCUIT_FIELDS; f++)
			PB_TRY(pb_alloc((void **)&k->ratio[s][f], k->n_cells, sizeof(double),
					"circuits", err));
cleanup:
	return status;
}

static void circuit_free(struct circuit *k)
{
	int s, f;

	for (s = 0; s < PB_N_SUBSETS; s++)
		for (f = 0; f < PB_N_CIRCUIT_FIELDS; f++)
			free(k->ratio[s][f]);
	free(k->empty_values);
}

/* The first empty set; n_sets without one. */
static size_t find_empty(const struct pb_sweep *s)
{
	size_t i = 0;

	while (i < s->n_sets && s->sets[i].n > 0)
		i++;
	return i;
}

/* Where sets lie among the cells. */
static void lay_out(struct circuit *k, const struct pb_grid *grid)
{
	const size_t axis = (size_t)pb_grid_axis(grid, PB_AXIS_SET);
	size_t i;

	k->n_sets = grid->axes[axis].n;
	k->n_cells = grid->n_cells;
	k->behind = 1;
	for (i = axis + 1; i < grid->n_axes; i++)
		k->behind *= grid->axes[i].n;
	k->n_empty = k->n_cells / k->n_sets;
}

enum pb_status pb_circuit_write(const struct pb_summary_shared *shared, size_t sweep, hid_t group,
				hid_t out, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = shared->e;
	const struct pb_sweep *sw = &e->sweeps[sweep];
	const struct pb_axes axes = pb_summary_axes(e, sweep, group);
	const struct pb_field *fields =
	    sw->complement ? pb_faithfulness_fields : pb_remaining_fields;
	struct circuit k = {.shared = shared,
			    .min_gap = sw->min_gap,
			    .recipient = shared->logit_diff[sw->direction == PB_DENOISE ? 1 : 0],
			    .n_pairs = e->pairs->n,
			    .empty = find_empty(sw)};
	int s, f;

	/* Nothing to measure from; and a corrupted run does not do what could remain. */
	if (sw->complement ? k.empty == sw->n_sets : sw->direction == PB_DENOISE)
		return PB_OK;
	lay_out(&k, &e->grids[sweep]);
	PB_TRY(circuit_new(&k, err));
	if (sw->complement) {
		PB_TRY(pb_alloc((void **)&k.empty_values, k.n_empty, k.n_pairs * sizeof(double),
				"circuits", err));
		PB_TRY(pb_cells_walk(e, sweep, group, PB_METRIC_LOGIT_DIFF, take_empty, &k, err));
	}
	PB_TRY(pb_cells_walk(e, sweep, group, PB_METRIC_LOGIT_DIFF, take_ratios, &k, err));
	for (s = 0; s < PB_N_SUBSETS; s++)
		for (f = 0; f < PB_N_CIRCUIT_FIELDS; f++)
			PB_TRY(pb_field_write_masked(shared->layout, out, &fields[f], &axes,
						     pb_subset_suffixes[s], k.ratio[s][f], err));
cleanup:
	circuit_free(&k);
	return status;
}
