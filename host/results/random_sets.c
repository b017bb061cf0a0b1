/* Named sets, and those of top, beside random sets of their size. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"

struct beside {
	const struct pb_sweep *sweep;
	size_t n_cells, behind; /* cells are (steps before the set, set, steps behind it) */
	double *sample;         /* [n_sets] */
	double *figures[PB_N_RANDOM_FIGURES]; /* [n_cells] each, by enum pb_random_field */
	int32_t *n;
};

static enum pb_status beside_new(struct beside *b, struct pb_error *err)
{
	enum pb_status status;
	int f;

	for (f = 0; f < PB_N_RANDOM_FIGURES; f++)
		PB_TRY(pb_alloc((void **)&b->figures[f], b->n_cells, sizeof(double), "random sets",
				err));
	PB_TRY(pb_alloc((void **)&b->n, b->n_cells, sizeof *b->n, "random sets", err));
	PB_TRY(
	    pb_alloc((void **)&b->sample, b->sweep->n_sets, sizeof *b->sample, "random sets", err));
cleanup:
	return status;
}

static void beside_free(struct beside *b)
{
	int f;

	for (f = 0; f < PB_N_RANDOM_FIGURES; f++)
		free(b->figures[f]);
	free(b->n);
	free(b->sample);
}

/* Whether random sets, which have heads alone, are like it but for which heads. */
static bool is_compared(const struct pb_set *set)
{
	size_t m;

	if (set->source != PB_SET_NAMED && set->source != PB_SET_TOP)
		return false;
	for (m = 0; m < set->n; m++)
		if (set->members[m].head < 0)
			return false;
	return true;
}

/* The values of the random sets of a set's size, at its cell's other steps, into b->sample. */
static size_t take_sample(struct beside *b, const double *values, size_t cell, size_t set)
{
	const struct pb_set *sets = b->sweep->sets;
	size_t n = 0, r;

	for (r = 0; r < b->sweep->n_sets; r++) {
		if (sets[r].source != PB_SET_RANDOM || sets[r].n != sets[set].n)
			continue;
		/* unsigned differences wrap around */
		b->sample[n] = values[cell + (r - set) * b->behind];
		n += !isnan(b->sample[n]);
	}
	return n;
}

/* (1 + those of the sample that reach |value|) / (1 + n); what differs by rounding ties. */
static double p_by_rank(const double *sample, size_t n, double value)
{
	const double bound = fabs(value) * (1 - PB_STATS_TIE);
	size_t hits = 0, i;

	if (n == 0 || isnan(value))
		return NAN;
	for (i = 0; i < n; i++)
		hits += fabs(sample[i]) >= bound;
	return (1 + (double)hits) / (1 + (double)n);
}

static double mean_of(const double *x, size_t n)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += x[i];
	return n > 0 ? sum / (double)n : NAN;
}

static double deviation_of(const double *x, size_t n, double mean)
{
	double squares = 0;
	size_t i;

	for (i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean);
	return n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
}

static void fill_effect(struct beside *b, const double *effect, size_t cell, size_t set)
{
	const size_t n = take_sample(b, effect, cell, set);
	double *const *f = b->figures;

	b->n[cell] = (int32_t)n;
	f[PB_RANDOM_P_EFFECT][cell] = p_by_rank(b->sample, n, effect[cell]);
	f[PB_RANDOM_MEAN][cell] = mean_of(b->sample, n);
	f[PB_RANDOM_SD][cell] = deviation_of(b->sample, n, f[PB_RANDOM_MEAN][cell]);
	f[PB_RANDOM_LOW][cell] = n > 0 ? pb_quantile(b->sample, n, 0.025) : NAN;
	f[PB_RANDOM_HIGH][cell] = n > 0 ? pb_quantile(b->sample, n, 0.975) : NAN;
}

static void fill(struct beside *b, const double *effect, const double *accuracy_change)
{
	size_t c, n;
	int f;

	for (c = 0; c < b->n_cells; c++) {
		const size_t set = c / b->behind % b->sweep->n_sets;

		for (f = 0; f < PB_N_RANDOM_FIGURES; f++)
			b->figures[f][c] = NAN;
		b->n[c] = 0;
		if (!is_compared(&b->sweep->sets[set]))
			continue;
		fill_effect(b, effect, c, set);
		if (accuracy_change == NULL)
			continue;
		n = take_sample(b, accuracy_change, c, set);
		b->figures[PB_RANDOM_P_ACCURACY][c] = p_by_rank(b->sample, n, accuracy_change[c]);
		b->figures[PB_RANDOM_ACCURACY_CHANGE][c] = mean_of(b->sample, n);
	}
}

enum pb_status pb_random_sets_write(const struct pb_summary_shared *shared, size_t sweep,
				    hid_t group, hid_t out,
				    const double *const effects[PB_N_SUBSETS],
				    const double *accuracy_change, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = shared->e;
	const struct pb_grid *grid = &e->grids[sweep];
	const struct pb_axes axes = pb_summary_axes(e, sweep, group);
	struct beside b = {.sweep = &e->sweeps[sweep], .n_cells = grid->n_cells, .behind = 1};
	size_t i;
	int s, f;

	for (i = (size_t)pb_grid_axis(grid, PB_AXIS_SET) + 1; i < grid->n_axes; i++)
		b.behind *= grid->axes[i].n;
	PB_TRY(beside_new(&b, err));
	for (s = 0; s < PB_N_SUBSETS; s++) {
		/* Accuracy is over all pairs, and there once. */
		const double *change = s == 0 ? accuracy_change : NULL;
		const int n_figures =
		    change != NULL ? PB_N_RANDOM_FIGURES : (int)PB_RANDOM_P_ACCURACY;

		fill(&b, effects[s], change);
		for (f = 0; f < n_figures; f++)
			PB_TRY(pb_field_write_masked(shared->layout, out, &pb_random_fields[f],
						     &axes, pb_subset_suffixes[s], b.figures[f],
						     err));
		PB_TRY(pb_field_write(shared->layout, out, &pb_random_fields[PB_RANDOM_N], &axes,
				      pb_subset_suffixes[s], b.n, err));
	}
cleanup:
	beside_free(&b);
	return status;
}
