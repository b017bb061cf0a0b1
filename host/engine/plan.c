/* The plan: chunks from the model's shape and the number of pairs, waves from the memory; all of it
 * before anything runs. */
#include <stdio.h>
#include <string.h>

#include "engine/internal.h"

/* Memory that a chunk's caches should take at prompts of 128 tokens, and the most pairs a chunk
 * has: big enough for tall products, small enough that a lost chunk is no great loss. It must
 * depend on the model's shape and the number of pairs alone, so that chunks are the same
 * everywhere. */
#define CHUNK_CACHE_BYTES ((size_t)1 << 30)
#define CHUNK_TOKENS 128
#define CHUNK_PAIRS_MOST 32

static size_t chunk_pairs(const struct pb_arch *a, size_t n_pairs, size_t asked)
{
	size_t a_pair = pb_cache_bytes(a, (size_t)2 * CHUNK_TOKENS, 2, false);
	size_t n = CHUNK_CACHE_BYTES / a_pair;

	n = n > CHUNK_PAIRS_MOST ? CHUNK_PAIRS_MOST : n < 1 ? 1 : n;
	if (asked)
		n = asked;
	return n < n_pairs ? n : n_pairs > 0 ? n_pairs : 1;
}

/* Memory of this process so far: the program, its libraries, the mapped files it has read. */
static size_t resident_now(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	unsigned long long kib = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmRSS: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (size_t)kib * 1024;
}

size_t pb_candidates_most(const struct pb_pairs *pairs)
{
	size_t most = 0;

	for (size_t p = 0; p < pairs->n; p++)
		if (pairs->items[p].n_candidates > most)
			most = pairs->items[p].n_candidates;
	return most;
}

/* Host arrays of a chunk's results. */
static size_t result_bytes(const struct pb_arch *a, const struct pb_run_config *c,
			   const struct pb_pairs *pairs, size_t n)
{
	size_t bytes = 64 * n, candidates = pb_candidates_most(pairs);

	for (size_t s = 0; s < c->n_sweeps; s++) {
		size_t cells = n * a->n_layers * a->n_heads;

		if (c->sweeps[s].positions == PB_POSITIONS_EACH)
			cells *= pairs->max_length;
		for (int m = 0; m < PB_N_METRICS; m++)
			if (m == PB_METRIC_LOGIT_DIFF || (c->metrics & 1u << m))
				bytes += cells * (pb_metric_infos[m].is_double ? 8 : 4) *
					 (pb_metric_infos[m].per_candidate ? candidates : 1);
	}
	return bytes;
}

struct need {
	size_t rows, variants; /* of the largest wave that anything could want */
};

static void count_waves(struct pb_plan *plan, const struct pb_arch *a, const struct pb_sweep *sweep,
			const struct pb_pair *pairs, size_t n)
{
	for (size_t p = 0, next; p < n; p = next) {
		next = pb_wave_pairs(a, sweep, pairs, p, n, plan->rows_most, plan->variants_most);
		if (next == p) {
			struct pb_sweep_shape s = pb_sweep_shape(a, sweep, pairs + p, 1);
			size_t by_rows = s.n_rows / (plan->rows_most - s.rows_most + 1) + 1;
			size_t by_variants = s.n_variants / plan->variants_most + 1;

			plan->n_waves += by_rows + by_variants;
			next = p + 1;
		} else {
			plan->n_waves++;
		}
	}
}

static size_t wave_bytes(const struct pb_arch *a, const struct pb_plan *plan, bool vocabulary,
			 size_t rows, size_t variants)
{
	return pb_wave_memory_bytes(a, rows, variants, plan->longest, plan->n_targets, vocabulary);
}

/* The largest wave that fits `room` bytes: rows and variants shrink together. */
static bool fit_wave(struct pb_plan *plan, const struct pb_arch *a, struct need need,
		     bool vocabulary, size_t room)
{
	size_t low = 0, high = 1024;

	if (wave_bytes(a, plan, vocabulary, plan->longest, 1) > room)
		return false;
	while (low < high) {
		size_t mid = (low + high + 1) / 2;
		size_t rows = need.rows / 1024 * mid + need.rows % 1024 * mid / 1024;
		size_t variants = need.variants / 1024 * mid + need.variants % 1024 * mid / 1024;

		rows = rows < plan->longest ? plan->longest : rows;
		variants = variants < 1 ? 1 : variants;
		if (wave_bytes(a, plan, vocabulary, rows, variants) <= room) {
			low = mid;
			plan->rows_most = rows;
			plan->variants_most = variants;
		} else {
			high = mid - 1;
		}
	}
	if (low == 0) {
		plan->rows_most = plan->longest;
		plan->variants_most = 1;
	}
	return true;
}

