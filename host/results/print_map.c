/* The figures of a sweep, and their heat map for a terminal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/print.h"

#define N_SHADES 8
static const char shades[N_SHADES + 1] = ".:;+*%#@"; /* the first: too small to matter */
/* Backgrounds of the 256-colour palette: white to red, white to blue. */
static const int reds[N_SHADES] = {-1, 224, 217, 210, 203, 196, 160, 124};
static const int blues[N_SHADES] = {-1, 189, 153, 117, 75, 33, 27, 20};
/* Widths of the map that a line of a terminal holds: cells " -##", "-##", "-#". */
#define SPACED_HEADS 18
#define DOUBLE_HEADS 32

void pb_figures_free(struct pb_figures *f)
{
	free(f->effect);
	free(f->ci_low);
	free(f->ci_high);
	free(f->p_fwer);
	free(f->restoration);
	free(f->low);
	free(f->high);
	free(f->best);
	pb_file_grid_free(&f->grid);
}

const struct pb_axis *pb_figures_axis(const struct pb_figures *f, enum pb_axis_kind kind)
{
	const int axis = pb_grid_axis(&f->grid.grid, kind);

	return axis >= 0 ? &f->grid.grid.axes[axis] : NULL;
}

/* Where a cell is on the map. */
size_t pb_figures_place(const struct pb_figures *f, size_t cell)
{
	const struct pb_grid *grid = &f->grid.grid;
	const size_t behind = f->grid.n_cells / grid->n_cells;
	size_t steps[PB_GRID_AXES], layer, head = 0;

	pb_grid_steps(grid, cell / behind, steps);
	layer = steps[f->layers - grid->axes];
	if (f->heads != NULL)
		head = steps[f->heads - grid->axes];
	return layer * f->n_heads + head;
}

/* The cell of the largest |effect| stands for its place on the map. */
static enum pb_status find_best(struct pb_figures *f, struct pb_error *err)
{
	enum pb_status status;
	const size_t n = f->n_layers * f->n_heads;
	size_t i;

	PB_TRY(pb_alloc((void **)&f->best, n, sizeof *f->best, "summary", err));
	for (i = 0; i < n; i++)
		f->best[i] = SIZE_MAX;
	for (i = 0; i < f->grid.n_cells; i++) {
		size_t *best = &f->best[pb_figures_place(f, i)];

		if (*best == SIZE_MAX || isnan(f->effect[*best]) ||
		    fabs(f->effect[i]) > fabs(f->effect[*best]))
			*best = i;
	}
cleanup:
	return status;
}

static void read_layout(struct pb_figures *f)
{
	const struct pb_file_grid *g = &f->grid;

	f->by_position = pb_file_grid_has_positions(g);
	f->from_end = g->n_ends > 0;
	f->by_alpha = pb_figures_axis(f, PB_AXIS_ALPHA) != NULL;
	if (pb_figures_axis(f, PB_AXIS_NEURON) != NULL)
		return;
	f->layers = pb_figures_axis(f, PB_AXIS_LAYER);
	f->heads = pb_figures_axis(f, PB_AXIS_HEAD);
	if (f->heads == NULL)
		f->heads = pb_figures_axis(f, PB_AXIS_KV_HEAD);
	f->n_layers = f->layers != NULL ? f->layers->n : 0;
	f->n_heads = f->heads != NULL ? f->heads->n : 1;
}

enum pb_status pb_figures_read(struct pb_figures *f, const struct pb_result *r, size_t sweep,
			       struct pb_error *err)
{
	enum pb_status status;
	const struct {
		const char *name;
		double **values;
	} columns[] = {{"effect", &f->effect},           {"ci_low", &f->ci_low},
		       {"ci_high", &f->ci_high},         {"p_fwer", &f->p_fwer},
		       {"restoration", &f->restoration}, {"restoration_ci_low", &f->low},
		       {"restoration_ci_high", &f->high}};
	size_t i;

