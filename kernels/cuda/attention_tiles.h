/* The kernel of attention_delta.cu, the exact change of attention for the variants of a wave:
 *   dz = sum_j (a_j - a0_j) v0_j + a_j dv_j.
 *
 * A block takes one head and a run of variants that share a recipient and their changed rows; a
 * warp takes a strip of eight query rows, their scores and patterns in shared memory. The
 * recipient's patterns a0 of a strip are made once for all variants of the run. Keys and values
 * come in tiles; where one tile holds a whole prompt, the recipient's stay there too and a variant
 * brings its own changed rows alone.
 *
 * Scores of the recipient and of a variant are made by the same chains of products and sums, so
 * that patterns that do not change cancel exactly. */
#ifndef PB_CUDA_ATTENTION_TILES_H
#define PB_CUDA_ATTENTION_TILES_H

#include "cuda/attention.h"

#define STRIP 8u
#define WARPS_MOST 4u
#define AT_ONCE 2 /* rows that a thread reads at once */

/* A run of variants v0 .. v1-1. */
struct group {
	int32_t v0, v1;
};

/* What shared memory has room for: rows of a tile, of changed values, and keys of a pattern. */
struct room {
	unsigned tile, changed, keys;
};

struct delta_args {
	struct pb_head_view view;
	const struct pb_span *variants;
	const struct group *groups;
	const float *qkv0, *dqkv;
	float *dz;
	size_t width, first_head;
	struct room room;
	bool quads;    /* rows can be read four columns at a time */
	bool one_tile; /* every prompt fits one */
	bool half;     /* dz are operands */
};

/* float4s from row to row in shared memory, for heads of up to 32 `chunks` columns; keys lie an odd
 * number of them apart, so that lanes that read a column of them do not meet in a bank. */
static __host__ __device__ constexpr unsigned row_quads(unsigned chunks)
{
	return 8 * chunks;
}
static __host__ __device__ constexpr unsigned key_quads(unsigned chunks)
{
	return row_quads(chunks) + 1;
}

/* Shared memory of a block: where its parts begin, in float4s. Patterns are [key][row of the
 * strip], queries [row]. The parts of the first warp's strip begin at q0, the others' `warp` behind
 * each other. */
struct parts {
	unsigned k, v0, dv, q0, warp;
	float4 *q, *base, *now; /* of this warp */
};

