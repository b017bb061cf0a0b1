/* The whole experiment of a config: model, pairs, plan, chunks, file. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/internal.h"

/* All that a run holds, so that one cleanup lets it go. */
struct run {
	const struct pb_run_config *config;
	const struct pb_run_options *options;
	struct pb_model *model;
	struct pb_tokenizer *tokenizer;
	struct pb_pairs pairs;
	struct pb_device *dev;
	struct pb_engine engine;
	struct pb_wave_memory memory;
	struct pb_plan plan;
	struct pb_experiment experiment;
	char *identity;
	char host[256], pairs_sha256[PB_SHA256_HEX];
	double gemm_rate, started;
};

static void run_free(struct run *r)
{
	pb_wave_memory_free(&r->memory, &r->engine);
	pb_engine_close(&r->engine);
	pb_device_close(r->dev);
	pb_pairs_free(&r->pairs);
	pb_tokenizer_close(r->tokenizer);
	pb_model_close(r->model);
	free(r->identity);
}

/* ---- prompts --------------------------------------------------------------------------------- */

static bool has_tokenizer(const char *folder)
{
	static const char *const names[] = {"tokenizer.json", "vocab.json"};
	bool found = false;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *path = pb_format("%s/%s", folder, names[i]);

		found = found || (path && pb_is_file(path));
		free(path);
	}
	return found;
}

static enum pb_status open_pairs(struct run *r, struct pb_error *err)
{
	const struct pb_run_config *c = r->config;
	const struct pb_arch *a = &r->model->arch;
	char *text = NULL;
	size_t size = 0;
	enum pb_status status;

	if (has_tokenizer(c->model_path))
		PB_TRY(pb_tokenizer_open(&r->tokenizer, c->model_path, err));
	if (c->pairs_path) {
		PB_TRY(pb_pairs_read(&r->pairs, c->pairs_path, r->tokenizer, c->bos, a->n_vocab,
				     a->n_context, err));
	} else {
		PB_TRY(pb_task_pairs(&c->task, &text, &size, err));
		PB_TRY(pb_pairs_parse(&r->pairs, text, size, c->task.name, r->tokenizer, c->bos,
				      a->n_vocab, a->n_context, err));
	}
	PB_TRY(pb_pairs_hash(&r->pairs, r->pairs_sha256, err));
cleanup:
	free(text);
	return status;
}

/* ---- what names the experiment -----------------------------------------------------------------
 */

/* Tokens that argmax and rank look at: the tokenizer's, where the folder has one. */
static size_t n_valid_tokens(const struct run *r)
{
	size_t rows = r->model->arch.n_vocab;
	size_t known = r->tokenizer ? pb_tokenizer_size(r->tokenizer) : rows;

	return known < rows ? known : rows;
}

/* Everything of the config that bears on the numbers, one line each; the model and the pairs have
 * their own hashes. Where the result goes, memory, threads and backend do not belong here. */
static char *describe_identity(const struct run *r)
{
	const struct pb_run_config *c = r->config;
	char *text =
	    pb_format("precision: fp32\nchunk: %zu\ntokens: %zu\nmetrics:", r->plan.chunk_pairs,
		      n_valid_tokens(r));

	for (int m = 0; text && m < PB_N_METRICS; m++)
		if (c->metrics & 1u << m) {
			char *more = pb_format("%s %s", text, pb_metric_infos[m].name);

			free(text);
			text = more;
		}
	for (size_t s = 0; text && s < c->n_sweeps; s++) {
		const struct pb_sweep *w = &c->sweeps[s];
		char *more = pb_format("%s\nsweep %zu: %s %s %s %s min_gap %.17g", text, s,
				       pb_intervention_names[w->intervention],
				       pb_site_names[w->site], pb_direction_names[w->direction],
				       pb_positions_names[w->positions], w->min_gap);

		free(text);
		text = more;
	}
	return text;
}

static enum pb_status describe_experiment(struct run *r, struct pb_error *err)
{
	const struct pb_run_config *c = r->config;

	r->identity = describe_identity(r);
	if (!r->identity)
		return pb_fail(err, PB_ERR_MEMORY, "no memory for the experiment's description");
	if (gethostname(r->host, sizeof r->host - 1) != 0)
		r->host[0] = '\0';
	r->experiment = (struct pb_experiment){.output = c->output,
					       .config = c->resolved,
					       .identity = r->identity,
					       .model_sha256 = r->model->sha256,
					       .pairs_sha256 = r->pairs_sha256,
					       .command = r->options->command,
					       .model_path = c->model_path,
					       .family = r->model->arch.family,
					       .backend = r->dev->ops->name,
					       .device = r->dev->ops->describe(r->dev),
					       .precision = "fp32",
					       .host = r->host,
					       .seed = c->task.seed,
					       .n_threads = omp_get_max_threads(),
					       .n_layers = r->model->arch.n_layers,
					       .n_heads = r->model->arch.n_heads,
					       .pairs = &r->pairs,
					       .n_sweeps = c->n_sweeps,
					       .sweeps = c->sweeps,
					       .metrics = c->metrics,
					       .chunk_pairs = r->plan.chunk_pairs,
					       .n_chunks = r->plan.n_chunks};
	return PB_OK;
}

