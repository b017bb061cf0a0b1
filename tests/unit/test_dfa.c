/* The dfa task: walks are read back from their text by a reader that shares nothing with the
 * generator, and pairs differ where they say and nowhere else. */
#include <math.h>

#include "support/task_lines.h"

#define MAX_LABELS 128
#define MAX_CLAUSES 256

/* ---- an independent reader of the text ------------------------------------------------ */

struct walk {
	char states[MAX_LABELS][4], actions[MAX_LABELS][4];
	int n_states, n_actions;
	int n; /* clauses, the last one without its target */
	char at[MAX_CLAUSES + 1][4], by[MAX_CLAUSES][4];
};

static const char *skip(const char *s, const char *expected)
{
	size_t n = strlen(expected);

	cr_assert_eq(strncmp(s, expected, n), 0, "'%s' should begin with '%s'", s, expected);
	return s + n;
}

static const char *read_label(const char *s, char out[4])
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	cr_assert(n >= 1 && n <= 2, "a label at '%s'", s);
	memcpy(out, s, n);
	out[n] = '\0';
	return s + n;
}

static const char *read_set(const char *s, char labels[MAX_LABELS][4], int *n)
{
	s = skip(s, "{ ");
	for (*n = 0;; (*n)++) {
		s = read_label(s, labels[*n]);
		for (int i = 0; i < *n; i++)
			cr_assert_str_neq(labels[i], labels[*n], "named twice");
		if (*s == ' ')
			break;
		s = skip(s, ", ");
	}
	(*n)++;
	return skip(s, " }\n");
}

static bool is_in(const char labels[MAX_LABELS][4], int n, const char *label)
{
	for (int i = 0; i < n; i++)
		if (strcmp(labels[i], label) == 0)
			return true;
	return false;
}

static void read_walk(struct walk *w, const char *text)
{
	const char *s = skip(text, "States: ");

	s = read_set(s, w->states, &w->n_states);
	s = read_set(skip(s, "Actions: "), w->actions, &w->n_actions);
	s = read_label(skip(s, "Sequence: Start at state "), w->at[0]);
	for (w->n = 0;; w->n++) {
		cr_assert(is_in(w->states, w->n_states, w->at[w->n]), "state %s", w->at[w->n]);
		s = read_label(skip(s, ". Take action "), w->by[w->n]);
		cr_assert(is_in(w->actions, w->n_actions, w->by[w->n]), "action %s", w->by[w->n]);
		s = skip(s, ", go to state");
		if (*s == '\0')
			break;
		s = read_label(skip(s, " "), w->at[w->n + 1]);
	}
	w->n++;
}

/* Where the told clauses say that `action` leads from `state`; they may not contradict each other.
 */
static const char *told(const struct walk *w, const char *state, const char *action, int *last)
{
	const char *found = NULL;

	for (int t = 0; t < w->n - 1; t++)
		if (strcmp(w->at[t], state) == 0 && strcmp(w->by[t], action) == 0) {
			cr_assert(found == NULL || strcmp(found, w->at[t + 1]) == 0,
				  "two ways from %s by %s", state, action);
			found = w->at[t + 1];
			if (last != NULL)
				*last = t;
		}
	return found;
}

static void check_consistent(const struct walk *w)
{
	for (int t = 0; t < w->n - 1; t++)
		(void)told(w, w->at[t], w->by[t], NULL);
}

static const char *asked(const struct walk *w, int *evidence)
{
	return told(w, w->at[w->n - 1], w->by[w->n - 1], evidence);
}

/* ---- lines ---------------------------------------------------------------------------- */

static bool flag_of(const json_t *line, const char *key)
{
	cr_assert(json_is_boolean(json_object_get(line, key)), "key %s", key);
	return json_is_true(json_object_get(line, key));
}

/* NULL where the line has null. */
static const char *label_of(const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);

	cr_assert(json_is_null(value) || json_is_string(value), "key %s", key);
	return json_is_string(value) ? json_string_value(value) + 1 : NULL;
}

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Words and marks of a text, and of its roles as many. */
static size_t count_words(const char *text)
{
	size_t n = 0;

	for (const char *s = text; *s != '\0';) {
		size_t size = strcspn(s, " \n,.:");

		n += size > 0;
		s += size;
		n += *s == ',' || *s == '.' || *s == ':';
		s += *s != '\0';
	}
	return n;
}

