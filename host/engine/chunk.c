/* The base runs of a chunk: clean and corrupted prompts together in one packed batch, what the
 * sweep needs cached, their scores, and where they differ. */
#include <math.h>
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

double pb_softcap(double x, float cap)
{
	return cap > 0.0f ? (double)cap * tanh(x / (double)cap) : x;
}

double pb_base_logit_raw(const struct pb_chunk_run *run, size_t pair, int side, size_t t)
{
	return run->logit[run->logit_at[2 * pair + (size_t)side] + t];
}

double pb_base_logit(const struct pb_chunk_run *run, size_t pair, int side, size_t t)
{
	return pb_softcap(pb_base_logit_raw(run, pair, side, t), run->softcap);
}

double pb_base_logit_diff(const struct pb_chunk_run *run, size_t pair, int side)
{
	return pb_base_logit(run, pair, side, 0) - pb_base_logit(run, pair, side, 1);
}

static enum pb_status load_targets(struct pb_chunk_run *run, struct pb_engine *e,
				   struct pb_error *err)
{
	size_t D = e->arch.d_model;
	int32_t *token = NULL;
	enum pb_status status;

	run->softcap = e->arch.logit_softcap;
	PB_TRY(pb_alloc((void **)&run->target, run->n_pairs, sizeof *run->target, "targets", err));
	for (size_t p = 0; p < run->n_pairs; p++) {
		run->target[p] = run->n_targets;
		run->n_targets += n_targets_of(&run->pairs[p]);
	}
	PB_TRY(pb_alloc((void **)&token, run->n_targets, sizeof *token, "targets", err));
	PB_TRY(pb_alloc((void **)&run->target_bias, run->n_targets, sizeof *run->target_bias,
			"target biases", err));
	for (size_t p = 0; p < run->n_pairs; p++)
		for (size_t t = 0; t < n_targets_of(&run->pairs[p]); t++)
			token[run->target[p] + t] = target_token(&run->pairs[p], t);
	PB_TRY(e->ops->alloc(e->dev, run->n_targets * D * sizeof(float), &run->targets, err));
	PB_TRY(pb_engine_targets(e, token, run->n_targets, run->targets, run->target_bias, err));
cleanup:
	free(token);
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
						   .softcap = e->arch.logit_softcap,
						   .n_vocab = e->arch.n_vocab,
						   .n_valid = n_valid,
						   .logits0 = run->cache.logits,
						   .base = prompt,
						   .answer = answer,
						   .foil = foil,
						   .out = run->vocabulary};

		PB_STAGE(e, PB_STAGE_BASE, e->ops->dots(e->dev, &dots, err));
		PB_STAGE(e, PB_STAGE_BASE, e->ops->vocabulary(e->dev, &vocabulary, err));
		PB_TRY(pb_engine_wait(e, err));
	}
	for (size_t i = 0; i < prompts; i++)
		run->lse[i] = run->vocabulary[i].lse;
	for (size_t i = 0; i < n; i++)
		run->logit[i] += (double)run->target_bias[t_row[i]];
cleanup:
	free(ints);
	return status;
}

enum pb_status pb_chunk_run_differences(struct pb_chunk_run *run, struct pb_engine *e,
					enum pb_site site, struct pb_error *err)
{
	size_t L, H, width, n = 0, at = 0;
	int32_t *rows = NULL;
	uint8_t *flags = NULL;
	enum pb_status status;

	if (run->differs[site] || site == PB_SITE_PATTERN)
		return PB_OK;
	pb_site_shape(&e->arch, site, 1, &L, &H, &width);
	for (size_t p = 0; p < run->n_pairs; p++)
		n += run->pairs[p].length;
	PB_TRY(pb_alloc((void **)&run->differs[site], L * run->n_pairs * run->max_length, H,
			"differences", err));
	PB_TRY(pb_alloc((void **)&rows, 2 * n, sizeof *rows, "row indices", err));
	PB_TRY(pb_alloc((void **)&flags, n, H, "differences", err));
	for (size_t p = 0; p < run->n_pairs; p++)
		for (size_t i = 0; i < run->pairs[p].length; i++, at++) {
			rows[at] = run->batch.spans[2 * p].base + (int32_t)i;
			rows[n + at] = run->batch.spans[2 * p + 1].base + (int32_t)i;
		}
	for (size_t l = 0; l < L; l++) {
		struct pb_place place =
		    pb_cache_place(&e->arch, &run->cache, site, l, H > 1 ? 0 : -1);
		struct pb_differ op = {.n = n,
				       .n_heads = H,
				       .d_head = width,
				       .stride = place.stride,
				       .z = pb_dev_at(place.array, place.column * sizeof(float)),
				       .a_row = rows,
				       .b_row = rows + n,
				       .flag = flags};

		PB_STAGE(e, PB_STAGE_BASE, e->ops->differ(e->dev, &op, err));
		PB_TRY(pb_engine_wait(e, err));
		at = 0;
		for (size_t p = 0; p < run->n_pairs; p++) {
			memcpy(run->differs[site] + (l * run->n_pairs + p) * run->max_length * H,
			       flags + at * H, run->pairs[p].length * H);
			at += run->pairs[p].length;
		}
	}
cleanup:
	free(rows);
	free(flags);
	return status;
}

/* ---- prompts of other pairs ------------------------------------------------------------------ */

static int recipient_side(const struct pb_sweep *sweep)
{
	return sweep->direction == PB_DENOISE ? 1 : 0;
}

