/* The schema of result files: every dimension and every dataset declared once.
 *
 * A dataset's row gives its name, element type, dimensions by name, units, a sentence, and whether
 * values may be missing. From the row follow the fill value, chunking, filters, the attached
 * dimension scales, their hard links in the dataset's group (without which xarray shows no
 * coordinates for a group) and the companion `<name>_mask` where values are not applicable. */
#ifndef PB_RESULTS_SCHEMA_H
#define PB_RESULTS_SCHEMA_H

#include "patchbay/grid.h"
#include "patchbay/readings.h"
#include "patchbay/status.h"
#include "patchbay/sweep.h"
#include "results/h5.h"

/* The axes of grids come in the order of enum pb_axis_kind: see pb_axis_dim. */
enum pb_dim {
	PB_DIM_NONE,
	PB_DIM_PAIR,
	PB_DIM_ALPHA,
	PB_DIM_SET,
	PB_DIM_LAYER,
	PB_DIM_HEAD,
	PB_DIM_KV_HEAD,
	PB_DIM_NEURON,
	PB_DIM_POSITION,
	PB_DIM_QUERY_POSITION,
	PB_DIM_KEY_POSITION,
	PB_DIM_SENDER_LAYER,
	PB_DIM_SENDER_HEAD,
	PB_DIM_RECEIVER_LAYER,
	PB_DIM_RECEIVER_HEAD,
	PB_DIM_RECEIVER_KV_HEAD,
	/* The three axes of positions, from the end. */
	PB_DIM_POSITION_FROM_END,
	PB_DIM_QUERY_POSITION_FROM_END,
	PB_DIM_KEY_POSITION_FROM_END,
	PB_DIM_WIDTH,
	PB_DIM_HEAD_WIDTH,
	/* All of the model's, in a group whose own axis of that name is a part of them. */
	PB_DIM_MODEL_LAYER,
	PB_DIM_MODEL_HEAD,
	PB_DIM_MODEL_KV_HEAD,
	PB_DIM_MODEL_NEURON,
	/* Of reference prompts that are longer or shorter than the pairs. */
	PB_DIM_REFERENCE_POSITION,
	PB_DIM_REFERENCE_QUERY_POSITION,
	PB_DIM_REFERENCE_KEY_POSITION,
	PB_DIM_ROLE,
	PB_DIM_CANDIDATE,
	PB_DIM_TOKEN,
	PB_DIM_PROMPT,
	PB_DIM_PAIR_IN_CELL,
	PB_DIM_ANSWER,
	/* Axes of grids of cells: the numbers of the tasks, from the first to the last of them. */
	PB_DIM_BOXES,
	PB_DIM_MOVES,
	PB_DIM_STATES,
	PB_DIM_EDGES,
	PB_DIM_DENSITY,
	PB_DIM_ACTIONS,
	PB_DIM_STEPS,
	PB_DIM_PEOPLE,
	PB_DIM_CLUES,
	PB_DIM_ROOMS,
	PB_DIM_OBJECTS,
	PB_DIM_CONTAINERS,
	PB_DIM_LENGTH,
	/* Bins of evaluation prompts. */
	PB_DIM_REACHABLE,
	PB_DIM_CHUNK,
	PB_DIM_CHECKED_VARIANT,
	/* Of comparisons of files (compare_schema.c). */
	PB_DIM_FILE,
	PB_DIM_BIN,
	PB_DIM_RANK,
	PB_DIM_DATASET,
	PB_N_DIMS,
	/* In rows only: the axes that come with the row (struct pb_axes). */
	PB_DIM_CELL = PB_N_DIMS,
};

static inline enum pb_dim pb_axis_dim(enum pb_axis_kind kind)
{
	return (enum pb_dim)((int)PB_DIM_ALPHA + (int)kind);
}

