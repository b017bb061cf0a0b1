/* The components of a tokenizer.json beside its model: each reads one, or refuses it by name. A
 * component that is absent or null is passed as NULL. */
#ifndef PB_TOKENS_COMPONENTS_H
#define PB_TOKENS_COMPONENTS_H

#include "tokens/json.h"
#include "tokens/tokenizer.h"

enum pb_status pb_read_normalizer(struct pb_tokenizer *t, const json_t *component,
				  const struct pb_json_place *place, struct pb_error *err);
enum pb_status pb_read_pre_tokenizer(struct pb_tokenizer *t, const json_t *component,
				     const struct pb_json_place *place, struct pb_error *err);
/* Sets bos_auto. */
enum pb_status pb_read_post_processor(struct pb_tokenizer *t, const json_t *component,
				      const struct pb_json_place *place, struct pb_error *err);
/* Comes first: it says how tokens are written. */
enum pb_status pb_read_decoder(struct pb_tokenizer *t, const json_t *component,
			       const struct pb_json_place *place, struct pb_error *err);

/* An added token: an object with `content` and flags; absent flags are false, `special` is as given
 * here, `normalized` is what the token is not special. `id` is -1 where the file gives none. */
enum pb_status pb_read_added_token(struct pb_tokenizer *t, const json_t *object, int64_t id,
				   bool special, const struct pb_json_place *place,
				   struct pb_error *err);

/* PB_ERR_INPUT: a component, or a value of it, that is not supported. */
enum pb_status pb_refuse_component(const char *kind, const char *type,
				   const struct pb_json_place *place, struct pb_error *err);

/* One component that is no sequence, with its type. */
typedef enum pb_status pb_read_one(void *context, const json_t *component, const char *type,
				   const struct pb_json_place *place, struct pb_error *err);
/* Calls `read` for a component, or for each member of a Sequence; `members` is the key of the
 * list. Sequences inside sequences do not occur and are refused by `read`. */
enum pb_status pb_each_component(const json_t *component, const char *members,
				 const struct pb_json_place *place, pb_read_one *read,
				 void *context, struct pb_error *err);

/* What a `pattern` says, {"Regex": ...} or {"String": ...}, as a regular expression; free() it. */
enum pb_status pb_read_pattern(char **regex, const json_t *component,
			       const struct pb_json_place *place, struct pb_error *err);

bool pb_is_one_character(const char *text);
/* The values of a Metaspace. */
enum pb_status pb_read_metaspace(const json_t *component, const struct pb_json_place *place,
				 char space[8], enum pb_prefix *prefix, bool *split,
				 struct pb_error *err);

/* A string as the pattern that matches it; free() it. */
enum pb_status pb_quote_pattern(char **out, const char *text, struct pb_error *err);

/* What the pre-tokenizer `ByteLevel` does. */
enum pb_status pb_use_byte_level(struct pb_tokenizer *t, bool add_prefix_space, bool use_regex,
				 const char *where, struct pb_error *err);

#endif