/* ---- the output --------------------------------------------------------------------------------
 */

/* Look at what is at the output: *done when a complete file of this experiment is there. */
static enum pb_status settle_output(struct run *r, bool *done, struct pb_error *err)
{
	const struct pb_experiment *x = &r->experiment;
	enum pb_output_state state;
	char difference[2048] = "";
	enum pb_status status;

	*done = false;
	PB_TRY(pb_output_state(x, &state, difference, sizeof difference, err));
	switch (state) {
	case PB_OUTPUT_ABSENT:
		break;
	case PB_OUTPUT_PARTS:
		pb_info("%s: an unfinished run of this experiment: continuing", x->output);
		break;
	case PB_OUTPUT_COMPLETE:
		pb_info("%s: this experiment is already complete", x->output);
		*done = true;
		break;
	case PB_OUTPUT_OTHER:
		if (!r->options->force) {
			status =
			    pb_fail(err, PB_ERR_INPUT,
				    "the output belongs to a different experiment: %s: %s: use "
				    "another -o, or --force to replace it",
				    x->output, difference);
			goto cleanup;
		}
		PB_TRY(pb_output_remove(x, err));
		break;
	}
	if (!*done)
		PB_TRY(pb_parts_prepare(x, err));
cleanup:
	return status;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static enum pb_status run_chunk(struct run *r, size_t chunk, struct pb_progress *progress,
				struct pb_error *err)
{
	const struct pb_experiment *x = &r->experiment;
	size_t first = chunk * x->chunk_pairs, n_valid = n_valid_tokens(r);
	size_t n = r->pairs.n - first < x->chunk_pairs ? r->pairs.n - first : x->chunk_pairs;
	bool directions[PB_N_DIRECTIONS] = {false};
	struct pb_chunk_values *values = NULL;
	struct pb_chunk_run base = {0};
	double start = pb_seconds();
	enum pb_status status;

	PB_TRY(pb_chunk_values_new(&values, x, chunk, err));
	PB_TRY(pb_chunk_run_new(&base, &r->engine, &r->pairs, first, n, n_valid, err));
	pb_base_store(&base, values->base, &values->checks.logit_largest);
	for (size_t s = 0; s < x->n_sweeps; s++)
		directions[x->sweeps[s].direction] = true;
	PB_TRY(pb_check_resid_pre(&r->engine, &r->memory, &base, directions, n_valid,
				  &values->checks, err));
	for (size_t s = 0; s < x->n_sweeps; s++) {
		struct pb_sweep_target target = {.sweep = &x->sweeps[s],
						 .metrics = x->metrics,
						 .max_candidates = pb_candidates_most(&r->pairs),
						 .max_length = r->pairs.max_length,
						 .n_valid = n_valid,
						 .values = &values->sweeps[s]};

		PB_TRY(pb_sweep_run(&r->engine, &r->memory, &base, &target, progress, err));
	}
	PB_TRY(pb_check_variants(&r->engine, &base, x, values, err));
	values->isa = r->dev->ops->isa(r->dev);
	values->seconds = pb_seconds() - start;
	start = pb_seconds();
	PB_TRY(pb_part_write(x, values, err));
	r->engine.profile.seconds[PB_STAGE_WRITE] += pb_seconds() - start;
cleanup:
	pb_chunk_run_free(&base, &r->engine);
	pb_chunk_values_free(values);
	return status;
}

/* Every chunk that has no part yet. */
static enum pb_status run_chunks(struct run *r, struct pb_error *err)
{
	struct pb_progress progress;
	double before = 0.0;
	enum pb_status status = PB_OK;

