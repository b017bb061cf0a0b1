/* Cells at the places of a map. */
#include "report/place.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t pb_axis_keys(const struct pb_shown_axis *const axes[2])
{
	return (axes[0] != NULL ? axes[0]->n : 1) * (axes[1] != NULL ? axes[1]->n : 1);
}

size_t pb_axis_key(const struct pb_shown_axis *const axes[2], size_t cell)
{
	const size_t first = axes[0] != NULL ? pb_axis_step(axes[0], cell) : 0;

	return axes[1] != NULL ? first * axes[1]->n + pb_axis_step(axes[1], cell) : first;
}

static bool is_here(const struct pb_placing *p, size_t cell)
{
	return (p->only[0] == NULL && p->only[1] == NULL) ||
	       pb_axis_key(p->only, cell) == p->only_key;
}

static int32_t place_of(const int32_t *places, size_t key)
{
	return places != NULL ? places[key] : (int32_t)key;
}

/* -1 where there is none, so that any that is replaces it. */
static double strength(const struct pb_shown_sweep *w, size_t cell)
{
	const double effect = cell == PB_NO_CELL ? NAN : w->columns[0][PB_SHOWN_EFFECT][cell];

	return isfinite(effect) ? fabs(effect) : -1;
}

enum pb_status pb_place_cells(const struct pb_placing *p, struct pb_arena *arena, size_t **cells,
			      struct pb_error *err)
{
	const size_t n = p->n_rows * p->n_columns;
	size_t *out = pb_arena_alloc(arena, n, sizeof *out), c;

	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a map");
	for (c = 0; c < n; c++)
		out[c] = PB_NO_CELL;
	for (c = 0; c < p->sweep->grid.n_cells; c++) {
		const int32_t row = place_of(p->row_of, pb_axis_key(p->rows, c));
		const int32_t column = place_of(p->column_of, pb_axis_key(p->columns, c));
		size_t *at;

		if (row < 0 || column < 0 || !is_here(p, c))
			continue;
		at = &out[(size_t)row * p->n_columns + (size_t)column];
		if (*at == PB_NO_CELL || strength(p->sweep, c) > strength(p->sweep, *at))
			*at = c;
	}
	*cells = out;
	return PB_OK;
}

enum pb_status pb_place_strongest(const struct pb_placing *p,
				  const struct pb_shown_axis *const axes[2], size_t most,
				  struct pb_arena *arena, int32_t **out_places, size_t *n,
				  struct pb_error *err)
{
	enum pb_status status;
	const size_t n_keys = pb_axis_keys(axes);
	struct pb_ranked *keys = NULL;
	int32_t *out = pb_arena_alloc(arena, n_keys, sizeof *out);
	size_t k, c;

	*n = 0;
	PB_TRY(pb_alloc((void **)&keys, n_keys, sizeof *keys, "a map", err));
	if (out == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a map");
		goto cleanup;
	}
	for (k = 0; k < n_keys; k++)
		keys[k] = (struct pb_ranked){-1, k};
	for (c = 0; c < p->sweep->grid.n_cells; c++) {
		k = pb_axis_key(axes, c);
		if (is_here(p, c) && strength(p->sweep, c) > keys[k].size)
			keys[k].size = strength(p->sweep, c);
	}
	pb_rank(keys, n_keys);
	for (k = 0; k < n_keys; k++)
		out[k] = -1;
	for (k = 0; k < n_keys && k < most && keys[k].size >= 0; k++)
		out[keys[k].cell] = 0;
	for (k = 0; k < n_keys; k++)
		if (out[k] == 0)
			out[k] = (int32_t)(*n)++;
	*out_places = out;
cleanup:
	free(keys);
	return status;
}

/* ---- labels -------------------------------------------------------------------------------- */

static bool is_layer(const struct pb_shown_axis *axis)
{
	return axis->kind == PB_AXIS_LAYER || axis->kind == PB_AXIS_SENDER_LAYER ||
	       axis->kind == PB_AXIS_RECEIVER_LAYER;
}

