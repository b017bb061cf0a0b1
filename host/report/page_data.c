/* The page's data: JSON, with arrays of numbers as base64 of their little-endian bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/page_pack.h"

/* The page stays below 5 MB: what numbers may take, as base64, of all files together. */
#define BUDGET ((size_t)3000 << 10)
#define EXACT_MOST 8000 /* cells of a sweep whose columns are float64 */
#define FEW 400         /* strongest cells, of a sweep that does not fit */

/* ---- pairs --------------------------------------------------------------------------------- */

static json_t *token_texts(struct pb_packer *p, const struct pb_subject *s)
{
	json_t *tokens = json_object();
	char id[16];
	size_t i;

	for (i = 0; i < s->n_tokens; i++) {
		(void)snprintf(id, sizeof id, "%d", (int)s->token_ids[i]);
		pb_pack_set(p, tokens, id, pb_pack_text(s->token_texts[i]));
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

static size_t columns_size(size_t n_cells, bool big)
{
	return big ? 5 * pb_packed_size(n_cells, sizeof(float))
		   : (size_t)2 * PB_N_SHOWN * pb_packed_size(n_cells, sizeof(double));
}

static double *picked(const double *values, const int32_t *cells, size_t n)
{
	double *out = calloc(n > 0 ? n : 1, sizeof *out);
	size_t i;

	for (i = 0; out != NULL && i < n; i++)
		out[i] = values[cells != NULL ? (size_t)cells[i] : i];
	return out;
}

/* All columns of the cells; cells NULL: all of them. */
static json_t *pack_columns(struct pb_packer *p, const struct pb_shown_sweep *w, int subset,
			    const int32_t *cells, size_t n, bool big)
{
	json_t *columns = json_object();
	int c;

	for (c = 0; c < PB_N_SHOWN; c++) {
		double *values;

		if (big && !is_needed(c))
			continue;
		values = picked(w->columns[subset][c], cells, n);
		if (values != NULL)
			pb_pack_set(p, columns, pb_shown_names[c],
				    big ? pb_pack_floats(p, values, n)
					: pb_pack_doubles(p, values, n));
		p->failed = p->failed || values == NULL;
		free(values);
	}
	return columns;
}

/* The strongest cells, by number. */
static int32_t *few_cells(const struct pb_shown_sweep *w, size_t *n)
{
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	struct pb_ranked *order = calloc(w->grid.n_cells, sizeof *order);
	int32_t *cells = calloc(FEW, sizeof *cells);
	size_t i;

	*n = w->grid.n_cells < FEW ? w->grid.n_cells : FEW;
	for (i = 0; order != NULL && i < w->grid.n_cells; i++)
		order[i] = (struct pb_ranked){isfinite(effect[i]) ? fabs(effect[i]) : -1, i};
	if (order != NULL && cells != NULL) {
		pb_rank(order, w->grid.n_cells);
		for (i = 0; i < *n; i++)
			cells[i] = (int32_t)order[i].cell;
	} else {
		free(cells);
		cells = NULL;
	}
	free(order);
	return cells;
}

static void pack_cells(struct pb_packer *p, const struct pb_shown_sweep *w, json_t *sweep)
{
	const size_t all = w->grid.n_cells;
	const bool big = all > EXACT_MOST;
	int32_t *cells = NULL;
	size_t n = all;

	/* Half of what is left stays for the others. */
	if (columns_size(all, big) > p->left / 2) {
		cells = few_cells(w, &n);
		if (cells == NULL) {
			p->failed = true;
			return;
		}
		pb_pack_set(p, sweep, "index", pb_pack_ints(p, cells, n));
	}
	pb_pack_set(p, sweep, "all", pack_columns(p, w, 0, cells, n, big && cells == NULL));
	if (!big || cells != NULL)
		pb_pack_set(p, sweep, "right", pack_columns(p, w, 1, cells, n, false));
	free(cells);
}

static json_t *set_names(struct pb_packer *p, const struct pb_shown_sweep *w)
{
	const struct pb_sweep *sweep = &w->grid.sweep;
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < sweep->n_sets; i++)
		pb_pack_append(p, names, pb_pack_text(sweep->sets[i].name));
	return names;
}

static json_t *pack_sweep(struct pb_packer *p, const struct pb_subject *s, size_t index)
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
		pb_pack_set(p, sweep, "sets", set_names(p, w));
	pack_cells(p, w, sweep);
	pb_arena_free(&arena);
	return sweep;
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
	    pb_packed_size(n, sizeof(float)) > p->left || json_object_get(sweep, "index") != NULL ||
	    w->grid.n_ends > 0)
		return PB_OK;
	memcpy(shape, dims, sizeof shape);
	for (i = 0; i < w->n_axes; i++)
		shape[i + 1] = w->axes[i].n;
	path = pb_format("sweeps/%s/logit_diff", w->info->name);
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	PB_TRY(pb_subject_numbers(s, path, (int)w->n_axes + 1, shape, &values, err));
	for (i = 0; values != NULL && i < n; i++)
		values[i] -= w->recipient[i / w->grid.n_cells];
	if (values != NULL)
		pb_pack_set(p, sweep, "raw", pb_pack_floats(p, values, n));
cleanup:
	free(path);
	free(values);
	return status;
}

/* ---- the file ------------------------------------------------------------------------------ */

static json_t *pack_subject(struct pb_packer *p, struct pb_subject *s)
{
	json_t *file = json_object(), *sweeps = json_array();
	size_t i;

	pb_pack_set(p, file, "label", pb_pack_text(s->label));
	pb_pack_set(p, file, "model", pb_pack_text(s->texts[PB_TEXT_MODEL_PATH]));
	pb_pack_set(p, file, "layers", json_integer((json_int_t)s->r.n_layers));
	pb_pack_set(p, file, "heads", json_integer((json_int_t)s->r.n_heads));
	if (pb_subject_has_pairs(s))
		pb_pack_set(p, file, "pairs", pack_pairs(p, s));
	for (i = 0; i < s->n_sweeps; i++)
		pb_pack_append(p, sweeps, pack_sweep(p, s, i));
	pb_pack_set(p, file, "sweeps", sweeps);
	return file;
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

enum pb_status pb_report_data(struct pb_report_content *c, char **text, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_packer p = {.left = BUDGET};
	json_t *root = json_object(), *files = json_array();
	char *json = NULL;
	size_t i, k;

	*text = NULL;
	for (i = 0; i < c->n_subjects; i++)
		pb_pack_append(&p, files, pack_subject(&p, &c->subjects[i]));
	/* Summaries of all sweeps come first; values of single pairs take what is left. */
	for (i = 0; i < c->n_subjects && !p.failed; i++)
		if (pb_subject_has_pairs(&c->subjects[i]))
			PB_TRY(
			    pb_pack_readings(&p, &c->subjects[i], json_array_get(files, i), err));
	for (i = 0; i < c->n_subjects && !p.failed; i++) {
		json_t *sweeps = json_object_get(json_array_get(files, i), "sweeps");

		for (k = 0; k < c->subjects[i].n_sweeps; k++)
			PB_TRY(pack_raw(&p, &c->subjects[i], k, json_array_get(sweeps, k), err));
	}
	pb_pack_set(&p, root, "files", json_incref(files));
	json = p.failed ? NULL : json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	*text = json != NULL ? without_tags(json) : NULL;
	if (*text == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the page's data");
cleanup:
	free(json);
	json_decref(files);
	json_decref(root);
	return status;
}
