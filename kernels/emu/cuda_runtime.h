/* The emulated device: as much of the CUDA runtime as kernels/cuda uses, on the CPU, for tests.
 *
 * The same .cu files are compiled by the host's C++ compiler with this folder before CUDA's own
 * headers. What it does beyond giving the same results is to make mistakes visible:
 *  - threads of a block are fibers that run in a shuffled order between barriers, and blocks run in
 *    a shuffled order, so that a missing barrier changes a result;
 *  - streams are queues that run late and in a random interleaving, so that a missing wait does;
 *  - fresh device, pinned and shared memory is filled with NaN;
 *  - copies are checked against what was allocated, and asynchronous ones must be pinned;
 *  - what a stream captures runs when its graph is launched and not before, with the arguments that
 *    it was captured with (graphs.cpp);
 *  - under the address sanitizer every allocation, shared memory included, has red zones.
 * PB_EMU_SEED chooses the schedule, PB_EMU_MEMORY the device's memory in bytes. */
#ifndef PB_EMU_CUDA_RUNTIME_H
#define PB_EMU_CUDA_RUNTIME_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

/* ---- vectors and indices --------------------------------------------------------------------- */

struct dim3 {
	unsigned x, y, z;
	constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
	{
	}
};
struct alignas(16) float4 {
	float x, y, z, w;
};
static inline float4 make_float4(float x, float y, float z, float w)
{
	return {x, y, z, w};
}
struct alignas(8) float2 {
	float x, y;
};
struct alignas(8) uint2 {
	unsigned x, y;
};
static inline uint2 make_uint2(unsigned x, unsigned y)
{
	return {x, y};
}

extern dim3 gridDim, blockDim, blockIdx, threadIdx; /* one host thread: plain globals */

/* ---- inside a kernel ------------------------------------------------------------------------- */

/* `line`: where the barrier is; all threads of a block must meet at one. */
void pb_emu_barrier(int line);
/* Exchange 8 bytes between the lanes of a warp: what `lane` gave. */
uint64_t pb_emu_shuffle(uint64_t value, unsigned lane);
unsigned pb_emu_lane();
/* The block's dynamic shared memory. */
void *pb_emu_shared_memory();
static inline void *pb_emu_shared()
{
	void *p = pb_emu_shared_memory();

	if (!p) /* a kernel runs with some, be it of no bytes */
		__builtin_unreachable();
	return p;
}

#define __syncthreads() pb_emu_barrier(__LINE__)
static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
	(void)mask;
	(void)pb_emu_shuffle(0, pb_emu_lane());
}

template <typename T> static inline T __shfl_sync(unsigned mask, T value, int lane)
{
	uint64_t bits = 0;
	T out;

	static_assert(sizeof(T) <= sizeof bits, "a shuffle moves up to 8 bytes");
	(void)mask;
	memcpy(&bits, &value, sizeof value);
	bits = pb_emu_shuffle(bits, (unsigned)lane & 31u);
	memcpy(&out, &bits, sizeof out);
	return out;
}
template <typename T> static inline T __shfl_xor_sync(unsigned mask, T value, int lanes)
{
	return __shfl_sync(mask, value, (int)(pb_emu_lane() ^ (unsigned)lanes));
}

static inline float __fmul_rn(float a, float b)
{
	return a * b;
}
static inline float __fadd_rn(float a, float b)
{
	return a + b;
}
static inline float __fsub_rn(float a, float b)
{
	return a - b;
}
template <typename T> static inline T __ldg(const T *p)
{
	return *p;
}

/* ---- the runtime ----------------------------------------------------------------------------- */

enum cudaError_t {
	cudaSuccess = 0,
	cudaErrorInvalidValue = 1,
	cudaErrorMemoryAllocation = 2,
	cudaErrorInvalidConfiguration = 9,
	cudaErrorNoDevice = 100,
	cudaErrorIllegalState = 401,
	cudaErrorNotReady = 600,
	cudaErrorStreamCaptureUnsupported = 900,
	cudaErrorStreamCaptureInvalidated = 901,
	cudaErrorStreamCaptureIsolation = 905,
	cudaErrorCapturedEvent = 907,
	cudaErrorGraphExecUpdateFailure = 910
};
enum cudaStreamCaptureMode {
	cudaStreamCaptureModeGlobal,
	cudaStreamCaptureModeThreadLocal,
	cudaStreamCaptureModeRelaxed
};
enum cudaGraphExecUpdateResult {
	cudaGraphExecUpdateSuccess = 0,
	cudaGraphExecUpdateErrorTopologyChanged = 2,
	cudaGraphExecUpdateErrorNodeTypeChanged = 3,
	cudaGraphExecUpdateErrorParametersChanged = 5,
	cudaGraphExecUpdateErrorUnsupportedFunctionChange = 7
};
enum cudaMemcpyKind {
	cudaMemcpyHostToHost,
	cudaMemcpyHostToDevice,
	cudaMemcpyDeviceToHost,
	cudaMemcpyDeviceToDevice
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

struct pb_emu_stream;
struct pb_emu_event;
typedef struct pb_emu_stream *cudaStream_t;
typedef struct pb_emu_event *cudaEvent_t;

struct pb_emu_graph;
struct pb_emu_graph_exec;
struct pb_emu_node;
typedef struct pb_emu_graph *cudaGraph_t;
typedef struct pb_emu_graph_exec *cudaGraphExec_t;
typedef const struct pb_emu_node *cudaGraphNode_t;
struct cudaGraphExecUpdateResultInfo {
	cudaGraphExecUpdateResult result;
	cudaGraphNode_t errorNode, errorFromNode;
};

struct cudaDeviceProp {
	char name[256];
	size_t totalGlobalMem;
	int major, minor, multiProcessorCount;
};

const char *cudaGetErrorString(cudaError_t error);
const char *cudaGetErrorName(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device);
cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMemGetInfo(size_t *available, size_t *total);
cudaError_t cudaMalloc(void **out, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaMallocHost(void **out, size_t bytes);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
			    cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
				 unsigned long long flags);
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
				cudaGraphExecUpdateResultInfo *info);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);

cudaError_t pb_emu_set_shared(const void *kernel, int bytes);
template <typename K>
static inline cudaError_t cudaFuncSetAttribute(K kernel, cudaFuncAttribute attribute, int bytes)
{
	(void)attribute;
	return pb_emu_set_shared((const void *)kernel, bytes);
}

/* Nothing depends on it but how work is cut. */
template <typename K>
static inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, K kernel,
									int threads, size_t shared)
{
	(void)kernel;
	(void)threads;
	(void)shared;
	*blocks = 1;
	return cudaSuccess;
}

/* ---- for the emulator's own files and its tests ---------------------------------------------- */

/* Put a node at a stream's end, or into what it captures. */
cudaError_t pb_emu_order(cudaStream_t stream, struct pb_emu_node node);
void pb_emu_launch(const void *kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
		   const std::function<void()> &thread);
/* Stop the process, saying why, where `bytes` at `p` are not inside one device allocation. */
void pb_emu_check_device(const void *p, size_t bytes, const char *what);
[[noreturn]] void pb_emu_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Schedules from here on follow this seed. */
void pb_emu_seed(uint64_t seed);

#endif
