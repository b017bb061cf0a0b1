/* The final file of an evaluation, from its parts. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/evaluation.h"
#include "results/parts.h"

static const struct pb_field text_fields[3] = {
    {"text", PB_TYPE_TEXT, {PB_DIM_CELL, PB_DIM_PROMPT}, NULL, "prompt", false},
    {"answer_text", PB_TYPE_TEXT, {PB_DIM_CELL, PB_DIM_PROMPT}, NULL, "first right answer", false},
    {"extra",
     PB_TYPE_TEXT,
     {PB_DIM_CELL, PB_DIM_PROMPT},
     NULL,
     "what else the task says of the prompt, a JSON object",
     false},
};
static const struct pb_field answers_field = {
    "answers",
    PB_TYPE_I32,
    {PB_DIM_CELL, PB_DIM_PROMPT, PB_DIM_ANSWER},
    "1",
    "token ids of the right answers, -1 past the prompt's own",
    true};
static const struct pb_field candidates_field = {
    "candidates",
    PB_TYPE_I32,
    {PB_DIM_CELL, PB_DIM_PROMPT, PB_DIM_CANDIDATE},
    "1",
    "token ids that could be answers, -1 past the prompt's own",
    true};
static const struct pb_field candidate_logprob_field = {
    "candidate_logprob",
    PB_TYPE_F64,
    {PB_DIM_CELL, PB_DIM_PROMPT, PB_DIM_CANDIDATE},
    "nat",
    "natural log-probability of each candidate",
    false};

/* Rows of the prompts that were recomputed by a plain forward, in /checks. */
static const struct pb_field checked_prompt_field = {
    "checked_prompt",
    PB_TYPE_I32,
    {PB_DIM_CHECKED_VARIANT},
    "1",
    "prompt that was recomputed: its place in C order over the cells that are available",
    false};
static const struct pb_field checked_fields[2] = {
    {"logprob_answer",
     PB_TYPE_F64,
     {PB_DIM_CHECKED_VARIANT},
     "nat",
     "its log-probability of the first right answer, as evaluated",
     false},
    {"logprob_answer_plain",
     PB_TYPE_F64,
     {PB_DIM_CHECKED_VARIANT},
     "nat",
     "the same by a plain forward of the prompt alone",
     false},
};

/* All that is written, in memory. */
struct content {
	const struct pb_experiment *e;
	struct pb_part_source *source;
	struct pb_layout layout;
	struct pb_axes axes;
	size_t sizes[PB_CELL_AXES];
	struct pb_eval_columns columns;
	double *candidate_logprob; /* [n_cells, n_prompts, max_candidates] */
	struct pb_checked_variant *checked;
	size_t n_checked;
	double logit_largest;
	char **isa; /* [n_chunks] */
	int64_t started;
	double seconds;
};

static void content_free(struct content *x)
{
	size_t c;

	pb_eval_columns_free(&x->columns);
	free(x->candidate_logprob);
	free(x->checked);
	for (c = 0; x->isa != NULL && c < x->e->n_chunks; c++)
		free(x->isa[c]);
	free(x->isa);
	if (x->layout.file >= 0)
		(void)pb_h5_file_close(&x->layout.file, x->e->output, NULL);
}

static enum pb_status content_new(struct content *x, const struct pb_experiment *e,
				  struct pb_part_source *source, struct pb_error *err)
{
	const struct pb_eval_set *set = e->evaluation;
	enum pb_status status;
	size_t most = 0, c, a, n, i;

