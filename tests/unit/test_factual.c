/* The factual task: facts of a file, told by its templates. */
#include <unistd.h>

#include "support/task_lines.h"

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

static void refuse_file(const char *lines, const char *words)
{
	char *path = make_file(lines);

	refuse(
	    (struct pb_task_options){
		.name = "factual", .triples = path, .count = 1, .corrupt = PB_CORRUPT_SUBJECT},
	    true, words);
	(void)unlink(path);
	free(path);
}

#define TEMPLATE "{\"relation\": \"r\", \"template\": \"The {} is\"}\n"

Test(factual, bad_files_are_refused_by_line)
{
	refuse_file("", "no facts");
	refuse_file(TEMPLATE "no json\n", ":2: ");
	refuse_file("[1]\n", ":1: give keys and values in braces");
	refuse_file("{\"subject\": \"a\", \"object\": \"b\"}\n", "missing key: /tmp/pb_facts_");
	refuse_file(TEMPLATE "{\"relation\": \"r\", \"subject\": \"a\"}\n",
		    ":2 (object): give a text");
	refuse_file(TEMPLATE "{\"relation\": \"r\", \"subject\": 3, \"object\": \"b\"}\n",
		    "wrong value");
	refuse_file("{\"relation\": \"r\", \"template\": \"no place\"}\n", "bad template");
	refuse_file("{\"relation\": \"r\", \"template\": \"{} and {} is\"}\n", "bad template");
	refuse_file("{\"relation\": \"r\", \"template\": \"it is {}\"}\n", "bad template");
	refuse_file("{\"relation\": \"r\", \"template\": \"The {} is \"}\n", "bad template");
	refuse_file("{\"relation\": \"q\", \"subject\": \"a\", \"object\": \"b\"}\n" TEMPLATE,
		    ":1: relation 'q' has none");
	refuse_file(TEMPLATE "{\"relation\": \"r\", \"subject\": \"a\", \"object\": \"b\"}\n",
		    "no pair was found");
	refuse_file(TEMPLATE "{\"relation\": \"r\", \"subject\": \"a\\tb\", \"object\": \"b\"}\n"
			     "{\"relation\": \"r\", \"subject\": \"a\\tc\", \"object\": \"c\"}\n",
		    "white space");
	refuse((struct pb_task_options){.name = "factual", .count = 1}, false, "--triples FILE");
}

/* With a tokenizer, subjects of other lengths are no partners, and objects of several tokens are
 * left out. */
Test(factual, lengths_are_in_tokens)
{
	struct pb_task_options o = {.name = "factual", .count = 300, .corrupt = PB_CORRUPT_SUBJECT};
	struct pb_tokenizer *t = open_tokenizer("gpt2");
	struct pb_pairs pairs = {0};
	char *path;

	if (t == NULL)
		cr_skip_test("no tokenizer of GPT-2: set PB_TOKENIZERS");
	path = make_capitals();
	o.triples = path;
	parse_pairs(&pairs, o, t);
	for (size_t i = 0; i < pairs.n; i++) {
		const struct pb_pair *p = &pairs.items[i];

		cr_assert_str_eq(pairs.roles[p->roles[p->length - 1]], "end");
		cr_assert_str_eq(pairs.roles[p->roles[p->first_difference]], "subject");
		/* " baa" is two tokens */
		cr_assert_str_neq(p->answer_text, " baa");
	}
	pb_pairs_free(&pairs);
	pb_tokenizer_close(t);
	(void)unlink(path);
	free(path);
}
