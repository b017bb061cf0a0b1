/* Box tracking: evaluation prompts, and pairs with their three corruptions. */
#include "prompts/box.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/box_pairs.h"

/* ---- options ------------------------------------------------------------------------- */

enum pb_status pb_box_check(const struct pb_task_options *o, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_task_check_range(o, "boxes", o->boxes, 2, PB_BOX_MAX, err));
	PB_TRY(pb_task_check_range(o, "moves", o->moves, 1, PB_BOX_MAX, err));
	status = pb_task_check_count(o, err);
cleanup:
	return status;
}

enum pb_status pb_box_check_pairs(const struct pb_task_options *o, struct pb_error *err)
{
	if ((o->corrupt == PB_CORRUPT_STATE || o->corrupt == PB_CORRUPT_MATCHED) && o->boxes == 2)
		return pb_fail(err, PB_ERR_INPUT,
			       "no such pair exists: task box, corrupt %s, 2 boxes, %zu moves: "
			       "two objects must stay where they are and a third must move: give "
			       "at least 3 boxes, or corrupt action",
			       pb_corruption_name(o->corrupt), o->moves);
	if (o->corrupt == PB_CORRUPT_MATCHED)
		return pb_task_check_even(o, err);
	if (o->corrupt == PB_CORRUPT_DISTRACTOR && o->boxes == 2 && o->moves == 1)
		return pb_fail(err, PB_ERR_INPUT,
			       "no such pair exists: task box, corrupt distractor, 2 boxes, 1 "
			       "move: every word that can change changes the answer: give at least "
			       "3 boxes or 2 moves, or corrupt action");
	return PB_OK;
}

/* ---- JSON lines ---------------------------------------------------------------------- */

static json_t *candidates_value(size_t n_boxes, bool *bad)
{
	json_t *list = json_array();

	for (size_t b = 0; b < n_boxes; b++)
		pb_line_push(list, json_string(pb_box_answer((int)b)), bad);
	return list;
}

static void put_cell(json_t *line, const struct pb_task_options *o, uint64_t index, bool *bad)
{
	pb_line_put(line, "task", json_string("box"), bad);
	pb_line_put(line, "boxes", json_integer((json_int_t)o->boxes), bad);
	pb_line_put(line, "moves", json_integer((json_int_t)o->moves), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
}

enum pb_status pb_box_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err)
{
	struct pb_box_story story;
	struct pb_words words;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;
	int last_move;

	pb_box_stream_begin(&rng, o, PB_BOX_STREAM_PROMPTS, index);
	pb_box_draw_story(&story, o, &rng);
	pb_box_words_of(&story, o->wording, &words);
	last_move = pb_box_last_move(&story, story.query);
	pb_line_prompt(line, &words, pb_box_answer(pb_box_answer_of(&story)), &bad);
	pb_line_put(line, "candidates", candidates_value(o->boxes, &bad), &bad);
	put_cell(line, o, index, &bad);
	pb_line_put(line, "object", json_string(pb_box_object_name(story.query)), &bad);
	pb_line_put(line, "moved", json_boolean(last_move >= 0), &bad);
	pb_line_put(line, "last_move", json_integer(last_move), &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

enum pb_status pb_box_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			   struct pb_error *err)
{
	struct pb_box_pair pair;
	struct pb_words clean, corrupted;
	enum pb_status status = pb_box_make_pair(&pair, o, index, err);
	json_t *line;
	bool bad;

	if (status != PB_OK)
		return status;
	line = json_object();
	bad = line == NULL;
	pb_box_words_of(&pair.clean, o->wording, &clean);
	pb_box_words_of(&pair.corrupted, o->wording, &corrupted);
	pb_line_pair(line, &clean, &corrupted, pb_box_answer(pair.answer), pb_box_answer(pair.foil),
		     &bad);
	pb_line_put(line, "candidates", candidates_value(o->boxes, &bad), &bad);
	put_cell(line, o, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	pb_line_put(line, "object", json_string(pb_box_object_name(pair.clean.query)), &bad);
	pb_line_put(line, "changed", json_string(pair.changed), &bad);
	pb_line_put(line, "move", json_integer(pair.move), &bad);
	pb_line_put(line, "attempts", json_integer(pair.attempts), &bad);
	return pb_line_end_pair(line, o, &clean, &corrupted, bad, out, err);
}
