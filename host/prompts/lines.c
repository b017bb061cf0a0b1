/* The lines of a JSONL text. */
#include "prompts/lines.h"

#include <string.h>

static bool is_blank(const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

bool pb_lines_next(struct pb_lines *lines, const char **line, size_t *size)
{
	while (lines->next < lines->end) {
		const char *start = lines->next;
		const char *newline = memchr(start, '\n', (size_t)(lines->end - start));
		const char *stop = newline == NULL ? lines->end : newline;

		lines->next = newline == NULL ? lines->end : newline + 1;
		lines->number++;
		if (is_blank(start, (size_t)(stop - start)))
			continue;
		*line = start;
		*size = (size_t)(stop - start);
		return true;
	}
	return false;
}

bool pb_has_bom(const char *text, size_t size)
{
	return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
}
