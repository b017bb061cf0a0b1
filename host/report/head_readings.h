/* What the readings of a file say of its heads, as means over the pairs. */
#ifndef PB_REPORT_HEAD_READINGS_H
#define PB_REPORT_HEAD_READINGS_H

#include "report/subject.h"

#define PB_HEAD_READINGS_MOST 24

struct pb_head_reading {
	const char *name; /* in the arena */
	double *values;   /* [n_layers, n_heads] in the arena */
};
struct pb_head_readings {
	size_t n;
	struct pb_head_reading items[PB_HEAD_READINGS_MOST];
	struct pb_arena arena;
};
/* Those that the file has. Freed by pb_head_readings_free whatever is returned. */
enum pb_status pb_head_readings_read(struct pb_head_readings *out, const struct pb_subject *s,
				     struct pb_error *err);
void pb_head_readings_free(struct pb_head_readings *readings);

/* Saved attention patterns of a base run (0 clean, 1 corrupted), dropped by pb_h5_drop: *dataset is
 * -1 where there are none. While it is open, heads that lie near each other are read fast. */
enum pb_status pb_saved_patterns_open(const struct pb_subject *s, int side, hid_t *dataset,
				      struct pb_error *err);
/* One of them into pattern, [n, n] with n the length of the pair (queries, keys). */
enum pb_status pb_saved_pattern_take(const struct pb_subject *s, hid_t dataset, size_t pair,
				     size_t layer, size_t head, double *pattern,
				     struct pb_error *err);
/* The attention pattern of a head on the clean prompt of a pair, [n, n] with n its length (queries,
 * keys): *pattern is NULL where patterns are not saved. */
enum pb_status pb_saved_pattern_read(const struct pb_subject *s, size_t pair, size_t layer,
				     size_t head, double **pattern, struct pb_error *err);

#endif
