/* Roles of positions in pairs and prompts, and prompts alone. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/pairs.h"
#include "support/small_tokenizer.h"

#define N_CONTEXT 64
#define N_VOCAB (SMALL_VOCAB + 1)

/* One pair with these prompts and this value of "roles". */
static char *line_of(const char *clean, const char *corrupted, const char *roles)
{
	return pb_format("{\"clean\":%s,\"corrupted\":%s,\"answer\":1,\"foil\":2%s%s}\n", clean,
			 corrupted, roles == NULL ? "" : ",\"roles\":", roles == NULL ? "" : roles);
}

static enum pb_status parse(struct pb_pairs *pairs, const char *text, const struct pb_tokenizer *t,
			    struct pb_error *err)
{
	return pb_pairs_parse(pairs, text, strlen(text), "p.jsonl", t, PB_BOS_AUTO, N_VOCAB,
			      N_CONTEXT, err);
}

/* The roles of the first pair, as "x x -" with the names' first letters. */
static void check_roles(const struct pb_tokenizer *t, const char *clean, const char *roles,
			const char *expected)
{
	char *text = line_of(clean, clean, roles), got[2 * N_CONTEXT + 1] = "";
	struct pb_pairs pairs;
	struct pb_error err = {0};
	const struct pb_pair *pair;

	cr_assert_eq(parse(&pairs, text, t, &err), PB_OK, "%s: %s", text, err.message);
	pair = &pairs.items[0];
	if (expected == NULL) {
		cr_assert_null(pair->roles, "%s", text);
	} else {
		cr_assert_not_null(pair->roles, "%s", text);
		for (size_t i = 0; i < pair->length; i++) {
			cr_assert_lt(pair->roles[i], (int32_t)pairs.n_roles);
			got[i] = pair->roles[i] < 0 ? '-' : pairs.roles[pair->roles[i]][0];
		}
		cr_expect_str_eq(got, expected, "%s gives %s", text, got);
	}
	cr_assert_str_eq(pair->extra, "{}");
	pb_pairs_free(&pairs);
	free(text);
}

static void refuse(const struct pb_tokenizer *t, const char *clean, const char *roles,
		   const char *words)
{
	char *one = line_of(clean, clean, NULL), *two = line_of(clean, clean, roles);
	char *text = pb_format("%s%s", one, two);
	struct pb_pairs pairs;
	struct pb_error err = {0};

	cr_assert_eq(parse(&pairs, text, t, &err), PB_ERR_INPUT, "accepted: %s", two);
	cr_expect_not_null(strstr(err.message, "p.jsonl:2 (roles"), "%s", err.message);
	cr_expect_not_null(strstr(err.message, words), "no '%s' in: %s", words, err.message);
	cr_expect_null(pairs.items);
	free(text);
	free(two);
	free(one);
}

/* ---- lists -------------------------------------------------------------------------------- */

/* "a b" is the tokens a, " b"; "xyx" is xy, x; a comma has no token of its own here. */
Test(roles, a_list_by_tokens)
{
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_tokenizer *bos = small_tokenizer(true, true);

	check_roles(NULL, "[1,2,3]", "[\"s\",null,\"e\"]", "s-e");
	check_roles(NULL, "[1,2,3]", "[null,null,null]", NULL);
	check_roles(NULL, "[1,2,3]", "null", NULL);
	check_roles(NULL, "[1,2,3]", NULL, NULL);
	check_roles(t, "[1,11]", "[\"s\",\"e\"]", "se");
	check_roles(t, "\"xyx\"", "[\"s\",\"e\"]", "se");
	/* A BOS in front is a token too. */
	check_roles(bos, "\"xyx\"", "[\"b\",\"s\",\"e\"]", "bse");
	pb_tokenizer_close(t);
	pb_tokenizer_close(bos);
}

Test(roles, a_list_by_words)
{
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_tokenizer *bos = small_tokenizer(true, true);

	/* xy x: two tokens of one word; " b": its space aside, it starts in the second word. */
	check_roles(t, "\"xyx b\"", "[\"s\",\"e\"]", "sse");
	check_roles(bos, "\"xyx b\"", "[\"s\",\"e\"]", "-sse");
	check_roles(t, "\"xyx b\"", "[\"s\",null]", "ss-");
	/* White space alone has no role: a, newline, b. */
	check_roles(t, "\"a\\nb\"", "[\"s\",\"e\"]", "s-e");
	/* Two spaces are a space and " b". */
	check_roles(t, "\"a  b\"", "[\"s\",\"e\"]", "s-e");
	/* An é is two tokens, in one word. */
	check_roles(t, "\"a\\u00e9 b\"", "[\"s\",\"e\"]", "ssse");
	pb_tokenizer_close(t);
	pb_tokenizer_close(bos);
}

