/* The names of sweep.h: one table an enum, read by the config, the file and messages alike. */
#include <string.h>

#include "patchbay/sweep.h"

const char *const pb_intervention_names[PB_N_INTERVENTIONS] = {
    [PB_PATCH] = "patch",       [PB_ZERO] = "zero",       [PB_MEAN] = "mean",
    [PB_RESAMPLE] = "resample", [PB_SCALE] = "scale",     [PB_ADD] = "add",
    [PB_PROJECT] = "project",   [PB_CONTROL] = "control", [PB_PATH] = "path",
};

bool pb_intervention_has_donor(enum pb_intervention intervention)
{
	return intervention == PB_PATCH || intervention == PB_PROJECT ||
	       intervention == PB_CONTROL || intervention == PB_PATH;
}

const char *const pb_site_names[PB_N_SITES] = {
    [PB_SITE_EMBED] = "embed",
    [PB_SITE_RESID_PRE] = "resid_pre",
    [PB_SITE_Q] = "q",
    [PB_SITE_K] = "k",
    [PB_SITE_V] = "v",
    [PB_SITE_Q_ROT] = "q_rot",
    [PB_SITE_K_ROT] = "k_rot",
    [PB_SITE_PATTERN] = "pattern",
    [PB_SITE_Z] = "z",
    [PB_SITE_ATTN_OUT] = "attn_out",
    [PB_SITE_RESID_MID] = "resid_mid",
    [PB_SITE_MLP_PRE] = "mlp_pre",
    [PB_SITE_MLP_POST] = "mlp_post",
    [PB_SITE_MLP_OUT] = "mlp_out",
    [PB_SITE_RESID_POST] = "resid_post",
};

const enum pb_index pb_site_indices[PB_N_SITES] = {
    [PB_SITE_Q] = PB_INDEX_HEAD,        [PB_SITE_K] = PB_INDEX_KV_HEAD,
    [PB_SITE_V] = PB_INDEX_KV_HEAD,     [PB_SITE_Q_ROT] = PB_INDEX_HEAD,
    [PB_SITE_K_ROT] = PB_INDEX_KV_HEAD, [PB_SITE_PATTERN] = PB_INDEX_HEAD,
    [PB_SITE_Z] = PB_INDEX_HEAD,
};

const char *const pb_direction_names[PB_N_DIRECTIONS] = {
    [PB_DENOISE] = "denoise",
    [PB_NOISE] = "noise",
};

const char *const pb_set_source_names[PB_N_SET_SOURCES] = {
    [PB_SET_NAMED] = "named",
    [PB_SET_TOP] = "top",
    [PB_SET_RANDOM] = "random",
    [PB_SET_PAIRS] = "pairs",
};

const char *const pb_positions_names[PB_N_POSITIONS] = {
    [PB_POSITIONS_ALL] = "all",   [PB_POSITIONS_LAST] = "last",
    [PB_POSITIONS_EACH] = "each", [PB_POSITIONS_EACH_KEY] = "each_key",
    [PB_POSITIONS_LIST] = "list", [PB_POSITIONS_ROLES] = "roles",
};

const char *const pb_reference_over_names[3] = {
    [PB_OVER_CLEAN] = "clean", [PB_OVER_CORRUPTED] = "corrupted", [PB_OVER_FILE] = "file"};
const char *const pb_reference_by_names[3] = {
    [PB_BY_OVERALL] = "overall", [PB_BY_POSITION] = "position", [PB_BY_ROLE] = "role"};
const char *const pb_sender_names[PB_N_SENDERS] = {
    [PB_SENDER_HEAD] = "head", [PB_SENDER_MLP] = "mlp", [PB_SENDER_EMBED] = "embed"};
const char *const pb_receiver_names[PB_N_RECEIVERS] = {
    [PB_RECEIVER_Q] = "q",     [PB_RECEIVER_K] = "k",           [PB_RECEIVER_V] = "v",
    [PB_RECEIVER_MLP] = "mlp", [PB_RECEIVER_LOGITS] = "logits", [PB_RECEIVER_SET] = "set"};
const char *const pb_freeze_names[PB_N_FREEZES] = {
    [PB_FREEZE_ALL] = "all", [PB_FREEZE_ATTENTION] = "attention"};

const struct pb_metric_info pb_metric_infos[PB_N_METRICS] = {
    [PB_METRIC_LOGIT_DIFF] = {.name = "logit_diff",
			      .request = "logit_diff",
			      .units = "logit",
			      .long_name = "logit of the answer minus logit of the foil",
			      .is_double = true},
    [PB_METRIC_CANDIDATE_LOGITS] = {.name = "candidate_logits",
				    .request = "candidates",
				    .units = "logit",
				    .long_name = "logit of each candidate token",
				    .per_candidate = true},
    [PB_METRIC_PROB_ANSWER] = {.name = "prob_answer",
			       .request = "prob",
			       .units = "1",
			       .long_name = "probability of the answer",
			       .needs_vocabulary = true},
    [PB_METRIC_PROB_FOIL] = {.name = "prob_foil",
			     .request = "prob",
			     .units = "1",
			     .long_name = "probability of the foil",
			     .needs_vocabulary = true},
    [PB_METRIC_PROB_DIFF] = {.name = "prob_diff",
			     .request = "prob",
			     .units = "1",
			     .long_name = "probability of the answer minus that of the foil",
			     .needs_vocabulary = true},
    [PB_METRIC_LOGPROB_ANSWER] = {.name = "logprob_answer",
				  .request = "logprob",
				  .units = "nat",
				  .long_name = "natural log-probability of the answer",
				  .needs_vocabulary = true},
    [PB_METRIC_LOGPROB_FOIL] = {.name = "logprob_foil",
				.request = "logprob",
				.units = "nat",
				.long_name = "natural log-probability of the foil",
				.needs_vocabulary = true},
    [PB_METRIC_RANK_ANSWER] = {.name = "rank_answer",
			       .request = "rank",
			       .units = "1",
			       .long_name = "number of tokens with a larger logit than the answer",
			       .needs_vocabulary = true},
    [PB_METRIC_RANK_FOIL] = {.name = "rank_foil",
			     .request = "rank",
			     .units = "1",
			     .long_name = "number of tokens with a larger logit than the foil",
			     .needs_vocabulary = true},
    [PB_METRIC_KL_RECIPIENT] = {.name = "kl_recipient",
				.request = "kl",
				.units = "nat",
				.long_name = "KL(P of the recipient run || P of the variant)",
				.needs_vocabulary = true},
    [PB_METRIC_KL_DONOR] = {.name = "kl_donor",
			    .request = "kl",
			    .units = "nat",
			    .long_name = "KL(P of the donor run || P of the variant)",
			    .needs_vocabulary = true},
};

int pb_name_index(const char *const *names, int n_names, const char *name)
{
	int i;

	for (i = 0; i < n_names; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

unsigned pb_metric_request(const char *word)
{
	unsigned mask = 0;
	int m;

	for (m = 0; m < PB_N_METRICS; m++)
		if (strcmp(pb_metric_infos[m].request, word) == 0)
			mask |= 1u << m;
	return mask;
}
