/* attention_delta against the difference of two full attentions in float64. */
#include "attention.h"

#define LONGEST ((size_t)70)

struct delta_case {
	struct pb_attention_delta op;
	struct pb_span *variants; /* op.variants */
	size_t n_base, n_delta;   /* rows */
	const float *qkv0, *dqkv;
};

/* dz of row `at` (position `i`) and head h of a variant from the two runs' rows, and what is
 * allowed: both patterns carry their scores' rounding, whatever the size of the change. */
static void reference_row(const struct delta_case *c, const double *before, const double *after,
			  size_t i, size_t h, double *want, double *tolerance)
{
	const struct pb_heads *hd = &c->op.heads;
	size_t width = ref_qkv_width(hd), K = hd->d_head, v = ref_v_column(hd, h);
	double a0[LONGEST], a1[LONGEST], z0[K], z1[K], scores;

	scores = ref_attend(hd, before, i, h, a0, z0);
	scores = fmax(scores, ref_attend(hd, after, i, h, a1, z1));
	for (size_t d = 0; d < K; d++) {
		double terms = 0.0;

		for (size_t j = 0; j <= i; j++) {
			double v0 = before[j * width + v + d], v1 = after[j * width + v + d];

			terms += (a0[j] + a1[j]) * fabs(v0) + a1[j] * fabs(v1 - v0);
		}
		want[d] = z1[d] - z0[d];
		tolerance[d] = pattern_share(scores) * terms + 1e-37;
	}
}

static void check_delta(struct rig *r, const struct delta_case *c, const float *dz)
{
	const struct pb_heads *hd = &c->op.heads;
	size_t width = ref_qkv_width(hd), Z = hd->n_heads * hd->d_head;
	double *want = HOST(r, c->n_delta * Z, double);
	double *tolerance = HOST(r, c->n_delta * Z, double);

	for (size_t i = 0; i < c->n_delta * Z; i++)
		want[i] = (double)SENTINEL;
	for (size_t v = 0; v < c->op.n_variants; v++) {
		const struct pb_span *p = &c->variants[v];
		size_t n = (size_t)p->length, first = (size_t)p->first;
		const float *delta = c->dqkv + (size_t)p->row * width;
		const double *before = widen(r, c->qkv0 + (size_t)p->base * width, n * width);
		double *after = widen(r, c->qkv0 + (size_t)p->base * width, n * width);

		for (size_t i = 0; i < (n - first) * width; i++)
			after[first * width + i] += (double)delta[i];
		for (size_t i = first; i < n; i++)
			for (size_t h = 0; h < hd->n_heads; h++) {
				size_t at = ((size_t)p->row + i - first) * Z + h * hd->d_head;

				reference_row(c, before, after, i, h, want + at, tolerance + at);
			}
	}
	check_values(r, "dz", c->n_delta * Z, dz, want, tolerance);
}

/* The same where only values change: dz = sum_j a_j dv_j. */
static void check_tiny_values(struct rig *r, const struct delta_case *c, const float *dz)
{
	const struct pb_heads *hd = &c->op.heads;
	size_t width = ref_qkv_width(hd), K = hd->d_head;

	for (size_t v = 0; v < c->op.n_variants; v++) {
		const struct pb_span *p = &c->variants[v];
		size_t n = (size_t)p->length, first = (size_t)p->first;
		const double *rows = widen(r, c->qkv0 + (size_t)p->base * width, n * width);
		const float *delta = c->dqkv + (size_t)p->row * width;

		for (size_t t = 0; t < (n - first) * hd->n_heads; t++) {
			size_t i = first + t / hd->n_heads, h = t % hd->n_heads;
			size_t at = ((size_t)p->row + i - first) * hd->n_heads * K + h * K;
			double a[LONGEST], z[K], scores = ref_attend(hd, rows, i, h, a, z);

			for (size_t d = 0; d < K; d++) {
				double want = 0.0, terms = 0.0;

				for (size_t j = first; j <= i; j++) {
					double dv = (double)
					    delta[(j - first) * width + ref_v_column(hd, h) + d];

					want += a[j] * dv;
					terms += a[j] * fabs(dv);
				}
				check_value(r, "dz", at + d, (double)dz[at + d], want,
					    pattern_share(scores) * terms + 1e-37);
			}
		}
	}
}

