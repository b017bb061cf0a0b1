/* Pairs of the adventure task: they differ in one word, where they say, and both prompts are played
 * by a simulator that shares nothing with the generator. */
#include "support/adventure_reader.h"

/* The one word that differs, which is the one that is listed. */
static int compare(const json_t *line, const struct reading *clean, const struct reading *corrupted)
{
	cr_assert_eq(check_word_differences(line, &clean->w, &corrupted->w), 1,
		     "not one word differs");
	for (size_t i = 0; i < clean->w.n; i++)
		cr_assert_str_eq(clean->roles[i], corrupted->roles[i]);
	return (int)integer_of(json_array_get(json_object_get(line, "differences"), 0), "word");
}

/* The sentence of word `at` has this word, in this prompt. */
static bool sentence_names(const struct reading *r, int at, const char *name)
{
	int i = at;

	while (i > 0 && !is(r, i - 1, "."))
		i--;
	for (; !is(r, i, "."); i++)
		if (is(r, i, name))
			return true;
	return false;
}

/* What the line says was changed, from the words around word `at`. */
static const char *changed_at(const struct reading *r, int at)
{
	bool container = index_of(known_containers, r->w.text[at - 4 < 0 ? 0 : at - 4]) >= 0;

	if (strcmp(r->roles[at], "action") == 0)
		return index_of(compass, r->w.text[at]) >= 0         ? "direction"
		       : index_of(known_objects, r->w.text[at]) >= 0 ? "object"
								     : "container";
	if (is(r, at, "open") || is(r, at, "closed"))
		return "flag";
	if (at == 4)
		return "player";
	return container ? "container" : "object";
}

static void check_state(const struct reading *clean, const struct reading *corrupted, int at)
{
	cr_assert_str_eq(clean->roles[at], "state");
	if (strcmp(clean->kind, "player") == 0)
		cr_assert_eq(at, 4);
	else
		cr_assert(
		    is(clean, at - (strcmp(clean->kind, "flag") == 0 ? 2 : 4), clean->subject));
	(void)corrupted;
}

static void check_action(const json_t *line, const struct reading *clean,
			 const struct reading *corrupted, int at)
{
	cr_assert_str_eq(clean->roles[at], "action");
	cr_assert_eq(clean->step_of[at], integer_of(line, "step"));
	if (strcmp(clean->kind, "player") == 0)
		cr_assert_str_eq(clean->w.text[at - 1], "go");
	else
		cr_assert(sentence_names(clean, at, clean->subject) ||
			  sentence_names(corrupted, at, clean->subject));
}

static size_t pair_kinds[3], n_changed[5], n_far_foils;
static char clean_before[8192];

static void check_matched(const json_t *line, int k)
{
	cr_assert_eq(integer_of(line, "group"), k / 2);
	cr_assert_str_eq(text_of(line, "partner"), k % 2 == 0 ? "state" : "action");
	if (k % 2 == 0)
		snprintf(clean_before, sizeof clean_before, "%s", text_of(line, "clean"));
	else
		cr_assert_str_eq(text_of(line, "clean"), clean_before);
}

static void count_pair(const json_t *line, const struct reading *clean)
{
	static const char *const kinds[] = {"place", "player", "flag", NULL};
	static const char *const changes[] = {"player",    "object",    "flag",
					      "container", "direction", NULL};
	const char *first;

	pair_kinds[index_of(kinds, clean->kind)]++;
	n_changed[index_of(changes, text_of(line, "changed"))]++;
	first = json_string_value(json_array_get(json_object_get(line, "candidates"), 0));
	n_far_foils += strcmp(text_of(line, "foil"), first) != 0;
}

