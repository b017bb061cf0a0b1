/* A sweep's time on a GPU that is not here: what each kernel moves and computes a row, from the
 * model's shape, beside the card's peaks. Nothing is measured: it is the time that no
 * implementation of this work can beat, with the occupancy that registers and shared memory allow.
 */
#include <stdio.h>
#include <string.h>

#include "engine/sweeps.h"

/* Cards: dense peaks as their makers state them. */
struct gpu {
	const char *name, *title;
	int multiprocessors;
	double fp32, tf32, bf16; /* TFLOP/s, float32 sums */
	double bandwidth;        /* GB/s */
	double memory;           /* GiB */
	size_t shared, threads;  /* of a multiprocessor: bytes, threads */
};
static const struct gpu gpus[] = {
    {"a100", "NVIDIA A100 SXM 80 GB", 108, 19.5, 156.0, 312.0, 2039.0, 80.0, 164 << 10, 2048},
    {"a100-40", "NVIDIA A100 SXM 40 GB", 108, 19.5, 156.0, 312.0, 1555.0, 40.0, 164 << 10, 2048},
    {"h100", "NVIDIA H100 SXM", 132, 66.9, 494.7, 989.4, 3352.0, 80.0, 228 << 10, 2048},
    {"h100-pcie", "NVIDIA H100 PCIe", 114, 51.2, 378.0, 756.0, 2039.0, 80.0, 228 << 10, 2048},
    {"h200", "NVIDIA H200", 132, 66.9, 494.7, 989.4, 4800.0, 141.0, 228 << 10, 2048},
    {"b200", "NVIDIA B200", 148, 75.0, 1100.0, 2250.0, 8000.0, 180.0, 228 << 10, 2048},
    {"l40s", "NVIDIA L40S", 142, 91.6, 183.0, 362.0, 864.0, 48.0, 100 << 10, 1536},
    {"rtx4090", "NVIDIA GeForce RTX 4090", 128, 82.6, 82.6, 165.2, 1008.0, 24.0, 100 << 10, 1536},
    {"rtx5090", "NVIDIA GeForce RTX 5090", 170, 104.8, 104.8, 209.5, 1792.0, 32.0, 100 << 10, 1536},
};
#define N_GPUS (sizeof gpus / sizeof *gpus)

static const struct kernel {
	const char *name;
	size_t threads, registers;
} kernels[] = {
#define PB_GPU_KERNEL(name, threads, registers) {name, threads, registers},
#include "cuda/kernels.def"
#undef PB_GPU_KERNEL
};
#define N_KERNELS (sizeof kernels / sizeof *kernels)

/* Registers of a multiprocessor, how they are dealt out to a warp, and blocks at most. */
#define REGISTERS ((size_t)65536)
#define REGISTER_UNIT ((size_t)256)
#define BLOCKS_MOST ((size_t)32)

static const struct kernel *kernel_named(const char *name)
{
	for (size_t i = 0; i < N_KERNELS; i++)
		if (strcmp(kernels[i].name, name) == 0)
			return &kernels[i];
	return NULL;
}

/* What a kernel does for one row of one layer. */
struct share {
	const char *kernel;
	double bytes, flops;
	size_t shared; /* bytes of a block */
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t blocks_resident(const struct gpu *g, const struct kernel *k, size_t shared)
{
	size_t a_warp = (k->registers * 32 + REGISTER_UNIT - 1) / REGISTER_UNIT * REGISTER_UNIT;
	size_t n = least(BLOCKS_MOST, g->threads / k->threads);

	n = least(n, REGISTERS / (a_warp * (k->threads / 32)));
	return shared ? least(n, g->shared / (shared + 1024)) : n;
}

/* The delta kernel for a head width. */
static const char *attend_kernel(size_t d_head)
{
	return d_head <= 32    ? "attend_delta<1>"
	       : d_head <= 64  ? "attend_delta<2>"
	       : d_head <= 128 ? "attend_delta<4>"
			       : "attend_delta<8>";
}

/* Kernels of one layer under way, in order, for prompts of about `keys` visible keys. Bytes are of
 * rows of the wave; what all variants of a pair read (its cache) stays in the cache of the card. */
static size_t list_shares(const struct pb_arch *a, enum pb_precision precision, double keys,
			  struct share *out)
{
	double D = (double)a->d_model, Z = (double)pb_z_width(a), Q = (double)pb_qkv_width(a);
	double F = (double)a->d_mlp, H = (double)pb_h_width(a), K = (double)a->d_head;
	double rotated = (double)(a->n_heads + a->n_kv_heads) * (double)a->rotary_dims;
	/* what products read alone is left in their precision */
	double operand = precision == PB_PRECISION_BF16 ? 2.0 : 4.0;
	size_t n = 0, length = (size_t)(2.0 * keys), rows = (length + 1) / 2;
	/* float4s of a head's row in shared memory, as in attention_tiles.h */
	size_t quads = a->d_head <= 32 ? 8 : a->d_head <= 64 ? 16 : a->d_head <= 128 ? 32 : 64;

