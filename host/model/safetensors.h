/* A safetensors file: 8 bytes (the header's length, little endian), a JSON header, the data. */
#ifndef PB_MODEL_SAFETENSORS_H
#define PB_MODEL_SAFETENSORS_H

#include "patchbay/base.h"

#define PB_TENSOR_DIMS_MAX 8

struct pb_tensor {
	const char *name;
	const char *dtype;   /* as the file says: "F32", "BOOL", ... */
	size_t element_size; /* bytes; 0 for a type of blocks */
	size_t n_dims;       /* 0: a single number */
	size_t shape[PB_TENSOR_DIMS_MAX];
	size_t n_elements;
	size_t begin, end;   /* bytes from the start of the data */
	const void *data;    /* in the map, at any alignment; NULL without elements */
	size_t file;         /* of its checkpoint's, see checkpoint.h */
	const char *skipped; /* why the model does not use it, NULL if it does */
	bool used;
	/* In a GGUF file: see `interleaved` in struct pb_weight; and whether the number that a
	 * family adds to a norm's weight is in it already. */
	bool interleaved, plus_stored;
};

/* An open file of tensors; torch_file.h and gguf_file.h open other formats of them. */
struct pb_tensor_file {
	char *path;
	struct pb_map map;
	struct pb_arena arena;     /* names and the table */
	struct pb_tensor *tensors; /* sorted by name */
	size_t n_tensors;
};

/* Map and check a file: the header's length against the file's, each name, dtype, shape and
 * offset, sizes against shapes, and that the tensors cover the data without gap or overlap.
 * PB_ERR_INPUT with file and tensor otherwise; nothing is left open then. */
enum pb_status pb_safetensors_open(struct pb_tensor_file *file, const char *path,
				   struct pb_error *err);
void pb_tensor_file_close(struct pb_tensor_file *file);

/* NULL when there is no tensor of that name. */
struct pb_tensor *pb_tensor_file_find(const struct pb_tensor_file *file, const char *name);

/* "[4, 12]" for messages, cut to fit. */
void pb_shape_format(char *text, size_t size, const size_t *shape, size_t n_dims);

#endif
