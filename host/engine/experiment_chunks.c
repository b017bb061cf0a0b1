/* The chunks of a run: each computed by one rank, and written as a part. */
#include <stdlib.h>

#include "engine/experiment.h"
#include "engine/writer.h"

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

static enum pb_status run_chunk(struct pb_running *r, size_t chunk, struct pb_writer *writer,
				struct pb_progress *progress, struct pb_error *err)
{
	const struct pb_experiment *x = &r->experiment;
	size_t first = chunk * x->chunk_pairs, n_valid = pb_running_n_tokens(r);
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
	status = pb_writer_give(writer, values, err);
	values = NULL;
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

enum pb_status pb_running_make_waves(struct pb_running *r, struct pb_error *err)
{
	struct pb_error mine;
	enum pb_status status;

	do {
		mine = (struct pb_error){0};
		status = pb_wave_memory_new(&r->memory, &r->engine, &r->plan.sizes, &mine);
	} while (status != PB_OK && shrink_waves(r, &mine));
	return status == PB_OK ? status : pb_fail(err, status, "%s", mine.message);
}

enum pb_status pb_running_sweep_chunk(struct pb_running *r, size_t chunk, struct pb_writer *writer,
				      struct pb_progress *progress, struct pb_error *err)
{
	struct pb_error mine;
	enum pb_status status;

	do {
		mine = (struct pb_error){0};
		status = r->memory.memory.address ? PB_OK : pb_running_make_waves(r, &mine);
		if (status == PB_OK)
			status = run_chunk(r, chunk, writer, progress, &mine);
	} while (status != PB_OK && shrink_waves(r, &mine));
	return status == PB_OK ? status : pb_fail(err, status, "%s", mine.message);
}

/* ---- whose they are -------------------------------------------------------------------------- */

static size_t pairs_of(const struct pb_running *r, size_t chunk)
{
	size_t left = r->pairs.n - chunk * r->plan.chunk_pairs;

	return left < r->plan.chunk_pairs ? left : r->plan.chunk_pairs;
}

enum pb_status pb_running_count_variants(const struct pb_running *r, size_t chunk, double *n,
					 struct pb_error *err)
{
	size_t first = chunk * r->plan.chunk_pairs;
	enum pb_status status = PB_OK;

	for (size_t s = 0; s < r->config->n_sweeps; s++) {
		struct pb_sweep_work work = r->works[s];
		struct pb_sweep_shape shape;

		work.pairs = r->pairs.items + first;
		work.first_pair = first;
		PB_TRY(pb_sweep_shape(&work, 0, pairs_of(r, chunk), &shape, err));
		*n += (double)shape.n_variants;
	}
cleanup:
	return status;
}

enum pb_status pb_running_look_for_parts(struct pb_running *r, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t chunk = 0; chunk < r->plan.n_chunks; chunk++) {
		bool done = false;

		if (!pb_experiment_takes(&r->experiment, chunk))
			continue;
		PB_TRY(pb_part_done(&r->experiment, chunk, &done, err));
		r->chunk_done[chunk] = done;
	}
cleanup:
	return status;
}

/* Where rank 0 is in the list of chunks without a part, and what it shows of the way there. */
struct queue {
	size_t *chunks, n, at;
};

/* total: units of all chunks that are this output's; before: of those that are there already. */
static enum pb_status queue_new(struct queue *q, const struct pb_running *r, double *total,
				double *before, struct pb_error *err)
{
	enum pb_status status;

	*total = r->experiment.n_shards > 0 ? 0.0 : r->plan.n_variants;

	PB_TRY(pb_alloc((void **)&q->chunks, r->plan.n_chunks, sizeof *q->chunks, "chunks", err));
	for (size_t chunk = 0; chunk < r->plan.n_chunks; chunk++) {
		if (!pb_experiment_takes(&r->experiment, chunk))
			continue;
		if (r->experiment.n_shards > 0)
			PB_TRY(r->job->count(r, chunk, total, err));
		if (r->chunk_done[chunk])
			PB_TRY(r->job->count(r, chunk, before, err));
		else
			q->chunks[q->n++] = chunk;
	}
cleanup:
	return status;
}

/* Units of the chunk that will be taken, or of one before it (which is as large). */
static enum pb_status next_units(const struct queue *q, const struct pb_running *r, double *units,
				 struct pb_error *err)
{
	*units = 0.0;
	return q->at < q->n ? r->job->count(r, q->chunks[q->at], units, err) : PB_OK;
}

/* The next chunk of this rank, NULL when there is none. What others took since then counts as
 * done for the bar. */
static enum pb_status queue_take(struct queue *q, struct pb_running *r,
				 struct pb_progress *progress, const size_t **chunk,
				 struct pb_error *err)
{
	int64_t number = 0;
	double others = 0.0, units;
	enum pb_status status;

