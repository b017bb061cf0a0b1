/* The plan: chunks from the model's shape and the number of pairs, waves from the memory; all of it
 * before anything runs. */
#include <stdio.h>
#include <string.h>

#include "engine/readings.h"
#include "engine/sweeps.h"

/* Memory that a chunk's caches should take at prompts of 128 tokens, and the most pairs a chunk
 * has: big enough for tall products, small enough that a lost chunk is no great loss. It must
 * depend on the model's shape and the number of pairs alone, so that chunks are the same
 * everywhere. */
#define CHUNK_CACHE_BYTES ((size_t)1 << 30)
#define CHUNK_TOKENS 128
#define CHUNK_PAIRS_MOST 32

/* Graphs of the device get a sixteenth of its memory, and no more than this. */
#define GRAPH_BYTES_MOST ((size_t)256 << 20)

static size_t chunk_pairs(const struct pb_arch *a, size_t n_pairs, size_t asked)
{
	size_t a_pair = pb_cache_bytes(a, (size_t)2 * CHUNK_TOKENS, 2, false, 0);
	size_t n = CHUNK_CACHE_BYTES / a_pair;

	n = n > CHUNK_PAIRS_MOST ? CHUNK_PAIRS_MOST : n < 1 ? 1 : n;
	if (asked)
		n = asked;
	return n < n_pairs ? n : n_pairs > 0 ? n_pairs : 1;
}

/* The program, its libraries, the mapped files it has read. And 36 MiB: HDF5's buffers, oneDNN's
 * code as it is read and generated (most where AVX-512 is), thread stacks. */
size_t pb_plan_resident(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	unsigned long long kib = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmRSS: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (size_t)kib * 1024 + ((size_t)36 << 20);
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
			   const struct pb_sweep_work *works, const struct pb_pairs *pairs,
			   size_t n)
{
	size_t bytes = 64 * n, candidates = pb_candidates_most(pairs), layers, index, width;

	for (size_t s = 0; s < c->n_sweeps; s++) {
		size_t cells = n * works[s].grid->n_cells;

		bytes += cells; /* absent */
		for (int m = 0; m < PB_N_METRICS; m++)
			if (m == PB_METRIC_LOGIT_DIFF || (c->metrics & 1u << m))
				bytes += cells * (pb_metric_infos[m].is_double ? 8 : 4) *
					 (pb_metric_infos[m].per_candidate ? candidates : 1);
		if (c->save_control && c->sweeps[s].intervention == PB_CONTROL) {
			pb_site_shape(a, c->sweeps[s].site, pairs->max_length, &layers, &index,
				      &width);
			bytes += n * layers * index * width * pairs->max_length * sizeof(float);
		}
	}
	for (int site = 0; site < PB_N_SITES; site++)
		if (c->save >> site & 1u) {
			pb_site_shape(a, (enum pb_site)site, pairs->max_length, &layers, &index,
				      &width);
			bytes += 3 * n * layers * index * width * pairs->max_length * sizeof(float);
		}
	return bytes;
}

/* What the largest wave that any sweep could want holds, and the lists that it is made from. */
struct need {
	size_t rows, variants;
	size_t sender_rows, n_senders;
	size_t source_bytes;
	size_t pair_bytes; /* lists of the pair that has most: made at once even where it is cut */
	size_t variant_bytes; /* of the lists, for each variant of a wave */
	size_t edit_bytes;
};

static size_t most(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static enum pb_status count_waves(struct pb_plan *plan, const struct pb_sweep_work *w, size_t n,
				  struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t p = 0, next; p < n; p = next) {
		PB_TRY(pb_wave_pairs(w, p, n, &plan->sizes, &next, err));
		if (next == p) {
			struct pb_sweep_shape s;

			PB_TRY(pb_sweep_shape(w, p, p + 1, &s, err));
			plan->n_waves += s.n_rows / (plan->sizes.rows_most - s.rows_most + 1) + 1 +
					 s.n_variants / plan->sizes.variants_most + 1;
			next = p + 1;
		} else {
			plan->n_waves++;
		}
	}
cleanup:
	return status;
}

static size_t wave_bytes(const struct pb_arch *a, const struct pb_plan *plan, size_t rows,
			 size_t variants)
{
	struct pb_wave_sizes sizes = plan->sizes;

	sizes.rows_most = rows;
	sizes.variants_most = variants;
	return pb_wave_memory_bytes(a, &sizes, plan->n_targets) + variants * plan->variant_bytes;
}

