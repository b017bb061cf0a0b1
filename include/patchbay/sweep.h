/* The words of a run: sites, interventions, directions, positions, metrics. Each enum has one
 * table of names, used by the config, the HDF5 file and messages alike. */
#ifndef PATCHBAY_SWEEP_H
#define PATCHBAY_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pb_intervention { PB_PATCH, PB_N_INTERVENTIONS };
enum pb_site { PB_SITE_Z, PB_SITE_RESID_PRE, PB_N_SITES };
enum pb_direction { PB_DENOISE, PB_NOISE, PB_N_DIRECTIONS };
enum pb_positions { PB_POSITIONS_ALL, PB_POSITIONS_LAST, PB_POSITIONS_EACH, PB_N_POSITIONS };

extern const char *const pb_intervention_names[PB_N_INTERVENTIONS]; /* "patch" */
extern const char *const pb_site_names[PB_N_SITES];                 /* "z", "resid_pre" */
extern const char *const pb_direction_names[PB_N_DIRECTIONS];       /* "denoise", "noise" */
extern const char *const pb_positions_names[PB_N_POSITIONS];        /* "all", "last", "each" */
/* Index of `name` in one of the tables above, -1 when it is not there. */
int pb_name_index(const char *const *names, int n_names, const char *name);

/* One sweep: all variants of one kind. */
struct pb_sweep {
	enum pb_intervention intervention;
	enum pb_site site;
	enum pb_direction direction;
	enum pb_positions positions;
	double
	    min_gap; /* pairs with |LD_clean - LD_corrupted| below it are left out of restoration */
};

/* What is stored for every variant. */
enum pb_metric {
	PB_METRIC_LOGIT_DIFF,       /* float64 */
	PB_METRIC_CANDIDATE_LOGITS, /* float32, one more axis: candidate */
	PB_METRIC_PROB_ANSWER,      /* the rest float32; these need the whole vocabulary */
	PB_METRIC_PROB_FOIL,
	PB_METRIC_PROB_DIFF,
	PB_METRIC_LOGPROB_ANSWER,
	PB_METRIC_LOGPROB_FOIL,
	PB_METRIC_RANK_ANSWER,
	PB_METRIC_RANK_FOIL,
	PB_METRIC_KL_RECIPIENT,
	PB_METRIC_KL_DONOR,
	PB_N_METRICS
};

/* One row a metric: its dataset, and the word in the config's `metrics:` list that asks for it. */
struct pb_metric_info {
	const char *name;    /* dataset name, e.g. "prob_answer" */
	const char *request; /* "logit_diff", "candidates", "prob", "logprob", "rank", "kl" */
	const char *units;   /* "logit", "1", "nat" */
	const char *long_name;
	bool is_double;        /* float64, else float32 */
	bool per_candidate;    /* one more trailing axis */
	bool needs_vocabulary; /* needs the logits of the whole vocabulary */
};
extern const struct pb_metric_info pb_metric_infos[PB_N_METRICS];
/* Bit mask (1u << enum pb_metric) of a request word; 0 when unknown. */
unsigned pb_metric_request(const char *word);

#ifdef __cplusplus
}
#endif
#endif
