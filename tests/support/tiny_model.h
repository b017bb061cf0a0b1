/* Random models made in memory, for tests that need weights but no files. */
#ifndef PB_TEST_TINY_MODEL_H
#define PB_TEST_TINY_MODEL_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/model.h"

struct tiny_options {
	size_t n_layers, n_heads, n_kv_heads, d_head, d_model, d_mlp, n_vocab, n_context;
	bool parallel, learned_positions;
	size_t rotary_dims, window; /* window on odd layers */
	bool llama;                 /* RMS norms, a gated MLP, a bias of the unembedding */
	bool interleaved, nope;     /* no rotation in the last layer */
	float embed_scale, logit_softcap, score_softcap;
	bool post_norm, no_pre_norm;
	enum pb_qk_norm qk_norm;
	enum pb_activation activation;
	float scale; /* of the weights: large enough that effects are of order one */
	uint64_t seed;
};

static struct pb_rng tiny_rng;
static struct pb_arena tiny_arena; /* one model at a time */

/* Values of mean `centre` and a spread of `scale`, from the sum of uniform numbers. */
static float *tiny_values(size_t n, float centre, float scale)
{
	float *v = pb_arena_alloc(&tiny_arena, n, sizeof *v);

	for (size_t i = 0; i < n; i++) {
		double sum = 0.0;

		for (int k = 0; k < 4; k++)
			sum += pb_rng_unit(&tiny_rng) - 0.5;
		v[i] = centre + scale * (float)(sum * 1.7320508);
	}
	return v;
}

static struct pb_weight tiny_weight(size_t n_in, size_t groups, size_t size, float scale)
{
	size_t n_out = groups * size;

	return (struct pb_weight){.data = tiny_values(n_in * n_out, 0.0f, scale),
				  .dtype = PB_F32,
				  .n_in = n_in,
				  .n_groups = groups,
				  .group_size = size,
				  .stride_in = (ptrdiff_t)n_out,
				  .stride_group = (ptrdiff_t)size,
				  .stride_out = 1};
}

static struct pb_vector tiny_vector(size_t groups, size_t size, float centre, float scale)
{
	return (struct pb_vector){.data = tiny_values(groups * size, centre, scale),
				  .dtype = PB_F32,
				  .n_groups = groups,
				  .group_size = size,
				  .stride_group = (ptrdiff_t)size};
}

/* A model whose every weight and bias is random. Freed with tiny_free. */
static struct pb_model *tiny_new(const struct tiny_options *o)
{
	struct pb_model *m = calloc(1, sizeof *m);
	size_t D = o->d_model, K = o->d_head, H = o->n_heads, KV = o->n_kv_heads, F = o->d_mlp;
	float s = o->scale / sqrtf((float)D);

	pb_rng_seed(&tiny_rng, 1, 2, o->seed, 3);
	m->arch = (struct pb_arch){.family = "tiny",
				   .n_layers = o->n_layers,
				   .n_heads = H,
				   .n_kv_heads = KV,
				   .d_model = D,
				   .d_head = K,
				   .d_mlp = F,
				   .n_vocab = o->n_vocab,
				   .n_context = o->n_context,
				   .norm = o->llama ? PB_NORM_RMS : PB_NORM_LAYER,
				   .gated = o->llama,
				   .rotary_interleaved = o->interleaved,
				   .embed_scale = o->embed_scale,
				   .logit_softcap = o->logit_softcap,
				   .score_softcap = o->score_softcap,
				   .post_norm = o->post_norm,
				   .no_pre_norm = o->no_pre_norm,
				   .qk_norm = o->qk_norm,
				   .norm_eps = 1e-5f,
				   .activation = o->activation,
				   .parallel = o->parallel,
				   .learned_positions = o->learned_positions,
				   .rotary_dims = o->rotary_dims};
	m->ropes[0] = (struct pb_rope){.magnitude = 1.0, .base = 10000.0, .scaling = "default"};
	if (o->rotary_dims) {
		m->ropes[0].frequency = tiny_values(o->rotary_dims / 2, 0.0f, 0.0f);
		pb_rope_frequencies(o->rotary_dims, 10000.0, m->ropes[0].frequency);
	}
	m->layers = calloc(o->n_layers, sizeof *m->layers);
	for (size_t l = 0; l < o->n_layers; l++) {
		struct pb_layer *w = &m->layers[l];

		w->norm1_weight = tiny_vector(1, D, 1.0f, 0.3f);
		w->norm1_bias = tiny_vector(1, D, 0.0f, 0.3f);
		w->norm2_weight = tiny_vector(1, D, 1.0f, 0.3f);
		w->norm2_bias = tiny_vector(1, D, 0.0f, 0.3f);
		w->q = tiny_weight(D, H, K, s);
		w->k = tiny_weight(D, KV, K, s);
		w->v = tiny_weight(D, KV, K, s);
		w->q_bias = tiny_vector(H, K, 0.0f, 0.3f);
		w->k_bias = tiny_vector(KV, K, 0.0f, 0.3f);
		w->v_bias = tiny_vector(KV, K, 0.0f, 0.3f);
		w->o = tiny_weight(H * K, 1, D, s);
		w->o_bias = tiny_vector(1, D, 0.0f, 0.3f);
		if (o->llama) {
			w->mlp_gate = tiny_weight(D, 1, F, s);
			w->mlp_gate_bias = tiny_vector(1, F, 0.0f, 0.3f);
			w->norm1_bias.data = w->norm2_bias.data = NULL;
		}
		if (o->post_norm) {
			w->attn_post_norm_weight = tiny_vector(1, D, 1.0f, 0.3f);
			w->mlp_post_norm_weight = tiny_vector(1, D, 1.0f, 0.3f);
		}
		if (o->qk_norm != PB_QK_NORM_NONE) {
			w->q_norm_weight = tiny_vector(H, K, 1.0f, 0.3f);
			w->k_norm_weight = tiny_vector(KV, K, 1.0f, 0.3f);
			w->q_norm_bias = tiny_vector(H, K, 0.0f, 0.3f);
		}
		w->no_rotary = o->nope && l + 1 == o->n_layers;
		w->mlp_in = tiny_weight(D, 1, F, s);
		w->mlp_in_bias = tiny_vector(1, F, 0.0f, 0.3f);
		w->mlp_out = tiny_weight(F, 1, D, s);
		w->mlp_out_bias = tiny_vector(1, D, 0.0f, 0.3f);
		w->score_scale = 1.0f / sqrtf((float)K);
		w->window = l % 2 ? o->window : 0;
	}
	m->embed = tiny_weight(o->n_vocab, 1, D, 1.0f);
	if (o->learned_positions)
		m->pos_embed = tiny_weight(o->n_context, 1, D, 0.3f);
	m->final_norm_weight = tiny_vector(1, D, 1.0f, 0.3f);
	m->final_norm_bias = tiny_vector(1, D, 0.0f, 0.3f);
	m->unembed = tiny_weight(D, 1, o->n_vocab, 1.0f);
	if (o->llama)
		m->unembed_bias = tiny_vector(1, o->n_vocab, 0.0f, 0.3f);
	return m;
}

static void tiny_free(struct pb_model *m)
{
	pb_arena_free(&tiny_arena);
	free(m->layers);
	free(m);
}

#endif