static __device__ __forceinline__ unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}
static __device__ __forceinline__ unsigned most(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* Offsets within a prompt's rows and within shared memory fit 32 bits, and are cheaper so. */
/* NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result) */

/* ---- loading --------------------------------------------------------------------------------- */

/* Columns 4c .. 4c+3 of a head, 0 behind its end. */
static __device__ __forceinline__ float4 four(const float *head, size_t c, unsigned K, bool quads)
{
	float4 x = {};

	if (quads)
		return *reinterpret_cast<const float4 *>(head + 4 * c);
	x.x = head[4 * c];
	if (4 * c + 1 < K)
		x.y = head[4 * c + 1];
	if (4 * c + 2 < K)
		x.z = head[4 * c + 2];
	if (4 * c + 3 < K)
		x.w = head[4 * c + 3];
	return x;
}

static __device__ __forceinline__ float4 sum_of(float4 a, float4 b)
{
	a.x += b.x;
	a.y += b.y;
	a.z += b.z;
	a.w += b.w;
	return a;
}

/* One round: a strip of rows for every warp of the block, from row s0 on. */
struct round {
	const float *rows; /* the recipient's */
	unsigned kv, head, s0, end, low, first, length, warps;
	/* of a thread: the float4 of a row that it brings, its first row, rows to the next */
	unsigned column, row0, step;
};

/* What comes to shared memory in one go: keys, the recipient's values, changes of values (rows
 * from .. to-1 of each, where it is not empty), queries. The tile begins with key t0. */
struct cargo {
	const float *drows; /* the variant's changes; NULL: the recipient itself */
	unsigned t0;
	unsigned k_from, k_to, v_from, v_to, dv_from, dv_to;
	bool queries;
};

/* All of a thread's reads of AT_ONCE rows are under way before it waits for whoever still uses the
 * memory. Rows of queries behind the end become 0. */
template <int chunks>
static __device__ __forceinline__ void load(const struct delta_args &g, float4 *shared,
					    const struct parts &m, const struct round &round,
					    const struct cargo &cargo)
{
	const unsigned K = (unsigned)g.view.K, stride = (unsigned)g.view.stride, c = round.column;
	unsigned n_k = cargo.k_to - cargo.k_from, n_v = cargo.v_to - cargo.v_from;
	unsigned n_dv = cargo.dv_to - cargo.dv_from, n_q = cargo.queries ? round.warps * STRIP : 0;
	unsigned n = most(most(n_k, n_v), most(n_dv, n_q));
	const float *q = pb_q_of(g.view, round.rows, round.head);
	const float *k = pb_k_of(g.view, round.rows, round.kv);
	const float *v = pb_v_of(g.view, round.rows, round.kv);
	const float *dq = cargo.drows ? pb_q_of(g.view, cargo.drows, round.head) : nullptr;
	const float *dk = cargo.drows ? pb_k_of(g.view, cargo.drows, round.kv) : nullptr;
	const float *dv = cargo.drows ? pb_v_of(g.view, cargo.drows, round.kv) : nullptr;
	const float4 none = make_float4(0.0f, 0.0f, 0.0f, 0.0f);

	PB_UNROLL_ONCE
	for (unsigned from = 0; from == 0 || from < n; from += AT_ONCE * round.step) {
		float4 q0[AT_ONCE], k0[AT_ONCE], v0[AT_ONCE];
		float4 q1[AT_ONCE], k1[AT_ONCE], v1[AT_ONCE];

		PB_UNROLL
		for (unsigned u = 0; u < AT_ONCE; u++) {
			unsigned r = from + u * round.step + round.row0;
			unsigned t = cargo.k_from + r, i = round.s0 + r;

			q0[u] = k0[u] = v0[u] = q1[u] = k1[u] = v1[u] = none;
			if (r < n_k) {
				k0[u] = four(k + t * stride, c, K, g.quads);
				if (dk && t >= round.first)
					k1[u] =
					    four(dk + (t - round.first) * stride, c, K, g.quads);
			}
			if (r < n_v)
				v0[u] = four(v + (cargo.v_from + r) * stride, c, K, g.quads);
			if (r < n_dv)
				v1[u] = four(dv + (cargo.dv_from + r - round.first) * stride, c, K,
					     g.quads);
			if (r < n_q && i < round.length) {
				q0[u] = four(q + i * stride, c, K, g.quads);
				if (dq)
					q1[u] =
					    four(dq + (i - round.first) * stride, c, K, g.quads);
			}
		}
		if (from == 0)
			__syncthreads();
		PB_UNROLL
		for (unsigned u = 0; u < AT_ONCE; u++) {
			unsigned r = from + u * round.step + round.row0;

			if (r < n_k)
				shared[m.k + (cargo.k_from - cargo.t0 + r) * key_quads(chunks) +
				       c] = sum_of(k0[u], k1[u]);
			if (r < n_v)
				shared[m.v0 + r * row_quads(chunks) + c] = v0[u];
			if (r < n_dv)
				shared[m.dv + r * row_quads(chunks) + c] = v1[u];
			if (r < n_q) {
				float4 x = sum_of(q0[u], q1[u]);

				x.x *= g.view.scale;
				x.y *= g.view.scale;
				x.z *= g.view.scale;
				x.w *= g.view.scale;
				shared[m.q0 + r / STRIP * m.warp + r % STRIP * row_quads(chunks) +
				       c] = x;
			}
		}
	}
	__syncthreads();
}

/* ---- patterns -------------------------------------------------------------------------------- */

/* A strip: rows i0 .. i0+7, and the multiples of 32 from the one below the lowest key that they see
 * to the one behind the highest. */
struct strip {
	unsigned i0, low, high, length;
};

/* Scores of the strip's rows against keys t0 + lane (and t0 + lane + 32), the first of `rows` rows
 * of k: into the pattern, the lowest float where a row does not see the key. */
template <int chunks, int parts>
static __device__ __forceinline__ void score_keys(const struct delta_args &g, const float4 *q,
						  const float4 *k, const struct strip &strip,
						  unsigned t0, unsigned rows, float4 *pattern)
{
	unsigned lane = threadIdx.x % PB_WARP, KQ = ((unsigned)g.view.K + 3) / 4;
	const float4 *key[parts];
	float s[parts][STRIP];

	PB_UNROLL
	for (int p = 0; p < parts; p++) {
		unsigned row = lane + (unsigned)p * PB_WARP;

		key[p] = k + (row < rows ? row : rows - 1) * key_quads(chunks);
		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++)
			s[p][r] = 0.0f;
	}
	PB_UNROLL_ONCE
	for (unsigned c = 0; c < KQ; c++) {
		float4 y[parts];

		PB_UNROLL
		for (int p = 0; p < parts; p++)
			y[p] = key[p][c];
		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++) {
			float4 x = q[r * row_quads(chunks) + c];

			PB_UNROLL
			for (int p = 0; p < parts; p++) {
				s[p][r] += x.x * y[p].x;
				s[p][r] += x.y * y[p].y;
				s[p][r] += x.z * y[p].z;
				s[p][r] += x.w * y[p].w;
			}
		}
	}
	PB_UNROLL
	for (int p = 0; p < parts; p++) {
		unsigned j = t0 + lane + (unsigned)p * PB_WARP;
		unsigned window = g.view.window ? (unsigned)g.view.window : ~0u;

		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++) {
			unsigned i = strip.i0 + r;
			bool seen = i < strip.length && j <= i && i - j < window;

			s[p][r] = seen ? pb_capped(s[p][r], g.view.cap) : -FLT_MAX;
		}
		if (j < g.room.keys) {
			pattern[2 * j] = make_float4(s[p][0], s[p][1], s[p][2], s[p][3]);
			pattern[2 * j + 1] = make_float4(s[p][4], s[p][5], s[p][6], s[p][7]);
		}
	}
}

