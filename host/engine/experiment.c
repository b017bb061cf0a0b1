/* The whole experiment of a config: model, pairs, plan, chunks, file. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/experiment.h"

static void run_free(struct pb_running *r)
{
	pb_running_close_sweeps(r);
	pb_reading_values_free(&r->readings);
	pb_wave_memory_free(&r->memory, &r->engine);
	pb_engine_close(&r->engine);
	pb_device_close(r->dev);
	pb_pairs_free(&r->pairs);
	pb_tokenizer_close(r->tokenizer);
	pb_model_close(r->model);
	free(r->model_folder);
	pb_arena_free(&r->arena);
	free(r->identity);
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* Where both prompts are the same a donor changes nothing. */
static void warn_of_equal_prompts(const struct pb_pairs *pairs)
{
	size_t n = 0, first = 0;

	for (size_t p = pairs->n; p-- > 0;)
		if (pairs->items[p].first_difference >= pairs->items[p].length) {
			first = p;
			n++;
		}
	if (n > 0)
		pb_warn(
		    "%zu of %zu pairs have the same clean and corrupted prompt (pair %zu is the "
		    "first): a donor changes nothing there",
		    n, pairs->n, first);
}

static enum pb_status open_pairs(struct pb_running *r, struct pb_error *err)
{
	const struct pb_run_config *c = r->config;
	const struct pb_arch *a = &r->model->arch;
	char *text = NULL;
	size_t size = 0;
	enum pb_status status;

	if (pb_tokenizer_is_there(r->model_folder))
		PB_TRY(pb_tokenizer_open(&r->tokenizer, r->model_folder, err));
	if (c->pairs_path) {
		PB_TRY(pb_pairs_read(&r->pairs, c->pairs_path, r->tokenizer, c->bos, a->n_vocab,
				     a->n_context, err));
	} else {
		struct pb_task_options task = c->task;

		task.tokenizer = r->tokenizer;
		PB_TRY(pb_task_pairs(&task, &text, &size, err));
		PB_TRY(pb_pairs_parse(&r->pairs, text, size, c->task.name, r->tokenizer, c->bos,
				      a->n_vocab, a->n_context, err));
	}
	PB_TRY(pb_pairs_hash(&r->pairs, r->pairs_sha256, err));
	warn_of_equal_prompts(&r->pairs);
cleanup:
	free(text);
	return status;
}

/* ---- what names the experiment -----------------------------------------------------------------
 */

/* Tokens that argmax and rank look at: the tokenizer's, where the folder has one. */
static size_t n_valid_tokens(const struct pb_running *r)
{
	size_t rows = r->model->arch.n_vocab;
	size_t known = r->tokenizer ? pb_tokenizer_size(r->tokenizer) : rows;

	return known < rows ? known : rows;
}

static enum pb_status describe_experiment(struct pb_running *r, struct pb_error *err)
{
	const struct pb_run_config *c = r->config;

	enum pb_status status;

	PB_TRY(pb_identity_text(c, r->references, r->pairs.bos, r->plan.chunk_pairs,
				n_valid_tokens(r), &r->identity, err));
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
					       .precision = pb_precision_names[c->precision],
					       .host = r->host,
					       .seed = c->task.seed,
					       .n_threads = omp_get_max_threads(),
					       .arch = r->model->arch,
					       .pairs = &r->pairs,
					       .n_sweeps = c->n_sweeps,
					       .sweeps = c->sweeps,
					       .grids = r->grids,
					       .means = r->means,
					       .metrics = c->metrics,
					       .readings = c->readings,
					       .run_readings = &r->readings,
					       .save_control = c->save_control,
					       .save = c->save,
					       .chunk_pairs = r->plan.chunk_pairs,
					       .n_chunks = r->plan.n_chunks};
cleanup:
	return status;
}

/* ---- the output --------------------------------------------------------------------------------
 */

/* Look at what is at the output: *done when a complete file of this experiment is there. */
static enum pb_status settle_output(struct pb_running *r, bool *done, struct pb_error *err)
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
		r->replace = true;
		break;
	}
