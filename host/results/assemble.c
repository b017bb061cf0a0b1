/* The final file, assembled from the parts: raw values chunk by chunk, then what is computed from
 * all of them, then checksums of what the file really holds; put in place only when all is right.
 */
#include "results/assemble.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/parts.h"

/* The datasets of one sweep while they are being filled. */
struct open_sweep {
	hid_t group;
	hid_t metric[PB_N_METRICS], mask[PB_N_METRICS]; /* -1: not there */
};

struct assembly {
	const struct pb_experiment *e;
	struct pb_layout layout;
	hid_t base[2][PB_N_BASE_FIELDS];
	struct open_sweep *sweeps;
	double *logit_diff[2]; /* [n_pairs] */
	struct pb_check_figures figures;
	struct pb_pair_facts facts;
	char **isa; /* [n_chunks] */
	int64_t started;
	double seconds;
};

/* ---- opening --------------------------------------------------------------------------- */

static void no_ids(hid_t *ids, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		ids[i] = -1;
}

static enum pb_status assembly_new(struct assembly *a, const struct pb_experiment *e,
				   struct pb_error *err)
{
	enum pb_status status;
	size_t s;

	*a = (struct assembly){.e = e, .layout = {.file = -1}, .started = INT64_MAX};
	no_ids(a->base[0], PB_N_BASE_FIELDS);
	no_ids(a->base[1], PB_N_BASE_FIELDS);
	PB_TRY(pb_alloc((void **)&a->sweeps, e->n_sweeps, sizeof *a->sweeps, "sweeps", err));
	for (s = 0; s < e->n_sweeps; s++) {
		a->sweeps[s].group = -1;
		no_ids(a->sweeps[s].metric, PB_N_METRICS);
		no_ids(a->sweeps[s].mask, PB_N_METRICS);
	}
	PB_TRY(pb_alloc((void **)&a->logit_diff[0], e->pairs->n, sizeof(double), "pairs", err));
	PB_TRY(pb_alloc((void **)&a->logit_diff[1], e->pairs->n, sizeof(double), "pairs", err));
	PB_TRY(pb_alloc((void **)&a->isa, e->n_chunks, sizeof *a->isa, "chunks", err));
	PB_TRY(pb_check_figures_new(&a->figures, e->n_chunks, e->n_layers, e->n_sweeps, err));
	PB_TRY(pb_pair_facts_new(&a->facts, e->pairs, err));
cleanup:
	return status;
}

/* Datasets must be closed before the file is, so that all they hold is written. */
static void close_raw(struct assembly *a)
{
	size_t s;
	int i;

	for (i = 0; i < PB_N_BASE_FIELDS; i++) {
		pb_h5_drop(a->base[0][i]);
		pb_h5_drop(a->base[1][i]);
		a->base[0][i] = a->base[1][i] = -1;
	}
	for (s = 0; a->sweeps != NULL && s < a->e->n_sweeps; s++) {
		for (i = 0; i < PB_N_METRICS; i++) {
			pb_h5_drop(a->sweeps[s].metric[i]);
			pb_h5_drop(a->sweeps[s].mask[i]);
			a->sweeps[s].metric[i] = a->sweeps[s].mask[i] = -1;
		}
	}
}

