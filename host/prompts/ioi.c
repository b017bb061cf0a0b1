/* Indirect object identification (Wang et al. 2022, arXiv 2211.00593):
 *
 *   When Mary and John went to the store, John gave a drink to   -> " Mary"
 *
 * Mary is the indirect object (IO), John the subject (S); the subject's name comes twice (S1, S2).
 * In order ABBA the indirect object is named first, in BABA the subject. */
#include "prompts/ioi.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/tokens.h"
#include "prompts/one_token.h"
#include "prompts/wording.h"

#define IOI_TASK UINT64_C(2)            /* the task's number in pb_rng_seed */
#define NAMES_LEAST 8                   /* that the tokenizer must have as one token */
#define STREAM_SENTENCES UINT64_C(1000) /* behind those of the prompts and of each corruption */

/* Each prompt has one of these. Every name stands behind a space, so that it is the same token
 * everywhere. */
static const char *const sentences[] = {
    "When {first} and {second} went to the {place}, {giver} gave a {object} to",
    "Then, {first} and {second} went to the {place}, and {giver} gave a {object} to",
    "After {first} and {second} walked to the {place}, {giver} handed a {object} to",
    "While {first} and {second} were at the {place}, {giver} decided to give a {object} to",
    "Yesterday {first} and {second} met at the {place}. Then {giver} brought a {object} to",
    "When {first} and {second} got to the {place}, {giver} wanted to give a {object} to",
    "After lunch, {first} and {second} went to the {place}. There {giver} offered a {object} to",
    "In the morning {first} and {second} worked at the {place}, and {giver} passed a {object} to",
    "Last week {first} and {second} drove to the {place}, where {giver} showed a {object} to",
    "Once {first} and {second} had reached the {place}, {giver} offered a {object} to",
    "Before {first} and {second} left the {place}, {giver} lent a {object} to",
    "One day {first} and {second} visited the {place}, and {giver} sold a {object} to",
    NULL};
#define N_SENTENCES (sizeof sentences / sizeof *sentences - 1)

enum { SENTENCE };

/* The roles of the two names say who is named first: they come with the names. */
const struct pb_pattern_row pb_ioi_patterns[] = {
    [SENTENCE] = {.name = "sentence",
		  .texts = sentences,
		  .role = "context",
		  .kind = PB_PATTERN_END,
		  .opens = true,
		  .slots = {{.name = "first"},
			    {.name = "second"},
			    {.name = "giver", .role = "s2", .then = "action"},
			    {.name = "place", .may_lack = true},
			    {.name = "object", .may_lack = true}}},
    {.name = NULL},
};

static const char *const places[] = {"store",  "park",    "school",   "office",
				     "house",  "station", "hospital", "restaurant",
				     "garden", "market",  "library",  "museum"};
static const char *const objects[] = {"drink", "book", "ring", "ticket", "letter", "ball",
				      "snack", "key",  "gift", "map",    "hat",    "card"};

/* With a space in front, as an answer is written. */
static const char *const names[] = {
    " Mary",    " John",  " Tom",      " James",     " Dan",    " Sarah",   " Martha", " Simon",
    " Anna",    " Jack",  " Peter",    " Paul",      " Kate",   " Alice",   " Robert", " David",
    " Michael", " Mark",  " Mike",     " Sara",      " Laura",  " Emma",    " Kevin",  " Jason",
    " Ryan",    " Adam",  " Eric",     " Alex",      " Andrew", " Anthony", " Ben",    " Brian",
    " Charles", " Chris", " Daniel",   " Elizabeth", " Frank",  " George",  " Henry",  " Jennifer",
    " Jessica", " Joe",   " Jonathan", " Joseph",    " Joshua", " Justin",  " Karen",  " Kelly",
    " Lisa",    " Luke",  " Matthew",  " Nathan",    " Nick",   " Patrick", " Rachel", " Richard",
    " Rob",     " Ruth",  " Sam",      " Scott",     " Steve",  " Susan",   " Thomas", " William"};