cleanup:
	return status;
}

/* Room for the parts. What is to be replaced goes only when all input has been read. */
static enum pb_status make_room(const struct pb_running *r, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (r->replace)
		PB_TRY(pb_output_remove(&r->experiment, err));
	PB_TRY(pb_parts_prepare(&r->experiment, err));
cleanup:
	return status;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static enum pb_status run_sweeps(struct pb_running *r, const struct pb_chunk_run *base,
				 struct pb_chunk_values *values, size_t n_valid,
				 struct pb_progress *progress, struct pb_error *err)
{
	const struct pb_experiment *x = &r->experiment;
	enum pb_status status = PB_OK;

	for (size_t s = 0; s < x->n_sweeps; s++) {
		struct pb_sweep_work *work = &r->works[s];
		struct pb_sweep_target target = {.work = work,
						 .metrics = x->metrics,
						 .max_candidates = pb_candidates_most(&r->pairs),
						 .n_valid = n_valid,
						 .values = &values->sweeps[s]};

		work->run = base;
		work->pairs = base->pairs;
		work->first_pair = base->first_pair;
		if (x->sweeps[s].intervention == PB_CONTROL)
			PB_TRY(pb_sources_noise(&r->sources[s], &r->engine, work,
						values->sweeps[s].control, err));
		PB_TRY(pb_sweep_run(&r->engine, &r->memory, &target, progress, err));
	}
	for (size_t s = 0; s < x->n_sweeps; s++)
		if (r->same_as[s] != SIZE_MAX)
			pb_running_copy_known(r, s, values, base->n_pairs);
cleanup:
	return status;
}

static enum pb_status run_chunk(struct pb_running *r, size_t chunk, struct pb_progress *progress,
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
	PB_TRY(pb_chunk_run_new(&base, &r->engine, &r->pairs, first, n, x->sweeps, x->n_sweeps,
				x->save, n_valid, err));
	pb_base_store(&base, values->base, &values->checks.logit_largest);
	if (x->readings)
		PB_TRY(pb_readings_chunk(&r->engine, &base, &r->pairs, x->readings, n_valid,
					 values->readings, &values->checks.attribution_deviation,
					 err));
	if (x->save)
		PB_TRY(pb_save_activations(&r->engine, &base, values, err));
	for (size_t s = 0; s < x->n_sweeps; s++)
		directions[x->sweeps[s].direction] = true;
	PB_TRY(pb_check_resid_pre(&r->engine, &r->memory, &base, directions, n_valid,
				  &values->checks, err));
	PB_TRY(run_sweeps(r, &base, values, n_valid, progress, err));
	PB_TRY(pb_check_variants(&r->engine, x, r->works, values, err));
	values->isa = r->dev->ops->isa(r->dev);
	values->seconds = pb_seconds() - start;
	start = pb_seconds();
	PB_TRY(pb_part_write(x, values, err));
	r->engine.profile.seconds[PB_STAGE_WRITE] += pb_seconds() - start;
cleanup:
	for (size_t s = 0; s < x->n_sweeps; s++)
		r->works[s].run = NULL;
	pb_chunk_run_free(&base, &r->engine);
	pb_chunk_values_free(values);
	return status;
}

/* Less of a wave at a time, in the same shapes of products, so in the same bits. */
static bool shrink_waves(struct pb_running *r, const struct pb_error *why)
{
	if (why->status != PB_ERR_MEMORY || !pb_wave_sizes_shrink(&r->plan.sizes))
		return false;
	pb_wave_memory_free(&r->memory, &r->engine);
	pb_warn("%s; going on with waves of %zu rows", why->message, r->plan.sizes.rows_most);
	return true;
}

/* The waves' memory: as planned, or as much of it as there is after all. */
static enum pb_status make_waves(struct pb_running *r, struct pb_error *err)
{
	struct pb_error mine;
	enum pb_status status;

	do {
		mine = (struct pb_error){0};
		status = pb_wave_memory_new(&r->memory, &r->engine, &r->plan.sizes, &mine);
	} while (status != PB_OK && shrink_waves(r, &mine));
	return status == PB_OK ? status : pb_fail(err, status, "%s", mine.message);
}

static enum pb_status run_chunk_somehow(struct pb_running *r, size_t chunk,
					struct pb_progress *progress, struct pb_error *err)
{
	struct pb_error mine;
	enum pb_status status;

	do {
		mine = (struct pb_error){0};
		status = r->memory.memory.address ? PB_OK : make_waves(r, &mine);
		if (status == PB_OK)
			status = run_chunk(r, chunk, progress, &mine);
	} while (status != PB_OK && shrink_waves(r, &mine));
	return status == PB_OK ? status : pb_fail(err, status, "%s", mine.message);
}

/* Every chunk that has no part yet. */
static enum pb_status run_chunks(struct pb_running *r, struct pb_error *err)
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

			for (size_t s = 0; s < r->config->n_sweeps; s++) {
				struct pb_sweep_work work = r->works[s];
				struct pb_sweep_shape shape;

				work.pairs = r->pairs.items + first;
				work.first_pair = first;
				PB_TRY(pb_sweep_shape(&work, 0, n, &shape, err));
				before += (double)shape.n_variants;
			}
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
		PB_TRY(run_chunk_somehow(r, chunk, &progress, err));
	}
