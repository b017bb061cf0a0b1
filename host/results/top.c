/* Ranked cells of result files, and `patchbay top`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/file_grid.h"
#include "results/top.h"

/* ---- ranking ----------------------------------------------------------------------------- */

/* Columns of the summary that a ranking takes, by their place in struct pb_ranked_cell. */
static const struct column {
	const char *name;
	size_t offset;
} columns[] = {
    {"effect", offsetof(struct pb_ranked_cell, effect)},
    {"ci_low", offsetof(struct pb_ranked_cell, ci_low)},
    {"ci_high", offsetof(struct pb_ranked_cell, ci_high)},
    {"stderr", offsetof(struct pb_ranked_cell, stderr_)},
    {"p_value", offsetof(struct pb_ranked_cell, p_value)},
    {"p_fwer", offsetof(struct pb_ranked_cell, p_fwer)},
    {"q_bh", offsetof(struct pb_ranked_cell, q_bh)},
    {"restoration", offsetof(struct pb_ranked_cell, restoration)},
    {"restoration_ci_low", offsetof(struct pb_ranked_cell, restoration_ci_low)},
    {"restoration_ci_high", offsetof(struct pb_ranked_cell, restoration_ci_high)},
};

static enum pb_status order_cells(struct pb_ranked **out, struct pb_ranking *ranking,
				  const double *effect, size_t n_most, struct pb_error *err)
{
	enum pb_status status;
	struct pb_ranked *order = NULL;
	size_t i;

	PB_TRY(pb_alloc((void **)&order, ranking->n_cells, sizeof *order, "ranking", err));
	for (i = 0; i < ranking->n_cells; i++) {
		order[i] = (struct pb_ranked){isfinite(effect[i]) ? fabs(effect[i]) : -1, i};
		ranking->n_excluded += !isfinite(effect[i]);
	}
	pb_rank(order, ranking->n_cells);
	ranking->n = ranking->n_cells - ranking->n_excluded;
	if (n_most > 0 && n_most < ranking->n)
		ranking->n = n_most;
	*out = order;
cleanup:
	return status;
}

/* Drop a last character of UTF-8 that was cut in two. */
static void trim(char *text)
{
	size_t n = strlen(text), k = n;
	unsigned char lead;
	size_t wanted;

	while (k > 0 && ((unsigned char)text[k - 1] & 0xc0) == 0x80)
		k--;
	if (k == 0)
		return;
	lead = (unsigned char)text[k - 1];
	wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (n - (k - 1) < wanted)
		text[k - 1] = '\0';
}

static void describe_cell(struct pb_ranked_cell *cell, const struct pb_file_grid *grid, size_t at)
{
	cell->cell = at;
	pb_file_grid_label(grid, at, cell->label, sizeof cell->label);
	trim(cell->label);
	pb_file_grid_axes(grid, at, cell->axes);
	cell->layer = pb_file_grid_value(grid, at, PB_AXIS_LAYER);
	cell->head = pb_file_grid_value(grid, at, PB_AXIS_HEAD);
	if (cell->head < 0)
		cell->head = pb_file_grid_value(grid, at, PB_AXIS_KV_HEAD);
}

/* One column of the summary into the ranked cells: figure `column`, or n_pairs behind the last. */
static enum pb_status fill_column(struct pb_ranking *ranking, const struct pb_file_grid *grid,
				  const struct pb_result *r, size_t sweep, size_t column,
				  const char *suffix, struct pb_error *err)
{
	enum pb_status status;
	const bool counts = column == sizeof columns / sizeof *columns;
	double *values = NULL;
	size_t i;

	PB_TRY(pb_file_grid_column(grid, r, sweep, counts ? "n_pairs" : columns[column].name,
				   suffix, &values, err));
	for (i = 0; i < ranking->n; i++) {
		struct pb_ranked_cell *cell = &ranking->cells[i];

		if (counts)
			cell->n_pairs = (int32_t)values[cell->cell];
		else
			*(double *)(void *)((char *)cell + columns[column].offset) =
			    values[cell->cell];
	}
cleanup:
	free(values);
	return status;
}

