/* Token strings to ids: a hash table that is filled once and then only read. */
#ifndef PB_TOKENS_VOCAB_H
#define PB_TOKENS_VOCAB_H

#include "patchbay/base.h"

/* Ids from files are below this, so that a hostile file cannot make the tables huge. */
#define PB_TOKENS_ID_LIMIT ((int32_t)1 << 22)

struct pb_vocab_slot {
	const char *key; /* NULL: free */
	uint32_t size;
	int32_t id;
};

struct pb_vocab {
	struct pb_vocab_slot *slots;
	size_t n_slots; /* a power of two, at least twice n_entries; 0 before pb_vocab_init */
	size_t n_entries;
};

/* Room for `capacity` entries. */
enum pb_status pb_vocab_init(struct pb_vocab *vocab, size_t capacity, struct pb_error *err);
void pb_vocab_free(struct pb_vocab *vocab);

/* Room for `n` entries in all, kept or made. */
enum pb_status pb_vocab_reserve(struct pb_vocab *vocab, size_t n, struct pb_error *err);

/* The keys are not copied. false when the key is there already. There must be room. */
bool pb_vocab_insert(struct pb_vocab *vocab, const char *key, uint32_t size, int32_t id);

/* The id of a token, -1 when it is not there. */
int32_t pb_vocab_find(const struct pb_vocab *vocab, const char *key, size_t size);
/* The id of the token left + right. */
int32_t pb_vocab_find_joined(const struct pb_vocab *vocab, const char *left, size_t left_size,
			     const char *right, size_t right_size);

#endif
