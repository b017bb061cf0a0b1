/* Which family has the letters of a text, for cairo_plugin.c. */
#ifndef PB_REPORT_FONTS_PLUGIN_H
#define PB_REPORT_FONTS_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

/* cairo draws a text in one font, and boxes for what it lacks. So a text is cut into runs that one
 * font has: where the run that begins at text[at] ends, and its family: `family` itself wherever
 * its font has the letters, else the next that fontconfig would take. A letter that no font has
 * counts to the run it is in, and is warned of once. Text: valid UTF-8. */
size_t pb_font_run(const char *text, size_t at, const char *family, bool bold, const char **use);

#endif
