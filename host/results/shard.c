/* Shard files. In one lie the groups of its parts, as they are in part files; the experiment, as
 * bytes; and attributes as in a result file. */
#include "results/shard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/digest.h"
#include "results/snapshot.h"

#define CHUNKS "chunks"
#define MAX_CHUNKS ((size_t)1 << 31)

/* ---- whose a chunk is ----------------------------------------------------------------------- */

bool pb_experiment_takes(const struct pb_experiment *e, size_t chunk)
{
	return chunk < e->n_chunks && (e->n_shards == 0 || chunk % e->n_shards == e->shard);
}

size_t pb_experiment_n_taken(const struct pb_experiment *e)
{
	if (e->n_shards == 0)
		return e->n_chunks;
	return e->n_chunks / e->n_shards + (e->shard < e->n_chunks % e->n_shards);
}

char *pb_shard_name(const char *output, size_t shard, size_t n_shards)
{
	const size_t length = strlen(output);
	const bool h5 = length > 3 && strcmp(output + length - 3, ".h5") == 0;
	char *suffix = pb_format(".shard-%zu-of-%zu.h5", shard, n_shards), *name;
	const size_t n = suffix != NULL ? strlen(suffix) : 0;

	if (suffix == NULL)
		return NULL;
	if (length > n && strcmp(output + length - n, suffix) == 0)
		name = strdup(output);
	else
		name = pb_format("%.*s%s", (int)(h5 ? length - 3 : length), output, suffix);
	free(suffix);
	return name;
}

