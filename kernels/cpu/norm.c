/* Layer norm and RMS norm, and their exact change under a delta. */
#include "cpu/isa.h"

/* Sums over a row in float32 vector chains joined in float64: a fixed order. */
static inline double row_sum(const float *x, size_t n)
{
	pb_vec acc = {0};
	size_t i = 0;
	double rest = 0.0;

	for (; i + PB_LANES <= n; i += PB_LANES)
		acc += pb_load(x + i);
	for (; i < n; i++)
		rest += (double)x[i];
	return pb_lanes_sum(acc) + rest;
}

/* sum of (x - mean)^2 */
static inline double row_squares(const float *x, float mean, size_t n)
{
	pb_vec acc = {0};
	size_t i = 0;
	double rest = 0.0;

	for (; i + PB_LANES <= n; i += PB_LANES) {
		pb_vec d = pb_load(x + i) - mean;

		acc += d * d;
	}
	for (; i < n; i++)
		rest += (double)((x[i] - mean) * (x[i] - mean));
	return pb_lanes_sum(acc) + rest;
}

enum pb_status PB_KERNEL(norm)(struct pb_device *dev, const struct pb_norm_op *op,
			       struct pb_error *err)
{
	const float *w = pb_in(op->weight), *b = pb_in(op->bias);
	size_t n = op->d_model;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 16) if (PB_WORTH_THREADS(op->n_rows * op->d_model))
	for (size_t r = 0; r < op->n_rows; r++) {
		const float *x = pb_in(op->x) + r * n;
		float *y = pb_out(op->y) + r * n, *stats = pb_out(op->stats) + 2 * r;
		float mean = 0.0f, rstd;

		if (op->kind == PB_NORM_LAYER)
			mean = (float)(row_sum(x, n) / (double)n);
		rstd = (float)(1.0 / sqrt(row_squares(x, mean, n) / (double)n + (double)op->eps));
		for (size_t i = 0; i < n; i++)
			y[i] = (x[i] - mean) * rstd * w[i] + (b ? b[i] : 0.0f);
		stats[0] = mean;
		stats[1] = rstd;
	}
	return PB_OK;
}

/* Below this share of the base's variance the sum of it and its change has lost digits. */
#define CANCELLED 0.0625

/* Both rows apart: where almost all of the base row is taken away (an ablated residual stream) the
 * changed row is small, x0 + delta is as good as exact, and the variance is that of the sum. */
static void norm_apart(const struct pb_norm_delta *op, const float *d, const float *x0,
		       const float *stats, float *y)
{
	const float *w = pb_in(op->weight);
	size_t n = op->d_model;
	double mean = 0.0, squares = 0.0;
	float rstd;

	for (size_t i = 0; op->kind == PB_NORM_LAYER && i < n; i++)
		mean += (double)(x0[i] + d[i]);
	mean /= (double)n;
	for (size_t i = 0; i < n; i++) {
		double c = (double)(x0[i] + d[i]) - mean;

		squares += c * c;
	}
	rstd = (float)(1.0 / sqrt(squares / (double)n + (double)op->eps));
	for (size_t i = 0; i < n; i++)
		y[i] = ((x0[i] + d[i] - (float)mean) * rstd - (x0[i] - stats[0]) * stats[1]) * w[i];
}

/* With c0 = x0 - mean0, e = delta - mean(delta):  var1 - var0 = mean(e (2 c0 + e)), computed so;
 * rstd1 - rstd0 = -(var1 - var0) rstd0 rstd1 / (1/rstd0 + 1/rstd1); and the change of the normed
 * row is (e rstd1 + c0 (rstd1 - rstd0)) w. Nothing cancels, so rounding is relative to delta. */
enum pb_status PB_KERNEL(norm_delta)(struct pb_device *dev, const struct pb_norm_delta *op,
				     struct pb_error *err)
{
	const int32_t *base_row = op->base_row.address;
	const float *w = pb_in(op->weight);
	size_t n = op->d_model;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 16) if (PB_WORTH_THREADS(op->n_rows * op->d_model))
	for (size_t r = 0; r < op->n_rows; r++) {
		size_t b = (size_t)base_row[r];
		const float *d = pb_in(op->delta) + r * n, *x0 = pb_in(op->x0) + b * n;
		const float *stats = pb_in(op->stats) + 2 * b;
		float *y = pb_out(op->y) + r * n;
		float mean0 = stats[0], rstd0 = stats[1], shift = 0.0f, rstd1, change;
		double var0, moved = 0.0, rest = 0.0;
		pb_vec acc = {0};
		size_t i = 0;

		if (op->kind == PB_NORM_LAYER)
			shift = (float)(row_sum(d, n) / (double)n);
		for (; i + PB_LANES <= n; i += PB_LANES) {
			pb_vec e = pb_load(d + i) - shift, c = pb_load(x0 + i) - mean0;

			acc += e * (c + c + e);
		}
		for (; i < n; i++) {
			float e = d[i] - shift, c = x0[i] - mean0;

			rest += (double)(e * (c + c + e));
		}
		moved = (pb_lanes_sum(acc) + rest) / (double)n;
		var0 = 1.0 / ((double)rstd0 * (double)rstd0); /* eps included */
		if (var0 + moved < var0 * CANCELLED) {
			norm_apart(op, d, x0, stats, y);
			continue;
		}
		{
			double s0 = sqrt(var0), s1 = sqrt(var0 + moved);

			rstd1 = (float)(1.0 / s1);
			change = (float)(-moved / ((s0 + s1) * s0 * s1));
		}
		for (i = 0; i < n; i++)
			y[i] = ((d[i] - shift) * rstd1 + (x0[i] - mean0) * change) * w[i];
	}
	return PB_OK;
}
