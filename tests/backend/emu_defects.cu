/* Defects that the emulated device must make visible, one a name, each beside its correct twin:
 *
 *   emu_defects NAME SEED       says "right" or "wrong", or stops as the device makes it
 *   emu_defects NAME-fixed SEED says "right" whatever the seed
 *
 * tests/backend/run_emu_defects.sh runs them. */
#include <launch.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define N 64u

#define MUST(call)                                                                                 \
	do {                                                                                       \
		if ((call) != cudaSuccess) {                                                       \
			printf("refused: %s\n", #call);                                            \
			exit(3);                                                                   \
		}                                                                                  \
	} while (0)

struct rig {
	cudaStream_t stream, other;
	cudaEvent_t event;
	float *a, *b; /* device [N] */
	float *host;  /* pinned [N] */
};

static __global__ void count(float *out)
{
	out[blockIdx.x * blockDim.x + threadIdx.x] = (float)(blockIdx.x * blockDim.x + threadIdx.x);
}

static __global__ void copy(const float *in, float *out)
{
	out[threadIdx.x] = in[threadIdx.x];
}

/* Every thread reads what the next one wrote. */
static __global__ void neighbour(float *out, bool fixed)
{
	PB_SHARED(float, s);

	s[threadIdx.x] = (float)threadIdx.x;
	if (fixed)
		__syncthreads();
	out[threadIdx.x] = s[(threadIdx.x + 1) % blockDim.x] - 1.0f;
	if (threadIdx.x + 1 == blockDim.x)
		out[threadIdx.x] += (float)blockDim.x;
}

static __global__ void lane_neighbour(float *out, bool fixed)
{
	PB_SHARED(float, s);
	unsigned warp = threadIdx.x / 32u * 32u;

	s[threadIdx.x] = (float)threadIdx.x;
	if (fixed)
		__syncwarp();
	out[threadIdx.x] =
	    s[warp + (threadIdx.x + 1u) % 32u] + (threadIdx.x % 32u == 31u ? 31.0f : -1.0f);
}

/* A block adds to what the one before it left. */
static __global__ void chain(float *out, bool fixed)
{
	unsigned b = blockIdx.x;

	if (fixed)
		out[b] = (float)b;
	else
		out[b] = b == 0 ? 0.0f : out[b - 1] + 1.0f;
}

static __global__ void barrier_for_some(float *out, bool fixed)
{
	if (fixed || threadIdx.x % 2u)
		__syncthreads();
	out[threadIdx.x] = (float)threadIdx.x;
	if (fixed || threadIdx.x != 3u)
		__syncthreads();
}

static __global__ void past_the_end(float *out, unsigned n)
{
	if (threadIdx.x < n)
		out[threadIdx.x] = (float)threadIdx.x;
}

static __global__ void past_shared(float *out, unsigned n)
{
	PB_SHARED(float, s);

	if (threadIdx.x < n)
		s[threadIdx.x] = (float)threadIdx.x;
	__syncthreads();
	out[threadIdx.x] = s[threadIdx.x % N];
}

/* What is in device memory counts up from 0. */
static bool counts_up(struct rig *r, const float *device)
{
	MUST(
	    cudaMemcpyAsync(r->host, device, N * sizeof(float), cudaMemcpyDeviceToHost, r->stream));
	MUST(cudaStreamSynchronize(r->stream));
	for (unsigned i = 0; i < N; i++)
		if (!(r->host[i] == (float)i))
			return false;
	return true;
}

/* ---- graphs ---------------------------------------------------------------------------------- */

static void begin(struct rig *r)
{
	MUST(cudaStreamBeginCapture(r->stream, cudaStreamCaptureModeThreadLocal));
}

static cudaGraph_t end(struct rig *r)
{
	cudaGraph_t graph = nullptr;

	MUST(cudaStreamEndCapture(r->stream, &graph));
	return graph;
}

/* What was captured, as an executable graph. */
static cudaGraphExec_t end_made(struct rig *r)
{
	cudaGraph_t graph = end(r);
	cudaGraphExec_t exec = nullptr;

	MUST(cudaGraphInstantiate(&exec, graph, 0));
	MUST(cudaGraphDestroy(graph));
	return exec;
}

/* What was captured into one that is there. */
static cudaError_t end_updated(struct rig *r, cudaGraphExec_t exec)
{
	cudaGraph_t graph = end(r);
	cudaGraphExecUpdateResultInfo info;
	cudaError_t error = cudaGraphExecUpdate(exec, graph, &info);

	MUST(cudaGraphDestroy(graph));
	return error;
}

/* A call that a capture must not meet stands in one, or behind it. */
static bool called_inside(struct rig *r, const char *name, bool fixed)
{
	cudaGraphExec_t exec = nullptr;
	void *memory = nullptr;

	begin(r);
	PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
	if (fixed) {
		exec = end_made(r);
		MUST(cudaGraphLaunch(exec, r->stream));
	}
	if (strcmp(name, "wait-in-capture") == 0) {
		MUST(cudaStreamSynchronize(r->stream));
	} else if (strcmp(name, "allocation-in-capture") == 0) {
		MUST(cudaMalloc(&memory, 64));
	} else if (strcmp(name, "free-in-capture") == 0) {
		MUST(cudaFree(r->b));
		r->b = nullptr;
	} else if (strcmp(name, "event-wait-in-capture") == 0) {
		MUST(cudaEventRecord(r->event, r->stream));
		MUST(cudaEventSynchronize(r->event));
	} else { /* other-stream-in-capture */
		MUST(cudaEventRecord(r->event, r->stream));
		MUST(cudaStreamWaitEvent(r->other, r->event, 0));
	}
	MUST(cudaFree(memory));
	MUST(cudaGraphExecDestroy(exec));
	return counts_up(r, r->a);
}

/* A graph that is launched again for other memory. */
static bool stale_pointers(struct rig *r, bool fixed)
{
	cudaGraphExec_t exec;

	begin(r);
	PB_LAUNCH(count, 1, N, 0, r->stream, r->b);
	exec = end_made(r);
	MUST(cudaGraphLaunch(exec, r->stream));
	begin(r);
	PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
	if (fixed)
		MUST(end_updated(r, exec));
	else
		MUST(cudaGraphDestroy(end(r)));
	MUST(cudaGraphLaunch(exec, r->stream));
	MUST(cudaGraphExecDestroy(exec));
	return counts_up(r, r->a);
}

/* Another kernel, another order or another number of nodes cannot be an update. */
static bool other_graph(struct rig *r, const char *name, bool fixed)
{
	bool more = strcmp(name, "update-with-more") == 0;
	bool order = strcmp(name, "update-in-other-order") == 0;
	cudaGraphExec_t exec;

	begin(r);
	PB_LAUNCH(count, 1, N, 0, r->stream, r->b);
	MUST(cudaMemsetAsync(r->a, 0, N * sizeof(float), r->stream));
	PB_LAUNCH(copy, 1, N, 0, r->stream, r->b, r->a);
	exec = end_made(r);
	begin(r);
	if (order && !fixed)
		MUST(cudaMemsetAsync(r->a, 0, N * sizeof(float), r->stream));
	PB_LAUNCH(count, 1, N, 0, r->stream, r->b);
	if (!order || fixed)
		MUST(cudaMemsetAsync(r->a, 0, N * sizeof(float), r->stream));
	if (more && !fixed)
		PB_LAUNCH(count, 1, N, 0, r->stream, r->b);
	if (more || order || fixed)
		PB_LAUNCH(copy, 1, N, 0, r->stream, r->b, r->a);
	else
		PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
	MUST(end_updated(r, exec));
	MUST(cudaGraphLaunch(exec, r->stream));
	MUST(cudaGraphExecDestroy(exec));
	return counts_up(r, r->a);
}

/* An update that failed, as it may, is no error of the launch that comes next. */
static bool error_left_behind(struct rig *r, bool fixed)
{
	cudaGraphExec_t exec;

	begin(r);
	PB_LAUNCH(count, 1, N, 0, r->stream, r->b);
	exec = end_made(r);
	begin(r);
	PB_LAUNCH(copy, 1, N, 0, r->stream, r->b, r->a);
	if (end_updated(r, exec) == cudaSuccess)
		return false;
	if (fixed)
		(void)cudaGetLastError();
	MUST(cudaGraphExecDestroy(exec));
	PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
	MUST(cudaGetLastError());
	return counts_up(r, r->a);
}

/* Pinned memory that a captured copy reads is used again before the graph is launched. */
static bool reused_before_launch(struct rig *r, bool fixed)
{
	cudaGraphExec_t exec;

	for (unsigned i = 0; i < N; i++)
		r->host[i] = (float)i;
	begin(r);
	MUST(cudaMemcpyAsync(r->a, r->host, N * sizeof(float), cudaMemcpyHostToDevice, r->stream));
	exec = end_made(r);
	if (fixed) {
		MUST(cudaGraphLaunch(exec, r->stream));
		MUST(cudaStreamSynchronize(r->stream));
	}
	memset(r->host, 0, N * sizeof(float));
	if (!fixed)
		MUST(cudaGraphLaunch(exec, r->stream));
	MUST(cudaGraphExecDestroy(exec));
	return counts_up(r, r->a);
}

/* A graph is made and nobody launches it. */
static bool never_launched(struct rig *r, bool fixed)
{
	cudaGraphExec_t exec;

	begin(r);
	PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
	exec = end_made(r);
	if (fixed)
		MUST(cudaGraphLaunch(exec, r->stream));
	MUST(cudaGraphExecDestroy(exec));
	return counts_up(r, r->a);
}

/* Memory that a graph writes is freed between capture and launch. */
static bool freed_before_launch(struct rig *r, bool fixed)
{
	cudaGraphExec_t exec;

	begin(r);
	MUST(cudaMemsetAsync(r->b, 0, N * sizeof(float), r->stream));
	PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
	exec = end_made(r);
	if (fixed)
		MUST(cudaGraphLaunch(exec, r->stream));
	MUST(cudaFree(r->b));
	r->b = nullptr;
	if (!fixed)
		MUST(cudaGraphLaunch(exec, r->stream));
	MUST(cudaGraphExecDestroy(exec));
	return counts_up(r, r->a);
}

static bool run_graph(struct rig *r, const char *name, bool fixed)
{
	if (strstr(name, "-in-capture"))
		return called_inside(r, name, fixed);
	if (strncmp(name, "update-", 7) == 0)
		return other_graph(r, name, fixed);
	if (strcmp(name, "stale-pointers") == 0)
		return stale_pointers(r, fixed);
	if (strcmp(name, "error-left-behind") == 0)
		return error_left_behind(r, fixed);
	if (strcmp(name, "reused-before-launch") == 0)
		return reused_before_launch(r, fixed);
	if (strcmp(name, "never-launched") == 0)
		return never_launched(r, fixed);
	if (strcmp(name, "freed-before-launch") == 0)
		return freed_before_launch(r, fixed);
	printf("no such defect: %s\n", name);
	exit(2);
}

static bool run(struct rig *r, const char *name, bool fixed)
{
	float on_stack[N];

	if (strcmp(name, "missing-barrier") == 0) {
		PB_LAUNCH(neighbour, 1, N, N * sizeof(float), r->stream, r->a, fixed);
	} else if (strcmp(name, "missing-warp-barrier") == 0) {
		PB_LAUNCH(lane_neighbour, 1, N, N * sizeof(float), r->stream, r->a, fixed);
	} else if (strcmp(name, "order-of-blocks") == 0) {
		PB_LAUNCH(chain, N, 1, 0, r->stream, r->a, fixed);
	} else if (strcmp(name, "barrier-for-some") == 0) {
		PB_LAUNCH(barrier_for_some, 1, N, 0, r->stream, r->a, fixed);
	} else if (strcmp(name, "never-written") == 0) {
		if (fixed)
			PB_LAUNCH(count, 1, N, 0, r->stream, r->b);
		PB_LAUNCH(copy, 1, N, 0, r->stream, r->b, r->a);
	} else if (strcmp(name, "missing-event") == 0) {
		PB_LAUNCH(count, 1, N, 0, r->other, r->b);
		MUST(cudaEventRecord(r->event, r->other));
		if (fixed)
			MUST(cudaStreamWaitEvent(r->stream, r->event, 0));
		PB_LAUNCH(copy, 1, N, 0, r->stream, r->b, r->a);
	} else if (strcmp(name, "read-too-early") == 0) {
		PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
		MUST(cudaMemcpyAsync(r->host, r->a, N * sizeof(float), cudaMemcpyDeviceToHost,
				     r->stream));
		if (fixed)
			MUST(cudaStreamSynchronize(r->stream));
		return r->host[N - 1] == (float)(N - 1);
	} else if (strcmp(name, "reused-too-early") == 0) {
		for (unsigned i = 0; i < N; i++)
			r->host[i] = (float)i;
		MUST(cudaMemcpyAsync(r->a, r->host, N * sizeof(float), cudaMemcpyHostToDevice,
				     r->stream));
		if (fixed)
			MUST(cudaStreamSynchronize(r->stream));
		memset(r->host, 0, N * sizeof(float));
	} else if (strcmp(name, "pageable-copy") == 0) {
		PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
		MUST(cudaMemcpyAsync(fixed ? r->host : on_stack, r->a, N * sizeof(float),
				     cudaMemcpyDeviceToHost, r->stream));
	} else if (strcmp(name, "copy-out-of-range") == 0) {
		PB_LAUNCH(count, 1, N, 0, r->stream, r->a);
		MUST(cudaMemcpyAsync(r->b, r->a, (N + !fixed) * sizeof(float),
				     cudaMemcpyDeviceToDevice, r->stream));
	} else if (strcmp(name, "past-the-end") == 0) {
		PB_LAUNCH(past_the_end, 1, 2 * N, 0, r->stream, r->a, N + !fixed);
	} else if (strcmp(name, "past-shared-memory") == 0) {
		PB_LAUNCH(past_shared, 1, N, N * sizeof(float), r->stream, r->a, N);
		if (!fixed)
			PB_LAUNCH(past_shared, 1, N, (N - 4) * sizeof(float), r->stream, r->a, N);
	} else if (strcmp(name, "too-much-shared-memory") == 0) {
		PB_LAUNCH(count, 1, N, fixed ? 0 : 1 << 20, r->stream, r->a);
		MUST(cudaGetLastError());
	} else if (strcmp(name, "too-many-threads") == 0) {
		PB_LAUNCH(count, 1, fixed ? N : 2048, 0, r->stream, r->a);
		MUST(cudaGetLastError());
	} else {
		return run_graph(r, name, fixed);
	}
	return counts_up(r, r->a);
}

int main(int argc, char **argv)
{
	struct rig r = {};
	char name[64];
	char *end;
	bool fixed;

	if (argc != 3) {
		fprintf(stderr, "usage: emu_defects NAME SEED\n");
		return 2;
	}
	snprintf(name, sizeof name, "%s", argv[1]);
	end = strstr(name, "-fixed");
	fixed = end != nullptr;
	if (end)
		*end = '\0';
	pb_emu_seed(strtoull(argv[2], nullptr, 10));
	MUST(cudaStreamCreateWithFlags(&r.stream, cudaStreamNonBlocking));
	MUST(cudaStreamCreateWithFlags(&r.other, cudaStreamNonBlocking));
	MUST(cudaEventCreateWithFlags(&r.event, cudaEventDisableTiming));
	MUST(cudaMalloc((void **)&r.a, N * sizeof(float)));
	MUST(cudaMalloc((void **)&r.b, N * sizeof(float)));
	MUST(cudaMallocHost((void **)&r.host, N * sizeof(float)));
	puts(run(&r, name, fixed) ? "right" : "wrong");
	(void)cudaFree(r.a);
	(void)cudaFree(r.b);
	(void)cudaFreeHost(r.host);
	(void)cudaEventDestroy(r.event);
	(void)cudaStreamDestroy(r.other);
	(void)cudaStreamDestroy(r.stream);
	return 0;
}
