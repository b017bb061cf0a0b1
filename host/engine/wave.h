/* What the files of the wave share. */
#ifndef PB_ENGINE_WAVE_H
#define PB_ENGINE_WAVE_H

#include "engine/sweeps.h"

struct pb_wave {
	struct pb_engine *e;
	struct pb_wave_memory *m;
	const struct pb_sweep_work *work;
	const struct pb_chunk_run *run;
	const struct pb_variants *list;
	const struct pb_variant *v; /* the wave's own: list->v + from */
	size_t from, n;
	unsigned *sites; /* [L + 1] bits of the sites that any variant writes, by layer */
	/* paths: sender s of pair p has rows sender_row_of[s * n_pairs + p - pair0] on */
	size_t pair0, n_pairs, n_senders;
	const struct pb_variant **variant_of; /* [n_pairs] one of each pair, NULL: none */
};

/* Which rows a buffer of a block has: every row of its variants, the rows that are written in this
 * layer, or the answer position of each. */
enum pb_view_kind { PB_VIEW_DENSE, PB_VIEW_WRITTEN, PB_VIEW_ANSWER };

struct pb_view {
	struct pb_wave *w;
	enum pb_view_kind kind;
	size_t v0, v1, rows;    /* variants of the wave, and rows of the view */
	struct pb_dev delta;    /* [rows, D] change of the residual */
	struct pb_dev base_row; /* int32 [rows] */
};

/* Every row of the variants v0 .. v1 - 1, as they lie in m->delta; their answer positions, in
 * m->answer. */
struct pb_view pb_view_dense(struct pb_wave *w, size_t v0, size_t v1);
struct pb_view pb_view_answer(struct pb_wave *w, size_t v0, size_t v1);

/* First row of variant v (v0 <= v <= v1). */
size_t pb_view_row(const struct pb_view *view, size_t v);

/* What attention contributes: changes of z at the rows of a view. */
struct pb_view_z {
	struct pb_dev z; /* address NULL: nothing */
	size_t stride;   /* H K: all heads; less: the heads of each variant's index alone */
	bool operand;    /* z holds operands (see backend.h) */
};

/* Base row of position 0 of a variant's recipient, and the length of its prompt. */
static inline int32_t pb_wave_base(const struct pb_wave *w, size_t v)
{
	return w->run->batch.spans[2 * (size_t)w->v[v].pair + (size_t)w->work->recipient].base;
}
static inline size_t pb_wave_length(const struct pb_wave *w, size_t v)
{
	return w->run->pairs[w->v[v].pair].length;
}

/* int32 entry `i` of a device index array. */
static inline struct pb_dev pb_index_at(struct pb_dev d, size_t i)
{
	return pb_dev_at(d, i * sizeof(int32_t));
}

/* ---- wave_steps.c: pieces of a block ------------------------------------------------------------
 */

enum pb_status pb_step_norm(struct pb_wave *w, struct pb_dev delta, size_t rows,
			    struct pb_dev base_row, struct pb_dev x0, struct pb_dev stats,
			    struct pb_dev weight, struct pb_dev y, bool operand,
			    struct pb_error *err);
/* `operand`: y is for a product alone, and left as its operands (a family without this norm has
 * none: see pb_normed_operand). */
enum pb_status pb_step_pre_norm(struct pb_wave *w, struct pb_dev delta, size_t rows,
				struct pb_dev base_row, struct pb_dev x0, struct pb_dev stats,
				struct pb_dev weight, struct pb_dev y, bool operand,
				struct pb_error *err);
/* Whether what attention and the MLP read can be left as operands: where it is normed. */
static inline bool pb_normed_operand(const struct pb_wave *w)
{
	return !w->e->arch.no_pre_norm;
}
/* What attention's or the MLP's output changes by once it is normed, in place; nothing without
 * post-norms. */
enum pb_status pb_step_post_norm(struct pb_wave *w, size_t l, bool attention, struct pb_dev out,
				 size_t rows, struct pb_dev base_row, struct pb_error *err);
