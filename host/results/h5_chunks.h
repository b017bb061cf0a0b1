/* Chunks of a dataset through its filters and back, outside HDF5, whose own filters use one
 * processor and look for repetitions everywhere. For datasets as they are written here: shuffle,
 * gzip, Fletcher32, in chunks of whole rows. Any HDF5 reads what is made here. */
#ifndef PB_RESULTS_H5_CHUNKS_H
#define PB_RESULTS_H5_CHUNKS_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pb_h5_chunks {
	size_t n_rows; /* of the dataset */
	size_t rows;   /* of a chunk */
	size_t row_bytes, element;
};

/* Bytes of a chunk: those that are written here have half of it at most. */
#define PB_H5_CHUNK_MOST ((size_t)1 << 20)
/* False for a dataset of other filters, of chunks that do not hold whole rows or are larger than
 * PB_H5_CHUNK_MOST, and for one that is not of numbers of `type`, that of the values in memory. */
bool pb_h5_chunks_of(hid_t dataset, hid_t type, struct pb_h5_chunks *out);

/* Rows of a chunk of a dataset of these dimensions; 0 where chunks do not hold whole rows. */
size_t pb_h5_chunk_rows(hid_t plist, int rank, const hsize_t *dims);

static inline size_t pb_h5_chunk_bytes(const struct pb_h5_chunks *c)
{
	return c->rows * c->row_bytes;
}

/* Bytes that a chunk can take at most when it has been through the filters. */
size_t pb_h5_packed_most(const struct pb_h5_chunks *c);

/* A chunk [rows, row_bytes] through the filters: *size bytes at `to`, which has room for
 * pb_h5_packed_most. `scratch` has room for a chunk. False when there is no memory. Any thread. */
bool pb_h5_pack(const struct pb_h5_chunks *c, const unsigned char *chunk, unsigned char *scratch,
		unsigned char *to, size_t *size);

/* And back: `size` bytes as they are in the file into a chunk at `to`. skipped: bit i set where
 * filter i was left out (H5Dread_chunk). False when they are not what the filters make. */
bool pb_h5_unpack(const struct pb_h5_chunks *c, uint32_t skipped, const unsigned char *packed,
		  size_t size, unsigned char *scratch, unsigned char *to);

/* Fletcher's checksum as HDF5's filter of that name has it: of 16-bit words, the high byte first,
 * with an odd last byte as a high one. */
uint32_t pb_fletcher32(const void *data, size_t size);

#endif
