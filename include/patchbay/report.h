/* A report of result files: one self-contained HTML page, figures, tables. It reads result files
 * alone, never a model. */
#ifndef PATCHBAY_REPORT_H
#define PATCHBAY_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of pb_report_options.formats. */
enum pb_report_format { PB_REPORT_SVG = 1, PB_REPORT_PDF = 2, PB_REPORT_PNG = 4 };

struct pb_report_options {
	size_t n_paths;
	char *const *paths; /* result files, evaluations; or comparisons */
	const char *folder; /* index.html, summary.md, figures/ and tables/ below it */
	const char *style;  /* "column", "page", "slide"; NULL: column */
	double dpi;         /* of PNG; 0: 300 */
	double vmax;        /* end of the colour scale of heat maps; 0: the largest |value| */
	unsigned formats;   /* of figures; 0: all */
	bool force;         /* replace a report that is there */
	bool compare;       /* files of different experiments side by side */
};

/* Write it: aside, then put in place when it is whole. PB_ERR_INPUT: a file that is none of these,
 * files of different experiments without `compare`, a folder with something else in it, a bad
 * style; PB_ERR_CHECK: a damaged file; PB_ERR_IO: it could not be written. Then the folder is as it
 * was. */
enum pb_status pb_report_make(const struct pb_report_options *given, struct pb_error *err);

#ifdef __cplusplus
}
#endif
#endif
