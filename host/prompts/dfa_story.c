/* Walks of the dfa task: drawing, reading and telling them. */
#include "prompts/dfa_story.h"

#include <assert.h>
#include <string.h>

#include "prompts/dfa.h"

/* Each is one token behind a space in the tokenizers of GPT-2 and GPT-NeoX, and so is it in
 * capitals; those of two letters are no English words. */
static const char *const state_labels[PB_DFA_STATES] = {
    " a",  " b",  " c",  " d",  " e",  " f",  " g",  " h",  " i",  " j",  " k",  " l",  " m",
    " n",  " o",  " p",  " q",  " r",  " s",  " t",  " u",  " v",  " w",  " x",  " y",  " z",
    " ab", " ac", " af", " ag", " ak", " ap", " ar", " au", " av", " aw", " ax", " az", " ba",
    " bc", " bi", " bl", " bo", " br", " bu", " ca", " cc", " cd", " ce", " cf", " ch", " cl",
    " cm", " co", " cp", " cr", " cs", " cu", " cy", " da", " db", " dc", " dd", " df", " dh",
    " di", " dr", " du", " dw", " dx", " eb", " ec", " ed", " eg", " em", " ep", " eq", " er",
    " ev", " fa", " fe", " ff", " fi", " fl", " fn", " fo", " fr", " fs", " ft", " ga", " ge",
    " gh", " gl", " gn", " gp", " gr", " gu", " hr", " hy", " ib",
};
static const char *const action_labels[PB_DFA_ACTIONS] = {
    " A", " B", " C", " D", " E", " F", " G", " H", " I", " J", " K", " L", " M",
    " N", " O", " P", " Q", " R", " S", " T", " U", " V", " W", " X", " Y", " Z",
};

const char *pb_dfa_state(int state)
{
	return state_labels[state];
}

const char *pb_dfa_action(int action)
{
	return action_labels[action];
}

static int draw_below(struct pb_rng *rng, int bound)
{
	return (int)pb_rng_below(rng, (uint64_t)bound);
}

static void shuffle(int *values, int n, struct pb_rng *rng)
{
	for (int i = n - 1; i > 0; i--) {
		int j = draw_below(rng, i + 1), value = values[i];

		values[i] = values[j];
		values[j] = value;
	}
}

/* ---- sizes ----------------------------------------------------------------------------- */

size_t pb_dfa_edges(const struct pb_task_options *o)
{
	size_t most;

	if (o->edges != 0)
		return o->edges;
	if (o->density > 0.0)
		return (size_t)(o->density * (double)o->states + 0.5);
	/* twice as many as states: two actions in each */
	most = o->states * (o->states - 1);
	return 2 * o->states < most ? 2 * o->states : most;
}

size_t pb_dfa_actions(const struct pb_task_options *o)
{
	size_t edges = pb_dfa_edges(o), states = o->states, least;

	if (o->actions != 0)
		return o->actions;
	assert(states >= 2);
	if (o->corrupt == PB_CORRUPT_NOOP || o->corrupt == PB_CORRUPT_SAME_ACTION)
		return 4;
	/* In mode paper one state has a single edge. */
	if (o->mode == PB_DFA_PAPER && states > 1) {
		states--;
		edges--;
	}
	least = (edges + states - 1) / states;
	return least < 2 ? 2 : least;
}

/* ---- automata -------------------------------------------------------------------------- */

/* next[s][a]: where action a leads from s, -1: nowhere. */
struct automaton {
	int n_states, n_actions;
	int sink; /* -1: none */
	int next[PB_DFA_STATES][PB_DFA_ACTIONS];
};

static bool leads_to(const struct automaton *m, int from, int to)
{
	for (int a = 0; a < m->n_actions; a++)
		if (m->next[from][a] == to)
			return true;
	return false;
}

/* An action that the state has not, uniform; -1: it has all. */
static int draw_free_action(const struct automaton *m, int state, struct pb_rng *rng)
{
	int unused[PB_DFA_ACTIONS], n = 0;

	for (int a = 0; a < m->n_actions; a++)
		if (m->next[state][a] < 0)
			unused[n++] = a;
	return n == 0 ? -1 : unused[draw_below(rng, n)];
}

static int draw_target(const struct automaton *m, int state, const bool *allowed,
		       struct pb_rng *rng)
{
	int list[PB_DFA_STATES], n = 0;

	for (int s = 0; s < m->n_states; s++)
		if (s != state && (allowed == NULL || allowed[s]) && !leads_to(m, state, s))
			list[n++] = s;
	return n == 0 ? -1 : list[draw_below(rng, n)];
}

static int draw_other(int n, int state, struct pb_rng *rng)
{
	int other = draw_below(rng, n - 1);

	return other >= state ? other + 1 : other;
}

static void automaton_begin(struct automaton *m, const struct pb_task_options *o)
{
	m->n_states = (int)o->states;
	m->n_actions = (int)pb_dfa_actions(o);
	m->sink = -1;
	memset(m->next, 0xff, sizeof m->next);
}

