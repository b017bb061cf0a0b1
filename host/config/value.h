/* Values of configuration keys: read into their fields, and written to the resolved file. */
#ifndef PATCHBAY_CONFIG_VALUE_H
#define PATCHBAY_CONFIG_VALUE_H

#include <stdio.h>

#include "config/schema.h"
#include "config/tree.h"

/* The walk over the table: what is read goes to the config, and as YAML to `resolved`. */
struct pb_walk {
	struct pb_run_config *config;
	const char *path; /* of the file */
	FILE *resolved;
	struct pb_error *err;
	const struct pb_node *grid; /* the map of the section grid; NULL: there is none */
	bool evaluation;            /* what is read is for `patchbay eval` */
};

/* `what: FILE:3:7 (task.boxes): advice` */
enum pb_status pb_walk_fail(const struct pb_walk *w, const struct pb_key *key,
			    const struct pb_node *node, const char *what, const char *advice);
enum pb_status pb_walk_out_of_memory(const struct pb_walk *w);

/* Reads the value of one key into its field of `base` and writes it. node NULL: `fallback` as if it
 * stood in the file. */
enum pb_status pb_value_read(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *node, const char *fallback, void *base);

/* The named sets of a sweep's map `sets`, all of its keys but `top`, `random` and `pairs`; each is
 * written as a line that begins with `margin`. */
enum pb_status pb_value_sets(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *map, struct pb_sweep *sweep, const char *margin);

/* The axes of a grid, each written as a line that begins with `margin`. The task's name is known.
 */
enum pb_status pb_value_grid(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *map, const char *margin);

#endif
