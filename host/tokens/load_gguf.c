/* Loads the tokenizer that the metadata of a GGUF file holds: byte-level BPE (model "gpt2") or
 * SentencePiece's BPE by scores with byte fallback (model "llama"). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "tokens/bytes.h"
#include "tokens/components.h"

#define KEY "tokenizer.ggml."
#define META "\xe2\x96\x81" /* U+2581, a space in SentencePiece */

/* Bytes of the longest token that merges may make. */
#define TOKEN_MAX 4096

/* Kinds of tokens, numbered as in the files. */
enum token_type { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

/* How texts are cut for the names that tokenizer.ggml.pre knows. The name stands for one tokenizer
 * or several that cut alike; the patterns are those of their tokenizer.json. */
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define BEHIND_NUMBERS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA_3 CONTRACTIONS "\\p{N}{1,3}|" BEHIND_NUMBERS
#define QWEN_2 CONTRACTIONS "\\p{N}|" BEHIND_NUMBERS

static const struct cutting {
	const char *name, *pattern; /* NULL: GPT-2's alone */
	bool digits;                /* each by itself, before GPT-2's */
	bool nfc, ignore_merges, add_bos;
} cuttings[] = {
    {.name = "gpt-2"},
    {.name = "olmo"},
    {.name = "smollm", .digits = true},
    {.name = "starcoder", .digits = true},
    {.name = "refact", .digits = true},
    {.name = "llama-bpe", .pattern = LLAMA_3, .ignore_merges = true, .add_bos = true},
    {.name = "llama3", .pattern = LLAMA_3, .ignore_merges = true, .add_bos = true},
    {.name = "llama-v3", .pattern = LLAMA_3, .ignore_merges = true, .add_bos = true},
    {.name = "smaug-bpe", .pattern = LLAMA_3, .ignore_merges = true, .add_bos = true},
    {.name = "dbrx", .pattern = LLAMA_3},
    {.name = "qwen2", .pattern = QWEN_2, .nfc = true},
    {.name = "deepseek-r1-qwen", .pattern = QWEN_2, .nfc = true},
    {.name = "stablelm2", .pattern = QWEN_2},
};

struct reading {
	struct pb_tokenizer *t;
	const struct pb_gguf *gguf;
	const struct pb_gguf_value *tokens, *types, *scores;
	const struct cutting *cutting; /* of byte-level BPE */
	struct pb_error *err;
};

static enum pb_status fail(const struct reading *r, const char *key, const char *what)
{
	return pb_fail(r->err, PB_ERR_INPUT,
		       "the tokenizer %s: %s, %s%s: use a file that a current converter made, or a "
		       "folder with tokenizer.json",
		       what, r->gguf->path, KEY, key);
}

static const struct pb_gguf_value *find(const struct reading *r, const char *key)
{
	char name[64];

	snprintf(name, sizeof name, "%s%s", KEY, key);
	return pb_gguf_find(r->gguf, name);
}

/* A flag; absent is `fallback`. */
static enum pb_status find_flag(const struct reading *r, const char *key, bool fallback, bool *out)
{
	const struct pb_gguf_value *value = find(r, key);

	*out = fallback;
	if (value != NULL && (value->array || !pb_gguf_bool(value, 0, out)))
		return fail(r, key, "has a value that is not true or false");
	return PB_OK;
}

static enum token_type type_of(const struct reading *r, size_t id)
{
	int64_t type = TYPE_NORMAL;

	if (r->types != NULL)
		(void)pb_gguf_int(r->types, id, &type);
	return type >= TYPE_NORMAL && type <= TYPE_BYTE ? (enum token_type)type : TYPE_NORMAL;
}

/* ---- tokens ------------------------------------------------------------------------ */

static enum pb_status read_tokens(const struct reading *r)
{
	struct pb_gguf_strings at = {0};
	const char *text;
	size_t size, id = 0;
	enum pb_status status;

	PB_TRY(pb_vocab_init(&r->t->vocab, r->tokens->n, r->err));
	for (; pb_gguf_next_string(r->tokens, &at, &text, &size); id++) {
		char *token;

		if (size > UINT32_MAX / 8 || pb_utf8_valid(text, size) < size)
			return fail(r, "tokens", "has a token that is not UTF-8");
		if (memchr(text, '\0', size) != NULL)
			return fail(r, "tokens", "has a token with a NUL");
		token = pb_arena_strndup(&r->t->arena, text, size);
		if (token == NULL)
			return pb_fail(r->err, PB_ERR_MEMORY,
				       "out of memory: the vocabulary: free some");
		/* Rows of padding may have the same text again. */
		if (type_of(r, id) == TYPE_UNUSED && pb_vocab_find(&r->t->vocab, token, size) >= 0)
			continue;
		PB_TRY(
		    pb_tokenizer_put_token(r->t, token, size, (int64_t)id, r->gguf->path, r->err));
	}
cleanup:
	return status;
}

/* Control tokens, and tokens that the user defined, are found in the text as it is. */
static enum pb_status read_added(const struct reading *r)
{
	enum pb_status status = PB_OK;

