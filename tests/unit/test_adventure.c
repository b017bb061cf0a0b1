/* The adventure task: every prompt is read back from its text and played by a simulator that shares
 * nothing with the generator. */
#include "support/adventure_reader.h"

#define CAP 10000 /* states that a search looks at */
#define SLOTS ((size_t)1 << 15)

/* ---- states that can be reached, by searching all ----------------------------------------- */

/* 4 bits for the player's room, one a container, then 5 an object: a room, 10 + a container, or 31
 * for the hand. */
struct search {
	const struct reading *r;
	uint64_t queue[CAP + 1];
	size_t n;
	uint64_t table[SLOTS]; /* a state + 1, 0: free */
};

static void reach(struct search *s, uint64_t state)
{
	size_t at = (size_t)((state + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 49);

	for (; s->table[at] != 0; at = (at + 1) % SLOTS)
		if (s->table[at] == state + 1)
			return;
	if (s->n > CAP)
		return;
	s->table[at] = state + 1;
	s->queue[s->n++] = state;
}

static int place_code(const struct reading *r, const char *name)
{
	for (int c = 0; c < r->n_containers; c++)
		if (strcmp(r->start[c].name, name) == 0)
			return 10 + c;
	return room_index(r, name);
}

static void expand(struct search *s, uint64_t state)
{
	const struct reading *r = s->r;
	const int player = (int)(state & 15);

	for (int d = 0; d < 4; d++)
		if (r->rooms[player].exits[d] >= 0)
			reach(s, (state & ~UINT64_C(15)) | (uint64_t)r->rooms[player].exits[d]);
	for (int c = 0; c < r->n_containers; c++)
		if (room_index(r, r->start[c].place) == player)
			reach(s, state ^ UINT64_C(1) << (4 + c));
	for (int i = 0; i < r->n_things - r->n_containers; i++) {
		const int shift = 10 + 5 * i, place = (int)(state >> shift & 31);
		const uint64_t hand = state | UINT64_C(31) << shift;

		if (place == player)
			reach(s, hand);
		for (int c = 0; c < r->n_containers; c++) {
			if (room_index(r, r->start[c].place) != player ||
			    (state >> (4 + c) & 1) == 0)
				continue;
			if (place == 31)
				reach(s, (state & ~(UINT64_C(31) << shift)) | (uint64_t)(10 + c)
										  << shift);
			else if (place == 10 + c)
				reach(s, hand);
		}
	}
}

/* Number of states from the start, CAP + 1 where there are more than CAP. */
static size_t count_states(const struct reading *r)
{
	static struct search s;
	uint64_t state = (uint64_t)room_index(r, r->start_player);

	s.r = r;
	s.n = 0;
	memset(s.table, 0, sizeof s.table);
	for (int t = 0; t < r->n_things; t++)
		if (r->start[t].container)
			state |= (uint64_t)r->start[t].open << (4 + t);
		else
			state |= (uint64_t)place_code(r, r->start[t].place)
				 << (10 + 5 * (t - r->n_containers));
	reach(&s, state);
	for (size_t at = 0; at < s.n && s.n <= CAP; at++)
		expand(&s, s.queue[at]);
	return s.n;
}

/* ---- evaluation prompts ------------------------------------------------------------------- */

static size_t n_searched, n_beyond;

static void check_prompt(const struct pb_task_options *o, const json_t *line, int k)
{
	static struct reading r;
	json_int_t reachable = integer_of(line, "reachable");

	read_story(&r, text_of(line, "prompt"), o);
	check_line(o, line, &r, k);
	cr_assert(json_is_false(json_object_get(line, "reachable_capped")));
	/* large searches are many: one in fifty of them */
	if (reachable <= 1000 || k % 50 == 0) {
		size_t n = count_states(&r);

		cr_assert_eq(n, reachable <= CAP ? (size_t)reachable : CAP + 1, "%zu of %lld", n,
			     (long long)reachable);
		n_searched++;
		n_beyond += n > CAP;
	}
}

/* 9 x 7 cells of 160 prompts: more than 10,000. */
Test(adventure, prompts_are_answered_by_an_independent_simulator)
{
	for (size_t rooms = 2; rooms <= 10; rooms++)
		for (size_t containers = 0; containers <= 6; containers++) {
			struct pb_task_options o = {.name = "adventure",
						    .rooms = rooms,
						    .objects = 1 + (rooms + 3 * containers) % 8,
						    .containers = containers,
						    .steps = 1 + (7 * rooms + containers) % 20,
						    .count = 160,
						    .seed = 5};

			each_line(&o, false, check_prompt);
		}
	cr_assert(n_searched > 1000 && n_beyond > 50, "%zu, %zu", n_searched, n_beyond);
}

/* All words of a table are in use: as many bits as it has. */
static unsigned seen[5];
static size_t seen_kind[3], seen_capital[4], n_loops;

static void note(int table, const char *const *list, const char *word)
{
	int i = index_of(list, word);

	if (i >= 0)
		seen[table] |= 1u << i;
}

static void count_draws(const struct pb_task_options *o, const json_t *line, int k)
{
	static const char *const kinds[] = {"place", "player", "flag", NULL};
	static struct reading r;

	(void)k;
	read_story(&r, text_of(line, "prompt"), o);
	seen_kind[index_of(kinds, r.kind)]++;
	n_loops += r.n_links >= r.n_rooms;
	for (int i = 0; i < (int)r.w.n; i++) {
		int heading = index_of(headings, r.w.text[i]);

		note(0, known_rooms, r.w.text[i]);
		note(1, known_objects, r.w.text[i]);
		note(2, known_containers, r.w.text[i]);
		note(3, compass, r.w.text[i]);
		if (heading >= 0)
			seen_capital[heading]++;
		if (r.roles[i][0] == 'a' && is(&r, i - 1, "You"))
			note(4, (const char *const[]){"go", "take", "put", "open", "close", NULL},
			     r.w.text[i]);
	}
}

/* 6,000 draws over 3: 2,000 each with a standard deviation of 37; five of these are allowed. */
Test(adventure, queries_are_uniform_and_all_words_are_used)
{
	struct pb_task_options o = {.name = "adventure",
				    .rooms = 5,
				    .objects = 6,
				    .containers = 2,
				    .steps = 5, /* some object is never taken */
				    .count = 6000,
				    .seed = 1};

	each_line(&o, false, count_draws);
	for (int i = 0; i < 3; i++)
		cr_assert(labs((long)seen_kind[i] - 2000) < 185, "kind %d: %zu", i, seen_kind[i]);
	cr_assert(seen[0] == 0x3ff && seen[1] == 0xff && seen[2] == 0x3f && seen[3] == 0xf &&
		  seen[4] == 0x1f);
	for (int i = 0; i < 4; i++)
		cr_assert_gt(seen_capital[i], 5000);
	cr_assert(n_loops > 500 && n_loops < 5500, "%zu maps with loops", n_loops);
}

/* ---- options, bytes, tokens --------------------------------------------------------------- */

Test(adventure, options_out_of_range_are_refused)
{
	const struct pb_task_options good = {
	    .name = "adventure", .rooms = 3, .objects = 2, .containers = 1, .steps = 2, .count = 1};
	struct pb_task_options o;
	struct pb_error err = {0};

	cr_assert_eq(pb_adventure_check(&good, &err), PB_OK);
	o = good, o.rooms = 1;
	refuse_option(o, "rooms", "2 to 10");
	o = good, o.rooms = 11;
	refuse_option(o, "rooms", "2 to 10");
	o = good, o.objects = 0;
	refuse_option(o, "objects", "1 to 8");
	o = good, o.objects = 9;
	refuse_option(o, "objects", "1 to 8");
	o = good, o.containers = 7;
	refuse_option(o, "containers", "0 to 6");
	o = good, o.steps = 0;
	refuse_option(o, "steps", "1 to 20");
	o = good, o.steps = 21;
	refuse_option(o, "steps", "1 to 20");
	o = good, o.count = 0;
	refuse_option(o, "number of pairs", "1 to");
	o = good, o.seed = UINT64_MAX;
	refuse_option(o, "seed", "0 to");
	o = good, o.corrupt = PB_CORRUPT_MATCHED;
	refuse(o, true, "an odd number of pairs: 1");
}

Test(adventure, a_line_does_not_depend_on_the_count)
{
	struct pb_task_options o = {.name = "adventure",
				    .rooms = 4,
				    .objects = 3,
				    .containers = 2,
				    .steps = 6,
				    .count = 40,
				    .corrupt = PB_CORRUPT_MATCHED,
				    .seed = 9};

	check_independence(o, false, 8);
	check_independence(o, true, 8);
}

/* The same arguments give the same bytes, on any machine and in any version. */
Test(adventure, the_bytes_of_a_seed_do_not_change)
{
	static const struct {
		enum pb_corruption corrupt;
		bool pairs;
		const char *sha256;
	} known[] = {
	    {PB_CORRUPT_STATE, false,
	     "367c53b421b6f1c3dc4bebfe9d9d302aa7b9ea3e668f625215d7bb977e682dd0"},
	    {PB_CORRUPT_STATE, true,
	     "3834472a4436399376712f33a150d81914ca732bc79e2baea393b3c1584e7ec9"},
	    {PB_CORRUPT_ACTION, true,
	     "67c1e035da75dd7ef58eafcf85895353664ed565be51e027420b7a3b7c7de04c"},
	    {PB_CORRUPT_DISTRACTOR, true,
	     "e51dd6252e528942c1e82847e1cfd7e02e44a9cd6dd134590a2f505a9df0b6d7"},
	    {PB_CORRUPT_MATCHED, true,
	     "6aaf1be5a2834e47b75fe1defce9e98f56e9a99318e79a663ea0f83fdeefac52"},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct pb_task_options o = {.name = "adventure",
					    .rooms = 5,
					    .objects = 4,
					    .containers = 3,
					    .steps = 8,
					    .count = 100,
					    .corrupt = known[i].corrupt,
					    .seed = 12345678901};

		check_bytes(o, known[i].pairs, known[i].sha256);
	}
}

/* The preflight refuses answers of several tokens and prompts of unequal length. */
static void check_tokens(const char *model, size_t n_vocab)
{
	static const enum pb_corruption corruptions[] = {PB_CORRUPT_STATE, PB_CORRUPT_ACTION,
							 PB_CORRUPT_DISTRACTOR, PB_CORRUPT_MATCHED};
	struct pb_tokenizer *t = open_tokenizer(model);
	struct pb_error err = {0};

	if (t == NULL)
		cr_skip_test("no tokenizer of %s: set PB_TOKENIZERS", model);
	for (size_t i = 0; i < 4; i++) {
		struct pb_task_options o = {.name = "adventure",
					    .rooms = 10,
					    .objects = 8,
					    .containers = 6,
					    .steps = 10,
					    .count = 200,
					    .corrupt = corruptions[i],
					    .seed = 6,
					    .tokenizer = t};
		struct pb_pairs pairs = {0};
		char *text = lines_of(&o, true);

		cr_assert_eq(pb_pairs_parse(&pairs, text, strlen(text), "adventure", t, PB_BOS_AUTO,
					    n_vocab, 1024, &err),
			     PB_OK, "%s", err.message);
		cr_assert_eq(pairs.n, 200);
		cr_assert_eq(pairs.n_roles, 4);
		pb_pairs_free(&pairs);
		free(text);
	}
	pb_tokenizer_close(t);
}

Test(adventure, words_are_single_tokens_of_gpt2)
{
	check_tokens("gpt2", 50257);
}

Test(adventure, words_are_single_tokens_of_neox)
{
	check_tokens("neox", 50304);
}

Test(adventure, a_tokenizer_without_the_words_is_refused)
{
	struct pb_task_options o = {
	    .name = "adventure", .rooms = 3, .objects = 2, .containers = 1, .steps = 2, .count = 1};
	struct pb_tokenizer *t = NULL;
	struct pb_error err = {0};

	cr_assert_eq(pb_tokenizer_open(&t, "tests/golden/tokenizers/llama3", &err), PB_OK, "%s",
		     err.message);
	o.tokenizer = t;
	cr_assert_eq(pb_adventure_prepare(&o, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "too few names: task adventure, 3 rooms"), "%s",
			   err.message);
	pb_tokenizer_close(t);
}
