/* What the files of the engine share: the model on the device, base runs, the chunk in work.
 * sweeps.h has what is done with them. */
#ifndef PB_ENGINE_INTERNAL_H
#define PB_ENGINE_INTERNAL_H

#include "backend/backend.h"
#include "patchbay/engine.h"

/* ---- time and work by stage ------------------------------------------------------------------ */

enum pb_stage {
	PB_STAGE_PACK,
	PB_STAGE_MEMORY, /* to have caches, and to let them go */
	PB_STAGE_BASE,
	PB_STAGE_INJECT,
	PB_STAGE_NORM,
	PB_STAGE_GEMM,
	PB_STAGE_ATTENTION,
	PB_STAGE_ACTIVATION,
	PB_STAGE_SCORE,
	PB_STAGE_CHECK,
	PB_STAGE_WRITE,
	PB_N_STAGES
};
extern const char *const pb_stage_names[PB_N_STAGES];

struct pb_profile {
	double seconds[PB_N_STAGES];
	double flops; /* useful floating-point operations of the sweep's waves */
};

/* ---- the model on the device ----------------------------------------------------------------- */

struct pb_layer_weights {
	struct pb_packed *qkv;     /* [D, (H + 2 KV) K] */
	struct pb_packed *o;       /* [H K, D] */
	struct pb_packed **o_head; /* H of [K, D]: where a head's change enters the residual */
	struct pb_packed *mlp_in, *mlp_out;
	struct pb_dev norm1_weight, norm1_bias, norm2_weight, norm2_bias;
	struct pb_dev attn_post_norm, mlp_post_norm; /* [D], only with arch.post_norm */
	struct pb_dev qk_norm_weight, qk_norm_bias;  /* [(H + KV) K], only with arch.qk_norm */
	struct pb_dev qkv_bias, o_bias, mlp_in_bias, mlp_out_bias;
	struct pb_heads heads;
	uint64_t used; /* when it was last held, by n_holds */
};

/* The last layer's factors apart: there only the answer position has a query. */
struct pb_last_weights {
	struct pb_packed *q;         /* [D, H K] */
	struct pb_packed *k;         /* [D, KV K], where keys are rotated or normed */
	struct pb_packed **k_head_t; /* KV of [K, D] = W_K[h]^T, where they are not */
	struct pb_packed **v_head;   /* KV of [D, K] */
};

/* The rows of the embeddings that the run uses, on a rank that got them from rank 0. */
struct pb_embeddings {
	int32_t
	    *slot;   /* [n_vocab] of a token's row of `embed`, -1: none; NULL: the model's tables */
	float *rows; /* both tables */
	struct pb_weight embed, pos_embed; /* views of it */
};

struct pb_engine {
	struct pb_device *dev;
	const struct pb_ops *ops;
	const struct pb_model *model;
	struct pb_arch arch;
	struct pb_layer_weights *layers;
	size_t n_resident; /* layers whose matrices are packed at a time */
	uint64_t n_holds;
	struct pb_last_weights last;
	struct pb_packed *unembed; /* [D, V] */
	struct pb_dev unembed_bias;
	struct pb_dev final_weight, final_bias;
	/* By rope, [max_length, rotary_dims] cos and sin; where prompts of more than long_from
	 * tokens have frequencies of their own, theirs in max_length more rows. */
	struct pb_dev cos_sin[PB_ROPES_MAX];
	size_t long_from; /* SIZE_MAX: none have */
	size_t max_length;
	struct pb_embeddings embeddings;
	struct pb_dev *owned; /* every device array above, for release */
	size_t n_owned, owned_capacity;
	struct pb_profile profile;
	bool in_wave;     /* products are of changes, and add to profile.flops */
	bool exact_times; /* wait for the device at the end of each stage (--profile) */
	bool graphs;      /* the blocks of a wave are graphs of the device; not with exact_times */
};

/* Put the model on the device: pack its weights layer by layer, upload its vectors. n_resident: how
 * many layers' matrices are there at a time, 0: all. With fewer than all, each layer is packed anew
 * when it is held, in the same bits. */
