/* The induction task: a sequence of random words, and its beginning once more. */
#include "prompts/induction.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/vocabulary.h"
#include "prompts/wording.h"

#define INDUCTION_TASK UINT64_C(7) /* the task's number in pb_rng_seed */
#define LENGTH_LEAST 4
#define LENGTH_MOST 64

/* A round of `length` different words, of which the first `repeated` come again; word[length] is
 * one more that is not among them. */
struct sequence {
	size_t length, repeated;
	uint32_t word[LENGTH_MOST + 1];
};

/* ---- options ------------------------------------------------------------------------- */

enum pb_status pb_induction_check(const struct pb_task_options *o, struct pb_error *err)
{
	if (o->length < LENGTH_LEAST || o->length > LENGTH_MOST)
		return pb_fail(err, PB_ERR_INPUT,
			       "length out of range: %zu (task induction): give %d to %d",
			       o->length, LENGTH_LEAST, LENGTH_MOST);
	return pb_task_check_count(o, err);
}

enum pb_status pb_induction_prepare(struct pb_task_options *o, struct pb_error *err)
{
	return pb_vocabulary_prepare(o, "again:", o->length + 1, err);
}

void pb_induction_release(struct pb_task_options *o)
{
	free(o->prepared);
	o->prepared = NULL;
}

/* ---- prompts ------------------------------------------------------------------------- */

static void draw(struct sequence *s, const struct pb_task_options *o, struct pb_rng *rng)
{
	/* a distractor needs a word behind the answer */
	size_t most = o->corrupt == PB_CORRUPT_DISTRACTOR ? o->length - 2 : o->length - 1;

	assert(o->length >= LENGTH_LEAST && o->length <= LENGTH_MOST);
	s->length = o->length;
	pb_vocabulary_draw(o->prepared, s->length + 1, s->word, rng);
	s->repeated = 1 + pb_rng_below(rng, most);
}

static const char *word_of(const struct sequence *s, size_t i)
{
	return pb_vocabulary[s->word[i]];
}

enum { SENTENCE };

const struct pb_pattern_row pb_induction_patterns[] = {
    [SENTENCE] = {.name = "sentence",
		  .text = "Again and again: {words} {repeated}",
		  .role = "opening",
		  .kind = PB_PATTERN_END_SLOT,
		  .opens = true,
		  .slots = {{.name = "words"}, {.name = "repeated"}}},
    {.name = NULL},
};

static void tell(struct pb_words *words, const struct pb_task_options *o, const struct sequence *s)
{
	const char *list[LENGTH_MOST], *first[LENGTH_MOST], *again[LENGTH_MOST];

	for (size_t i = 0; i < s->length; i++) {
		list[i] = word_of(s, i) + 1;
		first[i] = i == s->repeated       ? "target"
			   : i + 1 == s->repeated ? "before_target"
						  : "first";
		again[i] = i + 1 == s->repeated ? "end" : "repeat";
	}
	pb_words_begin(words);
	PB_TELL(o->wording, SENTENCE, words, {.list = list, .roles = first, .n = s->length},
		{.list = list, .roles = again, .n = s->repeated});
}

static void begin_stream(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	pb_rng_seed(rng, INDUCTION_TASK, stream << 32 | (uint64_t)o->length, o->seed, index);
}

/* more: a candidate that is not in the sequence, NULL: none. */
static void put_cell(json_t *line, const struct pb_task_options *o, const struct sequence *s,
		     const char *more, uint64_t index, bool *bad)
{
	json_t *candidates = json_array();

	for (size_t i = 0; i < s->length; i++)
		pb_line_push(candidates, json_string(word_of(s, i)), bad);
	if (more != NULL)
		pb_line_push(candidates, json_string(more), bad);
	pb_line_put(line, "candidates", candidates, bad);
	pb_line_put(line, "task", json_string("induction"), bad);
	pb_line_put(line, "length", json_integer((json_int_t)o->length), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
	pb_line_put(line, "repeated", json_integer((json_int_t)s->repeated), bad);
}

enum pb_status pb_induction_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				   struct pb_error *err)
{
	struct sequence s = {.length = 0};
	struct pb_words words;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;

	begin_stream(&rng, o, 0, index);
	draw(&s, o, &rng);
	tell(&words, o, &s);
	pb_line_prompt(line, &words, word_of(&s, s.repeated), &bad);
	put_cell(line, o, &s, NULL, index, &bad);
	pb_line_roles(line, &words, &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

/* ---- pairs --------------------------------------------------------------------------- */

/* Another word in the place `at` of the first round: one that was not there. */
static void replace(struct sequence *s, size_t at)
{
	s->word[at] = s->word[s->length];
}

/* Any word of the round but the answer, and but the one that is replaced. */
static size_t draw_foil(const struct sequence *s, size_t replaced, struct pb_rng *rng)
{
	size_t at;

	do
		at = pb_rng_below(rng, s->length);
	while (at == s->repeated || at == replaced);
	return at;
}

enum pb_status pb_induction_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err)
{
	struct sequence clean = {.length = 0}, corrupted;
	struct pb_words a, b;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;
	size_t at, foil;

	begin_stream(&rng, o, 1 + (uint64_t)o->corrupt, index);
	draw(&clean, o, &rng);
	corrupted = clean;
	at = clean.repeated; /* target: what is to be copied */
	if (o->corrupt == PB_CORRUPT_DISTRACTOR)
		at += 1 + pb_rng_below(&rng, clean.length - clean.repeated - 1);
	replace(&corrupted, at);
	foil = o->corrupt == PB_CORRUPT_DISTRACTOR ? draw_foil(&clean, at, &rng) : at;
	tell(&a, o, &clean);
	tell(&b, o, &corrupted);
	pb_line_pair(line, &a, &b, word_of(&clean, clean.repeated), word_of(&corrupted, foil),
		     &bad);
	put_cell(line, o, &clean,
		 o->corrupt == PB_CORRUPT_TARGET ? word_of(&corrupted, foil) : NULL, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	return pb_line_end_pair(line, o, &a, &b, bad, out, err);
}
