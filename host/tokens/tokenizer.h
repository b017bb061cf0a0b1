/* What a tokenizer holds. Filled by load_json.c or load_files.c, read by tokenizer.c. */
#ifndef PB_TOKENS_TOKENIZER_H
#define PB_TOKENS_TOKENIZER_H

#include "patchbay/tokens.h"
#include "tokens/added.h"
#include "tokens/bpe.h"
#include "tokens/normalize.h"
#include "tokens/pretokenize.h"

/* The bytes that an id stands for; bytes is NULL where an id has no token. */
struct pb_piece {
	const char *bytes;
	const char *token; /* as the vocabulary has it */
	uint32_t size, token_size;
	bool is_byte; /* one byte by byte fallback, which need not be a whole character */
};

/* How ids become text: by the byte alphabet, or each token's replacements, then byte fallback, then
 * a stripped start. */
struct pb_decoder {
	bool byte_level;
	struct pb_normalizer replace; /* of each token */
	char space[8];                /* what stands for a space; "": nothing does */
	bool drop_first;              /* it stands for nothing in the first token */
	bool byte_fallback;           /* tokens <0x00> to <0xFF> are bytes */
	char strip[8];                /* up to strip_max of these go at the start of the text */
	size_t strip_max;
};

struct pb_tokenizer {
	struct pb_arena arena;   /* all strings below */
	struct pb_vocab vocab;   /* of the model: tokens as written */
	struct pb_piece *pieces; /* by id */
	size_t n_ids, pieces_capacity;
	struct pb_bpe bpe;
	struct pb_normalizer normalizer;
	struct pb_added added;
	struct pb_pretokenizer pre;
	struct pb_decoder decoder;
	int32_t bos, bos_auto;
	struct pb_matcher *matcher; /* while it is loaded */
};

/* The largest file that is read whole: the biggest vocabularies in use take 40 MB. */
#define PB_TOKENS_FILE_MAX ((size_t)512 << 20)

/* What `transformers` takes for the special token, BOS as well, of a folder with vocab.json and
 * merges.txt where nothing names one. */
#define PB_GPT2_SPECIAL "<|endoftext|>"

/* The text of a file of the tokenizer, which must be UTF-8 (PB_ERR_INPUT); free() it. */
enum pb_status pb_read_tokens_file(char **out, size_t *size, const char *path,
				   struct pb_error *err);

/* ---- filling, in this order: the decoder is there before --------------------------- */

/* One token of the model's vocabulary, after pb_vocab_init(). `where` names file and key.
 * PB_ERR_INPUT for an id out of range, or a token or an id that is there already. */
enum pb_status pb_tokenizer_put_token(struct pb_tokenizer *t, const char *token, size_t size,
				      int64_t id, const char *where, struct pb_error *err);

/* One added token; its normalizer must be set. `tokenizers` gives it the id that its content has
 * in the vocabulary, or the next free one; `id` is what the file says (-1: nothing), and
 * must be the same. */
enum pb_status pb_tokenizer_put_added(struct pb_tokenizer *t, struct pb_added_token token,
				      int64_t id, const char *where, struct pb_error *err);

/* The id of an added token or a token of the vocabulary by its content, -1 for none. */
int32_t pb_tokenizer_find(const struct pb_tokenizer *t, const char *content, size_t size);

/* What an id stands for, from its token: piece->token must be there, and bytes with room for as
 * many. */
enum pb_status pb_decoder_piece(const struct pb_tokenizer *t, struct pb_piece *piece,
				struct pb_arena *arena, struct pb_error *err);

/* ---- the kinds of folder, and what goes with them ---------------------------------- */

enum pb_status pb_tokenizer_load_json(struct pb_tokenizer *t, const char *folder,
				      struct pb_error *err);
enum pb_status pb_tokenizer_load_files(struct pb_tokenizer *t, const char *folder,
				       struct pb_error *err);
/* Of a GGUF file: all of it, BOS as well. */
enum pb_status pb_tokenizer_load_gguf(struct pb_tokenizer *t, const char *path,
				      struct pb_error *err);
bool pb_gguf_has_tokenizer(const char *path);
/* The BOS token: the bos_token of tokenizer_config.json or special_tokens_map.json, or
 * config.json's bos_token_id, or what the post-processor puts in front. Without a post-processor
 * (from_files), tokenizer_config.json's add_bos_token says whether it is put there by default. */
enum pb_status pb_tokenizer_load_bos(struct pb_tokenizer *t, const char *folder, bool from_files,
				     struct pb_error *err);

#endif
