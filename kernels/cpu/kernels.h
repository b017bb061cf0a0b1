/* The cpu backend's device and the operations that its table is filled from. */
#ifndef PB_CPU_KERNELS_H
#define PB_CPU_KERNELS_H

#include "backend/backend.h"

struct pb_gemm_cache; /* gemm_dnnl.c: primitives and scratch */
struct pb_cpu;

/* How the backend multiplies. */
struct pb_cpu_products {
	const char *(*name)(void); /* "oneDNN 2.6.3" */
	enum pb_status (*open)(struct pb_cpu *cpu, struct pb_error *err);
	void (*close)(struct pb_cpu *cpu);
	/* Upper bound of a thread's buffers for products of up to n_in inputs and n_out outputs. */
	size_t (*worker_bytes)(size_t n_in, size_t n_out);
	enum pb_status (*pack)(struct pb_cpu *cpu, const struct pb_weight *views, size_t n,
			       struct pb_packed **out, struct pb_error *err);
	void (*unpack)(struct pb_packed *packed);
	enum pb_status (*gemm)(struct pb_cpu *cpu, const struct pb_gemm *op, struct pb_error *err);
};
/* By oneDNN; NULL where the library is not. */
const struct pb_cpu_products *pb_cpu_dnnl(void);
/* By code of our own (gemm_plain.c), for each instruction set. */
const struct pb_cpu_products *pb_cpu_products_v2(void);
const struct pb_cpu_products *pb_cpu_products_v3(void);
const struct pb_cpu_products *pb_cpu_products_v4(void);
const struct pb_cpu_products *pb_cpu_products_base(void);

struct pb_cpu {
	struct pb_device base;
	int n_threads;
	char isa[48], description[192];
	const struct pb_cpu_products *products;
	/* Working memory of each thread, sized by prepare. */
	float **scratch; /* [n_threads] */
	size_t scratch_floats;
	struct pb_gemm_cache *gemm;
};

static inline struct pb_cpu *pb_cpu_of(struct pb_device *dev)
{
	return (struct pb_cpu *)dev;
}

/* Floats of scratch that a thread needs for attention over prompts of max_length tokens. */
size_t pb_cpu_scratch_floats(const struct pb_arch *arch, size_t max_length);

/* Work (multiply-adds, or elements moved) below which waking other threads costs more than it
 * saves. */
#define PB_WORTH_THREADS(work) ((work) >= (size_t)1 << 15)

/* The operations of PB_EACH_KERNEL are compiled for each instruction set. */
#define PB_CPU_DECLARE(name, args, isa)                                                            \
	enum pb_status pb_cpu_##name##_##isa(struct pb_device *, const struct args *,              \
					     struct pb_error *);
#define PB_CPU_V2(name, args) PB_CPU_DECLARE(name, args, v2)
#define PB_CPU_V3(name, args) PB_CPU_DECLARE(name, args, v3)
#define PB_CPU_V4(name, args) PB_CPU_DECLARE(name, args, v4)
#define PB_CPU_BASE(name, args) PB_CPU_DECLARE(name, args, base)
#if defined(__x86_64__)
PB_EACH_KERNEL(PB_CPU_V2)
PB_EACH_KERNEL(PB_CPU_V3)
PB_EACH_KERNEL(PB_CPU_V4)
#else
PB_EACH_KERNEL(PB_CPU_BASE)
#endif

/* Operations without arithmetic of their own, compiled once. */
enum pb_status pb_cpu_embed(struct pb_device *, const struct pb_embed *, struct pb_error *);
enum pb_status pb_cpu_matrix_rows(struct pb_device *, const struct pb_matrix_rows *,
				  struct pb_error *);
enum pb_status pb_cpu_matrix_columns(struct pb_device *, const struct pb_matrix_columns *,
				     struct pb_error *);

#endif
