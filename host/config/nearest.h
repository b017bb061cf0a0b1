/* Suggestions for mistyped words. */
#ifndef PATCHBAY_CONFIG_NEAREST_H
#define PATCHBAY_CONFIG_NEAREST_H

#include <stddef.h>

/* The word among the n (NULLs are skipped) that `typed` most likely meant: fewest insertions,
 * deletions, substitutions and swaps of neighbours, at most about a third of its length.
 * NULL when none is that near. */
const char *pb_nearest_word(const char *typed, const char *const *words, size_t n);

#endif
