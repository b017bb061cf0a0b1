/* Readings and patterns of heads, for the page. */
#include <math.h>
#include <stdlib.h>

#include "report/head_readings.h"
#include "report/page_pack.h"
#include "results/schema.h"

#define PATTERNS_MOST 24
#define PATTERN_LENGTH 96 /* tokens: longer ones could not be read */

#define HEADS_LEAST                                                                                \
	6 /* more heads than these give way to pairs, as long as there are few of them */
#define PAIRS_WANTED 8

/* A query reads no later key: queries with their keys, one behind another. */
static size_t n_weights(size_t n)
{
	return n * (n + 1) / 2;
}

/* How many pairs, from the first, have room for n_heads on both prompts, as numbers of 16 bits. */
static size_t pairs_that_fit(const struct pb_subject *s, size_t room, size_t n_heads)
{
	size_t n, taken = 0;

	for (n = 0; n_heads > 0 && n < s->r.n_pairs && s->length[n] <= PATTERN_LENGTH; n++) {
		taken +=
		    2 * pb_packed_size(n_heads * n_weights((size_t)s->length[n]), sizeof(uint16_t));
		if (taken > room)
			break;
	}
	return n;
}

/* Of how many heads and pairs there are patterns. */
static size_t choose_pairs(const struct pb_subject *s, size_t room, size_t *n_heads)
{
	const size_t wanted = s->r.n_pairs < PAIRS_WANTED ? s->r.n_pairs : PAIRS_WANTED;
	size_t n = pairs_that_fit(s, room, *n_heads);

	while ((n<wanted && * n_heads> HEADS_LEAST) || (n == 0 && *n_heads > 1)) {
		*n_heads /= 2;
		n = pairs_that_fit(s, room, *n_heads);
	}
	return n;
}

static int by_number(const void *a, const void *b)
{
	const size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static uint16_t as_part(double weight)
{
	return isfinite(weight) ? (uint16_t)lround(65535 * fmin(fmax(weight, 0), 1)) : 0;
}

/* Patterns of a base run as parts of 65,535: of each pair all heads, of each head its queries, of
 * each query the keys up to itself. */
static enum pb_status pack_side(struct pb_packer *p, const struct pb_subject *s, int side,
				const size_t *heads, size_t n_heads, size_t n_pairs, json_t *object,
				struct pb_error *err)
{
	enum pb_status status;
	uint16_t *all = NULL;
	double *pattern = NULL;
	hid_t dataset = -1;
	size_t n = 0, pair, h, q, k;

	PB_TRY(pb_saved_patterns_open(s, side, &dataset, err));
	if (dataset < 0)
		return PB_OK;
	for (pair = 0; pair < n_pairs; pair++)
		n += n_heads * n_weights((size_t)s->length[pair]);
	PB_TRY(pb_alloc((void **)&all, n, sizeof *all, "patterns", err));
	PB_TRY(pb_alloc((void **)&pattern, s->r.n_positions * s->r.n_positions, sizeof *pattern,
			"patterns", err));
	for (pair = n = 0; pair < n_pairs; pair++)
		for (h = 0; h < n_heads; h++) {
			PB_TRY(pb_saved_pattern_take(s, dataset, pair, heads[h] / s->r.n_heads,
						     heads[h] % s->r.n_heads, pattern, err));
			for (q = 0; q < (size_t)s->length[pair]; q++)
				for (k = 0; k <= q; k++)
					all[n++] =
					    as_part(pattern[q * (size_t)s->length[pair] + k]);
		}
	pb_pack_set(p, object, pb_side_names[side], pb_pack_bytes(p, all, n, sizeof *all, "u2"));
cleanup:
	pb_h5_drop(dataset);
	free(all);
	free(pattern);
	return status;
}

/* Patterns of the strongest heads on both prompts of the first pairs, in a third of what is left.
 */
static enum pb_status pack_patterns(struct pb_packer *p, const struct pb_subject *s, json_t *object,
				    struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t heads[PATTERNS_MOST], n_heads, n_pairs, i;
	json_t *patterns, *list = json_array();
	int side;

	n_heads = pb_strongest_heads(s, PATTERNS_MOST, heads);
	n_pairs = choose_pairs(s, p->left / 2, &n_heads);
	if (n_pairs == 0)
		n_heads = 0;
	qsort(heads, n_heads, sizeof *heads, by_number);
	patterns = json_object();
	pb_pack_set(p, object, "patterns", patterns);
	for (i = 0; i < n_heads; i++)
		pb_pack_append(p, list, json_integer((json_int_t)heads[i]));
	pb_pack_set(p, patterns, "heads", list);
	pb_pack_set(p, patterns, "pairs", json_integer((json_int_t)n_pairs));
	pb_pack_set(p, patterns, "saved",
		    json_boolean(pb_h5_exists(s->r.file, "activations/clean/pattern") ||
				 pb_h5_exists(s->r.file, "activations/corrupted/pattern")));
	for (side = 0; side < 2 && n_heads > 0; side++)
		PB_TRY(pack_side(p, s, side, heads, n_heads, n_pairs, patterns, err));
cleanup:
	return status;
}

enum pb_status pb_pack_readings(struct pb_packer *p, const struct pb_subject *s, json_t *file,
				struct pb_error *err)
{
	enum pb_status status;
	struct pb_head_readings readings;
	json_t *heads = json_array(), *object = json_object(), *reading;
	size_t i;

	PB_TRY(pb_head_readings_read(&readings, s, err));
	for (i = 0; i < readings.n; i++) {
		reading = json_object();
		pb_pack_set(p, reading, "name", pb_pack_text(readings.items[i].name));
		pb_pack_set(
		    p, reading, "values",
		    pb_pack_floats(p, readings.items[i].values, s->r.n_layers * s->r.n_heads));
		pb_pack_append(p, heads, reading);
	}
	PB_TRY(pack_patterns(p, s, object, err));
	pb_pack_set(p, object, "heads", json_incref(heads));
	pb_pack_set(p, file, "readings", json_incref(object));
cleanup:
	json_decref(heads);
	json_decref(object);
	pb_head_readings_free(&readings);
	return status;
}
