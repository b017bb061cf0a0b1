/* Vectors and subspaces from safetensors files. */
#include "model/vector_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_files.h"

#define DEPENDENT 1e-6 /* float32 rounding leaves about 1e-7 of a row that depends on others */

/* What a tensor must be. */
struct wanted {
	const char *path, *name;
	size_t n_layers, n_index, width;
	bool rows;
};

/* ---- shape ------------------------------------------------------------------------------ */

static enum pb_status fail_shape(const struct wanted *w, const struct pb_tensor *tensor,
				 struct pb_error *err)
{
	const char *k = w->rows ? "k, " : "";
	char shape[128];

	pb_shape_format(shape, sizeof shape, tensor->shape, tensor->n_dims);
	return pb_fail(err, PB_ERR_INPUT,
		       "wrong shape: %s, tensor %s: %s: for this site of this model give [%s%zu], "
		       "[%zu, %s%zu] or [%zu, %zu, %s%zu]%s",
		       w->path, w->name, shape, k, w->width, w->n_layers, k, w->width, w->n_layers,
		       w->n_index, k, w->width, w->rows ? ", k of 1 to the width" : "");
}

static enum pb_status read_shape(struct pb_vectors *out, const struct wanted *w,
				 const struct pb_tensor *tensor, struct pb_error *err)
{
	const size_t n_own = w->rows ? 2 : 1; /* axes of one vector or subspace */
	const size_t n = tensor->n_dims;

	if (n < n_own || n > n_own + 2 || tensor->shape[n - 1] != w->width)
		return fail_shape(w, tensor, err);
	out->width = w->width;
	out->n_rows = w->rows ? tensor->shape[n - 2] : 1;
	out->n_layers = n > n_own ? tensor->shape[0] : 1;
	out->n_index = n > n_own + 1 ? tensor->shape[1] : 1;
	if ((n > n_own && out->n_layers != w->n_layers) ||
	    (n > n_own + 1 && out->n_index != w->n_index) || out->n_rows < 1 ||
	    out->n_rows > out->width)
		return fail_shape(w, tensor, err);
	return PB_OK;
}

static enum pb_status find(const struct pb_tensor **tensor, const struct pb_tensor_file *file,
			   const struct wanted *w, struct pb_error *err)
{
	char names[256] = "";
	size_t used = 0;

	*tensor = pb_tensor_file_find(file, w->name);
	if (*tensor != NULL)
		return PB_OK;
	for (size_t i = 0; i < file->n_tensors && used < sizeof names; i++)
		used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
					 i == 0 ? "" : ", ", file->tensors[i].name);
	return pb_fail(err, PB_ERR_INPUT,
		       "no tensor '%s': %s: it has %s: save the values under the name '%s'",
		       w->name, w->path, names[0] == '\0' ? "none" : names, w->name);
}

/* ---- values ----------------------------------------------------------------------------- */

static enum pb_status fail_value(const struct wanted *w, const struct pb_tensor *tensor, size_t i,
				 struct pb_error *err)
{
	size_t place[PB_TENSOR_DIMS_MAX];
	char text[128];

	for (size_t d = tensor->n_dims; d-- > 0;) {
		place[d] = i % tensor->shape[d];
		i /= tensor->shape[d];
	}
	pb_shape_format(text, sizeof text, place, tensor->n_dims);
	return pb_fail(err, PB_ERR_INPUT,
		       "not a finite number: %s, tensor %s, element %s: give finite values within "
		       "float32's range",
		       w->path, w->name, text);
}

