/* Indirect object identification: every prompt is read back from its text alone, and pairs differ
 * where they say and nowhere else. */
#include <ctype.h>

#include "support/task_lines.h"

#define MAX_WORDS 40

/* ---- an independent reader of the text ---------------------------------------------------- */

struct reading {
	char words[MAX_WORDS][16];
	int n;
	int first, second, giver; /* words that are names */
};

/* A name is a word with a capital that is not the first of a sentence. */
static void read_prompt(struct reading *r, const char *text)
{
	bool begins = true;

	*r = (struct reading){.first = -1, .second = -1, .giver = -1};
	for (const char *s = text; *s != '\0';) {
		size_t n = *s == ',' || *s == '.' ? 1 : strcspn(s, " ,.");

		cr_assert(n > 0 && n < sizeof r->words[0] && r->n < MAX_WORDS, "%s", text);
		memcpy(r->words[r->n], s, n);
		if (isupper((unsigned char)*s) && !begins) {
			int *slot = r->first < 0    ? &r->first
				    : r->second < 0 ? &r->second
						    : &r->giver;

			cr_assert_eq(*slot, -1, "four names in: %s", text);
			*slot = r->n;
		}
		begins = *s == '.';
		r->n++;
		s += n;
		if (*s == ' ')
			cr_assert(*++s != ' ' && *s != '\0', "a bad space in: %s", text);
		else
			cr_assert(*s == '\0' || *s == ',' || *s == '.', "no space in: %s", text);
	}
	cr_assert(r->giver > r->second && r->second == r->first + 2, "%s", text);
	cr_assert_str_eq(r->words[r->first + 1], "and", "%s", text);
	cr_assert_str_eq(r->words[r->n - 1], "to", "%s", text);
}

/* The one who is named once, with a space in front; "" when the giver is neither of the two. */
static void recipient_of(const struct reading *r, char name[20])
{
	bool first = strcmp(r->words[r->giver], r->words[r->first]) == 0;
	bool second = strcmp(r->words[r->giver], r->words[r->second]) == 0;

	cr_assert(strcmp(r->words[r->first], r->words[r->second]) != 0);
	name[0] = '\0';
	if (first || second)
		snprintf(name, 20, " %s", r->words[first ? r->second : r->first]);
}

/* ---- lines -------------------------------------------------------------------------------- */

static json_t *next_line(const char **at)
{
	size_t n = strcspn(*at, "\n");
	json_error_t problem;
	json_t *line = n > 0 ? json_loadb(*at, n, 0, &problem) : NULL;

	cr_assert(n == 0 || line != NULL, "%s", problem.text);
	*at += n + ((*at)[n] == '\n');
	return line;
}

Test(ioi, answers_of_ten_thousand_prompts)
{
	struct pb_task_options o = {.name = "ioi", .count = 10000, .seed = 3};
	char *text = lines_of(&o, false), name[20];
	const char *at = text;
	size_t n = 0, abba = 0, templates[64] = {0};
	json_t *line;

	while ((line = next_line(&at)) != NULL) {
		struct reading r;
		const json_t *candidates = json_object_get(line, "candidates");
		bool is_abba = strcmp(text_of(line, "order"), "ABBA") == 0;

		read_prompt(&r, text_of(line, "prompt"));
		recipient_of(&r, name);
		cr_assert_str_eq(text_of(line, "answer"), name);
		cr_assert_eq(json_integer_value(json_object_get(line, "index")), (json_int_t)n);
		cr_assert_eq(json_array_size(candidates), 2);
		cr_assert_str_eq(json_string_value(json_array_get(candidates, 0)), name);
		cr_assert_str_eq(json_string_value(json_array_get(candidates, 1)) + 1,
				 r.words[r.giver]);
		cr_assert_eq(is_abba, strcmp(name + 1, r.words[r.first]) == 0);
		abba += is_abba;
		templates[json_integer_value(json_object_get(line, "template"))]++;
		json_decref(line);
		n++;
	}
	cr_assert_eq(n, 10000);
	/* five standard deviations */
	cr_assert(abba > 4750 && abba < 5250, "%zu", abba);
	for (size_t t = 0; t < 12; t++)
		cr_assert(templates[t] > 690 && templates[t] < 980, "%zu: %zu", t, templates[t]);
	free(text);
}

