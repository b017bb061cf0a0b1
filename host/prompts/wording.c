/* Telling with patterns: the words of a sentence with its values. */
#include "prompts/wording.h"

#include <assert.h>
#include <stdlib.h>

#include "prompts/wording_parts.h"

/* ---- the usual wording --------------------------------------------------------------------- */

static size_t count_texts(const struct pb_pattern_row *row)
{
	size_t n = 0;

	if (row->texts == NULL)
		return 1;
	while (row->texts[n] != NULL)
		n++;
	return n;
}

static enum pb_status take_usual(struct pb_wording *w, const struct pb_task *task, size_t r,
				 struct pb_error *err)
{
	const struct pb_pattern_row *row = &w->rows[r];
	struct pb_patterns *to = &w->patterns[r];
	enum pb_status status = PB_OK;
	char place[64];

	(void)snprintf(place, sizeof place, "task %s (%s)", task->name, row->name);
	to->n = count_texts(row);
	to->items = pb_arena_alloc(&w->arena, to->n, sizeof *to->items);
	if (to->items == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the sentences of %s", place);
	for (size_t i = 0; i < to->n; i++)
		PB_TRY(pb_pattern_parse(&to->items[i], row,
					row->texts == NULL ? row->text : row->texts[i], place,
					&w->arena, err));
cleanup:
	return status;
}

enum pb_status pb_wording_open(struct pb_wording **out, const struct pb_task *task,
			       const char *path, struct pb_error *err)
{
	struct pb_wording *w = NULL;
	void *memory = NULL;
	enum pb_status status;

	*out = NULL;
	PB_TRY(pb_alloc(&memory, 1, sizeof *w, "the sentences of a task", err));
	w = memory;
	w->rows = task->patterns;
	while (w->rows != NULL && w->rows[w->n_rows].name != NULL)
		w->n_rows++;
	w->patterns = pb_arena_alloc(&w->arena, w->n_rows + 1, sizeof *w->patterns);
	if (w->patterns == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the sentences of task %s",
				 task->name);
		goto cleanup;
	}
	for (size_t r = 0; r < w->n_rows; r++)
		PB_TRY(take_usual(w, task, r, err));
	if (path != NULL)
		PB_TRY(pb_template_read(w, task, path, err));
	*out = w;
cleanup:
	if (status != PB_OK)
		pb_wording_close(w);
	return status;
}

void pb_wording_close(struct pb_wording *wording)
{
	if (wording != NULL)
		pb_arena_free(&wording->arena);
	free(wording);
}

size_t pb_wording_count(const struct pb_wording *wording, size_t row)
{
	return wording->patterns[row].n;
}

/* ---- telling ------------------------------------------------------------------------------- */

static void tell(const struct pb_wording *w, size_t row, size_t which, const char *before,
		 const struct pb_value *values, struct pb_words *words);

/* Items that stand as words, behind `before` or the mark between them. */
static void tell_plain(const struct pb_pattern_row *row, const struct pb_piece *piece,
		       const struct pb_value *value, const char *before, struct pb_words *words)
{
	const char *mark_role = row->mark_role != NULL ? row->mark_role : row->role;

	for (size_t i = 0; i < value->n; i++) {
		if (value->mark != NULL && i > 0)
			pb_words_add_behind(words, mark_role, "", value->mark);
		pb_words_add_behind(words, value->roles != NULL ? value->roles[i] : piece->role,
				    i == 0 ? before : " ", value->list[i]);
	}
}

/* Items by their pattern, those that follow by the next row's, the last of several by the third's.
 */
static void tell_items(const struct pb_wording *w, size_t items, const struct pb_value *value,
		       const char *before, struct pb_words *words)
{
	for (size_t i = 0; i < value->n; i++) {
		const struct pb_value item = {
		    .text = value->list[i], .role = value->roles != NULL ? value->roles[i] : NULL};
		size_t row = i == 0 ? 0 : i + 1 < value->n ? 1 : 2;

		tell(w, items + row, 0, i == 0 ? before : NULL, &item, words);
	}
}

static void tell_value(const struct pb_wording *w, size_t row, const struct pb_piece *piece,
		       const struct pb_value *value, const char *before, struct pb_words *words)
{
	size_t items = w->rows[row].slots[piece->slot].items;
	const char *text = piece->capital ? value->capital : value->text;

	if (value->list != NULL && items == 0)
		tell_plain(&w->rows[row], piece, value, before, words);
	else if (value->list != NULL)
		tell_items(w, items, value, before, words);
	else
		pb_words_add_behind(words, value->role != NULL ? value->role : piece->role, before,
				    text);
}

/* before: what stands in front where the pattern begins without white space, NULL: what is usual.
 */
static void tell(const struct pb_wording *w, size_t row, size_t which, const char *before,
		 const struct pb_value *values, struct pb_words *words)
{
	const struct pb_pattern *pattern = &w->patterns[row].items[which];

	assert(row < w->n_rows && which < w->patterns[row].n);
	for (size_t i = 0; i < pattern->n; i++) {
		const struct pb_piece *piece = &pattern->pieces[i];
		bool mark = piece->text != NULL && pb_is_mark(piece->text[0]);
		const char *in_front = piece->before;

		if (i == 0 && in_front[0] == '\0')
			in_front = before != NULL && !mark ? before : mark ? "" : " ";
		if (piece->text != NULL)
			pb_words_add_behind(words, piece->role, in_front, piece->text);
		else
			tell_value(w, row, piece, &values[piece->slot], in_front, words);
	}
}

void pb_wording_tell(const struct pb_wording *wording, size_t row, const struct pb_value *values,
		     struct pb_words *words)
{
	tell(wording, row, 0, NULL, values, words);
}

void pb_wording_tell_one(const struct pb_wording *wording, size_t row, size_t which,
			 const struct pb_value *values, struct pb_words *words)
{
	tell(wording, row, which, NULL, values, words);
}
