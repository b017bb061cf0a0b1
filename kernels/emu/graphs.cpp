/* Capture of streams, and graphs. What is captured does not run before its graph is launched, and
 * each launch runs it as it was when the graph was made or last updated.
 *
 * Stricter than a GPU where the documentation leaves room: a capture knows one stream; every wait
 * is refused in it; an update may change no kernel, and may not set more memory than before. */
#include "streams.h"

#include <utility>

struct pb_emu_graph {
	std::vector<pb_emu_node> nodes;
};
struct pb_emu_graph_exec {
	std::vector<pb_emu_node> nodes;
	size_t bytes; /* of device memory */
};

/* PB_EMU_GRAPH_NODE: bytes of device memory that a node takes. */
static size_t node_bytes()
{
	return pb_emu_environment("PB_EMU_GRAPH_NODE", (uint64_t)64 << 10);
}

/* ---- capture --------------------------------------------------------------------------------- */

cudaError_t pb_emu_spoil(cudaStream_t stream, cudaError_t error)
{
	stream->capture->valid = false;
	return pb_emu_said(error);
}

cudaError_t pb_emu_unsafe()
{
	cudaError_t error = cudaSuccess;

	for (pb_emu_stream *s : pb_emu_streams)
		if (s->capture && s->capture->mode != cudaStreamCaptureModeRelaxed)
			error = pb_emu_spoil(s, cudaErrorStreamCaptureUnsupported);
	return error;
}

cudaError_t pb_emu_order(cudaStream_t stream, pb_emu_node node)
{
	if (!stream)
		pb_emu_die("the default stream is not used here");
	if (!stream->capture) {
		pb_emu_push(stream, pb_emu_work{std::move(node.run), nullptr, 0});
		return cudaSuccess;
	}
	if (!stream->capture->valid)
		return pb_emu_said(cudaErrorStreamCaptureInvalidated);
	stream->capture->nodes.push_back(std::move(node));
	return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
	if (!stream)
		return pb_emu_said(cudaErrorStreamCaptureUnsupported);
	if (stream->capture)
		return pb_emu_said(cudaErrorIllegalState);
	stream->capture = new pb_emu_capture{mode, true, {}};
	return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
	pb_emu_capture *capture = stream->capture;
	bool valid;

	*graph = nullptr;
	if (!capture)
		return pb_emu_said(cudaErrorIllegalState);
	valid = capture->valid;
	if (valid)
		*graph = new pb_emu_graph{std::move(capture->nodes)};
	stream->capture = nullptr;
	delete capture;
	return valid ? cudaSuccess : pb_emu_said(cudaErrorStreamCaptureInvalidated);
}

/* ---- graphs ---------------------------------------------------------------------------------- */

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
	delete graph;
	return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
	cudaError_t error = pb_emu_unsafe();

	if (error != cudaSuccess)
		return error;
	if (!graph || flags)
		return pb_emu_said(cudaErrorInvalidValue);
	if (!pb_emu_take(graph->nodes.size() * node_bytes()))
		return pb_emu_said(cudaErrorMemoryAllocation);
	*exec = new pb_emu_graph_exec{graph->nodes, graph->nodes.size() * node_bytes()};
	return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	pb_emu_give(exec->bytes);
	delete exec;
	return cudaSuccess;
}

/* Whether node `now` may take the place of `before`. */
static cudaGraphExecUpdateResult compare(const pb_emu_node &before, const pb_emu_node &now)
{
	if (before.kind != now.kind)
		return cudaGraphExecUpdateErrorNodeTypeChanged;
	if (before.kind == pb_emu_node::KERNEL && before.function != now.function)
		return cudaGraphExecUpdateErrorUnsupportedFunctionChange;
	if (before.kind == pb_emu_node::COPY && before.copy != now.copy)
		return cudaGraphExecUpdateErrorParametersChanged;
	if (before.kind == pb_emu_node::SET && now.bytes > before.bytes)
		return cudaGraphExecUpdateErrorParametersChanged;
	return cudaGraphExecUpdateSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
				cudaGraphExecUpdateResultInfo *info)
{
	info->result = cudaGraphExecUpdateSuccess;
	info->errorNode = info->errorFromNode = nullptr;
	if (exec->nodes.size() != graph->nodes.size())
		info->result = cudaGraphExecUpdateErrorTopologyChanged;
	for (size_t i = 0; info->result == cudaGraphExecUpdateSuccess && i < graph->nodes.size();
	     i++) {
		info->result = compare(exec->nodes[i], graph->nodes[i]);
		if (info->result != cudaGraphExecUpdateSuccess)
			info->errorNode = &graph->nodes[i];
	}
	if (info->result != cudaGraphExecUpdateSuccess)
		return pb_emu_said(cudaErrorGraphExecUpdateFailure);
	for (size_t i = 0; i < graph->nodes.size(); i++) {
		size_t room = exec->nodes[i].bytes;

		exec->nodes[i] = graph->nodes[i];
		if (room > exec->nodes[i].bytes) /* what it was made for stays */
			exec->nodes[i].bytes = room;
	}
	return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
	if (!exec || !stream)
		return pb_emu_said(cudaErrorInvalidValue);
	if (stream->capture) /* it would be a graph in a graph */
		return pb_emu_spoil(stream, cudaErrorStreamCaptureUnsupported);
	for (const pb_emu_node &node : exec->nodes)
		if (node.check)
			node.check();
	for (const pb_emu_node &node : exec->nodes)
		pb_emu_push(stream, pb_emu_work{node.run, nullptr, 0});
	return cudaSuccess;
}
