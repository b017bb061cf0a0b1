/* Sweeps: from the words of an intervention to variants, waves and values. */
#ifndef PB_ENGINE_SWEEPS_H
#define PB_ENGINE_SWEEPS_H

#include "engine/internal.h"

/* ---- interventions ---------------------------------------------------------------------------
 */

/* Where the new value's source comes from. */
enum pb_source_kind {
	PB_SOURCE_NONE,
	PB_SOURCE_DONOR,  /* the pair's other run */
	PB_SOURCE_OTHER,  /* the prompt of another pair */
	PB_SOURCE_MEAN,   /* a table, one row a slot */
	PB_SOURCE_VECTOR, /* a table of one row */
	PB_SOURCE_NOISE,  /* a table laid out like the cache */
	PB_SOURCE_SENDER, /* what reaches the receiver, made while the wave travels */
};

/* An intervention is one row: new = own * (the variant's own value) + base * (the recipient's)
 * + source * (the source's). With `alpha_own` or `alpha_source` alpha multiplies that factor. With
 * `projected` the change is that sum's component in a subspace: new = own value + P (sum). */
struct pb_intervention_row {
	float own, base, source;
	enum pb_source_kind kind;
	bool alpha_own, alpha_source, projected;
};
extern const struct pb_intervention_row pb_intervention_rows[PB_N_INTERVENTIONS];

/* A table of source values of one site, by layer. */
struct pb_source_table {
	struct pb_dev *layers; /* [L] (embed: 1) of [rows, stride] */
	size_t n_layers, stride;
};

/* All that a sweep needs beside the base runs: made once a run, noise once a chunk. */
struct pb_sources {
	struct pb_source_table tables[PB_N_SITES];
	struct pb_packed **down[PB_N_SITES]; /* project: [L * index] of [width, k] = U^T */
	struct pb_packed **up[PB_N_SITES];   /* and of [k, width] = U */
	size_t rank[PB_N_SITES];
	size_t n_packed[PB_N_SITES];
	struct pb_dev memory[PB_N_SITES];
	/* mean: what the tables hold, in float64, and its slots; borrowed by the result file */
	struct pb_reference_means means;
	double *mean_values;
	int64_t *mean_tokens;
	double *mean_values_mlp; /* sets that name MLPs: their mlp_out */
	int32_t *role_slot;      /* [pairs->n_roles] slot of a role, -1: the reference lacks it */
};

struct pb_sweep_shape {
	size_t n_variants;        /* upper bound: before zero deltas are dropped */
	size_t n_rows, rows_most; /* rows of all variants, and of the longest variant */
	size_t n_injections, n_runs;
	size_t n_sender_rows; /* paths: rows of all senders */
	double flops;         /* useful operations, about */
};

struct pb_shape_cache {
	struct pb_sweep_shape *shapes; /* [pairs of the run] */
	bool *known;
};

/* A sweep at work on a chunk. */
struct pb_sweep_work {
	const struct pb_sweep *sweep;
	const struct pb_grid *grid;
	const struct pb_arch *arch;
	const struct pb_chunk_run *run; /* NULL while planning */
	const struct pb_pair *pairs;    /* of the chunk */
	const struct pb_pairs *all;
	size_t first_pair;
	const struct pb_sources *sources; /* NULL: none needed, or planning */
	const struct pb_set *sets;        /* [grid's sets], complements taken */
	/* [grid cells] 1: another sweep has the values already; NULL: none */
	const uint8_t *known;
	/* resample: [pairs of the run] the other pair of each, -1: none; NULL: not made */
	const int32_t *others;
	/* What was counted of each pair of the run, filled as it is asked for; NULL: nothing is
	 * kept */
	struct pb_shape_cache *shapes;
	int recipient, donor; /* sides: 0 clean, 1 corrupted */
	bool no_shortcut;     /* every row from position 0 on, even where nothing changes */
};

/* ---- variants and waves ------------------------------------------------------------------------
 */

/* Consecutive positions of an injection. slot: the row of a mean's table for its first position. */
struct pb_run {
	int32_t first, n, slot;
};

