/* Sets of heads and MLPs. */
#include "engine/sets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/results.h"

#define STREAM_SETS UINT64_C(0x72616e646f6d7365) /* "randomse" */
#define NAME_SIZE 64

/* The growing list of a sweep's sets. */
struct builder {
	const struct pb_sweep *sweep;
	size_t n_layers, n_heads; /* heads of the sweep's site, by layer */
	size_t n, n_named, n_most;
	struct pb_set *sets; /* [n_most] */
	struct pb_arena *arena;
	struct pb_error *err;
};

static enum pb_status out_of_memory(struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the sets of a sweep");
}

static size_t heads_of(const struct pb_sweep *sweep, const struct pb_arch *arch)
{
	return pb_site_indices[sweep->site] == PB_INDEX_KV_HEAD ? arch->n_kv_heads : arch->n_heads;
}

/* Room for n more sets. */
static enum pb_status make_room(struct builder *b, size_t n)
{
	struct pb_set *sets;
	size_t n_most;

	if (!pb_size_add(b->n, n, &n_most) || n_most > INT32_MAX)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "too many sets: sweep.sets: give a smaller count, or no pairs: all");
	sets = pb_arena_alloc(b->arena, n_most, sizeof *sets);
	if (sets == NULL)
		return out_of_memory(b->err);
	if (b->n > 0)
		memcpy(sets, b->sets, b->n * sizeof *sets);
	b->sets = sets;
	b->n_most = n_most;
	return PB_OK;
}

/* One more set with a copy of its name; its members are the caller's. */
static enum pb_status add_set(struct builder *b, enum pb_set_source source, const char *name,
			      const struct pb_member *members, size_t n)
{
	const struct pb_set set = {pb_arena_strdup(b->arena, name), n, members, source};

	if (set.name == NULL)
		return out_of_memory(b->err);
	assert(b->n < b->n_most);
	b->sets[b->n++] = set;
	return PB_OK;
}

/* ---- top -------------------------------------------------------------------------------- */

static bool has_member(const struct pb_member *members, size_t n, int32_t layer, int32_t head)
{
	for (size_t m = 0; m < n; m++)
		if (members[m].layer == layer && members[m].head == head)
			return true;
	return false;
}

/* The head of a cell of the ranking, which this model must have. */
static enum pb_status head_of(const struct builder *b, const struct pb_ranking *ranking,
			      const struct pb_ranked_cell *cell, struct pb_member *head)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;

	if (cell->layer < 0 || cell->head < 0)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "no heads: %s, sweep %s (sweep.sets.top): its cells are not "
			       "heads ('%s'): choose a sweep of heads with sweep: NAME",
			       sources->top_path, ranking->sweep, cell->label);
	if ((size_t)cell->layer >= b->n_layers || (size_t)cell->head >= b->n_heads)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "no such head in this model: %s, sweep %s (sweep.sets.top): "
			       "L%dH%d, but there are %zu layers of %zu heads: choose a "
			       "result file of this model, of the same kind of heads",
			       sources->top_path, ranking->sweep, (int)cell->layer, (int)cell->head,
			       b->n_layers, b->n_heads);
	*head = (struct pb_member){cell->layer, cell->head};
	return PB_OK;
}

/* The first `top` heads of a ranking. */
static enum pb_status take_top(const struct builder *b, const struct pb_ranking *ranking,
			       struct pb_member *members)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	enum pb_status status = PB_OK;
	struct pb_member head;
	size_t n = 0;

	for (size_t c = 0; c < ranking->n && n < sources->top; c++) {
		PB_TRY(head_of(b, ranking, &ranking->cells[c], &head));
		if (!has_member(members, n, head.layer, head.head))
			members[n++] = head;
	}
	if (n < sources->top)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "too few heads: %s, sweep %s (sweep.sets.top): it ranks %zu heads: "
			       "give a k of at most that",
			       sources->top_path, ranking->sweep, n);
cleanup:
	return status;
}

