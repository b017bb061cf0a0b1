/* The adventure task's words: telling a story, and naming what is asked. */
#include "prompts/adventure_text.h"

#include <assert.h>

#include "prompts/adventure.h"

/* ---- names --------------------------------------------------------------------------------- */

static const char *const names[] = {
    " hall",  " kitchen", " garden", " cellar", " attic", " library", " office", " garage",
    " porch", " barn",    " lamp",   " key",    " coin",  " book",    " rope",   " map",
    " ring",  " cup",     " box",    " chest",  " bag",   " drawer",  " crate",  " barrel",
};
_Static_assert(sizeof names / sizeof *names == PB_ADVENTURE_N_NAMES, "as many as there are bits");

static const char *const directions[] = {" north", " east", " south", " west"};
static const char *const capitalised[] = {"North", "East", "South", "West"};

const char *pb_adventure_name(int bit)
{
	return names[bit];
}

const char *pb_adventure_direction(int direction)
{
	return directions[direction];
}

const char *pb_adventure_flag(bool open)
{
	return open ? " open" : " closed";
}

/* ---- telling ------------------------------------------------------------------------------- */

enum {
	PLAYER,
	LINK,
	CONTAINER,
	FLAG,
	OBJECT,
	GO,
	TAKE,
	PUT,
	OPEN,
	CLOSE,
	ASK_PLACE,
	ASK_PLAYER,
	ASK_FLAG
};

const struct pb_pattern_row pb_adventure_patterns[] = {
    [PLAYER] = {.name = "player",
		.text = "You are in the {room}.",
		.role = "state",
		.opens = true,
		.slots = {{.name = "room"}}},
    [LINK] = {.name = "link",
	      .text = "{Direction} of the {room} is the {other}.",
	      .role = "map",
	      .slots = {{.name = "direction", .capital = true},
			{.name = "room"},
			{.name = "other"}}},
    [CONTAINER] = {.name = "container",
		   .text = "The {container} is in the {room}.",
		   .role = "map",
		   .slots = {{.name = "container"}, {.name = "room"}}},
    [FLAG] = {.name = "flag",
	      .text = "The {container} is {flag}.",
	      .role = "state",
	      .slots = {{.name = "container"}, {.name = "flag"}}},
    [OBJECT] = {.name = "object",
		.text = "The {object} is in the {place}.",
		.role = "state",
		.slots = {{.name = "object"}, {.name = "place"}}},
    [GO] = {.name = "go",
	    .text = "You go {direction}.",
	    .role = "action",
	    .slots = {{.name = "direction"}}},
    [TAKE] = {.name = "take",
	      .text = "You take the {object}.",
	      .role = "action",
	      .slots = {{.name = "object"}}},
    [PUT] = {.name = "put",
	     .text = "You put the {object} in the {container}.",
	     .role = "action",
	     .slots = {{.name = "object"}, {.name = "container"}}},
    [OPEN] = {.name = "open",
	      .text = "You open the {container}.",
	      .role = "action",
	      .slots = {{.name = "container"}}},
    [CLOSE] = {.name = "close",
	       .text = "You close the {container}.",
	       .role = "action",
	       .slots = {{.name = "container"}}},
    [ASK_PLACE] = {.name = "ask_place",
		   .text = "The {object} is in the",
		   .role = "query",
		   .kind = PB_PATTERN_END,
		   .slots = {{.name = "object"}}},
    [ASK_PLAYER] = {.name = "ask_player",
		    .text = "You are in the",
		    .role = "query",
		    .kind = PB_PATTERN_END},
    [ASK_FLAG] = {.name = "ask_flag",
		  .text = "The {container} is",
		  .role = "query",
		  .kind = PB_PATTERN_END,
		  .slots = {{.name = "container"}}},
    {.name = NULL},
};

const char *pb_adventure_place_name(const struct pb_adventure_story *story, int place)
{
	assert(place >= 0 && place < PB_ADVENTURE_HAND);
	return place < PB_ADVENTURE_ROOMS ? story->rooms[place]
					  : story->containers[place - PB_ADVENTURE_ROOMS];
}

