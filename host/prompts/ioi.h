/* The rows of the task table that are indirect object identification's. */
#ifndef PATCHBAY_PROMPTS_IOI_H
#define PATCHBAY_PROMPTS_IOI_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_ioi_patterns[];

enum pb_status pb_ioi_check(const struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_ioi_prepare(struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_ioi_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err);
enum pb_status pb_ioi_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			   struct pb_error *err);

#endif
