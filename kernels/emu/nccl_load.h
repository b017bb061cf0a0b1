/* NCCL's stand-in is part of the emulated device; PB_EMU_NCCL=none hides it. */
#ifndef PB_NCCL_LOAD_H
#define PB_NCCL_LOAD_H

#include <nccl.h>

#include <cstdlib>
#include <cstring>

#define PB_HAS_NCCL 1

static inline bool pb_nccl_load()
{
	const char *hidden = getenv("PB_EMU_NCCL");

	return !hidden || strcmp(hidden, "none") != 0;
}
static inline const char *pb_nccl_why_not()
{
	return "PB_EMU_NCCL hides it";
}
#define PB_NCCL_FUNCTION(name) (&(name))

#endif
