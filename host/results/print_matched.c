/* The end of a run of matched pairs: the cells in which state and action differ most. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/print.h"

struct columns {
	double *state, *action, *difference, *low, *high, *p_fwer, *n_groups;
};

static enum pb_status columns_read(struct columns *k, const struct pb_figures *f,
				   const struct pb_result *r, size_t sweep, struct pb_error *err)
{
	const struct {
		const char *name;
		double **values;
	} list[] = {{"matched/restoration_difference", &k->difference},
		    {"matched/restoration_state", &k->state},
		    {"matched/restoration_action", &k->action},
		    {"matched/ci_low", &k->low},
		    {"matched/ci_high", &k->high},
		    {"matched/p_fwer", &k->p_fwer},
		    {"matched/n_groups", &k->n_groups}};
	enum pb_status status = PB_OK;
	size_t i;

	PB_TRY(pb_file_grid_column_if(&f->grid, r, sweep, list[0].name, list[0].values, err));
	for (i = 1; k->difference != NULL && i < sizeof list / sizeof *list; i++)
		PB_TRY(
		    pb_file_grid_column(&f->grid, r, sweep, list[i].name, "", list[i].values, err));
cleanup:
	return status;
}

static void columns_free(struct columns *k)
{
	free(k->state);
	free(k->action);
	free(k->difference);
	free(k->low);
	free(k->high);
	free(k->p_fwer);
	free(k->n_groups);
}

static void print_line(const struct pb_figures *f, const struct columns *k, size_t cell, int width,
		       FILE *out)
{
	char label[96];

	pb_file_grid_label(&f->grid, cell, label, sizeof label);
	fprintf(out, "  %-*sstate %+.2f  action %+.2f  difference ", width, label,
		k->state[cell] + f->shift, k->action[cell] + f->shift);
	pb_print_interval(out, k->difference[cell], k->low[cell], k->high[cell]);
	fprintf(out, "  p_fwer %.2g  (%.0f groups)\n", k->p_fwer[cell], k->n_groups[cell]);
}

enum pb_status pb_figures_print_matched(const struct pb_figures *f, const struct pb_result *r,
					size_t sweep, size_t n_top, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	const size_t n_cells = f->grid.n_cells;
	struct columns k = {0};
	struct pb_ranked *cells = NULL;
	size_t i, n = 0;
	int width;

	PB_TRY(columns_read(&k, f, r, sweep, err));
	if (k.difference == NULL)
		goto cleanup;
	PB_TRY(pb_alloc((void **)&cells, n_cells, sizeof *cells, "summary", err));
	for (i = 0; i < n_cells; i++) {
		const double x = k.difference[i];

		cells[i] = (struct pb_ranked){isnan(x) ? -1 : fabs(x), i};
		n += !isnan(x);
	}
	pb_rank(cells, n_cells);
	n = n < n_top ? n : n_top;
	width = pb_figures_label_width(f, cells, n);
	fprintf(
	    out,
	    "\n  state against action, restoration%s of matched pairs, the largest differences:\n",
	    f->shift != 0 ? " - 1" : "");
	for (i = 0; i < n; i++)
		print_line(f, &k, cells[i].cell, width, out);
	if (n == 0)
		fputs("  no group has the restoration of both of its pairs.\n", out);
cleanup:
	columns_free(&k);
	free(cells);
	return status;
}
