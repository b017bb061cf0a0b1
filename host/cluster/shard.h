/* Which shard of a run this process is asked for: `--shard`. */
#ifndef PB_CLUSTER_SHARD_H
#define PB_CLUSTER_SHARD_H

#include <stddef.h>

#include "patchbay/status.h"

/* "i/n": shard i of n, from 0. "slurm": by the job array that this task is of; the array's ids may
 * begin anywhere and have any step. "slurm/n": the array's ids are shard numbers themselves, of n,
 * so that a part of them can be submitted again. PB_ERR_INPUT says what is wrong, and with what. */
enum pb_status pb_shard_parse(const char *text, size_t *shard, size_t *n_shards,
			      struct pb_error *err);

#endif
