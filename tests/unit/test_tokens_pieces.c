/* How texts are cut: patterns, pre-tokenizers, added tokens, normal forms. */
#include "support/tokens_folder.h"
#include "tokens/pattern.h"

/* Pairs that merge inside a word and nowhere else: what is cut shows. \u0120 is a space, \u010a a
 * line feed, \u010d a carriage return. */
static const struct tokens_file pairs = {
    .vocab = "\"aa\":256,\"11\":257,\"!!\":258,\"\\u0120a\":259,\"\\u0120\\u0120\":260,"
	     "\"\\u010a\\u010a\":261,\"'s\":262,\"1a\":263,\"\\u01201\":264,\"!a\":265",
    .merges = "[\"a\",\"a\"],[\"1\",\"1\"],[\"!\",\"!\"],[\"\\u0120\",\"a\"],"
	      "[\"\\u0120\",\"\\u0120\"],[\"\\u010a\",\"\\u010a\"],[\"'\",\"s\"],"
	      "[\"1\",\"a\"],[\"\\u0120\",\"1\"],[\"!\",\"a\"]"};

struct cut {
	const char *text, *pieces;
};

static void check_cuts(const struct tokens_file *file, const struct cut *cuts, size_t n)
{
	struct pb_tokenizer *t = tokens_open(file);

	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(tokens_pieces(t, cuts[i].text), cuts[i].pieces);
	pb_tokenizer_close(t);
}

#define CHECK_CUTS(file, cuts) check_cuts(file, cuts, sizeof(cuts) / sizeof *(cuts))

/* A pre-tokenizer of one Split and a plain ByteLevel; the pattern is written as in C. */
#define SPLIT(pattern)                                                                             \
	"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern                                    \
	"\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define SEQUENCE(members)                                                                          \
	"{\"type\":\"Sequence\",\"pretokenizers\":[" members "," BYTE_LEVEL_PLAIN "]}"

/* ---- pre-tokenizers ---------------------------------------------------------------------- */

Test(tokens_pieces, gpt2_pattern)
{
	static const struct cut cuts[] = {
	    {"aa11!!", "aa|11|!!"}, {"1a", "1|a"},       {"a a", "a| a"},       {"a  a", "a| | a"},
	    {"a   a", "a|  | a"},   {"a  ", "a|  "},     {"a's", "a|'s"},       {"a'S", "a|'|S"},
	    {"\n\na", "\n|\n|a"},   {"a\n\n", "a|\n\n"}, {"\n\n a", "\n\n| a"}, {" !!a", " |!!|a"},
	    {" 11", " |11"},
	};

	CHECK_CUTS(&pairs, cuts);
}

/* \s of Oniguruma: U+0085 is white space, U+180E is not. A word's bytes do not merge here, so the
 * cut is seen from what follows: "!" joins U+180E and is kept from U+0085. */
Test(tokens_pieces, white_space_is_oniguruma_s)
{
	struct tokens_file file = {
	    .vocab = "\"\\u0127!\":256,\"\\u0130!\":257", /* bytes 85 and 8E, then "!" */
	    .merges = "[\"\\u0127\",\"!\"],[\"\\u0130\",\"!\"]"};
	struct pb_tokenizer *t = tokens_open(&file);

	cr_expect_str_eq(tokens_ids(t, "\xc2\x85!"), "194 133 33");
	cr_expect_str_eq(tokens_ids(t, "\u180e!"), "225 160 257");
	pb_tokenizer_close(t);
}

Test(tokens_pieces, without_a_pattern)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {{"1a", "1a"}, {"a  a", "a| | a"}, {"!aa", "!|aa"}};

	file.pre_tokenizer = BYTE_LEVEL_PLAIN;
	CHECK_CUTS(&file, cuts);
}

Test(tokens_pieces, prefix_space)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {
	    {"a", " a"},       {" a", " a"},           {"", ""},
	    {"\na", " |\n|a"}, {"a<x>a", " a|<x>| a"}, {"<x>", "<x>"}};

	file.pre_tokenizer = BYTE_LEVEL("true", "true");
	file.added = ADDED("266", "<x>", "");
	CHECK_CUTS(&file, cuts);
}

