/* Each operation of a backend on the shapes of a GPT-2-small sweep (48 tokens, first difference at
 * token 24): time, FLOP/s or bytes/s, and what fraction of the products' rate that is.
 *
 *     build/release/bench/bench_ops [threads]
 *
 * The best of several rounds is printed; run it on a quiet machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "patchbay/engine.h"

enum { D = 768, H = 12, K = 64, F = 3072, QKV = 3 * D, T = 48, FIRST = 24, ROWS = 1536 };
enum { N_VARIANTS = ROWS / (T - FIRST), N_PAIRS = 8, ROUNDS = 7 };

struct bench {
	struct pb_device *dev;
	struct pb_error err;
	struct pb_packed *qkv, *up, *down;
	struct pb_dev x, n, wide, z, qkv_rows, base_x, base_wide, base_qkv, stats, weight, base_row;
	struct pb_dev patterns;
	struct pb_span spans[N_VARIANTS], prompts[N_PAIRS];
	struct pb_edit row_edits[N_VARIANTS];
	struct pb_pattern_edit pattern_edits[N_VARIANTS * H];
};

static void must(struct bench *b, enum pb_status status)
{
	if (status != PB_OK) {
		fprintf(stderr, "bench_ops: %s\n", b->err.message);
		exit(pb_exit_status(status));
	}
}

/* Device memory of n floats around `centre`. */
static struct pb_dev filled(struct bench *b, size_t n, float centre, float spread)
{
	float *values = malloc(n * sizeof *values);
	struct pb_dev d = {0};
	struct pb_rng rng;

	if (!values)
		exit(1);
	pb_rng_seed(&rng, n, 1, 2, 3);
	for (size_t i = 0; i < n; i++)
		values[i] = centre + spread * (float)(pb_rng_unit(&rng) - 0.5);
	must(b, b->dev->ops->alloc(b->dev, n * sizeof *values, &d, &b->err));
	must(b, b->dev->ops->upload(b->dev, d, values, n * sizeof *values, &b->err));
	free(values);
	return d;
}

static struct pb_packed *packed(struct bench *b, size_t n_in, size_t n_out)
{
	float *values = malloc(n_in * n_out * sizeof *values);
	struct pb_weight w = {.data = values,
			      .dtype = PB_F32,
			      .n_in = n_in,
			      .n_groups = 1,
			      .group_size = n_out,
			      .stride_in = (ptrdiff_t)n_out,
			      .stride_out = 1};
	struct pb_packed *out = NULL;
	struct pb_rng rng;

	if (!values)
		exit(1);
	pb_rng_seed(&rng, n_in, n_out, 2, 3);
	for (size_t i = 0; i < n_in * n_out; i++)
		values[i] = 0.05f * (float)(pb_rng_unit(&rng) - 0.5);
	must(b, b->dev->ops->pack(b->dev, &w, 1, &out, &b->err));
	free(values);
	return out;
}

/* Every variant's changed rows become another prompt's, and so do the patterns of each of its
 * heads; the source is the next recipient. */
static void set_up_edits(struct bench *b)
{
	b->patterns = filled(b, (size_t)N_PAIRS * H * T * T, 0.0f, 0.1f);
	for (int p = 0; p < N_PAIRS; p++)
		b->prompts[p] = (struct pb_span){.base = p * T, .length = T};
	for (int v = 0; v < N_VARIANTS; v++) {
		int source = (b->spans[v].base + T) % (N_PAIRS * T);

		b->row_edits[v] = (struct pb_edit){.row = b->spans[v].row,
						   .base_row = b->spans[v].base + FIRST,
						   .source_row = source + FIRST,
						   .n_rows = T - FIRST,
						   .source_step = 1,
						   .base = -1.0f,
						   .source = 1.0f};
		b->spans[v].edit = v * H;
		b->spans[v].n_edits = H;
		for (int h = 0; h < H; h++)
			b->pattern_edits[v * H + h] =
			    (struct pb_pattern_edit){.head = h,
						     .query = FIRST,
						     .n_queries = T - FIRST,
						     .n_keys = T,
						     .source_base = source,
						     .table_row = -1,
						     .source = 1.0f};
	}
}

