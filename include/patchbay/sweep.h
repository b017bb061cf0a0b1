/* The words of a run: sites, interventions, directions, positions, metrics. Each enum has one
 * table of names, used by the config, the HDF5 file and messages alike. */
#ifndef PATCHBAY_SWEEP_H
#define PATCHBAY_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "patchbay/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is done to an activation (design.md, section 3). The engine's table (engine/intervene.c)
 * says how each makes its new value. */
enum pb_intervention {
	PB_PATCH,    /* the donor's value */
	PB_ZERO,     /* 0 */
	PB_MEAN,     /* the mean over a reference set */
	PB_RESAMPLE, /* the value in the same-side prompt of another pair of equal length */
	PB_SCALE,    /* alpha times the variant's own value */
	PB_ADD,      /* the variant's own value plus alpha times a vector from a file */
	PB_PROJECT,  /* the donor's component in a subspace from a file, the rest its own */
	PB_CONTROL,  /* the recipient's value plus noise of the norm of donor - recipient */
	PB_PATH,     /* what reaches a receiver from a patched sender */
	PB_N_INTERVENTIONS
};

/* Where an activation lives, in the order in which a sequential block computes them.
 * PB_SITE_MLP_PRE (the MLP before its activation) is where paths enter an MLP; it is no sweep's. */
enum pb_site {
	PB_SITE_EMBED,
	PB_SITE_RESID_PRE,
	PB_SITE_Q,
	PB_SITE_K,
	PB_SITE_V,
	PB_SITE_Q_ROT,
	PB_SITE_K_ROT,
	PB_SITE_PATTERN,
	PB_SITE_Z,
	PB_SITE_ATTN_OUT,
	PB_SITE_RESID_MID,
	PB_SITE_MLP_PRE,
	PB_SITE_MLP_POST,
	PB_SITE_MLP_OUT,
	PB_SITE_RESID_POST,
	PB_N_SITES
};

/* What a site has one of in each layer. */
enum pb_index { PB_INDEX_NONE, PB_INDEX_HEAD, PB_INDEX_KV_HEAD };

enum pb_direction { PB_DENOISE, PB_NOISE, PB_N_DIRECTIONS };

enum pb_positions {
	PB_POSITIONS_ALL,
	PB_POSITIONS_LAST,
	PB_POSITIONS_EACH,     /* a variant for each position; for pattern, for each query row */
	PB_POSITIONS_EACH_KEY, /* pattern: a variant for each (query, key) entry */
	PB_POSITIONS_LIST,     /* these positions together */
	PB_POSITIONS_ROLES,    /* the positions of these roles together */
	PB_N_POSITIONS
};

enum pb_reference_over { PB_OVER_CLEAN, PB_OVER_CORRUPTED, PB_OVER_FILE };
enum pb_reference_by { PB_BY_OVERALL, PB_BY_POSITION, PB_BY_ROLE };
enum pb_sender { PB_SENDER_HEAD, PB_SENDER_MLP, PB_SENDER_EMBED, PB_N_SENDERS };
enum pb_receiver {
	PB_RECEIVER_Q,
	PB_RECEIVER_K,
	PB_RECEIVER_V,
	PB_RECEIVER_MLP,
	PB_RECEIVER_LOGITS,
	PB_RECEIVER_SET, /* the members of `receivers` at once */
	PB_N_RECEIVERS
};
enum pb_freeze { PB_FREEZE_ALL, PB_FREEZE_ATTENTION, PB_N_FREEZES };

extern const char *const pb_intervention_names[PB_N_INTERVENTIONS]; /* "patch", "zero" ... */
extern const char *const pb_site_names[PB_N_SITES];                 /* "embed", "resid_pre" ... */
extern const enum pb_index pb_site_indices[PB_N_SITES];
extern const char *const pb_direction_names[PB_N_DIRECTIONS]; /* "denoise", "noise" */
extern const char *const pb_positions_names[PB_N_POSITIONS];  /* "all", "last", "each" ... */
extern const char *const pb_reference_over_names[3];          /* "clean", "corrupted", "file" */
extern const char *const pb_reference_by_names[3];            /* "overall", "position", "role" */
extern const char *const pb_sender_names[PB_N_SENDERS];       /* "head", "mlp", "embed" */
extern const char *const pb_receiver_names[PB_N_RECEIVERS];   /* "q", "k", "v", "mlp" ... "set" */
extern const char *const pb_freeze_names[PB_N_FREEZES];       /* "all", "attention" */
/* Index of `name` in one of the tables above, -1 when it is not there. */
int pb_name_index(const char *const *names, int n_names, const char *name);
/* Whether an intervention takes something from the donor, so that `direction` is more than the
 * recipient's name: patch, project, control, path. */
