/* Reading checked values out of jansson's objects. A place in a file is told by its path and a
 * key such as `pre_tokenizer.pretokenizers[1]`. */
#ifndef PB_TOKENS_JSON_H
#define PB_TOKENS_JSON_H

#include <jansson.h>

#include "patchbay/base.h"

struct pb_json_place {
	const char *path;
	char key[200];
};

/* The object in a file (decref when done); PB_ERR_INPUT with line and column when it is not one
 * JSON object without duplicate keys. */
enum pb_status pb_json_open(json_t **out, const char *path, struct pb_error *err);
/* The same of a text. */
enum pb_status pb_json_parse(json_t **out, const char *text, size_t size, const char *path,
			     struct pb_error *err);

/* place.key, or place.key[index] for index >= 0. */
struct pb_json_place pb_json_inside(const struct pb_json_place *place, const char *key, long index);

/* A boolean; absent or null is `fallback`. */
enum pb_status pb_json_bool(const json_t *object, const char *key, bool fallback,
			    const struct pb_json_place *place, bool *out, struct pb_error *err);
/* A string, borrowed from the object; absent or null is NULL. */
enum pb_status pb_json_text(const json_t *object, const char *key,
			    const struct pb_json_place *place, const char **out,
			    struct pb_error *err);
/* The `type` of a component; absent is an error. */
enum pb_status pb_json_type(const json_t *component, const struct pb_json_place *place,
			    const char **out, struct pb_error *err);
/* An array, borrowed; absent is an error. */
enum pb_status pb_json_list(const json_t *object, const char *key,
			    const struct pb_json_place *place, const json_t **out,
			    struct pb_error *err);

#endif