	for (size_t id = 0; id < r->t->n_ids; id++) {
		const struct pb_piece *piece = &r->t->pieces[id];
		enum token_type type = type_of(r, id);
		struct pb_added_token token = {.content = piece->token,
					       .content_size = piece->token_size,
					       .special = type == TYPE_CONTROL};

		if ((type != TYPE_CONTROL && type != TYPE_USER) || piece->token_size == 0)
			continue;
		PB_TRY(pb_tokenizer_put_added(r->t, token, (int64_t)id, r->gguf->path, r->err));
	}
	status = pb_added_finish(&r->t->added, r->gguf->path, r->err);
cleanup:
	return status;
}

/* ---- byte-level BPE ---------------------------------------------------------------- */

static enum pb_status read_merges(const struct reading *r)
{
	const struct pb_gguf_value *merges = find(r, "merges");
	struct pb_gguf_strings at = {0};
	const char *text;
	size_t size;
	uint32_t rank = 0;
	enum pb_status status;

	if (merges == NULL || !merges->array || merges->type != PB_GGUF_STRING ||
	    merges->n > UINT32_MAX / 4)
		return fail(r, "merges", "has no merges");
	PB_TRY(pb_bpe_init(&r->t->bpe, &r->t->vocab, merges->n, r->err));
	for (; pb_gguf_next_string(merges, &at, &text, &size); rank++) {
		/* A token may begin with a space, but none is empty. */
		const char *space = size > 1 ? memchr(text + 1, ' ', size - 1) : NULL;
		size_t left = space != NULL ? (size_t)(space - text) : 0;
		const char *problem = "it is not two tokens with a space between";

		if (space != NULL)
			problem = pb_bpe_add_merge(&r->t->bpe, &r->t->vocab, text, left, space + 1,
						   size - left - 1, rank);
		if (problem != NULL)
			return pb_fail(r->err, PB_ERR_INPUT,
				       "a merge is broken: %s, %smerges, number %u: %s: fetch the "
				       "file again",
				       r->gguf->path, KEY, rank, problem);
	}
cleanup:
	return status;
}

static enum pb_status find_cutting(struct reading *r)
{
	const struct pb_gguf_value *pre = find(r, "pre");

	for (size_t i = 0; i < sizeof cuttings / sizeof *cuttings; i++)
		if (pb_gguf_string_is(pre, cuttings[i].name)) {
			r->cutting = &cuttings[i];
			return PB_OK;
		}
	return fail(r, "pre",
		    pre == NULL ? "does not say how it cuts text"
				: "cuts text in a way that is not known");
}

static enum pb_status use_cutting(const struct reading *r)
{
	const struct cutting *c = r->cutting;
	struct pb_tokenizer *t = r->t;
	const char *path = r->gguf->path;
	struct pb_stage stage = {0};
	struct pb_normalize_step nfc = {.kind = PB_NORMALIZE_NFC};
	enum pb_status status = PB_OK;

	t->bpe.ignore_merges = c->ignore_merges;
	if (c->nfc)
		PB_TRY(pb_normalizer_add(&t->normalizer, nfc, NULL, 0, path, r->err));
	if (c->digits)
		PB_TRY(pb_pretokenizer_add(&t->pre, stage, "\\p{N}", 5, path, r->err));
	if (c->pattern != NULL)
		return pb_pretokenizer_add(&t->pre, stage, c->pattern, strlen(c->pattern), path,
					   r->err);
	status = pb_use_byte_level(t, false, true, path, r->err);
cleanup:
	return status;
}

static enum pb_status read_byte_level(struct reading *r)
{
	bool prefix;
	enum pb_status status;

