/* A comparison as HDF5: the group /comparison over files, bins of depth, and ranks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/compare.h"

struct writer {
	const struct pb_comparison *c;
	struct pb_layout layout;
	hid_t group;
};

/* The row of a field, with the unit of what is compared. */
static struct pb_field row_of(const struct writer *w, int field)
{
	struct pb_field row = pb_compare_fields[field];

	if (w->c->by == PB_BY_RESTORATION &&
	    (field == PB_COMPARE_TOP_EFFECT || field == PB_COMPARE_MEASURES + PB_MEASURE_TOTAL))
		row.units = "1";
	return row;
}

/* ---- values -------------------------------------------------------------------------------- */

static enum pb_status write_texts(const struct writer *w, struct pb_error *err)
{
	enum pb_status status;
	const char **texts = NULL;
	size_t i;
	int field;

	PB_TRY(pb_alloc((void **)&texts, w->c->n_files, sizeof *texts, "files", err));
	for (field = 0; field < PB_N_COMPARE_TEXTS; field++) {
		for (i = 0; i < w->c->n_files; i++)
			texts[i] = w->c->files[i].texts[field];
		PB_TRY(pb_field_write(&w->layout, w->group, &pb_compare_fields[field], NULL, "",
				      (const void *)texts, err));
	}
cleanup:
	free((void *)texts);
	return status;
}

static enum pb_status write_facts(const struct writer *w, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_comparison *c = w->c;
	int32_t *counts = NULL;
	double *facts = NULL;
	size_t i, k;

	PB_TRY(pb_alloc((void **)&counts, c->n_files, sizeof *counts, "files", err));
	PB_TRY(pb_alloc((void **)&facts, c->n_files, sizeof *facts, "files", err));
	for (k = 0; k < PB_N_COMPARE_COUNTS; k++) {
		for (i = 0; i < c->n_files; i++)
			counts[i] = (int32_t)c->files[i].counts[k];
		PB_TRY(pb_field_write(&w->layout, w->group,
				      &pb_compare_fields[PB_COMPARE_N_LAYERS + k], NULL, "", counts,
				      err));
	}
	for (k = 0; k < PB_N_COMPARE_FACTS; k++) {
		for (i = 0; i < c->n_files; i++)
			facts[i] = c->files[i].facts[k];
		PB_TRY(pb_field_write_masked(&w->layout, w->group,
					     &pb_compare_fields[PB_COMPARE_RIGHT_SHARE + k], NULL,
					     "", facts, err));
	}
cleanup:
	free(counts);
	free(facts);
	return status;
}

/* A figure by file and column, `<name>`, `<name>_ci_low` and `<name>_ci_high`. */
typedef struct pb_estimate (*estimate_of)(const struct pb_spread *spread, size_t which,
					  size_t column);

static enum pb_status write_estimates(const struct writer *w, int field, int subset, size_t which,
				      size_t n_columns, estimate_of get, struct pb_error *err)
{
	static const char *const suffixes[3] = {"", "_ci_low", "_ci_high"};
	static const char *const ends[3] = {"", "lower end of the 95% bootstrap interval of: ",
					    "upper end of the 95% bootstrap interval of: "};
	enum pb_status status;
	struct pb_field row = row_of(w, field);
	const char *const base = row.name, *const says = row.long_name;
	char name[64], text[400];
	double *values = NULL;
	size_t i, k, part;

	PB_TRY(
	    pb_alloc((void **)&values, w->c->n_files, n_columns * sizeof *values, "figures", err));
	row.name = name;
	row.long_name = text;
	for (part = 0; part < 3; part++) {
		for (i = 0; i < w->c->n_files; i++) {
			for (k = 0; k < n_columns; k++) {
				const struct pb_estimate x =
				    get(&w->c->files[i].spread[subset], which, k);

				values[i * n_columns + k] = part == 0   ? x.value
							    : part == 1 ? x.low
									: x.high;
			}
		}
		snprintf(name, sizeof name, "%s%s", base, suffixes[part]);
		snprintf(text, sizeof text, "%s%s", ends[part], says);
		PB_TRY(pb_field_write_masked(&w->layout, w->group, &row, NULL,
					     pb_subset_suffixes[subset], values, err));
	}
cleanup:
	free(values);
	return status;
}

static struct pb_estimate measure_of(const struct pb_spread *spread, size_t which, size_t column)
{
	(void)column;
	return spread->measures[which];
}

static struct pb_estimate share_of(const struct pb_spread *spread, size_t which, size_t column)
{
	(void)which;
	return spread->profile[column];
}

