/* Tokenizer folders that open: BOS tokens, vocab.json with merges.txt and what goes with them. */
#include "support/tokens_folder.h"

/* ---- BOS --------------------------------------------------------------------------------- */

#define TEMPLATE(pieces)                                                                           \
	"{\"type\":\"TemplateProcessing\",\"single\":[" pieces                                     \
	"],\"pair\":[],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[257],"                 \
	"\"tokens\":[\"<s>\"]},\"</s>\":{\"id\":\"</s>\",\"ids\":[258],\"tokens\":[\"</s>\"]}}}"
#define PIECE_S "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}}"
#define PIECE_END "{\"SpecialToken\":{\"id\":\"</s>\",\"type_id\":0}}"
#define PIECE_TEXT "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"

struct bos_case {
	const char *post, *tokenizer_config, *special_tokens_map, *config;
	int32_t bos, bos_auto;
};

static void check_bos(const struct bos_case *c)
{
	struct tokens_file file = {.vocab = "\"ab\":256,\"<s>\":257,\"</s>\":258",
				   .post_processor = c->post};
	struct tokens_folder folder = tokens_folder_make();
	struct pb_error err = {0};
	struct pb_tokenizer *t = NULL;
	size_t size = 0;
	char *text = tokens_json(&file, &size);

	tokens_folder_write(&folder, "tokenizer.json", text, size);
	if (c->tokenizer_config != NULL)
		tokens_folder_put(&folder, "tokenizer_config.json", c->tokenizer_config);
	if (c->special_tokens_map != NULL)
		tokens_folder_put(&folder, "special_tokens_map.json", c->special_tokens_map);
	if (c->config != NULL)
		tokens_folder_put(&folder, "config.json", c->config);
	cr_assert_eq(pb_tokenizer_open(&t, folder.path, &err), PB_OK, "%s", err.message);
	cr_expect_eq(pb_tokenizer_bos(t), c->bos);
	cr_expect_eq(pb_tokenizer_bos_auto(t), c->bos_auto);
	pb_tokenizer_close(t);
	tokens_folder_remove(&folder);
	free(text);
}

Test(tokens_bos, of_tokenizer_json)
{
	static const struct bos_case cases[] = {
	    {.bos = -1, .bos_auto = -1},
	    {.post = TEMPLATE(PIECE_S "," PIECE_TEXT "," PIECE_END), .bos = 257, .bos_auto = 257},
	    {.post = TEMPLATE(PIECE_TEXT "," PIECE_END), .bos = -1, .bos_auto = -1},
	    {.post = "{\"type\":\"Sequence\",\"processors\":[" BYTE_LEVEL_PLAIN
		     "," TEMPLATE(PIECE_S "," PIECE_TEXT) "]}",
	     .bos = 257,
	     .bos_auto = 257},
	    {.tokenizer_config = "{\"bos_token\":\"</s>\"}", .bos = 258, .bos_auto = -1},
	    {.tokenizer_config = "{\"bos_token\":{\"content\":\"<s>\"}}",
	     .bos = 257,
	     .bos_auto = -1},
	    {.tokenizer_config = "{\"bos_token\":null}",
	     .config = "{\"bos_token_id\":257}",
	     .bos = -1,
	     .bos_auto = -1},
	    {.tokenizer_config = "{\"bos_token\":\"<none>\"}", .bos = -1, .bos_auto = -1},
	    {.special_tokens_map = "{\"bos_token\":\"<s>\"}", .bos = 257, .bos_auto = -1},
	    {.config = "{\"bos_token_id\":256}", .bos = 256, .bos_auto = -1},
	    {.config = "{\"bos_token_id\":259}", .bos = -1, .bos_auto = -1},
	    {.config = "{\"bos_token_id\":[257]}", .bos = -1, .bos_auto = -1},
	    /* With a tokenizer.json the post-processor alone decides, as in `transformers`. */
	    {.tokenizer_config = "{\"bos_token\":\"<s>\",\"add_bos_token\":true}",
	     .bos = 257,
	     .bos_auto = -1},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_bos(&cases[i]);
}

/* ---- vocab.json and merges.txt -------------------------------------------------------------- */

/* A vocabulary of the bytes, "ab" and more. */
static void put_vocab(const struct tokens_folder *folder, const char *more)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	fprintf(file, "{");
	tokens_write_bytes(file, 0);
	fprintf(file, ",\"ab\":256%s}\n", more);
	cr_assert_eq(fclose(file), 0);
	tokens_folder_write(folder, "vocab.json", text, size);
	free(text);
}

static struct pb_tokenizer *open_folder(const struct tokens_folder *folder)
{
	struct pb_error err = {0};
	struct pb_tokenizer *t = NULL;

