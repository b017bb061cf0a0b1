/* The page's data: JSON, with arrays of numbers as base64 of their little-endian bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/page_pack.h"
#include "report/raw_means.h"

/* The page stays below 5 MB: what its figures and the numbers, as base64, may take together. Texts
 * and the page's own files have the rest. */
#define BUDGET ((size_t)4500 << 10)

/* ---- pairs --------------------------------------------------------------------------------- */

static json_t *token_texts(struct pb_packer *p, const struct pb_subject *s)
{
	json_t *tokens = json_object();
	char id[16];
	size_t i;

	for (i = 0; i < s->n_tokens; i++) {
		(void)snprintf(id, sizeof id, "%d", (int)s->token_ids[i]);
		pb_pack_set(p, tokens, id, pb_pack_text(s->token_texts[i]));
		pb_pack_take(p, strlen(id) + strlen(s->token_texts[i]) + sizeof "\"\":\"\",");
	}
	return tokens;
}

/* As many pairs as a third of the budget holds. */
static json_t *pack_pairs(struct pb_packer *p, const struct pb_subject *s)
{
	const size_t row = pb_packed_size(s->r.n_positions, 3 * sizeof(int32_t));
	size_t n = s->r.n_pairs, i;
	json_t *pairs = json_object();
	int32_t *right;

	if (n * row > p->left / 3)
		n = p->left / 3 / row;
	pb_pack_set(p, pairs, "n", json_integer((json_int_t)s->r.n_pairs));
	pb_pack_set(p, pairs, "shown", json_integer((json_int_t)n));
	pb_pack_set(p, pairs, "positions", json_integer((json_int_t)s->r.n_positions));
	pb_pack_set(p, pairs, "length", pb_pack_ints(p, s->length, s->r.n_pairs));
	pb_pack_set(p, pairs, "answer", pb_pack_ints(p, s->answer, s->r.n_pairs));
	pb_pack_set(p, pairs, "foil", pb_pack_ints(p, s->foil, s->r.n_pairs));
	pb_pack_set(p, pairs, "clean", pb_pack_ints(p, s->tokens[0], n * s->r.n_positions));
	pb_pack_set(p, pairs, "corrupted", pb_pack_ints(p, s->tokens[1], n * s->r.n_positions));
	pb_pack_set(p, pairs, "ld", pb_pack_doubles(p, s->r.logit_diff[0], s->r.n_pairs));
	pb_pack_set(p, pairs, "ldCorrupted", pb_pack_doubles(p, s->r.logit_diff[1], s->r.n_pairs));
	if (s->roles != NULL) {
		pb_pack_set(p, pairs, "roles", pb_pack_ints(p, s->roles, n * s->r.n_positions));
		pb_pack_set(p, pairs, "roleNames", pb_pack_texts(p, s->role_names, s->n_roles));
	}
	pb_pack_set(p, pairs, "tokens", token_texts(p, s));
	right = calloc(s->r.n_pairs, sizeof *right);
	for (i = 0; right != NULL && i < s->r.n_pairs; i++)
		right[i] = s->r.right[i];
	if (right != NULL)
		pb_pack_set(p, pairs, "right", pb_pack_ints(p, right, s->r.n_pairs));
	p->failed = p->failed || right == NULL;
	free(right);
	return pairs;
}

/* ---- sweeps -------------------------------------------------------------------------------- */

static json_t *pack_axes(struct pb_packer *p, const struct pb_shown_sweep *w)
{
	json_t *axes = json_array(), *axis;
	size_t a;

	for (a = 0; a < w->n_axes; a++) {
		const struct pb_shown_axis *from = &w->axes[a];

		axis = json_object();
		pb_pack_set(p, axis, "kind", json_string(pb_axis_names[from->kind]));
		pb_pack_set(p, axis, "fromEnd", json_boolean(from->from_end));
		pb_pack_set(p, axis, "values", pb_pack_doubles(p, from->values, from->n));
		pb_pack_append(p, axes, axis);
	}
	return axes;
}

/* Columns of a big sweep: what its maps and its hover text need. */
static bool is_needed(int column)
{
	return column == PB_SHOWN_EFFECT || column == PB_SHOWN_CI_LOW ||
	       column == PB_SHOWN_CI_HIGH || column == PB_SHOWN_P_FWER ||
	       column == PB_SHOWN_RESTORATION;
}

/* All columns of the cells. */
static json_t *pack_columns(struct pb_packer *p, const struct pb_shown_sweep *w, int subset,
			    const struct pb_page_cells *cells)
{
	json_t *columns = json_object();
	int c;

	for (c = 0; c < PB_N_SHOWN; c++)
		if (is_needed(c))
			pb_pack_set(p, columns, pb_shown_names[c],
				    pb_pack_cells(p, w->columns[subset][c], cells));
		else if (!cells->big)
			pb_pack_set(p, columns, pb_shown_names[c],
				    pb_pack_full_cells(p, w->columns[subset][c], cells));
	return columns;
}

