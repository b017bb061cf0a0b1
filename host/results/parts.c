/* Part files: the values of one chunk as flat arrays, under one SHA-256. */
#include "results/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "patchbay/base.h"
#include "results/h5_packer.h"
#include "results/identity.h"
#include "results/part_arrays.h"

#define MAX_VARIANTS 10000000
#define CHUNK_ELEMENTS ((size_t)1 << 16) /* of an array, at most; chunks are of about one size */

char *pb_parts_folder(const struct pb_experiment *e)
{
	return pb_format("%s.parts", e->output);
}

char *pb_part_path(const struct pb_experiment *e, size_t chunk)
{
	return pb_format("%s.parts/chunk-%05zu.h5", e->output, chunk);
}

/* ---- writing --------------------------------------------------------------------------- */

#define CONTENT_HASH "content_sha256" /* that no other file has at its root */

bool pb_is_part(hid_t file)
{
	return pb_h5_has(file, CONTENT_HASH);
}

static enum pb_status write_array(hid_t file, const struct pb_part_array *item,
				  struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const hsize_t count = item->count;
	const hsize_t n_chunks = (count + CHUNK_ELEMENTS - 1) / CHUNK_ELEMENTS;
	const hsize_t chunk = n_chunks > 0 ? (count + n_chunks - 1) / n_chunks : 0;
	const hid_t type = pb_field_memory_type(item->type);
	hid_t space = -1, plist = -1, dataset = -1;

	if (count == 0)
		return PB_OK;
	space = H5Screate_simple(1, &count, NULL);
	plist = H5Pcreate(H5P_DATASET_CREATE);
	if (space < 0 || plist < 0 || H5Pset_obj_track_times(plist, false) < 0 ||
	    H5Pset_chunk(plist, 1, &chunk) < 0 || H5Pset_shuffle(plist) < 0 ||
	    H5Pset_deflate(plist, 1) < 0 || H5Pset_fletcher32(plist) < 0 ||
	    (dataset = H5Dcreate2(file, item->name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT)) <
		0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot write part: dataset %s", item->name);
	else
		status = pb_h5_write_packed(dataset, item->name, type, item->data, err);
	if (status == PB_OK)
		status = pb_h5_dataset_close(&dataset, item->name, err);
	pb_h5_drop(dataset);
	pb_h5_drop(plist);
	pb_h5_drop(space);
	return status;
}

static enum pb_status write_figures(hid_t file, const struct pb_experiment *e,
				    const struct pb_part *part, const char *hex,
				    struct pb_error *err)
{
	enum pb_status status;
	const struct pb_chunk_values *v = part->values;

	PB_TRY(pb_identity_write(file, e, pb_h5_put_text_inline, err));
	PB_TRY(pb_h5_put_text_inline(file, "patchbay_version", PB_VERSION, err));
	PB_TRY(pb_h5_put_int(file, "chunk", (int64_t)v->chunk, err));
	PB_TRY(pb_h5_put_int(file, "first_pair", (int64_t)v->first_pair, err));
	PB_TRY(pb_h5_put_int(file, "n_pairs", (int64_t)v->n_pairs, err));
	PB_TRY(pb_h5_put_int(file, "n_resid_pre_pairs", (int64_t)v->checks.n_resid_pre_pairs, err));
	PB_TRY(pb_h5_put_int(file, "n_variants", (int64_t)v->checks.n_variants, err));
	PB_TRY(pb_h5_put_double(file, "logit_largest", v->checks.logit_largest, err));
	PB_TRY(
	    pb_h5_put_double(file, "attribution_deviation", v->checks.attribution_deviation, err));
	PB_TRY(pb_h5_put_double(file, "seconds", v->seconds, err));
	PB_TRY(pb_h5_put_int(file, "finished", part->finished, err));
	PB_TRY(pb_h5_put_text_inline(file, "isa", part->isa, err));
	PB_TRY(pb_h5_put_text_inline(file, CONTENT_HASH, hex, err));
cleanup:
	return status;
}

enum pb_status pb_part_write_into(hid_t object, const struct pb_experiment *e,
				  const struct pb_part *part, struct pb_error *err)
{
	struct pb_part_arrays a = {0};
	char hex[PB_SHA256_HEX];
	enum pb_status status;
	size_t i;

	PB_TRY(pb_part_arrays_list(&a, e, part->values, err));
	pb_part_arrays_pack(&a, &part->values->checks);
	PB_TRY(pb_part_content_hash(e, part, &a, hex, err));
	PB_TRY(write_figures(object, e, part, hex, err));
	for (i = 0; i < a.n; i++)
		PB_TRY(write_array(object, &a.items[i], err));
cleanup:
	pb_part_arrays_free(&a);
	return status;
}

static enum pb_status write_part(const struct pb_experiment *e,
				 const struct pb_chunk_values *values, const char *path,
				 struct pb_error *err)
{
	const struct pb_part part = {
	    .values = (struct pb_chunk_values *)(uintptr_t)values, /* read only */
	    .isa = (char *)(uintptr_t)(values->isa != NULL ? values->isa : ""),
	    .finished = (int64_t)time(NULL)};
	struct pb_aside aside = {0};
	hid_t file = -1;
	enum pb_status status;

	pb_h5_begin();
	PB_TRY(pb_aside_begin(&aside, path, err));
	PB_TRY(pb_h5_file_create(&file, aside.temp_path, err));
	PB_TRY(pb_part_write_into(file, e, &part, err));
	PB_TRY(pb_h5_file_close(&file, path, err));
	status = pb_aside_commit(&aside, err);
cleanup:
	if (file >= 0)
		(void)pb_h5_file_close(&file, "", NULL);
	pb_aside_end(&aside);
	return status;
}

enum pb_status pb_part_write(const struct pb_experiment *e, const struct pb_chunk_values *values,
			     struct pb_error *err)
{
	struct pb_error inner = {0};
	char *path = pb_part_path(e, values->chunk);
	enum pb_status status;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a part");
	(void)write_part(e, values, path, &inner);
	/* the folder could be written when the run began: it is the disk that changed */
	if (inner.status == PB_ERR_INPUT)
		inner.status = PB_ERR_IO;
	status = pb_h5_fail_file(err, &inner, "cannot make file", path);
	free(path);
	return status;
}

/* ---- reading --------------------------------------------------------------------------- */

static enum pb_status check_identity(hid_t group, const struct pb_experiment *e, const char *name,
				     struct pb_error *err)
{
	enum pb_status status;
	struct pb_identity there;
	char difference[2048];
	bool same;

	PB_TRY(pb_identity_read(&there, group, err));
	PB_TRY(pb_identity_check(&there, err));
	PB_TRY(pb_identity_compare(&there, e, &same, difference, sizeof difference, err));
	if (!same)
		status = pb_fail(err, PB_ERR_INPUT,
				 "part of another experiment: %s: %s\nname another output, or "
				 "replace this one with --force",
				 name, difference);
cleanup:
	pb_identity_free(&there);
	return status;
}

/* A count in an attribute, which must be `expected` (or at most it). */
static enum pb_status read_count(hid_t file, const char *name, size_t limit, bool exact,
				 size_t *value, struct pb_error *err)
{
	enum pb_status status;
	int64_t number;

	PB_TRY(pb_h5_get_int(file, name, &number, err));
	if (number < 0 || (uint64_t)number > limit || (exact && (uint64_t)number != limit))
		status = pb_fail(err, PB_ERR_CHECK, "%s is %" PRId64 " where %s%zu belongs", name,
				 number, exact ? "" : "at most ", limit);
	else
		*value = (size_t)number;
cleanup:
	return status;
}

static enum pb_status read_figures(hid_t file, struct pb_part *part, struct pb_error *err)
{
	enum pb_status status;
	struct pb_chunk_values *v = part->values;
	struct pb_chunk_checks *checks = &v->checks;

	PB_TRY(read_count(file, "chunk", v->chunk, true, &v->chunk, err));
	PB_TRY(read_count(file, "first_pair", v->first_pair, true, &v->first_pair, err));
	PB_TRY(read_count(file, "n_pairs", v->n_pairs, true, &v->n_pairs, err));
	PB_TRY(read_count(file, "n_resid_pre_pairs", v->n_pairs, false, &checks->n_resid_pre_pairs,
			  err));
	PB_TRY(read_count(file, "n_variants", MAX_VARIANTS, false, &checks->n_variants, err));
	PB_TRY(pb_h5_get_double(file, "logit_largest", &checks->logit_largest, err));
	PB_TRY(
	    pb_h5_get_double(file, "attribution_deviation", &checks->attribution_deviation, err));
	PB_TRY(pb_h5_get_double(file, "seconds", &v->seconds, err));
	PB_TRY(pb_h5_get_int(file, "finished", &part->finished, err));
	PB_TRY(pb_h5_get_text(file, "isa", &part->isa, err));
	v->isa = part->isa;
	PB_TRY(pb_alloc((void **)&checks->variants, checks->n_variants, sizeof *checks->variants,
			"checked variants", err));
cleanup:
	return status;
}

enum pb_status pb_part_read_head(struct pb_part *out, struct pb_part_arrays *arrays, char **stored,
				 const struct pb_experiment *e, size_t chunk, hid_t group,
				 const char *name, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_chunk_values_new(&out->values, e, chunk, err));
	PB_TRY(check_identity(group, e, name, err));
	PB_TRY(read_figures(group, out, err));
	PB_TRY(pb_part_arrays_list(arrays, e, out->values, err));
	status = pb_h5_get_text(group, CONTENT_HASH, stored, err);
cleanup:
	return status;
}

