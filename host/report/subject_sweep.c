/* A sweep as a report shows it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/subject_read.h"
#include "results/layout.h"

const char *const pb_shown_names[PB_N_SHOWN] = {"effect",
						"ci_low",
						"ci_high",
						"stderr",
						"p_value",
						"p_fwer",
						"q_bh",
						"n_pairs",
						"restoration",
						"restoration_ci_low",
						"restoration_ci_high"};

/* ---- axes ---------------------------------------------------------------------------------- */

static enum pb_status add_axis(struct pb_shown_sweep *w, struct pb_arena *arena,
			       enum pb_axis_kind kind, size_t n, struct pb_shown_axis **out,
			       struct pb_error *err)
{
	struct pb_shown_axis *axis = &w->axes[w->n_axes++];

	*axis = (struct pb_shown_axis){.kind = kind, .n = n};
	axis->values = pb_arena_alloc(arena, n, sizeof *axis->values);
	*out = axis;
	return axis->values != NULL ? PB_OK : pb_fail(err, PB_ERR_MEMORY, "out of memory: an axis");
}

static enum pb_status read_axes(struct pb_shown_sweep *w, struct pb_arena *arena,
				struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_file_grid *g = &w->grid;
	const bool pattern = g->sweep.site == PB_SITE_PATTERN;
	struct pb_shown_axis *axis;
	size_t stride = g->n_cells, a, i;

	for (a = 0; a < g->grid.n_axes; a++) {
		const struct pb_axis *from = &g->grid.axes[a];

		PB_TRY(add_axis(w, arena, from->kind, from->n, &axis, err));
		for (i = 0; i < from->n; i++)
			axis->values[i] = from->numbers  ? from->numbers[i]
					  : from->values ? (double)from->values[i]
							 : (double)i;
	}
	for (a = 0; a < g->n_ends; a++) {
		const enum pb_axis_kind kind = a == 1    ? PB_AXIS_KEY_POSITION
					       : pattern ? PB_AXIS_QUERY_POSITION
							 : PB_AXIS_POSITION;

		PB_TRY(add_axis(w, arena, kind, g->ends[a], &axis, err));
		axis->from_end = true;
		for (i = 0; i < axis->n; i++)
			axis->values[i] = (double)i - (double)axis->n;
	}
	for (a = 0; a < w->n_axes; a++) {
		stride /= w->axes[a].n;
		w->axes[a].stride = stride;
	}
cleanup:
	return status;
}

/* ---- what no run writes ------------------------------------------------------------------ */

static enum pb_status check_axes(const struct pb_shown_sweep *w, const struct pb_subject *s,
				 struct pb_error *err)
{
	size_t a, i;

	for (a = 0; a < w->n_axes; a++) {
		const struct pb_shown_axis *axis = &w->axes[a];
		const char *name = pb_axis_names[axis->kind];
		const bool layers = strstr(name, "layer") != NULL;
		const bool heads = !layers && strstr(name, "head") != NULL;
		const size_t n = layers ? s->r.n_layers : heads ? s->r.n_heads : s->r.n_positions;

		if (!layers && !heads && !pb_axis_is_position(axis->kind))
			continue;
		for (i = 0; i < axis->n; i++)
			if (!(axis->values[i] >= (layers || heads ? 0 : -(double)n) &&
			      axis->values[i] < (double)n))
				return pb_fail(err, PB_ERR_CHECK,
					       "%s %g of %s that has %zu: sweeps/%s: the file is "
					       "damaged, run it again",
					       name, axis->values[i],
					       layers || heads ? "a model" : "a longest prompt", n,
					       w->info->name);
	}
	return PB_OK;
}

static enum pb_status check_p(const struct pb_shown_sweep *w, const char *name, const char *suffix,
			      const double *p, struct pb_error *err)
{
	size_t i;

	for (i = 0; p != NULL && i < w->grid.n_cells; i++)
		if (!isnan(p[i]) && !(p[i] >= 0 && p[i] <= 1))
			return pb_fail(err, PB_ERR_CHECK,
				       "%s%s of %g is no probability: sweeps/%s/summary: the file "
				       "is damaged, run it again",
				       name, suffix, p[i], w->info->name);
	return PB_OK;
}

