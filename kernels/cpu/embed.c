/* Token and position embeddings: rows read straight from the checkpoint. */
#include "cpu/kernels.h"

enum pb_status pb_cpu_embed(struct pb_device *dev, const struct pb_embed *op, struct pb_error *err)
{
	size_t n = op->d_model;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 32) if (PB_WORTH_THREADS(op->n_rows * n))
	for (size_t r = 0; r < op->n_rows; r++) {
		float *x = (float *)op->x.address + r * n;

		pb_weight_rows(op->embed, (size_t)op->token[r], 1, x, n);
		for (size_t d = 0; op->scale != 0.0f && d < n; d++)
			x[d] *= op->scale;
		for (size_t d = 0; op->pos_embed && d < n; d++)
			x[d] += pb_weight_at(op->pos_embed, (size_t)op->position[r], d);
	}
	return PB_OK;
}
