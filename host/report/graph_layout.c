/* Rows, lanes and lines of a graph of layers. */
#include "report/graph_layout.h"

#include <math.h>

#define SWEEPS 12 /* down and up, to bring neighbours together */

/* ---- rows ---------------------------------------------------------------------------------- */

static double room_between(const struct pb_graph_sizes *sizes, bool boxes)
{
	return sizes->letters * (boxes ? 0.6 : 0.25);
}

static double lane_width(const struct pb_graph_sizes *sizes)
{
	return sizes->letters * 0.7 + room_between(sizes, false);
}

static double lowest_layer(const struct pb_graph *g, double above, size_t *n)
{
	double lowest = INFINITY;
	size_t i;

	for (i = 0; i < g->n_nodes; i++)
		if (g->nodes[i].layer > above && g->nodes[i].layer < lowest)
			lowest = g->nodes[i].layer;
	for (*n = 0, i = 0; i < g->n_nodes; i++)
		*n += g->nodes[i].layer == lowest;
	return lowest;
}

/* Paths that pass a layer, and those that also end at it. */
static size_t passing(const struct pb_graph *g, double layer, bool ending)
{
	size_t n = 0, i;

	for (i = 0; i < g->n_paths; i++) {
		const double a = g->nodes[g->paths[i].from].layer;
		const double b = g->nodes[g->paths[i].to].layer;
		const double low = fmin(a, b), high = fmax(a, b);

		n += ending ? low <= layer && layer <= high : low < layer && layer < high;
	}
	return n;
}

/* How many of a layer's n nodes stand in one row, beside the lanes that are needed there. */
static size_t nodes_in_row(const struct pb_graph *g, const struct pb_graph_sizes *sizes,
			   double layer, size_t n)
{
	const double all = sizes->right - sizes->left, lane = lane_width(sizes);
	double widest = 0, room;
	size_t i;

	for (i = 0; i < g->n_nodes; i++)
		if (g->nodes[i].layer == layer)
			widest = fmax(widest, g->nodes[i].w + room_between(sizes, true));
	if (widest * (double)n + lane * (double)passing(g, layer, false) <= all)
		return n;
	room = all - lane * (double)passing(g, layer, true);
	return room >= 2 * widest ? (size_t)(room / widest) : 1;
}

static void make_rows(struct pb_graph *g, const struct pb_graph_sizes *sizes)
{
	double layer;
	size_t n, i;

	g->n_rows = 0;
	layer = lowest_layer(g, -INFINITY, &n);
	while (n > 0) {
		const size_t most = nodes_in_row(g, sizes, layer, n);
		size_t k = 0;

		for (i = 0; i < g->n_nodes; i++) {
			if (g->nodes[i].layer != layer)
				continue;
			g->items[i] = (struct pb_graph_item){
			    .row = g->n_rows + k / most, .half = g->nodes[i].w / 2, .box = true};
			k++;
		}
		g->n_rows += (n + most - 1) / most;
		layer = lowest_layer(g, layer, &n);
	}
	g->n_items = g->n_nodes;
}

/* A lane in each row between a path's ends. */
static void make_chains(struct pb_graph *g, const struct pb_graph_sizes *sizes)
{
	size_t i;

	for (i = 0; i < g->n_paths; i++) {
		struct pb_graph_path *p = &g->paths[i];
		const size_t from = g->items[p->from].row, to = g->items[p->to].row;
		size_t row = from;

		p->n_chain = 0;
		p->chain[p->n_chain++] = p->from;
		while (row != to) {
			row += to > from ? 1 : (size_t)-1;
			if (row == to)
				break;
			g->items[g->n_items] =
			    (struct pb_graph_item){.row = row, .half = sizes->letters * 0.35};
			p->chain[p->n_chain++] = g->n_items++;
		}
		p->chain[p->n_chain++] = p->to;
	}
}

/* ---- within rows --------------------------------------------------------------------------- */

/* The items of a row, by where they want to be: how many. */
static size_t row_items(const struct pb_graph *g, size_t row, size_t *items)
{
	size_t n = 0, i, k;

	for (i = 0; i < g->n_items; i++) {
		if (g->items[i].row != row)
			continue;
		for (k = n++; k > 0 && g->items[items[k - 1]].wanted > g->items[i].wanted; k--)
			items[k] = items[k - 1];
		items[k] = i;
	}
	return n;
}

