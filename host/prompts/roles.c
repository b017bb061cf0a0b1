/* Roles of positions. A list may go by tokens or by words, and nothing says by which: its length
 * does, and where that fits in two ways the results must agree. */
#include "prompts/roles.h"

#include <stdlib.h>
#include <string.h>

#define ROLES_MAX 4096
#define NAME_MAX_SIZE 200

static enum pb_status out_of_memory(const struct pb_pair_source *source, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the roles of %s:%zu", source->name,
		       source->line);
}

/* ---- names --------------------------------------------------------------------------- */

static bool is_good_name(const char *name)
{
	for (const char *s = name; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return name[0] != '\0' && strlen(name) <= NAME_MAX_SIZE;
}

/* Index of a name, added when it is new. */
static enum pb_status name_index(const struct pb_pair_source *source, struct pb_roles *roles,
				 const char *name, int32_t *index, struct pb_error *err)
{
	void *memory = (void *)roles->names;
	enum pb_status status = PB_OK;
	size_t i = 0;

	if (!is_good_name(name))
		return pb_fail(err, PB_ERR_INPUT,
			       "bad name of a role: %s:%zu (roles): give 1 to %d printable "
			       "characters",
			       source->name, source->line, NAME_MAX_SIZE);
	while (i < roles->n && strcmp(roles->names[i], name) != 0)
		i++;
	*index = (int32_t)i;
	if (i < roles->n)
		return PB_OK;
	if (i == ROLES_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "too many roles: %s:%zu (roles): '%s' is a new name after %d "
			       "others: call the same thing the same in all lines",
			       source->name, source->line, name, ROLES_MAX);
	PB_TRY(pb_grow(&memory, &roles->capacity, i + 1, sizeof *roles->names, "roles", err));
	roles->names = memory;
	roles->names[i] = pb_arena_strdup(source->arena, name);
	if (roles->names[i] == NULL)
		return out_of_memory(source, err);
	roles->n++;
cleanup:
	return status;
}

enum pb_status pb_roles_take(const struct pb_roles *roles, const struct pb_pair_source *source,
			     const char ***names, size_t *n, struct pb_error *err)
{
	*n = roles->n;
	*names = NULL;
	if (roles->n == 0)
		return PB_OK;
	*names = pb_arena_alloc(source->arena, roles->n, sizeof **names);
	if (*names == NULL)
		return out_of_memory(source, err);
	memcpy((void *)*names, (const void *)roles->names, roles->n * sizeof **names);
	return PB_OK;
}

void pb_roles_free(struct pb_roles *roles)
{
	free((void *)roles->names);
	*roles = (struct pb_roles){0};
}

/* ---- words --------------------------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_mark(char c)
{
	return c != '\0' && strchr(".,;:!?", c) != NULL;
}

/* The word of each byte of a text, -1 for white space; marks at a word's end are words of their own
 * when `marks` says so. Returns the number of words. */
static size_t number_words(const char *text, size_t size, bool marks, int32_t *words)
{
	size_t n = 0, i = 0;

	while (i < size) {
		size_t end = i, core;

		if (is_space(text[i])) {
			words[i++] = -1;
			continue;
		}
		while (end < size && !is_space(text[end]))
			end++;
		core = end;
		while (marks && core > i && is_mark(text[core - 1]))
			core--;
		for (size_t b = i; b < core; b++)
			words[b] = (int32_t)n;
		n += core > i;
		for (size_t b = core; b < end; b++)
			words[b] = (int32_t)n++;
		i = end;
	}
	return n;
}

/* A prompt's text as its tokens say it (which is not the line's where a tokenizer normalises), and
 * where each token starts, white space aside. */
struct spans {
	char *text;
	size_t size;
	size_t *starts; /* [n]; `size` where a token is nothing but white space */
	int32_t *words; /* [size], scratch of number_words */
	const int32_t *ids;
	size_t n;
};

static void spans_free(struct spans *s)
{
	free(s->text);
	free(s->starts);
	free(s->words);
}

static enum pb_status spans_make(struct spans *s, const struct pb_pair_source *source,
				 const struct pb_encoded *prompt, struct pb_error *err)
{
	enum pb_status status;
	void *memory = NULL;
	size_t at = 0, n;

	*s = (struct spans){.ids = prompt->ids + prompt->n_prepended,
			    .n = prompt->length - prompt->n_prepended};
	for (size_t i = 0; i < s->n; i++) {
		(void)pb_tokenizer_piece(source->tokenizer, s->ids[i], &n);
		if (!pb_size_add(s->size, n, &s->size) || s->size > INT32_MAX)
			return out_of_memory(source, err);
	}
	PB_TRY(pb_alloc(&memory, s->size, 1, "the text of a prompt", err));
	s->text = memory;
	PB_TRY(pb_alloc(&memory, s->n, sizeof *s->starts, "the starts of tokens", err));
	s->starts = memory;
	PB_TRY(pb_alloc(&memory, s->size, sizeof *s->words, "the words of a prompt", err));
	s->words = memory;
	for (size_t i = 0; i < s->n; i++) {
		const char *piece = pb_tokenizer_piece(source->tokenizer, s->ids[i], &n);
		size_t blanks = 0;

		if (n > 0)
			memcpy(s->text + at, piece, n);
		while (blanks < n && is_space(piece[blanks]))
			blanks++;
		s->starts[i] = blanks < n ? at + blanks : s->size;
		at += n;
	}
cleanup:
	return status;
}

/* ---- lists --------------------------------------------------------------------------- */

/* Roles by position, from roles by word. */
static void by_words(const struct spans *s, const struct pb_encoded *prompt, const int32_t *names,
		     int32_t *out)
{
	for (size_t i = 0; i < prompt->n_prepended; i++)
		out[i] = -1;
	for (size_t i = 0; i < s->n; i++)
		out[prompt->n_prepended + i] =
		    s->starts[i] < s->size ? names[s->words[s->starts[i]]] : -1;
}

static enum pb_status fail_ambiguous(const struct pb_pair_source *source, size_t n,
				     struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "ambiguous roles: %s:%zu (roles): the prompt has as many tokens as words, "
		       "%zu, but they are not the same: name positions, {\"NAME\": [0, 1], ..}",
		       source->name, source->line, n);
}

