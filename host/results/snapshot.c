/* An experiment as bytes: one visit of its fields that writes and reads them. */
#include "results/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "results/codec.h"
#include "results/parts.h"
#include "results/schema.h"

/* Of the bytes: counted up whenever a line of a visit changes. */
#define SNAPSHOT_VERSION 1
#define DATASET "experiment"
#define CHUNK_BYTES ((size_t)1 << 20)

/* ---- model and sweeps ---------------------------------------------------------------------- */

static enum pb_status visit_arch(struct pb_codec *c, struct pb_arch *a, struct pb_error *err)
{
	enum pb_status status;
	double numbers[] = {a->norm_eps, a->embed_scale, a->score_softcap, a->logit_softcap};
	size_t i;

	PB_CODEC_TEXT(a->family);
	PB_CODEC_NUMBER(a->n_layers);
	PB_CODEC_NUMBER(a->n_heads);
	PB_CODEC_NUMBER(a->n_kv_heads);
	PB_CODEC_NUMBER(a->d_model);
	PB_CODEC_NUMBER(a->d_head);
	PB_CODEC_NUMBER(a->d_mlp);
	PB_CODEC_NUMBER(a->n_vocab);
	PB_CODEC_NUMBER(a->n_context);
	PB_CODEC_NUMBER(a->norm);
	PB_CODEC_NUMBER(a->activation);
	PB_CODEC_NUMBER(a->gated);
	PB_CODEC_NUMBER(a->parallel);
	PB_CODEC_NUMBER(a->no_pre_norm);
	PB_CODEC_NUMBER(a->post_norm);
	PB_CODEC_NUMBER(a->qk_norm);
	PB_CODEC_NUMBER(a->learned_positions);
	PB_CODEC_NUMBER(a->rotary_dims);
	PB_CODEC_NUMBER(a->rotary_interleaved);
	for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
		PB_TRY(pb_codec_double(c, &numbers[i], err));
	a->norm_eps = (float)numbers[0];
	a->embed_scale = (float)numbers[1];
	a->score_softcap = (float)numbers[2];
	a->logit_softcap = (float)numbers[3];
cleanup:
	return status;
}

static enum pb_status visit_sets(struct pb_codec *c, struct pb_sweep *s, struct pb_error *err)
{
	struct pb_set_sources *from = &s->set_sources;
	struct pb_set *sets = (struct pb_set *)(uintptr_t)s->sets;
	enum pb_status status;
	size_t i;

	PB_CODEC_NUMBER(s->by_sets);
	PB_CODEC_NUMBER(s->complement);
	PB_CODEC_TEXT(from->top_path);
	PB_CODEC_TEXT(from->top_sweep);
	PB_CODEC_NUMBER(from->top);
	PB_CODEC_NUMBER(from->n_top_layers);
	PB_CODEC_ARRAY(from->top_layers, from->n_top_layers);
	PB_CODEC_NUMBER(from->random_size);
	PB_CODEC_NUMBER(from->random_count);
	PB_CODEC_NUMBER(from->random_seed);
	PB_CODEC_NUMBER(from->random_match_layer);
	PB_CODEC_NUMBER(from->all_pairs);
	PB_CODEC_NUMBER(s->n_sets);
	PB_CODEC_STRUCTS(sets, s->n_sets);
	for (i = 0; i < s->n_sets; i++) {
		PB_CODEC_TEXT(sets[i].name);
		PB_CODEC_NUMBER(sets[i].n);
		PB_CODEC_ARRAY(sets[i].members, sets[i].n);
		PB_CODEC_CHOICE(sets[i].source, PB_N_SET_SOURCES);
	}
	if (!c->writing)
		s->sets = sets;
cleanup:
	return status;
}

static enum pb_status visit_path(struct pb_codec *c, struct pb_sweep *s, struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_CODEC_CHOICE(s->sender, PB_N_SENDERS);
	PB_CODEC_CHOICE(s->receiver, PB_N_RECEIVERS);
	PB_CODEC_NUMBER(s->n_receivers);
	PB_CODEC_ARRAY(s->receivers, s->n_receivers);
	for (i = 0; i < s->n_receivers; i++)
		if ((unsigned)s->receivers[i].kind >= PB_RECEIVER_SET)
			return pb_codec_fail("a receiver", err);
	PB_CODEC_CHOICE(s->freeze, PB_N_FREEZES);
	PB_CODEC_NUMBER(s->n_receiver_layers);
	PB_CODEC_ARRAY(s->receiver_layers, s->n_receiver_layers);
	PB_CODEC_NUMBER(s->n_receiver_heads);
	PB_CODEC_ARRAY(s->receiver_heads, s->n_receiver_heads);
cleanup:
	return status;
}

