/* The work of a block of rows as one graph: what is ordered between graph_begin and graph_end is
 * captured from the device's stream and launched at once.
 *
 * Blocks differ in pointers and numbers of rows, but mostly not in the kernels that they call, one
 * after the other. So a graph that was made once is kept by that sequence, and takes the arguments
 * of the next block that has it (cudaGraphExecUpdate). What a graph cannot hold, and what the host
 * waits for, first launches what was captured (pb_cuda_pause); the rest of the block is then a
 * graph of its own. */
#include "cuda/cuda.h"

#define NODES_MOST ((size_t)1024) /* of one graph */
/* What the driver takes for a node at most: 10 KiB of a recent one, 64 of older ones, by what their
 * users have measured. (Free memory before and after would count other processes' too.) */
#define NODE_BYTES ((size_t)64 << 10)
#define NODES_WITHOUT_ROOM ((size_t)64)

/* ---- sequences ------------------------------------------------------------------------------- */

/* splitmix64's finish */
static uint64_t mix(uint64_t sequence, uint64_t what)
{
	uint64_t z = sequence ^ what;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) + UINT64_C(0x9e3779b97f4a7c15);
}

/* Whether this hash comes for the first time. Where the table is full, whatever comes is new. */
static bool is_new(struct pb_cuda_graphs *g, uint64_t hash)
{
	size_t at = (size_t)(hash % PB_CUDA_KNOWN);

	hash = hash ? hash : 1;
	for (size_t i = 0; i < PB_CUDA_KNOWN; i++, at = (at + 1) % PB_CUDA_KNOWN) {
		if (g->known[at] == hash)
			return false;
		if (!g->known[at]) {
			g->known[at] = hash;
			return true;
		}
	}
	return true;
}

/* ---- the graphs that are kept ---------------------------------------------------------------- */

static void forget(struct pb_cuda_graphs *g, struct pb_cuda_kept *kept)
{
	if (kept->exec)
		(void)cudaGraphExecDestroy(kept->exec);
	g->n_kept -= kept->n_nodes;
	*kept = {};
}

/* The one that was used least lately; NULL: none is there. */
static struct pb_cuda_kept *oldest_of(struct pb_cuda_graphs *g)
{
	struct pb_cuda_kept *oldest = nullptr;

	for (struct pb_cuda_kept &kept : g->kept)
		if (kept.exec && (!oldest || kept.used < oldest->used))
			oldest = &kept;
	return oldest;
}

/* The graph of the sequence that was captured, or a free place and room for its nodes. */
static struct pb_cuda_kept *place_of(struct pb_cuda_graphs *g)
{
	struct pb_cuda_kept *oldest;

	for (struct pb_cuda_kept &kept : g->kept)
		if (kept.exec && kept.sequence == g->sequence)
			return &kept;
	while (g->n_kept + g->n_nodes > g->most && (oldest = oldest_of(g)))
		forget(g, oldest);
	for (struct pb_cuda_kept &kept : g->kept)
		if (!kept.exec)
			return &kept;
	oldest = oldest_of(g);
	forget(g, oldest);
	return oldest;
}

/* A new graph; where the device has no memory for it, in that of all others. */
static enum pb_status make(struct pb_cuda_graphs *g, struct pb_cuda_kept *kept, cudaGraph_t graph,
			   struct pb_error *err)
{
	cudaError_t error = cudaGraphInstantiate(&kept->exec, graph, 0);
	struct pb_cuda_kept *oldest;

	while (error == cudaErrorMemoryAllocation && (oldest = oldest_of(g))) {
		(void)cudaGetLastError(); /* it is no error of what follows */
		forget(g, oldest);
		error = cudaGraphInstantiate(&kept->exec, graph, 0);
	}
	if (error != cudaSuccess) {
		kept->exec = nullptr;
		(void)cudaGetLastError();
		return pb_cuda_fail(err, error, "cudaGraphInstantiate");
	}
	kept->sequence = g->sequence;
	kept->n_nodes = g->n_nodes;
	g->n_kept += g->n_nodes;
	g->counts.made++;
	return PB_OK;
}

/* Arguments of `graph` into one that is there, or a new one where the driver finds that they do not
 * fit it. */
static enum pb_status instantiate(struct pb_cuda_graphs *g, struct pb_cuda_kept *kept,
				  cudaGraph_t graph, struct pb_error *err)
{
	cudaGraphExecUpdateResultInfo info;

	if (kept->exec) {
		cudaError_t error = cudaGraphExecUpdate(kept->exec, graph, &info);

		if (error == cudaSuccess) {
			g->counts.updated++;
			return PB_OK;
		}
		(void)cudaGetLastError(); /* it is no error of what follows */
		if (error != cudaErrorGraphExecUpdateFailure)
			return pb_cuda_fail(err, error, "cudaGraphExecUpdate");
		forget(g, kept);
	}
	return make(g, kept, graph, err);
}

