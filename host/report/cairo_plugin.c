/* Marks as PDF and PNG by cairo: with fonts_plugin.c the only files that see it and fontconfig. It
 * is a plugin, since linking cairo and what it needs would be paid at every start of the program.
 */
#include <cairo-pdf.h>
#include <cairo.h>
#include <math.h>
#include <string.h>

#include "report/cairo.h"
#include "report/fonts_plugin.h"
#include "tokens/bytes.h"

static void set_colour(cairo_t *cr, uint32_t colour, double opacity)
{
	const uint32_t c = colour == PB_INK ? 0 : colour;

	cairo_set_source_rgba(cr, (c >> 16 & 255) / 255.0, (c >> 8 & 255) / 255.0,
			      (c & 255) / 255.0, opacity > 0 ? opacity : 1);
}

static void trace(cairo_t *cr, const struct pb_mark *m)
{
	size_t i;

	cairo_new_path(cr);
	if (m->kind == PB_MARK_RECT) {
		cairo_rectangle(cr, m->x, m->y, m->w, m->h);
	} else if (m->kind == PB_MARK_CIRCLE) {
		cairo_arc(cr, m->x, m->y, m->w, 0, 2 * M_PI);
	} else {
		for (i = 0; i < m->n_points; i++)
			cairo_line_to(cr, m->points[2 * i], m->points[2 * i + 1]);
		if (m->closed)
			cairo_close_path(cr);
	}
}

static void draw_shape(cairo_t *cr, const struct pb_mark *m)
{
	const bool filled = m->kind != PB_MARK_LINE || m->closed;

	trace(cr, m);
	cairo_set_antialias(cr, m->crisp ? CAIRO_ANTIALIAS_NONE : CAIRO_ANTIALIAS_DEFAULT);
	if (filled && m->fill != PB_NO_COLOUR) {
		set_colour(cr, m->fill, m->opacity);
		cairo_fill_preserve(cr);
	}
	/* Viewers of PDF mix edges all the same: neighbours overlap by a hair. */
	if (m->crisp && cairo_surface_get_type(cairo_get_target(cr)) == CAIRO_SURFACE_TYPE_PDF) {
		cairo_set_line_width(cr, 0.1);
		cairo_set_dash(cr, NULL, 0, 0);
		cairo_stroke_preserve(cr);
	}
	if (m->stroke != PB_NO_COLOUR && m->line_width > 0) {
		set_colour(cr, m->stroke, m->opacity);
		cairo_set_line_width(cr, m->line_width);
		cairo_set_dash(cr, &m->dash, m->dash > 0 ? 1 : 0, 0);
		cairo_stroke(cr);
	}
}

/* A text's runs, one after the other from the current point; or, when it is only to be measured,
 * nothing: its width. */
static double show_runs(cairo_t *cr, const struct pb_mark *m, const char *family, bool measured)
{
	const size_t n = pb_utf8_valid(m->text, strlen(m->text));
	cairo_text_extents_t extents;
	double width = 0;
	size_t at = 0, end;
	char run[512];

	while (at < n) {
		const char *use;

		end = pb_font_run(m->text, at, family, m->bold, &use);
		(void)snprintf(run, sizeof run, "%.*s", (int)(end - at), m->text + at);
		run[pb_utf8_valid(run, strlen(run))] = '\0'; /* cut within a letter */
		cairo_select_font_face(cr, use, CAIRO_FONT_SLANT_NORMAL,
				       m->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
		if (measured) {
			cairo_text_extents(cr, run, &extents);
			width += extents.x_advance;
		} else {
			cairo_show_text(cr, run);
		}
		at = end;
	}
	return width;
}

static void draw_text(cairo_t *cr, const struct pb_mark *m, const char *family)
{
	double width;

	cairo_save(cr);
	cairo_set_font_size(cr, m->size);
	width = show_runs(cr, m, family, true);
	cairo_translate(cr, m->x, m->y);
	cairo_rotate(cr, m->turn * M_PI / 180);
	cairo_move_to(cr,
		      m->anchor == PB_MIDDLE ? -width / 2
		      : m->anchor == PB_END  ? -width
					     : 0,
		      0);
	set_colour(cr, m->fill, m->opacity);
	(void)show_runs(cr, m, family, false);
	cairo_restore(cr);
}

static cairo_surface_t *make_surface(const struct pb_drawing *d, enum pb_raster format,
				     const char *path, double dpi, const char *date)
{
	cairo_surface_t *surface;

	if (format == PB_PNG)
		return cairo_image_surface_create(CAIRO_FORMAT_RGB24,
						  (int)ceil(d->width * dpi / 72),
						  (int)ceil(d->height * dpi / 72));
	surface = cairo_pdf_surface_create(path, d->width, d->height);
	cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, d->title);
	/* Without a date of ours it is today's, and no two files are the same. */
	cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, date);
	return surface;
}

static void draw(cairo_t *cr, const struct pb_drawing *d, const char *family)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->marks[i].kind == PB_MARK_TEXT)
			draw_text(cr, &d->marks[i], family);
		else
			draw_shape(cr, &d->marks[i]);
}

/* The first of a CSS list of families. */
static void first_family(const char *list, char *out, size_t size)
{
	(void)snprintf(out, size, "%.*s", (int)strcspn(list, ","), list);
}

__attribute__((visibility("default"))) enum pb_status
pb_cairo_plugin_write(const struct pb_drawing *d, enum pb_raster format, const char *path,
		      double dpi, const char *date, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	cairo_surface_t *surface = make_surface(d, format, path, dpi, date);
	cairo_t *cr = cairo_create(surface);
	cairo_status_t found;
	char family[64];

	first_family(d->family, family, sizeof family);
	if (format == PB_PNG) {
		cairo_scale(cr, dpi / 72, dpi / 72);
		set_colour(cr, 0xffffff, 1);
		cairo_paint(cr);
	}
	draw(cr, d, family);
	found = cairo_status(cr);
	cairo_destroy(cr);
	if (found == CAIRO_STATUS_SUCCESS && format == PB_PNG)
		found = cairo_surface_write_to_png(surface, path);
	cairo_surface_finish(surface);
	if (found == CAIRO_STATUS_SUCCESS)
		found = cairo_surface_status(surface);
	cairo_surface_destroy(surface);
	if (found != CAIRO_STATUS_SUCCESS)
		status = pb_fail(err, found == CAIRO_STATUS_NO_MEMORY ? PB_ERR_MEMORY : PB_ERR_IO,
				 "cannot draw: %s: %s", path, cairo_status_to_string(found));
	return status;
}
