/* The working memory of waves: sized and allocated once, before the first wave. */
#include <stdlib.h>
#include <string.h>

#include "engine/sweeps.h"

static size_t lay_out(struct pb_wave_memory *m, const struct pb_arch *a, char *base)
{
	size_t D = a->d_model, rows = m->rows_most, n = m->variants_most, at = 0;
	size_t block = m->block_rows, few = m->block_variants, senders = m->sizes.sender_rows;
	struct {
		struct pb_dev *item;
		size_t rows, columns; /* 4-byte entries */
	} parts[] = {
	    {&m->delta, rows, D},
	    {&m->answer, n, D},
	    {&m->scored, n, D},
	    {&m->base_row, rows, 1},
	    {&m->position, rows, 1},
	    {&m->last_row, n, 1},
	    {&m->last_base, n, 1},
	    {&m->last_position, n, 1},
	    {&m->prompt, n, 1},
	    {&m->n, block, D},
	    {&m->qkv, block, pb_qkv_width(a)},
	    {&m->z, block, pb_z_width(a)},
	    {&m->zc, block, pb_z_width(a)},
	    {&m->h, block, pb_h_width(a)},
	    {&m->join, block, D},
	    {&m->out, block, D},
	    {&m->temp, block, m->sizes.temp_columns},
	    {&m->view_base, block, 1},
	    {&m->view_row, block, 1},
	    {&m->answer_n, few, D},
	    {&m->q, few, pb_z_width(a)},
	    {&m->zdiff, block, pb_z_width(a)},
	    {&m->qk, few * a->n_heads, D},
	    {&m->mix, few * a->n_heads, D},
	    {&m->block_last, block, 1},
	    {&m->s_delta, senders, D},
	    {&m->s_base_row, senders, 1},
	    {&m->s_qkv, m->sizes.sender_qkv ? senders : 0, pb_qkv_width(a)},
	    {&m->s_h, m->sizes.sender_h ? senders : 0, pb_h_width(a)},
	    {&m->logits, m->sizes.vocabulary ? PB_BLOCK_VOCABULARY : 0, a->n_vocab},
	};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		size_t bytes = (parts[i].rows * parts[i].columns * 4 + 63) / 64 * 64;

		if (base)
			parts[i].item->address = bytes ? base + at : NULL;
		at += bytes;
	}
	return at;
}

static void set_sizes(struct pb_wave_memory *m, const struct pb_wave_sizes *sizes)
{
	m->sizes = *sizes;
	m->rows_most = sizes->rows_most;
	m->variants_most = sizes->variants_most;
	m->block_rows = sizes->block.rows ? sizes->block.rows : PB_BLOCK_ROWS;
	if (m->block_rows > m->rows_most)
		m->block_rows = m->rows_most;
	if (m->block_rows < sizes->longest)
		m->block_rows = sizes->longest;
	m->block_variants = sizes->block.variants ? sizes->block.variants : PB_BLOCK_VARIANTS;
	if (m->block_variants > m->variants_most)
		m->block_variants = m->variants_most;
}

bool pb_wave_sizes_shrink(struct pb_wave_sizes *sizes)
{
	size_t rows = sizes->rows_most / 2, variants = sizes->variants_most / 2;

	if (sizes->rows_most <= sizes->longest && sizes->variants_most <= 1)
		return false;
	sizes->rows_most = rows > sizes->longest ? rows : sizes->longest;
	sizes->variants_most = variants > 1 ? variants : 1;
	return true;
}

static size_t ints_of(const struct pb_wave_sizes *s)
{
	size_t n = s->rows_most > s->sender_rows ? s->rows_most : s->sender_rows;

	return n > s->variants_most ? n : s->variants_most;
}

size_t pb_wave_memory_bytes(const struct pb_arch *arch, const struct pb_wave_sizes *sizes,
			    size_t n_targets)
{
	struct pb_wave_memory m = {0};

	set_sizes(&m, sizes);
	return lay_out(&m, arch, NULL) + m.block_rows * (sizeof(struct pb_span) + 16) +
	       ints_of(sizes) * sizeof(int32_t) + (m.variants_most + 1) * sizeof(size_t) +
	       (sizes->n_senders + 1) * sizeof(size_t) +
	       2 * m.variants_most *
		   (16 + 16 * n_targets +
		    (sizes->vocabulary ? sizeof(struct pb_vocabulary_score) : 0));
}

enum pb_status pb_wave_memory_new(struct pb_wave_memory *m, struct pb_engine *e,
				  const struct pb_wave_sizes *sizes, struct pb_error *err)
{
	enum pb_status status;

	memset(m, 0, sizeof *m);
	set_sizes(m, sizes);
	PB_TRY(pb_alloc((void **)&m->spans, m->block_rows, sizeof *m->spans, "a block", err));
	PB_TRY(pb_alloc((void **)&m->view_ints, 3 * m->block_rows, sizeof *m->view_ints, "a block",
			err));
	PB_TRY(
	    pb_alloc((void **)&m->view_of, m->block_rows + 1, sizeof *m->view_of, "a block", err));
	PB_TRY(pb_alloc((void **)&m->ints, ints_of(sizes), sizeof *m->ints, "a wave's rows", err));
	PB_TRY(pb_alloc((void **)&m->row_of, m->variants_most + 1, sizeof *m->row_of,
			"a wave's variants", err));
	PB_TRY(pb_alloc((void **)&m->sender_row_of, sizes->n_senders + 1, sizeof *m->sender_row_of,
			"a wave's senders", err));
	PB_TRY(e->ops->alloc(e->dev, lay_out(m, &e->arch, NULL), &m->memory, err));
	lay_out(m, &e->arch, m->memory.address);
cleanup:
	return status;
}

void pb_wave_memory_free(struct pb_wave_memory *m, struct pb_engine *e)
{
	if (m->memory.address)
		e->ops->release(e->dev, m->memory);
	free(m->spans);
	free(m->view_ints);
	free(m->view_of);
	free(m->ints);
	free(m->row_of);
	free(m->sender_row_of);
	free(m->edits);
	free(m->pattern_edits);
	memset(m, 0, sizeof *m);
}
