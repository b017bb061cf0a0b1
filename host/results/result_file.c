/* Opening a finished result file: what readers need to know of it. */
#include "results/result_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/evaluation.h"
#include "results/shard.h"

enum pb_status pb_result_size(hid_t file, const char *name, size_t *size, struct pb_error *err)
{
	enum pb_status status;
	struct pb_h5_shape shape;
	hid_t dataset;

	*size = 0;
	if (!pb_h5_exists(file, name))
		return PB_OK;
	dataset = H5Dopen2(file, name, H5P_DEFAULT);
	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "not a dataset: /%s", name);
	PB_TRY(pb_h5_shape(dataset, name, &shape, err));
	if (shape.rank != 1)
		status = pb_fail(err, PB_ERR_CHECK, "not a dimension: /%s", name);
	*size = shape.count;
cleanup:
	pb_h5_drop(dataset);
	return status;
}

static enum pb_status read_sizes(struct pb_result *r, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_result_size(r->file, "pair", &r->n_pairs, err));
	PB_TRY(pb_result_size(r->file, "layer", &r->n_layers, err));
	PB_TRY(pb_result_size(r->file, "head", &r->n_heads, err));
	PB_TRY(pb_result_size(r->file, "position", &r->n_positions, err));
	PB_TRY(pb_result_size(r->file, "chunk", &r->n_chunks, err));
	if (r->n_pairs == 0 || r->n_layers == 0 || r->n_heads == 0 || r->n_positions == 0 ||
	    r->n_chunks == 0)
		status = pb_fail(err, PB_ERR_CHECK, "a dimension is missing: %s", r->path);
cleanup:
	return status;
}

static enum pb_status read_base(struct pb_result *r, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&r->logit_diff[0], r->n_pairs, sizeof(double), "pairs", err));
	PB_TRY(pb_alloc((void **)&r->logit_diff[1], r->n_pairs, sizeof(double), "pairs", err));
	PB_TRY(pb_alloc((void **)&r->right, r->n_pairs, 1, "pairs", err));
	PB_TRY(pb_h5_read(r->file, "base/clean/logit_diff", H5T_NATIVE_DOUBLE, r->n_pairs,
			  r->logit_diff[0], err));
	PB_TRY(pb_h5_read(r->file, "base/corrupted/logit_diff", H5T_NATIVE_DOUBLE, r->n_pairs,
			  r->logit_diff[1], err));
	PB_TRY(pb_h5_read(r->file, "pairs/right", H5T_NATIVE_UINT8, r->n_pairs, r->right, err));
cleanup:
	return status;
}

