/* Variants by plain forwards: the run's own second opinion. */
#ifndef PB_ENGINE_CHECK_H
#define PB_ENGINE_CHECK_H

#include "engine/sweeps.h"

/* Logit differences of all variants of a list (at most a few: every one is a prompt of one batch)
 * by plain forwards; paths by two of them. */
enum pb_status pb_check_plain(struct pb_engine *e, const struct pb_sweep_work *work,
			      const struct pb_variants *list, double *logit_diff,
			      struct pb_error *err);

#endif
