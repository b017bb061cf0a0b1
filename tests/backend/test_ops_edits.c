/* edits: runs of rows that interventions write, against float64. */
#include "device.h"

/* Which factors are not 0. */
enum { OWN = 1, BASE = 2, SOURCE = 4, N_FORMS = 8 };

struct edits_case {
	struct pb_edits op;
	struct pb_edit *edits;        /* op.edits */
	size_t n_out, n_x0, n_source; /* rows; the last one of x0 and of source is NaN */
	float *out, *x0, *source;
};

static const float *x0_of(const struct edits_case *c, const struct pb_edit *e, size_t i)
{
	return c->x0 + ((size_t)e->base_row + i) * c->op.x0_stride + e->column;
}

static const float *source_of(const struct edits_case *c, const struct pb_edit *e, size_t i)
{
	size_t row = (size_t)e->source_row + i * (size_t)e->source_step;

	return c->source + row * c->op.source_stride + e->source_column;
}

/* The whole of `out` as it must be. A sum is rounded where each product and sum is, or less where
 * they are fused. Without a third term, products with 1 and -1 leave one rounding. */
static void check_edits(struct rig *r, const struct edits_case *c, const float *got, bool exact)
{
	size_t n = c->n_out * c->op.out_stride;
	double *want = widen(r, c->out, n), *tolerance = HOST(r, n, double);

	for (size_t k = 0; k < c->op.n; k++) {
		const struct pb_edit *e = &c->edits[k];
		double own = (double)e->own, base = (double)e->base, source = (double)e->source;

		for (size_t i = 0; i < (size_t)e->n_rows; i++)
			for (size_t j = 0; j < c->op.columns; j++) {
				size_t at =
				    ((size_t)e->row + i) * c->op.out_stride + (size_t)e->column + j;
				double terms[3] = {0.0, 0.0, 0.0};

				if (own != 0.0)
					terms[0] = own * want[at];
				if (base != 0.0)
					terms[1] = base * (double)x0_of(c, e, i)[j];
				if (source != 0.0)
					terms[2] = source * (double)source_of(c, e, i)[j];
				want[at] = terms[0] + terms[1] + terms[2];
				tolerance[at] =
				    3.0 * U * (fabs(terms[0]) + fabs(terms[1]) + fabs(terms[2]));
				if (exact) {
					want[at] = (double)(float)want[at];
					tolerance[at] = 0.0;
				}
			}
	}
	check_values(r, "out", n, got, want, tolerance);
}

static float factor(struct rig *r, bool wanted, bool exact)
{
	if (!wanted)
		return 0.0f;
	if (exact)
		return pb_rng_below(&r->rng, 2) ? 1.0f : -1.0f;
	return normal(r);
}

/* Each edit has rows of its own; what a factor of 0 leaves out is NaN, or not there at all. */
static void place_edits(struct rig *r, struct edits_case *c, size_t n_rows, unsigned form,
			size_t gap, bool exact)
{
	struct pb_edits *op = &c->op;
	int32_t *order = permutation(r, op->n);

	for (size_t k = 0; k < op->n; k++) {
		struct pb_edit *e = &c->edits[order[k]];

		e->n_rows = (int32_t)(n_rows ? n_rows - k % 2 : 0);
		e->row = (int32_t)(k * (n_rows + 1));
		e->source_step = (int32_t)pb_rng_below(&r->rng, 2);
		e->column = (int32_t)pb_rng_below(&r->rng, gap + 1);
		e->source_column = (int32_t)pb_rng_below(&r->rng, gap + 1);
		e->own = factor(r, form & OWN, exact);
		e->base = factor(r, form & BASE, exact);
		e->source = factor(r, form & SOURCE, exact);
		/* the NaN row, and rows that do not exist, unless they are read */
		e->base_row = (int32_t)(c->n_x0 - 1);
		e->source_row = (int32_t)(c->n_source - 1);
		if (form & BASE)
			e->base_row = (int32_t)pb_rng_below(&r->rng, c->n_x0 - n_rows);
		if (form & SOURCE)
			e->source_row = (int32_t)pb_rng_below(&r->rng, c->n_source - n_rows);
		if (form & OWN)
			continue;
		for (size_t i = 0; i < (size_t)e->n_rows; i++)
			for (size_t j = 0; j < op->columns; j++)
				c->out[((size_t)e->row + i) * op->out_stride + (size_t)e->column +
				       j] = NAN;
	}
}

