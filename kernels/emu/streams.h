/* What the files of the emulated runtime share: streams, events, and what a capture holds. */
#ifndef PB_EMU_STREAMS_H
#define PB_EMU_STREAMS_H

#include <cuda_runtime.h>

#include <deque>
#include <vector>

struct pb_emu_event {
	uint64_t recorded, done; /* how often it was put into a stream, and passed there */
	bool captured;           /* it was last recorded in a capture */
};

/* Something that a stream does: at once in its turn, or as a node of a graph. */
struct pb_emu_node {
	enum { KERNEL, COPY, SET } kind;
	const void *function; /* a kernel, or what tells products apart */
	cudaMemcpyKind copy;
	size_t bytes;                /* that are copied or set */
	std::function<void()> check; /* of its memory, before each launch */
	std::function<void()> run;
};

struct pb_emu_work {
	std::function<void()> run;
	pb_emu_event *event; /* wait for it, where run is empty */
	uint64_t until;
};

struct pb_emu_capture {
	cudaStreamCaptureMode mode;
	bool valid;
	std::vector<pb_emu_node> nodes;
};

struct pb_emu_stream {
	std::deque<pb_emu_work> queue;
	pb_emu_capture *capture; /* NULL: what comes runs */
};

/* ---- emu.cpp --------------------------------------------------------------------------------- */

extern std::vector<pb_emu_stream *> pb_emu_streams;
void pb_emu_push(cudaStream_t stream, pb_emu_work work);
/* Keep an error for cudaGetLastError, as every call of the runtime does, and return it. */
cudaError_t pb_emu_said(cudaError_t error);

/* ---- graphs.cpp ------------------------------------------------------------------------------ */

/* A call that nothing would repeat when a graph is launched: refused while a stream captures, and
 * its graph is lost. */
cudaError_t pb_emu_unsafe();
/* A capture that goes on in spite of an error has no graph. */
/* Device memory that the driver takes and gives back; false: there is not as much. */
bool pb_emu_take(size_t bytes);
void pb_emu_give(size_t bytes);
/* A whole number of the environment, or what it is without. */
uint64_t pb_emu_environment(const char *name, uint64_t otherwise);

cudaError_t pb_emu_spoil(cudaStream_t stream, cudaError_t error);

#endif
