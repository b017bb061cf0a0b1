/* Sources of new values: vectors and subspaces from files, tables of any kind. */
#include "engine/sources.h"

#include <stdlib.h>
#include <string.h>

#include "model/vector_file.h"

size_t pb_source_sites(const struct pb_sweep *sweep, const struct pb_set *sets,
		       enum pb_site sites[2])
{
	bool heads = !sweep->by_sets, mlps = false;
	size_t n = 0;

	for (size_t i = 0; sweep->by_sets && i < sweep->n_sets; i++)
		for (size_t m = 0; m < sets[i].n; m++) {
			heads = heads || sets[i].members[m].head >= 0;
			mlps = mlps || sets[i].members[m].head < 0;
		}
	if (heads)
		sites[n++] = sweep->site;
	if (mlps)
		sites[n++] = PB_SITE_MLP_OUT;
	return n;
}

void pb_source_shape(const struct pb_arch *arch, const struct pb_sweep *sweep, enum pb_site site,
		     size_t *n_layers, size_t *n_index, size_t *width)
{
	pb_site_shape(arch, site, 1, n_layers, n_index, width);
	if (sweep->neurons) {
		*n_index = *width;
		*width = 1;
	}
}

enum pb_status pb_source_table_new(struct pb_sources *s, struct pb_engine *e, enum pb_site site,
				   size_t n_layers, size_t rows, size_t stride,
				   struct pb_error *err)
{
	struct pb_source_table *t = &s->tables[site];
	size_t layer, bytes;
	enum pb_status status;

	if (!pb_size_mul(rows, stride, &layer) || !pb_size_mul(layer, n_layers, &bytes) ||
	    !pb_size_mul(bytes, sizeof(float), &bytes))
		return pb_fail(err, PB_ERR_MEMORY, "too many source values for %s",
			       pb_site_names[site]);
	PB_TRY(pb_alloc((void **)&t->layers, n_layers, sizeof *t->layers, "sources", err));
	t->n_layers = n_layers;
	t->stride = stride;
	PB_TRY(e->ops->alloc(e->dev, bytes, &s->memory[site], err));
	for (size_t l = 0; l < n_layers; l++)
		t->layers[l] = pb_dev_at(s->memory[site], l * layer * sizeof(float));
cleanup:
	return status;
}

/* resid_post of a layer is written as resid_pre of the next one: that site's tables are these,
 * moved by a layer. */
static enum pb_status alias_resid_pre(struct pb_sources *s, struct pb_error *err)
{
	const struct pb_source_table *from = &s->tables[PB_SITE_RESID_POST];
	struct pb_source_table *to = &s->tables[PB_SITE_RESID_PRE];
	enum pb_status status = PB_OK;

	if (from->layers) {
		PB_TRY(pb_alloc((void **)&to->layers, from->n_layers + 1, sizeof *to->layers,
				"sources", err));
		to->n_layers = from->n_layers;
		to->stride = from->stride;
		for (size_t l = 1; l < from->n_layers; l++)
			to->layers[l] = from->layers[l - 1];
	}
	if (s->down[PB_SITE_RESID_POST]) {
		size_t n = s->n_packed[PB_SITE_RESID_POST];

		PB_TRY(pb_alloc((void **)&s->down[PB_SITE_RESID_PRE], n + 1, sizeof *s->down[0],
				"sources", err));
		PB_TRY(pb_alloc((void **)&s->up[PB_SITE_RESID_PRE], n + 1, sizeof *s->up[0],
				"sources", err));
		s->rank[PB_SITE_RESID_PRE] = s->rank[PB_SITE_RESID_POST];
		for (size_t l = 1; l < n; l++) {
			s->down[PB_SITE_RESID_PRE][l] = s->down[PB_SITE_RESID_POST][l - 1];
			s->up[PB_SITE_RESID_PRE][l] = s->up[PB_SITE_RESID_POST][l - 1];
		}
	}
cleanup:
	return status;
}

/* ---- vectors --------------------------------------------------------------------------------- */

static enum pb_status load_vector(struct pb_sources *s, struct pb_engine *e,
				  const struct pb_sweep *sweep, enum pb_site site,
				  struct pb_error *err)
{
	struct pb_vectors file = {0};
	size_t layers, index, width;
	float *row = NULL;
	enum pb_status status;

	pb_site_shape(&e->arch, site, 1, &layers, &index, &width);
	PB_TRY(pb_vectors_read(&file, sweep->vector, "vector", layers, index, width, false, err));
	PB_TRY(pb_source_table_new(s, e, site, layers, 1, index * width, err));
	PB_TRY(pb_alloc((void **)&row, index * width, sizeof *row, "a vector", err));
	for (size_t l = 0; l < layers; l++) {
		for (size_t i = 0; i < index; i++) {
			size_t at =
			    (file.n_layers > 1 ? l : 0) * file.n_index + (file.n_index > 1 ? i : 0);

			memcpy(row + i * width, file.values + at * width, width * sizeof *row);
		}
		PB_TRY(e->ops->upload(e->dev, s->tables[site].layers[l], row,
				      index * width * sizeof *row, err));
	}
cleanup:
	free(row);
	pb_vectors_free(&file);
	return status;
}

/* ---- subspaces ------------------------------------------------------------------------------- */

/* Rows U [k, width] as products: U^T and U. */
static enum pb_status pack_subspace(struct pb_sources *s, struct pb_engine *e, enum pb_site site,
				    size_t which, const float *rows, size_t k, size_t width,
				    struct pb_error *err)
{
	struct pb_weight up = pb_weight_of_rows(rows, k, width);
	struct pb_weight down = {.data = rows,
				 .dtype = PB_F32,
				 .n_in = width,
				 .n_groups = 1,
				 .group_size = k,
				 .stride_in = 1,
				 .stride_out = (ptrdiff_t)width};
	enum pb_status status;