/* The largest wave that fits `room` bytes: rows and variants shrink together. */
static bool fit_wave(struct pb_plan *plan, const struct pb_arch *a, const struct need *need,
		     size_t room)
{
	size_t low = 0, high = 1024, longest = plan->sizes.longest;

	if (wave_bytes(a, plan, longest, 1) > room)
		return false;
	while (low < high) {
		size_t mid = (low + high + 1) / 2;
		size_t rows = need->rows / 1024 * mid + need->rows % 1024 * mid / 1024;
		size_t variants = need->variants / 1024 * mid + need->variants % 1024 * mid / 1024;

		rows = most(rows, longest);
		variants = most(variants, 1);
		if (wave_bytes(a, plan, rows, variants) <= room) {
			low = mid;
			plan->sizes.rows_most = rows;
			plan->sizes.variants_most = variants;
		} else {
			high = mid - 1;
		}
	}
	if (low == 0) {
		plan->sizes.rows_most = longest;
		plan->sizes.variants_most = 1;
	}
	return true;
}

/* The widest site that is projected, with its temporary columns: width and rank at most. */
static size_t temp_columns(const struct pb_arch *a, const struct pb_run_config *c)
{
	size_t widest = 0, layers, index, width;

	for (size_t s = 0; s < c->n_sweeps; s++)
		if (c->sweeps[s].intervention == PB_PROJECT) {
			pb_site_shape(a, c->sweeps[s].site, 1, &layers, &index, &width);
			widest = most(widest, 2 * width);
			if (c->sweeps[s].by_sets)
				widest = most(widest, 2 * a->d_model);
		}
	return widest;
}

static bool receives(const struct pb_sweep *s, bool mlp)
{
	if (s->intervention != PB_PATH)
		return false;
	if (s->receiver != PB_RECEIVER_SET)
		return mlp ? s->receiver == PB_RECEIVER_MLP : s->receiver < PB_RECEIVER_MLP;
	for (size_t i = 0; i < s->n_receivers; i++)
		if (mlp ? s->receivers[i].kind == PB_RECEIVER_MLP
			: s->receivers[i].kind < PB_RECEIVER_MLP)
			return true;
	return false;
}

/* Count one sweep on one chunk. One pair's senders always fit. */
static enum pb_status count_sweep(struct pb_plan *plan, struct need *need,
				  const struct pb_sweep_work *w, size_t n, struct pb_error *err)
{
	size_t senders = w->sweep->intervention == PB_PATH ? pb_n_senders(w) : 0, largest = 0;
	struct pb_sweep_shape shape;
	enum pb_status status;

	PB_TRY(pb_sweep_shape(w, 0, n, &shape, err));
	plan->n_variants += (double)shape.n_variants;
	plan->n_rows += (double)shape.n_rows;
	plan->flops += shape.flops;
	need->rows = most(need->rows, shape.n_rows);
	need->variants = most(need->variants, shape.n_variants);
	for (size_t p = 0; p < n; p++) {
		size_t bytes, edits;

		PB_TRY(pb_sweep_shape(w, p, p + 1, &shape, err));
		largest = most(largest, shape.n_sender_rows);
		if (shape.n_variants == 0)
			continue;
		bytes = shape.n_variants * sizeof(struct pb_variant) +
			shape.n_runs * sizeof(struct pb_run) +
			shape.n_injections * sizeof(struct pb_injection);
		/* lists grow by doubling, and there are two: of the wave under way, and the next */
		need->pair_bytes = most(need->pair_bytes, 4 * bytes);
		need->variant_bytes = most(need->variant_bytes, 4 * bytes / shape.n_variants + 1);
		/* a block's rows bound its variants and runs; at one site of one layer a variant
		 * writes every head at most */
		edits = (shape.n_injections + shape.n_variants - 1) / shape.n_variants;
		edits = edits < w->arch->n_heads ? edits : w->arch->n_heads;
		need->edit_bytes = most(need->edit_bytes, edits * 2 * plan->sizes.block.rows *
							      (sizeof(struct pb_edit) +
							       sizeof(struct pb_pattern_edit)));
	}
	/* as many pairs' senders as the waves of a fair size hold */
	need->sender_rows = most(need->sender_rows, most(largest, 4 * plan->sizes.block.rows));
	need->n_senders = most(need->n_senders, senders * n);
	if (!senders)
		need->sender_rows = need->n_senders = 0;
cleanup:
	return status;
}

static size_t pairs_of(const struct pb_plan *plan, const struct pb_pairs *pairs, size_t first)
{
	return pairs->n - first < plan->chunk_pairs ? pairs->n - first : plan->chunk_pairs;
}

