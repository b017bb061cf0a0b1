/* The adventure task's words: telling a story, and naming what is asked. */
#include "prompts/adventure_text.h"

#include <assert.h>

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

/* Adds the words of `format`, which are parted by single spaces; `[1]` and `[2]` stand for the two
 * names, which have a space in front. */
static void tell(struct pb_words *words, const char *role, const char *const *format,
		 const char *first, const char *second)
{
	for (; *format != NULL; format++) {
		const char *text = *format;

		if (text[0] == '[')
			text = (text[1] == '1' ? first : second) + 1;
		pb_words_add(words, role, text);
	}
}

#define TELL(words, role, first, second, ...)                                                      \
	tell(words, role, (const char *const[]){__VA_ARGS__, NULL}, first, second)

static const char *place_name(const struct pb_adventure_story *story, int place)
{
	assert(place >= 0 && place < PB_ADVENTURE_HAND);
	return place < PB_ADVENTURE_ROOMS ? story->rooms[place]
					  : story->containers[place - PB_ADVENTURE_ROOMS];
}

static void tell_world(struct pb_words *words, const struct pb_adventure_story *story)
{
	const struct pb_adventure_state *start = &story->start;

	TELL(words, "state", story->rooms[start->player], NULL, "You", "are", "in", "the", "[1]",
	     ".");
	for (int l = 0; l < story->n_links; l++) {
		const struct pb_adventure_link *link = &story->links[l];

		TELL(words, "map", story->rooms[link->from], story->rooms[link->to],
		     capitalised[link->direction], "of", "the", "[1]", "is", "the", "[2]", ".");
	}
	for (int c = 0; c < story->n_containers; c++) {
		const char *name = story->containers[c];

		TELL(words, "map", name, story->rooms[story->container_room[c]], "The", "[1]", "is",
		     "in", "the", "[2]", ".");
		TELL(words, "state", name, pb_adventure_flag(start->open[c]), "The", "[1]", "is",
		     "[2]", ".");
	}
	for (int i = 0; i < story->n_objects; i++)
		TELL(words, "state", story->objects[i], place_name(story, start->place[i]), "The",
		     "[1]", "is", "in", "the", "[2]", ".");
}

static void tell_step(struct pb_words *words, const struct pb_adventure_story *story,
		      const struct pb_adventure_action *action)
{
	const char *object = story->objects[action->object];
	const char *container = story->containers[action->container];
	const char *const role = "action";

	switch (action->verb) {
	case PB_ADVENTURE_GO:
		TELL(words, role, directions[action->direction], NULL, "You", "go", "[1]", ".");
		break;
	case PB_ADVENTURE_TAKE:
		TELL(words, role, object, NULL, "You", "take", "the", "[1]", ".");
		break;
	case PB_ADVENTURE_PUT:
		TELL(words, role, object, container, "You", "put", "the", "[1]", "in", "the", "[2]",
		     ".");
		break;
	default:
		TELL(words, role, container, NULL, "You",
		     action->verb == PB_ADVENTURE_OPEN ? "open" : "close", "the", "[1]", ".");
		break;
	}
}

void pb_adventure_words_of(const struct pb_adventure_story *story, struct pb_words *words)
{
	const char *const role = "query";
	const char *subject = pb_adventure_subject(story);

	words->n = 0;
	tell_world(words, story);
	for (int t = 0; t < story->n_steps; t++)
		tell_step(words, story, &story->steps[t]);
	if (story->query.kind == PB_ADVENTURE_ASK_PLACE)
		TELL(words, role, subject, NULL, "The", "[1]", "is", "in", "the");
	else if (story->query.kind == PB_ADVENTURE_ASK_PLAYER)
		TELL(words, role, NULL, NULL, "You", "are", "in", "the");
	else
		TELL(words, role, subject, NULL, "The", "[1]", "is");
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
	return place_name(story, answer);
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
