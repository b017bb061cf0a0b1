/* The box task: every prompt is read back from its text by a simulator that shares nothing with the
 * generator, and pairs differ where they say and nowhere else. */
#include "support/task_lines.h"

#define MAX_SIZE 10

/* ---- an independent reader of the text ------------------------------------------------ */

static const char *const table[MAX_SIZE] = {"hat",  "glove", "ball", "key",  "pen",
					    "book", "coin",  "card", "ring", "watch"};

struct reading {
	struct words w;
	int n_boxes, n_moves;
	int start[MAX_SIZE]; /* box of each object before the moves, -1: never placed */
	int where[MAX_SIZE]; /* after the moves */
	int last_move[MAX_SIZE];
	int query;
};

static const char *word(const struct reading *r, int i)
{
	return i < (int)r->w.n ? r->w.text[i] : "";
}

static bool is(const struct reading *r, int i, const char *expected)
{
	return strcmp(word(r, i), expected) == 0;
}

static int expect(const struct reading *r, int i, const char *expected)
{
	cr_assert_str_eq(word(r, i), expected, "word %d", i);
	return i + 1;
}

static int object_index(const char *name, bool capital)
{
	for (int o = 0; o < MAX_SIZE; o++) {
		char expected[12];

		(void)snprintf(expected, sizeof expected, "%s", table[o]);
		if (capital)
			expected[0] = (char)(expected[0] - 'a' + 'A');
		if (strcmp(expected, name) == 0)
			return o;
	}
	cr_assert_fail("no object: '%s'", name);
	return -1;
}

static int box_index(const char *letter)
{
	cr_assert(strlen(letter) == 1 && letter[0] >= 'A' && letter[0] <= 'J', "box '%s'", letter);
	return letter[0] - 'A';
}

/* `Box A contains the hat, the glove and the ball.` or `Box A is empty.` */
static int read_box(struct reading *r, int i)
{
	int previous = -1;

	i = expect(r, i, "Box");
	cr_assert_eq(box_index(word(r, i++)), r->n_boxes, "boxes out of order");
	if (is(r, i, "is")) {
		i = expect(r, expect(r, i, "is"), "empty");
	} else {
		bool last = false;

		i = expect(r, i, "contains");
		for (;;) {
			int object;

			i = expect(r, i, "the");
			object = object_index(word(r, i++), false);
			cr_assert_gt(object, previous, "objects out of order");
			cr_assert_eq(r->start[object], -1, "placed twice");
			r->start[object] = r->n_boxes;
			previous = object;
			if (is(r, i, "."))
				break;
			cr_assert(!last, "more objects after 'and'");
			last = is(r, i, "and");
			i = last ? i + 1 : expect(r, i, ",");
		}
		/* Two or more objects end in `and`. */
		if (!last)
			cr_assert(is(r, i - 3, "contains"));
	}
	r->n_boxes++;
	return expect(r, i, ".");
}

static int read_move(struct reading *r, int i)
{
	int object, box;

	i = expect(r, expect(r, i, "Move"), "the");
	object = object_index(word(r, i++), false);
	i = expect(r, expect(r, i, "into"), "Box");
	box = box_index(word(r, i++));
	cr_assert_lt(box, r->n_boxes);
	cr_assert_neq(r->where[object], box, "moved to where it is");
	r->where[object] = box;
	r->last_move[object] = r->n_moves++;
	return expect(r, i, ".");
}

