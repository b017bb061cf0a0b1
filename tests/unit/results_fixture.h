/* A made-up experiment with values that are easy to predict, for the tests of result files. */
#ifndef PB_TESTS_RESULTS_FIXTURE_H
#define PB_TESTS_RESULTS_FIXTURE_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/base.h"
#include "patchbay/results.h"

#define FIXTURE_LAYERS 3
#define FIXTURE_HEADS 4
#define FIXTURE_LENGTH 6
#define FIXTURE_SWEEPS 3

struct fixture {
	struct pb_experiment e;
	struct pb_pairs pairs;
	struct pb_sweep sweeps[FIXTURE_SWEEPS];
	char folder[64], output[128], identity[256];
	struct pb_error err;
};

/* Criterion runs each test in a process of its own; status and message in one assertion. */
#define OK(f, call)                                                                                \
	do {                                                                                       \
		enum pb_status ok_status = (call);                                                 \
		cr_assert_eq(ok_status, PB_OK, "%s: %s", #call, (f)->err.message);                 \
	} while (0)
/* The call fails with a status and a message that contains a text. */
#define FAILS(f, call, wanted, text)                                                               \
	do {                                                                                       \
		enum pb_status fails_status;                                                       \
		(f)->err = (struct pb_error){0};                                                   \
		fails_status = (call);                                                             \
		cr_assert_eq(fails_status, wanted, "%s: status %d: %s", #call, fails_status,       \
			     (f)->err.message);                                                    \
		cr_assert(strstr((f)->err.message, text) != NULL, "no '%s' in: %s", text,          \
			  (f)->err.message);                                                       \
	} while (0)

static inline double fixture_noise(uint64_t a, uint64_t b, uint64_t c)
{
	struct pb_rng rng;

	pb_rng_seed(&rng, 99, a, b, c);
	return pb_rng_unit(&rng) - 0.5;
}

static inline void fixture_pair(struct fixture *f, size_t i, bool equal_length, const char *extra)
{
	struct pb_pair *pair = &f->pairs.items[i];
	struct pb_arena *arena = &f->pairs.arena;
	size_t p;

	pair->length = equal_length ? FIXTURE_LENGTH : FIXTURE_LENGTH - i % 3;
	pair->clean = pb_arena_alloc(arena, pair->length, sizeof(int32_t));
	pair->corrupted = pb_arena_alloc(arena, pair->length, sizeof(int32_t));
	pair->n_candidates = equal_length ? 2 : i % 3;
	pair->candidates = pb_arena_alloc(arena, pair->n_candidates, sizeof(int32_t));
	for (p = 0; p < pair->length; p++)
		pair->clean[p] = pair->corrupted[p] = (int32_t)(10 * i + p);
	pair->first_difference = 1 + i % 2;
	pair->corrupted[pair->first_difference] = 7777;
	for (p = 0; p < pair->n_candidates; p++)
		pair->candidates[p] = (int32_t)p + 5;
	pair->answer = 5;
	pair->foil = 6;
	pair->clean_text = "the clean prompt, \xc3\xa9\xe2\x82\xac";
	pair->corrupted_text = "the corrupted prompt";
	pair->answer_text = " A";
	pair->foil_text = "";
	pair->extra = extra;
}

/* n_pairs pairs in chunks of chunk_pairs; three sweeps: denoise all, noise last, denoise each. */
static inline void fixture_new(struct fixture *f, size_t n_pairs, size_t chunk_pairs,
			       bool equal_length)
{
	size_t i;

	memset(f, 0, sizeof *f);
	snprintf(f->folder, sizeof f->folder, "/tmp/pb_results_XXXXXX");
	cr_assert(mkdtemp(f->folder) != NULL);
	snprintf(f->output, sizeof f->output, "%s/box.h5", f->folder);
	snprintf(f->identity, sizeof f->identity,
		 "task:\n  name: box\n  pairs: %zu\nprecision: fp32\n", n_pairs);
	f->pairs.n = n_pairs;
	f->pairs.items = pb_arena_alloc(&f->pairs.arena, n_pairs, sizeof *f->pairs.items);
	f->pairs.bos = -1;
	for (i = 0; i < n_pairs; i++) {
		fixture_pair(f, i, equal_length, "{\"moves\": 4}");
		if (f->pairs.items[i].length > f->pairs.max_length)
			f->pairs.max_length = f->pairs.items[i].length;
	}
	f->sweeps[0] = (struct pb_sweep){PB_PATCH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_ALL, 0.1};
	f->sweeps[1] = (struct pb_sweep){PB_PATCH, PB_SITE_Z, PB_NOISE, PB_POSITIONS_LAST, 0.1};
	f->sweeps[2] = (struct pb_sweep){PB_PATCH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_EACH, 0.1};
	f->e = (struct pb_experiment){.output = f->output,
				      .config = "task:\n  name: box\n",
				      .identity = f->identity,
				      .model_sha256 = "aaaa",
				      .pairs_sha256 = "bbbb",
				      .command = "patchbay run box.yaml",
				      .model_path = "data/boxbench",
				      .family = "gpt_neox",
				      .backend = "cpu",
				      .device = "a processor",
				      .precision = "fp32",
				      .host = "localhost",
				      .seed = 3,
				      .n_threads = 2,
				      .n_layers = FIXTURE_LAYERS,
				      .n_heads = FIXTURE_HEADS,
				      .pairs = &f->pairs,
				      .n_sweeps = FIXTURE_SWEEPS,
				      .sweeps = f->sweeps,
				      .metrics = (1u << PB_N_METRICS) - 1,
				      .chunk_pairs = chunk_pairs,
				      .n_chunks = (n_pairs + chunk_pairs - 1) / chunk_pairs};
}

/* What the model says without intervention (side 0: clean, 1: corrupted). */
static inline double fixture_base(size_t pair, int side)
{
	return (side == 0 ? 3.0 : -2.5) + 0.4 * fixture_noise(1, pair, (uint64_t)side);
}

/* The effect of one head (position SIZE_MAX: a sweep without positions); L1H2 is strong. */
static inline double fixture_effect(size_t sweep, size_t pair, size_t layer, size_t head,
				    size_t position)
{
	double sign = sweep == 1 ? -1 : 1;
	double effect = 0.01 * fixture_noise(2 + sweep, pair, layer * 100 + head);

	if (layer == 1 && head == 2)
		effect += 2.0 + 0.3 * fixture_noise(7, pair, sweep);
	if (layer == 2 && head == 0)
		effect -= 0.5;
	if (position != SIZE_MAX)
		effect *= position == 0 ? 0 : 1.0 / (double)(1 + position);
	return sign * effect;
}

static inline double fixture_value(const struct fixture *f, size_t sweep, size_t pair, size_t layer,
				   size_t head, size_t position)
{
	int recipient = f->sweeps[sweep].direction == PB_DENOISE ? 1 : 0;

	return fixture_base(pair, recipient) + fixture_effect(sweep, pair, layer, head, position);
}

static inline void fixture_fill_metric(const struct fixture *f, struct pb_chunk_values *v, size_t s,
				       int m)
{
	bool each = f->sweeps[s].positions == PB_POSITIONS_EACH;
	bool candidates = pb_metric_infos[m].per_candidate;
	size_t P = each ? f->pairs.max_length : 1, C = 1, i, l, h, p, c, at = 0;

	for (i = 0; candidates && i < f->pairs.n; i++)
		if (f->pairs.items[i].n_candidates > C)
			C = f->pairs.items[i].n_candidates;
	for (i = 0; i < v->n_pairs; i++) {
		const struct pb_pair *pair = &f->pairs.items[v->first_pair + i];

		for (l = 0; l < FIXTURE_LAYERS; l++)
			for (h = 0; h < FIXTURE_HEADS; h++)
				for (p = 0; p < P; p++)
					for (c = 0; c < C; c++, at++) {
						double x = fixture_value(f, s, v->first_pair + i, l,
									 h, each ? p : SIZE_MAX);

						if ((each && p >= pair->length) ||
						    (candidates && c >= pair->n_candidates))
							x = NAN;
						if (pb_metric_infos[m].is_double)
							((double *)v->sweeps[s].metric[m])[at] = x;
						else
							((float *)v->sweeps[s].metric[m])[at] =
							    (float)(x + m + (double)c);
					}
	}
}

static inline void fixture_fill_base(struct pb_chunk_values *v, int side)
{
	struct pb_base_values *base = &v->base[side];
	size_t i;

	for (i = 0; i < v->n_pairs; i++) {
		double x = fixture_base(v->first_pair + i, side);

		base->logit_diff[i] = x;
		base->logit_answer[i] = (float)(5 + x);
		base->logit_foil[i] = 5;
		base->prob_answer[i] = 0.5f;
		base->prob_foil[i] = 0.25f;
		base->logprob_answer[i] = -0.7f;
		base->logprob_foil[i] = -1.4f;
		base->rank_answer[i] = side;
		base->rank_foil[i] = 1 - side;
		base->argmax[i] = 5 + side;
	}
}

/* The values of a chunk, checks included. */
static inline struct pb_chunk_values *fixture_chunk(struct fixture *f, size_t chunk)
{
	struct pb_chunk_values *v;
	size_t s, i;
	int m;

	OK(f, pb_chunk_values_new(&v, &f->e, chunk, &f->err));
	fixture_fill_base(v, 0);
	fixture_fill_base(v, 1);
	for (s = 0; s < f->e.n_sweeps; s++)
		for (m = 0; m < PB_N_METRICS; m++)
			if (v->sweeps[s].metric[m] != NULL)
				fixture_fill_metric(f, v, s, m);
	for (i = 0; i < FIXTURE_LAYERS; i++)
		v->checks.resid_pre_deviation[i] = 1e-6 * (double)(i + 1);
	v->checks.n_resid_pre_pairs = 1;
	v->checks.logit_largest = 8.5;
	v->checks.n_variants = f->e.n_sweeps;
	v->checks.variants = calloc(f->e.n_sweeps + 1, sizeof *v->checks.variants);
	cr_assert(v->checks.variants != NULL);
	for (s = 0; s < f->e.n_sweeps; s++) {
		struct pb_checked_variant *variant = &v->checks.variants[s];
		bool each = f->sweeps[s].positions == PB_POSITIONS_EACH;

		*variant = (struct pb_checked_variant){.sweep = (int32_t)s,
						       .pair = (int32_t)v->first_pair,
						       .layer = 1,
						       .head = 2,
						       .position = each ? 1 : -1};
		variant->logit_diff = fixture_value(f, s, v->first_pair, 1, 2, each ? 1 : SIZE_MAX);
		variant->logit_diff_plain = variant->logit_diff + 1e-6;
	}
	v->isa = "x86-64-v3";
	v->seconds = 2.5;
	return v;
}

static inline void fixture_write_part(struct fixture *f, size_t chunk)
{
	struct pb_chunk_values *v = fixture_chunk(f, chunk);

	OK(f, pb_part_write(&f->e, v, &f->err));
	pb_chunk_values_free(v);
}

static inline void fixture_write_parts(struct fixture *f)
{
	size_t c;

	OK(f, pb_parts_prepare(&f->e, &f->err));
	for (c = 0; c < f->e.n_chunks; c++)
		fixture_write_part(f, c);
}

static inline void fixture_assemble(struct fixture *f)
{
	fixture_write_parts(f);
	OK(f, pb_result_assemble(&f->e, &f->err));
}

/* Whether the file or folder "<output><suffix>" is there. */
static inline bool fixture_has(const struct fixture *f, const char *suffix)
{
	char path[256];

	snprintf(path, sizeof path, "%s%s", f->output, suffix);
	return access(path, F_OK) == 0;
}

/* Whether this process left a half written "<output><suffix>". */
static inline bool fixture_has_aside(const struct fixture *f, const char *suffix)
{
	char name[128];

	snprintf(name, sizeof name, "%s.tmp.%ld", suffix, (long)getpid());
	return fixture_has(f, name);
}

static inline void fixture_free(struct fixture *f)
{
	char *command = pb_format("rm -rf '%s'", f->folder);

	cr_assert(command != NULL && system(command) == 0);
	free(command);
	pb_arena_free(&f->pairs.arena);
}

#endif
