/* Which variants a sweep has, and which of them are the baseline by construction. */
#include <stdlib.h>

#include "engine/internal.h"

size_t pb_cell_index(const struct pb_arch *arch, enum pb_positions positions, size_t max_length,
		     size_t pair, size_t layer, size_t head, size_t position)
{
	size_t cell = (pair * arch->n_layers + layer) * arch->n_heads + head;

	return positions == PB_POSITIONS_EACH ? cell * max_length + position : cell;
}

/* Positions that a sweep patches one by one in a pair at a layer: from..to-1 (each), else one
 * variant that starts at `from`. The last layer is read at the answer position alone. */
struct range {
	size_t from, to;
};

static struct range positions_of(const struct pb_arch *a, const struct pb_sweep *sweep,
				 const struct pb_pair *pair, size_t layer)
{
	size_t last = pair->length - 1;
	struct range r = {pair->first_difference, pair->length};

	if (r.from > last) /* the prompts are the same: nothing to patch */
		return (struct range){0, 0};
	if (layer + 1 == a->n_layers || sweep->positions == PB_POSITIONS_LAST)
		r.from = last;
	if (sweep->positions != PB_POSITIONS_EACH)
		r.to = r.from + 1;
	return r;
}

/* Useful operations of one row through a whole block, and of the parts of it. */
static double flops_block(const struct pb_arch *a)
{
	double d = (double)a->d_model;

	return 2.0 * d * ((double)pb_qkv_width(a) + (double)pb_z_width(a) + 2.0 * (double)a->d_mlp);
}

static double flops_mlp(const struct pb_arch *a)
{
	return 4.0 * (double)a->d_model * (double)a->d_mlp;
}

struct pb_sweep_shape pb_sweep_shape(const struct pb_arch *a, const struct pb_sweep *sweep,
				     const struct pb_pair *pairs, size_t n_pairs)
{
	struct pb_sweep_shape s = {0};

	for (size_t p = 0; p < n_pairs; p++)
		for (size_t l = 0; l < a->n_layers; l++) {
			struct range r = positions_of(a, sweep, &pairs[p], l);
			bool last = l + 1 == a->n_layers;

			for (size_t i = r.from; i < r.to; i++) {
				size_t rows = pairs[p].length - i;
				size_t joined = sweep->positions == PB_POSITIONS_EACH ? 1 : rows;
				/* whole blocks after its own, the last layer at one row, its own
				 * MLP */
				double full = last ? 0.0 : (double)(a->n_layers - 2 - l);

				s.n_variants += a->n_heads;
				s.n_rows += rows * a->n_heads;
				s.rows_most = rows > s.rows_most ? rows : s.rows_most;
				s.flops +=
				    (double)a->n_heads *
				    ((double)rows * full * flops_block(a) +
				     (last ? 0.0 : flops_block(a)) +
				     (a->parallel ? 0.0
						  : (double)(last ? 1 : joined) * flops_mlp(a)));
			}
		}
	return s;
}

/* First position from `from` on where the two runs' z of this head differ; `length` when none. */
static size_t first_change(const struct pb_chunk_run *run, const struct pb_arch *a, size_t layer,
			   size_t pair, size_t head, size_t from)
{
	const uint8_t *flags =
	    run->differs + (layer * run->n_pairs + pair) * run->max_length * a->n_heads;
	size_t i = from;

	while (i < run->pairs[pair].length && !flags[i * a->n_heads + head])
		i++;
	return i;
}

enum pb_status pb_variants_make(const struct pb_chunk_run *run, const struct pb_arch *a,
				const struct pb_sweep *sweep, size_t pair0, size_t pair1,
				struct pb_variant **out, size_t *n, struct pb_error *err)
{
	struct pb_sweep_shape shape = pb_sweep_shape(a, sweep, run->pairs + pair0, pair1 - pair0);
	bool each = sweep->positions == PB_POSITIONS_EACH;
	struct pb_variant *v = NULL;
	enum pb_status status;

	*n = 0;
	PB_TRY(pb_alloc((void **)&v, shape.n_variants, sizeof *v, "variants", err));
	for (size_t l = 0; l < a->n_layers; l++)
		for (size_t h = 0; h < a->n_heads; h++)
			for (size_t p = pair0; p < pair1; p++) {
				struct range r = positions_of(a, sweep, &run->pairs[p], l);

				for (size_t i = r.from; i < r.to; i++) {
					size_t first = first_change(run, a, l, p, h, i);

					/* each: z is the same at this very position */
					if (each ? first != i : first >= run->pairs[p].length)
						continue;
					v[(*n)++] =
					    (struct pb_variant){.pair = (int32_t)p,
								.layer = (int32_t)l,
								.head = (int32_t)h,
								.position = each ? (int32_t)i : -1,
								.first = (int32_t)first};
				}
			}
cleanup:
	if (status != PB_OK) {
		free(v);
		v = NULL;
	}
	*out = v;
	return status;
}
