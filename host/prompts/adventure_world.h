/* The world of the adventure task: rooms, what is in them, what can be done, and what is asked. */
#ifndef PATCHBAY_PROMPTS_ADVENTURE_WORLD_H
#define PATCHBAY_PROMPTS_ADVENTURE_WORLD_H

#include <stdbool.h>

#include "patchbay/pairs.h"
#include "prompts/words.h"

#define PB_ADVENTURE_ROOMS 10
#define PB_ADVENTURE_OBJECTS 8
#define PB_ADVENTURE_CONTAINERS 6
#define PB_ADVENTURE_STEPS 20
#define PB_ADVENTURE_LINKS 13 /* no 10 cells of a square grid have more sides in common */
#define PB_ADVENTURE_ACTIONS (PB_ADVENTURE_OBJECTS * PB_ADVENTURE_CONTAINERS) /* of one verb */
/* "You are in the hall ." has 6 words, "North of the hall is the garden ." 8, "The box is in the
 * hall ." 7, "The box is open ." 5, "You put the lamp in the box ." 8, "The lamp is in the" 5. */
_Static_assert(6 + 8 * PB_ADVENTURE_LINKS + 12 * PB_ADVENTURE_CONTAINERS +
		       7 * PB_ADVENTURE_OBJECTS + 8 * PB_ADVENTURE_STEPS + 5 <=
		   PB_WORDS_MAX,
	       "room for a story");

/* A place of an object is a room (from 0), a container (from PB_ADVENTURE_ROOMS), or the hand. */
#define PB_ADVENTURE_HAND (PB_ADVENTURE_ROOMS + PB_ADVENTURE_CONTAINERS)

enum pb_adventure_direction {
	PB_ADVENTURE_NORTH,
	PB_ADVENTURE_EAST,
	PB_ADVENTURE_SOUTH, /* two further on is the way back */
	PB_ADVENTURE_WEST,
	PB_ADVENTURE_N_DIRECTIONS
};

enum pb_adventure_verb {
	PB_ADVENTURE_GO,    /* there is a link in that direction */
	PB_ADVENTURE_TAKE,  /* the object is in the player's room, or in an open container there */
	PB_ADVENTURE_PUT,   /* the object is in the hand, the container open and in the room */
	PB_ADVENTURE_OPEN,  /* the container is in the room, and closed */
	PB_ADVENTURE_CLOSE, /* the container is in the room, and open */
	PB_ADVENTURE_N_VERBS
};

/* Arguments that a verb has not are 0. */
struct pb_adventure_action {
	enum pb_adventure_verb verb;
	int direction, object, container;
};

/* What actions change. */
struct pb_adventure_state {
	int player; /* room */
	int place[PB_ADVENTURE_OBJECTS];
	bool open[PB_ADVENTURE_CONTAINERS];
};

enum pb_adventure_kind {
	PB_ADVENTURE_ASK_PLACE,  /* of object `subject`; the answer is a place, never the hand */
	PB_ADVENTURE_ASK_PLAYER, /* the answer is a room */
	PB_ADVENTURE_ASK_FLAG,   /* of container `subject`; the answer is 1 (open) or 0 (closed) */
	PB_ADVENTURE_N_KINDS
};

struct pb_adventure_query {
	enum pb_adventure_kind kind;
	int subject;
};

/* `direction` of room `from` is room `to`: each link is told once, one way or the other. */
struct pb_adventure_link {
	int from, direction, to;
};

struct pb_adventure_story {
	int n_rooms, n_objects, n_containers, n_links, n_steps;
	const char *rooms[PB_ADVENTURE_ROOMS]; /* names have a leading space, as answers have */
	const char *objects[PB_ADVENTURE_OBJECTS];
	const char *containers[PB_ADVENTURE_CONTAINERS];
	struct pb_adventure_link links[PB_ADVENTURE_LINKS];
	int exits[PB_ADVENTURE_ROOMS][PB_ADVENTURE_N_DIRECTIONS]; /* room there, -1: none */
	int container_room[PB_ADVENTURE_CONTAINERS];
	struct pb_adventure_state start;
	struct pb_adventure_action steps[PB_ADVENTURE_STEPS];
	struct pb_adventure_query query;
};

/* A story and the state after the steps that it has. */
struct pb_adventure_run {
	struct pb_adventure_story *story;
	struct pb_adventure_state now;
};

/* Whether each word may stand in a story: bits of pb_task_options.usable. */
#define PB_ADVENTURE_N_NAMES (PB_ADVENTURE_ROOMS + PB_ADVENTURE_OBJECTS + PB_ADVENTURE_CONTAINERS)
const char *pb_adventure_name(int bit);            /* rooms, objects, containers: " hall" */
const char *pb_adventure_direction(int direction); /* " north" */
const char *pb_adventure_flag(bool open);          /* " open" */

/* Names, map and start of a story without steps. The rooms are cells of a square grid, each next to
 * one before it; neighbours are linked. Places are uniform among rooms and containers, nothing is
 * in the hand. */
void pb_adventure_draw_world(struct pb_adventure_story *story, const struct pb_task_options *o,
			     struct pb_rng *rng);

void pb_adventure_begin(struct pb_adventure_run *run, struct pb_adventure_story *story);

/* Actions with this verb that are legal in all n runs (of worlds of one size). */
int pb_adventure_list_actions(const struct pb_adventure_run *runs, int n,
			      enum pb_adventure_verb verb,
			      struct pb_adventure_action actions[PB_ADVENTURE_ACTIONS]);

/* Adds a legal action to the run's story and carries it out. */
void pb_adventure_do(struct pb_adventure_run *run, const struct pb_adventure_action *action);

/* n_steps more steps, the same in all n runs: a verb of those that all can do, then one of its
 * actions. False when the runs have nothing left that all can do; one alone always has. */
bool pb_adventure_draw_steps(struct pb_adventure_run *runs, int n, int n_steps, struct pb_rng *rng);

/* ---- queries ------------------------------------------------------------------------------- */

/* The answer to the story's query in a state: see enum pb_adventure_kind; PB_ADVENTURE_HAND is no
 * answer that can be told. */
int pb_adventure_answer(const struct pb_adventure_query *query,
			const struct pb_adventure_state *state);

/* Something that can be asked in this state: a kind, then a subject. */
void pb_adventure_draw_query(struct pb_adventure_run *run, struct pb_rng *rng);

/* What the story's answer depends on. */
struct pb_adventure_facts {
	int evidence;       /* the last step that matters, -1: none */
	int n_needed;       /* steps that matter: every `go`; the last `put`, `open` or `close` */
	uint64_t reachable; /* states that can be reached from the start */
};
void pb_adventure_facts_of(const struct pb_adventure_story *story,
			   struct pb_adventure_facts *facts);

#endif
