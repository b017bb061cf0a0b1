/* Reading files in a process of its own. HDF5 1.10 trusts lengths in parts of a file that have no
 * checksum (the heap of texts), and crashes where they are damaged. There a crash is a verdict. */
#ifndef PB_RESULTS_CHILD_H
#define PB_RESULTS_CHILD_H

#include <stdio.h>

#include "patchbay/base.h"

typedef enum pb_status (*pb_child_work)(void *context, FILE *out, struct pb_error *err);

/* Do `work` in a child process; what it writes to its `out` comes to `out`, and its status and
 * error are returned. When it crashed: PB_ERR_CHECK that names the file in hand (pb_child_at, else
 * `path`), and *crashed, which may be NULL. Nothing else of the child's memory is seen here. */
enum pb_status pb_child_run(const char *path, pb_child_work work, void *context, FILE *out,
			    bool *crashed, struct pb_error *err);
/* Within `work`: the file that is read from here on. */
void pb_child_at(const char *path);

#endif
