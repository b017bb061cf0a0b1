/* The emulated device's runtime: fibers, schedules, streams and memory. */
#include "streams.h"

#include <boost/context/detail/fcontext.hpp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sys/mman.h>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define ASAN_FIBERS 1
#else
#define ASAN_FIBERS 0
#endif

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

dim3 gridDim, blockDim, blockIdx, threadIdx;

void pb_emu_die(const char *format, ...)
{
	va_list list;

	fflush(stdout);
	fputs("emulated device: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	abort();
}

/* ---- random numbers -------------------------------------------------------------------------- */

static uint64_t state;

uint64_t pb_emu_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, nullptr, 0) : otherwise;
}

void pb_emu_seed(uint64_t seed)
{
	state = seed * 2 + 1;
}

/* splitmix64 */
static uint64_t next_random()
{
	uint64_t z;

	if (!state)
		pb_emu_seed(pb_emu_environment("PB_EMU_SEED", 1));
	z = state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* An order of 0 .. n-1: at(i) = (i * step + start) mod n with step prime to n. */
struct order {
	size_t n, step, start;

	explicit order(size_t count) : n(count), step(1), start(0)
	{
		if (n < 2)
			return;
		start = next_random() % n;
		do
			step = next_random() % n;
		while (gcd(step, n) != 1);
	}
	size_t at(size_t i) const
	{
		return (i * step + start) % n;
	}
	static size_t gcd(size_t a, size_t b)
	{
		while (b) {
			size_t rest = a % b;

			a = b;
			b = rest;
		}
		return a;
	}
};

/* ---- the threads of a block ------------------------------------------------------------------ */

enum thread_state { READY, AT_BARRIER, IN_WARP, DONE };

struct fiber {
	fcontext_t context;
	char *stack;
	thread_state state;
	int line; /* of the barrier that it is at */
	dim3 index;
	void *fake_stack; /* the sanitizer's */
};
struct warp {
	uint64_t slot[2][32];
	unsigned arrived, live;
	uint64_t generation;
};

static const size_t stack_bytes = (size_t)128 << 10;
static std::vector<fiber> fibers;
static std::vector<warp> warps;
static size_t current, n_live, n_at_barrier;
static fcontext_t scheduler;
#if ASAN_FIBERS
static void *scheduler_fake_stack;
static const void *scheduler_stack;
static size_t scheduler_stack_bytes;
#endif
static const std::function<void()> *body;
static void *shared_memory;
static cudaError_t last_error; /* until cudaGetLastError */

static void to_scheduler(bool leaving)
{
	fiber &f = fibers[current];

#if ASAN_FIBERS
	__sanitizer_start_switch_fiber(leaving ? nullptr : &f.fake_stack, scheduler_stack,
				       scheduler_stack_bytes);
#endif
	scheduler = jump_fcontext(scheduler, nullptr).fctx;
#if ASAN_FIBERS
	__sanitizer_finish_switch_fiber(fibers[current].fake_stack, &scheduler_stack,
					&scheduler_stack_bytes);
#endif
	(void)f;
	(void)leaving;
}

static void release_warp(warp &w)
{
	size_t first = (size_t)(&w - warps.data()) * 32;

	if (w.arrived == 0 || w.arrived < w.live)
		return;
	w.arrived = 0;
	w.generation++;
	for (size_t t = first; t < first + 32 && t < fibers.size(); t++)
		if (fibers[t].state == IN_WARP)
			fibers[t].state = READY;
}

static void fiber_main(transfer_t from)
{
	scheduler = from.fctx;
#if ASAN_FIBERS
	__sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_bytes);
#endif
	(*body)();
	fibers[current].state = DONE;
	n_live--;
	warps[current / 32].live--;
	release_warp(warps[current / 32]);
	to_scheduler(true);
}

static void resume(size_t t)
{
	current = t;
	threadIdx = fibers[t].index;
#if ASAN_FIBERS
	__sanitizer_start_switch_fiber(&scheduler_fake_stack, fibers[t].stack, stack_bytes);
#endif
	fibers[t].context = jump_fcontext(fibers[t].context, nullptr).fctx;
#if ASAN_FIBERS
	__sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
}

