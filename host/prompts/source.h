/* What all JSONL files of prompts have in common: their beginning, their lines, prompts as text or
 * ids. */
#ifndef PATCHBAY_PROMPTS_SOURCE_H
#define PATCHBAY_PROMPTS_SOURCE_H

#include <jansson.h>

#include "prompts/preflight.h"

/* Refuses a byte order mark, and finds the BOS (source->bos) of text prompts. */
enum pb_status pb_source_begin(struct pb_pair_source *source, const char *text, size_t size,
			       enum pb_bos bos, struct pb_error *err);

/* The object of a line; `wanted` says what a line is when it is none. */
enum pb_status pb_source_object(const struct pb_pair_source *source, const char *line, size_t size,
				const char *wanted, json_t **object, struct pb_error *err);

/* A text, or a list of ids. */
enum pb_status pb_source_prompt(const struct pb_pair_source *source, const json_t *value,
				const char *key, struct pb_encoded *prompt, struct pb_error *err);

#endif
