/* Pairs from JSONL: what becomes of text and ids, and every way in which a pair is refused. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patchbay/pairs.h"
#include "support/small_tokenizer.h"

#define N_CONTEXT 8

static void parse_good(struct pb_pairs *pairs, const char *text,
		       const struct pb_tokenizer *tokenizer, enum pb_bos bos)
{
	struct pb_error err = {0};

	cr_assert_eq(pb_pairs_parse(pairs, text, strlen(text), "pairs.jsonl", tokenizer, bos,
				    SMALL_VOCAB, N_CONTEXT, &err),
		     PB_OK, "%s", err.message);
}

/* Refused with PB_ERR_INPUT, and the message holds `words`. */
static void refuse_size(const char *text, size_t size, const struct pb_tokenizer *tokenizer,
			enum pb_bos bos, const char *words)
{
	struct pb_pairs pairs;
	struct pb_error err = {0};

	cr_assert_eq(pb_pairs_parse(&pairs, text, size, "pairs.jsonl", tokenizer, bos, SMALL_VOCAB,
				    N_CONTEXT, &err),
		     PB_ERR_INPUT, "accepted: %s", text);
	cr_expect_not_null(strstr(err.message, words), "no '%s' in: %s", words, err.message);
	cr_expect_null(pairs.items);
}

static void refuse(const char *text, const struct pb_tokenizer *tokenizer, const char *words)
{
	refuse_size(text, strlen(text), tokenizer, PB_BOS_AUTO, words);
}

static void check_ids(const int32_t *ids, size_t n, const int32_t *expected, size_t n_expected)
{
	cr_assert_eq(n, n_expected, "%zu ids", n);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(ids[i], expected[i], "id %zu is %d", i, ids[i]);
}

