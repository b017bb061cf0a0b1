/* Sets of heads and MLPs. */
#include "engine/sets.h"

#include <stdlib.h>
#include <string.h>

#include "patchbay/results.h"

#define STREAM_SETS UINT64_C(0x72616e646f6d7365) /* "randomse" */
#define NAME_SIZE 64

/* The growing list of a sweep's sets. */
struct builder {
	const struct pb_sweep *sweep;
	size_t n_layers, n_heads; /* heads of the sweep's site, by layer */
	size_t n, n_named;
	struct pb_set *sets;
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

/* Number of sets that are made, not named. */
static bool count_made(const struct pb_sweep *s, size_t n_heads, size_t *n)
{
	const struct pb_set_sources *sources = &s->set_sources;
	size_t pairs = 0;

	*n = sources->top_path == NULL ? 0 : sources->top;
	if (!pb_size_add(*n, sources->random_count, n))
		return false;
	if (!sources->all_pairs)
		return true;
	return pb_size_mul(n_heads, n_heads + 1, &pairs) && pb_size_add(*n, pairs / 2, n);
}

/* One more set with a copy of its name; its members are the caller's. */
static enum pb_status add_set(struct builder *b, const char *name, const struct pb_member *members,
			      size_t n)
{
	struct pb_set set = {pb_arena_strdup(b->arena, name), n, members};

	if (set.name == NULL)
		return out_of_memory(b->err);
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

/* The first `top` heads of a ranking. */
static enum pb_status take_top(const struct builder *b, const struct pb_ranking *ranking,
			       struct pb_member *members)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	size_t n = 0;

	for (size_t c = 0; c < ranking->n && n < sources->top; c++) {
		const struct pb_ranked_cell *cell = &ranking->cells[c];

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
				       sources->top_path, ranking->sweep, (int)cell->layer,
				       (int)cell->head, b->n_layers, b->n_heads);
		if (!has_member(members, n, cell->layer, cell->head))
			members[n++] = (struct pb_member){cell->layer, cell->head};
	}
	if (n < sources->top)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "too few heads: %s, sweep %s (sweep.sets.top): it ranks %zu heads: "
			       "give a k of at most that",
			       sources->top_path, ranking->sweep, n);
	return PB_OK;
}

static enum pb_status add_top(struct builder *b)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	struct pb_ranking ranking = {0};
	struct pb_member *members;
	enum pb_status status;
	char name[NAME_SIZE];

	/* All cells: the same head may stand there once a position. */
	PB_TRY(pb_result_rank(&ranking, sources->top_path, sources->top_sweep, 0, false, b->err));
	members = pb_arena_alloc(b->arena, sources->top, sizeof *members);
	if (members == NULL) {
		status = out_of_memory(b->err);
		goto cleanup;
	}
	PB_TRY(take_top(b, &ranking, members));
	/* The sets are beginnings of one array. */
	for (size_t k = 1; k <= sources->top; k++) {
		(void)snprintf(name, sizeof name, "top %zu", k);
		PB_TRY(add_set(b, name, members, k));
	}
cleanup:
	pb_ranking_free(&ranking);
	return status;
}

/* ---- random ----------------------------------------------------------------------------- */

/* What random sets are drawn from: heads, numbered layer * n_heads + head, outside all named sets.
 */
struct pool {
	bool *taken;      /* [layers * heads] */
	uint32_t *heads;  /* free ones, rising; shuffled while drawing */
	size_t *n_wanted; /* of each layer, or of all in [0] */
	size_t n_groups, group_size;
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

static enum pb_status pool_make(const struct builder *b, struct pool *pool)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	size_t n = b->n_layers * b->n_heads;

