/* Readings of the whole run on random models, against a plain float64 transformer and the formulas
 * written out. */
#include "support/readings_setup.h"

#define ALL_GROUPS ((1u << PB_N_READING_GROUPS) - 1)

/* ---- scores on repeated tokens -----------------------------------------------------------------
 */

/* The repeated prompts made here again, their scores by the plain transformer. */
static void compare_repeated(const struct setup *s, size_t bos, size_t length)
{
	size_t heads = s->model->arch.n_layers * s->model->arch.n_heads, T = bos + 2 * length;
	double *want = calloc(3 * heads, sizeof *want);
	int32_t tokens[64];

	for (size_t n = 0; n < 10; n++) {
		struct plain_run r;
		struct pb_rng rng;

		pb_rng_seed(&rng, UINT64_C(0x7265706561746564), 0, 17, n);
		tokens[0] = s->pairs.bos;
		for (size_t i = 0; i < length; i++)
			tokens[bos + i] = tokens[bos + length + i] =
			    (int32_t)pb_rng_below(&rng, N_VALID);
		plain_forward(s->model, tokens, T, &r);
		for (size_t h = 0; h < heads; h++) {
			const double *a = r.pattern + h * T * T;

			for (size_t i = 1; i < T; i++)
				want[3 * h] += a[i * T + i - 1] / (double)(T - 1) / 10.0;
			for (size_t i = bos + length; i < T; i++)
				want[3 * h + 1] += a[i * T + i - length] / (double)length / 10.0;
			for (size_t i = bos + length; i < T - 1; i++)
				want[3 * h + 2] +=
				    a[i * T + i - (length - 1)] / (double)(length - 1) / 10.0;
		}
		plain_free(&r);
	}
	for (size_t h = 0; h < heads; h++) {
		MUST_AGREE(s->whole.values[PB_READ_PREVIOUS_TOKEN][h], want[3 * h], "head %zu", h);
		MUST_AGREE(s->whole.values[PB_READ_DUPLICATE][h], want[3 * h + 1], "head %zu", h);
		MUST_AGREE(s->whole.values[PB_READ_INDUCTION][h], want[3 * h + 2], "head %zu", h);
	}
	free(want);
}

Test(readings_run, scores_on_repeated_tokens)
{
	for (size_t kind = 0; kind < N_KINDS; kind++)
		for (size_t bos = 0; bos < 2; bos++) {
			struct pb_model *m = make_model(kind);
			struct setup s;

			/* a context of 24 holds 2 * 12 tokens, or BOS and 2 * 11 */
			m->arch.n_context = kind == 0 ? 24 : 256;
			set_up(&s, m, bos ? 5 : -1, 1u << PB_READING_HEAD_SCORES);
			compare_repeated(&s, bos, kind == 0 ? 12 - bos : 25);
			tear_down(&s);
		}
}

/* q of position i and k of position i - back are the same unit vector, so head h attends to
 * i - back[h] (to itself where there is none): it is a perfect head of one kind, and none of the
 * others. */
static void make_perfect_heads(struct pb_model *m, size_t T, const size_t back[3])
{
	size_t K = m->arch.d_head, D = m->arch.d_model;
	float *embed = (float *)m->embed.data, *position = (float *)m->pos_embed.data;
	float *q = (float *)m->layers[0].q.data, *k = (float *)m->layers[0].k.data;
	const struct pb_vector none = {0};

	memset(embed, 0, m->arch.n_vocab * D * sizeof *embed);
	memset(position, 0, T * D * sizeof *position);
	memset(q, 0, D * 3 * K * sizeof *q);
	memset(k, 0, D * 3 * K * sizeof *k);
	m->layers[0].norm1_weight = m->layers[0].norm1_bias = none;
	m->layers[0].q_bias = m->layers[0].k_bias = none;
	for (size_t i = 0; i < T; i++) {
		position[i * D + i] = 1.0f;
		for (size_t h = 0; h < 3; h++) {
			k[i * 3 * K + h * K + i] = 10.0f;
			q[i * 3 * K + h * K + (i < back[h] ? i : i - back[h])] = 10.0f;
		}
	}
}

Test(readings_run, perfect_heads_score_one)
{
	static const enum pb_reading scores[] = {PB_READ_PREVIOUS_TOKEN, PB_READ_DUPLICATE,
						 PB_READ_INDUCTION};

	for (size_t bos = 0; bos < 2; bos++) {
		size_t length = 12 - bos, T = 2 * length + bos;
		struct tiny_options o = {.n_layers = 1,
					 .n_heads = 3,
					 .n_kv_heads = 3,
					 .d_head = 24,
					 .d_model = 24,
					 .d_mlp = 8,
					 .n_vocab = 97,
					 .n_context = 24,
					 .learned_positions = true,
					 .scale = 1.0f,
					 .seed = 9};
		struct pb_model *m = tiny_new(&o);
		struct setup s;

		make_perfect_heads(m, T, (size_t[3]){1, length, length - 1});
		set_up(&s, m, bos ? 5 : -1, 1u << PB_READING_HEAD_SCORES);
		for (size_t score = 0; score < 3; score++)
			for (size_t h = 0; h < 3; h++)
				MUST_AGREE(s.whole.values[scores[score]][h], score == h ? 1.0 : 0.0,
					   "BOS %zu score %zu of head %zu", bos, score, h);
		tear_down(&s);
	}
}

