/* The strongest paths of a sweep as a graph: layers from top to bottom, an arrow for each path. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/figure_parts.h"
#include "report/graph_layout.h"
#include "report/palette.h"
#include "report/place.h"
#include "report/plot.h"

#define LEAST_PART 0.1  /* of the strongest path */
#define AFTER_HEADS 0.5 /* of a layer: where its MLP is */

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

/* The node of a name, a new one where there is none. */
static size_t node_of(struct pb_graph *g, double layer, const char *name)
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

static size_t sender_node(struct pb_graph *g, const struct pb_shown_sweep *w, size_t cell)
{
	const double layer = value_of(w, PB_AXIS_SENDER_LAYER, cell);
	const double head = value_of(w, PB_AXIS_SENDER_HEAD, cell);
	char name[48];

	if (layer < 0)
		return node_of(g, -1, "embed");
	(void)snprintf(name, sizeof name, head < 0 ? "M%g" : "L%gH%g", layer, head);
	return node_of(g, head < 0 ? layer + AFTER_HEADS : layer, name);
}

static size_t receiver_node(struct pb_graph *g, const struct pb_shown_sweep *w, size_t cell,
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
	return node_of(g, head < 0 ? layer + AFTER_HEADS : layer, name);
}

static enum pb_status make_graph(struct pb_graph *g, const struct pb_subject *s,
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
	while (g->n_paths < n && g->n_paths < PB_GRAPH_PATHS &&
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

static double line_width(const struct pb_style *style, double part)
{
	return style->line * (0.6 + 4 * fabs(part));
}

static uint32_t colour_of(double part)
{
	return pb_diverging(part > 0 ? 0.55 + 0.25 * part : -0.55 + 0.25 * part);
}

static double head_length(const struct pb_style *style, double part)
{
	return style->size * 0.6 + line_width(style, part);
}

static void draw_arrow(struct pb_drawing *d, const struct pb_graph_path *p,
		       const struct pb_style *style, double part, const char *title)
{
	const double length = head_length(style, part), back = p->tip_y + p->points_up * length;
	const double head[6] = {
	    p->tip_x, p->tip_y, p->tip_x - length / 2, back, p->tip_x + length / 2, back};
	struct pb_mark *mark;

	/* No run has a path from a head to itself; a file may say so. */
	if (p->n_points == 0)
		return;
	mark = pb_draw_path(d, p->points, p->n_points, line_width(style, part));
	mark->stroke = colour_of(part);
	pb_mark_title(d, mark, "%s", title);
	mark = pb_draw_path(d, head, 3, 0);
	mark->closed = true;
	mark->fill = colour_of(part);
}

static void draw_node(struct pb_drawing *d, const struct pb_graph_node *node,
		      const struct pb_graph_sizes *sizes)
{
	struct pb_mark *box = pb_draw_rect(d, node->x - node->w / 2, node->y - sizes->box_h / 2,
					   node->w, sizes->box_h, 0xffffff);

	box->stroke = 0x404040;
	box->line_width = 0.5;
	pb_draw_text(d, node->x, node->y + sizes->letters * 0.36, sizes->letters, PB_MIDDLE,
		     node->name)
	    ->fill = 0x000000;
}

static void draw_graph(struct pb_drawing *d, struct pb_graph *g, const struct pb_graph_sizes *sizes,
		       const struct pb_shown_sweep *w, const struct pb_style *style)
{
	const double *effect = w->columns[0][PB_SHOWN_EFFECT];
	const double most = fabs(effect[g->paths[0].cell]);
	double heads[PB_GRAPH_PATHS];
	char label[96], title[160];
	size_t i;

	for (i = 0; i < g->n_paths; i++)
		heads[i] = 0.8 * head_length(style, effect[g->paths[i].cell] / most);
	pb_graph_route(g, sizes, heads);
	for (i = g->n_paths; i-- > 0;) {
		const size_t cell = g->paths[i].cell;

		pb_file_grid_label(&w->grid, cell, label, sizeof label);
		(void)snprintf(title, sizeof title, "%s: effect %.4g", label, effect[cell]);
		draw_arrow(d, &g->paths[i], style, effect[cell] / most, title);
	}
	for (i = 0; i < g->n_nodes; i++)
		draw_node(d, &g->nodes[i], sizes);
}

/* A line as an arrow of this part of the strongest effect, and a text behind it: where that ends.
 */
static double draw_sample(struct pb_drawing *d, const struct pb_style *style, double x, double y,
			  double part, const char *text)
{
	const double size = style->size * 0.85, w = style->size * 2;

	pb_draw_line(d, x, y, x + w, y, line_width(style, part))->stroke = colour_of(part);
	pb_draw_text(d, x + w + size * 0.4, y + size * 0.36, size, PB_START, text);
	return x + w + size * 1.6 + pb_text_points(text, size);
}

/* What widths and colours mean. */
static void draw_legend(struct pb_drawing *d, const struct pb_style *style, double y, double most)
{
	static const double parts[] = {1, 0.25};
	const double size = style->size * 0.85;
	double x = style->size * 0.5;
	char text[32];
	size_t i;

	pb_draw_text(d, x, y + size * 0.36, size, PB_START, "|mean effect|, logits:");
	x += pb_text_points("|mean effect|, logits:", size) + size * 0.8;
	for (i = 0; i < 2; i++) {
		(void)snprintf(text, sizeof text, "%.3g", most * parts[i]);
		x = draw_sample(d, style, x, y, parts[i], text);
	}
	y += style->size * 1.6;
	x = draw_sample(d, style, style->size * 0.5, y, 0.5, "raises");
	(void)draw_sample(d, style, x, y, -0.5, "lowers the logit difference");
}

static char *caption_of(const struct pb_graph *g, const struct pb_shown_sweep *w,
			struct pb_arena *arena)
{
	const char *to = w->grid.sweep.receiver == PB_RECEIVER_SET ? "" : "the ";
	char strongest[48] = "the strongest path";

	if (g->n_paths > 1)
		(void)snprintf(strongest, sizeof strongest, "the %zu strongest paths", g->n_paths);
	return pb_format("%s: %s, to %s%s. Red arrows raise the logit difference, blue ones lower "
			 "it; their width is |mean effect|, %.3g logits at most.",
			 pb_sweep_title(arena, w), strongest, to, pb_receiver_title(w),
			 fabs(w->columns[0][PB_SHOWN_EFFECT][g->paths[0].cell]));
}

enum pb_status pb_figure_path_graph(struct pb_figure_list *list, struct pb_subject *s,
				    size_t number, size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_shown_sweep *w = &s->sweeps[sweep];
	const double size = list->style->size;
	const struct pb_graph_sizes sizes = {.left = size * 0.5,
					     .right = list->style->width - size * 0.5,
					     .top = size * 0.5,
					     .letters = size * 0.9,
					     .box_h = size * 1.4,
					     .row_h = size * 4.4};
	struct pb_arena arena = {0};
	struct pb_figure *figure;
	struct pb_graph *graph = NULL;
	char *caption = NULL;
	double bottom;
	size_t i;

	PB_TRY(pb_alloc((void **)&graph, 1, sizeof *graph, "a graph", err));
	*graph = (struct pb_graph){0};
	PB_TRY(make_graph(graph, s, w, err));
	if (graph->n_paths == 0)
		goto cleanup;
	for (i = 0; i < graph->n_nodes; i++)
		graph->nodes[i].w =
		    pb_text_points(graph->nodes[i].name, sizes.letters) + size * 0.5;
	bottom = sizes.top + pb_graph_place(graph, &sizes) + size * 2.4;
	caption = caption_of(graph, w, &arena);
	PB_TRY(pb_figure_add(list, &figure, bottom + size * 2.6, caption != NULL ? caption : "",
			     err, "%zu-%s-graph", number, w->info->name));
	figure->subject = number;
	figure->sweep = sweep;
	draw_graph(&figure->drawing, graph, &sizes, w, list->style);
	draw_legend(&figure->drawing, list->style, bottom,
		    fabs(w->columns[0][PB_SHOWN_EFFECT][graph->paths[0].cell]));
	status = pb_drawing_status(&figure->drawing, err);
cleanup:
	free(graph);
	free(caption);
	pb_arena_free(&arena);
	return status;
}
