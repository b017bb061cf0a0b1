/* Streams of shuffled numbers: any zlib's, with random bytes stored, and damage found. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/zlib_stream.h"

/* n_planes planes of n bytes; those whose bit is set in `random` are random, the others repeat. */
static unsigned char *planes(size_t n, size_t n_planes, unsigned random)
{
	unsigned char *bytes = malloc(n * n_planes + 1);
	struct pb_rng rng;

	cr_assert(bytes != NULL);
	pb_rng_seed(&rng, 5, n, n_planes, random);
	for (size_t p = 0; p < n_planes; p++)
		for (size_t i = 0; i < n; i++)
			bytes[p * n + i] = random >> p & 1
					       ? (unsigned char)pb_rng_below(&rng, 256)
					       : (unsigned char)(i / 300 + pb_rng_below(&rng, 2));
	return bytes;
}

/* There and back; returns the bytes that the stream has. */
static size_t check(size_t n, size_t n_planes, unsigned random)
{
	const size_t bytes = n * n_planes, most = pb_zlib_most(n, n_planes);
	unsigned char *from = planes(n, n_planes, random), *back = malloc(bytes + 1);
	unsigned char *stream = malloc(most + 1);
	size_t size = 0;

	cr_assert(back != NULL && stream != NULL);
	stream[most] = 0xa5;
	back[bytes] = 0xa5;
	cr_assert(pb_zlib_pack(from, n, n_planes, stream, &size));
	cr_assert(size <= most && stream[most] == 0xa5, "%zu bytes of %zu", size, most);
	cr_assert(pb_zlib_unpack(stream, size, back, bytes));
	cr_assert(memcmp(from, back, bytes) == 0 && back[bytes] == 0xa5,
		  "%zu planes of %zu bytes, random %x", n_planes, n, random);
	free(from);
	free(back);
	free(stream);
	return size;
}

Test(zlib_stream, there_and_back)
{
	static const size_t sizes[] = {1, 2, 255, 4095, 4096, 4097, 65535, 65536, 140000};
	static const unsigned random[] = {0, 0xff, 0x3f, 0xc0, 0x55, 0x01};

	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
		for (size_t i = 0; i < sizeof random / sizeof *random; i++)
			for (size_t n_planes = 1; n_planes <= 8; n_planes *= 2)
				(void)check(sizes[s], n_planes, random[i]);
}

/* Six planes of random bytes as they are, two compressed. */
Test(zlib_stream, random_bytes_are_stored_and_the_rest_is_small)
{
	const size_t N = 60000;
	const size_t all = check(N, 8, 0xff), mixed = check(N, 8, 0x3f), none = check(N, 8, 0);

	cr_assert(all >= 8 * N && all < 8 * N + 100, "%zu", all);
	cr_assert(mixed >= 6 * N && mixed < 6 * N + N / 2, "%zu", mixed);
	cr_assert(none < 2 * N, "%zu", none);
}

/* A byte changed, bytes missing, another length: none passes. */
Test(zlib_stream, damage)
{
	const size_t N = 5000, PLANES = 2;
	const size_t most = pb_zlib_most(N, PLANES);
	unsigned char *from = planes(N, PLANES, 1), *stream = malloc(most), *cut = malloc(most);
	unsigned char *back = malloc(N * PLANES + 1);
	size_t size = 0;

	cr_assert(stream != NULL && cut != NULL && back != NULL);
	cr_assert(pb_zlib_pack(from, N, PLANES, stream, &size));
	for (size_t i = 0; i < size; i++) {
		stream[i] ^= 0x10;
		if (pb_zlib_unpack(stream, size, back, N * PLANES))
			cr_assert_eq(memcmp(from, back, N * PLANES), 0, "byte %zu", i);
		stream[i] ^= 0x10;
	}
	for (size_t n = 0; n < size; n += n < 20 || size - n < 20 ? 1 : 37) {
		memcpy(cut, stream, n);
		cr_assert(!pb_zlib_unpack(cut, n, back, N * PLANES), "%zu bytes", n);
	}
	cr_assert(!pb_zlib_unpack(stream, size, back, N * PLANES - 1));
	cr_assert(!pb_zlib_unpack(stream, size, back, N * PLANES + 1));
	cr_assert(pb_zlib_unpack(stream, size, back, N * PLANES));
	free(from);
	free(stream);
	free(cut);
	free(back);
}

/* What follows the last block but is no checksum, or a stream without a last block: no zlib reads
 * it, even where the checksum is right. */
Test(zlib_stream, only_whole_streams)
{
	const size_t N = 5000, most = pb_zlib_most(N, 2);
	unsigned char *from = planes(N, 2, 1), *stream = malloc(most + 8), *back = malloc(2 * N);
	const size_t tail = 4, last = 5; /* Adler-32; the empty block before it */
	size_t size = 0;

	cr_assert(stream != NULL && back != NULL);
	cr_assert(pb_zlib_pack(from, N, 2, stream, &size));
	memmove(stream + size - tail - last, stream + size - tail, tail);
	cr_assert(!pb_zlib_unpack(stream, size - last, back, 2 * N), "no last block");
	for (size_t extra = 1; extra <= 8; extra++) {
		cr_assert(pb_zlib_pack(from, N, 2, stream, &size));
		memmove(stream + size - tail + extra, stream + size - tail, tail);
		memset(stream + size - tail, 0x55, extra);
		cr_assert(!pb_zlib_unpack(stream, size + extra, back, 2 * N), "%zu more bytes",
			  extra);
	}
	cr_assert(pb_zlib_pack(from, N, 2, stream, &size));
	stream[0] = 0x88; /* a window of 64 KB */
	stream[1] = 0x1c;
	cr_assert(!pb_zlib_unpack(stream, size, back, 2 * N));
	free(from);
	free(stream);
	free(back);
}

/* The same bytes, whatever memory held before. */
Test(zlib_stream, the_same_bytes_again)
{
	const size_t N = 60000, most = pb_zlib_most(N, 8);
	unsigned char *from = planes(N, 8, 0x3f), *first = malloc(most), *again = malloc(most);
	size_t n_first = 0, n_again = 0;

	cr_assert(first != NULL && again != NULL);
	cr_assert(pb_zlib_pack(from, N, 8, first, &n_first));
	for (int fill = 1; fill < 16; fill += 2) {
		/* what is freed here is likely what the next call is given */
		for (size_t bytes = (size_t)64 << 10; bytes <= (size_t)256 << 10; bytes += 4096) {
			unsigned short *old = malloc(bytes);

			cr_assert(old != NULL);
			for (size_t i = 0; i < bytes / sizeof *old; i++)
				old[i] = (unsigned short)fill;
			free(old);
		}
		cr_assert(pb_zlib_pack(from, N, 8, again, &n_again));
		cr_assert(n_first == n_again && memcmp(first, again, n_first) == 0, "%d", fill);
	}
	free(from);
	free(first);
	free(again);
}
