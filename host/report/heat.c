/* Heat maps: panels with one colour scale. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/heat_layout.h"
#include "report/palette.h"

#define SIGNIFICANT 0.05
#define PLACES_MOST 1000000 /* no eye tells more, and no viewer opens them */
#define TITLES_MOST 4000    /* places: beyond, hovering would make files of megabytes */

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
		return p->label(p->context, pb_heat_cell(p, place), text, size);
	(void)snprintf(text, size, "%s%s%s%s%s %s", p->row_title,
		       p->row_title[0] != '\0' ? " " : "", p->row_labels[place / p->n_columns],
		       p->row_title[0] != '\0' ? ", " : "", p->column_title,
		       p->column_labels[place % p->n_columns]);
	return text;
}

static void say(struct pb_drawing *d, struct pb_mark *mark, const struct pb_heat *heat,
		const struct pb_panel *p, size_t place)
{
	const size_t cell = pb_heat_cell(p, place);
	const double value = pb_heat_value(p, place), unit = heat->percent ? 100 : 1;
	char name[160], interval[64] = "", p_text[40] = "";

	if (isnan(value)) {
		pb_mark_title(d, mark, "%s: not applicable", name_of(p, place, name, sizeof name));
		return;
	}
	if (p->low != NULL && !isnan(p->low[cell]))
		(void)snprintf(interval, sizeof interval, " [%.3g, %.3g]", p->low[cell] * unit,
			       p->high[cell] * unit);
	if (p->p_fwer != NULL && !isnan(p->p_fwer[cell]))
		(void)snprintf(p_text, sizeof p_text, ", p_fwer %.2g", p->p_fwer[cell]);
	pb_mark_title(d, mark, "%s: %.4g%s%s%s", name_of(p, place, name, sizeof name), value * unit,
		      heat->percent ? "%" : "", interval, p_text);
}

static uint32_t colour_of(const struct pb_heat *heat, const struct pb_heat_layout *l, double value)
{
	return heat->sequential ? pb_sequential(value / l->vmax) : pb_diverging(value / l->vmax);
}

static void write_in(struct pb_drawing *d, const struct pb_heat_layout *l, double x,
		     double y_middle, double size, const char *text, uint32_t fill)
{
	if (size > 0 && pb_text_points(text, size) <= l->w)
		pb_draw_text(d, x + l->w / 2, y_middle + size * 0.36, size, PB_MIDDLE, text)->fill =
		    pb_ink_on(fill);
}

/* The value within its place. */
static void write_value(struct pb_drawing *d, const struct pb_heat_layout *l, double x, double y,
			double value, uint32_t fill)
{
	char number[24], text[64];

	(void)snprintf(number, sizeof number,
		       fabs(value) >= 9.95    ? "%.0f"
		       : fabs(value) >= 0.995 ? "%.1f"
					      : "%.2f",
		       value);
	(void)pb_minus(strcmp(number, "-0.00") == 0 ? "0.00" : number, text);
	write_in(d, l, x, y + l->h / 2, l->values, text, fill);
}

/* The same of a share, in percent, above its interval. */
static void write_share(struct pb_drawing *d, const struct pb_heat_layout *l,
			const struct pb_panel *p, size_t place, double x, double y, uint32_t fill)
{
	const size_t cell = pb_heat_cell(p, place);
	const bool both = l->intervals > 0 && p->low != NULL && isfinite(p->low[cell]);
	char text[64];

	(void)snprintf(text, sizeof text, "%.0f", 100 * p->values[cell]);
	write_in(d, l, x, y + l->h * (both ? 0.32 : 0.5), l->values, text, fill);
	if (!both)
		return;
	(void)snprintf(text, sizeof text, "%.0f\xe2\x80\x93%.0f", 100 * p->low[cell],
		       100 * p->high[cell]);
	write_in(d, l, x, y + l->h * 0.73, l->intervals, text, fill);
}

