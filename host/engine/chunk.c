/* The base runs of a chunk: clean and corrupted prompts together in one packed batch, what the
 * sweep needs cached, their scores, and where their z differ. */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

/* Targets of a pair: answer, foil, candidates. */
static size_t n_targets_of(const struct pb_pair *p)
{
	return 2 + p->n_candidates;
}

static int32_t target_token(const struct pb_pair *p, size_t t)
{
	return t == 0 ? p->answer : t == 1 ? p->foil : p->candidates[t - 2];
}

double pb_base_logit(const struct pb_chunk_run *run, size_t pair, int side, size_t t)
{
	return run->logit[run->logit_at[2 * pair + (size_t)side] + t];
}

double pb_base_logit_diff(const struct pb_chunk_run *run, size_t pair, int side)
{
	return pb_base_logit(run, pair, side, 0) - pb_base_logit(run, pair, side, 1);
}

static enum pb_status load_targets(struct pb_chunk_run *run, struct pb_engine *e,
				   struct pb_error *err)
{
	size_t D = e->arch.d_model;
	float *rows = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&run->target, run->n_pairs, sizeof *run->target, "targets", err));
	for (size_t p = 0; p < run->n_pairs; p++) {
		run->target[p] = run->n_targets;
		run->n_targets += n_targets_of(&run->pairs[p]);
	}
	PB_TRY(pb_alloc((void **)&rows, run->n_targets * D, sizeof *rows, "target vectors", err));
	PB_TRY(pb_alloc((void **)&run->target_bias, run->n_targets, sizeof *run->target_bias,
			"target biases", err));
	for (size_t p = 0; p < run->n_pairs; p++)
		for (size_t t = 0; t < n_targets_of(&run->pairs[p]); t++) {
			size_t token = (size_t)target_token(&run->pairs[p], t);
			size_t at = run->target[p] + t;

			pb_weight_column(&e->model->unembed, token, rows + at * D);
			if (e->model->unembed_bias.data)
				run->target_bias[at] = pb_vector_at(&e->model->unembed_bias, token);
		}
	PB_TRY(e->ops->alloc(e->dev, run->n_targets * D * sizeof(float), &run->targets, err));
	PB_TRY(e->ops->upload(e->dev, run->targets, rows, run->n_targets * D * sizeof(float), err));
cleanup:
	free(rows);
	return status;
}

/* Logits of the targets in float64, and whole-vocabulary scores of both runs. */
static enum pb_status score_base(struct pb_chunk_run *run, struct pb_engine *e, size_t n_valid,
				 struct pb_error *err)
{
	size_t n = 2 * run->n_targets, at = 0, prompts = 2 * run->n_pairs;
	int32_t *ints = NULL, *x_row, *t_row, *prompt, *answer, *foil;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&ints, 2 * n + 3 * prompts, sizeof *ints, "score indices", err));
	x_row = ints;
	t_row = x_row + n;
	prompt = t_row + n;
	answer = prompt + prompts;
	foil = answer + prompts;
	PB_TRY(pb_alloc((void **)&run->logit, n, sizeof *run->logit, "base logits", err));
	PB_TRY(
	    pb_alloc((void **)&run->logit_at, prompts, sizeof *run->logit_at, "base logits", err));
	PB_TRY(pb_alloc((void **)&run->vocabulary, prompts, sizeof *run->vocabulary, "base scores",
			err));
	PB_TRY(pb_alloc((void **)&run->lse, prompts, sizeof *run->lse, "base scores", err));
	for (size_t i = 0; i < prompts; i++) {
		const struct pb_pair *p = &run->pairs[i / 2];

		run->logit_at[i] = at;
		prompt[i] = (int32_t)i;
		answer[i] = p->answer;
		foil[i] = p->foil;
		for (size_t t = 0; t < n_targets_of(p); t++, at++) {
			x_row[at] = (int32_t)i;
			t_row[at] = (int32_t)(run->target[i / 2] + t);
		}
	}
	{
		struct pb_dots dots = {.n = n,
				       .d_model = e->arch.d_model,
				       .x = run->cache.n_answer,
				       .t = run->targets,
				       .x_row = x_row,
				       .t_row = t_row,
				       .out = run->logit};
		struct pb_vocabulary vocabulary = {.n = prompts,
						   .n_vocab = e->arch.n_vocab,
						   .n_valid = n_valid,
						   .logits0 = run->cache.logits,
						   .base = prompt,
						   .answer = answer,
						   .foil = foil,
						   .out = run->vocabulary};

		PB_STAGE(e, PB_STAGE_BASE, e->ops->dots(e->dev, &dots, err));
		PB_STAGE(e, PB_STAGE_BASE, e->ops->vocabulary(e->dev, &vocabulary, err));
	}
	for (size_t i = 0; i < prompts; i++)
		run->lse[i] = run->vocabulary[i].lse;
	for (size_t i = 0; i < n; i++)
		run->logit[i] += (double)run->target_bias[t_row[i]];