Test(roles, a_list_by_words_and_marks)
{
	struct pb_tokenizer *t = small_tokenizer(false, true);

	/* xy x . b . is xyx. b. in words; with marks xyx . b . */
	check_roles(t, "\"xyx. b.\"", "[\"s\",\"e\"]", "sssee");
	check_roles(t, "\"xyx. b.\"", "[\"s\",\"m\",\"e\",null]", "ssme-");
	/* Two marks at one end; a mark inside is none. */
	check_roles(t, "\"xyx..\"", "[\"s\",\"m\",\"n\"]", "ssmn");
	check_roles(t, "\"xy.x b\"", "[\"s\",\"e\"]", "ssse");
	/* As many words as tokens: both say the same. */
	check_roles(t, "\"a b.\"", "[\"s\",\"e\",\"m\"]", "sem");
	pb_tokenizer_close(t);
}

/* The small tokenizer, with a token of two full stops. */
static struct pb_tokenizer *open_with_dots(void)
{
	const char *vocab = strstr(small_head, "},\"merges\""),
		   *merges = strstr(small_head, "]},\"post");
	char *head = pb_format("%.*s,\"..\":16%.*s,\". .\"%s", (int)(vocab - small_head),
			       small_head, (int)(merges - vocab), vocab, merges);
	struct pb_tokenizer *t = small_open(head, small_post_plain, "{\"bos_token\": null}");

	free(head);
	return t;
}

Test(roles, a_list_that_fits_in_two_ways_is_refused)
{
	struct pb_tokenizer *t = open_with_dots();

	/* xy x .. is three tokens, and with marks the three words xyx . . */
	refuse(t, "\"xyx..\"", "[\"s\",\"e\",\"f\"]", "as many tokens as words, 3, but");
	/* Where both ways say the same, and with positions, there is no doubt. */
	check_roles(t, "\"xyx..\"", "[\"s\",\"s\",\"s\"]", "sss");
	check_roles(t, "\"xyx..\"", "{\"s\":0,\"e\":[1,2]}", "see");
	check_roles(t, "\"xyx..\"", "[\"s\"]", "sss");
	pb_tokenizer_close(t);
}

Test(roles, lists_that_are_refused)
{
	struct pb_tokenizer *t = small_tokenizer(false, true);

	refuse(NULL, "[1,2,3]", "[\"s\"]", "1 for 3 tokens");
	refuse(NULL, "[1,2,3]", "[]", "0 for 3 tokens");
	refuse(NULL, "[1,2,3]", "[\"s\",\"s\",\"s\",\"s\"]", "4 for 3 tokens");
	/* Ids go by tokens alone, though they have a text. */
	refuse(t, "[13,4,11]", "[\"s\",\"e\"]", "2 for 3 tokens");
	refuse(t, "\"xyx. b.\"", "[\"s\",\"s\",\"s\"]",
	       "3, but 'clean' has 5 tokens, 2 words (4 with marks as words)");
	refuse(NULL, "[1,2]", "[\"s\",3]", "item 1): give a name or null");
	refuse(NULL, "[1,2]", "[[\"s\"],null]", "item 0)");
	refuse(NULL, "[1,2]", "[\"s\",\"\"]", "bad name of a role");
	refuse(NULL, "[1,2]", "[\"s\",\"a\\nb\"]", "bad name of a role");
	refuse(NULL, "[1,2]", "\"s\"", "wrong type");
	refuse(NULL, "[1,2]", "3", "wrong type");
	refuse(NULL, "[1,2]", "true", "wrong type");
	pb_tokenizer_close(t);
}

