/* The tables of the schema. */
#include "results/schema.h"

const char *const pb_side_names[2] = {"clean", "corrupted"};

const struct pb_field pb_pairs_fields[PB_N_PAIRS_FIELDS] = {
    [PB_PAIRS_CLEAN_TOKENS] = {"clean_tokens",
			       PB_TYPE_I32,
			       {PB_DIM_PAIR, PB_DIM_POSITION},
			       "1",
			       "token ids of the clean prompt, -1 past its end",
			       true},
    [PB_PAIRS_CORRUPTED_TOKENS] = {"corrupted_tokens",
				   PB_TYPE_I32,
				   {PB_DIM_PAIR, PB_DIM_POSITION},
				   "1",
				   "token ids of the corrupted prompt, -1 past its end",
				   true},
    [PB_PAIRS_LENGTH] = {"length",
			 PB_TYPE_I32,
			 {PB_DIM_PAIR},
			 "1",
			 "tokens of each prompt of the pair; the last one is the answer position",
			 false},
    [PB_PAIRS_ANSWER_TOKEN] = {"answer_token",
			       PB_TYPE_I32,
			       {PB_DIM_PAIR},
			       "1",
			       "token id of the answer, right for the clean prompt",
			       false},
    [PB_PAIRS_FOIL_TOKEN] = {"foil_token",
			     PB_TYPE_I32,
			     {PB_DIM_PAIR},
			     "1",
			     "token id of the foil, right for the corrupted prompt or the stated "
			     "alternative",
			     false},
    [PB_PAIRS_FIRST_DIFFERENCE] = {"first_difference",
				   PB_TYPE_I32,
				   {PB_DIM_PAIR},
				   "1",
				   "first position where the two prompts differ; their length if "
				   "none",
				   false},
    [PB_PAIRS_CANDIDATES] = {"candidates",
			     PB_TYPE_I32,
			     {PB_DIM_PAIR, PB_DIM_CANDIDATE},
			     "1",
			     "token ids whose logits are stored, -1 past the pair's own",
			     true},
    [PB_PAIRS_ROLES] = {"roles",
			PB_TYPE_I32,
			{PB_DIM_PAIR, PB_DIM_POSITION},
			"1",
			"role of each position, by its place in role_name; -1: none",
			true},
    [PB_PAIRS_RIGHT] = {"right",
			PB_TYPE_FLAG,
			{PB_DIM_PAIR},
			NULL,
			"1 where the model is right about the pair without any intervention",
			false},
    [PB_PAIRS_CLEAN_TEXT] =
	{"clean_text", PB_TYPE_TEXT, {PB_DIM_PAIR}, NULL, "clean prompt", false},
    [PB_PAIRS_CORRUPTED_TEXT] =
	{"corrupted_text", PB_TYPE_TEXT, {PB_DIM_PAIR}, NULL, "corrupted prompt", false},
    [PB_PAIRS_ANSWER_TEXT] = {"answer_text", PB_TYPE_TEXT, {PB_DIM_PAIR}, NULL, "answer", false},
    [PB_PAIRS_FOIL_TEXT] = {"foil_text", PB_TYPE_TEXT, {PB_DIM_PAIR}, NULL, "foil", false},
    [PB_PAIRS_EXTRA] = {"extra",
			PB_TYPE_TEXT,
			{PB_DIM_PAIR},
			NULL,
			"other keys of the pair, a JSON object",
			false},
    [PB_PAIRS_TOKEN_ID] = {"token_id",
			   PB_TYPE_I32,
			   {PB_DIM_TOKEN},
			   "1",
			   "ids of all tokens that the pairs name, rising",
			   false},
    [PB_PAIRS_TOKEN_TEXT] =
	{"token_text", PB_TYPE_TEXT, {PB_DIM_TOKEN}, NULL, "text of the token", false},
};

