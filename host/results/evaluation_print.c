/* What an evaluation's file shows of its cells: tables of accuracy, and means over all prompts. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/evaluation.h"
#include "results/result_file.h"

/* A figure of a group, "summary" or that by reachable states; NULL where it is not there. */
static enum pb_status read_figure(double **out, hid_t file, const char *group, const char *name,
				  size_t n, struct pb_error *err)
{
	char path[96];
	enum pb_status status;

	(void)snprintf(path, sizeof path, "%s/%s", group, name);
	if (!pb_h5_exists(file, path))
		return PB_OK;
	PB_TRY(pb_alloc((void **)out, n, sizeof **out, "cells", err));
	status = pb_h5_read(file, path, H5T_NATIVE_DOUBLE, n, *out, err);
cleanup:
	return status;
}

/* One table: rows and columns are the last two axes (one: a single row). */
static void print_table(const struct pb_eval_axes *axes, const double *accuracy,
			const double *breaks, size_t first, FILE *out)
{
	size_t columns = axes->n > 0 ? axes->sizes[axes->n - 1] : 1;
	size_t rows = axes->n > 1 ? axes->sizes[axes->n - 2] : 1, i, k;

	if (axes->n > 0) {
		fprintf(out, "  %10s ", axes->n > 1 ? axes->names[axes->n - 2] : "");
		for (k = 0; k < columns; k++)
			fprintf(out, " %6.6g", axes->values[axes->n - 1][k]);
		fprintf(out, "  %s\n", axes->names[axes->n - 1]);
	}
	for (i = 0; i < rows; i++) {
		if (axes->n > 1)
			fprintf(out, "  %10.6g ", axes->values[axes->n - 2][i]);
		else
			fprintf(out, "  %10s ", "");
		for (k = 0; k < columns; k++) {
			size_t cell = first + i * columns + k;

			if (isnan(accuracy[cell]))
				fprintf(out, " %6s", "n/a");
			else
				fprintf(out, " %5.1f%c", 100.0 * accuracy[cell],
					breaks[cell] == 1.0 ? '!' : ' ');
		}
		fputc('\n', out);
	}
}

static enum pb_status print_tables(hid_t file, const struct pb_eval_axes *axes, const char *group,
				   const char *name, const char *what, FILE *out,
				   struct pb_error *err)
{
	size_t inner = 1, first, a;
	double *accuracy = NULL, *breaks = NULL;
	bool any = false;
	enum pb_status status;

	PB_TRY(read_figure(&accuracy, file, group, name, axes->n_cells, err));
	PB_TRY(read_figure(&breaks, file, group, pb_eval_breaks_field.name, axes->n_cells, err));
	if (accuracy == NULL || breaks == NULL)
		goto cleanup;
	for (first = 0; first < axes->n_cells; first++)
		any = any || !isnan(accuracy[first]);
	if (!any)
		goto cleanup;
	for (a = axes->n > 2 ? axes->n - 2 : 0; a < axes->n; a++)
		inner *= axes->sizes[a];
	for (first = 0; first < axes->n_cells; first += inner) {
		fprintf(out, "\n%s", what);
		if (axes->n > 2)
			fprintf(out, ", %s %.6g", axes->names[0], axes->values[0][first / inner]);
		fputc('\n', out);
		print_table(axes, accuracy, breaks, first, out);
	}
cleanup:
	free(accuracy);
	free(breaks);
	return status;
}

/* Means over the cells, weighted by their prompts. */
static enum pb_status print_means(hid_t file, const struct pb_eval_axes *axes, FILE *out,
				  struct pb_error *err)
{
	static const struct {
		const char *name, *format;
		double scale;
	} figures[] = {{"accuracy", "accuracy %.1f%%", 100.0},
		       {"candidate_accuracy", ", among candidates %.1f%%", 100.0},
		       {"chance", ", by chance %.1f%%", 100.0},
		       {"last_of_action", ", by the action alone %.1f%%", 100.0},
		       {"last_of_state", ", by the state alone %.1f%%", 100.0},
		       {"most_frequent", ", by the most frequent state %.1f%%", 100.0},
		       {"mass", ", probability of right answers %.3f", 1.0},
		       {"logprob_answer", ", log-probability %.3f", 1.0}};
	double *n = NULL, *values = NULL;
	enum pb_status status;
	size_t i, c;

