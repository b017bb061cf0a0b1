#include "model/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The format's own bound on the header. */
#define HEADER_BYTES_MAX ((size_t)100000000)
#define LENGTH_BYTES ((size_t)8)

static enum pb_status broken(const struct pb_tensor_file *file, struct pb_error *err,
			     const char *what)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "damaged safetensors file: %s: %s: fetch or save it again", file->path,
		       what);
}

static enum pb_status broken_tensor(const struct pb_tensor_file *file, const char *name,
				    struct pb_error *err, const char *what)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "damaged safetensors file: %s, tensor %s: %s: fetch or save it again",
		       file->path, name, what);
}

static enum pb_status out_of_memory(const struct pb_tensor_file *file, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the table of tensors of %s", file->path);
}

/* Bytes of one element; 0 for a dtype that the format does not have (or packs below a byte). */
static size_t element_size(const char *dtype)
{
	static const struct {
		const char *name;
		size_t size;
	} known[] = {
	    {"F32", 4}, {"F16", 2}, {"BF16", 2},    {"F64", 8},     {"BOOL", 1},    {"U8", 1},
	    {"I8", 1},  {"I16", 2}, {"U16", 2},     {"I32", 4},     {"U32", 4},     {"I64", 8},
	    {"U64", 8}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
	};
	size_t i;

	for (i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(dtype, known[i].name) == 0)
			return known[i].size;
	return 0;
}

/* Names are printed in messages: no control characters, so that no file drives a terminal. */
static bool printable(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	for (; *c != '\0'; c++)
		if (*c < 0x20 || *c == 0x7f)
			return false;
	return true;
}

void pb_shape_format(char *text, size_t size, const size_t *shape, size_t n_dims)
{
	size_t used = 0, i;
	int n;

	for (i = 0; i <= n_dims && used < size; i++) {
		if (i == n_dims)
			n = snprintf(text + used, size - used, "%s]", n_dims == 0 ? "[" : "");
		else
			n = snprintf(text + used, size - used, "%s%zu", i == 0 ? "[" : ", ",
				     shape[i]);
		if (n < 0)
			break;
		used += (size_t)n;
	}
}

/* A JSON whole number >= 0 that fits size_t. */
static bool json_to_size(const json_t *value, size_t *out)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uintmax_t)json_integer_value(value) > SIZE_MAX)
		return false;
	*out = (size_t)json_integer_value(value);
	return true;
}

static enum pb_status read_shape(const struct pb_tensor_file *file, struct pb_tensor *tensor,
				 const json_t *shape, struct pb_error *err)
{
	size_t i;

	if (!json_is_array(shape))
		return broken_tensor(file, tensor->name, err, "no shape");
	tensor->n_dims = json_array_size(shape);
	if (tensor->n_dims > PB_TENSOR_DIMS_MAX)
		return broken_tensor(file, tensor->name, err, "more than 8 dimensions");
	tensor->n_elements = 1;
	for (i = 0; i < tensor->n_dims; i++) {
		if (!json_to_size(json_array_get(shape, i), &tensor->shape[i]))
			return broken_tensor(file, tensor->name, err,
					     "a dimension is not a whole number");
		if (!pb_size_mul(tensor->n_elements, tensor->shape[i], &tensor->n_elements))
			return broken_tensor(file, tensor->name, err,
					     "its shape has too many elements");
	}
	return PB_OK;
}

/* One entry of the header; `data_size` is what the file has after the header. */
static enum pb_status read_tensor(struct pb_tensor_file *file, struct pb_tensor *tensor,
				  const char *name, const json_t *entry, size_t data_size,
				  struct pb_error *err)
{
	enum pb_status status;
	const json_t *offsets = json_object_get(entry, "data_offsets");
	const char *dtype = json_string_value(json_object_get(entry, "dtype"));
	size_t bytes;

	if (!printable(name) || name[0] == '\0')
		return broken(file, err, "a tensor's name is empty or has control characters");
	tensor->name = pb_arena_strdup(&file->arena, name);
	if (tensor->name == NULL)
		return out_of_memory(file, err);
	if (dtype == NULL || !printable(dtype))
		return broken_tensor(file, name, err, "no dtype");
	tensor->dtype = pb_arena_strdup(&file->arena, dtype);
	if (tensor->dtype == NULL)
		return out_of_memory(file, err);
	tensor->element_size = element_size(dtype);
	if (tensor->element_size == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "unknown dtype: %s, tensor %s: %s: save the model as F32, F16 or "
			       "BF16",
			       file->path, name, dtype);
	PB_TRY(read_shape(file, tensor, json_object_get(entry, "shape"), err));
	if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
	    !json_to_size(json_array_get(offsets, 0), &tensor->begin) ||
	    !json_to_size(json_array_get(offsets, 1), &tensor->end))
		return broken_tensor(file, name, err, "no data_offsets of two whole numbers");
	if (tensor->begin > tensor->end || tensor->end > data_size)
		return broken_tensor(file, name, err, "its data_offsets lie outside the file");
	if (!pb_size_mul(tensor->n_elements, tensor->element_size, &bytes) ||
	    bytes != tensor->end - tensor->begin)
		return broken_tensor(file, name, err,
				     "its data_offsets do not fit its shape and dtype");
cleanup:
	return status;
}

