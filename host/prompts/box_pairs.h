/* Pairs of the box task: stories, their corruptions, and streams of random numbers. */
#ifndef PATCHBAY_PROMPTS_BOX_PAIRS_H
#define PATCHBAY_PROMPTS_BOX_PAIRS_H

#include "patchbay/pairs.h"
#include "prompts/box_story.h"

/* A pair and what was done to make it. */
struct pb_box_pair {
	struct pb_box_story clean, corrupted;
	int answer, foil;    /* boxes */
	const char *changed; /* "placement", "object", "box", "order" */
	int move;            /* index of the (first) changed move, -1: the placement */
	int attempts;
	/* matched: the action partner of the same clean story, and its changed move */
	struct pb_box_story action;
	int action_move;
};

/* Streams of a cell: prompts are one, pairs one for each corruption. */
enum { PB_BOX_STREAM_PROMPTS, PB_BOX_STREAM_PAIRS };

void pb_box_stream_begin(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index);

/* A story of the cell: placement, moves, query. */
void pb_box_draw_story(struct pb_box_story *story, const struct pb_task_options *o,
		       struct pb_rng *rng);

/* The box of the queried object after all moves of a legal story. */
int pb_box_answer_of(const struct pb_box_story *story);

/* Pair `index` of the options' stream: draws stories until a substitution is accepted. */
enum pb_status pb_box_make_pair(struct pb_box_pair *pair, const struct pb_task_options *o,
				uint64_t index, struct pb_error *err);

#endif
