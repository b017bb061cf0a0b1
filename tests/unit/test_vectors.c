/* Vector and subspace files: every shape and type, and every way to be refused. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

#include "model/vector_file.h"
#include "support/safetensors_writer.h"

static struct stw writer;
static char path[64];

static void set_up(void)
{
	int fd;

	(void)snprintf(path, sizeof path, "/tmp/pb_vectors_XXXXXX");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
}

static void clean_up(void)
{
	stw_free(&writer);
	unlink(path);
}

TestSuite(vectors, .init = set_up, .fini = clean_up);

/* The file's only tensor, of n_dims sizes. */
static struct stw_tensor *tensor(const char *name, const char *dtype, size_t n_dims,
				 const size_t *shape)
{
	stw_free(&writer);
	return stw_add(&writer, name, dtype, n_dims, shape);
}

#define TENSOR(name, dtype, ...)                                                                   \
	tensor(name, dtype, sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t),                      \
	       (size_t[]){__VA_ARGS__})

/* A model of 3 layers, a site of 2 heads of width 5. */
static enum pb_status read_file(struct pb_vectors *out, const char *name, bool rows,
				struct pb_error *err)
{
	stw_write(&writer, path);
	*err = (struct pb_error){0};
	return pb_vectors_read(out, path, name, 3, 2, 5, rows, err);
}

static void read_good(struct pb_vectors *out, bool rows)
{
	struct pb_error err;

	cr_assert_eq(read_file(out, rows ? "subspace" : "vector", rows, &err), PB_OK, "%s",
		     err.message);
}

static void refuse(bool rows, const char *words)
{
	const char *name = rows ? "subspace" : "vector";
	struct pb_vectors v;
	struct pb_error err;

	cr_assert_eq(read_file(&v, name, rows, &err), PB_ERR_INPUT);
	cr_expect_not_null(strstr(err.message, words), "no '%s' in: %s", words, err.message);
	cr_expect_not_null(strstr(err.message, path), "%s", err.message);
	cr_expect_not_null(strstr(err.message, name), "%s", err.message);
	cr_expect_null(v.values);
}

static void set_f32(struct stw_tensor *t, size_t i, float value)
{
	memcpy(t->data + 4 * i, &value, sizeof value);
}

static void set_f64(struct stw_tensor *t, size_t i, double value)
{
	memcpy(t->data + 8 * i, &value, sizeof value);
}

/* ---- vectors ------------------------------------------------------------------------------ */

Test(vectors, every_shape_and_type)
{
	static const size_t shapes[3][3] = {{5}, {3, 5}, {3, 2, 5}};
	static const char *const dtypes[] = {"F32", "F16", "BF16", "F64"};

	for (size_t n_dims = 1; n_dims <= 3; n_dims++)
		for (size_t d = 0; d < 4; d++)
			for (size_t padding = 0; padding < 2; padding++) {
				struct stw_tensor *t =
				    tensor("vector", dtypes[d], n_dims, shapes[n_dims - 1]);
				struct pb_vectors v;
				size_t n;

				/* An odd header: the data lies at any address. */
				writer.header_padding = padding;
				n = t->n_bytes / stw_dtype_size(t->dtype);
				for (size_t i = 0; i < n && d == 3; i++)
					set_f64(t, i, stw_value("vector", i));
				read_good(&v, false);
				cr_assert_eq(v.n_layers, n_dims > 1 ? 3 : 1);
				cr_assert_eq(v.n_index, n_dims > 2 ? 2 : 1);
				cr_assert_eq(v.n_rows, 1);
				cr_assert_eq(v.width, 5);
				cr_assert_eq(v.n_layers * v.n_index * v.width, n);
				for (size_t i = 0; i < n; i++)
					cr_assert_eq(v.values[i], stw_value("vector", i),
						     "%s, element %zu", dtypes[d], i);
				pb_vectors_free(&v);
				cr_assert_null(v.values);
			}
}

Test(vectors, other_tensors_are_left_alone)
{
	struct stw_tensor *t = TENSOR("vector", "F32", 5);
	struct pb_vectors v;

	set_f32(t, 0, 7.5f);
	stw_add(&writer, "a", "I64", 1, (size_t[]){3});
	stw_add(&writer, "subspace", "F32", 1, (size_t[]){1});
	read_good(&v, false);
	cr_assert_eq(v.values[0], 7.5f);
	pb_vectors_free(&v);
}