#define CHECK_IDS(ids, n, ...)                                                                     \
	check_ids(ids, n, (const int32_t[]){__VA_ARGS__},                                          \
		  sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static const char one[] =
    "{\"clean\":\"a b\",\"corrupted\":\"a c\",\"answer\":\" a\",\"foil\":\" b\"}\n";

/* ---- what is read ------------------------------------------------------------------------ */

Test(pairs, text_becomes_ids)
{
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_pairs pairs;

	parse_good(&pairs, one, t, PB_BOS_AUTO);
	cr_assert_eq(pairs.n, 1);
	cr_assert_eq(pairs.bos, -1);
	cr_assert_eq(pairs.max_length, 2);
	CHECK_IDS(pairs.items[0].clean, pairs.items[0].length, 1, 11);
	CHECK_IDS(pairs.items[0].corrupted, pairs.items[0].length, 1, 12);
	cr_assert_eq(pairs.items[0].answer, 10);
	cr_assert_eq(pairs.items[0].foil, 11);
	cr_assert_eq(pairs.items[0].first_difference, 1);
	cr_assert_str_eq(pairs.items[0].clean_text, "a b");
	cr_assert_str_eq(pairs.items[0].corrupted_text, "a c");
	cr_assert_str_eq(pairs.items[0].answer_text, " a");
	cr_assert_str_eq(pairs.items[0].foil_text, " b");
	cr_assert_str_eq(pairs.items[0].extra, "{}");
	cr_assert_eq(pairs.items[0].n_candidates, 0);
	pb_pairs_free(&pairs);
	cr_assert_null(pairs.items);
	pb_tokenizer_close(t);
}

Test(pairs, bos_is_prepended_by_its_rule_and_never_doubled)
{
	static const char doubled[] = "{\"clean\":\"<s>a b\",\"corrupted\":\"<s>a c\","
				      "\"answer\":\" a\",\"foil\":\" b\"}";
	static const char uneven[] = "{\"clean\":\"<s>a b\",\"corrupted\":\"a c\","
				     "\"answer\":\" a\",\"foil\":\" b\"}";
	struct pb_tokenizer *plain = small_tokenizer(false, true);
	struct pb_tokenizer *prepends = small_tokenizer(true, true);
	struct pb_tokenizer *none = small_tokenizer(false, false);
	struct pb_pairs pairs;

	parse_good(&pairs, one, prepends, PB_BOS_AUTO);
	cr_assert_eq(pairs.bos, 0);
	CHECK_IDS(pairs.items[0].clean, pairs.items[0].length, 0, 1, 11);
	cr_assert_eq(pairs.items[0].first_difference, 2);
	cr_assert_eq(pairs.items[0].answer, 10);
	cr_assert_str_eq(pairs.items[0].clean_text, "a b");
	pb_pairs_free(&pairs);
	parse_good(&pairs, one, prepends, PB_BOS_FALSE);
	cr_assert_eq(pairs.bos, -1);
	CHECK_IDS(pairs.items[0].clean, pairs.items[0].length, 1, 11);
	pb_pairs_free(&pairs);
	parse_good(&pairs, one, plain, PB_BOS_TRUE);
	CHECK_IDS(pairs.items[0].corrupted, pairs.items[0].length, 0, 1, 12);
	pb_pairs_free(&pairs);
	parse_good(&pairs, doubled, plain, PB_BOS_TRUE);
	CHECK_IDS(pairs.items[0].clean, pairs.items[0].length, 0, 1, 11);
	pb_pairs_free(&pairs);
	/* One prompt brings its own, the other gets it: equal all the same. */
	parse_good(&pairs, uneven, plain, PB_BOS_TRUE);
	CHECK_IDS(pairs.items[0].clean, pairs.items[0].length, 0, 1, 11);
	CHECK_IDS(pairs.items[0].corrupted, pairs.items[0].length, 0, 1, 12);
	pb_pairs_free(&pairs);
	refuse_size(one, strlen(one), none, PB_BOS_TRUE, "no BOS token");
	pb_tokenizer_close(plain);
	pb_tokenizer_close(prepends);
	pb_tokenizer_close(none);
}

Test(pairs, ids_are_taken_as_they_are)
{
	static const char text[] =
	    "{\"clean\":[1,11],\"corrupted\":[3,11],\"answer\":10,\"foil\":15,\"candidates\":[10,15,2]}";
	static const char mixed[] =
	    "{\"clean\":[1,11],\"corrupted\":\"a c\",\"answer\":\" a\",\"foil\":3}";
	struct pb_tokenizer *t = small_tokenizer(true, true);
	struct pb_pairs pairs;

	/* No BOS for ids, whatever the rule; with a tokenizer there is a text to read. */
	parse_good(&pairs, text, t, PB_BOS_TRUE);
	CHECK_IDS(pairs.items[0].clean, pairs.items[0].length, 1, 11);
	cr_assert_eq(pairs.items[0].first_difference, 0);
	cr_assert_str_eq(pairs.items[0].clean_text, "a b");
	cr_assert_str_eq(pairs.items[0].answer_text, " a");
	CHECK_IDS(pairs.items[0].candidates, pairs.items[0].n_candidates, 10, 15, 2);
	pb_pairs_free(&pairs);
	/* Without one the texts are empty, never NULL. */
	parse_good(&pairs, text, NULL, PB_BOS_AUTO);
	cr_assert_eq(pairs.bos, -1);
	cr_assert_str_eq(pairs.items[0].clean_text, "");
	cr_assert_str_eq(pairs.items[0].corrupted_text, "");
	cr_assert_str_eq(pairs.items[0].answer_text, "");
	cr_assert_str_eq(pairs.items[0].foil_text, "");
	pb_pairs_free(&pairs);
	parse_good(&pairs, mixed, t, PB_BOS_FALSE);
	cr_assert_eq(pairs.items[0].answer, 10);
	pb_pairs_free(&pairs);
	refuse("{\"clean\":[1,11],\"corrupted\":[1,12],\"answer\":\" a\",\"foil\":3}", NULL,
	       "without a tokenizer: pairs.jsonl:1 (answer)");
	/* 1, 13 is "axy"; 1, 4, 5 is the same text but not what the tokenizer makes of it. */
	refuse("{\"clean\":[1,4,5],\"corrupted\":[1,4,4],\"answer\":\" a\",\"foil\":3}", t,
	       "give answer as a token id");
	pb_tokenizer_close(t);
}

Test(pairs, candidates_may_be_texts)
{
	static const char text[] = "{\"clean\":\"a b\",\"corrupted\":\"a c\",\"answer\":\" a\","
				   "\"foil\":\" b\",\"candidates\":[\" a\",\" b\",12]}";
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_pairs pairs;

	parse_good(&pairs, text, t, PB_BOS_AUTO);
	CHECK_IDS(pairs.items[0].candidates, pairs.items[0].n_candidates, 10, 11, 12);
	pb_pairs_free(&pairs);
	pb_tokenizer_close(t);
}

Test(pairs, other_keys_are_kept_verbatim_in_their_order)
{
	static const char text[] =
	    " {\"z\" : 0.1, \"clean\":[1,2] ,\"n\":[ 1 , {\"q\": \"a, \\\"}b\" } ],"
	    "\"corrupted\":[1,3],\"answer\":1, \"\\u0066oil\":2,\"e\":\"\\u00e9\",\"b\": 1E5,"
	    "\"candidates\":[],\"t\":true}\r\n";
	struct pb_pairs pairs;

	parse_good(&pairs, text, NULL, PB_BOS_AUTO);
	cr_assert_str_eq(pairs.items[0].extra,
			 "{\"z\":0.1,\"n\":[1,{\"q\":\"a, \\\"}b\"}],\"e\":\"\\u00e9\",\"b\":1E5,"
			 "\"t\":true}");
	cr_assert_eq(pairs.items[0].foil, 2);
	pb_pairs_free(&pairs);
}

Test(pairs, blank_lines_and_a_missing_last_newline_are_allowed)
{
	char *text = pb_format("\n  \n%s\r\n\t\n%.*s", one, (int)strlen(one) - 1, one);
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_pairs pairs;

	parse_good(&pairs, text, t, PB_BOS_AUTO);
	cr_assert_eq(pairs.n, 2);
	pb_pairs_free(&pairs);
	free(text);
	pb_tokenizer_close(t);
}

Test(pairs, prompts_as_long_as_the_context_are_allowed)
{
	struct pb_pairs pairs;

	parse_good(&pairs,
		   "{\"clean\":[1,1,1,1,1,1,1,1],\"corrupted\":[2,1,1,1,1,1,1,1],\"answer\":1,"
		   "\"foil\":2}",
		   NULL, PB_BOS_AUTO);
	cr_assert_eq(pairs.max_length, N_CONTEXT);
	pb_pairs_free(&pairs);
}

Test(pairs, prompts_that_do_not_differ_are_allowed)
{
	struct pb_pairs pairs;

	parse_good(&pairs, "{\"clean\":[1,2],\"corrupted\":[1,2],\"answer\":1,\"foil\":2}", NULL,
		   PB_BOS_AUTO);
	cr_assert_eq(pairs.items[0].first_difference, 2);
	pb_pairs_free(&pairs);
}

/* ---- what is refused --------------------------------------------------------------------- */

Test(pairs, unequal_lengths_show_both_prompts)
{
	static const char text[] =
	    "{\"clean\":\"a b a\\n\",\"corrupted\":\"a b c.x\",\"answer\":\" a\","
	    "\"foil\":\" b\"}";
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_pairs pairs;
	struct pb_error err = {0};

	cr_assert_eq(pb_pairs_parse(&pairs, text, strlen(text), "pairs.jsonl", t, PB_BOS_AUTO,
				    SMALL_VOCAB, N_CONTEXT, &err),
		     PB_ERR_INPUT);
	cr_expect_not_null(
	    strstr(err.message, "pairs.jsonl:1: clean has 4 tokens and corrupted has 5"), "%s",
	    err.message);
	cr_expect_not_null(strstr(err.message, "         1  11 ' b'"), "%s", err.message);
	cr_expect_not_null(strstr(err.message, "\n>        2  10 ' a'"), "%s", err.message);
	cr_expect_not_null(strstr(err.message, "12 ' c'\n"), "%s", err.message);
	cr_expect_not_null(strstr(err.message, "8 '\\n'"), "%s", err.message);
	cr_expect_not_null(strstr(err.message, "4  -  "), "%s", err.message);
	pb_tokenizer_close(t);
}

/* A long pair is shown around its difference only, and the message is whole. */
Test(pairs, long_prompts_are_shown_in_part)
{
	char text[4096];
	size_t used;
	struct pb_pairs pairs;
	struct pb_error err = {0};

	used = (size_t)snprintf(text, sizeof text, "{\"answer\":1,\"foil\":2,\"clean\":[1");
	for (int i = 0; i < 300; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, ",%d", i % 9);
	used += (size_t)snprintf(text + used, sizeof text - used, "],\"corrupted\":[1");
	for (int i = 0; i < 301; i++)
		used +=
		    (size_t)snprintf(text + used, sizeof text - used, ",%d", i < 150 ? i % 9 : 9);
	used += (size_t)snprintf(text + used, sizeof text - used, "]}");
	cr_assert_eq(
	    pb_pairs_parse(&pairs, text, used, "p", NULL, PB_BOS_AUTO, SMALL_VOCAB, 1000, &err),
	    PB_ERR_INPUT);
	cr_expect_not_null(strstr(err.message, "(148 equal tokens before)"), "%s", err.message);
	cr_expect_not_null(strstr(err.message, "\n>      151  "), "%s", err.message);
	cr_expect_not_null(strstr(err.message, "(142 more positions)"), "%s", err.message);
	cr_expect_lt(strlen(err.message), 1500);
}

Test(pairs, answers_that_are_not_one_token_are_refused)
{
	struct pb_tokenizer *t = small_tokenizer(false, true);

	refuse(
	    "{\"clean\":\"a\",\"corrupted\":\"b\",\"answer\":\" a b\",\"foil\":\" b\"}", t,
	    "not one token: pairs.jsonl:1 (answer): after 'clean' it adds 2 tokens, 10 ' a', 11 ' "
	    "b'");
	refuse("{\"clean\":\"a\",\"corrupted\":\"b\",\"answer\":\" a\",\"foil\":\"\"}", t,
	       "(foil): after 'clean' it adds 0 tokens");
	refuse("{\"clean\":\"ax\",\"corrupted\":\"ab\",\"answer\":\"y\",\"foil\":\" b\"}", t,
	       "(answer): after 'clean' it changes the prompt's own tokens, which then end in 13 "
	       "'xy'");
	/* One token more, but not the prompt's own before it. */
	refuse("{\"clean\":\"ax\",\"corrupted\":\"ax\",\"answer\":\"yb\",\"foil\":\" b\"}", t,
	       "(answer): after 'clean' it changes the prompt's own tokens");
	/* After the corrupted prompt it is not the same. */
	refuse("{\"clean\":\"ab\",\"corrupted\":\"ax\",\"answer\":\"y\",\"foil\":\" b\"}", t,
	       "(answer): after 'corrupted' it changes");
	refuse("{\"clean\":\"a\",\"corrupted\":\"b\",\"answer\":\" a\",\"foil\":\" b\","
	       "\"candidates\":[\" a\",\"bb\"]}",
	       t, "(candidates, item 1): after 'clean' it adds 2 tokens");
	refuse("{\"clean\":\"a\",\"corrupted\":\"b\",\"answer\":[1,2],\"foil\":\" b\"}", t,
	       "weighted sets of tokens are not available in this version");
	refuse("{\"clean\":\"a\",\"corrupted\":\"b\",\"answer\":\" a\",\"foil\":10}", t,
	       "answer equal to foil");
	refuse("{\"clean\":\"a\",\"corrupted\":\"b\",\"answer\":\" a\",\"foil\":1,"
	       "\"candidates\":[10,\" a\"]}",
	       t, "candidate listed twice");
	pb_tokenizer_close(t);
}

Test(pairs, prompts_out_of_bounds_are_refused)
{
	struct pb_tokenizer *t = small_tokenizer(true, true);

	refuse("{\"clean\":[1,16],\"corrupted\":[1,2],\"answer\":1,\"foil\":2}", NULL,
	       "out of range: pairs.jsonl:1 (clean): 16");
	refuse("{\"clean\":[1,2],\"corrupted\":[-1,2],\"answer\":1,\"foil\":2}", NULL,
	       "out of range: pairs.jsonl:1 (corrupted): -1");
	refuse("{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":16,\"foil\":2}", NULL,
	       "(answer): 16");
	refuse("{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":1,\"foil\":4294967297}", NULL,
	       "(foil): 4294967297");
	refuse("{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":1,\"foil\":2,\"candidates\":[99]}",
	       NULL, "(candidates, item 0): 99");
	refuse("{\"clean\":[1,1,1,1,1,1,1,1,1],\"corrupted\":[1,1,1,1,1,1,1,1,2],\"answer\":1,"
	       "\"foil\":2}",
	       NULL, "beyond the context: pairs.jsonl:1 (clean): 9 tokens, but the model takes 8");
	/* Eight tokens of text and a BOS. */
	refuse("{\"clean\":\"aaaaaaaa\",\"corrupted\":\"aaaaaaab\",\"answer\":1,\"foil\":2}", t,
	       "beyond the context");
	refuse("{\"clean\":[],\"corrupted\":[],\"answer\":1,\"foil\":2}", NULL, "empty prompt");
	refuse("{\"clean\":\"\",\"corrupted\":\"\",\"answer\":1,\"foil\":2}", t, "empty prompt");
	pb_tokenizer_close(t);
}

Test(pairs, ids_of_the_tokenizer_past_the_model_are_refused)
{
	static const char answer[] =
	    "{\"clean\":\"a\",\"corrupted\":\"c\",\"answer\":\" a\",\"foil\":\" b\"}";
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_pairs pairs;
	struct pb_error err = {0};

	cr_assert_eq(pb_pairs_parse(&pairs, one, strlen(one), "p", t, PB_BOS_AUTO, 11, 8, &err),
		     PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "p:1 (clean): 11"), "%s", err.message);
	err = (struct pb_error){0};
	cr_assert_eq(
	    pb_pairs_parse(&pairs, answer, strlen(answer), "p", t, PB_BOS_AUTO, 11, 8, &err),
	    PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "p:1 (foil): 11"), "%s", err.message);
	pb_tokenizer_close(t);
}

