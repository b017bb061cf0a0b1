/* Streams of stored and compressed blocks. */
#include "results/zlib_stream.h"

#include <isa-l/igzip_lib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 2 /* deflate, a window of 32 KB */
#define TAIL_BYTES 4 /* Adler-32, the high byte first */
#define STORED_MOST ((size_t)65535)
#define STORED_HEAD ((size_t)5)
#define LEVEL_BYTES ISAL_DEF_LVL1_SMALL

/* ---- ISA-L ---------------------------------------------------------------------------------- */

#ifdef __x86_64__
__attribute__((target("avx"))) static void zero_upper(void)
{
	__builtin_ia32_vzeroupper();
}
#endif

/* After calls of ISA-L, which leaves the upper halves of some registers as they are (2.30): code
 * for processors without AVX, such as the statistics, is then three times as slow in this thread.
 */
static void leave_isal(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx"))
		zero_upper();
#endif
}

/* ---- what cannot be compressed -------------------------------------------------------------- */

#define SAMPLE_RUNS 16 /* of a plane, looked at */
#define SAMPLE_RUN 256

/* Whether little can be found in bytes: in a sample of them all values are about equally frequent.
 * (Of random bytes two are equal once in 256; 1.1 times that would save some 2%.) */
static bool is_random(const unsigned char *bytes, size_t n)
{
	const uint64_t seen = (uint64_t)SAMPLE_RUNS * SAMPLE_RUN;
	uint32_t counts[256] = {0};
	uint64_t equal = 0;

	if (n < seen)
		return false; /* too few to tell */
	for (size_t r = 0; r < SAMPLE_RUNS; r++)
		for (size_t i = 0; i < SAMPLE_RUN; i++)
			counts[bytes[r * (n / SAMPLE_RUNS) + i]]++;
	for (size_t v = 0; v < 256; v++)
		equal += (uint64_t)counts[v] * (counts[v] - (counts[v] > 0 ? 1 : 0));
	return equal * 2560 < seen * (seen - 1) * 11;
}

/* ---- packing --------------------------------------------------------------------------------- */

/* Bytes that n bytes take at most, stored or compressed: ISA-L stores what it cannot shorten, and
 * ends with an empty block. */
static size_t blocks_most(size_t n)
{
	return n + (n / STORED_MOST + 1) * STORED_HEAD + 2 * STORED_HEAD;
}

size_t pb_zlib_most(size_t n, size_t n_planes)
{
	return HEAD_BYTES + n_planes * blocks_most(n) + STORED_HEAD + TAIL_BYTES;
}

static unsigned char *put_stored(const unsigned char *bytes, size_t n, bool last, unsigned char *to)
{
	do {
		const size_t length = n < STORED_MOST ? n : STORED_MOST;

		*to++ = last && length == n ? 1 : 0;
		*to++ = (unsigned char)(length & 0xff);
		*to++ = (unsigned char)(length >> 8);
		*to++ = (unsigned char)(~length & 0xff);
		*to++ = (unsigned char)(~length >> 8 & 0xff);
		memcpy(to, bytes, length);
		to += length;
		bytes += length;
		n -= length;
	} while (n > 0);
	return to;
}

/* What a call of ISA-L works with. */
struct coder {
	struct isal_zstream stream;
	uint8_t level[LEVEL_BYTES];
};

/* Blocks that end at a byte; NULL where they would take more than blocks_most. */
static unsigned char *put_deflated(struct coder *c, const unsigned char *bytes, size_t n,
				   unsigned char *to)
{
	struct isal_zstream *z = &c->stream;

	isal_deflate_stateless_init(z);
	z->level = 1;
	z->level_buf = c->level;
	z->level_buf_size = LEVEL_BYTES;
	z->flush = FULL_FLUSH;
	z->end_of_stream = 0;
	z->next_in = (uint8_t *)(uintptr_t)bytes;
	z->avail_in = (uint32_t)n;
	z->next_out = to;
	z->avail_out = (uint32_t)blocks_most(n);
	return isal_deflate_stateless(z) == COMP_OK && z->avail_in == 0 ? to + z->total_out : NULL;
}

bool pb_zlib_pack(const unsigned char *planes, size_t n, size_t n_planes, unsigned char *to,
		  size_t *size)
{
	const uint32_t sum = isal_adler32(1, planes, n * n_planes);
	struct coder *c = calloc(1, sizeof *c); /* ISA-L sets no hist_bits */
	unsigned char *at = to, *deflated;
	size_t first, next;

	*at++ = 0x78;
	*at++ = 0x01;
	for (first = 0; c != NULL && first < n_planes; first = next) {
		const unsigned char *from = planes + first * n;
		const bool random = is_random(from, n);

		/* planes of one kind together */
		for (next = first + 1; next < n_planes && is_random(planes + next * n, n) == random;
		     next++)
			;
		deflated = random ? NULL : put_deflated(c, from, (next - first) * n, at);
		at = deflated != NULL ? deflated : put_stored(from, (next - first) * n, false, at);
	}
	free(c);
	leave_isal();
	if (c == NULL)
		return false;
	at = put_stored(planes, 0, true, at);
	for (int b = 3; b >= 0; b--)
		*at++ = (unsigned char)(sum >> (8 * b));
	*size = (size_t)(at - to);
	return true;
}

/* ---- unpacking ------------------------------------------------------------------------------- */

bool pb_zlib_unpack(const unsigned char *stream, size_t size, unsigned char *to, size_t bytes)
{
	struct inflate_state *z;
	uint32_t sum = 0;
	bool good;

	/* deflate, a window of 32 KB at most, no dictionary, and a header that says so */
	if (size < HEAD_BYTES + TAIL_BYTES || size > UINT32_MAX || bytes > UINT32_MAX ||
	    (stream[0] & 15) != 8 || stream[0] >> 4 > 7 || (stream[1] & 32) != 0 ||
	    (stream[0] << 8 | stream[1]) % 31 != 0)
		return false;
	z = malloc(sizeof *z);
	if (z == NULL)
		return false;
	isal_inflate_init(z);
	z->next_in = (uint8_t *)(uintptr_t)(stream + HEAD_BYTES);
	z->avail_in = (uint32_t)(size - HEAD_BYTES - TAIL_BYTES);
	z->next_out = to;
	z->avail_out = (uint32_t)bytes;
	/* the last block is read to its end, and nothing is behind it */
	good = isal_inflate(z) == ISAL_DECOMP_OK && z->total_out == bytes &&
	       z->block_state == ISAL_BLOCK_FINISH && z->avail_in == 0 && z->read_in_length < 8;
	free(z);
	for (size_t b = size - TAIL_BYTES; b < size; b++)
		sum = sum << 8 | stream[b];
	good = good && isal_adler32(1, to, bytes) == sum;
	leave_isal();
	return good;
}
