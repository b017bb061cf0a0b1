/* Edits of patterns in attention and attention_delta: against attention in float64 whose patterns
 * are edited. */
#include "pattern_edits.h"

/* ---- attention ------------------------------------------------------------------------------- */

/* Two more roundings of an edited entry, and one for safety's sake, beside those of its pattern. */
static double edited_share(double scores)
{
	return pattern_share(scores) + 3.0 * U;
}

static void reference_prompt(struct rig *r, const struct pb_attention *op, const struct pb_span *p,
			     const float *qkv, const struct ref_sources *from, double *want,
			     double *tolerance)
{
	const struct pb_heads *hd = &op->heads;
	size_t width = ref_qkv_width(hd), K = hd->d_head, n = (size_t)p->length;
	const double *rows = widen(r, qkv + (size_t)p->base * width, n * width);

	for (size_t t = 0; t < n * hd->n_heads; t++) {
		size_t i = t / hd->n_heads, h = t % hd->n_heads;
		size_t at = ((size_t)p->base * hd->n_heads + t) * K;
		double a[LONGEST], size[LONGEST], scores = ref_pattern(hd, rows, i, h, a);

		memcpy(size, a, sizeof size);
		scores = fmax(scores, ref_edit_pattern(hd, p, op->edits, from, i, h, a, size));
		for (size_t d = 0; d < K; d++) {
			double terms = 0.0;

			want[at + d] = 0.0;
			for (size_t j = 0; j <= i; j++) {
				double v = rows[j * width + ref_v_column(hd, h) + d];

				want[at + d] += a[j] * v;
				terms += size[j] * fabs(v);
			}
			tolerance[at + d] = edited_share(scores) * terms + 1e-37;
		}
	}
}

