/* Judging a run's own checks. Comparisons are written so that NaN fails. */
#include "results/checks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"

double pb_check_relative(const char *precision)
{
	if (precision && strcmp(precision, "bf16") == 0)
		return 2e-2;
	return precision && strcmp(precision, "tf32") == 0 ? 5e-3 : 1e-3;
}

enum pb_status pb_check_figures_new(struct pb_check_figures *f, size_t n_chunks, size_t n_layers,
				    size_t n_sweeps, struct pb_error *err)
{
	enum pb_status status;
	size_t cells;

	*f = (struct pb_check_figures){.n_chunks = n_chunks,
				       .n_layers = n_layers,
				       .n_sweeps = n_sweeps,
				       .relative = pb_check_relative(NULL)};
	if (!pb_size_mul(n_chunks, n_layers, &cells))
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: checks");
	PB_TRY(pb_alloc((void **)&f->resid_pre_deviation, cells, sizeof(double), "checks", err));
	PB_TRY(pb_alloc((void **)&f->resid_pre_pairs, n_chunks, sizeof(int32_t), "checks", err));
	PB_TRY(pb_alloc((void **)&f->logit_largest, n_chunks, sizeof(double), "checks", err));
	PB_TRY(
	    pb_alloc((void **)&f->attribution_deviation, n_chunks, sizeof(double), "checks", err));
	PB_TRY(pb_alloc((void **)&f->effect_largest, n_sweeps, sizeof(double), "checks", err));
	PB_TRY(pb_alloc((void **)&f->variant_tolerance, n_sweeps, sizeof(double), "checks", err));
	PB_TRY(pb_alloc((void **)&f->variant_largest, n_sweeps, sizeof(double), "checks", err));
	PB_TRY(pb_alloc((void **)&f->n_sweep_variants, n_sweeps, sizeof(size_t), "checks", err));
	return PB_OK;
cleanup:
	pb_check_figures_free(f);
	return status;
}

void pb_check_figures_free(struct pb_check_figures *f)
{
	free(f->resid_pre_deviation);
	free(f->resid_pre_pairs);
	free(f->logit_largest);
	free(f->attribution_deviation);
	free(f->effect_largest);
	free(f->variants);
	free(f->in_file);
	free(f->variant_tolerance);
	free(f->variant_largest);
	free(f->n_sweep_variants);
	*f = (struct pb_check_figures){0};
}

enum pb_status pb_check_figures_add(struct pb_check_figures *f,
				    const struct pb_checked_variant *variants, size_t n,
				    struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_checked_variant *all = NULL;
	double *in_file = NULL;
	size_t total, i;

	if (n == 0)
		return PB_OK;
	if (!pb_size_add(f->n_variants, n, &total))
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: checks");
	PB_TRY(pb_alloc((void **)&all, total, sizeof *all, "checks", err));
	PB_TRY(pb_alloc((void **)&in_file, total, sizeof *in_file, "checks", err));
	for (i = 0; i < total; i++) {
		all[i] = i < f->n_variants ? f->variants[i] : variants[i - f->n_variants];
		in_file[i] = i < f->n_variants ? f->in_file[i] : NAN;
	}
	free(f->variants);
	free(f->in_file);
	f->variants = all;
	f->in_file = in_file;
	f->n_variants = total;
	return PB_OK;
cleanup:
	free(all);
	free(in_file);
	return status;
}

/* A partial merge lacks chunks: there is nothing to judge in them. */
static bool is_missing(const struct pb_check_figures *f, size_t chunk)
{
	return f->resid_pre_pairs[chunk] < 0;
}

static double largest_logit(const struct pb_check_figures *f)
{
	double largest = 0;
	size_t c;

	/* NaN stays NaN and fails what is compared with it. */
	for (c = 0; c < f->n_chunks; c++)
		if (!is_missing(f, c) &&
		    (isnan(f->logit_largest[c]) || f->logit_largest[c] > largest))
			largest = f->logit_largest[c];
	return largest;
}

static enum pb_status judge_resid_pre(struct pb_check_figures *f, double logit,
				      struct pb_error *err)
{
	size_t c, l, checked = 0;