/* One site that a variant writes. */
struct pb_injection {
	int16_t layer, site; /* enum pb_site; layer L: the logits */
	int32_t index;       /* head, KV head, neuron; -1: all of the site */
};

/* One intervention on one pair. */
struct pb_variant {
	int32_t pair;        /* within the chunk */
	int32_t cell;        /* of the sweep's grid */
	int16_t layer, site; /* where it enters: its first injection */
	int32_t index;       /* of its only injection, -1 when it has several */
	int32_t first;       /* first changed position; its rows are first .. length - 1 */
	int32_t key;         /* each_key: the key, else -1 */
	int32_t source;      /* prompt of the batch: donor or other; -1: none */
	int32_t sender;      /* paths: the sender, by layer and head of the grid; -1 otherwise */
	int32_t
	    sender_first; /* first changed position of the sender (of the change, without one) */
	float alpha;
	uint32_t run, n_runs;             /* into the list's runs */
	uint32_t injection, n_injections; /* in order of computation */
};

struct pb_variants {
	struct pb_variant *v;
	struct pb_run *runs;
	struct pb_injection *injections;
	size_t n, n_runs, n_injections;
	size_t capacity, runs_capacity, injections_capacity;
};
void pb_variants_free(struct pb_variants *list);

/* Rows of a variant: positions first .. length - 1. */
static inline size_t pb_variant_rows(const struct pb_variant *v, const struct pb_pair *pair)
{
	return pair->length - (size_t)v->first;
}

/* What becomes of a cell in a pair. */
enum pb_cell_kind {
	PB_CELL_ABSENT,   /* it does not exist there */
	PB_CELL_BASELINE, /* the recipient itself, by construction */
	PB_CELL_VARIANT,
};
enum pb_status pb_cell_variant(const struct pb_sweep_work *work, size_t pair, size_t cell,
			       struct pb_variants *list, enum pb_cell_kind *kind,
			       struct pb_error *err);

/* Count what a sweep makes of pairs pair0 .. pair1 - 1 of the work's. */
enum pb_status pb_sweep_shape(const struct pb_sweep_work *work, size_t pair0, size_t pair1,
			      struct pb_sweep_shape *shape, struct pb_error *err);

/* The variants of pairs pair0..pair1-1 of a sweep that are not the baseline by construction, in the
 * order in which a wave carries them: where they enter (layer, site, index), pair, cell. */
enum pb_status pb_variants_make(const struct pb_sweep_work *work, size_t pair0, size_t pair1,
				struct pb_variants *list, struct pb_error *err);

/* Senders of a path sweep: by layer, heads before MLPs (a sweep has one kind). */
size_t pb_n_senders(const struct pb_sweep_work *work);

/* Variants whose whole-vocabulary logits are made together. */
#define PB_BLOCK_VOCABULARY 64

/* Sizes of a wave's memory. */
struct pb_wave_sizes {
	size_t rows_most, variants_most;
	size_t longest;                /* tokens of the longest prompt */
	size_t sender_rows, n_senders; /* paths: of the senders of a wave; 0 without paths */
	bool sender_qkv, sender_h;     /* which receivers there are */
	size_t temp_columns;           /* project: width and rank of the widest site; else 0 */
	bool vocabulary;
	struct pb_block_sizes block; /* the device's; rows 0: 1536 and 128 */
};