enum pb_status pb_engine_open(struct pb_engine *e, struct pb_device *dev,
			      const struct pb_model *model, size_t max_length, size_t n_resident,
			      struct pb_error *err);
/* Make sure that a layer's matrices (qkv, o, o_head, mlp_in, mlp_out) are there, until another
 * layer is held. */
enum pb_status pb_engine_hold(struct pb_engine *e, size_t layer, struct pb_error *err);
void pb_engine_close(struct pb_engine *e);
/* Bytes that pb_engine_open will take, the largest temporary included. */
size_t pb_engine_bytes(struct pb_device *dev, const struct pb_model *model, size_t max_length,
		       size_t n_resident);

/* ---- lookup.c -------------------------------------------------------------------------- */

struct pb_team;
/* While ranks share weights (ops->sharing), after pb_engine_open: the embeddings of the tokens that
 * the run uses ([n_vocab] used, the same on all ranks), and of the positions. Collective. */
enum pb_status pb_engine_share_embeddings(struct pb_engine *e, struct pb_team *team,
					  const bool *used, struct pb_error *err);
/* used[v] = true for n tokens. */
static inline void pb_mark_tokens(const int32_t *token, size_t n, bool *used)
{
	for (size_t i = 0; i < n; i++)
		used[token[i]] = true;
}
/* What they take on the host, with n tokens and n_positions. */
size_t pb_embeddings_bytes(const struct pb_arch *arch, size_t n, size_t n_positions);
void pb_embeddings_free(struct pb_embeddings *embeddings);
/* x[n, D] = the embeddings of tokens, scaled as the family has it, and of positions, where they are
 * learned; position NULL: without them. Host arrays. */
enum pb_status pb_engine_embed(struct pb_engine *e, const int32_t *token, const int32_t *position,
			       size_t n, struct pb_dev x, struct pb_error *err);
/* row[D]: the embedding of a position, where they are learned. */
void pb_engine_position(const struct pb_engine *e, size_t position, float *row);
/* vectors[n, D] (device) and bias[n] (host): the unembedding's of tokens. */
enum pb_status pb_engine_targets(struct pb_engine *e, const int32_t *token, size_t n,
				 struct pb_dev vectors, float *bias, struct pb_error *err);

/* Device memory owned by the engine until it closes. */
enum pb_status pb_engine_alloc(struct pb_engine *e, size_t bytes, struct pb_dev *out,
			       struct pb_error *err);

/* What positions of a prompt of `length` tokens are shifted by in the tables of angles. */
static inline int32_t pb_rotary_shift(const struct pb_engine *e, size_t length)
{
	return length > e->long_from ? (int32_t)e->max_length : 0;
}
/* Whether q and k of a layer are rotated; in any layer. */
static inline bool pb_rotates(const struct pb_model *model, size_t layer)
{
	return model->arch.rotary_dims > 0 && !model->layers[layer].no_rotary;
}

/* Whether q and k of a layer are more than projections: rotated or normed. */
static inline bool pb_alters_keys(const struct pb_model *model, size_t layer)
{
	return pb_rotates(model, layer) || model->arch.qk_norm != PB_QK_NORM_NONE;
}
static inline bool pb_alters_any(const struct pb_arch *a)
{
	return a->rotary_dims > 0 || a->qk_norm != PB_QK_NORM_NONE;
}

/* The norms of q and k of the heads first .. first + n - 1 (query heads, then KV heads) at x, the
 * first of them. x0: the unnormed activations in the cache (c->qk of the layer) where x is a
 * change, address NULL else. A norm of the whole width takes all heads alone. */
enum pb_status pb_engine_qk_norm(struct pb_engine *e, size_t layer, size_t first, size_t n,
				 struct pb_dev x, size_t stride, size_t rows, struct pb_dev x0,
				 struct pb_dev base_row, struct pb_error *err);

