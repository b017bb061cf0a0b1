/* Means of a metric's raw values over all and over the right pairs. */
#include "report/raw_means.h"

#include <math.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)16 << 20) /* of raw values in memory */
#define RAW_MOST ((size_t)64 << 20)    /* raw values of a metric that are read for its means */

void pb_raw_means_free(struct pb_raw_means *m)
{
	int k;

	for (k = 0; k < 2; k++) {
		free(m->mean[k]);
		free(m->n[k]);
	}
}

size_t pb_raw_missing(const struct pb_subject *s, const struct pb_shown_sweep *w, size_t pair)
{
	return w->grid.n_ends > 0 ? s->r.n_positions - (size_t)s->length[pair] : 0;
}

size_t pb_raw_summary_cell(const struct pb_shown_sweep *w, size_t cell, size_t missing)
{
	size_t to = cell, a;

	for (a = 0; a < w->n_axes; a++) {
		const struct pb_shown_axis *axis = &w->axes[a];

		if (!axis->from_end)
			continue;
		if (pb_axis_step(axis, cell) + missing >= axis->n)
			return SIZE_MAX;
		to += missing * axis->stride;
	}
	return to;
}

static void add_pair(struct pb_raw_means *m, const struct pb_subject *s,
		     const struct pb_shown_sweep *w, size_t pair, const double *values)
{
	const size_t missing = pb_raw_missing(s, w, pair);
	size_t i, c;
	int k;

	for (i = 0; i < w->grid.n_cells; i++) {
		const size_t to = pb_raw_summary_cell(w, i, missing);

		for (c = 0; to != SIZE_MAX && c < m->n_columns; c++)
			for (k = 0; k < 2 && isfinite(values[i * m->n_columns + c]); k++) {
				if (k == 1 && !s->r.right[pair])
					continue;
				m->mean[k][to * m->n_columns + c] += values[i * m->n_columns + c];
				m->n[k][to * m->n_columns + c]++;
			}
	}
}

static enum pb_status check_shape(const struct pb_shown_sweep *w, const struct pb_subject *s,
				  hid_t dataset, const char *path, size_t *n_columns,
				  struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape;
	const int rank = (int)w->n_axes + 1;
	bool good;
	size_t a;

	PB_TRY(pb_h5_shape(dataset, path, &shape, err));
	good = !shape.is_text && shape.rank >= rank && shape.rank <= rank + 1 &&
	       shape.dims[0] == s->r.n_pairs;
	for (a = 0; good && a < w->n_axes; a++)
		good = shape.dims[a + 1] == w->axes[a].n;
	*n_columns = good && shape.rank > rank ? shape.dims[rank] : 1;
	if (!good || *n_columns == 0)
		status = pb_fail(err, PB_ERR_CHECK, "dataset of another shape: %s", path);
cleanup:
	return status;
}

static enum pb_status sum_rows(struct pb_raw_means *m, const struct pb_subject *s,
			       const struct pb_shown_sweep *w, hid_t dataset, const char *path,
			       struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const size_t row = w->grid.n_cells * m->n_columns, n = s->r.n_pairs;
	const size_t fit = BLOCK_BYTES / sizeof(double) / row, most = fit > 0 ? fit : 1;
	double *values = NULL;
	size_t first, i;

	PB_TRY(pb_alloc((void **)&values, (most < n ? most : n) * row, sizeof *values, path, err));
	for (first = 0; first < n; first += most) {
		const size_t rows = n - first < most ? n - first : most;

		PB_TRY(pb_h5_read_rows(dataset, path, H5T_NATIVE_DOUBLE, first, rows, values, err));
		for (i = 0; i < rows; i++)
			add_pair(m, s, w, first + i, values + i * row);
	}
cleanup:
	free(values);
	return status;
}

enum pb_status pb_raw_means_read(struct pb_raw_means *m, const struct pb_subject *s, size_t index,
				 const char *metric, bool *there, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_shown_sweep *w = &s->sweeps[index];
	char *path = pb_format("sweeps/%s/%s", w->info->name, metric);
	hid_t dataset = -1;
	size_t n, all, i;
	int k;

	*m = (struct pb_raw_means){0};
	*there = false;
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	if (!pb_h5_exists(s->r.file, path))
		goto cleanup;
	dataset = H5Dopen2(s->r.file, path, H5P_DEFAULT);
	if (dataset < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "not a dataset: %s", path);
		goto cleanup;
	}
	PB_TRY(check_shape(w, s, dataset, path, &m->n_columns, err));
	if (!pb_size_mul(w->grid.n_cells, m->n_columns, &n) ||
	    !pb_size_mul(n, s->r.n_pairs, &all) || all > RAW_MOST)
		goto cleanup;
	for (k = 0; k < 2; k++) {
		PB_TRY(pb_alloc((void **)&m->mean[k], n, sizeof *m->mean[k], path, err));
		PB_TRY(pb_alloc((void **)&m->n[k], n, sizeof *m->n[k], path, err));
	}
	PB_TRY(sum_rows(m, s, w, dataset, path, err));
	for (k = 0; k < 2; k++)
		for (i = 0; i < n; i++)
			m->mean[k][i] = m->n[k][i] > 0 ? m->mean[k][i] / m->n[k][i] : NAN;
	*there = true;
cleanup:
	pb_h5_drop(dataset);
	free(path);
	return status;
}
