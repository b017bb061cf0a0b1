/* Copying and negative copying: whether a head, looking at a token, writes that token or against
 * it. For a token t, with x = LN_1(resid_post of layer 0 at t), LN_1 the head's own pre-norm, and
 * o = (x W_V + b_V) W_O[h], the score is the share of tokens t in the top 5 of W_U LN_f(o); of
 * W_U LN_f(-o) for negative copying.
 *
 * LN_f(-o) is LN_f(o) but for the sign of all that comes before its bias, so both signs take one
 * product: the logits are c + p and c - p with p = W_U (LN_f(o) without its bias) and
 * c = W_U beta_f + b_U. */
#include <stdlib.h>
#include <string.h>

#include "engine/readings.h"

#define TOKENS_MOST ((size_t)1000) /* distinct tokens of the pairs, in order of appearance */
#define TOP 5

struct copying {
	struct pb_engine *e;
	size_t n_valid;
	int32_t bos, *tokens;
	size_t n_tokens;
	size_t first, n;                /* tokens of the block in work */
	struct pb_dev x;                /* [PB_READING_BLOCK, D] resid_post of layer 0 */
	struct pb_dev normed, o, stats; /* [PB_READING_BLOCK, D | D | 2] */
	struct pb_dev qkv, logits;      /* [PB_READING_BLOCK, qkv | V] */
	float *p, *c;                   /* [PB_READING_BLOCK, V], [V] */
	struct pb_reading_values *out;
};

size_t pb_copying_bytes(const struct pb_arch *a)
{
	struct pb_arch first = *a;
	size_t block = PB_READING_BLOCK;

	first.n_layers = 1;
	return (block * (3 * a->d_model + 2 + pb_qkv_width(a) + 2 * a->n_vocab) + a->n_vocab) *
		   sizeof(float) +
	       a->n_vocab + TOKENS_MOST * sizeof(int32_t) +
	       pb_cache_bytes(&first, 2 * block, block, true, 0) + 64 * block;
}

/* Answers, foils and candidates, each once. */
static enum pb_status list_tokens(struct copying *s, const struct pb_pairs *pairs,
				  struct pb_error *err)
{
	uint8_t *seen = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&s->tokens, TOKENS_MOST, sizeof *s->tokens, "tokens", err));
	PB_TRY(pb_alloc((void **)&seen, s->e->arch.n_vocab, 1, "tokens", err));
	for (size_t i = 0; i < pairs->n; i++) {
		const struct pb_pair *p = &pairs->items[i];

		for (size_t k = 0; k < 2 + p->n_candidates && s->n_tokens < TOKENS_MOST; k++) {
			int32_t t = k == 0 ? p->answer : k == 1 ? p->foil : p->candidates[k - 2];

			if (!seen[t])
				s->tokens[s->n_tokens++] = t;
			seen[t] = 1;
		}
	}
cleanup:
	free(seen);
	return status;
}

/* resid_post of layer 0 at the block's tokens, each the last of a prompt of its own. */
static enum pb_status run_first_layer(struct copying *s, struct pb_error *err)
{
	/* the same engine, seen as a model of one layer */
	struct pb_engine one = *s->e;
	int32_t prompts[PB_READING_BLOCK][2];
	const int32_t *tokens[PB_READING_BLOCK];
	size_t lengths[PB_READING_BLOCK];
	struct pb_batch batch = {0};
	struct pb_cache cache = {0};
	enum pb_status status;

	one.arch.n_layers = 1;
	for (size_t i = 0; i < s->n; i++) {
		prompts[i][0] = s->bos;
		prompts[i][1] = s->tokens[s->first + i];
		tokens[i] = prompts[i] + (s->bos < 0);
		lengths[i] = 1 + (s->bos >= 0);
	}
	PB_TRY(pb_batch_new(&batch, &one, s->n, tokens, lengths, err));
	PB_TRY(pb_cache_new(&cache, &one, batch.n_rows, s->n, true, 0, err));
	PB_TRY(pb_reading_forward(&one, &batch, &cache, err));
	PB_TRY(pb_reading_gather(s->e, cache.x_pre[1], batch.answer_row_dev, s->n,
				 s->e->arch.d_model, s->x, err));
cleanup:
	pb_cache_free(&cache, &one);
	pb_batch_free(&batch, &one);
	s->e->profile = one.profile;
	return status;
}

