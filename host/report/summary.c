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

static size_t n_significant(const struct pb_shown_sweep *w)
{
	size_t n = 0, i;

	for (i = 0; i < w->grid.n_cells; i++)
		n += w->columns[0][PB_SHOWN_P_FWER][i] < 0.05;
	return n;
}

/* "L3H5 +0.81 [+0.78, +0.84]" of the strongest cells. */
static void list_cells(const struct pb_shown_sweep *w, const struct pb_ranking *ranking, FILE *out)
{
	size_t i;

	for (i = 0; i < ranking->n; i++) {
		const struct pb_ranked_cell *cell = &ranking->cells[i];
		char interval[64];

		pb_text_interval(interval, w->shown[0][cell->cell], w->low[0][cell->cell],
				 w->high[0][cell->cell]);
		fprintf(out, "%s%s %s", i > 0 ? ", " : "", cell->label, interval);
	}
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
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a summary");
	PB_TRY(pb_rank_sweep(&ranking, &s->r, sweep, SAY_MOST, false, err));
	fprintf(out, "%s: ", pb_sweep_title(&arena, w));
	if (ranking.n == 0) {
		fprintf(out, "none of the %zu cells has an effect that can be measured.",
			ranking.n_cells);
	} else {
		fprintf(out,
			"of %zu cells, %zu have an effect that is significant after correction "
			"for all of them (p_fwer < 0.05). The strongest, by mean effect, with "
			"their %s and its 95%% interval: ",
			ranking.n_cells, n_significant(w), pb_sweep_quantity(w));
		list_cells(w, &ranking, out);
		fputc('.', out);
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

enum pb_status pb_report_sentences(struct pb_subject *s, pb_say say, void *context,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i;

	if (!pb_subject_proven(s))
		say(context,
		    "Not all of the run's own checks passed: see them below before any number is "
		    "used.");
	if (!pb_subject_has_pairs(s)) {
		say(context, s->texts[PB_TEXT_TITLE]);
		return PB_OK;
	}
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
	for (; *sentence != '\0'; sentence++) {
		if (strchr("\\`*_<>|#", *sentence) != NULL)
			fputc('\\', out);
		fputc(*sentence == '\n' ? ' ' : *sentence, out);
	}
	fputc('\n', out);
}

static void put_table(const struct pb_report_content *c, FILE *out)
{
	size_t i, k;

	fputs("\n## Checks\n\n| file | check | |\n| --- | --- | --- |\n", out);
	for (i = 0; i < c->n_subjects; i++)
		for (k = 0; k < c->subjects[i].n_checks; k++) {
			const struct pb_subject_check *check = &c->subjects[i].checks[k];

			fprintf(out, "| %s | %s | %s: %s |\n", c->subjects[i].label, check->name,
				check->passed ? "passed" : "**FAILED**", check->text);
		}
	fputs("\n## Figures\n\n", out);
	for (i = 0; i < c->figures.n; i++) {
		fprintf(out, "- `figures/%s`: ", c->figures.items[i].file);
		fprintf(out, "%s\n", c->figures.items[i].caption);
	}
}

enum pb_status pb_report_write_summary(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status;
	FILE *out = NULL;
	size_t i;

	PB_TRY(pb_folder_open(c->temp, &out, err, "summary.md"));
	for (i = 0; i < c->n_subjects; i++) {
		struct pb_subject *s = &c->subjects[i];

		fprintf(out, "%s# %s%s\n\nModel `%s`, %s, patchbay %s, experiment `%.12s`.\n\n",
			i > 0 ? "\n" : "", s->label, s->r.partial ? " (partial)" : "",
			s->texts[PB_TEXT_MODEL_PATH], s->texts[PB_TEXT_PRECISION],
			s->texts[PB_TEXT_VERSION], s->texts[PB_TEXT_EXPERIMENT]);
		PB_TRY(pb_report_sentences(s, put_markdown, out, err));
	}
	put_table(c, out);
	status = pb_folder_close(&out, c->temp, err);
cleanup:
	if (out != NULL)
		(void)fclose(out);
	return status;
}
