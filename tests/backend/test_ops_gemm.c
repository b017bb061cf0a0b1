/* gemm and pack against float64: values, and the bits of a row, which are its own. */
#include "device.h"

/* The cpu backend's products come from a library: with kernels whose rows depend on how many there
 * are, too (those below AVX-512). */
static struct criterion_test_params each_library(void)
{
	static struct target targets[] = {
	    {.library = ""}, {.library = "AVX2"}, {.library = "SSE41"}};

	return parameters(targets, on_cpu() ? 3 : 1);
}

enum { BIAS = 1, ADD = 2 };

struct product {
	size_t n_in, n_out, rows;
	const float *x, *bias, *y0; /* [rows, n_in], [n_out], [rows, n_out] */
	const struct pb_weight *views;
	size_t n_views;
	struct pb_packed *packed;
	struct pb_dev bias_dev;
};

static void pack(struct rig *r, struct product *p)
{
	MUST(r, r->ops->pack(r->dev, p->views, p->n_views, &p->packed, err));
	p->x = normals(r, p->rows * p->n_in, 1.0f);
	p->bias = normals(r, p->n_out, 2.0f);
	p->y0 = normals(r, p->rows * p->n_out, 3.0f);
	p->bias_dev = put(r, p->bias, p->n_out);
}

/* n rows of `columns` at `from`, `gap` floats apart, SENTINEL in the gaps. */
static float *spread_rows(struct rig *r, const float *from, size_t n, size_t columns, size_t gap)
{
	float *to = HOST(r, n * (columns + gap), float);

	for (size_t i = 0; i < n * (columns + gap); i++)
		to[i] = SENTINEL;
	for (size_t i = 0; i < n; i++)
		memcpy(to + i * (columns + gap), from + i * columns, columns * sizeof *to);
	return to;
}

/* Rows row .. row+m-1 of the product, packed together. */
static float *multiply(struct rig *r, const struct product *p, unsigned form, size_t row, size_t m,
		       size_t x_gap, size_t y_gap)
{
	struct pb_gemm op = {.m = m,
			     .w = p->packed,
			     .x_stride = p->n_in + x_gap,
			     .y_stride = p->n_out + y_gap,
			     .accumulate = form & ADD};
	float *y, *close = HOST(r, m * p->n_out, float);

	if (form & BIAS)
		op.bias = p->bias_dev;
	op.x = put(r, spread_rows(r, p->x + row * p->n_in, m, p->n_in, x_gap), m * op.x_stride);
	op.y = form & ADD ? put(r, spread_rows(r, p->y0 + row * p->n_out, m, p->n_out, y_gap),
				m * op.y_stride)
			  : put_sentinel(r, m * op.y_stride);
	RUN(r, gemm, &op);
	y = fetch(r, op.y, m * op.y_stride);
	for (size_t i = 0; i < m; i++) {
		memcpy(close + i * p->n_out, y + i * op.y_stride, p->n_out * sizeof *close);
		for (size_t j = p->n_out; j < op.y_stride; j++)
			CHECK(y[i * op.y_stride + j] == SENTINEL,
			      "%s: %zu rows: row %zu is written beyond its end", r->label, m, i);
	}
	return close;
}

/* Rounding of a float32 sum of n terms is a walk of about U times the partial sums: U times the sum
 * of magnitudes where signs are random, U sqrt(n) times the sum itself where they agree. Both,
 * taken twice. Large products are checked on a part of their rows. */
