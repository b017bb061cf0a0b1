/* The cuda backend's device, and what its files share.
 *
 * All work of a device goes to one stream in order. Host arrays that an operation reads travel
 * through a ring of pinned memory, so that the caller's may change at once; arrays that it fills
 * come back over a second stream and are handed over by wait(). Nothing is allocated in a sweep. */
#ifndef PB_CUDA_H
#define PB_CUDA_H

#include <launch.h>

#include <cuda_bf16.h>

#include "backend/backend.h"

#define PB_WARP 32u
#define PB_ALL_LANES 0xffffffffu

struct pb_cuda_lt;   /* gemm_cublas.cu */
struct pb_cuda_nccl; /* share_nccl.cu */

/* Pinned memory in sections: one is used again when what was copied from or to it is done. */
#define PB_RING_SECTIONS 4
struct pb_cuda_ring {
	char *host, *device;
	size_t section_bytes, used; /* of the section in use */
	unsigned section;
	cudaEvent_t done[PB_RING_SECTIONS];
	/* Smaller ones that it has replaced: an operation may still read what it put there. */
	struct {
		char *host, *device;
	} retired[32];
	size_t n_retired;
};

/* One result on its way to the host. */
#define PB_CUDA_PENDING 64
struct pb_cuda_pending {
	uint64_t ticket;
	cudaEvent_t copied;
	const void *from; /* pinned */
	void *to;
	size_t bytes;
};

/* Graphs (graphs.cu). */
#define PB_CUDA_GRAPHS 32  /* that are kept */
#define PB_CUDA_KNOWN 1024 /* kernels, products and kinds of blocks that have been there */
struct pb_cuda_kept {
	cudaGraphExec_t exec; /* NULL: the place is free */
	uint64_t sequence;    /* of what it calls */
	uint64_t used;        /* number of the launch that used it last */
	size_t n_nodes;
};
struct pb_cuda_graphs {
	bool open;      /* between graph_begin and graph_end */
	bool plain;     /* what is left of the block goes without */
	bool lost;      /* what was captured could not be launched */
	bool capturing; /* the stream does */
	uint64_t sequence;
	size_t n_nodes; /* captured so far */
	size_t n_kept;  /* nodes of all that are kept */
	size_t most;    /* that there is room for */
	struct pb_cuda_kept kept[PB_CUDA_GRAPHS];
	uint64_t known[PB_CUDA_KNOWN]; /* hashes; 0: the place is free */
	struct pb_graph_counts counts;
};

struct pb_cuda {
	struct pb_device base;
	int number;
	char description[512], isa[64];
	cudaStream_t stream, copies;
	struct pb_cuda_ring up, down;
	struct pb_cuda_pending pending[PB_CUDA_PENDING];
	size_t n_pending;
	uint64_t last_ticket;
	cudaEvent_t computed, copied[PB_CUDA_PENDING];
	size_t shared_most; /* bytes of shared memory that a block may ask for */
	size_t multiprocessors;
	size_t allocated;    /* bytes of device memory */
	uint64_t n_launches; /* in graphs too */
	struct pb_cuda_graphs graphs;
	struct pb_cuda_lt *gemm;
	struct pb_cuda_nccl *nccl; /* while weights are shared */
};

static inline struct pb_cuda *pb_cuda_of(struct pb_device *dev)
{
	return (struct pb_cuda *)dev;
}

enum pb_status pb_cuda_fail(struct pb_error *err, cudaError_t error, const char *what);

