/* What the files of the engine share. */
#ifndef PB_ENGINE_INTERNAL_H
#define PB_ENGINE_INTERNAL_H

#include "backend/backend.h"
#include "patchbay/engine.h"

/* ---- time and work by stage ------------------------------------------------------------------ */

enum pb_stage {
	PB_STAGE_PACK,
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
	struct pb_dev qkv_bias, o_bias, mlp_in_bias, mlp_out_bias;
	struct pb_heads heads;
};

/* The last layer's factors apart: there only the answer position has a query. */
struct pb_last_weights {
	struct pb_packed *q;         /* [D, H K] */
	struct pb_packed *k;         /* [D, KV K], where keys are rotated */
	struct pb_packed **k_head_t; /* KV of [K, D] = W_K[h]^T, where they are not */
	struct pb_packed **v_head;   /* KV of [D, K] */
};

struct pb_engine {
	struct pb_device *dev;
	const struct pb_ops *ops;
	const struct pb_model *model;
	struct pb_arch arch;
	struct pb_layer_weights *layers;
	struct pb_last_weights last;
	struct pb_packed *unembed; /* [D, V] */
	struct pb_dev unembed_bias;
	struct pb_dev final_weight, final_bias;
	struct pb_dev cos_sin; /* [max_length, rotary_dims] */
	size_t max_length;
	struct pb_dev *owned; /* every device array above, for release */
	size_t n_owned, owned_capacity;
	struct pb_profile profile;
	bool count; /* whether products add to profile.flops (the waves' do) */
};

/* Put the model on the device: pack its weights layer by layer, upload its vectors. */
enum pb_status pb_engine_open(struct pb_engine *e, struct pb_device *dev,
			      const struct pb_model *model, size_t max_length,
			      struct pb_error *err);
void pb_engine_close(struct pb_engine *e);
/* Bytes that pb_engine_open will take, the largest temporary included. */
size_t pb_engine_bytes(struct pb_device *dev, const struct pb_model *model, size_t max_length);

/* Device memory owned by the engine until it closes. */
enum pb_status pb_engine_alloc(struct pb_engine *e, size_t bytes, struct pb_dev *out,
			       struct pb_error *err);

/* One product, timed and counted. */
enum pb_status pb_engine_gemm(struct pb_engine *e, enum pb_stage stage, size_t m,
			      const struct pb_packed *w, size_t n_in, size_t n_out, struct pb_dev x,
			      size_t x_stride, struct pb_dev y, size_t y_stride, struct pb_dev bias,
			      bool accumulate, struct pb_error *err);

/* Run an operation and add its time to a stage; for use where `status` and `cleanup` exist. */
#define PB_STAGE(e, stage, call)                                                                   \
	do {                                                                                       \
		double stage_start_ = pb_seconds();                                                \
		status = (call);                                                                   \
		(e)->profile.seconds[stage] += pb_seconds() - stage_start_;                        \
		if (status != PB_OK)                                                               \
			goto cleanup;                                                              \
	} while (0)

static inline size_t pb_qkv_width(const struct pb_arch *a)
{
	return (a->n_heads + 2 * a->n_kv_heads) * a->d_head;
}
static inline size_t pb_z_width(const struct pb_arch *a)
{
	return a->n_heads * a->d_head;
}

/* ---- base runs ------------------------------------------------------------------------------- */

/* Prompts packed without padding: prompt i has rows spans[i].base .. + spans[i].length - 1. */
struct pb_batch {
	size_t n_prompts, n_rows;
	struct pb_span *spans;
	int32_t *token, *position;                  /* [n_rows] host */
	int32_t *answer_row;                        /* [n_prompts] host */
	struct pb_dev position_dev, answer_row_dev; /* int32 */
};
/* tokens[i], lengths[i]: the prompts. */
enum pb_status pb_batch_new(struct pb_batch *b, struct pb_engine *e, size_t n,
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
	struct pb_dev *h, *a;           /* [L] of [rows, F]: before and after the activation */
	struct pb_dev n;                /* [rows, D] working rows */
	struct pb_dev x_answer, n_answer,
	    stats_answer;     /* [prompts, D], [prompts, D], [prompts, 2] */
	struct pb_dev logits; /* [prompts, V]; address NULL in a transient cache */
	struct pb_dev memory;
};
enum pb_status pb_cache_new(struct pb_cache *c, struct pb_engine *e, size_t n_rows,
			    size_t n_prompts, bool transient, struct pb_error *err);
