/* Text games: evaluation prompts and pairs as JSON lines. */
#include "prompts/adventure.h"

#include <jansson.h>

#include "prompts/adventure_pairs.h"
#include "prompts/adventure_text.h"
#include "prompts/one_token.h"

/* ---- options ------------------------------------------------------------------------------- */

enum pb_status pb_adventure_check(const struct pb_task_options *o, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_task_check_range(o, "rooms", o->rooms, 2, PB_ADVENTURE_ROOMS, err));
	PB_TRY(pb_task_check_range(o, "objects", o->objects, 1, PB_ADVENTURE_OBJECTS, err));
	PB_TRY(
	    pb_task_check_range(o, "containers", o->containers, 0, PB_ADVENTURE_CONTAINERS, err));
	PB_TRY(pb_task_check_range(o, "steps", o->steps, 1, PB_ADVENTURE_STEPS, err));
	status = pb_task_check_count(o, err);
cleanup:
	return status;
}

enum pb_status pb_adventure_check_pairs(const struct pb_task_options *o, struct pb_error *err)
{
	enum pb_adventure_kind kinds[PB_ADVENTURE_N_KINDS];

	if (pb_adventure_pair_kinds(o, kinds) == 0)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "no such pair exists: task adventure, corrupt %s, %zu rooms, %zu "
		    "objects, %zu containers, %zu steps: no step has a word that could "
		    "be another: give at least 3 rooms or 2 containers, or corrupt state",
		    pb_corruption_name(o->corrupt), o->rooms, o->objects, o->containers, o->steps);
	return o->corrupt == PB_CORRUPT_MATCHED ? pb_task_check_even(o, err) : PB_OK;
}

/* ---- names that are one token -------------------------------------------------------------- */

/* Refuse fewer than `needed` usable names of n from bit `first`. */
static enum pb_status check_names(const struct pb_task_options *o, const char *option, int first,
				  int n, size_t needed, struct pb_error *err)
{
	const char *missing = "";
	size_t found = 0;

	for (int bit = first; bit < first + n; bit++)
		if (o->usable >> bit & 1)
			found++;
		else
			missing = pb_adventure_name(bit);
	if (found >= needed)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT,
		       "too few names: task adventure, %zu %s: %zu names are one token of this "
		       "model's tokenizer ('%s' is not): give fewer %s, or use another model",
		       needed, option, found, missing, option);
}

static enum pb_status check_word(const struct pb_task_options *o, const char *before,
				 const char *word, struct pb_error *err)
{
	bool one;
	enum pb_status status;

	PB_TRY(pb_is_one_token(o->tokenizer, before, word, &one, err));
	if (!one)
		status = pb_fail(err, PB_ERR_INPUT,
				 "a word is not one token: task adventure: '%s' of this model's "
				 "tokenizer: use another model, or pairs of your own",
				 word);
cleanup:
	return status;
}

enum pb_status pb_adventure_prepare(struct pb_task_options *o, struct pb_error *err)
{
	const int first_object = PB_ADVENTURE_ROOMS;
	const int first_container = first_object + PB_ADVENTURE_OBJECTS;
	enum pb_status status = PB_OK;

	o->usable = 0;
	for (int bit = 0; bit < PB_ADVENTURE_N_NAMES; bit++) {
		bool one;

		PB_TRY(pb_is_one_token(o->tokenizer, "the", pb_adventure_name(bit), &one, err));
		if (one)
			o->usable |= UINT64_C(1) << bit;
	}
	PB_TRY(check_names(o, "rooms", 0, PB_ADVENTURE_ROOMS, o->rooms, err));
	PB_TRY(check_names(o, "objects", first_object, PB_ADVENTURE_OBJECTS, o->objects, err));
	PB_TRY(check_names(o, "containers", first_container, PB_ADVENTURE_CONTAINERS, o->containers,
			   err));
	for (int d = 0; d < PB_ADVENTURE_N_DIRECTIONS; d++)
		PB_TRY(check_word(o, "go", pb_adventure_direction(d), err));
	PB_TRY(check_word(o, "is", pb_adventure_flag(false), err));
	PB_TRY(check_word(o, "is", pb_adventure_flag(true), err));
cleanup:
	return status;
}

