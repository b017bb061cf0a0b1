/* The end of a run of sets: each set with all that is known of it. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/print.h"

#define TABLE_SETS 40 /* more sets than these: only the strongest */

/* Columns that some sweeps have; NULL where this one lacks them. */
enum column {
	ACCURACY,
	ACCURACY_LOW,
	ACCURACY_HIGH,
	ACCURACY_RECIPIENT,
	ACCURACY_N,
	N_WRONG,
	CORRECTED,
	BROKEN,
	N_RANDOM,
	P_EFFECT,
	RANDOM_MEAN,
	RANDOM_SD,
	P_ACCURACY,
	RANDOM_CHANGE,
	FAITHFULNESS,
	FAITHFULNESS_LOW,
	FAITHFULNESS_HIGH,
	REMAINING,
	REMAINING_LOW,
	REMAINING_HIGH,
	N_COLUMNS
};
static const char *const names[N_COLUMNS] = {
    [ACCURACY] = "accuracy",
    [ACCURACY_LOW] = "accuracy_ci_low",
    [ACCURACY_HIGH] = "accuracy_ci_high",
    [ACCURACY_RECIPIENT] = "accuracy_recipient",
    [ACCURACY_N] = "accuracy_n_pairs",
    [N_WRONG] = "accuracy_n_wrong",
    [CORRECTED] = "corrected",
    [BROKEN] = "broken",
    [N_RANDOM] = "n_random",
    [P_EFFECT] = "p_random_effect",
    [RANDOM_MEAN] = "random_mean",
    [RANDOM_SD] = "random_sd",
    [P_ACCURACY] = "p_random_accuracy",
    [RANDOM_CHANGE] = "random_accuracy_change",
    [FAITHFULNESS] = "faithfulness",
    [FAITHFULNESS_LOW] = "faithfulness_ci_low",
    [FAITHFULNESS_HIGH] = "faithfulness_ci_high",
    [REMAINING] = "remaining",
    [REMAINING_LOW] = "remaining_ci_low",
    [REMAINING_HIGH] = "remaining_ci_high",
};

/* One cell's columns; NaN where the sweep lacks them. */
struct row {
	double x[N_COLUMNS];
};

static struct row row_of(double *const *columns, size_t cell)
{
	struct row row;
	int c;

	for (c = 0; c < N_COLUMNS; c++)
		row.x[c] = columns[c] != NULL ? columns[c][cell] : NAN;
	return row;
}

static void print_accuracy(FILE *out, const struct row *r)
{
	const double wrong = r->x[N_WRONG], right = r->x[ACCURACY_N] - wrong;

	if (isnan(r->x[ACCURACY]))
		return;
	fprintf(out, "      accuracy %.2f -> %.2f [%.2f, %.2f]", r->x[ACCURACY_RECIPIENT],
		r->x[ACCURACY], r->x[ACCURACY_LOW], r->x[ACCURACY_HIGH]);
	if (wrong > 0)
		fprintf(out, "; corrected %.0f of %.0f", r->x[CORRECTED] * wrong, wrong);
	if (right > 0)
		fprintf(out, "; broken %.0f of %.0f", r->x[BROKEN] * right, right);
	fputc('\n', out);
}

static void print_random(FILE *out, const struct row *r)
{
	if (!(r->x[N_RANDOM] > 0))
		return;
	fprintf(out, "      %.0f random sets of the size: effect %+.2f", r->x[N_RANDOM],
		r->x[RANDOM_MEAN]);
	if (!isnan(r->x[RANDOM_SD]))
		fprintf(out, " (sd %.2f)", r->x[RANDOM_SD]);
	fprintf(out, ", p %.2g", r->x[P_EFFECT]);
	if (!isnan(r->x[P_ACCURACY]))
		fprintf(out, "; accuracy %+.2f, p %.2g", r->x[RANDOM_CHANGE], r->x[P_ACCURACY]);
	fputc('\n', out);
}

static void print_ratio(FILE *out, const struct row *r, const char *word, enum column first)
{
	if (isnan(r->x[first]))
		return;
	fprintf(out, "      %s ", word);
	pb_print_interval(out, r->x[first], r->x[first + 1], r->x[first + 2]);
	fputc('\n', out);
}

static bool is_random(const struct pb_file_grid *g, size_t cell)
{
	return g->sweep.sets[pb_file_grid_value(g, cell, PB_AXIS_SET)].source == PB_SET_RANDOM;
}

/* The cells that are printed, in their order; none when there are too many. */
static enum pb_status choose(const struct pb_figures *f, struct pb_ranked **cells, size_t *n,
			     struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_file_grid *g = &f->grid;
	size_t i;

	*n = 0;
	if (!g->sweep.by_sets || g->n_ends > 0 || f->by_position)
		return PB_OK;
	PB_TRY(pb_alloc((void **)cells, TABLE_SETS, sizeof **cells, "summary", err));
	for (i = 0; i < g->n_cells && *n <= TABLE_SETS; i++) {
		if (is_random(g, i))
			continue;
		if (*n < TABLE_SETS)
			(*cells)[*n].cell = i;
		++*n;
	}
	if (*n > TABLE_SETS)
		*n = 0;
cleanup:
	return status;
}

enum pb_status pb_figures_print_sets(const struct pb_figures *f, const struct pb_result *r,
				     size_t sweep, bool *done, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	double *columns[N_COLUMNS] = {NULL};
	struct pb_ranked *cells = NULL;
	size_t n, i;
	int c, width;

	PB_TRY(choose(f, &cells, &n, err));
	*done = n > 0;
	if (n == 0)
		goto cleanup;
	for (c = 0; c < N_COLUMNS; c++)
		PB_TRY(pb_file_grid_column_if(&f->grid, r, sweep, names[c], &columns[c], err));
	width = pb_figures_label_width(f, cells, n);
	fprintf(out, "\n  %s sets, with 95%% intervals:\n",
		columns[N_RANDOM] != NULL ? "named" : "all");
	for (i = 0; i < n; i++) {
		const struct row row = row_of(columns, cells[i].cell);

		pb_figures_print_cell(f, cells[i].cell, width, out);
		print_accuracy(out, &row);
		print_ratio(out, &row, "faithfulness", FAITHFULNESS);
		print_ratio(out, &row, "of the logit difference remains", REMAINING);
		print_random(out, &row);
	}
cleanup:
	for (c = 0; c < N_COLUMNS; c++)
		free(columns[c]);
	free(cells);
	return status;
}
