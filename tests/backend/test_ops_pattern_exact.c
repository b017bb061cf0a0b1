/* What attention_delta gives exactly where nothing changes, or a pattern takes its own place; and
 * that a pattern which is replaced is not read. */
#include "attention.h"

#define LONGEST ((size_t)37)

/* Variants of one recipient without any change of q, k, v. */
struct still {
	struct pb_attention_delta op;
	struct pb_span *spans;
	struct pb_pattern_edit *edits;
	size_t n, n_delta, Z;
	float *qkv0, *dqkv;
};

static struct still still_variants(struct rig *r, const struct shape *s, size_t n)
{
	size_t width = ref_qkv_width(&s->heads);
	struct still c = {.op = {.heads = s->heads, .n_variants = n, .max_length = LONGEST},
			  .n = n,
			  .n_delta = n * LONGEST,
			  .Z = s->heads.n_heads * s->heads.d_head};

	open_prepared(r, &s->heads, 32, LONGEST);
	begin_shape(r, "no change of q, k, v", s);
	c.op.variants = c.spans = HOST(r, n, struct pb_span);
	c.op.edits = c.edits = HOST(r, n * s->heads.n_heads, struct pb_pattern_edit);
	for (size_t v = 0; v < n; v++)
		c.spans[v] = (struct pb_span){.length = LONGEST,
					      .first = (int32_t)(v % LONGEST),
					      .row = (int32_t)(v * LONGEST)};
	c.qkv0 = qkv_rows(r, s, LONGEST, 1.0f);
	c.dqkv = HOST(r, c.n_delta * width, float);
	c.op.qkv0 = put(r, c.qkv0, LONGEST * width);
	c.op.dqkv = put(r, c.dqkv, c.n_delta * width);
	c.op.dz = put_sentinel(r, c.n_delta * c.Z);
	return c;
}

static void check_zero(struct rig *r, const struct still *c)
{
	const float *dz;

	RUN(r, attention_delta, &c->op);
	dz = fetch(r, c->op.dz, c->n_delta * c->Z);
	for (size_t v = 0; v < c->n; v++)
		for (size_t i = 0; i < (LONGEST - (size_t)c->spans[v].first) * c->Z; i++)
			CHECK(dz[(size_t)c->spans[v].row * c->Z + i] == 0.0f,
			      "%s: variant %zu: dz[%zu] is %g", r->label, v, i,
			      (double)dz[(size_t)c->spans[v].row * c->Z + i]);
}

/* Nothing changes, nothing is edited: exactly nothing comes out. Without edits in the call, the
 * spans' ranges mean nothing. */
OPS_TEST(ops_pattern_exact, no_change)
{
	for (size_t s = 0; s < N_SHAPES; s++) {
		struct still c = still_variants(r, &shapes[s], 5);

		check_zero(r, &c);
		c.op.edits = NULL;
		for (size_t v = 0; v < c.n; v++)
			c.spans[v].edit = c.spans[v].n_edits = 1000;
		check_zero(r, &c);
	}
}

/* The recipient's own pattern in the place of itself, from its rows and from the patterns that the
 * backend gave out. */
OPS_TEST(ops_pattern_exact, own_pattern)
{
	static const struct pb_span prompt = {.length = LONGEST};

	for (size_t s = 0; s < N_SHAPES; s++) {
		const struct pb_heads *hd = &shapes[s].heads;
		struct still c = still_variants(r, &shapes[s], 5);
		struct pb_patterns given = {.heads = *hd,
					    .n_prompts = 1,
					    .prompts = &prompt,
					    .max_length = LONGEST,
					    .qkv = c.op.qkv0};

		given.a = put_sentinel(r, hd->n_heads * LONGEST * LONGEST);
		RUN(r, patterns, &given);
		c.op.table = given.a;
		c.op.table_stride = LONGEST;
		for (size_t k = 0; k < c.n * hd->n_heads; k++) {
			size_t v = k / hd->n_heads, h = k % hd->n_heads, at = 3 * v;
			bool from_table = k % 2;

			c.edits[k] = (struct pb_pattern_edit){
			    .head = (int32_t)h,
			    .query = (int32_t)at,
			    .n_queries = (int32_t)(LONGEST - at),
			    .n_keys = LONGEST,
			    .source_base = from_table ? -1 : 0,
			    .table_row = from_table ? (int32_t)(h * LONGEST + at) : -1,
			    .source = 1.0f};
			c.spans[v].edit = (int32_t)(v * hd->n_heads);
			c.spans[v].n_edits = (int32_t)hd->n_heads;
		}
		check_zero(r, &c);
	}
}

/* A pattern that is replaced throughout is not read: its queries may be NaN. */
OPS_TEST(ops_pattern_exact, unread_pattern)
{
	struct still c = still_variants(r, &shapes[2], 3);
	const struct pb_heads *hd = &shapes[2].heads;
	size_t width = ref_qkv_width(hd), AT = 9;
	struct pb_attention op = {.heads = *hd, .n_prompts = 1, .max_length = LONGEST};
	struct pb_span prompt = {.length = LONGEST, .n_edits = (int32_t)hd->n_heads};
	const float *z;

	for (size_t h = 0; h < hd->n_heads; h++)
		c.edits[h] = (struct pb_pattern_edit){.head = (int32_t)h,
						      .query = (int32_t)AT,
						      .n_queries = 1,
						      .n_keys = LONGEST,
						      .source_base = h % 2 ? -1 : 0,
						      .table_row = -1,
						      .source = 1.0f};
	for (size_t v = 0; v < c.n; v++) {
		c.spans[v].n_edits = (int32_t)hd->n_heads;
		for (size_t k = 0; k < hd->n_heads * hd->d_head; k++)
			c.dqkv[((size_t)c.spans[v].row + AT - v) * width + k] = NAN;
	}
	c.op.dqkv = put(r, c.dqkv, c.n_delta * width);
	RUN(r, attention_delta, &c.op);
	z = fetch(r, c.op.dz, c.n_delta * c.Z);
	for (size_t v = 0; v < c.n; v++)
		for (size_t i = 0; i < (LONGEST - v) * c.Z; i++)
			CHECK(isfinite(z[v * LONGEST * c.Z + i]), "%s: variant %zu: dz[%zu]",
			      r->label, v, i);

	op.source_qkv = c.op.qkv0;
	for (size_t k = 0; k < hd->n_heads * hd->d_head; k++)
		c.qkv0[AT * width + k] = NAN;
	op.qkv = put(r, c.qkv0, LONGEST * width);
	op.z = put_sentinel(r, LONGEST * c.Z);
	op.prompts = &prompt;
	op.edits = c.edits;
	RUN(r, attention, &op);
	z = fetch(r, op.z, LONGEST * c.Z);
	for (size_t i = 0; i < LONGEST * c.Z; i++)
		CHECK(isfinite(z[i]), "%s: z[%zu]", r->label, i);
}
