/* Every object of a result file in a fixed order, and SHA-256 of datasets and attributes. */
#ifndef PB_RESULTS_DIGEST_H
#define PB_RESULTS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/base.h"
#include "results/h5.h"

struct pb_object {
	char *path; /* "/pairs/length" */
	bool is_dataset;
};
struct pb_objects {
	struct pb_object *items;
	size_t n, capacity;
};
/* All groups and datasets below the root, each once: depth first, in alphabetical order. The hard
 * links by which groups name the dimension scales of groups above them are left out. */
enum pb_status pb_objects_list(struct pb_objects *out, hid_t file, struct pb_error *err);
void pb_objects_free(struct pb_objects *objects);

/* SHA-256 of a dataset's values: little-endian, C order; each text in UTF-8, ended by a zero
 * byte. */
enum pb_status pb_digest_dataset(hid_t file, const char *path, char hex[PB_SHA256_HEX],
				 struct pb_error *err);
/* SHA-256 of the text, integer and float attributes of the root and of all objects, without the
 * attribute `attributes_sha256` itself. */
enum pb_status pb_digest_attributes(hid_t file, const struct pb_objects *objects,
				    char hex[PB_SHA256_HEX], struct pb_error *err);

/* Walk the values of a dataset in blocks of rows, as `visit` sees them: n elements of shape->type,
 * or char pointers for text. */
typedef enum pb_status (*pb_block_visitor)(void *context, const struct pb_h5_shape *shape,
					   size_t first_row, size_t n_rows, const void *values,
					   struct pb_error *err);
enum pb_status pb_dataset_walk(hid_t file, const char *path, pb_block_visitor visit, void *context,
			       struct pb_error *err);

#endif