void pb_cache_free(struct pb_cache *c, struct pb_engine *e);
size_t pb_cache_bytes(const struct pb_arch *arch, size_t n_rows, size_t n_prompts, bool transient);

/* Replace z of one head in a prompt of the batch, at positions first..last, by rows of `from`
 * ([rows, H K], row `from_row` for position `first`, and on). */
struct pb_override {
	size_t prompt, layer, head, first, last;
	struct pb_dev from;
	size_t from_row;
};

/* The forward pass: every activation of the batch into the cache. Its time goes to `stage`. */
enum pb_status pb_forward(struct pb_engine *e, const struct pb_batch *batch, struct pb_cache *c,
			  const struct pb_override *overrides, size_t n_overrides,
			  enum pb_stage stage, struct pb_error *err);

/* ---- the chunk in work -------------------------------------------------------------------------
 */

/* Both base runs of a chunk's pairs: prompt 2 p is the clean one of pair p, 2 p + 1 the corrupted.
 */
struct pb_chunk_run {
	const struct pb_pair *pairs;
	size_t n_pairs, first_pair;
	struct pb_batch batch;
	struct pb_cache cache;
	/* Unembedding vectors of the tokens that metrics need: [n_targets, D]; pair p's answer,
	 * foil and candidates are at target[p], target[p] + 1, target[p] + 2 ... */
	struct pb_dev targets;
	size_t *target, n_targets;
	float *target_bias; /* [n_targets] */
	double *logit;      /* [2 n_pairs, ...]: base logits of the targets, see pb_base_logit */
	size_t *logit_at;   /* [2 n_pairs] */
	struct pb_vocabulary_score *vocabulary; /* [2 n_pairs] */
	double *lse;                            /* [2 n_pairs] of the base logits */
	/* differs[((layer * n_pairs + pair) * max_length + position) * H + head]: z of the two runs
	 */
	uint8_t *differs;
	size_t max_length;
};
enum pb_status pb_chunk_run_new(struct pb_chunk_run *run, struct pb_engine *e,
				const struct pb_pairs *pairs, size_t first_pair, size_t n_pairs,
				size_t n_valid, struct pb_error *err);
void pb_chunk_run_free(struct pb_chunk_run *run, struct pb_engine *e);
size_t pb_chunk_run_bytes(const struct pb_arch *arch, const struct pb_pairs *pairs,
			  size_t first_pair, size_t n_pairs);

/* Base logit of target t (0 answer, 1 foil, 2.. candidates) of a pair's clean (0) or corrupted (1)
 * run; and the base logit difference. */
double pb_base_logit(const struct pb_chunk_run *run, size_t pair, int side, size_t t);
double pb_base_logit_diff(const struct pb_chunk_run *run, size_t pair, int side);

/* ---- variants and waves ------------------------------------------------------------------------
 */

/* One intervention on one pair. */
struct pb_variant {
	int32_t pair; /* within the chunk */
	int32_t layer, head;
	int32_t position; /* the injected position, -1: from `first` to the end */
	int32_t first;    /* first changed position */
};

/* Rows of a variant: positions first .. length - 1. */
static inline size_t pb_variant_rows(const struct pb_variant *v, const struct pb_pair *pair)
{
	return pair->length - (size_t)v->first;
}

struct pb_sweep_shape {
	size_t n_variants;        /* upper bound: before zero deltas are dropped */
	size_t n_rows, rows_most; /* rows of all variants, and of the longest variant */
	double flops;             /* useful operations, upper bound */
};
/* Count what a sweep makes of pairs first..first+n-1. */
struct pb_sweep_shape pb_sweep_shape(const struct pb_arch *arch, const struct pb_sweep *sweep,
				     const struct pb_pair *pairs, size_t n_pairs);

