/* The sweeps of a run: sets and grids from the config's words, sources, and what is computed once
 * for two of them. */
#include <stdlib.h>
#include <string.h>

#include "engine/experiment.h"

static enum pb_status take_complements(struct pb_running *r, size_t s, struct pb_error *err)
{
	const struct pb_sweep *sweep = &r->config->sweeps[s];
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&r->complements[s], sweep->n_sets, sizeof **r->complements,
			"complements", err));
	for (size_t i = 0; i < sweep->n_sets; i++) {
		struct pb_set *to = &r->complements[s][i];

		to->name = sweep->sets[i].name;
		PB_TRY(pb_set_complement(sweep, &sweep->sets[i], &r->model->arch, &r->arena,
					 &to->members, &to->n, err));
	}
cleanup:
	return status;
}

static bool same_positions(const struct pb_sweep *a, const struct pb_sweep *b)
{
	if (a->positions != b->positions || a->n_list != b->n_list || a->n_roles != b->n_roles)
		return false;
	for (size_t i = 0; i < a->n_list; i++)
		if (a->list[i] != b->list[i])
			return false;
	for (size_t i = 0; i < a->n_roles; i++)
		if (strcmp(a->roles[i], b->roles[i]) != 0)
			return false;
	return true;
}

/* Whether sweep `post` of resid_post has, but for its last layer, the values of `pre` of resid_pre
 * by construction. */
static bool is_same(const struct pb_sweep *pre, const struct pb_sweep *post)
{
	bool alphas = pre->n_alphas == post->n_alphas;

	for (size_t i = 0; alphas && i < pre->n_alphas; i++)
		alphas = pre->alphas[i] == post->alphas[i];
	return alphas && pre->site == PB_SITE_RESID_PRE && post->site == PB_SITE_RESID_POST &&
	       pre->intervention == post->intervention &&
	       (pre->intervention == PB_PATCH || pre->intervention == PB_ZERO ||
		pre->intervention == PB_SCALE ||
		(pre->intervention == PB_RESAMPLE && pre->seed == post->seed)) &&
	       pre->direction == post->direction && same_positions(pre, post) && pre->window <= 1 &&
	       post->window <= 1 && pre->n_layers == 0 && post->n_layers == 0;
}

/* The cell of `pre` that a cell of `post` equals; SIZE_MAX in the last layer. */
static size_t same_cell(const struct pb_grid *grid, size_t cell)
{
	size_t steps[PB_GRID_AXES];
	int layer = pb_grid_axis(grid, PB_AXIS_LAYER);

	pb_grid_steps(grid, cell, steps);
	if (++steps[layer] >= grid->axes[layer].n)
		return SIZE_MAX;
	return pb_grid_cell(grid, steps);
}

/* resid_post of a layer is resid_pre of the next: computed once where both are asked for. */
static enum pb_status find_same(struct pb_running *r, size_t s, struct pb_error *err)
{
	const struct pb_sweep *sweeps = r->config->sweeps;
	enum pb_status status = PB_OK;

	r->same_as[s] = SIZE_MAX;
	for (size_t i = 0; i < r->config->n_sweeps && r->same_as[s] == SIZE_MAX; i++)
		if (i != s && is_same(&sweeps[i], &sweeps[s]))
			r->same_as[s] = i;
	if (r->same_as[s] == SIZE_MAX)
		return PB_OK;
	PB_TRY(pb_alloc((void **)&r->known[s], r->grids[s].n_cells, 1, "cells", err));
	for (size_t cell = 0; cell < r->grids[s].n_cells; cell++)
		r->known[s][cell] = same_cell(&r->grids[s], cell) != SIZE_MAX;
cleanup:
	return status;
}

static enum pb_status check_roles(const struct pb_running *r, size_t s, struct pb_error *err)
{
	const struct pb_sweep *sweep = &r->config->sweeps[s];

	for (size_t i = 0; i < sweep->n_roles; i++) {
		bool found = false;

		for (size_t k = 0; k < r->pairs.n_roles && !found; k++)
			found = strcmp(r->pairs.roles[k], sweep->roles[i]) == 0;
		if (!found)
			return pb_fail(err, PB_ERR_INPUT,
				       "no pair has the role '%s': sweep.%zu.positions: %s",
				       sweep->roles[i], s,
				       r->pairs.n_roles ? "use a name of the pairs' \"roles\""
							: "give the pairs \"roles\"");
	}
	return PB_OK;
}