int32_t pb_chunk_run_prompt(const struct pb_chunk_run *run, size_t pair, int side)
{
	if (pair >= run->first_pair && pair < run->first_pair + run->n_pairs)
		return (int32_t)(2 * (pair - run->first_pair)) + side;
	for (size_t i = 0; i < run->n_others; i++)
		if (run->others[i].pair == pair && run->others[i].side == side)
			return (int32_t)(2 * run->n_pairs + i);
	return -1;
}

/* Prompts that resampling sweeps need beside the chunk's own. */
static enum pb_status list_others(struct pb_chunk_run *run, const struct pb_sweep *sweeps,
				  size_t n_sweeps, struct pb_error *err)
{
	size_t n = 0;
	enum pb_status status = PB_OK;

	for (size_t s = 0; s < n_sweeps; s++)
		n += sweeps[s].intervention == PB_RESAMPLE ? run->n_pairs : 0;
	PB_TRY(pb_alloc((void **)&run->others, n, sizeof *run->others, "prompts", err));
	for (size_t s = 0; s < n_sweeps; s++)
		for (size_t p = 0; sweeps[s].intervention == PB_RESAMPLE && p < run->n_pairs; p++) {
			int32_t other =
			    pb_pairs_resample(run->all, sweeps[s].seed, run->first_pair + p);
			int side = recipient_side(&sweeps[s]);

			if (other >= 0 && pb_chunk_run_prompt(run, (size_t)other, side) < 0)
				run->others[run->n_others++] =
				    (struct pb_other_prompt){(size_t)other, side};
		}
cleanup:
	return status;
}

enum pb_status pb_chunk_run_new(struct pb_chunk_run *run, struct pb_engine *e,
				const struct pb_pairs *pairs, size_t first_pair, size_t n_pairs,
				const struct pb_sweep *sweeps, size_t n_sweeps, unsigned save,
				size_t n_valid, struct pb_error *err)
{
	const int32_t **tokens = NULL;
	size_t *lengths = NULL, n;
	enum pb_status status;

	memset(run, 0, sizeof *run);
	run->all = pairs;
	run->pairs = pairs->items + first_pair;
	run->n_pairs = n_pairs;
	run->first_pair = first_pair;
	PB_TRY(list_others(run, sweeps, n_sweeps, err));
	n = 2 * n_pairs + run->n_others;
	PB_TRY(pb_alloc((void **)&tokens, n, sizeof *tokens, "prompts", err));
	PB_TRY(pb_alloc((void **)&lengths, n, sizeof *lengths, "prompts", err));
	for (size_t p = 0; p < n_pairs; p++) {
		tokens[2 * p] = run->pairs[p].clean;
		tokens[2 * p + 1] = run->pairs[p].corrupted;
		lengths[2 * p] = lengths[2 * p + 1] = run->pairs[p].length;
		if (run->pairs[p].length > run->max_length)
			run->max_length = run->pairs[p].length;
	}
	for (size_t i = 0; i < run->n_others; i++) {
		const struct pb_pair *pair = &pairs->items[run->others[i].pair];

		tokens[2 * n_pairs + i] = run->others[i].side ? pair->corrupted : pair->clean;
		lengths[2 * n_pairs + i] = pair->length;
	}
	PB_TRY(pb_batch_new(&run->batch, e, n, tokens, lengths, err));
	PB_TRY(pb_cache_new(&run->cache, e, run->batch.n_rows, n, false,
			    pb_cache_extra(&e->arch, sweeps, n_sweeps, save), err));
	PB_TRY(load_targets(run, e, err));
	PB_TRY(pb_forward(e, &run->batch, &run->cache, NULL, PB_STAGE_BASE, err));
	PB_TRY(score_base(run, e, n_valid, err));
	for (size_t s = 0; s < n_sweeps; s++)
		if (sweeps[s].intervention == PB_PATCH)
			PB_TRY(pb_chunk_run_differences(run, e, sweeps[s].site, err));
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
	for (int site = 0; site < PB_N_SITES; site++)
		free(run->differs[site]);
	free(run->others);
	memset(run, 0, sizeof *run);
}

size_t pb_chunk_run_bytes(const struct pb_arch *arch, const struct pb_pairs *pairs,
			  size_t first_pair, size_t n_pairs, const struct pb_sweep *sweeps,
			  size_t n_sweeps, unsigned save)
{
	size_t rows = 0, targets = 0, longest = 0, flags = 0, others = 0, one_side;

	for (size_t p = first_pair; p < first_pair + n_pairs; p++) {
		rows += 2 * pairs->items[p].length;
		targets += n_targets_of(&pairs->items[p]);
		if (pairs->items[p].length > longest)
			longest = pairs->items[p].length;
	}
	one_side = rows / 2;
	for (size_t s = 0; s < n_sweeps; s++) {
		size_t layers, index, width;

		pb_site_shape(arch, sweeps[s].site, 1, &layers, &index, &width);
		flags += sweeps[s].intervention == PB_PATCH ? (layers + 1) * index : 0;
		/* prompts of other chunks, of these pairs' own lengths */
		others += sweeps[s].intervention == PB_RESAMPLE ? n_pairs : 0;
		rows += sweeps[s].intervention == PB_RESAMPLE ? one_side : 0;
	}
	return pb_cache_bytes(arch, rows, 2 * n_pairs + others, false,
			      pb_cache_extra(arch, sweeps, n_sweeps, save)) +
	       2 * targets * arch->d_model * sizeof(float) + 64 * targets +
	       flags * n_pairs * longest + 32 * rows + 32 * others + 4096;
}
