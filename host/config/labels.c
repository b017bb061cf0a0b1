/* Labels of heads, MLPs and receivers, and the named sets that are made of them. */
#include <stdlib.h>
#include <string.h>

#include "config/value_parts.h"

/* ---- labels ----------------------------------------------------------------------------- */

/* A number of a label, without leading zeros, at *text, which then stands behind it. */
static bool scan_number(const char **text, int32_t *number)
{
	const size_t n = strspn(*text, "0123456789");

	if (n == 0 || n > 6 || ((*text)[0] == '0' && n > 1))
		return false;
	*number = (int32_t)strtol(*text, NULL, 10);
	*text += n;
	return true;
}

/* `L3H7` or `M2`, at *text, which then stands behind it. */
static bool scan_member(const char **text, struct pb_member *member)
{
	const bool mlp = (*text)[0] == 'M';

	member->head = -1;
	if (!mlp && (*text)[0] != 'L')
		return false;
	++*text;
	if (!scan_number(text, &member->layer))
		return false;
	if (mlp)
		return true;
	if ((*text)[0] != 'H')
		return false;
	++*text;
	return scan_number(text, &member->head);
}

static bool read_member(const char *text, struct pb_member *member)
{
	return scan_member(&text, member) && text[0] == '\0';
}

/* `L9H6.q`, `L9H2.k`, `L9H2.v`, `M7` or `logits`. */
static bool read_receiver(const char *text, struct pb_receiver_member *receiver)
{
	struct pb_member member;

	*receiver = (struct pb_receiver_member){PB_RECEIVER_LOGITS, -1, -1};
	if (strcmp(text, "logits") == 0)
		return true;
	if (!scan_member(&text, &member))
		return false;
	receiver->layer = member.layer;
	receiver->head = member.head;
	receiver->kind = PB_RECEIVER_MLP;
	if (member.head < 0)
		return text[0] == '\0';
	for (int kind = PB_RECEIVER_Q; kind <= PB_RECEIVER_V; kind++)
		if (text[0] == '.' && strcmp(text + 1, pb_receiver_names[kind]) == 0) {
			receiver->kind = (enum pb_receiver)kind;
			return true;
		}
	return false;
}

static enum pb_status fail_label(const struct pb_walk *w, const struct pb_key *key,
				 const struct pb_node *node, const char *advice)
{
	char what[96];

	(void)snprintf(what, sizeof what, "not a label: '%.40s'", node->text);
	return pb_walk_fail(w, key, node, what, advice);
}

/* ---- receivers -------------------------------------------------------------------------- */

static bool same_receiver(const struct pb_receiver_member *a, const struct pb_receiver_member *b)
{
	return a->kind == b->kind && a->layer == b->layer && a->head == b->head;
}

enum pb_status pb_value_receiver(const struct pb_walk *w, const struct pb_key *key,
				 const struct pb_node *node, struct pb_sweep *sweep)
{
	static const char wanted[] = "give labels: L9H6.q, L9H2.k, L9H2.v, M7 or logits";
	struct pb_receiver_member *receivers;
	enum pb_status status = PB_OK;
	size_t i = 0;
	int index = 0;

	if (node->kind != PB_NODE_LIST) {
		PB_TRY(pb_value_word(w, key, node, &index));
		sweep->receiver = (enum pb_receiver)index;
		fputs(key->words[index], w->resolved);
		return PB_OK;
	}
	PB_TRY(pb_value_list_length(w, key, node, wanted, &sweep->n_receivers));
	receivers = pb_arena_alloc(&w->config->arena, sweep->n_receivers, sizeof *receivers);
	if (receivers == NULL)
		return pb_walk_out_of_memory(w);
	sweep->receiver = PB_RECEIVER_SET;
	sweep->receivers = receivers;
	for (const struct pb_node *item = node->first; item != NULL; item = item->next, i++) {
		PB_TRY(pb_value_scalar(w, key, item, wanted));
		if (!read_receiver(item->text, &receivers[i]))
			return fail_label(w, key, item, wanted);
		for (size_t j = 0; j < i; j++)
			if (same_receiver(&receivers[j], &receivers[i]))
				return pb_walk_fail(w, key, item, "listed twice",
						    "give each receiver once");
		fprintf(w->resolved, "%s%s", i == 0 ? "[" : ", ", item->text);
	}
	fputc(']', w->resolved);
cleanup:
	return status;
}

