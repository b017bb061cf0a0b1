/* The cells of a summary: their axes from dimension scales, their labels, columns and order. */
#include "results/file_grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/schema.h"

/* ---- axes -------------------------------------------------------------------------------- */

/* The first scale of an axis, opened; *found stays -1 without one. */
static herr_t take_scale(hid_t dataset, unsigned axis, hid_t scale, void *found)
{
	(void)dataset;
	(void)axis;
	if (H5Iinc_ref(scale) < 0)
		return -1;
	*(hid_t *)found = scale;
	return 1;
}

/* The kind of an axis by the name of its scale, and whether it counts from the end; -1: neither. */
static int kind_of(const char *name, bool *from_end)
{
	int d;

	for (d = PB_DIM_POSITION_FROM_END; d <= PB_DIM_KEY_POSITION_FROM_END; d++) {
		*from_end = strcmp(name, pb_dim_name((enum pb_dim)d)) == 0;
		if (*from_end)
			return (int)PB_AXIS_POSITION + d - (int)PB_DIM_POSITION_FROM_END;
	}
	return pb_name_index(pb_axis_names, PB_N_AXIS_KINDS, name);
}

static enum pb_status read_values(struct pb_axis *axis, hid_t scale, const char *name,
				  struct pb_arena *arena, struct pb_error *err)
{
	const bool numbers = axis->kind == PB_AXIS_ALPHA;
	struct pb_h5_shape shape;
	enum pb_status status;
	void *values;

	PB_TRY(pb_h5_shape(scale, name, &shape, err));
	if (shape.rank != 1 || shape.count != axis->n || shape.is_text)
		return pb_fail(err, PB_ERR_CHECK, "dimension of another shape: %s", name);
	values = pb_arena_alloc(arena, axis->n, numbers ? sizeof(double) : sizeof(int32_t));
	if (values == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: %s", name);
	status = pb_h5_read_rows(scale, name, numbers ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT32, 0,
				 axis->n, values, err);
	axis->values = numbers ? NULL : values;
	axis->numbers = numbers ? values : NULL;
cleanup:
	return status;
}

static enum pb_status add_axis(struct pb_file_grid *g, hid_t dataset, unsigned d, size_t n,
			       const char *path, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_axis axis = {.n = n};
	hid_t scale = -1;
	char name[64] = "";
	bool from_end = false;
	int kind = -1;

	if (H5DSiterate_scales(dataset, d, NULL, take_scale, &scale) > 0 &&
	    H5DSget_scale_name(scale, name, sizeof name) > 0)
		kind = kind_of(name, &from_end);
	g->n_cells *= n; /* the dataset's count, which was checked */
	if (kind < 0 || (from_end ? g->n_ends == 2 : g->n_ends > 0)) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "dimension %u of the summary is unknown: %s",
				    d, path);
	} else if (from_end) {
		g->ends[g->n_ends++] = n;
	} else {
		axis.kind = (enum pb_axis_kind)kind;
		PB_TRY(read_values(&axis, scale, name, &g->arena, err));
		g->grid.axes[g->grid.n_axes++] = axis;
		g->grid.n_cells *= n;
	}
cleanup:
	pb_h5_drop(scale);
	return status;
}

static enum pb_status read_axes(struct pb_file_grid *g, hid_t group, const char *path,
				struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape;
	hid_t dataset = H5Dopen2(group, "summary/effect", H5P_DEFAULT);
	int d;

	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: effect, in %s", path);
	PB_TRY(pb_h5_shape(dataset, "effect", &shape, err));
	if (shape.rank > PB_GRID_AXES || shape.count == 0 || shape.count > INT32_MAX) {
		status = pb_fail(err, PB_ERR_CHECK, "summary of another shape: %s", path);
		goto cleanup;
	}
	g->n_cells = g->grid.n_cells = 1;
	for (d = 0; d < shape.rank; d++)
		PB_TRY(add_axis(g, dataset, (unsigned)d, shape.dims[d], path, err));
cleanup:
	pb_h5_drop(dataset);
	return status;
}

/* ---- words ------------------------------------------------------------------------------- */

/* An attribute that is one of `names`; `missing` when it is not there. */
static enum pb_status read_word(hid_t group, const char *name, const char *const *names, int n,
				int missing, int *word, struct pb_error *err)
{
	enum pb_status status;
	char *text = NULL;

	*word = missing;
	if (missing >= 0 && !pb_h5_has(group, name))
		return PB_OK;
	PB_TRY(pb_h5_get_text(group, name, &text, err));
	*word = pb_name_index(names, n, text);
	if (*word < 0)
		status = pb_fail(err, PB_ERR_CHECK, "attribute %s is unknown: '%s'", name, text);
cleanup:
	free(text);
	return status;
}

static enum pb_status read_words(struct pb_file_grid *g, hid_t group, struct pb_error *err)
{
	enum pb_status status;
	int intervention, site, receiver;

