/* Raw values turned round: a file without a name in which the values of a block of cells lie
 * together, all pairs of them, so that a sweep of many pairs is read and unpacked once, not once a
 * block. */
#ifndef PB_RESULTS_CELLS_FILE_H
#define PB_RESULTS_CELLS_FILE_H

#include "patchbay/status.h"
#include "results/h5.h"

struct pb_cells_file {
	int fd;                         /* -1: none */
	size_t n_pairs, n_cells, block; /* cells of a block; the last one may have fewer */
};

/* Copy a dataset (pair, cells...) of numbers as float64 into a file beside `output`. */
enum pb_status pb_cells_file_make(struct pb_cells_file *out, const char *output, hid_t dataset,
				  const char *name, size_t n_pairs, size_t n_cells, size_t block,
				  struct pb_error *err);
/* The block that begins at a cell: values [n_pairs, its cells]. */
enum pb_status pb_cells_file_read(const struct pb_cells_file *file, size_t first_cell,
				  double *values, struct pb_error *err);
void pb_cells_file_close(struct pb_cells_file *file);

#endif
