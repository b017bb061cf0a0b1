/* Recording marks. */
#include "report/drawing.h"

#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"

void pb_drawing_begin(struct pb_drawing *d, double width, double height, const char *title)
{
	*d = (struct pb_drawing){.width = width, .height = height};
	d->title = pb_arena_strdup(&d->arena, title);
	d->family = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";
	d->failed = d->title == NULL;
}

void pb_drawing_free(struct pb_drawing *d)
{
	free(d->marks);
	pb_arena_free(&d->arena);
	*d = (struct pb_drawing){0};
}

enum pb_status pb_drawing_status(const struct pb_drawing *d, struct pb_error *err)
{
	return d->failed ? pb_fail(err, PB_ERR_MEMORY, "out of memory: a figure") : PB_OK;
}

static struct pb_mark *add(struct pb_drawing *d, enum pb_mark_kind kind)
{
	static struct pb_mark lost;
	struct pb_mark *mark = &lost;

	if (pb_grow((void **)&d->marks, &d->capacity, d->n + 1, sizeof *d->marks, "a figure",
		    NULL) == PB_OK)
		mark = &d->marks[d->n++];
	else
		d->failed = true;
	*mark = (struct pb_mark){.kind = kind, .fill = PB_NO_COLOUR, .stroke = PB_NO_COLOUR};
	return mark;
}

static const char *keep(struct pb_drawing *d, const char *text)
{
	const char *kept = pb_arena_strdup(&d->arena, text);

	d->failed = d->failed || kept == NULL;
	return kept;
}

struct pb_mark *pb_draw_rect(struct pb_drawing *d, double x, double y, double w, double h,
			     uint32_t fill)
{
	struct pb_mark *mark = add(d, PB_MARK_RECT);

	mark->x = x;
	mark->y = y;
	mark->w = w;
	mark->h = h;
	mark->fill = fill;
	return mark;
}

struct pb_mark *pb_draw_circle(struct pb_drawing *d, double x, double y, double radius,
			       uint32_t fill)
{
	struct pb_mark *mark = add(d, PB_MARK_CIRCLE);

	mark->x = x;
	mark->y = y;
	mark->w = radius;
	mark->fill = fill;
	return mark;
}

struct pb_mark *pb_draw_path(struct pb_drawing *d, const double *points, size_t n_points,
			     double width)
{
	struct pb_mark *mark = add(d, PB_MARK_LINE);
	double *kept = pb_arena_alloc(&d->arena, 2 * n_points, sizeof *kept);

	d->failed = d->failed || kept == NULL;
	if (kept != NULL && n_points > 0) {
		memcpy(kept, points, 2 * n_points * sizeof *kept);
		mark->points = kept;
		mark->n_points = n_points;
	}
	mark->stroke = PB_INK;
	mark->line_width = width;
	return mark;
}

struct pb_mark *pb_draw_line(struct pb_drawing *d, double x0, double y0, double x1, double y1,
			     double width)
{
	const double points[4] = {x0, y0, x1, y1};

	return pb_draw_path(d, points, 2, width);
}

struct pb_mark *pb_draw_text(struct pb_drawing *d, double x, double y, double size,
			     enum pb_anchor anchor, const char *text)
{
	const char *kept = keep(d, text);
	struct pb_mark *mark = add(d, PB_MARK_TEXT);

	mark->x = x;
	mark->y = y;
	mark->size = size;
	mark->anchor = anchor;
	mark->fill = PB_INK;
	mark->text = kept != NULL ? kept : "";
	return mark;
}

void pb_mark_title(struct pb_drawing *d, struct pb_mark *mark, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	if (vsnprintf(text, sizeof text, format, args) < 0)
		text[0] = '\0';
	va_end(args);
	mark->title = keep(d, text);
}

void pb_mark_data(struct pb_drawing *d, struct pb_mark *mark, size_t cell)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%zu", cell);
	mark->data = keep(d, text);
}

const char *pb_minus(const char *number, char out[64])
{
	size_t k = 0;

	for (; *number != '\0' && k < 60; number++) {
		if (*number == '-')
			k += pb_utf8_put(0x2212, out + k);
		else
			out[k++] = *number;
	}
	out[k] = '\0';
	return out;
}

/* ---- widths of texts ----------------------------------------------------------------------- */

/* Of DejaVu Sans at size 1, in hundredths: from the space to the tilde. */
static const unsigned char widths[95] = {
    32, 40, 46, 84, 64, 95, 78, 27, 39,  39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79,
    60, 79, 69, 63, 61, 73, 68, 99, 69,  61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63,
    63, 28, 28, 58, 28, 97, 63, 61, 63,  63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84};

static double width_of(uint32_t code)
{
	if (code >= 32 && code < 127)
		return widths[code - 32] / 100.0;
	if (code == 0x2212)
		return 0.84;
	return code >= 0x1100 ? 1.0 : 0.65;
}

double pb_text_points(const char *text, double size)
{
	const size_t n = pb_utf8_valid(text, strlen(text));
	double width = 0;
	size_t at = 0;

	while (at < n)
		width += width_of(pb_utf8_next(text, &at));
	return width * size;
}

const char *pb_text_fit(struct pb_drawing *d, const char *text, double size, double width)
{
	const size_t n = pb_utf8_valid(text, strlen(text));
	const double room = width / size - 1.0;
	double used = 0;
	size_t at = 0, kept = 0;
	char *cut;

	if (pb_text_points(text, size) <= width)
		return text;
	while (at < n) {
		used += width_of(pb_utf8_next(text, &at));
		if (used > room)
			break;
		kept = at;
	}
	cut = pb_arena_alloc(&d->arena, kept + 4, 1);
	if (cut == NULL) {
		d->failed = true;
		return "";
	}
	memcpy(cut, text, kept);
	(void)pb_utf8_put(0x2026, cut + kept); /* the NUL behind it is there */
	return cut;
}
