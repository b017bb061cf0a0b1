/* Rows of a large dataset, compressed by all processors: HDF5's own filters use one, and gzip is
 * slower than a disk. */
#ifndef PB_RESULTS_H5_PACKER_H
#define PB_RESULTS_H5_PACKER_H

#include <hdf5.h>

#include "patchbay/base.h"
#include "results/h5_chunks.h"

struct pb_h5_packer {
	hid_t dataset;   /* not owned */
	hid_t type;      /* of the rows in memory */
	size_t rows;     /* of a chunk; 0: the dataset is not for it, HDF5 writes its rows */
	size_t n_chunks; /* that the buffer holds */
	struct pb_h5_chunks chunks;
	size_t first, n;       /* rows in the buffer; the first one begins a chunk */
	unsigned char *buffer; /* [n_chunks * rows, row_bytes] */
};

/* `room`: bytes that the buffer may take; with less than two chunks, and for a dataset of other
 * filters or of chunks that do not hold whole rows, p->rows is 0. */
enum pb_status pb_h5_packer_open(struct pb_h5_packer *p, hid_t dataset, hid_t type, size_t room,
				 struct pb_error *err);
/* Rows [first, first + n) of the memory type, which follow those before. */
enum pb_status pb_h5_packer_add(struct pb_h5_packer *p, const char *path, size_t first, size_t n,
				const void *data, struct pb_error *err);
/* What is left in the buffer goes to the file. */
enum pb_status pb_h5_packer_end(struct pb_h5_packer *p, const char *path, struct pb_error *err);
void pb_h5_packer_drop(struct pb_h5_packer *p);

/* All rows of a dataset at once, by this thread alone: for what is written while others compute. */
enum pb_status pb_h5_write_packed(hid_t dataset, const char *path, hid_t type, const void *data,
				  struct pb_error *err);

#endif
