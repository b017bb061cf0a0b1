/* Random models of every block kind, pairs for them, and their readings. */
#ifndef PB_TEST_READINGS_SETUP_H
#define PB_TEST_READINGS_SETUP_H

#include <criterion/criterion.h>

#include "engine/readings.h"
#include "support/plain_model.h"
#include "support/tiny_model.h"

#define N_PAIRS ((size_t)40)
#define N_ROLES 3
#define N_VALID 90 /* of 97 rows of the unembedding */

struct setup {
	struct pb_model *model;
	struct pb_device *dev;
	struct pb_engine e;
	struct pb_pairs pairs;
	struct pb_chunk_run run;
	struct pb_reading_values sides[2], whole;
	double deviation;
};

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct pb_error error_ = {0}, *err = &error_;                                      \
		cr_assert((expr) == PB_OK, "%s: %s", #expr, error_.message);                       \
	} while (0)

/* Float32 runs of a few layers agree with float64 to about this, relative to max(1, |value|). */
#define TOLERANCE 5e-5

#define MUST_AGREE(got, want, ...)                                                                 \
	do {                                                                                       \
		double got_ = (got), want_ = (want);                                               \
		cr_assert(fabs(got_ - want_) <= TOLERANCE * fmax(1.0, fabs(want_)),                \
			  "got %.9g, want %.9g: " __VA_ARGS__, got_, want_);                       \
	} while (0)

/* Every block kind: sequential and parallel, layer norm and RMS norm, with learned positions,
 * rotary ones, grouped queries and a window; an odd head width. */
