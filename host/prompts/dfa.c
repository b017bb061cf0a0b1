/* Abstract automata: evaluation prompts and pairs as JSON lines. */
#include "prompts/dfa.h"

#include <jansson.h>
#include <string.h>

#include "prompts/dfa_pairs.h"
#include "prompts/one_token.h"

static bool is_preset(const struct pb_task_options *o)
{
	return o->corrupt == PB_CORRUPT_NOOP || o->corrupt == PB_CORRUPT_SAME_ACTION;
}

/* ---- options ------------------------------------------------------------------------- */

enum pb_status pb_dfa_check(const struct pb_task_options *o, struct pb_error *err)
{
	size_t n = o->states, least, most, actions;
	enum pb_status status;

	PB_TRY(pb_task_check_range(o, "states", n, 2, PB_DFA_STATES, err));
	PB_TRY(pb_task_check_range(o, "steps", o->steps, 2, PB_DFA_STEPS, err));
	if (o->actions != 0)
		PB_TRY(pb_task_check_range(o, "actions", o->actions, 2, PB_DFA_ACTIONS, err));
	actions = o->actions != 0 ? o->actions : PB_DFA_ACTIONS;
	if (actions > n - 1 && o->mode == PB_DFA_STRICT)
		actions = n - 1; /* targets of a state are different states */
	/* each state but the sink has an edge at least, and the sink has one */
	least = n;
	most = o->mode == PB_DFA_STRICT ? n * actions : (n - 1) * actions + 1;
	if (o->edges != 0 && o->density > 0.0)
		return pb_fail(err, PB_ERR_INPUT,
			       "options contradict: edges %zu and density %g (task dfa): give one "
			       "of them",
			       o->edges, o->density);
	if (o->edges != 0)
		PB_TRY(pb_task_check_range(o, "edges", o->edges, least, most, err));
	else if (o->density > 0.0)
		PB_TRY(
		    pb_task_check_range(o, "edges by density", pb_dfa_edges(o), least, most, err));
	else if (pb_dfa_edges(o) > most)
		status = pb_fail(err, PB_ERR_INPUT,
				 "too few actions: %zu for %zu states (task dfa): give more, or "
				 "edges of %zu to %zu",
				 o->actions, n, least, most);
	if (status == PB_OK)
		status = pb_task_check_count(o, err);
cleanup:
	return status;
}

enum pb_status pb_dfa_check_pairs(const struct pb_task_options *o, struct pb_error *err)
{
	bool noop = o->corrupt == PB_CORRUPT_NOOP;
	size_t states = noop ? 3 : 4, actions = noop ? 3 : 4, steps = noop ? 3 : 5;
	const char *name = pb_corruption_name(o->corrupt);

	if (!is_preset(o)) {
		if (o->states < 3)
			return pb_fail(
			    err, PB_ERR_INPUT,
			    "no such pair exists: task dfa, corrupt %s, %zu states: give "
			    "at least 3",
			    name, o->states);
		return o->corrupt == PB_CORRUPT_MATCHED ? pb_task_check_even(o, err) : PB_OK;
	}
	if (o->edges != 0 || o->density > 0.0)
		return pb_fail(err, PB_ERR_INPUT,
			       "option does not fit: edges (task dfa, corrupt %s): the walk is the "
			       "construction's own: leave it out",
			       name);
	if (o->states < states || pb_dfa_actions(o) < actions || o->steps < steps)
		return pb_fail(err, PB_ERR_INPUT,
			       "too small: task dfa, corrupt %s: give at least %zu states, %zu "
			       "actions (--actions) and %zu steps",
			       name, states, actions, steps);
	return PB_OK;
}

enum pb_status pb_dfa_prepare(struct pb_task_options *o, struct pb_error *err)
{
	size_t n_actions = pb_dfa_actions(o);
	enum pb_status status = PB_OK;

	for (size_t i = 0; o->tokenizer != NULL && i < o->states + n_actions; i++) {
		const char *label =
		    i < o->states ? pb_dfa_state((int)i) : pb_dfa_action((int)(i - o->states));
		bool one = false;

		PB_TRY(pb_is_one_token(o->tokenizer, "state", label, &one, err));
		if (!one) {
			status =
			    pb_fail(err, PB_ERR_INPUT,
				    "a label is not one token: task dfa: '%s' of this model's "
				    "tokenizer: give fewer states or actions (%zu and %zu), or "
				    "use another model",
				    label, o->states, n_actions);
			goto cleanup;
		}
	}
cleanup:
	return status;
}

/* ---- JSON lines ---------------------------------------------------------------------- */

static json_t *candidates_value(size_t n_states, bool *bad)
{
	json_t *list = json_array();

	for (size_t s = 0; s < n_states; s++)
		pb_line_push(list, json_string(pb_dfa_state((int)s)), bad);
	return list;
}

