/* Token and position embeddings. The tables stay in the checkpoint: the rows that the prompts use
 * are widened on the host, each once, and go up with the batch. */
#include "cuda/cuda.h"

#include <algorithm>
#include <cstdlib>

/* x[r] = scale e[slot[r]] (+ p[position slot]); 4 bytes a thread, rows contiguous. */
static __global__ void embed_rows(const float *e, const float *p, const int32_t *e_slot,
				  const int32_t *p_slot, float scale, size_t width, size_t n,
				  float *x)
{
	size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n) {
		size_t r = i / width, d = i % width;
		float v = e[(size_t)e_slot[r] * width + d];

		if (scale != 0.0f)
			v *= scale;
		if (p)
			v += p[(size_t)p_slot[r] * width + d];
		x[i] = v;
	}
}

/* The distinct rows of a table that `index` names, on the device, and where each row of the batch
 * finds its own. */
static enum pb_status send_rows(struct pb_cuda *cuda, const struct pb_weight *table,
				const int32_t *index, size_t n, struct pb_dev *rows, void **slots,
				struct pb_error *err)
{
	size_t width = pb_weight_n_out(table), distinct = 0;
	int32_t *sorted = nullptr, *slot = nullptr;
	void *row = nullptr;
	enum pb_status status;

	status = pb_alloc((void **)&sorted, 2 * n, sizeof *sorted, "embeddings", err);
	if (status == PB_OK)
		status = pb_alloc(&row, width, sizeof(float), "embeddings", err);
	if (status == PB_OK) {
		slot = sorted + n;
		std::copy(index, index + n, sorted);
		std::sort(sorted, sorted + n);
		distinct = (size_t)(std::unique(sorted, sorted + n) - sorted);
		for (size_t i = 0; i < n; i++)
			slot[i] = (int32_t)(std::lower_bound(sorted, sorted + distinct, index[i]) -
					    sorted);
		status = pb_cuda_alloc(&cuda->base, distinct * width * sizeof(float), rows, err);
	}
	for (size_t i = 0; status == PB_OK && i < distinct; i++) {
		pb_weight_rows(table, (size_t)sorted[i], 1, (float *)row, width);
		status = pb_cuda_upload(&cuda->base, pb_dev_row(*rows, i, width), row,
					width * sizeof(float), err);
	}
	if (status == PB_OK)
		status = pb_cuda_stage(cuda, slot, n * sizeof *slot, slots, err);
	free(sorted);
	free(row);
	return status;
}

static enum pb_status launch(struct pb_cuda *cuda, const struct pb_embed *op, struct pb_dev e,
			     struct pb_dev p, const void *e_slot, const void *p_slot,
			     struct pb_error *err)
{
	size_t n = op->n_rows * op->d_model;

	PB_RUN(cuda, embed_rows, pb_cover(n, 256), dim3(256), 0, pb_floats(e), pb_floats(p),
	       (const int32_t *)e_slot, (const int32_t *)p_slot, op->scale, op->d_model, n,
	       pb_floats(op->x));
	return PB_OK;
}

enum pb_status pb_cuda_embed(struct pb_device *dev, const struct pb_embed *op, struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	struct pb_dev e = {}, p = {};
	void *e_slot = nullptr, *p_slot = nullptr;
	enum pb_status status = PB_OK;

	if (op->n_rows == 0)
		return PB_OK;
	status = send_rows(cuda, op->embed, op->token, op->n_rows, &e, &e_slot, err);
	if (status == PB_OK && op->pos_embed)
		status = send_rows(cuda, op->pos_embed, op->position, op->n_rows, &p, &p_slot, err);
	if (status == PB_OK)
		status = launch(cuda, op, e, p, e_slot, p_slot, err);
	/* freeing waits for the kernel */
	pb_cuda_release(dev, e);
	pb_cuda_release(dev, p);
	return status;
}