void pb_emu_barrier(int line)
{
	fibers[current].line = line;
	fibers[current].state = AT_BARRIER;
	n_at_barrier++;
	to_scheduler(false);
}

unsigned pb_emu_lane()
{
	return (unsigned)(current % 32);
}

uint64_t pb_emu_shuffle(uint64_t value, unsigned lane)
{
	warp &w = warps[current / 32];
	unsigned side = (unsigned)(w.generation & 1);

	w.slot[side][current % 32] = value;
	w.arrived++;
	fibers[current].state = IN_WARP;
	release_warp(w);
	if (fibers[current].state == IN_WARP)
		to_scheduler(false);
	return w.slot[side][lane];
}

void *pb_emu_shared_memory()
{
	return shared_memory;
}

/* Stacks are kept from launch to launch. */
static char *stack_of(size_t t)
{
	static std::vector<char *> stacks;

	while (stacks.size() <= t) {
		void *p = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			pb_emu_die("no memory for a thread's stack");
		stacks.push_back((char *)p);
	}
	return stacks[t];
}

static void release_block()
{
	int line = 0;

	n_at_barrier = 0;
	for (fiber &f : fibers) {
		if (f.state != AT_BARRIER)
			continue;
		if (line && f.line != line)
			pb_emu_die("threads of a block meet at different barriers, in lines %d and "
				   "%d",
				   line, f.line);
		line = f.line;
		f.state = READY;
	}
}

static void run_block(dim3 block)
{
	size_t n = (size_t)block.x * block.y * block.z;

	fibers.resize(n);
	warps.assign((n + 31) / 32, warp{});
	for (size_t t = 0; t < n; t++) {
		fiber &f = fibers[t];

		f.stack = stack_of(t);
		/* not all at one offset: they would share a few sets of the cache */
		f.context = make_fcontext(f.stack + stack_bytes - t % 64 * 448,
					  stack_bytes - t % 64 * 448, fiber_main);
		f.state = READY;
		f.index = dim3((unsigned)(t % block.x), (unsigned)(t / block.x % block.y),
			       (unsigned)(t / block.x / block.y));
		f.fake_stack = nullptr;
		warps[t / 32].live++;
	}
	n_live = n;
	n_at_barrier = 0;
	while (n_live) {
		order o(n);
		bool ran = false;

		for (size_t i = 0; i < n; i++) {
			size_t t = o.at(i);

			if (fibers[t].state == READY) {
				resume(t);
				ran = true;
			}
		}
		if (n_live && n_at_barrier == n_live) {
			release_block();
			ran = true;
		}
		if (!ran)
			pb_emu_die("a block waits for ever: %zu of %zu threads are at a barrier "
				   "that the others do not reach",
				   n_at_barrier, n_live);
	}
}

/* ---- launches -------------------------------------------------------------------------------- */

static const size_t shared_default = (size_t)48 << 10, shared_most = (size_t)227 << 10;

static std::map<const void *, size_t> &shared_limits()
{
	static std::map<const void *, size_t> limits;

	return limits;
}

cudaError_t pb_emu_set_shared(const void *kernel, int bytes)
{
	if (bytes < 0 || (size_t)bytes > shared_most)
		return cudaErrorInvalidValue;
	shared_limits()[kernel] = (size_t)bytes;
	return cudaSuccess;
}

