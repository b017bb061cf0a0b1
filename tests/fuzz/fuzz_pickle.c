/* The pickle of a pytorch_model.bin by itself. */
#include "fuzz.h"
#include "model/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_error err = {0};
	struct pb_arena arena = {0};
	struct pb_pickle pickle = {0};

	fuzz_check(pb_pickle_read(&pickle, data, size, "data.pkl", &arena, &err), &err);
	pb_arena_free(&arena);
	return 0;
}
