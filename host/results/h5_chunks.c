/* Shuffle, gzip and Fletcher32, forwards and backwards. */
#include "results/h5_chunks.h"

#include <string.h>

#include "patchbay/base.h"
#include "results/h5.h"
#include "results/zlib_stream.h"

#define CHECKSUM_BYTES 4
enum { SHUFFLE, GZIP, FLETCHER, N_FILTERS };

/* ---- datasets -------------------------------------------------------------------------------- */

size_t pb_h5_chunk_rows(hid_t plist, int rank, const hsize_t *dims)
{
	hsize_t chunk[PB_H5_MAX_RANK];
	bool whole = rank > 0 && rank <= PB_H5_MAX_RANK && H5Pget_layout(plist) == H5D_CHUNKED &&
		     H5Pget_chunk(plist, rank, chunk) == rank;

	for (int i = 1; whole && i < rank; i++)
		whole = chunk[i] == dims[i];
	return whole ? (size_t)chunk[0] : 0;
}

/* The rows of a chunk and of the dataset, and the size of a row; false where chunks do not hold
 * whole rows. */
static bool whole_rows(hid_t dataset, hid_t plist, struct pb_h5_chunks *c)
{
	hsize_t dims[PB_H5_MAX_RANK];
	hid_t space = H5Dget_space(dataset);
	const int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
	bool whole = rank > 0 && rank <= PB_H5_MAX_RANK &&
		     H5Sget_simple_extent_dims(space, dims, NULL) == rank;

	c->rows = whole ? pb_h5_chunk_rows(plist, rank, dims) : 0;
	c->n_rows = whole ? (size_t)dims[0] : 0;
	c->row_bytes = c->element;
	for (int i = 1; whole && i < rank; i++)
		whole = pb_size_mul(c->row_bytes, (size_t)dims[i], &c->row_bytes);
	pb_h5_drop(space);
	return whole && c->rows > 0;
}

/* Shuffle of elements of this size, gzip, Fletcher32. */
static bool known_filters(hid_t plist, size_t element)
{
	static const H5Z_filter_t wanted[N_FILTERS] = {[SHUFFLE] = H5Z_FILTER_SHUFFLE,
						       [GZIP] = H5Z_FILTER_DEFLATE,
						       [FLETCHER] = H5Z_FILTER_FLETCHER32};

	if (H5Pget_nfilters(plist) != N_FILTERS)
		return false;
	for (unsigned i = 0; i < N_FILTERS; i++) {
		unsigned flags, values[8] = {0}, config;
		size_t n_values = sizeof values / sizeof *values;

		if (H5Pget_filter2(plist, i, &flags, &n_values, values, 0, NULL, &config) !=
			wanted[i] ||
		    (i == SHUFFLE && (n_values != 1 || values[0] != element)))
			return false;
	}
	return true;
}

/* A text's elements would be addresses. */
static bool is_number(hid_t type)
{
	const H5T_class_t kind = H5Tget_class(type);

	return kind == H5T_INTEGER || kind == H5T_FLOAT;
}

bool pb_h5_chunks_of(hid_t dataset, hid_t type, struct pb_h5_chunks *out)
{
	hid_t plist = H5Dget_create_plist(dataset), stored = H5Dget_type(dataset);
	size_t bytes;
	bool are;

	*out = (struct pb_h5_chunks){.element = H5Tget_size(type)};
	are = plist >= 0 && stored >= 0 && is_number(stored) && H5Tequal(type, stored) > 0 &&
	      known_filters(plist, out->element) && whole_rows(dataset, plist, out) &&
	      pb_size_mul(out->rows, out->row_bytes, &bytes) && bytes > 0 &&
	      bytes <= PB_H5_CHUNK_MOST;
	pb_h5_drop(plist);
	pb_h5_drop(stored);
	return are;
}

/* ---- shuffle --------------------------------------------------------------------------------- */

#define SQUARE ((size_t)8) /* bytes each way */

/* Exchange the high half of a with the low half of b, in fields of `bits` bits. */
#define EXCHANGE(a, b, bits, mask)                                                                 \
	do {                                                                                       \
		const uint64_t t = ((a) >> (bits) ^ (b)) & (mask);                                 \
		(a) ^= t << (bits);                                                                \
		(b) ^= t;                                                                          \
	} while (0)