enum pb_status pb_plan_make(struct pb_plan *plan, struct pb_device *dev,
			    const struct pb_model *model, const struct pb_run_config *c,
			    const struct pb_pairs *pairs, size_t memory, struct pb_error *err)
{
	const struct pb_arch *a = &model->arch;
	bool vocabulary = pb_metrics_need_vocabulary(c->metrics);
	size_t chunk_bytes = 0, check_rows = PB_CHECKED_VARIANTS * pairs->max_length;
	struct need need = {pairs->max_length, 1};
	size_t pair_variants = 0;

	memset(plan, 0, sizeof *plan);
	plan->memory = memory;
	plan->longest = pairs->max_length;
	plan->n_targets = 2 + pb_candidates_most(pairs);
	plan->chunk_pairs = chunk_pairs(a, pairs->n, c->chunk);
	plan->n_chunks = (pairs->n + plan->chunk_pairs - 1) / plan->chunk_pairs;
	for (size_t first = 0; first < pairs->n; first += plan->chunk_pairs) {
		size_t n =
		    pairs->n - first < plan->chunk_pairs ? pairs->n - first : plan->chunk_pairs;
		size_t bytes = pb_chunk_run_bytes(a, pairs, first, n);

		chunk_bytes = bytes > chunk_bytes ? bytes : chunk_bytes;
		for (size_t s = 0; s < c->n_sweeps; s++) {
			struct pb_sweep_shape shape =
			    pb_sweep_shape(a, &c->sweeps[s], pairs->items + first, n);

			need.rows = shape.n_rows > need.rows ? shape.n_rows : need.rows;
			need.variants =
			    shape.n_variants > need.variants ? shape.n_variants : need.variants;
			plan->n_variants += (double)shape.n_variants;
			plan->n_rows += (double)shape.n_rows;
			plan->flops += shape.flops;
		}
	}
	/* 32 MiB: HDF5's buffers, oneDNN's generated code, thread stacks */
	plan->fixed_bytes = resident_now() + ((size_t)32 << 20) +
			    pb_engine_bytes(dev, model, pairs->max_length) + chunk_bytes +
			    pb_cache_bytes(a, check_rows, PB_CHECKED_VARIANTS, true) +
			    result_bytes(a, c, pairs, plan->chunk_pairs) +
			    pair_variants * sizeof(struct pb_variant);
	/* device indices are int32 */
	if (2 * plan->chunk_pairs > (size_t)INT32_MAX / pairs->max_length)
		return pb_fail(err, PB_ERR_INPUT,
			       "a chunk of %zu pairs of %zu tokens is too large: engine.chunk: use "
			       "less",
			       plan->chunk_pairs, pairs->max_length);
	need.rows = need.rows < INT32_MAX ? need.rows : INT32_MAX;
	need.variants = need.variants < INT32_MAX ? need.variants : INT32_MAX;
	if (plan->fixed_bytes >= memory ||
	    !fit_wave(plan, a, need, vocabulary, memory - plan->fixed_bytes))
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "not enough memory: the run needs at least %.0f MiB and may use %.0f "
		    "MiB: --memory: give it more, or set a smaller engine.chunk (now %zu "
		    "pairs)",
		    (double)(plan->fixed_bytes +
			     wave_bytes(a, plan, vocabulary, plan->longest, 1)) /
			    1048576.0 +
			1.0,
		    (double)memory / 1048576.0, plan->chunk_pairs);
	plan->wave_bytes = wave_bytes(a, plan, vocabulary, plan->rows_most, plan->variants_most);
	plan->peak_bytes = plan->fixed_bytes + plan->wave_bytes;
	for (size_t first = 0; first < pairs->n; first += plan->chunk_pairs) {
		size_t n =
		    pairs->n - first < plan->chunk_pairs ? pairs->n - first : plan->chunk_pairs;

		for (size_t s = 0; s < c->n_sweeps; s++)
			count_waves(plan, a, &c->sweeps[s], pairs->items + first, n);
	}
	return PB_OK;
}

void pb_plan_print(const struct pb_plan *plan, const struct pb_run_config *c,
		   const struct pb_pairs *pairs, double flops_per_second, FILE *out)
{
	fprintf(out, "pairs       %zu, up to %zu tokens, in %zu chunk%s of %zu\n", pairs->n,
		pairs->max_length, plan->n_chunks, plan->n_chunks == 1 ? "" : "s",
		plan->chunk_pairs);
	for (size_t s = 0; s < c->n_sweeps; s++)
		fprintf(out, "sweep %-5zu %s %s, %s, positions %s\n", s,
			pb_intervention_names[c->sweeps[s].intervention],
			pb_site_names[c->sweeps[s].site],
			pb_direction_names[c->sweeps[s].direction],
			pb_positions_names[c->sweeps[s].positions]);
	fprintf(out, "variants    %.0f at most, %.0f delta rows, in %zu wave%s\n", plan->n_variants,
		plan->n_rows, plan->n_waves, plan->n_waves == 1 ? "" : "s");
	fprintf(out, "work        %.4g GFLOP of products\n", plan->flops * 1e-9);
	fprintf(out,
		"memory      %.0f MiB at most of %.0f MiB allowed: %.0f fixed, %.0f for waves\n",
		(double)plan->peak_bytes / 1048576.0, (double)plan->memory / 1048576.0,
		(double)plan->fixed_bytes / 1048576.0, (double)plan->wave_bytes / 1048576.0);
	fprintf(out, "time        about %.3g s of sweep at this machine's %.0f GFLOP/s\n",
		plan->flops / (0.8 * flops_per_second), flops_per_second * 1e-9);
}