static void run_grid(dim3 grid, dim3 block, size_t shared, const std::function<void()> &thread)
{
	size_t n = (size_t)grid.x * grid.y * grid.z;
	order o(n);

	gridDim = grid;
	blockDim = block;
	body = &thread;
	for (size_t i = 0; i < n; i++) {
		size_t b = o.at(i);

		/* its own allocation, of the exact size: the sanitizer sees both ends */
		if (posix_memalign(&shared_memory, 16, shared ? shared : 1) != 0)
			pb_emu_die("no memory for shared memory");
		memset(shared_memory, 0xff, shared);
		blockIdx = dim3((unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
				(unsigned)(b / grid.x / grid.y));
		run_block(block);
		free(shared_memory);
		shared_memory = nullptr;
	}
}

static void refuse(const char *what)
{
	fprintf(stderr, "emulated device: a launch is refused: %s\n", what);
	(void)pb_emu_said(cudaErrorInvalidConfiguration);
}

void pb_emu_launch(const void *kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
		   const std::function<void()> &thread)
{
	size_t threads = (size_t)block.x * block.y * block.z, limit = shared_default;

	if (shared_limits().count(kernel))
		limit = shared_limits()[kernel];
	if (threads == 0 || threads > 1024 || block.z > 64)
		refuse("threads of a block");
	else if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu ||
		 grid.y > 65535 || grid.z > 65535)
		refuse("blocks of a grid");
	else if (shared > limit)
		refuse("shared memory of a block");
	else
		(void)pb_emu_order(
		    stream, pb_emu_node{pb_emu_node::KERNEL, kernel, cudaMemcpyHostToHost, 0,
					nullptr, [=] { run_grid(grid, block, shared, thread); }});
}

cudaError_t pb_emu_said(cudaError_t error)
{
	if (error != cudaSuccess)
		last_error = error;
	return error;
}

cudaError_t cudaGetLastError()
{
	cudaError_t error = last_error;

	last_error = cudaSuccess;
	return error;
}

/* ---- streams --------------------------------------------------------------------------------- */

std::vector<pb_emu_stream *> pb_emu_streams;

static bool can_run(const pb_emu_stream *s)
{
	return !s->queue.empty() &&
	       (s->queue.front().run || s->queue.front().event->done >= s->queue.front().until);
}

/* Run the first thing of one of the streams that can go on. */
static bool step()
{
	size_t n = pb_emu_streams.size(), first = n ? next_random() % n : 0;

	for (size_t i = 0; i < n; i++) {
		pb_emu_stream *s = pb_emu_streams[(first + i) % n];

		if (can_run(s)) {
			pb_emu_work w = std::move(s->queue.front());

			s->queue.pop_front();
			if (w.run)
				w.run();
			return true;
		}
	}
	return false;
}

static void run_while(const std::function<bool()> &unfinished)
{
	while (unfinished())
		if (!step())
			pb_emu_die("a stream waits for ever for an event that nothing records");
}

static void run_all()
{
	run_while([] {
		for (const pb_emu_stream *s : pb_emu_streams)
			if (!s->queue.empty())
				return true;
		return false;
	});
}

void pb_emu_push(cudaStream_t stream, pb_emu_work work)
{
	stream->queue.push_back(std::move(work));
	/* sometimes at once, sometimes not before somebody waits */
	if (next_random() % 4 == 0)
		step();
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
	if (flags != cudaStreamNonBlocking)
		return pb_emu_said(cudaErrorInvalidValue);
	*stream = new pb_emu_stream;
	(*stream)->capture = nullptr;
	pb_emu_streams.push_back(*stream);
	return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
	if (stream->capture)
		pb_emu_die("a stream is destroyed while it captures");
	run_all();
	for (size_t i = 0; i < pb_emu_streams.size(); i++)
		if (pb_emu_streams[i] == stream) {
			pb_emu_streams.erase(pb_emu_streams.begin() + (ptrdiff_t)i);
			break;
		}
	delete stream;
	return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
	cudaError_t error = pb_emu_unsafe();

	if (error != cudaSuccess)
		return error;
	if (stream->capture)
		return pb_emu_spoil(stream, cudaErrorStreamCaptureUnsupported);
	run_while([=] { return !stream->queue.empty(); });
	return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
	if (flags != cudaEventDisableTiming)
		return pb_emu_said(cudaErrorInvalidValue);
	*event = new pb_emu_event{0, 0, false};
	return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	run_all();
	delete event;
	return cudaSuccess;
}

