/* dots and vocabulary against long double. */
#include "device.h"

/* ---- dots ------------------------------------------------------------------------------------ */

/* Products of two float32 are exact in float64; a sum of n of them is off by at most n 2^-53 of the
 * sum of their magnitudes. */
static void dots_case(struct rig *r, size_t n, size_t d)
{
	enum { N_X = 9, N_T = 6 };
	struct pb_dots op = {.n = n, .d_model = d};
	float *x, *t;
	double *alone;

	begin_case(r, "%zu dots of %zu", n, d);
	x = normals(r, N_X * d, 100.0f);
	t = normals(r, N_T * d, 1.0f);
	op.x = put(r, x, N_X * d);
	op.t = put(r, t, N_T * d);
	op.x_row = indices(r, n, N_X);
	op.t_row = indices(r, n, N_T);
	op.out = HOST(r, n, double);
	RUN(r, dots, &op);
	note(r, op.out, n * sizeof *op.out);
	for (size_t i = 0; i < n; i++) {
		long double want = 0.0L, terms = 0.0L;

		for (size_t j = 0; j < d; j++) {
			long double p = (long double)x[(size_t)op.x_row[i] * d + j] *
					(long double)t[(size_t)op.t_row[i] * d + j];

			want += p;
			terms += fabsl(p);
		}
		check_value(r, "out", i, op.out[i], (double)want,
			    (double)(d + 1) * 0x1p-53 * (double)terms);
	}

	alone = HOST(r, n, double);
	for (size_t i = n; i-- > 0;) {
		struct pb_dots one = op;

		one.n = 1;
		one.x_row += i;
		one.t_row += i;
		one.out = alone + i;
		RUN(r, dots, &one);
	}
	check_bits(r, "a dot alone", alone, op.out, n * sizeof *alone);
}

OPS_TEST(ops_score, dots)
{
	static const size_t widths[] = {1, 5, 15, 16, 33, 768};

	for (size_t d = 0; d < 6; d++) {
		dots_case(r, 0, widths[d]);
		dots_case(r, 1, widths[d]);
		dots_case(r, 150, widths[d]);
	}
}

/* ---- vocabulary ------------------------------------------------------------------------------ */

struct vocabulary_case {
	struct pb_vocabulary op;
	size_t n_base;
	const float *logits0, *delta; /* delta NULL: none */
};

/* The fields of each score, without what lies between them. */
static void note_scores(struct rig *r, const struct pb_vocabulary *op)
{
	for (size_t i = 0; i < op->n; i++) {
		const struct pb_vocabulary_score *s = &op->out[i];

		note(r, &s->lse, sizeof s->lse);
		note(r, &s->logit_answer, sizeof s->logit_answer);
		note(r, &s->logit_foil, sizeof s->logit_foil);
		note(r, &s->rank_answer, sizeof s->rank_answer);
		note(r, &s->rank_foil, sizeof s->rank_foil);
		note(r, &s->argmax, sizeof s->argmax);
		note(r, &s->kl_recipient, sizeof s->kl_recipient);
		note(r, &s->kl_donor, sizeof s->kl_donor);
	}
}

static void run_vocabulary(struct rig *r, struct vocabulary_case *c)
{
	struct pb_vocabulary *op = &c->op;

	op->logits0 = put(r, c->logits0, c->n_base * op->n_vocab);
	if (c->delta)
		op->delta = put(r, c->delta, op->n * op->n_vocab);
	op->out = HOST(r, op->n, struct pb_vocabulary_score);
	RUN(r, vocabulary, op);
	note_scores(r, op);
}

/* The logits of row i: sums of two float32 in float64. */
static double *row_logits(struct rig *r, const struct vocabulary_case *c, size_t i)
{
	size_t n = c->op.n_vocab;
	double *x = widen(r, c->logits0 + (size_t)c->op.base[i] * n, n);

	for (size_t j = 0; j < n && c->delta; j++)
		x[j] += (double)c->delta[i * n + j];
	return x;
}

static int32_t rank_of(const struct vocabulary_case *c, const double *x, int32_t token)
{
	int32_t rank = 0;

	for (size_t j = 0; j < c->op.n_valid; j++)
		rank += x[j] > x[token];
	return rank;
}

/* The sum of exponentials is one of n float64 numbers near 1 or below, with an exponential good to
 * 2 units each. Ranks and the chosen logits are exact: no rounding hides a tie. */
