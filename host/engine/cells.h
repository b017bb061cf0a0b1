/* What the files of the cells share. */
#ifndef PB_ENGINE_CELLS_H
#define PB_ENGINE_CELLS_H

#include "engine/sweeps.h"

/* Append the runs of positions that a cell writes in a pair to list->runs; *exists is false when it
 * has none there (positions.c). */
enum pb_status pb_cell_positions(const struct pb_sweep_work *work, const struct pb_pair *pair,
				 size_t cell, struct pb_variants *list, bool *exists,
				 struct pb_error *err);

/* Append what a cell writes to list->injections, in order of computation: nothing where no path
 * exists, or the set is empty (injections.c). */
enum pb_status pb_cell_injections(const struct pb_sweep_work *work, size_t cell,
				  struct pb_variants *list, struct pb_error *err);

#endif
