/* Packing data for the page. */
#ifndef PB_REPORT_PAGE_PACK_H
#define PB_REPORT_PAGE_PACK_H

#include <jansson.h>

#include "report/report_parts.h"

struct pb_packer {
	size_t left; /* bytes of the budget */
	bool failed; /* out of memory */
};

/* Takes bytes of the budget. */
void pb_pack_take(struct pb_packer *p, size_t size);
/* What n elements take as base64. */
size_t pb_packed_size(size_t n, size_t element);
/* {"t": "f8", "d": base64}: f8, f4, i4 or u2, little-endian. */
json_t *pb_pack_bytes(struct pb_packer *p, const void *data, size_t n, size_t element,
		      const char *type);
json_t *pb_pack_doubles(struct pb_packer *p, const double *values, size_t n);
json_t *pb_pack_floats(struct pb_packer *p, const double *values, size_t n);
json_t *pb_pack_ints(struct pb_packer *p, const int32_t *values, size_t n);
/* object[key] = value, which is given up; a NULL is a failure. */
void pb_pack_set(struct pb_packer *p, json_t *object, const char *key, json_t *value);
void pb_pack_append(struct pb_packer *p, json_t *list, json_t *value);
/* A text of the file, whatever its bytes. */
json_t *pb_pack_text(const char *text);
json_t *pb_pack_texts(struct pb_packer *p, const char *const *texts, size_t n);

/* ---- cells of a sweep (page_cells.c) -----------------------------------------------------------
 */

#define PB_N_PAGE_NEEDED 5 /* columns of a big sweep */
#define PB_PAGE_MAPS_MOST 6

/* A map whose cells the page has, of a sweep that does not fit as a whole. Where rows or columns
 * are the strongest of their kind alone, they say which: steps of their axes, counted in C order.
 */
struct pb_page_map {
	const char *name;
	size_t n_rows, n_columns;
	int32_t *rows, *columns;
};
struct pb_page_cells {
	size_t n;
	int32_t *index; /* [n] which cells the page has; NULL: all, in order */
	size_t n_full;  /* the first ones, the strongest, which have all columns */
	bool big;       /* all cells, float32, needed columns alone */
	bool right;     /* columns over the right pairs too */
	size_t n_maps;
	struct pb_page_map maps[PB_PAGE_MAPS_MOST];
};
/* Those whose columns fit into `room` bytes. Freed by pb_page_cells_free whatever is returned. */
enum pb_status pb_page_cells_choose(struct pb_page_cells *cells, const struct pb_shown_sweep *w,
				    size_t room, struct pb_error *err);
void pb_page_cells_free(struct pb_page_cells *cells);
/* A column of the sweep, [n_cells], at these cells: float64, or float32 where not all of a sweep
 * fits so; the same of the first n_full alone; the maps, as a list. */
json_t *pb_pack_cells(struct pb_packer *p, const double *values, const struct pb_page_cells *cells);
json_t *pb_pack_full_cells(struct pb_packer *p, const double *values,
			   const struct pb_page_cells *cells);
json_t *pb_pack_maps(struct pb_packer *p, const struct pb_page_cells *cells);

/* Means of other metrics than the logit difference where the file has some, as sweep["metrics"];
 * what did not fit, by name, as sweep["metricsLeft"] (page_metrics.c). */
enum pb_status pb_pack_metrics(struct pb_packer *p, const struct pb_subject *s, size_t index,
			       const struct pb_page_cells *cells, json_t *sweep,
			       struct pb_error *err);

/* An evaluation's grids, as file["grids"] (page_evaluation.c). */
enum pb_status pb_pack_evaluation(struct pb_packer *p, struct pb_subject *s, json_t *file,
				  struct pb_error *err);

/* All of a comparison, as file["comparison"] (page_comparison.c). */
enum pb_status pb_pack_comparison(struct pb_packer *p, struct pb_subject *s, json_t *file,
				  struct pb_error *err);

/* What the readings say of heads, as file["readings"] (page_readings.c). */
enum pb_status pb_pack_readings(struct pb_packer *p, const struct pb_subject *s, json_t *file,
				struct pb_error *err);

#endif