static void check_score(struct rig *r, const struct vocabulary_case *c, size_t i)
{
	const struct pb_vocabulary_score *s = &c->op.out[i];
	const double *x = row_logits(r, c, i);
	double lse = (double)ref_lse(c->op.n_vocab, x);
	size_t best = 0;

	for (size_t j = 0; j < c->op.n_valid; j++)
		best = x[j] > x[best] ? j : best;
	check_value(r, "lse", i, s->lse, lse,
		    0x1p-53 * ((double)c->op.n_vocab + 4.0 + 2.0 * fabs(lse)));
	check_value(r, "logit_answer", i, s->logit_answer, x[c->op.answer[i]], 0.0);
	check_value(r, "logit_foil", i, s->logit_foil, x[c->op.foil[i]], 0.0);
	cr_assert_eq(s->rank_answer, rank_of(c, x, c->op.answer[i]), "%s: rank_answer[%zu]",
		     r->label, i);
	cr_assert_eq(s->rank_foil, rank_of(c, x, c->op.foil[i]), "%s: rank_foil[%zu]", r->label, i);
	cr_assert_eq(s->argmax, (int32_t)best, "%s: argmax[%zu]: the first of the largest",
		     r->label, i);
}

static void check_alone(struct rig *r, const struct vocabulary_case *c)
{
	struct pb_vocabulary one = c->op;
	struct pb_vocabulary_score s;

	for (size_t i = c->op.n; i-- > 0;) {
		const struct pb_vocabulary_score *all = &c->op.out[i];

		one.n = 1;
		one.base = c->op.base + i;
		one.donor = c->op.donor ? c->op.donor + i : NULL;
		one.answer = c->op.answer + i;
		one.foil = c->op.foil + i;
		one.delta = c->delta ? pb_dev_row(c->op.delta, i, one.n_vocab) : c->op.delta;
		one.out = &s;
		RUN(r, vocabulary, &one);
		check_bits(r, "lse alone", &s.lse, &all->lse, sizeof s.lse);
		check_bits(r, "kl_recipient alone", &s.kl_recipient, &all->kl_recipient,
			   sizeof s.kl_recipient);
		check_bits(r, "kl_donor alone", &s.kl_donor, &all->kl_donor, sizeof s.kl_donor);
		CHECK(s.argmax == all->argmax && s.rank_answer == all->rank_answer &&
			  s.rank_foil == all->rank_foil,
		      "%s: ranks of row %zu alone", r->label, i);
	}
}

/* Whole numbers as logits, so that ties abound; tokens past n_valid are the largest of all, count
 * in the softmax and in no rank. */
static void ranks_case(struct rig *r, size_t n, size_t n_vocab, size_t n_valid, bool with_delta)
{
	struct vocabulary_case c = {.op = {.n = n, .n_vocab = n_vocab, .n_valid = n_valid},
				    .n_base = 4};
	float *logits0, *delta;

	begin_case(r, "%zu scores over %zu of %zu, delta %d", n, n_valid, n_vocab, with_delta);
	c.logits0 = logits0 = HOST(r, c.n_base * n_vocab, float);
	delta = HOST(r, n * n_vocab, float);
	for (size_t i = 0; i < c.n_base * n_vocab; i++)
		logits0[i] =
		    (float)pb_rng_below(&r->rng, 9) + (i % n_vocab >= n_valid ? 9.0f : 0.0f);
	for (size_t i = 0; i < n * n_vocab; i++)
		delta[i] = (float)pb_rng_below(&r->rng, 3);
	c.delta = with_delta ? delta : NULL;
	c.op.base = indices(r, n, c.n_base);
	c.op.answer = indices(r, n, n_valid);
	c.op.foil = indices(r, n, n_valid);
	run_vocabulary(r, &c);
	for (size_t i = 0; i < n; i++)
		check_score(r, &c, i);
	check_alone(r, &c);
}

OPS_TEST(ops_score, ranks)
{
	for (unsigned d = 0; d < 2; d++) {
		ranks_case(r, 0, 33, 33, d);
		ranks_case(r, 1, 1, 1, d);
		ranks_case(r, 5, 2, 1, d);
		ranks_case(r, 37, 33, 30, d);
		ranks_case(r, 35, 1000, 987, d); /* work for two threads */
	}
}

