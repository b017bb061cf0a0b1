/* Templates: a task in other words says the same and differs where it did. */
#include <stdarg.h>

#include "prompts/wording.h"
#include "support/task_lines.h"
#include "support/text_file.h"

/* ---- the usual words ------------------------------------------------------------------ */

static const struct pb_task_options cells[] = {
    {.name = "box", .boxes = 5, .moves = 3},
    {.name = "dfa", .states = 5, .steps = 9},
    {.name = "fruit", .people = 5, .clues = 4},
    {.name = "adventure", .rooms = 4, .objects = 3, .containers = 2, .steps = 5},
    {.name = "ioi"},
    {.name = "greater_than"},
    {.name = "induction", .length = 9},
    {.name = "docstring", .length = 4},
    {.name = "successor", .series = PB_SERIES_MONTHS, .length = 4},
};
#define N_CELLS (sizeof cells / sizeof *cells)

/* A row's texts as YAML: what JSON writes, it reads. */
static void put_row(FILE *file, const struct pb_pattern_row *row)
{
	json_t *value = row->texts == NULL ? json_string(row->text) : json_array();
	char *text;

	for (size_t i = 0; row->texts != NULL && row->texts[i] != NULL; i++)
		json_array_append_new(value, json_string(row->texts[i]));
	text = json_dumps(value, JSON_ENCODE_ANY);
	fprintf(file, "%s: %s\n", row->name, text);
	free(text);
	json_decref(value);
}

/* A template that restates nothing, or every sentence as it is. */
static const char *usual_template(const struct pb_task *task, bool all)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	const char *path;

	fprintf(file, "task: %s\n", task->name);
	for (const struct pb_pattern_row *row = task->patterns; all && row->name != NULL; row++)
		put_row(file, row);
	cr_assert_eq(fclose(file), 0);
	path = file_with(text);
	free(text);
	return path;
}

/* The bytes that test_box.c and the others know are those of the texts in the tables. */
Test(template, usual_sentences_in_a_file_give_the_usual_bytes)
{
	for (size_t c = 0; c < 2 * N_CELLS; c++) {
		struct pb_task_options o = cells[c / 2];
		const struct pb_task *task = pb_task_find(o.name);
		const char *path = usual_template(task, c % 2 == 0);

		o.count = 20;
		for (int corrupt = -1; corrupt < PB_N_CORRUPTIONS; corrupt++) {
			bool pairs = corrupt >= 0;
			char *usual, *other;

			if (pairs && (task->corruptions >> corrupt & 1u) == 0)
				continue;
			o.corrupt = pairs ? (enum pb_corruption)corrupt : PB_CORRUPT_STATE;
			o.template_path = NULL;
			usual = lines_of(&o, pairs);
			o.template_path = path;
			other = lines_of(&o, pairs);
			cr_assert_str_eq(usual, other, "task %s, corruption %d", o.name, corrupt);
			free(usual);
			free(other);
		}
		unlink(path);
	}
}

/* ---- restated prompts ----------------------------------------------------------------- */

/* Appends words of a usual prompt as the templates in data/templates put them. */
struct restated {
	char text[8192];
	size_t n;
};

static void say(struct restated *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct restated *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	r->n += (size_t)vsnprintf(r->text + r->n, sizeof r->text - r->n, format, arguments);
	va_end(arguments);
	cr_assert_lt(r->n, sizeof r->text);
}

static bool is(const struct words *w, size_t at, const char *text)
{
	return at < w->n && strcmp(w->text[at], text) == 0;
}

static size_t restate_box(const struct words *w, size_t i, struct restated *r)
{
	size_t stop = i, first = i + 3;

	while (stop < w->n && !is(w, stop, "."))
		stop++;
	if (is(w, i, "Move")) {
		say(r, "Somebody takes the %s and puts it into Box %s. ", w->text[i + 2],
		    w->text[i + 5]);
	} else if (!is(w, i, "Box")) {
		say(r, "Now the %c%s is in Box", w->text[i][0] - 'A' + 'a', w->text[i] + 1);
	} else if (is(w, i + 3, "empty")) {
		say(r, "In Box %s there is nothing. ", w->text[i + 1]);
	} else {
		/* "the hat , the key and the pen ." */
		say(r, "In Box %s there %s the %s", w->text[i + 1],
		    stop - first == 2 ? "is" : "are", w->text[first + 1]);
		for (size_t k = first + 4; k < stop; k += 3)
			say(r, " and the %s", w->text[k]);
		say(r, ". ");
	}
	return stop + 1;
}