static struct pb_estimate effect_of(const struct pb_spread *spread, size_t which, size_t column)
{
	(void)which;
	return column < spread->n_top ? spread->top[column].effect
				      : (struct pb_estimate){NAN, NAN, NAN};
}

/* ---- the strongest cells -------------------------------------------------------------------- */

struct columns {
	const char **labels;
	int32_t *layers, *heads;
	double *depths;
};

static enum pb_status columns_new(struct columns *t, size_t n, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&t->labels, n, sizeof *t->labels, "ranking", err));
	PB_TRY(pb_alloc((void **)&t->layers, n, sizeof *t->layers, "ranking", err));
	PB_TRY(pb_alloc((void **)&t->heads, n, sizeof *t->heads, "ranking", err));
	PB_TRY(pb_alloc((void **)&t->depths, n, sizeof *t->depths, "ranking", err));
cleanup:
	return status;
}

/* A file of fewer cells than others lacks ranks. */
static void columns_fill(struct columns *t, const struct pb_comparison *c, int subset)
{
	size_t i, k;

	for (i = 0; i < c->n_files; i++) {
		const struct pb_spread *spread = &c->files[i].spread[subset];

		for (k = 0; k < c->n_top; k++) {
			const struct pb_strong_cell *cell =
			    k < spread->n_top ? &spread->top[k] : NULL;
			const size_t at = i * c->n_top + k;

			t->labels[at] = cell != NULL ? cell->label : "";
			t->layers[at] = cell != NULL ? cell->layer : -1;
			t->heads[at] = cell != NULL ? cell->head : -1;
			t->depths[at] = cell != NULL ? cell->depth : NAN;
		}
	}
}

static enum pb_status write_top(const struct writer *w, int subset, struct pb_error *err)
{
	enum pb_status status;
	const char *suffix = pb_subset_suffixes[subset];
	struct columns t = {0};

	PB_TRY(columns_new(&t, w->c->n_files * w->c->n_top, err));
	columns_fill(&t, w->c, subset);
#define WRITE(write, field, data)                                                                  \
	PB_TRY(write(&w->layout, w->group, &pb_compare_fields[field], NULL, suffix, data, err))
	WRITE(pb_field_write, PB_COMPARE_TOP_LABEL, (const void *)t.labels);
	WRITE(pb_field_write, PB_COMPARE_TOP_LAYER, t.layers);
	WRITE(pb_field_write, PB_COMPARE_TOP_HEAD, t.heads);
	WRITE(pb_field_write_masked, PB_COMPARE_TOP_DEPTH, t.depths);
#undef WRITE
	status = write_estimates(w, PB_COMPARE_TOP_EFFECT, subset, 0, w->c->n_top, effect_of, err);
cleanup:
	free((void *)t.labels);
	free(t.layers);
	free(t.heads);
	free(t.depths);
	return status;
}

static enum pb_status write_subset(const struct writer *w, int subset, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_comparison *c = w->c;
	int32_t *n_cells = NULL;
	size_t i, m;

	PB_TRY(pb_alloc((void **)&n_cells, c->n_files, sizeof *n_cells, "files", err));
	for (i = 0; i < c->n_files; i++)
		n_cells[i] = (int32_t)c->files[i].spread[subset].n_cells;
	PB_TRY(pb_field_write(&w->layout, w->group, &pb_compare_fields[PB_COMPARE_N_CELLS], NULL,
			      pb_subset_suffixes[subset], n_cells, err));
	for (m = 0; m < PB_N_MEASURES; m++)
		PB_TRY(write_estimates(w, PB_COMPARE_MEASURES + (int)m, subset, m, 1, measure_of,
				       err));
	PB_TRY(write_estimates(w, PB_COMPARE_DEPTH_SHARE, subset, 0, c->n_bins, share_of, err));
	if (c->n_top > 0)
		status = write_top(w, subset, err);
cleanup:
	free(n_cells);
	return status;
}

/* ---- scales and attributes ------------------------------------------------------------------- */

static enum pb_status write_scales(struct writer *w, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_comparison *c = w->c;
	int32_t *ranks = NULL;
	size_t i;

	w->layout.sizes[PB_DIM_FILE] = c->n_files;
	w->layout.sizes[PB_DIM_BIN] = c->n_bins;
	w->layout.sizes[PB_DIM_RANK] = c->n_top;
	PB_TRY(pb_layout_scale(&w->layout, PB_DIM_FILE, err));
	PB_TRY(pb_layout_scale(&w->layout, PB_DIM_BIN, err));
	PB_TRY(pb_alloc((void **)&ranks, c->n_top, sizeof *ranks, "ranking", err));
	for (i = 0; i < c->n_top; i++)
		ranks[i] = (int32_t)i + 1;
	if (c->n_top > 0)
		status = pb_scale_write(w->layout.file, PB_DIM_RANK, c->n_top, ranks, NULL, err);
cleanup:
	free(ranks);
	return status;
}