static const struct tiny_options kinds[] = {
    {.n_layers = 3,
     .n_heads = 4,
     .n_kv_heads = 4,
     .d_head = 4,
     .d_model = 16,
     .d_mlp = 24,
     .n_vocab = 97,
     .n_context = 256,
     .learned_positions = true,
     .activation = PB_ACT_GELU_TANH,
     .scale = 1.5f,
     .seed = 1},
    {.n_layers = 3,
     .n_heads = 3,
     .n_kv_heads = 3,
     .d_head = 6,
     .d_model = 20,
     .d_mlp = 36,
     .n_vocab = 97,
     .n_context = 256,
     .parallel = true,
     .rotary_dims = 4,
     .activation = PB_ACT_GELU_ERF,
     .scale = 1.5f,
     .seed = 2},
    {.n_layers = 3,
     .n_heads = 6,
     .n_kv_heads = 2,
     .d_head = 5,
     .d_model = 22,
     .d_mlp = 31,
     .n_vocab = 97,
     .n_context = 256,
     .rotary_dims = 4,
     .window = 4,
     .activation = PB_ACT_SILU,
     .scale = 1.5f,
     .seed = 3},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

static inline struct pb_model *make_model(size_t kind)
{
	struct pb_model *m = tiny_new(&kinds[kind]);
	const struct pb_vector none = {0};

	if (kind == 1)
		m->unembed_bias = tiny_vector(1, 97, 0.0f, 0.5f);
	if (kind == 2) { /* like Llama: RMS norm, no biases */
		m->arch.norm = PB_NORM_RMS;
		m->final_norm_bias = none;
		for (size_t l = 0; l < m->arch.n_layers; l++) {
			m->layers[l].norm1_bias = m->layers[l].norm2_bias = none;
			m->layers[l].o_bias = m->layers[l].v_bias = none;
			m->layers[l].mlp_out_bias = none;
		}
	}
	return m;
}

/* Pairs of different lengths, one of a single token and one so long that patterns are read in
 * parts; more prompts and more distinct tokens than a block of them holds; some pairs with
 * candidates, some with roles, of which role 2 is never there. */
static inline void make_pairs(struct pb_pairs *pairs, int32_t bos, size_t n_context)
{
	static const size_t lengths[] = {7, 12, 5, 1, 9, 23};
	size_t n_lengths = sizeof lengths / sizeof *lengths;
	struct pb_rng rng;

	pb_rng_seed(&rng, 4, 5, 6, 7);
	pairs->n = N_PAIRS;
	pairs->items = pb_arena_alloc(&pairs->arena, pairs->n, sizeof *pairs->items);
	pairs->n_roles = N_ROLES;
	pairs->bos = bos;
	for (size_t p = 0; p < pairs->n; p++) {
		struct pb_pair *q = &pairs->items[p];
		size_t length = p == 30 && n_context >= 200 ? 200 : lengths[p % n_lengths];
		size_t first = length / 3, second = length - 1 - p % 2 * first;
		int32_t *roles = pb_arena_alloc(&pairs->arena, length, sizeof *roles);

		q->length = length;
		q->clean = pb_arena_alloc(&pairs->arena, q->length, sizeof *q->clean);
		q->corrupted = pb_arena_alloc(&pairs->arena, q->length, sizeof *q->clean);
		for (size_t i = 0; i < q->length; i++) {
			q->clean[i] = q->corrupted[i] = (int32_t)pb_rng_below(&rng, 97);
			if (i == first || i == second)
				q->corrupted[i] = (q->clean[i] + 1) % 97;
			roles[i] = (int32_t)(i % 3) - 1; /* -1, 0, 1 */
		}
		q->first_difference = first < second ? first : second;
		q->roles = p % 3 == 0 ? NULL : roles;
		q->answer = (int32_t)((11 + 7 * p) % 97);
		q->foil = 2;
		q->n_candidates = p % 4 ? 2 : 0;
		q->candidates = pb_arena_alloc(&pairs->arena, 2, sizeof *q->candidates);
		q->candidates[0] = (int32_t)(50 + p) % 97;
		q->candidates[1] = (int32_t)(3 + p);
		if (q->length > pairs->max_length)
			pairs->max_length = q->length;
	}
}

static inline size_t elements_by_pair(const struct pb_arch *a, enum pb_reading r)
{
	switch (r) {
	case PB_READ_ATTRIBUTION_EMBED:
	case PB_READ_ATTRIBUTION_POS_EMBED:
	case PB_READ_ATTRIBUTION_BIAS:
		return 1;
	case PB_READ_ATTRIBUTION_HEAD:
	case PB_READ_BOS_MASS:
	case PB_READ_ENTROPY:
	case PB_READ_DIFFERENCE_MASS:
		return a->n_layers * a->n_heads;
	case PB_READ_ROLE_MASS:
		return a->n_layers * a->n_heads * N_ROLES;
	default:
		return a->n_layers;
	}
}

static inline void set_up(struct setup *s, struct pb_model *model, int32_t bos, unsigned groups)
{
	size_t longest;

	memset(s, 0, sizeof *s);
	s->model = model;
	make_pairs(&s->pairs, bos, model->arch.n_context);
	longest = pb_readings_length(&model->arch, &s->pairs, groups);
	longest = longest > s->pairs.max_length ? longest : s->pairs.max_length;
	MUST(pb_device_open(&s->dev, "cpu", 2, PB_PRECISION_FP32, err));
	MUST(pb_engine_open(&s->e, s->dev, s->model, longest, 0, err));
	MUST(pb_chunk_run_new(&s->run, &s->e, &s->pairs, 0, s->pairs.n, NULL, 0, 0, N_VALID, err));
	for (int r = 0; r < PB_N_READINGS; r++)
		for (int side = 0; side < 2 && pb_reading_infos[r].by_pair; side++) {
			size_t n = s->pairs.n * elements_by_pair(&model->arch, (enum pb_reading)r);

			s->sides[side].values[r] = malloc(n * sizeof(double));
			for (size_t i = 0; i < n; i++)
				s->sides[side].values[r][i] = 1e30; /* must be written */
		}
	MUST(pb_readings_chunk(&s->e, &s->run, &s->pairs, groups, N_VALID, s->sides, &s->deviation,
			       err));
	MUST(pb_readings_run(&s->e, &s->pairs, groups, N_VALID, 17, &s->whole, err));
}

static inline void tear_down(struct setup *s)
{
	pb_reading_values_free(&s->sides[0]);
	pb_reading_values_free(&s->sides[1]);
	pb_reading_values_free(&s->whole);
	pb_chunk_run_free(&s->run, &s->e);
	pb_engine_close(&s->e);
	pb_device_close(s->dev);
	pb_pairs_free(&s->pairs);
	tiny_free(s->model);
}

#endif