/* Logits whose exponentials do not fit a number, and a NaN, which must not vanish from the sum. */
OPS_TEST(ops_score, extreme_logits)
{
	static const int32_t base[] = {0, 1, 2, 3}, zero[] = {0, 0, 0, 0};
	static const float logits0[] = {1e4f, 9999.0f, -1e4f,  -1e4f, -10001.0f, -2e4f,
					0.0f, 1e30f,   -1e30f, 1.0f,  NAN,       2.0f};
	struct vocabulary_case c = {
	    .op = {.n = 4, .n_vocab = 3, .n_valid = 3, .base = base, .answer = zero, .foil = zero},
	    .n_base = 4,
	    .logits0 = logits0};

	begin_case(r, "extreme logits");
	run_vocabulary(r, &c);
	for (size_t i = 0; i < 3; i++)
		check_score(r, &c, i);
	CHECK(isnan(c.op.out[3].lse), "%s: lse of a NaN is %g", r->label, c.op.out[3].lse);
}

/* ---- KL -------------------------------------------------------------------------------------- */

/* The operation sums terms of second order in the change d, so that a small KL keeps its digits:
 * q - p is a difference of float64 logits (2^-53 of a logit, relative to d), and 1e-8 is left for
 * where a series takes over. */
static double kl_share(double logits, double d)
{
	return 1e-8 + 8.0 * 0x1p-53 * logits / d;
}

/* With the lse of every cached row given, as a run without delta makes them: the same bits. */
static void check_given_lse(struct rig *r, const struct vocabulary_case *c)
{
	struct pb_vocabulary again = c->op, rows = c->op;
	struct pb_dev none = {0};
	double *lse0 = HOST(r, c->n_base, double);

	for (size_t i = 0; i < c->n_base; i++) {
		const int32_t row = (int32_t)i;
		struct pb_vocabulary_score s;

		rows.n = 1;
		rows.delta = none;
		rows.base = &row;
		rows.donor = NULL;
		rows.out = &s;
		RUN(r, vocabulary, &rows);
		lse0[i] = s.lse;
	}
	again.lse0 = lse0;
	again.out = HOST(r, again.n, struct pb_vocabulary_score);
	RUN(r, vocabulary, &again);
	for (size_t i = 0; i < again.n; i++) {
		check_bits(r, "kl_recipient with lse0", &again.out[i].kl_recipient,
			   &c->op.out[i].kl_recipient, sizeof(double));
		check_bits(r, "kl_donor with lse0", &again.out[i].kl_donor, &c->op.out[i].kl_donor,
			   sizeof(double));
	}
}

/* Recipient row 0 changed by deltas of this size; the donor's row is what the change should give,
 * so that KL from the donor is that of float32 rounding (or of another run, where far is set). */
static void kl_case(struct rig *r, size_t n_vocab, float scale, bool far)
{
	enum { N = 6 };
	struct vocabulary_case c = {.op = {.n = N, .n_vocab = n_vocab, .n_valid = n_vocab},
				    .n_base = 1 + N};
	int32_t *base, *donor;
	float *logits0, *delta;

	begin_case(r, "KL over %zu, change %g, far %d", n_vocab, (double)scale, far);
	c.logits0 = logits0 = normals(r, c.n_base * n_vocab, 3.0f);
	c.delta = delta = normals(r, N * n_vocab, scale);
	c.op.base = base = HOST(r, N, int32_t);
	c.op.donor = donor = HOST(r, N, int32_t);
	c.op.answer = indices(r, N, n_vocab);
	c.op.foil = indices(r, N, n_vocab);
	for (size_t i = 0; i < N; i++) {
		base[i] = 0;
		donor[i] = 1 + (int32_t)i;
		for (size_t j = 0; j < n_vocab && !far; j++)
			logits0[(1 + i) * n_vocab + j] =
			    logits0[j] + delta[i * n_vocab + j] + 1e-3f * normal(r);
	}
	run_vocabulary(r, &c);
	check_given_lse(r, &c);
	for (size_t i = 0; i < N; i++) {
		const struct pb_vocabulary_score *s = &c.op.out[i];
		double *p = widen(r, logits0, n_vocab), *q = row_logits(r, &c, i);
		double *d = widen(r, delta + i * n_vocab, n_vocab);
		double *from = widen(r, logits0 + (1 + i) * n_vocab, n_vocab);
		double want = scale < 5e-5f ? ref_kl_tiny(n_vocab, p, d) : ref_kl(n_vocab, p, q);

		check_value(r, "kl_recipient", i, s->kl_recipient, want,
			    want * (kl_share(10.0, (double)scale) +
				    (scale < 5e-5f ? 4.0 * (double)(scale * scale) : 0.0)));
		want = ref_kl(n_vocab, from, q);
		check_value(r, "kl_donor", i, s->kl_donor, want, want * kl_share(10.0, 1e-3));
		check_score(r, &c, i);
	}
	check_alone(r, &c);
}

