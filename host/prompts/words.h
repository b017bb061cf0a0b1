/* A prompt as words with roles, and the JSON lines that tasks write. */
#ifndef PATCHBAY_PROMPTS_WORDS_H
#define PATCHBAY_PROMPTS_WORDS_H

#include <jansson.h>

#include "patchbay/pairs.h"

#define PB_WORDS_MAX 2304

/* One word or punctuation mark. Text and role are literals or outlive the words. */
struct pb_word {
	const char *text;
	const char *role;
	const char *before; /* what stands between it and the word before it, mostly " " or "" */
};

struct pb_words {
	size_t n;
	bool too_many; /* some have no room here: the line's end refuses them */
	struct pb_word items[PB_WORDS_MAX];
};

void pb_words_begin(struct pb_words *words);
/* Whether it is one of the marks . , : ; ! ? that are words of their own at a word's end. */
bool pb_is_mark(char c);
/* Adds a word behind `before`, which is white space or empty and outlives the words; nothing stands
 * before the first word. */
void pb_words_add_behind(struct pb_words *words, const char *role, const char *before,
			 const char *text);
/* The words joined (freed with free()); NULL when out of memory. */
char *pb_words_text(const struct pb_words *words);

/* ---- JSON lines: *bad is set where memory ran out, and tested at the line's end ---------- */

/* Adds `value` to the object, or to the list, and takes it over (NULL: no memory). */
void pb_line_put(json_t *line, const char *key, json_t *value, bool *bad);
void pb_line_push(json_t *list, json_t *value, bool *bad);

/* A list of texts. */
json_t *pb_line_texts(const char *const *texts, size_t n, bool *bad);

/* How the line of an evaluation prompt begins: "prompt" and "answer". */
void pb_line_prompt(json_t *line, const struct pb_words *words, const char *answer, bool *bad);
/* "roles" of the words, with which most lines of prompts end. */
void pb_line_roles(json_t *line, const struct pb_words *words, bool *bad);
/* Writes the line and lets it go. */
enum pb_status pb_line_end_prompt(json_t *line, const struct pb_task_options *o,
				  const struct pb_words *words, bool bad, FILE *out,
				  struct pb_error *err);

/* How the line of a pair begins: "clean", "corrupted", "answer" and "foil". */
void pb_line_pair(json_t *line, const struct pb_words *clean, const struct pb_words *corrupted,
		  const char *answer, const char *foil, bool *bad);
/* "corrupt"; of matched pairs also "group": k and "partner": line 2k is the state partner of clean
 * prompt k, line 2k + 1 the action partner. */
void pb_line_corrupt(json_t *line, const struct pb_task_options *o, uint64_t index, bool *bad);
/* How it ends: "differences", {"word": i, "clean": ..., "corrupted": ...} of each word that differs
 * where the prompts have as many words, and "roles", those of the clean prompt. Writes the line and
 * lets it go. */
enum pb_status pb_line_end_pair(json_t *line, const struct pb_task_options *o,
				const struct pb_words *clean, const struct pb_words *corrupted,
				bool bad, FILE *out, struct pb_error *err);

#endif