static void check_product(struct rig *r, const struct product *p, unsigned form, const float *y)
{
	size_t step = 1 + p->n_in * p->n_out / 4096;
	double *w = HOST(r, p->n_in * p->n_out, double);

	for (size_t v = 0, at = 0; v < p->n_views; at += pb_weight_n_out(&p->views[v++]))
		for (size_t o = 0; o < pb_weight_n_out(&p->views[v]); o++)
			for (size_t i = 0; i < p->n_in; i++)
				w[(at + o) * p->n_in + i] = ref_weight(&p->views[v], i, o);
	for (size_t i = 0; i < p->rows; i += step)
		for (size_t o = 0; o < p->n_out; o++) {
			double sum = form & BIAS ? (double)p->bias[o] : 0.0, terms;

			sum += form & ADD ? (double)p->y0[i * p->n_out + o] : 0.0;
			terms = fabs(sum) + (form & ADD ? 4.0 : 0.0);
			for (size_t l = 0; l < p->n_in; l++) {
				double t = (double)p->x[i * p->n_in + l] * w[o * p->n_in + l];

				sum += t;
				terms += fabs(t);
			}
			check_value(r, "y", i * p->n_out + o, (double)y[i * p->n_out + o], sum,
				    3.0 * U * (terms + sqrt((double)p->n_in) * fabs(sum)));
		}
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Around the multiples of the panels that a backend may cut a product into. */
static const size_t counts[] = {0,   1,   2,   3,   15,  16,  17,  31,  32,  33,  47,  48,
				49,  63,  64,  65,  79,  80,  81,  95,  96,  97,  111, 112,
				113, 143, 144, 145, 191, 192, 193, 239, 240, 241, 287, 288,
				289, 335, 336, 337, 383, 384, 385, 399, 400, 767, 768, 799};
#define N_COUNTS (sizeof counts / sizeof *counts)

/* All rows at once against float64; then m of them from anywhere, at any strides: the same bits. */
static void rows_case(struct rig *r, size_t n_in, size_t n_out, unsigned form)
{
	struct product p = {.n_in = n_in, .n_out = n_out, .n_views = 1};
	struct pb_weight view;
	size_t step = n_in * n_out <= 2048 ? 1 : 2; /* half of the counts for large ones */
	const float *all;

	begin_case(r, "product %zu -> %zu, form %u", n_in, n_out, form);
	view = pb_weight_of_rows(normals(r, n_in * n_out, 0.5f), n_in, n_out);
	p.views = &view;
	p.rows = step == 1 ? 800 : 400;
	pack(r, &p);
	all = multiply(r, &p, form, 0, p.rows, 0, 0);
	if (!r->replay)
		check_product(r, &p, form, all);
	for (size_t c = form % step; c < N_COUNTS && counts[c] <= p.rows; c += step) {
		size_t m = counts[c], row = pb_rng_below(&r->rng, p.rows - m + 1);
		const float *some = multiply(r, &p, form, row, m, c % 2 * 3, c / 2 % 2 * 5);
		char what[64];

		snprintf(what, sizeof what, "%zu rows from %zu on", m, row);
		check_bits(r, what, some, all + row * n_out, m * n_out * sizeof *some);
	}
	r->ops->unpack(r->dev, p.packed);
}

OPS_TEST_ON(ops_gemm, small_products, each_library)
{
	static const size_t shapes[][2] = {{1, 1},   {1, 33}, {5, 1},   {5, 33},
					   {16, 16}, {33, 5}, {15, 80}, {64, 31}};

	for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
		unsigned form = s % 4;

		rows_case(r, shapes[s][0], shapes[s][1], form);
		rows_case(r, shapes[s][0], shapes[s][1], (BIAS | ADD) - form);
	}
}

/* All forms of one shape on one device. */
OPS_TEST_ON(ops_gemm, all_forms, each_library)
{
	for (unsigned form = 0; form <= (BIAS | ADD); form++)
		rows_case(r, 16, 33, form);
}

OPS_TEST_ON(ops_gemm, large_products, each_library)
{
	rows_case(r, 64, 768, 0);
	rows_case(r, 768, 64, ADD);
	rows_case(r, 768, 250, BIAS);
	rows_case(r, 769, 33, BIAS | ADD);
}

OPS_TEST_ON(ops_gemm, no_rows, each_library)
{
	float w[16 * 16] = {0.0f};
	struct pb_weight view = pb_weight_of_rows(w, 16, 16);
	struct pb_gemm op = {.x_stride = 16, .y_stride = 16};
	struct pb_packed *packed = NULL;

	begin_case(r, "product of no rows");
	MUST(r, r->ops->pack(r->dev, &view, 1, &packed, err));
	op.w = packed;
	op.x = put_sentinel(r, 16);
	op.y = put_sentinel(r, 16);
	RUN(r, gemm, &op);
	check_untouched(r, "y", op.y, 16);
	r->ops->unpack(r->dev, packed);
	r->ops->unpack(r->dev, NULL);
}

/* ---- views ----------------------------------------------------------------------------------- */

/* Views of n_in inputs as checkpoints have them: [in, out]; [out, in]; one part of q|k|v by head
 * (GPT-NeoX); one block of q|k|v (GPT-2); halves of heads interleaved, and the transpose of that
 * (GGUF files of Llama). */
#define N_VIEWS ((size_t)8)

static struct pb_weight view_of(const void *data, enum pb_dtype dtype, size_t n_in, size_t n_groups,
				size_t group_size, ptrdiff_t stride_in, ptrdiff_t stride_group,
				ptrdiff_t stride_out)
{
	return (struct pb_weight){.data = data,
				  .dtype = dtype,
				  .n_in = n_in,
				  .n_groups = n_groups,
				  .group_size = group_size,
				  .stride_in = stride_in,
				  .stride_group = stride_group,
				  .stride_out = stride_out};
}

static void make_views(struct rig *r, size_t n_in, struct pb_weight v[N_VIEWS])
{
	ptrdiff_t in = (ptrdiff_t)n_in;

	v[0] = pb_weight_of_rows(stored(r, PB_F32, n_in * 7), n_in, 7);
	v[1] = view_of(stored(r, PB_F16, n_in * 37), PB_F16, n_in, 1, 37, 1, 37 * in, in);
	v[2] = view_of(stored(r, PB_BF16, n_in * 36), PB_BF16, n_in, 3, 4, 1, 12 * in, in);
	v[2].first = 4 * n_in;
	v[3] = view_of(stored(r, PB_F32, n_in * 18), PB_F32, n_in, 2, 3, 18, 3, 1);
	v[3].first = 6;
	v[4] = view_of(stored(r, PB_F32, n_in * 9), PB_F32, n_in, 3, 3, 1, 3 * in, in);
	v[5] = view_of(stored(r, PB_F16, n_in), PB_F16, n_in, 1, 1, 1, 1, 1);
	v[6] = view_of(stored(r, PB_BF16, n_in * 18), PB_BF16, n_in, 3, 6, 1, 6 * in, in);
	v[6].interleaved = true;
	v[7] = view_of(stored(r, PB_F32, n_in * 5), PB_F32, n_in, 1, 5, 5, 0, 1);
	v[7].interleaved_in = n_in % 2 == 0;
}