static void edits_case(struct rig *r, size_t n, size_t n_rows, size_t columns, unsigned form,
		       size_t gap)
{
	bool exact = form != (OWN | BASE | SOURCE);
	struct edits_case c = {
	    .n_out = n * (n_rows + 1), .n_x0 = n_rows + 6, .n_source = n_rows + 4};
	struct pb_edits *op = &c.op;
	float *got;

	begin_case(r, "%zu edits of %zu rows of %zu, factors %u, gap %zu", n, n_rows, columns, form,
		   gap);
	*op = (struct pb_edits){.n = n,
				.columns = columns,
				.out_stride = columns + gap,
				.x0_stride = columns + 2 * gap,
				.source_stride = columns + gap};
	c.out = normals(r, c.n_out * op->out_stride, 1.0f);
	c.x0 = normals(r, c.n_x0 * op->x0_stride, 1e2f);
	c.source = normals(r, c.n_source * op->source_stride, 1e-1f);
	for (size_t j = 0; j < op->x0_stride; j++)
		c.x0[(c.n_x0 - 1) * op->x0_stride + j] = NAN;
	for (size_t j = 0; j < op->source_stride; j++)
		c.source[(c.n_source - 1) * op->source_stride + j] = NAN;
	op->edits = c.edits = HOST(r, n, struct pb_edit);
	place_edits(r, &c, n_rows, form, gap, exact);
	op->out = put(r, c.out, c.n_out * op->out_stride);
	if (form & BASE)
		op->x0 = put(r, c.x0, c.n_x0 * op->x0_stride);
	if (form & SOURCE)
		op->source = put(r, c.source, c.n_source * op->source_stride);
	RUN(r, edits, op);
	got = fetch(r, op->out, c.n_out * op->out_stride);
	check_edits(r, &c, got, exact);
}

OPS_TEST(ops_edits, forms)
{
	static const size_t counts[] = {0, 1, 40}, rows[] = {0, 1, 7}, columns[] = {0, 1, 5, 33};

	for (size_t n = 0; n < 3; n++)
		for (size_t k = 0; k < 3; k++)
			for (size_t w = 0; w < 4; w++)
				for (unsigned form = 0; form < N_FORMS; form++)
					for (size_t gap = 0; gap < 6; gap += 5)
						edits_case(r, counts[n], rows[k], columns[w], form,
							   gap);
}

/* Enough for two threads, in rows as wide as a model's, and one long run. */
OPS_TEST(ops_edits, large)
{
	for (unsigned form = 0; form < N_FORMS; form++) {
		edits_case(r, 30, 24, 768, form, 7);
		edits_case(r, 1, 200, 320, form, 0);
	}
}

/* Edits of one call may have any factors, and a NaN that is read comes out. */
OPS_TEST(ops_edits, mixed)
{
	enum { N = 60, C = 17, ROWS = 3 };
	struct edits_case c = {.n_out = (size_t)N * ROWS, .n_x0 = 30, .n_source = 30};
	const float *got;

	begin_case(r, "edits of every kind");
	c.op = (struct pb_edits){
	    .n = N, .columns = C, .out_stride = C, .x0_stride = C, .source_stride = C};
	c.out = normals(r, c.n_out * C, 1.0f);
	c.x0 = normals(r, c.n_x0 * C, 1.0f);
	c.source = normals(r, c.n_source * C, 1.0f);
	c.x0[4 * C + 3] = c.source[7 * C + 5] = c.out[9 * C + 7] = NAN;
	c.op.edits = c.edits = HOST(r, N, struct pb_edit);
	for (size_t k = 0; k < N; k++)
		c.edits[k] = (struct pb_edit){
		    .row = (int32_t)(k * ROWS),
		    .n_rows = ROWS,
		    .base_row = (int32_t)pb_rng_below(&r->rng, c.n_x0 - ROWS),
		    .source_row = (int32_t)pb_rng_below(&r->rng, c.n_source - ROWS),
		    .source_step = k % 2,
		    .own = factor(r, k & OWN, false),
		    .base = factor(r, k & BASE, false),
		    .source = factor(r, k & SOURCE, false)};
	c.op.out = put(r, c.out, c.n_out * C);
	c.op.x0 = put(r, c.x0, c.n_x0 * C);
	c.op.source = put(r, c.source, c.n_source * C);
	RUN(r, edits, &c.op);
	got = fetch(r, c.op.out, c.n_out * C);
	check_edits(r, &c, got, false);
}
