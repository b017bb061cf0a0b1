/* A GGUF file: the model and the tokenizer in it. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_write("model.gguf", data, size);
	fuzz_model(fuzz_path);
	fuzz_tokenizer(fuzz_path);
	return 0;
}
