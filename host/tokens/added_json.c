/* Reads added tokens as tokenizer.json and tokenizer_config.json write them. */
#include <string.h>

#include "tokens/components.h"

enum pb_status pb_read_added_token(struct pb_tokenizer *t, const json_t *object, int64_t id,
				   bool special, const struct pb_json_place *place,
				   struct pb_error *err)
{
	struct pb_added_token token = {0};
	size_t size;
	char where[512];
	enum pb_status status;

	snprintf(where, sizeof where, "%s, %s", place->path, place->key);
	PB_TRY(pb_json_text(object, "content", place, &token.content, err));
	if (token.content == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "an added token has no content: %s: fetch the file again", where);
	size = strlen(token.content);
	if (size == 0) /* `tokenizers` passes over it */
		return PB_OK;
	if (size > UINT32_MAX / 8) /* its normal form is longer */
		return pb_fail(err, PB_ERR_INPUT,
			       "an added token is too long: %s, %zu bytes: shorten it", where,
			       size);
	token.content_size = (uint32_t)size;
	PB_TRY(pb_json_bool(object, "special", special, place, &token.special, err));
	PB_TRY(pb_json_bool(object, "single_word", false, place, &token.single_word, err));
	PB_TRY(pb_json_bool(object, "lstrip", false, place, &token.lstrip, err));
	PB_TRY(pb_json_bool(object, "rstrip", false, place, &token.rstrip, err));
	PB_TRY(pb_json_bool(object, "normalized", !token.special, place, &token.normalized, err));
	status = pb_tokenizer_put_added(t, token, id, where, err);
cleanup:
	return status;
}
