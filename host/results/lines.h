/* What one text of lines has and another lacks, for messages. */
#ifndef PB_RESULTS_LINES_H
#define PB_RESULTS_LINES_H

#include <stddef.h>

/* A text that lines are appended to, cut off where it is full. */
struct pb_lines {
	char *text; /* begins empty; ends with a NUL */
	size_t size, used;
};
void pb_lines_add(struct pb_lines *lines, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "\n  LABEL: LINE" for each line of `a` that `b` does not have. */
void pb_lines_add_missing(struct pb_lines *lines, const char *a, const char *b, const char *label);

#endif
