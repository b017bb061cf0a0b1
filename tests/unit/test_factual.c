/* The factual task: facts of a file, told by its templates. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/pairs.h"

static const char *const subjects[] = {
    "France", "Germany", "Italy", "Spain", "the United Kingdom", "the Czech Republic", "Peru"};
static const char *const objects[] = {"Paris",  "Berlin", "Rome", "Madrid",
				      "London", "Prague", "Lima"};
#define N_FACTS (sizeof subjects / sizeof *subjects)
static const char *const before[] = {"The capital of ", ""};
static const char *const after[] = {" is", ", a country, is governed from"};

/* A file with these lines; its path (freed by the caller). */
static char *make_file(const char *lines)
{
	char *path = strdup("/tmp/pb_facts_XXXXXX");
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	cr_assert_not_null(file);
	fputs(lines, file);
	cr_assert_eq(fclose(file), 0);
	return path;
}

static char *make_capitals(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	char *path;

	for (size_t i = 0; i < N_FACTS; i++)
		fprintf(out,
			"{\"relation\": \"capital\", \"subject\": \"%s\", \"object\": \"%s\"}\n",
			subjects[i], objects[i]);
	for (size_t t = 0; t < 2; t++) /* templates may come last */
		fprintf(out, "{\"relation\": \"capital\", \"template\": \"%s{}%s\"}\n\n", before[t],
			after[t]);
	fputs("{\"relation\": \"sound\", \"template\": \"The {} says\"}\n"
	      "{\"relation\": \"sound\", \"subject\": \"cow\", \"object\": \"moo\"}\n"
	      "{\"relation\": \"sound\", \"subject\": \"sheep\", \"object\": \"baa\"}\n",
	      out);
	(void)fclose(out);
	path = make_file(text);
	free(text);
	return path;
}

static const char *text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	cr_assert_not_null(text, "key %s", key);
	return text;
}

/* The number of the fact that a prompt tells, by comparing it with every way of telling every one;
 * `by`: which template. */
static size_t read_fact(const char *prompt, size_t *by)
{
	for (size_t i = 0; i < N_FACTS; i++)
		for (*by = 0; *by < 2; (*by)++) {
			char expected[128];

			(void)snprintf(expected, sizeof expected, "%s%s%s", before[*by],
				       subjects[i], after[*by]);
			if (strcmp(expected, prompt) == 0)
				return i;
		}
	*by = 2;
	cr_assert(strcmp(prompt, "The cow says") == 0 || strcmp(prompt, "The sheep says") == 0,
		  "%s", prompt);
	return strstr(prompt, "cow") != NULL ? N_FACTS : N_FACTS + 1;
}

static const char *object_of(size_t fact)
{
	return fact < N_FACTS ? objects[fact] : fact == N_FACTS ? "moo" : "baa";
}

static json_t *generate(const struct pb_task_options *o, bool pairs, char **text)
{
	struct pb_error err = {0};
	size_t size = 0;
	json_t *lines = json_array();
	char *rest = NULL, *copy;

	cr_assert_eq((pairs ? pb_task_pairs : pb_task_prompts)(o, text, &size, &err), PB_OK, "%s",
		     err.message);
	copy = strdup(*text);
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		json_array_append_new(lines, json_loads(line, JSON_REJECT_DUPLICATES, NULL));
	free(copy);
	cr_assert_eq(json_array_size(lines), o->count);
	return lines;
}

static size_t count_spaces(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == ' ';
	return n;
}

Test(factual, prompts_tell_the_files_facts)
{
	char *path = make_capitals(), *text = NULL;
	struct pb_task_options o = {.name = "factual", .triples = path, .count = 10000};
	json_t *lines = generate(&o, false, &text);
	size_t seen[N_FACTS + 2][3] = {{0}};

	for (size_t i = 0; i < o.count; i++) {
		const json_t *line = json_array_get(lines, i);
		size_t by, fact = read_fact(text_of(line, "prompt"), &by);

		cr_assert_str_eq(text_of(line, "answer") + 1, object_of(fact));
		cr_assert_str_eq(text_of(line, "relation"), fact < N_FACTS ? "capital" : "sound");
		cr_assert_eq(json_array_size(json_object_get(line, "candidates")),
			     fact < N_FACTS ? N_FACTS : 2);
		seen[fact][by]++;
	}
	for (size_t fact = 0; fact < N_FACTS; fact++)
		cr_assert(seen[fact][0] > 400 && seen[fact][1] > 400);
	json_decref(lines);
	free(text);
	(void)unlink(path);
	free(path);
}

