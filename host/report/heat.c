/* Heat maps: panels with one colour scale. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/figure.h"
#include "report/palette.h"

#define SIGNIFICANT 0.05
#define PLACES_MOST 1000000 /* no eye tells more, and no viewer opens them */
#define VALUES_LEAST 3.8    /* points of a letter */
#define TITLES_MOST 4000    /* places: beyond, hovering would make files of megabytes */

struct layout {
	const struct pb_style *style;
	double left, right, top, bottom; /* margins of a panel */
	double w, h;                     /* of a place */
	double letters, values;          /* sizes of labels, of values in places (0: none) */
	double panel_w, panel_h;         /* with margins */
	double bar_h;                    /* colour bar and legend below all */
	bool turned;                     /* column labels stand upright */
	size_t row_step, column_step;    /* every how many a label */
	size_t n_rows, n_columns;        /* of panels */
	double vmax;
};

static size_t cell_at(const struct pb_panel *p, size_t place)
{
	return p->cells != NULL ? p->cells[place] : place;
}

static double value_at(const struct pb_panel *p, size_t place)
{
	const size_t cell = cell_at(p, place);

	return cell == PB_NO_CELL ? NAN : p->values[cell];
}

static double widest(const char *const *labels, size_t n, size_t step, double size)
{
	double width = 0;
	size_t i;

	for (i = 0; i < n; i += step)
		width = fmax(width, pb_text_points(labels[i], size));
	return width;
}

static double largest(const struct pb_heat *heat)
{
	double most = 0;
	size_t k, i;

	for (k = 0; k < heat->n_panels; k++) {
		const struct pb_panel *p = &heat->panels[k];

		for (i = 0; i < p->n_rows * p->n_columns; i++)
			if (fabs(value_at(p, i)) > most && isfinite(value_at(p, i)))
				most = fabs(value_at(p, i));
	}
	return most > 0 ? most : 1;
}

/* Labels of at least 1.15 letters' height apart. */
static size_t step_for(size_t n, double place, double size)
{
	static const size_t steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
	size_t i = 0;

	while (i < 9 && (double)steps[i] * place < 1.15 * size && steps[i] < n)
		i++;
	return steps[i];
}

#define LABEL_MOST 62.0 /* points of a label */

static void make_layout(struct layout *l, const struct pb_heat *heat, const struct pb_style *style)
{
	const struct pb_panel *first = &heat->panels[0];
	double available, rows, label;

	*l = (struct layout){.style = style, .letters = style->size * 0.85};
	l->vmax = heat->vmax > 0 ? heat->vmax : largest(heat);
	l->n_columns = heat->n_columns;
	l->n_rows = (heat->n_panels + l->n_columns - 1) / l->n_columns;
	label = widest(first->row_labels, first->n_rows, 1, l->letters);
	l->left = fmin(label, LABEL_MOST) + style->size * 1.9;
	l->right = style->size * 0.8;
	available = style->width / (double)l->n_columns - l->left - l->right;
	l->w = fmin(available / (double)first->n_columns, style->size * 3.2);
	rows = fmax(fmin(l->w, style->size * 1.9), style->width * 0.0125);
	if (first->n_rows <= 16)
		rows = fmax(rows, l->letters * 1.2);
	if (first->n_rows > 40)
		rows = fmin(rows, fmax(style->width * 0.9 / (double)first->n_rows, 2.5));
	l->h = rows;
	/* All usual values fit, or none is written. */
	l->values = fmin(fmin(l->letters, l->h * 0.55), (l->w - 2) / pb_text_points("\xe2\x88\x92"
										    "0.00",
										    1));
	if (l->values < VALUES_LEAST)
		l->values = 0;
	l->row_step = step_for(first->n_rows, l->h, l->letters);
	label = widest(first->column_labels, first->n_columns, 1, l->letters);
	l->turned = label > 0.9 * l->w && label > style->size * 1.6;
	l->column_step = l->turned ? step_for(first->n_columns, l->w, l->letters)
				   : step_for(first->n_columns, l->w, label / 1.15 + 1.5);
	l->top = first->title != NULL ? style->size * 1.7 : style->size * 0.6;
	l->bottom = (l->turned ? fmin(label, LABEL_MOST) + 2 : style->size) + style->size * 1.7 +
		    (first->column_roles != NULL ? style->size * 0.8 : 0);
	l->panel_w = style->width / (double)l->n_columns;
	l->panel_h = l->top + l->h * (double)first->n_rows + l->bottom;
	l->bar_h = style->size * 3.4;
}

