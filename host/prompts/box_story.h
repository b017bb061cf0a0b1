/* The world of the box task: a story of objects in boxes and moves, its simulation, and its words.
 *
 *   Box A contains the hat. Box B contains the glove. Move the hat into Box B. Hat is in the Box
 */
#ifndef PATCHBAY_PROMPTS_BOX_STORY_H
#define PATCHBAY_PROMPTS_BOX_STORY_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/base.h"
#include "prompts/wording.h"

#define PB_BOX_MAX 10 /* boxes, objects, moves */
/* A box is told in at most 5 words ("Box A is empty .") and 3 more an object ("and the hat"), a
 * move in 7, the query in 5. */
_Static_assert(PB_BOX_MAX *(5 + 3) + PB_BOX_MAX * 7 + 5 <= PB_WORDS_MAX, "room for a story");

struct pb_box_move {
	int object, box; /* `object` goes into `box` */
};

/* A story has as many objects as boxes. Objects and boxes are counted from 0. */
struct pb_box_story {
	int n_boxes, n_moves;
	int placement[PB_BOX_MAX]; /* box of each object before the moves */
	struct pb_box_move moves[PB_BOX_MAX];
	int query; /* the object that is asked for */
};

/* where[t][o]: box of object o after t moves. */
struct pb_box_trace {
	int where[PB_BOX_MAX + 1][PB_BOX_MAX];
};

const char *pb_box_object_name(int object); /* "hat" */
const char *pb_box_answer(int box);         /* " A" */

/* False when a move is illegal: an object may only go into another box than the one it is in. */
bool pb_box_simulate(const struct pb_box_story *story, struct pb_box_trace *trace);

/* Index of the last move of `object`, -1 when it never moves. */
int pb_box_last_move(const struct pb_box_story *story, int object);

/* A uniform placement; then n_moves moves, each a random non-empty box, a random object in it and
 * another box. Moves of the objects whose bit is set in `still` are drawn again; false when a
 * thousand draws in a row found no other. */
void pb_box_draw_placement(struct pb_box_story *story, struct pb_rng *rng);
bool pb_box_draw_moves(struct pb_box_story *story, unsigned still, struct pb_rng *rng);

/* Number of things that are told and differ: objects at their places in the boxes' lists, objects
 * and boxes of moves, the query. (size_t)-1 where a box holds more objects in one of the stories.
 */
size_t pb_box_n_differences(const struct pb_box_story *a, const struct pb_box_story *b);

void pb_box_words_of(const struct pb_box_story *story, const struct pb_wording *wording,
		     struct pb_words *words);

#endif
