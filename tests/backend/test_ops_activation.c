/* activation and activation_delta against float64, all four kinds. */
#include "device.h"

static const enum pb_activation kinds[] = {PB_ACT_GELU_TANH, PB_ACT_GELU_ERF, PB_ACT_RELU,
					   PB_ACT_SILU};
static const char *const names[] = {"gelu tanh", "gelu erf", "relu", "silu"};
#define N_KINDS (sizeof kinds / sizeof *kinds)

/* Where the functions bend, saturate, and where an exponential over- or underflows. */
static const float edges[] = {0.0f,   -0.0f,   1e-30f, -1e-30f, 1e-4f, -1e-4f, 1.0f,   -1.0f,
			      1.414f, -1.414f, 5.0f,   -5.0f,   9.0f,  -9.0f,  14.4f,  -14.4f,
			      30.0f,  -30.0f,  87.0f,  -87.0f,  88.7f, -88.7f, 103.0f, -103.0f,
			      105.0f, -105.0f, 1e4f,   -1e4f,   1e10f, -1e10f, NAN,    2.5f};
#define N_EDGES (sizeof edges / sizeof *edges)

/* Every function here is x times a float32 share in 0..1, of which the exponential or the erf is
 * good to 2 U and each of the few steps to U: 5 U |x|. On the left the share falls to nothing:
 * there no error may exceed 1e-6, so that at -1e4 nothing is left either. */
static double tolerance_at(double x)
{
	double t = 5.0 * U * fabs(x);

	return (x < 0.0 ? fmin(t, 1e-6) : t) + 1e-37;
}

static float *inputs(struct rig *r, size_t n)
{
	float *h = normals(r, n, 3.0f);

	for (size_t i = 0; i < n; i++)
		if (pb_rng_below(&r->rng, 3) == 0)
			h[i] = edges[pb_rng_below(&r->rng, N_EDGES)];
	return h;
}

static void activation_case(struct rig *r, size_t k, size_t n, size_t width)
{
	struct pb_activation_op op = {.kind = kinds[k], .n_rows = n, .width = width};
	size_t size = n * width;
	float *h, *a, *alone;

	begin_case(r, "%s of %zu x %zu", names[k], n, width);
	h = inputs(r, size);
	op.h = put(r, h, size);
	op.a = put_sentinel(r, size);
	RUN(r, activation, &op);
	a = fetch(r, op.a, size);
	for (size_t i = 0; i < size; i++)
		check_value(r, "a", i, (double)a[i], ref_act(kinds[k], (double)h[i]),
			    tolerance_at((double)h[i]));

	op.a = put_sentinel(r, size);
	for (size_t i = n; i-- > 0;) {
		struct pb_activation_op one = op;

		one.n_rows = 1;
		one.h = pb_dev_row(op.h, i, width);
		one.a = pb_dev_row(op.a, i, width);
		RUN(r, activation, &one);
	}
	alone = fetch(r, op.a, size);
	check_bits(r, "a row alone", alone, a, size * sizeof *a);
}

OPS_TEST(ops_activation, activation)
{
	static const size_t shapes[][2] = {{0, 16}, {1, 1}, {1, 2048}, {7, 5}, {13, 33}, {3, 3072}};

	for (size_t k = 0; k < N_KINDS; k++)
		for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
			activation_case(r, k, shapes[s][0], shapes[s][1]);
}

/* One after the other, so that each edge is seen in each place of a vector. */
OPS_TEST(ops_activation, edges)
{
	float h[N_EDGES * 33];

	for (size_t i = 0; i < N_EDGES * 33; i++)
		h[i] = edges[i % 33 % N_EDGES];
	for (size_t k = 0; k < N_KINDS; k++) {
		struct pb_activation_op op = {.kind = kinds[k], .n_rows = N_EDGES, .width = 33};
		const float *a;

		begin_case(r, "edges of %s", names[k]);
		op.h = put(r, h, N_EDGES * 33);
		op.a = put_sentinel(r, N_EDGES * 33);
		RUN(r, activation, &op);
		a = fetch(r, op.a, N_EDGES * 33);
		for (size_t i = 0; i < N_EDGES * 33; i++)
			check_value(r, "a", i, (double)a[i], ref_act(kinds[k], (double)h[i]),
				    tolerance_at((double)h[i]));
	}
}

/* ---- the change ------------------------------------------------------------------------------ */

/* The sum h0 + dh is rounded (no slope exceeds 1.13), act is evaluated there, and the cached a0 is
 * subtracted as it was given. */
static double delta_tolerance(double h0, double dh, double a0)
{
	return 1.13 * U * fabs(h0 + dh) + tolerance_at(h0 + dh) + U * (fabs(h0 + dh) + fabs(a0));
}