/* ---- places -------------------------------------------------------------------------------- */

static void hatch(struct pb_drawing *d, double x, double y, double w, double h)
{
	const double step = fmax(2.2, fmin(w, h) / 3);
	const int n = (int)((w + h - 0.1) / step);
	int i;

	for (i = 1; i <= n; i++) {
		const double t = i * step;
		struct pb_mark *mark = pb_draw_line(d, x + fmax(0, t - h), y + fmin(t, h),
						    x + fmin(t, w), y + fmax(0, t - w), 0.3);

		mark->stroke = 0x999999;
	}
}

static const char *name_of(const struct pb_panel *p, size_t place, char *text, size_t size)
{
	if (p->label != NULL)
		return p->label(p->context, cell_at(p, place), text, size);
	(void)snprintf(text, size, "%s, %s", p->row_labels[place / p->n_columns],
		       p->column_labels[place % p->n_columns]);
	return text;
}

static void say(struct pb_drawing *d, struct pb_mark *mark, const struct pb_panel *p, size_t place)
{
	const size_t cell = cell_at(p, place);
	const double value = value_at(p, place);
	char name[160], interval[64] = "", p_text[40] = "";

	if (isnan(value)) {
		pb_mark_title(d, mark, "%s: not applicable", name_of(p, place, name, sizeof name));
		return;
	}
	if (p->low != NULL && !isnan(p->low[cell]))
		(void)snprintf(interval, sizeof interval, " [%.3g, %.3g]", p->low[cell],
			       p->high[cell]);
	if (p->p_fwer != NULL && !isnan(p->p_fwer[cell]))
		(void)snprintf(p_text, sizeof p_text, ", p_fwer %.2g", p->p_fwer[cell]);
	pb_mark_title(d, mark, "%s: %.4g%s%s", name_of(p, place, name, sizeof name), value,
		      interval, p_text);
}

static uint32_t colour_of(const struct pb_heat *heat, const struct layout *l, double value)
{
	return heat->sequential ? pb_sequential(value / l->vmax) : pb_diverging(value / l->vmax);
}

/* The value within its place. */
static void write_value(struct pb_drawing *d, const struct layout *l, double x, double y,
			double value, uint32_t fill)
{
	const double size = l->values;
	char number[24], text[64];

	(void)snprintf(number, sizeof number,
		       fabs(value) >= 9.95    ? "%.0f"
		       : fabs(value) >= 0.995 ? "%.1f"
					      : "%.2f",
		       value);
	(void)pb_minus(strcmp(number, "-0.00") == 0 ? "0.00" : number, text);
	if (size > 0 && pb_text_points(text, size) <= l->w)
		pb_draw_text(d, x + l->w / 2, y + l->h / 2 + size * 0.36, size, PB_MIDDLE, text)
		    ->fill = pb_ink_on(fill);
}

static void draw_place(struct pb_drawing *d, const struct pb_heat *heat, const struct layout *l,
		       const struct pb_panel *p, size_t place, double x0, double y0)
{
	const double x = x0 + l->w * (double)(place % p->n_columns);
	const size_t row = place / p->n_columns;
	const double y = y0 + l->h * (double)row;
	const double value = value_at(p, place);
	const uint32_t fill = isnan(value) ? 0xffffff : colour_of(heat, l, value);
	struct pb_mark *mark = pb_draw_rect(d, x, y, l->w, l->h, fill);

	mark->crisp = true;
	if (p->n_rows * p->n_columns <= TITLES_MOST) {
		say(d, mark, p, place);
		if (cell_at(p, place) != PB_NO_CELL)
			pb_mark_data(d, mark, cell_at(p, place));
	}
	if (isnan(value))
		hatch(d, x, y, l->w, l->h);
	else
		write_value(d, l, x, y, value, fill);
}

