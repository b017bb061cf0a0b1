/* What tells the sweeps of a file apart whose names say the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/subject_read.h"

#define TEXT_MOST 48           /* bytes of an option in a title */
#define NUMBERS_MOST (1 << 20) /* of an attribute */
#define VALUES_MOST 64         /* numbers of an option */

/* Attributes of a sweep's group that its name does not say, as people read them; the last are no
 * attributes: the named sets. */
static const struct {
	const char *attribute, *words;
} options[] = {{"list", "positions"},
	       {"roles", "roles"},
	       {"alpha", "alpha"},
	       {"layers", "layers"},
	       {"heads", "heads"},
	       {"neurons", "neurons"},
	       {"receivers", "to"},
	       {"receiver_layers", "receivers in layers"},
	       {"receiver_heads", "receiver heads"},
	       {"vector", "vector"},
	       {"subspace", "subspace"},
	       {"reference_over", "mean over"},
	       {"reference_file", "of"},
	       {"reference_by", "by"},
	       {"min_gap", "min_gap"},
	       {"sets_top_file", "top of"},
	       {"sets_top_sweep", "sweep"},
	       {"sets_top_k", "top"},
	       {"sets_top_layers", "top of layers"},
	       {"sets_random_size", "random sets of size"},
	       {"sets_random_count", "random sets"},
	       {"sets_random_match", "random sets matched by"},
	       {"sets_random_seed", "random seed"},
	       {"seed", "seed"},
	       {NULL, "sets"}};
#define N_OPTIONS (sizeof options / sizeof *options)

/* ---- options as texts ---------------------------------------------------------------------- */

static enum pb_status put_numbers(FILE *out, hid_t attribute, const char *name,
				  struct pb_error *err)
{
	const hid_t space = H5Aget_space(attribute);
	const hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
	enum pb_status status = PB_OK;
	double *values = NULL;
	hssize_t i;

	pb_h5_drop(space);
	if (n < 0 || n > NUMBERS_MOST)
		return pb_h5_fail(err, PB_ERR_CHECK, "attribute is not what it should be: %s",
				  name);
	PB_TRY(pb_alloc((void **)&values, (size_t)n, sizeof *values, name, err));
	if (H5Aread(attribute, H5T_NATIVE_DOUBLE, values) < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read attribute: %s", name);
		goto cleanup;
	}
	for (i = 0; i < n && i < VALUES_MOST; i++)
		fprintf(out, values[i] == rint(values[i]) ? "%s%.0f" : "%s%.6g", i > 0 ? ", " : "",
			values[i]);
	if (n > VALUES_MOST)
		fprintf(out, " and %lld more", (long long)(n - VALUES_MOST));
cleanup:
	free(values);
	return status;
}

static enum pb_status put_attribute(FILE *out, hid_t group, const char *name, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t attribute = -1, type = -1;
	char *text = NULL;

	if (!pb_h5_has(group, name))
		return PB_OK;
	attribute = H5Aopen(group, name, H5P_DEFAULT);
	type = attribute >= 0 ? H5Aget_type(attribute) : -1;
	if (type < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read attribute: %s", name);
		goto cleanup;
	}
	if (H5Tget_class(type) == H5T_STRING) {
		PB_TRY(pb_h5_get_text(group, name, &text, err));
		fputs(text, out);
	} else {
		PB_TRY(put_numbers(out, attribute, name, err));
	}
cleanup:
	free(text);
	pb_h5_drop(type);
	pb_h5_drop(attribute);
	return status;
}

static void put_named_sets(FILE *out, const struct pb_sweep *sweep)
{
	size_t i, n = 0;

	for (i = 0; i < sweep->n_sets; i++)
		if (sweep->sets[i].source == PB_SET_NAMED)
			fprintf(out, "%s%s", n++ > 0 ? ", " : "", sweep->sets[i].name);
}

/* Texts of all options, "" without one, in the subject's arena. */
static enum pb_status read_options(struct pb_subject *s, size_t sweep, const char *texts[N_OPTIONS],
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char *path = pb_format("sweeps/%s", s->r.sweeps[sweep].name), *text = NULL;
	FILE *out = NULL;
	hid_t group = -1;
	size_t size, o;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: sweeps");
	PB_TRY(pb_h5_group_open(&group, s->r.file, path, err));
	for (o = 0; o < N_OPTIONS; o++) {
		out = open_memstream(&text, &size);
		if (out == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: sweeps");
			goto cleanup;
		}
		if (options[o].attribute == NULL)
			put_named_sets(out, &s->sweeps[sweep].grid.sweep);
		else
			status = put_attribute(out, group, options[o].attribute, err);
		texts[o] = fclose(out) == 0 ? pb_subject_keep(s, text, size) : NULL;
		free(text);
		text = NULL;
		if (status == PB_OK && texts[o] == NULL)
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: sweeps");
		PB_TRY(status);
	}
cleanup:
	free(path);
	pb_h5_drop(group);
	return status;
}

