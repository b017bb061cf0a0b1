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

enum pb_status PB_KERNEL(activation)(struct pb_device *dev, const struct pb_activation_op *op,
				     struct pb_error *err)
{
	size_t n = op->n_rows * op->width;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 4) if (PB_WORTH_THREADS(n))
	for (size_t i = 0; i < n; i += CHUNK) {
		size_t m = n - i < CHUNK ? n - i : CHUNK;
		const float *h = pb_in(op->h) + i;
		float *a = pb_out(op->a) + i;

		switch (op->kind) {
		case PB_ACT_GELU_TANH:
			run(PB_ACT_GELU_TANH, h, a, m);
			break;
		case PB_ACT_GELU_ERF:
			run(PB_ACT_GELU_ERF, h, a, m);
			break;
		case PB_ACT_RELU:
			run(PB_ACT_RELU, h, a, m);
			break;
		case PB_ACT_SILU:
			run(PB_ACT_SILU, h, a, m);
			break;
		}
	}
	return PB_OK;
}

enum pb_status PB_KERNEL(activation_delta)(struct pb_device *dev,
					   const struct pb_activation_delta *op,
					   struct pb_error *err)
{
	const int32_t *base_row = op->base_row.address;
	size_t n = op->width;

	(void)dev;
	(void)err;
#pragma omp parallel for schedule(dynamic, 8) if (PB_WORTH_THREADS(op->n_rows * n))
	for (size_t r = 0; r < op->n_rows; r++) {
		size_t b = (size_t)base_row[r];
		float *dh = pb_out(op->dh) + r * n;
		const float *h0 = pb_in(op->h0) + b * n, *a0 = pb_in(op->a0) + b * n;

		switch (op->kind) {
		case PB_ACT_GELU_TANH:
			run_delta(PB_ACT_GELU_TANH, dh, h0, a0, n);
			break;
		case PB_ACT_GELU_ERF:
			run_delta(PB_ACT_GELU_ERF, dh, h0, a0, n);
			break;
		case PB_ACT_RELU:
			run_delta(PB_ACT_RELU, dh, h0, a0, n);
			break;
		case PB_ACT_SILU:
			run_delta(PB_ACT_SILU, dh, h0, a0, n);
			break;
		}
	}
	return PB_OK;
}