static int compare_names(const void *a, const void *b)
{
	const struct pb_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int compare_offsets(const void *a, const void *b)
{
	const struct pb_tensor *x = *(const struct pb_tensor *const *)a;
	const struct pb_tensor *y = *(const struct pb_tensor *const *)b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return (x->end > y->end) - (x->end < y->end);
}

/* The tensors, in order of offset, must follow one another from 0 to the end of the data. */
static enum pb_status check_cover(const struct pb_tensor_file *file, size_t data_size,
				  struct pb_error *err)
{
	enum pb_status status;
	const struct pb_tensor **order = NULL;
	void *memory = NULL;
	size_t at = 0, i;

	PB_TRY(pb_alloc(&memory, file->n_tensors, sizeof *order, "the order of tensors", err));
	order = memory;
	for (i = 0; i < file->n_tensors; i++)
		order[i] = &file->tensors[i];
	if (file->n_tensors > 1)
		qsort(order, file->n_tensors, sizeof *order, compare_offsets);
	for (i = 0; i < file->n_tensors; i++) {
		if (order[i]->begin != at) {
			status =
			    broken_tensor(file, order[i]->name, err,
					  order[i]->begin < at ? "its data overlap another tensor's"
							       : "there is a gap before its data");
			goto cleanup;
		}
		at = order[i]->end;
	}
	if (at != data_size)
		status = broken(file, err, "data after the last tensor");
cleanup:
	free(memory);
	return status;
}

static bool all_strings(json_t *object)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return false;
	json_object_foreach(object, key, value)
	{
		if (!json_is_string(value))
			return false;
	}
	return true;
}

static enum pb_status read_tensors(struct pb_tensor_file *file, json_t *header,
				   const unsigned char *data, size_t data_size,
				   struct pb_error *err)
{
	enum pb_status status;
	struct pb_tensor *tensor;
	const char *name;
	json_t *entry;

	file->tensors =
	    pb_arena_alloc(&file->arena, json_object_size(header), sizeof *file->tensors);
	if (file->tensors == NULL)
		return out_of_memory(file, err);
	json_object_foreach(header, name, entry)
	{
		if (strcmp(name, "__metadata__") == 0) {
			if (all_strings(entry))
				continue;
			return broken(file, err, "__metadata__ is not an object of strings");
		}
		tensor = &file->tensors[file->n_tensors];
		PB_TRY(read_tensor(file, tensor, name, entry, data_size, err));
		if (tensor->n_elements > 0)
			tensor->data = data + tensor->begin;
		file->n_tensors++;
	}
	if (file->n_tensors > 1)
		qsort(file->tensors, file->n_tensors, sizeof *file->tensors, compare_names);
	status = check_cover(file, data_size, err);
cleanup:
	return status;
}

/* Length of the JSON header, checked against the file. */
static enum pb_status read_header_length(const struct pb_tensor_file *file, size_t *length,
					 struct pb_error *err)
{
	const struct pb_map *map = &file->map;
	uint64_t value = 0;
	size_t i;

	if (map->size < LENGTH_BYTES)
		return broken(file, err, "shorter than the 8 bytes it must begin with");
	for (i = 0; i < LENGTH_BYTES; i++)
		value |= (uint64_t)map->data[i] << (8 * i);
	if (value > HEADER_BYTES_MAX)
		return broken(file, err,
			      "its header claims more than the 100 MB that the format allows");
	if (value > map->size - LENGTH_BYTES)
		return broken(file, err, "its header claims to be longer than the file");
	*length = (size_t)value;
	return PB_OK;
}

enum pb_status pb_safetensors_open(struct pb_tensor_file *file, const char *path,
				   struct pb_error *err)
{
	enum pb_status status;
	json_t *header = NULL;
	json_error_t where;
	const char *text;
	size_t length = 0, start;

	*file = (struct pb_tensor_file){0};
	file->path = strdup(path);
	if (file->path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", path);
	PB_TRY(pb_map_open(&file->map, path, err));
	PB_TRY(read_header_length(file, &length, err));
	start = LENGTH_BYTES + length;
	text = (const char *)file->map.data + LENGTH_BYTES;
	/* The format wants the brace first: no blanks before it. */
	if (length == 0 || text[0] != '{') {
		status = broken(file, err, "its header is not a JSON object");
		goto cleanup;
	}
	header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
	if (header == NULL && json_error_code(&where) == json_error_out_of_memory) {
		status = out_of_memory(file, err);
		goto cleanup;
	}
	if (header == NULL) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "damaged safetensors file: %s, header, column %d: %s: fetch or "
				 "save it again",
				 path, where.column, where.text);
		goto cleanup;
	}
	PB_TRY(read_tensors(file, header, file->map.data + start, file->map.size - start, err));
cleanup:
	json_decref(header);
	if (status != PB_OK)
		pb_tensor_file_close(file);
	return status;
}

void pb_tensor_file_close(struct pb_tensor_file *file)
{
	pb_map_close(&file->map);
	pb_arena_free(&file->arena);
	free(file->path);
	*file = (struct pb_tensor_file){0};
}

struct pb_tensor *pb_tensor_file_find(const struct pb_tensor_file *file, const char *name)
{
	const struct pb_tensor key = {.name = name};

	if (file->n_tensors == 0)
		return NULL;
	return bsearch(&key, file->tensors, file->n_tensors, sizeof *file->tensors, compare_names);
}
