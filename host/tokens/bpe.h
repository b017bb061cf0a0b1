/* Byte-pair encoding of one word: its bytes (byte-level) or characters to ids by the ranked
 * merges. */
#ifndef PB_TOKENS_BPE_H
#define PB_TOKENS_BPE_H

#include "tokens/vocab.h"

struct pb_merge_slot {
	uint64_t pair; /* left id << 32 | right id; UINT64_MAX: free */
	uint32_t rank;
	int32_t id; /* of the merged token */
};

struct pb_bpe {
	bool byte_level;      /* words start as bytes; else as characters */
	int32_t byte_id[256]; /* id of the token that is one byte, -1 for none; in words of
			       * characters the tokens <0x00> to <0xFF> */
	struct pb_merge_slot *merges;
	size_t n_slots;     /* a power of two, at least twice the merges */
	int32_t unk;        /* stands for what has no token; -1: that is an error */
	bool fuse_unk;      /* a run of such bytes or characters is one unk */
	bool byte_fallback; /* a character without a token is its bytes, where all have one */
	bool ignore_merges; /* a word that is a token is not taken apart */
};

/* A growing list of ids. */
struct pb_ids {
	int32_t *ids;
	size_t n, capacity;
};

/* One piece of the word, in a doubly linked list by index. */
struct pb_symbol {
	int32_t id; /* -1: merged into the piece before it */
	uint32_t previous, next;
};

/* A merge that may be done: heap entry. */
struct pb_candidate {
	uint64_t order; /* rank << 32 | position of the left piece: smaller goes first */
	int32_t id;
};

/* Scratch memory that words share. Zero-initialised is valid. */
struct pb_bpe_work {
	struct pb_symbol *symbols;
	size_t n_symbols, symbols_capacity;
	struct pb_candidate *heap;
	size_t n_heap, heap_capacity;
	char *mapped; /* the word in the byte alphabet */
	size_t mapped_capacity;
};

/* Longest word in bytes: positions are 32 bits and every merge enters the heap at most thrice. */
#define PB_BPE_WORD_MAX ((size_t)1 << 30)

/* byte_id from the vocabulary (byte_level is set), and room for `n_merges` merges. */
enum pb_status pb_bpe_init(struct pb_bpe *bpe, const struct pb_vocab *vocab, size_t n_merges,
			   struct pb_error *err);
void pb_bpe_free(struct pb_bpe *bpe);

/* Adds the merge left + right. A pair given twice has the later rank, as in `tokenizers`.
 * Returns NULL, or what is wrong with it in words. */
const char *pb_bpe_add_merge(struct pb_bpe *bpe, const struct pb_vocab *vocab, const char *left,
			     size_t left_size, const char *right, size_t right_size, uint32_t rank);

/* The first byte that can occur in UTF-8 and has no token; -1 when there is none. */
int pb_bpe_missing_byte(const struct pb_bpe *bpe);

/* Appends the ids of a word of n > 0 bytes. O(n log n). */
enum pb_status pb_bpe_encode(const struct pb_bpe *bpe, const struct pb_vocab *vocab,
			     struct pb_bpe_work *work, const char *word, size_t n,
			     struct pb_ids *out, struct pb_error *err);
void pb_bpe_work_free(struct pb_bpe_work *work);

enum pb_status pb_ids_push(struct pb_ids *list, int32_t id, struct pb_error *err);

#endif