/* The strongest head of each of top_layers. */
static enum pb_status take_layers(const struct builder *b, const struct pb_ranking *ranking,
				  struct pb_member *members)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	enum pb_status status = PB_OK;
	size_t c;

	for (size_t l = 0; l < sources->n_top_layers; l++) {
		const int32_t layer = sources->top_layers[l];

		if ((size_t)layer >= b->n_layers)
			return pb_fail(b->err, PB_ERR_INPUT,
				       "no such layer: sweep.sets.top.layers: %d, but this model "
				       "has %zu layers: give 0 to %zu",
				       (int)layer, b->n_layers, b->n_layers - 1);
		for (c = 0; c < ranking->n && ranking->cells[c].layer != layer; c++)
			if (ranking->cells[c].layer < 0)
				break;
		if (c == ranking->n)
			return pb_fail(b->err, PB_ERR_INPUT,
				       "no head of layer %d: %s, sweep %s (sweep.sets.top.layers): "
				       "it ranks none: choose a sweep that has this layer with "
				       "sweep: NAME, or leave the layer out",
				       (int)layer, sources->top_path, ranking->sweep);
		PB_TRY(head_of(b, ranking, &ranking->cells[c], &members[l]));
	}
cleanup:
	return status;
}

static enum pb_status add_top(struct builder *b)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	const bool by_layer = sources->n_top_layers > 0;
	const size_t n = by_layer ? sources->n_top_layers : sources->top;
	struct pb_ranking ranking = {0};
	struct pb_member *members;
	enum pb_status status;
	char name[NAME_SIZE];

	PB_TRY(make_room(b, by_layer ? 1 : n));
	/* All cells: the same head may stand there once a position. */
	PB_TRY(pb_result_rank(&ranking, sources->top_path, sources->top_sweep, 0, false, b->err));
	members = pb_arena_alloc(b->arena, n, sizeof *members);
	if (members == NULL) {
		status = out_of_memory(b->err);
		goto cleanup;
	}
	if (by_layer) {
		PB_TRY(take_layers(b, &ranking, members));
		PB_TRY(add_set(b, PB_SET_TOP, "top of layers", members, n));
		goto cleanup;
	}
	PB_TRY(take_top(b, &ranking, members));
	/* The sets are beginnings of one array. */
	for (size_t k = 1; k <= n; k++) {
		(void)snprintf(name, sizeof name, "top %zu", k);
		PB_TRY(add_set(b, PB_SET_TOP, name, members, k));
	}
cleanup:
	pb_ranking_free(&ranking);
	return status;
}

/* ---- random ----------------------------------------------------------------------------- */

/* What random sets are drawn from: heads, numbered layer * n_heads + head, outside all sets that
 * they stand beside. */
struct pool {
	bool *taken;      /* [layers * heads] */
	uint32_t *heads;  /* free ones, rising; shuffled while drawing */
	size_t *n_wanted; /* of each layer, or of all in [0] */
	size_t n_groups, group_size, size;
};

static bool exists(const struct builder *b, const struct pb_member *m)
{
	return m->layer >= 0 && (size_t)m->layer < b->n_layers && m->head >= 0 &&
	       (size_t)m->head < b->n_heads;
}

/* Free heads of one group (a layer, or the whole model) into pool->heads. */
static size_t collect_free(const struct pool *pool, size_t group)
{
	size_t n = 0;

	for (size_t i = 0; i < pool->group_size; i++)
		if (!pool->taken[group * pool->group_size + i])
			pool->heads[n++] = (uint32_t)(group * pool->group_size + i);
	return n;
}

/* The heads outside the first n_taken sets. */
static enum pb_status pool_make(const struct builder *b, size_t n_taken, struct pool *pool)
{
	const size_t n = b->n_layers * b->n_heads;

	pool->n_groups = b->sweep->set_sources.random_match_layer ? b->n_layers : 1;
	pool->group_size = n / pool->n_groups;
	pool->taken = pb_arena_alloc(b->arena, n, sizeof *pool->taken);
	pool->heads = pb_arena_alloc(b->arena, n, sizeof *pool->heads);
	pool->n_wanted = pb_arena_alloc(b->arena, pool->n_groups, sizeof *pool->n_wanted);
	if (pool->taken == NULL || pool->heads == NULL || pool->n_wanted == NULL)
		return out_of_memory(b->err);
	for (size_t s = 0; s < n_taken; s++)
		for (size_t m = 0; m < b->sets[s].n; m++) {
			const struct pb_member *member = &b->sets[s].members[m];

			if (exists(b, member))
				pool->taken[(size_t)member->layer * b->n_heads +
					    (size_t)member->head] = true;
		}
	return PB_OK;
}