static enum pb_status check_counts(const struct pb_shown_sweep *w, const struct pb_subject *s,
				   struct pb_error *err)
{
	size_t i;
	int k;

	for (k = 0; k < 2; k++) {
		const double *n = w->columns[k][PB_SHOWN_N_PAIRS];

		for (i = 0; n != NULL && i < w->grid.n_cells; i++)
			if (!isnan(n[i]) && !(n[i] >= 0 && n[i] <= (double)s->r.n_pairs))
				return pb_fail(err, PB_ERR_CHECK,
					       "n_pairs%s is %g of %zu: sweeps/%s/summary: the "
					       "file is damaged, run it again",
					       k == 0 ? "" : "_right", n[i], s->r.n_pairs,
					       w->info->name);
	}
	return PB_OK;
}

static enum pb_status check_probabilities(const struct pb_shown_sweep *w,
					  const struct pb_subject *s, size_t index,
					  struct pb_error *err)
{
	static const enum pb_shown columns[] = {PB_SHOWN_P_VALUE, PB_SHOWN_P_FWER, PB_SHOWN_Q_BH};
	enum pb_status status;
	double *p = NULL;
	size_t c;
	int k;

	for (k = 0; k < 2; k++)
		for (c = 0; c < sizeof columns / sizeof *columns; c++)
			PB_TRY(check_p(w, pb_shown_names[columns[c]], k == 0 ? "" : "_right",
				       w->columns[k][columns[c]], err));
	PB_TRY(pb_file_grid_column_if(&w->grid, &s->r, index, "p_random_effect", &p, err));
	status = check_p(w, "p_random_effect", "", p, err);
cleanup:
	free(p);
	return status;
}

/* ---- what maps show ------------------------------------------------------------------------ */

/* Logit differences are kept as the recipient's and the effect's sum: a mean effect of nothing is a
 * few last bits of the recipient's. */
#define ROUNDING 1e-12

static void round_to_zero(double *values, size_t n, double below)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fabs(values[i]) < below)
			values[i] = 0;
}

void pb_sweep_round(const struct pb_shown_sweep *w, double *effects, size_t n)
{
	round_to_zero(effects, n, w->rounding);
}

static double rounding_of(const struct pb_shown_sweep *w, size_t n_pairs)
{
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	double most = 0;
	size_t i;

	for (i = 0; i < n_pairs; i++)
		if (isfinite(w->recipient[i]))
			most = fmax(most, fabs(w->recipient[i]));
	for (i = 0; i < w->grid.n_cells; i++)
		if (isfinite(effect[i]))
			most = fmax(most, fabs(effect[i]));
	return most * ROUNDING;
}

/* A column as maps show it: what is left when `less` is taken from it. */
static enum pb_status take_shown(double **out, const double *column, size_t n, double less,
				 double below, struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_TRY(pb_alloc((void **)out, n, sizeof **out, "cells", err));
	for (i = 0; i < n; i++)
		(*out)[i] = column[i] - less;
	round_to_zero(*out, n, below);
cleanup:
	return status;
}

/* What maps show, from the columns. */
static enum pb_status choose_shown(struct pb_shown_sweep *w, size_t n_pairs, struct pb_error *err)
{
	static const enum pb_shown sources[2][3] = {
	    {PB_SHOWN_EFFECT, PB_SHOWN_CI_LOW, PB_SHOWN_CI_HIGH},
	    {PB_SHOWN_RESTORATION, PB_SHOWN_RESTORATION_CI_LOW, PB_SHOWN_RESTORATION_CI_HIGH}};
	enum pb_status status = PB_OK;
	const size_t n = w->grid.n_cells;
	size_t i;
	int k, c;

	w->rounding = rounding_of(w, n_pairs);
	for (i = 0; i < n; i++)
		w->by_restoration =
		    w->by_restoration || isfinite(w->columns[0][PB_SHOWN_RESTORATION][i]);
	for (k = 0; k < 2; k++) {
		double **const out[3] = {&w->shown[k], &w->low[k], &w->high[k]};

		for (c = 0; c < 3; c++)
			PB_TRY(take_shown(out[c], w->columns[k][sources[w->by_restoration][c]], n,
					  w->by_restoration && w->info->noise ? 1 : 0,
					  w->by_restoration ? ROUNDING : w->rounding, err));
	}
cleanup:
	return status;
}

