/* A comparison of files for the page: all its rows (pb_compare_fields) with their intervals. */
#include <stdlib.h>
#include <string.h>

#include "report/page_pack.h"
#include "report/subject_read.h"
#include "results/compare.h"
#include "results/schema.h"

#define GROUP "comparison/"

struct context {
	struct pb_packer *p;
	struct pb_subject *s;
	size_t sizes[PB_N_DIMS]; /* of the dimensions that a comparison has */
};

static enum pb_status read_sizes(struct context *c, struct pb_error *err)
{
	static const enum pb_dim dims[] = {PB_DIM_FILE, PB_DIM_BIN, PB_DIM_RANK};
	enum pb_status status = PB_OK;
	char path[64];
	size_t i;

	for (i = 0; i < sizeof dims / sizeof *dims; i++) {
		(void)snprintf(path, sizeof path, GROUP "%s", pb_dim_name(dims[i]));
		PB_TRY(pb_result_size(c->s->r.file, path, &c->sizes[dims[i]], err));
	}
cleanup:
	return status;
}

/* Its shape: rank, and how many values. */
static int shape_of(const struct context *c, const struct pb_field *field, size_t dims[5],
		    size_t *count)
{
	int rank = 0;

	*count = 1;
	for (; rank < 5 && field->dims[rank] != PB_DIM_NONE; rank++) {
		dims[rank] = c->sizes[field->dims[rank]];
		*count *= dims[rank];
	}
	return rank;
}

/* object[key] = <name><end><suffix> where the file has it. */
static enum pb_status pack_values(struct context *c, json_t *object, const char *key,
				  const struct pb_field *field, const char *end, const char *suffix,
				  struct pb_error *err)
{
	enum pb_status status = PB_OK;
	double *values = NULL;
	const char **texts = NULL;
	size_t dims[5], count;
	const int rank = shape_of(c, field, dims, &count);
	char path[128];

	(void)snprintf(path, sizeof path, GROUP "%s%s%s", field->name, end, suffix);
	if (field->type == PB_TYPE_TEXT) {
		PB_TRY(pb_subject_read_texts(c->s, path, count, &texts, err));
		if (texts != NULL)
			pb_pack_set(c->p, object, key, pb_pack_texts(c->p, texts, count));
		return PB_OK;
	}
	PB_TRY(pb_subject_numbers(c->s, path, rank, dims, &values, err));
	if (values != NULL)
		pb_pack_set(c->p, object, key, pb_pack_doubles(c->p, values, count));
cleanup:
	free(values);
	return status;
}

/* {"title", "units", "all": {"values", "low", "high"}, "right": the same, where there are such} */
static enum pb_status pack_field(struct context *c, const struct pb_field *field, json_t *fields,
				 struct pb_error *err)
{
	static const struct {
		const char *key, *suffix;
	} subsets[] = {{"all", ""}, {"right", "_right"}};
	enum pb_status status = PB_OK;
	json_t *entry = json_object(), *values;
	size_t k;

	pb_pack_set(c->p, fields, field->name, entry);
	pb_pack_set(c->p, entry, "title", json_string(field->long_name));
	pb_pack_set(c->p, entry, "units", json_string(field->units != NULL ? field->units : ""));
	for (k = 0; k < 2; k++) {
		values = json_object();
		pb_pack_set(c->p, entry, subsets[k].key, values);
		PB_TRY(pack_values(c, values, "values", field, "", subsets[k].suffix, err));
		PB_TRY(pack_values(c, values, "low", field, "_ci_low", subsets[k].suffix, err));
		PB_TRY(pack_values(c, values, "high", field, "_ci_high", subsets[k].suffix, err));
	}
cleanup:
	return status;
}

/* Attributes of the group that say what is compared. */
static enum pb_status pack_words(struct context *c, json_t *object, struct pb_error *err)
{
	static const char *const names[] = {"sweep", "direction", "cells", "by", "task"};
	enum pb_status status;
	hid_t group = -1;
	char *text = NULL;
	size_t i;

	PB_TRY(pb_h5_group_open(&group, c->s->r.file, "comparison", err));
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		if (!pb_h5_has(group, names[i]))
			continue;
		PB_TRY(pb_h5_get_text(group, names[i], &text, err));
		pb_pack_set(c->p, object, names[i], pb_pack_text(text));
		free(text);
		text = NULL;
	}
cleanup:
	pb_h5_drop(group);
	return status;
}

enum pb_status pb_pack_comparison(struct pb_packer *p, struct pb_subject *s, json_t *file,
				  struct pb_error *err)
{
	enum pb_status status;
	struct context c = {.p = p, .s = s};
	json_t *object = json_object(), *fields = json_object();
	int k;

	pb_pack_set(p, file, "comparison", object);
	pb_pack_set(p, object, "fields", fields);
	PB_TRY(read_sizes(&c, err));
	pb_pack_set(p, object, "n", json_integer((json_int_t)c.sizes[PB_DIM_FILE]));
	pb_pack_set(p, object, "bins", json_integer((json_int_t)c.sizes[PB_DIM_BIN]));
	pb_pack_set(p, object, "ranks", json_integer((json_int_t)c.sizes[PB_DIM_RANK]));
	PB_TRY(pack_words(&c, object, err));
	for (k = 0; k < PB_N_COMPARE_FIELDS; k++)
		PB_TRY(pack_field(&c, &pb_compare_fields[k], fields, err));
cleanup:
	return status;
}