/* ---- what differs -------------------------------------------------------------------------- */

static bool same_name(const struct pb_subject *s, size_t a, size_t b)
{
	return strcmp(pb_result_sweep_words(&s->r.sweeps[a]),
		      pb_result_sweep_words(&s->r.sweeps[b])) == 0;
}

/* Whether sweeps that are called as this one is have an option of another value. */
static bool varies(const struct pb_subject *s, const char *(*texts)[N_OPTIONS], size_t sweep,
		   size_t option)
{
	size_t i;

	for (i = 0; i < s->n_sweeps; i++)
		if (same_name(s, sweep, i) && strcmp(texts[sweep][option], texts[i][option]) != 0)
			return true;
	return false;
}

/* A value cut to what a title has room for, not within a character. */
static void put_value(FILE *out, const char *words, const char *value)
{
	size_t n = strlen(value);
	const bool cut = n > TEXT_MOST;

	if (n == 0) { /* a sweep that names no layers is over all of them */
		const bool all = strcmp(words, "layers") == 0 || strcmp(words, "heads") == 0 ||
				 strcmp(words, "neurons") == 0;

		fprintf(out, "%s %s", all ? "all" : "no", words);
		return;
	}
	if (cut)
		for (n = TEXT_MOST; n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80;)
			n--;
	fprintf(out, "%s %.*s%s", words, (int)n, value, cut ? "\xe2\x80\xa6" : "");
}

static enum pb_status describe(struct pb_subject *s, const char *(*texts)[N_OPTIONS], size_t sweep,
			       struct pb_error *err)
{
	char *text = NULL;
	size_t size = 0, o, n = 0;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: sweeps");
	for (o = 0; o < N_OPTIONS; o++)
		if (varies(s, texts, sweep, o)) {
			fputs(n++ > 0 ? ", " : "", out);
			put_value(out, options[o].words, texts[sweep][o]);
		}
	s->sweeps[sweep].differs = fclose(out) == 0 ? pb_subject_keep(s, text, size) : NULL;
	free(text);
	return s->sweeps[sweep].differs != NULL
		   ? PB_OK
		   : pb_fail(err, PB_ERR_MEMORY, "out of memory: sweeps");
}

/* Where nothing else tells them apart, their numbers do. */
static enum pb_status number_sweep(struct pb_subject *s, size_t sweep, const char **numbered,
				   struct pb_error *err)
{
	const char *differs = s->sweeps[sweep].differs;
	char *text;
	size_t i, alike = 0;

	for (i = 0; i < s->n_sweeps; i++)
		alike += same_name(s, sweep, i) && strcmp(differs, s->sweeps[i].differs) == 0;
	*numbered = differs;
	if (alike < 2)
		return PB_OK;
	text = pb_format("%s%ssweep %zu", differs, differs[0] != '\0' ? ", " : "", sweep);
	*numbered = text != NULL ? pb_arena_strdup(&s->arena, text) : NULL;
	free(text);
	return *numbered != NULL ? PB_OK : pb_fail(err, PB_ERR_MEMORY, "out of memory: sweeps");
}

enum pb_status pb_subject_name_sweeps(struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const char *(*texts)[N_OPTIONS] = NULL;
	size_t i;

	if (s->n_sweeps == 0)
		return PB_OK;
	PB_TRY(pb_alloc((void **)&texts, s->n_sweeps, sizeof *texts, "sweeps", err));
	for (i = 0; i < s->n_sweeps; i++)
		PB_TRY(read_options(s, i, texts[i], err));
	for (i = 0; i < s->n_sweeps; i++)
		PB_TRY(describe(s, texts, i, err));
	for (i = 0; i < s->n_sweeps; i++)
		PB_TRY(number_sweep(s, i, &texts[i][0], err));
	for (i = 0; i < s->n_sweeps; i++)
		s->sweeps[i].differs = texts[i][0];
cleanup:
	free(texts);
	return status;
}
