/* Moving rows: gather, scatter, difference, and telling where two rows differ. */
#include "cpu/isa.h"

static inline size_t index_of(const int32_t *index, size_t i)
{
	return index ? (size_t)index[i] : i;
}

enum pb_status PB_KERNEL(rows)(struct pb_device *dev, const struct pb_rows *op,
			       struct pb_error *err)
{
	const int32_t *a_row = op->a_row.address, *b_row = op->b_row.address;
	const int32_t *out_row = op->out_row.address;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 32) if (PB_WORTH_THREADS(op->n_rows * op->columns))
	for (size_t i = 0; i < op->n_rows; i++) {
		const float *a = pb_in(op->a) + index_of(a_row, i) * op->a_stride;
		const float *b =
		    op->b.address ? pb_in(op->b) + index_of(b_row, i) * op->b_stride : NULL;
		float *out = pb_out(op->out) + index_of(out_row, i) * op->out_stride;

		for (size_t j = 0; j < op->columns; j++) {
			float v = b ? a[j] - b[j] : a[j];

			out[j] = op->accumulate ? out[j] + v : v;
		}
	}
	return PB_OK;
}

enum pb_status PB_KERNEL(differ)(struct pb_device *dev, const struct pb_differ *op,
				 struct pb_error *err)
{
	size_t width = op->n_heads * op->d_head, stride = op->stride ? op->stride : width;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 32) if (PB_WORTH_THREADS(op->n * width))
	for (size_t i = 0; i < op->n; i++) {
		const float *a = pb_in(op->z) + (size_t)op->a_row[i] * stride;
		const float *b = pb_in(op->z) + (size_t)op->b_row[i] * stride;

		for (size_t h = 0; h < op->n_heads; h++) {
			uint8_t flag = 0;

			for (size_t j = h * op->d_head; j < (h + 1) * op->d_head; j++)
				flag |= (uint8_t) !(a[j] == b[j]); /* NaN differs */
			op->flag[i * op->n_heads + h] = flag;
		}
	}
	return PB_OK;
}
