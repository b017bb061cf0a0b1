/* Evaluation: a task's prompts in batches, from their answer positions alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/experiment.h"
#include "engine/writer.h"

/* Prompts of a chunk, by default: a lost chunk is no great loss, and its part no great cost. */
#define CHUNK_PROMPTS 1024
/* Rows of a batch: tall products, caches that stay near the processor. */
#define ROWS_MOST ((size_t)8192)
#define PROMPTS_MOST ((size_t)1024)
/* Prompts of a chunk that a plain forward recomputes. */
#define CHECKED 4

/* ---- before the first chunk ---------------------------------------------------------------- */

static size_t longest_prompt(const struct pb_running *r)
{
	return r->prompts.max_length;
}

/* What a batch takes on the device, and the host's lists of it. */
static size_t batch_bytes(const struct pb_running *r, size_t rows, size_t prompts, size_t checked)
{
	const struct pb_arch *a = &r->model->arch;
	size_t targets = prompts * (r->prompts.max_candidates + r->prompts.max_answers);
	size_t tokens = targets < a->n_vocab ? targets : a->n_vocab;

	return pb_cache_bytes(a, rows, prompts, true, 0) +
	       pb_cache_bytes(a, checked * r->prompts.max_length, checked, true, 0) +
	       PB_BLOCK_VOCABULARY * a->n_vocab * sizeof(float) + a->n_vocab * sizeof(int32_t) +
	       2 * tokens * (a->d_model + 1) * sizeof(float) + 32 * targets + 64 * rows +
	       256 * prompts;
}

static size_t result_bytes(const struct pb_running *r)
{
	return 2 * r->plan.chunk_pairs * (40 + r->prompts.max_candidates * sizeof(float));
}

/* Batches as large as memory allows: a prompt's bits do not depend on what travels with it. */
static bool fit(struct pb_running *r, size_t n_resident)
{
	struct pb_plan *p = &r->plan;
	size_t engine = pb_engine_bytes(r->dev, r->model, r->prompts.max_length, n_resident);
	size_t rows = ROWS_MOST, longest = r->prompts.max_length;

	p->n_resident = n_resident;
	p->fixed_bytes = pb_plan_resident() + result_bytes(r) +
			 (p->device_memory ? pb_packing_bytes(&r->model->arch) : engine);
	p->device_fixed_bytes = p->device_memory ? engine : 0;
	rows = rows > longest ? rows : longest;
	for (;; rows /= 2) {
		size_t prompts = rows < PROMPTS_MOST ? rows : PROMPTS_MOST;

		rows = rows > longest ? rows : longest;
		p->wave_bytes = batch_bytes(r, rows, prompts, CHECKED);
		if (p->fixed_bytes + p->wave_bytes <= p->memory &&
		    (p->device_memory == 0 ||
		     p->device_fixed_bytes + p->wave_bytes <= p->device_memory)) {
			r->room.rows_most = rows;
			r->room.prompts_most = prompts;
			return true;
		}
		if (rows == longest)
			return false;
	}
}

static enum pb_status plan(struct pb_running *r, struct pb_error *err)
{
	struct pb_plan *p = &r->plan;
	const struct pb_arch *a = &r->model->arch;
	size_t n = r->prompts.n, asked = r->config->chunk ? r->config->chunk : CHUNK_PROMPTS;
	size_t assembly = pb_evaluation_bytes(&r->prompts);
	double tokens = 0.0;
	enum pb_status status;

	memset(p, 0, sizeof *p);
	PB_TRY(pb_running_memory(r, &p->memory, err));
	p->chunk_pairs = asked < n ? asked : n;
	p->n_chunks = (n + p->chunk_pairs - 1) / p->chunk_pairs;
	p->n_variants = (double)n;
	for (size_t i = 0; i < n; i++)
		tokens += (double)r->prompts.items[i].length;
	p->n_rows = tokens;
	p->flops = 2.0 * tokens * (double)a->n_layers * (double)a->d_model *
		       (double)(pb_qkv_width(a) + pb_z_width(a) + pb_h_width(a) + a->d_mlp) +
		   2.0 * (double)n * (double)a->d_model * (double)a->n_vocab;
	PB_TRY(pb_plan_device_memory(p, r->dev, r->options->device_memory, err));
	if (!fit(r, 0) && !fit(r, 1))
		status = pb_fail(err, PB_ERR_INPUT,
				 "not enough memory: the evaluation needs at least %.0f MiB and "
				 "may use %.0f MiB: --memory, --device-memory: give it more",
				 (double)(p->fixed_bytes + p->wave_bytes) / 1048576.0 + 1.0,
				 (double)p->memory / 1048576.0);
	else if (assembly > p->memory - p->fixed_bytes)
		status =
		    pb_fail(err, PB_ERR_INPUT,
			    "not enough memory: the figures of %zu prompts take %.0f MiB and "
			    "%.0f MiB are left for them: --memory: give it more, or make fewer "
			    "prompts",
			    n, (double)assembly / 1048576.0,
			    (double)(p->memory - p->fixed_bytes) / 1048576.0);
	p->peak_bytes = p->fixed_bytes + (p->wave_bytes > assembly ? p->wave_bytes : assembly);
cleanup:
	return status;
}