	*x = (struct content){
	    .e = e, .source = source, .layout = {.file = -1}, .started = INT64_MAX};
	for (c = 0; c < set->n_cells; c++)
		most = set->cells[c].n > most ? set->cells[c].n : most;
	for (a = 0; a < e->n_axes; a++)
		x->sizes[a] = e->axes[a].n;
	x->axes = pb_cells_axes(e);
	x->layout.sizes[PB_DIM_PROMPT] = most;
	x->layout.sizes[PB_DIM_ANSWER] = set->max_answers;
	x->layout.sizes[PB_DIM_CANDIDATE] = set->max_candidates;
	x->layout.sizes[PB_DIM_CHUNK] = e->n_chunks;
	PB_TRY(pb_eval_columns_new(&x->columns, set->n_cells, most, err));
	if (!pb_size_mul(set->n_cells * most, set->max_candidates, &n))
		return pb_fail(err, PB_ERR_MEMORY, "too many candidates: make fewer prompts");
	PB_TRY(pb_alloc((void **)&x->candidate_logprob, n, sizeof(double), "candidates", err));
	for (i = 0; i < n; i++)
		x->candidate_logprob[i] = NAN;
	PB_TRY(pb_alloc((void **)&x->isa, e->n_chunks, sizeof *x->isa, "chunks", err));
cleanup:
	return status;
}

/* ---- from the prompts and the parts --------------------------------------------------------- */

/* A prompt's own columns, at place `at`. */
static void add_given(struct pb_eval_columns *c, size_t at, const struct pb_eval_prompt *p)
{
	int f;

	c->columns[PB_EVAL_LENGTH][at] = (int32_t)p->length;
	c->columns[PB_EVAL_ANSWER_TOKEN][at] = p->answers[0];
	c->columns[PB_EVAL_N_ANSWERS][at] = (int32_t)p->n_answers;
	c->columns[PB_EVAL_N_CANDIDATES][at] = (int32_t)p->n_candidates;
	c->columns[PB_EVAL_DISTANCE][at] = p->distance;
	for (f = 0; f < PB_N_EVAL_FACTS; f++)
		c->columns[PB_EVAL_FIRST_FACT + f][at] = p->facts[f] < 0 ? -1 : p->facts[f] != 0;
}

static void add_values(struct content *x, size_t at, const struct pb_eval_prompt *p,
		       const struct pb_eval_values *v, size_t i)
{
	struct pb_eval_columns *c = &x->columns;
	size_t width = x->e->evaluation->max_candidates, k;

	c->columns[PB_EVAL_ARGMAX][at] = v->argmax[i];
	c->columns[PB_EVAL_ARGMAX_CANDIDATE][at] = v->argmax_candidate[i];
	c->columns[PB_EVAL_RANK_ANSWER][at] = v->rank_answer[i];
	c->columns[PB_EVAL_RIGHT][at] = pb_eval_is_answer(p, v->argmax[i]);
	c->columns[PB_EVAL_RIGHT_CANDIDATE][at] = pb_eval_is_answer(p, v->argmax_candidate[i]);
	c->numbers[PB_EVAL_LOGPROB_ANSWER][at] = v->logprob_answer[i];
	c->numbers[PB_EVAL_MASS][at] = v->mass[i];
	c->numbers[PB_EVAL_MARGIN][at] = v->margin[i];
	for (k = 0; k < p->n_candidates; k++)
		x->candidate_logprob[at * width + k] = (double)v->candidate_logprob[i * width + k];
}

/* A prompt whose chunk is missing is written like one that its cell does not have. */
static bool has(const struct content *x, size_t prompt)
{
	return pb_part_source_has(x->source, prompt / x->e->chunk_pairs);
}

static enum pb_status add_part(struct content *x, size_t chunk, const size_t *place,
			       struct pb_error *err)
{
	const struct pb_eval_set *set = x->e->evaluation;
	struct pb_part part = {0};
	const struct pb_chunk_values *v;
	size_t i;
	void *grown = x->checked;
	size_t capacity = x->n_checked;
	enum pb_status status;

