/* YAML by libfyaml's events, into a tree that keeps file, line and column. */
#include "config/tree.h"

#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

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

static const char *where(const char *origin, int line, int column, char buffer[PB_WHERE_SIZE])
{
	if (line > 0)
		(void)snprintf(buffer, PB_WHERE_SIZE, "%s:%d:%d", origin, line, column);
	else
		(void)snprintf(buffer, PB_WHERE_SIZE, "%s", origin);
	return buffer;
}

const char *pb_tree_where(const struct pb_node *node, char buffer[PB_WHERE_SIZE])
{
	return where(node->origin, node->line, node->column, buffer);
}

const char *pb_tree_where_key(const struct pb_node *node, char buffer[PB_WHERE_SIZE])
{
	return where(node->origin, node->key_line, node->key_column, buffer);
}

bool pb_node_is_null(const struct pb_node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	if (node->kind != PB_NODE_SCALAR || !node->plain)
		return false;
	for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
		if (strcmp(node->text, nulls[i]) == 0)
			return true;
	return false;
}

/* Texts land in the result file, whose strings are UTF-8, and libfyaml drops some bytes that are
 * not. */
static enum pb_status check_utf8(const struct reader *r, const char *text, size_t size)
{
	const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)text;
	utf8proc_int32_t character;
	char place[PB_WHERE_SIZE];
	int line = 1, column = 1;

	for (size_t at = 0; at < size; column++) {
		utf8proc_ssize_t n =
		    utf8proc_iterate(s + at, (utf8proc_ssize_t)(size - at), &character);

		if (n <= 0)
			return pb_fail(r->err, PB_ERR_INPUT, "not UTF-8: %s: save it as UTF-8",
				       where(r->origin, r->with_lines ? line : 0, column, place));
		at += (size_t)n;
		if (character == '\n') {
			line++;
			column = 0;
		}
	}
	return PB_OK;
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
	where(r->origin, r->with_lines ? error->line : 0, error->column, place);
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

	where(r->origin, r->with_lines && mark != NULL ? mark->line + 1 : 0,
	      mark == NULL ? 0 : mark->column + 1, place);
	return pb_fail(r->err, PB_ERR_INPUT, "%s: %s: write the value itself", what, place);
}

/* ---- nodes ----------------------------------------------------------------------------- */

static struct pb_node *new_node(const struct reader *r, enum pb_node_kind kind,
				struct fy_event *event)
{
	struct pb_node *node = pb_arena_alloc(r->arena, 1, sizeof *node);
	const struct fy_mark *mark = event == NULL ? NULL : fy_event_start_mark(event);

	if (node == NULL)
		return NULL;
	node->kind = kind;
	node->origin = r->origin;
	if (r->with_lines && mark != NULL) {
		node->line = mark->line + 1;
		node->column = mark->column + 1;
	}
	return node;
}

static void append(struct pb_node *parent, struct pb_node *child)
{
	child->next = NULL;
	if (parent->last == NULL)
		parent->first = child;
	else
		parent->last->next = child;
	parent->last = child;
}

static void unlink_child(struct pb_node *parent, const struct pb_node *child)
{
	struct pb_node *before = NULL;

	for (struct pb_node *c = parent->first; c != NULL; before = c, c = c->next) {
		if (c != child)
			continue;
		if (before == NULL)
			parent->first = c->next;
		else
			before->next = c->next;
		if (parent->last == c)
			parent->last = before;
		return;
	}
}