static size_t restate_dfa(const struct words *w, size_t i, struct restated *r)
{
	if (is(w, i, "States") || is(w, i, "Actions")) {
		bool states = is(w, i, "States");
		size_t k = i + 3;

		say(r, states ? "A machine has these states: %s" : " It reads these letters: %s",
		    w->text[k++]);
		for (; is(w, k, ","); k += 2)
			say(r, is(w, k + 2, ",") ? " %s" : " and %s", w->text[k + 1]);
		return k + 1;
	}
	if (is(w, i, "Sequence"))
		return i + 2;
	if (is(w, i, "Start")) {
		say(r, " It is in state %s", w->text[i + 3]);
		return i + 5;
	}
	say(r, " It reads %s and is in state", w->text[i + 2]);
	if (i + 7 < w->n)
		say(r, " %s", w->text[i + 7]);
	return i + 9;
}

/* "apple , pear" up to a word that is no comma, as "apple , pear and plum" with its commas. */
static size_t restate_list(const struct words *w, size_t i, struct restated *r)
{
	say(r, "%s", w->text[i++]);
	for (; is(w, i, ","); i += 2)
		say(r, is(w, i + 2, ",") ? ", %s" : " and %s", w->text[i + 1]);
	return i;
}

static size_t restate_fruit(const struct words *w, size_t i, struct restated *r)
{
	if (i == 0) {
		say(r, "In a shop ");
		i = restate_list(w, i, r);
		while (!is(w, i, "fruits"))
			i++;
		say(r, " see these fruits: ");
		i = restate_list(w, i + 1, r);
		say(r, ". Nobody gets the same as another. ");
		return i + 8;
	}
	if (is(w, i + 1, "gives")) {
		say(r, "From %s, %s gets the %s. ", w->text[i], w->text[i + 2], w->text[i + 4]);
		return i + 6;
	}
	if (is(w, i + 1, "gets")) {
		say(r, "For %s there is the %s. ", w->text[i], w->text[i + 3]);
		return i + 5;
	}
	say(r, "What is left for %s is the", w->text[i]);
	return w->n;
}

static bool is_container(const char *name)
{
	return strstr(" box chest bag drawer crate barrel ", name) != NULL;
}

/* "The X is ..": of a place or a flag, told or asked for. */
static void restate_thing(const struct words *w, size_t i, size_t stop, struct restated *r)
{
	const char *name = w->text[i + 1];

	if (stop == w->n)
		say(r, is(w, i + 3, "in") ? "Now the %s lies in the" : "Now the %s is", name);
	else if (is(w, i + 3, "in"))
		say(r, "There is a %s in the %s. ", name, w->text[i + 5]);
	else
		say(r, "It is a %s that is %s. ", name, w->text[i + 3]);
	cr_assert(is_container(name) || is(w, i + 3, "in"));
}

static size_t restate_adventure(const struct words *w, size_t i, struct restated *r)
{
	const char *verb = w->text[i + 1];
	size_t stop = i;

	while (stop < w->n && !is(w, stop, "."))
		stop++;
	if (is(w, i, "The"))
		restate_thing(w, i, stop, r);
	else if (is(w, i + 1, "of"))
		say(r, "To the %c%s of the %s lies the %s. ", w->text[i][0] - 'A' + 'a',
		    w->text[i] + 1, w->text[i + 3], w->text[i + 6]);
	else if (is(w, i + 1, "are") && stop < w->n)
		say(r, "Anna stands in the %s. ", w->text[i + 4]);
	else if (is(w, i + 1, "are"))
		say(r, "Now Anna stands in the");
	else if (is(w, i + 1, "go"))
		say(r, "Anna walks %s. ", w->text[i + 2]);
	else if (is(w, i + 1, "put"))
		say(r, "Anna lays the %s into the %s. ", w->text[i + 3], w->text[i + 6]);
	else
		say(r, "Anna %s the %s. ",
		    strcmp(verb, "take") == 0   ? "picks up"
		    : strcmp(verb, "open") == 0 ? "opens"
						: "shuts",
		    w->text[i + 3]);
	return stop + 1;
}