	PB_TRY(read_word(group, "intervention", pb_intervention_names, PB_N_INTERVENTIONS, -1,
			 &intervention, err));
	PB_TRY(read_word(group, "site", pb_site_names, PB_N_SITES, PB_SITE_Z, &site, err));
	PB_TRY(read_word(group, "receiver", pb_receiver_names, PB_N_RECEIVERS, PB_RECEIVER_LOGITS,
			 &receiver, err));
	g->sweep.intervention = (enum pb_intervention)intervention;
	g->sweep.site = (enum pb_site)site;
	g->sweep.receiver = (enum pb_receiver)receiver;
cleanup:
	return status;
}

/* A text of each set (freed with pb_h5_texts_free, then free()). */
static enum pb_status read_texts(const struct pb_result *r, const char *path, size_t n,
				 char ***texts, struct pb_error *err)
{
	enum pb_status status;
	hid_t type = -1;

	PB_TRY(pb_alloc((void **)texts, n, sizeof **texts, "sets", err));
	PB_TRY(pb_h5_text_type(&type, err));
	status = pb_h5_read(r->file, path, type, n, *texts, err);
cleanup:
	pb_h5_drop(type);
	return status;
}

static void free_texts(char **texts, size_t n)
{
	if (texts != NULL)
		pb_h5_texts_free(texts, n);
	free(texts);
}

/* Where each set comes from; named, where the file does not say. */
static enum pb_status read_set_sources(struct pb_set *sets, size_t n, const struct pb_result *r,
				       const char *path, struct pb_error *err)
{
	enum pb_status status;
	char **texts = NULL;
	size_t i;

	if (!pb_h5_exists(r->file, path))
		return PB_OK;
	PB_TRY(read_texts(r, path, n, &texts, err));
	for (i = 0; i < n; i++) {
		const int source = texts[i] == NULL ? -1
						    : pb_name_index(pb_set_source_names,
								    PB_N_SET_SOURCES, texts[i]);

		if (source < 0) {
			status = pb_fail(err, PB_ERR_CHECK, "a set's source is unknown: %s", path);
			break;
		}
		sets[i].source = (enum pb_set_source)source;
	}
cleanup:
	free_texts(texts, n);
	return status;
}

/* How many members each has; none, where the file does not say. */
static enum pb_status read_set_sizes(struct pb_set *sets, size_t n, const struct pb_result *r,
				     const char *path, struct pb_error *err)
{
	enum pb_status status;
	int32_t *sizes = NULL;
	size_t i;

	if (!pb_h5_exists(r->file, path))
		return PB_OK;
	PB_TRY(pb_alloc((void **)&sizes, n, sizeof *sizes, "sets", err));
	PB_TRY(pb_h5_read(r->file, path, H5T_NATIVE_INT32, n, sizes, err));
	for (i = 0; i < n; i++)
		sets[i].n = sizes[i] > 0 ? (size_t)sizes[i] : 0;
cleanup:
	free(sizes);
	return status;
}

static enum pb_status read_sets(struct pb_file_grid *g, const struct pb_result *r, size_t sweep,
				size_t n, struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("sets/%s/name", r->sweeps[sweep].name), **names = NULL;
	char *source = pb_format("sets/%s/source", r->sweeps[sweep].name);
	char *sizes = pb_format("sets/%s/size", r->sweeps[sweep].name);
	struct pb_set *sets = pb_arena_alloc(&g->arena, n, sizeof *sets);
	size_t i;

	if (path == NULL || source == NULL || sizes == NULL || sets == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: sets");
		goto cleanup;
	}
	PB_TRY(read_texts(r, path, n, &names, err));
	for (i = 0; i < n; i++) {
		sets[i].name = pb_arena_strdup(&g->arena, names[i] != NULL ? names[i] : "");
		if (sets[i].name == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: sets");
			goto cleanup;
		}
	}
	PB_TRY(read_set_sources(sets, n, r, source, err));
	PB_TRY(read_set_sizes(sets, n, r, sizes, err));
	g->sweep.by_sets = true;
	g->sweep.n_sets = n;
	g->sweep.sets = sets;
cleanup:
	free_texts(names, n);
	free(path);
	free(source);
	free(sizes);
	return status;
}

/* Labels look names up by the set's number. */
static enum pb_status check_sets(const struct pb_axis *axis, struct pb_error *err)
{
	size_t i;

	for (i = 0; i < axis->n; i++)
		if (axis->values[i] != (int32_t)i)
			return pb_fail(err, PB_ERR_CHECK, "sets are not in order");
	return PB_OK;
}