/* In a capture it marks a place in the graph, which nobody outside can wait for. */
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	uint64_t number;

	event->captured = stream->capture != nullptr;
	if (event->captured)
		return stream->capture->valid ? cudaSuccess
					      : pb_emu_said(cudaErrorStreamCaptureInvalidated);
	number = ++event->recorded;
	pb_emu_push(stream, pb_emu_work{[=] { event->done = number; }, nullptr, 0});
	return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	uint64_t number = event->recorded;
	cudaError_t error = pb_emu_unsafe();

	if (event->captured)
		return pb_emu_said(cudaErrorCapturedEvent);
	if (error != cudaSuccess)
		return error;
	run_while([=] { return event->done < number; });
	return cudaSuccess;
}

/* A wait in a capture, or for something in one, would cross its boundary: captures of several
 * streams are not emulated. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
	if (flags)
		return pb_emu_said(cudaErrorInvalidValue);
	if (stream->capture)
		return pb_emu_spoil(stream, cudaErrorStreamCaptureIsolation);
	if (event->captured) {
		(void)pb_emu_unsafe();
		return pb_emu_said(cudaErrorStreamCaptureIsolation);
	}
	pb_emu_push(stream, pb_emu_work{nullptr, event, event->recorded});
	return cudaSuccess;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static std::map<const char *, size_t> device_blocks, pinned_blocks;
static size_t device_bytes;

static size_t device_total()
{
	return pb_emu_environment("PB_EMU_MEMORY", (uint64_t)8 << 30);
}

static bool inside(const std::map<const char *, size_t> &blocks, const void *p, size_t bytes)
{
	auto after = blocks.upper_bound((const char *)p);

	if (after == blocks.begin())
		return false;
	--after;
	return (const char *)p + bytes <= after->first + after->second;
}

void pb_emu_check_device(const void *p, size_t bytes, const char *what)
{
	if (bytes && !inside(device_blocks, p, bytes))
		pb_emu_die("%s: %zu bytes at %p are not inside a device allocation", what, bytes,
			   p);
}

static cudaError_t allocate(std::map<const char *, size_t> &blocks, void **out, size_t bytes)
{
	size_t rounded = (bytes + 255) / 256 * 256;
	cudaError_t error = pb_emu_unsafe();

	if (error != cudaSuccess)
		return error;
	/* the sanitizer wants the exact end, the hardware aligns the start */
	if (posix_memalign(out, 256, rounded < bytes ? SIZE_MAX / 2 : bytes ? bytes : 1) != 0) {
		*out = nullptr;
		return pb_emu_said(cudaErrorMemoryAllocation);
	}
	memset(*out, 0xff, bytes);
	blocks[(const char *)*out] = bytes;
	return cudaSuccess;
}

static cudaError_t deallocate(std::map<const char *, size_t> &blocks, void *memory,
			      const char *what)
{
	cudaError_t error = pb_emu_unsafe();

	if (error != cudaSuccess)
		return error;
	run_all();
	if (!memory)
		return cudaSuccess;
	if (!blocks.erase((const char *)memory))
		pb_emu_die("%s of %p, which was not allocated so", what, memory);
	free(memory);
	return cudaSuccess;
}

bool pb_emu_take(size_t bytes)
{
	if (bytes > device_total() - device_bytes)
		return false;
	device_bytes += bytes;
	return true;
}

void pb_emu_give(size_t bytes)
{
	device_bytes -= bytes;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
	cudaError_t error;

	if (!pb_emu_take(bytes))
		return pb_emu_said(cudaErrorMemoryAllocation);
	error = allocate(device_blocks, out, bytes);
	if (error != cudaSuccess)
		pb_emu_give(bytes);
	return error;
}

cudaError_t cudaFree(void *memory)
{
	auto it = device_blocks.find((const char *)memory);
	size_t bytes = it == device_blocks.end() ? 0 : it->second;
	cudaError_t error = deallocate(device_blocks, memory, "cudaFree");

	if (error == cudaSuccess)
		pb_emu_give(bytes);
	return error;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
	return allocate(pinned_blocks, out, bytes);
}

