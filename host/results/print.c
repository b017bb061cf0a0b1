/* The end of a run on a terminal: a heat map of each sweep, its strongest cells, one line on all.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/base.h"
#include "results/print.h"

/* ---- strongest cells ----------------------------------------------------------------------- */

void pb_print_interval(FILE *out, double value, double low, double high)
{
	if (isnan(value))
		fputs("   -                 ", out);
	else if (isnan(low))
		fprintf(out, "%+6.2f               ", value);
	else
		fprintf(out, "%+6.2f [%+.2f, %+.2f]", value, low, high);
}

void pb_figures_print_cell(const struct pb_figures *f, size_t cell, int width, FILE *out)
{
	char label[96];

	pb_file_grid_label(&f->grid, cell, label, sizeof label);
	fprintf(out, "  %-*s", width, label);
	if (f->has_restoration) {
		fputs(f->shift != 0 ? "restoration-1 " : "restoration ", out);
		pb_print_interval(out, f->restoration[cell] + f->shift, f->low[cell] + f->shift,
				  f->high[cell] + f->shift);
	}
	fputs("  effect ", out);
	pb_print_interval(out, f->effect[cell], f->ci_low[cell], f->ci_high[cell]);
	if (isnan(f->p_fwer[cell]))
		fputs("  p_fwer -\n", out);
	else
		fprintf(out, "  p_fwer %.2g\n", f->p_fwer[cell]);
}

int pb_figures_label_width(const struct pb_figures *f, const struct pb_ranked *cells, size_t n)
{
	int width = f->by_position ? 14 : 8;
	char label[96];
	size_t i;

	for (i = 0; i < n; i++) {
		pb_file_grid_label(&f->grid, cells[i].cell, label, sizeof label);
		if ((int)strlen(label) + 1 > width)
			width = (int)strlen(label) + 1;
	}
	return width;
}

/* What the cells are. */
static const char *noun_of(const struct pb_figures *f)
{
	const struct pb_file_grid *g = &f->grid;

	if (g->sweep.intervention == PB_PATH)
		return "paths";
	if (g->sweep.by_sets)
		return "sets";
	if (pb_figures_axis(f, PB_AXIS_NEURON) != NULL)
		return "neurons";
	if (f->heads != NULL)
		return f->heads->kind == PB_AXIS_KV_HEAD ? "KV heads" : "heads";
	return f->layers != NULL ? "layers" : "cells";
}

/* How many heads (or layers) carry nine tenths of the sum of |effect|. */
static enum pb_status print_carriers(FILE *out, const struct pb_figures *f, struct pb_error *err)
{
	enum pb_status status;
	const size_t n = f->n_layers * f->n_heads;
	struct pb_ranked *heads = NULL;
	double total = 0, sum = 0;
	size_t i;

	PB_TRY(pb_alloc((void **)&heads, n, sizeof *heads, "summary", err));
	for (i = 0; i < n; i++)
		heads[i] = (struct pb_ranked){0, i};
	for (i = 0; i < f->grid.n_cells; i++)
		if (!isnan(f->effect[i]))
			heads[pb_figures_place(f, i)].size += fabs(f->effect[i]);
	for (i = 0; i < n; i++)
		total += heads[i].size;
	pb_rank(heads, n);
	for (i = 0; i < n && sum < 0.9 * total; i++)
		sum += heads[i].size;
	fprintf(out, "  %zu of %zu %s carry 90%% of the sum of |mean effect|.\n", i, n, noun_of(f));
cleanup:
	free(heads);
	return status;
}

static enum pb_status print_top(FILE *out, const struct pb_figures *f, size_t n_top,
				struct pb_error *err)
{
	enum pb_status status;
	struct pb_ranked *cells = NULL;
	const size_t n_cells = f->grid.n_cells;
	size_t i, n;
	int width;

	PB_TRY(pb_alloc((void **)&cells, n_cells, sizeof *cells, "summary", err));
	for (i = 0; i < n_cells; i++)
		cells[i] = (struct pb_ranked){isnan(f->effect[i]) ? -1 : fabs(f->effect[i]), i};
	pb_rank(cells, n_cells);
	for (n = 0; n < n_top && n < n_cells && cells[n].size >= 0; n++)
		;
	width = pb_figures_label_width(f, cells, n);
	fprintf(out, "\n  strongest %s%s%s%s by |mean effect|, with 95%% intervals:\n", noun_of(f),
		f->by_alpha ? " and alphas" : "", f->by_position ? " and positions" : "",
		f->from_end ? " (from the end)" : "");
	for (i = 0; i < n; i++)
		pb_figures_print_cell(f, cells[i].cell, width, out);
	if (f->n_layers > 0)
		status = print_carriers(out, f, err);
cleanup:
	free(cells);
	return status;
}

/* ---- the whole ------------------------------------------------------------------------- */

static bool use_colour(FILE *out)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(out)) && (none == NULL || *none == '\0') && term != NULL &&
	       strcmp(term, "dumb") != 0;
}

static enum pb_status print_sweep(FILE *out, const struct pb_result *r, size_t sweep, size_t n_top,
				  struct pb_error *err)
{
	enum pb_status status;
	struct pb_figures f = {0};
	bool done = false;

	PB_TRY(pb_figures_read(&f, r, sweep, err));
	fprintf(out, "\nSweep %s: mean %s over %zu pairs", r->sweeps[sweep].name,
		!f.has_restoration ? "effect (logits)"
		: f.shift != 0     ? "restoration - 1"
				   : "restoration",
		r->n_pairs);
	if (f.n_layers > 0 && (f.by_position || f.by_alpha))
		fprintf(out, ", each %s at its strongest %s", f.heads != NULL ? "head" : "layer",
			f.by_position && f.by_alpha ? "alpha and position"
			: f.by_position             ? "position"
						    : "alpha");
	fputc('\n', out);
	if (f.n_layers > 0)
		pb_figures_print_map(&f, use_colour(out), out);
	PB_TRY(pb_figures_print_sets(&f, r, sweep, &done, out, err));
	if (!done)
		PB_TRY(print_top(out, &f, n_top, err));
	PB_TRY(pb_figures_print_matched(&f, r, sweep, n_top, out, err));
	status = pb_figures_print_cells(&f, r, sweep, out, err);
cleanup:
	pb_figures_free(&f);
	return status;
}

static double mean_of(const double *x, size_t n)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += x[i];
	return sum / (double)n;
}

static enum pb_status print_summary(const char *path, size_t n_top, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	struct pb_result r;
	size_t s, i, right = 0;

	PB_TRY(pb_result_open(&r, path, err));
	for (s = 0; s < r.n_sweeps; s++)
		PB_TRY(print_sweep(out, &r, s, n_top, err));
	for (i = 0; i < r.n_pairs; i++)
		right += r.right[i] == 1;
	fprintf(out,
		"\nWithout intervention: mean logit difference %+.2f clean, %+.2f corrupted; right "
		"about %zu of %zu pairs.\n",
		mean_of(r.logit_diff[0], r.n_pairs), mean_of(r.logit_diff[1], r.n_pairs), right,
		r.n_pairs);
	if (ferror(out))
		status = pb_fail(err, PB_ERR_IO, "cannot write the summary: %s", path);
cleanup:
	pb_result_close(&r);
	return status;
}

enum pb_status pb_result_print_summary(const char *path, size_t n_top, FILE *out,
				       struct pb_error *err)
{
	struct pb_error inner = {0};

	(void)print_summary(path, n_top, out, &inner);
	return pb_h5_fail_file(err, &inner, "cannot read file", path);
}
