/* Shard files: the parts of some chunks as they are, in one file that merges without anything else.
 */
#ifndef PB_RESULTS_SHARD_H
#define PB_RESULTS_SHARD_H

#include "results/parts.h"

struct pb_report;

/* Text of the root's attribute `kind`. */
#define PB_KIND_SHARD "shard"
bool pb_is_shard(hid_t file);

/* What a shard file says of itself. */
struct pb_shard_file {
	char *path;
	size_t shard, n_shards;
	size_t n_chunks, *chunks; /* those that it holds, rising */
	size_t n_chunks_all;      /* of the experiment */
	char *host;               /* that finished it */
	int n_threads;
};
/* Read it from an open shard. PB_ERR_CHECK where it does not hold together, or is not complete. */
enum pb_status pb_shard_file_read(struct pb_shard_file *out, hid_t file, const char *path,
				  struct pb_error *err);
void pb_shard_file_free(struct pb_shard_file *shard);
/* "0, 3-5, 9" (freed with free()); NULL: out of memory. */
char *pb_chunk_list(const size_t *chunks, size_t n);

/* The output of an experiment that is a shard, from all parts of its chunks, at `path`. */
enum pb_status pb_shard_fill(const struct pb_experiment *e, const char *path, struct pb_error *err);
/* `patchbay verify` of an open shard, into the report (verify_shard.c). */
enum pb_status pb_shard_verify(struct pb_report *report, hid_t file, const char *path,
			       struct pb_error *err);
/* The group of a part in an open shard file; negative where it cannot be opened. */
hid_t pb_shard_part_open(hid_t file, size_t chunk);
/* A part from an open shard file. */
enum pb_status pb_shard_read_part(struct pb_part *part, const struct pb_experiment *e, size_t chunk,
				  hid_t file, const char *path, struct pb_error *err);

#endif
