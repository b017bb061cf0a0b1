/* The rows of the task table that are the factual task's: facts from a user's file.
 *
 *   The capital of France is   -> " Paris"
 *
 * The file is JSONL. A line with "template" says how facts of a relation are told; {} stands for
 * the subject, and the object follows. A relation may have several templates. Every other line is a
 * fact:
 *
 *   {"relation": "capital", "template": "The capital of {} is"}
 *   {"relation": "capital", "subject": "France", "object": "Paris"}
 *
 * Roles: subject (its words), end (the last word), relation (all others). */
#ifndef PATCHBAY_PROMPTS_FACTUAL_H
#define PATCHBAY_PROMPTS_FACTUAL_H

#include "patchbay/pairs.h"

enum pb_status pb_factual_check(const struct pb_task_options *o, struct pb_error *err);
/* Reads o->triples. With a tokenizer, facts whose object is not one token behind their prompts are
 * left out. Bad lines are PB_ERR_INPUT with file and line. */
enum pb_status pb_factual_prepare(struct pb_task_options *o, struct pb_error *err);
void pb_factual_release(struct pb_task_options *o);
enum pb_status pb_factual_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
				 struct pb_error *err);
/* The corrupted prompt is about another subject of the same relation, with another object and as
 * many tokens (without a tokenizer: words). */
enum pb_status pb_factual_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			       struct pb_error *err);

#endif
