/* config.json beside the weights of a small Llama. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_keep("model.safetensors");
	fuzz_write("config.json", data, size);
	fuzz_model(fuzz_folder);
	return 0;
}
