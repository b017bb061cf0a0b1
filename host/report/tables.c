/* Tables as CSV: one row a cell, tidy. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_parts.h"
#include "results/text.h"

static void put_number(FILE *out, double value)
{
	fputc(',', out);
	if (!isnan(value))
		fprintf(out, "%.17g", value);
}

/* Columns of axes, by the names of TransformerLens's index frames where it has one. */
static const char *column_name(const struct pb_shown_axis *axis)
{
	switch (axis->kind) {
	case PB_AXIS_POSITION:
		return axis->from_end ? "pos_from_end" : "pos";
	case PB_AXIS_QUERY_POSITION:
		return axis->from_end ? "dest_pos_from_end" : "dest_pos";
	case PB_AXIS_KEY_POSITION:
		return axis->from_end ? "src_pos_from_end" : "src_pos";
	default:
		return pb_axis_names[axis->kind];
	}
}

/* What only some sweeps' summaries have: a column where the file has it. */
#define EXTRAS_MOST 64
struct extras {
	size_t n;
	struct {
		char name[64];
		double *values; /* by cell */
	} items[EXTRAS_MOST];
};

static void extras_free(struct extras *x)
{
	size_t i;

	for (i = 0; i < x->n; i++)
		free(x->items[i].values);
	x->n = 0;
}

static enum pb_status add_extra(struct extras *x, const struct pb_subject *s, size_t sweep,
				const char *name, struct pb_error *err)
{
	enum pb_status status;
	double *values = NULL;

	if (x->n == EXTRAS_MOST)
		return PB_OK;
	PB_TRY(pb_file_grid_column_if(&s->sweeps[sweep].grid, &s->r, sweep, name, &values, err));
	if (values == NULL)
		goto cleanup;
	(void)snprintf(x->items[x->n].name, sizeof x->items[x->n].name, "%s", name);
	x->items[x->n++].values = values;
cleanup:
	return status;
}

static enum pb_status extras_read(struct extras *x, const struct pb_subject *s, size_t sweep,
				  struct pb_error *err)
{
	static const struct {
		const struct pb_field *fields;
		size_t n;
	} tables[] = {{pb_accuracy_fields, PB_N_ACCURACY_FIELDS},
		      {pb_random_fields, PB_N_RANDOM_FIELDS},
		      {pb_faithfulness_fields, PB_N_CIRCUIT_FIELDS},
		      {pb_remaining_fields, PB_N_CIRCUIT_FIELDS}};
	enum pb_status status;
	char name[64];
	size_t t, i;

	PB_TRY(
	    add_extra(x, s, sweep, pb_summary_fields[PB_SUMMARY_RESTORATION_OF_MEANS].name, err));
	PB_TRY(add_extra(x, s, sweep, pb_summary_fields[PB_SUMMARY_RESTORATION_N_PAIRS].name, err));
	for (i = 0; i < PB_N_METRICS; i++) {
		(void)snprintf(name, sizeof name, "%s_mean", pb_metric_infos[i].name);
		PB_TRY(add_extra(x, s, sweep, name, err));
	}
	for (t = 0; t < sizeof tables / sizeof *tables; t++)
		for (i = 0; i < tables[t].n; i++)
			PB_TRY(add_extra(x, s, sweep, tables[t].fields[i].name, err));
cleanup:
	return status;
}

static void put_header(FILE *out, const struct pb_shown_sweep *w, const struct extras *x)
{
	size_t a;
	int c;

	fputs("sweep,cell,label", out);
	for (a = 0; a < w->n_axes; a++)
		fprintf(out, ",%s", column_name(&w->axes[a]));
	for (c = 0; c < PB_N_SHOWN; c++)
		fprintf(out, ",%s", pb_shown_names[c]);
	for (c = 0; c < PB_N_SHOWN; c++)
		fprintf(out, ",%s_right", pb_shown_names[c]);
	for (a = 0; a < x->n; a++)
		fprintf(out, ",%s", x->items[a].name);
	fputc('\n', out);
}

