/* Attention of one query row a block, all its scores in shared memory: where patterns are written
 * by interventions, or wanted themselves. */
#include "cuda/attention.h"

#include <cstdlib>

#define THREADS 128u

/* Sum or maximum over a block, the same in every thread, in a fixed order. */
static __device__ float block_join(float v, bool sum, float *slots)
{
	unsigned warp = threadIdx.x / PB_WARP;
	float out;

	v = sum ? pb_warp_sum(v) : pb_warp_max(v);
	__syncthreads(); /* whoever read the slots before has done so */
	if (threadIdx.x % PB_WARP == 0)
		slots[warp] = v;
	__syncthreads();
	out = slots[0];
	for (unsigned w = 1; w < THREADS / PB_WARP; w++)
		out = sum ? out + slots[w] : slots[w] > out ? slots[w] : out;
	return out;
}

/* One row's pattern into a [longest]: softmax over the keys lo .. i, 0 elsewhere up to `length`.
 * The query is q0 + dq, the key j is k0 (+ dk from `first` on); dq, dk NULL: none. */
static __device__ void make_row(const struct pb_head_view &v, const float *q0, const float *dq,
				const float *rows, const float *drows, size_t first, size_t kv,
				size_t i, size_t length, float *a, float *q, float *slots)
{
	size_t lo = pb_lowest_key(i, v.window);
	float top = -FLT_MAX, sum = 0.0f, inverse;

	__syncthreads();
	for (size_t d = threadIdx.x; d < v.K; d += THREADS)
		q[d] = (dq ? q0[d] + dq[d] : q0[d]) * v.scale;
	__syncthreads();
	for (size_t j = threadIdx.x; j < length; j += THREADS) {
		const float *k0 = pb_k_of(v, rows + j * v.stride, kv);
		const float *dk =
		    drows && j >= first ? pb_k_of(v, drows + (j - first) * v.stride, kv) : nullptr;
		float s = 0.0f;

		if (j < lo || j > i)
			continue;
		for (size_t d = 0; d < v.K; d++)
			s += q[d] * (dk ? k0[d] + dk[d] : k0[d]);
		s = pb_capped(s, v.cap);
		a[j] = s;
		top = s > top ? s : top;
	}
	top = block_join(top, false, slots);
	for (size_t j = threadIdx.x; j < length; j += THREADS) {
		bool seen = j >= lo && j <= i;

		a[j] = seen ? expf(a[j] - top) : 0.0f;
		sum += a[j];
	}
	inverse = 1.0f / block_join(sum, true, slots);
	for (size_t j = threadIdx.x; j < length; j += THREADS)
		a[j] *= inverse;
	__syncthreads();
}

/* The edits of one row of one head. */
static __device__ void edit_row(const struct pb_plain_args &g, const struct pb_span &p, size_t head,
				size_t kv, size_t i, float *a, float *s, float *q, float *slots)
{
	for (int32_t n = 0; n < p.n_edits; n++) {
		const struct pb_pattern_edit e = g.edits[p.edit + n];
		const float *source = nullptr;
		size_t lo = pb_lowest_key(i, g.view.window), hi = i + 1;

		if ((size_t)e.head != head || i < (size_t)e.query ||
		    i >= (size_t)e.query + (size_t)e.n_queries)
			continue;
		if (e.source != 0.0f && e.table_row >= 0) {
			source =
			    g.table + ((size_t)e.table_row + i - (size_t)e.query) * g.table_stride;
		} else if (e.source != 0.0f && e.source_base >= 0) {
			const float *rows = g.source_qkv + (size_t)e.source_base * g.view.stride;

			make_row(g.view, pb_q_of(g.view, rows + i * g.view.stride, head), nullptr,
				 rows, nullptr, 0, kv, i, i + 1, s, q, slots);
			source = s;
		}
		lo = (size_t)e.key > lo ? (size_t)e.key : lo;
		hi = (size_t)e.key + (size_t)e.n_keys < hi ? (size_t)e.key + (size_t)e.n_keys : hi;
		for (size_t j = lo + threadIdx.x; j < hi; j += THREADS) {
			float own = e.own != 0.0f ? e.own * a[j] : 0.0f;

			a[j] = source ? own + e.source * source[j] : own;
		}
		__syncthreads();
	}
}

