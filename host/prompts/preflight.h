/* One line of a pairs file on its way to a pair of token ids, and the checks that refuse it. */
#ifndef PATCHBAY_PROMPTS_PREFLIGHT_H
#define PATCHBAY_PROMPTS_PREFLIGHT_H

#include <stdbool.h>

#include "patchbay/pairs.h"

/* Where a pair comes from and what it must fit. */
struct pb_pair_source {
	const char *name;                     /* of the file, for messages */
	size_t line;                          /* counted from 1 */
	const struct pb_tokenizer *tokenizer; /* may be NULL */
	int32_t bos;                          /* prepended to text prompts, -1: none */
	size_t n_vocab, n_context;
	struct pb_arena *arena;
};

/* One prompt of a pair. */
struct pb_encoded {
	const char *key;  /* "clean", "corrupted" */
	const char *text; /* as given, or decoded from the ids; "" when there is no tokenizer */
	size_t text_size;
	int32_t *ids; /* [length], owned by the arena */
	size_t length;
	size_t n_prepended; /* 1 when a BOS was put in front of a text prompt, else 0 */
	bool by_ids;        /* given as ids: the text is only what they decode to */
};

/* A prompt from text: [bos] + encode(text), the BOS never doubled. */
enum pb_status pb_prompt_from_text(struct pb_encoded *prompt, const struct pb_pair_source *source,
				   const char *text, size_t size, struct pb_error *err);
/* A prompt from ids, exactly as given. */
enum pb_status pb_prompt_from_ids(struct pb_encoded *prompt, const struct pb_pair_source *source,
				  const int32_t *ids, size_t length, struct pb_error *err);

/* One prompt: not empty, ids within the vocabulary, length within the context. */
enum pb_status pb_preflight_prompt(const struct pb_pair_source *source,
				   const struct pb_encoded *prompt, struct pb_error *err);

/* Both prompts: ids within the vocabulary, lengths within the context and equal; shows their tokens
 * side by side when they are not. */
enum pb_status pb_preflight_prompts(const struct pb_pair_source *source,
				    const struct pb_encoded *clean,
				    const struct pb_encoded *corrupted, struct pb_error *err);

/* The one token that `text` (an answer, foil or candidate, named by `key`) adds to both prompts:
 * encode(prompt + text) must be encode(prompt), unchanged, and one token more, the same token after
 * either prompt. */
enum pb_status pb_preflight_token(const struct pb_pair_source *source, const char *key,
				  const char *text, size_t size, const struct pb_encoded *clean,
				  const struct pb_encoded *corrupted, int32_t *token,
				  struct pb_error *err);

/* The same for one prompt. */
enum pb_status pb_preflight_added_token(const struct pb_pair_source *source, const char *key,
					const char *text, size_t size,
					const struct pb_encoded *prompt, int32_t *token,
					struct pb_error *err);

/* Refuse an id (of `key`) outside the vocabulary. */
enum pb_status pb_preflight_id(const struct pb_pair_source *source, const char *key, long long id,
			       struct pb_error *err);

/* The keys of one line of JSON, an object that jansson has accepted, that are not in `known` (ended
 * by NULL), as one compact object: keys in the line's order, values verbatim but for white space.
 * In the arena. */
enum pb_status pb_json_other_keys(const char *line, size_t size, const char *const *known,
				  struct pb_arena *arena, char **out, struct pb_error *err);

#endif