/* Views side by side against float64, and bit for bit against the same numbers as one plain matrix.
 */
static void views_case(struct rig *r, size_t n_in, size_t first, size_t n)
{
	struct pb_weight all[N_VIEWS], plain;
	struct product p = {.n_in = n_in, .rows = 50, .views = all + first, .n_views = n};
	const float *y, *same;
	float *w;
	size_t at = 0;

	begin_case(r, "%zu views from %zu on, %zu inputs", n, first, n_in);
	make_views(r, n_in, all);
	for (size_t v = 0; v < n; v++)
		p.n_out += pb_weight_n_out(&p.views[v]);
	w = HOST(r, n_in * p.n_out, float);
	for (size_t v = 0; v < n; at += pb_weight_n_out(&p.views[v++]))
		for (size_t o = 0; o < pb_weight_n_out(&p.views[v]); o++)
			for (size_t i = 0; i < n_in; i++)
				w[i * p.n_out + at + o] = (float)ref_weight(&p.views[v], i, o);
	plain = pb_weight_of_rows(w, n_in, p.n_out);
	pack(r, &p);
	y = multiply(r, &p, BIAS, 0, p.rows, 0, 0);
	check_product(r, &p, BIAS, y);
	r->ops->unpack(r->dev, p.packed);
	MUST(r, r->ops->pack(r->dev, &plain, 1, &p.packed, err));
	same = multiply(r, &p, BIAS, 0, p.rows, 0, 0);
	check_bits(r, "as one matrix", y, same, p.rows * p.n_out * sizeof *y);
	r->ops->unpack(r->dev, p.packed);
}

OPS_TEST_ON(ops_gemm, views, each_library)
{
	static const size_t widths[] = {1, 5, 16, 33, 130};

	for (size_t k = 0; k < 5; k++) {
		for (size_t v = 0; v < N_VIEWS; v++)
			views_case(r, widths[k], v, 1);
		views_case(r, widths[k], 0, 3);
		views_case(r, widths[k], 0, N_VIEWS);
	}
}

/* ---- rows and columns of a matrix ------------------------------------------------------------ */

/* What was packed comes back as it was: some rows, and columns in any order, repeated too. */
static void matrix_case(struct rig *r, size_t n_in, size_t view)
{
	struct pb_weight all[N_VIEWS];
	struct pb_packed *packed = NULL;
	struct pb_matrix_rows rows = {0};
	struct pb_matrix_columns columns = {0};
	size_t n_out;
	float *got;

	begin_case(r, "rows and columns of view %zu, %zu inputs", view, n_in);
	make_views(r, n_in, all);
	n_out = pb_weight_n_out(&all[view]);
	CHECK(n_out > 0 && n_in > 0, "%s: an empty view", r->label);
	MUST(r, r->ops->pack(r->dev, &all[view], 1, &packed, err));
	rows.w = columns.w = packed;
	rows.view = columns.view = &all[view];
	for (rows.first = 0; rows.first < n_in; rows.first += rows.n + 1) {
		rows.n = (n_in - rows.first + 1) / 2;
		got = HOST(r, rows.n * n_out + 1, float);
		got[rows.n * n_out] = SENTINEL;
		rows.out = got;
		RUN(r, matrix_rows, &rows);
		note(r, got, rows.n * n_out * sizeof *got);
		for (size_t i = 0; i < rows.n * n_out; i++)
			check_value(r, "rows", i, (double)got[i],
				    ref_weight(&all[view], rows.first + i / n_out, i % n_out), 0.0);
		CHECK(got[rows.n * n_out] == SENTINEL, "%s: written beyond its end", r->label);
	}
	columns.n = n_out + 3;
	columns.column = indices(r, columns.n, n_out);
	columns.out = put_sentinel(r, columns.n * n_in);
	RUN(r, matrix_columns, &columns);
	got = fetch(r, columns.out, columns.n * n_in);
	for (size_t i = 0; i < columns.n * n_in; i++)
		check_value(r, "columns", i, (double)got[i],
			    ref_weight(&all[view], i % n_in, (size_t)columns.column[i / n_in]),
			    0.0);
	r->ops->unpack(r->dev, packed);
}

OPS_TEST_ON(ops_gemm, matrices, each_library)
{
	static const size_t widths[] = {1, 5, 16, 33, 130, 1030};

	for (size_t k = 0; k < 6; k++)
		for (size_t v = 0; v < N_VIEWS; v++)
			matrix_case(r, widths[k], v);
}
