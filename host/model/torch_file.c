#include "model/torch_file.h"

#include <stdlib.h>
#include <string.h>

#include "model/pickle.h"
#include "model/zip_map.h"

static enum pb_status broken(const struct pb_tensor_file *file, const char *name, const char *what,
			     struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "damaged PyTorch file: %s, %s: %s: fetch or save it again", file->path, name,
		       what);
}

/* The record <archive>/data.pkl. */
static enum pb_status find_pickle(const struct pb_tensor_file *file, const struct pb_zip *zip,
				  const struct pb_zip_record **out, struct pb_error *err)
{
	*out = NULL;
	for (size_t i = 0; i < zip->n; i++) {
		const char *slash = strchr(zip->records[i].name, '/');

		if (slash == NULL || strcmp(slash, "/data.pkl") != 0)
			continue;
		if (*out != NULL)
			return broken(file, "data.pkl", "there are two of them", err);
		*out = &zip->records[i];
	}
	if (*out == NULL)
		return broken(file, "data.pkl", "there is none in the archive", err);
	return PB_OK;
}

/* A record of the archive: its folder is that of the pickle. */
static const struct pb_zip_record *find_record(const struct pb_zip *zip,
					       const struct pb_zip_record *pickle,
					       const char *below, const char *name)
{
	size_t folder = strlen(pickle->name) - strlen("data.pkl");
	char *path = pb_format("%.*s%s%s", (int)folder, pickle->name, below, name);
	const struct pb_zip_record *record = path != NULL ? pb_zip_find(zip, path) : NULL;

	free(path);
	return record;
}

static enum pb_status check_byte_order(const struct pb_tensor_file *file, const struct pb_zip *zip,
				       const struct pb_zip_record *pickle, struct pb_error *err)
{
	const struct pb_zip_record *order = find_record(zip, pickle, "", "byteorder");

	if (order != NULL &&
	    (order->size != 6 || memcmp(file->map.data + order->at, "little", 6) != 0))
		return pb_fail(err, PB_ERR_INPUT,
			       "byte order not supported: %s: its storages are not little-endian: "
			       "save the model again on another machine",
			       file->path);
	return PB_OK;
}

/* Elements of a shape whose strides are those of rows one after another. */
static enum pb_status count_elements(const struct pb_tensor_file *file,
				     const struct pb_pickled_tensor *t, size_t *n,
				     struct pb_error *err)
{
	*n = 1;
	for (size_t i = t->n_dims; i-- > 0;) {
		if (t->shape[i] != 1 && t->stride[i] != *n)
			return broken(file, t->name,
				      "it is not contiguous (save it with .contiguous())", err);
		if (!pb_size_mul(*n, t->shape[i], n))
			return broken(file, t->name, "its shape has too many elements", err);
	}
	return PB_OK;
}

static enum pb_status add_tensor(struct pb_tensor_file *file, const struct pb_zip *zip,
				 const struct pb_zip_record *pickle,
				 const struct pb_pickled_tensor *t, struct pb_error *err)
{
	enum pb_status status;
	struct pb_tensor *tensor = &file->tensors[file->n_tensors];
	const struct pb_zip_record *record = find_record(zip, pickle, "data/", t->storage);
	size_t n, bytes;

	if (record == NULL)
		return broken(file, t->name, "its storage is not in the archive", err);
	PB_TRY(count_elements(file, t, &n, err));
	if (!pb_size_mul(t->n_storage, t->element_size, &bytes) || bytes != record->size)
		return broken(file, t->name, "its storage has another size than the pickle says",
			      err);
	if (t->offset > t->n_storage || n > t->n_storage - t->offset)
		return broken(file, t->name, "it reaches beyond its storage", err);
	*tensor = (struct pb_tensor){.name = t->name,
				     .dtype = t->dtype,
				     .element_size = t->element_size,
				     .n_dims = t->n_dims,
				     .n_elements = n,
				     .begin = record->at + t->offset * t->element_size};
	memcpy(tensor->shape, t->shape, sizeof tensor->shape);
	tensor->end = tensor->begin + n * t->element_size;
	if (n > 0)
		tensor->data = file->map.data + tensor->begin;
	file->n_tensors++;
cleanup:
	return status;
}

static int by_name(const void *a, const void *b)
{
	const struct pb_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static enum pb_status read_file(struct pb_tensor_file *file, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_zip_record *record;
	struct pb_pickle pickle;
	struct pb_zip zip;

	PB_TRY(pb_zip_read(&zip, &file->map, file->path, &file->arena, err));
	PB_TRY(find_pickle(file, &zip, &record, err));
	PB_TRY(check_byte_order(file, &zip, record, err));
	PB_TRY(pb_pickle_read(&pickle, file->map.data + record->at, record->size, file->path,
			      &file->arena, err));
	file->tensors = pb_arena_alloc(&file->arena, pickle.n, sizeof *file->tensors);
	if (file->tensors == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the table of tensors of %s",
			       file->path);
	for (size_t i = 0; i < pickle.n; i++)
		PB_TRY(add_tensor(file, &zip, record, &pickle.tensors[i], err));
	if (file->n_tensors > 1)
		qsort(file->tensors, file->n_tensors, sizeof *file->tensors, by_name);
	for (size_t i = 1; i < file->n_tensors; i++)
		if (strcmp(file->tensors[i - 1].name, file->tensors[i].name) == 0)
			return broken(file, file->tensors[i].name, "its name is there twice", err);
cleanup:
	return status;
}

enum pb_status pb_torch_open(struct pb_tensor_file *file, const char *path, struct pb_error *err)
{
	enum pb_status status;

	*file = (struct pb_tensor_file){0};
	file->path = strdup(path);
	if (file->path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", path);
	PB_TRY(pb_map_open(&file->map, path, err));
	PB_TRY(read_file(file, err));
cleanup:
	if (status != PB_OK)
		pb_tensor_file_close(file);
	return status;
}
