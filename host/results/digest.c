/* Walking a result file, and its checksums. */
#include "results/digest.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)4 << 20)
#define MAX_DEPTH 6 /* our files have three levels; a cycle of links must end somewhere */

/* ---- objects --------------------------------------------------------------------------- */

static enum pb_status add_object(struct pb_objects *objects, const char *path, bool is_dataset,
				 struct pb_error *err)
{
	enum pb_status status;
	void *grown = objects->items;

	PB_TRY(pb_grow(&grown, &objects->capacity, objects->n + 1, sizeof *objects->items,
		       "objects", err));
	objects->items = grown;
	objects->items[objects->n].path = strdup(path);
	objects->items[objects->n].is_dataset = is_dataset;
	if (objects->items[objects->n].path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the names of datasets");
	objects->n++;
cleanup:
	return status;
}

/* Is `object`, linked as `name` in a group, the object of that name in the group at `above`? */
static bool is_linked_from(hid_t file, const char *above, const char *name, hid_t object)
{
	char *path = pb_format("%s/%s", above, name);
	uint64_t here, there;
	bool same = false;
	hid_t scale;

	if (path != NULL && pb_h5_exists(file, path)) {
		scale = H5Oopen(file, path, H5P_DEFAULT);
		same = scale >= 0 && pb_h5_address(scale, &there) && pb_h5_address(object, &here) &&
		       here == there;
		pb_h5_drop(scale);
	}
	free(path);
	return same;
}

/* Is it a scale of a group above the one at `prefix`? */
static bool is_scale_above(hid_t file, const char *prefix, const char *name, hid_t object)
{
	char *above = strdup(prefix), *slash;
	bool found = false;

	while (!found && above != NULL && (slash = strrchr(above, '/')) != NULL) {
		*slash = '\0';
		found = is_linked_from(file, above, name, object);
	}
	free(above);
	return found;
}

static enum pb_status list_group(struct pb_objects *objects, hid_t file, hid_t group,
				 const char *prefix, int depth, struct pb_error *err);

static enum pb_status list_object(struct pb_objects *objects, hid_t file, hid_t group,
				  const char *prefix, const char *name, int depth,
				  struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char *path = pb_format("%s/%s", prefix, name);
	hid_t object = H5Oopen(group, name, H5P_DEFAULT);
	H5I_type_t kind = object >= 0 ? H5Iget_type(object) : H5I_BADID;

	if (path == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the names of datasets");
		goto cleanup;
	}
	if (kind != H5I_GROUP && kind != H5I_DATASET) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot open: %s", path);
		goto cleanup;
	}
	if (depth > 0 && kind == H5I_DATASET && is_scale_above(file, prefix, name, object))
		goto cleanup;
	PB_TRY(add_object(objects, path, kind == H5I_DATASET, err));
	if (kind == H5I_GROUP)
		status = list_group(objects, file, object, path, depth + 1, err);
cleanup:
	pb_h5_drop(object);
	free(path);
	return status;
}

static enum pb_status list_group(struct pb_objects *objects, hid_t file, hid_t group,
				 const char *prefix, int depth, struct pb_error *err)
{
	enum pb_status status;
	char **names = NULL;
	size_t n = 0, i;

	if (depth > MAX_DEPTH)
		return pb_fail(err, PB_ERR_CHECK, "groups are nested too deep: %s", prefix);
	PB_TRY(pb_h5_names(group, &names, &n, err));
	for (i = 0; i < n; i++)
		PB_TRY(list_object(objects, file, group, prefix, names[i], depth, err));
cleanup:
	pb_h5_names_free(names, n);
	return status;
}

enum pb_status pb_objects_list(struct pb_objects *out, hid_t file, struct pb_error *err)
{
	enum pb_status status;
	hid_t root = -1;

	*out = (struct pb_objects){0};
	PB_TRY(pb_h5_group_open(&root, file, "/", err));
	PB_TRY(list_group(out, file, root, "", 0, err));
cleanup:
	pb_h5_drop(root);
	if (status != PB_OK)
		pb_objects_free(out);
	return status;
}

void pb_objects_free(struct pb_objects *objects)
{
	size_t i;

	for (i = 0; i < objects->n; i++)
		free(objects->items[i].path);
	free(objects->items);
	*objects = (struct pb_objects){0};
}

/* ---- datasets -------------------------------------------------------------------------- */

enum pb_status pb_dataset_walk(hid_t file, const char *path, pb_block_visitor visit, void *context,
			       struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape;
	hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT), text = -1;
	void *block = NULL;
	size_t rows, row_bytes, n_rows, first, n;

	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: %s", path);
	PB_TRY(pb_h5_shape(dataset, path, &shape, err));
	if (shape.is_text)
		PB_TRY(pb_h5_text_type(&text, err));
	n_rows = shape.rank > 0 ? shape.dims[0] : 1;
	row_bytes = shape.row * shape.element_size; /* at most the whole, which was checked */
	rows = pb_h5_rows_at_once(&shape, BLOCK_BYTES);
	PB_TRY(pb_alloc(&block, rows, row_bytes, path, err));
	for (first = 0; shape.count > 0 && first < n_rows; first += rows) {
		n = n_rows - first < rows ? n_rows - first : rows;
		PB_TRY(pb_h5_read_rows(dataset, path, shape.is_text ? text : shape.type, first, n,
				       block, err));
		status = visit(context, &shape, first, n, block, err);
		if (shape.is_text)
			pb_h5_texts_free(block, n * shape.row);
		PB_TRY(status);
	}