Test(vectors, shapes_names_and_types_that_are_refused)
{
	static const char wanted[] = "give [5], [3, 5] or [3, 2, 5]";
	static const char rows[] = "give [k, 5], [3, k, 5] or [3, 2, k, 5], k of 1 to the width";

	TENSOR("vector", "F32", 4);
	refuse(false, wanted);
	TENSOR("vector", "F32", 2, 5);
	refuse(false, wanted);
	TENSOR("vector", "F32", 3, 3, 5);
	refuse(false, wanted);
	TENSOR("vector", "F32", 3, 1, 5);
	refuse(false, wanted);
	TENSOR("vector", "F32", 3, 2, 1, 5);
	refuse(false, wanted);
	TENSOR("vector", "F32", 0);
	refuse(false, wanted);
	TENSOR("vector", "F32", 0, 5);
	refuse(false, wanted);
	tensor("vector", "F32", 0, NULL);
	refuse(false, "wrong shape");
	TENSOR("subspace", "F32", 5);
	refuse(true, rows);
	TENSOR("subspace", "F32", 0, 5);
	refuse(true, rows);
	TENSOR("subspace", "F32", 6, 5);
	refuse(true, rows);
	TENSOR("subspace", "F32", 2, 1, 5);
	refuse(true, rows);
	TENSOR("subspace", "F32", 3, 3, 1, 5);
	refuse(true, rows);
	TENSOR("Vector", "F32", 5);
	refuse(false, "no tensor 'vector'");
	refuse(false, "it has Vector");
	stw_free(&writer);
	refuse(false, "it has none");
	TENSOR("vector", "I64", 5);
	refuse(false, "I64: save it as F32, F64, F16 or BF16");
	TENSOR("vector", "BOOL", 5);
	refuse(false, "wrong dtype");
}

Test(vectors, values_that_are_not_finite_are_refused)
{
	static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
	static const double bad_doubles[] = {NAN, INFINITY, 1e39, -1e300};

	for (size_t i = 0; i < 4; i++) {
		set_f32(TENSOR("vector", "F32", 3, 2, 5), 29, bad[i]);
		refuse(false, "element [2, 1, 4]");
		set_f64(TENSOR("vector", "F64", 3, 5), 7, bad_doubles[i]);
		refuse(false, "element [1, 2]");
		set_f32(TENSOR("subspace", "F32", 1, 5), 1, bad[i]);
		refuse(true, "element [0, 1]");
	}
}

Test(vectors, the_largest_values_are_read)
{
	struct stw_tensor *t = TENSOR("vector", "F64", 5);
	struct pb_vectors v;

	for (size_t i = 0; i < 5; i++)
		set_f64(t, i, i == 0 ? FLT_MAX : -FLT_MAX);
	read_good(&v, false);
	cr_assert(v.values[0] == FLT_MAX && v.values[4] == -FLT_MAX);
	pb_vectors_free(&v);
}

Test(vectors, files_that_cannot_be_read)
{
	struct pb_vectors v;
	struct pb_error err = {0};

	cr_assert_eq(pb_vectors_read(&v, "/nonexistent", "vector", 3, 2, 5, false, &err),
		     PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "/nonexistent"));
	stw_write_file(path, "not safetensors", 15);
	cr_assert_eq(pb_vectors_read(&v, path, "vector", 3, 2, 5, false, &err), PB_ERR_INPUT);
	stw_write_file(path, "", 0);
	cr_assert_eq(pb_vectors_read(&v, path, "vector", 3, 2, 5, false, &err), PB_ERR_INPUT);
	cr_assert_null(v.values);
}

/* ---- subspaces ---------------------------------------------------------------------------- */

/* Rows are orthonormal to float32's rounding of entries below 1: 5 terms of at most 2^-24 each. */
static void check_orthonormal(const float *rows, size_t n)
{
	for (size_t a = 0; a < n; a++)
		for (size_t b = 0; b <= a; b++) {
			double sum = 0;

			for (size_t i = 0; i < 5; i++)
				sum += (double)rows[a * 5 + i] * (double)rows[b * 5 + i];
			cr_assert(fabs(sum - (a == b)) <= 6e-7, "rows %zu and %zu: %g", a, b, sum);
		}
}

/* What is left of an original row after its projection on the rows that were made of it. */
static double outside(const float *rows, size_t n, size_t first)
{
	double row[5], norm = 0;

	for (size_t i = 0; i < 5; i++)
		row[i] = stw_value("subspace", first + i);
	for (size_t r = 0; r < n; r++) {
		double c = 0;

		for (size_t i = 0; i < 5; i++)
			c += (double)stw_value("subspace", first + i) * (double)rows[r * 5 + i];
		for (size_t i = 0; i < 5; i++)
			row[i] -= c * (double)rows[r * 5 + i];
	}
	for (size_t i = 0; i < 5; i++)
		norm += row[i] * row[i];
	return sqrt(norm);
}