static void check_pair(const struct pb_task_options *o, const json_t *line, int k)
{
	static struct reading clean, corrupted;
	const bool distractor = o->corrupt == PB_CORRUPT_DISTRACTOR;
	const char *foil = text_of(line, "foil");
	int at, step = (int)integer_of(line, "step");

	read_story(&clean, text_of(line, "clean"), o);
	read_story(&corrupted, text_of(line, "corrupted"), o);
	at = compare(line, &clean, &corrupted);
	check_line(o, line, &clean, k);
	cr_assert_str_eq(corrupted.kind, clean.kind);
	cr_assert_str_eq(corrupted.subject, clean.subject);
	cr_assert_str_eq(text_of(line, "corrupt"), pb_corruption_name(o->corrupt));
	cr_assert_str_eq(text_of(line, "changed"), changed_at(&clean, at));
	cr_assert_eq(step, clean.step_of[at]);
	cr_assert(integer_of(line, "attempts") >= 1);
	cr_assert(is_candidate(line, foil) && strcmp(foil + 1, clean.answer) != 0);
	cr_assert_str_eq(corrupted.answer, distractor ? clean.answer : foil + 1);
	if (o->corrupt == PB_CORRUPT_MATCHED)
		check_matched(line, k);
	if (distractor)
		cr_assert(strcmp(clean.roles[at], "query") != 0 &&
			  !sentence_names(&clean, at, clean.subject) &&
			  !sentence_names(&corrupted, at, clean.subject));
	else if (o->corrupt == PB_CORRUPT_STATE || (o->corrupt == PB_CORRUPT_MATCHED && k % 2 == 0))
		check_state(&clean, &corrupted, at);
	else
		check_action(line, &clean, &corrupted, at);
	count_pair(line, &clean);
}

/* Cells in which no such pair exists. */
static bool is_impossible(const struct pb_task_options *o)
{
	return (o->corrupt == PB_CORRUPT_ACTION || o->corrupt == PB_CORRUPT_MATCHED) &&
	       o->rooms == 2 && o->containers < 2;
}

/* 1,260 cells, 2 pairs each; the others are refused by name. */
static void check_all_cells(enum pb_corruption corrupt)
{
	for (size_t i = 0; i < (size_t)9 * 7 * 20; i++) {
		struct pb_task_options o = {.name = "adventure",
					    .rooms = 2 + i % 9,
					    .objects = 1 + i % 8,
					    .containers = i / 9 % 7,
					    .steps = 1 + i / 63,
					    .count = 2,
					    .corrupt = corrupt,
					    .seed = 3};
		struct pb_error err = {0};

		if (!is_impossible(&o)) {
			each_line(&o, true, check_pair);
			continue;
		}
		cr_assert_eq(pb_adventure_check_pairs(&o, &err), PB_ERR_INPUT);
		cr_assert_not_null(strstr(err.message, "no such pair exists: task adventure"));
		cr_assert_not_null(strstr(err.message, "2 rooms"), "%s", err.message);
		cr_assert_not_null(strstr(err.message, pb_corruption_name(corrupt)));
	}
}

static void check_one_cell(enum pb_corruption corrupt)
{
	struct pb_task_options o = {.name = "adventure",
				    .rooms = 4,
				    .objects = 3,
				    .containers = 2,
				    .steps = 4,
				    .count = 1500,
				    .corrupt = corrupt,
				    .seed = 4};

	memset(pair_kinds, 0, sizeof pair_kinds);
	memset(n_changed, 0, sizeof n_changed);
	n_far_foils = 0;
	each_line(&o, true, check_pair);
}

/* 1,500 draws over 3: 500 each with a standard deviation of 18; 750 of two lines each over 2: 750
 * lines with one of 27. Five of these are allowed, or a little more. */
static void check_kinds(bool place)
{
	for (int i = 0; i < 3; i++) {
		long expected = place ? 500 : i == 0 ? 0 : 750;

		cr_assert(labs((long)pair_kinds[i] - expected) <= (place ? 92 : expected / 5),
			  "kind %d: %zu", i, pair_kinds[i]);
	}
}

Test(adventure, state_pairs_change_where_what_is_asked_for_starts)
{
	check_all_cells(PB_CORRUPT_STATE);
	check_one_cell(PB_CORRUPT_STATE);
	check_kinds(true);
}

Test(adventure, action_pairs_change_an_argument_of_a_step)
{
	check_all_cells(PB_CORRUPT_ACTION);
	check_one_cell(PB_CORRUPT_ACTION);
	check_kinds(true);
}

Test(adventure, distractor_pairs_change_a_word_that_does_not_matter)
{
	check_all_cells(PB_CORRUPT_DISTRACTOR);
	check_one_cell(PB_CORRUPT_DISTRACTOR);
	check_kinds(true);
	for (int i = 0; i < 5; i++)
		cr_assert_gt(n_changed[i], 20, "change %d: %zu", i, n_changed[i]);
	/* uniform: a half, three quarters and five sixths of 500 each */
	cr_assert(n_far_foils > 900, "the foil is mostly the first: %zu", n_far_foils);
}

Test(adventure, matched_pairs_have_both_partners_of_one_prompt)
{
	check_all_cells(PB_CORRUPT_MATCHED);
	check_one_cell(PB_CORRUPT_MATCHED);
	check_kinds(false);
}
