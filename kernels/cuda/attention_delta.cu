/* The change of attention: which variants go through the tiled kernel (attention_tiles.h) and which
 * a row at a time (attention_plain.cu), and how a launch is cut. */
#include "cuda/attention_tiles.h"

#include <cstdlib>

#define RUN_MOST ((size_t)16) /* variants of a run */

static unsigned chunks_of(size_t K)
{
	return K <= 32 ? 1 : K <= 64 ? 2 : K <= 128 ? 4 : 8;
}

static size_t tile_bytes(size_t K, const struct room *r)
{
	unsigned chunks = chunks_of(K);

	return 16 * (size_t)(r->tile * (key_quads(chunks) + row_quads(chunks)) +
			     r->changed * row_quads(chunks));
}
static size_t warp_bytes(size_t K, const struct room *r)
{
	return 16 * (size_t)(STRIP * row_quads(chunks_of(K)) + 4 * r->keys);
}

typedef void kernel_fn(struct delta_args);

/* The kernel for a width of heads. */
static kernel_fn *kernel_for(size_t K)
{
	static kernel_fn *const kernels[] = {nullptr, attend_delta<1>, attend_delta<2>,
					     nullptr, attend_delta<4>, nullptr,
					     nullptr, nullptr,         attend_delta<8>};

	return kernels[chunks_of(K)];
}

/* Warps that a block has at least: a thread for every float4 of a row. */
static unsigned warps_least(size_t K)
{
	return K <= 128 ? 1 : 2;
}

/* Keys of a tile where a prompt needs several. */
static size_t tile_keys(size_t K)
{
	return K <= 128 ? 64 : 32;
}

/* How a launch is cut, for variants no longer than `longest` with `changed` changed rows at most.
 */
struct shape {
	struct room room;
	unsigned warps;
	size_t bytes;
	bool one_tile;
};

/* Strips in rounds of equal size. */
static void set_warps(struct shape *s, size_t K, size_t strips, size_t most)
{
	size_t rounds;

	strips = strips ? strips : 1;
	s->warps = (unsigned)(strips < WARPS_MOST ? strips : WARPS_MOST);
	while (s->warps > warps_least(K) &&
	       tile_bytes(K, &s->room) + s->warps * warp_bytes(K, &s->room) > most)
		s->warps--;
	rounds = (strips + s->warps - 1) / s->warps;
	s->warps = (unsigned)((strips + rounds - 1) / rounds);
	s->warps = s->warps < warps_least(K) ? warps_least(K) : s->warps;
	s->bytes = tile_bytes(K, &s->room) + s->warps * warp_bytes(K, &s->room);
}

/* One tile where two blocks still fit a multiprocessor: one works while the other waits. */
static struct shape shape_of(size_t K, size_t longest, size_t changed, size_t shared_most)
{
	struct shape s = {};
	size_t strips = (changed + STRIP - 1) / STRIP, tile = tile_keys(K);

	s.one_tile = true;
	s.room.tile = s.room.keys = (unsigned)longest;
	s.room.changed = (unsigned)changed;
	set_warps(&s, K, strips, shared_most / 2);
	if (s.bytes <= shared_most / 2)
		return s;
	s.one_tile = false;
	s.room.tile = s.room.changed = (unsigned)(longest < tile ? longest : tile);
	set_warps(&s, K, strips, shared_most / 2);
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

/* Runs of variants, of a length that suits the card: long ones share more of the recipient's part,
 * which is about four fifths of a variant's, and blocks should fill the card a whole number of
 * times. Returns how many. */
static size_t cut_runs(const struct pb_span *variants, size_t n, size_t n_heads, size_t slots,
		       struct group *groups)
{
	double best = 0.0;
	size_t limit = 1;

	slots = slots ? slots : 1;
	for (size_t l = 1; l <= RUN_MOST; l++) {
		size_t blocks = make_groups(variants, n, l, groups) * n_heads;
		size_t fills = (blocks + slots - 1) / slots;
		double time = (double)fills * ((double)l + 0.8);

		if (l == 1 || time < best) {
			best = time;
			limit = l;
		}
	}
	return make_groups(variants, n, limit, groups);
}

static enum pb_status attend_tiled(struct pb_cuda *cuda, const struct pb_attention_delta *op,
				   struct delta_args g, const struct pb_span *variants, size_t n,
				   size_t n_heads, struct pb_error *err)
{
	size_t K = op->heads.d_head, longest = 0, changed = 0, n_groups;
	struct group *groups = nullptr;
	kernel_fn *kernel = kernel_for(K);
	struct shape shape;
	int resident = 0;
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
	shape = shape_of(K, longest, changed, cuda->shared_most);
	g.room = shape.room;
	g.one_tile = shape.one_tile;
	g.quads = pb_quads(g.qkv0, g.view.stride, K) && pb_quads(g.dqkv, g.view.stride, K);
	PB_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
	    &resident, kernel, (int)(shape.warps * PB_WARP), shape.bytes));
	PB_DO(pb_alloc((void **)&groups, n, sizeof *groups, "runs of variants", err));
	n_groups = cut_runs(variants, n, n_heads, (size_t)resident * cuda->multiprocessors, groups);
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
	for (size_t K = 32; K <= PB_HEAD_MOST; K *= 2)
		PB_CUDA(cudaFuncSetAttribute(kernel_for(K),
					     cudaFuncAttributeMaxDynamicSharedMemorySize,
					     (int)cuda->shared_most));
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
	room.tile = room.changed = (unsigned)tile_keys(K);
	room.keys = (unsigned)p->length;
	return tile_bytes(K, &room) + warps_least(K) * warp_bytes(K, &room) <= cuda->shared_most;
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