static enum pb_status write_bins(const struct writer *w, struct pb_error *err)
{
	enum pb_status status;
	const size_t n = w->c->n_bins;
	double *edges = NULL;
	size_t b;

	PB_TRY(pb_alloc((void **)&edges, n + 1, sizeof *edges, "bins", err));
	for (b = 0; b <= n; b++)
		edges[b] = (double)b / (double)n;
	PB_TRY(pb_field_write_masked(&w->layout, w->group, &pb_compare_fields[PB_COMPARE_DEPTH_LOW],
				     NULL, "", edges, err));
	PB_TRY(pb_field_write_masked(&w->layout, w->group,
				     &pb_compare_fields[PB_COMPARE_DEPTH_HIGH], NULL, "", edges + 1,
				     err));
cleanup:
	free(edges);
	return status;
}

static enum pb_status write_attributes(const struct writer *w, const char *command,
				       struct pb_error *err)
{
	enum pb_status status;
	const struct pb_comparison *c = w->c;
	char *title = pb_format("Patchbay: %s of %zu result files compared", c->sweep, c->n_files);

	if (title == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the file's title");
	PB_TRY(pb_h5_put_text(w->layout.file, "title", title, err));
	PB_TRY(pb_h5_put_int(w->layout.file, "comparison_version", PB_COMPARE_VERSION, err));
	PB_TRY(pb_program_write(w->layout.file, command, err));
	PB_TRY(pb_h5_put_text(w->group, "coordinates", "model revision n_layers n_heads", err));
	PB_TRY(pb_h5_put_text(w->group, "sweep", c->sweep, err));
	PB_TRY(pb_h5_put_text(w->group, "direction", pb_direction_names[c->noise ? 1 : 0], err));
	PB_TRY(pb_h5_put_text(w->group, "cells", c->by_head ? "heads" : "layers", err));
	PB_TRY(pb_h5_put_text(w->group, "by", pb_compare_by_names[c->by], err));
	PB_TRY(pb_h5_put_text(w->group, "task", c->task, err));
	PB_TRY(pb_h5_put_int(w->group, "same_task", c->same_task, err));
	PB_TRY(pb_h5_put_int(w->group, "n_resamples", PB_STATS_RESAMPLES, err));
cleanup:
	free(title);
	return status;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static enum pb_status write_all(struct writer *w, const char *command, struct pb_error *err)
{
	enum pb_status status;
	hid_t checks = -1;

	PB_TRY(write_scales(w, err));
	PB_TRY(pb_h5_group_create(&w->group, w->layout.file, "comparison", err));
	PB_TRY(write_attributes(w, command, err));
	PB_TRY(write_texts(w, err));
	PB_TRY(write_facts(w, err));
	PB_TRY(write_subset(w, 0, err));
	PB_TRY(write_subset(w, 1, err));
	PB_TRY(write_bins(w, err));
	status = pb_h5_group_create(&checks, w->layout.file, "checks", err);
cleanup:
	pb_h5_drop(checks);
	pb_h5_drop(w->group);
	w->group = -1;
	return status;
}

static enum pb_status write_file(struct writer *w, const char *path, const char *command,
				 struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_h5_file_create(&w->layout.file, path, err));
	PB_TRY(write_all(w, command, err));
	PB_TRY(pb_h5_file_close(&w->layout.file, path, err));
	/* Open again: what is hashed is what was written. */
	PB_TRY(pb_h5_file_open(&w->layout.file, path, true, PB_ERR_IO, err));
	PB_TRY(pb_checksums_write(&w->layout, true, err));
	status = pb_h5_file_close(&w->layout.file, path, err);
cleanup:
	if (w->layout.file >= 0)
		(void)pb_h5_file_close(&w->layout.file, path, NULL);
	return status;
}

enum pb_status pb_compare_write(const struct pb_comparison *c, const char *path,
				const char *command, struct pb_error *err)
{
	enum pb_status status;
	struct pb_error inner = {0};
	struct pb_aside aside = {0};
	struct writer w = {.c = c, .layout = {.file = -1}, .group = -1};

	PB_TRY(pb_aside_begin(&aside, path, err));
	status = write_file(&w, aside.temp_path, command, &inner);
	if (status != PB_OK)
		status = pb_fail(err, status, "%s: %s was not written", inner.message, path);
	else
		status = pb_aside_commit(&aside, err);
cleanup:
	pb_aside_end(&aside);
	return status;
}
