/* config.json, read key by key with messages that name file and key. */
#ifndef PB_MODEL_CONFIG_JSON_H
#define PB_MODEL_CONFIG_JSON_H

#include <jansson.h>

#include "patchbay/base.h"

struct pb_config_json {
	json_t *root; /* an object */
	char *path;   /* for messages */
	char *text;   /* the bytes of the file, for the model's hash; NULL when it was made */
	size_t size;
	json_t *read; /* an object of the keys that were asked for, for the description */
};

/* Sizes in a config are at most this, so that sums and small multiples of them cannot overflow. */
#define PB_CONFIG_SIZE_MAX INT32_MAX

enum pb_status pb_config_json_open(struct pb_config_json *config, const char *path,
				   struct pb_error *err);
/* The same for a config that was made from the metadata of the file at `path`; takes `root` over,
 * also when it fails. */
enum pb_status pb_config_json_make(struct pb_config_json *config, json_t *root, const char *path,
				   struct pb_error *err);
/* What the config is, and what helps when it does not fit the weights, for messages. */
const char *pb_config_json_name(const struct pb_config_json *config);
const char *pb_config_json_advice(const struct pb_config_json *config);
void pb_config_json_close(struct pb_config_json *config);

/* Each key that was asked for with its value and what it means, then the names of the others. */
void pb_config_json_describe(const struct pb_config_json *config, FILE *out);

/* The value of a key, NULL where it is absent or null. `alias` (may be NULL) is another name that
 * the families' configuration classes accept; both at once must be equal. */
enum pb_status pb_config_get(const struct pb_config_json *config, const char *key,
			     const char *alias, const json_t **out, struct pb_error *err);

/* A whole number from 1 to PB_CONFIG_SIZE_MAX. Absent (or null): *out keeps its value. */
enum pb_status pb_config_size(const struct pb_config_json *config, const char *key,
			      const char *alias, size_t *out, struct pb_error *err);
/* A finite number; absent: *out keeps its value. */
enum pb_status pb_config_real(const struct pb_config_json *config, const char *key, double *out,
			      struct pb_error *err);
/* true or false; absent: *out keeps its value. */
enum pb_status pb_config_bool(const struct pb_config_json *config, const char *key, bool *out,
			      struct pb_error *err);
/* A string owned by the config; absent: *out keeps its value. */
enum pb_status pb_config_string(const struct pb_config_json *config, const char *key,
				const char **out, struct pb_error *err);

#endif
