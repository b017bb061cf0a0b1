/* The main sweep, z patches of every head at all positions, on a GPU: models of GPT-2's shapes with
 * random weights, 48-token pairs that differ at token 24, in each precision of delta products.
 *
 *     build/release/bench/bench_gpu [--stages] [SHAPE[/PRECISION]...]
 *
 * Shapes: small, xl (both unless named), tiny. --stages: where the time goes, too.
 *
 * Patches a second; how much of the rate that the same card reaches in products alone, measured in
 * the same run; how far effects are from the float32 ones, and those from plain forward passes.
 * Then the same sweep with engine.graphs: its time, and the graphs that a sweep launches, updates
 * and makes. Without a GPU it says why, and ends with status 0. Exit 1 where effects are too far,
 * or not the same bits with graphs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

enum { LENGTH = 48, DIFFERENCE = 24, ROUNDS = 3, CHECKED = 4 };

static const struct shape {
	const char *name;
	size_t n_layers, n_heads, d_model, n_vocab, n_pairs;
} shapes[] = {
    {"small", 12, 12, 768, 50257, 16}, {"xl", 48, 25, 1600, 50257, 8}, {"tiny", 2, 2, 32, 50, 2}};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

/* Largest deviations that are no defect, of the largest effect. */
static const double allowed[] = {
    [PB_PRECISION_FP32] = 1e-3, [PB_PRECISION_TF32] = 5e-3, [PB_PRECISION_BF16] = 2e-2};

struct bench {
	const struct shape *shape;
	struct pb_device *dev;
	struct pb_model model;
	float *numbers; /* all weights are views of these */
	struct pb_engine e;
	struct pb_pairs pairs;
	struct pb_chunk_run run;
	struct pb_plan plan;
	struct pb_sweep sweep;
	struct pb_grid grid;
	struct pb_sources sources;
	struct pb_sweep_work work;
	double *logit_diff; /* [pairs, cells] */
	bool stages;
	struct pb_error err;
};

static void must(struct bench *b, enum pb_status status)
{
	if (status != PB_OK) {
		fprintf(stderr, "bench_gpu: %s\n", b->err.message);
		exit(pb_exit_status(status));
	}
}

/* ---- a model --------------------------------------------------------------------------------- */

/* Views overlap, from an offset of their own: what matters is that no two are alike. */
static struct pb_weight weight(const struct bench *b, size_t *at, size_t n_in, size_t groups,
			       size_t size)
{
	*at += 1009;
	return (struct pb_weight){.data = b->numbers + *at % 100003,
				  .dtype = PB_F32,
				  .n_in = n_in,
				  .n_groups = groups,
				  .group_size = size,
				  .stride_in = (ptrdiff_t)(groups * size),
				  .stride_group = (ptrdiff_t)size,
				  .stride_out = 1};
}

static void make_model(struct bench *b)
{
	const struct shape *s = b->shape;
	size_t D = s->d_model, H = s->n_heads, K = D / H, F = 4 * D, at = 0;
	size_t n = s->n_vocab * D + 4 * D * D + 200000;
	struct pb_rng rng;

	b->model.arch = (struct pb_arch){.family = "gpt2",
					 .n_layers = s->n_layers,
					 .n_heads = H,
					 .n_kv_heads = H,
					 .d_model = D,
					 .d_head = K,
					 .d_mlp = F,
					 .n_vocab = s->n_vocab,
					 .n_context = 1024,
					 .norm = PB_NORM_LAYER,
					 .norm_eps = 1e-5f,
					 .activation = PB_ACT_GELU_TANH,
					 .learned_positions = true};
	must(b, pb_alloc((void **)&b->numbers, n, sizeof(float), "weights", &b->err));
	must(b, pb_alloc((void **)&b->model.layers, s->n_layers, sizeof *b->model.layers, "layers",
			 &b->err));
	pb_rng_seed(&rng, 1, 2, 3, 4);
	for (size_t i = 0; i < n; i++)
		b->numbers[i] =
		    (float)((pb_rng_unit(&rng) + pb_rng_unit(&rng) - 1.0) * 3.0 / sqrt((double)D));
	for (size_t l = 0; l < s->n_layers; l++) {
		struct pb_layer *w = &b->model.layers[l];

		w->q = weight(b, &at, D, H, K);
		w->k = weight(b, &at, D, H, K);
		w->v = weight(b, &at, D, H, K);
		w->o = weight(b, &at, D, 1, D);
		w->mlp_in = weight(b, &at, D, 1, F);
		w->mlp_out = weight(b, &at, F, 1, D);
		w->score_scale = 1.0f / sqrtf((float)K);
	}
	b->model.embed = weight(b, &at, s->n_vocab, 1, D);
	b->model.pos_embed = weight(b, &at, LENGTH, 1, D);
	b->model.unembed = weight(b, &at, D, 1, s->n_vocab);
}

