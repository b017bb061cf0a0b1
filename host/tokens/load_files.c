/* Loads GPT-2's older form: vocab.json and merges.txt, with the special tokens in
 * tokenizer_config.json, added_tokens.json and special_tokens_map.json where those are there. */
#include <stdlib.h>
#include <string.h>

#include "tokens/components.h"
#include "tokens/json.h"
#include "tokens/scan.h"
#include "tokens/tokenizer.h"

/* ---- vocab.json -------------------------------------------------------------------- */

static enum pb_status read_vocab(struct pb_tokenizer *t, const char *path, struct pb_error *err)
{
	char *text = NULL;
	size_t size = 0;
	enum pb_status status;

	PB_TRY(pb_read_tokens_file(&text, &size, path, err));
	status = pb_scan_vocab(t, text, (struct pb_span){.end = size}, path, err);
cleanup:
	free(text);
	return status;
}

/* ---- merges.txt -------------------------------------------------------------------- */

/* The line at `at`, without its end (\n or \r\n); *next is where the one behind it starts. */
static const char *line_at(const char *text, size_t size, size_t at, size_t *n, size_t *next)
{
	const char *end = memchr(text + at, '\n', size - at);
	size_t stop = end != NULL ? (size_t)(end - text) : size;

	*next = end != NULL ? stop + 1 : size;
	if (stop > at && text[stop - 1] == '\r')
		stop--;
	*n = stop - at;
	return text + at;
}

static const char *read_merge(struct pb_tokenizer *t, const char *line, size_t n, uint32_t rank)
{
	const char *space = memchr(line, ' ', n);
	size_t left = space != NULL ? (size_t)(space - line) : n;

	if (space == NULL || memchr(space + 1, ' ', n - left - 1) != NULL)
		return "a merge is not two tokens with a space between";
	return pb_bpe_add_merge(&t->bpe, &t->vocab, line, left, space + 1, n - left - 1, rank);
}

static enum pb_status read_merges(struct pb_tokenizer *t, const char *path, struct pb_error *err)
{
	char *text = NULL;
	size_t size = 0, n_lines = 0, next = 0;
	uint32_t rank = 0;
	enum pb_status status;

	PB_TRY(pb_read_tokens_file(&text, &size, path, err));
	for (size_t i = 0; i < size; i++)
		n_lines += text[i] == '\n';
	PB_TRY(pb_bpe_init(&t->bpe, &t->vocab, n_lines + 1, err));
	for (size_t at = 0, number = 1; at < size; at = next, number++) {
		size_t n;
		const char *line = line_at(text, size, at, &n, &next);
		const char *problem;

		if ((n >= 8 && memcmp(line, "#version", 8) == 0) || (n == 0 && next == size))
			continue;
		problem = read_merge(t, line, n, rank++);
		if (problem != NULL) {
			status = pb_fail(err, PB_ERR_INPUT, "%s: %s, line %zu, '%.*s': correct it",
					 problem, path, number, (int)(n > 200 ? 200 : n), line);
			goto cleanup;
		}
	}
cleanup:
	free(text);
	return status;
}

/* ---- special tokens ---------------------------------------------------------------- */

/* A special token that a key names: a string, or an object with `content`. */
static enum pb_status add_named(struct pb_tokenizer *t, const json_t *value,
				const struct pb_json_place *place, struct pb_error *err)
{
	const char *content = json_string_value(value);
	struct pb_added_token token = {.special = true};

	if (json_is_object(value))
		content = json_string_value(json_object_get(value, "content"));
	if (content == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "a special token is neither a string nor an object with content: "
			       "%s, %s: correct it",
			       place->path, place->key);
	for (size_t i = 0; i < t->added.n; i++)
		if (strcmp(t->added.tokens[i].content, content) == 0)
			return PB_OK;
	if (json_is_object(value))
		return pb_read_added_token(t, value, -1, true, place, err);
	if (content[0] == '\0' || strlen(content) > UINT32_MAX / 8)
		return PB_OK;
	token.content = content;
	token.content_size = (uint32_t)strlen(content);
	return pb_tokenizer_put_added(t, token, -1, place->path, err);
}

/* bos_token, eos_token ... and additional_special_tokens of a file. */
static enum pb_status add_all_named(struct pb_tokenizer *t, const json_t *root, const char *path,
				    struct pb_error *err)
{
	static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
					   "pad_token", "cls_token", "mask_token"};
	const struct pb_json_place top = {.path = path};
	const json_t *more = json_object_get(root, "additional_special_tokens");
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const json_t *value = json_object_get(root, keys[i]);
		struct pb_json_place place = pb_json_inside(&top, keys[i], -1);

		if (value != NULL && !json_is_null(value))
			PB_TRY(add_named(t, value, &place, err));
	}
	for (size_t i = 0; i < json_array_size(more); i++) {
		struct pb_json_place place =
		    pb_json_inside(&top, "additional_special_tokens", (long)i);

		PB_TRY(add_named(t, json_array_get(more, i), &place, err));
	}
cleanup:
	return status;
}

/* One added token of an object with ids: added_tokens_decoder has {"id": {token}},
 * added_tokens.json {"content": id}. */