/* The facts that a line states, from the text alone. `answer` where it is told. */
static void check_facts(const json_t *line, const struct walk *w, const char *answer)
{
	const char *state = w->at[w->n - 1], *action = w->by[w->n - 1];
	const char *of_action = NULL, *of_state = NULL, *frequent = NULL;
	bool elsewhere = false, others = false;
	int evidence = -1, most = 0;
	const char *shown = asked(w, &evidence);

	cr_assert_eq(flag_of(line, "determined"), shown != NULL);
	cr_assert_eq(json_integer_value(json_object_get(line, "evidence")), evidence);
	for (int t = 0; t < w->n - 1; t++) {
		if (strcmp(w->by[t], action) == 0) {
			of_action = w->at[t + 1];
			elsewhere = elsewhere || strcmp(of_action, answer) != 0;
		}
		if (strcmp(w->at[t], state) == 0) {
			of_state = w->at[t + 1];
			others = others || strcmp(w->by[t], action) != 0;
		}
	}
	/* of those named most often the one named last */
	for (int t = w->n - 1; t >= 0; t--) {
		int n = 0;

		for (int i = 0; i < w->n; i++)
			n += strcmp(w->at[i], w->at[t]) == 0;
		if (n > most) {
			most = n;
			frequent = w->at[t];
		}
	}
	cr_assert(same(label_of(line, "last_of_action"), of_action));
	cr_assert(same(label_of(line, "last_of_state"), of_state));
	cr_assert(same(label_of(line, "most_frequent"), frequent));
	cr_assert_eq(flag_of(line, "state_needed"), elsewhere);
	cr_assert_eq(flag_of(line, "action_needed"), others);
	cr_assert_eq(flag_of(line, "joint"), !same(of_action, answer) && !same(of_state, answer));
	if (evidence >= 0) { /* nine words and marks a clause; the last one has seven */
		int distance = (w->n - 2 - evidence) * 9 + 8;

		cr_assert_eq(json_integer_value(json_object_get(line, "distance")), distance);
	}
}

/* ---- prompts -------------------------------------------------------------------------- */

static const struct pb_task_options cells[] = {
    {.name = "dfa", .states = 2, .steps = 4, .count = 1000, .seed = 1},
    {.name = "dfa", .states = 5, .steps = 10, .count = 3000, .seed = 2},
    {.name = "dfa", .states = 10, .edges = 28, .steps = 30, .count = 2000, .seed = 3},
    {.name = "dfa", .states = 40, .edges = 160, .actions = 10, .steps = 100, .count = 500},
    {.name = "dfa", .states = 100, .steps = 5, .count = 500},
    {.name = "dfa", .mode = PB_DFA_PAPER, .states = 10, .edges = 28, .steps = 10, .count = 3000},
    {.name = "dfa", .mode = PB_DFA_PAPER, .states = 2, .edges = 2, .steps = 3, .count = 500},
    {.name = "dfa", .mode = PB_DFA_PAPER, .states = 20, .edges = 105, .steps = 30, .count = 1000},
};

Test(dfa, ten_thousand_prompts_are_read_back)
{
	for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) {
		char *text = NULL;
		json_t *lines = generate(&cells[c], false, &text);
		size_t determined = 0;

		cr_assert_eq(json_array_size(lines), cells[c].count);
		for (size_t i = 0; i < json_array_size(lines); i++) {
			json_t *line = json_array_get(lines, i);
			const char *answer = text_of(line, "answer") + 1, *shown;
			struct walk w;

			read_walk(&w, text_of(line, "prompt"));
			check_consistent(&w);
			cr_assert_eq((size_t)w.n_states, cells[c].states);
			shown = asked(&w, NULL);
			if (shown != NULL)
				cr_assert_str_eq(shown, answer);
			determined += shown != NULL;
			cr_assert(is_in(w.states, w.n_states, answer));
			cr_assert_str_neq(answer, w.at[w.n - 1], "no edge leads back to its state");
			check_facts(line, &w, answer);
			cr_assert_eq(json_array_size(json_object_get(line, "candidates")),
				     cells[c].states);
			cr_assert_eq(json_array_size(json_object_get(line, "roles")),
				     count_words(text_of(line, "prompt")));
			if (cells[c].mode == PB_DFA_STRICT)
				cr_assert_eq((size_t)w.n, cells[c].steps);
			else
				cr_assert((size_t)w.n >= cells[c].steps);
		}
		if (cells[c].mode == PB_DFA_STRICT && cells[c].steps >= 10)
			cr_assert_eq(determined, cells[c].count);
		json_decref(lines);
		free(text);
	}
}

