/* The whole experiment of a config: model, pairs, plan, chunks, file. */
#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/experiment.h"

static void run_free(struct pb_running *r)
{
	pb_lock_release(r->lock);
	r->job->release(r);
	pb_running_close_sweeps(r);
	pb_reading_values_free(&r->readings);
	pb_engine_close(&r->engine);
	pb_device_close(r->dev);
	pb_pairs_free(&r->pairs);
	pb_eval_set_free(&r->prompts);
	pb_tokenizer_close(r->tokenizer);
	pb_model_close(r->model);
	free(r->model_folder);
	pb_arena_free(&r->arena);
	free(r->identity);
	free(r->chunk_done);
	pb_stopping_end(&r->stopping);
	if (r->team != r->options->team)
		pb_team_close(r->team);
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
	enum pb_status status;

	if (c->pairs_path)
		PB_TRY(pb_pairs_read(&r->pairs, c->pairs_path, r->tokenizer, c->bos, a->n_vocab,
				     a->n_context, err));
	else
		PB_TRY(pb_cells_pairs(&r->pairs, &r->cells, c, r->tokenizer, a->n_vocab,
				      a->n_context, err));
	PB_TRY(pb_pairs_name_tokens(&r->pairs, r->tokenizer, err));
	PB_TRY(pb_pairs_hash(&r->pairs, r->pairs_sha256, err));
	warn_of_equal_prompts(&r->pairs);
cleanup:
	return status;
}

/* [n_vocab] of the tokens whose embeddings the run looks up; the caller's to free. */
static enum pb_status used_tokens(const struct pb_running *r, bool **used, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_alloc((void **)used, r->model->arch.n_vocab, sizeof **used, "tokens", err));
	r->job->mark_tokens(r, *used);
cleanup:
	return status;
}

/* Pairs, sweeps and the plan. */
static enum pb_status open_sweeps(struct pb_running *r, struct pb_error *err)
{
	size_t memory = 0;
	enum pb_status status;

	PB_TRY(open_pairs(r, err));
	PB_TRY(pb_running_open_sweeps(r, err));
	PB_TRY(pb_running_memory(r, &memory, err));
	PB_TRY(pb_plan_make(&r->plan, r->dev, r->model, r->config, r->works, &r->pairs,
			    r->references, pb_running_longest(r), memory, r->options->device_memory,
			    err));
cleanup:
	return status;
}

/* ---- what names the experiment -----------------------------------------------------------------
 */

size_t pb_running_n_tokens(const struct pb_running *r)
{
	size_t rows = r->model->arch.n_vocab;
	size_t known = r->tokenizer ? pb_tokenizer_size(r->tokenizer) : rows;

	return known < rows ? known : rows;
}

void pb_running_describe(struct pb_running *r)
{
	const struct pb_run_config *c = r->config;

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
					       .host = r->host,
					       .seed = c->task.seed,
					       .n_threads = omp_get_max_threads(),
					       .arch = r->model->arch,
					       .pairs = &r->pairs,
					       .n_axes = c->n_axes,
					       .axes = c->axes,
					       .n_cells = pb_cells_count(c),
					       .chunk_pairs = r->plan.chunk_pairs,
					       .n_chunks = r->plan.n_chunks,
					       .shard = r->options->shard,
					       .n_shards = r->options->n_shards};
}

static enum pb_status describe_sweeps(struct pb_running *r, struct pb_error *err)
{
	const struct pb_run_config *c = r->config;
	struct pb_experiment *x = &r->experiment;
	enum pb_status status;

	PB_TRY(pb_identity_text(c, r->references, r->pairs.bos, r->plan.chunk_pairs,
				pb_running_n_tokens(r), &r->identity, err));
	pb_running_describe(r);
	x->precision = pb_precision_names[c->precision];
	x->n_sweeps = c->n_sweeps;
	x->sweeps = c->sweeps;
	x->grids = r->grids;
	x->means = r->means;
	x->metrics = c->metrics;
	x->readings = c->readings;
	x->run_readings = &r->readings;
	x->save_control = c->save_control;
	x->save = c->save;
	x->cells = c->n_axes > 0 ? r->cells : NULL;
cleanup:
	return status;
}

/* ---- the output --------------------------------------------------------------------------------
 */

