/* The greater-than task: something ends later than it began. */
#include "prompts/greater_than.h"

#include <jansson.h>
#include <stdlib.h>

#include "prompts/one_token.h"
#include "prompts/wording.h"

#define GREATER_THAN_TASK UINT64_C(6) /* the task's number in pb_rng_seed */
#define CENTURY_FIRST 11
#define N_CENTURIES 8
#define N_YEARS 100
#define YEARS_LEAST 20 /* that a century must have */

static const char *const events[] = {"war",      "siege",    "plague",  "famine",  "drought",
				     "conflict", "campaign", "project", "tour",    "trial",
				     "crisis",   "battle",   "reign",   "program", "journey",
				     "alliance", "dispute",  "search",  "peace",   "strike"};
#define N_EVENTS (sizeof events / sizeof *events)

/* usable[c][y]: the year is its century's token and one more. */
struct years {
	size_t n_centuries;
	size_t centuries[N_CENTURIES]; /* that have enough */
	bool usable[N_CENTURIES][N_YEARS];
};

struct story {
	const char *event;
	size_t century, first;              /* first: two digits */
	char year[8], corrupted[8], end[4]; /* as they are told */
};

/* ---- options ------------------------------------------------------------------------- */

enum pb_status pb_greater_than_check(const struct pb_task_options *o, struct pb_error *err)
{
	return pb_task_check_count(o, err);
}

static enum pb_status find_years(struct years *y, size_t c, const struct pb_tokenizer *tokenizer,
				 size_t *n, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	*n = 0;
	for (size_t year = 0; year < N_YEARS; year++) {
		char before[32], text[4];

		(void)snprintf(before, sizeof before, "the year %zu", CENTURY_FIRST + c);
		(void)snprintf(text, sizeof text, "%02zu", year);
		PB_TRY(pb_is_one_token(tokenizer, before, text, &y->usable[c][year], err));
		*n += y->usable[c][year];
	}
cleanup:
	return status;
}

enum pb_status pb_greater_than_prepare(struct pb_task_options *o, struct pb_error *err)
{
	struct years *y = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc(&o->prepared, 1, sizeof *y, "the years of task greater_than", err));
	y = o->prepared;
	for (size_t c = 0; c < N_CENTURIES; c++) {
		size_t n;

		PB_TRY(find_years(y, c, o->tokenizer, &n, err));
		/* the corrupted prompt's year must be there */
		if (n >= YEARS_LEAST && y->usable[c][1])
			y->centuries[y->n_centuries++] = c;
	}
	if (y->n_centuries == 0)
		status = pb_fail(err, PB_ERR_INPUT,
				 "no years: task greater_than: this model's tokenizer does not cut "
				 "years into a century and two digits: use another model");
cleanup:
	return status;
}

void pb_greater_than_release(struct pb_task_options *o)
{
	free(o->prepared);
	o->prepared = NULL;
}

/* ---- stories ------------------------------------------------------------------------- */

/* Years of a century in [from, to) that may be used; the list of them. */
static size_t list_years(const struct years *y, size_t century, size_t from, size_t to,
			 size_t list[N_YEARS])
{
	size_t n = 0;

	for (size_t year = from; year < to; year++)
		if (y->usable[century][year])
			list[n++] = year;
	return n;
}

/* The first year leaves one that is later and, after 01, one that is earlier. */
static void draw(struct story *s, const struct pb_task_options *o, struct pb_rng *rng)
{
	const struct years *y = o->prepared;
	size_t list[N_YEARS] = {0}, earlier[N_YEARS], n;

	s->event = events[pb_rng_below(rng, N_EVENTS)];
	s->century = y->centuries[pb_rng_below(rng, y->n_centuries)];
	n = list_years(y, s->century, 2, N_YEARS, list);
	do
		s->first = list[pb_rng_below(rng, n - 1)];
	while (list_years(y, s->century, 2, s->first, earlier) == 0);
	(void)snprintf(s->year, sizeof s->year, "%zu%02zu", CENTURY_FIRST + s->century, s->first);
	(void)snprintf(s->corrupted, sizeof s->corrupted, "%zu01", CENTURY_FIRST + s->century);
	(void)snprintf(s->end, sizeof s->end, "%zu", CENTURY_FIRST + s->century);
}

