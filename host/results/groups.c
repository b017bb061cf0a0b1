/* Groups of matched pairs. */
#include "results/groups.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What one pair says of its group. */
struct claim {
	char *group; /* its id as JSON; NULL: it names none */
	size_t pair, cell;
	bool is_state, is_action, any; /* any: it names a group or a partner */
};

static enum pb_status read_claim(struct claim *c, const struct pb_pairs *pairs, size_t i,
				 struct pb_error *err)
{
	json_error_t where;
	json_t *extra = json_loads(pairs->items[i].extra, JSON_REJECT_DUPLICATES, &where);
	const json_t *group = json_object_get(extra, "group");
	const json_t *key = json_object_get(extra, "partner");
	const char *partner = json_string_value(key);
	enum pb_status status = PB_OK;

	*c = (struct claim){.pair = i, .any = group != NULL || key != NULL};
	if (!json_is_object(extra)) {
		status =
		    pb_fail(err, PB_ERR_INPUT, "keys of a pair are not a JSON object: pair %zu: %s",
			    i, where.text);
		goto cleanup;
	}
	c->is_state = partner != NULL && strcmp(partner, "state") == 0;
	c->is_action = partner != NULL && strcmp(partner, "action") == 0;
	if (group == NULL || json_is_null(group))
		goto cleanup;
	c->group = json_dumps(group, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
	if (c->group == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: groups of pairs");
cleanup:
	json_decref(extra);
	return status;
}

/* Cell by cell; those that name no group come first. */
static int compare_groups(const struct claim *x, const struct claim *y)
{
	if (x->cell != y->cell)
		return x->cell < y->cell ? -1 : 1;
	return strcmp(x->group != NULL ? x->group : "", y->group != NULL ? y->group : "");
}

static int by_group(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	const int order = compare_groups(x, y);

	return order != 0 ? order : (x->pair > y->pair) - (x->pair < y->pair);
}

static size_t first_of(const struct pb_group *g)
{
	return g->state < g->action ? g->state : g->action;
}

static int by_first(const void *a, const void *b)
{
	const size_t x = first_of(a), y = first_of(b);

	return (x > y) - (x < y);
}

/* Whether two claims to one group are a state and an action partner of one clean prompt. */
static bool are_partners(const struct claim *x, const struct claim *y, const struct pb_pair *pairs)
{
	const struct pb_pair *a = &pairs[x->pair], *b = &pairs[y->pair];

	if (!(x->is_state && y->is_action) && !(x->is_action && y->is_state))
		return false;
	return a->length == b->length && a->answer == b->answer &&
	       memcmp(a->clean, b->clean, a->length * sizeof *a->clean) == 0;
}

/* The groups among claims that are sorted by their groups. */
static void match(struct pb_groups *groups, const struct claim *claims, size_t n,
		  const struct pb_pair *pairs)
{
	size_t i, end, k;

	for (i = 0; i < n; i = end) {
		const struct claim *a = &claims[i];

		for (end = i + 1; end < n && compare_groups(a, &claims[end]) == 0; end++)
			;
		if (a->group != NULL && end == i + 2 && are_partners(a, a + 1, pairs)) {
			groups->items[groups->n++] =
			    (struct pb_group){.state = a[a->is_state ? 0 : 1].pair,
					      .action = a[a->is_state ? 1 : 0].pair};
			continue;
		}
		for (k = i; k < end; k++)
			groups->n_unmatched += claims[k].any;
	}
	qsort(groups->items, groups->n, sizeof *groups->items, by_first);
}

enum pb_status pb_groups_find(struct pb_groups *groups, const struct pb_pairs *pairs,
			      const struct pb_cell *cells, size_t n_cells, struct pb_error *err)
{
	enum pb_status status;
	struct claim *claims = NULL;
	size_t i, c;

	*groups = (struct pb_groups){0};
	PB_TRY(pb_alloc((void **)&claims, pairs->n, sizeof *claims, "groups of pairs", err));
	PB_TRY(pb_alloc((void **)&groups->items, pairs->n, sizeof *groups->items, "groups of pairs",
			err));
	for (i = 0; i < pairs->n; i++)
		PB_TRY(read_claim(&claims[i], pairs, i, err));
	for (c = 0; c < n_cells; c++)
		for (i = 0; i < cells[c].n; i++)
			claims[cells[c].first + i].cell = c;
	qsort(claims, pairs->n, sizeof *claims, by_group);
	match(groups, claims, pairs->n, pairs->items);
cleanup:
	for (i = 0; claims != NULL && i < pairs->n; i++)
		free(claims[i].group);
	free(claims);
	if (status != PB_OK)
		pb_groups_free(groups);
	return status;
}

void pb_groups_free(struct pb_groups *groups)
{
	free(groups->items);
	*groups = (struct pb_groups){0};
}
