/* A prompt as words with roles, and the JSON lines that tasks write. */
#include "prompts/words.h"

#include <stdlib.h>
#include <string.h>

void pb_words_begin(struct pb_words *words)
{
	words->n = 0;
	words->too_many = false;
}

bool pb_is_mark(char c)
{
	return c != '\0' && strchr(".,:;!?", c) != NULL;
}

void pb_words_add_behind(struct pb_words *words, const char *role, const char *before,
			 const char *text)
{
	words->too_many = words->n == PB_WORDS_MAX;
	if (words->too_many)
		return;
	words->items[words->n] = (struct pb_word){text, role, words->n == 0 ? "" : before};
	words->n++;
}

char *pb_words_text(const struct pb_words *words)
{
	size_t size = 1, used = 0;
	char *text;

	for (size_t i = 0; i < words->n; i++)
		size += strlen(words->items[i].before) + strlen(words->items[i].text);
	text = malloc(size);
	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < words->n; i++) {
		const struct pb_word *w = &words->items[i];
		size_t n_before = strlen(w->before), length = strlen(w->text);

		memcpy(text + used, w->before, n_before);
		memcpy(text + used + n_before, w->text, length);
		used += n_before + length;
	}
	text[used] = '\0';
	return text;
}

/* ---- JSON lines ---------------------------------------------------------------------- */

void pb_line_put(json_t *line, const char *key, json_t *value, bool *bad)
{
	*bad |= json_object_set_new(line, key, value) != 0;
}

void pb_line_push(json_t *list, json_t *value, bool *bad)
{
	*bad |= json_array_append_new(list, value) != 0;
}

json_t *pb_line_texts(const char *const *texts, size_t n, bool *bad)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		pb_line_push(list, json_string(texts[i]), bad);
	return list;
}

static json_t *text_value(const struct pb_words *words)
{
	char *text = pb_words_text(words);
	json_t *value = text == NULL ? NULL : json_string(text);

	free(text);
	return value;
}

void pb_line_prompt(json_t *line, const struct pb_words *words, const char *answer, bool *bad)
{
	pb_line_put(line, "prompt", text_value(words), bad);
	pb_line_put(line, "answer", json_string(answer), bad);
}

void pb_line_roles(json_t *line, const struct pb_words *words, bool *bad)
{
	json_t *list = json_array();

	for (size_t i = 0; i < words->n; i++)
		pb_line_push(list, json_string(words->items[i].role), bad);
	pb_line_put(line, "roles", list, bad);
}

void pb_line_pair(json_t *line, const struct pb_words *clean, const struct pb_words *corrupted,
		  const char *answer, const char *foil, bool *bad)
{
	pb_line_put(line, "clean", text_value(clean), bad);
	pb_line_put(line, "corrupted", text_value(corrupted), bad);
	pb_line_put(line, "answer", json_string(answer), bad);
	pb_line_put(line, "foil", json_string(foil), bad);
}

void pb_line_corrupt(json_t *line, const struct pb_task_options *o, uint64_t index, bool *bad)
{
	enum pb_corruption partner = index % 2 == 0 ? PB_CORRUPT_STATE : PB_CORRUPT_ACTION;

	pb_line_put(line, "corrupt", json_string(pb_corruption_name(o->corrupt)), bad);
	if (o->corrupt != PB_CORRUPT_MATCHED)
		return;
	pb_line_put(line, "group", json_integer((json_int_t)(index / 2)), bad);
	pb_line_put(line, "partner", json_string(pb_corruption_name(partner)), bad);
}

static void put_differences(json_t *line, const struct pb_words *clean,
			    const struct pb_words *corrupted, bool *bad)
{
	json_t *list = json_array();

	for (size_t i = 0; i < clean->n; i++) {
		json_t *item;

		if (strcmp(clean->items[i].text, corrupted->items[i].text) == 0)
			continue;
		item = json_object();
		pb_line_put(item, "word", json_integer((json_int_t)i), bad);
		pb_line_put(item, "clean", json_string(clean->items[i].text), bad);
		pb_line_put(item, "corrupted", json_string(corrupted->items[i].text), bad);
		pb_line_push(list, item, bad);
	}
	pb_line_put(line, "differences", list, bad);
}

static enum pb_status write_line(json_t *line, const struct pb_task_options *o, bool too_many,
				 bool bad, FILE *out, struct pb_error *err)
{
	char *text = bad || too_many ? NULL : json_dumps(line, JSON_COMPACT);
	enum pb_status status = PB_OK;

	if (too_many)
		status = pb_fail(err, PB_ERR_INPUT,
				 "prompt too long: task %s: more than %d words and marks: give "
				 "shorter sentences (template), or a smaller cell",
				 o->name, PB_WORDS_MAX);
	else if (text == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a line of a task");
	else if (fputs(text, out) == EOF || fputc('\n', out) == EOF)
		status = pb_fail(err, PB_ERR_IO, "cannot write: a line of a task");
	free(text);
	json_decref(line);
	return status;
}

enum pb_status pb_line_end_prompt(json_t *line, const struct pb_task_options *o,
				  const struct pb_words *words, bool bad, FILE *out,
				  struct pb_error *err)
{
	return write_line(line, o, words->too_many, bad, out, err);
}

enum pb_status pb_line_end_pair(json_t *line, const struct pb_task_options *o,
				const struct pb_words *clean, const struct pb_words *corrupted,
				bool bad, FILE *out, struct pb_error *err)
{
	if (clean->n == corrupted->n) /* as many tokens may be more or fewer words */
		put_differences(line, clean, corrupted, &bad);
	pb_line_roles(line, clean, &bad);
	return write_line(line, o, clean->too_many || corrupted->too_many, bad, out, err);
}