const struct pb_field pb_base_fields[PB_N_BASE_FIELDS] = {
    [PB_BASE_LOGIT_DIFF] = {"logit_diff",
			    PB_TYPE_F64,
			    {PB_DIM_PAIR},
			    "logit",
			    "logit of the answer minus logit of the foil, no intervention",
			    false},
    [PB_BASE_LOGIT_ANSWER] = {"logit_answer",
			      PB_TYPE_F32,
			      {PB_DIM_PAIR},
			      "logit",
			      "logit of the answer, no intervention",
			      false},
    [PB_BASE_LOGIT_FOIL] = {"logit_foil",
			    PB_TYPE_F32,
			    {PB_DIM_PAIR},
			    "logit",
			    "logit of the foil, no intervention",
			    false},
    [PB_BASE_PROB_ANSWER] = {"prob_answer",
			     PB_TYPE_F32,
			     {PB_DIM_PAIR},
			     "1",
			     "probability of the answer, no intervention",
			     false},
    [PB_BASE_PROB_FOIL] = {"prob_foil",
			   PB_TYPE_F32,
			   {PB_DIM_PAIR},
			   "1",
			   "probability of the foil, no intervention",
			   false},
    [PB_BASE_LOGPROB_ANSWER] = {"logprob_answer",
				PB_TYPE_F32,
				{PB_DIM_PAIR},
				"nat",
				"natural log-probability of the answer, no intervention",
				false},
    [PB_BASE_LOGPROB_FOIL] = {"logprob_foil",
			      PB_TYPE_F32,
			      {PB_DIM_PAIR},
			      "nat",
			      "natural log-probability of the foil, no intervention",
			      false},
    [PB_BASE_RANK_ANSWER] = {"rank_answer",
			     PB_TYPE_I32,
			     {PB_DIM_PAIR},
			     "1",
			     "number of tokens with a larger logit than the answer",
			     false},
    [PB_BASE_RANK_FOIL] = {"rank_foil",
			   PB_TYPE_I32,
			   {PB_DIM_PAIR},
			   "1",
			   "number of tokens with a larger logit than the foil",
			   false},
    [PB_BASE_ARGMAX] =
	{"argmax", PB_TYPE_I32, {PB_DIM_PAIR}, "1", "token id of the largest logit", false},
};

#define SUMMARY(label, kind, unit, text)                                                           \
	{                                                                                          \
		label, kind, {PB_DIM_CELL}, unit, text, false                                      \
	}

const struct pb_field pb_summary_fields[PB_N_SUMMARY_FIELDS] = {
    [PB_SUMMARY_EFFECT] = SUMMARY("effect", PB_TYPE_F64, "logit",
				  "mean over pairs of the effect: logit difference of the variant "
				  "minus that of the recipient"),
    [PB_SUMMARY_STDERR] =
	SUMMARY("stderr", PB_TYPE_F64, "logit", "standard error of the mean effect"),
    [PB_SUMMARY_CI_LOW] = SUMMARY("ci_low", PB_TYPE_F64, "logit",
				  "lower end of the 95% bootstrap interval of the mean effect"),
    [PB_SUMMARY_CI_HIGH] = SUMMARY("ci_high", PB_TYPE_F64, "logit",
				   "upper end of the 95% bootstrap interval of the mean effect"),
    [PB_SUMMARY_P_VALUE] = SUMMARY("p_value", PB_TYPE_F64, "1",
				   "two-sided sign-flip p of the mean effect, one cell alone"),
    [PB_SUMMARY_P_FWER] = SUMMARY("p_fwer", PB_TYPE_F64, "1",
				  "p corrected for all cells of the sweep (Westfall and Young, "
				  "largest |t|)"),
    [PB_SUMMARY_Q_BH] =
	SUMMARY("q_bh", PB_TYPE_F64, "1", "false discovery rate (Benjamini and Hochberg)"),
    [PB_SUMMARY_N_PAIRS] =
	SUMMARY("n_pairs", PB_TYPE_I32, "1", "number of pairs in the cell's effect"),
    [PB_SUMMARY_RESTORATION] = SUMMARY("restoration", PB_TYPE_F64, "1",
				       "mean over pairs of the restoration: 1 fully clean, 0 fully "
				       "corrupted"),
    [PB_SUMMARY_RESTORATION_CI_LOW] =
	SUMMARY("restoration_ci_low", PB_TYPE_F64, "1",
		"lower end of the 95% bootstrap interval of the mean restoration"),
    [PB_SUMMARY_RESTORATION_CI_HIGH] =
	SUMMARY("restoration_ci_high", PB_TYPE_F64, "1",
		"upper end of the 95% bootstrap interval of the mean restoration"),
    [PB_SUMMARY_RESTORATION_N_PAIRS] =
	SUMMARY("restoration_n_pairs", PB_TYPE_I32, "1",
		"number of pairs in the cell's restoration: without distractors and those below "
		"min_gap"),
    [PB_SUMMARY_RESTORATION_OF_MEANS] = SUMMARY("restoration_of_means", PB_TYPE_F64, "1",
						"restoration of the mean logit differences"),
};

