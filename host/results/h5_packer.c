/* Chunks through the filters of a dataset, several at a time. */
#include "results/h5_packer.h"

#include <stdlib.h>
#include <string.h>

#include "results/h5.h"

#define CHUNKS_MOST ((size_t)16)
#define PACKED_LEAST ((size_t)64 << 10) /* of a dataset: HDF5 writes smaller ones */

enum pb_status pb_h5_packer_open(struct pb_h5_packer *p, hid_t dataset, hid_t type, size_t room,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;

	*p = (struct pb_h5_packer){.dataset = dataset, .type = type};
	if (!pb_h5_chunks_of(dataset, type, &p->chunks))
		return PB_OK;
	p->n_chunks = room / pb_h5_chunk_bytes(&p->chunks);
	p->n_chunks = p->n_chunks < CHUNKS_MOST ? p->n_chunks : CHUNKS_MOST;
	if (p->n_chunks < 2)
		return PB_OK;
	PB_TRY(pb_alloc((void **)&p->buffer, p->n_chunks, pb_h5_chunk_bytes(&p->chunks), "chunks",
			err));
	p->rows = p->chunks.rows;
cleanup:
	return status;
}

void pb_h5_packer_drop(struct pb_h5_packer *p)
{
	free(p->buffer);
	*p = (struct pb_h5_packer){.dataset = -1};
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum pb_status write_chunk(hid_t dataset, const char *path, size_t row, const void *packed,
				  size_t size, struct pb_error *err)
{
	const hsize_t offset[PB_H5_MAX_RANK] = {row};

	if (size == 0)
		return pb_fail(err, PB_ERR_MEMORY, "no memory to compress: %s", path);
	if (H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, offset, size, packed) < 0)
		return pb_h5_fail(err, PB_ERR_IO, "cannot write dataset: %s", path);
	return PB_OK;
}

/* The first n chunks of the buffer, filtered side by side and written in their order. */
static enum pb_status write_chunks(const struct pb_h5_packer *p, const char *path, size_t n,
				   struct pb_error *err)
{
	const size_t chunk = pb_h5_chunk_bytes(&p->chunks), most = pb_h5_packed_most(&p->chunks);
	unsigned char *room = NULL;
	size_t size[CHUNKS_MOST] = {0};
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&room, n, chunk + most, "chunks", err));
#pragma omp parallel for schedule(dynamic)
	for (size_t i = 0; i < n; i++) {
		unsigned char *mine = room + i * (chunk + most);

		if (!pb_h5_pack(&p->chunks, p->buffer + i * chunk, mine + most, mine, &size[i]))
			size[i] = 0;
	}
	for (size_t i = 0; i < n; i++)
		PB_TRY(write_chunk(p->dataset, path, p->first + i * p->rows,
				   room + i * (chunk + most), size[i], err));
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
	memmove(p->buffer, p->buffer + rows * p->chunks.row_bytes,
		(p->n - rows) * p->chunks.row_bytes);
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

		memcpy(p->buffer + p->n * p->chunks.row_bytes, from, take * p->chunks.row_bytes);
		p->n += take;
		n -= take;
		from += take * p->chunks.row_bytes;
		if (p->n == p->n_chunks * p->rows)
			PB_TRY(flush(p, path, err));
	}
cleanup:
	return status;
}

/* ---- whole datasets -------------------------------------------------------------------------- */

enum pb_status pb_h5_write_packed(hid_t dataset, const char *path, hid_t type, const void *data,
				  struct pb_error *err)
{
	struct pb_h5_chunks c;
	const unsigned char *from = data;
	unsigned char *room = NULL, *padded, *packed;
	size_t chunk, size, row;
	enum pb_status status;

	if (!pb_h5_chunks_of(dataset, type, &c) || c.n_rows * c.row_bytes < PACKED_LEAST) {
		if (H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
			return pb_h5_fail(err, PB_ERR_IO, "cannot write dataset: %s", path);
		return PB_OK;
	}
	chunk = pb_h5_chunk_bytes(&c);
	PB_TRY(pb_alloc((void **)&room, 1, 2 * chunk + pb_h5_packed_most(&c), "chunks", err));
	padded = room + chunk;
	packed = padded + chunk;
	for (row = 0; row < c.n_rows; row += c.rows, from += chunk) {
		if (c.n_rows - row < c.rows) {
			memset(padded, 0, chunk); /* that no reader sees */
			memcpy(padded, from, (c.n_rows - row) * c.row_bytes);
			from = padded;
		}
		if (!pb_h5_pack(&c, from, room, packed, &size))
			size = 0;
		PB_TRY(write_chunk(dataset, path, row, packed, size, err));
	}
cleanup:
	free(room);
	return status;
}
