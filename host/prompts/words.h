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
	struct pb_word items[PB_WORDS_MAX];
};

/* Adds a word behind `before`, which is white space or empty and outlives the words. */
void pb_words_add_behind(struct pb_words *words, const char *role, const char *before,
			 const char *text);
/* Adds a word; the first one and marks (. , : ; ! ?) are joined to what is before them. */
void pb_words_add(struct pb_words *words, const char *role, const char *text);

/* Number of words that differ; (size_t)-1 when the texts have different numbers of words. */
size_t pb_words_n_differences(const struct pb_words *a, const struct pb_words *b);

/* The words joined (freed with free()); NULL when out of memory. */
char *pb_words_text(const struct pb_words *words);

/* ---- JSON lines: *bad is set where memory ran out, and tested once, by pb_line_write ------------
 */

/* Adds `value` to the object, or to the list, and takes it over (NULL: no memory). */
void pb_line_put(json_t *line, const char *key, json_t *value, bool *bad);
void pb_line_push(json_t *list, json_t *value, bool *bad);

/* A list of texts. */
json_t *pb_line_texts(const char *const *texts, size_t n, bool *bad);

/* How the line of an evaluation prompt begins: "prompt" and "answer". */
void pb_line_prompt(json_t *line, const struct pb_words *words, const char *answer, bool *bad);
/* The roles of the words, which few lines of prompts have. */
void pb_line_roles(json_t *line, const struct pb_words *words, bool *bad);

/* How the line of a pair begins: "clean", "corrupted", "answer" and "foil". */
void pb_line_pair(json_t *line, const struct pb_words *clean, const struct pb_words *corrupted,
		  const char *answer, const char *foil, bool *bad);
/* "corrupt"; of matched pairs also "group": k and "partner": line 2k is the state partner of clean
 * prompt k, line 2k + 1 the action partner. */
void pb_line_corrupt(json_t *line, const struct pb_task_options *o, uint64_t index, bool *bad);
/* How it ends: "differences", {"word": i, "clean": ..., "corrupted": ...} of each word that differs
 * where the prompts have as many words, and "roles", those of the clean prompt. */
void pb_line_differences(json_t *line, const struct pb_words *clean,
			 const struct pb_words *corrupted, bool *bad);

/* Writes the object as one line and gives it back. */
enum pb_status pb_line_write(json_t *line, bool bad, FILE *out, struct pb_error *err);

#endif
