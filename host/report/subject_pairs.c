/* The pairs of a file, and single datasets of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/subject_read.h"
#include "results/schema.h"

/* ---- datasets ------------------------------------------------------------------------------ */

static enum pb_status check_shape(hid_t dataset, const char *path, int rank, const size_t *dims,
				  struct pb_h5_shape *shape, struct pb_error *err)
{
	enum pb_status status;
	int d;

	PB_TRY(pb_h5_shape(dataset, path, shape, err));
	for (d = 0; shape->rank == rank && d < rank && shape->dims[d] == dims[d];)
		d++;
	if (shape->rank != rank || d < rank)
		status = pb_fail(err, PB_ERR_CHECK, "dataset of another shape: %s", path);
cleanup:
	return status;
}

/* All of a dataset of this shape, as `type`, into a fresh array; NULL where there is none. */
static enum pb_status read_table(const struct pb_subject *s, const char *path, int rank,
				 const size_t *dims, hid_t type, size_t size, void **values,
				 struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape;
	hid_t dataset;

	*values = NULL;
	if (!pb_h5_exists(s->r.file, path))
		return PB_OK;
	dataset = H5Dopen2(s->r.file, path, H5P_DEFAULT);
	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "not a dataset: %s", path);
	PB_TRY(check_shape(dataset, path, rank, dims, &shape, err));
	PB_TRY(pb_alloc(values, shape.count, size, path, err));
	PB_TRY(pb_h5_read(s->r.file, path, type, shape.count, *values, err));
cleanup:
	pb_h5_drop(dataset);
	return status;
}

enum pb_status pb_subject_numbers(const struct pb_subject *s, const char *path, int rank,
				  const size_t *dims, double **values, struct pb_error *err)
{
	return read_table(s, path, rank, dims, H5T_NATIVE_DOUBLE, sizeof **values, (void **)values,
			  err);
}

static enum pb_status read_ids(const struct pb_subject *s, const char *path, int rank,
			       const size_t *dims, int32_t **values, struct pb_error *err)
{
	return read_table(s, path, rank, dims, H5T_NATIVE_INT32, sizeof **values, (void **)values,
			  err);
}

enum pb_status pb_subject_read_texts(struct pb_subject *s, const char *path, size_t n,
				     const char ***texts, struct pb_error *err)
{
	enum pb_status status;
	char **found = NULL;
	hid_t type = -1;
	size_t i;

	*texts = NULL;
	if (!pb_h5_exists(s->r.file, path))
		return PB_OK;
	PB_TRY(pb_alloc((void **)&found, n, sizeof *found, path, err));
	PB_TRY(pb_h5_text_type(&type, err));
	PB_TRY(pb_h5_read(s->r.file, path, type, n, found, err));
	*texts = pb_arena_alloc(&s->arena, n, sizeof **texts);
	for (i = 0; *texts != NULL && i < n; i++) {
		const char *text = found[i] != NULL ? found[i] : "";

		(*texts)[i] = pb_subject_keep(s, text, strlen(text));
		if ((*texts)[i] == NULL)
			break;
	}
	if (*texts == NULL || i < n)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: %s", path);
cleanup:
	if (found != NULL)
		pb_h5_texts_free(found, n);
	free(found);
	pb_h5_drop(type);
	return status;
}

/* ---- pairs --------------------------------------------------------------------------------- */

static enum pb_status check_lengths(const struct pb_subject *s, struct pb_error *err)
{
	size_t i;

	for (i = 0; i < s->r.n_pairs; i++)
		if (s->length[i] < 1 || (size_t)s->length[i] > s->r.n_positions)
			return pb_fail(err, PB_ERR_CHECK,
				       "length of pair %zu is %d, of %zu positions", i,
				       (int)s->length[i], s->r.n_positions);
	for (i = 0; i < s->r.n_pairs; i++)
		if (s->answer[i] < 0 || s->foil[i] < 0)
			return pb_fail(err, PB_ERR_CHECK,
				       "answer_token or foil_token of pair %zu is no token's: the "
				       "file is damaged, run it again",
				       i);
	return PB_OK;
}

static enum pb_status check_tokens(const struct pb_subject *s, struct pb_error *err)
{
	size_t i;

	for (i = 1; i < s->n_tokens; i++)
		if (s->token_ids[i] <= s->token_ids[i - 1])
			return pb_fail(err, PB_ERR_CHECK, "ids of tokens do not rise: token_id");
	return PB_OK;
}

static enum pb_status check_roles(const struct pb_subject *s, struct pb_error *err)
{
	const size_t n = s->r.n_pairs * s->r.n_positions;
	size_t i;

	for (i = 0; s->roles != NULL && i < n; i++)
		if (s->roles[i] < -1 || s->roles[i] >= (int32_t)s->n_roles)
			return pb_fail(err, PB_ERR_CHECK, "a role has no name: pairs/roles");
	return PB_OK;
}

