/* Loads a tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "tokens/components.h"
#include "tokens/json.h"
#include "tokens/scan.h"
#include "tokens/tokenizer.h"

/* ---- the model --------------------------------------------------------------------- */

static enum pb_status refuse_model(const char *key, const char *value,
				   const struct pb_json_place *place, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "the model's %s '%s' is not supported: %s, %s: use a model whose tokenizer "
		       "is BPE as GPT-2, Llama, Qwen or Gemma have it",
		       key, value, place->path, place->key);
}

/* What stands for bytes or characters that have no token. All of it is without effect, and ignored,
 * where every byte has one, as it should be in byte-level BPE. */
static enum pb_status read_unknown(struct pb_tokenizer *t, const json_t *model,
				   const struct pb_json_place *place, struct pb_error *err)
{
	const char *unk;
	bool fallback;
	enum pb_status status;

	PB_TRY(pb_json_text(model, "unk_token", place, &unk, err));
	PB_TRY(pb_json_bool(model, "fuse_unk", false, place, &t->bpe.fuse_unk, err));
	PB_TRY(pb_json_bool(model, "byte_fallback", false, place, &fallback, err));
	if (t->bpe.byte_level && pb_bpe_missing_byte(&t->bpe) < 0)
		return PB_OK;
	if (t->bpe.byte_level && fallback)
		return refuse_model("byte_fallback", "true", place, err);
	t->bpe.byte_fallback = fallback;
	if (unk == NULL)
		return PB_OK;
	t->bpe.unk = pb_vocab_find(&t->vocab, unk, strlen(unk));
	if (t->bpe.unk < 0)
		status = pb_fail(err, PB_ERR_INPUT,
				 "the unk_token is not in the vocabulary: %s, %s.unk_token, '%s': "
				 "correct it",
				 place->path, place->key, unk);
cleanup:
	return status;
}

/* The big tables, which were cut out of the model. What stands in their places otherwise, or
 * nothing, is wrong. */
static enum pb_status read_tables(struct pb_tokenizer *t, char *text, const struct pb_cut_json *cut,
				  const struct pb_json_place *place, struct pb_error *err)
{
	enum pb_status status;

	if (cut->vocab.end == 0 || cut->merges.end == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "the %s missing: %s, %s: fetch the file again, or use a model whose "
			       "tokenizer is BPE",
			       cut->vocab.end == 0 ? "vocabulary is" : "merges are", place->path,
			       place->key);
	PB_TRY(pb_scan_vocab(t, text, cut->vocab, place->path, err));
	status = pb_scan_merges(t, text, cut->merges, place->path, err);
cleanup:
	return status;
}

/* Unigram, WordPiece and WordLevel are refused before anything that goes with them. */
static enum pb_status check_type(const json_t *model, const struct pb_json_place *place,
				 struct pb_error *err)
{
	const char *type;
	enum pb_status status = pb_json_text(model, "type", place, &type, err);

	if (status == PB_OK && type != NULL && strcmp(type, "BPE") != 0)
		return refuse_model("type", type, place, err);
	return status;
}

static enum pb_status read_model(struct pb_tokenizer *t, const json_t *model, char *text,
				 const struct pb_cut_json *cut, const struct pb_json_place *place,
				 struct pb_error *err)
{
	static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
	const json_t *dropout = json_object_get(model, "dropout");
	const char *value;
	enum pb_status status = PB_OK;

	if (dropout != NULL && !json_is_null(dropout) &&
	    !(json_is_number(dropout) && json_number_value(dropout) == 0))
		return refuse_model("dropout", "other than 0", place, err);
	for (size_t i = 0; i < 2; i++) {
		PB_TRY(pb_json_text(model, affixes[i], place, &value, err));
		if (value != NULL && value[0] != '\0')
			return refuse_model(affixes[i], value, place, err);
	}
	PB_TRY(read_tables(t, text, cut, place, err));
	PB_TRY(read_unknown(t, model, place, err));
	status = pb_json_bool(model, "ignore_merges", false, place, &t->bpe.ignore_merges, err);
cleanup:
	return status;
}

/* ---- added tokens ------------------------------------------------------------------ */

