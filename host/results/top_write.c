/* Ranked cells as a table for a terminal, as CSV, as JSON. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/text.h"
#include "results/top.h"

/* ---- text -------------------------------------------------------------------------------- */

static void p_text(char text[16], double p)
{
	if (isnan(p))
		snprintf(text, 16, "-");
	else
		snprintf(text, 16, "%.2g", p);
}

#define N_COLUMNS 8
struct line {
	char text[N_COLUMNS][96];
};

static void fill_line(struct line *line, size_t rank, const struct pb_ranked_cell *c)
{
	snprintf(line->text[0], sizeof line->text[0], "%zu", rank);
	snprintf(line->text[1], sizeof line->text[1], "%s", c->label);
	pb_text_interval(line->text[2], c->effect, c->ci_low, c->ci_high);
	pb_text_interval(line->text[3], c->restoration, c->restoration_ci_low,
			 c->restoration_ci_high);
	p_text(line->text[4], c->p_value);
	p_text(line->text[5], c->p_fwer);
	p_text(line->text[6], c->q_bh);
	snprintf(line->text[7], sizeof line->text[7], "%d", (int)c->n_pairs);
}

static void print_line(const struct line *line, const int widths[N_COLUMNS], FILE *out)
{
	int c;

	for (c = 0; c < N_COLUMNS; c++) {
		const int pad = widths[c] - pb_text_width(line->text[c]);
		const bool right = c == 0 || c == N_COLUMNS - 1; /* counts */

		fprintf(out, "  %*s%s", right ? pad : 0, "", line->text[c]);
		if (!right)
			fprintf(out, "%*s", pad, "");
	}
	fputc('\n', out);
}

static void print_ranking(const struct pb_ranking *r, bool over_right, FILE *out)
{
	struct line line = {
	    {"", "cell", "effect [95%]", "restoration [95%]", "p", "p_fwer", "q_bh", "pairs"}};
	const struct line header = line;
	int widths[N_COLUMNS], c;
	size_t i;

	fprintf(out,
		"%s: the %zu strongest of %zu cells by |mean effect| (logits)%s; %zu without "
		"a finite effect left out\n",
		r->sweep, r->n, r->n_cells, over_right ? ", over the right pairs" : "",
		r->n_excluded);
	for (c = 0; c < N_COLUMNS; c++)
		widths[c] = pb_text_width(header.text[c]);
	for (i = 0; i < r->n; i++) {
		fill_line(&line, i + 1, &r->cells[i]);
		for (c = 0; c < N_COLUMNS; c++)
			if (pb_text_width(line.text[c]) > widths[c])
				widths[c] = pb_text_width(line.text[c]);
	}
	print_line(&header, widths, out);
	for (i = 0; i < r->n; i++) {
		fill_line(&line, i + 1, &r->cells[i]);
		print_line(&line, widths, out);
	}
}

void pb_top_text(const struct pb_ranking *rankings, size_t n, bool over_right, FILE *out)
{
	size_t s;

	for (s = 0; s < n; s++) {
		if (s > 0)
			fputc('\n', out);
		print_ranking(&rankings[s], over_right, out);
	}
}

/* ---- CSV and JSON ------------------------------------------------------------------------ */

/* The figures of a cell, by the names of the summary. */
#define N_FIGURES 10
static const char *const figure_names[N_FIGURES] = {"effect",
						    "stderr",
						    "ci_low",
						    "ci_high",
						    "restoration",
						    "restoration_ci_low",
						    "restoration_ci_high",
						    "p_value",
						    "p_fwer",
						    "q_bh"};

static void figures_of(const struct pb_ranked_cell *c, double figures[N_FIGURES])
{
	const double all[N_FIGURES] = {c->effect,
				       c->stderr_,
				       c->ci_low,
				       c->ci_high,
				       c->restoration,
				       c->restoration_ci_low,
				       c->restoration_ci_high,
				       c->p_value,
				       c->p_fwer,
				       c->q_bh};

	memcpy(figures, all, sizeof all);
}