/* ---- copying -----------------------------------------------------------------------------------
 */

/* o of head h of layer l at token t: (x W_V + b_V) W_O[h]. */
static void plain_output(const struct setup *s, const double *resid, size_t l, size_t h, double *o)
{
	const struct pb_arch *a = &s->model->arch;
	const struct pb_layer *w = &s->model->layers[l];
	size_t K = a->d_head;
	double n[64] = {0.0}, v[64] = {0.0}, z[64] = {0.0};

	plain_norm(a, resid, &w->norm1_weight, &w->norm1_bias, n);
	plain_linear(n, &w->v, &w->v_bias, v);
	memcpy(z + h * K, v + h * a->n_kv_heads / a->n_heads * K, K * sizeof *z);
	plain_linear(z, &w->o, NULL, o);
}

static void compare_copying(const struct setup *s, const int32_t *tokens, size_t n_tokens)
{
	const struct pb_arch *a = &s->model->arch;
	size_t H = a->n_heads, bos = s->pairs.bos >= 0;
	double hits[2][32] = {{0.0}}, o[64] = {0.0}, logits[97] = {0.0};

	for (size_t i = 0; i < n_tokens; i++) {
		int32_t prompt[2] = {s->pairs.bos, tokens[i]};
		struct plain_run r;

		plain_forward(s->model, prompt + 1 - bos, 1 + bos, &r);
		for (size_t h = 0; h < a->n_layers * H; h++) {
			plain_output(s, r.x + (1 * r.T + bos) * a->d_model, h / H, h % H, o);
			for (int sign = 0; sign < 2; sign++) {
				for (size_t d = 0; sign && d < a->d_model; d++)
					o[d] = -o[d];
				plain_unembed(s->model, o, logits);
				hits[sign][h] += plain_rank(logits, N_VALID, (size_t)tokens[i]) < 5;
			}
		}
		plain_free(&r);
	}
	for (size_t h = 0; h < a->n_layers * H; h++) {
		MUST_AGREE(s->whole.values[PB_READ_COPYING][h], hits[0][h] / (double)n_tokens,
			   "head %zu", h);
		MUST_AGREE(s->whole.values[PB_READ_NEGATIVE_COPYING][h],
			   hits[1][h] / (double)n_tokens, "head %zu", h);
	}
}

static bool is_in(const int32_t *tokens, size_t n, int32_t token)
{
	for (size_t i = 0; i < n; i++)
		if (tokens[i] == token)
			return true;
	return false;
}

Test(readings_run, copying_against_the_formula)
{
	for (size_t kind = 0; kind < N_KINDS; kind++)
		for (int bos = 0; bos < 2; bos++) {
			int32_t tokens[97];
			size_t n = 0;
			struct setup s;

			set_up(&s, make_model(kind), bos ? 5 : -1, 1u << PB_READING_COPYING);
			for (size_t p = 0; p < s.pairs.n; p++) {
				const struct pb_pair *q = &s.pairs.items[p];

				if (!is_in(tokens, n, q->answer))
					tokens[n++] = q->answer;
				if (!is_in(tokens, n, q->foil))
					tokens[n++] = q->foil;
				for (size_t c = 0; c < q->n_candidates; c++)
					if (!is_in(tokens, n, q->candidates[c]))
						tokens[n++] = q->candidates[c];
			}
			cr_assert(n < 97 && n > PB_READING_BLOCK && n % PB_READING_BLOCK);
			compare_copying(&s, tokens, n);
			tear_down(&s);
		}
}

/* Make w [n, n] the unit matrix times `scale`. */
static void set_diagonal(const struct pb_weight *w, float scale)
{
	float *to = (float *)w->data;

	for (size_t i = 0; i < w->n_in; i++)
		for (size_t j = 0; j < w->n_in; j++)
			to[i * w->n_in + j] = i == j ? scale : 0.0f;
}

static void set_zero(const struct pb_weight *w)
{
	float *to = (float *)w->data;

	for (size_t i = 0; i < w->n_in * pb_weight_n_out(w); i++)
		to[i] = 0.0f;
}

/* Layer 0 and positions leave the tied embedding alone, and the only head of layer 1 writes minus
 * what it sees: a perfect negative copying head. */
