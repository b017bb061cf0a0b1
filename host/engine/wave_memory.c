/* The working memory of waves: sized and allocated once, before the first wave. */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

static size_t lay_out(struct pb_wave_memory *m, const struct pb_arch *a, char *base,
		      bool vocabulary)
{
	size_t D = a->d_model, rows = m->rows_most, n = m->variants_most, at = 0;
	size_t block = m->block_rows, few = m->block_variants;
	struct {
		struct pb_dev *item;
		size_t rows, columns; /* 4-byte entries */
	} parts[] = {
	    {&m->delta, rows, D},
	    {&m->answer, n, D},
	    {&m->scored, n, D},
	    {&m->base_row, rows, 1},
	    {&m->donor_row, rows, 1},
	    {&m->position, rows, 1},
	    {&m->first_row, n, 1},
	    {&m->first_base, n, 1},
	    {&m->first_donor, n, 1},
	    {&m->last_row, n, 1},
	    {&m->last_base, n, 1},
	    {&m->last_donor, n, 1},
	    {&m->last_position, n, 1},
	    {&m->prompt, n, 1},
	    {&m->n, block, D},
	    {&m->qkv, block, pb_qkv_width(a)},
	    {&m->z, block, pb_z_width(a)},
	    {&m->h, block, a->d_mlp},
	    {&m->join, block, D},
	    {&m->answer_n, few, D},
	    {&m->q, few, pb_z_width(a)},
	    {&m->zdiff, few, pb_z_width(a)},
	    {&m->qk, few * a->n_heads, a->rotary_dims ? 0 : D},
	    {&m->mix, few * a->n_heads, D},
	    {&m->block_last, few, 1},
	    {&m->logits, vocabulary ? PB_BLOCK_VOCABULARY : 0, a->n_vocab},
	};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		size_t bytes = (parts[i].rows * parts[i].columns * 4 + 63) / 64 * 64;

		if (base)
			parts[i].item->address = bytes ? base + at : NULL;
		at += bytes;
	}
	return at;
}

static void set_sizes(struct pb_wave_memory *m, size_t rows_most, size_t variants_most,
		      size_t longest)
{
	m->rows_most = rows_most;
	m->variants_most = variants_most;
	m->block_rows = rows_most < PB_BLOCK_ROWS ? rows_most : PB_BLOCK_ROWS;
	if (m->block_rows < longest)
		m->block_rows = longest;
	m->block_variants = variants_most < PB_BLOCK_VARIANTS ? variants_most : PB_BLOCK_VARIANTS;
}

size_t pb_wave_memory_bytes(const struct pb_arch *arch, size_t rows_most, size_t variants_most,
			    size_t longest, size_t n_targets, bool vocabulary)
{
	struct pb_wave_memory m = {0};

	set_sizes(&m, rows_most, variants_most, longest);
	return lay_out(&m, arch, NULL, vocabulary) + m.block_rows * sizeof(struct pb_span) +
	       rows_most * sizeof(int32_t) + (variants_most + 1) * sizeof(size_t) +
	       variants_most * (sizeof(struct pb_variant) + 16 + 16 * n_targets +
				(vocabulary ? sizeof(struct pb_vocabulary_score) : 0));
}

enum pb_status pb_wave_memory_new(struct pb_wave_memory *m, struct pb_engine *e, size_t rows_most,
				  size_t variants_most, size_t longest, bool vocabulary,
				  struct pb_error *err)
{
	enum pb_status status;

	memset(m, 0, sizeof *m);
	set_sizes(m, rows_most, variants_most, longest);
	PB_TRY(pb_alloc((void **)&m->spans, m->block_rows, sizeof *m->spans, "a block", err));
	PB_TRY(pb_alloc((void **)&m->ints, rows_most, sizeof *m->ints, "a wave's rows", err));
	PB_TRY(pb_alloc((void **)&m->row_of, variants_most + 1, sizeof *m->row_of,
			"a wave's variants", err));
	PB_TRY(e->ops->alloc(e->dev, lay_out(m, &e->arch, NULL, vocabulary), &m->memory, err));
	lay_out(m, &e->arch, m->memory.address, vocabulary);
cleanup:
	return status;
}

void pb_wave_memory_free(struct pb_wave_memory *m, struct pb_engine *e)
{
	if (m->memory.address)
		e->ops->release(e->dev, m->memory);
	free(m->spans);
	free(m->ints);
	free(m->row_of);
	memset(m, 0, sizeof *m);
}