/* The elements, as float32, from any address. */
static enum pb_status read_values(float *out, const struct wanted *w,
				  const struct pb_tensor *tensor, struct pb_error *err)
{
	const bool is_double = strcmp(tensor->dtype, "F64") == 0;
	enum pb_dtype dtype = PB_F32;

	if (!is_double && !pb_tensor_dtype(tensor, &dtype))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong dtype: %s, tensor %s: %s: save it as F32, F64, F16 or BF16",
			       w->path, w->name, tensor->dtype);
	for (size_t i = 0; i < tensor->n_elements; i++) {
		double value;

		if (is_double)
			memcpy(&value, (const char *)tensor->data + i * sizeof value, sizeof value);
		else
			value = pb_dtype_load(tensor->data, dtype, i);
		/* As a comparison, so that nothing is converted beyond its range. */
		if (!(fabs(value) <= 3.4028234663852886e38))
			return fail_value(w, tensor, i, err);
		out[i] = (float)value;
	}
	return PB_OK;
}

/* ---- subspaces -------------------------------------------------------------------------- */

static double dot(const double *a, const double *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* Makes row r orthogonal to the rows before it and of length 1; false when nothing is left of it.
 * The second round takes away what rounding left of the first. */
static bool orthonormalise_row(double *rows, size_t r, size_t width)
{
	double *row = rows + r * width;
	const double before = sqrt(dot(row, row, width));
	double length;

	for (int round = 0; round < 2; round++)
		for (size_t j = 0; j < r; j++) {
			const double *other = rows + j * width;
			const double c = dot(row, other, width);

			for (size_t i = 0; i < width; i++)
				row[i] -= c * other[i];
		}
	length = sqrt(dot(row, row, width));
	if (!(length > DEPENDENT * before))
		return false;
	for (size_t i = 0; i < width; i++)
		row[i] /= length;
	return true;
}

/* Every subspace of `v` in turn; `rows` has room for one. */
static enum pb_status orthonormalise(struct pb_vectors *v, double *rows, const struct wanted *w,
				     struct pb_error *err)
{
	const size_t n = v->n_rows * v->width;

	for (size_t s = 0; s < v->n_layers * v->n_index; s++) {
		float *values = v->values + s * n;

		for (size_t i = 0; i < n; i++)
			rows[i] = values[i];
		for (size_t r = 0; r < v->n_rows; r++)
			if (!orthonormalise_row(rows, r, v->width))
				return pb_fail(err, PB_ERR_INPUT,
					       "dependent rows: %s, tensor %s: row %zu of layer "
					       "%zu, index %zu lies in the span of those before "
					       "it, or is zero: leave it out",
					       w->path, w->name, r, s / v->n_index, s % v->n_index);
		for (size_t i = 0; i < n; i++)
			values[i] = (float)rows[i];
	}
	return PB_OK;
}

/* ---- files ------------------------------------------------------------------------------ */

enum pb_status pb_vectors_read(struct pb_vectors *out, const char *path, const char *name,
			       size_t n_layers, size_t n_index, size_t width, bool rows,
			       struct pb_error *err)
{
	const struct wanted w = {path, name, n_layers, n_index, width, rows};
	const struct pb_tensor *tensor = NULL;
	struct pb_tensor_file file = {0};
	enum pb_status status;
	void *memory = NULL;
	double *scratch = NULL;

	*out = (struct pb_vectors){0};
	PB_TRY(pb_safetensors_open(&file, path, err));
	PB_TRY(find(&tensor, &file, &w, err));
	PB_TRY(read_shape(out, &w, tensor, err));
	PB_TRY(pb_alloc(&memory, tensor->n_elements, sizeof *out->values, path, err));
	out->values = memory;
	PB_TRY(read_values(out->values, &w, tensor, err));
	if (rows) {
		PB_TRY(pb_alloc(&memory, out->n_rows * out->width, sizeof *scratch, path, err));
		scratch = memory;
		PB_TRY(orthonormalise(out, scratch, &w, err));
	}
cleanup:
	free(scratch);
	pb_tensor_file_close(&file);
	if (status != PB_OK)
		pb_vectors_free(out);
	return status;
}

void pb_vectors_free(struct pb_vectors *vectors)
{
	free(vectors->values);
	*vectors = (struct pb_vectors){0};
}
