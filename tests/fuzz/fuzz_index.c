/* model.safetensors.index.json of a checkpoint in one shard. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_keep("config.json");
	fuzz_keep("model-00001-of-00001.safetensors");
	fuzz_write("model.safetensors.index.json", data, size);
	fuzz_model(fuzz_folder);
	return 0;
}
