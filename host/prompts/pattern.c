/* Reading one sentence pattern. */
#include <stdlib.h>
#include <string.h>

#include "prompts/wording_parts.h"

#define WHITE " \t\n\v\f\r"
#define NAME_SHOWN 40 /* of a placeholder, in messages */

struct reader {
	const struct pb_pattern_row *row;
	const char *at; /* what is still to be read */
	const char *place;
	struct pb_arena *arena;
	struct pb_error *err;
	struct pb_pattern *out;
	const char *role; /* of the words that follow */
	bool seen[PB_SLOTS_MAX];
};

static enum pb_status out_of_memory(const struct reader *r)
{
	return pb_fail(r->err, PB_ERR_MEMORY, "out of memory: the pattern %s", r->place);
}

static size_t count_slots(const struct pb_pattern_row *row)
{
	size_t n = 0;

	while (n < PB_SLOTS_MAX && row->slots[n].name != NULL)
		n++;
	return n;
}

/* The slot's name with a capital letter. */
static char capital_of(const struct pb_slot *slot)
{
	return (char)(slot->name[0] - 'a' + 'A');
}

/* "{object}, {Object}, {to}" */
#define LIST_SIZE 160
static const char *list_slots(const struct pb_pattern_row *row, char text[LIST_SIZE])
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t s = 0; s < count_slots(row) && used < LIST_SIZE; s++) {
		const struct pb_slot *slot = &row->slots[s];

		used += (size_t)snprintf(text + used, LIST_SIZE - used, "%s{%s}", s > 0 ? ", " : "",
					 slot->name);
		if (slot->capital && used < LIST_SIZE)
			used += (size_t)snprintf(text + used, LIST_SIZE - used, ", {%c%s}",
						 capital_of(slot), slot->name + 1);
	}
	return text;
}

/* ---- pieces -------------------------------------------------------------------------------- */

static void add_piece(struct reader *r, struct pb_piece piece)
{
	r->out->pieces[r->out->n++] = piece;
}

/* A word, and marks at its end, which are words of their own. */
static enum pb_status add_words(struct reader *r, const char *before, const char *text, size_t size)
{
	const char *mark_role = r->row->mark_role != NULL ? r->row->mark_role : r->role;
	size_t n = size;

	while (n > 0 && pb_is_mark(text[n - 1]))
		n--;
	for (size_t i = n > 0 ? 0 : 1; i <= size - n; i++) {
		/* the word without its marks, then each of them */
		size_t from = i == 0 ? 0 : n + i - 1, length = i == 0 ? n : 1;
		char *word = pb_arena_strndup(r->arena, text + from, length);

		if (word == NULL)
			return out_of_memory(r);
		add_piece(r, (struct pb_piece){.before = from == 0 ? before : "",
					       .text = word,
					       .role = i == 0 ? r->role : mark_role});
	}
	return PB_OK;
}

/* ---- placeholders -------------------------------------------------------------------------- */

/* The slot of that name; with a capital letter where it may have one. False: there is none. */
static bool find_slot(const struct reader *r, const char *name, size_t size, size_t *slot,
		      bool *capital)
{
	for (*slot = 0; *slot < count_slots(r->row); (*slot)++) {
		const struct pb_slot *s = &r->row->slots[*slot];

		*capital = false;
		if (strlen(s->name) != size)
			continue;
		if (memcmp(s->name, name, size) == 0)
			return true;
		*capital = s->capital && name[0] == capital_of(s);
		if (*capital && memcmp(s->name + 1, name + 1, size - 1) == 0)
			return true;
	}
	return false;
}

static enum pb_status fail_unknown(const struct reader *r, const char *name, size_t size)
{
	int shown = size < NAME_SHOWN ? (int)size : NAME_SHOWN;
	char list[LIST_SIZE];

	return pb_fail(r->err, PB_ERR_INPUT,
		       "unknown placeholder: %s: {%.*s}: %s%s; {{ and }} are braces of the text",
		       r->place, shown, name,
		       count_slots(r->row) == 0 ? "there is none here" : "give ",
		       list_slots(r->row, list));
}

static enum pb_status fail_within_word(const struct reader *r, const char *from, size_t size)
{
	return pb_fail(r->err, PB_ERR_INPUT,
		       "placeholder within a word: %s: '%.*s': put white space around it; only "
		       "marks (. , : ; ! ?) may follow at once",
		       r->place, size < NAME_SHOWN ? (int)size : NAME_SHOWN, from);
}

static enum pb_status read_slot(struct reader *r, const char *before)
{
	const char *name = r->at + 1, *close = strchr(name, '}'), *role;
	size_t size, after, marks = 0, slot;
	bool capital;

