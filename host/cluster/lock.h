/* One writer an output: "<output>.lock", beside the parts.
 *
 * The lock is a file that says who holds it. It is made whole under another name and linked to its
 * own, which one process alone can do, on network file systems too and without fcntl or flock;
 * where there are no hard links it is made with O_EXCL. Its owner touches it every minute.
 *
 * A lock whose owner is gone is taken over: on this machine (same boot, same process namespace)
 * when there is no process of that number and start time; elsewhere when the owner's SLURM job is
 * known to be gone, or was started again since, or when nobody has touched the lock for five
 * minutes (by the file system's own clock). Whoever takes over first makes a claim, a lock of the
 * same kind whose name is the old owner's, so that one alone replaces the lock, and looks again
 * whether it is still the old one. */
#ifndef PB_CLUSTER_LOCK_H
#define PB_CLUSTER_LOCK_H

#include "patchbay/status.h"

struct pb_lock;

#define PB_LOCK_HEARTBEAT_S 60
#define PB_LOCK_STALE_S 300

/* Take the lock of an output. PB_ERR_IO with who holds it, and since when, where another process
 * does; nothing is written then. PB_ERR_INPUT where the output's folder is not there or cannot be
 * written. */
enum pb_status pb_lock_take(struct pb_lock **out, const char *output, struct pb_error *err);
/* PB_ERR_IO where the lock is no longer this process's: it was removed, or taken over while this
 * one was thought dead. */
enum pb_status pb_lock_check(const struct pb_lock *lock, struct pb_error *err);
/* Remove the lock of an output whose owner is gone, and what others left on their way to it.
 * Nothing happens where a process holds it, or nothing can be written. */
void pb_lock_drop_dead(const char *output);
/* NULL is allowed. */
void pb_lock_release(struct pb_lock *lock);

#endif