	PB_TRY(find_cutting(r));
	PB_TRY(find_flag(r, "add_space_prefix", false, &prefix));
	if (prefix)
		return fail(r, "add_space_prefix", "puts a space before byte-level tokens");
	r->t->bpe.byte_level = r->t->decoder.byte_level = true;
	PB_TRY(read_tokens(r));
	PB_TRY(read_merges(r));
	PB_TRY(use_cutting(r));
	status = read_added(r);
cleanup:
	return status;
}

/* ---- BPE by scores ----------------------------------------------------------------- */

/* Two tokens that make a third. */
struct scored {
	float score; /* of the token they make */
	int32_t id;
	uint32_t left;            /* bytes of the left one */
	uint32_t n_left, n_right; /* characters */
};

static int compare(double x, double y)
{
	return (x > y) - (x < y);
}

/* The order that conversions to tokenizer.json give merges: the best token first, then the longest
 * left part, the longest right part. */
static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;
	int order = compare(y->score, x->score);

	if (order == 0)
		order = compare(y->n_left, x->n_left);
	if (order == 0)
		order = compare(y->n_right, x->n_right);
	return order != 0 ? order : compare(x->id, y->id);
}

/* The ways to make a token of two others, into `out` where that is there; returns their number. */
static size_t ways_of(const struct reading *r, int32_t id, float score, struct scored *out)
{
	const struct pb_piece *piece = &r->t->pieces[id];
	size_t n = 0;
	uint32_t n_characters = 0, n_left = 0;

	for (size_t at = 0; at < piece->token_size; n_characters++)
		(void)pb_utf8_next(piece->token, &at);
	for (size_t at = 0; n_left + 1 < n_characters;) {
		(void)pb_utf8_next(piece->token, &at);
		n_left++;
		if (pb_vocab_find(&r->t->vocab, piece->token, at) < 0 ||
		    pb_vocab_find(&r->t->vocab, piece->token + at, piece->token_size - at) < 0)
			continue;
		if (out != NULL)
			out[n] = (struct scored){.score = score,
						 .id = id,
						 .left = (uint32_t)at,
						 .n_left = n_left,
						 .n_right = n_characters - n_left};
		n++;
	}
	return n;
}

/* All of them, one token after another; `list` NULL: only their number. */
static enum pb_status find_ways(const struct reading *r, struct scored *list, size_t *n)
{
	*n = 0;
	for (size_t id = 0; id < r->t->n_ids; id++) {
		enum token_type type = type_of(r, id);
		double score;

		/* Tokens of spaces, which users define, are also made by merges. */
		if ((type != TYPE_NORMAL && type != TYPE_USER) || r->t->pieces[id].token == NULL)
			continue;
		/* Cutting a long token in all ways takes the square of its length. */
		if (r->t->pieces[id].token_size > TOKEN_MAX)
			return fail(r, "tokens", "has a token that is too long to be made of two");
		if (!pb_gguf_real(r->scores, id, &score) || isnan(score))
			return fail(r, "scores", "has a token without a score");
		*n += ways_of(r, (int32_t)id, (float)score, list != NULL ? list + *n : NULL);
	}
	return *n <= UINT32_MAX / 4 ? PB_OK : fail(r, "tokens", "has too many tokens");
}

static enum pb_status make_merges(const struct reading *r)
{
	void *memory = NULL;
	struct scored *list;
	size_t n = 0;
	enum pb_status status;

	PB_TRY(find_ways(r, NULL, &n));
	PB_TRY(pb_alloc(&memory, n, sizeof *list, "merges", r->err));
	list = memory;
	PB_TRY(find_ways(r, list, &n));
	qsort(list, n, sizeof *list, by_score);
	PB_TRY(pb_bpe_init(&r->t->bpe, &r->t->vocab, n, r->err));
	for (size_t i = 0; i < n; i++) {
		const struct pb_piece *piece = &r->t->pieces[list[i].id];

		(void)pb_bpe_add_merge(&r->t->bpe, &r->t->vocab, piece->token, list[i].left,
				       piece->token + list[i].left,
				       piece->token_size - list[i].left, (uint32_t)i);
	}
cleanup:
	free(memory);
	return status;
}

/* Spaces are U+2581; one goes before the text, and away again when ids become text, where the model
 * was trained so. */
static enum pb_status use_spaces(const struct reading *r, bool prefix)
{
	struct pb_tokenizer *t = r->t;
	struct pb_normalize_step before = {
	    .kind = PB_NORMALIZE_PREPEND, .content = META, .n_content = strlen(META)};
	struct pb_normalize_step inside = {
	    .kind = PB_NORMALIZE_REPLACE, .content = META, .n_content = strlen(META)};
	enum pb_status status = PB_OK;

