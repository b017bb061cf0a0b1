/* engine.graphs: whether the blocks of a run become graphs, and what is said of them. */
#include <string.h>

#include "engine/experiment.h"

/* Whether blocks become graphs: asked for, on a GPU, and not waited for one by one. */
void pb_running_settle_graphs(struct pb_running *r)
{
	bool gpu = strcmp(r->dev->ops->name, "cpu") != 0;

	r->engine.graphs = r->config->graphs && gpu && !r->options->profile;
	r->dev->ops->graph_room(r->dev, r->plan.graph_bytes);
	if (!r->config->graphs || r->engine.graphs || r->team->rank > 0)
		return;
	if (gpu)
		pb_warn("engine.graphs: on: no graphs are made under --profile, which waits for "
			"each operation");
	else
		pb_warn("engine.graphs: on: the %s backend has no graphs", r->dev->ops->name);
}

/* What a line of a log says of graphs that were used. */
void pb_running_tell_graphs(const struct pb_running *r)
{
	struct pb_graph_counts n = r->dev->ops->graph_counts(r->dev);

	if (r->engine.graphs)
		pb_info("graphs: %llu launched, %.1f kernels and copies each, %llu updated, %llu "
			"made",
			(unsigned long long)n.launched,
			n.launched ? (double)n.nodes / (double)n.launched : 0.0,
			(unsigned long long)n.updated, (unsigned long long)n.made);
}
