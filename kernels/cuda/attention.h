/* What the attention kernels share.
 *
 * Two shapes of kernel. The tiled one gives a warp four query rows and walks over tiles of 32 keys
 * in shared memory, a lane a key for scores and a lane a column for values; softmax needs two
 * walks, one for its maximum and sum (kept online, by lane), one for the values. The plain one
 * gives a block one query row with all its scores in shared memory: for rows whose patterns are
 * written.
 *
 * A score is one chain of products and sums over the head's columns, so that the same q and k give
 * the same bits in any company, and patterns that do not change cancel exactly. */
#ifndef PB_CUDA_ATTENTION_H
#define PB_CUDA_ATTENTION_H

#include "cuda/cuda.h"

#include <cfloat>

#define PB_KEYS 32u /* keys of a tile: a lane each */
#define PB_TILE_ROWS 4
#define PB_TILE_WARPS 4u
#define PB_TILE_THREADS ((size_t)PB_TILE_WARPS * PB_WARP)
#define PB_TILE ((size_t)PB_TILE_WARPS * PB_TILE_ROWS) /* rows of a block */
#define PB_HEAD_MOST 256u                              /* widest head */

/* Rows of qkv are q | k | v. */
struct pb_head_view {
	size_t n_heads, n_kv, K, stride;
	float scale, cap;
	size_t window;
};

static inline struct pb_head_view pb_view_heads(const struct pb_heads *hd)
{
	struct pb_head_view v = {};

	v.n_heads = hd->n_heads;
	v.n_kv = hd->n_kv_heads;
	v.K = hd->d_head;
	v.stride = (hd->n_heads + 2 * hd->n_kv_heads) * hd->d_head;
	v.scale = hd->score_scale;
	v.cap = hd->score_softcap;
	v.window = hd->window;
	return v;
}

static __device__ __forceinline__ const float *pb_q_of(const struct pb_head_view &v,
						       const float *row, size_t head)
{
	return row + head * v.K;
}
static __device__ __forceinline__ const float *pb_k_of(const struct pb_head_view &v,
						       const float *row, size_t kv)
{
	return row + (v.n_heads + kv) * v.K;
}
static __device__ __forceinline__ const float *pb_v_of(const struct pb_head_view &v,
						       const float *row, size_t kv)
{
	return row + (v.n_heads + v.n_kv + kv) * v.K;
}

/* First key that query i sees. */
static __device__ __forceinline__ size_t pb_lowest_key(size_t i, size_t window)
{
	return window && i + 1 > window ? i + 1 - window : 0;
}

/* A softmax's maximum and sum, kept online. */
struct pb_online {
	float top, sum;
};

static __device__ __forceinline__ void pb_online_add(struct pb_online *o, float s)
{
	float top = s > o->top ? s : o->top;

	o->sum = o->sum * expf(o->top - top) + expf(s - top);
	o->top = top;
}

/* Joined over the lanes of a warp; every lane gets the maximum and 1 / sum. */
static __device__ __forceinline__ void pb_online_join(struct pb_online *o)
{
	float top = pb_warp_max(o->top);

	o->sum = 1.0f / pb_warp_sum(o->sum * expf(o->top - top));
	o->top = top;
}

/* The four rows of a warp lie side by side, so that one load serves four multiply-adds: queries as
 * [column][row], weights as [key][row]. */

/* Scores of a warp's rows against a lane's key. */
static __device__ __forceinline__ float4 pb_tile_scores(const float4 *q, const float *key, size_t K)
{
	float4 s = {};

	for (size_t d = 0; d < K; d++) {
		float4 x = q[d];
		float k = key[d];

		s.x += x.x * k;
		s.y += x.y * k;
		s.z += x.z * k;
		s.w += x.w * k;
	}
	return s;
}

/* z += sum over the tile's keys of a_j v_j, where `mine` are the lane's key's a; `weights` is the
 * warp's own shared memory for a tile's. */
template <int chunks>
static __device__ __forceinline__ void pb_add_values(float4 mine, float4 *weights,
						     const float *values, size_t K, unsigned lane,
						     float (*z)[chunks])
{
	__syncwarp();
	weights[lane] = mine;
	__syncwarp();
	for (unsigned n = 0; n < PB_KEYS; n++) {
		float4 a = weights[n];

		PB_UNROLL
		for (int c = 0; c < chunks; c++) {
			size_t d = lane + (size_t)c * PB_WARP;
			float value = d < K ? values[n * K + d] : 0.0f;

			z[0][c] += a.x * value;
			z[1][c] += a.y * value;
			z[2][c] += a.z * value;
			z[3][c] += a.w * value;
		}
	}
}

/* Softmax's two walks for one score: add it to the sum, or turn it into its share. */
static __device__ __forceinline__ void pb_walk_score(float *s, struct pb_online *o, bool seen,
						     bool second, float cap)
{
	float x = pb_capped(*s, cap);

	if (second)
		*s = seen ? expf(x - o->top) * o->sum : 0.0f;
	else if (seen)
		pb_online_add(o, x);
}

/* ---- the plain kernel (attention_plain.cu) --------------------------------------------------- */

/* A run of rows for it: positions first .. length-1 of a prompt, delta rows from `row` on. */
struct pb_plain_args {
	struct pb_head_view view;
	size_t first_head, n_spans, width, longest;
	const struct pb_span *spans;
	const int32_t *row_start; /* [n_spans + 1] rows of the launch before each span */
	const float *qkv0, *dqkv; /* dqkv NULL: values themselves, not their change */
	float *out;               /* z or dz, [rows, width] */
	const struct pb_pattern_edit *edits;
	const float *source_qkv, *table;
	size_t table_stride;
	bool half;       /* out are operands */
	float *patterns; /* not NULL: patterns [span, head, longest, longest] instead of values */
};
/* Rows of the spans: whole prompts (first 0, dqkv NULL), or changed rows. */
enum pb_status pb_cuda_attend_plain(struct pb_cuda *cuda, struct pb_plain_args *g,
				    const struct pb_span *spans, size_t n_spans, size_t n_heads,
				    const struct pb_pattern_edit *edits, struct pb_error *err);

#endif
