/* Values of configuration keys that are lists, or may be. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/value_parts.h"

enum pb_status pb_value_list_length(const struct pb_walk *w, const struct pb_key *key,
				    const struct pb_node *node, const char *wanted, size_t *n)
{
	*n = 0;
	if (node->kind != PB_NODE_LIST)
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	for (const struct pb_node *item = node->first; item != NULL; item = item->next)
		++*n;
	if (*n == 0)
		return pb_walk_fail(w, key, node, "empty list", wanted);
	if (*n > PB_LIST_MAX)
		return pb_walk_fail(w, key, node, "list too long", "give at most 20000 items");
	return PB_OK;
}

static void *new_array(const struct pb_walk *w, size_t n, size_t size)
{
	return pb_arena_alloc(&w->config->arena, n, size);
}

/* ---- numbers ---------------------------------------------------------------------------- */

static bool looks_like_number(const struct pb_node *node)
{
	const char *digits = node->text + (node->text[0] == '-' || node->text[0] == '+');

	return node->plain && digits[0] >= '0' && digits[0] <= '9';
}

/* A plain whole number of the key's range. */
static enum pb_status read_int(const struct pb_walk *w, const struct pb_key *key,
			       const struct pb_node *node, int32_t *value)
{
	static const char wanted[] = "give whole numbers";
	enum pb_status status = pb_value_scalar(w, key, node, wanted);
	const char *digits;
	long long number;

	if (status != PB_OK)
		return status;
	digits = node->text + (node->text[0] == '-');
	if (!node->plain || digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0')
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	errno = 0;
	number = strtoll(node->text, NULL, 10);
	if (errno == ERANGE || !((double)number >= key->least && (double)number <= key->most))
		return pb_value_fail_range(w, key, node);
	*value = (int32_t)number;
	return PB_OK;
}

/* A list of whole numbers in `values` and `n`, written; `rising` refuses any other order, and
 * otherwise each number may stand once. */
static enum pb_status read_ints(const struct pb_walk *w, const struct pb_key *key,
				const struct pb_node *node, bool rising, const int32_t **values,
				size_t *n)
{
	enum pb_status status;
	int32_t *array;
	size_t i = 0;

	PB_TRY(pb_value_list_length(w, key, node, "give a list of whole numbers, for instance [3]",
				    n));
	array = new_array(w, *n, sizeof *array);
	if (array == NULL)
		return pb_walk_out_of_memory(w);
	*values = array;
	for (const struct pb_node *item = node->first; item != NULL; item = item->next, i++) {
		PB_TRY(read_int(w, key, item, &array[i]));
		if (rising && i > 0 && array[i] <= array[i - 1])
			return pb_walk_fail(w, key, item, "not in rising order",
					    "give each number once, rising");
		for (size_t j = 0; j < i && !rising; j++)
			if (array[j] == array[i])
				return pb_walk_fail(w, key, item, "listed twice",
						    "give each number once");
		fprintf(w->resolved, "%s%d", i == 0 ? "[" : ", ", (int)array[i]);
	}
	fputc(']', w->resolved);
cleanup:
	return status;
}

static enum pb_status read_numbers(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *node, const double **values, size_t *n)
{
	const bool one = node->kind == PB_NODE_SCALAR;
	enum pb_status status = PB_OK;
	double *array;
	size_t i = 0;

	*n = 1;
	if (!one)
		PB_TRY(pb_value_list_length(w, key, node, "give a number or a list of numbers", n));
	array = new_array(w, *n, sizeof *array);
	if (array == NULL)
		return pb_walk_out_of_memory(w);
	*values = array;
	for (const struct pb_node *item = one ? node : node->first; i < *n;
	     item = item->next, i++) {
		PB_TRY(pb_value_number(w, key, item, &array[i]));
		for (size_t j = 0; j < i; j++)
			if (array[j] == array[i])
				return pb_walk_fail(w, key, item, "listed twice",
						    "give each number once");
		fputs(one ? "" : i == 0 ? "[" : ", ", w->resolved);
		pb_write_number(w->resolved, array[i]);
	}
	fputs(one ? "" : "]", w->resolved);
cleanup:
	return status;
}

/* ---- words ------------------------------------------------------------------------------ */

/* The words whose bits are set. */
static void write_words(const struct pb_walk *w, const struct pb_key *key, unsigned mask)
{
	bool first = true;

	fputc('[', w->resolved);
	for (int i = 0; key->words[i] != NULL; i++) {
		if (!(mask >> i & 1u) || key->words[i][0] == '\0')
			continue;
		fprintf(w->resolved, "%s%s", first ? "" : ", ", key->words[i]);
		first = false;
	}
	fputc(']', w->resolved);
}

static enum pb_status read_words(const struct pb_walk *w, const struct pb_key *key,
				 const struct pb_node *node, unsigned *mask)
{
	const bool scalar = node->kind == PB_NODE_SCALAR;
	char wanted[PB_WORDS_SIZE + 64], words[PB_WORDS_SIZE];
	enum pb_status status = PB_OK;
	int index = 0;

	(void)snprintf(wanted, sizeof wanted, "give a list%s of: %s",
		       key->whole ? ", all or none," : "", pb_key_words(key, words));
	*mask = 0;
	if (node->kind == PB_NODE_MAP || pb_node_is_null(node) || (scalar && !key->whole))
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	for (int i = 0; scalar && key->words[i] != NULL; i++)
		*mask |= strcmp(node->text, "all") == 0 ? 1u << i : 0;
	if (scalar && *mask == 0 && strcmp(node->text, "none") != 0)
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	for (const struct pb_node *item = node->first; item != NULL; item = item->next) {
		PB_TRY(pb_value_word(w, key, item, &index));
		*mask |= 1u << index;
	}
	write_words(w, key, *mask);
cleanup:
	return status;
}

static enum pb_status read_metrics(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *node, unsigned *mask)
{
	static const char wanted[] = "give a list, for instance [logit_diff, kl]";
	bool first = true;

	/* Every summary is of this one. */
	*mask = pb_metric_request("logit_diff");
	if (node->kind != PB_NODE_LIST)
		return pb_walk_fail(w, key, node, "wrong type", wanted);
	for (const struct pb_node *item = node->first; item != NULL; item = item->next) {
		enum pb_status status = pb_value_scalar(w, key, item, "give the name of a metric");

		if (status != PB_OK)
			return status;
		if (pb_metric_request(item->text) == 0)
			return pb_value_fail_word(w, key, item);
		*mask |= pb_metric_request(item->text);
	}
	fputc('[', w->resolved);
	for (int m = 0; m < PB_N_METRICS; m++) {
		const char *word = pb_metric_infos[m].request;

		if (!(*mask >> m & 1u) ||
		    (m > 0 && strcmp(word, pb_metric_infos[m - 1].request) == 0))
			continue;
		fprintf(w->resolved, "%s%s", first ? "" : ", ", word);
		first = false;
	}
	fputc(']', w->resolved);
	return PB_OK;
}

/* ---- of sweeps -------------------------------------------------------------------------- */

static enum pb_status read_roles(const struct pb_walk *w, const struct pb_key *key,
				 const struct pb_node *node, struct pb_sweep *sweep)
{
	enum pb_status status;
	const char **roles;
	size_t i = 0;

	PB_TRY(pb_value_list_length(
	    w, key, node, "give positions, for instance [3, -1], or names of roles, or all",
	    &sweep->n_roles));
	roles = new_array(w, sweep->n_roles, sizeof *roles);
	if (roles == NULL)
		return pb_walk_out_of_memory(w);
	sweep->roles = roles;
	for (const struct pb_node *item = node->first; item != NULL; item = item->next, i++) {
		PB_TRY(pb_value_scalar(w, key, item, "give names of roles"));
		if (looks_like_number(item))
			return pb_walk_fail(w, key, item, "wrong type",
					    "give whole numbers (positions) or names (roles), not "
					    "both");
		for (size_t j = 0; j < i; j++)
			if (strcmp(roles[j], item->text) == 0)
				return pb_walk_fail(w, key, item, "listed twice",
						    "give each role once");
		roles[i] = pb_arena_strdup(&w->config->arena, item->text);
		if (roles[i] == NULL)
			return pb_walk_out_of_memory(w);
		fputs(i == 0 ? "[" : ", ", w->resolved);
		pb_write_text(w->resolved, roles[i]);
	}
	fputc(']', w->resolved);
cleanup:
	return status;
}

static enum pb_status read_positions(const struct pb_walk *w, const struct pb_key *key,
				     const struct pb_node *node, struct pb_sweep *sweep)
{
	enum pb_status status = PB_OK;
	int index = 0;

	if (node->kind == PB_NODE_SCALAR) {
		PB_TRY(pb_value_word(w, key, node, &index));
		sweep->positions = (enum pb_positions)index;
		fputs(key->words[index], w->resolved);
		return PB_OK;
	}
	if (node->kind == PB_NODE_LIST && node->first != NULL &&
	    node->first->kind == PB_NODE_SCALAR && looks_like_number(node->first)) {
		sweep->positions = PB_POSITIONS_LIST;
		return read_ints(w, key, node, false, &sweep->list, &sweep->n_list);
	}
	sweep->positions = PB_POSITIONS_ROLES;
	return read_roles(w, key, node, sweep);
cleanup:
	return status;
}

/* clean, corrupted, or the path of a file. */
static enum pb_status read_over(const struct pb_walk *w, const struct pb_key *key,
				const struct pb_node *node, struct pb_sweep *sweep)
{
	enum pb_status status =
	    pb_value_scalar(w, key, node, "give clean, corrupted or a file of prompts");
	int index;

	if (status != PB_OK)
		return status;
	if (pb_value_is_word(key->words, node->text, &index)) {
		sweep->reference_over = (enum pb_reference_over)index;
		fputs(key->words[index], w->resolved);
		return PB_OK;
	}
	sweep->reference_over = PB_OVER_FILE;
	sweep->reference_path = pb_arena_strdup(&w->config->arena, node->text);
	if (sweep->reference_path == NULL)
		return pb_walk_out_of_memory(w);
	pb_write_text(w->resolved, sweep->reference_path);
	return PB_OK;
}

static enum pb_status read_neurons(const struct pb_walk *w, const struct pb_key *key,
				   const struct pb_node *node, struct pb_sweep *sweep)
{
	sweep->neurons = true;
	if (node->kind == PB_NODE_SCALAR && strcmp(node->text, "all") == 0) {
		fputs("all", w->resolved);
		return PB_OK;
	}
	if (node->kind != PB_NODE_LIST)
		return pb_walk_fail(w, key, node, "wrong type",
				    "give all, or a list of neurons, for instance [0, 17]");
	return read_ints(w, key, node, true, &sweep->neuron_list, &sweep->n_neurons);
}

enum pb_status pb_value_list(const struct pb_walk *w, const struct pb_key *key,
			     const struct pb_node *node, void *base)
{
	void *field = (char *)base + key->offset;
	size_t *n = (size_t *)((char *)base + key->offset_n);

	switch (key->type) {
	case PB_KEY_WORDS:
		return read_words(w, key, node, field);
	case PB_KEY_METRICS:
		return read_metrics(w, key, node, field);
	case PB_KEY_NUMBERS:
		return read_numbers(w, key, node, field, n);
	case PB_KEY_INTS:
		return read_ints(w, key, node, true, field, n);
	case PB_KEY_POSITIONS:
		return read_positions(w, key, node, base);
	case PB_KEY_OVER:
		return read_over(w, key, node, base);
	case PB_KEY_NEURONS:
		return read_neurons(w, key, node, base);
	default:
		return pb_fail(w->err, PB_ERR_INTERNAL, "key without a reader: %s", key->path);
	}
}
