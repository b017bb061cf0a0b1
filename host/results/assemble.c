/* The final file, assembled from the parts: raw values chunk by chunk, then what is computed from
 * all of them, then checksums of what the file really holds; put in place only when all is right.
 */
#include "results/assemble.h"

#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/evaluation.h"
#include "results/parts.h"

/* ---- opening --------------------------------------------------------------------------- */

static enum pb_status assembly_new(struct pb_assembly *a, const struct pb_experiment *e,
				   struct pb_part_source *source, struct pb_error *err)
{
	enum pb_status status;
	size_t s;

	*a = (struct pb_assembly){
	    .e = e, .source = source, .layout = {.file = -1}, .started = INT64_MAX};
	PB_TRY(pb_alloc((void **)&a->sweeps, e->n_sweeps, sizeof *a->sweeps, "sweeps", err));
	for (s = 0; s < e->n_sweeps; s++)
		a->sweeps[s].group = -1;
	PB_TRY(pb_alloc((void **)&a->logit_diff[0], e->pairs->n, sizeof(double), "pairs", err));
	PB_TRY(pb_alloc((void **)&a->logit_diff[1], e->pairs->n, sizeof(double), "pairs", err));
	PB_TRY(pb_alloc((void **)&a->isa, e->n_chunks, sizeof *a->isa, "chunks", err));
	PB_TRY(pb_check_figures_new(&a->figures, e->n_chunks, e->arch.n_layers, e->n_sweeps, err));
	a->figures.e = e;
	a->figures.relative = pb_check_relative(e->precision);
	a->figures.attribution = (e->readings & 1u << PB_READING_DIRECT_LOGIT_ATTRIBUTION) != 0;
	PB_TRY(pb_pair_facts_new(&a->facts, e->pairs, err));
cleanup:
	return status;
}

static void drop_raw(struct pb_assembly *a)
{
	size_t s;
	int i, side;

	for (side = 0; side < 2; side++) {
		for (i = 0; i < PB_N_BASE_FIELDS; i++)
			pb_growing_drop(&a->base[side][i]);
		for (i = 0; i < PB_N_READINGS; i++)
			pb_growing_drop(&a->readings[side][i]);
		for (i = 0; i < PB_N_SITES; i++)
			pb_growing_drop(&a->saved[side][i]);
	}
	for (s = 0; a->sweeps != NULL && s < a->e->n_sweeps; s++) {
		for (i = 0; i < PB_N_METRICS; i++)
			pb_growing_drop(&a->sweeps[s].metric[i]);
		pb_growing_drop(&a->sweeps[s].control);
		pb_h5_drop(a->sweeps[s].group);
	}
}

/* Closing is when the last values reach the file: a full disk shows here. */
static enum pb_status close_raw(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t s;
	int i, side;

	for (side = 0; side < 2; side++) {
		for (i = 0; i < PB_N_BASE_FIELDS; i++)
			PB_TRY(pb_growing_close(&a->base[side][i], err));
		for (i = 0; i < PB_N_READINGS; i++)
			PB_TRY(pb_growing_close(&a->readings[side][i], err));
		for (i = 0; i < PB_N_SITES; i++)
			PB_TRY(pb_growing_close(&a->saved[side][i], err));
	}
	for (s = 0; s < a->e->n_sweeps; s++) {
		for (i = 0; i < PB_N_METRICS; i++)
			PB_TRY(pb_growing_close(&a->sweeps[s].metric[i], err));
		PB_TRY(pb_growing_close(&a->sweeps[s].control, err));
	}
cleanup:
	return status;
}

static void assembly_free(struct pb_assembly *a)
{
	size_t i;

	drop_raw(a);
	if (a->layout.file >= 0)
		(void)pb_h5_file_close(&a->layout.file, a->e->output, NULL);
	for (i = 0; a->isa != NULL && i < a->e->n_chunks; i++)
		free(a->isa[i]);
	free(a->isa);
	free(a->sweeps);
	free(a->logit_diff[0]);
	free(a->logit_diff[1]);
	pb_check_figures_free(&a->figures);
	pb_pair_facts_free(&a->facts);
}

/* ---- the steps --------------------------------------------------------------------------- */

static enum pb_status write_sweep_check(const struct pb_assembly *a, size_t s, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_check_figures *f = &a->figures;
	hid_t group = a->sweeps[s].group;

	PB_TRY(pb_h5_put_double(group, "largest_effect", f->effect_largest[s], err));
	PB_TRY(pb_h5_put_int(group, "check_variants", (int64_t)f->n_sweep_variants[s], err));
	PB_TRY(pb_h5_put_double(group, "check_tolerance", f->variant_tolerance[s], err));
	PB_TRY(pb_h5_put_double(group, "check_largest_deviation", f->variant_largest[s], err));
cleanup:
	return status;
}

