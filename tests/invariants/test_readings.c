/* Readings by pair on random models, against a plain float64 transformer and the formulas written
 * out. */
#include "support/readings_setup.h"

static void run_prompt(const struct setup *s, size_t pair, int side, struct plain_run *r)
{
	const struct pb_pair *p = &s->pairs.items[pair];

	plain_forward(s->model, side ? p->corrupted : p->clean, p->length, r);
}

/* ---- direct logit attribution ------------------------------------------------------------------
 */

/* The attribution of component c when the final norm's statistics are those of x. */
static double attribution(const struct pb_model *m, const struct pb_pair *p, const double *x,
			  const double *c)
{
	size_t D = m->arch.d_model;
	bool centred = m->arch.norm == PB_NORM_LAYER;
	double mean = 0.0, mean_c = 0.0, var = 0.0, sum = 0.0;

	for (size_t d = 0; d < D && centred; d++) {
		mean += x[d] / (double)D;
		mean_c += c[d] / (double)D;
	}
	for (size_t d = 0; d < D; d++)
		var += (x[d] - mean) * (x[d] - mean) / (double)D;
	for (size_t d = 0; d < D; d++) {
		double u = (double)pb_weight_at(&m->unembed, d, (size_t)p->answer) -
			   (double)pb_weight_at(&m->unembed, d, (size_t)p->foil);

		sum += (c[d] - mean_c) / sqrt(var + (double)m->arch.norm_eps) *
		       (double)pb_vector_at(&m->final_norm_weight, d) * u;
	}
	return sum;
}

static void compare_heads(const struct setup *s, size_t pair, int side, const struct plain_run *r,
			  size_t l)
{
	const struct pb_model *m = s->model;
	const struct pb_arch *a = &m->arch;
	size_t D = a->d_model, T = r->T, Z = a->n_heads * a->d_head;
	const double *end = r->x + (a->n_layers * T + T - 1) * D;
	double *z = calloc(Z, sizeof *z), *c = calloc(D, sizeof *c);

	for (size_t h = 0; h < a->n_heads; h++) {
		memset(z, 0, Z * sizeof *z);
		memcpy(z + h * a->d_head, r->z + (l * T + T - 1) * Z + h * a->d_head,
		       a->d_head * sizeof *z);
		plain_linear(z, &m->layers[l].o, NULL, c);
		MUST_AGREE(s->sides[side].values[PB_READ_ATTRIBUTION_HEAD]
						[(pair * a->n_layers + l) * a->n_heads + h],
			   attribution(m, &s->pairs.items[pair], end, c),
			   "pair %zu side %d L%zuH%zu", pair, side, l, h);
	}
	memset(z, 0, Z * sizeof *z);
	plain_linear(z, &m->layers[l].o, &m->layers[l].o_bias, c);
	MUST_AGREE(s->sides[side].values[PB_READ_ATTRIBUTION_ATTN_BIAS][pair * a->n_layers + l],
		   attribution(m, &s->pairs.items[pair], end, c), "pair %zu attention bias %zu",
		   pair, l);
	MUST_AGREE(s->sides[side].values[PB_READ_ATTRIBUTION_MLP][pair * a->n_layers + l],
		   attribution(m, &s->pairs.items[pair], end, r->mlp_out + (l * T + T - 1) * D),
		   "pair %zu MLP %zu", pair, l);
	free(z);
	free(c);
}

static void compare_embeddings(const struct setup *s, size_t pair, int side,
			       const struct plain_run *r)
{
	const struct pb_model *m = s->model;
	const struct pb_pair *p = &s->pairs.items[pair];
	size_t D = m->arch.d_model, T = r->T;
	const double *end = r->x + (m->arch.n_layers * T + T - 1) * D;
	double *c = calloc(D, sizeof *c);
	int32_t token = (side ? p->corrupted : p->clean)[T - 1];

	for (size_t d = 0; d < D; d++)
		c[d] = (double)pb_weight_at(&m->embed, (size_t)token, d);
	MUST_AGREE(s->sides[side].values[PB_READ_ATTRIBUTION_EMBED][pair],
		   attribution(m, p, end, c), "embedding of pair %zu", pair);
	for (size_t d = 0; d < D; d++)
		c[d] =
		    m->arch.learned_positions ? (double)pb_weight_at(&m->pos_embed, T - 1, d) : 0.0;
	MUST_AGREE(s->sides[side].values[PB_READ_ATTRIBUTION_POS_EMBED][pair],
		   attribution(m, p, end, c), "position of pair %zu", pair);
	free(c);
}

