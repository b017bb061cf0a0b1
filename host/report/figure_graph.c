/* The strongest paths of a sweep as a graph: layers from left to right, an arrow for each path. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/figure_parts.h"
#include "report/palette.h"
#include "report/place.h"
#include "report/plot.h"

#define PATHS_MOST 20
#define LEAST_PART 0.1 /* of the strongest path */

const char *pb_receiver_title(const struct pb_shown_sweep *w)
{
	switch (w->grid.sweep.receiver) {
	case PB_RECEIVER_Q:
		return "receiver (q)";
	case PB_RECEIVER_K:
		return "receiver (k)";
	case PB_RECEIVER_V:
		return "receiver (v)";
	case PB_RECEIVER_MLP:
		return "receiver (MLP)";
	case PB_RECEIVER_SET:
		return "the set of receivers";
	default:
		return "logits";
	}
}

struct node {
	double layer; /* -1: embeddings; one past the last: logits or the set */
	char name[48];
	double x, y;
};
struct graph {
	size_t n_nodes, n_paths;
	struct node nodes[2 * PATHS_MOST];
	struct {
		size_t from, to, cell;
	} paths[PATHS_MOST];
};

/* The node of a name, a new one where there is none. */
static size_t node_of(struct graph *g, double layer, const char *name)
{
	size_t i;

	for (i = 0; i < g->n_nodes; i++)
		if (strcmp(g->nodes[i].name, name) == 0)
			return i;
	g->nodes[i].layer = layer;
	(void)snprintf(g->nodes[i].name, sizeof g->nodes[i].name, "%s", name);
	g->n_nodes++;
	return i;
}

static double value_of(const struct pb_shown_sweep *w, enum pb_axis_kind kind, size_t cell)
{
	const struct pb_shown_axis *axis = pb_sweep_axis(w, kind);

	return axis != NULL ? axis->values[pb_axis_step(axis, cell)] : -1;
}

static size_t sender_node(struct graph *g, const struct pb_shown_sweep *w, size_t cell)
{
	const double layer = value_of(w, PB_AXIS_SENDER_LAYER, cell);
	const double head = value_of(w, PB_AXIS_SENDER_HEAD, cell);
	char name[48];

	if (layer < 0)
		return node_of(g, -1, "embed");
	(void)snprintf(name, sizeof name, head < 0 ? "M%g" : "L%gH%g", layer, head);
	return node_of(g, layer, name);
}

static size_t receiver_node(struct graph *g, const struct pb_shown_sweep *w, size_t cell,
			    double last)
{
	const double layer = value_of(w, PB_AXIS_RECEIVER_LAYER, cell);
	double head = value_of(w, PB_AXIS_RECEIVER_HEAD, cell);
	char name[48];

	if (layer < 0)
		return node_of(g, last,
			       w->grid.sweep.receiver == PB_RECEIVER_SET ? "receivers" : "logits");
	if (head < 0)
		head = value_of(w, PB_AXIS_RECEIVER_KV_HEAD, cell);
	if (head < 0)
		(void)snprintf(name, sizeof name, "M%g", layer);
	else
		(void)snprintf(name, sizeof name, "L%gH%g", layer, head);
	return node_of(g, layer, name);
}

static enum pb_status make_graph(struct graph *g, const struct pb_subject *s,
				 const struct pb_shown_sweep *w, struct pb_error *err)
{
	enum pb_status status;
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	struct pb_ranked *order = NULL;
	size_t n = 0, i;

	PB_TRY(pb_alloc((void **)&order, w->grid.n_cells, sizeof *order, "paths", err));
	for (i = 0; i < w->grid.n_cells; i++)
		if (isfinite(effect[i]) && effect[i] != 0)
			order[n++] = (struct pb_ranked){fabs(effect[i]), i};
	pb_rank(order, n);
	while (g->n_paths < n && g->n_paths < PATHS_MOST &&
	       order[g->n_paths].size >= LEAST_PART * order[0].size)
		g->n_paths++;
	for (i = 0; i < g->n_paths; i++) {
		g->paths[i].cell = order[i].cell;
		g->paths[i].from = sender_node(g, w, order[i].cell);
		g->paths[i].to = receiver_node(g, w, order[i].cell, (double)s->r.n_layers);
	}
cleanup:
	free(order);
	return status;
}

