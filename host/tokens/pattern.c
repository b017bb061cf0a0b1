/* Rewrites a pattern from Oniguruma's dialect to PCRE2's. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tokens/pattern.h"

/* White space: PCRE2's own \s also takes U+180E, which has not been white space since Unicode
 * 6.3. These are the members of the class that Oniguruma and Rust use. */
#define SPACE_CLASS "\\t-\\r\\x{85}\\p{Z}"

struct translator {
	const char *regex;
	size_t n, at;
	const char *where;
	char *out;
	size_t size, capacity;
	bool in_class;
	unsigned depth;          /* of groups */
	unsigned caseless_depth; /* depth of the outermost (?i: that is open; 0 for none */
	struct pb_error *err;
};

static enum pb_status refuse(const struct translator *t, const char *what, size_t at)
{
	return pb_fail(t->err, PB_ERR_INPUT,
		       "the pattern uses %s, which is not supported: %s, character %zu of '%.*s': "
		       "use a tokenizer without it",
		       what, t->where, at + 1, (int)(t->n > 300 ? 300 : t->n), t->regex);
}

static enum pb_status put(struct translator *t, const char *text, size_t n)
{
	void *out = t->out;
	enum pb_status status =
	    pb_grow(&out, &t->capacity, t->size + n + 1, 1, "a pattern", t->err);

	t->out = out;
	if (status != PB_OK)
		return status;
	memcpy(t->out + t->size, text, n);
	t->size += n;
	t->out[t->size] = '\0';
	return PB_OK;
}

static enum pb_status put_text(struct translator *t, const char *text)
{
	return put(t, text, strlen(text));
}

/* The character `ahead` places on, NUL behind the end. */
static char peek(const struct translator *t, size_t ahead)
{
	return t->at + ahead < t->n ? t->regex[t->at + ahead] : '\0';
}

/* ---- escapes ----------------------------------------------------------------------- */