#define N_NAMES (sizeof names / sizeof *names)
_Static_assert(N_NAMES == 64, "a bit of pb_task_options.usable each");

enum order { ORDER_ABBA, ORDER_BABA };

struct prompt {
	size_t template; /* number of the sentence */
	enum order order;
	const char *place, *object;
	const char *io, *s; /* with their spaces */
};

enum pb_status pb_ioi_check(const struct pb_task_options *o, struct pb_error *err)
{
	return pb_task_check_count(o, err);
}

/* ---- names that are one token -------------------------------------------------------------- */

enum pb_status pb_ioi_prepare(struct pb_task_options *o, struct pb_error *err)
{
	size_t n = 0;
	enum pb_status status = PB_OK;

	o->usable = UINT64_MAX;
	for (size_t i = 0; o->tokenizer != NULL && i < N_NAMES; i++) {
		bool one;

		PB_TRY(pb_is_one_token(o->tokenizer, "and", names[i], &one, err));
		n += one;
		if (!one)
			o->usable &= ~(UINT64_C(1) << i);
	}
	if (o->tokenizer != NULL && n < NAMES_LEAST)
		status = pb_fail(err, PB_ERR_INPUT,
				 "too few names: task ioi: %zu of %zu names are one token of this "
				 "model's tokenizer, %d are needed: use another model, or pairs of "
				 "your own",
				 n, N_NAMES, NAMES_LEAST);
cleanup:
	return status;
}

/* A name that is usable and not in `taken` (bits), which it joins. */
static const char *draw_name(const struct pb_task_options *o, uint64_t *taken, struct pb_rng *rng)
{
	uint64_t free_names = o->usable & ~*taken;
	size_t n = 0, at = 0;
	uint64_t left;

	for (size_t i = 0; i < N_NAMES; i++)
		n += free_names >> i & 1;
	left = pb_rng_below(rng, n);
	while ((free_names >> at & 1) == 0 || left-- > 0)
		at++;
	*taken |= UINT64_C(1) << at;
	return names[at];
}

/* ---- prompts ------------------------------------------------------------------------------- */

static void begin_stream(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	pb_rng_seed(rng, IOI_TASK, stream << 32, o->seed, index);
}

/* The number of a sentence. Where there are not as many as usual, it is from a stream of its own,
 * so that all that is drawn behind it is as usual. */
static size_t draw_sentence(const struct pb_task_options *o, uint64_t stream, uint64_t index,
			    struct pb_rng *rng)
{
	size_t usual = pb_rng_below(rng, N_SENTENCES), n = pb_wording_count(o->wording, SENTENCE);
	struct pb_rng other;

	if (n == N_SENTENCES)
		return usual;
	begin_stream(&other, o, STREAM_SENTENCES + stream, index);
	return pb_rng_below(&other, n);
}

static void draw_prompt(struct prompt *p, const struct pb_task_options *o, uint64_t stream,
			uint64_t index, uint64_t *taken, struct pb_rng *rng)
{
	begin_stream(rng, o, stream, index);
	p->template = draw_sentence(o, stream, index, rng);
	p->order = pb_rng_below(rng, 2) == 0 ? ORDER_ABBA : ORDER_BABA;
	p->place = places[pb_rng_below(rng, sizeof places / sizeof *places)];
	p->object = objects[pb_rng_below(rng, sizeof objects / sizeof *objects)];
	p->io = draw_name(o, taken, rng);
	p->s = draw_name(o, taken, rng);
}

static bool is_name_role(const char *role)
{
	return strcmp(role, "io") == 0 || strcmp(role, "s1") == 0 || strcmp(role, "s2") == 0;
}

