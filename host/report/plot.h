/* A frame with two axes, and what is drawn in it. */
#ifndef PB_REPORT_PLOT_H
#define PB_REPORT_PLOT_H

#include "report/figure.h"

struct pb_plot {
	struct pb_drawing *d;
	const struct pb_style *style;
	double x, y, w, h;                   /* the frame, in points */
	double x_low, x_high, y_low, y_high; /* what it stands for */
};

/* Widen [low, high] so that it holds `value`; NaN changes nothing. Begin with low > high. */
void pb_range_add(double *low, double *high, double value);
/* Room around it; [0, 1] where it is empty. */
void pb_range_finish(double *low, double *high);

double pb_plot_x(const struct pb_plot *p, double value);
double pb_plot_y(const struct pb_plot *p, double value);
/* The frame with ticks at round numbers and titles; `whole`: x has whole numbers alone. A thin line
 * at zero where the axis has it. */
void pb_plot_frame(const struct pb_plot *p, const char *x_title, const char *y_title, bool whole);
/* Margins that the titles and ticks take. */
double pb_plot_left(const struct pb_style *style);
double pb_plot_bottom(const struct pb_style *style);
/* The frame of a figure of this height, with these margins and no legend; y and style are set. */
void pb_plot_fit(struct pb_plot *p, double height);
/* A line through n points, without those that are NaN, in a colour; with low and high (NULL: none)
 * the band of its interval. */
void pb_plot_curve(const struct pb_plot *p, size_t n, const double *x, const double *y,
		   const double *low, const double *high, uint32_t colour);
/* The same with whiskers for intervals, as curve k of n_curves in one frame: each is a little
 * beside the others, so that their whiskers can be told apart. */
void pb_plot_whiskers(const struct pb_plot *p, size_t n, const double *x, const double *y,
		      const double *low, const double *high, size_t k, size_t n_curves,
		      uint32_t colour);
/* A line of a legend, right of the frame, which leaves it this room. */
double pb_plot_legend_room(const struct pb_style *style);
void pb_plot_legend(const struct pb_plot *p, size_t row, const char *text, uint32_t colour);

/* A horizontal chart is a plot without a frame, whose rows have labels: the room that the widest
 * of these takes (x is set), one of them, and the axis below with a line at zero. */
double pb_plot_label_width(const struct pb_style *style, const char *label);
void pb_plot_row_label(const struct pb_plot *p, const char *label, double y_middle);
void pb_plot_rows_axis(const struct pb_plot *p, const char *quantity);

/* A row of such a chart: a label, a value with its interval. */
struct pb_bar {
	const char *label;
	double value, low, high; /* NaN: none */
	uint32_t colour;
	const char *title; /* hovering; NULL: label and value */
};
enum pb_status pb_bars_draw(struct pb_figure_list *list, const struct pb_bar *bars, size_t n,
			    const char *quantity, const char *caption, struct pb_figure **out,
			    struct pb_error *err, const char *file);

/* Mean over the rows of an [n_rows, n_columns] table, without NaN, and its standard error (NaN of a
 * single row). */
void pb_mean_rows(const double *table, size_t n_rows, size_t n_columns, size_t column, double *mean,
		  double *error);

#endif
