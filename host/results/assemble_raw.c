/* The values of the parts, checked and written into the final file, chunk by chunk. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/parts.h"

/* ---- base values of a part ----------------------------------------------------------------- */

static enum pb_status refuse_base(int side, enum pb_base_field field, size_t pair, double value,
				  struct pb_error *err)
{
	return pb_fail(err, PB_ERR_CHECK,
		       "the run's own check failed: base run, %s prompt of pair %zu: %s is %g: "
		       "the model gives no usable numbers there",
		       pb_side_names[side], pair, pb_base_fields[field].name, value);
}

static enum pb_status add_base_side(struct pb_assembly *a, const struct pb_part *part, int side,
				    struct pb_error *err)
{
	enum pb_status status;
	const struct pb_chunk_values *v = part->values;
	const struct pb_base_values *base = &v->base[side];
	const float *const floats[] = {base->logit_answer,   base->logit_foil,
				       base->prob_answer,    base->prob_foil,
				       base->logprob_answer, base->logprob_foil};
	const int32_t *const ints[] = {base->rank_answer, base->rank_foil, base->argmax};
	uint8_t *mask = NULL;
	size_t i;
	int f;

	PB_TRY(pb_alloc((void **)&mask, v->n_pairs, 1, "mask", err));
	memset(mask, part->missing, v->n_pairs);
	for (f = 0; f < PB_N_BASE_FIELDS; f++) {
		const void *data = f == PB_BASE_LOGIT_DIFF ? (const void *)base->logit_diff
				   : f < PB_BASE_RANK_ANSWER
				       ? (const void *)floats[f - PB_BASE_LOGIT_ANSWER]
				       : (const void *)ints[f - PB_BASE_RANK_ANSWER];

		for (i = 0; i < v->n_pairs && !part->missing; i++) {
			double value = f == PB_BASE_LOGIT_DIFF   ? base->logit_diff[i]
				       : f < PB_BASE_RANK_ANSWER ? ((const float *)data)[i]
								 : ((const int32_t *)data)[i];

			if (!isfinite(value) || (f >= PB_BASE_RANK_ANSWER && value < 0)) {
				status = refuse_base(side, (enum pb_base_field)f, v->first_pair + i,
						     value, err);
				goto cleanup;
			}
		}
		PB_TRY(
		    pb_growing_add(&a->base[side][f], v->first_pair, v->n_pairs, data, mask, err));
	}
	memcpy(a->logit_diff[side] + v->first_pair, base->logit_diff,
	       v->n_pairs * sizeof *base->logit_diff);
cleanup:
	free(mask);
	return status;
}

/* ---- raw values of a part ------------------------------------------------------------------ */

static enum pb_status refuse_value(const struct pb_experiment *e, size_t sweep,
				   enum pb_metric metric, size_t pair, size_t cell, double value,
				   bool applies, struct pb_error *err)
{
	char label[96];

	pb_grid_label(&e->grids[sweep], &e->sweeps[sweep], cell, label, sizeof label);
	return pb_fail(err, PB_ERR_CHECK,
		       "the run's own check failed: sweep %zu, %s of pair %zu, %s (cell %zu) is %g "
		       "where %s belongs",
		       sweep, pb_metric_infos[metric].name, pair, label, cell, value,
		       applies ? "a finite number" : "nothing");
}

/* Check the values of a metric (finite where applicable, NaN elsewhere: cells that a pair lacks,
 * and what is past its candidates), fill the mask and raise the sweep's largest effect. */
static enum pb_status check_metric(struct pb_assembly *a, const struct pb_chunk_values *v, size_t s,
				   enum pb_metric metric, uint8_t *mask, struct pb_error *err)
{
	const struct pb_experiment *e = a->e;
	const struct pb_metric_info *info = &pb_metric_infos[metric];
	const size_t n_cells = e->grids[s].n_cells;
	const size_t n_steps = info->per_candidate ? pb_experiment_candidates(e) : 1;
	const double *recipient = a->logit_diff[e->sweeps[s].direction == PB_DENOISE ? 1 : 0];
	const double *doubles = v->sweeps[s].metric[metric];
	const float *floats = v->sweeps[s].metric[metric];
	size_t i, c, k, at = 0;

	for (i = 0; i < v->n_pairs; i++) {
		const size_t pair = v->first_pair + i;
		const size_t n_own = info->per_candidate ? e->pairs->items[pair].n_candidates : 1;
		const uint8_t *absent = v->sweeps[s].absent + i * n_cells;

		for (c = 0; c < n_cells; c++) {
			for (k = 0; k < n_steps; k++, at++) {
				const bool is = absent[c] == 0 && k < n_own;
				double value = info->is_double ? doubles[at] : floats[at];

				if (is ? !isfinite(value) : !isnan(value))
					return refuse_value(e, s, metric, pair, c, value, is, err);
				mask[at] = is ? 0 : 1;
				if (metric != PB_METRIC_LOGIT_DIFF || !is)
					continue;
				value = fabs(value - recipient[pair]);
				if (value > a->figures.effect_largest[s])
					a->figures.effect_largest[s] = value;
			}
		}
	}
	return PB_OK;
}