char *pb_chunk_list(const size_t *chunks, size_t n)
{
	char *text = NULL;
	size_t size, i, end;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	for (i = 0; i < n; i = end) {
		for (end = i + 1; end < n && chunks[end] == chunks[end - 1] + 1; end++)
			;
		fprintf(out, "%s%zu", i > 0 ? ", " : "", chunks[i]);
		if (end > i + 1)
			fprintf(out, "%s%zu", end > i + 2 ? "-" : ", ", chunks[end - 1]);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- reading -------------------------------------------------------------------------------- */

bool pb_is_shard(hid_t file)
{
	char *kind = NULL;
	bool is = pb_h5_has(file, "kind") && pb_h5_get_text(file, "kind", &kind, NULL) == PB_OK &&
		  strcmp(kind, PB_KIND_SHARD) == 0;

	free(kind);
	return is;
}

hid_t pb_shard_part_open(hid_t file, size_t chunk)
{
	char path[sizeof CHUNKS + 32];

	snprintf(path, sizeof path, CHUNKS "/%05zu", chunk);
	return H5Gopen2(file, path, H5P_DEFAULT);
}

enum pb_status pb_shard_read_part(struct pb_part *part, const struct pb_experiment *e, size_t chunk,
				  hid_t file, const char *path, struct pb_error *err)
{
	char *name = pb_format("%s: chunk %zu", path, chunk);
	hid_t group = -1;
	enum pb_status status;

	*part = (struct pb_part){0};
	if (name == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a part");
	else if ((group = pb_shard_part_open(file, chunk)) < 0)
		status =
		    pb_h5_fail(err, PB_ERR_CHECK, "damaged part: %s: it cannot be opened", name);
	else
		status = pb_part_read_group(part, e, chunk, group, name, err);
	pb_h5_drop(group);
	free(name);
	return status;
}

static int by_number(const void *a, const void *b)
{
	const size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static enum pb_status read_chunks(struct pb_shard_file *out, hid_t file, struct pb_error *err)
{
	char **names = NULL, *end;
	hid_t group = -1;
	enum pb_status status;
	size_t n = 0, i;

	PB_TRY(pb_h5_group_open(&group, file, CHUNKS, err));
	PB_TRY(pb_h5_names(group, &names, &n, err));
	PB_TRY(pb_alloc((void **)&out->chunks, n, sizeof *out->chunks, "chunks", err));
	for (i = 0; i < n; i++) {
		const uintmax_t chunk = strtoumax(names[i], &end, 10);

		if (*end != '\0' || end == names[i] || chunk >= out->n_chunks_all) {
			status =
			    pb_fail(err, PB_ERR_CHECK, "it holds what is no chunk: %s", names[i]);
			goto cleanup;
		}
		out->chunks[i] = (size_t)chunk;
	}
	out->n_chunks = n;
	qsort(out->chunks, n, sizeof *out->chunks, by_number);
	for (i = 1; i < n; i++)
		if (out->chunks[i] == out->chunks[i - 1]) {
			status =
			    pb_fail(err, PB_ERR_CHECK, "it holds chunk %zu twice", out->chunks[i]);
			goto cleanup;
		}
cleanup:
	pb_h5_names_free(names, n);
	pb_h5_drop(group);
	return status;
}

static enum pb_status read_number(hid_t file, const char *name, size_t most, size_t *out,
				  struct pb_error *err)
{
	enum pb_status status;
	int64_t value = 0;

	PB_TRY(pb_h5_get_int(file, name, &value, err));
	if (value < 0 || (uint64_t)value > most)
		status = pb_fail(err, PB_ERR_CHECK, "its attribute %s is %" PRId64, name, value);
	*out = (size_t)value;
cleanup:
	return status;
}

enum pb_status pb_shard_file_read(struct pb_shard_file *out, hid_t file, const char *path,
				  struct pb_error *err)
{
	size_t complete = 0, threads = 0, held = 0;
	enum pb_status status;

	*out = (struct pb_shard_file){.path = strdup(path)};
	if (out->path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a shard's name");
	if (pb_h5_has(file, "complete"))
		PB_TRY(read_number(file, "complete", 1, &complete, err));
	if (complete != 1) {
		status = pb_fail(err, PB_ERR_CHECK, "it does not say that it is complete");
		goto cleanup;
	}
	PB_TRY(read_number(file, "n_shards", MAX_CHUNKS, &out->n_shards, err));
	PB_TRY(read_number(file, "shard", out->n_shards > 0 ? out->n_shards - 1 : 0, &out->shard,
			   err));
	PB_TRY(read_number(file, "n_chunks", MAX_CHUNKS, &out->n_chunks_all, err));
	PB_TRY(read_number(file, "n_chunks_held", out->n_chunks_all, &held, err));
	PB_TRY(read_number(file, "n_threads", MAX_CHUNKS, &threads, err));
	out->n_threads = (int)threads;
	PB_TRY(pb_h5_get_text(file, "host", &out->host, err));
	PB_TRY(read_chunks(out, file, err));
	if (out->n_chunks != held) {
		status = pb_fail(err, PB_ERR_CHECK, "it holds %zu chunks where %zu belong",
				 out->n_chunks, held);
		goto cleanup;
	}
cleanup:
	if (status != PB_OK)
		pb_shard_file_free(out);
	return status;
}

void pb_shard_file_free(struct pb_shard_file *shard)
{
	free(shard->path);
	free(shard->chunks);
	free(shard->host);
	*shard = (struct pb_shard_file){0};
}

/* ---- writing -------------------------------------------------------------------------------- */

/* When the first chunk was begun, and what all of them took. */
struct times {
	int64_t started;
	double seconds;
};

static void add_times(struct times *t, const struct pb_part *part)
{
	const int64_t began = part->finished - (int64_t)part->values->seconds;

	t->started = began < t->started ? began : t->started;
	t->seconds += part->values->seconds;
}

/* Copy a part that was found right. (H5Ocopy would not compress it again, but HDF5 1.10 frees twice
 * where it cannot write.) */
static enum pb_status copy_part(const struct pb_experiment *e, size_t chunk, hid_t chunks,
				struct times *times, struct pb_error *err)
{
	struct pb_part part = {0};
	hid_t group = -1;
	char name[32];
	enum pb_status status;

	PB_TRY(pb_part_read(&part, e, chunk, err));
	add_times(times, &part);
	snprintf(name, sizeof name, "%05zu", chunk);
	PB_TRY(pb_h5_group_create(&group, chunks, name, err));
	status = pb_part_write_into(group, e, &part, err);
cleanup:
	pb_h5_drop(group);
	pb_part_free(&part);
	return status;
}

static enum pb_status write_content(hid_t file, const struct pb_experiment *e, struct times *times,
				    struct pb_error *err)
{
	hid_t chunks = -1;
	enum pb_status status;
	size_t c;

	PB_TRY(pb_snapshot_write(file, e, err));
	PB_TRY(pb_h5_group_create(&chunks, file, CHUNKS, err));
	for (c = 0; c < e->n_chunks; c++)
		if (pb_experiment_takes(e, c))
			PB_TRY(copy_part(e, c, chunks, times, err));
cleanup:
	pb_h5_drop(chunks);
	return status;
}

static enum pb_status write_attributes(hid_t file, const struct pb_experiment *e,
				       const struct times *times, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_h5_put_text_inline(file, "kind", PB_KIND_SHARD, err));
	PB_TRY(pb_h5_put_int(file, "shard", (int64_t)e->shard, err));
	PB_TRY(pb_h5_put_int(file, "n_shards", (int64_t)e->n_shards, err));
	PB_TRY(pb_h5_put_int(file, "n_chunks", (int64_t)e->n_chunks, err));
	PB_TRY(pb_h5_put_int(file, "n_chunks_held", (int64_t)pb_experiment_n_taken(e), err));
	status = pb_provenance_write(file, e, times->started, times->seconds, err);
cleanup:
	return status;
}

/* Every part is read again from what was written; only then the file says that it is complete. */
static enum pb_status seal(hid_t file, const struct pb_experiment *e, const char *path,
			   struct pb_error *err)
{
	struct pb_objects objects = {0};
	char hex[PB_SHA256_HEX];
	hid_t group = -1;
	enum pb_status status;
	size_t c;

	PB_TRY(pb_snapshot_check(file, err));
	for (c = 0; c < e->n_chunks; c++) {
		struct pb_part part = {0};

		if (!pb_experiment_takes(e, c))
			continue;
		status = pb_shard_read_part(&part, e, c, file, path, err);
		pb_part_free(&part);
		PB_TRY(status);
	}
	PB_TRY(pb_h5_put_int(file, "complete", 1, err));
	PB_TRY(pb_h5_group_create(&group, file, "checks", err));
	PB_TRY(pb_objects_list(&objects, file, err));
	PB_TRY(pb_digest_attributes(file, &objects, hex, err));
	status = pb_h5_put_text_inline(group, "attributes_sha256", hex, err);
cleanup:
	pb_objects_free(&objects);
	pb_h5_drop(group);
	return status;
}

enum pb_status pb_shard_fill(const struct pb_experiment *e, const char *path, struct pb_error *err)
{
	struct times times = {.started = (int64_t)time(NULL)};
	hid_t file = -1;
	enum pb_status status;

	PB_TRY(pb_h5_file_create(&file, path, err));
	PB_TRY(write_content(file, e, &times, err));
	PB_TRY(write_attributes(file, e, &times, err));
	PB_TRY(pb_h5_file_close(&file, path, err));
	PB_TRY(pb_h5_file_open(&file, path, true, PB_ERR_IO, err));
	PB_TRY(seal(file, e, path, err));
	status = pb_h5_file_close(&file, path, err);
cleanup:
	if (file >= 0)
		(void)pb_h5_file_close(&file, path, NULL);
	return status;
}
