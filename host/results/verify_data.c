/* Whether the data of a file are what was written: checksums, and values where they belong. */
#include "results/verify_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/digest.h"
#include "results/result_file.h"

void pb_report_good(struct pb_report *r, const char *item, const char *what)
{
	fprintf(r->out, "ok     %s: %s\n", item, what);
}

void pb_report_wrong(struct pb_report *r, const char *item, const struct pb_error *why)
{
	fprintf(r->out, "WRONG  %s: %s\n", item, why->message);
	if (r->n_wrong++ == 0)
		r->first = *why;
}

enum pb_status pb_report_item(struct pb_report *r, enum pb_status status, const char *name,
			      const char *what, const struct pb_error *why, struct pb_error *err)
{
	if (status == PB_ERR_MEMORY)
		return pb_fail(err, status, "%s", why->message);
	if (status == PB_OK)
		pb_report_good(r, name, what);
	else
		pb_report_wrong(r, name, why);
	return PB_OK;
}

/* ---- checksums --------------------------------------------------------------------------- */

struct table {
	size_t n;
	char **paths, **hashes; /* allocated by HDF5 */
};

static void table_free(struct table *t)
{
	pb_h5_texts_free(t->paths, t->n);
	pb_h5_texts_free(t->hashes, t->n);
	free(t->paths);
	free(t->hashes);
}

static enum pb_status table_read(struct table *t, hid_t file, struct pb_error *err)
{
	enum pb_status status;
	hid_t text = -1;

	*t = (struct table){0};
	PB_TRY(pb_result_size(file, "dataset", &t->n, err));
	PB_TRY(pb_alloc((void **)&t->paths, t->n, sizeof *t->paths, "checksums", err));
	PB_TRY(pb_alloc((void **)&t->hashes, t->n, sizeof *t->hashes, "checksums", err));
	PB_TRY(pb_h5_text_type(&text, err));
	PB_TRY(pb_h5_read(file, "checks/sha256_path", text, t->n, t->paths, err));
	PB_TRY(pb_h5_read(file, "checks/sha256", text, t->n, t->hashes, err));
cleanup:
	pb_h5_drop(text);
	return status;
}

static const char *table_find(const struct table *t, const char *path)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->paths[i] != NULL && strcmp(t->paths[i], path) == 0)
			return t->hashes[i] != NULL ? t->hashes[i] : "";
	return NULL;
}

static bool is_checksum(const char *path)
{
	return strcmp(path, "/checks/sha256") == 0 || strcmp(path, "/checks/sha256_path") == 0;
}

static enum pb_status check_hash(hid_t file, const char *path, const char *expected,
				 struct pb_error *err)
{
	enum pb_status status;
	char hex[PB_SHA256_HEX];

	if (expected == NULL)
		return pb_fail(err, PB_ERR_CHECK, "it is in the file, but has no checksum");
	PB_TRY(pb_digest_dataset(file, path, hex, err));
	if (strcmp(hex, expected) != 0)
		status = pb_fail(err, PB_ERR_CHECK,
				 "its SHA-256 is %.12s..., not %.12s...: the "
				 "file was damaged or changed",
				 hex, expected);
cleanup:
	return status;
}

/* ---- NaN ------------------------------------------------------------------------------- */

struct nan_walk {
	hid_t mask; /* -1: none */
	const char *path;
	uint8_t *flags;
	size_t capacity;
};

