/* Logit lens: the final norm, its statistics made anew, and the unembedding applied to resid_post
 * of every layer at the answer position. Of the last layer it is the base run itself, to the bit.
 */
#include <math.h>
#include <stdlib.h>

#include "engine/readings.h"

struct lens {
	struct pb_engine *e;
	const struct pb_chunk_run *run;
	struct pb_reading_values *out; /* [2] */
	size_t n_valid;
	size_t first, n;                   /* prompts of the block in work */
	struct pb_dev x, y, stats, logits; /* [PB_READING_BLOCK, D | D | 2 | V] */
};

size_t pb_lens_bytes(const struct pb_arch *a)
{
	return PB_READING_BLOCK * (2 * a->d_model + 2 + a->n_vocab) * sizeof(float);
}

static void store(const struct lens *s, enum pb_reading reading, size_t i, size_t layer,
		  double value)
{
	size_t prompt = s->first + i;
	double *to = s->out[prompt % 2].values[reading];

	if (to)
		to[prompt / 2 * s->e->arch.n_layers + layer] = value;
}

/* Logits of answer and foil come from dot products in float64, as those of the base runs do. */
static enum pb_status score(const struct lens *s, size_t layer, struct pb_error *err)
{
	int32_t row[2 * PB_READING_BLOCK], target[2 * PB_READING_BLOCK];
	int32_t base[PB_READING_BLOCK], answer[PB_READING_BLOCK], foil[PB_READING_BLOCK];
	double logit[2 * PB_READING_BLOCK];
	struct pb_vocabulary_score scores[PB_READING_BLOCK];
	struct pb_dots dots = {.n = 2 * s->n,
			       .d_model = s->e->arch.d_model,
			       .x = s->y,
			       .t = s->run->targets,
			       .x_row = row,
			       .t_row = target,
			       .out = logit};
	struct pb_vocabulary vocabulary = {.n = s->n,
					   .softcap = s->e->arch.logit_softcap,
					   .n_vocab = s->e->arch.n_vocab,
					   .n_valid = s->n_valid,
					   .logits0 = s->logits,
					   .base = base,
					   .answer = answer,
					   .foil = foil,
					   .out = scores};
	enum pb_status status;

	for (size_t i = 0; i < s->n; i++) {
		size_t pair = (s->first + i) / 2;

		base[i] = row[2 * i] = row[2 * i + 1] = (int32_t)i;
		target[2 * i] = (int32_t)s->run->target[pair];
		target[2 * i + 1] = target[2 * i] + 1;
		answer[i] = s->run->pairs[pair].answer;
		foil[i] = s->run->pairs[pair].foil;
	}
	PB_STAGE(s->e, PB_STAGE_BASE, s->e->ops->dots(s->e->dev, &dots, err));
	PB_STAGE(s->e, PB_STAGE_BASE, s->e->ops->vocabulary(s->e->dev, &vocabulary, err));
	PB_TRY(pb_engine_wait(s->e, err));
	for (size_t i = 0; i < s->n; i++) {
		const struct pb_vocabulary_score *v = &scores[i];
		const float *bias = s->run->target_bias + s->run->target[(s->first + i) / 2];

		store(s, PB_READ_LENS_LOGIT_DIFF, i, layer,
		      pb_softcap(logit[2 * i] + (double)bias[0], s->run->softcap) -
			  pb_softcap(logit[2 * i + 1] + (double)bias[1], s->run->softcap));
		store(s, PB_READ_LENS_PROB_ANSWER, i, layer, exp(v->logit_answer - v->lse));
		store(s, PB_READ_LENS_PROB_FOIL, i, layer, exp(v->logit_foil - v->lse));
		store(s, PB_READ_LENS_RANK_ANSWER, i, layer, v->rank_answer);
		store(s, PB_READ_LENS_RANK_FOIL, i, layer, v->rank_foil);
	}
cleanup:
	return status;
}

static enum pb_status read_layer(const struct lens *s, size_t layer, struct pb_error *err)
{
	struct pb_engine *e = s->e;
	size_t D = e->arch.d_model, V = e->arch.n_vocab;
	struct pb_dev rows = pb_dev_at(s->run->batch.answer_row_dev, s->first * sizeof(int32_t));
	struct pb_norm_op norm = {.kind = e->arch.norm,
				  .eps = e->arch.norm_eps,
				  .n_rows = s->n,
				  .d_model = D,
				  .x = s->x,
				  .weight = e->final_weight,
				  .bias = e->final_bias,
				  .y = s->y,
				  .stats = s->stats};
	enum pb_status status;

	PB_TRY(pb_reading_gather(e, s->run->cache.x_pre[layer + 1], rows, s->n, D, s->x, err));
	PB_TRY(e->ops->norm(e->dev, &norm, err));
	PB_TRY(pb_engine_gemm(e, PB_STAGE_BASE, s->n, e->unembed, D, V, s->y, D, s->logits, V,
			      e->unembed_bias, false, err));
	PB_TRY(score(s, layer, err));
cleanup:
	return status;
}

enum pb_status pb_readings_lens(struct pb_engine *e, const struct pb_chunk_run *run, size_t n_valid,
				struct pb_reading_values out[2], struct pb_error *err)
{
	struct lens s = {.e = e, .run = run, .out = out, .n_valid = n_valid};
	size_t n = 2 * run->n_pairs, block = PB_READING_BLOCK, D = e->arch.d_model;
	enum pb_status status;

	PB_TRY(pb_reading_alloc(e, block * D, &s.x, err));
	PB_TRY(pb_reading_alloc(e, block * D, &s.y, err));
	PB_TRY(pb_reading_alloc(e, block * 2, &s.stats, err));
	PB_TRY(pb_reading_alloc(e, block * e->arch.n_vocab, &s.logits, err));
	for (; s.first < n; s.first += s.n) {
		s.n = n - s.first < block ? n - s.first : block;
		for (size_t l = 0; l < e->arch.n_layers; l++)
			PB_TRY(read_layer(&s, l, err));
	}
cleanup:
	pb_reading_release(e, s.x);
	pb_reading_release(e, s.y);
	pb_reading_release(e, s.stats);
	pb_reading_release(e, s.logits);
	return status;
}
