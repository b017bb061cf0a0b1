/* Paths of a sweep: a matrix of senders and receivers. */
#include "report/figure_sweep.h"

#define PATH_ENDS_MOST 30 /* senders, receivers of a matrix */

static enum pb_status path_matrix(struct pb_sweep_map *m,
				  const struct pb_shown_axis *const senders[2],
				  const struct pb_shown_axis *const receivers[2],
				  struct pb_error *err)
{
	enum pb_status status;
	struct pb_placing p = {.sweep = m->w,
			       .rows = {senders[0], senders[1]},
			       .columns = {receivers[0], receivers[1]}};
	struct pb_panel panel;
	const char **rows, **columns;
	int32_t *row_of, *column_of;
	size_t *cells;

	PB_TRY(pb_place_strongest(&p, senders, PATH_ENDS_MOST, &m->arena, &row_of, &p.n_rows, err));
	PB_TRY(pb_place_strongest(&p, receivers, PATH_ENDS_MOST, &m->arena, &column_of,
				  &p.n_columns, err));
	if (p.n_rows == 0 || p.n_columns == 0)
		return PB_OK;
	p.row_of = row_of;
	p.column_of = column_of;
	PB_TRY(pb_place_cells(&p, &m->arena, &cells, err));
	PB_TRY(pb_place_labels(senders, true, row_of, p.n_rows, &m->arena, &rows, err));
	PB_TRY(pb_place_labels(receivers, true, column_of, p.n_columns, &m->arena, &columns, err));
	if (senders[0] == NULL && senders[1] == NULL)
		rows[0] = "embed";
	panel = pb_map_panel(m, &p, cells);
	panel.row_labels = rows;
	panel.row_title = "sender";
	panel.column_labels = columns;
	panel.column_title = pb_receiver_title(m->w);
	status = pb_map_draw(
	    m, &panel, 1, 1, "paths",
	    "paths from senders to receivers, those of the largest effects; hatched where "
	    "the receiver is not later than the sender",
	    err);
cleanup:
	return status;
}

enum pb_status pb_map_paths(struct pb_sweep_map *m, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_axis *kv = pb_sweep_axis(m->w, PB_AXIS_RECEIVER_KV_HEAD);
	const struct pb_shown_axis *const senders[2] = {pb_sweep_axis(m->w, PB_AXIS_SENDER_LAYER),
							pb_sweep_axis(m->w, PB_AXIS_SENDER_HEAD)};
	const struct pb_shown_axis *const receivers[2] = {
	    pb_sweep_axis(m->w, PB_AXIS_RECEIVER_LAYER),
	    kv != NULL ? kv : pb_sweep_axis(m->w, PB_AXIS_RECEIVER_HEAD)};

	if (receivers[0] == NULL && receivers[1] == NULL && senders[1] != NULL) {
		/* One receiver: the senders alone, as any layer x head map. */
		m->layer = senders[0];
		m->head = senders[1];
		PB_TRY(pb_map_heads(m, err));
	} else {
		PB_TRY(path_matrix(m, senders, receivers, err));
	}
	status = pb_figure_path_graph(m->list, m->s, m->number, m->sweep, err);
cleanup:
	return status;
}