/* Scores against the keys of a tile, t0 .. end-1, 64 or 32 at once. */
template <int chunks>
static __device__ __forceinline__ void score_tile(const struct delta_args &g, const float4 *q,
						  const float4 *k, const struct strip &strip,
						  unsigned t0, unsigned end, float4 *pattern)
{
	unsigned from = most(t0, strip.low), KS = key_quads(chunks);

	end = least(end, strip.high);
	PB_UNROLL_ONCE
	for (; from < end; from += 2 * PB_WARP)
		if (from + PB_WARP >= end)
			score_keys<chunks, 1>(g, q, k + (from - t0) * KS, strip, from,
					      g.room.tile - (from - t0), pattern);
		else
			score_keys<chunks, 2>(g, q, k + (from - t0) * KS, strip, from,
					      g.room.tile - (from - t0), pattern);
}

/* The eight sums (or maxima) over a warp of what its lanes have, in every lane: halves of the rows
 * change places first, so that each step moves half as many. */
template <bool sum> static __device__ __forceinline__ float join(float a, float b)
{
	return sum ? a + b : a > b ? a : b;
}
template <bool sum> static __device__ __forceinline__ void join_rows(float *v)
{
	unsigned lane = threadIdx.x % PB_WARP;

	PB_UNROLL
	for (unsigned half = STRIP / 2, bit = 16; half > 0; half /= 2, bit /= 2) {
		bool upper = lane & bit;

		PB_UNROLL
		for (unsigned r = 0; r < half; r++) {
			float own = upper ? v[half + r] : v[r], other = upper ? v[r] : v[half + r];

			v[r] = join<sum>(own, __shfl_xor_sync(PB_ALL_LANES, other, (int)bit));
		}
	}
	v[0] = join<sum>(v[0], __shfl_xor_sync(PB_ALL_LANES, v[0], 2));
	v[0] = join<sum>(v[0], __shfl_xor_sync(PB_ALL_LANES, v[0], 1));
	PB_UNROLL
	for (unsigned r = STRIP; r-- > 0;)
		v[r] = __shfl_sync(
		    PB_ALL_LANES, v[0],
		    (int)((r & 4u ? 16u : 0u) | (r & 2u ? 8u : 0u) | (r & 1u ? 4u : 0u)));
}

static __device__ __forceinline__ void rows_of(const float4 *pattern, unsigned j, float *v)
{
	float4 a = pattern[2 * j], b = pattern[2 * j + 1];

	v[0] = a.x;
	v[1] = a.y;
	v[2] = a.z;
	v[3] = a.w;
	v[4] = b.x;
	v[5] = b.y;
	v[6] = b.z;
	v[7] = b.w;
}

/* Scores become a softmax; below key `moved_below` what is left is its change from `base`. Every
 * lane has its own keys. */
