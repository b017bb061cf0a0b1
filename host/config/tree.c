/* The configuration as a tree: places, nodes, assignments. */
#include "config/tree.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "config/tree_parts.h"

static enum pb_status out_of_memory(struct pb_error *err)
{
	return pb_fail(err, PB_ERR_MEMORY, "out of memory: the configuration");
}

const char *pb_tree_place(const char *origin, int line, int column, char buffer[PB_WHERE_SIZE])
{
	if (line > 0)
		(void)snprintf(buffer, PB_WHERE_SIZE, "%s:%d:%d", origin, line, column);
	else
		(void)snprintf(buffer, PB_WHERE_SIZE, "%s", origin);
	return buffer;
}

const char *pb_tree_where(const struct pb_node *node, char buffer[PB_WHERE_SIZE])
{
	return pb_tree_place(node->origin, node->line, node->column, buffer);
}

const char *pb_tree_where_key(const struct pb_node *node, char buffer[PB_WHERE_SIZE])
{
	return pb_tree_place(node->origin, node->key_line, node->key_column, buffer);
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
enum pb_status pb_tree_check_utf8(const char *text, size_t size, const char *origin,
				  bool with_lines, struct pb_error *err)
{
	const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)text;
	utf8proc_int32_t character;
	char place[PB_WHERE_SIZE];
	int line = 1, column = 1;

	for (size_t at = 0; at < size; column++) {
		utf8proc_ssize_t n =
		    utf8proc_iterate(s + at, (utf8proc_ssize_t)(size - at), &character);

		if (n <= 0)
			return pb_fail(err, PB_ERR_INPUT, "not UTF-8: %s: save it as UTF-8",
				       pb_tree_place(origin, with_lines ? line : 0, column, place));
		at += (size_t)n;
		if (character == '\n') {
			line++;
			column = 0;
		}
	}
	return PB_OK;
}

/* ---- nodes ----------------------------------------------------------------------------- */

struct pb_node *pb_tree_new(enum pb_node_kind kind, const char *origin, struct pb_arena *arena)
{
	struct pb_node *node = pb_arena_alloc(arena, 1, sizeof *node);

	if (node != NULL) {
		node->kind = kind;
		node->origin = origin;
	}
	return node;
}

void pb_tree_append(struct pb_node *parent, struct pb_node *child)
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
		pb_tree_append(parent, value);
		return;
	}
	/* In place, so that list items keep their number and a sweep of one row its key. */
	value->key = old->key;
	value->next = old->next;
	*old = *value;
}

static enum pb_status assign(struct pb_node *root, char *path, struct pb_node *value,
			     struct pb_arena *arena, struct pb_error *err)
{
	struct pb_node *parent = root, *child = NULL;
	char *rest = path;

	for (;;) {
		const char *name = strsep(&rest, ".");
		enum pb_status status;

		if (*name == '\0')
			return pb_fail(err, PB_ERR_INPUT,
				       "empty key: %s: give --set key=value, with dots between the "
				       "parts of the key",
				       value->origin);
		status = step(parent, name, value->origin, &child, err);
		if (status != PB_OK)
			return status;
		if (rest == NULL && !pb_node_is_null(value)) {
			replace(parent, child, name, value);
			return PB_OK;
		}
		if (rest == NULL) {
			if (child == NULL || child == parent)
				return pb_fail(err, PB_ERR_INPUT,
					       "nothing to remove: %s: the configuration has no "
					       "such key",
					       value->origin);
			unlink_child(parent, child);
			return PB_OK;
		}
		if (child == NULL) {
			child = pb_tree_new(PB_NODE_MAP, value->origin, arena);
			if (child == NULL)
				return out_of_memory(err);
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
	PB_TRY(pb_tree_parse(&value, equals + 1, strlen(equals + 1), origin, false, arena, err));
	PB_TRY(assign(root, path, value, arena, err));
cleanup:
	return status;
}

enum pb_status pb_tree_put_text(struct pb_node *map, const char *key, const char *text,
				const char *origin, struct pb_arena *arena, struct pb_error *err)
{
	struct pb_node *node = pb_tree_new(PB_NODE_SCALAR, origin, arena);
	enum pb_status status = pb_tree_check_utf8(text, strlen(text), origin, false, err);

	if (status != PB_OK)
		return status;
	if (node == NULL || (node->text = pb_arena_strdup(arena, text)) == NULL)
		return out_of_memory(err);
	replace(map, pb_tree_child(map, key), key, node);
	return PB_OK;
}
