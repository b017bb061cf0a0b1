/* Where the parts of an experiment come from: its own folder, or shard files. */
#ifndef PB_RESULTS_PART_SOURCE_H
#define PB_RESULTS_PART_SOURCE_H

#include "results/part_ahead.h"
#include "results/parts.h"
#include "results/shard.h"

#define PB_PARTS_AHEAD 2

struct pb_part_source {
	const struct pb_experiment *e;
	const struct pb_shard_file *shards; /* NULL: the experiment's own folder */
	size_t n_shards;                    /* files */
	const size_t *shard_of;             /* [n_chunks] whose each chunk is; SIZE_MAX: missing */
	const char *command;                /* that merges them */
	hid_t file;                         /* of the shard that was read last; -1: none */
	size_t open;
	/* The parts that are likely read next: chunk c at c % PB_PARTS_AHEAD. */
	struct pb_part_ahead ahead[PB_PARTS_AHEAD];
	bool seen, pays; /* a part; whether reading ahead pays for such parts */
};

struct pb_part_source pb_part_source_folder(const struct pb_experiment *e);
struct pb_part_source pb_part_source_shards(const struct pb_experiment *e,
					    const struct pb_shard_file *shards, size_t n_shards,
					    const size_t *shard_of, const char *command);
/* Whether no chunk is missing. */
bool pb_part_source_is_whole(const struct pb_part_source *source);
bool pb_part_source_has(const struct pb_part_source *source, size_t chunk);
/* Read a part: each in its turn is fastest; a missing one is absent in all its values, and says
 * that it is missing. */
enum pb_status pb_part_source_read(struct pb_part_source *source, size_t chunk,
				   struct pb_part *part, struct pb_error *err);
/* Warn where chunks were computed by different processors or GPUs: isa [n_chunks] names those, ""
 * where a chunk is missing. */
void pb_warn_of_processors(const struct pb_experiment *e, const char *const *isa);
void pb_part_source_close(struct pb_part_source *source);

#endif
