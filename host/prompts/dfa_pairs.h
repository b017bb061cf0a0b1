/* Pairs of the dfa task. */
#ifndef PATCHBAY_PROMPTS_DFA_PAIRS_H
#define PATCHBAY_PROMPTS_DFA_PAIRS_H

#include "prompts/dfa_story.h"

struct pb_dfa_pair {
	struct pb_dfa_story clean, corrupted;
	int answer, foil;
	int attempts;
};

/* Streams of the generator, one apart for prompts and for each corruption. */
void pb_dfa_stream_begin(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index);
#define PB_DFA_STREAM_PROMPTS UINT64_C(0)

/* Draws walks until one has a partner. PB_ERR_INPUT, naming the cell, after too many. */
enum pb_status pb_dfa_make_pair(struct pb_dfa_pair *pair, const struct pb_task_options *o,
				uint64_t index, struct pb_error *err);
/* The paper's two constructions: labels are drawn, the rest is fixed. Index 2k + 1 is index 2k the
 * other way round. */
void pb_dfa_make_preset(struct pb_dfa_pair *pair, const struct pb_task_options *o, uint64_t index);

#endif