	PB_TRY(read_figure(&n, file, "summary", pb_eval_n_field.name, axes->n_cells, err));
	fprintf(out, "\nover all prompts: ");
	for (i = 0; n != NULL && i < sizeof figures / sizeof *figures; i++) {
		double sum = 0.0, weight = 0.0;

		free(values);
		values = NULL;
		PB_TRY(read_figure(&values, file, "summary", figures[i].name, axes->n_cells, err));
		for (c = 0; values != NULL && c < axes->n_cells; c++)
			if (!isnan(values[c])) {
				sum += n[c] * values[c];
				weight += n[c];
			}
		if (weight > 0.0)
			fprintf(out, figures[i].format, figures[i].scale * sum / weight);
	}
	fputc('\n', out);
cleanup:
	free(n);
	free(values);
	return status;
}

/* Whether any cell has prompts that do not determine their answers. */
static enum pb_status some_undetermined(hid_t file, size_t n, bool *some, struct pb_error *err)
{
	double *counts = NULL;
	enum pb_status status;
	size_t c;

	*some = false;
	PB_TRY(read_figure(&counts, file, "summary", "n_prompts_undetermined", n, err));
	for (c = 0; counts != NULL && c < n; c++)
		*some = *some || counts[c] > 0.0;
cleanup:
	free(counts);
	return status;
}

static enum pb_status print_by_reachable(hid_t file, FILE *out, struct pb_error *err)
{
	struct pb_eval_axes axes = {0};
	enum pb_status status;

	if (!pb_h5_exists(file, PB_BY_REACHABLE))
		return PB_OK;
	PB_TRY(pb_eval_axes_of(&axes, file, PB_BY_REACHABLE "/n_prompts", err));
	status = print_tables(file, &axes, PB_BY_REACHABLE, "accuracy",
			      "accuracy by states that can be reached (from this number to less "
			      "than ten times as many)",
			      out, err);
cleanup:
	pb_eval_axes_free(&axes);
	return status;
}

static enum pb_status print_file(hid_t file, FILE *out, struct pb_error *err)
{
	struct pb_eval_axes axes = {0};
	bool some = false;
	enum pb_status status;

	PB_TRY(pb_eval_axes_read(&axes, file, err));
	PB_TRY(print_tables(file, &axes, "summary", "accuracy", "accuracy in percent", out, err));
	PB_TRY(some_undetermined(file, axes.n_cells, &some, err));
	if (some)
		PB_TRY(print_tables(file, &axes, "summary", "accuracy_determined",
				    "accuracy where the prompt determines the answer", out, err));
	PB_TRY(print_tables(file, &axes, "summary", "accuracy_joint",
			    "accuracy where state and action must be joined", out, err));
	PB_TRY(print_by_reachable(file, out, err));
	PB_TRY(print_means(file, &axes, out, err));
	fprintf(out, "n/a: not available; !: surely above an easier cell\n");
cleanup:
	pb_eval_axes_free(&axes);
	return status;
}

static enum pb_status print_evaluation(const char *path, FILE *out, struct pb_error *err)
{
	hid_t file = -1;
	enum pb_status status;

	PB_TRY(pb_h5_file_open(&file, path, false, PB_ERR_CHECK, err));
	status = print_file(file, out, err);
cleanup:
	if (file >= 0)
		(void)pb_h5_file_close(&file, path, NULL);
	return status;
}

enum pb_status pb_evaluation_print(const char *path, FILE *out, struct pb_error *err)
{
	struct pb_error inner = {0};

	(void)print_evaluation(path, out, &inner);
	return pb_h5_fail_file(err, &inner, "cannot read file", path);
}

enum pb_status pb_evaluation_describe(hid_t file, FILE *out, struct pb_error *err)
{
	struct pb_eval_axes axes = {0};
	size_t n_prompts = 0, a;
	enum pb_status status;

	PB_TRY(pb_eval_axes_read(&axes, file, err));
	PB_TRY(pb_result_size(file, "prompt", &n_prompts, err));
	fprintf(out, "  cells        %zu", axes.n_cells);
	for (a = 0; a < axes.n; a++)
		fprintf(out, "%s%zu %s", a == 0 ? ": " : " x ", axes.sizes[a], axes.names[a]);
	fprintf(out, ", up to %zu prompts each\n", n_prompts);
	status = print_file(file, out, err);
cleanup:
	pb_eval_axes_free(&axes);
	return status;
}