/* Sweep number `index` is the group of /sweeps whose name begins with "<index>_". */
static enum pb_status read_sweep(struct pb_result *r, hid_t sweeps, char *const *names, size_t n,
				 size_t index, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_result_sweep *sweep = &r->sweeps[index];
	char *direction = NULL, *end;
	hid_t group = -1;
	size_t i;

	for (i = 0; i < n && sweep->name == NULL; i++) {
		if (strtoumax(names[i], &end, 10) != index || *end != '_')
			continue;
		sweep->name = strdup(names[i]);
		if (sweep->name == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: sweeps");
	}
	if (sweep->name == NULL)
		return pb_fail(err, PB_ERR_CHECK, "sweep %zu is missing: %s", index, r->path);
	PB_TRY(pb_h5_group_open(&group, sweeps, sweep->name, err));
	PB_TRY(pb_h5_get_text(group, "positions", &sweep->positions, err));
	PB_TRY(pb_h5_get_text(group, "direction", &direction, err));
	PB_TRY(pb_h5_get_double(group, "min_gap", &sweep->min_gap, err));
	sweep->noise = strcmp(direction, "noise") == 0;
cleanup:
	free(direction);
	pb_h5_drop(group);
	return status;
}

static enum pb_status read_sweeps(struct pb_result *r, struct pb_error *err)
{
	enum pb_status status;
	char **names = NULL;
	hid_t sweeps = -1;
	size_t n = 0, s;

	PB_TRY(pb_h5_group_open(&sweeps, r->file, "sweeps", err));
	PB_TRY(pb_h5_names(sweeps, &names, &n, err));
	PB_TRY(pb_alloc((void **)&r->sweeps, n, sizeof *r->sweeps, "sweeps", err));
	r->n_sweeps = n;
	for (s = 0; s < n; s++)
		PB_TRY(read_sweep(r, sweeps, names, n, s, err));
cleanup:
	pb_h5_names_free(names, n);
	pb_h5_drop(sweeps);
	return status;
}

/* What a partial merge lacks. */
static enum pb_status read_missing(struct pb_result *r, struct pb_error *err)
{
	int64_t chunks = 0, items = 0;
	enum pb_status status;

	PB_TRY(pb_h5_get_text(r->file, "missing_chunks", &r->missing_chunks, err));
	PB_TRY(pb_h5_get_int(r->file, "n_missing_chunks", &chunks, err));
	PB_TRY(pb_h5_get_int(r->file, "n_missing", &items, err));
	if (chunks <= 0 || items <= 0) {
		status = pb_fail(err, PB_ERR_CHECK, "it does not say which chunks it lacks: %s",
				 r->path);
		goto cleanup;
	}
	r->n_missing_chunks = (size_t)chunks;
	r->n_missing = (size_t)items;
	pb_warn("%s: a partial merge: %zu %s of chunk%s %s are missing", r->path, r->n_missing,
		pb_is_evaluation(r->file) ? "prompts" : "pairs",
		r->n_missing_chunks == 1 ? "" : "s", r->missing_chunks);
cleanup:
	return status;
}

static enum pb_status check_complete(struct pb_result *r, bool partial, struct pb_error *err)
{
	enum pb_status status;
	int64_t version, complete = 0;
	htri_t ours = H5Aexists(r->file, "experiment_sha256");

	if (ours < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "damaged: %s", r->path);
	if (ours == 0)
		return pb_fail(err, PB_ERR_INPUT, "not a result file of patchbay: %s: name one",
			       r->path);
	PB_TRY(pb_h5_get_int(r->file, "schema_version", &version, err));
	if (version < PB_SCHEMA_VERSION)
		return pb_fail(err, PB_ERR_INPUT,
			       "made by an older version of patchbay: %s: its schema version is "
			       "%" PRId64
			       ", this program reads %d: make it again, or use the program "
			       "that wrote it",
			       r->path, version, PB_SCHEMA_VERSION);
	if (version != PB_SCHEMA_VERSION)
		return pb_fail(err, PB_ERR_INPUT,
			       "file of schema version %" PRId64 ", this program reads %d: %s: use "
			       "the program that wrote it",
			       version, PB_SCHEMA_VERSION, r->path);
	if (pb_h5_has(r->file, "complete"))
		PB_TRY(pb_h5_get_int(r->file, "complete", &complete, err));
	if (pb_is_shard(r->file)) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "a shard, which is a part of a result: %s: make the whole with "
				 "patchbay merge, or look at this one with patchbay info",
				 r->path);
		goto cleanup;
	}
	if (pb_is_part(r->file)) {
		status =
		    pb_fail(err, PB_ERR_INPUT,
			    "a part of a run that was not finished: %s: give the command of the "
			    "run again, which goes on from its parts, and name its output",
			    r->path);
		goto cleanup;
	}
	r->partial = complete != 1;
	if (!r->partial)
		goto cleanup;
	if (pb_h5_has(r->file, "missing_chunks"))
		PB_TRY(read_missing(r, err));
	else if (!partial)
		status = pb_fail(err, PB_ERR_CHECK, "not complete: %s: run it again", r->path);
cleanup:
	return status;
}

static enum pb_status open_file(struct pb_result *out, const char *path, bool partial,
				struct pb_error *err)
{
	enum pb_status status;
	struct pb_map probe;

