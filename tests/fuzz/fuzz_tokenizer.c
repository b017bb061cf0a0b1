/* tokenizer.json. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_write("tokenizer.json", data, size);
	fuzz_tokenizer(fuzz_folder);
	return 0;
}