Test(factual, pairs_are_of_one_relation_and_length)
{
	char *path = make_capitals(), *text = NULL;
	struct pb_task_options o = {
	    .name = "factual", .triples = path, .count = 3000, .corrupt = PB_CORRUPT_SUBJECT};
	json_t *lines = generate(&o, true, &text);

	for (size_t i = 0; i < o.count; i++) {
		const json_t *line = json_array_get(lines, i);
		size_t by, by_other;
		size_t fact = read_fact(text_of(line, "clean"), &by);
		size_t other = read_fact(text_of(line, "corrupted"), &by_other);

		cr_assert_neq(fact, other);
		cr_assert_eq(by, by_other);
		cr_assert_eq(fact < N_FACTS, other < N_FACTS);
		cr_assert_str_eq(text_of(line, "answer") + 1, object_of(fact));
		cr_assert_str_eq(text_of(line, "foil") + 1, object_of(other));
		cr_assert_eq(count_spaces(text_of(line, "clean")),
			     count_spaces(text_of(line, "corrupted")));
		for (size_t d = 0; d < json_array_size(json_object_get(line, "differences")); d++) {
			const json_t *item =
			    json_array_get(json_object_get(line, "differences"), d);

			cr_assert_not_null(
			    strstr(text_of(line, "subject"), text_of(item, "clean")));
			cr_assert_not_null(
			    strstr(text_of(line, "corrupted_subject"), text_of(item, "corrupted")));
		}
	}
	json_decref(lines);
	free(text);
	(void)unlink(path);
	free(path);
}

static void refuse(const char *lines, const char *words)
{
	char *path = make_file(lines), *text = NULL;
	struct pb_task_options o = {
	    .name = "factual", .triples = path, .count = 1, .corrupt = PB_CORRUPT_SUBJECT};
	struct pb_error err = {0};
	size_t size = 0;

	cr_assert_eq(pb_task_pairs(&o, &text, &size, &err), PB_ERR_INPUT, "%s", lines);
	cr_assert(strstr(err.message, words) != NULL, "'%s' lacks '%s'", err.message, words);
	(void)unlink(path);
	free(path);
}

#define TEMPLATE "{\"relation\": \"r\", \"template\": \"The {} is\"}\n"

Test(factual, bad_files_are_refused_by_line)
{
	struct pb_task_options o = {.name = "factual", .count = 1};
	struct pb_error err = {0};
	char *text = NULL;
	size_t size = 0;

	refuse("", "no facts");
	refuse(TEMPLATE "no json\n", ":2: ");
	refuse("[1]\n", ":1: give keys and values in braces");
	refuse("{\"subject\": \"a\", \"object\": \"b\"}\n", "missing key: /tmp/pb_facts_");
	refuse(TEMPLATE "{\"relation\": \"r\", \"subject\": \"a\"}\n", ":2 (object): give a text");
	refuse(TEMPLATE "{\"relation\": \"r\", \"subject\": 3, \"object\": \"b\"}\n",
	       "wrong value");
	refuse("{\"relation\": \"r\", \"template\": \"no place\"}\n", "bad template");
	refuse("{\"relation\": \"r\", \"template\": \"{} and {} is\"}\n", "bad template");
	refuse("{\"relation\": \"r\", \"template\": \"it is {}\"}\n", "bad template");
	refuse("{\"relation\": \"r\", \"template\": \"The {} is \"}\n", "bad template");
	refuse("{\"relation\": \"q\", \"subject\": \"a\", \"object\": \"b\"}\n" TEMPLATE,
	       ":1: relation 'q' has none");
	refuse(TEMPLATE "{\"relation\": \"r\", \"subject\": \"a\", \"object\": \"b\"}\n",
	       "no pair was found");
	refuse(TEMPLATE "{\"relation\": \"r\", \"subject\": \"a\\tb\", \"object\": \"b\"}\n"
			"{\"relation\": \"r\", \"subject\": \"a\\tc\", \"object\": \"c\"}\n",
	       "white space");
	cr_assert_eq(pb_task_prompts(&o, &text, &size, &err), PB_ERR_INPUT);
	cr_assert(strstr(err.message, "--triples FILE") != NULL, "%s", err.message);
}

/* With a tokenizer, subjects of other lengths are no partners, and objects of several tokens are
 * left out. */
Test(factual, lengths_are_in_tokens)
{
	const char *root = getenv("PB_TOKENIZERS");
	char *folder = pb_format("%s/gpt2", root != NULL ? root : "../shared/tokenizers");
	char *path, *text = NULL;
	struct pb_task_options o = {.name = "factual", .count = 300, .corrupt = PB_CORRUPT_SUBJECT};
	struct pb_tokenizer *t = NULL;
	struct pb_pairs pairs = {0};
	struct pb_error err = {0};
	json_t *lines;

	if (!pb_is_directory(folder)) {
		free(folder);
		cr_skip_test("no tokenizer of GPT-2: set PB_TOKENIZERS");
	}
	cr_assert_eq(pb_tokenizer_open(&t, folder, &err), PB_OK, "%s", err.message);
	path = make_capitals();
	o.triples = path;
	o.tokenizer = t;
	lines = generate(&o, true, &text);
	cr_assert_eq(pb_pairs_parse(&pairs, text, strlen(text), "factual", t, PB_BOS_FALSE, 50257,
				    1024, &err),
		     PB_OK, "%s", err.message);
	for (size_t i = 0; i < pairs.n; i++) {
		const struct pb_pair *p = &pairs.items[i];

		cr_assert_str_eq(pairs.roles[p->roles[p->length - 1]], "end");
		cr_assert_str_eq(pairs.roles[p->roles[p->first_difference]], "subject");
		/* " baa" is two tokens */
		cr_assert_str_neq(p->answer_text, " baa");
	}
	pb_pairs_free(&pairs);
	pb_tokenizer_close(t);
	json_decref(lines);
	free(text);
	(void)unlink(path);
	free(path);
	free(folder);
}
