/* What the files of the experiment share. */
#ifndef PB_ENGINE_EXPERIMENT_H
#define PB_ENGINE_EXPERIMENT_H

#include "cluster/lock.h"
#include "cluster/team.h"
#include "engine/readings.h"
#include "engine/sets.h"
#include "engine/stopping.h"
#include "engine/sweeps.h"

struct pb_running;
struct pb_writer;

/* What is done chunk by chunk: sweeps over pairs, or the evaluation of prompts. */
struct pb_job {
	const char *unit; /* of the progress bar */
	/* Read what it works on, and plan. Model, tokenizer and device are there. */
	enum pb_status (*open)(struct pb_running *r, struct pb_error *err);
	enum pb_status (*describe)(struct pb_running *r, struct pb_error *err);
	void (*print_plan)(struct pb_running *r, FILE *out);
	double (*seconds)(const struct pb_running *r); /* of all chunks; r->gemm_rate is there */
	/* What the engine needs before the first chunk, and what of it is let go before assembly.
	 */
	enum pb_status (*prepare)(struct pb_running *r, struct pb_error *err);
	void (*release)(struct pb_running *r);
	/* Units of a chunk are added to *n. */
	enum pb_status (*count)(const struct pb_running *r, size_t chunk, double *n,
				struct pb_error *err);
	enum pb_status (*chunk)(struct pb_running *r, size_t chunk, struct pb_writer *writer,
				struct pb_progress *progress, struct pb_error *err);
	size_t (*longest)(const struct pb_running *r);
	/* used[v] = true for the tokens of its prompts, where `used` is all false. */
	void (*mark_tokens)(const struct pb_running *r, bool *used);
	enum pb_status (*print)(const char *path, FILE *out, struct pb_error *err);
};
extern const struct pb_job pb_job_sweeps, pb_job_evaluation;

/* What an evaluation's batches go through. */
struct pb_eval_room {
	size_t rows_most, prompts_most; /* of a batch */
	struct pb_cache cache, check;   /* the latter: of the prompts of its checks */
	struct pb_dev logits;           /* [PB_BLOCK_VOCABULARY, V] */
};

/* All that a run holds, so that one cleanup lets it go. */
struct pb_running {
	const struct pb_job *job;
	const struct pb_run_config *config;
	const struct pb_run_options *options;
	struct pb_team *team;
	char *model_folder; /* where model.path leads */
	struct pb_model *model;
	struct pb_tokenizer *tokenizer;
	struct pb_pairs pairs;
	struct pb_cell *cells; /* of the pairs; NULL: one source without a grid */
	struct pb_eval_set prompts;
	struct pb_eval_room room;
	struct pb_device *dev;
	struct pb_engine engine;
	struct pb_wave_memory memory;
	struct pb_plan plan;
	struct pb_experiment experiment;
	/* by sweep */
	struct pb_grid *grids;
	struct pb_set *
	    *complements; /* sets as they are written: NULL where they are the config's */
	struct pb_prompts *references;
	struct pb_sources *sources;
	struct pb_sweep_work *works;
	struct pb_reference_means *means;
	size_t *same_as; /* another sweep whose layers are this one's, moved by one; SIZE_MAX */
	uint8_t **known;
	struct pb_shape_cache *shapes;
	int32_t **others; /* resample: [pairs] */
	struct pb_reading_values readings;
	struct pb_arena arena;
	char *identity;
	struct pb_lock *lock; /* of the output; rank 0 alone, NULL: not taken */
	bool replace;         /* --force: what is at the output makes room */
	bool complete;        /* a complete file of this experiment is there already */
	uint8_t *chunk_done;  /* [n_chunks]: had a part when the run began */
	char host[256], pairs_sha256[PB_SHA256_HEX];
	double gemm_rate, started;
	struct pb_stopping stopping;
};

/* Resolve the sweeps of the config (which become what they mean on this model), make their grids,
 * read reference prompts. Model and pairs are there. */
enum pb_status pb_running_open_sweeps(struct pb_running *r, struct pb_error *err);
/* Reference means, vectors, subspaces. The engine is open. */
enum pb_status pb_running_make_sources(struct pb_running *r, struct pb_error *err);
/* Tokens of the longest prompt that goes through the engine. */
size_t pb_running_longest(const struct pb_running *r);
/* r->experiment, but for what only one of the jobs has. r->identity is there. */
void pb_running_describe(struct pb_running *r);
/* Host memory that the run may use, less what a rank holds of embeddings that it got from rank 0.
 * The prompts are there. */
enum pb_status pb_running_memory(const struct pb_running *r, size_t *out, struct pb_error *err);
/* Fill the cells of sweep s that another sweep of the chunk has computed. */
void pb_running_copy_known(const struct pb_running *r, size_t s, struct pb_chunk_values *values,
			   size_t n_pairs);
/* Tokens that argmax and rank look at: the tokenizer's, where the folder has one. */
size_t pb_running_n_tokens(const struct pb_running *r);

/* ---- experiment_graphs.c --------------------------------------------------------------- */

/* Whether the engine's blocks become graphs of the device; says why not where they were asked for.
 */
void pb_running_settle_graphs(struct pb_running *r);
/* A line of the log on the graphs of the run, where there were any. */
void pb_running_tell_graphs(const struct pb_running *r);

/* ---- experiment_chunks.c --------------------------------------------------------------- */

/* The waves' memory: as planned, or as much of it as there is after all. */
enum pb_status pb_running_make_waves(struct pb_running *r, struct pb_error *err);
/* Variants of a chunk; and its sweeps, with less of a wave at a time where memory is short. */
enum pb_status pb_running_count_variants(const struct pb_running *r, size_t chunk, double *n,
					 struct pb_error *err);
enum pb_status pb_running_sweep_chunk(struct pb_running *r, size_t chunk, struct pb_writer *writer,
				      struct pb_progress *progress, struct pb_error *err);
/* Which chunks have a valid part already; damaged parts are removed. Rank 0 alone. */
enum pb_status pb_running_look_for_parts(struct pb_running *r, struct pb_error *err);
/* Compute the chunks that have no part, as many as this rank gets. All ranks return the same:
 * PB_ERR_STOPPED where a stop was asked for on any of them. */
enum pb_status pb_running_take_chunks(struct pb_running *r, struct pb_error *err);

void pb_running_close_sweeps(struct pb_running *r);

#endif
