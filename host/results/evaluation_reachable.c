/* The prompts of an evaluation again, by how many states can be reached in them (in powers of ten)
 * and, where that is an axis, by their steps: cells of another grid, with the same figures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/evaluation.h"

/* The power of ten below a number of states, from 0; -1 where it is not said. */
static int bin_of(double reachable)
{
	double bound = 10.0;
	int bin = 0;

	if (!(reachable >= 1.0)) /* NaN too */
		return -1;
	for (; bin < PB_REACHABLE_BINS - 1 && reachable >= bound; bin++)
		bound *= 10.0;
	return bin;
}

struct range {
	int first, n;
};

static struct range bins_of(const struct pb_eval_columns *c)
{
	int first = PB_REACHABLE_BINS, last = -1;
	size_t i;

	for (i = 0; i < c->n_cells * c->n_prompts; i++) {
		const int bin = bin_of(c->numbers[PB_EVAL_REACHABLE][i]);

		if (bin >= 0) {
			first = bin < first ? bin : first;
			last = bin > last ? bin : last;
		}
	}
	return (struct range){first, last < 0 ? 0 : last - first + 1};
}

/* Which new cell each prompt is of (SIZE_MAX: of none), and the most that one of them has. */
static enum pb_status sort_prompts(const struct pb_eval_columns *c, struct range bins,
				   size_t n_steps, size_t behind, size_t *cell_of, size_t *most,
				   struct pb_error *err)
{
	size_t *counts = NULL, i;
	enum pb_status status;

	*most = 0;
	PB_TRY(pb_alloc((void **)&counts, (size_t)bins.n * n_steps, sizeof *counts, "cells", err));
	for (i = 0; i < c->n_cells * c->n_prompts; i++) {
		const int bin = bin_of(c->numbers[PB_EVAL_REACHABLE][i]);
		const size_t step = i / c->n_prompts / behind % n_steps;

		cell_of[i] = SIZE_MAX;
		if (bin < 0)
			continue;
		cell_of[i] = (size_t)(bin - bins.first) * n_steps + step;
		if (++counts[cell_of[i]] > *most)
			*most = counts[cell_of[i]];
	}
cleanup:
	free(counts);
	return status;
}

static void move_prompts(struct pb_eval_columns *to, const struct pb_eval_columns *c,
			 const size_t *cell_of, size_t *filled)
{
	size_t i, at;
	int k;

	for (i = 0; i < c->n_cells * c->n_prompts; i++) {
		if (cell_of[i] == SIZE_MAX)
			continue;
		at = cell_of[i] * to->n_prompts + filled[cell_of[i]]++;
		for (k = 0; k < PB_N_EVAL_COLUMNS; k++)
			to->columns[k][at] = c->columns[k][i];
		for (k = 0; k < PB_N_EVAL_NUMBERS; k++)
			to->numbers[k][at] = c->numbers[k][i];
	}
}

enum pb_status pb_eval_by_reachable(struct pb_eval_reachable *out, const struct pb_eval_columns *c,
				    size_t n_axes, const size_t *sizes, int steps_axis,
				    struct pb_error *err)
{
	const struct range bins = bins_of(c);
	size_t behind = 1, most, *cell_of = NULL, *filled = NULL, a;
	struct pb_eval_columns sorted = {0};
	enum pb_status status;
	int b;

	*out = (struct pb_eval_reachable){.n_bins = (size_t)bins.n, .n_axes = 1, .sizes = {0, 1}};
	if (bins.n == 0)
		return PB_OK;
	out->sizes[0] = out->n_bins;
	for (b = 0; b < bins.n; b++)
		out->bins[b] = pow(10.0, bins.first + b);
	if (steps_axis >= 0) {
		out->sizes[out->n_axes++] = sizes[steps_axis];
		for (a = (size_t)steps_axis + 1; a < n_axes; a++)
			behind *= sizes[a];
	}
	PB_TRY(pb_alloc((void **)&cell_of, c->n_cells * c->n_prompts, sizeof *cell_of, "prompts",
			err));
	PB_TRY(sort_prompts(c, bins, out->sizes[1], behind, cell_of, &most, err));
	PB_TRY(pb_eval_columns_new(&sorted, out->n_bins * out->sizes[1], most, err));
	PB_TRY(pb_alloc((void **)&filled, sorted.n_cells, sizeof *filled, "cells", err));
	move_prompts(&sorted, c, cell_of, filled);
	status = pb_eval_figures_make(&out->figures, &sorted, out->n_axes, out->sizes, err);
cleanup:
	free(filled);
	free(cell_of);
	pb_eval_columns_free(&sorted);
	return status;
}

void pb_eval_reachable_free(struct pb_eval_reachable *r)
{
	pb_eval_figures_free(&r->figures);
	*r = (struct pb_eval_reachable){0};
}
