/* Where a result comes from: attributes of the root. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/identity.h"

#ifndef PB_COMMIT
#define PB_COMMIT "unknown"
#endif

static enum pb_status put_time(hid_t file, const char *name, int64_t seconds,
			       pb_h5_put_text_fn *put_text, struct pb_error *err)
{
	const time_t when = (time_t)seconds;
	struct tm utc;
	char text[32];

	if (gmtime_r(&when, &utc) == NULL ||
	    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		return pb_fail(err, PB_ERR_INTERNAL, "cannot write the time: attribute %s", name);
	return put_text(file, name, text, err);
}

static enum pb_status put_slurm(hid_t file, pb_h5_put_text_fn *put_text, struct pb_error *err)
{
	static const struct {
		const char *variable, *attribute;
	} ids[] = {{"SLURM_JOB_ID", "slurm_job_id"},
		   {"SLURM_ARRAY_JOB_ID", "slurm_array_job_id"},
		   {"SLURM_ARRAY_TASK_ID", "slurm_array_task_id"},
		   {"SLURM_STEP_ID", "slurm_step_id"},
		   {"SLURM_CLUSTER_NAME", "slurm_cluster_name"},
		   {"SLURM_JOB_NODELIST", "slurm_job_nodelist"}};
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < sizeof ids / sizeof *ids; i++) {
		const char *value = getenv(ids[i].variable);

		if (value != NULL)
			PB_TRY(put_text(file, ids[i].attribute, value, err));
	}
cleanup:
	return status;
}

enum pb_status pb_provenance_write(hid_t file, const struct pb_experiment *e, int64_t started,
				   double seconds, struct pb_error *err)
{
	/* shards are read by merge alone */
	pb_h5_put_text_fn *put_text = e->n_shards > 0 ? pb_h5_put_text_inline : pb_h5_put_text;
	enum pb_status status;
	const struct {
		const char *name, *value;
	} texts[] = {{"patchbay_version", PB_VERSION},
		     {"git_commit", PB_COMMIT},
		     {"config", e->config},
		     {"command", e->command},
		     {"model_path", e->model_path},
		     {"family", e->family},
		     {"backend", e->backend},
		     {"device", e->device},
		     {"precision", e->precision},
		     {"host", e->host}};
	const char *family = e->family != NULL ? e->family : "a model";
	char *whole = e->evaluation != NULL
			  ? pb_format("Patchbay: accuracy on %zu prompts, %s, %zu layers of %zu "
				      "heads",
				      e->evaluation->n, family, e->arch.n_layers, e->arch.n_heads)
			  : pb_format("Patchbay: causal interventions on %zu pairs of prompts, %s, "
				      "%zu layers of %zu heads",
				      e->pairs->n, family, e->arch.n_layers, e->arch.n_heads);
	char *title = whole == NULL ? NULL
		      : e->n_shards > 0
			  ? pb_format("%s: shard %zu of %zu", whole, e->shard, e->n_shards)
			  : strdup(whole);
	size_t i;

	free(whole);
	if (title == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the file's title");
	PB_TRY(put_text(file, "title", title, err));
	PB_TRY(pb_identity_write(file, e, put_text, err));
	for (i = 0; i < sizeof texts / sizeof *texts; i++)
		PB_TRY(put_text(file, texts[i].name, texts[i].value != NULL ? texts[i].value : "",
				err));
	PB_TRY(pb_h5_put_uint(file, "seed", e->seed, err));
	PB_TRY(pb_h5_put_int(file, "n_threads", e->n_threads, err));
	PB_TRY(put_slurm(file, put_text, err));
	PB_TRY(put_time(file, "started", started, put_text, err));
	PB_TRY(put_time(file, "finished", (int64_t)time(NULL), put_text, err));
	PB_TRY(pb_h5_put_double(file, "seconds_computing", seconds, err));
cleanup:
	free(title);
	return status;
}

/* "box.shard-0-of-3.h5, chunks 0, 3, on node1", a line for each shard. */
static enum pb_status put_shards(hid_t file, const struct pb_part_source *source,
				 struct pb_error *err)
{
	char *text = NULL;
	size_t size = 0, i;
	FILE *out = open_memstream(&text, &size);
	enum pb_status status = PB_OK;

	for (i = 0; out != NULL && i < source->n_shards; i++) {
		const struct pb_shard_file *shard = &source->shards[i];
		const char *slash = strrchr(shard->path, '/');
		char *chunks = pb_chunk_list(shard->chunks, shard->n_chunks);

		fprintf(out, "%s%s, chunks %s, on %s", i > 0 ? "\n" : "",
			slash != NULL ? slash + 1 : shard->path, chunks != NULL ? chunks : "?",
			shard->host);
		free(chunks);
	}
	if (out == NULL || fclose(out) != 0)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the names of shards");
	PB_TRY(pb_h5_put_text(file, "merged_from", text, err));
	status = pb_h5_put_text(file, "merge_command", source->command, err);
cleanup:
	free(text);
	return status;
}

enum pb_status pb_source_write(hid_t file, const struct pb_part_source *source,
			       struct pb_error *err)
{
	const struct pb_experiment *e = source->e;
	const size_t n_items = pb_experiment_items(e);
	size_t *missing = NULL, n = 0, items = 0, c;
	char *list = NULL;
	enum pb_status status;

	if (source->shards != NULL)
		PB_TRY(put_shards(file, source, err));
	PB_TRY(pb_alloc((void **)&missing, e->n_chunks, sizeof *missing, "chunks", err));
	for (c = 0; c < e->n_chunks; c++) {
		const size_t left = n_items - c * e->chunk_pairs;

		if (pb_part_source_has(source, c))
			continue;
		missing[n++] = c;
		items += left < e->chunk_pairs ? left : e->chunk_pairs;
	}
	if (n == 0)
		goto cleanup;
	list = pb_chunk_list(missing, n);
	if (list == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: chunks");
		goto cleanup;
	}
	PB_TRY(pb_h5_put_text(file, "missing_chunks", list, err));
	PB_TRY(pb_h5_put_int(file, "n_missing_chunks", (int64_t)n, err));
	PB_TRY(pb_h5_put_int(file, "n_missing", (int64_t)items, err));
cleanup:
	free(list);
	free(missing);
	return status;
}

enum pb_status pb_program_write(hid_t file, const char *command, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_h5_put_text(file, "patchbay_version", PB_VERSION, err));
	PB_TRY(pb_h5_put_text(file, "git_commit", PB_COMMIT, err));
	PB_TRY(pb_h5_put_text(file, "command", command, err));
	PB_TRY(put_time(file, "finished", (int64_t)time(NULL), pb_h5_put_text, err));
cleanup:
	return status;
}