	*chunk = NULL;
	if (r->lock)
		PB_TRY(pb_lock_check(r->lock, err));
	PB_TRY(next_units(q, r, &units, err));
	if (!pb_stopping_allows(&r->stopping, units))
		PB_TRY(r->team->ops->halt(r->team, err));
	PB_TRY(r->team->ops->claim(r->team, &number, err));
	for (; q->at < q->n && (int64_t)q->at < number && number < PB_TEAM_HALTED; q->at++)
		PB_TRY(r->job->count(r, q->chunks[q->at], &others, err));
	progress->done += others;
	if (number < (int64_t)q->n) {
		*chunk = &q->chunks[number];
		q->at = (size_t)number + 1;
	}
cleanup:
	return status;
}

static bool at_wave(void *context, double n)
{
	struct pb_running *r = context;

	r->team->ops->tick(r->team);
	return pb_stopping_step(&r->stopping, n);
}

static enum pb_status take_chunks(struct pb_running *r, struct pb_writer *writer,
				  struct pb_error *err)
{
	struct pb_stopping *stopping = &r->stopping;
	struct pb_progress progress = {0};
	struct queue q = {0};
	const size_t *chunk = NULL;
	double total = 0.0, before = 0.0;
	enum pb_status status;

	PB_TRY(queue_new(&q, r, &total, &before, err));
	pb_progress_begin(&progress, r->job->unit, total);
	progress.done = before; /* the bar counts what is there already */
	progress.go_on = at_wave;
	progress.context = r;
	PB_TRY(queue_take(&q, r, &progress, &chunk, err));
	while (chunk) {
		double units = 0.0;

		PB_TRY(r->job->count(r, *chunk, &units, err));
		pb_stopping_chunk(stopping, units);
		PB_TRY(r->job->chunk(r, *chunk, writer, &progress, err));
		pb_stopping_chunk_done(stopping);
		stopping->assembly =
		    pb_writer_mean(writer) * (double)pb_experiment_n_taken(&r->experiment);
		PB_TRY(queue_take(&q, r, &progress, &chunk, err));
	}
cleanup:
	if (progress.label)
		pb_progress_end(&progress);
	free(q.chunks);
	if (status == PB_ERR_STOPPED && stopping->dropped) {
		pb_info("the chunk in flight would not be done in time and is dropped");
		*err = (struct pb_error){0};
		status = r->team->ops->halt(r->team, err);
	}
	return status;
}

/* *all: chunks that all ranks have computed. */
static enum pb_status tell_shares(const struct pb_running *r, uint64_t mine, uint64_t *all,
				  struct pb_error *err)
{
	uint64_t *by_rank = NULL;
	char *text = NULL, *more;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&by_rank, (size_t)r->team->size, sizeof *by_rank, "a team", err));
	PB_TRY(r->team->ops->gather(r->team, &mine, sizeof mine, by_rank, err));
	for (int i = 0; i < r->team->size; i++) {
		*all += by_rank[i];
		more = pb_format("%s %llu", text ? text : "", (unsigned long long)by_rank[i]);
		free(text);
		text = more;
	}
	if (r->team->size > 1)
		pb_info("chunks computed by each of %d processes:%s", r->team->size,
			text ? text : "");
cleanup:
	free(by_rank);
	free(text);
	return status;
}

static enum pb_status fail_stopped(const struct pb_running *r, const char *why, uint64_t n_new,
				   size_t n_all, size_t n_taken, struct pb_error *err)
{
	/* the same would happen at each new start */
	if (r->stopping.why == PB_STOP_TIME && r->stopping.full && n_new == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "the time limit is too short for a chunk: %s: give more time, or a "
			       "smaller engine.chunk (now %zu)",
			       r->experiment.output, r->plan.chunk_pairs);
	return pb_fail(err, PB_ERR_STOPPED,
		       "stopped after %zu of %zu chunks, %s: %s: run the same command again to "
		       "continue",
		       n_all, n_taken, why, r->experiment.output);
}

enum pb_status pb_running_take_chunks(struct pb_running *r, struct pb_error *err)
{
	struct pb_error ignored = {0};
	struct pb_writer writer;
	uint64_t n_all = 0, n_new;
	size_t n_taken;
	char *why = NULL;
	enum pb_status status = pb_writer_start(&writer, &r->experiment, err), written;

	if (status == PB_OK)
		status = take_chunks(r, &writer, err);
	written = pb_writer_end(&writer, err);
	if (status == PB_OK)
		status = written;
	r->engine.profile.seconds[PB_STAGE_WRITE] += writer.seconds;

	/* whatever is amiss here, the others finish what they have in hand, and no more */
	if (status != PB_OK)
		(void)r->team->ops->halt(r->team, &ignored);
	if (tell_shares(r, writer.n_written, &n_all, &ignored) != PB_OK ||
	    pb_stopping_reason(&r->stopping, &why, &ignored) != PB_OK)
		return pb_fail(err, ignored.status, "%s", ignored.message);
	n_new = n_all;
	for (size_t chunk = 0; chunk < r->plan.n_chunks; chunk++)
		n_all += r->chunk_done[chunk];
	n_taken = pb_experiment_n_taken(&r->experiment);
	if (status == PB_OK && n_all < n_taken)
		status = fail_stopped(r, why, n_new, (size_t)n_all, n_taken, err);
	free(why);
	return pb_team_agree(r->team, status, err);
}
