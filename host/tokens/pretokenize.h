/* Cuts text into the words that byte-pair encoding never merges across. */
#ifndef PB_TOKENS_PRETOKENIZE_H
#define PB_TOKENS_PRETOKENIZE_H

#include "tokens/bpe.h"
#include "tokens/pattern.h"

/* The pattern of GPT-2, which ByteLevel uses. */
#define PB_GPT2_PATTERN                                                                            \
	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

#define PB_PRETOKENIZE_STAGES_MAX 16

/* What becomes of the matches of a pattern, by the names of `tokenizers`. */
enum pb_split_behavior {
	PB_SPLIT_ISOLATED,
	PB_SPLIT_REMOVED,
	PB_SPLIT_MERGED_WITH_PREVIOUS,
	PB_SPLIT_MERGED_WITH_NEXT,
	PB_SPLIT_CONTIGUOUS,
};
#define PB_N_SPLIT_BEHAVIORS (PB_SPLIT_CONTIGUOUS + 1)

/* When a piece gets a prefix: never; when it lacks it; so, but only at the start of the text. */
enum pb_prefix { PB_PREFIX_NEVER, PB_PREFIX_ALWAYS, PB_PREFIX_FIRST };

/* One stage: each cuts the pieces of the one before further. */
struct pb_stage {
	char space[8];              /* spaces become this; "" leaves them */
	enum pb_prefix prefix;      /* of `space`, or of a space where that is "" */
	struct pb_pattern *pattern; /* NULL: pieces stay whole */
	enum pb_split_behavior behavior;
	bool invert; /* what lies between matches counts as the matches */
};

struct pb_pretokenizer {
	struct pb_stage stages[PB_PRETOKENIZE_STAGES_MAX];
	size_t n_stages;
};

/* Adds a stage at the end; `regex` (of n bytes) may be NULL. stage.pattern is set here. */
enum pb_status pb_pretokenizer_add(struct pb_pretokenizer *pre, struct pb_stage stage,
				   const char *regex, size_t n, const char *where,
				   struct pb_error *err);
void pb_pretokenizer_free(struct pb_pretokenizer *pre);

/* One stage at work. */
struct pb_stage_run {
	char *changed; /* the piece with its prefix, spaces replaced */
	size_t capacity;
	struct pb_split split;
	const char *next; /* a piece ahead of the one that went out; next_size 0: none */
	size_t next_size;
	bool next_match;
	bool whole;   /* no pattern: the piece waits to go out */
	bool started; /* the first piece is out */
	bool first;   /* the piece began at the start of the text */
};

/* Everything that one call of encode needs beside the tokenizer. */
struct pb_encoder {
	const struct pb_bpe *bpe;
	const struct pb_vocab *vocab;
	const struct pb_pretokenizer *pre;
	struct pb_matcher *matcher;
	struct pb_bpe_work work;
	struct pb_stage_run runs[PB_PRETOKENIZE_STAGES_MAX];
	struct pb_ids out;
};

void pb_encoder_free(struct pb_encoder *encoder);

/* Cuts a text (without added tokens, normalised) and appends the ids of its words. `first`: the
 * text starts where the whole text does. */
enum pb_status pb_pretokenize(struct pb_encoder *encoder, const char *text, size_t n, bool first,
			      struct pb_error *err);

#endif
