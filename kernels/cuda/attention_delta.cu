/* The exact change of attention for the variants of a wave:
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
#include "cuda/attention.h"

#include <cstdlib>

#define STRIP 8u
#define WARPS_MOST 4u
#define AT_ONCE 4 /* loads that a thread has under way */

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

/* Keys of a tile, by the columns of a head (in 32s). */
static __host__ __device__ constexpr unsigned tile_keys(int chunks)
{
	return chunks <= 4 ? 64 : 32;
}

/* Heads are padded to whole float4s; keys lie an odd number of them apart, so that lanes that read
 * a column of them do not meet in a bank. */
static __host__ __device__ __forceinline__ unsigned head_quads(size_t K)
{
	return (unsigned)(K + 3) / 4;
}
static __host__ __device__ __forceinline__ unsigned key_quads(size_t K)
{
	return head_quads(K) | 1u;
}

static size_t tile_bytes(size_t K, const struct room *r)
{
	return 16 * (size_t)(r->tile * (key_quads(K) + head_quads(K)) + r->changed * head_quads(K));
}
static size_t warp_bytes(size_t K, const struct room *r)
{
	return 16 * (size_t)(STRIP * head_quads(K) + 4 * r->keys);
}

/* Shared memory of a block, in float4s. Patterns are [key][row of the strip]. */
struct parts {
	float4 *k, *v0, *dv;
	float4 *q, *base, *now; /* of the warp */
};

/* ---- loading --------------------------------------------------------------------------------- */

/* Columns 4c .. 4c+3 of a head, 0 behind its end. */
static __device__ __forceinline__ float4 four(const float *head, unsigned c, unsigned K, bool quads)
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

/* n items over the threads of a block, several loads of a thread under way at once. */
template <typename Load, typename Store>
static __device__ __forceinline__ void move_items(unsigned n, Load load, Store store)
{
	PB_UNROLL_ONCE
	for (unsigned at = threadIdx.x; at < n; at += AT_ONCE * blockDim.x) {
		float4 x[AT_ONCE];

		PB_UNROLL
		for (unsigned i = 0; i < AT_ONCE; i++)
			if (at + i * blockDim.x < n)
				x[i] = load(at + i * blockDim.x);
		PB_UNROLL
		for (unsigned i = 0; i < AT_ONCE; i++)
			if (at + i * blockDim.x < n)
				store(at + i * blockDim.x, x[i]);
	}
}

/* Keys from .. to-1 of the recipient, with the variant's changes from `first` on (drows not NULL),
 * to the rows of the tile that begins at t0. */
static __device__ void load_keys(const struct delta_args &g, float4 *k, const float *rows,
				 const float *drows, unsigned kv, unsigned t0, unsigned from,
				 unsigned to, unsigned first)
{
	const struct pb_head_view v = g.view;
	unsigned KQ = head_quads(v.K), KS = key_quads(v.K);

	move_items(
	    (to - from) * KQ,
	    [&](unsigned at) {
		    unsigned t = from + at / KQ, c = at % KQ;
		    float4 x = four(pb_k_of(v, rows + t * v.stride, kv), c, (unsigned)v.K, g.quads);

		    if (drows && t >= first)
			    x = sum_of(x, four(pb_k_of(v, drows + (t - first) * v.stride, kv), c,
					       (unsigned)v.K, g.quads));
		    return x;
	    },
	    [&](unsigned at, float4 x) { k[(from + at / KQ - t0) * KS + at % KQ] = x; });
}

/* Values of rows from .. to-1 (of the recipient, or changes of them) into rows 0, 1, ... of a tile.
 */
static __device__ void load_values(const struct delta_args &g, float4 *values, const float *rows,
				   unsigned kv, unsigned from, unsigned to)
{
	const struct pb_head_view v = g.view;
	unsigned KQ = head_quads(v.K);

	move_items((to - from) * KQ,
		   [&](unsigned at) {
			   return four(pb_v_of(v, rows + (from + at / KQ) * v.stride, kv), at % KQ,
				       (unsigned)v.K, g.quads);
		   },
		   [&](unsigned at, float4 x) { values[at] = x; });
}

