/* The page's data: JSON, with arrays of numbers as base64 of their little-endian bytes. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/head_readings.h"
#include "report/report_parts.h"
#include "tokens/bytes.h"

/* The page stays below 5 MB: what numbers may take, as base64, of all files together. */
#define BUDGET ((size_t)3000 << 10)
#define EXACT_MOST 8000 /* cells of a sweep whose columns are float64 */
#define FEW 400         /* strongest cells, of a sweep that does not fit */

struct packer {
	const struct pb_report_content *c;
	size_t left; /* of the budget */
	bool failed;
};

/* ---- numbers ------------------------------------------------------------------------------- */

static char *base64(const void *data, size_t size)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = data;
	char *text = malloc((size + 2) / 3 * 4 + 1), *out = text;
	size_t i;

	for (i = 0; text != NULL && i < size; i += 3) {
		const size_t n = size - i < 3 ? size - i : 3;
		const uint32_t word = (uint32_t)in[i] << 16 |
				      (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
				      (n > 2 ? in[i + 2] : 0);

		*out++ = digits[word >> 18];
		*out++ = digits[word >> 12 & 63];
		*out++ = n > 1 ? digits[word >> 6 & 63] : '=';
		*out++ = n > 2 ? digits[word & 63] : '=';
	}
	if (text != NULL)
		*out = '\0';
	return text;
}

static size_t packed_size(size_t n, size_t element)
{
	return (n * element + 2) / 3 * 4;
}

static json_t *pack_bytes(struct packer *p, const void *data, size_t n, size_t element,
			  const char *type)
{
	char *text = base64(data, n * element);
	json_t *object = text != NULL ? json_pack("{s:s, s:s}", "t", type, "d", text) : NULL;
	const size_t size = packed_size(n, element);

	p->left = size < p->left ? p->left - size : 0;
	p->failed = p->failed || object == NULL;
	free(text);
	return object;
}

static json_t *pack_doubles(struct packer *p, const double *values, size_t n)
{
	return pack_bytes(p, values, n, sizeof *values, "f8");
}

static json_t *pack_floats(struct packer *p, const double *values, size_t n)
{
	float *floats = calloc(n > 0 ? n : 1, sizeof *floats);
	json_t *object = NULL;
	size_t i;

	for (i = 0; floats != NULL && i < n; i++)
		floats[i] = (float)values[i];
	if (floats != NULL)
		object = pack_bytes(p, floats, n, sizeof *floats, "f4");
	p->failed = p->failed || object == NULL;
	free(floats);
	return object;
}

static json_t *pack_ints(struct packer *p, const int32_t *values, size_t n)
{
	return pack_bytes(p, values, n, sizeof *values, "i4");
}

static void set(struct packer *p, json_t *object, const char *key, json_t *value)
{
	p->failed = p->failed || value == NULL || json_object_set_new(object, key, value) != 0;
}

/* A text of the file, whatever its bytes. */
static json_t *string(const char *text)
{
	const size_t n = strlen(text);
	char *lossy = malloc(3 * n + 1);
	json_t *value = NULL;

	if (lossy != NULL)
		value = json_stringn(lossy, pb_utf8_lossy(text, n, lossy));
	free(lossy);
	return value;
}

static json_t *text_list(struct packer *p, const char *const *texts, size_t n)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		p->failed = p->failed || json_array_append_new(list, string(texts[i])) != 0;
	return list;
}

/* ---- pairs --------------------------------------------------------------------------------- */

static json_t *token_texts(struct packer *p, const struct pb_subject *s)
{
	json_t *tokens = json_object();
	char id[16];
	size_t i;

	for (i = 0; i < s->n_tokens; i++) {
		(void)snprintf(id, sizeof id, "%d", (int)s->token_ids[i]);
		set(p, tokens, id, string(s->token_texts[i]));
	}
	return tokens;
}

/* As many pairs as a third of the budget holds. */
static json_t *pack_pairs(struct packer *p, const struct pb_subject *s)
{
	const size_t row = packed_size(s->r.n_positions, 3 * sizeof(int32_t));
	size_t n = s->r.n_pairs, i;
	json_t *pairs = json_object();
	int32_t *right;

	if (n * row > p->left / 3)
		n = p->left / 3 / row;
	set(p, pairs, "n", json_integer((json_int_t)s->r.n_pairs));
	set(p, pairs, "shown", json_integer((json_int_t)n));
	set(p, pairs, "positions", json_integer((json_int_t)s->r.n_positions));
	set(p, pairs, "length", pack_ints(p, s->length, s->r.n_pairs));
	set(p, pairs, "answer", pack_ints(p, s->answer, s->r.n_pairs));
	set(p, pairs, "foil", pack_ints(p, s->foil, s->r.n_pairs));
	set(p, pairs, "clean", pack_ints(p, s->tokens[0], n * s->r.n_positions));
	set(p, pairs, "corrupted", pack_ints(p, s->tokens[1], n * s->r.n_positions));
	set(p, pairs, "ld", pack_doubles(p, s->r.logit_diff[0], s->r.n_pairs));
	set(p, pairs, "ldCorrupted", pack_doubles(p, s->r.logit_diff[1], s->r.n_pairs));
	if (s->roles != NULL) {
		set(p, pairs, "roles", pack_ints(p, s->roles, n * s->r.n_positions));
		set(p, pairs, "roleNames", text_list(p, s->role_names, s->n_roles));
	}
	set(p, pairs, "tokens", token_texts(p, s));
	right = calloc(s->r.n_pairs, sizeof *right);
	for (i = 0; right != NULL && i < s->r.n_pairs; i++)
		right[i] = s->r.right[i];
	if (right != NULL)
		set(p, pairs, "right", pack_ints(p, right, s->r.n_pairs));
	p->failed = p->failed || right == NULL;
	free(right);
	return pairs;
}

