/* Encoding and decoding with small tokenizers made by hand. */
#include "support/tokens_folder.h"

/* h e l o; ids from 256: he ll llo hello Gh */
#define HELLO_VOCAB "\"he\":256,\"ll\":257,\"llo\":258,\"hello\":259,\"\\u0120he\":260"
#define HELLO_MERGES                                                                               \
	"[\"h\",\"e\"],[\"l\",\"l\"],[\"ll\",\"o\"],[\"he\",\"llo\"],[\"\\u0120\",\"he\"]"

static const struct tokens_file hello = {.vocab = HELLO_VOCAB, .merges = HELLO_MERGES};

/* ---- byte pairs ------------------------------------------------------------------------- */

Test(tokens_bpe, merges_by_rank)
{
	struct pb_tokenizer *t = tokens_open(&hello);

	cr_assert_str_eq(tokens_ids(t, "hello"), "259");
	cr_assert_str_eq(tokens_ids(t, "hell"), "256 257");
	cr_assert_str_eq(tokens_ids(t, "ello"), "101 258");
	cr_assert_str_eq(tokens_ids(t, " hello"), "32 259", "'he' + 'llo' ranks before ' ' + 'he'");
	cr_assert_str_eq(tokens_ids(t, " helo"), "260 108 111");
	cr_assert_str_eq(tokens_ids(t, "lll"), "257 108", "the leftmost of equal rank goes first");
	cr_assert_str_eq(tokens_ids(t, "llll"), "257 257");
	cr_assert_str_eq(tokens_ids(t, "h"), "104");
	cr_assert_eq(pb_tokenizer_size(t), 261);
	pb_tokenizer_close(t);
}

Test(tokens_bpe, merges_as_strings)
{
	struct tokens_file file = {.vocab = HELLO_VOCAB,
				   .merges = "\"h e\",\"l l\",\"ll o\",\"he llo\",\"\\u0120 he\""};
	struct pb_tokenizer *t = tokens_open(&file);

	cr_assert_str_eq(tokens_ids(t, "hello hello hell"), "259 32 259 260 257");
	pb_tokenizer_close(t);
}

/* The pair that a heap entry was made for may be gone when its turn comes. */
Test(tokens_bpe, forgets_pairs_that_are_gone)
{
	struct tokens_file file = {.vocab = "\"ab\":256,\"bc\":257,\"cd\":258,\"abcd\":259",
				   .merges = "[\"b\",\"c\"],[\"a\",\"b\"],[\"c\",\"d\"],"
					     "[\"ab\",\"cd\"]"};
	struct pb_tokenizer *t = tokens_open(&file);

	cr_assert_str_eq(tokens_ids(t, "abcd"), "97 257 100");
	cr_assert_str_eq(tokens_ids(t, "abab"), "256 256");
	cr_assert_str_eq(tokens_ids(t, "abxcd"), "256 120 258");
	pb_tokenizer_close(t);
}

Test(tokens_bpe, a_pair_given_twice_has_the_later_rank)
{
	struct tokens_file file = {.vocab = "\"ab\":256,\"bc\":257",
				   .merges = "[\"a\",\"b\"],[\"b\",\"c\"],[\"a\",\"b\"]"};
	struct pb_tokenizer *t = tokens_open(&file);

	cr_assert_str_eq(tokens_ids(t, "abc"), "97 257");
	pb_tokenizer_close(t);
}

Test(tokens_bpe, ignore_merges_takes_whole_words)
{
	struct tokens_file file = {.vocab = HELLO_VOCAB ",\"\\u0120helo\":261",
				   .merges = HELLO_MERGES,
				   .model = "\"ignore_merges\":true,"};
	struct pb_tokenizer *t = tokens_open(&file);

	cr_assert_str_eq(tokens_ids(t, " helo"), "261");
	cr_assert_str_eq(tokens_ids(t, " helox"), "260 108 111 120");
	pb_tokenizer_close(t);
}

Test(tokens_bpe, bytes_without_a_token)
{
	struct tokens_file file = {.missing_byte = 'x'};
	struct pb_error err = {0};
	struct pb_tokenizer *t = tokens_open(&file);
	int32_t *ids = NULL;
	size_t n;

	cr_assert_eq(pb_tokenizer_encode(t, "axb", 3, &ids, &n, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "byte 0x78"), "%s", err.message);
	cr_assert_null(ids);
	pb_tokenizer_close(t);

	file.vocab = "\"<unk>\":256";
	file.model = "\"unk_token\":\"<unk>\",";
	t = tokens_open(&file);
	cr_assert_str_eq(tokens_ids(t, "axxb"), "97 256 256 98");
	cr_assert_str_eq(tokens_ids(t, "xx"), "256 256");
	pb_tokenizer_close(t);

	file.model = "\"unk_token\":\"<unk>\",\"fuse_unk\":true,";
	t = tokens_open(&file);
	cr_assert_str_eq(tokens_ids(t, "axxb"), "97 256 98");
	cr_assert_str_eq(tokens_ids(t, "xxxax"), "256 97 256");
	pb_tokenizer_close(t);
}