static enum pb_status open_evaluation(struct pb_running *r, struct pb_error *err)
{
	const struct pb_arch *a = &r->model->arch;
	enum pb_status status;

	PB_TRY(
	    pb_eval_set_make(&r->prompts, r->config, r->tokenizer, a->n_vocab, a->n_context, err));
	PB_TRY(pb_eval_set_hash(&r->prompts, r->pairs_sha256, err));
	status = plan(r, err);
cleanup:
	return status;
}

static enum pb_status describe(struct pb_running *r, struct pb_error *err)
{
	size_t size = 0;
	FILE *f = open_memstream(&r->identity, &size);

	if (f) {
		fprintf(f, "evaluation\nchunk: %zu\ntokens: %zu\nbos: %d", r->plan.chunk_pairs,
			pb_running_n_tokens(r), (int)r->prompts.bos);
		pb_identity_put_grid(f, r->config);
	}
	if (!f || fclose(f) != 0)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the evaluation's description");
	pb_running_describe(r);
	r->experiment.precision = pb_precision_names[PB_PRECISION_FP32];
	r->experiment.evaluation = &r->prompts;
	return PB_OK;
}

static double seconds(const struct pb_running *r)
{
	return r->plan.flops / (0.7 * r->gemm_rate);
}

static void print_plan(struct pb_running *r, FILE *out)
{
	const struct pb_plan *p = &r->plan;
	size_t missing = 0;

	for (size_t c = 0; c < r->prompts.n_cells; c++)
		missing += r->prompts.cells[c].why != NULL;
	fprintf(out, "cells       %zu", r->prompts.n_cells);
	for (size_t a = 0; a < r->config->n_axes; a++)
		fprintf(out, "%s%zu %s", a == 0 ? ": " : " x ", r->config->axes[a].n,
			r->config->axes[a].name);
	fprintf(out, ", %zu not available\n", missing);
	fprintf(out,
		"prompts     %zu, up to %zu tokens, in %zu chunk%s of %zu\n"
		"work        %.4g GFLOP of products at most, %.0f tokens before prefixes are "
		"shared\n"
		"memory      %.0f MiB at most of %.0f MiB allowed, in batches of %zu rows\n"
		"time        about %.3g s at this machine's %.0f GFLOP/s\n",
		r->prompts.n, r->prompts.max_length, p->n_chunks, p->n_chunks == 1 ? "" : "s",
		p->chunk_pairs, p->flops * 1e-9, p->n_rows, (double)p->peak_bytes / 1048576.0,
		(double)p->memory / 1048576.0, r->room.rows_most, seconds(r), r->gemm_rate * 1e-9);
}

static enum pb_status prepare(struct pb_running *r, struct pb_error *err)
{
	struct pb_engine *e = &r->engine;
	struct pb_eval_room *room = &r->room;
	enum pb_status status;

	PB_TRY(pb_cache_new(&room->cache, e, room->rows_most, room->prompts_most, true, 0, err));
	PB_TRY(
	    pb_cache_new(&room->check, e, CHECKED * r->prompts.max_length, CHECKED, true, 0, err));
	PB_TRY(e->ops->alloc(e->dev, PB_BLOCK_VOCABULARY * e->arch.n_vocab * sizeof(float),
			     &room->logits, err));
cleanup:
	return status;
}

static void release(struct pb_running *r)
{
	pb_cache_free(&r->room.cache, &r->engine);
	pb_cache_free(&r->room.check, &r->engine);
	if (r->room.logits.address)
		r->engine.ops->release(r->engine.dev, r->room.logits);
	r->room.logits.address = NULL;
}

/* ---- scores --------------------------------------------------------------------------------- */

/* Unembedding vectors of all tokens that a batch asks for, each once. */
struct targets {
	struct pb_dev vectors;
	float *bias;
	int32_t *place; /* [n_vocab] of a token's vector; -1: none */
	size_t n;
};

