/* Metrics other than the logit difference, for the page: their means over all and over the right
 * pairs, and those of the base runs. Means over all pairs are the file's own; those over the right
 * pairs, and of candidates, are taken from the raw values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/page_pack.h"
#include "report/raw_means.h"
#include "results/schema.h"

#define CANDIDATES_MOST 16

/* The metrics of one sweep. */
struct context {
	struct pb_packer *p;
	const struct pb_subject *s;
	size_t index; /* of the sweep */
	const struct pb_page_cells *cells;
	json_t *list, *left; /* what is there; names of what had no room */
	size_t floor;        /* what they leave of the budget at least */
};

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

/* A quarter of what is left is for the metrics of one sweep. */
static bool fits(const struct context *c, size_t n_columns)
{
	const struct pb_page_cells *cells = c->cells;
	const bool floats = cells->big || cells->index != NULL;
	const size_t one = pb_packed_size(cells->n, floats ? sizeof(float) : sizeof(double));

	return c->floor + n_columns * (cells->right ? 2 : 1) * one <= c->p->left;
}

/* A metric with a mean in the summary. */
static enum pb_status pack_mean(struct context *c, enum pb_metric metric, const double *mean,
				struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_metric_info *info = &pb_metric_infos[metric];
	json_t *entry = new_entry(c->p, info->name, info->long_name, info->units);
	struct pb_raw_means raw = {0};
	bool there = false;

	pb_pack_set(c->p, entry, "all", pb_pack_cells(c->p, mean, c->cells));
	if (c->cells->right)
		PB_TRY(pb_raw_means_read(&raw, c->s, c->index, info->name, &there, err));
	if (there)
		pb_pack_set(c->p, entry, "right", pb_pack_cells(c->p, raw.mean[1], c->cells));
	PB_TRY(pack_base(c->p, c->s, metric, entry, err));
	pb_pack_append(c->p, c->list, json_incref(entry));
cleanup:
	pb_raw_means_free(&raw);
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

static enum pb_status pack_candidates(struct context *x, bool *left, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_subject *s = x->s;
	struct pb_packer *p = x->p;
	const size_t n_cells = s->sweeps[x->index].grid.n_cells;
	const struct pb_metric_info *info = &pb_metric_infos[PB_METRIC_CANDIDATE_LOGITS];
	size_t dims[2] = {s->r.n_pairs}, c, i;
	struct pb_raw_means raw;
	double *ids = NULL, *column = NULL;
	char name[32], title[96];
	bool there;
	int k;

	PB_TRY(pb_raw_means_read(&raw, s, x->index, info->name, &there, err));
	dims[1] = raw.n_columns;
	*left = raw.n_columns > 0 &&
		(!there || raw.n_columns > CANDIDATES_MOST || !fits(x, raw.n_columns));
	if (raw.n_columns == 0 || *left)
		goto cleanup;
	PB_TRY(pb_subject_numbers(s, "pairs/candidates", 2, dims, &ids, err));
	PB_TRY(pb_alloc((void **)&column, n_cells, sizeof *column, "candidates", err));
	for (c = 0; c < raw.n_columns; c++) {
		json_t *entry;

		(void)snprintf(name, sizeof name, "candidate_%zu", c);
		candidate_title(s, ids, raw.n_columns, c, title, sizeof title);
		entry = new_entry(p, name, title, info->units);
		for (k = 0; k < (x->cells->right ? 2 : 1); k++) {
			for (i = 0; i < n_cells; i++)
				column[i] = raw.mean[k][i * raw.n_columns + c];
			pb_pack_set(p, entry, k == 0 ? "all" : "right",
				    pb_pack_cells(p, column, x->cells));
		}
		pb_pack_append(p, x->list, entry);
	}
cleanup:
	pb_raw_means_free(&raw);
	free(ids);
	free(column);
	return status;
}

/* What a summary has beside means, by its own names; over the right pairs with the suffix. */
static enum pb_status pack_figure(struct context *c, const char *name, const char *title,
				  const char *units, struct pb_error *err)
{
	static const struct {
		const char *key, *suffix;
	} subsets[] = {{"all", ""}, {"right", "_right"}};
	enum pb_status status = PB_OK;
	json_t *entry = new_entry(c->p, name, title, units);
	double *values = NULL;
	char path[64];
	size_t k;

	for (k = 0; k < (c->cells->right ? 2 : 1); k++) {
		(void)snprintf(path, sizeof path, "%s%s", name, subsets[k].suffix);
		free(values);
		values = NULL;
		PB_TRY(pb_file_grid_column_if(&c->s->sweeps[c->index].grid, &c->s->r, c->index,
					      path, &values, err));
		if (values == NULL)
			continue;
		if (fits(c, 1))
			pb_pack_set(c->p, entry, subsets[k].key,
				    pb_pack_cells(c->p, values, c->cells));
		else
			pb_pack_append(c->p, c->left, json_string(path));
	}
	if (json_object_get(entry, "all") != NULL)
		pb_pack_append(c->p, c->list, json_incref(entry));
cleanup:
	free(values);
	json_decref(entry);
	return status;
}

static enum pb_status pack_figures(struct context *c, struct pb_error *err)
{
	const struct pb_field *const fields[] = {
	    &pb_accuracy_fields[PB_ACCURACY],          &pb_accuracy_fields[PB_ACCURACY_CHANGE],
	    &pb_accuracy_fields[PB_CORRECTED],         &pb_accuracy_fields[PB_BROKEN],
	    &pb_faithfulness_fields[PB_CIRCUIT_RATIO], &pb_remaining_fields[PB_CIRCUIT_RATIO],
	    &pb_random_fields[PB_RANDOM_P_EFFECT]};
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < sizeof fields / sizeof *fields; i++)
		PB_TRY(
		    pack_figure(c, fields[i]->name, fields[i]->long_name, fields[i]->units, err));
	status =
	    pack_figure(c, "interaction", "what both heads do together minus what each does alone",
			"logit", err);
cleanup:
	return status;
}

enum pb_status pb_pack_metrics(struct pb_packer *p, const struct pb_subject *s, size_t index,
			       const struct pb_page_cells *cells, json_t *sweep,
			       struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_shown_sweep *w = &s->sweeps[index];
	json_t *list = json_array(), *left = json_array();
	struct context c = {p, s, index, cells, list, left, p->left - p->left / 4};
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
		if (fits(&c, 1))
			PB_TRY(pack_mean(&c, (enum pb_metric)m, mean, err));
		else
			pb_pack_append(p, left, json_string(pb_metric_infos[m].name));
	}
	PB_TRY(pack_candidates(&c, &left_out, err));
	PB_TRY(pack_figures(&c, err));
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
