/* Scores: single dot products with unembedding vectors, and sums over the whole vocabulary. */
#include "cpu/isa.h"

enum pb_status PB_KERNEL(dots)(struct pb_device *dev, const struct pb_dots *op,
			       struct pb_error *err)
{
	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 64) if (PB_WORTH_THREADS(op->n * op->d_model))
	for (size_t i = 0; i < op->n; i++) {
		const float *x = pb_in(op->x) + (size_t)op->x_row[i] * op->d_model;
		const float *t = pb_in(op->t) + (size_t)op->t_row[i] * op->d_model;
		double sum[4] = {0.0, 0.0, 0.0, 0.0};
		size_t j = 0;

		for (; j + 4 <= op->d_model; j += 4)
			for (int l = 0; l < 4; l++)
				sum[l] += (double)x[j + (size_t)l] * (double)t[j + (size_t)l];
		for (; j < op->d_model; j++)
			sum[0] += (double)x[j] * (double)t[j];
		op->out[i] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
	}
	return PB_OK;
}

/* A logit: the base's plus its change, softcapped where the family does that. */
static inline double logit_at(const float *base, const float *delta, size_t j, double cap)
{
	double x = (double)base[j] + (delta ? (double)delta[j] : 0.0);

	return cap > 0.0 ? cap * tanh(x / cap) : x;
}

/* KL(P || Q) for logits q = p + d, where P = softmax(p) is given: with m = sum P d,
 * KL = log sum P exp(d - m) = log1p(sum P (expm1(e) - e)) for e = d - m. Every term is of second
 * order in d, so a small KL keeps its digits. */
static double kl_divergence(const float *p, double lse_p, const float *q_base, const float *delta,
			    size_t n, double cap)
{
	double mean = 0.0, sum = 0.0;

	for (size_t j = 0; j < n; j++) {
		double at_p = logit_at(p, NULL, j, cap);

		mean += exp(at_p - lse_p) * (logit_at(q_base, delta, j, cap) - at_p);
	}
	for (size_t j = 0; j < n; j++) {
		double at_p = logit_at(p, NULL, j, cap);
		double e = logit_at(q_base, delta, j, cap) - at_p - mean;
		/* below 1e-4 expm1(e) - e loses digits; its series does not */
		double f = fabs(e) < 1e-4 ? e * e * (0.5 + e * (1.0 / 6.0)) : expm1(e) - e;

		sum += exp(at_p - lse_p) * f;
	}
	return log1p(sum);
}

static double log_sum_exp(const float *base, const float *delta, size_t n, double cap)
{
	double top = -INFINITY, sum = 0.0;

	for (size_t j = 0; j < n; j++) {
		double x = logit_at(base, delta, j, cap);

		top = x > top ? x : top;
	}
	for (size_t j = 0; j < n; j++)
		sum += exp(logit_at(base, delta, j, cap) - top);
	/* a vocabulary is never empty, so the largest term is exp(0) */
	// cppcheck-suppress invalidFunctionArg
	return top + log(sum);
}

/* log sum exp of a cached row, given or made here. */
static double lse_of(const struct pb_vocabulary *op, int32_t row)
{
	if (op->lse0)
		return op->lse0[row];
	return log_sum_exp(pb_in(op->logits0) + (size_t)row * op->n_vocab, NULL, op->n_vocab,
			   (double)op->softcap);
}

static void score_row(const struct pb_vocabulary *op, size_t i)
{
	struct pb_vocabulary_score *s = &op->out[i];
	size_t n = op->n_vocab;
	const float *base = pb_in(op->logits0) + (size_t)op->base[i] * n;
	const float *delta = op->delta.address ? pb_in(op->delta) + i * n : NULL;
	double best = -INFINITY, cap = (double)op->softcap;

	s->lse = log_sum_exp(base, delta, n, cap);
	s->logit_answer = logit_at(base, delta, (size_t)op->answer[i], cap);
	s->logit_foil = logit_at(base, delta, (size_t)op->foil[i], cap);
	s->rank_answer = s->rank_foil = s->argmax = 0;
	for (size_t j = 0; j < op->n_valid; j++) {
		double x = logit_at(base, delta, j, cap);

		s->rank_answer += x > s->logit_answer;
		s->rank_foil += x > s->logit_foil;
		if (x > best) {
			best = x;
			s->argmax = (int32_t)j;
		}
	}
	s->kl_recipient = s->kl_donor = NAN;
	if (op->donor) {
		const float *donor = pb_in(op->logits0) + (size_t)op->donor[i] * n;

		s->kl_recipient = kl_divergence(base, lse_of(op, op->base[i]), base, delta, n, cap);
		s->kl_donor = kl_divergence(donor, lse_of(op, op->donor[i]), base, delta, n, cap);
	}
}

enum pb_status PB_KERNEL(vocabulary)(struct pb_device *dev, const struct pb_vocabulary *op,
				     struct pb_error *err)
{
	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 1) if (PB_WORTH_THREADS(op->n * op->n_vocab))
	for (size_t i = 0; i < op->n; i++)
		score_row(op, i);
	return PB_OK;
}
