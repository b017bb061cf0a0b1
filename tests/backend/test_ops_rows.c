/* rows, differ, embed and rotary: the operations that move rows or turn them. All but rotary have
 * exact answers: one float32 subtraction or addition is the float64 one rounded to float32. */
#include "device.h"

/* ---- rows ------------------------------------------------------------------------------------ */

enum { GATHER = 1, SCATTER = 2, SUBTRACT = 4, ADD = 8, STRIDED = 16, N_ROWS_FORMS = 32 };

struct rows_case {
	struct pb_rows op;
	size_t n_a, n_b, n_out; /* rows that the arrays have */
	const float *a, *b, *out;
	const int32_t *a_row, *b_row, *out_row;
};

static size_t row_of(const int32_t *index, size_t i)
{
	return index ? (size_t)index[i] : i;
}

/* The whole of `out` as it must be, what lies between its rows included. */
static double *expected_rows(struct rig *r, const struct rows_case *c)
{
	double *want = widen(r, c->out, c->n_out * c->op.out_stride);

	for (size_t i = 0; i < c->op.n_rows; i++) {
		const float *a = c->a + row_of(c->a_row, i) * c->op.a_stride;
		const float *b = c->b + row_of(c->b_row, i) * c->op.b_stride;
		double *out = want + row_of(c->out_row, i) * c->op.out_stride;

		for (size_t j = 0; j < c->op.columns; j++) {
			float v = (float)((double)a[j] - (c->op.b.address ? (double)b[j] : 0.0));

			out[j] = (double)(float)(c->op.accumulate ? out[j] + (double)v : (double)v);
		}
	}
	return want;
}

static void rows_case(struct rig *r, size_t n, size_t columns, unsigned form)
{
	size_t gap = form & STRIDED ? 3 : 0;
	struct rows_case c = {.n_a = form & GATHER ? 9 : n,
			      .n_b = form & GATHER ? 5 : n,
			      .n_out = form & SCATTER ? n + 7 : n};
	struct pb_rows *op = &c.op;
	double *want, *none;
	float *got;

	begin_case(r, "%zu rows of %zu, form %u", n, columns, form);
	*op = (struct pb_rows){.n_rows = n,
			       .columns = columns,
			       .a_stride = columns + gap,
			       .b_stride = columns + 2 * gap,
			       .out_stride = columns + gap,
			       .accumulate = form & ADD};
	c.a = normals(r, c.n_a * op->a_stride, 1.0f);
	c.b = normals(r, c.n_b * op->b_stride, 1e3f);
	c.out = normals(r, c.n_out * op->out_stride, 1e-2f);
	op->a = put(r, c.a, c.n_a * op->a_stride);
	op->out = put(r, c.out, c.n_out * op->out_stride);
	if (form & SUBTRACT)
		op->b = put(r, c.b, c.n_b * op->b_stride);
	if (form & GATHER) {
		c.a_row = indices(r, n, c.n_a);
		c.b_row = indices(r, n, c.n_b);
		op->a_row = put(r, c.a_row, n);
		op->b_row = put(r, c.b_row, n);
	}
	if (form & SCATTER) {
		c.out_row = permutation(r, c.n_out);
		op->out_row = put(r, c.out_row, n);
	}
	want = expected_rows(r, &c);
	none = HOST(r, c.n_out * op->out_stride, double);
	RUN(r, rows, op);
	got = fetch(r, op->out, c.n_out * op->out_stride);
	check_values(r, "out", c.n_out * op->out_stride, got, want, none);
}

OPS_TEST(ops_rows, rows)
{
	static const size_t counts[] = {0, 1, 50}, columns[] = {0, 1, 5, 33, 768};

	for (size_t n = 0; n < 3; n++)
		for (size_t k = 0; k < 5; k++)
			for (unsigned form = 0; form < N_ROWS_FORMS; form++)
				rows_case(r, counts[n], columns[k], form);
}

/* ---- differ ---------------------------------------------------------------------------------- */

/* One value of each row pair is changed, or none: only its head differs. With a gap, what lies
 * between the rows is NaN. */
