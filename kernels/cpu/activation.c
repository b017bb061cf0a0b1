/* The MLP's activation, and its change under a delta. */
#include "cpu/isa.h"

/* Elements that a thread takes at a time. */
#define CHUNK 2048

static inline __attribute__((always_inline)) void run(enum pb_activation kind, const float *h,
						      float *a, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++)
		a[i] = pb_act(kind, h[i]);
}

static inline __attribute__((always_inline)) void
run_delta(enum pb_activation kind, float *dh, const float *h0, const float *a0, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++)
		dh[i] = pb_act(kind, h0[i] + dh[i]) - a0[i];
}

static inline __attribute__((always_inline)) void run_gated(enum pb_activation kind, const float *h,
							    float *a, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++)
		a[i] = pb_act(kind, h[i]) * h[n + i];
}

static inline __attribute__((always_inline)) void
run_gated_delta(enum pb_activation kind, float *dh, const float *h0, size_t n)
{
#pragma omp simd
	for (size_t i = 0; i < n; i++) {
		float before = pb_act(kind, h0[i]), after = pb_act(kind, h0[i] + dh[i]);
		float du = dh[n + i];

		dh[i] = (after - before) * (h0[n + i] + du) + before * du;
	}
}

/* One call a kind, each with the kind as a constant. */
#define BY_KIND(kind, call)                                                                        \
	switch (kind) {                                                                            \
	case PB_ACT_GELU_TANH:                                                                     \
		call(PB_ACT_GELU_TANH);                                                            \
		break;                                                                             \
	case PB_ACT_GELU_ERF:                                                                      \
		call(PB_ACT_GELU_ERF);                                                             \
		break;                                                                             \
	case PB_ACT_RELU:                                                                          \
		call(PB_ACT_RELU);                                                                 \
		break;                                                                             \
	case PB_ACT_SILU:                                                                          \
		call(PB_ACT_SILU);                                                                 \
		break;                                                                             \
	}

static void activate_gated(const struct pb_activation_op *op)
{
	size_t n = op->width;

#pragma omp parallel for schedule(dynamic, 8) if (PB_WORTH_THREADS(op->n_rows * n))
	for (size_t r = 0; r < op->n_rows; r++) {
		const float *h = pb_in(op->h) + r * 2 * n;
		float *a = pb_out(op->a) + r * n;

#define GATED(kind) run_gated(kind, h, a, n)
		BY_KIND(op->kind, GATED)
	}
}

enum pb_status PB_KERNEL(activation)(struct pb_device *dev, const struct pb_activation_op *op,
				     struct pb_error *err)
{
	size_t n = op->n_rows * op->width;

	(void)dev;
	(void)err;
	if (op->gated) {
		activate_gated(op);
		return PB_OK;
	}
#pragma omp parallel for schedule(dynamic, 4) if (PB_WORTH_THREADS(n))
	for (size_t i = 0; i < n; i += CHUNK) {
		size_t m = n - i < CHUNK ? n - i : CHUNK;
		const float *h = pb_in(op->h) + i;
		float *a = pb_out(op->a) + i;

#define PLAIN(kind) run(kind, h, a, m)
		BY_KIND(op->kind, PLAIN)
	}
	return PB_OK;
}

enum pb_status PB_KERNEL(activation_delta)(struct pb_device *dev,
					   const struct pb_activation_delta *op,
					   struct pb_error *err)
{
	const int32_t *base_row = op->base_row.address;
	size_t n = op->width, row = op->gated ? 2 * n : n;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 8) if (PB_WORTH_THREADS(op->n_rows * n))
	for (size_t r = 0; r < op->n_rows; r++) {
		size_t b = (size_t)base_row[r];
		float *dh = pb_out(op->dh) + r * row;
		const float *h0 = pb_in(op->h0) + b * row;

		if (op->gated) {
#define GATED_DELTA(kind) run_gated_delta(kind, dh, h0, n)
			BY_KIND(op->kind, GATED_DELTA)
		} else {
			const float *a0 = pb_in(op->a0) + b * n;

#define PLAIN_DELTA(kind) run_delta(kind, dh, h0, a0, n)
			BY_KIND(op->kind, PLAIN_DELTA)
		}
	}
	return PB_OK;
}
