/* The sites: one row each, that says where its values lie in the cache and where a change of it
 * enters the residual stream. */
#include <stddef.h>

#include "engine/internal.h"

#define CACHE(member) .array = offsetof(struct pb_cache, member)

const struct pb_site_row pb_site_rows[PB_N_SITES] = {
    [PB_SITE_EMBED] = {CACHE(embed), .once = true, .read_later = true},
    [PB_SITE_RESID_PRE] = {CACHE(x_pre), .read_later = true},
    [PB_SITE_Q] = {CACHE(qkv), PB_ROW_QKV, PB_BLOCK_OF_Q, PB_ENTERS_ATTENTION, .unrotated = true},
    [PB_SITE_K] = {CACHE(qkv), PB_ROW_QKV, PB_BLOCK_OF_K, PB_ENTERS_ATTENTION, .unrotated = true,
		   .read_later = true},
    [PB_SITE_V] = {CACHE(qkv), PB_ROW_QKV, PB_BLOCK_OF_V, PB_ENTERS_ATTENTION, .read_later = true},
    [PB_SITE_Q_ROT] = {CACHE(qkv), PB_ROW_QKV, PB_BLOCK_OF_Q, PB_ENTERS_ATTENTION},
    [PB_SITE_K_ROT] = {CACHE(qkv), PB_ROW_QKV, PB_BLOCK_OF_K, PB_ENTERS_ATTENTION,
		       .read_later = true},
    [PB_SITE_PATTERN] = {.enters = PB_ENTERS_ATTENTION, .never_kept = true},
    [PB_SITE_Z] = {CACHE(z), PB_ROW_Z, PB_BLOCK_OF_Q, PB_ENTERS_HEAD_OUTPUT},
    [PB_SITE_ATTN_OUT] = {CACHE(attn_out), .enters = PB_ENTERS_SUM},
    [PB_SITE_RESID_MID] = {CACHE(x_mid)},
    [PB_SITE_MLP_PRE] = {CACHE(h), PB_ROW_MLP_PRE, .enters = PB_ENTERS_MLP},
    [PB_SITE_MLP_POST] = {CACHE(a), PB_ROW_MLP, .enters = PB_ENTERS_MLP},
    [PB_SITE_MLP_OUT] = {CACHE(mlp_out), .enters = PB_ENTERS_SUM},
    [PB_SITE_RESID_POST] = {CACHE(x_pre), .next_layer = true},
};

/* Heads before a block's first one, in units of K. */
static size_t block_start(const struct pb_arch *a, enum pb_row_block block)
{
	return block == PB_BLOCK_OF_Q   ? 0
	       : block == PB_BLOCK_OF_K ? a->n_heads
					: a->n_heads + a->n_kv_heads;
}

static size_t row_width(const struct pb_arch *a, enum pb_row_kind kind)
{
	switch (kind) {
	case PB_ROW_QKV:
		return pb_qkv_width(a);
	case PB_ROW_Z:
		return pb_z_width(a);
	case PB_ROW_MLP_PRE:
		return pb_h_width(a);
	case PB_ROW_MLP:
		return a->d_mlp;
	default:
		return a->d_model;
	}
}

struct pb_place pb_cache_place(const struct pb_arch *a, const struct pb_cache *c, enum pb_site site,
			       size_t layer, int32_t index)
{
	const struct pb_site_row *row = &pb_site_rows[site];
	bool by_head = row->kind == PB_ROW_QKV || row->kind == PB_ROW_Z;
	size_t at = index > 0 ? (size_t)index : 0, width = row_width(a, row->kind);
	const char *base = (const char *)c + row->array;
	struct pb_place place = {.stride = width, .columns = by_head ? a->d_head : width};

	if (row->never_kept)
		return (struct pb_place){0};
	/* embed is one array, the others one a layer */
	place.array = row->once
			  ? *(const struct pb_dev *)(const void *)base
			  : (*(struct pb_dev *const *)(const void *)base)[layer + row->next_layer];
	if (row->unrotated && c->extra >> PB_SITE_Q & 1u) {
		place.array = c->qk[layer];
		place.stride = (a->n_heads + a->n_kv_heads) * a->d_head;
	}
	if (by_head)
		place.column = (block_start(a, row->block) + at) * a->d_head;
	else if (row->kind >= PB_ROW_MLP_PRE && index >= 0) { /* a neuron */
		place.column = at;
		place.columns = 1;
	}
	return place;
}