static enum pb_status count_restored(struct pb_shown_sweep *w, const struct pb_subject *s,
				     size_t index, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	double *n = NULL, most = 0;
	size_t i;

	w->n_restored = s->r.n_pairs;
	if (!w->by_restoration)
		return PB_OK;
	PB_TRY(pb_file_grid_column_if(&w->grid, &s->r, index, "restoration_n_pairs", &n, err));
	for (i = 0; n != NULL && i < w->grid.n_cells; i++)
		most = fmax(most, n[i]);
	if (n != NULL && most < (double)s->r.n_pairs)
		w->n_restored = (size_t)most;
cleanup:
	free(n);
	return status;
}

enum pb_status pb_subject_read_sweep(struct pb_subject *s, size_t index, struct pb_error *err)
{
	enum pb_status status;
	struct pb_shown_sweep *w = &s->sweeps[index];
	int c, k;

	w->info = &s->r.sweeps[index];
	w->recipient = s->r.logit_diff[w->info->noise ? 0 : 1];
	PB_TRY(pb_file_grid_read(&w->grid, &s->r, index, err));
	PB_TRY(read_axes(w, &s->arena, err));
	for (k = 0; k < 2; k++)
		for (c = 0; c < PB_N_SHOWN; c++)
			PB_TRY(pb_file_grid_column(&w->grid, &s->r, index, pb_shown_names[c],
						   k == 0 ? "" : "_right", &w->columns[k][c], err));
	PB_TRY(check_axes(w, s, err));
	PB_TRY(check_counts(w, s, err));
	PB_TRY(check_probabilities(w, s, index, err));
	PB_TRY(choose_shown(w, s->r.n_pairs, err));
	PB_TRY(count_restored(w, s, index, err));
cleanup:
	return status;
}

void pb_subject_free_sweep(struct pb_shown_sweep *w)
{
	int c, k;

	for (k = 0; k < 2; k++) {
		free(w->shown[k]);
		free(w->low[k]);
		free(w->high[k]);
		for (c = 0; c < PB_N_SHOWN; c++)
			free(w->columns[k][c]);
	}
	pb_file_grid_free(&w->grid);
}

/* ---- words --------------------------------------------------------------------------------- */

const struct pb_shown_axis *pb_sweep_axis(const struct pb_shown_sweep *w, enum pb_axis_kind kind)
{
	size_t a;

	for (a = 0; a < w->n_axes; a++)
		if (w->axes[a].kind == kind)
			return &w->axes[a];
	return NULL;
}

size_t pb_axis_step(const struct pb_shown_axis *axis, size_t cell)
{
	return cell / axis->stride % axis->n;
}

const char *pb_sweep_left_out(const struct pb_subject *s, const struct pb_shown_sweep *w,
			      char text[160])
{
	text[0] = '\0';
	if (w->n_restored < s->r.n_pairs)
		(void)snprintf(text, 160,
			       "; restorations are over %zu of %zu pairs, without those that are "
			       "absent or whose gap is below min_gap (%g)",
			       w->n_restored, s->r.n_pairs, w->info->min_gap);
	return text;
}

const char *pb_sweep_quantity(const struct pb_shown_sweep *w)
{
	if (!w->by_restoration)
		return "effect (logits)";
	return w->info->noise ? "restoration \xe2\x88\x92 1" : "restoration";
}

const char *pb_sweep_title(struct pb_arena *arena, const struct pb_shown_sweep *w)
{
	const char *words = pb_result_sweep_words(w->info);
	const size_t n = strlen(words), k = strlen(w->differs);
	char *text = pb_arena_alloc(arena, n + k + 4, 1);
	size_t i;

	if (text == NULL)
		return "";
	for (i = 0; i < n; i++)
		text[i] = words[i] == '_' ? ' ' : words[i];
	if (k > 0)
		(void)snprintf(text + n, k + 4, " (%s)", w->differs);
	return text;
}
