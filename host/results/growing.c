/* Datasets over pairs that are filled chunk by chunk. */
#include "results/growing.h"

#include <stdlib.h>

#include "patchbay/base.h"

#define ZERO_BYTES ((size_t)4 << 20) /* of a mask, written at a time */
/* Of a dataset, what may wait to be compressed by all processors: little beside it, so that many do
 * not add up, and enough for that from some 64 MB on. */
#define SHARE_WAITING 64
#define WAITING_MOST ((size_t)4 << 20)

bool pb_growing_is_open(const struct pb_growing *g)
{
	return g->layout != NULL;
}

enum pb_status pb_growing_open(struct pb_growing *g, const struct pb_layout *layout, hid_t group,
			       const struct pb_field *field, const struct pb_axes *axes,
			       struct pb_error *err)
{
	const hid_t type = pb_field_memory_type(field->type);
	enum pb_status status;
	size_t waiting;
	int i;

	*g = (struct pb_growing){
	    .layout = layout, .field = *field, .group = -1, .data = -1, .mask = -1};
	/* The group and those of the scales stay open until the mask can no longer be needed. */
	if (H5Iinc_ref(group) < 0)
		return pb_h5_fail(err, PB_ERR_INTERNAL, "cannot keep a group open");
	g->group = group;
	for (i = 0; axes != NULL && i < axes->n; i++) {
		if (axes->items[i].group >= 0 && H5Iinc_ref(axes->items[i].group) < 0)
			return pb_h5_fail(err, PB_ERR_INTERNAL, "cannot keep a group open");
		g->axes.items[g->axes.n++] = axes->items[i];
	}
	PB_TRY(pb_field_create(layout, group, field, &g->axes, false, &g->data, err));
	waiting = pb_field_count(layout, field, &g->axes) / SHARE_WAITING * H5Tget_size(type);
	waiting = waiting < WAITING_MOST ? waiting : WAITING_MOST;
	PB_TRY(pb_h5_packer_open(&g->packer, g->data, type, waiting, err));
cleanup:
	return status;
}

/* Create the mask, with 0 for the pairs before `first`. */
static enum pb_status open_mask(struct pb_growing *g, size_t first, struct pb_error *err)
{
	enum pb_status status;
	const size_t n_pairs = g->layout->sizes[PB_DIM_PAIR];
	const size_t row = pb_field_count(g->layout, &g->field, &g->axes) / n_pairs;
	size_t step = row < ZERO_BYTES ? ZERO_BYTES / row : 1, done;
	uint8_t *zeros = NULL;

	step = step < first ? step : first;
	PB_TRY(pb_field_create(g->layout, g->group, &g->field, &g->axes, true, &g->mask, err));
	PB_TRY(pb_alloc((void **)&zeros, step, row, "mask", err));
	for (done = 0; done < first; done += step) {
		const size_t n = first - done < step ? first - done : step;

		PB_TRY(pb_h5_write_rows(g->mask, g->field.name, H5T_NATIVE_UINT8, done, n, zeros,
					err));
	}
cleanup:
	free(zeros);
	return status;
}

static bool any_of(const uint8_t *mask, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (mask[i] != 0)
			return true;
	return false;
}

enum pb_status pb_growing_add(struct pb_growing *g, size_t first, size_t n, const void *data,
			      const uint8_t *mask, struct pb_error *err)
{
	enum pb_status status;
	const size_t row =
	    pb_field_count(g->layout, &g->field, &g->axes) / g->layout->sizes[PB_DIM_PAIR];
	uint8_t *none = NULL;

	PB_TRY(pb_h5_packer_add(&g->packer, g->field.name, first, n, data, err));
	if (g->mask < 0 && mask != NULL && any_of(mask, n * row))
		PB_TRY(open_mask(g, first, err));
	if (g->mask < 0)
		goto cleanup;
	if (mask == NULL) {
		PB_TRY(pb_alloc((void **)&none, n, row, "mask", err));
		mask = none;
	}
	status = pb_h5_write_rows(g->mask, g->field.name, H5T_NATIVE_UINT8, first, n, mask, err);
cleanup:
	free(none);
	return status;
}

enum pb_status pb_growing_close(struct pb_growing *g, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (!pb_growing_is_open(g))
		return PB_OK;
	if (g->data >= 0) {
		PB_TRY(pb_h5_packer_end(&g->packer, g->field.name, err));
		PB_TRY(pb_h5_dataset_close(&g->data, g->field.name, err));
	}
	if (g->mask >= 0)
		PB_TRY(pb_h5_dataset_close(&g->mask, g->field.name, err));
cleanup:
	pb_growing_drop(g);
	return status;
}

void pb_growing_drop(struct pb_growing *g)
{
	int i;

	if (!pb_growing_is_open(g))
		return;
	for (i = 0; i < g->axes.n; i++)
		pb_h5_drop(g->axes.items[i].group);
	pb_h5_packer_drop(&g->packer);
	pb_h5_drop(g->data);
	pb_h5_drop(g->mask);
	pb_h5_drop(g->group);
	*g = (struct pb_growing){.group = -1, .data = -1, .mask = -1};
}