/* A cycle through all states; then edges of uniform (state, action) that are free, to targets that
 * are new for their state. */
static void draw_strict(struct automaton *m, const struct pb_task_options *o, struct pb_rng *rng)
{
	int cycle[PB_DFA_STATES], left = (int)(pb_dfa_edges(o) - o->states);

	for (int s = 0; s < m->n_states; s++)
		cycle[s] = s;
	shuffle(cycle, m->n_states, rng);
	for (int i = 0; i < m->n_states; i++)
		m->next[cycle[i]][draw_below(rng, m->n_actions)] = cycle[(i + 1) % m->n_states];
	while (left > 0) {
		int at = draw_below(rng, m->n_states * m->n_actions);
		int state = at / m->n_actions, action = at % m->n_actions, target;

		if (m->next[state][action] >= 0)
			continue;
		target = draw_target(m, state, NULL, rng);
		if (target < 0) /* it leads everywhere already */
			continue;
		m->next[state][action] = target;
		left--;
	}
}

/* The paper's: a sink whose only action restarts the walk somewhere else; the other edges dealt to
 * the other states in turn, to states that come later in the order while there are some that are
 * new for the state, then to any other one. */
static void draw_paper(struct automaton *m, const struct pb_task_options *o, struct pb_rng *rng)
{
	int order[PB_DFA_STATES], n = m->n_states - 1, left = (int)pb_dfa_edges(o) - 1;
	bool later[PB_DFA_STATES] = {false};

	for (int s = 0; s < m->n_states; s++)
		order[s] = s;
	shuffle(order, m->n_states, rng);
	assert(n >= 1);
	m->sink = order[n];
	m->next[m->sink][draw_below(rng, m->n_actions)] = order[draw_below(rng, n)];
	for (int i = 0; i < left; i++) {
		int state = order[i % n], action = draw_free_action(m, state, rng), target;

		for (int k = 0; k <= n; k++)
			later[order[k]] = k > i % n;
		target = draw_target(m, state, later, rng);
		if (target < 0)
			target = draw_other(m->n_states, state, rng);
		m->next[state][action] = target;
	}
}

static int draw_start(const struct automaton *m, struct pb_rng *rng)
{
	return m->sink < 0 ? draw_below(rng, m->n_states) : draw_other(m->n_states, m->sink, rng);
}

/* ---- walks ----------------------------------------------------------------------------- */

static int draw_action(const struct automaton *m, int state, struct pb_rng *rng)
{
	int list[PB_DFA_ACTIONS] = {0}, n = 0;

	for (int a = 0; a < m->n_actions; a++)
		if (m->next[state][a] >= 0)
			list[n++] = a;
	return list[draw_below(rng, n)];
}

static void add_clause(struct pb_dfa_story *story, const struct automaton *m, int from, int action)
{
	story->action[story->n_clauses] = action;
	story->target[story->n_clauses++] = m->next[from][action];
}

/* An action that the clauses so far have shown at `from`, uniform; -1: none. */
static int draw_known(const struct pb_dfa_story *story, int from, struct pb_rng *rng)
{
	int list[PB_DFA_ACTIONS], n = 0;

	for (int a = 0; a < story->n_actions; a++)
		if (pb_dfa_find(story, story->n_clauses, from, a) >= 0)
			list[n++] = a;
	return n == 0 ? -1 : list[draw_below(rng, n)];
}

/* False in mode strict where what is asked has not been told. */
static bool draw_once(struct pb_dfa_story *story, const struct pb_task_options *o,
		      struct pb_rng *rng)
{
	struct automaton m;
	bool strict = o->mode == PB_DFA_STRICT;
	int known = -1;

	automaton_begin(&m, o);
	if (strict)
		draw_strict(&m, o, rng);
	else
		draw_paper(&m, o, rng);
	story->n_clauses = 0;
	story->start = draw_start(&m, rng);
	for (size_t t = 0; t < o->steps; t++) {
		int from = pb_dfa_from(story, story->n_clauses);

		/* the way out of the sink is told, and is no step of the walk */
		if (from == m.sink) {
			add_clause(story, &m, from, draw_action(&m, from, rng));
			from = pb_dfa_from(story, story->n_clauses);
		}
		if (t + 1 == o->steps && strict)
			known = draw_known(story, from, rng);
		add_clause(story, &m, from, known >= 0 ? known : draw_action(&m, from, rng));
	}
	return !strict || known >= 0;
}

void pb_dfa_draw(struct pb_dfa_story *story, const struct pb_task_options *o, struct pb_rng *rng)
{
	const int tries_max = 64;

	*story =
	    (struct pb_dfa_story){.n_states = (int)o->states, .n_actions = (int)pb_dfa_actions(o)};
	for (int tries = 0; tries < tries_max && !draw_once(story, o, rng); tries++)
		;
}

/* ---- reading --------------------------------------------------------------------------- */

