/* What a file proves about itself, for people. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/subject_read.h"
#include "results/verify_data.h"

static enum pb_status add(struct pb_subject *s, bool passed, const char *name, struct pb_error *err,
			  const char *format, ...) __attribute__((format(printf, 5, 6)));

static enum pb_status add(struct pb_subject *s, bool passed, const char *name, struct pb_error *err,
			  const char *format, ...)
{
	struct pb_subject_check *check = &s->checks[s->n_checks];
	char text[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	*check = (struct pb_subject_check){.passed = passed, .name = name};
	check->text = pb_subject_keep(s, text, n < 0 ? 0 : strlen(text));
	s->n_checks++;
	return check->text != NULL ? PB_OK : pb_fail(err, PB_ERR_MEMORY, "out of memory: checks");
}

/* The sweep whose checked variants lie furthest from a plain forward, in parts of its tolerance. */
static size_t worst_sweep(const struct pb_check_figures *f, double *part)
{
	size_t worst = 0, i;

	*part = -1;
	for (i = 0; i < f->n_sweeps; i++) {
		const double p = f->variant_largest[i] / f->variant_tolerance[i];

		if (p > *part) {
			*part = p;
			worst = i;
		}
	}
	return worst;
}

static enum pb_status describe_figures(struct pb_subject *s, const struct pb_check_figures *f,
				       struct pb_error *err)
{
	enum pb_status status;
	double part;
	const size_t worst = worst_sweep(f, &part);

	PB_TRY(add(s, f->resid_pre_largest <= f->resid_pre_tolerance, "whole patch", err,
		   "resid_pre patched whole from the donor gives the donor's logit difference: "
		   "%.2g off at most, tolerance %.2g",
		   f->resid_pre_largest, f->resid_pre_tolerance));
	if (f->n_sweeps > 0)
		PB_TRY(add(s, part <= 1 && f->n_variants > 0, "plain forward", err,
			   "%zu random variant%s recomputed by a plain, unpruned forward: %.2g off "
			   "at most, tolerance %.2g (sweep %s)",
			   f->n_variants, f->n_variants == 1 ? "" : "s", f->variant_largest[worst],
			   f->variant_tolerance[worst], s->r.sweeps[worst].name));
	if (f->attribution)
		PB_TRY(add(s, f->attribution_largest <= f->attribution_tolerance, "attributions",
			   err,
			   "direct logit attributions sum to the logit difference: %.2g off at "
			   "most, tolerance %.2g",
			   f->attribution_largest, f->attribution_tolerance));
cleanup:
	return status;
}

/* A file whose check fails is shown, in red: the judge stops at the first thing that is wrong, and
 * what comes behind it is not known. One whose figures cannot be read is damaged. */
static enum pb_status check_run(struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status, judged;
	struct pb_check_figures figures = {0};
	struct pb_error why = {0};

	PB_TRY(pb_result_figures(&figures, &s->r, err));
	judged = pb_checks_judge(&figures, &why);
	if (judged == PB_OK)
		status = describe_figures(s, &figures, err);
	else if (judged == PB_ERR_CHECK)
		status = add(s, false, "own check", err, "%s", why.message);
	else
		status = pb_fail(err, judged, "%s", why.message);
cleanup:
	pb_check_figures_free(&figures);
	return status;
}

static enum pb_status check_evaluation(struct pb_subject *s, struct pb_error *err)
{
	struct pb_error why = {0};
	char text[256];
	const enum pb_status judged = pb_evaluation_verify(s->r.file, text, sizeof text, &why);

	if (judged == PB_ERR_MEMORY)
		return pb_fail(err, judged, "%s", why.message);
	return add(s, judged == PB_OK, "cells", err, "%s", judged == PB_OK ? text : why.message);
}

/* A comparison proves nothing but that its data are what was written. */
static enum pb_status check_data(struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status;
	struct pb_report report = {.out = fopen("/dev/null", "w")};

	if (report.out == NULL)
		return pb_fail(err, PB_ERR_IO, "cannot open: /dev/null");
	PB_TRY(pb_verify_data(&report, s->r.file, err));
	PB_TRY(add(s, report.n_wrong == 0, "checksums", err, "%s",
		   report.n_wrong == 0 ? "all data are what was written" : report.first.message));
cleanup:
	(void)fclose(report.out);
	return status;
}

enum pb_status pb_subject_read_checks(struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(add(s, !s->r.partial, "complete", err, "%s",
		   s->r.partial
		       ? s->r.evaluation
			     ? "this file is partial: not all of the experiment's prompts are in it"
			     : "this file is partial: not all of the experiment's pairs are in it"
		       : "the file is complete"));
	status = s->comparison     ? check_data(s, err)
		 : s->r.evaluation ? check_evaluation(s, err)
				   : check_run(s, err);
cleanup:
	return status;
}
