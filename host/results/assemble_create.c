/* The datasets that parts fill, created empty with their scales. */
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/parts.h"

static enum pb_status write_scales(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int d;

	pb_layout_sizes(&a->layout, a->e);
	for (d = PB_DIM_PAIR; d < PB_N_DIMS; d++)
		if (a->layout.sizes[d] > 0)
			PB_TRY(pb_layout_scale(&a->layout, (enum pb_dim)d, err));
cleanup:
	return status;
}

static enum pb_status create_base(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status;
	hid_t base = -1, group = -1;
	int side, f;

	PB_TRY(pb_h5_group_create(&base, a->layout.file, "base", err));
	for (side = 0; side < 2; side++) {
		PB_TRY(pb_h5_group_create(&group, base, pb_side_names[side], err));
		for (f = 0; f < PB_N_BASE_FIELDS; f++)
			PB_TRY(pb_growing_open(&a->base[side][f], &a->layout, group,
					       &pb_base_fields[f], NULL, err));
		pb_h5_drop(group);
		group = -1;
	}
cleanup:
	pb_h5_drop(group);
	pb_h5_drop(base);
	return status;
}

/* ---- sweeps ------------------------------------------------------------------------------ */

static enum pb_status create_control(struct pb_assembly *a, size_t s, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = a->e;
	struct pb_open_sweep *open = &a->sweeps[s];
	const struct pb_axes axes = pb_site_axes(e, e->sweeps[s].site, &e->grids[s], open->group);

	PB_TRY(pb_axes_scales_write(&axes, err));
	PB_TRY(pb_growing_open(&open->control, &a->layout, open->group,
			       &pb_extra_fields[PB_EXTRA_CONTROL], &axes, err));
cleanup:
	return status;
}

static enum pb_status create_sweep(struct pb_assembly *a, size_t s, hid_t parent,
				   struct pb_error *err)
{
	enum pb_status status;
	struct pb_open_sweep *open = &a->sweeps[s];
	char *name = pb_sweep_group_name(a->e, s);
	struct pb_axes axes;
	int m;

	if (name == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a sweep");
	PB_TRY(pb_h5_group_create(&open->group, parent, name, err));
	PB_TRY(pb_sweep_attributes_write(a->e, s, open->group, err));
	PB_TRY(pb_sweep_scales_write(a->e, s, open->group, err));
	axes = pb_sweep_axes(a->e, s, open->group);
	for (m = 0; m < PB_N_METRICS; m++) {
		const struct pb_field field = pb_metric_field((enum pb_metric)m);

		if (pb_experiment_has(a->e, (enum pb_metric)m))
			PB_TRY(pb_growing_open(&open->metric[m], &a->layout, open->group, &field,
					       &axes, err));
	}
	if (pb_experiment_keeps_control(a->e, s))
		PB_TRY(create_control(a, s, err));
cleanup:
	free(name);
	return status;
}

static enum pb_status create_sweeps(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status;
	hid_t sweeps = -1;
	size_t s;

	PB_TRY(pb_h5_group_create(&sweeps, a->layout.file, "sweeps", err));
	for (s = 0; s < a->e->n_sweeps; s++)
		PB_TRY(create_sweep(a, s, sweeps, err));
cleanup:
	pb_h5_drop(sweeps);
	return status;
}

/* ---- readings ---------------------------------------------------------------------------- */

static enum pb_status create_group_readings(struct pb_assembly *a, hid_t readings,
					    enum pb_reading_group kind, struct pb_error *err)
{
	enum pb_status status;
	struct pb_axes roles = {0};
	hid_t group = -1, sides[2] = {-1, -1};
	int r, side;

	PB_TRY(pb_h5_group_create(&group, readings, pb_reading_group_names[kind], err));
	for (r = 0; r < PB_N_READINGS; r++) {
		const enum pb_reading reading = (enum pb_reading)r;
		const struct pb_field field = pb_reading_field(reading);

		if (pb_reading_infos[r].group != kind || !pb_reading_infos[r].by_pair ||
		    !pb_experiment_reads(a->e, reading))
			continue;
		if (reading == PB_READ_ROLE_MASS)
			PB_TRY(pb_role_names_write(&a->layout, readings, a->e->pairs, &roles, err));
		for (side = 0; side < 2; side++) {
			if (sides[side] < 0)
				PB_TRY(pb_h5_group_create(&sides[side], group, pb_side_names[side],
							  err));
			PB_TRY(pb_growing_open(&a->readings[side][r], &a->layout, sides[side],
					       &field, &roles, err));
		}
	}
cleanup:
	pb_h5_drop(sides[0]);
	pb_h5_drop(sides[1]);
	pb_h5_drop(group);
	return status;
}

static enum pb_status create_readings(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status;
	hid_t readings = -1;
	int g;

	if (a->e->readings == 0)
		return PB_OK;
	PB_TRY(pb_h5_group_create(&readings, a->layout.file, "readings", err));
	for (g = 0; g < PB_N_READING_GROUPS; g++)
		if (a->e->readings & 1u << g)
			PB_TRY(create_group_readings(a, readings, (enum pb_reading_group)g, err));
cleanup:
	pb_h5_drop(readings);
	return status;
}

/* ---- activations ------------------------------------------------------------------------- */

static enum pb_status create_side_saved(struct pb_assembly *a, hid_t parent, int side,
					struct pb_error *err)
{
	enum pb_status status;
	hid_t group = -1;
	int i;

	PB_TRY(pb_h5_group_create(&group, parent, pb_side_names[side], err));
	for (i = 0; i < PB_N_SITES; i++) {
		const struct pb_axes axes = pb_site_axes(a->e, (enum pb_site)i, NULL, -1);
		const struct pb_field field = {.name = pb_site_names[i],
					       .type = PB_TYPE_F32,
					       .dims = {PB_DIM_PAIR, PB_DIM_CELL},
					       .units = "1",
					       .long_name = "activation, no intervention"};

		if (a->e->save & 1u << i)
			PB_TRY(pb_growing_open(&a->saved[side][i], &a->layout, group, &field, &axes,
					       err));
	}
cleanup:
	pb_h5_drop(group);
	return status;
}

static enum pb_status create_saved(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status;
	hid_t group = -1;

	if (a->e->save == 0)
		return PB_OK;
	PB_TRY(pb_h5_group_create(&group, a->layout.file, "activations", err));
	PB_TRY(create_side_saved(a, group, 0, err));
	PB_TRY(create_side_saved(a, group, 1, err));
cleanup:
	pb_h5_drop(group);
	return status;
}

enum pb_status pb_assembly_create(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(write_scales(a, err));
	PB_TRY(create_base(a, err));
	PB_TRY(create_sweeps(a, err));
	PB_TRY(create_readings(a, err));
	PB_TRY(create_saved(a, err));
cleanup:
	return status;
}
