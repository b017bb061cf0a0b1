/* The arrays of a part: one list for writing, reading and hashing. */
#include "results/part_arrays.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"

#define VARIANT_INTS 3    /* sweep, pair, cell */
#define VARIANT_DOUBLES 2 /* logit_diff, logit_diff_plain */

void pb_part_arrays_free(struct pb_part_arrays *a)
{
	free(a->items);
	free(a->variant_ints);
	free(a->variant_doubles);
}

static enum pb_status append(struct pb_part_arrays *a, enum pb_type type, size_t count, void *data,
			     struct pb_error *err, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

static enum pb_status append(struct pb_part_arrays *a, enum pb_type type, size_t count, void *data,
			     struct pb_error *err, const char *format, ...)
{
	enum pb_status status;
	void *grown = a->items;
	struct pb_part_array *item;
	va_list args;

	PB_TRY(pb_grow(&grown, &a->capacity, a->n + 1, sizeof *a->items, "arrays of a part", err));
	a->items = grown;
	item = &a->items[a->n++];
	item->type = type;
	item->count = count;
	item->data = data;
	va_start(args, format);
	if (vsnprintf(item->name, sizeof item->name, format, args) < 0)
		item->name[0] = '\0';
	va_end(args);
cleanup:
	return status;
}

static enum pb_status append_base(struct pb_part_arrays *a, const struct pb_base_values *base,
				  size_t n, const char *side, struct pb_error *err)
{
	enum pb_status status;
	void *const data[PB_N_BASE_FIELDS] = {
	    [PB_BASE_LOGIT_DIFF] = base->logit_diff,
	    [PB_BASE_LOGIT_ANSWER] = base->logit_answer,
	    [PB_BASE_LOGIT_FOIL] = base->logit_foil,
	    [PB_BASE_PROB_ANSWER] = base->prob_answer,
	    [PB_BASE_PROB_FOIL] = base->prob_foil,
	    [PB_BASE_LOGPROB_ANSWER] = base->logprob_answer,
	    [PB_BASE_LOGPROB_FOIL] = base->logprob_foil,
	    [PB_BASE_RANK_ANSWER] = base->rank_answer,
	    [PB_BASE_RANK_FOIL] = base->rank_foil,
	    [PB_BASE_ARGMAX] = base->argmax,
	};
	int f;

	for (f = 0; f < PB_N_BASE_FIELDS; f++)
		PB_TRY(append(a, pb_base_fields[f].type, n, data[f], err, "base.%s.%s", side,
			      pb_base_fields[f].name));
	status = PB_OK;
cleanup:
	return status;
}

static enum pb_status append_sweep(struct pb_part_arrays *a, const struct pb_experiment *e,
				   const struct pb_chunk_values *v, size_t s, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_sweep_values *values = &v->sweeps[s];
	size_t count;
	int m;

	for (m = 0; m < PB_N_METRICS; m++) {
		if (!pb_experiment_has(e, (enum pb_metric)m))
			continue;
		PB_TRY(pb_metric_count(e, s, (enum pb_metric)m, v->n_pairs, &count, err));
		PB_TRY(append(a, pb_metric_field((enum pb_metric)m).type, count, values->metric[m],
			      err, "sweep.%zu.%s", s, pb_metric_infos[m].name));
	}
	PB_TRY(pb_metric_count(e, s, PB_METRIC_LOGIT_DIFF, v->n_pairs, &count, err));
	PB_TRY(append(a, PB_TYPE_FLAG, count, values->absent, err, "sweep.%zu.absent", s));
	if (values->control != NULL)
		PB_TRY(append(a, PB_TYPE_F32, v->n_pairs * pb_control_count(e, s), values->control,
			      err, "sweep.%zu.control", s));
cleanup:
	return status;
}

static enum pb_status append_side(struct pb_part_arrays *a, const struct pb_experiment *e,
				  const struct pb_chunk_values *v, int side, struct pb_error *err)
{
	enum pb_status status;
	const char *name = pb_side_names[side];
	size_t count, i;

	PB_TRY(append_base(a, &v->base[side], v->n_pairs, name, err));
	for (i = 0; i < PB_N_READINGS; i++) {
		const struct pb_reading_info *info = &pb_reading_infos[i];

		if (v->readings[side].values[i] == NULL)
			continue;
		PB_TRY(pb_reading_count(e, (enum pb_reading)i, v->n_pairs, &count, err));
		PB_TRY(append(a, PB_TYPE_F64, count, v->readings[side].values[i], err,
			      "reading.%s.%s.%s", name, pb_reading_group_names[info->group],
			      info->name));
	}
	for (i = 0; i < PB_N_SITES; i++) {
		if (v->saved[side][i] == NULL)
			continue;
		PB_TRY(pb_saved_count(e, (enum pb_site)i, v->n_pairs, &count, err));
		PB_TRY(append(a, PB_TYPE_F32, count, v->saved[side][i], err, "saved.%s.%s", name,
			      pb_site_names[i]));
	}
cleanup:
	return status;
}

static enum pb_status append_evaluation(struct pb_part_arrays *a, const struct pb_experiment *e,
					const struct pb_chunk_values *v, struct pb_error *err)
{
	const struct pb_eval_values *x = &v->eval;
	const size_t n = v->n_pairs;
	enum pb_status status;

	PB_TRY(append(a, PB_TYPE_F64, n, x->logprob_answer, err, "eval.logprob_answer"));
	PB_TRY(append(a, PB_TYPE_F64, n, x->mass, err, "eval.mass"));
	PB_TRY(append(a, PB_TYPE_F64, n, x->margin, err, "eval.margin"));
	PB_TRY(append(a, PB_TYPE_I32, n, x->argmax, err, "eval.argmax"));
	PB_TRY(append(a, PB_TYPE_I32, n, x->argmax_candidate, err, "eval.argmax_candidate"));
	PB_TRY(append(a, PB_TYPE_I32, n, x->rank_answer, err, "eval.rank_answer"));
	PB_TRY(append(a, PB_TYPE_F32, n * e->evaluation->max_candidates, x->candidate_logprob, err,
		      "eval.candidate_logprob"));
cleanup:
	return status;
}

static enum pb_status append_run(struct pb_part_arrays *a, const struct pb_experiment *e,
				 const struct pb_chunk_values *v, struct pb_error *err)
{
	enum pb_status status;
	size_t s;

	PB_TRY(append_side(a, e, v, 0, err));
	PB_TRY(append_side(a, e, v, 1, err));
	for (s = 0; s < e->n_sweeps; s++)
		PB_TRY(append_sweep(a, e, v, s, err));
	PB_TRY(append(a, PB_TYPE_F64, e->arch.n_layers, v->checks.resid_pre_deviation, err,
		      "checks.resid_pre_deviation"));
cleanup:
	return status;
}

enum pb_status pb_part_arrays_list(struct pb_part_arrays *a, const struct pb_experiment *e,
				   const struct pb_chunk_values *v, struct pb_error *err)
{
	enum pb_status status;
	const size_t n_variants = v->checks.n_variants;

	PB_TRY(e->evaluation != NULL ? append_evaluation(a, e, v, err) : append_run(a, e, v, err));
	PB_TRY(pb_alloc((void **)&a->variant_ints, n_variants, VARIANT_INTS * sizeof(int32_t),
			"checked variants", err));
	PB_TRY(pb_alloc((void **)&a->variant_doubles, n_variants, VARIANT_DOUBLES * sizeof(double),
			"checked variants", err));
	PB_TRY(append(a, PB_TYPE_I32, n_variants * VARIANT_INTS, a->variant_ints, err,
		      "checks.variants"));
	PB_TRY(append(a, PB_TYPE_F64, n_variants * VARIANT_DOUBLES, a->variant_doubles, err,
		      "checks.variant_logit_diffs"));
cleanup:
	return status;
}

void pb_part_arrays_pack(struct pb_part_arrays *a, const struct pb_chunk_checks *checks)
{
	size_t i;

	for (i = 0; i < checks->n_variants; i++) {
		const struct pb_checked_variant *v = &checks->variants[i];
		const int32_t ints[VARIANT_INTS] = {v->sweep, v->pair, v->cell};

		memcpy(a->variant_ints + i * VARIANT_INTS, ints, sizeof ints);
		a->variant_doubles[i * VARIANT_DOUBLES] = v->logit_diff;
		a->variant_doubles[i * VARIANT_DOUBLES + 1] = v->logit_diff_plain;
	}
}

void pb_part_arrays_unpack(const struct pb_part_arrays *a, struct pb_chunk_checks *checks)
{
	size_t i;

	for (i = 0; i < checks->n_variants; i++) {
		const int32_t *ints = a->variant_ints + i * VARIANT_INTS;

		checks->variants[i] = (struct pb_checked_variant){
		    .sweep = ints[0],
		    .pair = ints[1],
		    .cell = ints[2],
		    .logit_diff = a->variant_doubles[i * VARIANT_DOUBLES],
		    .logit_diff_plain = a->variant_doubles[i * VARIANT_DOUBLES + 1],
		};
	}
}

enum pb_status pb_part_content_hash(const struct pb_experiment *e, const struct pb_part *part,
				    const struct pb_part_arrays *a, char hex[PB_SHA256_HEX],
				    struct pb_error *err)
{
	enum pb_status status;
	const struct pb_chunk_values *v = part->values;
	char experiment[PB_SHA256_HEX], *head = NULL;
	struct pb_sha256 *sha = NULL;
	size_t i;

	PB_TRY(pb_experiment_hash(e, experiment, err));
	head = pb_format("%s %zu %zu %zu %zu %zu %a %a %a %" PRId64 " %s", experiment, v->chunk,
			 v->first_pair, v->n_pairs, v->checks.n_resid_pre_pairs,
			 v->checks.n_variants, v->checks.logit_largest,
			 v->checks.attribution_deviation, v->seconds, part->finished, part->isa);
	if (head == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the hash of a part");
		goto cleanup;
	}
	PB_TRY(pb_sha256_begin(&sha, err));
	PB_TRY(pb_sha256_add(sha, head, strlen(head) + 1, err));
	for (i = 0; i < a->n; i++) {
		const struct pb_part_array *item = &a->items[i];

		PB_TRY(pb_sha256_add(sha, item->data,
				     item->count * pb_field_element_size(item->type), err));
	}
	status = pb_sha256_end(sha, hex, err);
	sha = NULL;
cleanup:
	pb_sha256_free(sha);
	free(head);
	return status;
}
