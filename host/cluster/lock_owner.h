/* Who holds a lock: a text of "key: value" lines, and whether that process is still there. */
#ifndef PB_CLUSTER_LOCK_OWNER_H
#define PB_CLUSTER_LOCK_OWNER_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/status.h"

/* This process, now: each text is another one. Freed with free(). */
enum pb_status pb_lock_owner_text(char **text, struct pb_error *err);
/* Whether the process that wrote `text` is gone; age_s: since it last touched the lock. Where it is
 * not known it is not gone. */
bool pb_lock_owner_is_gone(const char *text, double age_s);
/* "process 71 on node3, since 2026-01-02T03:04:05Z, SLURM job 12, user ada". */
void pb_lock_owner_describe(const char *text, char *out, size_t size);

#endif
