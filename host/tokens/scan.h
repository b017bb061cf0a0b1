/* Reads the two big tables of a tokenizer file, the vocabulary and the merges, straight from its
 * text. As jansson objects they take four times as long to load as everything else together. */
#ifndef PB_TOKENS_SCAN_H
#define PB_TOKENS_SCAN_H

#include "tokens/tokenizer.h"

/* Part of a text; start == end for none. */
struct pb_span {
	size_t start, end;
};

/* A tokenizer.json without its big tables. The text must be valid UTF-8. Where it is no JSON, less
 * or nothing is found: the caller's JSON parser then says what is wrong. */
struct pb_cut_json {
	struct pb_span vocab, merges; /* the values of model.vocab and model.merges in the text */
	char *rest;                   /* the text with {} and [] in their places; free() it */
	size_t rest_size;
};
enum pb_status pb_scan_cut(struct pb_cut_json *out, const char *text, size_t n,
			   struct pb_error *err);

/* A vocabulary, {"token": id, ...}, into t: pb_vocab_init() and pb_tokenizer_put_token(). Strict
 * JSON, errors with line and column. Escapes are undone in place: the text changes. */
enum pb_status pb_scan_vocab(struct pb_tokenizer *t, char *text, struct pb_span span,
			     const char *path, struct pb_error *err);

/* Merges, ["a b", ...] or [["a", "b"], ...], into t, whose vocabulary must be there. */
enum pb_status pb_scan_merges(struct pb_tokenizer *t, char *text, struct pb_span span,
			      const char *path, struct pb_error *err);

#endif
