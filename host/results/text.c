/* How figures and texts are written: tables for a terminal, CSV. */
#include "results/text.h"

#include <math.h>

void pb_text_interval(char text[64], double value, double low, double high)
{
	if (isnan(value))
		snprintf(text, 64, "-");
	else if (isnan(low) || isnan(high))
		snprintf(text, 64, "%+.3g", value);
	else
		snprintf(text, 64, "%+.3g [%+.3g, %+.3g]", value, low, high);
}

/* Bytes that do not continue a character. */
int pb_text_width(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

void pb_text_quoted(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}
