/* YAML by libfyaml's events, into a tree that keeps file, line and column. */
#include "config/tree.h"

#include <assert.h>
#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

#include "config/tree_parts.h"

#define DEPTH_MAX 32

struct reader {
	struct fy_parser *parser;
	struct fy_diag *diag;
	const char *origin;
	bool with_lines;
	struct pb_arena *arena;
	struct pb_error *err;
};

static enum pb_status out_of_memory(struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the configuration");
}

/* ---- errors of libfyaml --------------------------------------------------------------- */

/* What the parser complained about first. */
static enum pb_status fail_syntax(const struct reader *r)
{
	void *at = NULL;
	const struct fy_diag_error *error = fy_diag_errors_iterate(r->diag, &at);
	char place[PB_WHERE_SIZE];

	if (error == NULL)
		return pb_fail(r->err, PB_ERR_INPUT, "not valid YAML: %s", r->origin);
	pb_tree_place(r->origin, r->with_lines ? error->line : 0, error->column, place);
	return pb_fail(r->err, PB_ERR_INPUT, "not valid YAML: %s: %s", place, error->msg);
}

/* The next event, to be given back with fy_parser_event_free; NULL in *event at the end. */
static enum pb_status next_event(const struct reader *r, struct fy_event **event)
{
	*event = fy_parser_parse(r->parser);
	if (*event == NULL && (fy_parser_get_stream_error(r->parser) || fy_diag_got_error(r->diag)))
		return fail_syntax(r);
	return PB_OK;
}

static enum pb_status refuse(const struct reader *r, struct fy_event *event, const char *what)
{
	const struct fy_mark *mark = fy_event_start_mark(event);
	char place[PB_WHERE_SIZE];

	pb_tree_place(r->origin, r->with_lines && mark != NULL ? mark->line + 1 : 0,
		      mark == NULL ? 0 : mark->column + 1, place);
	return pb_fail(r->err, PB_ERR_INPUT, "%s: %s: write the value itself", what, place);
}

static struct pb_node *new_node(const struct reader *r, enum pb_node_kind kind,
				struct fy_event *event)
{
	struct pb_node *node = pb_tree_new(kind, r->origin, r->arena);
	const struct fy_mark *mark = event == NULL ? NULL : fy_event_start_mark(event);

	if (node == NULL)
		return NULL;
	if (r->with_lines && mark != NULL) {
		node->line = mark->line + 1;
		node->column = mark->column + 1;
	}
	return node;
}

/* The text of a scalar event, in the arena. */
static char *scalar_text(const struct reader *r, struct fy_event *event)
{
	size_t size = 0;
	const char *text = fy_token_get_text(event->scalar.value, &size);

	return pb_arena_strndup(r->arena, text == NULL ? "" : text, text == NULL ? 0 : size);
}

/* ---- parsing --------------------------------------------------------------------------- */

static enum pb_status parse_node(const struct reader *r, struct fy_event *event, int depth,
				 struct pb_node **out);

static enum pb_status parse_scalar(const struct reader *r, struct fy_event *event,
				   struct pb_node **out)
{
	struct pb_node *node = new_node(r, PB_NODE_SCALAR, event);
	enum fy_scalar_style style;

	if (node == NULL || (node->text = scalar_text(r, event)) == NULL)
		return out_of_memory(r->err);
	if (strlen(node->text) != fy_token_get_text_length(event->scalar.value))
		return refuse(r, event, "NUL character");
	style = fy_token_scalar_style(event->scalar.value);
	node->plain = style == FYSS_PLAIN;
	/* The mark of a quoted text is behind its quote. */
	if (node->line > 0 && (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED))
		node->column--;
	*out = node;
	return PB_OK;
}

/* Items until the end of the list. */
static enum pb_status parse_list(const struct reader *r, struct pb_node *list, int depth)
{
	struct fy_event *event = NULL;
	enum pb_status status;

	for (;;) {
		struct pb_node *item = NULL;

		PB_TRY(next_event(r, &event));
		if (event == NULL || event->type == FYET_SEQUENCE_END)
			break;
		PB_TRY(parse_node(r, event, depth + 1, &item));
		pb_tree_append(list, item);
		fy_parser_event_free(r->parser, event);
		event = NULL;
	}
cleanup:
	fy_parser_event_free(r->parser, event);
	return status;
}

static enum pb_status check_duplicate(const struct reader *r, const struct pb_node *map,
				      const struct pb_node *key)
{
	const struct pb_node *before = pb_tree_child(map, key->text);
	char place[PB_WHERE_SIZE], place_before[PB_WHERE_SIZE];

	if (before == NULL)
		return PB_OK;
	return pb_fail(
	    r->err, PB_ERR_INPUT, "duplicate key: %s (%s): already given at %s: keep one",
	    pb_tree_where(key, place), key->text, pb_tree_where_key(before, place_before));
}

