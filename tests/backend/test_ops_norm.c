/* norm and norm_delta against float64. */
#include "device.h"

static const size_t widths[] = {1, 5, 15, 16, 33, 768};
#define N_WIDTHS (sizeof widths / sizeof *widths)
#define EPS 1e-5f

static const char *kind_name(enum pb_norm kind)
{
	return kind == PB_NORM_LAYER ? "layer" : "rms";
}

enum rows { ORDINARY, CONSTANT, TINY, OUTLIERS, N_ROWS_KINDS };

/* A row as residual streams have them: a mean, one constant throughout (no variance but eps), one
 * below eps, one with dimensions a thousand times the others. */
static void fill_row(struct rig *r, enum rows kind, size_t d, float *x)
{
	for (size_t i = 0; i < d; i++)
		x[i] = kind == CONSTANT ? 0.1f : 0.7f + 2.0f * normal(r);
	for (size_t i = 0; i < d && kind == TINY; i++)
		x[i] *= 1e-4f;
	if (kind == OUTLIERS) {
		x[d / 2] = 3000.0f;
		x[d / 3] = -900.0f;
	}
}

static float *some_rows(struct rig *r, size_t n, size_t d)
{
	float *x = HOST(r, n * d, float);

	for (size_t i = 0; i < n; i++)
		fill_row(r, (enum rows)(i % N_ROWS_KINDS), d, x + i * d);
	return x;
}

/* Weights near one, some negative. */
static float *weights(struct rig *r, size_t d)
{
	float *w = normals(r, d, 0.5f);

	for (size_t i = 0; i < d; i++)
		w[i] += 0.8f;
	return w;
}

/* A float32 sum of n numbers of one sign is off by about U sqrt(n) of itself; so are mean and
 * variance, relative to mean |x| and to themselves. The mean's error goes into every element. */
static void check_row(struct rig *r, const struct pb_norm_op *op, const float *x, const float *w,
		      const float *b, const float *y, const float *stats)
{
	size_t d = op->d_model;
	double wide[d], want[d], want_stats[2], size = 0.0,
						share = 2.0 * U * (2.0 + sqrt((double)d));

	for (size_t i = 0; i < d; i++) {
		wide[i] = (double)x[i];
		size += fabs(wide[i]) / (double)d;
	}
	ref_norm(op->kind, (double)op->eps, d, wide, w, b, want, want_stats);
	check_value(r, "mean", 0, (double)stats[0], want_stats[0], share * size);
	check_value(r, "rstd", 0, (double)stats[1], want_stats[1], share * want_stats[1]);
	for (size_t i = 0; i < d; i++) {
		double centred = fabs(wide[i] - want_stats[0]) + U * fabs(wide[i]);
		double moved = op->kind == PB_NORM_LAYER ? share * size : 0.0;

		check_value(r, "y", i, (double)y[i], want[i],
			    fabs((double)w[i]) * want_stats[1] * (moved + share * centred) +
				2.0 * U * fabs(want[i]));
	}
}

static void norm_case(struct rig *r, enum pb_norm kind, size_t d, size_t n, bool with_bias)
{
	struct pb_norm_op op = {.kind = kind, .eps = EPS, .n_rows = n, .d_model = d};
	float *x, *w, *b, *y, *stats, *y_alone, *stats_alone;

	begin_case(r, "%s norm, width %zu, %zu rows, bias %d", kind_name(kind), d, n, with_bias);
	x = some_rows(r, n, d);
	w = weights(r, d);
	b = normals(r, d, 1.0f);
	op.x = put(r, x, n * d);
	op.weight = put(r, w, d);
	if (with_bias)
		op.bias = put(r, b, d);
	op.y = put_sentinel(r, n * d);
	op.stats = put_sentinel(r, 2 * n);
	RUN(r, norm, &op);
	y = fetch(r, op.y, n * d);
	stats = fetch(r, op.stats, 2 * n);
	for (size_t i = 0; i < n; i++)
		check_row(r, &op, x + i * d, w, with_bias ? b : NULL, y + i * d, stats + 2 * i);

	/* each row alone, into other memory */
	op.y = put_sentinel(r, n * d);
	op.stats = put_sentinel(r, 2 * n);
	for (size_t i = n; i-- > 0;) {
		struct pb_norm_op one = op;

		one.n_rows = 1;
		one.x = pb_dev_row(op.x, i, d);
		one.y = pb_dev_row(op.y, i, d);
		one.stats = pb_dev_row(op.stats, i, 2);
		RUN(r, norm, &one);
	}
	y_alone = fetch(r, op.y, n * d);
	stats_alone = fetch(r, op.stats, 2 * n);
	check_bits(r, "a row alone", y_alone, y, n * d * sizeof *y);
	check_bits(r, "statistics alone", stats_alone, stats, 2 * n * sizeof *stats);
}