static void put_cell(FILE *out, const struct pb_shown_sweep *w, const struct extras *x, size_t cell)
{
	char label[96];
	size_t a;
	int c, k;

	pb_file_grid_label(&w->grid, cell, label, sizeof label);
	pb_text_quoted(w->info->name, out);
	fprintf(out, ",%zu,", cell);
	pb_text_quoted(label, out);
	for (a = 0; a < w->n_axes; a++)
		put_number(out, w->axes[a].values[pb_axis_step(&w->axes[a], cell)]);
	for (k = 0; k < 2; k++)
		for (c = 0; c < PB_N_SHOWN; c++)
			put_number(out, w->columns[k][c][cell]);
	for (a = 0; a < x->n; a++)
		put_number(out, x->items[a].values[cell]);
	fputc('\n', out);
}

#define ROWS_MOST 200000 /* of a sweep; the strongest of a larger one */

/* The strongest cells, in their own order: flags by cell. */
static enum pb_status choose_rows(const struct pb_shown_sweep *w, uint8_t **chosen,
				  struct pb_error *err)
{
	enum pb_status status;
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	struct pb_ranked *order = NULL;
	size_t i;

	PB_TRY(pb_alloc((void **)chosen, w->grid.n_cells, 1, "a table", err));
	PB_TRY(pb_alloc((void **)&order, w->grid.n_cells, sizeof *order, "a table", err));
	for (i = 0; i < w->grid.n_cells; i++)
		order[i] = (struct pb_ranked){isfinite(effect[i]) ? fabs(effect[i]) : -1, i};
	pb_rank(order, w->grid.n_cells);
	for (i = 0; i < ROWS_MOST; i++)
		(*chosen)[order[i].cell] = 1;
cleanup:
	free(order);
	return status;
}

static enum pb_status write_sweep(const struct pb_report_content *c, size_t number, size_t sweep,
				  struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &c->subjects[number].sweeps[sweep];
	struct extras extras = {0};
	uint8_t *chosen = NULL;
	FILE *out = NULL;
	size_t i;

	if (w->grid.n_cells > ROWS_MOST) {
		PB_TRY(choose_rows(w, &chosen, err));
		pb_warn("%s: its table has the %d strongest of %zu cells", w->info->name, ROWS_MOST,
			w->grid.n_cells);
	}
	PB_TRY(extras_read(&extras, &c->subjects[number], sweep, err));
	PB_TRY(pb_folder_open(c->temp, &out, err, "tables/%zu-%.150s.csv", number, w->info->name));
	put_header(out, w, &extras);
	for (i = 0; i < w->grid.n_cells; i++)
		if (chosen == NULL || chosen[i])
			put_cell(out, w, &extras, i);
	status = pb_folder_close(&out, c->temp, err);
cleanup:
	extras_free(&extras);
	free(chosen);
	return status;
}

static enum pb_status write_pairs(const struct pb_report_content *c, size_t number,
				  struct pb_error *err)
{
	enum pb_status status;
	const struct pb_subject *s = &c->subjects[number];
	FILE *out = NULL;
	size_t i;
	int t;

	PB_TRY(pb_folder_open(c->temp, &out, err, "tables/%zu-pairs.csv", number));
	fputs("pair,length,first_difference,answer_token,foil_token,right,clean_logit_diff,"
	      "corrupted_logit_diff,clean,corrupted,answer,foil\n",
	      out);
	for (i = 0; i < s->r.n_pairs; i++) {
		fprintf(out, "%zu,%d,%d,%d,%d,%d", i, (int)s->length[i],
			(int)s->first_difference[i], (int)s->answer[i], (int)s->foil[i],
			(int)s->r.right[i]);
		put_number(out, s->r.logit_diff[0][i]);
		put_number(out, s->r.logit_diff[1][i]);
		for (t = 0; t < 4; t++) {
			fputc(',', out);
			pb_text_quoted(s->texts_of[t] != NULL ? s->texts_of[t][i] : "", out);
		}
		fputc('\n', out);
	}
	status = pb_folder_close(&out, c->temp, err);
cleanup:
	return status;
}