static enum pb_status fail_few_free(const struct builder *b, size_t group, size_t n_free,
				    size_t n_wanted)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	const bool each = sources->random_size == PB_SIZE_EACH;
	char layer[48] = "";

	if (sources->random_match_layer)
		(void)snprintf(layer, sizeof layer, " of layer %zu", group);
	return pb_fail(
	    b->err, PB_ERR_INPUT,
	    "too few heads to draw: sweep.sets.random: %zu heads%s are outside the named "
	    "sets%s, and %zu are wanted: %s",
	    n_free, layer, each ? " and those of top" : "", n_wanted,
	    sources->random_match_layer ? "set match to none, or name fewer heads"
	    : each                      ? "name fewer heads, or give a smaller k"
					: "give a smaller size");
}

/* How many heads are drawn of each group: `size`, or as many as `like` has (NULL: none). */
static enum pb_status pool_want(const struct builder *b, struct pool *pool, size_t size,
				const struct pb_set *like)
{
	const bool match = b->sweep->set_sources.random_match_layer;

	memset(pool->n_wanted, 0, pool->n_groups * sizeof *pool->n_wanted);
	if (!match)
		pool->n_wanted[0] = size;
	for (size_t m = 0; match && like != NULL && m < like->n; m++)
		if (exists(b, &like->members[m]))
			pool->n_wanted[like->members[m].layer]++;
	pool->size = 0;
	for (size_t g = 0; g < pool->n_groups; g++) {
		size_t n_free = collect_free(pool, g);

		pool->size += pool->n_wanted[g];
		if (n_free >= pool->n_wanted[g])
			continue;
		return fail_few_free(b, g, n_free, pool->n_wanted[g]);
	}
	if (pool->size == 0)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "empty random sets: sweep.sets.random: give a size of at least 1");
	return PB_OK;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Draws the members of one random set. */
static void draw(const struct builder *b, const struct pool *pool, struct pb_rng *rng,
		 struct pb_member *members)
{
	for (size_t g = 0; g < pool->n_groups; g++) {
		const size_t n_free = collect_free(pool, g), wanted = pool->n_wanted[g];

		/* The beginning of a Fisher-Yates shuffle. */
		for (size_t i = 0; i < wanted; i++) {
			size_t j = i + (size_t)pb_rng_below(rng, n_free - i);
			uint32_t swap = pool->heads[i];

			pool->heads[i] = pool->heads[j];
			pool->heads[j] = swap;
		}
		qsort(pool->heads, wanted, sizeof *pool->heads, compare_numbers);
		for (size_t i = 0; i < wanted; i++)
			*members++ = (struct pb_member){(int32_t)(pool->heads[i] / b->n_heads),
							(int32_t)(pool->heads[i] % b->n_heads)};
	}
}

/* random_count sets as the pool wants them; of_size: the size is part of draws and names. */
static enum pb_status draw_sets(struct builder *b, const struct pool *pool, bool of_size)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < sources->random_count; i++) {
		struct pb_member *members = pb_arena_alloc(b->arena, pool->size, sizeof *members);
		char name[NAME_SIZE];
		struct pb_rng rng;

		if (members == NULL)
			return out_of_memory(b->err);
		pb_rng_seed(&rng, STREAM_SETS, of_size ? pool->size : 0, sources->random_seed, i);
		draw(b, pool, &rng, members);
		if (of_size)
			(void)snprintf(name, sizeof name, "random %zu of size %zu", i, pool->size);
		else
			(void)snprintf(name, sizeof name, "random %zu", i);
		PB_TRY(add_set(b, PB_SET_RANDOM, name, members, pool->size));
	}
