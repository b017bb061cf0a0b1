/* Plots with two axes. */
#include "report/plot.h"

#include <math.h>
#include <stdlib.h>

void pb_range_add(double *low, double *high, double value)
{
	if (!isfinite(value))
		return;
	*low = fmin(*low, value);
	*high = fmax(*high, value);
}

void pb_range_finish(double *low, double *high)
{
	const double room = (*high - *low) * 0.06;

	if (!(*low <= *high)) {
		*low = 0;
		*high = 1;
	} else if (*low == *high) {
		*low -= 0.5;
		*high += 0.5;
	} else {
		*low -= room;
		*high += room;
	}
}

double pb_plot_x(const struct pb_plot *p, double value)
{
	return p->x + p->w * (value - p->x_low) / (p->x_high - p->x_low);
}

double pb_plot_y(const struct pb_plot *p, double value)
{
	return p->y + p->h * (1 - (value - p->y_low) / (p->y_high - p->y_low));
}

/* 1, 2 or 5 times a power of ten, so that about n of them make the range. */
static double tick_step(double range, int n, bool whole)
{
	const double raw = range / n, power = pow(10, floor(log10(raw)));
	const double part = raw / power;
	const double step = power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);

	return whole ? fmax(1, round(step)) : step;
}

double pb_plot_left(const struct pb_style *style)
{
	return style->size * 4.6;
}

double pb_plot_bottom(const struct pb_style *style)
{
	return style->size * 3.2;
}

void pb_plot_fit(struct pb_plot *p, double height)
{
	p->x = pb_plot_left(p->style);
	p->w = p->style->width - p->x - p->style->size;
	p->h = height - p->y - pb_plot_bottom(p->style);
}

static const char *tick_text(char text[64], double value, double step)
{
	char number[32];

	(void)snprintf(number, sizeof number, "%.4g", fabs(value) < step * 1e-6 ? 0.0 : value);
	return pb_minus(number, text);
}

/* The ticks of a range are (*first + i) * step, i < the number returned. */
static int tick_places(double low, double high, double step, double *first)
{
	const double n = floor(high / step + 1e-9) - ceil(low / step);

	*first = ceil(low / step);
	return n >= 0 && n < 1000 ? (int)n + 1 : 0;
}

static void ticks_x(const struct pb_plot *p, bool whole)
{
	const double size = p->style->size * 0.85;
	const double step = tick_step(p->x_high - p->x_low, (int)fmax(2, p->w / (size * 5)), whole);
	double first;
	const int n = tick_places(p->x_low, p->x_high, step, &first);
	char text[64];
	int i;

	for (i = 0; i < n; i++) {
		const double v = (first + i) * step, x = pb_plot_x(p, v);

		pb_draw_line(p->d, x, p->y + p->h, x, p->y + p->h + 2, p->style->line);
		pb_draw_text(p->d, x, p->y + p->h + 2.5 + size, size, PB_MIDDLE,
			     tick_text(text, v, step));
	}
}

static void ticks_y(const struct pb_plot *p)
{
	const double size = p->style->size * 0.85;
	const double step =
	    tick_step(p->y_high - p->y_low, (int)fmax(2, p->h / (size * 2.4)), false);
	double first;
	const int n = tick_places(p->y_low, p->y_high, step, &first);
	char text[64];
	int i;

	for (i = 0; i < n; i++) {
		const double v = (first + i) * step, y = pb_plot_y(p, v);

		pb_draw_line(p->d, p->x - 2, y, p->x, y, p->style->line);
		pb_draw_text(p->d, p->x - 3, y + size * 0.36, size, PB_END,
			     tick_text(text, v, step));
	}
}

static void faint(struct pb_mark *mark)
{
	mark->stroke = 0xb0b0b0;
}

void pb_plot_frame(const struct pb_plot *p, const char *x_title, const char *y_title, bool whole)
{
	const double size = p->style->size;
	struct pb_mark *frame;

	if (p->y_low < 0 && p->y_high > 0)
		faint(pb_draw_line(p->d, p->x, pb_plot_y(p, 0), p->x + p->w, pb_plot_y(p, 0),
				   p->style->line));
	frame = pb_draw_rect(p->d, p->x, p->y, p->w, p->h, PB_NO_COLOUR);
	frame->stroke = PB_INK;
	frame->line_width = p->style->line;
	ticks_x(p, whole);
	ticks_y(p);
	pb_draw_text(p->d, p->x + p->w / 2, p->y + p->h + size * 2.6, size, PB_MIDDLE, x_title);
	pb_draw_text(p->d, p->x - pb_plot_left(p->style) + size * 1.1, p->y + p->h / 2, size,
		     PB_MIDDLE, y_title)
	    ->turn = -90;
}

