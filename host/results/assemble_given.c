/* What a file holds that does not come from its parts: members of sets, partners of resampling,
 * reference means, readings of the whole run. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"
#include "results/parts.h"

/* ---- sets -------------------------------------------------------------------------------- */

/* "L0H7 M3" (freed with free()); NULL: out of memory. */
static char *members_text(const struct pb_set *set)
{
	char *text = NULL;
	size_t size, m;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	for (m = 0; m < set->n; m++) {
		const struct pb_member *member = &set->members[m];

		if (m > 0)
			fputc(' ', out);
		if (member->head < 0)
			fprintf(out, "M%" PRId32, member->layer);
		else
			fprintf(out, "L%" PRId32 "H%" PRId32, member->layer, member->head);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static enum pb_status write_set_fields(const struct pb_layout *layout, hid_t group,
				       const struct pb_sweep *s, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_axes axes = {.n = 1, .items = {{PB_DIM_SET, s->n_sets, group}}};
	const char **names = NULL, **sources = NULL;
	char **members = NULL;
	int32_t *sizes = NULL;
	size_t i;

	PB_TRY(pb_axes_scales_write(&axes, err));
	PB_TRY(pb_alloc((void **)&names, s->n_sets, sizeof *names, "sets", err));
	PB_TRY(pb_alloc((void **)&sources, s->n_sets, sizeof *sources, "sets", err));
	PB_TRY(pb_alloc((void **)&members, s->n_sets, sizeof *members, "sets", err));
	PB_TRY(pb_alloc((void **)&sizes, s->n_sets, sizeof *sizes, "sets", err));
	for (i = 0; i < s->n_sets; i++) {
		names[i] = s->sets[i].name != NULL ? s->sets[i].name : "";
		members[i] = members_text(&s->sets[i]);
		sizes[i] = (int32_t)s->sets[i].n;
		sources[i] = pb_set_source_names[s->sets[i].source];
		if (members[i] == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: members of sets");
			goto cleanup;
		}
	}
	PB_TRY(pb_field_write(layout, group, &pb_set_fields[PB_SET_NAME], &axes, "",
			      (const void *)names, err));
	PB_TRY(pb_field_write(layout, group, &pb_set_fields[PB_SET_MEMBERS], &axes, "",
			      (const void *)members, err));
	PB_TRY(pb_field_write(layout, group, &pb_set_fields[PB_SET_SIZE], &axes, "", sizes, err));
	PB_TRY(pb_field_write(layout, group, &pb_set_fields[PB_SET_SOURCE], &axes, "",
			      (const void *)sources, err));
cleanup:
	if (members != NULL)
		pb_h5_names_free(members, s->n_sets);
	free(names);
	free(sources);
	free(sizes);
	return status;
}

static enum pb_status write_sets(const struct pb_assembly *a, size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	char *name = pb_sweep_group_name(a->e, sweep);
	hid_t parent = -1, group = -1;

	if (name == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a sweep");
	if (pb_h5_exists(a->layout.file, "sets"))
		PB_TRY(pb_h5_group_open(&parent, a->layout.file, "sets", err));
	else
		PB_TRY(pb_h5_group_create(&parent, a->layout.file, "sets", err));
	PB_TRY(pb_h5_group_create(&group, parent, name, err));
	status = write_set_fields(&a->layout, group, &a->e->sweeps[sweep], err);
cleanup:
	pb_h5_drop(group);
	pb_h5_drop(parent);
	free(name);
	return status;
}

/* ---- resampling -------------------------------------------------------------------------- */

static enum pb_status write_resample(const struct pb_assembly *a, size_t sweep,
				     struct pb_error *err)
{
	enum pb_status status;
	const struct pb_pairs *pairs = a->e->pairs;
	int32_t *partners = NULL;
	size_t i, none = 0;

	PB_TRY(pb_alloc((void **)&partners, pairs->n, sizeof *partners, "resampling", err));
	for (i = 0; i < pairs->n; i++) {
		partners[i] = pb_pairs_resample(pairs, a->e->sweeps[sweep].seed, i);
		none += partners[i] < 0;
	}
	PB_TRY(pb_field_write(&a->layout, a->sweeps[sweep].group,
			      &pb_extra_fields[PB_EXTRA_RESAMPLE_PAIR], NULL, "", partners, err));
	status = pb_h5_put_int(a->sweeps[sweep].group, "n_without_resample", (int64_t)none, err);
cleanup:
	free(partners);
	return status;
}

/* ---- reference means --------------------------------------------------------------------- */

static enum pb_status write_tokens(const struct pb_assembly *a, size_t sweep,
				   const struct pb_axes *slots, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_reference_means *means = &a->e->means[sweep];
	int32_t *tokens = NULL;
	size_t i;

	PB_TRY(pb_alloc((void **)&tokens, means->n_slots, sizeof *tokens, "reference", err));
	for (i = 0; i < means->n_slots; i++) {
		if (means->n_tokens[i] < 0 || means->n_tokens[i] > INT32_MAX) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "too many reference tokens: sweep %zu: %" PRId64
					 ": give fewer prompts",
					 sweep, means->n_tokens[i]);
			goto cleanup;
		}
		tokens[i] = (int32_t)means->n_tokens[i];
	}
	status =
	    pb_field_write(&a->layout, a->sweeps[sweep].group,
			   &pb_extra_fields[PB_EXTRA_REFERENCE_TOKENS], slots, "", tokens, err);
cleanup:
	free(tokens);
	return status;
}

static enum pb_status write_means(const struct pb_assembly *a, size_t sweep, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_reference_means *means = &a->e->means[sweep];
	const hid_t group = a->sweeps[sweep].group;
	const struct pb_axes axes = pb_means_axes(a->e, sweep, group);
	const struct pb_axes slots = pb_slot_axes(a->e, sweep, group);
	const struct pb_field *field = &pb_extra_fields[PB_EXTRA_REFERENCE_MEAN];

	if (pb_field_count(&a->layout, field, &axes) !=
	    means->n_layers * means->n_index * means->n_slots * means->width)
		return pb_fail(err, PB_ERR_INTERNAL, "reference means of another shape: sweep %zu",
			       sweep);
	PB_TRY(pb_axes_scales_write(&axes, err));
	PB_TRY(pb_field_write_masked(&a->layout, group, field, &axes, "", means->values, err));
	PB_TRY(write_tokens(a, sweep, &slots, err));
	if (a->e->sweeps[sweep].reference_by == PB_BY_ROLE)
		status = pb_field_write(&a->layout, group, &pb_extra_fields[PB_EXTRA_ROLE_NAME],
					&slots, "", (const void *)means->roles, err);
cleanup:
	return status;
}

/* ---- readings of the run ----------------------------------------------------------------- */

static enum pb_status write_run_reading(const struct pb_assembly *a, hid_t readings,
					enum pb_reading reading, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_reading_info *info = &pb_reading_infos[reading];
	const struct pb_field field = pb_reading_field(reading);
	const double *values =
	    a->e->run_readings != NULL ? a->e->run_readings->values[reading] : NULL;
	hid_t group = -1;
	size_t i;

	if (values == NULL)
		return pb_fail(err, PB_ERR_INTERNAL, "a reading is missing: %s", info->name);
	for (i = 0; i < pb_field_count(&a->layout, &field, NULL); i++)
		if (isinf(values[i]))
			return pb_fail(err, PB_ERR_CHECK,
				       "the run's own check failed: reading %s, value %zu is %g",
				       info->name, i, values[i]);
	PB_TRY(pb_h5_group_open(&group, readings, pb_reading_group_names[info->group], err));
	status = pb_field_write_masked(&a->layout, group, &field, NULL, "", values, err);
cleanup:
	pb_h5_drop(group);
	return status;
}

static enum pb_status write_run_readings(const struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status;
	hid_t readings = -1;
	int r;

	if (a->e->readings == 0)
		return PB_OK;
	PB_TRY(pb_h5_group_open(&readings, a->layout.file, "readings", err));
	for (r = 0; r < PB_N_READINGS; r++)
		if (!pb_reading_infos[r].by_pair && pb_experiment_reads(a->e, (enum pb_reading)r))
			PB_TRY(write_run_reading(a, readings, (enum pb_reading)r, err));
cleanup:
	pb_h5_drop(readings);
	return status;
}

enum pb_status pb_assembly_write_given(struct pb_assembly *a, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = a->e;
	size_t s;

	for (s = 0; s < e->n_sweeps; s++) {
		if (e->sweeps[s].by_sets)
			PB_TRY(write_sets(a, s, err));
		if (e->sweeps[s].intervention == PB_RESAMPLE)
			PB_TRY(write_resample(a, s, err));
		if (pb_experiment_means(e, s) != NULL)
			PB_TRY(write_means(a, s, err));
	}
	status = write_run_readings(a, err);
cleanup:
	return status;
}
