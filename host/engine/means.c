/* Reference means: what an activation is on average over a set of prompts, by token, position or
 * role. Summed in float64 prompt by prompt, so that they do not depend on how prompts are batched.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/sources.h"

struct reference {
	size_t n;
	const int32_t **tokens;
	size_t *lengths;
	const int32_t **roles;
	size_t n_roles, max_length;
	const char *const *role_names;
	int32_t bos;
};

struct sums {
	struct pb_engine *e;
	const struct pb_sweep *sweep;
	const struct reference *r;
	const struct pb_batch *batch;
	size_t first; /* prompt of the reference that is the batch's first */
	enum pb_site site;
	size_t n_layers, n_index, n_slots, width;
	double *values; /* [layers, index, slots, width] */
	float *host;    /* rows of one site of the batch */
	struct pb_dev patterns;
};

/* ---- the prompts ----------------------------------------------------------------------------- */

static void reference_free(struct reference *r)
{
	free((void *)r->tokens);
	free(r->lengths);
	free((void *)r->roles);
}

static enum pb_status reference_new(struct reference *r, const struct pb_sweep *sweep,
				    const struct pb_pairs *pairs, const struct pb_prompts *prompts,
				    struct pb_error *err)
{
	bool file = sweep->reference_over == PB_OVER_FILE;
	enum pb_status status;

	*r = (struct reference){.n = file ? prompts->n : pairs->n,
				.n_roles = file ? prompts->n_roles : pairs->n_roles,
				.role_names = file ? prompts->role_names : pairs->roles,
				.bos = file ? prompts->bos : pairs->bos};
	PB_TRY(pb_alloc((void **)&r->tokens, r->n, sizeof *r->tokens, "reference prompts", err));
	PB_TRY(pb_alloc((void **)&r->lengths, r->n, sizeof *r->lengths, "reference prompts", err));
	PB_TRY(pb_alloc((void **)&r->roles, r->n, sizeof *r->roles, "reference prompts", err));
	for (size_t i = 0; i < r->n; i++) {
		const struct pb_pair *pair = file ? NULL : &pairs->items[i];

		r->tokens[i] = file                                     ? prompts->items[i].tokens
			       : sweep->reference_over == PB_OVER_CLEAN ? pair->clean
									: pair->corrupted;
		r->lengths[i] = file ? prompts->items[i].length : pair->length;
		r->roles[i] = file ? prompts->items[i].roles : pair->roles;
		if (r->lengths[i] > r->max_length)
			r->max_length = r->lengths[i];
	}
cleanup:
	return status;
}

static enum pb_status check_lengths(const struct reference *r, const struct pb_pairs *pairs,
				    struct pb_error *err)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->lengths[i] != r->lengths[0])
			return pb_fail(err, PB_ERR_INPUT,
				       "reference prompts of different lengths: sweep.reference: "
				       "by: position: prompt %zu has %zu tokens, prompt 0 has %zu: "
				       "use by: role or overall",
				       i, r->lengths[i], r->lengths[0]);
	for (size_t i = 0; r->n > 0 && i < pairs->n; i++)
		if (pairs->items[i].length != r->lengths[0])
			return pb_fail(
			    err, PB_ERR_INPUT,
			    "pairs of other lengths than the reference: "
			    "sweep.reference: by: position: pair %zu has %zu tokens, the "
			    "reference %zu: use by: role or overall",
			    i, pairs->items[i].length, r->lengths[0]);
	return PB_OK;
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* The mean that a token takes part in; -1: none. */
static int32_t slot_of(const struct sums *s, size_t prompt, size_t position)
{
	const struct reference *r = s->r;

	switch (s->sweep->reference_by) {
	case PB_BY_POSITION:
		return (int32_t)position;
	case PB_BY_ROLE:
		return r->roles[prompt] ? r->roles[prompt][position] : -1;
	default:
		return position == 0 && r->bos >= 0 && r->tokens[prompt][0] == r->bos ? -1 : 0;
	}
}