Test(vectors, subspaces_become_orthonormal_and_keep_their_span)
{
	static const size_t shapes[3][4] = {{4, 5}, {3, 4, 5}, {3, 2, 4, 5}};

	for (size_t n_dims = 2; n_dims <= 4; n_dims++) {
		struct pb_vectors v;

		tensor("subspace", "F32", n_dims, shapes[n_dims - 2]);
		read_good(&v, true);
		cr_assert_eq(v.n_layers, n_dims > 2 ? 3 : 1);
		cr_assert_eq(v.n_index, n_dims > 3 ? 2 : 1);
		cr_assert_eq(v.n_rows, 4);
		for (size_t s = 0; s < v.n_layers * v.n_index; s++) {
			check_orthonormal(v.values + 20 * s, 4);
			for (size_t r = 0; r < 4; r++)
				cr_assert(outside(v.values + 20 * s, 4, 20 * s + 5 * r) <= 1e-6,
					  "%g", outside(v.values + 20 * s, 4, 20 * s + 5 * r));
		}
		pb_vectors_free(&v);
	}
}

/* out = a - (a . b) b, of length 1, with more digits than the code under test has. */
static void reject(const long double *a, const long double *b, long double *out)
{
	long double c = 0, norm = 0;

	for (size_t i = 0; i < 5; i++)
		c += a[i] * b[i];
	for (size_t i = 0; i < 5; i++) {
		out[i] = a[i] - c * b[i];
		norm += out[i] * out[i];
	}
	for (size_t i = 0; i < 5; i++)
		out[i] /= sqrtl(norm);
}

/* Row 1 is row 0 and 2e-6 of another direction, q; row 2 is row 0, q, and 2e-6 of a third one. One
 * round of Gram-Schmidt leaves 1e-16 / 2e-6 of row 0 in q, and then 2e-6th of that in the third. */
Test(vectors, nearly_dependent_rows)
{
	static const long double zero[5] = {0};
	long double a[5], b[5], q0[5], q1[5];
	struct stw_tensor *t = TENSOR("subspace", "F32", 3, 5);
	struct pb_vectors v;

	for (size_t i = 0; i < 5; i++)
		a[i] = stw_value("a", i);
	reject(a, zero, q0);
	for (size_t i = 0; i < 5; i++) {
		set_f32(t, i, (float)q0[i]);
		a[i] = (float)q0[i];
		b[i] = (float)(q0[i] + 2e-6L * stw_value("b", i));
		set_f32(t, 5 + i, (float)b[i]);
	}
	reject(a, zero, q0);
	reject(b, q0, q1);
	for (size_t i = 0; i < 5; i++)
		set_f32(t, 10 + i, (float)(q0[i] + q1[i] + 4e-6L * stw_value("c", i)));
	read_good(&v, true);
	check_orthonormal(v.values, 3);
	pb_vectors_free(&v);
}

Test(vectors, extreme_lengths_of_rows)
{
	struct stw_tensor *t = TENSOR("subspace", "F32", 2, 5);
	struct pb_vectors v;

	for (size_t i = 0; i < 10; i++)
		set_f32(t, i, 0);
	set_f32(t, 0, FLT_MAX);
	set_f32(t, 1, FLT_MAX);
	set_f32(t, 5, 1e-30f);
	read_good(&v, true);
	check_orthonormal(v.values, 2);
	cr_assert_float_eq(v.values[0], sqrtf(0.5f), 1e-6);
	pb_vectors_free(&v);
}

Test(vectors, dependent_rows_are_refused)
{
	struct stw_tensor *t = TENSOR("subspace", "F32", 2, 5);

	/* Twice the first, in float32. */
	for (size_t i = 0; i < 5; i++)
		set_f32(t, 5 + i, 2 * stw_value("subspace", i));
	refuse(true, "row 1 of layer 0, index 0");
	/* The same with rounding: a third of it. */
	for (size_t i = 0; i < 5; i++)
		set_f32(t, 5 + i, stw_value("subspace", i) / 3);
	refuse(true, "dependent rows");
	/* A row of zeros, in the last subspace of all. */
	t = TENSOR("subspace", "F32", 3, 2, 2, 5);
	for (size_t i = 0; i < 5; i++)
		set_f32(t, 55 + i, 0);
	refuse(true, "row 1 of layer 2, index 1");
	t = TENSOR("subspace", "F32", 1, 5);
	for (size_t i = 0; i < 5; i++)
		set_f32(t, i, 0);
	refuse(true, "row 0 of layer 0");
}

/* ---- the hash of a file -------------------------------------------------------------------- */

Test(vectors, the_hash_of_a_file_is_that_of_its_bytes)
{
	char hex[PB_SHA256_HEX];
	struct pb_error err = {0};

	stw_write_file(path, "abc", 3);
	cr_assert_eq(pb_file_sha256(path, hex, &err), PB_OK);
	cr_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	stw_write_file(path, "", 0);
	cr_assert_eq(pb_file_sha256(path, hex, &err), PB_OK);
	cr_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	cr_assert_eq(pb_file_sha256("/nonexistent", hex, &err), PB_ERR_INPUT);
	cr_assert_str_eq(hex, "");
	cr_assert_not_null(strstr(err.message, "/nonexistent"));
	cr_assert_eq(pb_file_sha256("/tmp", hex, &err), PB_ERR_INPUT);
}
