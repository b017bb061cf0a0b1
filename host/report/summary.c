/* What was found, in words: for the page and for summary.md. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_parts.h"
#include "results/text.h"
#include "results/top.h"

#define SAY_MOST 5 /* cells of a sweep */

static void say_pairs(const struct pb_subject *s, pb_say say, void *context)
{
	double mean[2] = {0, 0};
	char text[512];
	size_t i;
	int k;

	for (k = 0; k < 2; k++)
		for (i = 0; i < s->r.n_pairs; i++)
			mean[k] += s->r.logit_diff[k][i] / (double)s->r.n_pairs;
	(void)snprintf(
	    text, sizeof text,
	    "%s%zu pair%s; without intervention the model is right about %zu of them, with a "
	    "mean logit difference of %+.3g on clean and %+.3g on corrupted prompts.",
	    s->r.partial ? "Partial: not all pairs of the experiment are here. " : "", s->r.n_pairs,
	    s->r.n_pairs == 1 ? "" : "s", pb_result_n_right(&s->r), mean[0], mean[1]);
	say(context, text);
}

/* "of 640 applicable cells (1600 in all), 3 have an effect ...". */
static void say_counts(const struct pb_shown_sweep *w, FILE *out)
{
	size_t n = 0, significant = 0, i;

	for (i = 0; i < w->grid.n_cells; i++) {
		n += !isnan(w->columns[0][PB_SHOWN_EFFECT][i]);
		significant += w->columns[0][PB_SHOWN_P_FWER][i] < 0.05;
	}
	fprintf(out, "of %zu %scell%s", n, n < w->grid.n_cells ? "applicable " : "",
		n == 1 ? "" : "s");
	if (n < w->grid.n_cells)
		fprintf(out, " (%zu in all)", w->grid.n_cells);
	fprintf(out,
		", %zu %s an effect that is significant after correction for all of them (p_fwer < "
		"0.05)",
		significant, significant == 1 ? "has" : "have");
}

/* "L3H5: +0.81 [+0.78, +0.84]" of the strongest cells. */
static void list_cells(const struct pb_shown_sweep *w, const struct pb_ranking *ranking, FILE *out)
{
	size_t i;

	for (i = 0; i < ranking->n; i++) {
		const struct pb_ranked_cell *cell = &ranking->cells[i];
		char interval[64];

		pb_text_interval(interval, w->shown[0][cell->cell], w->low[0][cell->cell],
				 w->high[0][cell->cell]);
		fprintf(out, "%s%s: %s", i > 0 ? "; " : "", cell->label, interval);
	}
}

/* Sets beside the random ones of their size: an effect of sets alone says little. */
static enum pb_status list_sets(const struct pb_subject *s, size_t sweep, FILE *out, bool *said,
				struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	struct pb_ranked *order = NULL;
	double *p = NULL;
	char left_out[160];
	size_t n, i;

	*said = false;
	if (pb_sweep_axis(w, PB_AXIS_SET) == NULL)
		return PB_OK;
	PB_TRY(pb_file_grid_column_if(&w->grid, &s->r, sweep, "p_random_effect", &p, err));
	if (p == NULL)
		goto cleanup;
	PB_TRY(pb_alloc((void **)&order, w->grid.n_cells, sizeof *order, "sets", err));
	n = pb_strongest_sets(w, order, SAY_MOST);
	fputs("sets, by mean effect, with their ", out);
	fprintf(out, "%s, its 95%% interval, and p by rank among the random sets of their size: ",
		pb_sweep_quantity(w));
	for (i = 0; i < n; i++) {
		const size_t cell = order[i].cell;
		char interval[64], label[96];

		pb_file_grid_label(&w->grid, cell, label, sizeof label);
		pb_text_interval(interval, w->shown[0][cell], w->low[0][cell], w->high[0][cell]);
		fprintf(out, "%s%s: %s", i > 0 ? "; " : "", label, interval);
		if (!isnan(p[cell]))
			fprintf(out, ", p %.2g", p[cell]);
	}
	fprintf(out, "%s.", pb_sweep_left_out(s, w, left_out));
	*said = true;
cleanup:
	free(order);
	free(p);
	return status;
}

static enum pb_status say_sweep(struct pb_subject *s, size_t sweep, pb_say say, void *context,
				struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	struct pb_ranking ranking = {0};
	struct pb_arena arena = {0};
	char *text = NULL;
	size_t size = 0;
	bool said = false;
	char left_out[160];
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a summary");
	PB_TRY(pb_rank_sweep(&ranking, &s->r, sweep, SAY_MOST, false, err));
	fprintf(out, "%s: ", pb_sweep_title(&arena, w));
	PB_TRY(list_sets(s, sweep, out, &said, err));
	if (said) {
		/* random ones are no findings */
	} else if (ranking.n == 0) {
		fprintf(out, "none of its cells (%zu) has an effect that can be measured.",
			ranking.n_cells);
	} else {
		say_counts(w, out);
		fprintf(out,
			". The strongest, by mean effect, with their %s and its 95%% interval: ",
			pb_sweep_quantity(w));
		list_cells(w, &ranking, out);
		fprintf(out, "%s.", pb_sweep_left_out(s, w, left_out));
	}
	if (fclose(out) != 0) {
		out = NULL;
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a summary");
		goto cleanup;
	}
	out = NULL;
	say(context, text);
cleanup:
	if (out != NULL)
		(void)fclose(out);
	free(text);
	pb_ranking_free(&ranking);
	pb_arena_free(&arena);
	return status;
}