cudaError_t cudaFreeHost(void *memory)
{
	return deallocate(pinned_blocks, memory, "cudaFreeHost");
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
	*total = device_total();
	*available = *total - device_bytes;
	return cudaSuccess;
}

static void check_copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
	bool up = kind == cudaMemcpyHostToDevice, down = kind == cudaMemcpyDeviceToHost;
	const void *host = up ? from : to;

	if (!up)
		pb_emu_check_device(from, bytes, "a copy's source");
	if (!down)
		pb_emu_check_device(to, bytes, "a copy's target");
	if ((up || down) && bytes && !inside(pinned_blocks, host, bytes))
		pb_emu_die("an asynchronous copy of %zu bytes at %p, which are not pinned", bytes,
			   host);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
			    cudaStream_t stream)
{
	if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDeviceToHost &&
	    kind != cudaMemcpyDeviceToDevice)
		return pb_emu_said(cudaErrorInvalidValue);
	check_copy(to, from, bytes, kind);
	return pb_emu_order(stream, pb_emu_node{pb_emu_node::COPY, nullptr, kind, bytes,
						[=] { check_copy(to, from, bytes, kind); },
						[=] { memcpy(to, from, bytes); }});
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
	pb_emu_check_device(to, bytes, "what is set");
	return pb_emu_order(stream,
			    pb_emu_node{pb_emu_node::SET, nullptr, cudaMemcpyHostToHost, bytes,
					[=] { pb_emu_check_device(to, bytes, "what is set"); },
					[=] { memset(to, value, bytes); }});
}

/* ---- the device ------------------------------------------------------------------------------ */

struct told {
	cudaError_t error;
	const char *name, *text;
};
#define TOLD(error, text)                                                                          \
	{                                                                                          \
		error, #error, text                                                                \
	}
static const struct told errors[] = {
    TOLD(cudaSuccess, "no error"),
    TOLD(cudaErrorMemoryAllocation, "out of memory"),
    TOLD(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    TOLD(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    TOLD(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
    TOLD(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    TOLD(cudaErrorStreamCaptureInvalidated,
	 "operation failed due to a previous error during capture"),
    TOLD(cudaErrorStreamCaptureIsolation,
	 "dependency created on uncaptured work in another stream"),
    TOLD(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a "
				 "capturing stream"),
    TOLD(cudaErrorGraphExecUpdateFailure,
	 "the graph update was not performed because it included changes which violated "
	 "constraints specific to instantiated graph update"),
    TOLD(cudaErrorInvalidValue, "invalid argument"), /* the last: any other */
};

static const struct told *told_of(cudaError_t error)
{
	const struct told *t = errors;

	while (t->error != error && t->error != cudaErrorInvalidValue)
		t++;
	return t;
}

const char *cudaGetErrorName(cudaError_t error)
{
	return told_of(error)->name;
}

const char *cudaGetErrorString(cudaError_t error)
{
	return told_of(error)->text;
}

cudaError_t cudaGetDeviceCount(int *count)
{
	*count = (int)pb_emu_environment("PB_EMU_DEVICES", 1);
	return *count ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaSetDevice(int device)
{
	return device >= 0 && device < (int)pb_emu_environment("PB_EMU_DEVICES", 1)
		   ? cudaSuccess
		   : cudaErrorInvalidValue;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device)
{
	snprintf(text, (size_t)size, "emulated:%d", device);
	return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device)
{
	(void)device;
	memset(prop, 0, sizeof *prop);
	snprintf(prop->name, sizeof prop->name, "emulated device");
	prop->totalGlobalMem = device_total();
	prop->major = 9;
	prop->multiProcessorCount = 132;
	return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
	(void)attribute;
	(void)device;
	*value = (int)shared_most;
	return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
	*version = 13000;
	return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
	*version = 13000;
	return cudaSuccess;
}