/* A part of the grid: layers, heads, neurons. */
static enum pb_status visit_part(struct pb_codec *c, struct pb_sweep *s, struct pb_error *err)
{
	enum pb_status status;
	bool listed = s->neuron_list != NULL;

	PB_CODEC_NUMBER(s->window);
	PB_CODEC_NUMBER(s->n_layers);
	PB_CODEC_ARRAY(s->layers, s->n_layers);
	PB_CODEC_NUMBER(s->n_heads);
	PB_CODEC_ARRAY(s->heads, s->n_heads);
	PB_CODEC_NUMBER(s->neurons);
	PB_CODEC_NUMBER(s->n_neurons);
	PB_CODEC_NUMBER(listed);
	PB_CODEC_ARRAY(s->neuron_list, listed ? s->n_neurons : 0);
cleanup:
	return status;
}

static enum pb_status visit_sweep(struct pb_codec *c, struct pb_sweep *s, struct pb_error *err)
{
	const char **roles = (const char **)(uintptr_t)s->roles;
	enum pb_status status;
	size_t i;

	PB_CODEC_CHOICE(s->intervention, PB_N_INTERVENTIONS);
	PB_CODEC_CHOICE(s->site, PB_N_SITES);
	PB_CODEC_CHOICE(s->direction, PB_N_DIRECTIONS);
	PB_CODEC_CHOICE(s->positions, PB_N_POSITIONS);
	PB_TRY(pb_codec_double(c, &s->min_gap, err));
	PB_CODEC_NUMBER(s->n_list);
	PB_CODEC_ARRAY(s->list, s->n_list);
	PB_CODEC_NUMBER(s->n_roles);
	PB_CODEC_STRUCTS(roles, s->n_roles);
	for (i = 0; i < s->n_roles; i++)
		PB_CODEC_TEXT(roles[i]);
	if (!c->writing)
		s->roles = roles;
	PB_CODEC_NUMBER(s->n_alphas);
	PB_CODEC_ARRAY(s->alphas, s->n_alphas);
	PB_CODEC_TEXT(s->vector);
	PB_CODEC_TEXT(s->subspace);
	PB_CODEC_CHOICE(s->reference_over, PB_OVER_FILE + 1);
	PB_CODEC_CHOICE(s->reference_by, PB_BY_ROLE + 1);
	PB_CODEC_TEXT(s->reference_path);
	PB_CODEC_NUMBER(s->seed);
	PB_TRY(visit_part(c, s, err));
	PB_TRY(visit_sets(c, s, err));
	status = visit_path(c, s, err);
cleanup:
	return status;
}

static enum pb_status visit_sweeps(struct pb_codec *c, struct pb_experiment *e,
				   struct pb_error *err)
{
	struct pb_sweep *sweeps = (struct pb_sweep *)(uintptr_t)e->sweeps;
	enum pb_status status;
	size_t s;

	PB_CODEC_NUMBER(e->n_sweeps);
	PB_CODEC_STRUCTS(sweeps, e->n_sweeps);
	for (s = 0; s < e->n_sweeps; s++)
		PB_TRY(visit_sweep(c, &sweeps[s], err));
	if (!c->writing)
		e->sweeps = sweeps;
	PB_CODEC_NUMBER(e->metrics);
	PB_CODEC_NUMBER(e->readings);
	PB_CODEC_NUMBER(e->save);
	PB_CODEC_NUMBER(e->save_control);
cleanup:
	return status;
}

/* ---- pairs --------------------------------------------------------------------------------- */

static enum pb_status visit_pair(struct pb_codec *c, struct pb_pair *p, size_t n_roles,
				 struct pb_error *err)
{
	enum pb_status status;
	bool has_roles = p->roles != NULL;
	size_t i;

