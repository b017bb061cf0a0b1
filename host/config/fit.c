/* Which keys of a sweep's row go together. The texts say what to do, after "key does not fit:". */
#include "config/fit.h"

#include <string.h>

/* ---- keys ------------------------------------------------------------------------------- */

const char *pb_misfit_site(const struct pb_sweep *s)
{
	return s->intervention == PB_PATH ? "a path goes from its sender to its receiver: leave "
					    "the site out"
					  : NULL;
}

const char *pb_misfit_path(const struct pb_sweep *s)
{
	return s->intervention == PB_PATH ? NULL
					  : "only paths have it: set intervention to path, or "
					    "leave it out";
}

const char *pb_misfit_alpha(const struct pb_sweep *s)
{
	return s->intervention == PB_SCALE || s->intervention == PB_ADD
		   ? NULL
		   : "it is the factor of scale and add: set intervention to one of them, or "
		     "leave it out";
}

const char *pb_misfit_vector(const struct pb_sweep *s)
{
	return s->intervention == PB_ADD
		   ? NULL
		   : "it is what add adds: set intervention to add, or leave it out";
}

const char *pb_misfit_subspace(const struct pb_sweep *s)
{
	return s->intervention == PB_PROJECT
		   ? NULL
		   : "it is where project projects: set intervention to project, or leave it out";
}

const char *pb_misfit_reference(const struct pb_sweep *s)
{
	return s->intervention == PB_MEAN ? NULL
					  : "it says what a mean is taken over: set intervention "
					    "to mean, or leave it out";
}

const char *pb_misfit_seed(const struct pb_sweep *s)
{
	return s->intervention == PB_RESAMPLE || s->intervention == PB_CONTROL
		   ? NULL
		   : "only resample and control draw anything: leave it out (random sets have "
		     "their own: sets.random.seed)";
}

const char *pb_misfit_sets(const struct pb_sweep *s)
{
	if (s->intervention == PB_PATH)
		return "a path starts at one sender: leave the sets out; several receivers are a "
		       "list, receiver: [L9H6.q, L9H9.q]";
	return pb_site_indices[s->site] == PB_INDEX_NONE
		   ? "sets name heads by a site that has heads, and MLPs beside them: leave the "
		     "site out, or give q, k, v, q_rot, k_rot, pattern or z"
		   : NULL;
}

const char *pb_misfit_top(const struct pb_sweep *s)
{
	return s->set_sources.n_top_layers > 0
		   ? "with layers there is one set, the strongest head of each: leave k out, or the "
		     "layers"
		   : NULL;
}

const char *pb_misfit_complement(const struct pb_sweep *s)
{
	return s->by_sets ? NULL : "it is the complement of a set: give sets, or leave it out";
}

const char *pb_misfit_layers(const struct pb_sweep *s)
{
	if (s->by_sets)
		return "the members of sets name their layers: leave it out";
	if (s->intervention == PB_PATH)
		return s->sender == PB_SENDER_EMBED
			   ? "the sender embed lies in no layer: leave it out"
			   : NULL;
	return s->site == PB_SITE_EMBED ? "embed lies in no layer: leave it out" : NULL;
}

const char *pb_misfit_heads(const struct pb_sweep *s)
{
	if (s->by_sets)
		return "the members of sets name their heads: leave it out";
	if (s->intervention == PB_PATH)
		return s->sender == PB_SENDER_HEAD ? NULL
						   : "the sender is no head: leave it out, or set "
						     "sender to head";
	return pb_site_indices[s->site] == PB_INDEX_NONE
		   ? "this site has no heads: leave it out, or choose q, k, v, q_rot, k_rot, "
		     "pattern or z"
		   : NULL;
}

const char *pb_misfit_receiver_layers(const struct pb_sweep *s)
{
	const char *misfit = pb_misfit_path(s);

	if (misfit != NULL)
		return misfit;
	return s->receiver == PB_RECEIVER_SET || s->receiver == PB_RECEIVER_LOGITS
		   ? "it chooses among receivers q, k, v or mlp of all layers: leave it out"
		   : NULL;
}

