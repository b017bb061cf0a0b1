/* attention of whole prompts against float64. */
#include "attention.h"

#define LONGEST ((size_t)70)

/* One prompt's z, and what is allowed for each element of it. */
static void reference_prompt(struct rig *r, const struct pb_heads *hd, const struct pb_span *p,
			     const float *qkv, double *want, double *tolerance)
{
	size_t width = ref_qkv_width(hd), K = hd->d_head, n = (size_t)p->length;
	const double *rows = widen(r, qkv + (size_t)p->base * width, n * width);

	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < hd->n_heads; h++) {
			size_t at = (((size_t)p->base + i) * hd->n_heads + h) * K;
			double a[LONGEST], scores = ref_attend(hd, rows, i, h, a, want + at);

			for (size_t d = 0; d < K; d++) {
				double terms = 0.0;

				for (size_t j = 0; j <= i; j++)
					terms +=
					    a[j] * fabs(rows[j * width + ref_v_column(hd, h) + d]);
				tolerance[at + d] = pattern_share(scores) * terms + 1e-37;
			}
		}
}

static void attention_case(struct rig *r, const struct shape *s, size_t n, const size_t *length)
{
	struct pb_attention op = {.heads = s->heads, .n_prompts = n, .max_length = LONGEST};
	size_t Z = s->heads.n_heads * s->heads.d_head, n_rows;
	struct pb_span *spans;
	double *want, *tolerance;
	float *qkv, *z, *alone;

	spans = HOST(r, n, struct pb_span);
	n_rows = place_prompts(r, n, length, spans);
	qkv = qkv_rows(r, s, n_rows, 1.0f);
	op.prompts = spans;
	op.qkv = put(r, qkv, n_rows * ref_qkv_width(&s->heads));
	op.z = put_sentinel(r, n_rows * Z);
	RUN(r, attention, &op);
	z = fetch(r, op.z, n_rows * Z);
	want = HOST(r, n_rows * Z, double);
	tolerance = HOST(r, n_rows * Z, double);
	for (size_t i = 0; i < n_rows * Z; i++)
		want[i] = (double)SENTINEL;
	for (size_t i = 0; i < n && !r->replay; i++)
		reference_prompt(r, &s->heads, &spans[i], qkv, want, tolerance);
	if (!r->replay)
		check_values(r, "z", n_rows * Z, z, want, tolerance);

	op.z = put_sentinel(r, n_rows * Z);
	op.n_prompts = 1;
	for (size_t i = n; i-- > 0;) {
		op.prompts = &spans[i];
		RUN(r, attention, &op);
	}
	alone = fetch(r, op.z, n_rows * Z);
	check_bits(r, "a prompt alone", alone, z, n_rows * Z * sizeof *z);
}

OPS_TEST(ops_attention, some_lengths)
{
	static const size_t length[] = {1, 2, 5, 6, 7, 15, 16, 17, 31, 33, 48, 64, 65, LONGEST};

	for (size_t s = 0; s < N_SHAPES; s++) {
		begin_shape(r, "attention", &shapes[s]);
		open_prepared(r, &shapes[s].heads, 32, LONGEST);
		attention_case(r, &shapes[s], sizeof length / sizeof *length, length);
		begin_shape(r, "attention of one prompt", &shapes[s]);
		attention_case(r, &shapes[s], 1, length + 4);
		begin_shape(r, "attention of no prompt", &shapes[s]);
		attention_case(r, &shapes[s], 0, NULL);
	}
}

OPS_TEST(ops_attention, every_length)
{
	size_t length[LONGEST];

	for (size_t i = 0; i < LONGEST; i++)
		length[i] = i + 1;
	for (size_t s = 2; s < 4; s++) {
		begin_shape(r, "attention of every length", &shapes[s]);
		open_prepared(r, &shapes[s].heads, 32, LONGEST);
		attention_case(r, &shapes[s], LONGEST, length);
	}
}

/* Memory prepared for a single token is enough for single tokens: z is v. */
OPS_TEST(ops_attention, one_token)
{
	static const size_t length[] = {1, 1, 1};

	for (size_t s = 0; s < N_SHAPES; s++) {
		begin_shape(r, "attention of single tokens", &shapes[s]);
		open_prepared(r, &shapes[s].heads, 8, 1);
		attention_case(r, &shapes[s], 3, length);
	}
}

/* As many heads of prompts as make work for two threads. */
OPS_TEST(ops_attention, many_prompts)
{
	enum { N = 80 };
	static const struct shape wide = {{8, 8, 64, 0.125f, 0, 0.0f}, 1.0f};
	size_t length[N];

	for (size_t i = 0; i < N; i++)
		length[i] = 1 + i % 25;
	begin_shape(r, "attention of many prompts", &wide);
	open_prepared(r, &wide.heads, 32, 25);
	attention_case(r, &wide, N, length);
}