/* Reads the whole prompt and returns the box of the queried object. */
static int read_story(struct reading *r, const char *text, int n_boxes, int n_moves)
{
	int i = 0;

	split(&r->w, text, ".,");
	r->n_boxes = r->n_moves = 0;
	for (int o = 0; o < MAX_SIZE; o++)
		r->start[o] = r->last_move[o] = -1;
	while (is(r, i, "Box"))
		i = read_box(r, i);
	cr_assert_eq(r->n_boxes, n_boxes);
	for (int o = 0; o < MAX_SIZE; o++)
		cr_assert((r->start[o] >= 0) == (o < n_boxes), "as many objects as boxes");
	memcpy(r->where, r->start, sizeof r->where);
	while (is(r, i, "Move"))
		i = read_move(r, i);
	cr_assert_eq(r->n_moves, n_moves);
	r->query = object_index(word(r, i++), true);
	i = expect(r, expect(r, expect(r, expect(r, i, "is"), "in"), "the"), "Box");
	cr_assert_eq(i, (int)r->w.n, "words after the end");
	return r->where[r->query];
}

/* ---- helpers -------------------------------------------------------------------------- */

static void check_candidates(const json_t *line, size_t n_boxes)
{
	const json_t *list = json_object_get(line, "candidates");

	cr_assert_eq(json_array_size(list), n_boxes);
	for (size_t b = 0; b < n_boxes; b++) {
		const char expected[3] = {' ', (char)('A' + b), '\0'};

		cr_assert_str_eq(json_string_value(json_array_get(list, b)), expected);
	}
}

static void check_cell(const struct pb_task_options *o, const json_t *line, int k)
{
	cr_assert_str_eq(text_of(line, "task"), "box");
	cr_assert_eq(integer_of(line, "boxes"), (int)o->boxes);
	cr_assert_eq(integer_of(line, "moves"), (int)o->moves);
	cr_assert_eq(integer_of(line, "seed"), (int)o->seed);
	cr_assert_eq(integer_of(line, "index"), k);
	check_candidates(line, o->boxes);
}

static int answer_box(const json_t *line, const char *key)
{
	const char *text = text_of(line, key);

	cr_assert(text[0] == ' ', "no space before '%s'", text);
	return box_index(text + 1);
}

/* ---- evaluation prompts --------------------------------------------------------------- */

static void check_prompt(const struct pb_task_options *o, const json_t *line, int k)
{
	struct reading r;
	int box = read_story(&r, text_of(line, "prompt"), (int)o->boxes, (int)o->moves);

	check_cell(o, line, k);
	cr_assert_eq(box, answer_box(line, "answer"), "%s", text_of(line, "prompt"));
	cr_assert_str_eq(text_of(line, "object"), table[r.query]);
	cr_assert_eq(integer_of(line, "last_move"), r.last_move[r.query]);
	cr_assert_eq(json_is_true(json_object_get(line, "moved")), r.last_move[r.query] >= 0);
}

/* 90 cells of 112 prompts: more than 10,000. */
Test(box, prompts_of_all_cells_are_answered_by_an_independent_simulator)
{
	for (size_t boxes = 2; boxes <= 10; boxes++)
		for (size_t moves = 1; moves <= 10; moves++) {
			struct pb_task_options o = {.name = "box",
						    .boxes = boxes,
						    .moves = moves,
						    .count = 112,
						    .corrupt = PB_CORRUPT_STATE,
						    .seed = 5};

			each_line(&o, false, check_prompt);
		}
}

static int seen_query[MAX_SIZE], seen_start[MAX_SIZE], seen_moved;

static void count_draws(const struct pb_task_options *o, const json_t *line, int k)
{
	struct reading r;

	(void)k;
	(void)read_story(&r, text_of(line, "prompt"), (int)o->boxes, (int)o->moves);
	seen_query[r.query]++;
	seen_start[r.start[0]]++;
	seen_moved += r.last_move[r.query] >= 0;
}

/* 6,000 draws over 3: 2,000 each with a standard deviation of 37; five of these are allowed. */
Test(box, queries_and_placements_are_uniform)
{
	struct pb_task_options o = {.name = "box",
				    .boxes = 3,
				    .moves = 2,
				    .count = 6000,
				    .corrupt = PB_CORRUPT_STATE,
				    .seed = 1};

	each_line(&o, false, count_draws);
	for (int i = 0; i < 3; i++) {
		cr_assert(abs(seen_query[i] - 2000) < 185, "query %d: %d", i, seen_query[i]);
		cr_assert(abs(seen_start[i] - 2000) < 185, "start %d: %d", i, seen_start[i]);
	}
	/* Both kinds of queried objects are there: moved ones and others. */
	cr_assert(seen_moved > 1000 && seen_moved < 5000, "%d moved", seen_moved);
}

