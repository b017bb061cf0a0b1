/* Reading the file of the factual task. */
#include "prompts/factual_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/lines.h"
#include "prompts/one_token.h"

#define MAX_FILE_SIZE ((size_t)256 << 20)

struct reader {
	struct pb_facts *facts;
	const char *path;
	const struct pb_tokenizer *tokenizer;
};

static enum pb_status out_of_memory(const struct reader *r, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the facts of %s", r->path);
}

char *pb_fact_text(const char *pattern, const char *subject)
{
	const char *place = strstr(pattern, "{}");

	return pb_format("%.*s%s%s", (int)(place - pattern), pattern, subject, place + 2);
}

/* ---- lines --------------------------------------------------------------------------- */

/* A text that must be there and not be empty. */
static enum pb_status take_text(const struct reader *r, const json_t *line, size_t number,
				const char *key, const char **text, struct pb_error *err)
{
	const char *value = json_string_value(json_object_get(line, key));

	if (value == NULL || value[0] == '\0')
		return pb_fail(err, PB_ERR_INPUT, "%s: %s:%zu (%s): give a text",
			       json_object_get(line, key) == NULL ? "missing key" : "wrong value",
			       r->path, number, key);
	*text = pb_arena_strdup(&r->facts->arena, value);
	return *text == NULL ? out_of_memory(r, err) : PB_OK;
}

static enum pb_status find_relation(const struct reader *r, const char *name, size_t *at,
				    struct pb_error *err)
{
	struct pb_facts *f = r->facts;
	enum pb_status status = PB_OK;

	for (*at = 0; *at < f->n_relations; (*at)++)
		if (strcmp(f->relations[*at].name, name) == 0)
			return PB_OK;
	PB_TRY(pb_grow((void **)&f->relations, &f->relations_capacity, f->n_relations + 1,
		       sizeof *f->relations, "relations", err));
	f->relations[f->n_relations++] = (struct pb_relation){.name = name};
cleanup:
	return status;
}

static enum pb_status add_template(const struct reader *r, const json_t *line, size_t number,
				   size_t relation, struct pb_error *err)
{
	struct pb_relation *to = &r->facts->relations[relation];
	void *list = (void *)to->templates;
	const char *text = NULL, *place;
	enum pb_status status;

	PB_TRY(take_text(r, line, number, "template", &text, err));
	place = strstr(text, "{}");
	if (place == NULL || strstr(place + 2, "{}") != NULL || place[2] == '\0' ||
	    text[strlen(text) - 1] == ' ') {
		status = pb_fail(err, PB_ERR_INPUT,
				 "bad template: %s:%zu (template): {} must stand for the subject "
				 "once, and a word, without a space behind it, before the object",
				 r->path, number);
		goto cleanup;
	}
	PB_TRY(pb_grow(&list, &to->capacity, to->n_templates + 1, sizeof *to->templates,
		       "templates", err));
	to->templates = (const char **)list;
	to->templates[to->n_templates++] = text;
cleanup:
	return status;
}

static enum pb_status add_fact(const struct reader *r, const json_t *line, size_t number,
			       size_t relation, struct pb_error *err)
{
	struct pb_facts *f = r->facts;
	struct pb_fact fact = {.relation = relation, .line = number};
	const char *object = NULL;
	char *answer = NULL;
	enum pb_status status;

	PB_TRY(take_text(r, line, number, "subject", &fact.subject, err));
	PB_TRY(take_text(r, line, number, "object", &object, err));
	answer = pb_format(" %s", object);
	fact.object = answer == NULL ? NULL : pb_arena_strdup(&f->arena, answer);
	free(answer);
	if (fact.object == NULL) {
		status = out_of_memory(r, err);
		goto cleanup;
	}
	PB_TRY(pb_grow((void **)&f->facts, &f->capacity, f->n + 1, sizeof *f->facts, "facts", err));
	f->facts[f->n++] = fact;
cleanup:
	return status;
}

