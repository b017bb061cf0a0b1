/* The docstring task: arguments are documented in their order. */
#include "prompts/docstring.h"

#include <jansson.h>
#include <stdlib.h>

#include "prompts/vocabulary.h"
#include "prompts/wording.h"

#define DOCSTRING_TASK UINT64_C(9) /* the task's number in pb_rng_seed */
#define LENGTH_LEAST 3
#define LENGTH_MOST 6
#define N_SUMMARY 3     /* words of the first line */
#define N_DESCRIPTION 2 /* of an argument */
#define INDENT "\n    "

/* A function of `length` arguments, of which the first `documented` are documented. `word`: places
 * in the vocabulary of the arguments, one that is none of them, the summary's and the
 * descriptions'. */
struct function {
	size_t length, documented;
	uint32_t word[LENGTH_MOST + 1 + N_SUMMARY + LENGTH_MOST * N_DESCRIPTION + 1];
	char name[24], last[24], summary[24]; /* words with marks around them */
};

enum pb_status pb_docstring_check(const struct pb_task_options *o, struct pb_error *err)
{
	if (o->length < LENGTH_LEAST || o->length > LENGTH_MOST)
		return pb_fail(err, PB_ERR_INPUT,
			       "length out of range: %zu (task docstring): give %d to %d",
			       o->length, LENGTH_LEAST, LENGTH_MOST);
	return pb_task_check_count(o, err);
}

static size_t n_words(size_t length)
{
	return length + 1 + N_SUMMARY + length * N_DESCRIPTION + 1;
}

enum pb_status pb_docstring_prepare(struct pb_task_options *o, struct pb_error *err)
{
	return pb_vocabulary_prepare(o, INDENT ":param", n_words(o->length), err);
}

void pb_docstring_release(struct pb_task_options *o)
{
	free(o->prepared);
	o->prepared = NULL;
}

/* ---- prompts ------------------------------------------------------------------------- */

static const char *argument(const struct function *f, size_t i)
{
	return pb_vocabulary[f->word[i]];
}

static const char *summary_word(const struct function *f, size_t i)
{
	return pb_vocabulary[f->word[f->length + 1 + i]] + 1;
}

static const char *description_word(const struct function *f, size_t of, size_t i)
{
	return pb_vocabulary[f->word[f->length + 1 + N_SUMMARY + of * N_DESCRIPTION + i]] + 1;
}

/* The words with marks around them, after any change of the others. */
static void make_texts(struct function *f)
{
	(void)snprintf(f->name, sizeof f->name, "%s(self",
		       pb_vocabulary[f->word[n_words(f->length) - 1]] + 1);
	(void)snprintf(f->last, sizeof f->last, "%s)", argument(f, f->length - 1) + 1);
	(void)snprintf(f->summary, sizeof f->summary, "\"\"\"%s", summary_word(f, 0));
}

static void draw(struct function *f, const struct pb_task_options *o, struct pb_rng *rng)
{
	f->length = o->length;
	pb_vocabulary_draw(o->prepared, n_words(f->length), f->word, rng);
	f->documented = 1 + pb_rng_below(rng, f->length - 1);
	make_texts(f);
}

enum { DEF, SUMMARY, FIRST_PARAM, PARAM, LAST_PARAM };

#define PARAM_SLOTS                                                                                \
	{                                                                                          \
		{.name = "argument"},                                                              \
		{                                                                                  \
			.name = "description", .role = "description"                               \
		}                                                                                  \
	}

const struct pb_pattern_row pb_docstring_patterns[] = {
    [DEF] = {.name = "def",
	     .text = "def {signature}:",
	     .role = "def",
	     .mark_role = "mark",
	     .slots = {{.name = "signature"}}},
    [SUMMARY] = {.name = "summary",
		 .text = INDENT "{summary}",
		 .role = "description",
		 .slots = {{.name = "summary"}}},
    [FIRST_PARAM] = {.name = "first_param",
		     .text = "\n" INDENT ":param {argument}: {description}",
		     .role = "param",
		     .mark_role = "mark",
		     .slots = PARAM_SLOTS},
    [PARAM] = {.name = "param",
	       .text = INDENT ":param {argument}: {description}",
	       .role = "param",
	       .mark_role = "mark",
	       .slots = PARAM_SLOTS},
    [LAST_PARAM] = {.name = "last_param",
		    .text = INDENT ":param",
		    .role = "end",
		    .kind = PB_PATTERN_END},
    {.name = NULL},
};