Test(readings_run, a_negative_copying_head_scores_one)
{
	struct tiny_options o = kinds[0];
	const struct pb_vector none = {0};
	struct pb_model *m;
	struct setup s;

	o.n_heads = o.n_kv_heads = 1;
	o.d_head = 16;
	m = tiny_new(&o);
	set_zero(&m->layers[0].o);
	set_zero(&m->layers[0].mlp_out);
	set_zero(&m->pos_embed);
	set_diagonal(&m->layers[1].v, 1.0f);
	set_diagonal(&m->layers[1].o, -1.0f);
	m->layers[0].o_bias = m->layers[0].mlp_out_bias = m->layers[1].v_bias = none;
	m->layers[1].norm1_weight = m->layers[1].norm1_bias = none;
	m->final_norm_weight = m->final_norm_bias = none;
	for (size_t t = 0; t < 97; t++)
		for (size_t d = 0; d < 16; d++)
			((float *)m->unembed.data)[d * 97 + t] = pb_weight_at(&m->embed, t, d);
	set_up(&s, m, -1, 1u << PB_READING_COPYING);
	MUST_AGREE(s.whole.values[PB_READ_NEGATIVE_COPYING][1], 1.0, "against the token it sees");
	MUST_AGREE(s.whole.values[PB_READ_COPYING][1], 0.0, "not the token itself");
	tear_down(&s);
}

/* ---- composition -------------------------------------------------------------------------------
 */

/* Full matrices: w[D, D] = diag(gamma) W_V W_O (or W_Q W_K^T diag(gamma)) of query head h. */
static void plain_ov(const struct pb_model *m, size_t l, size_t h, double *w)
{
	const struct pb_layer *p = &m->layers[l];
	size_t D = m->arch.d_model, K = m->arch.d_head,
	       kv = h * m->arch.n_kv_heads / m->arch.n_heads;

	for (size_t i = 0; i < D; i++)
		for (size_t j = 0; j < D; j++) {
			w[i * D + j] = 0.0;
			for (size_t k = 0; k < K; k++)
				w[i * D + j] += (double)pb_vector_at(&p->norm1_weight, i) *
						(double)pb_weight_at(&p->v, i, kv * K + k) *
						(double)pb_weight_at(&p->o, h * K + k, j);
		}
}

static void plain_qk(const struct pb_model *m, size_t l, size_t h, bool transpose, double *w)
{
	const struct pb_layer *p = &m->layers[l];
	size_t D = m->arch.d_model, K = m->arch.d_head,
	       kv = h * m->arch.n_kv_heads / m->arch.n_heads;

	for (size_t i = 0; i < D; i++)
		for (size_t j = 0; j < D; j++) {
			double sum = 0.0;

			for (size_t k = 0; k < K; k++)
				sum += (double)pb_weight_at(&p->q, i, h * K + k) *
				       (double)pb_weight_at(&p->k, j, kv * K + k);
			w[transpose ? j * D + i : i * D + j] =
			    sum * (double)pb_vector_at(&p->norm1_weight, i) *
			    (double)pb_vector_at(&p->norm1_weight, j);
		}
}

static double squares_of(const double *w, size_t n)
{
	double sum = 0.0;

	for (size_t i = 0; i < n; i++)
		sum += w[i] * w[i];
	return sum;
}

static double squares_of_product(const double *a, const double *b, size_t D)
{
	double sum = 0.0;

	for (size_t i = 0; i < D; i++)
		for (size_t j = 0; j < D; j++) {
			double x = 0.0;

			for (size_t d = 0; d < D; d++)
				x += a[i * D + d] * b[d * D + j];
			sum += x * x;
		}
	return sum;
}

/* Score of sender l0, h0 with receiver l1 over query heads first..last of one KV head. */
static double plain_composition(const struct pb_model *m, enum pb_reading kind, size_t l0,
				size_t h0, size_t l1, size_t first, size_t last)
{
	size_t D = m->arch.d_model;
	double *a = calloc(D * D, sizeof *a), *b = calloc(D * D, sizeof *b);
	double product = 0.0, norm = 0.0, own;

	plain_ov(m, l0, h0, a);
	own = squares_of(a, D * D);
	for (size_t h = first; h <= last; h++) {
		if (kind == PB_READ_COMPOSITION_V)
			plain_ov(m, l1, h, b);
		else
			plain_qk(m, l1, h, kind == PB_READ_COMPOSITION_K, b);
		product += squares_of_product(a, b, D);
		norm += squares_of(b, D * D);
	}
	free(a);
	free(b);
	return sqrt(product / (own * norm));
}

