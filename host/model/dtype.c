/* Element types, and the reading of weights through their views. Addresses in a checkpoint are
 * not aligned: every access is a memcpy, which compiles to an unaligned load. */
#include <assert.h>
#include <string.h>

#include "model/dtype_blocks.h"

static const struct {
	const char *name;
	size_t block, bytes; /* elements and bytes of a block */
} dtypes[PB_N_DTYPES] = {
    [PB_F32] = {"F32", 1, 4},       [PB_F16] = {"F16", 1, 2},       [PB_BF16] = {"BF16", 1, 2},
    [PB_Q4_0] = {"Q4_0", 32, 18},   [PB_Q4_1] = {"Q4_1", 32, 20},   [PB_Q5_0] = {"Q5_0", 32, 22},
    [PB_Q5_1] = {"Q5_1", 32, 24},   [PB_Q8_0] = {"Q8_0", 32, 34},   [PB_Q4_K] = {"Q4_K", 256, 144},
    [PB_Q5_K] = {"Q5_K", 256, 176}, [PB_Q6_K] = {"Q6_K", 256, 210},
};

size_t pb_dtype_block(enum pb_dtype dtype)
{
	return dtypes[dtype].block;
}

size_t pb_dtype_bytes(enum pb_dtype dtype, size_t n)
{
	return n / dtypes[dtype].block * dtypes[dtype].bytes;
}