static __device__ __forceinline__ void soften(float4 *pattern, const float4 *base,
					      unsigned moved_below, const struct strip &strip,
					      unsigned keys)
{
	unsigned lane = threadIdx.x % PB_WARP, end = strip.high < keys ? strip.high : keys;
	float top[STRIP], sum[STRIP], v[STRIP];

	PB_UNROLL
	for (unsigned r = 0; r < STRIP; r++) {
		top[r] = -FLT_MAX;
		sum[r] = 0.0f;
	}
	PB_UNROLL_ONCE
	for (unsigned j = strip.low + lane; j < end; j += PB_WARP) {
		rows_of(pattern, j, v);
		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++)
			top[r] = join<false>(v[r], top[r]);
	}
	join_rows<false>(top);
	PB_UNROLL_ONCE
	for (unsigned j = strip.low + lane; j < end; j += PB_WARP) {
		rows_of(pattern, j, v);
		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++) {
			v[r] = expf(v[r] - top[r]);
			sum[r] += v[r];
		}
		pattern[2 * j] = make_float4(v[0], v[1], v[2], v[3]);
		pattern[2 * j + 1] = make_float4(v[4], v[5], v[6], v[7]);
	}
	join_rows<true>(sum);
	PB_UNROLL
	for (unsigned r = 0; r < STRIP; r++)
		sum[r] = 1.0f / sum[r];
	PB_UNROLL_ONCE
	for (unsigned j = strip.low + lane; j < end; j += PB_WARP) {
		rows_of(pattern, j, v);
		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++)
			v[r] *= sum[r];
		if (j < moved_below) {
			float before[STRIP];

			rows_of(base, j, before);
			PB_UNROLL
			for (unsigned r = 0; r < STRIP; r++)
				v[r] -= before[r];
		}
		pattern[2 * j] = make_float4(v[0], v[1], v[2], v[3]);
		pattern[2 * j + 1] = make_float4(v[4], v[5], v[6], v[7]);
	}
	__syncwarp();
}

/* ---- values ---------------------------------------------------------------------------------- */

/* z += a v over one key, a lane a column of every 32. */
template <int chunks>
static __device__ __forceinline__ void add_key(const float *a, const float4 *values, unsigned row,
					       float (*z)[chunks])
{
	const float *v = reinterpret_cast<const float *>(values + row * row_quads(chunks)) +
			 threadIdx.x % PB_WARP;

	PB_UNROLL
	for (int c = 0; c < chunks; c++) {
		float x = v[(size_t)c * PB_WARP];

		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++)
			z[r][c] += a[r] * x;
	}
}

/* z += sum over the keys from .. to-1 of a tile that begins at t0: (a - a0) v0, and from `first` on
 * a dv, whose rows in dv begin with key dv0. */
template <int chunks>
static __device__ __forceinline__ void
add_values(const struct parts &m, const float4 *v0, const float4 *dv, unsigned t0, unsigned from,
	   unsigned to, unsigned first, unsigned dv0, float (*z)[chunks])
{
	unsigned j = from, unmoved = to < first ? to : first;

	PB_UNROLL_TWICE
	for (; j < unmoved; j++) {
		float a[STRIP];

		rows_of(m.now, j, a);
		add_key<chunks>(a, v0, j - t0, z);
	}
	PB_UNROLL_ONCE
	for (; j < to; j++) {
		float a[STRIP], moved[STRIP];

		rows_of(m.now, j, a);
		rows_of(m.base, j, moved);
		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++)
			moved[r] = a[r] - moved[r];
		add_key<chunks>(moved, v0, j - t0, z);
		add_key<chunks>(a, dv, j - dv0, z);
	}
}

/* ---- the kernel ------------------------------------------------------------------------------ */

/* The recipient's patterns, and where one tile holds them its keys and values. */
template <int chunks>
static __device__ void base_patterns(const struct delta_args &g, float4 *shared,
				     const struct parts &m, const struct round &round,
				     const struct strip &strip)
{
	for (unsigned t0 = round.low; t0 < round.end; t0 += g.room.tile) {
		struct cargo cargo = {};

		cargo.t0 = cargo.k_from = t0;
		cargo.k_to = least(t0 + g.room.tile, round.end);
		cargo.queries = t0 == round.low;
		if (g.one_tile)
			cargo.v_to = round.end;
		load<chunks>(g, shared, m, round, cargo);
		score_tile<chunks>(g, m.q, shared + m.k, strip, t0, cargo.k_to, m.base);
	}
	soften(m.base, nullptr, 0, strip, g.room.keys);
}