Test(readings_run, composition_against_full_matrices)
{
	for (size_t kind = 0; kind < N_KINDS; kind++) {
		const size_t L = 3, H = kinds[kind].n_heads, KV = kinds[kind].n_kv_heads;
		struct setup s;

		set_up(&s, make_model(kind), -1, 1u << PB_READING_COMPOSITION);
		for (int r = PB_READ_COMPOSITION_Q; r <= PB_READ_COMPOSITION_V; r++)
			for (size_t from = 0; from < L * H; from++) {
				size_t n = r == PB_READ_COMPOSITION_Q ? H : KV;

				for (size_t to = 0; to < L * n; to++) {
					double got = s.whole.values[r][from * L * n + to];
					size_t first = to % n * (H / n);

					if (to / n <= from / H)
						cr_assert(isnan(got));
					else
						MUST_AGREE(
						    got,
						    plain_composition(s.model, (enum pb_reading)r,
								      from / H, from % H, to / n,
								      first, first + H / n - 1),
						    "kind %zu reading %d from %zu to %zu", kind, r,
						    from, to);
				}
			}
		tear_down(&s);
	}
}

/* Heads whose weights have less than full rank, so that a pivot is rounding error of either sign,
 * and a head without any. */
Test(readings_run, composition_of_deficient_heads)
{
	struct pb_model *m = make_model(0);
	float *v = (float *)m->layers[0].v.data, *q = (float *)m->layers[1].q.data;
	struct setup s;

	for (size_t d = 0; d < 16; d++)
		for (size_t h = 0; h < 4; h++) {
			float *row = v + d * 16 + 4 * h, mix = 0.3f + (float)h;

			row[2] = mix * row[0] - row[1];
			row[3] = h == 1 ? 0.0f : row[1] + mix * row[2];
			q[d * 16 + 4 * h + 3] = mix * q[d * 16 + 4 * h + 1];
			if (h == 2)
				memset(row, 0, 4 * sizeof *row);
		}
	set_up(&s, m, -1, 1u << PB_READING_COMPOSITION);
	for (size_t from = 0; from < 4; from++)
		for (size_t to = 0; to < 4; to++) {
			double got = s.whole.values[PB_READ_COMPOSITION_K][from * 12 + 4 + to];

			if (from == 2)
				cr_assert(isnan(got));
			else
				MUST_AGREE(
				    got,
				    plain_composition(m, PB_READ_COMPOSITION_K, 0, from, 1, to, to),
				    "from head %zu to head %zu", from, to);
		}
	tear_down(&s);
}

/* ---- what is asked for, and limits -------------------------------------------------------------
 */

Test(readings_run, only_what_is_asked_for)
{
	struct setup s;

	set_up(&s, make_model(0), 5, 1u << PB_READING_LOGIT_LENS | 1u << PB_READING_COPYING);
	for (int r = 0; r < PB_N_READINGS; r++)
		if (pb_reading_infos[r].by_pair)
			cr_assert((s.sides[0].values[r][0] == 1e30) ==
				      (pb_reading_infos[r].group != PB_READING_LOGIT_LENS),
				  "%s", pb_reading_infos[r].name);
		else
			cr_assert((s.whole.values[r] != NULL) ==
				      (pb_reading_infos[r].group == PB_READING_COPYING),
				  "%s", pb_reading_infos[r].name);
	tear_down(&s);
}

Test(readings_run, a_short_context_has_no_scores)
{
	struct pb_model *m = make_model(1);
	struct pb_pairs pairs = {.bos = 5};
	struct setup s;

	m->arch.n_context = 4;
	cr_assert(pb_readings_length(&m->arch, &pairs, ALL_GROUPS) == 3);
	m->arch.n_context = 1000;
	cr_assert(pb_readings_length(&m->arch, &pairs, ALL_GROUPS) == 51);
	cr_assert(pb_readings_length(&m->arch, &pairs, 1u << PB_READING_COPYING) == 2);
	cr_assert(pb_readings_length(&m->arch, &pairs, 1u << PB_READING_COMPOSITION) == 0);
	set_up(&s, m, 5, 0);
	{
		struct pb_reading_values values;
		struct pb_error refused = {0};

		s.e.arch.n_context = 4;
		MUST(pb_readings_run(&s.e, &s.pairs, 1u << PB_READING_HEAD_SCORES, N_VALID, 0,
				     &values, err));
		cr_assert(isnan(values.values[PB_READ_INDUCTION][0]));
		cr_assert(isnan(values.values[PB_READ_PREVIOUS_TOKEN][0]));
		pb_reading_values_free(&values);
		/* an engine that was opened for shorter prompts is refused, never overrun */
		s.e.arch.n_context = 1000;
		s.e.max_length = 50;
		cr_assert(pb_readings_run(&s.e, &s.pairs, 1u << PB_READING_HEAD_SCORES, N_VALID, 0,
					  &values, &refused) == PB_ERR_INTERNAL);
		pb_reading_values_free(&values);
	}
	tear_down(&s);
}
