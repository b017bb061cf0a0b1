/* Matched pairs: two corruptions of one clean prompt, one of a state and one of an action. */
#ifndef PB_RESULTS_GROUPS_H
#define PB_RESULTS_GROUPS_H

#include "patchbay/evaluation.h"

/* The two pairs of one group. */
struct pb_group {
	size_t state, action;
};

struct pb_groups {
	size_t n;
	struct pb_group *items; /* in the order of their first pairs */
	size_t n_unmatched;     /* pairs that name a group or a partner, and are in none of them */
};

/* The groups that pairs name in their other keys: `"group": ID` (a number or a text) and
 * `"partner": "state"` or `"action"`, wherever they stand. A group has exactly one pair of each
 * partner, with one clean prompt and one answer; pairs of anything else are unmatched. */
/* Where pairs are those of a grid's cells (n_cells 0: they are not), a group lies in one cell. */
enum pb_status pb_groups_find(struct pb_groups *groups, const struct pb_pairs *pairs,
			      const struct pb_cell *cells, size_t n_cells, struct pb_error *err);
void pb_groups_free(struct pb_groups *groups);

#endif
