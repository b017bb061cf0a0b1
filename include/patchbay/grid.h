/* The cells of a sweep: which axes its results have, and what each step of an axis stands for. The
 * config's words become a grid once; the engine makes variants from it, result files their
 * dimensions. */
#ifndef PATCHBAY_GRID_H
#define PATCHBAY_GRID_H

#include "patchbay/base.h"
#include "patchbay/model.h"
#include "patchbay/sweep.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pb_axis_kind {
	PB_AXIS_ALPHA,
	PB_AXIS_SET,
	PB_AXIS_LAYER,
	PB_AXIS_HEAD,
	PB_AXIS_KV_HEAD,
	PB_AXIS_NEURON,
	PB_AXIS_POSITION,
	PB_AXIS_QUERY_POSITION,
	PB_AXIS_KEY_POSITION,
	PB_AXIS_SENDER_LAYER,
	PB_AXIS_SENDER_HEAD,
	PB_AXIS_RECEIVER_LAYER,
	PB_AXIS_RECEIVER_HEAD,
	PB_AXIS_RECEIVER_KV_HEAD,
	PB_N_AXIS_KINDS
};
extern const char *const pb_axis_names[PB_N_AXIS_KINDS]; /* "alpha", "set", "layer", ... */

struct pb_axis {
	enum pb_axis_kind kind;
	size_t n;
	const int32_t *values; /* [n] what each step stands for; NULL: 0, 1, 2 ... */
	const double *numbers; /* [n] PB_AXIS_ALPHA only */
};

#define PB_GRID_AXES 6

/* Axes in C order, without the pair that stands before them: alpha or set, then layer, head (or
 * kv_head, neuron), position (or query and key position); for paths sender layer and head, then
 * receiver layer and head, without those that do not exist. No axis at all (embed, all
 * positions) is one cell. */
struct pb_grid {
	size_t n_axes;
	struct pb_axis axes[PB_GRID_AXES];
	size_t n_cells; /* product of the axes' sizes */
};

/* The grid of a resolved sweep. Refuses (PB_ERR_INPUT, naming sweep.<key>) what this model does not
 * have: a site that the family lacks (resid_mid in a parallel block), layers, heads, neurons, set
 * members or receivers out of range. Arrays of the grid are the sweep's own. */
enum pb_status pb_grid_make(struct pb_grid *grid, const struct pb_sweep *sweep,
			    const struct pb_arch *arch, size_t max_length, struct pb_error *err);

/* Step of each axis at a cell, and back. */
void pb_grid_steps(const struct pb_grid *grid, size_t cell, size_t steps[PB_GRID_AXES]);
size_t pb_grid_cell(const struct pb_grid *grid, const size_t steps[PB_GRID_AXES]);
/* The axis of a kind, -1 when the grid has none. */
int pb_grid_axis(const struct pb_grid *grid, enum pb_axis_kind kind);
/* What the step of the axis of a kind stands for at a cell; -1 without such an axis. */
int32_t pb_grid_value(const struct pb_grid *grid, size_t cell, enum pb_axis_kind kind);
/* A cell in words: "L3H5", "L3H5 at 7", "M2", "alpha 0.5 L1H0", "L0H1 to L2H3.q", "set name". Text
 * that does not fit is cut. */
void pb_grid_label(const struct pb_grid *grid, const struct pb_sweep *sweep, size_t cell,
		   char *text, size_t size);

/* Whether anything of a path can leave a sender and arrive at a receiver: the receiver comes later
 * in the order embed < heads 0 < MLP 0 < heads 1 ...; in a parallel block heads and MLP of one
 * layer have no edge. sender_layer is ignored for PB_SENDER_EMBED. */
bool pb_path_exists(const struct pb_arch *arch, enum pb_sender sender, int32_t sender_layer,
		    enum pb_receiver receiver, int32_t receiver_layer);

#ifdef __cplusplus
}
#endif
#endif
