/* `patchbay report`: from files to a folder. */
#include <stdlib.h>
#include <string.h>

#include "report/report_parts.h"
#include "results/child.h"

/* ---- reading ------------------------------------------------------------------------------- */

static enum pb_status check_same(const struct pb_report_content *c, size_t i, struct pb_error *err)
{
	const struct pb_subject *a = &c->subjects[0], *b = &c->subjects[i];

	if (c->options->compare ||
	    strcmp(a->texts[PB_TEXT_EXPERIMENT], b->texts[PB_TEXT_EXPERIMENT]) == 0)
		return PB_OK;
	return pb_fail(
	    err, PB_ERR_INPUT,
	    "files of different experiments: %s and %s: report on each by itself, or give "
	    "--compare to see them side by side",
	    a->r.path, b->r.path);
}

static bool is_name_of_another(const struct pb_report_content *c, size_t file)
{
	const char *name = pb_last_part(c->subjects[file].r.path);
	size_t i;

	for (i = 0; i < c->n_subjects; i++)
		if (i != file && strcmp(pb_last_part(c->subjects[i].r.path), name) == 0)
			return true;
	return false;
}

/* What tells the files apart: their names, or, where two are alike, their paths. */
static enum pb_status label_subjects(struct pb_report_content *c, struct pb_error *err)
{
	size_t i;

	for (i = 0; i < c->n_subjects; i++) {
		struct pb_subject *s = &c->subjects[i];
		char *label = pb_arena_strdup(
		    &s->arena, is_name_of_another(c, i) ? s->r.path : pb_last_part(s->r.path));
		const size_t n = label != NULL ? strlen(label) : 0;

		if (label == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: files");
		if (n > 3 && strcmp(label + n - 3, ".h5") == 0)
			label[n - 3] = '\0';
		s->label = label;
	}
	return PB_OK;
}

static enum pb_status read_subjects(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_TRY(pb_alloc((void **)&c->subjects, c->options->n_paths, sizeof *c->subjects, "files",
			err));
	for (i = 0; i < c->options->n_paths; i++)
		c->subjects[i].r.file = -1;
	for (i = 0; i < c->options->n_paths; i++) {
		c->n_subjects = i + 1;
		PB_TRY(pb_subject_open(&c->subjects[i], c->options->paths[i], err));
		PB_TRY(check_same(c, i, err));
	}
	status = label_subjects(c, err);
cleanup:
	return status;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum pb_status make_figures(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < c->n_subjects; i++) {
		struct pb_subject *s = &c->subjects[i];

		pb_child_at(s->r.path);
		if (s->comparison) {
			PB_TRY(pb_figures_of_comparison(&c->figures, s, i, err));
		} else if (s->r.evaluation) {
			PB_TRY(pb_figures_of_evaluation(&c->figures, s, i, err));
		} else {
			PB_TRY(pb_figures_of_sweeps(&c->figures, s, i, err));
			PB_TRY(pb_figures_of_cells(&c->figures, s, i, err));
			PB_TRY(pb_figures_of_readings(&c->figures, s, i, err));
		}
	}
cleanup:
	return status;
}

/* Of several files the same figure has one scale, which is known when all were made. */
static enum pb_status make_figures_of_all(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status;

	c->figures.several = c->figures.measuring = c->n_subjects > 1;
	PB_TRY(make_figures(c, err));
	if (!c->figures.measuring)
		return PB_OK;
	pb_figure_list_measured(&c->figures);
	status = make_figures(c, err);
cleanup:
	return status;
}

static enum pb_status make_report(void *context, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	struct pb_report_content *c = context;
	size_t i;

	(void)out;
	PB_TRY(read_subjects(c, err));
	PB_TRY(make_figures_of_all(c, err));
	PB_TRY(pb_report_write_figures(c, err));
	PB_TRY(pb_report_write_tables(c, err));
	PB_TRY(pb_report_write_summary(c, err));
	PB_TRY(pb_report_write_page(c, err));
cleanup:
	pb_figure_list_free(&c->figures);
	for (i = 0; i < c->n_subjects; i++)
		pb_subject_close(&c->subjects[i]);
	free(c->subjects);
	return status;
}

static enum pb_status find_style(const char *name, const struct pb_style **style,
				 struct pb_error *err)
{
	for (*style = pb_styles; (*style)->name != NULL; (*style)++)
		if (name == NULL || strcmp((*style)->name, name) == 0)
			return PB_OK;
	return pb_fail(err, PB_ERR_INPUT, "bad value: --style '%s': give column, page or slide",
		       name);
}

enum pb_status pb_report_make(const struct pb_report_options *given, struct pb_error *err)
{
	enum pb_status status;
	struct pb_report_options options = *given;
	struct pb_report_content content = {.options = &options};
	struct pb_folder folder = {0};

	if (options.formats == 0)
		options.formats = PB_REPORT_SVG | PB_REPORT_PDF | PB_REPORT_PNG;
	if (options.dpi == 0)
		options.dpi = 300;
	content.figures.vmax = options.vmax;
	PB_TRY(find_style(options.style, &content.figures.style, err));
	if (options.formats & ~(unsigned)PB_REPORT_SVG)
		PB_TRY(pb_cairo_open(err));
	PB_TRY(pb_folder_begin(&folder, options.folder, options.force, err));
	content.temp = folder.temp;
	PB_TRY(pb_child_run(options.paths[0], make_report, &content, stdout, NULL, err));
	status = pb_folder_commit(&folder, err);
cleanup:
	pb_folder_end(&folder);
	return status;
}
