/* What every operation of backend.h means, in float64 and by the textbook: slow, plain, and sharing
 * no code with any backend. Values come in as the float32 numbers that the device was given. */
#ifndef PB_TEST_REFERENCE_H
#define PB_TEST_REFERENCE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/backend.h"

/* ---- weights --------------------------------------------------------------------------------- */

static inline double ref_f16(uint16_t bits)
{
	int exponent = bits >> 10 & 31, mantissa = bits & 1023;
	double sign = bits & 0x8000 ? -1.0 : 1.0;

	if (exponent == 31)
		return mantissa ? NAN : sign * INFINITY;
	return sign * (exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24));
}

static inline double ref_bf16(uint16_t bits)
{
	int exponent = bits >> 7 & 255, mantissa = bits & 127;
	double sign = bits & 0x8000 ? -1.0 : 1.0;

	if (exponent == 255)
		return mantissa ? NAN : sign * INFINITY;
	return sign * (exponent ? ldexp(128 + mantissa, exponent - 134) : ldexp(mantissa, -133));
}

/* Interleaved, the first half of n numbers lies at the even places, the second at the odd ones. */
static inline ptrdiff_t ref_place(bool interleaved, size_t n, size_t index)
{
	size_t half = n / 2;

	return (ptrdiff_t)(interleaved ? index % half * 2 + index / half : index);
}

/* W[i, o] of a view. */
static inline double ref_weight(const struct pb_weight *w, size_t i, size_t o)
{
	ptrdiff_t g = (ptrdiff_t)(o / w->group_size);
	ptrdiff_t j = ref_place(w->interleaved, w->group_size, o % w->group_size);
	ptrdiff_t at = (ptrdiff_t)w->first +
		       ref_place(w->interleaved_in, w->n_in, i) * w->stride_in +
		       g * w->stride_group + j * w->stride_out;
	uint16_t half;
	float single;

	if (w->dtype == PB_F32) {
		memcpy(&single, (const char *)w->data + 4 * at, sizeof single);
		return (double)single;
	}
	memcpy(&half, (const char *)w->data + 2 * at, sizeof half);
	return w->dtype == PB_F16 ? ref_f16(half) : ref_bf16(half);
}

/* ---- norms ----------------------------------------------------------------------------------- */

