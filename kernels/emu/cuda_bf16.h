/* bfloat16 of the emulated device: rounding to nearest even, as the hardware does. */
#ifndef PB_EMU_CUDA_BF16_H
#define PB_EMU_CUDA_BF16_H

#include <cuda_runtime.h>

struct __nv_bfloat16 {
	uint16_t bits;
};

static inline __nv_bfloat16 __float2bfloat16_rn(float x)
{
	uint32_t u;
	__nv_bfloat16 out;

	memcpy(&u, &x, sizeof u);
	if ((u & 0x7fffffffu) > 0x7f800000u)
		u |= 0x400000u; /* a NaN stays one */
	else
		u += 0x7fffu + (u >> 16 & 1u);
	out.bits = (uint16_t)(u >> 16);
	return out;
}

static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x)
{
	return x.bits;
}

static inline float __bfloat162float(__nv_bfloat16 x)
{
	uint32_t u = (uint32_t)x.bits << 16;
	float out;

	memcpy(&out, &u, sizeof out);
	return out;
}

#endif