/* Each piece of the stages before gets one. */
Test(tokens_pieces, prefix_space_after_digits)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {{"a11a", " a| |11| a"}};

	file.pre_tokenizer =
	    "{\"type\":\"Sequence\",\"pretokenizers\":["
	    "{\"type\":\"Digits\",\"individual_digits\":false}," BYTE_LEVEL("true", "true") "]}";
	CHECK_CUTS(&file, cuts);
}

Test(tokens_pieces, digits)
{
	struct tokens_file file = pairs;
	static const struct cut single[] = {{"a111a", "a|1|1|1|a"}, {"aa", "aa"}};
	static const struct cut runs[] = {{"a11a", "a|11|a"}, {"aa1a", "aa|1|a"}};

	file.pre_tokenizer = SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":true}");
	CHECK_CUTS(&file, single);
	file.pre_tokenizer = SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":false}");
	CHECK_CUTS(&file, runs);
}

Test(tokens_pieces, splits)
{
	struct tokens_file file = pairs;
	static const struct cut stages[] = {{"aaaa", "aa|a|a"}, {"aaa11", "aa|a|1|1"}};
	static const struct cut text[] = {{"aa!!aa", "aa|!!|aa"}, {"a!a", "a|!a"}};
	static const struct cut empty[] = {{"1a!", "1|a|!"}, {"aa", "aa"}};

	file.pre_tokenizer = SEQUENCE(SPLIT("a{3}|1") "," SPLIT("(?<=aa)a"));
	CHECK_CUTS(&file, stages);
	file.pre_tokenizer = SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"String\":\"!!\"},"
				      "\"behavior\":\"Isolated\",\"invert\":true}");
	CHECK_CUTS(&file, text);
	file.pre_tokenizer = SEQUENCE(SPLIT("a*"));
	CHECK_CUTS(&file, empty);
}

/* More alternatives in a row than fit the 32 KiB that a match starts with. */
Test(tokens_pieces, a_match_may_need_much_stack, .timeout = 120)
{
	struct tokens_file file = pairs;
	struct pb_error err = {0};
	struct pb_tokenizer *t;
	const size_t size = 400000;
	char *text = malloc(size);
	int32_t *ids = NULL;
	size_t n;

	file.pre_tokenizer = SEQUENCE(SPLIT("(?:a!|1a)+"));
	t = tokens_open(&file);
	for (size_t i = 0; i < size; i++)
		text[i] = "a!"[i % 2];
	cr_assert_eq(pb_tokenizer_encode(t, text, size, &ids, &n, &err), PB_OK, "%s", err.message);
	cr_assert_eq(n, size / 2 + 1, "one word: a, !a ..., !");
	free(ids);
	free(text);
	pb_tokenizer_close(t);
}

/* ---- patterns ------------------------------------------------------------------------------ */

