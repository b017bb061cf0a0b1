/* Cuts text into the words that byte-pair encoding never merges across. */
#ifndef PB_TOKENS_PRETOKENIZE_H
#define PB_TOKENS_PRETOKENIZE_H

#include "tokens/bpe.h"
#include "tokens/pattern.h"

/* The pattern of GPT-2, which ByteLevel uses. */
#define PB_GPT2_PATTERN                                                                            \
	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

#define PB_PRETOKENIZE_STAGES_MAX 16

struct pb_pretokenizer {
	struct pb_pattern *stages[PB_PRETOKENIZE_STAGES_MAX]; /* each cuts the pieces further */
	size_t n_stages;
	/* ByteLevel's add_prefix_space: pieces that reach this stage without a leading space get
	 * one; n_stages when ByteLevel has no pattern; SIZE_MAX for never. */
	size_t prefix_stage;
};

/* Adds a pattern at the end. */
enum pb_status pb_pretokenizer_add(struct pb_pretokenizer *pre, const char *regex, size_t n,
				   const char *where, struct pb_error *err);
void pb_pretokenizer_free(struct pb_pretokenizer *pre);

/* Everything that one call of encode needs beside the tokenizer. */
struct pb_encoder {
	const struct pb_bpe *bpe;
	const struct pb_vocab *vocab;
	const struct pb_pretokenizer *pre;
	struct pb_matcher *matcher;
	struct pb_bpe_work work;
	char *spaced; /* a piece with its prefix space */
	size_t spaced_capacity;
	struct pb_ids out;
};

/* Cuts a text (without added tokens, normalised) and appends the ids of its words. */
enum pb_status pb_pretokenize(struct pb_encoder *encoder, const char *text, size_t n,
			      struct pb_error *err);

#endif
