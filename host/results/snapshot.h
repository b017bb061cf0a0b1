/* An experiment as bytes: all of struct pb_experiment that assembly needs and parts do not hold, so
 * that shards can be merged where neither model nor tokenizer nor pairs file is. */
#ifndef PB_RESULTS_SNAPSHOT_H
#define PB_RESULTS_SNAPSHOT_H

#include "patchbay/results.h"
#include "results/h5.h"

/* An experiment that was read back, with all that it points to. */
struct pb_snapshot {
	struct pb_experiment e; /* output, shard and n_shards are the reader's to fill in */
	struct pb_pairs pairs;
	struct pb_eval_set prompts;
	struct pb_reading_values readings;
	struct pb_arena arena;
	unsigned char *data; /* texts and arrays point into it */
	char sha256[PB_SHA256_HEX];
};

/* The dataset `experiment` of a group: bytes with a SHA-256 as an attribute. */
enum pb_status pb_snapshot_write(hid_t group, const struct pb_experiment *e, struct pb_error *err);
/* PB_ERR_CHECK where the bytes are damaged, or say what no experiment is; PB_ERR_INPUT where
 * another version of the program wrote them. Every size is checked before it is used. */
enum pb_status pb_snapshot_read(struct pb_snapshot *out, hid_t group, struct pb_error *err);
/* Only whether the bytes are what was written. */
enum pb_status pb_snapshot_check(hid_t group, struct pb_error *err);
void pb_snapshot_free(struct pb_snapshot *snapshot);

#endif
