/* Readings: what is told by the model and its base runs without any intervention. readings.c has
 * the two calls of a run; each of the other files has one group. docs/readings.md has the
 * formulas. */
#ifndef PB_ENGINE_READINGS_H
#define PB_ENGINE_READINGS_H

#include "engine/internal.h"
#include "patchbay/readings.h"

/* Below, `groups` are bits 1u << enum pb_reading_group. */
static inline bool pb_reads(unsigned groups, enum pb_reading_group group)
{
	return groups & 1u << group;
}

/* The readings by pair of a chunk: clean runs into out[0], corrupted ones into out[1]. Arrays that
 * are not NULL there are filled: [n_pairs, ...] as in readings.h, the roles being those of `pairs`.
 * n_valid: tokens that ranks look at. *attribution_deviation becomes the largest |sum of a run's
 * attributions - its LD| over pairs and sides (NaN when one is NaN, or when the group is not asked
 * for). A prompt of one token has no bos_mass and a role that a pair lacks no role_mass: NaN.
 * PB_ERR_MEMORY, and what the device reports. */
enum pb_status pb_readings_chunk(struct pb_engine *e, const struct pb_chunk_run *run,
				 const struct pb_pairs *pairs, unsigned groups, size_t n_valid,
				 struct pb_reading_values out[2], double *attribution_deviation,
				 struct pb_error *err);

/* The readings of the whole run into fresh arrays, [L, H] or [L, H, L, H | KV]: NaN where the
 * receiver's layer is not later, where a norm of the ratio is 0, and in all head scores when the
 * context cannot hold BOS and four tokens. n_valid: tokens that the tokenizer has: the random ones
 * are drawn from them, and ranks look at them. Freed by pb_reading_values_free, after a failure
 * too. PB_ERR_INTERNAL when e->max_length is below pb_readings_length, PB_ERR_MEMORY, and what the
 * device reports. */
enum pb_status pb_readings_run(struct pb_engine *e, const struct pb_pairs *pairs, unsigned groups,
			       size_t n_valid, uint64_t seed, struct pb_reading_values *out,
			       struct pb_error *err);
void pb_reading_values_free(struct pb_reading_values *values);

/* Tokens of the longest prompt that pb_readings_run makes: the engine's max_length must hold it.
 * 0: it makes none. */
size_t pb_readings_length(const struct pb_arch *arch, const struct pb_pairs *pairs,
			  unsigned groups);
/* Bytes that both calls take at most beside the arrays by pair, for chunks of n_pairs pairs. */
size_t pb_readings_bytes(const struct pb_arch *arch, const struct pb_pairs *pairs, unsigned groups,
			 size_t n_pairs);

/* ---- one group each ---------------------------------------------------------------------------
 */

/* Prompts, or tokens, whose rows are on their way together. */
#define PB_READING_BLOCK 64

enum pb_status pb_readings_attribution(struct pb_engine *e, const struct pb_chunk_run *run,
				       struct pb_reading_values out[2], double *deviation,
				       struct pb_error *err);
enum pb_status pb_readings_lens(struct pb_engine *e, const struct pb_chunk_run *run, size_t n_valid,
				struct pb_reading_values out[2], struct pb_error *err);
enum pb_status pb_readings_attention(struct pb_engine *e, const struct pb_chunk_run *run,
				     size_t n_roles, struct pb_reading_values out[2],
				     struct pb_error *err);
/* length: L of the repeated tokens; bos: -1 for none. */
enum pb_status pb_readings_repeated(struct pb_engine *e, int32_t bos, size_t length, size_t n_valid,
				    uint64_t seed, struct pb_reading_values *out,
				    struct pb_error *err);
enum pb_status pb_readings_copying(struct pb_engine *e, const struct pb_pairs *pairs,
				   size_t n_valid, struct pb_reading_values *out,
				   struct pb_error *err);
enum pb_status pb_readings_composition(struct pb_engine *e, struct pb_reading_values *out,
				       struct pb_error *err);

size_t pb_attribution_bytes(const struct pb_arch *a);
size_t pb_lens_bytes(const struct pb_arch *a);
size_t pb_attention_bytes(const struct pb_arch *a, size_t max_length, size_t n_prompts);
size_t pb_repeated_bytes(const struct pb_arch *a, size_t n_tokens);
size_t pb_copying_bytes(const struct pb_arch *a);
size_t pb_composition_bytes(const struct pb_arch *a);

/* ---- shared -----------------------------------------------------------------------------------
 */

/* Device memory for `floats` float32; release of what may never have been allocated. */
enum pb_status pb_reading_alloc(struct pb_engine *e, size_t floats, struct pb_dev *out,
				struct pb_error *err);
void pb_reading_release(struct pb_engine *e, struct pb_dev memory);

/* Run prompts without any intervention. */
enum pb_status pb_reading_forward(struct pb_engine *e, const struct pb_batch *batch,
				  struct pb_cache *cache, struct pb_error *err);

/* y[i] = x[row[i]] (row: device int32), n rows of `columns`. */
enum pb_status pb_reading_gather(struct pb_engine *e, struct pb_dev x, struct pb_dev row, size_t n,
				 size_t columns, struct pb_dev y, struct pb_error *err);

/* Patterns of one layer on the device and here: room for n_most prompts of up to max_length
 * tokens. */
struct pb_pattern_room {
	size_t n_most, max_length;
	struct pb_dev dev;
	float *host; /* [n, H, max_length, max_length] of the latest read */
};
enum pb_status pb_pattern_room_new(struct pb_pattern_room *room, struct pb_engine *e,
				   size_t n_prompts, size_t max_length, struct pb_error *err);
void pb_pattern_room_free(struct pb_pattern_room *room, struct pb_engine *e);
/* Patterns of prompts first .. first + n - 1 of a batch, n at most n_most. */
enum pb_status pb_pattern_read(struct pb_pattern_room *room, struct pb_engine *e,
			       const struct pb_batch *batch, const struct pb_cache *cache,
			       size_t layer, size_t first, size_t n, struct pb_error *err);
static inline const float *pb_pattern_of(const struct pb_pattern_room *room, size_t n_heads,
					 size_t prompt, size_t head)
{
	return room->host + (prompt * n_heads + head) * room->max_length * room->max_length;
}

#endif