OPS_TEST(ops_score, kl)
{
	static const float scales[] = {3.0f, 0.1f, 1e-3f, 1e-4f, 1e-5f, 1e-6f, 1e-7f};

	for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
		for (unsigned far = 0; far < 2; far++) {
			kl_case(r, 33, scales[s], far);
			kl_case(r, 1000, scales[s], far);
		}
}

/* Half of equal logits raised by d: KL = log cosh(d/2) exactly, and beside logits of zero no digit
 * of the tiniest d is lost. No change is no divergence. */
OPS_TEST(ops_score, kl_in_closed_form)
{
	enum { V = 64, N = 9 };
	static const float changes[N] = {0.0f,  1e-15f, 1e-9f, 1e-6f, 1e-4f,
					 3e-4f, 1e-2f,  1.0f,  20.0f};
	static const int32_t zero[N] = {0};
	float logits0[V], delta[N * V];
	struct vocabulary_case c = {.op = {.n = N,
					   .n_vocab = V,
					   .n_valid = V,
					   .base = zero,
					   .donor = zero,
					   .answer = zero,
					   .foil = zero},
				    .n_base = 1,
				    .logits0 = logits0,
				    .delta = delta};

	begin_case(r, "log cosh");
	for (size_t j = 0; j < V; j++) {
		logits0[j] = 0.0f;
		for (size_t i = 0; i < N; i++)
			delta[i * V + j] = j % 2 ? changes[i] : 0.0f;
	}
	run_vocabulary(r, &c);
	for (size_t i = 0; i < N; i++) {
		double root = sinh((double)changes[i] / 4.0), want = log1p(2.0 * root * root);
		/* equal distributions: the rounding of a sum of probabilities, squared */
		double tolerance = i ? want * kl_share(0.0, 1.0) : 1e-30;

		check_value(r, "kl_recipient", i, c.op.out[i].kl_recipient, want, tolerance);
		check_value(r, "kl_donor", i, c.op.out[i].kl_donor, want, tolerance);
	}
}

/* Where the donor lies does not matter: host arrays of a call may be of very different sizes. */
OPS_TEST(ops_score, a_donor_far_away)
{
	static const int32_t zero = 0, donors[2] = {1, 600000};
	const size_t last = (size_t)donors[1];
	float *logits0 = NULL;
	double *lse0 = NULL;
	struct pb_vocabulary_score near_by, far;
	struct pb_vocabulary op = {
	    .n = 1, .n_vocab = 2, .n_valid = 2, .base = &zero, .answer = &zero, .foil = &zero};

	begin_case(r, "a donor in row %zu", last);
	logits0 = HOST(r, 2 * (last + 1), float);
	lse0 = HOST(r, last + 1, double);
	logits0[1] = 1.0f;
	logits0[2] = logits0[2 * last] = 2.5f;
	lse0[0] = log(1.0 + exp(1.0));
	lse0[1] = lse0[last] = log(1.0 + exp(2.5));
	op.logits0 = put(r, logits0, 2 * (last + 1));
	op.lse0 = lse0;
	op.donor = &donors[0];
	op.out = &near_by;
	RUN(r, vocabulary, &op);
	op.donor = &donors[1];
	op.out = &far;
	RUN(r, vocabulary, &op);
	note(r, &far.kl_donor, sizeof far.kl_donor);
	CHECK(near_by.kl_donor > 0.1, "%s: the donor is another one", r->label);
	check_bits(r, "kl_donor", &far.kl_donor, &near_by.kl_donor, sizeof far.kl_donor);
	check_bits(r, "lse", &far.lse, &near_by.lse, sizeof far.lse);
}
