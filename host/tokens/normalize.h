/* What changes a text before it is cut into words, as the `tokenizers` package does it. */
#ifndef PB_TOKENS_NORMALIZE_H
#define PB_TOKENS_NORMALIZE_H

#include "tokens/pattern.h"

/* A text that is the caller's own or, where something changed, a copy. */
struct pb_normalized {
	const char *text;
	size_t n;
	char *owned; /* NULL when `text` is the input */
};

#define PB_NORMALIZE_STEPS_MAX 16

enum pb_normalize_kind { PB_NORMALIZE_NFC, PB_NORMALIZE_PREPEND, PB_NORMALIZE_REPLACE };

struct pb_normalize_step {
	enum pb_normalize_kind kind;
	const char *content;        /* what is prepended or put in; not owned */
	size_t n_content;           /* bytes of it */
	struct pb_pattern *pattern; /* what is replaced */
};

struct pb_normalizer {
	struct pb_normalize_step steps[PB_NORMALIZE_STEPS_MAX];
	size_t n_steps;
};

/* Adds a step; `regex` (of n bytes) is for PB_NORMALIZE_REPLACE. `where` names file and key. */
enum pb_status pb_normalizer_add(struct pb_normalizer *normalizer, struct pb_normalize_step step,
				 const char *regex, size_t n, const char *where,
				 struct pb_error *err);
void pb_normalizer_free(struct pb_normalizer *normalizer);

/* All steps on valid UTF-8. An empty text stays empty. */
enum pb_status pb_normalize(struct pb_normalized *out, const struct pb_normalizer *normalizer,
			    struct pb_matcher *matcher, const char *text, size_t n,
			    struct pb_error *err);

/* The NFC form of valid UTF-8. */
enum pb_status pb_normalize_nfc(struct pb_normalized *out, const char *text, size_t n,
				struct pb_error *err);
void pb_normalized_free(struct pb_normalized *normalized);

#endif
