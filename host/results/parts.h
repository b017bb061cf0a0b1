/* Part files: one chunk each, in "<output>.parts/". */
#ifndef PB_RESULTS_PARTS_H
#define PB_RESULTS_PARTS_H

#include "patchbay/results.h"

/* The largest number of candidates of a pair. */
size_t pb_experiment_candidates(const struct pb_experiment *e);
/* Whether the experiment stores a metric (logit_diff always; candidates when a pair has some). */
bool pb_experiment_has(const struct pb_experiment *e, enum pb_metric metric);
/* Elements of a metric's array over n_pairs pairs; PB_ERR_MEMORY when no memory could hold them. */
enum pb_status pb_metric_count(const struct pb_experiment *e, size_t sweep, enum pb_metric metric,
			       size_t n_pairs, size_t *count, struct pb_error *err);

/* "<output>.parts" and "<output>.parts/chunk-00000.h5" (freed with free()); NULL: out of memory. */
char *pb_parts_folder(const struct pb_experiment *e);
char *pb_part_path(const struct pb_experiment *e, size_t chunk);

/* What a part holds, read and validated. */
struct pb_part {
	struct pb_chunk_values *values;
	char *isa;        /* values->isa */
	int64_t finished; /* when it was written: seconds since 1970, UTC */
};
/* PB_ERR_INPUT when there is none or it is of another experiment, PB_ERR_CHECK when it is
 * damaged. */
enum pb_status pb_part_read(struct pb_part *out, const struct pb_experiment *e, size_t chunk,
			    struct pb_error *err);
void pb_part_free(struct pb_part *part);

/* Remove the parts, the files that dead processes left half written, and the folder. */
enum pb_status pb_parts_remove(const struct pb_experiment *e, struct pb_error *err);
/* Remove "<path>.tmp.<pid>" files whose process is no more. */
void pb_stale_remove(const char *path);

#endif
