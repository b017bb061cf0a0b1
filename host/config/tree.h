/* A YAML document as a tree whose every node knows where it was written. */
#ifndef PATCHBAY_CONFIG_TREE_H
#define PATCHBAY_CONFIG_TREE_H

#include "patchbay/base.h"

enum pb_node_kind { PB_NODE_SCALAR, PB_NODE_LIST, PB_NODE_MAP };

struct pb_node {
	enum pb_node_kind kind;
	const char *origin; /* the file, or the argument ("--set task.pairs=20") */
	int line, column;   /* from 1; line 0: the origin says it all */
	const char *text;   /* scalars: without quotes */
	bool plain;         /* scalars: not quoted */
	const char *key;    /* in a map: its key, and where that was written */
	int key_line, key_column;
	struct pb_node *first, *last; /* children of lists and maps */
	struct pb_node *next;         /* the next child of the same parent */
};

/* Parse one YAML document of maps, lists and scalars into *root. Duplicate keys, several documents,
 * anchors, aliases and tags are refused. `origin` must outlive the tree; with_lines false leaves
 * all lines 0. Everything is allocated in the arena. */
enum pb_status pb_tree_parse(struct pb_node **root, const char *text, size_t size,
			     const char *origin, bool with_lines, struct pb_arena *arena,
			     struct pb_error *err);

/* Apply "a.b.0.c=value" (value is YAML) to the tree, making maps on the way; an empty value removes
 * the key. */
enum pb_status pb_tree_set(struct pb_node *root, const char *assignment, struct pb_arena *arena,
			   struct pb_error *err);

/* Put a text under a key of a map, in place of what is there. */
enum pb_status pb_tree_put_text(struct pb_node *map, const char *key, const char *text,
				const char *origin, struct pb_arena *arena, struct pb_error *err);

/* Child of a map, or NULL (for a NULL map too). */
struct pb_node *pb_tree_child(const struct pb_node *map, const char *key);

/* "FILE:3:7", "--set task.pairs=x"; pb_tree_where_key is the place of the node's key. The text
 * lies in `buffer`. */
#define PB_WHERE_SIZE 512
const char *pb_tree_where(const struct pb_node *node, char buffer[PB_WHERE_SIZE]);
const char *pb_tree_where_key(const struct pb_node *node, char buffer[PB_WHERE_SIZE]);

/* An empty plain scalar, `null` or `~`. */
bool pb_node_is_null(const struct pb_node *node);

#endif