static json_t *state_value(int state)
{
	return state < 0 ? json_null() : json_string(pb_dfa_state(state));
}

static void put_cell(json_t *line, const struct pb_task_options *o, uint64_t index, bool *bad)
{
	pb_line_put(line, "task", json_string("dfa"), bad);
	pb_line_put(line, "mode", json_string(o->mode == PB_DFA_PAPER ? "paper" : "strict"), bad);
	pb_line_put(line, "states", json_integer((json_int_t)o->states), bad);
	pb_line_put(line, "edges", json_integer((json_int_t)pb_dfa_edges(o)), bad);
	pb_line_put(line, "actions", json_integer((json_int_t)pb_dfa_actions(o)), bad);
	pb_line_put(line, "steps", json_integer((json_int_t)o->steps), bad);
	pb_line_put(line, "seed", json_integer((json_int_t)o->seed), bad);
	pb_line_put(line, "index", json_integer((json_int_t)index), bad);
}

static void put_facts(json_t *line, const struct pb_dfa_story *story, const struct pb_words *words,
		      int answer, bool *bad)
{
	struct pb_dfa_facts f;
	int distance = -1;

	pb_dfa_facts_of(story, &f);
	if (f.evidence >= 0)
		distance = pb_dfa_distance(words, f.evidence);
	pb_line_put(line, "determined", json_boolean(f.evidence >= 0), bad);
	pb_line_put(line, "evidence", json_integer(f.evidence), bad);
	pb_line_put(line, "distance", json_integer(distance), bad);
	pb_line_put(line, "clauses", json_integer(story->n_clauses), bad);
	pb_line_put(line, "asked_state", json_string(pb_dfa_state(f.from)), bad);
	pb_line_put(line, "asked_action", json_string(pb_dfa_action(f.action)), bad);
	pb_line_put(line, "state_needed", json_boolean(f.action_led_elsewhere), bad);
	pb_line_put(line, "action_needed", json_boolean(f.state_has_others), bad);
	pb_line_put(line, "last_of_action", state_value(f.last_of_action), bad);
	pb_line_put(line, "last_of_state", state_value(f.last_of_state), bad);
	pb_line_put(line, "most_frequent", state_value(f.most_frequent), bad);
	pb_line_put(line, "joint",
		    json_boolean(f.last_of_action != answer && f.last_of_state != answer), bad);
}

enum pb_status pb_dfa_prompt(const struct pb_task_options *o, uint64_t index, FILE *out,
			     struct pb_error *err)
{
	struct pb_dfa_story story;
	struct pb_words words;
	struct pb_rng rng;
	json_t *line = json_object();
	bool bad = line == NULL;
	int answer;

	pb_dfa_stream_begin(&rng, o, PB_DFA_STREAM_PROMPTS, index);
	pb_dfa_draw(&story, o, &rng);
	answer = story.target[story.n_clauses - 1];
	pb_dfa_words_of(&story, o->wording, &words);
	pb_line_prompt(line, &words, pb_dfa_state(answer), &bad);
	pb_line_put(line, "candidates", candidates_value(o->states, &bad), &bad);
	put_cell(line, o, index, &bad);
	put_facts(line, &story, &words, answer, &bad);
	pb_line_roles(line, &words, &bad);
	return pb_line_end_prompt(line, o, &words, bad, out, err);
}

enum pb_status pb_dfa_pair(const struct pb_task_options *o, uint64_t index, FILE *out,
			   struct pb_error *err)
{
	struct pb_dfa_pair pair;
	struct pb_words clean, corrupted;
	enum pb_status status = PB_OK;
	json_t *line;
	bool bad;

	if (is_preset(o))
		pb_dfa_make_preset(&pair, o, index);
	else
		status = pb_dfa_make_pair(&pair, o, index, err);
	if (status != PB_OK)
		return status;
	line = json_object();
	bad = line == NULL;
	pb_dfa_words_of(&pair.clean, o->wording, &clean);
	pb_dfa_words_of(&pair.corrupted, o->wording, &corrupted);
	pb_line_pair(line, &clean, &corrupted, pb_dfa_state(pair.answer), pb_dfa_state(pair.foil),
		     &bad);
	pb_line_put(line, "candidates", candidates_value(o->states, &bad), &bad);
	put_cell(line, o, index, &bad);
	pb_line_corrupt(line, o, index, &bad);
	pb_line_put(line, "attempts", json_integer(pair.attempts), &bad);
	put_facts(line, &pair.clean, &clean, pair.answer, &bad);
	return pb_line_end_pair(line, o, &clean, &corrupted, bad, out, err);
}
