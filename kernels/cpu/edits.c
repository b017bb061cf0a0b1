/* What interventions write into rows: runs of rows made of three terms, each with its factor. */
#include "cpu/isa.h"

/* out = own out + base x0 + source s without the terms whose factor is 0. The flags are constants
 * at each call, so that the loop has no test inside; one product and one sum at a time, so that a
 * difference (factors 1 and -1) is rounded once. */
static inline __attribute__((always_inline)) void combine(const struct pb_edit *e, float *out,
							  const float *x0, const float *s, size_t n,
							  const bool keep, const bool has_base,
							  const bool has_source)
{
	float own = e->own, base = e->base, source = e->source;

#pragma omp simd
	for (size_t j = 0; j < n; j++) {
		float sum = keep ? own * out[j] : 0.0f;

		if (has_base)
			sum = keep ? sum + base * x0[j] : base * x0[j];
		if (has_source)
			sum = keep || has_base ? sum + source * s[j] : source * s[j];
		out[j] = sum;
	}
}

static void edit_row(const struct pb_edit *e, float *out, const float *x0, const float *s, size_t n)
{
	switch ((e->own != 0.0f) | (e->base != 0.0f) << 1 | (e->source != 0.0f) << 2) {
	case 0:
		combine(e, out, x0, s, n, false, false, false);
		break;
	case 1:
		combine(e, out, x0, s, n, true, false, false);
		break;
	case 2:
		combine(e, out, x0, s, n, false, true, false);
		break;
	case 3:
		combine(e, out, x0, s, n, true, true, false);
		break;
	case 4:
		combine(e, out, x0, s, n, false, false, true);
		break;
	case 5:
		combine(e, out, x0, s, n, true, false, true);
		break;
	case 6:
		combine(e, out, x0, s, n, false, true, true);
		break;
	default:
		combine(e, out, x0, s, n, true, true, true);
		break;
	}
}

static void edit_rows(const struct pb_edits *op, const struct pb_edit *e)
{
	for (size_t i = 0; i < (size_t)e->n_rows; i++) {
		float *out = pb_out(op->out) + ((size_t)e->row + i) * op->out_stride + e->column;
		const float *x0 = out, *s = out; /* an array that no factor wants may be absent */

		if (e->base != 0.0f)
			x0 = pb_in(op->x0) + ((size_t)e->base_row + i) * op->x0_stride + e->column;
		if (e->source != 0.0f)
			s = pb_in(op->source) +
			    ((size_t)e->source_row + i * (size_t)e->source_step) *
				op->source_stride +
			    e->source_column;
		edit_row(e, out, x0, s, op->columns);
	}
}

enum pb_status PB_KERNEL(edits)(struct pb_device *dev, const struct pb_edits *op,
				struct pb_error *err)
{
	size_t n_rows = 0;

	(void)dev;
	(void)err;
	for (size_t e = 0; e < op->n; e++)
		n_rows += (size_t)op->edits[e].n_rows;
#pragma omp parallel for schedule(dynamic, 4) if (PB_WORTH_THREADS(n_rows * op->columns))
	for (size_t e = 0; e < op->n; e++)
		edit_rows(op, &op->edits[e]);
	return PB_OK;
}