/* The variants of pairs pair0..pair1-1 of a sweep that are not the baseline by construction, in the
 * order in which a wave carries them: layer, head, pair, position. *out is freed with free(). */
enum pb_status pb_variants_make(const struct pb_chunk_run *run, const struct pb_arch *arch,
				const struct pb_sweep *sweep, size_t pair0, size_t pair1,
				struct pb_variant **out, size_t *n, struct pb_error *err);

/* Rows that go through a layer together, and variants in a block of the last layer. */
#define PB_BLOCK_ROWS 1536
#define PB_BLOCK_VARIANTS 128
/* Variants whose whole-vocabulary logits are made together. */
#define PB_BLOCK_VOCABULARY 64

/* Working memory of waves; made once, before the first. */
struct pb_wave_memory {
	size_t rows_most, variants_most, block_rows, block_variants;
	struct pb_dev delta;  /* [rows_most, D] */
	struct pb_dev answer; /* [variants_most, D] change of the residual at the answer */
	struct pb_dev scored; /* [variants_most, D] change of its final norm */
	struct pb_dev base_row, donor_row, position;      /* int32 [rows_most] */
	struct pb_dev first_row, first_base, first_donor; /* int32 [variants_most] */
	struct pb_dev last_row, last_base, last_donor, last_position, prompt; /* int32, likewise */
	/* one block */
	struct pb_dev n, qkv, z, h; /* [block_rows, D | qkv | H K | F] */
	struct pb_dev join; /* [block_rows, D] rows that join at one position of their variant */
	struct pb_dev answer_n, q, zdiff; /* [block_variants, D | H K | H K] */
	struct pb_dev qk, mix;            /* [block_variants, H D] */
	struct pb_dev block_last;         /* int32 [block_variants]: last_row within the block */
	struct pb_dev logits; /* [PB_BLOCK_VOCABULARY, V], only for vocabulary metrics */
	struct pb_dev memory;
	struct pb_span *spans; /* host [block_rows]: the variants of one block */
	int32_t *ints;         /* host staging [rows_most] */
	size_t *row_of;        /* host [variants_most + 1]: first delta row of a variant */
};
enum pb_status pb_wave_memory_new(struct pb_wave_memory *m, struct pb_engine *e, size_t rows_most,
				  size_t variants_most, size_t longest, bool vocabulary,
				  struct pb_error *err);
void pb_wave_memory_free(struct pb_wave_memory *m, struct pb_engine *e);
size_t pb_wave_memory_bytes(const struct pb_arch *arch, size_t rows_most, size_t variants_most,
			    size_t longest, size_t n_targets, bool vocabulary);

/* What a wave leaves for each variant, by target as in pb_chunk_run: changes of logits (float64),
 * and whole-vocabulary scores when asked for. */
struct pb_wave_result {
	double *change; /* variant v's targets start at change[at[v]] */
	size_t *at;
	struct pb_vocabulary_score *vocabulary; /* NULL unless asked for */
};
void pb_wave_result_free(struct pb_wave_result *result);

/* Carry the variants v[0..n), in the order of pb_variants_make, through all layers and score them
 * into a fresh *result. site: PB_SITE_Z, or PB_SITE_RESID_PRE for the run's own check (then first
 * is 0 and head is ignored). */
enum pb_status pb_wave_run(struct pb_engine *e, struct pb_wave_memory *m,
			   const struct pb_chunk_run *run, enum pb_site site,
			   enum pb_direction direction, const struct pb_variant *v, size_t n,
			   unsigned metrics, size_t n_valid, struct pb_wave_result *result,
			   struct pb_error *err);

