/* Included by stats_sums.c, once for each width of registers: WIDTH numbers, TARGET the attribute
 * of functions that have them, NAME(x) names. TOGETHER sums grow side by side, so that an addition
 * need not wait for the one before it. */

typedef double NAME(vector) __attribute__((vector_size(8 * WIDTH), aligned(8), may_alias));
#define N_VECTORS (LANES / WIDTH)
#define ALWAYS TARGET static inline __attribute__((always_inline))

/* The sums of m resamples or flips, m a constant. */
ALWAYS void NAME(load)(NAME(vector) s[], const double *sums, size_t m)
{
#pragma GCC unroll 8
	for (size_t k = 0; k < m * N_VECTORS; k++)
		s[k] = ((const NAME(vector) *)sums)[k];
}

ALWAYS void NAME(store)(const NAME(vector) s[], double *sums, size_t m)
{
#pragma GCC unroll 8
	for (size_t k = 0; k < m * N_VECTORS; k++)
		((NAME(vector) *)sums)[k] = s[k];
}

ALWAYS void NAME(draw)(const double *rows, size_t n, const uint16_t *times, size_t stride, size_t m,
		       double *sums)
{
	NAME(vector) s[TOGETHER * N_VECTORS];
	double weights[TOGETHER][PB_STATS_UNITS_TOGETHER];

	for (size_t r = 0; r < m; r++)
		for (size_t i = 0; i < n; i++)
			weights[r][i] = times[r * stride + i];
	NAME(load)(s, sums, m);
	for (size_t i = 0; i < n; i++) {
		const NAME(vector) *row = (const NAME(vector) *)(rows + i * LANES);

#pragma GCC unroll 8
		for (size_t r = 0; r < m; r++)
#pragma GCC unroll 8
			for (size_t k = 0; k < N_VECTORS; k++)
				s[r * N_VECTORS + k] += row[k] * weights[r][i];
	}
	NAME(store)(s, sums, m);
}

TARGET static void NAME(drawn)(const double *rows, size_t n, const uint16_t *times, size_t stride,
			       size_t n_resamples, double *sums)
{
	size_t r = 0;

	for (; r + TOGETHER <= n_resamples; r += TOGETHER)
		NAME(draw)(rows, n, times + r * stride, stride, TOGETHER, sums + r * LANES);
	for (; r < n_resamples; r++)
		NAME(draw)(rows, n, times + r * stride, stride, 1, sums + r * LANES);
}

ALWAYS void NAME(flip)(const double *table, size_t n, const uint8_t *masks, size_t m, double *sums)
{
	NAME(vector) s[TOGETHER * N_VECTORS];

	NAME(load)(s, sums, m);
	for (size_t g = 0; g < n; g++)
#pragma GCC unroll 8
		for (size_t f = 0; f < m; f++) {
			const size_t row = g * 16 + masks[f * PB_STATS_RUN + g];
			const NAME(vector) *at = (const NAME(vector) *)(table + row * LANES);

#pragma GCC unroll 8
			for (size_t k = 0; k < N_VECTORS; k++)
				s[f * N_VECTORS + k] += at[k];
		}
	NAME(store)(s, sums, m);
}

TARGET static void NAME(flipped)(const double *table, size_t n, const uint8_t *masks,
				 size_t n_flips, double *sums)
{
	size_t f = 0;

	for (; f + TOGETHER <= n_flips; f += TOGETHER)
		NAME(flip)(table, n, masks + f * PB_STATS_RUN, TOGETHER, sums + f * LANES);
	for (; f < n_flips; f++)
		NAME(flip)(table, n, masks + f * PB_STATS_RUN, 1, sums + f * LANES);
}

#undef N_VECTORS
#undef ALWAYS
