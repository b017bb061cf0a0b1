/* Vectors that are added, and subspaces that are projected on: safetensors files of one tensor. */
#ifndef PB_MODEL_VECTOR_FILE_H
#define PB_MODEL_VECTOR_FILE_H

#include "patchbay/base.h"

/* values[layer][index][row][width]; n_layers and n_index are 1 where the tensor has no such axis,
 * and its one entry then holds for all layers or indices. */
struct pb_vectors {
	size_t n_layers, n_index, n_rows, width;
	float *values;
};

/* Reads tensor `name` (F32, F64, F16 or BF16; other tensors of the file are left alone) of shape
 * [width], [n_layers, width] or [n_layers, n_index, width]. With `rows` it is a subspace: [k,
 * width] or [n_layers, k, width] or [n_layers, n_index, k, width], k of 1 to width; the rows of
 * each subspace are made orthonormal, in float64 by modified Gram-Schmidt, twice. n_index is the
 * number of heads (or KV heads) of the site, 1 where it has none.
 *
 * PB_ERR_INPUT names the file, the tensor and the shapes that are wanted: no such tensor, another
 * dtype or shape, a value that is not finite (in float32), a row that depends on those before it
 * (what is left of it is below 1e-6 of its length). Freed by pb_vectors_free. */
enum pb_status pb_vectors_read(struct pb_vectors *out, const char *path, const char *name,
			       size_t n_layers, size_t n_index, size_t width, bool rows,
			       struct pb_error *err);
void pb_vectors_free(struct pb_vectors *vectors);

#endif
