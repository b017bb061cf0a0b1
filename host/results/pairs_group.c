/* The group /pairs, and what the pairs say about themselves. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/layout.h"

/* ---- facts ----------------------------------------------------------------------------- */

static enum pb_status read_extra(struct pb_pair_facts *facts, const struct pb_pairs *pairs,
				 size_t i, struct pb_error *err)
{
	json_error_t where;
	json_t *extra = json_loads(pairs->items[i].extra, JSON_REJECT_DUPLICATES, &where);
	const char *corrupt;

	if (!json_is_object(extra)) {
		json_decref(extra);
		return pb_fail(err, PB_ERR_INPUT,
			       "keys of a pair are not a JSON object: pair %zu: %s", i, where.text);
	}
	corrupt = json_string_value(json_object_get(extra, "corrupt"));
	facts->distractor[i] = corrupt != NULL && strcmp(corrupt, "distractor") == 0;
	facts->foil_right[i] = !json_is_false(json_object_get(extra, "foil_is_right"));
	facts->n_distractor += facts->distractor[i];
	json_decref(extra);
	return PB_OK;
}

enum pb_status pb_pair_facts_new(struct pb_pair_facts *facts, const struct pb_pairs *pairs,
				 struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	*facts = (struct pb_pair_facts){0};
	PB_TRY(pb_alloc((void **)&facts->distractor, pairs->n, sizeof(bool), "pairs", err));
	PB_TRY(pb_alloc((void **)&facts->foil_right, pairs->n, sizeof(bool), "pairs", err));
	PB_TRY(pb_alloc((void **)&facts->right, pairs->n, sizeof(bool), "pairs", err));
	PB_TRY(pb_alloc((void **)&facts->missing, pairs->n, sizeof(bool), "pairs", err));
	for (i = 0; i < pairs->n; i++)
		PB_TRY(read_extra(facts, pairs, i, err));
	return PB_OK;
cleanup:
	pb_pair_facts_free(facts);
	return status;
}

void pb_pair_facts_judge(struct pb_pair_facts *facts, size_t n_pairs, const double *clean,
			 const double *corrupted)
{
	size_t i;

	facts->n_right = 0;
	for (i = 0; i < n_pairs; i++) {
		bool corrupted_right = facts->distractor[i]    ? corrupted[i] > 0
				       : !facts->foil_right[i] ? true
							       : corrupted[i] < 0;

		facts->right[i] = clean[i] > 0 && corrupted_right;
		facts->n_right += facts->right[i];
	}
}

void pb_pair_facts_free(struct pb_pair_facts *facts)
{
	free(facts->distractor);
	free(facts->foil_right);
	free(facts->right);
	free(facts->missing);
	*facts = (struct pb_pair_facts){0};
}

/* ---- datasets -------------------------------------------------------------------------- */

typedef const int32_t *(*ids_of)(const struct pb_pair *pair, size_t *n);

static const int32_t *clean_of(const struct pb_pair *pair, size_t *n)
{
	*n = pair->length;
	return pair->clean;
}

static const int32_t *corrupted_of(const struct pb_pair *pair, size_t *n)
{
	*n = pair->length;
	return pair->corrupted;
}

static const int32_t *candidates_of(const struct pb_pair *pair, size_t *n)
{
	*n = pair->n_candidates;
	return pair->candidates;
}

static const int32_t *roles_of(const struct pb_pair *pair, size_t *n)
{
	*n = pair->roles == NULL ? 0 : pair->length;
	return pair->roles;
}

/* A table of ids, -1 past each pair's own. */
static enum pb_status write_ids(const struct pb_layout *layout, hid_t group,
				const struct pb_pairs *pairs, enum pb_pairs_field field, ids_of get,
				struct pb_error *err)
{
	enum pb_status status;
	const struct pb_field *row = &pb_pairs_fields[field];
	const size_t width = layout->sizes[row->dims[1]];
	int32_t *table = NULL;
	size_t i, j, n, cells;

	if (!pb_size_mul(pairs->n, width, &cells))
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: %s", row->name);
	PB_TRY(pb_alloc((void **)&table, cells, sizeof *table, row->name, err));
	for (i = 0; i < pairs->n; i++) {
		const int32_t *ids = get(&pairs->items[i], &n);

		for (j = 0; j < width; j++)
			table[i * width + j] = j < n ? ids[j] : -1;
	}
	status = pb_field_write(layout, group, row, NULL, "", table, err);
cleanup:
	free(table);
	return status;
}

static int32_t number_of(const struct pb_pair *pair, enum pb_pairs_field field)
{
	switch (field) {
	case PB_PAIRS_LENGTH:
		return (int32_t)pair->length;
	case PB_PAIRS_ANSWER_TOKEN:
		return pair->answer;
	case PB_PAIRS_FOIL_TOKEN:
		return pair->foil;
	default:
		return (int32_t)pair->first_difference;
	}
}

