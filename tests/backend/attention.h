/* What the three attention tests share: prompts packed in no order with rows between them, and the
 * variants of recipients. */
#ifndef PB_TEST_ATTENTION_H
#define PB_TEST_ATTENTION_H

#include "device.h"

struct shape {
	struct pb_heads heads;
	float spread; /* of q and k: 1 makes scores of order one */
};

/* Head widths 1 to 256, grouped queries, windows (one that sees itself only, one wider than every
 * prompt), unscaled scores (GPT-Neo) whose softmax saturates,
 * softcapped scores. */
static const struct shape shapes[] = {
    {{1, 1, 1, 1.0f, 0, 0.0f}, 1.0f},      {{3, 3, 5, 0.447f, 0, 0.0f}, 1.0f},
    {{4, 2, 16, 0.25f, 0, 0.0f}, 1.5f},    {{4, 1, 16, 0.25f, 7, 0.0f}, 1.0f},
    {{6, 2, 5, 0.5f, 1, 0.0f}, 1.0f},      {{2, 2, 64, 0.125f, 0, 0.0f}, 1.0f},
    {{3, 1, 80, 0.1118f, 16, 0.0f}, 2.0f}, {{2, 2, 16, 1.0f, 256, 0.0f}, 3.0f},
    {{5, 5, 16, 1.0f, 0, 0.0f}, 6.0f},     {{4, 2, 16, 0.25f, 5, 2.0f}, 3.0f},
    {{2, 1, 256, 0.0625f, 0, 0.0f}, 1.0f},
};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static inline void begin_shape(struct rig *r, const char *what, const struct shape *s)
{
	const struct pb_heads *hd = &s->heads;

	begin_case(r, "%s: %zu/%zu heads of %zu, window %zu, x %g", what, hd->n_heads,
		   hd->n_kv_heads, hd->d_head, hd->window, (double)s->spread);
}

/* Rows of q | k | v. */
static inline float *qkv_rows(struct rig *r, const struct shape *s, size_t n, float scale)
{
	size_t width = ref_qkv_width(&s->heads);
	size_t keys_end = (s->heads.n_heads + s->heads.n_kv_heads) * s->heads.d_head;
	float *qkv = normals(r, n * width, scale);

	for (size_t i = 0; i < n * width; i++)
		if (i % width < keys_end)
			qkv[i] *= s->spread;
	return qkv;
}

/* Places for n whole prompts of these lengths: in no order, up to two rows apart. Returns the
 * number of rows; the last of them belong to none. */
static inline size_t place_prompts(struct rig *r, size_t n, const size_t *length,
				   struct pb_span *spans)
{
	int32_t *order = permutation(r, n);
	size_t row = 2;

	for (size_t i = 0; i < n; i++) {
		struct pb_span *s = &spans[order[i]];

		s->base = s->row = (int32_t)row;
		s->length = (int32_t)length[order[i]];
		row += length[order[i]] + pb_rng_below(&r->rng, 3);
	}
	return row + 2;
}

/* Error of sum_j a_j v_j for patterns a made of scores whose terms add up to `scores`: a score is
 * off by about U times that (twice: it is scaled and shifted), and so are, relatively, the
 * exponential (good to 2 U), its sum and the terms of the sum over j. Taken twice. */
static inline double pattern_share(double scores)
{
	return 2.0 * U * (2.0 * scores + 4.0);
}

#endif