	cr_assert_eq(pb_tokenizer_open(&t, folder->path, &err), PB_OK, "%s", err.message);
	return t;
}

Test(tokens_files, vocab_and_merges)
{
	struct tokens_folder folder = tokens_folder_make();
	struct pb_tokenizer *t;

	put_vocab(&folder, "");
	tokens_folder_put(&folder, "merges.txt", "#version: 0.2\r\na b\r\n");
	t = open_folder(&folder);
	cr_expect_str_eq(tokens_ids(t, "ab ab"), "256 32 256");
	cr_expect_eq(pb_tokenizer_bos(t), -1);
	cr_expect_eq(pb_tokenizer_size(t), 257);
	pb_tokenizer_close(t);

	/* Without a special line, or a last line end. */
	tokens_folder_put(&folder, "merges.txt", "a b");
	t = open_folder(&folder);
	cr_expect_str_eq(tokens_ids(t, "ab"), "256");
	pb_tokenizer_close(t);
	tokens_folder_remove(&folder);
}

Test(tokens_files, tokenizer_json_comes_first)
{
	struct tokens_folder folder = tokens_folder_make();
	struct tokens_file file = {.vocab = "\"xy\":256", .merges = "[\"x\",\"y\"]"};
	struct pb_tokenizer *t;
	size_t size = 0;
	char *text = tokens_json(&file, &size);

	put_vocab(&folder, "");
	tokens_folder_put(&folder, "merges.txt", "a b\n");
	tokens_folder_write(&folder, "tokenizer.json", text, size);
	t = open_folder(&folder);
	cr_expect_str_eq(tokens_ids(t, "ab xy"), "97 98 32 256");
	pb_tokenizer_close(t);
	tokens_folder_remove(&folder);
	free(text);
}

Test(tokens_files, bad_merges_name_their_line)
{
	static const struct {
		const char *merges, *what, *where;
	} cases[] = {
	    {"#version: 0.2\na b\nab c\n", "result of a merge", "merges.txt, line 3, 'ab c'"},
	    {"a b\n\na b\n", "not two tokens", "line 2"},
	    {"a b c\n", "not two tokens", "line 1"},
	    {"#version: 0.2\nzz b\n", "left part", "line 2"},
	    {"a\xff b\n", "not UTF-8", "merges.txt, byte 1"},
	};
	struct tokens_folder folder = tokens_folder_make();

	put_vocab(&folder, "");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_error err = {0};
		struct pb_tokenizer *t = NULL;

		tokens_folder_put(&folder, "merges.txt", cases[i].merges);
		cr_expect_eq(pb_tokenizer_open(&t, folder.path, &err), PB_ERR_INPUT);
		cr_expect_null(t);
		cr_expect_not_null(strstr(err.message, cases[i].what), "%s", err.message);
		cr_expect_not_null(strstr(err.message, cases[i].where), "%s", err.message);
	}
	tokens_folder_remove(&folder);
}

Test(tokens_files, bad_vocabularies)
{
	static const struct {
		const char *vocab, *what;
	} cases[] = {
	    {"", "not an object"},
	    {"[]", "not an object"},
	    {"{}", "empty"},
	    {"{\"a\":0} x", "something follows"},
	    {"{\"a\":0", "a comma"},
	    {"{\"a\":0,\"a\":1}", "twice"},
	    {"{\"a\":0,\"b\":0}", "same id"},
	};
	struct tokens_folder folder = tokens_folder_make();

	tokens_folder_put(&folder, "merges.txt", "");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_error err = {0};
		struct pb_tokenizer *t = NULL;

		tokens_folder_put(&folder, "vocab.json", cases[i].vocab);
		cr_expect_eq(pb_tokenizer_open(&t, folder.path, &err), PB_ERR_INPUT);
		cr_expect_not_null(strstr(err.message, cases[i].what), "%s", err.message);
		cr_expect_not_null(strstr(err.message, "vocab.json"), "%s", err.message);
	}
	tokens_folder_remove(&folder);
}

/* ---- special tokens beside them ----------------------------------------------------------------
 */

Test(tokens_files, endoftext_is_special_without_being_named)
{
	struct tokens_folder folder = tokens_folder_make();
	struct pb_tokenizer *t;

	put_vocab(&folder, ",\"<|endoftext|>\":257");
	tokens_folder_put(&folder, "merges.txt", "a b\n");
	t = open_folder(&folder);
	cr_expect_str_eq(tokens_ids(t, "ab<|endoftext|>ab"), "256 257 256");
	cr_expect_eq(pb_tokenizer_bos(t), 257);
	cr_expect_eq(pb_tokenizer_bos_auto(t), -1);
	pb_tokenizer_close(t);
	tokens_folder_remove(&folder);
}