/* Keys and values until the end of the map. */
static enum pb_status parse_map(const struct reader *r, struct pb_node *map, int depth)
{
	struct fy_event *event = NULL;
	enum pb_status status;

	for (;;) {
		struct pb_node *key = NULL, *value = NULL;

		PB_TRY(next_event(r, &event));
		if (event == NULL || event->type == FYET_MAPPING_END)
			break;
		if (event->type != FYET_SCALAR) {
			status = refuse(r, event, "key that is not a text");
			goto cleanup;
		}
		PB_TRY(parse_scalar(r, event, &key));
		assert(key != NULL);
		PB_TRY(check_duplicate(r, map, key));
		fy_parser_event_free(r->parser, event);
		event = NULL;
		PB_TRY(next_event(r, &event));
		if (event == NULL)
			break;
		PB_TRY(parse_node(r, event, depth + 1, &value));
		assert(value != NULL);
		value->key = key->text;
		value->key_line = key->line;
		value->key_column = key->column;
		if (value->line == 0) {
			/* An empty value has no place of its own. */
			value->line = key->line;
			value->column = key->column;
		}
		pb_tree_append(map, value);
		fy_parser_event_free(r->parser, event);
		event = NULL;
	}
cleanup:
	fy_parser_event_free(r->parser, event);
	return status;
}

static enum pb_status parse_node(const struct reader *r, struct fy_event *event, int depth,
				 struct pb_node **out)
{
	if (depth > DEPTH_MAX)
		return refuse(r, event, "nested too deeply");
	if (event->type == FYET_ALIAS || fy_event_get_anchor_token(event) != NULL)
		return refuse(r, event, "anchors and aliases are not available here");
	if (fy_event_get_tag_token(event) != NULL)
		return refuse(r, event, "tags are not available here");
	switch (event->type) {
	case FYET_SCALAR:
		return parse_scalar(r, event, out);
	case FYET_SEQUENCE_START:
		*out = new_node(r, PB_NODE_LIST, event);
		return *out == NULL ? out_of_memory(r->err) : parse_list(r, *out, depth);
	case FYET_MAPPING_START:
		*out = new_node(r, PB_NODE_MAP, event);
		return *out == NULL ? out_of_memory(r->err) : parse_map(r, *out, depth);
	default:
		return pb_fail(r->err, PB_ERR_INTERNAL,
			       "unexpected YAML event %d: %s: report this with the file",
			       (int)event->type, r->origin);
	}
}

/* One document between the events that frame it. */
static enum pb_status parse_stream(const struct reader *r, struct pb_node **root)
{
	struct fy_event *event = NULL;
	enum pb_status status;

	*root = NULL;
	for (;;) {
		PB_TRY(next_event(r, &event));
		if (event == NULL || event->type == FYET_STREAM_END)
			break;
		if (event->type == FYET_DOCUMENT_START && *root != NULL) {
			status = refuse(r, event, "more than one YAML document");
			goto cleanup;
		}
		if (event->type != FYET_STREAM_START && event->type != FYET_DOCUMENT_START &&
		    event->type != FYET_DOCUMENT_END)
			PB_TRY(parse_node(r, event, 0, root));
		fy_parser_event_free(r->parser, event);
		event = NULL;
	}
cleanup:
	fy_parser_event_free(r->parser, event);
	return status;
}

enum pb_status pb_tree_parse(struct pb_node **root, const char *text, size_t size,
			     const char *origin, bool with_lines, struct pb_arena *arena,
			     struct pb_error *err)
{
	struct fy_diag_cfg diag_config;
	struct fy_parse_cfg config = {.flags = FYPCF_QUIET};
	struct reader r = {.origin = origin, .with_lines = with_lines, .arena = arena, .err = err};
	enum pb_status status = pb_tree_check_utf8(text, size, origin, with_lines, err);

	if (status != PB_OK)
		return status;
	fy_diag_cfg_default(&diag_config);
	diag_config.fp = NULL;
	r.diag = fy_diag_create(&diag_config);
	if (r.diag == NULL)
		return out_of_memory(err);
	fy_diag_set_collect_errors(r.diag, true);
	config.diag = r.diag;
	r.parser = fy_parser_create(&config);
	if (r.parser == NULL) {
		status = out_of_memory(err);
		goto cleanup;
	}
	if (fy_parser_set_string(r.parser, text, size) != 0) {
		status = out_of_memory(err);
		goto cleanup;
	}
	PB_TRY(parse_stream(&r, root));
	if (*root == NULL) {
		/* An empty text is an empty value. */
		*root = new_node(&r, PB_NODE_SCALAR, NULL);
		if (*root == NULL) {
			status = out_of_memory(err);
			goto cleanup;
		}
		(*root)->text = "";
		(*root)->plain = true;
	}
cleanup:
	if (r.parser != NULL)
		fy_parser_destroy(r.parser);
	fy_diag_destroy(r.diag);
	return status;
}
