/* Which cell of a sweep stands at each place of a map: rows and columns are one axis or two, and
 * where several cells share a place the one of the largest |effect| stands for it. */
#ifndef PB_REPORT_PLACE_H
#define PB_REPORT_PLACE_H

#include "report/figure.h"

struct pb_placing {
	const struct pb_shown_sweep *sweep;
	/* NULL: no such axis */
	const struct pb_shown_axis *rows[2], *columns[2];
	/* Places of keys (step of the first axis times the size of the second, plus its step), -1:
	 * nowhere; NULL: keys are places. */
	const int32_t *row_of, *column_of;
	size_t n_rows, n_columns;
	const struct pb_shown_axis *only[2]; /* only cells of this key of these; NULL: all */
	size_t only_key;
};

/* Keys of an axis or two: the product of their sizes, 1 without any. */
size_t pb_axis_keys(const struct pb_shown_axis *const axes[2]);
size_t pb_axis_key(const struct pb_shown_axis *const axes[2], size_t cell);
/* [n_rows, n_columns] in the arena. */
enum pb_status pb_place_cells(const struct pb_placing *p, struct pb_arena *arena, size_t **cells,
			      struct pb_error *err);
/* The `most` strongest keys of two axes by the largest |effect| of their cells (as
 * `only` has it), in the order of keys: row_of or column_of of a placing, in the arena; *n: how
 * many. */
enum pb_status pb_place_strongest(const struct pb_placing *p,
				  const struct pb_shown_axis *const axes[2], size_t most,
				  struct pb_arena *arena, int32_t **out_places, size_t *n,
				  struct pb_error *err);

/* Labels of the keys that have a place, [n]: "L3H5" of a layer and a head, "3" of one axis; where
 * layers alone are `mlps` (of a path's end without heads), "M3". */
enum pb_status pb_place_labels(const struct pb_shown_axis *const axes[2], bool mlps,
			       const int32_t *places, size_t n, struct pb_arena *arena,
			       const char ***labels, struct pb_error *err);

/* Labels of positions: the tokens of the first pair, where all pairs have one length. */
struct pb_position_labels {
	const char **labels; /* [axis->n] */
	const char *title;
	int32_t *roles; /* [axis->n] the role that all pairs have there, -1: none; NULL: no roles */
	uint8_t *bold;  /* [axis->n] where the first pair's prompts differ; NULL: not known */
};
/* "; the first pair's prompts differ where tokens are bold", "" where it is not known. */
const char *pb_bold_words(const struct pb_subject *s, const uint8_t *bold);
enum pb_status pb_position_labels_make(struct pb_position_labels *out, struct pb_subject *s,
				       const struct pb_shown_axis *axis, struct pb_arena *arena,
				       struct pb_error *err);

#endif