/* Quadratic merging would take an hour. */
Test(tokens_bpe, a_megabyte_of_one_letter, .timeout = 120)
{
	struct tokens_file file = {.vocab = "\"aa\":256,\"aaaa\":257,\"aaaaaaaa\":258",
				   .merges = "[\"a\",\"a\"],[\"aa\",\"aa\"],[\"aaaa\",\"aaaa\"]"};
	struct pb_tokenizer *t = tokens_open(&file);
	const size_t size = ((size_t)1 << 20) + 7;
	char *text = malloc(size);
	int32_t *ids;
	size_t n;

	memset(text, 'a', size);
	cr_assert_eq(pb_tokenizer_encode(t, text, size, &ids, &n, NULL), PB_OK);
	cr_assert_eq(n, (size >> 3) + 3);
	for (size_t i = 0; i < size >> 3; i++)
		cr_assert_eq(ids[i], 258);
	cr_assert(ids[n - 3] == 257 && ids[n - 2] == 256 && ids[n - 1] == 'a');
	free(ids);
	free(text);
	pb_tokenizer_close(t);
}

/* ---- texts ------------------------------------------------------------------------------- */

Test(tokens_text, empty)
{
	struct pb_tokenizer *t = tokens_open(&hello);
	int32_t *ids = NULL;
	size_t n = 9;
	char *text = NULL;

	cr_assert_eq(pb_tokenizer_encode(t, "", 0, &ids, &n, NULL), PB_OK);
	cr_assert(ids != NULL && n == 0);
	cr_assert_eq(pb_tokenizer_decode(t, ids, 0, &text, NULL), PB_OK);
	cr_assert_str_eq(text, "");
	free(text);
	free(ids);
	pb_tokenizer_close(t);
}

Test(tokens_text, nul_bytes)
{
	static const char text[] = "he\0\0hello\0";
	struct pb_tokenizer *t = tokens_open(&hello);
	int32_t *ids;
	char *back;
	size_t n, size;

	cr_assert_eq(pb_tokenizer_encode(t, text, sizeof text - 1, &ids, &n, NULL), PB_OK);
	cr_assert_eq(n, 5);
	cr_assert(ids[0] == 256 && ids[1] == 0 && ids[2] == 0 && ids[3] == 259 && ids[4] == 0);
	cr_assert_eq(pb_tokenizer_decode_sized(t, ids, n, &back, &size, NULL), PB_OK);
	cr_assert_eq(size, sizeof text - 1);
	cr_assert_arr_eq(back, text, sizeof text);
	free(back);
	free(ids);
	pb_tokenizer_close(t);
}

Test(tokens_text, invalid_utf8_is_refused)
{
	static const struct {
		const char *text, *place;
	} bad[] = {
	    {"\x80", "byte 0 of 1"},
	    {"abc\xff", "byte 3 of 4"},
	    {"\xc0\xaf", "byte 0 of 2"},
	    {"a\xe2\x82", "byte 1 of 3"},
	    {"\xed\xa0\x80", "byte 0 of 3"},
	    {"\xf4\x90\x80\x80", "byte 0 of 4"},
	    {"\xe0\x9f\xbf", "byte 0 of 3"},
	    {"12345678\xf0\x8f\xbf\xbf", "byte 8 of 12"},
	    {"\xc3\xa9\xc3", "byte 2 of 3"},
	    {"\xf0\x9f\x98\x80\xfe", "byte 4 of 5"},
	    {"0123456789\xc1", "byte 10 of 11"},
	};
	struct pb_tokenizer *t = tokens_open(&hello);

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pb_error err = {0};
		int32_t *ids = NULL;
		size_t n;

		cr_assert_eq(
		    pb_tokenizer_encode(t, bad[i].text, strlen(bad[i].text), &ids, &n, &err),
		    PB_ERR_INPUT, "%zu", i);
		cr_assert_not_null(strstr(err.message, bad[i].place), "%s", err.message);
	}
	pb_tokenizer_close(t);
}

