/* Parsing of GGUF. Layout: the specification in ggml's documentation. */
#include "model/gguf.h"

#include <stdlib.h>
#include <string.h>

/* A vocabulary makes arrays of some 300,000 elements, which are values of one key each; models of
 * 400B parameters have some 1,200 tensors and 60 keys. */
#define KEYS_MAX 65536
#define TENSORS_MAX 65536
#define KEY_BYTES_MAX 65535
#define NAME_BYTES_MAX 255
#define ALIGNMENT_DEFAULT 32
#define ALIGNMENT_MAX ((size_t)1 << 20)

bool pb_gguf_is(const void *data, size_t size)
{
	return size >= 4 && memcmp(data, "GGUF", 4) == 0;
}

/* ---- reading ---------------------------------------------------------------------------- */

struct reader {
	struct pb_gguf *gguf;
	const unsigned char *data;
	size_t size, at;
	struct pb_error *err;
};

static enum pb_status broken(const struct reader *r, const char *name, const char *what)
{
	return pb_fail(r->err, PB_ERR_INPUT,
		       "damaged GGUF file: %s, %s: %s: fetch or convert it again", r->gguf->path,
		       name, what);
}

static enum pb_status cut_short(const struct reader *r, const char *name)
{
	return broken(r, name, "the file ends within it");
}

static uint64_t load(const unsigned char *data, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = bytes; i-- > 0;)
		value = value << 8 | data[i];
	return value;
}

static enum pb_status read_number(struct reader *r, size_t bytes, const char *name, uint64_t *out)
{
	if (r->size - r->at < bytes)
		return cut_short(r, name);
	*out = load(r->data + r->at, bytes);
	r->at += bytes;
	return PB_OK;
}

/* A key or a name: 1 to `max` bytes without control characters, copied with a final NUL. */
static enum pb_status read_name(struct reader *r, const char *what, size_t max, const char **out)
{
	enum pb_status status;
	uint64_t size = 0;

	PB_TRY(read_number(r, 8, what, &size));
	if (size < 1 || size > max)
		return broken(r, what, "its length is out of bounds");
	if (r->size - r->at < size)
		return cut_short(r, what);
	for (size_t i = 0; i < size; i++)
		if (r->data[r->at + i] < 0x20 || r->data[r->at + i] == 0x7f)
			return broken(r, what, "it holds a control character");
	*out = pb_arena_strndup(&r->gguf->arena, (const char *)r->data + r->at, size);
	if (*out == NULL)
		return pb_fail(r->err, PB_ERR_MEMORY, "out of memory: reading %s", r->gguf->path);
	r->at += size;
cleanup:
	return status;
}

/* ---- metadata --------------------------------------------------------------------------- */

/* Bytes of a number; 0 for other types. */
static size_t type_bytes(uint64_t type)
{
	static const unsigned char bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

	return type < sizeof bytes ? bytes[type] : 0;
}

static enum pb_status skip_strings(struct reader *r, const struct pb_gguf_value *value)
{
	enum pb_status status = PB_OK;
	uint64_t size = 0;

	for (size_t i = 0; i < value->n; i++) {
		PB_TRY(read_number(r, 8, value->key, &size));
		if (r->size - r->at < size)
			return cut_short(r, value->key);
		r->at += size;
	}
cleanup:
	return status;
}

static enum pb_status read_value(struct reader *r, struct pb_gguf_value *value)
{
	enum pb_status status;
	uint64_t type = 0, n = 1;

	PB_TRY(read_name(r, "a key", KEY_BYTES_MAX, &value->key));
	PB_TRY(read_number(r, 4, value->key, &type));
	value->array = type == PB_GGUF_ARRAY;
	if (value->array) {
		PB_TRY(read_number(r, 4, value->key, &type));
		PB_TRY(read_number(r, 8, value->key, &n));
		if (type == PB_GGUF_ARRAY)
			return broken(r, value->key, "it is an array of arrays");
	}
	if (type_bytes(type) == 0 && type != PB_GGUF_STRING)
		return broken(r, value->key, "its type is unknown");
	/* A string has at least the 8 bytes of its length. */
	if (n > (r->size - r->at) / (type == PB_GGUF_STRING ? 8 : type_bytes(type)))
		return cut_short(r, value->key);
	value->type = (enum pb_gguf_type)type;
	value->n = n;
	value->data = r->data + r->at;
	if (type == PB_GGUF_STRING)
		PB_TRY(skip_strings(r, value));
	else
		r->at += n * type_bytes(type);
cleanup:
	return status;
}