	f->resid_pre_tolerance = f->relative * f->gap_largest + PB_CHECK_OF_LOGIT * logit;
	f->resid_pre_largest = 0;
	for (c = 0; c < f->n_chunks; c++) {
		for (l = 0; l < f->n_layers; l++) {
			double deviation = f->resid_pre_deviation[c * f->n_layers + l];

			if (f->resid_pre_pairs[c] <= 0)
				continue;
			if (!(deviation <= f->resid_pre_tolerance))
				return pb_fail(err, PB_ERR_CHECK,
					       "the run's own check failed: all of resid_pre "
					       "patched at layer %zu (chunk %zu) is %.3g from the "
					       "donor's logit difference, more than the tolerance "
					       "%.3g",
					       l, c, deviation, f->resid_pre_tolerance);
			if (deviation > f->resid_pre_largest)
				f->resid_pre_largest = deviation;
		}
		checked += f->resid_pre_pairs[c] > 0;
	}
	if (checked == 0 && f->n_sweeps > 0)
		return pb_fail(err, PB_ERR_CHECK,
			       "the run's own check failed: resid_pre was patched in no pair");
	return PB_OK;
}

static enum pb_status judge_attribution(struct pb_check_figures *f, struct pb_error *err)
{
	size_t c;

	f->attribution_tolerance = f->attribution_largest = NAN;
	if (!f->attribution)
		return PB_OK;
	f->attribution_tolerance = PB_CHECK_ATTRIBUTION * fmax(f->logit_diff_largest, 1);
	f->attribution_largest = 0;
	for (c = 0; c < f->n_chunks; c++) {
		const double deviation = f->attribution_deviation[c];

		if (is_missing(f, c))
			continue;
		if (!(deviation <= f->attribution_tolerance))
			return pb_fail(err, PB_ERR_CHECK,
				       "the run's own check failed: direct logit attributions "
				       "(chunk %zu) sum to %.3g from the logit difference, more "
				       "than the tolerance %.3g",
				       c, deviation, f->attribution_tolerance);
		if (deviation > f->attribution_largest)
			f->attribution_largest = deviation;
	}
	return PB_OK;
}

/* "cell 6", and what it is where the grid is known. */
static void cell_text(const struct pb_check_figures *f, const struct pb_checked_variant *v,
		      char *text, size_t size)
{
	char label[96] = "";

	if (f->e != NULL)
		pb_grid_label(&f->e->grids[v->sweep], &f->e->sweeps[v->sweep], (size_t)v->cell,
			      label, sizeof label);
	snprintf(text, size, label[0] != '\0' ? "cell %d (%s)" : "cell %d%s", (int)v->cell, label);
}

static enum pb_status judge_variant(struct pb_check_figures *f, size_t i, struct pb_error *err)
{
	const struct pb_checked_variant *v = &f->variants[i];
	const size_t s = (size_t)v->sweep;
	const double seen = fabs(v->logit_diff - v->logit_diff_plain);
	const double held = fabs(f->in_file[i] - v->logit_diff_plain);
	const double deviation = held > seen ? held : seen;
	char cell[128];

	cell_text(f, v, cell, sizeof cell);
	if (!(seen <= f->variant_tolerance[s]) || !(held <= f->variant_tolerance[s]))
		return pb_fail(err, PB_ERR_CHECK,
			       "the run's own check failed: sweep %d, pair %d, %s: logit "
			       "difference %.9g (in the file %.9g), by a plain forward %.9g, "
			       "further apart than the tolerance %.3g",
			       v->sweep, v->pair, cell, v->logit_diff, f->in_file[i],
			       v->logit_diff_plain, f->variant_tolerance[s]);
	if (f->n_sweep_variants[s]++ == 0 || deviation > f->variant_largest[s])
		f->variant_largest[s] = deviation;
	return PB_OK;
}

enum pb_status pb_checks_judge(struct pb_check_figures *f, struct pb_error *err)
{
	enum pb_status status;
	const double logit = largest_logit(f);
	size_t s, i;

	for (s = 0; s < f->n_sweeps; s++) {
		f->variant_tolerance[s] =
		    f->relative * f->effect_largest[s] + PB_CHECK_OF_LOGIT * logit;
		f->variant_largest[s] = NAN;
		f->n_sweep_variants[s] = 0;
	}
	PB_TRY(judge_resid_pre(f, logit, err));
	PB_TRY(judge_attribution(f, err));
	for (i = 0; i < f->n_variants; i++)
		PB_TRY(judge_variant(f, i, err));
	if (f->n_variants == 0 && f->n_sweeps > 0)
		status = pb_fail(err, PB_ERR_CHECK,
				 "the run's own check failed: no variant was recomputed");
cleanup:
	return status;
}
