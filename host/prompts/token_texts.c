/* The text of every token that the pairs name, so that a result file can be read without a model.
 */
#include <stdlib.h>
#include <string.h>

#include "patchbay/pairs.h"
#include "tokens/bytes.h"

static int by_id(const void *a, const void *b)
{
	const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

/* All ids of a pair behind ids[*n]. */
static void add_ids(int32_t *ids, size_t *n, const struct pb_pair *pair)
{
	memcpy(ids + *n, pair->clean, pair->length * sizeof *ids);
	*n += pair->length;
	memcpy(ids + *n, pair->corrupted, pair->length * sizeof *ids);
	*n += pair->length;
	if (pair->n_candidates > 0)
		memcpy(ids + *n, pair->candidates, pair->n_candidates * sizeof *ids);
	*n += pair->n_candidates;
	ids[(*n)++] = pair->answer;
	ids[(*n)++] = pair->foil;
}

/* Every id once, rising: a fresh array. */
static enum pb_status list_ids(int32_t **out, size_t *n_out, const struct pb_pairs *pairs,
			       struct pb_error *err)
{
	enum pb_status status;
	int32_t *ids = NULL;
	size_t n = 0, kept = 0, i;

	*out = NULL;
	for (i = 0; i < pairs->n; i++)
		n += 2 * pairs->items[i].length + pairs->items[i].n_candidates + 2;
	PB_TRY(pb_alloc((void **)&ids, n, sizeof *ids, "tokens", err));
	n = 0;
	for (i = 0; i < pairs->n; i++)
		add_ids(ids, &n, &pairs->items[i]);
	qsort(ids, n, sizeof *ids, by_id);
	for (i = 0; i < n; i++)
		if (kept == 0 || ids[i] != ids[kept - 1])
			ids[kept++] = ids[i];
	*out = ids;
	*n_out = kept;
cleanup:
	return status;
}

/* Bytes that are no whole character, and NULs, which no text of HDF5 can hold, are U+FFFD. */
static const char *text_of(struct pb_arena *arena, const struct pb_tokenizer *tokenizer, int32_t id)
{
	size_t size = 0, n, i, k = 0;
	const char *piece = pb_tokenizer_piece(tokenizer, id, &size);
	char *lossy = pb_arena_alloc(arena, 3 * size + 1, 1), *text;

	if (lossy == NULL)
		return NULL;
	n = piece != NULL ? pb_utf8_lossy(piece, size, lossy) : 0;
	text = pb_arena_alloc(arena, 3 * n + 1, 1);
	for (i = 0; text != NULL && i < n; i++) {
		if (lossy[i] == '\0')
			k += pb_utf8_put(0xFFFD, text + k);
		else
			text[k++] = lossy[i];
	}
	return text;
}

enum pb_status pb_pairs_name_tokens(struct pb_pairs *pairs, const struct pb_tokenizer *tokenizer,
				    struct pb_error *err)
{
	enum pb_status status;
	int32_t *ids = NULL, *kept;
	const char **texts;
	size_t n = 0, i;

	if (tokenizer == NULL || pairs->n == 0)
		return PB_OK;
	PB_TRY(list_ids(&ids, &n, pairs, err));
	kept = pb_arena_alloc(&pairs->arena, n, sizeof *kept);
	texts = pb_arena_alloc(&pairs->arena, n, sizeof *texts);
	for (i = 0; kept != NULL && texts != NULL && i < n; i++) {
		kept[i] = ids[i];
		texts[i] = text_of(&pairs->arena, tokenizer, ids[i]);
		if (texts[i] == NULL)
			break;
	}
	if (i < n) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: texts of tokens");
		goto cleanup;
	}
	pairs->n_tokens = n;
	pairs->token_ids = kept;
	pairs->token_texts = texts;
cleanup:
	free(ids);
	return status;
}
