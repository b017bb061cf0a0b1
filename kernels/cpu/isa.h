/* What the arithmetic files of the cpu backend share. Each of them is compiled once for each
 * instruction set (PB_ISA is v2, v3, v4 or base); PB_KERNEL(norm) names this compilation's copy. */
#ifndef PB_CPU_ISA_H
#define PB_CPU_ISA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels.h"

#define PB_PASTE2(a, b) a##_##b
#define PB_PASTE(a, b) PB_PASTE2(a, b)
#define PB_KERNEL(name) PB_PASTE(pb_cpu_##name, PB_ISA)

/* Floats in a vector register, and registers' worth of columns that one block of a product holds.
 */
#if defined(__AVX512F__)
#define PB_LANES ((size_t)16)
#define PB_BLOCK_VECS ((size_t)4)
#elif defined(__AVX__)
#define PB_LANES ((size_t)8)
#define PB_BLOCK_VECS ((size_t)2)
#else
#define PB_LANES ((size_t)4)
#define PB_BLOCK_VECS ((size_t)2)
#endif

typedef float pb_vec __attribute__((vector_size(PB_LANES * 4), aligned(4), may_alias));

static inline pb_vec pb_load(const float *p)
{
	return *(const pb_vec *)p;
}
static inline void pb_store(float *p, pb_vec v)
{
	*(pb_vec *)p = v;
}

/* Sum of a vector's lanes in lane order, in float64. */
static inline double pb_lanes_sum(pb_vec v)
{
	double sum = 0.0;

	for (size_t i = 0; i < PB_LANES; i++)
		sum += (double)v[i];
	return sum;
}

/* exp(x) in float32, about 1 ulp, branch-free so that loops over it vectorise: x = n ln2 + r,
 * |r| <= ln2/2, a polynomial of degree 6 in r (Cephes' minimax coefficients), scaled by 2^n in two
 * steps so that results below 2^-126 do not wrap. Values outside [-104, 88.7] are clamped. */
static inline float pb_expf(float x)
{
	const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
	float n, r, p;
	int32_t whole, half;
	union {
		uint32_t u;
		float f;
	} a, b;

	x = x < -104.0f ? -104.0f : x;
	x = x > 88.7f ? 88.7f : x;
	n = (x * 1.44269504f + shift) - shift;
	r = x - n * 0.693359375f;
	r = r + n * 2.12194440e-4f;
	p = 1.9875691500e-4f;
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	p = p * r * r + r + 1.0f;
	whole = (int32_t)n;
	half = whole >> 1;
	a.u = (uint32_t)(half + 127) << 23;
	b.u = (uint32_t)(whole - half + 127) << 23;
	return p * a.f * b.f;
}

/* erf(t) in float32, absolute error below 1.6e-7: t P(t^2) for |t| < 1, else 1 - exp(-t^2) Q(u)
 * with u = 1 / (1 + |t|/2); both polynomials are Chebyshev fits made in float64. */
static inline float pb_erff(float t)
{
	float s = fabsf(t), s2 = s * s, u = 1.0f / (1.0f + 0.5f * s), p, q, big;

	p = -9.673590284364764e-06f;
	p = p * s2 + 0.00011268253729213029f;
	p = p * s2 - 0.0008484396385028958f;
	p = p * s2 + 0.005221053492277861f;
	p = p * s2 - 0.026865437626838684f;
	p = p * s2 + 0.11283782869577408f;
	p = p * s2 - 0.37612637877464294f;
	p = p * s2 + 1.128379225730896f;
	q = 0.13889636099338531f;
	q = q * u - 0.3960082232952118f;
	q = q * u + 0.3530721664428711f;
	q = q * u - 0.17863880097866058f;
	q = q * u + 0.3073110282421112f;
	q = q * u + 0.20436179637908936f;
	q = q * u + 0.2905285358428955f;
	q = q * u + 0.28117212653160095f;
	q = q * u + 4.2280742491129786e-05f;
	big = copysignf(1.0f - pb_expf(-s2) * q, t);
	return s < 1.0f ? t * p : big;
}