static enum pb_status refuse_output(const struct pb_experiment *x, const char *difference,
				    struct pb_error *err)
{
	if (strncmp(difference, "it is of a different experiment", 31) == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "the output belongs to a different experiment: %s: %s: use another "
			       "-o, or --force to replace it",
			       x->output, difference);
	return pb_fail(err, PB_ERR_INPUT,
		       "the output is something else: %s: %s: use another -o, or --force to "
		       "replace it",
		       x->output, difference);
}

/* Look at what is at the output: *done when a complete file of this experiment is there. first: it
 * is not locked yet, and will be looked at again unless that is so. */
static enum pb_status settle_output(struct pb_running *r, bool first, bool *done,
				    struct pb_error *err)
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
		if (!first)
			pb_info("%s: an unfinished run of this experiment: continuing", x->output);
		break;
	case PB_OUTPUT_COMPLETE:
		pb_info("%s: this experiment is already complete", x->output);
		*done = true;
		break;
	case PB_OUTPUT_OTHER:
		if (!r->options->force) {
			status = refuse_output(x, difference, err);
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

/* ---- what rank 0 finds, for all -------------------------------------------------------------- */

/* Rank 0 reads the whole model for its sum, and looks at the output. */
static enum pb_status judge(struct pb_running *r, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_model_check_finite(r->model, err));
	PB_TRY(pb_model_hash(r->model, err));
	PB_TRY(r->job->describe(r, err));
	PB_TRY(settle_output(r, true, &r->complete, err));
	if (r->complete) {
		/* it may have died when all was done but that */
		pb_lock_drop_dead(r->experiment.output);
		goto cleanup;
	}
	/* what is there may have changed until the lock was ours */
	PB_TRY(pb_lock_take(&r->lock, r->experiment.output, err));
	PB_TRY(settle_output(r, false, &r->complete, err));
	if (!r->complete && !r->replace)
		PB_TRY(pb_running_look_for_parts(r, err));
cleanup:
	return status;
}

/* Other ranks take the model for rank 0's, and make sure that they have the same in hand. */
static enum pb_status compare_identity(struct pb_running *r, const char *first,
				       struct pb_error *err)
{
	char mine[PB_SHA256_HEX];
	enum pb_status status = PB_OK;

	if (r->team->rank == 0)
		return PB_OK;
	PB_TRY(r->job->describe(r, err));
	PB_TRY(pb_experiment_hash(&r->experiment, mine, err));
	if (strcmp(mine, first) != 0)
		status = pb_fail(err, PB_ERR_INPUT,
				 "the config, pairs or files that it reads are not those that rank "
				 "0 reads: %s: give all ranks the same ones",
				 r->config->output);
cleanup:
	return status;
}

/* `auto` may find a GPU on one node and none on another: chunks would differ in their bits. */
static enum pb_status compare_backends(const struct pb_running *r, struct pb_error *err)
{
	struct pb_team *team = r->team;
	char mine[16] = "", *all = NULL;
	enum pb_status status;

	(void)snprintf(mine, sizeof mine, "%s", r->dev->ops->name);
	PB_TRY(pb_alloc((void **)&all, (size_t)team->size, sizeof mine, "a team", err));
	PB_TRY(team->ops->gather(team, mine, sizeof mine, all, err));
	for (int i = 1; i < team->size && status == PB_OK; i++)
		if (strcmp(all + (size_t)i * sizeof mine, all) != 0)
			status =
			    pb_fail(err, PB_ERR_INPUT,
				    "rank %d computes on %s and rank 0 on %s: give --backend %s, "
				    "or start all ranks where there is a GPU",
				    i, all + (size_t)i * sizeof mine, all,
				    strcmp(all, "cpu") == 0 ? all : all + (size_t)i * sizeof mine);
cleanup:
	free(all);
	return status;
}

static enum pb_status spread_verdict(struct pb_running *r, struct pb_error *err)
{
	struct pb_team *team = r->team;
	char first[PB_SHA256_HEX] = "";
	enum pb_status status = PB_OK;

	if (team->rank == 0)
		status = pb_experiment_hash(&r->experiment, first, err);
	PB_TRY(pb_team_agree(team, status, err));
	PB_TRY(team->ops->broadcast(team, first, sizeof first, 0, err));
	PB_TRY(team->ops->broadcast(team, r->model->sha256, sizeof r->model->sha256, 0, err));
	PB_TRY(team->ops->broadcast(team, &r->complete, sizeof r->complete, 0, err));
	PB_TRY(team->ops->broadcast(team, r->chunk_done, r->plan.n_chunks, 0, err));
	status = compare_identity(r, first, err);
	PB_TRY(pb_team_agree(team, status, err));
	status = compare_backends(r, err);
	status = pb_team_agree(team, status, err);
cleanup:
	return status;
}

