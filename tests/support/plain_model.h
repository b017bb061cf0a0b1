/* A transformer in float64, written as plainly as possible: one prompt, every activation kept. For
 * tests of what is told by base runs. */
#ifndef PB_TEST_PLAIN_MODEL_H
#define PB_TEST_PLAIN_MODEL_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/model.h"

/* Activations of a prompt of T tokens. */
struct plain_run {
	size_t T;
	double *x;       /* [L + 1, T, D] residual stream before each layer, and at the end */
	double *pattern; /* [L, H, T, T] */
	double *z;       /* [L, T, H K] */
	double *mlp_out; /* [L, T, D] bias included */
};

/* y = x W + b */
static inline void plain_linear(const double *x, const struct pb_weight *w,
				const struct pb_vector *b, double *y)
{
	for (size_t o = 0; o < pb_weight_n_out(w); o++) {
		y[o] = b && b->data ? (double)pb_vector_at(b, o) : 0.0;
		for (size_t i = 0; i < w->n_in; i++)
			y[o] += x[i] * (double)pb_weight_at(w, i, o);
	}
}

static inline void plain_norm(const struct pb_arch *a, const double *x,
			      const struct pb_vector *weight, const struct pb_vector *bias,
			      double *y)
{
	size_t D = a->d_model;
	double mean = 0.0, var = 0.0;

	for (size_t d = 0; d < D && a->norm == PB_NORM_LAYER; d++)
		mean += x[d] / (double)D;
	for (size_t d = 0; d < D; d++)
		var += (x[d] - mean) * (x[d] - mean) / (double)D;
	for (size_t d = 0; d < D; d++) {
		y[d] = (x[d] - mean) / sqrt(var + (double)a->norm_eps);
		y[d] *= weight->data ? (double)pb_vector_at(weight, d) : 1.0;
		y[d] += bias->data ? (double)pb_vector_at(bias, d) : 0.0;
	}
}

static inline double plain_activation(enum pb_activation kind, double x)
{
	switch (kind) {
	case PB_ACT_GELU_TANH:
		return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
	case PB_ACT_GELU_ERF:
		return 0.5 * x * (1.0 + erf(x / 1.4142135623730951));
	case PB_ACT_RELU:
		return x > 0.0 ? x : 0.0;
	default:
		return x / (1.0 + exp(-x));
	}
}

/* Pairs (i, i + dims / 2) of each head turn by position * base^(-2 i / dims). */
static inline void plain_rotate(const struct pb_arch *a, double *x, size_t n_heads, size_t position)
{
	size_t half = a->rotary_dims / 2;

	for (size_t h = 0; h < n_heads; h++)
		for (size_t i = 0; i < half; i++) {
			double *u = x + h * a->d_head + i, *v = u + half, u0 = *u;
			double angle =
			    (double)position *
			    pow(a->rotary_base, -2.0 * (double)i / (double)a->rotary_dims);

			*u = u0 * cos(angle) - *v * sin(angle);
			*v = *v * cos(angle) + u0 * sin(angle);
		}
}

/* x: [T, D] input of layer l; fills pattern and z. */
static inline void plain_attention(const struct pb_model *m, struct plain_run *r, size_t l,
				   const double *x)
{
	const struct pb_arch *a = &m->arch;
	const struct pb_layer *w = &m->layers[l];
	size_t T = r->T, D = a->d_model, K = a->d_head, H = a->n_heads, KV = a->n_kv_heads;
	double *n = calloc(D, sizeof *n), *q = calloc(T * H * K, sizeof *q);
	double *k = calloc(T * KV * K, sizeof *k), *v = calloc(T * KV * K, sizeof *v);

	for (size_t t = 0; t < T; t++) {
		plain_norm(a, x + t * D, &w->norm1_weight, &w->norm1_bias, n);
		plain_linear(n, &w->q, &w->q_bias, q + t * H * K);
		plain_linear(n, &w->k, &w->k_bias, k + t * KV * K);
		plain_linear(n, &w->v, &w->v_bias, v + t * KV * K);
		plain_rotate(a, q + t * H * K, H, t);
		plain_rotate(a, k + t * KV * K, KV, t);
	}
	for (size_t h = 0; h < H; h++)
		for (size_t i = 0; i < T; i++) {
			size_t kv = h * KV / H;
			double *p = r->pattern + ((l * H + h) * T + i) * T, sum = 0.0;
			double *z = r->z + (l * T + i) * H * K + h * K;

			for (size_t j = 0; j <= i; j++) {
				double s = 0.0;

				if (w->window && j + w->window <= i)
					continue;
				for (size_t d = 0; d < K; d++)
					s += q[(i * H + h) * K + d] * k[(j * KV + kv) * K + d];
				p[j] = exp((double)w->score_scale * s);
				sum += p[j];
			}
			for (size_t j = 0; j <= i; j++) {
				p[j] /= sum;
				for (size_t d = 0; d < K; d++)
					z[d] += p[j] * v[(j * KV + kv) * K + d];
			}
		}
	free(n);
	free(q);
	free(k);
	free(v);
}

