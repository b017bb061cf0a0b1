/* What an evaluation's file says: its grid, whether it holds together, and its table of accuracy.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/evaluation.h"
#include "results/result_file.h"

bool pb_is_evaluation(hid_t file)
{
	char *kind = NULL;
	bool is = pb_h5_has(file, "kind") && pb_h5_get_text(file, "kind", &kind, NULL) == PB_OK &&
		  strcmp(kind, PB_KIND_EVALUATION) == 0;

	free(kind);
	return is;
}

/* ---- the grid ------------------------------------------------------------------------------ */

static herr_t take_name(hid_t dataset, unsigned axis, hid_t scale, void *name)
{
	(void)dataset;
	(void)axis;
	(void)H5DSget_scale_name(scale, name, 32);
	return 1;
}

void pb_eval_axes_free(struct pb_eval_axes *axes)
{
	size_t a;

	for (a = 0; a < PB_CELL_AXES; a++)
		free(axes->values[a]);
	*axes = (struct pb_eval_axes){0};
}

enum pb_status pb_eval_axes_read(struct pb_eval_axes *axes, hid_t file, struct pb_error *err)
{
	static const char path[] = "cells/available";
	struct pb_h5_shape shape;
	hid_t dataset = -1;
	enum pb_status status;
	int a;

	*axes = (struct pb_eval_axes){.n_cells = 1};
	dataset = H5Dopen2(file, path, H5P_DEFAULT);
	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: %s", path);
	PB_TRY(pb_h5_shape(dataset, path, &shape, err));
	if (shape.rank > PB_CELL_AXES || shape.count == 0 || shape.count > PB_CELLS_MAX) {
		status = pb_fail(err, PB_ERR_CHECK, "not a grid of cells: %s", path);
		goto cleanup;
	}
	axes->n = (size_t)shape.rank;
	axes->n_cells = shape.count;
	for (a = 0; a < shape.rank; a++) {
		axes->sizes[a] = shape.dims[a];
		(void)H5DSiterate_scales(dataset, (unsigned)a, NULL, take_name, axes->names[a]);
		PB_TRY(pb_alloc((void **)&axes->values[a], shape.dims[a], sizeof(double), "axes",
				err));
		PB_TRY(pb_h5_read(file, axes->names[a], H5T_NATIVE_DOUBLE, shape.dims[a],
				  axes->values[a], err));
	}
cleanup:
	H5Eclear2(H5E_DEFAULT);
	pb_h5_drop(dataset);
	if (status != PB_OK)
		pb_eval_axes_free(axes);
	return status;
}

/* ---- columns, and the figures that they give ------------------------------------------------- */

/* A column that is not there says nothing: -1 everywhere. */
static enum pb_status read_columns(struct pb_eval_columns *c, hid_t file,
				   const struct pb_eval_axes *axes, struct pb_error *err)
{
	enum pb_status status;
	size_t n_prompts = 0, n;
	char path[64];
	int k;

	PB_TRY(pb_result_size(file, "prompt", &n_prompts, err));
	if (n_prompts == 0 || !pb_size_mul(axes->n_cells, n_prompts, &n) || n > INT32_MAX)
		return pb_fail(err, PB_ERR_CHECK, "not a number of prompts: /prompt");
	PB_TRY(pb_eval_columns_new(c, axes->n_cells, n_prompts, err));
	for (k = 0; k < PB_N_EVAL_COLUMNS; k++) {
		(void)snprintf(path, sizeof path, "prompts/%s", pb_eval_column_fields[k].name);
		if (k < PB_EVAL_DISTANCE || pb_h5_exists(file, path))
			PB_TRY(pb_h5_read(file, path, H5T_NATIVE_INT32, n, c->columns[k], err));
	}
	for (k = 0; k < PB_N_EVAL_NUMBERS; k++) {
		(void)snprintf(path, sizeof path, "prompts/%s", pb_eval_number_fields[k].name);
		PB_TRY(pb_h5_read(file, path, H5T_NATIVE_DOUBLE, n, c->numbers[k], err));
	}
cleanup:
	return status;
}

static bool same(double a, double b)
{
	return (isnan(a) && isnan(b)) || a == b;
}

static enum pb_status compare_figure(hid_t file, const char *name, const char *suffix,
				     const double *want, size_t n, struct pb_error *err)
{
	double *stored = NULL;
	char path[96];
	enum pb_status status;
	size_t i;

	(void)snprintf(path, sizeof path, "summary/%s%s", name, suffix);
	PB_TRY(pb_alloc((void **)&stored, n, sizeof *stored, "cells", err));
	PB_TRY(pb_h5_read(file, path, H5T_NATIVE_DOUBLE, n, stored, err));
	for (i = 0; i < n && status == PB_OK; i++)
		if (!same(stored[i], want[i]))
			status = pb_fail(err, PB_ERR_CHECK,
					 "/%s: cell %zu has %.17g, and the prompts give %.17g",
					 path, i, stored[i], want[i]);
cleanup:
	free(stored);
	return status;
}

static enum pb_status compare_counts(hid_t file, const char *name, const char *suffix,
				     const int32_t *want, size_t n, struct pb_error *err)
{
	double *wide = NULL;
	enum pb_status status;
	size_t i;

	PB_TRY(pb_alloc((void **)&wide, n, sizeof *wide, "cells", err));
	for (i = 0; i < n; i++)
		wide[i] = want[i];
	status = compare_figure(file, name, suffix, wide, n, err);
cleanup:
	free(wide);
	return status;
}

