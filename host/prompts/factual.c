/* The factual task: what a user's file says. */
#include "prompts/factual.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/factual_file.h"
#include "prompts/words.h"

#define FACTUAL_TASK UINT64_C(10) /* the task's number in pb_rng_seed */
#define ATTEMPTS_MAX 1000
#define CANDIDATES_MOST 100

enum pb_status pb_factual_check(const struct pb_task_options *o, struct pb_error *err)
{
	if (o->triples == NULL)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "no facts: task factual: give the file with triples (--triples FILE)");
	if (o->template_path != NULL)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "option does not fit: template: %s (task factual): its sentences are "
		    "those of the triples file, lines with \"template\": put yours there",
		    o->template_path);
	return pb_task_check_count(o, err);
}

enum pb_status pb_factual_prepare(struct pb_task_options *o, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_alloc(&o->prepared, 1, sizeof(struct pb_facts), "facts", err));
	status = pb_facts_read(o->prepared, o->triples, o->tokenizer, err);
cleanup:
	return status;
}

void pb_factual_release(struct pb_task_options *o)
{
	if (o->prepared != NULL)
		pb_facts_close(o->prepared);
	free(o->prepared);
	o->prepared = NULL;
}

/* ---- words --------------------------------------------------------------------------- */

/* A prompt as words; their texts lie in the arena. */
struct told {
	struct pb_arena arena;
	struct pb_words words;
};

/* A stretch of text without white space: a word and the marks at its end. */
static void add_chunk(struct told *told, const char *role, const char *chunk, size_t size,
		      char **to)
{
	static const char *const marks[] = {".", ",", ";", ":", "!", "?"};
	size_t n = size;

	while (n > 1 && pb_is_mark(chunk[n - 1]))
		n--;
	memcpy(*to, chunk, n);
	(*to)[n] = '\0';
	pb_words_add_behind(&told->words, role, " ", *to);
	*to += n + 1;
	for (size_t i = n; i < size; i++)
		for (size_t m = 0; m < sizeof marks / sizeof *marks; m++)
			if (marks[m][0] == chunk[i])
				pb_words_add_behind(&told->words, role, "", marks[m]);
}

/* Fails where there are too many words, or white space other than single blanks. */
static enum pb_status tell(struct told *told, const char *pattern, const char *subject,
			   struct pb_error *err)
{
	char *text = pb_fact_text(pattern, subject), *to = NULL;
	size_t place = (size_t)(strstr(pattern, "{}") - pattern), size = 0;
	enum pb_status status = PB_OK;

	pb_words_begin(&told->words);
	if (text != NULL) {
		size = strlen(text);
		to = pb_arena_alloc(&told->arena, 2 * size + 2, 1);
	}
	if (to == NULL) {
		free(text);
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a fact");
	}
	for (const char *s = text; *s != '\0';) {
		size_t n = strcspn(s, " "), at = (size_t)(s - text);
		bool of_subject = at + n > place && at < place + strlen(subject);

		if (n == 0 || told->words.n + n >= PB_WORDS_MAX || strcspn(s, "\t\n\r\f\v") < n) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "too long, or white space other than single blanks: task "
					 "factual: '%.60s'",
					 text);
			break;
		}
		add_chunk(told,
			  s[n] == '\0' ? "end"
			  : of_subject ? "subject"
				       : "relation",
			  s, n, &to);
		s += n;
		s += *s == ' ';
	}
	free(text);
	return status;
}

/* ---- facts --------------------------------------------------------------------------- */

static void begin_stream(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	pb_rng_seed(rng, FACTUAL_TASK, stream << 32, o->seed, index);
}

static const struct pb_fact *draw_fact(const struct pb_facts *f, size_t *template,
				       struct pb_rng *rng)
{
	const struct pb_fact *fact = &f->facts[f->usable[pb_rng_below(rng, f->n_usable)]];

	*template = pb_rng_below(rng, f->relations[fact->relation].n_templates);
	return fact;
}

/* Another fact of the relation with another object whose prompt is as long; NULL: there is none. */
static const struct pb_fact *draw_partner(const struct pb_facts *f, const struct pb_fact *fact,
					  size_t template, struct pb_rng *rng)
{
	const struct pb_fact *found = NULL;
	uint64_t n = 0;

	for (size_t i = 0; i < f->n_usable; i++) {
		const struct pb_fact *other = &f->facts[f->usable[i]];

		if (other->relation != fact->relation ||
		    other->sizes[template] != fact->sizes[template] ||
		    strcmp(other->subject, fact->subject) == 0 ||
		    strcmp(other->object, fact->object) == 0)
			continue;
		/* each of those so far with the same probability */
		if (pb_rng_below(rng, ++n) == 0)
			found = other;
	}
	return found;
}

