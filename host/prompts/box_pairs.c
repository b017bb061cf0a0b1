/* Pairs of the box task: one thing is substituted, the story simulated again, and the pair taken
 * when both are legal and differ in the fewest words possible. */
#include "prompts/box_pairs.h"

#include <assert.h>

#define BOX_TASK UINT64_C(1) /* the task's number in pb_rng_seed */
#define ATTEMPTS_MAX 100000

void pb_box_stream_begin(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	uint64_t cell = stream << 32 | (uint64_t)o->boxes << 16 | (uint64_t)o->moves;

	pb_rng_seed(rng, BOX_TASK, cell, o->seed, index);
}

static int draw_below(struct pb_rng *rng, int bound)
{
	return (int)pb_rng_below(rng, (uint64_t)bound);
}

static void story_begin(struct pb_box_story *story, const struct pb_task_options *o)
{
	*story = (struct pb_box_story){.n_boxes = (int)o->boxes, .n_moves = (int)o->moves};
}

void pb_box_draw_story(struct pb_box_story *story, const struct pb_task_options *o,
		       struct pb_rng *rng)
{
	story_begin(story, o);
	pb_box_draw_placement(story, rng);
	/* Where no object must stay, the first draw of each move is taken: this cannot fail. */
	(void)pb_box_draw_moves(story, 0, rng);
	story->query = draw_below(rng, story->n_boxes);
}

/* ---- corruptions ---------------------------------------------------------------------
 * Each tries once: draw a story, list the substitutions that are allowed in it, take one of them.
 * False when there is none, and the next attempt draws another story. */

/* Both stories are legal, and exactly n words of their texts differ. */
static bool differ_by(const struct pb_box_story *clean, const struct pb_box_story *corrupted,
		      size_t n_words)
{
	struct pb_box_trace trace;

	return pb_box_simulate(clean, &trace) && pb_box_simulate(corrupted, &trace) &&
	       pb_box_n_differences(clean, corrupted) == n_words;
}

int pb_box_answer_of(const struct pb_box_story *story)
{
	struct pb_box_trace trace;
	bool legal = pb_box_simulate(story, &trace);

	assert(legal);
	(void)legal;
	return trace.where[story->n_moves][story->query];
}

static void swap_placement(struct pb_box_story *story, int a, int b)
{
	int box = story->placement[a];

	story->placement[a] = story->placement[b];
	story->placement[b] = box;
}

/* The queried object swaps places with an object of another box; neither ever moves. A box lists
 * its objects in the table's order, so only swaps that keep their places in the lists count: those
 * change exactly two words. */
static bool corrupt_state(struct pb_box_pair *pair, const struct pb_task_options *o,
			  struct pb_rng *rng)
{
	struct pb_box_story *story = &pair->clean;
	struct pb_box_story placed;
	int partners[PB_BOX_MAX];
	int n = 0, partner;

	story_begin(story, o);
	pb_box_draw_placement(story, rng);
	story->query = draw_below(rng, story->n_boxes);
	placed = *story;
	placed.n_moves = 0;
	for (int other = 0; other < story->n_boxes; other++) {
		struct pb_box_story swapped = placed;

		swap_placement(&swapped, story->query, other);
		if (placed.placement[other] != placed.placement[placed.query] &&
		    differ_by(&placed, &swapped, 2))
			partners[n++] = other;
	}
	if (n == 0)
		return false;
	partner = partners[draw_below(rng, n)];
	if (!pb_box_draw_moves(story, 1u << story->query | 1u << partner, rng))
		return false;
	pair->corrupted = *story;
	swap_placement(&pair->corrupted, story->query, partner);
	pair->changed = "placement";
	pair->move = -1;
	return differ_by(&pair->clean, &pair->corrupted, 2);
}

/* Lists in `found` the values that the object (or the box) of move t may take instead of its own:
 * the story stays legal and its answer changes, or does not, as `answer_changes` says. An object
 * whose bit is set in `excluded` is not taken. */
static int list_substitutes(const struct pb_box_story *story, int t, bool object,
			    bool answer_changes, unsigned excluded, int *found)
{
	int answer = pb_box_answer_of(story);
	int n = 0;

	for (int value = 0; value < story->n_boxes; value++) {
		struct pb_box_story other = *story;
		int *changed = object ? &other.moves[t].object : &other.moves[t].box;

		if (object && (excluded >> value & 1u))
			continue;
		*changed = value;
		if (differ_by(story, &other, 1) &&
		    (pb_box_answer_of(&other) != answer) == answer_changes)
			found[n++] = value;
	}
	return n;
}

/* Change the object or the box of move t of the clean story. */
static bool substitute(struct pb_box_pair *pair, int t, bool answer_changes, unsigned excluded,
		       struct pb_rng *rng)
{
	bool object = draw_below(rng, 2) == 1;
	int found[PB_BOX_MAX];
	int n = list_substitutes(&pair->clean, t, object, answer_changes, excluded, found);
	int value;

	if (n == 0)
		return false;
	value = found[draw_below(rng, n)];
	pair->corrupted = pair->clean;
	pair->changed = object ? "object" : "box";
	pair->move = t;
	if (object)
		pair->corrupted.moves[t].object = value;
	else
		pair->corrupted.moves[t].box = value;
	return true;
}

