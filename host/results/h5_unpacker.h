/* Rows of a dataset, unpacked by all processors: HDF5's own filters use one. */
#ifndef PB_RESULTS_H5_UNPACKER_H
#define PB_RESULTS_H5_UNPACKER_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>

/* Rows [first, first + n) as `type` into data. False when this is not for them: fewer than two
 * chunks, little data, other filters or types (h5_chunks.h), a chunk that is not there or is
 * damaged, no memory. HDF5 then reads them, or says what is wrong; what is in data is of no use. */
bool pb_h5_unpack_rows(hid_t dataset, hid_t type, size_t first, size_t n, void *data);

#endif
