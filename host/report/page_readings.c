/* Readings and patterns of heads, for the page. */
#include <math.h>
#include <stdlib.h>

#include "report/head_readings.h"
#include "report/page_pack.h"
#include "results/schema.h"

#define PATTERNS_MOST 24
#define PATTERN_LENGTH 96 /* tokens: longer ones could not be read */

/* What the patterns of `n_heads` heads on one prompt of a pair take, as numbers of 16 bits. */
static size_t pattern_size(const struct pb_subject *s, size_t pair, size_t n_heads)
{
	const size_t n = (size_t)s->length[pair];

	return pb_packed_size(n_heads * n * n, sizeof(uint16_t));
}

/* How many pairs, from the first, have room; *n_heads is halved until one has. */
static size_t pairs_that_fit(const struct pb_subject *s, size_t room, size_t *n_heads)
{
	size_t n = 0, taken = 0;

	while (*n_heads > 1 && 2 * pattern_size(s, 0, *n_heads) > room)
		*n_heads /= 2;
	for (; *n_heads > 0 && n < s->r.n_pairs && s->length[n] <= PATTERN_LENGTH; n++) {
		taken += 2 * pattern_size(s, n, *n_heads);
		if (taken > room)
			break;
	}
	return n;
}

static int by_number(const void *a, const void *b)
{
	const size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

/* Patterns of a base run as parts of 65,535: of each pair all heads, of each head its queries. */
static enum pb_status pack_side(struct pb_packer *p, const struct pb_subject *s, int side,
				const size_t *heads, size_t n_heads, size_t n_pairs, json_t *object,
				struct pb_error *err)
{
	enum pb_status status;
	uint16_t *all = NULL;
	double *pattern = NULL;
	hid_t dataset = -1;
	size_t n = 0, pair, h, i;

	PB_TRY(pb_saved_patterns_open(s, side, &dataset, err));
	if (dataset < 0)
		return PB_OK;
	for (pair = 0; pair < n_pairs; pair++)
		n += n_heads * (size_t)s->length[pair] * (size_t)s->length[pair];
	PB_TRY(pb_alloc((void **)&all, n, sizeof *all, "patterns", err));
	PB_TRY(pb_alloc((void **)&pattern, s->r.n_positions * s->r.n_positions, sizeof *pattern,
			"patterns", err));
	for (pair = n = 0; pair < n_pairs; pair++)
		for (h = 0; h < n_heads; h++) {
			PB_TRY(pb_saved_pattern_take(s, dataset, pair, heads[h] / s->r.n_heads,
						     heads[h] % s->r.n_heads, pattern, err));
			for (i = 0; i < (size_t)s->length[pair] * (size_t)s->length[pair]; i++)
				all[n++] =
				    isfinite(pattern[i])
					? (uint16_t)lround(65535 * fmin(fmax(pattern[i], 0), 1))
					: 0;
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
	n_pairs = pairs_that_fit(s, p->left / 3, &n_heads);
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