const struct pb_field pb_accuracy_fields[PB_N_ACCURACY_FIELDS] = {
    [PB_ACCURACY] = SUMMARY("accuracy", PB_TYPE_F64, "1",
			    "share of pairs whose variant puts no token before the answer"),
    [PB_ACCURACY_CI_LOW] = SUMMARY("accuracy_ci_low", PB_TYPE_F64, "1",
				   "lower end of the 95% Wilson interval of the accuracy"),
    [PB_ACCURACY_CI_HIGH] = SUMMARY("accuracy_ci_high", PB_TYPE_F64, "1",
				    "upper end of the 95% Wilson interval of the accuracy"),
    [PB_ACCURACY_RECIPIENT] =
	SUMMARY("accuracy_recipient", PB_TYPE_F64, "1",
		"share of the same pairs whose recipient, without intervention, puts no token "
		"before the answer"),
    [PB_ACCURACY_CHANGE] =
	SUMMARY("accuracy_change", PB_TYPE_F64, "1", "accuracy minus that of the recipient"),
    [PB_CORRECTED] =
	SUMMARY("corrected", PB_TYPE_F64, "1",
		"share of the pairs that the recipient is wrong about whose variant is right"),
    [PB_CORRECTED_CI_LOW] = SUMMARY("corrected_ci_low", PB_TYPE_F64, "1",
				    "lower end of the 95% Wilson interval of that share"),
    [PB_CORRECTED_CI_HIGH] = SUMMARY("corrected_ci_high", PB_TYPE_F64, "1",
				     "upper end of the 95% Wilson interval of that share"),
    [PB_BROKEN] =
	SUMMARY("broken", PB_TYPE_F64, "1",
		"share of the pairs that the recipient is right about whose variant is wrong"),
    [PB_BROKEN_CI_LOW] = SUMMARY("broken_ci_low", PB_TYPE_F64, "1",
				 "lower end of the 95% Wilson interval of that share"),
    [PB_BROKEN_CI_HIGH] = SUMMARY("broken_ci_high", PB_TYPE_F64, "1",
				  "upper end of the 95% Wilson interval of that share"),
    [PB_ACCURACY_N_PAIRS] =
	SUMMARY("accuracy_n_pairs", PB_TYPE_I32, "1", "number of pairs in the cell's accuracy"),
    [PB_ACCURACY_N_WRONG] = SUMMARY("accuracy_n_wrong", PB_TYPE_I32, "1",
				    "number of these that the recipient is wrong about"),
};

const struct pb_field pb_random_fields[PB_N_RANDOM_FIELDS] = {
    [PB_RANDOM_P_EFFECT] =
	SUMMARY("p_random_effect", PB_TYPE_F64, "1",
		"p of the mean effect by its rank among the random sets of the size: (1 + those "
		"that reach it in size) / (1 + their number)"),
    [PB_RANDOM_MEAN] = SUMMARY("random_mean", PB_TYPE_F64, "logit",
			       "mean over these random sets of their effects"),
    [PB_RANDOM_SD] = SUMMARY("random_sd", PB_TYPE_F64, "logit",
			     "standard deviation over these random sets of their effects"),
    [PB_RANDOM_LOW] = SUMMARY("random_low", PB_TYPE_F64, "logit",
			      "2.5th percentile of the effects of these random sets"),
    [PB_RANDOM_HIGH] = SUMMARY("random_high", PB_TYPE_F64, "logit",
			       "97.5th percentile of the effects of these random sets"),
    [PB_RANDOM_P_ACCURACY] =
	SUMMARY("p_random_accuracy", PB_TYPE_F64, "1",
		"p of the change of accuracy by its rank among the random sets of the size"),
    [PB_RANDOM_ACCURACY_CHANGE] =
	SUMMARY("random_accuracy_change", PB_TYPE_F64, "1",
		"mean over these random sets of their changes of accuracy"),
    [PB_RANDOM_N] = SUMMARY("n_random", PB_TYPE_I32, "1",
			    "number of random sets of the set's size that have an effect"),
};