Test(pairs, lines_that_are_not_pairs_are_refused_with_their_line)
{
	struct pb_tokenizer *t = small_tokenizer(false, true);
	char *text = pb_format("%s\n\n{\"clean\": 1.5}", one);

	refuse(text, t, "wrong type: pairs.jsonl:4 (clean)");
	free(text);
	refuse("", NULL, "no pairs: pairs.jsonl");
	refuse("\n \n", NULL, "no pairs: pairs.jsonl");
	refuse("[1, 2]", NULL, "not a JSON object: pairs.jsonl:1");
	refuse("\n{\"clean\":", NULL, "not valid JSON: pairs.jsonl:2:");
	refuse("{} {}", NULL, "not valid JSON: pairs.jsonl:1:");
	refuse("{\"clean\":[1],\"clean\":[2]}", NULL, "not valid JSON: pairs.jsonl:1:");
	refuse("{\"corrupted\":[1],\"answer\":1,\"foil\":2}", NULL,
	       "missing key: pairs.jsonl:1 (clean)");
	refuse("{\"clean\":[1],\"answer\":1,\"foil\":2}", NULL, "(corrupted)");
	refuse("{\"clean\":[1],\"corrupted\":[2],\"foil\":2}", NULL, "(answer)");
	refuse("{\"clean\":[1],\"corrupted\":[2],\"answer\":2}", NULL, "(foil)");
	refuse("{\"prompt\":\"a\",\"answer\":\" b\"}", NULL, "evaluation prompt");
	refuse("{\"clean\":[1,2.0],\"corrupted\":[2],\"answer\":2}", NULL, "(clean, item 1)");
	refuse("{\"clean\":[1],\"corrupted\":[2],\"answer\":1,\"foil\":2,\"candidates\":3}", NULL,
	       "(candidates)");
	refuse("{\"clean\":[1],\"corrupted\":[2],\"answer\":true,\"foil\":2}", NULL, "(answer)");
	refuse("\xef\xbb\xbf{}", NULL, "byte order mark: pairs.jsonl:1");
	refuse("{\"clean\":\"a\xff\"}", t, "not valid JSON");
	refuse("{\"clean\":\"a\\u0000\"}", t, "not valid JSON");
	refuse_size("{\"clean\":\0\"a\"}", 14, t, PB_BOS_AUTO, "not valid JSON");
	refuse(one, NULL, "text without a tokenizer: pairs.jsonl:1 (clean)");
	pb_tokenizer_close(t);
}

