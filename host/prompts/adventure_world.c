/* The adventure task's world: drawing it, acting in it, and asking about it. */
#include "prompts/adventure_world.h"

#include <assert.h>
#include <string.h>

static int draw_below(struct pb_rng *rng, int bound)
{
	return (int)pb_rng_below(rng, (uint64_t)bound);
}

/* ---- the map ------------------------------------------------------------------------------- */

/* Cells of a square grid, row by row: -1, or the room that is there. The first room is in the
 * middle, so that no other reaches the edge. */
#define GRID (2 * PB_ADVENTURE_ROOMS + 1)
struct grid {
	int room[GRID * GRID];
	int cell[PB_ADVENTURE_ROOMS]; /* of each room */
};

static int cell_beside(const struct grid *grid, int room, int direction)
{
	static const int further[] = {-GRID, 1, GRID, -1};

	return grid->cell[room] + further[direction];
}

static void put_room(struct grid *grid, int room, int cell)
{
	grid->cell[room] = cell;
	grid->room[cell] = room;
}

static int opposite(int direction)
{
	return (direction + 2) % PB_ADVENTURE_N_DIRECTIONS;
}

/* Links a new room to the neighbours that it has by now, told from one end or the other. */
static void link_room(struct pb_adventure_story *story, const struct grid *grid, int room,
		      struct pb_rng *rng)
{
	for (int d = 0; d < PB_ADVENTURE_N_DIRECTIONS; d++) {
		int other = grid->room[cell_beside(grid, room, d)];

		if (other < 0)
			continue;
		story->exits[room][d] = other;
		story->exits[other][opposite(d)] = room;
		assert(story->n_links < PB_ADVENTURE_LINKS);
		story->links[story->n_links++] =
		    draw_below(rng, 2) == 0 ? (struct pb_adventure_link){room, d, other}
					    : (struct pb_adventure_link){other, opposite(d), room};
	}
}

static void draw_map(struct pb_adventure_story *story, struct pb_rng *rng)
{
	int cells[PB_ADVENTURE_ROOMS * PB_ADVENTURE_N_DIRECTIONS];
	struct grid grid;

	memset(&grid, -1, sizeof grid);
	memset(story->exits, -1, sizeof story->exits);
	put_room(&grid, 0, GRID * GRID / 2);
	for (int room = 1; room < story->n_rooms; room++) {
		int n = 0;

		for (int i = 0; i < room * PB_ADVENTURE_N_DIRECTIONS; i++) {
			int cell = cell_beside(&grid, i / PB_ADVENTURE_N_DIRECTIONS,
					       i % PB_ADVENTURE_N_DIRECTIONS);

			if (grid.room[cell] < 0)
				cells[n++] = cell;
		}
		put_room(&grid, room, cells[draw_below(rng, n)]);
		link_room(story, &grid, room, rng);
	}
}

/* ---- names and start ----------------------------------------------------------------------- */

/* n names in any order, of those from bit `first` whose bit is set in `usable`. */
static void draw_names(const char **out, int n, int first, int n_names, uint64_t usable,
		       struct pb_rng *rng)
{
	uint32_t bits[PB_ADVENTURE_N_NAMES];
	size_t n_bits = 0;

	for (int bit = first; bit < first + n_names; bit++)
		if (usable >> bit & 1)
			bits[n_bits++] = (uint32_t)bit;
	assert(n_bits >= (size_t)n && "pb_adventure_prepare comes first");
	pb_rng_shuffle(rng, bits, n_bits);
	for (int i = 0; i < n; i++)
		out[i] = pb_adventure_name((int)bits[i]);
}

void pb_adventure_draw_world(struct pb_adventure_story *story, const struct pb_task_options *o,
			     struct pb_rng *rng)
{
	struct pb_adventure_state *start = &story->start;

