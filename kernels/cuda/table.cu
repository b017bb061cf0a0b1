/* The cuda backend's table, and opening a GPU. The plugin exports pb_cuda_open alone. */
#include "cuda/cuda.h"

#include "cuda/attention.h"

#include <cstdio>
#include <cstdlib>

static void cuda_close(struct pb_device *dev)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);

	pb_cuda_graphs_close(cuda);
	(void)pb_cuda_share(dev, nullptr, nullptr);
	pb_cuda_gemm_close(cuda);
	pb_cuda_memory_close(cuda);
	free(cuda);
}

static const char *cuda_describe(struct pb_device *dev)
{
	return pb_cuda_of(dev)->description;
}

static const char *cuda_isa(struct pb_device *dev)
{
	return pb_cuda_of(dev)->isa;
}

static enum pb_status cuda_prepare(struct pb_device *dev, const struct pb_arch *arch,
				   size_t max_length, struct pb_error *err)
{
	(void)max_length;
	if (arch->d_head > PB_HEAD_MOST)
		return pb_fail(err, PB_ERR_INPUT,
			       "heads of %zu columns are wider than the cuda backend knows (%u): "
			       "use --backend cpu",
			       arch->d_head, PB_HEAD_MOST);
	return pb_cuda_gemm_prepare(pb_cuda_of(dev), arch, err);
}

static size_t cuda_prepare_bytes(struct pb_device *dev, const struct pb_arch *arch,
				 size_t max_length)
{
	(void)max_length;
	/* and what small allocations lose to the runtime's granularity: heads are packed one by one
	 */
	return pb_cuda_gemm_bytes(arch, pb_cuda_precision(pb_cuda_of(dev))) +
	       arch->n_layers * (arch->n_heads + 24) * 1024 + ((size_t)8 << 20);
}

static uint64_t cuda_launches(struct pb_device *dev)
{
	return pb_cuda_of(dev)->n_launches;
}

/* Rows that fill a large GPU several times over with tiles of every product. */
static struct pb_block_sizes cuda_block_sizes(struct pb_device *dev)
{
	struct pb_block_sizes sizes = {8192, 512};

	(void)dev;
	return sizes;
}

static size_t cuda_element_bytes(struct pb_device *dev)
{
	return pb_cuda_element_bytes(pb_cuda_of(dev));
}

static enum pb_status cuda_memory(struct pb_device *dev, size_t *available, struct pb_error *err)
{
	size_t total = 0;

	(void)dev;
	PB_CUDA(cudaMemGetInfo(available, &total));
	return PB_OK;
}

#define PB_CUDA_ENTRY(name, args) ops.name = pb_cuda_##name;

static struct pb_ops make_table()
{
	struct pb_ops ops = {};

	ops.name = "cuda";
	ops.close = cuda_close;
	ops.describe = cuda_describe;
	ops.isa = cuda_isa;
	ops.alloc = pb_cuda_alloc;
	ops.release = pb_cuda_release;
	ops.upload = pb_cuda_upload;
	ops.download = pb_cuda_download;
	ops.zero = pb_cuda_zero;
	ops.prepare = cuda_prepare;
	ops.prepare_bytes = cuda_prepare_bytes;
	ops.launches = cuda_launches;
	ops.block_sizes = cuda_block_sizes;
	ops.element_bytes = cuda_element_bytes;
	ops.memory = cuda_memory;
	ops.ticket = pb_cuda_ticket;
	ops.wait = pb_cuda_wait;
	ops.pack = pb_cuda_pack;
	ops.unpack = pb_cuda_unpack;
	ops.share = pb_cuda_share;
	ops.sharing = pb_cuda_sharing;
	ops.graph_room = pb_cuda_graph_room;
	ops.graph_begin = pb_cuda_graph_begin;
	ops.graph_end = pb_cuda_graph_end;
	ops.graph_counts = pb_cuda_graph_counts;
	PB_EACH_OPERATION(PB_CUDA_ENTRY)
	return ops;
}

static const struct pb_ops table = make_table();

/* ---- opening --------------------------------------------------------------------------------- */

/* The GPU of this process: the one of its rank on the node, or the first. CUDA_VISIBLE_DEVICES is
 * the runtime's own business. */
static int choose_device(int count)
{
	static const char *const names[] = {"SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK",
					    "MPI_LOCALRANKID", "PMI_LOCAL_RANK"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *text = getenv(names[i]);

		if (text && *text)
			return (int)(strtol(text, nullptr, 10) % count);
	}
	return 0;
}

static enum pb_status open_device(struct pb_cuda *cuda, enum pb_precision precision,
				  struct pb_error *err)
{
	struct cudaDeviceProp prop;
	int count = 0, shared = 0;
	char library[64];
	cudaError_t error = cudaGetDeviceCount(&count);

	if (error != cudaSuccess || count < 1)
		return pb_fail(err, PB_ERR_INPUT, "no GPU can be used: %s: use --backend cpu",
			       error != cudaSuccess ? cudaGetErrorString(error) : "none is there");
	cuda->number = choose_device(count);
	PB_CUDA(cudaSetDevice(cuda->number));
	PB_CUDA(cudaGetDeviceProperties(&prop, cuda->number));
	if (prop.major < 8)
		return pb_fail(err, PB_ERR_INPUT,
			       "%s has compute capability %d.%d, and 8.0 is needed at least: use "
			       "--backend cpu",
			       prop.name, prop.major, prop.minor);
	PB_CUDA(
	    cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, cuda->number));
	cuda->shared_most = (size_t)shared;
	cuda->multiprocessors = (size_t)prop.multiProcessorCount;
	PB_DO(pb_cuda_memory_open(cuda, err));
	PB_DO(pb_cuda_gemm_open(cuda, precision, err));
	PB_DO(pb_cuda_attention_open(cuda, err));
	PB_DO(pb_cuda_attention_delta_open(cuda, err));
	PB_DO(pb_cuda_attention_last_open(cuda, err));
	PB_DO(pb_cuda_plain_open(cuda, err));
	pb_cuda_gemm_library(library, sizeof library);
	snprintf(cuda->isa, sizeof cuda->isa, "%.63s", prop.name);
	snprintf(cuda->description, sizeof cuda->description,
		 "%.128s (GPU %d of %d), compute capability %d.%d, %.1f GiB, %s", prop.name,
		 cuda->number, count, prop.major, prop.minor,
		 (double)prop.totalGlobalMem / 1073741824.0, library);
	return PB_OK;
}

extern "C" __attribute__((visibility("default"))) enum pb_status
pb_cuda_open(struct pb_device **out, enum pb_precision precision, struct pb_error *err)
{
	struct pb_cuda *cuda = nullptr;
	enum pb_status status;

	*out = nullptr;
	PB_DO(pb_alloc((void **)&cuda, 1, sizeof *cuda, "the cuda backend", err));
	cuda->base.ops = &table;
	status = open_device(cuda, precision, err);
	if (status == PB_OK)
		*out = &cuda->base;
	else
		cuda_close(&cuda->base);
	return status;
}
