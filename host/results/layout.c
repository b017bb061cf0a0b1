/* The dimensions of a file: those at its root, those of each sweep, those of an activation. */
#include "results/layout.h"

#include "patchbay/base.h"
#include "results/parts.h"

bool pb_pairs_equal_length(const struct pb_pairs *pairs)
{
	size_t i;

	for (i = 0; i < pairs->n; i++)
		if (pairs->items[i].length != pairs->max_length)
			return false;
	return true;
}

/* ---- sweeps ------------------------------------------------------------------------------ */

bool pb_axis_is_position(enum pb_axis_kind kind)
{
	return kind == PB_AXIS_POSITION || kind == PB_AXIS_QUERY_POSITION ||
	       kind == PB_AXIS_KEY_POSITION;
}

/* Whether the scale of an axis lies in the sweep's own group: what is not all of the model's. */
static bool is_own(const struct pb_axis *axis)
{
	return axis->values != NULL || axis->kind == PB_AXIS_ALPHA || axis->kind == PB_AXIS_SET;
}

static enum pb_dim from_end(enum pb_axis_kind kind)
{
	return (enum pb_dim)((int)PB_DIM_POSITION_FROM_END + (int)kind - (int)PB_AXIS_POSITION);
}

struct pb_axes pb_sweep_axes(const struct pb_experiment *e, size_t sweep, hid_t group)
{
	const struct pb_grid *grid = &e->grids[sweep];
	struct pb_axes axes = {.n = (int)grid->n_axes};
	size_t i;

	for (i = 0; i < grid->n_axes; i++)
		axes.items[i] = (struct pb_extent){.dim = pb_axis_dim(grid->axes[i].kind),
						   .size = grid->axes[i].n,
						   .group = is_own(&grid->axes[i]) ? group : -1};
	return axes;
}

struct pb_axes pb_summary_axes(const struct pb_experiment *e, size_t sweep, hid_t group)
{
	const struct pb_grid *grid = &e->grids[sweep];
	struct pb_axes axes = pb_sweep_axes(e, sweep, group);
	size_t i;

	for (i = 0; i < grid->n_axes && !pb_pairs_equal_length(e->pairs); i++)
		if (pb_axis_is_position(grid->axes[i].kind))
			axes.items[i].dim = from_end(grid->axes[i].kind);
	return axes;
}

enum pb_status pb_sweep_scales_write(const struct pb_experiment *e, size_t sweep, hid_t group,
				     struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_grid *grid = &e->grids[sweep];
	size_t i;

	for (i = 0; i < grid->n_axes; i++) {
		const struct pb_axis *axis = &grid->axes[i];

		if (is_own(axis))
			PB_TRY(pb_scale_write(group, pb_axis_dim(axis->kind), axis->n, axis->values,
					      axis->numbers, err));
	}
cleanup:
	return status;
}

/* ---- activations ------------------------------------------------------------------------- */

void pb_site_shape(const struct pb_arch *arch, enum pb_site site, size_t max_length,
		   size_t *n_layers, size_t *n_index, size_t *width)
{
	const enum pb_index index = pb_site_indices[site];

	*n_layers = site == PB_SITE_EMBED ? 1 : arch->n_layers;
	*n_index = index == PB_INDEX_HEAD      ? arch->n_heads
		   : index == PB_INDEX_KV_HEAD ? arch->n_kv_heads
					       : 1;
	if (site == PB_SITE_PATTERN)
		*width = max_length;
	else if (index != PB_INDEX_NONE)
		*width = arch->d_head;
	else if (site == PB_SITE_MLP_PRE || site == PB_SITE_MLP_POST)
		*width = arch->d_mlp;
	else
		*width = arch->d_model;
}

size_t pb_control_count(const struct pb_experiment *e, size_t sweep)
{
	size_t n, index, width;

	pb_site_shape(&e->arch, e->sweeps[sweep].site, e->pairs->max_length, &n, &index, &width);
	if (!pb_size_mul(n, index, &n) || !pb_size_mul(n, e->pairs->max_length, &n) ||
	    !pb_size_mul(n, width, &n))
		return SIZE_MAX;
	return n;
}

