/* Whether the data of a file are what was written: checksums, and values where they belong. */
#ifndef PB_RESULTS_VERIFY_DATA_H
#define PB_RESULTS_VERIFY_DATA_H

#include <stdio.h>

#include "results/h5.h"

/* The report: a line an item, and the first thing that was wrong. */
struct pb_report {
	FILE *out;
	size_t n_wrong;
	struct pb_error first;
};
void pb_report_good(struct pb_report *report, const char *item, const char *what);
void pb_report_wrong(struct pb_report *report, const char *item, const struct pb_error *why);
/* Record the outcome of one item. What is wrong with the file is reported and the rest goes on;
 * only want of memory ends the verification. */
enum pb_status pb_report_item(struct pb_report *report, enum pb_status status, const char *name,
			      const char *what, const struct pb_error *why, struct pb_error *err);

/* The attributes and every dataset, by /checks, into the report; an error only where the file
 * cannot be walked. */
enum pb_status pb_verify_attributes(struct pb_report *r, hid_t file, struct pb_error *err);
enum pb_status pb_verify_data(struct pb_report *report, hid_t file, struct pb_error *err);

#endif
