/* The MLP's activation, and its change under a delta. act(h0 + dh) - act(h0) must be zero where dh
 * is: products and sums are not fused here (see the Makefile), so that both are the same numbers.
 */
#include "cuda/cuda.h"

template <int kind> static __device__ __forceinline__ float act(float x)
{
	switch (kind) {
	case PB_ACT_GELU_TANH: /* 0.5 x (1 + tanh(w)) = x / (1 + exp(-2w)) */
		return x / (1.0f + expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
	case PB_ACT_GELU_ERF:
		return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
	case PB_ACT_RELU:
		return x > 0.0f || x != x ? x : 0.0f;
	default: /* SiLU */
		return x / (1.0f + expf(-x));
	}
}

struct activation_args {
	size_t n, width; /* elements of a, of one row */
	const float *h, *a0;
	float *a; /* or, for the change, dh */
	const int32_t *base_row;
	bool half;
};

/* a = act(h), or act(g) u where rows of h are g | u. */
template <int kind, bool gated> static __global__ void activate(struct activation_args g)
{
	size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;

	if (at < g.n) {
		size_t r = at / g.width, i = at % g.width;
		const float *h = g.h + (gated ? r * 2 * g.width + i : at);

		g.a[at] = gated ? act<kind>(h[0]) * h[g.width] : act<kind>(h[0]);
	}
}

/* A block a row. Operands take the place of numbers that are read already: a round's columns are
 * all read before any is written. */
template <int kind, bool gated, int N>
static __global__ void activate_delta(struct activation_args g)
{
	size_t r = blockIdx.x, b = (size_t)g.base_row[r], row = gated ? 2 * g.width : g.width;
	size_t step = (size_t)N * blockDim.x;
	float *dh = g.a + r * row;
	const float *h0 = g.h + b * row, *a0 = gated ? nullptr : g.a0 + b * g.width;

	for (size_t from = 0; from < g.width; from += step) {
		size_t i = from + (size_t)N * threadIdx.x;
		float x[N], base[N], second[N], moved[N];

		if (i < g.width) {
			pb_load<N>(dh + i, x);
			pb_load<N>(h0 + i, base);
			pb_load<N>(gated ? h0 + g.width + i : a0 + i, second);
			if (gated)
				pb_load<N>(dh + g.width + i, moved);
			PB_UNROLL
			for (int n = 0; n < N; n++) {
				float after = act<kind>(base[n] + x[n]);

				if (gated) {
					float before = act<kind>(base[n]);

					x[n] = (after - before) * (second[n] + moved[n]) +
					       before * moved[n];
				} else {
					x[n] = after - second[n];
				}
			}
		}
		if (g.half)
			__syncthreads();
		if (i < g.width)
			pb_store<N>(dh, i, x, g.half);
	}
}

template <int kind, bool gated>
static enum pb_status launch_delta(struct pb_cuda *cuda, const struct activation_args &g,
				   size_t n_rows, struct pb_error *err)
{
	bool quads = pb_quads(g.a, g.width, g.width) && pb_quads(g.h, g.width, g.width) &&
		     (gated || pb_quads(g.a0, g.width, g.width));
	size_t threads = (size_t)pb_cover(quads ? g.width / 4 : g.width, PB_WARP).x * PB_WARP;
	dim3 grid((unsigned)n_rows), block((unsigned)(threads < 256 ? threads : 256));

	if (quads)
		PB_RUN(cuda, (activate_delta<kind, gated, 4>), grid, block, 0, g);
	else
		PB_RUN(cuda, (activate_delta<kind, gated, 1>), grid, block, 0, g);
	return PB_OK;
}

template <int kind>
static enum pb_status launch(struct pb_cuda *cuda, const struct activation_args &g, size_t n_rows,
			     bool gated, bool delta, struct pb_error *err)
{
	dim3 grid = pb_cover(g.n, 256), block(256);

	if (delta && gated)
		return launch_delta<kind, true>(cuda, g, n_rows, err);
	if (delta)
		return launch_delta<kind, false>(cuda, g, n_rows, err);
	if (gated)
		PB_RUN(cuda, (activate<kind, true>), grid, block, 0, g);
	else
		PB_RUN(cuda, (activate<kind, false>), grid, block, 0, g);
	return PB_OK;
}

static enum pb_status by_kind(struct pb_cuda *cuda, enum pb_activation kind,
			      const struct activation_args &g, size_t n_rows, bool gated,
			      bool delta, struct pb_error *err)
{
	switch (kind) {
	case PB_ACT_GELU_TANH:
		return launch<PB_ACT_GELU_TANH>(cuda, g, n_rows, gated, delta, err);
	case PB_ACT_GELU_ERF:
		return launch<PB_ACT_GELU_ERF>(cuda, g, n_rows, gated, delta, err);
	case PB_ACT_RELU:
		return launch<PB_ACT_RELU>(cuda, g, n_rows, gated, delta, err);
	case PB_ACT_SILU:
		return launch<PB_ACT_SILU>(cuda, g, n_rows, gated, delta, err);
	}
	return pb_fail(err, PB_ERR_INTERNAL, "an unknown activation (%d)", (int)kind);
}

enum pb_status pb_cuda_activation(struct pb_device *dev, const struct pb_activation_op *op,
				  struct pb_error *err)
{
	struct activation_args g = {};

	g.n = op->n_rows * op->width;
	g.width = op->width;
	g.h = pb_floats(op->h);
	g.a = pb_floats(op->a);
	return by_kind(pb_cuda_of(dev), op->kind, g, op->n_rows, op->gated, false, err);
}

enum pb_status pb_cuda_activation_delta(struct pb_device *dev, const struct pb_activation_delta *op,
					struct pb_error *err)
{
	struct activation_args g = {};

	g.n = op->n_rows * op->width;
	g.width = op->width;
	g.h = pb_floats(op->h0);
	g.a0 = pb_floats(op->a0);
	g.a = pb_floats(op->dh);
	g.base_row = pb_ints(op->base_row);
	g.half = pb_half(pb_cuda_of(dev), op->operand);
	return by_kind(pb_cuda_of(dev), op->kind, g, op->n_rows, op->gated, true, err);
}
