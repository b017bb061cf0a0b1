/* What value.c, lists.c and labels.c share. */
#ifndef PATCHBAY_CONFIG_VALUE_PARTS_H
#define PATCHBAY_CONFIG_VALUE_PARTS_H

#include "config/value.h"

/* Refuses all but a scalar with something in it. */
enum pb_status pb_value_scalar(const struct pb_walk *w, const struct pb_key *key,
			       const struct pb_node *node, const char *wanted);
enum pb_status pb_value_number(const struct pb_walk *w, const struct pb_key *key,
			       const struct pb_node *node, double *value);
enum pb_status pb_value_word(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *node, int *index);
bool pb_value_is_word(const char *const *words, const char *text, int *index);
enum pb_status pb_value_fail_word(const struct pb_walk *w, const struct pb_key *key,
				  const struct pb_node *node);
enum pb_status pb_value_fail_range(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *node);

/* A text that YAML reads back as itself, with quotes where it needs them; the shortest decimal that
 * reads back as the same double. */
void pb_write_text(FILE *out, const char *text);
void pb_write_number(FILE *out, double value);

/* Keys whose value is a list, or may be one. */
enum pb_status pb_value_list(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *node, void *base);
/* sweep.receiver */
enum pb_status pb_value_receiver(const struct pb_walk *w, const struct pb_key *key,
				 const struct pb_node *node, struct pb_sweep *sweep);

/* Number of items of a list of 1 to PB_LIST_MAX; refused with `wanted` otherwise. Items are
 * compared with one another: the limit keeps that short. */
#define PB_LIST_MAX 20000
enum pb_status pb_value_list_length(const struct pb_walk *w, const struct pb_key *key,
				    const struct pb_node *node, const char *wanted, size_t *n);

#endif
