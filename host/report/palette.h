/* Colours, and numbers for people. */
#ifndef PB_REPORT_PALETTE_H
#define PB_REPORT_PALETTE_H

#include <stddef.h>
#include <stdint.h>

/* ColorBrewer's RdBu of eleven steps, interpolated: white at zero, red above, blue below. It is
 * told apart with every usual colour blindness (Harrower and Brewer 2003,
 * doi:10.1179/000870403235002042). value: -1 .. 1, clamped; the page's script has the same table.
 */
uint32_t pb_diverging(double value);
/* The blues of it alone, from white: 0 .. 1. */
uint32_t pb_sequential(double value);
/* Okabe and Ito's eight, for kinds of things. */
uint32_t pb_category(size_t index);
/* Black or white, whichever is read on a background. */
uint32_t pb_ink_on(uint32_t background);

#endif