const struct pb_field pb_faithfulness_fields[PB_N_CIRCUIT_FIELDS] = {
    [PB_CIRCUIT_RATIO] =
	SUMMARY("faithfulness", PB_TYPE_F64, "1",
		"(m(set) - m(empty)) / (m(model) - m(empty)), where m is the mean logit "
		"difference with everything but the set changed: 1 as the whole model, 0 as "
		"nothing of it"),
    [PB_CIRCUIT_CI_LOW] = SUMMARY("faithfulness_ci_low", PB_TYPE_F64, "1",
				  "lower end of the 95% bootstrap interval of the faithfulness"),
    [PB_CIRCUIT_CI_HIGH] = SUMMARY("faithfulness_ci_high", PB_TYPE_F64, "1",
				   "upper end of the 95% bootstrap interval of the faithfulness"),
};

const struct pb_field pb_remaining_fields[PB_N_CIRCUIT_FIELDS] = {
    [PB_CIRCUIT_RATIO] =
	SUMMARY("remaining", PB_TYPE_F64, "1",
		"mean logit difference with the set changed over that of the recipient: what the "
		"rest of the model still does"),
    [PB_CIRCUIT_CI_LOW] = SUMMARY("remaining_ci_low", PB_TYPE_F64, "1",
				  "lower end of the 95% bootstrap interval of what remains"),
    [PB_CIRCUIT_CI_HIGH] = SUMMARY("remaining_ci_high", PB_TYPE_F64, "1",
				   "upper end of the 95% bootstrap interval of what remains"),
};

const struct pb_field pb_matched_fields[PB_N_MATCHED_FIELDS] = {
    [PB_MATCHED_STATE] =
	SUMMARY("restoration_state", PB_TYPE_F64, "1",
		"mean over groups of the restoration of the pair whose state is corrupted"),
    [PB_MATCHED_ACTION] =
	SUMMARY("restoration_action", PB_TYPE_F64, "1",
		"mean over groups of the restoration of the pair whose action is corrupted"),
    [PB_MATCHED_DIFFERENCE] = SUMMARY("restoration_difference", PB_TYPE_F64, "1",
				      "mean over groups of the restoration of state minus that of "
				      "action"),
    [PB_MATCHED_STDERR] =
	SUMMARY("stderr", PB_TYPE_F64, "1", "standard error of the mean difference"),
    [PB_MATCHED_CI_LOW] = SUMMARY("ci_low", PB_TYPE_F64, "1",
				  "lower end of the 95% bootstrap interval of the mean difference"),
    [PB_MATCHED_CI_HIGH] =
	SUMMARY("ci_high", PB_TYPE_F64, "1",
		"upper end of the 95% bootstrap interval of the mean difference"),
    [PB_MATCHED_P_VALUE] = SUMMARY("p_value", PB_TYPE_F64, "1",
				   "two-sided sign-flip p of the mean difference, one cell alone"),
    [PB_MATCHED_P_FWER] = SUMMARY("p_fwer", PB_TYPE_F64, "1",
				  "p corrected for all cells of the sweep (Westfall and Young, "
				  "largest |t|)"),
    [PB_MATCHED_Q_BH] =
	SUMMARY("q_bh", PB_TYPE_F64, "1", "false discovery rate (Benjamini and Hochberg)"),
    [PB_MATCHED_N_GROUPS] =
	SUMMARY("n_groups", PB_TYPE_I32, "1",
		"number of groups whose pairs both have a restoration in the cell"),
};

