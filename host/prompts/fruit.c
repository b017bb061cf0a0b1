/* The fruit task: each person gets a different fruit; who can have what? */
#include "prompts/fruit.h"

#include <jansson.h>

#include "prompts/one_token.h"
#include "prompts/wording.h"

#define FRUIT_TASK UINT64_C(4) /* the task's number in pb_rng_seed */
#define N_FRUITS 36
#define N_USUAL 21
#define ATTEMPTS_MAX 10000
/* Lists of names and fruits with their marks, and up to six words a clue. */
_Static_assert(2 * 2 * N_FRUITS + 40 + 6 * N_FRUITS <= PB_WORDS_MAX, "room for a story");

/* The first 15 are one token behind a space in the tokenizers of GPT-2 and GPT-NeoX, the first
 * N_USUAL in GPT-2's. */
static const char *const fruits[N_FRUITS] = {
    " apple",      " pear",       " plum",      " orange",      " lemon",      " lime",
    " grape",      " cherry",     " banana",    " fig",         " date",       " coconut",
    " olive",      " tomato",     " pumpkin",   " peach",       " mango",      " avocado",
    " pineapple",  " strawberry", " raspberry", " melon",       " kiwi",       " berry",
    " apricot",    " papaya",     " guava",     " blueberry",   " blackberry", " cranberry",
    " watermelon", " grapefruit", " tangerine", " pomegranate", " chestnut",   " quince",
};
static const char *const names[N_FRUITS] = {
    "Sarah",  "Dean",  "Mary",  "John",   "Tom",    "James",   "Anna",  "Jack",   "Peter",
    "Paul",   "Kate",  "Alice", "Robert", "David",  "Michael", "Mark",  "Laura",  "Emma",
    "Kevin",  "Ryan",  "Adam",  "Eric",   "Andrew", "Brian",   "Chris", "Daniel", "Frank",
    "George", "Henry", "Lisa",  "Luke",   "Nick",   "Rachel",  "Sam",   "Scott",  "Steve",
};
static const char *const numbers[N_FRUITS + 1] = {
    "0",  "1",  "2",  "3",  "4",  "5",  "6",  "7",  "8",  "9",  "10", "11", "12",
    "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25",
    "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "36"};

/* `person` gets `fruit`, from `giver` (-1: from nobody). Numbers are places in the story's lists.
 */
struct clue {
	int person, giver, fruit;
};
struct story {
	int n, n_clues, asked;
	uint32_t name[N_FRUITS], fruit[N_FRUITS]; /* in the tables */
	struct clue clues[N_FRUITS];
};

/* ---- options ------------------------------------------------------------------------- */

enum pb_status pb_fruit_check(const struct pb_task_options *o, struct pb_error *err)
{
	if (o->people < 2 || o->people > N_FRUITS)
		return pb_fail(err, PB_ERR_INPUT,
			       "people out of range: %zu (task fruit): give 2 to %d", o->people,
			       N_FRUITS);
	if (o->clues >= o->people)
		return pb_fail(err, PB_ERR_INPUT,
			       "clues out of range: %zu (task fruit, %zu people): give 0 to %zu",
			       o->clues, o->people, o->people - 1);
	return pb_task_check_count(o, err);
}

enum pb_status pb_fruit_check_pairs(const struct pb_task_options *o, struct pb_error *err)
{
	if (o->clues != o->people - 1)
		return pb_fail(err, PB_ERR_INPUT,
			       "no such pair exists: task fruit, %zu people, %zu clues: more than "
			       "one fruit remains: give %zu clues",
			       o->people, o->clues, o->people - 1);
	if (o->corrupt == PB_CORRUPT_DISTRACTOR && o->people < 3)
		return pb_fail(err, PB_ERR_INPUT,
			       "no such pair exists: task fruit, corrupt distractor, %zu people: "
			       "nobody else can give: give at least 3",
			       o->people);
	return PB_OK;
}

enum pb_status pb_fruit_prepare(struct pb_task_options *o, struct pb_error *err)
{
	size_t n = 0;
	enum pb_status status = PB_OK;

	o->usable = 0;
	for (size_t i = 0; i < N_FRUITS; i++) {
		bool one = o->tokenizer == NULL && i < N_USUAL;

		if (o->tokenizer != NULL)
			PB_TRY(pb_is_one_token(o->tokenizer, "the", fruits[i], &one, err));
		o->usable |= (uint64_t)one << i;
		n += one;
	}
	if (n < o->people)
		status = pb_fail(
		    err, PB_ERR_INPUT,
		    "too few fruits: task fruit, %zu people: %zu of %d fruits are one "
		    "token of %s: give at most %zu people",
		    o->people, n, N_FRUITS,
		    o->tokenizer != NULL ? "this model's tokenizer" : "GPT-2's tokenizer", n);
cleanup:
	return status;
}

/* ---- stories ------------------------------------------------------------------------- */

static int draw_below(struct pb_rng *rng, int bound)
{
	return (int)pb_rng_below(rng, (uint64_t)bound);
}

/* One of those whose flag is not set, whose flag is set then. */
static int draw_free(bool *taken, int n, struct pb_rng *rng)
{
	int list[N_FRUITS] = {0}, n_free = 0, one;

	for (int i = 0; i < n; i++)
		if (!taken[i])
			list[n_free++] = i;
	one = list[draw_below(rng, n_free)];
	taken[one] = true;
	return one;
}

static void draw_story(struct story *s, const struct pb_task_options *o, struct pb_rng *rng)
{
	uint32_t usable[N_FRUITS], people[N_FRUITS];
	bool has[N_FRUITS] = {false}, given[N_FRUITS] = {false};
	size_t n_usable = 0;

	for (uint32_t i = 0; i < N_FRUITS; i++) {
		people[i] = i;
		if (o->usable >> i & 1)
			usable[n_usable++] = i;
	}
	pb_rng_shuffle(rng, usable, n_usable);
	pb_rng_shuffle(rng, people, N_FRUITS);
	*s = (struct story){.n = (int)o->people, .n_clues = (int)o->clues};
	for (int i = 0; i < s->n; i++) {
		s->name[i] = people[i];
		s->fruit[i] = usable[i];
	}
	for (int c = 0; c < s->n_clues; c++) {
		struct clue *clue = &s->clues[c];

		clue->person = draw_free(has, s->n, rng);
		clue->fruit = draw_free(given, s->n, rng);
		clue->giver = -1;
		if (draw_below(rng, 2) == 1) {
			clue->giver = draw_below(rng, s->n - 1);
			clue->giver += clue->giver >= clue->person;
		}
	}
	s->asked = draw_free(has, s->n, rng);
}

/* Flags of the fruits that nobody has; how many. */
static int find_remaining(const struct story *s, bool *remains)
{
	for (int i = 0; i < s->n; i++)
		remains[i] = true;
	for (int c = 0; c < s->n_clues; c++)
		remains[s->clues[c].fruit] = false;
	return s->n - s->n_clues;
}

static int first_remaining(const struct story *s)
{
	bool remains[N_FRUITS] = {false};
	int i = 0;

	(void)find_remaining(s, remains);
	while (!remains[i])
		i++;
	return i;
}

static const char *fruit_of(const struct story *s, int i)
{
	return fruits[s->fruit[i]];
}

/* ---- telling ------------------------------------------------------------------------- */

enum {
	OPENING,
	PERSON,
	NEXT_PERSON,
	LAST_PERSON,
	FRUIT,
	NEXT_FRUIT,
	LAST_FRUIT,
	GIVES,
	GETS,
	QUESTION
};

#define ITEM(name_, text_, slot, role_)                                                            \
	{                                                                                          \
		.name = (name_), .text = (text_), .role = "opening", .slots = {                    \
			{.name = (slot), .role = (role_)}                                          \
		}                                                                                  \
	}

const struct pb_pattern_row pb_fruit_patterns[] = {
    [OPENING] = {.name = "opening",
		 .text = "{people} walk into a fruit store. There are only {number} fruits "
			 "{fruits}. Each person gets a different fruit.",
		 .role = "opening",
		 .slots = {{.name = "people", .items = PERSON},
			   {.name = "number", .may_lack = true},
			   {.name = "fruits", .items = FRUIT}}},
    [PERSON] = ITEM("person", "{person}", "person", "name"),
    [NEXT_PERSON] = ITEM("next_person", ", {person}", "person", "name"),
    [LAST_PERSON] = ITEM("last_person", ", {person}", "person", "name"),
    [FRUIT] = ITEM("fruit", "{fruit}", "fruit", "fruit"),
    [NEXT_FRUIT] = ITEM("next_fruit", ", {fruit}", "fruit", "fruit"),
    [LAST_FRUIT] = ITEM("last_fruit", ", {fruit}", "fruit", "fruit"),
    [GIVES] = {.name = "gives",
	       .text = "{giver} gives {receiver} the {fruit}.",
	       .role = "clue",
	       .slots = {{.name = "receiver", .role = "receiver"},
			 {.name = "fruit", .role = "given"},
			 {.name = "giver", .role = "giver"}}},
    [GETS] = {.name = "gets",
	      .text = "{receiver} gets the {fruit}.",
	      .role = "clue",
	      .slots = {{.name = "receiver", .role = "receiver"},
			{.name = "fruit", .role = "given"}}},
    [QUESTION] = {.name = "question",
		  .text = "{person} can have the",
		  .role = "query",
		  .kind = PB_PATTERN_END,
		  .slots = {{.name = "person", .role = "asked"}}},
    {.name = NULL},
};

static void tell_opening(struct pb_words *words, const struct story *s,
			 const struct pb_wording *wording)
{
	const char *people[N_FRUITS], *all[N_FRUITS];

	for (int i = 0; i < s->n; i++) {
		people[i] = names[s->name[i]];
		all[i] = fruit_of(s, i) + 1;
	}
	PB_TELL(wording, OPENING, words, {.list = people, .n = (size_t)s->n},
		{.text = numbers[s->n]}, {.list = all, .n = (size_t)s->n});
}

static void tell(struct pb_words *words, const struct story *s, const struct pb_wording *wording)
{
	pb_words_begin(words);
	tell_opening(words, s, wording);
	for (int c = 0; c < s->n_clues; c++) {
		const struct clue *clue = &s->clues[c];
		bool given = clue->giver >= 0;

		PB_TELL(wording, given ? GIVES : GETS, words,
			{.text = names[s->name[clue->person]]},
			{.text = fruit_of(s, clue->fruit) + 1},
			{.text = given ? names[s->name[clue->giver]] : NULL});
	}
	PB_TELL(wording, QUESTION, words, {.text = names[s->name[s->asked]]});
}

/* ---- JSON lines ---------------------------------------------------------------------- */

static void begin_stream(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	uint64_t cell = stream << 32 | (uint64_t)o->people << 16 | (uint64_t)o->clues;

	pb_rng_seed(rng, FRUIT_TASK, cell, o->seed, index);
}

/* The fruits of the story: all, or those that remain. */
static json_t *fruits_value(const struct story *s, bool all, bool *bad)
{
	json_t *list = json_array();
	bool remains[N_FRUITS] = {false};

	(void)find_remaining(s, remains);
	for (int i = 0; i < s->n; i++)
		if (all || remains[i])
			pb_line_push(list, json_string(fruit_of(s, i)), bad);
	return list;
}

static void put_cell(json_t *line, const struct pb_task_options *o, const struct story *s,
		     uint64_t index, bool *bad)
{
	pb_line_put(line, "candidates", fruits_value(s, true, bad), bad);
	pb_line_put(line, "answers", fruits_value(s, false, bad), bad);
	pb_line_put(line, "task", json_string("fruit"), bad);
	pb_line_put(line, "people", json_integer((json_int_t)o->people), bad);
	pb_line_put(line, "clues", json_integer((json_int_t)o->clues), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
	pb_line_put(line, "asked", json_string(names[s->name[s->asked]]), bad);
}

enum pb_status pb_fruit_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			       struct pb_error *err)
{
	struct story s;
	struct pb_words words;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;

	begin_stream(&rng, o, 0, index);
	draw_story(&s, o, &rng);
	tell(&words, &s, o->wording);
	/* the first of those that remain stands for the set */
	pb_line_prompt(line, &words, fruit_of(&s, first_remaining(&s)), &bad);
	put_cell(line, o, &s, index, &bad);
	pb_line_roles(line, &words, &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

/* ---- pairs --------------------------------------------------------------------------- */

/* A clue gives the fruit that remains, and its own remains instead. */
static bool corrupt_state(struct story *s, struct pb_rng *rng)
{
	s->clues[draw_below(rng, s->n_clues)].fruit = first_remaining(s);
	return true;
}

/* Somebody else gives. */
static bool corrupt_distractor(struct story *s, struct pb_rng *rng)
{
	int given[N_FRUITS], n = 0, other;
	struct clue *clue;

	for (int c = 0; c < s->n_clues; c++)
		if (s->clues[c].giver >= 0)
			given[n++] = c;
	if (n == 0)
		return false;
	clue = &s->clues[given[draw_below(rng, n)]];
	do
		other = draw_below(rng, s->n);
	while (other == clue->giver || other == clue->person);
	clue->giver = other;
	return true;
}

enum pb_status pb_fruit_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err)
{
	bool distractor = o->corrupt == PB_CORRUPT_DISTRACTOR, found = false;
	struct story clean, corrupted;
	struct pb_words a, b;
	struct pb_rng rng;
	json_t *line;
	int answer, foil, attempts = 0;
	bool bad;

	begin_stream(&rng, o, 1 + (uint64_t)o->corrupt, index);
	while (!found && attempts++ < ATTEMPTS_MAX) {
		draw_story(&clean, o, &rng);
		corrupted = clean;
		found = distractor ? corrupt_distractor(&corrupted, &rng)
				   : corrupt_state(&corrupted, &rng);
	}
	if (!found)
		return pb_fail(err, PB_ERR_INTERNAL, "task fruit: no story has a giver");
	answer = first_remaining(&clean);
	foil = first_remaining(&corrupted);
	if (distractor) {
		foil = draw_below(&rng, clean.n - 1);
		foil += foil >= answer;
	}
	tell(&a, &clean, o->wording);
	tell(&b, &corrupted, o->wording);
	line = json_object();
	bad = line == NULL;
	pb_line_pair(line, &a, &b, fruit_of(&clean, answer), fruit_of(&clean, foil), &bad);
	put_cell(line, o, &clean, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	pb_line_put(line, "attempts", json_integer(attempts), &bad);
	return pb_line_end_pair(line, o, &a, &b, bad, out, err);
}
