/* What a report shows of one result file, read once. */
#ifndef PB_REPORT_SUBJECT_H
#define PB_REPORT_SUBJECT_H

#include "results/checks.h"
#include "results/evaluation.h"
#include "results/file_grid.h"

/* Columns of a summary. */
enum pb_shown {
	PB_SHOWN_EFFECT,
	PB_SHOWN_CI_LOW,
	PB_SHOWN_CI_HIGH,
	PB_SHOWN_STDERR,
	PB_SHOWN_P_VALUE,
	PB_SHOWN_P_FWER,
	PB_SHOWN_Q_BH,
	PB_SHOWN_N_PAIRS,
	PB_SHOWN_RESTORATION,
	PB_SHOWN_RESTORATION_CI_LOW,
	PB_SHOWN_RESTORATION_CI_HIGH,
	PB_N_SHOWN
};
extern const char *const pb_shown_names[PB_N_SHOWN]; /* as in the file */

/* An axis of a sweep's cells, those that count from the end among them. */
struct pb_shown_axis {
	enum pb_axis_kind kind;
	bool from_end;
	size_t n, stride; /* of cells */
	double *values;   /* [n] what each step stands for: numbers from the end are negative */
};

struct pb_shown_sweep {
	const struct pb_result_sweep *info;
	struct pb_file_grid grid;
	size_t n_axes;
	struct pb_shown_axis axes[PB_GRID_AXES + 2];
	double *columns[2][PB_N_SHOWN]; /* over all pairs, over the right ones; [n_cells] */
	/* What maps show: restoration (less 1 in noise, whose baseline it is), or the effect where
	 * no cell has a restoration. */
	bool by_restoration;
	double *shown[2], *low[2], *high[2]; /* [n_cells], what is rounding alone as 0 */
	double rounding;                     /* what is smaller is rounding of the effects */
	/* Pairs that restorations are over, of the cell that has most: fewer than all where some
	 * are below min_gap or absent; all where they are not by_restoration, or it is not known.
	 */
	size_t n_restored;
	double *recipient; /* logit differences of the recipient, [n_pairs], borrowed */
	/* "positions 3, 5", "sweep 2": what tells it from the file's other sweeps of its name, ""
	 * where there is none; in the subject's arena */
	const char *differs;
};

/* Texts of the root's attributes. */
enum pb_subject_text {
	PB_TEXT_TITLE,
	PB_TEXT_CONFIG,
	PB_TEXT_COMMAND,
	PB_TEXT_MODEL_PATH,
	PB_TEXT_MODEL_SHA256,
	PB_TEXT_FAMILY,
	PB_TEXT_BACKEND,
	PB_TEXT_DEVICE,
	PB_TEXT_PRECISION,
	PB_TEXT_HOST,
	PB_TEXT_VERSION,
	PB_TEXT_COMMIT,
	PB_TEXT_STARTED,
	PB_TEXT_FINISHED,
	PB_TEXT_EXPERIMENT,
	PB_TEXT_PAIRS_SHA256,
	PB_N_SUBJECT_TEXTS
};

/* One thing that the run proved about itself. */
struct pb_subject_check {
	bool passed;
	const char *name, *text;
};

struct pb_subject {
	struct pb_result r;
	struct pb_arena arena; /* texts */
	bool comparison;       /* a file of patchbay compare, which has figures of files alone */
	const char *label;     /* short, of one line: what tells it from other files */
	const char *texts[PB_N_SUBJECT_TEXTS];
	/* "box: boxes 3, moves 2, pairs 50, corruption state, seed 0", "pairs of FILE"; "" in a
	 * comparison */
	const char *task;
	size_t n_checks;
	struct pb_subject_check checks[8];
	/* the pairs; all but `length` may be NULL */
	int32_t *length, *first_difference, *answer, *foil; /* [n_pairs] */
	int32_t *tokens[2];                                 /* [n_pairs, n_positions] */
	int32_t *roles;                                     /* the same; -1: none */
	size_t n_roles, n_tokens;
	const char **role_names;  /* [n_roles] */
	int32_t *token_ids;       /* [n_tokens] rising */
	const char **token_texts; /* [n_tokens] */
	const char **texts_of[4]; /* [n_pairs] clean, corrupted, answer, foil */
	/* sweeps, in order; none in an evaluation */
	size_t n_sweeps;
	struct pb_shown_sweep *sweeps;
};

/* PB_ERR_INPUT when there is no such file or it is none of patchbay's, PB_ERR_CHECK when it is
 * damaged; one that says of itself that it is not complete is read (r.partial). Freed by
 * pb_subject_close whatever is returned. */
enum pb_status pb_subject_open(struct pb_subject *s, const char *path, struct pb_error *err);
void pb_subject_close(struct pb_subject *s);

/* Whether it is a run, with pairs and sweeps. */
bool pb_subject_has_pairs(const struct pb_subject *s);
/* Whether all checks passed. */
bool pb_subject_proven(const struct pb_subject *s);
/* What comes after the last slash. */
const char *pb_last_part(const char *path);
/* The text of a token id, NULL where the file does not know it. */
const char *pb_subject_token(const struct pb_subject *s, int32_t id);
/* A token for people: white space is seen (" the" as "·the"), an unknown one is "#17". */
const char *pb_subject_token_label(struct pb_subject *s, struct pb_arena *arena, int32_t id);

/* The axis of a kind, NULL without it. */
const struct pb_shown_axis *pb_sweep_axis(const struct pb_shown_sweep *w, enum pb_axis_kind kind);
size_t pb_axis_step(const struct pb_shown_axis *axis, size_t cell);
/* "; restorations are over 5 of 6 pairs, ..." where they are not over all of them, else "". */
const char *pb_sweep_left_out(const struct pb_subject *s, const struct pb_shown_sweep *w,
			      char text[160]);
/* Effects that are rounding alone become 0. */
void pb_sweep_round(const struct pb_shown_sweep *w, double *effects, size_t n);
/* "restoration", "restoration - 1", "effect (logits)". */
const char *pb_sweep_quantity(const struct pb_shown_sweep *w);
/* "patch z denoise list (positions 3, 5)": what it is, for people, no two of a file alike; in the
 * arena. */
const char *pb_sweep_title(struct pb_arena *arena, const struct pb_shown_sweep *w);

/* What the files of a comparison are called, [n] in the subject's arena: "gpt2-xl", "pythia-70m
 * step3000"; of two that are called so, with the name of the file. */
enum pb_status pb_compared_names(struct pb_subject *s, const char ***names, size_t *n,
				 struct pb_error *err);

/* A dataset of numbers as float64, a fresh array; *values stays NULL where there is none. `rank`
 * and `dims` are what belongs (PB_ERR_CHECK otherwise). */
enum pb_status pb_subject_numbers(const struct pb_subject *s, const char *path, int rank,
				  const size_t *dims, double **values, struct pb_error *err);
/* Per-pair logit differences of a cell, [n_pairs] into `values`; NaN of pairs that are too short to
 * have its position from the end. */
enum pb_status pb_sweep_cell_values(const struct pb_subject *s, size_t sweep, size_t cell,
				    double *values, struct pb_error *err);

#endif
