/* The caches of a batch's activations. */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

/* One layout for both kinds of cache: with base NULL it only counts bytes. */
static size_t lay_out(struct pb_cache *c, const struct pb_arch *a, char *base, bool transient)
{
	size_t rows = c->n_rows, prompts = c->n_prompts, L = a->n_layers, at = 0;
	struct {
		struct pb_dev *items;
		size_t n, columns;
	} parts[] = {
	    {&c->embed, 1, c->extra >> PB_SITE_EMBED & 1u ? a->d_model : 0},
	    {c->qk, L, c->extra >> PB_SITE_Q & 1u ? (a->n_heads + a->n_kv_heads) * a->d_head : 0},
	    {c->attn_out, L, c->extra >> PB_SITE_ATTN_OUT & 1u ? a->d_model : 0},
	    {c->mlp_out, L, c->extra >> PB_SITE_MLP_OUT & 1u ? a->d_model : 0},
	    {c->attn_raw, L, a->post_norm ? a->d_model : 0},
	    {c->mlp_raw, L, a->post_norm ? a->d_model : 0},
	    {c->stats_attn, L, a->post_norm ? 2 : 0},
	    {c->stats_mlp, L, a->post_norm ? 2 : 0},
	    {c->x_pre, L + 1, a->d_model},
	    {c->x_mid, L, a->parallel || transient ? 0 : a->d_model},
	    {c->stats1, L, 2},
	    {c->stats2, L, 2},
	    {c->qkv, L, pb_qkv_width(a)},
	    {c->z, L, pb_z_width(a)},
	    {c->h, L, pb_h_width(a)},
	    {c->a, L, a->d_mlp},
	    {&c->n, 1, a->d_model},
	};
	struct {
		struct pb_dev *item;
		size_t columns;
	} answers[] = {{&c->x_answer, a->d_model},
		       {&c->n_answer, a->d_model},
		       {&c->stats_answer, 2},
		       {&c->logits, transient ? 0 : a->n_vocab}};

	for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
		size_t bytes = (rows * parts[p].columns * sizeof(float) + 63) / 64 * 64;

		for (size_t l = 0; l < parts[p].n; l++) {
			if (base && parts[p].columns)
				parts[p].items[l].address = base + at;
			if (!transient || l + 1 == parts[p].n)
				at += bytes;
		}
		/* a transient cache has one residual stream: x_mid is x_pre */
		if (transient && base && parts[p].items == c->x_mid)
			for (size_t l = 0; l < L; l++)
				c->x_mid[l] = c->x_pre[0];
	}
	for (size_t p = 0; p < sizeof answers / sizeof *answers; p++) {
		if (base && answers[p].columns)
			answers[p].item->address = base + at;
		at += (prompts * answers[p].columns * sizeof(float) + 63) / 64 * 64;
	}
	return at;
}

unsigned pb_cache_extra(const struct pb_arch *arch, const struct pb_sweep *sweeps, size_t n_sweeps,
			unsigned save)
{
	unsigned sites = save;

	for (size_t i = 0; i < n_sweeps; i++) {
		if (sweeps[i].intervention != PB_PATH)
			sites |= 1u << sweeps[i].site;
		if (sweeps[i].by_sets)
			sites |= 1u << PB_SITE_MLP_OUT;
	}
	if ((sites >> PB_SITE_Q | sites >> PB_SITE_K) & 1u)
		sites |= 1u << PB_SITE_Q;
	if (arch->qk_norm != PB_QK_NORM_NONE) /* changes of a norm start from what it norms */
		sites |= 1u << PB_SITE_Q;
	if (!pb_alters_any(arch)) /* what is read is what is projected */
		sites &= ~(1u << PB_SITE_Q);
	return sites & (1u << PB_SITE_EMBED | 1u << PB_SITE_Q | 1u << PB_SITE_ATTN_OUT |
			1u << PB_SITE_MLP_OUT);
}

size_t pb_cache_bytes(const struct pb_arch *arch, size_t n_rows, size_t n_prompts, bool transient,
		      unsigned extra)
{
	struct pb_cache c = {.n_rows = n_rows, .n_prompts = n_prompts, .extra = extra};

	return lay_out(&c, arch, NULL, transient);
}

enum pb_status pb_cache_new(struct pb_cache *c, struct pb_engine *e, size_t n_rows,
			    size_t n_prompts, bool transient, unsigned extra, struct pb_error *err)
{
	size_t L = e->arch.n_layers;
	struct pb_dev *items = NULL;
	enum pb_status status;

	memset(c, 0, sizeof *c);
	c->n_rows = n_rows;
	c->n_prompts = n_prompts;
	c->extra = extra;
	PB_TRY(pb_alloc((void **)&items, 15 * L + 1, sizeof *items, "a cache", err));
	c->x_pre = items;
	c->x_mid = items + (L + 1);
	c->stats1 = c->x_mid + L;
	c->stats2 = c->stats1 + L;
	c->qkv = c->stats2 + L;
	c->z = c->qkv + L;
	c->h = c->z + L;
	c->a = c->h + L;
	c->qk = c->a + L;
	c->attn_out = c->qk + L;
	c->mlp_out = c->attn_out + L;
	c->attn_raw = c->mlp_out + L;
	c->mlp_raw = c->attn_raw + L;
	c->stats_attn = c->mlp_raw + L;
	c->stats_mlp = c->stats_attn + L;
	PB_STAGE(e, PB_STAGE_MEMORY,
		 e->ops->alloc(e->dev, lay_out(c, &e->arch, NULL, transient), &c->memory, err));
	lay_out(c, &e->arch, c->memory.address, transient);
cleanup:
	return status;
}

void pb_cache_free(struct pb_cache *c, struct pb_engine *e)
{
	double start = pb_seconds();

	if (c->memory.address)
		e->ops->release(e->dev, c->memory);
	e->profile.seconds[PB_STAGE_MEMORY] += pb_seconds() - start;
	free(c->x_pre);
	memset(c, 0, sizeof *c);
}