/* ---- files, hashes, descriptions ----------------------------------------------------------- */

Test(pairs, a_file_is_read_and_described)
{
	char name[] = "/tmp/pb_pairs_XXXXXX";
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_pairs pairs;
	struct pb_error err = {0};
	char *described = NULL;
	size_t size = 0;
	int fd = mkstemp(name);
	FILE *file = fdopen(fd, "w"), *out;

	cr_assert_not_null(file);
	fprintf(file, "%.*s,\"task\":\"x\",\"k\":1}\n%.*s,\"task\":\"x\",\"k\":2}\n",
		(int)strlen(one) - 2, one, (int)strlen(one) - 2, one);
	cr_assert_eq(fclose(file), 0);
	cr_assert_eq(pb_pairs_read(&pairs, name, t, PB_BOS_AUTO, SMALL_VOCAB, N_CONTEXT, &err),
		     PB_OK, "%s", err.message);
	cr_assert_eq(pairs.n, 2);
	cr_assert_str_eq(pairs.items[1].extra, "{\"task\":\"x\",\"k\":2}");
	pb_pairs_free(&pairs);
	out = open_memstream(&described, &size);
	cr_assert_eq(pb_pairs_describe(name, out, &err), PB_OK, "%s", err.message);
	cr_assert_eq(fclose(out), 0);
	cr_expect_not_null(strstr(described, "2 lines: 2 pairs, 0 evaluation prompts"), "%s",
			   described);
	cr_expect_not_null(strstr(described, "clean      2 by text, 3 to 3 bytes"), "%s",
			   described);
	cr_expect_not_null(strstr(described, "task         in 2, always \"x\"\n"), "%s", described);
	cr_expect_not_null(strstr(described, "k            in 2\n"), "%s", described);
	free(described);
	unlink(name);
	cr_assert_eq(pb_pairs_read(&pairs, name, t, PB_BOS_AUTO, SMALL_VOCAB, N_CONTEXT, &err),
		     PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, name), "%s", err.message);
	pb_tokenizer_close(t);
}