static enum pb_status read_line(const struct reader *r, const char *text, size_t size,
				size_t number, struct pb_error *err)
{
	json_error_t where;
	json_t *line = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	const char *name = NULL;
	size_t relation = 0;
	enum pb_status status;

	if (!json_is_object(line)) {
		status =
		    pb_fail(err, PB_ERR_INPUT, "not a JSON object: %s:%zu: %s", r->path, number,
			    line == NULL ? where.text : "give keys and values in braces");
		goto cleanup;
	}
	PB_TRY(take_text(r, line, number, "relation", &name, err));
	PB_TRY(find_relation(r, name, &relation, err));
	status = (json_object_get(line, "template") != NULL ? add_template : add_fact)(
	    r, line, number, relation, err);
cleanup:
	json_decref(line);
	return status;
}

/* ---- what a model can use ------------------------------------------------------------ */

/* Words that white space parts. */
static size_t count_words(const char *text)
{
	size_t n = 0;

	for (const char *s = text; *s != '\0'; s += strspn(s, " ")) {
		n++;
		s += strcspn(s, " ");
	}
	return n;
}

static enum pb_status measure_prompt(const struct reader *r, struct pb_fact *fact,
				     const char *pattern, size_t *size, struct pb_error *err)
{
	char *text = pb_fact_text(pattern, fact->subject);
	int32_t *ids = NULL;
	bool one = true;
	enum pb_status status = PB_OK;

	if (text == NULL)
		return out_of_memory(r, err);
	*size = count_words(text);
	if (r->tokenizer != NULL) {
		PB_TRY(pb_tokenizer_encode(r->tokenizer, text, strlen(text), &ids, size, err));
		PB_TRY(pb_is_one_token(r->tokenizer, text, fact->object, &one, err));
	}
	fact->usable = fact->usable && one;
cleanup:
	free(text);
	free(ids);
	return status;
}

static enum pb_status measure(const struct reader *r, struct pb_fact *fact, struct pb_error *err)
{
	const struct pb_relation *relation = &r->facts->relations[fact->relation];
	enum pb_status status = PB_OK;

	if (relation->n_templates == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "no template: %s:%zu: relation '%s' has none: give a line "
			       "{\"relation\": \"%s\", \"template\": \"... {} ...\"}",
			       r->path, fact->line, relation->name, relation->name);
	fact->usable = true;
	fact->sizes = pb_arena_alloc(&r->facts->arena, relation->n_templates, sizeof *fact->sizes);
	if (fact->sizes == NULL)
		return out_of_memory(r, err);
	for (size_t t = 0; t < relation->n_templates; t++)
		PB_TRY(measure_prompt(r, fact, relation->templates[t], &fact->sizes[t], err));
cleanup:
	return status;
}

enum pb_status pb_facts_read(struct pb_facts *facts, const char *path,
			     const struct pb_tokenizer *tokenizer, struct pb_error *err)
{
	struct reader r = {.facts = facts, .path = path, .tokenizer = tokenizer};
	char *text = NULL;
	const char *line;
	struct pb_lines lines;
	size_t size = 0, n;
	enum pb_status status;

	PB_TRY(pb_read_file(&text, &size, path, MAX_FILE_SIZE, err));
	lines = (struct pb_lines){.next = text, .end = text + size};
	while (pb_lines_next(&lines, &line, &n))
		PB_TRY(read_line(&r, line, n, lines.number, err));
	PB_TRY(pb_alloc((void **)&facts->usable, facts->n, sizeof *facts->usable, "facts", err));
	for (size_t i = 0; i < facts->n; i++) {
		PB_TRY(measure(&r, &facts->facts[i], err));
		if (facts->facts[i].usable)
			facts->usable[facts->n_usable++] = i;
	}
	if (facts->n_usable == 0)
		status = pb_fail(err, PB_ERR_INPUT,
				 facts->n == 0 ? "no facts: %s: give lines with subject and object"
					       : "no facts that can be asked for: %s: no object is "
						 "one token of this model's tokenizer",
				 path);
cleanup:
	free(text);
	return status;
}

void pb_facts_close(struct pb_facts *facts)
{
	for (size_t i = 0; i < facts->n_relations; i++)
		free((void *)facts->relations[i].templates);
	free(facts->relations);
	free(facts->facts);
	free(facts->usable);
	pb_arena_free(&facts->arena);
}