static void outline(struct pb_drawing *d, const struct layout *l, const struct pb_panel *p,
		    double x0, double y0)
{
	const double least = fmin(l->w, l->h);
	const double width = fmin(fmax(l->style->line * 1.6, least * 0.07), least * 0.2);
	size_t i;

	/* Places of a fraction of a point would be nothing but their outlines. */
	for (i = 0; p->p_fwer != NULL && least > 1 && i < p->n_rows * p->n_columns; i++) {
		const size_t cell = cell_at(p, i), row = i / p->n_columns;
		struct pb_mark *mark;

		if (cell == PB_NO_CELL || !(p->p_fwer[cell] < SIGNIFICANT))
			continue;
		mark = pb_draw_rect(d, x0 + l->w * (double)(i % p->n_columns) + width / 2,
				    y0 + l->h * (double)row + width / 2, l->w - width, l->h - width,
				    PB_NO_COLOUR);
		mark->stroke = 0x000000;
		mark->line_width = width;
	}
}

/* ---- labels -------------------------------------------------------------------------------- */

static void label_rows(struct pb_drawing *d, const struct layout *l, const struct pb_panel *p,
		       double x0, double y0)
{
	const double end = x0 - 2;
	struct pb_mark *mark;
	size_t r;

	for (r = 0; r < p->n_rows; r += l->row_step)
		pb_draw_text(d, end, y0 + l->h * ((double)r + 0.5) + l->letters * 0.36, l->letters,
			     PB_END, pb_text_fit(d, p->row_labels[r], l->letters, LABEL_MOST));
	mark = pb_draw_text(d, x0 - l->left + l->style->size, y0 + l->h * (double)p->n_rows / 2,
			    l->style->size, PB_MIDDLE, p->row_title);
	mark->turn = -90;
}

static void label_columns(struct pb_drawing *d, const struct layout *l, const struct pb_panel *p,
			  double x0, double y)
{
	struct pb_mark *mark;
	size_t c;

	if (p->column_roles != NULL) {
		for (c = 0; c < p->n_columns; c++)
			if (p->column_roles[c] >= 0)
				pb_draw_rect(d, x0 + l->w * (double)c, y + 1.5, l->w,
					     l->style->size * 0.5,
					     pb_category((size_t)p->column_roles[c]))
				    ->crisp = true;
		y += l->style->size * 0.8;
	}
	for (c = 0; c < p->n_columns; c += l->column_step) {
		const double x = x0 + l->w * ((double)c + 0.5);
		const char *text = pb_text_fit(d, p->column_labels[c], l->letters, LABEL_MOST);

		if (l->turned) {
			mark =
			    pb_draw_text(d, x + l->letters * 0.36, y + 2, l->letters, PB_END, text);
			mark->turn = -90;
		} else {
			mark =
			    pb_draw_text(d, x, y + l->letters + 1.5, l->letters, PB_MIDDLE, text);
		}
		mark->bold = p->column_bold != NULL && p->column_bold[c];
	}
	pb_draw_text(d, x0 + l->w * (double)p->n_columns / 2,
		     y + l->bottom - l->style->size * 0.6 -
			 (p->column_roles != NULL ? l->style->size * 0.8 : 0),
		     l->style->size, PB_MIDDLE,
		     pb_text_fit(d, p->column_title, l->style->size, l->panel_w));
}

static void draw_panel(struct pb_drawing *d, const struct pb_heat *heat, const struct layout *l,
		       const struct pb_panel *p, double x, double y)
{
	const double x0 = x + l->left, y0 = y + l->top;
	struct pb_mark *frame;
	size_t i;

	if (p->title != NULL)
		pb_draw_text(d, x0, y + l->style->size * 1.1, l->style->size, PB_START,
			     pb_text_fit(d, p->title, l->style->size, l->panel_w - l->left))
		    ->bold = true;
	for (i = 0; i < p->n_rows * p->n_columns; i++)
		draw_place(d, heat, l, p, i, x0, y0);
	outline(d, l, p, x0, y0);
	frame = pb_draw_rect(d, x0, y0, l->w * (double)p->n_columns, l->h * (double)p->n_rows,
			     PB_NO_COLOUR);
	frame->stroke = PB_INK;
	frame->line_width = l->style->line;
	label_rows(d, l, p, x0, y0);
	label_columns(d, l, p, x0, y0 + l->h * (double)p->n_rows);
}

