/* Which memory is a map of which file, for the handler of SIGBUS. */
#ifndef PB_BASE_MAP_GUARD_H
#define PB_BASE_MAP_GUARD_H

#include <stddef.h>

#include "patchbay/status.h"

/* `path` is copied. PB_ERR_MEMORY. */
enum pb_status pb_map_guard_add(const void *data, size_t size, const char *path,
				struct pb_error *err);
/* Before it is unmapped. */
void pb_map_guard_remove(const void *data);

#endif
