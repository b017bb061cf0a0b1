/* The figures of a run's own checks, from what its file holds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/checks.h"
#include "results/digest.h"
#include "results/result_file.h"

static enum pb_status read_columns(struct pb_checked_variant *variants, size_t n, hid_t file,
				   struct pb_error *err)
{
	static const char *const names[] = {"checks/variant_sweep", "checks/variant_pair",
					    "checks/variant_cell"};
	enum pb_status status;
	int32_t *columns[3] = {NULL};
	double *deltas = NULL, *plain = NULL;
	size_t i, c;

	for (c = 0; c < 3; c++) {
		PB_TRY(pb_alloc((void **)&columns[c], n, sizeof **columns, "checks", err));
		PB_TRY(pb_h5_read(file, names[c], H5T_NATIVE_INT32, n, columns[c], err));
	}
	PB_TRY(pb_alloc((void **)&deltas, n, sizeof *deltas, "checks", err));
	PB_TRY(pb_alloc((void **)&plain, n, sizeof *plain, "checks", err));
	PB_TRY(pb_h5_read(file, "checks/variant_logit_diff", H5T_NATIVE_DOUBLE, n, deltas, err));
	PB_TRY(
	    pb_h5_read(file, "checks/variant_logit_diff_plain", H5T_NATIVE_DOUBLE, n, plain, err));
	for (i = 0; i < n; i++)
		variants[i] = (struct pb_checked_variant){.sweep = columns[0][i],
							  .pair = columns[1][i],
							  .cell = columns[2][i],
							  .logit_diff = deltas[i],
							  .logit_diff_plain = plain[i]};
cleanup:
	for (c = 0; c < 3; c++)
		free(columns[c]);
	free(deltas);
	free(plain);
	return status;
}

static bool in_range(int32_t value, size_t n)
{
	return value >= 0 && (size_t)value < n;
}

/* What the sweep's raw dataset holds for a checked variant. */
static enum pb_status read_cell(double *value, const struct pb_result *r,
				const struct pb_checked_variant *v, struct pb_error *err)
{
	enum pb_status status;
	size_t start[PB_H5_MAX_RANK], count[PB_H5_MAX_RANK], cell;
	struct pb_h5_shape shape;
	char *path = NULL;
	hid_t dataset = -1;
	int d;

	if (!in_range(v->sweep, r->n_sweeps) || !in_range(v->pair, r->n_pairs))
		return pb_fail(err, PB_ERR_CHECK, "a checked variant does not exist");
	path = pb_format("sweeps/%s/logit_diff", r->sweeps[v->sweep].name);
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	dataset = H5Dopen2(r->file, path, H5P_DEFAULT);
	if (dataset < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: %s", path);
		goto cleanup;
	}
	PB_TRY(pb_h5_shape(dataset, path, &shape, err));
	if (shape.rank == 0 || shape.dims[0] != r->n_pairs || !in_range(v->cell, shape.row)) {
		status = pb_fail(err, PB_ERR_CHECK, "dataset of another shape: %s", path);
		goto cleanup;
	}
	start[0] = (size_t)v->pair;
	cell = (size_t)v->cell;
	for (d = shape.rank - 1; d > 0; d--) {
		start[d] = cell % shape.dims[d];
		cell /= shape.dims[d];
	}
	for (d = 0; d < shape.rank; d++)
		count[d] = 1;
	status =
	    pb_h5_read_box(dataset, path, H5T_NATIVE_DOUBLE, start, count, shape.rank, value, err);
cleanup:
	pb_h5_drop(dataset);
	free(path);
	return status;
}

/* ---- largest effects ----------------------------------------------------------------------- */

struct effect_walk {
	const double *recipient;
	size_t n_pairs;
	double largest;
};

static enum pb_status raise_largest(void *context, const struct pb_h5_shape *shape,
				    size_t first_row, size_t n_rows, const void *values,
				    struct pb_error *err)
{
	struct effect_walk *walk = context;
	const double *x = values;
	size_t i, j;

