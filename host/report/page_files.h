/* The page's own files, as the build embeds them (make/embed.sh); each ends with a NUL. */
#ifndef PB_REPORT_PAGE_FILES_H
#define PB_REPORT_PAGE_FILES_H

#include <stddef.h>

extern const char pb_page_html[], pb_page_css[], pb_page_js[];
extern const size_t pb_page_html_size, pb_page_css_size, pb_page_js_size;

#endif
