/* Grids of cells in files: their scales, the group /cells, and whose each pair is. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"

static const struct pb_field available_field = {
    "available", PB_TYPE_FLAG, {PB_DIM_CELL}, NULL, "1 where the cell has prompts", false};
static const struct pb_field why_field = {
    "why", PB_TYPE_TEXT, {PB_DIM_CELL}, NULL, "why a cell is not available", false};
static const struct pb_field cell_field = {
    "cell",
    PB_TYPE_I32,
    {PB_DIM_PAIR},
    "1",
    "cell of the grid that the pair is of, in C order of the axes of /cells",
    false};

/* Of the pairs of a cell, without any intervention. */
enum figure { N_PAIRS, RIGHT, RIGHT_LOW, RIGHT_HIGH, CLEAN, CORRUPTED, BREAKS, N_FIGURES };
#define FIGURE(label, kind, unit, text)                                                            \
	{                                                                                          \
		label, kind, {PB_DIM_CELL}, unit, text, false                                      \
	}
static const struct pb_field figure_fields[N_FIGURES] = {
    [N_PAIRS] = FIGURE("n_pairs", PB_TYPE_I32, "1", "pairs of the cell"),
    [RIGHT] = FIGURE("right", PB_TYPE_F64, "1", "share of pairs that the model is right about"),
    [RIGHT_LOW] =
	FIGURE("right_ci_low", PB_TYPE_F64, "1", "lower end of its 95% interval (Wilson)"),
    [RIGHT_HIGH] =
	FIGURE("right_ci_high", PB_TYPE_F64, "1", "upper end of its 95% interval (Wilson)"),
    [CLEAN] = FIGURE("clean_logit_diff", PB_TYPE_F64, "logit",
		     "mean logit difference of the clean prompts"),
    [CORRUPTED] = FIGURE("corrupted_logit_diff", PB_TYPE_F64, "logit",
			 "mean logit difference of the corrupted prompts"),
    [BREAKS] = FIGURE("breaks_monotonicity", PB_TYPE_I32, "1",
		      "1 where the interval of right lies above that of the cell before along some "
		      "axis; 0 where the cell is not available"),
};

struct pb_axes pb_cells_axes(const struct pb_experiment *e)
{
	struct pb_axes axes = {.n = (int)e->n_axes};
	size_t a;

	for (a = 0; a < e->n_axes; a++)
		axes.items[a] = (struct pb_extent){
		    .dim = pb_dim_of_axis(e->axes[a].name), .size = e->axes[a].n, .group = -1};
	return axes;
}

enum pb_status pb_cells_scales_write(const struct pb_layout *layout, const struct pb_experiment *e,
				     struct pb_error *err)
{
	int32_t *whole = NULL;
	enum pb_status status = PB_OK;
	size_t a, i;

	for (a = 0; a < e->n_axes; a++) {
		const struct pb_cell_axis *axis = &e->axes[a];

		free(whole);
		whole = NULL;
		PB_TRY(pb_alloc((void **)&whole, axis->n, sizeof *whole, "axes", err));
		for (i = 0; i < axis->n && axis->whole; i++)
			whole[i] = (int32_t)axis->values[i];
		PB_TRY(pb_scale_write(layout->file, pb_dim_of_axis(axis->name), axis->n,
				      axis->whole ? whole : NULL, axis->whole ? NULL : axis->values,
				      err));
	}
cleanup:
	free(whole);
	return status;
}

enum pb_status pb_cells_given_write(const struct pb_layout *layout, const struct pb_experiment *e,
				    const struct pb_cell *cells, hid_t group, struct pb_error *err)
{
	const struct pb_axes axes = pb_cells_axes(e);
	uint8_t *available = NULL;
	const char **why = NULL;
	enum pb_status status;
	size_t c;

	PB_TRY(pb_alloc((void **)&available, e->n_cells, 1, "cells", err));
	PB_TRY(pb_alloc((void **)&why, e->n_cells, sizeof *why, "cells", err));
	for (c = 0; c < e->n_cells; c++) {
		available[c] = cells[c].why == NULL;
		why[c] = cells[c].why == NULL ? "" : cells[c].why;
	}
	PB_TRY(pb_field_write(layout, group, &available_field, &axes, "", available, err));
	PB_TRY(pb_field_write(layout, group, &why_field, &axes, "", (const void *)why, err));
cleanup:
	free(available);
	free(why);
	return status;
}

