/* A GGUF file (version 2 or 3, little endian): a header, key-value metadata, a table of tensors,
 * the aligned data. Everything read here points into the memory that was parsed. */
#ifndef PB_MODEL_GGUF_H
#define PB_MODEL_GGUF_H

#include "patchbay/base.h"
#include "patchbay/model.h"

enum pb_gguf_type {
	PB_GGUF_U8,
	PB_GGUF_I8,
	PB_GGUF_U16,
	PB_GGUF_I16,
	PB_GGUF_U32,
	PB_GGUF_I32,
	PB_GGUF_F32,
	PB_GGUF_BOOL,
	PB_GGUF_STRING,
	PB_GGUF_ARRAY, /* never the type of a struct pb_gguf_value */
	PB_GGUF_U64,
	PB_GGUF_I64,
	PB_GGUF_F64,
};

/* One key with its value, a scalar or an array of scalars. */
struct pb_gguf_value {
	const char *key;
	enum pb_gguf_type type; /* of the scalar, or of an array's elements */
	bool array;
	size_t n;                  /* elements; 1 for a scalar */
	const unsigned char *data; /* the first of them, at any alignment */
};

#define PB_GGUF_DIMS_MAX 4

struct pb_gguf_tensor {
	const char *name;
	enum pb_dtype dtype;
	size_t n_dims, shape[PB_GGUF_DIMS_MAX]; /* slowest first: [out, in] for a matrix */
	size_t n_elements;
	const unsigned char *data; /* NULL without elements */
	size_t n_bytes;
};

struct pb_gguf {
	const char *path; /* for messages */
	uint32_t version;
	struct pb_gguf_value *values; /* sorted by key */
	size_t n_values;
	struct pb_gguf_tensor *tensors; /* sorted by name */
	size_t n_tensors;
	struct pb_arena arena; /* keys, names and the tables */
};

/* Whether a file begins as a GGUF file does. */
bool pb_gguf_is(const void *data, size_t size);

/* Parse `size` bytes at `data`, which must stay until pb_gguf_close; `path` too. Checked: every
 * length and count against what is left, types, no key or tensor twice, alignment, tensors inside
 * the data and apart from each other. PB_ERR_INPUT names the file and the key or tensor; nothing is
 * left open then. */
enum pb_status pb_gguf_open(struct pb_gguf *gguf, const void *data, size_t size, const char *path,
			    struct pb_error *err);
void pb_gguf_close(struct pb_gguf *gguf);

/* NULL when there is no such key, or no such tensor. */
const struct pb_gguf_value *pb_gguf_find(const struct pb_gguf *gguf, const char *key);
const struct pb_gguf_tensor *pb_gguf_find_tensor(const struct pb_gguf *gguf, const char *name);

/* Element `index` (0 for a scalar) of a value; false when it is of another kind, out of range, or
 * does not fit. Any integer type serves pb_gguf_int, any number pb_gguf_real. */
bool pb_gguf_int(const struct pb_gguf_value *value, size_t index, int64_t *out);
bool pb_gguf_real(const struct pb_gguf_value *value, size_t index, double *out);
bool pb_gguf_bool(const struct pb_gguf_value *value, size_t index, bool *out);

/* The strings of a value one after another: begin with a zeroed iterator. *text is not ended by a
 * NUL and may hold any byte. False after the last, and for values of another type. */
struct pb_gguf_strings {
	size_t index, offset;
};
bool pb_gguf_next_string(const struct pb_gguf_value *value, struct pb_gguf_strings *at,
			 const char **text, size_t *size);
/* Whether a value is one string, equal to `text`. */
bool pb_gguf_string_is(const struct pb_gguf_value *value, const char *text);

#endif