static void targets_free(struct targets *t, struct pb_engine *e)
{
	if (t->vectors.address)
		e->ops->release(e->dev, t->vectors);
	free(t->bias);
	free(t->place);
}

static void note_targets(struct targets *t, const int32_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (t->place[tokens[i]] < 0)
			t->place[tokens[i]] = (int32_t)t->n++;
}

static enum pb_status targets_new(struct targets *t, struct pb_engine *e,
				  const struct pb_eval_prompt *prompts, size_t n,
				  struct pb_error *err)
{
	size_t D = e->arch.d_model, V = e->arch.n_vocab;
	int32_t *token = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&t->place, V, sizeof *t->place, "candidates", err));
	for (size_t v = 0; v < V; v++)
		t->place[v] = -1;
	for (size_t i = 0; i < n; i++) {
		note_targets(t, prompts[i].answers, prompts[i].n_answers);
		note_targets(t, prompts[i].candidates, prompts[i].n_candidates);
	}
	PB_TRY(pb_alloc((void **)&token, t->n, sizeof *token, "candidates", err));
	PB_TRY(pb_alloc((void **)&t->bias, t->n, sizeof *t->bias, "candidates", err));
	for (size_t v = 0; v < V; v++)
		if (t->place[v] >= 0)
			token[t->place[v]] = (int32_t)v;
	PB_TRY(e->ops->alloc(e->dev, t->n * D * sizeof(float), &t->vectors, err));
	PB_TRY(pb_engine_targets(e, token, t->n, t->vectors, t->bias, err));
cleanup:
	free(token);
	return status;
}

/* Scores over the whole vocabulary of a batch's answer positions: out[i] of prompt i. */
static enum pb_status score_vocabulary(struct pb_engine *e, const struct pb_eval_room *room,
				       const struct pb_cache *c,
				       const struct pb_eval_prompt *const *prompts, size_t n,
				       size_t n_valid, struct pb_vocabulary_score *out,
				       struct pb_error *err)
{
	int32_t base[PB_BLOCK_VOCABULARY], answer[PB_BLOCK_VOCABULARY];
	size_t D = e->arch.d_model, V = e->arch.n_vocab;
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < n; i += PB_BLOCK_VOCABULARY) {
		size_t m = n - i < PB_BLOCK_VOCABULARY ? n - i : PB_BLOCK_VOCABULARY;
		struct pb_vocabulary op = {.n = m,
					   .softcap = e->arch.logit_softcap,
					   .n_vocab = V,
					   .n_valid = n_valid,
					   .logits0 = room->logits,
					   .base = base,
					   .answer = answer,
					   .foil = answer,
					   .out = out + i};

		for (size_t k = 0; k < m; k++) {
			base[k] = (int32_t)k;
			answer[k] = prompts[i + k]->answers[0];
		}
		PB_TRY(pb_engine_gemm(e, PB_STAGE_SCORE, m, e->unembed, D, V,
				      pb_dev_row(c->n_answer, i, D), D, room->logits, V,
				      e->unembed_bias, false, err));
		PB_STAGE(e, PB_STAGE_SCORE, e->ops->vocabulary(e->dev, &op, err));
	}
	PB_TRY(pb_engine_wait(e, err));
cleanup:
	return status;
}

/* Logits of a prompt's answers, then candidates, from position at[i] of the list. */
static enum pb_status score_targets(struct pb_engine *e, const struct pb_cache *c,
				    const struct targets *t, const struct pb_eval_prompt *prompts,
				    size_t n, double **logits, struct pb_error *err)
{
	size_t total = 0, at = 0;
	int32_t *rows = NULL;
	enum pb_status status;

	for (size_t i = 0; i < n; i++)
		total += prompts[i].n_answers + prompts[i].n_candidates;
	PB_TRY(pb_alloc((void **)&rows, 2 * total, sizeof *rows, "candidates", err));
	PB_TRY(pb_alloc((void **)logits, total, sizeof **logits, "candidates", err));
	for (size_t i = 0; i < n; i++) {
		const struct pb_eval_prompt *p = &prompts[i];

		for (size_t k = 0; k < p->n_answers + p->n_candidates; k++, at++) {
			int32_t token =
			    k < p->n_answers ? p->answers[k] : p->candidates[k - p->n_answers];

			rows[at] = (int32_t)i;
			rows[total + at] = t->place[token];
		}
	}
	{
		struct pb_dots op = {.n = total,
				     .d_model = e->arch.d_model,
				     .x = c->n_answer,
				     .t = t->vectors,
				     .x_row = rows,
				     .t_row = rows + total,
				     .out = *logits};

		PB_STAGE(e, PB_STAGE_SCORE, e->ops->dots(e->dev, &op, err));
	}
	PB_TRY(pb_engine_wait(e, err));
	for (size_t i = 0; i < total; i++)
		(*logits)[i] = pb_softcap((*logits)[i] + (double)t->bias[rows[total + i]],
					  e->arch.logit_softcap);
cleanup:
	free(rows);
	return status;
}

