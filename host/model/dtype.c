/* Element types, and the reading of weights through their views. Addresses in a checkpoint are
 * not aligned: every access is a memcpy, which compiles to an unaligned load. */
#include <assert.h>
#include <string.h>

#include "patchbay/model.h"

size_t pb_dtype_size(enum pb_dtype dtype)
{
	return dtype == PB_F32 ? 4 : 2;
}

const char *pb_dtype_name(enum pb_dtype dtype)
{
	switch (dtype) {
	case PB_F32:
		return "F32";
	case PB_F16:
		return "F16";
	case PB_BF16:
		return "BF16";
	}
	return "?";
}

static float float_of_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

/* Half precision, widened exactly with normal float32 numbers only, so that it also holds where
 * the processor flushes subnormals to zero. No branch: the loops below vectorise. */
static inline float widen_f16(uint16_t half)
{
	const uint32_t exponent_mask = UINT32_C(0x7c00) << 13;
	uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
	uint32_t exponent = bits & exponent_mask;
	uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	uint32_t normal, subnormal;
	float magnitude;

	/* Bias 15 becomes 127; infinity and NaN go on to the largest exponent. */
	normal = bits + (UINT32_C(112) << 23);
	normal += exponent == exponent_mask ? UINT32_C(112) << 23 : 0;
	/* m * 2^-24 = (1 + m * 2^-10) * 2^-14 - 2^-14, exact in float32. */
	magnitude = float_of_bits(bits + (UINT32_C(113) << 23)) - 0x1.0p-14f;
	memcpy(&subnormal, &magnitude, sizeof subnormal);
	return float_of_bits((exponent == 0 ? subnormal : normal) | sign);
}

static inline float widen_bf16(uint16_t half)
{
	return float_of_bits((uint32_t)half << 16);
}

static uint16_t load_u16(const void *data, size_t index)
{
	uint16_t value;

	memcpy(&value, (const char *)data + 2 * index, sizeof value);
	return value;
}

float pb_dtype_load(const void *data, enum pb_dtype dtype, size_t index)
{
	float value;

	switch (dtype) {
	case PB_F16:
		return widen_f16(load_u16(data, index));
	case PB_BF16:
		return widen_bf16(load_u16(data, index));
	case PB_F32:
		break;
	}
	memcpy(&value, (const char *)data + 4 * index, sizeof value);
	return value;
}

#define WIDEN_BLOCK 64 /* a fixed trip count, which -O2 vectorises */

static void widen_f16_block(const void *data, float *out)
{
	uint16_t half[WIDEN_BLOCK];
	size_t i;

	memcpy(half, data, sizeof half);
	for (i = 0; i < WIDEN_BLOCK; i++)
		out[i] = widen_f16(half[i]);
}

static void widen_bf16_block(const void *data, float *out)
{
	uint16_t half[WIDEN_BLOCK];
	uint32_t bits[WIDEN_BLOCK];
	size_t i;

	memcpy(half, data, sizeof half);
	for (i = 0; i < WIDEN_BLOCK; i++)
		bits[i] = (uint32_t)half[i] << 16;
	memcpy(out, bits, sizeof bits);
}

void pb_dtype_widen(const void *data, enum pb_dtype dtype, size_t n, float *out)
{
	size_t i = 0;

	if (n == 0)
		return;
	if (dtype == PB_F32) {
		memcpy(out, data, n * sizeof *out);
		return;
	}
	for (; n - i >= WIDEN_BLOCK; i += WIDEN_BLOCK) {
		if (dtype == PB_F16)
			widen_f16_block((const char *)data + 2 * i, out + i);
		else
			widen_bf16_block((const char *)data + 2 * i, out + i);
	}
	for (; i < n; i++)
		out[i] = pb_dtype_load(data, dtype, i);
}

/* ---- views --------------------------------------------------------------------------- */

static const char *element(const void *data, enum pb_dtype dtype, ptrdiff_t index)
{
	return (const char *)data + index * (ptrdiff_t)pb_dtype_size(dtype);
}

