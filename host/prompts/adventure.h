/* The rows of the task table that are the adventure task's: a text game told as what there is, what
 * is done, and a question.
 *
 *   You are in the hall. North of the hall is the garden. The box is in the hall. The box is open.
 *   The lamp is in the box. You take the lamp. You go north. The box is  -> " open"
 *
 * Questions: where an object is that is not in the hand (a room or a container), where the player
 * is, whether a container is open. Roles, one for each word: map (what never changes: the links of
 * the rooms and the rooms of the containers), state (the player's room, whether a container is
 * open, where an object is), action (the steps) and query (the last sentence). */
#ifndef PATCHBAY_PROMPTS_ADVENTURE_H
#define PATCHBAY_PROMPTS_ADVENTURE_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_adventure_patterns[];

enum pb_status pb_adventure_check(const struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_adventure_check_pairs(const struct pb_task_options *o, struct pb_error *err);
/* Names that are not one token of the tokenizer are left out; refuses a tokenizer that leaves too
 * few. Must be called before the first line, without a tokenizer too. */
enum pb_status pb_adventure_prepare(struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_adventure_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				   struct pb_error *err);
enum pb_status pb_adventure_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err);

#endif
