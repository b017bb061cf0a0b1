/* Weights that were quantised in blocks, as GGUF files hold them. */
#ifndef PB_MODEL_DTYPE_BLOCKS_H
#define PB_MODEL_DTYPE_BLOCKS_H

#include "patchbay/model.h"

/* Elements that are decoded at a time: a whole block, or a part of one of 256. */
#define PB_BLOCK_PART 32

/* Half precision, widened exactly. */
float pb_widen_f16(uint16_t half);

/* out[0..31] = elements 32 * part + 0..31 of an array of a block type. */
void pb_block_decode(const void *data, enum pb_dtype dtype, size_t part, float *out);

#endif
