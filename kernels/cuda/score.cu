/* Scores: single dot products with unembedding vectors, and sums over the whole vocabulary. All in
 * float64: what is wanted is a small change of large numbers. */
#include "cuda/cuda.h"

#include <cmath>

struct dots_args {
	size_t n, D;
	const float *x, *t;
	const int32_t *x_row, *t_row;
	double *out;
};

static __global__ void dot_rows(struct dots_args g)
{
	unsigned lane = threadIdx.x % PB_WARP;
	size_t i = (size_t)blockIdx.x * PB_ROW_WARPS + threadIdx.x / PB_WARP;
	double sum = 0.0;

	if (i >= g.n)
		return;
	for (size_t d = lane; d < g.D; d += PB_WARP)
		sum += (double)g.x[(size_t)g.x_row[i] * g.D + d] *
		       (double)g.t[(size_t)g.t_row[i] * g.D + d];
	sum = pb_warp_sum(sum);
	if (lane == 0)
		g.out[i] = sum;
}

enum pb_status pb_cuda_dots(struct pb_device *dev, const struct pb_dots *op, struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	struct dots_args g = {};
	void *x_row = nullptr, *t_row = nullptr, *out = nullptr;

	if (op->n == 0)
		return PB_OK;
	PB_DO(pb_cuda_stage(cuda, op->x_row, op->n * sizeof *op->x_row, &x_row, err));
	PB_DO(pb_cuda_stage(cuda, op->t_row, op->n * sizeof *op->t_row, &t_row, err));
	PB_DO(pb_cuda_result(cuda, op->n * sizeof(double), &out, err));
	g.n = op->n;
	g.D = op->d_model;
	g.x = pb_floats(op->x);
	g.t = pb_floats(op->t);
	g.x_row = (const int32_t *)x_row;
	g.t_row = (const int32_t *)t_row;
	g.out = (double *)out;
	PB_RUN(cuda, dot_rows, pb_cover(op->n, PB_ROW_WARPS), dim3(PB_ROW_THREADS), 0, g);
	return pb_cuda_deliver(cuda, out, op->out, op->n * sizeof(double), err);
}

/* ---- the whole vocabulary -------------------------------------------------------------------- */

#define THREADS 256u
#define WARPS (THREADS / PB_WARP)

struct vocabulary_args {
	size_t n_vocab, n_valid;
	double cap;
	const float *delta, *logits0;
	const int32_t *base, *donor, *answer, *foil;
	const double *lse0; /* NULL: made here */
	struct pb_vocabulary_score *out;
};

/* A row of logits: the base's plus its change, under the softcap. */
struct logit_row {
	const float *base, *delta;
	double cap;
};

static __device__ __forceinline__ double logit_at(const struct logit_row &r, size_t j)
{
	double x = (double)r.base[j] + (r.delta ? (double)r.delta[j] : 0.0);

	return r.cap > 0.0 ? r.cap * tanh(x / r.cap) : x;
}

/* Sum over a block, the same in every thread, in a fixed order. */
static __device__ double block_sum(double v, double *slots)
{
	v = pb_warp_sum(v);
	__syncthreads();
	if (threadIdx.x % PB_WARP == 0)
		slots[threadIdx.x / PB_WARP] = v;
	__syncthreads();
	v = slots[0];
	for (unsigned w = 1; w < WARPS; w++)
		v += slots[w];
	return v;
}

/* The largest value and its first place. */
static __device__ void block_top(double *value, int32_t *place, double *slots)
{
	int32_t *places = (int32_t *)(slots + WARPS);

	for (int lanes = 16; lanes > 0; lanes /= 2) {
		double other = __shfl_xor_sync(PB_ALL_LANES, *value, lanes);
		int32_t at = __shfl_xor_sync(PB_ALL_LANES, *place, lanes);

		if (other > *value || (other == *value && at < *place)) {
			*value = other;
			*place = at;
		}
	}
	__syncthreads();
	if (threadIdx.x % PB_WARP == 0) {
		slots[threadIdx.x / PB_WARP] = *value;
		places[threadIdx.x / PB_WARP] = *place;
	}
	__syncthreads();
	*value = slots[0];
	*place = places[0];
	for (unsigned w = 1; w < WARPS; w++)
		if (slots[w] > *value || (slots[w] == *value && places[w] < *place)) {
			*value = slots[w];
			*place = places[w];
		}
}

static __device__ double log_sum_exp(const struct logit_row &r, size_t n, double *slots)
{
	double top = -INFINITY, sum = 0.0;
	int32_t place = 0;

	for (size_t j = threadIdx.x; j < n; j += THREADS) {
		double x = logit_at(r, j);

		top = x > top ? x : top;
	}
	block_top(&top, &place, slots);
	for (size_t j = threadIdx.x; j < n; j += THREADS)
		sum += exp(logit_at(r, j) - top);
	return top + log(block_sum(sum, slots));
}

/* KL(P || Q), P = softmax(p): with m = sum P d for d = q - p, log1p(sum P (expm1(e) - e)) for
 * e = d - m, so that a small one keeps its digits. */
