/* The values of the parts, checked and written into the final file, chunk by chunk. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/parts.h"

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

bool pb_assembly_needs_mask(const struct pb_experiment *e, size_t sweep, enum pb_metric metric)
{
	const struct steps steps = steps_of(e, sweep, metric), *s = &steps;
	size_t i;

	for (i = 0; i < e->pairs->n; i++)
		if (!applicable(s, &e->pairs->items[i], s->n_positions * s->n_candidates - 1))
			return true;
	return false;
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

static enum pb_status add_base_side(struct pb_assembly *a, const struct pb_chunk_values *v,
				    int side, struct pb_error *err)
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
static enum pb_status check_metric(struct pb_assembly *a, const struct pb_chunk_values *v, size_t s,
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

static enum pb_status add_metric(struct pb_assembly *a, const struct pb_chunk_values *v, size_t s,
				 enum pb_metric metric, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_field field = pb_metric_field(metric);
	const struct pb_open_sweep *open = &a->sweeps[s];
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

static enum pb_status add_checks(struct pb_assembly *a, const struct pb_chunk_values *v,
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

/* ---- a part ------------------------------------------------------------------------------ */

enum pb_status pb_assembly_add_part(struct pb_assembly *a, size_t chunk, struct pb_error *err)
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