/* The band of one stretch of points without a gap. */
static void draw_band(const struct pb_plot *p, size_t first, size_t end, const double *x,
		      const double *low, const double *high, uint32_t colour)
{
	const size_t n = end - first;
	double *points = NULL;
	struct pb_mark *mark;
	size_t i;

	if (pb_alloc((void **)&points, 4 * n, sizeof *points, "a figure", NULL) != PB_OK) {
		p->d->failed = true;
		return;
	}
	for (i = 0; i < n; i++) {
		const size_t back = 2 * n - 1 - i;

		points[2 * i] = points[2 * back] = pb_plot_x(p, x[first + i]);
		points[2 * i + 1] = pb_plot_y(p, high[first + i]);
		points[2 * back + 1] = pb_plot_y(p, low[first + i]);
	}
	mark = pb_draw_path(p->d, points, 2 * n, 0);
	mark->closed = true;
	mark->fill = colour;
	mark->opacity = 0.2;
	free(points);
}

static void draw_stretch(const struct pb_plot *p, size_t first, size_t end, const double *x,
			 const double *y, uint32_t colour)
{
	double *points = NULL;
	size_t i;

	if (pb_alloc((void **)&points, 2 * (end - first), sizeof *points, "a figure", NULL) !=
	    PB_OK) {
		p->d->failed = true;
		return;
	}
	for (i = first; i < end; i++) {
		points[2 * (i - first)] = pb_plot_x(p, x[i]);
		points[2 * (i - first) + 1] = pb_plot_y(p, y[i]);
	}
	pb_draw_path(p->d, points, end - first, p->style->line * 2)->stroke = colour;
	free(points);
}

/* Dots, with what hovering says of them. */
static void draw_dots(const struct pb_plot *p, size_t n, const double *x, const double *y,
		      const double *low, const double *high, uint32_t colour)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (isfinite(y[i])) {
			struct pb_mark *dot =
			    pb_draw_circle(p->d, pb_plot_x(p, x[i]), pb_plot_y(p, y[i]),
					   p->style->line * 2.6, colour);

			if (low != NULL && isfinite(low[i]))
				pb_mark_title(p->d, dot, "%g: %.4g [%.4g, %.4g]", x[i], y[i],
					      low[i], high[i]);
			else
				pb_mark_title(p->d, dot, "%g: %.4g", x[i], y[i]);
		}
}

/* Lines through stretches of points without a gap, with their bands. */
static void draw_stretches(const struct pb_plot *p, size_t n, const double *x, const double *y,
			   const double *low, const double *high, uint32_t colour)
{
	size_t first, end;

	for (first = 0; first < n; first = end + 1) {
		while (first < n && !isfinite(y[first]))
			first++;
		for (end = first; end < n && isfinite(y[end]);)
			end++;
		if (end <= first)
			continue;
		if (low != NULL && isfinite(low[first]) && end - first > 1)
			draw_band(p, first, end, x, low, high, colour);
		draw_stretch(p, first, end, x, y, colour);
	}
}

void pb_plot_curve(const struct pb_plot *p, size_t n, const double *x, const double *y,
		   const double *low, const double *high, uint32_t colour)
{
	draw_stretches(p, n, x, y, low, high, colour);
	draw_dots(p, n, x, y, low, high, colour);
}

void pb_plot_whiskers(const struct pb_plot *p, size_t n, const double *x, const double *y,
		      const double *low, const double *high, size_t k, size_t n_curves,
		      uint32_t colour)
{
	const double apart = fmin(p->style->line * 6, p->w / (double)(n * n_curves) * 0.7);
	const double shift = apart * ((double)k - (double)(n_curves - 1) / 2);
	struct pb_plot beside = *p;
	size_t i;

	beside.x += shift;
	draw_stretches(&beside, n, x, y, NULL, NULL, colour);
	for (i = 0; i < n; i++)
		if (isfinite(low[i]) && isfinite(high[i]))
			pb_draw_line(p->d, pb_plot_x(&beside, x[i]), pb_plot_y(p, low[i]),
				     pb_plot_x(&beside, x[i]), pb_plot_y(p, high[i]),
				     p->style->line * 1.5)
			    ->stroke = colour;
	draw_dots(&beside, n, x, y, low, high, colour);
}

double pb_plot_legend_room(const struct pb_style *style)
{
	return style->size * 9;
}

void pb_plot_legend(const struct pb_plot *p, size_t row, const char *text, uint32_t colour)
{
	const double size = p->style->size * 0.9, x = p->x + p->w + p->style->size;
	const double y = p->y + p->style->size * (1.0 + 1.35 * (double)row);

	pb_draw_circle(p->d, x, y - size * 0.35, size * 0.32, colour);
	pb_draw_text(p->d, x + size * 0.7, y, size, PB_START,
		     pb_text_fit(p->d, text, size, pb_plot_legend_room(p->style) - 2 * size));
}

/* ---- horizontal charts --------------------------------------------------------------------- */

