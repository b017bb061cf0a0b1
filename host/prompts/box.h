/* The rows of the task table that are the box task's. */
#ifndef PATCHBAY_PROMPTS_BOX_H
#define PATCHBAY_PROMPTS_BOX_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_box_patterns[];

enum pb_status pb_box_check(const struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_box_check_pairs(const struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_box_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err);
enum pb_status pb_box_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			   struct pb_error *err);

#endif
