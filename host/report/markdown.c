/* Texts in Markdown. */
#include <string.h>

#include "report/report_parts.h"

/* Line ends would end a row of a table, and the rest is what Markdown or HTML would take for its
 * own: CommonMark lets each of these be escaped. */
void pb_markdown_text(const char *text, FILE *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n' || *text == '\r') {
			fputc(' ', out);
			continue;
		}
		/* a bracket begins a link where it ends at one of these alone */
		if (strchr("\\`*_<>|#&~$", *text) != NULL ||
		    (*text == ']' && text[1] != '\0' && strchr("([:", text[1]) != NULL))
			fputc('\\', out);
		fputc(*text, out);
	}
}