/* Working memory of waves; made once, before the first. */
struct pb_wave_memory {
	struct pb_wave_sizes sizes;
	size_t rows_most, variants_most, block_rows, block_variants;
	struct pb_dev delta;  /* [rows_most, D] */
	struct pb_dev answer; /* [variants_most, D] change of the residual at the answer */
	struct pb_dev scored; /* [variants_most, D] change of its final norm */
	struct pb_dev base_row, position;                         /* int32 [rows_most] */
	struct pb_dev last_row, last_base, last_position, prompt; /* int32 [variants_most] */
	/* one block */
	struct pb_dev n, qkv, z, h; /* [block_rows, D | qkv | H K | F] */
	struct pb_dev zc;           /* [block_rows, H K] z of the rows of a view */
	struct pb_dev join; /* [block_rows, D] rows that join apart from their variant's others */
	struct pb_dev out;  /* [block_rows, D] attn_out or mlp_out by itself */
	struct pb_dev temp; /* [block_rows, temp_columns] */
	struct pb_dev view_base, view_row; /* int32 [block_rows] */
	struct pb_dev answer_n, q, zdiff;  /* [block_variants, D | H K | H K] */
	struct pb_dev qk, mix;             /* [block_variants, H D] */
	struct pb_dev block_last;          /* int32 [block_rows]: last_row within the block */
	struct pb_dev logits; /* [PB_BLOCK_VOCABULARY, V], only for vocabulary metrics */
	/* senders of a path sweep */
	struct pb_dev s_delta, s_qkv, s_h; /* [sender_rows, D | qkv | F] */
	struct pb_dev s_base_row;          /* int32 [sender_rows] */
	struct pb_dev memory;
	struct pb_span *spans; /* host [block_rows]: the variants of one block */
	int32_t *ints;         /* host staging [max(rows_most, sender_rows)] */
	int32_t *view_ints;    /* host staging [3 block_rows] */
	int32_t *view_of;      /* host [block_rows + 1]: first view row of a variant of the block */
	size_t *row_of;        /* host [variants_most + 1]: first delta row of a variant */
	size_t *sender_row_of; /* host [n_senders of the wave + 1] */
	/* host, growing: the edits of one site of a block, its pattern edits */
	struct pb_edit *edits;
	struct pb_pattern_edit *pattern_edits;
	size_t edits_capacity, pattern_capacity;
};
enum pb_status pb_wave_memory_new(struct pb_wave_memory *m, struct pb_engine *e,
				  const struct pb_wave_sizes *sizes, struct pb_error *err);
void pb_wave_memory_free(struct pb_wave_memory *m, struct pb_engine *e);
/* Halve what a wave holds; false where that is a variant already. */
bool pb_wave_sizes_shrink(struct pb_wave_sizes *sizes);
size_t pb_wave_memory_bytes(const struct pb_arch *arch, const struct pb_wave_sizes *sizes,
			    size_t n_targets);

/* What a wave leaves for each variant, by target as in pb_chunk_run: changes of logits (float64),
 * and whole-vocabulary scores when asked for. */
struct pb_wave_result {
	double *change; /* variant v's targets start at change[at[v]] */
	size_t *at;
	struct pb_vocabulary_score *vocabulary; /* NULL unless asked for */
	uint64_t ticket;                        /* of the device: filled by pb_wave_take */
};
void pb_wave_result_free(struct pb_wave_result *result);

/* Carry the variants from .. from + n - 1 of a list, in the order of pb_variants_make, through all
 * layers and score them into a fresh *result. The device may still be at it on return: the result,
 * the list and the run must stay until pb_wave_take, which waits for the scores. Another wave may
 * be started before that, through the same memory. */
enum pb_status pb_wave_run(struct pb_engine *e, struct pb_wave_memory *m,
			   const struct pb_sweep_work *work, const struct pb_variants *list,
			   size_t from, size_t n, unsigned metrics, size_t n_valid,
			   struct pb_wave_result *result, struct pb_error *err);
enum pb_status pb_wave_take(struct pb_engine *e, const struct pb_sweep_work *work,
			    const struct pb_variants *list, size_t from, size_t n,
			    struct pb_wave_result *result, struct pb_error *err);

/* How a sweep's results are stored. */
struct pb_sweep_target {
	const struct pb_sweep_work *work;
	unsigned metrics; /* bits of enum pb_metric */
	size_t max_candidates;
	size_t n_valid; /* tokens that argmax and rank look at */
	struct pb_sweep_values *values;
};
/* Whether any of these metrics needs the logits of the whole vocabulary, or KL divergences. */
bool pb_metrics_need_kl(unsigned metrics);
bool pb_metrics_need_vocabulary(unsigned metrics);
/* All variants of one sweep on a chunk, wave by wave, into target->values. */
enum pb_status pb_sweep_run(struct pb_engine *e, struct pb_wave_memory *m,
			    const struct pb_sweep_target *target, struct pb_progress *progress,
			    struct pb_error *err);

