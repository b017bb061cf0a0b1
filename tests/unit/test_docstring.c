/* The docstring task, read back from its text by a reader of its own. */

#include "support/task_lines.h"

#define MAX 8

struct function {
	char argument[MAX][16], documented[MAX][16];
	size_t n, n_documented, n_words; /* words and marks of the whole text */
};

static const char *skip(const char *s, const char *expected)
{
	size_t n = strlen(expected);

	cr_assert_eq(strncmp(s, expected, n), 0, "'%s' should begin with '%s'", s, expected);
	return s + n;
}

static const char *read_word(const char *s, char out[16])
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");

	cr_assert(n > 0 && n < 16, "a word at '%s'", s);
	memcpy(out, s, n);
	out[n] = '\0';
	return s + n;
}

static void read_function(struct function *f, const char *text)
{
	char word[16];
	const char *s = read_word(skip(text, "def "), word);

	memset(f, 0, sizeof *f);
	s = skip(s, "(self");
	while (*s == ',') {
		cr_assert_lt(f->n, MAX);
		s = read_word(skip(s, ", "), f->argument[f->n]);
		for (size_t i = 0; i < f->n; i++)
			cr_assert_str_neq(f->argument[i], f->argument[f->n]);
		f->n++;
	}
	s = read_word(skip(s, "):\n    \"\"\""), word);
	s = read_word(skip(s, " "), word);
	s = read_word(skip(s, " "), word);
	s = skip(s, "\n");
	for (;;) {
		s = skip(s, "\n    :param");
		if (*s == '\0')
			break;
		s = read_word(skip(s, " "), f->documented[f->n_documented++]);
		s = read_word(skip(s, ": "), word);
		s = read_word(skip(s, " "), word);
	}
	/* def, name(self, a mark before each argument, one behind them; three words of summary; for
	 * each documented one :param, the name, a mark, two words; the last :param */
	f->n_words = 2 + 2 * f->n + 1 + 3 + 5 * f->n_documented + 1;
}

/* Arguments are documented in order: the next one. */
static const char *next_of(const struct function *f)
{
	cr_assert(f->n_documented >= 1 && f->n_documented < f->n);
	for (size_t i = 0; i < f->n_documented; i++)
		cr_assert_str_eq(f->documented[i], f->argument[i]);
	return f->argument[f->n_documented];
}

/* How many words of the two texts differ, all of them listed. */
static size_t check_differences(const json_t *line)
{
	const json_t *list = json_object_get(line, "differences");
	char *a = strdup(text_of(line, "clean")), *b = strdup(text_of(line, "corrupted"));
	char *rest_a = NULL, *rest_b = NULL;
	size_t n = 0;
	char *p = strtok_r(a, " \n,:", &rest_a), *q = strtok_r(b, " \n,:", &rest_b);

	for (; p != NULL && q != NULL;
	     p = strtok_r(NULL, " \n,:", &rest_a), q = strtok_r(NULL, " \n,:", &rest_b))
		if (strcmp(p, q) != 0) {
			cr_assert_str_eq(text_of(json_array_get(list, n), "clean"), p);
			cr_assert_str_eq(text_of(json_array_get(list, n), "corrupted"), q);
			n++;
		}
	cr_assert(p == NULL && q == NULL);
	cr_assert_eq(json_array_size(list), n);
	free(a);
	free(b);
	return n;
}

Test(docstring, ten_thousand_prompts_are_read_back)
{
	for (size_t length = 3; length <= 6; length++) {
		struct pb_task_options o = {
		    .name = "docstring", .length = length, .count = 2500, .seed = length};
		char *text = NULL;
		json_t *lines = generate(&o, false, &text);
		size_t last = 0;

		for (size_t i = 0; i < o.count; i++) {
			const json_t *line = json_array_get(lines, i);
			struct function f;

			read_function(&f, text_of(line, "prompt"));
			cr_assert_eq(f.n, length);
			cr_assert_str_eq(next_of(&f), text_of(line, "answer") + 1);
			cr_assert_eq(json_integer_value(json_object_get(line, "documented")),
				     (json_int_t)f.n_documented);
			cr_assert_eq(json_array_size(json_object_get(line, "roles")), f.n_words);
			cr_assert_eq(json_array_size(json_object_get(line, "candidates")), length);
			last += f.n_documented == length - 1;
		}
		cr_assert(last > o.count / length / 2 && last < o.count);
		json_decref(lines);
		free(text);
	}
}

Test(docstring, pairs_differ_in_one_word)
{
	for (int d = 0; d < 2; d++) {
		struct pb_task_options o = {.name = "docstring",
					    .length = 4 + (size_t)d,
					    .count = 1000,
					    .corrupt =
						d == 0 ? PB_CORRUPT_TARGET : PB_CORRUPT_DISTRACTOR};
		char *text = NULL;
		json_t *lines = generate(&o, true, &text);

		for (size_t i = 0; i < o.count; i++) {
			const json_t *line = json_array_get(lines, i);
			const char *answer = text_of(line, "answer") + 1;
			const char *foil = text_of(line, "foil") + 1;
			struct function a, b;
			bool known = false;

			read_function(&a, text_of(line, "clean"));
			read_function(&b, text_of(line, "corrupted"));
			cr_assert_str_neq(answer, foil);
			cr_assert_str_eq(next_of(&a), answer);
			cr_assert_str_eq(next_of(&b), d == 0 ? foil : answer);
			for (size_t k = 0; k < a.n; k++)
				known = known || strcmp(a.argument[k], foil) == 0;
			cr_assert_eq(known, d == 1);
			cr_assert_eq(check_differences(line), 1);
			cr_assert_eq(json_array_size(json_object_get(line, "roles")), a.n_words);
		}
		json_decref(lines);
		free(text);
	}
}

Test(docstring, bytes_and_refusals)
{
	struct pb_task_options o = {
	    .name = "docstring", .length = 4, .count = 40, .corrupt = PB_CORRUPT_TARGET};

	check_bytes(o, true, "9fd39b57483cc198f4690e6157407903e9b743f65954e3438ef362e5feb051d2");
	check_bytes(o, false, "dcb1a2455098d6ad53a3f5870f0477f63f5ce0522c79f9011bb39ead96bfe6fa");
	o.length = 2;
	refuse(o, false, "(task docstring): give 3 to 6");
	o.length = 7;
	refuse(o, true, "(task docstring): give 3 to 6");
}

/* Names are one token where they stand, with a mark behind them or not, and roles find them. */
static void check_tokens(const struct pb_tokenizer *t, const char *name)
{
	const struct pb_task_options o = {
	    .name = "docstring", .length = 6, .count = 200, .corrupt = PB_CORRUPT_TARGET};
	struct pb_pairs pairs = {0};

	parse_pairs(&pairs, o, t);
	for (size_t i = 0; i < pairs.n; i++) {
		const struct pb_pair *p = &pairs.items[i];
		bool found = false;

		cr_assert_str_eq(pairs.roles[p->roles[p->length - 1]], "end");
		for (size_t k = 0; k < p->length; k++)
			found = found || (strcmp(pairs.roles[p->roles[k]], "target") == 0 &&
					  p->clean[k] == p->answer);
		cr_assert(found, "pair %zu with %s", i, name);
	}
	pb_pairs_free(&pairs);
}

Test(docstring, words_are_single_tokens)
{
	each_tokenizer(check_tokens);
}