/* ---- the scale ----------------------------------------------------------------------------- */

#define BAR_STEPS 64

static void draw_bar(struct pb_drawing *d, const struct pb_heat *heat, const struct layout *l,
		     double y)
{
	const double size = l->style->size, w = fmin(l->style->width * 0.42, 160), h = size * 0.8;
	const double low = heat->sequential ? 0 : -l->vmax;
	const double x = l->left;
	struct pb_mark *frame;
	char number[32], text[64];
	int i;

	for (i = 0; i < BAR_STEPS; i++)
		pb_draw_rect(d, x + w * i / BAR_STEPS, y, w / BAR_STEPS + 0.2, h,
			     colour_of(heat, l, low + (l->vmax - low) * (i + 0.5) / BAR_STEPS))
		    ->crisp = true;
	frame = pb_draw_rect(d, x, y, w, h, PB_NO_COLOUR);
	frame->stroke = PB_INK;
	frame->line_width = l->style->line;
	for (i = 0; i <= 2; i++) {
		(void)snprintf(number, sizeof number, "%.3g", low + (l->vmax - low) * i / 2);
		pb_draw_text(d, x + w * i / 2, y + h + l->letters * 1.15, l->letters, PB_MIDDLE,
			     pb_minus(number, text));
	}
	pb_draw_text(d, x + w + size, y + h * 0.9, size, PB_START, heat->quantity);
}

/* What outlines, hatching and bands mean, as far as they are there. */
static void draw_legend(struct pb_drawing *d, const struct pb_heat *heat, const struct layout *l,
			double y)
{
	const struct pb_panel *p = &heat->panels[0];
	const double size = l->letters;
	double x = l->left;
	size_t r;

	for (r = 0; p->column_roles != NULL && r < heat->n_roles && r < 8; r++) {
		const double room = 3 * size + pb_text_points(heat->role_names[r], size);

		if (x + room > l->style->width)
			break;
		pb_draw_rect(d, x, y, size, size * 0.7, pb_category(r));
		pb_draw_text(d, x + size * 1.3, y + size * 0.75, size, PB_START,
			     heat->role_names[r]);
		x += room;
	}
}

enum pb_status pb_heat_draw(struct pb_figure_list *list, const struct pb_heat *heat,
			    const char *caption, struct pb_figure **out, struct pb_error *err,
			    const char *file)
{
	enum pb_status status;
	struct pb_figure *figure;
	struct layout l;
	size_t places = 0, k;
	double height;

	for (k = 0; k < heat->n_panels; k++)
		places += heat->panels[k].n_rows * heat->panels[k].n_columns;
	if (places > PLACES_MOST)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "a map of %zu places cannot be drawn: %s: sweep a part of the layers, "
		    "heads or positions",
		    places, file);
	make_layout(&l, heat, list->style);
	height = l.panel_h * (double)l.n_rows + l.bar_h +
		 (heat->panels[0].column_roles != NULL ? l.letters * 1.6 : 0);
	PB_TRY(pb_figure_add(list, &figure, height, caption, err, "%s", file));
	for (k = 0; k < heat->n_panels; k++) {
		const size_t row = k / l.n_columns;

		draw_panel(&figure->drawing, heat, &l, &heat->panels[k],
			   l.panel_w * (double)(k % l.n_columns), l.panel_h * (double)row);
	}
	draw_bar(&figure->drawing, heat, &l, l.panel_h * (double)l.n_rows + l.style->size * 0.4);
	draw_legend(&figure->drawing, heat, &l, height - l.letters * 1.3);
	*out = figure;
	status = pb_drawing_status(&figure->drawing, err);
cleanup:
	return status;
}
