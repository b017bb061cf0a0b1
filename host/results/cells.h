/* Reading the raw values of a sweep back, some cells at a time, with positions counted from the
 * start or from the end. */
#ifndef PB_RESULTS_CELLS_H
#define PB_RESULTS_CELLS_H

#include "patchbay/results.h"
#include "results/h5.h"

/* A box of cells: `n` steps of each axis from `first` on. */
struct pb_box {
	size_t first[PB_GRID_AXES], n[PB_GRID_AXES];
};

/* How a grid is cut into boxes of consecutive cells. */
struct pb_split {
	size_t axis; /* `steps` of it at a time, those before one by one, those behind whole */
	size_t steps;
	size_t n_cells; /* of a full box */
};
/* Boxes of at most n_most cells, if one cell fits into that. */
struct pb_split pb_split_of(const struct pb_grid *grid, size_t n_most);
/* The box that begins at a cell (where the one before it ended); returns its number of cells. */
size_t pb_split_box(const struct pb_split *split, const struct pb_grid *grid, size_t cell,
		    struct pb_box *box);

/* The values of a dataset (pair, axes of the grid) in a box, of pairs [first, first + n), into out
 * [n, cells of the box]. from_end: step k of T of an axis of positions stands for k - T, counted
 * from the end of each pair's prompt; NaN where that is before its start. */
enum pb_status pb_cells_read(const struct pb_experiment *e, const struct pb_grid *grid,
			     const struct pb_box *box, bool from_end, hid_t dataset,
			     const char *name, size_t first, size_t n, double *out,
			     struct pb_error *err);

/* Consecutive cells of a sweep, all pairs at a time: pairs down, cells across. */
struct pb_block {
	size_t first_cell, n_cells;
	double *values; /* [n_pairs, n_cells], positions as in the summary; NaN: not applicable */
};
typedef enum pb_status (*pb_cells_visitor)(void *context, const struct pb_block *block,
					   struct pb_error *err);
/* Every block of a metric of the sweep whose open group this is, in order: the raw values need not
 * be in memory at once. */
enum pb_status pb_cells_walk(const struct pb_experiment *e, size_t sweep, hid_t group,
			     enum pb_metric metric, pb_cells_visitor visit, void *context,
			     struct pb_error *err);

#endif