const char *pb_dtype_name(enum pb_dtype dtype)
{
	return dtypes[dtype].name;
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

float pb_widen_f16(uint16_t half)
{
	return widen_f16(half);
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
	float value, part[PB_BLOCK_PART];

	if (dtype == PB_F16)
		return widen_f16(load_u16(data, index));
	if (dtype == PB_BF16)
		return widen_bf16(load_u16(data, index));
	if (dtype == PB_F32) {
		memcpy(&value, (const char *)data + 4 * index, sizeof value);
		return value;
	}
	pb_block_decode(data, dtype, index / PB_BLOCK_PART, part);
	return part[index % PB_BLOCK_PART];
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

static void widen_plain(const void *data, enum pb_dtype dtype, size_t first, size_t n, float *out)
{
	const char *from = (const char *)data + pb_dtype_bytes(dtype, first);
	size_t i = 0;

	if (dtype == PB_F32) {
		memcpy(out, from, n * sizeof *out);
		return;
	}
	for (; n - i >= WIDEN_BLOCK; i += WIDEN_BLOCK) {
		if (dtype == PB_F16)
			widen_f16_block(from + 2 * i, out + i);
		else
			widen_bf16_block(from + 2 * i, out + i);
	}
	for (; i < n; i++)
		out[i] = pb_dtype_load(from, dtype, i);
}

static void widen_blocks(const void *data, enum pb_dtype dtype, size_t first, size_t n, float *out)
{
	float part[PB_BLOCK_PART];

	for (size_t i = 0; i < n;) {
		size_t skip = (first + i) % PB_BLOCK_PART, take = PB_BLOCK_PART - skip;
		size_t index = (first + i) / PB_BLOCK_PART;

		if (take > n - i)
			take = n - i;
		if (take == PB_BLOCK_PART) {
			pb_block_decode(data, dtype, index, out + i);
		} else {
			pb_block_decode(data, dtype, index, part);
			memcpy(out + i, part + skip, take * sizeof *out);
		}
		i += take;
	}
}

void pb_dtype_widen(const void *data, enum pb_dtype dtype, size_t first, size_t n, float *out)
{
	if (n == 0)
		return;
	if (dtypes[dtype].block == 1)
		widen_plain(data, dtype, first, n, out);
	else
		widen_blocks(data, dtype, first, n, out);
}

/* ---- views --------------------------------------------------------------------------- */

/* Where number `index` of `n` lies among numbers that were interleaved by their halves. */
static size_t place(bool interleaved, size_t n, size_t index)
{
	if (!interleaved)
		return index;
	return index < n / 2 ? 2 * index : 2 * (index - n / 2) + 1;
}

/* Which element of w->data W[i, g * group_size + j] is. */
static size_t weight_element(const struct pb_weight *w, size_t i, size_t g, size_t j)
{
	i = place(w->interleaved_in, w->n_in, i);
	j = place(w->interleaved, w->group_size, j);
	return w->first + (size_t)((ptrdiff_t)i * w->stride_in + (ptrdiff_t)g * w->stride_group +
				   (ptrdiff_t)j * w->stride_out);
}

static float load_weight(const struct pb_weight *w, size_t i, size_t g, size_t j)
{
	return pb_dtype_load(w->data, w->dtype, weight_element(w, i, g, j));
}

float pb_weight_at(const struct pb_weight *w, size_t i, size_t o)
{
	assert(w->data != NULL && i < w->n_in && o < pb_weight_n_out(w));
	return load_weight(w, i, o / w->group_size, o % w->group_size);
}

float pb_vector_at(const struct pb_vector *v, size_t o)
{
	size_t g = o / v->group_size, j = place(v->interleaved, v->group_size, o % v->group_size);

	assert(v->data != NULL && g < v->n_groups);
	return pb_dtype_load(v->data, v->dtype,
			     v->first + (size_t)((ptrdiff_t)g * v->stride_group) + j) +
	       v->plus;
}

/* Inputs (outputs) that follow one another in the file. */
static bool inputs_adjoin(const struct pb_weight *w)
{
	return w->stride_in == 1 && !w->interleaved_in;
}

static bool outputs_adjoin(const struct pb_weight *w)
{
	return w->stride_out == 1 && !w->interleaved;
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
		pb_dtype_widen(w->data, w->dtype, weight_element(w, i0, g, j0 + j), n_in, tile[j]);
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

struct pb_weight pb_weight_of_rows(const float *rows, size_t n_in, size_t n_out)
{
	return (struct pb_weight){.data = rows,
				  .dtype = PB_F32,
				  .n_in = n_in,
				  .n_groups = 1,
				  .group_size = n_out,
				  .stride_in = (ptrdiff_t)n_out,
				  .stride_group = (ptrdiff_t)n_out,
				  .stride_out = 1};
}

void pb_weight_rows(const struct pb_weight *w, size_t i0, size_t n, float *out, size_t ld)
{
	size_t i, g, j;

	assert(w->data != NULL && i0 <= w->n_in && n <= w->n_in - i0 && ld >= pb_weight_n_out(w));
	if (inputs_adjoin(w) && !outputs_adjoin(w)) {
		read_transposed(w, i0, n, out, ld);
		return;
	}
	for (i = 0; i < n; i++) {
		for (g = 0; g < w->n_groups; g++) {
			float *to = out + i * ld + g * w->group_size;

			if (outputs_adjoin(w)) {
				pb_dtype_widen(w->data, w->dtype, weight_element(w, i0 + i, g, 0),
					       w->group_size, to);
				continue;
			}
			for (j = 0; j < w->group_size; j++)
				to[j] = load_weight(w, i0 + i, g, j);
		}
	}
}

void pb_weight_column(const struct pb_weight *w, size_t o, float *out)
{
	size_t g = o / w->group_size, j = o % w->group_size, i;

	assert(w->data != NULL && g < w->n_groups);
	if (inputs_adjoin(w)) {
		pb_dtype_widen(w->data, w->dtype, weight_element(w, 0, g, j), w->n_in, out);
		return;
	}
	for (i = 0; i < w->n_in; i++)
		out[i] = load_weight(w, i, g, j);
}

void pb_vector_read(const struct pb_vector *v, float *out)
{
	size_t n = v->n_groups * v->group_size, g, o;

	assert(v->data != NULL);
	if (v->interleaved) {
		for (o = 0; o < n; o++)
			out[o] = pb_vector_at(v, o);
		return;
	}
	for (g = 0; g < v->n_groups; g++)
		pb_dtype_widen(v->data, v->dtype,
			       v->first + (size_t)((ptrdiff_t)g * v->stride_group), v->group_size,
			       out + g * v->group_size);
	for (o = 0; v->plus != 0.0f && o < n; o++)
		out[o] += v->plus;
}
