/* Path patching between all heads of the bundled model, on 20 pairs of the box task, against a peer
 * that spends one plain forward pass a path.
 *
 *     build/release/bench/bench_paths [threads] [sample]
 *
 * Every head to q, k and v of every later head, denoising, all positions. A path is one (sender,
 * receiver) of one pair. The engine's time is that of the sweep, the best of several; with the base
 * runs of the pairs in the second figure. The peer's is what a loop of forwards needs at least: for
 * each sender one forward of all 20 recipients, in which the receivers' inputs are made, and one
 * for each path. It is timed with the engine's own forward, unpruned and without hooks, beside each
 * path of a random sample, and scaled to all of them; those of the sample are computed that way in
 * full and must agree to 1e-4 of the largest effect (else exit 1). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

enum { N_PAIRS = 20, ROUNDS = 3, SAMPLE = 8, ROWS_MOST = 65536, VARIANTS_MOST = 8192 };

#define TOLERANCE 1e-4

struct bench {
	struct pb_device *dev;
	struct pb_model *model;
	struct pb_tokenizer *tokenizer;
	struct pb_engine e;
	struct pb_pairs pairs;
	struct pb_chunk_run run;
	double base_seconds;
	struct pb_error err;
};

/* One sweep at work. */
struct at_work {
	struct pb_sweep sweep;
	struct pb_grid grid;
	struct pb_sources sources; /* paths need none */
	struct pb_sweep_work work;
	struct pb_arena arena;
	double *logit_diff; /* [pairs, cells] */
	double seconds;     /* of the sweep */
};

struct peer {
	double forward;            /* seconds of one forward of all pairs, the best */
	double deviation, largest; /* of the sample; largest effect of the sweep */
};

static void must(struct bench *b, enum pb_status status)
{
	if (status != PB_OK) {
		fprintf(stderr, "bench_paths: %s\n", b->err.message);
		exit(pb_exit_status(status));
	}
}

static void set_up(struct bench *b, int threads)
{
	static const char folder[] = "data/boxbench";
	static const struct pb_task_options task = {
	    .name = "box", .boxes = 3, .moves = 2, .count = N_PAIRS};
	/* q before its rotation, which the plain forwards read */
	static const struct pb_sweep kept = {.intervention = PB_PATCH, .site = PB_SITE_Q};
	const struct pb_arch *a;
	char *text = NULL;
	size_t size = 0;
	double start;

	must(b, pb_model_open(&b->model, folder, &b->err));
	a = &b->model->arch;
	must(b, pb_tokenizer_open(&b->tokenizer, folder, &b->err));
	must(b, pb_task_pairs(&task, &text, &size, &b->err));
	must(b, pb_pairs_parse(&b->pairs, text, size, task.name, b->tokenizer, PB_BOS_AUTO,
			       a->n_vocab, a->n_context, &b->err));
	free(text);
	must(b, pb_device_open(&b->dev, "cpu", threads, PB_PRECISION_FP32, &b->err));
	must(b, pb_engine_open(&b->e, b->dev, b->model, b->pairs.max_length, 0, &b->err));
	start = pb_seconds();
	must(b, pb_chunk_run_new(&b->run, &b->e, &b->pairs, 0, N_PAIRS, &kept, 1, 0, a->n_vocab,
				 &b->err));
	b->base_seconds = pb_seconds() - start;
}

static void tear_down(struct bench *b)
{
	pb_chunk_run_free(&b->run, &b->e);
	pb_engine_close(&b->e);
	pb_device_close(b->dev);
	pb_pairs_free(&b->pairs);
	pb_tokenizer_close(b->tokenizer);
	pb_model_close(b->model);
}

