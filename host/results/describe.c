/* `patchbay info` of a result file: what it holds, on one screen. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "patchbay/base.h"
#include "results/digest.h"
#include "results/evaluation.h"
#include "results/result_file.h"
#include "results/schema.h"
#include "results/shard.h"

/* A text attribute of the root, "?" when it is not there; freed with free(). */
static char *text_of(hid_t file, const char *name)
{
	char *text = NULL;

	if (pb_h5_get_text(file, name, &text, NULL) != PB_OK)
		text = strdup("?");
	return text;
}

struct texts {
	char *title, *version, *commit, *config, *command, *model, *family, *backend, *device,
	    *precision, *host, *started, *finished, *model_sha256, *experiment;
};

static void texts_read(struct texts *t, hid_t file)
{
	*t = (struct texts){.title = text_of(file, "title"),
			    .version = text_of(file, "patchbay_version"),
			    .commit = text_of(file, "git_commit"),
			    .config = text_of(file, "config"),
			    .command = text_of(file, "command"),
			    .model = text_of(file, "model_path"),
			    .family = text_of(file, "family"),
			    .backend = text_of(file, "backend"),
			    .device = text_of(file, "device"),
			    .precision = text_of(file, "precision"),
			    .host = text_of(file, "host"),
			    .started = text_of(file, "started"),
			    .finished = text_of(file, "finished"),
			    .model_sha256 = text_of(file, "model_sha256"),
			    .experiment = text_of(file, "experiment_sha256")};
}

static void texts_free(struct texts *t)
{
	char *all[] = {t->title, t->version, t->commit,   t->config,       t->command,
		       t->model, t->family,  t->backend,  t->device,       t->precision,
		       t->host,  t->started, t->finished, t->model_sha256, t->experiment};
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
}

static const char *or_mark(const char *text)
{
	return text != NULL ? text : "?"; /* out of memory for a description: not worth failing */
}

/* Lines of what both kinds of file have. */
static void describe_origin(const struct pb_result *r, const struct texts *t, FILE *out)
{
	struct stat st;

	fprintf(out, "%s\n", or_mark(t->title));
	fprintf(out, "  file         %s", r->path);
	if (stat(r->path, &st) == 0)
		fprintf(out, ", %.1f MB", (double)st.st_size / 1e6);
	if (r->n_missing_chunks > 0)
		fprintf(out, ", PARTIAL: %zu %s of chunk%s %s are missing", r->n_missing,
			r->evaluation ? "prompts" : "pairs", r->n_missing_chunks == 1 ? "" : "s",
			r->missing_chunks);
	else
		fprintf(out, ", complete");
	fprintf(out, ", schema %d\n", PB_SCHEMA_VERSION);
	fprintf(out, "  experiment   SHA-256 %.12s...\n", or_mark(t->experiment));
	fprintf(out, "  model        %s (%s), SHA-256 %.12s...\n", or_mark(t->model),
		or_mark(t->family), or_mark(t->model_sha256));
}

static void describe_making(const struct texts *t, FILE *out)
{
	fprintf(out, "  made by      patchbay %s (%s), backend %s, %s, on %s (%s)\n",
		or_mark(t->version), or_mark(t->commit), or_mark(t->backend), or_mark(t->precision),
		or_mark(t->host), or_mark(t->device));
	fprintf(out, "  when         %s to %s\n", or_mark(t->started), or_mark(t->finished));
	fprintf(out, "  command      %s\n", or_mark(t->command));
}

static void describe_pairs(const struct pb_result *r, FILE *out)
{
	size_t i, right = 0;

	for (i = 0; i < r->n_pairs; i++)
		right += r->right[i] == 1;
	fprintf(out, "  pairs        %zu, the model is right about %zu; up to %zu tokens\n",
		r->n_pairs, right, r->n_positions);
	fprintf(out, "  grid         %zu layers x %zu heads\n", r->n_layers, r->n_heads);
}

static herr_t name_scale(hid_t dataset, unsigned axis, hid_t scale, void *name)
{
	(void)dataset;
	(void)axis;
	(void)H5DSget_scale_name(scale, name, 64);
	return 1;
}