/* Shares of questions that the prompt answers, which were measured with the paper's own sampler:
 * 19, 45 and 81% for 10 states and 28 edges, 6, 14 and 38% for 20 and 105, whole percents from
 * samples of their own. */
Test(dfa, the_papers_sampler_leaves_as_much_open)
{
	static const struct {
		size_t states, edges, steps;
		double percent;
	} figures[] = {{10, 28, 5, 19}, {10, 28, 10, 45},  {10, 28, 30, 81},
		       {20, 105, 5, 6}, {20, 105, 10, 14}, {20, 105, 30, 38}};

	for (size_t f = 0; f < sizeof figures / sizeof *figures; f++) {
		struct pb_task_options o = {.name = "dfa",
					    .mode = PB_DFA_PAPER,
					    .states = figures[f].states,
					    .edges = figures[f].edges,
					    .steps = figures[f].steps,
					    .count = 3000,
					    .seed = 11};
		char *text = NULL;
		json_t *lines = generate(&o, false, &text);
		double n = 0.0, percent;

		for (size_t i = 0; i < o.count; i++)
			n += flag_of(json_array_get(lines, i), "determined");
		percent = 100.0 * n / (double)o.count;
		cr_log_info("%zu states, %zu steps: %.1f%%", o.states, o.steps, percent);
		cr_assert(fabs(percent - figures[f].percent) < 4.0, "%.1f%%, not %.0f%%", percent,
			  figures[f].percent);
		json_decref(lines);
		free(text);
	}
}

/* Restarts, the way out of the sink, are told and never asked for. */
Test(dfa, the_papers_walks_leave_the_sink)
{
	struct pb_task_options o = cells[5];
	char *text = NULL;
	json_t *lines = generate(&o, false, &text);
	size_t longer = 0;

	for (size_t i = 0; i < o.count; i++) {
		struct walk w;

		read_walk(&w, text_of(json_array_get(lines, i), "prompt"));
		cr_assert_eq(
		    json_integer_value(json_object_get(json_array_get(lines, i), "clauses")), w.n);
		longer += (size_t)w.n > o.steps;
	}
	cr_assert(longer > o.count / 10 && longer < o.count);
	json_decref(lines);
	free(text);
}

/* ---- pairs ---------------------------------------------------------------------------- */

/* Texts that are equal but for the words that `differences` lists. */
static size_t check_differences(const json_t *line)
{
	const json_t *list = json_object_get(line, "differences");
	const char *a = text_of(line, "clean"), *b = text_of(line, "corrupted");
	size_t at = 0, found = 0;

	while (*a != '\0' || *b != '\0') {
		size_t n = strcspn(a, " \n,.:"), m = strcspn(b, " \n,.:");

		if (n > 0 || m > 0) {
			if (n != m || memcmp(a, b, n) != 0) {
				const json_t *item = json_array_get(list, found++);
				const char *word = text_of(item, "clean");

				cr_assert_eq(json_integer_value(json_object_get(item, "word")),
					     (json_int_t)at);
				cr_assert(strlen(word) == n && memcmp(word, a, n) == 0);
				word = text_of(item, "corrupted");
				cr_assert(strlen(word) == m && memcmp(word, b, m) == 0);
			}
			at++;
		}
		a += n;
		b += m;
		cr_assert_eq(*a, *b);
		at += *a == ',' || *a == '.' || *a == ':';
		a += *a != '\0';
		b += *b != '\0';
	}
	cr_assert_eq(found, json_array_size(list));
	return found;
}

