/* What pairs and evaluation prompts of a grid share. */
#ifndef PATCHBAY_PROMPTS_CELLS_H
#define PATCHBAY_PROMPTS_CELLS_H

#include "patchbay/evaluation.h"

/* A cell that cannot be made, for the reason in `why`: noted, and gone on without. What is no
 * cell's own fault goes to err: a grid of one cell, want of memory. */
enum pb_status pb_cell_missing(const struct pb_run_config *config, struct pb_cell *cell,
			       struct pb_arena *arena, const struct pb_error *why,
			       struct pb_error *err);
/* PB_ERR_INPUT where no cell is available. */
enum pb_status pb_cells_none(const struct pb_cell *cells, size_t n, struct pb_error *err);

#endif