static void draw_place(struct pb_drawing *d, const struct pb_heat *heat,
		       const struct pb_heat_layout *l, const struct pb_panel *p, size_t place,
		       double x0, double y0)
{
	const double x = x0 + l->w * (double)(place % p->n_columns);
	const size_t row = place / p->n_columns;
	const double y = y0 + l->h * (double)row;
	const double value = pb_heat_value(p, place);
	const uint32_t fill = isnan(value) ? 0xffffff : colour_of(heat, l, value);
	struct pb_mark *mark = pb_draw_rect(d, x, y, l->w, l->h, fill);

	mark->crisp = true;
	if (p->n_rows * p->n_columns <= TITLES_MOST) {
		say(d, mark, heat, p, place);
		if (pb_heat_cell(p, place) != PB_NO_CELL)
			pb_mark_data(d, mark, pb_heat_cell(p, place));
	}
	if (isnan(value))
		hatch(d, x, y, l->w, l->h);
	else if (heat->percent)
		write_share(d, l, p, place, x, y, fill);
	else
		write_value(d, l, x, y, value, fill);
}

static void outline(struct pb_drawing *d, const struct pb_heat_layout *l, const struct pb_panel *p,
		    double x0, double y0)
{
	const double least = fmin(l->w, l->h);
	const double width = fmin(fmax(l->style->line * 1.6, least * 0.07), least * 0.2);
	size_t i;

	/* Places of a fraction of a point would be nothing but their outlines. */
	for (i = 0; p->p_fwer != NULL && least > 1 && i < p->n_rows * p->n_columns; i++) {
		const size_t cell = pb_heat_cell(p, i), row = i / p->n_columns;
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

/* Where the middle of a text is, so that it lies between low and high. */
static double within(double middle, const char *text, double size, double low, double high)
{
	const double half = pb_text_points(text, size) / 2 + 1;

	return fmax(fmin(middle, high - half), low + half);
}

/* Which places have a label, in the drawing's arena; NULL: the drawing has failed. */
static const uint8_t *labelled(struct pb_drawing *d, size_t n, size_t step, size_t reach,
			       const uint8_t *bold)
{
	uint8_t *stand = pb_arena_alloc(&d->arena, n, 1);

	d->failed = d->failed || stand == NULL;
	if (stand != NULL)
		pb_heat_labels(n, step, reach, bold, stand);
	return stand;
}

static void label_rows(struct pb_drawing *d, const struct pb_heat_layout *l,
		       const struct pb_panel *p, double x0, double y0)
{
	const uint8_t *stand = labelled(d, p->n_rows, l->row_step, l->row_reach, p->row_bold);
	struct pb_mark *mark;
	size_t r;

	for (r = 0; stand != NULL && r < p->n_rows; r++) {
		if (!stand[r])
			continue;
		mark = pb_draw_text(d, x0 - 2, y0 + l->h * ((double)r + 0.5) + l->letters * 0.36,
				    l->letters, PB_END,
				    pb_text_fit(d, p->row_labels[r], l->letters, PB_HEAT_LABEL));
		mark->bold = p->row_bold != NULL && p->row_bold[r];
	}
	/* beside few rows it is longer than they are high */
	mark = pb_draw_text(d, x0 - l->left + l->style->size,
			    within(y0 + l->h * (double)p->n_rows / 2, p->row_title, l->style->size,
				   y0 - l->top, y0 - l->top + l->panel_h),
			    l->style->size, PB_MIDDLE, p->row_title);
	mark->turn = -90;
}

static void label_columns(struct pb_drawing *d, const struct pb_heat_layout *l,
			  const struct pb_panel *p, double x0, double y)
{
	const uint8_t *stand =
	    labelled(d, p->n_columns, l->column_step, l->column_reach, p->column_bold);
	struct pb_mark *mark;
	const char *text;
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
	for (c = 0; stand != NULL && c < p->n_columns; c++) {
		const double x = x0 + l->w * ((double)c + 0.5);

		if (!stand[c])
			continue;
		text = pb_text_fit(d, p->column_labels[c], l->letters, PB_HEAT_LABEL);
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
	text = pb_text_fit(d, p->column_title, l->style->size, l->panel_w);
	pb_draw_text(d,
		     within(x0 + l->w * (double)p->n_columns / 2, text, l->style->size,
			    x0 - l->left, x0 - l->left + l->panel_w),
		     y + l->bottom - l->style->size * 0.6 -
			 (p->column_roles != NULL ? l->style->size * 0.8 : 0),
		     l->style->size, PB_MIDDLE, text);
}

static void draw_panel(struct pb_drawing *d, const struct pb_heat *heat,
		       const struct pb_heat_layout *l, const struct pb_panel *p, double x, double y)
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

static const char *bar_number(const struct pb_heat *heat, const struct pb_heat_layout *l, int i,
			      char text[64])
{
	const double low = heat->sequential ? 0 : -l->vmax, unit = heat->percent ? 100 : 1;
	char number[32];

	(void)snprintf(number, sizeof number, "%.3g", (low + (l->vmax - low) * i / 2) * unit);
	return pb_minus(number, text);
}

static void draw_bar(struct pb_drawing *d, const struct pb_heat *heat,
		     const struct pb_heat_layout *l, double y)
{
	const double size = l->style->size, w = fmin(l->style->width * 0.42, 160), h = size * 0.8;
	const double low = heat->sequential ? 0 : -l->vmax;
	const double words = pb_text_points(heat->quantity, size) + size;
	char text[64];
	/* neither the words behind it nor the first number's half leave the figure */
	const double least = pb_text_points(bar_number(heat, l, 0, text), l->letters) / 2 + 1;
	const double x = fmax(fmin(l->left, l->style->width - w - words), least);
	struct pb_mark *frame;
	int i;

	for (i = 0; i < BAR_STEPS; i++)
		pb_draw_rect(d, x + w * i / BAR_STEPS, y, w / BAR_STEPS + 0.2, h,
			     colour_of(heat, l, low + (l->vmax - low) * (i + 0.5) / BAR_STEPS))
		    ->crisp = true;
	frame = pb_draw_rect(d, x, y, w, h, PB_NO_COLOUR);
	frame->stroke = PB_INK;
	frame->line_width = l->style->line;
	for (i = 0; i <= 2; i++)
		pb_draw_text(d, x + w * i / 2, y + h + l->letters * 1.15, l->letters, PB_MIDDLE,
			     bar_number(heat, l, i, text));
	pb_draw_text(d, x + w + size, y + h * 0.9, size, PB_START, heat->quantity);
}

/* What outlines, hatching and bands mean, as far as they are there. */
static void draw_legend(struct pb_drawing *d, const struct pb_heat *heat,
			const struct pb_heat_layout *l, double y)
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

/* Where the scale of a map that has none ends, of several files in all of them. */
static enum pb_status choose_vmax(struct pb_figure_list *list, struct pb_heat *heat,
				  const char *file, struct pb_error *err)
{
	enum pb_status status;
	double low = 0;

	if (heat->vmax > 0)
		return PB_OK;
	heat->vmax = pb_heat_largest(heat);
	PB_TRY(pb_figure_share_range(list, file, heat->quantity, &low, &heat->vmax, err));
	if (!(heat->vmax > 0))
		heat->vmax = 1;
cleanup:
	return status;
}

enum pb_status pb_heat_draw(struct pb_figure_list *list, const struct pb_heat *given,
			    const char *caption, struct pb_figure **out, struct pb_error *err,
			    const char *file)
{
	enum pb_status status;
	struct pb_heat scaled = *given;
	const struct pb_heat *heat = &scaled;
	struct pb_figure *figure;
	struct pb_heat_layout l;
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
	PB_TRY(choose_vmax(list, &scaled, file, err));
	pb_heat_layout_make(&l, heat, list->style);
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