Test(tokens_pattern, what_pcre2_reads_otherwise_is_rewritten)
{
	static const struct {
		const char *oniguruma, *pcre2;
	} cases[] = {
	    {"a|b+?", "a|b+?"},
	    {"\\s+(?!\\S)", "[\\t-\\r\\x{85}\\p{Z}]+(?![^\\t-\\r\\x{85}\\p{Z}])"},
	    {"[^\\s\\p{L}\\p{N}]", "[^\\t-\\r\\x{85}\\p{Z}\\p{L}\\p{N}]"},
	    {"[\\S\\n]", "[\\S\\x{180E}\\n]"},
	    {"\\p{Han}\\P{Greek}\\p{^Lu}", "\\p{sc:Han}\\P{sc:Greek}\\p{^Lu}"},
	    {"\\x41\\x{1F600}\\u00e9", "\\x{41}\\x{1F600}\\x{00e9}"},
	    {"\\v\\t", "\\x{0B}\\t"},
	    {"(?i:'s|'ll)|(?<=x)[)(|.]", "(?i:'s|'ll)|(?<=x)[)(|.]"},
	    {"\\p{N}{1,3}x{2}{", "\\p{N}{1,3}x{2}\\{"},
	    {"(?i:s)\\p{Lu}ss", "(?i:s)\\p{Lu}ss"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_error err = {0};
		char *out = NULL;

		cr_assert_eq(pb_pattern_translate(&out, cases[i].oniguruma,
						  strlen(cases[i].oniguruma), "here", &err),
			     PB_OK, "%s", err.message);
		cr_expect_str_eq(out, cases[i].pcre2);
		free(out);
	}
}

Test(tokens_pattern, what_cannot_be_rewritten_is_named)
{
	static const struct {
		const char *regex, *message;
	} cases[] = {
	    {"\\w+", "uses \\w"},
	    {"a\\b", "uses \\b"},
	    {"\\h", "uses \\h"},
	    {"\\K", "uses \\K"},
	    {"[a[bc]]", "a class within a class"},
	    {"[[:alpha:]]", "a class within a class"},
	    {"[a-z&&[^b]]", "an intersection"},
	    {"[]a]", "an empty class"},
	    {"(?i)a", "a group of this kind"},
	    {"(?<name>a)", "a group of this kind"},
	    {"(*FAIL)", "uses (*"},
	    {"a{,3}", "an interval"},
	    {"a{2}+", "an interval"},
	    {"a{1,2}?", "an interval"},
	    {"\\pL", "\\p without {}"},
	    {"\\p{L", "\\p{ without }"},
	    {"\\p{}", "uses \\p{}"},
	    {"\\p{sc=Han}", "a property that is not"},
	    {"\\xe9", "a single byte above 7F"},
	    {"\\u12", "a malformed code point"},
	    {"(?i:ss)", "a ligature"},
	    {"(?i:\u00e9)", "outside ASCII"},
	    {"(?i:a|(?:b\\p{Lu}))", "a cased category"},
	    {"a\\", "a backslash at the end"},
	    {"(a", "is not understood"},
	    {"a)", "is not understood"},
	    {"*a", "is not understood"},
	    {"\\p{Emoji}", "is not understood"},
	    {"[z-a]", "is not understood"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_error err = {0};
		struct pb_pattern *pattern = NULL;

		cr_expect_eq(
		    pb_pattern_open(&pattern, cases[i].regex, strlen(cases[i].regex), "here", &err),
		    PB_ERR_INPUT, "%s", cases[i].regex);
		cr_expect_null(pattern);
		cr_expect_not_null(strstr(err.message, cases[i].message), "%s: %s", cases[i].regex,
				   err.message);
		cr_expect_not_null(strstr(err.message, "here"));
	}
}

/* ---- added tokens ---------------------------------------------------------------------------- */

Test(tokens_added, leftmost_and_longest)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {
	    {"a<x><y>a", "a|<x>|<y>|a"}, {"<x><x>", "<x><x>"},
	    {"<x><x><x>", "<x><x>|<x>"}, {"<x", "<|x"},
	    {"<<x>>", "<|<x>|>"},        {"<x><", "<x>|<"},
	    {"a<x>a", "a|<x>|a"},        {"aa<x>aa", "aa|<x>|aa"},
	};

	file.added =
	    ADDED("266", "<x>", "") "," ADDED("267", "<y>", "") "," ADDED("268", "<x><x>", "");
	CHECK_CUTS(&file, cuts);
}

/* The token takes the white space beside it; decoding gives its content alone. */
Test(tokens_added, strips)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {
	    {"a  <l>  a", "a|<l>| | a"},     {"a  <r>  a", "a|  |<r>|a"},
	    {"a \u3000<b>\n\na", "a|<b>|a"}, {"<b> <b>", "<b>|<b>"},
	    {" <l> <l> ", "<l>|<l>| "},
	};

	file.added = ADDED("266", "<l>", ",\"lstrip\":true") "," ADDED(
	    "267", "<r>", ",\"rstrip\":true") "," ADDED("268", "<b>",
							",\"lstrip\":true,\"rstrip\":true");
	CHECK_CUTS(&file, cuts);
}

