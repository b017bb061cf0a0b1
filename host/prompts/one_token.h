/* Whether a word is one token of a tokenizer. */
#ifndef PATCHBAY_PROMPTS_ONE_TOKEN_H
#define PATCHBAY_PROMPTS_ONE_TOKEN_H

#include "patchbay/tokens.h"

/* *one: `name` (with its leading space, where it has one) adds one token to the text `before` and
 * leaves the others as they were. tokenizer NULL: every name is. */
enum pb_status pb_is_one_token(const struct pb_tokenizer *tokenizer, const char *before,
			       const char *name, bool *one, struct pb_error *err);

#endif