/* Rows of eight bytes become columns (little-endian words). */
static inline void turn(uint64_t x[SQUARE])
{
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		EXCHANGE(x[i], x[i + 4], 32, UINT64_C(0x00000000ffffffff));
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		EXCHANGE(x[i + i / 2 * 2], x[i + i / 2 * 2 + 2], 16, UINT64_C(0x0000ffff0000ffff));
#pragma GCC unroll 4
	for (int i = 0; i < 8; i += 2)
		EXCHANGE(x[i], x[i + 1], 8, UINT64_C(0x00ff00ff00ff00ff));
}

/* First bytes of all elements, then all second ones, and so on; the elements from `done` on. */
static void shuffle_rest(const unsigned char *from, size_t n, size_t element, size_t done,
			 unsigned char *to)
{
	for (size_t b = 0; b < element; b++)
		for (size_t i = done; i < n; i++)
			to[b * n + i] = from[i * element + b];
}

static void unshuffle_rest(const unsigned char *from, size_t n, size_t element, size_t done,
			   unsigned char *to)
{
	for (size_t b = 0; b < element; b++)
		for (size_t i = done; i < n; i++)
			to[i * element + b] = from[b * n + i];
}

static size_t shuffle_8(const unsigned char *from, size_t n, unsigned char *to)
{
	uint64_t x[SQUARE];
	size_t i;

	for (i = 0; i + SQUARE <= n; i += SQUARE) {
		memcpy(x, from + i * 8, sizeof x);
		turn(x);
		for (size_t b = 0; b < SQUARE; b++)
			memcpy(to + b * n + i, &x[b], sizeof *x);
	}
	return i;
}

static size_t unshuffle_8(const unsigned char *from, size_t n, unsigned char *to)
{
	uint64_t x[SQUARE];
	size_t i;

	for (i = 0; i + SQUARE <= n; i += SQUARE) {
		for (size_t b = 0; b < SQUARE; b++)
			memcpy(&x[b], from + b * n + i, sizeof *x);
		turn(x);
		memcpy(to + i * 8, x, sizeof x);
	}
	return i;
}

/* Two elements beside each other are a row: columns 0 to 3 are bytes of the first eight elements,
 * the others of the eight behind them. */
static size_t shuffle_4(const unsigned char *from, size_t n, unsigned char *to)
{
	size_t i;

	for (i = 0; i + 2 * SQUARE <= n; i += 2 * SQUARE) {
		uint64_t x[SQUARE];
		uint32_t words[2 * SQUARE];

		memcpy(words, from + i * 4, sizeof words);
		for (size_t k = 0; k < SQUARE; k++)
			x[k] = words[k] | (uint64_t)words[k + SQUARE] << 32;
		turn(x);
		for (size_t b = 0; b < 4; b++) {
			memcpy(to + b * n + i, &x[b], sizeof *x);
			memcpy(to + b * n + i + SQUARE, &x[b + 4], sizeof *x);
		}
	}
	return i;
}

static size_t unshuffle_4(const unsigned char *from, size_t n, unsigned char *to)
{
	size_t i;

	for (i = 0; i + 2 * SQUARE <= n; i += 2 * SQUARE) {
		uint64_t x[SQUARE];
		uint32_t words[2 * SQUARE];

		for (size_t b = 0; b < 4; b++) {
			memcpy(&x[b], from + b * n + i, sizeof *x);
			memcpy(&x[b + 4], from + b * n + i + SQUARE, sizeof *x);
		}
		turn(x);
		for (size_t k = 0; k < SQUARE; k++) {
			words[k] = (uint32_t)x[k];
			words[k + SQUARE] = (uint32_t)(x[k] >> 32);
		}
		memcpy(to + i * 4, words, sizeof words);
	}
	return i;
}

static void shuffle(const unsigned char *from, size_t n, size_t element, unsigned char *to)
{
	const size_t done = element == 8   ? shuffle_8(from, n, to)
			    : element == 4 ? shuffle_4(from, n, to)
					   : 0;

	shuffle_rest(from, n, element, done, to);
}

static void unshuffle(const unsigned char *from, size_t n, size_t element, unsigned char *to)
{
	const size_t done = element == 8   ? unshuffle_8(from, n, to)
			    : element == 4 ? unshuffle_4(from, n, to)
					   : 0;

	unshuffle_rest(from, n, element, done, to);
}

