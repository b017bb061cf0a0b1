/* The greater_than task, read back from its text by a reader of its own. */

#include "support/task_lines.h"

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

	check_bytes(o, true, "33680a64651d98cff19f8b12b09229b560ac4734f735e834f7fa58e39380e844");
	o.corrupt = PB_CORRUPT_STATE;
	refuse(o, true, "give one of year");
}

/* Years that are one token, or cut elsewhere, are left out. */
static void check_tokens(const struct pb_tokenizer *t, const char *name)
{
	const struct pb_task_options o = {
	    .name = "greater_than", .count = 400, .corrupt = PB_CORRUPT_YEAR};
	struct pb_pairs pairs = {0};

	parse_pairs(&pairs, o, t);
	for (size_t i = 0; i < pairs.n; i++) {
		const struct pb_pair *p = &pairs.items[i];

		cr_assert_eq(p->length, 12, "two tokens a year with %s", name);
		cr_assert_eq(p->first_difference, 7);
		cr_assert_str_eq(pairs.roles[p->roles[7]], "first_year");
		cr_assert_str_eq(pairs.roles[p->roles[11]], "end");
	}
	pb_pairs_free(&pairs);
}

Test(greater_than, years_are_two_tokens)
{
	each_tokenizer(check_tokens);
}
