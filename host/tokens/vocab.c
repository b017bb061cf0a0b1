/* Token strings to ids: open addressing with linear probing, at most half full. */
#include <stdlib.h>
#include <string.h>

#include "tokens/vocab.h"

#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

static uint64_t hash_more(uint64_t hash, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * FNV_PRIME;
	return hash;
}

/* FNV leaves its best bits high; the table takes the low ones. */
static size_t first_slot(const struct pb_vocab *vocab, uint64_t hash)
{
	return (size_t)(hash ^ hash >> 32) & (vocab->n_slots - 1);
}

enum pb_status pb_vocab_init(struct pb_vocab *vocab, size_t capacity, struct pb_error *err)
{
	size_t n = 16;
	void *slots;
	enum pb_status status;

	while (n / 2 < capacity)
		n *= 2;
	status = pb_alloc(&slots, n, sizeof(struct pb_vocab_slot), "the vocabulary", err);
	if (status != PB_OK)
		return status;
	vocab->slots = slots;
	vocab->n_slots = n;
	vocab->n_entries = 0;
	return PB_OK;
}

enum pb_status pb_vocab_reserve(struct pb_vocab *vocab, size_t n, struct pb_error *err)
{
	struct pb_vocab larger = {0};
	enum pb_status status;

	if (n <= vocab->n_slots / 2)
		return PB_OK;
	status = pb_vocab_init(&larger, n, err);
	if (status != PB_OK)
		return status;
	for (size_t i = 0; i < vocab->n_slots; i++)
		if (vocab->slots[i].key != NULL)
			(void)pb_vocab_insert(&larger, vocab->slots[i].key, vocab->slots[i].size,
					      vocab->slots[i].id);
	pb_vocab_free(vocab);
	*vocab = larger;
	return PB_OK;
}

void pb_vocab_free(struct pb_vocab *vocab)
{
	free(vocab->slots);
	memset(vocab, 0, sizeof *vocab);
}

bool pb_vocab_insert(struct pb_vocab *vocab, const char *key, uint32_t size, int32_t id)
{
	size_t at = first_slot(vocab, hash_more(FNV_START, key, size));

	while (vocab->slots[at].key != NULL) {
		if (vocab->slots[at].size == size && memcmp(vocab->slots[at].key, key, size) == 0)
			return false;
		at = (at + 1) & (vocab->n_slots - 1);
	}
	vocab->slots[at] = (struct pb_vocab_slot){.key = key, .size = size, .id = id};
	vocab->n_entries++;
	return true;
}

int32_t pb_vocab_find_joined(const struct pb_vocab *vocab, const char *left, size_t left_size,
			     const char *right, size_t right_size)
{
	size_t at;

	if (vocab->n_slots == 0)
		return -1;
	at = first_slot(vocab, hash_more(hash_more(FNV_START, left, left_size), right, right_size));
	while (vocab->slots[at].key != NULL) {
		const struct pb_vocab_slot *slot = &vocab->slots[at];

		if (slot->size == left_size + right_size &&
		    memcmp(slot->key, left, left_size) == 0 &&
		    memcmp(slot->key + left_size, right, right_size) == 0)
			return slot->id;
		at = (at + 1) & (vocab->n_slots - 1);
	}
	return -1;
}

int32_t pb_vocab_find(const struct pb_vocab *vocab, const char *key, size_t size)
{
	return pb_vocab_find_joined(vocab, key, size, "", 0);
}