/* Delta rows for the variants, in no order and up to one row apart. */
static void place_variants(struct rig *r, struct delta_case *c)
{
	int32_t *order = permutation(r, c->op.n_variants);

	c->n_delta = 1;
	for (size_t i = 0; i < c->op.n_variants; i++) {
		struct pb_span *p = &c->variants[order[i]];

		p->row = (int32_t)c->n_delta;
		c->n_delta += (size_t)(p->length - p->first) + pb_rng_below(&r->rng, 2);
	}
	c->n_delta++;
}

/* Run the variants, which have a recipient and a first position. */
static void delta_case(struct rig *r, const struct shape *s, struct delta_case *c, float scale)
{
	size_t width = ref_qkv_width(&s->heads), Z = s->heads.n_heads * s->heads.d_head, n;
	float *dz, *alone;

	place_variants(r, c);
	c->op.heads = s->heads;
	c->op.variants = c->variants;
	c->qkv0 = qkv_rows(r, s, c->n_base, 1.0f);
	c->dqkv = qkv_rows(r, s, c->n_delta, scale);
	n = c->n_delta * Z;
	c->op.qkv0 = put(r, c->qkv0, c->n_base * width);
	c->op.dqkv = put(r, c->dqkv, c->n_delta * width);
	c->op.dz = put_sentinel(r, n);
	RUN(r, attention_delta, &c->op);
	dz = fetch(r, c->op.dz, n);
	if (!r->replay)
		check_delta(r, c, dz);

	c->op.dz = put_sentinel(r, n);
	for (size_t v = c->op.n_variants; v-- > 0;) {
		struct pb_attention_delta one = c->op;

		one.n_variants = 1;
		one.variants = c->variants + v;
		RUN(r, attention_delta, &one);
	}
	alone = fetch(r, c->op.dz, n);
	check_bits(r, "a variant alone", alone, dz, n * sizeof *dz);
}

/* Variants of every recipient that change all of it, one token in the middle, or the last:
 * recipient by recipient, or one of each in turn. */
static void mixed_variants(struct rig *r, struct delta_case *c, size_t n_prompts,
			   const size_t *length, bool in_turn)
{
	enum { PER_PROMPT = 4 };
	struct pb_span *prompts = HOST(r, n_prompts, struct pb_span);
	size_t n = n_prompts * PER_PROMPT;

	c->n_base = place_prompts(r, n_prompts, length, prompts);
	c->variants = HOST(r, n, struct pb_span);
	c->op.n_variants = n;
	c->op.max_length = LONGEST;
	for (size_t v = 0; v < n; v++) {
		size_t p = in_turn ? v % n_prompts : v / PER_PROMPT;
		size_t k = in_turn ? v / n_prompts : v % PER_PROMPT;
		const size_t first[PER_PROMPT] = {length[p] / 2, length[p] - 1, 0,
						  pb_rng_below(&r->rng, length[p])};

		c->variants[v] = prompts[p];
		c->variants[v].first = (int32_t)first[k];
	}
}

OPS_TEST(ops_attention_delta, variants)
{
	static const size_t length[] = {1, 2, 7, 16, 33, LONGEST};
	static const float scales[] = {1.0f, 1e-4f};

	for (size_t s = 0; s < N_SHAPES; s++) {
		open_prepared(r, &shapes[s].heads, 32, LONGEST);
		for (size_t k = 0; k < 2; k++) {
			struct delta_case c = {.n_base = 0};

			begin_shape(r, k ? "change of attention, in turn" : "change of attention",
				    &shapes[s]);
			mixed_variants(r, &c, sizeof length / sizeof *length, length, k);
			delta_case(r, &shapes[s], &c, scales[k]);
		}
	}
}

