/* attention_last against float64: its two outputs by their formulas, and what the engine makes of
 * them, zdiff_h + mix_h W_V[h], against the difference of two full attentions. */
#include "attention.h"

#define LONGEST ((size_t)70)

struct last_case {
	struct pb_attention_last op;
	struct pb_span *variants;
	size_t n_base, n_delta;
	const float *qkv0, *dn, *q, *qk, *dk; /* as uploaded */
	const double *w_k, *w_v;              /* [D, KV K]: what made qk and dk, and makes V */
};

/* ---- inputs ---------------------------------------------------------------------------------- */

/* dk = dn W_K, rounded to float32 as the engine's product would. */
static float *changed_keys(struct rig *r, const struct last_case *c)
{
	size_t D = c->op.d_model, width = c->op.heads.n_kv_heads * c->op.heads.d_head;
	float *dk = HOST(r, c->n_delta * width, float);

	for (size_t i = 0; i < c->n_delta * width; i++) {
		double sum = 0.0;

		for (size_t d = 0; d < D; d++)
			sum += (double)c->dn[i / width * D + d] * c->w_k[d * width + i % width];
		dk[i] = (float)sum;
	}
	return dk;
}

/* qk[v, h] = q_h W_K[h]^T, likewise. */
static float *query_directions(struct rig *r, const struct last_case *c)
{
	const struct pb_heads *hd = &c->op.heads;
	size_t D = c->op.d_model, K = hd->d_head, width = hd->n_kv_heads * K;
	size_t n = c->op.n_variants * hd->n_heads;
	float *qk = HOST(r, n * D, float);

	for (size_t i = 0; i < n * D; i++) {
		size_t kv = i / D % hd->n_heads * hd->n_kv_heads / hd->n_heads;
		double sum = 0.0;

		for (size_t k = 0; k < K; k++)
			sum += (double)c->q[i / D * K + k] * c->w_k[i % D * width + kv * K + k];
		qk[i] = (float)sum;
	}
	return qk;
}

/* ---- what must come out ---------------------------------------------------------------------- */

struct last_want {
	double *zdiff, *zdiff_allowed, *mix, *mix_allowed; /* [K], [K], [D], [D] */
	double scores;                                     /* largest sum of |terms| of a score */
};

/* Scores of the answer position, before and after. */
static double last_scores(const struct last_case *c, size_t v, size_t h, double *s0, double *s1)
{
	const struct pb_heads *hd = &c->op.heads;
	const struct pb_span *p = &c->variants[v];
	size_t K = hd->d_head, D = c->op.d_model, width = ref_qkv_width(hd);
	size_t answer = (size_t)p->length - 1, kv = h * hd->n_kv_heads / hd->n_heads;
	const float *rows = c->qkv0 + (size_t)p->base * width;
	const float *q0 = rows + answer * width + ref_q_column(hd, h);
	const float *q = c->q + (v * hd->n_heads + h) * K;
	double scale = (double)hd->score_scale, largest = 0.0;

	for (size_t j = 0; j <= answer; j++) {
		const float *k0 = rows + j * width + ref_k_column(hd, h);
		size_t row = (size_t)p->row + j - (size_t)p->first;
		double sum0 = 0.0, sum1 = 0.0, terms = 0.0;

		for (size_t d = 0; d < K; d++) {
			sum0 += (double)q0[d] * (double)k0[d];
			sum1 += (double)q[d] * (double)k0[d];
			terms += fabs((double)q0[d] * (double)k0[d]) +
				 fabs((double)q[d] * (double)k0[d]);
		}
		for (size_t d = 0; j >= (size_t)p->first && d < (c->qk ? D : K); d++) {
			double t = c->qk ? (double)c->qk[(v * hd->n_heads + h) * D + d] *
					       (double)c->dn[row * D + d]
					 : (double)q[d] *
					       (double)c->dk[(row * hd->n_kv_heads + kv) * K + d];

			sum1 += t;
			terms += fabs(t);
		}
		s0[j] = ref_sees(answer, j, hd->window) ? ref_softcap(hd, scale * sum0) : -INFINITY;
		s1[j] = ref_sees(answer, j, hd->window) ? ref_softcap(hd, scale * sum1) : -INFINITY;
		if (ref_sees(answer, j, hd->window))
			largest = fmax(largest, scale * terms);
	}
	return largest;
}