/* The same work on another chunk. */
static struct pb_sweep_work work_at(const struct pb_sweep_work *w, const struct pb_pairs *pairs,
				    size_t first)
{
	struct pb_sweep_work at = *w;

	at.pairs = pairs->items + first;
	at.first_pair = first;
	return at;
}

static enum pb_status count_all(struct pb_plan *plan, struct need *need, size_t *chunk_bytes,
				const struct pb_arch *a, const struct pb_run_config *c,
				const struct pb_sweep_work *works, const struct pb_pairs *pairs,
				const struct pb_prompts *references, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t s = 0; s < c->n_sweeps; s++) {
		struct need of_sweep = {0};

		for (size_t first = 0; first < pairs->n; first += plan->chunk_pairs) {
			struct pb_sweep_work w = work_at(&works[s], pairs, first);

			PB_TRY(count_sweep(plan, &of_sweep, &w, pairs_of(plan, pairs, first), err));
		}
		need->rows = most(need->rows, of_sweep.rows);
		need->variants = most(need->variants, of_sweep.variants);
		need->pair_bytes = most(need->pair_bytes, of_sweep.pair_bytes);
		need->variant_bytes = most(need->variant_bytes, of_sweep.variant_bytes);
		need->edit_bytes = most(need->edit_bytes, of_sweep.edit_bytes);
		need->sender_rows = most(need->sender_rows, of_sweep.sender_rows);
		need->n_senders = most(need->n_senders, of_sweep.n_senders);
		need->source_bytes += pb_sources_bytes(a, &c->sweeps[s], pairs, &references[s],
						       4 * plan->chunk_pairs * pairs->max_length);
		/* done and gone before there is a chunk */
		*chunk_bytes =
		    most(*chunk_bytes, pb_means_bytes(a, &c->sweeps[s], pairs, &references[s],
						      plan->chunk_pairs));
		plan->sizes.sender_qkv = plan->sizes.sender_qkv || receives(&c->sweeps[s], false);
		plan->sizes.sender_h = plan->sizes.sender_h || receives(&c->sweeps[s], true);
	}
	for (size_t first = 0; first < pairs->n; first += plan->chunk_pairs)
		*chunk_bytes = most(
		    *chunk_bytes, pb_chunk_run_bytes(a, pairs, first, pairs_of(plan, pairs, first),
						     c->sweeps, c->n_sweeps, c->save));
	plan->sizes.sender_rows = need->sender_rows;
	plan->sizes.n_senders = need->n_senders;
	plan->variant_bytes = need->variant_bytes;
cleanup:
	return status;
}

/* The check's own forwards: paths keep every layer of the first half. */
static size_t check_bytes(const struct pb_arch *a, const struct pb_run_config *c, size_t longest)
{
	size_t rows = PB_CHECKED_VARIANTS * longest;
	bool paths = false;

	for (size_t s = 0; s < c->n_sweeps; s++)
		paths = paths || c->sweeps[s].intervention == PB_PATH;
	return pb_cache_bytes(a, rows, PB_CHECKED_VARIANTS, true,
			      pb_cache_extra(a, c->sweeps, c->n_sweeps, c->save)) +
	       (paths ? pb_cache_bytes(a, rows, PB_CHECKED_VARIANTS, false, 1u << PB_SITE_Q) : 0) +
	       rows * temp_columns(a, c) * sizeof(float);
}

/* The host's copies of weights on their way to a device with memory of its own. */
size_t pb_packing_bytes(const struct pb_arch *a)
{
	return 128 * sizeof(float) * most(a->n_vocab, most(pb_h_width(a), pb_qkv_width(a)));
}

enum pb_status pb_plan_device_memory(struct pb_plan *plan, struct pb_device *dev, size_t asked,
				     struct pb_error *err)
{
	size_t available = 0;
	enum pb_status status;

	PB_TRY(dev->ops->memory(dev, &available, err));
	plan->device_memory = available && asked ? asked : available / 10 * 9;
cleanup:
	return status;
}

static size_t left_of(size_t have, size_t taken)
{
	return have > taken ? have - taken : 0;
}

/* The waves for this many resident layers. What the device and the host take of `both` is not told
 * apart: each has room for all. */