	PB_TRY(e->ops->pack(e->dev, &up, 1, &s->up[site][which], err));
	PB_TRY(e->ops->pack(e->dev, &down, 1, &s->down[site][which], err));
cleanup:
	return status;
}

static enum pb_status load_subspace(struct pb_sources *s, struct pb_engine *e,
				    const struct pb_sweep *sweep, enum pb_site site,
				    struct pb_error *err)
{
	struct pb_vectors file = {0};
	size_t layers, index, width;
	enum pb_status status;

	pb_site_shape(&e->arch, site, 1, &layers, &index, &width);
	PB_TRY(
	    pb_vectors_read(&file, sweep->subspace, "subspace", layers, index, width, true, err));
	s->rank[site] = file.n_rows;
	s->n_packed[site] = layers * index;
	PB_TRY(pb_alloc((void **)&s->down[site], layers * index, sizeof *s->down[site],
			"a subspace", err));
	PB_TRY(pb_alloc((void **)&s->up[site], layers * index, sizeof *s->up[site], "a subspace",
			err));
	for (size_t l = 0; l < layers; l++)
		for (size_t i = 0; i < index; i++) {
			size_t at =
			    (file.n_layers > 1 ? l : 0) * file.n_index + (file.n_index > 1 ? i : 0);

			PB_TRY(pack_subspace(s, e, site, l * index + i,
					     file.values + at * file.n_rows * width, file.n_rows,
					     width, err));
		}
cleanup:
	pb_vectors_free(&file);
	return status;
}

/* ---- all of a sweep -------------------------------------------------------------------------- */

enum pb_status pb_sources_new(struct pb_sources *s, struct pb_engine *e,
			      const struct pb_sweep *sweep, const struct pb_set *sets,
			      const struct pb_pairs *pairs, const struct pb_prompts *reference,
			      size_t chunk_pairs, struct pb_error *err)
{
	enum pb_site sites[2];
	size_t n = pb_source_sites(sweep, sets, sites);
	enum pb_status status = PB_OK;

	memset(s, 0, sizeof *s);
	if (sweep->intervention == PB_MEAN)
		PB_TRY(pb_means_make(s, e, sweep, sets, pairs, reference, chunk_pairs, err));
	for (size_t i = 0; i < n; i++) {
		if (sweep->intervention == PB_ADD)
			PB_TRY(load_vector(s, e, sweep, sites[i], err));
		if (sweep->intervention == PB_PROJECT)
			PB_TRY(load_subspace(s, e, sweep, sites[i], err));
	}
	if (sweep->site == PB_SITE_RESID_POST && sweep->intervention != PB_CONTROL)
		PB_TRY(alias_resid_pre(s, err));
cleanup:
	if (status != PB_OK)
		pb_sources_free(s, e);
	return status;
}

void pb_sources_drop(struct pb_sources *s, struct pb_engine *e)
{
	for (int site = 0; site < PB_N_SITES; site++) {
		/* an alias has pointers of its own, but no memory and no packed matrices */
		for (size_t i = 0; i < s->n_packed[site]; i++) {
			if (s->down[site])
				e->ops->unpack(e->dev, s->down[site][i]);
			if (s->up[site])
				e->ops->unpack(e->dev, s->up[site][i]);
		}
		free(s->down[site]);
		free(s->up[site]);
		free(s->tables[site].layers);
		if (s->memory[site].address)
			e->ops->release(e->dev, s->memory[site]);
		s->down[site] = s->up[site] = NULL;
		s->n_packed[site] = 0;
		s->tables[site] = (struct pb_source_table){0};
		s->memory[site].address = NULL;
	}
}

void pb_sources_free(struct pb_sources *s, struct pb_engine *e)
{
	pb_sources_drop(s, e);
	free(s->mean_values);
	free(s->mean_tokens);
	free(s->mean_values_mlp);
	free(s->role_slot);
	memset(s, 0, sizeof *s);
}

size_t pb_sources_bytes(const struct pb_arch *arch, const struct pb_sweep *sweep,
			const struct pb_pairs *pairs, const struct pb_prompts *reference,
			size_t chunk_rows)
{
	bool file = sweep->intervention == PB_MEAN && sweep->reference_over == PB_OVER_FILE;
	size_t longest = file ? reference->max_length : pairs->max_length;
	size_t layers, index, width, rows = 1, values;

	pb_site_shape(arch, sweep->site, longest, &layers, &index, &width);
	if (sweep->intervention == PB_CONTROL)
		return layers * chunk_rows * index * width * sizeof(float) +
		       2 * chunk_rows * pb_qkv_width(arch) * sizeof(float) +
		       3 * chunk_rows * index * width * sizeof(float);
	if (sweep->intervention == PB_PROJECT)
		return 4 * layers * index * width * width * sizeof(float);
	if (sweep->intervention == PB_ADD)
		return 3 * layers * index * width * sizeof(float);
	if (sweep->intervention != PB_MEAN)
		return 0;
	if (sweep->reference_by == PB_BY_POSITION)
		rows = longest;
	else if (sweep->reference_by == PB_BY_ROLE)
		rows = (file ? reference->n_roles : pairs->n_roles) + 1;
	values = layers * index * width * rows;
	if (sweep->by_sets)
		values += arch->n_layers * arch->d_model * rows;
	return values * (sizeof(double) + sizeof(float));
}
