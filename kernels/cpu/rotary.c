/* Rotary position embedding on the first rotary_dims of each head, pairs (i, i + rotary_dims/2)
 * or, interleaved, (2i, 2i + 1). */
#include "cpu/isa.h"

enum pb_status PB_KERNEL(rotary)(struct pb_device *dev, const struct pb_rotary *op,
				 struct pb_error *err)
{
	const int32_t *position = op->position.address;
	size_t half = op->rotary_dims / 2;
	size_t step = op->interleaved ? 2 : 1, apart = op->interleaved ? 1 : half;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 32) if (PB_WORTH_THREADS(op->n_rows * op->x_stride))
	for (size_t r = 0; r < op->n_rows; r++) {
		const float *cosine = pb_in(op->cos_sin) + (size_t)position[r] * op->rotary_dims;
		const float *sine = cosine + half;

		for (size_t h = 0; h < op->n_heads; h++) {
			float *x = pb_out(op->x) + r * op->x_stride + h * op->d_head;

			for (size_t i = 0; i < half; i++) {
				float *u = x + i * step, a = *u, b = u[apart];

				*u = a * cosine[i] - b * sine[i];
				u[apart] = b * cosine[i] + a * sine[i];
			}
		}
	}
	return PB_OK;
}