cleanup:
	free(ints);
	return status;
}

/* Which heads' z differ between the two runs, by layer, pair and position. */
static enum pb_status find_differences(struct pb_chunk_run *run, struct pb_engine *e,
				       struct pb_error *err)
{
	size_t L = e->arch.n_layers, H = e->arch.n_heads, n = run->batch.n_rows / 2, at = 0;
	int32_t *rows = NULL;
	uint8_t *flags = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&run->differs, L * run->n_pairs * run->max_length, H,
			"differences", err));
	PB_TRY(pb_alloc((void **)&rows, 2 * n, sizeof *rows, "row indices", err));
	PB_TRY(pb_alloc((void **)&flags, n, H, "differences", err));
	for (size_t p = 0; p < run->n_pairs; p++)
		for (size_t i = 0; i < run->pairs[p].length; i++, at++) {
			rows[at] = run->batch.spans[2 * p].base + (int32_t)i;
			rows[n + at] = run->batch.spans[2 * p + 1].base + (int32_t)i;
		}
	for (size_t l = 0; l < L; l++) {
		struct pb_differ op = {.n = n,
				       .n_heads = H,
				       .d_head = e->arch.d_head,
				       .z = run->cache.z[l],
				       .a_row = rows,
				       .b_row = rows + n,
				       .flag = flags};

		PB_STAGE(e, PB_STAGE_BASE, e->ops->differ(e->dev, &op, err));
		at = 0;
		for (size_t p = 0; p < run->n_pairs; p++) {
			memcpy(run->differs + (l * run->n_pairs + p) * run->max_length * H,
			       flags + at * H, run->pairs[p].length * H);
			at += run->pairs[p].length;
		}
	}
cleanup:
	free(rows);
	free(flags);
	return status;
}

enum pb_status pb_chunk_run_new(struct pb_chunk_run *run, struct pb_engine *e,
				const struct pb_pairs *pairs, size_t first_pair, size_t n_pairs,
				size_t n_valid, struct pb_error *err)
{
	const int32_t **tokens = NULL;
	size_t *lengths = NULL;
	enum pb_status status;

	memset(run, 0, sizeof *run);
	run->pairs = pairs->items + first_pair;
	run->n_pairs = n_pairs;
	run->first_pair = first_pair;
	PB_TRY(pb_alloc((void **)&tokens, 2 * n_pairs, sizeof *tokens, "prompts", err));
	PB_TRY(pb_alloc((void **)&lengths, 2 * n_pairs, sizeof *lengths, "prompts", err));
	for (size_t p = 0; p < n_pairs; p++) {
		tokens[2 * p] = run->pairs[p].clean;
		tokens[2 * p + 1] = run->pairs[p].corrupted;
		lengths[2 * p] = lengths[2 * p + 1] = run->pairs[p].length;
		if (run->pairs[p].length > run->max_length)
			run->max_length = run->pairs[p].length;
	}
	PB_TRY(pb_batch_new(&run->batch, e, 2 * n_pairs, tokens, lengths, err));
	PB_TRY(pb_cache_new(&run->cache, e, run->batch.n_rows, 2 * n_pairs, false, err));
	PB_TRY(load_targets(run, e, err));
	PB_TRY(pb_forward(e, &run->batch, &run->cache, NULL, 0, PB_STAGE_BASE, err));
	PB_TRY(score_base(run, e, n_valid, err));
	PB_TRY(find_differences(run, e, err));
cleanup:
	free(tokens);
	free(lengths);
	return status;
}

void pb_chunk_run_free(struct pb_chunk_run *run, struct pb_engine *e)
{
	pb_batch_free(&run->batch, e);
	pb_cache_free(&run->cache, e);
	if (run->targets.address)
		e->ops->release(e->dev, run->targets);
	free(run->target);
	free(run->target_bias);
	free(run->logit);
	free(run->logit_at);
	free(run->vocabulary);
	free(run->lse);
	free(run->differs);
	memset(run, 0, sizeof *run);
}

size_t pb_chunk_run_bytes(const struct pb_arch *arch, const struct pb_pairs *pairs,
			  size_t first_pair, size_t n_pairs)
{
	size_t rows = 0, targets = 0, longest = 0;

	for (size_t p = first_pair; p < first_pair + n_pairs; p++) {
		rows += 2 * pairs->items[p].length;
		targets += n_targets_of(&pairs->items[p]);
		if (pairs->items[p].length > longest)
			longest = pairs->items[p].length;
	}
	return pb_cache_bytes(arch, rows, 2 * n_pairs, false) +
	       2 * targets * arch->d_model * sizeof(float) + 64 * targets +
	       (arch->n_layers + 1) * n_pairs * longest * arch->n_heads + 32 * rows + 4096;
}
