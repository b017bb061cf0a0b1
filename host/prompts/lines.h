/* The lines of a JSONL text. */
#ifndef PATCHBAY_PROMPTS_LINES_H
#define PATCHBAY_PROMPTS_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define PB_JSONL_MAX_SIZE ((size_t)1 << 30) /* of a file, bytes */

struct pb_lines {
	const char *next, *end; /* what is still to be read */
	size_t number;          /* of the line last read, counted from 1 */
};

/* The next line that is not blank, without its newline; false at the end. */
bool pb_lines_next(struct pb_lines *lines, const char **line, size_t *size);

/* Whether the text begins with UTF-8's byte order mark. */
bool pb_has_bom(const char *text, size_t size);

#endif
