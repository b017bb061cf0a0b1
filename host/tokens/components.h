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
enum pb_status pb_read_decoder(const json_t *component, const struct pb_json_place *place,
			       struct pb_error *err);

/* An added token: an object with `content` and flags; absent flags are false, `special` is as given
 * here, `normalized` is what the token is not special. `id` is -1 where the file gives none. */
enum pb_status pb_read_added_token(struct pb_tokenizer *t, const json_t *object, int64_t id,
				   bool special, const struct pb_json_place *place,
				   struct pb_error *err);

/* Token ids are made by ByteLevel alone: what the pre-tokenizer `ByteLevel` does. */
enum pb_status pb_use_byte_level(struct pb_tokenizer *t, bool add_prefix_space, bool use_regex,
				 const char *where, struct pb_error *err);

#endif
