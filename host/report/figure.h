/* The figures of a report: how they look, and one function for each kind. A figure is a drawing
 * with a name; figures are kept in order and written together (figure_write.c). */
#ifndef PB_REPORT_FIGURE_H
#define PB_REPORT_FIGURE_H

#include "report/drawing.h"
#include "report/subject.h"

struct pb_style {
	const char *name;
	double width; /* of a figure, points */
	double size;  /* of letters */
	double line;  /* width of thin lines */
};
/* "column" (one column of a paper), "page" (its whole width), "slide"; ended by a NULL name. */
extern const struct pb_style pb_styles[];

struct pb_figure {
	char *file;            /* name without its ending */
	char *caption;         /* what it shows, a sentence or two */
	size_t subject, sweep; /* whose; SIZE_MAX: of none, of several */
	struct pb_drawing drawing;
};
/* What an axis or a colour scale of a figure holds, in all files of a report. */
struct pb_figure_range {
	char *key;
	double low, high;
};
struct pb_figure_list {
	const struct pb_style *style;
	double vmax; /* of heat maps; 0: the largest |value| */
	/* Several files: the same figure of each has one range. All figures are made twice, at
	 * first to measure what they hold. */
	bool several, measuring;
	size_t n_ranges, ranges_capacity;
	struct pb_figure_range *ranges;
	size_t n, capacity;
	struct pb_figure *items;
};
/* A fresh figure of this height at the end of the list. */
enum pb_status pb_figure_add(struct pb_figure_list *list, struct pb_figure **out, double height,
			     const char *caption, struct pb_error *err, const char *file, ...)
    __attribute__((format(printf, 6, 7)));
/* Widen [low, high] to what the same figure of the other files holds: `file` is its name, which
 * begins with the number of the file, `quantity` what the range is of. */
enum pb_status pb_figure_share_range(struct pb_figure_list *list, const char *file,
				     const char *quantity, double *low, double *high,
				     struct pb_error *err);
/* From measuring to drawing: without the figures, with their ranges. */
void pb_figure_list_measured(struct pb_figure_list *list);
void pb_figure_list_free(struct pb_figure_list *list);

/* ---- heat maps ------------------------------------------------------------------------------- */

#define PB_NO_CELL SIZE_MAX

/* One panel: a matrix of places, each of which stands for a cell (of `values`) or for none. */
struct pb_panel {
	const char *title; /* NULL: none */
	size_t n_rows, n_columns;
	const size_t *cells;  /* [n_rows, n_columns], PB_NO_CELL; NULL: places are cells */
	const double *values; /* by cell; NaN: not applicable, hatched */
	const double *low, *high, *p_fwer; /* by cell, NULL: not known; p < 0.05 is outlined */
	const char *const *row_labels, *const *column_labels; /* [n_rows], [n_columns] */
	const char *row_title, *column_title;
	const int32_t *column_roles; /* [n_columns] -1: none; NULL: none at all */
	/* [n_rows], [n_columns] labels that are bold, and stand where there is no room for all;
	 * NULL: none */
	const uint8_t *row_bold, *column_bold;
	const char *(*label)(void *context, size_t cell, char *text,
			     size_t size); /* NULL: row, column */
	void *context;
};
struct pb_heat {
	const char *quantity;       /* beside the colour bar */
	bool sequential;            /* 0 .. 1 instead of -vmax .. vmax */
	bool percent;               /* shares: written times 100, above their intervals */
	bool square;                /* places are as high as they are wide */
	double vmax;                /* 0: the largest |value| of all panels */
	size_t n_panels, n_columns; /* of panels */
	const struct pb_panel *panels;
	const char *const *role_names; /* of column_roles */
	size_t n_roles;
};
/* The height that it takes in the list's style. */
enum pb_status pb_heat_draw(struct pb_figure_list *list, const struct pb_heat *given,
			    const char *caption, struct pb_figure **out, struct pb_error *err,
			    const char *file);

/* ---- kinds of figures, each adds those that the subject has data for
 * ------------------------------ */

/* Maps of sweeps by layer, head, position, pattern entry, path (figure_sweep.c). */
enum pb_status pb_figures_of_sweeps(struct pb_figure_list *list, struct pb_subject *s,
				    size_t number, struct pb_error *err);
/* Attributions, logit lens, scores of heads, patterns (figure_readings.c). */
enum pb_status pb_figures_of_readings(struct pb_figure_list *list, struct pb_subject *s,
				      size_t number, struct pb_error *err);
/* The heads of the largest |effect| in the first sweep that has heads, layer * n_heads + head: how
 * many, at most `most` (figure_readings.c). */
size_t pb_strongest_heads(const struct pb_subject *s, size_t most, size_t *heads);
/* Grids of task sizes: of an evaluation, of a run (figure_cells.c). */
enum pb_status pb_figures_of_evaluation(struct pb_figure_list *list, struct pb_subject *s,
					size_t number, struct pb_error *err);
enum pb_status pb_figures_of_cells(struct pb_figure_list *list, struct pb_subject *s, size_t number,
				   struct pb_error *err);
/* A comparison of models (figure_compare.c). */
enum pb_status pb_figures_of_comparison(struct pb_figure_list *list, struct pb_subject *s,
					size_t number, struct pb_error *err);

#endif
