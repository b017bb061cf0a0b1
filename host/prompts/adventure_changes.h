/* What may differ in a pair of the adventure task. Each change is of one word. */
#ifndef PATCHBAY_PROMPTS_ADVENTURE_CHANGES_H
#define PATCHBAY_PROMPTS_ADVENTURE_CHANGES_H

#include "prompts/adventure_world.h"

/* What the story's query asks for is different at the start. Returns what was changed: "player",
 * "object" or "flag". */
const char *pb_adventure_change_subject(struct pb_adventure_story *story, struct pb_rng *rng);

/* Any one sentence of the start is different, those of links aside: "container" (its room) too. */
const char *pb_adventure_change_anything(struct pb_adventure_story *story, struct pb_rng *rng);

/* Two actions with one verb that differ in one argument: "direction", "object" or "container". */
struct pb_adventure_fork {
	struct pb_adventure_action clean, other;
	const char *changed;
};

/* A step that all n runs can do, and another that the first of them could do instead. False: there
 * is none. Where not `any`, the two steps can make the answers differ: a direction for the player's
 * room, the container in which the subject is put, or which of two is opened or closed. */
bool pb_adventure_draw_fork(const struct pb_adventure_run *runs, int n, bool any,
			    struct pb_adventure_fork *out, struct pb_rng *rng);

/* Moves another container to one that is asked for, or two together for an object, so that a story
 * in which one can stand for the other is not rare; half the time the player starts there, and the
 * object is there. */
void pb_adventure_gather(struct pb_adventure_story *story, struct pb_rng *rng);

#endif
