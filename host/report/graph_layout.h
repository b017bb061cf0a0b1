/* Where the nodes and arrows of a graph of layers are: nodes of a layer stand in a row, rows from
 * top to bottom, and an arrow that passes a row has a lane of its own between the row's nodes, so
 * that none lies on a node that it does not end at. */
#ifndef PB_REPORT_GRAPH_LAYOUT_H
#define PB_REPORT_GRAPH_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#define PB_GRAPH_PATHS 20
#define PB_GRAPH_NODES (2 * PB_GRAPH_PATHS)
#define PB_GRAPH_ITEMS (PB_GRAPH_NODES * (1 + PB_GRAPH_PATHS))
#define PB_GRAPH_STEPS 8                                        /* of a bend */
#define PB_GRAPH_POINTS (PB_GRAPH_NODES * (PB_GRAPH_STEPS + 1)) /* of an arrow */

struct pb_graph_node {
	double layer; /* orders the rows: any number */
	char name[48];
	double w; /* of its box */
	double x, y;
};
/* A node's box or a lane, in a row. */
struct pb_graph_item {
	size_t row;
	double x, half; /* its middle, half of its width */
	double wanted;
	bool box;
};
struct pb_graph_path {
	size_t from, to, cell;
	size_t n_chain, chain[PB_GRAPH_NODES]; /* items, from row to row */
	size_t n_points;
	double points[2 * PB_GRAPH_POINTS]; /* where its line runs, up to the arrow's head */
	double tip_x, tip_y, points_up;     /* the head: 1 where it points up, -1 down */
};
struct pb_graph {
	size_t n_nodes, n_paths, n_items, n_rows;
	struct pb_graph_node nodes[PB_GRAPH_NODES]; /* items of the same number are their boxes */
	struct pb_graph_path paths[PB_GRAPH_PATHS];
	struct pb_graph_item items[PB_GRAPH_ITEMS];
};
/* In points. */
struct pb_graph_sizes {
	double left, right, top; /* of all of it */
	double letters, box_h, row_h;
};

/* Nodes and the ends of paths are set; the rest is set here. The height that it takes. */
double pb_graph_place(struct pb_graph *g, const struct pb_graph_sizes *sizes);
/* The lines of paths, whose heads are so long. No line of a path from a node to itself. */
void pb_graph_route(struct pb_graph *g, const struct pb_graph_sizes *sizes, const double *heads);

#endif