static void pack_cells(struct pb_packer *p, const struct pb_shown_sweep *w,
		       const struct pb_page_cells *cells, json_t *sweep)
{
	if (cells->index != NULL) {
		pb_pack_set(p, sweep, "index", pb_pack_ints(p, cells->index, cells->n));
		pb_pack_set(p, sweep, "maps", pb_pack_maps(p, cells));
		pb_pack_set(p, sweep, "full", json_integer((json_int_t)cells->n_full));
	}
	pb_pack_set(p, sweep, "all", pack_columns(p, w, 0, cells));
	if (cells->right)
		pb_pack_set(p, sweep, "right", pack_columns(p, w, 1, cells));
}

/* Names of the sets, and where they come from as runs of equal ones: ["named", 3]. */
static void pack_sets(struct pb_packer *p, const struct pb_shown_sweep *w, json_t *object)
{
	const struct pb_sweep *sweep = &w->grid.sweep;
	json_t *names = json_array(), *sources = json_array();
	size_t i, first = 0, taken = 0;

	for (i = 0; i < sweep->n_sets; i++) {
		const enum pb_set_source source = sweep->sets[i].source;

		pb_pack_append(p, names, pb_pack_text(sweep->sets[i].name));
		taken += strlen(sweep->sets[i].name) + sizeof "\"\",";
		if (i + 1 < sweep->n_sets && sweep->sets[i + 1].source == source)
			continue;
		pb_pack_append(
		    p, sources,
		    json_pack("[s, I]", pb_set_source_names[source], (json_int_t)(i + 1 - first)));
		first = i + 1;
	}
	pb_pack_take(p, taken);
	pb_pack_set(p, object, "sets", names);
	pb_pack_set(p, object, "setSources", sources);
}

static json_t *pack_sweep(struct pb_packer *p, const struct pb_subject *s, size_t index,
			  const struct pb_page_cells *cells)
{
	const struct pb_shown_sweep *w = &s->sweeps[index];
	struct pb_arena arena = {0};
	json_t *sweep = json_object();

	pb_pack_set(p, sweep, "name", pb_pack_text(w->info->name));
	pb_pack_set(p, sweep, "title", pb_pack_text(pb_sweep_title(&arena, w)));
	pb_pack_set(p, sweep, "intervention",
		    json_string(pb_intervention_names[w->grid.sweep.intervention]));
	pb_pack_set(p, sweep, "site", json_string(pb_site_names[w->grid.sweep.site]));
	pb_pack_set(p, sweep, "receiver", json_string(pb_receiver_names[w->grid.sweep.receiver]));
	pb_pack_set(p, sweep, "noise", json_boolean(w->info->noise));
	pb_pack_set(p, sweep, "byRestoration", json_boolean(w->by_restoration));
	pb_pack_set(p, sweep, "quantity", json_string(pb_sweep_quantity(w)));
	pb_pack_set(p, sweep, "cells", json_integer((json_int_t)w->grid.n_cells));
	pb_pack_set(p, sweep, "minGap",
		    json_real(isfinite(w->info->min_gap) ? w->info->min_gap : 0));
	pb_pack_set(p, sweep, "axes", pack_axes(p, w));
	if (w->grid.sweep.n_sets > 0)
		pack_sets(p, w, sweep);
	pack_cells(p, w, cells, sweep);
	pb_arena_free(&arena);
	return sweep;
}

/* Raw values of the pairs, [n_pairs, n_cells], become effects at the cells of the summary; what a
 * pair has not is NaN. */
static enum pb_status to_effects(const struct pb_subject *s, const struct pb_shown_sweep *w,
				 double *values, struct pb_error *err)
{
	enum pb_status status;
	const size_t n = w->grid.n_cells;
	double *row = NULL;
	size_t pair, i;

	PB_TRY(pb_alloc((void **)&row, n, sizeof *row, "effects", err));
	for (pair = 0; pair < s->r.n_pairs; pair++, values += n) {
		const size_t missing = pb_raw_missing(s, w, pair);

		for (i = 0; i < n; i++) {
			row[i] = values[i] - w->recipient[pair];
			values[i] = NAN;
		}
		for (i = 0; i < n; i++) {
			const size_t to = pb_raw_summary_cell(w, i, missing);

			if (to != SIZE_MAX)
				values[to] = row[i];
		}
	}
cleanup:
	free(row);
	return status;
}

