/* The columns of an evaluation, and the figures of its cells. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/evaluation.h"

/* ---- tables ------------------------------------------------------------------------------ */

#define COLUMN(label, text)                                                                        \
	{                                                                                          \
		label, PB_TYPE_I32, {PB_DIM_CELL, PB_DIM_PROMPT}, "1", text, true                  \
	}
const struct pb_field pb_eval_column_fields[PB_N_EVAL_COLUMNS] = {
    [PB_EVAL_LENGTH] = COLUMN("length", "tokens of the prompt"),
    [PB_EVAL_ANSWER_TOKEN] = COLUMN("answer_token", "token id of the first right answer"),
    [PB_EVAL_N_ANSWERS] = COLUMN("n_answers", "number of right answers"),
    [PB_EVAL_N_CANDIDATES] = COLUMN("n_candidates", "number of candidates"),
    [PB_EVAL_ARGMAX] = COLUMN("argmax", "token id of the largest logit"),
    [PB_EVAL_ARGMAX_CANDIDATE] =
	COLUMN("argmax_candidate", "token id of the candidate with the largest logit"),
    [PB_EVAL_RANK_ANSWER] =
	COLUMN("rank_answer", "number of tokens with a larger logit than the first right answer"),
    [PB_EVAL_RIGHT] = COLUMN("right", "1 where the largest logit is that of a right answer"),
    [PB_EVAL_RIGHT_CANDIDATE] =
	COLUMN("right_candidate", "1 where the best candidate is a right answer"),
    [PB_EVAL_DISTANCE] =
	COLUMN("distance", "words and marks from the evidence to the end of the prompt"),
    [PB_EVAL_FIRST_FACT + PB_EVAL_DETERMINED] =
	COLUMN("determined", "1 where the prompt determines its answer"),
    [PB_EVAL_FIRST_FACT + PB_EVAL_JOINT] =
	COLUMN("joint", "1 where the last target of the action and the last successor of the "
			"state are both wrong"),
    [PB_EVAL_FIRST_FACT + PB_EVAL_MOVED] =
	COLUMN("moved", "1 where what is asked for has been moved"),
    [PB_EVAL_FIRST_FACT + PB_EVAL_LAST_OF_ACTION] =
	COLUMN("last_of_action", "1 where the last target of the action is a right answer"),
    [PB_EVAL_FIRST_FACT + PB_EVAL_LAST_OF_STATE] =
	COLUMN("last_of_state", "1 where the last successor of the state is a right answer"),
    [PB_EVAL_FIRST_FACT + PB_EVAL_MOST_FREQUENT] =
	COLUMN("most_frequent", "1 where the most frequent state is a right answer"),
};

#define NUMBER(label, unit, text)                                                                  \
	{                                                                                          \
		label, PB_TYPE_F64, {PB_DIM_CELL, PB_DIM_PROMPT}, unit, text, false                \
	}
const struct pb_field pb_eval_number_fields[PB_N_EVAL_NUMBERS] = {
    [PB_EVAL_LOGPROB_ANSWER] =
	NUMBER("logprob_answer", "nat", "natural log-probability of the first right answer"),
    [PB_EVAL_MASS] = NUMBER("mass", "1", "probability of all right answers together"),
    [PB_EVAL_MARGIN] =
	NUMBER("margin", "logit",
	       "largest logit of a right answer minus the largest of another candidate"),
    [PB_EVAL_REACHABLE] = NUMBER("reachable", "1", "states that can be reached from the start"),
};

const char *const pb_eval_subset_suffixes[PB_N_EVAL_SUBSETS] = {
    [PB_SUBSET_ALL] = "",
    [PB_SUBSET_DETERMINED] = "_determined",
    [PB_SUBSET_UNDETERMINED] = "_undetermined",
    [PB_SUBSET_JOINT] = "_joint",
    [PB_SUBSET_MOVED] = "_moved",
    [PB_SUBSET_UNMOVED] = "_unmoved",
};