OPS_TEST(ops_norm, norm)
{
	static const size_t counts[] = {1, 4, 50}; /* 50 rows of 768 are work for two threads */

	for (enum pb_norm kind = PB_NORM_LAYER; kind <= PB_NORM_RMS; kind++)
		for (size_t d = 0; d < N_WIDTHS; d++)
			for (size_t n = 0; n < 3; n++)
				norm_case(r, kind, widths[d], counts[n], n != 1);
}

OPS_TEST(ops_norm, norm_of_no_rows)
{
	struct pb_norm_op op = {.eps = EPS, .d_model = 16};

	begin_case(r, "norm of no rows");
	op.x = put_sentinel(r, 16);
	op.weight = put_sentinel(r, 16);
	op.y = put_sentinel(r, 16);
	op.stats = put_sentinel(r, 2);
	RUN(r, norm, &op);
	check_untouched(r, "y", op.y, 16);
	check_untouched(r, "stats", op.stats, 2);
}

/* ---- norm_delta ------------------------------------------------------------------------------ */

struct delta_case {
	struct pb_norm_delta op;
	size_t n_base;
	const float *x0, *delta, *w;
	const int32_t *base_row;
};

/* Statistics as norm makes them: the float32 numbers nearest to the true ones. */
static float *statistics(struct rig *r, const struct delta_case *c)
{
	size_t d = c->op.d_model;
	float *stats = HOST(r, 2 * c->n_base, float);
	double y[d], x[d], exact[2];

	for (size_t i = 0; i < c->n_base; i++) {
		for (size_t j = 0; j < d; j++)
			x[j] = (double)c->x0[i * d + j];
		ref_norm(c->op.kind, (double)c->op.eps, d, x, c->w, NULL, y, exact);
		stats[2 * i] = (float)exact[0];
		stats[2 * i + 1] = (float)exact[1];
	}
	return stats;
}

/* The point of the delta form: rounding is relative to the delta, however small it is beside the
 * activation. The change is (e rstd1 + c0 (rstd1 - rstd0)) w, with e and c0 the centred delta and
 * activation; both terms are of the size of |e| rstd1, and each carries the error U sqrt(d) of a
 * sum and that of the float32 statistics given. It is larger where the delta shrinks the row: the
 * new variance is the old one plus a change, with the rounding of the larger. Norms are over the
 * row. The reference subtracts two float64 rows, and its rounding is relative to them. */
static double check_delta_row(struct rig *r, const struct delta_case *c, size_t row, const float *y)
{
	size_t d = c->op.d_model;
	const float *x0 = c->x0 + (size_t)c->base_row[row] * d, *delta = c->delta + row * d;
	double x[d], before[d], after[d], s0[2], s1[2], shift = 0.0;
	double size = 0.0, off = 0.0, want = 0.0, own = 0.0, shrinks;

	for (size_t i = 0; i < d; i++)
		x[i] = (double)x0[i];
	ref_norm(c->op.kind, (double)c->op.eps, d, x, c->w, NULL, before, s0);
	for (size_t i = 0; i < d; i++) {
		x[i] += (double)delta[i];
		shift += c->op.kind == PB_NORM_LAYER ? (double)delta[i] / (double)d : 0.0;
	}
	ref_norm(c->op.kind, (double)c->op.eps, d, x, c->w, NULL, after, s1);
	for (size_t i = 0; i < d; i++) {
		double change = after[i] - before[i];
		double e = ((double)delta[i] - shift) * s1[1] * (double)c->w[i];

		off += ((double)y[i] - change) * ((double)y[i] - change);
		want += change * change;
		size += e * e;
		own += before[i] * before[i] + after[i] * after[i];
	}
	shrinks = fmax(1.0, s1[1] / s0[1] * (s1[1] / s0[1]));
	check_value(r, "|y - exact|", row, sqrt(off), 0.0,
		    shrinks * 2.0 * U * (2.0 + sqrt((double)d)) * sqrt(size) +
			4.0 * 0x1p-53 * sqrt(own));
	return sqrt(off / want);
}

static void put_delta_case(struct rig *r, struct delta_case *c)
{
	struct pb_norm_delta *op = &c->op;

	op->delta = put(r, c->delta, op->n_rows * op->d_model);
	op->x0 = put(r, c->x0, c->n_base * op->d_model);
	op->stats = put(r, statistics(r, c), 2 * c->n_base);
	op->weight = put(r, c->w, op->d_model);
	op->base_row = put(r, c->base_row, op->n_rows);
	op->y = put_sentinel(r, op->n_rows * op->d_model);
}

