/* Tokenizers in files that are cut short, damaged or made to harm: always an input error with a
 * message, or a tokenizer that works. Run under the sanitizers as well. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/tokens.h"
#include "support/gguf_writer.h"
#include "support/tokens_folder.h"

#define GOLDEN "tests/golden/tokenizers/"

/* ---- opening and using -------------------------------------------------------------------- */

static struct pb_error err;

/* true when it opened; what opens must encode and decode, or say why not. */
static bool try_path(const char *path)
{
	static const char text[] =
	    "Box 3 don't\n\n na\xc3\xafve \xe4\xb8\xad <s>aaaaaaaa \xf0\x9f\x98\x80";
	struct pb_tokenizer *t = NULL;
	enum pb_status status;
	int32_t *ids = NULL;
	size_t n = 0;
	char *decoded = NULL;

	err = (struct pb_error){0};
	status = pb_tokenizer_open(&t, path, &err);
	if (status != PB_OK) {
		cr_assert_eq(status, PB_ERR_INPUT, "%s", err.message);
		cr_assert(t == NULL && err.message[0] != '\0');
		return false;
	}
	status = pb_tokenizer_encode(t, text, sizeof text - 1, &ids, &n, &err);
	if (status == PB_OK)
		status = pb_tokenizer_decode(t, ids, n, &decoded, &err);
	cr_assert(status == PB_OK || status == PB_ERR_INPUT, "%s", err.message);
	free(ids);
	free(decoded);
	pb_tokenizer_close(t);
	return true;
}

/* ---- damaged files -------------------------------------------------------------------------- */

/* Cut at many places (before the last bytes, which may be padding), then single bytes changed, in a
 * copy at folder/name. */
static void damage(const char *source, const char *name, bool folder_opens)
{
	struct tokens_folder folder = tokens_folder_make();
	char *text = NULL, *path = pb_format("%s/%s", folder.path, name);
	const char *opened = folder_opens ? folder.path : path;
	struct pb_rng rng;
	size_t size = 0, good = 0;

	cr_assert_eq(pb_read_file(&text, &size, source, (size_t)1 << 20, &err), PB_OK);
	tokens_folder_write(&folder, name, text, size);
	cr_assert(try_path(opened), "%s", err.message);
	for (size_t n = 0; n + 34 < size; n += n < 400 || n + 400 > size ? 7 : 211) {
		tokens_folder_write(&folder, name, text, n);
		cr_assert_not(try_path(opened), "%s cut to %zu bytes", source, n);
	}
	pb_rng_seed(&rng, 5, 6, 7, size);
	for (int i = 0; i < 400; i++) {
		size_t at = pb_rng_below(&rng, size);
		char was = text[at];

		text[at] = (char)pb_rng_below(&rng, 256);
		tokens_folder_write(&folder, name, text, size);
		good += try_path(opened);
		text[at] = was;
	}
	cr_assert(good > 0 && good < 400, "%zu", good);
	(void)unlink(path);
	free(path);
	free(text);
	tokens_folder_remove(&folder);
}

Test(token_files, damaged_json)
{
	damage(GOLDEN "llama2/tokenizer.json", "tokenizer.json", true);
	damage(GOLDEN "behaviors/tokenizer.json", "tokenizer.json", true);
	damage(GOLDEN "metaspace/tokenizer.json", "tokenizer.json", true);
}

Test(token_files, damaged_gguf)
{
	damage(GOLDEN "llama2/vocab.gguf", "vocab.gguf", false);
	damage(GOLDEN "qwen2/vocab.gguf", "vocab.gguf", false);
}

/* ---- patterns that are made to harm -----------------------------------------------------------
 */

static void check_pattern(const char *regex, const char *what)
{
	char *pre = pb_format(
	    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
	    "\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\"}," BYTE_LEVEL_PLAIN "]}",
	    regex);
	struct tokens_file file = {.pre_tokenizer = pre};
	size_t size = 0;
	char *text = tokens_json(&file, &size);
	struct pb_tokenizer *t = tokens_open_text(text, size, &err);

	if (what != NULL) {
		cr_expect_null(t, "%.60s", regex);
		cr_expect_eq(err.status, PB_ERR_INPUT);
		cr_expect_not_null(strstr(err.message, what), "%s", err.message);
	} else {
		char spaces[3000];
		int32_t *ids = NULL;
		size_t n;

		cr_assert_not_null(t, "%s", err.message);
		memset(spaces, 'a', sizeof spaces);
		/* done, or given up with a message, in bounded time */
		(void)pb_tokenizer_encode(t, spaces, sizeof spaces, &ids, &n, &err);
		free(ids);
	}
	pb_tokenizer_close(t);
	free(text);
	free(pre);
}

Test(token_files, patterns, .timeout = 60)
{
	char *deep = malloc(200001), *huge = malloc(400001);

	cr_assert(deep != NULL && huge != NULL);
	memset(deep, '(', 100000);
	memset(deep + 100000, ')', 100000);
	deep[200000] = '\0';
	for (size_t i = 0; i < 100000; i++)
		memcpy(huge + 4 * i, "a{9}", 4);
	huge[400000] = '\0';
	check_pattern(deep, "not understood");
	check_pattern(huge, "not understood");
	check_pattern("((((a{999}){999}){999}){999})", "not understood");
	check_pattern("(a+)+b", NULL);
	check_pattern("(a|a|aa)+$x", NULL);
	free(deep);
	free(huge);
}