static void make_pairs(struct bench *b)
{
	struct pb_rng rng;

	pb_rng_seed(&rng, 4, 3, 2, 1);
	b->pairs.n = b->shape->n_pairs;
	b->pairs.max_length = LENGTH;
	b->pairs.items = pb_arena_alloc(&b->pairs.arena, b->pairs.n, sizeof *b->pairs.items);
	for (size_t p = 0; p < b->pairs.n; p++) {
		struct pb_pair *q = &b->pairs.items[p];

		q->length = LENGTH;
		q->clean = pb_arena_alloc(&b->pairs.arena, LENGTH, sizeof *q->clean);
		q->corrupted = pb_arena_alloc(&b->pairs.arena, LENGTH, sizeof *q->corrupted);
		for (size_t i = 0; i < LENGTH; i++)
			q->clean[i] = q->corrupted[i] =
			    (int32_t)pb_rng_below(&rng, b->shape->n_vocab);
		q->corrupted[DIFFERENCE] = (q->clean[DIFFERENCE] + 1) % (int32_t)b->shape->n_vocab;
		q->first_difference = DIFFERENCE;
		q->answer = (int32_t)pb_rng_below(&rng, b->shape->n_vocab);
		q->foil = (q->answer + 1) % (int32_t)b->shape->n_vocab;
	}
}

/* ---- one precision --------------------------------------------------------------------------- */

static void set_up(struct bench *b, enum pb_precision precision)
{
	struct pb_run_config config = {.n_sweeps = 1,
				       .sweeps = &b->sweep,
				       .metrics = 1u << PB_METRIC_LOGIT_DIFF,
				       .precision = precision,
				       .chunk = b->pairs.n};

	b->sweep = (struct pb_sweep){.intervention = PB_PATCH,
				     .site = PB_SITE_Z,
				     .direction = PB_DENOISE,
				     .positions = PB_POSITIONS_ALL,
				     .window = 1};
	must(b, pb_device_open(&b->dev, "cuda", 1, precision, &b->err));
	must(b, pb_grid_make(&b->grid, &b->sweep, &b->model.arch, LENGTH, &b->err));
	b->work = (struct pb_sweep_work){.sweep = &b->sweep,
					 .grid = &b->grid,
					 .arch = &b->model.arch,
					 .pairs = b->pairs.items,
					 .all = &b->pairs,
					 .sources = &b->sources,
					 .recipient = 1,
					 .donor = 0};
	{
		const struct pb_prompts none = {0};

		must(b, pb_plan_make(&b->plan, b->dev, &b->model, &config, &b->work, &b->pairs,
				     &none, LENGTH, pb_memory_limit() / 5 * 4, 0, &b->err));
	}
	must(b, pb_engine_open(&b->e, b->dev, &b->model, LENGTH, 0, &b->err));
	must(b, pb_chunk_run_new(&b->run, &b->e, &b->pairs, 0, b->pairs.n, &b->sweep, 1, 0,
				 b->shape->n_vocab, &b->err));
	b->work.run = &b->run;
}

static void tear_down(struct bench *b)
{
	pb_chunk_run_free(&b->run, &b->e);
	pb_engine_close(&b->e);
	pb_device_close(b->dev);
	b->work.run = NULL;
}

/* Median seconds of the sweep, and those of the first; its values into logit_diff. */
static double time_sweep(struct bench *b, uint64_t *launches, double *first)
{
	size_t cells = b->pairs.n * b->grid.n_cells;
	double seconds[ROUNDS];
	struct pb_sweep_values values = {0};
	struct pb_sweep_target target = {.work = &b->work,
					 .metrics = 1u << PB_METRIC_LOGIT_DIFF,
					 .n_valid = b->shape->n_vocab,
					 .values = &values};
	struct pb_wave_memory memory;
	struct pb_progress progress;

	must(b, pb_wave_memory_new(&memory, &b->e, &b->plan.sizes, &b->err));
	must(b, pb_alloc((void **)&values.absent, cells, 1, "cells", &b->err));
	values.metric[PB_METRIC_LOGIT_DIFF] = b->logit_diff;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t before = b->dev->ops->launches(b->dev);
		double begin = pb_seconds();

		pb_progress_begin(&progress, "patches", (double)cells);
		b->e.profile.flops = 0.0;
		must(b, pb_sweep_run(&b->e, &memory, &target, &progress, &b->err));
		seconds[i] = pb_seconds() - begin;
		*launches = b->dev->ops->launches(b->dev) - before;
	}
	pb_wave_memory_free(&memory, &b->e);
	free(values.absent);
	*first = seconds[0];
	return fmax(fmin(seconds[0], seconds[1]), fmin(fmax(seconds[0], seconds[1]), seconds[2]));
}