/* ---- pairs -------------------------------------------------------------------------------- */

/* Words that differ, checked against what the line says of them. */
static size_t compare(const json_t *line, const struct reading *clean,
		      const struct reading *corrupted)
{
	const json_t *list = json_object_get(line, "differences");
	size_t n = 0;

	cr_assert_eq(clean->n, corrupted->n);
	for (int i = 0; i < clean->n; i++) {
		const json_t *item = json_array_get(list, n);

		if (strcmp(clean->words[i], corrupted->words[i]) == 0)
			continue;
		cr_assert(i == clean->first || i == clean->second || i == clean->giver);
		cr_assert_eq(json_integer_value(json_object_get(item, "word")), i);
		cr_assert_str_eq(text_of(item, "clean"), clean->words[i]);
		cr_assert_str_eq(text_of(item, "corrupted"), corrupted->words[i]);
		n++;
	}
	cr_assert_eq(json_array_size(list), n);
	return n;
}

static void check_roles(const json_t *line, const struct reading *r)
{
	const json_t *roles = json_object_get(line, "roles");
	bool abba = strcmp(text_of(line, "order"), "ABBA") == 0;
	int io = abba ? r->first : r->second, s1 = abba ? r->second : r->first;

	cr_assert_eq(json_array_size(roles), (size_t)r->n);
	for (int i = 0; i < r->n; i++) {
		const char *expected = i == io         ? "io"
				       : i == s1       ? "s1"
				       : i == r->giver ? "s2"
				       : i == s1 + 1   ? "s1+1"
				       : i == r->n - 1 ? "end"
				       : i > r->giver  ? "action"
						       : "context";

		cr_assert_str_eq(json_string_value(json_array_get(roles, (size_t)i)), expected);
	}
}

static bool names_a_person_of(const struct reading *r, const char *name)
{
	return strcmp(r->words[r->first], name) == 0 || strcmp(r->words[r->second], name) == 0;
}

static void check_pair(const json_t *line, enum pb_corruption corruption)
{
	static const size_t changed[] = {
	    [PB_CORRUPT_S2] = 1, [PB_CORRUPT_NAMES] = 3, [PB_CORRUPT_IO] = 1, [PB_CORRUPT_ABC] = 3};
	struct reading clean, corrupted;
	char answer[20], other[20];
	const char *foil = text_of(line, "foil");

	read_prompt(&clean, text_of(line, "clean"));
	read_prompt(&corrupted, text_of(line, "corrupted"));
	cr_assert_eq(compare(line, &clean, &corrupted), changed[corruption]);
	recipient_of(&clean, answer);
	recipient_of(&corrupted, other);
	cr_assert_str_eq(text_of(line, "answer"), answer);
	if (corruption == PB_CORRUPT_ABC) {
		cr_assert_str_eq(other, "");
		cr_assert_str_eq(foil + 1, clean.words[clean.giver]);
		for (int i = 0; i < 3; i++) {
			int at = i == 0   ? corrupted.first
				 : i == 1 ? corrupted.second
					  : corrupted.giver;

			cr_assert_not(names_a_person_of(&clean, corrupted.words[at]));
		}
	} else {
		cr_assert_str_eq(foil, other);
		cr_assert_str_neq(foil, answer);
	}
	cr_assert_eq(names_a_person_of(&clean, foil + 1), corruption != PB_CORRUPT_IO);
	check_roles(line, &clean);
}

Test(ioi, pairs_differ_where_they_say)
{
	static const enum pb_corruption corruptions[] = {PB_CORRUPT_S2, PB_CORRUPT_NAMES,
							 PB_CORRUPT_IO, PB_CORRUPT_ABC};

	for (size_t c = 0; c < 4; c++) {
		struct pb_task_options o = {
		    .name = "ioi", .count = 2500, .corrupt = corruptions[c], .seed = 8};
		char *text = lines_of(&o, true);
		const char *at = text;
		size_t n = 0;
		json_t *line;

		while ((line = next_line(&at)) != NULL) {
			check_pair(line, corruptions[c]);
			json_decref(line);
			n++;
		}
		cr_assert_eq(n, 2500);
		free(text);
	}
}

