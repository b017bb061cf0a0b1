/* Device memory, and how host arrays get there and results back. */
#include "cuda/cuda.h"

#include <cstdlib>
#include <cstring>

static const size_t up_section = (size_t)4 << 20, down_section = (size_t)1 << 20;

enum pb_status pb_cuda_fail(struct pb_error *err, cudaError_t error, const char *what)
{
	if (error == cudaErrorMemoryAllocation)
		return pb_fail(err, PB_ERR_MEMORY,
			       "the GPU has no memory left: %s: give less with --device-memory, or "
			       "use a smaller engine.chunk",
			       what);
	return pb_fail(err, PB_ERR_INTERNAL, "CUDA: %s (%s): %s", cudaGetErrorString(error),
		       cudaGetErrorName(error), what);
}

/* ---- allocations ----------------------------------------------------------------------------- */

enum pb_status pb_cuda_alloc(struct pb_device *dev, size_t bytes, struct pb_dev *out,
			     struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	cudaError_t error;

	out->address = nullptr;
	PB_DO(pb_cuda_pause(cuda, err));
	error = cudaMalloc(&out->address, bytes ? bytes : 1);
	if (error == cudaErrorMemoryAllocation) {
		(void)cudaGetLastError(); /* it is no error of what follows */
		return pb_fail(err, PB_ERR_MEMORY,
			       "no memory for %zu bytes on the GPU: give less with "
			       "--device-memory, or use a smaller engine.chunk",
			       bytes);
	}
	PB_CUDA(error);
	cuda->allocated += bytes;
	return pb_cuda_zero(dev, *out, bytes, err);
}

void pb_cuda_release(struct pb_device *dev, struct pb_dev memory)
{
	(void)pb_cuda_pause(pb_cuda_of(dev), nullptr); /* graph_end tells of a failure */
	(void)cudaFree(memory.address);
}

enum pb_status pb_cuda_zero(struct pb_device *dev, struct pb_dev to, size_t bytes,
			    struct pb_error *err)
{
	static const char set = 0; /* its address stands for the call */

	if (bytes == 0)
		return PB_OK;
	PB_DO(pb_cuda_order(pb_cuda_of(dev), &set, err));
	PB_CUDA(cudaMemsetAsync(to.address, 0, bytes, pb_cuda_of(dev)->stream));
	return PB_OK;
}

enum pb_status pb_cuda_copy_up(struct pb_cuda *cuda, void *to, const void *pinned, size_t bytes,
			       struct pb_error *err)
{
	static const char copy = 0;

	PB_DO(pb_cuda_order(cuda, &copy, err));
	PB_CUDA(cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice, cuda->stream));
	return PB_OK;
}

/* ---- rings ----------------------------------------------------------------------------------- */

static enum pb_status ring_new(struct pb_cuda_ring *ring, size_t section_bytes,
			       struct pb_error *err)
{
	ring->section_bytes = section_bytes;
	ring->used = 0;
	ring->section = 0;
	PB_CUDA(cudaMallocHost((void **)&ring->host, section_bytes * PB_RING_SECTIONS));
	PB_CUDA(cudaMalloc((void **)&ring->device, section_bytes * PB_RING_SECTIONS));
	return PB_OK;
}

static void ring_free(struct pb_cuda_ring *ring)
{
	for (size_t i = 0; i < ring->n_retired; i++) {
		(void)cudaFreeHost(ring->retired[i].host);
		(void)cudaFree(ring->retired[i].device);
	}
	ring->n_retired = 0;
	(void)cudaFreeHost(ring->host);
	(void)cudaFree(ring->device);
	ring->host = ring->device = nullptr;
}

/* A larger ring, for an array that needs more than a section. */
static enum pb_status ring_grow(struct pb_cuda *cuda, struct pb_cuda_ring *ring, size_t bytes,
				struct pb_error *err)
{
	size_t section = ring->section_bytes;

	while (section < bytes) /* at least doubled: the retired ones are fewer than 32 */
		section *= 2;
	PB_OUTSIDE(cuda, cudaStreamSynchronize(cuda->stream));
	PB_OUTSIDE(cuda, cudaStreamSynchronize(cuda->copies));
	ring->retired[ring->n_retired].host = ring->host;
	ring->retired[ring->n_retired++].device = ring->device;
	ring->host = ring->device = nullptr;
	return ring_new(ring, section, err);
}

/* A section that is left is marked on the stream whose work uses it, and is waited for when its
 * turn comes again: what reads it must be in the stream by then, not in a graph that is not
 * launched. */
