/* What the files of the sources share. */
#ifndef PB_ENGINE_SOURCES_H
#define PB_ENGINE_SOURCES_H

#include "engine/sweeps.h"

/* Sites that a sweep's tables are made for: its own, and mlp_out where sets name MLPs. Returns how
 * many (0 to 2). */
size_t pb_source_sites(const struct pb_sweep *sweep, const struct pb_set *sets,
		       enum pb_site sites[2]);

/* Shape of a site as a sweep writes it: of a neuron sweep each neuron is an index. */
void pb_source_shape(const struct pb_arch *arch, const struct pb_sweep *sweep, enum pb_site site,
		     size_t *n_layers, size_t *n_index, size_t *width);

/* Device memory for a table of `rows` rows a layer. */
enum pb_status pb_source_table_new(struct pb_sources *s, struct pb_engine *e, enum pb_site site,
				   size_t n_layers, size_t rows, size_t stride,
				   struct pb_error *err);

/* Reference means over all prompts, in float64 and fixed order, and their tables. */
enum pb_status pb_means_make(struct pb_sources *out, struct pb_engine *e,
			     const struct pb_sweep *sweep, const struct pb_set *sets,
			     const struct pb_pairs *pairs, const struct pb_prompts *prompts,
			     size_t chunk_pairs, struct pb_error *err);

#endif
