/* head_norm, the norms of q and k, against float64: parts of a row that lies among other columns.
 */
#include "device.h"

#define EPS 1e-6f
#define N_BASE 6

struct head_case {
	struct pb_head_norm op;
	const float *x, *weight, *bias, *x0;
	const int32_t *base_row;
	size_t wide; /* floats of one row that are normed */
};

static const char *kind_name(enum pb_norm kind)
{
	return kind == PB_NORM_LAYER ? "layer" : "rms";
}

static void make_case(struct rig *r, struct head_case *c, bool with_bias)
{
	struct pb_head_norm *op = &c->op;
	float *weight;

	c->wide = op->n_parts * op->width;
	op->x_stride = c->wide + 3;
	c->x = normals(r, op->n_rows * op->x_stride, 1.5f);
	weight = normals(r, c->wide, 0.5f);
	for (size_t i = 0; i < c->wide; i++)
		weight[i] += 0.8f;
	c->weight = weight;
	op->x = put(r, c->x, op->n_rows * op->x_stride);
	op->weight = put(r, weight, c->wide);
	if (with_bias) {
		c->bias = normals(r, c->wide, 1.0f);
		op->bias = put(r, c->bias, c->wide);
	}
}

/* As in test_ops_norm: sums of `width` numbers are off by about U sqrt(width) of themselves. */
static double share_of(size_t width)
{
	return 2.0 * U * (3.0 + sqrt((double)width));
}

static void norm_part(const struct head_case *c, const double *x, size_t part, double *y,
		      double stats[2])
{
	const size_t w = c->op.width;

	ref_norm(c->op.kind, (double)c->op.eps, w, x, c->weight + part * w,
		 c->bias ? c->bias + part * w : NULL, y, stats);
}

/* What lies between the rows' parts stays. */
static void check_gaps(struct rig *r, const struct head_case *c, const float *got)
{
	for (size_t row = 0; row < c->op.n_rows; row++)
		check_bits(r, "gap", got + row * c->op.x_stride + c->wide,
			   c->x + row * c->op.x_stride + c->wide, 3 * sizeof *got);
}

static void plain_case(struct rig *r, enum pb_norm kind, size_t n, size_t parts, size_t width,
		       bool with_bias)
{
	struct head_case c = {
	    .op = {.kind = kind, .eps = EPS, .n_rows = n, .n_parts = parts, .width = width}};
	const float *got;

	begin_case(r, "%s of %zu rows x %zu parts of %zu, bias %d", kind_name(kind), n, parts,
		   width, with_bias);
	make_case(r, &c, with_bias);
	RUN(r, head_norm, &c.op);
	got = fetch(r, c.op.x, n * c.op.x_stride);
	for (size_t row = 0; row < n; row++)
		for (size_t p = 0; p < parts; p++) {
			size_t at = row * c.op.x_stride + p * width;
			double x[width], want[width], stats[2], size = 0.0;

			for (size_t i = 0; i < width; i++) {
				x[i] = (double)c.x[at + i];
				size += fabs(x[i]) / (double)width;
			}
			norm_part(&c, x, p, want, stats);
			for (size_t i = 0; i < width; i++)
				check_value(r, "x", at + i, (double)got[at + i], want[i],
					    share_of(width) * stats[1] * (size + fabs(x[i])) *
						    fabs((double)c.weight[p * width + i]) +
						2.0 * U * fabs(want[i]));
		}
	check_gaps(r, &c, got);
}

