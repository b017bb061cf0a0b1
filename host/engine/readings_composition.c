/* Composition (Elhage et al. 2021): how much of what a head reads lies in what an earlier head can
 * write. For rows x, a sender A writes x W_OV, W_OV = W_V W_O; a receiver B reads by
 * W_QK = W_Q W_K^T through q, by W_QK^T through k and by its own W_OV through v. The score is
 * |W_OV W_B| / (|W_OV| |W_B|) in Frobenius norms, the weights of norms folded into W_Q, W_K and W_V
 * (sender and receiver), rotary ignored. k and v belong to a KV head: there |..| runs over the
 * matrices of all its query heads together, which without grouped queries is the usual score.
 *
 * No [D, D] matrix is made. With Cholesky's W_V^T W_V = C C^T, |W_V X| = |C^T X|; likewise on the
 * right |X W_K^T| = |X C'| with W_K^T W_K = C' C'^T. So each score is the norm of the K x K block
 * (C_A^T W_O) (W_Q C'), and the blocks of all heads of two layers are one product on the device. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/readings.h"

struct composition {
	struct pb_engine *e;
	/* One layer's weights by head, [heads, D, K] in float64, norm weight folded in; o is
	 * W_O[h]^T, so that all four have the same shape. */
	double *q, *k, *v, *o;
	double *gram_q, *gram_k, *gram_v, *gram_o; /* [KV, K, K]; then Cholesky factors */
	double *scratch;                           /* [H + 2 KV, D, K] */
	float *sender;                             /* [Z, D] */
	float *receiver;                           /* [D, qkv] */
	float *blocks;                             /* [Z, qkv] */
	double *sender_norm;                       /* [L, H] */
	double *receiver_norm;                     /* [H + 2 KV] */
	struct pb_dev senders;                     /* [L, Z, D] */
	struct pb_dev products;                    /* [Z, qkv] */
	struct pb_packed *packed;                  /* the receiving layer's factors */
	struct pb_reading_values *out;
};

size_t pb_composition_bytes(const struct pb_arch *a)
{
	size_t Z = pb_z_width(a), QKV = pb_qkv_width(a), D = a->d_model, K = a->d_head;

	/* a layer's weights, mapped and in float64, products, Gram matrices; what goes to the
	 * device, what comes from it; and there the senders, the packed receivers and their
	 * temporary copy */
	return (Z + 2 * QKV) * D * sizeof(double) + 4 * a->n_kv_heads * K * K * sizeof(double) +
	       (a->n_layers + 3) * a->n_heads * sizeof(double) +
	       (2 * Z * D + 2 * D * QKV + Z * QKV) * sizeof(float) +
	       (a->n_layers * Z * D + Z * QKV + 2 * D * QKV) * sizeof(float);
}

/* ---- one head ----------------------------------------------------------------------------------
 */

/* gram += m^T m for m [D, K], lower half. */
static void add_gram(const double *m, size_t D, size_t K, double *gram)
{
	for (size_t d = 0; d < D; d++)
		for (size_t i = 0; i < K; i++) {
			double x = m[d * K + i];
			double *row = gram + i * K;

#pragma omp simd
			for (size_t j = 0; j <= i; j++)
				row[j] += x * m[d * K + j];
		}
}

/* In place: the lower half of a positive semidefinite g becomes C with C C^T = g, the upper half 0.
 * A pivot that is rounding error alone belongs to a direction that the matrix lacks: its column is
 * 0, which changes a squared norm by less than 1e-12 of itself. */
static void factorise(double *g, size_t K)
{
	for (size_t j = 0; j < K; j++) {
		double pivot = g[j * K + j];

		for (size_t l = 0; l < j; l++)
			pivot -= g[j * K + l] * g[j * K + l];
		pivot = pivot > 1e-12 * g[j * K + j] || isnan(pivot) ? sqrt(pivot) : 0.0;
		for (size_t i = j + 1; i < K; i++) {
			double x = g[i * K + j];

			for (size_t l = 0; l < j; l++)
				x -= g[i * K + l] * g[j * K + l];
			g[i * K + j] = pivot == 0.0 ? 0.0 : x / pivot;
			g[j * K + i] = 0.0;
		}
		g[j * K + j] = pivot;
	}
}

/* out = m C for m [D, K] and a lower factor C; returns |out|. */
static double times_factor(const double *m, const double *c, size_t D, size_t K, double *out)
{
	double squares = 0.0;

	memset(out, 0, D * K * sizeof *out);
	for (size_t d = 0; d < D; d++) {
		double *row = out + d * K;

		for (size_t i = 0; i < K; i++) {
			double x = m[d * K + i];

#pragma omp simd
			for (size_t j = 0; j <= i; j++)
				row[j] += x * c[i * K + j];
		}
		for (size_t j = 0; j < K; j++)
			squares += row[j] * row[j];
	}
	return sqrt(squares);
}

/* ---- one layer ---------------------------------------------------------------------------------
 */

