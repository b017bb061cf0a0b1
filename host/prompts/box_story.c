/* Stories of the box task: drawing, simulating and telling them. */
#include "prompts/box_story.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/box.h"

static const char *const objects[PB_BOX_MAX] = {
    "hat", "glove", "ball", "key", "pen", "book", "coin", "card", "ring", "watch",
};
static const char *const capitalised[PB_BOX_MAX] = {
    "Hat", "Glove", "Ball", "Key", "Pen", "Book", "Coin", "Card", "Ring", "Watch",
};
static const char *const answers[PB_BOX_MAX] = {
    " A", " B", " C", " D", " E", " F", " G", " H", " I", " J",
};

const char *pb_box_object_name(int object)
{
	return objects[object];
}

const char *pb_box_answer(int box)
{
	return answers[box];
}

bool pb_box_simulate(const struct pb_box_story *story, struct pb_box_trace *trace)
{
	memcpy(trace->where[0], story->placement, sizeof story->placement);
	for (int t = 0; t < story->n_moves; t++) {
		const struct pb_box_move *move = &story->moves[t];

		memcpy(trace->where[t + 1], trace->where[t], sizeof trace->where[t]);
		if (trace->where[t][move->object] == move->box)
			return false;
		trace->where[t + 1][move->object] = move->box;
	}
	return true;
}

int pb_box_last_move(const struct pb_box_story *story, int object)
{
	int t = story->n_moves - 1;

	while (t >= 0 && story->moves[t].object != object)
		t--;
	return t;
}

/* ---- drawing ------------------------------------------------------------------------- */

static int draw_below(struct pb_rng *rng, int bound)
{
	return (int)pb_rng_below(rng, (uint64_t)bound);
}

void pb_box_draw_placement(struct pb_box_story *story, struct pb_rng *rng)
{
	for (int o = 0; o < story->n_boxes; o++)
		story->placement[o] = draw_below(rng, story->n_boxes);
}

/* A random non-empty box, a random object in it, another box. */
static struct pb_box_move draw_move(const int *where, int n_boxes, struct pb_rng *rng)
{
	struct pb_box_move move;
	int inside[PB_BOX_MAX] = {0};
	int n_inside[PB_BOX_MAX] = {0};
	int full[PB_BOX_MAX] = {0};
	int n_full = 0, n = 0, source;

	for (int o = 0; o < n_boxes; o++)
		n_inside[where[o]]++;
	for (int b = 0; b < n_boxes; b++)
		if (n_inside[b] > 0)
			full[n_full++] = b;
	assert(n_full > 0);
	source = full[draw_below(rng, n_full)];
	for (int o = 0; o < n_boxes; o++)
		if (where[o] == source)
			inside[n++] = o;
	move.object = inside[draw_below(rng, n)];
	move.box = draw_below(rng, n_boxes - 1);
	if (move.box >= source)
		move.box++;
	return move;
}

bool pb_box_draw_moves(struct pb_box_story *story, unsigned still, struct pb_rng *rng)
{
	const int draws_max = 1000;
	int where[PB_BOX_MAX];

	memcpy(where, story->placement, sizeof where);
	for (int t = 0; t < story->n_moves; t++) {
		struct pb_box_move move;
		int draws = 0;

		do {
			if (draws++ == draws_max)
				return false;
			move = draw_move(where, story->n_boxes, rng);
		} while (still >> move.object & 1u);
		where[move.object] = move.box;
		story->moves[t] = move;
	}
	return true;
}

/* The objects of a box, in the order in which they are told; how many. */
static int list_box(const struct pb_box_story *story, int box, int list[PB_BOX_MAX])
{
	int n = 0;

	for (int o = 0; o < story->n_boxes; o++)
		if (story->placement[o] == box)
			list[n++] = o;
	return n;
}

size_t pb_box_n_differences(const struct pb_box_story *a, const struct pb_box_story *b)
{
	size_t n = a->query != b->query;

	assert(a->n_boxes == b->n_boxes && a->n_moves == b->n_moves);
	for (int box = 0; box < a->n_boxes; box++) {
		int in_a[PB_BOX_MAX], in_b[PB_BOX_MAX], n_inside = list_box(a, box, in_a);

		if (list_box(b, box, in_b) != n_inside)
			return (size_t)-1;
		for (int i = 0; i < n_inside; i++)
			n += in_a[i] != in_b[i];
	}
	for (int t = 0; t < a->n_moves; t++) {
		n += a->moves[t].object != b->moves[t].object;
		n += a->moves[t].box != b->moves[t].box;
	}
	return n;
}

/* ---- telling ------------------------------------------------------------------------- */

enum { ONE, SEVERAL, EMPTY, OBJECT, NEXT_OBJECT, LAST_OBJECT, MOVE, QUESTION };

const struct pb_pattern_row pb_box_patterns[] = {
    [ONE] = {.name = "one",
	     .text = "Box {box} contains {objects}.",
	     .role = "state",
	     .slots = {{.name = "box"}, {.name = "objects", .items = OBJECT}}},
    [SEVERAL] = {.name = "several",
		 .text = "Box {box} contains {objects}.",
		 .role = "state",
		 .slots = {{.name = "box"}, {.name = "objects", .items = OBJECT}}},
    [EMPTY] = {.name = "empty",
	       .text = "Box {box} is empty.",
	       .role = "state",
	       .slots = {{.name = "box"}}},
    [OBJECT] = {.name = "object",
		.text = "the {object}",
		.role = "state",
		.slots = {{.name = "object"}}},
    [NEXT_OBJECT] = {.name = "next_object",
		     .text = ", the {object}",
		     .role = "state",
		     .slots = {{.name = "object"}}},
    [LAST_OBJECT] = {.name = "last_object",
		     .text = "and the {object}",
		     .role = "state",
		     .slots = {{.name = "object"}}},
    [MOVE] = {.name = "move",
	      .text = "Move the {object} into Box {to}.",
	      .role = "action",
	      .slots = {{.name = "object"}, {.name = "to"}}},
    [QUESTION] = {.name = "question",
		  .text = "{Object} is in the Box",
		  .role = "query",
		  .kind = PB_PATTERN_END,
		  .slots = {{.name = "object", .capital = true}}},
    {.name = NULL},
};

/* The answers' letters without their leading space. */
static const char *letter(int box)
{
	return answers[box] + 1;
}

static void tell_box(struct pb_words *words, const struct pb_box_story *story,
		     const struct pb_wording *wording, int box)
{
	const char *inside[PB_BOX_MAX];
	int list[PB_BOX_MAX], n = list_box(story, box, list);

	for (int i = 0; i < n; i++)
		inside[i] = objects[list[i]];
	PB_TELL(wording,
		n == 0   ? EMPTY
		: n == 1 ? ONE
			 : SEVERAL,
		words, {.text = letter(box)}, {.list = inside, .n = (size_t)n});
}

void pb_box_words_of(const struct pb_box_story *story, const struct pb_wording *wording,
		     struct pb_words *words)
{
	pb_words_begin(words);
	for (int b = 0; b < story->n_boxes; b++)
		tell_box(words, story, wording, b);
	for (int t = 0; t < story->n_moves; t++)
		PB_TELL(wording, MOVE, words, {.text = objects[story->moves[t].object]},
			{.text = letter(story->moves[t].box)});
	PB_TELL(wording, QUESTION, words,
		{.text = objects[story->query], .capital = capitalised[story->query]});
}