static void attention_case(struct rig *r, const struct shape *s, size_t n, const size_t *length)
{
	struct pb_attention op = {.heads = s->heads, .n_prompts = n, .max_length = LONGEST};
	size_t width = ref_qkv_width(&s->heads), Z = s->heads.n_heads * s->heads.d_head, n_rows;
	struct pb_span *spans = HOST(r, n, struct pb_span);
	struct edits_set set;
	struct ref_sources from;
	double *want, *tolerance;
	float *qkv, *z, *alone;

	n_rows = place_prompts(r, n, length, spans);
	qkv = qkv_rows(r, s, n_rows, 1.0f);
	make_edits(r, s, spans, n, &set);
	op.prompts = spans;
	op.edits = set.edits;
	op.qkv = put(r, qkv, n_rows * width);
	op.source_qkv = put(r, set.source, set.source_rows * width);
	op.table = put(r, set.table, set.table_rows * set.table_stride);
	op.table_stride = set.table_stride;
	op.z = put_sentinel(r, n_rows * Z);
	RUN(r, attention, &op);
	z = fetch(r, op.z, n_rows * Z);
	want = HOST(r, n_rows * Z, double);
	tolerance = HOST(r, n_rows * Z, double);
	for (size_t i = 0; i < n_rows * Z; i++)
		want[i] = (double)SENTINEL;
	from = (struct ref_sources){widen(r, set.source, set.source_rows * width), set.table,
				    set.table_stride};
	for (size_t i = 0; i < n && !r->replay; i++)
		reference_prompt(r, &op, &spans[i], qkv, &from, want, tolerance);
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

OPS_TEST(ops_pattern_edits, attention)
{
	static const size_t length[] = {1, 2, 5, 6, 7, 7, 16, 17, 33, 36, LONGEST};

	for (size_t s = 0; s < N_SHAPES; s++) {
		open_prepared(r, &shapes[s].heads, 32, LONGEST);
		for (size_t k = 0; k < 3; k++) {
			begin_shape(r, "attention with edits", &shapes[s]);
			attention_case(r, &shapes[s], sizeof length / sizeof *length, length);
		}
		begin_shape(r, "attention with edits, a prompt", &shapes[s]);
		attention_case(r, &shapes[s], 1, length + 8);
		open_prepared(r, &shapes[s].heads, 8, 1);
		begin_shape(r, "attention with edits, a token", &shapes[s]);
		attention_case(r, &shapes[s], 1, length);
	}
}

/* ---- attention_delta ------------------------------------------------------------------------- */

/* dz of one row and head, from the two runs' rows. */
static void reference_row(const struct pb_attention_delta *op, const struct pb_span *p,
			  const struct ref_sources *from, const double *before, const double *after,
			  size_t i, size_t h, double *want, double *tolerance)
{
	const struct pb_heads *hd = &op->heads;
	size_t width = ref_qkv_width(hd), v = ref_v_column(hd, h);
	double a0[LONGEST], a1[LONGEST], size[LONGEST], scores;

	scores = fmax(ref_pattern(hd, before, i, h, a0), ref_pattern(hd, after, i, h, a1));
	memcpy(size, a1, sizeof size);
	scores = fmax(scores, ref_edit_pattern(hd, p, op->edits, from, i, h, a1, size));
	for (size_t d = 0; d < hd->d_head; d++) {
		double terms = 0.0;

		want[d] = 0.0;
		for (size_t j = 0; j <= i; j++) {
			double v0 = before[j * width + v + d], v1 = after[j * width + v + d];

			want[d] += a1[j] * v1 - a0[j] * v0;
			terms += (a0[j] + size[j]) * fabs(v0) + size[j] * fabs(v1 - v0);
		}
		tolerance[d] = edited_share(scores) * terms + 1e-37;
	}
}

static void check_delta(struct rig *r, const struct pb_attention_delta *op, const float *qkv0,
			const float *dqkv, const struct ref_sources *from, const float *dz,
			size_t n_delta)
{
	const struct pb_heads *hd = &op->heads;
	size_t width = ref_qkv_width(hd), Z = hd->n_heads * hd->d_head;
	double *want = HOST(r, n_delta * Z, double), *tolerance = HOST(r, n_delta * Z, double);

	for (size_t i = 0; i < n_delta * Z; i++)
		want[i] = (double)SENTINEL;
	for (size_t v = 0; v < op->n_variants; v++) {
		const struct pb_span *p = &op->variants[v];
		size_t n = (size_t)p->length, first = (size_t)p->first;
		const double *before = widen(r, qkv0 + (size_t)p->base * width, n * width);
		double *after = widen(r, qkv0 + (size_t)p->base * width, n * width);

		for (size_t i = 0; i < (n - first) * width; i++)
			after[first * width + i] += (double)dqkv[(size_t)p->row * width + i];
		for (size_t t = first * hd->n_heads; t < n * hd->n_heads; t++) {
			size_t i = t / hd->n_heads, h = t % hd->n_heads;
			size_t at = ((size_t)p->row + i - first) * Z + h * hd->d_head;

			reference_row(op, p, from, before, after, i, h, want + at, tolerance + at);
		}
	}
	check_values(r, "dz", n_delta * Z, dz, want, tolerance);
}

/* Variants of recipients of these lengths, some from the first position on and some from a later
 * one; the last rows of qkv0 are the sources'. */
static void delta_case(struct rig *r, const struct shape *s, size_t n_prompts, const size_t *length,
		       size_t each, float scale)
{
	size_t width = ref_qkv_width(&s->heads), Z = s->heads.n_heads * s->heads.d_head;
	size_t n = n_prompts * each, n_base, n_delta = 1;
	struct pb_span *prompts = HOST(r, n_prompts, struct pb_span),
		       *spans = HOST(r, n, struct pb_span);
	struct pb_attention_delta op = {
	    .heads = s->heads, .n_variants = n, .variants = spans, .max_length = LONGEST};
	struct edits_set set;
	struct ref_sources from;
	float *qkv0, *dqkv, *dz, *alone, *all;

	n_base = place_prompts(r, n_prompts, length, prompts);
	for (size_t v = 0; v < n; v++) {
		spans[v] = prompts[v / each];
		spans[v].first = v % 2 ? (int32_t)pb_rng_below(&r->rng, length[v / each]) : 0;
		spans[v].row = (int32_t)n_delta;
		n_delta += (size_t)(spans[v].length - spans[v].first);
	}
	n_delta++;
	qkv0 = qkv_rows(r, s, n_base, 1.0f);
	dqkv = qkv_rows(r, s, n_delta, scale);
	make_edits(r, s, spans, n, &set);
	from = (struct ref_sources){widen(r, set.source, set.source_rows * width), set.table,
				    set.table_stride};
	all = HOST(r, (n_base + set.source_rows) * width, float);
	memcpy(all, set.source, set.source_rows * width * sizeof *all);
	memcpy(all + set.source_rows * width, qkv0, n_base * width * sizeof *all);
	for (size_t v = 0; v < n; v++)
		spans[v].base += (int32_t)set.source_rows;
	op.edits = set.edits;
	op.qkv0 = put(r, all, (n_base + set.source_rows) * width);
	op.dqkv = put(r, dqkv, n_delta * width);
	op.dz = put_sentinel(r, n_delta * Z);
	op.table = put(r, set.table, set.table_rows * set.table_stride);
	op.table_stride = set.table_stride;
	RUN(r, attention_delta, &op);
	dz = fetch(r, op.dz, n_delta * Z);
	if (!r->replay)
		check_delta(r, &op, all, dqkv, &from, dz, n_delta);

	op.dz = put_sentinel(r, n_delta * Z);
	op.n_variants = 1;
	for (size_t v = n; v-- > 0;) {
		op.variants = spans + v;
		RUN(r, attention_delta, &op);
	}
	alone = fetch(r, op.dz, n_delta * Z);
	check_bits(r, "a variant alone", alone, dz, n_delta * Z * sizeof *dz);
}

OPS_TEST(ops_pattern_edits, attention_delta)
{
	static const size_t length[] = {1, 2, 7, 16, 33, LONGEST};

	for (size_t s = 0; s < N_SHAPES; s++) {
		open_prepared(r, &shapes[s].heads, 32, LONGEST);
		begin_shape(r, "changes with edits", &shapes[s]);
		delta_case(r, &shapes[s], sizeof length / sizeof *length, length, 6, 1.0f);
		begin_shape(r, "small changes with edits", &shapes[s]);
		delta_case(r, &shapes[s], 2, length + 3, 5, 1e-3f);
		begin_shape(r, "many variants with edits", &shapes[s]);
		delta_case(r, &shapes[s], 1, length + 3, 70, 0.5f);
		open_prepared(r, &shapes[s].heads, 8, 1);
		begin_shape(r, "changes of a token with edits", &shapes[s]);
		delta_case(r, &shapes[s], 1, length, 4, 1.0f);
	}
}
