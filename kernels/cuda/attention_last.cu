/* The change of attention in the last layer, at the answer position only: a block a head of a
 * variant. Scores against changed keys are dot products of the whole width, a warp each; sums over
 * keys go by columns. */
#include "cuda/attention.h"

#include <cstdlib>

#define THREADS 128u

struct last_args {
	struct pb_head_view view;
	size_t D, longest;
	const struct pb_span *variants;
	const float *qkv0, *q, *qk, *dk, *dn;
	float *zdiff, *mix;
};

static __device__ float dot(const float *x, const float *y, size_t n)
{
	float sum = 0.0f;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * y[i];
	return sum;
}

template <int N>
static __device__ float warp_dot(const float *x, const float *y, size_t n, unsigned lane)
{
	float sum = 0.0f;

	for (size_t i = (size_t)N * lane; i < n; i += (size_t)N * PB_WARP) {
		float a[N], b[N];

		pb_load<N>(x + i, a);
		pb_load<N>(y + i, b);
		PB_UNROLL
		for (int c = 0; c < N; c++)
			sum += a[c] * b[c];
	}
	return pb_warp_sum(sum);
}

/* Softmax of s over lo .. n-1, which one warp makes; 0 before lo. */
static __device__ void warp_softmax(float *s, size_t lo, size_t n, unsigned lane)
{
	float top = -FLT_MAX, sum = 0.0f, inverse;

	for (size_t j = lo + lane; j < n; j += PB_WARP)
		top = s[j] > top ? s[j] : top;
	top = pb_warp_max(top);
	for (size_t j = lane; j < n; j += PB_WARP) {
		s[j] = j >= lo ? expf(s[j] - top) : 0.0f;
		sum += s[j];
	}
	inverse = 1.0f / pb_warp_sum(sum);
	for (size_t j = lane; j < n; j += PB_WARP)
		s[j] *= inverse;
}

/* N columns of the width at once. The heads of a variant are neighbours: they read the same rows of
 * dn.
 */
template <int N> static __global__ void attend_last(struct last_args g)
{
	PB_SHARED(float, shared);
	const struct pb_head_view v = g.view;
	const struct pb_span p = g.variants[blockIdx.y];
	size_t n = blockIdx.y, h = blockIdx.x, kv = h * v.n_kv / v.n_heads;
	size_t length = (size_t)p.length, first = (size_t)p.first;
	size_t lo = pb_lowest_key(length - 1, v.window), width = v.n_heads * v.K;
	unsigned warp = threadIdx.x / PB_WARP, lane = threadIdx.x % PB_WARP;
	const float *rows = g.qkv0 + (size_t)p.base * v.stride;
	const float *q = g.q + n * width + h * v.K;
	const float *q0 = pb_q_of(v, rows + (length - 1) * v.stride, h);
	float *a = shared, *a0 = a + g.longest;

	/* a thread a key over the head's columns, then a warp a changed key over the whole width */
	for (size_t j = lo + threadIdx.x; j < length; j += THREADS) {
		const float *k0 = pb_k_of(v, rows + j * v.stride, kv);
		float before = dot(q0, k0, v.K), now = dot(q, k0, v.K);

		if (j >= first && !g.qk)
			now +=
			    dot(q, g.dk + (((size_t)p.row + j - first) * v.n_kv + kv) * v.K, v.K);
		a0[j] = before;
		a[j] = now;
	}
	__syncthreads();
	for (size_t j = (first > lo ? first : lo) + warp; g.qk && j < length;
	     j += THREADS / PB_WARP) {
		float more = warp_dot<N>(g.qk + (n * v.n_heads + h) * g.D,
					 g.dn + ((size_t)p.row + j - first) * g.D, g.D, lane);

		if (lane == 0)
			a[j] += more;
	}
	__syncthreads();
	for (size_t j = lo + threadIdx.x; j < length; j += THREADS) {
		a0[j] = pb_capped(a0[j] * v.scale, v.cap);
		a[j] = pb_capped(a[j] * v.scale, v.cap);
	}
	__syncthreads();
	if (warp < 2)
		warp_softmax(warp ? a0 : a, lo, length, lane);
	__syncthreads();
	for (size_t d = threadIdx.x; d < v.K; d += THREADS) {
		float z = 0.0f;

		for (size_t j = lo; j < length; j++)
			z += (a[j] - a0[j]) * pb_v_of(v, rows + j * v.stride, kv)[d];
		g.zdiff[n * width + h * v.K + d] = z;
	}
	for (size_t d = (size_t)N * threadIdx.x; d < g.D; d += (size_t)N * THREADS) {
		float sum[N] = {};

		for (size_t j = first > lo ? first : lo; j < length; j++) {
			float x[N];

			pb_load<N>(g.dn + ((size_t)p.row + j - first) * g.D + d, x);
			PB_UNROLL
			for (int c = 0; c < N; c++)
				sum[c] += a[j] * x[c];
		}
		pb_store<N>(g.mix + (n * v.n_heads + h) * g.D, d, sum, false);
	}
}

enum pb_status pb_cuda_attention_last_open(struct pb_cuda *cuda, struct pb_error *err)
{
	PB_CUDA(cudaFuncSetAttribute(attend_last<1>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	PB_CUDA(cudaFuncSetAttribute(attend_last<4>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	return PB_OK;
}

#define VARIANTS_MOST ((size_t)65535) /* the second dimension of a grid */

template <int N>
static enum pb_status launch(struct pb_cuda *cuda, struct last_args g,
			     const struct pb_attention_last *op, size_t bytes, struct pb_error *err)
{
	if (op->n_variants > VARIANTS_MOST)
		return pb_fail(err, PB_ERR_INTERNAL, "%zu variants in one block of the last layer",
			       op->n_variants);
	PB_RUN(cuda, attend_last<N>, dim3((unsigned)op->heads.n_heads, (unsigned)op->n_variants),
	       dim3(THREADS), bytes, g);
	return PB_OK;
}

enum pb_status pb_cuda_attention_last(struct pb_device *dev, const struct pb_attention_last *op,
				      struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	struct last_args g = {};
	size_t bytes = 2 * op->max_length * sizeof(float);
	void *spans = nullptr;

	if (op->n_variants == 0)
		return PB_OK;
	if (bytes > cuda->shared_most)
		return pb_fail(err, PB_ERR_INPUT,
			       "prompts of %zu tokens do not fit this GPU's shared memory: use "
			       "shorter prompts, or --backend cpu",
			       op->max_length);
	PB_DO(
	    pb_cuda_stage(cuda, op->variants, op->n_variants * sizeof *op->variants, &spans, err));
	g.view = pb_view_heads(&op->heads);
	g.D = op->d_model;
	g.longest = op->max_length;
	g.variants = (const struct pb_span *)spans;
	g.qkv0 = pb_floats(op->qkv0);
	g.q = pb_floats(op->q);
	g.qk = pb_floats(op->qk);
	g.dk = pb_floats(op->dk);
	g.dn = pb_floats(op->dn);
	g.zdiff = pb_floats(op->zdiff);
	g.mix = pb_floats(op->mix);
	if (pb_quads(g.dn, g.D, g.D) && pb_quads(g.mix, g.D, g.D) && pb_quads(g.qk, g.D, g.D))
		return launch<4>(cuda, g, op, bytes, err);
	return launch<1>(cuda, g, op, bytes, err);
}
