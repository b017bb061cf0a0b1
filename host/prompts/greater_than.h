/* The rows of the task table that are the greater_than task's (Hanna et al. 2023, arXiv
 * 2305.00586):
 *
 *   The war lasted from the year 1732 to the year 17   -> "33" .. "99"
 *
 * The answer is a set. A pair asks for one year of it and, as foil, for one that is too early; the
 * corrupted prompt begins with year 01, for which both are right: nothing alone is right there, and
 * its lines say "foil_is_right": false. Roles: opening, event, first_year, between, end (the
 * century that the answer follows). */
#ifndef PATCHBAY_PROMPTS_GREATER_THAN_H
#define PATCHBAY_PROMPTS_GREATER_THAN_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_greater_than_patterns[];

enum pb_status pb_greater_than_check(const struct pb_task_options *o, struct pb_error *err);
/* Which years are two tokens, the century and the rest. */
enum pb_status pb_greater_than_prepare(struct pb_task_options *o, struct pb_error *err);
void pb_greater_than_release(struct pb_task_options *o);
enum pb_status pb_greater_than_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				      struct pb_error *err);
enum pb_status pb_greater_than_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				    struct pb_error *err);

#endif
