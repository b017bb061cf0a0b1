/* Which other pair a resampling intervention takes its activations from. */
#include "patchbay/pairs.h"

#define STREAM_RESAMPLE UINT64_C(0x726573616d706c65)

int32_t pb_pairs_resample(const struct pb_pairs *pairs, uint64_t seed, size_t pair)
{
	const size_t length = pairs->items[pair].length;
	size_t n = 0, chosen;
	struct pb_rng rng;

	for (size_t p = 0; p < pairs->n; p++)
		n += p != pair && pairs->items[p].length == length;
	if (n == 0)
		return -1;
	pb_rng_seed(&rng, STREAM_RESAMPLE, 0, seed, pair);
	chosen = (size_t)pb_rng_below(&rng, n);
	for (size_t p = 0;; p++) {
		if (p == pair || pairs->items[p].length != length)
			continue;
		if (chosen-- == 0)
			return (int32_t)p;
	}
}
