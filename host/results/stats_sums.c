/* Sums of eight lanes, with vectors of two, four or eight. (-std=c11 keeps gcc from fusing products
 * with sums, which would change their bits.) */
#include "results/stats_sums.h"

#include <string.h>

#define WIDE 4 /* sums at a time: one alone would wait for its own last addition */

/* NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses */
/* `width` sums from number k on, in vectors; a constant width is unrolled. */
#define SUMS(name, vector, n_vectors, attributes)                                                  \
	attributes static inline __attribute__((always_inline)) void weighted_few_##name(          \
	    union row *sums, const double *rows, const uint16_t *times, size_t stride, size_t n,   \
	    size_t width)                                                                          \
	{                                                                                          \
		vector s[WIDE][n_vectors];                                                         \
		size_t i, v, q;                                                                    \
                                                                                                   \
		memcpy(s, sums, width * sizeof *sums);                                             \
		for (i = 0; i < n; i++) {                                                          \
			const vector *row = (const vector *)(rows + i * LANES);                    \
                                                                                                   \
			for (q = 0; q < width; q++) {                                              \
				const double weight = times[q * stride + i];                       \
                                                                                                   \
				for (v = 0; v < (n_vectors); v++)                                  \
					s[q][v] += row[v] * weight;                                \
			}                                                                          \
		}                                                                                  \
		memcpy(sums, s, width * sizeof *sums);                                             \
	}                                                                                          \
	attributes static void weighted_##name(union row *sums, size_t n_sums, const double *rows, \
					       const uint16_t *times, size_t stride, size_t n)     \
	{                                                                                          \
		size_t k;                                                                          \
                                                                                                   \
		for (k = 0; k + WIDE <= n_sums; k += WIDE)                                         \
			weighted_few_##name(sums + k, rows, times + k * stride, stride, n, WIDE);  \
		for (; k < n_sums; k++)                                                            \
			weighted_few_##name(sums + k, rows, times + k * stride, stride, n, 1);     \
	}                                                                                          \
	attributes static inline __attribute__((always_inline)) void flipped_few_##name(           \
	    union row *sums, const double *table, size_t n_groups, const uint64_t *words,          \
	    size_t width)                                                                          \
	{                                                                                          \
		vector s[WIDE][n_vectors];                                                         \
		size_t g, v, q;                                                                    \
                                                                                                   \
		memcpy(s, sums, width * sizeof *sums);                                             \
		for (g = 0; g < n_groups; g++)                                                     \
			for (q = 0; q < width; q++) {                                              \
				const size_t m = words[q] >> (4 * g) & 15;                         \
				const vector *row =                                                \
				    (const vector *)(table + (g * 16 + m) * LANES);                \
                                                                                                   \
				for (v = 0; v < (n_vectors); v++)                                  \
					s[q][v] += row[v];                                         \
			}                                                                          \
		memcpy(sums, s, width * sizeof *sums);                                             \
	}                                                                                          \
	attributes static void flipped_##name(union row *sums, size_t n_sums, const double *table, \
					      size_t n_groups, const uint64_t *words)              \
	{                                                                                          \
		size_t k;                                                                          \
                                                                                                   \
		for (k = 0; k + WIDE <= n_sums; k += WIDE)                                         \
			flipped_few_##name(sums + k, table, n_groups, words + k, WIDE);            \
		for (; k < n_sums; k++)                                                            \
			flipped_few_##name(sums + k, table, n_groups, words + k, 1);               \
	}

/* NOLINTEND(bugprone-macro-parentheses) */
SUMS(two, two, 4, )

#if defined(__x86_64__) && defined(__GNUC__)
typedef double four __attribute__((vector_size(32), aligned(8)));
typedef double eight __attribute__((vector_size(64), aligned(8)));
SUMS(four, four, 2, __attribute__((target("avx"))))
SUMS(eight, eight, 1, __attribute__((target("avx512f"))))

struct pb_stats_sums pb_stats_sums_choose(void)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f"))
		return (struct pb_stats_sums){weighted_eight, flipped_eight};
	if (__builtin_cpu_supports("avx"))
		return (struct pb_stats_sums){weighted_four, flipped_four};
	return (struct pb_stats_sums){weighted_two, flipped_two};
}
#else
struct pb_stats_sums pb_stats_sums_choose(void)
{
	return (struct pb_stats_sums){weighted_two, flipped_two};
}
#endif