static const char *text_of(const struct pb_pair *pair, enum pb_pairs_field field)
{
	switch (field) {
	case PB_PAIRS_CLEAN_TEXT:
		return pair->clean_text;
	case PB_PAIRS_CORRUPTED_TEXT:
		return pair->corrupted_text;
	case PB_PAIRS_ANSWER_TEXT:
		return pair->answer_text;
	case PB_PAIRS_FOIL_TEXT:
		return pair->foil_text;
	default:
		return pair->extra;
	}
}

static enum pb_status write_columns(const struct pb_layout *layout, hid_t group,
				    const struct pb_pairs *pairs, const struct pb_pair_facts *facts,
				    struct pb_error *err)
{
	enum pb_status status;
	int32_t *numbers = NULL;
	const char **texts = NULL;
	uint8_t *right = NULL;
	size_t i;
	int f;

	PB_TRY(pb_alloc((void **)&numbers, pairs->n, sizeof *numbers, "pairs", err));
	PB_TRY(pb_alloc((void **)&texts, pairs->n, sizeof *texts, "pairs", err));
	PB_TRY(pb_alloc((void **)&right, pairs->n, 1, "pairs", err));
	for (f = PB_PAIRS_LENGTH; f <= PB_PAIRS_FIRST_DIFFERENCE; f++) {
		for (i = 0; i < pairs->n; i++)
			numbers[i] = number_of(&pairs->items[i], (enum pb_pairs_field)f);
		PB_TRY(pb_field_write(layout, group, &pb_pairs_fields[f], NULL, "", numbers, err));
	}
	for (f = PB_PAIRS_CLEAN_TEXT; f <= PB_PAIRS_EXTRA; f++) {
		for (i = 0; i < pairs->n; i++)
			texts[i] = text_of(&pairs->items[i], (enum pb_pairs_field)f);
		PB_TRY(pb_field_write(layout, group, &pb_pairs_fields[f], NULL, "",
				      (const void *)texts, err));
	}
	for (i = 0; i < pairs->n; i++)
		right[i] = facts->right[i];
	status =
	    pb_field_write(layout, group, &pb_pairs_fields[PB_PAIRS_RIGHT], NULL, "", right, err);
cleanup:
	free(numbers);
	free(texts);
	free(right);
	return status;
}

enum pb_status pb_role_names_write(const struct pb_layout *layout, hid_t group,
				   const struct pb_pairs *pairs, struct pb_axes *axes,
				   struct pb_error *err)
{
	enum pb_status status;

	*axes = (struct pb_axes){.n = 1, .items = {{PB_DIM_ROLE, pairs->n_roles, group}}};
	PB_TRY(pb_axes_scales_write(axes, err));
	PB_TRY(pb_field_write(layout, group, &pb_extra_fields[PB_EXTRA_ROLE_NAME], axes, "",
			      (const void *)pairs->roles, err));
cleanup:
	return status;
}

static enum pb_status write_roles(const struct pb_layout *layout, hid_t group,
				  const struct pb_pairs *pairs, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_axes axes;

	if (pairs->n_roles == 0)
		return PB_OK;
	PB_TRY(write_ids(layout, group, pairs, PB_PAIRS_ROLES, roles_of, err));
	PB_TRY(pb_role_names_write(layout, group, pairs, &axes, err));
cleanup:
	return status;
}

enum pb_status pb_pairs_group_write(const struct pb_layout *layout, const struct pb_pairs *pairs,
				    const struct pb_pair_facts *facts, struct pb_error *err)
{
	enum pb_status status;
	hid_t group = -1;

	PB_TRY(pb_h5_group_create(&group, layout->file, "pairs", err));
	PB_TRY(pb_h5_put_int(group, "n_right", (int64_t)facts->n_right, err));
	PB_TRY(pb_h5_put_int(group, "n_distractor", (int64_t)facts->n_distractor, err));
	PB_TRY(pb_h5_put_int(group, "bos", pairs->bos, err));
	PB_TRY(write_ids(layout, group, pairs, PB_PAIRS_CLEAN_TOKENS, clean_of, err));
	PB_TRY(write_ids(layout, group, pairs, PB_PAIRS_CORRUPTED_TOKENS, corrupted_of, err));
	PB_TRY(write_ids(layout, group, pairs, PB_PAIRS_CANDIDATES, candidates_of, err));
	PB_TRY(write_roles(layout, group, pairs, err));
	PB_TRY(write_columns(layout, group, pairs, facts, err));
	PB_TRY(pb_field_write(layout, group, &pb_pairs_fields[PB_PAIRS_TOKEN_ID], NULL, "",
			      pairs->token_ids, err));
	PB_TRY(pb_field_write(layout, group, &pb_pairs_fields[PB_PAIRS_TOKEN_TEXT], NULL, "",
			      (const void *)pairs->token_texts, err));
cleanup:
	pb_h5_drop(group);
	return status;
}
