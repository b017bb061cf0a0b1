/* How the effect of a sweep is spread over a model: figures that are comparable between models of
 * different size.
 *
 * A sweep's cells are its layers, or the heads of its layers. What is summed and shared out is the
 * size x_i of each cell, the |mean effect| over the pairs, of the n cells that have one:
 *
 *   total         X = x_1 + ... + x_n
 *   top k share   sum of the k largest x_i, divided by X; 1 where n < k
 *   Gini          sum_i (2 i - n - 1) x_(i) / (n X), x_(i) in rising order (Gini 1912, "Variabilita
 * e mutabilita"): 0 where all are equal, 1 - 1/n where one has all cells for q   the fewest cells
 * whose sizes sum to q X, for q of 50% and 80% (a sum that is short of it by rounding, 1e-12 of it,
 * reaches it) depth centre  sum_i depth_i x_i / X, where the relative depth of layer l of L is (l +
 * 0.5) / L depth share   the part of X in each of N equal bins of relative depth
 *
 * Layer l stands for the interval [l / L, (l + 1) / L] of relative depth, and (l + 0.5) / L is its
 * middle: bins of models with other numbers of layers then cover the same part of each, a layer
 * that lies in several bins is divided by its overlap, and one layer alone has a depth, which
 * l / (L - 1) would not give it. */
#ifndef PB_RESULTS_COMPARE_MEASURES_H
#define PB_RESULTS_COMPARE_MEASURES_H

#include <stddef.h>

enum pb_measure {
	PB_MEASURE_TOTAL,
	PB_MEASURE_TOP_1,
	PB_MEASURE_TOP_5,
	PB_MEASURE_TOP_10,
	PB_MEASURE_GINI,
	PB_MEASURE_CELLS_50,
	PB_MEASURE_CELLS_80,
	PB_MEASURE_DEPTH_CENTRE,
	PB_N_MEASURES
};

/* Cells are [n_layers, n_across] in C order. */
struct pb_cell_shape {
	size_t n_layers, n_across;
};

/* (layer + 0.5) / n_layers */
double pb_relative_depth(size_t layer, size_t n_layers);

/* effect: [n_layers, n_across] mean effects, NaN where a cell has none. profile: [n_bins] shares.
 * sizes: [n_layers * n_across] room to work in. Returns how many cells have an effect. Without any,
 * all is NaN; where all effects are 0, all but the total. */
size_t pb_measure(const struct pb_cell_shape *shape, const double *effect, size_t n_bins,
		  double *sizes, double measures[PB_N_MEASURES], double *profile);

#endif
