/* pytorch_model.bin, the whole archive, beside the config.json of a small Llama. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_keep("config.json");
	fuzz_write("pytorch_model.bin", data, size);
	fuzz_model(fuzz_folder);
	return 0;
}
