/* The rows of the task table that are the fruit task's, a text game of arXiv 2505.14892:
 *
 *   Sarah, Dean walk into a fruit store. There are only 2 fruits apple, pear. Each person gets a
 *   different fruit. Dean gives Sarah the apple. Dean can have the   -> " pear"
 *
 * The answer is a set: any fruit that nobody has. Roles: opening, name and fruit (of the lists),
 * clue, giver, receiver, given (the words of a clue), asked (who is asked for), query. */
#ifndef PATCHBAY_PROMPTS_FRUIT_H
#define PATCHBAY_PROMPTS_FRUIT_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_fruit_patterns[];

enum pb_status pb_fruit_check(const struct pb_task_options *o, struct pb_error *err);
/* Pairs are where one fruit remains. */
enum pb_status pb_fruit_check_pairs(const struct pb_task_options *o, struct pb_error *err);
/* Which fruits are one token of the tokenizer; fewer than people are refused. */
enum pb_status pb_fruit_prepare(struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_fruit_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			       struct pb_error *err);
enum pb_status pb_fruit_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err);

#endif