static enum pb_status read_added(struct pb_tokenizer *t, const json_t *root,
				 const struct pb_json_place *place, struct pb_error *err)
{
	const json_t *list = json_object_get(root, "added_tokens");
	enum pb_status status = PB_OK;

	if (list != NULL && !json_is_null(list))
		PB_TRY(pb_json_list(root, "added_tokens", place, &list, err));
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct pb_json_place inside = pb_json_inside(place, "added_tokens", (long)i);
		const json_t *token = json_array_get(list, i);
		const json_t *id = json_object_get(token, "id");

		if (!json_is_integer(id) || json_integer_value(id) < 0) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "an added token lacks its id: %s, %s: fetch the file "
					 "again",
					 inside.path, inside.key);
			goto cleanup;
		}
		PB_TRY(pb_read_added_token(t, token, json_integer_value(id), false, &inside, err));
	}
	status = pb_added_finish(&t->added, place->path, err);
cleanup:
	return status;
}

/* ---- the file ---------------------------------------------------------------------- */

/* A component of the file; null counts as absent. */
static json_t *component(const json_t *root, const char *key)
{
	json_t *value = json_object_get(root, key);

	return json_is_null(value) ? NULL : value;
}

static enum pb_status read_root(struct pb_tokenizer *t, const json_t *root, char *text,
				const struct pb_cut_json *cut, const char *path,
				struct pb_error *err)
{
	const struct pb_json_place top = {.path = path};
	struct pb_json_place place;
	json_t *model = json_object_get(root, "model");
	const char *version;
	enum pb_status status;

	PB_TRY(pb_json_text(root, "version", &top, &version, err));
	if (version != NULL && strcmp(version, "1.0") != 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "the version '%s' is not known: %s, version: it must be 1.0",
			       version, path);
	if (!json_is_object(model))
		return pb_fail(err, PB_ERR_INPUT,
			       "the model is missing: %s, model: fetch the file again", path);
	/* truncation and padding are for batches of training texts; `transformers` resets them,
	 * and nothing is ever cut silently here. */
	place = pb_json_inside(&top, "model", -1);
	PB_TRY(check_type(model, &place, err));
	place = pb_json_inside(&top, "decoder", -1);
	if (component(root, "decoder") != NULL)
		PB_TRY(pb_read_decoder(t, component(root, "decoder"), &place, err));
	place = pb_json_inside(&top, "pre_tokenizer", -1);
	PB_TRY(pb_read_pre_tokenizer(t, component(root, "pre_tokenizer"), &place, err));
	place = pb_json_inside(&top, "model", -1);
	PB_TRY(read_model(t, model, text, cut, &place, err));
	place = pb_json_inside(&top, "normalizer", -1);
	PB_TRY(pb_read_normalizer(t, component(root, "normalizer"), &place, err));
	PB_TRY(read_added(t, root, &top, err));
	place = pb_json_inside(&top, "post_processor", -1);
	PB_TRY(pb_read_post_processor(t, component(root, "post_processor"), &place, err));
	place = pb_json_inside(&top, "decoder", -1);
	if (component(root, "decoder") != NULL && t->bpe.byte_level != t->decoder.byte_level)
		return pb_refuse_component("decoder",
					   t->bpe.byte_level ? "without ByteLevel"
							     : "ByteLevel without such words",
					   &place, err);
	if (component(root, "decoder") == NULL) /* it would put spaces between all tokens */
		return pb_refuse_component("decoder", "null", &place, err);
cleanup:
	return status;
}

/* Everything but the big tables, as JSON. What is wrong is told from the whole text, where lines
 * and columns are the file's. */
static enum pb_status parse_rest(json_t **root, const struct pb_cut_json *cut, const char *text,
				 size_t size, const char *path, struct pb_error *err)
{
	enum pb_status status = pb_json_parse(root, cut->rest, cut->rest_size, path, NULL);

	if (status == PB_OK)
		return PB_OK;
	status = pb_json_parse(root, text, size, path, err);
	if (status != PB_OK)
		return status;
	json_decref(*root);
	*root = NULL;
	return pb_fail(err, PB_ERR_INTERNAL, "the file cannot be cut: %s: report this", path);
}

enum pb_status pb_tokenizer_load_json(struct pb_tokenizer *t, const char *folder,
				      struct pb_error *err)
{
	char *path = pb_format("%s/tokenizer.json", folder), *text = NULL;
	struct pb_cut_json cut = {0};
	json_t *root = NULL;
	size_t size = 0;
	enum pb_status status;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a path: free some");
	PB_TRY(pb_read_tokens_file(&text, &size, path, err));
	PB_TRY(pb_scan_cut(&cut, text, size, err));
	PB_TRY(parse_rest(&root, &cut, text, size, path, err));
	status = read_root(t, root, text, &cut, path, err);
cleanup:
	json_decref(root);
	free(cut.rest);
	free(text);
	free(path);
	return status;
}