	if (prefix)
		PB_TRY(pb_normalizer_add(&t->normalizer, before, NULL, 0, r->gguf->path, r->err));
	PB_TRY(pb_normalizer_add(&t->normalizer, inside, " ", 1, r->gguf->path, r->err));
	snprintf(t->decoder.space, sizeof t->decoder.space, "%s", META);
	t->decoder.byte_fallback = true;
	if (prefix) {
		snprintf(t->decoder.strip, sizeof t->decoder.strip, " ");
		t->decoder.strip_max = 1;
	}
cleanup:
	return status;
}

static enum pb_status read_scored(const struct reading *r)
{
	const struct pb_gguf_value *unk = find(r, "unknown_token_id");
	int64_t id;
	bool prefix;
	enum pb_status status;

	if (r->scores == NULL || !r->scores->array || r->scores->n != r->tokens->n)
		return fail(r, "scores", "has not one score for each token");
	PB_TRY(find_flag(r, "add_space_prefix", true, &prefix));
	PB_TRY(use_spaces(r, prefix));
	PB_TRY(read_tokens(r));
	PB_TRY(make_merges(r));
	r->t->bpe.byte_fallback = r->t->bpe.fuse_unk = true;
	if (pb_gguf_int(unk, 0, &id) && id >= 0 && (uint64_t)id < r->t->n_ids)
		r->t->bpe.unk = (int32_t)id;
	status = read_added(r);
cleanup:
	return status;
}

/* ---- all --------------------------------------------------------------------------- */

static enum pb_status read_bos(const struct reading *r, bool fallback)
{
	const struct pb_gguf_value *value = find(r, "bos_token_id");
	int64_t id = -1;
	bool add;
	enum pb_status status;

	if (value != NULL && (value->array || !pb_gguf_int(value, 0, &id) || id < 0 ||
			      (uint64_t)id >= r->t->n_ids || r->t->pieces[id].bytes == NULL))
		return fail(r, "bos_token_id", "has a BOS token that is not in the vocabulary");
	r->t->bos = (int32_t)id;
	PB_TRY(find_flag(r, "add_bos_token", fallback && id >= 0, &add));
	if (add && id < 0)
		return fail(r, "add_bos_token", "adds a BOS token, but names none");
	r->t->bos_auto = add ? r->t->bos : -1;
cleanup:
	return status;
}

static enum pb_status read_metadata(struct reading *r)
{
	const struct pb_gguf_value *model = find(r, "model");
	bool scored = pb_gguf_string_is(model, "llama");
	enum pb_status status;

	if (!scored && !pb_gguf_string_is(model, "gpt2"))
		return fail(r, "model",
			    model == NULL ? "is missing" : "is of a kind that is not supported");
	r->tokens = find(r, "tokens");
	r->types = find(r, "token_type");
	r->scores = find(r, "scores");
	if (r->tokens == NULL || !r->tokens->array || r->tokens->type != PB_GGUF_STRING ||
	    r->tokens->n == 0 || r->tokens->n > (size_t)PB_TOKENS_ID_LIMIT)
		return fail(r, "tokens", "has no list of tokens of a possible length");
	if (r->types != NULL && (!r->types->array || r->types->n != r->tokens->n))
		return fail(r, "token_type", "has not one type for each token");
	PB_TRY(scored ? read_scored(r) : read_byte_level(r));
	status = read_bos(r, scored || r->cutting->add_bos);
cleanup:
	return status;
}

enum pb_status pb_tokenizer_load_gguf(struct pb_tokenizer *t, const char *path,
				      struct pb_error *err)
{
	struct pb_map map = {0};
	struct pb_gguf gguf = {0};
	struct reading r = {.t = t, .gguf = &gguf, .err = err};
	enum pb_status status;

	PB_TRY(pb_map_open(&map, path, err));
	PB_TRY(pb_gguf_open(&gguf, map.data, map.size, path, err));
	status = read_metadata(&r);
	pb_gguf_close(&gguf);
cleanup:
	pb_map_close(&map);
	return status;
}

bool pb_gguf_has_tokenizer(const char *path)
{
	struct pb_map map = {0};
	struct pb_gguf gguf = {0};
	bool has = false;

	if (pb_map_open(&map, path, NULL) != PB_OK)
		return false;
	if (pb_gguf_open(&gguf, map.data, map.size, path, NULL) == PB_OK) {
		has = pb_gguf_find(&gguf, KEY "model") != NULL;
		pb_gguf_close(&gguf);
	}
	pb_map_close(&map);
	return has;
}
