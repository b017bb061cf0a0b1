/* Head scores: where heads look. By pair, on the pairs' own prompts; and for the run, on repeated
 * random tokens, where a head that finds the previous token, the same token or what followed it
 * last time gives itself away. */
#include <math.h>
#include <stdlib.h>

#include "engine/readings.h"

/* ---- on the pairs' prompts ---------------------------------------------------------------------
 */

/* One prompt of a chunk and where it is stored. */
struct prompt {
	const struct pb_pair *pair;
	struct pb_reading_values *out;
	size_t at; /* (pair, layer) as one index */
	size_t n_heads, n_roles;
};

static void store(const struct prompt *p, enum pb_reading reading, size_t head, double value)
{
	if (p->out->values[reading])
		p->out->values[reading][p->at * p->n_heads + head] = value;
}

/* Attention from the answer position (its row of the pattern) to each role's positions. */
static void role_mass(const struct prompt *p, size_t head, const float *answer)
{
	double *mass = p->out->values[PB_READ_ROLE_MASS];
	const int32_t *roles = p->pair->roles;

	if (!mass)
		return;
	mass += (p->at * p->n_heads + head) * p->n_roles;
	for (size_t r = 0; r < p->n_roles; r++)
		mass[r] = NAN;
	for (size_t j = 0; roles && j < p->pair->length; j++)
		if (roles[j] >= 0)
			mass[roles[j]] = 0.0;
	for (size_t j = 0; roles && j < p->pair->length; j++)
		if (roles[j] >= 0)
			mass[roles[j]] += (double)answer[j];
}

/* a: the pattern of one head, rows of T keys. */
static void read_pattern(const struct prompt *p, size_t head, const float *a, size_t T)
{
	size_t n = p->pair->length;
	const float *answer = a + (n - 1) * T;
	double first = 0.0, entropy = 0.0, difference = 0.0;

	for (size_t i = 0; i < n; i++) {
		first += i > 0 ? (double)a[i * T] : 0.0;
		for (size_t j = 0; j <= i; j++) {
			double x = (double)a[i * T + j];

			entropy -= x == 0.0 ? 0.0 : x * log(x);
		}
	}
	for (size_t j = p->pair->first_difference; j < n; j++)
		if (p->pair->clean[j] != p->pair->corrupted[j])
			difference += (double)answer[j];
	store(p, PB_READ_BOS_MASS, head, n > 1 ? first / (double)(n - 1) : NAN);
	store(p, PB_READ_ENTROPY, head, entropy / (double)n);
	store(p, PB_READ_DIFFERENCE_MASS, head, difference);
	role_mass(p, head, answer);
}

enum pb_status pb_readings_attention(struct pb_engine *e, const struct pb_chunk_run *run,
				     size_t n_roles, struct pb_reading_values out[2],
				     struct pb_error *err)
{
	size_t L = e->arch.n_layers, H = e->arch.n_heads, n = 2 * run->n_pairs;
	struct pb_pattern_room room = {0};
	enum pb_status status;

	PB_TRY(pb_pattern_room_new(&room, e, n, run->max_length, err));
	for (size_t l = 0; l < L; l++)
		for (size_t i = 0; i < n; i += room.n_most) {
			size_t m = n - i < room.n_most ? n - i : room.n_most;

			PB_TRY(pb_pattern_read(&room, e, &run->batch, &run->cache, l, i, m, err));
#pragma omp parallel for schedule(dynamic, 1)
			for (size_t t = 0; t < m * H; t++) {
				size_t prompt = i + t / H;
				struct prompt p = {.pair = &run->pairs[prompt / 2],
						   .out = &out[prompt % 2],
						   .at = prompt / 2 * L + l,
						   .n_heads = H,
						   .n_roles = n_roles};

				read_pattern(&p, t % H, pb_pattern_of(&room, H, t / H, t % H),
					     room.max_length);
			}
		}
cleanup:
	pb_pattern_room_free(&room, e);
	return status;
}

/* ---- on repeated random tokens ----------------------------------------------------------------
 */

/* Prompts [BOS, r_1..r_L, r_1..r_L]; the scores are their means. Prompt i draws its r from the
 * stream (STREAM_REPEATED, 0, seed, i), in order, uniform over the tokenizer's ids. */
#define REPEATED_PROMPTS 10
#define STREAM_REPEATED UINT64_C(0x7265706561746564) /* "repeated" */

