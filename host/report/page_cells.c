/* The cells of a sweep that the page has, and columns of theirs. */
#include <math.h>
#include <stdlib.h>

#include "report/page_pack.h"

#define EXACT_MOST 8000 /* cells of a sweep whose columns are float64 */
#define FEW 400         /* strongest cells, of a sweep that does not fit, with all columns */

#define M(kind) (1u << (kind))

/* Maps of a sweep that does not fit: at each place the strongest cell of its row and column. Rows
 * and columns are steps of these axes (those that the sweep has), or the strongest of them where
 * `most` says how many. Names are those of page_views.js. */
static const struct map {
	const char *name;
	unsigned rows, columns;
	size_t rows_most, columns_most;
} maps[] = {
    {"heads", M(PB_AXIS_LAYER), M(PB_AXIS_HEAD) | M(PB_AXIS_KV_HEAD), 0, 0},
    {"layers", M(PB_AXIS_LAYER), M(PB_AXIS_POSITION) | M(PB_AXIS_QUERY_POSITION), 0, 0},
    {"positions", M(PB_AXIS_LAYER) | M(PB_AXIS_HEAD) | M(PB_AXIS_KV_HEAD),
     M(PB_AXIS_POSITION) | M(PB_AXIS_QUERY_POSITION), 20, 0},
    {"paths", M(PB_AXIS_SENDER_LAYER) | M(PB_AXIS_SENDER_HEAD),
     M(PB_AXIS_RECEIVER_LAYER) | M(PB_AXIS_RECEIVER_HEAD) | M(PB_AXIS_RECEIVER_KV_HEAD), 40, 40},
    {"neurons", M(PB_AXIS_LAYER), M(PB_AXIS_NEURON), 0, 0},
    {"pattern", M(PB_AXIS_LAYER) | M(PB_AXIS_HEAD) | M(PB_AXIS_KV_HEAD),
     M(PB_AXIS_QUERY_POSITION) | M(PB_AXIS_KEY_POSITION), 6, 0},
};

static size_t columns_size(size_t n_cells, bool big)
{
	return big ? PB_N_PAGE_NEEDED * pb_packed_size(n_cells, sizeof(float))
		   : (size_t)2 * PB_N_SHOWN * pb_packed_size(n_cells, sizeof(double));
}

/* What a cell of a part takes: a number, and the needed columns over all and over the right pairs.
 */
static size_t most_cells(size_t room)
{
	const size_t few = columns_size(FEW, false), cell = 6 + 2 * PB_N_PAGE_NEEDED * 6;

	return room > few ? (room - few) / cell : 0;
}

static double size_of(const struct pb_shown_sweep *w, size_t cell)
{
	const double effect = w->columns[0][PB_SHOWN_EFFECT][cell];

	return isfinite(effect) ? fabs(effect) : -1;
}

/* ---- keys of rows and columns -------------------------------------------------------------- */

static size_t n_keys(const struct pb_shown_sweep *w, unsigned mask)
{
	size_t n = 1, a;

	for (a = 0; a < w->n_axes; a++)
		if (mask & M(w->axes[a].kind))
			n *= w->axes[a].n;
	return n;
}

static size_t key_of(const struct pb_shown_sweep *w, unsigned mask, size_t cell)
{
	size_t key = 0, a;

	for (a = 0; a < w->n_axes; a++)
		if (mask & M(w->axes[a].kind))
			key = key * w->axes[a].n + pb_axis_step(&w->axes[a], cell);
	return key;
}

