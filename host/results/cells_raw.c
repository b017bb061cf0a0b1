/* The raw values of a sweep by cell of the grid, (axes, pair_in_cell, layer, head, ...): views of
 * the sweep's own datasets, which have the pairs of all cells one behind another. */
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/parts.h"

#define BLOCK_BYTES ((size_t)4 << 20) /* of a mask, moved at a time */

/* What the views of a sweep share. */
struct raw {
	const struct pb_layout *layout;
	const struct pb_experiment *e;
	hid_t group, out;    /* of the sweep; its group `cells` */
	struct pb_axes axes; /* of the grid, pairs of a cell, of the sweep */
	struct pb_field_view view;
	const char *name; /* of the sweep's group */
};

static size_t pairs_in_cell(const struct pb_experiment *e)
{
	size_t most = 0, c;

	for (c = 0; c < e->n_cells; c++)
		most = e->cells[c].n > most ? e->cells[c].n : most;
	return most;
}

enum pb_status pb_cells_pairs_scale_write(const struct pb_layout *layout,
					  const struct pb_experiment *e, struct pb_error *err)
{
	return pb_scale_write(layout->file, PB_DIM_PAIR_IN_CELL, pairs_in_cell(e), NULL, NULL, err);
}

/* ---- masks ------------------------------------------------------------------------------- */

/* The mask of one cell: that of its pairs (source -1: all apply), or 1 where there is none. */
static enum pb_status write_mask_cell(const struct raw *r, size_t cell, size_t row, hid_t source,
				      const char *name, hid_t mask, const size_t *dims, int rank,
				      struct pb_error *err)
{
	const size_t n = dims[r->view.n_leading], have = r->e->cells[cell].n;
	const size_t step = row < BLOCK_BYTES ? BLOCK_BYTES / row : 1;
	size_t start[PB_H5_MAX_RANK] = {0}, count[PB_H5_MAX_RANK], done, rest = cell;
	enum pb_status status;
	uint8_t *values = NULL;
	int i;

	for (i = rank - 1; i >= 0; i--)
		count[i] = i < r->view.n_leading ? 1 : dims[i];
	for (i = r->view.n_leading - 1; i >= 0; i--) {
		start[i] = rest % dims[i];
		rest /= dims[i];
	}
	PB_TRY(pb_alloc((void **)&values, step < n ? step : n, row, "mask", err));
	for (done = 0; done < n; done += count[r->view.n_leading]) {
		const bool there = done < have;
		size_t most = (there ? have : n) - done;

		most = most < step ? most : step;
		start[r->view.n_leading] = done;
		count[r->view.n_leading] = most;
		if (there && source >= 0)
			PB_TRY(pb_h5_read_rows(source, name, H5T_NATIVE_UINT8,
					       r->e->cells[cell].first + done, most, values, err));
		else
			memset(values, there ? 0 : 1, most * row);
		PB_TRY(
		    pb_h5_write_box(mask, name, H5T_NATIVE_UINT8, start, count, rank, values, err));
	}
cleanup:
	free(values);
	return status;
}

/* <name>_mask, where some value is not applicable. */
static enum pb_status write_mask(const struct raw *r, const struct pb_field *field,
				 struct pb_error *err)
{
	const size_t most = pairs_in_cell(r->e);
	char *name = pb_format("%s_mask", field->name);
	struct pb_h5_shape shape;
	hid_t source = -1, mask = -1;
	bool needed = false;
	enum pb_status status;
	size_t c, row = 1;
	int i;

	if (name == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: mask");
	for (c = 0; c < r->e->n_cells; c++)
		needed = needed || r->e->cells[c].n < most;
	if (pb_h5_exists(r->group, name))
		source = H5Dopen2(r->group, name, H5P_DEFAULT);
	if (source < 0 && !needed) {
		status = PB_OK;
		goto cleanup;
	}
	PB_TRY(pb_field_create(r->layout, r->out, field, &r->axes, true, &mask, err));
	PB_TRY(pb_h5_shape(mask, name, &shape, err));
	for (i = r->view.n_leading + 1; i < shape.rank; i++)
		row *= shape.dims[i];
	for (c = 0; c < r->e->n_cells; c++)
		PB_TRY(write_mask_cell(r, c, row, source, name, mask, shape.dims, shape.rank, err));
	status = pb_h5_dataset_close(&mask, name, err);
cleanup:
	pb_h5_drop(mask);
	pb_h5_drop(source);
	free(name);
	return status;
}

/* ---- values ------------------------------------------------------------------------------ */

static enum pb_status parts_new(struct pb_field_view *view, const struct pb_experiment *e,
				struct pb_error *err)
{
	enum pb_status status;
	size_t c;

	PB_TRY(pb_alloc((void **)&view->parts, e->n_cells, sizeof *view->parts, "cells", err));
	for (c = 0; c < e->n_cells; c++)
		if (e->cells[c].n > 0)
			view->parts[view->n_parts++] = (struct pb_view_part){
			    .box = c, .first = e->cells[c].first, .n = e->cells[c].n};
cleanup:
	return status;
}

static enum pb_status write_metric(struct raw *r, enum pb_metric metric, struct pb_error *err)
{
	struct pb_field field = pb_metric_field(metric);
	char *source = pb_format("/sweeps/%s/%s", r->name, field.name);
	enum pb_status status;

	if (source == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	r->view.source = source;
	field.dims[0] = PB_DIM_CELL; /* the pair is among the axes */
	field.dims[1] = field.dims[2];
	field.dims[2] = PB_DIM_NONE;
	PB_TRY(pb_field_create_view(r->layout, r->out, &field, &r->axes, &r->view, err));
	status = write_mask(r, &field, err);
cleanup:
	free(source);
	return status;
}

enum pb_status pb_cells_raw_write(const struct pb_layout *layout, const struct pb_experiment *e,
				  size_t sweep, hid_t group, struct pb_error *err)
{
	const struct pb_axes inner = pb_sweep_axes(e, sweep, group);
	struct raw r = {.layout = layout, .e = e, .group = group, .out = -1};
	char *name = NULL;
	enum pb_status status;
	int i, m;

	if (e->cells == NULL)
		return PB_OK;
	r.axes = pb_cells_axes(e);
	r.view.n_leading = r.axes.n;
	r.view.n_rows = e->pairs->n;
	r.axes.items[r.axes.n++] =
	    (struct pb_extent){.dim = PB_DIM_PAIR_IN_CELL, .size = pairs_in_cell(e), .group = -1};
	for (i = 0; i < inner.n; i++)
		r.axes.items[r.axes.n++] = inner.items[i];
	r.name = name = pb_sweep_group_name(e, sweep);
	if (name == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a sweep");
	PB_TRY(parts_new(&r.view, e, err));
	PB_TRY(pb_h5_group_open(&r.out, group, "cells", err));
	for (m = 0; m < PB_N_METRICS; m++)
		if (pb_experiment_has(e, (enum pb_metric)m))
			PB_TRY(write_metric(&r, (enum pb_metric)m, err));
cleanup:
	pb_h5_drop(r.out);
	free(r.view.parts);
	free(name);
	return status;
}