static void hash(const char *text, char hex[PB_SHA256_HEX])
{
	struct pb_pairs pairs;
	struct pb_error err = {0};

	parse_good(&pairs, text, NULL, PB_BOS_AUTO);
	cr_assert_eq(pb_pairs_hash(&pairs, hex, &err), PB_OK, "%s", err.message);
	pb_pairs_free(&pairs);
}

/* The hash changes with anything that bears on the numbers, and with nothing else. */
Test(pairs, the_hash_is_of_what_matters)
{
	static const char base[] =
	    "{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":4,\"foil\":5,\"candidates\":[6]}";
	static const char *const others[] = {
	    "{\"clean\":[1,3],\"corrupted\":[1,3],\"answer\":4,\"foil\":5,\"candidates\":[6]}",
	    "{\"clean\":[1,2],\"corrupted\":[1,4],\"answer\":4,\"foil\":5,\"candidates\":[6]}",
	    "{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":3,\"foil\":5,\"candidates\":[6]}",
	    "{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":4,\"foil\":6,\"candidates\":[6]}",
	    "{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":4,\"foil\":5,\"candidates\":[7]}",
	    "{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":4,\"foil\":5}",
	};
	char hex[PB_SHA256_HEX], other[PB_SHA256_HEX];
	char *twice = pb_format("%s\n%s", base, base);

	hash(base, hex);
	hash(twice, other);
	cr_expect_str_neq(hex, other);
	free(twice);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		hash(others[i], other);
		cr_expect_str_neq(hex, other, "case %zu", i);
	}
	hash(
	    "{\"foil\":5,\"candidates\":[6],\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":4,\"k\":1}",
	    other);
	cr_expect_str_eq(hex, other);
}