static const struct restating {
	const char *task, *path, *marks;
	size_t (*restate)(const struct words *w, size_t i, struct restated *r);
} restatings[] = {
    {"box", "data/templates/box.yaml", ".,", restate_box},
    {"dfa", "data/templates/dfa.yaml", ".,:", restate_dfa},
    {"fruit", "data/templates/fruit.yaml", ".,:", restate_fruit},
    {"adventure", "data/templates/adventure.yaml", ".", restate_adventure},
};

/* A text with single blanks for its line breaks. */
static char *in_one_line(const char *text)
{
	char *copy = strdup(text);

	for (char *s = copy; *s != '\0'; s++)
		if (*s == '\n')
			*s = ' ';
	return copy;
}

static void check_text(const struct restating *to, const char *usual, const char *text)
{
	struct restated expected = {.n = 0};
	char *plain = in_one_line(usual), *line = in_one_line(text);
	struct words w;

	split(&w, plain, to->marks);
	for (size_t i = 0; i < w.n;)
		i = to->restate(&w, i, &expected);
	cr_assert_str_eq(line, expected.text, "from: %s", usual);
	free(plain);
	free(line);
}

/* The line of the restated prompt has all that is not of its words. */
static void check_facts(json_t *usual, json_t *line)
{
	static const char *const of_words[] = {"prompt", "clean",    "corrupted", "differences",
					       "roles",  "distance", "template"};

	for (size_t i = 0; i < sizeof of_words / sizeof *of_words; i++) {
		cr_assert_eq(json_object_get(usual, of_words[i]) != NULL,
			     json_object_get(line, of_words[i]) != NULL);
		json_object_del(usual, of_words[i]);
		json_object_del(line, of_words[i]);
	}
	cr_assert(json_equal(usual, line));
}

/* As many words differ, the same ones with the same roles: they are values. */
static void check_differences(const json_t *usual, const json_t *line, const char *marks)
{
	const json_t *before = json_object_get(usual, "differences");
	const json_t *list = json_object_get(line, "differences");
	char *clean = in_one_line(text_of(line, "clean"));
	char *corrupted = in_one_line(text_of(line, "corrupted"));
	struct words a, b;

	split(&a, clean, marks);
	split(&b, corrupted, marks);
	cr_assert_eq(check_word_differences(line, &a, &b), json_array_size(before));
	for (size_t i = 0; i < json_array_size(before); i++) {
		const json_t *was = json_array_get(before, i), *item = json_array_get(list, i);

		cr_assert_str_eq(text_of(item, "clean"), text_of(was, "clean"));
		cr_assert_str_eq(text_of(item, "corrupted"), text_of(was, "corrupted"));
		cr_assert_str_eq(role_of(line, (size_t)integer_of(item, "word")),
				 role_of(usual, (size_t)integer_of(was, "word")));
	}
	free(clean);
	free(corrupted);
}

/* Of dfa: the distance counts the words that are told behind the one that has shown the answer. */
static void check_distance(const json_t *line, const char *key, const char *marks)
{
	json_int_t distance = integer_of(line, "distance");
	char *text = in_one_line(text_of(line, key));
	struct words w;

	split(&w, text, marks);
	cr_assert_eq(distance >= 0, json_is_true(json_object_get(line, "determined")));
	if (distance >= 0)
		cr_assert_str_eq(w.text[w.n - 1 - (size_t)distance], text_of(line, "answer") + 1);
	free(text);
}

static void check_restated(const struct restating *to, struct pb_task_options o, bool pairs)
{
	char *text = NULL, *other = NULL;
	json_t *usual = generate(&o, pairs, &text), *lines;

	o.template_path = to->path;
	lines = generate(&o, pairs, &other);
	for (size_t i = 0; i < o.count; i++) {
		json_t *was = json_array_get(usual, i), *line = json_array_get(lines, i);

		if (pairs) {
			check_text(to, text_of(was, "clean"), text_of(line, "clean"));
			check_text(to, text_of(was, "corrupted"), text_of(line, "corrupted"));
			check_differences(was, line, to->marks);
		} else {
			check_text(to, text_of(was, "prompt"), text_of(line, "prompt"));
		}
		if (json_object_get(line, "distance") != NULL)
			check_distance(line, pairs ? "clean" : "prompt", to->marks);
		check_facts(was, line);
	}
	json_decref(usual);
	json_decref(lines);
	free(text);
	free(other);
}