static enum pb_status norm(const struct copying *s, struct pb_dev x, struct pb_dev weight,
			   struct pb_dev bias, struct pb_dev y, struct pb_error *err)
{
	struct pb_norm_op op = {.kind = s->e->arch.norm,
				.eps = s->e->arch.norm_eps,
				.n_rows = s->n,
				.d_model = s->e->arch.d_model,
				.x = x,
				.weight = weight,
				.bias = bias,
				.y = y,
				.stats = s->stats};

	return s->e->ops->norm(s->e->dev, &op, err);
}

/* c: the logits of a final norm that is 0 before its bias. */
static enum pb_status make_constant(struct copying *s, struct pb_error *err)
{
	struct pb_engine *e = s->e;
	size_t D = e->arch.d_model, V = e->arch.n_vocab;
	enum pb_status status = PB_OK;

	if (e->final_bias.address) {
		PB_TRY(pb_engine_gemm(e, PB_STAGE_BASE, 1, e->unembed, D, V, e->final_bias, D,
				      s->logits, V, e->unembed_bias, false, err));
		PB_TRY(e->ops->download(e->dev, s->c, s->logits, V * sizeof(float), err));
	} else if (e->unembed_bias.address) {
		PB_TRY(e->ops->download(e->dev, s->c, e->unembed_bias, V * sizeof(float), err));
	}
cleanup:
	return status;
}

/* Whether token t is in the top 5 of the logits c + sign p. */
static bool in_top(const float *c, const float *p, double sign, size_t n_valid, size_t t)
{
	double own = (double)c[t] + sign * (double)p[t];
	size_t above = 0;

	for (size_t j = 0; j < n_valid; j++)
		above += (double)c[j] + sign * (double)p[j] > own;
	return above < TOP;
}

/* Adds the block's hits of one head, whose o is on the device. */
static enum pb_status count_hits(struct copying *s, size_t at, struct pb_error *err)
{
	struct pb_engine *e = s->e;
	size_t D = e->arch.d_model, V = e->arch.n_vocab, hits = 0, negative = 0;
	enum pb_status status;

	PB_TRY(norm(s, s->o, e->final_weight, (struct pb_dev){NULL}, s->normed, err));
	PB_TRY(pb_engine_gemm(e, PB_STAGE_BASE, s->n, e->unembed, D, V, s->normed, D, s->logits, V,
			      (struct pb_dev){NULL}, false, err));
	PB_TRY(e->ops->download(e->dev, s->p, s->logits, s->n * V * sizeof(float), err));
#pragma omp parallel for schedule(dynamic, 1) reduction(+ : hits, negative)
	for (size_t i = 0; i < s->n; i++) {
		size_t t = (size_t)s->tokens[s->first + i];

		hits += in_top(s->c, s->p + i * V, 1.0, s->n_valid, t);
		negative += in_top(s->c, s->p + i * V, -1.0, s->n_valid, t);
	}
	s->out->values[PB_READ_COPYING][at] += (double)hits;
	s->out->values[PB_READ_NEGATIVE_COPYING][at] += (double)negative;
cleanup:
	return status;
}

static enum pb_status read_layer(struct copying *s, size_t layer, struct pb_error *err)
{
	struct pb_engine *e = s->e;
	const struct pb_layer_weights *w = &e->layers[layer];
	const struct pb_arch *a = &e->arch;
	size_t D = a->d_model, H = a->n_heads, KV = a->n_kv_heads, K = a->d_head;
	size_t QKV = pb_qkv_width(a);
	enum pb_status status;

