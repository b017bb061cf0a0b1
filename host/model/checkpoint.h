/* The weights of a model folder as one list of tensors, whatever files they lie in: one
 * model.safetensors, the shards that model.safetensors.index.json names, the same for
 * pytorch_model.bin, or a GGUF file. The first of these that is there counts. */
#ifndef PB_MODEL_CHECKPOINT_H
#define PB_MODEL_CHECKPOINT_H

#include <jansson.h>

#include "model/safetensors.h"

struct pb_checkpoint {
	char *path;                   /* of the only file, or of the index */
	struct pb_tensor_file *files; /* in the order of their names */
	size_t n_files;
	struct pb_arena arena;
	struct pb_tensor *tensors; /* of all files, sorted by name */
	size_t n_tensors;
	const char *passed_over; /* another kind of weights in the folder; NULL: none */
};

/* Up to eight names that a folder holds, for a message. */
void pb_list_folder(const char *path, char *text, size_t size);

/* Open the weights of a folder; one file goes before shards. Every tensor of the index must be in
 * the shard it names, every tensor of a shard in the index. PB_ERR_INPUT names file and tensor;
 * nothing is left open then. */
enum pb_status pb_checkpoint_open(struct pb_checkpoint *checkpoint, const char *folder,
				  struct pb_error *err);
/* The GGUF file that a path means: the path itself, or the only one of a folder without other
 * weights. *out is the caller's to free, NULL when it means none. PB_ERR_INPUT when there are
 * several. */
enum pb_status pb_checkpoint_find_gguf(char **out, const char *path, struct pb_error *err);
/* Open it; *config is the caller's, see gguf_file.h. */
enum pb_status pb_checkpoint_open_gguf(struct pb_checkpoint *checkpoint, json_t **config,
				       const char *path, struct pb_error *err);
void pb_checkpoint_close(struct pb_checkpoint *checkpoint);

/* NULL when there is no tensor of that name. */
struct pb_tensor *pb_checkpoint_find(const struct pb_checkpoint *checkpoint, const char *name);

/* The file that a tensor lies in, for messages; the checkpoint's path for NULL. */
const char *pb_checkpoint_path(const struct pb_checkpoint *checkpoint,
			       const struct pb_tensor *tensor);
/* Bytes of all files. */
size_t pb_checkpoint_bytes(const struct pb_checkpoint *checkpoint);

/* Tell the kernel that the whole pages within these bytes of a map are not needed for now. */
void pb_checkpoint_release(const struct pb_checkpoint *checkpoint, const void *data, size_t size);

#endif
