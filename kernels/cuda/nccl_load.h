/* NCCL's functions, looked up where several GPUs meet and nowhere else: machines without NCCL run
 * everything else. kernels/emu/nccl_load.h is for the emulated device. */
#ifndef PB_NCCL_LOAD_H
#define PB_NCCL_LOAD_H

#if __has_include(<nccl.h>)
#define PB_HAS_NCCL 1
#include <dlfcn.h>
#include <nccl.h>

static void *pb_nccl_library;

static inline bool pb_nccl_load()
{
	if (!pb_nccl_library)
		pb_nccl_library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
	return pb_nccl_library != nullptr;
}
static inline const char *pb_nccl_why_not()
{
	return dlerror();
}
#define PB_NCCL_FUNCTION(name) reinterpret_cast<decltype(&name)>(dlsym(pb_nccl_library, #name))
#else
#define PB_HAS_NCCL 0
#endif

#endif