static void last_want(const struct last_case *c, size_t v, size_t h, struct last_want *w)
{
	const struct pb_heads *hd = &c->op.heads;
	const struct pb_span *p = &c->variants[v];
	size_t n = (size_t)p->length, K = hd->d_head, D = c->op.d_model, width = ref_qkv_width(hd);
	double s0[LONGEST], s1[LONGEST], a0[LONGEST], a1[LONGEST];

	w->scores = last_scores(c, v, h, s0, s1);
	ref_softmax(n, s0, a0);
	ref_softmax(n, s1, a1);
	for (size_t d = 0; d < K; d++) {
		double terms = 0.0;

		w->zdiff[d] = 0.0;
		for (size_t j = 0; j < n; j++) {
			double v0 =
			    (double)
				c->qkv0[((size_t)p->base + j) * width + ref_v_column(hd, h) + d];

			w->zdiff[d] += (a1[j] - a0[j]) * v0;
			terms += (a1[j] + a0[j]) * fabs(v0);
		}
		w->zdiff_allowed[d] = pattern_share(w->scores) * terms + 1e-37;
	}
	for (size_t d = 0; d < D; d++) {
		double terms = 0.0;

		w->mix[d] = 0.0;
		for (size_t j = (size_t)p->first; j < n; j++) {
			double dn = (double)c->dn[((size_t)p->row + j - (size_t)p->first) * D + d];

			w->mix[d] += a1[j] * dn;
			terms += a1[j] * fabs(dn);
		}
		w->mix_allowed[d] = pattern_share(w->scores) * terms + 1e-37;
	}
}

/* The difference of z at the answer position between two full attentions: keys and values of the
 * second have dn W_K and dn W_V added, its query is the one given. */
static void full_difference(struct rig *r, const struct last_case *c, size_t v, size_t h,
			    double *dz)
{
	const struct pb_heads *hd = &c->op.heads;
	const struct pb_span *p = &c->variants[v];
	size_t n = (size_t)p->length, K = hd->d_head, D = c->op.d_model, width = ref_qkv_width(hd);
	size_t kv = h * hd->n_kv_heads / hd->n_heads, kv_width = hd->n_kv_heads * K;
	const double *before = widen(r, c->qkv0 + (size_t)p->base * width, n * width);
	double *after = widen(r, c->qkv0 + (size_t)p->base * width, n * width);
	double a[LONGEST], z[K];

	for (size_t k = 0; k < K; k++) {
		after[(n - 1) * width + ref_q_column(hd, h) + k] =
		    (double)c->q[(v * hd->n_heads + h) * K + k];
		for (size_t j = (size_t)p->first; j < n; j++)
			for (size_t d = 0; d < D; d++) {
				double dn =
				    (double)c->dn[((size_t)p->row + j - (size_t)p->first) * D + d];

				after[j * width + ref_k_column(hd, h) + k] +=
				    dn * c->w_k[d * kv_width + kv * K + k];
				after[j * width + ref_v_column(hd, h) + k] +=
				    dn * c->w_v[d * kv_width + kv * K + k];
			}
	}
	ref_attend(hd, before, n - 1, h, a, z);
	ref_attend(hd, after, n - 1, h, a, dz);
	for (size_t k = 0; k < K; k++)
		dz[k] -= z[k];
}

