/* Result files: parts, assembly, summaries, verification. Parts are the only way a result is ever
 * written: one HDF5 file a chunk, then one final file assembled from them. */
#ifndef PATCHBAY_RESULTS_H
#define PATCHBAY_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "patchbay/evaluation.h"
#include "patchbay/grid.h"
#include "patchbay/pairs.h"
#include "patchbay/readings.h"
#include "patchbay/sweep.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PB_SCHEMA_VERSION 2

/* All that identifies and describes a run; borrowed pointers, owned by the caller. */
struct pb_experiment {
	const char *output; /* final file; parts lie in "<output>.parts/" */
	/* identity: together with the schema version these make the experiment's SHA-256 */
	const char *config;   /* resolved YAML */
	const char *identity; /* what of the config bears on the numbers (engine writes it) */
	const char *model_sha256, *pairs_sha256;
	/* provenance, stored as attributes of the root */
	const char *command, *model_path, *family, *backend, *device, *precision, *host;
	uint64_t seed;
	int n_threads;
	/* shape */
	struct pb_arch arch;
	const struct pb_pairs *pairs;
	size_t n_sweeps;
	const struct pb_sweep *sweeps; /* resolved */
	const struct pb_grid *grids;   /* [n_sweeps] */
	/* [n_sweeps]: reference means that a `mean` sweep used, NULL for others: see
	 * pb_reference_means */
	const struct pb_reference_means *means;
	unsigned metrics;                             /* bits of enum pb_metric */
	unsigned readings;                            /* bits of enum pb_reading_group */
	const struct pb_reading_values *run_readings; /* those of the whole run (not by pair) */
	bool save_control;                            /* store the noise of control sweeps */
	unsigned save; /* bits 1u << enum pb_site: activations stored of both base runs */
	/* A grid of cells, n_axes 0: none; and the cells of a run's pairs (NULL then). */
	size_t n_axes, n_cells;
	const struct pb_cell_axis *axes;
	const struct pb_cell *cells;
	/* Evaluation prompts instead of pairs, sweeps and readings; NULL: a run. */
	const struct pb_eval_set *evaluation;
	size_t chunk_pairs,
	    n_chunks; /* chunk c holds pairs (prompts) [c*chunk_pairs, min(n, (c+1)*chunk_pairs)) */
	size_t shard, n_shards; /* the output is shard `shard` of so many; 0: the whole */
};

/* Whether a chunk is the output's: every n_shards-th chunk is a shard's, from chunk `shard` on, so
 * that long and short prompts spread over all of them. */
bool pb_experiment_takes(const struct pb_experiment *e, size_t chunk);
/* How many they are. */
size_t pb_experiment_n_taken(const struct pb_experiment *e);
/* "box.shard-0-of-3.h5" of "box.h5" (freed with free()), or the output itself where it is named so
 * already; NULL: out of memory. */
char *pb_shard_name(const char *output, size_t shard, size_t n_shards);

/* Per prompt side (clean, corrupted), arrays of the chunk's n_pairs. Ranks count strictly larger
 * logits, from 0; rows past the tokenizer are out of argmax and rank. */
struct pb_base_values {
	double *logit_diff;
	float *logit_answer, *logit_foil, *prob_answer, *prob_foil, *logprob_answer, *logprob_foil;
	int32_t *rank_answer, *rank_foil, *argmax;
};

/* Values of one sweep: metric[m] is NULL when not asked for; else [n_pairs, grid cells], C order,
 * double for logit_diff and float otherwise; candidate_logits has one more trailing axis of
 * max_candidates, NaN-filled past a pair's own. */
struct pb_sweep_values {
	void *metric[PB_N_METRICS];
	/* [n_pairs, grid cells], always there: 1 where the cell does not exist for the pair (past
	 * its prompt's end, a role that it lacks, no other pair to resample from, a receiver that
	 * is not later). Every metric is NaN there, and finite everywhere else. */
	uint8_t *absent;
	/* save: [control]: the noise vectors, [n_pairs, control_count] as in pb_control_count; NULL
	 * otherwise */
	float *control;
};

/* One variant that was recomputed by a plain, unpruned forward. */
struct pb_checked_variant {
	int32_t sweep, pair, cell; /* pair: global index; cell: of the sweep's grid */
	double logit_diff, logit_diff_plain;
};

/* Reference means of a `mean` sweep, computed once over all prompts in float64, fixed order:
 * values[((layer * n_index + index) * n_slots + slot) * width + i]. embed has one layer. */
