/* The file of an evaluation: its columns (a value a prompt), and the figures of its cells. */
#ifndef PB_RESULTS_EVALUATION_H
#define PB_RESULTS_EVALUATION_H

#include "results/schema.h"

#include "patchbay/results.h"

/* Text of the root's attribute `kind`. */
#define PB_KIND_EVALUATION "evaluation"
/* Whether an open result file is one. */
bool pb_is_evaluation(hid_t file);

/* A checked prompt's log-probability is at most this much of the largest logit, or of 1, from that
 * of a plain forward. */
#define PB_EVAL_TOLERANCE 1e-5

/* ---- columns: [n_cells, n_prompts], -1 and NaN where a cell has no prompt -------------------- */

enum pb_eval_column {
	PB_EVAL_LENGTH,
	PB_EVAL_ANSWER_TOKEN,
	PB_EVAL_N_ANSWERS,
	PB_EVAL_N_CANDIDATES,
	PB_EVAL_ARGMAX,
	PB_EVAL_ARGMAX_CANDIDATE,
	PB_EVAL_RANK_ANSWER,
	PB_EVAL_RIGHT,
	PB_EVAL_RIGHT_CANDIDATE,
	PB_EVAL_DISTANCE,
	PB_EVAL_FIRST_FACT,
	PB_N_EVAL_COLUMNS = PB_EVAL_FIRST_FACT + PB_N_EVAL_FACTS
};
enum pb_eval_number { PB_EVAL_LOGPROB_ANSWER, PB_EVAL_MASS, PB_EVAL_MARGIN, PB_N_EVAL_NUMBERS };

extern const struct pb_field pb_eval_column_fields[PB_N_EVAL_COLUMNS];
extern const struct pb_field pb_eval_number_fields[PB_N_EVAL_NUMBERS];

struct pb_eval_columns {
	size_t n_cells, n_prompts;
	int32_t *columns[PB_N_EVAL_COLUMNS]; /* facts: NULL where the task does not say */
	double *numbers[PB_N_EVAL_NUMBERS];
};
enum pb_status pb_eval_columns_new(struct pb_eval_columns *c, size_t n_cells, size_t n_prompts,
				   struct pb_error *err);
void pb_eval_columns_free(struct pb_eval_columns *c);
/* Whether any prompt says something of a column. */
bool pb_eval_is_said(const struct pb_eval_columns *c, int column);

/* ---- figures of cells ------------------------------------------------------------------------ */

/* Which of a cell's prompts: all, or those of which a fact holds or does not. */
enum pb_eval_subset {
	PB_SUBSET_ALL,
	PB_SUBSET_DETERMINED,
	PB_SUBSET_UNDETERMINED,
	PB_SUBSET_JOINT,
	PB_SUBSET_MOVED,
	PB_SUBSET_UNMOVED,
	PB_N_EVAL_SUBSETS
};
extern const char *const pb_eval_subset_suffixes[PB_N_EVAL_SUBSETS]; /* "", "_determined" ... */

enum pb_eval_figure {
	PB_FIGURE_ACCURACY,
	PB_FIGURE_ACCURACY_CI_LOW,
	PB_FIGURE_ACCURACY_CI_HIGH,
	PB_FIGURE_CANDIDATE_ACCURACY,
	PB_FIGURE_CANDIDATE_ACCURACY_CI_LOW,
	PB_FIGURE_CANDIDATE_ACCURACY_CI_HIGH,
	PB_FIGURE_LOGPROB,
	PB_FIGURE_LOGPROB_STDERR,
	PB_FIGURE_MASS,
	PB_FIGURE_MARGIN,
	PB_FIGURE_MARGIN_STDERR,
	PB_FIGURE_CHANCE,
	PB_FIGURE_LAST_OF_ACTION,
	PB_FIGURE_LAST_OF_STATE,
	PB_FIGURE_MOST_FREQUENT,
	PB_N_EVAL_FIGURES
};
extern const struct pb_field pb_eval_figure_fields[PB_N_EVAL_FIGURES];
extern const struct pb_field pb_eval_n_field, pb_eval_breaks_field;

struct pb_eval_figures {
	size_t n_cells;
	bool there[PB_N_EVAL_SUBSETS];
	int32_t *n[PB_N_EVAL_SUBSETS];                        /* prompts, [n_cells] */
	double *values[PB_N_EVAL_SUBSETS][PB_N_EVAL_FIGURES]; /* NULL: not of this task */
	/* 1 where the accuracy is surely above that of an easier cell: its interval begins above
	 * the end of the one before it along some axis */
	int32_t *breaks;
};
/* sizes: of the n_axes axes, C order. */
enum pb_status pb_eval_figures_make(struct pb_eval_figures *f, const struct pb_eval_columns *c,
				    size_t n_axes, const size_t *sizes, struct pb_error *err);
void pb_eval_figures_free(struct pb_eval_figures *f);

/* The file from all parts; pb_result_assemble's part for evaluations. */
struct pb_part_source;
enum pb_status pb_evaluation_fill(const struct pb_experiment *e, struct pb_part_source *source,
				  const char *path, struct pb_error *err);
/* Is what the file says of its cells what its columns give, and did the checked prompts agree? A
 * line of what was found into `text`. */
enum pb_status pb_evaluation_verify(hid_t file, char *text, size_t size, struct pb_error *err);
/* `patchbay info`. */
enum pb_status pb_evaluation_describe(hid_t file, FILE *out, struct pb_error *err);

/* The axes of an evaluation's file: dimensions of /cells/available. */
struct pb_eval_axes {
	size_t n, sizes[PB_CELL_AXES], n_cells;
	char names[PB_CELL_AXES][32];
	double *values[PB_CELL_AXES];
};
enum pb_status pb_eval_axes_read(struct pb_eval_axes *axes, hid_t file, struct pb_error *err);
void pb_eval_axes_free(struct pb_eval_axes *axes);

#endif