/* m[d, k] = w[d, head K + k] gamma[d] */
static void load_head(const struct pb_weight *w, const struct pb_vector *gamma, size_t head,
		      double *m)
{
	size_t K = w->group_size;

	for (size_t d = 0; d < w->n_in; d++) {
		double scale = gamma->data ? (double)pb_vector_at(gamma, d) : 1.0;

		for (size_t k = 0; k < K; k++)
			m[d * K + k] = scale * (double)pb_weight_at(w, d, head * K + k);
	}
}

static void load_output(const struct pb_weight *w, size_t head, size_t D, size_t K, double *m)
{
	for (size_t k = 0; k < K; k++)
		for (size_t d = 0; d < D; d++)
			m[d * K + k] = (double)pb_weight_at(w, head * K + k, d);
}

/* The weights of a layer and the factors of their Gram matrices; those of q and o summed over the
 * query heads of a KV head. */
static void load_layer(struct composition *s, size_t layer)
{
	const struct pb_layer *m = &s->e->model->layers[layer];
	const struct pb_arch *a = &s->e->arch;
	size_t D = a->d_model, K = a->d_head, KV = a->n_kv_heads, group = a->n_heads / KV;

#pragma omp parallel for schedule(dynamic, 1)
	for (size_t kv = 0; kv < KV; kv++) {
		size_t at = kv * D * K, square = kv * K * K;

		memset(s->gram_q + square, 0, K * K * sizeof(double));
		memset(s->gram_k + square, 0, K * K * sizeof(double));
		memset(s->gram_v + square, 0, K * K * sizeof(double));
		memset(s->gram_o + square, 0, K * K * sizeof(double));
		load_head(&m->k, &m->norm1_weight, kv, s->k + at);
		load_head(&m->v, &m->norm1_weight, kv, s->v + at);
		add_gram(s->k + at, D, K, s->gram_k + square);
		add_gram(s->v + at, D, K, s->gram_v + square);
		for (size_t h = kv * group; h < (kv + 1) * group; h++) {
			load_head(&m->q, &m->norm1_weight, h, s->q + h * D * K);
			load_output(&m->o, h, D, K, s->o + h * D * K);
			add_gram(s->q + h * D * K, D, K, s->gram_q + square);
			add_gram(s->o + h * D * K, D, K, s->gram_o + square);
		}
		factorise(s->gram_q + square, K);
		factorise(s->gram_k + square, K);
		factorise(s->gram_v + square, K);
		factorise(s->gram_o + square, K);
	}
	pb_weight_release(s->e->model, &m->q);
	pb_weight_release(s->e->model, &m->k);
	pb_weight_release(s->e->model, &m->v);
	pb_weight_release(s->e->model, &m->o);
}

/* C_A^T W_O of the loaded layer's heads, kept on the device. */
static enum pb_status make_senders(struct composition *s, size_t layer, struct pb_error *err)
{
	const struct pb_arch *a = &s->e->arch;
	size_t D = a->d_model, K = a->d_head, H = a->n_heads, Z = H * K;

#pragma omp parallel for schedule(dynamic, 1)
	for (size_t h = 0; h < H; h++) {
		size_t kv = h * a->n_kv_heads / H;
		double *product = s->scratch + h * D * K;

		s->sender_norm[layer * H + h] =
		    times_factor(s->o + h * D * K, s->gram_v + kv * K * K, D, K, product);
		for (size_t d = 0; d < D; d++)
			for (size_t k = 0; k < K; k++)
				s->sender[(h * K + k) * D + d] = (float)product[d * K + k];
	}
	return s->e->ops->upload(s->e->dev, pb_dev_row(s->senders, layer, Z * D), s->sender,
				 Z * D * sizeof(float), err);
}

/* W_Q C_K | W_K C_Q | W_V C_O of the loaded layer, packed: what its heads read by. */
static enum pb_status make_receivers(struct composition *s, struct pb_error *err)
{
	const struct pb_arch *a = &s->e->arch;
	size_t D = a->d_model, K = a->d_head, H = a->n_heads, KV = a->n_kv_heads;
	size_t QKV = pb_qkv_width(a);
	struct pb_weight view = pb_weight_of_rows(s->receiver, D, QKV);

#pragma omp parallel for schedule(dynamic, 1)
	for (size_t r = 0; r < H + 2 * KV; r++) {
		size_t head = r < H ? r : (r - H) % KV, kv = r < H ? r * KV / H : head;
		const double *m = r < H ? s->q : r < H + KV ? s->k : s->v;
		const double *c = r < H ? s->gram_k : r < H + KV ? s->gram_q : s->gram_o;
		double *product = s->scratch + r * D * K;

		s->receiver_norm[r] = times_factor(m + head * D * K, c + kv * K * K, D, K, product);
		for (size_t d = 0; d < D; d++)
			for (size_t k = 0; k < K; k++)
				s->receiver[d * QKV + r * K + k] = (float)product[d * K + k];
	}
	s->e->ops->unpack(s->e->dev, s->packed);
	s->packed = NULL;
	return s->e->ops->pack(s->e->dev, &view, 1, &s->packed, err);
}

/* ---- two layers --------------------------------------------------------------------------------
 */

