/* Result files whose every value a test gives, and their summaries. */
#ifndef PB_TESTS_STUDY_H
#define PB_TESTS_STUDY_H

#include "unit/results_read.h"

#define STUDY_PAIRS 8
#define STUDY_CELLS 16

/* Fails on NaN as well. */
#define NEAR(x, y)                                                                                 \
	cr_assert(fabs((double)(x) - (double)(y)) <= 1e-12, "%.17g is not %.17g (%s)",             \
		  (double)(x), (double)(y), #x)

/* Of every pair: both runs without intervention, and every cell of the one sweep. */
struct study {
	struct fixture f;
	size_t n_cells;
	double clean[STUDY_PAIRS], corrupted[STUDY_PAIRS];
	int32_t clean_rank[STUDY_PAIRS];
	double values[STUDY_PAIRS][STUDY_CELLS]; /* logit differences; NaN: not applicable */
	float ranks[STUDY_PAIRS][STUDY_CELLS];
};

static inline void study_new(struct study *s, size_t n_pairs, size_t n_cells)
{
	memset(s, 0, sizeof *s);
	fixture_new(&s->f, n_pairs, 3, true);
	s->f.e.n_sweeps = 1;
	s->f.e.metrics = 1u << PB_METRIC_LOGIT_DIFF | 1u << PB_METRIC_RANK_ANSWER;
	s->n_cells = n_cells;
}

static inline void study_fill(const struct study *s, struct pb_chunk_values *v)
{
	double *values = v->sweeps[0].metric[PB_METRIC_LOGIT_DIFF];
	float *ranks = v->sweeps[0].metric[PB_METRIC_RANK_ANSWER];
	struct pb_checked_variant *checked = v->checks.variants;

	for (size_t i = 0; i < v->n_pairs; i++) {
		const size_t pair = v->first_pair + i;

		v->base[0].logit_diff[i] = s->clean[pair];
		v->base[1].logit_diff[i] = s->corrupted[pair];
		v->base[0].rank_answer[i] = s->clean_rank[pair];
		for (size_t c = 0; c < s->n_cells; c++) {
			const bool absent = isnan(s->values[pair][c]);

			v->sweeps[0].absent[i * s->n_cells + c] = absent;
			values[i * s->n_cells + c] = s->values[pair][c];
			if (ranks != NULL)
				ranks[i * s->n_cells + c] = absent ? NAN : s->ranks[pair][c];
		}
	}
	checked->cell = (int32_t)s->n_cells - 1;
	while (checked->cell > 0 && isnan(s->values[checked->pair][checked->cell]))
		checked->cell--;
	checked->logit_diff = checked->logit_diff_plain = s->values[checked->pair][checked->cell];
}

static inline void study_assemble(struct study *s)
{
	struct fixture *f = &s->f;

	fixture_grids(f, 0, 1);
	cr_assert_eq(f->grids[0].n_cells, s->n_cells);
	OK(f, pb_parts_prepare(&f->e, &f->err));
	/* The last chunk first: nothing may depend on the order. */
	for (size_t c = f->e.n_chunks; c-- > 0;) {
		struct pb_chunk_values *v = fixture_chunk(f, c);

		study_fill(s, v);
		OK(f, pb_part_write(&f->e, v, &f->err));
		pb_chunk_values_free(v);
	}
	OK(f, pb_result_assemble(&f->e, &f->err));
}

/* The figures of a summary are these, one a cell, within rounding; NaN: not applicable, and masked.
 */
static inline void column_is(struct study *s, const char *summary, const char *name, size_t n,
			     const double *wanted)
{
	char path[192], mask_path[208];
	double *values, *mask = NULL;

	snprintf(path, sizeof path, "%s%s", summary, name);
	snprintf(mask_path, sizeof mask_path, "%s_mask", path);
	cr_assert_eq(n, s->n_cells);
	values = read_doubles(&s->f, path, n);
	if (has_dataset(&s->f, mask_path))
		mask = read_doubles(&s->f, mask_path, n);
	for (size_t c = 0; c < n; c++) {
		cr_assert_eq(isnan(values[c]), isnan(wanted[c]), "%s, cell %zu: %g", name, c,
			     values[c]);
		cr_assert_eq(mask != NULL && mask[c] == 1, isnan(wanted[c]), "%s", mask_path);
		cr_assert(isnan(wanted[c]) || fabs(values[c] - wanted[c]) <= 1e-12,
			  "%s, cell %zu: %.17g is not %.17g", name, c, values[c], wanted[c]);
	}
	free(values);
	free(mask);
}

#define COLUMN(study, summary, name, ...)                                                          \
	column_is(study, summary, name, sizeof((double[]){__VA_ARGS__}) / sizeof(double),          \
		  (double[]){__VA_ARGS__})

/* What the end of the run prints (freed with free()). */
static inline char *printed(struct study *s, size_t n_top)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out != NULL);
	OK(&s->f, pb_result_print_summary(s->f.output, n_top, out, &s->f.err));
	cr_assert_eq(fclose(out), 0);
	return text;
}

#endif
