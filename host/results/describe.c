/* `patchbay info` of a result file: what it holds, on one screen. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "patchbay/base.h"
#include "results/digest.h"
#include "results/result_file.h"
#include "results/schema.h"

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

static void describe_run(const struct pb_result *r, const struct texts *t, FILE *out)
{
	size_t i, right = 0;
	struct stat st;

	for (i = 0; i < r->n_pairs; i++)
		right += r->right[i] == 1;
	fprintf(out, "%s\n", or_mark(t->title));
	fprintf(out, "  file         %s", r->path);
	if (stat(r->path, &st) == 0)
		fprintf(out, ", %.1f MB", (double)st.st_size / 1e6);
	fprintf(out, ", complete, schema %d\n", PB_SCHEMA_VERSION);
	fprintf(out, "  experiment   SHA-256 %.12s...\n", or_mark(t->experiment));
	fprintf(out, "  model        %s (%s), SHA-256 %.12s...\n", or_mark(t->model),
		or_mark(t->family), or_mark(t->model_sha256));
	fprintf(out, "  pairs        %zu, the model is right about %zu; up to %zu tokens\n",
		r->n_pairs, right, r->n_positions);
	fprintf(out, "  grid         %zu layers x %zu heads\n", r->n_layers, r->n_heads);
	fprintf(out, "  made by      patchbay %s (%s), backend %s, %s, on %s (%s)\n",
		or_mark(t->version), or_mark(t->commit), or_mark(t->backend), or_mark(t->precision),
		or_mark(t->host), or_mark(t->device));
	fprintf(out, "  when         %s to %s\n", or_mark(t->started), or_mark(t->finished));
	fprintf(out, "  command      %s\n", or_mark(t->command));
}

/* "logit_diff (pair, layer, head) 100 x 4 x 8" for each raw dataset of a sweep. */
static enum pb_status describe_sweep(const struct pb_result *r, size_t s, FILE *out,
				     struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("sweeps/%s", r->sweeps[s].name);
	double largest = 0, deviation = 0, tolerance = 0;
	hid_t group = -1;
	int m, d;

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a group");
	PB_TRY(pb_h5_group_open(&group, r->file, path, err));
	PB_TRY(pb_h5_get_double(group, "largest_effect", &largest, err));
	PB_TRY(pb_h5_get_double(group, "check_largest_deviation", &deviation, err));
	PB_TRY(pb_h5_get_double(group, "check_tolerance", &tolerance, err));
	fprintf(out,
		"    %s: largest |effect| %.3g; from a plain forward %.2g at most (tolerance "
		"%.2g)\n     ",
		r->sweeps[s].name, largest, deviation, tolerance);
	for (m = 0; m < PB_N_METRICS; m++) {
		const char *name = pb_metric_infos[m].name;
		struct pb_h5_shape shape = {.rank = 0};
		hid_t dataset;

		if (!pb_h5_exists(group, name))
			continue;
		dataset = H5Dopen2(group, name, H5P_DEFAULT);
		status = dataset >= 0 ? pb_h5_shape(dataset, name, &shape, err)
				      : pb_h5_fail(err, PB_ERR_CHECK, "cannot open: %s", name);
		pb_h5_drop(dataset);
		PB_TRY(status);
		fprintf(out, " %s (", name);
		for (d = 0; d < shape.rank; d++)
			fprintf(out, "%s%zu", d > 0 ? ", " : "", shape.dims[d]);
		fputc(')', out);
	}
	fputc('\n', out);
cleanup:
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
cleanup:
	pb_objects_free(&objects);
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

enum pb_status pb_result_describe(const char *path, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	struct texts texts = {0};
	struct pb_result r;
	size_t s;

	PB_TRY(pb_result_open(&r, path, err));
	texts_read(&texts, r.file);
	describe_run(&r, &texts, out);
	PB_TRY(describe_checks(&r, out, err));
	fprintf(out, "  sweeps\n");
	for (s = 0; s < r.n_sweeps; s++)
		PB_TRY(describe_sweep(&r, s, out, err));
	fprintf(out, "  config\n");
	print_indented(out, or_mark(texts.config));
	if (ferror(out))
		status = pb_fail(err, PB_ERR_IO, "cannot write the description: %s", path);
cleanup:
	texts_free(&texts);
	pb_result_close(&r);
	return status;
}
