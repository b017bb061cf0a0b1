/* `patchbay verify` of a shard: its experiment, and every chunk by its own checksum. */
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/identity.h"
#include "results/shard.h"
#include "results/snapshot.h"
#include "results/verify_data.h"

/* The stored experiment, which must be the one that the attributes name. */
static enum pb_status read_experiment(struct pb_snapshot *snapshot, hid_t file,
				      const struct pb_shard_file *shard, struct pb_error *err)
{
	struct pb_identity identity = {0};
	char difference[1024];
	enum pb_status status;
	bool same;

	PB_TRY(pb_snapshot_read(snapshot, file, err));
	PB_TRY(pb_identity_read(&identity, file, err));
	PB_TRY(pb_identity_compare(&identity, &snapshot->e, &same, difference, sizeof difference,
				   err));
	if (!same || snapshot->e.n_chunks != shard->n_chunks_all)
		status = pb_fail(err, PB_ERR_CHECK, "it is not the one that the attributes name");
cleanup:
	pb_identity_free(&identity);
	return status;
}

static enum pb_status verify_chunks(struct pb_report *r, hid_t file,
				    const struct pb_shard_file *shard,
				    const struct pb_experiment *e, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < shard->n_chunks; i++) {
		struct pb_error why = {0};
		struct pb_part part;
		char name[48];

		snprintf(name, sizeof name, "chunk %zu", shard->chunks[i]);
		status = pb_shard_read_part(&part, e, shard->chunks[i], file, shard->path, &why);
		if (status == PB_OK)
			pb_part_free(&part);
		PB_TRY(pb_report_item(r, status, name, "checksum right", &why, err));
	}
cleanup:
	return status;
}

enum pb_status pb_shard_verify(struct pb_report *r, hid_t file, const char *path,
			       struct pb_error *err)
{
	struct pb_shard_file shard = {0};
	struct pb_snapshot snapshot = {0};
	struct pb_error why = {0};
	enum pb_status status;
	char text[128];

	PB_TRY(pb_shard_file_read(&shard, file, path, err));
	snprintf(text, sizeof text, "shard %zu of %zu, %zu of %zu chunks", shard.shard,
		 shard.n_shards, shard.n_chunks, shard.n_chunks_all);
	pb_report_good(r, "complete", text);
	PB_TRY(pb_verify_attributes(r, file, err));
	status = read_experiment(&snapshot, file, &shard, &why);
	PB_TRY(pb_report_item(r, status, "experiment", "checksum right", &why, err));
	if (why.status == PB_OK)
		status = verify_chunks(r, file, &shard, &snapshot.e, err);
cleanup:
	pb_shard_file_free(&shard);
	pb_snapshot_free(&snapshot);
	return status;
}