int pb_dfa_from(const struct pb_dfa_story *story, int t)
{
	return t == 0 ? story->start : story->target[t - 1];
}

int pb_dfa_find(const struct pb_dfa_story *story, int n, int from, int action)
{
	int t = n - 1;

	while (t >= 0 && (pb_dfa_from(story, t) != from || story->action[t] != action))
		t--;
	return t;
}

/* The state that is named most often, of several the one named last. */
static int most_frequent(const struct pb_dfa_story *story)
{
	int count[PB_DFA_STATES] = {0}, best = story->start;

	count[story->start]++;
	for (int t = 0; t < story->n_clauses - 1; t++) {
		count[story->target[t]]++;
		if (count[story->target[t]] >= count[best])
			best = story->target[t];
	}
	return best;
}

void pb_dfa_facts_of(const struct pb_dfa_story *story, struct pb_dfa_facts *facts)
{
	int last = story->n_clauses - 1;

	*facts = (struct pb_dfa_facts){.from = pb_dfa_from(story, last),
				       .action = story->action[last],
				       .told_target = -1,
				       .last_of_action = -1,
				       .last_of_state = -1,
				       .most_frequent = most_frequent(story)};
	facts->evidence = pb_dfa_find(story, last, facts->from, facts->action);
	if (facts->evidence >= 0)
		facts->told_target = story->target[facts->evidence];
	for (int t = 0; t < last; t++) {
		bool same_state = pb_dfa_from(story, t) == facts->from;
		bool same_action = story->action[t] == facts->action;

		if (same_action)
			facts->last_of_action = story->target[t];
		if (same_state)
			facts->last_of_state = story->target[t];
		if (same_state && !same_action)
			facts->state_has_others = true;
		if (same_action && story->target[t] != story->target[last])
			facts->action_led_elsewhere = true;
	}
}

/* ---- telling --------------------------------------------------------------------------- */

enum { HEADER, LABEL, NEXT_LABEL, LAST_LABEL, START, STEP, QUESTION };

const struct pb_pattern_row pb_dfa_patterns[] = {
    [HEADER] = {.name = "header",
		.text = "States: {{ {states} }}\nActions: {{ {actions} }}\nSequence:",
		.role = "header",
		.slots = {{.name = "states", .items = LABEL, .may_lack = true},
			  {.name = "actions", .items = LABEL, .may_lack = true}}},
    [LABEL] = {.name = "label", .text = "{label}", .role = "header", .slots = {{.name = "label"}}},
    [NEXT_LABEL] = {.name = "next_label",
		    .text = ", {label}",
		    .role = "header",
		    .slots = {{.name = "label"}}},
    [LAST_LABEL] = {.name = "last_label",
		    .text = ", {label}",
		    .role = "header",
		    .slots = {{.name = "label"}}},
    [START] = {.name = "start",
	       .text = "Start at state {state}.",
	       .role = "start",
	       .slots = {{.name = "state", .role = "state"}}},
    [STEP] = {.name = "step",
	      .text = "Take action {action}, go to state {state}.",
	      .role = "clause",
	      .slots = {{.name = "action", .role = "action"}, {.name = "state", .role = "state"}}},
    [QUESTION] = {.name = "question",
		  .text = "Take action {action}, go to state",
		  .role = "query",
		  .kind = PB_PATTERN_END,
		  .slots = {{.name = "action", .role = "query_action"}}},
    {.name = NULL},
};

/* A label without its leading space. */
static const char *bare(const char *label)
{
	return label + 1;
}

static void tell_header(struct pb_words *words, const struct pb_dfa_story *story,
			const struct pb_wording *wording)
{
	const char *states[PB_DFA_STATES], *actions[PB_DFA_ACTIONS];

	for (int s = 0; s < story->n_states; s++)
		states[s] = bare(state_labels[s]);
	for (int a = 0; a < story->n_actions; a++)
		actions[a] = bare(action_labels[a]);
	PB_TELL(wording, HEADER, words, {.list = states, .n = (size_t)story->n_states},
		{.list = actions, .n = (size_t)story->n_actions});
}

void pb_dfa_words_of(const struct pb_dfa_story *story, const struct pb_wording *wording,
		     struct pb_words *words)
{
	int last = story->n_clauses - 1;

	pb_words_begin(words);
	tell_header(words, story, wording);
	PB_TELL(wording, START, words, {.text = bare(state_labels[story->start])});
	for (int t = 0; t < last; t++)
		PB_TELL(wording, STEP, words, {.text = bare(action_labels[story->action[t]])},
			{.text = bare(state_labels[story->target[t]])});
	PB_TELL(wording, QUESTION, words, {.text = bare(action_labels[story->action[last]])});
}

int pb_dfa_distance(const struct pb_words *words, int t)
{
	int states = 0;

	/* the start comes first, then a state each clause */
	for (size_t i = 0; i < words->n; i++)
		if (strcmp(words->items[i].role, "state") == 0 && states++ == t + 1)
			return (int)(words->n - 1 - i);
	return -1;
}
