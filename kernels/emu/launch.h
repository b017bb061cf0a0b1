/* How a kernel is launched on the emulated device; kernels/cuda/launch.h is the real one. */
#ifndef PB_EMU_LAUNCH_H
#define PB_EMU_LAUNCH_H

#include <cuda_runtime.h>

#include <tuple>

#define PB_EMULATED 1
#define PB_UNROLL
#define PB_UNROLL_ONCE
#define PB_UNROLL_TWICE
#define PB_SHARED(type, name) type *name = (type *)pb_emu_shared()
#define PB_LAUNCH(kernel, grid, block, shared, stream, ...)                                        \
	pb_emu_start(kernel, grid, block, shared, stream, __VA_ARGS__)

/* The arguments are taken at the launch, as they are on a GPU, whenever the kernel runs. */
template <typename... P, typename... A>
static inline void pb_emu_start(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
				cudaStream_t stream, A... arguments)
{
	std::tuple<P...> taken(arguments...);

	pb_emu_launch((const void *)kernel, grid, block, shared, stream,
		      [=] { std::apply(kernel, taken); });
}

#endif
