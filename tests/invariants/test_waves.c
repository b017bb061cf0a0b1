/* The delta engine against the plain forward of the same engine, variant by variant, on random
 * models; and that a variant's bits do not depend on what travels with it. The plain forward itself
 * is compared with float64 references in tests/golden. */
#include <criterion/criterion.h>

#include "engine/internal.h"
#include "support/tiny_model.h"

struct setup {
	struct pb_model *model;
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
 * places, none at all, and a prompt of one token. */
static void make_pairs(struct pb_pairs *pairs, size_t n_vocab)
{
	static const struct {
		size_t length, first, second;
	} shapes[] = {{7, 3, 3}, {12, 0, 0}, {5, 4, 4}, {9, 2, 6},
		      {6, 6, 6}, {1, 0, 0},  {23, 1, 1}};
	struct pb_rng rng;

	pb_rng_seed(&rng, 4, 5, 6, 7);
	pairs->n = sizeof shapes / sizeof *shapes;
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

static void set_up(struct setup *s, const struct tiny_options *o, int threads)
{
	memset(s, 0, sizeof *s);
	s->model = tiny_new(o);
	make_pairs(&s->pairs, o->n_vocab);
	MUST(pb_device_open(&s->dev, "cpu", threads, err));
	MUST(pb_engine_open(&s->e, s->dev, s->model, s->pairs.max_length, err));
	MUST(pb_chunk_run_new(&s->run, &s->e, &s->pairs, 0, s->pairs.n, o->n_vocab, err));
}

static void tear_down(struct setup *s)
{
	pb_chunk_run_free(&s->run, &s->e);
	pb_engine_close(&s->e);
	pb_device_close(s->dev);
	pb_pairs_free(&s->pairs);
	tiny_free(s->model);
}

/* Logit difference of a z patch by the plain forward. */
static double plain(struct setup *s, int recipient, size_t pair, size_t layer, size_t head,
		    size_t first, size_t last)
{
	const struct pb_pair *p = &s->pairs.items[pair];
	const int32_t *tokens = recipient ? p->corrupted : p->clean;
	size_t donor = (size_t)s->run.batch.spans[2 * pair + (size_t)(1 - recipient)].base;
	struct pb_override o = {.layer = layer,
				.head = head,
				.first = first,
				.last = last,
				.from = s->run.cache.z[layer],
				.from_row = donor + first};
	struct pb_batch batch = {0};
	struct pb_cache cache = {0};
	int32_t rows[2] = {0, 0}, targets[2];
	double logit[2];

	targets[0] = (int32_t)s->run.target[pair];
	targets[1] = targets[0] + 1;
	MUST(pb_batch_new(&batch, &s->e, 1, &tokens, &p->length, err));
	MUST(pb_cache_new(&cache, &s->e, p->length, 1, true, err));
	MUST(pb_forward(&s->e, &batch, &cache, &o, 1, PB_STAGE_CHECK, err));
	{
		struct pb_dots dots = {.n = 2,
				       .d_model = s->e.arch.d_model,
				       .x = cache.n_answer,
				       .t = s->run.targets,
				       .x_row = rows,
				       .t_row = targets,
				       .out = logit};

		MUST(s->e.ops->dots(s->dev, &dots, err));
	}
	pb_cache_free(&cache, &s->e);
	pb_batch_free(&batch, &s->e);
	return logit[0] - logit[1];
}

/* A sweep's logit differences, with waves of at most rows_most rows. */
static double *sweep(struct setup *s, enum pb_direction direction, enum pb_positions positions,
		     size_t rows_most, size_t variants_most)
{
	const struct pb_arch *a = &s->e.arch;
	struct pb_sweep w = {.direction = direction, .positions = positions};
	size_t cells = s->pairs.n * a->n_layers * a->n_heads *
		       (positions == PB_POSITIONS_EACH ? s->pairs.max_length : 1);
	struct pb_sweep_values values = {0};
	struct pb_sweep_target target = {.sweep = &w,
					 .metrics = 1u << PB_METRIC_LOGIT_DIFF,
					 .max_candidates = 3,
					 .max_length = s->pairs.max_length,
					 .n_valid = a->n_vocab,
					 .values = &values};
	struct pb_wave_memory memory;
	struct pb_progress progress;
	double *ld = malloc(cells * sizeof *ld);

	pb_log_quiet(true);
	for (size_t i = 0; i < cells; i++)
		ld[i] = NAN;
	values.metric[PB_METRIC_LOGIT_DIFF] = ld;
	pb_progress_begin(&progress, "patches", (double)cells);
	MUST(pb_wave_memory_new(&memory, &s->e, rows_most, variants_most, s->pairs.max_length,
				false, err));
	MUST(pb_sweep_run(&s->e, &memory, &s->run, &target, &progress, err));
	pb_wave_memory_free(&memory, &s->e);
	return ld;
}

/* Every cell of a sweep against the plain forward, within 1e-4 of the largest effect. Float32 runs
 * of tiny models with effects of order one agree to about 1e-6. */
static void check_sweep(struct setup *s, enum pb_direction direction, enum pb_positions positions)
{
	const struct pb_arch *a = &s->e.arch;
	int recipient = direction == PB_DENOISE ? 1 : 0;
	double *ld = sweep(s, direction, positions, 100000, 100000);
	double worst = 0.0, largest = 0.0;

	for (size_t p = 0; p < s->pairs.n; p++) {
		size_t length = s->pairs.items[p].length;
		double base = pb_base_logit_diff(&s->run, p, recipient);

		for (size_t l = 0; l < a->n_layers; l++)
			for (size_t h = 0; h < a->n_heads; h++)
				for (size_t i = 0;
				     i < (positions == PB_POSITIONS_EACH ? length : 1); i++) {
					size_t first = positions == PB_POSITIONS_EACH   ? i
						       : positions == PB_POSITIONS_LAST ? length - 1
											: 0;
					size_t last =
					    positions == PB_POSITIONS_EACH ? i : length - 1;
					double want = plain(s, recipient, p, l, h, first, last);
					double got = ld[pb_cell_index(
					    a, positions, s->pairs.max_length, p, l, h, i)];

					if (!(fabs(got - want) <= worst))
						worst = fabs(got - want);
					largest = fmax(largest, fabs(want - base));
				}
	}
	cr_expect(largest > 0.3, "effects are too small to test anything: %g", largest);
	cr_expect(worst <= 1e-4 * largest, "%s %s: worst deviation %g, largest effect %g",
		  pb_direction_names[direction], pb_positions_names[positions], worst, largest);
	free(ld);
}

static void check_model(const struct tiny_options *o)
{
	struct setup s;

	set_up(&s, o, 1);
	for (int d = 0; d < PB_N_DIRECTIONS; d++)
		for (int p = 0; p < PB_N_POSITIONS; p++)
			check_sweep(&s, (enum pb_direction)d, (enum pb_positions)p);
	tear_down(&s);
}

static const struct tiny_options learned = {.n_layers = 3,
					    .n_heads = 3,
					    .n_kv_heads = 3,
					    .d_head = 5,
					    .d_model = 15,
					    .d_mlp = 44,
					    .n_vocab = 37,
					    .n_context = 32,
					    .learned_positions = true,
					    .activation = PB_ACT_GELU_TANH,
					    .scale = 1.6f,
					    .seed = 1};

Test(waves, learned_positions_sequential)
{
	check_model(&learned);
}

Test(waves, local_windows)
{
	struct tiny_options o = learned;

	o.window = 4;
	o.activation = PB_ACT_RELU;
	o.n_layers = 4;
	check_model(&o);
}

Test(waves, rotary_sequential)
{
	struct tiny_options o = learned;

	o.learned_positions = false;
	o.d_head = 8;
	o.d_model = 24;
	o.rotary_dims = 4;
	o.activation = PB_ACT_GELU_ERF;
	check_model(&o);
}

Test(waves, rotary_parallel)
{
	struct tiny_options o = learned;

	o.learned_positions = false;
	o.d_head = 16;
	o.d_model = 48;
	o.rotary_dims = 16;
	o.parallel = true;
	o.activation = PB_ACT_GELU_ERF;
	check_model(&o);
}

Test(waves, grouped_queries)
{
	struct tiny_options o = learned;

	o.n_heads = 4;
	o.n_kv_heads = 2;
	o.d_model = 33;
	o.activation = PB_ACT_SILU;
	check_model(&o);
	o.learned_positions = false;
	o.d_head = 6;
	o.rotary_dims = 6;
	check_model(&o);
}

Test(waves, one_layer_and_two)
{
	struct tiny_options o = learned;

	o.n_layers = 2;
	check_model(&o);
	o.n_layers = 1;
	check_model(&o);
	o.parallel = true;
	check_model(&o);
}

/* The donor's whole residual stream gives the donor's answer, zero deltas and all. */
Test(waves, full_resid_pre_gives_the_donor)
{
	static const bool both[] = {true, true};
	struct setup s;
	struct pb_wave_memory memory;
	struct pb_chunk_checks checks = {0};
	double deviations[3];

	set_up(&s, &learned, 2);
	checks.resid_pre_deviation = deviations;
	MUST(pb_wave_memory_new(&memory, &s.e, 64, 8, s.pairs.max_length, false, err));
	MUST(pb_check_resid_pre(&s.e, &memory, &s.run, both, 37, &checks, err));
	for (size_t l = 0; l < 3; l++)
		cr_expect(deviations[l] <= 2e-5, "layer %zu: %g", l, deviations[l]);
	pb_wave_memory_free(&memory, &s.e);
	tear_down(&s);
}

/* Memory decides how waves are cut, threads who computes a row; neither may change a bit. */
Test(waves, same_bits_whatever_the_waves)
{
	struct tiny_options o = learned;

	o.n_heads = 4;
	o.n_kv_heads = 4;
	o.d_head = 32;
	o.d_model = 128;
	o.d_mlp = 512;
	for (int p = 0; p < PB_N_POSITIONS; p++) {
		double *first = NULL;
		size_t cells = (size_t)7 * 3 * 4 * (p == PB_POSITIONS_EACH ? 23 : 1);

		for (int threads = 1; threads <= 2; threads++)
			for (size_t rows = 23; rows <= 4000; rows = rows * 5 + 3) {
				struct setup s;
				double *ld;

				set_up(&s, &o, threads);
				ld = sweep(&s, PB_DENOISE, (enum pb_positions)p, rows, rows);
				if (first)
					cr_expect(memcmp(first, ld, cells * sizeof *ld) == 0,
						  "%s: %d threads, waves of %zu rows",
						  pb_positions_names[p], threads, rows);
				else
					first = ld;
				if (ld != first)
					free(ld);
				tear_down(&s);
			}
		free(first);
	}
}
