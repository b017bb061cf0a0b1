/* Normalizers, pre-tokenizers, post-processors and decoders of tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"
#include "tokens/components.h"

static enum pb_status refuse(const char *kind, const char *type, const struct pb_json_place *place,
			     struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "the %s '%s' is not supported: %s, %s: use a model with byte-level BPE, as "
		       "GPT-2, GPT-NeoX or Llama 3 have it",
		       kind, type, place->path, place->key);
}

/* ---- sequences --------------------------------------------------------------------- */

/* One component that is no sequence, with its type. */
typedef enum pb_status read_one(void *context, const json_t *component, const char *type,
				const struct pb_json_place *place, struct pb_error *err);

/* Calls `read` for a component, or for each member of a Sequence; `members` is the key of the
 * list. Sequences inside sequences do not occur and are refused by `read`. */
static enum pb_status each(const json_t *component, const char *members,
			   const struct pb_json_place *place, read_one *read, void *context,
			   struct pb_error *err)
{
	const json_t *list;
	const char *type;
	enum pb_status status;

	PB_TRY(pb_json_type(component, place, &type, err));
	if (strcmp(type, "Sequence") != 0)
		return read(context, component, type, place, err);
	PB_TRY(pb_json_list(component, members, place, &list, err));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *member = json_array_get(list, i);
		struct pb_json_place inside = pb_json_inside(place, members, (long)i);

		PB_TRY(pb_json_type(member, &inside, &type, err));
		PB_TRY(read(context, member, type, &inside, err));
	}
cleanup:
	return status;
}

/* ---- normalizer -------------------------------------------------------------------- */

static enum pb_status read_normalizer(void *context, const json_t *component, const char *type,
				      const struct pb_json_place *place, struct pb_error *err)
{
	struct pb_tokenizer *t = context;

	(void)component;
	if (strcmp(type, "NFC") != 0)
		return refuse("normalizer", type, place, err);
	t->nfc = true; /* once is as good as twice */
	return PB_OK;
}

enum pb_status pb_read_normalizer(struct pb_tokenizer *t, const json_t *component,
				  const struct pb_json_place *place, struct pb_error *err)
{
	if (component == NULL)
		return PB_OK;
	return each(component, "normalizers", place, read_normalizer, t, err);
}

/* ---- pre-tokenizer ----------------------------------------------------------------- */

enum pb_status pb_use_byte_level(struct pb_tokenizer *t, bool add_prefix_space, bool use_regex,
				 const char *where, struct pb_error *err)
{
	if (add_prefix_space)
		t->pre.prefix_stage = t->pre.n_stages;
	if (!use_regex)
		return PB_OK;
	return pb_pretokenizer_add(&t->pre, PB_GPT2_PATTERN, strlen(PB_GPT2_PATTERN), where, err);
}

struct pre_context {
	struct pb_tokenizer *tokenizer;
	bool byte_level; /* seen */
};

/* A string as the pattern that matches it. */
static enum pb_status quote(char **out, const char *text, struct pb_error *err)
{
	size_t n = strlen(text), size = 0;
	void *quoted;
	enum pb_status status = pb_alloc(&quoted, 2 * n + 1, 1, "a pattern", err);

	*out = quoted;
	for (size_t i = 0; status == PB_OK && i < n; i++) {
		if (strchr("\\^$.|?*+()[]{}-&#", text[i]) != NULL)
			(*out)[size++] = '\\';
		(*out)[size++] = text[i];
	}
	return status;
}

static enum pb_status read_split(struct pb_tokenizer *t, const json_t *component,
				 const struct pb_json_place *place, const char *where,
				 struct pb_error *err)
{
	const json_t *pattern = json_object_get(component, "pattern");
	struct pb_json_place inside = pb_json_inside(place, "pattern", -1);
	const char *behavior, *text, *regex;
	char *quoted = NULL;
	bool invert; /* of pieces that are all kept nothing changes */
	enum pb_status status;

	PB_TRY(pb_json_text(component, "behavior", place, &behavior, err));
	PB_TRY(pb_json_bool(component, "invert", false, place, &invert, err));
	if (behavior == NULL || strcmp(behavior, "Isolated") != 0)
		return refuse("behavior of Split", behavior != NULL ? behavior : "null", place,
			      err);
	if (!json_is_object(pattern))
		return pb_fail(err, PB_ERR_INPUT,
			       "a pattern is missing: %s: it is {\"Regex\": ...} or "
			       "{\"String\": ...}",
			       where);
	PB_TRY(pb_json_text(pattern, "Regex", &inside, &regex, err));
	PB_TRY(pb_json_text(pattern, "String", &inside, &text, err));
	if ((regex == NULL) == (text == NULL))
		return pb_fail(err, PB_ERR_INPUT,
			       "a pattern is missing: %s: it is {\"Regex\": ...} or "
			       "{\"String\": ...}",
			       where);
	if (text != NULL) {
		PB_TRY(quote(&quoted, text, err));
		regex = quoted;
	}
	status = pb_pretokenizer_add(&t->pre, regex, strlen(regex), where, err);
cleanup:
	free(quoted);
	return status;
}

