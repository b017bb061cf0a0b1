/* Layer norm and RMS norm, and their exact change under a delta. A warp a row: each lane sums its
 * own columns in order, in float64 where that is nearly free, and the lanes are joined in a fixed
 * order. Every row is read two or three times, all but the first from the cache. */
#include "cuda/cuda.h"

struct norm_args {
	int layer; /* layer norm, else RMS */
	float eps;
	size_t n_rows, width;
	const float *x, *weight, *bias;
	float *y, *stats;
};

static __global__ void norm_rows(struct norm_args g)
{
	unsigned lane = threadIdx.x % PB_WARP;
	size_t r = (size_t)blockIdx.x * PB_ROW_WARPS + threadIdx.x / PB_WARP;
	const float *x = g.x + r * g.width;
	float *y = g.y + r * g.width;
	float mean = 0.0f, rstd, sum = 0.0f;

	if (r >= g.n_rows)
		return;
	if (g.layer) {
		for (size_t i = lane; i < g.width; i += PB_WARP)
			sum += x[i];
		mean = (float)(pb_warp_sum((double)sum) / (double)g.width);
	}
	sum = 0.0f;
	for (size_t i = lane; i < g.width; i += PB_WARP) {
		float c = x[i] - mean;

		sum += c * c;
	}
	rstd = (float)(1.0 / sqrt(pb_warp_sum((double)sum) / (double)g.width + (double)g.eps));
	for (size_t i = lane; i < g.width; i += PB_WARP)
		y[i] = (x[i] - mean) * rstd * g.weight[i] + (g.bias ? g.bias[i] : 0.0f);
	if (lane == 0) {
		g.stats[2 * r] = mean;
		g.stats[2 * r + 1] = rstd;
	}
}

enum pb_status pb_cuda_norm(struct pb_device *dev, const struct pb_norm_op *op,
			    struct pb_error *err)
{
	struct norm_args g = {};

	g.layer = op->kind == PB_NORM_LAYER;
	g.eps = op->eps;
	g.n_rows = op->n_rows;
	g.width = op->d_model;
	g.x = pb_floats(op->x);
	g.weight = pb_floats(op->weight);
	g.bias = pb_floats(op->bias);
	g.y = pb_floats(op->y);
	g.stats = pb_floats(op->stats);
	PB_RUN(pb_cuda_of(dev), norm_rows, pb_cover(op->n_rows, PB_ROW_WARPS), dim3(PB_ROW_THREADS),
	       0, g);
	return PB_OK;
}

/* ---- the change ------------------------------------------------------------------------------ */

/* Below this share of the base's variance the sum of it and its change has lost digits. */
#define CANCELLED 0.0625

struct delta_args {
	int layer;
	float eps;
	size_t n_rows, width;
	const float *delta, *x0, *stats, *weight;
	const int32_t *base_row;
	float *y;
	bool half;
};

/* Where almost all of the base row is taken away: both rows apart, the variance of the sum. */
static __device__ void norm_apart(const struct delta_args &g, const float *d, const float *x0,
				  const float *stats, float *y, unsigned lane)
{
	double mean = 0.0, squares = 0.0;
	float rstd;

	for (size_t i = lane; g.layer && i < g.width; i += PB_WARP)
		mean += (double)(x0[i] + d[i]);
	mean = pb_warp_sum(mean) / (double)g.width;
	for (size_t i = lane; i < g.width; i += PB_WARP) {
		double c = (double)(x0[i] + d[i]) - mean;

		squares += c * c;
	}
	rstd = (float)(1.0 / sqrt(pb_warp_sum(squares) / (double)g.width + (double)g.eps));
	for (size_t i = lane; i < g.width; i += PB_WARP) {
		float out = ((x0[i] + d[i] - (float)mean) * rstd - (x0[i] - stats[0]) * stats[1]) *
			    g.weight[i];

		pb_store<1>(y, i, &out, g.half);
	}
}

/* The steps of a lane over its row, at columns i; the change there. */
#define PB_EACH_STEP                                                                               \
	PB_UNROLL                                                                                  \
	for (size_t k = 0, i = (size_t)N * lane; (held == 0 || k < held) && i < g.width;           \
	     k++, i += step)
#define PB_CHANGE(x)                                                                               \
	do {                                                                                       \
		if (held)                                                                          \
			for (int n_ = 0; n_ < N; n_++)                                             \
				(x)[n_] = kept[held ? k : 0][n_];                                  \
		else                                                                               \
			pb_load<N>(d + i, (x));                                                    \
	} while (0)