static void check_pair(const json_t *line, const char *what)
{
	const char *answer = text_of(line, "answer") + 1, *foil = text_of(line, "foil") + 1;
	struct walk clean, corrupted;
	size_t n_differences = check_differences(line);

	read_walk(&clean, text_of(line, "clean"));
	read_walk(&corrupted, text_of(line, "corrupted"));
	check_consistent(&clean);
	check_consistent(&corrupted);
	cr_assert(same(asked(&clean, NULL), answer));
	cr_assert_str_neq(answer, foil);
	cr_assert_eq(json_array_size(json_object_get(line, "roles")),
		     count_words(text_of(line, "clean")));
	check_facts(line, &clean, answer);
	if (strcmp(what, "distractor") == 0) {
		cr_assert(same(asked(&corrupted, NULL), answer));
		cr_assert(is_in(clean.states, clean.n_states, foil));
	} else {
		cr_assert(same(asked(&corrupted, NULL), foil), "%s", what);
	}
	cr_assert_eq(n_differences, strcmp(what, "noop") == 0 ? 2 : 1);
	cr_assert_eq(clean.n, corrupted.n);
	if (strcmp(what, "state") == 0) /* the last told state */
		cr_assert_str_neq(clean.at[clean.n - 1], corrupted.at[clean.n - 1]);
	if (strcmp(what, "action") == 0) /* the last action */
		cr_assert_str_neq(clean.by[clean.n - 1], corrupted.by[clean.n - 1]);
}

Test(dfa, pairs_differ_where_they_say)
{
	static const enum pb_corruption kinds[] = {PB_CORRUPT_STATE, PB_CORRUPT_ACTION,
						   PB_CORRUPT_DISTRACTOR};
	static const struct pb_task_options sizes[] = {
	    {.name = "dfa", .states = 4, .steps = 10, .count = 400, .seed = 5},
	    {.name = "dfa", .states = 10, .edges = 28, .steps = 30, .count = 200},
	    {.name = "dfa",
	     .mode = PB_DFA_PAPER,
	     .states = 6,
	     .edges = 16,
	     .steps = 20,
	     .count = 200},
	};

	for (size_t k = 0; k < 3; k++)
		for (size_t c = 0; c < 3; c++) {
			struct pb_task_options o = sizes[c];
			char *text = NULL;
			json_t *lines;

			o.corrupt = kinds[k];
			lines = generate(&o, true, &text);
			cr_assert_eq(json_array_size(lines), o.count);
			for (size_t i = 0; i < o.count; i++)
				check_pair(json_array_get(lines, i), pb_corruption_name(kinds[k]));
			json_decref(lines);
			free(text);
		}
}

Test(dfa, matched_pairs_share_their_clean_prompt)
{
	struct pb_task_options o = {
	    .name = "dfa", .states = 6, .steps = 16, .count = 200, .corrupt = PB_CORRUPT_MATCHED};
	char *text = NULL;
	json_t *lines = generate(&o, true, &text);

	for (size_t i = 0; i < o.count; i += 2) {
		json_t *state = json_array_get(lines, i), *action = json_array_get(lines, i + 1);

		cr_assert_str_eq(text_of(state, "clean"), text_of(action, "clean"));
		cr_assert_str_eq(text_of(state, "answer"), text_of(action, "answer"));
		cr_assert_str_eq(text_of(state, "partner"), "state");
		cr_assert_str_eq(text_of(action, "partner"), "action");
		cr_assert_eq(json_integer_value(json_object_get(action, "group")),
			     (json_int_t)(i / 2));
		check_pair(state, "state");
		check_pair(action, "action");
	}
	json_decref(lines);
	free(text);
}

Test(dfa, the_papers_two_constructions)
{
	static const enum pb_corruption kinds[] = {PB_CORRUPT_NOOP, PB_CORRUPT_SAME_ACTION};

	for (size_t k = 0; k < 2; k++)
		for (size_t steps = 6; steps <= 30; steps += 4) {
			struct pb_task_options o = {.name = "dfa",
						    .states = 8,
						    .steps = steps,
						    .count = 60,
						    .corrupt = kinds[k]};
			char *text = NULL;
			json_t *lines = generate(&o, true, &text);

			for (size_t i = 0; i < o.count; i += 2) {
				json_t *one = json_array_get(lines, i);
				json_t *other = json_array_get(lines, i + 1);
				struct walk w;

				check_pair(one, pb_corruption_name(kinds[k]));
				/* each is used both ways */
				cr_assert_str_eq(text_of(one, "clean"),
						 text_of(other, "corrupted"));
				cr_assert_str_eq(text_of(one, "answer"), text_of(other, "foil"));
				read_walk(&w, text_of(one, "clean"));
				cr_assert_eq((size_t)w.n, steps + (k == 0));
				if (k == 0) /* what happens in between changes nothing */
					for (int t = 3; t < w.n - 1; t++)
						cr_assert_str_eq(w.at[t + 1], w.at[t]);
			}
			json_decref(lines);
			free(text);
		}
}