/* Takes `names` by words into `out`, when there are as many. What is there already (*found) must be
 * the same. */
static enum pb_status try_words(const struct pb_pair_source *source,
				const struct pb_encoded *prompt, const struct spans *s, size_t n,
				const int32_t *names, bool *found, int32_t *out,
				struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int32_t *other = NULL;
	void *memory = NULL;

	PB_TRY(pb_alloc(&memory, prompt->length, sizeof *other, "roles", err));
	other = memory;
	by_words(s, prompt, names, other);
	if (*found && memcmp(out, other, prompt->length * sizeof *out) != 0)
		status = fail_ambiguous(source, n, err);
	memcpy(out, other, prompt->length * sizeof *out);
	*found = true;
cleanup:
	free(other);
	return status;
}

/* `names` of a list of n by tokens, by words, or by words and marks. */
static enum pb_status place_names(const struct pb_pair_source *source,
				  const struct pb_encoded *prompt, size_t n, const int32_t *names,
				  int32_t *out, struct pb_error *err)
{
	bool found = n == prompt->length;
	enum pb_status status = PB_OK;
	size_t counts[2] = {0, 0};
	struct spans s = {0};

	if (found)
		memcpy(out, names, n * sizeof *out);
	if (!prompt->by_ids) {
		PB_TRY(spans_make(&s, source, prompt, err));
		for (int marks = 0; marks <= 1; marks++) {
			counts[marks] = number_words(s.text, s.size, marks == 1, s.words);
			if (counts[marks] == n)
				PB_TRY(try_words(source, prompt, &s, n, names, &found, out, err));
		}
	}
	if (found)
		goto cleanup;
	if (prompt->by_ids)
		status = pb_fail(err, PB_ERR_INPUT,
				 "wrong number of roles: %s:%zu (roles): %zu for %zu tokens: give "
				 "a name or null for each token",
				 source->name, source->line, n, prompt->length);
	else
		status = pb_fail(err, PB_ERR_INPUT,
				 "wrong number of roles: %s:%zu (roles): %zu, but '%s' has %zu "
				 "tokens, %zu words (%zu with marks as words): give a name or "
				 "null for each of one kind",
				 source->name, source->line, n, prompt->key, prompt->length,
				 counts[0], counts[1]);
cleanup:
	spans_free(&s);
	return status;
}