enum pb_status pb_rank_sweep(struct pb_ranking *out, const struct pb_result *r, size_t sweep,
			     size_t n_most, bool over_right, struct pb_error *err)
{
	enum pb_status status;
	const char *suffix = over_right ? "_right" : "";
	struct pb_file_grid grid = {0};
	struct pb_ranked *order = NULL;
	double *values = NULL;
	size_t c, i;

	*out = (struct pb_ranking){0};
	PB_TRY(pb_file_grid_read(&grid, r, sweep, err));
	out->sweep = strdup(r->sweeps[sweep].name);
	out->n_cells = grid.n_cells;
	if (out->sweep == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: ranking");
		goto cleanup;
	}
	PB_TRY(pb_file_grid_column(&grid, r, sweep, "effect", suffix, &values, err));
	PB_TRY(order_cells(&order, out, values, n_most, err));
	PB_TRY(pb_alloc((void **)&out->cells, out->n, sizeof *out->cells, "ranking", err));
	for (i = 0; i < out->n; i++)
		describe_cell(&out->cells[i], &grid, order[i].cell);
	for (c = 0; c <= sizeof columns / sizeof *columns; c++)
		PB_TRY(fill_column(out, &grid, r, sweep, c, suffix, err));
cleanup:
	free(values);
	free(order);
	pb_file_grid_free(&grid);
	if (status != PB_OK)
		pb_ranking_free(out);
	return status;
}

void pb_ranking_free(struct pb_ranking *ranking)
{
	free(ranking->sweep);
	free(ranking->cells);
	*ranking = (struct pb_ranking){0};
}

/* ---- of a file ---------------------------------------------------------------------------- */

enum pb_status pb_result_rank(struct pb_ranking *out, const char *path, const char *sweep,
			      size_t n_most, bool over_right, struct pb_error *err)
{
	enum pb_status status;
	struct pb_result r;
	size_t index = 0;

	*out = (struct pb_ranking){0};
	PB_TRY(pb_result_open(&r, path, err));
	if (sweep != NULL)
		PB_TRY(pb_result_find_sweep(&r, sweep, &index, err));
	if (r.n_sweeps == 0)
		status = pb_fail(err, PB_ERR_INPUT, "no sweeps: %s: name a file with one", path);
	else
		status = pb_rank_sweep(out, &r, index, n_most, over_right, err);
cleanup:
	pb_result_close(&r);
	return status;
}

static enum pb_status rank_and_print(const char *path, const char *sweep, size_t n_most,
				     bool over_right, enum pb_top_format format, FILE *out,
				     struct pb_error *err)
{
	enum pb_status status;
	struct pb_ranking *rankings = NULL;
	struct pb_result r;
	size_t first = 0, n = 0, n_ranked = 0, s;

	PB_TRY(pb_result_open(&r, path, err));
	n = r.n_sweeps;
	if (sweep != NULL) {
		PB_TRY(pb_result_find_sweep(&r, sweep, &first, err));
		n = 1;
	}
	PB_TRY(pb_alloc((void **)&rankings, n, sizeof *rankings, "ranking", err));
	for (; n_ranked < n; n_ranked++)
		PB_TRY(pb_rank_sweep(&rankings[n_ranked], &r, first + n_ranked, n_most, over_right,
				     err));
	if (format == PB_TOP_JSON)
		PB_TRY(pb_top_json(path, rankings, n, over_right, out, err));
	else if (format == PB_TOP_CSV)
		pb_top_csv(rankings, n, out);
	else
		pb_top_text(rankings, n, over_right, out);
	if (ferror(out))
		status = pb_fail(err, PB_ERR_IO, "cannot write the ranking: %s", path);
cleanup:
	for (s = 0; s < n_ranked; s++)
		pb_ranking_free(&rankings[s]);
	free(rankings);
	pb_result_close(&r);
	return status;
}

enum pb_status pb_result_top(const char *path, const char *sweep, size_t n_most, bool over_right,
			     enum pb_top_format format, FILE *out, struct pb_error *err)
{
	struct pb_error inner = {0};

	(void)rank_and_print(path, sweep, n_most, over_right, format, out, &inner);
	return pb_h5_fail_file(err, &inner, "cannot read file", path);
}
