/* Shards of a large run with made-up values, written by the program's own writer, for
 * bench/merge.sh:
 *
 *     build/release/bench/make_shards OUT.h5 CHUNKS SHARDS [LAYERS HEADS PAIRS]
 *
 * CHUNKS chunks of PAIRS (100) pairs of 48 tokens, one sweep of LAYERS x HEADS (48 x 25) heads,
 * logit differences alone. Two heads have an effect, the others noise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "patchbay/results.h"

#define TOKENS 48
#define TEXT                                                                                       \
	"Box 0 has the cross, Box 1 has the book, Box 2 has the pin. Move what is in Box 1 to "    \
	"Box 0. Move what is in Box 2 to Box 1. The pin is in Box"

static double noise(uint64_t pair, uint64_t cell)
{
	struct pb_rng rng;

	pb_rng_seed(&rng, 7, pair, 0, cell);
	return pb_rng_unit(&rng) - 0.5;
}

static enum pb_status make_pairs(struct pb_pairs *pairs, size_t n, struct pb_error *err)
{
	pairs->n = n;
	pairs->bos = -1;
	pairs->max_length = TOKENS;
	pairs->items = pb_arena_alloc(&pairs->arena, n, sizeof *pairs->items);
	for (size_t i = 0; pairs->items != NULL && i < n; i++) {
		struct pb_pair *p = &pairs->items[i];

		p->length = TOKENS;
		p->clean = pb_arena_alloc(&pairs->arena, TOKENS, sizeof(int32_t));
		p->corrupted = pb_arena_alloc(&pairs->arena, TOKENS, sizeof(int32_t));
		if (p->clean == NULL || p->corrupted == NULL)
			break;
		for (size_t t = 0; t < TOKENS; t++)
			p->clean[t] = p->corrupted[t] = (int32_t)((i * 31 + t * 7) % 50000);
		p->corrupted[9] = 11;
		p->first_difference = 9;
		p->answer = 1;
		p->foil = 2;
		p->clean_text = p->corrupted_text = TEXT;
		p->answer_text = " 1";
		p->foil_text = " 2";
		p->extra =
		    "{\"task\": \"box\", \"boxes\": 3, \"moves\": 2, \"corrupt\": \"state\"}";
		if (i + 1 == n)
			return PB_OK;
	}
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: pairs");
}

static enum pb_status write_chunk(const struct pb_experiment *e, size_t chunk, struct pb_error *err)
{
	const size_t n_cells = e->grids[0].n_cells;
	struct pb_chunk_values *v = NULL;
	enum pb_status status;

	PB_TRY(pb_chunk_values_new(&v, e, chunk, err));
	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < v->n_pairs; i++) {
			struct pb_base_values *b = &v->base[side];

			b->logit_diff[i] = (side == 0 ? 3.0 : -2.5) +
					   noise(v->first_pair + i, SIZE_MAX - (size_t)side);
			b->logit_answer[i] = (float)(5 + b->logit_diff[i]);
			b->logit_foil[i] = 5;
			b->prob_answer[i] = b->prob_foil[i] = 0.25f;
			b->logprob_answer[i] = b->logprob_foil[i] = -1.4f;
			b->rank_answer[i] = side;
			b->rank_foil[i] = 1 - side;
			b->argmax[i] = 1 + side;
		}
	for (size_t i = 0; i < v->n_pairs; i++)
		for (size_t c = 0; c < n_cells; c++) {
			double effect =
			    0.02 * noise(v->first_pair + i, c) + (c % 577 == 100 ? 1 : 0);

			((double *)v->sweeps[0].metric[PB_METRIC_LOGIT_DIFF])[i * n_cells + c] =
			    v->base[1].logit_diff[i] + effect;
		}
	for (size_t l = 0; l < e->arch.n_layers; l++)
		v->checks.resid_pre_deviation[l] = 1e-6;
	v->checks.n_resid_pre_pairs = 1;
	v->checks.logit_largest = 8.5;
	PB_TRY(
	    pb_alloc((void **)&v->checks.variants, 1, sizeof *v->checks.variants, "checks", err));
	v->checks.n_variants = 1;
	v->checks.variants[0].pair = (int32_t)v->first_pair;
	v->checks.variants[0].logit_diff = v->checks.variants[0].logit_diff_plain =
	    *(double *)v->sweeps[0].metric[PB_METRIC_LOGIT_DIFF];
	v->isa = "x86-64-v4";
	v->seconds = 1;
	status = pb_part_write(e, v, err);
cleanup:
	pb_chunk_values_free(v);
	return status;
}

static enum pb_status write_shard(struct pb_experiment *e, const char *output, size_t shard,
				  struct pb_error *err)
{
	char *name = pb_shard_name(output, shard, e->n_shards);
	enum pb_status status;

	if (name == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a name");
	e->output = name;
	e->shard = shard;
	PB_TRY(pb_parts_prepare(e, err));
	for (size_t c = 0; c < e->n_chunks; c++)
		if (pb_experiment_takes(e, c))
			PB_TRY(write_chunk(e, c, err));
	status = pb_result_assemble(e, err);
cleanup:
	free(name);
	return status;
}

static size_t argument(int argc, char **argv, int i, size_t usual)
{
	return i < argc ? strtoul(argv[i], NULL, 10) : usual;
}

int main(int argc, char **argv)
{
	const size_t n_chunks = argument(argc, argv, 2, 10), n_shards = argument(argc, argv, 3, 2);
	const size_t layers = argument(argc, argv, 4, 48), heads = argument(argc, argv, 5, 25);
	const size_t pairs_a_chunk = argument(argc, argv, 6, 100);
	const struct pb_sweep sweep = {.site = PB_SITE_Z, .min_gap = 0.1, .window = 1};
	struct pb_pairs pairs = {0};
	struct pb_error err = {0};
	struct pb_grid grid;
	struct pb_experiment e = {.config = "made up: for bench/merge.sh\n",
				  .identity = "made up",
				  .model_sha256 = "none",
				  .pairs_sha256 = "none",
				  .command = "make_shards",
				  .model_path = "none",
				  .family = "gpt2",
				  .backend = "cpu",
				  .device = "none",
				  .precision = "fp32",
				  .host = "none",
				  .n_threads = 1,
				  .arch = {.family = "gpt2",
					   .n_layers = layers,
					   .n_heads = heads,
					   .n_kv_heads = heads,
					   .d_head = 64,
					   .d_model = 64 * heads,
					   .d_mlp = 256 * heads},
				  .pairs = &pairs,
				  .n_sweeps = 1,
				  .sweeps = &sweep,
				  .grids = &grid,
				  .metrics = 1u << PB_METRIC_LOGIT_DIFF,
				  .chunk_pairs = pairs_a_chunk,
				  .n_chunks = n_chunks,
				  .n_shards = n_shards};
	enum pb_status status = PB_ERR_INPUT;

	if (argc < 4 || n_chunks == 0 || n_shards == 0 || pairs_a_chunk == 0) {
		fprintf(stderr, "usage: make_shards OUT.h5 CHUNKS SHARDS [LAYERS HEADS PAIRS]\n");
		return 2;
	}
	PB_TRY(make_pairs(&pairs, n_chunks * pairs_a_chunk, &err));
	PB_TRY(pb_grid_make(&grid, &sweep, &e.arch, TOKENS, &err));
	for (size_t s = 0; s < n_shards; s++)
		PB_TRY(write_shard(&e, argv[1], s, &err));
cleanup:
	if (status != PB_OK)
		fprintf(stderr, "make_shards: %s\n", err.message);
	pb_pairs_free(&pairs);
	return pb_exit_status(status);
}