/* A name may be 200 bytes long; 4,096 roles are too few for nobody. */
Test(roles, limits)
{
	char name[208], roles[256], *many = NULL;
	struct pb_pairs pairs;
	struct pb_error err = {0};
	size_t size = 0;
	FILE *out;

	memset(name, 'n', sizeof name);
	name[200] = '\0';
	(void)snprintf(roles, sizeof roles, "{\"%s\":0}", name);
	check_roles(NULL, "[1,2]", roles, "n-");
	name[200] = 'n';
	name[201] = '\0';
	(void)snprintf(roles, sizeof roles, "{\"%s\":0}", name);
	refuse(NULL, "[1,2]", roles, "bad name of a role");
	out = open_memstream(&many, &size);
	for (int i = 0; i <= 4096; i++)
		fprintf(
		    out,
		    "{\"clean\":[1],\"corrupted\":[1],\"answer\":1,\"foil\":2,\"roles\":[\"%d\"]}"
		    "\n",
		    i);
	cr_assert_eq(fclose(out), 0);
	cr_assert_eq(parse(&pairs, many, NULL, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "p.jsonl:4097 (roles): '4096'"), "%s", err.message);
	*strstr(many,
		"{\"clean\":[1],\"corrupted\":[1],\"answer\":1,\"foil\":2,\"roles\":[\"4096") =
	    '\0';
	cr_assert_eq(parse(&pairs, many, NULL, &err), PB_OK);
	cr_assert_eq(pairs.n_roles, 4096);
	cr_assert_str_eq(pairs.roles[4095], "4095");
	cr_assert_eq(pairs.items[4095].roles[0], 4095);
	pb_pairs_free(&pairs);
	free(many);
}

/* ---- objects ------------------------------------------------------------------------------ */

Test(roles, objects_name_positions)
{
	struct pb_tokenizer *bos = small_tokenizer(true, true);

	check_roles(NULL, "[1,2,3,4]", "{\"s\":0,\"e\":-1}", "s--e");
	check_roles(NULL, "[1,2,3,4]", "{\"s\":[-4,2],\"e\":[3]}", "s-se");
	check_roles(NULL, "[1,2,3,4]", "{\"s\":[],\"e\":1}", "-e--");
	check_roles(NULL, "[1,2,3,4]", "{}", NULL);
	check_roles(NULL, "[1,2,3,4]", "{\"s\":[]}", NULL);
	check_roles(bos, "\"a b\"", "{\"s\":1}", "-s-");
	pb_tokenizer_close(bos);
	refuse(NULL, "[1,2]", "{\"s\":2}", "2, but the prompts have 2 tokens: give -2 to 1");
	refuse(NULL, "[1,2]", "{\"s\":-3}", "out of range");
	refuse(NULL, "[1,2]", "{\"s\":9223372036854775807}", "out of range");
	refuse(NULL, "[1,2]", "{\"s\":1,\"e\":-1}", "named twice");
	refuse(NULL, "[1,2]", "{\"s\":[1,1]}", "named twice");
	refuse(NULL, "[1,2]", "{\"s\":\"1\"}", "wrong type");
	refuse(NULL, "[1,2]", "{\"s\":1.0}", "wrong type");
	refuse(NULL, "[1,2]", "{\"s\":null}", "wrong type");
	refuse(NULL, "[1,2]", "{\"s\":[[1]]}", "wrong type");
	refuse(NULL, "[1,2]", "{\"\":1}", "bad name");
}

/* ---- pairs -------------------------------------------------------------------------------- */

Test(roles, names_stand_in_the_order_of_their_first_use)
{
	static const char text[] =
	    "{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":1,\"foil\":2}\n"
	    "{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":1,\"foil\":2,\"roles\":[null,\"z\"]}\n"
	    "{\"clean\":[1,2],\"corrupted\":[1,3],\"answer\":1,\"foil\":2,\"roles\":{\"a\":0,\"z\":1},"
	    "\"k\":1}\n";
	struct pb_pairs pairs;
	struct pb_error err = {0};

	cr_assert_eq(parse(&pairs, text, NULL, &err), PB_OK, "%s", err.message);
	cr_assert_eq(pairs.n_roles, 2);
	cr_assert_str_eq(pairs.roles[0], "z");
	cr_assert_str_eq(pairs.roles[1], "a");
	cr_assert_null(pairs.items[0].roles);
	cr_assert(pairs.items[1].roles[0] == -1 && pairs.items[1].roles[1] == 0);
	cr_assert(pairs.items[2].roles[0] == 1 && pairs.items[2].roles[1] == 0);
	cr_assert_str_eq(pairs.items[2].extra, "{\"k\":1}");
	pb_pairs_free(&pairs);
}

static void hash_of(const char *roles_0, const char *roles_1, char hex[PB_SHA256_HEX])
{
	char *a = line_of("[1,2]", "[1,3]", roles_0), *b = line_of("[4,2]", "[4,3]", roles_1);
	char *text = pb_format("%s%s", a, b);
	struct pb_pairs pairs;
	struct pb_error err = {0};

	cr_assert_eq(parse(&pairs, text, NULL, &err), PB_OK, "%s", err.message);
	cr_assert_eq(pb_pairs_hash(&pairs, hex, &err), PB_OK, "%s", err.message);
	pb_pairs_free(&pairs);
	free(text);
	free(b);
	free(a);
}