	if (close == NULL)
		return pb_fail(r->err, PB_ERR_INPUT,
			       "brace that does not close: %s: '%.*s': put a } behind the "
			       "placeholder, or {{ for a brace of the text",
			       r->place, NAME_SHOWN, r->at);
	size = (size_t)(close - name);
	if (!find_slot(r, name, size, &slot, &capital))
		return fail_unknown(r, name, size);
	if (r->seen[slot])
		return pb_fail(r->err, PB_ERR_INPUT,
			       "placeholder given twice: %s: {%.*s}: keep one: another would tell "
			       "it once more",
			       r->place, (int)size, name);
	after = strcspn(close + 1, WHITE);
	while (marks < after && pb_is_mark(close[1 + marks]))
		marks++;
	if (marks < after)
		return fail_within_word(r, r->at, size + 2 + after);
	r->seen[slot] = true;
	role = r->row->slots[slot].role;
	add_piece(r, (struct pb_piece){.before = before,
				       .role = role != NULL ? role : r->role,
				       .slot = slot,
				       .capital = capital});
	if (r->row->slots[slot].then != NULL)
		r->role = r->row->slots[slot].then;
	r->at = close + 1 + after;
	return add_words(r, "", close + 1, marks);
}

/* ---- words of the text --------------------------------------------------------------------- */

/* A word up to white space, with its doubled braces as single ones. */
static enum pb_status read_word(struct reader *r, const char *before)
{
	size_t size = strcspn(r->at, WHITE), n = 0;
	char *word = pb_arena_alloc(r->arena, size + 1, 1);

	if (word == NULL)
		return out_of_memory(r);
	for (size_t i = 0; i < size; i++) {
		char c = r->at[i];

		if ((c == '{' || c == '}') && r->at[i + 1] == c)
			i++;
		else if (c == '{' && strchr(r->at + i, '}') != NULL)
			return fail_within_word(r, r->at, size);
		else if (c == '{' || c == '}')
			return pb_fail(r->err, PB_ERR_INPUT,
				       "brace that does not %s: %s: '%.*s': give %c%c for a brace "
				       "of the text",
				       c == '{' ? "close" : "open", r->place,
				       size < NAME_SHOWN ? (int)size : NAME_SHOWN, r->at, c, c);
		word[n++] = c;
	}
	r->at += size;
	return add_words(r, before, word, n);
}

/* ---- whole patterns ------------------------------------------------------------------------ */

static enum pb_status check_slots(const struct reader *r)
{
	for (size_t s = 0; s < count_slots(r->row); s++)
		if (!r->seen[s] && !r->row->slots[s].may_lack)
			return pb_fail(r->err, PB_ERR_INPUT,
				       "missing placeholder: %s: {%s}: put it where the value "
				       "stands",
				       r->place, r->row->slots[s].name);
	return PB_OK;
}

/* A prompt's first word is behind no space, and the answer must be behind its own. */
static enum pb_status check_ends(const struct reader *r, const char *text)
{
	const struct pb_piece *first = &r->out->pieces[0], *last = first + r->out->n - 1;
	size_t slot = count_slots(r->row) - 1;
	bool answer = r->row->kind != PB_PATTERN_SENTENCE;

	if (r->row->opens && first->text == NULL)
		return pb_fail(r->err, PB_ERR_INPUT,
			       "placeholder at the beginning: %s: {%s}: put a word before it: "
			       "values are one token behind a space",
			       r->place, r->row->slots[first->slot].name);
	if (strchr(WHITE, text[strlen(text) - 1]) != NULL)
		return pb_fail(r->err, PB_ERR_INPUT, "white space at the end: %s: %s", r->place,
			       answer ? "end with a word: the answer follows, behind a space of "
					"its own"
				      : "put it at the beginning of the sentence that follows");
	if (r->row->kind == PB_PATTERN_END_SLOT && (last->text != NULL || last->slot != slot))
		return pb_fail(r->err, PB_ERR_INPUT,
			       "wrong end: %s: the answer follows {%s}: end with it", r->place,
			       r->row->slots[slot].name);
	return PB_OK;
}

enum pb_status pb_pattern_parse(struct pb_pattern *out, const struct pb_pattern_row *row,
				const char *text, const char *place, struct pb_arena *arena,
				struct pb_error *err)
{
	struct reader r = {.row = row,
			   .at = text,
			   .place = place,
			   .arena = arena,
			   .err = err,
			   .out = out,
			   .role = row->role};
	enum pb_status status = PB_OK;

	if (text[strspn(text, WHITE)] == '\0')
		return pb_fail(err, PB_ERR_INPUT,
			       "empty pattern: %s: give a sentence, or leave the key out for the "
			       "usual one",
			       place);
	/* no piece is shorter than a byte */
	*out =
	    (struct pb_pattern){.pieces = pb_arena_alloc(arena, strlen(text), sizeof *out->pieces)};
	if (out->pieces == NULL)
		return out_of_memory(&r);
	for (;;) {
		size_t white = strspn(r.at, WHITE);
		const char *before = pb_arena_strndup(arena, r.at, white);

		r.at += white;
		if (*r.at == '\0')
			break;
		if (before == NULL)
			return out_of_memory(&r);
		PB_TRY(r.at[0] == '{' && r.at[1] != '{' ? read_slot(&r, before)
							: read_word(&r, before));
	}
	PB_TRY(check_slots(&r));
	status = check_ends(&r, text);
cleanup:
	return status;
}