/* ---- GGUF metadata ------------------------------------------------------------------------------
 */

static struct ggw w;
static const char *const tokens[] = {"<unk>", "<s>", "a", "b", "ab", "\xe2\x96\x81"};
static const float scores[] = {0.0f, 0.0f, -1.0f, -2.0f, -3.0f, -4.0f};
static const int32_t types[] = {2, 3, 1, 1, 1, 1};
#define N 6

/* What is wrong with a file; each is made right but for that. */
enum wrong {
	RIGHT,
	NO_MODEL,
	OTHER_MODEL,
	NO_TOKENS,
	NO_SCORES,
	FEW_SCORES,
	NAN_SCORE,
	FEW_TYPES,
	TWICE,
	NOT_UTF8,
	BAD_BOS,
	ADDS_NO_BOS,
	BAD_FLAG,
	LONG_TOKEN,
};

static void write_scored(enum wrong wrong)
{
	const char *list[N];
	float values[N];
	char *long_token = malloc(5001);

	memset(long_token, 'a', 5000);
	long_token[5000] = '\0';
	memcpy(list, tokens, sizeof list);
	memcpy(values, scores, sizeof values);
	ggw_begin(&w);
	ggw_string(&w, "general.architecture", "llama");
	if (wrong != NO_MODEL)
		ggw_string(&w, "tokenizer.ggml.model", wrong == OTHER_MODEL ? "t5" : "llama");
	if (wrong == TWICE)
		list[4] = "a";
	if (wrong == NOT_UTF8)
		list[4] = "a\xff";
	if (wrong == LONG_TOKEN)
		list[4] = long_token;
	if (wrong == NAN_SCORE)
		values[4] = NAN;
	if (wrong != NO_TOKENS)
		ggw_texts(&w, "tokenizer.ggml.tokens", list, N);
	if (wrong != NO_SCORES)
		ggw_numbers(&w, "tokenizer.ggml.scores", 6, values, wrong == FEW_SCORES ? 5 : N);
	ggw_numbers(&w, "tokenizer.ggml.token_type", 5, types, wrong == FEW_TYPES ? 5 : N);
	if (wrong != ADDS_NO_BOS)
		ggw_u32(&w, "tokenizer.ggml.bos_token_id", wrong == BAD_BOS ? 99 : 1);
	if (wrong == BAD_FLAG)
		ggw_u32(&w, "tokenizer.ggml.add_bos_token", 1);
	else
		ggw_key(&w, "tokenizer.ggml.add_bos_token", 7, "\1", 1);
	ggw_end(&w);
	free(long_token);
}

static void check_gguf(const char *what)
{
	struct tokens_folder folder = tokens_folder_make();
	char *path = pb_format("%s/vocab.gguf", folder.path);

	tokens_folder_write(&folder, "vocab.gguf", (const char *)w.file, w.n_file);
	cr_assert_eq(try_path(path), what == NULL, "%s: %s", what, err.message);
	if (what != NULL)
		cr_expect_not_null(strstr(err.message, what), "'%s' lacks '%s'", err.message, what);
	(void)unlink(path);
	free(path);
	tokens_folder_remove(&folder);
}

Test(token_files, metadata_with_scores)
{
	static const struct {
		enum wrong wrong;
		const char *what;
	} cases[] = {
	    {RIGHT, NULL},
	    {NO_MODEL, "is missing"},
	    {OTHER_MODEL, "not supported"},
	    {NO_TOKENS, "no list of tokens"},
	    {NO_SCORES, "one score for each token"},
	    {FEW_SCORES, "one score for each token"},
	    {NAN_SCORE, "without a score"},
	    {FEW_TYPES, "one type for each token"},
	    {TWICE, "a token is there twice"},
	    {NOT_UTF8, "not UTF-8"},
	    {BAD_BOS, "not in the vocabulary"},
	    {ADDS_NO_BOS, "names none"},
	    {BAD_FLAG, "not true or false"},
	    {LONG_TOKEN, "too long"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		write_scored(cases[i].wrong);
		check_gguf(cases[i].what);
	}
}

Test(token_files, metadata_with_merges)
{
	static const char *const letters[] = {"a", "b", "ab"};
	static const struct {
		const char *pre;
		const char *merges[2];
		uint64_t n;
		const char *what;
	} cases[] = {
	    {"gpt-2", {"a b", NULL}, 1, NULL},
	    {NULL, {"a b", NULL}, 1, "does not say how it cuts"},
	    {"new-pre", {"a b", NULL}, 1, "not known"},
	    {"gpt-2", {NULL, NULL}, UINT64_MAX, "no merges"},
	    {"gpt-2", {"ab", NULL}, 1, "two tokens with a space"},
	    {"gpt-2", {"a b", "b a"}, 2, "result of a merge"},
	    {"gpt-2", {"a c", NULL}, 1, "right part"},
	    {"gpt-2", {"", NULL}, 1, "two tokens with a space"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ggw_begin(&w);
		ggw_string(&w, "tokenizer.ggml.model", "gpt2");
		ggw_texts(&w, "tokenizer.ggml.tokens", letters, 3);
		if (cases[i].pre != NULL)
			ggw_string(&w, "tokenizer.ggml.pre", cases[i].pre);
		if (cases[i].n != UINT64_MAX)
			ggw_texts(&w, "tokenizer.ggml.merges", cases[i].merges, cases[i].n);
		ggw_end(&w);
		check_gguf(cases[i].what);
	}
}
