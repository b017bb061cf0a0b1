/* Tables as CSV: one row a cell, tidy. */
#include <math.h>
#include <stdlib.h>

#include "report/report_parts.h"
#include "results/text.h"

static void put_number(FILE *out, double value)
{
	fputc(',', out);
	if (!isnan(value))
		fprintf(out, "%.17g", value);
}

/* Columns of axes; layer, head and pos are TransformerLens's. */
static const char *column_name(const struct pb_shown_axis *axis)
{
	if (axis->kind == PB_AXIS_POSITION)
		return axis->from_end ? "pos_from_end" : "pos";
	return pb_axis_names[axis->kind];
}

static void put_header(FILE *out, const struct pb_shown_sweep *w)
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
	fputc('\n', out);
}

static void put_cell(FILE *out, const struct pb_shown_sweep *w, size_t cell)
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
	fputc('\n', out);
}

static enum pb_status write_sweep(const struct pb_report_content *c, size_t number, size_t sweep,
				  struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &c->subjects[number].sweeps[sweep];
	FILE *out = NULL;
	size_t i;

	PB_TRY(pb_folder_open(c->temp, &out, err, "tables/%zu-%.150s.csv", number, w->info->name));
	put_header(out, w);
	for (i = 0; i < w->grid.n_cells; i++)
		put_cell(out, w, i);
	status = pb_folder_close(&out, c->temp, err);
cleanup:
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

enum pb_status pb_report_write_tables(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i, k;

	for (i = 0; i < c->n_subjects; i++) {
		if (pb_subject_has_pairs(&c->subjects[i]))
			PB_TRY(write_pairs(c, i, err));
		for (k = 0; k < c->subjects[i].n_sweeps; k++)
			PB_TRY(write_sweep(c, i, k, err));
	}
cleanup:
	return status;
}