Test(roles, the_hash_covers_roles_where_there_are_some)
{
	/* Of the version before there were roles. */
	static const char old[] =
	    "82bc0b6b366a08ee4896d3f014954ff6273f79fec26e6d8b0f4215326d97cc65";
	static const char *const cases[][2] = {{"[\"s\",null]", NULL},  {"[null,\"s\"]", NULL},
					       {NULL, "[\"s\",null]"},  {"[\"t\",null]", NULL},
					       {"[\"s\",\"t\"]", NULL}, {"[\"t\",\"s\"]", NULL},
					       {"[\"st\",null]", NULL}};
	char hex[8][PB_SHA256_HEX];

	hash_of(NULL, NULL, hex[7]);
	cr_assert_str_eq(hex[7], old);
	hash_of("{}", "[null,null]", hex[0]);
	cr_assert_str_eq(hex[0], old);
	for (size_t i = 0; i < 7; i++) {
		hash_of(cases[i][0], cases[i][1], hex[i]);
		for (size_t j = 0; j < i; j++)
			cr_assert_str_neq(hex[i], hex[j], "%zu and %zu", i, j);
		cr_assert_str_neq(hex[i], old);
	}
}

/* ---- the box task ------------------------------------------------------------------------- */

/* The role of a byte of a story: its sentences are the boxes, then the moves, then the query. */
static const char *role_at(const char *text, size_t at, size_t boxes, size_t moves)
{
	size_t sentence = 0;

	for (size_t i = 0; i < at; i++)
		sentence += text[i] == '.';
	return sentence < boxes ? "state" : sentence < boxes + moves ? "action" : "query";
}

static void check_box_pair(const struct pb_pairs *pairs, const struct pb_pair *pair,
			   const struct pb_tokenizer *t, const struct pb_task_options *o)
{
	size_t at = 0;

	cr_assert_not_null(pair->roles);
	for (size_t i = 0; i < pair->length; i++) {
		const char *role;
		size_t size = 0;
		char *piece = NULL;

		if (i == 0 && pairs->bos >= 0) {
			cr_assert_eq(pair->roles[0], -1);
			continue;
		}
		cr_assert_eq(pb_tokenizer_decode_sized(t, &pair->clean[i], 1, &piece, &size, NULL),
			     PB_OK);
		cr_assert(strncmp(pair->clean_text + at, piece, size) == 0);
		role = role_at(pair->clean_text, at + (piece[0] == ' '), o->boxes, o->moves);
		cr_assert_geq(pair->roles[i], 0, "'%s' of '%s'", piece, pair->clean_text);
		cr_assert_str_eq(pairs->roles[pair->roles[i]], role, "'%s' (token %zu) of '%s'",
				 piece, i, pair->clean_text);
		at += size;
		free(piece);
	}
	cr_assert_eq(at, strlen(pair->clean_text));
}

Test(roles, the_box_task_with_the_bundled_tokenizer)
{
	struct pb_tokenizer *t = NULL;
	struct pb_error err = {0};

	cr_assert_eq(pb_tokenizer_open(&t, "data/boxbench", &err), PB_OK, "%s", err.message);
	for (size_t boxes = 2; boxes <= 10; boxes += 4)
		for (size_t moves = 1; moves <= 10; moves += 3)
			for (int bos = PB_BOS_AUTO; bos <= PB_BOS_TRUE; bos++) {
				struct pb_task_options o = {.name = "box",
							    .boxes = boxes,
							    .moves = moves,
							    .count = 20,
							    .corrupt = PB_CORRUPT_ACTION,
							    .seed = 5};
				struct pb_pairs pairs;
				char *text = NULL;
				size_t size = 0;

				cr_assert_eq(pb_task_pairs(&o, &text, &size, &err), PB_OK);
				cr_assert_eq(pb_pairs_parse(&pairs, text, size, "task box", t,
							    (enum pb_bos)bos, 1643, 512, &err),
					     PB_OK, "%s", err.message);
				cr_assert_eq(pairs.n_roles, 3);
				for (size_t i = 0; i < pairs.n; i++)
					check_box_pair(&pairs, &pairs.items[i], t, &o);
				pb_pairs_free(&pairs);
				free(text);
			}
	pb_tokenizer_close(t);
}

/* ---- prompts ------------------------------------------------------------------------------ */

static char file_name[64];

static enum pb_status read_prompts(struct pb_prompts *prompts, const char *text,
				   const struct pb_tokenizer *t, enum pb_bos bos,
				   struct pb_error *err)
{
	enum pb_status status;
	FILE *file;

