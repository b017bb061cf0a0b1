/* The exact change of attention for the variants of a wave:
 *   dz = sum_j (a_j - a0_j) v0_j + a_j dv_j.
 *
 * A block takes one head and a run of variants that share a recipient. The recipient's keys and
 * values of that head are read into shared memory once for all of them where they fit there, and
 * tile by tile otherwise; a variant's own changes of k and v always come tile by tile. */
#include "cuda/attention.h"

#include <cstdlib>

/* A run of variants v0 .. v1-1 of one recipient. */
struct group {
	int32_t v0, v1;
};
#define GROUP_MOST ((size_t)16)

struct delta_args {
	struct pb_head_view view;
	const struct pb_span *variants;
	const struct group *groups;
	const float *qkv0, *dqkv;
	float *dz;
	size_t width, first_head;
	size_t resident_keys; /* keys and values that stay in shared memory; 0: by tiles */
};

/* Keys t0 .. t0+31 of the recipient into rows of K + 1, their values into rows of K. */
static __device__ void load_base(const struct pb_head_view &v, const float *rows, size_t kv,
				 size_t t0, size_t length, float *k, float *values)
{
	for (size_t at = threadIdx.x; at < PB_KEYS * v.K; at += PB_TILE_THREADS) {
		size_t j = at / v.K, d = at % v.K;
		bool inside = t0 + j < length;

		k[j * (v.K + 1) + d] =
		    inside ? pb_k_of(v, rows + (t0 + j) * v.stride, kv)[d] : 0.0f;
		values[at] = inside ? pb_v_of(v, rows + (t0 + j) * v.stride, kv)[d] : 0.0f;
	}
}

/* Keys of the variant, k0 + dk, and changes of its values, 0 before `first`. */
static __device__ void load_change(const struct pb_head_view &v, const float *drows, size_t kv,
				   size_t t0, size_t first, size_t length, const float *k0,
				   float *k, float *dv)
{
	for (size_t at = threadIdx.x; at < PB_KEYS * v.K; at += PB_TILE_THREADS) {
		size_t j = at / v.K, d = at % v.K, t = t0 + j;
		bool changed = t >= first && t < length;
		float key = k0[j * (v.K + 1) + d];

		if (changed)
			key += pb_k_of(v, drows + (t - first) * v.stride, kv)[d];
		k[j * (v.K + 1) + d] = key;
		dv[at] = changed ? pb_v_of(v, drows + (t - first) * v.stride, kv)[d] : 0.0f;
	}
}

/* Shared memory of a block. */
struct shared_parts {
	float4 *q, *q0, *weights; /* of the warp */
	float *base_k, *base_v, *k, *dv;
};

static __device__ __forceinline__ float4 minus(float4 a, float4 b)
{
	float4 d;

	d.x = a.x - b.x;
	d.y = a.y - b.y;
	d.z = a.z - b.z;
	d.w = a.w - b.w;
	return d;
}