/* White space that the token before has taken is not a token any more. */
Test(tokens_added, strips_of_white_space_tokens)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {{"<r>\u3000a", "<r>|a"}, {"a\u3000a", "a|\u3000|a"}};

	file.added =
	    ADDED("266", "<r>", ",\"rstrip\":true") "," ADDED("267", "\u3000", ",\"lstrip\":true");
	CHECK_CUTS(&file, cuts);
}

Test(tokens_added, single_words)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {
	    {"in", "in"},         {"win", "w|i|n"}, {"inn", "i|n|n"}, {"(in)", "(|in|)"},
	    {"in in", "in| |in"}, {"_in", "_|i|n"}, {"in1", "i|n|1"}, {"-in-", "-|in|-"},
	};
	struct pb_tokenizer *t;

	file.added = ADDED("266", "in", ",\"single_word\":true");
	CHECK_CUTS(&file, cuts);
	/* \w of Rust: circled letters and joiners are word characters, fractions are not. */
	t = tokens_open(&file);
	cr_expect_null(strstr(tokens_ids(t, "in\u24d0"), "266"));
	cr_expect_null(strstr(tokens_ids(t, "\u200din"), "266"));
	cr_expect_not_null(strstr(tokens_ids(t, "\u00bdin"), "266"));
	pb_tokenizer_close(t);
}

/* Tokens that are not normalised are found first, in the text as given; the others in the normal
 * form of what is left. */
Test(tokens_added, normal_forms)
{
	struct tokens_file file = pairs;
	struct pb_tokenizer *t;

	file.normalizer = "{\"type\":\"NFC\"}";
	file.added =
	    "{\"id\":266,\"content\":\"e\\u0301!\",\"normalized\":true,\"special\":false},"
	    "{\"id\":267,\"content\":\"e\\u0301?\",\"normalized\":false,\"special\":false}";
	t = tokens_open(&file);
	cr_expect_str_eq(tokens_ids(t, "e\u0301!"), "266");
	cr_expect_str_eq(tokens_ids(t, "\u00e9!"), "266");
	cr_expect_str_eq(tokens_ids(t, "e\u0301?"), "267");
	cr_expect_str_eq(tokens_ids(t, "\u00e9?"), "195 169 63");
	/* `tokenizers` decodes to the normal form. Its e acute is in the byte alphabet: byte E9. */
	cr_expect_str_eq(tokens_pieces(t, "e\u0301!"), "\ufffd!");
	pb_tokenizer_close(t);
}

Test(tokens_added, a_token_of_the_vocabulary)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {{"1aa1a", "1a|a|1a"}};

	file.added = ADDED("263", "1a", "");
	CHECK_CUTS(&file, cuts);
}

/* ---- normal form ------------------------------------------------------------------------------
 */

Test(tokens_nfc, composes)
{
	struct tokens_file file = pairs;
	static const struct cut cuts[] = {{"e\u0301", "\ufffd|\ufffd"},
					  {"a\u0300", "\ufffd|\ufffd"}};
	struct pb_tokenizer *t;

	file.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}]}";
	CHECK_CUTS(&file, cuts);
	t = tokens_open(&file);
	cr_expect_str_eq(tokens_ids(t, "e\u0301"), "195 169");
	cr_expect_str_eq(tokens_ids(t, "aa\u0301"), "97 195 161");
	cr_expect_str_eq(tokens_ids(t, "\u1112\u1161\u11ab"), "237 149 156"); /* a syllable */
	cr_expect_str_eq(tokens_ids(t, "\u212b"), "195 133");                 /* singletons go */
	/* Marks go in the order of their classes: 220 before 230. */
	cr_expect_str_eq(tokens_ids(t, "x\u0301\u0316"), "120 204 150 204 129");
	/* To `tokenizers` (Unicode 9) marks of Unicode 10 and later have no class. */
	cr_expect_str_eq(tokens_ids(t, "x\u0301\u1df9"), "120 204 129 225 183 185");
	cr_expect_str_eq(tokens_ids(t, "e\u1df9\u0301"), "101 225 183 185 204 129");
	/* Not a trailing consonant, though libutf8proc 2.8 takes it in. */
	cr_expect_str_eq(tokens_ids(t, "\uac00\u11a7"), "234 176 128 225 134 167");
	pb_tokenizer_close(t);
}