/* 8 sizes x 10 moves x 3 corruptions. Pairs that the box task makes pass the preflight under the
 * bundled tokenizer, for every cell and corruption. */
Test(pairs, box_pairs_pass_the_preflight)
{
	struct pb_tokenizer *t = NULL;
	struct pb_error err = {0};

	cr_assert_eq(pb_tokenizer_open(&t, "data/boxbench", &err), PB_OK, "%s", err.message);
	for (size_t cell = 0; cell < 240; cell++) {
		struct pb_task_options o = {.name = "box",
					    .boxes = 3 + cell / 30,
					    .moves = 1 + cell / 3 % 10,
					    .count = 3,
					    .corrupt = (enum pb_corruption)(cell % 3)};
		struct pb_pairs pairs;
		char *text = NULL;
		size_t size = 0;

		cr_assert_eq(pb_task_pairs(&o, &text, &size, &err), PB_OK, "%s", err.message);
		cr_assert_eq(pb_pairs_parse(&pairs, text, size, "box", t, PB_BOS_AUTO,
					    pb_tokenizer_size(t), 512, &err),
			     PB_OK, "%s", err.message);
		for (size_t i = 0; i < pairs.n; i++) {
			cr_assert_eq(pairs.items[i].n_candidates, o.boxes);
			cr_assert_lt(pairs.items[i].first_difference, pairs.items[i].length);
		}
		pb_pairs_free(&pairs);
		free(text);
	}
	pb_tokenizer_close(t);
}