/* Why a sweep may have no cell in any pair, and what to do. */
static const char *no_cells_because(const struct pb_sweep *sweep)
{
	if (sweep->intervention == PB_PATH)
		return "receiver: none of them comes later than a sender: choose others";
	if (sweep->intervention == PB_RESAMPLE)
		return "intervention: no two pairs have as many tokens, so there is no prompt to "
		       "resample from: give more pairs";
	if (sweep->positions == PB_POSITIONS_LIST)
		return "positions: no pair is long enough for all of them: give smaller numbers";
	if (sweep->positions == PB_POSITIONS_ROLES)
		return "positions: no pair has all of these roles: sweep them one by one";
	return "reference: it has none of the roles of the pairs: use by: overall, or others";
}

/* A sweep that has no cell in any pair would leave nothing but NaN. */
static enum pb_status check_cells(const struct pb_running *r, size_t s, struct pb_error *err)
{
	const struct pb_sweep_work *work = &r->works[s];
	struct pb_variants list = {0};
	enum pb_cell_kind kind = PB_CELL_ABSENT;
	enum pb_status status = PB_OK;

	for (size_t p = 0; p < r->pairs.n && kind == PB_CELL_ABSENT; p++)
		for (size_t c = 0; c < work->grid->n_cells && kind == PB_CELL_ABSENT; c++) {
			list.n = list.n_runs = list.n_injections = 0;
			PB_TRY(pb_cell_variant(work, p, c, &list, &kind, err));
		}
	if (kind == PB_CELL_ABSENT)
		status = pb_fail(err, PB_ERR_INPUT, "nothing to do: sweep.%zu.%s", s,
				 no_cells_because(work->sweep));
cleanup:
	pb_variants_free(&list);
	return status;
}

/* Whom each pair resamples from, drawn once. */
static enum pb_status draw_others(struct pb_running *r, size_t s, struct pb_error *err)
{
	const struct pb_sweep *sweep = &r->config->sweeps[s];
	enum pb_status status = PB_OK;

	if (sweep->intervention != PB_RESAMPLE)
		return PB_OK;
	PB_TRY(pb_alloc((void **)&r->others[s], r->pairs.n, sizeof **r->others, "resampling", err));
	for (size_t p = 0; p < r->pairs.n; p++)
		r->others[s][p] = pb_pairs_resample(&r->pairs, sweep->seed, p);
cleanup:
	return status;
}

/* The message with the sweep's number: `sweep.layers` becomes `sweep.2.layers`. */
static enum pb_status fail_in_sweep(size_t number, enum pb_status status,
				    const struct pb_error *inner, struct pb_error *err)
{
	const char *at = strstr(inner->message, "sweep.");

	if (!at)
		return pb_fail(err, status, "%s", inner->message);
	return pb_fail(err, status, "%.*ssweep.%zu.%s", (int)(at - inner->message), inner->message,
		       number, at + strlen("sweep."));
}

static enum pb_status open_sweep(struct pb_running *r, size_t s, struct pb_error *err)
{
	const struct pb_run_config *c = r->config;
	struct pb_sweep *sweep = &c->sweeps[s];
	const struct pb_arch *a = &r->model->arch;
	int recipient = sweep->direction == PB_DENOISE ? 1 : 0;
	struct pb_error inner = {0};
	enum pb_status status;

	PB_TRY(check_roles(r, s, err));
	status = pb_sweep_resolve(sweep, a, &r->arena, &inner);
	if (status == PB_OK)
		status = pb_grid_make(&r->grids[s], sweep, a, r->pairs.max_length, &inner);
	if (status != PB_OK) {
		(void)fail_in_sweep(s, status, &inner, err);
		goto cleanup;
	}
	if (sweep->by_sets && sweep->complement)
		PB_TRY(take_complements(r, s, err));
	PB_TRY(find_same(r, s, err));
	if (sweep->intervention == PB_MEAN && sweep->reference_over == PB_OVER_FILE)
		PB_TRY(pb_prompts_read(&r->references[s], sweep->reference_path, r->tokenizer,
				       c->bos, a->n_vocab, a->n_context, err));
	PB_TRY(draw_others(r, s, err));
	PB_TRY(pb_alloc((void **)&r->shapes[s].shapes, r->pairs.n, sizeof *r->shapes[s].shapes,
			"the plan", err));
	PB_TRY(pb_alloc((void **)&r->shapes[s].known, r->pairs.n, sizeof *r->shapes[s].known,
			"the plan", err));
	r->works[s] =
	    (struct pb_sweep_work){.sweep = sweep,
				   .grid = &r->grids[s],
				   .arch = a,
				   .pairs = r->pairs.items,
				   .all = &r->pairs,
				   .sets = r->complements[s] ? r->complements[s] : sweep->sets,
				   .known = r->known[s],
				   .shapes = &r->shapes[s],
				   .others = r->others[s],
				   .recipient = recipient,
				   .donor = 1 - recipient};
	PB_TRY(check_cells(r, s, err));
cleanup:
	return status;
}

