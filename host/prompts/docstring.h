/* The rows of the task table that are the docstring task's (Heimersheim and Janiak 2023): which
 * argument is documented next?
 *
 *   def port(self, load, size, file, last):
 *       """oil column piece
 *
 *       :param load: crime paper
 *       :param size: light table
 *       :param   -> " file"
 *
 * Roles: def (its fixed words, the function's name), argument, target (the argument that is asked
 * for), before_target, mark, description, param, documented (names of documented arguments; the
 * last of them is last_documented), end (the last ":param"). */
#ifndef PATCHBAY_PROMPTS_DOCSTRING_H
#define PATCHBAY_PROMPTS_DOCSTRING_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_docstring_patterns[];

enum pb_status pb_docstring_check(const struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_docstring_prepare(struct pb_task_options *o, struct pb_error *err);
void pb_docstring_release(struct pb_task_options *o);
enum pb_status pb_docstring_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				   struct pb_error *err);
enum pb_status pb_docstring_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err);

#endif