static void add_prompts(struct sums *s, size_t layer, const float *rows, size_t stride,
			size_t column)
{
	for (size_t p = 0; p < s->batch->n_prompts; p++) {
		const struct pb_span *span = &s->batch->spans[p];

		for (size_t i = 0; i < (size_t)span->length; i++) {
			int32_t slot = slot_of(s, s->first + p, i);
			const float *row = rows + ((size_t)span->base + i) * stride + column;

			for (size_t h = 0; slot >= 0 && h < s->n_index; h++) {
				double *to = s->values + ((layer * s->n_index + h) * s->n_slots +
							  (size_t)slot) *
							     s->width;

				for (size_t d = 0; d < s->width; d++)
					to[d] += (double)row[h * s->width + d];
			}
		}
	}
}

static enum pb_status at_site(void *context, struct pb_engine *e, struct pb_cache *c,
			      enum pb_site site, size_t layer, struct pb_error *err)
{
	struct sums *s = context;
	struct pb_cache now = *c;
	struct pb_place place;
	enum pb_status status;

	if (site != s->site)
		return PB_OK;
	now.extra &= ~(1u << PB_SITE_Q); /* q and k are not rotated yet, and not kept apart */
	place = pb_cache_place(&e->arch, &now, site, layer, s->n_index > 1 ? 0 : -1);
	PB_TRY(e->ops->download(e->dev, s->host, place.array,
				s->batch->n_rows * place.stride * sizeof(float), err));
	add_prompts(s, layer, s->host, place.stride, place.column);
cleanup:
	return status;
}

/* Patterns, one prompt at a time: a slot is a query, a value a key. */
static enum pb_status at_pattern(void *context, size_t layer, struct pb_attention *op,
				 struct pb_error *err)
{
	struct sums *s = context;
	size_t T = s->width, H = s->n_index;
	enum pb_status status = PB_OK;

	for (size_t p = 0; s->site == PB_SITE_PATTERN && p < s->batch->n_prompts; p++) {
		struct pb_patterns one = {.heads = op->heads,
					  .n_prompts = 1,
					  .prompts = &s->batch->spans[p],
					  .max_length = T,
					  .qkv = op->qkv,
					  .a = s->patterns};
		double *to = s->values + layer * H * T * T;

		PB_TRY(s->e->ops->patterns(s->e->dev, &one, err));
		PB_TRY(s->e->ops->download(s->e->dev, s->host, s->patterns,
					   H * T * T * sizeof(float), err));
		for (size_t i = 0; i < H * T * T; i++)
			to[i] += (double)s->host[i];
	}
cleanup:
	return status;
}

static enum pb_status run_reference(struct sums *s, size_t prompts, struct pb_error *err)
{
	const struct reference *r = s->r;
	const struct pb_forward_hook hook = {at_site, at_pattern, s};
	unsigned extra = (1u << s->site) &
			 (1u << PB_SITE_EMBED | 1u << PB_SITE_ATTN_OUT | 1u << PB_SITE_MLP_OUT);
	struct pb_arch *a = &s->e->arch;
	size_t widest = pb_qkv_width(a) > pb_h_width(a) ? pb_qkv_width(a) : pb_h_width(a);
	struct pb_batch batch = {0};
	struct pb_cache cache = {0};
	enum pb_status status = PB_OK;

	// cppcheck-suppress autoVariables; it is forgotten before this returns
	s->batch = &batch;
	widest = widest > a->d_model ? widest : a->d_model;
	for (size_t first = 0, n; first < r->n; first += n) {
		n = r->n - first < prompts ? r->n - first : prompts;
		PB_TRY(pb_batch_new(&batch, s->e, n, r->tokens + first, r->lengths + first, err));
		PB_TRY(pb_cache_new(&cache, s->e, batch.n_rows, n, true, extra, err));
		free(s->host);
		s->host = NULL;
		PB_TRY(pb_alloc((void **)&s->host,
				s->site == PB_SITE_PATTERN ? s->n_index * s->width * s->width
							   : batch.n_rows * widest,
				sizeof *s->host, "reference activations", err));
		s->first = first;
		PB_TRY(pb_forward(s->e, &batch, &cache, &hook, PB_STAGE_BASE, err));
		pb_cache_free(&cache, s->e);
		pb_batch_free(&batch, s->e);
	}
cleanup:
	s->batch = NULL;
	pb_cache_free(&cache, s->e);
	pb_batch_free(&batch, s->e);
	return status;
}

