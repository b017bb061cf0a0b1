/* The induction and successor tasks, read back from their text by a reader of its own. */
#include <ctype.h>

#include "support/task_lines.h"

#define MARKS ",:"

static size_t check_differences(const json_t *line)
{
	struct words clean, corrupted;

	split(&clean, text_of(line, "clean"), MARKS);
	split(&corrupted, text_of(line, "corrupted"), MARKS);
	return check_word_differences(line, &clean, &corrupted);
}

/* ---- induction ------------------------------------------------------------------------ */

/* What followed the last word where it came first; its place. */
static const char *what_followed(const struct words *w, size_t *at)
{
	const char *last = w->text[w->n - 1];
	const char *found = NULL;

	for (size_t i = 0; i + 1 < w->n; i++)
		if (strcmp(w->text[i], last) == 0 && found == NULL) {
			found = w->text[i + 1];
			*at = i + 1;
		}
	return found;
}

static void check_sequence(const json_t *line, const char *key, size_t length, const char *answer)
{
	struct words w = {.n = 0};
	size_t repeated, at = 0;

	split(&w, text_of(line, key), MARKS);
	cr_assert_str_eq(w.text[3], ":");
	repeated = w.n - 4 - length;
	cr_assert(repeated >= 1 && repeated < length);
	cr_assert_eq(json_integer_value(json_object_get(line, "repeated")), (json_int_t)repeated);
	for (size_t i = 0; i < length; i++)
		for (size_t j = 0; j < i; j++)
			cr_assert_str_neq(w.text[4 + i], w.text[4 + j], "a word comes twice");
	for (size_t i = 0; i < repeated; i++)
		cr_assert_str_eq(w.text[4 + length + i], w.text[4 + i]);
	cr_assert_str_eq(what_followed(&w, &at), answer + 1);
	cr_assert_str_eq(role_of(line, at), "target");
	cr_assert_str_eq(role_of(line, at - 1), "before_target");
	cr_assert_str_eq(role_of(line, w.n - 1), "end");
}

Test(induction, prompts_and_pairs_are_read_back)
{
	static const size_t lengths[] = {4, 10, 30, 64};

	for (size_t l = 0; l < 4; l++) {
		struct pb_task_options o = {.name = "induction",
					    .length = lengths[l],
					    .count = 2500,
					    .corrupt = PB_CORRUPT_TARGET,
					    .seed = l};
		char *text = NULL;
		json_t *lines = generate(&o, false, &text);

		for (size_t i = 0; i < o.count; i++) {
			json_t *line = json_array_get(lines, i);

			check_sequence(line, "prompt", o.length, text_of(line, "answer"));
			cr_assert_eq(json_array_size(json_object_get(line, "candidates")),
				     o.length);
			cr_assert(is_candidate(line, text_of(line, "answer")));
		}
		json_decref(lines);
		free(text);
		o.count = 500;
		for (int d = 0; d < 2; d++) {
			o.corrupt = d == 0 ? PB_CORRUPT_TARGET : PB_CORRUPT_DISTRACTOR;
			lines = generate(&o, true, &text);
			for (size_t i = 0; i < o.count; i++) {
				json_t *line = json_array_get(lines, i);
				const char *answer = text_of(line, "answer");
				const char *foil = text_of(line, "foil");

				cr_assert_str_neq(answer, foil);
				cr_assert_eq(check_differences(line), 1);
				check_sequence(line, "clean", o.length, answer);
				check_sequence(line, "corrupted", o.length, d == 0 ? foil : answer);
				cr_assert(is_candidate(line, foil) && is_candidate(line, answer));
			}
			json_decref(lines);
			free(text);
		}
	}
}

Test(induction, bytes_and_refusals)
{
	struct pb_task_options o = {
	    .name = "induction", .length = 12, .count = 40, .corrupt = PB_CORRUPT_TARGET};

	check_bytes(o, false, "0e8a2287b642e936e960a918c63fab7f83500dbff406777e21d448b077850af1");
	check_bytes(o, true, "409e18fcf2313966f271a63c1d5c64610544e1d647bfe31b8a1dc8fc9f8a073a");
	o.length = 3;
	refuse(o, false, "length out of range: 3 (task induction): give 4 to 64");
	o.length = 65;
	refuse(o, false, "give 4 to 64");
	o.length = 10;
	o.corrupt = PB_CORRUPT_STATE;
	refuse(o, true, "give one of distractor, target");
}

/* ---- successor ------------------------------------------------------------------------ */