struct pb_reference_means {
	size_t n_layers, n_index; /* index: head, KV head, or 1 */
	size_t n_slots;           /* 1 (overall), positions, or roles; pattern: query positions */
	size_t width;             /* pattern: key positions */
	const char *const *roles; /* [n_slots] their names, by role only */
	const double *values;
	const int64_t *n_tokens; /* [n_slots] tokens in each mean */
};
/* Values of control noise a pair, [layers, index, max_length, width]: all layers and heads of the
 * site (pb_site_shape), whatever part of them the grid has and injects, 0 past a prompt's end. A
 * set's MLPs are not in it. SIZE_MAX when that is too large. */
size_t pb_control_count(const struct pb_experiment *e, size_t sweep);
/* Elements of one activation of a site: its width (pattern: max_length keys), its number of heads
 * (1 without), its layers (embed: 1). */
void pb_site_shape(const struct pb_arch *arch, enum pb_site site, size_t max_length,
		   size_t *n_layers, size_t *n_index, size_t *width);

/* What a chunk proved about itself. */
struct pb_chunk_checks {
	/* resid_pre of the donor patched whole at each layer, zero-delta shortcut off: [n_layers]
	 * largest |LD - LD_donor| over the checked pairs and both directions in use */
	double *resid_pre_deviation;
	size_t n_resid_pre_pairs;
	size_t n_variants;
	struct pb_checked_variant *variants;
	double logit_largest; /* largest |logit| of answers and foils in the base runs */
	/* largest |sum of direct logit attributions - LD| over pairs and sides; NaN: not asked for
	 */
	double attribution_deviation;
};

struct pb_chunk_values {
	size_t chunk, first_pair, n_pairs;
	struct pb_base_values base[2];  /* 0 clean, 1 corrupted */
	struct pb_sweep_values *sweeps; /* experiment->n_sweeps */
	/* readings by pair, those of experiment->readings; each array [n_pairs, ...] of this side
	 */
	struct pb_reading_values readings[2];
	struct pb_eval_values eval; /* of an evaluation, which has nothing else but checks */
	/* saved[side][site]: NULL unless saved; [n_pairs, layers, index, max_length, width] float32
	 * (pattern: query positions, then key positions), NaN past a prompt's end */
	float *saved[2][PB_N_SITES];
	struct pb_chunk_checks checks;
	const char *isa; /* of the processor that computed it, e.g. "x86-64-v4" */
	double seconds;
};

/* Allocate all arrays that an experiment's chunk needs (filled with NaN or -1), and free them. */
enum pb_status pb_chunk_values_new(struct pb_chunk_values **out, const struct pb_experiment *e,
				   size_t chunk, struct pb_error *err);
void pb_chunk_values_free(struct pb_chunk_values *values);

/* Pairs of a run, prompts of an evaluation. */
size_t pb_experiment_items(const struct pb_experiment *e);

/* SHA-256 that names the experiment: config identity, model, pairs, schema version. */
enum pb_status pb_experiment_hash(const struct pb_experiment *e, char hex[PB_SHA256_HEX],
				  struct pb_error *err);

enum pb_output_state {
	PB_OUTPUT_ABSENT,   /* nothing there, neither file nor parts */
	PB_OUTPUT_PARTS,    /* parts of this experiment: resume */
	PB_OUTPUT_COMPLETE, /* a complete file of this experiment */
	PB_OUTPUT_OTHER,    /* a file or parts of a different experiment, or not ours at all */
};
/* Look at what lies at e->output. For PB_OUTPUT_OTHER, `difference` (size bytes) says what differs.
 */
enum pb_status pb_output_state(const struct pb_experiment *e, enum pb_output_state *state,
			       char *difference, size_t size, struct pb_error *err);
/* Remove the file and the parts at e->output (--force). */
enum pb_status pb_output_remove(const struct pb_experiment *e, struct pb_error *err);

/* Creates "<output>.parts/" when needed (PB_ERR_INPUT when it cannot be written). */
enum pb_status pb_parts_prepare(const struct pb_experiment *e, struct pb_error *err);
/* Lets that folder go again if nothing is in it: after a run that came to nothing. */
void pb_parts_abandon(const struct pb_experiment *e);
/* True when a valid part of this experiment for this chunk is there (an invalid one is removed). */
enum pb_status pb_part_done(const struct pb_experiment *e, size_t chunk, bool *done,
			    struct pb_error *err);
