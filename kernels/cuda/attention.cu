/* Causal attention of whole prompts. A block takes 16 query rows of one head of one prompt. */
#include "cuda/attention.h"

#include <cstdlib>

struct attend_args {
	struct pb_head_view view;
	const struct pb_span *prompts;
	const float *qkv;
	float *z;
	size_t width;
};

/* Keys t0 .. t0+31 of a prompt into shared memory, rows of K + 1 floats (no bank twice); values
 * into rows of K. Positions before `first` have the rows of its prefix, the others its own. What
 * lies past `length` is 0. */
static __device__ void load_tile(const struct pb_head_view &v, const float *prefix,
				 const float *own, size_t first, size_t kv, size_t t0,
				 size_t length, float *k, float *values)
{
	for (size_t at = threadIdx.x; at < PB_KEYS * v.K; at += PB_TILE_THREADS) {
		size_t j = t0 + at / v.K, d = at % v.K;
		const float *row = j < first ? prefix + j * v.stride : own + (j - first) * v.stride;
		bool inside = j < length;

		k[at / v.K * (v.K + 1) + d] = inside ? pb_k_of(v, row, kv)[d] : 0.0f;
		if (values)
			values[at] = inside ? pb_v_of(v, row, kv)[d] : 0.0f;
	}
}

template <int chunks> static __global__ void attend(struct attend_args g)
{
	PB_SHARED(float4, shared);
	const struct pb_head_view v = g.view;
	const struct pb_span p = g.prompts[blockIdx.x];
	size_t head = blockIdx.y, kv = head * v.n_kv / v.n_heads, length = (size_t)p.length;
	size_t first = (size_t)p.first, block0 = first + blockIdx.z * PB_TILE;
	unsigned warp = threadIdx.x / PB_WARP, lane = threadIdx.x % PB_WARP;
	size_t i0 = block0 + (size_t)warp * PB_TILE_ROWS, end, lowest;
	const float *prefix = g.qkv + (size_t)p.base * v.stride;
	const float *own = g.qkv + (size_t)p.row * v.stride;
	float4 *q = shared + warp * (v.K + PB_KEYS), *weights = q + v.K;
	float *k = (float *)(shared + PB_TILE_WARPS * (v.K + PB_KEYS));
	float *values = k + PB_KEYS * (v.K + 1);
	struct pb_online online[PB_TILE_ROWS];
	float z[PB_TILE_ROWS][chunks];

	if (block0 >= length)
		return;
	end = block0 + PB_TILE;
	end = end < length ? end : length; /* keys that the block's rows see */
	lowest = pb_lowest_key(block0, v.window) / PB_KEYS * PB_KEYS;
	for (int r = 0; r < PB_TILE_ROWS; r++) {
		online[r].top = -FLT_MAX;
		online[r].sum = 0.0f;
		for (int c = 0; c < chunks; c++)
			z[r][c] = 0.0f;
	}
	for (size_t at = lane; at < PB_TILE_ROWS * v.K; at += PB_WARP) {
		size_t r = at / v.K, d = at % v.K;

		((float *)q)[d * PB_TILE_ROWS + r] =
		    i0 + r < length
			? pb_q_of(v, own + (i0 + r - first) * v.stride, head)[d] * v.scale
			: 0.0f;
	}
	for (int walk = 0; walk < 2; walk++) {
		for (size_t t0 = lowest; t0 < end; t0 += PB_KEYS) {
			size_t j = t0 + lane;
			float4 s;

			__syncthreads();
			load_tile(v, prefix, own, first, kv, t0, length, k,
				  walk ? values : nullptr);
			__syncthreads();
			s = pb_tile_scores(q, k + lane * (v.K + 1), v.K);
			PB_UNROLL
			for (int r = 0; r < PB_TILE_ROWS; r++) {
				size_t i = i0 + (size_t)r;
				bool seen = i < length && j <= i && j >= pb_lowest_key(i, v.window);

				pb_walk_score(&s.x + r, &online[r], seen, walk, v.cap);
			}
			if (walk)
				pb_add_values<chunks>(s, weights, values, v.K, lane, z);
		}
		for (int r = 0; !walk && r < PB_TILE_ROWS; r++)
			pb_online_join(&online[r]);
	}
	for (int r = 0; r < PB_TILE_ROWS; r++)
		for (int c = 0; c < chunks; c++) {
			size_t d = lane + (size_t)c * PB_WARP;

			if (i0 + r < length && d < v.K)
				g.z[((size_t)p.row + i0 + r - first) * g.width + head * v.K + d] =
				    z[r][c];
		}
}