/* " logit_diff (100, 4, 8)" of a dataset; nothing when it is not there. */
static enum pb_status describe_shape(hid_t group, const char *name, FILE *out, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_h5_shape shape = {.rank = 0};
	hid_t dataset;
	int d;

	if (!pb_h5_exists(group, name))
		return PB_OK;
	dataset = H5Dopen2(group, name, H5P_DEFAULT);
	if (dataset < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "cannot open: %s", name);
	PB_TRY(pb_h5_shape(dataset, name, &shape, err));
	fprintf(out, " %s (", name);
	for (d = 0; d < shape.rank; d++)
		fprintf(out, "%s%zu", d > 0 ? ", " : "", shape.dims[d]);
	fputc(')', out);
cleanup:
	pb_h5_drop(dataset);
	return status;
}

/* "pair, layer, head" of a sweep's raw values, by the scales of its dimensions. */
static void describe_dims(hid_t group, FILE *out)
{
	hid_t dataset = H5Dopen2(group, "logit_diff", H5P_DEFAULT);
	hid_t space = dataset >= 0 ? H5Dget_space(dataset) : -1;
	int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : 0, d;

	for (d = 0; d < rank; d++) {
		char name[64] = "?";

		(void)H5DSiterate_scales(dataset, (unsigned)d, NULL, name_scale, name);
		fprintf(out, "%s%s", d > 0 ? ", " : "", name);
	}
	pb_h5_drop(space);
	pb_h5_drop(dataset);
	H5Eclear2(H5E_DEFAULT);
}

static enum pb_status describe_sweep(const struct pb_result *r, size_t s, FILE *out,
				     struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("sweeps/%s", r->sweeps[s].name);
	double largest = 0, deviation = 0, tolerance = 0;
	char *note = NULL;
	hid_t group = -1;
	int m;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a group");
	PB_TRY(pb_h5_group_open(&group, r->file, path, err));
	PB_TRY(pb_h5_get_double(group, "largest_effect", &largest, err));
	PB_TRY(pb_h5_get_double(group, "check_largest_deviation", &deviation, err));
	PB_TRY(pb_h5_get_double(group, "check_tolerance", &tolerance, err));
	fprintf(out,
		"    %s: largest |effect| %.3g; from a plain forward %.2g at most (tolerance "
		"%.2g)\n      over ",
		r->sweeps[s].name, largest, deviation, tolerance);
	describe_dims(group, out);
	fputc(':', out);
	for (m = 0; m < PB_N_METRICS; m++)
		PB_TRY(describe_shape(group, pb_metric_infos[m].name, out, err));
	if (pb_h5_has(group, "note")) {
		PB_TRY(pb_h5_get_text(group, "note", &note, err));
		fprintf(out, "\n      %s", note);
	}
	fputc('\n', out);
cleanup:
	free(note);
	pb_h5_drop(group);
	free(path);
	return status;
}

static enum pb_status describe_checks(const struct pb_result *r, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	struct pb_objects objects = {0};
	double deviation, tolerance;
	size_t n = 0, i, datasets = 0;
	hid_t group = -1;

	PB_TRY(pb_h5_group_open(&group, r->file, "checks", err));
	PB_TRY(pb_h5_get_double(group, "resid_pre_largest_deviation", &deviation, err));
	PB_TRY(pb_h5_get_double(group, "resid_pre_tolerance", &tolerance, err));
	PB_TRY(pb_result_size(r->file, "checked_variant", &n, err));
	PB_TRY(pb_objects_list(&objects, r->file, err));
	for (i = 0; i < objects.n; i++)
		datasets += objects.items[i].is_dataset;
	fprintf(out,
		"  checks       resid_pre patched whole: %.2g from the donor at most (tolerance "
		"%.2g);\n               %zu variants recomputed by a plain forward; %zu chunks, "
		"%zu datasets\n",
		deviation, tolerance, n, r->n_chunks, datasets);
	if (!pb_h5_has(group, "attribution_tolerance"))
		goto cleanup;
	PB_TRY(pb_h5_get_double(group, "attribution_largest_deviation", &deviation, err));
	PB_TRY(pb_h5_get_double(group, "attribution_tolerance", &tolerance, err));
	fprintf(out,
		"               direct logit attributions sum to the logit difference within %.2g "
		"(tolerance %.2g)\n",
		deviation, tolerance);
cleanup:
	pb_objects_free(&objects);
	pb_h5_drop(group);
	return status;
}

