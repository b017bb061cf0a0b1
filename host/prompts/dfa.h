/* The rows of the task table that are the dfa task's: walks of an abstract automaton.
 *
 *   States: { a, b }
 *   Actions: { A, B }
 *   Sequence: Start at state a. Take action A, go to state b. ... Take action A, go to state  -> "
 * b"
 *
 * Mode strict: a random cycle through all states and further edges; what is asked has been told
 * before (or, after 64 tries, determined is false). Mode paper: the sampler of arXiv 2505.14892,
 * where much of what is asked has not. Roles: header; start (and the words of the start); state,
 * action (the labels of the walk), clause (its other words); query_action and query. */
#ifndef PATCHBAY_PROMPTS_DFA_H
#define PATCHBAY_PROMPTS_DFA_H

#include "prompts/wording.h"

extern const struct pb_pattern_row pb_dfa_patterns[];

enum pb_status pb_dfa_check(const struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_dfa_check_pairs(const struct pb_task_options *o, struct pb_error *err);
/* Refuse a tokenizer in which a label that is used is not one token. */
enum pb_status pb_dfa_prepare(struct pb_task_options *o, struct pb_error *err);
enum pb_status pb_dfa_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err);
enum pb_status pb_dfa_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			   struct pb_error *err);

#endif
