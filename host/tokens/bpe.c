/* Byte-pair encoding: the merge of lowest rank is done first, the leftmost of equal ones. A heap
 * of candidates over a linked list keeps a word of n bytes at O(n log n). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokens/bpe.h"
#include "tokens/bytes.h"

#define NO_PAIR UINT64_MAX
#define NOWHERE UINT32_MAX

static uint64_t pair_of(int32_t left, int32_t right)
{
	return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The slot that holds the pair, or the free one where it belongs. */
static size_t merge_slot(const struct pb_bpe *bpe, uint64_t pair)
{
	uint64_t hash = pair * UINT64_C(0x9E3779B97F4A7C15);
	size_t at = (size_t)(hash >> 32) & (bpe->n_slots - 1);

	while (bpe->merges[at].pair != NO_PAIR && bpe->merges[at].pair != pair)
		at = (at + 1) & (bpe->n_slots - 1);
	return at;
}

enum pb_status pb_bpe_init(struct pb_bpe *bpe, const struct pb_vocab *vocab, size_t n_merges,
			   struct pb_error *err)
{
	size_t n = 16;
	void *merges;
	enum pb_status status;

	while (n / 2 < n_merges)
		n *= 2;
	status = pb_alloc(&merges, n, sizeof(struct pb_merge_slot), "the merges", err);
	if (status != PB_OK)
		return status;
	bpe->merges = merges;
	bpe->n_slots = n;
	for (size_t i = 0; i < n; i++)
		bpe->merges[i].pair = NO_PAIR;
	for (unsigned byte = 0; byte < 256; byte++) {
		char name[8];
		size_t size;

		if (bpe->byte_level)
			size = pb_utf8_put(pb_byte_to_char(byte), name);
		else
			size = (size_t)snprintf(name, sizeof name, "<0x%02X>", byte);
		bpe->byte_id[byte] = pb_vocab_find(vocab, name, size);
	}
	bpe->unk = -1;
	return PB_OK;
}

void pb_bpe_free(struct pb_bpe *bpe)
{
	free(bpe->merges);
	memset(bpe, 0, sizeof *bpe);
}

const char *pb_bpe_add_merge(struct pb_bpe *bpe, const struct pb_vocab *vocab, const char *left,
			     size_t left_size, const char *right, size_t right_size, uint32_t rank)
{
	int32_t left_id = pb_vocab_find(vocab, left, left_size);
	int32_t right_id = pb_vocab_find(vocab, right, right_size);
	int32_t id = pb_vocab_find_joined(vocab, left, left_size, right, right_size);
	uint64_t pair = pair_of(left_id, right_id);

	if (left_id < 0)
		return "the left part of a merge is not in the vocabulary";
	if (right_id < 0)
		return "the right part of a merge is not in the vocabulary";
	if (id < 0)
		return "the result of a merge is not in the vocabulary";
	bpe->merges[merge_slot(bpe, pair)] =
	    (struct pb_merge_slot){.pair = pair, .rank = rank, .id = id};
	return NULL;
}

int pb_bpe_missing_byte(const struct pb_bpe *bpe)
{
	/* UTF-8 never holds 0xC0, 0xC1 and 0xF5 to 0xFF. */
	for (int byte = 0; byte < 0xF5; byte++)
		if (bpe->byte_id[byte] < 0 && byte != 0xC0 && byte != 0xC1)
			return byte;
	return -1;
}

enum pb_status pb_ids_push(struct pb_ids *list, int32_t id, struct pb_error *err)
{
	if (list->n == list->capacity) {
		void *ids = list->ids;
		enum pb_status status =
		    pb_grow(&ids, &list->capacity, list->n + 1, sizeof(int32_t), "token ids", err);

		if (status != PB_OK)
			return status;
		list->ids = ids;
	}
	list->ids[list->n++] = id;
	return PB_OK;
}

/* ---- the heap of candidates -------------------------------------------------------- */