/* ---- Fletcher32 ------------------------------------------------------------------------------ */

#define LANES ((size_t)8)
#define ROWS_MOST ((size_t)256) /* of eight words: sums of their sums fit 32 bits */

static uint64_t fold(uint64_t x)
{
	while (x > 0xffff)
		x = (x & 0xffff) + (x >> 16);
	return x;
}

/* Sums are modulo 65535, where a word whose bytes are exchanged is 256 times the word: they are
 * taken of words as they are in memory, low byte first, eight side by side, and exchanged at the
 * end. */
uint32_t pb_fletcher32(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint64_t sum = 0, sums = 0;
	size_t left = size / 2, k, i;
	uint16_t words[LANES];

	while (left >= LANES) {
		const size_t n = left / LANES < ROWS_MOST ? left / LANES : ROWS_MOST;
		uint32_t of_words[LANES] = {0}, of_sums[LANES] = {0};

		sums += n * LANES * sum;
		for (i = 0; i < n; i++, bytes += sizeof words) {
			memcpy(words, bytes, sizeof words);
			for (k = 0; k < LANES; k++) {
				of_sums[k] += of_words[k];
				of_words[k] += words[k];
			}
		}
		for (k = 0; k < LANES; k++) {
			sum += of_words[k];
			sums += LANES * of_sums[k] + (LANES - k) * (uint64_t)of_words[k];
		}
		sum = fold(sum);
		sums = fold(sums);
		left -= n * LANES;
	}
	for (; left > 0; left--, bytes += 2) {
		sum += bytes[0] | (uint64_t)bytes[1] << 8;
		sums += sum;
	}
	if (size % 2 != 0) {
		sum += bytes[0];
		sums += sum;
	}
	return (uint32_t)(fold(fold(sums) << 8) << 16 | fold(fold(sum) << 8));
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static size_t n_elements(const struct pb_h5_chunks *c)
{
	return pb_h5_chunk_bytes(c) / c->element;
}

size_t pb_h5_packed_most(const struct pb_h5_chunks *c)
{
	return pb_zlib_most(n_elements(c), c->element) + CHECKSUM_BYTES;
}

bool pb_h5_pack(const struct pb_h5_chunks *c, const unsigned char *chunk, unsigned char *scratch,
		unsigned char *to, size_t *size)
{
	size_t packed;
	uint32_t sum;

	shuffle(chunk, n_elements(c), c->element, scratch);
	if (!pb_zlib_pack(scratch, n_elements(c), c->element, to, &packed))
		return false;
	sum = pb_fletcher32(to, packed);
	for (size_t b = 0; b < CHECKSUM_BYTES; b++)
		to[packed + b] = (unsigned char)(sum >> (8 * b));
	*size = packed + CHECKSUM_BYTES;
	return true;
}

/* *size bytes without the checksum behind them, which must be right. */
static bool checked(const unsigned char *packed, size_t *size)
{
	uint32_t sum = 0;

	if (*size < CHECKSUM_BYTES)
		return false;
	*size -= CHECKSUM_BYTES;
	for (size_t b = 0; b < CHECKSUM_BYTES; b++)
		sum |= (uint32_t)packed[*size + b] << (8 * b);
	return pb_fletcher32(packed, *size) == sum;
}

bool pb_h5_unpack(const struct pb_h5_chunks *c, uint32_t skipped, const unsigned char *packed,
		  size_t size, unsigned char *scratch, unsigned char *to)
{
	const size_t bytes = pb_h5_chunk_bytes(c);
	const bool shuffled = (skipped >> SHUFFLE & 1) == 0;
	const unsigned char *from = packed;

	if ((skipped >> FLETCHER & 1) == 0 && !checked(packed, &size))
		return false;
	if ((skipped >> GZIP & 1) == 0) {
		from = shuffled ? scratch : to;
		if (!pb_zlib_unpack(packed, size, shuffled ? scratch : to, bytes))
			return false;
	} else if (size != bytes) {
		return false;
	}
	if (shuffled)
		unshuffle(from, n_elements(c), c->element, to);
	else if (from != to)
		memcpy(to, from, bytes);
	return true;
}
