/* `patchbay verify A --against B`. */
#ifndef PB_RESULTS_AGAINST_H
#define PB_RESULTS_AGAINST_H

#include "results/verify_data.h"

/* Compare the datasets of two files into the report, an item each. tolerance: of float datasets,
 * relative to the sweep's largest effect (logit differences of sweeps) or to the largest value of
 * the dataset; then summaries, ranks and checks are left out. Negative: all to the bit. Attributes
 * are not compared: host, times and commands may differ. */
enum pb_status pb_against(struct pb_report *report, const char *path, const char *other,
			  double tolerance, struct pb_error *err);

#endif