/* out[D] = mlp(norm2(x)) */
static inline void plain_mlp(const struct pb_model *m, size_t l, const double *x, double *out)
{
	const struct pb_layer *w = &m->layers[l];
	double *n = calloc(m->arch.d_model, sizeof *n), *h = calloc(m->arch.d_mlp, sizeof *h);

	plain_norm(&m->arch, x, &w->norm2_weight, &w->norm2_bias, n);
	plain_linear(n, &w->mlp_in, &w->mlp_in_bias, h);
	for (size_t f = 0; f < m->arch.d_mlp; f++)
		h[f] = plain_activation(m->arch.activation, h[f]);
	plain_linear(h, &w->mlp_out, &w->mlp_out_bias, out);
	free(n);
	free(h);
}

static inline void plain_forward(const struct pb_model *m, const int32_t *tokens, size_t T,
				 struct plain_run *r)
{
	const struct pb_arch *a = &m->arch;
	size_t D = a->d_model, H = a->n_heads, L = a->n_layers, Z = H * a->d_head;
	double *attn = calloc(D, sizeof *attn), *mid = calloc(D, sizeof *mid);

	*r = (struct plain_run){.T = T,
				.x = calloc((L + 1) * T * D, sizeof(double)),
				.pattern = calloc(L * H * T * T, sizeof(double)),
				.z = calloc(L * T * Z, sizeof(double)),
				.mlp_out = calloc(L * T * D, sizeof(double))};
	for (size_t t = 0; t < T; t++)
		for (size_t d = 0; d < D; d++) {
			r->x[t * D + d] = (double)pb_weight_at(&m->embed, (size_t)tokens[t], d);
			if (a->learned_positions)
				r->x[t * D + d] += (double)pb_weight_at(&m->pos_embed, t, d);
		}
	for (size_t l = 0; l < L; l++) {
		const double *x = r->x + l * T * D;

		plain_attention(m, r, l, x);
		for (size_t t = 0; t < T; t++) {
			double *mlp = r->mlp_out + (l * T + t) * D;
			double *next = r->x + ((l + 1) * T + t) * D;

			plain_linear(r->z + (l * T + t) * Z, &m->layers[l].o, &m->layers[l].o_bias,
				     attn);
			for (size_t d = 0; d < D; d++)
				mid[d] = x[t * D + d] + (a->parallel ? 0.0 : attn[d]);
			plain_mlp(m, l, mid, mlp);
			for (size_t d = 0; d < D; d++)
				next[d] = x[t * D + d] + attn[d] + mlp[d];
		}
	}
	free(attn);
	free(mid);
}

static inline void plain_free(struct plain_run *r)
{
	free(r->x);
	free(r->pattern);
	free(r->z);
	free(r->mlp_out);
}

/* logits[V] = W_U LN_f(x) + b_U */
static inline void plain_unembed(const struct pb_model *m, const double *x, double *logits)
{
	double *n = calloc(m->arch.d_model, sizeof *n);

	plain_norm(&m->arch, x, &m->final_norm_weight, &m->final_norm_bias, n);
	plain_linear(n, &m->unembed, &m->unembed_bias, logits);
	free(n);
}

/* Tokens among the first n_valid whose logit is above that of t. */
static inline size_t plain_rank(const double *logits, size_t n_valid, size_t t)
{
	size_t above = 0;

	for (size_t j = 0; j < n_valid; j++)
		above += logits[j] > logits[t];
	return above;
}

static inline double plain_prob(const double *logits, size_t n_vocab, size_t t)
{
	double sum = 0.0;

	for (size_t j = 0; j < n_vocab; j++)
		sum += exp(logits[j] - logits[t]);
	return 1.0 / sum;
}

#endif