/* Changes of the normed q and k of the heads first .. first + n - 1, in place; see
 * pb_engine_qk_norm. */
enum pb_status pb_step_qk_norm(struct pb_wave *w, size_t l, size_t first, size_t n, struct pb_dev x,
			       size_t stride, size_t rows, struct pb_dev base_row,
			       struct pb_error *err);
enum pb_status pb_step_gemm(struct pb_wave *w, size_t rows, const struct pb_packed *weight,
			    size_t n_in, size_t n_out, struct pb_dev x, size_t x_stride,
			    struct pb_dev y, size_t y_stride, bool accumulate,
			    struct pb_error *err);
/* The same from operands, or not. */
enum pb_status pb_step_product(struct pb_wave *w, size_t rows, const struct pb_packed *weight,
			       size_t n_in, size_t n_out, struct pb_dev x, size_t x_stride,
			       bool operand, struct pb_dev y, size_t y_stride, bool accumulate,
			       struct pb_error *err);
enum pb_status pb_step_rows(struct pb_wave *w, enum pb_stage stage, const struct pb_rows *op,
			    struct pb_error *err);
enum pb_status pb_step_rotate(struct pb_wave *w, size_t l, struct pb_dev x, size_t stride,
			      size_t rows, size_t n_heads, struct pb_dev position,
			      struct pb_error *err);
enum pb_status pb_step_zero(struct pb_wave *w, struct pb_dev x, size_t floats,
			    struct pb_error *err);
/* h = change of the MLP before its activation, for the residual change `delta`. */
enum pb_status pb_step_mlp_in(struct pb_wave *w, size_t l, struct pb_dev delta, size_t rows,
			      struct pb_dev base_row, struct pb_dev h, struct pb_error *err);
/* h = change of the MLP after its activation, from before it, in place, or as operands. */
enum pb_status pb_step_activate(struct pb_wave *w, size_t l, size_t rows, struct pb_dev base_row,
				struct pb_dev h, bool operand, struct pb_error *err);
enum pb_status pb_step_ints(struct pb_wave *w, struct pb_dev to, const int32_t *ints, size_t n,
			    struct pb_error *err);

/* What is done with a block of rows in a layer. */
enum pb_block_kind {
	PB_KIND_INPUT,     /* it begins with the layer's input */
	PB_KIND_UNDER_WAY, /* it goes through the layer */
	PB_KIND_ENTERS,    /* it begins inside */
	PB_KIND_JOINS,     /* a sender begins */
	PB_KIND_ATTENTION, /* what receivers in attention read of senders */
	PB_KIND_MLP
};
/* Around the work of one block of rows in one layer, which then goes to the device as one graph
 * where the engine makes them. `site`: where its variants enter. pb_step_end takes the status of
 * that work and returns it, or its own. */
static inline enum pb_status pb_step_begin(struct pb_wave *w, enum pb_block_kind kind, size_t l,
					   enum pb_site site, struct pb_error *err)
{
	uint64_t last = l + 1 == w->e->arch.n_layers;
	uint64_t all =
	    (uint64_t)w->sites[l] << 16 | (uint64_t)site << 8 | last << 4 | (uint64_t)kind;

	return w->e->graphs ? w->e->ops->graph_begin(w->e->dev, all, err) : PB_OK;
}
static inline enum pb_status pb_step_end(struct pb_wave *w, enum pb_status status,
					 struct pb_error *err)
{
	return w->e->graphs ? w->e->ops->graph_end(w->e->dev, status, err) : status;
}

/* Write the injections at (layer, site) of the view's variants into `out`. */
enum pb_status pb_step_inject(const struct pb_view *view, size_t l, enum pb_site site,
			      struct pb_dev out, size_t stride, bool compact_columns,
			      struct pb_error *err);
/* Whether any variant of the wave writes one of the sites first .. last at a layer. */
static inline bool pb_wave_writes(const struct pb_wave *w, size_t l, enum pb_site first,
				  enum pb_site last)
{
	return (w->sites[l] >> first & ((2u << (last - first)) - 1u)) != 0;
}

