/* Metrics other than the logit difference, for the page: their means over all and over the right
 * pairs, and those of the base runs. Means over all pairs are the file's own; those over the right
 * pairs, and of candidates, are taken from the raw values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/page_pack.h"
#include "results/layout.h"
#include "results/schema.h"

#define BLOCK_BYTES ((size_t)16 << 20) /* of raw values in memory */
#define RAW_MOST ((size_t)64 << 20)    /* raw values of a metric that are read for its means */
#define CANDIDATES_MOST 16

/* ---- means of raw values ------------------------------------------------------------------- */

/* Sums and counts over the pairs, [n_cells, n_columns] of all pairs, then of the right ones; sums
 * become means. */
struct raw_means {
	size_t n_columns; /* candidates; 1 of other metrics */
	double *mean[2];
	int32_t *n[2];
};

static void raw_means_free(struct raw_means *m)
{
	int k;

	for (k = 0; k < 2; k++) {
		free(m->mean[k]);
		free(m->n[k]);
	}
}

/* The summary's cell of a raw cell of a pair that is `missing` tokens shorter than the longest:
 * positions of summaries from the end are that much later. */
static size_t summary_cell(const struct pb_shown_sweep *w, size_t cell, size_t missing)
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

static void add_pair(struct raw_means *m, const struct pb_subject *s,
		     const struct pb_shown_sweep *w, size_t pair, const double *values)
{
	const size_t missing = w->grid.n_ends > 0 ? s->r.n_positions - (size_t)s->length[pair] : 0;
	size_t i, c;
	int k;

	for (i = 0; i < w->grid.n_cells; i++) {
		const size_t to = summary_cell(w, i, missing);

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

static enum pb_status sum_rows(struct raw_means *m, const struct pb_subject *s,
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

/* *there stays false where the metric is not in the file, or has too many values. */
static enum pb_status raw_means_read(struct raw_means *m, const struct pb_subject *s, size_t index,
				     const char *metric, bool *there, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_shown_sweep *w = &s->sweeps[index];
	char *path = pb_format("sweeps/%s/%s", w->info->name, metric);
	hid_t dataset = -1;
	size_t n, all, i;
	int k;

	*m = (struct raw_means){0};
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

/* ---- base runs ----------------------------------------------------------------------------- */

/* Adds sign * a dataset of the base run; *there turns false where the file lacks it. */
static enum pb_status add_base(const struct pb_subject *s, const char *side, const char *metric,
			       double sign, double *sum, bool *there, struct pb_error *err)
{
	enum pb_status status;
	char path[64];
	double *values = NULL;
	size_t i;

	(void)snprintf(path, sizeof path, "base/%s/%s", side, metric);
	PB_TRY(pb_subject_numbers(s, path, 1, &s->r.n_pairs, &values, err));
	*there = *there && values != NULL;
	for (i = 0; values != NULL && i < s->r.n_pairs; i++)
		sum[i] += sign * values[i];
cleanup:
	free(values);
	return status;
}

/* {"clean": [mean over all pairs, over the right ones], "corrupted": ...} */
static enum pb_status pack_base(struct pb_packer *p, const struct pb_subject *s,
				enum pb_metric metric, json_t *entry, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	json_t *base = json_object();
	double *sum = NULL;
	size_t i;
	int t, k;

	for (t = 0; t < 2; t++) {
		double mean[2] = {0, 0}, n[2] = {0, 0};
		bool there = true;

		free(sum);
		sum = NULL;
		PB_TRY(pb_alloc((void **)&sum, s->r.n_pairs, sizeof *sum, "base runs", err));
		if (metric == PB_METRIC_PROB_DIFF) {
			PB_TRY(add_base(s, pb_side_names[t], "prob_answer", 1, sum, &there, err));
			PB_TRY(add_base(s, pb_side_names[t], "prob_foil", -1, sum, &there, err));
		} else {
			PB_TRY(add_base(s, pb_side_names[t], pb_metric_infos[metric].name, 1, sum,
					&there, err));
		}
		for (i = 0; there && i < s->r.n_pairs; i++)
			for (k = 0; k < 2 && isfinite(sum[i]); k++)
				if (k == 0 || s->r.right[i]) {
					mean[k] += sum[i];
					n[k]++;
				}
		for (k = 0; k < 2; k++)
			mean[k] = n[k] > 0 ? mean[k] / n[k] : NAN;
		if (there)
			pb_pack_set(p, base, pb_side_names[t], pb_pack_doubles(p, mean, 2));
	}
	if (json_object_size(base) > 0)
		pb_pack_set(p, entry, "base", json_incref(base));
cleanup:
	free(sum);
	json_decref(base);
	return status;
}

/* ---- packing ------------------------------------------------------------------------------- */

static json_t *new_entry(struct pb_packer *p, const char *name, const char *title,
			 const char *units)
{
	json_t *entry = json_object();

	pb_pack_set(p, entry, "name", json_string(name));
	pb_pack_set(p, entry, "title", pb_pack_text(title));
	pb_pack_set(p, entry, "units", json_string(units));
	return entry;
}

static bool fits(const struct pb_packer *p, const struct pb_page_cells *cells, size_t n_columns)
{
	const size_t one = pb_packed_size(cells->n, cells->big ? sizeof(float) : sizeof(double));

	return n_columns * (cells->big ? 1 : 2) * one <= p->left / 2;
}

/* A metric with a mean in the summary. */
static enum pb_status pack_mean(struct pb_packer *p, const struct pb_subject *s, size_t index,
				const struct pb_page_cells *cells, enum pb_metric metric,
				const double *mean, json_t *list, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_metric_info *info = &pb_metric_infos[metric];
	json_t *entry = new_entry(p, info->name, info->long_name, info->units);
	struct raw_means raw = {0};
	bool there = false;

	pb_pack_set(p, entry, "all", pb_pack_cells(p, mean, cells));
	if (!cells->big)
		PB_TRY(raw_means_read(&raw, s, index, info->name, &there, err));
	if (there)
		pb_pack_set(p, entry, "right", pb_pack_cells(p, raw.mean[1], cells));
	PB_TRY(pack_base(p, s, metric, entry, err));
	pb_pack_append(p, list, json_incref(entry));
cleanup:
	raw_means_free(&raw);
	json_decref(entry);
	return status;
}

/* "logit of candidate 2", with its token where all pairs have the same. */
static void candidate_title(const struct pb_subject *s, const double *ids, size_t n, size_t c,
			    char *title, size_t size)
{
	const char *token;
	size_t i;

	(void)snprintf(title, size, "logit of candidate %zu", c);
	if (ids == NULL)
		return;
	for (i = 1; i < s->r.n_pairs; i++)
		if (ids[i * n + c] != ids[c])
			return;
	token = pb_subject_token(s, (int32_t)ids[c]);
	if (token != NULL && strlen(token) < 40)
		(void)snprintf(title, size, "logit of candidate %zu: %s", c, token);
}

static enum pb_status pack_candidates(struct pb_packer *p, const struct pb_subject *s, size_t index,
				      const struct pb_page_cells *cells, json_t *list, bool *left,
				      struct pb_error *err)
{
	enum pb_status status;
	const size_t n_cells = s->sweeps[index].grid.n_cells;
	const struct pb_metric_info *info = &pb_metric_infos[PB_METRIC_CANDIDATE_LOGITS];
	size_t dims[2] = {s->r.n_pairs}, c, i;
	struct raw_means raw;
	double *ids = NULL, *column = NULL;
	char name[32], title[96];
	bool there;
	int k;

	PB_TRY(raw_means_read(&raw, s, index, info->name, &there, err));
	dims[1] = raw.n_columns;
	*left = raw.n_columns > 0 &&
		(!there || raw.n_columns > CANDIDATES_MOST || !fits(p, cells, raw.n_columns));
	if (raw.n_columns == 0 || *left)
		goto cleanup;
	PB_TRY(pb_subject_numbers(s, "pairs/candidates", 2, dims, &ids, err));
	PB_TRY(pb_alloc((void **)&column, n_cells, sizeof *column, "candidates", err));
	for (c = 0; c < raw.n_columns; c++) {
		json_t *entry;

		(void)snprintf(name, sizeof name, "candidate_%zu", c);
		candidate_title(s, ids, raw.n_columns, c, title, sizeof title);
		entry = new_entry(p, name, title, info->units);
		for (k = 0; k < (cells->big ? 1 : 2); k++) {
			for (i = 0; i < n_cells; i++)
				column[i] = raw.mean[k][i * raw.n_columns + c];
			pb_pack_set(p, entry, k == 0 ? "all" : "right",
				    pb_pack_cells(p, column, cells));
		}
		pb_pack_append(p, list, entry);
	}
cleanup:
	raw_means_free(&raw);
	free(ids);
	free(column);
	return status;
}

enum pb_status pb_pack_metrics(struct pb_packer *p, const struct pb_subject *s, size_t index,
			       const struct pb_page_cells *cells, json_t *sweep,
			       struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_shown_sweep *w = &s->sweeps[index];
	json_t *list = json_array(), *left = json_array();
	bool left_out = false;
	double *mean = NULL;
	char name[64];
	int m;

	for (m = 0; m < PB_N_METRICS; m++) {
		if (m == PB_METRIC_LOGIT_DIFF || pb_metric_infos[m].per_candidate)
			continue;
		free(mean);
		mean = NULL;
		(void)snprintf(name, sizeof name, "%s_mean", pb_metric_infos[m].name);
		PB_TRY(pb_file_grid_column_if(&w->grid, &s->r, index, name, &mean, err));
		if (mean == NULL)
			continue;
		if (fits(p, cells, 1))
			PB_TRY(pack_mean(p, s, index, cells, (enum pb_metric)m, mean, list, err));
		else
			pb_pack_append(p, left, json_string(pb_metric_infos[m].name));
	}
	PB_TRY(pack_candidates(p, s, index, cells, list, &left_out, err));
	if (left_out)
		pb_pack_append(p, left,
			       json_string(pb_metric_infos[PB_METRIC_CANDIDATE_LOGITS].name));
	pb_pack_set(p, sweep, "metrics", json_incref(list));
	pb_pack_set(p, sweep, "metricsLeft", json_incref(left));
cleanup:
	free(mean);
	json_decref(list);
	json_decref(left);
	return status;
}
