/* Result files side by side: each is opened in turn, held against the first, and measured. */
#include "results/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum pb_status no_memory(struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: comparison");
}

/* ---- one file ---------------------------------------------------------------------------- */

/* Without intervention: how often the answer is the likeliest token. */
static enum pb_status read_accuracy(double *accuracy, const struct pb_result *r,
				    struct pb_error *err)
{
	enum pb_status status;
	int32_t *rank = NULL;
	size_t n = 0, i;

	PB_TRY(pb_alloc((void **)&rank, r->n_pairs, sizeof *rank, "pairs", err));
	PB_TRY(
	    pb_h5_read(r->file, "base/clean/rank_answer", H5T_NATIVE_INT32, r->n_pairs, rank, err));
	for (i = 0; i < r->n_pairs; i++)
		n += rank[i] == 0;
	*accuracy = (double)n / (double)r->n_pairs;
cleanup:
	free(rank);
	return status;
}

static double mean_of(const double *x, size_t n)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += x[i];
	return sum / (double)n;
}

static enum pb_status read_facts(struct pb_compared *file, const struct pb_result *r,
				 struct pb_error *err)
{
	enum pb_status status;
	const size_t n_right = pb_result_n_right(r);
	const size_t counts[PB_N_COMPARE_COUNTS] = {r->n_layers, r->n_heads, r->n_pairs, n_right};
	double facts[PB_N_COMPARE_FACTS] = {(double)n_right / (double)r->n_pairs, NAN,
					    mean_of(r->logit_diff[0], r->n_pairs),
					    mean_of(r->logit_diff[1], r->n_pairs)};

	PB_TRY(read_accuracy(&facts[1], r, err));
	memcpy(file->counts, counts, sizeof counts);
	memcpy(file->facts, facts, sizeof facts);
cleanup:
	return status;
}

/* An attribute of the root into the arena. */
static enum pb_status keep_attribute(const char **out, struct pb_arena *arena,
				     const struct pb_result *r, const char *name,
				     struct pb_error *err)
{
	enum pb_status status;
	char *text = NULL;

	PB_TRY(pb_h5_get_text(r->file, name, &text, err));
	*out = pb_arena_strdup(arena, text);
	if (*out == NULL)
		status = no_memory(err);
cleanup:
	free(text);
	return status;
}

static enum pb_status read_texts(struct pb_compared *file, struct pb_arena *arena,
				 const struct pb_result *r, const struct pb_compare_key *key,
				 struct pb_error *err)
{
	static const struct {
		enum pb_compare_field field;
		const char *attribute;
	} attributes[] = {{PB_COMPARE_FAMILY, "family"},
			  {PB_COMPARE_PRECISION, "precision"},
			  {PB_COMPARE_MODEL_SHA256, "model_sha256"},
			  {PB_COMPARE_PAIRS_SHA256, "pairs_sha256"},
			  {PB_COMPARE_EXPERIMENT_SHA256, "experiment_sha256"}};
	enum pb_status status = PB_OK;
	size_t i;

	file->texts[PB_COMPARE_MODEL] = pb_arena_strdup(arena, key->model);
	file->texts[PB_COMPARE_REVISION] = pb_arena_strdup(arena, key->revision);
	file->texts[PB_COMPARE_PATH] = pb_arena_strdup(arena, r->path);
	if (file->texts[PB_COMPARE_MODEL] == NULL || file->texts[PB_COMPARE_REVISION] == NULL ||
	    file->texts[PB_COMPARE_PATH] == NULL)
		return no_memory(err);
	for (i = 0; i < sizeof attributes / sizeof *attributes; i++)
		PB_TRY(keep_attribute(&file->texts[attributes[i].field], arena, r,
				      attributes[i].attribute, err));
cleanup:
	return status;
}

/* ---- all files --------------------------------------------------------------------------- */

/* The sweep of the first file, which the others are held against. */
static enum pb_status begin(struct pb_comparison *c, const struct pb_result *r,
			    const struct pb_compare_options *options, size_t *sweep,
			    struct pb_error *err)
{
	enum pb_status status = PB_OK;

	*sweep = 0;
	if (r->n_sweeps == 0)
		return pb_fail(err, PB_ERR_INPUT, "no sweeps: %s: name a file with one", r->path);
	if (options->sweep != NULL)
		PB_TRY(pb_result_find_sweep(r, options->sweep, sweep, err));
	c->noise = r->sweeps[*sweep].noise;
	c->sweep = pb_arena_strdup(&c->arena, pb_result_sweep_words(&r->sweeps[*sweep]));
	if (c->sweep == NULL)
		status = no_memory(err);
cleanup:
	return status;
}

static enum pb_status add_open(struct pb_comparison *c, const struct pb_result *r, size_t at,
			       const struct pb_compare_options *options,
			       struct pb_compare_key *keys, struct pb_error *err)
{
	enum pb_status status;
	struct pb_compared *file = &c->files[at];
	size_t sweep, s, i;

	if (at == 0)
		PB_TRY(begin(c, r, options, &sweep, err));
	else
		PB_TRY(pb_compare_find(r, c->sweep, &keys[0], options->paths[0], &sweep, err));
	PB_TRY(pb_compare_key_read(&keys[at], r, sweep, err));
	for (i = 0; i < at; i++)
		PB_TRY(pb_compare_not_twice(&keys[i], options->paths[i], &keys[at], r->path, err));
	if (at > 0)
		PB_TRY(pb_compare_match(&keys[0], options->paths[0], &keys[at], r->path,
					options->any_task, &c->same_task, err));
	PB_TRY(read_texts(file, &c->arena, r, &keys[at], err));
	PB_TRY(read_facts(file, r, err));
	PB_TRY(pb_compare_spread(file->spread, &c->by_head, &c->arena, r, sweep, options, err));
	for (s = 0; s < PB_N_SUBSETS; s++)
		if (file->spread[s].n_top > c->n_top)
			c->n_top = file->spread[s].n_top;
cleanup:
	return status;
}

static enum pb_status add_file(struct pb_comparison *c, size_t at,
			       const struct pb_compare_options *options,
			       struct pb_compare_key *keys, struct pb_error *err)
{
	enum pb_status status;
	struct pb_result r;

	PB_TRY(pb_result_open(&r, options->paths[at], err));
	status = add_open(c, &r, at, options, keys, err);
cleanup:
	pb_result_close(&r);
	return status;
}

enum pb_status pb_compare(struct pb_comparison *c, const struct pb_compare_options *options,
			  struct pb_error *err)
{
	enum pb_status status;
	struct pb_compare_key *keys = NULL;
	size_t i;

	*c = (struct pb_comparison){.same_task = true,
				    .by = options->by,
				    .n_bins = options->n_bins,
				    .n_files = options->n_files};
	PB_TRY(pb_alloc((void **)&c->files, c->n_files, sizeof *c->files, "files", err));
	PB_TRY(pb_alloc((void **)&keys, c->n_files, sizeof *keys, "files", err));
	for (i = 0; i < c->n_files; i++)
		PB_TRY(add_file(c, i, options, keys, err));
	c->task = pb_arena_strdup(&c->arena, keys[0].task);
	if (c->task == NULL)
		status = no_memory(err);
cleanup:
	for (i = 0; keys != NULL && i < c->n_files; i++)
		pb_compare_key_free(&keys[i]);
	free(keys);
	return status;
}

void pb_comparison_free(struct pb_comparison *c)
{
	free(c->files);
	pb_arena_free(&c->arena);
	*c = (struct pb_comparison){0};
}
