/* Added tokens: strings that are found in the text before the pre-tokenizer sees it. */
#ifndef PB_TOKENS_ADDED_H
#define PB_TOKENS_ADDED_H

#include "tokens/pattern.h"
#include "tokens/vocab.h"

struct pb_added_token {
	const char *content; /* as written */
	const char *pattern; /* what is looked for: content, normalised if the token says so */
	uint32_t content_size, pattern_size;
	int32_t id;
	bool special, single_word, lstrip, rstrip, normalized;
};

/* Tokens that are looked for together, ordered by their patterns' bytes. */
struct pb_added_set {
	const struct pb_added_token **sorted;
	size_t n;
	bool starts[256]; /* whether a pattern starts with this byte */
};

struct pb_added {
	struct pb_added_token *tokens; /* in the order of the file; one for each content */
	size_t n, capacity;
	struct pb_vocab index;          /* content to place in `tokens` */
	size_t n_new;                   /* that the model's vocabulary lacks */
	struct pb_added_set raw;        /* looked for in the text as given */
	struct pb_added_set normalized; /* looked for in the normalised rest */
	struct pb_pattern *word;        /* one word character; NULL when no token needs it */
};

/* Once all tokens are there: builds both sets. `where` names the file. Two tokens with the same
 * pattern in one set are PB_ERR_INPUT, as in `tokenizers`. */
enum pb_status pb_added_finish(struct pb_added *added, const char *where, struct pb_error *err);
void pb_added_free(struct pb_added *added);

/* Cuts a text into added tokens and what is between them. */
struct pb_added_cut {
	const struct pb_added *added;
	const struct pb_added_set *set;
	struct pb_matcher *matcher;
	const char *text;
	size_t n;
	size_t done;                        /* text up to here is out */
	size_t from;                        /* where the search goes on */
	const struct pb_added_token *token; /* found, waits while the text before it goes out */
	size_t token_start, token_end;
};

void pb_added_begin(struct pb_added_cut *cut, const struct pb_added *added,
		    const struct pb_added_set *set, struct pb_matcher *matcher, const char *text,
		    size_t n);
/* The next part: *id of an added token, or -1 and *part of *size > 0 bytes. *id of -1 with *size
 * of 0 is the end. */
enum pb_status pb_added_next(struct pb_added_cut *cut, int32_t *id, const char **part, size_t *size,
			     struct pb_error *err);

#endif