/* The fact that makes a subset, and which it must be. */
static const struct subset {
	enum pb_eval_fact fact;
	int32_t value;
} subsets[PB_N_EVAL_SUBSETS] = {
    [PB_SUBSET_DETERMINED] = {PB_EVAL_DETERMINED, 1},
    [PB_SUBSET_UNDETERMINED] = {PB_EVAL_DETERMINED, 0},
    [PB_SUBSET_JOINT] = {PB_EVAL_JOINT, 1},
    [PB_SUBSET_MOVED] = {PB_EVAL_MOVED, 1},
    [PB_SUBSET_UNMOVED] = {PB_EVAL_MOVED, 0},
};

#define FIGURE(label, unit, text)                                                                  \
	{                                                                                          \
		label, PB_TYPE_F64, {PB_DIM_CELL}, unit, text, false                               \
	}
const struct pb_field pb_eval_figure_fields[PB_N_EVAL_FIGURES] = {
    [PB_FIGURE_ACCURACY] =
	FIGURE("accuracy", "1", "share of prompts whose largest logit is that of a right answer"),
    [PB_FIGURE_ACCURACY_CI_LOW] =
	FIGURE("accuracy_ci_low", "1", "lower end of its 95% interval (Wilson)"),
    [PB_FIGURE_ACCURACY_CI_HIGH] =
	FIGURE("accuracy_ci_high", "1", "upper end of its 95% interval (Wilson)"),
    [PB_FIGURE_CANDIDATE_ACCURACY] = FIGURE(
	"candidate_accuracy", "1", "share of prompts whose best candidate is a right answer"),
    [PB_FIGURE_CANDIDATE_ACCURACY_CI_LOW] =
	FIGURE("candidate_accuracy_ci_low", "1", "lower end of its 95% interval (Wilson)"),
    [PB_FIGURE_CANDIDATE_ACCURACY_CI_HIGH] =
	FIGURE("candidate_accuracy_ci_high", "1", "upper end of its 95% interval (Wilson)"),
    [PB_FIGURE_LOGPROB] =
	FIGURE("logprob_answer", "nat", "mean log-probability of the first right answer"),
    [PB_FIGURE_LOGPROB_STDERR] =
	FIGURE("logprob_answer_stderr", "nat", "standard error of that mean"),
    [PB_FIGURE_MASS] = FIGURE("mass", "1", "mean probability of all right answers together"),
    [PB_FIGURE_MARGIN] = FIGURE("margin", "logit",
				"mean of the largest logit of a right answer minus the largest of "
				"another candidate"),
    [PB_FIGURE_MARGIN_STDERR] = FIGURE("margin_stderr", "logit", "standard error of that mean"),
    [PB_FIGURE_CHANCE] = FIGURE("chance", "1", "share of candidates that are right answers"),
    [PB_FIGURE_LAST_OF_ACTION] =
	FIGURE("last_of_action", "1", "accuracy of answering with the last target of the action"),
    [PB_FIGURE_LAST_OF_STATE] =
	FIGURE("last_of_state", "1", "accuracy of answering with the last successor of the state"),
    [PB_FIGURE_MOST_FREQUENT] =
	FIGURE("most_frequent", "1", "accuracy of answering with the most frequent state"),
};
const struct pb_field pb_eval_n_field = {"n_prompts", PB_TYPE_I32,           {PB_DIM_CELL},
					 "1",         "prompts of the cell", false};
const struct pb_field pb_eval_breaks_field = {
    "breaks_monotonicity",
    PB_TYPE_I32,
    {PB_DIM_CELL},
    "1",
    "1 where the accuracy's interval lies above that of the cell before along some axis",
    true};

/* ---- columns ----------------------------------------------------------------------------- */

enum pb_status pb_eval_columns_new(struct pb_eval_columns *c, size_t n_cells, size_t n_prompts,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t n, i;
	int k;

	*c = (struct pb_eval_columns){.n_cells = n_cells, .n_prompts = n_prompts};
	if (!pb_size_mul(n_cells, n_prompts, &n))
		return pb_fail(err, PB_ERR_MEMORY, "too many prompts: make fewer");
	for (k = 0; k < PB_N_EVAL_COLUMNS; k++) {
		PB_TRY(pb_alloc((void **)&c->columns[k], n, sizeof(int32_t), "columns", err));
		for (i = 0; i < n; i++)
			c->columns[k][i] = -1;
	}
	for (k = 0; k < PB_N_EVAL_NUMBERS; k++) {
		PB_TRY(pb_alloc((void **)&c->numbers[k], n, sizeof(double), "columns", err));
		for (i = 0; i < n; i++)
			c->numbers[k][i] = NAN;
	}
cleanup:
	return status;
}

