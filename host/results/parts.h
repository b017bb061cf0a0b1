/* Part files: one chunk each, in "<output>.parts/". */
#ifndef PB_RESULTS_PARTS_H
#define PB_RESULTS_PARTS_H

#include "patchbay/results.h"
#include "results/h5.h"

/* The largest number of candidates of a pair. */
size_t pb_experiment_candidates(const struct pb_experiment *e);
/* Whether the experiment stores a metric (logit_diff always; candidates when a pair has some). */
bool pb_experiment_has(const struct pb_experiment *e, enum pb_metric metric);
/* The reference means of a sweep; NULL when it has none. */
const struct pb_reference_means *pb_experiment_means(const struct pb_experiment *e, size_t sweep);
/* Elements of a metric's array over n_pairs pairs; PB_ERR_MEMORY when no memory could hold them. */
enum pb_status pb_metric_count(const struct pb_experiment *e, size_t sweep, enum pb_metric metric,
			       size_t n_pairs, size_t *count, struct pb_error *err);

/* Arrays of an evaluation over n prompts, filled with NaN and -1. */
enum pb_status pb_eval_values_new(struct pb_eval_values *values, size_t n, size_t max_candidates,
				  struct pb_error *err);
void pb_eval_values_free(struct pb_eval_values *values);

/* Elements of an array of a chunk over n_pairs pairs: a reading by pair, a saved activation. */
enum pb_status pb_reading_count(const struct pb_experiment *e, enum pb_reading reading,
				size_t n_pairs, size_t *count, struct pb_error *err);
enum pb_status pb_saved_count(const struct pb_experiment *e, enum pb_site site, size_t n_pairs,
			      size_t *count, struct pb_error *err);
/* Whether the experiment asks for a reading, and whether a sweep's noise is stored. */
bool pb_experiment_reads(const struct pb_experiment *e, enum pb_reading reading);
bool pb_experiment_keeps_control(const struct pb_experiment *e, size_t sweep);

/* "<output>.parts" and "<output>.parts/chunk-00000.h5" (freed with free()); NULL: out of memory. */
char *pb_parts_folder(const struct pb_experiment *e);
char *pb_part_path(const struct pb_experiment *e, size_t chunk);

/* Whether an open file is a part. */
bool pb_is_part(hid_t file);

/* What a part holds, read and validated. */
struct pb_part {
	struct pb_chunk_values *values;
	char *isa;        /* values->isa */
	int64_t finished; /* when it was written: seconds since 1970, UTC */
	bool missing;     /* there is none: all of its values are absent */
};
/* PB_ERR_INPUT when there is none or it is of another experiment, PB_ERR_CHECK when it is
 * damaged. */
enum pb_status pb_part_read(struct pb_part *out, const struct pb_experiment *e, size_t chunk,
			    struct pb_error *err);
/* The group that holds a part in its open file, both for the caller to close; -1 where there is
 * none. */
hid_t pb_part_open(hid_t *file, const struct pb_experiment *e, size_t chunk);
/* The same as pb_part_read from an open group that holds what a part file does; `name` stands for
 * it in messages.
 */
enum pb_status pb_part_read_group(struct pb_part *out, const struct pb_experiment *e, size_t chunk,
				  hid_t group, const char *name, struct pb_error *err);
/* Write what a part file holds into an open file or group. */
enum pb_status pb_part_write_into(hid_t object, const struct pb_experiment *e,
				  const struct pb_part *part, struct pb_error *err);
void pb_part_free(struct pb_part *part);

/* Remove the parts, the files that dead processes left half written, and the folder. */
enum pb_status pb_parts_remove(const struct pb_experiment *e, struct pb_error *err);
/* Remove "<path>.tmp.<pid>" files whose process is no more. */
void pb_stale_remove(const char *path);

#endif