static const char *const named[2][12] = {
    {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"},
    {"January", "February", "March", "April", "May", "June", "July", "August", "September",
     "October", "November", "December"}};

/* Number of an item in its series. */
static long number_of(enum pb_series series, const char *item)
{
	if (series == PB_SERIES_NUMBERS) {
		cr_assert(isdigit((unsigned char)item[0]));
		return strtol(item, NULL, 10);
	}
	for (long i = 0; i < 12; i++)
		if (named[series][i] != NULL && strcmp(named[series][i], item) == 0)
			return i;
	cr_assert_fail("no item: %s", item);
	return -1;
}

static long next_of(enum pb_series series, long n)
{
	return series == PB_SERIES_NUMBERS ? n + 1 : (n + 1) % (series == PB_SERIES_DAYS ? 7 : 12);
}

static void check_series(const json_t *line, const char *key, const struct pb_task_options *o,
			 const char *answer)
{
	struct words w = {.n = 0};
	long at;

	split(&w, text_of(line, key), MARKS);
	cr_assert_eq(w.n, 3 + 2 * o->length);
	cr_assert(strcmp(w.text[0], "In") == 0 && strcmp(w.text[1], "order") == 0);
	at = number_of(o->series, w.text[3]);
	for (size_t i = 0; i < o->length; i++) {
		cr_assert_eq(number_of(o->series, w.text[3 + 2 * i]), at);
		cr_assert_str_eq(w.text[4 + 2 * i], ",");
		at = next_of(o->series, at);
	}
	cr_assert_eq(number_of(o->series, answer + 1), at);
	cr_assert(at <= 100);
	cr_assert_str_eq(role_of(line, w.n - 1), "end");
	cr_assert_str_eq(role_of(line, w.n - 2), "last_item");
}

Test(successor, prompts_and_pairs_are_read_back)
{
	for (int s = PB_SERIES_DAYS; s <= PB_SERIES_NUMBERS; s++)
		for (size_t length = 2; length <= 6; length += 2) {
			struct pb_task_options o = {.name = "successor",
						    .series = (enum pb_series)s,
						    .length = length,
						    .count = 1200,
						    .corrupt = PB_CORRUPT_PLACE};
			char *text = NULL;
			json_t *lines = generate(&o, false, &text);

			for (size_t i = 0; i < o.count; i++) {
				json_t *line = json_array_get(lines, i);

				check_series(line, "prompt", &o, text_of(line, "answer"));
				cr_assert(is_candidate(line, text_of(line, "answer")));
			}
			json_decref(lines);
			free(text);
			o.count = 300;
			lines = generate(&o, true, &text);
			for (size_t i = 0; i < o.count; i++) {
				json_t *line = json_array_get(lines, i);

				cr_assert_eq(check_differences(line), length);
				check_series(line, "clean", &o, text_of(line, "answer"));
				check_series(line, "corrupted", &o, text_of(line, "foil"));
				cr_assert_str_neq(text_of(line, "answer"), text_of(line, "foil"));
				cr_assert(is_candidate(line, text_of(line, "foil")));
			}
			json_decref(lines);
			free(text);
		}
}

Test(successor, bytes_and_refusals)
{
	struct pb_task_options o = {.name = "successor",
				    .series = PB_SERIES_NUMBERS,
				    .length = 4,
				    .count = 40,
				    .corrupt = PB_CORRUPT_PLACE};

	check_bytes(o, false, "bddc8c44c0d884574dbc6245067cd7bfcc5d4513d65eded2b745de7b3c647f7c");
	check_bytes(o, true, "82814d77175a814c9a0600c2770a6bdbc0cf6868b2b39ef546ada0404f4789b8");
	o.length = 1;
	refuse(o, false, "length out of range: 1 (task successor, series numbers): give 2 to 10");
	o.series = PB_SERIES_DAYS;
	o.length = 7;
	refuse(o, false, "series days): give 2 to 6");
}

/* ---- with tokenizers ------------------------------------------------------------------ */

static void check_tokens(const struct pb_tokenizer *t, struct pb_task_options o)
{
	struct pb_pairs pairs = {0};

	o.count = 200;
	parse_pairs(&pairs, o, t);
	for (size_t i = 0; i < pairs.n; i++)
		cr_assert_str_eq(pairs.roles[pairs.items[i].roles[pairs.items[i].length - 1]],
				 "end");
	pb_pairs_free(&pairs);
}

static void check_words(const struct pb_tokenizer *t, const char *name)
{
	(void)name;
	check_tokens(t, (struct pb_task_options){
			    .name = "induction", .length = 64, .corrupt = PB_CORRUPT_TARGET});
	for (int s = PB_SERIES_DAYS; s <= PB_SERIES_NUMBERS; s++)
		check_tokens(t, (struct pb_task_options){.name = "successor",
							 .series = (enum pb_series)s,
							 .length = 5,
							 .corrupt = PB_CORRUPT_PLACE});
}

Test(series, words_are_single_tokens)
{
	each_tokenizer(check_words);
}