static enum pb_status ring_turn(struct pb_cuda *cuda, struct pb_cuda_ring *ring, cudaStream_t user,
				struct pb_error *err)
{
	PB_OUTSIDE(cuda, cudaEventRecord(ring->done[ring->section], user));
	ring->section = (ring->section + 1) % PB_RING_SECTIONS;
	ring->used = 0;
	PB_OUTSIDE(cuda, cudaEventSynchronize(ring->done[ring->section]));
	return PB_OK;
}

/* Offset of `bytes` more in the ring. */
static enum pb_status ring_take(struct pb_cuda *cuda, struct pb_cuda_ring *ring, cudaStream_t user,
				size_t bytes, size_t *at, struct pb_error *err)
{
	size_t rounded = (bytes + 255) / 256 * 256;

	if (ring->used + rounded > ring->section_bytes)
		PB_DO(ring_turn(cuda, ring, user, err));
	*at = ring->section * ring->section_bytes + ring->used;
	ring->used += rounded;
	return PB_OK;
}

enum pb_status pb_cuda_make_room(struct pb_cuda *cuda, struct pb_error *err)
{
	if (cuda->up.used > cuda->up.section_bytes / 4 * 3)
		PB_DO(ring_turn(cuda, &cuda->up, cuda->stream, err));
	return PB_OK;
}

enum pb_status pb_cuda_stage(struct pb_cuda *cuda, const void *data, size_t bytes, void **out,
			     struct pb_error *err)
{
	size_t at = 0;

	if (bytes + 256 > cuda->up.section_bytes)
		PB_DO(ring_grow(cuda, &cuda->up, bytes + 256, err));
	PB_DO(ring_take(cuda, &cuda->up, cuda->stream, bytes, &at, err));
	*out = cuda->up.device + at;
	if (bytes == 0)
		return PB_OK;
	memcpy(cuda->up.host + at, data, bytes);
	return pb_cuda_copy_up(cuda, *out, cuda->up.host + at, bytes, err);
}

enum pb_status pb_cuda_fill(struct pb_cuda *cuda, void *to, const void *from, size_t bytes,
			    struct pb_error *err)
{
	for (size_t done = 0, n; done < bytes; done += n) {
		size_t at = 0;

		n = bytes - done < cuda->up.section_bytes / 2 ? bytes - done
							      : cuda->up.section_bytes / 2;
		PB_DO(ring_take(cuda, &cuda->up, cuda->stream, n, &at, err));
		memcpy(cuda->up.host + at, (const char *)from + done, n);
		PB_DO(pb_cuda_copy_up(cuda, (char *)to + done, cuda->up.host + at, n, err));
	}
	return PB_OK;
}

enum pb_status pb_cuda_upload(struct pb_device *dev, struct pb_dev to, const void *from,
			      size_t bytes, struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);

	if (pb_cuda_sharing(dev) != PB_SHARING_RECEIVES)
		PB_DO(pb_cuda_fill(cuda, to.address, from, bytes, err));
	return pb_cuda_spread(cuda, to.address, bytes, err);
}

/* ---- results --------------------------------------------------------------------------------- */

uint64_t pb_cuda_ticket(struct pb_device *dev)
{
	return pb_cuda_of(dev)->last_ticket;
}

/* Hand over what is on its way, up to a ticket. The copies are in order, so that waiting for all
 * of them waits for no more than the next wave's at worst. */
enum pb_status pb_cuda_wait(struct pb_device *dev, uint64_t ticket, struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	cudaError_t error = cudaSuccess;
	size_t n = 0;

	PB_DO(pb_cuda_pause(cuda, err));
	while (n < cuda->n_pending && cuda->pending[n].ticket <= ticket)
		n++;
	if (ticket == PB_TICKET_ALL)
		error = cudaStreamSynchronize(cuda->stream);
	if (error == cudaSuccess && n > 0)
		error = cudaEventSynchronize(cuda->pending[n - 1].copied);
	if (error != cudaSuccess)
		cuda->n_pending = 0; /* nothing will come any more, and targets go */
	PB_CUDA(error);
	for (size_t i = 0; i < n; i++)
		memcpy(cuda->pending[i].to, cuda->pending[i].from, cuda->pending[i].bytes);
	cuda->n_pending -= n;
	memmove(cuda->pending, cuda->pending + n, cuda->n_pending * sizeof *cuda->pending);
	return PB_OK;
}

enum pb_status pb_cuda_result(struct pb_cuda *cuda, size_t bytes, void **device,
			      struct pb_error *err)
{
	size_t at = 0;

