/* What the end of a run prints of a sweep: its figures, and their heat map. */
#ifndef PB_RESULTS_PRINT_H
#define PB_RESULTS_PRINT_H

#include "results/file_grid.h"

/* What is printed of one sweep; arrays of grid.n_cells. */
struct pb_figures {
	struct pb_file_grid grid;
	bool by_position, from_end, by_alpha;
	double *effect, *ci_low, *ci_high, *p_fwer, *restoration, *low, *high;
	bool has_restoration; /* else the map shows effects */
	double shift;         /* noise: restoration - 1 is shown */
	/* The map: rows are layers, columns heads (or one for all of the layer). No rows: no map.
	 */
	const struct pb_axis *layers, *heads; /* heads NULL: one column */
	size_t n_layers, n_heads;
	size_t *best; /* [n_layers * n_heads] the cell that stands for the head */
};

/* Read the summary over all pairs; freed by pb_figures_free whatever is returned. */
enum pb_status pb_figures_read(struct pb_figures *figures, const struct pb_result *result,
			       size_t sweep, struct pb_error *err);
void pb_figures_free(struct pb_figures *figures);
/* The axis of a kind; NULL without one. */
const struct pb_axis *pb_figures_axis(const struct pb_figures *figures, enum pb_axis_kind kind);
/* Where a cell is on the map. */
size_t pb_figures_place(const struct pb_figures *figures, size_t cell);

/* "+0.12 [-0.03, +0.20]", or a dash. */
void pb_print_interval(FILE *out, double value, double low, double high);
/* One cell in a line, its label in `width` columns. */
void pb_figures_print_cell(const struct pb_figures *figures, size_t cell, int width, FILE *out);
/* How wide the labels of `n` cells are; heads have a column of their own width. */
int pb_figures_label_width(const struct pb_figures *figures, const struct pb_ranked *cells,
			   size_t n);

/* Of a sweep by sets: all sets but the random ones, each with its accuracy, its faithfulness and
 * how it stands among random sets, as far as the file has them (print_sets.c). *done: false, and
 * nothing was printed, where there are none or too many. */
enum pb_status pb_figures_print_sets(const struct pb_figures *figures,
				     const struct pb_result *result, size_t sweep, bool *done,
				     FILE *out, struct pb_error *err);

/* Of matched pairs: the n_top cells in which state and action differ most; nothing where there are
 * none (print_matched.c). */
enum pb_status pb_figures_print_matched(const struct pb_figures *figures,
					const struct pb_result *result, size_t sweep, size_t n_top,
					FILE *out, struct pb_error *err);

/* Of a grid: the strongest cell of the sweep in each of its cells; nothing without a grid
 * (print_cells.c). */
enum pb_status pb_figures_print_cells(const struct pb_figures *figures,
				      const struct pb_result *result, size_t sweep, FILE *out,
				      struct pb_error *err);

void pb_figures_print_map(const struct pb_figures *figures, bool colour, FILE *out);

#endif
