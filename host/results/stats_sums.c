/* Sums of resamples and of sign flips, in registers of two widths. (Vectors wider than a register
 * are split by the compiler through memory.) */
#include "results/stats_sums.h"

#include "results/stats_tile.h"

#define NAME(x) x##_two
#define WIDTH 2
#define TOGETHER 2
#define TARGET
#include "results/stats_sums_of.h"
#undef NAME
#undef WIDTH
#undef TOGETHER
#undef TARGET

const struct pb_stats_sums pb_stats_sums_two = {.drawn = drawn_two, .flipped = flipped_two};

#ifdef __x86_64__

#define NAME(x) x##_four
#define WIDTH 4
#define TOGETHER 4
#define TARGET __attribute__((target("avx2")))
#include "results/stats_sums_of.h"
#undef NAME
#undef WIDTH
#undef TOGETHER
#undef TARGET

const struct pb_stats_sums pb_stats_sums_four = {.drawn = drawn_four, .flipped = flipped_four};

const struct pb_stats_sums *pb_stats_sums_best(void)
{
	return __builtin_cpu_supports("avx2") ? &pb_stats_sums_four : &pb_stats_sums_two;
}

#else

const struct pb_stats_sums pb_stats_sums_four = {.drawn = drawn_two, .flipped = flipped_two};

const struct pb_stats_sums *pb_stats_sums_best(void)
{
	return &pb_stats_sums_two;
}

#endif
