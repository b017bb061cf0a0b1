/* A reader of the pickles that torch.save writes: tensors and containers, nothing else. It is a
 * table of opcodes over a stack of values; no global is looked up, nothing is called, and any other
 * opcode or global is an error that names it. */
#ifndef PB_MODEL_PICKLE_H
#define PB_MODEL_PICKLE_H

#include "model/safetensors.h"

/* An entry of the saved dict: a view of a storage. */
struct pb_pickled_tensor {
	char *name;        /* in the arena */
	const char *dtype; /* as in safetensors: "F32", ... */
	size_t element_size;
	char *storage;    /* key of the record, in the arena */
	size_t n_storage; /* elements of it */
	size_t offset, n_dims, shape[PB_TENSOR_DIMS_MAX], stride[PB_TENSOR_DIMS_MAX]; /* elements */
};

struct pb_pickle {
	struct pb_pickled_tensor *tensors; /* in the arena, in the order of the file */
	size_t n;
};

/* Read a pickle of `size` bytes: a dict (or OrderedDict) from names to tensors. Memory and time
 * are bounded by the pickle's size. `path` is for messages. */
enum pb_status pb_pickle_read(struct pb_pickle *out, const unsigned char *data, size_t size,
			      const char *path, struct pb_arena *arena, struct pb_error *err);

#endif