void pb_top_csv(const struct pb_ranking *rankings, size_t n, FILE *out)
{
	size_t s, i, k;

	fputs("sweep,rank,cell,label", out);
	for (k = 0; k < PB_N_AXIS_KINDS; k++)
		fprintf(out, ",%s", pb_axis_names[k]);
	for (k = 0; k < N_FIGURES; k++)
		fprintf(out, ",%s", figure_names[k]);
	fputs(",n_pairs,n_cells,n_excluded\n", out);
	for (s = 0; s < n; s++) {
		const struct pb_ranking *r = &rankings[s];

		for (i = 0; i < r->n; i++) {
			const struct pb_ranked_cell *c = &r->cells[i];
			double figures[N_FIGURES];

			figures_of(c, figures);
			fprintf(out, "%s,%zu,%zu,", r->sweep, i + 1, c->cell);
			pb_text_quoted(c->label, out);
			for (k = 0; k < PB_N_AXIS_KINDS; k++) {
				fputc(',', out);
				if (!isnan(c->axes[k]))
					fprintf(out, "%g", c->axes[k]);
			}
			for (k = 0; k < N_FIGURES; k++) {
				fputc(',', out);
				if (!isnan(figures[k]))
					fprintf(out, "%.17g", figures[k]);
			}
			fprintf(out, ",%d,%zu,%zu\n", (int)c->n_pairs, r->n_cells, r->n_excluded);
		}
	}
}

/* A number, or null for what there is none of. */
static json_t *number_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *cell_object(const struct pb_ranked_cell *c, size_t rank)
{
	json_t *object = json_pack("{s:I, s:I, s:s}", "rank", (json_int_t)rank, "cell",
				   (json_int_t)c->cell, "label", c->label);
	double figures[N_FIGURES];
	bool good = object != NULL;
	size_t k;

	figures_of(c, figures);
	for (k = 0; good && k < PB_N_AXIS_KINDS; k++)
		if (!isnan(c->axes[k]))
			good = json_object_set_new(object, pb_axis_names[k],
						   k == PB_AXIS_ALPHA
						       ? json_real(c->axes[k])
						       : json_integer((json_int_t)c->axes[k])) == 0;
	for (k = 0; good && k < N_FIGURES; k++)
		good =
		    json_object_set_new(object, figure_names[k], number_or_null(figures[k])) == 0;
	good = good && json_object_set_new(object, "n_pairs", json_integer(c->n_pairs)) == 0;
	if (good)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *sweep_object(const struct pb_ranking *r)
{
	json_t *cells = json_array(), *object;
	size_t i;

	for (i = 0; cells != NULL && i < r->n; i++)
		if (json_array_append_new(cells, cell_object(&r->cells[i], i + 1)) != 0) {
			json_decref(cells);
			cells = NULL;
		}
	if (cells == NULL)
		return NULL;
	object =
	    json_pack("{s:s, s:I, s:I, s:o}", "sweep", r->sweep, "n_cells", (json_int_t)r->n_cells,
		      "n_excluded", (json_int_t)r->n_excluded, "cells", cells);
	return object;
}

enum pb_status pb_top_json(const char *path, const struct pb_ranking *rankings, size_t n,
			   bool over_right, FILE *out, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	json_t *sweeps = json_array(), *root = NULL;
	bool good = sweeps != NULL;
	size_t s;

	for (s = 0; good && s < n; s++)
		good = json_array_append_new(sweeps, sweep_object(&rankings[s])) == 0;
	/* A path may be no UTF-8, which JSON must be: then it is left out. */
	root = good ? json_pack("{s:s*, s:s, s:O}", "file", path, "pairs",
				over_right ? "right" : "all", "sweeps", sweeps)
		    : NULL;
	if (good && root == NULL)
		root = json_pack("{s:s, s:O}", "pairs", over_right ? "right" : "all", "sweeps",
				 sweeps);
	if (root == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: JSON of %s", path);
	else if (json_dumpf(root, out, JSON_INDENT(2)) != 0 || fputc('\n', out) == EOF)
		status = pb_fail(err, PB_ERR_IO, "cannot write the ranking: %s", path);
	json_decref(root);
	json_decref(sweeps);
	return status;
}