/* ---- sweeps -------------------------------------------------------------------------------- */

static json_t *pack_axes(struct packer *p, const struct pb_shown_sweep *w)
{
	json_t *axes = json_array(), *axis;
	size_t a;

	for (a = 0; a < w->n_axes; a++) {
		const struct pb_shown_axis *from = &w->axes[a];

		axis = json_object();
		set(p, axis, "kind", json_string(pb_axis_names[from->kind]));
		set(p, axis, "fromEnd", json_boolean(from->from_end));
		set(p, axis, "values", pack_doubles(p, from->values, from->n));
		p->failed = p->failed || json_array_append_new(axes, axis) != 0;
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
	return big ? 5 * packed_size(n_cells, sizeof(float))
		   : (size_t)2 * PB_N_SHOWN * packed_size(n_cells, sizeof(double));
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
static json_t *pack_columns(struct packer *p, const struct pb_shown_sweep *w, int subset,
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
			set(p, columns, pb_shown_names[c],
			    big ? pack_floats(p, values, n) : pack_doubles(p, values, n));
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

static void pack_cells(struct packer *p, const struct pb_shown_sweep *w, json_t *sweep)
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
		set(p, sweep, "index", pack_ints(p, cells, n));
	}
	set(p, sweep, "all", pack_columns(p, w, 0, cells, n, big && cells == NULL));
	if (!big || cells != NULL)
		set(p, sweep, "right", pack_columns(p, w, 1, cells, n, false));
	free(cells);
}

static json_t *set_names(struct packer *p, const struct pb_shown_sweep *w)
{
	const struct pb_sweep *sweep = &w->grid.sweep;
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < sweep->n_sets; i++)
		p->failed =
		    p->failed || json_array_append_new(names, string(sweep->sets[i].name)) != 0;
	return names;
}

static json_t *pack_sweep(struct packer *p, const struct pb_subject *s, size_t index)
{
	const struct pb_shown_sweep *w = &s->sweeps[index];
	struct pb_arena arena = {0};
	json_t *sweep = json_object();

	set(p, sweep, "name", string(w->info->name));
	set(p, sweep, "title", string(pb_sweep_title(&arena, w)));
	set(p, sweep, "intervention",
	    json_string(pb_intervention_names[w->grid.sweep.intervention]));
	set(p, sweep, "site", json_string(pb_site_names[w->grid.sweep.site]));
	set(p, sweep, "receiver", json_string(pb_receiver_names[w->grid.sweep.receiver]));
	set(p, sweep, "noise", json_boolean(w->info->noise));
	set(p, sweep, "byRestoration", json_boolean(w->by_restoration));
	set(p, sweep, "quantity", json_string(pb_sweep_quantity(w)));
	set(p, sweep, "cells", json_integer((json_int_t)w->grid.n_cells));
	set(p, sweep, "minGap", json_real(isfinite(w->info->min_gap) ? w->info->min_gap : 0));
	set(p, sweep, "axes", pack_axes(p, w));
	if (w->grid.sweep.n_sets > 0)
		set(p, sweep, "sets", set_names(p, w));
	pack_cells(p, w, sweep);
	pb_arena_free(&arena);
	return sweep;
}