static enum pb_status read_list(const struct pb_pair_source *source, const json_t *list,
				const struct pb_encoded *prompt, struct pb_roles *roles,
				int32_t *out, struct pb_error *err)
{
	const size_t n = json_array_size(list);
	enum pb_status status;
	int32_t *names = NULL;
	void *memory = NULL;

	PB_TRY(pb_alloc(&memory, n, sizeof *names, "roles", err));
	names = memory;
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(list, i);

		names[i] = -1;
		if (json_is_null(item))
			continue;
		if (!json_is_string(item)) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "wrong type: %s:%zu (roles, item %zu): give a name or "
					 "null",
					 source->name, source->line, i);
			goto cleanup;
		}
		PB_TRY(name_index(source, roles, json_string_value(item), &names[i], err));
	}
	PB_TRY(place_names(source, prompt, n, names, out, err));
cleanup:
	free(names);
	return status;
}

/* ---- objects ------------------------------------------------------------------------- */

static enum pb_status place(const struct pb_pair_source *source, const json_t *item,
			    const char *name, int32_t role, size_t length, int32_t *out,
			    struct pb_error *err)
{
	long long position = json_integer_value(item);
	const long long n = (long long)length;

	if (!json_is_integer(item))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong type: %s:%zu (roles, '%s'): give a position, or a list of "
			       "positions",
			       source->name, source->line, name);
	if (position < -n || position >= n)
		return pb_fail(err, PB_ERR_INPUT,
			       "position out of range: %s:%zu (roles, '%s'): %lld, but the prompts "
			       "have %zu tokens: give %lld to %lld",
			       source->name, source->line, name, position, length, -n, n - 1);
	position += position < 0 ? n : 0;
	if (out[position] >= 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "position named twice: %s:%zu (roles, '%s'): %lld has a role "
			       "already: give each position one",
			       source->name, source->line, name, position);
	out[position] = role;
	return PB_OK;
}

static enum pb_status read_object(const struct pb_pair_source *source, const json_t *object,
				  const struct pb_encoded *prompt, struct pb_roles *roles,
				  int32_t *out, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const char *name;
	json_t *value; /* as the macro wants it */

	for (size_t i = 0; i < prompt->length; i++)
		out[i] = -1;
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		const size_t n = json_is_array(value) ? json_array_size(value) : 1;
		int32_t role = -1;

		PB_TRY(name_index(source, roles, name, &role, err));
		for (size_t i = 0; i < n; i++)
			PB_TRY(place(source,
				     json_is_array(value) ? json_array_get(value, i) : value, name,
				     role, prompt->length, out, err));
	}
cleanup:
	return status;
}

enum pb_status pb_roles_read(const struct pb_pair_source *source, const json_t *value,
			     const struct pb_encoded *prompt, struct pb_roles *roles,
			     const int32_t **out, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	bool any = false;
	int32_t *indices;

	*out = NULL;
	if (value == NULL || json_is_null(value))
		return PB_OK;
	indices = pb_arena_alloc(source->arena, prompt->length, sizeof *indices);
	if (indices == NULL)
		return out_of_memory(source, err);
	if (json_is_array(value))
		PB_TRY(read_list(source, value, prompt, roles, indices, err));
	else if (json_is_object(value))
		PB_TRY(read_object(source, value, prompt, roles, indices, err));
	else
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong type: %s:%zu (roles): give a list with a name or null for "
			       "each token or word, or an object {\"NAME\": POSITION, ..}",
			       source->name, source->line);
	for (size_t i = 0; i < prompt->length; i++)
		any = any || indices[i] >= 0;
	*out = any ? indices : NULL;
cleanup:
	return status;
}