	pb_progress_begin(&progress, "patches", r->plan.n_variants);
	for (size_t chunk = 0; chunk < r->plan.n_chunks; chunk++) {
		bool done = false;

		PB_TRY(pb_part_done(&r->experiment, chunk, &done, err));
		if (done) {
			/* the bar counts what is there already */
			size_t first = chunk * r->plan.chunk_pairs;
			size_t n = r->pairs.n - first < r->plan.chunk_pairs ? r->pairs.n - first
									    : r->plan.chunk_pairs;

			for (size_t s = 0; s < r->config->n_sweeps; s++)
				before +=
				    (double)pb_sweep_shape(&r->model->arch, &r->config->sweeps[s],
							   r->pairs.items + first, n)
					.n_variants;
			pb_progress_add(&progress, before);
			before = 0.0;
			continue;
		}
		if (pb_stop_requested()) {
			status =
			    pb_fail(err, PB_ERR_STOPPED,
				    "stopped after %zu of %zu chunks: %s: run the same command "
				    "again to continue",
				    chunk, r->plan.n_chunks, r->experiment.output);
			goto cleanup;
		}
		PB_TRY(run_chunk(r, chunk, &progress, err));
	}
cleanup:
	pb_progress_end(&progress);
	return status;
}

static void print_profile(const struct run *r, const struct pb_profile *p, FILE *out)
{
	double sweep = 0.0, rate = r->gemm_rate;

	fprintf(out, "\ntime by stage (s)\n");
	for (int s = 0; s < PB_N_STAGES; s++) {
		fprintf(out, "  %-11s %8.3f\n", pb_stage_names[s], p->seconds[s]);
		if (s >= PB_STAGE_INJECT && s <= PB_STAGE_SCORE)
			sweep += p->seconds[s];
	}
	fprintf(out, "  %-11s %8.3f  (inject to score)\n", "sweep", sweep);
	fprintf(out, "  %-11s %8.3f  (all, assembly too)\n", "run", pb_seconds() - r->started);
	if (sweep > 0.0)
		fprintf(out,
			"products of the waves: %.1f GFLOP, %.1f GFLOP/s of the sweep's time; this "
			"machine's sgemm: %.1f GFLOP/s; fraction reached: %.3f\n",
			p->flops * 1e-9, p->flops / sweep * 1e-9, rate * 1e-9,
			p->flops / sweep / rate);
}

/* Chunks, then the file; weights and caches are let go before it is assembled. */
static enum pb_status compute(struct run *r, struct pb_error *err)
{
	struct pb_profile profile;
	double start;
	enum pb_status status;

	PB_TRY(pb_engine_open(&r->engine, r->dev, r->model, r->pairs.max_length, err));
	PB_TRY(pb_wave_memory_new(&r->memory, &r->engine, r->plan.rows_most, r->plan.variants_most,
				  r->plan.longest, pb_metrics_need_vocabulary(r->config->metrics),
				  err));
	PB_TRY(run_chunks(r, err));
	profile = r->engine.profile;
	pb_wave_memory_free(&r->memory, &r->engine);
	pb_engine_close(&r->engine);
	start = pb_seconds();
	PB_TRY(pb_result_assemble(&r->experiment, err));
	profile.seconds[PB_STAGE_WRITE] += pb_seconds() - start;
	if (r->options->profile) {
		PB_TRY(pb_measure_gemm(r->dev, r->model, &r->gemm_rate, err));
		print_profile(r, &profile, stdout);
	}
cleanup:
	return status;
}

enum pb_status pb_experiment_run(const struct pb_run_config *config,
				 const struct pb_run_options *options, struct pb_error *err)
{
	struct run r = {.config = config, .options = options, .started = pb_seconds()};
	size_t memory = options->memory ? options->memory : pb_memory_limit() / 5 * 4;
	int threads = options->n_threads > 0 ? options->n_threads : pb_thread_limit();
	bool done = false;
	enum pb_status status;

	pb_log_quiet(options->quiet);
	if (!config->output && !options->dry_run) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "no output is given: output: name a file there or with -o");
		goto cleanup;
	}
	PB_TRY(pb_model_open(&r.model, config->model_path, err));
	PB_TRY(open_pairs(&r, err));
	PB_TRY(pb_device_open(&r.dev, config->backend, threads, err));
	PB_TRY(pb_plan_make(&r.plan, r.dev, r.model, config, &r.pairs, memory, err));
	if (options->dry_run) {
		PB_TRY(pb_measure_gemm(r.dev, r.model, &r.gemm_rate, err));
		pb_plan_print(&r.plan, config, &r.pairs, r.gemm_rate, stdout);
		goto cleanup;
	}
	PB_TRY(pb_model_check_finite(r.model, err));
	PB_TRY(pb_model_hash(r.model, err));
	PB_TRY(describe_experiment(&r, err));
	PB_TRY(settle_output(&r, &done, err));
	if (!done)
		PB_TRY(compute(&r, err));
	if (!options->quiet)
		PB_TRY(pb_result_print_summary(config->output, 10, stdout, err));
cleanup:
	run_free(&r);
	return status;
}