/* ---- JSON lines ---------------------------------------------------------------------------- */

static json_t *candidates_value(const struct pb_adventure_story *story, bool *bad)
{
	int answers[PB_ADVENTURE_CANDIDATES];
	int n = pb_adventure_candidates(story, answers);
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		pb_line_push(list, json_string(pb_adventure_answer_text(story, answers[i])), bad);
	return list;
}

static void put_cell(json_t *line, const struct pb_task_options *o, uint64_t index, bool *bad)
{
	pb_line_put(line, "task", json_string("adventure"), bad);
	pb_line_put(line, "rooms", json_integer((json_int_t)o->rooms), bad);
	pb_line_put(line, "objects", json_integer((json_int_t)o->objects), bad);
	pb_line_put(line, "containers", json_integer((json_int_t)o->containers), bad);
	pb_line_put(line, "steps", json_integer((json_int_t)o->steps), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
}

static void put_facts(json_t *line, const struct pb_adventure_story *story, bool *bad)
{
	struct pb_adventure_facts facts;

	pb_adventure_facts_of(story, &facts);
	pb_line_put(line, "query", json_string(pb_adventure_kind_name(story->query.kind)), bad);
	pb_line_put(line, "subject", json_string(pb_adventure_subject(story) + 1), bad);
	pb_line_put(line, "evidence", json_integer(facts.evidence), bad);
	pb_line_put(line, "actions_needed", json_integer(facts.n_needed), bad);
	pb_line_put(line, "reachable", json_integer((json_int_t)facts.reachable), bad);
	/* the number is exact in every cell */
	pb_line_put(line, "reachable_capped", json_false(), bad);
}

enum pb_status pb_adventure_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				   struct pb_error *err)
{
	struct pb_adventure_story story;
	struct pb_adventure_run run;
	struct pb_words words;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;
	int answer;

	pb_adventure_stream_begin(&rng, o, PB_ADVENTURE_STREAM_PROMPTS, index);
	pb_adventure_draw_world(&story, o, &rng);
	pb_adventure_begin(&run, &story);
	/* Every room has a way out: one story alone can always go on. */
	(void)pb_adventure_draw_steps(&run, 1, (int)o->steps, &rng);
	pb_adventure_draw_query(&run, &rng);
	answer = pb_adventure_answer(&story.query, &run.now);
	pb_adventure_words_of(&story, o->wording, &words);
	pb_line_prompt(line, &words, pb_adventure_answer_text(&story, answer), &bad);
	pb_line_put(line, "candidates", candidates_value(&story, &bad), &bad);
	put_cell(line, o, index, &bad);
	put_facts(line, &story, &bad);
	pb_line_roles(line, &words, &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

enum pb_status pb_adventure_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err)
{
	struct pb_adventure_pair pair;
	struct pb_words clean, corrupted;
	enum pb_status status = pb_adventure_make_pair(&pair, o, index, err);
	json_t *line;
	bool bad;

	if (status != PB_OK)
		return status;
	line = json_object();
	bad = line == NULL;
	pb_adventure_words_of(&pair.clean, o->wording, &clean);
	pb_adventure_words_of(&pair.corrupted, o->wording, &corrupted);
	pb_line_pair(line, &clean, &corrupted, pb_adventure_answer_text(&pair.clean, pair.answer),
		     pb_adventure_answer_text(&pair.clean, pair.foil), &bad);
	pb_line_put(line, "candidates", candidates_value(&pair.clean, &bad), &bad);
	put_cell(line, o, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	put_facts(line, &pair.clean, &bad);
	pb_line_put(line, "changed", json_string(pair.changed), &bad);
	pb_line_put(line, "step", json_integer(pair.step), &bad);
	pb_line_put(line, "attempts", json_integer(pair.attempts), &bad);
	return pb_line_end_pair(line, o, &clean, &corrupted, bad, out, err);
}
