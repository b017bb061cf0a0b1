/* The end of a run with a grid: in each cell the strongest head (or whatever the sweep has). */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/evaluation.h"
#include "results/print.h"

static enum pb_status read_column(double **out, const struct pb_result *r, size_t sweep,
				  const char *name, size_t n, struct pb_error *err)
{
	char *path = pb_format("sweeps/%s/cells/%s", r->sweeps[sweep].name, name);
	enum pb_status status;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a dataset");
	PB_TRY(pb_alloc((void **)out, n, sizeof **out, "cells", err));
	status = pb_h5_read(r->file, path, H5T_NATIVE_DOUBLE, n, *out, err);
cleanup:
	free(path);
	return status;
}

/* The cell of the sweep with the largest |effect|; n where none has one. */
static size_t strongest(const double *effect, size_t n)
{
	size_t best = n, i;

	for (i = 0; i < n; i++)
		if (!isnan(effect[i]) && (best == n || fabs(effect[i]) > fabs(effect[best])))
			best = i;
	return best;
}

static void print_cell(const struct pb_figures *f, const struct pb_eval_axes *axes, size_t cell,
		       const double *effect, const double *restoration, double right, FILE *out)
{
	size_t n = f->grid.n_cells, best = strongest(effect + cell * n, n), step = axes->n_cells, a;
	char label[96];

	fputs("  ", out);
	for (a = 0; a < axes->n; a++) {
		step /= axes->sizes[a];
		fprintf(out, "%s %-4.6g ", axes->names[a],
			axes->values[a][cell / step % axes->sizes[a]]);
	}
	if (best == n) {
		fputs(" n/a\n", out);
		return;
	}
	pb_file_grid_label(&f->grid, best, label, sizeof label);
	fprintf(out, " right %5.1f%%  %-8s effect %+.2f", 100.0 * right, label,
		effect[cell * n + best]);
	if (!isnan(restoration[cell * n + best]))
		fprintf(out, "  restoration %+.2f", restoration[cell * n + best] + f->shift);
	fputc('\n', out);
}

enum pb_status pb_figures_print_cells(const struct pb_figures *f, const struct pb_result *r,
				      size_t sweep, FILE *out, struct pb_error *err)
{
	double *effect = NULL, *restoration = NULL, *right = NULL;
	struct pb_eval_axes axes = {0};
	enum pb_status status = PB_OK;
	size_t n, c;

	if (!pb_h5_exists(r->file, "cells"))
		return PB_OK;
	PB_TRY(pb_eval_axes_read(&axes, r->file, err));
	if (!pb_size_mul(axes.n_cells, f->grid.n_cells, &n))
		return pb_fail(err, PB_ERR_CHECK, "too many cells: %s", r->path);
	PB_TRY(read_column(&effect, r, sweep, "effect", n, err));
	PB_TRY(read_column(&restoration, r, sweep, "restoration", n, err));
	PB_TRY(pb_alloc((void **)&right, axes.n_cells, sizeof *right, "cells", err));
	PB_TRY(pb_h5_read(r->file, "cells/right", H5T_NATIVE_DOUBLE, axes.n_cells, right, err));
	fprintf(out, "\n  strongest in each cell:\n");
	for (c = 0; c < axes.n_cells; c++)
		print_cell(f, &axes, c, effect, restoration, right[c], out);
cleanup:
	free(effect);
	free(restoration);
	free(right);
	pb_eval_axes_free(&axes);
	return status;
}