static bool fit_layers(struct pb_plan *plan, struct pb_device *dev, const struct pb_model *model,
		       const struct need *need, size_t longest, size_t n_resident, size_t host,
		       size_t both)
{
	size_t engine = pb_engine_bytes(dev, model, longest, n_resident), room;

	plan->n_resident = n_resident;
	plan->fixed_bytes = host + (plan->device_memory ? pb_packing_bytes(&model->arch) : engine);
	plan->device_fixed_bytes = plan->device_memory ? both + engine + plan->graph_bytes : 0;
	room = left_of(plan->memory, plan->fixed_bytes);
	if (plan->device_memory) {
		size_t left = left_of(plan->device_memory, plan->device_fixed_bytes);

		room = left < room ? left : room;
	}
	return fit_wave(plan, &model->arch, need, room);
}

/* All layers stay packed where that leaves waves of a useful size; else one at a time, packed anew
 * as each wave comes to it, which takes little beside the products of a large wave. */
static enum pb_status fit_all(struct pb_plan *plan, struct pb_device *dev,
			      const struct pb_model *model, const struct need *need, size_t longest,
			      size_t host, size_t both, struct pb_error *err)
{
	size_t useful = need->rows < plan->sizes.block.rows ? need->rows : plan->sizes.block.rows;
	size_t least;

	if (fit_layers(plan, dev, model, need, longest, 0, host, both) &&
	    plan->sizes.rows_most >= useful)
		return PB_OK;
	if (fit_layers(plan, dev, model, need, longest, 1, host, both))
		return PB_OK;
	least = wave_bytes(&model->arch, plan, longest, 1);
	if (left_of(plan->memory, plan->fixed_bytes) < least)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "not enough memory: the run needs at least %.0f MiB and may use %.0f "
		    "MiB: --memory: give it more, or set a smaller engine.chunk (now %zu "
		    "pairs)",
		    (double)(plan->fixed_bytes + least) / 1048576.0 + 1.0,
		    (double)plan->memory / 1048576.0, plan->chunk_pairs);
	return pb_fail(
	    err, PB_ERR_INPUT,
	    "not enough memory on the GPU: the run needs at least %.0f MiB of it and may "
	    "use %.0f MiB: --device-memory: give it more, or set a smaller engine.chunk "
	    "(now %zu pairs)",
	    (double)(plan->device_fixed_bytes + least) / 1048576.0 + 1.0,
	    (double)plan->device_memory / 1048576.0, plan->chunk_pairs);
}

enum pb_status pb_plan_make(struct pb_plan *plan, struct pb_device *dev,
			    const struct pb_model *model, const struct pb_run_config *c,
			    const struct pb_sweep_work *works, const struct pb_pairs *pairs,
			    const struct pb_prompts *references, size_t longest, size_t memory,
			    size_t device_memory, struct pb_error *err)
{
	const struct pb_arch *a = &model->arch;
	struct need need = {.rows = pairs->max_length, .variants = 1};
	size_t chunk_bytes = 0, both, host;
	enum pb_status status;

	memset(plan, 0, sizeof *plan);
	plan->memory = memory;
	plan->sizes = (struct pb_wave_sizes){.longest = pairs->max_length,
					     .temp_columns = temp_columns(a, c),
					     .vocabulary = pb_metrics_need_vocabulary(c->metrics),
					     .block = dev->ops->block_sizes(dev)};
	plan->n_targets = 2 + pb_candidates_most(pairs);
	plan->chunk_pairs = chunk_pairs(a, pairs->n, c->chunk);
	plan->n_chunks = (pairs->n + plan->chunk_pairs - 1) / plan->chunk_pairs;
	/* device indices are int32 */
	if (2 * plan->chunk_pairs > (size_t)INT32_MAX / pairs->max_length)
		return pb_fail(err, PB_ERR_INPUT,
			       "a chunk of %zu pairs of %zu tokens is too large: engine.chunk: use "
			       "less",
			       plan->chunk_pairs, pairs->max_length);
	PB_TRY(count_all(plan, &need, &chunk_bytes, a, c, works, pairs, references, err));
	PB_TRY(pb_plan_device_memory(plan, dev, device_memory, err));
	if (c->graphs)
		plan->graph_bytes = smaller(plan->device_memory / 16, GRAPH_BYTES_MOST);
	need.rows = need.rows < INT32_MAX ? need.rows : INT32_MAX;
	need.variants = need.variants < INT32_MAX ? need.variants : INT32_MAX;
	both = chunk_bytes + check_bytes(a, c, pairs->max_length) + need.pair_bytes +
	       need.edit_bytes + need.source_bytes +
	       pb_readings_bytes(a, pairs, c->readings, plan->chunk_pairs);
	/* one chunk's results are written while the next one's come */
	host = both + pb_plan_resident() +
	       (plan->n_chunks > 1 ? 2 : 1) * result_bytes(a, c, works, pairs, plan->chunk_pairs);
	PB_TRY(fit_all(plan, dev, model, &need, longest, host, both, err));
	plan->wave_bytes = wave_bytes(a, plan, plan->sizes.rows_most, plan->sizes.variants_most);
	plan->peak_bytes = plan->fixed_bytes + plan->wave_bytes;
	for (size_t first = 0; first < pairs->n; first += plan->chunk_pairs)
		for (size_t s = 0; s < c->n_sweeps; s++) {
			struct pb_sweep_work w = work_at(&works[s], pairs, first);

			PB_TRY(count_waves(plan, &w, pairs_of(plan, pairs, first), err));
		}
cleanup:
	return status;
}