	if (bytes + 256 > cuda->down.section_bytes) {
		PB_DO(pb_cuda_wait(&cuda->base, cuda->last_ticket, err));
		PB_DO(ring_grow(cuda, &cuda->down, bytes + 256, err));
	}
	/* a new section's old results must be with their owners */
	if (cuda->down.used + bytes + 255 > cuda->down.section_bytes)
		PB_DO(pb_cuda_wait(&cuda->base, cuda->last_ticket, err));
	PB_DO(ring_take(cuda, &cuda->down, cuda->copies, bytes, &at, err));
	*device = cuda->down.device + at;
	return PB_OK;
}

enum pb_status pb_cuda_deliver(struct pb_cuda *cuda, void *device, void *to, size_t bytes,
			       struct pb_error *err)
{
	char *host = cuda->down.host + ((char *)device - cuda->down.device);
	struct pb_cuda_pending p = {};

	if (cuda->n_pending == PB_CUDA_PENDING)
		PB_DO(pb_cuda_wait(&cuda->base, cuda->last_ticket, err));
	p.ticket = ++cuda->last_ticket;
	p.from = host;
	p.to = to;
	p.bytes = bytes;
	p.copied = cuda->copied[p.ticket % PB_CUDA_PENDING];
	PB_OUTSIDE(cuda, cudaEventRecord(cuda->computed, cuda->stream));
	PB_OUTSIDE(cuda, cudaStreamWaitEvent(cuda->copies, cuda->computed, 0));
	PB_OUTSIDE(cuda,
		   cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, cuda->copies));
	PB_OUTSIDE(cuda, cudaEventRecord(p.copied, cuda->copies));
	cuda->pending[cuda->n_pending++] = p;
	return PB_OK;
}

enum pb_status pb_cuda_download(struct pb_device *dev, void *to, struct pb_dev from, size_t bytes,
				struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);

	/* the pinned half of the results' ring takes it, once it is empty */
	PB_DO(pb_cuda_wait(dev, cuda->last_ticket, err));
	for (size_t done = 0, n; done < bytes; done += n) {
		size_t room = cuda->down.section_bytes * PB_RING_SECTIONS;

		n = bytes - done < room ? bytes - done : room;
		PB_OUTSIDE(cuda, cudaMemcpyAsync(cuda->down.host, (char *)from.address + done, n,
						 cudaMemcpyDeviceToHost, cuda->stream));
		PB_OUTSIDE(cuda, cudaStreamSynchronize(cuda->stream));
		memcpy((char *)to + done, cuda->down.host, n);
	}
	return PB_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum pb_status new_event(cudaEvent_t *event, struct pb_error *err)
{
	PB_CUDA(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
	return PB_OK;
}

enum pb_status pb_cuda_memory_open(struct pb_cuda *cuda, struct pb_error *err)
{
	PB_CUDA(cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking));
	PB_CUDA(cudaStreamCreateWithFlags(&cuda->copies, cudaStreamNonBlocking));
	for (int i = 0; i < PB_RING_SECTIONS; i++) {
		PB_DO(new_event(&cuda->up.done[i], err));
		PB_DO(new_event(&cuda->down.done[i], err));
	}
	PB_DO(new_event(&cuda->computed, err));
	for (int i = 0; i < PB_CUDA_PENDING; i++)
		PB_DO(new_event(&cuda->copied[i], err));
	PB_DO(ring_new(&cuda->up, up_section, err));
	PB_DO(ring_new(&cuda->down, down_section, err));
	return PB_OK;
}

void pb_cuda_memory_close(struct pb_cuda *cuda)
{
	if (cuda->stream)
		(void)cudaStreamSynchronize(cuda->stream);
	if (cuda->copies)
		(void)cudaStreamSynchronize(cuda->copies);
	ring_free(&cuda->up);
	ring_free(&cuda->down);
	for (int i = 0; i < PB_RING_SECTIONS; i++) {
		if (cuda->up.done[i])
			(void)cudaEventDestroy(cuda->up.done[i]);
		if (cuda->down.done[i])
			(void)cudaEventDestroy(cuda->down.done[i]);
	}
	for (int i = 0; i < PB_CUDA_PENDING; i++)
		if (cuda->copied[i])
			(void)cudaEventDestroy(cuda->copied[i]);
	if (cuda->computed)
		(void)cudaEventDestroy(cuda->computed);
	if (cuda->copies)
		(void)cudaStreamDestroy(cuda->copies);
	if (cuda->stream)
		(void)cudaStreamDestroy(cuda->stream);
}
