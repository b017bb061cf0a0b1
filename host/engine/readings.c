/* The readings of a run: what is asked for, one group after the other, and what they share. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/readings.h"

/* Random tokens that are repeated, where the context has room. */
#define REPEATED_LENGTH ((size_t)25)

/* L of the repeated prompt [BOS, r_1..r_L, r_1..r_L] within `context` tokens. */
static size_t repeated_length(size_t context, int32_t bos)
{
	size_t room = (context - (bos >= 0 && context > 0)) / 2;

	return room < REPEATED_LENGTH ? room : REPEATED_LENGTH;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

size_t pb_readings_length(const struct pb_arch *arch, const struct pb_pairs *pairs, unsigned groups)
{
	size_t bos = pairs->bos >= 0, length = 0;

	if (pb_reads(groups, PB_READING_HEAD_SCORES))
		length = bos + 2 * repeated_length(arch->n_context, pairs->bos);
	if (pb_reads(groups, PB_READING_COPYING))
		length = larger(length, bos + 1);
	return smaller(length, arch->n_context);
}

/* Elements of a reading of the whole run. */
static size_t run_elements(const struct pb_arch *a, enum pb_reading reading)
{
	size_t heads = a->n_layers * a->n_heads;

	switch (reading) {
	case PB_READ_COMPOSITION_Q:
		return heads * heads;
	case PB_READ_COMPOSITION_K:
	case PB_READ_COMPOSITION_V:
		return heads * a->n_layers * a->n_kv_heads;
	default:
		return heads;
	}
}

size_t pb_readings_bytes(const struct pb_arch *arch, const struct pb_pairs *pairs, unsigned groups,
			 size_t n_pairs)
{
	size_t values = 0, working = 0;

	for (int r = 0; r < PB_N_READINGS; r++)
		if (!pb_reading_infos[r].by_pair && pb_reads(groups, pb_reading_infos[r].group))
			values += run_elements(arch, (enum pb_reading)r) * sizeof(double);
	if (pb_reads(groups, PB_READING_DIRECT_LOGIT_ATTRIBUTION))
		working = pb_attribution_bytes(arch) + 2 * n_pairs * sizeof(double);
	if (pb_reads(groups, PB_READING_LOGIT_LENS))
		working = larger(working, pb_lens_bytes(arch));
	if (pb_reads(groups, PB_READING_HEAD_SCORES)) {
		size_t length = pb_readings_length(arch, pairs, groups);

		working = larger(working, pb_attention_bytes(arch, pairs->max_length, 2 * n_pairs));
		working = larger(working, pb_repeated_bytes(arch, length));
	}
	if (pb_reads(groups, PB_READING_COPYING))
		working = larger(working, pb_copying_bytes(arch));
	if (pb_reads(groups, PB_READING_COMPOSITION))
		working = larger(working, pb_composition_bytes(arch));
	return values + working;
}

enum pb_status pb_readings_chunk(struct pb_engine *e, const struct pb_chunk_run *run,
				 const struct pb_pairs *pairs, unsigned groups, size_t n_valid,
				 struct pb_reading_values out[2], double *attribution_deviation,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;

	*attribution_deviation = NAN;
	if (pb_reads(groups, PB_READING_DIRECT_LOGIT_ATTRIBUTION))
		PB_TRY(pb_readings_attribution(e, run, out, attribution_deviation, err));
	if (pb_reads(groups, PB_READING_LOGIT_LENS))
		PB_TRY(pb_readings_lens(e, run, n_valid, out, err));
	if (pb_reads(groups, PB_READING_HEAD_SCORES))
		PB_TRY(pb_readings_attention(e, run, pairs->n_roles, out, err));
cleanup:
	return status;
}

enum pb_status pb_readings_run(struct pb_engine *e, const struct pb_pairs *pairs, unsigned groups,
			       size_t n_valid, uint64_t seed, struct pb_reading_values *out,
			       struct pb_error *err)
{
	const struct pb_arch *a = &e->arch;
	size_t longest = pb_readings_length(a, pairs, groups);
	enum pb_status status = PB_OK;

	memset(out, 0, sizeof *out);
	if (longest > e->max_length)
		return pb_fail(err, PB_ERR_INTERNAL,
			       "readings need prompts of %zu tokens, the engine holds %zu", longest,
			       e->max_length);
	for (int r = 0; r < PB_N_READINGS; r++) {
		size_t n = run_elements(a, (enum pb_reading)r);

		if (pb_reading_infos[r].by_pair || !pb_reads(groups, pb_reading_infos[r].group))
			continue;
		PB_TRY(pb_alloc((void **)&out->values[r], n, sizeof(double), "readings", err));
		for (size_t i = 0; i < n; i++)
			out->values[r][i] = NAN;
	}
	if (pb_reads(groups, PB_READING_HEAD_SCORES))
		PB_TRY(pb_readings_repeated(e, pairs->bos,
					    repeated_length(a->n_context, pairs->bos), n_valid,
					    seed, out, err));
	if (pb_reads(groups, PB_READING_COPYING))
		PB_TRY(pb_readings_copying(e, pairs, n_valid, out, err));
	if (pb_reads(groups, PB_READING_COMPOSITION))
		PB_TRY(pb_readings_composition(e, out, err));
cleanup:
	return status;
}

void pb_reading_values_free(struct pb_reading_values *values)
{
	for (int r = 0; r < PB_N_READINGS; r++)
		free(values->values[r]);
	memset(values, 0, sizeof *values);
}

/* ---- shared ------------------------------------------------------------------------------------
 */

enum pb_status pb_reading_alloc(struct pb_engine *e, size_t floats, struct pb_dev *out,
				struct pb_error *err)
{
	return e->ops->alloc(e->dev, floats * sizeof(float), out, err);
}

void pb_reading_release(struct pb_engine *e, struct pb_dev memory)
{
	if (memory.address)
		e->ops->release(e->dev, memory);
}

enum pb_status pb_reading_forward(struct pb_engine *e, const struct pb_batch *batch,
				  struct pb_cache *cache, struct pb_error *err)
{
	return pb_forward(e, batch, cache, NULL, PB_STAGE_BASE, err);
}

enum pb_status pb_reading_gather(struct pb_engine *e, struct pb_dev x, struct pb_dev row, size_t n,
				 size_t columns, struct pb_dev y, struct pb_error *err)
{
	struct pb_rows op = {.n_rows = n,
			     .columns = columns,
			     .a = x,
			     .a_stride = columns,
			     .a_row = row,
			     .out = y,
			     .out_stride = columns};

	return e->ops->rows(e->dev, &op, err);
}

/* Patterns are read a few prompts at a time: about this much, or one prompt. */
#define PATTERN_BYTES ((size_t)64 << 20)

static size_t pattern_prompts(const struct pb_arch *a, size_t max_length, size_t n_prompts)
{
	size_t each = a->n_heads * max_length * max_length * sizeof(float);

	return larger(1, smaller(n_prompts, PATTERN_BYTES / larger(each, 1)));
}

size_t pb_attention_bytes(const struct pb_arch *a, size_t max_length, size_t n_prompts)
{
	size_t n = pattern_prompts(a, max_length, n_prompts);

	return 2 * n * a->n_heads * max_length * max_length * sizeof(float);
}

enum pb_status pb_pattern_room_new(struct pb_pattern_room *room, struct pb_engine *e,
				   size_t n_prompts, size_t max_length, struct pb_error *err)
{
	size_t floats;
	enum pb_status status;

	memset(room, 0, sizeof *room);
	room->max_length = max_length;
	room->n_most = pattern_prompts(&e->arch, max_length, n_prompts);
	floats = room->n_most * e->arch.n_heads * max_length * max_length;
	PB_TRY(pb_reading_alloc(e, floats, &room->dev, err));
	PB_TRY(pb_alloc((void **)&room->host, floats, sizeof(float), "attention patterns", err));
cleanup:
	return status;
}

void pb_pattern_room_free(struct pb_pattern_room *room, struct pb_engine *e)
{
	pb_reading_release(e, room->dev);
	free(room->host);
	memset(room, 0, sizeof *room);
}

enum pb_status pb_pattern_read(struct pb_pattern_room *room, struct pb_engine *e,
			       const struct pb_batch *batch, const struct pb_cache *cache,
			       size_t layer, size_t first, size_t n, struct pb_error *err)
{
	size_t T = room->max_length;
	struct pb_patterns op = {.heads = e->layers[layer].heads,
				 .n_prompts = n,
				 .prompts = batch->spans + first,
				 .max_length = T,
				 .qkv = cache->qkv[layer],
				 .a = room->dev};
	enum pb_status status;

	PB_TRY(e->ops->patterns(e->dev, &op, err));
	PB_TRY(e->ops->download(e->dev, room->host, room->dev,
				n * e->arch.n_heads * T * T * sizeof(float), err));
cleanup:
	return status;
}
