/* Template files: what is wrong with one is said with its place. */
#include "patchbay/config.h"
#include "support/task_lines.h"
#include "support/text_file.h"

/* `message` with the file's name for each %s. */
static void refuse_template(struct pb_task_options o, const char *template, const char *message)
{
	struct pb_error err = {0};
	char *text = NULL, expected[600];
	size_t size = 0, n = 0;

	o.count = 1;
	o.template_path = file_with(template);
	for (const char *s = message; *s != '\0'; s += s[0] == '%' ? 2 : 1)
		n += (size_t)snprintf(expected + n, sizeof expected - n, "%.*s",
				      s[0] == '%' ? (int)sizeof file_name : 1,
				      s[0] == '%' ? file_name : s);
	cr_assert_eq(pb_task_prompts(&o, &text, &size, &err), PB_ERR_INPUT, "accepted: %s",
		     template);
	cr_assert_null(text);
	cr_assert_str_eq(err.message, expected);
	unlink(file_name);
}

static void refuse_box(const char *pattern, const char *message)
{
	char *text = pb_format("task: box\n%s\n", pattern);

	refuse_template((struct pb_task_options){.name = "box", .boxes = 3, .moves = 2}, text,
			message);
	free(text);
}

Test(template_files, files_that_are_no_template)
{
	const struct pb_task_options o = {.name = "box", .boxes = 3, .moves = 2};

	refuse_template(o, "",
			"not a template: %s: give keys and texts: task: box, and the sentences to "
			"restate");
	refuse_template(o, "move: x\n",
			"missing key: %s (task): say whose sentences they are: task: box");
	refuse_template(o, "task: boxes\n",
			"unknown task: %s:1:7 (task): give the name of a task, here box");
	refuse_template(o, "task: dfa\nstep: x\n",
			"template of another task: %s:1:7 (task): of dfa, not of box: give one of "
			"task box");
	refuse_template(o, "task: box\nmove: [a\n",
			"not valid YAML: %s:3:1: flow sequence without a closing bracket");
	refuse_template(o, "task: box\nmove: x\nmove: y\n",
			"duplicate key: %s:3:1 (move): already given at %s:2:1: keep one");
}

Test(template_files, patterns_that_are_refused)
{
	refuse_box("moves: \"Put the {object} into Box {to}.\"",
		   "unknown pattern: %s:2:1 (moves): did you mean 'move'?");
	refuse_box("sentence: x",
		   "unknown pattern: %s:2:1 (sentence): those of task box are: one, "
		   "several, empty, object, next_object, last_object, move, question");
	refuse_box("move: [a, b]", "wrong type: %s:2:7 (move): give a text");
	refuse_box("move:", "empty pattern: %s:2:1 (move): give a sentence, or leave the key out "
			    "for the usual one");
	refuse_box("move: ' '", "empty pattern: %s:2:7 (move): give a sentence, or leave the key "
				"out for the usual one");
	refuse_box("# no\nmove: Put the {object} away.",
		   "missing placeholder: %s:3:7 (move): {to}: put it where the value stands");
	refuse_box(
	    "move: Put the {thing} into {to}.",
	    "unknown placeholder: %s:2:7 (move): {thing}: give {object}, {to}; {{ and }} are "
	    "braces of the text");
	refuse_box("move: Put the {Object} into {to}.",
		   "unknown placeholder: %s:2:7 (move): {Object}: give {object}, {to}; {{ and }} "
		   "are braces of the text");
	refuse_box("question: So {thing} is in",
		   "unknown placeholder: %s:2:11 (question): {thing}: give {object}, {Object}; {{ "
		   "and }} are braces of the text");
	refuse_box("question: \"{Object}, the {object}, is in\"",
		   "placeholder given twice: %s:2:11 (question): {object}: keep one: another would "
		   "tell it once more");
	refuse_box("move: Put the {object into {to}.",
		   "unknown placeholder: %s:2:7 (move): {object into {to}: give {object}, {to}; {{ "
		   "and }} are braces of the text");
	refuse_box("move: Put the {object} into {to",
		   "brace that does not close: %s:2:7 (move): '{to': put a } behind the "
		   "placeholder, or {{ for a brace of the text");
	refuse_box("move: Put the {object} into to}.",
		   "brace that does not open: %s:2:7 (move): 'to}.': give }} for a brace of the "
		   "text");
	refuse_box("move: Put the ({object}) into {to}.",
		   "placeholder within a word: %s:2:7 (move): '({object})': put white space around "
		   "it; only marks (. , : ; ! ?) may follow at once");
	refuse_box("move: Put the {object}s into {to}.",
		   "placeholder within a word: %s:2:7 (move): '{object}s': put white space around "
		   "it; only marks (. , : ; ! ?) may follow at once");
	refuse_box("question: \"The {object} is in \"",
		   "white space at the end: %s:2:11 (question): end with a word: the answer "
		   "follows, behind a space of its own");
	refuse_box("move: |\n  Put {object} into {to}.\n",
		   "white space at the end: %s:3:1 (move): put it at the beginning of the sentence "
		   "that follows");
}