const char *pb_dim_name(enum pb_dim dim);
const char *pb_dim_long_name(enum pb_dim dim);
/* The dimension of an axis of cells, "boxes". */
enum pb_dim pb_dim_of_axis(const char *name);
/* Whether it counts ..., -2, -1. */
bool pb_dim_from_end(enum pb_dim dim);

enum pb_type { PB_TYPE_F64, PB_TYPE_F32, PB_TYPE_I32, PB_TYPE_FLAG, PB_TYPE_TEXT };

struct pb_field {
	const char *name;
	enum pb_type type;
	enum pb_dim dims[5]; /* ended by PB_DIM_NONE when fewer */
	const char *units;   /* NULL for text and flags */
	const char *long_name;
	bool missing; /* PB_TYPE_I32: -1 stands for a missing value */
};

enum pb_pairs_field {
	PB_PAIRS_CLEAN_TOKENS,
	PB_PAIRS_CORRUPTED_TOKENS,
	PB_PAIRS_LENGTH,
	PB_PAIRS_ANSWER_TOKEN,
	PB_PAIRS_FOIL_TOKEN,
	PB_PAIRS_FIRST_DIFFERENCE,
	PB_PAIRS_CANDIDATES,
	PB_PAIRS_ROLES,
	PB_PAIRS_RIGHT,
	PB_PAIRS_CLEAN_TEXT,
	PB_PAIRS_CORRUPTED_TEXT,
	PB_PAIRS_ANSWER_TEXT,
	PB_PAIRS_FOIL_TEXT,
	PB_PAIRS_EXTRA,
	PB_PAIRS_TOKEN_ID,
	PB_PAIRS_TOKEN_TEXT,
	PB_N_PAIRS_FIELDS
};
extern const struct pb_field pb_pairs_fields[PB_N_PAIRS_FIELDS];

enum pb_base_field {
	PB_BASE_LOGIT_DIFF,
	PB_BASE_LOGIT_ANSWER,
	PB_BASE_LOGIT_FOIL,
	PB_BASE_PROB_ANSWER,
	PB_BASE_PROB_FOIL,
	PB_BASE_LOGPROB_ANSWER,
	PB_BASE_LOGPROB_FOIL,
	PB_BASE_RANK_ANSWER,
	PB_BASE_RANK_FOIL,
	PB_BASE_ARGMAX,
	PB_N_BASE_FIELDS
};
extern const struct pb_field pb_base_fields[PB_N_BASE_FIELDS];
extern const char *const pb_side_names[2]; /* "clean", "corrupted" */

enum pb_summary_field {
	PB_SUMMARY_EFFECT,
	PB_SUMMARY_STDERR,
	PB_SUMMARY_CI_LOW,
	PB_SUMMARY_CI_HIGH,
	PB_SUMMARY_P_VALUE,
	PB_SUMMARY_P_FWER,
	PB_SUMMARY_Q_BH,
	PB_SUMMARY_N_PAIRS,
	PB_SUMMARY_RESTORATION,
	PB_SUMMARY_RESTORATION_CI_LOW,
	PB_SUMMARY_RESTORATION_CI_HIGH,
	PB_SUMMARY_RESTORATION_N_PAIRS,
	PB_SUMMARY_RESTORATION_OF_MEANS,
	PB_N_SUMMARY_FIELDS
};
extern const struct pb_field pb_summary_fields[PB_N_SUMMARY_FIELDS];

/* In the summary too, of sweeps with ranks: how often the answer comes first. */
enum pb_accuracy_field {
	PB_ACCURACY,
	PB_ACCURACY_CI_LOW,
	PB_ACCURACY_CI_HIGH,
	PB_ACCURACY_RECIPIENT,
	PB_ACCURACY_CHANGE,
	PB_CORRECTED,
	PB_CORRECTED_CI_LOW,
	PB_CORRECTED_CI_HIGH,
	PB_BROKEN,
	PB_BROKEN_CI_LOW,
	PB_BROKEN_CI_HIGH,
	PB_N_ACCURACY_SHARES, /* the float64 ones */
	PB_ACCURACY_N_PAIRS = PB_N_ACCURACY_SHARES,
	PB_ACCURACY_N_WRONG,
	PB_N_ACCURACY_FIELDS
};
extern const struct pb_field pb_accuracy_fields[PB_N_ACCURACY_FIELDS];