	PB_CODEC_NUMBER(p->length);
	PB_CODEC_ARRAY(p->clean, p->length);
	PB_CODEC_ARRAY(p->corrupted, p->length);
	PB_CODEC_NUMBER(p->answer);
	PB_CODEC_NUMBER(p->foil);
	PB_CODEC_NUMBER(p->first_difference);
	PB_CODEC_NUMBER(p->n_candidates);
	PB_CODEC_ARRAY(p->candidates, p->n_candidates);
	PB_CODEC_NUMBER(has_roles);
	PB_CODEC_ARRAY(p->roles, has_roles ? p->length : 0);
	for (i = 0; p->roles != NULL && i < p->length; i++)
		if (p->roles[i] < -1 || (p->roles[i] >= 0 && (size_t)p->roles[i] >= n_roles))
			return pb_codec_fail("a role", err);
	PB_CODEC_TEXT(p->clean_text);
	PB_CODEC_TEXT(p->corrupted_text);
	PB_CODEC_TEXT(p->answer_text);
	PB_CODEC_TEXT(p->foil_text);
	PB_CODEC_TEXT(p->extra);
	if (p->clean_text == NULL || p->corrupted_text == NULL || p->answer_text == NULL ||
	    p->foil_text == NULL || p->extra == NULL)
		status = pb_codec_fail("a text of a pair", err);
cleanup:
	return status;
}

static enum pb_status visit_pairs(struct pb_codec *c, struct pb_pairs *pairs, struct pb_error *err)
{
	enum pb_status status;
	size_t i, longest = 0;

	PB_CODEC_NUMBER(pairs->n_roles);
	PB_CODEC_STRUCTS(pairs->roles, pairs->n_roles);
	for (i = 0; i < pairs->n_roles; i++)
		PB_CODEC_TEXT(pairs->roles[i]);
	PB_CODEC_NUMBER(pairs->bos);
	PB_CODEC_NUMBER(pairs->n_tokens);
	PB_CODEC_ARRAY(pairs->token_ids, pairs->n_tokens);
	PB_CODEC_STRUCTS(pairs->token_texts, pairs->n_tokens);
	for (i = 0; i < pairs->n_tokens; i++) {
		PB_CODEC_TEXT(pairs->token_texts[i]);
		if (pairs->token_texts[i] == NULL) {
			status = pb_codec_fail("the text of a token", err);
			goto cleanup;
		}
	}
	PB_CODEC_NUMBER(pairs->n);
	PB_CODEC_STRUCTS(pairs->items, pairs->n);
	for (i = 0; i < pairs->n; i++) {
		PB_TRY(visit_pair(c, &pairs->items[i], pairs->n_roles, err));
		longest = pairs->items[i].length > longest ? pairs->items[i].length : longest;
	}
	if (!c->writing)
		pairs->max_length = longest;
cleanup:
	return status;
}

/* ---- cells and evaluation prompts ---------------------------------------------------------- */

static enum pb_status visit_cells(struct pb_codec *c, struct pb_cell **cells, size_t n_cells,
				  size_t n_items, struct pb_error *err)
{
	enum pb_status status;
	size_t i, a;

	PB_CODEC_STRUCTS(*cells, n_cells);
	for (i = 0; i < n_cells; i++) {
		struct pb_cell *cell = &(*cells)[i];

		for (a = 0; a < PB_CELL_AXES; a++)
			PB_TRY(pb_codec_double(c, &cell->values[a], err));
		PB_CODEC_TEXT(cell->why);
		PB_CODEC_NUMBER(cell->first);
		PB_CODEC_NUMBER(cell->n);
		if (cell->first > n_items || cell->n > n_items - cell->first)
			return pb_codec_fail("a cell of the grid", err);
	}
	status = PB_OK;
cleanup:
	return status;
}

static bool is_axis(const char *name)
{
	int d;

	for (d = PB_DIM_BOXES; name != NULL && d <= PB_DIM_LENGTH; d++)
		if (strcmp(pb_dim_name((enum pb_dim)d), name) == 0)
			return true;
	return false;
}

static enum pb_status visit_axes(struct pb_codec *c, struct pb_experiment *e, struct pb_error *err)
{
	struct pb_cell_axis *axes = (struct pb_cell_axis *)(uintptr_t)e->axes;
	enum pb_status status;
	size_t a, cells = 1;

	PB_CODEC_CHOICE(e->n_axes, PB_CELL_AXES + 1);
	PB_CODEC_NUMBER(e->n_cells);
	PB_CODEC_STRUCTS(axes, e->n_axes);
	for (a = 0; a < e->n_axes; a++) {
		PB_CODEC_TEXT(axes[a].name);
		PB_CODEC_NUMBER(axes[a].n);
		PB_CODEC_ARRAY(axes[a].values, axes[a].n);
		PB_CODEC_NUMBER(axes[a].whole);
		if (!is_axis(axes[a].name) || !pb_size_mul(cells, axes[a].n, &cells))
			return pb_codec_fail("an axis of the grid", err);
	}
	if (!c->writing)
		e->axes = axes;
	if (e->n_axes > 0 && (cells != e->n_cells || cells > PB_CELLS_MAX))
		status = pb_codec_fail("the grid", err);
cleanup:
	return status;
}