/* One product, timed and counted. */
enum pb_status pb_engine_multiply(struct pb_engine *e, enum pb_stage stage,
				  const struct pb_gemm *op, size_t n_in, size_t n_out,
				  struct pb_error *err);
enum pb_status pb_engine_gemm(struct pb_engine *e, enum pb_stage stage, size_t m,
			      const struct pb_packed *w, size_t n_in, size_t n_out, struct pb_dev x,
			      size_t x_stride, struct pb_dev y, size_t y_stride, struct pb_dev bias,
			      bool accumulate, struct pb_error *err);

/* Run an operation and add its time to a stage; for use where `status`, `err` and `cleanup` exist.
 * Where the device works behind the host's back that is the time to order it, unless exact_times
 * says to wait. */
#define PB_STAGE(e, stage, call)                                                                   \
	do {                                                                                       \
		double stage_start_ = pb_seconds();                                                \
		status = (call);                                                                   \
		if (status == PB_OK && (e)->exact_times)                                           \
			status = (e)->ops->wait((e)->dev, PB_TICKET_ALL, err);                     \
		(e)->profile.seconds[stage] += pb_seconds() - stage_start_;                        \
		if (status != PB_OK)                                                               \
			goto cleanup;                                                              \
	} while (0)

/* Wait for every host array that operations fill. */
static inline enum pb_status pb_engine_wait(struct pb_engine *e, struct pb_error *err)
{
	return e->ops->wait(e->dev, e->ops->ticket(e->dev), err);
}

static inline size_t pb_qkv_width(const struct pb_arch *a)
{
	return (a->n_heads + 2 * a->n_kv_heads) * a->d_head;
}
static inline size_t pb_z_width(const struct pb_arch *a)
{
	return a->n_heads * a->d_head;
}

/* Columns of the MLP before its activation: gate and input side by side where it is gated. */
static inline size_t pb_h_width(const struct pb_arch *a)
{
	return a->gated ? 2 * a->d_mlp : a->d_mlp;
}

/* ---- base runs ------------------------------------------------------------------------------- */

/* Prompts packed without padding: prompt i has rows spans[i].base .. + spans[i].length - 1. Where
 * prefixes are shared they are spans of their own, before those of the prompts, which are then in
 * another order; answer_row keeps the prompts' own. */
struct pb_batch {
	size_t n_prompts, n_rows, n_spans;
	struct pb_span *spans;
	int32_t *token, *position; /* [n_rows] host */
	int32_t *answer_row;       /* [n_prompts] host */
	/* Nothing but the answer positions is read of the last layer, behind its attention: only
	 * they go through it. No hooks then. */
	bool answers_only;
	struct pb_dev rotary_dev, answer_row_dev; /* int32; the former: positions in cos_sin */
};
/* tokens[i], lengths[i]: the prompts. */
enum pb_status pb_batch_new(struct pb_batch *b, struct pb_engine *e, size_t n,
			    const int32_t *const *tokens, const size_t *lengths,
			    struct pb_error *err);
/* The same, with what prompts begin with in common there once, and answers_only. */
enum pb_status pb_batch_new_shared(struct pb_batch *b, struct pb_engine *e, size_t n,
				   const int32_t *const *tokens, const size_t *lengths,
				   struct pb_error *err);
void pb_batch_free(struct pb_batch *b, struct pb_engine *e);

