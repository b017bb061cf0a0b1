/* How a kernel is launched, and its shared memory; kernels/emu/launch.h is the emulated one. */
#ifndef PB_CUDA_LAUNCH_H
#define PB_CUDA_LAUNCH_H

#include <cuda_runtime.h>

#define PB_EMULATED 0
#define PB_UNROLL _Pragma("unroll")
#define PB_UNROLL_ONCE _Pragma("unroll 1")
#define PB_UNROLL_TWICE _Pragma("unroll 2")
#define PB_SHARED(type, name)                                                                      \
	extern __shared__ __align__(16) unsigned char pb_shared_memory[];                          \
	type *name = reinterpret_cast<type *>(pb_shared_memory)
/* A kernel that is a template with several arguments stands in parentheses. */
#define PB_LAUNCH(kernel, grid, block, shared, stream, ...)                                        \
	kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)

#endif
