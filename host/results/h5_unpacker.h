/* Datasets unpacked outside HDF5: by all processors, or by another thread. For those that
 * h5_chunks.h knows; HDF5 reads all others. */
#ifndef PB_RESULTS_H5_UNPACKER_H
#define PB_RESULTS_H5_UNPACKER_H

#include "results/h5_chunks.h"

/* Rows [first, first + n) as `type` into data. False when this is not for them: fewer than two
 * chunks, little data, other filters or types, a chunk that is not there or is damaged, no memory.
 * HDF5 then reads them, or says what is wrong; what is in data is of no use. */
bool pb_h5_unpack_rows(hid_t dataset, hid_t type, size_t first, size_t n, void *data);

/* Consecutive chunks as they are in the file. */
struct pb_h5_packed {
	struct pb_h5_chunks chunks;
	size_t n, first_row;  /* of them; the row that the first one begins with */
	size_t *size;         /* [n] bytes of each */
	uint32_t *skipped;    /* [n] its filters that were left out */
	unsigned char *bytes; /* [n, pb_h5_packed_most] */
};

/* All chunks of a dataset of `count` elements of `type`, by path. False as above, but for the size
 * of the dataset; *out then needs no freeing. */
bool pb_h5_packed_read(struct pb_h5_packed *out, hid_t parent, const char *path, hid_t type,
		       size_t count);
/* The dataset's elements into data; by this thread alone, and any thread. False: damaged, or no
 * memory. */
bool pb_h5_packed_unpack(const struct pb_h5_packed *packed, void *data);
void pb_h5_packed_free(struct pb_h5_packed *packed);

#endif
