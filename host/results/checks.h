/* What a run proves about itself, judged from figures: at assembly from the parts, and by `verify`
 * again from what the file holds. */
#ifndef PB_RESULTS_CHECKS_H
#define PB_RESULTS_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "patchbay/results.h"

/* Tolerances: this much of the largest effect, by the precision of delta products ("fp32", "tf32",
 * "bf16"; else as fp32), and of the largest |logit|. */
double pb_check_relative(const char *precision);
#define PB_CHECK_OF_LOGIT 1e-5
/* Of the sum of attributions: this much of the largest |logit difference|, and logits at least. */
#define PB_CHECK_ATTRIBUTION 1e-4

struct pb_check_figures {
	const struct pb_experiment *e; /* for the labels of cells in messages; may be NULL */
	size_t n_chunks, n_layers, n_sweeps, n_variants;
	double relative; /* pb_check_relative of the run's precision: 1e-3 unless set */
	/* found */
	double *resid_pre_deviation;   /* [n_chunks, n_layers]; NaN in chunks without pairs */
	int32_t *resid_pre_pairs;      /* [n_chunks] pairs patched whole; -1: a missing chunk */
	double *logit_largest;         /* [n_chunks] */
	bool attribution;              /* direct logit attributions were asked for */
	double *attribution_deviation; /* [n_chunks] NaN where they were not */
	double logit_diff_largest;     /* largest |logit difference| of the base runs */
	double gap_largest;            /* largest |LD_clean - LD_corrupted| over the pairs */
	double *effect_largest;        /* [n_sweeps] largest |effect| over the sweep's variants */
	struct pb_checked_variant *variants; /* [n_variants] */
	double *in_file; /* [n_variants] what the sweep's dataset holds for each */
	/* judged */
	double resid_pre_tolerance, resid_pre_largest;
	double attribution_tolerance, attribution_largest; /* NaN when not asked for */
	double *variant_tolerance;                         /* [n_sweeps] */
	double *variant_largest;  /* [n_sweeps] largest deviation; NaN without variants */
	size_t *n_sweep_variants; /* [n_sweeps] */
};

enum pb_status pb_check_figures_new(struct pb_check_figures *figures, size_t n_chunks,
				    size_t n_layers, size_t n_sweeps, struct pb_error *err);
void pb_check_figures_free(struct pb_check_figures *figures);
/* Append n variants (in_file starts as NaN). */
enum pb_status pb_check_figures_add(struct pb_check_figures *figures,
				    const struct pb_checked_variant *variants, size_t n,
				    struct pb_error *err);

/* Fill the judged figures. PB_ERR_CHECK with the figures in the message when
 *   a chunk's resid_pre deviation exceeds relative * gap_largest
 *     + PB_CHECK_OF_LOGIT * largest |logit|,
 *   the sum of a chunk's attributions is further from the logit difference than
 *     PB_CHECK_ATTRIBUTION * max(largest |logit difference|, 1),
 *   a checked variant, as the check saw it or as the file holds it, is further from the plain
 *     forward than relative * the sweep's largest |effect| + PB_CHECK_OF_LOGIT * largest
 *     |logit|,
 *   or nothing was checked though there are sweeps. */
enum pb_status pb_checks_judge(struct pb_check_figures *figures, struct pb_error *err);

#endif