/* Of sweeps by sets: beside random ones. */
enum pb_random_field {
	PB_RANDOM_P_EFFECT,
	PB_RANDOM_MEAN,
	PB_RANDOM_SD,
	PB_RANDOM_LOW,
	PB_RANDOM_HIGH,
	PB_RANDOM_P_ACCURACY,
	PB_RANDOM_ACCURACY_CHANGE,
	PB_N_RANDOM_FIGURES, /* the float64 ones */
	PB_RANDOM_N = PB_N_RANDOM_FIGURES,
	PB_N_RANDOM_FIELDS
};
extern const struct pb_field pb_random_fields[PB_N_RANDOM_FIELDS];

/* Of sweeps by sets: a ratio and its interval. */
enum pb_circuit_field {
	PB_CIRCUIT_RATIO,
	PB_CIRCUIT_CI_LOW,
	PB_CIRCUIT_CI_HIGH,
	PB_N_CIRCUIT_FIELDS
};
extern const struct pb_field pb_faithfulness_fields[PB_N_CIRCUIT_FIELDS];
extern const struct pb_field pb_remaining_fields[PB_N_CIRCUIT_FIELDS];

/* Of the group `matched` of a summary. */
enum pb_matched_field {
	PB_MATCHED_STATE,
	PB_MATCHED_ACTION,
	PB_MATCHED_DIFFERENCE,
	PB_MATCHED_STDERR,
	PB_MATCHED_CI_LOW,
	PB_MATCHED_CI_HIGH,
	PB_MATCHED_P_VALUE,
	PB_MATCHED_P_FWER,
	PB_MATCHED_Q_BH,
	PB_MATCHED_N_GROUPS,
	PB_N_MATCHED_FIELDS
};
extern const struct pb_field pb_matched_fields[PB_N_MATCHED_FIELDS];

enum pb_checks_field {
	PB_CHECKS_RESID_PRE_DEVIATION,
	PB_CHECKS_RESID_PRE_PAIRS,
	PB_CHECKS_LOGIT_LARGEST,
	PB_CHECKS_ATTRIBUTION_DEVIATION,
	PB_CHECKS_CHUNK_ISA,
	PB_CHECKS_VARIANT_SWEEP,
	PB_CHECKS_VARIANT_PAIR,
	PB_CHECKS_VARIANT_CELL,
	PB_CHECKS_VARIANT_LOGIT_DIFF,
	PB_CHECKS_VARIANT_LOGIT_DIFF_PLAIN,
	PB_CHECKS_VARIANT_TOLERANCE,
	PB_CHECKS_SHA256_PATH,
	PB_CHECKS_SHA256,
	PB_N_CHECKS_FIELDS
};
extern const struct pb_field pb_checks_fields[PB_N_CHECKS_FIELDS];

/* Datasets that only some sweeps have, in the sweep's group. */
enum pb_extra_field {
	PB_EXTRA_RESAMPLE_PAIR,
	PB_EXTRA_CONTROL,
	PB_EXTRA_REFERENCE_MEAN,
	PB_EXTRA_REFERENCE_TOKENS,
	PB_EXTRA_ROLE_NAME, /* also below /readings */
	PB_N_EXTRA_FIELDS
};
extern const struct pb_field pb_extra_fields[PB_N_EXTRA_FIELDS];

/* Of the group /sets/<sweep>. */
enum pb_set_field { PB_SET_NAME, PB_SET_MEMBERS, PB_SET_SIZE, PB_SET_SOURCE, PB_N_SET_FIELDS };
extern const struct pb_field pb_set_fields[PB_N_SET_FIELDS];

