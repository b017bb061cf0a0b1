/* Differences of texts, line by line. */
#include "results/lines.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void pb_lines_add(struct pb_lines *l, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(l->text + l->used, l->size - l->used, format, args);
	va_end(args);
	if (n > 0)
		l->used += (size_t)n < l->size - l->used ? (size_t)n : l->size - l->used - 1;
}

/* Length of the line at text, without its newline. */
static size_t line_length(const char *text)
{
	return strcspn(text, "\n");
}

static bool has_line(const char *text, const char *line, size_t length)
{
	while (*text != '\0') {
		size_t n = line_length(text);

		if (n == length && memcmp(text, line, n) == 0)
			return true;
		text += n + (text[n] == '\n');
	}
	return false;
}

void pb_lines_add_missing(struct pb_lines *l, const char *a, const char *b, const char *label)
{
	while (*a != '\0') {
		size_t n = line_length(a);

		if (n > 0 && !has_line(b, a, n))
			pb_lines_add(l, "\n  %s: %.*s", label, (int)(n < 200 ? n : 200), a);
		a += n + (a[n] == '\n');
	}
}