Test(template, restated_prompts_say_the_same)
{
	for (size_t t = 0; t < sizeof restatings / sizeof *restatings; t++) {
		struct pb_task_options o = cells[t];
		const struct pb_task *task = pb_task_find(o.name);

		cr_assert_str_eq(o.name, restatings[t].task);
		o.count = 300;
		o.seed = 17;
		check_restated(&restatings[t], o, false);
		for (int c = 0; c < PB_N_CORRUPTIONS; c++) {
			o.corrupt = (enum pb_corruption)c;
			if (task->corruptions >> c & 1u)
				check_restated(&restatings[t], o, true);
		}
	}
}

/* ---- roles and single sentences ------------------------------------------------------- */

/* The first pair with this template: the text is as expected, and its roles, of which `_` is the
 * one before. */
static void check_first(struct pb_task_options o, const char *template, const char *pattern,
			const char *expected_roles)
{
	char *text = NULL, *copy = strdup(expected_roles), *rest = NULL;
	const char *role = "";
	json_t *lines, *line;
	size_t n = 0;

	o.count = 1;
	o.corrupt = pb_task_find(o.name)->usual_corrupt;
	o.template_path = file_with(template);
	lines = generate(&o, true, &text);
	unlink(file_name);
	line = json_array_get(lines, 0);
	cr_assert_str_eq(text_of(line, "clean"), pattern);
	for (char *s = strtok_r(copy, " ", &rest); s != NULL; s = strtok_r(NULL, " ", &rest), n++) {
		role = strcmp(s, "_") == 0 ? role : s;
		cr_assert_not_null(role_of(line, n), "only %zu words", n);
		cr_assert_str_eq(role_of(line, n), role, "word %zu", n);
	}
	cr_assert_null(role_of(line, n), "more than %zu words", n);
	json_decref(lines);
	free(copy);
	free(text);
}

Test(template, words_have_the_roles_of_their_sentences_and_values)
{
	check_first(
	    (struct pb_task_options){.name = "box", .boxes = 3, .moves = 1},
	    "task: box\nseveral: \"\\n{box}:\\n{objects} ...\"\nempty: \"{{{{ {box} }}: nothing!?\"\n"
	    "one: \"So {box} , {objects}\"\nmove: \"{object} -> {to};\"\n"
	    "question: \"{object} or {{object}} is in\"\n",
	    "{{ A }: nothing!?\nB:\nthe hat and the glove ... So C , the ball hat -> C; ball "
	    "or {object} is in",
	    "state _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ action _ _ _ query _ _ _ _");
	check_first(
	    (struct pb_task_options){.name = "dfa", .states = 3, .steps = 4},
	    "task: dfa\nheader: Machine\nstart: in {state}\n"
	    "step: reads {action} , to {state} ;\nquestion: \"reads {action}, to\"\n",
	    "Machine in a reads B , to b ; reads B , to c ; reads B , to b ; reads B, to",
	    "header start state clause action clause _ state clause _ action clause _ state "
	    "clause _ action clause _ state clause query query_action query _");
	check_first(
	    (struct pb_task_options){.name = "fruit", .people = 3, .clues = 2},
	    "task: fruit\nopening: \"Fruits: {fruits}. People: {people}.\"\n"
	    "question: So {person} has the\n",
	    "Fruits: pumpkin, tomato, orange. People: Paul, Kate, Emma. Paul gives Emma the "
	    "pumpkin. Paul gives Kate the orange. So Paul has the",
	    "opening _ fruit opening fruit opening fruit opening _ _ name opening name "
	    "opening name opening giver clue receiver clue given clue giver clue receiver "
	    "clue given clue query asked query _");
	check_first((struct pb_task_options){.name = "ioi"},
		    "task: ioi\nsentence: \"Here {first}, {second} and {giver} gave it to\"\n",
		    "Here Rob, Paul and Rob gave it to",
		    "context s1 s1+1 io context s2 action _ end");
	check_first((struct pb_task_options){.name = "greater_than"},
		    "task: greater_than\nsentence: A {event} of {year} ended in {century}\n",
		    "A crisis of 1305 ended in 13",
		    "opening event opening first_year between _ end");
	check_first((struct pb_task_options){.name = "induction", .length = 4},
		    "task: induction\nsentence: \"First: {words} ; then: {repeated}\"\n",
		    "First: temple color storm tower ; then: temple color",
		    "opening _ first before_target target first opening _ _ repeat end");
	check_first((struct pb_task_options){.name = "docstring", .length = 3},
		    "task: docstring\nfirst_param: \"\\n    @param {argument} - {description}\"\n"
		    "last_param: \"\\n    @param\"\n",
		    "def cloth(self, doctor, heart, street):\n    \"\"\"magnet flower finger\n"
		    "    @param doctor - grass orange\n    @param",
		    "def _ mark before_target mark target mark argument mark description _ _ param "
		    "last_documented param description _ end");
	check_first((struct pb_task_options){.name = "successor", .length = 3},
		    "task: successor\nsentence: \"Days: {items} and then\"\n"
		    "next_item: then {item}\nlast_item: then {item}\n",
		    "Days: Wednesday then Thursday then Friday and then",
		    "opening _ item mark item mark last_item opening end");
}

