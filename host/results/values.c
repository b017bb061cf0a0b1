/* The arrays of one chunk. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/parts.h"
#include "results/schema.h"

static enum pb_status doubles(double **out, size_t n, struct pb_error *err)
{
	enum pb_status status = pb_alloc((void **)out, n, sizeof **out, "chunk values", err);
	size_t i;

	for (i = 0; status == PB_OK && i < n; i++)
		(*out)[i] = NAN;
	return status;
}

static enum pb_status floats(float **out, size_t n, struct pb_error *err)
{
	enum pb_status status = pb_alloc((void **)out, n, sizeof **out, "chunk values", err);
	size_t i;

	for (i = 0; status == PB_OK && i < n; i++)
		(*out)[i] = NAN;
	return status;
}

static enum pb_status ints(int32_t **out, size_t n, struct pb_error *err)
{
	enum pb_status status = pb_alloc((void **)out, n, sizeof **out, "chunk values", err);
	size_t i;

	for (i = 0; status == PB_OK && i < n; i++)
		(*out)[i] = -1;
	return status;
}

size_t pb_experiment_candidates(const struct pb_experiment *e)
{
	size_t i, largest = 0;

	for (i = 0; i < e->pairs->n; i++)
		if (e->pairs->items[i].n_candidates > largest)
			largest = e->pairs->items[i].n_candidates;
	return largest;
}

bool pb_experiment_has(const struct pb_experiment *e, enum pb_metric metric)
{
	if (metric == PB_METRIC_LOGIT_DIFF)
		return true;
	if (!(e->metrics & 1u << metric))
		return false;
	return metric != PB_METRIC_CANDIDATE_LOGITS || pb_experiment_candidates(e) > 0;
}

const struct pb_reference_means *pb_experiment_means(const struct pb_experiment *e, size_t sweep)
{
	if (e->means == NULL || e->sweeps[sweep].intervention != PB_MEAN ||
	    e->means[sweep].values == NULL)
		return NULL;
	return &e->means[sweep];
}

bool pb_experiment_keeps_control(const struct pb_experiment *e, size_t sweep)
{
	return e->save_control && e->sweeps[sweep].intervention == PB_CONTROL;
}

bool pb_experiment_reads(const struct pb_experiment *e, enum pb_reading reading)
{
	if (reading == PB_READ_ROLE_MASS && e->pairs->n_roles == 0)
		return false;
	return (e->readings & 1u << pb_reading_infos[reading].group) != 0;
}

/* n = n * factor, as long as an array of n doubles could be held. */
static bool times(size_t *n, size_t factor)
{
	return pb_size_mul(*n, factor, n) && *n <= PTRDIFF_MAX / sizeof(double);
}

enum pb_status pb_reading_count(const struct pb_experiment *e, enum pb_reading reading,
				size_t n_pairs, size_t *count, struct pb_error *err)
{
	const struct pb_field field = pb_reading_field(reading);
	const size_t sizes[PB_N_DIMS + 1] = {[PB_DIM_PAIR] = n_pairs,
					     [PB_DIM_LAYER] = e->arch.n_layers,
					     [PB_DIM_HEAD] = e->arch.n_heads,
					     [PB_DIM_SENDER_LAYER] = e->arch.n_layers,
					     [PB_DIM_SENDER_HEAD] = e->arch.n_heads,
					     [PB_DIM_RECEIVER_LAYER] = e->arch.n_layers,
					     [PB_DIM_RECEIVER_HEAD] = e->arch.n_heads,
					     [PB_DIM_RECEIVER_KV_HEAD] = e->arch.n_kv_heads,
					     [PB_DIM_CELL] = e->pairs->n_roles};
	const size_t n_dims = sizeof field.dims / sizeof *field.dims;
	bool fits = true;
	size_t n = 1, i;

	for (i = 0; i < n_dims && field.dims[i] != PB_DIM_NONE; i++)
		fits = fits && times(&n, sizes[field.dims[i]]);
	if (!fits)
		return pb_fail(err, PB_ERR_MEMORY, "too many values: reading %s: make fewer pairs",
			       field.name);
	*count = n;
	return PB_OK;
}

enum pb_status pb_saved_count(const struct pb_experiment *e, enum pb_site site, size_t n_pairs,
			      size_t *count, struct pb_error *err)
{
	size_t n = n_pairs, layers, index, width;

	pb_site_shape(&e->arch, site, e->pairs->max_length, &layers, &index, &width);
	if (!times(&n, layers) || !times(&n, index) || !times(&n, e->pairs->max_length) ||
	    !times(&n, width))
		return pb_fail(err, PB_ERR_MEMORY,
			       "too many values: saved activations of %s: make fewer pairs",
			       pb_site_names[site]);
	*count = n;
	return PB_OK;
}

