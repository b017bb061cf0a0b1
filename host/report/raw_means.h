/* Means of a metric's raw values over the pairs, where the summary has none: over the right pairs,
 * and of candidates. */
#ifndef PB_REPORT_RAW_MEANS_H
#define PB_REPORT_RAW_MEANS_H

#include "report/subject.h"

/* Over all pairs that have the cell, then over the right ones among them; NaN where there is none.
 * Cells are those of the summary: positions count from the end where its do. */
struct pb_raw_means {
	size_t n_columns; /* candidates; 1 of other metrics; 0: the file has no such metric */
	double *mean[2];  /* [n_cells, n_columns] */
	int32_t *n[2];    /* pairs */
};
/* *there: whether the means are; false too where there are too many values to read. PB_ERR_CHECK
 * for a dataset of another shape. Freed by pb_raw_means_free whatever is returned. */
enum pb_status pb_raw_means_read(struct pb_raw_means *m, const struct pb_subject *s, size_t index,
				 const char *metric, bool *there, struct pb_error *err);
void pb_raw_means_free(struct pb_raw_means *m);

/* By how many tokens a pair is shorter than the longest, where the sweep's summary counts from the
 * end; 0 in others. The summary's cell of a raw cell of such a pair: raw positions count from the
 * start, those of the summary are that much later. SIZE_MAX: none. */
size_t pb_raw_missing(const struct pb_subject *s, const struct pb_shown_sweep *w, size_t pair);
size_t pb_raw_summary_cell(const struct pb_shown_sweep *w, size_t cell, size_t missing);

#endif