static enum pb_status visit_prompt(struct pb_codec *c, struct pb_eval_prompt *p,
				   const struct pb_eval_set *set, struct pb_error *err)
{
	enum pb_status status;
	const void *facts = p->facts;

	PB_CODEC_NUMBER(p->length);
	PB_CODEC_ARRAY(p->tokens, p->length);
	PB_CODEC_NUMBER(p->n_answers);
	PB_CODEC_NUMBER(p->n_candidates);
	PB_CODEC_ARRAY(p->answers, p->n_answers);
	PB_CODEC_ARRAY(p->candidates, p->n_candidates);
	PB_TRY(pb_codec_array(c, &facts, PB_N_EVAL_FACTS, sizeof *p->facts, err));
	if (!c->writing)
		memcpy(p->facts, facts, sizeof p->facts);
	PB_CODEC_NUMBER(p->distance);
	PB_TRY(pb_codec_double(c, &p->reachable, err));
	PB_CODEC_TEXT(p->text);
	PB_CODEC_TEXT(p->answer_text);
	PB_CODEC_TEXT(p->extra);
	if (p->n_answers == 0 || p->n_answers > set->max_answers ||
	    p->n_candidates > set->max_candidates || p->text == NULL || p->answer_text == NULL ||
	    p->extra == NULL)
		status = pb_codec_fail("an evaluation prompt", err);
cleanup:
	return status;
}

static enum pb_status visit_prompts(struct pb_codec *c, struct pb_eval_set *set,
				    struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_CODEC_NUMBER(set->n);
	PB_CODEC_NUMBER(set->n_cells);
	PB_TRY(visit_cells(c, &set->cells, set->n_cells, set->n, err));
	PB_CODEC_NUMBER(set->max_length);
	PB_CODEC_NUMBER(set->max_answers);
	PB_CODEC_NUMBER(set->max_candidates);
	PB_CODEC_NUMBER(set->has_distance);
	PB_CODEC_NUMBER(set->bos);
	PB_CODEC_STRUCTS(set->items, set->n);
	for (i = 0; i < set->n; i++)
		PB_TRY(visit_prompt(c, &set->items[i], set, err));
cleanup:
	return status;
}

/* ---- what is computed once for the run ------------------------------------------------------ */

static enum pb_status visit_mean(struct pb_codec *c, struct pb_reference_means *m,
				 struct pb_error *err)
{
	const char **roles = (const char **)(uintptr_t)m->roles;
	enum pb_status status;
	bool there = m->values != NULL, by_role = roles != NULL;
	size_t n, i;

	PB_CODEC_NUMBER(there);
	if (!there)
		return PB_OK;
	PB_CODEC_NUMBER(m->n_layers);
	PB_CODEC_NUMBER(m->n_index);
	PB_CODEC_NUMBER(m->n_slots);
	PB_CODEC_NUMBER(m->width);
	if (!pb_size_mul(m->n_layers, m->n_index, &n) || !pb_size_mul(n, m->n_slots, &n) ||
	    !pb_size_mul(n, m->width, &n))
		return pb_codec_fail("reference means", err);
	PB_CODEC_ARRAY(m->values, n);
	PB_CODEC_ARRAY(m->n_tokens, m->n_slots);
	PB_CODEC_NUMBER(by_role);
	if (by_role) {
		PB_CODEC_STRUCTS(roles, m->n_slots);
		for (i = 0; i < m->n_slots; i++)
			PB_CODEC_TEXT(roles[i]);
		if (!c->writing)
			m->roles = roles;
	}
cleanup:
	return status;
}

static enum pb_status visit_means(struct pb_codec *c, struct pb_experiment *e, struct pb_error *err)
{
	struct pb_reference_means *means = (struct pb_reference_means *)(uintptr_t)e->means;
	bool there = means != NULL;
	enum pb_status status;
	size_t s;

	PB_CODEC_NUMBER(there);
	if (!there)
		return PB_OK;
	PB_CODEC_STRUCTS(means, e->n_sweeps);
	for (s = 0; s < e->n_sweeps; s++) {
		PB_TRY(visit_mean(c, &means[s], err));
		if (e->sweeps[s].reference_by == PB_BY_ROLE && means[s].values != NULL &&
		    means[s].roles == NULL)
			return pb_codec_fail("roles of reference means", err);
	}
	if (!c->writing)
		e->means = means;
cleanup:
	return status;
}