const struct pb_field pb_checks_fields[PB_N_CHECKS_FIELDS] = {
    [PB_CHECKS_RESID_PRE_DEVIATION] = {"resid_pre_deviation",
				       PB_TYPE_F64,
				       {PB_DIM_CHUNK, PB_DIM_LAYER},
				       "logit",
				       "largest deviation from the donor's logit difference with "
				       "all of resid_pre patched",
				       false},
    [PB_CHECKS_RESID_PRE_PAIRS] = {"resid_pre_pairs",
				   PB_TYPE_I32,
				   {PB_DIM_CHUNK},
				   "1",
				   "number of pairs that resid_pre was patched in",
				   false},
    [PB_CHECKS_LOGIT_LARGEST] = {"logit_largest",
				 PB_TYPE_F64,
				 {PB_DIM_CHUNK},
				 "logit",
				 "largest |logit| of answers and foils without intervention",
				 false},
    [PB_CHECKS_ATTRIBUTION_DEVIATION] = {"attribution_deviation",
					 PB_TYPE_F64,
					 {PB_DIM_CHUNK},
					 "logit",
					 "largest deviation of the sum of direct logit "
					 "attributions from the logit difference",
					 false},
    [PB_CHECKS_CHUNK_ISA] = {"chunk_isa",
			     PB_TYPE_TEXT,
			     {PB_DIM_CHUNK},
			     NULL,
			     "instruction set of the processor that computed the chunk",
			     false},
    [PB_CHECKS_VARIANT_SWEEP] = {"variant_sweep",
				 PB_TYPE_I32,
				 {PB_DIM_CHECKED_VARIANT},
				 "1",
				 "sweep of the variant that was recomputed",
				 false},
    [PB_CHECKS_VARIANT_PAIR] =
	{"variant_pair", PB_TYPE_I32, {PB_DIM_CHECKED_VARIANT}, "1", "its pair", false},
    [PB_CHECKS_VARIANT_CELL] = {"variant_cell",
				PB_TYPE_I32,
				{PB_DIM_CHECKED_VARIANT},
				"1",
				"its cell: the sweep's dimensions but the pair, flattened in C "
				"order",
				false},
    [PB_CHECKS_VARIANT_LOGIT_DIFF] = {"variant_logit_diff",
				      PB_TYPE_F64,
				      {PB_DIM_CHECKED_VARIANT},
				      "logit",
				      "logit difference by delta propagation",
				      false},
    [PB_CHECKS_VARIANT_LOGIT_DIFF_PLAIN] = {"variant_logit_diff_plain",
					    PB_TYPE_F64,
					    {PB_DIM_CHECKED_VARIANT},
					    "logit",
					    "logit difference by a plain, unpruned forward",
					    false},
    [PB_CHECKS_VARIANT_TOLERANCE] = {"variant_tolerance",
				     PB_TYPE_F64,
				     {PB_DIM_CHECKED_VARIANT},
				     "logit",
				     "largest deviation between the two that passes",
				     false},
    [PB_CHECKS_SHA256_PATH] =
	{"sha256_path", PB_TYPE_TEXT, {PB_DIM_DATASET}, NULL, "path of the dataset", false},
    [PB_CHECKS_SHA256] = {"sha256",
			  PB_TYPE_TEXT,
			  {PB_DIM_DATASET},
			  NULL,
			  "SHA-256 of its values: little-endian, C order; text as UTF-8, each "
			  "ended by a zero byte",
			  false},
};

const struct pb_field pb_extra_fields[PB_N_EXTRA_FIELDS] = {
    [PB_EXTRA_RESAMPLE_PAIR] = {"resample_pair",
				PB_TYPE_I32,
				{PB_DIM_PAIR},
				"1",
				"pair whose prompt the values are taken from, -1 where there is "
				"none of equal length",
				true},
    [PB_EXTRA_CONTROL] = {"control",
			  PB_TYPE_F32,
			  {PB_DIM_PAIR, PB_DIM_CELL},
			  "1",
			  "noise that was added to the recipient's activation, 0 where none was",
			  false},
    [PB_EXTRA_REFERENCE_MEAN] = {"reference_mean",
				 PB_TYPE_F64,
				 {PB_DIM_CELL},
				 "1",
				 "mean of the activation over the tokens of the reference prompts",
				 false},
    [PB_EXTRA_REFERENCE_TOKENS] = {"reference_tokens",
				   PB_TYPE_I32,
				   {PB_DIM_CELL},
				   "1",
				   "number of tokens in each mean",
				   false},
    [PB_EXTRA_ROLE_NAME] =
	{"role_name", PB_TYPE_TEXT, {PB_DIM_CELL}, NULL, "name of the role", false},
};