/* All labels are one token in the tokenizers of GPT-2 and GPT-NeoX, roles find their tokens, and a
 * word more is a token more: the distance to the evidence is in tokens. */
static void check_tokens(const struct pb_tokenizer *t, const char *name)
{
	const struct pb_task_options o = {.name = "dfa",
					  .states = 100,
					  .edges = 110,
					  .actions = 26,
					  .steps = 60,
					  .count = 40,
					  .corrupt = PB_CORRUPT_DISTRACTOR};
	struct pb_pairs pairs = {0};
	char *text = NULL;
	json_t *lines = generate(&o, true, &text);

	parse_pairs(&pairs, o, t);
	for (size_t i = 0; i < pairs.n; i++) {
		const struct pb_pair *p = &pairs.items[i];
		size_t distance = (size_t)integer_of(json_array_get(lines, i), "distance");

		cr_assert_not_null(p->roles, "no roles with %s", name);
		cr_assert_str_eq(pairs.roles[p->roles[p->length - 1]], "query");
		cr_assert_str_eq(pairs.roles[p->roles[p->length - 1 - distance]], "state");
		cr_assert_eq(p->clean[p->length - 1 - distance], p->answer);
	}
	pb_pairs_free(&pairs);
	json_decref(lines);
	free(text);
}

Test(dfa, labels_are_single_tokens)
{
	each_tokenizer(check_tokens);
}

/* ---- bytes and refusals --------------------------------------------------------------- */

Test(dfa, the_same_bytes_everywhere)
{
	struct pb_task_options o = cells[1];

	o.count = 50;
	check_bytes(o, false, "7f85336c186c13beb9b0dc5a72e2f889f1c4a41d8fb1f7865901d150880b7f64");
	o.mode = PB_DFA_PAPER;
	o.corrupt = PB_CORRUPT_ACTION;
	check_bytes(o, true, "8f3bf446003bc9bf9ec1fd285217ea378b91b3bb13407d6d1ca77fa7008ad8fc");
}

static void refuse_dfa(struct pb_task_options o, bool pairs, const char *words)
{
	o.name = "dfa";
	if (o.count == 0)
		o.count = 2;
	refuse(o, pairs, words);
}

Test(dfa, what_cannot_be_is_refused)
{
	refuse_dfa((struct pb_task_options){.states = 1, .steps = 3}, false,
		   "states out of range: 1");
	refuse_dfa((struct pb_task_options){.states = 101, .steps = 3}, false, "give 2 to 100");
	refuse_dfa((struct pb_task_options){.states = 5, .steps = 1}, false, "steps out of range");
	refuse_dfa((struct pb_task_options){.states = 5, .steps = 101}, false,
		   "steps out of range");
	refuse_dfa((struct pb_task_options){.states = 5, .edges = 4, .steps = 5}, false,
		   "edges out of range: 4 (task dfa): give 5 to 20");
	refuse_dfa((struct pb_task_options){.states = 5, .edges = 21, .steps = 5}, false,
		   "5 to 20");
	refuse_dfa((struct pb_task_options){.states = 5, .edges = 16, .actions = 3, .steps = 5},
		   false, "5 to 15");
	refuse_dfa((struct pb_task_options){.states = 5, .actions = 27, .steps = 5}, false,
		   "actions");
	refuse_dfa((struct pb_task_options){.states = 2, .steps = 9}, true, "give at least 3");
	refuse_dfa(
	    (struct pb_task_options){
		.states = 5, .steps = 9, .count = 3, .corrupt = PB_CORRUPT_MATCHED},
	    true, "an odd number of pairs");
	refuse_dfa(
	    (struct pb_task_options){
		.states = 5, .steps = 9, .edges = 9, .corrupt = PB_CORRUPT_NOOP},
	    true, "edges");
	refuse_dfa(
	    (struct pb_task_options){.states = 3, .steps = 9, .corrupt = PB_CORRUPT_SAME_ACTION},
	    true, "at least 4 states");
	refuse_dfa((struct pb_task_options){.states = 30, .steps = 3, .corrupt = PB_CORRUPT_STATE},
		   true, "no pair was found");
}