	*story = (struct pb_adventure_story){.n_rooms = (int)o->rooms,
					     .n_objects = (int)o->objects,
					     .n_containers = (int)o->containers};
	draw_names(story->rooms, story->n_rooms, 0, PB_ADVENTURE_ROOMS, o->usable, rng);
	draw_names(story->objects, story->n_objects, PB_ADVENTURE_ROOMS, PB_ADVENTURE_OBJECTS,
		   o->usable, rng);
	draw_names(story->containers, story->n_containers,
		   PB_ADVENTURE_ROOMS + PB_ADVENTURE_OBJECTS, PB_ADVENTURE_CONTAINERS, o->usable,
		   rng);
	draw_map(story, rng);
	start->player = draw_below(rng, story->n_rooms);
	for (int c = 0; c < story->n_containers; c++) {
		story->container_room[c] = draw_below(rng, story->n_rooms);
		start->open[c] = draw_below(rng, 2) == 1;
	}
	for (int i = 0; i < story->n_objects; i++) {
		int place = draw_below(rng, story->n_rooms + story->n_containers);

		start->place[i] =
		    place < story->n_rooms ? place : place - story->n_rooms + PB_ADVENTURE_ROOMS;
	}
}

/* ---- actions ------------------------------------------------------------------------------- */

void pb_adventure_begin(struct pb_adventure_run *run, struct pb_adventure_story *story)
{
	run->story = story;
	run->now = story->start;
}

static bool is_in_reach(const struct pb_adventure_run *run, int place)
{
	int container = place - PB_ADVENTURE_ROOMS;

	if (place == PB_ADVENTURE_HAND)
		return false;
	if (container < 0)
		return place == run->now.player;
	return run->story->container_room[container] == run->now.player && run->now.open[container];
}

static bool is_legal(const struct pb_adventure_run *run, const struct pb_adventure_action *action)
{
	const struct pb_adventure_state *now = &run->now;
	int container = action->container;
	bool here = run->story->container_room[container] == now->player;

	switch (action->verb) {
	case PB_ADVENTURE_GO:
		return run->story->exits[now->player][action->direction] >= 0;
	case PB_ADVENTURE_TAKE:
		return is_in_reach(run, now->place[action->object]);
	case PB_ADVENTURE_PUT:
		return now->place[action->object] == PB_ADVENTURE_HAND && here &&
		       now->open[container];
	case PB_ADVENTURE_OPEN:
		return here && !now->open[container];
	default:
		return here && now->open[container];
	}
}

void pb_adventure_do(struct pb_adventure_run *run, const struct pb_adventure_action *action)
{
	struct pb_adventure_state *now = &run->now;

	assert(is_legal(run, action) && run->story->n_steps < PB_ADVENTURE_STEPS);
	switch (action->verb) {
	case PB_ADVENTURE_GO:
		now->player = run->story->exits[now->player][action->direction];
		break;
	case PB_ADVENTURE_TAKE:
		now->place[action->object] = PB_ADVENTURE_HAND;
		break;
	case PB_ADVENTURE_PUT:
		now->place[action->object] = PB_ADVENTURE_ROOMS + action->container;
		break;
	default:
		now->open[action->container] = action->verb == PB_ADVENTURE_OPEN;
		break;
	}
	run->story->steps[run->story->n_steps++] = *action;
}

static bool is_legal_in_all(const struct pb_adventure_run *runs, int n,
			    const struct pb_adventure_action *action)
{
	for (int i = 0; i < n; i++)
		if (!is_legal(&runs[i], action))
			return false;
	return true;
}

int pb_adventure_list_actions(const struct pb_adventure_run *runs, int n,
			      enum pb_adventure_verb verb,
			      struct pb_adventure_action actions[PB_ADVENTURE_ACTIONS])
{
	const struct pb_adventure_story *story = runs[0].story;
	bool has_object = verb == PB_ADVENTURE_TAKE || verb == PB_ADVENTURE_PUT;
	bool has_container = verb >= PB_ADVENTURE_PUT;
	int n_directions = verb == PB_ADVENTURE_GO ? PB_ADVENTURE_N_DIRECTIONS : 1;
	int n_objects = has_object ? story->n_objects : 1;
	int n_containers = has_container ? story->n_containers : 1;
	int n_actions = 0;

	for (int d = 0; d < n_directions; d++)
		for (int i = 0; i < n_objects; i++)
			for (int c = 0; c < n_containers; c++) {
				struct pb_adventure_action action = {verb, d, i, c};

				if (is_legal_in_all(runs, n, &action))
					actions[n_actions++] = action;
			}
	return n_actions;
}