static void norm_delta_case(struct rig *r, enum pb_norm kind, size_t d, size_t n, float scale)
{
	struct delta_case c = {.op = {.kind = kind, .eps = EPS, .n_rows = n, .d_model = d},
			       .n_base = 11};
	float *delta, *y, *alone;

	begin_case(r, "change of %s norm, width %zu, %zu rows of %g", kind_name(kind), d, n,
		   (double)scale);
	c.x0 = some_rows(r, c.n_base, d);
	c.w = weights(r, d);
	c.base_row = indices(r, n, c.n_base);
	c.delta = delta = normals(r, n * d, scale);
	for (size_t i = 0; i < n; i++) /* as large beside a tiny activation as beside another */
		for (size_t j = 0; j < d && c.base_row[i] % N_ROWS_KINDS == TINY; j++)
			delta[i * d + j] *= 1e-4f;
	put_delta_case(r, &c);
	RUN(r, norm_delta, &c.op);
	y = fetch(r, c.op.y, n * d);
	for (size_t i = 0; i < n; i++) {
		double relative = check_delta_row(r, &c, i, y + i * d);

		/* Said plainly where nothing in the change itself cancels. */
		if (d >= 15 && c.base_row[i] % N_ROWS_KINDS != OUTLIERS)
			CHECK(relative <= 1e-5, "%s: row %zu is off by %g of the change", r->label,
			      i, relative);
	}

	c.op.y = put_sentinel(r, n * d);
	for (size_t i = n; i-- > 0;) {
		struct pb_norm_delta one = c.op;

		one.n_rows = 1;
		one.delta = pb_dev_row(c.op.delta, i, d);
		one.base_row = pb_dev_row(c.op.base_row, i, 1);
		one.y = pb_dev_row(c.op.y, i, d);
		RUN(r, norm_delta, &one);
	}
	alone = fetch(r, c.op.y, n * d);
	check_bits(r, "a row alone", alone, y, n * d * sizeof *y);
}

OPS_TEST(ops_norm, delta)
{
	static const float scales[] = {1e-6f, 1e-3f, 1.0f, 300.0f};

	for (enum pb_norm kind = PB_NORM_LAYER; kind <= PB_NORM_RMS; kind++)
		for (size_t d = 0; d < N_WIDTHS; d++)
			for (size_t s = 0; s < 4; s++)
				norm_delta_case(r, kind, widths[d], s == 1 ? 1 : 50, scales[s]);
}

/* Deltas that change next to nothing or everything: none at all (exactly zero comes out), a shift
 * of all dimensions (nothing for a layer norm), the activation's own direction, and its negative,
 * after which only eps is left below the root: rounding of the large squares must not take it
 * below. */
OPS_TEST(ops_norm, special_deltas)
{
	enum { D = 33, N_BASE = 12, N = 4 * N_BASE };

	for (enum pb_norm kind = PB_NORM_LAYER; kind <= PB_NORM_RMS; kind++) {
		struct delta_case c = {.op = {.kind = kind, .eps = EPS, .n_rows = N, .d_model = D},
				       .n_base = N_BASE};
		int32_t *base_row;
		float *delta;
		const float *y;

		begin_case(r, "special changes of %s norm", kind_name(kind));
		c.x0 = normals(r, (size_t)N_BASE * D, 50.0f);
		c.w = weights(r, D);
		c.base_row = base_row = HOST(r, N, int32_t);
		c.delta = delta = HOST(r, (size_t)N * D, float);
		for (size_t i = 0; i < (size_t)N * D; i++) {
			size_t row = i / D, base = row / 4;
			float x = c.x0[base * D + i % D];
			const float of_kind[] = {0.0f, 0.25f, 1e-3f * x, -x};

			base_row[row] = (int32_t)base;
			delta[i] = of_kind[row % 4];
		}
		put_delta_case(r, &c);
		RUN(r, norm_delta, &c.op);
		y = fetch(r, c.op.y, (size_t)N * D);
		for (size_t i = 0; i < N; i++)
			check_delta_row(r, &c, i, y + i * D);
		for (size_t i = 0; i < (size_t)N * D; i++)
			CHECK(i / D % 4 != 0 || y[i] == 0.0f, "%s: y[%zu] is %g without a delta",
			      r->label, i, (double)y[i]);
	}
}

OPS_TEST(ops_norm, delta_of_no_rows)
{
	struct pb_norm_delta op = {.eps = EPS, .d_model = 16};

	begin_case(r, "change of no rows");
	op.delta = op.x0 = op.stats = op.weight = op.base_row = put_sentinel(r, 16);
	op.y = put_sentinel(r, 16);
	RUN(r, norm_delta, &op);
	check_untouched(r, "y", op.y, 16);
}
