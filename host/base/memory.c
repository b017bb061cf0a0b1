/* Checked sizes, zeroed arrays, arenas, formatted strings. */
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"

bool pb_size_mul(size_t a, size_t b, size_t *out)
{
	size_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*out = product;
	return true;
}

bool pb_size_add(size_t a, size_t b, size_t *out)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*out = sum;
	return true;
}

/* Bytes of a request, at least 1; false when no object can be that large. */
static bool request_bytes(size_t count, size_t size, size_t *bytes)
{
	if (!pb_size_mul(count, size, bytes) || *bytes > PTRDIFF_MAX)
		return false;
	if (*bytes == 0)
		*bytes = 1;
	return true;
}

static enum pb_status out_of_memory(size_t count, size_t size, const char *what,
				    struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY,
		       "out of memory: %zu x %zu bytes for %s: "
		       "give the job more memory or make it smaller",
		       count, size, what);
}

enum pb_status pb_alloc(void **out, size_t count, size_t size, const char *what,
			struct pb_error *err)
{
	size_t bytes;

	*out = NULL;
	if (!request_bytes(count, size, &bytes))
		return out_of_memory(count, size, what, err);
	*out = calloc(1, bytes);
	if (*out == NULL)
		return out_of_memory(count, size, what, err);
	return PB_OK;
}

enum pb_status pb_grow(void **array, size_t *capacity, size_t needed, size_t size, const char *what,
		       struct pb_error *err)
{
	size_t target, bytes, old_bytes;
	void *grown;

	if (*array != NULL && needed <= *capacity)
		return PB_OK;
	/* Half as much again keeps appending one by one linear. */
	if (!pb_size_add(*capacity, *capacity / 2, &target) || target < needed)
		target = needed;
	if (target < 16)
		target = 16;
	if (!request_bytes(target, size, &bytes))
		return out_of_memory(target, size, what, err);
	grown = realloc(*array, bytes);
	if (grown == NULL)
		return out_of_memory(target, size, what, err);
	old_bytes = *array != NULL ? *capacity * size : 0;
	memset((char *)grown + old_bytes, 0, bytes - old_bytes);
	*array = grown;
	*capacity = target;
	return PB_OK;
}

/* ---- arena --------------------------------------------------------------------------- */

#define ARENA_BLOCK_BYTES ((size_t)64 << 10)

struct pb_arena_block {
	struct pb_arena_block *next;
	size_t used, size; /* bytes of `data` */
	_Alignas(max_align_t) unsigned char data[];
};

static struct pb_arena_block *arena_new_block(size_t bytes)
{
	struct pb_arena_block *block;
	size_t total;

	if (!pb_size_add(bytes, sizeof *block, &total) || total > PTRDIFF_MAX)
		return NULL;
	block = calloc(1, total);
	if (block != NULL)
		block->size = bytes;
	return block;
}

void *pb_arena_alloc(struct pb_arena *arena, size_t count, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	struct pb_arena_block *block = arena->head;
	size_t bytes;
	void *result;

	if (!request_bytes(count, size, &bytes))
		return NULL;
	bytes = (bytes + align - 1) / align * align;
	if (block == NULL || bytes > block->size - block->used) {
		block = arena_new_block(bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES);
		if (block == NULL)
			return NULL;
		if (bytes > ARENA_BLOCK_BYTES && arena->head != NULL) {
			/* A large object fills its block: the head keeps its free space. */
			block->next = arena->head->next;
			arena->head->next = block;
		} else {
			block->next = arena->head;
			arena->head = block;
		}
	}
	result = block->data + block->used;
	block->used += bytes;
	return result;
}

char *pb_arena_strndup(struct pb_arena *arena, const char *text, size_t n)
{
	char *copy;
	size_t bytes;

	if (!pb_size_add(n, 1, &bytes))
		return NULL;
	copy = pb_arena_alloc(arena, bytes, 1);
	if (copy != NULL && n > 0)
		memcpy(copy, text, n);
	return copy;
}

char *pb_arena_strdup(struct pb_arena *arena, const char *text)
{
	return pb_arena_strndup(arena, text, strlen(text));
}

void pb_arena_free(struct pb_arena *arena)
{
	struct pb_arena_block *block = arena->head;

	while (block != NULL) {
		struct pb_arena_block *next = block->next;

		free(block);
		block = next;
	}
	arena->head = NULL;
}

/* ---- strings ------------------------------------------------------------------------- */

char *pb_format(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	return n < 0 ? NULL : text;
}