static void start(struct bench *b, struct at_work *w, enum pb_receiver receiver,
		  enum pb_freeze freeze)
{
	memset(w, 0, sizeof *w);
	w->sweep = (struct pb_sweep){.intervention = PB_PATH,
				     .direction = PB_DENOISE,
				     .positions = PB_POSITIONS_ALL,
				     .window = 1,
				     .sender = PB_SENDER_HEAD,
				     .receiver = receiver,
				     .freeze = freeze};
	must(b, pb_grid_make(&w->grid, &w->sweep, &b->e.arch, b->pairs.max_length, &b->err));
	w->work = (struct pb_sweep_work){.sweep = &w->sweep,
					 .grid = &w->grid,
					 .arch = &b->e.arch,
					 .run = &b->run,
					 .pairs = b->run.pairs,
					 .all = &b->pairs,
					 .sources = &w->sources,
					 .recipient = 1,
					 .donor = 0};
}

/* ---- the engine ------------------------------------------------------------------------------ */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void run_engine(struct bench *b, struct at_work *w)
{
	size_t cells = N_PAIRS * w->grid.n_cells;
	struct pb_sweep_values values = {0};
	struct pb_sweep_target target = {.work = &w->work,
					 .metrics = 1u << PB_METRIC_LOGIT_DIFF,
					 .max_candidates = pb_candidates_most(&b->pairs),
					 .n_valid = b->e.arch.n_vocab,
					 .values = &values};
	struct pb_sweep_shape shape;
	struct pb_wave_sizes sizes;
	struct pb_wave_memory memory;
	struct pb_progress progress;

	must(b, pb_sweep_shape(&w->work, 0, N_PAIRS, &shape, &b->err));
	sizes = (struct pb_wave_sizes){.rows_most = least(shape.n_rows, ROWS_MOST),
				       .variants_most = least(shape.n_variants, VARIANTS_MOST),
				       .longest = b->pairs.max_length,
				       .sender_rows = shape.n_sender_rows,
				       .n_senders = N_PAIRS * pb_n_senders(&w->work),
				       .sender_qkv = true};
	must(b, pb_wave_memory_new(&memory, &b->e, &sizes, &b->err));
	must(b, pb_alloc((void **)&w->logit_diff, cells, sizeof(double), "effects", &b->err));
	must(b, pb_alloc((void **)&values.absent, cells, 1, "effects", &b->err));
	for (size_t i = 0; i < cells; i++)
		w->logit_diff[i] = NAN;
	values.metric[PB_METRIC_LOGIT_DIFF] = w->logit_diff;
	w->seconds = INFINITY;
	for (int round = 0; round < ROUNDS; round++) {
		double begin = pb_seconds();

		pb_progress_begin(&progress, "paths", (double)cells);
		must(b, pb_sweep_run(&b->e, &memory, &target, &progress, &b->err));
		w->seconds = fmin(w->seconds, pb_seconds() - begin);
	}
	pb_wave_memory_free(&memory, &b->e);
	free(values.absent);
}

/* ---- the peer -------------------------------------------------------------------------------- */

/* Seconds of one plain forward of all recipients. */
static double time_forward(struct bench *b)
{
	const int32_t *tokens[N_PAIRS];
	size_t lengths[N_PAIRS];
	struct pb_batch batch = {0};
	struct pb_cache cache = {0};
	double begin;

	for (size_t p = 0; p < N_PAIRS; p++) {
		tokens[p] = b->pairs.items[p].corrupted;
		lengths[p] = b->pairs.items[p].length;
	}
	must(b, pb_batch_new(&batch, &b->e, N_PAIRS, tokens, lengths, &b->err));
	must(b, pb_cache_new(&cache, &b->e, batch.n_rows, N_PAIRS, true, 0, &b->err));
	begin = pb_seconds();
	must(b, pb_forward(&b->e, &batch, &cache, NULL, PB_STAGE_CHECK, &b->err));
	begin = pb_seconds() - begin;
	pb_cache_free(&cache, &b->e);
	pb_batch_free(&batch, &b->e);
	return begin;
}

