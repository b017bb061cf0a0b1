/* How a task is worded: a table of sentence patterns, each with its usual text, which a template
 * file may restate.
 *
 *   Move the {object} into Box {to}.
 *
 * White space parts a pattern's words, marks at a word's end are words of their own, as everywhere
 * (words.h). A word in braces is a placeholder, for which a value's words stand; {{ and }} are
 * braces of the text. What stands before the first word is a space (nothing before a mark), or the
 * white space with which the pattern begins. */
#ifndef PATCHBAY_PROMPTS_WORDING_H
#define PATCHBAY_PROMPTS_WORDING_H

#include "patchbay/pairs.h"
#include "prompts/words.h"

#define PB_SLOTS_MAX 5

/* A placeholder, which a pattern names once at most. */
struct pb_slot {
	const char *name; /* NULL: none more */
	const char *role; /* of its words, where the value says nothing; NULL: the pattern's */
	const char *then; /* role of the pattern's own words behind it; NULL: as before it */
	/* Of a list: row of its items' pattern, of which the first placeholder is the item. The two
	 * rows behind that one are of the items that follow, and of the last one of several. 0: the
	 * items stand as words, one after the other. */
	size_t items;
	bool may_lack; /* a pattern can do without it */
	bool capital;  /* {Name} is the value with a capital letter */
};

enum pb_pattern_kind {
	PB_PATTERN_SENTENCE,
	PB_PATTERN_END,      /* the answer follows */
	PB_PATTERN_END_SLOT, /* the same, and its last word is its last placeholder */
};

/* A row of a task's table, which a row without a name ends. Row 0 is no list's item. */
struct pb_pattern_row {
	const char *name;
	const char *text;         /* as it is without a template */
	const char *const *texts; /* or several, of which each prompt has one; ended by NULL */
	const char *role;         /* of its own words */
	const char *mark_role;    /* of its marks; NULL: the same */
	enum pb_pattern_kind kind;
	bool opens; /* it begins the prompt, and a value may not: values are one token behind a
		       space */
	struct pb_slot slots[PB_SLOTS_MAX];
};

/* What stands for a placeholder; texts outlive the words. */
struct pb_value {
	const char *text;
	const char *capital;      /* "Hat", where the slot may have it */
	const char *role;         /* NULL: the slot's */
	const char *const *list;  /* or a list */
	const char *const *roles; /* of its items; NULL: the slot's */
	size_t n;
	const char *mark; /* between items that stand as words; NULL: none */
};

struct pb_wording;

/* The wording of a task: its usual one, with the patterns of the template file at `path` in the
 * place of their own (NULL: none). PB_ERR_INPUT names file, line and pattern. */
enum pb_status pb_wording_open(struct pb_wording **out, const struct pb_task *task,
			       const char *path, struct pb_error *err);
void pb_wording_close(struct pb_wording *wording); /* NULL is fine */

/* How many texts the pattern of a row has. */
size_t pb_wording_count(const struct pb_wording *wording, size_t row);

/* Adds the words of a row's pattern; `values` are in the order of its slots. The second tells text
 * number `which` of several. */
void pb_wording_tell(const struct pb_wording *wording, size_t row, const struct pb_value *values,
		     struct pb_words *words);
void pb_wording_tell_one(const struct pb_wording *wording, size_t row, size_t which,
			 const struct pb_value *values, struct pb_words *words);
#define PB_TELL(wording, row, words, ...)                                                          \
	pb_wording_tell(wording, row, (const struct pb_value[]){__VA_ARGS__}, words)

#endif
