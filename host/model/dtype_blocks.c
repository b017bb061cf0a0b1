/* Decoding of quantised blocks. A value is scale * integer (+ or - an offset) in float32, in this
 * order and without a fused step, so that it has the bits of the reference decoder of the format.
 * Layouts: the specification of ggml's types. In a block of 32, byte i holds element i in its low
 * nibble and element 16 + i in its high one; in one of 256, two runs of 32 share 32 bytes. */
#include <string.h>

#include "model/dtype_blocks.h"

static float load_scale(const unsigned char *data)
{
	return pb_widen_f16((uint16_t)(data[0] | data[1] << 8));
}

/* 32 integers of 4 bits, low nibbles first. */
static void nibbles(const unsigned char *bytes, int *q)
{
	for (size_t i = 0; i < 16; i++) {
		q[i] = bytes[i] & 15;
		q[16 + i] = bytes[i] >> 4;
	}
}

/* Bit i of four bytes is the fifth bit of element i. */
static void fifth_bits(const unsigned char *bytes, int *q)
{
	for (size_t i = 0; i < 32; i++)
		q[i] |= (bytes[i / 8] >> (i % 8) & 1) << 4;
}

static void decode_q4_0(const unsigned char *block, size_t run, float *out)
{
	float scale = load_scale(block);
	int q[32];

	(void)run;
	nibbles(block + 2, q);
	for (size_t i = 0; i < 32; i++)
		out[i] = scale * (float)(q[i] - 8);
}

static void decode_q4_1(const unsigned char *block, size_t run, float *out)
{
	float scale = load_scale(block), offset = load_scale(block + 2);
	int q[32];

	(void)run;
	nibbles(block + 4, q);
	for (size_t i = 0; i < 32; i++)
		out[i] = scale * (float)q[i] + offset;
}

static void decode_q5_0(const unsigned char *block, size_t run, float *out)
{
	float scale = load_scale(block);
	int q[32];

	(void)run;
	nibbles(block + 6, q);
	fifth_bits(block + 2, q);
	for (size_t i = 0; i < 32; i++)
		out[i] = scale * (float)(q[i] - 16);
}

static void decode_q5_1(const unsigned char *block, size_t run, float *out)
{
	float scale = load_scale(block), offset = load_scale(block + 2);
	int q[32];

	(void)run;
	nibbles(block + 8, q);
	fifth_bits(block + 4, q);
	for (size_t i = 0; i < 32; i++)
		out[i] = scale * (float)q[i] + offset;
}

static void decode_q8_0(const unsigned char *block, size_t run, float *out)
{
	float scale = load_scale(block);
	signed char q[32];

	(void)run;
	memcpy(q, block + 2, sizeof q);
	for (size_t i = 0; i < 32; i++)
		out[i] = scale * (float)q[i];
}

/* The 6-bit scale and minimum of a run of 32, packed in 12 bytes: those of the first four runs are
 * the low bits of bytes 0-3 and 4-7, whose top bits go on those of the last four in bytes 8-11. */
static void k_scales(const unsigned char *packed, size_t run, int *scale, int *minimum)
{
	if (run < 4) {
		*scale = packed[run] & 63;
		*minimum = packed[run + 4] & 63;
		return;
	}
	*scale = (packed[run + 4] & 15) | packed[run - 4] >> 6 << 4;
	*minimum = packed[run + 4] >> 4 | packed[run] >> 6 << 4;
}

/* Runs 2r and 2r + 1 are the low and the high nibbles of the same 32 bytes. */
static void decode_q4_k(const unsigned char *block, size_t run, float *out)
{
	const unsigned char *bytes = block + 16 + run / 2 * 32;
	unsigned shift = run % 2 * 4;
	int scale, minimum;
	float d, m;

	k_scales(block + 4, run, &scale, &minimum);
	d = load_scale(block) * (float)scale;
	m = load_scale(block + 2) * (float)minimum;
	for (size_t i = 0; i < 32; i++)
		out[i] = d * (float)(bytes[i] >> shift & 15) - m;
}

/* As Q4_K; bit r of 32 bytes before the nibbles is the fifth bit of run r. */
static void decode_q5_k(const unsigned char *block, size_t run, float *out)
{
	const unsigned char *high = block + 16, *bytes = block + 48 + run / 2 * 32;
	unsigned shift = run % 2 * 4;
	int scale, minimum;
	float d, m;

	k_scales(block + 4, run, &scale, &minimum);
	d = load_scale(block) * (float)scale;
	m = load_scale(block + 2) * (float)minimum;
	for (size_t i = 0; i < 32; i++)
		out[i] = d * (float)((bytes[i] >> shift & 15) | (high[i] >> run & 1) << 4) - m;
}

/* Two halves of four runs. Runs 0 and 2 of a half are the nibbles of its first 32 bytes, 1 and 3 of
 * the next; bits 2r and 2r + 1 of 32 bytes are the top of run r. A scale for every 16 elements. */
static void decode_q6_k(const unsigned char *block, size_t run, float *out)
{
	const unsigned char *low = block + run / 4 * 64 + run % 2 * 32;
	const unsigned char *high = block + 128 + run / 4 * 32;
	unsigned low_shift = run % 4 / 2 * 4, high_shift = run % 4 * 2;
	float scale = load_scale(block + 208), d[2];
	signed char scales[2];

	memcpy(scales, block + 192 + 2 * run, sizeof scales);
	d[0] = scale * (float)scales[0];
	d[1] = scale * (float)scales[1];
	for (size_t i = 0; i < 32; i++) {
		int q = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;

		out[i] = d[i / 16] * (float)(q - 32);
	}
}

void pb_block_decode(const void *data, enum pb_dtype dtype, size_t part, float *out)
{
	static void (*const decoders[PB_N_DTYPES])(const unsigned char *, size_t, float *) = {
	    [PB_Q4_0] = decode_q4_0, [PB_Q4_1] = decode_q4_1, [PB_Q5_0] = decode_q5_0,
	    [PB_Q5_1] = decode_q5_1, [PB_Q8_0] = decode_q8_0, [PB_Q4_K] = decode_q4_k,
	    [PB_Q5_K] = decode_q5_k, [PB_Q6_K] = decode_q6_k,
	};
	size_t parts = pb_dtype_block(dtype) / PB_BLOCK_PART, block = part / parts * parts;

	decoders[dtype]((const unsigned char *)data + pb_dtype_bytes(dtype, block * PB_BLOCK_PART),
			part % parts, out);
}
