/* Suggestions for mistyped words, by edit distance with swaps of neighbours. */
#include "config/nearest.h"

#include <string.h>

#define MAX_LENGTH 40 /* longer words get no suggestion */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance of two words of at most MAX_LENGTH bytes. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	size_t d[MAX_LENGTH + 1][MAX_LENGTH + 1];

	for (size_t i = 0; i <= n_a; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= n_b; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n_a; i++)
		for (size_t j = 1; j <= n_b; j++) {
			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
					d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[n_a][n_b];
}

const char *pb_nearest_word(const char *typed, const char *const *words, size_t n)
{
	const size_t length = strlen(typed);
	const size_t allowed = length >= 5 ? (length + 1) / 3 : 1;
	const char *best = NULL;
	size_t best_distance = allowed + 1;

	if (length == 0 || length > MAX_LENGTH)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t d, word_length;

		if (words[i] == NULL || (word_length = strlen(words[i])) > MAX_LENGTH)
			continue;
		d = distance(typed, length, words[i], word_length);
		if (d < best_distance) {
			best = words[i];
			best_distance = d;
		}
	}
	return best;
}