enum pb_status pb_part_check(const struct pb_experiment *e, struct pb_part *part,
			     const struct pb_part_arrays *arrays, const char *stored,
			     struct pb_error *err)
{
	enum pb_status status;
	char hex[PB_SHA256_HEX];

	pb_part_arrays_unpack(arrays, &part->values->checks);
	PB_TRY(pb_part_content_hash(e, part, arrays, hex, err));
	if (strcmp(hex, stored) != 0)
		status = pb_fail(err, PB_ERR_CHECK, "its checksum is wrong");
cleanup:
	return status;
}

static enum pb_status read_content(struct pb_part *part, const struct pb_experiment *e,
				   size_t chunk, hid_t group, const char *name,
				   struct pb_error *err)
{
	enum pb_status status;
	struct pb_part_arrays a = {0};
	char *stored = NULL;
	size_t i;

	PB_TRY(pb_part_read_head(part, &a, &stored, e, chunk, group, name, err));
	for (i = 0; i < a.n; i++) {
		const struct pb_part_array *item = &a.items[i];

		if (item->count > 0)
			PB_TRY(pb_h5_read(group, item->name, pb_field_memory_type(item->type),
					  item->count, item->data, err));
	}
	status = pb_part_check(e, part, &a, stored, err);
cleanup:
	free(stored);
	pb_part_arrays_free(&a);
	return status;
}