/* Effects of every pair and cell, where they fit: [n_pairs, n_cells] float32. */
static enum pb_status pack_raw(struct packer *p, const struct pb_subject *s, size_t index,
			       json_t *sweep, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_shown_sweep *w = &s->sweeps[index];
	const size_t dims[PB_H5_MAX_RANK] = {s->r.n_pairs};
	size_t shape[PB_H5_MAX_RANK], n, i;
	double *values = NULL;
	char *path = NULL;

	if (!pb_size_mul(s->r.n_pairs, w->grid.n_cells, &n) || n > SIZE_MAX / 16 ||
	    packed_size(n, sizeof(float)) > p->left || json_object_get(sweep, "index") != NULL ||
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
		set(p, sweep, "raw", pack_floats(p, values, n));
cleanup:
	free(path);
	free(values);
	return status;
}

/* ---- the file ------------------------------------------------------------------------------ */

#define PATTERNS_MOST 24
#define PATTERN_LENGTH 96

static json_t *pack_pattern(struct packer *p, const double *pattern, size_t n, size_t layer,
			    size_t head)
{
	json_t *object = json_pack("{s:I, s:I, s:I}", "layer", (json_int_t)layer, "head",
				   (json_int_t)head, "n", (json_int_t)n);
	uint8_t *bytes = calloc(n, n);
	size_t i;

	for (i = 0; bytes != NULL && i < n * n; i++)
		bytes[i] =
		    isfinite(pattern[i]) ? (uint8_t)lround(255 * fmin(fmax(pattern[i], 0), 1)) : 0;
	if (bytes != NULL)
		set(p, object, "values", pack_bytes(p, bytes, n * n, 1, "u1"));
	p->failed = p->failed || bytes == NULL;
	free(bytes);
	return object;
}

/* Patterns of the strongest heads on the first clean prompt. */
static enum pb_status pack_patterns(struct packer *p, const struct pb_subject *s, json_t *list,
				    struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t heads[PATTERNS_MOST], n = (size_t)s->length[0], n_heads, i;
	double *pattern = NULL;

	n_heads = n <= PATTERN_LENGTH ? pb_strongest_heads(s, PATTERNS_MOST, heads) : 0;
	for (i = 0; i < n_heads && status == PB_OK; i++) {
		const size_t layer = heads[i] / s->r.n_heads, head = heads[i] % s->r.n_heads;

		status = pb_saved_pattern_read(s, 0, layer, head, &pattern, err);
		if (pattern != NULL && status == PB_OK)
			p->failed =
			    p->failed || json_array_append_new(
					     list, pack_pattern(p, pattern, n, layer, head)) != 0;
		free(pattern);
		pattern = NULL;
	}
	return status;
}

static enum pb_status pack_readings(struct packer *p, const struct pb_subject *s, json_t *file,
				    struct pb_error *err)
{
	enum pb_status status;
	struct pb_head_readings readings;
	json_t *heads = json_array(), *patterns = json_array(), *object = json_object(), *reading;
	size_t i;

	PB_TRY(pb_head_readings_read(&readings, s, err));
	for (i = 0; i < readings.n; i++) {
		reading = json_object();
		set(p, reading, "name", string(readings.items[i].name));
		set(p, reading, "values",
		    pack_floats(p, readings.items[i].values, s->r.n_layers * s->r.n_heads));
		p->failed = p->failed || json_array_append_new(heads, reading) != 0;
	}
	PB_TRY(pack_patterns(p, s, patterns, err));
	set(p, object, "heads", json_incref(heads));
	set(p, object, "patterns", json_incref(patterns));
	set(p, file, "readings", json_incref(object));
cleanup:
	json_decref(heads);
	json_decref(patterns);
	json_decref(object);
	pb_head_readings_free(&readings);
	return status;
}

static json_t *pack_subject(struct packer *p, struct pb_subject *s)
{
	json_t *file = json_object(), *sweeps = json_array();
	size_t i;

	set(p, file, "label", string(s->label));
	set(p, file, "model", string(s->texts[PB_TEXT_MODEL_PATH]));
	set(p, file, "layers", json_integer((json_int_t)s->r.n_layers));
	set(p, file, "heads", json_integer((json_int_t)s->r.n_heads));
	if (pb_subject_has_pairs(s))
		set(p, file, "pairs", pack_pairs(p, s));
	for (i = 0; i < s->n_sweeps; i++)
		p->failed = p->failed || json_array_append_new(sweeps, pack_sweep(p, s, i)) != 0;
	set(p, file, "sweeps", sweeps);
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
	struct packer p = {.c = c, .left = BUDGET};
	json_t *root = json_object(), *files = json_array();
	char *json = NULL;
	size_t i, k;

	*text = NULL;
	for (i = 0; i < c->n_subjects; i++)
		p.failed = p.failed ||
			   json_array_append_new(files, pack_subject(&p, &c->subjects[i])) != 0;
	/* Summaries of all sweeps come first; values of single pairs take what is left. */
	for (i = 0; i < c->n_subjects && !p.failed; i++)
		if (pb_subject_has_pairs(&c->subjects[i]))
			PB_TRY(pack_readings(&p, &c->subjects[i], json_array_get(files, i), err));
	for (i = 0; i < c->n_subjects && !p.failed; i++) {
		json_t *sweeps = json_object_get(json_array_get(files, i), "sweeps");

		for (k = 0; k < c->subjects[i].n_sweeps; k++)
			PB_TRY(pack_raw(&p, &c->subjects[i], k, json_array_get(sweeps, k), err));
	}
	set(&p, root, "files", json_incref(files));
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
