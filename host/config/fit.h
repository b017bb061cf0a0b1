/* Which keys of a sweep's row go together. */
#ifndef PATCHBAY_CONFIG_FIT_H
#define PATCHBAY_CONFIG_FIT_H

#include "config/value.h"

/* pb_key.misfit: what to do instead where the key does not fit the sweep, NULL where it fits. */
const char *pb_misfit_site(const struct pb_sweep *sweep);
const char *pb_misfit_path(const struct pb_sweep *sweep); /* keys of paths alone */
const char *pb_misfit_alpha(const struct pb_sweep *sweep);
const char *pb_misfit_vector(const struct pb_sweep *sweep);
const char *pb_misfit_subspace(const struct pb_sweep *sweep);
const char *pb_misfit_reference(const struct pb_sweep *sweep);
const char *pb_misfit_seed(const struct pb_sweep *sweep);
const char *pb_misfit_sets(const struct pb_sweep *sweep);
const char *pb_misfit_top(const struct pb_sweep *sweep);
const char *pb_misfit_complement(const struct pb_sweep *sweep);
const char *pb_misfit_layers(const struct pb_sweep *sweep);
const char *pb_misfit_heads(const struct pb_sweep *sweep);
const char *pb_misfit_receiver_layers(const struct pb_sweep *sweep);
const char *pb_misfit_receiver_heads(const struct pb_sweep *sweep);
const char *pb_misfit_neurons(const struct pb_sweep *sweep);
const char *pb_misfit_window(const struct pb_sweep *sweep);

/* pb_key.default_of */
const char *pb_default_site(const struct pb_sweep *sweep);
const char *pb_default_direction(const struct pb_sweep *sweep);
const char *pb_default_alpha(const struct pb_sweep *sweep);
const char *pb_default_by(const struct pb_sweep *sweep);

/* What no single key can know of: values that do not go together. `row` is the sweep's map. */
enum pb_status pb_sweep_check(const struct pb_walk *w, const struct pb_node *row,
			      const struct pb_sweep *sweep);

#endif