/* ---- computing ------------------------------------------------------------------------------- */

/* A rank that fails while weights are on their way would leave the others waiting for them. */
static void leave_sharing(const struct pb_running *r, enum pb_status status,
			  const struct pb_error *err)
{
	if (status == PB_OK || r->team->size == 1)
		return;
	fprintf(stderr, "patchbay: rank %d on %s: %s\n", r->team->rank, r->team->host,
		err->message);
	r->team->ops->abort(r->team, pb_exit_status(status));
}

static enum pb_status share_embeddings(struct pb_running *r, struct pb_error *err)
{
	bool *used = NULL;
	enum pb_status status;

	PB_TRY(used_tokens(r, &used, err));
	PB_TRY(pb_engine_share_embeddings(&r->engine, r->team, used, err));
cleanup:
	free(used);
	return status;
}

static enum pb_status open_engine(struct pb_running *r, struct pb_error *err)
{
	const struct pb_ops *ops = r->dev->ops;
	uint64_t n_resident = r->plan.n_resident ? r->plan.n_resident : UINT64_MAX;
	enum pb_status status;

	/* ranks that share weights ask for them in the same order */
	PB_TRY(pb_team_smallest(r->team, n_resident, &n_resident, err));
	r->plan.n_resident = n_resident == UINT64_MAX ? 0 : (size_t)n_resident;
	PB_TRY(ops->share(r->dev, r->team, err));
	status = pb_engine_open(&r->engine, r->dev, r->model, r->job->longest(r),
				r->plan.n_resident, err);
	if (status == PB_OK && ops->sharing(r->dev) != PB_SHARING_NOT)
		status = share_embeddings(r, err);
	if (status == PB_OK)
		status = ops->share(r->dev, NULL, err);
	leave_sharing(r, status, err);
cleanup:
	return status;
}

/* All that comes before the first chunk. */
static enum pb_status prepare_sweeps(struct pb_running *r, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_running_make_sources(r, err));
	/* they are of the run, not of a chunk: rank 0 writes them into the file */
	if (r->config->readings && r->team->rank == 0)
		PB_TRY(pb_readings_run(&r->engine, &r->pairs, r->config->readings,
				       pb_running_n_tokens(r), r->config->task.seed, &r->readings,
				       err));
	PB_TRY(pb_running_make_waves(r, err));
cleanup:
	return status;
}

static void mark_tokens_of_sweeps(const struct pb_running *r, bool *used)
{
	for (size_t p = 0; p < r->pairs.n; p++) {
		pb_mark_tokens(r->pairs.items[p].clean, r->pairs.items[p].length, used);
		pb_mark_tokens(r->pairs.items[p].corrupted, r->pairs.items[p].length, used);
	}
	for (size_t s = 0; s < r->config->n_sweeps; s++)
		for (size_t i = 0; i < r->references[s].n; i++)
			pb_mark_tokens(r->references[s].items[i].tokens,
				       r->references[s].items[i].length, used);
}

static void release_sweeps(struct pb_running *r)
{
	for (size_t s = 0; r->sources && s < r->config->n_sweeps; s++)
		pb_sources_drop(&r->sources[s], &r->engine);
	pb_wave_memory_free(&r->memory, &r->engine);
}

static void print_plan_of_sweeps(struct pb_running *r, FILE *out)
{
	pb_plan_print(&r->plan, r->config, r->works, &r->pairs, r->gemm_rate, out);
	if (r->options->device)
		(void)pb_gpu_model_print(r->options->device, &r->model->arch, &r->plan,
					 r->config->precision, r->pairs.max_length, out);
}

static double seconds_of_sweeps(const struct pb_running *r)
{
	if (r->options->device)
		return pb_gpu_model_print(r->options->device, &r->model->arch, &r->plan,
					  r->config->precision, r->pairs.max_length, NULL);
	return pb_plan_seconds(&r->plan, r->gemm_rate);
}

static enum pb_status print_sweeps(const char *path, FILE *out, struct pb_error *err)
{
	return pb_result_print_summary(path, 10, out, err);
}

