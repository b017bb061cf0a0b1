/* Common words that are one token, for tasks whose words mean nothing. */
#ifndef PATCHBAY_PROMPTS_VOCABULARY_H
#define PATCHBAY_PROMPTS_VOCABULARY_H

#include "patchbay/pairs.h"

#define PB_N_VOCABULARY 128
extern const char *const pb_vocabulary[PB_N_VOCABULARY]; /* with their leading space */

/* Places of the words that may be used. */
struct pb_usable {
	size_t n;
	uint32_t words[PB_N_VOCABULARY];
};

/* o->prepared becomes a struct pb_usable (freed with free()) of the words that are one token behind
 * the text `before`; fewer than `needed` are PB_ERR_INPUT. */
enum pb_status pb_vocabulary_prepare(struct pb_task_options *o, const char *before, size_t needed,
				     struct pb_error *err);

/* n different ones of them, uniform; n <= usable->n. */
void pb_vocabulary_draw(const struct pb_usable *usable, size_t n, uint32_t *words,
			struct pb_rng *rng);

#endif
