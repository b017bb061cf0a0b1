/* HDF5 datasets: shapes checked before use, rows in and out. */
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/h5.h"
#include "results/h5_unpacker.h"

/* gzip reaches about 1:1030 at best: a dataset that claims more than this many times its stored
 * bytes is damaged or hostile, and reading it could take for ever. */
#define EXPANSION_LIMIT 1100

/* The little-endian memory type of a file type, and whether it is one that we write. */
static bool memory_type(hid_t type, struct pb_h5_shape *shape)
{
	const hid_t known[] = {H5T_IEEE_F64LE, H5T_IEEE_F32LE, H5T_STD_I32LE, H5T_STD_U8LE};
	size_t i;

	shape->is_text = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0;
	shape->type = -1;
	shape->element_size = sizeof(char *);
	if (shape->is_text)
		return true;
	for (i = 0; i < sizeof known / sizeof *known; i++) {
		if (H5Tequal(type, known[i]) > 0) {
			shape->type = known[i];
			shape->element_size = H5Tget_size(known[i]);
			return true;
		}
	}
	return false;
}

/* ---- views ------------------------------------------------------------------------------- */

#define PATH_MOST 1024 /* of the source of a view */

/* One mapping of a view: its source must be a stored dataset of this file. Adds the bytes
 * stored of it. */
static bool view_part(hid_t dataset, hid_t plist, size_t i, size_t *stored)
{
	char file[4], path[PATH_MOST];
	ssize_t file_size = H5Pget_virtual_filename(plist, i, file, sizeof file);
	ssize_t path_size = H5Pget_virtual_dsetname(plist, i, path, sizeof path);
	hid_t source = -1, own = -1;
	bool good = false;

	if (file_size != 1 || file[0] != '.' || path_size < 2 || path_size >= PATH_MOST ||
	    path[0] != '/')
		goto cleanup;
	source = H5Dopen2(dataset, path, H5P_DEFAULT);
	own = source >= 0 ? H5Dget_create_plist(source) : -1;
	good = own >= 0 && H5Pget_layout(own) != H5D_VIRTUAL;
	*stored += good ? (size_t)H5Dget_storage_size(source) : 0;
cleanup:
	pb_h5_drop(own);
	pb_h5_drop(source);
	return good;
}

/* What is stored of a dataset: its own bytes, or those that it shows. */
static bool stored_bytes(hid_t dataset, size_t *stored)
{
	hid_t plist = H5Dget_create_plist(dataset);
	size_t n = 0, i;
	bool good = plist >= 0;

	*stored = 0;
	if (good && H5Pget_layout(plist) != H5D_VIRTUAL)
		*stored = (size_t)H5Dget_storage_size(dataset);
	else
		good = good && H5Pget_virtual_count(plist, &n) >= 0;
	for (i = 0; i < n && good; i++)
		good = view_part(dataset, plist, i, stored);
	pb_h5_drop(plist);
	return good;
}

static size_t chunk_rows(hid_t dataset, int rank, const hsize_t *dims)
{
	hid_t plist = H5Dget_create_plist(dataset);
	const size_t rows = plist >= 0 ? pb_h5_chunk_rows(plist, rank, dims) : 0;

	pb_h5_drop(plist);
	return rows > 0 ? rows : 1;
}

static bool shape_of(hid_t dataset, hid_t type, hid_t space, struct pb_h5_shape *shape)
{
	hsize_t dims[PB_H5_MAX_RANK];
	size_t bytes, limit, stored;
	int d;

	*shape = (struct pb_h5_shape){.type = -1};
	if (type < 0 || space < 0 || !memory_type(type, shape))
		return false;
	shape->rank = H5Sget_simple_extent_ndims(space);
	if (shape->rank < 0 || shape->rank > PB_H5_MAX_RANK ||
	    H5Sget_simple_extent_dims(space, dims, NULL) < 0)
		return false;
	shape->count = shape->row = 1;
	for (d = 0; d < shape->rank; d++) {
		shape->dims[d] = (size_t)dims[d];
		if (!pb_size_mul(shape->count, shape->dims[d], &shape->count) ||
		    (d > 0 && !pb_size_mul(shape->row, shape->dims[d], &shape->row)))
			return false;
	}
	shape->chunk_rows = chunk_rows(dataset, shape->rank, dims);
	return stored_bytes(dataset, &stored) &&
	       pb_size_mul(shape->count, shape->element_size, &bytes) &&
	       pb_size_mul(stored, EXPANSION_LIMIT, &limit) && bytes <= limit + 65536;
}

enum pb_status pb_h5_shape(hid_t dataset, const char *path, struct pb_h5_shape *shape,
			   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);

	if (!shape_of(dataset, type, space, shape))
		status = pb_h5_fail(err, PB_ERR_CHECK,
				    "dataset has a shape or type that is never written: %s", path);
	pb_h5_drop(type);
	pb_h5_drop(space);
	return status;
}

size_t pb_h5_rows_at_once(const struct pb_h5_shape *shape, size_t bytes)
{
	const size_t all = shape->rank > 0 ? shape->dims[0] : 1;
	const size_t row = shape->row * shape->element_size;
	size_t rows = row > 0 && row < bytes ? bytes / row : 1;

	if (shape->chunk_rows > 0 && rows > shape->chunk_rows)
		rows -= rows % shape->chunk_rows;
	return rows < all || all == 0 ? rows : all;
}

