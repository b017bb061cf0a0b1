/* The fruit task, read back from its text by a reader of its own. */

#include "support/task_lines.h"

#define MAX_PEOPLE 40

/* ---- an independent reader ------------------------------------------------------------ */

struct story {
	struct words w;
	size_t n, n_clues;
	const char *people[MAX_PEOPLE], *fruits[MAX_PEOPLE];
	const char *has[MAX_PEOPLE]; /* fruit of each person, NULL: none yet */
	size_t asked;
};

static size_t expect(const struct words *w, size_t at, const char *phrase)
{
	char copy[128], *rest = NULL;

	(void)snprintf(copy, sizeof copy, "%s", phrase);
	for (char *p = strtok_r(copy, " ", &rest); p != NULL;
	     p = strtok_r(NULL, " ", &rest), at++) {
		cr_assert_lt(at, w->n);
		cr_assert_str_eq(w->text[at], p, "word %zu", at);
	}
	return at;
}

static bool is(const struct words *w, size_t at, const char *text)
{
	return at < w->n && strcmp(w->text[at], text) == 0;
}

/* A list with commas; its end. */
static size_t read_list(const struct words *w, size_t at, const char **list, size_t *n)
{
	for (*n = 0;; at++) {
		cr_assert_lt(*n, MAX_PEOPLE);
		for (size_t i = 0; i < *n; i++)
			cr_assert_str_neq(list[i], w->text[at], "twice in a list");
		list[(*n)++] = w->text[at++];
		if (!is(w, at, ","))
			return at;
	}
}

static size_t place_of(const char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return i;
	cr_assert_fail("'%s' is not in the list", text);
	return n;
}

static void read_story(struct story *s, const char *text)
{
	struct words *w = &s->w;
	size_t n_fruits = 0, at;

	memset(s, 0, sizeof *s);
	split(w, text, ",.");
	at = read_list(w, 0, s->people, &s->n);
	at = expect(w, at, "walk into a fruit store . There are only");
	cr_assert_eq(strtoul(w->text[at], NULL, 10), s->n);
	at = read_list(w, expect(w, at + 1, "fruits"), s->fruits, &n_fruits);
	cr_assert_eq(n_fruits, s->n);
	at = expect(w, at, ". Each person gets a different fruit .");
	while (!is(w, at + 1, "can")) {
		bool given = is(w, at + 1, "gives");
		size_t giver = place_of(s->people, s->n, w->text[at]), person = giver, fruit;

		if (given)
			person = place_of(s->people, s->n, w->text[at + 2]);
		else
			cr_assert(is(w, at + 1, "gets"));
		cr_assert(!given || giver != person);
		at = expect(w, at + (given ? 3 : 2), "the");
		fruit = place_of(s->fruits, s->n, w->text[at]);
		for (size_t i = 0; i < s->n; i++)
			cr_assert(s->has[i] != s->fruits[fruit], "given twice");
		cr_assert_null(s->has[person], "has one already");
		s->has[person] = s->fruits[fruit];
		s->n_clues++;
		at = expect(w, at + 1, ".");
	}
	s->asked = place_of(s->people, s->n, w->text[at]);
	cr_assert_null(s->has[s->asked]);
	cr_assert_eq(expect(w, at + 1, "can have the"), w->n);
}

static bool remains(const struct story *s, const char *fruit)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->has[i] != NULL && strcmp(s->has[i], fruit) == 0)
			return false;
	return true;
}

/* ---- lines ---------------------------------------------------------------------------- */

/* The list is exactly what remains, in the story's order. */
static void check_answers(const json_t *line, const struct story *s)
{
	const json_t *list = json_object_get(line, "answers");
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (remains(s, s->fruits[i])) {
			const char *answer = json_string_value(json_array_get(list, n++));

			cr_assert_not_null(answer);
			cr_assert_str_eq(answer + 1, s->fruits[i]);
			if (n == 1)
				cr_assert_str_eq(text_of(line, "answer"), answer);
		}
	cr_assert_eq(json_array_size(list), n);
	cr_assert_eq(n, s->n - s->n_clues);
	cr_assert_eq(json_array_size(json_object_get(line, "candidates")), s->n);
	cr_assert_eq(json_array_size(json_object_get(line, "roles")), s->w.n);
	cr_assert_str_eq(text_of(line, "asked"), s->people[s->asked]);
}