/* With c0 = x0 - mean0, e = delta - mean(delta):  var1 - var0 = mean(e (2 c0 + e)), computed so;
 * rstd1 - rstd0 = -(var1 - var0) rstd0 rstd1 / (1/rstd0 + 1/rstd1); the change of the normed row
 * is (e rstd1 + c0 (rstd1 - rstd0)) w. N columns a lane at once, and rows of up to 32 N `held`
 * columns stay in registers. */
template <int N, int held> static __global__ void norm_delta_rows(struct delta_args g)
{
	const size_t step = (size_t)N * PB_WARP;
	size_t r = (size_t)blockIdx.x * PB_ROW_WARPS + threadIdx.x / PB_WARP, b;
	unsigned lane = threadIdx.x % PB_WARP;
	const float *d, *x0, *stats;
	float *y, mean0, shift = 0.0f, sum = 0.0f, rstd1, change;
	float kept[held > 0 ? held : 1][N];
	double moved, var0, s0, s1;

	if (r >= g.n_rows)
		return;
	b = (size_t)g.base_row[r];
	d = g.delta + r * g.width;
	x0 = g.x0 + b * g.width;
	stats = g.stats + 2 * b;
	y = g.y + r * g.width;
	mean0 = stats[0];
	PB_UNROLL
	for (int k = 0; k < held; k++) {
		size_t i = (size_t)N * lane + (size_t)k * step;

		if (i < g.width)
			pb_load<N>(d + i, kept[k]);
	}
	if (g.layer) {
		PB_EACH_STEP
		{
			float x[N];

			PB_CHANGE(x);
			PB_UNROLL
			for (int n = 0; n < N; n++)
				sum += x[n];
		}
		shift = (float)(pb_warp_sum((double)sum) / (double)g.width);
	}
	sum = 0.0f;
	PB_EACH_STEP
	{
		float x[N], base[N];

		PB_CHANGE(x);
		pb_load<N>(x0 + i, base);
		PB_UNROLL
		for (int n = 0; n < N; n++) {
			float e = x[n] - shift, c = base[n] - mean0;

			sum += e * (c + c + e);
		}
	}
	moved = pb_warp_sum((double)sum) / (double)g.width;
	var0 = 1.0 / ((double)stats[1] * (double)stats[1]); /* eps included */
	if (var0 + moved < var0 * CANCELLED) {
		norm_apart(g, d, x0, stats, y, lane);
		return;
	}
	s0 = sqrt(var0);
	s1 = sqrt(var0 + moved);
	rstd1 = (float)(1.0 / s1);
	change = (float)(-moved / ((s0 + s1) * s0 * s1));
	PB_EACH_STEP
	{
		float x[N], base[N], w[N];

		PB_CHANGE(x);
		pb_load<N>(x0 + i, base);
		pb_load<N>(g.weight + i, w);
		PB_UNROLL
		for (int n = 0; n < N; n++)
			x[n] = ((x[n] - shift) * rstd1 + (base[n] - mean0) * change) * w[n];
		pb_store<N>(y, i, x, g.half);
	}
}

template <int N, int held>
static enum pb_status norm_change(struct pb_cuda *cuda, const struct delta_args &g,
				  struct pb_error *err)
{
	PB_RUN(cuda, (norm_delta_rows<N, held>), pb_cover(g.n_rows, PB_ROW_WARPS),
	       dim3(PB_ROW_THREADS), 0, g);
	return PB_OK;
}

enum pb_status pb_cuda_norm_delta(struct pb_device *dev, const struct pb_norm_delta *op,
				  struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	size_t D = op->d_model;
	struct delta_args g = {};

	g.layer = op->kind == PB_NORM_LAYER;
	g.eps = op->eps;
	g.n_rows = op->n_rows;
	g.width = D;
	g.delta = pb_floats(op->delta);
	g.x0 = pb_floats(op->x0);
	g.stats = pb_floats(op->stats);
	g.weight = pb_floats(op->weight);
	g.base_row = pb_ints(op->base_row);
	g.y = pb_floats(op->y);
	g.half = pb_half(cuda, op->operand);
	if (!pb_quads(g.delta, D, D) || !pb_quads(g.x0, D, D) || !pb_quads(g.y, D, D) ||
	    !pb_quads(g.weight, D, D))
		return norm_change<1, 0>(cuda, g, err);
	return D <= 1024   ? norm_change<4, 8>(cuda, g, err)
	       : D <= 2048 ? norm_change<4, 16>(cuda, g, err)
			   : norm_change<4, 0>(cuda, g, err);
}