enum direction { READ, WRITE };

/* Move a box of a dataset; start and count have one entry a dimension (none for a scalar). */
static enum pb_status move(hid_t dataset, const char *path, hid_t type, const hsize_t *start,
			   const hsize_t *count, enum direction direction, void *in,
			   const void *out, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const char *verb = direction == READ ? "read" : "write";
	enum pb_status failure = direction == READ ? PB_ERR_CHECK : PB_ERR_IO;
	hid_t space = H5Dget_space(dataset), memory = -1;
	int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
	herr_t moved = -1;

	if (rank > 0) {
		memory = H5Screate_simple(rank, count, NULL);
		if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0)
			rank = -1;
	} else if (rank == 0) {
		memory = H5Screate(H5S_SCALAR);
	}
	if (rank >= 0 && memory >= 0)
		moved = direction == READ
			    ? H5Dread(dataset, type, memory, space, H5P_DEFAULT, in)
			    : H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, out);
	if (moved < 0)
		status = pb_h5_fail(err, failure, "cannot %s dataset: %s", verb, path);
	pb_h5_drop(memory);
	pb_h5_drop(space);
	return status;
}

/* The box of rows [first, first + n); false when the dataset's shape cannot be read. */
static bool rows(hid_t dataset, size_t first, size_t n, hsize_t *start, hsize_t *count)
{
	hid_t space = H5Dget_space(dataset);
	int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
	bool known = rank >= 0 && rank <= PB_H5_MAX_RANK &&
		     H5Sget_simple_extent_dims(space, count, NULL) >= 0;

	memset(start, 0, PB_H5_MAX_RANK * sizeof *start);
	start[0] = first;
	count[0] = n;
	pb_h5_drop(space);
	return known;
}

enum pb_status pb_h5_read_rows(hid_t dataset, const char *path, hid_t type, size_t first, size_t n,
			       void *data, struct pb_error *err)
{
	hsize_t start[PB_H5_MAX_RANK], count[PB_H5_MAX_RANK];

	if (pb_h5_unpack_rows(dataset, type, first, n, data))
		return PB_OK;
	if (!rows(dataset, first, n, start, count))
		return pb_h5_fail(err, PB_ERR_CHECK, "cannot read dataset: %s", path);
	return move(dataset, path, type, start, count, READ, data, NULL, err);
}

enum pb_status pb_h5_write_rows(hid_t dataset, const char *path, hid_t type, size_t first, size_t n,
				const void *data, struct pb_error *err)
{
	hsize_t start[PB_H5_MAX_RANK], count[PB_H5_MAX_RANK];

	if (!rows(dataset, first, n, start, count))
		return pb_h5_fail(err, PB_ERR_IO, "cannot write dataset: %s", path);
	return move(dataset, path, type, start, count, WRITE, NULL, data, err);
}

static void box(const size_t *start, const size_t *count, int rank, hsize_t *from, hsize_t *n)
{
	int i;

	for (i = 0; i < rank; i++) {
		from[i] = start[i];
		n[i] = count[i];
	}
}

enum pb_status pb_h5_read_box(hid_t dataset, const char *path, hid_t type, const size_t *start,
			      const size_t *count, int rank, void *data, struct pb_error *err)
{
	hsize_t from[PB_H5_MAX_RANK], n[PB_H5_MAX_RANK];

	box(start, count, rank, from, n);
	return move(dataset, path, type, from, n, READ, data, NULL, err);
}

enum pb_status pb_h5_write_box(hid_t dataset, const char *path, hid_t type, const size_t *start,
			       const size_t *count, int rank, const void *data,
			       struct pb_error *err)
{
	hsize_t from[PB_H5_MAX_RANK], n[PB_H5_MAX_RANK];

	box(start, count, rank, from, n);
	return move(dataset, path, type, from, n, WRITE, NULL, data, err);
}

enum pb_status pb_h5_read(hid_t parent, const char *path, hid_t type, size_t count, void *data,
			  struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape;
	hid_t dataset = H5Dopen2(parent, path, H5P_DEFAULT);

	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: %s", path);
	PB_TRY(pb_h5_shape(dataset, path, &shape, err));
	if (shape.count != count) {
		status = pb_fail(err, PB_ERR_CHECK, "dataset of %zu values where %zu belong: %s",
				 shape.count, count, path);
		goto cleanup;
	}
	/* A number is never read as text, nor text as a number. */
	if (shape.is_text != (H5Tget_class(type) == H5T_STRING)) {
		status = pb_fail(err, PB_ERR_CHECK, "dataset of another type: %s", path);
		goto cleanup;
	}
	if (!pb_h5_unpack_rows(dataset, type, 0, shape.rank > 0 ? shape.dims[0] : 0, data) &&
	    H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read dataset: %s", path);
cleanup:
	pb_h5_drop(dataset);
	return status;
}

enum pb_status pb_h5_dataset_close(hid_t *dataset, const char *name, struct pb_error *err)
{
	hid_t id = *dataset;

	*dataset = -1;
	if (H5Dclose(id) < 0)
		return pb_h5_fail(err, PB_ERR_IO, "cannot write dataset: %s", name);
	return PB_OK;
}

void pb_h5_texts_free(char **texts, size_t n)
{
	size_t i;

	for (i = 0; texts != NULL && i < n; i++) {
		(void)H5free_memory(texts[i]);
		texts[i] = NULL;
	}
}
