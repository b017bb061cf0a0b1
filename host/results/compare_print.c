/* A comparison as tables for a terminal. */
#include <math.h>
#include <string.h>

#include "results/compare.h"
#include "results/table.h"
#include "results/text.h"

#define NAME_BYTES 40 /* of a model's name; the end of longer ones */

/* The end of a text that is too long for a column, from where a character begins. */
static const char *end_of(const char *text)
{
	const size_t n = strlen(text);

	if (n <= NAME_BYTES)
		return text;
	text += n - NAME_BYTES;
	while (((unsigned char)*text & 0xc0) == 0x80)
		text++;
	return text;
}

static bool differs(const struct pb_comparison *c, enum pb_compare_field field)
{
	size_t i;

	for (i = 1; i < c->n_files; i++)
		if (strcmp(c->files[i].texts[field], c->files[0].texts[field]) != 0)
			return true;
	return false;
}

/* What tells the files apart: their models, revisions of one model, or the files themselves. */
static enum pb_compare_field name_field(const struct pb_comparison *c)
{
	return differs(c, PB_COMPARE_MODEL)      ? PB_COMPARE_MODEL
	       : differs(c, PB_COMPARE_REVISION) ? PB_COMPARE_REVISION
						 : PB_COMPARE_PATH;
}

/* Columns 0 and 1 of a table of files: the file's number and name. */
static void put_name(struct pb_table *t, const struct pb_comparison *c, size_t row, size_t file)
{
	pb_table_put(t, row, 0, "%zu", file + 1);
	pb_table_put(t, row, 1, "%s", end_of(c->files[file].texts[name_field(c)]));
}

static enum pb_status table_of(struct pb_table *t, size_t n_rows, const char *const *header,
			       size_t n_columns, struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_TRY(pb_table_new(t, n_rows + 1, n_columns, err));
	for (i = 0; i < n_columns; i++)
		pb_table_put(t, 0, i, "%s", header[i]);
	t->left[1] = true;
cleanup:
	return status;
}

static void put_share(struct pb_table *t, size_t row, size_t column, double share)
{
	if (isnan(share))
		pb_table_put(t, row, column, "-");
	else
		pb_table_put(t, row, column, "%.1f%%", 100 * share);
}

/* "0.71 [0.65, 0.74]" */
static void put_estimate(struct pb_table *t, size_t row, size_t column, struct pb_estimate x,
			 int digits)
{
	if (isnan(x.value))
		pb_table_put(t, row, column, "-");
	else if (isnan(x.low))
		pb_table_put(t, row, column, "%.*f", digits, x.value);
	else
		pb_table_put(t, row, column, "%.*f [%.*f, %.*f]", digits, x.value, digits, x.low,
			     digits, x.high);
}

/* ---- the tables -------------------------------------------------------------------------- */

static enum pb_status print_models(const struct pb_comparison *c, FILE *out, struct pb_error *err)
{
	static const char *const header[] = {"",         "model",    "revision",    "family",
					     "layers",   "heads",    "pairs",       "right",
					     "accuracy", "clean LD", "corrupted LD"};
	enum pb_status status;
	struct pb_table t = {0};
	size_t i, k;

	PB_TRY(table_of(&t, c->n_files, header, sizeof header / sizeof *header, err));
	t.left[2] = t.left[3] = true;
	for (i = 0; i < c->n_files; i++) {
		const struct pb_compared *f = &c->files[i];

		pb_table_put(&t, i + 1, 0, "%zu", i + 1);
		pb_table_put(&t, i + 1, 1, "%s", end_of(f->texts[PB_COMPARE_MODEL]));
		pb_table_put(&t, i + 1, 2, "%s", end_of(f->texts[PB_COMPARE_REVISION]));
		pb_table_put(&t, i + 1, 3, "%s", f->texts[PB_COMPARE_FAMILY]);
		for (k = 0; k < 3; k++) /* layers, heads, pairs */
			pb_table_put(&t, i + 1, 4 + k, "%zu", f->counts[k]);
		for (k = 0; k < 2; k++) /* right, accuracy */
			put_share(&t, i + 1, 7 + k, f->facts[k]);
		for (k = 2; k < 4; k++) /* logit differences */
			pb_table_put(&t, i + 1, 7 + k, "%+.2f", f->facts[k]);
	}
	pb_table_print(&t, out);
cleanup:
	pb_table_free(&t);
	return status;
}

static void put_strongest(struct pb_table *t, size_t row, size_t column,
			  const struct pb_strong_cell *cell)
{
	char text[64];

	pb_text_interval(text, cell->effect.value, cell->effect.low, cell->effect.high);
	pb_table_put(t, row, column, "%s %s", cell->label, text);
}

static enum pb_status print_spread(const struct pb_comparison *c, int subset, FILE *out,
				   struct pb_error *err)
{
	static const char *const header[] = {
	    "",           "",       "total",        "top 1", "top 5",       "top 10",
	    "Gini [95%]", "50% in", "80% in [95%]", "of",    "depth [95%]", "strongest [95%]"};
	enum pb_status status;
	struct pb_table t = {0};
	size_t i;