/* The error is relative to the change, by its norm over the part, as in norm_delta. */
static void delta_case(struct rig *r, enum pb_norm kind, size_t n, size_t parts, size_t width,
		       float scale)
{
	struct head_case c = {
	    .op = {.kind = kind, .eps = EPS, .n_rows = n, .n_parts = parts, .width = width}};
	float *x, *x0;
	const float *got;

	begin_case(r, "change by %g of %s of %zu rows x %zu parts of %zu", (double)scale,
		   kind_name(kind), n, parts, width);
	make_case(r, &c, true);
	x = normals(r, n * c.op.x_stride, scale);
	c.x = x;
	c.op.x = put(r, x, n * c.op.x_stride);
	c.op.x0_stride = c.wide + 5;
	x0 = normals(r, N_BASE * c.op.x0_stride, 1.5f);
	c.base_row = indices(r, n, N_BASE);
	c.op.x0 = put(r, x0, N_BASE * c.op.x0_stride);
	c.op.base_row = put(r, c.base_row, n);
	RUN(r, head_norm, &c.op);
	got = fetch(r, c.op.x, n * c.op.x_stride);
	for (size_t row = 0; row < n; row++)
		for (size_t p = 0; p < parts; p++) {
			size_t at = row * c.op.x_stride + p * width;
			size_t base = (size_t)c.base_row[row] * c.op.x0_stride + p * width;
			double before[width], after[width], y0[width], y1[width], s0[2], s1[2];
			double off = 0.0, size = 0.0, own = 0.0, shift = 0.0, shrinks;

			for (size_t i = 0; i < width; i++) {
				before[i] = (double)x0[base + i];
				after[i] = before[i] + (double)x[at + i];
				shift +=
				    kind == PB_NORM_LAYER ? (double)x[at + i] / (double)width : 0.0;
			}
			norm_part(&c, before, p, y0, s0);
			norm_part(&c, after, p, y1, s1);
			for (size_t i = 0; i < width; i++) {
				double w = (double)c.weight[p * width + i];
				double e = ((double)x[at + i] - shift) * s1[1] * w;
				double wrong = (double)got[at + i] - (y1[i] - y0[i]);

				off += wrong * wrong;
				size += e * e;
				own += y0[i] * y0[i] + y1[i] * y1[i];
			}
			shrinks = fmax(1.0, s1[1] / s0[1] * (s1[1] / s0[1]));
			check_value(r, "|x - exact|", row, sqrt(off), 0.0,
				    shrinks * 2.0 * share_of(width) * sqrt(size) +
					8.0 * 0x1p-53 * sqrt(own));
		}
	check_gaps(r, &c, got);
}

static const size_t shapes[][3] = {{0, 2, 8},  {1, 1, 4},   {5, 3, 8},
				   {9, 2, 33}, {4, 12, 64}, {3, 1, 768}};

OPS_TEST(ops_head_norm, activations)
{
	for (enum pb_norm kind = PB_NORM_LAYER; kind <= PB_NORM_RMS; kind++)
		for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
			plain_case(r, kind, shapes[s][0], shapes[s][1], shapes[s][2], s % 2 == 0);
}

OPS_TEST(ops_head_norm, changes)
{
	static const float scales[] = {1e-6f, 1e-2f, 1.0f, 100.0f};

	for (enum pb_norm kind = PB_NORM_LAYER; kind <= PB_NORM_RMS; kind++)
		for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
			for (size_t d = 0; d < 4; d++)
				delta_case(r, kind, shapes[s][0], shapes[s][1], shapes[s][2],
					   scales[d]);
}

OPS_TEST(ops_head_norm, no_change)
{
	for (enum pb_norm kind = PB_NORM_LAYER; kind <= PB_NORM_RMS; kind++) {
		struct head_case c = {
		    .op = {.kind = kind, .eps = EPS, .n_rows = 7, .n_parts = 3, .width = 8}};
		const float *got;

		begin_case(r, "no change of %s", kind_name(kind));
		make_case(r, &c, false);
		c.op.x = put(r, HOST(r, 7 * c.op.x_stride, float), 7 * c.op.x_stride);
		c.op.x0_stride = 24;
		c.op.x0 = put(r, normals(r, (size_t)N_BASE * 24, 1.0f), (size_t)N_BASE * 24);
		c.op.base_row = put(r, indices(r, 7, N_BASE), 7);
		RUN(r, head_norm, &c.op);
		got = fetch(r, c.op.x, 7 * c.op.x_stride);
		for (size_t i = 0; i < 7 * c.op.x_stride; i++)
			CHECK(got[i] == 0.0f, "%s: %g at %zu", r->label, (double)got[i], i);
	}
}
