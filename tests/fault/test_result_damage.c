/* Damaged result files are caught by `verify`, and a disk that refuses to write leaves nothing. */
#include "unit/results_fixture.h"

#include <omp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "results/digest.h"
#include "results/result_file.h"

#define RAW "/sweeps/0_patch_z_denoise_all/logit_diff"

/* ---- changing a file behind its back ------------------------------------------------------- */

static void flip_byte(struct fixture *f, long offset)
{
	FILE *file = fopen(f->output, "r+b");
	int c;

	cr_assert(file != NULL && fseek(file, offset, SEEK_SET) == 0);
	c = fgetc(file);
	cr_assert(c != EOF && fseek(file, offset, SEEK_SET) == 0);
	cr_assert(fputc(c ^ 4, file) != EOF && fclose(file) == 0);
}

/* Where some bytes first occur in the file. */
static long find_bytes(struct fixture *f, const char *bytes)
{
	struct pb_map map;
	const unsigned char *at;
	long offset;

	OK(f, pb_map_open(&map, f->output, &f->err));
	at = memmem(map.data, map.size, bytes, strlen(bytes));
	cr_assert(at != NULL, "no '%s' in the file", bytes);
	offset = (long)(at - map.data);
	pb_map_close(&map);
	return offset;
}

/* Replace one value of a dataset by way of HDF5, so that its own checksums are right. */
static void change_value(struct fixture *f, const char *path, hid_t type, size_t index,
			 const void *value)
{
	struct pb_h5_shape shape;
	hid_t file, dataset;
	char *values;

	OK(f, pb_h5_file_open(&file, f->output, true, PB_ERR_IO, &f->err));
	dataset = H5Dopen2(file, path, H5P_DEFAULT);
	cr_assert(dataset >= 0, "%s", path);
	OK(f, pb_h5_shape(dataset, path, &shape, &f->err));
	values = calloc(shape.count, shape.element_size);
	cr_assert(values != NULL && index < shape.count);
	cr_assert(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	memcpy(values + index * shape.element_size, value, shape.element_size);
	cr_assert(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	free(values);
	pb_h5_drop(dataset);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
}

/* Make the stored SHA-256 of a dataset what it is now, so that later checks are reached. */
static void mend_checksum(struct fixture *f, const char *path)
{
	char hex[PB_SHA256_HEX], **paths, **hashes, *mine = hex;
	hid_t file, dataset, text;
	size_t n, i;

	OK(f, pb_h5_file_open(&file, f->output, true, PB_ERR_IO, &f->err));
	OK(f, pb_digest_dataset(file, path, hex, &f->err));
	OK(f, pb_result_size(file, "dataset", &n, &f->err));
	OK(f, pb_h5_text_type(&text, &f->err));
	paths = calloc(n, sizeof *paths);
	hashes = calloc(n, sizeof *hashes);
	cr_assert(paths != NULL && hashes != NULL);
	OK(f, pb_h5_read(file, "checks/sha256_path", text, n, paths, &f->err));
	OK(f, pb_h5_read(file, "checks/sha256", text, n, hashes, &f->err));
	for (i = 0; i < n && strcmp(paths[i], path) != 0; i++)
		;
	cr_assert(i < n, "%s has no checksum", path);
	H5free_memory(hashes[i]);
	hashes[i] = mine;
	dataset = H5Dopen2(file, "checks/sha256", H5P_DEFAULT);
	cr_assert(dataset >= 0);
	cr_assert(H5Dwrite(dataset, text, H5S_ALL, H5S_ALL, H5P_DEFAULT, (void *)hashes) >= 0);
	hashes[i] = NULL;
	pb_h5_texts_free(paths, n);
	pb_h5_texts_free(hashes, n);
	free(paths);
	free(hashes);
	pb_h5_drop(text);
	pb_h5_drop(dataset);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
}

/* verify finds what is wrong, and its report says all of `texts` (ended by NULL). */
static void caught(struct fixture *f, const char *const *texts)
{
	char *report = NULL;
	size_t size;
	FILE *out = open_memstream(&report, &size);
	enum pb_status status;

	cr_assert(out != NULL);
	f->err = (struct pb_error){0};
	status = pb_result_verify(f->output, out, &f->err);
	cr_assert_eq(fclose(out), 0);
	cr_assert_eq(status, PB_ERR_CHECK, "verify: %d, %s\n%s", status, f->err.message, report);
	cr_assert(strstr(report, "WRONG") != NULL);
	for (; *texts != NULL; texts++)
		cr_assert(strstr(report, *texts) != NULL, "no '%s' in:\n%s", *texts, report);
	free(report);
}
#define CAUGHT(f, ...) caught(f, (const char *const[]){__VA_ARGS__, NULL})

static void finished(struct fixture *f)
{
	FILE *out = fopen("/dev/null", "w");

	fixture_new(f, 6, 3, false);
	fixture_assemble(f);
	cr_assert(out != NULL);
	OK(f, pb_result_verify(f->output, out, &f->err));
	cr_assert_eq(fclose(out), 0);
}

/* The same with every kind of sweep. */
static void finished_extended(struct fixture *f)
{
	fixture_new(f, 4, 2, false);
	fixture_extend(f);
	f->e.metrics = 0;
	fixture_assemble(f);
}

/* ---- damage ---------------------------------------------------------------------------- */

Test(damage, a_byte_of_a_text)
{
	struct fixture f;

	finished(&f);
	flip_byte(&f, find_bytes(&f, "prompt, \xc3\xa9"));
	CAUGHT(&f, "WRONG  /pairs/clean_text", "SHA-256");
	fixture_free(&f);
}

Test(damage, a_byte_of_a_checksum)
{
	struct fixture f;

	finished(&f);
	flip_byte(&f, find_bytes(&f, "/pairs/first_difference") + 8);
	CAUGHT(&f, "WRONG  /pairs/first_difference: it is in the file, but has no checksum",
	       "it has a checksum, but is not in the file");
	fixture_free(&f);
}

/* The stored bytes of a dataset's first chunk. */
static void chunk_place(struct fixture *f, const char *path, haddr_t *offset, hsize_t *size)
{
	hsize_t start[PB_H5_MAX_RANK];
	unsigned filters;
	hid_t file, dataset, space;

	OK(f, pb_h5_file_open(&file, f->output, false, PB_ERR_IO, &f->err));
	dataset = H5Dopen2(file, path, H5P_DEFAULT);
	space = H5Dget_space(dataset);
	cr_assert(dataset >= 0 && space >= 0);
	cr_assert(H5Dget_chunk_info(dataset, space, 0, start, &filters, offset, size) >= 0);
	pb_h5_drop(space);
	pb_h5_drop(dataset);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
}

Test(damage, any_byte_of_the_numbers)
{
	struct fixture f;
	haddr_t offset;
	hsize_t size, at;

	finished(&f);
	chunk_place(&f, RAW, &offset, &size);
	cr_assert(size > 200);
	for (at = 0; at < size; at += 41) {
		flip_byte(&f, (long)(offset + at));
		CAUGHT(&f, "WRONG");
		flip_byte(&f, (long)(offset + at));
	}
	chunk_place(&f, "/sweeps/2_patch_z_denoise_each/logit_diff_mask", &offset, &size);
	flip_byte(&f, (long)(offset + size / 2));
	CAUGHT(&f, "WRONG  /sweeps/2_patch_z_denoise_each/logit_diff_mask");
	fixture_free(&f);
}

Test(damage, a_value_changed_through_hdf5)
{
	const double value = 0.5;
	struct fixture f;

	finished(&f);
	change_value(&f, RAW, H5T_NATIVE_DOUBLE, 7, &value);
	CAUGHT(&f, "WRONG  " RAW ": its SHA-256");
	fixture_free(&f);
}

Test(damage, a_missing_dataset)
{
	struct fixture f;
	hid_t file;

	finished(&f);
	OK(&f, pb_h5_file_open(&file, f.output, true, PB_ERR_IO, &f.err));
	cr_assert(H5Ldelete(file, "/sweeps/0_patch_z_denoise_all/kl_donor", H5P_DEFAULT) >= 0);
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	CAUGHT(&f, "kl_donor: it has a checksum, but is not in the file");
	fixture_free(&f);
}

Test(damage, an_added_dataset)
{
	struct fixture f;
	hid_t file;

	finished(&f);
	OK(&f, pb_h5_file_open(&file, f.output, true, PB_ERR_IO, &f.err));
	cr_assert(H5Ocopy(file, "/pairs/length", file, "/pairs/extra_length", H5P_DEFAULT,
			  H5P_DEFAULT) >= 0);
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	CAUGHT(&f, "/pairs/extra_length: it is in the file, but has no checksum");
	fixture_free(&f);
}

Test(damage, a_changed_attribute)
{
	struct fixture f;

	finished(&f);
	flip_byte(&f, find_bytes(&f, "patchbay run box.yaml"));
	CAUGHT(&f, "WRONG  attributes");
	flip_byte(&f, find_bytes(&f, "name: box\n  pairs: 6"));
	CAUGHT(&f, "WRONG  experiment");
	fixture_free(&f);
}

Test(damage, a_truncated_file)
{
	struct fixture f;
	struct pb_map map;
	size_t size;

	finished(&f);
	OK(&f, pb_map_open(&map, f.output, &f.err));
	size = map.size;
	pb_map_close(&map);
	cr_assert_eq(truncate(f.output, (off_t)(size - 1)), 0);
	CAUGHT(&f, "cannot open as HDF5");
	cr_assert_eq(truncate(f.output, 3000), 0);
	CAUGHT(&f, "cannot open as HDF5");
	cr_assert_eq(truncate(f.output, 30), 0);
	CAUGHT(&f, "cannot open as HDF5");
	fixture_free(&f);
}

Test(damage, a_dataset_that_claims_too_much)
{
	/* 2^40 values of which none is stored: reading them would take for ever. */
	const hsize_t size = (hsize_t)1 << 40, chunk = 1024;
	struct pb_h5_shape shape;
	struct fixture f;
	hid_t file, space, plist, dataset;

	finished(&f);
	OK(&f, pb_h5_file_open(&file, f.output, true, PB_ERR_IO, &f.err));
	space = H5Screate_simple(1, &size, NULL);
	plist = H5Pcreate(H5P_DATASET_CREATE);
	cr_assert(space >= 0 && H5Pset_chunk(plist, 1, &chunk) >= 0);
	dataset = H5Dcreate2(file, "large", H5T_IEEE_F64LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	cr_assert(dataset >= 0);
	FAILS(&f, pb_h5_shape(dataset, "large", &shape, &f.err), PB_ERR_CHECK, "never written");
	f.err = (struct pb_error){0};
	pb_h5_drop(dataset);
	pb_h5_drop(plist);
	pb_h5_drop(space);
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	CAUGHT(&f, "WRONG  /large");
	fixture_free(&f);
}

/* A view of `rows` values with a mapping from the first `n` of a dataset of a file. */
static void add_view(struct fixture *f, const char *name, hsize_t rows, const char *file_name,
		     const char *source, hsize_t n)
{
	const hsize_t start = 0;
	hid_t file, space = H5Screate_simple(1, &rows, NULL);
	hid_t from = H5Screate_simple(1, &n, NULL), plist = H5Pcreate(H5P_DATASET_CREATE), view;

	OK(f, pb_h5_file_open(&file, f->output, true, PB_ERR_IO, &f->err));
	cr_assert_geq(H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &n, NULL), 0);
	cr_assert_geq(H5Pset_virtual(plist, space, file_name, source, from), 0);
	view = H5Dcreate2(file, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	cr_assert_geq(view, 0);
	pb_h5_drop(view);
	pb_h5_drop(plist);
	pb_h5_drop(from);
	pb_h5_drop(space);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
}

Test(damage, views_that_are_never_written)
{
	static const struct {
		const char *what;
		hsize_t rows;
		const char *file, *source;
	} cases[] = {
	    {"another file", 4, "/etc/passwd", "/base/clean/logit_diff"},
	    {"what is not there", 4, ".", "/base/clean/nothing"},
	    {"itself", 4, ".", "/view"},
	    {"more than is stored", (hsize_t)1 << 40, ".", "/base/clean/logit_diff"},
	    {"a relative path", 4, ".", "base/clean/logit_diff"},
	};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_h5_shape shape;
		struct fixture f;
		hid_t file, view;

		finished(&f);
		add_view(&f, "view", cases[i].rows, cases[i].file, cases[i].source, 4);
		OK(&f, pb_h5_file_open(&file, f.output, false, PB_ERR_IO, &f.err));
		view = H5Dopen2(file, "view", H5P_DEFAULT);
		cr_assert(pb_h5_shape(view, "view", &shape, &f.err) == PB_ERR_CHECK, "a view of %s",
			  cases[i].what);
		f.err = (struct pb_error){0};
		pb_h5_drop(view);
		OK(&f, pb_h5_file_close(&file, f.output, &f.err));
		CAUGHT(&f, "WRONG  /view");
		fixture_free(&f);
	}
}

Test(damage, a_view_of_its_own_file)
{
	struct pb_h5_shape shape;
	struct fixture f;
	hid_t file, view;

	finished(&f);
	add_view(&f, "view", 4, ".", "/base/clean/logit_diff", 4);
	OK(&f, pb_h5_file_open(&file, f.output, false, PB_ERR_IO, &f.err));
	view = H5Dopen2(file, "view", H5P_DEFAULT);
	OK(&f, pb_h5_shape(view, "view", &shape, &f.err));
	cr_assert_eq(shape.count, 4);
	pb_h5_drop(view);
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	fixture_free(&f);
}

Test(damage, a_scale_of_a_sweeps_own)
{
	const int32_t layer = 2;
	struct fixture f;

	finished_extended(&f);
	change_value(&f, "/sweeps/5_patch_z_denoise_each/layer", H5T_NATIVE_INT32, 0, &layer);
	CAUGHT(&f, "WRONG  /sweeps/5_patch_z_denoise_each/layer: its SHA-256");
	fixture_free(&f);
}

Test(damage, one_of_an_attributes_numbers)
{
	const double alphas[] = {0, 0.5, 3};
	struct fixture f;
	hid_t file, group, attribute;

	finished_extended(&f);
	OK(&f, pb_h5_file_open(&file, f.output, true, PB_ERR_IO, &f.err));
	OK(&f, pb_h5_group_open(&group, file, "/sweeps/4_scale_z_noise_all", &f.err));
	attribute = H5Aopen(group, "alpha", H5P_DEFAULT);
	cr_assert(attribute >= 0);
	cr_assert(H5Awrite(attribute, H5T_NATIVE_DOUBLE, alphas) >= 0);
	pb_h5_drop(attribute);
	pb_h5_drop(group);
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	CAUGHT(&f, "WRONG  attributes");
	fixture_free(&f);
}

Test(damage, a_summary_with_unknown_dimensions)
{
	/* Ranking and describing say so; they do not crash. */
	const char *path = "/sweeps/0_patch_z_denoise_all/summary/effect";
	struct pb_ranking ranking;
	struct fixture f;
	hid_t file, dataset, scale;

	finished_extended(&f);
	OK(&f, pb_h5_file_open(&file, f.output, true, PB_ERR_IO, &f.err));
	dataset = H5Dopen2(file, path, H5P_DEFAULT);
	scale = H5Dopen2(file, "/layer", H5P_DEFAULT);
	cr_assert(dataset >= 0 && scale >= 0 && H5DSdetach_scale(dataset, scale, 0) >= 0);
	pb_h5_drop(scale);
	pb_h5_drop(dataset);
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	FAILS(&f, pb_result_rank(&ranking, f.output, NULL, 3, false, &f.err), PB_ERR_CHECK,
	      "dimension 0 of the summary is unknown");
	fixture_free(&f);
}

/* ---- right checksums, wrong contents ------------------------------------------------------- */

Test(damage, nan_without_a_mask)
{
	const double nothing = NAN;
	struct fixture f;

	finished(&f);
	change_value(&f, "/sweeps/0_patch_z_denoise_all/summary/stderr", H5T_NATIVE_DOUBLE, 2,
		     &nothing);
	mend_checksum(&f, "/sweeps/0_patch_z_denoise_all/summary/stderr");
	CAUGHT(&f, "WRONG  /sweeps/0_patch_z_denoise_all/summary/stderr: value 2 is nan");
	fixture_free(&f);
}

Test(damage, a_mask_over_a_number)
{
	const char *path = "/sweeps/2_patch_z_denoise_each/logit_diff_mask";
	const uint8_t masked = 1;
	struct fixture f;

	finished(&f);
	change_value(&f, path, H5T_NATIVE_UINT8, 3, &masked);
	mend_checksum(&f, path);
	CAUGHT(&f, "WRONG  /sweeps/2_patch_z_denoise_each/logit_diff: value 3 is");
	fixture_free(&f);
}

Test(damage, checks_are_judged_again)
{
	const double off = 99, large = 0.01;
	struct fixture f;

	finished(&f);
	change_value(&f, "/checks/variant_logit_diff_plain", H5T_NATIVE_DOUBLE, 0, &off);
	mend_checksum(&f, "/checks/variant_logit_diff_plain");
	CAUGHT(&f, "WRONG  checks", "by a plain forward 99");
	fixture_free(&f);
	finished(&f);
	change_value(&f, "/checks/resid_pre_deviation", H5T_NATIVE_DOUBLE, 1, &large);
	mend_checksum(&f, "/checks/resid_pre_deviation");
	CAUGHT(&f, "WRONG  checks", "resid_pre patched at layer 1");
	fixture_free(&f);
}

Test(damage, a_checked_variant_elsewhere)
{
	/* The sweep that the first variant is of has 12 cells. */
	const int32_t cells[] = {12, -1, 5};
	static const char *const texts[] = {"another shape", "another shape", "by a plain forward"};
	struct fixture f;

	for (size_t i = 0; i < 3; i++) {
		finished(&f);
		change_value(&f, "/checks/variant_cell", H5T_NATIVE_INT32, 0, &cells[i]);
		mend_checksum(&f, "/checks/variant_cell");
		CAUGHT(&f, "WRONG  checks", texts[i]);
		fixture_free(&f);
	}
}

Test(damage, attributions_are_judged_again)
{
	const double off = 0.01;
	struct fixture f;

	finished_extended(&f);
	change_value(&f, "/checks/attribution_deviation", H5T_NATIVE_DOUBLE, 1, &off);
	mend_checksum(&f, "/checks/attribution_deviation");
	CAUGHT(&f, "WRONG  checks", "direct logit attributions (chunk 1) sum to 0.01");
	fixture_free(&f);
}

/* ---- a disk that refuses --------------------------------------------------------------- */

/* End a process: by exit(), so that what HDF5 would do there is seen, unless a leak check waits
 * there too. */
__attribute__((noreturn)) static void leave(int code)
{
#ifdef __SANITIZE_ADDRESS__
	_exit(code);
#else
	exit(code);
#endif
}

/* Work that fails in a process whose files may not grow past `bytes`: what a full disk is to a
 * program. A process of its own, because HDF5 never gives back what it holds of a file that it
 * could not close; how that process ends is looked at too. */
static void without_room(struct fixture *f, rlim_t bytes, enum pb_status (*work)(struct fixture *))
{
	const struct rlimit limit = {bytes, RLIM_INFINITY};
	pid_t child = fork();
	int ended;

	cr_assert(child >= 0);
	if (child == 0) {
		bool limited =
		    signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0;
		enum pb_status status = work(f);

		if (limited && status == PB_ERR_IO &&
		    strstr(f->err.message, "File too large") != NULL && !fixture_has_aside(f, "") &&
		    !fixture_has_aside(f, ".parts/chunk-00000.h5"))
			leave(0);
		fprintf(stderr, "status %d: %s\n", status, f->err.message);
		leave(1);
	}
	cr_assert_eq(waitpid(child, &ended, 0), child);
	cr_assert(WIFEXITED(ended), "ended by signal %d", WTERMSIG(ended));
	cr_assert_eq(WEXITSTATUS(ended), 0);
}

static enum pb_status write_first_part(struct fixture *f)
{
	struct pb_chunk_values *v = fixture_chunk(f, 0);
	enum pb_status status = pb_part_write(&f->e, v, &f->err);

	pb_chunk_values_free(v);
	return status;
}

static enum pb_status assemble(struct fixture *f)
{
	return pb_result_assemble(&f->e, &f->err);
}

/* Sizes that end the room in the middle of a file, and at its very end. */
static void without_any_room(struct fixture *f, rlim_t size,
			     enum pb_status (*work)(struct fixture *))
{
	without_room(f, 1000, work);
	without_room(f, size / 2, work);
	without_room(f, size - 1, work);
}

static rlim_t size_of(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	return (rlim_t)st.st_size;
}

Test(damage, no_room_for_a_part)
{
	struct fixture f;
	bool done = true;
	char path[160];
	rlim_t size;

	fixture_new(&f, 4, 4, true);
	OK(&f, pb_parts_prepare(&f.e, &f.err));
	OK(&f, write_first_part(&f));
	snprintf(path, sizeof path, "%s.parts/chunk-00000.h5", f.output);
	size = size_of(path);
	cr_assert_eq(unlink(path), 0);
	without_any_room(&f, size, write_first_part);
	OK(&f, pb_part_done(&f.e, 0, &done, &f.err));
	cr_assert(!done);
	OK(&f, write_first_part(&f));
	OK(&f, assemble(&f));
	fixture_free(&f);
}

Test(damage, no_room_for_the_file)
{
	struct fixture f;
	rlim_t size;

	omp_set_num_threads(1); /* threads of libgomp do not survive a fork */
	fixture_new(&f, 4, 4, true);
	fixture_assemble(&f);
	size = size_of(f.output);
	OK(&f, pb_output_remove(&f.e, &f.err));
	fixture_write_parts(&f);
	without_any_room(&f, size, assemble);
	cr_assert(!fixture_has(&f, ""));
	OK(&f, assemble(&f));
	fixture_free(&f);
}
