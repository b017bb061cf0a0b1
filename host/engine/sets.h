/* Sets of heads and MLPs: from what the config says of them to the members of each. */
#ifndef PATCHBAY_ENGINE_SETS_H
#define PATCHBAY_ENGINE_SETS_H

#include "patchbay/base.h"
#include "patchbay/model.h"
#include "patchbay/sweep.h"

/* Makes the sets of `set_sources` and puts them behind the named ones, in this order:
 *
 *   top 1, top 2 ..   the strongest heads of a sweep of another result file, cumulative; a head
 *                     with several cells (positions) counts by its strongest
 *   top of layers     instead of them: the strongest head of each of some layers of it
 *   random 0 ..       drawn uniformly, without repetition, among the heads outside all named sets,
 *                     by the seed and the set's number alone; members in the order of layer, head
 *   random 0 of size 2 ..  with PB_SIZE_EACH: for each size, rising, that named sets of heads alone
 *                     and those of top have, among the heads outside all of these; by the seed, the
 *                     size and the set's number alone
 *   L0H0, L0H1 ..     every head alone, in the order of layer, head; then L0H0+L0H1, every pair
 *                     a < b
 *
 * Heads are those of the sweep's site: KV heads for k, v, k_rot. Once a sweep; one without sets is
 * left as it is. Arrays and names are the arena's. PB_ERR_INPUT names sweep.sets: a sweep of the
 * file that has no heads or too few, heads that this model does not have, too few heads to draw
 * from, a named set with the name of one that is made. */
enum pb_status pb_sweep_resolve(struct pb_sweep *sweep, const struct pb_arch *arch,
				struct pb_arena *arena, struct pb_error *err);

/* The complement of one set of a resolved sweep: all heads (of the site) where any set of the sweep
 * has a head, and all MLPs where any has an MLP, without the members of this set; in order of
 * computation, the heads of a layer before its MLP. May be empty. Where all sets are empty: all
 * heads. */
enum pb_status pb_set_complement(const struct pb_sweep *sweep, const struct pb_set *set,
				 const struct pb_arch *arch, struct pb_arena *arena,
				 const struct pb_member **members, size_t *n, struct pb_error *err);

#endif
