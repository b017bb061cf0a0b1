/* Two result files, dataset by dataset: the same values, or where they first differ. */
#include "results/against.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/digest.h"
#include "results/result_file.h"

struct pair {
	hid_t a, b;       /* files */
	double tolerance; /* relative; negative: to the bit */
	const char *path_a, *path_b;
};

/* The other side of a dataset, read block by block beside the walk over the first. */
struct walk {
	hid_t dataset;
	const char *path;
	struct pb_h5_shape shape;
	void *block;
	size_t capacity;
	hid_t text;
	double allowed; /* largest |difference| of numbers; negative: to the bit */
	size_t at;      /* the first element that differs; SIZE_MAX: none */
	size_t n_differ;
	char values[96]; /* of the first that differs */
};

static void value_text(const struct pb_h5_shape *shape, const void *values, size_t i, char *out,
		       size_t size)
{
	if (shape->is_text) {
		const char *text = ((const char *const *)values)[i];

		snprintf(out, size, "'%.30s'", text != NULL ? text : "");
	} else if (H5Tget_class(shape->type) == H5T_FLOAT) {
		snprintf(out, size, "%.17g",
			 shape->element_size == sizeof(double)
			     ? ((const double *)values)[i]
			     : (double)((const float *)values)[i]);
	} else {
		snprintf(out, size, "%d",
			 shape->element_size == 1 ? ((const uint8_t *)values)[i]
						  : ((const int32_t *)values)[i]);
	}
}

static double number(const struct pb_h5_shape *shape, const void *values, size_t i)
{
	return shape->element_size == sizeof(double) ? ((const double *)values)[i]
						     : (double)((const float *)values)[i];
}

/* NaN stands for not applicable: it equals NaN alone. */
static bool near(double a, double b, double allowed)
{
	return isnan(a) ? isnan(b) : fabs(a - b) <= allowed;
}

static bool equal(const struct walk *w, const void *a, const void *b, size_t i)
{
	const struct pb_h5_shape *shape = &w->shape;

	if (shape->is_text) {
		const char *x = ((const char *const *)a)[i], *y = ((const char *const *)b)[i];

		return strcmp(x != NULL ? x : "", y != NULL ? y : "") == 0;
	}
	if (w->allowed >= 0 && H5Tget_class(shape->type) == H5T_FLOAT)
		return near(number(shape, a, i), number(shape, b, i), w->allowed);
	return memcmp((const char *)a + i * shape->element_size,
		      (const char *)b + i * shape->element_size, shape->element_size) == 0;
}

static enum pb_status compare_block(void *context, const struct pb_h5_shape *shape, size_t first,
				    size_t n_rows, const void *values, struct pb_error *err)
{
	struct walk *w = context;
	const size_t n = n_rows * shape->row;
	enum pb_status status;
	char a[40], b[40];
	size_t i;

	PB_TRY(pb_grow(&w->block, &w->capacity, n, shape->element_size, w->path, err));
	PB_TRY(pb_h5_read_rows(w->dataset, w->path, shape->is_text ? w->text : shape->type, first,
			       n_rows, w->block, err));
	for (i = 0; i < n; i++) {
		if (equal(w, values, w->block, i))
			continue;
		if (w->n_differ++ > 0)
			continue;
		w->at = first * shape->row + i;
		value_text(shape, values, i, a, sizeof a);
		value_text(shape, w->block, i, b, sizeof b);
		snprintf(w->values, sizeof w->values, "%s and %s", a, b);
	}
	if (shape->is_text)
		pb_h5_texts_free(w->block, n);
cleanup:
	return status;
}

/* "[3, 0, 7]" of an element. */
static void index_text(const struct pb_h5_shape *shape, size_t at, char *out, size_t size)
{
	size_t index[PB_H5_MAX_RANK] = {0}, used = 0;
	int d;

	for (d = shape->rank - 1; d >= 0; d--) {
		index[d] = at % shape->dims[d];
		at /= shape->dims[d];
	}
	out[0] = '\0';
	for (d = 0; d < shape->rank && used < size; d++)
		used +=
		    (size_t)snprintf(out + used, size - used, "%s%zu", d > 0 ? ", " : "", index[d]);
}

/* ---- tolerance ------------------------------------------------------------------------------- */

static enum pb_status raise(void *context, const struct pb_h5_shape *shape, size_t first, size_t n,
			    const void *values, struct pb_error *err)
{
	double *largest = context;
	size_t i;

	(void)first;
	(void)err;
	for (i = 0; i < n * shape->row; i++)
		if (isfinite(number(shape, values, i)))
			*largest = fmax(*largest, fabs(number(shape, values, i)));
	return PB_OK;
}

/* What is computed from the values by ranks, draws and counts does not move with them, and checks
 * are of each run alone: with a tolerance these are not compared. */
static bool is_derived(const char *path)
{
	return strncmp(path, "/checks/", 8) == 0 || strncmp(path, "/summary/", 9) == 0 ||
	       strstr(path, "/summary/") != NULL ||
	       (strncmp(path, "/sweeps/", 8) == 0 && strstr(path, "/cells/") != NULL) ||
	       strncmp(path, "/cells/", 7) == 0 || strstr(path, "/rank_") != NULL ||
	       strstr(path, "/argmax") != NULL || strstr(path, "/right") != NULL;
}

/* Of a sweep's logit differences the largest effect, of other numbers the largest of them. */
static enum pb_status allow(const struct pair *p, struct walk *w, struct pb_error *err)
{
	char *slash, *group_path = strdup(w->path);
	enum pb_status status = PB_OK;
	double largest = 0;
	hid_t group = -1;

