/* The greater_than task, read back from its text by a reader of its own. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/pairs.h"

static json_t *generate(const struct pb_task_options *o, bool pairs, char **text)
{
	struct pb_error err = {0};
	size_t size = 0;
	json_t *lines = json_array();
	char *rest = NULL, *copy;

	cr_assert_eq((pairs ? pb_task_pairs : pb_task_prompts)(o, text, &size, &err), PB_OK, "%s",
		     err.message);
	copy = strdup(*text);
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		json_array_append_new(lines, json_loads(line, JSON_REJECT_DUPLICATES, NULL));
	free(copy);
	cr_assert_eq(json_array_size(lines), o->count);
	return lines;
}

static const char *text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	cr_assert_not_null(text, "key %s", key);
	return text;
}

/* The two digits of the first year; the century is told twice. */
static int read_story(const char *text, char event[16])
{
	int year = -1, century = -1, end = -1;

	cr_assert_eq(sscanf(text, "The %15s lasted from the year %2d%2d to the year %2d%n", event,
			    &century, &year, &century, &end),
		     4, "%s", text);
	cr_assert_eq((size_t)end, strlen(text));
	cr_assert(strstr(text, "  ") == NULL);
	cr_assert_eq(strtol(strstr(text, "from the year ") + 14, NULL, 10), century * 100 + year);
	cr_assert(century >= 11 && century <= 18);
	return year;
}

static int two_digits(const char *text)
{
	cr_assert(strlen(text) == 2 && strspn(text, "0123456789") == 2, "'%s'", text);
	return (int)strtol(text, NULL, 10);
}

static void check_answers(const json_t *line, int year, size_t expected)
{
	const json_t *list = json_object_get(line, "answers");
	int before = year;

	for (size_t i = 0; i < json_array_size(list); i++) {
		int answer = two_digits(json_string_value(json_array_get(list, i)));

		cr_assert_gt(answer, before);
		before = answer;
	}
	if (expected > 0)
		cr_assert_eq(json_array_size(list), expected);
	cr_assert_gt(two_digits(text_of(line, "answer")), year);
	cr_assert_eq(json_array_size(json_object_get(line, "roles")), 11);
}

Test(greater_than, ten_thousand_prompts_are_read_back)
{
	struct pb_task_options o = {.name = "greater_than", .count = 10000, .seed = 3};
	char *text = NULL;
	json_t *lines = generate(&o, false, &text);
	size_t seen[100] = {0};

	for (size_t i = 0; i < o.count; i++) {
		const json_t *line = json_array_get(lines, i);
		char event[16];
		int year = read_story(text_of(line, "prompt"), event);

		cr_assert(year >= 3 && year <= 98);
		check_answers(line, year, (size_t)(99 - year));
		seen[year]++;
	}
	for (int year = 3; year <= 98; year++)
		cr_assert(seen[year] > 40, "year %d: %zu", year, seen[year]);
	json_decref(lines);
	free(text);
}

Test(greater_than, pairs_differ_in_the_first_year)
{
	struct pb_task_options o = {
	    .name = "greater_than", .count = 2000, .corrupt = PB_CORRUPT_YEAR};
	char *text = NULL;
	json_t *lines = generate(&o, true, &text);

	for (size_t i = 0; i < o.count; i++) {
		const json_t *line = json_array_get(lines, i);
		const json_t *list = json_object_get(line, "differences");
		char clean[16], corrupted[16];
		int year = read_story(text_of(line, "clean"), clean);
		int foil = two_digits(text_of(line, "foil"));

		cr_assert_eq(read_story(text_of(line, "corrupted"), corrupted), 1);
		cr_assert_str_eq(clean, corrupted);
		check_answers(line, year, 0);
		cr_assert(foil > 1 && foil < year, "it is right after 01 and wrong after %d", year);
		cr_assert(json_is_false(json_object_get(line, "foil_is_right")));
		cr_assert_eq(json_array_size(list), 1);
		cr_assert_eq(json_integer_value(json_object_get(json_array_get(list, 0), "word")),
			     6);
		cr_assert_eq(strtol(text_of(json_array_get(list, 0), "clean"), NULL, 10) % 100,
			     year);
	}
	json_decref(lines);
	free(text);
}

Test(greater_than, the_same_bytes_everywhere)
{
	struct pb_task_options o = {
	    .name = "greater_than", .count = 40, .corrupt = PB_CORRUPT_YEAR};
	char *text = NULL, *few = NULL, hex[PB_SHA256_HEX];
	struct pb_error err = {0};
	size_t size = 0, n_few = 0;

	cr_assert_eq(pb_task_pairs(&o, &text, &size, &err), PB_OK);
	cr_assert_eq(pb_sha256_of(text, size, hex, &err), PB_OK);
	cr_assert_str_eq(hex, "33680a64651d98cff19f8b12b09229b560ac4734f735e834f7fa58e39380e844");
	o.count = 10;
	cr_assert_eq(pb_task_pairs(&o, &few, &n_few, &err), PB_OK);
	cr_assert(n_few < size && memcmp(text, few, n_few) == 0);
	free(text);
	free(few);
	o.corrupt = PB_CORRUPT_STATE;
	cr_assert_eq(pb_task_pairs(&o, &text, &size, &err), PB_ERR_INPUT);
	cr_assert(strstr(err.message, "give one of year") != NULL, "%s", err.message);
}

/* Years that are one token, or cut elsewhere, are left out. */
Test(greater_than, years_are_two_tokens)
{
	static const char *const folders[] = {"gpt2", "neox"};
	const char *root = getenv("PB_TOKENIZERS");
	size_t n = 0;

	for (size_t m = 0; m < 2; m++) {
		char *folder =
		    pb_format("%s/%s", root != NULL ? root : "../shared/tokenizers", folders[m]);
		struct pb_task_options o = {
		    .name = "greater_than", .count = 400, .corrupt = PB_CORRUPT_YEAR};
		struct pb_tokenizer *t = NULL;
		struct pb_pairs pairs = {0};
		struct pb_error err = {0};
		char *text = NULL;
		size_t size = 0;

		if (pb_is_directory(folder)) {
			n++;
			cr_assert_eq(pb_tokenizer_open(&t, folder, &err), PB_OK, "%s", err.message);
			o.tokenizer = t;
			cr_assert_eq(pb_task_pairs(&o, &text, &size, &err), PB_OK, "%s",
				     err.message);
			cr_assert_eq(pb_pairs_parse(&pairs, text, size, "greater_than", t,
						    PB_BOS_FALSE, 60000, 2048, &err),
				     PB_OK, "%s", err.message);
			for (size_t i = 0; i < pairs.n; i++) {
				const struct pb_pair *p = &pairs.items[i];

				cr_assert_eq(p->length, 12, "two tokens a year");
				cr_assert_eq(p->first_difference, 7);
				cr_assert_str_eq(pairs.roles[p->roles[7]], "first_year");
				cr_assert_str_eq(pairs.roles[p->roles[11]], "end");
			}
			pb_pairs_free(&pairs);
			free(text);
			pb_tokenizer_close(t);
		}
		free(folder);
	}
	if (n == 0)
		cr_skip_test("no tokenizers: set PB_TOKENIZERS");
}