/* The span that row `at` of the launch belongs to. */
static __device__ size_t span_of(const int32_t *start, size_t n, size_t at)
{
	size_t low = 0, high = n;

	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if ((size_t)start[mid] <= at)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static __global__ void attend_plain(struct pb_plain_args g)
{
	PB_SHARED(float, shared);
	const struct pb_head_view v = g.view;
	float *a = shared, *a0 = a + g.longest, *s = a0 + g.longest, *q = s + g.longest;
	float *slots = q + v.K;
	size_t head = g.first_head + blockIdx.y, kv = head * v.n_kv / v.n_heads;
	size_t at = span_of(g.row_start, g.n_spans, blockIdx.x);
	const struct pb_span p = g.spans[at];
	size_t first = (size_t)p.first, i = first + blockIdx.x - (size_t)g.row_start[at];
	size_t row = (size_t)p.row + i - first, n = i + 1;
	const float *rows = g.qkv0 + (size_t)p.base * v.stride;
	const float *drows = g.dqkv ? g.dqkv + (size_t)p.row * v.stride : nullptr;
	const float *q0 = pb_q_of(v, rows + i * v.stride, head);
	const float *dq = drows ? pb_q_of(v, drows + (i - first) * v.stride, head) : nullptr;

	make_row(v, q0, dq, rows, drows, first, kv, i, n, a, q, slots);
	if (g.edits)
		edit_row(g, p, head, kv, i, a, s, q, slots);
	if (g.patterns) {
		float *out = g.patterns + ((at * v.n_heads + head) * g.longest + i) * g.longest;

		for (size_t j = threadIdx.x; j < g.longest; j += THREADS)
			out[j] = j < n ? a[j] : 0.0f;
		return;
	}
	if (drows)
		make_row(v, q0, nullptr, rows, nullptr, 0, kv, i, n, a0, q, slots);
	for (size_t d = threadIdx.x; d < v.K; d += THREADS) {
		float z = 0.0f;

		for (size_t j = 0; j < n; j++) {
			float v0 = pb_v_of(v, rows + j * v.stride, kv)[d];

			z += (drows ? a[j] - a0[j] : a[j]) * v0;
		}
		for (size_t j = first; drows && j < n; j++)
			z += a[j] * pb_v_of(v, drows + (j - first) * v.stride, kv)[d];
		pb_store<1>(g.out + row * g.width, head * v.K + d, &z, g.half);
	}
}

enum pb_status pb_cuda_attend_plain(struct pb_cuda *cuda, struct pb_plain_args *g,
				    const struct pb_span *spans, size_t n_spans, size_t n_heads,
				    const struct pb_pattern_edit *edits, struct pb_error *err)
{
	size_t n_rows = 0, n_edits = 0, bytes;
	int32_t *start = nullptr;
	void *at = nullptr;
	enum pb_status status;

	if (n_spans == 0)
		return PB_OK;
	PB_DO(pb_alloc((void **)&start, n_spans + 1, sizeof *start, "rows of attention", err));
	for (size_t i = 0; i < n_spans; i++) {
		start[i] = (int32_t)n_rows;
		n_rows += (size_t)(spans[i].length - spans[i].first);
		if ((size_t)spans[i].edit + (size_t)spans[i].n_edits > n_edits)
			n_edits = (size_t)spans[i].edit + (size_t)spans[i].n_edits;
	}
	start[n_spans] = (int32_t)n_rows;
	status = pb_cuda_stage(cuda, start, (n_spans + 1) * sizeof *start, &at, err);
	free(start);
	PB_DO(status);
	g->row_start = (const int32_t *)at;
	PB_DO(pb_cuda_stage(cuda, spans, n_spans * sizeof *spans, &at, err));
	g->spans = (const struct pb_span *)at;
	g->n_spans = n_spans;
	if (edits) {
		PB_DO(pb_cuda_stage(cuda, edits, n_edits * sizeof *edits, &at, err));
		g->edits = (const struct pb_pattern_edit *)at;
	}
	bytes = (3 * g->longest + g->view.K + THREADS / PB_WARP) * sizeof(float);
	if (bytes > cuda->shared_most)
		return pb_fail(err, PB_ERR_INPUT,
			       "patterns of prompts of %zu tokens do not fit this GPU's shared "
			       "memory: use shorter prompts, or --backend cpu",
			       g->longest);
	PB_RUN(cuda, attend_plain, dim3((unsigned)n_rows, (unsigned)n_heads), dim3(THREADS), bytes,
	       *g);
	return PB_OK;
}

enum pb_status pb_cuda_plain_open(struct pb_cuda *cuda, struct pb_error *err)
{
	PB_CUDA(cudaFuncSetAttribute(attend_plain, cudaFuncAttributeMaxDynamicSharedMemorySize,
				     (int)cuda->shared_most));
	return PB_OK;
}

enum pb_status pb_cuda_patterns(struct pb_device *dev, const struct pb_patterns *op,
				struct pb_error *err)
{
	struct pb_plain_args g = {};
	struct pb_span *whole = nullptr;
	enum pb_status status;

	/* rows behind a prompt's end stay zero */
	PB_DO(pb_cuda_zero(dev, op->a,
			   op->n_prompts * op->heads.n_heads * op->max_length * op->max_length *
			       sizeof(float),
			   err));
	g.view = pb_view_heads(&op->heads);
	g.width = op->heads.n_heads * op->heads.d_head;
	g.longest = op->max_length;
	g.qkv0 = pb_floats(op->qkv);
	g.patterns = pb_floats(op->a);
	PB_DO(pb_alloc((void **)&whole, op->n_prompts, sizeof *whole, "prompts", err));
	for (size_t i = 0; i < op->n_prompts; i++) {
		whole[i] = op->prompts[i];
		whole[i].first = 0;
	}
	status = pb_cuda_attend_plain(pb_cuda_of(dev), &g, whole, op->n_prompts, op->heads.n_heads,
				      nullptr, err);
	free(whole);
	return status;
}