bool pb_adventure_draw_steps(struct pb_adventure_run *runs, int n, int n_steps, struct pb_rng *rng)
{
	struct pb_adventure_action actions[PB_ADVENTURE_N_VERBS][PB_ADVENTURE_ACTIONS];
	int n_actions[PB_ADVENTURE_N_VERBS];

	for (int t = 0; t < n_steps; t++) {
		const struct pb_adventure_action *action;
		int n_verbs = 0, verb;

		for (int v = 0; v < PB_ADVENTURE_N_VERBS; v++) {
			n_actions[n_verbs] = pb_adventure_list_actions(
			    runs, n, (enum pb_adventure_verb)v, actions[n_verbs]);
			n_verbs += n_actions[n_verbs] > 0;
		}
		if (n_verbs == 0)
			return false;
		verb = draw_below(rng, n_verbs);
		action = &actions[verb][draw_below(rng, n_actions[verb])];
		for (int i = 0; i < n; i++)
			pb_adventure_do(&runs[i], action);
	}
	return true;
}

/* ---- queries ------------------------------------------------------------------------------- */

int pb_adventure_answer(const struct pb_adventure_query *query,
			const struct pb_adventure_state *state)
{
	switch (query->kind) {
	case PB_ADVENTURE_ASK_PLACE:
		return state->place[query->subject];
	case PB_ADVENTURE_ASK_PLAYER:
		return state->player;
	default:
		return state->open[query->subject];
	}
}

void pb_adventure_draw_query(struct pb_adventure_run *run, struct pb_rng *rng)
{
	struct pb_adventure_query *query = &run->story->query;
	enum pb_adventure_kind kinds[PB_ADVENTURE_N_KINDS];
	int placed[PB_ADVENTURE_OBJECTS];
	int n_kinds = 0, n_placed = 0;

	for (int i = 0; i < run->story->n_objects; i++)
		if (run->now.place[i] != PB_ADVENTURE_HAND)
			placed[n_placed++] = i;
	kinds[n_kinds++] = PB_ADVENTURE_ASK_PLAYER;
	if (n_placed > 0)
		kinds[n_kinds++] = PB_ADVENTURE_ASK_PLACE;
	if (run->story->n_containers > 0)
		kinds[n_kinds++] = PB_ADVENTURE_ASK_FLAG;
	*query = (struct pb_adventure_query){.kind = kinds[draw_below(rng, n_kinds)]};
	if (query->kind == PB_ADVENTURE_ASK_PLACE)
		query->subject = placed[draw_below(rng, n_placed)];
	else if (query->kind == PB_ADVENTURE_ASK_FLAG)
		query->subject = draw_below(rng, run->story->n_containers);
}

/* ---- facts --------------------------------------------------------------------------------- */

static bool matters(const struct pb_adventure_query *query,
		    const struct pb_adventure_action *action)
{
	switch (query->kind) {
	case PB_ADVENTURE_ASK_PLACE:
		return action->verb == PB_ADVENTURE_PUT && action->object == query->subject;
	case PB_ADVENTURE_ASK_PLAYER:
		return action->verb == PB_ADVENTURE_GO;
	default:
		return (action->verb == PB_ADVENTURE_OPEN || action->verb == PB_ADVENTURE_CLOSE) &&
		       action->container == query->subject;
	}
}

/* The states that can be reached are a product, so that none has to be searched: whoever walks can
 * get everywhere, open and close everything, and bring any object from its place by way of the hand
 * into any container; only a room that an object is taken from does not get it back. */
static uint64_t count_reachable(const struct pb_adventure_story *story)
{
	uint64_t n = (uint64_t)story->n_rooms << story->n_containers;

	for (int i = 0; i < story->n_objects; i++)
		n *= (uint64_t)(story->n_containers + 1 +
				(story->start.place[i] < PB_ADVENTURE_ROOMS));
	return n;
}

void pb_adventure_facts_of(const struct pb_adventure_story *story, struct pb_adventure_facts *facts)
{
	*facts = (struct pb_adventure_facts){.evidence = -1, .reachable = count_reachable(story)};
	for (int t = 0; t < story->n_steps; t++)
		if (matters(&story->query, &story->steps[t])) {
			facts->evidence = t;
			facts->n_needed++;
		}
	/* an object, or a flag, is what the last step made it; a room is where all steps lead */
	if (story->query.kind != PB_ADVENTURE_ASK_PLAYER && facts->n_needed > 1)
		facts->n_needed = 1;
}