/* Layers that have nodes become columns from left to right; their nodes stand below each other. */
static size_t place_nodes(struct graph *g, double left, double width, double top, double row)
{
	double layers[2 * PATHS_MOST];
	size_t n_layers = 0, deepest = 0, i, k;

	for (i = 0; i < g->n_nodes; i++) {
		for (k = n_layers; k > 0 && layers[k - 1] > g->nodes[i].layer;)
			k--;
		if (k > 0 && layers[k - 1] == g->nodes[i].layer)
			continue;
		memmove(layers + k + 1, layers + k, (n_layers - k) * sizeof *layers);
		layers[k] = g->nodes[i].layer;
		n_layers++;
	}
	for (k = 0; k < n_layers; k++) {
		size_t n = 0;

		for (i = 0; i < g->n_nodes; i++)
			if (g->nodes[i].layer == layers[k]) {
				g->nodes[i].x =
				    left +
				    width *
					(n_layers > 1 ? (double)k / (double)(n_layers - 1) : 0.5);
				g->nodes[i].y = top + row * ((double)n + (k % 2 ? 0.5 : 0));
				n++;
			}
		deepest = n > deepest ? n : deepest;
	}
	return deepest;
}

static void draw_arrow(struct pb_drawing *d, const struct node *from, const struct node *to,
		       double size, double width, uint32_t colour, const char *title)
{
	const double length = hypot(to->x - from->x, to->y - from->y);
	const double ux = (to->x - from->x) / length, uy = (to->y - from->y) / length;
	const double x = to->x - ux * size * 1.5, y = to->y - uy * size * 0.9;
	const double tip = size * 0.6 + width, back_x = x - ux * tip, back_y = y - uy * tip;
	const double head[6] = {x,
				y,
				back_x - uy * tip * 0.5,
				back_y + ux * tip * 0.5,
				back_x + uy * tip * 0.5,
				back_y - ux * tip * 0.5};
	struct pb_mark *mark;

	/* No run has a path from a head to itself; a file may say so. */
	if (!(length > 0))
		return;
	mark = pb_draw_line(d, from->x, from->y, x - ux * tip * 0.8, y - uy * tip * 0.8, width);
	mark->stroke = colour;
	pb_mark_title(d, mark, "%s", title);
	mark = pb_draw_path(d, head, 3, 0);
	mark->closed = true;
	mark->fill = colour;
}

static void draw_node(struct pb_drawing *d, const struct node *node, double size)
{
	const double w = pb_text_points(node->name, size) + size * 0.5;
	struct pb_mark *box =
	    pb_draw_rect(d, node->x - w / 2, node->y - size * 0.75, w, size * 1.5, 0xffffff);

	box->stroke = 0x404040;
	box->line_width = 0.5;
	pb_draw_text(d, node->x, node->y + size * 0.36, size, PB_MIDDLE, node->name)->fill =
	    0x000000;
}

static void draw_graph(struct pb_drawing *d, const struct graph *g, const struct pb_shown_sweep *w,
		       const struct pb_style *style)
{
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	const double most = fabs(effect[g->paths[0].cell]);
	char label[96], title[160];
	size_t i;

	for (i = g->n_paths; i-- > 0;) {
		const size_t cell = g->paths[i].cell;
		const double part = effect[cell] / most;

		pb_file_grid_label(&w->grid, cell, label, sizeof label);
		(void)snprintf(title, sizeof title, "%s: effect %.4g", label, effect[cell]);
		draw_arrow(d, &g->nodes[g->paths[i].from], &g->nodes[g->paths[i].to], style->size,
			   style->line * (0.6 + 4 * fabs(part)),
			   pb_diverging(part > 0 ? 0.55 + 0.25 * part : -0.55 + 0.25 * part),
			   title);
	}
	for (i = 0; i < g->n_nodes; i++)
		draw_node(d, &g->nodes[i], style->size * 0.9);
}

enum pb_status pb_figure_path_graph(struct pb_figure_list *list, struct pb_subject *s,
				    size_t number, size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	const double size = list->style->size, row = size * 2.6;
	struct pb_arena arena = {0};
	struct pb_figure *figure;
	struct graph graph = {0};
	char *caption = NULL;
	size_t deepest;

	PB_TRY(make_graph(&graph, s, w, err));
	if (graph.n_paths == 0)
		goto cleanup;
	deepest = place_nodes(&graph, size * 3, list->style->width - size * 6, size * 1.6, row);
	caption = pb_format(
	    "%s: the %zu strongest path%s, to the %s. Red arrows raise the logit difference, "
	    "blue ones lower it; their width is |mean effect|, %.3g logits at most.",
	    pb_sweep_title(&arena, w), graph.n_paths, graph.n_paths == 1 ? "" : "s",
	    pb_receiver_title(w), fabs(w->columns[0][PB_SHOWN_EFFECT][graph.paths[0].cell]));
	PB_TRY(pb_figure_add(list, &figure, size * 2.4 + row * ((double)deepest + 0.2),
			     caption != NULL ? caption : "", err, "%zu-%s-graph", number,
			     w->info->name));
	figure->subject = number;
	figure->sweep = sweep;
	draw_graph(&figure->drawing, &graph, w, list->style);
	status = pb_drawing_status(&figure->drawing, err);
cleanup:
	free(caption);
	pb_arena_free(&arena);
	return status;
}