/* How a sweep's results are stored. */
struct pb_sweep_target {
	const struct pb_sweep *sweep;
	unsigned metrics; /* bits of enum pb_metric */
	size_t max_candidates, max_length;
	size_t n_valid; /* tokens that argmax and rank look at */
	struct pb_sweep_values *values;
};
/* Whether any of these metrics needs the logits of the whole vocabulary, or KL divergences. */
bool pb_metrics_need_kl(unsigned metrics);
bool pb_metrics_need_vocabulary(unsigned metrics);
/* All variants of one sweep on a chunk, wave by wave, into target->values. */
enum pb_status pb_sweep_run(struct pb_engine *e, struct pb_wave_memory *m,
			    const struct pb_chunk_run *run, const struct pb_sweep_target *target,
			    struct pb_progress *progress, struct pb_error *err);

/* End of the group of whole pairs from pair0 on that fits a wave; pair0 when not even one does. */
size_t pb_wave_pairs(const struct pb_arch *arch, const struct pb_sweep *sweep,
		     const struct pb_pair *pairs, size_t pair0, size_t n_pairs, size_t rows_most,
		     size_t variants_most);

/* ---- metrics --------------------------------------------------------------------------------- */

/* All that can be stored of one variant, or of a base run. */
struct pb_scored {
	double logit_diff;
	const double *candidate_logits; /* the pair's n_candidates */
	size_t n_candidates;
	const struct pb_vocabulary_score *vocabulary; /* NULL unless metrics need it */
};
/* Store the metrics that are asked for at a cell. */
void pb_metric_store(const struct pb_sweep_target *target, size_t cell, const struct pb_scored *s);
/* Base values of a chunk (clean and corrupted runs). */
void pb_base_store(const struct pb_chunk_run *run, struct pb_base_values base[2],
		   double *logit_largest);

/* Index of a cell in a sweep's arrays. */
size_t pb_cell_index(const struct pb_arch *arch, enum pb_positions positions, size_t max_length,
		     size_t pair, size_t layer, size_t head, size_t position);

/* ---- the run's own checks ----------------------------------------------------------------------
 */

enum pb_status pb_check_resid_pre(struct pb_engine *e, struct pb_wave_memory *m,
				  const struct pb_chunk_run *run, const bool *directions,
				  size_t n_valid, struct pb_chunk_checks *checks,
				  struct pb_error *err);
/* Recompute a random sample of each sweep's variants by plain forwards. */
enum pb_status pb_check_variants(struct pb_engine *e, const struct pb_chunk_run *run,
				 const struct pb_experiment *x, struct pb_chunk_values *values,
				 struct pb_error *err);
/* Variants that are checked in a chunk for each sweep. */
#define PB_CHECKED_VARIANTS 4

/* ---- the plan -------------------------------------------------------------------------------- */

struct pb_plan {
	size_t memory; /* bytes the run may use */
	size_t chunk_pairs, n_chunks;
	size_t fixed_bytes; /* model, caches, results, the program itself */
	size_t wave_bytes;  /* for delta rows and the blocks they go through */
	size_t rows_most, variants_most;
	size_t peak_bytes; /* what the run will take at most */
	size_t n_waves;    /* over the whole run, upper bound */
	size_t longest;    /* tokens of the longest prompt */
	size_t n_targets;  /* answer, foil and candidates of the pair that has most */
	double n_variants, n_rows, flops;
};
/* Candidates of the pair that has most. */
size_t pb_candidates_most(const struct pb_pairs *pairs);
/* Size everything before anything runs; PB_ERR_INPUT when the memory cannot hold even one variant.
 */
enum pb_status pb_plan_make(struct pb_plan *plan, struct pb_device *dev,
			    const struct pb_model *model, const struct pb_run_config *config,
			    const struct pb_pairs *pairs, size_t memory, struct pb_error *err);
void pb_plan_print(const struct pb_plan *plan, const struct pb_run_config *config,
		   const struct pb_pairs *pairs, double flops_per_second, FILE *out);

/* The rate of this machine's float32 products on the shape of the model's MLP, FLOP/s. */
enum pb_status pb_measure_gemm(struct pb_device *dev, const struct pb_model *model,
			       double *flops_per_second, struct pb_error *err);

#endif
