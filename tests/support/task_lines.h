/* What the tests of tasks share: the lines of a task, and tokenizers that may be there. Readers of
 * a task's text are each test's own. */
#ifndef PB_TEST_TASK_LINES_H
#define PB_TEST_TASK_LINES_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/pairs.h"

/* The lines as JSON objects; *text (freed by the caller) as they are. */
static inline json_t *generate(const struct pb_task_options *o, bool pairs, char **text)
{
	struct pb_error err = {0};
	size_t size = 0;
	json_t *lines = json_array();
	char *rest = NULL, *copy;

	cr_assert_eq((pairs ? pb_task_pairs : pb_task_prompts)(o, text, &size, &err), PB_OK, "%s",
		     err.message);
	copy = strdup(*text);
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		json_t *value = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

		cr_assert_not_null(value);
		json_array_append_new(lines, value);
	}
	free(copy);
	cr_assert_eq(json_array_size(lines), o->count);
	return lines;
}

static inline const char *text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	cr_assert_not_null(text, "key %s", key);
	return text;
}

/* The lines have this SHA-256, and a part of them is their beginning. */
static inline void check_bytes(struct pb_task_options o, bool pairs, const char *sha256)
{
	char *text = NULL, *beginning = NULL, hex[PB_SHA256_HEX];
	struct pb_error err = {0};
	size_t size = 0, n_beginning = 0;

	cr_assert_eq((pairs ? pb_task_pairs : pb_task_prompts)(&o, &text, &size, &err), PB_OK, "%s",
		     err.message);
	o.count /= 2;
	cr_assert_eq((pairs ? pb_task_pairs : pb_task_prompts)(&o, &beginning, &n_beginning, &err),
		     PB_OK);
	cr_assert(n_beginning < size && memcmp(text, beginning, n_beginning) == 0,
		  "a line depends on how many there are");
	cr_assert_eq(pb_sha256_of(text, size, hex, &err), PB_OK);
	cr_assert_str_eq(hex, sha256);
	free(text);
	free(beginning);
}

static inline void refuse(struct pb_task_options o, bool pairs, const char *words)
{
	struct pb_error err = {0};
	char *text = NULL;
	size_t size = 0;

	cr_assert_eq((pairs ? pb_task_pairs : pb_task_prompts)(&o, &text, &size, &err),
		     PB_ERR_INPUT);
	cr_assert(strstr(err.message, words) != NULL, "'%s' lacks '%s'", err.message, words);
	cr_assert_null(text);
}

/* A tokenizer of those that may be there ("gpt2", "neox"); NULL: it is not. */
static inline struct pb_tokenizer *open_tokenizer(const char *name)
{
	const char *root = getenv("PB_TOKENIZERS");
	char *folder = pb_format("%s/%s", root != NULL ? root : "../shared/tokenizers", name);
	struct pb_tokenizer *t = NULL;
	struct pb_error err = {0};

	if (pb_is_directory(folder))
		cr_assert_eq(pb_tokenizer_open(&t, folder, &err), PB_OK, "%s", err.message);
	free(folder);
	return t;
}

/* The task's pairs with a tokenizer, through the preflight that refuses what does not line up. */
static inline void parse_pairs(struct pb_pairs *pairs, struct pb_task_options o,
			       const struct pb_tokenizer *t)
{
	struct pb_error err = {0};
	char *text = NULL;
	size_t size = 0;

	o.tokenizer = t;
	cr_assert_eq(pb_task_pairs(&o, &text, &size, &err), PB_OK, "%s", err.message);
	cr_assert_eq(pb_pairs_parse(pairs, text, size, o.name, t, PB_BOS_FALSE, 60000, 2048, &err),
		     PB_OK, "%s", err.message);
	free(text);
}

#endif