/* One U+FFFD for each maximal part of an invalid sequence (the Unicode standard, table 3-8). */
Test(tokens_text, bytes_that_are_not_utf8_become_replacement_characters)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
	    {"a\x80z", "a\ufffdz"},
	    {"\xe2\x82\x41", "\ufffd\x41"},
	    {"\xf0\x9f\x98", "\ufffd"},
	    {"\xf0\x9f\x98\xf0\x9f\x98\x80", "\ufffd\U0001F600"},
	    {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
	    {"\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64",
	     "a\ufffd\ufffd\ufffdb\ufffdc\ufffd\ufffdd"},
	    {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41",
	     "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\x41"},
	    {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42",
	     "\ufffd\ufffd\ufffd\ufffd\ufffd\x41\ufffd\ufffd\x42"},
	};
	struct pb_tokenizer *t = tokens_open(&hello);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t n = strlen(cases[i].bytes);
		int32_t ids[16];
		char *text;

		for (size_t j = 0; j < n; j++)
			ids[j] = (unsigned char)cases[i].bytes[j];
		cr_assert_eq(pb_tokenizer_decode(t, ids, n, &text, NULL), PB_OK);
		cr_assert_str_eq(text, cases[i].text, "case %zu", i);
		free(text);
	}
	pb_tokenizer_close(t);
}

Test(tokens_text, ids_without_a_token_are_refused)
{
	struct tokens_file file = {.missing_byte = 'x'};
	struct pb_tokenizer *t = tokens_open(&file);
	const int32_t bad[] = {-1, 256, 'x', INT32_MAX, INT32_MIN};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const int32_t ids[] = {'a', bad[i]};
		struct pb_error err = {0};
		char *text = NULL;

		cr_assert_eq(pb_tokenizer_decode(t, ids, 2, &text, &err), PB_ERR_INPUT, "%d",
			     bad[i]);
		cr_assert_null(text);
		cr_assert_not_null(strstr(err.message, "at place 1"), "%s", err.message);
	}
	pb_tokenizer_close(t);
}

/* One tokenizer serves all threads. */
Test(tokens_text, threads_share_a_tokenizer)
{
	struct pb_tokenizer *t = tokens_open(&hello);
	int wrong = 0;

#pragma omp parallel for num_threads(4) reduction(+ : wrong)
	for (int i = 0; i < 400; i++) {
		char text[64];
		int32_t *ids = NULL;
		size_t n = 0;
		int size = snprintf(text, sizeof text, "hello%*s!", i % 20, "");

		if (pb_tokenizer_encode(t, text, (size_t)size, &ids, &n, NULL) != PB_OK ||
		    n != (size_t)(2 + i % 20) || ids[0] != 259)
			wrong++;
		free(ids);
	}
	cr_assert_eq(wrong, 0);
	pb_tokenizer_close(t);
}

/* ---- the bundled model's ------------------------------------------------------------------- */

Test(tokens_boxbench, labels_are_single_tokens)
{
	static const char *const words[] = {" hat",  " glove", " Glove", " ball", " key",   " pen",
					    " book", " coin",  " card",  " ring", " watch", " Box",
					    "Box",   " a",     " z",     " A",    " Z",     "Move"};
	struct pb_error err = {0};
	struct pb_tokenizer *t = NULL;

	cr_assert_eq(pb_tokenizer_open(&t, "data/boxbench", &err), PB_OK, "%s", err.message);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		cr_assert_str_eq(tokens_pieces(t, words[i]), words[i]);
	cr_assert_eq(pb_tokenizer_bos_auto(t), -1);
	cr_assert_neq(pb_tokenizer_bos(t), -1);
	pb_tokenizer_close(t);
}

Test(tokens_boxbench, texts_come_back)
{
	static const char *const texts[] = {
	    "Box 0 contains the hat, Box 1 contains the glove.",
	    "Move the key from Box 3 to Box 1.\n\nGlove is in Box",
	    "  spaces   and\ttabs\r\n",
	    "caf\u00e9 \u4e2d\u6587 \U0001F468\u200D\U0001F4BB e\u0301",
	    "<|endoftext|>Box<|endoftext|> 12 345",
	};
	struct pb_tokenizer *t = NULL;

	cr_assert_eq(pb_tokenizer_open(&t, "data/boxbench", NULL), PB_OK);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		int32_t *ids;
		size_t n;
		char *text;

		cr_assert_eq(pb_tokenizer_encode(t, texts[i], strlen(texts[i]), &ids, &n, NULL),
			     PB_OK);
		cr_assert_eq(pb_tokenizer_decode(t, ids, n, &text, NULL), PB_OK);
		cr_assert_str_eq(text, texts[i]);
		free(text);
		free(ids);
	}
	cr_assert_str_eq(tokens_pieces(t, "<|endoftext|>Box"), "<|endoftext|>|Box");
	pb_tokenizer_close(t);
}