	PB_TRY(pb_engine_hold(e, layer, err));
	if (!a->no_pre_norm)
		PB_TRY(norm(s, s->x, w->norm1_weight, w->norm1_bias, s->normed, err));
	PB_TRY(pb_engine_gemm(e, PB_STAGE_BASE, s->n, w->qkv, D, QKV,
			      a->no_pre_norm ? s->x : s->normed, D, s->qkv, QKV, w->qkv_bias, false,
			      err));
	for (size_t h = 0; h < H; h++) {
		struct pb_dev v = pb_dev_row(s->qkv, (H + KV + h * KV / H) * K, 1);

		PB_TRY(pb_engine_gemm(e, PB_STAGE_BASE, s->n, w->o_head[h], K, D, v, QKV, s->o, D,
				      (struct pb_dev){NULL}, false, err));
		if (a->post_norm)
			PB_TRY(norm(s, s->o, w->attn_post_norm, (struct pb_dev){NULL}, s->o, err));
		PB_TRY(count_hits(s, layer * H + h, err));
	}
cleanup:
	return status;
}

static enum pb_status make_room(struct copying *s, struct pb_error *err)
{
	const struct pb_arch *a = &s->e->arch;
	size_t block = PB_READING_BLOCK, D = a->d_model, V = a->n_vocab;
	enum pb_status status;

	PB_TRY(pb_reading_alloc(s->e, block * D, &s->x, err));
	PB_TRY(pb_reading_alloc(s->e, block * D, &s->normed, err));
	PB_TRY(pb_reading_alloc(s->e, block * D, &s->o, err));
	PB_TRY(pb_reading_alloc(s->e, block * 2, &s->stats, err));
	PB_TRY(pb_reading_alloc(s->e, block * pb_qkv_width(a), &s->qkv, err));
	PB_TRY(pb_reading_alloc(s->e, block * V, &s->logits, err));
	PB_TRY(pb_alloc((void **)&s->p, block * V, sizeof *s->p, "logits", err));
	PB_TRY(pb_alloc((void **)&s->c, V, sizeof *s->c, "logits", err));
cleanup:
	return status;
}

enum pb_status pb_readings_copying(struct pb_engine *e, const struct pb_pairs *pairs,
				   size_t n_valid, struct pb_reading_values *out,
				   struct pb_error *err)
{
	struct copying s = {.e = e, .n_valid = n_valid, .bos = pairs->bos, .out = out};
	size_t heads = e->arch.n_layers * e->arch.n_heads;
	enum pb_status status;

	if (e->arch.n_context < 2) /* no room for BOS */
		s.bos = -1;
	for (size_t h = 0; h < heads; h++)
		out->values[PB_READ_COPYING][h] = out->values[PB_READ_NEGATIVE_COPYING][h] = 0.0;
	PB_TRY(list_tokens(&s, pairs, err));
	PB_TRY(make_room(&s, err));
	PB_TRY(make_constant(&s, err));
	for (; s.first < s.n_tokens; s.first += s.n) {
		s.n = s.n_tokens - s.first;
		s.n = s.n < PB_READING_BLOCK ? s.n : PB_READING_BLOCK;
		PB_TRY(run_first_layer(&s, err));
		for (size_t l = 0; l < e->arch.n_layers; l++)
			PB_TRY(read_layer(&s, l, err));
	}
	for (size_t h = 0; h < heads; h++) {
		out->values[PB_READ_COPYING][h] /= (double)s.n_tokens;
		out->values[PB_READ_NEGATIVE_COPYING][h] /= (double)s.n_tokens;
	}
cleanup:
	pb_reading_release(e, s.x);
	pb_reading_release(e, s.normed);
	pb_reading_release(e, s.o);
	pb_reading_release(e, s.stats);
	pb_reading_release(e, s.qkv);
	pb_reading_release(e, s.logits);
	free(s.tokens);
	free(s.p);
	free(s.c);
	return status;
}