/* Return from here when a call of the runtime fails; when an operation does. */
#define PB_CUDA(call)                                                                              \
	do {                                                                                       \
		cudaError_t error_ = (call);                                                       \
		if (error_ != cudaSuccess)                                                         \
			return pb_cuda_fail(err, error_, #call);                                   \
	} while (0)
#define PB_DO(expr)                                                                                \
	do {                                                                                       \
		enum pb_status status_ = (expr);                                                   \
		if (status_ != PB_OK)                                                              \
			return status_;                                                            \
	} while (0)

/* ---- graphs.cu -------------------------------------------------------------------------------
 *
 * Whatever is put into the device's stream is announced by pb_cuda_order, which may begin a
 * capture; every other call of the runtime that is work, waits, allocates or touches another stream
 * goes through PB_OUTSIDE, which ends it first. */

enum pb_status pb_cuda_capture(struct pb_cuda *cuda, const void *what, struct pb_error *err);
/* Launch what was captured so far; nothing where nothing was. */
enum pb_status pb_cuda_pause(struct pb_cuda *cuda, struct pb_error *err);

/* Something comes into the stream: a kernel, or what tells it from others. */
static inline enum pb_status pb_cuda_order(struct pb_cuda *cuda, const void *what,
					   struct pb_error *err)
{
	return cuda->graphs.open ? pb_cuda_capture(cuda, what, err) : PB_OK;
}
/* A call that cannot be part of a graph. */
#define PB_OUTSIDE(cuda, call)                                                                     \
	do {                                                                                       \
		PB_DO(pb_cuda_pause(cuda, err));                                                   \
		PB_CUDA(call);                                                                     \
	} while (0)

void pb_cuda_graph_room(struct pb_device *, size_t bytes);
enum pb_status pb_cuda_graph_begin(struct pb_device *, uint64_t kind, struct pb_error *);
enum pb_status pb_cuda_graph_end(struct pb_device *, enum pb_status, struct pb_error *);
struct pb_graph_counts pb_cuda_graph_counts(struct pb_device *);
void pb_cuda_graphs_close(struct pb_cuda *cuda);

/* A launch on the device's stream; an empty grid does nothing. */
#define PB_RUN(cuda, kernel, grid, block, shared, ...)                                             \
	do {                                                                                       \
		dim3 grid_ = (grid);                                                               \
		if (grid_.x) {                                                                     \
			PB_DO(pb_cuda_order(cuda, (const void *)(kernel), err));                   \
			PB_LAUNCH(kernel, grid_, block, shared, (cuda)->stream, __VA_ARGS__);      \
			(cuda)->n_launches++;                                                      \
			PB_CUDA(cudaGetLastError());                                               \
		}                                                                                  \
	} while (0)

/* ---- memory.cu ------------------------------------------------------------------------------- */

enum pb_status pb_cuda_memory_open(struct pb_cuda *cuda, struct pb_error *err);
void pb_cuda_memory_close(struct pb_cuda *cuda);
/* A copy to the device, and memory that is set, in the stream's order. */
enum pb_status pb_cuda_copy_up(struct pb_cuda *cuda, void *to, const void *pinned, size_t bytes,
			       struct pb_error *err);
/* Leave a section of the ring that is nearly full, so that what comes next finds room in one. */
enum pb_status pb_cuda_make_room(struct pb_cuda *cuda, struct pb_error *err);

/* A device copy of a host array that the work behind it may read; alive until the ring comes
 * round, which waits for that work. */
enum pb_status pb_cuda_stage(struct pb_cuda *cuda, const void *data, size_t bytes, void **out,
			     struct pb_error *err);
/* Device memory for a result that wait() will put at `to`; pb_cuda_deliver sends it on its way once
 * the kernel that fills it is launched. */
enum pb_status pb_cuda_result(struct pb_cuda *cuda, size_t bytes, void **device,
			      struct pb_error *err);
enum pb_status pb_cuda_deliver(struct pb_cuda *cuda, void *device, void *to, size_t bytes,
			       struct pb_error *err);

/* Host bytes into device memory, of this rank alone. */
enum pb_status pb_cuda_fill(struct pb_cuda *cuda, void *to, const void *from, size_t bytes,
			    struct pb_error *err);

/* ---- share_nccl.cu --------------------------------------------------------------------------- */

enum pb_status pb_cuda_share(struct pb_device *, struct pb_team *, struct pb_error *);
enum pb_sharing pb_cuda_sharing(struct pb_device *);
/* While weights are shared: rank 0's bytes there to all. */
enum pb_status pb_cuda_spread(struct pb_cuda *cuda, void *memory, size_t bytes,
			      struct pb_error *err);

enum pb_status pb_cuda_alloc(struct pb_device *, size_t, struct pb_dev *, struct pb_error *);
void pb_cuda_release(struct pb_device *, struct pb_dev);
enum pb_status pb_cuda_upload(struct pb_device *, struct pb_dev, const void *, size_t,
			      struct pb_error *);
enum pb_status pb_cuda_download(struct pb_device *, void *, struct pb_dev, size_t,
				struct pb_error *);
enum pb_status pb_cuda_zero(struct pb_device *, struct pb_dev, size_t, struct pb_error *);
uint64_t pb_cuda_ticket(struct pb_device *);
enum pb_status pb_cuda_wait(struct pb_device *, uint64_t, struct pb_error *);

/* ---- operations ------------------------------------------------------------------------------ */

#define PB_CUDA_DECLARE(name, args)                                                                \
	enum pb_status pb_cuda_##name(struct pb_device *, const struct args *, struct pb_error *);
PB_EACH_OPERATION(PB_CUDA_DECLARE)

enum pb_status pb_cuda_pack(struct pb_device *, const struct pb_weight *, size_t,
			    struct pb_packed **, struct pb_error *);
void pb_cuda_unpack(struct pb_device *, struct pb_packed *);
enum pb_status pb_cuda_gemm_open(struct pb_cuda *cuda, enum pb_precision precision,
				 struct pb_error *err);
void pb_cuda_gemm_close(struct pb_cuda *cuda);
enum pb_status pb_cuda_gemm_prepare(struct pb_cuda *cuda, const struct pb_arch *arch,
				    struct pb_error *err);
size_t pb_cuda_element_bytes(const struct pb_cuda *cuda);
enum pb_precision pb_cuda_precision(const struct pb_cuda *cuda);
size_t pb_cuda_gemm_bytes(const struct pb_arch *arch, enum pb_precision precision);
/* "cublasLt 13.0.0" */
void pb_cuda_gemm_library(char *out, size_t size);

/* Each allows its kernels the shared memory of the device. */
enum pb_status pb_cuda_attention_open(struct pb_cuda *cuda, struct pb_error *err);
enum pb_status pb_cuda_attention_delta_open(struct pb_cuda *cuda, struct pb_error *err);
enum pb_status pb_cuda_attention_last_open(struct pb_cuda *cuda, struct pb_error *err);
enum pb_status pb_cuda_plain_open(struct pb_cuda *cuda, struct pb_error *err);

/* ---- small pieces ---------------------------------------------------------------------------- */

static inline float *pb_floats(struct pb_dev d)
{
	return (float *)d.address;
}
static inline const int32_t *pb_ints(struct pb_dev d)
{
	return (const int32_t *)d.address;
}

/* Blocks of `block` threads that cover n. */
static inline dim3 pb_cover(size_t n, size_t block)
{
	return dim3((unsigned)((n + block - 1) / block));
}

/* Threads that one warp a row makes, 8 rows a block. */
#define PB_ROW_WARPS 8u
#define PB_ROW_THREADS (PB_ROW_WARPS * PB_WARP)

/* Whether rows that begin at p, `stride` floats apart, `columns` wide, are made of whole float4s.
 */
static inline bool pb_quads(const void *p, size_t stride, size_t columns)
{
	return ((uintptr_t)p | stride * sizeof(float) | columns * sizeof(float)) % 16 == 0;
}

/* Whether an operation leaves operands of products, and these are bfloat16. */
static inline bool pb_half(struct pb_cuda *cuda, bool operand)
{
	return operand && pb_cuda_precision(cuda) == PB_PRECISION_BF16;
}

/* N columns of a row that are one access: 1, or 4 where rows are made of float4s. */
template <int N> static __device__ __forceinline__ void pb_load(const float *p, float *x)
{
	if (N == 4) {
		const float4 v = *reinterpret_cast<const float4 *>(p);

		x[0] = v.x;
		x[N / 3] = v.y;
		x[N / 2] = v.z;
		x[N - 1] = v.w;
	} else {
		x[0] = p[0];
	}
}
/* Columns i .. i+N-1 of a row, as float32 or (half) as operands in its place. */
template <int N>
static __device__ __forceinline__ void pb_store(float *row, size_t i, const float *x, bool half)
{
	if (half) {
		unsigned short *to = reinterpret_cast<unsigned short *>(row) + i;
		unsigned b[N];

		PB_UNROLL
		for (int n = 0; n < N; n++)
			b[n] = __bfloat16_as_ushort(__float2bfloat16_rn(x[n]));
		if (N == 4)
			*reinterpret_cast<uint2 *>(to) =
			    make_uint2(b[0] | b[N / 3] << 16, b[N / 2] | b[N - 1] << 16);
		else
			to[0] = (unsigned short)b[0];
	} else if (N == 4) {
		*reinterpret_cast<float4 *>(row + i) =
		    make_float4(x[0], x[N / 3], x[N / 2], x[N - 1]);
	} else {
		row[i] = x[0];
	}
}

/* Sum over the lanes of a warp, the same in every lane, in a fixed order. */
template <typename T> static __device__ __forceinline__ T pb_warp_sum(T v)
{
	for (int lanes = 16; lanes > 0; lanes /= 2)
		v += __shfl_xor_sync(PB_ALL_LANES, v, lanes);
	return v;
}
static __device__ __forceinline__ float pb_warp_max(float v)
{
	for (int lanes = 16; lanes > 0; lanes /= 2) {
		float other = __shfl_xor_sync(PB_ALL_LANES, v, lanes);

		v = other > v ? other : v;
	}
	return v;
}

/* A score under a softcap; a cap of 0 is none. */
static __device__ __forceinline__ float pb_capped(float s, float cap)
{
	return cap > 0.0f ? cap * tanhf(s / cap) : s;
}

#endif
