/* Pairs of the dfa task: one label is replaced, and the pair taken when both walks are possible and
 * determine their answers. */
#include "prompts/dfa_pairs.h"

#define DFA_TASK UINT64_C(3) /* the task's number in pb_rng_seed */
#define ATTEMPTS_MAX 4000

void pb_dfa_stream_begin(struct pb_rng *rng, const struct pb_task_options *o, uint64_t stream,
			 uint64_t index)
{
	uint64_t cell = stream << 48 | (uint64_t)o->mode << 40 | (uint64_t)o->states << 32 |
			(uint64_t)pb_dfa_edges(o) << 16 | (uint64_t)pb_dfa_actions(o) << 8 |
			(uint64_t)o->steps;

	pb_rng_seed(rng, DFA_TASK, cell, o->seed, index);
}

static int draw_below(struct pb_rng *rng, int bound)
{
	return (int)pb_rng_below(rng, (uint64_t)bound);
}

/* ---- corruptions: the substitutions that a walk allows, one of them taken; false: none -------
 * None makes what is told contradict itself: a changed clause is the only one of its state and
 * action, before and after. */

struct choices {
	int n;
	int clause[PB_DFA_STATES * PB_DFA_ACTIONS], label[PB_DFA_STATES * PB_DFA_ACTIONS];
};

static void choices_add(struct choices *c, int clause, int label)
{
	c->clause[c->n] = clause;
	c->label[c->n++] = label;
}

/* The answer that the told clauses give, -1: none. */
static int told_answer(const struct pb_dfa_story *story)
{
	struct pb_dfa_facts facts;

	pb_dfa_facts_of(story, &facts);
	return facts.told_target;
}

/* How often the told clauses go by `action` from `from`. */
static int n_shown(const struct pb_dfa_story *story, int from, int action)
{
	int n = 0;

	for (int t = 0; t < story->n_clauses - 1; t++)
		n += pb_dfa_from(story, t) == from && story->action[t] == action;
	return n;
}

/* The last told clause leads to another state, at which the same last action was seen before. What
 * the last clause shows must be shown nowhere else. */
static bool corrupt_state(struct pb_dfa_pair *pair, struct pb_rng *rng)
{
	const struct pb_dfa_story *clean = &pair->clean;
	int told = clean->n_clauses - 2, from = pb_dfa_from(clean, told);
	struct choices c = {.n = 0};

	if (n_shown(clean, from, clean->action[told]) != 1)
		return false;
	for (int s = 0; s < clean->n_states; s++) {
		struct pb_dfa_story other = *clean;
		int answer;

		if (s == clean->target[told] || s == from)
			continue;
		other.target[told] = s;
		answer = told_answer(&other);
		if (answer >= 0 && answer != pair->answer)
			choices_add(&c, told, s);
	}
	if (c.n == 0)
		return false;
	pair->corrupted = *clean;
	pair->corrupted.target[told] = c.label[draw_below(rng, c.n)];
	return true;
}

/* The last action is another one, which was seen before at the same state. */
static bool corrupt_action(struct pb_dfa_pair *pair, struct pb_rng *rng)
{
	const struct pb_dfa_story *clean = &pair->clean;
	int last = clean->n_clauses - 1;
	struct choices c = {.n = 0};

	for (int a = 0; a < clean->n_actions; a++) {
		struct pb_dfa_story other = *clean;
		int answer;

		other.action[last] = a;
		answer = told_answer(&other);
		if (answer >= 0 && answer != pair->answer)
			choices_add(&c, last, a);
	}
	if (c.n == 0)
		return false;
	pair->corrupted = *clean;
	pair->corrupted.action[last] = c.label[draw_below(rng, c.n)];
	return true;
}

/* A told clause goes by another action, which its state has not shown; the answer stays what it is.
 * The foil is any other state that was told. */
static bool corrupt_distractor(struct pb_dfa_pair *pair, struct pb_rng *rng)
{
	const struct pb_dfa_story *clean = &pair->clean;
	struct choices c = {.n = 0};
	int at;

	for (int t = 0; t < clean->n_clauses - 1; t++)
		for (int a = 0; a < clean->n_actions; a++) {
			struct pb_dfa_story other = *clean;

			other.action[t] = a;
			if (c.n < (int)(sizeof c.label / sizeof *c.label) &&
			    n_shown(clean, pb_dfa_from(clean, t), a) == 0 &&
			    told_answer(&other) == pair->answer)
				choices_add(&c, t, a);
		}
	if (c.n == 0)
		return false;
	at = draw_below(rng, c.n);
	pair->corrupted = *clean;
	pair->corrupted.action[c.clause[at]] = c.label[at];
	pair->foil = draw_below(rng, clean->n_states - 1);
	if (pair->foil >= pair->answer)
		pair->foil++;
	return true;
}

static bool corrupt(struct pb_dfa_pair *pair, enum pb_corruption what, struct pb_rng *rng)
{
	bool found;

	if (what == PB_CORRUPT_DISTRACTOR)
		return corrupt_distractor(pair, rng);
	found = what == PB_CORRUPT_STATE ? corrupt_state(pair, rng) : corrupt_action(pair, rng);
	if (found)
		pair->foil = told_answer(&pair->corrupted);
	return found;
}

