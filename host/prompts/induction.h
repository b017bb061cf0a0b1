/* The rows of the task table that are the induction task's: random words that are repeated.
 *
 *   Again and again: apple river stone cloud apple river   -> " stone"
 *
 * Roles: opening; first (words of the first round), before_target and target (the word that comes
 * again now, and what follows it there), repeat, end (the last word). */
#ifndef PATCHBAY_PROMPTS_INDUCTION_H
#define PATCHBAY_PROMPTS_INDUCTION_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_induction_patterns[];

enum pb_status pb_induction_check(const struct pb_task_options *o, struct pb_error *err);
/* Which words are one token of the tokenizer; too few are refused. */
enum pb_status pb_induction_prepare(struct pb_task_options *o, struct pb_error *err);
void pb_induction_release(struct pb_task_options *o);
enum pb_status pb_induction_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				   struct pb_error *err);
enum pb_status pb_induction_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err);

#endif
