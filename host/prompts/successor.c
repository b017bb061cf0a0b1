/* The successor task: days, months and numbers in order. */
#include "prompts/successor.h"

#include <jansson.h>

#include "prompts/one_token.h"
#include "prompts/wording.h"

#define SUCCESSOR_TASK UINT64_C(8) /* the task's number in pb_rng_seed */
#define N_NUMBERS 100
#define LENGTH_MOST 10

static const char *const days[] = {" Monday", " Tuesday",  " Wednesday", " Thursday",
				   " Friday", " Saturday", " Sunday"};
static const char *const months[] = {" January",   " February", " March",    " April",
				     " May",       " June",     " July",     " August",
				     " September", " October",  " November", " December"};

/* A series: its items, and whether it goes round. The length of what is shown leaves one over. */
static const struct series {
	const char *name;
	size_t n, length_most;
	bool round;
} all_series[] = {
    [PB_SERIES_DAYS] = {"days", 7, 6, true},
    [PB_SERIES_MONTHS] = {"months", 12, LENGTH_MOST, true},
    [PB_SERIES_NUMBERS] = {"numbers", N_NUMBERS, LENGTH_MOST, false},
};

/* Text of numbers, made once a call: what words point to. */
struct texts {
	char numbers[N_NUMBERS][8];
};

static void make_texts(struct texts *t)
{
	for (size_t i = 0; i < N_NUMBERS; i++)
		(void)snprintf(t->numbers[i], sizeof t->numbers[i], " %zu", i + 1);
}

static const char *item(const struct texts *t, enum pb_series series, size_t at)
{
	at %= all_series[series].n;
	return series == PB_SERIES_DAYS     ? days[at]
	       : series == PB_SERIES_MONTHS ? months[at]
					    : t->numbers[at];
}

/* ---- options ------------------------------------------------------------------------- */

enum pb_status pb_successor_check(const struct pb_task_options *o, struct pb_error *err)
{
	const struct series *s = &all_series[o->series];

	if (o->length < 2 || o->length > s->length_most)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "length out of range: %zu (task successor, series %s): give 2 to %zu",
		    o->length, s->name, s->length_most);
	return pb_task_check_count(o, err);
}

enum pb_status pb_successor_prepare(struct pb_task_options *o, struct pb_error *err)
{
	struct texts t;
	enum pb_status status = PB_OK;

	make_texts(&t);
	for (size_t i = 0; i < all_series[o->series].n; i++) {
		const char *text = item(&t, o->series, i);
		bool one = true;

		PB_TRY(pb_is_one_token(o->tokenizer, "order:", text, &one, err));
		if (!one) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "an item is not one token: task successor: '%s' of this "
					 "model's tokenizer: use another series or model",
					 text);
			goto cleanup;
		}
	}
cleanup:
	return status;
}

/* ---- prompts ------------------------------------------------------------------------- */

enum { SENTENCE, ITEM, NEXT_ITEM, LAST_ITEM };

const struct pb_pattern_row pb_successor_patterns[] = {
    [SENTENCE] = {.name = "sentence",
		  .text = "In order: {items},",
		  .role = "opening",
		  .kind = PB_PATTERN_END,
		  .opens = true,
		  .slots = {{.name = "items", .items = ITEM}}},
    [ITEM] = {.name = "item", .text = "{item}", .role = "mark", .slots = {{.name = "item"}}},
    [NEXT_ITEM] = {.name = "next_item",
		   .text = ", {item}",
		   .role = "mark",
		   .slots = {{.name = "item"}}},
    [LAST_ITEM] = {.name = "last_item",
		   .text = ", {item}",
		   .role = "mark",
		   .slots = {{.name = "item"}}},
    {.name = NULL},
};

static void tell(struct pb_words *words, const struct texts *t, const struct pb_task_options *o,
		 size_t start)
{
	const char *items[LENGTH_MOST], *roles[LENGTH_MOST];

	for (size_t i = 0; i < o->length; i++) {
		items[i] = item(t, o->series, start + i) + 1;
		roles[i] = i + 1 == o->length ? "last_item" : "item";
	}
	pb_words_begin(words);
	PB_TELL(o->wording, SENTENCE, words, {.list = items, .roles = roles, .n = o->length});
	words->items[words->n - 1].role = "end";
}

static void begin_stream(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	uint64_t cell = stream << 32 | (uint64_t)o->series << 16 | (uint64_t)o->length;

	pb_rng_seed(rng, SUCCESSOR_TASK, cell, o->seed, index);
}

/* Starts that leave an item to come next. */
static size_t n_starts(const struct pb_task_options *o)
{
	const struct series *s = &all_series[o->series];

	return s->round ? s->n : s->n - o->length;
}

static void put_cell(json_t *line, const struct texts *t, const struct pb_task_options *o,
		     uint64_t index, bool *bad)
{
	json_t *candidates = json_array();

	for (size_t i = 0; i < all_series[o->series].n; i++)
		pb_line_push(candidates, json_string(item(t, o->series, i)), bad);
	pb_line_put(line, "candidates", candidates, bad);
	pb_line_put(line, "task", json_string("successor"), bad);
	pb_line_put(line, "series", json_string(all_series[o->series].name), bad);
	pb_line_put(line, "length", json_integer((json_int_t)o->length), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
}

enum pb_status pb_successor_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				   struct pb_error *err)
{
	struct pb_words words;
	struct texts t;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;
	size_t start;

	make_texts(&t);
	begin_stream(&rng, o, 0, index);
	start = pb_rng_below(&rng, n_starts(o));
	tell(&words, &t, o, start);
	pb_line_prompt(line, &words, item(&t, o->series, start + o->length), &bad);
	put_cell(line, &t, o, index, &bad);
	pb_line_roles(line, &words, &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

/* The corrupted prompt begins somewhere else. */
enum pb_status pb_successor_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err)
{
	struct pb_words clean, corrupted;
	struct texts t;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;
	size_t start, other;

	make_texts(&t);
	begin_stream(&rng, o, 1 + (uint64_t)o->corrupt, index);
	start = pb_rng_below(&rng, n_starts(o));
	other = pb_rng_below(&rng, n_starts(o) - 1);
	other += other >= start;
	tell(&clean, &t, o, start);
	tell(&corrupted, &t, o, other);
	pb_line_pair(line, &clean, &corrupted, item(&t, o->series, start + o->length),
		     item(&t, o->series, other + o->length), &bad);
	put_cell(line, &t, o, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	return pb_line_end_pair(line, o, &clean, &corrupted, bad, out, err);
}
