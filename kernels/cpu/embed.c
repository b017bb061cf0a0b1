/* What is read straight from the checkpoint: token and position embeddings, and rows and columns of
 * matrices, which stay mapped beside what was packed of them. */
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

enum pb_status pb_cpu_matrix_rows(struct pb_device *dev, const struct pb_matrix_rows *op,
				  struct pb_error *err)
{
	const size_t step = 32, n_out = pb_weight_n_out(op->view);

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 1) if (PB_WORTH_THREADS(op->n * n_out))
	for (size_t i = 0; i < op->n; i += step)
		pb_weight_rows(op->view, op->first + i, op->n - i < step ? op->n - i : step,
			       op->out + i * n_out, n_out);
	return PB_OK;
}

enum pb_status pb_cpu_matrix_columns(struct pb_device *dev, const struct pb_matrix_columns *op,
				     struct pb_error *err)
{
	size_t n_in = op->view->n_in;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 1) if (PB_WORTH_THREADS(op->n * n_in))
	for (size_t i = 0; i < op->n; i++)
		pb_weight_column(op->view, (size_t)op->column[i],
				 (float *)op->out.address + i * n_in);
	return PB_OK;
}