	PB_TRY(table_of(&t, c->n_files, header, sizeof header / sizeof *header, err));
	t.left[11] = true;
	for (i = 0; i < c->n_files; i++) {
		const struct pb_spread *s = &c->files[i].spread[subset];
		const struct pb_estimate *m = s->measures;

		put_name(&t, c, i + 1, i);
		pb_table_put(&t, i + 1, 2, "%.3g", m[PB_MEASURE_TOTAL].value);
		put_share(&t, i + 1, 3, m[PB_MEASURE_TOP_1].value);
		put_share(&t, i + 1, 4, m[PB_MEASURE_TOP_5].value);
		put_share(&t, i + 1, 5, m[PB_MEASURE_TOP_10].value);
		put_estimate(&t, i + 1, 6, m[PB_MEASURE_GINI], 2);
		pb_table_put(&t, i + 1, 7, "%.0f", m[PB_MEASURE_CELLS_50].value);
		put_estimate(&t, i + 1, 8, m[PB_MEASURE_CELLS_80], 0);
		pb_table_put(&t, i + 1, 9, "%zu", s->n_cells);
		put_estimate(&t, i + 1, 10, m[PB_MEASURE_DEPTH_CENTRE], 2);
		if (s->n_top > 0)
			put_strongest(&t, i + 1, 11, &s->top[0]);
	}
	pb_table_print(&t, out);
cleanup:
	pb_table_free(&t);
	return status;
}

static enum pb_status print_profile(const struct pb_comparison *c, int subset, FILE *out,
				    struct pb_error *err)
{
	enum pb_status status;
	struct pb_table t = {0};
	size_t i, b;

	PB_TRY(pb_table_new(&t, c->n_files + 1, c->n_bins + 2, err));
	t.left[1] = true;
	for (b = 0; b < c->n_bins; b++)
		pb_table_put(&t, 0, b + 2, "to %.3g", (double)(b + 1) / (double)c->n_bins);
	for (i = 0; i < c->n_files; i++) {
		put_name(&t, c, i + 1, i);
		for (b = 0; b < c->n_bins; b++)
			put_share(&t, i + 1, b + 2, c->files[i].spread[subset].profile[b].value);
	}
	pb_table_print(&t, out);
cleanup:
	pb_table_free(&t);
	return status;
}

static enum pb_status print_top(const struct pb_comparison *c, int subset, FILE *out,
				struct pb_error *err)
{
	static const char *const header[] = {"", "", "rank", "depth", "cell and effect [95%]"};
	enum pb_status status;
	struct pb_table t = {0};
	size_t n = 0, row = 1, i, k;

	for (i = 0; i < c->n_files; i++)
		n += c->files[i].spread[subset].n_top;
	PB_TRY(table_of(&t, n, header, sizeof header / sizeof *header, err));
	t.left[4] = true;
	for (i = 0; i < c->n_files; i++) {
		const struct pb_spread *s = &c->files[i].spread[subset];

		for (k = 0; k < s->n_top; k++, row++) {
			put_name(&t, c, row, i);
			pb_table_put(&t, row, 2, "%zu", k + 1);
			pb_table_put(&t, row, 3, "%.2f", s->top[k].depth);
			put_strongest(&t, row, 4, &s->top[k]);
		}
	}
	pb_table_print(&t, out);
cleanup:
	pb_table_free(&t);
	return status;
}

/* Noise makes |means| larger in resamples than in the sample: what is printed lies outside of its
 * interval where there is much of it. */
static bool is_noisy(const struct pb_comparison *c, int subset)
{
	static const enum pb_measure shown[] = {PB_MEASURE_GINI, PB_MEASURE_CELLS_80,
						PB_MEASURE_DEPTH_CENTRE};
	size_t i, k;

	for (i = 0; i < c->n_files; i++) {
		for (k = 0; k < sizeof shown / sizeof *shown; k++) {
			const struct pb_estimate x = c->files[i].spread[subset].measures[shown[k]];

			const double slack = 1e-9 * (1 + fabs(x.value)); /* rounding */

			if (x.value < x.low - slack || x.value > x.high + slack)
				return true;
		}
	}
	return false;
}

/* ---- all of it --------------------------------------------------------------------------- */

enum pb_status pb_compare_text(const struct pb_comparison *c, bool over_right, bool with_top,
			       FILE *out, struct pb_error *err)
{
	enum pb_status status;
	const int subset = over_right ? 1 : 0;
	const char *const noun = c->by_head ? "heads" : "layers";
	const char *const what = c->by == PB_BY_EFFECT ? "|mean effect| (logits)"
				 : c->noise            ? "|mean restoration - 1|"
						       : "|mean restoration|";

	fprintf(out, "%s of %zu files%s\n\n", c->sweep, c->n_files,
		c->same_task ? "" : ", whose tasks differ");
	PB_TRY(print_models(c, out, err));
	fprintf(
	    out,
	    "\nWhere the sum of %s over the %s lies%s: total, share of the strongest, "
	    "Gini coefficient,\n%s that have 50%% and 80%% of it, mean relative depth (0 input, "
	    "1 output)\n\n",
	    what, noun, over_right ? ", over the right pairs" : "", noun);
	PB_TRY(print_spread(c, subset, out, err));
	fputs("\nShare by relative depth, in bins up to\n\n", out);
	PB_TRY(print_profile(c, subset, out, err));
	if (with_top && c->n_top > 0) {
		fprintf(out, "\nStrongest %s by %s\n\n", noun, what);
		PB_TRY(print_top(c, subset, out, err));
	}
	if (is_noisy(c, subset))
		fputs("\nAn interval that does not hold its value: much of the sum is noise, which "
		      "is larger in resamples.\nMore pairs help.\n",
		      out);
cleanup:
	return status;
}
