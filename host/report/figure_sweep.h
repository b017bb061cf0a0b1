/* One sweep whose maps are drawn, between figure_sweep.c and figure_paths.c. */
#ifndef PB_REPORT_FIGURE_SWEEP_H
#define PB_REPORT_FIGURE_SWEEP_H

#include "report/figure_parts.h"
#include "report/place.h"

struct pb_sweep_map {
	struct pb_figure_list *list;
	struct pb_subject *s;
	struct pb_shown_sweep *w;
	size_t number, sweep;
	const char *quantity; /* NULL: the sweep's */
	bool square;          /* places of its maps are */
	struct pb_arena arena;
	const struct pb_shown_axis *layer, *head, *position, *alpha;
};

/* A panel of these cells, with the sweep's values, intervals and p; labels are the caller's. */
struct pb_panel pb_map_panel(const struct pb_sweep_map *m, const struct pb_placing *p,
			     const size_t *cells);
/* Draw panels of this sweep, and note whose they are. `what`: the end of the file's name. */
enum pb_status pb_map_draw(struct pb_sweep_map *m, const struct pb_panel *panels, size_t n_panels,
			   size_t n_columns, const char *what, const char *caption,
			   struct pb_error *err);
/* Layer x head, of m->layer and m->head. */
enum pb_status pb_map_heads(struct pb_sweep_map *m, struct pb_error *err);
/* Sets `pairs: all` by head and head; *others: some sets are neither of these nor random
 * (figure_head_pairs.c). */
enum pb_status pb_map_head_pairs(struct pb_sweep_map *m, bool *others, struct pb_error *err);
/* Of a sweep of paths: senders alone, or a matrix, and the graph (figure_paths.c). */
enum pb_status pb_map_paths(struct pb_sweep_map *m, struct pb_error *err);

#endif