/* ---- evaluations and comparisons ---------------------------------------------------------------
 */

/* "states 4, steps 10" of a cell. */
static void cell_words(const struct pb_eval_axes *axes, size_t cell, char *text, size_t size)
{
	size_t steps[PB_CELL_AXES] = {0}, a, used = 0;

	for (a = axes->n; a-- > 0; cell /= axes->sizes[a])
		steps[a] = cell % axes->sizes[a];
	text[0] = '\0';
	for (a = 0; a < axes->n; a++) {
		const int n = snprintf(text + used, size - used, "%s%s %g", a > 0 ? ", " : "",
				       axes->names[a], axes->values[a][steps[a]]);

		used += n > 0 && (size_t)n < size - used ? (size_t)n : 0;
	}
}

/* The cells of the lowest and the highest accuracy: how many there are with one. */
static size_t extremes(const double *accuracy, size_t n_cells, size_t *worst, size_t *best)
{
	size_t n = 0, i;

	*worst = *best = 0;
	for (i = 0; i < n_cells; i++) {
		if (!isfinite(accuracy[i]))
			continue;
		if (n == 0 || accuracy[i] > accuracy[*best])
			*best = i;
		if (n == 0 || accuracy[i] < accuracy[*worst])
			*worst = i;
		n++;
	}
	return n;
}

static enum pb_status say_evaluation(struct pb_subject *s, pb_say say, void *context,
				     struct pb_error *err)
{
	static const char *const paths[] = {"summary/accuracy", "summary/accuracy_ci_low",
					    "summary/accuracy_ci_high"};
	enum pb_status status;
	struct pb_eval_axes axes = {0};
	double *x[3] = {NULL};
	size_t best, worst, n, i;
	const char *partial =
	    s->r.partial ? "Partial: not all prompts of the experiment are here. " : "";
	char where[2][160], text[640];

	PB_TRY(pb_eval_axes_read(&axes, s->r.file, err));
	for (i = 0; i < 3; i++) {
		PB_TRY(pb_subject_numbers(s, paths[i], (int)axes.n, axes.sizes, &x[i], err));
		if (x[i] == NULL) {
			status = pb_fail(err, PB_ERR_CHECK, "missing dataset: %s", paths[i]);
			goto cleanup;
		}
	}
	n = extremes(x[0], axes.n_cells, &worst, &best);
	cell_words(&axes, best, where[0], sizeof where[0]);
	cell_words(&axes, worst, where[1], sizeof where[1]);
	(void)snprintf(
	    text, sizeof text,
	    "%s%zu of %zu cells of the grid are available; accuracy, with its 95%% Wilson "
	    "interval, is from %.3g [%.3g, %.3g] (%s) to %.3g [%.3g, %.3g] (%s).",
	    partial, n, axes.n_cells, x[0][worst], x[1][worst], x[2][worst], where[1], x[0][best],
	    x[1][best], x[2][best], where[0]);
	say(context, n > 0 ? text : "No cell of the grid is available.");
cleanup:
	for (i = 0; i < 3; i++)
		free(x[i]);
	pb_eval_axes_free(&axes);
	return status;
}

static enum pb_status say_comparison(struct pb_subject *s, pb_say say, void *context,
				     struct pb_error *err)
{
	static const char *const names[] = {
	    "gini",         "gini_ci_low",         "gini_ci_high",
	    "depth_centre", "depth_centre_ci_low", "depth_centre_ci_high"};
	enum pb_status status;
	const char **files = NULL;
	double *x[6] = {NULL};
	size_t n = 0, i, k;
	char text[512];

	PB_TRY(pb_compared_names(s, &files, &n, err));
	for (k = 0; k < 6; k++) {
		(void)snprintf(text, sizeof text, "comparison/%s", names[k]);
		PB_TRY(pb_subject_numbers(s, text, 1, &n, &x[k], err));
		if (x[k] == NULL) {
			status = pb_fail(err, PB_ERR_CHECK, "missing dataset: %s", text);
			goto cleanup;
		}
	}
	for (i = 0; i < n; i++) {
		(void)snprintf(
		    text, sizeof text,
		    "%.120s: the effect has a Gini coefficient of %.3g [%.3g, %.3g] over the "
		    "cells, and its centre at relative depth %.3g [%.3g, %.3g].",
		    files[i], x[0][i], x[1][i], x[2][i], x[3][i], x[4][i], x[5][i]);
		say(context, text);
	}
cleanup:
	for (k = 0; k < 6; k++)
		free(x[k]);
	return status;
}

