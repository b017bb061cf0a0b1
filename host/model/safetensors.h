/* A safetensors file: 8 bytes (the header's length, little endian), a JSON header, the data. */
#ifndef PB_MODEL_SAFETENSORS_H
#define PB_MODEL_SAFETENSORS_H

#include "patchbay/base.h"

#define PB_TENSOR_DIMS_MAX 8

struct pb_tensor {
	const char *name;
	const char *dtype;   /* as the file says: "F32", "BOOL", ... */
	size_t element_size; /* bytes */
	size_t n_dims;       /* 0: a single number */
	size_t shape[PB_TENSOR_DIMS_MAX];
	size_t n_elements;
	size_t begin, end;   /* bytes from the start of the data */
	const void *data;    /* in the map, at any alignment; NULL without elements */
	const char *skipped; /* why the model does not use it, NULL if it does */
	bool used;
};

struct pb_safetensors {
	char *path;
	struct pb_map map;
	struct pb_arena arena;     /* names and the table */
	struct pb_tensor *tensors; /* sorted by name */
	size_t n_tensors;
};

/* Map and check a file: the header's length against the file's, each name, dtype, shape and
 * offset, sizes against shapes, and that the tensors cover the data without gap or overlap.
 * PB_ERR_INPUT with file and tensor otherwise; nothing is left open then. */
enum pb_status pb_safetensors_open(struct pb_safetensors *file, const char *path,
				   struct pb_error *err);
void pb_safetensors_close(struct pb_safetensors *file);

/* NULL when there is no tensor of that name. */
struct pb_tensor *pb_safetensors_find(const struct pb_safetensors *file, const char *name);

/* "[4, 12]" for messages, cut to fit. */
void pb_shape_format(char *text, size_t size, const size_t *shape, size_t n_dims);

#endif