cleanup:
	free(block);
	pb_h5_drop(text);
	pb_h5_drop(dataset);
	return status;
}

static enum pb_status hash_block(void *context, const struct pb_h5_shape *shape, size_t first_row,
				 size_t n_rows, const void *values, struct pb_error *err)
{
	enum pb_status status;
	struct pb_sha256 *sha = context;
	const char *const *texts = values;
	size_t i;

	(void)first_row;
	if (!shape->is_text)
		return pb_sha256_add(sha, values, n_rows * shape->row * shape->element_size, err);
	for (i = 0; i < n_rows * shape->row; i++) {
		const char *text = texts[i] != NULL ? texts[i] : "";

		PB_TRY(pb_sha256_add(sha, text, strlen(text) + 1, err));
	}
	status = PB_OK;
cleanup:
	return status;
}

enum pb_status pb_digest_dataset(hid_t file, const char *path, char hex[PB_SHA256_HEX],
				 struct pb_error *err)
{
	enum pb_status status;
	struct pb_sha256 *sha = NULL;

	PB_TRY(pb_sha256_begin(&sha, err));
	PB_TRY(pb_dataset_walk(file, path, hash_block, sha, err));
	return pb_sha256_end(sha, hex, err);
cleanup:
	pb_sha256_free(sha);
	return status;
}

/* ---- attributes ------------------------------------------------------------------------ */

/* The attribute's value as bytes that do not depend on the machine; kinds that the schema does not
 * write by itself (references of the dimension scales) add nothing. */
static enum pb_status hash_value(hid_t attribute, hid_t object, const char *name,
				 struct pb_sha256 *sha, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
	H5T_class_t kind = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
	hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : 0;
	unsigned char *numbers = NULL;
	char *text = NULL;

	/* the fixed texts that HDF5's dimension scales have are ASCII, our own are not */
	if (kind == H5T_STRING && n == 1 &&
	    (H5Tis_variable_str(type) > 0 || H5Tget_cset(type) == H5T_CSET_UTF8)) {
		PB_TRY(pb_h5_get_text(object, name, &text, err));
		PB_TRY(pb_sha256_add(sha, text, strlen(text) + 1, err));
	} else if ((kind == H5T_INTEGER || kind == H5T_FLOAT) && n > 0) {
		hid_t memory = kind == H5T_FLOAT                   ? H5T_IEEE_F64LE
			       : H5Tget_sign(type) == H5T_SGN_NONE ? H5T_STD_U64LE
								   : H5T_STD_I64LE;

		PB_TRY(pb_alloc((void **)&numbers, (size_t)n, 8, name, err));
		if (H5Aread(attribute, memory, numbers) < 0)
			status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read attribute: %s", name);
		else
			status = pb_sha256_add(sha, numbers, (size_t)n * 8, err);
	}
cleanup:
	free(numbers);
	free(text);
	pb_h5_drop(space);
	pb_h5_drop(type);
	return status;
}

struct attribute_walk {
	struct pb_sha256 *sha;
	const char *path;
	enum pb_status status;
	struct pb_error *err;
};

static herr_t hash_attribute(hid_t object, const char *name, const H5A_info_t *info, void *data)
{
	struct attribute_walk *walk = data;
	hid_t attribute;

	(void)info;
	if (strcmp(name, "attributes_sha256") == 0)
		return 0;
	attribute = H5Aopen(object, name, H5P_DEFAULT);
	if (attribute < 0) {
		walk->status = pb_h5_fail(walk->err, PB_ERR_CHECK,
					  "cannot read attribute: %s of %s", name, walk->path);
		return 1;
	}
	walk->status = pb_sha256_add(walk->sha, walk->path, strlen(walk->path) + 1, walk->err);
	if (walk->status == PB_OK)
		walk->status = pb_sha256_add(walk->sha, name, strlen(name) + 1, walk->err);
	if (walk->status == PB_OK)
		walk->status = hash_value(attribute, object, name, walk->sha, walk->err);
	pb_h5_drop(attribute);
	return walk->status == PB_OK ? 0 : 1;
}

static enum pb_status hash_attributes(hid_t file, const char *path, struct pb_sha256 *sha,
				      struct pb_error *err)
{
	struct attribute_walk walk = {.sha = sha, .path = path, .err = err};
	hid_t object = H5Oopen(file, path, H5P_DEFAULT);
	hsize_t index = 0;

	if (object < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "cannot open: %s", path);
	if (H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &index, hash_attribute, &walk) < 0 &&
	    walk.status == PB_OK)
		walk.status = pb_h5_fail(err, PB_ERR_CHECK, "cannot list attributes: %s", path);
	pb_h5_drop(object);
	return walk.status;
}

enum pb_status pb_digest_attributes(hid_t file, const struct pb_objects *objects,
				    char hex[PB_SHA256_HEX], struct pb_error *err)
{
	enum pb_status status;
	struct pb_sha256 *sha = NULL;
	size_t i;

	PB_TRY(pb_sha256_begin(&sha, err));
	PB_TRY(hash_attributes(file, "/", sha, err));
	for (i = 0; i < objects->n; i++)
		PB_TRY(hash_attributes(file, objects->items[i].path, sha, err));
	return pb_sha256_end(sha, hex, err);
cleanup:
	pb_sha256_free(sha);
	return status;
}