	PB_TRY(pb_part_source_read(x->source, chunk, &part, err));
	v = part.values;
	for (i = 0; i < v->n_pairs && !part.missing; i++) {
		size_t prompt = v->first_pair + i;

		add_values(x, place[prompt], &set->items[prompt], &v->eval, i);
	}
	PB_TRY(pb_grow(&grown, &capacity, x->n_checked + v->checks.n_variants, sizeof *x->checked,
		       "checked prompts", err));
	x->checked = grown;
	if (v->checks.n_variants > 0)
		memcpy(x->checked + x->n_checked, v->checks.variants,
		       v->checks.n_variants * sizeof *x->checked);
	x->n_checked += v->checks.n_variants;
	if (!part.missing && !(v->checks.logit_largest <= x->logit_largest)) /* a NaN stays */
		x->logit_largest = v->checks.logit_largest;
	x->isa[chunk] = strdup(v->isa);
	if (x->isa[chunk] == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: chunks");
	x->seconds += v->seconds;
	if (part.finished - (int64_t)v->seconds < x->started)
		x->started = part.finished - (int64_t)v->seconds;
cleanup:
	pb_part_free(&part);
	return status;
}

static enum pb_status collect(struct content *x, struct pb_error *err)
{
	const struct pb_eval_set *set = x->e->evaluation;
	size_t *place = NULL, c, i;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&place, set->n, sizeof *place, "prompts", err));
	for (c = 0; c < set->n_cells; c++)
		for (i = 0; i < set->cells[c].n; i++) {
			size_t prompt = set->cells[c].first + i;

			place[prompt] = c * x->columns.n_prompts + i;
			if (has(x, prompt))
				add_given(&x->columns, place[prompt], &set->items[prompt]);
		}
	for (c = 0; c < x->e->n_chunks; c++)
		PB_TRY(add_part(x, c, place, err));
	pb_warn_of_processors(x->e, (const char *const *)x->isa);
cleanup:
	free(place);
	return status;
}

/* ---- datasets ------------------------------------------------------------------------------ */

static enum pb_status write_scales(struct content *x, struct pb_error *err)
{
	static const enum pb_dim dims[] = {PB_DIM_PROMPT, PB_DIM_ANSWER, PB_DIM_CANDIDATE,
					   PB_DIM_CHUNK};
	enum pb_status status;
	size_t i;

	PB_TRY(pb_cells_scales_write(&x->layout, x->e, err));
	for (i = 0; i < sizeof dims / sizeof *dims; i++)
		if (x->layout.sizes[dims[i]] > 0)
			PB_TRY(pb_layout_scale(&x->layout, dims[i], err));
cleanup:
	return status;
}

static const char *text_of(const struct pb_eval_prompt *p, int which)
{
	return which == 0 ? p->text : which == 1 ? p->answer_text : p->extra;
}

static enum pb_status write_texts(const struct content *x, hid_t group, struct pb_error *err)
{
	const struct pb_eval_set *set = x->e->evaluation;
	size_t n = x->columns.n_cells * x->columns.n_prompts, c, i;
	const char **texts = NULL;
	enum pb_status status;
	int which;

	PB_TRY(pb_alloc((void **)&texts, n, sizeof *texts, "texts", err));
	for (which = 0; which < 3; which++) {
		for (i = 0; i < n; i++)
			texts[i] = "";
		for (c = 0; c < set->n_cells; c++)
			for (i = 0; i < set->cells[c].n; i++)
				if (has(x, set->cells[c].first + i))
					texts[c * x->columns.n_prompts + i] =
					    text_of(&set->items[set->cells[c].first + i], which);
		PB_TRY(pb_field_write(&x->layout, group, &text_fields[which], &x->axes, "",
				      (const void *)texts, err));
	}
cleanup:
	free(texts);
	return status;
}