enum pb_status pb_file_grid_read(struct pb_file_grid *g, const struct pb_result *r, size_t sweep,
				 struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("sweeps/%s", r->sweeps[sweep].name);
	hid_t group = -1;
	int axis;

	*g = (struct pb_file_grid){0};
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a group");
	PB_TRY(pb_h5_group_open(&group, r->file, path, err));
	PB_TRY(read_words(g, group, err));
	PB_TRY(read_axes(g, group, r->path, err));
	axis = pb_grid_axis(&g->grid, PB_AXIS_SET);
	if (axis >= 0) {
		PB_TRY(check_sets(&g->grid.axes[axis], err));
		PB_TRY(read_sets(g, r, sweep, g->grid.axes[axis].n, err));
	}
cleanup:
	pb_h5_drop(group);
	free(path);
	if (status != PB_OK)
		pb_file_grid_free(g);
	return status;
}

void pb_file_grid_free(struct pb_file_grid *g)
{
	pb_arena_free(&g->arena);
	*g = (struct pb_file_grid){0};
}

/* ---- cells ------------------------------------------------------------------------------- */

/* Cells that share a cell of g->grid. */
static size_t n_behind(const struct pb_file_grid *g)
{
	return g->n_cells / g->grid.n_cells;
}

void pb_file_grid_label(const struct pb_file_grid *g, size_t cell, char *text, size_t size)
{
	size_t behind = cell % n_behind(g), used;
	long back[2] = {0, 0};
	size_t i;

	pb_grid_label(&g->grid, &g->sweep, cell / n_behind(g), text, size);
	used = strlen(text);
	for (i = g->n_ends; i-- > 0;) {
		back[i] = (long)(behind % g->ends[i]) - (long)g->ends[i];
		behind /= g->ends[i];
	}
	if (g->n_ends == 1)
		snprintf(text + used, size - used, " at %ld", back[0]);
	else if (g->n_ends == 2)
		snprintf(text + used, size - used, " at %ld from %ld", back[0], back[1]);
}

int32_t pb_file_grid_value(const struct pb_file_grid *g, size_t cell, enum pb_axis_kind kind)
{
	return pb_grid_value(&g->grid, cell / n_behind(g), kind);
}

void pb_file_grid_axes(const struct pb_file_grid *g, size_t cell, double axes[PB_N_AXIS_KINDS])
{
	const bool pattern = g->sweep.site == PB_SITE_PATTERN;
	const enum pb_axis_kind ends[2] = {pattern ? PB_AXIS_QUERY_POSITION : PB_AXIS_POSITION,
					   PB_AXIS_KEY_POSITION};
	size_t steps[PB_GRID_AXES], behind = cell % n_behind(g), i;
	int kind;

	pb_grid_steps(&g->grid, cell / n_behind(g), steps);
	for (kind = 0; kind < PB_N_AXIS_KINDS; kind++)
		axes[kind] = NAN;
	for (i = 0; i < g->grid.n_axes; i++) {
		const struct pb_axis *axis = &g->grid.axes[i];

		axes[axis->kind] = axis->numbers  ? axis->numbers[steps[i]]
				   : axis->values ? (double)axis->values[steps[i]]
						  : (double)steps[i];
	}
	for (i = g->n_ends; i-- > 0; behind /= g->ends[i])
		axes[ends[i]] = (double)(behind % g->ends[i]) - (double)g->ends[i];
}

bool pb_file_grid_has_positions(const struct pb_file_grid *g)
{
	return g->n_ends > 0 || pb_grid_axis(&g->grid, PB_AXIS_POSITION) >= 0 ||
	       pb_grid_axis(&g->grid, PB_AXIS_QUERY_POSITION) >= 0;
}

enum pb_status pb_file_grid_column(const struct pb_file_grid *g, const struct pb_result *r,
				   size_t sweep, const char *name, const char *suffix,
				   double **values, struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("sweeps/%s/summary/%s%s", r->sweeps[sweep].name, name, suffix);

	*values = NULL;
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	PB_TRY(pb_alloc((void **)values, g->n_cells, sizeof **values, "summary", err));
	PB_TRY(pb_h5_read(r->file, path, H5T_NATIVE_DOUBLE, g->n_cells, *values, err));
cleanup:
	free(path);
	return status;
}

enum pb_status pb_file_grid_column_if(const struct pb_file_grid *g, const struct pb_result *r,
				      size_t sweep, const char *name, double **values,
				      struct pb_error *err)
{
	char *path = pb_format("sweeps/%s/summary/%s", r->sweeps[sweep].name, name);
	bool there;

	*values = NULL;
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	there = pb_h5_exists(r->file, path);
	free(path);
	return there ? pb_file_grid_column(g, r, sweep, name, "", values, err) : PB_OK;
}

/* ---- ranking ----------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	const struct pb_ranked *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return (x->cell > y->cell) - (x->cell < y->cell);
}

void pb_rank(struct pb_ranked *cells, size_t n)
{
	qsort(cells, n, sizeof *cells, by_size);
}