static enum pb_status read_pre_tokenizer(void *context, const json_t *component, const char *type,
					 const struct pb_json_place *place, struct pb_error *err)
{
	struct pre_context *pre = context;
	struct pb_tokenizer *t = pre->tokenizer;
	char where[512];
	bool space, regex, single;
	enum pb_status status;

	snprintf(where, sizeof where, "%s, %s", place->path, place->key);
	if (pre->byte_level) /* it would see the byte alphabet instead of the text */
		return refuse("pre-tokenizer after ByteLevel", type, place, err);
	if (strcmp(type, "ByteLevel") == 0) {
		pre->byte_level = true;
		PB_TRY(pb_json_bool(component, "add_prefix_space", true, place, &space, err));
		PB_TRY(pb_json_bool(component, "use_regex", true, place, &regex, err));
		return pb_use_byte_level(t, space, regex, where, err);
	}
	if (strcmp(type, "Split") == 0)
		return read_split(t, component, place, where, err);
	if (strcmp(type, "Digits") == 0) {
		PB_TRY(pb_json_bool(component, "individual_digits", false, place, &single, err));
		return pb_pretokenizer_add(&t->pre, single ? "\\p{N}" : "\\p{N}+", single ? 5 : 6,
					   where, err);
	}
	status = refuse("pre-tokenizer", type, place, err);
cleanup:
	return status;
}

enum pb_status pb_read_pre_tokenizer(struct pb_tokenizer *t, const json_t *component,
				     const struct pb_json_place *place, struct pb_error *err)
{
	struct pre_context context = {.tokenizer = t};
	enum pb_status status = PB_OK;

	if (component != NULL)
		status = each(component, "pretokenizers", place, read_pre_tokenizer, &context, err);
	if (status == PB_OK && !context.byte_level)
		return refuse("pre-tokenizer", "without ByteLevel", place, err);
	return status;
}

/* ---- post-processor ---------------------------------------------------------------- */

/* The id of a special token that a template names. */
static enum pb_status template_id(const struct pb_tokenizer *t, const json_t *component,
				  const char *name, const struct pb_json_place *place, int32_t *id,
				  struct pb_error *err)
{
	const json_t *special = json_object_get(json_object_get(component, "special_tokens"), name);
	const json_t *ids = json_object_get(special, "ids");
	json_int_t value = json_integer_value(json_array_get(ids, 0));

	if (json_array_size(ids) != 1 || !json_is_integer(json_array_get(ids, 0)))
		return pb_fail(err, PB_ERR_INPUT,
			       "a template's special token has not one id: %s, %s, '%s': "
			       "list it under special_tokens",
			       place->path, place->key, name);
	if (value < 0 || (uint64_t)value >= t->n_ids || t->pieces[value].bytes == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "a template's special token has an unknown id: %s, %s, '%s' is "
			       "%lld: correct it",
			       place->path, place->key, name, (long long)value);
	*id = (int32_t)value;
	return PB_OK;
}

/* What the template for one sequence puts before it. What it puts behind is not ours to add. */
static enum pb_status read_template(struct pb_tokenizer *t, const json_t *component,
				    const struct pb_json_place *place, struct pb_error *err)
{
	const json_t *single;
	enum pb_status status;

	PB_TRY(pb_json_list(component, "single", place, &single, err));
	for (size_t i = 0; i < json_array_size(single); i++) {
		const json_t *special = json_object_get(json_array_get(single, i), "SpecialToken");
		const char *name = json_string_value(json_object_get(special, "id"));

		if (json_object_get(json_array_get(single, i), "Sequence") != NULL)
			break;
		if (name == NULL)
			return pb_fail(err, PB_ERR_INPUT,
				       "a template's piece is not known: %s, %s.single[%zu]: "
				       "it is a SpecialToken or a Sequence",
				       place->path, place->key, i);
		if (t->bos_auto >= 0)
			return refuse("post-processor", "with several tokens in front", place, err);
		PB_TRY(template_id(t, component, name, place, &t->bos_auto, err));
	}
cleanup:
	return status;
}

static enum pb_status read_post_processor(void *context, const json_t *component, const char *type,
					  const struct pb_json_place *place, struct pb_error *err)
{
	struct pb_tokenizer *t = context;

	if (strcmp(type, "ByteLevel") == 0) /* moves offsets only */
		return PB_OK;
	if (strcmp(type, "TemplateProcessing") == 0)
		return read_template(t, component, place, err);
	return refuse("post-processor", type, place, err);
}

enum pb_status pb_read_post_processor(struct pb_tokenizer *t, const json_t *component,
				      const struct pb_json_place *place, struct pb_error *err)
{
	if (component == NULL)
		return PB_OK;
	return each(component, "processors", place, read_post_processor, t, err);
}

/* ---- decoder ----------------------------------------------------------------------- */

static enum pb_status read_decoder(void *context, const json_t *component, const char *type,
				   const struct pb_json_place *place, struct pb_error *err)
{
	size_t *seen = context;

	(void)component;
	if (strcmp(type, "ByteLevel") != 0 || (*seen)++ > 0)
		return refuse("decoder", type, place, err);
	return PB_OK;
}

enum pb_status pb_read_decoder(const json_t *component, const struct pb_json_place *place,
			       struct pb_error *err)
{
	size_t seen = 0;
	enum pb_status status = PB_OK;

	if (component != NULL)
		status = each(component, "decoders", place, read_decoder, &seen, err);
	if (status == PB_OK && seen == 0)
		return refuse("decoder", "null", place, err);
	return status;
}