static double apart(const struct pb_graph *g, const struct pb_graph_sizes *sizes, size_t a,
		    size_t b)
{
	const struct pb_graph_item *x = &g->items[a], *y = &g->items[b];

	return x->half + y->half + room_between(sizes, x->box && y->box);
}

/* Move x[0..n) of items rightwards until none overlaps and none is left of the graph. */
static void push_right(const struct pb_graph *g, const struct pb_graph_sizes *sizes,
		       const size_t *items, size_t n, double *x)
{
	size_t k;

	for (k = 0; k < n; k++)
		x[k] = fmax(x[k], k == 0 ? sizes->left + g->items[items[0]].half
					 : x[k - 1] + apart(g, sizes, items[k - 1], items[k]));
}

static void push_left(const struct pb_graph *g, const struct pb_graph_sizes *sizes,
		      const size_t *items, size_t n, double *x)
{
	size_t k;

	for (k = n; k-- > 0;)
		x[k] = fmin(x[k], k == n - 1 ? sizes->right - g->items[items[k]].half
					     : x[k + 1] - apart(g, sizes, items[k], items[k + 1]));
}

/* Each item of a row where it wants to be, or near it. Both pushes keep the distances, and so does
 * the mean of what they make. */
static void settle(struct pb_graph *g, const struct pb_graph_sizes *sizes, size_t row)
{
	size_t items[PB_GRAPH_NODES + PB_GRAPH_PATHS], n = row_items(g, row, items), k;
	double right[PB_GRAPH_NODES + PB_GRAPH_PATHS], left[PB_GRAPH_NODES + PB_GRAPH_PATHS];

	for (k = 0; k < n; k++)
		right[k] = left[k] = g->items[items[k]].wanted;
	push_right(g, sizes, items, n, right);
	push_left(g, sizes, items, n, right);
	push_left(g, sizes, items, n, left);
	push_right(g, sizes, items, n, left);
	for (k = 0; k < n; k++)
		g->items[items[k]].x = (right[k] + left[k]) / 2;
}

/* Items of a row want to be in the middle of what they are joined to in the row beside it. */
static void want(struct pb_graph *g, size_t row, size_t beside)
{
	double sum[PB_GRAPH_ITEMS] = {0};
	size_t n[PB_GRAPH_ITEMS] = {0}, i, k;

	for (i = 0; i < g->n_paths; i++)
		for (k = 0; k + 1 < g->paths[i].n_chain; k++) {
			const size_t a = g->paths[i].chain[k], b = g->paths[i].chain[k + 1];
			const bool first = g->items[a].row == row && g->items[b].row == beside;
			const bool second = g->items[b].row == row && g->items[a].row == beside;

			if (first || second) {
				sum[first ? a : b] += g->items[first ? b : a].x;
				n[first ? a : b]++;
			}
		}
	for (i = 0; i < g->n_items; i++)
		if (g->items[i].row == row)
			g->items[i].wanted = n[i] > 0 ? sum[i] / (double)n[i] : g->items[i].x;
}

double pb_graph_place(struct pb_graph *g, const struct pb_graph_sizes *sizes)
{
	size_t k, r, i;

	make_rows(g, sizes);
	make_chains(g, sizes);
	for (i = 0; i < g->n_items; i++)
		g->items[i].wanted = (sizes->left + sizes->right) / 2;
	for (r = 0; r < g->n_rows; r++)
		settle(g, sizes, r);
	for (k = 0; k < SWEEPS; k++)
		for (r = 1; r < g->n_rows; r++) {
			const size_t row = k % 2 == 0 ? r : g->n_rows - 1 - r;

			want(g, row, k % 2 == 0 ? row - 1 : row + 1);
			settle(g, sizes, row);
		}
	for (i = 0; i < g->n_nodes; i++) {
		g->nodes[i].x = g->items[i].x;
		g->nodes[i].y =
		    sizes->top + sizes->box_h / 2 + sizes->row_h * (double)g->items[i].row;
	}
	return sizes->box_h + sizes->row_h * (double)(g->n_rows - 1);
}

/* ---- lines --------------------------------------------------------------------------------- */