/* Sixteen rows of one variant, from position block0 on. */
template <int chunks>
static __device__ void attend_rows(const struct delta_args &g, const struct pb_span &p, size_t head,
				   size_t block0, const struct shared_parts &m)
{
	const struct pb_head_view v = g.view;
	size_t kv = head * v.n_kv / v.n_heads, first = (size_t)p.first, length = (size_t)p.length;
	unsigned warp = threadIdx.x / PB_WARP, lane = threadIdx.x % PB_WARP;
	size_t i0 = block0 + (size_t)warp * PB_TILE_ROWS, end = block0 + PB_TILE;
	size_t lowest = pb_lowest_key(block0, v.window) / PB_KEYS * PB_KEYS;
	const float *rows = g.qkv0 + (size_t)p.base * v.stride;
	const float *drows = g.dqkv + (size_t)p.row * v.stride;
	struct pb_online now[PB_TILE_ROWS], before[PB_TILE_ROWS];
	float z[PB_TILE_ROWS][chunks];

	end = end < length ? end : length;
	for (int r = 0; r < PB_TILE_ROWS; r++) {
		now[r].top = before[r].top = -FLT_MAX;
		now[r].sum = before[r].sum = 0.0f;
		for (int c = 0; c < chunks; c++)
			z[r][c] = 0.0f;
	}
	__syncwarp();
	for (size_t at = lane; at < PB_TILE_ROWS * v.K; at += PB_WARP) {
		size_t r = at / v.K, d = at % v.K;
		float base = 0.0f, change = 0.0f;

		if (i0 + r < length) {
			base = pb_q_of(v, rows + (i0 + r) * v.stride, head)[d];
			change = pb_q_of(v, drows + (i0 + r - first) * v.stride, head)[d];
		}
		((float *)m.q)[d * PB_TILE_ROWS + r] = (base + change) * v.scale;
		((float *)m.q0)[d * PB_TILE_ROWS + r] = base * v.scale;
	}
	for (int walk = 0; walk < 2; walk++) {
		for (size_t t0 = lowest; t0 < end; t0 += PB_KEYS) {
			bool resident = t0 + PB_KEYS <= g.resident_keys;
			float *base_k = m.base_k + (resident ? t0 * (v.K + 1) : 0);
			float *base_v = m.base_v + (resident ? t0 * v.K : 0);
			size_t j = t0 + lane;
			float4 s, s0;

			__syncthreads();
			if (!resident) {
				load_base(v, rows, kv, t0, length, base_k, base_v);
				__syncthreads();
			}
			load_change(v, drows, kv, t0, first, length, base_k, m.k, m.dv);
			__syncthreads();
			s = pb_tile_scores(m.q, m.k + lane * (v.K + 1), v.K);
			s0 = pb_tile_scores(m.q0, base_k + lane * (v.K + 1), v.K);
			PB_UNROLL
			for (int r = 0; r < PB_TILE_ROWS; r++) {
				size_t i = i0 + (size_t)r;
				bool seen = i < length && j <= i && j >= pb_lowest_key(i, v.window);

				pb_walk_score(&s.x + r, &now[r], seen, walk, v.cap);
				pb_walk_score(&s0.x + r, &before[r], seen, walk, v.cap);
			}
			if (walk) {
				pb_add_values<chunks>(minus(s, s0), m.weights, base_v, v.K, lane,
						      z);
				if (t0 + PB_KEYS > first)
					pb_add_values<chunks>(s, m.weights, m.dv, v.K, lane, z);
			}
		}
		for (int r = 0; !walk && r < PB_TILE_ROWS; r++) {
			pb_online_join(&now[r]);
			pb_online_join(&before[r]);
		}
	}
	for (int r = 0; r < PB_TILE_ROWS; r++)
		for (int c = 0; c < chunks; c++) {
			size_t d = lane + (size_t)c * PB_WARP;

			if (i0 + r < length && d < v.K)
				g.dz[((size_t)p.row + i0 + r - first) * g.width + head * v.K + d] =
				    z[r][c];
		}
}

template <int chunks> static __global__ void attend_delta(struct delta_args g)
{
	PB_SHARED(float4, shared);
	const struct group group = g.groups[blockIdx.x];
	const struct pb_head_view v = g.view;
	size_t head = g.first_head + blockIdx.y, kv = head * v.n_kv / v.n_heads;
	size_t keys = g.resident_keys ? g.resident_keys : PB_KEYS, longest = 0;
	struct shared_parts m;

	m.q = shared + threadIdx.x / PB_WARP * (2 * v.K + PB_KEYS);
	m.q0 = m.q + v.K;
	m.weights = m.q0 + v.K;
	m.base_k = (float *)(shared + PB_TILE_WARPS * (2 * v.K + PB_KEYS));
	m.base_v = m.base_k + keys * (v.K + 1);
	m.k = m.base_v + keys * v.K;
	m.dv = m.k + PB_KEYS * (v.K + 1);
	for (int32_t n = group.v0; n < group.v1; n++)
		longest =
		    (size_t)g.variants[n].length > longest ? (size_t)g.variants[n].length : longest;
	for (size_t t0 = 0; t0 + PB_KEYS <= g.resident_keys && t0 < longest; t0 += PB_KEYS)
		load_base(v, g.qkv0 + (size_t)g.variants[group.v0].base * v.stride, kv, t0, longest,
			  m.base_k + t0 * (v.K + 1), m.base_v + t0 * v.K);
	__syncthreads();
	for (int32_t n = group.v0; n < group.v1; n++) {
		const struct pb_span p = g.variants[n];

		for (size_t i = (size_t)p.first; i < (size_t)p.length; i += PB_TILE)
			attend_rows<chunks>(g, p, head, i, m);
	}
}

static size_t shared_floats(size_t K, size_t keys)
{
	return (keys + PB_KEYS) * (2 * K + 1) + PB_TILE * (2 * K + PB_KEYS);
}

/* Runs of variants that share a recipient; returns how many. */
static size_t make_groups(const struct pb_span *variants, size_t n, struct group *groups)
{
	size_t count = 0;

	for (size_t v = 0; v < n;) {
		size_t end = v + 1;

		while (end < n && end - v < GROUP_MOST && variants[end].base == variants[v].base)
			end++;
		groups[count].v0 = (int32_t)v;
		groups[count++].v1 = (int32_t)end;
		v = end;
	}
	return count;
}