struct listed {
	int64_t id;
	const char *key;
	const json_t *value;
};

static int compare_listed(const void *a, const void *b)
{
	const struct listed *left = a, *right = b;

	return (left->id > right->id) - (left->id < right->id);
}

/* Adds the tokens of such an object in the order of their ids, which is how new ones get theirs. */
static enum pb_status add_listed(struct pb_tokenizer *t, json_t *object,
				 const struct pb_json_place *place, struct pb_error *err)
{
	void *memory = NULL;
	struct listed *list;
	size_t n = 0;
	const char *key;
	json_t *value;
	enum pb_status status;

	PB_TRY(pb_alloc(&memory, json_object_size(object), sizeof *list, "added tokens", err));
	list = memory;
	json_object_foreach(object, key, value)
	{
		char *end = NULL;
		int64_t id = json_is_integer(value) ? json_integer_value(value)
						    : (int64_t)strtoll(key, &end, 10);

		if (id < 0 ||
		    (end != NULL && (end == key || *end != '\0' || !json_is_object(value)))) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "an added token has no id: %s, %s, '%s': correct it",
					 place->path, place->key, key);
			goto cleanup;
		}
		list[n++] = (struct listed){.id = id, .key = key, .value = value};
	}
	qsort(list, n, sizeof *list, compare_listed);
	for (size_t i = 0; i < n; i++) {
		struct pb_json_place inside = pb_json_inside(place, list[i].key, -1);
		struct pb_added_token token = {.content = list[i].key, .normalized = true};
		size_t size = strlen(list[i].key);

		if (json_is_object(list[i].value)) {
			PB_TRY(
			    pb_read_added_token(t, list[i].value, list[i].id, false, &inside, err));
		} else if (size > 0 && size < UINT32_MAX / 8) {
			token.content_size = (uint32_t)size;
			PB_TRY(pb_tokenizer_put_added(t, token, list[i].id, place->path, err));
		}
	}
cleanup:
	free(memory);
	return status;
}

/* The object in folder/name, NULL when there is no such file. */
static enum pb_status open_beside(json_t **out, char **path, const char *folder, const char *name,
				  struct pb_error *err)
{
	*out = NULL;
	*path = pb_format("%s/%s", folder, name);
	if (*path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a path: free some");
	return pb_is_file(*path) ? pb_json_open(out, *path, err) : PB_OK;
}

static enum pb_status read_special(struct pb_tokenizer *t, const char *folder, bool *prefix_space,
				   struct pb_error *err)
{
	json_t *config = NULL, *added = NULL, *map = NULL, *decoder;
	char *config_path = NULL, *added_path = NULL, *map_path = NULL;
	struct pb_json_place top = {0}, place;
	struct pb_added_token fallback = {.content = PB_GPT2_SPECIAL, .special = true};
	enum pb_status status;

	PB_TRY(open_beside(&config, &config_path, folder, "tokenizer_config.json", err));
	PB_TRY(open_beside(&added, &added_path, folder, "added_tokens.json", err));
	PB_TRY(open_beside(&map, &map_path, folder, "special_tokens_map.json", err));
	top.path = config_path;
	PB_TRY(pb_json_bool(config, "add_prefix_space", false, &top, prefix_space, err));
	decoder = json_object_get(config, "added_tokens_decoder");
	place = pb_json_inside(&top, "added_tokens_decoder", -1);
	if (json_is_object(decoder)) {
		PB_TRY(add_listed(t, decoder, &place, err));
	} else if (added != NULL) {
		place = (struct pb_json_place){.path = added_path};
		PB_TRY(add_listed(t, added, &place, err));
	}
	PB_TRY(add_all_named(t, map, map_path, err));
	PB_TRY(add_all_named(t, config, config_path, err));
	fallback.content_size = (uint32_t)strlen(fallback.content);
	if (t->added.n == 0 &&
	    pb_vocab_find(&t->vocab, PB_GPT2_SPECIAL, strlen(PB_GPT2_SPECIAL)) >= 0)
		PB_TRY(pb_tokenizer_put_added(t, fallback, -1, folder, err));
	status = pb_added_finish(&t->added, folder, err);
cleanup:
	json_decref(config);
	json_decref(added);
	json_decref(map);
	free(config_path);
	free(added_path);
	free(map_path);
	return status;
}

enum pb_status pb_tokenizer_load_files(struct pb_tokenizer *t, const char *folder,
				       struct pb_error *err)
{
	char *vocab = pb_format("%s/vocab.json", folder);
	char *merges = pb_format("%s/merges.txt", folder);
	bool prefix_space = false;
	enum pb_status status;

	if (vocab == NULL || merges == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a path: free some");
		goto cleanup;
	}
	t->bpe.byte_level = t->decoder.byte_level = true;
	PB_TRY(read_vocab(t, vocab, err));
	PB_TRY(read_merges(t, merges, err));
	PB_TRY(read_special(t, folder, &prefix_space, err));
	status = pb_use_byte_level(t, prefix_space, true, folder, err);
cleanup:
	free(vocab);
	free(merges);
	return status;
}