template <int chunks>
static __device__ void attend_variant(const struct delta_args &g, float4 *shared,
				      const struct parts &m, const struct pb_span &p,
				      const struct round &round, const struct strip &strip)
{
	const struct pb_head_view v = g.view;
	unsigned lane = threadIdx.x % PB_WARP;
	float z[STRIP][chunks];
	struct cargo cargo = {};

	cargo.drows = g.dqkv + (size_t)p.row * v.stride;
	for (unsigned t0 = round.low; t0 < round.end; t0 += g.room.tile) {
		cargo.t0 = cargo.k_from = t0;
		cargo.k_to = least(t0 + g.room.tile, round.end);
		cargo.queries = t0 == round.low;
		if (g.one_tile) { /* the recipient's rows are there */
			cargo.k_from = cargo.dv_from = round.first;
			cargo.dv_to = round.end;
		}
		load<chunks>(g, shared, m, round, cargo);
		score_tile<chunks>(g, m.q, shared + m.k, strip, t0, cargo.k_to, m.now);
	}
	soften(m.now, m.base, round.first, strip, g.room.keys);
	for (int c = 0; c < chunks; c++) {
		for (unsigned r = 0; r < STRIP; r++)
			z[r][c] = 0.0f;
	}
	cargo.k_from = cargo.k_to = 0;
	cargo.queries = false;
	for (unsigned t0 = round.low; t0 < round.end; t0 += g.room.tile) {
		unsigned end = least(t0 + g.room.tile, round.end);
		unsigned dv0 = g.one_tile ? round.first : most(t0, round.first);

		if (!g.one_tile) {
			cargo.v_from = t0;
			cargo.v_to = end;
			cargo.dv_from = least(dv0, end);
			cargo.dv_to = end;
			load<chunks>(g, shared, m, round, cargo);
		}
		add_values<chunks>(m, shared + m.v0, shared + m.dv, t0, most(t0, strip.low),
				   least(end, least(strip.high, strip.i0 + STRIP)), round.first,
				   dv0, z);
	}
	PB_UNROLL
	for (unsigned r = 0; r < STRIP; r++)
		PB_UNROLL
	for (int c = 0; c < chunks; c++) {
		unsigned i = strip.i0 + r, d = lane + (unsigned)c * PB_WARP;

		if (i < round.length && d < v.K)
			pb_store<1>(g.dz + ((size_t)p.row + i - round.first) * g.width,
				    round.head * v.K + d, &z[r][c], g.half);
	}
}

template <int chunks>
static __global__ void __launch_bounds__(WARPS_MOST *PB_WARP, 2) attend_delta(struct delta_args g)
{
	PB_SHARED(float4, shared);
	const struct group group = g.groups[blockIdx.x];
	const struct pb_head_view v = g.view;
	const struct pb_span p0 = g.variants[group.v0];
	const unsigned Q = row_quads(chunks), quads = ((unsigned)v.K + 3) / 4;
	unsigned warp = threadIdx.x / PB_WARP;
	struct round round = {};
	struct parts m;

	round.rows = g.qkv0 + (size_t)p0.base * v.stride;
	round.head = (unsigned)g.first_head + blockIdx.y;
	round.kv = round.head * (unsigned)v.n_kv / (unsigned)v.n_heads;
	round.first = (unsigned)p0.first;
	round.length = (unsigned)p0.length;
	round.warps = blockDim.x / PB_WARP;
	round.column = threadIdx.x % quads;
	round.step = blockDim.x / quads;
	/* threads that are too many for whole rows bring nothing */
	round.row0 = threadIdx.x / quads < round.step ? threadIdx.x / quads : ~0u / 2;
	m.k = 0;
	m.v0 = m.k + g.room.tile * key_quads(chunks);
	m.dv = m.v0 + g.room.tile * Q;
	m.q0 = m.dv + g.room.changed * Q;
	m.warp = STRIP * Q + 4 * g.room.keys;
	m.q = shared + m.q0 + (size_t)warp * m.warp;
	m.base = m.q + (size_t)STRIP * Q;
	m.now = m.base + 2 * (size_t)g.room.keys;
	PB_UNROLL_ONCE
	for (round.s0 = round.first; round.s0 < round.length; round.s0 += round.warps * STRIP) {
		struct strip strip;

		round.end = least(round.s0 + round.warps * STRIP, round.length);
		round.low = g.one_tile
				? 0
				: (unsigned)pb_lowest_key(round.s0, v.window) / PB_WARP * PB_WARP;
		strip.i0 = round.s0 + warp * STRIP;
		strip.length = round.length;
		strip.low = (unsigned)pb_lowest_key(strip.i0, v.window) / PB_WARP * PB_WARP;
		strip.high =
		    strip.i0 < round.length
			? (least(strip.i0 + STRIP, round.length) + PB_WARP - 1) / PB_WARP * PB_WARP
			: 0; /* none: it only waits with the others */
		base_patterns<chunks>(g, shared, m, round, strip);
		PB_UNROLL_ONCE
		for (int32_t n = group.v0; n < group.v1; n++)
			attend_variant<chunks>(g, shared, m, g.variants[n], round, strip);
	}
}

/* NOLINTEND(bugprone-implicit-widening-of-multiplication-result) */

#endif
