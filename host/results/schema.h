/* The schema of result files: every dimension and every dataset declared once.
 *
 * A dataset's row gives its name, element type, dimensions by name, units, a sentence, and whether
 * values may be missing. From the row follow the fill value, chunking, filters, the attached
 * dimension scales, their hard links in the dataset's group (without which xarray shows no
 * coordinates for a group) and the companion `<name>_mask` where values are not applicable. */
#ifndef PB_RESULTS_SCHEMA_H
#define PB_RESULTS_SCHEMA_H

#include "patchbay/status.h"
#include "patchbay/sweep.h"
#include "results/h5.h"

enum pb_dim {
	PB_DIM_NONE,
	PB_DIM_PAIR,
	PB_DIM_LAYER,
	PB_DIM_HEAD,
	PB_DIM_POSITION,
	PB_DIM_POSITION_FROM_END,
	PB_DIM_CANDIDATE,
	PB_DIM_CHUNK,
	PB_DIM_CHECKED_VARIANT,
	PB_DIM_DATASET,
	PB_N_DIMS,
	/* In rows only: layer, head, and the sweep's axis of positions if it has one. */
	PB_DIM_CELL = PB_N_DIMS,
};

enum pb_type { PB_TYPE_F64, PB_TYPE_F32, PB_TYPE_I32, PB_TYPE_FLAG, PB_TYPE_TEXT };

struct pb_field {
	const char *name;
	enum pb_type type;
	enum pb_dim dims[4]; /* ended by PB_DIM_NONE when fewer */
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
	PB_PAIRS_RIGHT,
	PB_PAIRS_CLEAN_TEXT,
	PB_PAIRS_CORRUPTED_TEXT,
	PB_PAIRS_ANSWER_TEXT,
	PB_PAIRS_FOIL_TEXT,
	PB_PAIRS_EXTRA,
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

enum pb_checks_field {
	PB_CHECKS_RESID_PRE_DEVIATION,
	PB_CHECKS_RESID_PRE_PAIRS,
	PB_CHECKS_LOGIT_LARGEST,
	PB_CHECKS_CHUNK_ISA,
	PB_CHECKS_VARIANT_SWEEP,
	PB_CHECKS_VARIANT_PAIR,
	PB_CHECKS_VARIANT_LAYER,
	PB_CHECKS_VARIANT_HEAD,
	PB_CHECKS_VARIANT_POSITION,
	PB_CHECKS_VARIANT_LOGIT_DIFF,
	PB_CHECKS_VARIANT_LOGIT_DIFF_PLAIN,
	PB_CHECKS_VARIANT_TOLERANCE,
	PB_CHECKS_SHA256_PATH,
	PB_CHECKS_SHA256,
	PB_N_CHECKS_FIELDS
};
extern const struct pb_field pb_checks_fields[PB_N_CHECKS_FIELDS];

/* The row of a metric's raw dataset; name, units and long_name are those of pb_metric_infos. */
struct pb_field pb_metric_field(enum pb_metric metric);

/* ---- writing by the schema --------------------------------------------------------------- */

/* An open result file and the sizes of its dimensions; a dimension of size 0 does not exist in the
 * file, and neither do datasets that need it. */
struct pb_layout {
	hid_t file;
	size_t sizes[PB_N_DIMS];
};

/* Write the dimension scale of `dim` at the root: 0, 1, 2, ... (position_from_end: ..., -2, -1). */
enum pb_status pb_layout_scale(const struct pb_layout *layout, enum pb_dim dim,
			       struct pb_error *err);

/* The dimensions of a row, PB_DIM_CELL resolved by `axis` (PB_DIM_NONE, PB_DIM_POSITION or
 * PB_DIM_POSITION_FROM_END). Returns how many. */
int pb_field_dims(const struct pb_field *field, enum pb_dim axis, enum pb_dim dims[PB_H5_MAX_RANK]);
/* Elements of the dataset in this layout; 0 when one of its dimensions does not exist. */
size_t pb_field_count(const struct pb_layout *layout, const struct pb_field *field,
		      enum pb_dim axis);

/* Create an empty dataset in an open group, attached to its scales. With `mask` it is the flag
 * dataset `<name>_mask` of the row. */
enum pb_status pb_field_create(const struct pb_layout *layout, hid_t group,
			       const struct pb_field *field, enum pb_dim axis, bool mask,
			       hid_t *dataset, struct pb_error *err);
/* The memory type of a row's elements (flags: uint8_t); -1 for text. Not to be dropped. */
hid_t pb_field_memory_type(enum pb_type type);
/* Create a dataset and write all of it; `suffix` is appended to the name ("" or "_right"). Data of
 * a text row is an array of char pointers. Does nothing when pb_field_count is 0. */
enum pb_status pb_field_write(const struct pb_layout *layout, hid_t group,
			      const struct pb_field *field, enum pb_dim axis, const char *suffix,
			      const void *data, struct pb_error *err);
/* The same for float64 data in which NaN means not applicable: `<name><suffix>_mask` is written
 * beside it when there is any. */
enum pb_status pb_field_write_masked(const struct pb_layout *layout, hid_t group,
				     const struct pb_field *field, enum pb_dim axis,
				     const char *suffix, const double *data, struct pb_error *err);

#endif
