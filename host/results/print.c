/* The end of a run on a terminal: a heat map of each sweep, its strongest cells, one line on all.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/base.h"
#include "results/result_file.h"
#include "results/schema.h"

#define N_SHADES 8
static const char shades[N_SHADES + 1] = ".:;+*%#@"; /* the first: too small to matter */
/* Backgrounds of the 256-colour palette: white to red, white to blue. */
static const int reds[N_SHADES] = {-1, 224, 217, 210, 203, 196, 160, 124};
static const int blues[N_SHADES] = {-1, 189, 153, 117, 75, 33, 27, 20};
/* Widths of the map that a line of a terminal holds: cells " -##", "-##", "-#". */
#define SPACED_HEADS 18
#define DOUBLE_HEADS 32

/* What is printed of one sweep; arrays of n_cells = n_layers * n_heads * n_positions. */
struct figures {
	size_t n_layers, n_heads, n_positions, n_cells;
	bool by_position, from_end;
	double *effect, *ci_low, *ci_high, *p_fwer, *restoration, *low, *high;
	bool has_restoration; /* else the map shows effects */
	double shift;         /* noise: restoration - 1 is shown */
	size_t *best;         /* [n_layers * n_heads] the cell that stands for the head */
};

static void figures_free(struct figures *f)
{
	free(f->effect);
	free(f->ci_low);
	free(f->ci_high);
	free(f->p_fwer);
	free(f->restoration);
	free(f->low);
	free(f->high);
	free(f->best);
}

static enum pb_status read_shape(struct figures *f, hid_t group, const struct pb_result *r,
				 struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape;
	hid_t dataset = H5Dopen2(group, "effect", H5P_DEFAULT);

	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: effect, in %s", r->path);
	PB_TRY(pb_h5_shape(dataset, "effect", &shape, err));
	if ((shape.rank != 2 && shape.rank != 3) || shape.dims[0] != r->n_layers ||
	    shape.dims[1] != r->n_heads || shape.count == 0) {
		status = pb_fail(err, PB_ERR_CHECK, "summary of another shape: %s", r->path);
		goto cleanup;
	}
	f->n_layers = shape.dims[0];
	f->n_heads = shape.dims[1];
	f->by_position = shape.rank == 3;
	f->n_positions = f->by_position ? shape.dims[2] : 1;
	f->n_cells = shape.count;
	f->from_end = f->by_position && pb_h5_exists(group, "position_from_end");
cleanup:
	pb_h5_drop(dataset);
	return status;
}

static enum pb_status figures_read(struct figures *f, const struct pb_result *r, size_t sweep,
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
	char *path = pb_format("sweeps/%s/summary", r->sweeps[sweep].name);
	hid_t group = -1;
	size_t i;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a group");
	PB_TRY(pb_h5_group_open(&group, r->file, path, err));
	PB_TRY(read_shape(f, group, r, err));
	for (i = 0; i < sizeof columns / sizeof *columns; i++) {
		PB_TRY(pb_alloc((void **)columns[i].values, f->n_cells, sizeof(double), "summary",
				err));
		PB_TRY(pb_h5_read(group, columns[i].name, H5T_NATIVE_DOUBLE, f->n_cells,
				  *columns[i].values, err));
	}
	for (i = 0; i < f->n_cells; i++)
		f->has_restoration = f->has_restoration || !isnan(f->restoration[i]);
	f->shift = r->sweeps[sweep].noise ? -1 : 0;
	PB_TRY(
	    pb_alloc((void **)&f->best, f->n_layers * f->n_heads, sizeof *f->best, "summary", err));
	for (i = 0; i < f->n_cells; i++) {
		size_t *best = &f->best[i / f->n_positions];

		if (i % f->n_positions == 0 || isnan(f->effect[*best]) ||
		    fabs(f->effect[i]) > fabs(f->effect[*best]))
			*best = i;
	}
cleanup:
	pb_h5_drop(group);
	free(path);
	return status;
}

/* ---- heat map -------------------------------------------------------------------------- */

static double shown(const struct figures *f, size_t cell)
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

static void print_map(FILE *out, const struct figures *f, bool colour)
{
	const int width = f->n_heads <= SPACED_HEADS ? 4 : f->n_heads <= DOUBLE_HEADS ? 3 : 2;
	double largest = 0;
	size_t l, h;

	for (l = 0; l < f->n_layers * f->n_heads; l++)
		if (fabs(shown(f, f->best[l])) > largest)
			largest = fabs(shown(f, f->best[l]));
	fputs("\n      ", out);
	for (h = 0; h < f->n_heads; h++) {
		if (width > 2)
			fprintf(out, "%*zu", width, h);
		else if (h % 5 == 0)
			fprintf(out, "%-10zu", h);
	}
	fputs("  head\n", out);
	for (l = 0; l < f->n_layers; l++) {
		fprintf(out, "  L%-3zu", l);
		for (h = 0; h < f->n_heads; h++)
			print_cell(out, shown(f, f->best[l * f->n_heads + h]), largest, width,
				   colour);
		fputc('\n', out);
	}
	print_legend(out, largest, colour);
}