	*out = (struct pb_result){.file = -1, .path = path};
	/* The system's own words for a file that is not there or cannot be read. */
	PB_TRY(pb_map_open(&probe, path, err));
	pb_map_close(&probe);
	if (!pb_is_hdf5(path))
		return pb_fail(err, PB_ERR_INPUT, "not a result file: %s: name an HDF5 file", path);
	PB_TRY(pb_h5_file_open(&out->file, path, false, PB_ERR_CHECK, err));
	PB_TRY(check_complete(out, partial, err));
	out->evaluation = pb_is_evaluation(out->file);
	if (out->evaluation)
		return PB_OK;
	PB_TRY(read_sizes(out, err));
	PB_TRY(read_base(out, err));
	PB_TRY(read_sweeps(out, err));
	return PB_OK;
cleanup:
	pb_result_close(out);
	return status;
}

enum pb_status pb_result_open_any(struct pb_result *out, const char *path, struct pb_error *err)
{
	return open_file(out, path, false, err);
}

enum pb_status pb_result_open_partial(struct pb_result *out, const char *path, struct pb_error *err)
{
	return open_file(out, path, true, err);
}

enum pb_status pb_result_open(struct pb_result *out, const char *path, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_result_open_any(out, path, err));
	if (!out->evaluation)
		return PB_OK;
	pb_result_close(out);
	status = pb_fail(err, PB_ERR_INPUT,
			 "an evaluation, which has no sweeps: %s: name a file of patchbay run, or "
			 "look at this one with patchbay info",
			 path);
cleanup:
	return status;
}

void pb_result_close(struct pb_result *r)
{
	size_t s;

	for (s = 0; r->sweeps != NULL && s < r->n_sweeps; s++) {
		free(r->sweeps[s].name);
		free(r->sweeps[s].positions);
	}
	free(r->sweeps);
	free(r->logit_diff[0]);
	free(r->logit_diff[1]);
	free(r->right);
	free(r->missing_chunks);
	if (r->file >= 0)
		(void)pb_h5_file_close(&r->file, r->path, NULL);
	*r = (struct pb_result){.file = -1};
}

size_t pb_result_n_right(const struct pb_result *r)
{
	size_t n = 0, i;

	for (i = 0; i < r->n_pairs; i++)
		n += r->right[i] == 1;
	return n;
}

/* ---- choosing a sweep -------------------------------------------------------------------- */

/* "patch_z_denoise_all" of "0_patch_z_denoise_all". */
const char *pb_result_sweep_words(const struct pb_result_sweep *sweep)
{
	const char *words = strchr(sweep->name, '_');

	return words != NULL ? words + 1 : sweep->name;
}

const char *pb_result_sweep_names(const struct pb_result *r, char names[PB_SWEEP_NAMES])
{
	size_t s, used = 0;

	names[0] = '\0';
	for (s = 0; s < r->n_sweeps && used < PB_SWEEP_NAMES; s++) {
		int n = snprintf(names + used, PB_SWEEP_NAMES - used, "%s%s", s > 0 ? ", " : "",
				 r->sweeps[s].name);

		used += n > 0 ? (size_t)n : 0;
	}
	return r->n_sweeps > 0 ? names : "none";
}

enum pb_status pb_result_find_sweep(const struct pb_result *r, const char *name, size_t *sweep,
				    struct pb_error *err)
{
	char names[PB_SWEEP_NAMES], *end;
	const uintmax_t number = strtoumax(name, &end, 10);
	const bool is_number = name[0] >= '0' && name[0] <= '9' && *end == '\0';
	size_t n_words = 0, s;

	for (s = 0; s < r->n_sweeps; s++) {
		if (strcmp(r->sweeps[s].name, name) == 0 || (is_number && number == s)) {
			*sweep = s;
			return PB_OK;
		}
	}
	for (s = 0; s < r->n_sweeps; s++) {
		if (strcmp(pb_result_sweep_words(&r->sweeps[s]), name) == 0) {
			*sweep = s;
			n_words++;
		}
	}
	if (n_words == 1)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT, "no such sweep: %s: '%s': it has %s", r->path, name,
		       pb_result_sweep_names(r, names));
}