Test(ioi, lines_do_not_depend_on_each_other)
{
	struct pb_task_options o = {
	    .name = "ioi", .count = 50, .corrupt = PB_CORRUPT_ABC, .seed = 1};

	check_independence(o, true, 20);
}

Test(ioi, the_bytes_of_a_seed_do_not_change)
{
	static const struct {
		enum pb_corruption corrupt;
		bool pairs;
		const char *sha256;
	} known[] = {
	    {PB_CORRUPT_S2, true,
	     "f15142849f1bbc721b23f5a72a295adbe773e0098900efd6d7510ad7cb7c36bc"},
	    {PB_CORRUPT_NAMES, true,
	     "709215d76508bfb53c3b3e81508a3fed97740bcd9d514225101adf43d9606d9f"},
	    {PB_CORRUPT_IO, true,
	     "8c9c259b0b86f5bbbf26c3885807c8e1af38d231a9bdc5c886e228360561b1b4"},
	    {PB_CORRUPT_ABC, true,
	     "3b7eac7fdd254c7957b1961baa5f731f5c637c06132a839df6e7a55906d9538f"},
	    {PB_CORRUPT_S2, false,
	     "92723cfef2d2e183f6a26fbeb7567754b1772d67ed9e270cb3908e6cfc18248b"},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct pb_task_options o = {
		    .name = "ioi", .count = 100, .corrupt = known[i].corrupt, .seed = 12345678901};
		char *text = lines_of(&o, known[i].pairs);

		check_sha256(text, known[i].sha256);
		free(text);
	}
}

/* ---- names and tokenizers ----------------------------------------------------------------- */

/* Every name is one token where the tokenizer has only some; too few are refused. */
Test(ioi, names_are_single_tokens)
{
	struct pb_task_options o = {
	    .name = "ioi", .count = 500, .corrupt = PB_CORRUPT_ABC, .seed = 4};
	struct pb_tokenizer *t = open_tokenizer("gpt2");
	struct pb_pairs pairs = {0};
	struct pb_error err = {0};
	char *text;

	if (t == NULL)
		cr_skip_test("no tokenizer of GPT-2: set PB_TOKENIZERS");
	o.tokenizer = t;
	text = lines_of(&o, true);
	/* the preflight refuses names of several tokens and prompts of unequal length */
	cr_assert_eq(
	    pb_pairs_parse(&pairs, text, strlen(text), "ioi", t, PB_BOS_AUTO, 50257, 1024, &err),
	    PB_OK, "%s", err.message);
	cr_assert_eq(pairs.n, 500);
	pb_pairs_free(&pairs);
	pb_tokenizer_close(t);
	free(text);
}

Test(ioi, refusals)
{
	static const struct {
		struct pb_task_options o;
		const char *what;
	} cases[] = {
	    {{.name = "ioi", .count = 0, .corrupt = PB_CORRUPT_S2}, "out of range"},
	    {{.name = "ioi", .count = 1, .corrupt = PB_CORRUPT_S2, .seed = UINT64_MAX},
	     "seed out of range"},
	    {{.name = "ioi", .count = 1, .corrupt = PB_CORRUPT_STATE}, "give one of s2, names"},
	    {{.name = "box", .boxes = 3, .moves = 2, .count = 1, .corrupt = PB_CORRUPT_ABC},
	     "give one of state, action"},
	};
	struct pb_task_options o = {.name = "ioi", .count = 1, .corrupt = PB_CORRUPT_S2};
	struct pb_tokenizer *t = NULL;
	struct pb_error err = {0};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		refuse(cases[i].o, true, cases[i].what);
	cr_assert_eq(pb_tokenizer_open(&t, "tests/golden/tokenizers/llama3", &err), PB_OK, "%s",
		     err.message);
	o.tokenizer = t;
	refuse(o, true, "too few names");
	pb_tokenizer_close(t);
}
