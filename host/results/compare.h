/* `patchbay compare`: one sweep of several result files side by side. Models and revisions of
 * different size are lined up by relative depth, by the share of the strongest cells, and by
 * concentration (compare_measures.h has the formulas). */
#ifndef PB_RESULTS_COMPARE_H
#define PB_RESULTS_COMPARE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/compare_measures.h"
#include "results/result_file.h"
#include "results/schema.h"

#define PB_COMPARE_VERSION 1 /* of the layout of its HDF5 file */
#define PB_COMPARE_BINS_MAX 1000

enum pb_compare_by { PB_BY_EFFECT, PB_BY_RESTORATION };

struct pb_compare_options {
	size_t n_files;
	char *const *paths;
	const char *sweep;     /* name or number in the first file; NULL: its first */
	enum pb_compare_by by; /* what is averaged: logits, or restoration (in noise: minus 1) */
	size_t n_top;          /* strongest cells that are listed */
	size_t n_bins;         /* of relative depth; at most PB_COMPARE_BINS_MAX */
	bool any_task;         /* files of different tasks: a warning, not an error */
};

/* A figure with its 95% bootstrap interval, NaN where there is none. */
struct pb_estimate {
	double value, low, high;
};

struct pb_strong_cell {
	char label[96];
	int32_t layer, head; /* head: or KV head; -1 where cells are whole layers */
	double depth;        /* relative */
	struct pb_estimate effect;
};

/* A sweep over all pairs, or over the right ones.
 *
 * Values come from the file's summary. Intervals are percentiles over the summary's own resamples
 * of the pairs (the same seed, so that files of the same pairs share their draws): the means of all
 * cells are taken again in each, and the figures from those. A mean's size is larger on average
 * than the size of its expectation, the more so with few pairs, and larger again in a resample:
 * where most effects are noise, total and cells for q are too large and Gini too small, and the
 * intervals lie to that side. */
struct pb_spread {
	size_t n_pairs; /* that the means are of */
	size_t n_cells; /* with an effect */
	struct pb_estimate measures[PB_N_MEASURES];
	struct pb_estimate *profile; /* [n_bins] share of the total, by relative depth */
	size_t n_top;
	struct pb_strong_cell *top; /* [n_top] by falling size */
};

/* Rows of the HDF5 file, and names of the CSV file (compare_schema.c). */
enum pb_compare_field {
	/* (file) texts */
	PB_COMPARE_MODEL,
	PB_COMPARE_REVISION,
	PB_COMPARE_PATH,
	PB_COMPARE_FAMILY,
	PB_COMPARE_PRECISION,
	PB_COMPARE_MODEL_SHA256,
	PB_COMPARE_PAIRS_SHA256,
	PB_COMPARE_EXPERIMENT_SHA256,
	PB_N_COMPARE_TEXTS,
	/* (file) whole numbers */
	PB_COMPARE_N_LAYERS = PB_N_COMPARE_TEXTS,
	PB_COMPARE_N_HEADS,
	PB_COMPARE_N_PAIRS,
	PB_COMPARE_N_RIGHT,
	/* (file) the model without intervention */
	PB_COMPARE_RIGHT_SHARE,
	PB_COMPARE_CLEAN_ACCURACY,
	PB_COMPARE_CLEAN_LOGIT_DIFF,
	PB_COMPARE_CORRUPTED_LOGIT_DIFF,
	/* the rest also over the right pairs, with the suffix _right */
	PB_COMPARE_N_CELLS,  /* (file) */
	PB_COMPARE_MEASURES, /* (file): one row for each enum pb_measure */
	PB_COMPARE_DEPTH_SHARE = PB_COMPARE_MEASURES + PB_N_MEASURES, /* (file, bin) */
	/* (file, rank) */
	PB_COMPARE_TOP_LABEL,
	PB_COMPARE_TOP_LAYER,
	PB_COMPARE_TOP_HEAD,
	PB_COMPARE_TOP_DEPTH,
	PB_COMPARE_TOP_EFFECT,
	/* (bin) */
	PB_COMPARE_DEPTH_LOW,
	PB_COMPARE_DEPTH_HIGH,
	PB_N_COMPARE_FIELDS
};
extern const struct pb_field pb_compare_fields[PB_N_COMPARE_FIELDS];
extern const char *const pb_compare_by_names[2]; /* "effect", "restoration" */

