/* State against action in groups of matched pairs, with numbers worked out by hand. */
#include "results/groups.h"
#include "unit/study.h"

#define DENOISE "/sweeps/0_patch_z_denoise_last/summary/matched/"
#define NOISE "/sweeps/0_patch_z_noise_last/summary/matched/"

/* ---- groups ------------------------------------------------------------------------------- */

/* Pairs with these keys; those of one letter in `clean` begin from one clean prompt. */
static void pairs_new(struct pb_pairs *pairs, size_t n, const char *const *extras,
		      const char *clean)
{
	static int32_t tokens[256][2];
	static struct pb_pair items[STUDY_PAIRS];

	*pairs = (struct pb_pairs){.n = n, .items = items, .max_length = 2};
	for (size_t i = 0; i < n; i++) {
		int32_t *prompt = tokens[(unsigned char)clean[i]];

		prompt[1] = (unsigned char)clean[i];
		items[i] =
		    (struct pb_pair){.length = 2, .clean = prompt, .answer = 5, .extra = extras[i]};
	}
}

#define STATE(group) "{\"group\":" group ",\"partner\":\"state\"}"
#define ACTION(group) "{\"partner\":\"action\",\"group\":" group "}"

/* "0+2 5+3, 1 unmatched": pairs of state + action. */
static void groups_are(const struct pb_pairs *pairs, const char *wanted)
{
	char text[256] = "";
	struct pb_groups groups;
	struct pb_error err = {0};
	size_t used = 0;

	cr_assert_eq(pb_groups_find(&groups, pairs, NULL, 0, &err), PB_OK, "%s", err.message);
	for (size_t g = 0; g < groups.n; g++)
		used += (size_t)snprintf(text + used, sizeof text - used, "%zu+%zu ",
					 groups.items[g].state, groups.items[g].action);
	(void)snprintf(text + used, sizeof text - used, "%zu unmatched", groups.n_unmatched);
	cr_assert_str_eq(text, wanted);
	pb_groups_free(&groups);
}

Test(matched, groups_in_any_order)
{
	static const char *const extras[] = {ACTION("7"),    STATE("\"x\""), "{}",
					     STATE("7"),     STATE("\"7\""), ACTION("\"x\""),
					     ACTION("\"7\"")};
	struct pb_pairs pairs;

	pairs_new(&pairs, 7, extras, "abcacbc");
	groups_are(&pairs, "3+0 1+5 4+6 0 unmatched");
	pairs_new(&pairs, 0, extras, "");
	groups_are(&pairs, "0 unmatched");
}

Test(matched, what_is_no_group_is_counted)
{
	static const char *const extras[] = {STATE("1"),        STATE("1"),       ACTION("2"),
					     "{\"partner\":3}", STATE("null"),    "{\"group\": 4}",
					     ACTION("4"),       "{\"group_\": 4}"};
	static const char *const three[] = {STATE("1"), ACTION("1"), STATE("1"), STATE("2"),
					    ACTION("2")};
	struct pb_pairs pairs;

	/* two of one kind, one alone, no group, no partner */
	pairs_new(&pairs, 8, extras, "aaaaaaaa");
	groups_are(&pairs, "7 unmatched");
	/* three in a group; another clean prompt; another answer */
	pairs_new(&pairs, 5, three, "aaabb");
	groups_are(&pairs, "3+4 3 unmatched");
	pairs.items[4].clean = pairs.items[0].clean;
	groups_are(&pairs, "5 unmatched");
	pairs.items[4].clean = pairs.items[3].clean;
	pairs.items[4].answer = 6;
	groups_are(&pairs, "5 unmatched");
}

/* ---- summaries ---------------------------------------------------------------------------- */

/* Groups 1 (pairs 2 and 0), "x" (1 and 3) and 3 (6 and 7); pair 4 lacks its partner, pair 5 names
 * none. Every gap is 4, but that of pair 7. Pair 1 is not right. */
static void matched_new(struct study *s, enum pb_direction direction)
{
	static const char *const extras[] = {ACTION("1"),     STATE("\"x\""), STATE("1"),
					     ACTION("\"x\""), STATE("2"),     "{\"moves\": 2}",
					     STATE("3"),      ACTION("3")};
	static const size_t same_as[] = {0, 1, 0, 1, 4, 5, 6, 6};
	static const int32_t layers[] = {1}, heads[] = {0, 2};
	/* restorations of the two heads */
	static const double restored[STUDY_PAIRS][2] = {{0.25, 0.25}, {0.5, 1}, {1, 0.75}, {0, 0.5},
							{9, 9},       {9, 9},   {9, 9},    {9, 9}};

	study_new(s, STUDY_PAIRS, 2);
	s->f.sweeps[0] = fixture_sweep(PB_PATCH, PB_SITE_Z, direction, PB_POSITIONS_LAST);
	s->f.sweeps[0].n_layers = 1;
	s->f.sweeps[0].layers = layers;
	s->f.sweeps[0].n_heads = 2;
	s->f.sweeps[0].heads = heads;
	for (size_t i = 0; i < STUDY_PAIRS; i++) {
		s->f.pairs.items[i].extra = extras[i];
		memcpy(s->f.pairs.items[i].clean, s->f.pairs.items[same_as[i]].clean,
		       FIXTURE_LENGTH * sizeof(int32_t));
		s->clean[i] = i == 1 ? -2 : i == 7 ? 0.03 : 2;
		s->corrupted[i] = i == 1 ? -6 : i == 7 ? -0.03 : -2;
		for (size_t c = 0; c < 2; c++)
			s->values[i][c] =
			    s->corrupted[i] + restored[i][c] * (s->clean[i] - s->corrupted[i]);
	}
	s->values[2][1] = NAN;
}

