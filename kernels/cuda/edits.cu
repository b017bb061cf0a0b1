/* What interventions write into rows: a block column an edit, its rows and columns by the block's
 * threads. Products and sums are not fused (see the Makefile): a difference is rounded once. */
#include "cuda/cuda.h"

struct edits_args {
	const struct pb_edit *edits;
	size_t columns, out_stride, x0_stride, source_stride;
	float *out;
	const float *x0, *source;
};

static __global__ void edit_rows(struct edits_args g)
{
	const struct pb_edit e = g.edits[blockIdx.x];
	size_t n = (size_t)e.n_rows * g.columns;
	size_t step = (size_t)gridDim.y * blockDim.x;

	for (size_t at = (size_t)blockIdx.y * blockDim.x + threadIdx.x; at < n; at += step) {
		size_t i = at / g.columns, j = at % g.columns;
		float *out = g.out + ((size_t)e.row + i) * g.out_stride + e.column + j;
		float sum = e.own != 0.0f ? e.own * *out : 0.0f;

		if (e.base != 0.0f)
			sum += e.base * g.x0[((size_t)e.base_row + i) * g.x0_stride + e.column + j];
		if (e.source != 0.0f)
			sum +=
			    e.source * g.source[((size_t)e.source_row + i * (size_t)e.source_step) *
						    g.source_stride +
						e.source_column + j];
		*out = sum;
	}
}

enum pb_status pb_cuda_edits(struct pb_device *dev, const struct pb_edits *op, struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	struct edits_args g = {};
	size_t most = 0, tiles;
	void *edits = nullptr;

	if (op->n == 0)
		return PB_OK;
	for (size_t e = 0; e < op->n; e++)
		most = (size_t)op->edits[e].n_rows > most ? (size_t)op->edits[e].n_rows : most;
	tiles = (most * op->columns + 1023) / 1024;
	tiles = tiles < 1 ? 1 : tiles > 1024 ? 1024 : tiles;
	PB_DO(pb_cuda_stage(cuda, op->edits, op->n * sizeof *op->edits, &edits, err));
	g.edits = (const struct pb_edit *)edits;
	g.columns = op->columns;
	g.out_stride = op->out_stride;
	g.x0_stride = op->x0_stride;
	g.source_stride = op->source_stride;
	g.out = pb_floats(op->out);
	g.x0 = pb_floats(op->x0);
	g.source = pb_floats(op->source);
	PB_RUN(cuda, edit_rows, dim3((unsigned)op->n, (unsigned)tiles), dim3(256), 0, g);
	return PB_OK;
}
