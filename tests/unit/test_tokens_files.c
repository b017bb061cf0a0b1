/* Tokenizer folders: what is read from where, and what is refused with which message. */
#include "support/tokens_folder.h"

#define VOCAB "\"ab\":256,\"<s>\":257"
#define MERGES "[\"a\",\"b\"]"

static const struct tokens_file usual = {.vocab = VOCAB, .merges = MERGES};

/* ---- tokenizer.json that is refused -------------------------------------------------------- */

/* Opening must fail with PB_ERR_INPUT and a message that holds each of the two. */
static void check_refused(const char *text, size_t size, const char *what, const char *where)
{
	struct pb_error err;
	struct pb_tokenizer *t = tokens_open_text(text, size, &err);

	cr_expect_null(t, "accepted, though: %s", what);
	cr_expect_eq(err.status, PB_ERR_INPUT, "%s", what);
	cr_expect_not_null(strstr(err.message, what), "'%s' lacks '%s'", err.message, what);
	cr_expect_not_null(strstr(err.message, where), "'%s' lacks '%s'", err.message, where);
	cr_expect_not_null(strstr(err.message, "tokenizer.json"), "%s", err.message);
	pb_tokenizer_close(t);
}

static void check_file_refused(struct tokens_file file, const char *what, const char *where)
{
	size_t size = 0;
	char *text;

	if (file.vocab == NULL)
		file.vocab = VOCAB;
	if (file.merges == NULL)
		file.merges = MERGES;
	text = tokens_json(&file, &size);
	check_refused(text, size, what, where);
	free(text);
}

#define FILE_WITH(...) ((struct tokens_file){__VA_ARGS__})

Test(tokens_refused, models)
{
	check_file_refused(FILE_WITH(.model = "\"dropout\":0.1,"), "dropout", "model");
	check_file_refused(FILE_WITH(.model = "\"continuing_subword_prefix\":\"##\","),
			   "continuing_subword_prefix '##'", "model");
	check_file_refused(FILE_WITH(.model = "\"end_of_word_suffix\":\"</w>\","),
			   "end_of_word_suffix '</w>'", "model");
	check_file_refused(FILE_WITH(.model = "\"byte_fallback\":true,", .missing_byte = 'x'),
			   "byte_fallback 'true'", "model");
	check_file_refused(FILE_WITH(.model = "\"unk_token\":\"<unk>\",", .missing_byte = 'x'),
			   "unk_token is not in the vocabulary", "<unk>");
	check_file_refused(FILE_WITH(.model = "\"ignore_merges\":1,"), "true or false",
			   "model.ignore_merges");
	check_file_refused(FILE_WITH(.model = "\"vocab\":{},"), "duplicate object key", "line 8");
}

#define DECODERS(list) "{\"type\":\"Sequence\",\"decoders\":[" list "]}"