static void delta_case(struct rig *r, size_t k, size_t n, size_t width, float scale)
{
	enum { N_BASE = 7 };
	struct pb_activation_delta op = {.kind = kinds[k], .n_rows = n, .width = width};
	size_t size = n * width, base_size = N_BASE * width;
	float *h0, *a0, *dh, *got, *alone;
	int32_t *base_row;

	begin_case(r, "change of %s by %g, %zu x %zu", names[k], (double)scale, n, width);
	h0 = inputs(r, base_size);
	a0 = HOST(r, base_size, float);
	for (size_t i = 0; i < base_size; i++)
		a0[i] = (float)ref_act(kinds[k], (double)h0[i]);
	dh = normals(r, size, scale);
	base_row = indices(r, n, N_BASE);
	op.h0 = put(r, h0, base_size);
	op.a0 = put(r, a0, base_size);
	op.base_row = put(r, base_row, n);
	op.dh = put(r, dh, size);
	RUN(r, activation_delta, &op);
	got = fetch(r, op.dh, size);
	for (size_t i = 0; i < size; i++) {
		size_t b = (size_t)base_row[i / width] * width + i % width;
		double h = (double)h0[b], d = (double)dh[i], a = (double)a0[b];

		check_value(r, "dh", i, (double)got[i], ref_act(kinds[k], h + d) - a,
			    delta_tolerance(h, d, a));
	}

	op.dh = put(r, dh, size);
	for (size_t i = n; i-- > 0;) {
		struct pb_activation_delta one = op;

		one.n_rows = 1;
		one.dh = pb_dev_row(op.dh, i, width);
		one.base_row = pb_dev_row(op.base_row, i, 1);
		RUN(r, activation_delta, &one);
	}
	alone = fetch(r, op.dh, size);
	check_bits(r, "a row alone", alone, got, size * sizeof *got);
}

OPS_TEST(ops_activation, delta)
{
	static const size_t shapes[][2] = {{0, 16}, {1, 1}, {9, 5}, {23, 33}, {11, 3072}};
	static const float scales[] = {1e-6f, 1.0f, 1e4f};

	for (size_t k = 0; k < N_KINDS; k++)
		for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
			for (size_t d = 0; d < 3; d++)
				delta_case(r, k, shapes[s][0], shapes[s][1], scales[d]);
}

/* Where nothing changed nothing comes out: a0 made by activation, from rows in one order, is what
 * activation_delta subtracts from, in another. */
OPS_TEST(ops_activation, no_change)
{
	static const size_t widths[] = {1, 5, 33, 768};

	for (size_t k = 0; k < N_KINDS; k++)
		for (size_t w = 0; w < 4; w++) {
			enum { N_BASE = 7, N = 20 };
			size_t width = widths[w], size = N * width;
			struct pb_activation_op base = {
			    .kind = kinds[k], .n_rows = N_BASE, .width = width};
			struct pb_activation_delta op = {
			    .kind = kinds[k], .n_rows = N, .width = width};
			const float *got;

			begin_case(r, "no change of %s, width %zu", names[k], width);
			base.h = put(r, normals(r, N_BASE * width, 3.0f), N_BASE * width);
			base.a = put_sentinel(r, N_BASE * width);
			RUN(r, activation, &base);
			op.h0 = base.h;
			op.a0 = base.a;
			op.base_row = put(r, indices(r, N, N_BASE), N);
			op.dh = put(r, HOST(r, size, float), size);
			RUN(r, activation_delta, &op);
			got = fetch(r, op.dh, size);
			for (size_t i = 0; i < size; i++)
				CHECK(got[i] == 0.0f, "%s: dh[%zu] is %g", r->label, i,
				      (double)got[i]);
		}
}

/* ---- gated: act(g) u ------------------------------------------------------------------------- */

static void gated_case(struct rig *r, size_t k, size_t n, size_t width)
{
	struct pb_activation_op op = {.kind = kinds[k], .gated = true, .n_rows = n, .width = width};
	size_t size = n * width;
	float *h, *a;

	begin_case(r, "gated %s of %zu x %zu", names[k], n, width);
	h = inputs(r, 2 * size);
	op.h = put(r, h, 2 * size);
	op.a = put_sentinel(r, size);
	RUN(r, activation, &op);
	a = fetch(r, op.a, size);
	for (size_t i = 0; i < size; i++) {
		size_t at = i / width * 2 * width + i % width;
		double g = (double)h[at], u = (double)h[at + width], act = ref_act(kinds[k], g);

		check_value(r, "a", i, (double)a[i], act * u,
			    tolerance_at(g) * fabs(u) + 2.0 * U * fabs(act * u) + 1e-37);
	}
}