enum pb_status pb_metric_count(const struct pb_experiment *e, size_t sweep, enum pb_metric metric,
			       size_t n_pairs, size_t *count, struct pb_error *err)
{
	size_t n = n_pairs;
	bool fits = pb_size_mul(n, e->grids[sweep].n_cells, &n);

	if (fits && pb_metric_infos[metric].per_candidate)
		fits = pb_size_mul(n, pb_experiment_candidates(e), &n);
	if (!fits || n > PTRDIFF_MAX / sizeof(double))
		return pb_fail(
		    err, PB_ERR_MEMORY,
		    "too many values: sweep %zu, %s: make fewer pairs or fewer positions", sweep,
		    pb_metric_infos[metric].name);
	*count = n;
	return PB_OK;
}

size_t pb_experiment_items(const struct pb_experiment *e)
{
	return e->evaluation != NULL ? e->evaluation->n : e->pairs->n;
}

enum pb_status pb_eval_values_new(struct pb_eval_values *v, size_t n, size_t max_candidates,
				  struct pb_error *err)
{
	enum pb_status status;
	size_t n_candidates = n;

	*v = (struct pb_eval_values){0};
	if (!times(&n_candidates, max_candidates))
		return pb_fail(err, PB_ERR_MEMORY, "too many candidates: make fewer prompts");
	PB_TRY(doubles(&v->logprob_answer, n, err));
	PB_TRY(doubles(&v->mass, n, err));
	PB_TRY(doubles(&v->margin, n, err));
	PB_TRY(ints(&v->argmax, n, err));
	PB_TRY(ints(&v->argmax_candidate, n, err));
	PB_TRY(ints(&v->rank_answer, n, err));
	PB_TRY(floats(&v->candidate_logprob, n_candidates, err));
cleanup:
	return status;
}

void pb_eval_values_free(struct pb_eval_values *v)
{
	free(v->logprob_answer);
	free(v->mass);
	free(v->margin);
	free(v->argmax);
	free(v->argmax_candidate);
	free(v->rank_answer);
	free(v->candidate_logprob);
	*v = (struct pb_eval_values){0};
}

static enum pb_status base_new(struct pb_base_values *base, size_t n, struct pb_error *err)
{
	enum pb_status status;
	float **arrays[] = {&base->logit_answer, &base->logit_foil,     &base->prob_answer,
			    &base->prob_foil,    &base->logprob_answer, &base->logprob_foil};
	size_t i;

	PB_TRY(doubles(&base->logit_diff, n, err));
	for (i = 0; i < sizeof arrays / sizeof *arrays; i++)
		PB_TRY(floats(arrays[i], n, err));
	PB_TRY(ints(&base->rank_answer, n, err));
	PB_TRY(ints(&base->rank_foil, n, err));
	PB_TRY(ints(&base->argmax, n, err));
cleanup:
	return status;
}

static void base_free(struct pb_base_values *base)
{
	free(base->logit_diff);
	free(base->logit_answer);
	free(base->logit_foil);
	free(base->prob_answer);
	free(base->prob_foil);
	free(base->logprob_answer);
	free(base->logprob_foil);
	free(base->rank_answer);
	free(base->rank_foil);
	free(base->argmax);
}

/* The values of a chunk know how many sweeps they hold, for pb_chunk_values_free. */
struct owned_values {
	struct pb_chunk_values values; /* first: what the caller points to */
	size_t n_sweeps;
};

static void sweep_free(struct pb_sweep_values *values)
{
	int m;

	for (m = 0; m < PB_N_METRICS; m++)
		free(values->metric[m]);
	free(values->absent);
	free(values->control);
}

void pb_chunk_values_free(struct pb_chunk_values *values)
{
	struct owned_values *owned = (struct owned_values *)values;
	size_t s, i;

	if (values == NULL)
		return;
	for (s = 0; s < 2; s++) {
		base_free(&values->base[s]);
		for (i = 0; i < PB_N_READINGS; i++)
			free(values->readings[s].values[i]);
		for (i = 0; i < PB_N_SITES; i++)
			free(values->saved[s][i]);
	}
	for (s = 0; values->sweeps != NULL && s < owned->n_sweeps; s++)
		sweep_free(&values->sweeps[s]);
	free(values->sweeps);
	pb_eval_values_free(&values->eval);
	free(values->checks.resid_pre_deviation);
	free(values->checks.variants);
	free(owned);
}