static void differ_case(struct rig *r, size_t n, size_t n_heads, size_t d_head, size_t gap)
{
	size_t width = n_heads * d_head, stride = width + gap, n_z = 2 * n;
	struct pb_differ op = {
	    .n = n, .n_heads = n_heads, .d_head = d_head, .stride = gap ? stride : 0};
	int32_t *a_row, *b_row;
	uint8_t *want;
	float *z;

	begin_case(r, "differ: %zu rows, %zu heads of %zu, gap %zu", n, n_heads, d_head, gap);
	z = normals(r, n_z * stride, 1.0f);
	for (size_t i = 0; i < n_z * stride; i++)
		if (i % stride >= width)
			z[i] = NAN;
	want = HOST(r, n * n_heads, uint8_t);
	a_row = permutation(r, n_z);
	b_row = a_row + n;
	for (size_t i = 0; i < n; i++) {
		float *a = z + (size_t)a_row[i] * stride, *b = z + (size_t)b_row[i] * stride;
		size_t at = pb_rng_below(&r->rng, width);

		a[0] = 0.0f; /* zeros of both signs are the same number */
		memcpy(b, a, width * sizeof *a);
		b[0] = -0.0f;
		if (i % 4 == 0)
			continue;
		b[at] = i % 4 == 1 ? nextafterf(a[at], 9.0f) : i % 4 == 2 ? NAN : a[at] + 1.0f;
		want[i * n_heads + at / d_head] = 1;
	}
	op.z = put(r, z, n_z * stride);
	op.a_row = a_row;
	op.b_row = b_row;
	op.flag = HOST(r, n * n_heads, uint8_t);
	memset(op.flag, 7, n * n_heads);
	RUN(r, differ, &op);
	note(r, op.flag, n * n_heads);
	for (size_t i = 0; i < n * n_heads; i++)
		CHECK(op.flag[i] == want[i], "%s: flag[%zu]", r->label, i);
}

OPS_TEST(ops_rows, differ)
{
	static const size_t d_heads[] = {1, 5, 16, 64, 80};

	for (size_t k = 0; k < 5; k++)
		for (size_t gap = 0; gap < 14; gap += 13) {
			differ_case(r, 0, 3, d_heads[k], gap);
			differ_case(r, 1, 1, d_heads[k], gap);
			differ_case(r, 150, 3, d_heads[k], gap);
		}
}

/* A NaN differs from everything, itself included; infinities are numbers. */
OPS_TEST(ops_rows, differ_of_nan)
{
	static const int32_t row[] = {0};
	float z[] = {NAN, 1.0f, INFINITY, -INFINITY, INFINITY, 2.0f};
	uint8_t flag[3] = {7, 7, 7};
	struct pb_differ op = {
	    .n = 1, .n_heads = 3, .d_head = 2, .a_row = row, .b_row = row, .flag = flag};

	begin_case(r, "differ of NaN");
	op.z = put(r, z, 6);
	RUN(r, differ, &op);
	CHECK(flag[0] == 1 && flag[1] == 0 && flag[2] == 0, "%s: %d %d %d", r->label, flag[0],
	      flag[1], flag[2]);
}

/* ---- embed ----------------------------------------------------------------------------------- */

/* A table of n rows of d numbers, stored by rows or by columns. */
static struct pb_weight table(struct rig *r, enum pb_dtype dtype, size_t n, size_t d,
			      bool transposed)
{
	return (struct pb_weight){.data = stored(r, dtype, n * d),
				  .dtype = dtype,
				  .n_in = n,
				  .n_groups = 1,
				  .group_size = d,
				  .stride_in = transposed ? 1 : (ptrdiff_t)d,
				  .stride_group = (ptrdiff_t)d,
				  .stride_out = transposed ? (ptrdiff_t)n : 1};
}

static void embed_case(struct rig *r, enum pb_dtype dtype, size_t n, size_t d, bool positions,
		       bool transposed)
{
	enum { N_TOKENS = 23, N_POSITIONS = 9 };
	struct pb_embed op = {.n_rows = n, .d_model = d};
	struct pb_weight embed, pos_embed;
	double *want, *none;
	float *x;

	begin_case(r, "embed %s, %zu rows of %zu, positions %d, transposed %d",
		   pb_dtype_name(dtype), n, d, positions, transposed);
	embed = table(r, dtype, N_TOKENS, d, transposed);
	pos_embed = table(r, dtype == PB_F16 ? PB_F32 : PB_F16, N_POSITIONS, d, !transposed);
	op.embed = &embed;
	op.pos_embed = positions ? &pos_embed : NULL;
	op.token = indices(r, n, N_TOKENS);
	op.position = positions ? indices(r, n, N_POSITIONS) : NULL;
	op.x = put_sentinel(r, n * d);
	RUN(r, embed, &op);
	x = fetch(r, op.x, n * d);
	want = HOST(r, n * d, double);
	none = HOST(r, n * d, double);
	for (size_t i = 0; i < n * d; i++) {
		want[i] = ref_weight(&embed, (size_t)op.token[i / d], i % d);
		if (positions)
			want[i] += ref_weight(&pos_embed, (size_t)op.position[i / d], i % d);
		want[i] = (double)(float)want[i];
	}
	check_values(r, "x", n * d, x, want, none);
}

