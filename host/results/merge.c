/* Merging shards: what they are, whether they fit together, and the one file from them. */
#include <stdlib.h>
#include <string.h>

#include "cluster/lock.h"
#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/identity.h"
#include "results/snapshot.h"

struct merge {
	const struct pb_merge_options *options;
	struct pb_snapshot snapshot; /* of the first file */
	struct pb_experiment e;      /* with the output of the merge */
	size_t n;
	struct pb_shard_file *shards;
	size_t *shard_of; /* [n_chunks] */
	size_t n_missing;
	bool complete; /* it is there already */
	struct pb_lock *lock;
};

static void merge_free(struct merge *m)
{
	size_t i;

	pb_lock_release(m->lock);
	for (i = 0; m->shards != NULL && i < m->n; i++)
		pb_shard_file_free(&m->shards[i]);
	free(m->shards);
	free(m->shard_of);
	pb_snapshot_free(&m->snapshot);
}

/* ---- reading the shards --------------------------------------------------------------------- */

static enum pb_status compare_experiment(const struct merge *m, hid_t file, const char *path,
					 struct pb_error *err)
{
	struct pb_identity identity = {0};
	char difference[2048];
	enum pb_status status;
	bool same;

	PB_TRY(pb_identity_read(&identity, file, err));
	PB_TRY(pb_identity_check(&identity, err));
	PB_TRY(pb_identity_compare(&identity, &m->snapshot.e, &same, difference, sizeof difference,
				   err));
	if (!same)
		status = pb_fail(err, PB_ERR_INPUT,
				 "shards of different experiments: %s (there) and %s (here): %s",
				 path, m->shards[0].path, difference);
cleanup:
	pb_identity_free(&identity);
	return status;
}

/* The first file says what is merged: its bytes must be what its attributes say. */
static enum pb_status read_experiment(struct merge *m, hid_t file, struct pb_error *err)
{
	struct pb_identity identity = {0};
	char difference[2048];
	enum pb_status status;
	bool same;

	PB_TRY(pb_snapshot_read(&m->snapshot, file, err));
	PB_TRY(pb_identity_read(&identity, file, err));
	PB_TRY(pb_identity_compare(&identity, &m->snapshot.e, &same, difference, sizeof difference,
				   err));
	if (!same || m->snapshot.e.n_chunks != m->shards[0].n_chunks_all)
		status = pb_fail(err, PB_ERR_CHECK, "its experiment is not what it says it is");
cleanup:
	pb_identity_free(&identity);
	return status;
}

static enum pb_status read_open_shard(struct merge *m, size_t i, hid_t file, const char *path,
				      struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_shard_file_read(&m->shards[i], file, path, err));
	if (i == 0)
		PB_TRY(read_experiment(m, file, err));
	else
		PB_TRY(compare_experiment(m, file, path, err));
	if (m->shards[i].n_chunks_all != m->shards[0].n_chunks_all)
		status = pb_fail(err, PB_ERR_CHECK, "its number of chunks is another");
cleanup:
	return status;
}

static enum pb_status read_shard(struct merge *m, size_t i, struct pb_error *err)
{
	const char *path = m->options->parts[i];
	struct pb_error inner = {0};
	enum pb_status status;
	struct pb_map probe;
	hid_t file = -1;

	/* the system's own words for a file that is not there or cannot be read */
	PB_TRY(pb_map_open(&probe, path, err));
	pb_map_close(&probe);
	if (!pb_is_hdf5(path))
		return pb_fail(err, PB_ERR_INPUT, "not a shard: %s: it is not HDF5", path);
	status = pb_h5_file_open(&file, path, false, PB_ERR_CHECK, &inner);
	if (status == PB_OK && !pb_is_shard(file))
		status = pb_fail(&inner, PB_ERR_INPUT,
				 "not a shard: %s: name what patchbay run --shard left", path);
	if (status == PB_OK)
		status = read_open_shard(m, i, file, path, &inner);
	if (status == PB_ERR_CHECK)
		(void)pb_fail(err, status, "damaged shard: %s: %s: make it again", path,
			      inner.message);
	else if (status != PB_OK)
		(void)pb_fail(err, status, "%s", inner.message);
cleanup:
	if (file >= 0)
		(void)pb_h5_file_close(&file, path, NULL);
	return status;
}

/* ---- do they fit together? ------------------------------------------------------------------ */

static enum pb_status fill_chunks(struct merge *m, struct pb_error *err)
{
	const size_t n_chunks = m->snapshot.e.n_chunks;
	enum pb_status status;
	size_t i, k, c;

	PB_TRY(pb_alloc((void **)&m->shard_of, n_chunks, sizeof *m->shard_of, "chunks", err));
	for (c = 0; c < n_chunks; c++)
		m->shard_of[c] = SIZE_MAX;
	for (i = 0; i < m->n; i++)
		for (k = 0; k < m->shards[i].n_chunks; k++) {
			size_t *whose = &m->shard_of[m->shards[i].chunks[k]];

			if (*whose != SIZE_MAX)
				return pb_fail(
				    err, PB_ERR_INPUT,
				    "shards overlap: chunk %zu is in %s and in %s: leave "
				    "one of them out",
				    m->shards[i].chunks[k], m->shards[*whose].path,
				    m->shards[i].path);
			*whose = i;
		}
cleanup:
	return status;
}