/* Places of keys, -1: not kept; the `most` strongest keep their order (0: all). *n: how many. */
static enum pb_status keep_keys(const struct pb_shown_sweep *w, unsigned mask, size_t most,
				int32_t **places, size_t *n, struct pb_error *err)
{
	enum pb_status status;
	const size_t all = n_keys(w, mask);
	struct pb_ranked *order = NULL;
	size_t i;

	*n = 0;
	PB_TRY(pb_alloc((void **)places, all, sizeof **places, "a map", err));
	PB_TRY(pb_alloc((void **)&order, all, sizeof *order, "a map", err));
	for (i = 0; i < all; i++)
		order[i] = (struct pb_ranked){-1, i};
	for (i = 0; i < w->grid.n_cells; i++) {
		struct pb_ranked *key = &order[key_of(w, mask, i)];

		key->size = fmax(key->size, size_of(w, i));
	}
	pb_rank(order, all);
	for (i = 0; i < all; i++)
		(*places)[order[i].cell] = most == 0 || i < most ? 0 : -1;
	for (i = 0; i < all; i++)
		if ((*places)[i] == 0)
			(*places)[i] = (int32_t)(*n)++;
cleanup:
	free(order);
	return status;
}

/* ---- a part of the cells ------------------------------------------------------------------- */

struct part {
	const struct pb_shown_sweep *w;
	struct pb_page_cells *cells;
	uint8_t *kept; /* by cell */
	size_t most;
};

static void keep(struct part *part, size_t cell)
{
	if (part->kept[cell])
		return;
	part->kept[cell] = 1;
	part->cells->index[part->cells->n++] = (int32_t)cell;
}

/* The keys that are kept, in order. */
static enum pb_status note_keys(const int32_t *places, size_t n_all, size_t n, int32_t **keys,
				struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_TRY(pb_alloc((void **)keys, n, sizeof **keys, "a map", err));
	for (i = 0; i < n_all; i++)
		if (places[i] >= 0)
			(*keys)[places[i]] = (int32_t)i;
cleanup:
	return status;
}

/* All cells of a map, where it fits. */
static enum pb_status add_map(struct part *part, const struct map *map, size_t rows_most, bool *fit,
			      struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = part->w;
	struct pb_page_map *out = &part->cells->maps[part->cells->n_maps];
	int32_t *rows = NULL, *columns = NULL;
	size_t *best = NULL, n_rows, n_columns, n, i;

	PB_TRY(keep_keys(w, map->rows, rows_most, &rows, &n_rows, err));
	PB_TRY(keep_keys(w, map->columns, map->columns_most, &columns, &n_columns, err));
	*fit = pb_size_mul(n_rows, n_columns, &n) && n <= part->most - part->cells->n;
	if (!*fit)
		goto cleanup;
	PB_TRY(pb_alloc((void **)&best, n, sizeof *best, "a map", err));
	for (i = 0; i < n; i++)
		best[i] = SIZE_MAX;
	for (i = 0; i < w->grid.n_cells; i++) {
		const int32_t row = rows[key_of(w, map->rows, i)];
		const int32_t column = columns[key_of(w, map->columns, i)];
		size_t *place =
		    row < 0 || column < 0 ? NULL : &best[(size_t)row * n_columns + column];

		if (place != NULL && (*place == SIZE_MAX || size_of(w, i) > size_of(w, *place)))
			*place = i;
	}
	for (i = 0; i < n; i++)
		if (best[i] != SIZE_MAX)
			keep(part, best[i]);
	*out = (struct pb_page_map){map->name, rows_most > 0 ? n_rows : 0,
				    map->columns_most > 0 ? n_columns : 0, NULL, NULL};
	part->cells->n_maps++;
	if (rows_most > 0)
		PB_TRY(note_keys(rows, n_keys(w, map->rows), n_rows, &out->rows, err));
	if (map->columns_most > 0)
		status = note_keys(columns, n_keys(w, map->columns), n_columns, &out->columns, err);
cleanup:
	free(rows);
	free(columns);
	free(best);
	return status;
}

static bool has_axes(const struct pb_shown_sweep *w, unsigned mask)
{
	size_t a;

	for (a = 0; a < w->n_axes; a++)
		if (mask & M(w->axes[a].kind))
			return true;
	return false;
}

/* A map that does not fit has half as many rows, where these are a choice anyway. */
static enum pb_status try_map(struct part *part, const struct map *map, struct pb_error *err)
{
	enum pb_status status;
	size_t most = map->rows_most;
	bool fit;

	do
		PB_TRY(add_map(part, map, most, &fit, err));
	while (!fit && (most /= 2) > 0);
cleanup:
	return status;
}