/* The activations; `kind` is a constant at each call so that the switch vanishes. */
static inline float pb_act(enum pb_activation kind, float x)
{
	switch (kind) {
	case PB_ACT_GELU_TANH: /* 0.5 x (1 + tanh(w)) = x / (1 + exp(-2w)) */
		return x / (1.0f + pb_expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
	case PB_ACT_GELU_ERF:
		return 0.5f * x * (1.0f + pb_erff(x * 0.70710678118654752f));
	case PB_ACT_RELU:
		return x > 0.0f || x != x ? x : 0.0f;
	case PB_ACT_SILU:
		return x / (1.0f + pb_expf(-x));
	}
	return NAN;
}

/* Round up to whole vectors. */
static inline size_t pb_round_lanes(size_t n)
{
	return (n + PB_LANES - 1) / PB_LANES * PB_LANES;
}

/* ---- a small product: C[m, n] (+)= A[m, k] B[k, n] ------------------------------------------
 * n is a multiple of PB_LANES. Each element is one chain of multiply-adds over k in order, so its
 * bits do not depend on m, on n or on where it lies. */

static inline __attribute__((always_inline)) void pb_mm_block(float *c, size_t ldc, const float *a,
							      size_t lda, const float *b,
							      size_t ldb, size_t k, bool accumulate,
							      const size_t rows, const size_t vecs)
{
	pb_vec acc[6][PB_BLOCK_VECS];

	for (size_t i = 0; i < rows; i++)
		for (size_t v = 0; v < vecs; v++)
			acc[i][v] = accumulate ? pb_load(c + i * ldc + v * PB_LANES) : (pb_vec){0};
	for (size_t l = 0; l < k; l++) {
		pb_vec col[PB_BLOCK_VECS];

		for (size_t v = 0; v < vecs; v++)
			col[v] = pb_load(b + l * ldb + v * PB_LANES);
		for (size_t i = 0; i < rows; i++) {
			float x = a[i * lda + l];

			for (size_t v = 0; v < vecs; v++)
				acc[i][v] += x * col[v];
		}
	}
	for (size_t i = 0; i < rows; i++)
		for (size_t v = 0; v < vecs; v++)
			pb_store(c + i * ldc + v * PB_LANES, acc[i][v]);
}

static inline __attribute__((always_inline)) void pb_mm_rows(float *c, size_t ldc, const float *a,
							     size_t lda, const float *b, size_t ldb,
							     size_t n, size_t k, bool accumulate,
							     const size_t rows)
{
	size_t j = 0;

	for (; j + PB_BLOCK_VECS * PB_LANES <= n; j += PB_BLOCK_VECS * PB_LANES)
		pb_mm_block(c + j, ldc, a, lda, b + j, ldb, k, accumulate, rows, PB_BLOCK_VECS);
	/* half a block: one vector a row would wait for its own sums */
	for (; PB_BLOCK_VECS > 2 && j + 2 * PB_LANES <= n; j += 2 * PB_LANES)
		pb_mm_block(c + j, ldc, a, lda, b + j, ldb, k, accumulate, rows, 2);
	for (; j < n; j += PB_LANES)
		pb_mm_block(c + j, ldc, a, lda, b + j, ldb, k, accumulate, rows, 1);
}

/* Rows that pb_mm works on together. */
#define PB_MM_ROWS ((size_t)6)

static inline void pb_mm(float *c, size_t ldc, const float *a, size_t lda, const float *b,
			 size_t ldb, size_t m, size_t n, size_t k, bool accumulate)
{
	size_t i = 0;

	for (; i + PB_MM_ROWS <= m; i += PB_MM_ROWS)
		pb_mm_rows(c + i * ldc, ldc, a + i * lda, lda, b, ldb, n, k, accumulate,
			   PB_MM_ROWS);
	for (; i + 2 <= m; i += 2)
		pb_mm_rows(c + i * ldc, ldc, a + i * lda, lda, b, ldb, n, k, accumulate, 2);
	for (; i < m; i++)
		pb_mm_rows(c + i * ldc, ldc, a + i * lda, lda, b, ldb, n, k, accumulate, 1);
}

/* x . y over n floats: four vector chains joined in fixed order, the rest one by one. */
static inline float pb_dot(const float *x, const float *y, size_t n)
{
	pb_vec acc[4] = {{0}, {0}, {0}, {0}};
	size_t i = 0;
	float rest = 0.0f;

	for (; i + 4 * PB_LANES <= n; i += 4 * PB_LANES)
		for (size_t v = 0; v < 4; v++)
			acc[v] += pb_load(x + i + v * PB_LANES) * pb_load(y + i + v * PB_LANES);
	for (; i + PB_LANES <= n; i += PB_LANES)
		acc[0] += pb_load(x + i) * pb_load(y + i);
	for (; i < n; i++)
		rest += x[i] * y[i];
	return (float)(pb_lanes_sum((acc[0] + acc[1]) + (acc[2] + acc[3])) + (double)rest);
}

/* The largest of n scores. */
static inline float pb_top(const float *s, size_t n)
{
	float tops[PB_LANES], top = -INFINITY;
	size_t j = 0;

	for (size_t l = 0; l < PB_LANES; l++)
		tops[l] = -INFINITY;
	for (; j + PB_LANES <= n; j += PB_LANES)
		for (size_t l = 0; l < PB_LANES; l++)
			tops[l] = s[j + l] > tops[l] ? s[j + l] : tops[l];
	for (size_t l = 0; l < PB_LANES; l++)
		top = tops[l] > top ? tops[l] : top;
	for (; j < n; j++)
		top = s[j] > top ? s[j] : top;
	return top;
}

/* Sum of n floats in float64: a chain a lane, joined in lane order, then the rest one by one. */
static inline double pb_sum(const float *s, size_t n)
{
	double sums[PB_LANES] = {0.0}, sum = 0.0;
	size_t j = 0;

	for (; j + PB_LANES <= n; j += PB_LANES)
		for (size_t l = 0; l < PB_LANES; l++)
			sums[l] += (double)s[j + l];
	for (size_t l = 0; l < PB_LANES; l++)
		sum += sums[l];
	for (; j < n; j++)
		sum += (double)s[j];
	return sum;
}

/* Softmax of `n` scores in place over the visible keys lo..hi; every other entry becomes 0.
 * Scores are already scaled. */
static inline void pb_softmax(float *s, size_t n, size_t lo, size_t hi)
{
	float top = pb_top(s + lo, hi + 1 - lo), inverse;

	for (size_t j = 0; j < lo; j++)
		s[j] = 0.0f;
	for (size_t j = lo; j <= hi; j++)
		s[j] = pb_expf(s[j] - top);
	for (size_t j = hi + 1; j < n; j++)
		s[j] = 0.0f;
	inverse = (float)(1.0 / pb_sum(s + lo, hi + 1 - lo));
	for (size_t j = lo; j <= hi; j++)
		s[j] *= inverse;
}

/* First key that query position i sees under a window (0: none). */
static inline size_t pb_first_visible(size_t i, size_t window)
{
	return window && i + 1 > window ? i + 1 - window : 0;
}

static inline const float *pb_in(struct pb_dev d)
{
	return d.address;
}
static inline float *pb_out(struct pb_dev d)
{
	return d.address;
}

#endif