/* The decisive action is the last move of the queried object: another box, or another object. */
static bool corrupt_action(struct pb_box_pair *pair, const struct pb_task_options *o,
			   struct pb_rng *rng)
{
	int t;

	pb_box_draw_story(&pair->clean, o, rng);
	t = pb_box_last_move(&pair->clean, pair->clean.query);
	return t >= 0 && substitute(pair, t, true, 0, rng);
}

/* With two boxes no single word can change without changing the answer; the order of two moves of
 * the two objects into the same box can. */
static bool corrupt_order(struct pb_box_pair *pair, struct pb_rng *rng)
{
	struct pb_box_story *story = &pair->clean;
	int found[PB_BOX_MAX];
	int n = 0, t;

	for (t = 0; t + 1 < story->n_moves; t++)
		if (story->moves[t].box == story->moves[t + 1].box)
			found[n++] = t;
	if (n == 0)
		return false;
	t = found[draw_below(rng, n)];
	pair->corrupted = *story;
	pair->corrupted.moves[t] = story->moves[t + 1];
	pair->corrupted.moves[t + 1] = story->moves[t];
	pair->changed = "order";
	pair->move = t;
	return differ_by(story, &pair->corrupted, 2) &&
	       pb_box_answer_of(story) == pb_box_answer_of(&pair->corrupted);
}

/* The object or the box of a move of another object changes, never to or from the queried one. */
static bool corrupt_distractor(struct pb_box_pair *pair, const struct pb_task_options *o,
			       struct pb_rng *rng)
{
	struct pb_box_story *story = &pair->clean;
	int others[PB_BOX_MAX];
	int n = 0;

	pb_box_draw_story(story, o, rng);
	if (story->n_boxes == 2)
		return corrupt_order(pair, rng);
	for (int t = 0; t < story->n_moves; t++)
		if (story->moves[t].object != story->query)
			others[n++] = t;
	if (n == 0)
		return false;
	return substitute(pair, others[draw_below(rng, n)], false, 1u << story->query, rng);
}

/* One clean story with two partners: the queried object, which never moves, swaps places; or a move
 * takes it instead of another object. */
static bool corrupt_matched(struct pb_box_pair *pair, const struct pb_task_options *o,
			    struct pb_rng *rng)
{
	struct pb_box_story *story = &pair->clean;
	int moves[PB_BOX_MAX], n = 0;

	if (!corrupt_state(pair, o, rng))
		return false;
	for (int t = 0; t < story->n_moves; t++) {
		struct pb_box_story other = *story;

		other.moves[t].object = story->query;
		if (differ_by(story, &other, 1))
			moves[n++] = t;
	}
	if (n == 0)
		return false;
	pair->action = *story;
	pair->action_move = moves[draw_below(rng, n)];
	pair->action.moves[pair->action_move].object = story->query;
	return pb_box_answer_of(&pair->action) != pb_box_answer_of(story);
}

/* The second partner takes the first one's place. */
static void take_action_partner(struct pb_box_pair *pair)
{
	pair->corrupted = pair->action;
	pair->changed = "object";
	pair->move = pair->action_move;
}

/* Draw until a pair is accepted. */
enum pb_status pb_box_make_pair(struct pb_box_pair *pair, const struct pb_task_options *o,
				uint64_t index, struct pb_error *err)
{
	static bool (*const corruptions[])(struct pb_box_pair *, const struct pb_task_options *,
					   struct pb_rng *) = {
	    [PB_CORRUPT_STATE] = corrupt_state,
	    [PB_CORRUPT_ACTION] = corrupt_action,
	    [PB_CORRUPT_DISTRACTOR] = corrupt_distractor,
	    [PB_CORRUPT_MATCHED] = corrupt_matched,
	};
	bool matched = o->corrupt == PB_CORRUPT_MATCHED;
	struct pb_rng rng;

	pb_box_stream_begin(&rng, o, PB_BOX_STREAM_PAIRS + (uint64_t)o->corrupt,
			    matched ? index / 2 : index);
	for (pair->attempts = 1; pair->attempts <= ATTEMPTS_MAX; pair->attempts++) {
		if (!corruptions[o->corrupt](pair, o, &rng))
			continue;
		if (matched && index % 2 == 1)
			take_action_partner(pair);
		pair->answer = pb_box_answer_of(&pair->clean);
		pair->foil = pb_box_answer_of(&pair->corrupted);
		if (o->corrupt == PB_CORRUPT_DISTRACTOR) {
			pair->foil = draw_below(&rng, pair->clean.n_boxes - 1);
			pair->foil += pair->foil >= pair->answer;
		}
		return PB_OK;
	}
	return pb_fail(err, PB_ERR_INPUT,
		       "no pair found in %d attempts: task box, corrupt %s, %zu boxes, %zu moves, "
		       "seed %llu, pair %llu: give more boxes",
		       ATTEMPTS_MAX, pb_corruption_name(o->corrupt), o->boxes, o->moves,
		       (unsigned long long)o->seed, (unsigned long long)index);
}
