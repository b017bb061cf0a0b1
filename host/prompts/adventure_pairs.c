/* Pairs of the adventure task. A clean story and its partners are drawn together, step by step,
 * from what is legal in all of them, so that they differ in the one word that is meant to. */
#include "prompts/adventure_pairs.h"

#include <assert.h>
#include <string.h>

#include "prompts/adventure_changes.h"
#include "prompts/adventure_text.h"

#define ADVENTURE_TASK UINT64_C(5) /* the task's number in pb_rng_seed */
#define ATTEMPTS_MAX 100000

/* Stories of one attempt. A partner that is not wanted stays out of `runs`. */
struct trial {
	struct pb_adventure_story clean, state, action;
	struct pb_adventure_run runs[3]; /* the clean one is first, the action partner last */
	int n_runs;
	const char *state_changed, *action_changed;
	int step; /* where the action partner differs */
};

static int draw_below(struct pb_rng *rng, int bound)
{
	return (int)pb_rng_below(rng, (uint64_t)bound);
}

void pb_adventure_stream_begin(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			       uint64_t index)
{
	uint64_t cell = stream << 32 | (uint64_t)o->rooms << 24 | (uint64_t)o->objects << 16 |
			(uint64_t)o->containers << 8 | (uint64_t)o->steps;

	pb_rng_seed(rng, ADVENTURE_TASK, cell, o->seed, index);
}

/* ---- what exists --------------------------------------------------------------------------- */

/* Where an object is: its place at the start matters only if it is never put anywhere, and then no
 * action matters: no matched pair. Where the player is: two starts need a step that both can make
 * and two directions need a room with two ways out, so three rooms in a row. A flag: another
 * container must be opened in its place. */
static bool exists(const struct pb_task_options *o, enum pb_adventure_kind kind)
{
	bool two_containers = o->containers >= 2;

	switch (o->corrupt) {
	case PB_CORRUPT_STATE:
		return kind == PB_ADVENTURE_ASK_PLACE ||
		       (kind == PB_ADVENTURE_ASK_PLAYER ? o->rooms >= 3 : o->containers >= 1);
	case PB_CORRUPT_DISTRACTOR:
		if (kind == PB_ADVENTURE_ASK_PLACE)
			return o->rooms >= 3 || o->containers >= 1 || o->objects >= 2;
		return kind == PB_ADVENTURE_ASK_PLAYER || o->containers >= 1;
	default:
		if (kind == PB_ADVENTURE_ASK_PLACE)
			return o->corrupt == PB_CORRUPT_ACTION && two_containers && o->steps >= 2;
		return kind == PB_ADVENTURE_ASK_PLAYER ? o->rooms >= 3 : two_containers;
	}
}

int pb_adventure_pair_kinds(const struct pb_task_options *o,
			    enum pb_adventure_kind kinds[PB_ADVENTURE_N_KINDS])
{
	int n = 0;

	for (int k = 0; k < PB_ADVENTURE_N_KINDS; k++)
		if (exists(o, (enum pb_adventure_kind)k))
			kinds[n++] = (enum pb_adventure_kind)k;
	return n;
}

/* ---- attempts ------------------------------------------------------------------------------ */

static int draw_subject(const struct pb_adventure_story *story, enum pb_adventure_kind kind,
			struct pb_rng *rng)
{
	if (kind == PB_ADVENTURE_ASK_PLAYER)
		return 0;
	return draw_below(rng,
			  kind == PB_ADVENTURE_ASK_PLACE ? story->n_objects : story->n_containers);
}

static void add_run(struct trial *trial, struct pb_adventure_story *story)
{
	pb_adventure_begin(&trial->runs[trial->n_runs++], story);
}

/* The steps of the clean story and of its partners; `any` as for a fork. */
static bool draw_partners(struct trial *trial, bool with_action, bool any, int n_steps,
			  struct pb_rng *rng)
{
	int n_before = with_action ? draw_below(rng, n_steps) : n_steps;
	struct pb_adventure_fork fork;

