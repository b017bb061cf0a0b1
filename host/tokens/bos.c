/* Which token begins a text, and whether it is put there by default. */
#include <stdlib.h>
#include <string.h>

#include "tokens/json.h"
#include "tokens/tokenizer.h"

/* The object in folder/name, NULL when there is no such file. */
static enum pb_status open_if_there(json_t **out, const char *folder, const char *name,
				    struct pb_error *err)
{
	char *path = pb_format("%s/%s", folder, name);
	enum pb_status status = PB_OK;

	*out = NULL;
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a path: free some");
	if (pb_is_file(path))
		status = pb_json_open(out, path, err);
	free(path);
	return status;
}

/* The id that root's bos_token names, -1 for none or one that the vocabulary lacks. */
static int32_t named_bos(const struct pb_tokenizer *t, const json_t *root)
{
	const json_t *value = json_object_get(root, "bos_token");
	const char *content = json_string_value(value);

	if (json_is_object(value))
		content = json_string_value(json_object_get(value, "content"));
	return content != NULL ? pb_tokenizer_find(t, content, strlen(content)) : -1;
}

/* config.json's bos_token_id. */
static enum pb_status bos_of_model(struct pb_tokenizer *t, const char *folder, struct pb_error *err)
{
	json_t *config;
	const json_t *id;
	enum pb_status status = open_if_there(&config, folder, "config.json", err);

	if (status != PB_OK)
		return status;
	id = json_object_get(config, "bos_token_id");
	if (json_is_integer(id) && json_integer_value(id) >= 0 &&
	    (uint64_t)json_integer_value(id) < t->n_ids &&
	    t->pieces[json_integer_value(id)].bytes != NULL)
		t->bos = (int32_t)json_integer_value(id);
	json_decref(config);
	return PB_OK;
}

enum pb_status pb_tokenizer_load_bos(struct pb_tokenizer *t, const char *folder, bool from_files,
				     struct pb_error *err)
{
	json_t *config = NULL, *map = NULL;
	const struct pb_json_place place = {.path = folder, .key = "tokenizer_config.json"};
	bool add = false;
	enum pb_status status;

	PB_TRY(open_if_there(&config, folder, "tokenizer_config.json", err));
	PB_TRY(open_if_there(&map, folder, "special_tokens_map.json", err));
	/* A null in tokenizer_config.json says that there is none. */
	if (json_object_get(config, "bos_token") != NULL)
		t->bos = named_bos(t, config);
	else if (json_object_get(map, "bos_token") != NULL)
		t->bos = named_bos(t, map);
	else
		PB_TRY(bos_of_model(t, folder, err));
	if (t->bos < 0)
		t->bos = t->bos_auto;
	if (t->bos < 0 && from_files && json_object_get(config, "bos_token") == NULL &&
	    json_object_get(map, "bos_token") == NULL)
		t->bos = pb_tokenizer_find(t, PB_GPT2_SPECIAL, strlen(PB_GPT2_SPECIAL));
	if (!from_files) /* the post-processor alone decides, as in `transformers` */
		goto cleanup;
	PB_TRY(pb_json_bool(config, "add_bos_token", false, &place, &add, err));
	if (add && t->bos < 0)
		status = pb_fail(err, PB_ERR_INPUT,
				 "add_bos_token is true, but there is no bos_token: "
				 "%s/tokenizer_config.json: name one that the vocabulary has",
				 folder);
	if (add)
		t->bos_auto = t->bos;
cleanup:
	json_decref(config);
	json_decref(map);
	return status;
}