static bool is_category(const char *name, size_t n)
{
	static const char *const names[] = {
	    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd", "Nl",
	    "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk",
	    "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Cn", "Co", "Cs"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
			return true;
	return false;
}

static bool is_cased_letter(const char *name, size_t n)
{
	return n == 2 && name[0] == 'L' && strchr("ult", name[1]) != NULL;
}

/* \p{Name} or \P{Name}. A script means the Script property in Oniguruma, Script_Extensions by
 * default in PCRE2 since 10.40. */
static enum pb_status property(struct translator *t)
{
	const char *name = t->regex + t->at + 3, *end;
	size_t n, start = t->at;
	bool inverted = false;
	enum pb_status status;

	if (peek(t, 2) != '{')
		return refuse(t, "\\p without {}", start);
	end = memchr(name, '}', t->n - t->at - 3);
	if (end == NULL)
		return refuse(t, "\\p{ without }", start);
	n = (size_t)(end - name);
	t->at += n + 4;
	if (n > 0 && name[0] == '^') {
		inverted = true;
		name++;
		n--;
	}
	for (size_t i = 0; i < n; i++)
		if (!isalpha((unsigned char)name[i]) && name[i] != '_')
			return refuse(t, "a property that is not a category or script", start);
	if (n == 0)
		return refuse(t, "\\p{}", start);
	if (t->caseless_depth > 0 && is_cased_letter(name, n))
		return refuse(t, "a cased category inside (?i:", start);
	PB_TRY(put(t, t->regex + start, 2));
	PB_TRY(put_text(t, inverted ? "{^" : "{"));
	if (!is_category(name, n))
		PB_TRY(put_text(t, "sc:"));
	PB_TRY(put(t, name, n));
	status = put_text(t, "}");
cleanup:
	return status;
}

/* \xHH (Oniguruma: one byte, so ASCII only), \x{H...}, \uHHHH. */
static enum pb_status code_point(struct translator *t)
{
	size_t start = t->at, first = t->at + 2, digits = 0, limit = 2;
	bool braced = peek(t, 1) == 'x' && peek(t, 2) == '{';
	enum pb_status status;

	if (braced) {
		first++;
		limit = 8;
	} else if (peek(t, 1) == 'u') {
		limit = 4;
	}
	while (digits < limit && first + digits < t->n &&
	       isxdigit((unsigned char)t->regex[first + digits]))
		digits++;
	if (digits == 0 || (!braced && digits != limit) ||
	    (braced && (first + digits >= t->n || t->regex[first + digits] != '}')))
		return refuse(t, "a malformed code point", start);
	if (!braced && limit == 2 && t->regex[first] > '7')
		return refuse(t, "\\x of a single byte above 7F", start);
	t->at = first + digits + (braced ? 1 : 0);
	PB_TRY(put_text(t, "\\x{"));
	PB_TRY(put(t, t->regex + first, digits));
	status = put_text(t, "}");
cleanup:
	return status;
}

static enum pb_status escape(struct translator *t)
{
	char c = peek(t, 1);
	char what[] = "\\?";

	if (t->at + 1 >= t->n)
		return refuse(t, "a backslash at the end", t->at);
	if (c == 'p' || c == 'P')
		return property(t);
	if (c == 'x' || c == 'u')
		return code_point(t);
	t->at += 2;
	if (c == 's')
		return put_text(t, t->in_class ? SPACE_CLASS : "[" SPACE_CLASS "]");
	if (c == 'S') /* inside a class, the one character that PCRE2's \S lacks is added */
		return put_text(t, t->in_class ? "\\S\\x{180E}" : "[^" SPACE_CLASS "]");
	if (c == 'v') /* a class in PCRE2, the vertical tab in Oniguruma */
		return put_text(t, "\\x{0B}");
	if (strchr("rntfaedD", c) != NULL || (!t->in_class && strchr("Az", c) != NULL) ||
	    (c > 0 && ispunct((unsigned char)c)) || c == ' ')
		return put(t, t->regex + t->at - 2, 2);
	if (c < 0) /* a backslash before a character that needs none */
		return put(t, t->regex + t->at - 1, 1);
	what[1] = c;
	return refuse(t, what, t->at - 2);
}

/* ---- everything else --------------------------------------------------------------- */

static enum pb_status open_class(struct translator *t)
{
	size_t start = t->at++;
	enum pb_status status;

	t->in_class = true;
	PB_TRY(put_text(t, "["));
	if (peek(t, 0) == '^') {
		t->at++;
		PB_TRY(put_text(t, "^"));
	}
	if (peek(t, 0) == ']')
		return refuse(t, "an empty class", start);
cleanup:
	return status;
}

static enum pb_status in_class(struct translator *t)
{
	char c = peek(t, 0);

	if (c == '[')
		return refuse(t, "a class within a class", t->at);
	if (c == '&' && peek(t, 1) == '&')
		return refuse(t, "an intersection of classes", t->at);
	if (c == ']')
		t->in_class = false;
	return put(t, &t->regex[t->at++], 1);
}

static enum pb_status open_group(struct translator *t)
{
	static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
	const char *rest = t->regex + t->at;
	size_t n = 1;

	if (peek(t, 1) == '*')
		return refuse(t, "(*", t->at);
	t->depth++;
	if (peek(t, 1) == '?') {
		n = 0;
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
			if (t->n - t->at >= strlen(kinds[i]) &&
			    memcmp(rest, kinds[i], strlen(kinds[i])) == 0)
				n = strlen(kinds[i]);
		if (n == 0)
			return refuse(t, "a group of this kind", t->at);
		if (peek(t, 2) == 'i' && t->caseless_depth == 0)
			t->caseless_depth = t->depth;
	}
	t->at += n;
	return put(t, rest, n);
}

/* {n}, {n,}, {n,m}. Ruby reads {,m} as {0,m}, {n}? and {n}+ as quantifiers of their own. */
static enum pb_status interval(struct translator *t)
{
	size_t start = t->at, ahead = 1, digits;
	char behind;

	while (isdigit((unsigned char)peek(t, ahead)))
		ahead++;
	digits = ahead - 1;
	if (peek(t, ahead) == ',')
		ahead++;
	while (isdigit((unsigned char)peek(t, ahead)))
		ahead++;
	if (peek(t, ahead) != '}' || (digits == 0 && ahead == 1)) {
		t->at++;
		return put_text(t, "\\{");
	}
	behind = peek(t, ahead + 1);
	if (digits == 0 || behind == '?' || behind == '+')
		return refuse(t, "an interval that dialects read differently", start);
	t->at += ahead + 1;
	return put(t, t->regex + start, ahead + 1);
}

/* Without regard to case Oniguruma also matches one character for several: sharp s for ss, the
 * ligatures for ff, fi, fl, st, and others outside ASCII. PCRE2 does not. */
static enum pb_status check_caseless(const struct translator *t)
{
	static const char *const folded[] = {"ss", "ff", "fi", "fl", "st"};
	char pair[3] = {(char)tolower((unsigned char)peek(t, 0)),
			(char)tolower((unsigned char)peek(t, 1)), '\0'};

	if (pair[0] < 0)
		return refuse(t, "a character outside ASCII inside (?i:", t->at);
	for (size_t i = 0; !t->in_class && i < sizeof folded / sizeof *folded; i++)
		if (strcmp(pair, folded[i]) == 0)
			return refuse(t, "letters inside (?i: that a ligature may stand for",
				      t->at);
	return PB_OK;
}

static enum pb_status one(struct translator *t)
{
	char c = peek(t, 0);
	enum pb_status status;

	if (c == '\0')
		return refuse(t, "a NUL", t->at);
	if (t->caseless_depth > 0) {
		status = check_caseless(t);
		if (status != PB_OK)
			return status;
	}
	if (c == '\\')
		return escape(t);
	if (t->in_class)
		return in_class(t);
	if (c == '[')
		return open_class(t);
	if (c == '(')
		return open_group(t);
	if (c == '{')
		return interval(t);
	if (c == ')' && t->depth > 0) {
		if (t->depth == t->caseless_depth)
			t->caseless_depth = 0;
		t->depth--;
	}
	return put(t, &t->regex[t->at++], 1);
}

enum pb_status pb_pattern_translate(char **out, const char *regex, size_t n, const char *where,
				    struct pb_error *err)
{
	struct translator t = {.regex = regex, .n = n, .where = where, .err = err};
	enum pb_status status;

	*out = NULL;
	PB_TRY(put_text(&t, ""));
	while (t.at < n)
		PB_TRY(one(&t));
	*out = t.out;
	t.out = NULL;
cleanup:
	free(t.out);
	return status;
}