static void key_text(const struct pb_shown_axis *const axes[2], bool mlps, size_t key, char *text,
		     size_t size)
{
	const size_t first = axes[1] != NULL ? key / axes[1]->n : key;

	if (axes[0] == NULL && axes[1] == NULL)
		text[0] = '\0';
	else if (axes[0] == NULL)
		(void)snprintf(text, size, "%g", axes[1]->values[key]);
	else if (axes[1] == NULL)
		(void)snprintf(text, size, mlps ? "M%g" : "%g", axes[0]->values[first]);
	else if (is_layer(axes[0]))
		(void)snprintf(text, size, "L%gH%g", axes[0]->values[first],
			       axes[1]->values[key % axes[1]->n]);
	else
		(void)snprintf(text, size, "%g, %g", axes[0]->values[first],
			       axes[1]->values[key % axes[1]->n]);
}

enum pb_status pb_place_labels(const struct pb_shown_axis *const axes[2], bool mlps,
			       const int32_t *places, size_t n, struct pb_arena *arena,
			       const char ***labels, struct pb_error *err)
{
	const size_t n_keys = pb_axis_keys(axes);
	const char **out = pb_arena_alloc(arena, n, sizeof *out);
	char text[64];
	size_t k;

	for (k = 0; out != NULL && k < n_keys; k++) {
		const int32_t place = place_of(places, k);

		if (place < 0)
			continue;
		key_text(axes, mlps, k, text, sizeof text);
		out[place] = pb_arena_strdup(arena, text);
		if (out[place] == NULL)
			out = NULL;
	}
	*labels = out;
	return out != NULL ? PB_OK : pb_fail(err, PB_ERR_MEMORY, "out of memory: labels");
}

static bool equal_lengths(const struct pb_subject *s)
{
	size_t i;

	for (i = 1; i < s->r.n_pairs; i++)
		if (s->length[i] != s->length[0])
			return false;
	return true;
}

/* The role that every pair has at a position, -1 where they differ. */
static int32_t common_role(const struct pb_subject *s, const struct pb_shown_axis *axis,
			   size_t step)
{
	int32_t role = -1;
	size_t i;

	for (i = 0; i < s->r.n_pairs; i++) {
		const double at = axis->values[step] + (axis->from_end ? s->length[i] : 0);
		int32_t here;

		if (at < 0 || at >= s->length[i])
			continue;
		here = s->roles[i * s->r.n_positions + (size_t)at];
		if (i > 0 && here != role)
			return -1;
		role = here;
	}
	return role;
}

const char *pb_bold_words(const struct pb_subject *s, const uint8_t *bold)
{
	return bold == NULL        ? ""
	       : s->r.n_pairs == 1 ? "; prompts differ where tokens are bold"
				   : "; the first pair's prompts differ where tokens are bold";
}

enum pb_status pb_position_labels_make(struct pb_position_labels *out, struct pb_subject *s,
				       const struct pb_shown_axis *axis, struct pb_arena *arena,
				       struct pb_error *err)
{
	/* positions from the end stand for the same place of each prompt, whatever their lengths */
	const bool tokens = s->n_tokens > 0 && (axis->from_end || equal_lengths(s));
	char text[96];
	size_t i;

	*out =
	    (struct pb_position_labels){.labels = pb_arena_alloc(arena, axis->n, sizeof(char *))};
	if (s->roles != NULL)
		out->roles = pb_arena_alloc(arena, axis->n, sizeof *out->roles);
	if (tokens)
		out->bold = pb_arena_alloc(arena, axis->n, 1);
	out->title = !tokens             ? (axis->from_end ? "position from the end" : "position")
		     : s->r.n_pairs == 1 ? "position: token"
		     : equal_lengths(s)  ? "position: token of the first pair"
					 : "position from the end: token of the first pair";
	for (i = 0; out->labels != NULL && i < axis->n; i++) {
		const double at = axis->values[i] + (axis->from_end ? s->length[0] : 0);

		(void)snprintf(text, sizeof text, "%g", axis->values[i]);
		if (tokens && at >= 0 && at < s->length[0]) {
			out->labels[i] = pb_subject_token_label(s, arena, s->tokens[0][(size_t)at]);
			if (out->bold != NULL)
				out->bold[i] = s->tokens[0][(size_t)at] != s->tokens[1][(size_t)at];
		} else {
			out->labels[i] = pb_arena_strdup(arena, text);
		}
		if (out->roles != NULL)
			out->roles[i] = common_role(s, axis, i);
		if (out->labels[i] == NULL)
			out->labels = NULL;
	}
	if (out->labels == NULL || (s->roles != NULL && out->roles == NULL))
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: labels");
	return PB_OK;
}