size_t pb_means_bytes(const struct pb_arch *a, const struct pb_sweep *sweep,
		      const struct pb_pairs *pairs, const struct pb_prompts *prompts,
		      size_t chunk_pairs)
{
	bool file = sweep->reference_over == PB_OVER_FILE;
	size_t n = file ? prompts->n : pairs->n, batch = 2 * chunk_pairs, rows = 0, these = 0;
	size_t longest = file ? prompts->max_length : pairs->max_length;
	size_t widest =
	    pb_qkv_width(a) + pb_h_width(a) + a->d_model; /* more than the widest site */

	if (sweep->intervention != PB_MEAN)
		return 0;
	for (size_t i = 0; i < n; i++) {
		these = (i % batch ? these : 0) +
			(file ? prompts->items[i].length : pairs->items[i].length);
		rows = these > rows ? these : rows;
	}
	/* the cache, a site's rows on the host, indices; patterns of one prompt, twice */
	return pb_cache_bytes(a, rows, batch < n ? batch : n, true,
			      1u << PB_SITE_EMBED | 1u << PB_SITE_ATTN_OUT |
				  1u << PB_SITE_MLP_OUT) +
	       rows * widest * sizeof(float) + 32 * rows +
	       (sweep->site == PB_SITE_PATTERN ? 2 * a->n_heads * longest * longest * sizeof(float)
					       : 0);
}

/* ---- means and tables --------------------------------------------------------------------------
 */

static void divide(struct sums *s, const int64_t *n_tokens)
{
	for (size_t i = 0; i < s->n_layers * s->n_index * s->n_slots; i++)
		for (size_t d = 0; d < s->width; d++)
			s->values[i * s->width + d] /= (double)n_tokens[i % s->n_slots];
}

/* Rows are slots, columns all indices side by side; patterns: rows are heads and queries. */
static enum pb_status upload_table(struct pb_sources *out, const struct sums *s,
				   struct pb_error *err)
{
	bool pattern = s->site == PB_SITE_PATTERN;
	size_t rows = pattern ? s->n_index * s->n_slots : s->n_slots;
	size_t stride = pattern ? s->width : s->n_index * s->width;
	float *table = NULL;
	enum pb_status status;

	PB_TRY(pb_source_table_new(out, s->e, s->site, s->n_layers, rows, stride, err));
	PB_TRY(pb_alloc((void **)&table, rows * stride, sizeof *table, "reference means", err));
	for (size_t l = 0; l < s->n_layers; l++) {
		const double *from = s->values + l * s->n_index * s->n_slots * s->width;

		for (size_t h = 0; h < s->n_index; h++)
			for (size_t k = 0; k < s->n_slots; k++)
				for (size_t d = 0; d < s->width; d++) {
					size_t at = pattern ? (h * s->n_slots + k) * stride + d
							    : k * stride + h * s->width + d;

					table[at] =
					    (float)from[(h * s->n_slots + k) * s->width + d];
				}
		PB_TRY(s->e->ops->upload(s->e->dev, out->tables[s->site].layers[l], table,
					 rows * stride * sizeof *table, err));
	}
cleanup:
	free(table);
	return status;
}