/* ---- evaluations --------------------------------------------------------------------------- */

#define COLUMNS_MOST 128

struct columns {
	size_t n;
	const char *names[COLUMNS_MOST]; /* of the group's list */
	double *values[COLUMNS_MOST];
};

static void put_cells(FILE *out, const struct pb_eval_axes *axes, const struct columns *c)
{
	size_t i, a, k, steps[PB_CELL_AXES];

	fputs("cell", out);
	for (a = 0; a < axes->n; a++)
		fprintf(out, ",%s", axes->names[a]);
	for (k = 0; k < c->n; k++)
		fprintf(out, ",%s", c->names[k]);
	fputc('\n', out);
	for (i = 0; i < axes->n_cells; i++) {
		size_t rest = i;

		for (a = axes->n; a-- > 0; rest /= axes->sizes[a])
			steps[a] = rest % axes->sizes[a];
		fprintf(out, "%zu", i);
		for (a = 0; a < axes->n; a++)
			put_number(out, axes->values[a][steps[a]]);
		for (k = 0; k < c->n; k++)
			put_number(out, c->values[k][i]);
		fputc('\n', out);
	}
}

/* Whether a link of /summary is a figure by cell: no mask, no scale of the root. */
static bool is_figure(const struct pb_subject *s, const char *name)
{
	return strstr(name, "_mask") == NULL && !pb_h5_exists(s->r.file, name);
}

static enum pb_status read_columns(struct columns *c, const struct pb_subject *s,
				   const struct pb_eval_axes *axes, char **all, size_t n_all,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < n_all && c->n < COLUMNS_MOST; i++) {
		char *path;

		if (!is_figure(s, all[i]))
			continue;
		path = pb_format("summary/%s", all[i]);
		if (path == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: a table");
		status =
		    pb_subject_numbers(s, path, (int)axes->n, axes->sizes, &c->values[c->n], err);
		free(path);
		PB_TRY(status);
		c->names[c->n++] = all[i];
	}
cleanup:
	return status;
}

static enum pb_status write_cells(const struct pb_report_content *c, size_t number,
				  struct pb_error *err)
{
	enum pb_status status;
	const struct pb_subject *s = &c->subjects[number];
	struct pb_eval_axes axes = {0};
	struct columns columns = {0};
	char **all = NULL;
	size_t n_all = 0, i;
	hid_t group = -1;
	FILE *out = NULL;

	PB_TRY(pb_eval_axes_read(&axes, s->r.file, err));
	PB_TRY(pb_h5_group_open(&group, s->r.file, "summary", err));
	PB_TRY(pb_h5_names(group, &all, &n_all, err));
	PB_TRY(read_columns(&columns, s, &axes, all, n_all, err));
	PB_TRY(pb_folder_open(c->temp, &out, err, "tables/%zu-cells.csv", number));
	put_cells(out, &axes, &columns);
	status = pb_folder_close(&out, c->temp, err);
cleanup:
	for (i = 0; i < columns.n; i++)
		free(columns.values[i]);
	pb_h5_names_free(all, n_all);
	pb_h5_drop(group);
	pb_eval_axes_free(&axes);
	return status;
}

enum pb_status pb_report_write_tables(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i, k;

	for (i = 0; i < c->n_subjects; i++) {
		if (pb_subject_has_pairs(&c->subjects[i]))
			PB_TRY(write_pairs(c, i, err));
		if (c->subjects[i].r.evaluation)
			PB_TRY(write_cells(c, i, err));
		if (c->subjects[i].comparison)
			PB_TRY(pb_report_write_comparison(c, i, err));
		for (k = 0; k < c->subjects[i].n_sweeps; k++)
			PB_TRY(write_sweep(c, i, k, err));
	}
cleanup:
	return status;
}
