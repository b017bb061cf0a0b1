/* The frequencies of the rotary embedding. */
#include <math.h>

#include "patchbay/model.h"

void pb_rope_frequencies(size_t dims, double base, float *frequency)
{
	/* A float32 power of the base, then its float32 reciprocal. */
	for (size_t i = 0; i < dims / 2; i++)
		frequency[i] =
		    (float)(1.0 / (double)(float)pow(base, 2.0 * (double)i / (double)dims));
}