static enum pb_status add_metric(struct pb_assembly *a, const struct pb_chunk_values *v, size_t s,
				 enum pb_metric metric, struct pb_error *err)
{
	enum pb_status status;
	uint8_t *mask = NULL;
	size_t count;

	PB_TRY(pb_metric_count(a->e, s, metric, v->n_pairs, &count, err));
	PB_TRY(pb_alloc((void **)&mask, count, 1, "mask", err));
	PB_TRY(check_metric(a, v, s, metric, mask, err));
	status = pb_growing_add(&a->sweeps[s].metric[metric], v->first_pair, v->n_pairs,
				v->sweeps[s].metric[metric], mask, err);
cleanup:
	free(mask);
	return status;
}

static enum pb_status add_control(struct pb_assembly *a, const struct pb_part *part, size_t s,
				  struct pb_error *err)
{
	enum pb_status status;
	const struct pb_chunk_values *v = part->values;
	const float *control = v->sweeps[s].control;
	const size_t n = v->n_pairs * pb_control_count(a->e, s);
	uint8_t *mask = NULL;
	size_t i;

	for (i = 0; i < n && !part->missing; i++)
		if (!isfinite(control[i]))
			return pb_fail(err, PB_ERR_CHECK,
				       "the run's own check failed: sweep %zu, control noise of "
				       "pair %zu is %g",
				       s, v->first_pair + i / (n / v->n_pairs), control[i]);
	if (part->missing) {
		PB_TRY(pb_alloc((void **)&mask, n, 1, "mask", err));
		memset(mask, 1, n);
	}
	status =
	    pb_growing_add(&a->sweeps[s].control, v->first_pair, v->n_pairs, control, mask, err);
cleanup:
	free(mask);
	return status;
}

static enum pb_status add_sweep(struct pb_assembly *a, const struct pb_part *part, size_t s,
				struct pb_error *err)
{
	const struct pb_chunk_values *v = part->values;
	enum pb_status status = PB_OK;
	int m;

	for (m = 0; m < PB_N_METRICS; m++)
		if (pb_experiment_has(a->e, (enum pb_metric)m))
			PB_TRY(add_metric(a, v, s, (enum pb_metric)m, err));
	if (v->sweeps[s].control != NULL)
		status = add_control(a, part, s, err);
cleanup:
	return status;
}

/* ---- readings and activations of a part ---------------------------------------------------- */

/* Attributions and the lens have a number everywhere; what attention or composition has none for
 * (a role that the prompt lacks, a receiver that is not later) is not applicable. */
static bool may_lack(enum pb_reading reading)
{
	const enum pb_reading_group group = pb_reading_infos[reading].group;

	return group != PB_READING_DIRECT_LOGIT_ATTRIBUTION && group != PB_READING_LOGIT_LENS;
}

static enum pb_status add_reading(struct pb_assembly *a, const struct pb_part *part, int side,
				  enum pb_reading reading, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_chunk_values *v = part->values;
	const double *values = v->readings[side].values[reading];
	uint8_t *mask = NULL;
	size_t count, i;

	PB_TRY(pb_reading_count(a->e, reading, v->n_pairs, &count, err));
	PB_TRY(pb_alloc((void **)&mask, count, 1, "mask", err));
	for (i = 0; i < count; i++) {
		mask[i] = isnan(values[i]) ? 1 : 0;
		if (isinf(values[i]) || (mask[i] && !part->missing && !may_lack(reading))) {
			status = pb_fail(err, PB_ERR_CHECK,
					 "the run's own check failed: reading %s, %s prompt of "
					 "pair %zu is %g",
					 pb_reading_infos[reading].name, pb_side_names[side],
					 v->first_pair + i / (count / v->n_pairs), values[i]);
			goto cleanup;
		}
	}
	status = pb_growing_add(&a->readings[side][reading], v->first_pair, v->n_pairs, values,
				mask, err);
cleanup:
	free(mask);
	return status;
}

/* Activations are NaN past the prompt's end (pattern: past it in either direction), and nowhere
 * else. */
static enum pb_status add_saved(struct pb_assembly *a, const struct pb_part *part, int side,
				enum pb_site site, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_chunk_values *v = part->values;
	const struct pb_pairs *pairs = a->e->pairs;
	const float *values = v->saved[side][site];
	size_t layers, index, width, count, i;
	uint8_t *mask = NULL;

	pb_site_shape(&a->e->arch, site, pairs->max_length, &layers, &index, &width);
	PB_TRY(pb_saved_count(a->e, site, v->n_pairs, &count, err));
	PB_TRY(pb_alloc((void **)&mask, count, 1, "mask", err));
	for (i = 0; i < count; i++) {
		const size_t pair = v->first_pair + i / (count / v->n_pairs);
		const size_t length = pairs->items[pair].length;
		const bool is = !part->missing && i / width % pairs->max_length < length &&
				(site != PB_SITE_PATTERN || i % width < length);

		mask[i] = is ? 0 : 1;
		if (is ? !isfinite(values[i]) : !isnan(values[i])) {
			status = pb_fail(err, PB_ERR_CHECK,
					 "the run's own check failed: saved %s, %s prompt of pair "
					 "%zu, position %zu is %g where %s belongs",
					 pb_site_names[site], pb_side_names[side], pair,
					 i / width % pairs->max_length, values[i],
					 is ? "a finite number" : "nothing");
			goto cleanup;
		}
	}
	status =
	    pb_growing_add(&a->saved[side][site], v->first_pair, v->n_pairs, values, mask, err);
cleanup:
	free(mask);
	return status;
}