/* The row of a metric's raw dataset; name, units and long_name are those of pb_metric_infos. */
struct pb_field pb_metric_field(enum pb_metric metric);
/* The row of a reading's dataset; name, units and long_name are those of pb_reading_infos. */
struct pb_field pb_reading_field(enum pb_reading reading);

/* ---- writing by the schema --------------------------------------------------------------- */

/* An open result file and the sizes of the dimensions whose scales lie at its root; a dimension of
 * size 0 does not exist in the file, and neither do datasets that need it. */
struct pb_layout {
	hid_t file;
	size_t sizes[PB_N_DIMS];
};

/* The dimensions that stand for PB_DIM_CELL in a row: none, one or several. */
struct pb_axes {
	int n;
	struct pb_extent {
		enum pb_dim dim;
		size_t size;
		hid_t group; /* that holds the scale, borrowed; -1: the root */
	} items[PB_H5_MAX_RANK];
};

/* Write the dimension scale of `dim` at the root: 0, 1, 2, ... (from the end: ..., -2, -1). */
enum pb_status pb_layout_scale(const struct pb_layout *layout, enum pb_dim dim,
			       struct pb_error *err);
/* Write a scale in a group of its own: `values`, or (for PB_DIM_ALPHA) `numbers`, or 0, 1, 2, ...
 * where both are NULL. */
enum pb_status pb_scale_write(hid_t group, enum pb_dim dim, size_t size, const int32_t *values,
			      const double *numbers, struct pb_error *err);

/* Elements of the dataset in this layout; 0 when one of its dimensions does not exist. axes: for
 * rows with PB_DIM_CELL, else NULL. */
size_t pb_field_count(const struct pb_layout *layout, const struct pb_field *field,
		      const struct pb_axes *axes);

/* Create an empty dataset in an open group, attached to its scales. With `mask` it is the flag
 * dataset `<name>_mask` of the row. */
enum pb_status pb_field_create(const struct pb_layout *layout, hid_t group,
			       const struct pb_field *field, const struct pb_axes *axes, bool mask,
			       hid_t *dataset, struct pb_error *err);
/* Boxes of a view, each one cell of its leading dimensions, filled from its start on with rows of
 * another dataset of the file; what no part fills reads as the fill value. */
struct pb_field_view {
	const char *source; /* its path from the root */
	size_t n_rows;      /* of the source */
	int n_leading;      /* dimensions */
	size_t n_parts;
	struct pb_view_part {
		size_t box;      /* in C order of the leading dimensions */
		size_t first, n; /* rows */
	} * parts;
};
/* Create a dataset that stores nothing and shows another one (an HDF5 virtual dataset), attached to
 * its scales. The source has the row's type and the dimensions behind the leading ones. */
enum pb_status pb_field_create_view(const struct pb_layout *layout, hid_t group,
				    const struct pb_field *field, const struct pb_axes *axes,
				    const struct pb_field_view *view, struct pb_error *err);
/* The memory type of a row's elements (flags: uint8_t); -1 for text. Not to be dropped. */
hid_t pb_field_memory_type(enum pb_type type);
/* Bytes of an element in memory; no HDF5, any thread. */
size_t pb_field_element_size(enum pb_type type);
/* Create a dataset and write all of it; `suffix` is appended to the name ("" or "_right"). Data of
 * a text row is an array of char pointers. Does nothing when pb_field_count is 0. */
enum pb_status pb_field_write(const struct pb_layout *layout, hid_t group,
			      const struct pb_field *field, const struct pb_axes *axes,
			      const char *suffix, const void *data, struct pb_error *err);
/* The same for float64 data in which NaN means not applicable: `<name><suffix>_mask` is written
 * beside it when there is any. */
enum pb_status pb_field_write_masked(const struct pb_layout *layout, hid_t group,
				     const struct pb_field *field, const struct pb_axes *axes,
				     const char *suffix, const double *data, struct pb_error *err);

#endif
