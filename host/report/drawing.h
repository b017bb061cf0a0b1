/* A figure as a list of marks, in points (1/72 inch) from the top left corner. It is recorded once
 * and written as SVG (svg.c), and as PDF and PNG by cairo (cairo_plugin.c). SVG is not left to
 * cairo, which draws the letters of texts as outlines: these could be neither edited nor searched.
 */
#ifndef PB_REPORT_DRAWING_H
#define PB_REPORT_DRAWING_H

#include <stdio.h>

#include "patchbay/base.h"

/* Colours are 0xRRGGBB. PB_INK is what texts and axes are drawn in: black in files, the page's own
 * colour where the figure stands in one. */
#define PB_NO_COLOUR 0xffffffffu
#define PB_INK 0xfffffffeu

enum pb_mark_kind { PB_MARK_RECT, PB_MARK_CIRCLE, PB_MARK_LINE, PB_MARK_TEXT };
enum pb_anchor { PB_START, PB_MIDDLE, PB_END };

struct pb_mark {
	enum pb_mark_kind kind;
	double x, y; /* rect: its corner; circle: its centre; text: its anchor on the base line */
	double w, h; /* rect; circle: w is the radius */
	uint32_t fill, stroke; /* of a text: fill */
	double line_width;
	double opacity;       /* of all of it; 0 counts as 1 */
	double dash;          /* length of dashes and gaps; 0: none */
	size_t n_points;      /* line */
	const double *points; /* [n_points, 2] */
	bool closed;          /* the line is filled */
	const char *text;
	double size; /* of letters */
	enum pb_anchor anchor;
	double turn; /* degrees, clockwise */
	bool bold;
	bool crisp;        /* a place of a map: its edges do not mix with what is beside it */
	const char *title; /* what hovering says, in SVG; NULL: nothing */
	const char *data;  /* attribute data-cell in SVG; NULL: none */
};

struct pb_drawing {
	double width, height;
	const char *title;  /* for people who hear it */
	const char *family; /* of letters, a CSS list; the first is cairo's */
	size_t n, capacity;
	struct pb_mark *marks;
	struct pb_arena arena; /* texts and points */
	bool failed;           /* out of memory: pb_drawing_status */
};

void pb_drawing_begin(struct pb_drawing *d, double width, double height, const char *title);
void pb_drawing_free(struct pb_drawing *d);
/* PB_ERR_MEMORY when a mark was lost. */
enum pb_status pb_drawing_status(const struct pb_drawing *d, struct pb_error *err);

/* Each returns the mark, to be changed, valid until the next one; never NULL (a failed drawing
 * gives one that is thrown away). Texts are copied. */
struct pb_mark *pb_draw_rect(struct pb_drawing *d, double x, double y, double w, double h,
			     uint32_t fill);
struct pb_mark *pb_draw_circle(struct pb_drawing *d, double x, double y, double radius,
			       uint32_t fill);
struct pb_mark *pb_draw_line(struct pb_drawing *d, double x0, double y0, double x1, double y1,
			     double width);
struct pb_mark *pb_draw_path(struct pb_drawing *d, const double *points, size_t n_points,
			     double width);
struct pb_mark *pb_draw_text(struct pb_drawing *d, double x, double y, double size,
			     enum pb_anchor anchor, const char *text);
/* Hover text of a mark, copied. */
void pb_mark_title(struct pb_drawing *d, struct pb_mark *mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pb_mark_data(struct pb_drawing *d, struct pb_mark *mark, size_t cell);

/* A number as it is printed: with a minus sign where it has a hyphen. */
const char *pb_minus(const char *number, char out[64]);
/* The width of a text, by the letters of DejaVu Sans, which are wide: what fits by it fits. */
double pb_text_points(const char *text, double size);
/* `text` cut to `width` points, with an ellipsis where it is; in the drawing's arena. */
const char *pb_text_fit(struct pb_drawing *d, const char *text, double size, double width);

/* ---- writing ------------------------------------------------------------------------------- */

/* SVG; `alone`: a file of its own, with its size in points, else to stand in an HTML page. */
void pb_svg_write(const struct pb_drawing *d, bool alone, FILE *out);
/* A text in XML or HTML. Bytes that are not UTF-8 and control characters become U+FFFD. */
void pb_xml_text(const char *text, FILE *out);

enum pb_raster { PB_PDF, PB_PNG };
/* A PDF or PNG (dpi: its resolution) at `path`. date: "2026-01-31T10:00:00Z", of the PDF. Opens
 * libpatchbay_cairo.so: PB_ERR_INPUT where it is not there. */
enum pb_status pb_cairo_write(const struct pb_drawing *d, enum pb_raster format, const char *path,
			      double dpi, const char *date, struct pb_error *err);
/* Whether it can be opened; the error says why not. */
enum pb_status pb_cairo_open(struct pb_error *err);

#endif