/* Activations of a batch, by layer. A transient cache keeps one layer's worth only. */
struct pb_cache {
	size_t n_rows, n_prompts;
	struct pb_dev *x_pre; /* [L + 1] of [rows, D]: resid_pre; the last one is resid_post */
	struct pb_dev *x_mid; /* [L] of [rows, D]: resid_mid (sequential blocks only) */
	struct pb_dev *stats1, *stats2; /* [L] of [rows, 2]: mean and 1/std of the two norms */
	struct pb_dev *qkv;             /* [L] of [rows, (H + 2 KV) K], q and k rotated */
	struct pb_dev *z;               /* [L] of [rows, H K] */
	/* [L] of [rows, F]: before (gated: [rows, 2 F]) and after the activation */
	struct pb_dev *h, *a;
	/* What only some sweeps need, by pb_cache_extra; arrays of address NULL otherwise */
	struct pb_dev embed;     /* [rows, D] before positions are added */
	struct pb_dev *qk;       /* [L] of [rows, (H + KV) K]: q and k before the rotation */
	struct pb_dev *attn_out; /* [L] of [rows, D], what is added to the residual */
	struct pb_dev *mlp_out;  /* [L] of [rows, D] */
	/* With post-norms: what they norm, and their [rows, 2] */
	struct pb_dev *attn_raw, *mlp_raw, *stats_attn, *stats_mlp;
	unsigned extra;
	struct pb_dev n; /* [rows, D] working rows */
	struct pb_dev x_answer, n_answer,
	    stats_answer;     /* [prompts, D], [prompts, D], [prompts, 2] */
	struct pb_dev logits; /* [prompts, V]; address NULL in a transient cache */
	struct pb_dev memory;
};
/* Bits 1u << enum pb_site of what a cache keeps beyond what every run needs: embed, q (for q and
 * k), attn_out, mlp_out. */
unsigned pb_cache_extra(const struct pb_arch *arch, const struct pb_sweep *sweeps, size_t n_sweeps,
			unsigned save);
enum pb_status pb_cache_new(struct pb_cache *c, struct pb_engine *e, size_t n_rows,
			    size_t n_prompts, bool transient, unsigned extra, struct pb_error *err);
void pb_cache_free(struct pb_cache *c, struct pb_engine *e);
size_t pb_cache_bytes(const struct pb_arch *arch, size_t n_rows, size_t n_prompts, bool transient,
		      unsigned extra);

/* What a row of a site's array holds, and where in it its heads begin. */
enum pb_row_kind { PB_ROW_RESIDUAL, PB_ROW_QKV, PB_ROW_Z, PB_ROW_MLP_PRE, PB_ROW_MLP };
enum pb_row_block { PB_BLOCK_OF_Q, PB_BLOCK_OF_K, PB_BLOCK_OF_V };
/* Where a change of a site enters the residual stream. */
enum pb_enters {
	PB_ENTERS_RESIDUAL,    /* it is the stream */
	PB_ENTERS_ATTENTION,   /* by its head's attention, then W_O[h] */
	PB_ENTERS_HEAD_OUTPUT, /* by W_O[h] */
	PB_ENTERS_MLP,         /* by the rest of the MLP */
	PB_ENTERS_SUM,         /* it is added */
};

/* A site is one row. */
struct pb_site_row {
	size_t array; /* offset in struct pb_cache */
	enum pb_row_kind kind;
	enum pb_row_block block;
	enum pb_enters enters;
	bool once;       /* one array, not one a layer */
	bool next_layer; /* the array of the next layer */
	bool unrotated;  /* where the cache keeps q and k before the rotation, there */
	bool read_later; /* other positions of its layer read it: keys, values, what they come from
			  */
	bool never_kept; /* no array: made anew where it is needed */
};
extern const struct pb_site_row pb_site_rows[PB_N_SITES];

/* Where the activation of a site lies: `columns` of them for one index (head, KV head, neuron),
 * from `column` on. address NULL where the cache has none (pattern). index -1: the whole site. */
struct pb_place {
	struct pb_dev array;
	size_t stride, column, columns;
};
struct pb_place pb_cache_place(const struct pb_arch *arch, const struct pb_cache *cache,
			       enum pb_site site, size_t layer, int32_t index);

/* Changes of the activations of a forward pass, called at each site right after it is computed. */
struct pb_forward_hook {
	enum pb_status (*at_site)(void *context, struct pb_engine *e, struct pb_cache *c,
				  enum pb_site site, size_t layer, struct pb_error *err);
	/* The pattern edits of a layer: they go to *op and the spans. */
	enum pb_status (*at_pattern)(void *context, size_t layer, struct pb_attention *op,
				     struct pb_error *err);
	void *context;
};

