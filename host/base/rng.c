/* Random numbers: xoshiro256** 1.0 and SplitMix64 (Blackman and Vigna, public domain). The
 * streams are part of what a seed means: changing one changes every generated prompt. */
#include "patchbay/base.h"

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void pb_rng_seed(struct pb_rng *rng, uint64_t task, uint64_t cell, uint64_t seed, uint64_t index)
{
	const uint64_t words[4] = {task, cell, seed, index};
	uint64_t state = 0;
	int i;

	/* Absorb one word at a time: the order matters, so (1, 0, ...) and (0, 1, ...) differ. */
	for (i = 0; i < 4; i++) {
		state ^= words[i];
		state = splitmix64(&state);
	}
	/* Four successive outputs of SplitMix64 are never all zero. */
	for (i = 0; i < 4; i++)
		rng->s[i] = splitmix64(&state);
}

uint64_t pb_rng_next(struct pb_rng *rng)
{
	uint64_t *s = rng->s;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t pb_rng_below(struct pb_rng *rng, uint64_t bound)
{
	/* The 2^64 mod bound smallest values are rejected: a multiple of bound remains. */
	uint64_t threshold = (0 - bound) % bound;
	uint64_t x;

	do {
		x = pb_rng_next(rng);
	} while (x < threshold);
	return x % bound;
}

double pb_rng_unit(struct pb_rng *rng)
{
	return (double)(pb_rng_next(rng) >> 11) * 0x1.0p-53;
}

void pb_rng_shuffle(struct pb_rng *rng, uint32_t *values, size_t n)
{
	size_t i;

	for (i = n; i > 1; i--) {
		size_t j = (size_t)pb_rng_below(rng, i);
		uint32_t swap = values[i - 1];

		values[i - 1] = values[j];
		values[j] = swap;
	}
}

void pb_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
	uint32_t k0 = key[0], k1 = key[1];

	for (int round = 0; round < 10; round++) {
		uint64_t a = UINT64_C(0xD2511F53) * c[0], b = UINT64_C(0xCD9E8D57) * c[2];
		uint32_t high_a = (uint32_t)(a >> 32), high_b = (uint32_t)(b >> 32);

		c[0] = high_b ^ c[1] ^ k0;
		c[2] = high_a ^ c[3] ^ k1;
		c[1] = (uint32_t)b;
		c[3] = (uint32_t)a;
		k0 += UINT32_C(0x9E3779B9);
		k1 += UINT32_C(0xBB67AE85);
	}
	for (int i = 0; i < 4; i++)
		out[i] = c[i];
}
