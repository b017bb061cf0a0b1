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
#include "prompts/words.h"

#define IOI_TASK UINT64_C(2) /* the task's number in pb_rng_seed */
#define NAMES_LEAST 8        /* that the tokenizer must have as one token */

/* [1] and [2] are the two names in the order they come, [s] the subject again. Every name stands
 * behind a space, so that it is the same token everywhere. */
static const char *const templates[] = {
    "When [1] and [2] went to the [place] , [s] gave a [object] to",
    "Then , [1] and [2] went to the [place] , and [s] gave a [object] to",
    "After [1] and [2] walked to the [place] , [s] handed a [object] to",
    "While [1] and [2] were at the [place] , [s] decided to give a [object] to",
    "Yesterday [1] and [2] met at the [place] . Then [s] brought a [object] to",
    "When [1] and [2] got to the [place] , [s] wanted to give a [object] to",
    "After lunch , [1] and [2] went to the [place] . There [s] offered a [object] to",
    "In the morning [1] and [2] worked at the [place] , and [s] passed a [object] to",
    "Last week [1] and [2] drove to the [place] , where [s] showed a [object] to",
    "Once [1] and [2] had reached the [place] , [s] offered a [object] to",
    "Before [1] and [2] left the [place] , [s] lent a [object] to",
    "One day [1] and [2] visited the [place] , and [s] sold a [object] to",
};
#define N_TEMPLATES (sizeof templates / sizeof *templates)
#define TEMPLATE_SIZE 112

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
	size_t template;
	enum order order;
	const char *place, *object;
	const char *io, *s; /* with their spaces */
};

/* A prompt with other names in the three places, as words. */
struct told {
	char copy[TEMPLATE_SIZE]; /* what the words point to */
	struct pb_words words;
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

static void draw_prompt(struct prompt *p, const struct pb_task_options *o, uint64_t *taken,
			struct pb_rng *rng)
{
	p->template = pb_rng_below(rng, N_TEMPLATES);
	p->order = pb_rng_below(rng, 2) == 0 ? ORDER_ABBA : ORDER_BABA;
	p->place = places[pb_rng_below(rng, sizeof places / sizeof *places)];
	p->object = objects[pb_rng_below(rng, sizeof objects / sizeof *objects)];
	p->io = draw_name(o, taken, rng);
	p->s = draw_name(o, taken, rng);
}

/* The prompt with `io`, `s1` and `s2` where its names stand. */
static void tell(struct told *out, const struct prompt *p, const char *io, const char *s1,
		 const char *s2)
{
	const bool abba = p->order == ORDER_ABBA;
	const char *role = "context", *after = NULL;
	char *rest = NULL;

	out->words.n = 0;
	snprintf(out->copy, sizeof out->copy, "%s", templates[p->template]);
	for (char *word = strtok_r(out->copy, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest)) {
		const char *text = word, *own = NULL;

		if (strcmp(word, "[1]") == 0 || strcmp(word, "[2]") == 0) {
			bool subject = (word[1] == '1') != abba;

			text = (subject ? s1 : io) + 1;
			own = subject ? "s1" : "io";
		} else if (strcmp(word, "[s]") == 0) {
			text = s2 + 1;
			own = "s2";
			role = "action";
		} else if (strcmp(word, "[place]") == 0) {
			text = p->place;
		} else if (strcmp(word, "[object]") == 0) {
			text = p->object;
		}
		if (own == NULL)
			own = after != NULL ? after : role;
		after = strcmp(own, "s1") == 0 ? "s1+1" : NULL;
		pb_words_add(&out->words, rest == NULL || *rest == '\0' ? "end" : own, text);
	}
}

static void begin_stream(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	pb_rng_seed(rng, IOI_TASK, stream << 32, o->seed, index);
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
	struct told told;
	struct pb_rng rng;
	uint64_t taken = 0;
	json_t *line = json_object();
	bool bad = line == NULL;

	begin_stream(&rng, o, 0, index);
	draw_prompt(&p, o, &taken, &rng);
	tell(&told, &p, p.io, p.s, p.s);
	pb_line_prompt(line, &told.words, p.io, &bad);
	pb_line_put(line, "candidates", pb_line_texts((const char *const[]){p.io, p.s}, 2, &bad),
		    &bad);
	put_cell(line, o, &p, index, &bad);
	return pb_line_write(line, bad, out, err);
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
	struct told clean, corrupted;
	struct pb_rng rng;
	uint64_t taken = 0;
	json_t *line = json_object();
	bool bad = line == NULL;

	begin_stream(&rng, o, 1 + (uint64_t)o->corrupt, index);
	draw_prompt(&p, o, &taken, &rng);
	c = corrupt(o, &p, &taken, &rng);
	tell(&clean, &p, p.io, p.s, p.s);
	tell(&corrupted, &p, c.io, c.s1, c.s2);
	pb_line_pair(line, &clean.words, &corrupted.words, p.io, c.foil, &bad);
	pb_line_put(
	    line, "candidates",
	    pb_line_texts((const char *const[]){p.io, p.s, c.foil}, c.foil == p.s ? 2 : 3, &bad),
	    &bad);
	put_cell(line, o, &p, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	pb_line_differences(line, &clean.words, &corrupted.words, &bad);
	return pb_line_write(line, bad, out, err);
}
