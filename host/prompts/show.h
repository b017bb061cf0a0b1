/* Tokens made readable for messages. */
#ifndef PATCHBAY_PROMPTS_SHOW_H
#define PATCHBAY_PROMPTS_SHOW_H

#include "prompts/preflight.h"

#define PB_SHOW_SIZE 2048 /* a buffer that leaves room for the rest of a message */

/* `342 ' hat', 11 ','`: at most eight tokens, then how many more. */
void pb_show_tokens(const struct pb_tokenizer *tokenizer, const int32_t *ids, size_t n, char *out,
		    size_t size);

/* A table of both prompts' tokens around their first difference, which is marked with `>`. */
void pb_show_side_by_side(const struct pb_tokenizer *tokenizer, const struct pb_encoded *clean,
			  const struct pb_encoded *corrupted, char *out, size_t size);

#endif