static int compare_values(const void *a, const void *b)
{
	const struct pb_gguf_value *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static enum pb_status read_values(struct reader *r, size_t n)
{
	enum pb_status status = PB_OK;
	struct pb_gguf *g = r->gguf;

	g->values = pb_arena_alloc(&g->arena, n, sizeof *g->values);
	if (g->values == NULL)
		return pb_fail(r->err, PB_ERR_MEMORY, "out of memory: the keys of %s", g->path);
	for (; g->n_values < n; g->n_values++)
		PB_TRY(read_value(r, &g->values[g->n_values]));
	if (n > 1)
		qsort(g->values, n, sizeof *g->values, compare_values);
	for (size_t i = 1; i < n; i++)
		if (strcmp(g->values[i - 1].key, g->values[i].key) == 0)
			return broken(r, g->values[i].key, "the key is there twice");
cleanup:
	return status;
}

/* ---- tensors ---------------------------------------------------------------------------- */

static const struct {
	unsigned id; /* in the file */
	enum pb_dtype dtype;
} types[] = {
    {0, PB_F32},  {1, PB_F16},   {2, PB_Q4_0},  {3, PB_Q4_1},  {6, PB_Q5_0},  {7, PB_Q5_1},
    {8, PB_Q8_0}, {12, PB_Q4_K}, {13, PB_Q5_K}, {14, PB_Q6_K}, {30, PB_BF16},
};

static enum pb_status find_type(const struct reader *r, const char *name, uint64_t id,
				enum pb_dtype *out)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (types[i].id == id) {
			*out = types[i].dtype;
			return PB_OK;
		}
	}
	return pb_fail(r->err, PB_ERR_INPUT,
		       "dtype not supported: %s, tensor %s: ggml's type %llu: F32, F16, BF16, "
		       "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K are: convert the model "
		       "to one of them",
		       r->gguf->path, name, (unsigned long long)id);
}

/* One row of the table; *offset is into the data. */
static enum pb_status read_tensor(struct reader *r, struct pb_gguf_tensor *t, uint64_t *offset)
{
	enum pb_status status;
	uint64_t n_dims = 0, type = 0, dim = 0;

	PB_TRY(read_name(r, "a tensor's name", NAME_BYTES_MAX, &t->name));
	PB_TRY(read_number(r, 4, t->name, &n_dims));
	if (n_dims > PB_GGUF_DIMS_MAX)
		return broken(r, t->name, "it has more than 4 dimensions");
	t->n_dims = n_dims;
	t->n_elements = 1;
	for (size_t i = 0; i < t->n_dims; i++) {
		PB_TRY(read_number(r, 8, t->name, &dim));
		if (!pb_size_mul(t->n_elements, dim, &t->n_elements))
			return broken(r, t->name, "its shape has too many elements");
		t->shape[t->n_dims - 1 - i] = dim;
	}
	PB_TRY(read_number(r, 4, t->name, &type));
	PB_TRY(read_number(r, 8, t->name, offset));
	PB_TRY(find_type(r, t->name, type, &t->dtype));
	/* a row is whole blocks */
	if ((t->n_dims > 0 ? t->shape[t->n_dims - 1] : 1) % pb_dtype_block(t->dtype) != 0)
		return broken(r, t->name, "its rows are not whole blocks of its type");
	if (t->n_elements > SIZE_MAX / 8)
		return broken(r, t->name, "its shape has too many elements");
	t->n_bytes = pb_dtype_bytes(t->dtype, t->n_elements);
cleanup:
	return status;
}