const struct pb_field pb_set_fields[PB_N_SET_FIELDS] = {
    [PB_SET_NAME] = {"name", PB_TYPE_TEXT, {PB_DIM_CELL}, NULL, "name of the set", false},
    [PB_SET_MEMBERS] = {"members",
			PB_TYPE_TEXT,
			{PB_DIM_CELL},
			NULL,
			"heads (L0H7) and MLPs (M3) of the set",
			false},
    [PB_SET_SIZE] =
	{"size", PB_TYPE_I32, {PB_DIM_CELL}, "1", "number of members of the set", false},
    [PB_SET_SOURCE] = {"source",
		       PB_TYPE_TEXT,
		       {PB_DIM_CELL},
		       NULL,
		       "where the set comes from: named, top, random, pairs",
		       false},
};

struct pb_field pb_metric_field(enum pb_metric metric)
{
	const struct pb_metric_info *info = &pb_metric_infos[metric];
	struct pb_field field = {.name = info->name,
				 .type = info->is_double ? PB_TYPE_F64 : PB_TYPE_F32,
				 .dims = {PB_DIM_PAIR, PB_DIM_CELL},
				 .units = info->units,
				 .long_name = info->long_name};

	if (info->per_candidate)
		field.dims[2] = PB_DIM_CANDIDATE;
	return field;
}

/* Dimensions of a reading behind the pair, which stands in front of those by pair. */
static const enum pb_dim *reading_dims(enum pb_reading reading)
{
	static const enum pb_dim none[] = {PB_DIM_NONE}, layer[] = {PB_DIM_LAYER, PB_DIM_NONE},
				 head[] = {PB_DIM_LAYER, PB_DIM_HEAD, PB_DIM_NONE},
				 role[] = {PB_DIM_LAYER, PB_DIM_HEAD, PB_DIM_CELL, PB_DIM_NONE},
				 q[] = {PB_DIM_SENDER_LAYER, PB_DIM_SENDER_HEAD,
					PB_DIM_RECEIVER_LAYER, PB_DIM_RECEIVER_HEAD, PB_DIM_NONE},
				 kv[] = {PB_DIM_SENDER_LAYER, PB_DIM_SENDER_HEAD,
					 PB_DIM_RECEIVER_LAYER, PB_DIM_RECEIVER_KV_HEAD,
					 PB_DIM_NONE};

	switch (reading) {
	case PB_READ_ATTRIBUTION_EMBED:
	case PB_READ_ATTRIBUTION_POS_EMBED:
	case PB_READ_ATTRIBUTION_BIAS:
		return none;
	case PB_READ_ATTRIBUTION_ATTN_BIAS:
	case PB_READ_ATTRIBUTION_MLP:
	case PB_READ_LENS_LOGIT_DIFF:
	case PB_READ_LENS_PROB_ANSWER:
	case PB_READ_LENS_PROB_FOIL:
	case PB_READ_LENS_RANK_ANSWER:
	case PB_READ_LENS_RANK_FOIL:
		return layer;
	case PB_READ_ROLE_MASS:
		return role;
	case PB_READ_COMPOSITION_Q:
		return q;
	case PB_READ_COMPOSITION_K:
	case PB_READ_COMPOSITION_V:
		return kv;
	default:
		return head;
	}
}

struct pb_field pb_reading_field(enum pb_reading reading)
{
	const struct pb_reading_info *info = &pb_reading_infos[reading];
	const enum pb_dim *dims = reading_dims(reading);
	struct pb_field field = {.name = info->name,
				 .type = PB_TYPE_F64,
				 .units = info->units,
				 .long_name = info->long_name};
	size_t n = 0;

	if (info->by_pair)
		field.dims[n++] = PB_DIM_PAIR;
	while (*dims != PB_DIM_NONE)
		field.dims[n++] = *dims++;
	return field;
}
