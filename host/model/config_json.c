#include "model/config_json.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES_MAX ((size_t)16 << 20)

enum pb_status pb_config_json_open(struct pb_config_json *config, const char *path,
				   struct pb_error *err)
{
	enum pb_status status;
	json_error_t where;

	*config = (struct pb_config_json){0};
	PB_TRY(pb_read_file(&config->text, &config->size, path, CONFIG_BYTES_MAX, err));
	config->path = strdup(path);
	if (config->path == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: reading %s", path);
		goto cleanup;
	}
	config->root = json_loadb(config->text, config->size, JSON_REJECT_DUPLICATES, &where);
	if (config->root == NULL && json_error_code(&where) == json_error_out_of_memory) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: reading %s", path);
		goto cleanup;
	}
	if (config->root == NULL) {
		status = pb_fail(err, PB_ERR_INPUT, "not valid JSON: %s, line %d, column %d: %s",
				 path, where.line, where.column, where.text);
		goto cleanup;
	}
	if (!json_is_object(config->root)) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "not a model configuration: %s: expected a JSON object", path);
		goto cleanup;
	}
	config->read = json_object();
	if (config->read == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: reading %s", path);
		goto cleanup;
	}
	return PB_OK;
cleanup:
	pb_config_json_close(config);
	return status;
}

enum pb_status pb_config_json_make(struct pb_config_json *config, json_t *root, const char *path,
				   struct pb_error *err)
{
	*config =
	    (struct pb_config_json){.root = root, .path = strdup(path), .read = json_object()};
	if (config->path != NULL && config->read != NULL)
		return PB_OK;
	pb_config_json_close(config);
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: reading %s", path);
}

const char *pb_config_json_name(const struct pb_config_json *config)
{
	return config->text != NULL ? "config.json" : "the metadata";
}

const char *pb_config_json_advice(const struct pb_config_json *config)
{
	return config->text != NULL ? "use the config.json that belongs to these weights"
				    : "convert the model again";
}

void pb_config_json_close(struct pb_config_json *config)
{
	json_decref(config->root);
	json_decref(config->read);
	free(config->path);
	free(config->text);
	*config = (struct pb_config_json){0};
}

enum pb_status pb_config_get(const struct pb_config_json *config, const char *key,
			     const char *alias, const json_t **out, struct pb_error *err)
{
	const json_t *value = json_object_get(config->root, key);
	const json_t *other = alias != NULL ? json_object_get(config->root, alias) : NULL;

	/* short of memory the description says less, the model is the same */
	(void)json_object_set_new(config->read, key, json_true());
	if (alias != NULL)
		(void)json_object_set_new(config->read, alias, json_true());
	if (json_is_null(value))
		value = NULL;
	if (json_is_null(other))
		other = NULL;
	*out = value != NULL ? value : other;
	if (value != NULL && other != NULL && !json_equal(value, other))
		return pb_fail(err, PB_ERR_INPUT,
			       "two keys for one thing differ: %s, %s and %s: keep the right one",
			       config->path, key, alias);
	return PB_OK;
}

enum pb_status pb_config_size(const struct pb_config_json *config, const char *key,
			      const char *alias, size_t *out, struct pb_error *err)
{
	enum pb_status status;
	const json_t *value;
	json_int_t number;

	PB_TRY(pb_config_get(config, key, alias, &value, err));
	if (value == NULL)
		return PB_OK;
	number = json_integer_value(value);
	if (!json_is_integer(value) || number < 1 || number > PB_CONFIG_SIZE_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong value: %s, key %s: expected a whole number from 1 to %d",
			       config->path, key, PB_CONFIG_SIZE_MAX);
	*out = (size_t)number;
cleanup:
	return status;
}

enum pb_status pb_config_real(const struct pb_config_json *config, const char *key, double *out,
			      struct pb_error *err)
{
	enum pb_status status;
	const json_t *value;

	PB_TRY(pb_config_get(config, key, NULL, &value, err));
	if (value == NULL)
		return PB_OK;
	if (!json_is_number(value))
		return pb_fail(err, PB_ERR_INPUT, "wrong value: %s, key %s: expected a number",
			       config->path, key);
	*out = json_number_value(value);
cleanup:
	return status;
}

enum pb_status pb_config_bool(const struct pb_config_json *config, const char *key, bool *out,
			      struct pb_error *err)
{
	enum pb_status status;
	const json_t *value;

	PB_TRY(pb_config_get(config, key, NULL, &value, err));
	if (value == NULL)
		return PB_OK;
	if (!json_is_boolean(value))
		return pb_fail(err, PB_ERR_INPUT, "wrong value: %s, key %s: expected true or false",
			       config->path, key);
	*out = json_is_true(value);
cleanup:
	return status;
}

enum pb_status pb_config_string(const struct pb_config_json *config, const char *key,
				const char **out, struct pb_error *err)
{
	enum pb_status status;
	const json_t *value;

	PB_TRY(pb_config_get(config, key, NULL, &value, err));
	if (value == NULL)
		return PB_OK;
	if (!json_is_string(value))
		return pb_fail(err, PB_ERR_INPUT, "wrong value: %s, key %s: expected a string",
			       config->path, key);
	*out = json_string_value(value);
cleanup:
	return status;
}
