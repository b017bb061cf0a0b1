/* Reading the files of results_fixture.h back, for their tests. */
#ifndef PB_TESTS_RESULTS_READ_H
#define PB_TESTS_RESULTS_READ_H

#include "results/digest.h"
#include "results/result_file.h"
#include "unit/results_fixture.h"

/* A float64 dataset as a fresh array of `count`. */
static inline double *read_doubles(struct fixture *f, const char *path, size_t count)
{
	double *values = calloc(count + 1, sizeof *values);
	hid_t file;

	cr_assert(values != NULL);
	OK(f, pb_h5_file_open(&file, f->output, false, PB_ERR_IO, &f->err));
	OK(f, pb_h5_read(file, path, H5T_NATIVE_DOUBLE, count, values, &f->err));
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
	return values;
}

static inline bool has_dataset(struct fixture *f, const char *path)
{
	bool there;
	hid_t file;

	OK(f, pb_h5_file_open(&file, f->output, false, PB_ERR_IO, &f->err));
	there = pb_h5_exists(file, path);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
	return there;
}

static inline double read_attribute(struct fixture *f, const char *group, const char *name)
{
	double value = NAN;
	int64_t number;
	hid_t file, object;

	OK(f, pb_h5_file_open(&file, f->output, false, PB_ERR_IO, &f->err));
	OK(f, pb_h5_group_open(&object, file, group, &f->err));
	if (pb_h5_get_double(object, name, &value, NULL) != PB_OK) {
		OK(f, pb_h5_get_int(object, name, &number, &f->err));
		value = (double)number;
	}
	pb_h5_drop(object);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
	return value;
}

/* "path hash" of every dataset of a file, in order. */
static inline char *all_hashes(struct fixture *f, const char *path)
{
	struct pb_objects objects;
	char hex[PB_SHA256_HEX], *text = NULL;
	size_t size, i;
	hid_t file;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out != NULL);
	OK(f, pb_h5_file_open(&file, path, false, PB_ERR_IO, &f->err));
	OK(f, pb_objects_list(&objects, file, &f->err));
	for (i = 0; i < objects.n; i++) {
		if (!objects.items[i].is_dataset)
			continue;
		OK(f, pb_digest_dataset(file, objects.items[i].path, hex, &f->err));
		fprintf(out, "%s %s\n", objects.items[i].path, hex);
	}
	pb_objects_free(&objects);
	OK(f, pb_h5_file_close(&file, path, &f->err));
	cr_assert_eq(fclose(out), 0);
	return text;
}

static inline char *verify_text(struct fixture *f, enum pb_status wanted)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	enum pb_status status;

	cr_assert(out != NULL);
	f->err = (struct pb_error){0};
	status = pb_result_verify(f->output, out, &f->err);
	cr_assert_eq(fclose(out), 0);
	cr_assert_eq(status, wanted, "verify: %d: %s\n%s", status, f->err.message, text);
	return text;
}

/* A text attribute (freed with free()). */
static inline char *read_text(struct fixture *f, const char *group, const char *name)
{
	char *text = NULL;
	hid_t file, object;

	OK(f, pb_h5_file_open(&file, f->output, false, PB_ERR_IO, &f->err));
	OK(f, pb_h5_group_open(&object, file, group, &f->err));
	OK(f, pb_h5_get_text(object, name, &text, &f->err));
	pb_h5_drop(object);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
	return text;
}

static inline void text_is(struct fixture *f, const char *group, const char *name,
			   const char *wanted)
{
	char *text = read_text(f, group, name);

	cr_assert_str_eq(text, wanted, "%s of %s", name, group);
	free(text);
}

/* Parts whose first chunk was changed do not become a file. */
static inline void refuse(struct fixture *f, struct pb_chunk_values *changed, const char *text)
{
	OK(f, pb_parts_prepare(&f->e, &f->err));
	OK(f, pb_part_write(&f->e, changed, &f->err));
	pb_chunk_values_free(changed);
	FAILS(f, pb_result_assemble(&f->e, &f->err), PB_ERR_CHECK, text);
	cr_assert(strstr(f->err.message, "was not written") != NULL);
	cr_assert(!pb_is_file(f->output));
	cr_assert(fixture_has(f, ".parts/chunk-00000.h5"));
	/* Nothing half written stays beside them. */
	cr_assert(!fixture_has_aside(f, ""));
}

#endif
