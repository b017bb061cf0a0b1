/* Chunks as they are in the file, read one by one and unpacked several at a time. */
#include "results/h5_unpacker.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/h5.h"

#define CHUNKS_MOST ((size_t)16) /* at a time */
#define LEAST_BYTES ((size_t)256 << 10)
#define CHUNK_LEAST ((size_t)4 << 10) /* where there are several: what is kept of each adds up */

/* ---- packed chunks --------------------------------------------------------------------------- */

/* Room for n chunks; false when there is no memory. */
static bool packed_new(struct pb_h5_packed *p, const struct pb_h5_chunks *chunks, size_t n)
{
	*p = (struct pb_h5_packed){.chunks = *chunks, .n = n};
	p->size = calloc(n, sizeof *p->size);
	p->skipped = calloc(n, sizeof *p->skipped);
	p->bytes = malloc(n * pb_h5_packed_most(chunks));
	if (p->size != NULL && p->skipped != NULL && p->bytes != NULL)
		return true;
	pb_h5_packed_free(p);
	return false;
}

void pb_h5_packed_free(struct pb_h5_packed *packed)
{
	free(packed->size);
	free(packed->skipped);
	free(packed->bytes);
	*packed = (struct pb_h5_packed){0};
}

/* The chunks from p->first_row on. */
static bool read_chunks(struct pb_h5_packed *p, hid_t dataset)
{
	const size_t most = pb_h5_packed_most(&p->chunks);
	size_t i;

	for (i = 0; i < p->n; i++) {
		const hsize_t offset[PB_H5_MAX_RANK] = {p->first_row + i * p->chunks.rows};
		hsize_t size = 0;

		if (H5Dget_chunk_storage_size(dataset, offset, &size) < 0 || size == 0 ||
		    size > most ||
		    H5Dread_chunk(dataset, H5P_DEFAULT, offset, &p->skipped[i],
				  p->bytes + i * most) < 0)
			break;
		p->size[i] = (size_t)size;
	}
	if (i < p->n)
		H5Eclear2(H5E_DEFAULT);
	return i == p->n;
}

/* Chunk i, of which rows [first, end) of the dataset are wanted, to where they belong in data.
 * `room` has that of two chunks. */
static bool unpack_chunk(const struct pb_h5_packed *p, size_t i, size_t first, size_t end,
			 unsigned char *room, unsigned char *data)
{
	const struct pb_h5_chunks *c = &p->chunks;
	const size_t begin = p->first_row + i * c->rows;
	const size_t from = begin > first ? begin : first;
	const size_t to = begin + c->rows < end ? begin + c->rows : end;
	unsigned char *rows = data + (from - first) * c->row_bytes;
	unsigned char *chunk = to - from == c->rows ? rows : room + pb_h5_chunk_bytes(c);

	if (!pb_h5_unpack(c, p->skipped[i], p->bytes + i * pb_h5_packed_most(c), p->size[i], room,
			  chunk))
		return false;
	if (chunk != rows)
		memcpy(rows, chunk + (from - begin) * c->row_bytes, (to - from) * c->row_bytes);
	return true;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool unpack_batch(const struct pb_h5_packed *p, size_t first, size_t end, int n_threads,
			 unsigned char *room, unsigned char *data)
{
	const size_t one = 2 * pb_h5_chunk_bytes(&p->chunks);
	size_t right = 0;

#pragma omp parallel for num_threads(n_threads) schedule(dynamic) reduction(+ : right)
	for (size_t i = 0; i < p->n; i++)
		right +=
		    unpack_chunk(p, i, first, end, room + (size_t)omp_get_thread_num() * one, data)
			? 1
			: 0;
	return right == p->n;
}

static bool unpack_all(struct pb_h5_packed *p, hid_t dataset, size_t first, size_t end,
		       unsigned char *data)
{
	const size_t most = p->n;
	const int all = omp_get_max_threads(), n_threads = (size_t)all < most ? all : (int)most;
	unsigned char *room = malloc(2 * (size_t)n_threads * pb_h5_chunk_bytes(&p->chunks));
	bool good = room != NULL;

	for (p->first_row = first / p->chunks.rows * p->chunks.rows; good && p->first_row < end;
	     p->first_row += p->n * p->chunks.rows) {
		const size_t left = (end - 1 - p->first_row) / p->chunks.rows + 1;

		p->n = left < most ? left : most;
		good =
		    read_chunks(p, dataset) && unpack_batch(p, first, end, n_threads, room, data);
	}
	free(room);
	return good;
}

bool pb_h5_unpack_rows(hid_t dataset, hid_t type, size_t first, size_t n, void *data)
{
	const size_t end = first + n;
	struct pb_h5_chunks chunks;
	struct pb_h5_packed p;
	size_t n_chunks;
	bool good;

	if (n == 0 || !pb_h5_chunks_of(dataset, type, &chunks) || end > chunks.n_rows ||
	    n * chunks.row_bytes < LEAST_BYTES)
		return false;
	n_chunks = (end - 1) / chunks.rows + 1 - first / chunks.rows;
	if (n_chunks < 2 || pb_h5_chunk_bytes(&chunks) < CHUNK_LEAST ||
	    !packed_new(&p, &chunks, n_chunks < CHUNKS_MOST ? n_chunks : CHUNKS_MOST))
		return false;
	good = unpack_all(&p, dataset, first, end, data);
	pb_h5_packed_free(&p);
	return good;
}

/* ---- whole datasets -------------------------------------------------------------------------- */

static bool read_dataset(struct pb_h5_packed *out, hid_t dataset, const char *path, hid_t type,
			 size_t count)
{
	struct pb_h5_chunks chunks;
	struct pb_h5_shape shape;

	if (pb_h5_shape(dataset, path, &shape, NULL) != PB_OK || shape.count != count ||
	    count == 0 || !pb_h5_chunks_of(dataset, type, &chunks) ||
	    (chunks.rows < chunks.n_rows && pb_h5_chunk_bytes(&chunks) < CHUNK_LEAST) ||
	    !packed_new(out, &chunks, (chunks.n_rows - 1) / chunks.rows + 1))
		return false;
	if (read_chunks(out, dataset))
		return true;
	pb_h5_packed_free(out);
	return false;
}

bool pb_h5_packed_read(struct pb_h5_packed *out, hid_t parent, const char *path, hid_t type,
		       size_t count)
{
	hid_t dataset = H5Dopen2(parent, path, H5P_DEFAULT);
	bool good;

	*out = (struct pb_h5_packed){0};
	good = dataset >= 0 && read_dataset(out, dataset, path, type, count);
	if (dataset < 0)
		H5Eclear2(H5E_DEFAULT);
	pb_h5_drop(dataset);
	return good;
}

bool pb_h5_packed_unpack(const struct pb_h5_packed *packed, void *data)
{
	unsigned char *room = malloc(2 * pb_h5_chunk_bytes(&packed->chunks));
	bool good = room != NULL;

	for (size_t i = 0; good && i < packed->n; i++)
		good = unpack_chunk(packed, i, 0, packed->chunks.n_rows, room, data);
	free(room);
	return good;
}