static bool is_listed(const json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return true;
	return false;
}

/* Answer, foil, and the relation's other objects, in the file's order, up to a hundred. */
static json_t *candidates_value(const struct pb_facts *f, const struct pb_fact *fact,
				const char *foil, bool *bad)
{
	json_t *list = json_array();

	pb_line_push(list, json_string(fact->object), bad);
	if (foil != NULL)
		pb_line_push(list, json_string(foil), bad);
	for (size_t i = 0; i < f->n_usable && json_array_size(list) < CANDIDATES_MOST && !*bad;
	     i++) {
		const struct pb_fact *other = &f->facts[f->usable[i]];

		if (other->relation == fact->relation && !is_listed(list, other->object))
			pb_line_push(list, json_string(other->object), bad);
	}
	return list;
}

static void put_cell(json_t *line, const struct pb_task_options *o, const struct pb_fact *fact,
		     const char *foil, uint64_t index, bool *bad)
{
	const struct pb_facts *f = o->prepared;

	pb_line_put(line, "candidates", candidates_value(f, fact, foil, bad), bad);
	pb_line_put(line, "task", json_string("factual"), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
	pb_line_put(line, "relation", json_string(f->relations[fact->relation].name), bad);
	pb_line_put(line, "subject", json_string(fact->subject), bad);
}

enum pb_status pb_factual_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err)
{
	const struct pb_facts *f = o->prepared;
	const struct pb_fact *fact;
	struct told told = {.words = {.n = 0}};
	struct pb_rng rng;
	json_t *line = NULL;
	bool bad;
	size_t template;
	enum pb_status status;

	begin_stream(&rng, o, 0, index);
	fact = draw_fact(f, &template, &rng);
	PB_TRY(tell(&told, f->relations[fact->relation].templates[template], fact->subject, err));
	line = json_object();
	bad = line == NULL;
	pb_line_prompt(line, &told.words, fact->object, &bad);
	put_cell(line, o, fact, NULL, index, &bad);
	pb_line_roles(line, &told.words, &bad);
	status = pb_line_end_prompt(line, o, &told.words, bad, out, err);
cleanup:
	pb_arena_free(&told.arena);
	return status;
}

static enum pb_status find_pair(const struct pb_facts *f, const struct pb_fact **fact,
				const struct pb_fact **other, size_t *template, struct pb_rng *rng,
				struct pb_error *err)
{
	for (int attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
		*fact = draw_fact(f, template, rng);
		*other = draw_partner(f, *fact, *template, rng);
		if (*other != NULL)
			return PB_OK;
	}
	return pb_fail(
	    err, PB_ERR_INPUT,
	    "no pair was found: task factual: no two facts of a relation have other objects "
	    "and as many tokens: give more facts");
}

enum pb_status pb_factual_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			       struct pb_error *err)
{
	const struct pb_facts *f = o->prepared;
	const struct pb_fact *fact = NULL, *other = NULL;
	struct told clean = {.words = {.n = 0}}, corrupted = {.words = {.n = 0}};
	struct pb_rng rng;
	json_t *line;
	bool bad;
	size_t template = 0;
	const char *pattern;
	enum pb_status status;

	begin_stream(&rng, o, 1 + (uint64_t)o->corrupt, index);
	PB_TRY(find_pair(f, &fact, &other, &template, &rng, err));
	pattern = f->relations[fact->relation].templates[template];
	PB_TRY(tell(&clean, pattern, fact->subject, err));
	PB_TRY(tell(&corrupted, pattern, other->subject, err));
	line = json_object();
	bad = line == NULL;
	pb_line_pair(line, &clean.words, &corrupted.words, fact->object, other->object, &bad);
	put_cell(line, o, fact, other->object, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	pb_line_put(line, "corrupted_subject", json_string(other->subject), &bad);
	status = pb_line_end_pair(line, o, &clean.words, &corrupted.words, bad, out, err);
cleanup:
	pb_arena_free(&clean.arena);
	pb_arena_free(&corrupted.arena);
	return status;
}
