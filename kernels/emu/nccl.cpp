/* NCCL's stand-in: one shared file a communicator, with a barrier and a window that data passes
 * through piece by piece. */
#include <nccl.h>

#include "streams.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)1 << 20)

namespace
{
/* What all ranks see. A fresh file is zero, which is a valid state of all of it. */
struct shared {
	std::atomic<unsigned> arrived, generation;
	std::atomic<unsigned long long> call, bytes; /* of the broadcast under way */
	unsigned char window[WINDOW_BYTES];
};
static_assert(std::atomic<unsigned long long>::is_always_lock_free, "shared between processes");
} // namespace

struct pb_emu_comm {
	shared *state;
	int rank, size;
	unsigned long long n_calls;
	bool gone; /* another rank did not come */
	char name[128];
};

const char *ncclGetErrorString(ncclResult_t result)
{
	switch (result) {
	case ncclSuccess:
		return "no error";
	case ncclUnhandledCudaError:
		return "a call of CUDA failed";
	case ncclSystemError:
		return "a system call failed";
	case ncclInvalidArgument:
		return "an argument is invalid";
	case ncclRemoteError:
		return "another rank is gone";
	}
	return "unknown";
}

static double now()
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* All ranks are here; false when one does not come. */
static bool meet(pb_emu_comm *c)
{
	shared *s = c->state;
	unsigned generation = s->generation.load();
	const char *wait = getenv("PB_EMU_NCCL_WAIT");
	double until = now() + (wait ? strtod(wait, nullptr) : 60.0);

	if (c->gone)
		return false;
	if (s->arrived.fetch_add(1) + 1 == (unsigned)c->size) {
		s->arrived.store(0);
		s->generation.fetch_add(1);
		return true;
	}
	while (s->generation.load() == generation) {
		(void)usleep(50);
		if (now() > until)
			c->gone = true;
		if (c->gone)
			return false;
	}
	return true;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
	int fd;

	memset(id, 0, sizeof *id);
	snprintf(id->internal, sizeof id->internal, "/dev/shm/patchbay-nccl-XXXXXX");
	fd = mkstemp(id->internal);
	if (fd < 0 || ftruncate(fd, sizeof(shared)) != 0)
		return ncclSystemError;
	(void)close(fd);
	return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int size, ncclUniqueId id, int rank)
{
	int fd = open(id.internal, O_RDWR | O_CLOEXEC);
	void *memory;

	if (fd < 0 || size < 1 || rank < 0 || rank >= size)
		return fd < 0 ? ncclSystemError : ncclInvalidArgument;
	memory = mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (memory == MAP_FAILED)
		return ncclSystemError;
	*comm = new pb_emu_comm();
	(*comm)->state = static_cast<shared *>(memory);
	(*comm)->rank = rank;
	(*comm)->size = size;
	if (!meet(*comm))
		return ncclRemoteError;
	if (rank == 0)
		(void)unlink(id.internal); /* all have it open */
	return ncclSuccess;
}

/* One broadcast, when its turn on the stream comes. */
static void broadcast_now(pb_emu_comm *c, unsigned long long call, const void *from, void *to,
			  size_t bytes, int root)
{
	shared *s = c->state;

	if (c->rank == root) {
		s->call.store(call);
		s->bytes.store(bytes);
	}
	if (!meet(c))
		pb_emu_die("ncclBroadcast %llu: another rank is gone", call);
	if (s->call.load() != call || s->bytes.load() != bytes)
		pb_emu_die(
		    "ncclBroadcast: rank %d is at call %llu of %zu bytes, rank %d at call %llu "
		    "of %llu bytes",
		    c->rank, call, bytes, root, s->call.load(), s->bytes.load());
	for (size_t at = 0; at < bytes; at += WINDOW_BYTES) {
		size_t n = bytes - at < WINDOW_BYTES ? bytes - at : WINDOW_BYTES;

		if (c->rank == root)
			memcpy(s->window, (const char *)from + at, n);
		if (!meet(c))
			pb_emu_die("ncclBroadcast %llu: another rank is gone", call);
		if (c->rank != root || from != to)
			memcpy((char *)to + at, s->window, n);
		if (!meet(c))
			pb_emu_die("ncclBroadcast %llu: another rank is gone", call);
	}
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
			   ncclComm_t comm, cudaStream_t stream)
{
	unsigned long long call = ++comm->n_calls;

	if (type != ncclUint8 || root < 0 || root >= comm->size)
		return ncclInvalidArgument;
	if (comm->rank == root)
		pb_emu_check_device(from, count, "ncclBroadcast reads");
	pb_emu_check_device(to, count, "ncclBroadcast writes");
	return pb_emu_order(stream, pb_emu_node{pb_emu_node::KERNEL, (const void *)ncclBroadcast,
						cudaMemcpyHostToHost, 0, nullptr,
						[=] {
							broadcast_now(comm, call, from, to, count,
								      root);
						}}) == cudaSuccess
		   ? ncclSuccess
		   : ncclUnhandledCudaError;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
	bool all = meet(comm);

	(void)munmap(comm->state, sizeof(shared));
	delete comm;
	return all ? ncclSuccess : ncclRemoteError;
}