void pb_cells_breaks(const double *low, const double *high, size_t n_cells, size_t n_axes,
		     const size_t *sizes, int32_t *breaks)
{
	size_t cell, step = 1, a;

	for (a = n_axes; a-- > 0; step *= sizes[a])
		for (cell = 0; cell < n_cells; cell++)
			if (cell / step % sizes[a] > 0 && low[cell] > high[cell - step])
				breaks[cell] = 1;
}

/* ---- the pairs of a run ---------------------------------------------------------------------- */

/* Returns the number of pairs that the figures are of. */
static int32_t count_cell(const struct pb_cell *cell, const struct pb_pair_facts *facts,
			  const double *const logit_diff[2], double *const values[N_FIGURES],
			  size_t c)
{
	double sum[2] = {0, 0};
	size_t right = 0, n = 0, i;

	for (i = cell->first; i < cell->first + cell->n; i++) {
		if (facts->missing[i])
			continue;
		n++;
		right += facts->right[i];
		sum[0] += logit_diff[0][i];
		sum[1] += logit_diff[1][i];
	}
	if (n == 0)
		return 0;
	values[RIGHT][c] = (double)right / (double)n;
	pb_wilson((double)right, (double)n, &values[RIGHT_LOW][c], &values[RIGHT_HIGH][c]);
	values[CLEAN][c] = sum[0] / (double)n;
	values[CORRUPTED][c] = sum[1] / (double)n;
	return (int32_t)n;
}

static enum pb_status write_figures(const struct pb_layout *layout, const struct pb_experiment *e,
				    const struct pb_pair_facts *facts,
				    const double *const logit_diff[2], hid_t group,
				    struct pb_error *err)
{
	const struct pb_axes axes = pb_cells_axes(e);
	double *values[N_FIGURES] = {NULL};
	int32_t *counts = NULL, *breaks = NULL;
	size_t sizes[PB_CELL_AXES] = {0}, c, a;
	enum pb_status status = PB_OK;
	int f;

	PB_TRY(pb_alloc((void **)&counts, e->n_cells, sizeof *counts, "cells", err));
	PB_TRY(pb_alloc((void **)&breaks, e->n_cells, sizeof *breaks, "cells", err));
	for (f = RIGHT; f <= CORRUPTED; f++) {
		PB_TRY(pb_alloc((void **)&values[f], e->n_cells, sizeof(double), "cells", err));
		for (c = 0; c < e->n_cells; c++)
			values[f][c] = NAN;
	}
	for (c = 0; c < e->n_cells; c++)
		counts[c] = count_cell(&e->cells[c], facts, logit_diff, values, c);
	for (a = 0; a < e->n_axes; a++)
		sizes[a] = e->axes[a].n;
	pb_cells_breaks(values[RIGHT_LOW], values[RIGHT_HIGH], e->n_cells, e->n_axes, sizes,
			breaks);
	PB_TRY(pb_field_write(layout, group, &figure_fields[N_PAIRS], &axes, "", counts, err));
	for (f = RIGHT; f <= CORRUPTED; f++)
		PB_TRY(pb_field_write_masked(layout, group, &figure_fields[f], &axes, "", values[f],
					     err));
	PB_TRY(pb_field_write(layout, group, &figure_fields[BREAKS], &axes, "", breaks, err));
cleanup:
	for (f = 0; f < N_FIGURES; f++)
		free(values[f]);
	free(counts);
	free(breaks);
	return status;
}

enum pb_status pb_cells_group_write(const struct pb_layout *layout, const struct pb_experiment *e,
				    const struct pb_pair_facts *facts,
				    const double *const logit_diff[2], struct pb_error *err)
{
	hid_t group = -1, pairs = -1;
	int32_t *cell_of = NULL;
	enum pb_status status;
	size_t c, i;

	if (e->cells == NULL)
		return PB_OK;
	PB_TRY(pb_cells_scales_write(layout, e, err));
	PB_TRY(pb_h5_group_create(&group, layout->file, "cells", err));
	PB_TRY(pb_cells_given_write(layout, e, e->cells, group, err));
	PB_TRY(write_figures(layout, e, facts, logit_diff, group, err));
	PB_TRY(pb_h5_group_open(&pairs, layout->file, "pairs", err));
	PB_TRY(pb_alloc((void **)&cell_of, e->pairs->n, sizeof *cell_of, "pairs", err));
	for (c = 0; c < e->n_cells; c++)
		for (i = 0; i < e->cells[c].n; i++)
			cell_of[e->cells[c].first + i] = (int32_t)c;
	status = pb_field_write(layout, pairs, &cell_field, NULL, "", cell_of, err);
cleanup:
	free(cell_of);
	pb_h5_drop(pairs);
	pb_h5_drop(group);
	return status;
}
