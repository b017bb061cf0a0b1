/* The rows of the task table that are the successor task's: what comes next in a series?
 *
 *   In order: Monday, Tuesday, Wednesday,   -> " Thursday"
 *
 * Days and months go round; numbers are consecutive, up to 100. Roles: opening, item, mark,
 * last_item and end (the last mark). */
#ifndef PATCHBAY_PROMPTS_SUCCESSOR_H
#define PATCHBAY_PROMPTS_SUCCESSOR_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_successor_patterns[];

enum pb_status pb_successor_check(const struct pb_task_options *o, struct pb_error *err);
/* Refuse a tokenizer in which an item is not one token. */
enum pb_status pb_successor_prepare(struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_successor_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				   struct pb_error *err);
enum pb_status pb_successor_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err);

#endif
