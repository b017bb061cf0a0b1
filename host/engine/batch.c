/* Batches of prompts, packed without padding; where many begin alike, what they have in common
 * once.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

/* ---- rows -------------------------------------------------------------------------------- */

static enum pb_status batch_alloc(struct pb_batch *b, size_t n, size_t n_spans, size_t n_rows,
				  struct pb_error *err)
{
	enum pb_status status;

	memset(b, 0, sizeof *b);
	b->n_prompts = n;
	b->n_spans = n_spans;
	b->n_rows = n_rows;
	PB_TRY(pb_alloc((void **)&b->spans, n_spans, sizeof *b->spans, "prompts", err));
	PB_TRY(pb_alloc((void **)&b->token, n_rows, sizeof *b->token, "tokens", err));
	PB_TRY(pb_alloc((void **)&b->position, n_rows, sizeof *b->position, "positions", err));
	PB_TRY(pb_alloc((void **)&b->answer_row, n, sizeof *b->answer_row, "answer rows", err));
cleanup:
	return status;
}

/* The rows of a span, whose tokens from position `first` on are its own. */
static void fill_span(struct pb_batch *b, const struct pb_span *span, const int32_t *tokens)
{
	size_t row = (size_t)span->row;

	for (int32_t p = span->first; p < span->length; p++, row++) {
		b->token[row] = tokens[p];
		b->position[row] = p;
	}
}

/* What the device reads: the rows' places in the tables of angles, and the answers' rows. `whole`:
 * by span, the length of the prompts that it is of (NULL: its own). */
static enum pb_status batch_upload(struct pb_batch *b, struct pb_engine *e, const size_t *whole,
				   struct pb_error *err)
{
	int32_t *rotary = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&rotary, b->n_rows, sizeof *rotary, "positions", err));
	for (size_t i = 0; i < b->n_spans; i++) {
		const struct pb_span *s = &b->spans[i];
		int32_t shift = pb_rotary_shift(e, whole ? whole[i] : (size_t)s->length);

		for (int32_t p = s->first; p < s->length; p++)
			rotary[s->row + p - s->first] = p + shift;
	}
	PB_TRY(e->ops->alloc(e->dev, b->n_rows * sizeof *rotary, &b->rotary_dev, err));
	PB_TRY(e->ops->upload(e->dev, b->rotary_dev, rotary, b->n_rows * sizeof *rotary, err));
	PB_TRY(e->ops->alloc(e->dev, b->n_prompts * sizeof(int32_t), &b->answer_row_dev, err));
	PB_TRY(e->ops->upload(e->dev, b->answer_row_dev, b->answer_row,
			      b->n_prompts * sizeof(int32_t), err));
cleanup:
	free(rotary);
	return status;
}

enum pb_status pb_batch_new(struct pb_batch *b, struct pb_engine *e, size_t n,
			    const int32_t *const *tokens, const size_t *lengths,
			    struct pb_error *err)
{
	size_t row = 0, n_rows = 0;
	enum pb_status status;

	for (size_t i = 0; i < n; i++)
		n_rows += lengths[i];
	PB_TRY(batch_alloc(b, n, n, n_rows, err));
	for (size_t i = 0; i < n; i++) {
		b->spans[i] = (struct pb_span){
		    .base = (int32_t)row, .length = (int32_t)lengths[i], .row = (int32_t)row};
		fill_span(b, &b->spans[i], tokens[i]);
		row += lengths[i];
		b->answer_row[i] = (int32_t)row - 1;
	}
	PB_TRY(batch_upload(b, e, NULL, err));
cleanup:
	return status;
}

/* ---- what they have in common --------------------------------------------------------------
 *
 * Prompts in alphabetical order, and how many tokens each has in common with the one before it, are
 * a tree of prefixes. A group of prompts shares what all of them begin with. A node of the tree is
 * cut where its prompts have least in common; each piece either joins the node's group or keeps
 * the groups that it makes by itself, whichever saves more rows. */

struct sorted_prompt {
	const int32_t *tokens;
	size_t length;
	bool far; /* of other angles: it shares nothing with those that are not */
	size_t prompt;
	size_t common; /* tokens in common with the one before it */
	size_t group;  /* 0: it shares nothing */
	size_t prefix; /* rows that the group shares */
	size_t saved;  /* by the piece that begins here, by itself */
};

static int compare_prompts(const void *x, const void *y)
{
	const struct sorted_prompt *a = x, *b = y;
	size_t n = a->length < b->length ? a->length : b->length;

	if (a->far != b->far)
		return a->far ? 1 : -1;
	for (size_t i = 0; i < n; i++)
		if (a->tokens[i] != b->tokens[i])
			return a->tokens[i] < b->tokens[i] ? -1 : 1;
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return a->prompt < b->prompt ? -1 : a->prompt > b->prompt;
}

/* Each prompt keeps its last row to itself. */
static size_t common_tokens(const struct sorted_prompt *a, const struct sorted_prompt *b)
{
	size_t n = (a->length < b->length ? a->length : b->length) - 1, i = 0;

	while (i < n && a->far == b->far && a->tokens[i] == b->tokens[i])
		i++;
	return i;
}

/* End of the piece that begins at `from`: where the next prompt has no more than `least` in common
 * with the one before it. */