/* ---- pairs ---------------------------------------------------------------------------- */

static void check_state(const struct reading *clean, const struct reading *corrupted, int n)
{
	const int query = clean->query;
	int partner = -1;

	cr_assert_eq(n, 2);
	cr_assert_eq(clean->last_move[query], -1, "the queried object was moved");
	for (int o = 0; o < clean->n_boxes; o++)
		if (o != query && clean->start[o] != corrupted->start[o])
			partner = o;
	cr_assert_geq(partner, 0);
	cr_assert_eq(clean->last_move[partner], -1, "its partner was moved");
	cr_assert_eq(clean->start[query], corrupted->start[partner]);
	cr_assert_eq(clean->start[partner], corrupted->start[query]);
}

static void check_action(const struct reading *clean, const struct reading *corrupted,
			 const json_t *line, int n)
{
	cr_assert_eq(n, 1);
	cr_assert(memcmp(clean->start, corrupted->start, sizeof clean->start) == 0);
	cr_assert_eq(clean->last_move[clean->query], integer_of(line, "move"), "not decisive");
}

static void check_distractor(const struct reading *clean, const struct reading *corrupted,
			     const json_t *line, int n)
{
	cr_assert(memcmp(clean->start, corrupted->start, sizeof clean->start) == 0);
	if (clean->n_boxes == 2) {
		cr_assert_eq(n, 2);
		cr_assert_str_eq(text_of(line, "changed"), "order");
		return;
	}
	cr_assert_eq(n, 1);
	/* All that is told of the queried object stays as it was. */
	cr_assert_eq(clean->last_move[clean->query], corrupted->last_move[clean->query]);
	cr_assert_neq(clean->last_move[clean->query], integer_of(line, "move"));
}

static int n_changed_object, n_changed_box, n_candidates_foil;

/* The state partner, or the action partner: in both clean prompts the queried object never moves.
 */
static void check_matched(const struct reading *clean, const struct reading *corrupted,
			  const json_t *line, int n, int k)
{
	static char before[2048];

	cr_assert_eq(integer_of(line, "group"), k / 2);
	cr_assert_str_eq(text_of(line, "partner"), k % 2 == 0 ? "state" : "action");
	cr_assert_eq(clean->last_move[clean->query], -1);
	if (k % 2 == 0) {
		check_state(clean, corrupted, n);
		(void)snprintf(before, sizeof before, "%s", text_of(line, "clean"));
		return;
	}
	cr_assert_str_eq(text_of(line, "clean"), before);
	cr_assert_eq(n, 1);
	cr_assert_neq(corrupted->last_move[clean->query], -1);
	cr_assert_str_eq(text_of(line, "changed"), "object");
}

static void check_pair(const struct pb_task_options *o, const json_t *line, int k)
{
	const int n_boxes = (int)o->boxes, n_moves = (int)o->moves;
	struct reading clean, corrupted;
	int answer = read_story(&clean, text_of(line, "clean"), n_boxes, n_moves);
	int other = read_story(&corrupted, text_of(line, "corrupted"), n_boxes, n_moves);
	int foil = answer_box(line, "foil");
	int n = (int)check_word_differences(line, &clean.w, &corrupted.w);

	check_cell(o, line, k);
	cr_assert_eq(clean.query, corrupted.query);
	cr_assert_str_eq(text_of(line, "object"), table[clean.query]);
	cr_assert_str_eq(text_of(line, "corrupt"), pb_corruption_name(o->corrupt));
	cr_assert_eq(answer, answer_box(line, "answer"));
	cr_assert_neq(foil, answer);
	cr_assert_lt(foil, n_boxes);
	cr_assert_geq(integer_of(line, "attempts"), 1);
	cr_assert_eq(other, o->corrupt == PB_CORRUPT_DISTRACTOR ? answer : foil);
	n_changed_object += strcmp(text_of(line, "changed"), "object") == 0;
	n_changed_box += strcmp(text_of(line, "changed"), "box") == 0;
	n_candidates_foil += foil != (answer + 1) % n_boxes;
	if (o->corrupt == PB_CORRUPT_MATCHED)
		check_matched(&clean, &corrupted, line, n, k);
	else if (o->corrupt == PB_CORRUPT_STATE)
		check_state(&clean, &corrupted, n);
	else if (o->corrupt == PB_CORRUPT_ACTION)
		check_action(&clean, &corrupted, line, n);
	else
		check_distractor(&clean, &corrupted, line, n);
}

