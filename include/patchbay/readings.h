/* Readings: what is told by a model and its base runs without any intervention. One row a dataset;
 * the config asks for groups of them (`readings: [logit_lens, ...]`). */
#ifndef PATCHBAY_READINGS_H
#define PATCHBAY_READINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The words of `readings:`; each is a group below /readings. */
enum pb_reading_group {
	PB_READING_DIRECT_LOGIT_ATTRIBUTION,
	PB_READING_LOGIT_LENS,
	PB_READING_HEAD_SCORES,
	PB_READING_COPYING,
	PB_READING_COMPOSITION,
	PB_N_READING_GROUPS
};
extern const char *const pb_reading_group_names[PB_N_READING_GROUPS];

/* Datasets. Those by pair stand twice, below clean/ and corrupted/. */
enum pb_reading {
	/* direct logit attribution: they sum to the logit difference (before any final softcap) */
	PB_READ_ATTRIBUTION_HEAD,      /* (pair, layer, head), z W_O[h] */
	PB_READ_ATTRIBUTION_ATTN_BIAS, /* (pair, layer) */
	PB_READ_ATTRIBUTION_MLP,       /* (pair, layer), mlp_out with its bias */
	PB_READ_ATTRIBUTION_EMBED,     /* (pair) */
	PB_READ_ATTRIBUTION_POS_EMBED, /* (pair); 0 without learned positions */
	PB_READ_ATTRIBUTION_BIAS,      /* (pair), of the final norm and the unembedding */
	/* logit lens: W_U LN_f(resid_post_l) */
	PB_READ_LENS_LOGIT_DIFF,
	PB_READ_LENS_PROB_ANSWER, /* (pair, layer) each */
	PB_READ_LENS_PROB_FOIL,
	PB_READ_LENS_RANK_ANSWER,
	PB_READ_LENS_RANK_FOIL,
	/* attention on the pairs' prompts, (pair, layer, head) each */
	PB_READ_BOS_MASS,        /* mean over queries >= 1 of the attention to position 0 */
	PB_READ_ENTROPY,         /* mean over queries of the pattern's entropy, nat */
	PB_READ_DIFFERENCE_MASS, /* from the answer position to all positions that differ */
	PB_READ_ROLE_MASS,       /* (pair, layer, head, role), from the answer position */
	/* attention on repeated random tokens, (layer, head), one for the run */
	PB_READ_PREVIOUS_TOKEN,
	PB_READ_DUPLICATE,
	PB_READ_INDUCTION,
	/* copying, (layer, head), one for the run */
	PB_READ_COPYING,
	PB_READ_NEGATIVE_COPYING,
	/* composition, (sender_layer, sender_head, receiver_layer, receiver head or KV head) */
	PB_READ_COMPOSITION_Q,
	PB_READ_COMPOSITION_K,
	PB_READ_COMPOSITION_V,
	PB_N_READINGS
};

struct pb_reading_info {
	/* dataset name within its group, e.g. "heads"; never that of a dimension, whose scale is
	 * there */
	const char *name;
	enum pb_reading_group group;
	bool by_pair;
	const char *units, *long_name;
};
extern const struct pb_reading_info pb_reading_infos[PB_N_READINGS];

/* All readings, float64, C order in the dimensions above; NULL where not asked for. */
struct pb_reading_values {
	double *values[PB_N_READINGS];
};

#ifdef __cplusplus
}
#endif
#endif