static enum pb_status launch(struct pb_cuda *cuda, cudaGraph_t graph, struct pb_error *err)
{
	struct pb_cuda_graphs *g = &cuda->graphs;
	struct pb_cuda_kept *kept = place_of(g);

	PB_DO(instantiate(g, kept, graph, err));
	kept->used = ++g->counts.launched;
	g->counts.nodes += g->n_nodes;
	PB_CUDA(cudaGraphLaunch(kept->exec, cuda->stream));
	return PB_OK;
}

/* ---- capturing ------------------------------------------------------------------------------- */

enum pb_status pb_cuda_pause(struct pb_cuda *cuda, struct pb_error *err)
{
	struct pb_cuda_graphs *g = &cuda->graphs;
	cudaGraph_t graph = nullptr;
	enum pb_status status = PB_OK;
	cudaError_t error;

	if (!g->capturing)
		return PB_OK;
	g->capturing = false;
	error = cudaStreamEndCapture(cuda->stream, &graph);
	if (error != cudaSuccess) {
		(void)cudaGetLastError();
		status = pb_cuda_fail(err, error, "cudaStreamEndCapture");
	} else {
		status = launch(cuda, graph, err);
	}
	if (graph)
		(void)cudaGraphDestroy(graph);
	if (status != PB_OK)
		g->lost = true;
	return status;
}

enum pb_status pb_cuda_capture(struct pb_cuda *cuda, const void *what, struct pb_error *err)
{
	struct pb_cuda_graphs *g = &cuda->graphs;
	uint64_t address = (uint64_t)(uintptr_t)what;

	/* code that was never called may have to be loaded, which is no work of a stream */
	if (is_new(g, mix(1, address)) && !g->plain) {
		g->plain = true;
		return pb_cuda_pause(cuda, err);
	}
	if (g->plain)
		return PB_OK;
	if (g->capturing && g->n_nodes == (g->most < NODES_MOST ? g->most : NODES_MOST))
		PB_DO(pb_cuda_pause(cuda, err));
	if (!g->capturing) {
		/* thread-local: a call that forgot to pause is refused, whatever else runs */
		PB_CUDA(cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeThreadLocal));
		g->capturing = true;
		g->sequence = 0;
		g->n_nodes = 0;
	}
	g->sequence = mix(g->sequence, address);
	g->n_nodes++;
	return PB_OK;
}

/* What was captured goes nowhere. */
static void drop(struct pb_cuda *cuda)
{
	cudaGraph_t graph = nullptr;

	if (!cuda->graphs.capturing)
		return;
	cuda->graphs.capturing = false;
	(void)cudaStreamEndCapture(cuda->stream, &graph);
	if (graph)
		(void)cudaGraphDestroy(graph);
	(void)cudaGetLastError();
}

/* ---- the table's entries --------------------------------------------------------------------- */

void pb_cuda_graph_room(struct pb_device *dev, size_t bytes)
{
	pb_cuda_of(dev)->graphs.most = bytes >= NODE_BYTES ? bytes / NODE_BYTES : 1;
}

enum pb_status pb_cuda_graph_begin(struct pb_device *dev, uint64_t kind, struct pb_error *err)
{
	struct pb_cuda_graphs *g = &pb_cuda_of(dev)->graphs;

	if (g->open)
		return pb_fail(err, PB_ERR_INTERNAL, "a graph is begun in another");
	/* so that arrays on their way up do not cut the block in two */
	PB_DO(pb_cuda_make_room(pb_cuda_of(dev), err));
	if (!g->most)
		g->most = NODES_WITHOUT_ROOM;
	g->open = true;
	g->lost = false;
	g->plain = is_new(g, mix(2, kind));
	return PB_OK;
}

enum pb_status pb_cuda_graph_end(struct pb_device *dev, enum pb_status status, struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);

	if (status == PB_OK && cuda->graphs.lost)
		status = pb_fail(err, PB_ERR_INTERNAL, "CUDA: a block's graph was not launched");
	else if (status == PB_OK)
		status = pb_cuda_pause(cuda, err);
	drop(cuda);
	cuda->graphs.open = false;
	return status;
}

struct pb_graph_counts pb_cuda_graph_counts(struct pb_device *dev)
{
	return pb_cuda_of(dev)->graphs.counts;
}

void pb_cuda_graphs_close(struct pb_cuda *cuda)
{
	drop(cuda);
	if (cuda->stream)
		(void)cudaStreamSynchronize(cuda->stream);
	for (struct pb_cuda_kept &kept : cuda->graphs.kept)
		forget(&cuda->graphs, &kept);
}