/* One line of the links of a group, without its scales; nothing when it is not there. */
static enum pb_status describe_links(const struct pb_result *r, const char *path, const char *label,
				     FILE *out, struct pb_error *err)
{
	enum pb_status status;
	char **names = NULL;
	hid_t group = -1;
	size_t n = 0, i;

	if (!pb_h5_exists(r->file, path))
		return PB_OK;
	PB_TRY(pb_h5_group_open(&group, r->file, path, err));
	PB_TRY(pb_h5_names(group, &names, &n, err));
	fprintf(out, "  %-12s", label);
	for (i = 0; i < n; i++)
		if (!pb_h5_exists(r->file, names[i]) && strstr(names[i], "_mask") == NULL &&
		    strncmp(names[i], "role", 4) != 0)
			fprintf(out, " %s", names[i]);
	fputc('\n', out);
cleanup:
	pb_h5_names_free(names, n);
	pb_h5_drop(group);
	return status;
}

/* Every line of `text` indented. */
static void print_indented(FILE *out, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, "\n");

		fprintf(out, "    %.*s\n", (int)(n < 400 ? n : 400), text);
		text += n + (text[n] == '\n');
	}
}

static enum pb_status describe_content(const struct pb_result *r, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	size_t s;

	PB_TRY(describe_checks(r, out, err));
	fprintf(out, "  sweeps\n");
	for (s = 0; s < r->n_sweeps; s++)
		PB_TRY(describe_sweep(r, s, out, err));
	PB_TRY(describe_links(r, "readings", "readings", out, err));
	PB_TRY(describe_links(r, "activations/clean", "activations", out, err));
cleanup:
	return status;
}

static enum pb_status describe_shard(const char *path, hid_t file, FILE *out, struct pb_error *err)
{
	const struct pb_result r = {.file = file, .path = path};
	struct pb_shard_file shard = {0};
	struct texts texts = {0};
	char *chunks = NULL;
	enum pb_status status;

	PB_TRY(pb_shard_file_read(&shard, file, path, err));
	chunks = pb_chunk_list(shard.chunks, shard.n_chunks);
	texts_read(&texts, file);
	describe_origin(&r, &texts, out);
	fprintf(out, "  shard        %zu of %zu, from 0: %zu of %zu chunks%s%s\n", shard.shard,
		shard.n_shards, shard.n_chunks, shard.n_chunks_all, shard.n_chunks > 0 ? ": " : "",
		chunks != NULL ? chunks : "?");
	describe_making(&texts, out);
	fprintf(out, "  merge        patchbay merge OUT and all shards, when all are there\n");
cleanup:
	free(chunks);
	texts_free(&texts);
	pb_shard_file_free(&shard);
	return status;
}

/* *is is false for any other file. */
static enum pb_status try_shard(const char *path, FILE *out, bool *is, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_error inner = {0};
	hid_t file = -1;

	*is = false;
	if (!pb_is_hdf5(path) || pb_h5_file_open(&file, path, false, PB_ERR_CHECK, NULL) != PB_OK)
		return PB_OK;
	*is = pb_is_shard(file);
	if (*is)
		status = describe_shard(path, file, out, &inner);
	(void)pb_h5_file_close(&file, path, NULL);
	return status == PB_OK ? PB_OK : pb_fail(err, status, "%s: %s", path, inner.message);
}

enum pb_status pb_result_describe(const char *path, FILE *out, struct pb_error *err)
{
	bool is_shard;
	enum pb_status status;
	struct texts texts = {0};
	struct pb_result r = {.file = -1};

	PB_TRY(try_shard(path, out, &is_shard, err));
	if (is_shard)
		goto cleanup;
	PB_TRY(pb_result_open_any(&r, path, err));
	texts_read(&texts, r.file);
	describe_origin(&r, &texts, out);
	if (!r.evaluation)
		describe_pairs(&r, out);
	describe_making(&texts, out);
	PB_TRY(r.evaluation ? pb_evaluation_describe(r.file, out, err)
			    : describe_content(&r, out, err));
	fprintf(out, "  config\n");
	print_indented(out, or_mark(texts.config));
	if (ferror(out))
		status = pb_fail(err, PB_ERR_IO, "cannot write the description: %s", path);
cleanup:
	texts_free(&texts);
	pb_result_close(&r);
	return status;
}