/* Append a dimension of the model: the root's scale, or (where the sweep of `grid` has a part of
 * it under this name) one of the group under another name. */
static void add_whole(struct pb_axes *axes, enum pb_axis_kind kind, enum pb_dim other, size_t size,
		      const struct pb_grid *grid, hid_t group)
{
	const int axis = grid != NULL ? pb_grid_axis(grid, kind) : -1;
	const bool taken = axis >= 0 && is_own(&grid->axes[axis]);

	axes->items[axes->n++] = (struct pb_extent){
	    .dim = taken ? other : pb_axis_dim(kind), .size = size, .group = taken ? group : -1};
}

static void add_layer_and_index(struct pb_axes *axes, const struct pb_arch *arch, enum pb_site site,
				const struct pb_grid *grid, hid_t group)
{
	if (site != PB_SITE_EMBED)
		add_whole(axes, PB_AXIS_LAYER, PB_DIM_MODEL_LAYER, arch->n_layers, grid, group);
	if (pb_site_indices[site] == PB_INDEX_HEAD)
		add_whole(axes, PB_AXIS_HEAD, PB_DIM_MODEL_HEAD, arch->n_heads, grid, group);
	if (pb_site_indices[site] == PB_INDEX_KV_HEAD)
		add_whole(axes, PB_AXIS_KV_HEAD, PB_DIM_MODEL_KV_HEAD, arch->n_kv_heads, grid,
			  group);
}

/* The root's scale of positions, or one of the group where there are not as many. */
static struct pb_extent positions(enum pb_axis_kind kind, size_t size, size_t max_length,
				  hid_t group)
{
	const int other = (int)PB_DIM_REFERENCE_POSITION + (int)kind - (int)PB_AXIS_POSITION;

	if (size == max_length)
		return (struct pb_extent){pb_axis_dim(kind), size, -1};
	return (struct pb_extent){(enum pb_dim)other, size, group};
}

static void add_width(struct pb_axes *axes, const struct pb_arch *arch, enum pb_site site,
		      size_t size, size_t max_length, const struct pb_grid *grid, hid_t group)
{
	if (site == PB_SITE_PATTERN)
		axes->items[axes->n++] = positions(PB_AXIS_KEY_POSITION, size, max_length, group);
	else if (pb_site_indices[site] != PB_INDEX_NONE)
		axes->items[axes->n++] = (struct pb_extent){PB_DIM_HEAD_WIDTH, arch->d_head, -1};
	else if (site == PB_SITE_MLP_PRE || site == PB_SITE_MLP_POST)
		add_whole(axes, PB_AXIS_NEURON, PB_DIM_MODEL_NEURON, arch->d_mlp, grid, group);
	else
		axes->items[axes->n++] = (struct pb_extent){PB_DIM_WIDTH, arch->d_model, -1};
}

struct pb_axes pb_site_axes(const struct pb_experiment *e, enum pb_site site,
			    const struct pb_grid *grid, hid_t group)
{
	const enum pb_axis_kind kind =
	    site == PB_SITE_PATTERN ? PB_AXIS_QUERY_POSITION : PB_AXIS_POSITION;
	const size_t length = e->pairs->max_length;
	struct pb_axes axes = {0};

	add_layer_and_index(&axes, &e->arch, site, grid, group);
	axes.items[axes.n++] = positions(kind, length, length, group);
	add_width(&axes, &e->arch, site, length, length, grid, group);
	return axes;
}

struct pb_axes pb_slot_axes(const struct pb_experiment *e, size_t sweep, hid_t group)
{
	const struct pb_sweep *s = &e->sweeps[sweep];
	const enum pb_axis_kind kind =
	    s->site == PB_SITE_PATTERN ? PB_AXIS_QUERY_POSITION : PB_AXIS_POSITION;
	const size_t n_slots = e->means[sweep].n_slots;
	struct pb_axes axes = {0};

