/* Norms of q and k by head, and their exact change: a warp a head of a row, in float64, in which
 * the difference of two norms loses nothing that float32 would keep. */
#include "cuda/cuda.h"

struct head_args {
	int layer;
	float eps;
	size_t n, n_parts, width, stride, x0_stride;
	float *x;
	const float *weight, *bias, *x0;
	const int32_t *base_row;
};

/* Mean (0 for RMS) and 1 / sqrt(variance + eps) of x0 + d; d may be NULL. */
static __device__ void part_stats(const struct head_args &g, const float *x0, const float *d,
				  unsigned lane, double *mean, double *rstd)
{
	double sum = 0.0, squares = 0.0;

	for (size_t i = lane; g.layer && i < g.width; i += PB_WARP)
		sum += (double)x0[i] + (d ? (double)d[i] : 0.0);
	*mean = pb_warp_sum(sum) / (double)g.width;
	for (size_t i = lane; i < g.width; i += PB_WARP) {
		double c = (double)x0[i] + (d ? (double)d[i] : 0.0) - *mean;

		squares += c * c;
	}
	*rstd = 1.0 / sqrt(pb_warp_sum(squares) / (double)g.width + (double)g.eps);
}

static __global__ void head_norms(struct head_args g)
{
	unsigned lane = threadIdx.x % PB_WARP;
	size_t at = (size_t)blockIdx.x * PB_ROW_WARPS + threadIdx.x / PB_WARP;
	size_t r = at / g.n_parts, first = at % g.n_parts * g.width;
	float *x = g.x + r * g.stride + first;
	const float *w = g.weight + first;
	double mean, rstd, mean1, rstd1;

	if (at >= g.n)
		return;
	if (!g.x0) {
		part_stats(g, x, nullptr, lane, &mean, &rstd);
		for (size_t i = lane; i < g.width; i += PB_WARP)
			x[i] = (float)(((double)x[i] - mean) * rstd * (double)w[i] +
				       (g.bias ? (double)g.bias[first + i] : 0.0));
		return;
	}
	{
		const float *x0 = g.x0 + (size_t)g.base_row[r] * g.x0_stride + first;

		part_stats(g, x0, nullptr, lane, &mean, &rstd);
		part_stats(g, x0, x, lane, &mean1, &rstd1);
		for (size_t i = lane; i < g.width; i += PB_WARP) {
			double c0 = (double)x0[i] - mean, c1 = (double)x0[i] + (double)x[i] - mean1;

			/* no change is exactly none, however products are fused */
			x[i] = (float)(((c1 - c0) * rstd1 + c0 * (rstd1 - rstd)) * (double)w[i]);
		}
	}
}

enum pb_status pb_cuda_head_norm(struct pb_device *dev, const struct pb_head_norm *op,
				 struct pb_error *err)
{
	struct head_args g = {};

	g.layer = op->kind == PB_NORM_LAYER;
	g.eps = op->eps;
	g.n = op->n_rows * op->n_parts;
	g.n_parts = op->n_parts;
	g.width = op->width;
	g.stride = op->x_stride;
	g.x0_stride = op->x0_stride;
	g.x = pb_floats(op->x);
	g.weight = pb_floats(op->weight);
	g.bias = pb_floats(op->bias);
	g.x0 = pb_floats(op->x0);
	g.base_row = pb_ints(op->base_row);
	PB_RUN(pb_cuda_of(dev), head_norms, pb_cover(g.n, PB_ROW_WARPS), dim3(PB_ROW_THREADS), 0,
	       g);
	return PB_OK;
}