OPS_TEST(ops_activation, gated)
{
	static const size_t shapes[][2] = {{0, 16}, {1, 1}, {7, 5}, {13, 33}, {3, 1536}};

	for (size_t k = 0; k < N_KINDS; k++)
		for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
			gated_case(r, k, shapes[s][0], shapes[s][1]);
}

/* The change (act(g1) - act(g0)) u1 + act(g0) du: each factor is off by its own rounding, and the
 * sum of two terms may cancel. */
static double gated_tolerance(enum pb_activation kind, double g0, double dg, double u0, double du)
{
	double g1 = g0 + dg, u1 = u0 + du, a0 = ref_act(kind, g0), a1 = ref_act(kind, g1);
	double change =
	    1.13 * U * fabs(g1) + tolerance_at(g1) + tolerance_at(g0) + U * (fabs(a1) + fabs(a0));

	return change * fabs(u1) * 1.001 + 3.0 * U * fabs((a1 - a0) * u1) +
	       tolerance_at(g0) * fabs(du) + 3.0 * U * fabs(a0 * du) + 1e-36;
}

static void gated_delta_case(struct rig *r, size_t k, size_t n, size_t width, float scale)
{
	const size_t n_base = 7;
	struct pb_activation_delta op = {
	    .kind = kinds[k], .gated = true, .n_rows = n, .width = width};
	size_t size = 2 * n * width;
	float *h0, *dh, *got, *alone;
	int32_t *base_row;

	begin_case(r, "change of gated %s by %g, %zu x %zu", names[k], (double)scale, n, width);
	h0 = normals(r, 2 * n_base * width, 3.0f);
	dh = normals(r, size, scale);
	base_row = indices(r, n, n_base);
	op.h0 = put(r, h0, 2 * n_base * width);
	op.base_row = put(r, base_row, n);
	op.dh = put(r, dh, size);
	RUN(r, activation_delta, &op);
	got = fetch(r, op.dh, size);
	for (size_t i = 0; i < n * width; i++) {
		size_t at = i / width * 2 * width + i % width;
		size_t b = (size_t)base_row[i / width] * 2 * width + i % width;
		double g0 = (double)h0[b], u0 = (double)h0[b + width];
		double dg = (double)dh[at], du = (double)dh[at + width];

		check_value(r, "dh", i, (double)got[at],
			    ref_act(kinds[k], g0 + dg) * (u0 + du) - ref_act(kinds[k], g0) * u0,
			    gated_tolerance(kinds[k], g0, dg, u0, du));
	}

	op.dh = put(r, dh, size);
	for (size_t i = n; i-- > 0;) {
		struct pb_activation_delta one = op;

		one.n_rows = 1;
		one.dh = pb_dev_row(op.dh, i, 2 * width);
		one.base_row = pb_dev_row(op.base_row, i, 1);
		RUN(r, activation_delta, &one);
	}
	alone = fetch(r, op.dh, size);
	for (size_t i = 0; i < n; i++) /* the second half of a row is anything */
		check_bits(r, "a row alone", alone + 2 * i * width, got + 2 * i * width,
			   width * sizeof *got);
}

OPS_TEST(ops_activation, gated_delta)
{
	static const size_t shapes[][2] = {{0, 16}, {1, 1}, {9, 5}, {23, 33}, {11, 1536}};
	static const float scales[] = {1e-6f, 1.0f, 100.0f};

	for (size_t k = 0; k < N_KINDS; k++)
		for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
			for (size_t d = 0; d < 3; d++)
				gated_delta_case(r, k, shapes[s][0], shapes[s][1], scales[d]);
}

OPS_TEST(ops_activation, gated_without_change)
{
	const size_t n_base = 7, n = 20, width = 33;

	for (size_t k = 0; k < N_KINDS; k++) {
		struct pb_activation_delta op = {
		    .kind = kinds[k], .gated = true, .n_rows = n, .width = width};
		const float *got;

		begin_case(r, "no change of gated %s", names[k]);
		op.h0 = put(r, normals(r, 2 * n_base * width, 3.0f), 2 * n_base * width);
		op.base_row = put(r, indices(r, n, n_base), n);
		op.dh = put(r, HOST(r, 2 * n * width, float), 2 * n * width);
		RUN(r, activation_delta, &op);
		got = fetch(r, op.dh, 2 * n * width);
		for (size_t i = 0; i < 2 * n * width; i++)
			if (i / width % 2 == 0)
				CHECK(got[i] == 0.0f, "%s: %g at %zu", r->label, (double)got[i], i);
	}
}