static void tell_def(struct pb_words *words, const struct function *f,
		     const struct pb_wording *wording)
{
	const char *list[LENGTH_MOST + 1], *roles[LENGTH_MOST + 1];

	list[0] = f->name;
	roles[0] = "def";
	for (size_t i = 0; i < f->length; i++) {
		list[i + 1] = i + 1 == f->length ? f->last : argument(f, i) + 1;
		roles[i + 1] = i == f->documented       ? "target"
			       : i + 1 == f->documented ? "before_target"
							: "argument";
	}
	PB_TELL(wording, DEF, words,
		{.list = list, .roles = roles, .n = f->length + 1, .mark = ","});
}

static void tell(struct pb_words *words, const struct function *f, const struct pb_wording *wording)
{
	const char *summary[N_SUMMARY] = {f->summary};

	for (size_t i = 1; i < N_SUMMARY; i++)
		summary[i] = summary_word(f, i);
	pb_words_begin(words);
	tell_def(words, f, wording);
	PB_TELL(wording, SUMMARY, words, {.list = summary, .n = N_SUMMARY});
	for (size_t i = 0; i < f->documented; i++) {
		const char *description[N_DESCRIPTION];

		for (size_t k = 0; k < N_DESCRIPTION; k++)
			description[k] = description_word(f, i, k);
		PB_TELL(wording, i == 0 ? FIRST_PARAM : PARAM, words,
			{.text = argument(f, i) + 1,
			 .role = i + 1 == f->documented ? "last_documented" : "documented"},
			{.list = description, .n = N_DESCRIPTION});
	}
	PB_TELL(wording, LAST_PARAM, words, {.text = NULL});
}

static void begin_stream(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	pb_rng_seed(rng, DOCSTRING_TASK, stream << 32 | (uint64_t)o->length, o->seed, index);
}

/* more: a candidate that is no argument, NULL: none. */
static void put_cell(json_t *line, const struct pb_task_options *o, const struct function *f,
		     const char *more, uint64_t index, bool *bad)
{
	json_t *candidates = json_array();

	for (size_t i = 0; i < f->length; i++)
		pb_line_push(candidates, json_string(argument(f, i)), bad);
	if (more != NULL)
		pb_line_push(candidates, json_string(more), bad);
	pb_line_put(line, "candidates", candidates, bad);
	pb_line_put(line, "task", json_string("docstring"), bad);
	pb_line_put(line, "length", json_integer((json_int_t)o->length), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
	pb_line_put(line, "documented", json_integer((json_int_t)f->documented), bad);
}

enum pb_status pb_docstring_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				   struct pb_error *err)
{
	struct function f = {.length = 0};
	struct pb_words words;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;

	begin_stream(&rng, o, 0, index);
	draw(&f, o, &rng);
	tell(&words, &f, o->wording);
	pb_line_prompt(line, &words, argument(&f, f.documented), &bad);
	put_cell(line, o, &f, NULL, index, &bad);
	pb_line_roles(line, &words, &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

/* ---- pairs --------------------------------------------------------------------------- */

/* Another argument than the one that is asked for. */
static size_t draw_other(const struct function *f, struct pb_rng *rng)
{
	size_t other = pb_rng_below(rng, f->length - 1);

	return other + (other >= f->documented);
}

/* target: the argument that is asked for has another name in the first line. distractor: a word of
 * the summary is another one. */
enum pb_status pb_docstring_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err)
{
	bool distractor = o->corrupt == PB_CORRUPT_DISTRACTOR;
	struct function clean = {.length = 0}, corrupted;
	struct pb_words a, b;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;
	const char *foil;

	begin_stream(&rng, o, 1 + (uint64_t)o->corrupt, index);
	draw(&clean, o, &rng);
	corrupted = clean;
	if (distractor)
		corrupted.word[clean.length + 1 + pb_rng_below(&rng, N_SUMMARY)] =
		    clean.word[clean.length];
	else
		corrupted.word[clean.documented] = clean.word[clean.length];
	make_texts(&corrupted);
	foil = distractor ? argument(&clean, draw_other(&clean, &rng))
			  : argument(&corrupted, clean.documented);
	tell(&a, &clean, o->wording);
	tell(&b, &corrupted, o->wording);
	pb_line_pair(line, &a, &b, argument(&clean, clean.documented), foil, &bad);
	put_cell(line, o, &clean, distractor ? NULL : foil, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	return pb_line_end_pair(line, o, &a, &b, bad, out, err);
}