Test(tokens_refused, components)
{
	static const struct {
		const char *normalizer, *pre, *post, *decoder, *what, *where;
	} cases[] = {
	    {"{\"type\":\"NFKC\"}", NULL, NULL, NULL, "normalizer 'NFKC'", "normalizer"},
	    {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}",
	     NULL, NULL, NULL, "normalizer 'Lowercase'", "normalizer.normalizers[1]"},
	    {"[]", NULL, NULL, NULL, "not an object", "normalizer"},
	    {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}", NULL, NULL, NULL,
	     "must have a text 'content'", "normalizer"},
	    {"{\"type\":\"Replace\",\"content\":\"b\"}", NULL, NULL, NULL, "a pattern is missing",
	     "normalizer.pattern"},
	    {"{\"type\":\"Prepend\"}", NULL, NULL, NULL, "must have a text 'prepend'",
	     "normalizer"},
	    {NULL, "null", NULL, NULL, "ByteLevel without such words", "decoder"},
	    {NULL, "{\"type\":\"Whitespace\"}", NULL, NULL, "pre-tokenizer 'Whitespace'",
	     "pre_tokenizer"},
	    {NULL, "{\"type\":\"Metaspace\"}", NULL, NULL, "must be one character",
	     "pre_tokenizer.replacement"},
	    {NULL, "{\"type\":\"Metaspace\",\"replacement\":\"__\"}", NULL, NULL,
	     "must be one character", "pre_tokenizer.replacement"},
	    {NULL, "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}",
	     NULL, NULL, "prepend_scheme 'last'", "pre_tokenizer"},
	    {NULL,
	     "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\","
	     "\"add_prefix_space\":false}",
	     NULL, NULL, "contradict each other", "pre_tokenizer"},
	    {NULL, "{\"pattern\":1}", NULL, NULL, "must be a string", "pre_tokenizer.type"},
	    {NULL, "{\"type\":\"Sequence\"}", NULL, NULL, "must be a list",
	     "pre_tokenizer.pretokenizers"},
	    {NULL,
	     "{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL_PLAIN
	     ",{\"type\":\"Digits\"}]}",
	     NULL, NULL, "after ByteLevel", "pretokenizers[1]"},
	    {NULL, "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Dropped\"}",
	     NULL, NULL, "behavior 'Dropped'", "pre_tokenizer"},
	    {NULL, "{\"type\":\"Split\",\"pattern\":{},\"behavior\":\"Isolated\"}", NULL, NULL,
	     "a pattern is missing", "pre_tokenizer"},
	    {NULL,
	     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w\"},\"behavior\":\"Isolated\"}",
	     NULL, NULL, "uses \\w", "pre_tokenizer"},
	    {NULL, NULL, "{\"type\":\"RobertaProcessing\"}", NULL,
	     "post-processor 'RobertaProcessing'", "post_processor"},
	    {NULL, NULL,
	     "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}]}",
	     NULL, "has not one id", "<s>"},
	    {NULL, NULL,
	     "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],"
	     "\"special_tokens\":{\"<s>\":{\"ids\":[258]}}}",
	     NULL, "unknown id", "258"},
	    {NULL, NULL,
	     "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"
	     "{\"SpecialToken\":{\"id\":\"<s>\"}}],\"special_tokens\":{\"<s>\":{\"ids\":[257]}}}",
	     NULL, "several tokens in front", "post_processor"},
	    {NULL, NULL, NULL, "null", "decoder 'null'", "decoder"},
	    {NULL, NULL, NULL, "{\"type\":\"WordPiece\"}", "decoder 'WordPiece'", "decoder"},
	    {NULL, NULL, NULL, DECODERS("{\"type\":\"Fuse\"},{\"type\":\"ByteFallback\"}"),
	     "decoder 'ByteFallback'", "decoder.decoders[1]"},
	    {NULL, NULL, NULL,
	     DECODERS("{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"),
	     "decoder 'Strip'", "decoder.decoders[0]"},
	    {NULL, NULL, NULL,
	     DECODERS("{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":-1}"),
	     "a number 'start'", "decoder.decoders[1]"},
	    {NULL, NULL, NULL,
	     DECODERS("{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,"
		      "\"stop\":1}"),
	     "Strip with a stop", "decoder.decoders[1]"},
	    {NULL, NULL, NULL, DECODERS("{\"type\":\"Fuse\"}"), "without ByteLevel", "decoder"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_file_refused(
		    FILE_WITH(.normalizer = cases[i].normalizer, .pre_tokenizer = cases[i].pre,
			      .post_processor = cases[i].post, .decoder = cases[i].decoder),
		    cases[i].what, cases[i].where);
}

