/* Readings and patterns of heads, for the page. */
#include <math.h>
#include <stdlib.h>

#include "report/head_readings.h"
#include "report/page_pack.h"

#define PATTERNS_MOST 24
#define PATTERN_LENGTH 96

static json_t *pack_pattern(struct pb_packer *p, const double *pattern, size_t n, size_t layer,
			    size_t head)
{
	json_t *object = json_pack("{s:I, s:I, s:I}", "layer", (json_int_t)layer, "head",
				   (json_int_t)head, "n", (json_int_t)n);
	uint8_t *bytes = calloc(n, n);
	size_t i;

	for (i = 0; bytes != NULL && i < n * n; i++)
		bytes[i] =
		    isfinite(pattern[i]) ? (uint8_t)lround(255 * fmin(fmax(pattern[i], 0), 1)) : 0;
	if (bytes != NULL)
		pb_pack_set(p, object, "values", pb_pack_bytes(p, bytes, n * n, 1, "u1"));
	p->failed = p->failed || bytes == NULL;
	free(bytes);
	return object;
}

/* Patterns of the strongest heads on the first clean prompt. */
static enum pb_status pack_patterns(struct pb_packer *p, const struct pb_subject *s, json_t *list,
				    struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t heads[PATTERNS_MOST], n = (size_t)s->length[0], n_heads, i;
	double *pattern = NULL;

	n_heads = n <= PATTERN_LENGTH ? pb_strongest_heads(s, PATTERNS_MOST, heads) : 0;
	for (i = 0; i < n_heads && status == PB_OK; i++) {
		const size_t layer = heads[i] / s->r.n_heads, head = heads[i] % s->r.n_heads;

		status = pb_saved_pattern_read(s, 0, layer, head, &pattern, err);
		if (pattern != NULL && status == PB_OK)
			pb_pack_append(p, list, pack_pattern(p, pattern, n, layer, head));
		free(pattern);
		pattern = NULL;
	}
	return status;
}

enum pb_status pb_pack_readings(struct pb_packer *p, const struct pb_subject *s, json_t *file,
				struct pb_error *err)
{
	enum pb_status status;
	struct pb_head_readings readings;
	json_t *heads = json_array(), *patterns = json_array(), *object = json_object(), *reading;
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
	PB_TRY(pack_patterns(p, s, patterns, err));
	pb_pack_set(p, object, "heads", json_incref(heads));
	pb_pack_set(p, object, "patterns", json_incref(patterns));
	pb_pack_set(p, file, "readings", json_incref(object));
cleanup:
	json_decref(heads);
	json_decref(patterns);
	json_decref(object);
	pb_head_readings_free(&readings);
	return status;
}