/* Token ids of answers or candidates, -1 past a prompt's own. */
static enum pb_status write_ids(const struct content *x, hid_t group, const struct pb_field *field,
				size_t width, bool answers, struct pb_error *err)
{
	const struct pb_eval_set *set = x->e->evaluation;
	size_t n = x->columns.n_cells * x->columns.n_prompts * width, c, i, k;
	int32_t *ids = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&ids, n, sizeof *ids, "token ids", err));
	for (i = 0; i < n; i++)
		ids[i] = -1;
	for (c = 0; c < set->n_cells; c++)
		for (i = 0; i < set->cells[c].n; i++) {
			const struct pb_eval_prompt *p = &set->items[set->cells[c].first + i];
			int32_t *to = ids + (c * x->columns.n_prompts + i) * width;

			if (!has(x, set->cells[c].first + i))
				continue;
			for (k = 0; k < (answers ? p->n_answers : p->n_candidates); k++)
				to[k] = answers ? p->answers[k] : p->candidates[k];
		}
	status = pb_field_write(&x->layout, group, field, &x->axes, "", ids, err);
cleanup:
	free(ids);
	return status;
}

/* Columns that say nothing are left out: facts that are not the task's. */
static enum pb_status write_prompts(const struct content *x, struct pb_error *err)
{
	const struct pb_eval_set *set = x->e->evaluation;
	hid_t group = -1;
	enum pb_status status;
	int k;

	PB_TRY(pb_h5_group_create(&group, x->layout.file, "prompts", err));
	PB_TRY(pb_h5_put_int(group, "bos", set->bos, err));
	for (k = 0; k < PB_N_EVAL_COLUMNS; k++)
		if (k < PB_EVAL_DISTANCE || pb_eval_is_said(&x->columns, k))
			PB_TRY(pb_field_write(&x->layout, group, &pb_eval_column_fields[k],
					      &x->axes, "", x->columns.columns[k], err));
	for (k = 0; k < PB_N_EVAL_NUMBERS; k++)
		PB_TRY(pb_field_write_masked(&x->layout, group, &pb_eval_number_fields[k], &x->axes,
					     "", x->columns.numbers[k], err));
	PB_TRY(write_ids(x, group, &answers_field, set->max_answers, true, err));
	PB_TRY(write_ids(x, group, &candidates_field, set->max_candidates, false, err));
	PB_TRY(pb_field_write_masked(&x->layout, group, &candidate_logprob_field, &x->axes, "",
				     x->candidate_logprob, err));
	status = write_texts(x, group, err);
cleanup:
	pb_h5_drop(group);
	return status;
}

static enum pb_status write_summary(const struct content *x, struct pb_error *err)
{
	struct pb_eval_figures f = {0};
	hid_t group = -1;
	enum pb_status status;
	int s, k;

	PB_TRY(pb_eval_figures_make(&f, &x->columns, x->e->n_axes, x->sizes, err));
	PB_TRY(pb_h5_group_create(&group, x->layout.file, "summary", err));
	for (s = 0; s < PB_N_EVAL_SUBSETS; s++) {
		const char *suffix = pb_eval_subset_suffixes[s];

		if (!f.there[s])
			continue;
		PB_TRY(pb_field_write(&x->layout, group, &pb_eval_n_field, &x->axes, suffix, f.n[s],
				      err));
		for (k = 0; k < PB_N_EVAL_FIGURES; k++)
			if (f.values[s][k] != NULL)
				PB_TRY(pb_field_write_masked(&x->layout, group,
							     &pb_eval_figure_fields[k], &x->axes,
							     suffix, f.values[s][k], err));
	}
	PB_TRY(
	    pb_field_write(&x->layout, group, &pb_eval_breaks_field, &x->axes, "", f.breaks, err));
cleanup:
	pb_eval_figures_free(&f);
	pb_h5_drop(group);
	return status;
}

/* ---- checks -------------------------------------------------------------------------------- */

static double tolerance_of(double logit_largest)
{
	return PB_EVAL_TOLERANCE * (logit_largest > 1.0 ? logit_largest : 1.0);
}

static enum pb_status judge(const struct content *x, double *largest, struct pb_error *err)
{
	size_t i;