/* A prompt's values from its logits: of its answers, then of its candidates. */
static void store(const struct pb_eval_prompt *p, const struct pb_vocabulary_score *s,
		  const double *logits, struct pb_eval_values *v, size_t at, size_t max_candidates,
		  double *logit_largest)
{
	const double *candidates = logits + p->n_answers;
	double best = -INFINITY, best_answer = -INFINITY, best_other = -INFINITY, mass = 0.0;

	for (size_t k = 0; k < p->n_answers; k++) {
		mass += exp(logits[k] - s->lse);
		best_answer = logits[k] > best_answer ? logits[k] : best_answer;
	}
	for (size_t k = 0; k < p->n_candidates; k++) {
		v->candidate_logprob[at * max_candidates + k] = (float)(candidates[k] - s->lse);
		if (candidates[k] > best) {
			best = candidates[k];
			v->argmax_candidate[at] = p->candidates[k];
		}
		if (!pb_eval_is_answer(p, p->candidates[k]) && candidates[k] > best_other)
			best_other = candidates[k];
	}
	v->logprob_answer[at] = logits[0] - s->lse;
	v->mass[at] = mass;
	v->margin[at] = isinf(best_other) ? NAN : best_answer - best_other;
	v->argmax[at] = s->argmax;
	v->rank_answer[at] = s->rank_answer;
	if (!(fabs(logits[0]) <= *logit_largest)) /* a NaN stays */
		*logit_largest = fabs(logits[0]);
}

/* ---- batches -------------------------------------------------------------------------------- */

/* Tokens, lengths and addresses of prompts, as batches want them. */
struct lists {
	const int32_t **tokens;
	size_t *lengths;
	const struct pb_eval_prompt **prompts;
};

static enum pb_status lists_new(struct lists *l, size_t n, struct pb_error *err)
{
	enum pb_status status;

	*l = (struct lists){0};
	PB_TRY(pb_alloc((void **)&l->tokens, n, sizeof *l->tokens, "prompts", err));
	PB_TRY(pb_alloc((void **)&l->lengths, n, sizeof *l->lengths, "prompts", err));
	PB_TRY(pb_alloc((void **)&l->prompts, n, sizeof *l->prompts, "prompts", err));
cleanup:
	return status;
}

static void lists_put(struct lists *l, size_t i, const struct pb_eval_prompt *p)
{
	l->tokens[i] = p->tokens;
	l->lengths[i] = p->length;
	l->prompts[i] = p;
}

static void lists_free(struct lists *l)
{
	free(l->tokens);
	free(l->lengths);
	free(l->prompts);
}

/* Prompts from `first` on that go together. */
static size_t batch_end(const struct pb_running *r, size_t first, size_t end)
{
	size_t rows = 0, i = first;

	while (i < end && i - first < r->room.prompts_most &&
	       rows + r->prompts.items[i].length <= r->room.rows_most)
		rows += r->prompts.items[i++].length;
	return i;
}

/* The prompts first .. first + n - 1; their values go to v from `at` on. */
static enum pb_status run_batch(struct pb_running *r, size_t first, size_t n,
				struct pb_eval_values *v, size_t at, double *logit_largest,
				struct pb_error *err)
{
	struct pb_engine *e = &r->engine;
	const struct pb_eval_prompt *prompts = r->prompts.items + first;
	struct pb_vocabulary_score *scores = NULL;
	struct pb_batch batch = {0};
	struct targets targets = {0};
	struct lists lists;
	double *logits = NULL;
	size_t next = 0;
	enum pb_status status;

