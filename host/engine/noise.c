/* The placebo's noise: at each position and head a vector of the norm of donor - recipient in a
 * random direction, drawn by a counter-based generator, so that it depends on nothing but its key.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sources.h"

struct key {
	uint64_t seed;
	size_t pair, layer, index, position; /* pair: global */
	enum pb_site site;
};

/* u: a Gaussian direction of length one. Counter: word of the vector and index; position; pair;
 * layer and site. */
static void direction(const struct key *key, size_t width, double *u)
{
	const uint32_t seed[2] = {(uint32_t)key->seed, (uint32_t)(key->seed >> 32)};
	double norm = 0.0;

	for (size_t i = 0; i < width; i += 4) {
		const uint32_t counter[4] = {(uint32_t)(key->index << 14 | i / 4),
					     (uint32_t)key->position, (uint32_t)key->pair,
					     (uint32_t)(key->layer << 8 | (size_t)key->site)};
		uint32_t words[4];

		pb_philox(counter, seed, words);
		for (size_t k = 0; k < 4; k += 2) { /* Box and Muller */
			double r = sqrt(-2.0 * log(((double)words[k] + 0.5) * 0x1p-32));
			double angle = 2.0 * M_PI * ((double)words[k + 1] + 0.5) * 0x1p-32;

			if (i + k < width)
				u[i + k] = r * cos(angle);
			if (i + k + 1 < width)
				u[i + k + 1] = r * sin(angle);
		}
	}
	for (size_t i = 0; i < width; i++)
		norm += u[i] * u[i];
	norm = sqrt(norm);
	for (size_t i = 0; i < width; i++)
		u[i] /= norm;
}

static double distance(const float *a, const float *b, size_t n)
{
	double sum = 0.0;

	for (size_t i = 0; i < n; i++) {
		double d = (double)a[i] - (double)b[i];

		sum += d * d;
	}
	return sqrt(sum);
}

struct noise {
	const struct pb_sweep_work *w;
	enum pb_site site;
	size_t n_layers, n_index, width;
	const float *values; /* the site's rows of the cache */
	size_t stride, column;
	float *table; /* [batch rows, index * width] */
	double *u;
	float *store; /* [n_pairs, layers, index, max_length, width] or NULL */
};

/* Neurons lie side by side in the file, as one vector of their layer. */
static void store_noise(const struct noise *n, size_t layer, size_t pair, size_t index,
			size_t position, const float *noise)
{
	bool neurons = n->w->sweep->neurons;
	size_t n_index = neurons ? 1 : n->n_index, width = neurons ? n->n_index : n->width;
	size_t row = (pair * n->n_layers + layer) * n_index + (neurons ? 0 : index);

	if (n->store)
		memcpy(n->store + (row * n->w->all->max_length + position) * width +
			   (neurons ? index : 0),
		       noise, n->width * sizeof *noise);
}

static void fill_pair(struct noise *n, size_t layer, size_t pair)
{
	const struct pb_sweep_work *w = n->w;
	const struct pb_span *mine = &w->run->batch.spans[2 * pair + (size_t)w->recipient];
	const struct pb_span *donor = &w->run->batch.spans[2 * pair + (size_t)w->donor];

	for (size_t i = 0; i < (size_t)mine->length; i++)
		for (size_t h = 0; h < n->n_index; h++) {
			const struct key key = {w->sweep->seed, w->first_pair + pair, layer, h, i,
						n->site};
			size_t at = n->column + h * n->width, row = (size_t)mine->base + i;
			double norm =
			    distance(n->values + ((size_t)donor->base + i) * n->stride + at,
				     n->values + row * n->stride + at, n->width);
			float *to = n->table + (row * n->n_index + h) * n->width;

			direction(&key, n->width, n->u);
			for (size_t d = 0; d < n->width; d++)
				to[d] = (float)(norm * n->u[d]);
			store_noise(n, layer, pair, h, i, to);
		}
}

/* One site's noise; a table of its own unless there is one. */
static enum pb_status fill_site(struct pb_sources *s, struct pb_engine *e,
				const struct pb_sweep_work *w, enum pb_site site, float *store,
				struct pb_error *err)
{
	struct noise n = {.w = w, .site = site};
	size_t rows = w->run->batch.n_rows;
	float *values = NULL;
	enum pb_status status;

	n.store = store;
	pb_source_shape(&e->arch, w->sweep, site, &n.n_layers, &n.n_index, &n.width);
	if (s->memory[site].address)
		e->ops->release(e->dev, s->memory[site]);
	s->memory[site].address = NULL;
	free(s->tables[site].layers);
	s->tables[site].layers = NULL;
	PB_TRY(pb_source_table_new(s, e, site, n.n_layers, rows, n.n_index * n.width, err));
	PB_TRY(
	    pb_alloc((void **)&n.table, rows * n.n_index, n.width * sizeof(float), "noise", err));
	PB_TRY(pb_alloc((void **)&n.u, n.width, sizeof *n.u, "noise", err));
	for (size_t l = 0; l < n.n_layers; l++) {
		struct pb_place place =
		    pb_cache_place(&e->arch, &w->run->cache, site, l, n.n_index > 1 ? 0 : -1);

		free(values);
		values = NULL;
		PB_TRY(
		    pb_alloc((void **)&values, rows * place.stride, sizeof *values, "noise", err));
		PB_TRY(e->ops->download(e->dev, values, place.array,
					rows * place.stride * sizeof *values, err));
		n.values = values;
		n.stride = place.stride;
		n.column = place.column;
		for (size_t p = 0; p < w->run->n_pairs; p++)
			fill_pair(&n, l, p);
		PB_TRY(e->ops->upload(e->dev, s->tables[site].layers[l], n.table,
				      rows * n.n_index * n.width * sizeof(float), err));
	}
cleanup:
	free(values);
	free(n.table);
	free(n.u);
	return status;
}

enum pb_status pb_sources_noise(struct pb_sources *s, struct pb_engine *e,
				const struct pb_sweep_work *w, float *store, struct pb_error *err)
{
	enum pb_site sites[2];
	size_t n = pb_source_sites(w->sweep, w->sets, sites);
	struct pb_source_table *post = &s->tables[PB_SITE_RESID_POST];
	struct pb_source_table *pre = &s->tables[PB_SITE_RESID_PRE];
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < n; i++)
		PB_TRY(
		    fill_site(s, e, w, sites[i], sites[i] == w->sweep->site ? store : NULL, err));
	if (w->sweep->site == PB_SITE_RESID_POST) { /* written as the next layer's resid_pre */
		free(pre->layers);
		pre->layers = NULL;
		PB_TRY(pb_alloc((void **)&pre->layers, post->n_layers + 1, sizeof *pre->layers,
				"noise", err));
		pre->n_layers = post->n_layers;
		pre->stride = post->stride;
		for (size_t l = 1; l < post->n_layers; l++)
			pre->layers[l] = post->layers[l - 1];
	}
cleanup:
	return status;
}
