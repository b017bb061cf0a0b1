/* Reads the vocabulary and the merges of a tokenizer file straight from its text. */
#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"
#include "tokens/scan.h"

struct scan {
	char *text;
	size_t at, end;
	const char *path;
	struct pb_error *err;
};

/* A string of the file, escapes undone. */
struct string {
	const char *text;
	size_t size;
};

static enum pb_status fail(const struct scan *s, const char *what, size_t at)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < at; i++) {
		column = s->text[i] == '\n' ? 1 : column + 1;
		line += s->text[i] == '\n';
	}
	return pb_fail(s->err, PB_ERR_INPUT, "%s: %s, line %zu, column %zu: correct it", what,
		       s->path, line, column);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The character after white space, NUL at the end. */
static char next(struct scan *s)
{
	while (s->at < s->end && is_space(s->text[s->at]))
		s->at++;
	return s->at < s->end ? s->text[s->at] : '\0';
}

static bool take(struct scan *s, char c)
{
	if (next(s) != c)
		return false;
	s->at++;
	return true;
}

/* ---- strings ----------------------------------------------------------------------- */

/* The four digits of \uXXXX at `at`; false when there are none. */
static bool four_digits(const struct scan *s, size_t at, uint32_t *unit)
{
	*unit = 0;
	for (size_t i = at; i < at + 4; i++) {
		char c = i < s->end ? s->text[i] : '\0';

		if (c >= '0' && c <= '9')
			*unit = *unit << 4 | (uint32_t)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			*unit = *unit << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* Undoes the escape at s->at (a backslash) into out; a \u pair of surrogates is one character. */
static enum pb_status unescape(struct scan *s, char *out, size_t *written)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	char c = s->at + 1 < s->end ? s->text[s->at + 1] : '\0';
	const char *name = c != '\0' ? strchr(names, c) : NULL;
	uint32_t unit, low;

	if (name != NULL) {
		out[(*written)++] = values[name - names];
		s->at += 2;
		return PB_OK;
	}
	if (c != 'u' || !four_digits(s, s->at + 2, &unit))
		return fail(s, "a string has an unknown escape", s->at);
	if (unit == 0)
		return fail(s, "a string holds a NUL", s->at);
	s->at += 6;
	if (unit >= 0xD800 && unit <= 0xDBFF && s->at + 1 < s->end && s->text[s->at] == '\\' &&
	    s->text[s->at + 1] == 'u' && four_digits(s, s->at + 2, &low) && low >= 0xDC00 &&
	    low <= 0xDFFF) {
		unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
		s->at += 6;
	}
	if (unit >= 0xD800 && unit <= 0xDFFF)
		return fail(s, "a string has half a surrogate pair", s->at - 6);
	*written += pb_utf8_put(unit, out + *written);
	return PB_OK;
}

/* Undone escapes are shorter than written ones, so the string stays where it is. The byte behind
 * it, at most its closing quote, becomes a NUL. */
static enum pb_status read_string(struct scan *s, struct string *out)
{
	size_t start, written = 0;
	char *text;
	enum pb_status status;

	if (!take(s, '"'))
		return fail(s, "a string is missing", s->at);
	start = s->at;
	text = s->text + start;
	while (s->at < s->end && s->text[s->at] != '"') {
		unsigned char c = (unsigned char)s->text[s->at];

		if (c < 0x20)
			return fail(s, "a string holds a control character", s->at);
		if (c == '\\') {
			status = unescape(s, text, &written);
			if (status != PB_OK)
				return status;
			continue;
		}
		text[written++] = (char)c;
		s->at++;
	}
	if (s->at >= s->end)
		return fail(s, "a string has no end", start - 1);
	s->at++;
	text[written] = '\0';
	out->text = text;
	out->size = written;
	return PB_OK;
}

/* ---- the tables -------------------------------------------------------------------- */

static enum pb_status read_id(struct scan *s, int64_t *id)
{
	bool negative = take(s, '-');
	size_t start = s->at;

	*id = 0;
	while (s->at < s->end && s->text[s->at] >= '0' && s->text[s->at] <= '9' &&
	       s->at < start + 18)
		*id = *id * 10 + (s->text[s->at++] - '0');
	if (s->at == start || (s->text[start] == '0' && s->at > start + 1) ||
	    (s->at < s->end && strchr("0123456789.eE", s->text[s->at]) != NULL))
		return fail(s, "a token id is not an integer", start);
	if (negative)
		*id = -*id;
	return PB_OK;
}

/* What follows an element: another (*more) or the end of the table. */
static enum pb_status read_separator(struct scan *s, char close, bool *more)
{
	*more = take(s, ',');
	if (!*more && !take(s, close))
		return fail(s, "a comma is missing", s->at);
	return PB_OK;
}

static enum pb_status expect_end(struct scan *s)
{
	return next(s) == '\0' ? PB_OK : fail(s, "something follows the table", s->at);
}

/* An upper bound of the number of elements: strings come between quotes. */
static size_t count_quotes(const struct scan *s)
{
	size_t n = 0;

	for (size_t i = s->at; i < s->end; i++)
		n += s->text[i] == '"';
	return n / 2;
}

enum pb_status pb_scan_vocab(struct pb_tokenizer *t, char *text, struct pb_span span,
			     const char *path, struct pb_error *err)
{
	struct scan s = {.at = span.start, .end = span.end, .path = path, .err = err};
	struct string token = {.text = ""};
	bool more = true;
	int64_t id;
	enum pb_status status;

	s.text = text;
	PB_TRY(pb_vocab_init(&t->vocab, count_quotes(&s), err));
	if (!take(&s, '{'))
		return fail(&s, "the vocabulary is not an object", s.at);
	if (next(&s) == '}')
		return fail(&s, "the vocabulary is empty", s.at);
	while (more) {
		PB_TRY(read_string(&s, &token));
		if (!take(&s, ':'))
			return fail(&s, "a colon is missing", s.at);
		PB_TRY(read_id(&s, &id));
		PB_TRY(pb_tokenizer_put_token(t, token.text, token.size, id, path, err));
		PB_TRY(read_separator(&s, '}', &more));
	}
	status = expect_end(&s);
cleanup:
	return status;
}

/* "a b" or ["a", "b"]. */
static enum pb_status read_merge(struct scan *s, struct string *left, struct string *right)
{
	const char *space;
	size_t start;
	enum pb_status status;

	if (take(s, '[')) {
		PB_TRY(read_string(s, left));
		if (!take(s, ','))
			return fail(s, "a merge is not a pair of strings", s->at);
		PB_TRY(read_string(s, right));
		return take(s, ']') ? PB_OK : fail(s, "a merge is not a pair of strings", s->at);
	}
	start = s->at;
	PB_TRY(read_string(s, left));
	space = memchr(left->text, ' ', left->size);
	if (space == NULL || strchr(space + 1, ' ') != NULL)
		return fail(s, "a merge is not two tokens with a space between", start);
	right->text = space + 1;
	right->size = left->size - (size_t)(space + 1 - left->text);
	left->size = (size_t)(space - left->text);
cleanup:
	return status;
}

enum pb_status pb_scan_merges(struct pb_tokenizer *t, char *text, struct pb_span span,
			      const char *path, struct pb_error *err)
{
	struct scan s = {.at = span.start, .end = span.end, .path = path, .err = err};
	struct string left = {.text = ""}, right = {.text = ""};
	size_t most;
	bool more;
	enum pb_status status;

	s.text = text;
	most = count_quotes(&s);
	if (most > UINT32_MAX / 2)
		return fail(&s, "there are too many merges", s.at);
	PB_TRY(pb_bpe_init(&t->bpe, &t->vocab, most, err));
	if (!take(&s, '['))
		return fail(&s, "the merges are not a list", s.at);
	more = !take(&s, ']');
	for (uint32_t rank = 0; more; rank++) {
		const char *problem;
		size_t start;

		(void)next(&s);
		start = s.at;
		PB_TRY(read_merge(&s, &left, &right));
		problem = pb_bpe_add_merge(&t->bpe, &t->vocab, left.text, left.size, right.text,
					   right.size, rank);
		if (problem != NULL)
			return fail(&s, problem, start);
		PB_TRY(read_separator(&s, ']', &more));
	}
	status = expect_end(&s);
cleanup:
	return status;
}

/* ---- finding the tables ------------------------------------------------------------ */

/* Over a string; false when it has no end. */
static bool skip_string(struct scan *s)
{
	for (s->at++; s->at < s->end; s->at++) {
		if (s->text[s->at] == '\\')
			s->at++;
		else if (s->text[s->at] == '"')
			break;
	}
	return s->at++ < s->end;
}

/* Over a value of any kind, by its brackets alone; false when the text ends within it. */
static bool skip_value(struct scan *s)
{
	size_t depth = 0;

	(void)next(s);
	while (s->at < s->end) {
		char c = s->text[s->at];

		if (c == '"') {
			if (!skip_string(s))
				return false;
			if (depth == 0)
				return true;
			continue;
		}
		if ((c == ',' || c == '}' || c == ']') && depth == 0)
			return true; /* behind a number or a word */
		s->at++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return true;
	}
	return false;
}

/* Goes to the value of the next member of an object, whose key is then *key without its quotes;
 * s->at is behind the opening brace or the member before. */
static bool next_member(struct scan *s, struct pb_span *key)
{
	(void)take(s, ',');
	if (next(s) != '"')
		return false;
	key->start = s->at + 1;
	if (!skip_string(s))
		return false;
	key->end = s->at - 1;
	return take(s, ':') && next(s) != '\0';
}

static bool key_is(const struct scan *s, struct pb_span key, const char *name)
{
	return key.end - key.start == strlen(name) &&
	       memcmp(s->text + key.start, name, strlen(name)) == 0;
}

static void find_tables(struct scan *s, struct pb_cut_json *out)
{
	struct pb_span key;
	bool model = false;

	if (!take(s, '{'))
		return;
	while (!model && next_member(s, &key)) {
		model = key_is(s, key, "model");
		if (!model && !skip_value(s))
			return;
	}
	if (!model || !take(s, '{'))
		return;
	while (next_member(s, &key)) {
		struct pb_span value = {.start = s->at};

		if (!skip_value(s))
			return;
		value.end = s->at;
		/* Only the first of its name is cut out: a second one stays for the JSON
		 * parser to refuse. */
		if (key_is(s, key, "vocab") && out->vocab.end == 0 && s->text[value.start] == '{')
			out->vocab = value;
		else if (key_is(s, key, "merges") && out->merges.end == 0 &&
			 s->text[value.start] == '[')
			out->merges = value;
	}
}

static void copy(struct pb_cut_json *out, const char *text, size_t n)
{
	memcpy(out->rest + out->rest_size, text, n);
	out->rest_size += n;
}

enum pb_status pb_scan_cut(struct pb_cut_json *out, const char *text, size_t n,
			   struct pb_error *err)
{
	/* Finding changes nothing. */
	struct scan s = {.text = (char *)text, .end = n, .err = err};
	struct pb_span first, second;
	void *rest;
	enum pb_status status;

	*out = (struct pb_cut_json){0};
	find_tables(&s, out);
	status = pb_alloc(&rest, n + 5, 1, "a tokenizer file", err);
	if (status != PB_OK)
		return status;
	out->rest = rest;
	first = out->vocab.start < out->merges.start ? out->vocab : out->merges;
	second = out->vocab.start < out->merges.start ? out->merges : out->vocab;
	copy(out, text, first.start);
	if (first.end > 0)
		copy(out, text[first.start] == '{' ? "{}" : "[]", 2);
	copy(out, text + first.end, second.start - first.end);
	if (second.end > 0)
		copy(out, text[second.start] == '{' ? "{}" : "[]", 2);
	copy(out, text + second.end, n - second.end);
	return PB_OK;
}