/* A prompt as long as the memory was prepared for, changed from each of its positions on. */
OPS_TEST(ops_attention_delta, each_first_position)
{
	static const size_t lengths[] = {1, 17, LONGEST};

	for (size_t k = 0; k < 3; k++) {
		size_t n = lengths[k];
		struct delta_case c = {.op = {.n_variants = n, .max_length = n}};

		begin_shape(r, "change from each position", &shapes[3]);
		open_prepared(r, &shapes[3].heads, 32, n);
		c.variants = HOST(r, n, struct pb_span);
		c.n_base = n;
		for (size_t v = 0; v < n; v++)
			c.variants[v] =
			    (struct pb_span){.length = (int32_t)n, .first = (int32_t)(n - 1 - v)};
		delta_case(r, &shapes[3], &c, 0.3f);
	}
}

/* Spans of one recipient that end before the prompt does, long and short ones in turn. */
OPS_TEST(ops_attention_delta, ends_early)
{
	enum { N = 24 };

	for (size_t s = 0; s < N_SHAPES; s++) {
		struct delta_case c = {.n_base = LONGEST,
				       .op = {.n_variants = N, .max_length = LONGEST}};

		begin_shape(r, "spans that end early", &shapes[s]);
		open_prepared(r, &shapes[s].heads, 32, LONGEST);
		c.variants = HOST(r, N, struct pb_span);
		for (size_t v = 0; v < N; v++) {
			size_t end = 1 + pb_rng_below(&r->rng, LONGEST);

			c.variants[v].length = (int32_t)end;
			c.variants[v].first = (int32_t)pb_rng_below(&r->rng, end);
		}
		delta_case(r, &shapes[s], &c, 1.0f);
	}
}

/* More variants of one recipient, and more recipients in turn, than a backend takes in one bite. */
OPS_TEST(ops_attention_delta, many_variants)
{
	enum { N_PROMPTS = 4, N_SAME = 75, N = N_SAME + 400 };
	static const size_t length[N_PROMPTS] = {3, 6, 1, 4};
	struct pb_span prompts[N_PROMPTS] = {{0}};
	struct delta_case c = {.op = {.n_variants = N, .max_length = 6}};

	begin_shape(r, "many variants", &shapes[1]);
	open_prepared(r, &shapes[1].heads, 8, 6);
	c.n_base = place_prompts(r, N_PROMPTS, length, prompts);
	c.variants = HOST(r, N, struct pb_span);
	for (size_t v = 0; v < N; v++) {
		size_t p = v < N_SAME ? 1 : v % N_PROMPTS;

		c.variants[v] = prompts[p];
		c.variants[v].first = (int32_t)pb_rng_below(&r->rng, length[p]);
	}
	delta_case(r, &shapes[1], &c, 1.0f);
}

/* Where only values change, both patterns are the same numbers: then nothing cancels, and rounding
 * is relative to the change of the values, however small. */
OPS_TEST(ops_attention_delta, tiny_values)
{
	static const size_t length[] = {1, 9, 40};

	for (size_t s = 0; s < N_SHAPES; s++) {
		const struct pb_heads *hd = &shapes[s].heads;
		size_t width = ref_qkv_width(hd), Z = hd->n_heads * hd->d_head;
		struct delta_case c = {.n_base = 0};
		float *dqkv;
		const float *dz;

		begin_shape(r, "tiny changes of values", &shapes[s]);
		open_prepared(r, hd, 32, LONGEST);
		mixed_variants(r, &c, sizeof length / sizeof *length, length, false);
		place_variants(r, &c);
		c.op.heads = *hd;
		c.op.variants = c.variants;
		c.qkv0 = qkv_rows(r, &shapes[s], c.n_base, 1.0f);
		c.dqkv = dqkv = HOST(r, c.n_delta * width, float);
		for (size_t i = 0; i < c.n_delta * width; i++)
			if (i % width >= (hd->n_heads + hd->n_kv_heads) * hd->d_head)
				dqkv[i] = 1e-6f * normal(r);
		c.op.qkv0 = put(r, c.qkv0, c.n_base * width);
		c.op.dqkv = put(r, c.dqkv, c.n_delta * width);
		c.op.dz = put_sentinel(r, c.n_delta * Z);
		RUN(r, attention_delta, &c.op);
		dz = fetch(r, c.op.dz, c.n_delta * Z);
		if (!r->replay)
			check_tiny_values(r, &c, dz);
	}
}