/* End of the group of whole pairs from pair0 on that fits a wave; pair0 when not even one does. */
enum pb_status pb_wave_pairs(const struct pb_sweep_work *work, size_t pair0, size_t n_pairs,
			     const struct pb_wave_sizes *sizes, size_t *end, struct pb_error *err);

/* ---- sources and edits ---------------------------------------------------------------------- */

/* Sources of a sweep: reference means (forward passes over all prompts), vectors, subspaces. */
enum pb_status pb_sources_new(struct pb_sources *s, struct pb_engine *e,
			      const struct pb_sweep *sweep, const struct pb_set *sets,
			      const struct pb_pairs *pairs, const struct pb_prompts *reference,
			      size_t chunk_pairs, struct pb_error *err);
/* Let what is on the device go; means stay. */
void pb_sources_drop(struct pb_sources *s, struct pb_engine *e);
void pb_sources_free(struct pb_sources *s, struct pb_engine *e);
/* Host and device bytes of them, noise included. */
size_t pb_sources_bytes(const struct pb_arch *arch, const struct pb_sweep *sweep,
			const struct pb_pairs *pairs, const struct pb_prompts *reference,
			size_t chunk_rows);
/* What the forward passes over a mean's reference take beside them. They are done before the first
 * chunk; the reference may have more and longer prompts than any chunk. 0 for other sweeps. */
size_t pb_means_bytes(const struct pb_arch *arch, const struct pb_sweep *sweep,
		      const struct pb_pairs *pairs, const struct pb_prompts *prompts,
		      size_t chunk_pairs);
/* control: the noise of a chunk; `store` as pb_sweep_values.control, NULL: not wanted. */
enum pb_status pb_sources_noise(struct pb_sources *s, struct pb_engine *e,
				const struct pb_sweep_work *work, float *store,
				struct pb_error *err);

/* How rows of a buffer stand for positions of variants. */
struct pb_edit_view {
	struct pb_dev out; /* [rows, stride], the site's columns start at `column` (see below) */
	size_t stride;
	bool compact_columns; /* out holds the injected columns alone, from column 0 */
	bool values;          /* out holds values, not changes */
	struct pb_dev source; /* PB_SOURCE_SENDER: table and stride */
	size_t source_stride;
	/* Row of `out` for a position of variant v (index into the list), -1: not there. The rows
	 * of consecutive positions are consecutive. */
	int32_t (*row)(const void *context, size_t v, int32_t position);
	/* Row of the sender's table for a position of variant v. */
	int32_t (*source_row)(const void *context, size_t v, int32_t position);
	const void *context;
};
/* Write every injection at (layer, site) of the variants v0 .. v1 - 1. *edits, *capacity: host
 * memory that is kept. temp: [rows of the edits, columns + rank] for projections. */
enum pb_status pb_inject(struct pb_engine *e, const struct pb_sweep_work *work,
			 const struct pb_variants *list, size_t v0, size_t v1, size_t layer,
			 enum pb_site site, const struct pb_edit_view *view, struct pb_dev temp,
			 struct pb_edit **edits, size_t *capacity, enum pb_stage stage,
			 struct pb_error *err);
/* The pattern edits of variant v at a layer, appended at *n. */
enum pb_status pb_pattern_edits(const struct pb_sweep_work *work, const struct pb_variants *list,
				size_t v, size_t layer, struct pb_pattern_edit **edits,
				size_t *capacity, size_t *n, struct pb_error *err);
/* The table of a mean's patterns at a layer. */
struct pb_dev pb_pattern_table(const struct pb_sweep_work *work, size_t layer, size_t *stride);

/* save: fill values->saved of a chunk. */
enum pb_status pb_save_activations(struct pb_engine *e, const struct pb_chunk_run *run,
				   struct pb_chunk_values *values, struct pb_error *err);

