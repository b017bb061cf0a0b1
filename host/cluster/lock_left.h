/* Lock files as they are found, and what processes that are gone left of them. */
#ifndef PB_CLUSTER_LOCK_LEFT_H
#define PB_CLUSTER_LOCK_LEFT_H

#include <stdbool.h>

#define PB_LOCK_TEXT_MOST 4096

/* A lock file. */
struct pb_lock_found {
	char text[PB_LOCK_TEXT_MOST];
	double touched; /* seconds of the file system's clock */
};

/* False where there is no such file (errno ENOENT), or it cannot be read. */
bool pb_lock_look(const char *path, struct pb_lock_found *found);

/* Remove what processes that are gone left on their way to the lock `path`, which is this
 * process's:
 * "<path>.<host>.<pid>", and claims "<path>.<12 digits>" on older owners, good for nothing any
 * more. The lock's own time is the file system's. */
void pb_lock_clean(const char *path);
/* Whether there is a file `path` or "<path>.*". */
bool pb_lock_leaves_any(const char *path);

#endif
