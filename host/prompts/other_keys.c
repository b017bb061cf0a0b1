/* The keys of a JSON line that we do not know, kept verbatim. jansson would print numbers and
 * escapes in its own way (0.1 as 0.10000000000000001), so the line's own bytes are copied. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/preflight.h"

/* What is left of a line that jansson has accepted: its syntax needs no second check, but nothing
 * is ever read past `end`. */
struct scanner {
	const char *at, *end;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct scanner *s)
{
	while (s->at < s->end && is_space(*s->at))
		s->at++;
}

/* Past a string that begins here. */
static void skip_string(struct scanner *s)
{
	for (s->at++; s->at < s->end && *s->at != '"'; s->at++)
		if (*s->at == '\\')
			s->at++;
	if (s->at < s->end)
		s->at++;
	else
		s->at = s->end;
}

/* Copies a value without the white space between its tokens; returns the bytes written. */
static size_t copy_value(struct scanner *s, char *out)
{
	size_t used = 0, depth = 0;

	while (s->at < s->end) {
		const char c = *s->at;
		const char *start = s->at;

		if (depth == 0 && (c == ',' || c == '}'))
			break;
		if (c == '"')
			skip_string(s);
		else
			s->at++;
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		if (is_space(c))
			continue;
		memcpy(out + used, start, (size_t)(s->at - start));
		used += (size_t)(s->at - start);
	}
	return used;
}

/* Whether the key, in quotes and with its escapes, is one of `known`. */
static enum pb_status is_known(const char *key, size_t size, const char *const *known, bool *found,
			       struct pb_error *err)
{
	json_t *decoded = json_loadb(key, size, JSON_DECODE_ANY, NULL);

	*found = false;
	if (decoded == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a key of a JSON line");
	for (; *known != NULL && !*found; known++)
		*found = strcmp(*known, json_string_value(decoded)) == 0;
	json_decref(decoded);
	return PB_OK;
}

enum pb_status pb_json_other_keys(const char *line, size_t size, const char *const *known,
				  struct pb_arena *arena, char **out, struct pb_error *err)
{
	struct scanner s = {line, line + size};
	enum pb_status status = PB_OK;
	size_t used = 1;
	/* Nothing is added to the line's own bytes. */
	char *buffer = malloc(size + 3);

	if (buffer == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the keys of a JSON line");
		goto cleanup;
	}
	buffer[0] = '{';
	skip_space(&s);
	s.at++; /* { */
	for (;;) {
		const char *key;
		size_t key_size;
		bool found;

		skip_space(&s);
		if (s.at >= s.end || *s.at == '}')
			break;
		if (*s.at == ',') {
			s.at++;
			continue;
		}
		key = s.at;
		skip_string(&s);
		key_size = (size_t)(s.at - key);
		skip_space(&s);
		s.at++; /* : */
		PB_TRY(is_known(key, key_size, known, &found, err));
		if (found) {
			/* Written past what is kept, and then overwritten. */
			(void)copy_value(&s, buffer + used);
			continue;
		}
		if (used > 1)
			buffer[used++] = ',';
		memcpy(buffer + used, key, key_size);
		used += key_size;
		buffer[used++] = ':';
		used += copy_value(&s, buffer + used);
	}
	buffer[used++] = '}';
	*out = pb_arena_strndup(arena, buffer, used);
	if (*out == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the keys of a JSON line");
cleanup:
	free(buffer);
	return status;
}