enum { SENTENCE };

const struct pb_pattern_row pb_greater_than_patterns[] = {
    [SENTENCE] = {.name = "sentence",
		  .text = "The {event} lasted from the year {year} to the year {century}",
		  .role = "opening",
		  .kind = PB_PATTERN_END_SLOT,
		  .opens = true,
		  .slots = {{.name = "event", .role = "event", .may_lack = true},
			    {.name = "year", .role = "first_year", .then = "between"},
			    {.name = "century", .role = "end"}}},
    {.name = NULL},
};

static void tell(struct pb_words *words, const struct pb_task_options *o, const struct story *s,
		 const char *year)
{
	pb_words_begin(words);
	PB_TELL(o->wording, SENTENCE, words, {.text = s->event}, {.text = year}, {.text = s->end});
}

/* The two digits of a year, in `text`. */
#define YEAR_SIZE 4
static const char *year_text(size_t year, char text[YEAR_SIZE])
{
	(void)snprintf(text, YEAR_SIZE, "%02zu", year);
	return text;
}

static json_t *years_value(const size_t *list, size_t n, bool *bad)
{
	json_t *value = json_array();
	char text[YEAR_SIZE];

	for (size_t i = 0; i < n; i++)
		pb_line_push(value, json_string(year_text(list[i], text)), bad);
	return value;
}

static void begin_stream(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	pb_rng_seed(rng, GREATER_THAN_TASK, stream << 32, o->seed, index);
}

static void put_cell(json_t *line, const struct pb_task_options *o, const struct story *s,
		     uint64_t index, bool *bad)
{
	size_t list[N_YEARS], n = list_years(o->prepared, s->century, 2, N_YEARS, list);

	pb_line_put(line, "candidates", years_value(list, n, bad), bad);
	n = list_years(o->prepared, s->century, s->first + 1, N_YEARS, list);
	pb_line_put(line, "answers", years_value(list, n, bad), bad);
	pb_line_put(line, "task", json_string("greater_than"), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
	pb_line_put(line, "first_year", json_string(s->year), bad);
}

static void draw_year(const struct pb_task_options *o, const struct story *s, size_t from,
		      size_t to, char text[YEAR_SIZE], struct pb_rng *rng)
{
	size_t list[N_YEARS], n = list_years(o->prepared, s->century, from, to, list);

	(void)year_text(list[pb_rng_below(rng, n)], text);
}

enum pb_status pb_greater_than_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				      struct pb_error *err)
{
	struct story s;
	struct pb_words words;
	struct pb_rng rng;
	char answer[YEAR_SIZE];
	json_t *line = json_object();
	bool bad = line == NULL;

	begin_stream(&rng, o, 0, index);
	draw(&s, o, &rng);
	tell(&words, o, &s, s.year);
	draw_year(o, &s, s.first + 1, N_YEARS, answer, &rng);
	pb_line_prompt(line, &words, answer, &bad);
	put_cell(line, o, &s, index, &bad);
	pb_line_roles(line, &words, &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

enum pb_status pb_greater_than_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				    struct pb_error *err)
{
	struct story s;
	struct pb_words clean, corrupted;
	struct pb_rng rng;
	char answer[YEAR_SIZE], foil[YEAR_SIZE];
	json_t *line = json_object();
	bool bad = line == NULL;

	begin_stream(&rng, o, 1 + (uint64_t)o->corrupt, index);
	draw(&s, o, &rng);
	tell(&clean, o, &s, s.year);
	tell(&corrupted, o, &s, s.corrupted);
	draw_year(o, &s, s.first + 1, N_YEARS, answer, &rng);
	draw_year(o, &s, 2, s.first, foil, &rng);
	pb_line_pair(line, &clean, &corrupted, answer, foil, &bad);
	put_cell(line, o, &s, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	pb_line_put(line, "foil_is_right", json_false(), &bad);
	return pb_line_end_pair(line, o, &clean, &corrupted, bad, out, err);
}
