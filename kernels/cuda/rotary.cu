/* Rotary position embedding in place: a thread a pair. */
#include "cuda/cuda.h"

struct rotary_args {
	size_t n, half, n_heads, d_head, stride, step, apart;
	float *x;
	const int32_t *position;
	const float *cos_sin;
};

static __global__ void rotate(struct rotary_args g)
{
	size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
	size_t i = at % g.half, h = at / g.half % g.n_heads, r = at / g.half / g.n_heads;

	if (at < g.n) {
		const float *table = g.cos_sin + (size_t)g.position[r] * 2 * g.half;
		float c = table[i], s = table[g.half + i];
		float *u = g.x + r * g.stride + h * g.d_head + i * g.step, a = *u, b = u[g.apart];

		*u = a * c - b * s;
		u[g.apart] = b * c + a * s;
	}
}

enum pb_status pb_cuda_rotary(struct pb_device *dev, const struct pb_rotary *op,
			      struct pb_error *err)
{
	struct rotary_args g = {};

	g.half = op->rotary_dims / 2;
	g.n_heads = op->n_heads;
	g.n = op->n_rows * op->n_heads * g.half;
	g.d_head = op->d_head;
	g.stride = op->x_stride;
	g.step = op->interleaved ? 2 : 1;
	g.apart = op->interleaved ? 1 : g.half;
	g.x = pb_floats(op->x);
	g.position = pb_ints(op->position);
	g.cos_sin = pb_floats(op->cos_sin);
	PB_RUN(pb_cuda_of(dev), rotate, pb_cover(g.n, 256), dim3(256), 0, g);
	return PB_OK;
}
