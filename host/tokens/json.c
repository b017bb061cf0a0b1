/* Reading checked values out of jansson's objects. */
#include <stdlib.h>
#include <string.h>

#include "tokens/json.h"
#include "tokens/tokenizer.h"

enum pb_status pb_json_parse(json_t **out, const char *text, size_t size, const char *path,
			     struct pb_error *err)
{
	json_error_t problem;

	*out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
	if (*out == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "the file is not valid JSON: %s, line %d, column %d, %s: "
			       "fetch it again",
			       path, problem.line, problem.column, problem.text);
	if (json_is_object(*out))
		return PB_OK;
	json_decref(*out);
	*out = NULL;
	return pb_fail(err, PB_ERR_INPUT, "the file is not one JSON object: %s: fetch it again",
		       path);
}

enum pb_status pb_json_open(json_t **out, const char *path, struct pb_error *err)
{
	char *text = NULL;
	size_t size = 0;
	enum pb_status status;

	*out = NULL;
	PB_TRY(pb_read_file(&text, &size, path, PB_TOKENS_FILE_MAX, err));
	status = pb_json_parse(out, text, size, path, err);
cleanup:
	free(text);
	return status;
}

struct pb_json_place pb_json_inside(const struct pb_json_place *place, const char *key, long index)
{
	struct pb_json_place inside = {.path = place->path};
	size_t n = sizeof inside.key;
	int used;

	used = snprintf(inside.key, n, "%s%s%s", place->key, place->key[0] != '\0' ? "." : "", key);
	if (index >= 0 && used > 0 && (size_t)used < n)
		snprintf(inside.key + used, n - (size_t)used, "[%ld]", index);
	return inside;
}

static enum pb_status wrong(const struct pb_json_place *place, const char *key, const char *what,
			    struct pb_error *err)
{
	struct pb_json_place inside = pb_json_inside(place, key, -1);

	return pb_fail(err, PB_ERR_INPUT, "a value is missing or of the wrong kind: %s, %s: it %s",
		       place->path, inside.key, what);
}

enum pb_status pb_json_bool(const json_t *object, const char *key, bool fallback,
			    const struct pb_json_place *place, bool *out, struct pb_error *err)
{
	const json_t *value = json_object_get(object, key);

	*out = fallback;
	if (value == NULL || json_is_null(value))
		return PB_OK;
	if (!json_is_boolean(value))
		return wrong(place, key, "must be true or false", err);
	*out = json_is_true(value);
	return PB_OK;
}

enum pb_status pb_json_text(const json_t *object, const char *key,
			    const struct pb_json_place *place, const char **out,
			    struct pb_error *err)
{
	const json_t *value = json_object_get(object, key);

	*out = NULL;
	if (value == NULL || json_is_null(value))
		return PB_OK;
	if (!json_is_string(value))
		return wrong(place, key, "must be a string", err);
	*out = json_string_value(value);
	return PB_OK;
}

enum pb_status pb_json_type(const json_t *component, const struct pb_json_place *place,
			    const char **out, struct pb_error *err)
{
	enum pb_status status;

	*out = NULL;
	if (!json_is_object(component))
		return pb_fail(err, PB_ERR_INPUT,
			       "a component is not an object: %s, %s: correct it", place->path,
			       place->key);
	status = pb_json_text(component, "type", place, out, err);
	if (status == PB_OK && *out == NULL)
		return wrong(place, "type", "must be a string", err);
	return status;
}

enum pb_status pb_json_list(const json_t *object, const char *key,
			    const struct pb_json_place *place, const json_t **out,
			    struct pb_error *err)
{
	*out = json_object_get(object, key);
	if (!json_is_array(*out))
		return wrong(place, key, "must be a list", err);
	return PB_OK;
}