/* Effects of every pair and cell, where they fit: [n_pairs, n_cells] float32. */
static enum pb_status pack_raw(struct pb_packer *p, const struct pb_subject *s, size_t index,
			       json_t *sweep, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_shown_sweep *w = &s->sweeps[index];
	const size_t dims[PB_H5_MAX_RANK] = {s->r.n_pairs};
	size_t shape[PB_H5_MAX_RANK], n, i;
	double *values = NULL;
	char *path = NULL;

	if (!pb_size_mul(s->r.n_pairs, w->grid.n_cells, &n) || n > SIZE_MAX / 16 ||
	    pb_packed_size(n, sizeof(float)) > p->left || json_object_get(sweep, "index") != NULL)
		return PB_OK;
	memcpy(shape, dims, sizeof shape);
	for (i = 0; i < w->n_axes; i++)
		shape[i + 1] = w->axes[i].n;
	path = pb_format("sweeps/%s/logit_diff", w->info->name);
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	PB_TRY(pb_subject_numbers(s, path, (int)w->n_axes + 1, shape, &values, err));
	if (values == NULL)
		goto cleanup;
	PB_TRY(to_effects(s, w, values, err));
	pb_pack_set(p, sweep, "raw", pb_pack_floats(p, values, n));
cleanup:
	free(path);
	free(values);
	return status;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* What of a file the page has. */
struct packed_file {
	json_t *json;                /* borrowed */
	struct pb_page_cells *cells; /* [n_sweeps] */
};

static enum pb_status pack_subject(struct pb_packer *p, struct pb_subject *s,
				   struct packed_file *packed, json_t *files, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	json_t *file = json_object(), *sweeps = json_array();
	size_t i;

	packed->json = file;
	pb_pack_append(p, files, file);
	pb_pack_set(p, file, "sweeps", sweeps);
	pb_pack_set(p, file, "label", pb_pack_text(s->label));
	pb_pack_set(p, file, "model", pb_pack_text(s->texts[PB_TEXT_MODEL_PATH]));
	pb_pack_set(p, file, "layers", json_integer((json_int_t)s->r.n_layers));
	pb_pack_set(p, file, "heads", json_integer((json_int_t)s->r.n_heads));
	if (pb_subject_has_pairs(s))
		pb_pack_set(p, file, "pairs", pack_pairs(p, s));
	if (s->r.evaluation)
		PB_TRY(pb_pack_evaluation(p, s, file, err));
	if (s->comparison)
		PB_TRY(pb_pack_comparison(p, s, file, err));
	PB_TRY(pb_alloc((void **)&packed->cells, s->n_sweeps, sizeof *packed->cells, "cells", err));
	for (i = 0; i < s->n_sweeps; i++) {
		/* Half of what is left stays for the others. */
		PB_TRY(pb_page_cells_choose(&packed->cells[i], &s->sweeps[i], p->left / 2, err));
		pb_pack_append(p, sweeps, pack_sweep(p, s, i, &packed->cells[i]));
	}
cleanup:
	return status;
}

/* What has room only when the summaries of all sweeps are there: other metrics, readings, then the
 * values of single pairs. */
static enum pb_status pack_more(struct pb_packer *p, const struct pb_report_content *c,
				const struct packed_file *packed, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i, k;
	int step;

	for (step = 0; step < 3; step++)
		for (i = 0; i < c->n_subjects && !p->failed; i++) {
			const struct pb_subject *s = &c->subjects[i];
			json_t *sweeps = json_object_get(packed[i].json, "sweeps");

			if (step == 1 && pb_subject_has_pairs(s))
				PB_TRY(pb_pack_readings(p, s, packed[i].json, err));
			for (k = 0; step != 1 && k < s->n_sweeps; k++) {
				json_t *sweep = json_array_get(sweeps, k);

				if (step == 0)
					PB_TRY(pb_pack_metrics(p, s, k, &packed[i].cells[k], sweep,
							       err));
				else
					PB_TRY(pack_raw(p, s, k, sweep, err));
			}
		}
cleanup:
	return status;
}

/* JSON has `<` in texts alone, where it may be written so: then no text ends the page's script. */
static char *without_tags(const char *json)
{
	size_t n = strlen(json), i, k = 0, tags = 0;
	char *out;

	for (i = 0; i < n; i++)
		tags += json[i] == '<';
	out = malloc(n + 5 * tags + 1);
	for (i = 0; out != NULL && i < n; i++) {
		if (json[i] == '<') {
			memcpy(out + k, "\\u003c", 6);
			k += 6;
		} else {
			out[k++] = json[i];
		}
	}
	if (out != NULL)
		out[k] = '\0';
	return out;
}

static void packed_free(struct packed_file *packed, const struct pb_report_content *c)
{
	size_t i, k;

	for (i = 0; packed != NULL && i < c->n_subjects; i++) {
		for (k = 0; packed[i].cells != NULL && k < c->subjects[i].n_sweeps; k++)
			pb_page_cells_free(&packed[i].cells[k]);
		free(packed[i].cells);
	}
	free(packed);
}

enum pb_status pb_report_data(struct pb_report_content *c, size_t taken, char **text,
			      struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_packer p = {.left = taken < BUDGET ? BUDGET - taken : 0};
	struct packed_file *packed = NULL;
	json_t *root = json_object(), *files = json_array();
	char *json = NULL;
	size_t i;

	*text = NULL;
	pb_pack_set(&p, root, "files", json_incref(files));
	PB_TRY(pb_alloc((void **)&packed, c->n_subjects, sizeof *packed, "the page", err));
	for (i = 0; i < c->n_subjects && !p.failed; i++)
		PB_TRY(pack_subject(&p, &c->subjects[i], &packed[i], files, err));
	PB_TRY(pack_more(&p, c, packed, err));
	json = p.failed ? NULL : json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	*text = json != NULL ? without_tags(json) : NULL;
	if (*text == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the page's data");
cleanup:
	packed_free(packed, c);
	free(json);
	json_decref(files);
	json_decref(root);
	return status;
}