Test(template_files, ends_and_beginnings_that_are_refused)
{
	refuse_template((struct pb_task_options){.name = "ioi"},
			"task: ioi\nsentence: [\"{first}, {second}: {giver} to\"]\n",
			"placeholder at the beginning: %s:2:12 (sentence): {first}: put a word "
			"before it: values are one token behind a space");
	refuse_template((struct pb_task_options){.name = "ioi"}, "task: ioi\nsentence: []\n",
			"wrong number of texts: %s:2:11 (sentence): give 1 to 1000");
	refuse_template((struct pb_task_options){.name = "greater_than"},
			"task: greater_than\nsentence: From {year} to {century} it\n",
			"wrong end: %s:2:11 (sentence): the answer follows {century}: end with it");
	refuse_template(
	    (struct pb_task_options){.name = "induction", .length = 5},
	    "task: induction\nsentence: \"See: {words} {repeated},\"\n",
	    "wrong end: %s:2:11 (sentence): the answer follows {repeated}: end with it");
}

Test(template_files, tasks_and_cells_that_have_none)
{
	struct pb_task_options o = {
	    .name = "factual", .triples = "facts.jsonl", .template_path = "x.yaml", .count = 1};
	const char *const many = "go on and on until at last you are there and see that it is so";
	char *text = pb_format("task: dfa\nstep: \"{action} %s and %s {state}\"\n", many, many);

	refuse(o, false,
	       "option does not fit: template: x.yaml (task factual): its sentences are those of "
	       "the triples file");
	o = (struct pb_task_options){.name = "dfa", .states = 4, .steps = 100, .count = 2};
	o.template_path = file_with(text);
	refuse(o, false, "prompt too long: task dfa: more than 2304 words and marks: give shorter");
	refuse(o, true, "prompt too long");
	unlink(file_name);
	o.template_path = "/nowhere/x.yaml";
	refuse(o, false, "/nowhere/x.yaml");
	free(text);
}

/* ---- configs -------------------------------------------------------------------------- */

static enum pb_status read_config(struct pb_run_config *config, const char *task,
				  struct pb_error *err)
{
	char *text = pb_format("model: {path: some/model}\ntask: {%s, template: some words.yaml}\n"
			       "sweep: {site: z}\n",
			       task);
	enum pb_status status = pb_config_read(config, file_with(text), NULL, 0, NULL, err);

	unlink(file_name);
	free(text);
	return status;
}

/* The resolved config has the path; the pairs have the words. */
Test(template_files, a_config_may_name_one)
{
	struct pb_run_config config;
	struct pb_error err = {0};

	cr_assert_eq(read_config(&config, "name: box, boxes: 3, moves: 2", &err), PB_OK, "%s",
		     err.message);
	cr_assert_str_eq(config.task.template_path, "some words.yaml");
	cr_assert_not_null(strstr(config.resolved, "  template: \"some words.yaml\"\n"), "%s",
			   config.resolved);
	pb_config_free(&config);
	cr_assert_eq(read_config(&config, "name: factual, triples: x", &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "option does not fit: template"), "%s", err.message);
}