static int compare_places(const void *a, const void *b)
{
	const struct pb_gguf_tensor *x = a, *y = b;

	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

static int compare_tensors(const void *a, const void *b)
{
	const struct pb_gguf_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static enum pb_status check_apart(const struct reader *r)
{
	struct pb_gguf *g = r->gguf;

	if (g->n_tensors < 2)
		return PB_OK;
	qsort(g->tensors, g->n_tensors, sizeof *g->tensors, compare_places);
	for (size_t i = 1; i < g->n_tensors; i++) {
		const struct pb_gguf_tensor *before = &g->tensors[i - 1], *t = &g->tensors[i];

		if (before->n_bytes > (size_t)(t->data - before->data))
			return broken(r, t->name, "it overlaps another tensor");
	}
	qsort(g->tensors, g->n_tensors, sizeof *g->tensors, compare_tensors);
	for (size_t i = 1; i < g->n_tensors; i++)
		if (strcmp(g->tensors[i - 1].name, g->tensors[i].name) == 0)
			return broken(r, g->tensors[i].name, "the tensor is there twice");
	return PB_OK;
}

static enum pb_status read_alignment(const struct reader *r, size_t *out)
{
	const struct pb_gguf_value *value = pb_gguf_find(r->gguf, "general.alignment");
	int64_t number = ALIGNMENT_DEFAULT;

	if (value != NULL &&
	    (value->type != PB_GGUF_U32 || !pb_gguf_int(value, 0, &number) || number < 1 ||
	     (size_t)number > ALIGNMENT_MAX || (number & (number - 1)) != 0))
		return broken(r, value->key, "it is not a power of two");
	*out = (size_t)number;
	return PB_OK;
}

static enum pb_status read_tensors(struct reader *r, size_t n)
{
	enum pb_status status;
	struct pb_gguf *g = r->gguf;
	uint64_t *offsets = NULL;
	size_t alignment = ALIGNMENT_DEFAULT, begin;

	PB_TRY(pb_alloc((void **)&offsets, n, sizeof *offsets, "offsets of tensors", r->err));
	g->tensors = pb_arena_alloc(&g->arena, n, sizeof *g->tensors);
	if (g->tensors == NULL) {
		status = pb_fail(r->err, PB_ERR_MEMORY, "out of memory: tensors of %s", g->path);
		goto cleanup;
	}
	for (; g->n_tensors < n; g->n_tensors++)
		PB_TRY(read_tensor(r, &g->tensors[g->n_tensors], &offsets[g->n_tensors]));
	PB_TRY(read_alignment(r, &alignment));
	begin = (r->at + alignment - 1) / alignment * alignment;
	for (size_t i = 0; i < n; i++) {
		struct pb_gguf_tensor *t = &g->tensors[i];

		if (offsets[i] % alignment != 0) {
			status = broken(r, t->name, "its place is not aligned");
			goto cleanup;
		}
		if (begin > r->size || offsets[i] > r->size - begin ||
		    t->n_bytes > r->size - begin - offsets[i]) {
			status = cut_short(r, t->name);
			goto cleanup;
		}
		t->data = r->data + begin + offsets[i];
	}
	PB_TRY(check_apart(r));
	for (size_t i = 0; i < n; i++)
		if (g->tensors[i].n_bytes == 0)
			g->tensors[i].data = NULL;
cleanup:
	free(offsets);
	return status;
}

/* ---- the file --------------------------------------------------------------------------- */

static enum pb_status check_version(struct reader *r)
{
	enum pb_status status;
	uint64_t version = 0;

	if (!pb_gguf_is(r->data, r->size))
		return pb_fail(r->err, PB_ERR_INPUT,
			       "not a GGUF file: %s: it does not begin with GGUF", r->gguf->path);
	r->at = 4;
	PB_TRY(read_number(r, 4, "the version", &version));
	if (version >= 0x10000 && (version & 0xffff) == 0)
		return pb_fail(r->err, PB_ERR_INPUT,
			       "byte order not supported: %s: a big-endian GGUF file: convert the "
			       "model on another machine",
			       r->gguf->path);
	if (version != 2 && version != 3)
		return pb_fail(r->err, PB_ERR_INPUT,
			       "version not supported: %s: GGUF version %llu: 2 and 3 are: convert "
			       "the model again",
			       r->gguf->path, (unsigned long long)version);
	r->gguf->version = (uint32_t)version;
cleanup:
	return status;
}

enum pb_status pb_gguf_open(struct pb_gguf *gguf, const void *data, size_t size, const char *path,
			    struct pb_error *err)
{
	enum pb_status status;
	struct reader r = {.gguf = gguf, .data = data, .size = size, .err = err};
	uint64_t n_tensors = 0, n_values = 0;

	*gguf = (struct pb_gguf){.path = path};
	PB_TRY(check_version(&r));
	PB_TRY(read_number(&r, 8, "the number of tensors", &n_tensors));
	PB_TRY(read_number(&r, 8, "the number of keys", &n_values));
	if (n_values > KEYS_MAX) {
		status = broken(&r, "the number of keys", "more than 65536");
		goto cleanup;
	}
	if (n_tensors > TENSORS_MAX) {
		status = broken(&r, "the number of tensors", "more than 65536");
		goto cleanup;
	}
	PB_TRY(read_values(&r, n_values));
	PB_TRY(read_tensors(&r, n_tensors));
cleanup:
	if (status != PB_OK)
		pb_gguf_close(gguf);
	return status;
}

void pb_gguf_close(struct pb_gguf *gguf)
{
	pb_arena_free(&gguf->arena);
	*gguf = (struct pb_gguf){0};
}

/* ---- lookups ---------------------------------------------------------------------------- */

const struct pb_gguf_value *pb_gguf_find(const struct pb_gguf *gguf, const char *key)
{
	const struct pb_gguf_value wanted = {.key = key};

	if (gguf->n_values == 0)
		return NULL;
	return bsearch(&wanted, gguf->values, gguf->n_values, sizeof wanted, compare_values);
}

const struct pb_gguf_tensor *pb_gguf_find_tensor(const struct pb_gguf *gguf, const char *name)
{
	const struct pb_gguf_tensor wanted = {.name = name};

	if (gguf->n_tensors == 0)
		return NULL;
	return bsearch(&wanted, gguf->tensors, gguf->n_tensors, sizeof wanted, compare_tensors);
}

bool pb_gguf_int(const struct pb_gguf_value *value, size_t index, int64_t *out)
{
	static const unsigned wholes = 1u << PB_GGUF_U8 | 1u << PB_GGUF_I8 | 1u << PB_GGUF_U16 |
				       1u << PB_GGUF_I16 | 1u << PB_GGUF_U32 | 1u << PB_GGUF_I32 |
				       1u << PB_GGUF_U64 | 1u << PB_GGUF_I64;
	static const unsigned with_sign = 1u << PB_GGUF_I8 | 1u << PB_GGUF_I16 | 1u << PB_GGUF_I32;
	size_t bytes;
	uint64_t bits, sign;

	if (value == NULL || index >= value->n || (wholes >> value->type & 1) == 0)
		return false;
	bytes = type_bytes(value->type);
	if (bytes == 0)
		return false;
	bits = load(value->data + index * bytes, bytes);
	if (value->type == PB_GGUF_U64 && bits > INT64_MAX)
		return false;
	sign = UINT64_C(1) << (8 * bytes - 1);
	if ((with_sign >> value->type & 1) != 0 && (bits & sign) != 0)
		bits |= ~(sign - 1);
	memcpy(out, &bits, sizeof *out);
	return true;
}

bool pb_gguf_real(const struct pb_gguf_value *value, size_t index, double *out)
{
	int64_t whole;
	uint64_t bits;
	uint32_t bits_32;
	float single;

	if (pb_gguf_int(value, index, &whole)) {
		*out = (double)whole;
		return true;
	}
	if (value == NULL || index >= value->n)
		return false;
	if (value->type == PB_GGUF_F64) {
		bits = load(value->data + 8 * index, 8);
		memcpy(out, &bits, sizeof *out);
		return true;
	}
	if (value->type != PB_GGUF_F32)
		return false;
	bits_32 = (uint32_t)load(value->data + 4 * index, 4);
	memcpy(&single, &bits_32, sizeof single);
	*out = (double)single;
	return true;
}

bool pb_gguf_bool(const struct pb_gguf_value *value, size_t index, bool *out)
{
	if (value == NULL || index >= value->n || value->type != PB_GGUF_BOOL ||
	    value->data[index] > 1)
		return false;
	*out = value->data[index] == 1;
	return true;
}

bool pb_gguf_next_string(const struct pb_gguf_value *value, struct pb_gguf_strings *at,
			 const char **text, size_t *size)
{
	if (value == NULL || value->type != PB_GGUF_STRING || at->index >= value->n)
		return false;
	*size = load(value->data + at->offset, 8); /* checked when the file was opened */
	*text = (const char *)value->data + at->offset + 8;
	at->offset += 8 + *size;
	at->index++;
	return true;
}

bool pb_gguf_string_is(const struct pb_gguf_value *value, const char *text)
{
	struct pb_gguf_strings at = {0};
	const char *found;
	size_t size;

	return value != NULL && !value->array && pb_gguf_next_string(value, &at, &found, &size) &&
	       size == strlen(text) && memcmp(found, text, size) == 0;
}
