/* The cells of a sweep's summary, as a result file holds them. */
#ifndef PB_RESULTS_FILE_GRID_H
#define PB_RESULTS_FILE_GRID_H

#include "results/result_file.h"

struct pb_file_grid {
	/* The axes but those that count from the end, which come last and are `ends` (sizes). */
	struct pb_grid grid;
	size_t n_ends, ends[2];
	size_t n_cells; /* of the grid and the ends */
	/* What labels need: intervention, site, receiver; of sets names, sources and sizes, no
	 * members. */
	struct pb_sweep sweep;
	struct pb_arena arena;
};
/* PB_ERR_CHECK when the file is not what is written. */
enum pb_status pb_file_grid_read(struct pb_file_grid *grid, const struct pb_result *result,
				 size_t sweep, struct pb_error *err);
void pb_file_grid_free(struct pb_file_grid *grid);

/* As pb_grid_label, with positions from the end where they are: "L3H5 at -1". */
void pb_file_grid_label(const struct pb_file_grid *grid, size_t cell, char *text, size_t size);
/* What an axis stands for at a cell; -1 without such an axis (or one from the end). */
int32_t pb_file_grid_value(const struct pb_file_grid *grid, size_t cell, enum pb_axis_kind kind);
/* The same for every kind: alpha's own number, positions from the end as -1, -2 ..; NaN without
 * such an axis. */
void pb_file_grid_axes(const struct pb_file_grid *grid, size_t cell, double axes[PB_N_AXIS_KINDS]);
/* Whether the cells have positions, from either side. */
bool pb_file_grid_has_positions(const struct pb_file_grid *grid);

/* A column of the summary, [n_cells] float64 ("n_pairs" too): a fresh array. */
enum pb_status pb_file_grid_column(const struct pb_file_grid *grid, const struct pb_result *result,
				   size_t sweep, const char *name, const char *suffix,
				   double **values, struct pb_error *err);

/* The same where the file has it: *values is NULL otherwise. */
enum pb_status pb_file_grid_column_if(const struct pb_file_grid *grid,
				      const struct pb_result *result, size_t sweep,
				      const char *name, double **values, struct pb_error *err);

struct pb_ranked {
	double size; /* |effect|; -1 where there is none */
	size_t cell;
};
/* The largest first; equal ones in the order of their cells. */
void pb_rank(struct pb_ranked *cells, size_t n);

#endif