	if (!pb_adventure_draw_steps(trial->runs, trial->n_runs, n_before, rng))
		return false;
	if (!with_action)
		return true;
	if (!pb_adventure_draw_fork(trial->runs, trial->n_runs, any, &fork, rng))
		return false;
	trial->step = n_before;
	trial->action_changed = fork.changed;
	trial->action = trial->clean;
	trial->runs[trial->n_runs] =
	    (struct pb_adventure_run){.story = &trial->action, .now = trial->runs[0].now};
	pb_adventure_do(&trial->runs[trial->n_runs], &fork.other);
	for (int i = 0; i < trial->n_runs; i++)
		pb_adventure_do(&trial->runs[i], &fork.clean);
	trial->n_runs++;
	return pb_adventure_draw_steps(trial->runs, trial->n_runs, n_steps - n_before - 1, rng);
}

static int answer_of(const struct trial *trial, int run)
{
	return pb_adventure_answer(&trial->clean.query, &trial->runs[run].now);
}

static bool step_names(const struct pb_adventure_story *story, int t, const char *name)
{
	const struct pb_adventure_action *action = &story->steps[t];
	bool object = action->verb == PB_ADVENTURE_TAKE || action->verb == PB_ADVENTURE_PUT;
	bool container = action->verb >= PB_ADVENTURE_PUT;

	return (object && strcmp(story->objects[action->object], name) == 0) ||
	       (container && strcmp(story->containers[action->container], name) == 0);
}

static bool same_step(const struct pb_adventure_action *a, const struct pb_adventure_action *b)
{
	return a->verb == b->verb && a->direction == b->direction && a->object == b->object &&
	       a->container == b->container;
}

/* The sentence in which the two stories differ, which is one, names what is asked for, in either of
 * them. */
static bool names_subject(const struct pb_adventure_story *a, const struct pb_adventure_story *b)
{
	const char *subject = pb_adventure_subject(a);

	for (int c = 0; c < a->n_containers; c++)
		if (a->container_room[c] != b->container_room[c] ||
		    a->start.open[c] != b->start.open[c])
			return strcmp(a->containers[c], subject) == 0;
	for (int i = 0; i < a->n_objects; i++) {
		const int place = a->start.place[i], other = b->start.place[i];

		if (place != other)
			return strcmp(a->objects[i], subject) == 0 ||
			       strcmp(pb_adventure_place_name(a, place), subject) == 0 ||
			       strcmp(pb_adventure_place_name(b, other), subject) == 0;
	}
	for (int t = 0; t < a->n_steps; t++)
		if (!same_step(&a->steps[t], &b->steps[t]))
			return step_names(a, t, subject) || step_names(b, t, subject);
	return false; /* the player's room */
}

/* One attempt at partners whose answers differ from the clean one; matched has both. */
static bool try_partners(struct trial *trial, const struct pb_task_options *o,
			 enum pb_adventure_kind kind, struct pb_rng *rng)
{
	bool with_state = o->corrupt != PB_CORRUPT_ACTION;
	bool with_action = o->corrupt != PB_CORRUPT_STATE;
	struct pb_adventure_query *query = &trial->clean.query;

	pb_adventure_draw_world(&trial->clean, o, rng);
	*query = (struct pb_adventure_query){.kind = kind,
					     .subject = draw_subject(&trial->clean, kind, rng)};
	if (with_action && kind != PB_ADVENTURE_ASK_PLAYER)
		pb_adventure_gather(&trial->clean, rng);
	trial->n_runs = 0;
	add_run(trial, &trial->clean);
	if (with_state) {
		trial->state = trial->clean;
		trial->state_changed = pb_adventure_change_subject(&trial->state, rng);
		add_run(trial, &trial->state);
	}
	if (!draw_partners(trial, with_action, false, (int)o->steps, rng))
		return false;
	/* an object in the hand of one is so in all: the step that differs takes nothing */
	for (int i = 1; i < trial->n_runs; i++)
		if (answer_of(trial, i) == answer_of(trial, 0))
			return false;
	return true;
}