/* The strongest cells, then those of maps as long as they fit. */
static enum pb_status choose_part(struct part *part, size_t room, struct pb_error *err)
{
	enum pb_status status;
	struct pb_page_cells *cells = part->cells;
	const struct pb_shown_sweep *w = part->w;
	const size_t all = w->grid.n_cells;
	struct pb_ranked *order = NULL;
	size_t i;

	cells->n = 0;
	cells->n_full = all < FEW ? all : FEW;
	part->most = most_cells(room) > cells->n_full ? most_cells(room) : cells->n_full;
	PB_TRY(pb_alloc((void **)&order, all, sizeof *order, "cells", err));
	PB_TRY(pb_alloc((void **)&part->kept, all, 1, "cells", err));
	PB_TRY(pb_alloc((void **)&cells->index, part->most, sizeof *cells->index, "cells", err));
	for (i = 0; i < all; i++)
		order[i] = (struct pb_ranked){size_of(w, i), i};
	pb_rank(order, all);
	for (i = 0; i < cells->n_full; i++)
		keep(part, order[i].cell);
	for (i = 0; i < sizeof maps / sizeof *maps; i++)
		if (has_axes(w, maps[i].rows) && has_axes(w, maps[i].columns))
			PB_TRY(try_map(part, &maps[i], err));
cleanup:
	free(order);
	return status;
}

enum pb_status pb_page_cells_choose(struct pb_page_cells *cells, const struct pb_shown_sweep *w,
				    size_t room, struct pb_error *err)
{
	enum pb_status status;
	const size_t n = w->grid.n_cells;
	struct part part = {.w = w, .cells = cells};

	*cells = (struct pb_page_cells){.n = n, .n_full = n, .big = n > EXACT_MOST};
	cells->right = !cells->big || 2 * columns_size(n, true) <= room;
	if (columns_size(n, cells->big) <= room)
		return PB_OK;
	cells->big = false;
	cells->right = true;
	status = choose_part(&part, room / 4 * 3, err);
	free(part.kept);
	return status;
}

void pb_page_cells_free(struct pb_page_cells *cells)
{
	size_t i;

	for (i = 0; i < cells->n_maps; i++) {
		free(cells->maps[i].rows);
		free(cells->maps[i].columns);
	}
	free(cells->index);
	*cells = (struct pb_page_cells){0};
}

/* ---- packing ------------------------------------------------------------------------------- */

static json_t *pack_first(struct pb_packer *p, const double *values,
			  const struct pb_page_cells *cells, size_t n, bool floats)
{
	double *picked = calloc(n > 0 ? n : 1, sizeof *picked);
	json_t *packed = NULL;
	size_t i;

	for (i = 0; picked != NULL && i < n; i++)
		picked[i] = values[cells->index != NULL ? (size_t)cells->index[i] : i];
	if (picked != NULL)
		packed = floats ? pb_pack_floats(p, picked, n) : pb_pack_doubles(p, picked, n);
	free(picked);
	return packed;
}

json_t *pb_pack_cells(struct pb_packer *p, const double *values, const struct pb_page_cells *cells)
{
	return pack_first(p, values, cells, cells->n, cells->big || cells->index != NULL);
}

json_t *pb_pack_full_cells(struct pb_packer *p, const double *values,
			   const struct pb_page_cells *cells)
{
	return pack_first(p, values, cells, cells->n_full, cells->big);
}

json_t *pb_pack_maps(struct pb_packer *p, const struct pb_page_cells *cells)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < cells->n_maps; i++) {
		const struct pb_page_map *map = &cells->maps[i];
		json_t *entry = json_object();

		pb_pack_set(p, entry, "name", json_string(map->name));
		if (map->rows != NULL)
			pb_pack_set(p, entry, "rows", pb_pack_ints(p, map->rows, map->n_rows));
		if (map->columns != NULL)
			pb_pack_set(p, entry, "columns",
				    pb_pack_ints(p, map->columns, map->n_columns));
		pb_pack_append(p, list, entry);
	}
	return list;
}
