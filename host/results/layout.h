/* The dimensions of a file: those at its root, those of each sweep, those of an activation. Groups
 * that are passed on hold the scales that are not the root's. */
#ifndef PB_RESULTS_LAYOUT_H
#define PB_RESULTS_LAYOUT_H

#include "patchbay/results.h"
#include "results/schema.h"

/* Whether all pairs have the same length. */
bool pb_pairs_equal_length(const struct pb_pairs *pairs);

/* Positions, of queries and of keys too. */
bool pb_axis_is_position(enum pb_axis_kind kind);

/* The sizes of all dimensions whose scales lie at the root. */
void pb_layout_sizes(struct pb_layout *layout, const struct pb_experiment *e);

/* The cells of a sweep's raw values, and of its summary (positions from the end where lengths
 * differ). */
struct pb_axes pb_sweep_axes(const struct pb_experiment *e, size_t sweep, hid_t group);
struct pb_axes pb_summary_axes(const struct pb_experiment *e, size_t sweep, hid_t group);
/* Write the scales of a sweep that are its own: parts of a dimension, alpha, set. */
enum pb_status pb_sweep_scales_write(const struct pb_experiment *e, size_t sweep, hid_t group,
				     struct pb_error *err);

/* (layer, head or kv_head, positions, width) of an activation, without those that it lacks. grid:
 * of the sweep in whose group it lies; NULL: of none. */
struct pb_axes pb_site_axes(const struct pb_experiment *e, enum pb_site site,
			    const struct pb_grid *grid, hid_t group);
/* The same of a sweep's reference means, and their slots alone: positions, roles, or none. */
struct pb_axes pb_means_axes(const struct pb_experiment *e, size_t sweep, hid_t group);
struct pb_axes pb_slot_axes(const struct pb_experiment *e, size_t sweep, hid_t group);
/* Write the scales of axes that are not the root's and are not there yet: 0, 1, 2, ... */
enum pb_status pb_axes_scales_write(const struct pb_axes *axes, struct pb_error *err);

/* "0_patch_z_denoise_all" (freed with free()); NULL: out of memory. */
char *pb_sweep_group_name(const struct pb_experiment *e, size_t sweep);
/* Attributes of a sweep's group: all that the sweep is (sweep_group.c). */
enum pb_status pb_sweep_attributes_write(const struct pb_experiment *e, size_t sweep, hid_t group,
					 struct pb_error *err);

#endif
