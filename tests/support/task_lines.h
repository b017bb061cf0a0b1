/* What the tests of tasks share: the lines of a task, and tokenizers that may be there. Readers of
 * a task's text are each test's own. */
#ifndef PB_TEST_TASK_LINES_H
#define PB_TEST_TASK_LINES_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/pairs.h"

/* The lines as they are, freed by the caller. */
static inline char *lines_of(const struct pb_task_options *o, bool pairs)
{
	struct pb_error err = {0};
	size_t size = 0;
	char *text = NULL;

	cr_assert_eq((pairs ? pb_task_pairs : pb_task_prompts)(o, &text, &size, &err), PB_OK, "%s",
		     err.message);
	cr_assert_eq(strlen(text), size);
	return text;
}

/* Calls `check` on each line, in order. */
static inline void each_line(const struct pb_task_options *o, bool pairs,
			     void (*check)(const struct pb_task_options *, const json_t *, int))
{
	char *text = lines_of(o, pairs);
	size_t n = 0;

	for (char *line = text, *end; *line != '\0'; line = end + 1, n++) {
		json_error_t problem;
		json_t *object;

		end = strchr(line, '\n');
		cr_assert_not_null(end, "the last line has no newline");
		object = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, &problem);
		cr_assert_not_null(object, "%s", problem.text);
		check(o, object, (int)n);
		json_decref(object);
	}
	cr_assert_eq(n, o->count);
	free(text);
}

/* The lines as JSON objects; *text (freed by the caller) as they are. */
static inline json_t *generate(const struct pb_task_options *o, bool pairs, char **text)
{
	json_t *lines = json_array();
	char *rest = NULL, *copy;

	*text = lines_of(o, pairs);
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

static inline json_int_t integer_of(const json_t *line, const char *key)
{
	cr_assert(json_is_integer(json_object_get(line, key)), "no integer '%s'", key);
	return json_integer_value(json_object_get(line, key));
}

static inline const char *role_of(const json_t *line, size_t word)
{
	return json_string_value(json_array_get(json_object_get(line, "roles"), word));
}

static inline bool is_candidate(const json_t *line, const char *text)
{
	const json_t *list = json_object_get(line, "candidates");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return true;
	return false;
}

/* ---- words ---------------------------------------------------------------------------- */

#define SPLIT_MAX 600

struct words {
	size_t n;
	char text[SPLIT_MAX][24];
};

/* The words of a text; `marks` are words of their own. Exactly one space between words, none before
 * a mark. */
static inline void split(struct words *w, const char *text, const char *marks)
{
	char stops[16];

	(void)snprintf(stops, sizeof stops, " %s", marks);
	w->n = 0;
	for (const char *s = text; *s != '\0';) {
		size_t size = strchr(marks, *s) != NULL ? 1 : strcspn(s, stops);

		cr_assert(size > 0 && size < sizeof w->text[0] && w->n < SPLIT_MAX, "%s", text);
		memcpy(w->text[w->n], s, size);
		w->text[w->n++][size] = '\0';
		s += size;
		if (*s == ' ')
			cr_assert(*++s != ' ' && *s != '\0' && strchr(marks, *s) == NULL,
				  "a bad space in: %s", text);
		else
			cr_assert(*s == '\0' || strchr(marks, *s) != NULL, "no space in: %s", text);
	}
}

/* Words differ where the line says, and nowhere else; how many do. */
static inline size_t check_word_differences(const json_t *line, const struct words *clean,
					    const struct words *corrupted)
{
	const json_t *list = json_object_get(line, "differences");
	size_t n = 0;

	cr_assert_eq(clean->n, corrupted->n);
	cr_assert_eq(json_array_size(json_object_get(line, "roles")), clean->n);
	for (size_t i = 0; i < clean->n; i++) {
		const json_t *item;

		if (strcmp(clean->text[i], corrupted->text[i]) == 0)
			continue;
		item = json_array_get(list, n++);
		cr_assert_eq(integer_of(item, "word"), (json_int_t)i);
		cr_assert_str_eq(text_of(item, "clean"), clean->text[i]);
		cr_assert_str_eq(text_of(item, "corrupted"), corrupted->text[i]);
	}
	cr_assert_eq(json_array_size(list), n, "more differences listed than there are");
	return n;
}

/* ---- bytes ---------------------------------------------------------------------------- */

static inline void check_sha256(const char *text, const char *sha256)
{
	struct pb_error err = {0};
	char hex[PB_SHA256_HEX];

	cr_assert_eq(pb_sha256_of(text, strlen(text), hex, &err), PB_OK, "%s", err.message);
	cr_expect_str_eq(hex, sha256);
}

/* The lines have this SHA-256, again and again, and a part of them is their beginning. */
static inline void check_bytes(struct pb_task_options o, bool pairs, const char *sha256)
{
	char *text = lines_of(&o, pairs), *again = lines_of(&o, pairs), *beginning;

	cr_assert_str_eq(text, again);
	o.count /= 2;
	beginning = lines_of(&o, pairs);
	cr_assert(strlen(beginning) < strlen(text) &&
		      strncmp(text, beginning, strlen(beginning)) == 0,
		  "a line depends on how many there are");
	check_sha256(text, sha256);
	free(text);
	free(again);
	free(beginning);
}

/* The first `n` lines are the same however many there are; another seed gives others. */
static inline void check_independence(struct pb_task_options o, bool pairs, size_t n)
{
	char *many = lines_of(&o, pairs), *few, *other;

	o.count = n;
	few = lines_of(&o, pairs);
	cr_assert(strncmp(many, few, strlen(few)) == 0);
	o.seed++;
	other = lines_of(&o, pairs);
	cr_assert(strncmp(other, few, strcspn(few, "\n")) != 0);
	free(many);
	free(few);
	free(other);
}

/* ---- refusals ------------------------------------------------------------------------- */

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

/* The message names option and task first, and says what is allowed. */
static inline void refuse_option(struct pb_task_options o, const char *option, const char *range)
{
	struct pb_error err = {0};
	char *text = NULL, *task = pb_format("task %s", o.name);
	size_t size = 0;

	cr_assert_eq(pb_task_prompts(&o, &text, &size, &err), PB_ERR_INPUT, "%s", option);
	cr_assert(strncmp(err.message, option, strlen(option)) == 0, "%s", err.message);
	cr_assert_not_null(strstr(err.message, task), "%s", err.message);
	cr_assert_not_null(strstr(err.message, range), "%s", err.message);
	cr_assert_null(text);
	free(task);
}

/* ---- tokenizers ----------------------------------------------------------------------- */

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

/* Calls `check` with each of them; the test is skipped where there is none. */
static inline void each_tokenizer(void (*check)(const struct pb_tokenizer *t, const char *name))
{
	static const char *const names[] = {"gpt2", "neox"};
	size_t n = 0;

	for (size_t m = 0; m < 2; m++) {
		struct pb_tokenizer *t = open_tokenizer(names[m]);

		if (t == NULL)
			continue;
		n++;
		check(t, names[m]);
		pb_tokenizer_close(t);
	}
	if (n == 0)
		cr_skip_test("no tokenizers: set PB_TOKENIZERS");
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