/* One attempt at a partner with the same answer, of which something else is told. */
static bool try_distractor(struct trial *trial, const struct pb_task_options *o,
			   enum pb_adventure_kind kind, struct pb_rng *rng)
{
	bool with_action = draw_below(rng, 2) == 1;

	pb_adventure_draw_world(&trial->clean, o, rng);
	trial->clean.query = (struct pb_adventure_query){
	    .kind = kind, .subject = draw_subject(&trial->clean, kind, rng)};
	trial->n_runs = 0;
	add_run(trial, &trial->clean);
	if (!with_action) {
		trial->state = trial->clean;
		trial->state_changed = pb_adventure_change_anything(&trial->state, rng);
		add_run(trial, &trial->state);
	}
	if (!draw_partners(trial, with_action, true, (int)o->steps, rng))
		return false;
	return answer_of(trial, 1) == answer_of(trial, 0) &&
	       (kind != PB_ADVENTURE_ASK_PLACE || answer_of(trial, 0) != PB_ADVENTURE_HAND) &&
	       !names_subject(&trial->clean, trial->runs[1].story);
}

/* The pair of the clean story and of its state partner, or of its action partner. */
static void take_pair(struct pb_adventure_pair *pair, const struct trial *trial, bool action)
{
	int run = action ? trial->n_runs - 1 : 1;

	pair->clean = trial->clean;
	pair->corrupted = action ? trial->action : trial->state;
	pair->answer = answer_of(trial, 0);
	pair->foil = answer_of(trial, run);
	pair->changed = action ? trial->action_changed : trial->state_changed;
	pair->step = action ? trial->step : -1;
}

static int draw_foil(const struct pb_adventure_pair *pair, struct pb_rng *rng)
{
	int candidates[PB_ADVENTURE_CANDIDATES];
	int n = pb_adventure_candidates(&pair->clean, candidates);
	int i = draw_below(rng, n - 1);

	/* the answer's place among them goes to the last */
	return candidates[i] == pair->answer ? candidates[n - 1] : candidates[i];
}

enum pb_status pb_adventure_make_pair(struct pb_adventure_pair *pair,
				      const struct pb_task_options *o, uint64_t index,
				      struct pb_error *err)
{
	bool matched = o->corrupt == PB_CORRUPT_MATCHED;
	bool distractor = o->corrupt == PB_CORRUPT_DISTRACTOR;
	enum pb_adventure_kind kinds[PB_ADVENTURE_N_KINDS], kind;
	int n_kinds = pb_adventure_pair_kinds(o, kinds);
	struct trial trial;
	struct pb_rng rng;

	assert(n_kinds > 0 && "pb_adventure_check_pairs comes first");
	pb_adventure_stream_begin(&rng, o, 1 + (uint64_t)o->corrupt, matched ? index / 2 : index);
	kind = kinds[draw_below(&rng, n_kinds)];
	for (int attempts = 1; attempts <= ATTEMPTS_MAX; attempts++) {
		bool found = distractor ? try_distractor(&trial, o, kind, &rng)
					: try_partners(&trial, o, kind, &rng);

		if (!found)
			continue;
		take_pair(pair, &trial,
			  matched ? index % 2 == 1 : trial.runs[1].story == &trial.action);
		pair->attempts = attempts;
		if (distractor)
			pair->foil = draw_foil(pair, &rng);
		return PB_OK;
	}
	return pb_fail(err, PB_ERR_INPUT,
		       "no pair was found in %d stories: task adventure, corrupt %s, %zu rooms, "
		       "%zu objects, %zu containers, %zu steps, seed %llu, pair %llu: give other "
		       "numbers, or another seed",
		       ATTEMPTS_MAX, pb_corruption_name(o->corrupt), o->rooms, o->objects,
		       o->containers, o->steps, (unsigned long long)o->seed,
		       (unsigned long long)index);
}