/* Cells in which no such pair exists. */
static bool impossible(size_t boxes, size_t moves, enum pb_corruption corrupt)
{
	return boxes == 2 && (corrupt == PB_CORRUPT_STATE || corrupt == PB_CORRUPT_MATCHED ||
			      (corrupt == PB_CORRUPT_DISTRACTOR && moves == 1));
}

static void check_all_cells(enum pb_corruption corrupt)
{
	for (size_t boxes = 2; boxes <= 10; boxes++)
		for (size_t moves = 1; moves <= 10; moves++) {
			struct pb_task_options o = {.name = "box",
						    .boxes = boxes,
						    .moves = moves,
						    .count = 20,
						    .corrupt = corrupt,
						    .seed = 3};

			if (!impossible(boxes, moves, corrupt))
				each_line(&o, true, check_pair);
		}
}

Test(box, state_pairs_swap_two_objects_that_never_move)
{
	check_all_cells(PB_CORRUPT_STATE);
}

Test(box, action_pairs_change_one_word_of_the_decisive_move)
{
	check_all_cells(PB_CORRUPT_ACTION);
	cr_assert(n_changed_object > 100 && n_changed_box > 100, "%d and %d", n_changed_object,
		  n_changed_box);
}

Test(box, matched_pairs_share_their_clean_prompt)
{
	check_all_cells(PB_CORRUPT_MATCHED);
}

Test(box, distractor_pairs_change_a_word_that_does_not_matter)
{
	check_all_cells(PB_CORRUPT_DISTRACTOR);
	cr_assert(n_changed_object > 100 && n_changed_box > 100);
	cr_assert(n_candidates_foil > 100, "the foil is always the next box");
}

Test(box, impossible_cells_are_refused)
{
	for (size_t moves = 1; moves <= 10; moves++)
		for (int c = PB_CORRUPT_STATE; c <= PB_CORRUPT_DISTRACTOR; c++) {
			struct pb_task_options o = {.name = "box",
						    .boxes = 2,
						    .moves = moves,
						    .count = 1,
						    .corrupt = (enum pb_corruption)c,
						    .seed = 0};
			struct pb_error err = {0};
			enum pb_status status;
			char *text = NULL;
			size_t size = 0;

			status = pb_task_pairs(&o, &text, &size, &err);
			free(text);
			if (!impossible(2, moves, o.corrupt)) {
				cr_assert_eq(status, PB_OK, "%s", err.message);
				continue;
			}
			cr_assert_eq(status, PB_ERR_INPUT);
			cr_assert_not_null(strstr(err.message, "no such pair exists"), "%s",
					   err.message);
		}
}

/* ---- options and bytes ---------------------------------------------------------------- */