/* ---- strongest cells ----------------------------------------------------------------------- */

struct ranked {
	double size; /* |effect|; -1 where there is none */
	size_t cell;
};

static int by_size(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return (x->cell > y->cell) - (x->cell < y->cell);
}

static void print_interval(FILE *out, double value, double low, double high)
{
	if (isnan(value))
		fputs("   -                 ", out);
	else if (isnan(low))
		fprintf(out, "%+6.2f               ", value);
	else
		fprintf(out, "%+6.2f [%+.2f, %+.2f]", value, low, high);
}

static void print_cell_line(FILE *out, const struct figures *f, size_t cell)
{
	const size_t head = cell / f->n_positions;
	char label[48];
	int n = snprintf(label, sizeof label, "L%zuH%zu", head / f->n_heads, head % f->n_heads);

	if (f->by_position && n > 0 && (size_t)n < sizeof label)
		snprintf(label + n, sizeof label - (size_t)n, " at %ld",
			 f->from_end ? (long)(cell % f->n_positions) - (long)f->n_positions
				     : (long)(cell % f->n_positions));
	fprintf(out, "  %-*s", f->by_position ? 14 : 8, label);
	if (f->has_restoration) {
		fputs(f->shift != 0 ? "restoration-1 " : "restoration ", out);
		print_interval(out, f->restoration[cell] + f->shift, f->low[cell] + f->shift,
			       f->high[cell] + f->shift);
	}
	fputs("  effect ", out);
	print_interval(out, f->effect[cell], f->ci_low[cell], f->ci_high[cell]);
	fprintf(out, "  p_fwer %.2g\n", f->p_fwer[cell]);
}

/* How many heads carry nine tenths of the sum of |effect|. */
static size_t heads_that_carry(const struct figures *f, struct ranked *heads)
{
	const size_t n = f->n_layers * f->n_heads;
	double total = 0, sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		heads[i] = (struct ranked){0, i};
	for (i = 0; i < f->n_cells; i++)
		if (!isnan(f->effect[i]))
			heads[i / f->n_positions].size += fabs(f->effect[i]);
	for (i = 0; i < n; i++)
		total += heads[i].size;
	qsort(heads, n, sizeof *heads, by_size);
	for (i = 0; i < n && sum < 0.9 * total; i++)
		sum += heads[i].size;
	return i;
}

static enum pb_status print_top(FILE *out, const struct figures *f, size_t n_top,
				struct pb_error *err)
{
	enum pb_status status;
	struct ranked *cells = NULL;
	size_t i;

	PB_TRY(pb_alloc((void **)&cells, f->n_cells, sizeof *cells, "summary", err));
	for (i = 0; i < f->n_cells; i++)
		cells[i] = (struct ranked){isnan(f->effect[i]) ? -1 : fabs(f->effect[i]), i};
	qsort(cells, f->n_cells, sizeof *cells, by_size);
	fprintf(out, "\n  strongest %s by |mean effect|, with 95%% intervals:\n",
		f->by_position
		    ? (f->from_end ? "heads and positions (from the end)" : "heads and positions")
		    : "heads");
	for (i = 0; i < n_top && i < f->n_cells && cells[i].size >= 0; i++)
		print_cell_line(out, f, cells[i].cell);
	i = heads_that_carry(f, cells); /* n_layers * n_heads entries fit in n_cells */
	fprintf(out, "  %zu of %zu heads carry 90%% of the sum of |mean effect|.\n", i,
		f->n_layers * f->n_heads);
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
	struct figures f = {0};

	PB_TRY(figures_read(&f, r, sweep, err));
	fprintf(out, "\nSweep %s: mean %s over %zu pairs%s", r->sweeps[sweep].name,
		!f.has_restoration ? "effect (logits)"
		: f.shift != 0     ? "restoration - 1"
				   : "restoration",
		r->n_pairs, f.by_position ? ", each head at its strongest position" : "");
	fputc('\n', out);
	print_map(out, &f, use_colour(out));
	status = print_top(out, &f, n_top, err);
cleanup:
	figures_free(&f);
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

enum pb_status pb_result_print_summary(const char *path, size_t n_top, FILE *out,
				       struct pb_error *err)
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