/* The strip's scaled queries, q[columns / 4][row]; rows behind the end are 0. */
static __device__ void load_queries(const struct delta_args &g, float4 *q, const float *rows,
				    const float *drows, size_t head, unsigned i0, unsigned first,
				    unsigned length)
{
	const struct pb_head_view v = g.view;
	unsigned lane = threadIdx.x % PB_WARP;

	__syncwarp();
	PB_UNROLL_ONCE
	for (unsigned at = lane; at < STRIP * head_quads(v.K); at += PB_WARP) {
		unsigned i = i0 + at % STRIP, c = at / STRIP;
		float4 x = {};

		if (i < length) {
			x = four(pb_q_of(v, rows + i * v.stride, head), c, (unsigned)v.K, g.quads);
			if (drows)
				x = sum_of(x, four(pb_q_of(v, drows + (i - first) * v.stride, head),
						   c, (unsigned)v.K, g.quads));
		}
		x.x *= v.scale;
		x.y *= v.scale;
		x.z *= v.scale;
		x.w *= v.scale;
		q[at] = x;
	}
	__syncwarp();
}

/* ---- patterns -------------------------------------------------------------------------------- */

/* A strip: rows i0 .. i0+7, and the multiples of 32 from the one below the lowest key that they see
 * to the one behind the highest. */
struct strip {
	unsigned i0, low, high, length;
};

/* Scores of the strip's rows against keys t0 + lane (and t0 + lane + 32): into the pattern, the
 * lowest float where a row does not see the key. */
template <int parts>
static __device__ __forceinline__ void score_keys(const struct delta_args &g, const float4 *q,
						  const float4 *k, const struct strip &strip,
						  unsigned t0, float4 *pattern)
{
	unsigned lane = threadIdx.x % PB_WARP, KQ = head_quads(g.view.K), KS = key_quads(g.view.K);
	const float4 *key[parts];
	float s[parts][STRIP];

	PB_UNROLL
	for (int p = 0; p < parts; p++) {
		unsigned row = lane + (unsigned)p * PB_WARP;

		key[p] = k + (row < g.room.tile ? row : g.room.tile - 1) * KS;
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
			float4 x = q[c * STRIP + r];

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

		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++) {
			unsigned i = strip.i0 + r;
			bool seen = i < strip.length && j <= i &&
				    j >= (unsigned)pb_lowest_key(i, g.view.window);

			s[p][r] = seen ? pb_capped(s[p][r], g.view.cap) : -FLT_MAX;
		}
		if (j < g.room.keys) {
			pattern[2 * j] = make_float4(s[p][0], s[p][1], s[p][2], s[p][3]);
			pattern[2 * j + 1] = make_float4(s[p][4], s[p][5], s[p][6], s[p][7]);
		}
	}
}

template <int chunks>
static __device__ __forceinline__ void score_tile(const struct delta_args &g, const float4 *q,
						  const float4 *k, const struct strip &strip,
						  unsigned t0, float4 *pattern)
{
	if (t0 + tile_keys(chunks) <= strip.low || t0 >= strip.high)
		return;
	if (tile_keys(chunks) == 32 || t0 + 32 >= strip.high)
		score_keys<1>(g, q, k, strip, t0, pattern);
	else
		score_keys<tile_keys(chunks) / 32>(g, q, k, strip, t0, pattern);
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
					       unsigned KQ, const unsigned *column,
					       float (*z)[chunks])
{
	const float *v = reinterpret_cast<const float *>(values + row * KQ);

	PB_UNROLL
	for (int c = 0; c < chunks; c++) {
		float x = v[column[c]];

		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++)
			z[r][c] += a[r] * x;
	}
}

/* z += sum over the keys from .. to-1 of a tile that begins at t0: (a - a0) v0, and from `first` on
 * a dv, whose rows in dv begin with key dv0. */