/* Files are read in their own byte order, which must be the machine's. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian machines only");

static double value_at(const struct pb_h5_shape *shape, const void *values, size_t i)
{
	if (shape->element_size == sizeof(double))
		return ((const double *)values)[i];
	return ((const float *)values)[i];
}

static enum pb_status check_block(void *context, const struct pb_h5_shape *shape, size_t first_row,
				  size_t n_rows, const void *values, struct pb_error *err)
{
	enum pb_status status;
	struct nan_walk *walk = context;
	const size_t n = n_rows * shape->row;
	size_t i;

	if (walk->mask >= 0) {
		PB_TRY(pb_grow((void **)&walk->flags, &walk->capacity, n, 1, walk->path, err));
		PB_TRY(pb_h5_read_rows(walk->mask, walk->path, H5T_NATIVE_UINT8, first_row, n_rows,
				       walk->flags, err));
	}
	for (i = 0; i < n; i++) {
		const double value = value_at(shape, values, i);
		const bool masked = walk->mask >= 0 && walk->flags[i] == 1;

		if (masked ? !isnan(value) : !isfinite(value))
			return pb_fail(err, PB_ERR_CHECK,
				       "value %zu is %g where its mask says that %s belongs",
				       first_row * shape->row + i, value,
				       masked ? "nothing" : "a number");
	}
	status = PB_OK;
cleanup:
	return status;
}

/* Numbers are finite, or NaN where `<path>_mask` has 1. */
static enum pb_status check_nan(hid_t file, const char *path, struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape, mask_shape;
	struct nan_walk walk = {.mask = -1, .path = path};
	char *mask = pb_format("%s_mask", path);
	hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);

	if (mask == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: %s", path);
		goto cleanup;
	}
	if (dataset < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: %s", path);
		goto cleanup;
	}
	PB_TRY(pb_h5_shape(dataset, path, &shape, err));
	if (shape.is_text || H5Tget_class(shape.type) != H5T_FLOAT)
		goto cleanup;
	if (pb_h5_exists(file, mask)) {
		walk.mask = H5Dopen2(file, mask, H5P_DEFAULT);
		if (walk.mask < 0) {
			status = pb_h5_fail(err, PB_ERR_CHECK, "cannot open: %s", mask);
			goto cleanup;
		}
		PB_TRY(pb_h5_shape(walk.mask, mask, &mask_shape, err));
		if (mask_shape.rank != shape.rank || mask_shape.is_text ||
		    memcmp(mask_shape.dims, shape.dims, sizeof shape.dims) != 0) {
			status = pb_fail(err, PB_ERR_CHECK, "its mask is of another shape");
			goto cleanup;
		}
	}
	status = pb_dataset_walk(file, path, check_block, &walk, err);
cleanup:
	free(walk.flags);
	pb_h5_drop(walk.mask);
	pb_h5_drop(dataset);
	free(mask);
	return status;
}

/* ---- datasets and attributes --------------------------------------------------------------- */

static enum pb_status verify_datasets(struct pb_report *r, hid_t file, const struct pb_objects *all,
				      const struct table *table, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i, j;

	for (i = 0; i < all->n; i++) {
		const char *path = all->items[i].path;
		struct pb_error why = {0};

		if (!all->items[i].is_dataset || is_checksum(path))
			continue;
		status = check_hash(file, path, table_find(table, path), &why);
		if (status == PB_OK)
			status = check_nan(file, path, &why);
		PB_TRY(pb_report_item(r, status, path, "checksum right, values where they belong",
				      &why, err));
	}
	for (j = 0; j < table->n; j++) {
		struct pb_error why = {0};

		for (i = 0; i < all->n; i++)
			if (table->paths[j] != NULL &&
			    strcmp(all->items[i].path, table->paths[j]) == 0)
				break;
		if (i < all->n)
			continue;
		(void)pb_fail(&why, PB_ERR_CHECK, "it has a checksum, but is not in the file");
		pb_report_wrong(r, table->paths[j] != NULL ? table->paths[j] : "(no name)", &why);
	}
cleanup:
	return status;
}

static enum pb_status check_attributes(hid_t file, const struct pb_objects *all,
				       struct pb_error *err)
{
	enum pb_status status;
	char hex[PB_SHA256_HEX], *stored = NULL;
	hid_t group = -1;

	PB_TRY(pb_h5_group_open(&group, file, "checks", err));
	PB_TRY(pb_h5_get_text(group, "attributes_sha256", &stored, err));
	PB_TRY(pb_digest_attributes(file, all, hex, err));
	if (strcmp(hex, stored) != 0)
		status = pb_fail(err, PB_ERR_CHECK, "an attribute was damaged or changed");
cleanup:
	free(stored);
	pb_h5_drop(group);
	return status;
}

enum pb_status pb_verify_attributes(struct pb_report *r, hid_t file, struct pb_error *err)
{
	enum pb_status status;
	struct pb_error why = {0};
	struct pb_objects all = {0};

	PB_TRY(pb_objects_list(&all, file, err));
	status = check_attributes(file, &all, &why);
	status = pb_report_item(r, status, "attributes", "checksum right", &why, err);
cleanup:
	pb_objects_free(&all);
	return status;
}

enum pb_status pb_verify_data(struct pb_report *r, hid_t file, struct pb_error *err)
{
	enum pb_status status;
	struct pb_error why = {0};
	struct pb_objects all = {0};
	struct table table = {0};

	PB_TRY(pb_objects_list(&all, file, err));
	status = check_attributes(file, &all, &why);
	PB_TRY(pb_report_item(r, status, "attributes", "checksum right", &why, err));
	PB_TRY(table_read(&table, file, err));
	status = verify_datasets(r, file, &all, &table, err);
cleanup:
	table_free(&table);
	pb_objects_free(&all);
	return status;
}
