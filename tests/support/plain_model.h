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

/* Pairs (i, i + dims / 2), or (2i, 2i + 1), of each head turn by position * frequency[i]. */
static inline void plain_rotate(const struct pb_model *m, size_t l, double *x, size_t n_heads,
				size_t position)
{
	const struct pb_arch *a = &m->arch;
	const struct pb_rope *rope = &m->ropes[m->layers[l].rope];
	size_t half = m->layers[l].no_rotary ? 0 : a->rotary_dims / 2;

	for (size_t h = 0; h < n_heads; h++)
		for (size_t i = 0; i < half; i++) {
			double *u = x + h * a->d_head + (a->rotary_interleaved ? 2 * i : i);
			double *v = u + (a->rotary_interleaved ? 1 : half), u0 = *u;
			double angle = (double)position * (double)rope->frequency[i];

			*u = u0 * cos(angle) - *v * sin(angle);
			*v = *v * cos(angle) + u0 * sin(angle);
		}
}

/* The norm of `n` numbers in place, of the family's kind. */
static inline void plain_norm_of(const struct pb_arch *a, size_t n, const struct pb_vector *weight,
				 const struct pb_vector *bias, size_t first, double *x)
{
	double mean = 0.0, squares = 0.0;

	for (size_t i = 0; a->norm == PB_NORM_LAYER && i < n; i++)
		mean += x[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean) / (double)n;
	for (size_t i = 0; i < n; i++) {
		x[i] = (x[i] - mean) / sqrt(squares + (double)a->norm_eps);
		x[i] *= weight->data ? (double)pb_vector_at(weight, first + i) : 1.0;
		x[i] += bias && bias->data ? (double)pb_vector_at(bias, first + i) : 0.0;
	}
}

static inline void plain_norm(const struct pb_arch *a, const double *x,
			      const struct pb_vector *weight, const struct pb_vector *bias,
			      double *y)
{
	memcpy(y, x, a->d_model * sizeof *y);
	plain_norm_of(a, a->d_model, weight, bias, 0, y);
}

static inline void plain_qk_norm(const struct pb_arch *a, const struct pb_vector *weight,
				 const struct pb_vector *bias, size_t n_heads, double *x)
{
	size_t width = a->qk_norm == PB_QK_NORM_WHOLE ? n_heads * a->d_head : a->d_head;

	for (size_t i = 0; a->qk_norm != PB_QK_NORM_NONE && i < n_heads * a->d_head; i += width)
		plain_norm_of(a, width, weight, bias, i, x + i);
}

static inline void plain_pre_norm(const struct pb_arch *a, const double *x,
				  const struct pb_vector *weight, const struct pb_vector *bias,
				  double *out)
{
	if (a->no_pre_norm)
		memcpy(out, x, a->d_model * sizeof *out);
	else
		plain_norm(a, x, weight, bias, out);
}

static inline void plain_post_norm(const struct pb_arch *a, const struct pb_vector *weight,
				   double *x)
{
	if (a->post_norm)
		plain_norm_of(a, a->d_model, weight, NULL, 0, x);
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
		plain_pre_norm(a, x + t * D, &w->norm1_weight, &w->norm1_bias, n);
		plain_linear(n, &w->q, &w->q_bias, q + t * H * K);
		plain_linear(n, &w->k, &w->k_bias, k + t * KV * K);
		plain_linear(n, &w->v, &w->v_bias, v + t * KV * K);
		plain_qk_norm(a, &w->q_norm_weight, &w->q_norm_bias, H, q + t * H * K);
		plain_qk_norm(a, &w->k_norm_weight, &w->k_norm_bias, KV, k + t * KV * K);
		plain_rotate(m, l, q + t * H * K, H, t);
		plain_rotate(m, l, k + t * KV * K, KV, t);
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
				s *= (double)w->score_scale;
				if (a->score_softcap)
					s = (double)a->score_softcap *
					    tanh(s / (double)a->score_softcap);
				p[j] = exp(s);
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
	double *g = calloc(m->arch.d_mlp, sizeof *g);

	plain_pre_norm(&m->arch, x, &w->norm2_weight, &w->norm2_bias, n);
	plain_linear(n, &w->mlp_in, &w->mlp_in_bias, h);
	if (m->arch.gated)
		plain_linear(n, &w->mlp_gate, &w->mlp_gate_bias, g);
	for (size_t f = 0; f < m->arch.d_mlp; f++)
		h[f] = m->arch.gated ? plain_activation(m->arch.activation, g[f]) * h[f]
				     : plain_activation(m->arch.activation, h[f]);
	plain_linear(h, &w->mlp_out, &w->mlp_out_bias, out);
	plain_post_norm(&m->arch, &w->mlp_post_norm_weight, out);
	free(n);
	free(h);
	free(g);
}

/* x: [T, D] */
static inline void plain_embed(const struct pb_model *m, const int32_t *tokens, size_t T, double *x)
{
	const struct pb_arch *a = &m->arch;
	size_t D = a->d_model;

	for (size_t t = 0; t < T; t++)
		for (size_t d = 0; d < D; d++) {
			x[t * D + d] = (double)pb_weight_at(&m->embed, (size_t)tokens[t], d) *
				       (a->embed_scale ? (double)a->embed_scale : 1.0);
			if (a->learned_positions)
				x[t * D + d] += (double)pb_weight_at(&m->pos_embed, t, d);
		}
}

static inline void plain_forward(const struct pb_model *m, const int32_t *tokens, size_t T,
				 struct plain_run *r)
{
	const struct pb_arch *a = &m->arch;
	size_t D = a->d_model, H = a->n_heads, L = a->n_layers, Z = H * a->d_head;
	double *attn = calloc(D, sizeof *attn), *mid = calloc(D, sizeof *mid);
	double *stream = calloc((L + 1) * T * D, sizeof *stream);

	r->T = T;
	r->pattern = calloc(L * H * T * T, sizeof(double));
	r->z = calloc(L * T * Z, sizeof(double));
	r->mlp_out = calloc(L * T * D, sizeof(double));
	plain_embed(m, tokens, T, stream);
	for (size_t l = 0; l < L; l++) {
		plain_attention(m, r, l, stream + l * T * D);
		for (size_t t = 0; t < T; t++) {
			const double *x = stream + (l * T + t) * D;
			double *mlp = r->mlp_out + (l * T + t) * D;
			double *next = stream + ((l + 1) * T + t) * D;

			plain_linear(r->z + (l * T + t) * Z, &m->layers[l].o, &m->layers[l].o_bias,
				     attn);
			plain_post_norm(a, &m->layers[l].attn_post_norm_weight, attn);
			for (size_t d = 0; d < D; d++)
				mid[d] = x[d] + (a->parallel ? 0.0 : attn[d]);
			plain_mlp(m, l, mid, mlp);
			for (size_t d = 0; d < D; d++)
				next[d] = x[d] + attn[d] + mlp[d];
		}
	}
	r->x = stream;
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
	for (size_t v = 0; m->arch.logit_softcap && v < m->arch.n_vocab; v++)
		logits[v] =
		    (double)m->arch.logit_softcap * tanh(logits[v] / (double)m->arch.logit_softcap);
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
