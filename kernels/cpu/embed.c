/* Token and position embeddings: rows read straight from the checkpoint. */
#include "cpu/kernels.h"

enum pb_status pb_cpu_embed(struct pb_device *dev, const struct pb_embed *op, struct pb_error *err)
{
	float *x = op->x.address;

	(void)dev;
	(void)err;
	for (size_t r = 0; r < op->n_rows; r++)
		for (size_t d = 0; d < op->d_model; d++) {
			float v = pb_weight_at(op->embed, (size_t)op->token[r], d);

			if (op->pos_embed)
				v += pb_weight_at(op->pos_embed, (size_t)op->position[r], d);
			x[r * op->d_model + d] = v;
		}
	return PB_OK;
}
