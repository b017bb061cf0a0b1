/* Finding a plugin's file. */
#include "base/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Folder number `i` to look in; it may be "". False when there is no further one. */
static bool plugin_folder(size_t i, char *out, size_t size)
{
	const char *given = getenv("PB_PLUGIN_DIR");
	ssize_t n;
	char *slash;

	if (i == 0) {
		snprintf(out, size, "%s", given ? given : "");
		return true;
	}
	n = readlink("/proc/self/exe", out, size - 1);
	if (i > 2 || n <= 0)
		return false;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (slash)
		*slash = '\0';
	n = (ssize_t)strlen(out);
	if (i == 2)
		snprintf(out + n, size - (size_t)n, "/../lib/patchbay");
	return true;
}

bool pb_plugin_find(const char *const *files, size_t n_files, char *path, size_t size,
		    size_t *which)
{
	char folder[4096];

	for (size_t i = 0; plugin_folder(i, folder, sizeof folder - 32); i++)
		for (size_t f = 0; *folder && f < n_files; f++) {
			snprintf(path, size, "%s/%s", folder, files[f]);
			*which = f;
			if (access(path, R_OK) == 0)
				return true;
		}
	return false;
}
