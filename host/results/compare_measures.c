/* How the effect of a sweep is spread over a model. */
#include "results/compare_measures.h"

#include <math.h>
#include <stdlib.h>

#define TIE 1e-12 /* a sum that is short by rounding */

static int falling(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

/* The sizes of the cells that have an effect, the largest first; returns how many. */
static size_t sort_sizes(const double *effect, size_t n_cells, double *sizes)
{
	size_t n = 0, i;

	for (i = 0; i < n_cells; i++)
		if (isfinite(effect[i]))
			sizes[n++] = fabs(effect[i]);
	qsort(sizes, n, sizeof *sizes, falling);
	return n;
}

static double sum_of(const double *x, size_t n)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += x[i];
	return sum;
}

static double top_share(const double *sizes, size_t n, size_t k, double total)
{
	return sum_of(sizes, k < n ? k : n) / total;
}

/* The d-th largest of n, from 0, is the (n - d)-th in rising order. */
static double gini(const double *sizes, size_t n, double total)
{
	double sum = 0;
	size_t d;

	for (d = 0; d < n; d++)
		sum += ((double)n - 2.0 * (double)d - 1.0) * sizes[d];
	return sum / ((double)n * total);
}

static double cells_for(const double *sizes, size_t n, double share, double total)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n && !(sum >= share * total * (1 - TIE)); i++)
		sum += sizes[i];
	return (double)i;
}

/* ---- depth ------------------------------------------------------------------------------- */

double pb_relative_depth(size_t layer, size_t n_layers)
{
	return ((double)layer + 0.5) / (double)n_layers;
}

/* Share out a layer's part of the total over the bins. In steps of 1 / (n_layers n_bins) of depth
 * a layer covers n_bins of them and a bin n_layers, so that the overlaps are whole numbers. */
static void add_layer(double *profile, size_t n_bins, size_t layer, size_t n_layers, double share)
{
	const size_t low = layer * n_bins, high = low + n_bins;
	size_t b;

	for (b = low / n_layers; b < n_bins && b * n_layers < high; b++) {
		const size_t from = b * n_layers > low ? b * n_layers : low;
		const size_t to = (b + 1) * n_layers < high ? (b + 1) * n_layers : high;

		profile[b] += share * ((double)(to - from) / (double)n_bins);
	}
}

static double depths(const struct pb_cell_shape *shape, const double *effect, double total,
		     size_t n_bins, double *profile)
{
	double centre = 0;
	size_t l, h;

	for (l = 0; l < n_bins; l++)
		profile[l] = 0;
	for (l = 0; l < shape->n_layers; l++) {
		double layer = 0;

		for (h = 0; h < shape->n_across; h++) {
			const double x = effect[l * shape->n_across + h];

			layer += isfinite(x) ? fabs(x) : 0;
		}
		centre += pb_relative_depth(l, shape->n_layers) * layer;
		add_layer(profile, n_bins, l, shape->n_layers, layer / total);
	}
	return centre / total;
}

size_t pb_measure(const struct pb_cell_shape *shape, const double *effect, size_t n_bins,
		  double *sizes, double measures[PB_N_MEASURES], double *profile)
{
	const size_t n = sort_sizes(effect, shape->n_layers * shape->n_across, sizes);
	const double total = sum_of(sizes, n);
	size_t i;

	for (i = 0; i < PB_N_MEASURES; i++)
		measures[i] = NAN;
	for (i = 0; i < n_bins; i++)
		profile[i] = NAN;
	if (n > 0)
		measures[PB_MEASURE_TOTAL] = total;
	if (!(total > 0))
		return n;
	measures[PB_MEASURE_TOP_1] = top_share(sizes, n, 1, total);
	measures[PB_MEASURE_TOP_5] = top_share(sizes, n, 5, total);
	measures[PB_MEASURE_TOP_10] = top_share(sizes, n, 10, total);
	measures[PB_MEASURE_GINI] = gini(sizes, n, total);
	measures[PB_MEASURE_CELLS_50] = cells_for(sizes, n, 0.5, total);
	measures[PB_MEASURE_CELLS_80] = cells_for(sizes, n, 0.8, total);
	measures[PB_MEASURE_DEPTH_CENTRE] = depths(shape, effect, total, n_bins, profile);
	return n;
}