/* Write one part aside, fsync, rename, fsync the directory. */
enum pb_status pb_part_write(const struct pb_experiment *e, const struct pb_chunk_values *values,
			     struct pb_error *err);

/* Assemble the final file from all parts: raw values, summaries, checks and their checksums,
 * written aside and renamed; then the parts are removed. Of a shard: its parts as they are, in one
 * file with all that pb_result_merge needs. A failing check is PB_ERR_CHECK: the file
 * is not put in place, the message has the figures, the parts stay. */
enum pb_status pb_result_assemble(const struct pb_experiment *e, struct pb_error *err);

struct pb_merge_options {
	const char *output, *command;
	size_t n_parts;
	const char *const *parts; /* shard files, in any order */
	bool partial;             /* chunks may be missing */
	bool force;               /* replace an output of another experiment */
};
/* One result file from shards: the datasets of one run, to the bit. PB_ERR_INPUT for what is no
 * shard, overlaps, gaps, different experiments, an output that is something else; PB_ERR_CHECK for
 * damaged shards, with file and chunk; PB_ERR_IO where another process writes the output. */
enum pb_status pb_result_merge(const struct pb_merge_options *options, struct pb_error *err);

/* `patchbay verify`: complete, every checksum right, no unexplained NaN, checks within tolerance.
 * Writes a line per item to out. PB_ERR_CHECK when something is wrong, PB_ERR_INPUT when the file
 * is not a result file. */
enum pb_status pb_result_verify(const char *path, FILE *out, struct pb_error *err);

/* Both files as by pb_result_verify, and then their datasets: the same values, to the bit where
 * tolerance is negative. Else differences of float datasets may be that much of the largest effect
 * (of other numbers: of the largest of their dataset), and what is derived from the values is not
 * compared. PB_ERR_CHECK where they differ, with dataset, index and values in the report. */
enum pb_status pb_result_against(const char *path, const char *other, double tolerance, FILE *out,
				 struct pb_error *err);

/* `patchbay info` of a result file: attributes, shapes, sweeps, checks. */
enum pb_status pb_result_describe(const char *path, FILE *out, struct pb_error *err);

/* Plain-text heat map of a sweep's mean restoration (layers down, heads across) and the `n_top`
 * cells by |effect| with restoration, its 95% interval and corrected p; for the end of a run. */
enum pb_status pb_result_print_summary(const char *path, size_t n_top, FILE *out,
				       struct pb_error *err);
/* One ranked cell of a sweep of a result file, for `patchbay top` and for sets of the top k. */
struct pb_ranked_cell {
	size_t cell;         /* in the sweep's grid */
	char label[96];      /* as pb_grid_label, or by position from the end */
	int32_t layer, head; /* -1 where the grid has none; head: or KV head */
	/* what each axis stands for (positions from the end are negative), NaN without it */
	double axes[PB_N_AXIS_KINDS];
	double effect, ci_low, ci_high, stderr_, p_value, p_fwer, q_bh;
	double restoration, restoration_ci_low, restoration_ci_high; /* NaN where undefined */
	int32_t n_pairs;
};
struct pb_ranking {
	char *sweep;                /* name of the group */
	size_t n_cells, n_excluded; /* cells of the grid, and those without a finite effect */
	size_t n;
	struct pb_ranked_cell *cells; /* by |effect| falling, ties by cell */
};
/* The n_most strongest cells (0: all) of a sweep (name of its group, or its number as text; NULL:
 * the first). over_right: the figures over the right pairs. Freed by pb_ranking_free. */
enum pb_status pb_result_rank(struct pb_ranking *out, const char *path, const char *sweep,
			      size_t n_most, bool over_right, struct pb_error *err);
void pb_ranking_free(struct pb_ranking *ranking);
enum pb_top_format { PB_TOP_TEXT, PB_TOP_CSV, PB_TOP_JSON };
/* `patchbay top`: the effects table of one sweep, or of all (sweep NULL), on `out`. */
enum pb_status pb_result_top(const char *path, const char *sweep, size_t n_most, bool over_right,
			     enum pb_top_format format, FILE *out, struct pb_error *err);

/* The accuracy of an evaluation's cells, one table for each value of the axes before the last two.
 */
enum pb_status pb_evaluation_print(const char *path, FILE *out, struct pb_error *err);

/* True when the file starts with the HDF5 signature. */
bool pb_is_hdf5(const char *path);

#ifdef __cplusplus
}
#endif
#endif