OPS_TEST(ops_rows, embed)
{
	static const size_t widths[] = {1, 5, 16, 33, 768};

	for (enum pb_dtype dtype = PB_F32; dtype <= PB_BF16; dtype++)
		for (size_t d = 0; d < 5; d++)
			for (unsigned form = 0; form < 4; form++) {
				embed_case(r, dtype, 0, widths[d], form & 1, form & 2);
				embed_case(r, dtype, 45, widths[d], form & 1, form & 2);
			}
}

/* ---- rotary ---------------------------------------------------------------------------------- */

enum { N_ANGLES = 40 };

/* cos and sin as the engine's table has them: dims/2 cosines, then dims/2 sines a position. */
static float *angles(struct rig *r, size_t dims)
{
	float *table = HOST(r, N_ANGLES * dims, float);

	for (size_t p = 0; p < N_ANGLES; p++)
		for (size_t i = 0; i < dims / 2; i++) {
			float angle = (float)p * powf(10000.0f, -2.0f * (float)i / (float)dims);

			table[p * dims + i] = cosf(angle);
			table[p * dims + dims / 2 + i] = sinf(angle);
		}
	return table;
}

/* Two products and a sum, each rounded once: 2 U of |a cos| + |b sin|, as |a| + |b| bounds. What is
 * not turned (the rest of a head, what lies between rows) keeps its bits. */
static void rotary_case(struct rig *r, size_t n, size_t n_heads, size_t d_head, size_t dims,
			size_t gap)
{
	struct pb_rotary op = {
	    .n_rows = n, .n_heads = n_heads, .d_head = d_head, .rotary_dims = dims};
	size_t stride = n_heads * d_head + gap, size = n * stride;
	float *x, *table = NULL, *got, *alone;
	double *want, *tolerance;
	int32_t *position;

	begin_case(r, "rotary: %zu rows, %zu heads of %zu, %zu turned, gap %zu", n, n_heads, d_head,
		   dims, gap);
	x = normals(r, size, 3.0f);
	table = angles(r, dims);
	position = indices(r, n, N_ANGLES);
	op.x = put(r, x, size);
	op.x_stride = stride;
	op.position = put(r, position, n);
	op.cos_sin = put(r, table, N_ANGLES * dims);
	RUN(r, rotary, &op);
	got = fetch(r, op.x, size);
	want = widen(r, x, size);
	tolerance = HOST(r, size, double);
	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < n_heads; h++) {
			size_t at = i * stride + h * d_head, half = dims / 2;
			const float *cosine = table + (size_t)position[i] * dims;

			ref_rotate(want + at, dims, cosine, cosine + half);
			for (size_t j = 0; j < dims; j++)
				tolerance[at + j] = 2.0 * U *
						    (fabs((double)x[at + j % half]) +
						     fabs((double)x[at + half + j % half]));
		}
	check_values(r, "x", size, got, want, tolerance);

	op.x = put(r, x, size);
	for (size_t i = n; i-- > 0;) {
		struct pb_rotary one = op;

		one.n_rows = 1;
		one.x = pb_dev_row(op.x, i, stride);
		one.position = pb_dev_row(op.position, i, 1);
		RUN(r, rotary, &one);
	}
	alone = fetch(r, op.x, size);
	check_bits(r, "a row alone", alone, got, size * sizeof *got);
}

OPS_TEST(ops_rows, rotary)
{
	static const size_t shapes[][2] = {/* d_head, rotary_dims */
					   {1, 0},   {5, 2},   {5, 4},   {16, 16},
					   {64, 16}, {64, 64}, {80, 20}, {80, 80}};

	for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
		for (size_t gap = 0; gap < 14; gap += 13) {
			rotary_case(r, 0, 2, shapes[s][0], shapes[s][1], gap);
			rotary_case(r, 1, 1, shapes[s][0], shapes[s][1], gap);
			rotary_case(r, 150, 3, shapes[s][0], shapes[s][1], gap);
		}
}