bool pb_intervention_has_donor(enum pb_intervention intervention);

/* A head or an MLP: label `L0H7` or `M3`. */
struct pb_member {
	int32_t layer;
	int32_t head; /* -1: the layer's MLP */
};

/* Where a set comes from. */
enum pb_set_source {
	PB_SET_NAMED, /* the config names it */
	PB_SET_TOP,
	PB_SET_RANDOM,
	PB_SET_PAIRS, /* a head alone, or a pair of heads */
	PB_N_SET_SOURCES
};
extern const char *const pb_set_source_names[PB_N_SET_SOURCES]; /* "named", "top", "random" .. */

/* Members on which one variant intervenes together. One without members is empty: its complement is
 * everything. */
struct pb_set {
	const char *name;
	size_t n;
	const struct pb_member *members;
	enum pb_set_source source;
};

/* An input that a path ends at: `L9H6.q`, `L9H2.k` (k and v: KV head), `M7`, `logits`. */
struct pb_receiver_member {
	enum pb_receiver kind; /* never PB_RECEIVER_SET */
	int32_t layer, head;   /* -1 where there is none */
};

#define PB_SETS_MAX 100000 /* of one source of sets */
/* random_size: `random_count` sets of each size that the named sets and those of top have. */
#define PB_SIZE_EACH SIZE_MAX

/* Where sets come from beside the ones that are named. */
struct pb_set_sources {
	/* the k strongest heads of a sweep of another result file, for k = 1 .. top; or, with
	 * top_layers (rising), one set: the strongest head of each of these layers */
	const char *top_path, *top_sweep; /* path NULL: none; sweep NULL: the file's first */
	size_t top, n_top_layers;
	const int32_t *top_layers;
	/* `count` sets of `size` heads drawn uniformly, none of them of a named set (nor, with
	 * PB_SIZE_EACH, of one of top) */
	size_t random_size, random_count;
	uint64_t random_seed;
	/* as many of each layer as the first named set has; with PB_SIZE_EACH, as the first set of
	 * the size */
	bool random_match_layer;
	bool all_pairs; /* every head alone, then every pair of heads */
};

/* One sweep: all variants of one kind. Arrays and texts belong to whoever made the sweep. */
struct pb_sweep {
	enum pb_intervention intervention;
	enum pb_site site; /* with sets: the site of heads (MLPs are patched at mlp_out) */
	enum pb_direction direction;
	enum pb_positions positions;
	double
	    min_gap; /* pairs with |LD_clean - LD_corrupted| below it are left out of restoration */

	size_t n_list; /* positions of PB_POSITIONS_LIST; negative counts from the end */
	const int32_t *list;
	size_t n_roles; /* roles of PB_POSITIONS_ROLES */
	const char *const *roles;

	size_t n_alphas; /* scale, add: one variant for each; an axis when there are several */
	const double *alphas;
	const char *vector, *subspace; /* files: add, project */
	enum pb_reference_over reference_over;
	enum pb_reference_by reference_by;
	const char *reference_path; /* PB_OVER_FILE: prompts, as JSONL */
	uint64_t seed;              /* resample, control */

	size_t window;   /* odd: layers l - window/2 .. l + window/2, clipped; 1: the layer alone */
	size_t n_layers; /* a part of the grid, rising; 0: all */
	const int32_t *layers;
	size_t n_heads; /* heads (k, v: KV heads); 0: all */
	const int32_t *heads;
	bool neurons; /* mlp_post of one layer, neuron by neuron */
	size_t n_neurons;
	const int32_t *neuron_list; /* NULL: all of them */

	bool by_sets; /* cells are sets, not (layer, head) */
	struct pb_set_sources set_sources;
	size_t n_sets; /* as the config names them; all of them once resolved */
	const struct pb_set *sets;
	bool complement; /* intervene on everything but the set */

	/* paths */
	enum pb_sender sender;
	enum pb_receiver receiver;
	size_t n_receivers; /* of PB_RECEIVER_SET */
	const struct pb_receiver_member *receivers;
	enum pb_freeze freeze;
	size_t n_receiver_layers; /* a part of the grid of receivers; 0: all */
	const int32_t *receiver_layers;
	size_t n_receiver_heads;
	const int32_t *receiver_heads;
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
