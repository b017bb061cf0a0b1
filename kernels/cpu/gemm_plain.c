/* Products without a library, where oneDNN is not there: weights in panels of as many columns as a
 * block of registers holds, padded with zeros. Each element is one chain of multiply-adds over n_in
 * in order, so that a row's bits depend on nothing else. */
#include <stdlib.h>

#include "cpu/isa.h"

#define PANEL (PB_BLOCK_VECS * PB_LANES) /* columns */
#define TILE_ROWS ((size_t)48)
#define TILE_INPUTS ((size_t)256) /* of a panel that stay in a cache while rows pass */

struct pb_packed {
	size_t n_in, n_out, n_panels;
	float *data; /* by panel: [n_in, its columns] */
};

/* Columns of a panel that are used, and that it has. */
static size_t columns_used(const struct pb_packed *w, size_t panel)
{
	size_t left = w->n_out - panel * PANEL;

	return left < PANEL ? left : PANEL;
}
static size_t columns_of(const struct pb_packed *w, size_t panel)
{
	return pb_round_lanes(columns_used(w, panel));
}

static const char *plain_name(void)
{
	return "products of its own (oneDNN is not here)";
}

static enum pb_status plain_open(struct pb_cpu *cpu, struct pb_error *err)
{
	(void)cpu;
	(void)err;
	return PB_OK;
}

static void plain_close(struct pb_cpu *cpu)
{
	(void)cpu;
}

static size_t plain_worker_bytes(size_t n_in, size_t n_out)
{
	(void)n_in;
	(void)n_out;
	return TILE_ROWS * PANEL * sizeof(float); /* on the stack */
}

static void plain_unpack(struct pb_packed *packed)
{
	if (packed) {
		free(packed->data);
		free(packed);
	}
}

/* Inputs i .. i+count-1 of all views, widened in `rows`, into their panels. */
static void fill(struct pb_packed *packed, const struct pb_weight *views, size_t n, size_t i,
		 size_t count, float *rows)
{
	size_t at = 0;

	for (size_t v = 0; v < n; v++) {
		pb_weight_rows(&views[v], i, count, rows + at, packed->n_out);
		at += pb_weight_n_out(&views[v]);
	}
	for (size_t r = 0; r < count; r++)
		for (size_t p = 0; p < packed->n_panels; p++) {
			float *panel = packed->data + p * PANEL * packed->n_in;

			memcpy(panel + (i + r) * columns_of(packed, p),
			       rows + r * packed->n_out + p * PANEL,
			       columns_used(packed, p) * sizeof(float));
		}
}

static enum pb_status plain_pack(struct pb_cpu *cpu, const struct pb_weight *views, size_t n,
				 struct pb_packed **out, struct pb_error *err)
{
	const size_t step = 32; /* inputs at a time */
	struct pb_packed *packed = NULL;
	float *rows = NULL;
	size_t bytes;
	enum pb_status status;

	(void)cpu;
	*out = NULL;
	PB_TRY(pb_alloc((void **)&packed, 1, sizeof *packed, "a packed weight", err));
	packed->n_in = views[0].n_in;
	for (size_t v = 0; v < n; v++)
		packed->n_out += pb_weight_n_out(&views[v]);
	packed->n_panels = (packed->n_out + PANEL - 1) / PANEL;
	bytes = pb_round_lanes(packed->n_out) * packed->n_in * sizeof(float);
	bytes = (bytes + 63) / 64 * 64;
	packed->data = aligned_alloc(64, bytes);
	if (!packed->data) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: %zu bytes for a packed weight",
				 bytes);
		goto cleanup;
	}
	memset(packed->data, 0, bytes); /* the columns behind the last one */
	PB_TRY(pb_alloc((void **)&rows, step * packed->n_out, sizeof *rows, "a weight being packed",
			err));
	for (size_t i = 0; i < packed->n_in; i += step)
		fill(packed, views, n, i, packed->n_in - i < step ? packed->n_in - i : step, rows);
	*out = packed;
	packed = NULL;
cleanup:
	plain_unpack(packed);
	free(rows);
	return status;
}

/* Rows row .. row+count-1 of y, in the columns of one panel. */
static void tile(const struct pb_gemm *op, size_t panel, size_t row, size_t count)
{
	const struct pb_packed *w = op->w;
	const float *x = pb_in(op->x) + row * op->x_stride, *bias = pb_in(op->bias);
	const float *b = w->data + panel * w->n_in * PANEL;
	size_t first = panel * PANEL, width = columns_of(w, panel);
	float sums[TILE_ROWS * PANEL] = {0};

	for (size_t i = 0; i < w->n_in; i += TILE_INPUTS)
		pb_mm(sums, PANEL, x + i, op->x_stride, b + i * width, width, count, width,
		      w->n_in - i < TILE_INPUTS ? w->n_in - i : TILE_INPUTS, true);
	for (size_t r = 0; r < count; r++) {
		float *y = pb_out(op->y) + (row + r) * op->y_stride + first;

		for (size_t c = 0; c < columns_used(w, panel); c++) {
			float v = sums[r * PANEL + c] + (bias ? bias[first + c] : 0.0f);

			y[c] = op->accumulate ? y[c] + v : v;
		}
	}
}

static enum pb_status plain_gemm(struct pb_cpu *cpu, const struct pb_gemm *op, struct pb_error *err)
{
	const struct pb_packed *w = op->w;
	size_t n_tiles = (op->m + TILE_ROWS - 1) / TILE_ROWS;

	(void)cpu;
	(void)err;
#pragma omp parallel for schedule(dynamic, 1) if (PB_WORTH_THREADS(op->m * w->n_in * w->n_out / 32))
	for (size_t i = 0; i < n_tiles * w->n_panels; i++) {
		size_t row = i % n_tiles * TILE_ROWS;

		tile(op, i / n_tiles, row, op->m - row < TILE_ROWS ? op->m - row : TILE_ROWS);
	}
	return PB_OK;
}

const struct pb_cpu_products *PB_KERNEL(products)(void)
{
	static const struct pb_cpu_products products = {.name = plain_name,
							.open = plain_open,
							.close = plain_close,
							.worker_bytes = plain_worker_bytes,
							.pack = plain_pack,
							.unpack = plain_unpack,
							.gemm = plain_gemm};

	return &products;
}
