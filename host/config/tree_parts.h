/* What tree.c and tree_parse.c share. */
#ifndef PATCHBAY_CONFIG_TREE_PARTS_H
#define PATCHBAY_CONFIG_TREE_PARTS_H

#include "config/tree.h"

/* "FILE:3:7", or the origin alone for line 0. */
const char *pb_tree_place(const char *origin, int line, int column, char buffer[PB_WHERE_SIZE]);

enum pb_status pb_tree_check_utf8(const char *text, size_t size, const char *origin,
				  bool with_lines, struct pb_error *err);

/* An empty node without a place; NULL when out of memory. */
struct pb_node *pb_tree_new(enum pb_node_kind kind, const char *origin, struct pb_arena *arena);
void pb_tree_append(struct pb_node *parent, struct pb_node *child);

#endif
