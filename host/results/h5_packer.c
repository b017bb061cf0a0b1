/* Chunks through the filters of a dataset, several at a time. */
#include "results/h5_packer.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "results/h5.h"

#define CHUNKS_MOST ((size_t)16)
#define CHECKSUM_BYTES 4

/* ---- opening --------------------------------------------------------------------------------- */

/* Whether chunks are of whole rows, and how many; the size of a row in elements. */
static bool chunk_rows(hid_t dataset, hid_t plist, size_t *rows, size_t *row)
{
	hsize_t dims[PB_H5_MAX_RANK], chunk[PB_H5_MAX_RANK];
	hid_t space = H5Dget_space(dataset);
	const int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
	bool whole = rank > 0 && rank <= PB_H5_MAX_RANK && H5Pget_layout(plist) == H5D_CHUNKED &&
		     H5Sget_simple_extent_dims(space, dims, NULL) == rank &&
		     H5Pget_chunk(plist, rank, chunk) == rank;

	*row = 1;
	for (int i = 1; whole && i < rank; i++) {
		whole = chunk[i] == dims[i];
		*row *= (size_t)dims[i];
	}
	*rows = whole ? (size_t)chunk[0] : 0;
	pb_h5_drop(space);
	return whole;
}

/* Whether the filters are shuffle, gzip and Fletcher32, in this order. */
static bool known_filters(hid_t plist, int *level)
{
	static const H5Z_filter_t wanted[] = {H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE,
					      H5Z_FILTER_FLETCHER32};
	const int n = (int)(sizeof wanted / sizeof *wanted);

	if (H5Pget_nfilters(plist) != n)
		return false;
	for (int i = 0; i < n; i++) {
		unsigned flags, values[8] = {0}, config;
		size_t n_values = sizeof values / sizeof *values;

		if (H5Pget_filter2(plist, (unsigned)i, &flags, &n_values, values, 0, NULL,
				   &config) != wanted[i])
			return false;
		if (wanted[i] == H5Z_FILTER_DEFLATE)
			*level = (int)values[0];
	}
	return true;
}

enum pb_status pb_h5_packer_open(struct pb_h5_packer *p, hid_t dataset, hid_t type, size_t room,
				 struct pb_error *err)
{
	hid_t plist = H5Dget_create_plist(dataset), stored = H5Dget_type(dataset);
	size_t rows = 0, row = 0, chunk;
	enum pb_status status = PB_OK;

	*p = (struct pb_h5_packer){.dataset = dataset, .type = type};
	if (plist < 0 || stored < 0) {
		status = pb_h5_fail(err, PB_ERR_INTERNAL, "cannot look at a dataset");
		goto cleanup;
	}
	if (H5Tequal(type, stored) <= 0 || !known_filters(plist, &p->level) ||
	    !chunk_rows(dataset, plist, &rows, &row))
		goto cleanup;
	p->element = H5Tget_size(type);
	p->row_bytes = row * p->element;
	chunk = rows * p->row_bytes;
	p->n_chunks = chunk > 0 ? room / chunk : 0;
	p->n_chunks = p->n_chunks < CHUNKS_MOST ? p->n_chunks : CHUNKS_MOST;
	if (p->n_chunks < 2)
		goto cleanup;
	PB_TRY(pb_alloc((void **)&p->buffer, p->n_chunks, chunk, "chunks", err));
	p->rows = rows;
cleanup:
	pb_h5_drop(plist);
	pb_h5_drop(stored);
	return status;
}

void pb_h5_packer_drop(struct pb_h5_packer *p)
{
	free(p->buffer);
	*p = (struct pb_h5_packer){.dataset = -1};
}

/* ---- filters --------------------------------------------------------------------------------- */

/* First bytes of all elements, then all second ones, and so on. */
static void shuffle(const unsigned char *from, size_t n, size_t element, unsigned char *to)
{
	for (size_t b = 0; b < element; b++)
		for (size_t i = 0; i < n; i++)
			*to++ = from[i * element + b];
}

uint32_t pb_fletcher32(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint32_t sum = 0, sums = 0;
	size_t left = size / 2;

	/* sums of 360 words fit 32 bits */
	while (left > 0) {
		size_t n = left < 360 ? left : 360;

		left -= n;
		for (; n > 0; n--, bytes += 2) {
			sum += (uint32_t)bytes[0] << 8 | bytes[1];
			sums += sum;
		}
		sum = (sum & 0xffff) + (sum >> 16);
		sums = (sums & 0xffff) + (sums >> 16);
	}
	if (size % 2 != 0) {
		sum += (uint32_t)bytes[0] << 8;
		sums += sum;
		sum = (sum & 0xffff) + (sum >> 16);
		sums = (sums & 0xffff) + (sums >> 16);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sums = (sums & 0xffff) + (sums >> 16);
	return sums << 16 | sum;
}

/* gzip that looks for runs of one byte alone. Shuffled numbers have little else that repeats: it is
 * more than twice as fast as a search for any repetition, and 0.3 to 8% larger for logit
 * differences. */
static bool pack(const unsigned char *from, size_t bytes, int level, unsigned char *to,
		 size_t *packed)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)from,
		      .avail_in = (uInt)bytes,
		      .avail_out = (uInt)*packed};
	bool done;

	z.next_out = to;
	if (deflateInit2(&z, level, Z_DEFLATED, MAX_WBITS, MAX_MEM_LEVEL - 1, Z_RLE) != Z_OK)
		return false;
	done = deflate(&z, Z_FINISH) == Z_STREAM_END;
	*packed = z.total_out;
	return deflateEnd(&z) == Z_OK && done;
}

