/* Pre-tokenizers of tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "tokens/bytes.h"
#include "tokens/components.h"

bool pb_is_one_character(const char *text)
{
	size_t at = 0;

	if (text[0] != '\0')
		(void)pb_utf8_next(text, &at);
	return at > 0 && text[at] == '\0';
}

enum pb_status pb_use_byte_level(struct pb_tokenizer *t, bool add_prefix_space, bool use_regex,
				 const char *where, struct pb_error *err)
{
	struct pb_stage stage = {.prefix = add_prefix_space ? PB_PREFIX_ALWAYS : PB_PREFIX_NEVER};

	if (!add_prefix_space && !use_regex)
		return PB_OK;
	return pb_pretokenizer_add(&t->pre, stage, use_regex ? PB_GPT2_PATTERN : NULL,
				   strlen(PB_GPT2_PATTERN), where, err);
}

/* One of the words of a value. */
static enum pb_status read_word(const json_t *component, const char *key, const char *const *words,
				size_t n_words, const struct pb_json_place *place, size_t *out,
				struct pb_error *err)
{
	const char *value;
	enum pb_status status = pb_json_text(component, key, place, &value, err);

	if (status != PB_OK || value == NULL)
		return status;
	for (*out = 0; *out < n_words; (*out)++)
		if (strcmp(words[*out], value) == 0)
			return PB_OK;
	return pb_refuse_component(key, value, place, err);
}

/* ---- Split ------------------------------------------------------------------------- */

static enum pb_status read_split(struct pb_tokenizer *t, const json_t *component,
				 const struct pb_json_place *place, const char *where,
				 struct pb_error *err)
{
	static const char *const behaviors[PB_N_SPLIT_BEHAVIORS] = {
	    "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
	struct pb_stage stage = {0};
	size_t behavior = SIZE_MAX;
	char *regex = NULL;
	enum pb_status status;

	PB_TRY(pb_json_bool(component, "invert", false, place, &stage.invert, err));
	PB_TRY(read_word(component, "behavior", behaviors, PB_N_SPLIT_BEHAVIORS, place, &behavior,
			 err));
	if (behavior == SIZE_MAX)
		return pb_refuse_component("behavior of Split", "null", place, err);
	stage.behavior = (enum pb_split_behavior)behavior;
	PB_TRY(pb_read_pattern(&regex, component, place, err));
	status = pb_pretokenizer_add(&t->pre, stage, regex, strlen(regex), where, err);
cleanup:
	free(regex);
	return status;
}

/* ---- Metaspace --------------------------------------------------------------------- */

enum pb_status pb_read_metaspace(const json_t *component, const struct pb_json_place *place,
				 char space[8], enum pb_prefix *prefix, bool *split,
				 struct pb_error *err)
{
	static const char *const schemes[] = {[PB_PREFIX_NEVER] = "never",
					      [PB_PREFIX_ALWAYS] = "always",
					      [PB_PREFIX_FIRST] = "first"};
	size_t scheme = SIZE_MAX;
	const char *replacement = NULL;
	bool add;
	enum pb_status status;

	PB_TRY(pb_json_text(component, "replacement", place, &replacement, err));
	if (replacement == NULL || !pb_is_one_character(replacement))
		return pb_fail(err, PB_ERR_INPUT,
			       "a value is missing or of the wrong kind: %s, %s.replacement: it "
			       "must be one character",
			       place->path, place->key);
	snprintf(space, 8, "%s", replacement);
	PB_TRY(read_word(component, "prepend_scheme", schemes, 3, place, &scheme, err));
	/* the older key for it */
	PB_TRY(pb_json_bool(component, "add_prefix_space", true, place, &add, err));
	if (scheme == SIZE_MAX)
		scheme = add ? PB_PREFIX_ALWAYS : PB_PREFIX_NEVER;
	else if (!add && scheme != PB_PREFIX_NEVER)
		return pb_fail(err, PB_ERR_INPUT,
			       "two keys contradict each other: %s, %s: add_prefix_space is false, "
			       "but prepend_scheme is not 'never'",
			       place->path, place->key);
	*prefix = (enum pb_prefix)scheme;
	status = pb_json_bool(component, "split", true, place, split, err);
cleanup:
	return status;
}

static enum pb_status read_metaspace(struct pb_tokenizer *t, const json_t *component,
				     const struct pb_json_place *place, const char *where,
				     struct pb_error *err)
{
	struct pb_stage stage = {.behavior = PB_SPLIT_MERGED_WITH_NEXT};
	char *regex = NULL;
	bool split;
	enum pb_status status;

	PB_TRY(pb_read_metaspace(component, place, stage.space, &stage.prefix, &split, err));
	PB_TRY(pb_quote_pattern(&regex, stage.space, err));
	status =
	    pb_pretokenizer_add(&t->pre, stage, split ? regex : NULL, strlen(regex), where, err);
cleanup:
	free(regex);
	return status;
}

/* ---- all --------------------------------------------------------------------------- */

static enum pb_status read_pre_tokenizer(void *context, const json_t *component, const char *type,
					 const struct pb_json_place *place, struct pb_error *err)
{
	struct pb_tokenizer *t = context;
	char where[512];
	bool space, regex, single;
	enum pb_status status;

	snprintf(where, sizeof where, "%s, %s", place->path, place->key);
	if (t->bpe.byte_level) /* it would see the byte alphabet instead of the text */
		return pb_refuse_component("pre-tokenizer after ByteLevel", type, place, err);
	if (strcmp(type, "ByteLevel") == 0) {
		t->bpe.byte_level = true;
		PB_TRY(pb_json_bool(component, "add_prefix_space", true, place, &space, err));
		PB_TRY(pb_json_bool(component, "use_regex", true, place, &regex, err));
		return pb_use_byte_level(t, space, regex, where, err);
	}
	if (strcmp(type, "Split") == 0)
		return read_split(t, component, place, where, err);
	if (strcmp(type, "Metaspace") == 0)
		return read_metaspace(t, component, place, where, err);
	if (strcmp(type, "Digits") == 0) {
		struct pb_stage stage = {0};

		PB_TRY(pb_json_bool(component, "individual_digits", false, place, &single, err));
		return pb_pretokenizer_add(&t->pre, stage, single ? "\\p{N}" : "\\p{N}+",
					   single ? 5 : 6, where, err);
	}
	status = pb_refuse_component("pre-tokenizer", type, place, err);
cleanup:
	return status;
}

enum pb_status pb_read_pre_tokenizer(struct pb_tokenizer *t, const json_t *component,
				     const struct pb_json_place *place, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (component != NULL)
		status = pb_each_component(component, "pretokenizers", place, read_pre_tokenizer, t,
					   err);
	return status;
}