Test(tokens_refused, vocabularies_and_merges)
{
	static const struct {
		const char *vocab, *merges, *what, *where;
	} cases[] = {
	    {"\"ab\":255", NULL, "two tokens have the same id", "'ab' is 255"},
	    {"\"a\":256", NULL, "a token is there twice", "'a'"},
	    {"\"ab\":-1", NULL, "out of range", "'ab' is -1"},
	    {"\"ab\":4194304", NULL, "out of range", "4194304"},
	    {"\"ab\":99999999999999999999", NULL, "not an integer", "line 8"},
	    {"\"ab\":1.5", NULL, "not an integer", "line 8"},
	    {"\"ab\":\"256\"", NULL, "not an integer", "line 8"},
	    {"\"ab\":007", NULL, "not an integer", "line 8"},
	    {NULL, "[\"a\",\"c\"]", "the result of a merge is not in the vocabulary", "line 9"},
	    {NULL, "[\"a\",\"b\"],\n[\"xy\",\"c\"]", "the left part of a merge", "line 10"},
	    {NULL, "[\"a\",\"xy\"]", "the right part of a merge", "line 9"},
	    {NULL, "\"ab\"", "not two tokens with a space between", "line 9"},
	    {NULL, "\"a b c\"", "not two tokens with a space between", "line 9"},
	    {NULL, "[\"a\"]", "not a pair of strings", "line 9"},
	    {NULL, "[\"a\",\"b\",\"c\"]", "not a pair of strings", "line 9"},
	    {NULL, "7", "a string is missing", "line 9"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_file_refused(FILE_WITH(.vocab = cases[i].vocab, .merges = cases[i].merges),
				   cases[i].what, cases[i].where);
}

Test(tokens_refused, added_tokens)
{
	check_file_refused(FILE_WITH(.added = "{\"content\":\"<x>\"}"), "lacks its id",
			   "added_tokens[0]");
	check_file_refused(FILE_WITH(.added = "{\"id\":258}"), "no content", "added_tokens[0]");
	check_file_refused(FILE_WITH(.added = ADDED("300", "<x>", "")), "wrong id", "makes it 258");
	check_file_refused(FILE_WITH(.added = ADDED("258", "ab", "")), "wrong id", "makes it 256");
	check_file_refused(FILE_WITH(.added = ADDED("258", "<x>", ",\"lstrip\":\"no\"")),
			   "true or false", "added_tokens[0].lstrip");
	check_file_refused(FILE_WITH(.vocab = "\"ab\":257", .added = ADDED("257", "<x>", "")),
			   "takes an id that is in use", "<x>");
	check_file_refused(
	    FILE_WITH(.normalizer = "{\"type\":\"NFC\"}",
		      .added = "{\"id\":258,\"content\":\"\\u1e0b\",\"normalized\":true},"
			       "{\"id\":259,\"content\":\"d\\u0307\",\"normalized\":true}"),
	    "two added tokens look the same", "ids 258 and 259");
}

/* Whole texts; %s of the message is the file's path. */
Test(tokens_refused, texts)
{
	static const struct {
		const char *text, *what, *where;
	} cases[] = {
	    {"", "not valid JSON", "line"},
	    {"[]", "not one JSON object", ""},
	    {"{}", "model is missing", ""},
	    {"{\"model\":{}}", "vocabulary is missing", "model"},
	    {"{\"model\":{\"type\":\"WordPiece\"}}", "type 'WordPiece'", "model"},
	    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0.5]]}}", "type 'Unigram'", ""},
	    {"{\"model\":{\"vocab\":{\"a\":0}}}", "merges are missing", "model"},
	    {"{\"model\":{\"vocab\":7,\"merges\":[]}}", "vocabulary is missing", "model"},
	    {"{\"model\":{\"vocab\":{},\"merges\":[]}}", "vocabulary is empty", "line 1"},
	    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"vocab\":{\"a\":1}}}",
	     "not valid JSON", "duplicate"},
	    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[]},\"model\":{}}", "not valid JSON",
	     "duplicate"},
	    {"{\"version\":\"2.0\",\"model\":{}}", "version '2.0'", ""},
	    {"{\"model\":{\"vocab\":{\"a\":0},\n\"merges\":[]}", "not valid JSON", "line 2"},
	    {"{\"model\":{\"vocab\":{\"a\\u0000\":0},\"merges\":[]}}", "NUL", "line 1, column 22"},
	    {"{\"model\":{\"vocab\":{\"\\ud800\":0},\"merges\":[]}}", "surrogate", "line 1"},
	    {"{\"model\":{\"vocab\":{\"\\x\":0},\"merges\":[]}}", "unknown escape", "line 1"},
	    {"{\"model\":{\"vocab\":{\"\t\":0},\"merges\":[]}}", "control character", "line 1"},
	    {"{\"model\":{\"vocab\":{\"a\" 0},\"merges\":[]}}", "a colon is missing", "line 1"},
	    {"{\"model\":{\"vocab\":{\"a\":0 \"b\":1},\"merges\":[]}}", "a comma is missing", ""},
	    {"{\"model\":{\"vocab\":{\"a\":0,},\"merges\":[]}}", "a string is missing", ""},
	    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[,]}}", "a string is missing", ""},
	    {"{\"model\":{\"vocab\":{\"\xff\":0},\"merges\":[]}}", "not UTF-8", "byte 20"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_refused(cases[i].text, strlen(cases[i].text), cases[i].what, cases[i].where);
}

/* No beginning of a file is taken for a whole one. */
Test(tokens_refused, truncated_files)
{
	struct tokens_file file = usual;
	size_t size = 0;
	char *text;

	file.added = ADDED("257", "<s>", "");
	text = tokens_json(&file, &size);
	for (size_t n = 0; n < size - 2; n += n < 700 || n > size - 300 ? 1 : 37)
		check_refused(text, n, "", "");
	free(text);
}

/* Bytes changed at random: refused, or a tokenizer that works. */
Test(tokens_refused, damaged_files)
{
	struct tokens_file file = usual;
	size_t size = 0;
	char *text;
	struct pb_rng rng;

	file.added = ADDED("257", "<s>", "");
	file.pre_tokenizer =
	    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
	    "{\"Regex\":\"(?i:'s)|\\\\s+(?!\\\\S)|[^\\\\s\\\\p{L}]{1,3}|\\\\x41\"},"
	    "\"behavior\":\"Isolated\"}," BYTE_LEVEL_PLAIN "]}";
	text = tokens_json(&file, &size);
	pb_rng_seed(&rng, 1, 2, 3, 4);
	for (int round = 0; round < 3000; round++) {
		/* Half of them in what comes before the vocabulary. */
		size_t at = pb_rng_below(&rng, round % 2 == 0 ? 900 : size);
		char before = text[at];
		struct pb_error err;
		struct pb_tokenizer *t;
		int32_t *ids = NULL;
		size_t n;

		text[at] = "\"\\{}[],:0a u\n\xff"[pb_rng_below(&rng, 14)];
		t = tokens_open_text(text, size, &err);
		cr_assert(t != NULL || err.status == PB_ERR_INPUT, "%s", err.message);
		if (t != NULL)
			(void)pb_tokenizer_encode(t, "ab <s>'s  1A", 12, &ids, &n, NULL);
		free(ids);
		pb_tokenizer_close(t);
		text[at] = before;
	}
	free(text);
}