/* The sweep in graphs, beside its seconds without; whether its values have the same bits. */
static bool compare_graphs(struct bench *b, enum pb_precision precision, double without,
			   uint64_t launches)
{
	size_t bytes = b->pairs.n * b->grid.n_cells * sizeof *b->logit_diff;
	struct pb_graph_counts before, n;
	double *values = NULL, seconds, first;
	bool same;

	must(b, pb_alloc((void **)&values, 1, bytes, "effects", &b->err));
	memcpy(values, b->logit_diff, bytes);
	before = b->dev->ops->graph_counts(b->dev);
	b->e.graphs = true;
	seconds = time_sweep(b, &launches, &first);
	b->e.graphs = false;
	n = b->dev->ops->graph_counts(b->dev);
	same = memcmp(values, b->logit_diff, bytes) == 0;
	free(values);
	printf("%-6s %-5s in graphs: %.3f s, %.2f times as fast as without (first %.3f s); %.1f "
	       "launches a layer as %.1f graphs; of %llu launched in %d sweeps %llu updated, %llu "
	       "made; %s\n",
	       b->shape->name, pb_precision_names[precision], seconds, without / seconds, first,
	       (double)launches / (double)b->shape->n_layers,
	       (double)(n.launched - before.launched) / ROUNDS / (double)b->shape->n_layers,
	       (unsigned long long)(n.launched - before.launched), ROUNDS,
	       (unsigned long long)(n.updated - before.updated),
	       (unsigned long long)(n.made - before.made), same ? "the same bits" : "OTHER BITS");
	return same;
}

/* Where the time of a sweep goes: to order the work of a stage, and to do it when every operation
 * is waited for. */
static void print_stages(struct bench *b)
{
	double ordered[PB_N_STAGES];
	double first;
	uint64_t launches;

	memset(b->e.profile.seconds, 0, sizeof b->e.profile.seconds);
	time_sweep(b, &launches, &first);
	memcpy(ordered, b->e.profile.seconds, sizeof ordered);
	memset(b->e.profile.seconds, 0, sizeof b->e.profile.seconds);
	b->e.exact_times = true;
	time_sweep(b, &launches, &first);
	for (int s = PB_STAGE_INJECT; s <= PB_STAGE_SCORE; s++)
		printf("       %-11s %8.3f s, %8.3f s to order\n", pb_stage_names[s],
		       b->e.profile.seconds[s] / ROUNDS, ordered[s] / ROUNDS);
	b->e.exact_times = false;
}

/* Largest deviation of some cells from plain forward passes. */
static double from_plain(struct bench *b)
{
	struct pb_sweep_work work = b->work;
	struct pb_variants list = {0};
	double want[CHECKED], worst = 0.0;
	size_t cells[CHECKED];
	struct pb_rng rng;

	work.no_shortcut = true;
	pb_rng_seed(&rng, 7, 7, 7, 7);
	for (size_t i = 0; i < CHECKED; i++) {
		enum pb_cell_kind kind;

		cells[i] = pb_rng_below(&rng, b->grid.n_cells);
		must(b, pb_cell_variant(&work, 0, cells[i], &list, &kind, &b->err));
	}
	must(b, pb_check_plain(&b->e, &work, &list, want, &b->err));
	for (size_t i = 0; i < list.n; i++) {
		double d = fabs(want[i] - b->logit_diff[cells[i]]);

		if (!(d <= worst))
			worst = d;
	}
	pb_variants_free(&list);
	return worst;
}

/* One line; the first line's values, float32's unless one precision alone is measured, are kept for
 * those that follow. */