	(void)snprintf(file_name, sizeof file_name, "/tmp/pb_roles_XXXXXX");
	file = fdopen(mkstemp(file_name), "w");
	cr_assert_not_null(file);
	cr_assert(fputs(text, file) >= 0 && fclose(file) == 0);
	*err = (struct pb_error){0};
	status = pb_prompts_read(prompts, file_name, t, bos, N_VOCAB, 8, err);
	unlink(file_name);
	return status;
}

Test(prompts, text_ids_and_pairs)
{
	static const char text[] =
	    "{\"prompt\":\"a b\",\"answer\":\" zzz\",\"roles\":[\"s\",\"e\"]}\n\n"
	    "{\"prompt\":[4,5,6]}\n"
	    "{\"clean\":\"a\",\"corrupted\":7,\"roles\":{\"e\":-1}}\n"
	    "{\"clean\":\"a\",\"prompt\":\"b\"}";
	struct pb_tokenizer *t = small_tokenizer(true, true);
	struct pb_prompts p;
	struct pb_error err;

	cr_assert_eq(read_prompts(&p, text, t, PB_BOS_AUTO, &err), PB_OK, "%s", err.message);
	cr_assert_eq(p.n, 4);
	cr_assert_eq(p.bos, 0);
	cr_assert_eq(p.max_length, 3);
	cr_assert_eq(p.n_roles, 2);
	cr_assert_str_eq(p.role_names[0], "s");
	cr_assert_str_eq(p.role_names[1], "e");
	cr_assert(p.items[0].length == 3 && p.items[0].tokens[0] == 0 &&
		  p.items[0].tokens[1] == 1 && p.items[0].tokens[2] == 11);
	cr_assert(p.items[0].roles[0] == -1 && p.items[0].roles[1] == 0 &&
		  p.items[0].roles[2] == 1);
	cr_assert(p.items[1].length == 3 && p.items[1].tokens[0] == 4);
	cr_assert_null(p.items[1].roles);
	cr_assert(p.items[2].length == 2 && p.items[2].tokens[1] == 1 && p.items[2].roles[1] == 1);
	cr_assert_eq(p.items[3].tokens[1], 2);
	pb_prompts_free(&p);
	cr_assert_null(p.items);
	cr_assert_eq(read_prompts(&p, text, t, PB_BOS_FALSE, &err), PB_OK, "%s", err.message);
	cr_assert_eq(p.bos, -1);
	cr_assert_eq(p.items[2].length, 1);
	pb_prompts_free(&p);
	pb_tokenizer_close(t);
}

Test(prompts, what_is_refused)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
	    {"", "no prompts"},
	    {"\n  \n", "no prompts"},
	    {"[1]\n", ":1: each line is one prompt"},
	    {"{\"prompt\":\"a\"}\n{\"text\":\"a\"}\n", ":2 (prompt)"},
	    {"{\"prompt\":3}", ":1 (prompt): give a text"},
	    {"{\"clean\":null}", ":1 (clean): give a text"},
	    {"{\"prompt\":\"\"}", "empty prompt"},
	    {"{\"prompt\":[]}", "empty prompt"},
	    {"{\"prompt\":[99]}", "token id out of range"},
	    {"{\"prompt\":[-1]}", "token id out of range"},
	    {"{\"prompt\":[1,1,1,1,1,1,1,1,1]}", "9 tokens, but the model takes 8"},
	    {"{\"prompt\":[1],\"roles\":[\"a\",\"b\"]}", ":1 (roles): 2 for 1 tokens"},
	    {"{\"prompt\":[1]", "not valid JSON"},
	    {"\xef\xbb\xbf{\"prompt\":[1]}", "byte order mark"},
	};
	struct pb_tokenizer *t = small_tokenizer(false, true);
	struct pb_prompts p;
	struct pb_error err;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		cr_assert_eq(read_prompts(&p, cases[i].text, t, PB_BOS_AUTO, &err), PB_ERR_INPUT,
			     "accepted: %s", cases[i].text);
		cr_expect_not_null(strstr(err.message, cases[i].words), "no '%s' in: %s",
				   cases[i].words, err.message);
		cr_expect_not_null(strstr(err.message, file_name));
		cr_assert_null(p.items);
	}
	cr_assert_eq(read_prompts(&p, "{\"prompt\":\"a\"}", NULL, PB_BOS_AUTO, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "without a tokenizer"), "%s", err.message);
	cr_assert_eq(pb_prompts_read(&p, "/nonexistent.jsonl", t, PB_BOS_AUTO, 9, 9, &err),
		     PB_ERR_INPUT);
	pb_tokenizer_close(t);
}