/* Address of W[i, g * group_size + j]. */
static const char *weight_element(const struct pb_weight *w, size_t i, size_t g, size_t j)
{
	return element(w->data, w->dtype,
		       (ptrdiff_t)i * w->stride_in + (ptrdiff_t)g * w->stride_group +
			   (ptrdiff_t)j * w->stride_out);
}

float pb_weight_at(const struct pb_weight *w, size_t i, size_t o)
{
	assert(w->data != NULL && i < w->n_in && o < pb_weight_n_out(w));
	return pb_dtype_load(weight_element(w, i, o / w->group_size, o % w->group_size), w->dtype,
			     0);
}

float pb_vector_at(const struct pb_vector *v, size_t o)
{
	size_t g = o / v->group_size, j = o % v->group_size;

	assert(v->data != NULL && g < v->n_groups);
	return pb_dtype_load(element(v->data, v->dtype, (ptrdiff_t)g * v->stride_group), v->dtype,
			     j);
}

/* The transposed case goes by tiles: runs of inputs are read for a few outputs, and written as
 * runs of outputs. */
#define TILE_IN 64
#define TILE_OUT 16

static void read_tile(const struct pb_weight *w, size_t i0, size_t n_in, size_t g, size_t j0,
		      size_t n_out, float *out, size_t ld)
{
	float tile[TILE_OUT][TILE_IN];
	size_t i, j;

	for (j = 0; j < n_out; j++)
		pb_dtype_widen(weight_element(w, i0, g, j0 + j), w->dtype, n_in, tile[j]);
	for (i = 0; i < n_in; i++)
		for (j = 0; j < n_out; j++)
			out[i * ld + j] = tile[j][i];
}

static void read_transposed(const struct pb_weight *w, size_t i0, size_t n, float *out, size_t ld)
{
	size_t i, g, j;

	for (i = 0; i < n; i += TILE_IN) {
		size_t n_in = n - i < TILE_IN ? n - i : TILE_IN;

		for (g = 0; g < w->n_groups; g++) {
			for (j = 0; j < w->group_size; j += TILE_OUT) {
				size_t left = w->group_size - j;

				read_tile(w, i0 + i, n_in, g, j, left < TILE_OUT ? left : TILE_OUT,
					  out + i * ld + g * w->group_size + j, ld);
			}
		}
	}
}

void pb_weight_rows(const struct pb_weight *w, size_t i0, size_t n, float *out, size_t ld)
{
	size_t i, g, j;

	assert(w->data != NULL && i0 <= w->n_in && n <= w->n_in - i0 && ld >= pb_weight_n_out(w));
	if (w->stride_in == 1 && w->stride_out != 1) {
		read_transposed(w, i0, n, out, ld);
		return;
	}
	for (i = 0; i < n; i++) {
		for (g = 0; g < w->n_groups; g++) {
			float *to = out + i * ld + g * w->group_size;

			if (w->stride_out == 1) {
				pb_dtype_widen(weight_element(w, i0 + i, g, 0), w->dtype,
					       w->group_size, to);
				continue;
			}
			for (j = 0; j < w->group_size; j++)
				to[j] = pb_dtype_load(weight_element(w, i0 + i, g, j), w->dtype, 0);
		}
	}
}

void pb_weight_column(const struct pb_weight *w, size_t o, float *out)
{
	size_t g = o / w->group_size, j = o % w->group_size, i;

	assert(w->data != NULL && g < w->n_groups);
	if (w->stride_in == 1) {
		pb_dtype_widen(weight_element(w, 0, g, j), w->dtype, w->n_in, out);
		return;
	}
	for (i = 0; i < w->n_in; i++)
		out[i] = pb_dtype_load(weight_element(w, i, g, j), w->dtype, 0);
}

void pb_vector_read(const struct pb_vector *v, float *out)
{
	size_t g;

	assert(v->data != NULL);
	for (g = 0; g < v->n_groups; g++)
		pb_dtype_widen(element(v->data, v->dtype, (ptrdiff_t)g * v->stride_group), v->dtype,
			       v->group_size, out + g * v->group_size);
}