/* A part of the heads, first .. last: their columns have the bits that they have among all, no
 * other is written, and what only other heads need is NaN. */
static void heads_case(struct rig *r, const struct delta_case *c, const float *whole, size_t first,
		       size_t last)
{
	const struct pb_heads *hd = &c->op.heads;
	size_t width = ref_qkv_width(hd), K = hd->d_head, Z = hd->n_heads * K;
	struct pb_attention_delta op = c->op;
	bool *used = HOST(r, width, bool);
	float *qkv0 = HOST(r, c->n_base * width, float), *dqkv = HOST(r, c->n_delta * width, float);
	const float *dz;

	for (size_t h = first; h <= last; h++)
		for (size_t d = 0; d < K; d++)
			used[ref_q_column(hd, h) + d] = used[ref_k_column(hd, h) + d] =
			    used[ref_v_column(hd, h) + d] = true;
	for (size_t i = 0; i < c->n_base * width; i++)
		qkv0[i] = used[i % width] ? c->qkv0[i] : NAN;
	for (size_t i = 0; i < c->n_delta * width; i++)
		dqkv[i] = used[i % width] ? c->dqkv[i] : NAN;
	op.first_head = first;
	op.n_used = last - first + 1;
	op.qkv0 = put(r, qkv0, c->n_base * width);
	op.dqkv = put(r, dqkv, c->n_delta * width);
	op.dz = put_sentinel(r, c->n_delta * Z);
	RUN(r, attention_delta, &op);
	dz = fetch(r, op.dz, c->n_delta * Z);
	for (size_t i = 0; i < c->n_delta * Z; i++) {
		bool written = i % Z / K >= first && i % Z / K <= last;

		CHECK(dz[i] == (written ? whole[i] : SENTINEL), "%s: heads %zu to %zu: dz[%zu]",
		      r->label, first, last, i);
	}
}

OPS_TEST(ops_attention_delta, part_of_the_heads)
{
	static const size_t length[] = {1, 6, 33};

	for (size_t s = 0; s < N_SHAPES; s++) {
		const struct pb_heads *hd = &shapes[s].heads;
		size_t width = ref_qkv_width(hd), n;
		struct delta_case c = {.n_base = 0};
		const float *whole;

		begin_shape(r, "part of the heads", &shapes[s]);
		open_prepared(r, hd, 32, LONGEST);
		mixed_variants(r, &c, sizeof length / sizeof *length, length, false);
		place_variants(r, &c);
		c.op.heads = *hd;
		c.op.variants = c.variants;
		c.op.first_head = 1; /* means nothing without n_used */
		c.qkv0 = qkv_rows(r, &shapes[s], c.n_base, 1.0f);
		c.dqkv = qkv_rows(r, &shapes[s], c.n_delta, 1.0f);
		c.op.qkv0 = put(r, c.qkv0, c.n_base * width);
		c.op.dqkv = put(r, c.dqkv, c.n_delta * width);
		n = c.n_delta * hd->n_heads * hd->d_head;
		c.op.dz = put_sentinel(r, n);
		RUN(r, attention_delta, &c.op);
		whole = fetch(r, c.op.dz, n);
		if (!r->replay)
			check_delta(r, &c, whole);
		for (size_t first = 0; first < hd->n_heads; first++)
			for (size_t last = first; last < hd->n_heads; last++)
				heads_case(r, &c, whole, first, last);
	}
}

OPS_TEST(ops_attention_delta, no_variants)
{
	struct pb_attention_delta op = {.heads = shapes[2].heads, .max_length = 4};

	begin_case(r, "no variants");
	open_prepared(r, &shapes[2].heads, 8, 4);
	op.qkv0 = op.dqkv = put_sentinel(r, 128);
	op.dz = put_sentinel(r, 64);
	RUN(r, attention_delta, &op);
	check_untouched(r, "dz", op.dz, 64);
}
