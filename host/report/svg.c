/* Marks as SVG. */
#include <math.h>
#include <string.h>

#include "report/drawing.h"
#include "tokens/bytes.h"

/* ---- texts --------------------------------------------------------------------------------- */

static void put_code(const char *text, size_t from, size_t to, uint32_t code, FILE *out)
{
	if (code == '<')
		fputs("&lt;", out);
	else if (code == '>')
		fputs("&gt;", out);
	else if (code == '&')
		fputs("&amp;", out);
	else if (code == '"')
		fputs("&quot;", out);
	else if ((code < 32 && code != '\n' && code != '\t') || (code >= 127 && code < 160) ||
		 code == 0xFFFE || code == 0xFFFF)
		fputs("\xef\xbf\xbd", out);
	else
		fwrite(text + from, 1, to - from, out);
}

void pb_xml_text(const char *text, FILE *out)
{
	size_t size = strlen(text);

	while (size > 0) {
		const size_t valid = pb_utf8_valid(text, size);
		size_t at = 0, from;

		while (at < valid) {
			uint32_t code;

			from = at;
			code = pb_utf8_next(text, &at);
			put_code(text, from, at, code, out);
		}
		text += valid;
		size -= valid;
		if (size > 0) {
			fputs("\xef\xbf\xbd", out);
			text++;
			size--;
		}
	}
}

/* ---- marks --------------------------------------------------------------------------------- */

/* Hundredths of a point, without trailing zeros: files stay small. */
static void number(FILE *out, double value)
{
	char text[48];
	size_t n;

	(void)snprintf(text, sizeof text, "%.2f", value);
	n = strlen(text);
	while (n > 0 && text[n - 1] == '0')
		text[--n] = '\0';
	if (n > 0 && text[n - 1] == '.')
		text[--n] = '\0';
	fputs(strcmp(text, "-0") == 0 ? "0" : text, out);
}

static void attribute(FILE *out, const char *name, double value)
{
	fprintf(out, " %s=\"", name);
	number(out, value);
	fputc('"', out);
}

static void colour(FILE *out, const char *name, uint32_t value)
{
	if (value == PB_NO_COLOUR)
		fprintf(out, " %s=\"none\"", name);
	else if (value == PB_INK)
		fprintf(out, " %s=\"currentColor\"", name);
	else
		fprintf(out, " %s=\"#%06x\"", name, (unsigned)(value & 0xffffff));
}

static void paint(FILE *out, const struct pb_mark *m)
{
	const bool filled = m->kind != PB_MARK_LINE || m->closed;

	colour(out, "fill", filled ? m->fill : PB_NO_COLOUR);
	if (m->stroke != PB_NO_COLOUR && m->line_width > 0) {
		colour(out, "stroke", m->stroke);
		attribute(out, "stroke-width", m->line_width);
	}
	if (m->dash > 0)
		attribute(out, "stroke-dasharray", m->dash);
	if (m->opacity > 0 && m->opacity < 1)
		attribute(out, "opacity", m->opacity);
	if (m->crisp)
		fputs(" shape-rendering=\"crispEdges\"", out);
	if (m->data != NULL)
		fprintf(out, " data-cell=\"%s\"", m->data);
}

static const char *shape(FILE *out, const struct pb_mark *m)
{
	size_t i;

	if (m->kind == PB_MARK_RECT) {
		fputs("<rect", out);
		attribute(out, "x", m->x);
		attribute(out, "y", m->y);
		attribute(out, "width", m->w);
		attribute(out, "height", m->h);
		return "rect";
	}
	if (m->kind == PB_MARK_CIRCLE) {
		fputs("<circle", out);
		attribute(out, "cx", m->x);
		attribute(out, "cy", m->y);
		attribute(out, "r", m->w);
		return "circle";
	}
	fputs("<path d=\"", out);
	for (i = 0; i < m->n_points; i++) {
		fputc(i == 0 ? 'M' : 'L', out);
		number(out, m->points[2 * i]);
		fputc(' ', out);
		number(out, m->points[2 * i + 1]);
	}
	fputs(m->closed ? "Z\"" : "\"", out);
	return "path";
}

static const char *letters(FILE *out, const struct pb_mark *m)
{
	static const char *const anchors[] = {"start", "middle", "end"};

	fputs("<text", out);
	attribute(out, "x", m->x);
	attribute(out, "y", m->y);
	attribute(out, "font-size", m->size);
	if (m->anchor != PB_START)
		fprintf(out, " text-anchor=\"%s\"", anchors[m->anchor]);
	if (m->bold)
		fputs(" font-weight=\"bold\"", out);
	if (m->turn != 0) {
		fputs(" transform=\"rotate(", out);
		number(out, m->turn);
		fputc(' ', out);
		number(out, m->x);
		fputc(' ', out);
		number(out, m->y);
		fputs(")\"", out);
	}
	return "text";
}

static void write_mark(FILE *out, const struct pb_mark *m)
{
	const bool is_text = m->kind == PB_MARK_TEXT;
	const char *element = is_text ? letters(out, m) : shape(out, m);

	paint(out, m);
	if (!is_text && m->title == NULL) {
		fputs("/>\n", out);
		return;
	}
	fputc('>', out);
	if (m->title != NULL) {
		fputs("<title>", out);
		pb_xml_text(m->title, out);
		fputs("</title>", out);
	}
	if (is_text)
		pb_xml_text(m->text, out);
	fprintf(out, "</%s>\n", element);
}

void pb_svg_write(const struct pb_drawing *d, bool alone, FILE *out)
{
	size_t i;

	if (alone)
		fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
	fputs("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\"", out);
	if (alone) {
		fputs(" width=\"", out);
		number(out, d->width);
		fputs("pt\" height=\"", out);
		number(out, d->height);
		fputs("pt\" color=\"#000\"", out);
	}
	fputs(" viewBox=\"0 0 ", out);
	number(out, d->width);
	fputc(' ', out);
	number(out, d->height);
	fputs("\" font-family=\"", out);
	pb_xml_text(d->family, out);
	fputs("\" xml:space=\"preserve\">\n<title>", out);
	pb_xml_text(d->title, out);
	fputs("</title>\n", out);
	if (alone)
		fprintf(out, "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n");
	for (i = 0; i < d->n; i++)
		write_mark(out, &d->marks[i]);
	fputs("</svg>\n", out);
}