/* ---- sets ------------------------------------------------------------------------------- */

/* Keys of the map that are no sets. */
static bool is_reserved(const char *name)
{
	return strcmp(name, "top") == 0 || strcmp(name, "random") == 0 ||
	       strcmp(name, "pairs") == 0;
}

/* Names are printed, and stand in result files. */
static enum pb_status check_name(const struct pb_walk *w, const struct pb_node *node)
{
	char place[PB_WHERE_SIZE];
	bool good = node->key[0] != '\0' && strlen(node->key) <= 200;

	for (const char *s = node->key; *s != '\0'; s++)
		good = good && (unsigned char)*s >= 0x20 && *s != 0x7f;
	if (good)
		return PB_OK;
	return pb_fail(w->err, PB_ERR_INPUT,
		       "bad name of a set: %s (sweep.sets): give 1 to 200 printable characters",
		       pb_tree_where_key(node, place));
}

static enum pb_status read_set(const struct pb_walk *w, const struct pb_key *key,
			       const struct pb_node *node, struct pb_set *set)
{
	static const char wanted[] = "give labels of heads and MLPs, for instance [L3H7, M2]";
	struct pb_member *members;
	enum pb_status status;
	size_t i = 0;

	PB_TRY(check_name(w, node));
	/* An empty one fits complements: see pb_sweep_check. */
	if (node->kind != PB_NODE_LIST || node->first != NULL)
		PB_TRY(pb_value_list_length(w, key, node, wanted, &set->n));
	members = pb_arena_alloc(&w->config->arena, set->n, sizeof *members);
	set->name = pb_arena_strdup(&w->config->arena, node->key);
	if (members == NULL || set->name == NULL)
		return pb_walk_out_of_memory(w);
	set->members = members;
	fputc('[', w->resolved);
	for (const struct pb_node *item = node->first; item != NULL; item = item->next, i++) {
		PB_TRY(pb_value_scalar(w, key, item, wanted));
		if (!read_member(item->text, &members[i]))
			return fail_label(w, key, item, wanted);
		for (size_t j = 0; j < i; j++)
			if (members[j].layer == members[i].layer &&
			    members[j].head == members[i].head)
				return pb_walk_fail(w, key, item, "listed twice",
						    "give each member of a set once");
		fprintf(w->resolved, "%s%s", i == 0 ? "" : ", ", item->text);
	}
	fputc(']', w->resolved);
cleanup:
	return status;
}

enum pb_status pb_value_sets(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *map, struct pb_sweep *sweep, const char *margin)
{
	enum pb_status status = PB_OK;
	struct pb_set *sets;
	size_t n = 0;

	for (const struct pb_node *child = map->first; child != NULL; child = child->next)
		n += !is_reserved(child->key);
	if (n > PB_SETS_MAX)
		return pb_walk_fail(w, key, map, "too many sets", "give at most 100000");
	sets = pb_arena_alloc(&w->config->arena, n, sizeof *sets);
	if (sets == NULL)
		return pb_walk_out_of_memory(w);
	sweep->sets = sets;
	for (const struct pb_node *child = map->first; child != NULL; child = child->next) {
		if (is_reserved(child->key))
			continue;
		fputs(margin, w->resolved);
		pb_write_text(w->resolved, child->key);
		fputs(": ", w->resolved);
		PB_TRY(read_set(w, key, child, &sets[sweep->n_sets++]));
		fputc('\n', w->resolved);
	}
cleanup:
	return status;
}
