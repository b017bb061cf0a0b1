/* Where the program's plugins lie. */
#ifndef PB_BASE_PLUGIN_H
#define PB_BASE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

/* The first of these files (*which of them) that a folder has: PB_PLUGIN_DIR, the program's own
 * folder, ../lib/patchbay beside it. False when there is none. */
bool pb_plugin_find(const char *const *files, size_t n_files, char *path, size_t size,
		    size_t *which);

#endif