Test(matched, differences_of_state_and_action)
{
	struct study s;

	matched_new(&s, PB_DENOISE);
	study_assemble(&s);
	/* head 0: 1 - 0.25 and 0.5 - 0; head 2 has a value in group x alone: 1 - 0.5 */
	COLUMN(&s, DENOISE, "restoration_state", 0.75, 1);
	COLUMN(&s, DENOISE, "restoration_action", 0.125, 0.5);
	COLUMN(&s, DENOISE, "restoration_difference", 0.625, 0.5);
	COLUMN(&s, DENOISE, "n_groups", 2, 1);
	COLUMN(&s, DENOISE, "stderr", 0.125, NAN);
	/* resampled means of two groups: 0.5, 0.625 or 0.75 */
	COLUMN(&s, DENOISE, "ci_low", 0.5, NAN);
	COLUMN(&s, DENOISE, "ci_high", 0.75, NAN);
	/* of the 8 flips of three groups 4 keep the two of head 0 together */
	COLUMN(&s, DENOISE, "p_value", 0.5, 1);
	COLUMN(&s, DENOISE, "p_fwer", 0.5, 1);
	COLUMN(&s, DENOISE, "q_bh", 1, 1);
	cr_assert_eq(read_attribute(&s.f, DENOISE, "n_groups_total"), 3);
	cr_assert_eq(read_attribute(&s.f, DENOISE, "n_groups_without_restoration"), 1);
	cr_assert_eq(read_attribute(&s.f, DENOISE, "n_pairs_unmatched"), 1);
	cr_assert_eq(read_attribute(&s.f, DENOISE, "smallest_p"), 0.25);
	free(verify_text(&s.f, PB_OK));
	fixture_free(&s.f);
}

/* Groups whose pairs both are right: 1 and 3, and 3 has no restoration. */
Test(matched, groups_of_right_pairs)
{
	struct study s;

	matched_new(&s, PB_DENOISE);
	study_assemble(&s);
	COLUMN(&s, DENOISE, "restoration_difference_right", 0.75, NAN);
	COLUMN(&s, DENOISE, "restoration_state_right", 1, NAN);
	COLUMN(&s, DENOISE, "n_groups_right", 1, 0);
	COLUMN(&s, DENOISE, "p_value_right", 1, NAN);
	cr_assert_eq(read_attribute(&s.f, DENOISE, "n_groups_total_right"), 2);
	cr_assert_eq(read_attribute(&s.f, DENOISE, "n_groups_without_restoration_right"), 1);
	fixture_free(&s.f);
}

/* An action pair that the model is wrong about takes its group along. */
Test(matched, groups_need_both_pairs_right)
{
	struct study s;

	matched_new(&s, PB_DENOISE);
	s.clean[0] = -2;
	s.corrupted[0] = -6;
	study_assemble(&s);
	COLUMN(&s, DENOISE, "n_groups", 2, 1);
	COLUMN(&s, DENOISE, "n_groups_right", 0, 0);
	cr_assert_eq(read_attribute(&s.f, DENOISE, "n_groups_total_right"), 1);
	fixture_free(&s.f);
}

/* The file has restorations as everywhere; what is printed has their baseline taken off. */
Test(matched, noise_prints_restoration_minus_one)
{
	struct study s;
	char *text;

	matched_new(&s, PB_NOISE);
	study_assemble(&s);
	COLUMN(&s, NOISE, "restoration_state", 0.75, 1);
	COLUMN(&s, NOISE, "restoration_difference", 0.625, 0.5);
	text = printed(&s, 5);
	cr_assert(
	    strstr(text, "restoration - 1 of matched pairs, the largest differences:\n  L1H0 ") !=
		NULL,
	    "%s", text);
	cr_assert(strstr(text,
			 "state -0.25  action -0.88  difference  +0.62 [+0.50, +0.75]  p_fwer "
			 "0.5  (2 groups)\n") != NULL,
		  "%s", text);
	free(text);
	fixture_free(&s.f);
}

Test(matched, the_largest_difference_is_printed_first)
{
	struct study s;
	char *text;

	matched_new(&s, PB_DENOISE);
	s.values[1][1] = -6 - 4 * 2; /* 1 becomes -2 */
	study_assemble(&s);
	text = printed(&s, 1);
	cr_assert(strstr(text, "restoration of matched pairs, the largest differences:\n  L1H2 ") !=
		      NULL,
		  "%s", text);
	cr_assert(strstr(text, "difference  -2.50 ") != NULL, "%s", text);
	cr_assert(strstr(text, "difference  +0.62") == NULL, "%s", text);
	free(text);
	fixture_free(&s.f);
}

Test(matched, other_pairs_have_no_such_group)
{
	struct study s;

	matched_new(&s, PB_DENOISE);
	for (size_t i = 0; i < STUDY_PAIRS; i++)
		s.f.pairs.items[i].extra = i % 2 == 0 ? STATE("1") : "{}";
	study_assemble(&s);
	cr_assert(!has_dataset(&s.f, "/sweeps/0_patch_z_denoise_last/summary/matched"));
	fixture_free(&s.f);
}

Test(matched, no_group_has_a_restoration)
{
	struct study s;
	char *text;

	matched_new(&s, PB_DENOISE);
	s.f.sweeps[0].min_gap = 5;
	study_assemble(&s);
	COLUMN(&s, DENOISE, "restoration_state", NAN, NAN);
	COLUMN(&s, DENOISE, "p_fwer", NAN, NAN);
	COLUMN(&s, DENOISE, "n_groups", 0, 0);
	text = printed(&s, 5);
	cr_assert(strstr(text, "no group has the restoration of both of its pairs") != NULL, "%s",
		  text);
	free(text);
	fixture_free(&s.f);
}
