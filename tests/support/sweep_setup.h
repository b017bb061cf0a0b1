/* One chunk of random pairs on a model, and any sweep of it: by waves, and by plain forwards. */
#ifndef PB_TEST_SWEEP_SETUP_H
#define PB_TEST_SWEEP_SETUP_H

#include <criterion/criterion.h>

#include "engine/check.h"
#include "support/tiny_model.h"

struct setup {
	struct pb_model *model;
	bool from_file;
	struct pb_device *dev;
	struct pb_engine e;
	struct pb_pairs pairs;
	struct pb_chunk_run run;
};

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct pb_error error_ = {0}, *err = &error_;                                      \
		cr_assert((expr) == PB_OK, "%s: %s", #expr, error_.message);                       \
	} while (0)

/* Pairs of different lengths: a difference in the middle, at the first token, at the last, at two
 * places, none at all, a prompt of one token, and one that may be longer than the context. */
static void make_pairs(struct pb_pairs *pairs, size_t n_vocab, size_t n_context)
{
	static const struct {
		size_t length, first, second;
	} shapes[] = {{7, 3, 3}, {12, 0, 0}, {5, 4, 4}, {9, 2, 6},
		      {6, 6, 6}, {1, 0, 0},  {23, 1, 1}};
	struct pb_rng rng;

	pb_rng_seed(&rng, 4, 5, 6, 7);
	pairs->n = sizeof shapes / sizeof *shapes - (n_context < 23);
	pairs->items = pb_arena_alloc(&pairs->arena, pairs->n, sizeof *pairs->items);
	for (size_t p = 0; p < pairs->n; p++) {
		struct pb_pair *q = &pairs->items[p];

		q->length = shapes[p].length;
		q->clean = pb_arena_alloc(&pairs->arena, q->length, sizeof *q->clean);
		q->corrupted = pb_arena_alloc(&pairs->arena, q->length, sizeof *q->clean);
		for (size_t i = 0; i < q->length; i++) {
			q->clean[i] = q->corrupted[i] = (int32_t)pb_rng_below(&rng, n_vocab);
			if (i == shapes[p].first || i == shapes[p].second)
				q->corrupted[i] = (q->clean[i] + 1) % (int32_t)n_vocab;
		}
		q->first_difference = shapes[p].first;
		q->answer = 1;
		q->foil = 2;
		q->n_candidates = p % 2 ? 3 : 0;
		q->candidates = pb_arena_alloc(&pairs->arena, 3, sizeof *q->candidates);
		for (int32_t i = 0; i < 3; i++)
			q->candidates[i] = i;
		if (q->length > pairs->max_length)
			pairs->max_length = q->length;
	}
}

/* Sweeps that make the base runs keep everything that any test writes. */
static const struct pb_sweep all_sites[] = {{.site = PB_SITE_EMBED},
					    {.site = PB_SITE_ATTN_OUT},
					    {.site = PB_SITE_MLP_OUT},
					    {.site = PB_SITE_Q}};

/* rounded: every product of the setup, the base runs' too, has the device's precision. */
static void set_up_on(struct setup *s, struct pb_model *model, bool from_file, const char *backend,
		      enum pb_precision precision, bool rounded, int threads)
{
	size_t n_vocab = model->arch.n_vocab;

	memset(s, 0, sizeof *s);
	s->model = model;
	s->from_file = from_file;
	make_pairs(&s->pairs, n_vocab, model->arch.n_context);
	MUST(pb_device_open(&s->dev, backend, threads, precision, err));
	MUST(pb_engine_open(&s->e, s->dev, s->model, s->pairs.max_length, 0, err));
	s->e.in_wave = rounded;
	MUST(pb_chunk_run_new(&s->run, &s->e, &s->pairs, 0, s->pairs.n, all_sites, 4, 0, n_vocab,
			      err));
}

static inline void set_up_model(struct setup *s, struct pb_model *model, bool from_file,
				int threads)
{
	set_up_on(s, model, from_file, "cpu", PB_PRECISION_FP32, false, threads);
}

static inline void set_up(struct setup *s, const struct tiny_options *o, int threads)
{
	set_up_model(s, tiny_new(o), false, threads);
}

static void tear_down(struct setup *s)
{
	pb_chunk_run_free(&s->run, &s->e);
	pb_engine_close(&s->e);
	pb_device_close(s->dev);
	pb_pairs_free(&s->pairs);
	if (s->from_file)
		pb_model_close(s->model);
	else
		tiny_free(s->model);
}

/* One sweep at work: its grid, sources and work. */
struct at_work {
	struct pb_sweep sweep;
	struct pb_grid grid;
	struct pb_sources sources;
	struct pb_sweep_work work;
	struct pb_arena arena;
};

static void start(struct at_work *a, struct setup *s, const struct pb_sweep *sweep)
{
	memset(a, 0, sizeof *a);
	a->sweep = *sweep;
	MUST(pb_grid_make(&a->grid, &a->sweep, &s->e.arch, s->pairs.max_length, err));
	MUST(pb_sources_new(&a->sources, &s->e, &a->sweep, a->sweep.sets, &s->pairs, NULL, 4, err));
	a->work = (struct pb_sweep_work){.sweep = &a->sweep,
					 .grid = &a->grid,
					 .arch = &s->e.arch,
					 .run = &s->run,
					 .pairs = s->run.pairs,
					 .all = &s->pairs,
					 .sources = &a->sources,
					 .sets = a->sweep.sets,
					 .recipient = sweep->direction == PB_DENOISE ? 1 : 0,
					 .donor = sweep->direction == PB_DENOISE ? 0 : 1};
	if (sweep->intervention == PB_CONTROL)
		MUST(pb_sources_noise(&a->sources, &s->e, &a->work, NULL, err));
}