static enum pb_status visit_readings(struct pb_codec *c, struct pb_experiment *e,
				     struct pb_reading_values *values, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t n;
	int r;

	for (r = 0; r < PB_N_READINGS; r++) {
		const enum pb_reading reading = (enum pb_reading)r;

		if (pb_reading_infos[r].by_pair || !pb_experiment_reads(e, reading))
			continue;
		if (c->writing && values->values[r] == NULL)
			return pb_fail(err, PB_ERR_INTERNAL, "a reading is missing: %s",
				       pb_reading_infos[r].name);
		PB_TRY(pb_reading_count(e, reading, 1, &n, err));
		PB_CODEC_ARRAY(values->values[r], n);
	}
cleanup:
	return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static enum pb_status visit_texts(struct pb_codec *c, struct pb_experiment *e, struct pb_error *err)
{
	const char **texts[] = {&e->config,  &e->identity,   &e->model_sha256, &e->pairs_sha256,
				&e->command, &e->model_path, &e->family,       &e->backend,
				&e->device,  &e->precision,  &e->host};
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		PB_TRY(pb_codec_text(c, texts[i], err));
		if (i < 4 && *texts[i] == NULL)
			return pb_codec_fail("a text", err);
	}
	PB_CODEC_NUMBER(e->seed);
	PB_CODEC_NUMBER(e->n_threads);
cleanup:
	return status;
}

static enum pb_status visit(struct pb_codec *c, struct pb_experiment *e, struct pb_pairs *pairs,
			    struct pb_eval_set *prompts, struct pb_reading_values *readings,
			    struct pb_error *err)
{
	struct pb_cell *cells = (struct pb_cell *)(uintptr_t)e->cells;
	bool evaluates = e->evaluation != NULL, has_cells = cells != NULL;
	enum pb_status status;

	PB_TRY(visit_texts(c, e, err));
	PB_TRY(visit_arch(c, &e->arch, err));
	PB_CODEC_NUMBER(e->chunk_pairs);
	PB_CODEC_NUMBER(e->n_chunks);
	PB_TRY(visit_axes(c, e, err));
	PB_CODEC_NUMBER(evaluates);
	if (evaluates) {
		e->evaluation = prompts;
		PB_TRY(visit_prompts(c, prompts, err));
		return PB_OK;
	}
	e->pairs = pairs;
	PB_TRY(visit_pairs(c, pairs, err));
	PB_CODEC_NUMBER(has_cells);
	if (has_cells) {
		PB_TRY(visit_cells(c, &cells, e->n_cells, pairs->n, err));
		e->cells = cells;
	}
	PB_TRY(visit_sweeps(c, e, err));
	PB_TRY(visit_means(c, e, err));
	status = visit_readings(c, e, readings, err);
cleanup:
	return status;
}

static enum pb_status write_bytes(hid_t group, const struct pb_codec *c, struct pb_error *err)
{
	const hsize_t size = c->size, chunk = c->size < CHUNK_BYTES ? c->size : CHUNK_BYTES;
	const hid_t space = H5Screate_simple(1, &size, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
	char hex[PB_SHA256_HEX];
	hid_t dataset = -1;
	enum pb_status status;

	PB_TRY(pb_sha256_of(c->data, c->size, hex, err));
	if (space < 0 || plist < 0 || H5Pset_obj_track_times(plist, false) < 0 ||
	    H5Pset_chunk(plist, 1, &chunk) < 0 || H5Pset_deflate(plist, 4) < 0 ||
	    H5Pset_fletcher32(plist) < 0 ||
	    (dataset = H5Dcreate2(group, DATASET, H5T_STD_U8LE, space, H5P_DEFAULT, plist,
				  H5P_DEFAULT)) < 0 ||
	    H5Dwrite(dataset, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, c->data) < 0) {
		status = pb_h5_fail(err, PB_ERR_IO, "cannot write the experiment");
		goto cleanup;
	}
	PB_TRY(pb_h5_put_int(dataset, "version", SNAPSHOT_VERSION, err));
	PB_TRY(pb_h5_put_text_inline(dataset, "sha256", hex, err));
	status = pb_h5_dataset_close(&dataset, DATASET, err);
cleanup:
	pb_h5_drop(dataset);
	pb_h5_drop(plist);
	pb_h5_drop(space);
	return status;
}

enum pb_status pb_snapshot_write(hid_t group, const struct pb_experiment *e, struct pb_error *err)
{
	struct pb_codec c = {.writing = true};
	struct pb_experiment copy = *e;
	enum pb_status status;

