/* Parts from a folder or from shards. */
#include "results/part_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"

struct pb_part_source pb_part_source_folder(const struct pb_experiment *e)
{
	return (struct pb_part_source){.e = e, .file = -1};
}

struct pb_part_source pb_part_source_shards(const struct pb_experiment *e,
					    const struct pb_shard_file *shards, size_t n_shards,
					    const size_t *shard_of, const char *command)
{
	return (struct pb_part_source){.e = e,
				       .shards = shards,
				       .n_shards = n_shards,
				       .shard_of = shard_of,
				       .command = command,
				       .file = -1};
}

static void close_shard(struct pb_part_source *source)
{
	if (source->file >= 0)
		(void)pb_h5_file_close(&source->file, "", NULL);
}

void pb_part_source_close(struct pb_part_source *source)
{
	for (size_t i = 0; i < PB_PARTS_AHEAD; i++)
		pb_part_ahead_drop(&source->ahead[i]);
	close_shard(source);
}

bool pb_part_source_has(const struct pb_part_source *source, size_t chunk)
{
	return source->shards == NULL || source->shard_of[chunk] != SIZE_MAX;
}

/* ", x86-64-v4 (chunks 0-3)" of the processor of a chunk, appended; the chunks are marked as told.
 */
static char *add_processor(char *text, size_t *chunks, const char *const *isa, size_t first,
			   size_t n_chunks, bool *told)
{
	char *list, *more;
	size_t n = 0, c;

	for (c = first; c < n_chunks; c++)
		if (strcmp(isa[c], isa[first]) == 0) {
			chunks[n++] = c;
			told[c] = true;
		}
	list = pb_chunk_list(chunks, n);
	more = pb_format("%s%s%s (chunk%s %s)", text != NULL ? text : "", text != NULL ? ", " : "",
			 isa[first], n == 1 ? "" : "s", list != NULL ? list : "?");
	free(list);
	free(text);
	return more;
}

void pb_warn_of_processors(const struct pb_experiment *e, const char *const *isa)
{
	size_t *chunks = calloc(e->n_chunks, sizeof *chunks), n = 0, c;
	bool *told = calloc(e->n_chunks, sizeof *told);
	char *text = NULL;

	for (c = 0; chunks != NULL && told != NULL && c < e->n_chunks; c++) {
		if (told[c] || isa[c][0] == '\0')
			continue;
		text = add_processor(text, chunks, isa, c, e->n_chunks, told);
		n++;
	}
	if (n > 1)
		pb_warn("%s: chunks were computed by different processors: %s: values may differ "
			"in their last bits from those of one run",
			e->output, text != NULL ? text : "?");
	free(text);
	free(told);
	free(chunks);
}

bool pb_part_source_is_whole(const struct pb_part_source *source)
{
	size_t c;

	for (c = 0; c < source->e->n_chunks; c++)
		if (!pb_part_source_has(source, c))
			return false;
	return true;
}

/* All values are NaN or -1 from the start; no cell exists. */
static enum pb_status read_nothing(const struct pb_experiment *e, size_t chunk,
				   struct pb_part *part, struct pb_error *err)
{
	struct pb_chunk_values *v;
	enum pb_status status;
	size_t s, i, n;

	*part = (struct pb_part){.finished = INT64_MAX, .missing = true};
	PB_TRY(pb_chunk_values_new(&part->values, e, chunk, err));
	v = part->values;
	v->checks.logit_largest = NAN;
	part->isa = strdup("");
	if (part->isa == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a missing part");
		goto cleanup;
	}
	v->isa = part->isa;
	for (s = 0; s < e->n_sweeps; s++) {
		memset(v->sweeps[s].absent, 1, v->n_pairs * e->grids[s].n_cells);
		n = v->sweeps[s].control != NULL ? v->n_pairs * pb_control_count(e, s) : 0;
		for (i = 0; i < n; i++)
			v->sweeps[s].control[i] = NAN;
	}
cleanup:
	if (status != PB_OK)
		pb_part_free(part);
	return status;
}

/* Chunks alternate between shards: one of them is open at a time, whatever their number. */
static enum pb_status open_shard(struct pb_part_source *source, size_t shard, struct pb_error *err)
{
	enum pb_status status;

	if (source->file >= 0 && source->open == shard)
		return PB_OK;
	close_shard(source);
	status =
	    pb_h5_file_open(&source->file, source->shards[shard].path, false, PB_ERR_CHECK, err);
	source->open = shard;
	return status;
}

static enum pb_status read_part(struct pb_part_source *source, size_t chunk, struct pb_part *part,
				struct pb_error *err)
{
	if (source->shards == NULL)
		return pb_part_read(part, source->e, chunk, err);
	if (!pb_part_source_has(source, chunk))
		return read_nothing(source->e, chunk, part, err);
	*part = (struct pb_part){0};
	if (open_shard(source, source->shard_of[chunk], err) != PB_OK)
		return PB_ERR_CHECK;
	return pb_shard_read_part(part, source->e, chunk, source->file,
				  source->shards[source->open].path, err);
}

/* A head start on a part. What goes wrong here is said when its turn comes. */
static void begin_ahead(struct pb_part_source *source, size_t chunk)
{
	struct pb_part_ahead *ahead = &source->ahead[chunk % PB_PARTS_AHEAD];
	hid_t file = -1, group = -1;

	if (chunk >= source->e->n_chunks || !pb_part_source_has(source, chunk) ||
	    ((ahead->under_way || ahead->failed) && ahead->chunk == chunk))
		return;
	pb_part_ahead_drop(ahead);
	if (source->shards == NULL)
		group = pb_part_open(&file, source->e, chunk);
	else if (open_shard(source, source->shard_of[chunk], NULL) == PB_OK)
		group = pb_shard_part_open(source->file, chunk);
	if (group >= 0)
		pb_part_ahead_begin(ahead, source->e, chunk, group);
	pb_h5_drop(group);
	if (file >= 0)
		(void)pb_h5_file_close(&file, "", NULL);
}

enum pb_status pb_part_source_read(struct pb_part_source *source, size_t chunk,
				   struct pb_part *part, struct pb_error *err)
{
	struct pb_part_ahead *ahead = &source->ahead[chunk % PB_PARTS_AHEAD];
	enum pb_status status;

	if (ahead->under_way && ahead->chunk == chunk && pb_part_ahead_end(ahead, part))
		status = PB_OK;
	else
		status = read_part(source, chunk, part, err);
	if (status == PB_OK && !source->seen) {
		source->seen = true;
		source->pays = pb_part_ahead_pays(source->e, part);
	}
	for (size_t i = 1; status == PB_OK && source->pays && i <= PB_PARTS_AHEAD; i++)
		begin_ahead(source, chunk + i);
	return status;
}