template <int chunks>
static __device__ __forceinline__ void
add_values(const struct parts &m, unsigned KQ, unsigned t0, unsigned from, unsigned to,
	   unsigned first, unsigned dv0, const unsigned *column, float (*z)[chunks])
{
	unsigned j = from, unmoved = to < first ? to : first;

	PB_UNROLL_TWICE
	for (; j < unmoved; j++) {
		float a[STRIP];

		rows_of(m.now, j, a);
		add_key<chunks>(a, m.v0, j - t0, KQ, column, z);
	}
	PB_UNROLL_ONCE
	for (; j < to; j++) {
		float a[STRIP], moved[STRIP];

		rows_of(m.now, j, a);
		rows_of(m.base, j, moved);
		PB_UNROLL
		for (unsigned r = 0; r < STRIP; r++)
			moved[r] = a[r] - moved[r];
		add_key<chunks>(moved, m.v0, j - t0, KQ, column, z);
		add_key<chunks>(a, m.dv, j - dv0, KQ, column, z);
	}
}

/* ---- the kernel ------------------------------------------------------------------------------ */

/* One round: a strip of rows for every warp of the block, from row s0 on. */
struct round {
	const float *rows; /* the recipient's */
	unsigned kv, head, s0, end, low, first, length;
};

static __device__ __forceinline__ unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}
static __device__ __forceinline__ unsigned most(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* The recipient's patterns, and where one tile holds them its keys and values. */
template <int chunks>
static __device__ void base_patterns(const struct delta_args &g, const struct parts &m,
				     const struct round &round, const struct strip &strip)
{
	load_queries(g, m.q, round.rows, nullptr, round.head, strip.i0, round.first, round.length);
	PB_UNROLL_ONCE
	for (unsigned t0 = round.low; t0 < round.end; t0 += tile_keys(chunks)) {
		unsigned end = least(t0 + tile_keys(chunks), round.end);

		__syncthreads();
		load_keys(g, m.k, round.rows, nullptr, round.kv, t0, t0, end, round.first);
		if (g.one_tile)
			load_values(g, m.v0, round.rows, round.kv, t0, end);
		__syncthreads();
		score_tile<chunks>(g, m.q, m.k, strip, t0, m.base);
	}
	soften(m.base, nullptr, 0, strip, g.room.keys);
}

/* Changes of the values of a variant's rows from .. to-1, all of them at or behind `first`. */
static __device__ __forceinline__ void load_changes(const struct delta_args &g, float4 *dv,
						    const float *drows, const struct round &round,
						    unsigned from, unsigned to)
{
	if (from < to)
		load_values(g, dv, drows, round.kv, from - round.first, to - round.first);
}

template <int chunks>
static __device__ void attend_variant(const struct delta_args &g, const struct parts &m,
				      const struct pb_span &p, const struct round &round,
				      const struct strip &strip)
{
	const struct pb_head_view v = g.view;
	const float *drows = g.dqkv + (size_t)p.row * v.stride;
	unsigned lane = threadIdx.x % PB_WARP, KQ = head_quads(v.K);
	unsigned column[chunks];
	float z[STRIP][chunks];

	load_queries(g, m.q, round.rows, drows, round.head, strip.i0, round.first, round.length);
	PB_UNROLL_ONCE
	for (unsigned t0 = round.low; t0 < round.end; t0 += tile_keys(chunks)) {
		unsigned end = least(t0 + tile_keys(chunks), round.end);

		__syncthreads();
		load_keys(g, m.k, round.rows, drows, round.kv, t0, g.one_tile ? round.first : t0,
			  end, round.first);
		if (g.one_tile)
			load_changes(g, m.dv, drows, round, round.first, end);
		__syncthreads();
		score_tile<chunks>(g, m.q, m.k, strip, t0, m.now);
	}
	soften(m.now, m.base, round.first, strip, g.room.keys);
	for (int c = 0; c < chunks; c++) {
		column[c] = least(lane + (unsigned)c * PB_WARP, 4 * KQ - 1);
		for (unsigned r = 0; r < STRIP; r++)
			z[r][c] = 0.0f;
	}
	PB_UNROLL_ONCE
	for (unsigned t0 = round.low; t0 < round.end; t0 += tile_keys(chunks)) {
		unsigned end = least(t0 + tile_keys(chunks), round.end);
		unsigned dv0 = g.one_tile ? round.first : most(t0, round.first);

		if (!g.one_tile) {
			__syncthreads();
			load_values(g, m.v0, round.rows, round.kv, t0, end);
			load_changes(g, m.dv, drows, round, dv0, end);
			__syncthreads();
		}
		add_values<chunks>(m, KQ, t0, most(t0, strip.low),
				   least(end, least(strip.high, strip.i0 + STRIP)), round.first,
				   dv0, column, z);
	}
	PB_UNROLL
	for (unsigned r = 0; r < STRIP; r++)
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
	unsigned warp = threadIdx.x / PB_WARP, warps = blockDim.x / PB_WARP, KQ = head_quads(v.K);
	struct round round = {};
	struct parts m;

	round.rows = g.qkv0 + (size_t)p0.base * v.stride;
	round.head = (unsigned)g.first_head + blockIdx.y;
	round.kv = round.head * (unsigned)v.n_kv / (unsigned)v.n_heads;
	round.first = (unsigned)p0.first;
	round.length = (unsigned)p0.length;
	m.k = shared;
	m.v0 = m.k + g.room.tile * key_quads(v.K);
	m.dv = m.v0 + g.room.tile * KQ;
	m.q = m.dv + g.room.changed * KQ + warp * (STRIP * KQ + 4 * g.room.keys);
	m.base = m.q + STRIP * KQ;
	m.now = m.base + 2 * g.room.keys;
	for (round.s0 = round.first; round.s0 < round.length; round.s0 += warps * STRIP) {
		struct strip strip;

		round.end = least(round.s0 + warps * STRIP, round.length);
		round.low = (unsigned)pb_lowest_key(round.s0, v.window) / tile_keys(chunks) *
			    tile_keys(chunks);
		strip.i0 = round.s0 + warp * STRIP;
		strip.length = round.length;
		strip.low = (unsigned)pb_lowest_key(strip.i0, v.window) / PB_WARP * PB_WARP;
		strip.high =
		    strip.i0 < round.length
			? (least(strip.i0 + STRIP, round.length) + PB_WARP - 1) / PB_WARP * PB_WARP
			: 0; /* none: it only waits with the others */
		if (g.one_tile)
			round.low = 0;
		base_patterns<chunks>(g, m, round, strip);
		for (int32_t n = group.v0; n < group.v1; n++)
			attend_variant<chunks>(g, m, g.variants[n], round, strip);
	}
}

/* ---- launching ------------------------------------------------------------------------------- */

typedef void kernel_fn(struct delta_args);

/* The kernel for a width of heads; its tile. */
static kernel_fn *kernel_for(size_t K, unsigned *tile)
{
	static kernel_fn *const kernels[] = {attend_delta<1>, attend_delta<2>, attend_delta<4>,
					     attend_delta<8>};
	size_t i = K <= 32 ? 0 : K <= 64 ? 1 : K <= 128 ? 2 : 3;

	*tile = tile_keys(1 << i);
	return kernels[i];
}

/* How a launch is cut, for variants no longer than `longest` with `changed` changed rows at most.
 */
struct shape {
	struct room room;
	unsigned warps;
	size_t bytes;
	bool one_tile;
};

static struct shape shape_of(size_t K, unsigned tile, size_t longest, size_t changed,
			     size_t shared_most)
{
	struct shape s = {};
	size_t strips = (changed + STRIP - 1) / STRIP;

	s.one_tile = longest <= tile;
	s.room.tile = s.one_tile ? (unsigned)longest : tile;
	s.room.changed = s.one_tile ? (unsigned)changed : tile;
	s.room.keys = (unsigned)longest;
	s.warps = (unsigned)(strips < WARPS_MOST ? strips : WARPS_MOST);
	/* two blocks hide each other's waits */
	while (s.warps > 1 && tile_bytes(K, &s.room) + s.warps * warp_bytes(K, &s.room) >
				  (s.warps > WARPS_MOST / 2 ? shared_most / 2 : shared_most))
		s.warps--;
	/* rounds of equal size */
	s.warps = (unsigned)((strips + (strips + s.warps - 1) / s.warps - 1) /
			     ((strips + s.warps - 1) / s.warps));
	s.bytes = tile_bytes(K, &s.room) + s.warps * warp_bytes(K, &s.room);
	return s;
}

/* Runs of at most `limit` variants that share a recipient and their rows; returns how many. */
static size_t make_groups(const struct pb_span *variants, size_t n, size_t limit,
			  struct group *groups)
{
	size_t count = 0;

	for (size_t v = 0; v < n;) {
		size_t end = v + 1;

		while (end < n && end - v < limit && variants[end].base == variants[v].base &&
		       variants[end].first == variants[v].first &&
		       variants[end].length == variants[v].length)
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
	size_t K = op->heads.d_head, longest = 0, changed = 0, n_groups, limit;
	struct group *groups = nullptr;
	unsigned tile = 0;
	kernel_fn *kernel = kernel_for(K, &tile);
	struct shape shape;
	void *at = nullptr;
	enum pb_status status;

	if (n == 0)
		return PB_OK;
	for (size_t i = 0; i < n; i++) {
		size_t length = (size_t)variants[i].length,
		       rows = length - (size_t)variants[i].first;

		longest = length > longest ? length : longest;
		changed = rows > changed ? rows : changed;
	}
	shape = shape_of(K, tile, longest, changed, cuda->shared_most);
	g.room = shape.room;
	g.one_tile = shape.one_tile;
	g.quads = pb_quads(g.qkv0, g.view.stride, K) && pb_quads(g.dqkv, g.view.stride, K);
	/* long runs share the recipient's patterns, many blocks fill the card */
	limit = n * n_heads / (cuda->multiprocessors * 12);
	limit = limit < 1 ? 1 : limit > 8 ? 8 : limit;
	PB_DO(pb_alloc((void **)&groups, n, sizeof *groups, "runs of variants", err));
	n_groups = make_groups(variants, n, limit, groups);
	status = pb_cuda_stage(cuda, groups, n_groups * sizeof *groups, &at, err);
	free(groups);
	PB_DO(status);
	g.groups = (const struct group *)at;
	PB_DO(pb_cuda_stage(cuda, variants, n * sizeof *variants, &at, err));
	g.variants = (const struct pb_span *)at;
	PB_RUN(cuda, kernel, dim3((unsigned)n_groups, (unsigned)n_heads),
	       dim3(shape.warps * PB_WARP), shape.bytes, g);
	return PB_OK;
}

enum pb_status pb_cuda_attention_delta_open(struct pb_cuda *cuda, struct pb_error *err)
{
	for (size_t K = 32; K <= PB_HEAD_MOST; K *= 2) {
		unsigned tile = 0;

		PB_CUDA(cudaFuncSetAttribute(kernel_for(K, &tile),
					     cudaFuncAttributeMaxDynamicSharedMemorySize,
					     (int)cuda->shared_most));
	}
	return PB_OK;
}

/* Whether a variant goes the tiled way: by its own length alone, since the two ways may differ in
 * their last bits. */
static bool is_tiled(const struct pb_cuda *cuda, const struct pb_attention_delta *op,
		     const struct pb_span *p)
{
	size_t K = op->heads.d_head;
	struct room room = {};

	if (op->edits && p->n_edits > 0)
		return false;
	(void)kernel_for(K, &room.tile);
	room.changed = room.tile;
	room.keys = (unsigned)p->length;
	return tile_bytes(K, &room) + warp_bytes(K, &room) <= cuda->shared_most;
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
		if (is_tiled(cuda, op, p))
			spans[n_tiled++] = *p;
		else
			spans[op->n_variants + n_plain++] = *p;
	}
	g.view = pb_view_heads(&op->heads);
	g.qkv0 = pb_floats(op->qkv0);
	g.dqkv = pb_floats(op->dqkv);
	g.dz = pb_floats(op->dz);
	g.width = op->heads.n_heads * op->heads.d_head;
	g.first_head = op->n_used ? op->first_head : 0;
	g.half = pb_half(cuda, op->operand);
	status = attend_tiled(cuda, op, g, spans, n_tiled, n_heads, err);
	if (status == PB_OK) {
		struct pb_plain_args plain = {};

		plain.view = g.view;
		plain.first_head = g.first_head;
		plain.width = g.width;
		plain.half = g.half;
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