	/* nothing that is written is changed: the visit takes what it could fill */
	PB_TRY(visit(&c, &copy, (struct pb_pairs *)(uintptr_t)e->pairs,
		     (struct pb_eval_set *)(uintptr_t)e->evaluation,
		     (struct pb_reading_values *)(uintptr_t)e->run_readings, err));
	status = write_bytes(group, &c, err);
cleanup:
	free(c.data);
	return status;
}

/* The bytes of the dataset, against their SHA-256. */
static enum pb_status read_bytes(hid_t group, unsigned char **data, size_t *size,
				 char hex[PB_SHA256_HEX], struct pb_error *err)
{
	hid_t dataset = H5Dopen2(group, DATASET, H5P_DEFAULT);
	struct pb_h5_shape shape;
	char *stored = NULL;
	int64_t version = 0;
	enum pb_status status;

	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "missing dataset: %s", DATASET);
	PB_TRY(pb_h5_get_int(dataset, "version", &version, err));
	if (version != SNAPSHOT_VERSION) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "written by another version of patchbay: use that one");
		goto cleanup;
	}
	PB_TRY(pb_h5_get_text(dataset, "sha256", &stored, err));
	PB_TRY(pb_h5_shape(dataset, DATASET, &shape, err));
	if (shape.rank != 1 || shape.is_text || shape.element_size != 1) {
		status = pb_codec_fail("its bytes", err);
		goto cleanup;
	}
	PB_TRY(pb_alloc((void **)data, shape.count, 1, "a stored experiment", err));
	*size = shape.count;
	if (H5Dread(dataset, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, *data) < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read dataset: %s", DATASET);
		goto cleanup;
	}
	PB_TRY(pb_sha256_of(*data, *size, hex, err));
	if (strcmp(hex, stored) != 0)
		status = pb_fail(err, PB_ERR_CHECK, "the checksum of the experiment is wrong");
cleanup:
	free(stored);
	pb_h5_drop(dataset);
	return status;
}

/* What must hold of the whole; and the grids, which follow from the sweeps. */
static enum pb_status finish(struct pb_snapshot *x, struct pb_error *err)
{
	struct pb_experiment *e = &x->e;
	const size_t n = pb_experiment_items(e);
	struct pb_grid *grids;
	enum pb_status status = PB_OK;
	size_t s;

	if (n == 0 || e->chunk_pairs == 0 ||
	    e->n_chunks != n / e->chunk_pairs + (n % e->chunk_pairs != 0))
		return pb_codec_fail("its chunks", err);
	if (e->evaluation != NULL && e->n_cells != x->prompts.n_cells)
		return pb_codec_fail("its cells", err);
	grids = pb_arena_alloc(&x->arena, e->n_sweeps, sizeof *grids);
	if (grids == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: sweeps");
	for (s = 0; s < e->n_sweeps; s++)
		PB_TRY(pb_grid_make(&grids[s], &e->sweeps[s], &e->arch, x->pairs.max_length, err));
	e->grids = grids;
	if (e->readings != 0)
		e->run_readings = &x->readings;
cleanup:
	return status;
}

enum pb_status pb_snapshot_read(struct pb_snapshot *out, hid_t group, struct pb_error *err)
{
	struct pb_codec c = {.arena = &out->arena};
	enum pb_status status;

	*out = (struct pb_snapshot){0};
	PB_TRY(read_bytes(group, &out->data, &c.size, out->sha256, err));
	c.data = out->data;
	PB_TRY(visit(&c, &out->e, &out->pairs, &out->prompts, &out->readings, err));
	if (c.at != c.size) {
		status = pb_codec_fail("more follows", err);
		goto cleanup;
	}
	PB_TRY(finish(out, err));
	return PB_OK;
cleanup:
	pb_snapshot_free(out);
	return status;
}

enum pb_status pb_snapshot_check(hid_t group, struct pb_error *err)
{
	unsigned char *data = NULL;
	char hex[PB_SHA256_HEX];
	size_t size = 0;
	enum pb_status status = read_bytes(group, &data, &size, hex, err);

	free(data);
	return status;
}

void pb_snapshot_free(struct pb_snapshot *snapshot)
{
	pb_arena_free(&snapshot->arena);
	free(snapshot->data);
	*snapshot = (struct pb_snapshot){0};
}