static void check_last(struct rig *r, const struct last_case *c, const float *zdiff,
		       const float *mix)
{
	const struct pb_heads *hd = &c->op.heads;
	size_t K = hd->d_head, D = c->op.d_model, kv_width = hd->n_kv_heads * K;
	double zd[K], zd_allowed[K], m[D], m_allowed[D], dz[K];
	struct last_want w = {zd, zd_allowed, m, m_allowed, 0.0};

	for (size_t i = 0; i < c->op.n_variants * hd->n_heads; i++) {
		size_t h = i % hd->n_heads, kv = h * hd->n_kv_heads / hd->n_heads;

		last_want(c, i / hd->n_heads, h, &w);
		check_values(r, "zdiff", K, zdiff + i * K, zd, zd_allowed);
		check_values(r, "mix", D, mix + i * D, m, m_allowed);
		full_difference(r, c, i / hd->n_heads, h, dz);
		for (size_t k = 0; k < K; k++) {
			double got = (double)zdiff[i * K + k], allowed = zd_allowed[k];

			for (size_t d = 0; d < D; d++) {
				double w_v = c->w_v[d * kv_width + kv * K + k];

				got += (double)mix[i * D + d] * w_v;
				allowed += m_allowed[d] * fabs(w_v);
			}
			/* qk and dk are rounded too, which moves the scores as their own sums do */
			check_value(r, "dz", i * K + k, got, dz[k], 2.0 * allowed);
		}
	}
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void check_alone(struct rig *r, const struct last_case *c, const float *zdiff,
			const float *mix)
{
	size_t H = c->op.heads.n_heads, D = c->op.d_model, Z = H * c->op.heads.d_head;
	struct pb_attention_last all = c->op;
	size_t n = all.n_variants;
	const float *z_alone, *mix_alone;

	all.zdiff = put_sentinel(r, n * Z);
	all.mix = put_sentinel(r, n * H * D);
	for (size_t v = n; v-- > 0;) {
		struct pb_attention_last one = all;

		one.n_variants = 1;
		one.variants = c->variants + v;
		one.q = pb_dev_row(all.q, v, Z);
		if (c->qk)
			one.qk = pb_dev_row(all.qk, v, H * D);
		one.zdiff = pb_dev_row(all.zdiff, v, Z);
		one.mix = pb_dev_row(all.mix, v, H * D);
		RUN(r, attention_last, &one);
	}
	z_alone = fetch(r, all.zdiff, n * Z);
	mix_alone = fetch(r, all.mix, n * H * D);
	check_bits(r, "zdiff alone", z_alone, zdiff, n * Z * sizeof *zdiff);
	check_bits(r, "mix alone", mix_alone, mix, n * H * D * sizeof *mix);
}

/* Three variants a prompt, one prompt after the other in turn: the whole prompt changes, its second
 * half, its last token. */
static void place(struct rig *r, struct last_case *c, size_t n_prompts, const size_t *length)
{
	struct pb_span *prompts = HOST(r, n_prompts, struct pb_span);
	size_t n = 3 * n_prompts;
	int32_t *order = permutation(r, n);

	c->n_base = place_prompts(r, n_prompts, length, prompts);
	c->variants = HOST(r, n, struct pb_span);
	c->n_delta = 1;
	for (size_t i = 0; i < n; i++) {
		size_t v = (size_t)order[i], p = v % n_prompts;
		const size_t first[] = {0, length[p] / 2, length[p] - 1};

		c->variants[v] = prompts[p];
		c->variants[v].first = (int32_t)first[v / n_prompts];
		c->variants[v].row = (int32_t)c->n_delta;
		c->n_delta += length[p] - first[v / n_prompts] + v % 2;
	}
	c->op.n_variants = n;
	c->op.variants = c->variants;
}

static void last_case(struct rig *r, const struct shape *s, size_t D, size_t n_prompts,
		      const size_t *length, float scale, bool by_qk)
{
	struct last_case c = {.op = {.heads = s->heads, .d_model = D, .max_length = LONGEST}};
	size_t H = s->heads.n_heads, Z = H * s->heads.d_head, n;
	size_t kv_width = s->heads.n_kv_heads * s->heads.d_head;
	const float *zdiff, *mix;

	place(r, &c, n_prompts, length);
	n = c.op.n_variants;
	c.qkv0 = qkv_rows(r, s, c.n_base, 1.0f);
	c.dn = normals(r, c.n_delta * D, scale);
	c.w_k = widen(r, normals(r, D * kv_width, s->spread / sqrtf((float)D)), D * kv_width);
	c.w_v = widen(r, normals(r, D * kv_width, 1.0f / sqrtf((float)D)), D * kv_width);
	c.q = normals(r, n * Z, s->spread);
	c.qk = by_qk ? query_directions(r, &c) : NULL;
	c.dk = by_qk ? NULL : changed_keys(r, &c);
	c.op.qkv0 = put(r, c.qkv0, c.n_base * ref_qkv_width(&s->heads));
	c.op.q = put(r, c.q, n * Z);
	if (c.qk)
		c.op.qk = put(r, c.qk, n * H * D);
	if (c.dk)
		c.op.dk = put(r, c.dk, c.n_delta * kv_width);
	c.op.dn = put(r, c.dn, c.n_delta * D);
	c.op.zdiff = put_sentinel(r, n * Z);
	c.op.mix = put_sentinel(r, n * H * D);
	RUN(r, attention_last, &c.op);
	zdiff = fetch(r, c.op.zdiff, n * Z);
	mix = fetch(r, c.op.mix, n * H * D);
	if (!r->replay)
		check_last(r, &c, zdiff, mix);
	check_alone(r, &c, zdiff, mix);
}

OPS_TEST(ops_attention_last, by_qk_and_by_dk)
{
	static const size_t widths[] = {1, 768, 16, 33, 5, 15, 48, 1, 33, 24, 64};
	static const size_t length[] = {1, 5, 18, LONGEST};

	_Static_assert(sizeof widths / sizeof *widths == N_SHAPES, "a width for each shape");
	for (size_t s = 0; s < N_SHAPES; s++)
		for (unsigned by_qk = 0; by_qk < 2; by_qk++) {
			size_t D = widths[s];

			begin_shape(r, by_qk ? "last layer by qk" : "last layer by dk", &shapes[s]);
			open_prepared(r, &shapes[s].heads, D, LONGEST);
			last_case(r, &shapes[s], D, 4, length, by_qk ? 1.0f : 0.1f, by_qk);
		}
}

/* As many variants as make work for two threads. */
OPS_TEST(ops_attention_last, many_variants)
{
	enum { N = 40 };
	size_t length[N];

	for (size_t i = 0; i < N; i++)
		length[i] = 1 + i % 13;
	for (unsigned by_qk = 0; by_qk < 2; by_qk++) {
		begin_shape(r, by_qk ? "many by qk" : "many by dk", &shapes[1]);
		open_prepared(r, &shapes[1].heads, 768, 13);
		last_case(r, &shapes[1], 768, N, length, 1.0f, by_qk);
	}
}

OPS_TEST(ops_attention_last, no_variants)
{
	struct pb_attention_last op = {.heads = shapes[2].heads, .d_model = 16, .max_length = 4};

	begin_case(r, "no variants in the last layer");
	open_prepared(r, &shapes[2].heads, 16, 4);
	op.qkv0 = op.q = op.qk = op.dn = put_sentinel(r, 128);
	op.zdiff = put_sentinel(r, 64);
	op.mix = put_sentinel(r, 64);
	RUN(r, attention_last, &op);
	check_untouched(r, "zdiff", op.zdiff, 64);
	check_untouched(r, "mix", op.mix, 64);
}