static __device__ double kl_divergence(const struct logit_row &p, double lse_p,
				       const struct logit_row &q, size_t n, double *slots)
{
	double mean = 0.0, sum = 0.0;

	for (size_t j = threadIdx.x; j < n; j += THREADS) {
		double at_p = logit_at(p, j);

		mean += exp(at_p - lse_p) * (logit_at(q, j) - at_p);
	}
	mean = block_sum(mean, slots);
	for (size_t j = threadIdx.x; j < n; j += THREADS) {
		double at_p = logit_at(p, j), e = logit_at(q, j) - at_p - mean;
		/* below 1e-4 expm1(e) - e loses digits; its series does not */
		double f = fabs(e) < 1e-4 ? e * e * (0.5 + e * (1.0 / 6.0)) : expm1(e) - e;

		sum += exp(at_p - lse_p) * f;
	}
	return log1p(block_sum(sum, slots));
}

static __global__ void score_rows(struct vocabulary_args g)
{
	PB_SHARED(double, slots);
	size_t i = blockIdx.x, n = g.n_vocab;
	const struct logit_row base = {g.logits0 + (size_t)g.base[i] * n, nullptr, g.cap};
	const struct logit_row row = {base.base, g.delta ? g.delta + i * n : nullptr, g.cap};
	struct pb_vocabulary_score s;
	double above_answer = 0.0, above_foil = 0.0, best = -INFINITY;
	int32_t argmax = INT32_MAX;

	s.lse = log_sum_exp(row, n, slots);
	s.logit_answer = logit_at(row, (size_t)g.answer[i]);
	s.logit_foil = logit_at(row, (size_t)g.foil[i]);
	for (size_t j = threadIdx.x; j < g.n_valid; j += THREADS) {
		double x = logit_at(row, j);

		above_answer += x > s.logit_answer ? 1.0 : 0.0;
		above_foil += x > s.logit_foil ? 1.0 : 0.0;
		if (x > best) {
			best = x;
			argmax = (int32_t)j;
		}
	}
	s.rank_answer = (int32_t)block_sum(above_answer, slots);
	s.rank_foil = (int32_t)block_sum(above_foil, slots);
	block_top(&best, &argmax, slots);
	s.argmax = argmax == INT32_MAX ? 0 : argmax;
	s.kl_recipient = s.kl_donor = NAN;
	if (g.donor) {
		const struct logit_row donor = {g.logits0 + (size_t)g.donor[i] * n, nullptr, g.cap};
		double lse = g.lse0 ? g.lse0[g.base[i]] : log_sum_exp(base, n, slots);
		double lse_donor = g.lse0 ? g.lse0[g.donor[i]] : log_sum_exp(donor, n, slots);

		s.kl_recipient = kl_divergence(base, lse, row, n, slots);
		s.kl_donor = kl_divergence(donor, lse_donor, row, n, slots);
	}
	if (threadIdx.x == 0)
		g.out[i] = s;
}

/* Rows of logits0 that a call names. */
static size_t rows_named(const struct pb_vocabulary *op)
{
	size_t most = 0;

	for (size_t i = 0; i < op->n; i++) {
		most = (size_t)op->base[i] > most ? (size_t)op->base[i] : most;
		if (op->donor && (size_t)op->donor[i] > most)
			most = (size_t)op->donor[i];
	}
	return most + 1;
}

enum pb_status pb_cuda_vocabulary(struct pb_device *dev, const struct pb_vocabulary *op,
				  struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	size_t bytes = op->n * sizeof(int32_t);
	struct vocabulary_args g = {};
	void *at = nullptr, *out = nullptr;

	if (op->n == 0)
		return PB_OK;
	g.n_vocab = op->n_vocab;
	g.n_valid = op->n_valid;
	g.cap = (double)op->softcap;
	g.delta = pb_floats(op->delta);
	g.logits0 = pb_floats(op->logits0);
	PB_DO(pb_cuda_stage(cuda, op->base, bytes, &at, err));
	g.base = (const int32_t *)at;
	PB_DO(pb_cuda_stage(cuda, op->answer, bytes, &at, err));
	g.answer = (const int32_t *)at;
	PB_DO(pb_cuda_stage(cuda, op->foil, bytes, &at, err));
	g.foil = (const int32_t *)at;
	if (op->donor) {
		PB_DO(pb_cuda_stage(cuda, op->donor, bytes, &at, err));
		g.donor = (const int32_t *)at;
	}
	if (op->donor && op->lse0) {
		PB_DO(pb_cuda_stage(cuda, op->lse0, rows_named(op) * sizeof(double), &at, err));
		g.lse0 = (const double *)at;
	}
	PB_DO(pb_cuda_result(cuda, op->n * sizeof *op->out, &out, err));
	g.out = (struct pb_vocabulary_score *)out;
	PB_RUN(cuda, score_rows, dim3((unsigned)op->n), dim3(THREADS),
	       WARPS * (sizeof(double) + sizeof(int32_t)), g);
	return pb_cuda_deliver(cuda, out, op->out, op->n * sizeof *op->out, err);
}
