/* Figures of a comparison, a file of `patchbay compare`: the effect by relative depth, and how few
 * heads have it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/palette.h"
#include "report/plot.h"
#include "report/subject_read.h"

#define CURVES_MOST 8

struct depth {
	size_t n_files, n_bins;
	const char **names;
	double *low, *high;                     /* [n_bins] */
	double *share, *share_low, *share_high; /* [n_files, n_bins] */
};

static enum pb_status numbers(const struct pb_subject *s, const char *name, int rank,
			      const size_t *dims, double **values, struct pb_error *err)
{
	enum pb_status status;
	char path[96];

	(void)snprintf(path, sizeof path, "comparison/%s", name);
	PB_TRY(pb_subject_numbers(s, path, rank, dims, values, err));
	if (*values == NULL)
		status = pb_fail(err, PB_ERR_CHECK, "missing dataset: %s", path);
cleanup:
	return status;
}

static void depth_free(struct depth *d)
{
	free(d->low);
	free(d->high);
	free(d->share);
	free(d->share_low);
	free(d->share_high);
}

static const char *name_of(struct pb_arena *arena, const char **const texts[3], size_t n,
			   size_t file)
{
	const char *model = pb_last_part(texts[0][file]), *revision = texts[1][file];
	const bool plain = revision[0] == '\0' || strcmp(revision, "main") == 0;
	char text[256];
	size_t i, alike = 0;

	for (i = 0; i < n; i++)
		alike +=
		    strcmp(texts[0][i], texts[0][file]) == 0 && strcmp(texts[1][i], revision) == 0;
	if (alike > 1) /* of one model: what differs must not be cut off */
		(void)snprintf(text, sizeof text, "%s", pb_last_part(texts[2][file]));
	else
		(void)snprintf(text, sizeof text, "%s%s%s", model, plain ? "" : " ",
			       plain ? "" : revision);
	return pb_arena_strdup(arena, text);
}

enum pb_status pb_compared_names(struct pb_subject *s, const char ***names, size_t *n,
				 struct pb_error *err)
{
	static const char *const paths[] = {"comparison/model", "comparison/revision",
					    "comparison/path"};
	enum pb_status status;
	const char **texts[3] = {NULL};
	size_t i;
	int k;

