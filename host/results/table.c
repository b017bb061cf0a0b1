/* A table for a terminal. */
#include "results/table.h"

#include <stdarg.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/text.h"

enum pb_status pb_table_new(struct pb_table *t, size_t n_rows, size_t n_columns,
			    struct pb_error *err)
{
	enum pb_status status;
	size_t n;

	*t = (struct pb_table){.n_rows = n_rows, .n_columns = n_columns};
	if (!pb_size_mul(n_rows, n_columns, &n))
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a table");
	PB_TRY(pb_alloc((void **)&t->cells, n, sizeof *t->cells, "a table", err));
	PB_TRY(pb_alloc((void **)&t->left, n_columns, sizeof *t->left, "a table", err));
	return PB_OK;
cleanup:
	pb_table_free(t);
	return status;
}

void pb_table_free(struct pb_table *t)
{
	free(t->cells);
	free(t->left);
	*t = (struct pb_table){0};
}

void pb_table_put(struct pb_table *t, size_t row, size_t column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(t->cells[row * t->n_columns + column], PB_TABLE_TEXT, format, args);
	va_end(args);
}

static int width_of(const struct pb_table *t, size_t column)
{
	int width = 0;
	size_t row;

	for (row = 0; row < t->n_rows; row++) {
		const int w = pb_text_width(t->cells[row * t->n_columns + column]);

		width = w > width ? w : width;
	}
	return width;
}

void pb_table_print(const struct pb_table *t, FILE *out)
{
	size_t row, column;

	for (row = 0; row < t->n_rows; row++) {
		for (column = 0; column < t->n_columns; column++) {
			const char *text = t->cells[row * t->n_columns + column];
			const int pad = width_of(t, column) - pb_text_width(text);
			const bool last = column + 1 == t->n_columns;

			fprintf(out, "  %*s%s", t->left[column] ? 0 : pad, "", text);
			fprintf(out, "%*s", t->left[column] && !last ? pad : 0, "");
		}
		fputc('\n', out);
	}
}