/* y = norm(x); stats = {mean (0 for RMS), 1/sqrt(var + eps)}. */
static inline void ref_norm(enum pb_norm kind, double eps, size_t n, const double *x,
			    const float *weight, const float *bias, double *y, double stats[2])
{
	double mean = 0.0, var = 0.0;

	for (size_t i = 0; i < n && kind == PB_NORM_LAYER; i++)
		mean += x[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		var += (x[i] - mean) * (x[i] - mean) / (double)n;
	stats[0] = mean;
	stats[1] = 1.0 / sqrt(var + eps);
	for (size_t i = 0; i < n; i++)
		y[i] =
		    (x[i] - mean) * stats[1] * (double)weight[i] + (bias ? (double)bias[i] : 0.0);
}

/* ---- activations ----------------------------------------------------------------------------- */

static inline double ref_act(enum pb_activation kind, double x)
{
	switch (kind) {
	case PB_ACT_GELU_TANH:
		return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
	case PB_ACT_GELU_ERF: /* 0.5 (1 + erf(t)), which keeps its digits on the left */
		return x * (0.5 * erfc(-x / sqrt(2.0)));
	case PB_ACT_RELU:
		return isnan(x) || x > 0.0 ? x : 0.0;
	case PB_ACT_SILU:
		return x / (1.0 + exp(-x));
	}
	return NAN;
}

/* ---- rotary ---------------------------------------------------------------------------------- */

/* One head's rotation: pairs (i, i + dims/2) turn by the angle whose cosine and sine are at i. */
static inline void ref_rotate(double *x, size_t dims, const float *cosine, const float *sine)
{
	size_t half = dims / 2;

	for (size_t i = 0; i < half; i++) {
		double a = x[i], b = x[i + half];

		x[i] = a * (double)cosine[i] - b * (double)sine[i];
		x[i + half] = a * (double)sine[i] + b * (double)cosine[i];
	}
}

/* ---- attention ------------------------------------------------------------------------------- */

static inline bool ref_sees(size_t i, size_t j, size_t window)
{
	return j <= i && (window == 0 || (int64_t)i - (int64_t)window < (int64_t)j);
}

static inline double ref_softcap(const struct pb_heads *hd, double s)
{
	double cap = (double)hd->score_softcap;

	return cap > 0.0 ? cap * tanh(s / cap) : s;
}

/* a = softmax(s) over the entries above -infinity. */
static inline void ref_softmax(size_t n, const double *s, double *a)
{
	double top = -INFINITY, sum = 0.0;

	for (size_t j = 0; j < n; j++)
		top = fmax(top, s[j]);
	for (size_t j = 0; j < n; j++)
		sum += exp(s[j] - top);
	for (size_t j = 0; j < n; j++)
		a[j] = exp(s[j] - top) / sum;
}

static inline size_t ref_qkv_width(const struct pb_heads *hd)
{
	return (hd->n_heads + 2 * hd->n_kv_heads) * hd->d_head;
}

/* Columns of head h's query, key and value in a row of qkv. */
static inline size_t ref_q_column(const struct pb_heads *hd, size_t h)
{
	return h * hd->d_head;
}
static inline size_t ref_k_column(const struct pb_heads *hd, size_t h)
{
	return (hd->n_heads + h * hd->n_kv_heads / hd->n_heads) * hd->d_head;
}
static inline size_t ref_v_column(const struct pb_heads *hd, size_t h)
{
	return (hd->n_heads + hd->n_kv_heads + h * hd->n_kv_heads / hd->n_heads) * hd->d_head;
}

/* Head h's pattern a[0..i] of position i of a prompt whose rows are qkv. Returns the largest sum of
 * |terms| among the visible scores, to which their rounding is proportional. */
static inline double ref_pattern(const struct pb_heads *hd, const double *qkv, size_t i, size_t h,
				 double *a)
{
	size_t width = ref_qkv_width(hd);
	const double *q = qkv + i * width + ref_q_column(hd, h);
	double s[i + 1], largest = 0.0;

	for (size_t j = 0; j <= i; j++) {
		const double *k = qkv + j * width + ref_k_column(hd, h);
		double sum = 0.0, terms = 0.0;

		for (size_t d = 0; d < hd->d_head; d++) {
			sum += q[d] * k[d];
			terms += fabs(q[d] * k[d]);
		}
		s[j] = ref_sees(i, j, hd->window) ? ref_softcap(hd, (double)hd->score_scale * sum)
						  : -INFINITY;
		if (ref_sees(i, j, hd->window))
			largest = fmax(largest, (double)hd->score_scale * terms);
	}
	ref_softmax(i + 1, s, a);
	return largest;
}

/* The same with its z[K]. */
static inline double ref_attend(const struct pb_heads *hd, const double *qkv, size_t i, size_t h,
				double *a, double *z)
{
	double largest = ref_pattern(hd, qkv, i, h, a);
	size_t width = ref_qkv_width(hd);

	for (size_t d = 0; d < hd->d_head; d++) {
		z[d] = 0.0;
		for (size_t j = 0; j <= i; j++)
			z[d] += a[j] * qkv[j * width + ref_v_column(hd, h) + d];
	}
	return largest;
}

/* Where the edits of patterns take their sources from. */
struct ref_sources {
	const double *qkv;
	const float *table;
	size_t table_stride;
};

/* What a span's edits make of head h's pattern a[0..i] of position i, whose entries are each off by
 * a share of size[j]. Returns the largest sum of |terms| of a source's scores. */
static inline double ref_edit_pattern(const struct pb_heads *hd, const struct pb_span *p,
				      const struct pb_pattern_edit *edits,
				      const struct ref_sources *from, size_t i, size_t h, double *a,
				      double *size)
{
	double largest = 0.0;

	for (int32_t k = p->edit; k < p->edit + p->n_edits; k++) {
		const struct pb_pattern_edit *e = &edits[k];
		double s[i + 1], own = (double)e->own, source = (double)e->source;
		int64_t row = (int64_t)i - e->query;

		if ((size_t)e->head != h || row < 0 || row >= e->n_queries)
			continue;
		for (size_t j = 0; j <= i; j++)
			s[j] = 0.0;
		if (source != 0.0 && e->source_base >= 0)
			largest = fmax(
			    largest,
			    ref_pattern(hd, from->qkv + (size_t)e->source_base * ref_qkv_width(hd),
					i, h, s));
		if (source != 0.0 && e->table_row >= 0)
			for (size_t j = 0; j <= i; j++)
				s[j] =
				    (double)from
					->table[(size_t)(e->table_row + row) * from->table_stride +
						j];
		for (size_t j = 0; j <= i; j++)
			if (ref_sees(i, j, hd->window) && (int64_t)j >= e->key &&
			    (int64_t)j < (int64_t)e->key + e->n_keys) {
				a[j] = (own == 0.0 ? 0.0 : own * a[j]) +
				       (source == 0.0 ? 0.0 : source * s[j]);
				size[j] = fabs(own) * size[j] + fabs(source * s[j]);
			}
	}
	return largest;
}

/* ---- scores over the vocabulary -------------------------------------------------------------- */

static inline long double ref_lse(size_t n, const double *x)
{
	long double top = -INFINITY, sum = 0.0L;

	for (size_t j = 0; j < n; j++)
		top = fmaxl(top, (long double)x[j]);
	for (size_t j = 0; j < n; j++)
		sum += expl((long double)x[j] - top);
	return top + logl(sum);
}

/* KL(softmax(p) || softmax(q)) = sum P (log P - log Q). Its terms are of first order in q - p and
 * the sum of second: with 64-bit mantissas good to 1e-8 down to changes of about 1e-4. */
static inline double ref_kl(size_t n, const double *p, const double *q)
{
	long double lse_p = ref_lse(n, p), lse_q = ref_lse(n, q), sum = 0.0L;

	for (size_t j = 0; j < n; j++) {
		long double log_p = (long double)p[j] - lse_p, log_q = (long double)q[j] - lse_q;

		sum += expl(log_p) * (log_p - log_q);
	}
	return (double)sum;
}

/* The same for q = p + d with tiny d: log E_P exp(d - E d) by its cumulants, k2/2 + k3/6. What is
 * left out is of fourth order: a share of d^2 of the result. */
static inline double ref_kl_tiny(size_t n, const double *p, const double *d)
{
	long double lse = ref_lse(n, p), mean = 0.0L, k2 = 0.0L, k3 = 0.0L;

	for (size_t j = 0; j < n; j++)
		mean += expl((long double)p[j] - lse) * (long double)d[j];
	for (size_t j = 0; j < n; j++) {
		long double e = (long double)d[j] - mean, weight = expl((long double)p[j] - lse);

		k2 += weight * e * e;
		k3 += weight * e * e * e;
	}
	return (double)(k2 / 2.0L + k3 / 6.0L);
}

#endif
