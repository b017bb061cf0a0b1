/* Ids and texts against those of the `tokenizers` package, made by make_tokens.py: GPT-2's and
 * GPT-NeoX's tokenizers, whose files are not in the repository ($PB_TOKENIZERS, or
 * ../shared/tokenizers; skipped where missing), the bundled model's, and small ones with the
 * components of other families (make_family_tokenizers.py). */
#include <criterion/criterion.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/tokens.h"

#define GOLDEN "tests/golden/"
#define SHOWN_MAX 5 /* differences printed */

/* ---- the golden files ------------------------------------------------------------------- */

struct golden {
	char *corpus_text; /* tokens_corpus.jsonl */
	json_t *strings;   /* one a line */
	char *ids_text;    /* a line, then uint16: index, n, n ids, and so on */
	size_t ids_size, at;
	json_t *decodings;
};

static char *read_golden(const char *name, size_t *size)
{
	struct pb_error err = {0};
	char *path = pb_format(GOLDEN "%s", name), *text = NULL;

	pb_read_file(&text, size, path, (size_t)16 << 20, &err);
	cr_assert_not_null(text, "%s", err.message);
	free(path);
	return text;
}

/* The values of a file with one JSON value a line. */
static json_t *read_lines(const char *text, size_t size)
{
	json_t *lines = json_array();
	json_error_t problem;

	for (size_t at = 0, end; at < size; at = end + 1) {
		json_t *value;

		end = at + strcspn(text + at, "\n");
		value = json_loadb(text + at, end - at, JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
		cr_assert_not_null(value, "line %zu: %s", json_array_size(lines) + 1, problem.text);
		json_array_append_new(lines, value);
	}
	return lines;
}

static struct golden open_golden(const char *name)
{
	struct golden g = {0};
	char hex[PB_SHA256_HEX], file[64], *text, *newline;
	size_t size;

	g.corpus_text = read_golden("tokens_corpus.jsonl", &size);
	g.strings = read_lines(g.corpus_text, size);
	cr_assert_eq(pb_sha256_of(g.corpus_text, size, hex, NULL), PB_OK);
	snprintf(file, sizeof file, "tokens_%s.ids", name);
	g.ids_text = read_golden(file, &g.ids_size);
	newline = memchr(g.ids_text, '\n', g.ids_size);
	cr_assert_not_null(newline);
	*newline = '\0';
	cr_assert_not_null(strstr(g.ids_text, hex), "%s is for another corpus: run make_tokens.py",
			   file);
	g.at = (size_t)(newline + 1 - g.ids_text);
	snprintf(file, sizeof file, "tokens_%s_decode.jsonl", name);
	text = read_golden(file, &size);
	g.decodings = read_lines(text, size);
	free(text);
	return g;
}

static void close_golden(struct golden *g)
{
	free(g->corpus_text);
	free(g->ids_text);
	json_decref(g->strings);
	json_decref(g->decodings);
}

static uint16_t take16(struct golden *g)
{
	const unsigned char *p = (const unsigned char *)g->ids_text + g->at;

	cr_assert(g->ids_size - g->at >= 2, "the ids end early");
	g->at += 2;
	return (uint16_t)(p[0] | p[1] << 8);
}

/* The next string's index and ids; false at the end. ids has room for UINT16_MAX. */
static bool next_record(struct golden *g, size_t *index, int32_t *ids, size_t *n)
{
	if (g->at == g->ids_size)
		return false;
	*index = take16(g);
	*n = take16(g);
	for (size_t i = 0; i < *n; i++)
		ids[i] = take16(g);
	cr_assert(*index < json_array_size(g->strings));
	return true;
}

/* ---- comparing ---------------------------------------------------------------------------- */

static void show_ids(const char *label, const int32_t *ids, size_t n)
{
	fprintf(stderr, "  %s", label);
	for (size_t i = 0; i < n && i < 60; i++)
		fprintf(stderr, " %d", ids[i]);
	fprintf(stderr, n > 60 ? " ... (%zu)\n" : "\n", n);
}

static void show_text(const char *label, const char *text, size_t n)
{
	json_t *string = json_stringn(text, n);
	char *shown = json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	fprintf(stderr, "  %s %.*s\n", label, 300, shown != NULL ? shown : "(not UTF-8)");
	free(shown);
	json_decref(string);
}

/* Encodes one string; whether the ids are the expected ones. */
static bool same_ids(const struct pb_tokenizer *t, const json_t *string, const int32_t *expected,
		     size_t n_expected, bool show)
{
	const char *text = json_string_value(string);
	size_t size = json_string_length(string), n = 0;
	struct pb_error err = {0};
	int32_t *ids = NULL;
	bool same = pb_tokenizer_encode(t, text, size, &ids, &n, &err) == PB_OK &&
		    n == n_expected && memcmp(ids, expected, n * sizeof *ids) == 0;

	if (!same && show) {
		show_text("text    ", text, size);
		show_ids("expected", expected, n_expected);
		show_ids("got     ", ids, n);
		fprintf(stderr, "  %s\n", err.message);
	}
	free(ids);
	return same;
}

static bool same_text(const struct pb_tokenizer *t, const int32_t *ids, size_t n,
		      const json_t *expected, bool show)
{
	struct pb_error err = {0};
	char *text = NULL;
	size_t size = 0;
	bool same = pb_tokenizer_decode_sized(t, ids, n, &text, &size, &err) == PB_OK &&
		    size == json_string_length(expected) &&
		    memcmp(text, json_string_value(expected), size) == 0;

	if (!same && show) {
		show_ids("ids     ", ids, n);
		show_text("expected", json_string_value(expected), json_string_length(expected));
		show_text("got     ", text != NULL ? text : "", size);
		fprintf(stderr, "  %s\n", err.message);
	}
	free(text);
	return same;
}

/* The text that string `index` decodes to, where that is not itself; rows come in order. */
static const json_t *decoding_of(const struct golden *g, size_t index, size_t *row)
{
	const json_t *entry = json_array_get(g->decodings, *row);
	const json_t *string = json_object_get(entry, "string");

	if (string == NULL || (size_t)json_integer_value(string) != index)
		return json_array_get(g->strings, index);
	*row += 1;
	return json_object_get(entry, "text");
}

static size_t check_strings(const struct pb_tokenizer *t, struct golden *g, size_t *row)
{
	static int32_t ids[UINT16_MAX];
	size_t index, n, n_strings = 0, wrong = 0;

	while (next_record(g, &index, ids, &n)) {
		const json_t *string = json_array_get(g->strings, index);

		wrong += !same_ids(t, string, ids, n, wrong < SHOWN_MAX);
		wrong += !same_text(t, ids, n, decoding_of(g, index, row), wrong < SHOWN_MAX);
		n_strings++;
	}
	cr_assert_eq(wrong, 0, "%zu differences", wrong);
	return n_strings;
}

/* Sequences of ids that no text encodes to, with bytes that are not UTF-8. */
static size_t check_any_ids(const struct pb_tokenizer *t, const struct golden *g, size_t row)
{
	size_t n_rows = json_array_size(g->decodings), wrong = 0, checked = 0;

	for (; row < n_rows; row++, checked++) {
		const json_t *entry = json_array_get(g->decodings, row);
		const json_t *list = json_object_get(entry, "ids");
		int32_t ids[64];
		size_t n = json_array_size(list);

		cr_assert(json_is_array(list) && n <= 64, "row %zu has no ids", row);
		for (size_t i = 0; i < n; i++)
			ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
		wrong += !same_text(t, ids, n, json_object_get(entry, "text"), wrong < SHOWN_MAX);
	}
	cr_assert_eq(wrong, 0, "%zu differences", wrong);
	return checked;
}

static void check(const char *folder, const char *name, size_t least)
{
	struct golden g = open_golden(name);
	struct pb_error err = {0};
	struct pb_tokenizer *t = NULL;
	size_t row = 0, n;

	cr_assert_eq(pb_tokenizer_open(&t, folder, &err), PB_OK, "%s", err.message);
	n = check_strings(t, &g, &row);
	cr_assert(n >= least, "only %zu strings", n);
	cr_assert(check_any_ids(t, &g, row) >= 150);
	pb_tokenizer_close(t);
	close_golden(&g);
}

/* ---- the tokenizers ------------------------------------------------------------------------ */

/* The folder of a tokenizer that the repository does not hold; skips the test without it. */
static char *outside(const char *name)
{
	const char *root = getenv("PB_TOKENIZERS");
	char *folder = pb_format("%s/%s", root != NULL ? root : "../shared/tokenizers", name);
	static char missing[PATH_MAX];

	cr_assert_not_null(folder);
	if (pb_is_directory(folder))
		return folder;
	snprintf(missing, sizeof missing, "%s", folder);
	free(folder); /* the test ends in the next line */
	cr_skip_test("no tokenizer in %s: set PB_TOKENIZERS", missing);
	return NULL;
}

Test(tokens_golden, gpt2)
{
	char *folder = outside("gpt2");

	check(folder, "gpt2", 10000);
	free(folder);
}

Test(tokens_golden, gpt2_from_vocab_and_merges)
{
	static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json"};
	char *folder = outside("gpt2"), temporary[] = "/tmp/patchbay-tokens-XXXXXX";
	char *links[3];

	cr_assert_not_null(mkdtemp(temporary));
	for (size_t i = 0; i < 3; i++) {
		char *path = pb_format("%s/%s", folder, names[i]), absolute[PATH_MAX];

		cr_assert_not_null(realpath(path, absolute), "%s", path);
		links[i] = pb_format("%s/%s", temporary, names[i]);
		cr_assert_eq(symlink(absolute, links[i]), 0);
		free(path);
	}
	check(temporary, "gpt2", 10000);
	for (size_t i = 0; i < 3; i++) {
		unlink(links[i]);
		free(links[i]);
	}
	rmdir(temporary);
	free(folder);
}

Test(tokens_golden, neox)
{
	char *folder = outside("neox");

	check(folder, "neox", 10000);
	free(folder);
}

Test(tokens_golden, boxbench)
{
	check("data/boxbench", "boxbench", 500);
}

/* ---- small ones with the components of families ------------------------------------------ */

#define FAMILY(name)                                                                               \
	Test(tokens_families, name)                                                                \
	{                                                                                          \
		check(GOLDEN "tokenizers/" #name, #name, 500);                                     \
	}
/* The same from the metadata of a GGUF file. */
#define GGUF(name)                                                                                 \
	Test(tokens_gguf, name)                                                                    \
	{                                                                                          \
		check(GOLDEN "tokenizers/" #name "/vocab.gguf", #name, 500);                       \
	}

FAMILY(llama2)
FAMILY(llama2_metaspace)
FAMILY(metaspace)
FAMILY(phi3)
FAMILY(gemma)
FAMILY(unknown)
FAMILY(unknown_fused)
FAMILY(llama3)
FAMILY(qwen2)
FAMILY(smollm)
FAMILY(cl100k)
FAMILY(behaviors)

GGUF(llama2)
GGUF(gemma)
GGUF(llama3)
GGUF(qwen2)
GGUF(smollm)
