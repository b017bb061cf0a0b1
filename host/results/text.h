/* How figures and texts are written: tables for a terminal, CSV. */
#ifndef PB_RESULTS_TEXT_H
#define PB_RESULTS_TEXT_H

#include <stdio.h>

/* "+1.99 [+1.95, +2.04]", without what there is none of (NaN). */
void pb_text_interval(char text[64], double value, double low, double high);
/* Columns that a terminal shows of UTF-8: its characters. */
int pb_text_width(const char *text);
/* A text in quotes, those within it doubled (RFC 4180). */
void pb_text_quoted(const char *text, FILE *out);

#endif
