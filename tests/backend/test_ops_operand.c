/* Rows that operations leave as operands of products, in every precision of these: a product of
 * them has the bits of the product that rounds float32 rows itself. */
#include "attention.h"

/* The cpu backend rounds nothing. */
static struct criterion_test_params each_precision(void)
{
	static struct target targets[] = {{.precision = PB_PRECISION_FP32},
					  {.precision = PB_PRECISION_TF32},
					  {.precision = PB_PRECISION_BF16}};

	return parameters(targets, on_cpu() ? 1 : 3);
}

/* The same bits of x W, where x is float32 and where it holds operands; `stride` floats a row. */
static void check_products(struct rig *r, const char *what, struct pb_dev plain,
			   struct pb_dev operand, size_t rows, size_t width, size_t stride,
			   size_t n_out)
{
	struct pb_weight view = pb_weight_of_rows(normals(r, width * n_out, 1.0f), width, n_out);
	struct pb_gemm op = {
	    .m = rows, .x = plain, .x_stride = stride, .y_stride = n_out, .delta = true};
	struct pb_packed *packed = NULL;
	const float *y;

	MUST(r, r->ops->pack(r->dev, &view, 1, &packed, err));
	op.w = packed;
	op.y = put_sentinel(r, rows * n_out);
	RUN(r, gemm, &op);
	y = fetch(r, op.y, rows * n_out);
	op.x = operand;
	op.operand = true;
	op.y = put_sentinel(r, rows * n_out);
	RUN(r, gemm, &op);
	check_bits(r, what, fetch(r, op.y, rows * n_out), y, rows * n_out * sizeof *y);
	r->ops->unpack(r->dev, packed);
}

/* Widths that are made of float4s, held in registers or not, and others. */
static const size_t widths[] = {1, 3, 8, 30, 64, 100, 1028, 2052};
#define N_WIDTHS (sizeof widths / sizeof *widths)

OPS_TEST_ON(ops_operand, norms, each_precision)
{
	const size_t rows = 5;

	for (size_t i = 0; i < N_WIDTHS; i++) {
		size_t D = widths[i], n = rows * D;
		const int32_t base_row[] = {1, 0, 1, 1, 0};
		const float stats[] = {0.1f, 0.9f, -0.2f, 1.2f};
		struct pb_norm_delta op = {
		    .kind = PB_NORM_LAYER, .eps = 1e-5f, .n_rows = rows, .d_model = D};
		struct pb_dev plain;

		begin_case(r, "norm of %zu columns", D);
		open_prepared(r, &shapes[1].heads, D, 4);
		op.delta = put(r, normals(r, n, 0.1f), n);
		op.x0 = put(r, normals(r, 2 * D, 1.0f), 2 * D);
		op.weight = put(r, normals(r, D, 1.0f), D);
		op.stats = put(r, stats, 4);
		op.base_row = put(r, base_row, rows);
		op.y = plain = put_sentinel(r, n);
		RUN(r, norm_delta, &op);
		op.y = put_sentinel(r, n);
		op.operand = true;
		RUN(r, norm_delta, &op);
		check_products(r, "norm", plain, op.y, rows, D, D, 7);
	}
}

OPS_TEST_ON(ops_operand, activations, each_precision)
{
	const size_t rows = 3;

	for (size_t i = 0; i < 2 * N_WIDTHS; i++) {
		size_t F = widths[i / 2], H = i % 2 ? 2 * F : F, n = rows * H;
		const int32_t base_row[] = {1, 0, 1};
		const float *dh;
		struct pb_activation_delta op = {
		    .kind = PB_ACT_GELU_TANH, .gated = i % 2 == 1, .n_rows = rows, .width = F};
		struct pb_dev plain;

		begin_case(r, "activation of %zu columns%s", F, i % 2 ? ", gated" : "");
		open_prepared(r, &shapes[1].heads, (F + 3) / 4, 4);
		dh = normals(r, n, 1.0f);
		op.h0 = put(r, normals(r, 2 * H, 1.0f), 2 * H);
		op.a0 = put(r, normals(r, 2 * F, 1.0f), 2 * F);
		op.base_row = put(r, base_row, rows);
		op.dh = plain = put(r, dh, n);
		RUN(r, activation_delta, &op);
		op.dh = put(r, dh, n);
		op.operand = true;
		RUN(r, activation_delta, &op);
		check_products(r, "activation", plain, op.dh, rows, F, H, 9);
	}
}

/* Tiled, and a row at a time where a pattern is written. */
OPS_TEST_ON(ops_operand, attention, each_precision)
{
	for (size_t i = 0; i < N_SHAPES; i++) {
		const struct pb_heads *hd = &shapes[i].heads;
		size_t width = ref_qkv_width(hd), Z = hd->n_heads * hd->d_head, rows = 9;
		const struct pb_pattern_edit edit = {.query = 6,
						     .n_queries = 2,
						     .n_keys = 3,
						     .source_base = -1,
						     .table_row = -1,
						     .own = 0.5f};
		const struct pb_span variants[] = {
		    {.length = 8, .first = 3}, {.length = 8, .first = 4, .row = 5, .n_edits = 1}};
		struct pb_attention_delta op = {.heads = *hd,
						.n_variants = 2,
						.variants = variants,
						.max_length = 8,
						.edits = &edit};
		struct pb_dev plain;

		begin_shape(r, "attention", &shapes[i]);
		open_prepared(r, hd, Z, 8);
		op.qkv0 = put(r, qkv_rows(r, &shapes[i], 8, 1.0f), 8 * width);
		op.dqkv = put(r, qkv_rows(r, &shapes[i], rows, 0.3f), rows * width);
		op.dz = plain = put_sentinel(r, rows * Z);
		RUN(r, attention_delta, &op);
		op.dz = put_sentinel(r, rows * Z);
		op.operand = true;
		RUN(r, attention_delta, &op);
		check_products(r, "attention", plain, op.dz, rows, Z, Z, 5);
	}
}