static enum pb_status sweep_new(struct pb_sweep_values *values, const struct pb_experiment *e,
				size_t sweep, size_t n_pairs, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t n;
	int m;

	for (m = 0; m < PB_N_METRICS; m++) {
		size_t count;

		if (!pb_experiment_has(e, (enum pb_metric)m))
			continue;
		PB_TRY(pb_metric_count(e, sweep, (enum pb_metric)m, n_pairs, &count, err));
		if (pb_metric_infos[m].is_double)
			PB_TRY(doubles((double **)&values->metric[m], count, err));
		else
			PB_TRY(floats((float **)&values->metric[m], count, err));
	}
	PB_TRY(pb_metric_count(e, sweep, PB_METRIC_LOGIT_DIFF, n_pairs, &n, err));
	PB_TRY(pb_alloc((void **)&values->absent, n, 1, "chunk values", err));
	if (pb_experiment_keeps_control(e, sweep)) {
		n = n_pairs;
		if (!times(&n, pb_control_count(e, sweep)))
			return pb_fail(err, PB_ERR_MEMORY,
				       "too many values: sweep %zu, control: make fewer pairs",
				       sweep);
		PB_TRY(pb_alloc((void **)&values->control, n, sizeof(float), "chunk values", err));
	}
cleanup:
	return status;
}

/* Readings by pair and saved activations of one side. */
static enum pb_status side_new(struct pb_chunk_values *v, size_t side,
			       const struct pb_experiment *e, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i, count;

	for (i = 0; i < PB_N_READINGS; i++) {
		const enum pb_reading reading = (enum pb_reading)i;

		if (!pb_reading_infos[i].by_pair || !pb_experiment_reads(e, reading))
			continue;
		PB_TRY(pb_reading_count(e, reading, v->n_pairs, &count, err));
		PB_TRY(doubles(&v->readings[side].values[i], count, err));
	}
	for (i = 0; i < PB_N_SITES; i++) {
		if (!(e->save & 1u << i))
			continue;
		PB_TRY(pb_saved_count(e, (enum pb_site)i, v->n_pairs, &count, err));
		PB_TRY(floats(&v->saved[side][i], count, err));
	}
cleanup:
	return status;
}

enum pb_status pb_chunk_values_new(struct pb_chunk_values **out, const struct pb_experiment *e,
				   size_t chunk, struct pb_error *err)
{
	enum pb_status status;
	struct owned_values *owned = NULL;
	struct pb_chunk_values *values;
	size_t s, n;

	*out = NULL;
	if (chunk >= e->n_chunks || chunk * e->chunk_pairs >= pb_experiment_items(e))
		return pb_fail(err, PB_ERR_INTERNAL, "chunk %zu of %zu does not exist", chunk,
			       e->n_chunks);
	PB_TRY(pb_alloc((void **)&owned, 1, sizeof *owned, "chunk values", err));
	values = &owned->values;
	values->chunk = chunk;
	values->first_pair = chunk * e->chunk_pairs;
	n = pb_experiment_items(e) - values->first_pair;
	values->n_pairs = n = n < e->chunk_pairs ? n : e->chunk_pairs;
	values->isa = "";
	values->checks.attribution_deviation = NAN;
	if (e->evaluation != NULL) {
		PB_TRY(pb_eval_values_new(&values->eval, n, e->evaluation->max_candidates, err));
		*out = values;
		return PB_OK;
	}
	PB_TRY(base_new(&values->base[0], n, err));
	PB_TRY(base_new(&values->base[1], n, err));
	PB_TRY(side_new(values, 0, e, err));
	PB_TRY(side_new(values, 1, e, err));
	PB_TRY(pb_alloc((void **)&values->sweeps, e->n_sweeps, sizeof *values->sweeps,
			"chunk values", err));
	owned->n_sweeps = e->n_sweeps;
	for (s = 0; s < e->n_sweeps; s++)
		PB_TRY(sweep_new(&values->sweeps[s], e, s, n, err));
	PB_TRY(doubles(&values->checks.resid_pre_deviation, e->arch.n_layers, err));
	*out = values;
	return PB_OK;
cleanup:
	if (owned != NULL)
		pb_chunk_values_free(&owned->values);
	return status;
}
