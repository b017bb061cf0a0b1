/* What may differ in a pair of the adventure task: a word of the start, an argument of a step. */
#include "prompts/adventure_changes.h"

/* of one verb, any; those that decide an answer are fewer in all */
#define FORKS_MAX (PB_ADVENTURE_ACTIONS * (PB_ADVENTURE_OBJECTS + PB_ADVENTURE_CONTAINERS))

static int draw_below(struct pb_rng *rng, int bound)
{
	return (int)pb_rng_below(rng, (uint64_t)bound);
}

/* ---- changes of the start ------------------------------------------------------------------ */

/* Another one of n. */
static int draw_other(int old, int n, struct pb_rng *rng)
{
	int value = draw_below(rng, n - 1);

	return value + (value >= old);
}

static void move_object(struct pb_adventure_story *story, int object, struct pb_rng *rng)
{
	int *place = &story->start.place[object];
	int old =
	    *place < PB_ADVENTURE_ROOMS ? *place : *place - PB_ADVENTURE_ROOMS + story->n_rooms;
	int value = draw_other(old, story->n_rooms + story->n_containers, rng);

	*place = value < story->n_rooms ? value : value - story->n_rooms + PB_ADVENTURE_ROOMS;
}

static void move_player(struct pb_adventure_story *story, struct pb_rng *rng)
{
	story->start.player = draw_other(story->start.player, story->n_rooms, rng);
}

const char *pb_adventure_change_subject(struct pb_adventure_story *story, struct pb_rng *rng)
{
	int subject = story->query.subject;

	switch (story->query.kind) {
	case PB_ADVENTURE_ASK_PLACE:
		move_object(story, subject, rng);
		return "object";
	case PB_ADVENTURE_ASK_PLAYER:
		move_player(story, rng);
		return "player";
	default:
		story->start.open[subject] = !story->start.open[subject];
		return "flag";
	}
}

const char *pb_adventure_change_anything(struct pb_adventure_story *story, struct pb_rng *rng)
{
	int n_containers = story->n_containers;
	int i = draw_below(rng, 1 + story->n_objects + 2 * n_containers);

	if (i == 0) {
		move_player(story, rng);
		return "player";
	}
	i--;
	if (i < story->n_objects) {
		move_object(story, i, rng);
		return "object";
	}
	i -= story->n_objects;
	if (i < n_containers) {
		story->start.open[i] = !story->start.open[i];
		return "flag";
	}
	i -= n_containers;
	story->container_room[i] = draw_other(story->container_room[i], story->n_rooms, rng);
	return "container";
}

/* ---- changes of a step --------------------------------------------------------------------- */

static const char *difference(const struct pb_adventure_action *a,
			      const struct pb_adventure_action *b)
{
	bool direction = a->direction != b->direction, object = a->object != b->object;
	bool container = a->container != b->container;

	if (direction + object + container != 1)
		return NULL;
	return direction ? "direction" : object ? "object" : "container";
}

/* Whether a fork is what a pair of this kind must have, so that the answers can differ. */
static bool decides(const struct pb_adventure_query *query, const struct pb_adventure_fork *fork)
{
	switch (query->kind) {
	case PB_ADVENTURE_ASK_PLACE:
		return fork->clean.verb == PB_ADVENTURE_PUT &&
		       fork->clean.object == query->subject && fork->other.object == query->subject;
	case PB_ADVENTURE_ASK_PLAYER:
		return fork->clean.verb == PB_ADVENTURE_GO;
	default:
		return fork->clean.verb >= PB_ADVENTURE_OPEN &&
		       (fork->clean.container == query->subject ||
			fork->other.container == query->subject);
	}
}

bool pb_adventure_draw_fork(const struct pb_adventure_run *runs, int n, bool any,
			    struct pb_adventure_fork *out, struct pb_rng *rng)
{
	struct pb_adventure_action clean[PB_ADVENTURE_ACTIONS], other[PB_ADVENTURE_ACTIONS];
	struct pb_adventure_fork forks[FORKS_MAX];
	const struct pb_adventure_query *query = &runs[0].story->query;
	int only = any ? draw_below(rng, PB_ADVENTURE_N_VERBS) : -1, n_forks = 0;

	for (int v = 0; v < PB_ADVENTURE_N_VERBS; v++) {
		enum pb_adventure_verb verb = (enum pb_adventure_verb)v;
		int n_clean, n_other;

		if (any && v != only)
			continue;
		n_clean = pb_adventure_list_actions(runs, n, verb, clean);
		n_other = pb_adventure_list_actions(runs, 1, verb, other);
		for (int i = 0; i < n_clean * n_other; i++) {
			struct pb_adventure_fork fork = {.clean = clean[i / n_other],
							 .other = other[i % n_other]};

			fork.changed = difference(&fork.clean, &fork.other);
			if (fork.changed != NULL && (any || decides(query, &fork)))
				forks[n_forks++] = fork;
		}
	}
	if (n_forks == 0)
		return false;
	*out = forks[draw_below(rng, n_forks)];
	return true;
}

void pb_adventure_gather(struct pb_adventure_story *story, struct pb_rng *rng)
{
	bool place = story->query.kind == PB_ADVENTURE_ASK_PLACE;
	int first = place ? draw_below(rng, story->n_containers) : story->query.subject;
	int second = draw_other(first, story->n_containers, rng);
	int room = story->container_room[first];

	story->container_room[second] = room;
	if (draw_below(rng, 2) == 0)
		story->start.player = room;
	if (place && draw_below(rng, 2) == 0)
		story->start.place[story->query.subject] = room;
}