static enum pb_status compare_figures(hid_t file, const struct pb_eval_figures *f,
				      struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int s, k;

	for (s = 0; s < PB_N_EVAL_SUBSETS; s++) {
		const char *suffix = pb_eval_subset_suffixes[s];

		if (!f->there[s])
			continue;
		PB_TRY(
		    compare_counts(file, pb_eval_n_field.name, suffix, f->n[s], f->n_cells, err));
		for (k = 0; k < PB_N_EVAL_FIGURES; k++)
			if (f->values[s][k] != NULL)
				PB_TRY(compare_figure(file, pb_eval_figure_fields[k].name, suffix,
						      f->values[s][k], f->n_cells, err));
	}
	PB_TRY(compare_counts(file, pb_eval_breaks_field.name, "", f->breaks, f->n_cells, err));
cleanup:
	return status;
}

/* The prompts that a plain forward recomputed, against the tolerance that the file names. */
static enum pb_status compare_checks(hid_t file, size_t *n, double *largest, double *tolerance,
				     struct pb_error *err)
{
	double *values = NULL, *plain = NULL;
	hid_t group = -1;
	enum pb_status status;
	size_t i;

	*largest = *tolerance = NAN;
	PB_TRY(pb_h5_group_open(&group, file, "checks", err));
	PB_TRY(pb_h5_get_double(group, "plain_tolerance", tolerance, err));
	PB_TRY(pb_result_size(file, "checked_variant", n, err));
	PB_TRY(pb_alloc((void **)&values, *n, sizeof *values, "checks", err));
	PB_TRY(pb_alloc((void **)&plain, *n, sizeof *plain, "checks", err));
	PB_TRY(pb_h5_read(group, "logprob_answer", H5T_NATIVE_DOUBLE, *n, values, err));
	PB_TRY(pb_h5_read(group, "logprob_answer_plain", H5T_NATIVE_DOUBLE, *n, plain, err));
	*largest = 0.0;
	for (i = 0; i < *n; i++)
		if (!(fabs(values[i] - plain[i]) <= *largest))
			*largest = fabs(values[i] - plain[i]);
	if (*n == 0 || !(*largest <= *tolerance))
		status = pb_fail(err, PB_ERR_CHECK,
				 "of %zu prompts that a plain forward recomputed, the largest "
				 "deviation is %.3g, and %.3g is allowed",
				 *n, *largest, *tolerance);
cleanup:
	free(values);
	free(plain);
	pb_h5_drop(group);
	return status;
}

enum pb_status pb_evaluation_verify(hid_t file, char *text, size_t size, struct pb_error *err)
{
	struct pb_eval_columns c = {0};
	struct pb_eval_figures f = {0};
	struct pb_eval_axes axes = {0};
	double largest, tolerance;
	size_t n = 0;
	enum pb_status status;

	text[0] = '\0';
	PB_TRY(pb_eval_axes_read(&axes, file, err));
	PB_TRY(read_columns(&c, file, &axes, err));
	PB_TRY(pb_eval_figures_make(&f, &c, axes.n, axes.sizes, err));
	PB_TRY(compare_figures(file, &f, err));
	PB_TRY(compare_checks(file, &n, &largest, &tolerance, err));
	(void)snprintf(text, size,
		       "the figures of %zu cells are those of their prompts, %zu prompts agree "
		       "with a plain forward within %.3g of %.3g",
		       axes.n_cells, n, largest, tolerance);
cleanup:
	pb_eval_figures_free(&f);
	pb_eval_columns_free(&c);
	pb_eval_axes_free(&axes);
	return status;
}

/* ---- tables -------------------------------------------------------------------------------- */

static enum pb_status read_figure(double **out, hid_t file, const char *name, size_t n,
				  struct pb_error *err)
{
	char path[96];
	enum pb_status status;

	(void)snprintf(path, sizeof path, "summary/%s", name);
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

static enum pb_status print_tables(hid_t file, const struct pb_eval_axes *axes, const char *name,
				   const char *what, FILE *out, struct pb_error *err)
{
	size_t inner = 1, first, a;
	double *accuracy = NULL, *breaks = NULL;
	bool any = false;
	enum pb_status status;

	PB_TRY(read_figure(&accuracy, file, name, axes->n_cells, err));
	PB_TRY(read_figure(&breaks, file, pb_eval_breaks_field.name, axes->n_cells, err));
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

	PB_TRY(read_figure(&n, file, pb_eval_n_field.name, axes->n_cells, err));
	fprintf(out, "\nover all prompts: ");
	for (i = 0; n != NULL && i < sizeof figures / sizeof *figures; i++) {
		double sum = 0.0, weight = 0.0;

		free(values);
		values = NULL;
		PB_TRY(read_figure(&values, file, figures[i].name, axes->n_cells, err));
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
	PB_TRY(read_figure(&counts, file, "n_prompts_undetermined", n, err));
	for (c = 0; counts != NULL && c < n; c++)
		*some = *some || counts[c] > 0.0;
cleanup:
	free(counts);
	return status;
}

static enum pb_status print_file(hid_t file, FILE *out, struct pb_error *err)
{
	struct pb_eval_axes axes = {0};
	bool some = false;
	enum pb_status status;

	PB_TRY(pb_eval_axes_read(&axes, file, err));
	PB_TRY(print_tables(file, &axes, "accuracy", "accuracy in percent", out, err));
	PB_TRY(some_undetermined(file, axes.n_cells, &some, err));
	if (some)
		PB_TRY(print_tables(file, &axes, "accuracy_determined",
				    "accuracy where the prompt determines the answer", out, err));
	PB_TRY(print_tables(file, &axes, "accuracy_joint",
			    "accuracy where state and action must be joined", out, err));
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