	PB_TRY(pb_result_size(s->r.file, paths[0], n, err));
	*names = pb_arena_alloc(&s->arena, *n, sizeof **names);
	if (*names == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a comparison");
	for (k = 0; k < 3; k++) {
		PB_TRY(pb_subject_read_texts(s, paths[k], *n, &texts[k], err));
		if (texts[k] == NULL)
			return pb_fail(err, PB_ERR_CHECK, "missing dataset: %s", paths[k]);
	}
	for (i = 0; i < *n; i++) {
		(*names)[i] = name_of(&s->arena, texts, *n, i);
		if ((*names)[i] == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: a comparison");
	}
cleanup:
	return status;
}

static enum pb_status depth_read(struct depth *d, struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status;
	size_t dims[2];

	PB_TRY(pb_compared_names(s, &d->names, &d->n_files, err));
	PB_TRY(pb_result_size(s->r.file, "comparison/depth_low", &d->n_bins, err));
	if (d->n_files == 0 || d->n_bins == 0)
		return pb_fail(err, PB_ERR_CHECK, "a comparison without files or bins");
	dims[0] = d->n_files;
	dims[1] = d->n_bins;
	PB_TRY(numbers(s, "depth_low", 1, dims + 1, &d->low, err));
	PB_TRY(numbers(s, "depth_high", 1, dims + 1, &d->high, err));
	PB_TRY(numbers(s, "depth_share", 2, dims, &d->share, err));
	PB_TRY(numbers(s, "depth_share_ci_low", 2, dims, &d->share_low, err));
	PB_TRY(numbers(s, "depth_share_ci_high", 2, dims, &d->share_high, err));
cleanup:
	return status;
}

static enum pb_status draw_depth(struct pb_figure_list *list, struct pb_subject *s,
				 const struct depth *d, size_t number, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_style *style = list->style;
	struct pb_plot p = {.style = style, .y = style->size, .x_low = 0, .x_high = 1};
	double *middle = pb_arena_alloc(&s->arena, d->n_bins, sizeof *middle);
	struct pb_figure *figure;
	size_t k;

	PB_TRY(pb_figure_add(
	    list, &figure, style->width * 0.62,
	    "Share of the total |mean effect| by relative depth, with its 95% bootstrap "
	    "interval over the pairs.",
	    err, "%zu-depth", number));
	figure->subject = number;
	p.d = &figure->drawing;
	p.x = pb_plot_left(style);
	p.w = style->width - p.x - pb_plot_legend_room(style);
	p.h = style->width * 0.62 - p.y - pb_plot_bottom(style);
	for (k = 0; k < d->n_files * d->n_bins; k++) {
		pb_range_add(&p.y_low, &p.y_high, d->share[k]);
		pb_range_add(&p.y_low, &p.y_high, d->share_high[k]);
	}
	PB_TRY(pb_figure_share_range(list, figure->file, "share", &p.y_low, &p.y_high, err));
	pb_range_finish(&p.y_low, &p.y_high);
	pb_plot_frame(&p, "relative depth", "share of the effect", false);
	for (k = 0; middle != NULL && k < d->n_bins; k++)
		middle[k] = (d->low[k] + d->high[k]) / 2;
	for (k = 0; middle != NULL && k < d->n_files && k < CURVES_MOST; k++) {
		pb_plot_whiskers(&p, d->n_bins, middle, d->share + k * d->n_bins,
				 d->share_low + k * d->n_bins, d->share_high + k * d->n_bins, k,
				 d->n_files < CURVES_MOST ? d->n_files : CURVES_MOST,
				 pb_category(k));
		pb_plot_legend(&p, k, d->names[k], pb_category(k));
	}
	status = middle != NULL ? pb_drawing_status(p.d, err)
				: pb_fail(err, PB_ERR_MEMORY, "out of memory: a comparison");
cleanup:
	return status;
}

/* One figure of each file with its interval, as bars. */
static enum pb_status draw_measure(struct pb_figure_list *list, struct pb_subject *s,
				   const struct depth *d, size_t number, const char *measure,
				   const char *title, struct pb_error *err)
{
	enum pb_status status;
	double *values[3] = {NULL};
	struct pb_bar *bars = pb_arena_alloc(&s->arena, d->n_files, sizeof *bars);
	struct pb_figure *figure;
	char name[64], file[64], caption[160];
	size_t i;
	int k;

	for (k = 0; k < 3; k++) {
		static const char *const ends[] = {"", "_ci_low", "_ci_high"};

		(void)snprintf(name, sizeof name, "%s%s", measure, ends[k]);
		PB_TRY(numbers(s, name, 1, &d->n_files, &values[k], err));
	}
	for (i = 0; bars != NULL && i < d->n_files; i++) {
		bars[i] = (struct pb_bar){.label = d->names[i],
					  .value = values[0][i],
					  .low = values[1][i],
					  .high = values[2][i],
					  .colour = pb_category(i)};
	}
	if (bars == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a comparison");
		goto cleanup;
	}
	(void)snprintf(file, sizeof file, "%zu-%s", number, measure);
	(void)snprintf(caption, sizeof caption, "%s of each model, with its 95%% interval.", title);
	PB_TRY(pb_bars_draw(list, bars, d->n_files, title, caption, &figure, err, file));
	figure->subject = number;
cleanup:
	for (k = 0; k < 3; k++)
		free(values[k]);
	return status;
}

enum pb_status pb_figures_of_comparison(struct pb_figure_list *list, struct pb_subject *s,
					size_t number, struct pb_error *err)
{
	enum pb_status status;
	struct depth d = {0};

	PB_TRY(depth_read(&d, s, err));
	PB_TRY(draw_depth(list, s, &d, number, err));
	PB_TRY(draw_measure(list, s, &d, number, "gini", "Gini coefficient", err));
	PB_TRY(
	    draw_measure(list, s, &d, number, "cells_for_80", "Heads for 80% of the effect", err));
cleanup:
	depth_free(&d);
	return status;
}
