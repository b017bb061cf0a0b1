/* patterns of whole prompts against float64. */
#include "attention.h"

#define LONGEST ((size_t)70)

/* What one prompt's part of `a` must be, [H, max_length, max_length]. An entry alone has twice the
 * share that is allowed for a sum of them, where errors cancel: its score's error and that of the
 * largest add up. */
static void reference_patterns(struct rig *r, const struct pb_patterns *op, const struct pb_span *p,
			       const float *qkv, double *want, double *tolerance)
{
	const struct pb_heads *hd = &op->heads;
	size_t width = ref_qkv_width(hd), n = (size_t)p->length, T = op->max_length;
	const double *rows = widen(r, qkv + (size_t)p->base * width, n * width);

	for (size_t h = 0; h < hd->n_heads; h++)
		for (size_t i = 0; i < n; i++) {
			double *a = want + (h * T + i) * T;
			double scores = ref_pattern(hd, rows, i, h, a);

			for (size_t j = 0; j <= i; j++)
				tolerance[(h * T + i) * T + j] =
				    ref_sees(i, j, hd->window)
					? 2.0 * pattern_share(scores) * a[j] + 1e-37
					: 0.0;
		}
}

static void patterns_case(struct rig *r, const struct shape *s, size_t n, const size_t *length,
			  size_t max_length)
{
	struct pb_patterns op = {.heads = s->heads, .n_prompts = n, .max_length = max_length};
	size_t width = ref_qkv_width(&s->heads), n_rows;
	size_t each = s->heads.n_heads * max_length * max_length;
	struct pb_span *spans = HOST(r, n, struct pb_span);
	double *want = HOST(r, n * each, double), *tolerance = HOST(r, n * each, double);
	float *qkv, *a, *alone;

	n_rows = place_prompts(r, n, length, spans);
	qkv = qkv_rows(r, s, n_rows, 1.0f);
	for (size_t i = 0; i < n_rows * width; i++) /* values are not read */
		if (i % width >= (s->heads.n_heads + s->heads.n_kv_heads) * s->heads.d_head)
			qkv[i] = NAN;
	for (size_t i = 0; i < n; i++)
		spans[i].first = spans[i].length; /* ignored */
	op.prompts = spans;
	op.qkv = put(r, qkv, n_rows * width);
	op.a = put_sentinel(r, n * each);
	RUN(r, patterns, &op);
	a = fetch(r, op.a, n * each);
	for (size_t i = 0; i < n && !r->replay; i++)
		reference_patterns(r, &op, &spans[i], qkv, want + i * each, tolerance + i * each);
	if (!r->replay)
		check_values(r, "a", n * each, a, want, tolerance);

	/* whatever surrounds it, a row has the same bits */
	op.n_prompts = 1;
	for (size_t i = n; i-- > 0;) {
		size_t T = op.max_length = length[i];

		op.prompts = &spans[i];
		op.a = put_sentinel(r, s->heads.n_heads * T * T);
		RUN(r, patterns, &op);
		alone = fetch(r, op.a, s->heads.n_heads * T * T);
		for (size_t k = 0; k < s->heads.n_heads * T; k++)
			check_bits(r, "a prompt alone", alone + k * T,
				   a + i * each + (k / T * max_length + k % T) * max_length,
				   T * sizeof *a);
	}
}

OPS_TEST(ops_patterns, some_lengths)
{
	static const size_t length[] = {1, 2, 5, 6, 7, 16, 17, 33, 48, LONGEST};

	for (size_t s = 0; s < N_SHAPES; s++) {
		open_prepared(r, &shapes[s].heads, 32, LONGEST);
		begin_shape(r, "patterns", &shapes[s]);
		patterns_case(r, &shapes[s], sizeof length / sizeof *length, length, LONGEST);
		begin_shape(r, "patterns, wider than any prompt", &shapes[s]);
		patterns_case(r, &shapes[s], 4, length + 3, LONGEST - 1);
		begin_shape(r, "patterns of one prompt", &shapes[s]);
		patterns_case(r, &shapes[s], 1, length + 4, length[4]);
		begin_shape(r, "patterns of no prompt", &shapes[s]);
		patterns_case(r, &shapes[s], 0, NULL, 3);
	}
}

/* Memory prepared for a single token is enough for single tokens, which see themselves. */
OPS_TEST(ops_patterns, one_token)
{
	static const size_t length[] = {1, 1, 1};

	for (size_t s = 0; s < N_SHAPES; s++) {
		open_prepared(r, &shapes[s].heads, 8, 1);
		begin_shape(r, "patterns of single tokens", &shapes[s]);
		patterns_case(r, &shapes[s], 3, length, 1);
	}
}
