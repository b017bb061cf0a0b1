/* A comparison as CSV: a line for each figure. */
#include <math.h>

#include "results/compare.h"
#include "results/text.h"

/* A line is begun by its file and measure, and has what else is there. */
struct line {
	const struct pb_compared *file;
	const char *measure, *suffix;
	size_t bin, rank; /* SIZE_MAX: none */
	int32_t layer, head;
};

static void print_number(double x, FILE *out)
{
	fputc(',', out);
	if (!isnan(x))
		fprintf(out, "%.17g", x);
}

static void print_line(const struct line *l, struct pb_estimate x, FILE *out)
{
	static const enum pb_compare_field texts[] = {PB_COMPARE_PATH, PB_COMPARE_MODEL,
						      PB_COMPARE_REVISION};
	size_t i;

	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		pb_text_quoted(l->file->texts[texts[i]], out);
		fputc(',', out);
	}
	fprintf(out, "%s%s,", l->measure, l->suffix);
	if (l->bin != SIZE_MAX)
		fprintf(out, "%zu", l->bin);
	fputc(',', out);
	if (l->rank != SIZE_MAX)
		fprintf(out, "%zu", l->rank);
	fputc(',', out);
	if (l->layer >= 0)
		fprintf(out, "%d", (int)l->layer);
	fputc(',', out);
	if (l->head >= 0)
		fprintf(out, "%d", (int)l->head);
	print_number(x.value, out);
	print_number(x.low, out);
	print_number(x.high, out);
	fputc('\n', out);
}

static struct line line_of(const struct pb_compared *file, int field, const char *suffix)
{
	return (struct line){.file = file,
			     .measure = pb_compare_fields[field].name,
			     .suffix = suffix,
			     .bin = SIZE_MAX,
			     .rank = SIZE_MAX,
			     .layer = -1,
			     .head = -1};
}

static void print_single(const struct pb_compared *file, int field, const char *suffix, double x,
			 FILE *out)
{
	const struct line line = line_of(file, field, suffix);

	print_line(&line, (struct pb_estimate){x, NAN, NAN}, out);
}

static void print_top(const struct pb_compared *file, const struct pb_spread *s, const char *suffix,
		      FILE *out)
{
	size_t k;

	for (k = 0; k < s->n_top; k++) {
		const struct pb_strong_cell *cell = &s->top[k];
		struct line line = line_of(file, PB_COMPARE_TOP_EFFECT, suffix);

		line.rank = k + 1;
		line.layer = cell->layer;
		line.head = cell->head;
		print_line(&line, cell->effect, out);
		line.measure = pb_compare_fields[PB_COMPARE_TOP_DEPTH].name;
		print_line(&line, (struct pb_estimate){cell->depth, NAN, NAN}, out);
	}
}

static void print_subset(const struct pb_comparison *c, const struct pb_compared *file, int subset,
			 FILE *out)
{
	const struct pb_spread *s = &file->spread[subset];
	const char *suffix = pb_subset_suffixes[subset];
	size_t m, b;

	print_single(file, PB_COMPARE_N_CELLS, suffix, (double)s->n_cells, out);
	for (m = 0; m < PB_N_MEASURES; m++) {
		const struct line line = line_of(file, PB_COMPARE_MEASURES + (int)m, suffix);

		print_line(&line, s->measures[m], out);
	}
	for (b = 0; b < c->n_bins; b++) {
		struct line line = line_of(file, PB_COMPARE_DEPTH_SHARE, suffix);

		line.bin = b;
		print_line(&line, s->profile[b], out);
	}
	print_top(file, s, suffix, out);
}

void pb_compare_csv(const struct pb_comparison *c, FILE *out)
{
	size_t i;
	int k;

	fputs("file,model,revision,measure,bin,rank,layer,head,value,ci_low,ci_high\n", out);
	for (i = 0; i < c->n_files; i++) {
		const struct pb_compared *file = &c->files[i];

		for (k = 0; k < PB_N_COMPARE_COUNTS; k++)
			print_single(file, PB_COMPARE_N_LAYERS + k, "", (double)file->counts[k],
				     out);
		for (k = 0; k < PB_N_COMPARE_FACTS; k++)
			print_single(file, PB_COMPARE_RIGHT_SHARE + k, "", file->facts[k], out);
		for (k = 0; k < PB_N_SUBSETS; k++)
			print_subset(c, file, k, out);
	}
}
