/* The names of readings.h: one table, read by the config, the engine and the file alike. Each
 * long_name is the reading's definition. */
#include "patchbay/readings.h"

const char *const pb_reading_group_names[PB_N_READING_GROUPS] = {
    [PB_READING_DIRECT_LOGIT_ATTRIBUTION] = "direct_logit_attribution",
    [PB_READING_LOGIT_LENS] = "logit_lens",
    [PB_READING_HEAD_SCORES] = "head_scores",
    [PB_READING_COPYING] = "copying",
    [PB_READING_COMPOSITION] = "composition",
};

#define ATTRIBUTION PB_READING_DIRECT_LOGIT_ATTRIBUTION
#define FROZEN                                                                                     \
	" at the answer position, through the final norm with its statistics frozen, to "          \
	"logit(answer) - logit(foil)"
#define LENS " of the final norm (recomputed) and the unembedding of resid_post"

const struct pb_reading_info pb_reading_infos[PB_N_READINGS] = {
    [PB_READ_ATTRIBUTION_HEAD] = {"heads", ATTRIBUTION, true, "logit",
				  "contribution of a head's z W_O" FROZEN},
    [PB_READ_ATTRIBUTION_ATTN_BIAS] = {"attn_bias", ATTRIBUTION, true, "logit",
				       "contribution of the attention output bias" FROZEN},
    [PB_READ_ATTRIBUTION_MLP] = {"mlp", ATTRIBUTION, true, "logit",
				 "contribution of mlp_out, bias included," FROZEN},
    [PB_READ_ATTRIBUTION_EMBED] = {"embed", ATTRIBUTION, true, "logit",
				   "contribution of the token embedding" FROZEN},
    [PB_READ_ATTRIBUTION_POS_EMBED] = {"pos_embed", ATTRIBUTION, true, "logit",
				       "contribution of the position embedding" FROZEN
				       "; 0 without learned positions"},
    [PB_READ_ATTRIBUTION_BIAS] = {"bias", ATTRIBUTION, true, "logit",
				  "the rest of logit(answer) - logit(foil): the biases of the "
				  "final norm and of the unembedding"},

    [PB_READ_LENS_LOGIT_DIFF] = {"logit_diff", PB_READING_LOGIT_LENS, true, "logit",
				 "logit(answer) - logit(foil)" LENS},
    [PB_READ_LENS_PROB_ANSWER] = {"prob_answer", PB_READING_LOGIT_LENS, true, "1",
				  "probability of the answer" LENS},
    [PB_READ_LENS_PROB_FOIL] = {"prob_foil", PB_READING_LOGIT_LENS, true, "1",
				"probability of the foil" LENS},
    [PB_READ_LENS_RANK_ANSWER] = {"rank_answer", PB_READING_LOGIT_LENS, true, "1",
				  "number of tokens with a logit above the answer's" LENS},
    [PB_READ_LENS_RANK_FOIL] = {"rank_foil", PB_READING_LOGIT_LENS, true, "1",
				"number of tokens with a logit above the foil's" LENS},

    [PB_READ_BOS_MASS] = {"bos_mass", PB_READING_HEAD_SCORES, true, "1",
			  "attention to position 0, mean over queries >= 1"},
    [PB_READ_ENTROPY] = {"entropy", PB_READING_HEAD_SCORES, true, "nat",
			 "entropy of the attention pattern, mean over queries"},
    [PB_READ_DIFFERENCE_MASS] = {"difference_mass", PB_READING_HEAD_SCORES, true, "1",
				 "attention from the answer position to all positions where the "
				 "two prompts differ"},
    [PB_READ_ROLE_MASS] = {"role_mass", PB_READING_HEAD_SCORES, true, "1",
			   "attention from the answer position to all positions of a role"},
    [PB_READ_PREVIOUS_TOKEN] = {"previous_token", PB_READING_HEAD_SCORES, false, "1",
				"previous-token score: attention A[i, i - 1], mean over i >= 1, on "
				"repeated random tokens [BOS, r_1..r_L, r_1..r_L]"},
    [PB_READ_DUPLICATE] = {"duplicate", PB_READING_HEAD_SCORES, false, "1",
			   "duplicate-token score: attention A[i, i - L], mean over i of the "
			   "second copy, on repeated random tokens [BOS, r_1..r_L, r_1..r_L]"},
    [PB_READ_INDUCTION] = {"induction", PB_READING_HEAD_SCORES, false, "1",
			   "induction score: attention A[i, i - (L - 1)], mean over i of the "
			   "second copy but its last, on repeated random tokens "
			   "[BOS, r_1..r_L, r_1..r_L]"},

    [PB_READ_COPYING] = {"copying", PB_READING_COPYING, false, "1",
			 "share of the pairs' tokens t in the top 5 of W_U LN_f(o), "
			 "o = (LN_1(resid_post of layer 0 at t) W_V + b_V) W_O[h]"},
    [PB_READ_NEGATIVE_COPYING] = {"negative_copying", PB_READING_COPYING, false, "1",
				  "share of the pairs' tokens t in the top 5 of W_U LN_f(-o), "
				  "o = (LN_1(resid_post of layer 0 at t) W_V + b_V) W_O[h]"},

    [PB_READ_COMPOSITION_Q] = {"q", PB_READING_COMPOSITION, false, "1",
			       "Q-composition |W_OV W_QK| / (|W_OV| |W_QK|), Frobenius norms: "
			       "W_OV = W_V W_O of the sender, W_QK = W_Q W_K^T of the receiver, "
			       "norm weights folded in, rotary ignored"},
    [PB_READ_COMPOSITION_K] = {"k", PB_READING_COMPOSITION, false, "1",
			       "K-composition |W_OV W_QK^T| / (|W_OV| |W_QK|), Frobenius norms, "
			       "over all query heads of the receiving KV head together; norm "
			       "weights folded in, rotary ignored"},
    [PB_READ_COMPOSITION_V] = {"v", PB_READING_COMPOSITION, false, "1",
			       "V-composition |W_OV W_OV'| / (|W_OV| |W_OV'|), Frobenius norms, "
			       "over all query heads of the receiving KV head together; norm "
			       "weights folded in"},
};