cleanup:
	pb_progress_end(&progress);
	return status;
}

static void print_profile(const struct pb_running *r, const struct pb_profile *p, FILE *out)
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
static enum pb_status compute(struct pb_running *r, struct pb_error *err)
{
	struct pb_profile profile;
	double start;
	enum pb_status status;

	PB_TRY(pb_engine_open(&r->engine, r->dev, r->model, pb_running_longest(r),
			      r->plan.n_resident, err));
	r->engine.exact_times = r->options->profile;
	PB_TRY(pb_running_make_sources(r, err));
	if (r->config->readings)
		PB_TRY(pb_readings_run(&r->engine, &r->pairs, r->config->readings,
				       n_valid_tokens(r), r->config->task.seed, &r->readings, err));
	PB_TRY(make_waves(r, err));
	PB_TRY(make_room(r, err));
	PB_TRY(run_chunks(r, err));
	profile = r->engine.profile;
	for (size_t s = 0; s < r->config->n_sweeps; s++)
		pb_sources_drop(&r->sources[s], &r->engine);
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
	if (status != PB_OK)
		pb_parts_abandon(&r->experiment);
	return status;
}

enum pb_status pb_experiment_run(const struct pb_run_config *config,
				 const struct pb_run_options *options, struct pb_error *err)
{
	struct pb_running r = {.config = config, .options = options, .started = pb_seconds()};
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
	if (options->device)
		PB_TRY(pb_gpu_model_check(options->device, err));
	PB_TRY(pb_model_find(&r.model_folder, config->model_path, config->model_revision, err));
	PB_TRY(pb_model_open(&r.model, r.model_folder, err));
	PB_TRY(open_pairs(&r, err));
	/* a plan for a card needs none here */
	PB_TRY(pb_device_open(&r.dev, options->device ? "cpu" : config->backend, threads,
			      options->device ? PB_PRECISION_FP32 : config->precision, err));
	PB_TRY(pb_running_open_sweeps(&r, err));
	PB_TRY(pb_plan_make(&r.plan, r.dev, r.model, config, r.works, &r.pairs, r.references,
			    pb_running_longest(&r), memory, options->device_memory, err));
	if (options->dry_run) {
		PB_TRY(pb_measure_gemm(r.dev, r.model, &r.gemm_rate, err));
		pb_plan_print(&r.plan, config, r.works, &r.pairs, r.gemm_rate, stdout);
		if (options->device)
			pb_gpu_model_print(options->device, &r.model->arch, &r.plan,
					   config->precision, r.pairs.max_length, stdout);
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