#define PB_N_COMPARE_COUNTS (PB_COMPARE_RIGHT_SHARE - PB_COMPARE_N_LAYERS)
#define PB_N_COMPARE_FACTS (PB_COMPARE_N_CELLS - PB_COMPARE_RIGHT_SHARE)

/* One file; arrays in the order of the rows above. */
struct pb_compared {
	const char *texts[PB_N_COMPARE_TEXTS]; /* in the comparison's arena */
	size_t counts[PB_N_COMPARE_COUNTS];
	double facts[PB_N_COMPARE_FACTS];
	struct pb_spread spread[PB_N_SUBSETS]; /* all pairs, right pairs */
};

struct pb_comparison {
	struct pb_arena arena;
	const char *sweep; /* its name without a number */
	const char *task;  /* of the first file: a line for each key */
	bool same_task;
	enum pb_compare_by by;
	bool noise;           /* the recipient is the clean run */
	bool by_head;         /* cells are heads or KV heads, else layers */
	size_t n_bins, n_top; /* n_top: the most that any file has */
	size_t n_files;
	struct pb_compared *files;
};

/* Read and compare. PB_ERR_INPUT names what does not go together: a file without this sweep, a
 * sweep of other settings or of cells that are no layers or heads, a part of them, another task, a
 * file given twice; PB_ERR_CHECK a damaged or incomplete file. Freed by pb_comparison_free whatever
 * is returned. */
enum pb_status pb_compare(struct pb_comparison *comparison,
			  const struct pb_compare_options *options, struct pb_error *err);
void pb_comparison_free(struct pb_comparison *comparison);

/* Tables for a terminal, over all pairs or the right ones, with the strongest cells of each file
 * where they are asked for (compare_print.c). CSV, a line for each figure (compare_csv.c). Whether
 * `out` could be written is the caller's to see. */
enum pb_status pb_compare_text(const struct pb_comparison *comparison, bool over_right,
			       bool with_top, FILE *out, struct pb_error *err);
void pb_compare_csv(const struct pb_comparison *comparison, FILE *out);
/* An HDF5 file by the conventions of result files, put in place when it is whole
 * (compare_write.c). */
enum pb_status pb_compare_write(const struct pb_comparison *comparison, const char *path,
				const char *command, struct pb_error *err);

/* ---- between compare*.c ------------------------------------------------------------------ */

/* What of a file's configuration must be the same in all of them (compare_match.c). */
struct pb_compare_key {
	char *task;  /* "task.boxes: 3", a line for each key; or "pairs: FILE" */
	bool made;   /* pairs are made by a task, so that its keys say all of them */
	char *sweep; /* a line for each key of the sweep */
	char *model, *revision;
	char *pairs_sha256, *experiment_sha256;
	char texts[4][PB_SHA256_HEX]; /* of the pairs' texts */
	bool has_texts;               /* all of them: none was given as token ids */
};
enum pb_status pb_compare_key_read(struct pb_compare_key *key, const struct pb_result *result,
				   size_t sweep, struct pb_error *err);
void pb_compare_key_free(struct pb_compare_key *key);
/* The sweep of `result` that is that of the first file, `words` its name without a number: the one
 * of the same settings, else the first of the name. */
enum pb_status pb_compare_find(const struct pb_result *result, const char *words,
			       const struct pb_compare_key *first, const char *first_path,
			       size_t *sweep, struct pb_error *err);
/* Refuses two files of one experiment, which have the same values: a file named twice, or its copy.
 */
enum pb_status pb_compare_not_twice(const struct pb_compare_key *first, const char *first_path,
				    const struct pb_compare_key *other, const char *other_path,
				    struct pb_error *err);
/* Whether two files are of the same sweep and task; the error names both and what differs. */
enum pb_status pb_compare_match(const struct pb_compare_key *first, const char *first_path,
				const struct pb_compare_key *other, const char *other_path,
				bool any_task, bool *same_task, struct pb_error *err);

/* The figures of one sweep into spread[PB_N_SUBSETS]; arrays in the arena (compare_spread.c). */
enum pb_status pb_compare_spread(struct pb_spread *spread, bool *by_head, struct pb_arena *arena,
				 const struct pb_result *result, size_t sweep,
				 const struct pb_compare_options *options, struct pb_error *err);

#endif
