/* A part to come, unpacked and checked by a thread of its own while this one works on those before
 * it. It is a head start and nothing else: a part that does not come right is left to
 * pb_part_read_group, which says what is wrong. */
#ifndef PB_RESULTS_PART_AHEAD_H
#define PB_RESULTS_PART_AHEAD_H

#include <pthread.h>

#include "results/h5_unpacker.h"
#include "results/part_arrays.h"

struct pb_part_ahead {
	bool under_way;
	bool failed; /* to begin with the chunk */
	size_t chunk;
	const struct pb_experiment *e;
	struct pb_part part;
	struct pb_part_arrays arrays;
	struct pb_h5_packed *packed; /* [arrays.n]; those without chunks are read */
	char *stored;                /* the part's checksum, as its file has it */
	pthread_t thread;
	bool right;
};

/* Whether parts of the size of this one are worth a thread, and others of them in memory. */
bool pb_part_ahead_pays(const struct pb_experiment *e, const struct pb_part *part);
/* Begin with a part in an open group, which may be closed afterwards; the experiment stays the
 * caller's. */
void pb_part_ahead_begin(struct pb_part_ahead *ahead, const struct pb_experiment *e, size_t chunk,
			 hid_t group);
/* Wait for it. True: *out is the part. */
bool pb_part_ahead_end(struct pb_part_ahead *ahead, struct pb_part *out);
/* Wait for it, where one is under way, and forget it. */
void pb_part_ahead_drop(struct pb_part_ahead *ahead);

#endif