/* A sentence with one or two names, which have a space in front. */
static void tell(struct pb_words *words, const struct pb_wording *wording, size_t row,
		 const char *first, const char *second)
{
	PB_TELL(wording, row, words, {.text = first + 1}, {.text = second + 1});
}

static void tell_world(struct pb_words *words, const struct pb_adventure_story *story,
		       const struct pb_wording *wording)
{
	const struct pb_adventure_state *start = &story->start;
	const char *const *rooms = story->rooms;

	tell(words, wording, PLAYER, rooms[start->player], " ");
	for (int l = 0; l < story->n_links; l++) {
		const struct pb_adventure_link *link = &story->links[l];

		PB_TELL(wording, LINK, words,
			{.text = directions[link->direction] + 1,
			 .capital = capitalised[link->direction]},
			{.text = rooms[link->from] + 1}, {.text = rooms[link->to] + 1});
	}
	for (int c = 0; c < story->n_containers; c++) {
		const char *name = story->containers[c];

		tell(words, wording, CONTAINER, name, rooms[story->container_room[c]]);
		tell(words, wording, FLAG, name, pb_adventure_flag(start->open[c]));
	}
	for (int i = 0; i < story->n_objects; i++)
		tell(words, wording, OBJECT, story->objects[i],
		     pb_adventure_place_name(story, start->place[i]));
}

static void tell_step(struct pb_words *words, const struct pb_adventure_story *story,
		      const struct pb_wording *wording, const struct pb_adventure_action *action)
{
	const char *object = story->objects[action->object];
	const char *container = story->containers[action->container];

	switch (action->verb) {
	case PB_ADVENTURE_GO:
		tell(words, wording, GO, directions[action->direction], " ");
		break;
	case PB_ADVENTURE_TAKE:
		tell(words, wording, TAKE, object, " ");
		break;
	case PB_ADVENTURE_PUT:
		tell(words, wording, PUT, object, container);
		break;
	default:
		tell(words, wording, action->verb == PB_ADVENTURE_OPEN ? OPEN : CLOSE, container,
		     " ");
		break;
	}
}

void pb_adventure_words_of(const struct pb_adventure_story *story, const struct pb_wording *wording,
			   struct pb_words *words)
{
	static const size_t questions[] = {[PB_ADVENTURE_ASK_PLACE] = ASK_PLACE,
					   [PB_ADVENTURE_ASK_PLAYER] = ASK_PLAYER,
					   [PB_ADVENTURE_ASK_FLAG] = ASK_FLAG};

	pb_words_begin(words);
	tell_world(words, story, wording);
	for (int t = 0; t < story->n_steps; t++)
		tell_step(words, story, wording, &story->steps[t]);
	tell(words, wording, questions[story->query.kind], pb_adventure_subject(story), " ");
}

/* ---- queries ------------------------------------------------------------------------------- */

const char *pb_adventure_kind_name(enum pb_adventure_kind kind)
{
	static const char *const kinds[] = {"place", "player", "flag"};

	return kinds[kind];
}

const char *pb_adventure_subject(const struct pb_adventure_story *story)
{
	switch (story->query.kind) {
	case PB_ADVENTURE_ASK_PLACE:
		return story->objects[story->query.subject];
	case PB_ADVENTURE_ASK_PLAYER:
		return " you";
	default:
		return story->containers[story->query.subject];
	}
}

const char *pb_adventure_answer_text(const struct pb_adventure_story *story, int answer)
{
	if (story->query.kind == PB_ADVENTURE_ASK_FLAG)
		return pb_adventure_flag(answer == 1);
	return pb_adventure_place_name(story, answer);
}

int pb_adventure_candidates(const struct pb_adventure_story *story,
			    int answers[PB_ADVENTURE_CANDIDATES])
{
	int n = 0;

	if (story->query.kind == PB_ADVENTURE_ASK_FLAG) {
		answers[n++] = 1;
		answers[n++] = 0;
		return n;
	}
	for (int r = 0; r < story->n_rooms; r++)
		answers[n++] = r;
	if (story->query.kind == PB_ADVENTURE_ASK_PLACE)
		for (int c = 0; c < story->n_containers; c++)
			answers[n++] = PB_ADVENTURE_ROOMS + c;
	return n;
}