static void heap_sift_down(struct pb_candidate *heap, size_t n, size_t at)
{
	struct pb_candidate moved = heap[at];

	while (2 * at + 1 < n) {
		size_t child = 2 * at + 1;

		if (child + 1 < n && heap[child + 1].order < heap[child].order)
			child++;
		if (moved.order <= heap[child].order)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

static void heap_pop(struct pb_bpe_work *work)
{
	work->n_heap--;
	if (work->n_heap > 0) {
		work->heap[0] = work->heap[work->n_heap];
		heap_sift_down(work->heap, work->n_heap, 0);
	}
}

/* Room is there: see reserve(). */
static void heap_push(struct pb_bpe_work *work, struct pb_candidate added)
{
	size_t at = work->n_heap++;

	while (at > 0 && added.order < work->heap[(at - 1) / 2].order) {
		work->heap[at] = work->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	work->heap[at] = added;
}

/* The merge of the pieces at `left` and behind it, if there is such a merge. */
static bool candidate_at(const struct pb_bpe *bpe, const struct pb_bpe_work *work, uint32_t left,
			 struct pb_candidate *out)
{
	const struct pb_symbol *symbols = work->symbols;
	const struct pb_merge_slot *slot;
	uint32_t right = symbols[left].next;

	if (right == NOWHERE)
		return false;
	slot = &bpe->merges[merge_slot(bpe, pair_of(symbols[left].id, symbols[right].id))];
	if (slot->pair == NO_PAIR)
		return false;
	out->order = (uint64_t)slot->rank << 32 | left;
	out->id = slot->id;
	return true;
}

/* ---- one word ---------------------------------------------------------------------- */

/* A heap entry is there for each pair of the word at first; then every merge takes one out and
 * puts at most two in, and there are fewer than n merges. */
static enum pb_status reserve(struct pb_bpe_work *work, size_t n, struct pb_error *err)
{
	void *symbols = work->symbols, *heap = work->heap;
	enum pb_status status;

	if (n > PB_BPE_WORD_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "a word is too long: %zu bytes without a break: give at most %zu", n,
			       PB_BPE_WORD_MAX);
	if (n <= work->symbols_capacity && 2 * n <= work->heap_capacity)
		return PB_OK;
	status = pb_grow(&symbols, &work->symbols_capacity, n, sizeof(struct pb_symbol),
			 "pieces of a word", err);
	work->symbols = symbols;
	if (status != PB_OK)
		return status;
	status = pb_grow(&heap, &work->heap_capacity, 2 * n, sizeof(struct pb_candidate),
			 "merges of a word", err);
	work->heap = heap;
	return status;
}

/* One piece a byte; bytes without a token become unk. */
static enum pb_status split_bytes(const struct pb_bpe *bpe, struct pb_bpe_work *work,
				  const char *word, size_t n, struct pb_error *err)
{
	uint32_t count = 0;
	bool after_unk = false;

	for (size_t i = 0; i < n; i++) {
		unsigned char byte = (unsigned char)word[i];
		int32_t id = bpe->byte_id[byte];
		bool unknown = id < 0;

		if (unknown && bpe->unk < 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "the text cannot be encoded: byte 0x%02X has no token and "
				       "the tokenizer has no unk_token: remove that character",
				       byte);
		if (!(unknown && after_unk && bpe->fuse_unk)) {
			work->symbols[count] = (struct pb_symbol){.id = unknown ? bpe->unk : id,
								  .previous = count - 1,
								  .next = count + 1};
			count++;
		}
		after_unk = unknown;
	}
	/* The first one's count - 1 has wrapped around to NOWHERE. */
	work->symbols[count - 1].next = NOWHERE;
	work->n_symbols = count;
	return PB_OK;
}

static void add_symbol(struct pb_bpe_work *work, int32_t id)
{
	uint32_t at = (uint32_t)work->n_symbols++;

	work->symbols[at] = (struct pb_symbol){.id = id, .previous = at - 1, .next = at + 1};
}

/* The bytes of a character as tokens; false when one has none. */
static bool fall_back(const struct pb_bpe *bpe, struct pb_bpe_work *work, const char *text,
		      size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bpe->byte_id[(unsigned char)text[i]] < 0)
			return false;
	for (size_t i = 0; i < n; i++)
		add_symbol(work, bpe->byte_id[(unsigned char)text[i]]);
	return true;
}

/* One piece a character. One without a token is its bytes or unk. A pending unk goes out before the
 * next character that has a token, as in `tokenizers`: behind bytes that came in between. */
static enum pb_status split_characters(const struct pb_bpe *bpe, const struct pb_vocab *vocab,
				       struct pb_bpe_work *work, const char *word, size_t n,
				       struct pb_error *err)
{
	bool pending = false;

	work->n_symbols = 0;
	for (size_t at = 0, start = 0; at < n; start = at) {
		uint32_t code = pb_utf8_next(word, &at);
		int32_t id = pb_vocab_find(vocab, word + start, at - start);

		if (id >= 0) {
			if (pending)
				add_symbol(work, bpe->unk);
			pending = false;
			add_symbol(work, id);
			continue;
		}
		if (bpe->byte_fallback && fall_back(bpe, work, word + start, at - start))
			continue;
		if (bpe->unk < 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "the text cannot be encoded: character U+%04X has no token "
				       "and the tokenizer has no unk_token: remove that character",
				       (unsigned)code);
		if (pending && !bpe->fuse_unk)
			add_symbol(work, bpe->unk);
		pending = true;
	}
	if (pending)
		add_symbol(work, bpe->unk);
	work->symbols[work->n_symbols - 1].next = NOWHERE;
	return PB_OK;
}

static void merge_all(const struct pb_bpe *bpe, struct pb_bpe_work *work)
{
	struct pb_symbol *symbols = work->symbols;
	struct pb_candidate found;

	work->n_heap = 0;
	for (uint32_t i = 0; i + 1 < work->n_symbols; i++)
		if (candidate_at(bpe, work, i, &found))
			work->heap[work->n_heap++] = found;
	for (size_t i = work->n_heap / 2; i-- > 0;)
		heap_sift_down(work->heap, work->n_heap, i);

	while (work->n_heap > 0) {
		struct pb_candidate top = work->heap[0];
		uint32_t left = (uint32_t)top.order, right;

		heap_pop(work);
		/* An entry is out of date when its pieces have changed since. */
		if (symbols[left].id < 0 || !candidate_at(bpe, work, left, &found) ||
		    found.id != top.id)
			continue;
		right = symbols[left].next;
		symbols[left].id = top.id;
		symbols[left].next = symbols[right].next;
		symbols[right].id = -1;
		if (symbols[right].next != NOWHERE)
			symbols[symbols[right].next].previous = left;
		if (symbols[left].previous != NOWHERE &&
		    candidate_at(bpe, work, symbols[left].previous, &found))
			heap_push(work, found);
		if (candidate_at(bpe, work, left, &found))
			heap_push(work, found);
	}
}

/* *id of the whole word when it is a token, -1 otherwise. */
static enum pb_status whole_word(const struct pb_bpe *bpe, const struct pb_vocab *vocab,
				 struct pb_bpe_work *work, const char *word, size_t n, int32_t *id,
				 struct pb_error *err)
{
	void *mapped = work->mapped;
	size_t size = 0;
	enum pb_status status;

	if (!bpe->byte_level) {
		*id = pb_vocab_find(vocab, word, n);
		return PB_OK;
	}

	status = pb_grow(&mapped, &work->mapped_capacity, 2 * n, 1, "a word", err);
	work->mapped = mapped;
	if (status != PB_OK)
		return status;
	for (size_t i = 0; i < n; i++)
		size += pb_utf8_put(pb_byte_to_char((unsigned char)word[i]), work->mapped + size);
	*id = pb_vocab_find(vocab, work->mapped, size);
	return PB_OK;
}

enum pb_status pb_bpe_encode(const struct pb_bpe *bpe, const struct pb_vocab *vocab,
			     struct pb_bpe_work *work, const char *word, size_t n,
			     struct pb_ids *out, struct pb_error *err)
{
	int32_t whole = -1;
	enum pb_status status;

	PB_TRY(reserve(work, n, err));
	if (bpe->ignore_merges) {
		PB_TRY(whole_word(bpe, vocab, work, word, n, &whole, err));
		if (whole >= 0)
			return pb_ids_push(out, whole, err);
	}
	if (bpe->byte_level)
		PB_TRY(split_bytes(bpe, work, word, n, err));
	else
		PB_TRY(split_characters(bpe, vocab, work, word, n, err));
	merge_all(bpe, work);
	for (uint32_t i = 0; i != NOWHERE; i = work->symbols[i].next)
		PB_TRY(pb_ids_push(out, work->symbols[i].id, err));
cleanup:
	return status;
}

void pb_bpe_work_free(struct pb_bpe_work *work)
{
	free(work->symbols);
	free(work->heap);
	free(work->mapped);
	memset(work, 0, sizeof *work);
}