/* The axes of a grid, a line each. */
void pb_identity_put_grid(FILE *f, const struct pb_run_config *config);
/* What of a config with resolved sweeps bears on the numbers (freed with free()). references:
 * [n_sweeps] prompts of reference files; bos: the id in front of text prompts, -1: none. */
enum pb_status pb_identity_text(const struct pb_run_config *config,
				const struct pb_prompts *references, int32_t bos,
				size_t chunk_pairs, size_t n_tokens, char **text,
				struct pb_error *err);

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

/* ---- the run's own checks ----------------------------------------------------------------------
 */

enum pb_status pb_check_resid_pre(struct pb_engine *e, struct pb_wave_memory *m,
				  const struct pb_chunk_run *run, const bool *directions,
				  size_t n_valid, struct pb_chunk_checks *checks,
				  struct pb_error *err);
/* Recompute a random sample of each sweep's variants by plain forwards. works: [n_sweeps]. */
enum pb_status pb_check_variants(struct pb_engine *e, const struct pb_experiment *x,
				 const struct pb_sweep_work *works, struct pb_chunk_values *values,
				 struct pb_error *err);
/* Variants that are checked in a chunk for each sweep. */
#define PB_CHECKED_VARIANTS 4

/* ---- the plan -------------------------------------------------------------------------------- */

struct pb_plan {
	size_t memory;        /* host bytes the run may use */
	size_t device_memory; /* bytes of the device's own memory, likewise; 0: it has none */
	size_t n_resident;    /* layers packed at a time; 0: all */
	size_t chunk_pairs, n_chunks;
	size_t fixed_bytes;        /* model, caches, results, the program itself */
	size_t device_fixed_bytes; /* what of it is on the device, where that has memory */
	size_t graph_bytes;        /* of the latter, for graphs; 0: none are made */
	size_t wave_bytes;         /* for delta rows and the blocks they go through */
	struct pb_wave_sizes sizes;
	size_t variant_bytes; /* of host lists, for each variant of a wave */
	size_t peak_bytes;    /* what the run will take at most */
	size_t n_waves;       /* over the whole run, upper bound */
	size_t n_targets;     /* answer, foil and candidates of the pair that has most */
	double n_variants, n_rows, flops;
};
/* Candidates of the pair that has most. */
size_t pb_candidates_most(const struct pb_pairs *pairs);
/* Size everything before anything runs. references: by sweep, prompts of a mean's file;
 * longest: tokens of the longest prompt of any kind. PB_ERR_INPUT when the memory cannot hold even
 * one variant. device_memory: 0 for nine tenths of what the device has now.
 */
enum pb_status pb_plan_make(struct pb_plan *plan, struct pb_device *dev,
			    const struct pb_model *model, const struct pb_run_config *config,
			    const struct pb_sweep_work *works, const struct pb_pairs *pairs,
			    const struct pb_prompts *references, size_t longest, size_t memory,
			    size_t device_memory, struct pb_error *err);
/* What plans are made of: memory of this process so far, with what libraries will still take; the
 * host's copies of weights on their way to a device with memory of its own; that memory. */
size_t pb_plan_resident(void);
size_t pb_packing_bytes(const struct pb_arch *arch);
enum pb_status pb_plan_device_memory(struct pb_plan *plan, struct pb_device *dev, size_t asked,
				     struct pb_error *err);
/* Seconds of all chunks at this rate of products. */
double pb_plan_seconds(const struct pb_plan *plan, double flops_per_second);
void pb_plan_print(const struct pb_plan *plan, const struct pb_run_config *config,
		   const struct pb_sweep_work *works, const struct pb_pairs *pairs,
		   double flops_per_second, FILE *out);

/* Whether a card of this name ("h100") is known; PB_ERR_INPUT names those that are. */
enum pb_status pb_gpu_model_check(const char *name, struct pb_error *err);
/* What the planned sweep would take there at best, and of what that is made up. */
/* Returns its seconds at best; out NULL: nothing is printed. */
double pb_gpu_model_print(const char *name, const struct pb_arch *arch, const struct pb_plan *plan,
			  enum pb_precision precision, size_t longest, FILE *out);

#endif