static enum pb_status attend_tiled(struct pb_cuda *cuda, const struct pb_attention *op,
				   struct attend_args g, const struct pb_span *prompts, size_t n,
				   struct pb_error *err)
{
	size_t tile = PB_TILE, longest = 0, K = op->heads.d_head, bytes;
	void *spans = nullptr;
	dim3 grid, block((unsigned)PB_TILE_THREADS);

	for (size_t i = 0; i < n; i++) {
		size_t own = (size_t)(prompts[i].length - prompts[i].first);

		longest = own > longest ? own : longest;
	}
	PB_DO(pb_cuda_stage(cuda, prompts, n * sizeof *prompts, &spans, err));
	g.prompts = (const struct pb_span *)spans;
	grid =
	    dim3((unsigned)n, (unsigned)op->heads.n_heads, (unsigned)((longest + tile - 1) / tile));
	bytes = (PB_KEYS * (2 * K + 1) + tile * (K + PB_KEYS)) * sizeof(float);
	if (n == 0 || longest == 0)
		return PB_OK;
	if (K <= 32)
		PB_RUN(cuda, attend<1>, grid, block, bytes, g);
	else if (K <= 64)
		PB_RUN(cuda, attend<2>, grid, block, bytes, g);
	else if (K <= 128)
		PB_RUN(cuda, attend<4>, grid, block, bytes, g);
	else
		PB_RUN(cuda, attend<8>, grid, block, bytes, g);
	return PB_OK;
}

enum pb_status pb_cuda_attention_open(struct pb_cuda *cuda, struct pb_error *err)
{
	PB_CUDA(cudaFuncSetAttribute(attend<1>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	PB_CUDA(cudaFuncSetAttribute(attend<2>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	PB_CUDA(cudaFuncSetAttribute(attend<4>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	PB_CUDA(cudaFuncSetAttribute(attend<8>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	return PB_OK;
}

enum pb_status pb_cuda_attention(struct pb_device *dev, const struct pb_attention *op,
				 struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	struct pb_span *spans = nullptr;
	struct attend_args g = {};
	size_t n_plain = 0, n_tiled = 0;
	enum pb_status status;

	/* a prompt's kernel depends on its own edits alone */
	PB_DO(pb_alloc((void **)&spans, 2 * op->n_prompts, sizeof *spans, "prompts", err));
	for (size_t i = 0; i < op->n_prompts; i++)
		if (op->edits && op->prompts[i].n_edits > 0) {
			spans[op->n_prompts + n_plain++] = op->prompts[i];
		} else {
			spans[n_tiled++] = op->prompts[i];
		}
	g.view = pb_view_heads(&op->heads);
	g.qkv = pb_floats(op->qkv);
	g.z = pb_floats(op->z);
	g.width = op->heads.n_heads * op->heads.d_head;
	status = attend_tiled(cuda, op, g, spans, n_tiled, err);
	if (status == PB_OK) {
		struct pb_plain_args plain = {};

		plain.view = g.view;
		plain.width = g.width;
		plain.longest = op->max_length;
		plain.qkv0 = g.qkv;
		plain.out = g.z;
		plain.source_qkv = pb_floats(op->source_qkv);
		plain.table = pb_floats(op->table);
		plain.table_stride = op->table_stride;
		status = pb_cuda_attend_plain(cuda, &plain, spans + op->n_prompts, n_plain,
					      op->heads.n_heads, op->edits, err);
	}
	free(spans);
	return status;
}