enum pb_status pb_running_open_sweeps(struct pb_running *r, struct pb_error *err)
{
	size_t n = r->config->n_sweeps;
	enum pb_status status;
	const struct {
		void **array;
		size_t size;
	} arrays[] = {{(void **)&r->grids, sizeof *r->grids},
		      {(void **)&r->complements, sizeof *r->complements},
		      {(void **)&r->references, sizeof *r->references},
		      {(void **)&r->sources, sizeof *r->sources},
		      {(void **)&r->works, sizeof *r->works},
		      {(void **)&r->means, sizeof *r->means},
		      {(void **)&r->same_as, sizeof *r->same_as},
		      {(void **)&r->known, sizeof *r->known},
		      {(void **)&r->shapes, sizeof *r->shapes},
		      {(void **)&r->others, sizeof *r->others}};

	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
		PB_TRY(pb_alloc(arrays[i].array, n, arrays[i].size, "sweeps", err));
	for (size_t s = 0; s < n; s++)
		PB_TRY(open_sweep(r, s, err));
cleanup:
	return status;
}

size_t pb_running_longest(const struct pb_running *r)
{
	size_t longest = r->pairs.max_length, more;

	for (size_t s = 0; s < r->config->n_sweeps; s++)
		if (r->references[s].max_length > longest)
			longest = r->references[s].max_length;
	more = pb_readings_length(&r->model->arch, &r->pairs, r->config->readings);
	return more > longest ? more : longest;
}

enum pb_status pb_running_make_sources(struct pb_running *r, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t s = 0; s < r->config->n_sweeps; s++) {
		PB_TRY(pb_sources_new(&r->sources[s], &r->engine, &r->config->sweeps[s],
				      r->works[s].sets, &r->pairs, &r->references[s],
				      r->plan.chunk_pairs, err));
		r->works[s].sources = &r->sources[s];
		r->means[s] = r->sources[s].means;
		/* only now it is known which roles have a mean */
		if (r->config->sweeps[s].intervention == PB_MEAN)
			PB_TRY(check_cells(r, s, err));
	}
cleanup:
	return status;
}

void pb_running_copy_known(const struct pb_running *r, size_t s, struct pb_chunk_values *values,
			   size_t n_pairs)
{
	const struct pb_sweep_values *from = &values->sweeps[r->same_as[s]];
	struct pb_sweep_values *to = &values->sweeps[s];
	size_t n_cells = r->grids[s].n_cells, candidates = pb_candidates_most(&r->pairs);

	for (int m = 0; m < PB_N_METRICS; m++) {
		size_t size = (pb_metric_infos[m].is_double ? sizeof(double) : sizeof(float)) *
			      (pb_metric_infos[m].per_candidate ? candidates : 1);

		for (size_t i = 0; to->metric[m] && i < n_pairs * n_cells; i++) {
			size_t cell = same_cell(&r->grids[s], i % n_cells);

			if (cell != SIZE_MAX)
				memcpy((char *)to->metric[m] + i * size,
				       (const char *)from->metric[m] +
					   (i / n_cells * n_cells + cell) * size,
				       size);
		}
	}
}

void pb_running_close_sweeps(struct pb_running *r)
{
	size_t n = r->config->n_sweeps;

	for (size_t s = 0; r->sources && s < n; s++)
		pb_sources_free(&r->sources[s], &r->engine);
	for (size_t s = 0; r->references && s < n; s++)
		pb_prompts_free(&r->references[s]);
	for (size_t s = 0; r->known && s < n; s++)
		free(r->known[s]);
	for (size_t s = 0; r->complements && s < n; s++)
		free(r->complements[s]);
	for (size_t s = 0; r->others && s < n; s++)
		free(r->others[s]);
	free(r->others);
	for (size_t s = 0; r->shapes && s < n; s++) {
		free(r->shapes[s].shapes);
		free(r->shapes[s].known);
	}
	free(r->shapes);
	free(r->sources);
	free(r->references);
	free(r->known);
	free(r->complements);
	free(r->grids);
	free(r->works);
	free(r->means);
	free(r->same_as);
}