Test(readings, attribution_is_each_components_share)
{
	for (size_t kind = 0; kind < N_KINDS; kind++) {
		struct setup s;

		set_up(&s, make_model(kind), -1, 1u << PB_READING_DIRECT_LOGIT_ATTRIBUTION);
		for (size_t i = 0; i < 2 * s.pairs.n; i++) {
			struct plain_run r;

			run_prompt(&s, i / 2, (int)(i % 2), &r);
			compare_embeddings(&s, i / 2, (int)(i % 2), &r);
			for (size_t l = 0; l < s.model->arch.n_layers; l++)
				compare_heads(&s, i / 2, (int)(i % 2), &r, l);
			plain_free(&r);
		}
		tear_down(&s);
	}
}

/* Whatever the block, the attributions add up to LD, and the deviation that is reported is what is
 * found when they are added here. */
Test(readings, attributions_sum_to_the_logit_difference)
{
	for (size_t kind = 0; kind < N_KINDS; kind++) {
		struct setup s;
		double largest = 0.0;

		set_up(&s, make_model(kind), -1, 1u << PB_READING_DIRECT_LOGIT_ATTRIBUTION);
		for (size_t i = 0; i < 2 * s.pairs.n; i++) {
			double sum = 0.0, ld = pb_base_logit_diff(&s.run, i / 2, (int)(i % 2));

			for (int r = 0; r <= PB_READ_ATTRIBUTION_BIAS; r++) {
				size_t n = elements_by_pair(&s.model->arch, (enum pb_reading)r);

				for (size_t k = 0; k < n; k++)
					sum += s.sides[i % 2].values[r][i / 2 * n + k];
			}
			MUST_AGREE(sum, ld, "kind %zu, prompt %zu", kind, i);
			largest = fmax(largest, fabs(sum - ld));
		}
		cr_assert(fabs(s.deviation - largest) <= 1e-12 && s.deviation > 0.0,
			  "kind %zu: reported %g, found %g", kind, s.deviation, largest);
		tear_down(&s);
	}
}

/* ---- logit lens --------------------------------------------------------------------------------
 */

static void compare_lens(const struct setup *s, size_t pair, int side, size_t l,
			 const double *logits)
{
	const struct pb_pair *p = &s->pairs.items[pair];
	const struct pb_reading_values *got = &s->sides[side];
	size_t at = pair * s->model->arch.n_layers + l, V = s->model->arch.n_vocab;
	size_t answer = (size_t)p->answer, foil = (size_t)p->foil;

	MUST_AGREE(got->values[PB_READ_LENS_LOGIT_DIFF][at], logits[answer] - logits[foil],
		   "pair %zu layer %zu", pair, l);
	MUST_AGREE(got->values[PB_READ_LENS_PROB_ANSWER][at], plain_prob(logits, V, answer),
		   "pair %zu layer %zu", pair, l);
	MUST_AGREE(got->values[PB_READ_LENS_PROB_FOIL][at], plain_prob(logits, V, foil),
		   "pair %zu layer %zu", pair, l);
	MUST_AGREE(got->values[PB_READ_LENS_RANK_ANSWER][at],
		   (double)plain_rank(logits, N_VALID, answer), "pair %zu layer %zu", pair, l);
	MUST_AGREE(got->values[PB_READ_LENS_RANK_FOIL][at],
		   (double)plain_rank(logits, N_VALID, foil), "pair %zu layer %zu", pair, l);
}

Test(readings, lens_of_every_layer)
{
	for (size_t kind = 0; kind < N_KINDS; kind++) {
		struct setup s;
		double logits[97];

		set_up(&s, make_model(kind), -1, 1u << PB_READING_LOGIT_LENS);
		cr_assert(isnan(s.deviation));
		for (size_t i = 0; i < 2 * s.pairs.n; i++) {
			struct plain_run r;

			run_prompt(&s, i / 2, (int)(i % 2), &r);
			for (size_t l = 0; l < s.model->arch.n_layers; l++) {
				plain_unembed(s.model,
					      r.x +
						  ((l + 1) * r.T + r.T - 1) * s.model->arch.d_model,
					      logits);
				compare_lens(&s, i / 2, (int)(i % 2), l, logits);
			}
			plain_free(&r);
		}
		tear_down(&s);
	}
}

