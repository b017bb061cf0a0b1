/* Bytes that are written and read by the same lines. */
#include "results/codec.h"

#include <string.h>

/* Numbers are stored as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian machines only");

enum pb_status pb_codec_fail(const char *what, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_CHECK, "the stored experiment does not hold together: %s", what);
}

/* The next `size` bytes: room for them, or where they lie. */
static enum pb_status take(struct pb_codec *c, size_t size, unsigned char **at,
			   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	void *grown = c->data;
	size_t end;

	if (!c->writing) {
		if (size > c->size - c->at)
			return pb_codec_fail("it ends too early", err);
		*at = c->data + c->at;
		c->at += size;
		return PB_OK;
	}
	if (!pb_size_add(c->size, size, &end))
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the experiment's bytes");
	PB_TRY(pb_grow(&grown, &c->capacity, end, 1, "the experiment's bytes", err));
	c->data = grown;
	*at = c->data + c->size;
	c->size = end;
cleanup:
	return status;
}

enum pb_status pb_codec_number(struct pb_codec *c, uint64_t *value, struct pb_error *err)
{
	unsigned char *at = NULL;
	enum pb_status status = take(c, sizeof *value, &at, err);

	if (status == PB_OK && c->writing)
		memcpy(at, value, sizeof *value);
	else if (status == PB_OK)
		memcpy(value, at, sizeof *value);
	return status;
}

enum pb_status pb_codec_double(struct pb_codec *c, double *value, struct pb_error *err)
{
	uint64_t bits = 0;
	enum pb_status status;

	memcpy(&bits, value, sizeof bits);
	status = pb_codec_number(c, &bits, err);
	if (status == PB_OK)
		memcpy(value, &bits, sizeof bits);
	return status;
}

enum pb_status pb_codec_array(struct pb_codec *c, const void **array, size_t n, size_t size,
			      struct pb_error *err)
{
	unsigned char *at = NULL;
	size_t bytes, padded;
	enum pb_status status;

	if (!pb_size_mul(n, size, &bytes) || !pb_size_add(bytes, 7, &padded))
		return pb_codec_fail("an array is too large", err);
	padded = padded / 8 * 8;
	PB_TRY(take(c, padded, &at, err));
	if (c->writing) {
		if (bytes > 0)
			memcpy(at, *array, bytes);
		memset(at + bytes, 0, padded - bytes);
	} else {
		*array = n > 0 ? at : NULL;
	}
cleanup:
	return status;
}

enum pb_status pb_codec_text(struct pb_codec *c, const char **text, struct pb_error *err)
{
	uint64_t size = c->writing && *text != NULL ? strlen(*text) + 1 : 0; /* 0: NULL */
	enum pb_status status;

	PB_TRY(pb_codec_number(c, &size, err));
	if (size > SIZE_MAX)
		return pb_codec_fail("a text is too long", err);
	PB_TRY(pb_codec_array(c, (const void **)text, (size_t)size, 1, err));
	if (!c->writing && size > 0 && memchr(*text, '\0', (size_t)size) != *text + size - 1)
		status = pb_codec_fail("a text", err);
cleanup:
	return status;
}

enum pb_status pb_codec_structs(struct pb_codec *c, void **array, size_t n, size_t size,
				struct pb_error *err)
{
	if (c->writing)
		return PB_OK;
	/* each struct has one number at least */
	if (n > (c->size - c->at) / sizeof(uint64_t))
		return pb_codec_fail("it counts more than it holds", err);
	*array = pb_arena_alloc(c->arena, n, size);
	if (*array == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a stored experiment");
	return PB_OK;
}
