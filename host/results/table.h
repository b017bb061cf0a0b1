/* A table for a terminal: a header, rows, columns as wide as their widest text. */
#ifndef PB_RESULTS_TABLE_H
#define PB_RESULTS_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "patchbay/status.h"

#define PB_TABLE_TEXT 128 /* bytes of a cell */

struct pb_table {
	size_t n_rows, n_columns; /* the header is row 0 */
	char (*cells)[PB_TABLE_TEXT];
	bool *left; /* [n_columns] texts, which begin at the left; numbers end at the right */
};

enum pb_status pb_table_new(struct pb_table *table, size_t n_rows, size_t n_columns,
			    struct pb_error *err);
void pb_table_free(struct pb_table *table);
/* A cell, printed; what does not fit into PB_TABLE_TEXT is cut. */
void pb_table_put(struct pb_table *table, size_t row, size_t column, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void pb_table_print(const struct pb_table *table, FILE *out);

#endif