Test(fruit, ten_thousand_prompts_are_read_back)
{
	static const size_t cells[][2] = {{2, 0},  {2, 1},   {5, 2}, {5, 4},
					  {12, 7}, {21, 20}, {21, 0}};

	for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) {
		struct pb_task_options o = {.name = "fruit",
					    .people = cells[c][0],
					    .clues = cells[c][1],
					    .count = 1500,
					    .seed = c};
		char *text = NULL;
		json_t *lines = generate(&o, false, &text);

		for (size_t i = 0; i < o.count; i++) {
			struct story s;

			read_story(&s, text_of(json_array_get(lines, i), "prompt"));
			cr_assert_eq(s.n, o.people);
			cr_assert_eq(s.n_clues, o.clues);
			check_answers(json_array_get(lines, i), &s);
		}
		json_decref(lines);
		free(text);
	}
}

Test(fruit, pairs_differ_where_they_say)
{
	for (int d = 0; d < 2; d++)
		for (size_t people = 3; people <= 21; people += 6) {
			struct pb_task_options o = {.name = "fruit",
						    .people = people,
						    .clues = people - 1,
						    .count = 500,
						    .corrupt = d == 0 ? PB_CORRUPT_STATE
								      : PB_CORRUPT_DISTRACTOR};
			char *text = NULL;
			json_t *lines = generate(&o, true, &text);

			for (size_t i = 0; i < o.count; i++) {
				const json_t *line = json_array_get(lines, i);
				const char *answer = text_of(line, "answer") + 1;
				const char *foil = text_of(line, "foil") + 1;
				struct story a, b;

				read_story(&a, text_of(line, "clean"));
				read_story(&b, text_of(line, "corrupted"));
				check_answers(line, &a);
				cr_assert(remains(&a, answer) && !remains(&a, foil));
				cr_assert(remains(&b, d == 0 ? foil : answer));
				cr_assert_eq(check_word_differences(line, &a.w, &b.w), 1);
			}
			json_decref(lines);
			free(text);
		}
}

Test(fruit, bytes_and_refusals)
{
	struct pb_task_options o = {
	    .name = "fruit", .people = 6, .clues = 5, .count = 40, .corrupt = PB_CORRUPT_STATE};

	check_bytes(o, true, "946818841caac21d4ecf1da0af52f9ef31c2838e0d8a33c510e703da99f21488");
	o.clues = 3;
	check_bytes(o, false, "6716156a1baf7d89a3d90553a2555ba1d2be9d8a6ef0232e21b77a2b400c0d16");
	refuse(o, true, "more than one fruit remains: give 5 clues");
	o.clues = 6;
	refuse(o, false, "clues out of range: 6 (task fruit, 6 people): give 0 to 5");
	o.people = 1;
	refuse(o, false, "people out of range: 1 (task fruit): give 2 to 36");
	o.people = 22;
	refuse(o, false, "21 of 36 fruits are one token of GPT-2's tokenizer: give at most 21");
	o.people = 2;
	o.clues = 1;
	o.corrupt = PB_CORRUPT_DISTRACTOR;
	refuse(o, true, "give at least 3");
}

/* GPT-2 has 21 of the fruits as one token, GPT-NeoX 15: more people are not available there. */
static void check_tokens(const struct pb_tokenizer *t, const char *name)
{
	size_t most = strcmp(name, "gpt2") == 0 ? 21 : 15;
	struct pb_task_options o = {.name = "fruit",
				    .people = most,
				    .clues = most - 1,
				    .count = 100,
				    .corrupt = PB_CORRUPT_STATE};
	struct pb_pairs pairs = {0};

	parse_pairs(&pairs, o, t);
	pb_pairs_free(&pairs);
	o.tokenizer = t;
	o.people++;
	refuse(o, false, "are one token of this model's tokenizer");
}

Test(fruit, fruits_are_single_tokens)
{
	each_tokenizer(check_tokens);
}