/* All pairs of one cell by plain forwards, against the engine; false when there is no such path. */
static bool check_path(struct bench *b, const struct at_work *w, size_t cell, struct peer *peer)
{
	struct pb_sweep_work work = w->work;
	struct pb_variants list = {0};
	double want[N_PAIRS];
	bool exists;

	work.no_shortcut = true;
	for (size_t p = 0; p < N_PAIRS; p++) {
		enum pb_cell_kind kind;

		must(b, pb_cell_variant(&work, p, cell, &list, &kind, &b->err));
	}
	exists = list.n == N_PAIRS;
	if (exists)
		must(b, pb_check_plain(&b->e, &work, &list, want, &b->err));
	for (size_t p = 0; exists && p < N_PAIRS; p++) {
		double deviation = fabs(w->logit_diff[p * w->grid.n_cells + cell] - want[p]);

		/* a NaN stays */
		if (!(deviation <= peer->deviation))
			peer->deviation = deviation;
	}
	pb_variants_free(&list);
	return exists;
}

static struct peer run_peer(struct bench *b, const struct at_work *w, size_t sample)
{
	struct peer peer = {.forward = INFINITY};
	struct pb_rng rng;

	for (size_t i = 0; i < N_PAIRS * w->grid.n_cells; i++) {
		double base = pb_base_logit_diff(&b->run, i / w->grid.n_cells, w->work.recipient);

		if (!isnan(w->logit_diff[i]))
			peer.largest = fmax(peer.largest, fabs(w->logit_diff[i] - base));
	}
	pb_rng_seed(&rng, 0, 0, 0, (uint64_t)w->sweep.receiver);
	for (size_t done = 0; done < sample;) {
		if (!check_path(b, w, pb_rng_below(&rng, w->grid.n_cells), &peer))
			continue;
		done++;
		peer.forward = fmin(peer.forward, time_forward(b));
	}
	return peer;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* One line; false where the effects do not agree. */
static bool measure(struct bench *b, enum pb_receiver receiver, enum pb_freeze freeze,
		    size_t sample)
{
	struct at_work w;
	struct peer peer;
	double n_paths, whole, peer_whole, deviation;
	size_t cells = 0;

	start(b, &w, receiver, freeze);
	run_engine(b, &w);
	for (size_t cell = 0; cell < w.grid.n_cells; cell++)
		cells += !isnan(w.logit_diff[cell]);
	peer = run_peer(b, &w, sample);
	n_paths = (double)(cells * N_PAIRS);
	whole = w.seconds + b->base_seconds;
	peer_whole = (double)(cells + pb_n_senders(&w.work)) * peer.forward;
	deviation = peer.deviation / peer.largest;
	printf("%-2s %-10s %7.0f %9.3f %10.0f %9.3f %10.0f %9.2f %10.0f %7.1f %10.1e\n",
	       pb_receiver_names[receiver], pb_freeze_names[freeze], n_paths, w.seconds,
	       n_paths / w.seconds, whole, n_paths / whole, peer_whole, n_paths / peer_whole,
	       peer_whole / whole, deviation);
	free(w.logit_diff);
	pb_arena_free(&w.arena);
	return deviation < TOLERANCE;
}

int main(int argc, char **argv)
{
	static struct bench b;
	int threads = argc > 1 ? atoi(argv[1]) : pb_thread_limit();
	int sample = argc > 2 ? atoi(argv[2]) : SAMPLE;
	bool agree = true;

	pb_log_quiet(true);
	set_up(&b, threads > 0 ? threads : 1);
	printf("paths between all heads of data/boxbench, %d pairs, %s; peer: one forward of all "
	       "pairs a path\nand a sender, the best of %d; deviation of the sampled paths in "
	       "largest effects\n",
	       N_PAIRS, b.dev->ops->describe(b.dev), sample);
	printf("%-2s %-10s %7s %9s %10s %9s %10s %9s %10s %7s %10s\n", "to", "freeze", "paths",
	       "sweep s", "paths/s", "run s", "paths/s", "peer s", "paths/s", "ratio", "deviation");
	for (int freeze = 0; freeze < PB_N_FREEZES; freeze++)
		for (int receiver = PB_RECEIVER_Q; receiver <= PB_RECEIVER_V; receiver++)
			agree = measure(&b, (enum pb_receiver)receiver, (enum pb_freeze)freeze,
					sample > 0 ? (size_t)sample : 1) &&
				agree;
	tear_down(&b);
	if (!agree)
		fprintf(stderr, "bench_paths: effects differ by more than %g of the largest\n",
			TOLERANCE);
	return agree ? 0 : 1;
}
