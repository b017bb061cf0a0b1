/* Names that are one token. */
#include "prompts/one_token.h"

#include <stdlib.h>
#include <string.h>

enum pb_status pb_is_one_token(const struct pb_tokenizer *tokenizer, const char *before,
			       const char *name, bool *one, struct pb_error *err)
{
	char *text = NULL;
	int32_t *ids = NULL, *more = NULL;
	size_t n = 0, n_more = 0;
	enum pb_status status;

	*one = tokenizer == NULL;
	if (tokenizer == NULL)
		return PB_OK;
	text = pb_format("%s%s", before, name);
	if (text == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the names of a task");
	PB_TRY(pb_tokenizer_encode(tokenizer, before, strlen(before), &ids, &n, err));
	PB_TRY(pb_tokenizer_encode(tokenizer, text, strlen(text), &more, &n_more, err));
	*one = n_more == n + 1 && memcmp(ids, more, n * sizeof *ids) == 0;
cleanup:
	free(text);
	free(ids);
	free(more);
	return status;
}