Test(tokens_files, tokenizer_config)
{
	struct tokens_folder folder = tokens_folder_make();
	struct pb_tokenizer *t;

	put_vocab(&folder, ",\"<s>\":257");
	tokens_folder_put(&folder, "merges.txt", "a b\n");
	tokens_folder_put(
	    &folder, "tokenizer_config.json",
	    "{\"add_prefix_space\":true,\"add_bos_token\":true,\"bos_token\":\"<s>\","
	    "\"eos_token\":{\"content\":\"<e>\",\"lstrip\":true},"
	    "\"added_tokens_decoder\":{\"259\":{\"content\":\"<y>\",\"special\":false},"
	    "\"258\":{\"content\":\"<x>\",\"special\":true}}}");
	t = open_folder(&folder);
	cr_expect_str_eq(tokens_ids(t, "<s>ab<x><y> <e>"), "257 32 256 258 259 260");
	cr_expect_eq(pb_tokenizer_bos(t), 257);
	cr_expect_eq(pb_tokenizer_bos_auto(t), 257);
	cr_expect_eq(pb_tokenizer_size(t), 261);
	pb_tokenizer_close(t);
	tokens_folder_remove(&folder);
}

Test(tokens_files, added_tokens_and_map)
{
	struct tokens_folder folder = tokens_folder_make();
	struct pb_tokenizer *t;

	put_vocab(&folder, "");
	tokens_folder_put(&folder, "merges.txt", "a b\n");
	tokens_folder_put(&folder, "added_tokens.json", "{\"<y>\":258,\"<x>\":257}");
	tokens_folder_put(&folder, "special_tokens_map.json",
			  "{\"bos_token\":\"<x>\",\"additional_special_tokens\":[\"<z>\"]}");
	t = open_folder(&folder);
	cr_expect_str_eq(tokens_ids(t, "<y><x><z>"), "258 257 259");
	cr_expect_eq(pb_tokenizer_bos(t), 257);
	cr_expect_eq(pb_tokenizer_bos_auto(t), -1);
	pb_tokenizer_close(t);
	tokens_folder_remove(&folder);
}

Test(tokens_files, bad_special_tokens)
{
	static const struct {
		const char *name, *text, *what;
	} cases[] = {
	    {"tokenizer_config.json", "{", "not valid JSON"},
	    {"tokenizer_config.json", "{\"bos_token\":7}", "neither a string"},
	    {"tokenizer_config.json", "{\"add_bos_token\":true}", "no bos_token"},
	    {"tokenizer_config.json", "{\"add_prefix_space\":1}", "true or false"},
	    {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"<x>\"}}}",
	     "has no id"},
	    {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"999\":{\"content\":\"<x>\"}}}",
	     "wrong id"},
	    {"added_tokens.json", "{\"<x>\":-3}", "has no id"},
	    {"special_tokens_map.json", "{\"additional_special_tokens\":[[]]}", "neither a string"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tokens_folder folder = tokens_folder_make();
		struct pb_error err = {0};
		struct pb_tokenizer *t = NULL;

		put_vocab(&folder, "");
		tokens_folder_put(&folder, "merges.txt", "a b\n");
		tokens_folder_put(&folder, cases[i].name, cases[i].text);
		cr_expect_eq(pb_tokenizer_open(&t, folder.path, &err), PB_ERR_INPUT, "%s",
			     cases[i].text);
		cr_expect_not_null(strstr(err.message, cases[i].what), "%s", err.message);
		cr_expect_not_null(strstr(err.message, cases[i].name), "%s", err.message);
		pb_tokenizer_close(t);
		tokens_folder_remove(&folder);
	}
}

Test(tokens_files, no_tokenizer)
{
	struct tokens_folder folder = tokens_folder_make();
	struct pb_error err = {0};
	struct pb_tokenizer *t = NULL;

	cr_expect_eq(pb_tokenizer_open(&t, folder.path, &err), PB_ERR_INPUT);
	cr_expect_null(t);
	cr_expect_not_null(strstr(err.message, folder.path), "%s", err.message);
	put_vocab(&folder, "");
	err = (struct pb_error){0};
	cr_expect_eq(pb_tokenizer_open(&t, folder.path, &err), PB_ERR_INPUT,
		     "merges.txt is missing");
	tokens_folder_remove(&folder);
	err = (struct pb_error){0};
	cr_expect_eq(pb_tokenizer_open(&t, folder.path, &err), PB_ERR_INPUT, "no folder");
	cr_expect_not_null(strstr(err.message, folder.path), "%s", err.message);
	pb_tokenizer_close(NULL);
}
