/* Bytes that are written and read by the same lines: a function that visits the fields of a struct
 * with these calls writes them, or fills them. Numbers are 64 bits, little-endian; arrays and texts
 * begin at multiples of eight, and are used where they lie. */
#ifndef PB_RESULTS_CODEC_H
#define PB_RESULTS_CODEC_H

#include "patchbay/base.h"

struct pb_codec {
	bool writing;
	unsigned char *data;
	size_t size, capacity;  /* reading: of the whole; writing: so far, and room */
	size_t at;              /* reading */
	struct pb_arena *arena; /* reading: for arrays of structs */
};

enum pb_status pb_codec_number(struct pb_codec *c, uint64_t *value, struct pb_error *err);
enum pb_status pb_codec_double(struct pb_codec *c, double *value, struct pb_error *err);
/* A text, or NULL. */
enum pb_status pb_codec_text(struct pb_codec *c, const char **text, struct pb_error *err);
/* n elements of `size` bytes; NULL where n is 0. */
enum pb_status pb_codec_array(struct pb_codec *c, const void **array, size_t n, size_t size,
			      struct pb_error *err);
/* Room for n structs whose fields come next: nothing to do where they are written. */
enum pb_status pb_codec_structs(struct pb_codec *c, void **array, size_t n, size_t size,
				struct pb_error *err);
/* PB_ERR_CHECK: the bytes say what is never written. */
enum pb_status pb_codec_fail(const char *what, struct pb_error *err);

/* A field of any integer type (a flag too), in functions with c, err and PB_TRY's cleanup. What
 * does not fit the field is PB_ERR_CHECK. */
#define PB_CODEC_NUMBER(field)                                                                     \
	do {                                                                                       \
		uint64_t word_ = (uint64_t)(field);                                                \
		PB_TRY(pb_codec_number(c, &word_, err));                                           \
		if (!c->writing) {                                                                 \
			(field) = (__typeof__(field))word_;                                        \
			if ((uint64_t)(field) != word_) {                                          \
				status = pb_codec_fail(#field, err);                               \
				goto cleanup;                                                      \
			}                                                                          \
		}                                                                                  \
	} while (0)
/* One of `limit` choices. */
#define PB_CODEC_CHOICE(field, limit)                                                              \
	do {                                                                                       \
		PB_CODEC_NUMBER(field);                                                            \
		if ((uint64_t)(field) >= (uint64_t)(limit)) {                                      \
			status = pb_codec_fail(#field, err);                                       \
			goto cleanup;                                                              \
		}                                                                                  \
	} while (0)
#define PB_CODEC_TEXT(field) PB_TRY(pb_codec_text(c, &(field), err))
#define PB_CODEC_ARRAY(field, n)                                                                   \
	PB_TRY(pb_codec_array(c, (const void **)&(field), n, sizeof *(field), err))
#define PB_CODEC_STRUCTS(field, n)                                                                 \
	PB_TRY(pb_codec_structs(c, (void **)&(field), n, sizeof *(field), err))

#endif
