/* The thread that writes parts while the next chunk is computed. It alone uses HDF5 from
 * pb_writer_start to pb_writer_end. */
#ifndef PB_ENGINE_WRITER_H
#define PB_ENGINE_WRITER_H

#include <pthread.h>

#include "patchbay/results.h"

struct pb_writer {
	const struct pb_experiment *experiment;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pb_chunk_values *values; /* to be written, or being written; NULL: none */
	bool started, ending;
	struct pb_error err; /* of the first part that could not be written */
	uint64_t n_written;
	double seconds; /* that writing took */
};

enum pb_status pb_writer_start(struct pb_writer *w, const struct pb_experiment *e,
			       struct pb_error *err);
/* Hand over a chunk's values, which the writer frees. Waits for the part before it, and returns
 * the error of any part so far. */
enum pb_status pb_writer_give(struct pb_writer *w, struct pb_chunk_values *values,
			      struct pb_error *err);
/* Seconds of a part, by those written so far; 0: none yet. */
double pb_writer_mean(struct pb_writer *w);
/* Wait until all is written; the error of any part. Safe where start failed, and twice. */
enum pb_status pb_writer_end(struct pb_writer *w, struct pb_error *err);

#endif