static void set_up(struct bench *b, int threads)
{
	static const struct pb_arch arch = {.n_layers = 12,
					    .n_heads = H,
					    .n_kv_heads = H,
					    .d_model = D,
					    .d_head = K,
					    .d_mlp = F,
					    .n_vocab = 50257};
	int32_t rows[ROWS];

	must(b, pb_device_open(&b->dev, "cpu", threads, PB_PRECISION_FP32, &b->err));
	must(b, b->dev->ops->prepare(b->dev, &arch, T, &b->err));
	b->qkv = packed(b, D, QKV);
	b->up = packed(b, D, F);
	b->down = packed(b, F, D);
	b->x = filled(b, (size_t)ROWS * D, 0.0f, 0.1f);
	b->n = filled(b, (size_t)ROWS * D, 0.0f, 0.1f);
	b->wide = filled(b, (size_t)ROWS * F, 0.0f, 0.1f);
	b->z = filled(b, (size_t)ROWS * D, 0.0f, 0.1f);
	b->qkv_rows = filled(b, (size_t)ROWS * QKV, 0.0f, 0.1f);
	b->base_x = filled(b, (size_t)N_PAIRS * T * D, 0.0f, 2.0f);
	b->base_wide = filled(b, (size_t)N_PAIRS * T * F, 0.0f, 2.0f);
	b->base_qkv = filled(b, (size_t)N_PAIRS * T * QKV, 0.0f, 2.0f);
	b->stats = filled(b, (size_t)N_PAIRS * T * 2, 1.0f, 0.1f);
	b->weight = filled(b, D, 1.0f, 0.1f);
	for (int v = 0; v < N_VARIANTS; v++) {
		b->spans[v] = (struct pb_span){.base = v * N_PAIRS / N_VARIANTS * T,
					       .length = T,
					       .first = FIRST,
					       .row = v * (T - FIRST)};
		for (int i = 0; i < T - FIRST; i++)
			rows[v * (T - FIRST) + i] = b->spans[v].base + FIRST + i;
	}
	set_up_edits(b);
	must(b, b->dev->ops->alloc(b->dev, sizeof rows, &b->base_row, &b->err));
	must(b, b->dev->ops->upload(b->dev, b->base_row, rows, sizeof rows, &b->err));
}

static void product(struct bench *b, const struct pb_packed *w, struct pb_dev x, size_t n_in,
		    struct pb_dev y, size_t n_out)
{
	struct pb_gemm op = {
	    .m = ROWS, .x = x, .y = y, .x_stride = n_in, .y_stride = n_out, .w = w};

	must(b, b->dev->ops->gemm(b->dev, &op, &b->err));
}

static void gemm_qkv(struct bench *b)
{
	product(b, b->qkv, b->x, D, b->qkv_rows, QKV);
}

static void gemm_up(struct bench *b)
{
	product(b, b->up, b->x, D, b->wide, F);
}

static void gemm_down(struct bench *b)
{
	product(b, b->down, b->wide, F, b->n, D);
}

static void norm_delta(struct bench *b)
{
	struct pb_norm_delta op = {.kind = PB_NORM_LAYER,
				   .eps = 1e-5f,
				   .n_rows = ROWS,
				   .d_model = D,
				   .delta = b->x,
				   .x0 = b->base_x,
				   .stats = b->stats,
				   .weight = b->weight,
				   .base_row = b->base_row,
				   .y = b->n};

	must(b, b->dev->ops->norm_delta(b->dev, &op, &b->err));
}

static void activation_delta(struct bench *b)
{
	struct pb_activation_delta op = {.kind = PB_ACT_GELU_TANH,
					 .n_rows = ROWS,
					 .width = F,
					 .dh = b->wide,
					 .h0 = b->base_wide,
					 .a0 = b->base_wide,
					 .base_row = b->base_row};

	must(b, b->dev->ops->activation_delta(b->dev, &op, &b->err));
}

static void edits(struct bench *b)
{
	struct pb_edits op = {.n = N_VARIANTS,
			      .columns = D,
			      .edits = b->row_edits,
			      .out = b->x,
			      .x0 = b->base_x,
			      .source = b->base_x,
			      .out_stride = D,
			      .x0_stride = D,
			      .source_stride = D};

	must(b, b->dev->ops->edits(b->dev, &op, &b->err));
}