cleanup:
	return status;
}

/* Whether random sets stand beside it: some heads, and heads alone. */
static bool has_heads_alone(const struct pb_set *set)
{
	for (size_t m = 0; m < set->n; m++)
		if (set->members[m].head < 0)
			return false;
	return set->n > 0;
}

static int by_size(const void *a, const void *b)
{
	const struct pb_set *x = *(const struct pb_set *const *)a;
	const struct pb_set *y = *(const struct pb_set *const *)b;

	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return (x > y) - (x < y);
}

/* The first set of each size, by size, of those that random sets stand beside. */
static enum pb_status first_of_sizes(const struct builder *b, const struct pb_set ***firsts,
				     size_t *n)
{
	const struct pb_set **sets = pb_arena_alloc(b->arena, b->n, sizeof *sets);
	size_t n_sets = 0;

	if (sets == NULL)
		return out_of_memory(b->err);
	for (size_t s = 0; s < b->n; s++)
		if (has_heads_alone(&b->sets[s]))
			sets[n_sets++] = &b->sets[s];
	qsort((void *)sets, n_sets, sizeof *sets, by_size);
	*n = 0;
	for (size_t s = 0; s < n_sets; s++)
		if (*n == 0 || sets[*n - 1]->n != sets[s]->n)
			sets[(*n)++] = sets[s];
	*firsts = sets;
	return PB_OK;
}

static enum pb_status add_random_each(struct builder *b)
{
	const size_t count = b->sweep->set_sources.random_count;
	const struct pb_set **firsts = NULL;
	struct pool pool = {0};
	enum pb_status status;
	size_t n_sizes = 0, n;

	/* Before there is more room: the sets stay where they are. */
	PB_TRY(pool_make(b, b->n, &pool));
	PB_TRY(first_of_sizes(b, &firsts, &n_sizes));
	if (!pb_size_mul(n_sizes, count, &n) || n > PB_SETS_MAX)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "too many sets: sweep.sets.random: %zu for each of %zu sizes, and "
			       "%d are the most: give a smaller count, or fewer sizes",
			       count, n_sizes, PB_SETS_MAX);
	PB_TRY(make_room(b, n));
	for (size_t i = 0; i < n_sizes; i++) {
		PB_TRY(pool_want(b, &pool, firsts[i]->n, firsts[i]));
		PB_TRY(draw_sets(b, &pool, true));
	}
cleanup:
	return status;
}

static enum pb_status add_random(struct builder *b)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	struct pool pool = {0};
	enum pb_status status;

	if (sources->random_size == PB_SIZE_EACH)
		return add_random_each(b);
	PB_TRY(make_room(b, sources->random_count));
	PB_TRY(pool_make(b, b->n_named, &pool));
	PB_TRY(pool_want(b, &pool, sources->random_size, b->n_named > 0 ? &b->sets[0] : NULL));
	PB_TRY(draw_sets(b, &pool, false));
cleanup:
	return status;
}

/* ---- pairs ------------------------------------------------------------------------------ */

static enum pb_status add_pairs(struct builder *b)
{
	struct pb_member *singles, *pair;
	enum pb_status status;
	size_t n, n_sets;
	char name[NAME_SIZE];

	if (!pb_size_mul(b->n_layers, b->n_heads, &n) || !pb_size_mul(n, n + 1, &n_sets))
		n_sets = SIZE_MAX;
	PB_TRY(make_room(b, n_sets / 2));
	singles = pb_arena_alloc(b->arena, n, sizeof *singles);
	if (singles == NULL)
		return out_of_memory(b->err);
	for (size_t i = 0; i < n; i++) {
		singles[i] =
		    (struct pb_member){(int32_t)(i / b->n_heads), (int32_t)(i % b->n_heads)};
		(void)snprintf(name, sizeof name, "L%dH%d", (int)singles[i].layer,
			       (int)singles[i].head);
		PB_TRY(add_set(b, PB_SET_PAIRS, name, &singles[i], 1));
	}
	pair = pb_arena_alloc(b->arena, n * (n - 1) / 2, 2 * sizeof *pair);
	if (pair == NULL)
		return out_of_memory(b->err);
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++, pair += 2) {
			pair[0] = singles[i];
			pair[1] = singles[j];
			(void)snprintf(name, sizeof name, "L%dH%d+L%dH%d", (int)pair[0].layer,
				       (int)pair[0].head, (int)pair[1].layer, (int)pair[1].head);
			PB_TRY(add_set(b, PB_SET_PAIRS, name, pair, 2));
		}