#define ROW_LABEL 0.9 /* of the style's letters */

double pb_plot_label_width(const struct pb_style *style, const char *label)
{
	return fmin(pb_text_points(label, style->size * ROW_LABEL), style->width * 0.4);
}

void pb_plot_row_label(const struct pb_plot *p, const char *label, double y_middle)
{
	const double size = p->style->size;

	pb_draw_text(p->d, p->x - size * 0.4, y_middle + size * 0.32, size * ROW_LABEL, PB_END,
		     pb_text_fit(p->d, label, size * ROW_LABEL, p->x - size));
}

void pb_plot_rows_axis(const struct pb_plot *p, const char *quantity)
{
	const double size = p->style->size, bottom = p->y + p->h;

	pb_draw_line(p->d, pb_plot_x(p, 0), p->y, pb_plot_x(p, 0), bottom, p->style->line);
	pb_draw_line(p->d, p->x, bottom, p->x + p->w, bottom, p->style->line);
	ticks_x(p, false);
	pb_draw_text(p->d, p->x + p->w / 2, bottom + size * 2.6, size, PB_MIDDLE, quantity);
}

/* ---- bars ---------------------------------------------------------------------------------- */

static void bar_range(const struct pb_bar *bars, size_t n, double *low, double *high)
{
	size_t i;

	*low = *high = 0;
	for (i = 0; i < n; i++) {
		pb_range_add(low, high, bars[i].value);
		pb_range_add(low, high, bars[i].low);
		pb_range_add(low, high, bars[i].high);
	}
}

static void draw_bar(const struct pb_plot *p, const struct pb_bar *bar, double y, double h)
{
	const double zero = pb_plot_x(p, 0), x = pb_plot_x(p, bar->value);
	struct pb_mark *mark;

	if (!isfinite(bar->value)) {
		pb_draw_text(p->d, zero + 2, y + h * 0.9, p->style->size * 0.8, PB_START,
			     "not applicable");
		return;
	}
	mark = pb_draw_rect(p->d, fmin(zero, x), y + h * 0.2, fabs(x - zero), h * 0.6, bar->colour);
	if (bar->title != NULL)
		pb_mark_title(p->d, mark, "%s", bar->title);
	else if (isfinite(bar->low))
		pb_mark_title(p->d, mark, "%s: %.4g [%.4g, %.4g]", bar->label, bar->value, bar->low,
			      bar->high);
	else
		pb_mark_title(p->d, mark, "%s: %.4g", bar->label, bar->value);
	if (isfinite(bar->low))
		pb_draw_line(p->d, pb_plot_x(p, bar->low), y + h / 2, pb_plot_x(p, bar->high),
			     y + h / 2, p->style->line * 1.6);
}

enum pb_status pb_bars_draw(struct pb_figure_list *list, const struct pb_bar *bars, size_t n,
			    const char *quantity, const char *caption, struct pb_figure **out,
			    struct pb_error *err, const char *file)
{
	enum pb_status status;
	const double size = list->style->size, row = size * 1.35;
	struct pb_plot p = {.style = list->style, .y = size * 0.5};
	struct pb_figure *figure;
	double widest = 0;
	size_t i;

	for (i = 0; i < n; i++)
		widest = fmax(widest, pb_plot_label_width(list->style, bars[i].label));
	p.x = widest + size;
	p.w = list->style->width - p.x - size;
	p.h = row * (double)n;
	bar_range(bars, n, &p.x_low, &p.x_high);
	PB_TRY(pb_figure_share_range(list, file, quantity, &p.x_low, &p.x_high, err));
	pb_range_finish(&p.x_low, &p.x_high);
	PB_TRY(pb_figure_add(list, &figure, p.y + p.h + pb_plot_bottom(list->style), caption, err,
			     "%s", file));
	p.d = &figure->drawing;
	for (i = 0; i < n; i++) {
		const double y = p.y + row * (double)i;

		pb_plot_row_label(&p, bars[i].label, y + row * 0.5);
		draw_bar(&p, &bars[i], y + row * 0.1, row * 0.8);
	}
	pb_plot_rows_axis(&p, quantity);
	*out = figure;
	status = pb_drawing_status(p.d, err);
cleanup:
	return status;
}

void pb_mean_rows(const double *table, size_t n_rows, size_t n_columns, size_t column, double *mean,
		  double *error)
{
	double sum = 0, squares = 0, n = 0;
	size_t i;

	for (i = 0; i < n_rows; i++)
		if (isfinite(table[i * n_columns + column])) {
			sum += table[i * n_columns + column];
			n += 1;
		}
	*mean = n > 0 ? sum / n : NAN;
	for (i = 0; i < n_rows; i++)
		if (isfinite(table[i * n_columns + column]))
			squares += pow(table[i * n_columns + column] - *mean, 2);
	*error = n > 1 ? sqrt(squares / (n - 1) / n) : NAN;
}