/* "; shards 1, 2 of 3 are not among the files", where all files are of one number of shards. */
static char *absent_shards(const struct merge *m)
{
	const size_t n_shards = m->shards[0].n_shards;
	size_t *absent = malloc((n_shards + 1) * sizeof *absent), n = 0, i, s;
	char *list, *text = NULL;

	for (i = 0; i < m->n; i++)
		if (m->shards[i].n_shards != n_shards) {
			free(absent);
			return strdup("");
		}
	for (s = 0; absent != NULL && s < n_shards; s++) {
		for (i = 0; i < m->n && m->shards[i].shard != s; i++)
			;
		if (i == m->n)
			absent[n++] = s;
	}
	list = absent != NULL ? pb_chunk_list(absent, n) : NULL;
	if (list != NULL)
		text = n == 0
			   ? strdup("")
			   : pb_format(" (shard%s %s of %zu)", n == 1 ? "" : "s", list, n_shards);
	free(list);
	free(absent);
	return text;
}

static enum pb_status check_gaps(struct merge *m, struct pb_error *err)
{
	const size_t n_chunks = m->snapshot.e.n_chunks;
	size_t *missing = NULL, c;
	char *list = NULL, *shards = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&missing, n_chunks, sizeof *missing, "chunks", err));
	for (c = 0; c < n_chunks; c++)
		if (m->shard_of[c] == SIZE_MAX)
			missing[m->n_missing++] = c;
	if (m->n_missing == 0)
		goto cleanup;
	list = pb_chunk_list(missing, m->n_missing);
	shards = absent_shards(m);
	if (list == NULL || shards == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: chunks");
	else if (m->n_missing == n_chunks)
		status = pb_fail(err, PB_ERR_INPUT,
				 "nothing to merge: none of these files has any chunk: %s: name "
				 "the other shards",
				 m->shards[0].path);
	else if (!m->options->partial)
		status = pb_fail(err, PB_ERR_INPUT,
				 "chunks are missing: %s of %zu%s: %s: name the other shards, or "
				 "merge what is there with --partial",
				 list, n_chunks, shards, m->options->output);
	else
		pb_warn("chunks %s of %zu are missing%s: their pairs are not applicable in %s",
			list, n_chunks, shards, m->options->output);
cleanup:
	free(list);
	free(shards);
	free(missing);
	return status;
}

/* What makes bits differ, within the tolerances that the run checks. (Of processors the assembly
 * warns, which sees each chunk's.) */
static void warn_of_threads(const struct merge *m)
{
	size_t i;

	for (i = 1; i < m->n; i++) {
		const struct pb_shard_file *a = &m->shards[0], *b = &m->shards[i];

		if (a->n_threads == b->n_threads)
			continue;
		pb_warn("%s was computed by %d threads and %s by %d: values may differ in their "
			"last bits from those of one run",
			a->path, a->n_threads, b->path, b->n_threads);
		return;
	}
}

/* ---- the whole ------------------------------------------------------------------------------ */

static enum pb_status settle_output(struct merge *m, struct pb_error *err)
{
	const struct pb_merge_options *o = m->options;
	char difference[2048] = "";
	enum pb_output_state state;
	enum pb_status status;

	PB_TRY(pb_output_state(&m->e, &state, difference, sizeof difference, err));
	if (state == PB_OUTPUT_COMPLETE) {
		pb_info("%s: this experiment is already complete", o->output);
		m->complete = true;
		goto cleanup;
	}
	if (state == PB_OUTPUT_PARTS)
		snprintf(difference, sizeof difference,
			 "an unfinished run of this experiment writes there (%s.parts)", o->output);
	if (state == PB_OUTPUT_ABSENT || strstr(difference, "it is a partial merge") == difference)
		goto cleanup;
	if (!o->force)
		status = pb_fail(err, PB_ERR_INPUT,
				 "the output is something else: %s: %s: name another output, or "
				 "replace it with --force",
				 o->output, difference);
	else
		status = pb_output_remove(&m->e, err);
cleanup:
	return status;
}

static enum pb_status place(struct merge *m, struct pb_error *err)
{
	struct pb_part_source source =
	    pb_part_source_shards(&m->e, m->shards, m->n, m->shard_of,
				  m->options->command != NULL ? m->options->command : "");
	struct pb_error inner = {0};
	enum pb_status status = pb_result_place(&m->e, &source, &inner);

	if (status == PB_ERR_CHECK)
		return pb_fail(err, status, "%s\n%s was not written", inner.message,
			       m->options->output);
	if (status != PB_OK)
		return pb_fail(err, status, "%s", inner.message);
	return PB_OK;
}

static enum pb_status merge(struct merge *m, struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_TRY(
	    pb_alloc((void **)&m->shards, m->options->n_parts, sizeof *m->shards, "shards", err));
	for (i = 0; i < m->options->n_parts; i++) {
		m->n = i + 1;
		PB_TRY(read_shard(m, i, err));
	}
	PB_TRY(fill_chunks(m, err));
	PB_TRY(check_gaps(m, err));
	m->e = m->snapshot.e;
	m->e.output = m->options->output;
	PB_TRY(pb_lock_take(&m->lock, m->options->output, err));
	PB_TRY(settle_output(m, err));
	if (m->complete)
		goto cleanup;
	warn_of_threads(m);
	PB_TRY(place(m, err));
	pb_info("%s: merged from %zu shard%s, %zu of %zu chunks", m->options->output, m->n,
		m->n == 1 ? "" : "s", m->e.n_chunks - m->n_missing, m->e.n_chunks);
cleanup:
	return status;
}

enum pb_status pb_result_merge(const struct pb_merge_options *options, struct pb_error *err)
{
	struct merge m = {.options = options};
	enum pb_status status = merge(&m, err);

	merge_free(&m);
	return status;
}
