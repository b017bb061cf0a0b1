/* The words of the adventure task. */
#ifndef PATCHBAY_PROMPTS_ADVENTURE_TEXT_H
#define PATCHBAY_PROMPTS_ADVENTURE_TEXT_H

#include "prompts/adventure_world.h"
#include "prompts/wording.h"

#define PB_ADVENTURE_CANDIDATES (PB_ADVENTURE_ROOMS + PB_ADVENTURE_CONTAINERS)

void pb_adventure_words_of(const struct pb_adventure_story *story, const struct pb_wording *wording,
			   struct pb_words *words);

/* "place", "player" or "flag". */
const char *pb_adventure_kind_name(enum pb_adventure_kind kind);
/* A room or a container: " hall". */
const char *pb_adventure_place_name(const struct pb_adventure_story *story, int place);
/* " lamp", " you" or " chest". */
const char *pb_adventure_subject(const struct pb_adventure_story *story);
/* The word of an answer to the story's query, with its leading space. */
const char *pb_adventure_answer_text(const struct pb_adventure_story *story, int answer);

/* All answers that the story's query may have, in the order of the story. */
int pb_adventure_candidates(const struct pb_adventure_story *story,
			    int answers[PB_ADVENTURE_CANDIDATES]);

#endif
