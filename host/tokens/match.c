/* Runs patterns with PCRE2, and cuts texts at their matches. */
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tokens/bytes.h"
#include "tokens/pattern.h"

/* The compiled code uses 32 KiB of the machine stack until a match needs more. */
#define JIT_STACK_FIRST ((size_t)1 << 20)
#define JIT_STACK_MAX ((size_t)256 << 20)
/* Steps of the interpreter (without JIT); its default would stop at texts of some megabytes. */
#define MATCH_STEPS_MAX 1000000000u

struct pb_pattern {
	pcre2_code *code;
	char *source;
};

struct pb_matcher {
	pcre2_match_data *data;
	pcre2_match_context *context;
	pcre2_jit_stack *stack; /* NULL until a match needs it */
};

static void describe(int code, char text[256])
{
	if (pcre2_get_error_message(code, (PCRE2_UCHAR *)text, 256) < 0)
		snprintf(text, 256, "PCRE2 error %d", code);
}

enum pb_status pb_pattern_open(struct pb_pattern **out, const char *regex, size_t n,
			       const char *where, struct pb_error *err)
{
	pcre2_compile_context *context = NULL;
	struct pb_pattern *pattern = NULL;
	char *translated = NULL, problem[256];
	PCRE2_SIZE at = 0;
	void *memory;
	int code = 0;
	enum pb_status status;

	*out = NULL;
	PB_TRY(pb_pattern_translate(&translated, regex, n, where, err));
	PB_TRY(pb_alloc(&memory, 1, sizeof *pattern, "a pattern", err));
	pattern = memory;
	pattern->source = strndup(regex, n);
	context = pcre2_compile_context_create(NULL);
	if (context == NULL || pattern->source == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: %s: free some", where);
		goto cleanup;
	}
	/* As Ruby: only \n ends a line, and ^ and $ look at every line. */
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	pattern->code = pcre2_compile((PCRE2_SPTR)translated, strlen(translated),
				      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code, &at, context);
	if (pattern->code == NULL) {
		describe(code, problem);
		status = pb_fail(err, PB_ERR_INPUT,
				 "the pattern is not understood: %s, %s at character %zu of '%s': "
				 "correct it",
				 where, problem, (size_t)at + 1, translated);
		goto cleanup;
	}
	/* A machine that allows no executable memory runs the same pattern interpreted. */
	code = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
	if (code != 0 && code != PCRE2_ERROR_JIT_BADOPTION && code != PCRE2_ERROR_NOMEMORY) {
		describe(code, problem);
		status =
		    pb_fail(err, PB_ERR_INTERNAL,
			    "the pattern cannot be compiled: %s, %s: report this", where, problem);
		goto cleanup;
	}
	*out = pattern;
	pattern = NULL;
cleanup:
	pb_pattern_close(pattern);
	pcre2_compile_context_free(context);
	free(translated);
	return status;
}

void pb_pattern_close(struct pb_pattern *pattern)
{
	if (pattern == NULL)
		return;
	pcre2_code_free(pattern->code);
	free(pattern->source);
	free(pattern);
}

const char *pb_pattern_source(const struct pb_pattern *pattern)
{
	return pattern->source;
}

enum pb_status pb_matcher_open(struct pb_matcher **out, struct pb_error *err)
{
	void *memory;
	struct pb_matcher *matcher;
	enum pb_status status = pb_alloc(&memory, 1, sizeof *matcher, "a matcher", err);

	*out = NULL;
	if (status != PB_OK)
		return status;
	matcher = memory;
	matcher->data = pcre2_match_data_create(1, NULL);
	matcher->context = pcre2_match_context_create(NULL);
	if (matcher->data == NULL || matcher->context == NULL) {
		pb_matcher_close(matcher);
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a matcher: free some");
	}
	pcre2_set_match_limit(matcher->context, MATCH_STEPS_MAX);
	*out = matcher;
	return PB_OK;
}

void pb_matcher_close(struct pb_matcher *matcher)
{
	if (matcher == NULL)
		return;
	pcre2_match_data_free(matcher->data);
	pcre2_match_context_free(matcher->context);
	pcre2_jit_stack_free(matcher->stack);
	free(matcher);
}