static enum pb_status add_side(struct pb_assembly *a, const struct pb_part *part, int side,
			       struct pb_error *err)
{
	const struct pb_chunk_values *v = part->values;
	enum pb_status status;
	int i;

	PB_TRY(add_base_side(a, part, side, err));
	for (i = 0; i < PB_N_READINGS; i++)
		if (v->readings[side].values[i] != NULL)
			PB_TRY(add_reading(a, part, side, (enum pb_reading)i, err));
	for (i = 0; i < PB_N_SITES; i++)
		if (v->saved[side][i] != NULL)
			PB_TRY(add_saved(a, part, side, (enum pb_site)i, err));
cleanup:
	return status;
}

/* ---- checks of a part ---------------------------------------------------------------------- */

/* Where a checked variant sits in its sweep's values; false when there is no such variant. */
static bool variant_offset(const struct pb_experiment *e, const struct pb_chunk_values *v,
			   const struct pb_checked_variant *variant, size_t *offset)
{
	size_t n_cells;

	if (variant->sweep < 0 || (size_t)variant->sweep >= e->n_sweeps || variant->pair < 0 ||
	    (size_t)variant->pair < v->first_pair ||
	    (size_t)variant->pair >= v->first_pair + v->n_pairs)
		return false;
	n_cells = e->grids[variant->sweep].n_cells;
	if (variant->cell < 0 || (size_t)variant->cell >= n_cells)
		return false;
	*offset = ((size_t)variant->pair - v->first_pair) * n_cells + (size_t)variant->cell;
	return v->sweeps[variant->sweep].absent[*offset] == 0;
}

static enum pb_status add_checks(struct pb_assembly *a, const struct pb_part *part,
				 struct pb_error *err)
{
	enum pb_status status;
	const struct pb_chunk_values *v = part->values;
	const struct pb_experiment *e = a->e;
	const struct pb_chunk_checks *checks = &v->checks;
	struct pb_check_figures *f = &a->figures;
	const size_t first = f->n_variants;
	size_t i, offset;

	for (i = 0; i < e->arch.n_layers; i++)
		f->resid_pre_deviation[v->chunk * e->arch.n_layers + i] =
		    checks->n_resid_pre_pairs > 0 ? checks->resid_pre_deviation[i] : NAN;
	f->resid_pre_pairs[v->chunk] = part->missing ? -1 : (int32_t)checks->n_resid_pre_pairs;
	f->logit_largest[v->chunk] = checks->logit_largest;
	f->attribution_deviation[v->chunk] = checks->attribution_deviation;
	for (i = 0; i < v->n_pairs && !part->missing; i++) {
		const double clean = v->base[0].logit_diff[i], other = v->base[1].logit_diff[i];

		f->gap_largest = fmax(f->gap_largest, fabs(clean - other));
		f->logit_diff_largest = fmax(f->logit_diff_largest, fmax(fabs(clean), fabs(other)));
	}
	PB_TRY(pb_check_figures_add(f, checks->variants, checks->n_variants, err));
	for (i = 0; i < checks->n_variants; i++) {
		const struct pb_checked_variant *variant = &checks->variants[i];
		const double *values;

		if (!variant_offset(e, v, variant, &offset))
			return pb_fail(err, PB_ERR_CHECK,
				       "the run's own check failed: chunk %zu recomputed a variant "
				       "that does not exist: sweep %d, pair %d, cell %d",
				       v->chunk, variant->sweep, variant->pair, variant->cell);
		values = v->sweeps[variant->sweep].metric[PB_METRIC_LOGIT_DIFF];
		f->in_file[first + i] = values[offset];
	}
cleanup:
	return status;
}

/* ---- a part ------------------------------------------------------------------------------ */

enum pb_status pb_assembly_add_part(struct pb_assembly *a, size_t chunk, struct pb_error *err)
{
	enum pb_status status;
	struct pb_part part = {0};
	size_t s;

	PB_TRY(pb_part_source_read(a->source, chunk, &part, err));
	memset(a->facts.missing + part.values->first_pair, part.missing, part.values->n_pairs);
	a->isa[chunk] = part.isa;
	part.isa = NULL;
	a->seconds += part.values->seconds;
	if (part.finished - (int64_t)part.values->seconds < a->started)
		a->started = part.finished - (int64_t)part.values->seconds;
	PB_TRY(add_side(a, &part, 0, err));
	PB_TRY(add_side(a, &part, 1, err));
	for (s = 0; s < a->e->n_sweeps; s++)
		PB_TRY(add_sweep(a, &part, s, err));
	status = add_checks(a, &part, err);
cleanup:
	pb_part_free(&part);
	return status;
}
