/* The arrays of a part file, listed once for writing, reading and hashing. */
#ifndef PB_RESULTS_PART_ARRAYS_H
#define PB_RESULTS_PART_ARRAYS_H

#include "results/parts.h"
#include "results/schema.h"

struct pb_part_array {
	char name[96]; /* of the dataset, e.g. "sweep.0.logit_diff" */
	enum pb_type type;
	size_t count;
	void *data; /* borrowed */
};

struct pb_part_arrays {
	struct pb_part_array *items;
	size_t n, capacity;
	/* The checked variants as two tables, the way a part holds them. */
	int32_t *variant_ints;
	double *variant_doubles;
};

/* All arrays of a chunk, in the order in which they are hashed; the tables of checked variants are
 * zeros until they are packed or read. */
enum pb_status pb_part_arrays_list(struct pb_part_arrays *arrays, const struct pb_experiment *e,
				   const struct pb_chunk_values *values, struct pb_error *err);
void pb_part_arrays_free(struct pb_part_arrays *arrays);
/* Variants to tables, and back into checks->variants (n_variants of them). */
void pb_part_arrays_pack(struct pb_part_arrays *arrays, const struct pb_chunk_checks *checks);
void pb_part_arrays_unpack(const struct pb_part_arrays *arrays, struct pb_chunk_checks *checks);

/* SHA-256 over the part's figures and all its arrays. Any thread. */
enum pb_status pb_part_content_hash(const struct pb_experiment *e, const struct pb_part *part,
				    const struct pb_part_arrays *arrays, char hex[PB_SHA256_HEX],
				    struct pb_error *err);

/* ---- parts.c: reading in two steps --------------------------------------------------------- */

/* All of an open part but its arrays, which are listed: its figures, and the checksum that its file
 * has (*stored, freed with free()). `name` stands for it in messages. The caller frees the part and
 * the list, on failure too. */
enum pb_status pb_part_read_head(struct pb_part *out, struct pb_part_arrays *arrays, char **stored,
				 const struct pb_experiment *e, size_t chunk, hid_t group,
				 const char *name, struct pb_error *err);
/* When the arrays are filled: PB_ERR_CHECK where they and the figures are not what was hashed. Any
 * thread. */
enum pb_status pb_part_check(const struct pb_experiment *e, struct pb_part *part,
			     const struct pb_part_arrays *arrays, const char *stored,
			     struct pb_error *err);

#endif
