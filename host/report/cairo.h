/* What libpatchbay_cairo.so offers. */
#ifndef PB_REPORT_CAIRO_H
#define PB_REPORT_CAIRO_H

#include "report/drawing.h"

#define PB_CAIRO_PLUGIN "libpatchbay_cairo.so"
#define PB_CAIRO_SYMBOL "pb_cairo_plugin_write"

/* As pb_cairo_write. */
enum pb_status pb_cairo_plugin_write(const struct pb_drawing *d, enum pb_raster format,
				     const char *path, double dpi, const char *date,
				     struct pb_error *err);

#endif