void pb_eval_columns_free(struct pb_eval_columns *c)
{
	int k;

	for (k = 0; k < PB_N_EVAL_COLUMNS; k++)
		free(c->columns[k]);
	for (k = 0; k < PB_N_EVAL_NUMBERS; k++)
		free(c->numbers[k]);
	*c = (struct pb_eval_columns){0};
}

/* ---- figures ----------------------------------------------------------------------------- */

static bool in_subset(const struct pb_eval_columns *c, enum pb_eval_subset subset, size_t at)
{
	const struct subset *s = &subsets[subset];

	if (c->columns[PB_EVAL_LENGTH][at] < 0)
		return false;
	return subset == PB_SUBSET_ALL ||
	       c->columns[PB_EVAL_FIRST_FACT + (int)s->fact][at] == s->value;
}

/* Mean and standard error of a number over a subset of a cell; 0 where it is not there. */
static void mean_of(const struct pb_eval_columns *c, enum pb_eval_subset subset, size_t cell,
		    enum pb_eval_number number, double *mean, double *std_error)
{
	const double *x = c->numbers[number];
	double sum = 0.0, squares = 0.0;
	size_t n = 0, i;

	for (i = cell * c->n_prompts; i < (cell + 1) * c->n_prompts; i++)
		if (in_subset(c, subset, i) && !isnan(x[i])) {
			sum += x[i];
			n++;
		}
	*mean = n > 0 ? sum / (double)n : NAN;
	for (i = cell * c->n_prompts; i < (cell + 1) * c->n_prompts; i++)
		if (in_subset(c, subset, i) && !isnan(x[i]))
			squares += (x[i] - *mean) * (x[i] - *mean);
	if (std_error != NULL)
		*std_error = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : NAN;
}

/* How many of a subset's prompts say 1 in a column. */
static size_t count_of(const struct pb_eval_columns *c, enum pb_eval_subset subset, size_t cell,
		       int column)
{
	size_t k = 0, i;

	for (i = cell * c->n_prompts; i < (cell + 1) * c->n_prompts; i++)
		k += in_subset(c, subset, i) && c->columns[column][i] == 1;
	return k;
}

static void cell_figures(struct pb_eval_figures *f, const struct pb_eval_columns *c,
			 enum pb_eval_subset subset, size_t cell)
{
	double **v = f->values[subset], chance = 0.0;
	size_t n = 0, right, right_candidate, i;
	int rule;

	for (i = cell * c->n_prompts; i < (cell + 1) * c->n_prompts; i++)
		if (in_subset(c, subset, i)) {
			chance += (double)c->columns[PB_EVAL_N_ANSWERS][i] /
				  (double)c->columns[PB_EVAL_N_CANDIDATES][i];
			n++;
		}
	f->n[subset][cell] = (int32_t)n;
	if (n == 0)
		return;
	right = count_of(c, subset, cell, PB_EVAL_RIGHT);
	right_candidate = count_of(c, subset, cell, PB_EVAL_RIGHT_CANDIDATE);
	v[PB_FIGURE_ACCURACY][cell] = (double)right / (double)n;
	pb_wilson((double)right, (double)n, &v[PB_FIGURE_ACCURACY_CI_LOW][cell],
		  &v[PB_FIGURE_ACCURACY_CI_HIGH][cell]);
	v[PB_FIGURE_CANDIDATE_ACCURACY][cell] = (double)right_candidate / (double)n;
	pb_wilson((double)right_candidate, (double)n, &v[PB_FIGURE_CANDIDATE_ACCURACY_CI_LOW][cell],
		  &v[PB_FIGURE_CANDIDATE_ACCURACY_CI_HIGH][cell]);
	mean_of(c, subset, cell, PB_EVAL_LOGPROB_ANSWER, &v[PB_FIGURE_LOGPROB][cell],
		&v[PB_FIGURE_LOGPROB_STDERR][cell]);
	mean_of(c, subset, cell, PB_EVAL_MASS, &v[PB_FIGURE_MASS][cell], NULL);
	mean_of(c, subset, cell, PB_EVAL_MARGIN, &v[PB_FIGURE_MARGIN][cell],
		&v[PB_FIGURE_MARGIN_STDERR][cell]);
	v[PB_FIGURE_CHANCE][cell] = chance / (double)n;
	for (rule = 0; rule < 3; rule++)
		v[PB_FIGURE_LAST_OF_ACTION + rule][cell] =
		    (double)count_of(c, subset, cell,
				     PB_EVAL_FIRST_FACT + (int)PB_EVAL_LAST_OF_ACTION + rule) /
		    (double)n;
}