static double middle_of(const struct pb_graph *g, const struct pb_graph_sizes *sizes, size_t item)
{
	return sizes->top + sizes->box_h / 2 + sizes->row_h * (double)g->items[item].row;
}

/* Which end of a path is at a node, and what comes next to it. */
static size_t end_of(const struct pb_graph_path *p, bool last)
{
	return p->chain[last ? p->n_chain - 1 : 0];
}

static size_t next_to(const struct pb_graph_path *p, bool last)
{
	return p->chain[last ? p->n_chain - 2 : 1];
}

/* Whether an end is at its node's lower side; paths within a row are below it. */
static bool is_below(const struct pb_graph *g, const struct pb_graph_path *p, bool last)
{
	return g->items[next_to(p, last)].row >= g->items[end_of(p, last)].row;
}

/* Where on its node's side a path ends: beside the other ends there, in the order of what they come
 * from. */
static double port(const struct pb_graph *g, const struct pb_graph_sizes *sizes, size_t path,
		   bool last)
{
	const struct pb_graph_path *p = &g->paths[path];
	const size_t node = end_of(p, last);
	const double x = g->items[next_to(p, last)].x;
	size_t n = 0, before = 0, i;
	double step;
	int k;

	for (i = 0; i < g->n_paths; i++)
		for (k = 0; k < 2; k++) {
			const struct pb_graph_path *q = &g->paths[i];
			double other;

			if (end_of(q, k) != node || is_below(g, q, k) != is_below(g, p, last))
				continue;
			other = g->items[next_to(q, k)].x;
			n++;
			before +=
			    other < x || (other <= x && (i < path || (i == path && !k && last)));
		}
	step = fmin(sizes->letters, 2 * g->items[node].half / (double)(n + 1));
	return g->items[node].x + step * ((double)before - ((double)n - 1) / 2);
}

static void add_point(struct pb_graph_path *p, double x, double y)
{
	p->points[2 * p->n_points] = x;
	p->points[2 * p->n_points + 1] = y;
	p->n_points++;
}

/* A bend that begins and ends upright, from the last point; `back`: it ends as it began, turned. */
static void bend(struct pb_graph_path *p, double x, double y, double reach, bool back)
{
	const double x0 = p->points[2 * p->n_points - 2], y0 = p->points[2 * p->n_points - 1];
	const double y1 = y0 + reach, y2 = back ? y + reach : y - reach;
	int k;

	for (k = 1; k <= PB_GRAPH_STEPS; k++) {
		const double t = (double)k / PB_GRAPH_STEPS, u = 1 - t;

		add_point(p,
			  u * u * u * x0 + 3 * u * u * t * x0 + 3 * u * t * t * x + t * t * t * x,
			  u * u * u * y0 + 3 * u * u * t * y1 + 3 * u * t * t * y2 + t * t * t * y);
	}
}

static void route(struct pb_graph *g, const struct pb_graph_sizes *sizes, size_t path, double head)
{
	struct pb_graph_path *p = &g->paths[path];
	const size_t from = g->items[p->from].row, to = g->items[p->to].row;
	const double way = to >= from ? 1 : -1, half = sizes->box_h / 2;
	const double between = sizes->row_h - sizes->box_h;
	size_t k;

	p->n_points = 0;
	if (p->from == p->to)
		return;
	p->points_up = from == to || way < 0 ? 1 : -1;
	p->tip_x = port(g, sizes, path, true);
	p->tip_y = middle_of(g, sizes, p->to) + p->points_up * half;
	add_point(p, port(g, sizes, path, false), middle_of(g, sizes, p->from) + way * half);
	for (k = 1; k + 1 < p->n_chain; k++) {
		const double x = g->items[p->chain[k]].x, y = middle_of(g, sizes, p->chain[k]);

		bend(p, x, y - way * half, way * between / 2, false);
		add_point(p, x, y + way * half);
	}
	bend(p, p->tip_x, p->tip_y + p->points_up * head, way * between / 2, from == to);
}

void pb_graph_route(struct pb_graph *g, const struct pb_graph_sizes *sizes, const double *heads)
{
	size_t i;

	for (i = 0; i < g->n_paths; i++)
		route(g, sizes, i, heads[i]);
}