size_t pb_repeated_bytes(const struct pb_arch *a, size_t n_tokens)
{
	return pb_cache_bytes(a, n_tokens, 1, false, 0) + pb_attention_bytes(a, n_tokens, 1) +
	       64 * n_tokens;
}

static void draw_prompt(int32_t *tokens, int32_t bos, size_t length, size_t n_valid, uint64_t seed,
			size_t index)
{
	size_t at = bos >= 0;
	struct pb_rng rng;

	if (bos >= 0)
		tokens[0] = bos;
	pb_rng_seed(&rng, STREAM_REPEATED, 0, seed, index);
	for (size_t i = 0; i < length; i++)
		tokens[at + i] = tokens[at + length + i] = (int32_t)pb_rng_below(&rng, n_valid);
}

/* Mean of A[i, i - back] over first <= i < end. */
static double diagonal(const float *a, size_t T, size_t first, size_t end, size_t back)
{
	double sum = 0.0;

	for (size_t i = first; i < end; i++)
		sum += (double)a[i * T + i - back];
	return sum / (double)(end - first);
}

/* Adds this prompt's share to the scores of a layer. The second copy begins at `second`: its r_k is
 * at second + k - 1, and L = `length` tokens before it the first copy's r_k. */
static void add_scores(const struct pb_pattern_room *room, size_t H, size_t layer, size_t length,
		       struct pb_reading_values *out)
{
	size_t T = room->max_length, second = T - length;

	for (size_t h = 0; h < H; h++) {
		const float *a = pb_pattern_of(room, H, 0, h);
		size_t at = layer * H + h;

		out->values[PB_READ_PREVIOUS_TOKEN][at] +=
		    diagonal(a, T, 1, T, 1) / REPEATED_PROMPTS;
		out->values[PB_READ_DUPLICATE][at] +=
		    diagonal(a, T, second, T, length) / REPEATED_PROMPTS;
		out->values[PB_READ_INDUCTION][at] +=
		    diagonal(a, T, second, T - 1, length - 1) / REPEATED_PROMPTS;
	}
}

static enum pb_status read_repeated(struct pb_engine *e, struct pb_pattern_room *room,
				    const int32_t *tokens, size_t length,
				    struct pb_reading_values *out, struct pb_error *err)
{
	struct pb_batch batch = {0};
	struct pb_cache cache = {0};
	enum pb_status status;

	PB_TRY(pb_batch_new(&batch, e, 1, &tokens, &room->max_length, err));
	PB_TRY(pb_cache_new(&cache, e, room->max_length, 1, false, 0, err));
	PB_TRY(pb_reading_forward(e, &batch, &cache, err));
	for (size_t l = 0; l < e->arch.n_layers; l++) {
		PB_TRY(pb_pattern_read(room, e, &batch, &cache, l, 0, 1, err));
		add_scores(room, e->arch.n_heads, l, length, out);
	}
cleanup:
	pb_cache_free(&cache, e);
	pb_batch_free(&batch, e);
	return status;
}

enum pb_status pb_readings_repeated(struct pb_engine *e, int32_t bos, size_t length, size_t n_valid,
				    uint64_t seed, struct pb_reading_values *out,
				    struct pb_error *err)
{
	static const enum pb_reading scores[] = {PB_READ_PREVIOUS_TOKEN, PB_READ_DUPLICATE,
						 PB_READ_INDUCTION};
	size_t heads = e->arch.n_layers * e->arch.n_heads;
	struct pb_pattern_room room = {0};
	int32_t *tokens = NULL;
	enum pb_status status;

	if (length < 2) /* the induction score has no query: all stay NaN */
		return PB_OK;
	for (size_t s = 0; s < sizeof scores / sizeof *scores; s++)
		for (size_t h = 0; h < heads; h++)
			out->values[scores[s]][h] = 0.0;
	PB_TRY(pb_pattern_room_new(&room, e, 1, 2 * length + (bos >= 0), err));
	PB_TRY(pb_alloc((void **)&tokens, room.max_length, sizeof *tokens, "tokens", err));
	for (size_t i = 0; i < REPEATED_PROMPTS; i++) {
		draw_prompt(tokens, bos, length, n_valid, seed, i);
		PB_TRY(read_repeated(e, &room, tokens, length, out, err));
	}
cleanup:
	free(tokens);
	pb_pattern_room_free(&room, e);
	return status;
}
