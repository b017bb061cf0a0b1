/* The group /checks: what the run proved about itself, and the checksums of the file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/digest.h"

static enum pb_status write_field(const struct pb_layout *layout, hid_t group,
				  enum pb_checks_field field, const void *data,
				  struct pb_error *err)
{
	return pb_field_write(layout, group, &pb_checks_fields[field], NULL, "", data, err);
}

static int32_t variant_number(const struct pb_checked_variant *v, enum pb_checks_field field)
{
	return field == PB_CHECKS_VARIANT_SWEEP  ? v->sweep
	       : field == PB_CHECKS_VARIANT_PAIR ? v->pair
						 : v->cell;
}

static enum pb_status write_variants(const struct pb_layout *layout, hid_t group,
				     const struct pb_check_figures *f, struct pb_error *err)
{
	enum pb_status status;
	int32_t *numbers = NULL;
	double *values = NULL;
	size_t i;
	int field;

	PB_TRY(pb_alloc((void **)&numbers, f->n_variants, sizeof *numbers, "checks", err));
	PB_TRY(pb_alloc((void **)&values, f->n_variants, sizeof *values, "checks", err));
	for (field = PB_CHECKS_VARIANT_SWEEP; field <= PB_CHECKS_VARIANT_CELL; field++) {
		for (i = 0; i < f->n_variants; i++)
			numbers[i] = variant_number(&f->variants[i], (enum pb_checks_field)field);
		PB_TRY(write_field(layout, group, (enum pb_checks_field)field, numbers, err));
	}
	for (i = 0; i < f->n_variants; i++)
		values[i] = f->variants[i].logit_diff;
	PB_TRY(write_field(layout, group, PB_CHECKS_VARIANT_LOGIT_DIFF, values, err));
	for (i = 0; i < f->n_variants; i++)
		values[i] = f->variants[i].logit_diff_plain;
	PB_TRY(write_field(layout, group, PB_CHECKS_VARIANT_LOGIT_DIFF_PLAIN, values, err));
	for (i = 0; i < f->n_variants; i++)
		values[i] = f->variant_tolerance[f->variants[i].sweep];
	PB_TRY(write_field(layout, group, PB_CHECKS_VARIANT_TOLERANCE, values, err));
cleanup:
	free(numbers);
	free(values);
	return status;
}

enum pb_status pb_checks_group_write(const struct pb_layout *layout,
				     const struct pb_check_figures *f, const char *const *isa,
				     struct pb_error *err)
{
	enum pb_status status;
	hid_t group = -1;

	PB_TRY(pb_h5_group_create(&group, layout->file, "checks", err));
	PB_TRY(pb_h5_put_int(group, "passed", 1, err));
	PB_TRY(pb_h5_put_double(group, "resid_pre_tolerance", f->resid_pre_tolerance, err));
	PB_TRY(pb_h5_put_double(group, "resid_pre_largest_deviation", f->resid_pre_largest, err));
	if (f->attribution) {
		PB_TRY(pb_h5_put_double(group, "attribution_tolerance", f->attribution_tolerance,
					err));
		PB_TRY(pb_h5_put_double(group, "attribution_largest_deviation",
					f->attribution_largest, err));
	}
	PB_TRY(pb_h5_put_double(group, "tolerance_of_largest_effect", f->relative, err));
	PB_TRY(pb_h5_put_double(group, "tolerance_of_largest_logit", PB_CHECK_OF_LOGIT, err));
	PB_TRY(pb_field_write_masked(layout, group,
				     &pb_checks_fields[PB_CHECKS_RESID_PRE_DEVIATION], NULL, "",
				     f->resid_pre_deviation, err));
	PB_TRY(write_field(layout, group, PB_CHECKS_RESID_PRE_PAIRS, f->resid_pre_pairs, err));
	PB_TRY(pb_field_write_masked(layout, group, &pb_checks_fields[PB_CHECKS_LOGIT_LARGEST],
				     NULL, "", f->logit_largest, err));
	PB_TRY(pb_field_write_masked(layout, group,
				     &pb_checks_fields[PB_CHECKS_ATTRIBUTION_DEVIATION], NULL, "",
				     f->attribution_deviation, err));
	PB_TRY(write_field(layout, group, PB_CHECKS_CHUNK_ISA, (const void *)isa, err));
	status = write_variants(layout, group, f, err);
cleanup:
	pb_h5_drop(group);
	return status;
}

/* ---- checksums --------------------------------------------------------------------------- */

static enum pb_status hash_all(const struct pb_layout *layout, const struct pb_objects *objects,
			       char **paths, char **hashes, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char hex[PB_SHA256_HEX];
	size_t i, n = 0;

	for (i = 0; i < objects->n; i++) {
		const char *path = objects->items[i].path;

		if (!objects->items[i].is_dataset)
			continue;
		PB_TRY(pb_digest_dataset(layout->file, path, hex, err));
		paths[n] = strdup(path);
		hashes[n] = strdup(hex);
		if (paths[n] == NULL || hashes[n] == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: checksums");
		n++;
	}
cleanup:
	return status;
}

static size_t count_datasets(const struct pb_objects *objects)
{
	size_t i, n = 0;

	for (i = 0; i < objects->n; i++)
		n += objects->items[i].is_dataset;
	return n;
}

/* /checks/sha256 and /checks/sha256_path over all datasets that are there, the scale of these two
 * among them. */
static enum pb_status write_hashes(struct pb_layout *layout, hid_t group, struct pb_error *err)
{
	enum pb_status status;
	struct pb_objects objects = {0};
	char **paths = NULL, **hashes = NULL;
	size_t n = 0;

	PB_TRY(pb_objects_list(&objects, layout->file, err));
	n = count_datasets(&objects) + 1;
	pb_objects_free(&objects);
	layout->sizes[PB_DIM_DATASET] = n;
	PB_TRY(pb_layout_scale(layout, PB_DIM_DATASET, err));
	PB_TRY(pb_objects_list(&objects, layout->file, err));
	PB_TRY(pb_alloc((void **)&paths, n, sizeof *paths, "checksums", err));
	PB_TRY(pb_alloc((void **)&hashes, n, sizeof *hashes, "checksums", err));
	PB_TRY(hash_all(layout, &objects, paths, hashes, err));
	PB_TRY(write_field(layout, group, PB_CHECKS_SHA256_PATH, (const void *)paths, err));
	PB_TRY(write_field(layout, group, PB_CHECKS_SHA256, (const void *)hashes, err));
cleanup:
	pb_h5_names_free(paths, n);
	pb_h5_names_free(hashes, n);
	pb_objects_free(&objects);
	return status;
}

enum pb_status pb_checksums_write(struct pb_layout *layout, bool complete, struct pb_error *err)
{
	enum pb_status status;
	struct pb_objects objects = {0};
	char hex[PB_SHA256_HEX];
	hid_t group = -1;

	PB_TRY(pb_h5_group_open(&group, layout->file, "checks", err));
	PB_TRY(write_hashes(layout, group, err));
	PB_TRY(pb_h5_put_int(layout->file, "complete", complete, err));
	/* The attributes come last: those of the tables of checksums are among them. */
	PB_TRY(pb_objects_list(&objects, layout->file, err));
	PB_TRY(pb_digest_attributes(layout->file, &objects, hex, err));
	PB_TRY(pb_h5_put_text(group, "attributes_sha256", hex, err));
cleanup:
	pb_h5_drop(group);
	pb_objects_free(&objects);
	return status;
}