double pb_plan_seconds(const struct pb_plan *plan, double flops_per_second)
{
	return plan->flops / (0.8 * flops_per_second);
}

/* What tells one sweep from another, on a line. */
static void print_sweep(const struct pb_sweep_work *w, size_t number, FILE *out)
{
	const struct pb_sweep *s = w->sweep;

	fprintf(out, "sweep %-5zu ", number);
	if (s->intervention == PB_PATH)
		fprintf(out, "path %s to %s, freeze %s", pb_sender_names[s->sender],
			pb_receiver_names[s->receiver], pb_freeze_names[s->freeze]);
	else
		fprintf(out, "%s %s%s%s", pb_intervention_names[s->intervention],
			s->complement ? "complements of " : "", s->by_sets ? "sets of " : "",
			pb_site_names[s->site]);
	fprintf(out, ", %s, positions %s", pb_direction_names[s->direction],
		pb_positions_names[s->positions]);
	if (s->intervention == PB_MEAN)
		fprintf(out, ", %s over %s", pb_reference_by_names[s->reference_by],
			s->reference_path ? s->reference_path
					  : pb_reference_over_names[s->reference_over]);
	if (s->window > 1)
		fprintf(out, ", window %zu", s->window);
	if (s->n_alphas > 0)
		fprintf(out, ", %zu alpha%s from %g", s->n_alphas, s->n_alphas == 1 ? "" : "s",
			s->alphas[0]);
	fprintf(out, ": %zu cell%s\n", w->grid->n_cells, w->grid->n_cells == 1 ? "" : "s");
}

void pb_plan_print(const struct pb_plan *plan, const struct pb_run_config *c,
		   const struct pb_sweep_work *works, const struct pb_pairs *pairs,
		   double flops_per_second, FILE *out)
{
	fprintf(out, "pairs       %zu, up to %zu tokens, in %zu chunk%s of %zu\n", pairs->n,
		pairs->max_length, plan->n_chunks, plan->n_chunks == 1 ? "" : "s",
		plan->chunk_pairs);
	for (size_t s = 0; s < c->n_sweeps; s++)
		print_sweep(&works[s], s, out);
	fprintf(out, "variants    %.0f at most, %.0f delta rows, in %zu wave%s\n", plan->n_variants,
		plan->n_rows, plan->n_waves, plan->n_waves == 1 ? "" : "s");
	fprintf(out, "work        %.4g GFLOP of products\n", plan->flops * 1e-9);
	fprintf(out,
		"memory      %.0f MiB at most of %.0f MiB allowed: %.0f fixed, %.0f for waves\n",
		(double)plan->peak_bytes / 1048576.0, (double)plan->memory / 1048576.0,
		(double)plan->fixed_bytes / 1048576.0, (double)plan->wave_bytes / 1048576.0);
	if (plan->n_resident)
		fprintf(out,
			"weights     one layer at a time: all at once would leave too little\n");
	if (plan->device_memory)
		fprintf(out, "GPU memory  %.0f MiB at most of %.0f MiB allowed: %.0f fixed\n",
			(double)(plan->device_fixed_bytes + plan->wave_bytes) / 1048576.0,
			(double)plan->device_memory / 1048576.0,
			(double)plan->device_fixed_bytes / 1048576.0);
	if (plan->device_memory && plan->graph_bytes)
		fprintf(out, "graphs      %.0f MiB of that at most\n",
			(double)plan->graph_bytes / 1048576.0);
	fprintf(out, "time        about %.3g s of sweep at this machine's %.0f GFLOP/s\n",
		pb_plan_seconds(plan, flops_per_second), flops_per_second * 1e-9);
}