	pool->n_groups = sources->random_match_layer ? b->n_layers : 1;
	pool->group_size = n / pool->n_groups;
	pool->taken = pb_arena_alloc(b->arena, n, sizeof *pool->taken);
	pool->heads = pb_arena_alloc(b->arena, n, sizeof *pool->heads);
	pool->n_wanted = pb_arena_alloc(b->arena, pool->n_groups, sizeof *pool->n_wanted);
	if (pool->taken == NULL || pool->heads == NULL || pool->n_wanted == NULL)
		return out_of_memory(b->err);
	for (size_t s = 0; s < b->n_named; s++)
		for (size_t m = 0; m < b->sets[s].n; m++) {
			const struct pb_member *member = &b->sets[s].members[m];

			if (!exists(b, member))
				continue;
			pool->taken[(size_t)member->layer * b->n_heads + (size_t)member->head] =
			    true;
			if (sources->random_match_layer && s == 0)
				pool->n_wanted[member->layer]++;
		}
	if (!sources->random_match_layer)
		pool->n_wanted[0] = sources->random_size;
	for (size_t g = 0; g < pool->n_groups; g++) {
		size_t n_free = collect_free(pool, g);

		if (n_free >= pool->n_wanted[g])
			continue;
		if (sources->random_match_layer)
			return pb_fail(
			    b->err, PB_ERR_INPUT,
			    "too few heads to draw: sweep.sets.random: layer %zu has %zu "
			    "heads outside the named sets, and %zu are wanted: set "
			    "match to none, or name fewer heads",
			    g, n_free, pool->n_wanted[g]);
		return pb_fail(b->err, PB_ERR_INPUT,
			       "too few heads to draw: sweep.sets.random: %zu heads are outside "
			       "the named sets, and %zu are wanted: give a smaller size",
			       n_free, pool->n_wanted[g]);
	}
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

static enum pb_status add_random(struct builder *b)
{
	const struct pb_set_sources *sources = &b->sweep->set_sources;
	struct pool pool;
	enum pb_status status;
	size_t size = 0;

	PB_TRY(pool_make(b, &pool));
	for (size_t g = 0; g < pool.n_groups; g++)
		size += pool.n_wanted[g];
	if (size == 0)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "empty random sets: sweep.sets.random: give a size of at least 1");
	for (size_t i = 0; i < sources->random_count; i++) {
		struct pb_member *members = pb_arena_alloc(b->arena, size, sizeof *members);
		char name[NAME_SIZE];
		struct pb_rng rng;

		if (members == NULL)
			return out_of_memory(b->err);
		pb_rng_seed(&rng, STREAM_SETS, 0, sources->random_seed, i);
		draw(b, &pool, &rng, members);
		(void)snprintf(name, sizeof name, "random %zu", i);
		PB_TRY(add_set(b, name, members, size));
	}
cleanup:
	return status;
}

/* ---- pairs ------------------------------------------------------------------------------ */

static enum pb_status add_pairs(struct builder *b)
{
	const size_t n = b->n_layers * b->n_heads;
	struct pb_member *singles = pb_arena_alloc(b->arena, n, sizeof *singles);
	struct pb_member *pair;
	enum pb_status status = PB_OK;
	char name[NAME_SIZE];

	if (singles == NULL)
		return out_of_memory(b->err);
	for (size_t i = 0; i < n; i++) {
		singles[i] =
		    (struct pb_member){(int32_t)(i / b->n_heads), (int32_t)(i % b->n_heads)};
		(void)snprintf(name, sizeof name, "L%dH%d", (int)singles[i].layer,
			       (int)singles[i].head);
		PB_TRY(add_set(b, name, &singles[i], 1));
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
			PB_TRY(add_set(b, name, pair, 2));
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

static enum pb_status builder_begin(struct builder *b, const struct pb_sweep *sweep)
{
	size_t n_heads, n = 0;

	b->sweep = sweep;
	b->n_named = sweep->n_sets;
	if (!pb_size_mul(b->n_layers, b->n_heads, &n_heads) || !count_made(sweep, n_heads, &n) ||
	    !pb_size_add(n, sweep->n_sets, &n) || n > INT32_MAX)
		return pb_fail(b->err, PB_ERR_INPUT,
			       "too many sets: sweep.sets: give a smaller count, or no pairs: all");
	b->sets = pb_arena_alloc(b->arena, n, sizeof *b->sets);
	if (b->sets == NULL)
		return out_of_memory(b->err);
	if (sweep->n_sets > 0)
		memcpy(b->sets, sweep->sets, sweep->n_sets * sizeof *b->sets);
	b->n = sweep->n_sets;
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
	PB_TRY(builder_begin(&b, sweep));
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
 * many of them: only the named ones are looked at. */
static void kinds_of(const struct pb_sweep *sweep, size_t n_heads, bool *heads, bool *mlps)
{
	size_t made = 0, named = sweep->n_sets;

	if (count_made(sweep, n_heads, &made) && made <= named)
		named -= made;
	*heads = made > 0;
	*mlps = false;
	for (size_t s = 0; s < named; s++)
		for (size_t m = 0; m < sweep->sets[s].n; m++) {
			*heads = *heads || sweep->sets[s].members[m].head >= 0;
			*mlps = *mlps || sweep->sets[s].members[m].head < 0;
		}
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
	kinds_of(sweep, arch->n_layers * n_heads, &heads, &mlps);
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
