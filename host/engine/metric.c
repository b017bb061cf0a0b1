/* From scores to stored metrics. */
#include <math.h>

#include "engine/sweeps.h"

bool pb_metrics_need_vocabulary(unsigned metrics)
{
	for (int m = 0; m < PB_N_METRICS; m++)
		if ((metrics & 1u << m) && pb_metric_infos[m].needs_vocabulary)
			return true;
	return false;
}

bool pb_metrics_need_kl(unsigned metrics)
{
	return metrics & (1u << PB_METRIC_KL_RECIPIENT | 1u << PB_METRIC_KL_DONOR);
}

/* A metric of the whole vocabulary. */
static double from_vocabulary(enum pb_metric metric, const struct pb_vocabulary_score *s)
{
	double answer = s->logit_answer - s->lse, foil = s->logit_foil - s->lse;

	switch (metric) {
	case PB_METRIC_PROB_ANSWER:
		return exp(answer);
	case PB_METRIC_PROB_FOIL:
		return exp(foil);
	case PB_METRIC_PROB_DIFF:
		return exp(answer) - exp(foil);
	case PB_METRIC_LOGPROB_ANSWER:
		return answer;
	case PB_METRIC_LOGPROB_FOIL:
		return foil;
	case PB_METRIC_RANK_ANSWER:
		return s->rank_answer;
	case PB_METRIC_RANK_FOIL:
		return s->rank_foil;
	case PB_METRIC_KL_RECIPIENT:
		return s->kl_recipient;
	case PB_METRIC_KL_DONOR:
		return s->kl_donor;
	default: /* not a metric of the vocabulary */
		return NAN;
	}
}

void pb_metric_store(const struct pb_sweep_target *target, size_t cell, const struct pb_scored *s)
{
	for (int m = 0; m < PB_N_METRICS; m++) {
		void *to = target->values->metric[m];

		if (!to)
			continue;
		if (m == PB_METRIC_LOGIT_DIFF)
			((double *)to)[cell] = s->logit_diff;
		else if (m == PB_METRIC_CANDIDATE_LOGITS)
			for (size_t i = 0; i < s->n_candidates; i++)
				((float *)to)[cell * target->max_candidates + i] =
				    (float)s->candidate_logits[i];
		else
			((float *)to)[cell] =
			    (float)from_vocabulary((enum pb_metric)m, s->vocabulary);
	}
}

void pb_base_store(const struct pb_chunk_run *run, struct pb_base_values base[2],
		   double *logit_largest)
{
	for (size_t p = 0; p < run->n_pairs; p++)
		for (int side = 0; side < 2; side++) {
			struct pb_base_values *b = &base[side];
			const struct pb_vocabulary_score *s =
			    &run->vocabulary[2 * p + (size_t)side];
			double answer = pb_base_logit(run, p, side, 0);
			double foil = pb_base_logit(run, p, side, 1);

			b->logit_diff[p] = answer - foil;
			b->logit_answer[p] = (float)answer;
			b->logit_foil[p] = (float)foil;
			b->logprob_answer[p] = (float)(s->logit_answer - s->lse);
			b->logprob_foil[p] = (float)(s->logit_foil - s->lse);
			b->prob_answer[p] = (float)exp(s->logit_answer - s->lse);
			b->prob_foil[p] = (float)exp(s->logit_foil - s->lse);
			b->rank_answer[p] = s->rank_answer;
			b->rank_foil[p] = s->rank_foil;
			b->argmax[p] = s->argmax;
			/* a NaN must stay */
			if (isnan(answer - foil) || fmax(fabs(answer), fabs(foil)) > *logit_largest)
				*logit_largest =
				    isnan(answer - foil) ? NAN : fmax(fabs(answer), fabs(foil));
		}
}