Test(box, options_out_of_range_are_refused)
{
	const struct pb_task_options good = {.name = "box",
					     .boxes = 3,
					     .moves = 2,
					     .count = 1,
					     .corrupt = PB_CORRUPT_STATE,
					     .seed = 0};
	struct pb_task_options o;

	o = good, o.boxes = 1;
	refuse_option(o, "boxes", "2 to 10");
	o = good, o.boxes = 11;
	refuse_option(o, "boxes", "2 to 10");
	o = good, o.moves = 0;
	refuse_option(o, "moves", "1 to 10");
	o = good, o.moves = 11;
	refuse_option(o, "moves", "1 to 10");
	o = good, o.count = 0;
	refuse_option(o, "number of pairs", "1 to");
	o = good, o.seed = (uint64_t)INT64_MAX + 1;
	refuse_option(o, "seed", "0 to");
	o = good, o.name = "boxes";
	refuse(o, true, "boxes");
	o = good, o.name = NULL;
	refuse(o, true, "unknown task");
}

/* Line k is the same whatever the count; another seed gives other lines. */
Test(box, a_line_does_not_depend_on_the_count)
{
	struct pb_task_options o = {.name = "box",
				    .boxes = 4,
				    .moves = 3,
				    .count = 40,
				    .corrupt = PB_CORRUPT_ACTION,
				    .seed = 9};

	check_independence(o, false, 7);
	check_independence(o, true, 7);
}

/* The same arguments give the same bytes, on any machine and in any version. */
Test(box, the_bytes_of_a_seed_do_not_change)
{
	static const struct {
		struct pb_task_options o;
		bool pairs;
		const char *sha256;
	} known[] = {
	    {{.name = "box",
	      .boxes = 3,
	      .moves = 2,
	      .count = 100,
	      .corrupt = PB_CORRUPT_STATE,
	      .seed = 0},
	     true,
	     "a3e6be669f028f9e2311f2100396bbfa2460d8d7b19665e9f87691c7d6e2b49a"},
	    {{.name = "box",
	      .boxes = 2,
	      .moves = 1,
	      .count = 50,
	      .corrupt = PB_CORRUPT_ACTION,
	      .seed = 0},
	     true,
	     "6a6822daed6b11d587f7630550edfcb07f7143b980fcb231026f742d75d5a6c4"},
	    {{.name = "box",
	      .boxes = 10,
	      .moves = 10,
	      .count = 20,
	      .corrupt = PB_CORRUPT_ACTION,
	      .seed = 1},
	     true,
	     "2769aeb3e640a4348f14173957eba7c78699160dd3e820e95453d633afd21bb7"},
	    {{.name = "box",
	      .boxes = 5,
	      .moves = 4,
	      .count = 20,
	      .corrupt = PB_CORRUPT_DISTRACTOR,
	      .seed = 2},
	     true,
	     "f77b7c97d27d203ab70f7493cab9ba622792acdfd47e25a751c8223fb73cd31d"},
	    {{.name = "box",
	      .boxes = 2,
	      .moves = 3,
	      .count = 20,
	      .corrupt = PB_CORRUPT_DISTRACTOR,
	      .seed = 2},
	     true,
	     "73f3f304d6994f163b8e958130e3186691732c4a89872e254d76599bb7c4d967"},
	    {{.name = "box",
	      .boxes = 3,
	      .moves = 10,
	      .count = 20,
	      .corrupt = PB_CORRUPT_STATE,
	      .seed = 12345678901},
	     true,
	     "2acd40a684fa55a98fa90e5f618e76412d4e0030a671f937f70e25cfc02f47f2"},
	    {{.name = "box",
	      .boxes = 2,
	      .moves = 1,
	      .count = 50,
	      .corrupt = PB_CORRUPT_STATE,
	      .seed = 0},
	     false,
	     "17aa202ec968d337dbdc37fea86ecf0db0228dba575325b4b042bb3a2de72ca3"},
	    {{.name = "box",
	      .boxes = 10,
	      .moves = 10,
	      .count = 50,
	      .corrupt = PB_CORRUPT_STATE,
	      .seed = 7},
	     false,
	     "0c4adfbc422bfc2f95208ed0206e3cf796ca93bdb5f5753c4dfabd27aa5bc8d4"},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		char *text = lines_of(&known[i].o, known[i].pairs);

		check_sha256(text, known[i].sha256);
		free(text);
	}
}