struct pb_node *pb_tree_child(const struct pb_node *map, const char *key)
{
	if (map == NULL || map->kind != PB_NODE_MAP)
		return NULL;
	for (struct pb_node *c = map->first; c != NULL; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	return NULL;
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
		append(list, item);
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
		PB_TRY(check_duplicate(r, map, key));
		fy_parser_event_free(r->parser, event);
		event = NULL;
		PB_TRY(next_event(r, &event));
		if (event == NULL)
			break;
		PB_TRY(parse_node(r, event, depth + 1, &value));
		value->key = key->text;
		value->key_line = key->line;
		value->key_column = key->column;
		if (value->line == 0) {
			/* An empty value has no place of its own. */
			value->line = key->line;
			value->column = key->column;
		}
		append(map, value);
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
	enum pb_status status = check_utf8(&r, text, size);

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

/* ---- assignments ----------------------------------------------------------------------- */

/* Item `name` (a decimal number) of a list; NULL when there is none. */
static struct pb_node *list_item(const struct pb_node *list, const char *name)
{
	struct pb_node *item = list->first;
	unsigned long index;
	char *end;

	if (name[0] < '0' || name[0] > '9')
		return NULL;
	index = strtoul(name, &end, 10);
	if (*end != '\0')
		return NULL;
	while (item != NULL && index-- > 0)
		item = item->next;
	return item;
}

/* The child that a step of a dotted key names; NULL in *child when a map has none such yet. */
static enum pb_status step(struct pb_node *parent, const char *name, const char *origin,
			   struct pb_node **child, struct pb_error *err)
{
	*child = NULL;
	if (parent->kind == PB_NODE_MAP) {
		*child = pb_tree_child(parent, name);
		/* `sweep.0.site` also names the one row of a sweep that is not a list. */
		if (*child == NULL && strcmp(name, "0") == 0)
			*child = parent;
		return PB_OK;
	}
	if (parent->kind == PB_NODE_LIST)
		*child = list_item(parent, name);
	if (*child == NULL)
		return pb_fail(err, PB_ERR_INPUT, "no such item: %s: '%s' is not %s", origin, name,
			       parent->kind == PB_NODE_LIST ? "an item of this list (they are "
							      "numbered from 0)"
							    : "inside a map or a list");
	return PB_OK;
}

/* Puts `value` in the place of `old` (NULL: as a new key `name`). */
static void replace(struct pb_node *parent, struct pb_node *old, const char *name,
		    struct pb_node *value)
{
	if (old == NULL) {
		value->key = name;
		append(parent, value);
		return;
	}
	/* In place, so that list items keep their number and a sweep of one row its key. */
	value->key = old->key;
	value->next = old->next;
	*old = *value;
}

static enum pb_status assign(struct pb_node *root, char *path, struct pb_node *value,
			     const struct reader *r)
{
	struct pb_node *parent = root, *child = NULL;
	char *rest = path;

	for (;;) {
		const char *name = strsep(&rest, ".");
		enum pb_status status;

		if (*name == '\0')
			return pb_fail(r->err, PB_ERR_INPUT,
				       "empty key: %s: give --set key=value, with dots between the "
				       "parts of the key",
				       r->origin);
		status = step(parent, name, r->origin, &child, r->err);
		if (status != PB_OK)
			return status;
		if (rest == NULL && !pb_node_is_null(value)) {
			replace(parent, child, name, value);
			return PB_OK;
		}
		if (rest == NULL) {
			if (child == NULL || child == parent)
				return pb_fail(r->err, PB_ERR_INPUT,
					       "nothing to remove: %s: the configuration has no "
					       "such key",
					       r->origin);
			unlink_child(parent, child);
			return PB_OK;
		}
		if (child == NULL) {
			child = new_node(r, PB_NODE_MAP, NULL);
			if (child == NULL)
				return out_of_memory(r->err);
			replace(parent, NULL, name, child);
		}
		parent = child;
	}
}

enum pb_status pb_tree_set(struct pb_node *root, const char *assignment, struct pb_arena *arena,
			   struct pb_error *err)
{
	const size_t size = strlen(assignment) + sizeof "--set ";
	const char *equals = strchr(assignment, '=');
	struct reader r = {.arena = arena, .err = err};
	struct pb_node *value = NULL;
	enum pb_status status;
	char *origin, *path;

	if (equals == NULL || equals == assignment)
		return pb_fail(err, PB_ERR_INPUT,
			       "not an assignment: --set %s: give --set key=value, for instance "
			       "--set task.pairs=20",
			       assignment);
	origin = pb_arena_alloc(arena, size, 1);
	path = pb_arena_strndup(arena, assignment, (size_t)(equals - assignment));
	if (origin == NULL || path == NULL)
		return out_of_memory(err);
	(void)snprintf(origin, size, "--set %s", assignment);
	r.origin = origin;
	PB_TRY(pb_tree_parse(&value, equals + 1, strlen(equals + 1), origin, false, arena, err));
	PB_TRY(assign(root, path, value, &r));
cleanup:
	return status;
}

enum pb_status pb_tree_put_text(struct pb_node *map, const char *key, const char *text,
				const char *origin, struct pb_arena *arena, struct pb_error *err)
{
	const struct reader r = {.origin = origin, .arena = arena, .err = err};
	struct pb_node *node = new_node(&r, PB_NODE_SCALAR, NULL);
	enum pb_status status = check_utf8(&r, text, strlen(text));

	if (status != PB_OK)
		return status;
	if (node == NULL || (node->text = pb_arena_strdup(arena, text)) == NULL)
		return out_of_memory(err);
	replace(map, pb_tree_child(map, key), key, node);
	return PB_OK;
}