/* Tokens of each slot, and which slot a role of the pairs has. */
static enum pb_status count_tokens(struct pb_sources *out, const struct sums *s,
				   const struct pb_pairs *pairs, struct pb_error *err)
{
	const struct reference *r = s->r;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&out->mean_tokens, s->n_slots, sizeof *out->mean_tokens,
			"reference means", err));
	for (size_t p = 0; p < r->n; p++)
		for (size_t i = 0; i < r->lengths[p]; i++) {
			int32_t slot = slot_of(s, p, i);

			if (slot >= 0)
				out->mean_tokens[slot]++;
		}
	PB_TRY(pb_alloc((void **)&out->role_slot, pairs->n_roles, sizeof *out->role_slot, "roles",
			err));
	for (size_t i = 0; i < pairs->n_roles; i++) {
		out->role_slot[i] = -1;
		for (size_t k = 0; s->sweep->reference_by == PB_BY_ROLE && k < r->n_roles; k++)
			if (strcmp(pairs->roles[i], r->role_names[k]) == 0 &&
			    out->mean_tokens[k] > 0)
				out->role_slot[i] = (int32_t)k;
	}
cleanup:
	return status;
}

static enum pb_status check_reference(const struct reference *r, const struct pb_sweep *sweep,
				      const struct pb_pairs *pairs, struct pb_error *err)
{
	if (r->n == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "no reference prompts: sweep.reference: give some");
	if (sweep->reference_by == PB_BY_ROLE && r->n_roles == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "the reference prompts name no roles: sweep.reference: by: role: "
			       "give their lines \"roles\", or use by: overall");
	if (sweep->reference_by == PB_BY_POSITION)
		return check_lengths(r, pairs, err);
	return PB_OK;
}

enum pb_status pb_means_make(struct pb_sources *out, struct pb_engine *e,
			     const struct pb_sweep *sweep, const struct pb_set *sets,
			     const struct pb_pairs *pairs, const struct pb_prompts *prompts,
			     size_t chunk_pairs, struct pb_error *err)
{
	enum pb_site sites[2];
	size_t n_sites = pb_source_sites(sweep, sets, sites);
	struct reference r = {0};
	struct sums s = {.e = e, .sweep = sweep, .r = &r};
	enum pb_status status;

	PB_TRY(reference_new(&r, sweep, pairs, prompts, err));
	PB_TRY(check_reference(&r, sweep, pairs, err));
	for (size_t i = 0; i < n_sites; i++) {
		bool own = sites[i] == sweep->site; /* what the file keeps */
		double **values = own ? &out->mean_values : &out->mean_values_mlp;

		s.site = sites[i];
		pb_site_shape(&e->arch, s.site, r.max_length, &s.n_layers, &s.n_index, &s.width);
		s.n_slots = sweep->reference_by == PB_BY_POSITION ? r.max_length
			    : sweep->reference_by == PB_BY_ROLE   ? r.n_roles
								  : 1;
		PB_TRY(pb_alloc((void **)values, s.n_layers * s.n_index * s.n_slots * s.width,
				sizeof **values, "reference means", err));
		s.values = *values;
		if (i == 0)
			PB_TRY(count_tokens(out, &s, pairs, err));
		if (sweep->reference_by == PB_BY_OVERALL && out->mean_tokens[0] == 0) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "no tokens to take a mean over: sweep.reference: every "
					 "prompt is BOS alone: give longer ones");
			goto cleanup;
		}
		if (s.site == PB_SITE_PATTERN)
			PB_TRY(e->ops->alloc(e->dev, s.n_index * s.width * s.width * sizeof(float),
					     &s.patterns, err));
		PB_TRY(run_reference(&s, 2 * chunk_pairs, err));
		divide(&s, out->mean_tokens);
		PB_TRY(upload_table(out, &s, err));
		if (own)
			out->means = (struct pb_reference_means){
			    .n_layers = s.n_layers,
			    .n_index = s.n_index,
			    .n_slots = s.n_slots,
			    .width = s.width,
			    .roles = sweep->reference_by == PB_BY_ROLE ? r.role_names : NULL,
			    .values = s.values,
			    .n_tokens = out->mean_tokens};
	}
cleanup:
	free(s.host);
	if (s.patterns.address)
		e->ops->release(e->dev, s.patterns);
	reference_free(&r);
	return status;
}
