/* Colours. */
#include "report/palette.h"

#include <math.h>

static const uint32_t rdbu[11] = {0x053061, 0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0, 0xf7f7f7,
				  0xfddbc7, 0xf4a582, 0xd6604d, 0xb2182b, 0x67001f};

static uint32_t mix(uint32_t a, uint32_t b, double part)
{
	uint32_t out = 0;
	int shift;

	for (shift = 16; shift >= 0; shift -= 8) {
		const double x = a >> shift & 255, y = b >> shift & 255;

		out |= (uint32_t)lround(x + part * (y - x)) << shift;
	}
	return out;
}

uint32_t pb_diverging(double value)
{
	const double at = (fmin(fmax(value, -1), 1) + 1) * 5;
	const int i = at >= 10 ? 9 : (int)at;

	return mix(rdbu[i], rdbu[i + 1], at - i);
}

uint32_t pb_sequential(double value)
{
	return pb_diverging(-fmin(fmax(value, 0), 1));
}

uint32_t pb_category(size_t index)
{
	static const uint32_t colours[8] = {0x0072b2, 0xe69f00, 0x009e73, 0xcc79a7,
					    0x56b4e9, 0xd55e00, 0xf0e442, 0x999999};

	return colours[index % 8];
}

static double linear(uint32_t colour, int shift)
{
	const double x = (colour >> shift & 255) / 255.0;

	return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

/* The relative luminance of WCAG 2, at which black and white have the same contrast. */
#define AS_FAR 0.179

uint32_t pb_ink_on(uint32_t background)
{
	const double light = 0.2126 * linear(background, 16) + 0.7152 * linear(background, 8) +
			     0.0722 * linear(background, 0);

	return light > AS_FAR ? 0x000000 : 0xffffff;
}