/* The forward pass: every activation of the batch into the cache. Its time goes to `stage`. hook:
 * NULL for none. */
enum pb_status pb_forward(struct pb_engine *e, const struct pb_batch *batch, struct pb_cache *c,
			  const struct pb_forward_hook *hook, enum pb_stage stage,
			  struct pb_error *err);

/* ---- the chunk in work -------------------------------------------------------------------------
 */

/* Both base runs of a chunk's pairs: prompt 2 p is the clean one of pair p, 2 p + 1 the corrupted;
 * behind them stand prompts of other chunks' pairs that are resampled from. */
struct pb_chunk_run {
	const struct pb_pairs *all;
	const struct pb_pair *pairs; /* of the chunk */
	size_t n_pairs, first_pair;
	struct pb_batch batch;
	struct pb_cache cache;
	/* Unembedding vectors of the tokens that metrics need: [n_targets, D]; pair p's answer,
	 * foil and candidates are at target[p], target[p] + 1, target[p] + 2 ... */
	struct pb_dev targets;
	size_t *target, n_targets;
	float *target_bias; /* [n_targets] */
	float softcap;      /* of the family's logits; 0: none */
	double *logit;      /* [2 n_pairs, ...]: base logits of the targets before the softcap */
	size_t *logit_at;   /* [2 n_pairs] */
	struct pb_vocabulary_score *vocabulary; /* [2 n_pairs] */
	double *lse;                            /* [2 n_pairs] of the base logits */
	/* By site: differs[site][((layer * n_pairs + pair) * max_length + position) * n + index],
	 * whether the two runs differ there; NULL until pb_chunk_run_differences made it. */
	uint8_t *differs[PB_N_SITES];
	size_t max_length;
	struct pb_other_prompt {
		size_t pair; /* global */
		int side;
	} * others; /* [n_others] prompts 2 n_pairs + i of the batch */
	size_t n_others;
};
/* Make the base runs; sweeps say what the cache must keep and which other prompts are needed. */
enum pb_status pb_chunk_run_new(struct pb_chunk_run *run, struct pb_engine *e,
				const struct pb_pairs *pairs, size_t first_pair, size_t n_pairs,
				const struct pb_sweep *sweeps, size_t n_sweeps, unsigned save,
				size_t n_valid, struct pb_error *err);
void pb_chunk_run_free(struct pb_chunk_run *run, struct pb_engine *e);
size_t pb_chunk_run_bytes(const struct pb_arch *arch, const struct pb_pairs *pairs,
			  size_t first_pair, size_t n_pairs, const struct pb_sweep *sweeps,
			  size_t n_sweeps, unsigned save);
/* Fill run->differs[site], for sites with one activation an index. */
enum pb_status pb_chunk_run_differences(struct pb_chunk_run *run, struct pb_engine *e,
					enum pb_site site, struct pb_error *err);
/* The prompt of the batch that is a side of a pair (global index), -1 for none. */
int32_t pb_chunk_run_prompt(const struct pb_chunk_run *run, size_t pair, int side);

/* Base logit of target t (0 answer, 1 foil, 2.. candidates) of a pair's clean (0) or corrupted (1)
 * run; and the base logit difference. */
double pb_base_logit(const struct pb_chunk_run *run, size_t pair, int side, size_t t);
/* x softcapped: cap tanh(x / cap), or x without a cap. */
double pb_softcap(double x, float cap);
/* The base logit before the softcap: what attributions sum to. */
double pb_base_logit_raw(const struct pb_chunk_run *run, size_t pair, int side, size_t t);
double pb_base_logit_diff(const struct pb_chunk_run *run, size_t pair, int side);

/* Rows that go through a layer together, and variants through the last, where no device says. */
#define PB_BLOCK_ROWS 1536
#define PB_BLOCK_VARIANTS 128

/* The rate of this machine's float32 products on the shape of the model's MLP, FLOP/s. */
enum pb_status pb_measure_gemm(struct pb_device *dev, const struct pb_model *model,
			       double *flops_per_second, struct pb_error *err);

#endif
