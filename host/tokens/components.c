/* Normalizers, post-processors and decoders of tokenizer.json, and what all components share. */
#include "tokens/components.h"

#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"

enum pb_status pb_refuse_component(const char *kind, const char *type,
				   const struct pb_json_place *place, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "the %s '%s' is not supported: %s, %s: use a model whose tokenizer is BPE "
		       "as GPT-2, Llama, Qwen or Gemma have it",
		       kind, type, place->path, place->key);
}

enum pb_status pb_each_component(const json_t *component, const char *members,
				 const struct pb_json_place *place, pb_read_one *read,
				 void *context, struct pb_error *err)
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

enum pb_status pb_quote_pattern(char **out, const char *text, struct pb_error *err)
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

enum pb_status pb_read_pattern(char **regex, const json_t *component,
			       const struct pb_json_place *place, struct pb_error *err)
{
	const json_t *pattern = json_object_get(component, "pattern");
	struct pb_json_place inside = pb_json_inside(place, "pattern", -1);
	const char *given = NULL, *text = NULL;
	enum pb_status status = PB_OK;

	*regex = NULL;
	if (json_is_object(pattern)) {
		PB_TRY(pb_json_text(pattern, "Regex", &inside, &given, err));
		PB_TRY(pb_json_text(pattern, "String", &inside, &text, err));
	}
	if ((given == NULL) == (text == NULL))
		return pb_fail(err, PB_ERR_INPUT,
			       "a pattern is missing: %s, %s: it is {\"Regex\": ...} or "
			       "{\"String\": ...}",
			       inside.path, inside.key);
	if (text != NULL)
		return pb_quote_pattern(regex, text, err);
	*regex = strdup(given);
	if (*regex == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a pattern: free some");
cleanup:
	return status;
}

/* The `content` of a component in the arena; `one`: it must be one character. */
static enum pb_status read_content(struct pb_tokenizer *t, const json_t *component, const char *key,
				   const struct pb_json_place *place, const char **out,
				   struct pb_error *err)
{
	const char *content;
	enum pb_status status = pb_json_text(component, key, place, &content, err);

	if (status != PB_OK)
		return status;
	if (content == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "a value is missing: %s, %s: it must have a text '%s'", place->path,
			       place->key, key);
	*out = pb_arena_strdup(&t->arena, content);
	if (*out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a component: free some");
	return PB_OK;
}

/* ---- normalizer -------------------------------------------------------------------- */

/* A step that puts `content` in place of a pattern's matches. */
static enum pb_status read_replace(struct pb_tokenizer *t, struct pb_normalizer *normalizer,
				   const json_t *component, const struct pb_json_place *place,
				   struct pb_error *err)
{
	struct pb_normalize_step step = {.kind = PB_NORMALIZE_REPLACE};
	char *regex = NULL, where[512];
	enum pb_status status;

	snprintf(where, sizeof where, "%s, %s", place->path, place->key);
	PB_TRY(read_content(t, component, "content", place, &step.content, err));
	step.n_content = strlen(step.content);
	PB_TRY(pb_read_pattern(&regex, component, place, err));
	status = pb_normalizer_add(normalizer, step, regex, strlen(regex), where, err);
cleanup:
	free(regex);
	return status;
}

static enum pb_status read_normalizer(void *context, const json_t *component, const char *type,
				      const struct pb_json_place *place, struct pb_error *err)
{
	struct pb_tokenizer *t = context;
	struct pb_normalize_step step = {.kind = PB_NORMALIZE_NFC};
	enum pb_status status;

	if (strcmp(type, "Replace") == 0)
		return read_replace(t, &t->normalizer, component, place, err);
	if (strcmp(type, "Prepend") == 0) {
		step.kind = PB_NORMALIZE_PREPEND;
		PB_TRY(read_content(t, component, "prepend", place, &step.content, err));
		step.n_content = strlen(step.content);
	} else if (strcmp(type, "NFC") != 0) {
		return pb_refuse_component("normalizer", type, place, err);
	}
	status = pb_normalizer_add(&t->normalizer, step, NULL, 0, place->path, err);
cleanup:
	return status;
}

enum pb_status pb_read_normalizer(struct pb_tokenizer *t, const json_t *component,
				  const struct pb_json_place *place, struct pb_error *err)
{
	if (component == NULL)
		return PB_OK;
	return pb_each_component(component, "normalizers", place, read_normalizer, t, err);
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
			return pb_refuse_component("post-processor", "with several tokens in front",
						   place, err);
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
	return pb_refuse_component("post-processor", type, place, err);
}

enum pb_status pb_read_post_processor(struct pb_tokenizer *t, const json_t *component,
				      const struct pb_json_place *place, struct pb_error *err)
{
	if (component == NULL)
		return PB_OK;
	return pb_each_component(component, "processors", place, read_post_processor, t, err);
}

/* ---- decoder ----------------------------------------------------------------------- */

/* The parts of a decoder, which come in this order; ByteLevel and Metaspace stand alone but for
 * byte fallback. */
enum decoder_part { PART_NONE, PART_REPLACE, PART_BYTES, PART_FUSE, PART_STRIP };

struct decoder_context {
	struct pb_tokenizer *tokenizer;
	enum decoder_part last;
};

static enum pb_status read_metaspace(struct pb_tokenizer *t, const json_t *component,
				     const struct pb_json_place *place, struct pb_error *err)
{
	enum pb_prefix prefix;
	bool split;
	enum pb_status status =
	    pb_read_metaspace(component, place, t->decoder.space, &prefix, &split, err);

	t->decoder.drop_first = prefix != PB_PREFIX_NEVER;
	return status;
}

/* Up to `start` of one character at the start of the whole text. */
static enum pb_status read_strip(struct pb_tokenizer *t, const json_t *component,
				 const struct pb_json_place *place, struct pb_error *err)
{
	const json_t *start = json_object_get(component, "start");
	const json_t *stop = json_object_get(component, "stop");
	const char *content;
	enum pb_status status;

	PB_TRY(pb_json_text(component, "content", place, &content, err));
	if (content == NULL || !pb_is_one_character(content) || !json_is_integer(start) ||
	    json_integer_value(start) < 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "a value is missing or of the wrong kind: %s, %s: it needs a "
			       "character 'content' and a number 'start'",
			       place->path, place->key);
	if (stop != NULL && !(json_is_integer(stop) && json_integer_value(stop) == 0))
		return pb_refuse_component("decoder", "Strip with a stop", place, err);
	snprintf(t->decoder.strip, sizeof t->decoder.strip, "%s", content);
	t->decoder.strip_max = (size_t)json_integer_value(start);
cleanup:
	return status;
}

static enum pb_status read_decoder(void *context, const json_t *component, const char *type,
				   const struct pb_json_place *place, struct pb_error *err)
{
	static const struct {
		const char *name;
		enum decoder_part part;
	} parts[] = {{"ByteLevel", PART_BYTES}, {"Metaspace", PART_REPLACE},
		     {"Replace", PART_REPLACE}, {"ByteFallback", PART_BYTES},
		     {"Fuse", PART_FUSE},       {"Strip", PART_STRIP}};
	struct decoder_context *c = context;
	struct pb_tokenizer *t = c->tokenizer;
	struct pb_decoder *d = &t->decoder;
	enum decoder_part part = PART_NONE, before = c->last;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strcmp(parts[i].name, type) == 0)
			part = parts[i].part;
	/* Several replacements may follow each other; nothing follows ByteLevel. */
	if (part == PART_NONE || part < before ||
	    (part == before && strcmp(type, "Replace") != 0) || d->byte_level ||
	    (part == PART_REPLACE && d->space[0] != '\0') ||
	    (part == PART_STRIP && before != PART_FUSE))
		return pb_refuse_component("decoder", type, place, err);
	c->last = part;
	if (strcmp(type, "ByteLevel") == 0 || strcmp(type, "Metaspace") == 0)
		if (before != PART_NONE)
			return pb_refuse_component("decoder", type, place, err);
	if (strcmp(type, "ByteLevel") == 0)
		d->byte_level = true;
	else if (strcmp(type, "Metaspace") == 0)
		return read_metaspace(t, component, place, err);
	else if (part == PART_REPLACE)
		return read_replace(t, &d->replace, component, place, err);
	else if (part == PART_BYTES)
		d->byte_fallback = true;
	else if (part == PART_STRIP)
		return read_strip(t, component, place, err);
	return PB_OK;
}

enum pb_status pb_read_decoder(struct pb_tokenizer *t, const json_t *component,
			       const struct pb_json_place *place, struct pb_error *err)
{
	struct decoder_context context = {.tokenizer = t};

	return pb_each_component(component, "decoders", place, read_decoder, &context, err);
}