/* Both partners of one clean walk; the one that this index is stays. */
static bool corrupt_matched(struct pb_dfa_pair *pair, uint64_t index, struct pb_rng *rng)
{
	struct pb_dfa_pair other = *pair;

	if (!corrupt(pair, PB_CORRUPT_STATE, rng) || !corrupt(&other, PB_CORRUPT_ACTION, rng))
		return false;
	if (index % 2 == 1)
		*pair = other;
	return true;
}

enum pb_status pb_dfa_make_pair(struct pb_dfa_pair *pair, const struct pb_task_options *o,
				uint64_t index, struct pb_error *err)
{
	bool matched = o->corrupt == PB_CORRUPT_MATCHED;
	struct pb_rng rng;

	pb_dfa_stream_begin(&rng, o, 1 + (uint64_t)o->corrupt, matched ? index / 2 : index);
	for (int attempts = 1; attempts <= ATTEMPTS_MAX; attempts++) {
		*pair = (struct pb_dfa_pair){.attempts = attempts};
		pb_dfa_draw(&pair->clean, o, &rng);
		pair->answer = told_answer(&pair->clean);
		if (pair->answer < 0)
			continue;
		if (matched ? corrupt_matched(pair, index, &rng) : corrupt(pair, o->corrupt, &rng))
			return PB_OK;
	}
	return pb_fail(
	    err, PB_ERR_INPUT,
	    "no pair was found in %d walks: task dfa, corrupt %s, %zu states, %zu edges, %zu "
	    "steps: give more steps, or fewer states",
	    ATTEMPTS_MAX, pb_corruption_name(o->corrupt), o->states, pb_dfa_edges(o), o->steps);
}

/* ---- the paper's constructions ------------------------------------------------------------ */

static void preset_begin(struct pb_dfa_story *story, const struct pb_task_options *o, int *state,
			 int *action, struct pb_rng *rng)
{
	uint32_t states[PB_DFA_STATES], actions[PB_DFA_ACTIONS];

	*story =
	    (struct pb_dfa_story){.n_states = (int)o->states, .n_actions = (int)pb_dfa_actions(o)};
	for (int i = 0; i < story->n_states; i++)
		states[i] = (uint32_t)i;
	for (int i = 0; i < story->n_actions; i++)
		actions[i] = (uint32_t)i;
	pb_rng_shuffle(rng, states, o->states);
	pb_rng_shuffle(rng, actions, (size_t)story->n_actions);
	for (int i = 0; i < 4; i++) {
		state[i] = i < story->n_states ? (int)states[i] : 0;
		action[i] = i < story->n_actions ? (int)actions[i] : 0;
	}
}

static void step(struct pb_dfa_story *story, int action, int target)
{
	story->action[story->n_clauses] = action;
	story->target[story->n_clauses++] = target;
}

/* Back and forth between x1 and x2, then T - 3 steps that stay in x2, then the way back once more:
 * where to? The other prompt names x1 differently. */
static void make_noop(struct pb_dfa_story *story, const struct pb_task_options *o,
		      struct pb_rng *rng, int which)
{
	int x[4], a[4], first;

	preset_begin(story, o, x, a, rng);
	first = x[which == 0 ? 0 : 2];
	story->start = first;
	step(story, a[0], x[1]);
	step(story, a[1], first);
	step(story, a[0], x[1]);
	for (size_t t = 3; t < o->steps; t++)
		step(story, a[2], x[1]);
	step(story, a[1], first);
}

/* a1 leads from x1 to x3 and from x2 to x4. The walk comes back to x1 (the other prompt: to x2),
 * and a1 is taken. */
static void make_same_action(struct pb_dfa_story *story, const struct pb_task_options *o,
			     struct pb_rng *rng, int which)
{
	int x[4], a[4];

	preset_begin(story, o, x, a, rng);
	story->start = x[0];
	step(story, a[0], x[2]);
	step(story, a[1], x[1]);
	step(story, a[0], x[3]);
	for (size_t t = 5; t < o->steps; t++)
		step(story, a[2], x[3]);
	step(story, a[3], x[which]);
	step(story, a[0], x[which == 0 ? 2 : 3]);
}

void pb_dfa_make_preset(struct pb_dfa_pair *pair, const struct pb_task_options *o, uint64_t index)
{
	int way = (int)(index % 2);

	*pair = (struct pb_dfa_pair){.attempts = 1};
	for (int i = 0; i < 2; i++) {
		struct pb_dfa_story *story = i == 0 ? &pair->clean : &pair->corrupted;
		struct pb_rng rng;

		/* the same draws for both */
		pb_dfa_stream_begin(&rng, o, 1 + (uint64_t)o->corrupt, index / 2);
		if (o->corrupt == PB_CORRUPT_NOOP)
			make_noop(story, o, &rng, i ^ way);
		else
			make_same_action(story, o, &rng, i ^ way);
	}
	pair->answer = told_answer(&pair->clean);
	pair->foil = told_answer(&pair->corrupted);
}
