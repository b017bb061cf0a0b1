/* Box tracking: evaluation prompts, and pairs with their three corruptions. */
#include "prompts/box.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/box_pairs.h"

/* ---- options ------------------------------------------------------------------------- */

static enum pb_status check_range(const char *option, size_t value, size_t least, size_t most,
				  struct pb_error *err)
{
	if (value >= least && value <= most)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT, "%s out of range: %zu (task box): give %zu to %zu",
		       option, value, least, most);
}

enum pb_status pb_box_check(const struct pb_task_options *o, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(check_range("boxes", o->boxes, 2, PB_BOX_MAX, err));
	PB_TRY(check_range("moves", o->moves, 1, PB_BOX_MAX, err));
	PB_TRY(check_range("number of pairs or prompts", o->count, 1, PB_TASK_MAX_COUNT, err));
	/* Seeds are written to JSON, whose integers are signed in every reader. */
	if (o->seed > INT64_MAX)
		status =
		    pb_fail(err, PB_ERR_INPUT, "seed out of range: %llu (task box): give 0 to %lld",
			    (unsigned long long)o->seed, (long long)INT64_MAX);
cleanup:
	return status;
}

enum pb_status pb_box_check_pairs(const struct pb_task_options *o, struct pb_error *err)
{
	if (o->corrupt == PB_CORRUPT_STATE && o->boxes == 2)
		return pb_fail(err, PB_ERR_INPUT,
			       "no such pair exists: task box, corrupt state, 2 boxes, %zu moves: "
			       "two objects must stay where they are and a third must move: give "
			       "at least 3 boxes, or corrupt action",
			       o->moves);
	if (o->corrupt == PB_CORRUPT_DISTRACTOR && o->boxes == 2 && o->moves == 1)
		return pb_fail(err, PB_ERR_INPUT,
			       "no such pair exists: task box, corrupt distractor, 2 boxes, 1 "
			       "move: every word that can change changes the answer: give at least "
			       "3 boxes or 2 moves, or corrupt action");
	return PB_OK;
}

/* ---- JSON lines ---------------------------------------------------------------------- */

/* Adds `value` to the object and takes it over; jansson refuses a NULL value, so that one test of
 * *bad at the end catches every failed allocation. */
static void put(json_t *line, const char *key, json_t *value, bool *bad)
{
	*bad |= json_object_set_new(line, key, value) != 0;
}

static void push(json_t *list, json_t *value, bool *bad)
{
	*bad |= json_array_append_new(list, value) != 0;
}

static json_t *text_value(const struct pb_box_words *words)
{
	char *text = pb_box_text_of(words);
	json_t *value = text == NULL ? NULL : json_string(text);

	free(text);
	return value;
}

static json_t *candidates_value(size_t n_boxes, bool *bad)
{
	json_t *list = json_array();

	for (size_t b = 0; b < n_boxes; b++)
		push(list, json_string(pb_box_answer((int)b)), bad);
	return list;
}

static void put_cell(json_t *line, const struct pb_task_options *o, uint64_t index, bool *bad)
{
	put(line, "task", json_string("box"), bad);
	put(line, "boxes", json_integer((json_int_t)o->boxes), bad);
	put(line, "moves", json_integer((json_int_t)o->moves), bad);
	put(line, "seed", json_integer((json_int_t)o->seed), bad);
	put(line, "index", json_integer((json_int_t)index), bad);
}

static json_t *roles_value(const struct pb_box_words *words, bool *bad)
{
	json_t *list = json_array();

	for (size_t i = 0; i < words->n; i++)
		push(list, json_string(pb_box_role_name(words->items[i].role)), bad);
	return list;
}

static json_t *differences_value(const struct pb_box_words *clean,
				 const struct pb_box_words *corrupted, bool *bad)
{
	json_t *list = json_array();

	for (size_t i = 0; i < clean->n; i++) {
		json_t *item;

		if (strcmp(clean->items[i].text, corrupted->items[i].text) == 0)
			continue;
		item = json_object();
		put(item, "word", json_integer((json_int_t)i), bad);
		put(item, "clean", json_string(clean->items[i].text), bad);
		put(item, "corrupted", json_string(corrupted->items[i].text), bad);
		push(list, item, bad);
	}
	return list;
}

/* Writes the object as one line and gives it back. */
static enum pb_status write_line(json_t *line, bool bad, FILE *out, struct pb_error *err)
{
	char *text = bad ? NULL : json_dumps(line, JSON_COMPACT);
	enum pb_status status = PB_OK;

	if (text == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a line of task box");
	else if (fputs(text, out) == EOF || fputc('\n', out) == EOF)
		status = pb_fail(err, PB_ERR_IO, "cannot write: a line of task box");
	free(text);
	json_decref(line);
	return status;
}

enum pb_status pb_box_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err)
{
	struct pb_box_story story;
	struct pb_box_words words;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;
	int last_move;

	pb_box_stream_begin(&rng, o, PB_BOX_STREAM_PROMPTS, index);
	pb_box_draw_story(&story, o, &rng);
	pb_box_words_of(&story, &words);
	last_move = pb_box_last_move(&story, story.query);
	put(line, "prompt", text_value(&words), &bad);
	put(line, "answer", json_string(pb_box_answer(pb_box_answer_of(&story))), &bad);
	put(line, "candidates", candidates_value(o->boxes, &bad), &bad);
	put_cell(line, o, index, &bad);
	put(line, "object", json_string(pb_box_object_name(story.query)), &bad);
	put(line, "moved", json_boolean(last_move >= 0), &bad);
	put(line, "last_move", json_integer(last_move), &bad);
	return write_line(line, bad, out, err);
}

enum pb_status pb_box_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			   struct pb_error *err)
{
	struct pb_box_pair pair;
	struct pb_box_words clean, corrupted;
	enum pb_status status = pb_box_make_pair(&pair, o, index, err);
	json_t *line;
	bool bad;

	if (status != PB_OK)
		return status;
	line = json_object();
	bad = line == NULL;
	pb_box_words_of(&pair.clean, &clean);
	pb_box_words_of(&pair.corrupted, &corrupted);
	put(line, "clean", text_value(&clean), &bad);
	put(line, "corrupted", text_value(&corrupted), &bad);
	put(line, "answer", json_string(pb_box_answer(pair.answer)), &bad);
	put(line, "foil", json_string(pb_box_answer(pair.foil)), &bad);
	put(line, "candidates", candidates_value(o->boxes, &bad), &bad);
	put_cell(line, o, index, &bad);
	put(line, "corrupt", json_string(pb_corruption_name(o->corrupt)), &bad);
	put(line, "object", json_string(pb_box_object_name(pair.clean.query)), &bad);
	put(line, "changed", json_string(pair.changed), &bad);
	put(line, "move", json_integer(pair.move), &bad);
	put(line, "attempts", json_integer(pair.attempts), &bad);
	put(line, "differences", differences_value(&clean, &corrupted, &bad), &bad);
	put(line, "roles", roles_value(&clean, &bad), &bad);
	return write_line(line, bad, out, err);
}
