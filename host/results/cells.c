/* Boxes of a sweep's raw values. */
#include "results/cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/cells_file.h"
#include "results/layout.h"
#include "results/stats.h"

#define BLOCK_BYTES ((size_t)16 << 20) /* of one array of a block, where one cell allows it */

struct pb_split pb_split_of(const struct pb_grid *grid, size_t n_most)
{
	struct pb_split split = {.axis = 0, .steps = 1, .n_cells = 1};
	size_t axis = grid->n_axes;

	/* Whole axes from the last one on, as long as they fit. */
	while (axis > 0 && split.n_cells * grid->axes[axis - 1].n <= n_most)
		split.n_cells *= grid->axes[--axis].n;
	if (axis == 0) {
		split.steps = grid->n_axes > 0 ? grid->axes[0].n : 1;
		return split;
	}
	split.axis = axis - 1;
	split.steps = n_most / split.n_cells > 0 ? n_most / split.n_cells : 1;
	split.n_cells *= split.steps;
	return split;
}

size_t pb_split_box(const struct pb_split *split, const struct pb_grid *grid, size_t cell,
		    struct pb_box *box)
{
	size_t cells = 1, i;

	pb_grid_steps(grid, cell, box->first);
	for (i = 0; i < grid->n_axes; i++) {
		const size_t left = grid->axes[i].n - box->first[i];

		box->n[i] = i < split->axis ? 1 : left;
		if (i == split->axis && split->steps < left)
			box->n[i] = split->steps;
		cells *= box->n[i];
	}
	return cells;
}

/* ---- reading ----------------------------------------------------------------------------- */

static enum pb_status read_box(hid_t dataset, const char *name, const struct pb_grid *grid,
			       const struct pb_box *box, size_t first, size_t n, double *out,
			       struct pb_error *err)
{
	size_t start[PB_GRID_AXES + 1] = {first}, count[PB_GRID_AXES + 1] = {n};

	memcpy(start + 1, box->first, grid->n_axes * sizeof *start);
	memcpy(count + 1, box->n, grid->n_axes * sizeof *count);
	return pb_h5_read_box(dataset, name, H5T_NATIVE_DOUBLE, start, count, (int)grid->n_axes + 1,
			      out, err);
}

/* The part of a box that a prompt `missing` tokens shorter than the longest one has: where it lies
 * in the dataset (*from) and in the box (*to). False when it has nothing. */
static bool clip(const struct pb_grid *grid, const struct pb_box *box, size_t missing,
		 struct pb_box *from, struct pb_box *to)
{
	size_t i;

	for (i = 0; i < grid->n_axes; i++) {
		const size_t shift = pb_axis_is_position(grid->axes[i].kind) ? missing : 0;
		const size_t low = box->first[i] > shift ? box->first[i] : shift;
		const size_t high = box->first[i] + box->n[i];

		if (low >= high)
			return false;
		from->first[i] = low - shift;
		to->first[i] = low - box->first[i];
		from->n[i] = to->n[i] = high - low;
	}
	return true;
}

/* Copy values [n of each axis] to their place `to` in an array that `box` has the shape of. */
static void scatter(const struct pb_grid *grid, const struct pb_box *box, const struct pb_box *to,
		    const double *values, double *out)
{
	size_t step[PB_GRID_AXES] = {0}, run = 1, i, at;
	const size_t last = grid->n_axes > 0 ? grid->n_axes - 1 : 0;

	if (grid->n_axes > 0)
		run = to->n[last];
	for (;;) {
		for (i = 0, at = 0; i < grid->n_axes; i++)
			at = at * box->n[i] + to->first[i] + step[i];
		memcpy(out + at, values, run * sizeof *out);
		values += run;
		for (i = last; i > 0 && ++step[i - 1] == to->n[i - 1]; i--)
			step[i - 1] = 0;
		if (i == 0)
			return;
	}
}

static bool has_positions(const struct pb_grid *grid)
{
	size_t i;

	for (i = 0; i < grid->n_axes; i++)
		if (pb_axis_is_position(grid->axes[i].kind))
			return true;
	return false;
}

enum pb_status pb_cells_read(const struct pb_experiment *e, const struct pb_grid *grid,
			     const struct pb_box *box, bool from_end, hid_t dataset,
			     const char *name, size_t first, size_t n, double *out,
			     struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t n_cells = 1, i, c;
	struct pb_box from, to;
	double *values = NULL;

	for (i = 0; i < grid->n_axes; i++)
		n_cells *= box->n[i];
	if (!from_end || !has_positions(grid))
		return read_box(dataset, name, grid, box, first, n, out, err);
	PB_TRY(pb_alloc((void **)&values, n_cells, sizeof *values, name, err));
	for (i = first; i < first + n; i++, out += n_cells) {
		const size_t missing = e->pairs->max_length - e->pairs->items[i].length;

		for (c = 0; c < n_cells; c++)
			out[c] = NAN;
		if (!clip(grid, box, missing, &from, &to))
			continue;
		PB_TRY(read_box(dataset, name, grid, &from, i, 1, values, err));
		scatter(grid, box, &to, values, out);
	}
cleanup:
	free(values);
	return status;
}

/* ---- walking ----------------------------------------------------------------------------- */

enum pb_status pb_cells_walk(const struct pb_experiment *e, size_t sweep, hid_t group,
			     enum pb_metric metric, pb_cells_visitor visit, void *context,
			     struct pb_error *err)
{
	enum pb_status status;
	const struct pb_grid *grid = &e->grids[sweep];
	const char *name = pb_metric_infos[metric].name;
	const size_t n_pairs = e->pairs->n;
	const size_t column = n_pairs * sizeof(double);
	const size_t most = BLOCK_BYTES / (column > 0 ? column : 1);
	const bool from_end = has_positions(grid) && !pb_pairs_equal_length(e->pairs);
	const bool turn = !from_end && grid->n_cells > most;
	const struct pb_split split = pb_split_of(grid, most);
	const size_t width = !turn                   ? split.n_cells
			     : most < PB_STATS_LANES ? PB_STATS_LANES
						     : most / PB_STATS_LANES * PB_STATS_LANES;
	struct pb_cells_file file = {.fd = -1};
	struct pb_block b = {0};
	size_t n;
	struct pb_box box;
	hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);

	if (dataset < 0) {
		status = pb_h5_fail(err, PB_ERR_INTERNAL, "missing dataset: %s", name);
		goto cleanup;
	}
	if (!pb_size_mul(n_pairs, width, &n)) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: summary");
		goto cleanup;
	}
	PB_TRY(pb_alloc((void **)&b.values, n, sizeof(double), "summary", err));
	if (turn)
		PB_TRY(pb_cells_file_make(&file, e->output, dataset, name, n_pairs, grid->n_cells,
					  width, err));
	for (; b.first_cell < grid->n_cells; b.first_cell += b.n_cells) {
		if (turn) {
			b.n_cells = grid->n_cells - b.first_cell;
			b.n_cells = b.n_cells < width ? b.n_cells : width;
			PB_TRY(pb_cells_file_read(&file, b.first_cell, b.values, err));
		} else {
			b.n_cells = pb_split_box(&split, grid, b.first_cell, &box);
			PB_TRY(pb_cells_read(e, grid, &box, from_end, dataset, name, 0, n_pairs,
					     b.values, err));
		}
		PB_TRY(visit(context, &b, err));
	}
cleanup:
	pb_cells_file_close(&file);
	free(b.values);
	pb_h5_drop(dataset);
	return status;
}