const char *pb_misfit_receiver_heads(const struct pb_sweep *s)
{
	const char *misfit = pb_misfit_path(s);

	if (misfit != NULL)
		return misfit;
	return s->receiver == PB_RECEIVER_Q || s->receiver == PB_RECEIVER_K ||
		       s->receiver == PB_RECEIVER_V
		   ? NULL
		   : "it chooses among receivers q, k or v of all heads: leave it out";
}

const char *pb_misfit_neurons(const struct pb_sweep *s)
{
	if (s->by_sets)
		return "sets have heads and whole MLPs: leave it out, or leave the sets out";
	if (s->intervention == PB_PATH || s->site != PB_SITE_MLP_POST)
		return "neurons are those of mlp_post: set site to mlp_post, or leave it out";
	if (s->intervention == PB_PROJECT)
		return "a subspace has whole activations: leave it out";
	return s->n_layers == 1 ? NULL
				: "neurons are swept in one layer at a time: name it, for "
				  "instance layers: [2]";
}

const char *pb_misfit_window(const struct pb_sweep *s)
{
	if (s->by_sets)
		return "the members of sets name their layers: leave it out";
	if (s->intervention == PB_PATH)
		return "a path has one sender: leave it out";
	if (s->neurons)
		return "a neuron has none like it in other layers: leave it out";
	return s->site == PB_SITE_EMBED ? "embed lies in no layer: leave it out" : NULL;
}

/* ---- defaults --------------------------------------------------------------------------- */

const char *pb_default_site(const struct pb_sweep *s)
{
	return s->by_sets ? "z" : NULL;
}

const char *pb_default_direction(const struct pb_sweep *s)
{
	return pb_intervention_has_donor(s->intervention) ? "denoise" : "noise";
}

const char *pb_default_alpha(const struct pb_sweep *s)
{
	return s->intervention == PB_ADD ? "1" : NULL;
}

const char *pb_default_by(const struct pb_sweep *s)
{
	return s->site == PB_SITE_PATTERN ? "position" : "overall";
}

/* ---- values ----------------------------------------------------------------------------- */

/* At the value of `key`, whose last part is a key of `map`. */
static enum pb_status refuse(const struct pb_walk *w, const struct pb_node *map, const char *key,
			     const char *what, const char *advice)
{
	const char *dot = strrchr(key, '.');
	const struct pb_node *node = pb_tree_child(map, dot == NULL ? key : dot + 1);
	char place[PB_WHERE_SIZE];

	return pb_fail(w->err, PB_ERR_INPUT, "%s: %s (sweep.%s): %s", what,
		       pb_tree_where(node == NULL ? map : node, place), key, advice);
}

static enum pb_status check_positions(const struct pb_walk *w, const struct pb_node *row,
				      const struct pb_sweep *s)
{
	static const char what[] = "positions do not fit";
	const bool each =
	    s->positions == PB_POSITIONS_EACH || s->positions == PB_POSITIONS_EACH_KEY;

	if (each && s->by_sets)
		return refuse(w, row, "positions", what,
			      "sets are not swept by position: give all, last, or a list of "
			      "positions or roles");
	if (each && s->intervention == PB_PATH)
		return refuse(w, row, "positions", what,
			      "paths are not swept by position: give all, last, or a list of "
			      "positions or roles");
	if (s->positions == PB_POSITIONS_EACH_KEY && s->site != PB_SITE_PATTERN)
		return refuse(w, row, "positions", what,
			      "only pattern has keys: set site to pattern, or give each");
	return PB_OK;
}

static enum pb_status check_pattern(const struct pb_walk *w, const struct pb_node *row,
				    const struct pb_sweep *s)
{
	static const char advice[] = "an attention pattern has one entry a key, not a vector: give "
				     "patch, zero, mean, resample or scale, or another site";

	if (s->site != PB_SITE_PATTERN || s->intervention == PB_PATH)
		return PB_OK;
	if (s->intervention == PB_ADD || s->intervention == PB_PROJECT ||
	    s->intervention == PB_CONTROL)
		return refuse(w, row, "intervention", "intervention does not fit pattern", advice);
	if (s->intervention == PB_MEAN && s->reference_by != PB_BY_POSITION)
		return refuse(w, row, "reference", "mean does not fit pattern",
			      "the keys of a pattern are positions: give by: position, or leave by "
			      "out");
	return PB_OK;
}

