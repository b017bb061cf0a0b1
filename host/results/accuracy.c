/* Accuracy of a sweep's variants: how often the answer comes first, and for which pairs that
 * changed. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/cells.h"

struct accuracy {
	size_t n_pairs;
	int32_t *recipient; /* [n_pairs] ranks of the answer without intervention */
	/* [n_cells] each, by enum pb_accuracy_field */
	double *shares[PB_N_ACCURACY_SHARES];
	int32_t *n, *n_wrong;
};

static enum pb_status accuracy_new(struct accuracy *a, size_t n_cells, struct pb_error *err)
{
	enum pb_status status;
	int f;

	for (f = 0; f < PB_N_ACCURACY_SHARES; f++)
		PB_TRY(pb_alloc((void **)&a->shares[f], n_cells, sizeof(double), "accuracy", err));
	PB_TRY(pb_alloc((void **)&a->n, n_cells, sizeof *a->n, "accuracy", err));
	PB_TRY(pb_alloc((void **)&a->n_wrong, n_cells, sizeof *a->n_wrong, "accuracy", err));
	PB_TRY(pb_alloc((void **)&a->recipient, a->n_pairs, sizeof *a->recipient, "accuracy", err));
cleanup:
	return status;
}

static void accuracy_free(struct accuracy *a)
{
	int f;

	for (f = 0; f < PB_N_ACCURACY_SHARES; f++)
		free(a->shares[f]);
	free(a->n);
	free(a->n_wrong);
	free(a->recipient);
}

/* A share and its interval in three fields of a cell. */
static void put_share(struct accuracy *a, int field, size_t cell, double hits, double n)
{
	a->shares[field][cell] = n > 0 ? hits / n : NAN;
	pb_wilson(hits, n, &a->shares[field + 1][cell], &a->shares[field + 2][cell]);
}

/* Ranks of the answer in a block; a variant is right where the rank is 0. */
static enum pb_status count_block(void *context, const struct pb_block *b, struct pb_error *err)
{
	struct accuracy *a = context;
	size_t c, i;

	(void)err;
	for (c = 0; c < b->n_cells; c++) {
		const size_t cell = b->first_cell + c;
		double n = 0, was_right = 0, corrected = 0, broken = 0, right;

		for (i = 0; i < a->n_pairs; i++) {
			const double rank = b->values[i * b->n_cells + c];
			const bool was = a->recipient[i] == 0, is = rank == 0;

			if (isnan(rank))
				continue;
			n += 1;
			was_right += was;
			corrected += !was && is;
			broken += was && !is;
		}
		right = was_right + corrected - broken;
		a->n[cell] = (int32_t)n;
		a->n_wrong[cell] = (int32_t)(n - was_right);
		put_share(a, PB_ACCURACY, cell, right, n);
		put_share(a, PB_CORRECTED, cell, corrected, n - was_right);
		put_share(a, PB_BROKEN, cell, broken, was_right);
		a->shares[PB_ACCURACY_RECIPIENT][cell] = n > 0 ? was_right / n : NAN;
		/* From counts: changes of one size are equal to the bit. */
		a->shares[PB_ACCURACY_CHANGE][cell] = n > 0 ? (corrected - broken) / n : NAN;
	}
	return PB_OK;
}

static enum pb_status accuracy_put(const struct accuracy *a, const struct pb_layout *layout,
				   const struct pb_axes *axes, hid_t out, struct pb_error *err)
{
	enum pb_status status;
	int f;

	for (f = 0; f < PB_N_ACCURACY_SHARES; f++)
		PB_TRY(pb_field_write_masked(layout, out, &pb_accuracy_fields[f], axes, "",
					     a->shares[f], err));
	PB_TRY(pb_field_write(layout, out, &pb_accuracy_fields[PB_ACCURACY_N_PAIRS], axes, "", a->n,
			      err));
	PB_TRY(pb_field_write(layout, out, &pb_accuracy_fields[PB_ACCURACY_N_WRONG], axes, "",
			      a->n_wrong, err));
cleanup:
	return status;
}

enum pb_status pb_accuracy_write(const struct pb_summary_shared *shared, size_t sweep, hid_t group,
				 hid_t out, double **change, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = shared->e;
	const struct pb_axes axes = pb_summary_axes(e, sweep, group);
	const char *base = e->sweeps[sweep].direction == PB_DENOISE ? "base/corrupted/rank_answer"
								    : "base/clean/rank_answer";
	struct accuracy a = {.n_pairs = e->pairs->n};

	*change = NULL;
	if ((e->metrics & 1u << PB_METRIC_RANK_ANSWER) == 0)
		return PB_OK;
	PB_TRY(accuracy_new(&a, e->grids[sweep].n_cells, err));
	PB_TRY(
	    pb_h5_read(shared->layout->file, base, H5T_NATIVE_INT32, a.n_pairs, a.recipient, err));
	PB_TRY(pb_cells_walk(e, sweep, group, PB_METRIC_RANK_ANSWER, count_block, &a, err));
	PB_TRY(accuracy_put(&a, shared->layout, &axes, out, err));
	*change = a.shares[PB_ACCURACY_CHANGE];
	a.shares[PB_ACCURACY_CHANGE] = NULL;
cleanup:
	accuracy_free(&a);
	return status;
}