/* The lens of the last layer is the base run, to the bit. */
Test(readings, lens_of_the_last_layer_is_the_base_run)
{
	for (size_t kind = 0; kind < N_KINDS; kind++) {
		struct setup s;
		size_t L = kinds[kind].n_layers;

		set_up(&s, make_model(kind), -1, 1u << PB_READING_LOGIT_LENS);
		for (size_t i = 0; i < 2 * s.pairs.n; i++) {
			const struct pb_vocabulary_score *v = &s.run.vocabulary[i];
			double *const *got = s.sides[i % 2].values;
			size_t at = i / 2 * L + L - 1;

			cr_assert(got[PB_READ_LENS_LOGIT_DIFF][at] ==
				  pb_base_logit_diff(&s.run, i / 2, (int)(i % 2)));
			cr_assert(got[PB_READ_LENS_PROB_ANSWER][at] ==
				  exp(v->logit_answer - v->lse));
			cr_assert(got[PB_READ_LENS_PROB_FOIL][at] == exp(v->logit_foil - v->lse));
			cr_assert(got[PB_READ_LENS_RANK_ANSWER][at] == (double)v->rank_answer);
			cr_assert(got[PB_READ_LENS_RANK_FOIL][at] == (double)v->rank_foil);
		}
		tear_down(&s);
	}
}

/* ---- head scores -------------------------------------------------------------------------------
 */

static double plain_entropy(const double *a, size_t T)
{
	double sum = 0.0;

	for (size_t i = 0; i < T; i++)
		for (size_t j = 0; j <= i; j++)
			if (a[i * T + j] > 0.0)
				sum -= a[i * T + j] * log(a[i * T + j]) / (double)T;
	return sum;
}

static void compare_pattern(const struct setup *s, size_t pair, int side, const double *a, size_t l,
			    size_t h)
{
	const struct pb_pair *p = &s->pairs.items[pair];
	const struct pb_reading_values *got = &s->sides[side];
	size_t T = p->length,
	       at = (pair * s->model->arch.n_layers + l) * s->model->arch.n_heads + h;
	double bos = 0.0, difference = 0.0, role[N_ROLES] = {0.0};

	for (size_t i = 1; i < T; i++)
		bos += a[i * T] / (double)(T - 1);
	for (size_t j = 0; j < T; j++) {
		difference += p->clean[j] != p->corrupted[j] ? a[(T - 1) * T + j] : 0.0;
		if (p->roles && p->roles[j] >= 0)
			role[p->roles[j]] += a[(T - 1) * T + j];
	}
	if (T == 1)
		cr_assert(isnan(got->values[PB_READ_BOS_MASS][at]));
	else
		MUST_AGREE(got->values[PB_READ_BOS_MASS][at], bos, "pair %zu L%zuH%zu", pair, l, h);
	MUST_AGREE(got->values[PB_READ_ENTROPY][at], plain_entropy(a, T), "pair %zu L%zuH%zu", pair,
		   l, h);
	MUST_AGREE(got->values[PB_READ_DIFFERENCE_MASS][at], difference, "pair %zu L%zuH%zu", pair,
		   l, h);
	for (size_t r = 0; r < N_ROLES; r++) {
		double mass = got->values[PB_READ_ROLE_MASS][at * N_ROLES + r];

		/* position i has role i % 3 - 1: role 0 needs two tokens, role 1 three */
		if (p->roles && r < 2 && T > r + 1)
			MUST_AGREE(mass, role[r], "pair %zu L%zuH%zu role %zu", pair, l, h, r);
		else
			cr_assert(isnan(mass), "pair %zu role %zu", pair, r);
	}
}

Test(readings, attention_of_the_pairs)
{
	for (size_t kind = 0; kind < N_KINDS; kind++) {
		struct setup s;
		size_t H = kinds[kind].n_heads;

		set_up(&s, make_model(kind), -1, 1u << PB_READING_HEAD_SCORES);
		for (size_t i = 0; i < 2 * s.pairs.n; i++) {
			struct plain_run r;

			run_prompt(&s, i / 2, (int)(i % 2), &r);
			for (size_t h = 0; h < kinds[kind].n_layers * H; h++)
				compare_pattern(&s, i / 2, (int)(i % 2), r.pattern + h * r.T * r.T,
						h / H, h % H);
			plain_free(&r);
		}
		tear_down(&s);
	}
}
