/* Regular expressions of tokenizer.json. They are written for Oniguruma (Ruby's dialect); we run
 * them with PCRE2. What both read the same way is kept, what can be rewritten is rewritten, and
 * anything else is refused by name. */
#ifndef PB_TOKENS_PATTERN_H
#define PB_TOKENS_PATTERN_H

#include "patchbay/base.h"

struct pb_pattern; /* compiled, with JIT where the machine allows it; shared by threads */
struct pb_matcher; /* scratch of one thread, for any pattern */

/* Compile a pattern in Oniguruma's dialect. `where` names file and key in messages.
 * PB_ERR_INPUT for a construct that is refused or that PCRE2 does not accept. */
enum pb_status pb_pattern_open(struct pb_pattern **out, const char *regex, size_t n,
			       const char *where, struct pb_error *err);
void pb_pattern_close(struct pb_pattern *pattern);
/* The pattern as it was given. */
const char *pb_pattern_source(const struct pb_pattern *pattern);

/* The pattern in PCRE2's dialect (freed with free()). */
enum pb_status pb_pattern_translate(char **out, const char *regex, size_t n, const char *where,
				    struct pb_error *err);

enum pb_status pb_matcher_open(struct pb_matcher **out, struct pb_error *err);
void pb_matcher_close(struct pb_matcher *matcher);

/* First match in text[from..n), which may look at what is before `from`. The text must be valid
 * UTF-8. *found tells whether there is one. A match that needs too many steps or too much stack
 * is PB_ERR_INPUT, never a shorter match. */
enum pb_status pb_pattern_find(const struct pb_pattern *pattern, struct pb_matcher *matcher,
			       const char *text, size_t n, size_t from, size_t *start, size_t *end,
			       bool *found, struct pb_error *err);

/* Cuts a text at every match into matches and what is between them. */
struct pb_split {
	const struct pb_pattern *pattern;
	struct pb_matcher *matcher;
	const char *text;
	size_t n;
	size_t done;      /* pieces up to here are out */
	size_t from;      /* where the search goes on */
	size_t last_end;  /* of the match before; SIZE_MAX for none */
	size_t match_end; /* of a match whose text before it went out first */
	bool match_waits;
	bool is_match; /* whether the last piece was one */
};

void pb_split_begin(struct pb_split *split, const struct pb_pattern *pattern,
		    struct pb_matcher *matcher, const char *text, size_t n);
/* The next piece, never empty; *size is 0 when there is none left. */
enum pb_status pb_split_next(struct pb_split *split, const char **piece, size_t *size,
			     struct pb_error *err);

#endif