	*largest = 0.0;
	for (i = 0; i < x->n_checked; i++) {
		double off = fabs(x->checked[i].logit_diff - x->checked[i].logit_diff_plain);

		if (!(off <= *largest))
			*largest = off;
	}
	if (x->n_checked > 0 && *largest <= tolerance_of(x->logit_largest))
		return PB_OK;
	return pb_fail(err, PB_ERR_CHECK,
		       "the evaluation's own check failed: of %zu prompts that a plain forward "
		       "recomputed, the largest deviation of a log-probability is %.3g, and %.3g "
		       "is allowed",
		       x->n_checked, *largest, tolerance_of(x->logit_largest));
}

static enum pb_status write_checks(struct content *x, double largest, struct pb_error *err)
{
	hid_t group = -1;
	int32_t *prompts = NULL;
	double *values = NULL;
	enum pb_status status;
	size_t i;
	int side;

	x->layout.sizes[PB_DIM_CHECKED_VARIANT] = x->n_checked;
	PB_TRY(pb_layout_scale(&x->layout, PB_DIM_CHECKED_VARIANT, err));
	PB_TRY(pb_h5_group_create(&group, x->layout.file, "checks", err));
	PB_TRY(pb_h5_put_int(group, "passed", 1, err));
	PB_TRY(pb_h5_put_double(group, "plain_tolerance", tolerance_of(x->logit_largest), err));
	PB_TRY(pb_h5_put_double(group, "plain_largest_deviation", largest, err));
	PB_TRY(pb_alloc((void **)&prompts, x->n_checked, sizeof *prompts, "checks", err));
	PB_TRY(pb_alloc((void **)&values, x->n_checked, sizeof *values, "checks", err));
	for (i = 0; i < x->n_checked; i++)
		prompts[i] = x->checked[i].pair;
	PB_TRY(pb_field_write(&x->layout, group, &checked_prompt_field, NULL, "", prompts, err));
	for (side = 0; side < 2; side++) {
		for (i = 0; i < x->n_checked; i++)
			values[i] =
			    side == 0 ? x->checked[i].logit_diff : x->checked[i].logit_diff_plain;
		PB_TRY(pb_field_write(&x->layout, group, &checked_fields[side], NULL, "", values,
				      err));
	}
	status = pb_field_write(&x->layout, group, &pb_checks_fields[PB_CHECKS_CHUNK_ISA], NULL, "",
				(const void *)x->isa, err);
cleanup:
	free(prompts);
	free(values);
	pb_h5_drop(group);
	return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

enum pb_status pb_evaluation_fill(const struct pb_experiment *e, struct pb_part_source *source,
				  const char *path, struct pb_error *err)
{
	struct content x;
	double largest = NAN;
	hid_t cells = -1;
	enum pb_status status;

	PB_TRY(content_new(&x, e, source, err));
	PB_TRY(collect(&x, err));
	PB_TRY(judge(&x, &largest, err));
	PB_TRY(pb_h5_file_create(&x.layout.file, path, err));
	PB_TRY(write_scales(&x, err));
	PB_TRY(pb_h5_group_create(&cells, x.layout.file, "cells", err));
	PB_TRY(pb_cells_given_write(&x.layout, e, e->evaluation->cells, cells, err));
	pb_h5_drop(cells);
	cells = -1;
	PB_TRY(write_prompts(&x, err));
	PB_TRY(write_summary(&x, err));
	PB_TRY(write_checks(&x, largest, err));
	PB_TRY(pb_h5_put_text(x.layout.file, "kind", PB_KIND_EVALUATION, err));
	PB_TRY(pb_provenance_write(x.layout.file, e, x.started, x.seconds, err));
	PB_TRY(pb_source_write(x.layout.file, source, err));
	PB_TRY(pb_h5_file_close(&x.layout.file, path, err));
	/* Open again: what is hashed is what was written, not what was meant to be. */
	PB_TRY(pb_h5_file_open(&x.layout.file, path, true, PB_ERR_IO, err));
	PB_TRY(pb_checksums_write(&x.layout, pb_part_source_is_whole(source), err));
	status = pb_h5_file_close(&x.layout.file, path, err);
cleanup:
	pb_h5_drop(cells);
	content_free(&x);
	return status;
}