const struct pb_job pb_job_sweeps = {.unit = "patches",
				     .open = open_sweeps,
				     .describe = describe_sweeps,
				     .print_plan = print_plan_of_sweeps,
				     .seconds = seconds_of_sweeps,
				     .prepare = prepare_sweeps,
				     .release = release_sweeps,
				     .count = pb_running_count_variants,
				     .chunk = pb_running_sweep_chunk,
				     .longest = pb_running_longest,
				     .mark_tokens = mark_tokens_of_sweeps,
				     .print = print_sweeps};

static enum pb_status prepare(struct pb_running *r, struct pb_error *err)
{
	enum pb_status status;

	r->engine.exact_times = r->options->profile;
	pb_running_settle_graphs(r);
	PB_TRY(r->job->prepare(r, err));
	if (r->team->rank == 0)
		PB_TRY(make_room(r, err));
cleanup:
	return status;
}

static enum pb_status assemble(const struct pb_running *r, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_lock_check(r->lock, err));
	status = pb_result_assemble(&r->experiment, err);
cleanup:
	return status;
}

/* Chunks, then the file; weights and caches are let go before it is assembled. */
static enum pb_status compute(struct pb_running *r, struct pb_error *err)
{
	struct pb_profile profile;
	double start;
	enum pb_status status;

	PB_TRY(open_engine(r, err));
	status = prepare(r, err);
	PB_TRY(pb_team_agree(r->team, status, err));
	if (r->team->rank > 0)
		pb_log_rank(r->team->rank);
	PB_TRY(pb_running_take_chunks(r, err));
	pb_running_tell_graphs(r);
	profile = r->engine.profile;
	r->job->release(r);
	pb_engine_close(&r->engine);
	start = pb_seconds();
	if (r->team->rank == 0 && !pb_stopping_allows(&r->stopping, 0.0))
		status =
		    pb_fail(err, PB_ERR_STOPPED,
			    "stopped after all %zu chunks, before they were made one file: %s: "
			    "run the same command again to continue",
			    pb_experiment_n_taken(&r->experiment), r->experiment.output);
	else if (r->team->rank == 0)
		status = assemble(r, err);
	PB_TRY(pb_team_agree(r->team, status, err));
	profile.seconds[PB_STAGE_WRITE] += pb_seconds() - start;
	if (r->options->profile && r->team->rank == 0) {
		PB_TRY(pb_measure_gemm(r->dev, r->model, &r->gemm_rate, err));
		print_profile(r, &profile, stdout);
	}
cleanup:
	if (status != PB_OK && r->team->rank == 0)
		pb_parts_abandon(&r->experiment);
	return status;
}

/* ---- the run --------------------------------------------------------------------------------- */

/* What ranks of one machine have in common is divided among them. */
static int threads_for(const struct pb_running *r)
{
	int most = pb_thread_limit(), mine = r->team->n_threads;

	if (r->options->n_threads > 0)
		return r->options->n_threads;
	return mine > 0 && mine < most ? mine : most;
}

enum pb_status pb_running_memory(const struct pb_running *r, size_t *out, struct pb_error *err)
{
	size_t all = r->options->memory ? r->options->memory
					: pb_memory_limit() / 5 * 4 / (size_t)r->team->n_local;
	size_t n_vocab = r->model->arch.n_vocab, n = 0, taken;
	bool *used = NULL;
	enum pb_status status = PB_OK;

	*out = all;
	if (r->team->size == 1 || strcmp(r->dev->ops->name, "cpu") == 0)
		return PB_OK;
	PB_TRY(used_tokens(r, &used, err));
	for (size_t v = 0; v < n_vocab; v++)
		n += used[v];
	taken = pb_embeddings_bytes(&r->model->arch, n, r->job->longest(r));
	*out = all > taken ? all - taken : 0;
cleanup:
	free(used);
	return status;
}

/* All that is read and planned, the same on every rank. */
static enum pb_status open_all(struct pb_running *r, struct pb_error *err)
{
	const struct pb_run_config *config = r->config;
	const struct pb_run_options *options = r->options;
	void *memory = NULL;
	enum pb_status status;

