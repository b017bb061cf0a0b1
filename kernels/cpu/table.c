/* The cpu backend's table: opens the device, chooses the instruction set, keeps memory. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/kernels.h"

/* ---- memory ---------------------------------------------------------------------------------- */

/* Large memory is asked for in large pages: rows of one head lie a page or more apart, and small
 * pages would be looked up anew for each. Only whole large pages, so that no more is taken. */
#define LARGE_PAGE ((size_t)2 << 20)
#define LARGE_FROM (8 * LARGE_PAGE)

static void *alloc_pages(size_t bytes)
{
	const size_t page = bytes >= LARGE_FROM ? LARGE_PAGE : 64;
	const size_t rounded = bytes ? (bytes + page - 1) / page * page : page;
	void *address = rounded < bytes ? NULL : aligned_alloc(page, rounded);

#ifdef MADV_HUGEPAGE
	if (address && page == LARGE_PAGE) /* advice: where it is not taken nothing is amiss */
		(void)madvise(address, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
#endif
	return address;
}

static enum pb_status cpu_alloc(struct pb_device *dev, size_t bytes, struct pb_dev *out,
				struct pb_error *err)
{
	size_t rounded = (bytes + 63) / 64 * 64;

	(void)dev;
	if (rounded < bytes)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: %zu bytes", bytes);
	out->address = alloc_pages(rounded);
	if (!out->address)
		return pb_fail(err, PB_ERR_MEMORY,
			       "out of memory: %zu bytes: give less with --memory, or use a "
			       "smaller engine.chunk",
			       bytes);
	memset(out->address, 0, rounded);
	return PB_OK;
}

static void cpu_release(struct pb_device *dev, struct pb_dev memory)
{
	(void)dev;
	free(memory.address);
}

static enum pb_status cpu_copy(void *to, const void *from, size_t bytes)
{
	if (bytes)
		memcpy(to, from, bytes);
	return PB_OK;
}

static enum pb_status cpu_upload(struct pb_device *dev, struct pb_dev to, const void *from,
				 size_t bytes, struct pb_error *err)
{
	(void)dev;
	(void)err;
	return cpu_copy(to.address, from, bytes);
}

static enum pb_status cpu_download(struct pb_device *dev, void *to, struct pb_dev from,
				   size_t bytes, struct pb_error *err)
{
	(void)dev;
	(void)err;
	return cpu_copy(to, from.address, bytes);
}

static enum pb_status cpu_zero(struct pb_device *dev, struct pb_dev to, size_t bytes,
			       struct pb_error *err)
{
	(void)dev;
	(void)err;
	if (bytes)
		memset(to.address, 0, bytes);
	return PB_OK;
}

/* Rows enough to pack panels for every thread, few enough that the MLP's two products share a
 * cache.
 */
static struct pb_block_sizes cpu_block_sizes(struct pb_device *dev)
{
	(void)dev;
	return (struct pb_block_sizes){.rows = 1536, .variants = 128};
}

static size_t cpu_element_bytes(struct pb_device *dev)
{
	(void)dev;
	return sizeof(float);
}

static enum pb_status cpu_memory(struct pb_device *dev, size_t *available, struct pb_error *err)
{
	(void)dev;
	(void)err;
	*available = 0; /* it is the host's */
	return PB_OK;
}

/* Every operation is done when it returns, and none is launched. */
static uint64_t cpu_ticket(struct pb_device *dev)
{
	(void)dev;
	return 0;
}

static enum pb_status cpu_wait(struct pb_device *dev, uint64_t ticket, struct pb_error *err)
{
	(void)dev;
	(void)ticket;
	(void)err;
	return PB_OK;
}

/* Upper bound of what an attention operation takes for one task: the recipient's keys and values,
 * its patterns and queries, a variant's keys and values, the keys and patterns of a source of
 * edits, and a few rows; all with rows rounded to 16 floats. */
size_t pb_cpu_scratch_floats(const struct pb_arch *arch, size_t max_length)
{
	size_t t = (max_length + 31) / 16 * 16, k = (arch->d_head + 31) / 16 * 16;

	return 3 * k * t + 2 * t * k + t * k + 2 * t * t + 8 * (t + 3 * k) + 1024;
}

static size_t cpu_prepare_bytes(struct pb_device *dev, const struct pb_arch *arch,
				size_t max_length)
{
	size_t h = arch->gated ? 2 * arch->d_mlp : arch->d_mlp;
	size_t widest = arch->n_vocab > h ? arch->n_vocab : h;

	return (pb_cpu_scratch_floats(arch, max_length) * sizeof(float) +
		pb_cpu_of(dev)->products->worker_bytes(arch->d_model + h, widest + arch->d_model)) *
	       (size_t)pb_cpu_of(dev)->n_threads;
}

static enum pb_status cpu_prepare(struct pb_device *dev, const struct pb_arch *arch,
				  size_t max_length, struct pb_error *err)
{
	struct pb_cpu *cpu = pb_cpu_of(dev);
	size_t floats = pb_cpu_scratch_floats(arch, max_length);

	if (floats <= cpu->scratch_floats)
		return PB_OK;
	cpu->scratch_floats = 0; /* until all threads have theirs */
	for (int t = 0; t < cpu->n_threads; t++) {
		free(cpu->scratch[t]);
		cpu->scratch[t] = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
		if (!cpu->scratch[t])
			return pb_fail(err, PB_ERR_MEMORY,
				       "out of memory: attention over %zu tokens", max_length);
	}
	cpu->scratch_floats = floats;
	return PB_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void cpu_close(struct pb_device *dev)
{
	struct pb_cpu *cpu = pb_cpu_of(dev);

	if (cpu->products)
		cpu->products->close(cpu);
	for (int t = 0; cpu->scratch && t < cpu->n_threads; t++)
		free(cpu->scratch[t]);
	free(cpu->scratch);
	free(cpu);
}

static const char *cpu_describe(struct pb_device *dev)
{
	return pb_cpu_of(dev)->description;
}

static const char *cpu_isa(struct pb_device *dev)
{
	return pb_cpu_of(dev)->isa;
}

/* One entry an operation, by the list that declares them. */
static enum pb_status cpu_pack(struct pb_device *dev, const struct pb_weight *views, size_t n,
			       struct pb_packed **out, struct pb_error *err)
{
	return pb_cpu_of(dev)->products->pack(pb_cpu_of(dev), views, n, out, err);
}

static void cpu_unpack(struct pb_device *dev, struct pb_packed *packed)
{
	pb_cpu_of(dev)->products->unpack(packed);
}

static enum pb_status cpu_gemm(struct pb_device *dev, const struct pb_gemm *op,
			       struct pb_error *err)
{
	return pb_cpu_of(dev)->products->gemm(pb_cpu_of(dev), op, err);
}

static enum pb_status cpu_share(struct pb_device *dev, struct pb_team *team, struct pb_error *err)
{
	(void)dev;
	(void)team;
	(void)err;
	return PB_OK;
}

static enum pb_sharing cpu_sharing(struct pb_device *dev)
{
	(void)dev;
	return PB_SHARING_NOT;
}

/* Nothing is launched that could be held back. */
static enum pb_status cpu_graph_begin(struct pb_device *dev, uint64_t kind, struct pb_error *err)
{
	(void)dev;
	(void)kind;
	(void)err;
	return PB_OK;
}

static void cpu_graph_room(struct pb_device *dev, size_t bytes)
{
	(void)dev;
	(void)bytes;
}

static enum pb_status cpu_graph_end(struct pb_device *dev, enum pb_status status,
				    struct pb_error *err)
{
	(void)dev;
	(void)err;
	return status;
}

static struct pb_graph_counts cpu_graph_counts(struct pb_device *dev)
{
	(void)dev;
	return (struct pb_graph_counts){0};
}

#define PB_CPU_ENTRY_V2(name, args) .name = pb_cpu_##name##_v2,
#define PB_CPU_ENTRY_V3(name, args) .name = pb_cpu_##name##_v3,
#define PB_CPU_ENTRY_V4(name, args) .name = pb_cpu_##name##_v4,
#define PB_CPU_ENTRY_BASE(name, args) .name = pb_cpu_##name##_base,
#define PB_CPU_TABLE(entry)                                                                        \
	{                                                                                          \
		.name = "cpu", .close = cpu_close, .describe = cpu_describe, .isa = cpu_isa,       \
		.alloc = cpu_alloc, .release = cpu_release, .upload = cpu_upload,                  \
		.download = cpu_download, .zero = cpu_zero, .prepare = cpu_prepare,                \
		.prepare_bytes = cpu_prepare_bytes, .launches = cpu_ticket,                        \
		.block_sizes = cpu_block_sizes, .element_bytes = cpu_element_bytes,                \
		.memory = cpu_memory, .ticket = cpu_ticket, .wait = cpu_wait, .pack = cpu_pack,    \
		.unpack = cpu_unpack, .share = cpu_share, .sharing = cpu_sharing,                  \
		.graph_room = cpu_graph_room, .graph_begin = cpu_graph_begin,                      \
		.graph_end = cpu_graph_end, .graph_counts = cpu_graph_counts, .gemm = cpu_gemm,    \
		.embed = pb_cpu_embed, .matrix_rows = pb_cpu_matrix_rows,                          \
		.matrix_columns = pb_cpu_matrix_columns, PB_EACH_KERNEL(entry)                     \
	}

struct isa {
	const char *name;
	struct pb_ops ops;
	const struct pb_cpu_products *(*products)(void);
};

#if defined(__x86_64__)
static const struct isa isas[] = {
    {"x86-64-v4", PB_CPU_TABLE(PB_CPU_ENTRY_V4), pb_cpu_products_v4},
    {"x86-64-v3", PB_CPU_TABLE(PB_CPU_ENTRY_V3), pb_cpu_products_v3},
    {"x86-64-v2", PB_CPU_TABLE(PB_CPU_ENTRY_V2), pb_cpu_products_v2},
};

/* The features of the levels that compilers know by name; the rest of a level comes with them. */
static bool isa_runs(const char *name)
{
	bool v2, v3, v4;

	__builtin_cpu_init();
	v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
	v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	     __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
	v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	     __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
	     __builtin_cpu_supports("avx512vl");
	return strcmp(name, "x86-64-v4") == 0 ? v4 : strcmp(name, "x86-64-v3") == 0 ? v3 : v2;
}
#else
static const struct isa isas[] = {{"base", PB_CPU_TABLE(PB_CPU_ENTRY_BASE), pb_cpu_products_base}};

static bool isa_runs(const char *name)
{
	(void)name;
	return true;
}
#endif

#define N_ISAS (sizeof isas / sizeof isas[0])

/* The best instruction set that runs here; PB_CPU_ISA in the environment lowers it (for tests). */
static enum pb_status choose_isa(const struct isa **out, struct pb_error *err)
{
	const char *wanted = getenv("PB_CPU_ISA");

	for (size_t i = 0; i < N_ISAS; i++)
		if ((!wanted || !*wanted || strcmp(wanted, isas[i].name) == 0) &&
		    isa_runs(isas[i].name)) {
			*out = &isas[i];
			return PB_OK;
		}
	if (wanted && *wanted)
		return pb_fail(err, PB_ERR_INPUT,
			       "instruction set '%s' is unknown or does not run here: PB_CPU_ISA: "
			       "unset it, or use x86-64-v2, x86-64-v3 or x86-64-v4",
			       wanted);
	return pb_fail(err, PB_ERR_INPUT,
		       "this processor is too old: x86-64-v2 (SSE4.2) is needed at least");
}

/* oneDNN where it is; PB_CPU_PRODUCTS=plain does without (for tests). */
static void choose_products(struct pb_cpu *cpu, const struct isa *isa)
{
	const char *wanted = getenv("PB_CPU_PRODUCTS");
	bool plain = wanted && strcmp(wanted, "plain") == 0;

	cpu->products = plain ? NULL : pb_cpu_dnnl();
	snprintf(cpu->isa, sizeof cpu->isa, "%s", isa->name);
	if (cpu->products)
		return;
	cpu->products = isa->products();
	/* other rounding than oneDNN's */
	snprintf(cpu->isa, sizeof cpu->isa, "%s, own products", isa->name);
	if (!plain)
		pb_warn("oneDNN (libdnnl.so) is not on this machine: the cpu backend multiplies by "
			"code of its own, which is slower");
}

static void processor_name(char *out, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(out, size, "cpu");
	while (f && fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon) {
			colon[strcspn(colon, "\n")] = '\0';
			snprintf(out, size, "%s", colon + 2);
			break;
		}
	}
	if (f)
		fclose(f);
}

enum pb_status pb_cpu_open(struct pb_device **out, int n_threads, struct pb_error *err)
{
	struct pb_cpu *cpu = NULL;
	const struct isa *isa = NULL;
	char name[96];
	enum pb_status status;

	*out = NULL;
	PB_TRY(choose_isa(&isa, err));
	PB_TRY(pb_alloc((void **)&cpu, 1, sizeof *cpu, "the cpu backend", err));
	cpu->base.ops = &isa->ops;
	choose_products(cpu, isa);
	cpu->n_threads = n_threads;
	omp_set_num_threads(n_threads);
	PB_TRY(pb_alloc((void **)&cpu->scratch, (size_t)n_threads, sizeof *cpu->scratch,
			"the cpu backend's threads", err));
	PB_TRY(cpu->products->open(cpu, err));
	processor_name(name, sizeof name);
	snprintf(cpu->description, sizeof cpu->description, "%s, %s, %d thread%s, %s", name,
		 isa->name, n_threads, n_threads == 1 ? "" : "s", cpu->products->name());
	*out = &cpu->base;
	cpu = NULL;
cleanup:
	if (cpu)
		cpu_close(&cpu->base);
	return status;
}
