/* Included by stats_sums.c, once for each width of registers: WIDTH numbers, TARGET the attribute
 * of functions that have them, NAME(x) names. */

typedef double NAME(vector) __attribute__((vector_size(8 * WIDTH), aligned(8)));
#define N_VECTORS (LANES / WIDTH)

TARGET static void NAME(drawn)(const double *rows, size_t n, const uint16_t *times, size_t stride,
			       size_t n_resamples, double *sums)
{
	for (size_t r = 0; r < n_resamples; r++) {
		NAME(vector) *sum = (NAME(vector) *)(sums + r * LANES);
		NAME(vector) s[N_VECTORS];

#pragma GCC unroll 4
		for (size_t k = 0; k < N_VECTORS; k++)
			s[k] = sum[k];
		for (size_t i = 0; i < n; i++) {
			const NAME(vector) *row = (const NAME(vector) *)(rows + i * LANES);
			const double weight = times[r * stride + i];

#pragma GCC unroll 4
			for (size_t k = 0; k < N_VECTORS; k++)
				s[k] += row[k] * weight;
		}
#pragma GCC unroll 4
		for (size_t k = 0; k < N_VECTORS; k++)
			sum[k] = s[k];
	}
}

TARGET static void NAME(flipped)(const double *table, size_t n, const uint8_t *masks,
				 size_t n_flips, double *sums)
{
	for (size_t f = 0; f < n_flips; f++) {
		const uint8_t *mask = masks + f * PB_STATS_RUN;
		NAME(vector) *sum = (NAME(vector) *)(sums + f * LANES);
		NAME(vector) s[N_VECTORS];

#pragma GCC unroll 4
		for (size_t k = 0; k < N_VECTORS; k++)
			s[k] = sum[k];
		for (size_t g = 0; g < n; g++) {
			const double *at = table + (g * 16 + mask[g]) * LANES;
			const NAME(vector) *row = (const NAME(vector) *)at;

#pragma GCC unroll 4
			for (size_t k = 0; k < N_VECTORS; k++)
				s[k] += row[k];
		}
#pragma GCC unroll 4
		for (size_t k = 0; k < N_VECTORS; k++)
			sum[k] = s[k];
	}
}

#undef N_VECTORS
