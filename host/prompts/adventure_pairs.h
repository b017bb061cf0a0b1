/* Pairs of the adventure task. */
#ifndef PATCHBAY_PROMPTS_ADVENTURE_PAIRS_H
#define PATCHBAY_PROMPTS_ADVENTURE_PAIRS_H

#include "prompts/adventure_world.h"

struct pb_adventure_pair {
	struct pb_adventure_story clean, corrupted;
	int answer, foil;
	/* what was changed: of the start "player", "object", "flag", "container" (its room); of a
	 * step "direction", "object", "container" */
	const char *changed;
	int step; /* -1: the start */
	int attempts;
};

/* Streams of the generator, one apart for prompts and for each corruption. */
#define PB_ADVENTURE_STREAM_PROMPTS UINT64_C(0)
void pb_adventure_stream_begin(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			       uint64_t index);

/* The kinds of query that pairs of this cell and corruption can have. */
int pb_adventure_pair_kinds(const struct pb_task_options *o,
			    enum pb_adventure_kind kinds[PB_ADVENTURE_N_KINDS]);

/* Draws a kind of query, and stories until one has a partner (matched: both). PB_ERR_INPUT, naming
 * the cell, after too many. */
enum pb_status pb_adventure_make_pair(struct pb_adventure_pair *pair,
				      const struct pb_task_options *o, uint64_t index,
				      struct pb_error *err);

#endif
