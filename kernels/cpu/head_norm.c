/* Norms of q and k by head, and their exact change. A head is narrow: everything is in float64. */
#include "cpu/isa.h"

/* Mean (0 for RMS) and 1 / sqrt(variance + eps) of x0 + d; d may be NULL. */
static inline void part_stats(const struct pb_head_norm *op, const float *x0, const float *d,
			      double *mean, double *rstd)
{
	double sum = 0.0, squares = 0.0;

	for (size_t i = 0; op->kind == PB_NORM_LAYER && i < op->width; i++)
		sum += (double)x0[i] + (d ? (double)d[i] : 0.0);
	*mean = sum / (double)op->width;
	for (size_t i = 0; i < op->width; i++) {
		double c = (double)x0[i] + (d ? (double)d[i] : 0.0) - *mean;

		squares += c * c;
	}
	*rstd = 1.0 / sqrt(squares / (double)op->width + (double)op->eps);
}

/* x <- norm(x0 + x) - norm(x0): in float64 the difference of the two loses nothing that float32
 * would keep. */
static void norm_change(const struct pb_head_norm *op, const float *x0, const float *w, float *x)
{
	double mean0, rstd0, mean1, rstd1;

	part_stats(op, x0, NULL, &mean0, &rstd0);
	part_stats(op, x0, x, &mean1, &rstd1);
	for (size_t i = 0; i < op->width; i++) {
		double c0 = (double)x0[i] - mean0, c1 = (double)x0[i] + (double)x[i] - mean1;

		/* no change is exactly none, however products are fused */
		x[i] = (float)(((c1 - c0) * rstd1 + c0 * (rstd1 - rstd0)) * (double)w[i]);
	}
}

static void norm_part(const struct pb_head_norm *op, const float *w, const float *b, float *x)
{
	double mean, rstd;

	part_stats(op, x, NULL, &mean, &rstd);
	for (size_t i = 0; i < op->width; i++)
		x[i] =
		    (float)(((double)x[i] - mean) * rstd * (double)w[i] + (b ? (double)b[i] : 0.0));
}

enum pb_status PB_KERNEL(head_norm)(struct pb_device *dev, const struct pb_head_norm *op,
				    struct pb_error *err)
{
	const int32_t *base_row = op->base_row.address;
	const float *w = pb_in(op->weight), *b = pb_in(op->bias);
	size_t row = op->n_parts * op->width;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 16) if (PB_WORTH_THREADS(op->n_rows * row))
	for (size_t r = 0; r < op->n_rows; r++) {
		float *x = pb_out(op->x) + r * op->x_stride;

		for (size_t i = 0; i < row; i += op->width) {
			if (op->x0.address)
				norm_change(op,
					    pb_in(op->x0) + (size_t)base_row[r] * op->x0_stride + i,
					    w + i, x + i);
			else
				norm_part(op, w + i, b ? b + i : NULL, x + i);
		}
	}
	return PB_OK;
}
