/* A GGUF file as a checkpoint: its tensors under the names that the families know, and what its
 * metadata says as a config.json. */
#ifndef PB_MODEL_GGUF_FILE_H
#define PB_MODEL_GGUF_FILE_H

#include <jansson.h>

#include "model/gguf.h"
#include "model/safetensors.h"

/* Map and parse a file of the architectures llama, qwen2, qwen3, gemma, gemma2 and gemma3. Tensors
 * get the names of `transformers` and keep their blocks; *config is the caller's to release.
 * PB_ERR_INPUT names file and key or tensor; nothing is left open then. */
enum pb_status pb_gguf_file_open(struct pb_tensor_file *file, json_t **config, const char *path,
				 struct pb_error *err);

/* The config of a parsed file (gguf_config.c): keys of `transformers` with the values of the
 * metadata; keys of the architecture that say nothing here keep their own name. */
enum pb_status pb_gguf_config(json_t **out, const struct pb_gguf *gguf, struct pb_error *err);

#endif
