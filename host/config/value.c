/* Values of configuration keys. */
#include "config/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/value_parts.h"

enum pb_status pb_walk_out_of_memory(const struct pb_walk *w)
{
	return pb_fail(w->err, PB_ERR_MEMORY, "out of memory: the configuration %s", w->path);
}

enum pb_status pb_walk_fail(const struct pb_walk *w, const struct pb_key *key,
			    const struct pb_node *node, const char *what, const char *advice)
{
	char place[PB_WHERE_SIZE];

	return pb_fail(w->err, PB_ERR_INPUT, "%s: %s (%s): %s", what, pb_tree_where(node, place),
		       key->path, advice);
}

enum pb_status pb_value_scalar(const struct pb_walk *w, const struct pb_key *key,
			       const struct pb_node *node, const char *wanted)
{
	if (node->kind != PB_NODE_SCALAR)
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	if (pb_node_is_null(node) || node->text[0] == '\0')
		return pb_walk_fail(w, key, node, "no value", wanted);
	return PB_OK;
}

/* Text that YAML reads back as the same text when it stands without quotes. */
static bool needs_no_quotes(const char *text)
{
	static const char *const other_types[] = {"true", "false", "null", "yes", "no",
						  "on",   "off",   "y",    "n"};
	const char first = text[0];

	for (size_t i = 0; i < sizeof other_types / sizeof other_types[0]; i++)
		if (strcasecmp(text, other_types[i]) == 0)
			return false;
	if (!((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '/' ||
	      first == '_' || strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0))
		return false;
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789_./-")] == '\0';
}

void pb_write_text(FILE *out, const char *text)
{
	if (needs_no_quotes(text)) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (const char *s = text; *s != '\0'; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* The shortest decimal that reads back as the same double. */
void pb_write_number(FILE *out, double value)
{
	char text[40];

	for (int digits = 1; digits <= 17; digits++) {
		(void)snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	fputs(text, out);
}

enum pb_status pb_value_fail_range(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *node)
{
	char advice[96];

	if (key->type == PB_KEY_SEED)
		(void)snprintf(advice, sizeof advice, "give 0 to %lld", (long long)INT64_MAX);
	else
		(void)snprintf(advice, sizeof advice, "give %.16g to %.16g", key->least, key->most);
	return pb_walk_fail(w, key, node, "out of range", advice);
}

/* A plain decimal number without sign or fraction. */
static enum pb_status read_integer(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *node, uint64_t *value)
{
	static const char wanted[] = "give a whole number";
	unsigned long long number;
	enum pb_status status = pb_value_scalar(w, key, node, wanted);

	if (status != PB_OK)
		return status;
	if (!node->plain || node->text[strspn(node->text, "0123456789")] != '\0') {
		if (node->plain && node->text[0] == '-' &&
		    node->text[1 + strspn(node->text + 1, "0123456789")] == '\0')
			return pb_value_fail_range(w, key, node);
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	}
	errno = 0;
	number = strtoull(node->text, NULL, 10);
	/* SEED_MAX as a double is 2^63: the comparison of integers is exact. */
	if (errno == ERANGE || number > INT64_MAX || (double)number < key->least ||
	    (double)number > key->most)
		return pb_value_fail_range(w, key, node);
	*value = number;
	return PB_OK;
}

enum pb_status pb_value_number(const struct pb_walk *w, const struct pb_key *key,
			       const struct pb_node *node, double *value)
{
	static const char wanted[] = "give a number";
	enum pb_status status = pb_value_scalar(w, key, node, wanted);
	char *end;

	if (status != PB_OK)
		return status;
	/* strtod also reads hexadecimal numbers, infinities and NaN: not here. */
	if (!node->plain || node->text[strspn(node->text, "0123456789+-.eE")] != '\0')
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	*value = strtod(node->text, &end);
	if (*end != '\0' || end == node->text)
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	if (!(*value >= key->least && *value <= key->most))
		return pb_value_fail_range(w, key, node);
	return PB_OK;
}

bool pb_value_is_word(const char *const *words, const char *text, int *index)
{
	for (int i = 0; words != NULL && words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0) {
			*index = i;
			return true;
		}
	return false;
}

enum pb_status pb_value_fail_word(const struct pb_walk *w, const struct pb_key *key,
				  const struct pb_node *node)
{
	char what[128], advice[PB_WORDS_SIZE + 64], words[PB_WORDS_SIZE];

	(void)snprintf(what, sizeof what, "%s '%.40s' is not known", pb_key_name(key), node->text);
	(void)snprintf(advice, sizeof advice, "available: %s", pb_key_words(key, words));
	return pb_walk_fail(w, key, node, what, advice);
}

enum pb_status pb_value_word(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *node, int *index)
{
	char wanted[PB_WORDS_SIZE + 64], words[PB_WORDS_SIZE];
	enum pb_status status;

	(void)snprintf(wanted, sizeof wanted, "give one of: %s", pb_key_words(key, words));
	status = pb_value_scalar(w, key, node, wanted);
	if (status != PB_OK)
		return status;
	if (pb_value_is_word(key->words, node->text, index))
		return PB_OK;
	return pb_value_fail_word(w, key, node);
}

static enum pb_status read_text(const struct pb_walk *w, const struct pb_key *key,
				const struct pb_node *node, char **text)
{
	enum pb_status status = pb_value_scalar(w, key, node, "give a text");

	if (status != PB_OK)
		return status;
	*text = pb_arena_strdup(&w->config->arena, node->text);
	if (*text == NULL)
		return pb_walk_out_of_memory(w);
	pb_write_text(w->resolved, *text);
	return PB_OK;
}

/* The value stands in the file. */
static enum pb_status read_node(const struct pb_walk *w, const struct pb_key *key,
				const struct pb_node *node, void *base)
{
	void *field = (char *)base + key->offset;
	enum pb_status status = PB_OK;
	const char *word;
	uint64_t integer = 0;
	int index = 0;

	switch (key->type) {
	case PB_KEY_TEXT:
		return read_text(w, key, node, field);
	case PB_KEY_NUMBER:
		PB_TRY(pb_value_number(w, key, node, field));
		pb_write_number(w->resolved, *(double *)field);
		break;
	case PB_KEY_AUTO:
	case PB_KEY_EACH:
		word = key->type == PB_KEY_AUTO ? "auto" : "each";
		if (node->kind == PB_NODE_SCALAR && strcmp(node->text, word) == 0) {
			*(size_t *)field = key->type == PB_KEY_AUTO ? 0 : PB_SIZE_EACH;
			fputs(word, w->resolved);
			break;
		}
		/* fallthrough */
	case PB_KEY_COUNT:
		PB_TRY(read_integer(w, key, node, &integer));
		*(size_t *)field = (size_t)integer; /* in range by the table */
		fprintf(w->resolved, "%llu", (unsigned long long)integer);
		break;
	case PB_KEY_SEED:
		PB_TRY(read_integer(w, key, node, (uint64_t *)field));
		fprintf(w->resolved, "%llu", (unsigned long long)*(uint64_t *)field);
		break;
	case PB_KEY_WORD:
	case PB_KEY_FLAG:
		PB_TRY(pb_value_word(w, key, node, &index));
		if (key->type == PB_KEY_FLAG)
			*(bool *)field = index != 0;
		else
			memcpy(field, &index, sizeof index);
		fputs(key->words[index], w->resolved);
		break;
	case PB_KEY_NAME:
		PB_TRY(pb_value_word(w, key, node, &index));
		return read_text(w, key, node, field);
	case PB_KEY_RECEIVER:
		return pb_value_receiver(w, key, node, base);
	case PB_KEY_SECTION:
	case PB_KEY_ROWS:
	case PB_KEY_SETS:
		break;
	default:
		return pb_value_list(w, key, node, base);
	}
cleanup:
	return status;
}

enum pb_status pb_value_read(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *node, const char *fallback, void *base)
{
	struct pb_node made = {
	    .kind = PB_NODE_SCALAR, .origin = w->path, .plain = true, .text = fallback};
	struct pb_node *list = NULL;
	enum pb_status status;

	if (node != NULL)
		return read_node(w, key, node, base);
	if (fallback[0] != '[')
		return read_node(w, key, &made, base);
	PB_TRY(pb_tree_parse(&list, fallback, strlen(fallback), w->path, false, &w->config->arena,
			     w->err));
	return read_node(w, key, list, base);
cleanup:
	return status;
}