cleanup:
	return status;
}

/* ---- all of them ------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Named sets cannot share a name (they are keys of a map), but may have that of a set that is made.
 */
static enum pb_status check_names(const struct builder *b)
{
	const char **names = pb_arena_alloc(b->arena, b->n, sizeof *names);

	if (names == NULL)
		return out_of_memory(b->err);
	for (size_t s = 0; s < b->n; s++)
		names[s] = b->sets[s].name;
	qsort(names, b->n, sizeof *names, compare_names);
	for (size_t s = 1; s < b->n; s++)
		if (strcmp(names[s - 1], names[s]) == 0)
			return pb_fail(b->err, PB_ERR_INPUT,
				       "two sets of one name: sweep.sets: '%s' is also the name of "
				       "a set that top, random or pairs makes: call yours "
				       "otherwise",
				       names[s]);
	return PB_OK;
}

enum pb_status pb_sweep_resolve(struct pb_sweep *sweep, const struct pb_arch *arch,
				struct pb_arena *arena, struct pb_error *err)
{
	struct builder b = {.n_layers = arch->n_layers,
			    .n_heads = heads_of(sweep, arch),
			    .arena = arena,
			    .err = err};
	enum pb_status status = PB_OK;

	if (!sweep->by_sets)
		return PB_OK;
	b.sweep = sweep;
	b.n = b.n_named = sweep->n_sets;
	b.sets = (struct pb_set *)sweep->sets;
	if (sweep->set_sources.top_path != NULL)
		PB_TRY(add_top(&b));
	if (sweep->set_sources.random_count > 0)
		PB_TRY(add_random(&b));
	if (sweep->set_sources.all_pairs)
		PB_TRY(add_pairs(&b));
	PB_TRY(check_names(&b));
	sweep->sets = b.sets;
	sweep->n_sets = b.n;
cleanup:
	return status;
}

/* ---- complement ------------------------------------------------------------------------- */

/* Whether any set has a head, or an MLP. Sets that are made have heads alone, and there may be very
 * many of them: only the named ones, which come first, are looked at. */
static void kinds_of(const struct pb_sweep *sweep, bool *heads, bool *mlps)
{
	const struct pb_set *sets = sweep->sets;
	size_t s;

	*heads = *mlps = false;
	for (s = 0; s < sweep->n_sets && sets[s].source == PB_SET_NAMED; s++)
		for (size_t m = 0; m < sets[s].n; m++) {
			*heads = *heads || sets[s].members[m].head >= 0;
			*mlps = *mlps || sets[s].members[m].head < 0;
		}
	*heads = *heads || s < sweep->n_sets || !*mlps;
}

enum pb_status pb_set_complement(const struct pb_sweep *sweep, const struct pb_set *set,
				 const struct pb_arch *arch, struct pb_arena *arena,
				 const struct pb_member **members, size_t *n, struct pb_error *err)
{
	const size_t n_heads = heads_of(sweep, arch);
	struct pb_member *out;
	bool heads, mlps;

	*members = NULL;
	*n = 0;
	kinds_of(sweep, &heads, &mlps);
	out = pb_arena_alloc(arena, arch->n_layers * (n_heads + 1), sizeof *out);
	if (out == NULL)
		return out_of_memory(err);
	for (size_t l = 0; l < arch->n_layers; l++)
		for (size_t h = heads ? 0 : n_heads; h < n_heads + mlps; h++) {
			const struct pb_member m = {(int32_t)l, h < n_heads ? (int32_t)h : -1};

			if (!has_member(set->members, set->n, m.layer, m.head))
				out[(*n)++] = m;
		}
	*members = out;
	return PB_OK;
}