/* The prompt with `io`, `s1` and `s2` where its names stand. */
static void tell(struct pb_words *words, const struct pb_task_options *o, const struct prompt *p,
		 const char *io, const char *s1, const char *s2)
{
	const struct pb_value values[2] = {{.text = io + 1, .role = "io"},
					   {.text = s1 + 1, .role = "s1"}};
	const bool abba = p->order == ORDER_ABBA;

	pb_words_begin(words);
	pb_wording_tell_one(o->wording, SENTENCE, p->template,
			    (const struct pb_value[]){values[abba ? 0 : 1],
						      values[abba ? 1 : 0],
						      {.text = s2 + 1},
						      {.text = p->place},
						      {.text = p->object}},
			    words);
	for (size_t i = words->n - 1; i > 0; i--)
		if (strcmp(words->items[i - 1].role, "s1") == 0 &&
		    !is_name_role(words->items[i].role))
			words->items[i].role = "s1+1";
	words->items[words->n - 1].role = "end";
}

static void put_cell(json_t *line, const struct pb_task_options *o, const struct prompt *p,
		     uint64_t index, bool *bad)
{
	pb_line_put(line, "task", json_string("ioi"), bad);
	pb_line_put(line, "template", json_integer((json_int_t)p->template), bad);
	pb_line_put(line, "order", json_string(p->order == ORDER_ABBA ? "ABBA" : "BABA"), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
}

enum pb_status pb_ioi_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err)
{
	struct prompt p;
	struct pb_words words;
	struct pb_rng rng;
	uint64_t taken = 0;
	json_t *line = json_object();
	bool bad = line == NULL;

	draw_prompt(&p, o, 0, index, &taken, &rng);
	tell(&words, o, &p, p.io, p.s, p.s);
	pb_line_prompt(line, &words, p.io, &bad);
	pb_line_put(line, "candidates", pb_line_texts((const char *const[]){p.io, p.s}, 2, &bad),
		    &bad);
	put_cell(line, o, &p, index, &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

/* ---- pairs --------------------------------------------------------------------------------- */

/* The names of a corrupted prompt, and the foil. */
struct corrupted {
	const char *io, *s1, *s2, *foil;
};

static struct corrupted corrupt(const struct pb_task_options *o, const struct prompt *p,
				uint64_t *taken, struct pb_rng *rng)
{
	struct corrupted c = {.io = p->io, .s1 = p->s, .s2 = p->s, .foil = p->s};

	switch (o->corrupt) {
	case PB_CORRUPT_NAMES: /* the two people exchange their parts */
		c.io = p->s;
		c.s1 = c.s2 = p->io;
		break;
	case PB_CORRUPT_IO: /* somebody else is there to be given it */
		c.io = c.foil = draw_name(o, taken, rng);
		break;
	case PB_CORRUPT_ABC: /* three other people: nothing says who is meant */
		c.io = draw_name(o, taken, rng);
		c.s1 = draw_name(o, taken, rng);
		c.s2 = draw_name(o, taken, rng);
		break;
	default: /* S2: the other one gives */
		c.s2 = p->io;
		break;
	}
	return c;
}

enum pb_status pb_ioi_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			   struct pb_error *err)
{
	struct prompt p;
	struct corrupted c;
	struct pb_words clean, corrupted;
	struct pb_rng rng;
	uint64_t taken = 0;
	json_t *line = json_object();
	bool bad = line == NULL;

	draw_prompt(&p, o, 1 + (uint64_t)o->corrupt, index, &taken, &rng);
	c = corrupt(o, &p, &taken, &rng);
	tell(&clean, o, &p, p.io, p.s, p.s);
	tell(&corrupted, o, &p, c.io, c.s1, c.s2);
	pb_line_pair(line, &clean, &corrupted, p.io, c.foil, &bad);
	pb_line_put(
	    line, "candidates",
	    pb_line_texts((const char *const[]){p.io, p.s, c.foil}, c.foil == p.s ? 2 : 3, &bad),
	    &bad);
	put_cell(line, o, &p, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	return pb_line_end_pair(line, o, &clean, &corrupted, bad, out, err);
}