enum pb_status pb_report_sentences(struct pb_subject *s, pb_say say, void *context,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i;

	if (!pb_subject_proven(s))
		say(context,
		    "Not all of the run's own checks passed: see them below before any number is "
		    "used.");
	if (s->comparison)
		return say_comparison(s, say, context, err);
	if (s->r.evaluation)
		return say_evaluation(s, say, context, err);
	say_pairs(s, say, context);
	for (i = 0; i < s->n_sweeps; i++)
		PB_TRY(say_sweep(s, i, say, context, err));
cleanup:
	return status;
}

/* ---- summary.md ------------------------------------------------------------------------------ */

static void put_markdown(void *context, const char *sentence)
{
	FILE *out = context;

	fputs("- ", out);
	pb_markdown_text(sentence, out);
	fputc('\n', out);
}

static void put_heading(const struct pb_subject *s, bool first, FILE *out)
{
	char experiment[13];

	fputs(first ? "# " : "\n# ", out);
	pb_markdown_text(s->label, out);
	fputs(s->r.partial ? " (partial)\n\n" : "\n\n", out);
	if (s->comparison)
		return;
	fputs("Model ", out);
	pb_markdown_text(s->texts[PB_TEXT_MODEL_PATH], out);
	fputs(", ", out);
	pb_markdown_text(s->texts[PB_TEXT_PRECISION], out);
	fputs(", patchbay ", out);
	pb_markdown_text(s->texts[PB_TEXT_VERSION], out);
	(void)snprintf(experiment, sizeof experiment, "%s", s->texts[PB_TEXT_EXPERIMENT]);
	fputs(", experiment ", out);
	pb_markdown_text(experiment, out);
	fputs(".\n\n", out);
	if (s->task[0] != '\0') {
		fputs("Task ", out);
		pb_markdown_text(s->task, out);
		fputs(".\n\n", out);
	}
}

static void put_checks(const struct pb_report_content *c, FILE *out)
{
	size_t i, k;

	fputs("\n## Checks\n\n| file | check | |\n| --- | --- | --- |\n", out);
	for (i = 0; i < c->n_subjects; i++)
		for (k = 0; k < c->subjects[i].n_checks; k++) {
			const struct pb_subject_check *check = &c->subjects[i].checks[k];

			fputs("| ", out);
			pb_markdown_text(c->subjects[i].label, out);
			fprintf(out, " | %s | %s: ", check->name,
				check->passed ? "passed" : "**FAILED**");
			pb_markdown_text(check->text, out);
			fputs(" |\n", out);
		}
}

static void put_figures(const struct pb_report_content *c, FILE *out)
{
	size_t i;

	fputs("\n## Figures\n\n", out);
	for (i = 0; i < c->figures.n; i++) {
		fprintf(out, "- `figures/%s`: ", c->figures.items[i].file);
		pb_markdown_text(c->figures.items[i].caption, out);
		fputc('\n', out);
	}
}

/* A line of a BibTeX entry, in which no brace is left open. */
static void put_field(const char *name, const char *text, void (*put)(const char *text, FILE *out),
		      FILE *out)
{
	char kept[256];
	size_t i;

	(void)snprintf(kept, sizeof kept, "%s", text);
	for (i = 0; kept[i] != '\0'; i++)
		if (strchr("{}\\\n\r`", kept[i]) != NULL)
			kept[i] = ' ';
	fprintf(out, ",\n  %-7s = {", name);
	put(kept, out);
	fputc('}', out);
}

void pb_report_cite(const struct pb_subject *s, void (*put)(const char *text, FILE *out), FILE *out)
{
	char year[5], note[160];

	(void)snprintf(year, sizeof year, "%s", s->texts[PB_TEXT_FINISHED]);
	(void)snprintf(note, sizeof note, "commit %.64s, experiment %.16s",
		       s->texts[PB_TEXT_COMMIT], s->texts[PB_TEXT_EXPERIMENT]);
	/* inner braces: one name, no first and last one */
	fputs("@software{patchbay,\n  author  = {{The Patchbay developers}}", out);
	put_field("title", "Patchbay: exhaustive, exact activation patching", put, out);
	if (year[0] != '\0')
		put_field("year", year, put, out);
	put_field("version", s->texts[PB_TEXT_VERSION], put, out);
	put_field("note", note, put, out);
	fputs("\n}\n", out);
}

static void put_plain(const char *text, FILE *out)
{
	fputs(text, out);
}

enum pb_status pb_report_write_summary(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status;
	FILE *out = NULL;
	size_t i;

	PB_TRY(pb_folder_open(c->temp, &out, err, "summary.md"));
	for (i = 0; i < c->n_subjects; i++) {
		struct pb_subject *s = &c->subjects[i];

		put_heading(s, i == 0, out);
		PB_TRY(pb_report_sentences(s, put_markdown, out, err));
	}
	put_checks(c, out);
	put_figures(c, out);
	fputs("\n## How to cite\n\n```bibtex\n", out);
	pb_report_cite(&c->subjects[0], put_plain, out);
	fputs("```\n", out);
	status = pb_folder_close(&out, c->temp, err);
cleanup:
	if (out != NULL)
		(void)fclose(out);
	return status;
}
