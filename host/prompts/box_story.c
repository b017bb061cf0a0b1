/* Stories of the box task: drawing, simulating and telling them. */
#include "prompts/box_story.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- telling ------------------------------------------------------------------------- */

/* The answers' letters without their leading space. */
static const char *letter(int box)
{
	return answers[box] + 1;
}

/* `Box A contains the hat, the glove and the ball.` or `Box A is empty.` */
static void tell_box(struct pb_words *words, const struct pb_box_story *story, int box)
{
	const char *const role = "state";
	int n = 0, told = 0;

	for (int o = 0; o < story->n_boxes; o++)
		n += story->placement[o] == box;
	pb_words_add(words, role, "Box");
	pb_words_add(words, role, letter(box));
	if (n == 0) {
		pb_words_add(words, role, "is");
		pb_words_add(words, role, "empty");
		pb_words_add(words, role, ".");
		return;
	}
	pb_words_add(words, role, "contains");
	for (int o = 0; o < story->n_boxes; o++) {
		if (story->placement[o] != box)
			continue;
		if (told > 0)
			pb_words_add(words, role, told == n - 1 ? "and" : ",");
		pb_words_add(words, role, "the");
		pb_words_add(words, role, objects[o]);
		told++;
	}
	pb_words_add(words, role, ".");
}

static void tell_move(struct pb_words *words, const struct pb_box_move *move)
{
	const char *const role = "action";

	pb_words_add(words, role, "Move");
	pb_words_add(words, role, "the");
	pb_words_add(words, role, objects[move->object]);
	pb_words_add(words, role, "into");
	pb_words_add(words, role, "Box");
	pb_words_add(words, role, letter(move->box));
	pb_words_add(words, role, ".");
}

void pb_box_words_of(const struct pb_box_story *story, struct pb_words *words)
{
	const char *const role = "query";

	words->n = 0;
	for (int b = 0; b < story->n_boxes; b++)
		tell_box(words, story, b);
	for (int t = 0; t < story->n_moves; t++)
		tell_move(words, &story->moves[t]);
	pb_words_add(words, role, capitalised[story->query]);
	pb_words_add(words, role, "is");
	pb_words_add(words, role, "in");
	pb_words_add(words, role, "the");
	pb_words_add(words, role, "Box");
}
