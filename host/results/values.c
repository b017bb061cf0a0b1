/* The arrays of one chunk. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/parts.h"

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
	if (metric == PB_METRIC_CANDIDATE_LOGITS && pb_experiment_candidates(e) == 0)
		return false;
	return (e->metrics & 1u << metric) != 0;
}

enum pb_status pb_metric_count(const struct pb_experiment *e, size_t sweep, enum pb_metric metric,
			       size_t n_pairs, size_t *count, struct pb_error *err)
{
	size_t n = n_pairs;
	bool fits = pb_size_mul(n, e->n_layers, &n) && pb_size_mul(n, e->n_heads, &n);

	if (fits && e->sweeps[sweep].positions == PB_POSITIONS_EACH)
		fits = pb_size_mul(n, e->pairs->max_length, &n);
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

void pb_chunk_values_free(struct pb_chunk_values *values)
{
	struct owned_values *owned = (struct owned_values *)values;
	size_t s;
	int m;

	if (values == NULL)
		return;
	base_free(&values->base[0]);
	base_free(&values->base[1]);
	for (s = 0; values->sweeps != NULL && s < owned->n_sweeps; s++)
		for (m = 0; m < PB_N_METRICS; m++)
			free(values->sweeps[s].metric[m]);
	free(values->sweeps);
	free(values->checks.resid_pre_deviation);
	free(values->checks.variants);
	free(owned);
}

static enum pb_status sweep_new(struct pb_sweep_values *values, const struct pb_experiment *e,
				size_t sweep, size_t n_pairs, struct pb_error *err)
{
	enum pb_status status = PB_OK;
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
	if (chunk >= e->n_chunks || chunk * e->chunk_pairs >= e->pairs->n)
		return pb_fail(err, PB_ERR_INTERNAL, "chunk %zu of %zu does not exist", chunk,
			       e->n_chunks);
	PB_TRY(pb_alloc((void **)&owned, 1, sizeof *owned, "chunk values", err));
	values = &owned->values;
	values->chunk = chunk;
	values->first_pair = chunk * e->chunk_pairs;
	n = e->pairs->n - values->first_pair;
	values->n_pairs = n = n < e->chunk_pairs ? n : e->chunk_pairs;
	values->isa = "";
	PB_TRY(base_new(&values->base[0], n, err));
	PB_TRY(base_new(&values->base[1], n, err));
	PB_TRY(pb_alloc((void **)&values->sweeps, e->n_sweeps, sizeof *values->sweeps,
			"chunk values", err));
	owned->n_sweeps = e->n_sweeps;
	for (s = 0; s < e->n_sweeps; s++)
		PB_TRY(sweep_new(&values->sweeps[s], e, s, n, err));
	PB_TRY(doubles(&values->checks.resid_pre_deviation, e->n_layers, err));
	*out = values;
	return PB_OK;
cleanup:
	if (owned != NULL)
		pb_chunk_values_free(&owned->values);
	return status;
}