static size_t piece_end(const struct sorted_prompt *list, size_t from, size_t to, size_t least)
{
	size_t i = from + 1;

	while (i < to && list[i].common > least)
		i++;
	return i;
}

/* Group the prompts [from, to), which have `least` tokens in common. Returns the rows saved. */
static size_t cut(struct sorted_prompt *list, size_t from, size_t to, size_t *n_groups)
{
	size_t least = SIZE_MAX, apart = 0, together = 0, n_joined = 0, group;

	if (to - from < 2)
		return 0;
	for (size_t i = from + 1; i < to; i++)
		least = list[i].common < least ? list[i].common : least;
	for (size_t start = from, end; start < to; start = end) {
		size_t saved;

		end = piece_end(list, start, to, least);
		saved = cut(list, start, end, n_groups);
		list[start].saved = saved;
		apart += saved;
		if (least > 0 && (end - start) * least >= saved) {
			together += (end - start) * least;
			n_joined += end - start;
		} else {
			together += saved;
		}
	}
	if (n_joined < 2 || together - least <= apart)
		return apart;
	group = ++*n_groups;
	for (size_t start = from, end; start < to; start = end) {
		end = piece_end(list, start, to, least);
		for (size_t i = start; i < end && (end - start) * least >= list[start].saved; i++) {
			list[i].group = group;
			list[i].prefix = least;
		}
	}
	return together - least;
}

static int compare_groups(const void *x, const void *y)
{
	const struct sorted_prompt *a = x, *b = y;

	if (a->group != b->group)
		return a->group < b->group ? -1 : 1;
	return a->prompt < b->prompt ? -1 : a->prompt > b->prompt;
}

/* Prompts group by group; the rows that are left, and the number of groups that have any. */
static void group_prompts(struct sorted_prompt *list, size_t n, size_t *n_rows, size_t *n_prefixes)
{
	size_t n_groups = 0;

	*n_rows = *n_prefixes = 0;
	qsort(list, n, sizeof *list, compare_prompts);
	for (size_t i = 1; i < n; i++)
		list[i].common = common_tokens(&list[i - 1], &list[i]);
	(void)cut(list, 0, n, &n_groups);
	qsort(list, n, sizeof *list, compare_groups);
	for (size_t i = 0; i < n; i++) {
		bool first = i == 0 || list[i].group != list[i - 1].group;

		*n_rows += list[i].length - list[i].prefix;
		if (list[i].group > 0 && first) {
			*n_rows += list[i].prefix;
			++*n_prefixes;
		}
	}
}

/* Spans of the prefixes, then of the prompts, those of one group behind one another. */
static void place_spans(struct pb_batch *b, const struct sorted_prompt *list, size_t *whole)
{
	size_t prefix = 0, span = b->n_spans - b->n_prompts, row = 0, base = 0;

	for (size_t i = 0; i < b->n_prompts; i++, span++) {
		const struct sorted_prompt *p = &list[i];

		if (p->group > 0 && (i == 0 || p->group != list[i - 1].group)) {
			b->spans[prefix] = (struct pb_span){.base = (int32_t)row,
							    .length = (int32_t)p->prefix,
							    .row = (int32_t)row};
			fill_span(b, &b->spans[prefix], p->tokens);
			whole[prefix++] = p->length;
			base = row;
			row += p->prefix;
		}
		b->spans[span] = (struct pb_span){.base = (int32_t)(p->group > 0 ? base : row),
						  .length = (int32_t)p->length,
						  .first = (int32_t)p->prefix,
						  .row = (int32_t)row};
		fill_span(b, &b->spans[span], p->tokens);
		whole[span] = p->length;
		row += p->length - p->prefix;
		b->answer_row[p->prompt] = (int32_t)row - 1;
	}
}

enum pb_status pb_batch_new_shared(struct pb_batch *b, struct pb_engine *e, size_t n,
				   const int32_t *const *tokens, const size_t *lengths,
				   struct pb_error *err)
{
	struct sorted_prompt *list = NULL;
	size_t *whole = NULL, n_rows, n_prefixes;
	enum pb_status status;

	memset(b, 0, sizeof *b);
	PB_TRY(pb_alloc((void **)&list, n, sizeof *list, "prompts", err));
	for (size_t i = 0; i < n; i++)
		list[i] = (struct sorted_prompt){.tokens = tokens[i],
						 .length = lengths[i],
						 .far = lengths[i] > e->long_from,
						 .prompt = i};
	group_prompts(list, n, &n_rows, &n_prefixes);
	PB_TRY(batch_alloc(b, n, n + n_prefixes, n_rows, err));
	b->answers_only = true;
	PB_TRY(pb_alloc((void **)&whole, b->n_spans, sizeof *whole, "prompts", err));
	place_spans(b, list, whole);
	PB_TRY(batch_upload(b, e, whole, err));
cleanup:
	free(list);
	free(whole);
	return status;
}

void pb_batch_free(struct pb_batch *b, struct pb_engine *e)
{
	free(b->spans);
	free(b->token);
	free(b->position);
	free(b->answer_row);
	if (b->rotary_dev.address)
		e->ops->release(e->dev, b->rotary_dev);
	if (b->answer_row_dev.address)
		e->ops->release(e->dev, b->answer_row_dev);
	memset(b, 0, sizeof *b);
}
