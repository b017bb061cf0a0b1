/* Words that mean nothing in particular. */
#include "prompts/vocabulary.h"

#include <assert.h>

#include "prompts/one_token.h"

/* Each is one token behind a space in the tokenizers of GPT-2 and GPT-NeoX. */
const char *const pb_vocabulary[PB_N_VOCABULARY] = {
    " apple",   " river",  " stone",   " cloud",  " horse",   " table",  " green",    " light",
    " paper",   " music",  " water",   " winter", " summer",  " garden", " window",   " doctor",
    " letter",  " number", " picture", " island", " market",  " forest", " mountain", " valley",
    " ocean",   " bridge", " castle",  " engine", " bottle",  " button", " candle",   " carpet",
    " chair",   " corner", " cotton",  " desert", " dinner",  " dragon", " eagle",    " finger",
    " flower",  " glass",  " guitar",  " hammer", " helmet",  " hotel",  " jacket",   " kitchen",
    " ladder",  " lemon",  " library", " magnet", " mirror",  " monkey", " needle",   " orange",
    " palace",  " pencil", " pepper",  " pillow", " planet",  " pocket", " prince",   " rabbit",
    " ribbon",  " rocket", " saddle",  " school", " shadow",  " silver", " spider",   " spring",
    " square",  " statue", " storm",   " street", " student", " sugar",  " sunset",   " sword",
    " temple",  " ticket", " tiger",   " tower",  " train",   " tunnel", " turtle",   " umbrella",
    " village", " violin", " wagon",   " wheel",  " wolf",    " yellow", " copper",   " marble",
    " metal",   " tiny",   " brown",   " black",  " white",   " broad",  " clean",    " cloth",
    " coast",   " color",  " court",   " crown",  " dance",   " earth",  " field",    " flame",
    " floor",   " fruit",  " grass",   " heart",  " honey",   " house",  " iron",     " juice",
    " knife",   " lake",   " leaf",    " lion",   " lock",    " meat",   " milk",     " moon",
};

enum pb_status pb_vocabulary_prepare(struct pb_task_options *o, const char *before, size_t needed,
				     struct pb_error *err)
{
	struct pb_usable *usable = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc(&o->prepared, 1, sizeof *usable, "the words of a task", err));
	usable = o->prepared;
	for (uint32_t i = 0; i < PB_N_VOCABULARY; i++) {
		bool one = true;

		PB_TRY(pb_is_one_token(o->tokenizer, before, pb_vocabulary[i], &one, err));
		if (one)
			usable->words[usable->n++] = i;
	}
	if (usable->n < needed)
		status = pb_fail(err, PB_ERR_INPUT,
				 "too few words: task %s: %zu of %d are one token of this model's "
				 "tokenizer, %zu are needed: give a smaller length, or use another "
				 "model",
				 o->name, usable->n, PB_N_VOCABULARY, needed);
cleanup:
	return status;
}

void pb_vocabulary_draw(const struct pb_usable *usable, size_t n, uint32_t *words,
			struct pb_rng *rng)
{
	struct pb_usable left = *usable;

	assert(n <= left.n && left.n <= PB_N_VOCABULARY);
	for (size_t i = 0; i < n; i++) {
		size_t at = i + pb_rng_below(rng, left.n - i);

		words[i] = left.words[at];
		left.words[at] = left.words[i];
		left.words[i] = words[i];
	}
}
