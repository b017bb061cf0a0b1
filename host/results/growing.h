/* A dataset over pairs that is filled chunk by chunk, and its mask. Whether a mask is needed shows
 * only when a value is not applicable: it is made then. */
#ifndef PB_RESULTS_GROWING_H
#define PB_RESULTS_GROWING_H

#include "results/h5_packer.h"
#include "results/schema.h"

struct pb_growing {
	const struct pb_layout *layout;
	struct pb_field field; /* its texts are static */
	struct pb_axes axes;
	hid_t group; /* a reference of its own; -1: not open */
	hid_t data, mask;
	struct pb_h5_packer packer; /* of data */
};

/* Create the dataset; what was not opened may be closed and dropped. */
enum pb_status pb_growing_open(struct pb_growing *g, const struct pb_layout *layout, hid_t group,
			       const struct pb_field *field, const struct pb_axes *axes,
			       struct pb_error *err);
/* Write the rows of pairs [first, first + n), which come in order. mask: 1 where a value is not
 * applicable; NULL: all apply. */
enum pb_status pb_growing_add(struct pb_growing *g, size_t first, size_t n, const void *data,
			      const uint8_t *mask, struct pb_error *err);
/* Closing is when the last values reach the file: a full disk shows here. */
enum pb_status pb_growing_close(struct pb_growing *g, struct pb_error *err);
void pb_growing_drop(struct pb_growing *g);
bool pb_growing_is_open(const struct pb_growing *g);

#endif
