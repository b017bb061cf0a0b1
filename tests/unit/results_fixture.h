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
#define FIXTURE_KV_HEADS 2
#define FIXTURE_WIDTH 5 /* of a head */
#define FIXTURE_ROLES 2
#define FIXTURE_SWEEPS 3 /* those of fixture_new; fixture_extend adds the others */

/* The sweeps of fixture_extend, by number. */
enum fixture_sweep {
	FIXTURE_KEYS = FIXTURE_SWEEPS, /* pattern, each_key */
	FIXTURE_ALPHA,                 /* an axis of alphas */
	FIXTURE_PART,                  /* one layer, heads 1 and 3, each position */
	FIXTURE_PAIRS,                 /* every head alone, and every pair of heads */
	FIXTURE_PATHS,                 /* heads to the values of heads: not all exist */
	FIXTURE_RESAMPLE,
	FIXTURE_MEAN,    /* by role, of a part of the layers */
	FIXTURE_CONTROL, /* at k, with its noise */
	FIXTURE_EMBED,   /* a single cell */
	FIXTURE_SETS,    /* named sets, complement */
	FIXTURE_RECEIVERS,
	FIXTURE_RESID, /* constant by construction */
	FIXTURE_WINDOW,
	FIXTURE_ALL
};

struct fixture {
	struct pb_experiment e;
	struct pb_pairs pairs;
	struct pb_sweep sweeps[FIXTURE_ALL];
	struct pb_grid grids[FIXTURE_ALL];
	struct pb_reference_means means[FIXTURE_ALL];
	struct pb_reading_values run_readings;
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

static inline struct pb_sweep fixture_sweep(enum pb_intervention intervention, enum pb_site site,
					    enum pb_direction direction,
					    enum pb_positions positions)
{
	return (struct pb_sweep){.intervention = intervention,
				 .site = site,
				 .direction = direction,
				 .positions = positions,
				 .min_gap = 0.1,
				 .window = 1};
}

static inline double fixture_effect(size_t sweep, size_t pair, size_t layer, size_t head,
				    size_t position);
static inline double fixture_value(const struct fixture *f, size_t sweep, size_t pair, size_t layer,
				   size_t head, size_t position);

static inline void fixture_grids(struct fixture *f, size_t first, size_t end)
{
	for (size_t s = first; s < end; s++)
		OK(f, pb_grid_make(&f->grids[s], &f->sweeps[s], &f->e.arch, f->pairs.max_length,
				   &f->err));
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
	f->sweeps[0] = fixture_sweep(PB_PATCH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_ALL);
	f->sweeps[1] = fixture_sweep(PB_PATCH, PB_SITE_Z, PB_NOISE, PB_POSITIONS_LAST);
	f->sweeps[2] = fixture_sweep(PB_PATCH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_EACH);
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
				      .arch = {.family = "gpt_neox",
					       .n_layers = FIXTURE_LAYERS,
					       .n_heads = FIXTURE_HEADS,
					       .n_kv_heads = FIXTURE_KV_HEADS,
					       .d_head = FIXTURE_WIDTH,
					       .d_model = 7,
					       .d_mlp = 9},
				      .pairs = &f->pairs,
				      .n_sweeps = FIXTURE_SWEEPS,
				      .sweeps = f->sweeps,
				      .grids = f->grids,
				      .metrics = (1u << PB_N_METRICS) - 1,
				      .chunk_pairs = chunk_pairs,
				      .n_chunks = (n_pairs + chunk_pairs - 1) / chunk_pairs};
	fixture_grids(f, 0, FIXTURE_SWEEPS);
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

/* Whether a cell exists for a pair. */
static inline bool fixture_has_cell(const struct fixture *f, size_t s, size_t pair, size_t cell)
{
	const struct pb_grid *g = &f->grids[s];
	const struct pb_sweep *sweep = &f->sweeps[s];
	const int32_t length = (int32_t)f->pairs.items[pair].length;

	if (sweep->intervention == PB_RESAMPLE)
		return pb_pairs_resample(&f->pairs, sweep->seed, pair) >= 0;
	if (sweep->intervention == PB_PATH)
		return pb_path_exists(
		    &f->e.arch, sweep->sender, pb_grid_value(g, cell, PB_AXIS_SENDER_LAYER),
		    sweep->receiver == PB_RECEIVER_SET ? PB_RECEIVER_LOGITS : sweep->receiver,
		    pb_grid_value(g, cell, PB_AXIS_RECEIVER_LAYER));
	return pb_grid_value(g, cell, PB_AXIS_POSITION) < length &&
	       pb_grid_value(g, cell, PB_AXIS_QUERY_POSITION) < length &&
	       pb_grid_value(g, cell, PB_AXIS_KEY_POSITION) < length;
}

/* Sets of two have their effects plus 0.01 (a + b), for the interaction. */
static inline double fixture_set_effect(const struct fixture *f, size_t s, size_t pair, size_t set)
{
	const struct pb_set *of = &f->sweeps[s].sets[set];
	double effect = 0;

	for (size_t m = 0; m < of->n; m++)
		effect += fixture_effect(s, pair, (size_t)of->members[m].layer,
					 1 + (size_t)of->members[m].head, SIZE_MAX);
	return of->n == 2 ? effect + 0.01 * (double)(set + pair) : effect;
}

static inline double fixture_cell_value(const struct fixture *f, size_t s, size_t pair, size_t cell)
{
	const struct pb_grid *g = &f->grids[s];
	int32_t layer = pb_grid_value(g, cell, PB_AXIS_LAYER);
	int32_t head = pb_grid_value(g, cell, PB_AXIS_HEAD);
	int32_t position = pb_grid_value(g, cell, PB_AXIS_POSITION);
	int32_t set = pb_grid_value(g, cell, PB_AXIS_SET);
	const double base = fixture_base(pair, f->sweeps[s].direction == PB_DENOISE ? 1 : 0);

	if (!fixture_has_cell(f, s, pair, cell))
		return NAN;
	if (set >= 0)
		return base + fixture_set_effect(f, s, pair, (size_t)set);
	if (s < FIXTURE_SWEEPS)
		return fixture_value(f, s, pair, (size_t)layer, (size_t)head,
				     position < 0 ? SIZE_MAX : (size_t)position);
	return base + fixture_noise(2 + s, pair, cell) + (cell % 7 == 3 ? 1 : 0);
}

static inline void fixture_fill_sweep(const struct fixture *f, struct pb_chunk_values *v, size_t s)
{
	const size_t n_cells = f->grids[s].n_cells;
	size_t C = 1, i, c, k;
	int m;

	for (i = 0; i < f->pairs.n; i++)
		if (f->pairs.items[i].n_candidates > C)
			C = f->pairs.items[i].n_candidates;
	for (i = 0; i < v->n_pairs * n_cells; i++) {
		const size_t pair = v->first_pair + i / n_cells, cell = i % n_cells;
		const double x = fixture_cell_value(f, s, pair, cell);

		c = f->pairs.items[pair].n_candidates;
		v->sweeps[s].absent[i] = !fixture_has_cell(f, s, pair, cell);
		for (m = 0; m < PB_N_METRICS; m++) {
			float *floats = v->sweeps[s].metric[m];

			if (floats == NULL)
				continue;
			if (pb_metric_infos[m].is_double)
				((double *)v->sweeps[s].metric[m])[i] = x;
			else if (pb_metric_infos[m].per_candidate)
				for (k = 0; k < C; k++)
					floats[i * C + k] =
					    k < c ? (float)(x + m + (double)k) : NAN;
			else
				floats[i] = (float)(x + m);
		}
	}
	if (v->sweeps[s].control != NULL)
		for (i = 0; i < v->n_pairs * pb_control_count(&f->e, s); i++)
			v->sweeps[s].control[i] = (float)fixture_noise(50, v->first_pair, i);
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

/* ---- more sweeps, readings and activations -------------------------------------------------- */

/* Every head alone, then every pair of heads, as `pairs: all` makes them. */
static inline void fixture_pair_sets(struct fixture *f, struct pb_sweep *sweep)
{
	const size_t n = (size_t)FIXTURE_LAYERS * FIXTURE_HEADS;
	struct pb_member *members = pb_arena_alloc(&f->pairs.arena, 2 * n * n, sizeof *members);
	struct pb_set *sets = pb_arena_alloc(&f->pairs.arena, n * n, sizeof *sets);
	size_t k = 0, a, b;

	for (a = 0; a < n; a++)
		for (b = a; b < n; b++) {
			/* b = a stands for a alone, which comes first */
			const size_t at = a == b ? a : n + k++;
			char name[32];

			members[at * 2] = (struct pb_member){(int32_t)(a / FIXTURE_HEADS),
							     (int32_t)(a % FIXTURE_HEADS)};
			members[at * 2 + 1] = (struct pb_member){(int32_t)(b / FIXTURE_HEADS),
								 (int32_t)(b % FIXTURE_HEADS)};
			snprintf(name, sizeof name, "pair_%zu_%zu", a, b);
			sets[at] = (struct pb_set){pb_arena_strdup(&f->pairs.arena, name),
						   a == b ? 1 : 2, members + at * 2, PB_SET_PAIRS};
		}
	sweep->by_sets = true;
	sweep->set_sources.all_pairs = true;
	sweep->n_sets = n + k;
	sweep->sets = sets;
}

static inline void fixture_other_sweeps(struct fixture *f)
{
	static const double alphas[] = {0, 0.5, 2};
	static const int32_t layers[] = {1}, heads[] = {1, 3};
	static const struct pb_member members[] = {{0, 1}, {2, 3}, {1, -1}};
	static const struct pb_set sets[] = {{"movers", 2, members, PB_SET_NAMED},
					     {"mixed", 3, members, PB_SET_NAMED}};
	static const struct pb_receiver_member receivers[] = {
	    {PB_RECEIVER_Q, 2, 1}, {PB_RECEIVER_MLP, 2, -1}, {PB_RECEIVER_LOGITS, -1, -1}};
	struct pb_sweep *s = f->sweeps;

	s[FIXTURE_KEYS] =
	    fixture_sweep(PB_PATCH, PB_SITE_PATTERN, PB_DENOISE, PB_POSITIONS_EACH_KEY);
	s[FIXTURE_ALPHA] = fixture_sweep(PB_SCALE, PB_SITE_Z, PB_NOISE, PB_POSITIONS_ALL);
	s[FIXTURE_ALPHA].n_alphas = 3;
	s[FIXTURE_ALPHA].alphas = alphas;
	s[FIXTURE_PART] = fixture_sweep(PB_PATCH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_EACH);
	s[FIXTURE_PART].n_layers = 1;
	s[FIXTURE_PART].layers = layers;
	s[FIXTURE_PART].n_heads = 2;
	s[FIXTURE_PART].heads = heads;
	s[FIXTURE_PAIRS] = fixture_sweep(PB_ZERO, PB_SITE_Z, PB_NOISE, PB_POSITIONS_ALL);
	fixture_pair_sets(f, &s[FIXTURE_PAIRS]);
	s[FIXTURE_PATHS] = fixture_sweep(PB_PATH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_ALL);
	s[FIXTURE_PATHS].sender = PB_SENDER_HEAD;
	s[FIXTURE_PATHS].receiver = PB_RECEIVER_V;
	s[FIXTURE_RESAMPLE] = fixture_sweep(PB_RESAMPLE, PB_SITE_Z, PB_NOISE, PB_POSITIONS_ALL);
	s[FIXTURE_RESAMPLE].seed = 5;
	s[FIXTURE_MEAN] = fixture_sweep(PB_MEAN, PB_SITE_Z, PB_NOISE, PB_POSITIONS_ALL);
	s[FIXTURE_MEAN].reference_by = PB_BY_ROLE;
	s[FIXTURE_MEAN].n_layers = 1;
	s[FIXTURE_MEAN].layers = layers;
	s[FIXTURE_CONTROL] = fixture_sweep(PB_CONTROL, PB_SITE_K, PB_DENOISE, PB_POSITIONS_ALL);
	s[FIXTURE_EMBED] = fixture_sweep(PB_PATCH, PB_SITE_EMBED, PB_DENOISE, PB_POSITIONS_ALL);
	s[FIXTURE_SETS] = fixture_sweep(PB_PATCH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_EACH);
	s[FIXTURE_SETS].by_sets = s[FIXTURE_SETS].complement = true;
	s[FIXTURE_SETS].n_sets = 2;
	s[FIXTURE_SETS].sets = sets;
	s[FIXTURE_RECEIVERS] = fixture_sweep(PB_PATH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_LAST);
	s[FIXTURE_RECEIVERS].sender = PB_SENDER_MLP;
	s[FIXTURE_RECEIVERS].receiver = PB_RECEIVER_SET;
	s[FIXTURE_RECEIVERS].freeze = PB_FREEZE_ATTENTION;
	s[FIXTURE_RECEIVERS].n_receivers = 3;
	s[FIXTURE_RECEIVERS].receivers = receivers;
	s[FIXTURE_RESID] = fixture_sweep(PB_PATCH, PB_SITE_RESID_PRE, PB_DENOISE, PB_POSITIONS_ALL);
	s[FIXTURE_WINDOW] = fixture_sweep(PB_PATCH, PB_SITE_Z, PB_DENOISE, PB_POSITIONS_LAST);
	s[FIXTURE_WINDOW].window = 3;
}

static inline double *fixture_numbers(struct fixture *f, size_t n, uint64_t stream)
{
	double *values = pb_arena_alloc(&f->pairs.arena, n, sizeof *values);

	for (size_t i = 0; i < n; i++)
		values[i] = fixture_noise(stream, i, 0);
	return values;
}

/* All sweeps, all readings, saved activations of z and pattern, the noise of control sweeps. */
static inline void fixture_extend(struct fixture *f)
{
	static const char *roles[FIXTURE_ROLES] = {"object", "end"};
	static const int64_t tokens[FIXTURE_ROLES] = {12, 14};
	const size_t L = FIXTURE_LAYERS, H = FIXTURE_HEADS;
	double *composition;

	f->pairs.n_roles = FIXTURE_ROLES;
	f->pairs.roles = roles;
	fixture_other_sweeps(f);
	fixture_grids(f, FIXTURE_SWEEPS, FIXTURE_ALL);
	f->means[FIXTURE_MEAN] = (struct pb_reference_means){
	    .n_layers = L,
	    .n_index = H,
	    .n_slots = FIXTURE_ROLES,
	    .width = FIXTURE_WIDTH,
	    .roles = roles,
	    .values = fixture_numbers(f, L * H * FIXTURE_ROLES * FIXTURE_WIDTH, 60),
	    .n_tokens = tokens};
	for (int r = 0; r < PB_N_READINGS; r++)
		if (!pb_reading_infos[r].by_pair)
			f->run_readings.values[r] = fixture_numbers(f, L * H * L * H, 61);
	/* A receiver that is not later has no composition. */
	composition = f->run_readings.values[PB_READ_COMPOSITION_Q];
	for (size_t i = 0; i < L * H * L * H; i++)
		if (i / H % L <= i / (H * L * H))
			composition[i] = NAN;
	f->e.n_sweeps = FIXTURE_ALL;
	f->e.means = f->means;
	f->e.readings = (1u << PB_N_READING_GROUPS) - 1;
	f->e.run_readings = &f->run_readings;
	f->e.save_control = true;
	f->e.save = 1u << PB_SITE_Z | 1u << PB_SITE_PATTERN;
}

/* The second pair of each chunk has no `end`. */
static inline void fixture_fill_readings(const struct fixture *f, struct pb_chunk_values *v,
					 int side)
{
	const size_t L = FIXTURE_LAYERS, H = FIXTURE_HEADS, T = f->pairs.max_length;

	for (int r = 0; r < PB_N_READINGS; r++) {
		double *values = v->readings[side].values[r];
		size_t n = L * H;

		if (values == NULL)
			continue;
		if (r == PB_READ_ROLE_MASS)
			n = L * H * FIXTURE_ROLES;
		else if (r == PB_READ_ATTRIBUTION_EMBED || r == PB_READ_ATTRIBUTION_POS_EMBED ||
			 r == PB_READ_ATTRIBUTION_BIAS)
			n = 1;
		else if (r > PB_READ_ATTRIBUTION_HEAD && r < PB_READ_BOS_MASS)
			n = L;
		for (size_t i = 0; i < v->n_pairs * n; i++)
			values[i] = r == PB_READ_ROLE_MASS && i / n == 1 && i % 2 == 1
					? NAN
					: fixture_noise(70 + (uint64_t)r, v->first_pair, i);
	}
	for (size_t i = 0;
	     v->saved[side][PB_SITE_Z] != NULL && i < v->n_pairs * L * H * T * FIXTURE_WIDTH; i++) {
		const size_t pair = v->first_pair + i / (L * H * T * FIXTURE_WIDTH);

		if (i / FIXTURE_WIDTH % T < f->pairs.items[pair].length)
			v->saved[side][PB_SITE_Z][i] = (float)(side + 1) * (float)i;
	}
	for (size_t i = 0;
	     v->saved[side][PB_SITE_PATTERN] != NULL && i < v->n_pairs * L * H * T * T; i++) {
		const size_t length = f->pairs.items[v->first_pair + i / (L * H * T * T)].length;

		if (i / T % T < length && i % T < length)
			v->saved[side][PB_SITE_PATTERN][i] = i % T <= i / T % T ? 0.25f : 0;
	}
}

/* The values of a chunk, checks included. */
static inline struct pb_chunk_values *fixture_chunk(struct fixture *f, size_t chunk)
{
	struct pb_chunk_values *v;
	size_t s, i;

	OK(f, pb_chunk_values_new(&v, &f->e, chunk, &f->err));
	fixture_fill_base(v, 0);
	fixture_fill_base(v, 1);
	for (s = 0; s < f->e.n_sweeps; s++)
		fixture_fill_sweep(f, v, s);
	fixture_fill_readings(f, v, 0);
	fixture_fill_readings(f, v, 1);
	if (f->e.readings & 1u << PB_READING_DIRECT_LOGIT_ATTRIBUTION)
		v->checks.attribution_deviation = 2e-5;
	for (i = 0; i < FIXTURE_LAYERS; i++)
		v->checks.resid_pre_deviation[i] = 1e-6 * (double)(i + 1);
	v->checks.n_resid_pre_pairs = 1;
	v->checks.logit_largest = 8.5;
	v->checks.variants = calloc(f->e.n_sweeps + 1, sizeof *v->checks.variants);
	cr_assert(v->checks.variants != NULL);
	for (s = 0; s < f->e.n_sweeps; s++) {
		struct pb_checked_variant *variant = &v->checks.variants[v->checks.n_variants];
		/* L1H2, at position 1 where there are positions */
		size_t cell = s == 2 ? 37 : s < FIXTURE_SWEEPS ? 6 : 0;

		while (!fixture_has_cell(f, s, v->first_pair, cell) &&
		       cell + 1 < f->grids[s].n_cells)
			cell++;
		if (!fixture_has_cell(f, s, v->first_pair, cell))
			continue;
		*variant = (struct pb_checked_variant){
		    .sweep = (int32_t)s, .pair = (int32_t)v->first_pair, .cell = (int32_t)cell};
		variant->logit_diff = fixture_cell_value(f, s, v->first_pair, cell);
		variant->logit_diff_plain = variant->logit_diff + 1e-6;
		v->checks.n_variants++;
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