static size_t n_heads_of(const struct pb_set *set)
{
	size_t n = 0;

	for (size_t m = 0; m < set->n; m++)
		n += set->members[m].head >= 0;
	return n;
}

/* Random sets stand beside those that consist of heads alone. */
static enum pb_status check_random_each(const struct pb_walk *w, const struct pb_node *row,
					const struct pb_sweep *s)
{
	const struct pb_node *sets = pb_tree_child(row, "sets");
	bool any = s->set_sources.top_path != NULL;

	for (size_t i = 0; i < s->n_sets; i++)
		any = any || (s->sets[i].n > 0 && n_heads_of(&s->sets[i]) == s->sets[i].n);
	if (any)
		return PB_OK;
	return refuse(w, pb_tree_child(sets, "random"), "sets.random.size", "no set to match",
		      "each takes the sizes of the named sets that have heads alone, and of top: "
		      "name one, for instance circuit: [L0H1, L1H2], or give a number");
}

static enum pb_status check_random(const struct pb_walk *w, const struct pb_node *row,
				   const struct pb_sweep *s)
{
	const struct pb_node *sets = pb_tree_child(row, "sets");
	const struct pb_set_sources *sources = &s->set_sources;

	if (sources->random_count > 0 && sources->random_size == 0 && !sources->random_match_layer)
		return refuse(w, pb_tree_child(sets, "random"), "sets.random.size", "missing key",
			      "give it, the heads of a random set, or match: layer");
	if (sources->random_size == PB_SIZE_EACH)
		return check_random_each(w, row, s);
	if (!sources->random_match_layer)
		return PB_OK;
	if (s->n_sets == 0)
		return refuse(w, sets, "sets.random", "no set to match",
			      "match: layer takes as many of each layer as the first named set "
			      "has: name one, for instance circuit: [L0H1, L1H2]");
	if (n_heads_of(&s->sets[0]) == 0)
		return refuse(w, sets, "sets.random", "no heads to match",
			      "match: layer takes as many heads of each layer as the first named "
			      "set has, and that has none");
	if (sources->random_size > 0 && sources->random_size != n_heads_of(&s->sets[0]))
		return refuse(w, sets, "sets.random", "size does not fit",
			      "match: layer takes as many heads as the first named set has: give "
			      "that number as size, or leave size out");
	return PB_OK;
}

static enum pb_status check_sets(const struct pb_walk *w, const struct pb_node *row,
				 const struct pb_sweep *s)
{
	const bool whole = s->intervention != PB_ADD && s->intervention != PB_PROJECT;

	if (!s->by_sets)
		return PB_OK;
	if (s->n_sets == 0 && s->set_sources.top_path == NULL && s->set_sources.random_count == 0 &&
	    !s->set_sources.all_pairs)
		return refuse(w, row, "sets", "no sets",
			      "name some, for instance {circuit: [L0H1, M2]}, or give top, random "
			      "or pairs");
	for (size_t i = 0; i < s->n_sets && !s->complement; i++)
		if (s->sets[i].n == 0)
			return refuse(
			    w, row, "sets", "empty set",
			    "it changes nothing: name members, for instance [L3H7, M2], or "
			    "set complement to true, and it is everything that is changed");
	for (size_t i = 0; i < s->n_sets && !whole; i++)
		if (n_heads_of(&s->sets[i]) < s->sets[i].n)
			return refuse(w, row, "sets", "MLP in a set",
				      "add and project have one width, that of the site of heads: "
				      "give heads alone, or sweep mlp_out by itself");
	return check_random(w, row, s);
}

enum pb_status pb_sweep_check(const struct pb_walk *w, const struct pb_node *row,
			      const struct pb_sweep *s)
{
	enum pb_status status;

	PB_TRY(check_positions(w, row, s));
	PB_TRY(check_pattern(w, row, s));
	PB_TRY(check_sets(w, row, s));
	if (s->window % 2 == 0 && s->window > 0)
		status = refuse(w, row, "window", "even window",
				"a window has a layer in its middle: give an odd number");
cleanup:
	return status;
}
