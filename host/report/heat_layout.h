/* Where the parts of a heat map are, between heat_layout.c and heat.c. */
#ifndef PB_REPORT_HEAT_LAYOUT_H
#define PB_REPORT_HEAT_LAYOUT_H

#include "report/figure.h"

#define PB_HEAT_LABEL 62.0 /* points of a label */

struct pb_heat_layout {
	const struct pb_style *style;
	double left, right, top, bottom; /* margins of a panel */
	double w, h;                     /* of a place */
	double letters, values;          /* sizes of labels, of values in places (0: none) */
	double intervals;                /* of intervals below values (0: none) */
	double panel_w, panel_h;         /* with margins */
	double bar_h;                    /* colour bar and legend below all */
	bool turned;                     /* column labels stand upright */
	size_t row_step, column_step;    /* every how many a label */
	size_t row_reach, column_reach;  /* places from one label to the next, at least */
	size_t n_rows, n_columns;        /* of panels */
	double vmax;
};

/* The cell at a place of a panel, and its value: PB_NO_CELL and NaN where there is none. */
size_t pb_heat_cell(const struct pb_panel *p, size_t place);
double pb_heat_value(const struct pb_panel *p, size_t place);
/* Which of n places have a label, [n] into `stand`: bold ones first, then every step-th that is not
 * within their reach. */
void pb_heat_labels(size_t n, size_t step, size_t reach, const uint8_t *bold, uint8_t *stand);
/* The largest |value| of all panels, 0 without any. */
double pb_heat_largest(const struct pb_heat *heat);
/* heat->vmax is above 0. */
void pb_heat_layout_make(struct pb_heat_layout *l, const struct pb_heat *heat,
			 const struct pb_style *style);

#endif