/* What is computed from all raw values: right pairs, summaries, checks. */
static enum pb_status write_computed(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = a->e;
	struct pb_summary_shared shared = {0};
	size_t s;

	PB_TRY(pb_assembly_write_given(a, err));
	pb_pair_facts_judge(&a->facts, e->pairs->n, a->logit_diff[0], a->logit_diff[1]);
	PB_TRY(pb_pairs_group_write(&a->layout, e->pairs, &a->facts, err));
	PB_TRY(pb_cells_group_write(&a->layout, e, &a->facts, (const double *const *)a->logit_diff,
				    err));
	PB_TRY(pb_summary_shared_new(&shared, e, &a->layout, a->logit_diff[0], a->logit_diff[1],
				     &a->facts, err));
	for (s = 0; s < e->n_sweeps; s++) {
		PB_TRY(pb_summary_write(&shared, s, a->sweeps[s].group, err));
		PB_TRY(pb_summary_cells_write(&shared, s, a->sweeps[s].group, err));
		PB_TRY(pb_cells_raw_write(&a->layout, e, s, a->sweeps[s].group, err));
		PB_TRY(write_sweep_check(a, s, err));
	}
	a->layout.sizes[PB_DIM_CHECKED_VARIANT] = a->figures.n_variants;
	if (a->figures.n_variants > 0)
		PB_TRY(pb_layout_scale(&a->layout, PB_DIM_CHECKED_VARIANT, err));
	PB_TRY(pb_checks_group_write(&a->layout, &a->figures, (const char *const *)a->isa, err));
	PB_TRY(pb_provenance_write(a->layout.file, e, a->started, a->seconds, err));
	status = pb_source_write(a->layout.file, a->source, err);
cleanup:
	pb_summary_shared_free(&shared);
	return status;
}

static enum pb_status fill_file(struct pb_assembly *a, const char *path, struct pb_error *err)
{
	enum pb_status status;
	size_t c, s;

	PB_TRY(pb_h5_file_create(&a->layout.file, path, err));
	PB_TRY(pb_assembly_create(a, err));
	for (c = 0; c < a->e->n_chunks; c++)
		PB_TRY(pb_assembly_add_part(a, c, err));
	pb_warn_of_processors(a->e, (const char *const *)a->isa);
	PB_TRY(pb_checks_judge(&a->figures, err));
	PB_TRY(close_raw(a, err));
	PB_TRY(write_computed(a, err));
	for (s = 0; s < a->e->n_sweeps; s++) {
		pb_h5_drop(a->sweeps[s].group);
		a->sweeps[s].group = -1;
	}
	PB_TRY(pb_h5_file_close(&a->layout.file, path, err));
	/* Open again: what is hashed is what was written, not what was meant to be. */
	PB_TRY(pb_h5_file_open(&a->layout.file, path, true, PB_ERR_IO, err));
	PB_TRY(pb_checksums_write(&a->layout, pb_part_source_is_whole(a->source), err));
	status = pb_h5_file_close(&a->layout.file, path, err);
cleanup:
	return status;
}

enum pb_status pb_run_fill(const struct pb_experiment *e, struct pb_part_source *source,
			   const char *path, struct pb_error *err)
{
	enum pb_status status;
	struct pb_assembly a;

	PB_TRY(assembly_new(&a, e, source, err));
	status = fill_file(&a, path, err);
cleanup:
	assembly_free(&a);
	return status;
}

static enum pb_status fill(const struct pb_experiment *e, struct pb_part_source *source,
			   const char *path, struct pb_error *err)
{
	if (e->n_shards > 0)
		return pb_shard_fill(e, path, err);
	return (e->evaluation != NULL ? pb_evaluation_fill : pb_run_fill)(e, source, path, err);
}

enum pb_status pb_result_place(const struct pb_experiment *e, struct pb_part_source *source,
			       struct pb_error *err)
{
	struct pb_aside aside = {0};
	enum pb_status status;

	pb_stale_remove(e->output);
	PB_TRY(pb_aside_begin(&aside, e->output, err));
	PB_TRY(fill(e, source, aside.temp_path, err));
	status = pb_aside_commit(&aside, err);
cleanup:
	pb_part_source_close(source);
	pb_aside_end(&aside);
	return status;
}

/* The folder could be written when the run began: where it cannot now, it is the disk that changed.
 */
static enum pb_status still_writable(const struct pb_experiment *e, struct pb_error *err)
{
	struct pb_aside aside = {0};
	struct pb_error inner = {0};
	enum pb_status status = pb_aside_begin(&aside, e->output, &inner);

	pb_aside_end(&aside);
	if (status == PB_ERR_INPUT)
		status = PB_ERR_IO;
	return status == PB_OK ? PB_OK : pb_fail(err, status, "%s", inner.message);
}

enum pb_status pb_result_assemble(const struct pb_experiment *e, struct pb_error *err)
{
	struct pb_part_source source = pb_part_source_folder(e);
	struct pb_error inner = {0};
	enum pb_status status;

	PB_TRY(still_writable(e, err));
	status = pb_result_place(e, &source, &inner);
	if (status == PB_OK)
		return pb_parts_remove(e, err);
	if (status == PB_ERR_CHECK)
		return pb_fail(err, status, "%s\n%s was not written; its parts stay in %s.parts",
			       inner.message, e->output, e->output);
	return pb_h5_fail_file(err, &inner, "cannot make file", e->output);
cleanup:
	return status;
}
