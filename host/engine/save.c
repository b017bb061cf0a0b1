/* save: the activations of the base runs, for the result file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sweeps.h"

/* Rows of one layer of a site into [pair, layer, index, position, width], NaN past a prompt's end.
 */
static void spread(const struct pb_chunk_run *run, int side, const float *rows,
		   const struct pb_place *at, size_t layer, size_t n_layers, size_t n_index,
		   size_t width, float *out)
{
	size_t T = run->all->max_length;

	for (size_t p = 0; p < run->n_pairs; p++) {
		const struct pb_span *span = &run->batch.spans[2 * p + (size_t)side];

		for (size_t h = 0; h < n_index; h++)
			for (size_t i = 0; i < (size_t)span->length; i++)
				memcpy(out +
					   (((p * n_layers + layer) * n_index + h) * T + i) * width,
				       rows + ((size_t)span->base + i) * at->stride + at->column +
					   h * width,
				       width * sizeof *out);
	}
}

static enum pb_status save_site(struct pb_engine *e, const struct pb_chunk_run *run,
				enum pb_site site, float *const out[2], struct pb_error *err)
{
	size_t layers, index, width;
	float *rows = NULL;
	enum pb_status status = PB_OK;

	pb_site_shape(&e->arch, site, 1, &layers, &index, &width);
	for (size_t l = 0; l < layers; l++) {
		struct pb_place at =
		    pb_cache_place(&e->arch, &run->cache, site, l, index > 1 ? 0 : -1);

		free(rows);
		rows = NULL;
		PB_TRY(pb_alloc((void **)&rows, run->batch.n_rows * at.stride, sizeof *rows,
				"activations", err));
		PB_TRY(e->ops->download(e->dev, rows, at.array,
					run->batch.n_rows * at.stride * sizeof *rows, err));
		for (int side = 0; side < 2; side++)
			spread(run, side, rows, &at, l, layers, index, width, out[side]);
	}
cleanup:
	free(rows);
	return status;
}

/* Patterns prompt by prompt: [pair, layer, head, query, key]. */
static enum pb_status save_patterns(struct pb_engine *e, const struct pb_chunk_run *run,
				    float *const out[2], struct pb_error *err)
{
	size_t T = run->all->max_length, H = e->arch.n_heads, L = e->arch.n_layers;
	struct pb_dev room = {0};
	float *a = NULL;
	enum pb_status status;

	PB_TRY(e->ops->alloc(e->dev, H * T * T * sizeof(float), &room, err));
	PB_TRY(pb_alloc((void **)&a, H * T * T, sizeof *a, "patterns", err));
	for (size_t i = 0; i < 2 * run->n_pairs; i++)
		for (size_t l = 0; l < L; l++) {
			size_t length = run->pairs[i / 2].length;
			float *to = out[i % 2] + ((i / 2) * L + l) * H * T * T;
			struct pb_patterns op = {.heads = e->layers[l].heads,
						 .n_prompts = 1,
						 .prompts = &run->batch.spans[i],
						 .max_length = T,
						 .qkv = run->cache.qkv[l],
						 .a = room};

			PB_TRY(e->ops->patterns(e->dev, &op, err));
			PB_TRY(e->ops->download(e->dev, a, room, H * T * T * sizeof *a, err));
			for (size_t h = 0; h < H; h++)
				for (size_t q = 0; q < length; q++)
					memcpy(to + (h * T + q) * T, a + (h * T + q) * T,
					       length * sizeof *a);
		}
cleanup:
	free(a);
	if (room.address)
		e->ops->release(e->dev, room);
	return status;
}

enum pb_status pb_save_activations(struct pb_engine *e, const struct pb_chunk_run *run,
				   struct pb_chunk_values *values, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (int site = 0; site < PB_N_SITES; site++) {
		float *const out[2] = {values->saved[0][site], values->saved[1][site]};

		if (!out[0])
			continue;
		if (site == PB_SITE_PATTERN)
			PB_TRY(save_patterns(e, run, out, err));
		else
			PB_TRY(save_site(e, run, (enum pb_site)site, out, err));
	}
cleanup:
	return status;
}