/* One run of PCRE2. Its own UTF-8 check would make a text of n pieces cost n². */
static int match_once(const struct pb_pattern *pattern, struct pb_matcher *matcher,
		      const char *text, size_t n, size_t from)
{
	return pcre2_match(pattern->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK,
			   matcher->data, matcher->context);
}

enum pb_status pb_pattern_find(const struct pb_pattern *pattern, struct pb_matcher *matcher,
			       const char *text, size_t n, size_t from, size_t *start, size_t *end,
			       bool *found, struct pb_error *err)
{
	int code = match_once(pattern, matcher, text, n, from);
	char problem[256];
	const PCRE2_SIZE *range;

	if (code == PCRE2_ERROR_JIT_STACKLIMIT && matcher->stack == NULL) {
		matcher->stack = pcre2_jit_stack_create(JIT_STACK_FIRST, JIT_STACK_MAX, NULL);
		if (matcher->stack == NULL)
			return pb_fail(err, PB_ERR_MEMORY,
				       "out of memory: the stack of a pattern: free some");
		pcre2_jit_stack_assign(matcher->context, NULL, matcher->stack);
		code = match_once(pattern, matcher, text, n, from);
	}
	*found = code >= 0;
	if (code == PCRE2_ERROR_NOMATCH)
		return PB_OK;
	if (code < 0) {
		describe(code, problem);
		return pb_fail(err, PB_ERR_INPUT,
			       "the text cannot be cut into words: %zu bytes, %s: "
			       "give it in shorter parts",
			       n, problem);
	}
	range = pcre2_get_ovector_pointer(matcher->data);
	*start = range[0];
	*end = range[1];
	/* \K is refused when a pattern is translated, so a match cannot end before it starts. */
	return PB_OK;
}

/* ---- cutting ----------------------------------------------------------------------- */

void pb_split_begin(struct pb_split *split, const struct pb_pattern *pattern,
		    struct pb_matcher *matcher, const char *text, size_t n)
{
	*split = (struct pb_split){
	    .pattern = pattern, .matcher = matcher, .text = text, .n = n, .last_end = SIZE_MAX};
}

/* The next match as Rust's onig crate finds them: an empty match where the one before ended is
 * passed over by one character. */
static enum pb_status next_match(struct pb_split *split, size_t *start, size_t *end, bool *found,
				 struct pb_error *err)
{
	enum pb_status status;

	for (;;) {
		*found = false;
		if (split->from > split->n)
			return PB_OK;
		status = pb_pattern_find(split->pattern, split->matcher, split->text, split->n,
					 split->from, start, end, found, err);
		if (status != PB_OK || !*found)
			return status;
		if (*start != *end || *end != split->last_end)
			break;
		if (split->from < split->n)
			(void)pb_utf8_next(split->text, &split->from);
		else
			split->from = split->n + 1;
	}
	split->from = *end;
	split->last_end = *end;
	return PB_OK;
}

static bool take(struct pb_split *split, size_t end, const char **piece, size_t *size)
{
	*piece = split->text + split->done;
	*size = end - split->done;
	split->done = end;
	return *size > 0;
}

enum pb_status pb_split_next(struct pb_split *split, const char **piece, size_t *size,
			     struct pb_error *err)
{
	size_t start = 0, end = 0;
	bool found;
	enum pb_status status;

	*size = 0;
	split->is_match = true;
	if (split->match_waits) {
		split->match_waits = false;
		if (take(split, split->match_end, piece, size))
			return PB_OK;
	}
	while (split->done < split->n) {
		status = next_match(split, &start, &end, &found, err);
		if (status != PB_OK)
			return status;
		if (!found) {
			split->is_match = false;
			(void)take(split, split->n, piece, size);
			return PB_OK;
		}
		if (start > split->done) {
			split->is_match = false;
			split->match_waits = true;
			split->match_end = end;
			(void)take(split, start, piece, size);
			return PB_OK;
		}
		if (take(split, end, piece, size))
			return PB_OK;
	}
	return PB_OK;
}