static void finish(struct at_work *a, struct setup *s)
{
	pb_sources_free(&a->sources, &s->e);
	pb_arena_free(&a->arena);
}

/* A sweep's logit differences, [pairs, cells], with waves of at most rows_most rows; NaN where a
 * cell does not exist. */
static double *sweep(struct setup *s, struct at_work *a, size_t rows_most, size_t variants_most)
{
	size_t cells = s->pairs.n * a->grid.n_cells;
	bool path = a->sweep.intervention == PB_PATH;
	struct pb_sweep_values values = {0};
	struct pb_sweep_target target = {.work = &a->work,
					 .metrics = 1u << PB_METRIC_LOGIT_DIFF,
					 .max_candidates = 3,
					 .n_valid = s->e.arch.n_vocab,
					 .values = &values};
	struct pb_wave_sizes sizes = {.rows_most = rows_most,
				      .variants_most = variants_most,
				      .longest = s->pairs.max_length,
				      .sender_rows = path ? 10000 : 0,
				      .n_senders = path ? 10000 : 0,
				      .sender_qkv = path,
				      .sender_h = path,
				      .temp_columns = 2 * (s->e.arch.d_model + s->e.arch.d_mlp)};
	struct pb_sweep_shape all;
	struct pb_wave_memory memory;
	struct pb_progress progress;
	double *ld = calloc(cells, sizeof *ld);

	MUST(pb_sweep_shape(&a->work, 0, s->pairs.n, &all, err));
	if (sizes.rows_most > all.n_rows + sizes.longest)
		sizes.rows_most = all.n_rows + sizes.longest;
	if (sizes.variants_most > all.n_variants + 1)
		sizes.variants_most = all.n_variants + 1;
	pb_log_quiet(true);
	for (size_t i = 0; i < cells; i++)
		ld[i] = NAN;
	values.metric[PB_METRIC_LOGIT_DIFF] = ld;
	values.absent = calloc(cells, 1);
	pb_progress_begin(&progress, "patches", (double)cells);
	MUST(pb_wave_memory_new(&memory, &s->e, &sizes, err));
	MUST(pb_sweep_run(&s->e, &memory, &target, &progress, err));
	pb_wave_memory_free(&memory, &s->e);
	free(values.absent);
	return ld;
}

/* What a plain forward makes of every cell, [pairs, cells]; the recipient's own logit difference
 * where nothing is written, NaN where a cell does not exist. */
static double *plain(struct setup *s, struct at_work *a)
{
	enum { MANY = 32 }; /* variants of one batch */
	struct pb_sweep_work work = a->work;
	size_t cells = a->grid.n_cells, n = s->pairs.n * cells, where[MANY] = {0};
	double *ld = calloc(n, sizeof *ld), some[MANY] = {0};
	struct pb_variants list = {0};

	work.no_shortcut = true;
	for (size_t i = 0; i < n; i++) {
		enum pb_cell_kind kind;

		MUST(pb_cell_variant(&work, i / cells, i % cells, &list, &kind, err));
		ld[i] = kind == PB_CELL_ABSENT
			    ? NAN
			    : pb_base_logit_diff(&s->run, i / cells, work.recipient);
		if (kind == PB_CELL_VARIANT)
			where[list.n - 1] = i;
		if (list.n == MANY || (i + 1 == n && list.n > 0)) {
			MUST(pb_check_plain(&s->e, &work, &list, some, err));
			for (size_t k = 0; k < list.n; k++)
				ld[where[k]] = some[k];
			pb_variants_free(&list);
		}
	}
	return ld;
}

/* Every cell of a sweep against the plain forward, within 1e-4 of the largest effect. Float32 runs
 * of tiny models with effects of order one agree to about 1e-6. */
static inline void check_sweep(struct setup *s, const struct pb_sweep *w)
{
	struct at_work a;
	double worst = 0.0, largest = 0.0, *got, *want;
	size_t cells;

	start(&a, s, w);
	cells = a.grid.n_cells;
	got = sweep(s, &a, 100000, 100000);
	want = plain(s, &a);
	for (size_t i = 0; i < s->pairs.n * cells; i++) {
		double base = pb_base_logit_diff(&s->run, i / cells, a.work.recipient);

		cr_assert_eq(isnan(got[i]), isnan(want[i]));
		if (isnan(want[i]))
			continue;
		if (!(fabs(got[i] - want[i]) <= worst))
			worst = fabs(got[i] - want[i]);
		largest = fmax(largest, fabs(want[i] - base));
	}
	cr_expect(largest > 0.02, "effects are too small to test anything: %g", largest);
	cr_expect(worst <= 1e-4 * largest, "%s %s %s %s: worst deviation %g, largest effect %g",
		  pb_intervention_names[w->intervention], pb_site_names[w->site],
		  pb_direction_names[w->direction], pb_positions_names[w->positions], worst,
		  largest);
	free(got);
	free(want);
	finish(&a, s);
}

#endif