/* ---- wave.c ------------------------------------------------------------------------------------
 */

/* Which of the sites that need steps of their own a variant writes at a layer. Variants travel in
 * one block only where these are the same: a variant's bits must not depend on the others. */
unsigned pb_wave_steps(const struct pb_wave *w, size_t v, size_t l);
/* End of the block that starts at variant v0: whole variants, at most `rows` rows and `variants`
 * variants, at least one. */
size_t pb_block_end(const struct pb_wave *w, size_t l, size_t v0, size_t end, size_t rows,
		    size_t variants);

/* Whether the variants of a view write such a site (all of them do, or none). */
static inline bool pb_view_writes(const struct pb_view *view, size_t l, enum pb_site first,
				  enum pb_site last)
{
	return (pb_wave_steps(view->w, view->v0, l) >> first & ((2u << (last - first)) - 1u)) != 0;
}

/* ---- wave_layer.c ------------------------------------------------------------------------------
 */

/* The rest of a layer for the rows of a view: attention's output, the MLP, and what is written on
 * the way. `from`: the first site of the layer that changed (PB_SITE_RESID_PRE: the input). */
enum pb_status pb_finish_layer(const struct pb_view *view, size_t l, enum pb_site from,
			       const struct pb_view_z *z, struct pb_error *err);

/* ---- wave_enter.c ------------------------------------------------------------------------------
 */

/* Variants v0 .. v1 - 1 whose first change is a layer's input: their rows begin as zero, and what
 * is before resid_pre is written. */
enum pb_status pb_enter_input(struct pb_wave *w, size_t l, size_t v0, size_t v1,
			      struct pb_error *err);
/* Variants v0 .. v1 - 1 that enter a layer behind its input, through the rest of it. */
enum pb_status pb_enter_layer(struct pb_wave *w, size_t l, size_t v0, size_t v1,
			      struct pb_error *err);

/* ---- wave_attention.c ------------------------------------------------------------------------ */

/* Changes of z of all heads at every row of the variants v0 .. v1 - 1, into m->z. changed: the
 * residual changed before this layer (else q, k, v change by injections alone). operand: m->z is
 * for a product alone, and left as its operands. */
enum pb_status pb_attend_block(struct pb_wave *w, size_t l, size_t v0, size_t v1, bool changed,
			       bool operand, struct pb_error *err);
/* The same at the answer positions of the last layer, into m->zdiff, for variants whose residual
 * changed and that write nothing inside its attention. */
enum pb_status pb_attend_last(struct pb_wave *w, size_t v0, size_t v1, struct pb_error *err);
/* For variants that enter at one head's q, k, v or pattern: the changes of the z of the heads that
 * read it, [rows of the view, group * K], into m->zc. */
enum pb_status pb_attend_heads(const struct pb_view *view, size_t l, struct pb_view_z *z,
			       struct pb_error *err);
/* Gather m->z at the rows of a view, all heads, into `to`. */
enum pb_status pb_gather_z(const struct pb_view *view, struct pb_dev to, struct pb_error *err);

/* ---- wave_senders.c: the first half of paths ---------------------------------------------------
 */

enum pb_status pb_senders_begin(struct pb_wave *w, struct pb_error *err);
/* Make what the receivers of a layer read, then let the senders of the layer join. */
enum pb_status pb_senders_layer(struct pb_wave *w, size_t l, struct pb_error *err);
int32_t pb_senders_row(const struct pb_wave *w, size_t v, int32_t position);
/* What reaches the logits, for the variants that write there, added to m->answer. */
enum pb_status pb_senders_logits(struct pb_wave *w, struct pb_error *err);

/* ---- wave_score.c ------------------------------------------------------------------------------
 */

enum pb_status pb_wave_score(struct pb_wave *w, unsigned metrics, size_t n_valid,
			     struct pb_wave_result *result, struct pb_error *err);

#endif