enum pb_status pb_part_read_group(struct pb_part *out, const struct pb_experiment *e, size_t chunk,
				  hid_t group, const char *name, struct pb_error *err)
{
	enum pb_status status;
	struct pb_error inner = {0};

	*out = (struct pb_part){0};
	status = read_content(out, e, chunk, group, name, &inner);
	if (status == PB_ERR_CHECK)
		(void)pb_fail(err, status, "damaged part: %s: %s", name, inner.message);
	else if (status != PB_OK)
		(void)pb_fail(err, status, "%s", inner.message);
	if (status != PB_OK)
		pb_part_free(out);
	return status;
}

hid_t pb_part_open(hid_t *file, const struct pb_experiment *e, size_t chunk)
{
	char *path = pb_part_path(e, chunk);
	hid_t group = -1;

	*file = -1;
	if (path != NULL && pb_h5_file_open(file, path, false, PB_ERR_CHECK, NULL) == PB_OK)
		group = H5Gopen2(*file, "/", H5P_DEFAULT);
	free(path);
	return group;
}

enum pb_status pb_part_read(struct pb_part *out, const struct pb_experiment *e, size_t chunk,
			    struct pb_error *err)
{
	enum pb_status status;
	struct pb_error inner = {0};
	char *path = pb_part_path(e, chunk);
	hid_t file = -1;

	*out = (struct pb_part){0};
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a part");
	if (access(path, F_OK) != 0) {
		status = pb_fail(err, PB_ERR_INPUT, "missing part: %s: %s", path, strerror(errno));
		goto cleanup;
	}
	status = pb_h5_file_open(&file, path, false, PB_ERR_CHECK, &inner);
	if (status == PB_OK)
		status = pb_part_read_group(out, e, chunk, file, path, err);
	else
		(void)pb_fail(err, status, "damaged part: %s: %s", path, inner.message);
cleanup:
	if (file >= 0)
		(void)pb_h5_file_close(&file, "", NULL);
	free(path);
	return status;
}

void pb_part_free(struct pb_part *part)
{
	pb_chunk_values_free(part->values);
	free(part->isa);
	*part = (struct pb_part){0};
}

enum pb_status pb_part_done(const struct pb_experiment *e, size_t chunk, bool *done,
			    struct pb_error *err)
{
	enum pb_status status;
	struct pb_error inner = {0};
	struct pb_part part = {0};
	char *path = pb_part_path(e, chunk);

	*done = false;
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a part");
	if (access(path, F_OK) != 0) {
		free(path);
		return PB_OK;
	}
	status = pb_part_read(&part, e, chunk, &inner);
	*done = status == PB_OK;
	if (status == PB_ERR_CHECK) {
		pb_warn("%s: it is removed, and its chunk computed again", inner.message);
		status = PB_OK;
		if (unlink(path) != 0)
			status = pb_fail(err, PB_ERR_IO, "cannot remove damaged part: %s: %s", path,
					 strerror(errno));
	} else if (status != PB_OK) {
		(void)pb_fail(err, status, "%s", inner.message);
	}
	pb_part_free(&part);
	free(path);
	return status;
}