/* Names, places and answers are those of the usual sentences, and each sentence of the list is told
 * about as often. */
Test(template, ioi_has_several_sentences)
{
	const char *path = file_with("task: ioi\nsentence:\n"
				     "  - At the {place}, {first} met {second}; {giver} called\n"
				     "  - \"I saw {first} and {second}, {giver} helped\"\n"
				     "  - \"Here {first} is, {second} too: {giver} asks\"\n");
	struct pb_task_options o = {.name = "ioi", .count = 3000, .corrupt = PB_CORRUPT_ABC};
	char *text = NULL, *other = NULL;
	json_t *usual = generate(&o, true, &text), *lines;
	size_t seen[3] = {0};

	o.template_path = path;
	lines = generate(&o, true, &other);
	unlink(path);
	for (size_t i = 0; i < o.count; i++) {
		static const char *const begins[] = {"At the", "I saw", "Here "};
		json_t *line = json_array_get(lines, i);
		json_int_t sentence = integer_of(line, "template");

		cr_assert(sentence >= 0 && sentence < 3);
		cr_assert_eq(strncmp(text_of(line, "clean"), begins[sentence], 5), 0);
		cr_assert_eq(strncmp(text_of(line, "corrupted"), begins[sentence], 5), 0);
		seen[sentence]++;
		check_differences(json_array_get(usual, i), line, ".,;:");
		check_facts(json_array_get(usual, i), line);
	}
	/* five standard deviations of 26 */
	for (size_t s = 0; s < 3; s++)
		cr_assert(seen[s] > 870 && seen[s] < 1130, "%zu: %zu", s, seen[s]);
	json_decref(usual);
	json_decref(lines);
	free(text);
	free(other);
}

/* ---- tokens, and the experiment that a template makes --------------------------------- */

/* The preflight takes restated pairs, roles find their tokens, and their hash, by which a run's
 * parts and checkpoints know each other, is another one. */
static void check_tokens(const struct pb_tokenizer *t, const char *name)
{
	for (size_t r = 0; r < sizeof restatings / sizeof *restatings; r++) {
		struct pb_task_options o = cells[r];
		struct pb_pairs usual = {0}, pairs = {0};
		struct pb_error err = {0};
		char hex[2][PB_SHA256_HEX];

		o.count = 100;
		parse_pairs(&usual, o, t);
		o.template_path = restatings[r].path;
		parse_pairs(&pairs, o, t);
		cr_assert_eq(pb_pairs_hash(&usual, hex[0], &err), PB_OK);
		cr_assert_eq(pb_pairs_hash(&pairs, hex[1], &err), PB_OK);
		cr_assert_str_neq(hex[0], hex[1], "%s with %s", o.name, name);
		cr_assert_eq(pairs.n_roles, usual.n_roles);
		for (size_t i = 0; i < pairs.n; i++) {
			const struct pb_pair *p = &pairs.items[i], *u = &usual.items[i];

			cr_assert_eq(p->answer, u->answer);
			cr_assert_eq(p->foil, u->foil);
			cr_assert_str_eq(pairs.roles[p->roles[p->length - 1]], "query");
			cr_assert_str_eq(pairs.roles[p->roles[p->first_difference]],
					 usual.roles[u->roles[u->first_difference]]);
		}
		pb_pairs_free(&usual);
		pb_pairs_free(&pairs);
	}
}

Test(template, restated_pairs_line_up)
{
	each_tokenizer(check_tokens);
}