/* A chunk through the filters: *size bytes at `to`. `shuffled` has room for the chunk. */
static bool filter(const struct pb_h5_packer *p, const unsigned char *chunk,
		   unsigned char *shuffled, unsigned char *to, size_t *size)
{
	const size_t bytes = p->rows * p->row_bytes;
	size_t packed = compressBound((uLong)bytes);
	uint32_t sum;

	shuffle(chunk, bytes / p->element, p->element, shuffled);
	if (!pack(shuffled, bytes, p->level, to, &packed))
		return false;
	sum = pb_fletcher32(to, packed);
	for (size_t b = 0; b < CHECKSUM_BYTES; b++)
		to[packed + b] = (unsigned char)(sum >> (8 * b));
	*size = packed + CHECKSUM_BYTES;
	return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The first n chunks of the buffer, filtered side by side and written in their order. */
static enum pb_status write_chunks(const struct pb_h5_packer *p, const char *path, size_t n,
				   struct pb_error *err)
{
	const size_t chunk = p->rows * p->row_bytes;
	const size_t most = (size_t)compressBound((uLong)chunk) + CHECKSUM_BYTES;
	unsigned char *room = NULL;
	size_t size[CHUNKS_MOST] = {0};
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&room, n, chunk + most, "chunks", err));
#pragma omp parallel for schedule(dynamic)
	for (size_t i = 0; i < n; i++) {
		unsigned char *mine = room + i * (chunk + most);

		if (!filter(p, p->buffer + i * chunk, mine, mine + chunk, &size[i]))
			size[i] = 0;
	}
	for (size_t i = 0; i < n; i++) {
		hsize_t offset[PB_H5_MAX_RANK] = {p->first + i * p->rows};

		if (size[i] == 0) {
			status = pb_fail(err, PB_ERR_MEMORY, "no memory to compress: %s", path);
			goto cleanup;
		}
		if (H5Dwrite_chunk(p->dataset, H5P_DEFAULT, 0, offset, size[i],
				   room + i * (chunk + most) + chunk) < 0) {
			status = pb_h5_fail(err, PB_ERR_IO, "cannot write dataset: %s", path);
			goto cleanup;
		}
	}
cleanup:
	free(room);
	return status;
}

/* The whole chunks in the buffer; what is behind them moves to its beginning. */
static enum pb_status flush(struct pb_h5_packer *p, const char *path, struct pb_error *err)
{
	const size_t n = p->n / p->rows, rows = n * p->rows;
	enum pb_status status = PB_OK;

	if (n == 0)
		return PB_OK;
	PB_TRY(write_chunks(p, path, n, err));
	memmove(p->buffer, p->buffer + rows * p->row_bytes, (p->n - rows) * p->row_bytes);
	p->first += rows;
	p->n -= rows;
cleanup:
	return status;
}

enum pb_status pb_h5_packer_end(struct pb_h5_packer *p, const char *path, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (p->rows == 0)
		return PB_OK;
	PB_TRY(flush(p, path, err));
	if (p->n > 0)
		PB_TRY(pb_h5_write_rows(p->dataset, path, p->type, p->first, p->n, p->buffer, err));
	p->first += p->n;
	p->n = 0;
cleanup:
	return status;
}

enum pb_status pb_h5_packer_add(struct pb_h5_packer *p, const char *path, size_t first, size_t n,
				const void *data, struct pb_error *err)
{
	const unsigned char *from = data;
	enum pb_status status = PB_OK;

	if (p->rows > 0 && first != p->first + p->n) {
		/* rows are left out: HDF5 has their chunks, and what follows */
		PB_TRY(pb_h5_packer_end(p, path, err));
		p->rows = 0;
	}
	if (p->rows == 0)
		return pb_h5_write_rows(p->dataset, path, p->type, first, n, data, err);
	while (n > 0) {
		const size_t room = p->n_chunks * p->rows - p->n, take = n < room ? n : room;

		memcpy(p->buffer + p->n * p->row_bytes, from, take * p->row_bytes);
		p->n += take;
		n -= take;
		from += take * p->row_bytes;
		if (p->n == p->n_chunks * p->rows)
			PB_TRY(flush(p, path, err));
	}
cleanup:
	return status;
}