static enum pb_status read_tokens(struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status;
	const size_t table[2] = {s->r.n_pairs, s->r.n_positions};

	PB_TRY(read_ids(s, "pairs/clean_tokens", 2, table, &s->tokens[0], err));
	PB_TRY(read_ids(s, "pairs/corrupted_tokens", 2, table, &s->tokens[1], err));
	if (s->tokens[0] == NULL || s->tokens[1] == NULL)
		return pb_fail(err, PB_ERR_CHECK, "missing dataset: the tokens of the pairs");
	PB_TRY(pb_result_size(s->r.file, "pairs/token_id", &s->n_tokens, err));
	if (s->n_tokens > 0) {
		PB_TRY(read_ids(s, "pairs/token_id", 1, &s->n_tokens, &s->token_ids, err));
		PB_TRY(pb_subject_read_texts(s, "pairs/token_text", s->n_tokens, &s->token_texts,
					     err));
		if (s->token_texts == NULL)
			s->n_tokens = 0;
	}
	PB_TRY(check_tokens(s, err));
	PB_TRY(pb_result_size(s->r.file, "pairs/role_name", &s->n_roles, err));
	if (s->n_roles > 0) {
		PB_TRY(
		    pb_subject_read_texts(s, "pairs/role_name", s->n_roles, &s->role_names, err));
		PB_TRY(read_ids(s, "pairs/roles", 2, table, &s->roles, err));
		status = check_roles(s, err);
	}
cleanup:
	return status;
}

enum pb_status pb_subject_read_pairs(struct pb_subject *s, struct pb_error *err)
{
	static const char *const names[] = {"pairs/clean_text", "pairs/corrupted_text",
					    "pairs/answer_text", "pairs/foil_text"};
	enum pb_status status;
	const size_t n = s->r.n_pairs;
	int t;

	PB_TRY(read_ids(s, "pairs/length", 1, &n, &s->length, err));
	PB_TRY(read_ids(s, "pairs/first_difference", 1, &n, &s->first_difference, err));
	PB_TRY(read_ids(s, "pairs/answer_token", 1, &n, &s->answer, err));
	PB_TRY(read_ids(s, "pairs/foil_token", 1, &n, &s->foil, err));
	if (s->length == NULL || s->first_difference == NULL || s->answer == NULL ||
	    s->foil == NULL)
		return pb_fail(err, PB_ERR_CHECK, "missing dataset: of the pairs");
	PB_TRY(check_lengths(s, err));
	for (t = 0; t < 4; t++)
		PB_TRY(pb_subject_read_texts(s, names[t], n, &s->texts_of[t], err));
	PB_TRY(read_tokens(s, err));
cleanup:
	return status;
}

/* ---- cells --------------------------------------------------------------------------------- */

/* Where a cell of the summary is in the raw values of a pair that is `missing` tokens shorter than
 * the longest: these count positions from the start. SIZE_MAX where the pair has no such position.
 */
static size_t raw_cell(const struct pb_shown_sweep *w, size_t cell, size_t missing)
{
	size_t to = cell, a;

	for (a = 0; a < w->n_axes; a++) {
		const struct pb_shown_axis *axis = &w->axes[a];

		if (!axis->from_end)
			continue;
		if (pb_axis_step(axis, cell) < missing)
			return SIZE_MAX;
		to -= missing * axis->stride;
	}
	return to;
}

/* A cell of the raw values of n pairs, from the first. */
static enum pb_status read_cell(hid_t dataset, const char *path, const struct pb_h5_shape *shape,
				size_t first, size_t n, size_t cell, double *values,
				struct pb_error *err)
{
	size_t start[PB_H5_MAX_RANK] = {first}, count[PB_H5_MAX_RANK] = {n};
	int d;

	for (d = shape->rank - 1; d > 0; d--) {
		start[d] = cell % shape->dims[d];
		cell /= shape->dims[d];
		count[d] = 1;
	}
	return pb_h5_read_box(dataset, path, H5T_NATIVE_DOUBLE, start, count, shape->rank, values,
			      err);
}

enum pb_status pb_sweep_cell_values(const struct pb_subject *s, size_t sweep, size_t cell,
				    double *values, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	struct pb_h5_shape shape;
	hid_t dataset = -1;
	char *path = pb_format("sweeps/%s/logit_diff", w->info->name);
	size_t i;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	dataset = H5Dopen2(s->r.file, path, H5P_DEFAULT);
	if (dataset < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: %s", path);
		goto cleanup;
	}
	PB_TRY(pb_h5_shape(dataset, path, &shape, err));
	if (shape.rank == 0 || shape.dims[0] != s->r.n_pairs || shape.is_text ||
	    shape.row != w->grid.n_cells) {
		status = pb_fail(err, PB_ERR_CHECK, "dataset of another shape: %s", path);
		goto cleanup;
	}
	if (w->grid.n_ends == 0) {
		status = read_cell(dataset, path, &shape, 0, s->r.n_pairs, cell, values, err);
		goto cleanup;
	}
	for (i = 0; i < s->r.n_pairs; i++) {
		const size_t raw = raw_cell(w, cell, s->r.n_positions - (size_t)s->length[i]);

		values[i] = NAN;
		if (raw != SIZE_MAX)
			PB_TRY(read_cell(dataset, path, &shape, i, 1, raw, &values[i], err));
	}
cleanup:
	pb_h5_drop(dataset);
	free(path);
	return status;
}
