/* Quantiles by selection. */
#include "results/stats.h"

/* Reorder x so that x[k] is what sorting would put there, nothing larger before it and nothing
 * smaller after it (Hoare's selection). */
static void select_kth(double *x, size_t n, size_t k)
{
	size_t low = 0, high = n - 1;

	while (low < high) {
		double pivot = x[low + (high - low) / 2];
		size_t i = low, j = high;

		for (;;) {
			double swap;

			while (x[i] < pivot)
				i++;
			while (x[j] > pivot)
				j--;
			if (i >= j)
				break;
			swap = x[i];
			x[i++] = x[j];
			x[j--] = swap;
		}
		/* x[low..j] <= pivot <= x[j+1..high]; where i == j, x[j] is the pivot itself. */
		if (k <= j)
			high = j;
		else
			low = j + 1;
	}
}

double pb_quantile(double *x, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t k = (size_t)at, i;
	double next;

	select_kth(x, n, k);
	if (k + 1 >= n)
		return x[k];
	next = x[k + 1];
	for (i = k + 2; i < n; i++)
		if (x[i] < next)
			next = x[i];
	return x[k] + (at - (double)k) * (next - x[k]);
}