	PB_TRY(lists_new(&lists, n, err));
	for (size_t i = 0; i < n; i++)
		lists_put(&lists, i, &prompts[i]);
	PB_TRY(pb_alloc((void **)&scores, n, sizeof *scores, "scores", err));
	PB_TRY(pb_batch_new_shared(&batch, e, n, lists.tokens, lists.lengths, err));
	PB_TRY(targets_new(&targets, e, prompts, n, err));
	PB_TRY(pb_forward(e, &batch, &r->room.cache, NULL, PB_STAGE_BASE, err));
	PB_TRY(score_vocabulary(e, &r->room, &r->room.cache, lists.prompts, n,
				pb_running_n_tokens(r), scores, err));
	PB_TRY(score_targets(e, &r->room.cache, &targets, prompts, n, &logits, err));
	for (size_t i = 0; i < n; i++) {
		store(&prompts[i], &scores[i], logits + next, v, at + i, r->prompts.max_candidates,
		      logit_largest);
		next += prompts[i].n_answers + prompts[i].n_candidates;
	}
cleanup:
	free(logits);
	free(scores);
	targets_free(&targets, e);
	pb_batch_free(&batch, e);
	lists_free(&lists);
	return status;
}

/* Some prompts again, by a plain forward of whole prompts that share nothing. */
static enum pb_status check_chunk(struct pb_running *r, struct pb_chunk_values *values,
				  struct pb_error *err)
{
	struct pb_engine *e = &r->engine;
	struct pb_vocabulary_score scores[CHECKED];
	struct pb_chunk_checks *checks = &values->checks;
	struct pb_batch batch = {0};
	struct lists lists;
	struct pb_rng rng;
	size_t n = values->n_pairs < CHECKED ? values->n_pairs : CHECKED;
	enum pb_status status;

	PB_TRY(lists_new(&lists, n, err));
	PB_TRY(pb_alloc((void **)&checks->variants, n, sizeof *checks->variants, "checks", err));
	pb_rng_seed(&rng, 0, values->chunk, r->config->task.seed, 0);
	for (size_t i = 0; i < n; i++) {
		size_t at = (size_t)pb_rng_below(&rng, values->n_pairs);

		checks->variants[i] =
		    (struct pb_checked_variant){.pair = (int32_t)(values->first_pair + at),
						.logit_diff = values->eval.logprob_answer[at]};
		lists_put(&lists, i, &r->prompts.items[values->first_pair + at]);
	}
	PB_TRY(pb_batch_new(&batch, e, n, lists.tokens, lists.lengths, err));
	PB_TRY(pb_forward(e, &batch, &r->room.check, NULL, PB_STAGE_CHECK, err));
	PB_TRY(score_vocabulary(e, &r->room, &r->room.check, lists.prompts, n,
				pb_running_n_tokens(r), scores, err));
	for (size_t i = 0; i < n; i++)
		checks->variants[i].logit_diff_plain = scores[i].logit_answer - scores[i].lse;
	checks->n_variants = n;
cleanup:
	pb_batch_free(&batch, e);
	lists_free(&lists);
	return status;
}

static enum pb_status run_chunk(struct pb_running *r, size_t chunk, struct pb_writer *writer,
				struct pb_progress *progress, struct pb_error *err)
{
	struct pb_chunk_values *values = NULL;
	double start = pb_seconds();
	size_t end, next;
	enum pb_status status;

	PB_TRY(pb_chunk_values_new(&values, &r->experiment, chunk, err));
	end = values->first_pair + values->n_pairs;
	for (size_t i = values->first_pair; i < end; i = next) {
		next = batch_end(r, i, end);
		PB_TRY(run_batch(r, i, next - i, &values->eval, i - values->first_pair,
				 &values->checks.logit_largest, err));
		PB_TRY(pb_progress_add(progress, (double)(next - i), err));
	}
	PB_TRY(check_chunk(r, values, err));
	values->isa = r->dev->ops->isa(r->dev);
	values->seconds = pb_seconds() - start;
	status = pb_writer_give(writer, values, err);
	values = NULL;
cleanup:
	pb_chunk_values_free(values);
	return status;
}

static enum pb_status count_prompts(const struct pb_running *r, size_t chunk, double *n,
				    struct pb_error *err)
{
	size_t left = r->prompts.n - chunk * r->plan.chunk_pairs;

	(void)err;
	*n += (double)(left < r->plan.chunk_pairs ? left : r->plan.chunk_pairs);
	return PB_OK;
}

static void mark_tokens(const struct pb_running *r, bool *used)
{
	for (size_t i = 0; i < r->prompts.n; i++)
		pb_mark_tokens(r->prompts.items[i].tokens, r->prompts.items[i].length, used);
}

const struct pb_job pb_job_evaluation = {.unit = "prompts",
					 .open = open_evaluation,
					 .describe = describe,
					 .print_plan = print_plan,
					 .seconds = seconds,
					 .prepare = prepare,
					 .release = release,
					 .count = count_prompts,
					 .chunk = run_chunk,
					 .longest = longest_prompt,
					 .mark_tokens = mark_tokens,
					 .print = pb_evaluation_print};