	w->allowed = -1;
	if (group_path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	if (p->tolerance < 0 || w->shape.is_text || H5Tget_class(w->shape.type) != H5T_FLOAT)
		goto cleanup;
	slash = strrchr(group_path, '/');
	if (strcmp(slash, "/logit_diff") == 0 && strncmp(w->path, "/sweeps/", 8) == 0) {
		*slash = '\0';
		PB_TRY(pb_h5_group_open(&group, p->a, group_path, err));
		PB_TRY(pb_h5_get_double(group, "largest_effect", &largest, err));
	} else {
		PB_TRY(pb_dataset_walk(p->a, w->path, raise, &largest, err));
	}
	w->allowed = p->tolerance * largest;
cleanup:
	pb_h5_drop(group);
	free(group_path);
	return status;
}

/* ---- a dataset, and all of them -------------------------------------------------------------- */

static enum pb_status compare_values(const struct pair *p, struct walk *w, struct pb_error *err)
{
	hid_t first = H5Dopen2(p->a, w->path, H5P_DEFAULT);
	struct pb_h5_shape other;
	enum pb_status status;
	char index[128];

	w->dataset = H5Dopen2(p->b, w->path, H5P_DEFAULT);
	if (first < 0 || w->dataset < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "it is not in both files");
		goto cleanup;
	}
	PB_TRY(pb_h5_shape(first, w->path, &w->shape, err));
	PB_TRY(pb_h5_shape(w->dataset, w->path, &other, err));
	if (w->shape.rank != other.rank || w->shape.is_text != other.is_text ||
	    w->shape.type != other.type ||
	    memcmp(w->shape.dims, other.dims, sizeof other.dims) != 0) {
		status = pb_fail(err, PB_ERR_CHECK, "its shapes or types differ");
		goto cleanup;
	}
	if (w->shape.is_text)
		PB_TRY(pb_h5_text_type(&w->text, err));
	PB_TRY(allow(p, w, err));
	PB_TRY(pb_dataset_walk(p->a, w->path, compare_block, w, err));
	index_text(&w->shape, w->at, index, sizeof index);
	if (w->n_differ > 0)
		status =
		    pb_fail(err, PB_ERR_CHECK, "%zu of %zu values differ, the first at [%s]: %s",
			    w->n_differ, w->shape.count, index, w->values);
cleanup:
	pb_h5_drop(first);
	return status;
}

static enum pb_status compare_dataset(struct pb_report *r, const struct pair *p, const char *path,
				      struct pb_error *err)
{
	struct walk w = {.dataset = -1, .path = path, .text = -1, .at = 0};
	struct pb_error why = {0};
	enum pb_status status = compare_values(p, &w, &why);
	char text[64] = "the same to the bit";

	if (w.allowed >= 0)
		snprintf(text, sizeof text, "the same within %.3g", w.allowed);
	status = pb_report_item(r, status, path, text, &why, err);
	free(w.block);
	pb_h5_drop(w.text);
	pb_h5_drop(w.dataset);
	return status;
}

static bool is_listed(const struct pb_objects *objects, const char *path)
{
	size_t i;

	for (i = 0; i < objects->n; i++)
		if (objects->items[i].is_dataset && strcmp(objects->items[i].path, path) == 0)
			return true;
	return false;
}

/* What one file lacks of the other. */
static void report_missing(struct pb_report *r, const struct pb_objects *of,
			   const struct pb_objects *in, const char *path)
{
	struct pb_error why;
	size_t i;

	for (i = 0; i < of->n; i++) {
		if (!of->items[i].is_dataset || is_listed(in, of->items[i].path))
			continue;
		why = (struct pb_error){0};
		(void)pb_fail(&why, PB_ERR_CHECK, "it is not in %s", path);
		pb_report_wrong(r, of->items[i].path, &why);
	}
}

static enum pb_status compare_files(struct pb_report *r, const struct pair *p, struct pb_error *err)
{
	struct pb_objects a = {0}, b = {0};
	enum pb_status status;
	size_t i;

	PB_TRY(pb_objects_list(&a, p->a, err));
	PB_TRY(pb_objects_list(&b, p->b, err));
	report_missing(r, &a, &b, p->path_b);
	report_missing(r, &b, &a, p->path_a);
	for (i = 0; i < a.n; i++) {
		const char *path = a.items[i].path;

		if (!a.items[i].is_dataset || !is_listed(&b, path) ||
		    (p->tolerance >= 0 && is_derived(path)))
			continue;
		PB_TRY(compare_dataset(r, p, path, err));
	}
cleanup:
	pb_objects_free(&a);
	pb_objects_free(&b);
	return status;
}

enum pb_status pb_against(struct pb_report *r, const char *path, const char *other,
			  double tolerance, struct pb_error *err)
{
	struct pair p = {.a = -1, .b = -1, .tolerance = tolerance, .path_a = path, .path_b = other};
	enum pb_status status;

	PB_TRY(pb_h5_file_open(&p.a, path, false, PB_ERR_CHECK, err));
	PB_TRY(pb_h5_file_open(&p.b, other, false, PB_ERR_CHECK, err));
	status = compare_files(r, &p, err);
cleanup:
	if (p.a >= 0)
		(void)pb_h5_file_close(&p.a, path, NULL);
	if (p.b >= 0)
		(void)pb_h5_file_close(&p.b, other, NULL);
	return status;
}