static const struct pb_heads heads = {
    .n_heads = H, .n_kv_heads = H, .d_head = K, .score_scale = 0.125f};

static void patterns(struct bench *b)
{
	struct pb_patterns op = {.heads = heads,
				 .n_prompts = N_PAIRS,
				 .prompts = b->prompts,
				 .max_length = T,
				 .qkv = b->base_qkv,
				 .a = b->patterns};

	must(b, b->dev->ops->patterns(b->dev, &op, &b->err));
}

static struct pb_attention_delta delta_op(const struct bench *b)
{
	return (struct pb_attention_delta){.heads = heads,
					   .n_variants = N_VARIANTS,
					   .variants = b->spans,
					   .max_length = T,
					   .qkv0 = b->base_qkv,
					   .dqkv = b->qkv_rows,
					   .dz = b->z};
}

static void attention_delta(struct bench *b)
{
	struct pb_attention_delta op = delta_op(b);

	must(b, b->dev->ops->attention_delta(b->dev, &op, &b->err));
}

static void attention_edited(struct bench *b)
{
	struct pb_attention_delta op = delta_op(b);

	op.edits = b->pattern_edits;
	must(b, b->dev->ops->attention_delta(b->dev, &op, &b->err));
}

static void attention_one_head(struct bench *b)
{
	struct pb_attention_delta op = delta_op(b);

	op.first_head = H / 2;
	op.n_used = 1;
	must(b, b->dev->ops->attention_delta(b->dev, &op, &b->err));
}

/* Of one head: its new scores, both sums over values. */
#define HEAD_FLOPS (2.0 * N_VARIANTS * K * (24.0 * 36.5 * 2.0 + 24.0 * 12.5))

static const struct row {
	const char *name;
	void (*run)(struct bench *);
	double flops, bytes; /* of useful work and of what must be read and written */
} rows_of[] = {
    {"gemm [1536, 768] x [768, 2304]", gemm_qkv, 2.0 * ROWS *D *QKV, 0.0},
    {"gemm [1536, 768] x [768, 3072]", gemm_up, 2.0 * ROWS *D *F, 0.0},
    {"gemm [1536, 3072] x [3072, 768]", gemm_down, 2.0 * ROWS *D *F, 0.0},
    {"norm_delta [1536, 768]", norm_delta, 0.0, 3.0 * ROWS *D * 4.0},
    {"activation_delta [1536, 3072]", activation_delta, 0.0, 4.0 * ROWS *F * 4.0},
    {"edits 64 of 24 rows [1536, 768]", edits, 0.0, 3.0 * ROWS *D * 4.0},
    {"patterns 8 x 12 heads x 48", patterns, 2.0 * N_PAIRS *H *K *(48.0 * 24.5), 0.0},
    {"attention_delta 64 x 12 heads x 24 of 48", attention_delta, H *HEAD_FLOPS, 0.0},
    {"the same, all patterns from elsewhere", attention_edited, H *HEAD_FLOPS, 0.0},
    {"the same, 1 of the heads, unedited", attention_one_head, HEAD_FLOPS, 0.0},
};

int main(int argc, char **argv)
{
	static struct bench b;
	int threads = argc > 1 ? atoi(argv[1]) : pb_thread_limit();

	set_up(&b, threads > 0 ? threads : 1);
	printf("%s, %s\n", b.dev->ops->describe(b.dev), b.dev->ops->name);
	for (size_t r = 0; r < sizeof rows_of / sizeof *rows_of; r++) {
		double best = 1e30;

		for (int i = 0; i < ROUNDS; i++) {
			double start = pb_seconds();

			rows_of[r].run(&b);
			if (pb_seconds() - start < best)
				best = pb_seconds() - start;
		}
		printf("%-42s %8.3f ms  ", rows_of[r].name, best * 1e3);
		if (rows_of[r].flops > 0.0)
			printf("%8.1f GFLOP/s\n", rows_of[r].flops / best * 1e-9);
		else
			printf("%8.1f GB/s\n", rows_of[r].bytes / best * 1e-9);
	}
	return 0;
}
