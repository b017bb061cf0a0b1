/* Tables of a comparison, tidy: a row for each model and measure, and for each model and band of
 * relative depth. */
#include <math.h>
#include <stdlib.h>

#include "report/report_parts.h"
#include "report/subject_read.h"
#include "results/compare.h"
#include "results/text.h"

/* A figure and its interval, by file and band; an end is NULL where the file has none. */
struct estimates {
	double *parts[3];
};

static void estimates_free(struct estimates *e)
{
	int k;

	for (k = 0; k < 3; k++)
		free(e->parts[k]);
}

static enum pb_status read_estimates(struct estimates *out, const struct pb_subject *s,
				     const char *name, const char *suffix, int rank,
				     const size_t *dims, struct pb_error *err)
{
	static const char *const ends[3] = {"", "_ci_low", "_ci_high"};
	enum pb_status status = PB_OK;
	char path[160];
	int k;

	for (k = 0; k < 3; k++) {
		(void)snprintf(path, sizeof path, "comparison/%s%s%s", name, ends[k], suffix);
		PB_TRY(pb_subject_numbers(s, path, rank, dims, &out->parts[k], err));
	}
cleanup:
	return status;
}

/* What a table is made of. */
struct compared {
	struct pb_subject *s;
	size_t n_files, n_bins;
	const char **texts[3]; /* path, model, revision: [n_files] */
	double *low, *high;    /* of bins */
	FILE *out;
};

static void put_file(const struct compared *c, size_t file)
{
	size_t t;

	for (t = 0; t < 3; t++) {
		pb_text_quoted(c->texts[t][file], c->out);
		fputc(',', c->out);
	}
}

static void put_estimate(const struct compared *c, const struct estimates *e, size_t i)
{
	int k;

	for (k = 0; k < 3; k++) {
		fputc(',', c->out);
		if (e->parts[k] != NULL && !isnan(e->parts[k][i]))
			fprintf(c->out, "%.17g", e->parts[k][i]);
	}
	fputc('\n', c->out);
}

/* The rows of a measure, over all pairs or over the right ones; none where the file lacks it. */
static enum pb_status put_measure(const struct compared *c, const char *name, int subset,
				  struct pb_error *err)
{
	enum pb_status status;
	struct estimates e = {{NULL}};
	size_t i;

	PB_TRY(read_estimates(&e, c->s, name, pb_subset_suffixes[subset], 1, &c->n_files, err));
	for (i = 0; e.parts[0] != NULL && i < c->n_files; i++) {
		put_file(c, i);
		fprintf(c->out, "%s,%s", name, subset == 0 ? "all" : "right");
		put_estimate(c, &e, i);
	}
cleanup:
	estimates_free(&e);
	return status;
}

static enum pb_status put_bands(const struct compared *c, int subset, struct pb_error *err)
{
	enum pb_status status;
	const size_t dims[2] = {c->n_files, c->n_bins};
	struct estimates e = {{NULL}};
	size_t i, b;

	PB_TRY(read_estimates(&e, c->s, pb_compare_fields[PB_COMPARE_DEPTH_SHARE].name,
			      pb_subset_suffixes[subset], 2, dims, err));
	for (i = 0; e.parts[0] != NULL && i < c->n_files; i++)
		for (b = 0; b < c->n_bins; b++) {
			put_file(c, i);
			fprintf(c->out, "%.17g,%.17g,%s", c->low[b], c->high[b],
				subset == 0 ? "all" : "right");
			put_estimate(c, &e, i * c->n_bins + b);
		}
cleanup:
	estimates_free(&e);
	return status;
}

static enum pb_status read_files(struct compared *c, struct pb_error *err)
{
	static const enum pb_compare_field texts[3] = {PB_COMPARE_PATH, PB_COMPARE_MODEL,
						       PB_COMPARE_REVISION};
	enum pb_status status;
	char path[96];
	size_t t;

	PB_TRY(pb_result_size(c->s->r.file, "comparison/model", &c->n_files, err));
	PB_TRY(pb_result_size(c->s->r.file, "comparison/depth_low", &c->n_bins, err));
	for (t = 0; t < 3; t++) {
		(void)snprintf(path, sizeof path, "comparison/%s",
			       pb_compare_fields[texts[t]].name);
		PB_TRY(pb_subject_read_texts(c->s, path, c->n_files, &c->texts[t], err));
		if (c->texts[t] == NULL)
			return pb_fail(err, PB_ERR_CHECK, "missing dataset: %s", path);
	}
	PB_TRY(pb_subject_numbers(c->s, "comparison/depth_low", 1, &c->n_bins, &c->low, err));
	PB_TRY(pb_subject_numbers(c->s, "comparison/depth_high", 1, &c->n_bins, &c->high, err));
	if (c->low == NULL || c->high == NULL)
		status = pb_fail(err, PB_ERR_CHECK, "missing dataset: comparison/depth_low");
cleanup:
	return status;
}

enum pb_status pb_report_write_comparison(const struct pb_report_content *content, size_t number,
					  struct pb_error *err)
{
	enum pb_status status;
	struct compared c = {.s = &content->subjects[number]};
	int f, k;

	PB_TRY(read_files(&c, err));
	PB_TRY(pb_folder_open(content->temp, &c.out, err, "tables/%zu-measures.csv", number));
	fputs("file,model,revision,measure,pairs,value,ci_low,ci_high\n", c.out);
	for (f = PB_COMPARE_N_LAYERS; f < PB_COMPARE_DEPTH_SHARE; f++)
		for (k = 0; k < (f < PB_COMPARE_N_CELLS ? 1 : PB_N_SUBSETS); k++)
			PB_TRY(put_measure(&c, pb_compare_fields[f].name, k, err));
	PB_TRY(pb_folder_close(&c.out, content->temp, err));
	PB_TRY(pb_folder_open(content->temp, &c.out, err, "tables/%zu-depth.csv", number));
	fputs("file,model,revision,depth_low,depth_high,pairs,share,ci_low,ci_high\n", c.out);
	for (k = 0; k < PB_N_SUBSETS; k++)
		PB_TRY(put_bands(&c, k, err));
	status = pb_folder_close(&c.out, content->temp, err);
cleanup:
	if (c.out != NULL)
		(void)fclose(c.out);
	free(c.low);
	free(c.high);
	return status;
}
