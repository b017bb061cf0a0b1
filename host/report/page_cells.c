/* The cells of a sweep that the page has, and columns of theirs. */
#include <math.h>
#include <stdlib.h>

#include "report/page_pack.h"

#define EXACT_MOST 8000 /* cells of a sweep whose columns are float64 */
#define FEW 400         /* strongest cells, of a sweep that does not fit */

static size_t columns_size(size_t n_cells, bool big)
{
	return big ? PB_N_PAGE_NEEDED * pb_packed_size(n_cells, sizeof(float))
		   : (size_t)2 * PB_N_SHOWN * pb_packed_size(n_cells, sizeof(double));
}

/* The strongest cells, by number. */
static enum pb_status few_cells(struct pb_page_cells *cells, const struct pb_shown_sweep *w,
				struct pb_error *err)
{
	enum pb_status status;
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	struct pb_ranked *order = NULL;
	size_t i;

	cells->n = w->grid.n_cells < FEW ? w->grid.n_cells : FEW;
	cells->big = false;
	PB_TRY(pb_alloc((void **)&order, w->grid.n_cells, sizeof *order, "cells", err));
	PB_TRY(pb_alloc((void **)&cells->index, FEW, sizeof *cells->index, "cells", err));
	for (i = 0; i < w->grid.n_cells; i++)
		order[i] = (struct pb_ranked){isfinite(effect[i]) ? fabs(effect[i]) : -1, i};
	pb_rank(order, w->grid.n_cells);
	for (i = 0; i < cells->n; i++)
		cells->index[i] = (int32_t)order[i].cell;
cleanup:
	free(order);
	return status;
}

enum pb_status pb_page_cells_choose(struct pb_page_cells *cells, const struct pb_shown_sweep *w,
				    size_t room, struct pb_error *err)
{
	*cells = (struct pb_page_cells){.n = w->grid.n_cells, .big = w->grid.n_cells > EXACT_MOST};
	if (columns_size(cells->n, cells->big) <= room)
		return PB_OK;
	return few_cells(cells, w, err);
}

void pb_page_cells_free(struct pb_page_cells *cells)
{
	free(cells->index);
	*cells = (struct pb_page_cells){0};
}

json_t *pb_pack_cells(struct pb_packer *p, const double *values, const struct pb_page_cells *cells)
{
	double *picked = calloc(cells->n > 0 ? cells->n : 1, sizeof *picked);
	json_t *packed = NULL;
	size_t i;

	for (i = 0; picked != NULL && i < cells->n; i++)
		picked[i] = values[cells->index != NULL ? (size_t)cells->index[i] : i];
	if (picked != NULL)
		packed = cells->big ? pb_pack_floats(p, picked, cells->n)
				    : pb_pack_doubles(p, picked, cells->n);
	free(picked);
	return packed;
}
