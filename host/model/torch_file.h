/* pytorch_model.bin: a zip file of a pickle and storages, as torch.save writes since 1.6. */
#ifndef PB_MODEL_TORCH_FILE_H
#define PB_MODEL_TORCH_FILE_H

#include "model/safetensors.h"

/* Map and check a file; its tensors are views of the map. Tensors may share a storage; each must be
 * contiguous. PB_ERR_INPUT with file and tensor otherwise; nothing is left open then. */
enum pb_status pb_torch_open(struct pb_tensor_file *file, const char *path, struct pb_error *err);

#endif
