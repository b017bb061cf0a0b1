/* Text to token ids and back: BPE as Hugging Face folders and GGUF files ship it. */
#ifndef PATCHBAY_TOKENS_H
#define PATCHBAY_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "patchbay/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pb_tokenizer;

/* Whether there is a tokenizer to open, good or bad. */
bool pb_tokenizer_is_there(const char *path);

/* Open the tokenizer of a model folder: tokenizer.json, or vocab.json + merges.txt; or of a GGUF
 * file (`path` itself, or the only one of a folder without tokenizer.json): what its metadata says.
 * BPE, byte-level or by characters with byte fallback as SentencePiece does. PB_ERR_INPUT when
 * there is none, or it uses a kind that is not supported (the component or key is named). Ids and
 * texts are those of the `tokenizers` package for code points up to Unicode 14. An open tokenizer
 * never changes: threads may share it. */
enum pb_status pb_tokenizer_open(struct pb_tokenizer **out, const char *path, struct pb_error *err);
void pb_tokenizer_close(struct pb_tokenizer *tokenizer);

/* What it is made of, for people: its kind, how text is changed and cut, added tokens, BOS. */
void pb_tokenizer_describe(const struct pb_tokenizer *tokenizer, FILE *out);

/* Number of ids: highest id + 1, added tokens included. */
size_t pb_tokenizer_size(const struct pb_tokenizer *tokenizer);

/* Encode UTF-8 text of `size` bytes (NULs allowed). Added and special tokens inside the text are
 * recognised as the `tokenizers` package does. No BOS or EOS is added. *ids is freed with free().
 * Invalid UTF-8 is PB_ERR_INPUT with the byte offset; so is a byte that has no token where there is
 * no unk_token (`tokenizers` drops it without a word). */
enum pb_status pb_tokenizer_encode(const struct pb_tokenizer *tokenizer, const char *text,
				   size_t size, int32_t **ids, size_t *n_ids, struct pb_error *err);

/* The text of ids (freed with free()); special tokens are kept. Bytes that are not UTF-8 when
 * joined become U+FFFD as in `tokenizers`. Ids past the vocabulary are PB_ERR_INPUT. */
enum pb_status pb_tokenizer_decode(const struct pb_tokenizer *tokenizer, const int32_t *ids,
				   size_t n_ids, char **text, struct pb_error *err);

/* The same, with the text's size in bytes: a text may hold NULs. *text has a final NUL as well. */
enum pb_status pb_tokenizer_decode_sized(const struct pb_tokenizer *tokenizer, const int32_t *ids,
					 size_t n_ids, char **text, size_t *size,
					 struct pb_error *err);

/* The bytes that one id stands for, which need not be whole characters; NULL where the id has no
 * token. They are the tokenizer's. */
const char *pb_tokenizer_piece(const struct pb_tokenizer *tokenizer, int32_t id, size_t *size);

/* What `bos: auto` does: the id that the post-processor (or tokenizer_config.json's add_bos_token)
 * puts in front, -1 for none. */
int32_t pb_tokenizer_bos_auto(const struct pb_tokenizer *tokenizer);
/* The id of the BOS token itself, whether or not it is prepended by default; -1 for none. */
int32_t pb_tokenizer_bos(const struct pb_tokenizer *tokenizer);

#ifdef __cplusplus
}
#endif
#endif