static enum pb_status attend_tiled(struct pb_cuda *cuda, const struct pb_attention_delta *op,
				   struct delta_args g, const struct pb_span *variants, size_t n,
				   size_t n_heads, struct pb_error *err)
{
	size_t K = op->heads.d_head, longest = 0, n_groups, bytes, keys;
	struct group *groups = nullptr;
	dim3 grid, block((unsigned)PB_TILE_THREADS);
	void *at = nullptr;
	enum pb_status status;

	if (n == 0)
		return PB_OK;
	for (size_t i = 0; i < n; i++)
		longest =
		    (size_t)variants[i].length > longest ? (size_t)variants[i].length : longest;
	keys = (longest + PB_KEYS - 1) / PB_KEYS * PB_KEYS;
	/* half of a multiprocessor's shared memory at most: two blocks hide each other's waits */
	g.resident_keys =
	    shared_floats(K, keys) * sizeof(float) <= cuda->shared_most / 2 ? keys : 0;
	bytes = shared_floats(K, g.resident_keys ? keys : PB_KEYS) * sizeof(float);
	PB_DO(pb_alloc((void **)&groups, n, sizeof *groups, "runs of variants", err));
	n_groups = make_groups(variants, n, groups);
	status = pb_cuda_stage(cuda, groups, n_groups * sizeof *groups, &at, err);
	free(groups);
	PB_DO(status);
	g.groups = (const struct group *)at;
	PB_DO(pb_cuda_stage(cuda, variants, n * sizeof *variants, &at, err));
	g.variants = (const struct pb_span *)at;
	grid = dim3((unsigned)n_groups, (unsigned)n_heads);
	if (K <= 32)
		PB_RUN(cuda, attend_delta<1>, grid, block, bytes, g);
	else if (K <= 64)
		PB_RUN(cuda, attend_delta<2>, grid, block, bytes, g);
	else if (K <= 128)
		PB_RUN(cuda, attend_delta<4>, grid, block, bytes, g);
	else
		PB_RUN(cuda, attend_delta<8>, grid, block, bytes, g);
	return PB_OK;
}

enum pb_status pb_cuda_attention_delta_open(struct pb_cuda *cuda, struct pb_error *err)
{
	PB_CUDA(cudaFuncSetAttribute(attend_delta<1>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	PB_CUDA(cudaFuncSetAttribute(attend_delta<2>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	PB_CUDA(cudaFuncSetAttribute(attend_delta<4>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	PB_CUDA(cudaFuncSetAttribute(attend_delta<8>, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	return PB_OK;
}

enum pb_status pb_cuda_attention_delta(struct pb_device *dev, const struct pb_attention_delta *op,
				       struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	size_t n_heads = op->n_used ? op->n_used : op->heads.n_heads, n_tiled = 0, n_plain = 0;
	struct pb_span *spans = nullptr;
	struct delta_args g = {};
	enum pb_status status;

	PB_DO(pb_alloc((void **)&spans, 2 * op->n_variants, sizeof *spans, "variants", err));
	for (size_t i = 0; i < op->n_variants; i++) {
		const struct pb_span *p = &op->variants[i];

		if (p->first >= p->length)
			continue;
		if (op->edits && p->n_edits > 0)
			spans[op->n_variants + n_plain++] = *p;
		else
			spans[n_tiled++] = *p;
	}
	g.view = pb_view_heads(&op->heads);
	g.qkv0 = pb_floats(op->qkv0);
	g.dqkv = pb_floats(op->dqkv);
	g.dz = pb_floats(op->dz);
	g.width = op->heads.n_heads * op->heads.d_head;
	g.first_head = op->n_used ? op->first_head : 0;
	status = attend_tiled(cuda, op, g, spans, n_tiled, n_heads, err);
	if (status == PB_OK) {
		struct pb_plain_args plain = {};

		plain.view = g.view;
		plain.first_head = g.first_head;
		plain.width = g.width;
		plain.longest = op->max_length;
		plain.qkv0 = g.qkv0;
		plain.dqkv = g.dqkv;
		plain.out = g.dz;
		plain.source_qkv = g.qkv0;
		plain.table = pb_floats(op->table);
		plain.table_stride = op->table_stride;
		status = pb_cuda_attend_plain(cuda, &plain, spans + op->n_variants, n_plain,
					      n_heads, op->edits, err);
	}
	free(spans);
	return status;
}