static void assembly_free(struct assembly *a)
{
	size_t i;

	close_raw(a);
	for (i = 0; a->sweeps != NULL && i < a->e->n_sweeps; i++)
		pb_h5_drop(a->sweeps[i].group);
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

/* ---- shapes ---------------------------------------------------------------------------- */

static enum pb_status write_scales(struct assembly *a, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_experiment *e = a->e;
	size_t *sizes = a->layout.sizes, s;
	int d;

	sizes[PB_DIM_PAIR] = e->pairs->n;
	sizes[PB_DIM_LAYER] = e->n_layers;
	sizes[PB_DIM_HEAD] = e->n_heads;
	sizes[PB_DIM_POSITION] = e->pairs->max_length;
	sizes[PB_DIM_CANDIDATE] = pb_experiment_candidates(e);
	sizes[PB_DIM_CHUNK] = e->n_chunks;
	for (s = 0; s < e->n_sweeps; s++)
		if (pb_summary_axis(e, s) == PB_DIM_POSITION_FROM_END)
			sizes[PB_DIM_POSITION_FROM_END] = e->pairs->max_length;
	for (d = PB_DIM_PAIR; d < PB_N_DIMS; d++)
		if (sizes[d] > 0)
			PB_TRY(pb_layout_scale(&a->layout, (enum pb_dim)d, err));
cleanup:
	return status;
}

/* The steps of one variant that a pair has, [positions, candidates] flattened: what is past the
 * end of its prompt or its candidates is not applicable. */
struct steps {
	size_t n_positions, n_candidates; /* 1 without such an axis */
	bool by_position, by_candidate;
};

static struct steps steps_of(const struct pb_experiment *e, size_t sweep, enum pb_metric metric)
{
	struct steps s = {.by_position = pb_sweep_axis(e, sweep) != PB_DIM_NONE,
			  .by_candidate = pb_metric_infos[metric].per_candidate};

	s.n_positions = s.by_position ? e->pairs->max_length : 1;
	s.n_candidates = s.by_candidate ? pb_experiment_candidates(e) : 1;
	return s;
}

static bool applicable(const struct steps *s, const struct pb_pair *pair, size_t step)
{
	return (!s->by_position || step / s->n_candidates < pair->length) &&
	       (!s->by_candidate || step % s->n_candidates < pair->n_candidates);
}

static bool needs_mask(const struct pb_experiment *e, const struct steps *s)
{
	size_t i;

	for (i = 0; i < e->pairs->n; i++)
		if (!applicable(s, &e->pairs->items[i], s->n_positions * s->n_candidates - 1))
			return true;
	return false;
}

/* ---- creating the datasets of raw values --------------------------------------------------- */

static enum pb_status create_base(struct assembly *a, struct pb_error *err)
{
	enum pb_status status;
	hid_t base = -1, group = -1;
	int side, f;

	PB_TRY(pb_h5_group_create(&base, a->layout.file, "base", err));
	for (side = 0; side < 2; side++) {
		PB_TRY(pb_h5_group_create(&group, base, pb_side_names[side], err));
		for (f = 0; f < PB_N_BASE_FIELDS; f++)
			PB_TRY(pb_field_create(&a->layout, group, &pb_base_fields[f], PB_DIM_NONE,
					       false, &a->base[side][f], err));
		pb_h5_drop(group);
		group = -1;
	}
cleanup:
	pb_h5_drop(group);
	pb_h5_drop(base);
	return status;
}

static enum pb_status create_sweep(struct assembly *a, size_t s, hid_t parent, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_sweep *sweep = &a->e->sweeps[s];
	struct open_sweep *open = &a->sweeps[s];
	char *name = pb_sweep_group_name(a->e, s);
	int m;

	if (name == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a sweep");
	PB_TRY(pb_h5_group_create(&open->group, parent, name, err));
	PB_TRY(pb_h5_put_text(open->group, "intervention",
			      pb_intervention_names[sweep->intervention], err));
	PB_TRY(pb_h5_put_text(open->group, "site", pb_site_names[sweep->site], err));
	PB_TRY(pb_h5_put_text(open->group, "direction", pb_direction_names[sweep->direction], err));
	PB_TRY(pb_h5_put_text(open->group, "positions", pb_positions_names[sweep->positions], err));
	PB_TRY(pb_h5_put_text(open->group, "recipient",
			      pb_side_names[sweep->direction == PB_DENOISE ? 1 : 0], err));
	PB_TRY(pb_h5_put_double(open->group, "min_gap", sweep->min_gap, err));
	for (m = 0; m < PB_N_METRICS; m++) {
		const struct pb_field field = pb_metric_field((enum pb_metric)m);
		const struct steps steps = steps_of(a->e, s, (enum pb_metric)m);

		if (!pb_experiment_has(a->e, (enum pb_metric)m))
			continue;
		PB_TRY(pb_field_create(&a->layout, open->group, &field, pb_sweep_axis(a->e, s),
				       false, &open->metric[m], err));
		if (needs_mask(a->e, &steps))
			PB_TRY(pb_field_create(&a->layout, open->group, &field,
					       pb_sweep_axis(a->e, s), true, &open->mask[m], err));
	}
cleanup:
	free(name);
	return status;
}

static enum pb_status create_raw(struct assembly *a, struct pb_error *err)
{
	enum pb_status status;
	hid_t sweeps = -1;
	size_t s;

	PB_TRY(write_scales(a, err));
	PB_TRY(create_base(a, err));
	PB_TRY(pb_h5_group_create(&sweeps, a->layout.file, "sweeps", err));
	for (s = 0; s < a->e->n_sweeps; s++)
		PB_TRY(create_sweep(a, s, sweeps, err));
cleanup:
	pb_h5_drop(sweeps);
	return status;
}

/* ---- base values of a part ----------------------------------------------------------------- */

static enum pb_status refuse_base(int side, enum pb_base_field field, size_t pair, double value,
				  struct pb_error *err)
{
	return pb_fail(err, PB_ERR_CHECK,
		       "the run's own check failed: base run, %s prompt of pair %zu: %s is %g: "
		       "the model gives no usable numbers there",
		       pb_side_names[side], pair, pb_base_fields[field].name, value);
}

static enum pb_status add_base_side(struct assembly *a, const struct pb_chunk_values *v, int side,
				    struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_base_values *base = &v->base[side];
	const float *const floats[] = {base->logit_answer,   base->logit_foil,
				       base->prob_answer,    base->prob_foil,
				       base->logprob_answer, base->logprob_foil};
	const int32_t *const ints[] = {base->rank_answer, base->rank_foil, base->argmax};
	size_t i;
	int f;

	for (f = 0; f < PB_N_BASE_FIELDS; f++) {
		const void *data = f == PB_BASE_LOGIT_DIFF ? (const void *)base->logit_diff
				   : f < PB_BASE_RANK_ANSWER
				       ? (const void *)floats[f - PB_BASE_LOGIT_ANSWER]
				       : (const void *)ints[f - PB_BASE_RANK_ANSWER];

		for (i = 0; i < v->n_pairs; i++) {
			double value = f == PB_BASE_LOGIT_DIFF   ? base->logit_diff[i]
				       : f < PB_BASE_RANK_ANSWER ? ((const float *)data)[i]
								 : ((const int32_t *)data)[i];

			if (!isfinite(value) || (f >= PB_BASE_RANK_ANSWER && value < 0))
				return refuse_base(side, (enum pb_base_field)f, v->first_pair + i,
						   value, err);
		}
		PB_TRY(pb_h5_write_rows(a->base[side][f], pb_base_fields[f].name,
					pb_field_memory_type(pb_base_fields[f].type), v->first_pair,
					v->n_pairs, data, err));
	}
	memcpy(a->logit_diff[side] + v->first_pair, base->logit_diff,
	       v->n_pairs * sizeof *base->logit_diff);
cleanup:
	return status;
}

/* ---- raw values of a part ------------------------------------------------------------------ */

/* Check the values of a metric (finite where applicable, NaN elsewhere), fill the mask (NULL: none)
 * and raise the sweep's largest effect. */
static enum pb_status check_metric(struct assembly *a, const struct pb_chunk_values *v, size_t s,
				   enum pb_metric metric, uint8_t *mask, struct pb_error *err)
{
	const struct pb_experiment *e = a->e;
	const struct steps steps = steps_of(e, s, metric);
	const size_t n_steps = steps.n_positions * steps.n_candidates;
	const size_t n_heads = e->n_layers * e->n_heads;
	const double *recipient = a->logit_diff[e->sweeps[s].direction == PB_DENOISE ? 1 : 0];
	const double *doubles = v->sweeps[s].metric[metric];
	const float *floats = v->sweeps[s].metric[metric];
	size_t i, h, k, at = 0;

	for (i = 0; i < v->n_pairs; i++) {
		const struct pb_pair *pair = &e->pairs->items[v->first_pair + i];

		for (h = 0; h < n_heads; h++) {
			for (k = 0; k < n_steps; k++, at++) {
				bool is = applicable(&steps, pair, k);
				double value =
				    pb_metric_infos[metric].is_double ? doubles[at] : floats[at];

				if (is ? !isfinite(value) : !isnan(value))
					return pb_fail(
					    err, PB_ERR_CHECK,
					    "the run's own check failed: sweep %zu, %s of pair %zu, "
					    "layer %zu, head %zu, position %zu is %g where %s belongs",
					    s, pb_metric_infos[metric].name, v->first_pair + i,
					    h / e->n_heads, h % e->n_heads, k / steps.n_candidates,
					    value, is ? "a finite number" : "nothing");
				if (mask != NULL)
					mask[at] = is ? 0 : 1;
				if (metric != PB_METRIC_LOGIT_DIFF || !is)
					continue;
				value = fabs(value - recipient[v->first_pair + i]);
				if (value > a->figures.effect_largest[s])
					a->figures.effect_largest[s] = value;
			}
		}
	}
	return PB_OK;
}

static enum pb_status add_metric(struct assembly *a, const struct pb_chunk_values *v, size_t s,
				 enum pb_metric metric, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_field field = pb_metric_field(metric);
	const struct open_sweep *open = &a->sweeps[s];
	uint8_t *mask = NULL;
	size_t count;

	PB_TRY(pb_metric_count(a->e, s, metric, v->n_pairs, &count, err));
	if (open->mask[metric] >= 0)
		PB_TRY(pb_alloc((void **)&mask, count, 1, "mask", err));
	PB_TRY(check_metric(a, v, s, metric, mask, err));
	PB_TRY(pb_h5_write_rows(open->metric[metric], field.name, pb_field_memory_type(field.type),
				v->first_pair, v->n_pairs, v->sweeps[s].metric[metric], err));
	if (mask != NULL)
		status = pb_h5_write_rows(open->mask[metric], field.name, H5T_NATIVE_UINT8,
					  v->first_pair, v->n_pairs, mask, err);
cleanup:
	free(mask);
	return status;
}

/* ---- checks of a part ---------------------------------------------------------------------- */

/* Where a checked variant sits in its sweep's values; false when there is no such variant. */
static bool variant_offset(const struct pb_experiment *e, const struct pb_chunk_values *v,
			   const struct pb_checked_variant *variant, size_t *offset)
{
	bool each;

	if (variant->sweep < 0 || (size_t)variant->sweep >= e->n_sweeps || variant->layer < 0 ||
	    (size_t)variant->layer >= e->n_layers || variant->head < 0 ||
	    (size_t)variant->head >= e->n_heads || variant->pair < 0 ||
	    (size_t)variant->pair < v->first_pair ||
	    (size_t)variant->pair >= v->first_pair + v->n_pairs)
		return false;
	each = pb_sweep_axis(e, (size_t)variant->sweep) != PB_DIM_NONE;
	if (each ? variant->position < 0 ||
		       (size_t)variant->position >= e->pairs->items[variant->pair].length
		 : variant->position != -1)
		return false;
	*offset = (((size_t)variant->pair - v->first_pair) * e->n_layers + (size_t)variant->layer) *
		      e->n_heads +
		  (size_t)variant->head;
	if (each)
		*offset = *offset * e->pairs->max_length + (size_t)variant->position;
	return true;
}

static enum pb_status add_checks(struct assembly *a, const struct pb_chunk_values *v,
				 struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = a->e;
	const struct pb_chunk_checks *checks = &v->checks;
	struct pb_check_figures *f = &a->figures;
	const size_t first = f->n_variants;
	size_t i, offset;

	for (i = 0; i < e->n_layers; i++)
		f->resid_pre_deviation[v->chunk * e->n_layers + i] =
		    checks->n_resid_pre_pairs > 0 ? checks->resid_pre_deviation[i] : NAN;
	f->resid_pre_pairs[v->chunk] = (int32_t)checks->n_resid_pre_pairs;
	f->logit_largest[v->chunk] = checks->logit_largest;
	for (i = 0; i < v->n_pairs; i++)
		f->gap_largest =
		    fmax(f->gap_largest, fabs(v->base[0].logit_diff[i] - v->base[1].logit_diff[i]));
	PB_TRY(pb_check_figures_add(f, checks->variants, checks->n_variants, err));
	for (i = 0; i < checks->n_variants; i++) {
		const struct pb_checked_variant *variant = &checks->variants[i];
		const double *values;

		if (!variant_offset(e, v, variant, &offset))
			return pb_fail(err, PB_ERR_CHECK,
				       "the run's own check failed: chunk %zu recomputed a variant "
				       "that does not exist: sweep %d, pair %d, layer %d, head %d, "
				       "position %d",
				       v->chunk, variant->sweep, variant->pair, variant->layer,
				       variant->head, variant->position);
		values = v->sweeps[variant->sweep].metric[PB_METRIC_LOGIT_DIFF];
		f->in_file[first + i] = values[offset];
	}
cleanup:
	return status;
}

/* ---- the steps --------------------------------------------------------------------------- */

static enum pb_status add_part(struct assembly *a, size_t chunk, struct pb_error *err)
{
	enum pb_status status;
	struct pb_part part = {0};
	size_t s;
	int m;

	PB_TRY(pb_part_read(&part, a->e, chunk, err));
	a->isa[chunk] = part.isa;
	part.isa = NULL;
	a->seconds += part.values->seconds;
	if (part.finished - (int64_t)part.values->seconds < a->started)
		a->started = part.finished - (int64_t)part.values->seconds;
	PB_TRY(add_base_side(a, part.values, 0, err));
	PB_TRY(add_base_side(a, part.values, 1, err));
	for (s = 0; s < a->e->n_sweeps; s++)
		for (m = 0; m < PB_N_METRICS; m++)
			if (pb_experiment_has(a->e, (enum pb_metric)m))
				PB_TRY(add_metric(a, part.values, s, (enum pb_metric)m, err));
	status = add_checks(a, part.values, err);
cleanup:
	pb_part_free(&part);
	return status;
}

static enum pb_status write_sweep_check(const struct assembly *a, size_t s, struct pb_error *err)
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
static enum pb_status write_computed(struct assembly *a, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = a->e;
	struct pb_summary_shared shared = {0};
	size_t s;

	pb_pair_facts_judge(&a->facts, e->pairs->n, a->logit_diff[0], a->logit_diff[1]);
	PB_TRY(pb_pairs_group_write(&a->layout, e->pairs, &a->facts, err));
	PB_TRY(pb_summary_shared_new(&shared, e, &a->layout, a->logit_diff[0], a->logit_diff[1],
				     &a->facts, err));
	for (s = 0; s < e->n_sweeps; s++) {
		PB_TRY(pb_summary_write(&shared, s, a->sweeps[s].group, err));
		PB_TRY(write_sweep_check(a, s, err));
	}
	a->layout.sizes[PB_DIM_CHECKED_VARIANT] = a->figures.n_variants;
	if (a->figures.n_variants > 0)
		PB_TRY(pb_layout_scale(&a->layout, PB_DIM_CHECKED_VARIANT, err));
	PB_TRY(pb_checks_group_write(&a->layout, &a->figures, (const char *const *)a->isa, err));
	status = pb_provenance_write(a->layout.file, e, a->started, a->seconds, err);
cleanup:
	pb_summary_shared_free(&shared);
	return status;
}

static enum pb_status fill_file(struct assembly *a, const char *path, struct pb_error *err)
{
	enum pb_status status;
	size_t c, s;

	PB_TRY(pb_h5_file_create(&a->layout.file, path, err));
	PB_TRY(create_raw(a, err));
	for (c = 0; c < a->e->n_chunks; c++)
		PB_TRY(add_part(a, c, err));
	PB_TRY(pb_checks_judge(&a->figures, err));
	close_raw(a);
	PB_TRY(write_computed(a, err));
	for (s = 0; s < a->e->n_sweeps; s++) {
		pb_h5_drop(a->sweeps[s].group);
		a->sweeps[s].group = -1;
	}
	PB_TRY(pb_h5_file_close(&a->layout.file, path, err));
	/* Open again: what is hashed is what was written, not what was meant to be. */
	PB_TRY(pb_h5_file_open(&a->layout.file, path, true, PB_ERR_IO, err));
	PB_TRY(pb_checksums_write(&a->layout, err));
	status = pb_h5_file_close(&a->layout.file, path, err);
cleanup:
	return status;
}

enum pb_status pb_result_assemble(const struct pb_experiment *e, struct pb_error *err)
{
	enum pb_status status;
	struct pb_error inner = {0};
	struct pb_aside aside = {0};
	struct assembly a;

	pb_stale_remove(e->output);
	status = assembly_new(&a, e, &inner);
	if (status == PB_OK)
		status = pb_aside_begin(&aside, e->output, &inner);
	if (status == PB_OK)
		status = fill_file(&a, aside.temp_path, &inner);
	assembly_free(&a);
	if (status == PB_OK)
		status = pb_aside_commit(&aside, &inner);
	pb_aside_end(&aside);
	if (status == PB_OK)
		return pb_parts_remove(e, err);
	if (status == PB_ERR_CHECK)
		return pb_fail(err, status, "%s\n%s was not written; its parts stay in %s.parts",
			       inner.message, e->output, e->output);
	return pb_fail(err, status, "%s", inner.message);
}
