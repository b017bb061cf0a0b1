/* Finds added tokens in texts: the leftmost first, the longest of those that start there. */
#include <stdlib.h>
#include <string.h>

#include "tokens/added.h"
#include "tokens/bytes.h"

/* What single_word looks at: \w of Rust's regex crate, that is Alphabetic (letters, letter numbers,
 * marks, circled and squared letters), digits, connectors and the two joiners. */
#define WORD_CHARACTER                                                                             \
	"[\\p{L}\\p{Nl}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}\\x{24B6}-\\x{24E9}"                  \
	"\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}]"

static int compare_patterns(const void *a, const void *b)
{
	const struct pb_added_token *left = *(const struct pb_added_token *const *)a;
	const struct pb_added_token *right = *(const struct pb_added_token *const *)b;
	uint32_t n =
	    left->pattern_size < right->pattern_size ? left->pattern_size : right->pattern_size;
	int order = memcmp(left->pattern, right->pattern, n);

	if (order != 0)
		return order;
	return (left->pattern_size > right->pattern_size) -
	       (left->pattern_size < right->pattern_size);
}

static enum pb_status build_set(struct pb_added_set *set, const struct pb_added *added,
				bool normalized, const char *where, struct pb_error *err)
{
	void *sorted;
	enum pb_status status =
	    pb_alloc(&sorted, added->n, sizeof *set->sorted, "added tokens", err);

	if (status != PB_OK)
		return status;
	set->sorted = sorted;
	for (size_t i = 0; i < added->n; i++)
		if (added->tokens[i].normalized == normalized)
			set->sorted[set->n++] = &added->tokens[i];
	qsort(set->sorted, set->n, sizeof *set->sorted, compare_patterns);
	for (size_t i = 0; i < set->n; i++) {
		set->starts[(unsigned char)set->sorted[i]->pattern[0]] = true;
		if (i > 0 && compare_patterns(&set->sorted[i - 1], &set->sorted[i]) == 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "two added tokens look the same: %s, ids %d and %d, '%s': "
				       "remove one",
				       where, set->sorted[i - 1]->id, set->sorted[i]->id,
				       set->sorted[i]->pattern);
	}
	return PB_OK;
}

enum pb_status pb_added_finish(struct pb_added *added, const char *where, struct pb_error *err)
{
	bool single_word = false;
	enum pb_status status;

	PB_TRY(build_set(&added->raw, added, false, where, err));
	PB_TRY(build_set(&added->normalized, added, true, where, err));
	for (size_t i = 0; i < added->n; i++)
		single_word |= added->tokens[i].single_word;
	if (single_word)
		status = pb_pattern_open(&added->word, WORD_CHARACTER, strlen(WORD_CHARACTER),
					 "single_word", err);
cleanup:
	return status;
}

void pb_added_free(struct pb_added *added)
{
	free(added->tokens);
	pb_vocab_free(&added->index);
	free(added->raw.sorted);
	free(added->normalized.sorted);
	pb_pattern_close(added->word);
	memset(added, 0, sizeof *added);
}

/* The longest pattern that text[0..n) starts with: the range of patterns that agree with the text
 * so far narrows byte by byte. */
static const struct pb_added_token *longest_at(const struct pb_added_set *set, const char *text,
					       size_t n)
{
	size_t low = 0, high = set->n;
	const struct pb_added_token *found = NULL;

	for (size_t depth = 0; low < high; depth++) {
		size_t first = low, last = high;
		unsigned char byte;

		/* The shortest of the range is first. */
		if (set->sorted[low]->pattern_size == depth) {
			found = set->sorted[low++];
			first = low;
		}
		if (depth == n)
			break;
		byte = (unsigned char)text[depth];
		while (first < last) { /* the first pattern with a byte >= this one */
			size_t middle = (first + last) / 2;

			if ((unsigned char)set->sorted[middle]->pattern[depth] < byte)
				first = middle + 1;
			else
				last = middle;
		}
		low = first;
		last = high;
		while (first < last) { /* the first with a byte > this one */
			size_t middle = (first + last) / 2;

			if ((unsigned char)set->sorted[middle]->pattern[depth] <= byte)
				first = middle + 1;
			else
				last = middle;
		}
		high = first;
	}
	return found;
}

