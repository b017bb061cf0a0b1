/* Readings of heads. */
#include "report/head_readings.h"

#include <math.h>
#include <stdlib.h>

#include "report/plot.h"
#include "results/schema.h"

/* Datasets by head; the first are by pair, of the clean prompts. */
static const struct {
	const char *path, *name;
	bool by_pair;
} rows[] = {
    {"readings/direct_logit_attribution/clean/heads", "direct logit attribution", true},
    {"readings/head_scores/clean/bos_mass", "attention to the first token", true},
    {"readings/head_scores/clean/difference_mass", "attention to tokens that differ", true},
    {"readings/head_scores/clean/entropy", "entropy of its attention (nats)", true},
    {"readings/head_scores/previous_token", "previous token score", false},
    {"readings/head_scores/duplicate", "duplicate token score", false},
    {"readings/head_scores/induction", "induction score", false},
    {"readings/copying/copying", "copying score", false},
    {"readings/copying/negative_copying", "negative copying score", false},
};

static enum pb_status add(struct pb_head_readings *out, const char *name, const double *table,
			  size_t n_rows, size_t n_columns, size_t first, size_t step, size_t n,
			  struct pb_error *err)
{
	struct pb_head_reading *item = &out->items[out->n];
	double error;
	size_t i;

	if (out->n == PB_HEAD_READINGS_MOST)
		return PB_OK;
	item->name = pb_arena_strdup(&out->arena, name);
	item->values = pb_arena_alloc(&out->arena, n, sizeof(double));
	if (item->name == NULL || item->values == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: readings");
	for (i = 0; i < n; i++)
		pb_mean_rows(table, n_rows, n_columns, first + i * step, &item->values[i], &error);
	out->n++;
	return PB_OK;
}

/* Attention to each role, (pair, layer, head, role). */
static enum pb_status add_roles(struct pb_head_readings *out, const struct pb_subject *s,
				struct pb_error *err)
{
	enum pb_status status;
	const size_t n = s->r.n_layers * s->r.n_heads;
	const size_t dims[4] = {s->r.n_pairs, s->r.n_layers, s->r.n_heads, s->n_roles};
	double *table = NULL;
	char *name;
	size_t r;

	if (s->n_roles == 0)
		return PB_OK;
	PB_TRY(pb_subject_numbers(s, "readings/head_scores/clean/role_mass", 4, dims, &table, err));
	for (r = 0; table != NULL && r < s->n_roles && status == PB_OK; r++) {
		name = pb_format("attention to %s", s->role_names[r]);
		if (name == NULL)
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: readings");
		else
			status = add(out, name, table, s->r.n_pairs, n * s->n_roles, r, s->n_roles,
				     n, err);
		free(name);
	}
cleanup:
	free(table);
	return status;
}

enum pb_status pb_head_readings_read(struct pb_head_readings *out, const struct pb_subject *s,
				     struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const size_t n = s->r.n_layers * s->r.n_heads;
	size_t i;

	*out = (struct pb_head_readings){0};
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		const size_t dims[3] = {s->r.n_pairs, s->r.n_layers, s->r.n_heads};
		const bool by_pair = rows[i].by_pair;
		double *table = NULL;

		PB_TRY(pb_subject_numbers(s, rows[i].path, by_pair ? 3 : 2,
					  by_pair ? dims : dims + 1, &table, err));
		if (table != NULL)
			status = add(out, rows[i].name, table, by_pair ? s->r.n_pairs : 1, n, 0, 1,
				     n, err);
		free(table);
		PB_TRY(status);
	}
	status = add_roles(out, s, err);
cleanup:
	return status;
}

void pb_head_readings_free(struct pb_head_readings *readings)
{
	pb_arena_free(&readings->arena);
	*readings = (struct pb_head_readings){0};
}

enum pb_status pb_saved_patterns_open(const struct pb_subject *s, int side, hid_t *dataset,
				      struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape;
	char path[64];

	*dataset = -1;
	(void)snprintf(path, sizeof path, "activations/%s/pattern", pb_side_names[side]);
	if (!pb_h5_exists(s->r.file, path))
		return PB_OK;
	*dataset = H5Dopen2(s->r.file, path, H5P_DEFAULT);
	if (*dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "not a dataset: %s", path);
	PB_TRY(pb_h5_shape(*dataset, path, &shape, err));
	if (shape.rank != 5 || shape.is_text || shape.dims[0] != s->r.n_pairs ||
	    shape.dims[1] != s->r.n_layers || shape.dims[2] != s->r.n_heads ||
	    shape.dims[3] != s->r.n_positions || shape.dims[4] != s->r.n_positions)
		status = pb_fail(err, PB_ERR_CHECK, "dataset of another shape: %s", path);
cleanup:
	if (status != PB_OK) {
		pb_h5_drop(*dataset);
		*dataset = -1;
	}
	return status;
}

enum pb_status pb_saved_pattern_take(const struct pb_subject *s, hid_t dataset, size_t pair,
				     size_t layer, size_t head, double *pattern,
				     struct pb_error *err)
{
	const size_t n = (size_t)s->length[pair];
	const size_t start[5] = {pair, layer, head, 0, 0}, count[5] = {1, 1, 1, n, n};

	return pb_h5_read_box(dataset, "activations: pattern", H5T_NATIVE_DOUBLE, start, count, 5,
			      pattern, err);
}

enum pb_status pb_saved_pattern_read(const struct pb_subject *s, size_t pair, size_t layer,
				     size_t head, double **pattern, struct pb_error *err)
{
	const size_t n = (size_t)s->length[pair];
	enum pb_status status;
	hid_t dataset;

	*pattern = NULL;
	PB_TRY(pb_saved_patterns_open(s, 0, &dataset, err));
	if (dataset < 0)
		return PB_OK;
	PB_TRY(pb_alloc((void **)pattern, n * n, sizeof **pattern, "a pattern", err));
	status = pb_saved_pattern_take(s, dataset, pair, layer, head, *pattern, err);
cleanup:
	pb_h5_drop(dataset);
	return status;
}