	out[n++] = (struct share){"norm_delta_rows", 2.0 * (4.0 + operand) * D, 2.0 * 12.0 * D, 0};
	if (a->rotary_dims)
		out[n++] = (struct share){"rotate", 8.0 * rotated, 3.0 * rotated, 0};
	if (a->qk_norm != PB_QK_NORM_NONE)
		out[n++] = (struct share){"head_norms", 12.0 * (Q - Z), 16.0 * (Q - Z), 0};
	/* scores and sums over values, over changed ones once more; the recipient's are shared. A
	 * prompt in one tile, three strips of eight rows */
	out[n++] = (struct share){
	    attend_kernel(a->d_head), 4.0 * Q + operand * Z,
	    keys * (double)a->n_heads * (5.0 * K + 30.0),
	    16 * (length * (2 * quads + 1) + rows * quads + 3 * (8 * quads + 4 * length))};
	out[n++] = (struct share){"activate_delta", 4.0 * H + operand * F, 20.0 * F, 0};
	return n;
}

static const struct gpu *gpu_named(const char *name)
{
	for (size_t i = 0; i < N_GPUS; i++)
		if (strcmp(gpus[i].name, name) == 0)
			return &gpus[i];
	return NULL;
}

enum pb_status pb_gpu_model_check(const char *name, struct pb_error *err)
{
	char known[256] = "";

	if (gpu_named(name))
		return PB_OK;
	for (size_t i = 0; i < N_GPUS; i++)
		snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
			 gpus[i].name);
	return pb_fail(err, PB_ERR_INPUT, "no such card: --device %s: known are %s", name, known);
}

static void print_head(const struct gpu *g, double rate, enum pb_precision precision, double moved,
		       double per_row, double products, FILE *out)
{
	fprintf(out,
		"\n%s: %d multiprocessors, %.0f TFLOP/s %s, %.0f GB/s, %.0f GiB (peaks; "
		"nothing is measured)\n",
		g->title, g->multiprocessors, rate, pb_precision_names[precision], g->bandwidth,
		g->memory);
	fprintf(out, "%-18s %5s %7s %7s %10s %10s %10s %10s\n", "kernel", "regs", "threads",
		"shared", "occupancy", "bytes/row", "FLOP/row", "seconds");
	fprintf(out, "%-18s %5s %7s %7s %10s %10.0f %10.0f %10.3g\n", "products", "", "", "", "",
		moved, per_row, products);
}

static void print_kernel(const struct gpu *g, const struct kernel *k, const struct share *share,
			 double seconds, FILE *out)
{
	size_t blocks = blocks_resident(g, k, share->shared);

	fprintf(out, "%-18s %5zu %7zu %7zu %9.0f%% %10.0f %10.0f %10.3g\n", k->name, k->registers,
		k->threads, share->shared,
		100.0 * (double)(blocks * k->threads) / (double)g->threads, share->bytes,
		share->flops, seconds);
}

double pb_gpu_model_print(const char *name, const struct pb_arch *a, const struct pb_plan *plan,
			  enum pb_precision precision, size_t longest, FILE *out)
{
	const struct gpu *g = gpu_named(name);
	double D = (double)a->d_model, Q = (double)pb_qkv_width(a), Z = (double)pb_z_width(a);
	double per_row = 2.0 * (D * Q + Z * D + D * (double)pb_h_width(a) + (double)a->d_mlp * D);
	double rows = plan->flops / per_row; /* rows of a layer: one row through one block */
	double rate = precision == PB_PRECISION_BF16   ? g->bf16
		      : precision == PB_PRECISION_TF32 ? g->tf32
						       : g->fp32;
	double element = precision == PB_PRECISION_BF16 ? 2.0 : 4.0;
	double moved = element * (2.0 * D + Z + (double)a->d_mlp) +
		       4.0 * (Q + 4.0 * D + (double)pb_h_width(a));
	double compute = plan->flops / (rate * 1e12), memory = rows * moved / (g->bandwidth * 1e9);
	double products = compute > memory ? compute : memory, rest = 0.0;
	struct share shares[8];
	size_t n = list_shares(a, precision, (double)longest / 2.0, shares);

	if (out)
		print_head(g, rate, precision, moved, per_row, products, out);
	for (size_t i = 0; i < n; i++) {
		const struct kernel *k = kernel_named(shares[i].kernel);
		double by_bytes = rows * shares[i].bytes / (g->bandwidth * 1e9);
		double by_flops = rows * shares[i].flops / (g->fp32 * 1e12);
		double seconds = by_bytes > by_flops ? by_bytes : by_flops;

		rest += seconds;
		if (out)
			print_kernel(g, k, &shares[i], seconds, out);
	}
	if (out)
		fprintf(out,
			"roofline    %.3g s of products and %.3g s beside them: %.3g s at best\n",
			products, rest, products + rest);
	return products + rest;
}