	if (shape->element_size != sizeof(double) || shape->is_text ||
	    shape->dims[0] != walk->n_pairs)
		return pb_fail(err, PB_ERR_CHECK, "logit differences of another shape");
	for (i = 0; i < n_rows; i++)
		for (j = 0; j < shape->row; j++) {
			double effect =
			    fabs(x[i * shape->row + j] - walk->recipient[first_row + i]);

			if (effect > walk->largest) /* false for NaN: not applicable */
				walk->largest = effect;
		}
	return PB_OK;
}

static enum pb_status read_effects(struct pb_check_figures *f, const struct pb_result *r,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t s;

	for (s = 0; s < r->n_sweeps; s++) {
		struct effect_walk walk = {.recipient = r->logit_diff[r->sweeps[s].noise ? 0 : 1],
					   .n_pairs = r->n_pairs};
		char *path = pb_format("/sweeps/%s/logit_diff", r->sweeps[s].name);

		if (path == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
		status = pb_dataset_walk(r->file, path, raise_largest, &walk, err);
		free(path);
		PB_TRY(status);
		f->effect_largest[s] = walk.largest;
	}
cleanup:
	return status;
}

enum pb_status pb_result_figures(struct pb_check_figures *f, const struct pb_result *r,
				 struct pb_error *err)
{
	enum pb_status status;
	struct pb_checked_variant *variants = NULL;
	char *precision = NULL;
	size_t n = 0, missing = 0, i;

	PB_TRY(pb_check_figures_new(f, r->n_chunks, r->n_layers, r->n_sweeps, err));
	PB_TRY(pb_h5_get_text(r->file, "precision", &precision, err));
	f->relative = pb_check_relative(precision);
	PB_TRY(pb_h5_read(r->file, "checks/resid_pre_deviation", H5T_NATIVE_DOUBLE,
			  r->n_chunks * r->n_layers, f->resid_pre_deviation, err));
	PB_TRY(pb_h5_read(r->file, "checks/resid_pre_pairs", H5T_NATIVE_INT32, r->n_chunks,
			  f->resid_pre_pairs, err));
	for (i = 0; i < r->n_chunks; i++)
		missing += f->resid_pre_pairs[i] < 0;
	if (missing != r->n_missing_chunks) {
		status =
		    pb_fail(err, PB_ERR_CHECK,
			    "%zu chunks have no checks, and the file says that %zu are missing",
			    missing, r->n_missing_chunks);
		goto cleanup;
	}
	PB_TRY(pb_h5_read(r->file, "checks/logit_largest", H5T_NATIVE_DOUBLE, r->n_chunks,
			  f->logit_largest, err));
	PB_TRY(pb_h5_read(r->file, "checks/attribution_deviation", H5T_NATIVE_DOUBLE, r->n_chunks,
			  f->attribution_deviation, err));
	f->attribution = pb_h5_exists(r->file, "readings/direct_logit_attribution");
	for (i = 0; i < r->n_pairs; i++) {
		const double clean = r->logit_diff[0][i], other = r->logit_diff[1][i];

		if (r->n_missing_chunks > 0 && isnan(clean))
			continue; /* its mask was looked at before */
		f->gap_largest = fmax(f->gap_largest, fabs(clean - other));
		f->logit_diff_largest = fmax(f->logit_diff_largest, fmax(fabs(clean), fabs(other)));
	}
	PB_TRY(read_effects(f, r, err));
	PB_TRY(pb_result_size(r->file, "checked_variant", &n, err));
	PB_TRY(pb_alloc((void **)&variants, n, sizeof *variants, "checks", err));
	if (n > 0)
		PB_TRY(read_columns(variants, n, r->file, err));
	PB_TRY(pb_check_figures_add(f, variants, n, err));
	for (i = 0; i < n; i++)
		PB_TRY(read_cell(&f->in_file[i], r, &variants[i], err));
cleanup:
	free(precision);
	free(variants);
	return status;
}
