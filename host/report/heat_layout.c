/* Where the parts of a heat map are. */
#include "report/heat_layout.h"

#include <math.h>
#include <string.h>

#define VALUES_LEAST 3.8 /* points of a letter */

size_t pb_heat_cell(const struct pb_panel *p, size_t place)
{
	return p->cells != NULL ? p->cells[place] : place;
}

double pb_heat_value(const struct pb_panel *p, size_t place)
{
	const size_t cell = pb_heat_cell(p, place);

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

double pb_heat_largest(const struct pb_heat *heat)
{
	double most = 0;
	size_t k, i;

	for (k = 0; k < heat->n_panels; k++) {
		const struct pb_panel *p = &heat->panels[k];

		for (i = 0; i < p->n_rows * p->n_columns; i++)
			if (fabs(pb_heat_value(p, i)) > most && isfinite(pb_heat_value(p, i)))
				most = fabs(pb_heat_value(p, i));
	}
	return most;
}

#define APART 1.15 /* letters' height from one label to the next */

/* Every how many places a label, at round numbers. */
static size_t step_for(size_t n, double place, double size)
{
	static const size_t steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
	size_t i = 0;

	while (i < 9 && (double)steps[i] * place < APART * size && steps[i] < n)
		i++;
	return steps[i];
}

static size_t reach_for(double place, double size)
{
	return (size_t)ceil(APART * size / place);
}

void pb_heat_labels(size_t n, size_t step, size_t reach, const uint8_t *bold, uint8_t *stand)
{
	size_t i, k;

	memset(stand, 0, n);
	for (i = 0, k = n; bold != NULL && i < n; i++)
		if (bold[i] && (k == n || i - k >= reach)) {
			stand[i] = 1;
			k = i;
		}
	for (i = 0; i < n; i += step) {
		const size_t first = i > reach - 1 ? i - (reach - 1) : 0;

		for (k = first; k < n && k < i + reach && !(stand[k] && bold != NULL && bold[k]);)
			k++;
		if (k == n || k == i + reach)
			stand[i] = 1;
	}
}

/* All usual values fit, or none is written; the same of the intervals below them. */
static void fit_values(struct pb_heat_layout *l, const struct pb_heat *heat)
{
	const char *widest = heat->percent ? "100"
					   : "\xe2\x88\x92"
					     "0.00";
	const double h = heat->percent ? l->h * 0.4 : l->h * 0.55;

	l->values = fmin(fmin(l->letters, h), (l->w - 2) / pb_text_points(widest, 1));
	if (l->values < VALUES_LEAST)
		l->values = 0;
	if (!heat->percent || heat->panels[0].low == NULL)
		return;
	l->intervals = fmin(l->values * 0.85, (l->w - 1.5) / pb_text_points("98\xe2\x80\x93"
									    "100",
									    1));
	if (l->intervals < VALUES_LEAST)
		l->intervals = 0;
}

void pb_heat_layout_make(struct pb_heat_layout *l, const struct pb_heat *heat,
			 const struct pb_style *style)
{
	const struct pb_panel *first = &heat->panels[0];
	double available, rows, label, height;

	*l = (struct pb_heat_layout){.style = style, .letters = style->size * 0.85};
	l->vmax = heat->vmax;
	l->n_columns = heat->n_columns;
	l->n_rows = (heat->n_panels + l->n_columns - 1) / l->n_columns;
	label = widest(first->row_labels, first->n_rows, 1, l->letters);
	l->left = fmin(label, PB_HEAT_LABEL) + style->size * 1.9;
	l->right = style->size * 0.8;
	available = style->width / (double)l->n_columns - l->left - l->right;
	l->w = fmin(available / (double)first->n_columns, style->size * 3.2);
	rows = fmax(fmin(l->w, style->size * 1.9), style->width * 0.0125);
	if (first->n_rows <= 16)
		rows = fmax(rows, l->letters * (heat->percent ? 2.4 : 1.2));
	if (first->n_rows > 40)
		rows = fmin(rows, fmax(style->width * 0.9 / (double)first->n_rows, 2.5));
	l->h = heat->square ? l->w : rows;
	fit_values(l, heat);
	l->row_step = step_for(first->n_rows, l->h, l->letters);
	l->row_reach = reach_for(l->h, l->letters);
	label = widest(first->column_labels, first->n_columns, 1, l->letters);
	l->turned = label > 0.9 * l->w && label > style->size * 1.6;
	height = l->turned ? l->letters : label / APART + 1.5;
	l->column_step = step_for(first->n_columns, l->w, height);
	l->column_reach = reach_for(l->w, height);
	l->top = first->title != NULL ? style->size * 1.7 : style->size * 0.6;
	l->bottom = (l->turned ? fmin(label, PB_HEAT_LABEL) + 2 : style->size) + style->size * 1.7 +
		    (first->column_roles != NULL ? style->size * 0.8 : 0);
	l->panel_w = style->width / (double)l->n_columns;
	l->panel_h = l->top + l->h * (double)first->n_rows + l->bottom;
	l->bar_h = style->size * 3.4;
}