	if (!config->output && !options->dry_run) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "no output is given: output: name a file there or with -o");
		goto cleanup;
	}
	if (options->device)
		PB_TRY(pb_gpu_model_check(options->device, err));
	PB_TRY(pb_model_find(&r->model_folder, config->model_path, config->model_revision, err));
	PB_TRY(pb_model_open(&r->model, r->model_folder, err));
	if (pb_tokenizer_is_there(r->model_folder))
		PB_TRY(pb_tokenizer_open(&r->tokenizer, r->model_folder, err));
	/* a plan for a card needs none here */
	PB_TRY(pb_device_open(&r->dev, options->device ? "cpu" : config->backend, threads_for(r),
			      options->device ? PB_PRECISION_FP32 : config->precision, err));
	PB_TRY(r->job->open(r, err));
	PB_TRY(pb_alloc(&memory, r->plan.n_chunks, sizeof *r->chunk_done, "chunks", err));
	r->chunk_done = memory;
cleanup:
	return status;
}

/* Whether this rank reads the weights' files: rank 0 for all that get them by broadcast, and on a
 * cpu backend the first rank of each machine (the others there share its reads). */
static enum pb_status reads_weights(const struct pb_running *r, bool *reads, struct pb_error *err)
{
	struct pb_team *team = r->team;
	char *hosts = NULL;
	enum pb_status status;

	*reads = team->rank == 0;
	PB_TRY(pb_alloc((void **)&hosts, (size_t)team->size, sizeof team->host, "a team", err));
	PB_TRY(team->ops->gather(team, team->host, sizeof team->host, hosts, err));
	if (strcmp(r->dev->ops->name, "cpu") == 0) {
		*reads = true;
		for (int i = 0; i < team->rank; i++)
			if (strcmp(hosts + (size_t)i * sizeof team->host, team->host) == 0)
				*reads = false;
	}
cleanup:
	free(hosts);
	return status;
}

static enum pb_status stage(struct pb_running *r, struct pb_error *err)
{
	double start = pb_seconds();
	bool reads = false;
	enum pb_status status;

	status = reads_weights(r, &reads, err);
	if (status == PB_OK && reads)
		status = pb_model_stage(r->model, r->options->stage, err);
	PB_TRY(pb_team_agree(r->team, status, err));
	pb_info("weights copied to %s in %.1f s", r->options->stage, pb_seconds() - start);
cleanup:
	return status;
}

static enum pb_status print_plan(struct pb_running *r, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_measure_gemm(r->dev, r->model, &r->gemm_rate, err));
	if (r->options->need)
		*r->options->need = (struct pb_run_need){.n_chunks = r->plan.n_chunks,
							 .n_prompts = r->pairs.n + r->prompts.n,
							 .seconds = r->job->seconds(r),
							 .memory = r->plan.peak_bytes};
	else
		r->job->print_plan(r, stdout);
cleanup:
	return status;
}

static enum pb_status run(const struct pb_job *job, const struct pb_run_config *config,
			  const struct pb_run_options *options, struct pb_error *err)
{
	struct pb_running r = {.job = job,
			       .config = config,
			       .options = options,
			       .team = options->team,
			       .started = pb_seconds()};
	enum pb_status status;

	pb_log_quiet(options->quiet);
	if (r.team == NULL)
		PB_TRY(pb_team_alone(&r.team, err));
	status = open_all(&r, err);
	PB_TRY(pb_team_agree(r.team, status, err));
	assert(r.model != NULL && r.dev != NULL);
	if (options->dry_run) {
		if (r.team->rank == 0)
			status = print_plan(&r, err);
		goto cleanup;
	}
	PB_TRY(pb_stopping_begin(&r.stopping, r.team, config->output, options->whole_output,
				 options->grace_s, options->time_limit, err));
	if (options->stage)
		PB_TRY(stage(&r, err));
	if (r.team->rank == 0)
		status = judge(&r, err);
	PB_TRY(pb_team_agree(r.team, status, err));
	PB_TRY(spread_verdict(&r, err));
	if (!r.complete)
		PB_TRY(compute(&r, err));
	if (!options->quiet && r.team->rank == 0)
		PB_TRY(options->n_shards > 0 ? pb_result_describe(config->output, stdout, err)
					     : job->print(config->output, stdout, err));
cleanup:
	run_free(&r);
	return status;
}

enum pb_status pb_experiment_run(const struct pb_run_config *config,
				 const struct pb_run_options *options, struct pb_error *err)
{
	return run(&pb_job_sweeps, config, options, err);
}

enum pb_status pb_evaluation_run(const struct pb_run_config *config,
				 const struct pb_run_options *options, struct pb_error *err)
{
	return run(&pb_job_evaluation, config, options, err);
}
