/* Evaluation: a task's prompts in the cells of a grid, and how well a model answers them. */
#ifndef PATCHBAY_EVALUATION_H
#define PATCHBAY_EVALUATION_H

#include "patchbay/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- cells ----------------------------------------------------------------------------- */

/* One cell of a grid: the task with a value of each axis. Cell numbers run in C order, the last
 * axis fastest. */
struct pb_cell {
	double values[PB_CELL_AXES]; /* by axis */
	const char *why;             /* why it is not available; NULL: it is */
	size_t first, n;             /* its prompts or pairs: first .. first + n - 1 of all */
};

/* Cells of a config's grid; 1 where it has none. */
size_t pb_cells_count(const struct pb_run_config *config);
/* The options of a cell, and its values. */
void pb_cell_options(const struct pb_run_config *config, size_t cell,
		     struct pb_task_options *options, double values[PB_CELL_AXES]);
/* "boxes 3, moves 2"; "all prompts" without a grid. */
#define PB_CELL_LABEL 96
const char *pb_cell_label(const struct pb_run_config *config, const struct pb_cell *cell,
			  char label[PB_CELL_LABEL]);

/* Pairs of every cell, one behind another. A cell that the task refuses, or whose prompts are
 * longer than n_context, is not available (`why` lies in the pairs' arena), with a note; where none
 * is, the first one's reason is PB_ERR_INPUT. cells: [pb_cells_count], from the pairs' arena. */
enum pb_status pb_cells_pairs(struct pb_pairs *out, struct pb_cell **cells,
			      const struct pb_run_config *config,
			      const struct pb_tokenizer *tokenizer, size_t n_vocab,
			      size_t n_context, struct pb_error *err);

/* ---- evaluation prompts ------------------------------------------------------------------ */

/* What a task says of a prompt, yes or no; which of them there are depends on the task. */
enum pb_eval_fact {
	PB_EVAL_DETERMINED,     /* the prompt determines its answer */
	PB_EVAL_JOINT,          /* both single-cue rules fail: state and action must be joined */
	PB_EVAL_MOVED,          /* what is asked for was moved */
	PB_EVAL_LAST_OF_ACTION, /* three rules that a model may follow, each right or not: the last
				   target of the action */
	PB_EVAL_LAST_OF_STATE,  /* the last successor of the state */
	PB_EVAL_MOST_FREQUENT,  /* the most frequent state */
	PB_N_EVAL_FACTS
};
extern const char *const pb_eval_fact_names[PB_N_EVAL_FACTS]; /* "determined", ... */

struct pb_eval_prompt {
	size_t length;
	int32_t *tokens; /* [length] */
	/* right answers, the first is the line's `answer`; and what could be answered */
	size_t n_answers, n_candidates;
	int32_t *answers, *candidates;
	int8_t facts[PB_N_EVAL_FACTS]; /* 1, 0; -1: the task does not say */
	int32_t distance;              /* words from the evidence to the end; -1: not said, none */
	double reachable;              /* states that can be reached; NaN: not said */
	const char *text, *answer_text;
	const char *extra; /* the other keys of the line as one JSON object */
};

struct pb_eval_set {
	size_t n_cells, n;
	struct pb_cell *cells;
	struct pb_eval_prompt *items; /* cell by cell */
	size_t max_length, max_answers, max_candidates;
	bool has_distance;
	int32_t bos; /* the id in front of the prompts, -1: none */
	struct pb_arena arena;
};

/* The evaluation prompts of every cell of a config, config->n_prompts each. Cells that are not
 * available as in pb_cells_pairs. tokenizer: of the model, needed. */
enum pb_status pb_eval_set_make(struct pb_eval_set *out, const struct pb_run_config *config,
				const struct pb_tokenizer *tokenizer, size_t n_vocab,
				size_t n_context, struct pb_error *err);
void pb_eval_set_free(struct pb_eval_set *set);
/* Whether a token is one of the right answers. */
bool pb_eval_is_answer(const struct pb_eval_prompt *prompt, int32_t token);
/* SHA-256 over all that matters of the prompts: cells, ids, answers, candidates, facts. */
enum pb_status pb_eval_set_hash(const struct pb_eval_set *set, char hex[PB_SHA256_HEX],
				struct pb_error *err);

/* ---- results ----------------------------------------------------------------------------- */

/* What is measured of each prompt, from its answer position alone. */
struct pb_eval_values {
	double *logprob_answer; /* natural log-probability of the first answer */
	double *mass;           /* probability of all answers together */
	double *margin;         /* largest logit of an answer - largest of another candidate */
	int32_t *argmax;        /* over the tokenizer's tokens */
	int32_t *argmax_candidate;
	int32_t *rank_answer;     /* tokens with a larger logit than the first answer */
	float *candidate_logprob; /* [n, max_candidates], NaN past a prompt's own */
};

/* Bytes that putting the file together takes at most; SIZE_MAX where no memory could hold them. */
size_t pb_evaluation_bytes(const struct pb_eval_set *set);

#ifdef __cplusplus
}
#endif
#endif