	PB_TRY(pb_file_grid_read(&f->grid, r, sweep, err));
	read_layout(f);
	for (i = 0; i < sizeof columns / sizeof *columns; i++)
		PB_TRY(pb_file_grid_column(&f->grid, r, sweep, columns[i].name, "",
					   columns[i].values, err));
	for (i = 0; i < f->grid.n_cells; i++)
		f->has_restoration = f->has_restoration || !isnan(f->restoration[i]);
	f->shift = r->sweeps[sweep].noise ? -1 : 0;
	if (f->n_layers > 0)
		status = find_best(f, err);
cleanup:
	return status;
}

/* ---- heat map -------------------------------------------------------------------------- */

static double shown(const struct pb_figures *f, size_t cell)
{
	return f->has_restoration ? f->restoration[cell] + f->shift : f->effect[cell];
}

/* Shade of |value| in parts of the largest: 0 below a twentieth, the rest evenly. */
static int shade_of(double value, double largest)
{
	double part = largest > 0 ? fabs(value) / largest : 0;
	int shade;

	if (!(part >= 0.05))
		return 0;
	shade = 1 + (int)((part - 0.05) / 0.95 * (N_SHADES - 1));
	return shade < N_SHADES ? shade : N_SHADES - 1;
}

static void print_cell(FILE *out, double value, double largest, int width, bool colour)
{
	const int shade = shade_of(value, largest);
	const char c = isnan(value) ? '?' : shades[shade];
	const int background = value < 0 ? blues[shade] : reds[shade];

	if (width > 3)
		fputc(' ', out);
	if (colour && background >= 0)
		fprintf(out, "\033[38;5;16;48;5;%dm", background);
	fputs(value < 0 && shade > 0 ? "-" : " ", out);
	if (width > 2)
		fputc(shade > 0 ? c : ' ', out);
	fputc(c, out);
	if (colour && background >= 0)
		fputs("\033[0m", out);
}

static void print_legend(FILE *out, double largest, bool colour)
{
	int i;

	fputs("     ", out);
	for (i = 1; i < N_SHADES; i++) {
		double edge = (0.05 + 0.95 * (i - 1) / (N_SHADES - 1)) * largest;

		fprintf(out, " %c%c >= %.2g ", shades[i], shades[i], edge);
	}
	fprintf(out, "\n      with a minus sign%s: negative; a dot: less than %.2g\n",
		colour ? ", in blue" : "", 0.05 * largest);
}

/* What a step of an axis stands for. */
static int value_of(const struct pb_axis *axis, size_t step)
{
	return (int)axis->values[step];
}

static void print_columns(FILE *out, const struct pb_figures *f, int width)
{
	size_t h;

	fputs("\n      ", out);
	for (h = 0; h < f->n_heads; h++) {
		if (f->heads == NULL)
			fputs(" all", out);
		else if (width > 2)
			fprintf(out, "%*d", width, value_of(f->heads, h));
		else if (h % 5 == 0)
			fprintf(out, "%-10d", value_of(f->heads, h));
	}
	fputs(f->heads == NULL                    ? "\n"
	      : f->heads->kind == PB_AXIS_KV_HEAD ? "  KV head\n"
						  : "  head\n",
	      out);
}

void pb_figures_print_map(const struct pb_figures *f, bool colour, FILE *out)
{
	const int width = f->n_heads <= SPACED_HEADS ? 4 : f->n_heads <= DOUBLE_HEADS ? 3 : 2;
	double largest = 0;
	size_t l, h;

	for (l = 0; l < f->n_layers * f->n_heads; l++)
		if (fabs(shown(f, f->best[l])) > largest)
			largest = fabs(shown(f, f->best[l]));
	print_columns(out, f, width);
	for (l = 0; l < f->n_layers; l++) {
		fprintf(out, "  L%-3d", value_of(f->layers, l));
		for (h = 0; h < f->n_heads; h++)
			print_cell(out, shown(f, f->best[l * f->n_heads + h]), largest, width,
				   colour);
		fputc('\n', out);
	}
	print_legend(out, largest, colour);
}