/* Prompts that begin with a prefix of another's rows have the bits of whole prompts. */
OPS_TEST(ops_attention, shared_prefixes)
{
	enum { N = 9, BEHIND = 30 };
	static const size_t prefix[] = {1, 5, 16, 31, 32, 33, 40};
	size_t own[N] = {1, 2, 7, 8, 16, 17, 29, 30, 1};

	for (size_t s = 0; s < N_SHAPES; s++)
		for (size_t c = 0; c < sizeof prefix / sizeof *prefix; c++) {
			const struct pb_heads *hd = &shapes[s].heads;
			size_t width = ref_qkv_width(hd), Z = hd->n_heads * hd->d_head;
			size_t P = prefix[c], n_rows = P + (size_t)N * BEHIND, n_whole = 0;
			struct pb_attention op = {
			    .heads = *hd, .n_prompts = N + 1, .max_length = LONGEST};
			struct pb_span *spans, *whole;
			const float *qkv, *z, *want;
			float *wide;

			begin_shape(r, "attention behind a prefix", &shapes[s]);
			open_prepared(r, hd, 32, LONGEST);
			spans = HOST(r, N + 1, struct pb_span);
			whole = HOST(r, N, struct pb_span);
			qkv = qkv_rows(r, &shapes[s], n_rows, 1.0f);
			wide = HOST(r, (size_t)N * LONGEST * width, float);
			/* the prefix stands last, in rows that no other prompt has */
			spans[N] = (struct pb_span){.base = (int32_t)(n_rows - P),
						    .length = (int32_t)P,
						    .row = (int32_t)(n_rows - P)};
			for (size_t i = 0; i < N; i++) {
				spans[i] = (struct pb_span){.base = spans[N].base,
							    .length = (int32_t)(P + own[i]),
							    .first = (int32_t)P,
							    .row = (int32_t)(i * BEHIND)};
				whole[i] = (struct pb_span){.base = (int32_t)n_whole,
							    .length = (int32_t)(P + own[i]),
							    .row = (int32_t)n_whole};
				memcpy(wide + n_whole * width, qkv + (n_rows - P) * width,
				       P * width * sizeof *wide);
				memcpy(wide + (n_whole + P) * width, qkv + i * BEHIND * width,
				       own[i] * width * sizeof *wide);
				n_whole += P + own[i];
			}
			op.prompts = spans;
			op.qkv = put(r, qkv, n_rows * width);
			op.z = put_sentinel(r, n_rows * Z);
			RUN(r, attention, &op);
			z = fetch(r, op.z, n_rows * Z);
			op.prompts = whole;
			op.n_prompts = N;
			op.qkv = put(r, wide, n_whole * width);
			op.z = put_sentinel(r, n_whole * Z);
			RUN(r, attention, &op);
			want = fetch(r, op.z, n_whole * Z);
			for (size_t i = 0; i < N && !r->replay; i++) {
				check_bits(r, "own rows", z + i * BEHIND * Z,
					   want + ((size_t)whole[i].base + P) * Z,
					   own[i] * Z * sizeof *z);
				for (size_t k = own[i] * Z; k < BEHIND * Z; k++)
					CHECK(z[i * BEHIND * Z + k] == SENTINEL,
					      "%s: a row behind prompt %zu is written", r->label,
					      i);
			}
			if (!r->replay)
				check_bits(r, "the prefix", z + (n_rows - P) * Z, want,
					   P * Z * sizeof *z);
		}
}

/* A NaN in a query, key or value comes out wherever it is seen. */
OPS_TEST(ops_attention, nan)
{
	enum { N = 20, AT = 13 };
	const struct pb_heads *hd = &shapes[2].heads;
	size_t width = ref_qkv_width(hd), Z = hd->n_heads * hd->d_head;
	struct pb_span prompt = {.length = N};
	const size_t column[] = {ref_q_column(hd, 0), ref_k_column(hd, 0), ref_v_column(hd, 0)};

	open_prepared(r, hd, 32, N);
	for (size_t k = 0; k < 3; k++) {
		struct pb_attention op = {
		    .heads = *hd, .n_prompts = 1, .prompts = &prompt, .max_length = N};
		float *qkv;
		const float *z;

		begin_shape(r, "attention with a NaN", &shapes[2]);
		qkv = qkv_rows(r, &shapes[2], N, 1.0f);
		qkv[AT * width + column[k] + 3] = NAN;
		op.qkv = put(r, qkv, N * width);
		op.z = put_sentinel(r, N * Z);
		RUN(r, attention, &op);
		z = fetch(r, op.z, N * Z);
		for (size_t i = AT; i < (k == 0 ? AT + 1 : N); i++)
			CHECK(isnan(z[i * Z + 3]), "%s: part %zu, z of row %zu is %g", r->label, k,
			      i, (double)z[i * Z + 3]);
		/* other KV heads do not see it */
		for (size_t i = 0; i < N; i++)
			CHECK(isfinite(z[i * Z + Z - 1]), "%s: part %zu, row %zu", r->label, k, i);
	}
}
