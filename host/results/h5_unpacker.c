/* Chunks as they are in the file, read one by one and unpacked several at a time. */
#include "results/h5_unpacker.h"

#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "results/h5.h"
#include "results/h5_chunks.h"

#define CHUNKS_MOST ((size_t)16) /* at a time */
#define LEAST_BYTES ((size_t)256 << 10)

/* Chunks of a request, and what they are as rows. */
struct batch {
	struct pb_h5_chunks chunks;
	size_t n, first_row; /* chunks; the row that the first one begins with */
	size_t size[CHUNKS_MOST];
	uint32_t skipped[CHUNKS_MOST];
	unsigned char *packed; /* [n, pb_h5_packed_most] */
	unsigned char *room;   /* [threads][2] chunks */
	int n_threads;
};

static bool read_packed(struct batch *b, hid_t dataset)
{
	const size_t most = pb_h5_packed_most(&b->chunks);

	for (size_t i = 0; i < b->n; i++) {
		const hsize_t offset[PB_H5_MAX_RANK] = {b->first_row + i * b->chunks.rows};
		hsize_t size = 0;

		if (H5Dget_chunk_storage_size(dataset, offset, &size) < 0 || size == 0 ||
		    size > most ||
		    H5Dread_chunk(dataset, H5P_DEFAULT, offset, &b->skipped[i],
				  b->packed + i * most) < 0)
			return false;
		b->size[i] = (size_t)size;
	}
	return true;
}

/* Chunk i, of which rows [first, end) of the dataset are wanted, to where they belong in data. */
static bool unpack(const struct batch *b, size_t i, size_t first, size_t end, unsigned char *data)
{
	const struct pb_h5_chunks *c = &b->chunks;
	const size_t begin = b->first_row + i * c->rows;
	const size_t from = begin > first ? begin : first;
	const size_t to = begin + c->rows < end ? begin + c->rows : end;
	unsigned char *scratch = b->room + 2 * (size_t)omp_get_thread_num() * pb_h5_chunk_bytes(c);
	unsigned char *rows = data + (from - first) * c->row_bytes;
	unsigned char *chunk = to - from == c->rows ? rows : scratch + pb_h5_chunk_bytes(c);

	if (!pb_h5_unpack(c, b->skipped[i], b->packed + i * pb_h5_packed_most(c), b->size[i],
			  scratch, chunk))
		return false;
	if (chunk != rows)
		memcpy(rows, chunk + (from - begin) * c->row_bytes, (to - from) * c->row_bytes);
	return true;
}

static bool read_batch(struct batch *b, hid_t dataset, size_t first, size_t end,
		       unsigned char *data)
{
	size_t right = 0;

	if (!read_packed(b, dataset))
		return false;
#pragma omp parallel for num_threads(b->n_threads) schedule(dynamic) reduction(+ : right)
	for (size_t i = 0; i < b->n; i++)
		right += unpack(b, i, first, end, data) ? 1 : 0;
	return right == b->n;
}

bool pb_h5_unpack_rows(hid_t dataset, hid_t type, size_t first, size_t n, void *data)
{
	struct batch b = {.n_threads = omp_get_max_threads()};
	const size_t end = first + n;
	size_t chunk, n_chunks;
	bool good;

	if (n == 0 || !pb_h5_chunks_of(dataset, type, &b.chunks) || end > b.chunks.n_rows ||
	    n * b.chunks.row_bytes < LEAST_BYTES)
		return false;
	chunk = first / b.chunks.rows;
	n_chunks = (end - 1) / b.chunks.rows + 1 - chunk;
	if (n_chunks < 2)
		return false;
	b.n = n_chunks < CHUNKS_MOST ? n_chunks : CHUNKS_MOST;
	b.n_threads = (size_t)b.n_threads < b.n ? b.n_threads : (int)b.n;
	b.packed = malloc(b.n * pb_h5_packed_most(&b.chunks));
	b.room = malloc(2 * (size_t)b.n_threads * pb_h5_chunk_bytes(&b.chunks));
	good = b.packed != NULL && b.room != NULL;
	for (; good && n_chunks > 0; chunk += b.n, n_chunks -= b.n) {
		b.n = n_chunks < CHUNKS_MOST ? n_chunks : CHUNKS_MOST;
		b.first_row = chunk * b.chunks.rows;
		good = read_batch(&b, dataset, first, end, data);
	}
	free(b.packed);
	free(b.room);
	if (!good)
		H5Eclear2(H5E_DEFAULT);
	return good;
}