static enum pb_status is_word_at(struct pb_added_cut *cut, size_t at, bool *word,
				 struct pb_error *err)
{
	size_t start, end, after = at;

	(void)pb_utf8_next(cut->text, &after);
	return pb_pattern_find(cut->added->word, cut->matcher, cut->text + at, after - at, 0,
			       &start, &end, word, err);
}

/* Whether a single_word token may stand here: no word character on either side. */
static enum pb_status stands_alone(struct pb_added_cut *cut, size_t start, size_t end, bool *alone,
				   struct pb_error *err)
{
	bool before = false, behind = false;
	enum pb_status status = PB_OK;

	if (start > 0)
		PB_TRY(is_word_at(cut, pb_utf8_back(cut->text, start), &before, err));
	if (end < cut->n)
		PB_TRY(is_word_at(cut, end, &behind, err));
	*alone = !before && !behind;
cleanup:
	return status;
}

/* lstrip and rstrip: the token takes the white space beside it. What the token before has taken
 * is not given back on the left; on the right `tokenizers` goes on searching inside it. */
static void widen(const struct pb_added_cut *cut, const struct pb_added_token *token, size_t *start,
		  size_t *end)
{
	while (token->lstrip && *start > 0) {
		size_t before = pb_utf8_back(cut->text, *start), at = before;

		if (!pb_is_white(pb_utf8_next(cut->text, &at)))
			break;
		*start = before;
	}
	if (token->lstrip && *start < cut->done)
		*start = cut->done;
	while (token->rstrip && *end < cut->n) {
		size_t at = *end;

		if (!pb_is_white(pb_utf8_next(cut->text, &at)))
			break;
		*end = at;
	}
}

/* The next token, left in cut->token; NULL when there is none. */
static enum pb_status search(struct pb_added_cut *cut, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	cut->token = NULL;
	while (cut->from < cut->n) {
		size_t start = cut->from, end;
		bool alone = true;
		const struct pb_added_token *token = NULL;

		if (cut->set->starts[(unsigned char)cut->text[start]])
			token = longest_at(cut->set, cut->text + start, cut->n - start);
		if (token == NULL) {
			cut->from++;
			continue;
		}
		end = start + token->pattern_size;
		cut->from = end;
		if (token->single_word)
			PB_TRY(stands_alone(cut, start, end, &alone, err));
		if (!alone)
			continue;
		widen(cut, token, &start, &end);
		cut->token = token;
		cut->token_start = start;
		cut->token_end = end;
		break;
	}
cleanup:
	return status;
}

void pb_added_begin(struct pb_added_cut *cut, const struct pb_added *added,
		    const struct pb_added_set *set, struct pb_matcher *matcher, const char *text,
		    size_t n)
{
	*cut = (struct pb_added_cut){
	    .added = added, .set = set, .matcher = matcher, .text = text, .n = n};
	if (set->n == 0)
		cut->from = n;
}

enum pb_status pb_added_next(struct pb_added_cut *cut, int32_t *id, const char **part, size_t *size,
			     struct pb_error *err)
{
	enum pb_status status;

	*id = -1;
	*size = 0;
	*part = cut->text + cut->done;
	for (;;) {
		if (cut->token == NULL) {
			size_t stop;

			status = search(cut, err);
			if (status != PB_OK)
				return status;
			stop = cut->token != NULL ? cut->token_start : cut->n;
			if (cut->done < stop) {
				*size = stop - cut->done;
				cut->done = stop;
				return PB_OK;
			}
			if (cut->token == NULL)
				return PB_OK;
		}
		/* `tokenizers` drops a token that has no text left of its own. */
		*id = cut->token_start < cut->token_end ? cut->token->id : -1;
		cut->done = cut->token_end;
		cut->token = NULL;
		if (*id >= 0)
			return PB_OK;
	}
}