/* |block| of sender head `a` and receiver column group `r`. */
static double block_norm(const struct composition *s, size_t a, size_t r)
{
	size_t K = s->e->arch.d_head, QKV = pb_qkv_width(&s->e->arch);
	double squares = 0.0;

	for (size_t i = 0; i < K; i++)
		for (size_t j = 0; j < K; j++) {
			double x = (double)s->blocks[(a * K + i) * QKV + r * K + j];

			squares += x * x;
		}
	return sqrt(squares);
}

static enum pb_status compare_layers(struct composition *s, size_t sender, size_t receiver,
				     struct pb_error *err)
{
	struct pb_engine *e = s->e;
	const struct pb_arch *a = &e->arch;
	size_t H = a->n_heads, KV = a->n_kv_heads, L = a->n_layers, D = a->d_model;
	size_t Z = pb_z_width(a), QKV = pb_qkv_width(a);
	enum pb_status status;

	PB_TRY(pb_engine_gemm(e, PB_STAGE_BASE, Z, s->packed, D, QKV,
			      pb_dev_row(s->senders, sender, Z * D), D, s->products, QKV,
			      (struct pb_dev){NULL}, false, err));
	PB_TRY(e->ops->download(e->dev, s->blocks, s->products, Z * QKV * sizeof(float), err));
#pragma omp parallel for schedule(dynamic, 1)
	for (size_t h = 0; h < H; h++) {
		size_t from = sender * H + h;
		double *to[3] = {s->out->values[PB_READ_COMPOSITION_Q] + (from * L + receiver) * H,
				 s->out->values[PB_READ_COMPOSITION_K] + (from * L + receiver) * KV,
				 s->out->values[PB_READ_COMPOSITION_V] +
				     (from * L + receiver) * KV};

		for (size_t r = 0; r < H + 2 * KV; r++) {
			double score =
			    block_norm(s, h, r) / (s->sender_norm[from] * s->receiver_norm[r]);

			to[r < H ? 0 : 1 + (r - H) / KV][r < H ? r : (r - H) % KV] = score;
		}
	}
cleanup:
	return status;
}

static enum pb_status make_room(struct composition *s, struct pb_error *err)
{
	const struct pb_arch *a = &s->e->arch;
	size_t L = a->n_layers, H = a->n_heads, KV = a->n_kv_heads, Z = pb_z_width(a);
	size_t QKV = pb_qkv_width(a), D = a->d_model, square = a->d_head * a->d_head;
	const struct {
		void **to;
		size_t n, size;
	} parts[] = {{(void **)&s->q, Z * D, sizeof(double)},
		     {(void **)&s->o, Z * D, sizeof(double)},
		     {(void **)&s->k, KV * a->d_head * D, sizeof(double)},
		     {(void **)&s->v, KV * a->d_head * D, sizeof(double)},
		     {(void **)&s->gram_q, KV * square, sizeof(double)},
		     {(void **)&s->gram_k, KV * square, sizeof(double)},
		     {(void **)&s->gram_v, KV * square, sizeof(double)},
		     {(void **)&s->gram_o, KV * square, sizeof(double)},
		     {(void **)&s->scratch, QKV * D, sizeof(double)},
		     {(void **)&s->sender, Z * D, sizeof(float)},
		     {(void **)&s->receiver, D * QKV, sizeof(float)},
		     {(void **)&s->blocks, Z * QKV, sizeof(float)},
		     {(void **)&s->sender_norm, L * H, sizeof(double)},
		     {(void **)&s->receiver_norm, H + 2 * KV, sizeof(double)}};
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		PB_TRY(pb_alloc(parts[i].to, parts[i].n, parts[i].size, "composition scores", err));
	PB_TRY(pb_reading_alloc(s->e, L * Z * D, &s->senders, err));
	PB_TRY(pb_reading_alloc(s->e, Z * QKV, &s->products, err));
cleanup:
	return status;
}

static void free_room(struct composition *s)
{
	void *parts[] = {s->q,           s->o,
			 s->k,           s->v,
			 s->gram_q,      s->gram_k,
			 s->gram_v,      s->gram_o,
			 s->scratch,     s->sender,
			 s->receiver,    s->blocks,
			 s->sender_norm, s->receiver_norm};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		free(parts[i]);
	pb_reading_release(s->e, s->senders);
	pb_reading_release(s->e, s->products);
	s->e->ops->unpack(s->e->dev, s->packed);
}

enum pb_status pb_readings_composition(struct pb_engine *e, struct pb_reading_values *out,
				       struct pb_error *err)
{
	struct composition s = {.e = e, .out = out};
	enum pb_status status;

	PB_TRY(make_room(&s, err));
	for (size_t l = 0; l < e->arch.n_layers; l++) {
		load_layer(&s, l);
		if (l > 0)
			PB_TRY(make_receivers(&s, err));
		for (size_t from = 0; from < l; from++)
			PB_TRY(compare_layers(&s, from, l, err));
		PB_TRY(make_senders(&s, l, err));
	}
cleanup:
	free_room(&s);
	return status;
}
