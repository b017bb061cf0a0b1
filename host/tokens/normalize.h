/* Unicode normalisation form C, as the `tokenizers` package does it. */
#ifndef PB_TOKENS_NORMALIZE_H
#define PB_TOKENS_NORMALIZE_H

#include "patchbay/base.h"

/* A text that is the caller's own or, where something changed, a copy. */
struct pb_normalized {
	const char *text;
	size_t n;
	char *owned; /* NULL when `text` is the input */
};

/* The NFC form of valid UTF-8. */
enum pb_status pb_normalize_nfc(struct pb_normalized *out, const char *text, size_t n,
				struct pb_error *err);
void pb_normalized_free(struct pb_normalized *normalized);

#endif
