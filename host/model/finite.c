/* The search for NaN and infinity in the weights. */
#include <math.h>
#include <string.h>

#include "model/model_files.h"

#define SCAN_BLOCK ((size_t)1024)       /* elements looked at before a decision */
#define SCAN_CHUNK ((size_t)256 * 1024) /* elements a thread takes at a time */

/* An exponent of all ones is infinity or NaN: adding one at its lowest bit carries into the sign
 * bit's place. A block has a fixed size, so that -O2 vectorises the loops. */
static bool block_is_finite_32(const unsigned char *data)
{
	uint32_t carry = 0, bits;
	size_t i;

	for (i = 0; i < SCAN_BLOCK; i++) {
		memcpy(&bits, data + 4 * i, 4);
		carry |= (bits & UINT32_C(0x7f800000)) + UINT32_C(0x00800000);
	}
	return (carry & UINT32_C(0x80000000)) == 0;
}

static bool block_is_finite_16(const unsigned char *data, uint16_t mask, uint16_t one)
{
	uint16_t carry = 0, bits;
	size_t i;

	for (i = 0; i < SCAN_BLOCK; i++) {
		memcpy(&bits, data + 2 * i, 2);
		carry = (uint16_t)(carry | (uint16_t)((bits & mask) + one));
	}
	return (carry & 0x8000) == 0;
}

/* SCAN_BLOCK elements from `first` on, a multiple of it. */
static bool block_is_finite(const unsigned char *data, enum pb_dtype dtype, size_t first)
{
	float wide[SCAN_BLOCK];

	if (dtype == PB_F16)
		return block_is_finite_16(data + 2 * first, 0x7c00, 0x0400);
	if (dtype == PB_BF16)
		return block_is_finite_16(data + 2 * first, 0x7f80, 0x0080);
	if (dtype == PB_F32)
		return block_is_finite_32(data + 4 * first);
	pb_dtype_widen(data, dtype, first, SCAN_BLOCK, wide);
	return block_is_finite_32((const unsigned char *)wide);
}

/* Index of the first element in [begin, end) that is not finite; SIZE_MAX: none. */
static size_t scan_range(const unsigned char *data, enum pb_dtype dtype, size_t begin, size_t end)
{
	size_t i = begin;

	while (i < end) {
		size_t stop = end - i < SCAN_BLOCK ? end : i + SCAN_BLOCK;

		if (stop - i == SCAN_BLOCK && block_is_finite(data, dtype, i)) {
			i = stop;
			continue;
		}
		for (; i < stop; i++)
			if (!isfinite(pb_dtype_load(data, dtype, i)))
				return i;
	}
	return SIZE_MAX;
}

/* As scan_range over a whole tensor, on all threads; the answer does not depend on their number. */
static size_t scan_tensor(const struct pb_tensor *tensor, enum pb_dtype dtype)
{
	size_t n_chunks = (tensor->n_elements + SCAN_CHUNK - 1) / SCAN_CHUNK;
	size_t first = SIZE_MAX, c;

#pragma omp parallel for schedule(dynamic) reduction(min : first) if (n_chunks > 1)
	for (c = 0; c < n_chunks; c++) {
		size_t begin = c * SCAN_CHUNK, end = begin + SCAN_CHUNK, found;

		if (end > tensor->n_elements)
			end = tensor->n_elements;
		found = scan_range(tensor->data, dtype, begin, end);
		if (found < first)
			first = found;
	}
	return first;
}

static enum pb_status not_finite(const struct pb_checkpoint *file, const struct pb_tensor *tensor,
				 enum pb_dtype dtype, size_t index, struct pb_error *err)
{
	size_t place[PB_TENSOR_DIMS_MAX], rest = index, i;
	char text[256];

	for (i = tensor->n_dims; i-- > 0;) {
		place[i] = rest % tensor->shape[i];
		rest /= tensor->shape[i];
	}
	pb_shape_format(text, sizeof text, place, tensor->n_dims);
	return pb_fail(
	    err, PB_ERR_INPUT,
	    "weight is not a number: %s, tensor %s, element %s: %s: training diverged or "
	    "the file was converted beyond its range: use another checkpoint",
	    pb_checkpoint_path(file, tensor), tensor->name, text,
	    isnan(pb_dtype_load(tensor->data, dtype, index)) ? "NaN" : "infinity");
}

enum pb_status pb_model_check_finite(const struct pb_model *model, struct pb_error *err)
{
	const struct pb_checkpoint *file = &model->files->weights;
	enum pb_dtype dtype;
	size_t i, found;

	for (i = 0; i < file->n_tensors; i++) {
		const struct pb_tensor *tensor = &file->tensors[i];

		if (!tensor->used || !pb_tensor_dtype(tensor, &dtype))
			continue;
		found = scan_tensor(tensor, dtype);
		if (found != SIZE_MAX)
			return not_finite(file, tensor, dtype, found, err);
		pb_checkpoint_release(file, tensor->data,
				      pb_dtype_bytes(dtype, tensor->n_elements));
	}
	return PB_OK;
}