	if (s->reference_by == PB_BY_ROLE)
		axes.items[axes.n++] = (struct pb_extent){PB_DIM_ROLE, n_slots, group};
	else if (s->reference_by == PB_BY_POSITION)
		axes.items[axes.n++] = positions(kind, n_slots, e->pairs->max_length, group);
	return axes;
}

struct pb_axes pb_means_axes(const struct pb_experiment *e, size_t sweep, hid_t group)
{
	const struct pb_sweep *s = &e->sweeps[sweep];
	const struct pb_axes slots = pb_slot_axes(e, sweep, group);
	struct pb_axes axes = {0};

	add_layer_and_index(&axes, &e->arch, s->site, &e->grids[sweep], group);
	if (slots.n > 0)
		axes.items[axes.n++] = slots.items[0];
	add_width(&axes, &e->arch, s->site, e->means[sweep].width, e->pairs->max_length,
		  &e->grids[sweep], group);
	return axes;
}

enum pb_status pb_axes_scales_write(const struct pb_axes *axes, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int i;

	for (i = 0; i < axes->n; i++) {
		const struct pb_extent *x = &axes->items[i];

		if (x->group >= 0 && !pb_h5_exists(x->group, pb_dim_name(x->dim)))
			PB_TRY(pb_scale_write(x->group, x->dim, x->size, NULL, NULL, err));
	}
cleanup:
	return status;
}

/* ---- the root ---------------------------------------------------------------------------- */

static void use(struct pb_layout *layout, const struct pb_axes *axes)
{
	int i;

	for (i = 0; i < axes->n; i++)
		if (axes->items[i].group < 0)
			layout->sizes[axes->items[i].dim] = axes->items[i].size;
}

/* Sweeps, with what else lies in their groups. `own` stands for a group: it is looked at only to
 * see that it is not the root. */
static void use_sweep(struct pb_layout *layout, const struct pb_experiment *e, size_t s)
{
	const hid_t own = 0;
	struct pb_axes axes = pb_sweep_axes(e, s, own);

	use(layout, &axes);
	axes = pb_summary_axes(e, s, own);
	use(layout, &axes);
	if (e->save_control && e->sweeps[s].intervention == PB_CONTROL) {
		axes = pb_site_axes(e, e->sweeps[s].site, &e->grids[s], own);
		use(layout, &axes);
	}
	if (pb_experiment_means(e, s) != NULL) {
		axes = pb_means_axes(e, s, own);
		use(layout, &axes);
	}
}

void pb_layout_sizes(struct pb_layout *layout, const struct pb_experiment *e)
{
	size_t *sizes = layout->sizes, i;

	sizes[PB_DIM_PAIR] = e->pairs->n;
	sizes[PB_DIM_LAYER] = e->arch.n_layers;
	sizes[PB_DIM_HEAD] = e->arch.n_heads;
	sizes[PB_DIM_POSITION] = e->pairs->max_length;
	sizes[PB_DIM_CANDIDATE] = pb_experiment_candidates(e);
	sizes[PB_DIM_TOKEN] = e->pairs->n_tokens;
	sizes[PB_DIM_CHUNK] = e->n_chunks;
	for (i = 0; i < e->n_sweeps; i++)
		use_sweep(layout, e, i);
	for (i = 0; i < PB_N_SITES; i++) {
		const struct pb_axes axes = pb_site_axes(e, (enum pb_site)i, NULL, -1);

		if (e->save & 1u << i)
			use(layout, &axes);
	}
	if (e->readings & 1u << PB_READING_COMPOSITION) {
		sizes[PB_DIM_SENDER_LAYER] = sizes[PB_DIM_RECEIVER_LAYER] = e->arch.n_layers;
		sizes[PB_DIM_SENDER_HEAD] = sizes[PB_DIM_RECEIVER_HEAD] = e->arch.n_heads;
		sizes[PB_DIM_RECEIVER_KV_HEAD] = e->arch.n_kv_heads;
	}
}