bool pb_eval_is_said(const struct pb_eval_columns *c, int column)
{
	size_t i;

	for (i = 0; i < c->n_cells * c->n_prompts; i++)
		if (c->columns[column][i] >= 0)
			return true;
	return false;
}

bool pb_eval_says_reachable(const struct pb_eval_columns *c)
{
	size_t i;

	for (i = 0; i < c->n_cells * c->n_prompts; i++)
		if (!isnan(c->numbers[PB_EVAL_REACHABLE][i]))
			return true;
	return false;
}

static void find_breaks(struct pb_eval_figures *f, size_t n_axes, const size_t *sizes)
{
	const double *low = f->values[PB_SUBSET_ALL][PB_FIGURE_ACCURACY_CI_LOW];
	const double *high = f->values[PB_SUBSET_ALL][PB_FIGURE_ACCURACY_CI_HIGH];
	size_t cell;

	for (cell = 0; cell < f->n_cells; cell++)
		f->breaks[cell] = f->n[PB_SUBSET_ALL][cell] > 0 ? 0 : -1;
	pb_cells_breaks(low, high, f->n_cells, n_axes, sizes, f->breaks);
}

enum pb_status pb_eval_figures_make(struct pb_eval_figures *f, const struct pb_eval_columns *c,
				    size_t n_axes, const size_t *sizes, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const bool rules = pb_eval_is_said(c, PB_EVAL_FIRST_FACT + (int)PB_EVAL_LAST_OF_ACTION);
	size_t cell;
	int s, k;

	*f = (struct pb_eval_figures){.n_cells = c->n_cells};
	PB_TRY(pb_alloc((void **)&f->breaks, c->n_cells, sizeof(int32_t), "cells", err));
	for (s = 0; s < PB_N_EVAL_SUBSETS; s++) {
		f->there[s] = s == PB_SUBSET_ALL ||
			      pb_eval_is_said(c, PB_EVAL_FIRST_FACT + (int)subsets[s].fact);
		if (!f->there[s])
			continue;
		PB_TRY(pb_alloc((void **)&f->n[s], c->n_cells, sizeof(int32_t), "cells", err));
		for (k = 0; k < PB_N_EVAL_FIGURES; k++) {
			PB_TRY(pb_alloc((void **)&f->values[s][k], c->n_cells, sizeof(double),
					"cells", err));
			for (cell = 0; cell < c->n_cells; cell++)
				f->values[s][k][cell] = NAN;
		}
		for (cell = 0; cell < c->n_cells; cell++)
			cell_figures(f, c, (enum pb_eval_subset)s, cell);
		for (k = PB_FIGURE_LAST_OF_ACTION; k < PB_N_EVAL_FIGURES && !rules; k++) {
			free(f->values[s][k]);
			f->values[s][k] = NULL;
		}
	}
	find_breaks(f, n_axes, sizes);
cleanup:
	return status;
}

void pb_eval_figures_free(struct pb_eval_figures *f)
{
	int s, k;

	for (s = 0; s < PB_N_EVAL_SUBSETS; s++) {
		free(f->n[s]);
		for (k = 0; k < PB_N_EVAL_FIGURES; k++)
			free(f->values[s][k]);
	}
	free(f->breaks);
	*f = (struct pb_eval_figures){0};
}
