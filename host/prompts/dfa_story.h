/* The world of the dfa task: an automaton, a walk through it, what a reader of the walk can know,
 * and its words. */
#ifndef PATCHBAY_PROMPTS_DFA_STORY_H
#define PATCHBAY_PROMPTS_DFA_STORY_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/pairs.h"
#include "prompts/wording.h"

#define PB_DFA_STATES 100 /* labels: 26 letters, then 74 of two letters */
#define PB_DFA_ACTIONS 26
#define PB_DFA_STEPS 100
/* The header has a word and a mark a label, a clause nine; a walk may leave the sink between any
 * two steps. */
_Static_assert(2 * (PB_DFA_STATES + PB_DFA_ACTIONS) + 16 + 2 * PB_DFA_STEPS * 9 + 8 <= PB_WORDS_MAX,
	       "room for a walk");

/* A walk: clause t goes by action[t] from the state before it to target[t]; the last clause's
 * target is not told. */
struct pb_dfa_story {
	int n_states, n_actions, n_clauses;
	int start;
	int action[2 * PB_DFA_STEPS + 2], target[2 * PB_DFA_STEPS + 2];
};

/* What the told clauses say of the question. -1: nothing. */
struct pb_dfa_facts {
	int from, action;                                 /* that are asked for */
	int evidence;                                     /* the last clause that has shown it */
	int told_target;                                  /* what it has shown: the answer */
	int last_of_action, last_of_state, most_frequent; /* what three simple rules would say */
	bool action_led_elsewhere;                        /* so that the state is needed */
	bool state_has_others;                            /* so that the action is needed */
};

const char *pb_dfa_state(int state);   /* " a" */
const char *pb_dfa_action(int action); /* " A" */

/* Edges and actions that are meant where they are not given (0). */
size_t pb_dfa_edges(const struct pb_task_options *o);
size_t pb_dfa_actions(const struct pb_task_options *o);

/* A fresh automaton and a walk of o->steps clauses. */
void pb_dfa_draw(struct pb_dfa_story *story, const struct pb_task_options *o, struct pb_rng *rng);

/* The state before clause t. */
int pb_dfa_from(const struct pb_dfa_story *story, int t);
/* The last of the first n clauses that goes by `action` from `from`; -1: none does. */
int pb_dfa_find(const struct pb_dfa_story *story, int n, int from, int action);
void pb_dfa_facts_of(const struct pb_dfa_story *story, struct pb_dfa_facts *facts);

void pb_dfa_words_of(const struct pb_dfa_story *story, const struct pb_wording *wording,
		     struct pb_words *words);
/* How many words follow the one that tells the target of clause t. */
int pb_dfa_distance(const struct pb_words *words, int t);

#endif