static bool measure(struct bench *b, enum pb_precision precision, double *exact, bool first)
{
	size_t n = b->pairs.n * b->shape->n_layers * b->shape->n_heads;
	double seconds, first_seconds, rate = 0.0, worst = 0.0, largest = 0.0, plain;
	uint64_t launches = 0;
	bool same;

	set_up(b, precision);
	must(b, pb_measure_gemm(b->dev, &b->model, &rate, &b->err));
	seconds = time_sweep(b, &launches, &first_seconds);
	for (size_t i = 0; i < n; i++) {
		double base = pb_base_logit_diff(&b->run, i / b->grid.n_cells, b->work.recipient);
		double d;

		if (first)
			exact[i] = b->logit_diff[i];
		d = fabs(b->logit_diff[i] - exact[i]);
		if (!(d <= worst))
			worst = d;
		largest = fmax(largest, fabs(exact[i] - base));
	}
	plain = from_plain(b);
	printf("%-6s %-5s %8zu %9.3f %9.3f %10.0f %9.2f %9.2f %8.0f%% %9.0f %10.1e %10.1e\n",
	       b->shape->name, pb_precision_names[precision], n, seconds, first_seconds,
	       (double)n / seconds, b->e.profile.flops / seconds * 1e-12, rate * 1e-12,
	       100.0 * b->e.profile.flops / seconds / rate,
	       (double)launches / (double)b->shape->n_layers, worst / largest, plain / largest);
	same = compare_graphs(b, precision, seconds, launches);
	if (b->stages)
		print_stages(b);
	fflush(stdout);
	tear_down(b);
	return same && worst <= allowed[precision] * largest &&
	       plain <= allowed[precision] * largest;
}

/* All precisions, or the one that is named. */
static bool bench_shape(const struct shape *shape, const char *named, bool stages)
{
	struct bench b = {.shape = shape, .stages = stages};
	double *exact = NULL;
	bool good = true;
	size_t n = shape->n_pairs * shape->n_layers * shape->n_heads;

	make_model(&b);
	make_pairs(&b);
	must(&b, pb_alloc((void **)&exact, n, sizeof *exact, "effects", &b.err));
	must(&b, pb_alloc((void **)&b.logit_diff, n, sizeof *exact, "effects", &b.err));
	for (int p = PB_PRECISION_FP32; p <= PB_PRECISION_BF16; p++)
		if (!named || strcmp(pb_precision_names[p], named) == 0)
			good = measure(&b, (enum pb_precision)p, exact,
				       named || p == PB_PRECISION_FP32) &&
			       good;
	free(exact);
	free(b.logit_diff);
	free(b.numbers);
	free(b.model.layers);
	pb_pairs_free(&b.pairs);
	return good;
}

static bool precision_named(const char *name)
{
	for (int p = PB_PRECISION_FP32; p <= PB_PRECISION_BF16; p++)
		if (strcmp(pb_precision_names[p], name) == 0)
			return true;
	return false;
}

/* SHAPE or SHAPE/PRECISION; *precision NULL where all are meant. */
static const struct shape *shape_named(const char *name, const char **precision)
{
	size_t length = strcspn(name, "/");

	*precision = name[length] == '/' ? name + length + 1 : NULL;
	if (*precision && !precision_named(*precision))
		return NULL;
	for (size_t i = 0; i < N_SHAPES; i++)
		if (strlen(shapes[i].name) == length && memcmp(shapes[i].name, name, length) == 0)
			return &shapes[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct pb_device *dev = NULL;
	struct pb_error err = {0};
	const char *precision;
	bool good = true, stages = argc > 1 && strcmp(argv[1], "--stages") == 0;

	for (int i = 1 + stages; i < argc; i++)
		if (!shape_named(argv[i], &precision)) {
			fprintf(stderr,
				"bench_gpu: no such shape: %s: use small, xl or tiny, or one with "
				"a precision, as small/bf16\n",
				argv[i]);
			return 2;
		}
	if (pb_device_open(&dev, "cuda", 1, PB_PRECISION_FP32, &err) != PB_OK) {
		printf("bench_gpu: skipped: %s\n", err.message);
		return 0;
	}
	pb_log_quiet(true);
	printf("z patches of all heads, denoise, positions all, on %s\n", dev->ops->describe(dev));
	pb_device_close(dev);
	printf("%-6s %-5s %8s %9s %9s %10s %9s %9s %9s %9s %10s %10s\n", "shape", "", "patches",
	       "seconds", "first", "patches/s", "TFLOP/s", "products'", "of these", "launches",
	       "from fp32", "from plain");
	printf("%-6s %-5s %8s %9s %9s %10s %9s %9s %9s %9s %10s %10s\n", "", "", "", "", "", "", "",
	       "", "", "a layer", "", "forwards");
	for (int i = 1 + stages; i < argc; i++)
		good = bench_shape(shape_named(argv[i], &precision), precision, stages) && good;
	if (argc == 1 + stages)
		good =
		    bench_shape(&shapes[0], NULL, stages) && bench_shape(&shapes[1], NULL, stages);
	if (!good)
		fprintf(stderr, "bench_gpu: effects are too far from float32's, or from plain "
				"forward passes, or others in graphs\n");
	return good ? 0 : 1;
}
